//! Every reader is given files and messages that are damaged in many ways, drawn by a seed: it must come back. The same
//! functions are run for longer by `cargo fuzz` (see `fuzz/README.md`); cases worth keeping are in `tests/fixtures/fuzzed`.

mod common;
#[path = "../fuzz/entries.rs"]
mod entries;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::{alone, text};
use corpuscle::random::Stream;
use entries::ENTRIES;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Mutants of each seed, unless CORPUSCLE_FUZZED_MUTANTS says how many.
const MUTANTS: u64 = 150;
/// Memory that the whole test may take: what asks for more because some bytes say so is ended.
const MEMORY: u64 = 6 << 30;

/// Numbers that lengths and offsets are fond of going wrong at.
const EDGES: [u64; 10] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];
/// Words that stand in text for the same.
const WORDS: [&[u8]; 10] =
    [b"99999999999999999999", b"-1", b"1e400", b"nan", b"\"", b"\n", b"\t", b"\xf0\x9f\x92\xa9", b"\xff", b"[[[[[[[["];

/// Bytes with a few places changed.
fn mutant(seed: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + stream.below(4) {
        let at = stream.below(bytes.len() as u64 + 1) as usize;
        let end = (at + 1 + stream.below(16) as usize).min(bytes.len());
        match stream.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << stream.below(8),
            1 if at < bytes.len() => bytes[at] = stream.bits() as u8,
            2 | 3 => {
                let width = [1, 2, 4, 8][stream.below(4) as usize];
                let edge = EDGES[stream.below(EDGES.len() as u64) as usize].to_le_bytes();
                bytes.iter_mut().skip(at).zip(&edge[..width]).for_each(|(to, from)| *to = *from);
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..end)),
            6 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let word = WORDS[stream.below(WORDS.len() as u64) as usize];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes
}

/// Small files of every kind that the program writes.
struct Files(tempfile::TempDir);

impl Files {
    fn get() -> &'static Files {
        static FILES: OnceLock<Files> = OnceLock::new();
        FILES.get_or_init(|| {
            let files = Files(tempfile::tempdir().unwrap());
            let at = |name: &str| text(&files.path(name)).to_owned();
            let run = |arguments: &[&str]| drop(alone([&["-q"], arguments].concat()).ok());
            let sample = "data/sample.jsonl";
            run(&[
                "build",
                sample,
                "--id-field",
                "id",
                "--label-field",
                "label",
                "--no-below",
                "2",
                "-o",
                &at("corpus.h5"),
            ]);
            run(&["tfidf", &at("corpus.h5"), "-o", &at("weights.h5"), "--model-out", &at("tfidf.h5")]);
            run(&["export", &at("corpus.h5"), "-o", &at("counts.npz")]);
            run(&["export", &at("weights.h5"), "-o", &at("weights.npz"), "--rows", "terms"]);
            run(&["lsi", &at("weights.h5"), "-k", "4", "-o", &at("lsi.h5")]);
            run(&["lda", &at("corpus.h5"), "-k", "4", "--passes", "1", "-o", &at("lda.h5")]);
            run(&["nmf", &at("weights.h5"), "-k", "4", "-o", &at("nmf.h5")]);
            run(&["pca", &at("weights.h5"), "-k", "4", "-o", &at("pca.h5")]);
            run(&["project", &at("weights.h5"), "-k", "9", "-o", &at("projection.h5")]);
            run(&["transform", &at("lsi.h5"), &at("weights.h5"), "-o", &at("vectors.h5")]);
            run(&["index", &at("vectors.h5"), "--model", &at("lsi.h5"), "-o", &at("index.h5")]);
            std::fs::write(files.path("pipeline.toml"), PIPELINE).unwrap();
            let (pipeline, results) = (at("pipeline.toml"), at("results.csv"));
            run(&["search", &pipeline, &at("corpus.h5"), "-o", &results, "--model-out", &at("search.h5")]);
            files
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// Pages of a wiki: an article with all kinds of markup, a redirect, a talk page.
const DUMP: &str = "<mediawiki xmlns=\"http://www.mediawiki.org/xml/export-0.11/\" xml:lang=\"en\">
  <siteinfo><sitename>Wiki</sitename></siteinfo>
  <page>
    <title>Ape &amp; man</title><ns>0</ns><id>7</id>
    <revision><id>9</id><text xml:space=\"preserve\">'''Apes''' are {{cite|a={{b}}}} [[Animal|animals]]&lt;ref name=&quot;x&quot;&gt;no&lt;/ref&gt;.
{| class=\"t\"
|-
| cell
|}
&lt;!-- gone --&gt; [http://example.org a link] [[File:ape.jpg|thumb|An [[ape]]]] &lt;math&gt;x^2&lt;/math&gt;</text></revision>
  </page>
  <page><title>Man</title><ns>0</ns><id>8</id><redirect title=\"Ape\" /><revision><text>#REDIRECT [[Ape]]</text></revision></page>
  <page><title>Talk:Ape</title><ns>1</ns><id>10</id><revision><text /></revision></page>
</mediawiki>
";

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const PIPELINE: &str = r#"
[[step]]
kind = "tfidf"

[[step]]
kind = "lsi"
k = 4

[[step]]
kind = "logistic"

[grid]
logistic__C = { logspace = [-1, 0, 2] }

[cv]
splits = 2
shuffle = true
seed = 0

[search]
scoring = ["accuracy"]
"#;

/// A message of numbers and bytes as ranks write them.
fn message(numbers: &[u64], bytes: &[u8]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).chain(bytes.iter().copied()).collect()
}

/// A numpy array of doubles (rows x columns).
fn array(rows: usize, columns: usize) -> Vec<u8> {
    let head = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&118u16.to_le_bytes());
    bytes.extend_from_slice(format!("{head:<117}\n").as_bytes());
    bytes.extend((0..rows * columns).flat_map(|number| (number as f64).to_le_bytes()));
    bytes
}

/// An HDF5 file of others: a matrix under the name `data`.
fn hdf5_table() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.h5");
    let _held = common::writing();
    let file = hdf5::File::create(&path).unwrap();
    let values = ndarray::Array2::<f64>::from_elem((30, 4), 0.5);
    file.new_dataset_builder().with_data(&values).create("data").unwrap();
    drop(file);
    std::fs::read(path).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What each reader is meant for.
fn seeds(entry: &str) -> Vec<Vec<u8>> {
    let files = Files::get();
    let of = |list: &[&[u8]]| list.iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>();
    let text_of = |head: &[u8], bytes: &[u8]| [head, bytes].concat();
    let text = |head: [u8; 3], bytes: &[u8]| text_of(&head, bytes);
    match entry {
        "corpus" => ["corpus.h5", "weights.h5"].map(|name| files.read(name)).into(),
        "model" => {
            let names = ["tfidf.h5", "lsi.h5", "lda.h5", "nmf.h5", "pca.h5", "projection.h5", "vectors.h5", "index.h5", "search.h5"];
            names.map(|name| files.read(name)).into()
        }
        "checkpoint" => {
            let record = |stage: u64, kind: u64, bytes: &[u8]| message(&[kind << 32 | stage, bytes.len() as u64], bytes);
            let journal = [record(0, 0, b"state"), record(1, 1, &[7; 40]), record(1, 2, b"")].concat();
            let line = format!(
                "{{\"format\":\"corpuscle-checkpoint\",\"format_version\":2,\"job\":{{\"command\":\"lsi\"}},\"journal\":1,\"bytes\":{},\"blake3\":\"BLAKE3\"}}\n",
                journal.len()
            );
            vec![[b"\0", line.as_bytes(), &journal].concat(), [b"\x01", line.as_bytes(), &journal].concat()]
        }
        "matrix_market" => of(&[
            b"%%MatrixMarket matrix coordinate real general\n% corpuscle: values nfc\n3 4 4\n1 1 2\n1 3 0.5\n2 2 1e-3\n3 4 -7\n",
            b"%%MatrixMarket matrix coordinate pattern general\n3 3 2\n1 1\n3 3\n",
            b"3\n4\n3\n1 1 2\n1 3 1\n3 4 2\n",
        ]),
        "text" => {
            let jsonl = b"{\"text\": \"one \\u00e9 two\", \"id\": 1, \"label\": \"x\"}\n\n{\"id\": \"b\", \"text\": \"three\", \"label\": 2.5}\n";
            let csv = b"id,text,label\n1,\"a \"\"b\"\"\nc\",x\r\n2,plain,y\n";
            let tsv = b"id\ttext\tlabel\n1\t\"a\tb\"\tx\n2\tplain\ty\n";
            vec![
                text([0, 0, 0], b"\xef\xbb\xbfone two\r\n\nCaf\xc3\xa9 \xe1\xba\x9e \xce\xa3\n"),
                text([128, 255, 0], "İstanbul ǅ ﬁ\u{301} 東京\n".repeat(20).as_bytes()),
                text([1 + 132, 1, 0], jsonl),
                text([2 + 132, 0, 128], csv),
                text([3 + 132, 2, 0], tsv),
                text([4, 0, 0], b"name label one two\nother label three\n"),
                text([5, 0, 0], b"2\none two\nthree\n"),
                text([1, 9, 1], &gzip(jsonl)),
                text([0, 9, 3], &zstd::encode_all(&b"one two\nthree\n"[..], 1).unwrap()),
            ]
        }
        "lists" => of(&[b"3\n0\talpha\t2\n1\tbeta\t1\n", b"alpha\nbeta\ngamma\n", &files.read("lsi.h5")]),
        "rows" => of(&[b"+1 1:2 4:0.5 # first\n\n-1 qid:3 5:1e-3 2:-7 3:0\r\nspam", b"2 0:1 3:2\n0\n1 1:16777216\n", b"ape,\"b,t\",cat\n0,1,2.5\n0,0,-1e-3\n"]),
        "npz" => ["counts.npz", "weights.npz"].map(|name| files.read(name)).into(),
        "wiki" => {
            let compressed = bzip2(DUMP.as_bytes());
            vec![text_of(&[40], DUMP.as_bytes()), text_of(&[1], DUMP.as_bytes()), text_of(&[200], &compressed)]
        }
        "bzip2" => {
            let two = [bzip2(&DUMP.as_bytes().repeat(400)), bzip2(b"another stream")].concat();
            vec![text_of(&[32, 0], &bzip2(DUMP.as_bytes())), text_of(&[0, 1], &two)]
        }
        "messages" => {
            let assignment = message(&[7, 1 << 40, 3, 2, 0x0201], b"");
            let share = message(&[1, 1, 7, 9, 3, 2], &[&b"ab"[..], &message(&[2, 3], b"xyz")].concat());
            let report = message(&[0.25f64.to_bits(), 2, 1, 5], b"");
            let chunk = corpuscle::corpus::chunk::CsrChunk {
                first_document: 3,
                terms: 4,
                indptr: vec![0, 1, 1, 3],
                indices: vec![2, 0, 3],
                data: vec![1.0, 2.0, 5.0],
            };
            let mut counts = Vec::new();
            corpuscle::corpus::sent_rows::SentRows::encode((&chunk).into(), true, &mut counts);
            let lines = corpuscle::corpus::row_lines::RowFormat::Svmlight { zero_based: false };
            let rows = corpuscle::corpus::row_lines::RowLines::parse(b"ab 1:1\nc 2:1\n", lines).unwrap();
            let account = corpuscle::report::account::Account::open(0).record().to_bytes();
            let fitted = corpuscle::search::model::FittedPipeline::load(&files.path("search.h5")).unwrap().0;
            vec![assignment, share, report, chunk.encode(), counts, rows.encode(true), account, fitted.encode()]
        }
        "liveness" => vec![message(&[1, 0, 5, 7, 3 | 1 << 8, 70_000, 4, 2], b""), vec![7; 56]],
        "pipeline" => of(&[PIPELINE.as_bytes()]),
        "npy" => vec![array(5, 3)],
        "hdf5_table" => vec![hdf5_table()],
        "csv_table" => of(&[b"a,b,label\n1,2.5,x\n-3e-2,4,\"y z\"\n", b"a,b\n1,2\n3,nan\n"]),
        other => panic!("no seeds for {other}"),
    }
}

/// Keeps a reader from taking all the memory there is.
fn bound_memory() {
    let limit = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: limit.maximum }).unwrap();
}

#[test]
fn readers_come_back_whatever_the_bytes_are() {
    let mutants = std::env::var("CORPUSCLE_FUZZED_MUTANTS").map_or(MUTANTS, |count| count.parse().expect("a number"));
    for (number, (name, entry)) in ENTRIES.into_iter().enumerate() {
        let last = std::env::temp_dir().join(format!("corpuscle-fuzzed-{name}"));
        for (which, seed) in seeds(name).into_iter().enumerate() {
            if let Some(folder) = std::env::var_os("CORPUSCLE_FUZZED_SEEDS") {
                let folder = Path::new(&folder).join(name);
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(format!("seed-{which}")), &seed).unwrap();
            }
            entry(&seed);
            bound_memory();
            let mut stream = Stream::new(number as u64, "mutants", which as u64);
            for _ in 0..mutants {
                let bytes = mutant(&seed, &mut stream);
                // To be found there, should the process die of it.
                std::fs::write(&last, &bytes).unwrap();
                entry(&bytes);
            }
        }
        std::fs::remove_file(last).unwrap();
    }
}

/// What was found once, or thought of, is read again each time.
#[test]
fn kept_cases_are_read() {
    let folder = Path::new("tests/fixtures/fuzzed");
    let mut read = 0;
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = file.file_name().into_string().unwrap();
        let (_, entry) = ENTRIES
            .into_iter()
            .find(|(entry, _)| name.starts_with(&format!("{entry}-")))
            .expect("named after its entry");
        entry(&std::fs::read(file.path()).unwrap());
        read += 1;
    }
    assert!(read > 0, "no cases in {}", folder.display());
}
