//! What is said of LDA models: perplexity, bound, coherence, distances and the order of topics, against oracles and gensim.

mod common;

use common::corpora::{dictionary, documents, read_corpus, write_corpus};
use common::topics::{assert_sound, evaluated, generated};
use common::{alone, has_mpi, ranks, text};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::Values;
use corpuscle::lda::bound::Bound;
use corpuscle::lda::coherence::{NARROW_WINDOW, OTHER, Pairs, WIDE_WINDOW};
use corpuscle::lda::completion::first_half;
use corpuscle::lda::difference::{Distance, differences};
use corpuscle::lda::model::{History, LdaModel, Shared};
use corpuscle::lda::params::Eta;
use corpuscle::lda::topics::leading_terms;
use corpuscle::linalg::Aligned;
use corpuscle::linalg::fixed::wide;
use corpuscle::linalg::variational::Until;
use corpuscle::random::Stream;
use corpuscle::store::file::Format;
use corpuscle::store::model::ModelReader;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::tempdir;

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
