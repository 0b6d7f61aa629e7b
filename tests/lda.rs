//! LDA: the same bytes for any ranks, what it finds in corpora whose topics are known, and its measures against oracles.

mod common;

use common::corpora::{dictionary, documents, read_corpus, write_corpus};
use common::{alone, assert_all_gone, digest, has_mpi, names, ranks, text};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::Values;
use corpuscle::lda::coherence::Pairs;
use corpuscle::lda::completion::first_half;
use corpuscle::lda::difference::{Distance, differences};
use corpuscle::lda::model::{History, LdaModel};
use corpuscle::random::Stream;
use corpuscle::store::file::Format;
use corpuscle::store::model::ModelReader;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::tempdir;

/// A Dirichlet draw.
fn dirichlet(alpha: &[f64], stream: &mut Stream) -> Vec<f64> {
    let draws: Vec<f64> = alpha.iter().map(|&alpha| stream.gamma(alpha)).collect();
    let sum: f64 = draws.iter().sum();
    draws.into_iter().map(|draw| draw / sum).collect()
}

/// The place in a list of probabilities where a number from [0, 1) falls.
fn choose(probabilities: &[f64], mut at: f64) -> usize {
    for (place, probability) in probabilities.iter().enumerate() {
        at -= probability;
        if at < 0.0 {
            return place;
        }
    }
    probabilities.len() - 1
}

/// Documents that follow the model exactly: topics are Dirichlet(0.05) over the terms, shares Dirichlet(alpha).
fn generated(count: usize, terms: usize, length: usize, alpha: &[f64], seed: u64) -> (CsrChunk, Vec<Vec<f64>>) {
    let topics: Vec<Vec<f64>> = (0..alpha.len())
        .map(|topic| dirichlet(&vec![0.05; terms], &mut Stream::new(7, "true topic", topic as u64)))
        .collect();
    let mut chunk = CsrChunk { terms: terms as u32, indptr: vec![0], ..CsrChunk::default() };
    for document in 0..count {
        let mut stream = Stream::new(seed, "true document", document as u64);
        let shares = dirichlet(alpha, &mut stream);
        let mut counts = BTreeMap::new();
        for _ in 0..length {
            let topic = choose(&shares, stream.uniform());
            *counts.entry(choose(&topics[topic], stream.uniform()) as u32).or_insert(0f32) += 1.0;
        }
        chunk.indices.extend(counts.keys());
        chunk.data.extend(counts.values());
        chunk.indptr.push(chunk.indices.len() as u64);
    }
    (chunk, topics)
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn wide(model: &LdaModel, topic: usize) -> Vec<f64> {
    model.topic_word.row(topic).iter().map(|&weight| f64::from(weight)).collect()
}

/// For each true topic the nearest one of the model and their cosine.
fn matched(model: &LdaModel, truth: &[Vec<f64>]) -> Vec<(usize, f64)> {
    let nearest = |topic: &Vec<f64>| {
        let all = (0..model.topics()).map(|found| (found, cosine(topic, &wide(model, found))));
        all.max_by(|a, b| a.1.total_cmp(&b.1)).expect("a topic")
    };
    truth.iter().map(nearest).collect()
}

/// Everything in a model is a number, and rows sum to 1.
fn assert_sound(path: &Path) -> LdaModel {
    let model = LdaModel::load(path).expect("a model");
    for row in model.topic_word.rows() {
        let sum: f64 = row.iter().map(|&weight| f64::from(weight)).sum();
        assert!((sum - 1.0).abs() < 1e-5, "a topic sums to {sum}");
        assert!(row.iter().all(|&weight| weight > 0.0 && weight.is_finite()));
    }
    assert!(model.alpha.iter().chain(&model.topic_tokens).all(|value| value.is_finite() && *value >= 0.0));
    model
}

/// The figures of `evaluate --format json`, which are the same in every row.
fn evaluated(model: &Path, corpus: &Path) -> Vec<Value> {
    let printed = alone(["evaluate", text(model), text(corpus), "--format", "json", "-q"]).ok().stdout;
    serde_json::from_str(&printed).expect("JSON")
}

#[test]
fn any_ranks_and_threads_write_the_same_bytes() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (corpus, more, held_out) = (file("corpus.h5"), file("more.h5"), file("held-out.h5"));
    // Several chunks (they are cut at 65,536 nonzeros), a fifth of the terms with more than 254 tokens in a minibatch.
    write_corpus(&corpus, &documents(5000, 900, 1), Values::Counts, false);
    write_corpus(&more, &documents(700, 900, 2), Values::Counts, false);
    write_corpus(&held_out, &documents(300, 900, 3), Values::Counts, false);
    let train = |ranks_: usize, more_: &[&str], name: &str| {
        let (model, updated) = (file(&format!("{name}.h5")), file(&format!("{name}-updated.h5")));
        let common = ["-q"].iter().chain(more_);
        let first = ["lda", text(&corpus), "-k", "20", "--passes", "2", "--alpha", "learned", "-o", text(&model)];
        ranks(ranks_, first.iter().chain(["--eval", text(&held_out)].iter()).chain(common.clone())).ok();
        let second = ["lda", text(&more), "--update", text(&model), "--passes", "1", "-o", text(&updated)];
        ranks(ranks_, second.iter().chain(common)).ok();
        (digest(&model), digest(&updated))
    };
    let expected = train(1, &["--threads", "1"], "alone");
    assert_eq!(train(1, &["--threads", "2"], "threads"), expected);
    assert_ne!(train(1, &["--seed", "2"], "seed"), expected);
    if !has_mpi() {
        return;
    }
    for (count, more) in [(2, &["--threads", "2"][..]), (3, &["--scatter"]), (5, &["--threads", "1"])] {
        assert_eq!(train(count, more, &format!("{count}")), expected, "{count} ranks {more:?}");
    }
}

#[test]
fn topics_and_alpha_of_a_generated_corpus_are_recovered() {
    let folder = tempdir().unwrap();
    let [corpus, symmetric, learned] = ["corpus.h5", "symmetric.h5", "learned.h5"].map(|name| folder.path().join(name));
    let alpha = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.1, 0.2];
    let (chunk, truth) = generated(6000, 400, 80, &alpha, 3);
    write_corpus(&corpus, &chunk, Values::Counts, false);
    // Which optimum is found depends on where the iteration begins: from this seed on it finds all topics, from others it
    // may join two and split one.
    let arguments = ["lda", text(&corpus), "-k", "8", "--passes", "20", "--seed", "2"];
    alone(arguments.iter().chain(&["--alpha", "0.2", "-q", "-o", text(&symmetric)])).ok();
    for (topic, cosine) in matched(&assert_sound(&symmetric), &truth) {
        assert!(cosine > 0.95, "{cosine} at the nearest topic {topic}");
    }
    alone(arguments.iter().chain(&["--alpha", "learned", "-q", "-o", text(&learned)])).ok();
    let model = assert_sound(&learned);
    let mut found = Vec::new();
    for ((topic, cosine), alpha) in matched(&model, &truth).iter().zip(alpha) {
        assert!(*cosine > 0.95, "{cosine} at the nearest topic {topic}");
        // Shares of documents are point estimates, which makes the prior look flatter than it is: small values come out
        // too large, up to twice.
        let found_alpha = model.alpha[*topic];
        assert!((1.0..2.2).contains(&(found_alpha / alpha)), "alpha {found_alpha} for {alpha}");
        found.push((alpha, found_alpha));
    }
    // But which topics are common and which are rare is found.
    for (one, other) in found.iter().flat_map(|one| found.iter().map(move |other| (one, other))) {
        assert!(one.0 >= other.0 || one.1 < other.1, "{one:?} and {other:?}");
    }
}

#[test]
fn perplexity_is_that_of_a_slow_oracle_and_training_lowers_it() {
    let folder = tempdir().unwrap();
    let [corpus, held_out, one, ten] =
        ["corpus.h5", "held-out.h5", "1.h5", "10.h5"].map(|name| folder.path().join(name));
    let alpha = [0.1; 10];
    write_corpus(&corpus, &generated(3000, 500, 60, &alpha, 1).0, Values::Counts, false);
    write_corpus(&held_out, &generated(200, 500, 60, &alpha, 2).0, Values::Counts, false);
    for (model, passes) in [(&one, "1"), (&ten, "10")] {
        alone(["lda", text(&corpus), "-k", "10", "--passes", passes, "-q", "-o", text(model)]).ok();
    }
    let perplexity = |model: &Path| evaluated(model, &held_out)[0]["perplexity"].as_f64().expect("a number");
    assert!(perplexity(&ten) < 0.99 * perplexity(&one), "{} and {}", perplexity(&ten), perplexity(&one));
    let model = LdaModel::load(&ten).unwrap();
    let (_, chunk) = read_corpus(&held_out);
    let (mut sum, mut tokens) = (0.0, 0.0);
    for document in 0..chunk.documents() {
        let (terms, counts) = chunk.document(document);
        let half = first_half(counts, 1, document as u64);
        let mut u: Vec<f64> = model.alpha.iter().map(|alpha| alpha + 1.0).collect();
        for _ in 0..2000 {
            let mut next = model.alpha.clone();
            for (&term, &count) in terms.iter().zip(&half) {
                let products: Vec<f64> =
                    (0..10).map(|k| u[k] * f64::from(model.topic_word[[k, term as usize]])).collect();
                let total: f64 = products.iter().sum();
                next.iter_mut().zip(products).for_each(|(next, p)| *next += f64::from(count) * p / total);
            }
            u = next;
        }
        let total: f64 = u.iter().sum();
        for ((&term, &count), half) in terms.iter().zip(counts).zip(half) {
            let p: f64 = (0..10).map(|k| u[k] / total * f64::from(model.topic_word[[k, term as usize]])).sum();
            sum += f64::from(count - half) * p.ln();
            tokens += f64::from(count - half);
        }
    }
    let oracle = (-sum / tokens).exp();
    // The iteration stops early where documents lie between two topics.
    assert!((perplexity(&ten) / oracle - 1.0).abs() < 2e-3, "{} is not {oracle}", perplexity(&ten));
}

#[test]
fn shares_of_documents_sum_to_one_for_any_ranks() {
    let folder = tempdir().unwrap();
    let [corpus, model, vectors, few] =
        ["corpus.h5", "model.h5", "vectors.h5", "few.h5"].map(|name| folder.path().join(name));
    write_corpus(&corpus, &documents(400, 120, 1), Values::Counts, true);
    alone(["lda", text(&corpus), "-k", "7", "--alpha", "asymmetric", "-q", "-o", text(&model)]).ok();
    alone(["transform", text(&model), text(&corpus), "-q", "-o", text(&vectors)]).ok();
    let read = |path: &Path| ModelReader::open(path, Format::Vectors).unwrap().table::<f32>("vectors").unwrap();
    let found = read(&vectors);
    assert_eq!(found.dim(), (400, 7));
    for (document, row) in found.rows().into_iter().enumerate() {
        assert!((row.sum() - 1.0).abs() < 1e-5 && row.iter().all(|&share| share > 0.0), "document {document}: {row}");
    }
    // Document 3 is empty: nothing is known of it but the prior, here scaled to a sum of 1.
    let alpha = LdaModel::load(&model).unwrap().alpha;
    for (share, alpha) in found.row(3).iter().zip(&alpha) {
        assert!((f64::from(*share) - alpha).abs() < 1e-6, "{share} is not {alpha}");
    }
    let printed = alone(["topics", text(&model), "--documents", text(&vectors), "--top", "5", "--format", "json"]).ok();
    let rows: Vec<Value> = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(rows.len(), 35);
    for row in rows {
        let mut column: Vec<(f32, usize)> =
            found.column(row["topic"].as_u64().unwrap() as usize).iter().copied().zip(0..).collect();
        column.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (share, document) = column[row["rank"].as_u64().unwrap() as usize];
        assert_eq!(row["id"], format!("document {document}"));
        assert_eq!(row["document_share"], share.to_string().parse::<f64>().unwrap());
    }
    let other = folder.path().join("other-model.h5");
    alone(["lda", text(&corpus), "-k", "7", "--passes", "1", "-q", "-o", text(&other)]).ok();
    alone(["topics", text(&other), "--documents", text(&vectors)]).failed(1, &["vectors.h5", "other-model.h5"]);
    let minimum = ["--minimum-probability", "0.1"];
    alone(["transform", text(&model), text(&corpus), "-q", "-o", text(&few)].iter().chain(&minimum)).ok();
    assert_eq!(read(&few), found.mapv(|share| if share < 0.1 { 0.0 } else { share }));
    if has_mpi() {
        let other = folder.path().join("other.h5");
        ranks(3, ["transform", text(&model), text(&corpus), "-q", "--scatter", "-o", text(&other)]).ok();
        assert_eq!(digest(&other), digest(&vectors));
        let arguments = ["evaluate", text(&model), text(&corpus), "--format", "json", "-q"];
        assert_eq!(ranks(3, arguments).ok().stdout, alone(arguments).ok().stdout);
    }
}

#[test]
fn odd_corpora_give_finite_models() {
    let folder = tempdir().unwrap();
    let [corpus, model] = ["corpus.h5", "model.h5"].map(|name| folder.path().join(name));
    let chunk = |documents: &[&[(u32, f32)]]| {
        let mut chunk = CsrChunk { terms: 30, indptr: vec![0], ..CsrChunk::default() };
        for document in documents {
            chunk.indices.extend(document.iter().map(|entry| entry.0));
            chunk.data.extend(document.iter().map(|entry| entry.1));
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        chunk
    };
    let cases = [
        // One token in all; terms that never occur; huge counts beside single tokens; empty documents.
        (chunk(&[&[(4, 1.0)]]), "1"),
        (chunk(&[&[(4, 1.0)]]), "50"),
        (chunk(&[&[], &[(0, 1e6), (1, 1.0)], &[(1, 1.0)], &[], &[(0, 1e6), (29, 16_777_216.0)]]), "3"),
        (chunk(&[&[(2, 1e6)], &[(3, 1e6)]]), "1"),
        (documents(40, 30, 9), "100"),
    ];
    for (documents, topics) in cases {
        write_corpus(&corpus, &documents, Values::Counts, false);
        for alpha in ["0.1", "learned", "0.000001"] {
            let arguments = ["lda", text(&corpus), "-k", topics, "--alpha", alpha, "--minibatch", "2", "-q"];
            alone(arguments.iter().chain(&["-o", text(&model)])).ok();
            assert_eq!(assert_sound(&model).topics().to_string(), topics);
            let rows = evaluated(&model, &corpus);
            assert!(rows[0]["perplexity"].as_f64().is_none_or(|value| value.is_finite() && value > 0.999));
        }
    }
}

#[test]
fn a_model_goes_on_with_more_documents_and_stops_when_told() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [first, second, held_out, model, updated, stopped] =
        ["first.h5", "second.h5", "held-out.h5", "model.h5", "updated.h5", "stopped.h5"].map(file);
    let alpha = [0.1; 6];
    for (path, count, seed) in [(&first, 300, 1), (&second, 3000, 2), (&held_out, 200, 3)] {
        write_corpus(path, &generated(count, 300, 50, &alpha, seed).0, Values::Counts, false);
    }
    alone(["lda", text(&first), "-k", "6", "--passes", "2", "-q", "-o", text(&model)]).ok();
    alone(["lda", text(&second), "--update", text(&model), "--passes", "2", "-q", "-o", text(&updated)]).ok();
    let (before, after) = (assert_sound(&model), assert_sound(&updated));
    assert_eq!((before.history.documents, before.history.tokens), (300, 15_000));
    assert_eq!((after.history.documents, after.history.tokens), (3300, 165_000));
    assert!(after.history.updates > before.history.updates);
    let perplexity = |model: &Path| evaluated(model, &held_out)[0]["perplexity"].as_f64().expect("a number");
    assert!(perplexity(&updated) < perplexity(&model));
    // Nothing gets better by half, so the second look ends the training.
    let stop = ["--eval", text(&held_out), "--stop-below", "0.5", "--passes", "9", "-q"];
    alone(["lda", text(&second), "-k", "6", "-o", text(&stopped)].iter().chain(&stop)).ok();
    let run = std::fs::read_to_string(folder.path().join("stopped.h5.run.json")).unwrap();
    let run: Value = serde_json::from_str(&run).unwrap();
    assert_eq!(run["result"]["passes"], 2, "{run}");
    // What was told while training is what `evaluate` finds.
    let told = run["result"]["perplexity"].as_f64().unwrap();
    assert!((told / perplexity(&stopped) - 1.0).abs() < 1e-4, "{told} is not {}", perplexity(&stopped));
}

#[test]
fn u_mass_is_that_of_gensim() {
    let reference: Value = serde_json::from_str(include_str!("fixtures/coherence.json")).expect("JSON");
    let lists = |name: &str| -> Vec<Vec<u32>> { serde_json::from_value(reference[name].clone()).expect("lists") };
    let (documents, topics) = (lists("documents"), lists("topics"));
    let mut pairs = Pairs::new(&topics);
    // In two parts, as workers would count them.
    for part in documents.chunks(70) {
        let mut chunk = CsrChunk { terms: 40, indptr: vec![0], ..CsrChunk::default() };
        for terms in part {
            chunk.indices.extend(terms);
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        chunk.data = vec![2.0; chunk.indices.len()];
        pairs.absorb(&chunk);
    }
    let expected = reference["u_mass"].as_array().expect("a list");
    let found = pairs.u_mass(pairs.counts(), documents.len() as u64);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let expected = expected.as_f64().expect("a number");
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

#[test]
fn distances_of_topics_are_those_of_gensim() {
    let reference: Value = serde_json::from_str(include_str!("fixtures/difference.json")).expect("JSON");
    let table = |name: &str| -> Vec<Vec<f64>> { serde_json::from_value(reference[name].clone()).expect("a table") };
    let model = |name: &str| {
        let rows = table(name);
        LdaModel {
            topic_word: ndarray::Array2::from_shape_fn((rows.len(), 50), |(topic, term)| rows[topic][term] as f32),
            alpha: vec![0.1; rows.len()],
            eta: 0.01,
            topic_tokens: vec![1.0; rows.len()],
            terms: dictionary(50),
            history: History::default(),
        }
    };
    let (one, other) = (model("one"), model("other"));
    for (distance, name) in [
        (Distance::Hellinger, "hellinger"),
        (Distance::Jaccard, "jaccard"),
        (Distance::KullbackLeibler, "kullback-leibler"),
        (Distance::JensenShannon, "jensen-shannon"),
    ] {
        let found = differences(&one, &other, distance, 8);
        for (topic, row) in table(name).iter().enumerate() {
            for (other, expected) in row.iter().enumerate() {
                // gensim computes some of them in 32 bits.
                let found = found[[topic, other]];
                assert!((found - expected).abs() < 1e-6 * expected.max(1.0), "{name}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn topics_are_printed_by_share() {
    let folder = tempdir().unwrap();
    let [corpus, path] = ["corpus.h5", "model.h5"].map(|name| folder.path().join(name));
    write_corpus(&corpus, &documents(300, 60, 1), Values::Counts, false);
    alone(["lda", text(&corpus), "-k", "5", "-q", "-o", text(&path)]).ok();
    let model = assert_sound(&path);
    let printed = alone(["topics", text(&path), "-n", "3", "--words", "2", "--format", "json"]).ok().stdout;
    let rows: Vec<Value> = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(rows.len(), 6);
    let mut shares: Vec<f64> = model.shares();
    for row in &rows {
        let topic = row["topic"].as_u64().unwrap() as usize;
        assert_eq!(row["share"], model.shares()[topic]);
        let term = dictionary(60).iter().position(|term| row["term"] == **term).unwrap();
        let above = model.topic_word.row(topic).iter().filter(|&&w| w > model.topic_word[[topic, term]]).count();
        assert_eq!(row["position"], above);
    }
    shares.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(rows.iter().step_by(2).map(|row| row["share"].as_f64().unwrap()).collect::<Vec<_>>(), shares[..3]);
    // Every topic is nearest to itself.
    let found = alone(["evaluate", text(&path), "--against", text(&path)]).ok().stdout;
    let rows_: Vec<Vec<&str>> = found.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    let expected: Vec<Vec<String>> = (0..5).map(|n| vec![n.to_string(), n.to_string(), "0.0000".into()]).collect();
    assert_eq!(rows_, expected);
    let table = alone(["topics", text(&path), "-n", "1", "--words", "1"]).ok().stdout;
    assert!(table.contains(&format!("*\"{}\"", rows[0]["term"].as_str().unwrap())), "{table}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [counts, other, weights, empty, model, output, alphas] =
        ["counts.h5", "other.h5", "weights.h5", "empty.h5", "model.h5", "output.h5", "alphas"].map(file);
    write_corpus(&counts, &documents(60, 30, 1), Values::Counts, false);
    write_corpus(&other, &documents(60, 31, 1), Values::Counts, false);
    write_corpus(&weights, &documents(60, 30, 1), Values::Weights("nfc".into()), false);
    let mut nothing = documents(3, 30, 3);
    (nothing.indptr, nothing.indices, nothing.data) = (vec![0; 4], Vec::new(), Vec::new());
    write_corpus(&empty, &nothing, Values::Counts, false);
    std::fs::write(&alphas, "0.1\n0.2\nmany\n").unwrap();
    alone(["lda", text(&counts), "-k", "4", "-q", "-o", text(&model)]).ok();
    let before = names(folder.path());
    let refused = |corpus: &Path, more: &[&str], code: i32, words: &[&str]| {
        let arguments = ["lda", text(corpus), "-o", text(&output), "-q"];
        alone(arguments.iter().chain(more)).failed(code, words);
        assert_eq!(names(folder.path()), before, "{more:?}");
    };
    refused(&weights, &[], 1, &["weights.h5: holds nfc weights", "counts"]);
    refused(&empty, &[], 1, &["empty.h5", "nothing to learn"]);
    refused(&counts, &["--update", text(&model), "-k", "5"], 2, &["-k 5", "4 topics"]);
    refused(&other, &["--update", text(&model)], 1, &["other.h5", "31 terms and not 30"]);
    refused(&counts, &["--eval", text(&other)], 1, &["other.h5", "31 terms and not 30"]);
    refused(&counts, &["--alpha", text(&alphas)], 1, &["alphas:3"]);
    refused(&counts, &["--alpha", "nowhere"], 1, &["nowhere", "neither a number"]);
    refused(&counts, &["--memory", "1K"], 1, &["counts.h5", "--memory"]);
    for bad in [
        &["-k", "0"][..],
        &["--passes", "0"],
        &["--burn-in", "0"],
        &["--kappa", "0.5"],
        &["--kappa", "1.1"],
        &["--tau0", "0.5"],
        &["--alpha", "0"],
        &["--alpha", "nan"],
        &["--eta", "0"],
        &["--minibatch", "0"],
        &["--eval", text(&counts), "--eval-every", "0"],
    ] {
        refused(&counts, bad, 2, &[bad[bad.len() - 2]]);
    }
    alone(["transform", text(&model), text(&counts), "--scaled", "-o", text(&output)]).failed(2, &["--scaled"]);
    alone(["evaluate", text(&model), text(&other)]).failed(1, &["other.h5", "model.h5"]);
    alone(["topics", text(&counts)]).failed(1, &["counts.h5: holds a corpus", "an LDA model"]);
    if has_mpi() {
        ranks(3, ["lda", text(&empty), "-o", text(&output)]).failed_on_workers(1, &["nothing to learn"]);
        assert_all_gone(folder.path());
    }
    assert_eq!(names(folder.path()), before);
}
