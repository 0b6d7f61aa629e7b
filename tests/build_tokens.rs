//! `corpuscle build`: what tokens become before they are terms - phrases as gensim finds them, stems, hashes - and that all
//! later commands cut text in the same way.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{alone, digest, has_mpi, ranks, text};
use corpuscle::corpus::container::CorpusReader;
use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/sample.jsonl");
const ALL: [&str; 7] = ["--no-below", "1", "--no-above", "1", "--keep-n", "all", "-q"];

fn build(count: usize, output: &Path, more: &[&str]) -> String {
    ranks(count, [&["build", SAMPLE, "-o", text(output)], more].concat()).ok();
    digest(output)
}

/// Terms with the number of their occurrences.
fn occurrences(corpus: &Path) -> BTreeMap<String, u64> {
    let reader = CorpusReader::open(corpus).unwrap();
    let chunk = reader.read_documents(0, reader.header().documents).unwrap();
    let mut counts = vec![0; chunk.terms as usize];
    chunk.indices.iter().zip(&chunk.data).for_each(|(&term, &count)| counts[term as usize] += count as u64);
    reader.terms().unwrap().into_iter().zip(counts).collect()
}

#[test]
fn phrases_are_gensims() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("c.h5");
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/phrases.json")).unwrap();
    assert_eq!(cases.len(), 4);
    for case in &cases {
        let (passes, threshold) = (case["passes"].to_string(), case["threshold"].to_string());
        let scoring = case["scoring"].as_str().unwrap();
        let mut more = vec!["--phrases", &passes, "--phrase-threshold", &threshold, "--phrase-scoring", scoring];
        more.extend(["--phrase-min-count", "2", "--phrase-connectors", "english"]);
        more.extend(ALL);
        let expected = build(1, &output, &more);
        let counts = occurrences(&output);
        let phrases: BTreeMap<String, u64> = serde_json::from_value(case["phrases"].clone()).unwrap();
        let found: BTreeMap<String, u64> =
            counts.iter().filter(|(term, _)| term.contains('_')).map(|(term, &count)| (term.clone(), count)).collect();
        assert_eq!(found, phrases, "{scoring} {passes}");
        assert_eq!(
            (counts.len() as u64, counts.values().sum::<u64>()),
            (case["terms"].as_u64().unwrap(), case["tokens"].as_u64().unwrap())
        );
        if has_mpi() && passes == "2" {
            assert_eq!(build(3, &output, &more), expected);
        }
    }
}

#[test]
fn phrases_go_with_the_dictionary() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1.h5"), folder.path().join("2.h5"));
    let phrases = ["--phrases", "1", "--phrase-min-count", "2", "--phrase-threshold", "1", "--stem", "english"];
    build(1, &one, &[&phrases[..], &ALL].concat());
    let run = alone(["build", SAMPLE, "-o", text(&two), "--dictionary", text(&one), "--stem", "english"]).ok();
    assert!(!run.stderr.contains("other options"), "{}", run.stderr);
    assert_eq!(occurrences(&one), occurrences(&two));
    assert!(occurrences(&one).keys().any(|term| term.contains('_')));
}

#[test]
fn hashes_need_one_pass_and_a_query_takes_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (corpus, model, vectors, index) = (file("c.h5"), file("m.h5"), file("v.h5"), file("i.h5"));
    let options = ["--hash-terms", "12", "--nfkc", "--strip-accents", "--stem", "english", "--stop-words", "english"];
    let options = [&options[..], &["--id-field", "id", "-q"]].concat();
    let expected = build(1, &corpus, &options);
    let reader = CorpusReader::open(&corpus).unwrap();
    assert_eq!((reader.header().terms, reader.terms().unwrap()[16].as_str()), (4096, "#10"));
    if has_mpi() {
        assert_eq!(build(3, &corpus, &options), expected);
    }
    alone(["lsi", text(&corpus), "-k", "5", "-o", text(&model), "-q"]).ok();
    alone(["transform", text(&model), text(&corpus), "-o", text(&vectors), "-q"]).ok();
    alone(["index", text(&vectors), "--model", text(&model), "-o", text(&index), "-q"]).ok();
    let line = std::fs::read_to_string(SAMPLE).unwrap().lines().next().unwrap().to_owned();
    let document: Value = serde_json::from_str(&line).unwrap();
    let query =
        ["query", text(&index), "--text", document["text"].as_str().unwrap(), "--top", "1", "--format", "csv", "-q"];
    let answer = alone(query).ok().stdout;
    let nearest = answer.lines().nth(1).unwrap();
    let similarity: f64 = nearest.rsplit(',').next().unwrap().parse().unwrap();
    assert!(nearest.contains(document["id"].as_str().unwrap()) && similarity > 0.9999, "{answer}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("c.h5");
    for (more, says) in [
        (&["--stem", "elvish"][..], "there is no such stemmer"),
        (&["--hash-terms", "40"], "from 1 to 24 bits"),
        (&["--phrases", "9"], "1 to 8 passes"),
        (&["--phrases", "1", "--phrase-scoring", "npmi", "--phrase-threshold", "2"], "with npmi"),
        (&["--phrase-min-count", "3"], "--phrases"),
        (&["--hash-terms", "8", "--no-below", "2"], "cannot be used with"),
    ] {
        let run = alone([&["build", SAMPLE, "-o", text(&output)], more].concat());
        assert!(run.code == Some(2) && run.stderr.contains(says), "{}", run.stderr);
        assert!(!output.exists());
    }
}
