//! `corpuscle search` and `corpuscle predict`: scikit-learn's results, the same bytes for any ranks, and what is refused.

mod common;

use common::corpora::four_topics as corpus;
use common::{alone, assert_all_gone, digest, has_mpi, names, ranks, text, write};
use corpuscle::store::file::Format;
use corpuscle::store::model::ModelReader;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

const TEXT: &str = r#"
[[step]]
kind = "terms"
no_below = 3

[[step]]
kind = "tfidf"

[[step]]
kind = "lsi"

[[step]]
kind = "scale"

[[step]]
kind = "logistic"
max_iter = 500

[grid]
tfidf__smart = ["nfc", "ltc"]
lsi__k = [20, 5]
logistic__C = { logspace = [-2, 1, 4] }

[cv]
splits = 3
shuffle = true
seed = 4

[search]
scoring = ["accuracy", "neg_log_loss"]
refit = "accuracy"
"#;

/// Rows of a CSV file by name of the column.
fn table(path: &Path) -> (Vec<String>, Vec<HashMap<String, String>>) {
    let mut reader = csv::Reader::from_path(path).expect("a table");
    let head: Vec<String> = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    let row = |record: csv::StringRecord| head.iter().cloned().zip(record.iter().map(str::to_owned)).collect();
    let rows = reader.records().map(|record| row(record.expect("a row"))).collect();
    (head, rows)
}

#[test]
fn the_same_bytes_for_any_ranks_and_the_best_is_applied() {
    let folder = tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let (corpus, pipeline) = (corpus(folder.path()), write(folder.path(), "pipeline.toml", TEXT));
    let [csv, h5, model, said] = ["results.csv", "results.h5", "best.h5", "said.csv"].map(here);
    let arguments = ["search", text(&pipeline), text(&corpus), "-o", text(&csv), "--model-out", text(&model)];
    let printed = alone(arguments).ok().stdout;
    assert!(printed.contains("logistic__C") && printed.contains("neg_log_loss"), "{printed}");
    let expected = [digest(&csv), digest(&model)];
    alone(["search", text(&pipeline), text(&corpus), "-o", text(&h5)]).ok();
    let expected_h5 = digest(&h5);
    alone(["predict", text(&model), text(&corpus), "-o", text(&said)]).ok();
    let expected_said = digest(&said);
    if has_mpi() {
        for (count, way) in [(2, "--scatter"), (3, "--quiet"), (5, "--quiet")] {
            ranks(count, arguments.into_iter().chain([way])).ok();
            assert_eq!([digest(&csv), digest(&model)], expected, "{count} ranks");
        }
        ranks(3, ["search", text(&pipeline), text(&corpus), "-o", text(&h5)]).ok();
        assert_eq!(digest(&h5), expected_h5);
        ranks(3, ["predict", text(&model), text(&corpus), "-o", text(&said)]).ok();
        assert_eq!(digest(&said), expected_said);
    }

    // 2 x 2 x 4 candidates in the order of scikit-learn's ParameterGrid, no column of times.
    let (head, rows) = table(&csv);
    assert_eq!(rows.len(), 16);
    assert!(head.iter().all(|name| !name.contains("time")));
    let first = ["", "param_logistic__C", "param_lsi__k", "param_tfidf__smart", "params", "split0_test_accuracy"];
    assert_eq!(head[..6], first);
    assert_eq!(rows[0]["params"], "{'logistic__C': 0.01, 'lsi__k': 20, 'tfidf__smart': 'nfc'}");
    assert_eq!(rows[1]["param_tfidf__smart"], "ltc");
    let best = rows.iter().find(|row| row["rank_test_accuracy"] == "1").expect("a best one");
    assert!(best["mean_test_accuracy"].parse::<f64>().unwrap() > 0.7, "{best:?}");
    let times = table(&here("results.csv.times.csv"));
    assert_eq!(times.0, ["", "mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"]);
    assert!(times.1.iter().all(|row| row["mean_fit_time"].parse::<f64>().unwrap() > 0.0));

    // The same numbers in HDF5, and in JSON.
    let reader = ModelReader::open(&h5, Format::Results).expect("results");
    let means: Vec<f64> = rows.iter().map(|row| row["mean_test_accuracy"].parse().unwrap()).collect();
    assert_eq!(reader.list::<f64>("mean_test_accuracy").expect("means"), means);
    let json_file = here("results.json");
    alone(["search", text(&pipeline), text(&corpus), "-o", text(&json_file), "--with-times"]).ok();
    let found: Value = serde_json::from_slice(&fs::read(&json_file).unwrap()).unwrap();
    assert_eq!(found["mean_test_accuracy"], json!(means));
    assert_eq!(found["params"][1]["tfidf__smart"], "ltc");
    assert!(found["mean_fit_time"][0].as_f64().unwrap() > 0.0 && !here("results.json.times.csv").exists());

    // On the rows it learned from the model is right most of the time, and the report says the same as the labels.
    let (head, rows) = table(&said);
    assert_eq!(head[..2], ["id", "label"]);
    assert_eq!(head.iter().filter(|name| name.starts_with("probability_")).count(), 4);
    let sums = rows.iter().map(|row| {
        row.iter().filter(|(name, _)| name.starts_with("prob")).map(|(_, p)| p.parse::<f64>().unwrap()).sum::<f64>()
    });
    assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-12));
    let report = alone(["predict", text(&model), text(&corpus), "--show", "report", "--format", "json"]).ok().stdout;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let accuracy =
        report.as_array().unwrap().iter().find(|row| row["class"] == "accuracy").unwrap()["recall"].as_f64().unwrap();
    let confusion =
        alone(["predict", text(&model), text(&corpus), "--show", "confusion", "--format", "json"]).ok().stdout;
    let confusion: Value = serde_json::from_str(&confusion).expect("JSON");
    let diagonal: u64 =
        confusion.as_array().unwrap().iter().map(|row| row[row["class"].as_str().unwrap()].as_u64().unwrap()).sum();
    assert!(accuracy > 0.75);
    assert_eq!(accuracy, diagonal as f64 / 400.0);
}

/// The pipeline file of a case of search.py.
fn described(case: &str) -> String {
    let scale = "[[step]]\nkind = \"scale\"\n";
    let (steps, grid, cv, search) = match case {
        "ridge" => (
            format!("{scale}[[step]]\nkind = \"ridge-classifier\"\n"),
            "ridge-classifier__alpha = [0.01, 1.0, 1000.0]\nscale__with_mean = [true, false]\n",
            "splits = 4\nshuffle = true\nseed = 5\n",
            "scoring = [\"accuracy\", \"f1_macro\", \"balanced_accuracy\"]\nrefit = \"f1_macro\"\n",
        ),
        "neighbours" => (
            format!("{scale}[[step]]\nkind = \"k-neighbours\"\n"),
            "k-neighbours__n_neighbors = [1, 3, 8]\nk-neighbours__weights = [\"uniform\", \"distance\"]\n",
            "splitter = \"k-fold\"\nsplits = 5\n",
            "",
        ),
        "logistic" => (
            format!("{scale}[[step]]\nkind = \"logistic\"\ntol = 1e-9\n"),
            "logistic__C = [0.001, 0.1, 10.0]\n",
            "splitter = \"repeated-stratified-k-fold\"\nsplits = 3\nrepeats = 2\nseed = 1\n",
            "scoring = [\"neg_log_loss\", \"roc_auc_ovr\", \"accuracy\"]\nrefit = \"neg_log_loss\"\n",
        ),
        "halving" | "aggressive" => (
            format!("{scale}[[step]]\nkind = \"logistic\"\ntol = 1e-9\n"),
            if case == "halving" {
                "logistic__C = [0.01, 0.2, 3.0]\nscale__with_std = [true, false]\n"
            } else {
                "logistic__C = [0.01, 0.04, 0.2, 0.7, 3.0, 10.0]\nscale__with_std = [true, false]\n"
            },
            "splits = 3\nshuffle = true\nseed = 1\n",
            if case == "halving" {
                "scoring = \"neg_log_loss\"\nmethod = \"halving\"\nfactor = 2\nseed = 8\n"
            } else {
                "scoring = \"neg_log_loss\"\nmethod = \"halving\"\nseed = 8\nmin_resources = 30\nmax_resources = 120\n\
                 aggressive_elimination = true\n"
            },
        ),
        _ => (
            "[[step]]\nkind = \"normalise\"\n[[step]]\nkind = \"linear-svm\"\ntol = 1e-9\n".into(),
            "linear-svm__C = [0.01, 1.0]\n",
            "splitter = \"stratified-shuffle-split\"\nsplits = 3\ntest_size = 0.3\nseed = 2\n",
            "",
        ),
    };
    format!("{steps}[grid]\n{grid}[cv]\n{cv}[search]\nreturn_train_score = true\n{search}")
}

#[test]
fn results_are_scikit_learns() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("results.json");
    let expected: Value = serde_json::from_slice(&fs::read(fixture("search.json")).unwrap()).unwrap();
    for case in ["ridge", "neighbours", "logistic", "svm", "halving", "aggressive"] {
        let pipeline = write(folder.path(), "pipeline.toml", &described(case));
        let rows = fixture("search.csv");
        alone(["search", text(&pipeline), text(&rows), "--label-field", "label", "-o", text(&out), "--with-times"])
            .ok();
        let found: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
        let expected = &expected[case];
        let sorted = |names: Vec<&str>| {
            let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            names.sort();
            names
        };
        let ours = sorted(found.as_object().unwrap().keys().map(String::as_str).collect());
        let theirs = sorted(expected["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect());
        assert_eq!(ours, theirs, "{case}: names of columns");
        for (at, params) in expected["params"].as_array().unwrap().iter().enumerate() {
            assert_eq!(found["params"][at], *params, "{case}");
        }
        for (name, list) in expected["columns"].as_object().unwrap() {
            // The same candidate on the same rows in two rounds: there equal, here to the tolerance, for it starts elsewhere.
            if case == "aggressive" && name.starts_with("rank") {
                continue;
            }
            for (at, value) in list.as_array().unwrap().iter().enumerate() {
                let (ours, theirs) = (found[name][at].as_f64().unwrap(), value.as_f64().unwrap());
                // Shares of rows are exact; log-losses are those of coefficients that iterations ended at.
                let of_loss = case == "halving" || case == "aggressive" || name.contains("neg_log_loss");
                let tolerance = if of_loss { 1e-6 } else { 1e-12 };
                assert!((ours - theirs).abs() <= tolerance, "{case}: {name}[{at}]: {ours} is not {theirs}");
            }
        }
        let run: Value =
            serde_json::from_slice(&fs::read(folder.path().join("results.json.run.json")).unwrap()).unwrap();
        assert_eq!(run["result"]["best_index"], expected["best_index"], "{case}");
    }
}

/// Drawn candidates, rounds on more and more rows, a model of the best: on any ranks, from a corpus.
#[test]
fn halving_is_the_same_on_any_ranks_and_refits_a_candidate_of_the_last_round() {
    let folder = tempdir().unwrap();
    let (corpus, out) = (corpus(folder.path()), folder.path().join("results.csv"));
    let model = folder.path().join("best.h5");
    let steps = "[[step]]\nkind = \"tfidf\"\n[[step]]\nkind = \"multinomial-nb\"\n";
    let grid = "[grid]\nmultinomial-nb__alpha = { log_uniform = [1e-3, 1e2] }\ntfidf__smart = [\"nfc\", \"nnc\"]\n";
    let search = "[search]\nmethod = \"halving\"\ncandidates = 10\nmin_resources = 60\nseed = 3\n";
    let pipeline = write(folder.path(), "pipeline.toml", &format!("{steps}{grid}[cv]\nsplits = 3\n{search}"));
    let arguments = ["search", text(&pipeline), text(&corpus), "-o", text(&out), "--model-out", text(&model)];
    let printed = alone(arguments).ok().stdout;
    assert!(printed.contains("n_resources"), "{printed}");
    let (head, rows) = table(&out);
    assert_eq!(head[1..3], ["iter", "n_resources"]);
    let sizes: Vec<(&str, &str)> = rows.iter().map(|row| (row["iter"].as_str(), row["n_resources"].as_str())).collect();
    assert_eq!(sizes, [vec![("0", "60"); 10], vec![("1", "180"); 4]].concat());
    let run: Value = serde_json::from_slice(&fs::read(folder.path().join("results.csv.run.json")).unwrap()).unwrap();
    let best = run["result"]["best_index"].as_u64().unwrap() as usize;
    assert!(best >= 10 && run["result"]["candidates"] == 10);
    assert_eq!(run["result"]["best_params"]["tfidf__smart"], rows[best]["param_tfidf__smart"]);
    let expected = [digest(&out), digest(&model)];
    if has_mpi() {
        for count in [2, 5] {
            ranks(count, arguments).ok();
            assert_eq!([digest(&out), digest(&model)], expected, "{count} ranks");
        }
    }
}

#[test]
fn one_candidates_failure_is_a_row_unless_it_is_to_end_the_search() {
    let folder = tempdir().unwrap();
    let (corpus, out) = (corpus(folder.path()), folder.path().join("results.csv"));
    let steps = "[[step]]\nkind = \"tfidf\"\n[[step]]\nkind = \"lsi\"\n[[step]]\nkind = \"nearest-centroid\"\n";
    // A fold has some 267 documents to train on.
    let text_of = |more: &str| format!("{steps}[grid]\nlsi__k = [3, 300]\n[cv]\nsplits = 3\n[search]\n{more}");
    let pipeline = write(folder.path(), "pipeline.toml", &text_of(""));
    let run = alone(["search", text(&pipeline), text(&corpus), "-o", text(&out)]).ok();
    assert!(run.stderr.contains("3 fits failed") && run.stderr.contains("-k 300: a corpus of"), "{}", run.stderr);
    let rows = table(&out).1;
    assert!(rows[0]["mean_test_score"].parse::<f64>().unwrap() > 0.5 && rows[0]["rank_test_score"] == "1");
    assert_eq!((rows[1]["mean_test_score"].as_str(), rows[1]["rank_test_score"].as_str()), ("", "2"));
    write(folder.path(), "pipeline.toml", &text_of("error_score = -1"));
    alone(["search", text(&pipeline), text(&corpus), "-o", text(&out)]).ok();
    assert_eq!(table(&out).1[1]["mean_test_score"].parse::<f64>(), Ok(-1.0));
    fs::remove_file(&out).unwrap();
    write(folder.path(), "pipeline.toml", &text_of("error_score = \"raise\""));
    alone(["search", text(&pipeline), text(&corpus), "-o", text(&out)]).failed(1, &["-k 300: a corpus of"]);
    assert!(!out.exists());
}

#[test]
fn random_candidates_are_those_of_the_seed_and_a_time_limit_is_kept() {
    let folder = tempdir().unwrap();
    let (rows, out) = (fixture("search.csv"), folder.path().join("results.csv"));
    let search = |more: &str| {
        let steps = "[[step]]\nkind = \"scale\"\n[[step]]\nkind = \"logistic\"\n";
        let grid =
            "[grid]\nlogistic__C = { log_uniform = [1e-3, 1e3] }\nlogistic__class_weight = [\"none\", \"balanced\"]\n";
        let pipeline =
            write(folder.path(), "pipeline.toml", &format!("{steps}{grid}[search]\nmethod = \"random\"\n{more}"));
        alone(["search", text(&pipeline), text(&rows), "--label-field", "label", "-o", text(&out)]).ok();
        table(&out).1
    };
    let first = search("candidates = 12\nseed = 7\n");
    let strengths: Vec<f64> = first.iter().map(|row| row["param_logistic__C"].parse().unwrap()).collect();
    assert_eq!(first.len(), 12);
    assert!(strengths.iter().all(|c| (1e-3..=1e3).contains(c)));
    assert!(strengths.iter().any(|c| *c < 0.3) && strengths.iter().any(|c| *c > 3.0), "{strengths:?}");
    assert_eq!(search("candidates = 12\nseed = 7\n"), first);
    assert_ne!(search("candidates = 12\nseed = 8\n")[0], first[0]);
    let late = search("candidates = 3\ntime_limit = 1e-9\n");
    assert!(late.iter().all(|row| row["mean_test_score"].is_empty()));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("results.csv");
    let rows = fixture("search.csv");
    let scale = "[[step]]\nkind = \"scale\"\n";
    let logistic = "[[step]]\nkind = \"logistic\"\n";
    let good = format!("{scale}{logistic}");
    let cases = [
        (format!("{scale}[[step]]\nkind = \"forest\"\n"), ":4", "no step is called \"forest\""),
        (format!("{scale}{logistic}depth = 3\n"), ":5", "logistic has no parameter depth"),
        (format!("{good}[grid]\nlogistic__C = [1.0, -2.0]\n"), ":6", "a number above 0"),
        (format!("{good}[grid]\nlogistic__C = [1.0,\n 1.0]\n"), ":7", "twice"),
        (format!("{good}[grid]\nforest__C = [1.0]\n"), ":6", "no step is called forest"),
        (format!("{good}[grid]\nlogistic__C = {{ uniform = [1, 2] }}\n"), ":6", "needs method = \"random\""),
        (format!("{good}[cv]\nsplits = 1\n"), ":6", "from 2 on"),
        (format!("{good}[cv]\nfolds = 3\n"), ":6", "[cv] has no folds"),
        (format!("{good}[search]\nscoring = [\"accuracy\",\n\"glory\"]\n"), ":7", "no score is called"),
        (format!("{good}[search]\nscoring = \"r2\"\n"), ":6", "does not predict"),
        (format!("{good}[search]\nmethod = \"halving\"\nfactor = 1\n"), ":7", "a number above 1"),
        (format!("{good}[search]\nmethod = \"halving\"\nmin_resources = \"few\"\n"), ":7", "a number of rows"),
        (format!("{good}[search]\nfactor = 2\n"), ":6", "[search] has no factor"),
        (
            format!("{good}[search]\nmethod = \"halving\"\nscoring = [\"accuracy\", \"f1_macro\"]\nrefit = false\n"),
            "",
            "one score",
        ),
        (format!("{good}[search]\nscoring = [\"accuracy\", \"f1_macro\"]\n"), "", "refit names the one"),
        (format!("{logistic}{scale}"), ":3", "nothing follows the estimator"),
        (scale.to_string(), "", "must be an estimator"),
        (format!("{good}steps = 1\n[serch]\n"), ":5", "no parameter steps"),
        (format!("{good}[grid\n"), ":5", ""),
    ];
    for (content, line, words) in cases {
        let pipeline = write(folder.path(), "bad.toml", &content);
        let place = format!("bad.toml{line}");
        alone(["search", text(&pipeline), text(&rows), "--label-field", "label", "-o", text(&out)])
            .failed(2, &[&place, words]);
    }
    let pipeline = write(folder.path(), "pipeline.toml", &good);
    let search = |data: &Path, more: &[&str]| {
        alone(["search", text(&pipeline), text(data), "-o", text(&out)].iter().chain(more))
    };
    let unlabelled = write(folder.path(), "unlabelled.csv", "a,b\n1,2\n3,4\n");
    search(&unlabelled, &[]).failed(2, &["unlabelled.csv", "no labels"]);
    let few = write(folder.path(), "few.csv", "a,y\n1,p\n2,q\n3,p\n");
    search(&few, &["--label-field", "y"]).failed(2, &["5 splits", "no class has more than 2 members"]);
    let one = write(folder.path(), "one.csv", "a,y\n1,p\n2,p\n3,p\n");
    search(&one, &["--label-field", "y"]).failed(2, &["all rows have the label \"p\""]);
    search(&rows, &["--label-field", "kind"]).failed(2, &["no field \"kind\""]);
    let short = write(folder.path(), "short.txt", "p\nq\n");
    search(&unlabelled, &["--labels", text(&write(folder.path(), "three.txt", "p\nq\np\n"))])
        .failed(1, &["3 lines for 2 rows"]);
    alone(["search", text(&pipeline), text(&rows), "--label-field", "label", "-o", "results.txt"])
        .failed(2, &[".csv, .json or .h5"]);
    let tfidf = write(folder.path(), "tfidf.toml", &format!("[[step]]\nkind = \"tfidf\"\n{logistic}"));
    alone(["search", text(&tfidf), text(&rows), "--label-field", "label", "-o", text(&out)])
        .failed(2, &["works on a corpus"]);
    assert!(!out.exists() && short.exists());
    assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')));
    assert_all_gone(folder.path());
}

#[test]
fn predictions_need_rows_of_the_kind_that_was_learned_from() {
    let folder = tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let rows = fixture("search.csv");
    let pipeline =
        write(folder.path(), "pipeline.toml", "[[step]]\nkind = \"scale\"\n[[step]]\nkind = \"linear-svm\"\n");
    let (model, out) = (here("best.h5"), here("results.csv"));
    alone([
        "search",
        text(&pipeline),
        text(&rows),
        "--label-field",
        "label",
        "-o",
        text(&out),
        "--model-out",
        text(&model),
    ])
    .ok();
    let said = alone(["predict", text(&model), text(&rows), "--label-field", "label", "--format", "csv"]).ok().stdout;
    assert!(said.starts_with("id,label,decision_low,decision_mid,decision_top\n"), "{said}");
    assert_eq!(said.lines().count(), 151);
    let corpus = corpus(folder.path());
    alone(["predict", text(&model), text(&corpus)]).failed(1, &["holds a corpus", "made for vectors"]);
    let narrow = write(folder.path(), "narrow.csv", "a,b\n1,2\n");
    alone(["predict", text(&model), text(&narrow)]).failed(1, &["rows of 2 columns", "learned from 5"]);
    let unlabelled = write(folder.path(), "new.csv", "a,b,c,d,e\n1,2,3,4,5\n");
    alone(["predict", text(&model), text(&unlabelled), "--show", "report"]).failed(2, &["no labels to compare with"]);
    alone(["predict", text(&out), text(&unlabelled)]).failed(1, &["results.csv", "not an HDF5 file"]);

    // What the estimator sees: the standardised rows.
    let [seen, scaled, scaler] = ["seen.h5", "scaled.npy", "scaler.h5"].map(here);
    alone(["transform", text(&model), text(&rows), "--label-field", "label", "-o", text(&seen)]).ok();
    alone(["scale", text(&rows), "--label-field", "label", "-o", text(&scaled), "--model-out", text(&scaler)]).ok();
    let reader = ModelReader::open(&seen, Format::Vectors).expect("vectors");
    let vectors = reader.table::<f32>("vectors").expect("a table");
    let bytes = fs::read(&scaled).unwrap();
    let length = 8 * vectors.len();
    let exact = bytes[bytes.len() - length..].as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32);
    assert_eq!(vectors.dim(), (150, 5));
    assert!(vectors.iter().copied().eq(exact));
    assert_eq!(reader.all_strings("labels").expect("labels").len(), 150);
    alone(["transform", text(&model), text(&rows), "-o", text(&here("seen.npy"))]).failed(2, &["as HDF5"]);
    alone(["transform", text(&model), text(&narrow), "-o", text(&here("no.h5"))]).failed(1, &["rows of 2 columns"]);
    assert!(!here("no.h5").exists());
}

#[test]
fn steps_that_make_no_vectors_are_no_transform() {
    let folder = tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let corpus = corpus(folder.path());
    let [csv, model, none] = ["results.csv", "best.h5", "no.h5"].map(here);
    let steps = "[[step]]\nkind = \"tfidf\"\n[[step]]\nkind = \"multinomial-nb\"\n";
    let pipeline = write(folder.path(), "pipeline.toml", steps);
    alone(["search", text(&pipeline), text(&corpus), "-o", text(&csv), "--model-out", text(&model)]).ok();
    let transform = ["transform", text(&model), text(&corpus), "-o", text(&none)];
    alone(transform).failed(2, &["make no vectors"]);
    alone(transform.into_iter().chain(["--scaled"])).failed(2, &["--scaled goes with"]);
    assert!(!none.exists());
}
