//! LDA: the same bytes for any ranks, what it finds in corpora whose topics are known, variational Bayes against an oracle.

mod common;

use common::corpora::{documents, write_corpus};
use common::topics::{assert_sound, evaluated, generated};
use common::{alone, assert_all_gone, digest, has_mpi, names, ranks, text};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::Values;
use corpuscle::lda::minibatch::{Held, deal};
use corpuscle::lda::model::LdaModel;
use corpuscle::linalg::special::{digamma, trigamma};
use corpuscle::random::Stream;
use corpuscle::store::file::Format;
use corpuscle::store::model::ModelReader;
use serde_json::Value;
use std::path::Path;
use tempfile::tempdir;

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
    let held = [Held(std::sync::Arc::new(chunk.clone()))];
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
    // All topics are found wherever the iteration begins.
    for seed in ["1", "2", "3", "4", "5", "6"] {
        let arguments =
            ["lda", text(&corpus), "-k", "8", "--seed", seed, "--alpha", "0.2", "-q", "-o", text(&symmetric)];
        alone(arguments).ok();
        for (topic, cosine) in matched(&assert_sound(&symmetric), &truth) {
            assert!(cosine > 0.95, "seed {seed}: {cosine} at the nearest topic {topic}");
        }
    }
    let arguments = ["lda", text(&corpus), "-k", "8", "--passes", "20", "--minibatch", "375", "--seed", "2"];
    alone(arguments.iter().chain(&["--alpha", "learned", "-q", "-o", text(&learned)])).ok();
    let model = assert_sound(&learned);
    let mut found = Vec::new();
    for ((topic, cosine), alpha) in matched(&model, &truth).iter().zip(alpha) {
        assert!(*cosine > 0.95, "{cosine} at the nearest topic {topic}");
        let found_alpha = model.alpha[*topic];
        assert!((0.85..1.1).contains(&(found_alpha / alpha)), "alpha {found_alpha} for {alpha}");
        found.push((alpha, found_alpha));
    }
    // But which topics are common and which are rare is found.
    for (one, other) in found.iter().flat_map(|one| found.iter().map(move |other| (one, other))) {
        assert!(one.0 >= other.0 || one.1 < other.1, "{one:?} and {other:?}");
    }
    // Batch variational Bayes takes longer and finds both, from other seeds, too.
    let arguments = ["lda", text(&corpus), "-k", "8", "--method", "batch", "--passes", "60", "--eta", "0.05"];
    let more = ["--seed", "3", "--gamma-threshold", "0.01", "--alpha", "learned", "-q", "-o", text(&learned)];
    alone(arguments.iter().chain(&more)).ok();
    let model = assert_sound(&learned);
    for ((topic, cosine), alpha) in matched(&model, &truth).iter().zip(alpha) {
        assert!(*cosine > 0.95, "{cosine} at the nearest topic {topic}");
        let found_alpha = model.alpha[*topic];
        assert!((0.85..1.4).contains(&(found_alpha / alpha)), "alpha {found_alpha} for {alpha}");
    }
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
        for (alpha, method) in [
            ("0.1", "--eta=learned"),
            ("learned", "--method=scvb0"),
            ("0.000001", "--eta=0.000001"),
            ("0.1", "--method=online"),
            ("learned", "--method=online"),
            ("0.000001", "--method=batch"),
            ("learned", "--method=batch"),
        ] {
            let arguments = ["lda", text(&corpus), "-k", topics, "--alpha", alpha, "--minibatch", "2", "-q"];
            alone(arguments.iter().chain(&[method, "--passes", "5", "-o", text(&model)])).ok();
            assert_eq!(assert_sound(&model).topics().to_string(), topics);
            let rows = evaluated(&model, &corpus);
            assert!(rows[0]["perplexity"].as_f64().is_none_or(|value| value.is_finite() && value > 0.999));
            assert!(rows[0]["bound"].as_f64().is_some_and(f64::is_finite));
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
    refused(&counts, &["--eta", text(&alphas)], 1, &["alphas:3"]);
    refused(&counts, &["--eta", text(&two)], 2, &["2 numbers for 30 terms"]);
    for bad in [
        &["-k", "0"][..],
        &["--passes", "0"],
        &["--burn-in", "0"],
        &["--gibbs-sweeps", "10001"],
        &["--alpha", "learned", "--gibbs-sweeps", "0"],
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
        &["--method", "online", "--gibbs-sweeps", "2"],
        &["--method", "online", "--update-every", "0"],
        &["--method", "online", "--gamma-threshold", "nan"],
        &["--method", "batch", "--staleness", "1"],
        &["--eval", text(&counts), "--eval-every", "0"],
    ] {
        refused(&counts, bad, 2, &[bad[bad.len() - 2]]);
    }
    alone(["transform", text(&model), text(&counts), "--scaled", "-o", text(&output)]).failed(2, &["--scaled"]);
    alone(["evaluate", text(&model), text(&other)]).failed(1, &["other.h5", "model.h5"]);
    alone(["topics", text(&counts)]).failed(1, &["counts.h5: holds a corpus", "LSI, LDA, NMF"]);
    if has_mpi() {
        ranks(3, ["lda", text(&empty), "-o", text(&output)]).failed_on_workers(1, &["nothing to learn"]);
        assert_all_gone(folder.path());
    }
    assert_eq!(names(folder.path()), before);
}
