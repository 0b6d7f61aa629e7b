//! `corpuscle tfidf`: the numbers, the same bytes for any ranks, and what it refuses.

mod common;

use common::corpora::{dictionary, documents, read_corpus, write_corpus};
use common::{PROGRAM, alone, assert_all_gone, digest, has_mpi, names, ranks, start, text, truncated};
use corpuscle::corpus::container::Values;
use corpuscle::weight::saved::SavedModel;
use corpuscle::weight::smart::SmartCode;
use corpuscle::weight::tfidf::{Pivoting, TfidfModel, TrainingStatistics, term_characters};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::tempdir;

#[test]
fn the_default_is_tf_times_log_idf_over_the_euclidean_norm() {
    let folder = tempdir().unwrap();
    let [counts, weights] = ["counts.h5", "weights.h5"].map(|name| folder.path().join(name));
    let chunk = documents(500, 300, 1);
    write_corpus(&counts, &chunk, Values::Counts, true);
    alone(["tfidf", text(&counts), "-o", text(&weights)]).ok();

    let mut frequency = vec![0u32; 300];
    chunk.indices.iter().for_each(|&term| frequency[term as usize] += 1);
    let (reader, weighted) = read_corpus(&weights);
    for row in 0..500 {
        let (terms, counts) = chunk.document(row);
        let weigh =
            |(&term, &count): (&u32, &f32)| f64::from(count) * (500.0 / f64::from(frequency[term as usize])).log2();
        let expected: Vec<f64> = terms.iter().zip(counts).map(weigh).collect();
        let norm = expected.iter().map(|w| w * w).sum::<f64>().sqrt();
        let (kept, values) = weighted.document(row);
        assert_eq!(kept, terms, "document {row}");
        for (value, expected) in values.iter().zip(expected) {
            // One rounding to f32.
            assert!((f64::from(*value) - expected / norm).abs() <= 1e-7 * expected / norm, "document {row}");
        }
    }
    let (input, _) = read_corpus(&counts);
    assert_eq!(reader.header().values, Values::Weights("nfc".into()));
    assert_eq!(reader.terms(), input.terms());
    assert_eq!(reader.ids(0, 500), input.ids(0, 500));
    assert_eq!(reader.labels(0, 500), input.labels(0, 500));
    let provenance = reader.file().provenance().expect("provenance");
    assert_eq!(provenance["parameters"]["smart"], "nfc");
    assert_eq!(provenance["inputs"]["corpus"]["checksum"], input.header().checksum.as_str());
    reader.verify().expect("an intact file");
}

#[test]
fn codes_and_pivots_take_effect() {
    let folder = tempdir().unwrap();
    let [counts, weights] = ["counts.h5", "weights.h5"].map(|name| folder.path().join(name));
    let chunk = documents(200, 80, 2);
    write_corpus(&counts, &chunk, Values::Counts, false);
    let (input, _) = read_corpus(&counts);
    let statistics = TrainingStatistics {
        documents: 200,
        document_frequency: input.document_frequency().expect("frequencies"),
        collection_frequency: Some(input.collection_frequency().expect("frequencies")),
        term_characters: Some(term_characters(&dictionary(80))),
    };
    let cases: [(&str, Option<f64>, f64); 4] =
        [("lpb", None, 0.25), ("Ltu", None, 0.5), ("afn", None, 0.25), ("dtc", Some(3.5), 0.1)];
    for (code, pivot, slope) in cases {
        let mut arguments = vec!["tfidf".into(), text(&counts).into(), "-o".into(), text(&weights).into()];
        arguments.extend([format!("--smart={code}"), format!("--slope={slope}")]);
        arguments.extend(pivot.map(|pivot| format!("--pivot={pivot}")));
        alone(arguments).ok();
        let model =
            TfidfModel::fit(SmartCode::parse(code).unwrap(), statistics.clone(), Pivoting { pivot, slope }).unwrap();
        let (reader, weighted) = read_corpus(&weights);
        assert_eq!(weighted, model.apply(&chunk).unwrap(), "{code}");
        assert_eq!(reader.header().values, Values::Weights(code.into()));
    }
}

#[test]
fn a_saved_model_weights_other_documents() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (train, new, model) = (file("train.h5"), file("new.h5"), file("model.h5"));
    write_corpus(&train, &documents(300, 120, 3), Values::Counts, false);
    // Both halves of the new documents: the idf must not come from them.
    let other = documents(90, 120, 4);
    write_corpus(&new, &other, Values::Counts, true);
    let [one, two, three] = ["one.h5", "two.h5", "three.h5"].map(file);
    alone(["tfidf", text(&train), "-o", text(&one), "--smart", "ltu", "--model-out", text(&model)]).ok();
    alone(["tfidf", text(&train), "-o", text(&two), "--model", text(&model)]).ok();
    alone(["tfidf", text(&new), "-o", text(&three), "--model", text(&model)]).ok();
    assert_eq!(read_corpus(&one).1, read_corpus(&two).1);

    let (training, _) = read_corpus(&train);
    let statistics = TrainingStatistics {
        documents: 300,
        document_frequency: training.document_frequency().expect("frequencies"),
        ..TrainingStatistics::default()
    };
    let fitted = TfidfModel::fit(SmartCode::parse("ltu").unwrap(), statistics, Pivoting::default()).unwrap();
    let (reader, weighted) = read_corpus(&three);
    assert_eq!(weighted, fitted.apply(&other).unwrap());
    assert!(reader.header().labelled);
    assert!(reader.file().provenance().expect("provenance")["inputs"]["model"]["checksum"].is_string());
}

#[test]
fn models_of_all_schemes_weight_other_documents() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [train, new, one, two, model] = ["train.h5", "new.h5", "one.h5", "two.h5", "model.h5"].map(file);
    write_corpus(&train, &documents(300, 120, 3), Values::Counts, false);
    let other = documents(90, 120, 4);
    write_corpus(&new, &other, Values::Counts, true);
    let schemes: [(&[&str], &str); 5] = [
        (&["log-entropy"], "log-entropy"),
        (&["log-entropy", "--no-normalize"], "log-entropy-raw"),
        (&["bm25-okapi", "--k1", "1.2", "--epsilon", "0.5"], "bm25-okapi"),
        (&["bm25-lucene", "--b", "0.3"], "bm25-lucene"),
        (&["bm25-atire"], "bm25-atire"),
    ];
    for (scheme, code) in schemes {
        let fit = ["tfidf", text(&train), "-o", text(&one), "--model-out", text(&model), "--scheme"];
        alone(fit.iter().chain(scheme)).ok();
        alone(["tfidf", text(&train), "-o", text(&two), "--model", text(&model)]).ok();
        assert_eq!(read_corpus(&one).1, read_corpus(&two).1, "{scheme:?}");
        alone(["tfidf", text(&new), "-o", text(&two), "--model", text(&model)]).ok();
        let (reader, weighted) = read_corpus(&two);
        let (SavedModel { model, .. }, _) = SavedModel::load(&model).unwrap();
        assert_eq!(weighted, model.apply(&other).unwrap());
        assert_eq!(reader.header().values, Values::Weights(code.into()));
        let parameters = &reader.file().provenance().expect("provenance")["parameters"];
        let mut expected = model.parameters();
        expected["weights"] = model.fingerprint().into();
        assert_eq!(parameters, &expected);
    }
}

#[test]
fn the_same_bytes_for_any_ranks_threads_and_ways_to_the_corpus() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let counts = file("counts.h5");
    write_corpus(&counts, &documents(9000, 3000, 5), Values::Counts, true);
    let (reader, _) = read_corpus(&counts);
    assert!(reader.chunks().len() >= 5, "too few chunks for five ranks: {}", reader.chunks().len());
    let (weights, model) = (file("weights.h5"), file("model.h5"));
    for scheme in [&["--smart", "Ltb"][..], &["--scheme", "log-entropy"], &["--scheme", "bm25-okapi"]] {
        same_bytes(&counts, &weights, &model, scheme);
    }
    assert_eq!(names(folder.path()), ["counts.h5", "model.h5", "weights.h5", "weights.h5.run.json"]);
}

/// Weights a corpus in all ways.
fn same_bytes(counts: &Path, weights: &Path, model: &Path, scheme: &[&str]) {
    let arguments = [&["tfidf", text(counts), "-o", text(weights), "--model-out", text(model)], scheme].concat();
    let digests = || [digest(weights), digest(model)];
    alone(&arguments).ok();
    let expected = digests();
    for threads in ["1", "2"] {
        alone(arguments.iter().chain(&["--threads", threads])).ok();
        assert_eq!(digests(), expected, "{threads} threads");
    }
    // With next to no memory no chunk is kept.
    alone(arguments.iter().chain(&["--memory", "1K"])).ok();
    assert_eq!(digests(), expected, "little memory");
    if !has_mpi() {
        return;
    }
    for count in [2, 3, 5] {
        for scatter in [None, Some("--scatter")] {
            fs::remove_file(weights).expect("removed");
            ranks(count, arguments.iter().copied().chain(scatter)).ok();
            assert_eq!(digests(), expected, "{scheme:?}: {count} ranks {scatter:?}");
        }
    }
}

#[test]
fn bad_input_is_named_and_leaves_nothing_behind() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (counts, other, weighted, model) = (file("counts.h5"), file("other.h5"), file("weighted.h5"), file("model.h5"));
    write_corpus(&counts, &documents(40, 30, 6), Values::Counts, false);
    write_corpus(&other, &documents(40, 31, 6), Values::Counts, false);
    alone(["tfidf", text(&counts), "-o", text(&weighted), "--model-out", text(&model), "-q"]).ok();
    fs::remove_file(file("weighted.h5.run.json")).expect("removed");
    let cut = truncated(&counts);
    let junk = file("junk.h5");
    fs::write(&junk, [7; 3000]).expect("written");
    let [out, missing, homeless] = ["out.h5", "missing.h5", "no/such/out.h5"].map(file);
    let before = names(folder.path());

    let [counts, other, weighted, model] = [&counts, &other, &weighted, &model].map(|path| text(path));
    let [cut, junk, out, missing, homeless] = [&cut, &junk, &out, &missing, &homeless].map(|path| text(path));
    let into = |corpus, more: &[&'static str]| [&["tfidf", corpus, "-o", out], more].concat();
    type Case<'a> = (Vec<&'a str>, i32, &'a [&'a str]);
    let cases: [Case; 18] = [
        (into(missing, &[]), 1, &["missing.h5"]),
        (into(junk, &[]), 1, &["junk.h5"]),
        (into(cut, &[]), 1, &["counts.cut"]),
        (into(model, &[]), 1, &["model.h5: holds a tf-idf model where a corpus is wanted"]),
        (into(weighted, &[]), 1, &["weighted.h5: is weighted already (nfc)"]),
        (into(text(folder.path()), &[]), 1, &[text(folder.path())]),
        (vec!["tfidf", other, "-o", out, "--model", model], 1, &["other.h5", "model.h5", "31 terms and not 30"]),
        (vec!["tfidf", counts, "-o", out, "--model", counts], 1, &["counts.h5: holds a corpus where a tf-idf model"]),
        (vec!["tfidf", counts, "-o", homeless], 1, &["no/such/out.h5", "does not exist"]),
        (vec!["tfidf", counts, "-o", text(folder.path())], 2, &["is a directory"]),
        (into(counts, &["--smart", "nzc"]), 2, &["nzc", "f, t, p"]),
        (into(counts, &["--slope", "1.5"]), 2, &["slope 1.5"]),
        (into(counts, &["--pivot", "-1"]), 2, &["pivot -1"]),
        (into(counts, &["--scheme", "bm25-okapi", "--k1", "-1"]), 2, &["k1 -1"]),
        (into(counts, &["--scheme", "bm25-lucene", "--b", "1.5"]), 2, &["b 1.5"]),
        (
            into(counts, &["--scheme", "bm25-lucene", "--epsilon", "0.1"]),
            2,
            &["--epsilon is an option of --scheme bm25-okapi, not of bm25-lucene"],
        ),
        (
            into(counts, &["--scheme", "log-entropy", "--smart", "nfc"]),
            2,
            &["--smart is an option of --scheme tfidf, not of log-entropy"],
        ),
        (vec!["tfidf", counts, "-o", out, "--model-out", out], 2, &["out.h5", "one file"]),
    ];
    for (arguments, code, words) in &cases {
        alone(arguments).failed(*code, words);
        assert_eq!(names(folder.path()), before, "{arguments:?}");
    }
    if !has_mpi() {
        return;
    }
    for (arguments, code, words) in &cases {
        let finished = ranks(3, arguments);
        finished.failed(*code, words);
        assert_eq!(names(folder.path()), before, "{arguments:?}");
        assert_all_gone(folder.path());
    }
}

#[test]
fn a_damaged_chunk_ends_every_rank() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (counts, out) = (file("counts.h5"), file("out.h5"));
    let chunk = documents(9000, 3000, 7);
    write_corpus(&counts, &chunk, Values::Counts, false);
    // Somewhere in the terms of the last chunk: the seal at the end of the file, proved first, does not see it.
    let mut bytes = fs::read(&counts).expect("readable");
    let last: Vec<u8> = chunk.indices[chunk.nonzeros() - 30..].iter().flat_map(|term| term.to_le_bytes()).collect();
    let at = bytes.windows(last.len()).position(|window| window == last).expect("terms as they lie in memory");
    bytes[at + 3] = 0x7f;
    fs::write(&counts, bytes).expect("written");
    let arguments = ["tfidf", text(&counts), "-o", text(&out)];
    alone(arguments).failed(1, &["counts.h5"]);
    assert_eq!(names(folder.path()), ["counts.h5"]);
    if !has_mpi() {
        return;
    }
    for scatter in [None, Some("--scatter")] {
        let finished = ranks(3, arguments.into_iter().chain(scatter));
        finished.failed_on_workers(1, &["counts.h5"]);
        assert_eq!(names(folder.path()), ["counts.h5"]);
        assert_all_gone(folder.path());
    }
}

#[test]
fn a_run_that_is_told_to_end_leaves_nothing_behind() {
    let folder = tempdir().unwrap();
    let (counts, out) = (folder.path().join("counts.h5"), folder.path().join("out.h5"));
    write_corpus(&counts, &documents(200_000, 3000, 8), Values::Counts, false);
    let mut child = start(Command::new(PROGRAM).args(["tfidf", text(&counts), "-o", text(&out)]));
    let begun = Instant::now();
    while names(folder.path()).len() < 2 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(names(folder.path()).len(), 2, "a temporary file while it works");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill").success());
    let status = child.wait().expect("an end");
    assert_eq!((status.code(), status.signal()), (None, Some(15)));
    assert_eq!(names(folder.path()), ["counts.h5"]);
}
