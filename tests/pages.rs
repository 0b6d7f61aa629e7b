//! Pages of `corpuscle report` and what they show, in a real browser.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::browser::{chromium, visit};
use common::{alone, has_mpi, names, ranks, text};
use serde_json::json;

/// A folder with the sample corpus, split, and models of it.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.jsonl");
        bench.run(&[
            "build",
            text(&sample),
            "--id-field",
            "id",
            "--label-field",
            "label",
            "--no-below",
            "2",
            "-o",
            "corpus.h5",
        ]);
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Names of files are in the folder.
    fn arguments(&self, words: &[&str]) -> Vec<String> {
        let is_file = |word: &&str| [".h5", ".html", ".json", ".csv", ".toml"].iter().any(|end| word.ends_with(end));
        let place = |word: &&str| if is_file(word) { text(&self.at(word)).to_owned() } else { (*word).to_owned() };
        words.iter().map(place).collect()
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        alone(self.arguments(words)).ok().stdout
    }
}

#[test]
fn a_model_page_answers_to_clicks_keys_and_the_slider() {
    let bench = Bench::new();
    bench.run(&["lda", "corpus.h5", "-k", "6", "--passes", "20", "-o", "lda.h5"]);
    bench.run(&["transform", "lda.h5", "corpus.h5", "-o", "shares.h5"]);
    let evaluation = bench.run(&["evaluate", "lda.h5", "corpus.h5", "--format", "json"]);
    fs::write(bench.at("evaluation.json"), evaluation).unwrap();
    let plots = bench.at("plots");
    bench.run(&[
        "report",
        "lda.h5",
        "--documents",
        "shares.h5",
        "--evaluation",
        "evaluation.json",
        "-o",
        "topics.html",
        "--plots",
        text(&plots),
    ]);
    assert_eq!(names(&plots), ["map.png", "map.svg"]);
    let page = bench.at("topics.html");
    let Some(chromium) = chromium() else { return };
    for dark in [false, true] {
        let found = visit(
            &chromium,
            &page,
            dark,
            r##"
            const first = () => document.querySelector("#terms li b").textContent;
            const before = { heading: $("heading").textContent, first: first() };
            document.querySelector('svg [data-topic="3"]').dispatchEvent(new MouseEvent("click", { bubbles: true }));
            const clicked = $("heading").textContent;
            document.querySelector('svg [data-topic="4"]').dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
            const keyed = $("heading").textContent;
            const frequent = () => { $("lambda").value = 1; $("lambda").dispatchEvent(new Event("input")); return first(); };
            const typical = () => { $("lambda").value = 0; $("lambda").dispatchEvent(new Event("input")); return first(); };
            const terms = [frequent(), typical()];
            const head = [...document.querySelectorAll("#topics th button")].find((b) => b.textContent === "share %");
            const column = () => [...$("topics").tBodies[0].rows].map((row) => Number(row.cells[1].textContent));
            head.click(); const up = column(); head.click(); const down = column();
            $("label").value = "0"; $("label").dispatchEvent(new Event("change"));
            return { before, clicked, keyed, terms, up, down, label: column(), labels: $("labels").children.length,
              documents: $("documents").children.length, circles: document.querySelectorAll("svg circle").length,
              focusable: document.querySelectorAll('svg [tabindex="0"][role="button"][aria-label]').length,
              dark: getComputedStyle(document.body).backgroundColor, lang: document.documentElement.lang };
            "##,
        );
        assert!(found["before"]["heading"].as_str().unwrap().starts_with("Topic 0: "), "{found}");
        assert!(found["clicked"].as_str().unwrap().starts_with("Topic 3: "), "{found}");
        assert!(found["keyed"].as_str().unwrap().starts_with("Topic 4: "), "{found}");
        assert_ne!(found["terms"][0], found["terms"][1], "the slider changes the order");
        let numbers = |name: &str| -> Vec<f64> {
            found[name].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let (up, down) = (numbers("up"), numbers("down"));
        assert!(up.is_sorted() && down.iter().rev().is_sorted() && up.len() == 6, "{up:?} {down:?}");
        assert_ne!(numbers("label"), down, "shares of one label");
        assert_eq!((&found["labels"], &found["circles"], &found["focusable"]), (&json!(6), &json!(6), &json!(6)));
        assert!(found["documents"].as_u64().unwrap() >= 3);
        let back = if dark { "rgb(23, 24, 27)" } else { "rgb(255, 255, 255)" };
        assert_eq!(found["dark"], back);
    }
}

#[test]
fn an_lsi_page_shows_spectrum_residuals_and_both_ends_of_a_topic() {
    let bench = Bench::new();
    bench.run(&["tfidf", "corpus.h5", "-o", "tfidf.h5"]);
    bench.run(&["lsi", "tfidf.h5", "-k", "6", "-o", "lsi.h5"]);
    bench.run(&["transform", "lsi.h5", "tfidf.h5", "-o", "vectors.h5"]);
    bench.run(&["report", "lsi.h5", "--documents", "vectors.h5", "-o", "lsi.html"]);
    // Vectors of another model are refused, and nothing is written.
    bench.run(&["lsi", "tfidf.h5", "-k", "5", "-o", "other.h5"]);
    let wrong = bench.arguments(&["report", "other.h5", "--documents", "vectors.h5", "-o", "wrong.html"]);
    alone(wrong).failed(1, &["vectors.h5", "not made with the model", "other.h5"]);
    assert!(!bench.at("wrong.html").exists());
    let Some(chromium) = chromium() else { return };
    let found = visit(
        &chromium,
        &bench.at("lsi.html"),
        false,
        r##"
        const dots = (id) => document.querySelectorAll("#figure-" + id + " circle").length;
        $("next").click();
        return { heading: $("heading").textContent, values: dots("singular-values"), residuals: dots("residuals"),
          negative: document.querySelectorAll("#terms i.negative").length, terms: $("terms").children.length };
        "##,
    );
    assert!(found["heading"].as_str().unwrap().starts_with("Topic 1: "), "{found}");
    assert_eq!((&found["values"], &found["residuals"], &found["terms"]), (&json!(6), &json!(6), &json!(20)));
    assert!(found["negative"].as_u64().unwrap() > 0, "a topic of LSI has two ends");
}

const PIPELINE: &str = r#"
[[step]]
kind = "tfidf"
[[step]]
kind = "complement-nb"
[grid]
tfidf__smart = ["nfc", "lfc"]
complement-nb__alpha = [0.01, 0.1, 1.0]
[cv]
splits = 3
"#;

#[test]
fn a_search_page_marks_a_candidate_everywhere() {
    let bench = Bench::new();
    fs::write(bench.at("pipeline.toml"), PIPELINE).unwrap();
    for results in ["results.csv", "results.json", "results.h5"] {
        bench.run(&["search", "pipeline.toml", "corpus.h5", "-o", results, "--model-out", "best.h5"]);
    }
    bench.run(&["predict", "best.h5", "corpus.h5", "--show", "confusion", "-o", "confusion.csv"]);
    for results in ["results.json", "results.h5"] {
        bench.run(&["report", results, "-o", "other.html"]);
        assert!(fs::read_to_string(bench.at("other.html")).unwrap().contains("6 candidates"), "{results}");
    }
    bench.run(&["report", "results.csv", "--confusion", "confusion.csv", "-o", "search.html"]);
    let Some(chromium) = chromium() else { return };
    let found = visit(
        &chromium,
        &bench.at("search.html"),
        false,
        r##"
        document.querySelector('td [data-candidate="2"]').click();
        const marked = [...document.querySelectorAll(".chosen")].map((mark) => mark.localName);
        const said = $("chosen").textContent;
        const line = document.querySelector('polyline[data-candidate="4"]');
        line.dispatchEvent(new MouseEvent("click", { bubbles: true }));
        return { marked, said, then: $("chosen").textContent, rows: $("candidates").tBodies[0].rows.length,
          lines: document.querySelectorAll("polyline[data-candidate]").length,
          confusion: $("confusion").tBodies[0].rows.length };
        "##,
    );
    let marked = found["marked"].as_array().unwrap();
    for kind in ["tr", "polyline", "circle"] {
        assert!(marked.contains(&json!(kind)), "{kind}: {found}");
    }
    assert!(found["said"].as_str().unwrap().starts_with("candidate 2, "), "{found}");
    assert!(found["then"].as_str().unwrap().starts_with("candidate 4, "), "{found}");
    assert_eq!((&found["rows"], &found["lines"], &found["confusion"]), (&json!(6), &json!(6), &json!(6)));
}

#[test]
fn a_run_page_shows_what_every_rank_did() {
    let bench = Bench::new();
    bench.run(&["tfidf", "corpus.h5", "-o", "tfidf.h5"]);
    let number = if has_mpi() { 3 } else { 1 };
    ranks(number, bench.arguments(&["lsi", "tfidf.h5", "-k", "6", "-o", "lsi.h5", "--trace", "trace.json"])).ok();
    // A trace alone has no numbers to print; with the account of the run there are.
    assert_eq!(bench.run(&["report", "trace.json", "-o", "run.html"]), "");
    let printed = bench.run(&["report", "lsi.h5.run.json", "trace.json", "-o", "run.html"]);
    assert!(printed.contains("lsi"), "{printed}");
    let Some(chromium) = chromium() else { return };
    let found = visit(
        &chromium,
        &bench.at("run.html"),
        false,
        r##"
        return { rows: $("timeline-0-table").tBodies[0].rows.length,
          bars: document.querySelectorAll("#figure-timeline-0-ranks rect").length,
          figures: document.querySelectorAll("figure svg").length,
          names: document.querySelectorAll("svg[aria-label]").length };
        "##,
    );
    assert_eq!((&found["rows"], &found["figures"], &found["names"]), (&json!(number), &json!(8), &json!(8)));
    assert!(found["bars"].as_u64().unwrap() > 3, "{found}");
}

#[test]
fn what_is_no_page_is_told_in_a_line() {
    let bench = Bench::new();
    bench.run(&["tfidf", "corpus.h5", "-o", "tfidf.h5"]);
    bench.run(&["lsi", "tfidf.h5", "-k", "3", "-o", "lsi.h5"]);
    let refused = |words: &[&str], code: i32, said: &[&str]| alone(bench.arguments(words)).failed(code, said);
    refused(&["report", "lsi.h5"], 2, &["lsi.h5", "-o PAGE"]);
    refused(&["report", "tfidf.h5", "-o", "p.html"], 1, &["tfidf.h5: holds a corpus", "LSI and LDA models"]);
    refused(&["report", "lsi.h5", "lsi.h5", "-o", "p.html"], 2, &["one model"]);
    refused(&["report", "lsi.h5", "--confusion", "c.csv", "-o", "p.html"], 2, &["--confusion goes with"]);
    refused(&["report", "lsi.h5.run.json", "--documents", "v.h5", "-o", "p.html"], 2, &["--documents goes with"]);
    refused(&["report", "lsi.h5", "--evaluation", "lsi.h5.run.json", "-o", "p.html"], 1, &["corpuscle evaluate"]);
    refused(&["report", "lsi.h5", "-o", "lsi.h5"], 2, &["lsi.h5"]);
    assert!(!bench.at("p.html").exists());
}
