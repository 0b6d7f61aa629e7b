//! `corpuscle generate`, `split` and `info` with models, weights, and what they refuse over ranks. What they do with corpora
//! of counts is in `convert.rs`.

mod common;

use std::collections::HashMap;
use std::path::Path;

use common::corpora::{documents, model, read_corpus, write_corpus, write_model};
use common::{alone, has_mpi, names, ranks, text, truncated};
use corpuscle::corpus::container::Values;
use serde_json::Value;
use tempfile::tempdir;

fn generate<'a>(output: &'a Path, options: &[&'a str]) -> Vec<&'a str> {
    let mut list = vec!["generate", "-q", "--terms", "3000", "--topics", "12", "--mean-length", "120"];
    list.extend(["-o", text(output)]);
    list.extend(options);
    list
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
fn weights_without_labels_are_split_too() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = documents(3000, 700, 9);
    let nfc = Values::Weights("nfc".into());
    write_corpus(&at("corpus.h5"), &whole, nfc.clone(), false);
    let parts = [at("train.h5"), at("test.h5")];
    alone(split(&at("corpus.h5"), "0.2", [&parts[0], &parts[1]])).ok();
    let mut rows: Vec<Option<(Vec<u32>, Vec<f32>)>> = vec![None; 3000];
    for (part, expected) in parts.iter().zip([2400, 600]) {
        let (reader, chunk) = read_corpus(part);
        let header = reader.header();
        assert_eq!((header.documents, &header.values, header.labelled), (expected, &nfc, false));
        for (row, id) in reader.ids(0, expected).unwrap().iter().enumerate() {
            let place: usize = id.strip_prefix("document ").unwrap().parse().unwrap();
            let (terms, values) = chunk.document(row);
            assert!(rows[place].replace((terms.into(), values.into())).is_none(), "{id} is in both parts");
        }
    }
    for (place, row) in rows.into_iter().enumerate() {
        let (terms, values) = whole.document(place);
        assert_eq!(row, Some((terms.into(), values.into())), "document {place}");
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
fn info_says_what_is_in_a_model() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.h5");
    write_model(&path, &model(90, 7, "nfc"));
    let said = info(&path);
    for (property, value) in [
        ("format", Value::from("corpuscle-lsi")),
        ("format version", 1.into()),
        ("documents", 1000.into()),
        ("frobenius_squared", 5000.0.into()),
        ("values", "nfc".into()),
        ("dataset left_vectors", "90 x 7 f32".into()),
        ("dataset terms", "90 string".into()),
        ("provenance.made by", "a test".into()),
    ] {
        assert_eq!(said[property], value, "{property}");
    }
    if has_mpi() {
        let arguments = ["info", text(&path), "--format", "csv"];
        assert_eq!(ranks(3, arguments).ok().stdout, alone(arguments).ok().stdout);
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
fn split_reads_no_damaged_foreign_or_newer_file() {
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
