//! Jobs that are killed as a whole, or told to stop, go on from their checkpoint to the bytes of a run that was left alone,
//! on whatever number of ranks.

mod common;

use common::{alone, digest, has_mpi, launcher, names, ranks, run, text};
use corpuscle::random::Stream;
use corpuscle::store::checkpoint::Folder;
use ndarray::Array2;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What the tests work on, made once.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn get() -> &'static Bench {
        static BENCH: OnceLock<Bench> = OnceLock::new();
        BENCH.get_or_init(|| {
            let bench = Bench { folder: tempfile::tempdir().expect("a folder") };
            let counts = bench.path("counts.h5");
            let size = ["--documents", "9000", "--terms", "6000", "--mean-length", "200"];
            alone([&["generate", "-q", "-o", &counts][..], &size].concat()).ok();
            alone(["tfidf", "-q", &counts, "-o", &bench.path("tfidf.h5")]).ok();
            alone(["lsi", "-q", &bench.path("tfidf.h5"), "-k", "20", "--rounds", "4", "-o", &bench.path("model.h5")])
                .ok();
            alone(["export", "-q", &counts, "-o", &bench.path("counts.mm")]).ok();
            fs::write(bench.path("lines.txt"), lines()).unwrap();
            bench
        })
    }

    fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }
}

/// Some 18 MB of text: several pieces.
fn lines() -> String {
    let mut lines = String::new();
    let mut stream = Stream::new(1, "test text", 0);
    while lines.len() < 18_000_000 {
        for _ in 0..60 {
            let word = (3000.0 * stream.uniform().powi(3)) as u32;
            let letters = [word / 400, word / 20 % 20, word % 20].map(|n| char::from(b'a' + n as u8));
            lines.extend(["w", "x"].iter().flat_map(|first| first.chars()).chain(letters));
            lines.push(' ');
        }
        lines.push('\n');
    }
    lines
}

/// A job with its own folder: checkpoints and output.
struct Case {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    /// Name of the output, where its ending matters.
    name: &'static str,
    expected: String,
}

impl Case {
    /// Runs the job alone, without checkpoints, for the bytes to expect.
    fn new(arguments: &[&str]) -> Case {
        Case::named(arguments, "output")
    }

    /// The same, with an output of this name.
    fn named(arguments: &[&str], name: &'static str) -> Case {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.to_string()).collect();
        let reference = folder.path().join(format!("reference-{name}"));
        alone(arguments.iter().map(String::as_str).chain(["-q", "-o", text(&reference)])).ok();
        let expected = digest(&reference);
        Case { folder, arguments, name, expected }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    fn checkpoints(&self) -> PathBuf {
        self.folder.path().join("checkpoints")
    }

    fn command(&self, ranks: usize) -> Command {
        let mut command = if ranks == 1 { Command::new(common::PROGRAM) } else { launcher(ranks) };
        if ranks > 1 {
            command.arg(common::PROGRAM);
        }
        command.args(&self.arguments).args(["-o", text(&self.output()), "--checkpoint", text(&self.checkpoints())]);
        command.args(["--checkpoint-every", "0", "--resume"]);
        command
    }

    /// Starts the job and waits until it has made so many checkpoints more than there were; none if it has ended before.
    fn start(&self, ranks: usize, more: u64) -> Option<Child> {
        let before = self.generation();
        let log = File::create(self.folder.path().join("stderr")).unwrap();
        let mut command = self.command(ranks);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut child = common::start(&mut command);
        let begun = Instant::now();
        while self.generation() < before + more {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{command:?}: {}", self.stderr());
                return None;
            }
            assert!(begun.elapsed() < common::DEADLINE, "{command:?}: no checkpoint: {}", self.stderr());
            std::thread::sleep(Duration::from_micros(500));
        }
        Some(child)
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// The newest checkpoint's number.
    fn generation(&self) -> u64 {
        let files = fs::read_dir(self.checkpoints()).into_iter().flatten().flatten();
        let numbers = files.filter_map(|file| file.file_name().to_str()?.strip_prefix("checkpoint-")?.parse().ok());
        numbers.max().unwrap_or(0)
    }

    /// Kills all ranks and the launcher at once.
    fn kill(&self, mut child: Child) {
        let mut victims = vec![child.id().to_string()];
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(text(self.folder.path())) {
                victims.push(entry.file_name().into_string().unwrap());
            }
        }
        // Some may be gone already.
        let _ = Command::new("kill").arg("-KILL").args(&victims).stderr(Stdio::null()).status();
        child.wait().unwrap();
        common::assert_all_gone(self.folder.path());
    }

    /// The job runs to its end, leaves the expected bytes and nothing else.
    #[track_caller]
    fn ends(&self, ranks: usize) {
        run(&mut self.command(ranks)).ok();
        assert_eq!(digest(&self.output()), self.expected);
        assert!(names(&self.checkpoints()).is_empty(), "{:?}", names(&self.checkpoints()));
        let left = names(self.folder.path());
        // Not the account of the run, which is no result.
        assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
    }

    /// Kills the job once on each of these numbers of ranks, at moments that `seed` chooses, and lets it end.
    fn survives(&self, all: &[usize], seed: u64) {
        let mut stream = Stream::new(seed, "test kills", 0);
        for &ranks in all.iter().filter(|&&ranks| ranks == 1 || has_mpi()) {
            let more = 1 + (4.0 * stream.uniform()) as u64;
            let Some(child) = self.start(ranks, more) else { break };
            std::thread::sleep(Duration::from_secs_f64(0.02 * stream.uniform()));
            self.kill(child);
        }
        self.ends(if has_mpi() { 2 } else { 1 });
    }
}

#[test]
fn lsi_survives_kills_of_the_whole_job() {
    let bench = Bench::get();
    // A small basis is compressed on the way.
    let case = Case::new(&["lsi", &bench.path("tfidf.h5"), "-k", "24", "--basis", "90", "--tolerance", "1e-4"]);
    case.survives(&[1, 3, 2, 4], 1);
    // A block that is not a whole number of registers, and every round given.
    let case = Case::new(&["lsi", &bench.path("tfidf.h5"), "-k", "20", "--block", "10", "--rounds", "12"]);
    case.survives(&[3, 1], 2);
}

#[test]
fn one_pass_survives_kills_of_the_whole_job() {
    let bench = Bench::get();
    let corpus = bench.path("tfidf.h5");
    let arguments = ["lsi", &corpus, "-k", "10", "--one-pass", "--chunk-documents", "900", "--polish", "4"];
    Case::new(&arguments).survives(&[3, 1, 2], 3);
    let model = bench.path("model.h5");
    let arguments = ["lsi", &corpus, "--update", &model, "--chunk-documents", "1500", "--decay", "0.9"];
    Case::new(&arguments).survives(&[1, 4], 4);
}

#[test]
fn lda_survives_kills_of_the_whole_job() {
    let bench = Bench::get();
    let counts = bench.path("counts.h5");
    let arguments = ["lda", &counts, "-k", "12", "--passes", "3", "--alpha", "learned", "--eta", "learned"];
    Case::new(&[&arguments[..], &["--eval", &counts, "--stop-below", "0.0001"]].concat()).survives(&[1, 3, 2, 4], 12);
    // Sums that are still to be taken in are saved, too.
    let arguments = ["lda", &counts, "-k", "5", "--method", "online", "--minibatch", "1000", "--staleness", "2"];
    Case::new(&[&arguments[..], &["--passes", "2", "--iterations", "10"]].concat()).survives(&[3, 1], 13);
    let model = bench.path("lda.h5");
    alone(["lda", "-q", &counts, "-k", "40", "--passes", "1", "-o", &model]).ok();
    Case::new(&["transform", &model, &counts]).survives(&[2, 1], 14);
}

#[test]
fn nmf_and_pca_survive_kills_of_the_whole_job() {
    let bench = Bench::get();
    let tfidf = bench.path("tfidf.h5");
    let arguments = ["nmf", &tfidf, "-k", "20", "--chunksize", "900", "--passes", "3"];
    Case::new(&arguments).survives(&[1, 3, 2, 4], 15);
    Case::new(&["pca", &tfidf, "-k", "16", "--tolerance", "1e-4"]).survives(&[3, 1], 16);
    let [model, vectors] = ["nmf.h5", "projected.h5"].map(|name| bench.path(name));
    alone(["nmf", "-q", &tfidf, "-k", "20", "-o", &model]).ok();
    Case::new(&["transform", &model, &tfidf]).survives(&[2, 1], 17);
    let projection = bench.path("projection.h5");
    alone(["project", "-q", &tfidf, "-k", "300", "-o", &projection]).ok();
    alone(["transform", "-q", &projection, &tfidf, "-o", &vectors]).ok();
    Case::new(&["pca", &vectors, "-k", "30"]).survives(&[3, 1], 18);
}

#[test]
fn building_survives_kills_of_the_whole_job() {
    let bench = Bench::get();
    let lines = bench.path("lines.txt");
    Case::new(&["build", &lines]).survives(&[3, 2, 1], 5);
    Case::new(&["build", &lines, "--dictionary", &bench.path("counts.h5")]).survives(&[2, 1], 6);
}

#[test]
fn whatever_is_written_in_order_survives_kills_of_the_whole_job() {
    let bench = Bench::get();
    let (counts, tfidf) = (bench.path("counts.h5"), bench.path("tfidf.h5"));
    Case::new(&["tfidf", &counts, "--scheme", "log-entropy"]).survives(&[3, 1], 7);
    Case::new(&["transform", &bench.path("model.h5"), &tfidf]).survives(&[2, 1], 8);
    Case::new(&["import", &bench.path("counts.mm")]).survives(&[1, 3], 9);
    Case::new(&["export", &counts, "--format", "mm"]).survives(&[1], 10);
    Case::new(&["generate", "--documents", "60000", "--terms", "2000"]).survives(&[3], 11);
}

/// The tasks of a search and the blocks of rows that are scaled, whether the dispatcher writes them or, without checkpoints,
/// the workers.
#[test]
fn scaling_and_searching_survive_kills_of_the_whole_job() {
    let bench = Bench::get();
    let rows = bench.path("rows.npy");
    let mut stream = Stream::new(2, "rows", 0);
    let numbers: Vec<f64> = (0..20_000 * 150).map(|_| stream.normal()).collect();
    common::matrices::write_npy(Path::new(&rows), &Array2::from_shape_vec((20_000, 150), numbers).unwrap());
    Case::named(&["scale", &rows], "output.npy").survives(&[3, 1], 15);
    Case::named(&["scale", &rows, "--no-mean"], "output.h5").survives(&[2], 16);
    let pipeline = bench.path("pipeline.toml");
    let steps = ["tfidf", "lsi", "logistic"].map(|kind| format!("[[step]]\nkind = \"{kind}\"\n")).concat();
    let grid = "[grid]\nlsi__k = [5, 9]\nlogistic__C = [0.1, 1.0]\ntfidf__smart = [\"nfc\", \"ltc\"]\n";
    fs::write(&pipeline, format!("{steps}{grid}[cv]\nsplits = 4\n")).unwrap();
    Case::named(&["search", &pipeline, &bench.path("counts.h5")], "output.csv").survives(&[1, 3, 2], 17);
    let [counts, best, found] = ["counts.h5", "best.h5", "found.csv"].map(|name| bench.path(name));
    alone(["search", &pipeline, &counts, "-o", &found, "--model-out", &best]).ok();
    Case::named(&["transform", &best, &counts], "output.h5").survives(&[2, 1], 18);
}

/// Not all results of a map need have been saved: the others are worked out again, on any number of ranks, be the chunks
/// known beforehand or those of a stream.
#[test]
fn results_may_be_missing_from_a_checkpoint() {
    let bench = Bench::get();
    let commands =
        [vec!["tfidf".to_owned(), bench.path("counts.h5")], vec!["build".to_owned(), bench.path("lines.txt")]];
    for (command, ranks) in commands.iter().flat_map(|command| [(command, 1), (command, 3)]) {
        if ranks > 1 && !has_mpi() {
            continue;
        }
        let case = Case::new(&command.iter().map(String::as_str).collect::<Vec<_>>());
        let Some(child) = case.start(ranks, 4) else { panic!("{command:?} has ended too soon") };
        case.kill(child);
        let place = case.checkpoints();
        let line = fs::read_to_string(place.join(format!("checkpoint-{}", case.generation()))).unwrap();
        let job = serde_json::from_str::<serde_json::Value>(line.lines().next().unwrap()).unwrap()["job"].clone();
        let (old, saved) = Folder::open(&place, true, &job).unwrap();
        let saved = saved.unwrap();
        let kept: Vec<_> = saved.records().iter().map(|record| (*record, saved.read(record).unwrap())).collect();
        assert!(kept.len() > 2, "{} records", kept.len());
        old.finish().unwrap();
        let (mut new, _) = Folder::open(&place, false, &job).unwrap();
        for (at, (record, bytes)) in kept.into_iter().enumerate() {
            // Of a build the first record is that of its first pass.
            if at % 2 == 1 || record.stage == 0 && command[0] == "build" {
                new.append(record.stage, record.kind, bytes).unwrap();
            }
        }
        new.commit().unwrap();
        new.close().unwrap();
        case.ends(ranks);
    }
}

#[test]
fn signals_stop_a_job_at_a_checkpoint() {
    let bench = Bench::get();
    let lsi = Case::new(&["lsi", &bench.path("tfidf.h5"), "-k", "24", "--block", "8", "--rounds", "60"]);
    let generate = Case::new(&["generate", "--documents", "150000", "--terms", "3000", "--mean-length", "150"]);
    let send = |signal: &str, process: u32| {
        // As batch systems do: more than once.
        for _ in 0..2 {
            Command::new("kill").args([signal, &process.to_string()]).status().unwrap();
        }
    };
    for (case, size, signal) in
        [(&lsi, 1, "-TERM"), (&lsi, 3, "-USR1"), (&generate, 3, "-USR1"), (&generate, 1, "-TERM")]
    {
        if size > 1 && !has_mpi() {
            continue;
        }
        let mut child = case.start(size, 1).expect("a job at work");
        send(signal, child.id());
        assert_eq!(child.wait().unwrap().code(), Some(75), "{}", case.stderr());
        assert_eq!(case.stderr().matches("stopped at a checkpoint").count(), 1, "{}", case.stderr());
        assert!(!case.stderr().contains("corpuscle: error"), "{}", case.stderr());
        common::assert_all_gone(case.folder.path());
        assert!(!case.output().exists());
        let left = names(case.folder.path());
        assert!(!left.iter().any(|name| name.ends_with(".tmp")), "{left:?}");
    }
    if has_mpi() {
        // To the dispatcher alone.
        let mut child = lsi.start(3, 1).expect("a job at work");
        send("-TERM", rank_zero(lsi.folder.path()));
        assert_eq!(child.wait().unwrap().code(), Some(75), "{}", lsi.stderr());
        assert!(!lsi.stderr().contains("corpuscle: error"), "{}", lsi.stderr());
    }
    lsi.ends(1);
    generate.ends(if has_mpi() { 3 } else { 1 });
}

/// The process of the dispatcher of a job over this folder.
fn rank_zero(folder: &Path) -> u32 {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ours = processes.filter(|entry| {
        let read = |name| fs::read(entry.path().join(name)).unwrap_or_default();
        let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        let rank = ["OMPI_COMM_WORLD_RANK=0", "PMI_RANK=0", "PMIX_RANK=0"];
        line.starts_with(common::PROGRAM)
            && line.contains(text(folder))
            && environment.split('\0').any(|variable| rank.contains(&variable))
    });
    let numbers: Vec<u32> = ours.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers.len(), 1, "{numbers:?}");
    numbers[0]
}

#[test]
fn what_does_not_fit_is_refused_in_one_line() {
    let bench = Bench::get();
    let tfidf = bench.path("tfidf.h5");
    let case = Case::new(&["lsi", &tfidf, "-k", "8", "--rounds", "12"]);
    let child = case.start(1, 3).expect("a job at work");
    case.kill(child);
    let (output, place) = (case.output(), case.checkpoints());
    let (output, place) = (text(&output), text(&place));
    let with = |arguments: &[&str]| {
        let arguments = [&["lsi", "-o", output, "--checkpoint", place], arguments].concat();
        alone(&arguments)
    };
    with(&[&tfidf, "-k", "9", "--rounds", "12", "--resume"]).failed(1, &["another job: parameters.k was 8, is 9"]);
    with(&[&tfidf, "-k", "8", "--rounds", "12", "--resume", "--seed", "2"]).failed(1, &["parameters.seed was 1, is 2"]);
    with(&[&tfidf, "-k", "8", "--rounds", "12"]).failed(1, &["unfinished job", "add --resume"]);
    with(&[&bench.path("counts.h5"), "-k", "8", "--rounds", "12", "--resume"])
        .failed(1, &["inputs.corpus.checksum was"]);
    with(&[&tfidf, "-k", "8", "--one-pass", "--resume"]).failed(1, &["parameters.one_pass was null, is true"]);
    ranks(if has_mpi() { 2 } else { 1 }, ["lsi", &tfidf, "-k", "9", "-o", output, "--checkpoint", place, "--resume"])
        .failed(1, &["another job"]);

    // Options without what they are about, and commands that have nothing to save.
    alone(["lsi", &tfidf, "-o", output, "--resume"]).failed(2, &["--resume goes with --checkpoint DIR"]);
    alone(["lsi", &tfidf, "-o", output, "--checkpoint-every", "5"]).failed(2, &["--checkpoint-every goes with"]);
    alone(["lsi", &tfidf, "-o", output, "--checkpoint", place, "--checkpoint-every=-1"]).failed(2, &["seconds"]);
    for arguments in [&["info", &tfidf][..], &["doctor", "--quick"], &["topics", &bench.path("model.h5")]] {
        alone([arguments, &["--checkpoint", place]].concat()).failed(2, &["makes no checkpoints"]);
    }
    assert!(!output_exists(output));

    // The newest is damaged: the one before it serves. All are: that is said.
    let newest = case.checkpoints().join(format!("checkpoint-{}", case.generation()));
    fs::write(&newest, "nonsense").unwrap();
    let journals = names(&case.checkpoints()).into_iter().filter(|name| name.starts_with("journal-"));
    let journals: Vec<PathBuf> = journals.map(|name| case.checkpoints().join(name)).collect();
    let whole: Vec<Vec<u8>> = journals.iter().map(|journal| fs::read(journal).unwrap()).collect();
    journals.iter().for_each(|journal| fs::write(journal, "cut").unwrap());
    with(&[&tfidf, "-k", "8", "--rounds", "12", "--resume"]).failed(1, &["no checkpoint can be used"]);
    journals.iter().zip(&whole).for_each(|(journal, bytes)| fs::write(journal, bytes).unwrap());
    case.ends(1);
    // Nothing there: from the beginning, and that is said.
    let again = run(case.command(1).arg("-v")).ok();
    assert!(again.stderr.contains("no checkpoint there"), "{}", again.stderr);
}

fn output_exists(output: &str) -> bool {
    Path::new(output).exists()
}
