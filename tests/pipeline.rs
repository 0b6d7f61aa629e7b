//! The main job through the binary, on the sample corpus: raw text -> corpus -> tf-idf -> LSI -> vectors. The figures are
//! gensim's and numpy's (tests/fixtures/make_reference.py); the bytes are the same in every way to run it.

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};

use common::{alone, assert_all_gone, digest, has_mpi, names, ranks, text};
use corpuscle::corpus::container::CorpusReader;
use corpuscle::lsi::model::LsiModel;
use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/sample.jsonl");

fn reference(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_reader(File::open(path).unwrap()).unwrap()
}

/// Runs the steps on this many ranks; the results in order.
fn job(folder: &Path, count: usize, options: &[&str], k: &str) -> Vec<PathBuf> {
    let path = |name: &str| folder.join(name);
    let results = ["corpus.h5", "tfidf.h5", "weights.h5", "lsi.h5", "vectors.h5"].map(path);
    let [corpus, tfidf, weights, lsi, vectors] = results.each_ref().map(|path| text(path));
    let steps: [&[&str]; 4] = [
        &["build", SAMPLE, "--id-field", "id", "--label-field", "label", "--no-below", "2", "-o", corpus],
        &["tfidf", corpus, "--model-out", weights, "-o", tfidf],
        &["lsi", tfidf, "-k", k, "-o", lsi],
        &["transform", lsi, tfidf, "-o", vectors],
    ];
    for step in steps {
        ranks(count, step.iter().chain(options)).ok();
    }
    results.into()
}

fn digests(folder: &Path, count: usize, options: &[&str]) -> Vec<String> {
    job(folder, count, options, "30").iter().map(|path| digest(path)).collect()
}

#[test]
fn the_same_bytes_however_it_is_run() {
    let first = tempfile::tempdir().unwrap();
    let expected = digests(first.path(), 1, &["--threads", "1"]);
    let mut ways: Vec<(usize, &[&str])> = vec![(1, &["--threads", "2"]), (1, &["--memory", "0"])];
    if has_mpi() {
        ways.extend([2, 3, 5, 7].map(|count| (count, &["--threads", "1"][..])));
        ways.extend([3, 7].map(|count| (count, &["--threads", "2", "--scatter"][..])));
        ways.push((2, &["--scatter", "--memory", "0"]));
    }
    for (count, options) in ways {
        let folder = tempfile::tempdir().unwrap();
        assert!(digests(folder.path(), count, options) == expected, "{count} ranks, {options:?}");
    }
}

#[test]
fn the_dictionary_is_gensims() {
    let reference = reference("dictionary_reference.json");
    for case in reference["dictionaries"].as_array().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = folder.path().join("corpus.h5");
        let filter = &case["filter"];
        let [below, above, most] = ["no_below", "no_above", "keep_n"].map(|name| filter[name].to_string());
        let options = ["--no-below", &below, "--no-above", &above, "--keep-n", &most, "-o", text(&corpus)];
        alone(["build", SAMPLE].iter().chain(&options)).ok();
        let reader = CorpusReader::open(&corpus).unwrap();
        let numbers = |name: &str| -> Vec<u64> { serde_json::from_value(case[name].clone()).unwrap() };
        let terms: Vec<String> = serde_json::from_value(case["terms"].clone()).unwrap();
        assert_eq!(reader.terms().unwrap(), terms);
        assert_eq!(reader.document_frequency().unwrap(), numbers("document_frequency"));
        assert_eq!(reader.collection_frequency().unwrap(), numbers("collection_frequency"));
    }
}

#[test]
fn weights_are_gensims_for_every_code() {
    let reference = reference("tfidf_reference.json");
    let folder = tempfile::tempdir().unwrap();
    let corpus = folder.path().join("corpus.h5");
    alone(["build", SAMPLE, "--no-below", "2", "-o", text(&corpus)]).ok();
    let codes = reference["weights"].as_object().unwrap();
    assert_eq!(codes.len(), 96);
    for (code, documents) in codes {
        let weighted = folder.path().join(format!("{code}.h5"));
        alone(["tfidf", text(&corpus), "--smart", code, "-q", "-o", text(&weighted)]).ok();
        let documents = documents.as_array().unwrap();
        let chunk = CorpusReader::open(&weighted).unwrap().read_documents(0, documents.len() as u64).unwrap();
        for (row, expected) in documents.iter().enumerate() {
            let terms = reference["terms"][row].as_array().unwrap();
            // An entry that gensim drops is null.
            let expected = terms
                .iter()
                .zip(expected.as_array().unwrap())
                .filter_map(|(term, weight)| Some((term.as_u64()?, weight.as_f64()?)));
            let (terms, weights) = chunk.document(row);
            let expected: Vec<(u64, f64)> = expected.collect();
            assert_eq!(terms.len(), expected.len(), "{code}, document {row}");
            for ((term, weight), (expected_term, expected)) in terms.iter().zip(weights).zip(expected) {
                assert_eq!(u64::from(*term), expected_term);
                assert!((f64::from(*weight) / expected - 1.0).abs() < 1e-6, "{code}: {weight} for {expected}");
            }
        }
    }
}

#[test]
fn singular_values_are_numpys() {
    let reference = reference("svd_reference.json");
    let expected: Vec<f64> = serde_json::from_value(reference["singular_values"].clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let results = job(folder.path(), 1, &[], &expected.len().to_string());
    let model = LsiModel::load(&results[3]).unwrap();
    assert_eq!(model.singular_values.len(), expected.len());
    for (found, expected) in model.singular_values.iter().zip(&expected) {
        // The promise at default settings.
        assert!((found / expected - 1.0).abs() < 1e-4, "{found} for {expected}");
    }
    let norm = reference["frobenius_norm"].as_f64().unwrap();
    // Weights are f32 in the file: a relative 6e-8 each.
    assert!((model.frobenius_squared.sqrt() / norm - 1.0).abs() < 1e-7);
}

#[test]
fn bad_requests_to_lsi_are_one_line_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let corpus = path("corpus.h5");
    alone(["build", SAMPLE, "--no-below", "2", "-q", "-o", text(&corpus)]).ok();
    std::fs::write(path("junk.h5"), b"\x00\x01not a corpus").unwrap();
    std::fs::write(path("empty.h5"), b"").unwrap();
    let bytes = std::fs::read(&corpus).unwrap();
    std::fs::write(path("short.h5"), &bytes[..bytes.len() / 2]).unwrap();
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(path("damaged.h5"), &damaged).unwrap();
    let before = names(folder.path());
    let model = path("lsi.h5");
    let missing = path("no/such/folder/lsi.h5");
    let [model, missing] = [&model, &missing].map(|path| text(path));
    let inputs = ["corpus.h5", "junk.h5", "empty.h5", "short.h5", "damaged.h5", "none.h5"].map(path);
    let [corpus, junk, empty, short, damaged, none] = inputs.each_ref().map(|path| text(path));
    let cases: [(i32, &str, &[&str]); 11] = [
        (2, "-k 121", &["lsi", corpus, "-k", "121", "-o", model]),
        (2, "-k 0", &["lsi", corpus, "-k", "0", "-o", model]),
        (2, "--tolerance 2", &["lsi", corpus, "-k", "5", "--tolerance", "2", "-o", model]),
        (2, "--rounds 1", &["lsi", corpus, "-k", "50", "--rounds", "1", "-o", model]),
        (1, "junk.h5", &["lsi", junk, "-k", "5", "-o", model]),
        (1, "empty.h5", &["lsi", empty, "-k", "5", "-o", model]),
        (1, "short.h5", &["lsi", short, "-k", "5", "-o", model]),
        (1, "damaged.h5", &["lsi", damaged, "-k", "5", "-o", model]),
        (1, "none.h5", &["lsi", none, "-k", "5", "-o", model]),
        (1, "no/such/folder", &["lsi", corpus, "-k", "5", "-o", missing]),
        (2, "--no-such-option", &["lsi", corpus, "--no-such-option", "-o", model]),
    ];
    for count in [1, 3] {
        if count > 1 && !has_mpi() {
            break;
        }
        for (code, words, arguments) in &cases {
            let run = ranks(count, *arguments);
            assert!(run.elapsed.as_secs() < 20, "{arguments:?} took {:?}", run.elapsed);
            run.failed(*code, &[words]);
            assert_all_gone(folder.path());
            assert_eq!(names(folder.path()), before, "{arguments:?} left something behind");
        }
    }
}
