//! `corpuscle search` over topics: scores without labels are those of `lda` and `evaluate`, topics are features, the same bytes for
//! any ranks; and `--seed`.

mod common;

use common::corpora::four_topics as corpus;
use common::{alone, digest, has_mpi, ranks, text, write};
use corpuscle::corpus::container::CorpusReader;
use corpuscle::store::file::Format;
use corpuscle::store::model::ModelReader;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn ids(path: &Path) -> Vec<String> {
    let reader = CorpusReader::open(path).unwrap();
    reader.ids(0, reader.header().documents).unwrap()
}

#[test]
fn scores_of_topics_are_those_of_lda_and_evaluate() {
    let folder = tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let corpus = corpus(folder.path());
    let [train, test, model, out, best] = ["train.h5", "test.h5", "lda.h5", "results.json", "best.h5"].map(here);
    alone(["split", text(&corpus), "--test", "0.25", "--train-out", text(&train), "--test-out", text(&test)]).ok();
    let tested: HashSet<String> = ids(&test).into_iter().collect();
    let folds: Vec<&str> = ids(&corpus).iter().map(|id| if tested.contains(id) { "0" } else { "-1" }).collect();
    let folds = write(folder.path(), "folds.txt", &folds.join("\n"));
    let pipeline = write(
        folder.path(),
        "pipeline.toml",
        "[[step]]\nkind = \"lda\"\npasses = 3\n[grid]\nlda__k = [2, 4]\nlda__alpha = [0.1, \"asymmetric\"]\n\
         [cv]\nsplitter = \"predefined-split\"\n[search]\nscoring = [\"neg_perplexity\", \"log_likelihood\", \"u_mass\"]\n\
         refit = \"log_likelihood\"\nreturn_train_score = true\n",
    );
    let arguments = [
        "search",
        text(&pipeline),
        text(&corpus),
        "--folds",
        text(&folds),
        "-o",
        text(&out),
        "--model-out",
        text(&best),
    ];
    alone(arguments).ok();
    let found = json(&out);
    let expected = [digest(&out), digest(&best)];
    if has_mpi() {
        for count in [2, 3, 5] {
            ranks(count, arguments).ok();
            assert_eq!([digest(&out), digest(&best)], expected, "{count} ranks");
        }
    }
    for candidate in 0..4 {
        let (k, alpha) = (&found["param_lda__k"][candidate], &found["param_lda__alpha"][candidate]);
        let alpha = alpha.as_str().map_or_else(|| alpha.to_string(), str::to_owned);
        alone(["lda", text(&train), "-k", &k.to_string(), "--passes", "3", "--alpha", &alpha, "-o", text(&model)]).ok();
        let of = |corpus: &Path| -> Value {
            let printed = alone(["evaluate", text(&model), text(corpus), "--format", "json"]).ok().stdout;
            serde_json::from_str(&printed).unwrap()
        };
        for (part, documents) in [("split0_test", &test), ("split0_train", &train)] {
            let rows = of(documents);
            let topics = rows.as_array().unwrap();
            let mean = |name: &str| {
                topics.iter().map(|topic| topic[name].as_f64().unwrap()).sum::<f64>() / topics.len() as f64
            };
            let score = |name: &str| found[format!("{part}_{name}")][candidate].as_f64().unwrap();
            let (perplexity, coherence) = (topics[0]["perplexity"].as_f64().unwrap(), mean("u_mass"));
            let close =
                |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 * b.abs(), "{part} {candidate}: {a} is not {b}");
            close(-score("neg_perplexity"), perplexity);
            close(-score("log_likelihood"), perplexity.ln());
            close(score("u_mass"), coherence);
        }
    }
    let run = json(&here("results.json.run.json"));
    let best_of = found["rank_test_log_likelihood"].as_array().unwrap().iter().position(|rank| *rank == 1);
    assert_eq!(run["result"]["best_index"].as_u64().map(|index| index as usize), best_of);
    alone(["predict", text(&best), text(&corpus)]).failed(2, &["ends in topics", "nothing to predict"]);

    // Its vectors are the shares that the same model, trained by itself, gives.
    let best_of = best_of.unwrap();
    let (k, alpha) = (&found["param_lda__k"][best_of], &found["param_lda__alpha"][best_of]);
    let alpha = alpha.as_str().map_or_else(|| alpha.to_string(), str::to_owned);
    alone(["lda", text(&corpus), "-k", &k.to_string(), "--passes", "3", "--alpha", &alpha, "-o", text(&model)]).ok();
    let [seen, shares] = ["seen.h5", "shares.h5"].map(here);
    alone(["transform", text(&best), text(&corpus), "-o", text(&seen)]).ok();
    alone(["transform", text(&model), text(&corpus), "-o", text(&shares)]).ok();
    let vectors = |path: &Path| {
        let reader = ModelReader::open(path, Format::Vectors).unwrap();
        (reader.table::<f32>("vectors").unwrap(), reader.all_strings("ids").unwrap())
    };
    assert_eq!(vectors(&seen), vectors(&shares));
    if has_mpi() {
        let alone = digest(&seen);
        for count in [2, 3, 5] {
            ranks(count, ["transform", text(&best), text(&corpus), "-o", text(&seen)]).ok();
            assert_eq!(digest(&seen), alone, "{count} ranks");
        }
    }
}

#[test]
fn topics_are_features_of_a_classifier_on_any_ranks() {
    let folder = tempdir().unwrap();
    let corpus = corpus(folder.path());
    let [out, best] = ["results.csv", "best.h5"].map(|name| folder.path().join(name));
    let pipeline = write(
        folder.path(),
        "pipeline.toml",
        "[[step]]\nkind = \"terms\"\nno_below = 2\n[[step]]\nkind = \"lda\"\npasses = 20\n[[step]]\nkind = \"scale\"\n\
         [[step]]\nkind = \"logistic\"\n[grid]\nlda__k = [2, 4]\nlogistic__C = [0.1, 1.0]\n[cv]\nsplits = 3\n",
    );
    let arguments = ["search", text(&pipeline), text(&corpus), "-o", text(&out), "--model-out", text(&best)];
    alone(arguments).ok();
    let expected = [digest(&out), digest(&best)];
    if has_mpi() {
        for count in [2, 3, 5] {
            ranks(count, arguments).ok();
            assert_eq!([digest(&out), digest(&best)], expected, "{count} ranks");
        }
    }
    let run = json(&folder.path().join("results.csv.run.json"));
    assert_eq!(run["result"]["best_params"]["lda__k"], 4);
    assert!(run["result"]["best_score"].as_f64().unwrap() > 0.5, "{run}");
    let report = alone(["predict", text(&best), text(&corpus), "--show", "report", "--format", "json"]).ok().stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let accuracy = report.as_array().unwrap().iter().find(|row| row["class"] == "accuracy").unwrap();
    assert!(accuracy["recall"].as_f64().unwrap() > 0.5);
}

#[test]
fn what_does_not_fit_topics_is_refused() {
    let folder = tempdir().unwrap();
    let corpus = corpus(folder.path());
    let out = folder.path().join("results.csv");
    let lda = "[[step]]\nkind = \"lda\"\n";
    for (content, line, words) in [
        (format!("[[step]]\nkind = \"tfidf\"\n{lda}"), ":3", "lda takes counts"),
        (format!("{lda}[[step]]\nkind = \"lsi\"\n"), ":3", "not with lda"),
        (format!("{lda}alpha = \"auto\"\n"), ":3", "one of default, asymmetric, learned"),
        (format!("{lda}alpha = 0\n"), ":3", "a number from 0.000001"),
        (format!("{lda}[search]\nscoring = \"accuracy\"\n"), ":4", "it ends in topics"),
        (format!("{lda}[[step]]\nkind = \"logistic\"\n[search]\nscoring = \"u_mass\"\n"), ":6", "score of topics"),
    ] {
        let pipeline = write(folder.path(), "bad.toml", &content);
        let place = format!("bad.toml{line}");
        alone(["search", text(&pipeline), text(&corpus), "-o", text(&out)]).failed(2, &[&place, words]);
    }
    // Options of another method are found out where a candidate is put together.
    let pipeline =
        write(folder.path(), "method.toml", &format!("{lda}iterations = 9\n[search]\nerror_score = \"raise\"\n"));
    alone(["search", text(&pipeline), text(&corpus), "-o", text(&out)]).failed(1, &["--iterations goes with"]);
    let weighted = folder.path().join("weighted.h5");
    alone(["tfidf", text(&corpus), "-o", text(&weighted)]).ok();
    let pipeline = write(folder.path(), "lda.toml", lda);
    alone(["search", text(&pipeline), text(&weighted), "-o", text(&out)]).failed(2, &["lda works on counts"]);
    let stratified = write(folder.path(), "cv.toml", &format!("{lda}[cv]\nsplitter = \"group-k-fold\"\n"));
    alone(["search", text(&stratified), text(&corpus), "-o", text(&out)]).failed(2, &["needs --groups"]);
    assert!(!out.exists());
}

#[test]
fn the_seed_of_the_command_is_that_of_all_without_one() {
    let folder = tempdir().unwrap();
    let corpus = corpus(folder.path());
    let out = folder.path().join("results.json");
    // Folds, draws and topics: each of them with its seed in the file, or not.
    let pipeline = |seeds: [&str; 3]| {
        let content = format!(
            "[[step]]\nkind = \"lda\"\npasses = 1\n{}\n[grid]\nlda__k = {{ integers = [2, 200] }}\n\
             [cv]\nsplits = 2\nshuffle = true\n{}\n[search]\nmethod = \"random\"\ncandidates = 2\n{}\n",
            seeds[0], seeds[1], seeds[2]
        );
        write(folder.path(), "pipeline.toml", &content)
    };
    let found = |seeds: [&str; 3], seed: &str| {
        alone(["search", text(&pipeline(seeds)), text(&corpus), "-o", text(&out), "--seed", seed]).ok();
        let found = json(&out);
        (found["param_lda__k"].clone(), found["split0_test_score"].clone())
    };
    let unset = ["", "", ""];
    let five = ["seed = 5", "seed = 5", "seed = 5"];
    let usual = found(unset, "5");
    assert_eq!(usual, found(five, "5"));
    let other = found(unset, "6");
    assert_ne!(usual.0, other.0, "draws");
    // What the file says holds, one by one: topics and folds change the scores, draws the candidates.
    let drawn = found(["", "", "seed = 5"], "6");
    assert_eq!(drawn.0, usual.0);
    let folds = found(["", "seed = 5", "seed = 5"], "6");
    assert!(drawn.1 != usual.1 && folds.1 != drawn.1 && folds.1 != usual.1);
    alone(["search", text(&pipeline(unset)), text(&corpus), "-o", text(&out), "--seed", "4294967296"])
        .failed(2, &["--seed 4294967296", "4294967295"]);
}
