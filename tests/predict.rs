//! `corpuscle predict` on raw text: what a corpus of it over the same dictionary gives, on any ranks; and what is refused.

mod common;

use common::{alone, digest, has_mpi, ranks, text};
use corpuscle::store::file::Format;
use corpuscle::store::model::ModelReader;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

const WORDS: [&str; 3] = [
    "stars telescope orbit planet comet galaxy dust observatory",
    "butter flour oven recipe dough salt sugar kitchen",
    "engine rails signal station track carriage steam timetable",
];
const LABELS: [&str; 3] = ["sky", "food", "trains"];

/// Documents as lines of JSON, of which every fifth has a word of another class, with ids and labels.
fn documents(folder: &Path, name: &str, count: usize, first: usize) -> PathBuf {
    let line = |number: usize| {
        let class = number * 7 % 3;
        let words: Vec<&str> = WORDS[class].split(' ').collect();
        let mut body: Vec<&str> =
            (0..6 + number % 5).map(|at| words[(at * at + number * 3 + at) % words.len()]).collect();
        if number.is_multiple_of(5) {
            body.push(WORDS[(class + 1) % 3].split(' ').nth(number % 8).unwrap());
        }
        json!({ "body": body.join(" "), "id": format!("d{number}"), "tag": LABELS[class] }).to_string()
    };
    let path = folder.join(name);
    let lines: Vec<String> = (first..first + count).map(line).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

#[test]
fn texts_are_predicted_as_a_corpus_of_them_is() {
    let folder = tempdir().unwrap();
    let here = |name: &str| folder.path().join(name);
    let fields = ["--text-field", "body", "--id-field", "id", "--label-field", "tag"];
    let [train, test] = [("train.jsonl", 150, 0), ("test.jsonl", 60, 1000)]
        .map(|(name, count, first)| documents(folder.path(), name, count, first));
    let [corpus, weights, new, model, out, said] =
        ["corpus.h5", "weights.h5", "new.h5", "best.h5", "results.csv", "said.csv"].map(here);
    // Stems and pairs: what cuts the texts is more than the defaults.
    let tokens = ["--stem", "english", "--ngrams", "1,2", "--no-below", "2"];
    alone(["build", text(&train), "-o", text(&corpus)].iter().chain(&fields).chain(&tokens)).ok();
    let steps = "[[step]]\nkind = \"tfidf\"\n[[step]]\nkind = \"lsi\"\nk = 5\n[[step]]\nkind = \"logistic\"\n";
    let pipeline = here("pipeline.toml");
    fs::write(&pipeline, format!("{steps}[cv]\nsplits = 3\n")).unwrap();
    alone(["search", text(&pipeline), text(&corpus), "-o", text(&out), "--model-out", text(&model)]).ok();

    let over = ["--stem", "english", "--ngrams", "1,2", "--dictionary", text(&corpus)];
    alone(["build", text(&test), "-o", text(&new)].iter().chain(&fields).chain(&over)).ok();
    alone(["predict", text(&model), text(&new), "-o", text(&said)]).ok();
    let expected = digest(&said);
    assert_eq!(fs::read_to_string(&said).unwrap().lines().count(), 61);
    let predict = ["predict", text(&model), text(&test), "-o", text(&said)];
    for count in if has_mpi() { vec![1, 2, 3, 5] } else { vec![1] } {
        fs::remove_file(&said).unwrap();
        ranks(count, predict.iter().chain(&fields)).ok();
        assert_eq!(digest(&said), expected, "{count} ranks");
    }
    // What the estimator sees of texts is what it sees of a corpus of them.
    let [seen, of_texts] = ["seen.h5", "of-texts.h5"].map(here);
    alone(["transform", text(&model), text(&new), "-o", text(&seen)]).ok();
    let parts = |path: &Path| {
        let reader = ModelReader::open(path, Format::Vectors).unwrap();
        let strings = |name| reader.all_strings(name).unwrap();
        (reader.table::<f32>("vectors").unwrap(), strings("ids"), strings("labels"))
    };
    assert_eq!(parts(&seen).0.dim(), (60, 5));
    let transform = ["transform", text(&model), text(&test), "-o", text(&of_texts)];
    alone(transform.iter().chain(&fields)).ok();
    assert_eq!(parts(&of_texts), parts(&seen));
    if has_mpi() {
        let expected = digest(&of_texts);
        ranks(3, transform.iter().chain(&fields)).ok();
        assert_eq!(digest(&of_texts), expected);
    }
    // Labels of the texts are compared with; plain lines have numbers for names.
    let report = alone(["predict", text(&model), text(&test), "--show", "report"].iter().chain(&fields)).ok().stdout;
    assert!(report.contains("trains") && report.contains("macro avg"), "{report}");
    let lines = here("lines.txt");
    fs::write(&lines, "a comet near the planet\nsalted butter and flour\n").unwrap();
    let printed = alone(["predict", text(&model), text(&lines), "--format", "csv"]).ok().stdout;
    assert!(printed.contains("\n0,sky,") && printed.contains("\n1,food,"), "{printed}");

    // A corpus of weights has no texts; vectors and corpora are no texts.
    alone(["tfidf", text(&corpus), "-o", text(&weights)]).ok();
    alone(["predict", text(&model), text(&new), "--text-field", "body"]).failed(2, &["holds a corpus", "for texts"]);
    alone(["predict", text(&model), text(&here("missing.txt"))]).failed(1, &["missing.txt"]);
    fs::write(&pipeline, "[[step]]\nkind = \"logistic\"\n[cv]\nsplits = 3\n").unwrap();
    alone(["search", text(&pipeline), text(&weights), "-o", text(&out), "--model-out", text(&model)]).ok();
    alone(["predict", text(&model), text(&lines)]).failed(1, &["corpus of weights"]);
    let svm = here("matrix.svm");
    fs::write(&svm, "a 1:1 2:1\nb 2:1 3:2\n".repeat(5)).unwrap();
    let imported = here("imported.h5");
    alone(["import", text(&svm), "--format", "svmlight", "-o", text(&imported)]).ok();
    alone(["search", text(&pipeline), text(&imported), "-o", text(&out), "--model-out", text(&model)]).ok();
    alone(["predict", text(&model), text(&lines)]).failed(1, &["not made from text"]);
}
