//! `corpuscle build`: the same bytes however it is run, the same corpus from every format, one clear line about every
//! kind of bad input.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::{PROGRAM, Run, alone, has_mpi, names, ranks, run};
use corpuscle::corpus::container::CorpusReader;

/// Documents of a language of our own: 400 words whose frequencies fall with their rank, some beyond ASCII, a few of
/// them in one document only; about 150 KB a file.
fn text(file: usize) -> String {
    let word = |rank: usize| {
        let syllables = ["ba", "né", "ko", "שלום", "Ru", "ße", "ta", "мир", "vi", "lo"];
        format!("{}{}{}", syllables[rank % 10], syllables[rank / 10 % 10], syllables[rank / 100 % 10])
    };
    let mut state = 88_172_645_463_325_252_u64 ^ file as u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut text = String::new();
    for document in 0..300 {
        for _ in 0..random(80) {
            let range = 400 >> random(6);
            text += &word(random(range));
            text.push_str([" ", ", ", " - ", ". "][random(4)]);
        }
        text += &format!("unique{}\n", ["one", "two", "three"][document % 3]);
    }
    text
}

const FILES: usize = 9;

/// The text as files, each through `store`.
fn inputs(folder: &Path, ending: &str, store: impl Fn(&str) -> Vec<u8>) -> Vec<PathBuf> {
    let write = |file: usize| {
        let path = folder.join(format!("text{file}{ending}"));
        std::fs::write(&path, store(&text(file))).unwrap();
        path
    };
    (0..FILES).map(write).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn arguments(inputs: &[PathBuf], output: &Path, more: &[&str]) -> Vec<String> {
    let paths = inputs.iter().map(|path| path.display().to_string());
    let output = ["-o".to_owned(), output.display().to_string()];
    ["build".to_owned()].into_iter().chain(paths).chain(output).chain(more.iter().map(|&s| s.to_owned())).collect()
}

#[test]
fn the_bytes_do_not_depend_on_how_it_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let plain = inputs(folder.path(), ".txt", |text| text.as_bytes().to_vec());
    let output = folder.path().join("corpus.h5");
    let built = |count: usize, inputs: &[PathBuf], more: &[&str]| {
        ranks(count, arguments(inputs, &output, more)).ok();
        let bytes = std::fs::read(&output).unwrap();
        std::fs::remove_file(&output).unwrap();
        bytes
    };
    let expected = built(1, &plain, &["--threads", "1"]);
    let check = |what: &str, found: Vec<u8>| assert!(found == expected, "{what}: other bytes");
    check("two threads", built(1, &plain, &["--threads", "2"]));
    check("five threads", built(1, &plain, &["--threads", "5"]));
    check("nothing kept", built(1, &plain, &["--memory", "1"]));
    let compressed = [
        ("gz", inputs(folder.path(), ".gz", |text| gzip(text.as_bytes()))),
        ("bz2", inputs(folder.path(), ".bz2", |text| bzip2(text.as_bytes()))),
        ("zst", inputs(folder.path(), ".zst", |text| zstd::encode_all(text.as_bytes(), 1).unwrap())),
    ];
    for (ending, inputs) in &compressed {
        check(ending, built(1, inputs, &["--memory", "200K"]));
    }
    // Two members in one stream.
    let mut members = plain.clone();
    members[0] = folder.path().join("members.gz");
    let (head, tail) = (text(0), text(0));
    std::fs::write(&members[0], [gzip(&head.as_bytes()[..5000]), gzip(&tail.as_bytes()[5000..])].concat()).unwrap();
    check("members", built(1, &members, &[]));
    if !has_mpi() {
        return;
    }
    for count in [2, 3, 5, 7] {
        check(&format!("{count} ranks"), built(count, &plain, &["--threads", "1"]));
    }
    check("scattered", built(3, &plain, &["--scatter", "--threads", "2"]));
    check("scattered, nothing kept", built(4, &plain, &["--scatter", "--memory", "1"]));
    check("some kept", built(3, &plain, &["--memory", "200K"]));
    for (ending, inputs) in &compressed {
        check(ending, built(3, inputs, &["--memory", "200K"]));
    }
    check("members", built(3, &members, &["--memory", "1"]));
}

/// Documents as counts of terms by name, with ids and labels.
#[derive(Debug, PartialEq)]
struct Documents {
    terms: Vec<String>,
    indptr: Vec<u64>,
    indices: Vec<u32>,
    data: Vec<f32>,
    ids: Vec<String>,
    labels: Option<Vec<String>>,
}

fn read(path: &Path) -> Documents {
    let corpus = CorpusReader::open(path).unwrap();
    let documents = corpus.header().documents;
    let chunk = corpus.read_documents(0, documents).unwrap();
    Documents {
        terms: corpus.terms().unwrap(),
        indptr: chunk.indptr,
        indices: chunk.indices,
        data: chunk.data,
        ids: corpus.ids(0, documents).unwrap(),
        labels: corpus.labels(0, documents).unwrap(),
    }
}

#[test]
fn every_format_gives_the_same_documents() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("corpus.h5");
    let built = |inputs: &[PathBuf], more: &[&str]| {
        alone(arguments(inputs, &output, more)).ok();
        read(&output)
    };
    let lines = built(&inputs(folder.path(), ".txt", |text| text.as_bytes().to_vec()), &[]);
    assert!(lines.terms.len() > 300 && lines.labels.is_none());
    assert_eq!(lines.ids.len(), FILES * 300);
    assert_eq!((lines.ids[0].as_str(), lines.ids[1234].as_str()), ("0", "1234"));

    let jsonl = |text: &str| {
        let object = |(at, line): (usize, &str)| {
            format!("{}\n", serde_json::json!({ "n": at, "body": line, "kind": format!("k{}", at % 3) }))
        };
        text.lines().enumerate().map(object).collect::<String>().into_bytes()
    };
    let jsonl = built(
        &inputs(folder.path(), ".jsonl", jsonl),
        &["--text-field", "body", "--id-field", "n", "--label-field", "kind"],
    );
    assert_eq!((&jsonl.terms, &jsonl.indptr, &jsonl.indices, &jsonl.data), {
        (&lines.terms, &lines.indptr, &lines.indices, &lines.data)
    });
    // Numbers begin anew with each file.
    assert_eq!((jsonl.ids[0].as_str(), jsonl.ids[1234].as_str()), ("0", "34"));
    assert_eq!(jsonl.labels.as_ref().map(|labels| labels[1234].as_str()), Some("k1"));

    for (ending, delimiter) in [(".csv", b','), (".tsv", b'\t')] {
        let table = |text: &str| {
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            writer.write_record(["kind", "text", "n"]).unwrap();
            for (at, line) in text.lines().enumerate() {
                // A break within the field cuts no record.
                let line = line.replacen(' ', "\n", 1);
                writer.write_record([format!("k{}", at % 3), line, at.to_string()]).unwrap();
            }
            writer.into_inner().unwrap()
        };
        let found = built(
            &inputs(folder.path(), ending, table),
            &["--id-field", "n", "--label-field", "kind", "--threads", "3"],
        );
        assert_eq!(found, jsonl, "{ending}");
    }
}

#[test]
fn what_it_prints_is_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("corpus.h5");
    let inputs = inputs(folder.path(), ".txt", |text| text.as_bytes().to_vec());
    let run = alone(arguments(&inputs, &output, &["--format", "json", "--no-below", "20", "--keep-n", "50"])).ok();
    let table: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let corpus = CorpusReader::open(&output).unwrap();
    let header = corpus.header();
    assert_eq!((&table[0]["documents"], &table[0]["terms"]), (&header.documents.into(), &50.into()));
    assert_eq!(table[0]["nonzeros"], header.nonzeros);
    let kept: u64 = corpus.collection_frequency().unwrap().iter().sum();
    assert_eq!(table[0]["tokens_kept"], kept);
    assert!(table[0]["tokens"].as_u64() > Some(kept) && table[0]["distinct_terms"].as_u64() > Some(50));
    let about: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("corpus.h5.run.json")).unwrap()).unwrap();
    assert_eq!(about["parameters"]["filter"]["keep_n"], 50);
    assert_eq!(about["result"]["nonzeros"], header.nonzeros);
    // Neither where the text was nor where the corpus went is in it.
    let provenance = corpus.file().provenance().unwrap();
    assert_eq!(provenance["inputs"]["text"].as_array().unwrap().len(), FILES);
    assert_eq!(provenance["inputs"]["text"][3]["bytes"], text(3).len());
    assert!(!provenance.to_string().contains("text3"), "{provenance}");
}

#[test]
fn options_of_tokens_take_effect() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("a.txt"), folder.path().join("corpus.h5"));
    std::fs::write(&input, "Mixed CASE x1 tiny\nMixed case y22 enormously\n\nca\u{fffd}e\n").unwrap();
    let terms = |more: &[&str]| {
        let all = ["--no-below", "1", "--no-above", "1", "--keep-n", "all"];
        alone(arguments(std::slice::from_ref(&input), &output, &[&all, more].concat())).ok();
        let documents = read(&output);
        assert_eq!(documents.ids.len(), 4, "an empty line is a document too");
        documents.terms.join(" ")
    };
    assert_eq!(terms(&[]), "case mixed tiny enormously ca");
    assert_eq!(terms(&["--no-lowercase"]), "CASE Mixed tiny case enormously ca");
    assert_eq!(terms(&["--no-lowercase", "--lowercase"]), "case mixed tiny enormously ca");
    assert_eq!(terms(&["--min-length", "5", "--max-length", "6"]), "mixed");
    assert_eq!(terms(&["--token-pattern", r"[a-z](\d+)", "--min-length", "1"]), "1 22");
    std::fs::write(&input, b"Mixed CASE x1 tiny\nMixed case y22 enormously\n\nca\xffe\n").unwrap();
    assert_eq!(terms(&["--invalid-utf8", "replace"]), "case mixed tiny enormously ca");
}

/// An input that must be refused.
struct Bad {
    name: &'static str,
    content: Option<Vec<u8>>,
    options: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
}

/// `count` lines of text with this one behind the first `at`.
fn with_line(count: usize, at: usize, line: &[u8]) -> Vec<u8> {
    let lines = |range: std::ops::Range<usize>| range.map(|i| format!("some words {i}\n")).collect::<String>();
    [lines(0..at).as_bytes(), line, b"\n", lines(at..count).as_bytes()].concat()
}

fn bad_inputs() -> Vec<Bad> {
    let json = |line: &str| {
        let good = "{\"text\": \"some words\"}\n".repeat(500);
        Some(format!("{good}{line}\n{good}").into_bytes())
    };
    let compressed = gzip(text(0).as_bytes());
    let cut_off = compressed[..compressed.len() / 2].to_vec();
    let bad = |name, content, options, code, says| Bad { name, content, options, code, says };
    vec![
        bad("none.txt", None, &[], 1, &["none.txt: No such file"]),
        bad("empty.txt", Some(vec![]), &[], 1, &["empty.txt: is empty"]),
        bad("junk.txt", Some(with_line(3000, 2000, b"\x00\x01\xfe")), &[], 1, &["junk.txt:2001: ", "binary"]),
        bad(
            "latin.txt",
            Some(with_line(3000, 1234, b"caf\xe9")),
            &[],
            1,
            &["latin.txt:1235: ", "--invalid-utf8 replace"],
        ),
        bad("cut.gz", Some(cut_off), &[], 1, &["cut.gz: ", "damaged or cut off"]),
        bad("rare.txt", Some(b"one two\nthree four\n".to_vec()), &[], 1, &["no term is left of 4", "--no-below"]),
        bad("dashes.txt", Some(b"--\n--\n".to_vec()), &[], 1, &["no tokens in 2 documents"]),
        bad("broken.jsonl", json("{\"text\": \"some"), &[], 1, &["broken.jsonl:501: "]),
        bad("list.jsonl", json("[1, 2]"), &[], 1, &["list.jsonl:501: "]),
        bad("field.jsonl", json("{\"words\": \"some\"}"), &[], 1, &["field.jsonl:501: ", "\"text\"", "\"words\""]),
        bad("column.csv", Some(b"a,b\n1,2\n".to_vec()), &[], 1, &["column.csv", "\"text\"", "\"a\", \"b\""]),
        bad("quote.csv", Some(b"text\nsome\n\"words\nmore\n".to_vec()), &[], 1, &["quote.csv:3: ", "never closed"]),
        bad("fields.csv", Some(b"text,n\nsome,1\nwords\n".to_vec()), &[], 1, &["fields.csv:3: ", "1 fields"]),
        bad("share.txt", Some(with_line(9, 1, b"x")), &["--no-above", "1.5"], 2, &["--no-above 1.5"]),
        bad("keep.txt", Some(with_line(9, 1, b"x")), &["--keep-n", "0"], 2, &["--keep-n 0"]),
        bad("regex.txt", Some(with_line(9, 1, b"x")), &["--token-pattern", "("], 2, &["token pattern \"(\""]),
        bad("length.txt", Some(with_line(9, 1, b"x")), &["--min-length", "0"], 2, &["tokens of 0 to 15 characters"]),
        bad("lines.txt", Some(with_line(9, 1, b"x")), &["--id-field", "n"], 2, &["--id-field means nothing"]),
    ]
}

/// It ended as it should: the code, one line that says what is wrong, nothing else in the folder, soon.
#[track_caller]
fn assert_refused(run: &Run, code: i32, says: &[&str], folder: &Path, before: &[String]) {
    assert_eq!(run.code, Some(code), "{}", run.stderr);
    let messages = run.messages();
    assert_eq!(messages.len(), 1, "{}", run.stderr);
    for part in says {
        assert!(messages[0].contains(part), "{part:?} is not in {:?}", messages[0]);
    }
    assert_eq!(run.stdout, "");
    assert_eq!(names(folder), before);
    assert!(run.elapsed < Duration::from_secs(20), "{:?}", run.elapsed);
}

fn refuse_all(count: usize) {
    for Bad { name, content, options, code, says } in bad_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&input, content).unwrap();
        }
        let before = names(folder.path());
        let run = ranks(count, arguments(&[input], &folder.path().join("corpus.h5"), options));
        if count == 1 {
            let said = run.stderr.lines().filter(|line| !line.contains("memory: predicted peak"));
            assert_eq!(said.count(), 1, "{name}: {}", run.stderr);
        }
        assert_refused(&run, code, says, folder.path(), &before);
    }
}

#[test]
fn bad_input_is_refused() {
    refuse_all(1);
}

#[test]
fn bad_input_is_refused_under_mpi() {
    if has_mpi() {
        refuse_all(3);
    }
}

#[test]
fn an_output_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("a.txt");
    std::fs::write(&input, text(0)).unwrap();
    let before = names(folder.path());
    let nowhere = folder.path().join("nowhere/corpus.h5");
    for count in if has_mpi() { vec![1, 3] } else { vec![1] } {
        let to = |output: &Path| ranks(count, arguments(std::slice::from_ref(&input), output, &[]));
        assert_refused(&to(&nowhere), 1, &["nowhere does not exist"], folder.path(), &before);
        assert_refused(&to(folder.path()), 2, &["is a directory"], folder.path(), &before);
        assert_refused(&to(&input), 2, &["a.txt: is input and output at once"], folder.path(), &before);
        assert_refused(
            &to(Path::new("/proc/corpus.h5")),
            1,
            &["/proc/corpus.h5: cannot be written"],
            folder.path(),
            &before,
        );
        assert_eq!(std::fs::read_to_string(&input).unwrap(), text(0));
    }
}

/// A limit on the size of files stands in for a full disk: writing fails in the same way, and no file system of a
/// certain size has to be made.
#[test]
fn a_full_disk_leaves_the_old_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = inputs(folder.path(), ".txt", |text| text.as_bytes().to_vec());
    let output = folder.path().join("corpus.h5");
    std::fs::write(&output, "the old one").unwrap();
    let before = names(folder.path());
    let mut shell = Command::new("bash");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "bash", PROGRAM]);
    let run = run(shell.args(arguments(&inputs, &output, &[])));
    assert_refused(&run, 1, &["corpus.h5: ", "File too large"], folder.path(), &before);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "the old one");
}
