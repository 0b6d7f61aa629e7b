//! What the tests of commands share: running the program alone and under a launcher, test corpora, digests.

// Each test file uses its own part of this.
#![allow(dead_code)]

use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::{CorpusReader, CorpusWriter, Values};
use corpuscle::lsi::model::LsiModel;
use corpuscle::store::atomic::Target;
pub mod process;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock, mpsc};
use std::time::Duration;

/// A job that takes longer hangs: the longest of these tests works for about a second.
const LIMIT: Duration = Duration::from_secs(30);

/// Held while a file is written here, and alone while a process starts: a process inherits what is open, the lock on a file
/// being written too, which would then look unfinished to the next program for as long as that process lives.
static WRITING: RwLock<()> = RwLock::new(());

/// How a run of the program ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code of the program or of its launcher.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error, the launcher's words included.
    pub stderr: String,
}

impl Finished {
    /// Ends the test unless the run succeeded.
    pub fn succeeded(self) -> Finished {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// Ends the test unless the run failed with this code and one line that holds all of `words`.
    pub fn failed(self, code: i32, words: &[&str]) {
        assert_eq!(self.complaints(code, words), 1, "one line says what is wrong: {}", self.stderr);
    }

    /// As [`Finished::failed`], for what several workers may find at the same moment: each says it in a line.
    pub fn failed_on_workers(self, code: i32, words: &[&str]) {
        assert!(self.complaints(code, words) > 0, "nobody says what is wrong: {}", self.stderr);
    }

    /// Number of lines that say what is wrong; all of them hold all of `words`.
    fn complaints(&self, code: i32, words: &[&str]) -> usize {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert_eq!(self.stdout, "");
        let ours = |line: &&str| line.starts_with("corpuscle: ") || line.starts_with("error: ");
        let said: Vec<&str> = self.stderr.lines().filter(ours).collect();
        for (line, word) in said.iter().flat_map(|line| words.iter().map(move |word| (line, word))) {
            assert!(line.contains(word), "{word:?} is missing in: {line}");
        }
        said.len()
    }
}

/// The program, to be given arguments.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_corpuscle"))
}

/// Runs the program alone.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Finished {
    let mut command = program();
    command.args(arguments);
    finish(command)
}

/// Runs the program under a launcher with so many ranks; `None` without a launcher, after saying so.
pub fn mpirun<S: AsRef<OsStr>>(ranks: usize, arguments: impl IntoIterator<Item = S>) -> Option<Finished> {
    let mut command = launcher()?;
    command.args(["-n", &ranks.to_string()]).arg(program().get_program()).args(arguments);
    Some(finish(command))
}

/// The launcher, or `None` in a build without MPI, after saying so.
fn launcher() -> Option<Command> {
    process::has_mpi().then(process::launcher)
}

/// Starts a command whose output is kept.
pub fn start(command: &mut Command) -> Child {
    let _alone = WRITING.write().unwrap_or_else(PoisonError::into_inner);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

fn finish(mut command: Command) -> Finished {
    let child = start(&mut command);
    let id = child.id().to_string();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = receive.recv_timeout(LIMIT) else {
        // A launcher that is told to end takes its ranks with it.
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        panic!("still running after {} seconds: {command:?}", LIMIT.as_secs());
    };
    let output = output.expect("output of the program");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8 output");
    Finished {
        code: output.status.code().expect("an exit code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Digest of a file.
pub fn digest(path: impl AsRef<Path>) -> String {
    blake3::hash(&fs::read(path.as_ref()).expect("readable")).to_hex().to_string()
}

/// Names of everything in a folder, hidden files too.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Ends the test if a process is alive that was started with a path in this folder.
pub fn assert_all_gone(folder: &Path) {
    let folder = folder.to_str().expect("UTF-8");
    let alive = || -> Vec<String> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(folder))
            .collect()
    };
    // Ranks that were told to end may take a moment longer than their launcher.
    for _ in 0..100 {
        if alive().is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("still alive: {:?}", alive());
}

/// A temporary folder.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The dictionary of the test corpora: some terms are longer in bytes than in characters.
pub fn dictionary(terms: u32) -> Vec<String> {
    (0..terms).map(|term| if term % 5 == 0 { format!("wört{term}") } else { format!("term{term}") }).collect()
}

/// A corpus of counts: Zipf-like terms, documents of 0 to 90 distinct terms, every eleventh one empty. Which numbers come
/// out depends on `seed` alone.
pub fn documents(documents: u64, terms: u32, seed: u64) -> CsrChunk {
    let mut state = seed;
    // Knuth's linear congruential generator (MMIX): its upper bits are good enough for test data.
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut chunk = CsrChunk { terms, indptr: vec![0], ..CsrChunk::default() };
    for document in 0..documents {
        let wanted = if document % 11 == 3 { 0 } else { (random() * 90.0) as usize };
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..wanted {
            let term = (f64::from(terms) * random().powi(2)) as u32;
            *counts.entry(term).or_insert(0f32) += 1.0 + (3.0 * random().powi(4)).floor() as f32;
        }
        chunk.indices.extend(counts.keys());
        chunk.data.extend(counts.values());
        chunk.indptr.push(chunk.indices.len() as u64);
    }
    chunk
}

/// Writes a corpus with ids, and labels if wanted.
pub fn write_corpus(path: &Path, chunk: &CsrChunk, values: Values, labelled: bool) {
    let _open = WRITING.read().unwrap_or_else(PoisonError::into_inner);
    let ids: Vec<String> = (0..chunk.documents()).map(|n| format!("document {n}")).collect();
    let labels: Vec<String> = (0..chunk.documents()).map(|n| format!("class {}", n % 3)).collect();
    let target = Target::create(path).expect("a target");
    let mut writer = CorpusWriter::create(target, &dictionary(chunk.terms), values, labelled).expect("a corpus");
    writer.append(chunk, &ids, labelled.then_some(&labels)).expect("documents");
    writer.finish(&serde_json::json!({ "made by": "a test" })).expect("a complete corpus");
}

/// All documents of a corpus.
pub fn read_corpus(path: &Path) -> (CorpusReader, CsrChunk) {
    let reader = CorpusReader::open(path).expect("a corpus");
    let chunk = reader.read_documents(0, reader.header().documents).expect("documents");
    (reader, chunk)
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A file cut to half its length.
pub fn truncated(path: &Path) -> PathBuf {
    let bytes = fs::read(path).expect("readable");
    let cut = path.with_extension("cut");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("written");
    cut
}

/// An LSI model over the dictionary of the test corpora whose numbers follow from their positions; it is orthonormal in
/// no way, which shows every mistake in a product.
pub fn model(terms: u32, topics: usize, values: &str) -> LsiModel {
    let entry = |(row, column): (usize, usize)| ((row * 31 + column * 17 + row * column) % 101) as f32 / 101.0 - 0.5;
    LsiModel {
        left_vectors: ndarray::Array2::from_shape_fn((terms as usize, topics), entry),
        singular_values: (0..topics).map(|topic| 30.0 / (topic + 1) as f64).collect(),
        residuals: (0..topics).map(|topic| 1e-6 * (topic + 1) as f64).collect(),
        terms: dictionary(terms),
        documents: 1000,
        values: values.into(),
        frobenius_squared: 5000.0,
    }
}

/// Writes a model.
pub fn write_model(path: &Path, model: &LsiModel) {
    let _open = WRITING.read().unwrap_or_else(PoisonError::into_inner);
    let target = Target::create(path).expect("a target");
    model.save(target, &serde_json::json!({ "made by": "a test" })).expect("a complete model");
}
