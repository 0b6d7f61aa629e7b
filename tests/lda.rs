//! LDA: the same bytes for any ranks, what it finds in corpora whose topics are known, and its measures against oracles.

mod common;

use common::corpora::{dictionary, documents, read_corpus, write_corpus};
use common::{alone, assert_all_gone, digest, has_mpi, names, ranks, text};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::Values;
use corpuscle::lda::bound::Bound;
use corpuscle::lda::coherence::{NARROW_WINDOW, OTHER, Pairs, WIDE_WINDOW};
use corpuscle::lda::completion::first_half;
use corpuscle::lda::difference::{Distance, differences};
use corpuscle::lda::minibatch::{Held, deal};
use corpuscle::lda::model::{History, LdaModel, Shared};
use corpuscle::lda::params::Eta;
use corpuscle::lda::topics::leading_terms;
use corpuscle::linalg::Aligned;
use corpuscle::linalg::fixed::wide;
use corpuscle::linalg::special::{digamma, trigamma};
use corpuscle::linalg::variational::Until;
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

/// One file a method, for any ranks.
#[test]
fn every_method_and_prior_writes_the_same_bytes_for_any_ranks() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (corpus, etas) = (file("corpus.h5"), file("etas"));
    write_corpus(&corpus, &documents(2600, 400, 1), Values::Counts, false);
    std::fs::write(&etas, (0..400).map(|n| format!("{}\n", 0.01 * f64::from(1 + n % 7))).collect::<String>()).unwrap();
    let cases = [
        "--method online --minibatch 500 --update-every 2 --alpha learned --passes 2",
        "--method online --minibatch 300 --staleness 2 --passes 2",
        "--method batch --minibatch 700 --alpha learned --eta learned --passes 3",
        "--staleness 1 --eta learned --alpha asymmetric --passes 2",
        "--passes 1 --eta ETAS",
    ];
    let mut digests = Vec::new();
    for case in cases {
        let train = |count: usize, more: &[&str]| {
            let model = file(&format!("{count}.h5"));
            let case = case.replace("ETAS", text(&etas));
            let arguments = ["lda", text(&corpus), "-k", "9", "-q", "-o", text(&model)];
            ranks(count, arguments.into_iter().chain(case.split(' ')).chain(more.iter().copied())).ok();
            (digest(&model), model)
        };
        let (expected, model) = train(1, &["--threads", "2"]);
        assert_sound(&model);
        digests.push(expected.clone());
        if has_mpi() {
            for (count, more) in [(2, &["--threads", "2"][..]), (3, &["--scatter"]), (5, &["--threads", "1"])] {
                assert_eq!(train(count, more).0, expected, "{case}: {count} ranks {more:?}");
            }
        }
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), cases.len());
}

/// What variational Bayes trains, in f64 and without a thought of speed: expected counts (terms x topics) and alpha.
struct Oracle<'a> {
    chunk: &'a CsrChunk,
    counts: Vec<Vec<f64>>,
    alpha: Vec<f64>,
    eta: f64,
}

impl Oracle<'_> {
    /// exp(E[log beta]), terms x topics.
    fn weights(&self) -> Vec<Vec<f64>> {
        let topics = self.alpha.len();
        let total = |k: usize| self.counts.iter().map(|row| row[k] + self.eta).sum::<f64>();
        let totals: Vec<f64> = (0..topics).map(|k| digamma(total(k))).collect();
        let weight = |row: &Vec<f64>| (0..topics).map(|k| (digamma(row[k] + self.eta) - totals[k]).exp()).collect();
        self.counts.iter().map(weight).collect()
    }

    /// A step on these documents; `rate` and Newton's step if alpha is learned.
    fn step(&mut self, documents: &[usize], iterations: usize, rate: f64, learn: bool) {
        let topics = self.alpha.len();
        let weights = self.weights();
        let mut sums = vec![vec![0.0; topics]; self.counts.len()];
        let mut logs = vec![0.0; topics];
        let mut tokens = 0.0;
        for &document in documents {
            let (terms, counts) = self.chunk.document(document);
            let length: f64 = counts.iter().map(|&count| f64::from(count)).sum();
            let mut gamma: Vec<f64> = self.alpha.iter().map(|alpha| alpha + length / topics as f64).collect();
            let shares = |gamma: &[f64]| gamma.iter().map(|&gamma| digamma(gamma).exp()).collect::<Vec<_>>();
            let given = |u: &[f64], term: u32| {
                let products: Vec<f64> = (0..topics).map(|k| u[k] * weights[term as usize][k]).collect();
                let sum: f64 = products.iter().sum();
                products.into_iter().map(|product| product / sum).collect::<Vec<_>>()
            };
            for _ in 0..iterations {
                let u = shares(&gamma);
                gamma.clone_from(&self.alpha);
                for (&term, &count) in terms.iter().zip(counts) {
                    gamma.iter_mut().zip(given(&u, term)).for_each(|(gamma, p)| *gamma += f64::from(count) * p);
                }
            }
            let u = shares(&gamma);
            for (&term, &count) in terms.iter().zip(counts) {
                sums[term as usize].iter_mut().zip(given(&u, term)).for_each(|(sum, p)| *sum += f64::from(count) * p);
            }
            let all = digamma(gamma.iter().sum());
            logs.iter_mut().zip(&gamma).for_each(|(log, &gamma)| *log += digamma(gamma) - all);
            tokens += length;
        }
        let all: f64 = self.chunk.data.iter().map(|&count| f64::from(count)).sum();
        for (counts, sums) in self.counts.iter_mut().zip(sums) {
            for (count, sum) in counts.iter_mut().zip(sums) {
                *count = (1.0 - rate) * *count + rate * all / tokens * sum;
            }
        }
        if learn {
            // Huang (2005), as in gensim's `update_dir_prior`.
            let n = documents.len() as f64;
            let sum: f64 = self.alpha.iter().sum();
            let gradient: Vec<f64> =
                (0..topics).map(|k| n * (digamma(sum) - digamma(self.alpha[k]) + logs[k] / n)).collect();
            let q: Vec<f64> = self.alpha.iter().map(|&alpha| -n * trigamma(alpha)).collect();
            let c = n * trigamma(sum);
            let b = (0..topics).map(|k| gradient[k] / q[k]).sum::<f64>()
                / (1.0 / c + q.iter().map(|q| 1.0 / q).sum::<f64>());
            (0..topics).for_each(|k| self.alpha[k] -= rate * (gradient[k] - b) / q[k]);
        }
    }
}

#[test]
fn variational_bayes_is_that_of_a_slow_oracle() {
    let folder = tempdir().unwrap();
    let [corpus, path] = ["corpus.h5", "model.h5"].map(|name| folder.path().join(name));
    let (terms, topics, iterations) = (60, 5, 25);
    let (chunk, _) = generated(400, terms, 40, &[0.2; 5], 3);
    write_corpus(&corpus, &chunk, Values::Counts, false);
    let held = [Held(std::rc::Rc::new(chunk.clone()))];
    for (method, learn, minibatches, every) in
        [("online", false, 4, 1), ("online", true, 5, 2), ("batch", false, 3, 3), ("batch", true, 1, 1)]
    {
        let documents = 400usize.div_ceil(minibatches).to_string();
        let (every_, iterations_) = (every.to_string(), iterations.to_string());
        let mut arguments = vec!["lda", text(&corpus), "-k", "5", "--passes", "3", "--method", method, "-q"];
        arguments.extend(["--gamma-threshold", "0", "--iterations", &iterations_, "--minibatch", &documents]);
        if method == "online" {
            arguments.extend(["--update-every", &every_, "--tau0", "2", "--kappa", "0.7"]);
        }
        if learn {
            arguments.extend(["--alpha", "learned"]);
        }
        alone(arguments.into_iter().chain(["-o", text(&path)])).ok();
        let mut oracle = Oracle { chunk: &chunk, counts: Vec::new(), alpha: vec![0.2; topics], eta: 0.2 };
        for term in 0..terms {
            let mut stream = Stream::new(1, "topics", term as u64);
            oracle.counts.push((0..topics).map(|_| f64::from((stream.gamma(100.0) / 100.0) as f32)).collect());
        }
        let steps = minibatches.div_ceil(every);
        for pass in 0..3 {
            let dealt = deal(&held, minibatches, 1, pass as u64);
            for (step, group) in dealt.chunks(every).enumerate() {
                let documents: Vec<usize> = group.concat().into_iter().map(|place| place.1 as usize).collect();
                let seen = if pass == 0 { step * every } else { minibatches };
                let rate = if method == "batch" { 1.0 } else { (2.0 + (pass + seen) as f64).powf(-0.7) };
                let learn = learn && 2 * (pass * steps + step) >= steps;
                oracle.step(&documents, iterations, rate, learn);
            }
        }
        let model = assert_sound(&path);
        for topic in 0..topics {
            let total: f64 = oracle.counts.iter().map(|row| row[topic] + oracle.eta).sum();
            for term in 0..terms {
                let theirs = (oracle.counts[term][topic] + oracle.eta) / total;
                let ours = f64::from(model.topic_word[[topic, term]]);
                // Roundings of f32 and of expected counts to 2^-20, over three passes.
                let close = (ours - theirs).abs() < 2e-6 + 1e-3 * theirs;
                assert!(close, "{method}, topic {topic}, term {term}: {ours} is not {theirs}");
            }
            let (ours, theirs) = (model.alpha[topic], oracle.alpha[topic]);
            assert!((ours / theirs - 1.0).abs() < 1e-3, "{method}: alpha {ours} is not {theirs}");
        }
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
    let found = pairs.u_mass(pairs.counts());
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let expected = expected.as_f64().expect("a number");
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

#[test]
fn coherence_over_windows_is_that_of_gensim() {
    let reference: Value = serde_json::from_str(include_str!("fixtures/coherence.json")).expect("JSON");
    let lists = |name: &str| -> Vec<Vec<u32>> { serde_json::from_value(reference[name].clone()).expect("lists") };
    let (texts, topics) = (lists("texts"), lists("known"));
    let none = Pairs::new(&topics);
    let (mut narrow, mut wide) = (none.clone(), none.clone());
    // In two parts, as workers would count them.
    for part in texts.chunks(20) {
        let (mut of_narrow, mut of_wide) = (none.clone(), none.clone());
        for text in part {
            let tokens: Vec<u32> = text.iter().map(|&token| if none.has(token) { token } else { OTHER }).collect();
            of_narrow.absorb_text(&tokens, NARROW_WINDOW);
            of_wide.absorb_text(&tokens, WIDE_WINDOW);
        }
        narrow.add(&of_narrow);
        wide.add(&of_wide);
    }
    for (name, found) in [
        ("c_v", wide.c_v(wide.counts())),
        ("c_npmi", narrow.c_npmi(narrow.counts())),
        ("c_uci", narrow.c_uci(narrow.counts())),
    ] {
        let expected: Vec<f64> = serde_json::from_value(reference[name].clone()).expect("numbers");
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{name}: {found} is not {expected}");
        }
    }
}

#[test]
fn texts_are_read_as_they_were_for_the_corpus() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [lines, more, corpus, model] = ["lines.txt", "more.jsonl", "corpus.h5", "model.h5"].map(file);
    let mut stream = Stream::new(4, "test text", 0);
    let mut documents = Vec::new();
    for document in 0..300usize {
        let word = |stream: &mut Stream| match stream.below(30) as usize {
            common @ 0..10 => format!("Common{common}"),
            other => format!("of{}x{}", document % 3, other % 7),
        };
        documents.push((0..stream.below(60)).map(|_| word(&mut stream)).collect::<Vec<_>>().join(" "));
    }
    std::fs::write(&lines, documents.join("\n") + "\n").unwrap();
    let record = |text: &String| serde_json::json!({ "body": text }).to_string();
    std::fs::write(&more, documents.iter().map(record).collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let build = ["build", text(&lines), "--token-pattern", "[a-z0-9]+", "-q", "-o", text(&corpus)];
    alone(build.iter().chain(&["--no-below", "2", "--no-above", "1"])).ok();
    alone(["lda", text(&corpus), "-k", "3", "-q", "-o", text(&model)]).ok();
    let evaluate = |count: usize, more: &[&str]| {
        let arguments = ["evaluate", text(&model), text(&corpus), "--words", "6", "--format", "json", "-q"];
        ranks(count, arguments.iter().chain(more)).ok().stdout
    };
    let printed = evaluate(1, &["--texts", text(&lines)]);
    let rows: Vec<Value> = serde_json::from_str(&printed).expect("JSON");
    // By hand: the same tokens in windows, each one looked at.
    let trained = LdaModel::load(&model).unwrap();
    let leading: Vec<Vec<u32>> = (0..3).map(|topic| leading_terms(&trained, topic, 6)).collect();
    let number: BTreeMap<&str, u32> = trained.terms.iter().map(String::as_str).zip(0..).collect();
    let (mut narrow, mut wide) = (Pairs::new(&leading), Pairs::new(&leading));
    for document in &documents {
        let lower = document.to_lowercase();
        let of = |token: &str| number.get(token).copied().filter(|&term| narrow.has(term)).unwrap_or(OTHER);
        let tokens: Vec<u32> = lower.split_whitespace().map(of).collect();
        narrow.absorb_text(&tokens, NARROW_WINDOW);
        wide.absorb_text(&tokens, WIDE_WINDOW);
    }
    let (c_v, c_npmi, c_uci) = (wide.c_v(wide.counts()), narrow.c_npmi(narrow.counts()), narrow.c_uci(narrow.counts()));
    for (topic, row) in rows.iter().enumerate() {
        for (name, expected) in [("c_v", &c_v), ("c_npmi", &c_npmi), ("c_uci", &c_uci)] {
            assert_eq!(row[name].as_f64().filter(|_| expected[topic].is_finite()), Some(expected[topic]), "{name}");
        }
    }
    // Elsewhere than in plain lines, and in parts.
    assert_eq!(evaluate(1, &["--texts", text(&more), "--text-field", "body", "--threads", "2"]), printed);
    if has_mpi() {
        assert_eq!(evaluate(3, &["--texts", text(&lines), "--scatter"]), printed);
    }
    assert!(evaluate(1, &[]).contains("\"c_v\":null"));
    let missing = file("missing.txt");
    alone(["evaluate", text(&model), text(&corpus), "--texts", text(&missing)]).failed(1, &["missing.txt"]);
}

#[test]
fn the_bound_is_that_of_gensim() {
    let reference: Value = serde_json::from_str(include_str!("fixtures/bound.json")).expect("JSON");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let numbers = |value: &Value| -> Vec<f64> { serde_json::from_value(value.clone()).expect("numbers") };
    for about in reference["models"].as_array().expect("models") {
        let lambda: Vec<Vec<f64>> = serde_json::from_value(about["lambda"].clone()).expect("a table");
        let (alpha, eta) = (numbers(&about["alpha"]), numbers(&about["eta"]));
        let (topics, terms) = (lambda.len(), lambda[0].len());
        let mut phi = Aligned::zeros(terms * 16);
        for (topic, row) in lambda.iter().enumerate() {
            let sum: f64 = row.iter().sum();
            row.iter().enumerate().for_each(|(term, value)| phi[term * 16 + topic] = (value / sum) as f32);
        }
        let mut prior = vec![0f32; 16];
        prior.iter_mut().zip(&alpha).for_each(|(to, &alpha)| *to = alpha as f32);
        let of_eta: f64 = eta.iter().sum();
        let shared = Shared {
            topics,
            prior,
            topic_tokens: lambda.iter().map(|row| row.iter().sum::<f64>() - of_eta).collect(),
            alpha,
            eta: Eta(eta),
            phi,
        };
        let bound = Bound::new(&shared, Until { iterations: 2000, threshold: 1e-7 }, &pool);
        for (name, expected) in ["train", "other"].iter().zip(numbers(&about["log_perplexity"])) {
            let documents: Vec<Vec<(u32, f32)>> = serde_json::from_value(reference[*name].clone()).expect("documents");
            let mut chunk = CsrChunk { terms: terms as u32, indptr: vec![0], ..CsrChunk::default() };
            for document in documents {
                chunk.indices.extend(document.iter().map(|entry| entry.0));
                chunk.data.extend(document.iter().map(|entry| entry.1));
                chunk.indptr.push(chunk.indices.len() as u64);
            }
            let tokens: f32 = chunk.data.iter().sum();
            let mut parts = vec![bound.documents(&chunk, &pool)];
            parts.extend((0..3).map(|worker| bound.topics(worker, 3, &pool)));
            let sum: [i64; 2] = std::array::from_fn(|half| parts.iter().map(|part| part[half]).sum());
            let found = wide::value(&sum) / f64::from(tokens);
            // gensim begins elsewhere, and the optimum of a document is not always the same one.
            assert!((found / expected - 1.0).abs() < 1e-4, "{name}: {found} is not {expected}");
        }
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
            eta: Eta::symmetric(0.01),
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
fn topics_are_put_in_order_by_how_they_stand_in_a_corpus() {
    let folder = tempdir().unwrap();
    let [corpus, path, vectors] = ["corpus.h5", "model.h5", "vectors.h5"].map(|name| folder.path().join(name));
    write_corpus(&corpus, &documents(400, 60, 1), Values::Counts, false);
    alone(["lda", text(&corpus), "-k", "5", "-q", "-o", text(&path)]).ok();
    alone(["transform", text(&path), text(&corpus), "-q", "-o", text(&vectors)]).ok();
    let print = |count: usize, by: &str| {
        let arguments = ["topics", text(&path), "--corpus", text(&corpus), "--by", by, "--words", "4", "-q"];
        ranks(count, arguments.iter().chain(&["--format", "json"])).ok().stdout
    };
    let shares = ModelReader::open(&vectors, Format::Vectors).unwrap().table::<f32>("vectors").unwrap();
    let (_, chunk) = read_corpus(&corpus);
    let model = LdaModel::load(&path).unwrap();
    let mut pairs = Pairs::new(&(0..5).map(|topic| leading_terms(&model, topic, 4)).collect::<Vec<_>>());
    pairs.absorb(&chunk);
    let u_mass = pairs.u_mass(pairs.counts());
    let filled: Vec<usize> = (0..400).filter(|&row| !chunk.document(row).0.is_empty()).collect();
    for (by, column) in [("share", "share"), ("documents", "mean_share"), ("coherence", "u_mass")] {
        let rows: Vec<Value> = serde_json::from_str(&print(1, by)).expect("JSON");
        let firsts: Vec<&Value> = rows.iter().filter(|row| row["position"] == 0).collect();
        assert_eq!((firsts.len(), rows.len()), (5, 20));
        let values: Vec<f64> = firsts.iter().map(|row| row[column].as_f64().unwrap()).collect();
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]), "{by}: {values:?}");
        for row in firsts {
            let topic = row["topic"].as_u64().unwrap() as usize;
            assert_eq!(row["u_mass"], u_mass[topic]);
            let mean = filled.iter().map(|&row| f64::from(shares[[row, topic]])).sum::<f64>() / filled.len() as f64;
            let found = row["mean_share"].as_f64().unwrap();
            assert!((found - mean).abs() < 1e-6, "{found} is not {mean}");
        }
        if has_mpi() {
            assert_eq!(print(3, by), print(1, by));
        }
    }
    alone(["topics", text(&path), "--by", "coherence"]).failed(2, &["--by coherence", "--corpus"]);
    alone(["topics", text(&path), "--corpus", text(&corpus), "--words", "1"]).failed(2, &["--words 1"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [counts, other, weights, empty, model, output, alphas, two] =
        ["counts.h5", "other.h5", "weights.h5", "empty.h5", "model.h5", "output.h5", "alphas", "two"].map(file);
    write_corpus(&counts, &documents(60, 30, 1), Values::Counts, false);
    write_corpus(&other, &documents(60, 31, 1), Values::Counts, false);
    write_corpus(&weights, &documents(60, 30, 1), Values::Weights("nfc".into()), false);
    let mut nothing = documents(3, 30, 3);
    (nothing.indptr, nothing.indices, nothing.data) = (vec![0; 4], Vec::new(), Vec::new());
    write_corpus(&empty, &nothing, Values::Counts, false);
    std::fs::write(&alphas, "0.1\n0.2\nmany\n").unwrap();
    std::fs::write(&two, "0.1\n0.2\n").unwrap();
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
    refused(&counts, &["--memory", "1K"], 2, &["--memory", "lower -k"]);
    refused(&counts, &["--eta", text(&alphas)], 1, &["alphas:3"]);
    refused(&counts, &["--eta", text(&two)], 2, &["2 numbers for 30 terms"]);
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
        &["--staleness", "17"],
        &["--iterations", "9"],
        &["--gamma-threshold", "0.1"],
        &["--update-every", "2"],
        &["--method", "batch", "--kappa", "0.7"],
        &["--method", "online", "--burn-in", "2"],
        &["--method", "online", "--update-every", "0"],
        &["--method", "online", "--gamma-threshold", "nan"],
        &["--method", "batch", "--staleness", "1"],
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
