//! `corpuscle generate`, `split` and `info`: the same bytes however they are run, what comes out, and what is refused.

mod common;

use std::collections::HashMap;
use std::path::Path;

use common::corpora::{documents, model, read_corpus, write_corpus, write_model};
use common::{alone, digest, has_mpi, names, ranks, text, truncated};
use corpuscle::corpus::container::Values;
use serde_json::Value;
use tempfile::tempdir;

const RANKS: [usize; 3] = [2, 3, 5];

fn generate<'a>(output: &'a Path, options: &[&'a str]) -> Vec<&'a str> {
    let mut list = vec!["generate", "-q", "--terms", "3000", "--topics", "12", "--mean-length", "120"];
    list.extend(["-o", text(output)]);
    list.extend(options);
    list
}

#[test]
fn a_generated_corpus_depends_on_its_numbers_alone() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // More than two chunks of 2 million tokens.
    let size = ["--documents", "40000"];
    let serial = at("serial.h5");
    alone(generate(&serial, &size)).ok();
    for count in if has_mpi() { &RANKS[..] } else { &[] } {
        for scatter in [&[][..], &["--scatter"]] {
            let output = at("parallel.h5");
            ranks(*count, generate(&output, &[&size, scatter].concat())).ok();
            assert_eq!(digest(&output), digest(&serial), "{count} ranks {scatter:?}");
        }
    }
    alone(generate(&at("other.h5"), &["--documents", "40000", "--seed", "2"])).ok();
    assert_ne!(digest(&at("other.h5")), digest(&serial));
    let (reader, chunk) = read_corpus(&serial);
    assert_eq!((reader.header().documents, reader.header().terms), (40_000, 3000));
    let tokens: f64 = chunk.data.iter().map(|&count| f64::from(count)).sum();
    // The lengths' standard deviation is 120 sqrt(e^0.25 - 1) = 64: five standard errors of the mean are 1.6.
    assert!((tokens / 40_000.0 - 120.0).abs() < 1.6, "{tokens} tokens");
    let labels = reader.labels(0, 40_000).unwrap().unwrap();
    assert_eq!(labels.into_iter().collect::<std::collections::HashSet<_>>().len(), 12);
}

#[test]
fn impossible_corpora_are_usage_errors() {
    let folder = tempdir().unwrap();
    for count in if has_mpi() { vec![1, 3] } else { vec![1] } {
        for (option, value) in [("--documents", "0"), ("--mean-length", "nan"), ("--terms", "3"), ("--topics", "0")] {
            let output = folder.path().join("corpus.h5");
            let mut list = vec!["generate", "-o", text(&output)];
            list.extend([option, value]);
            ranks(count, list).failed(2, &[option]);
        }
        ranks(count, generate(folder.path(), &[])).failed(2, &["is a directory"]);
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

fn split<'a>(corpus: &'a Path, share: &'a str, parts: [&'a Path; 2]) -> Vec<&'a str> {
    vec!["split", "-q", text(corpus), "--test", share, "--train-out", text(parts[0]), "--test-out", text(parts[1])]
}

#[test]
fn both_parts_together_are_the_corpus() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (labelled, values) in [(true, Values::Counts), (false, Values::Weights("nfc".into()))] {
        let whole = documents(3000, 700, 9);
        write_corpus(&at("corpus.h5"), &whole, values.clone(), labelled);
        let parts = [at("train.h5"), at("test.h5")];
        alone(split(&at("corpus.h5"), "0.2", [&parts[0], &parts[1]])).ok();
        let mut seen = vec![false; 3000];
        for (part, expected) in parts.iter().zip([2400, 600]) {
            let (reader, chunk) = read_corpus(part);
            assert_eq!((reader.header().documents, &reader.header().values), (expected, &values));
            let ids = reader.ids(0, expected).unwrap();
            let places: Vec<usize> =
                ids.iter().map(|id| id.strip_prefix("document ").unwrap().parse().unwrap()).collect();
            assert!(places.is_sorted(), "documents stay in order");
            let labels = reader.labels(0, expected).unwrap();
            let mut classes: HashMap<String, u64> = HashMap::new();
            for (row, &place) in places.iter().enumerate() {
                assert!(!std::mem::replace(&mut seen[place], true), "document {place} is in both parts");
                assert_eq!(chunk.document(row), whole.document(place));
                if let Some(labels) = &labels {
                    assert_eq!(labels[row], format!("class {}", place % 3));
                    *classes.entry(labels[row].clone()).or_default() += 1;
                }
            }
            assert!(classes.values().all(|&count| count == expected / 3), "{classes:?}");
        }
        assert!(seen.iter().all(|&seen| seen));
        for count in if has_mpi() { &RANKS[..] } else { &[] } {
            let again = [at("train-again.h5"), at("test-again.h5")];
            ranks(*count, split(&at("corpus.h5"), "0.2", [&again[0], &again[1]])).ok();
            let same = |a: &Path, b: &Path| assert_eq!(digest(a), digest(b), "{count} ranks");
            same(&again[0], &parts[0]);
            same(&again[1], &parts[1]);
        }
    }
}

#[test]
fn splits_that_cannot_be_are_refused() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_corpus(&at("corpus.h5"), &documents(30, 50, 1), Values::Counts, true);
    let before = names(folder.path());
    for count in if has_mpi() { vec![1, 3] } else { vec![1] } {
        let parts = [at("train.h5"), at("test.h5")];
        for share in ["0", "1", "nan", "0.001"] {
            ranks(count, split(&at("corpus.h5"), share, [&parts[0], &parts[1]])).failed(2, &["--test"]);
        }
        let one = at("./train.h5");
        ranks(count, split(&at("corpus.h5"), "0.5", [&parts[0], &one])).failed(2, &["name the same file"]);
        let onto = split(&at("corpus.h5"), "0.5", [&parts[0], &at("corpus.h5")]).join("\n");
        ranks(count, onto.split('\n')).failed(2, &["is input and output at once"]);
        let nowhere = at("nowhere/test.h5");
        ranks(count, split(&at("corpus.h5"), "0.5", [&parts[0], &nowhere])).failed(1, &["nowhere does not exist"]);
        assert_eq!(names(folder.path()), before);
    }
}

/// What `info` says, by property.
fn info(path: &Path) -> HashMap<String, Value> {
    let printed = alone(["info", text(path), "--verify", "--format", "json"]).ok().stdout;
    let rows: Vec<HashMap<String, Value>> = serde_json::from_str(&printed).expect("JSON");
    rows.into_iter()
        .map(|mut row| (row["property"].as_str().unwrap().to_owned(), row.remove("value").unwrap()))
        .collect()
}

#[test]
fn info_says_what_is_in_every_kind_of_file() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let chunk = documents(330, 500, 2);
    write_corpus(&at("corpus.h5"), &chunk, Values::Counts, true);
    let said = info(&at("corpus.h5"));
    let tokens = chunk.data.iter().map(|&count| count as u64).sum::<u64>();
    let empty = (0..330).filter(|&row| chunk.document(row).0.is_empty()).count();
    for (property, value) in [
        ("format", Value::from("corpuscle-corpus")),
        ("format version", 1.into()),
        ("values", "counts".into()),
        ("documents", 330.into()),
        ("terms", 500.into()),
        ("nonzeros", chunk.nonzeros().into()),
        ("empty documents", empty.into()),
        ("tokens", tokens.into()),
        ("labels", 3.into()),
        ("dataset X/indptr", "331 i64".into()),
        ("provenance.made by", "a test".into()),
    ] {
        assert_eq!(said[property], value, "{property}");
    }
    let density = chunk.nonzeros() as f64 / (330.0 * 500.0);
    assert!((said["density"].as_f64().unwrap() / density - 1.0).abs() < 1e-3);
    write_model(&at("model.h5"), &model(90, 7, "nfc"));
    let said = info(&at("model.h5"));
    assert_eq!((&said["format"], &said["documents"]), (&"corpuscle-lsi".into(), &1000.into()));
    assert_eq!(said["dataset left_vectors"], "90 x 7 f32");
    if has_mpi() {
        let arguments = ["info", text(&at("model.h5")), "--format", "csv"].map(str::to_owned);
        assert_eq!(ranks(3, &arguments).ok().stdout, alone(&arguments).ok().stdout);
    }
}

/// A copy of a file with other bytes in place of `old`, which occur in it.
fn changed(path: &Path, name: &str, old: &[u8], new: &[u8]) -> std::path::PathBuf {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(old.len()).position(|window| window == old).expect("these bytes are in the file");
    bytes[at..at + new.len()].copy_from_slice(new);
    let copy = path.with_file_name(name);
    std::fs::write(&copy, bytes).unwrap();
    copy
}

/// A file of this format and version, sealed by nobody.
fn sealed_by_nobody(path: &Path, format: Option<&str>, version: u64) {
    let _writing = common::writing();
    let file = hdf5::File::create(path).unwrap();
    if let Some(format) = format {
        let format: hdf5::types::FixedUnicode<64> = format.parse().unwrap();
        file.new_attr::<hdf5::types::FixedUnicode<64>>().create("format").unwrap().write_scalar(&format).unwrap();
        file.new_attr::<u64>().create("format_version").unwrap().write_scalar(&version).unwrap();
    }
}

#[test]
fn damaged_foreign_and_newer_files_are_refused() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_corpus(&at("corpus.h5"), &documents(330, 500, 2), Values::Counts, true);
    write_model(&at("model.h5"), &model(90, 7, "nfc"));
    sealed_by_nobody(&at("foreign.h5"), None, 0);
    sealed_by_nobody(&at("newer.h5"), Some("corpuscle-corpus"), 999);
    sealed_by_nobody(&at("unsealed.h5"), Some("corpuscle-corpus"), 1);
    std::fs::write(at("text.h5"), "no HDF5").unwrap();
    let flipped = changed(&at("corpus.h5"), "flipped.h5", b"class 2", b"class 3");
    for count in if has_mpi() { vec![1, 3] } else { vec![1] } {
        for (path, says) in [
            (at("none.h5"), "none.h5: No such file"),
            (folder.path().to_path_buf(), "is a directory"),
            (at("text.h5"), "text.h5: not an HDF5 file"),
            (truncated(&at("corpus.h5")), "damaged, truncated or still being written"),
            (at("foreign.h5"), "an HDF5 file, but not one written by"),
            (at("newer.h5"), "format version 999 is newer"),
            (at("unsealed.h5"), "it has no checksum"),
            (flipped.clone(), "flipped.h5: "),
        ] {
            ranks(count, ["info", "--verify", text(&path)]).failed(1, &[says]);
            let parts = [at("train.h5"), at("test.h5")];
            ranks(count, split(&path, "0.5", [&parts[0], &parts[1]])).failed(1, &[says]);
        }
        let parts = [at("train.h5"), at("test.h5")];
        let wrong = split(&at("model.h5"), "0.5", [&parts[0], &parts[1]]).join("\n");
        ranks(count, wrong.split('\n')).failed(1, &["holds an LSI model where a corpus is wanted"]);
        assert!(!parts[0].exists() && !parts[1].exists());
        assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')), "{:?}", names(folder.path()));
    }
}
