//! `corpuscle transform`: the numbers, the same bytes for any ranks, and what it refuses.

mod common;

use common::corpora::{documents, model, read_corpus, write_corpus, write_model};
use common::{alone, assert_all_gone, digest, has_mpi, names, ranks, text, truncated};
use corpuscle::corpus::container::Values;
use corpuscle::store::file::Format;
use corpuscle::store::model::ModelReader;
use std::fs;
use tempfile::tempdir;

#[test]
fn vectors_are_the_products_with_the_left_vectors() {
    let folder = tempdir().unwrap();
    let [corpus, saved, out] = ["corpus.h5", "model.h5", "out.h5"].map(|name| folder.path().join(name));
    let chunk = documents(600, 150, 1);
    write_corpus(&corpus, &chunk, Values::Counts, true);
    let model = model(150, 21, "counts");
    write_model(&saved, &model);
    for scaled in [false, true] {
        let more = scaled.then_some("--scaled");
        alone(["transform", text(&saved), text(&corpus), "-o", text(&out)].into_iter().chain(more)).ok();
        let reader = ModelReader::open(&out, Format::Vectors).expect("vectors");
        let vectors = reader.table::<f32>("vectors").expect("a table");
        assert_eq!(vectors.dim(), (600, 21));
        for ((row, topic), &value) in vectors.indexed_iter() {
            let (terms, counts) = chunk.document(row);
            let products = terms
                .iter()
                .zip(counts)
                .map(|(&t, &x)| f64::from(x) * f64::from(model.left_vectors[[t as usize, topic]]));
            let divisor = if scaled { model.singular_values[topic] } else { 1.0 };
            // At most 90 additions in f32 of numbers that add up to less than 200 in magnitude.
            let expected = products.clone().sum::<f64>() / divisor;
            let tolerance = (90.0 * 6e-8 * products.map(f64::abs).sum::<f64>() + 1e-12) / divisor;
            assert!((f64::from(value) - expected).abs() <= tolerance, "[{row}, {topic}]: {value} is not {expected}");
        }
        let (input, _) = read_corpus(&corpus);
        assert_eq!(reader.all_strings("ids"), input.ids(0, 600));
        assert_eq!(reader.all_strings("labels").map(Some), input.labels(0, 600));
        let provenance = reader.file().provenance().expect("provenance");
        assert_eq!(provenance["parameters"]["scaled"], scaled);
        assert_eq!(provenance["inputs"]["corpus"]["checksum"], input.header().checksum.as_str());
    }
}

#[test]
fn the_same_bytes_for_any_ranks_threads_and_ways_to_the_corpus() {
    let folder = tempdir().unwrap();
    let [corpus, saved, out] = ["corpus.h5", "model.h5", "out.h5"].map(|name| folder.path().join(name));
    write_corpus(&corpus, &documents(9000, 3000, 2), Values::Weights("nfc".into()), false);
    write_model(&saved, &model(3000, 20, "nfc"));
    assert!(read_corpus(&corpus).0.chunks().len() >= 5);
    let arguments = ["transform", text(&saved), text(&corpus), "-o", text(&out), "--scaled"];
    alone(arguments).ok();
    let expected = digest(&out);
    for threads in ["1", "2"] {
        alone(arguments.iter().chain(&["--threads", threads, "--memory", "1K"])).ok();
        assert_eq!(digest(&out), expected, "{threads} threads");
    }
    if !has_mpi() {
        return;
    }
    for count in [2, 3, 5] {
        for more in [&[][..], &["--scatter", "--threads", "2"]] {
            fs::remove_file(&out).expect("removed");
            let finished = ranks(count, arguments.iter().chain(more));
            finished.ok();
            assert_eq!(digest(&out), expected, "{count} ranks {more:?}");
        }
    }
    assert_eq!(names(folder.path()), ["corpus.h5", "model.h5", "out.h5", "out.h5.run.json"]);
}

#[test]
fn what_does_not_fit_is_named_and_leaves_nothing_behind() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (counts, weights, other) = (file("counts.h5"), file("weights.h5"), file("other.h5"));
    write_corpus(&counts, &documents(40, 30, 3), Values::Counts, false);
    write_corpus(&weights, &documents(40, 30, 3), Values::Weights("lfc".into()), false);
    write_corpus(&other, &documents(40, 29, 3), Values::Counts, false);
    let [of_counts, of_weights, flat, odd] = ["of-counts.h5", "of-weights.h5", "flat.h5", "odd.h5"].map(file);
    write_model(&of_counts, &model(30, 5, "counts"));
    write_model(&of_weights, &model(30, 5, "nfc"));
    let mut broken = model(30, 5, "counts");
    broken.singular_values[4] = 0.0;
    write_model(&flat, &broken);
    broken.singular_values.pop();
    write_model(&odd, &broken);
    let cut = truncated(&of_counts);
    let [out, homeless] = ["out.h5", "no/such/out.h5"].map(file);
    let before = names(folder.path());

    let [counts, weights, other, out] = [&counts, &weights, &other, &out].map(|path| text(path));
    let [of_counts, of_weights, flat, odd, cut, homeless] =
        [&of_counts, &of_weights, &flat, &odd, &cut, &homeless].map(|path| text(path));
    type Case<'a> = (&'a str, &'a str, &'a str, i32, &'a [&'a str]);
    let cases: [Case; 9] = [
        (of_weights, counts, out, 1, &["counts.h5: holds counts", "of-weights.h5", "tfidf --model"]),
        (of_counts, weights, out, 1, &["weights.h5: holds lfc weights", "of-counts.h5", "corpus of counts"]),
        (of_weights, weights, out, 1, &["weights.h5: holds lfc weights", "nfc weights"]),
        (of_counts, other, out, 1, &["other.h5", "of-counts.h5", "29 terms and not 30"]),
        (counts, counts, out, 1, &["counts.h5: holds a corpus where an LSI model or an LDA model or an NMF model or"]),
        (flat, counts, out, 1, &["flat.h5", "topic 4 is 0", "--scaled"]),
        (odd, counts, out, 1, &["odd.h5: damaged model"]),
        (cut, counts, out, 1, &["of-counts.cut"]),
        (of_counts, counts, homeless, 1, &["no/such/out.h5", "does not exist"]),
    ];
    for (model, corpus, target, code, words) in cases {
        let arguments = ["transform", model, corpus, "-o", target, "--scaled"];
        alone(arguments).failed(code, words);
        assert_eq!(names(folder.path()), before, "{arguments:?}");
    }
    if !has_mpi() {
        return;
    }
    for (model, corpus, target, code, words) in cases {
        let arguments = ["transform", model, corpus, "-o", target, "--scaled"];
        let finished = ranks(3, arguments);
        finished.failed(code, words);
        assert_eq!(names(folder.path()), before, "{arguments:?}");
        assert_all_gone(folder.path());
    }
}
