//! `corpuscle transform --per-word-topics`: against a slow oracle and gensim, the same bytes for any ranks, what it refuses.

mod common;

use common::corpora::{dictionary, documents, read_corpus, write_corpus};
use common::{alone, digest, has_mpi, ranks, text};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::Values;
use corpuscle::lda::model::LdaModel;
use corpuscle::store::atomic::Target;
use corpuscle::store::file::Format;
use corpuscle::store::model::{ModelReader, ModelWriter};
use ndarray::Array2;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::tempdir;

/// For each document its terms, each with its topics and their phi.
type Found = Vec<Vec<(u32, Vec<(u32, f32)>)>>;

fn read(path: &Path) -> (Array2<f32>, Found) {
    let reader = ModelReader::open(path, Format::Vectors).expect("vectors");
    let group = reader.section("per_word_topics").expect("readable").expect("a group");
    let [indptr, topic_indptr] = ["indptr", "topic_indptr"].map(|name| group.list::<u64>(name).expect("pointers"));
    let [terms, topics] = ["terms", "topics"].map(|name| group.list::<u32>(name).expect("numbers"));
    let phi = group.list::<f32>("phi").expect("phi");
    let span = |pointers: &[u64], at: usize| pointers[at] as usize..pointers[at + 1] as usize;
    assert_eq!((indptr[0], topic_indptr[0]), (0, 0));
    assert_eq!((terms.len(), topics.len()), (*indptr.last().unwrap() as usize, phi.len()));
    assert_eq!((topic_indptr.len(), *topic_indptr.last().unwrap() as usize), (terms.len() + 1, topics.len()));
    let of_term = |at: usize| {
        let span = span(&topic_indptr, at);
        (terms[at], topics[span.clone()].iter().copied().zip(phi[span].iter().copied()).collect())
    };
    let found = (0..indptr.len() - 1).map(|document| span(&indptr, document).map(of_term).collect()).collect();
    (reader.table("vectors").expect("shares"), found)
}

#[test]
fn tokens_are_divided_as_a_slow_oracle_divides_them_for_any_ranks() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [corpus, model, plain] = ["corpus.h5", "model.h5", "plain.h5"].map(file);
    write_corpus(&corpus, &documents(2600, 400, 1), Values::Counts, true);
    alone(["lda", text(&corpus), "-k", "19", "-q", "-o", text(&model)]).ok();
    let topic_word = LdaModel::load(&model).unwrap().topic_word;
    let (_, chunk) = read_corpus(&corpus);
    alone(["transform", text(&model), text(&corpus), "-q", "-o", text(&plain)]).ok();
    let shares = ModelReader::open(&plain, Format::Vectors).unwrap().table::<f32>("vectors").unwrap();
    for (minimum, least) in [("0", 1e-8), ("0.01", 0.01), ("1.5", 1.5)] {
        let run = |count: usize, more: &[&str]| {
            let path = file(&format!("words-{count}.h5"));
            let arguments = ["transform", text(&model), text(&corpus), "--per-word-topics", "--minimum-phi", minimum];
            ranks(count, arguments.iter().chain(&["-q", "-o", text(&path)]).chain(more)).ok();
            path
        };
        let first = run(1, &["--threads", "2"]);
        let (vectors, found) = read(&first);
        assert_eq!((vectors.dim(), found.len()), ((2600, 19), 2600));
        assert_eq!(vectors, shares, "the shares are those without the topics of terms");
        for (document, found) in found.iter().enumerate() {
            let (terms, counts) = chunk.document(document);
            assert_eq!(found.iter().map(|(term, _)| *term).collect::<Vec<_>>(), terms);
            for ((term, found), &count) in found.iter().zip(counts) {
                let weight = |k: usize| f64::from(topic_word[[k, *term as usize]]) * f64::from(shares[[document, k]]);
                let factor = f64::from(count) / (0..19).map(weight).sum::<f64>();
                for &(topic, phi) in found {
                    let expected = factor * weight(topic as usize);
                    assert!((f64::from(phi) - expected).abs() < 1e-5 * f64::from(count), "{phi} is not {expected}");
                    assert!(phi >= least);
                }
                assert!(found.windows(2).all(|pair| (pair[0].1, pair[0].0) > (pair[1].1, pair[1].0)), "{found:?}");
                let left_out = (0..19).filter(|k| found.iter().all(|(topic, _)| *topic as usize != *k));
                left_out.for_each(|k| assert!(factor * weight(k) < f64::from(least) + 1e-5 * f64::from(count)));
            }
        }
        if minimum == "0.01" {
            let other = file("default.h5");
            alone(["transform", text(&model), text(&corpus), "--per-word-topics", "-q", "-o", text(&other)]).ok();
            assert_eq!(digest(&other), digest(&first), "0.01 is the default");
        }
        if has_mpi() {
            for (count, more) in [(2, &["--threads", "2"][..]), (3, &["--scatter"]), (5, &["--threads", "1"])] {
                assert_eq!(digest(&run(count, more)), digest(&first), "{count} ranks {more:?}");
            }
        }
    }
}

#[test]
fn phi_is_that_of_gensim() {
    let reference: Value = serde_json::from_str(include_str!("fixtures/per_word_topics.json")).expect("JSON");
    let folder = tempdir().unwrap();
    let [corpus, model, words] = ["corpus.h5", "model.h5", "words.h5"].map(|name| folder.path().join(name));
    let weights: Vec<Vec<f64>> = serde_json::from_value(reference["topic_word"].clone()).expect("a table");
    let alpha: Vec<f64> = serde_json::from_value(reference["alpha"].clone()).expect("numbers");
    let (topics, terms) = (weights.len(), weights[0].len());
    let mut writer = ModelWriter::create(Target::create(&model).unwrap(), Format::Lda).unwrap();
    let table = Array2::from_shape_fn((topics, terms), |(topic, term)| weights[topic][term] as f32);
    writer.table("topic_word", table.view()).unwrap();
    writer.list("alpha", &alpha).unwrap();
    writer.list("eta", &[0.01]).unwrap();
    writer.list("topic_tokens", &vec![1.0; topics]).unwrap();
    writer.strings("terms", dictionary(terms as u32)).unwrap();
    ["documents", "tokens", "updates"].iter().for_each(|name| writer.attribute(name, 1u64).unwrap());
    writer.attribute("values", "counts").unwrap();
    writer.finish(&json!({})).unwrap();
    let documents: Vec<Vec<(u32, f32)>> = serde_json::from_value(reference["documents"].clone()).expect("documents");
    let mut chunk = CsrChunk { terms: terms as u32, indptr: vec![0], ..CsrChunk::default() };
    for document in documents {
        chunk.indices.extend(document.iter().map(|entry| entry.0));
        chunk.data.extend(document.iter().map(|entry| entry.1));
        chunk.indptr.push(chunk.indices.len() as u64);
    }
    write_corpus(&corpus, &chunk, Values::Counts, false);
    let minimum = reference["minimum_phi"].to_string();
    let arguments = ["transform", text(&model), text(&corpus), "--per-word-topics", "--minimum-phi", &minimum];
    alone(arguments.iter().chain(&["-q", "-o", text(&words)])).ok();
    let (vectors, found) = read(&words);
    let answers = reference["answers"].as_array().expect("answers");
    assert_eq!(answers.len(), found.len());
    for (document, (answer, found)) in answers.iter().zip(&found).enumerate() {
        let shares: Vec<f64> = serde_json::from_value(answer["shares"].clone()).expect("numbers");
        for (found, expected) in vectors.row(document).iter().zip(shares) {
            assert!((f64::from(*found) - expected).abs() < 5e-4, "{found} is not {expected}");
        }
        let order: Vec<(u32, Vec<u32>)> = serde_json::from_value(answer["topics"].clone()).expect("topics");
        let topics_of = |(term, topics): &(u32, Vec<(u32, f32)>)| (*term, topics.iter().map(|pair| pair.0).collect());
        assert_eq!(found.iter().map(topics_of).collect::<Vec<(u32, Vec<u32>)>>(), order);
        let phi: Vec<(u32, Vec<(u32, f64)>)> = serde_json::from_value(answer["phi"].clone()).expect("phi");
        for ((_, found), (_, expected)) in found.iter().zip(phi) {
            for &(topic, phi) in found {
                let expected = expected.iter().find(|pair| pair.0 == topic).expect("the topic").1;
                assert!((f64::from(phi) / expected - 1.0).abs() < 5e-3, "{phi} is not {expected}");
            }
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempdir().unwrap();
    let [corpus, lda, lsi, out] = ["corpus.h5", "lda.h5", "lsi.h5", "out.h5"].map(|name| folder.path().join(name));
    write_corpus(&corpus, &documents(60, 40, 1), Values::Counts, false);
    alone(["lda", text(&corpus), "-k", "3", "-q", "-o", text(&lda)]).ok();
    alone(["lsi", text(&corpus), "-k", "3", "-q", "-o", text(&lsi)]).ok();
    let refused = |model: &Path, more: &[&str], words: &[&str]| {
        alone(["transform", text(model), text(&corpus), "-o", text(&out)].iter().chain(more)).failed(2, words);
        assert!(!out.exists());
    };
    refused(&lsi, &["--per-word-topics"], &["--per-word-topics", "an LDA model"]);
    refused(&lda, &["--minimum-phi", "0.1"], &["--minimum-phi", "--per-word-topics"]);
    for value in ["--minimum-phi=-1", "--minimum-phi=NaN", "--minimum-phi=inf"] {
        refused(&lda, &["--per-word-topics", value], &["--minimum-phi", "a number of tokens"]);
    }
}
