//! What the terms of a corpus are: stop words, n-grams, terms to keep and most frequent ones, as gensim and scikit-learn
//! have them; the same bytes however it is run.

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::corpora::read_corpus;
use common::{alone, digest, has_mpi, names, ranks, text};

const ALL: [&str; 6] = ["--no-below", "1", "--no-above", "1", "--keep-n", "all"];

fn texts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/text/texts.txt")
}

/// A row for each nonzero: document, term, count; sorted.
fn counts(corpus: &Path) -> String {
    let (corpus, chunk) = read_corpus(corpus);
    let terms = corpus.terms().unwrap();
    let mut rows = Vec::new();
    for document in 0..chunk.documents() {
        let (numbers, values) = chunk.document(document);
        rows.extend(numbers.iter().zip(values).map(|(&term, &count)| (document, &terms[term as usize], count)));
    }
    rows.sort_by_key(|&(document, term, _)| (document, term));
    rows.iter().fold(String::new(), |mut all, (document, term, count)| {
        writeln!(all, "{document}\t{term}\t{count}").unwrap();
        all
    })
}

#[test]
fn ngrams_and_stop_words_are_those_of_count_vectorizer() {
    let dir = tempfile::tempdir().unwrap();
    let (output, list) = (dir.path().join("corpus.h5"), dir.path().join("stop.txt"));
    std::fs::write(&list, "river\nthe\n\nFire_side\nморе\n").unwrap();
    for (range, stop, expected) in [
        ("1,2", false, include_str!("fixtures/text/ngrams-1-2.tsv")),
        ("1,3", true, include_str!("fixtures/text/ngrams-1-3-stop.tsv")),
        ("2,2", true, include_str!("fixtures/text/ngrams-2-2-stop.tsv")),
    ] {
        let stop_words = ["--stop-words", text(&list)];
        let stop_words = if stop { &stop_words[..] } else { &[] };
        let fixed = ["build", text(&texts()), "-o", text(&output), "-q", "--ngrams", range].map(str::to_owned);
        let arguments = fixed.iter().map(String::as_str).chain(ALL).chain(stop_words.iter().copied());
        alone(arguments.clone()).ok();
        assert_eq!(counts(&output), expected, "{range}");
        // Joined otherwise, and by several ranks.
        if has_mpi() {
            let one = digest(&output);
            ranks(3, arguments.clone().chain(["--scatter"])).ok();
            assert_eq!(digest(&output), one);
        }
        alone(arguments.chain(["--ngram-separator", "+"])).ok();
        let joined = expected.lines().map(|line| {
            let fields = line.split('\t').collect::<Vec<_>>();
            format!("{}\t{}\t{}\n", fields[0], fields[1].replace(' ', "+"), fields[2])
        });
        let mut joined = joined.collect::<Vec<_>>();
        let mut found = counts(&output).lines().map(|line| format!("{line}\n")).collect::<Vec<_>>();
        joined.sort();
        found.sort();
        assert_eq!(found, joined);
    }
}

#[test]
fn terms_to_keep_and_most_frequent_ones_are_gensims() {
    let dir = tempfile::tempdir().unwrap();
    let (output, list) = (dir.path().join("corpus.h5"), dir.path().join("keep.txt"));
    std::fs::write(&list, "brown\nStone\n").unwrap();
    let rules = ["--remove-most-frequent", "1", "--no-below", "2", "--no-above", "0.5", "--keep-n", "7"];
    let keep = ["--keep-tokens", "river, Brown,stone,absent"];
    let keep_file = format!("@{}", text(&list));
    let keep_both = ["--keep-tokens", "river,absent", "--keep-tokens", &keep_file];
    let build = |count: usize, keep: &[&str]| {
        ranks(count, ["build", text(&texts()), "-o", text(&output), "-q"].iter().chain(&rules).chain(keep)).ok();
        digest(&output)
    };
    let expected = build(1, &keep);
    let (corpus, _) = read_corpus(&output);
    let rows = corpus.terms().unwrap().into_iter().zip(corpus.document_frequency().unwrap()).enumerate();
    let rows = rows.map(|(number, (term, df))| format!("{number}\t{term}\t{df}\n")).collect::<String>();
    assert_eq!(rows, include_str!("fixtures/text/choice-all.tsv"));
    let filter = corpus.file().provenance().unwrap()["parameters"]["filter"].clone();
    assert_eq!(filter["keep_tokens"], serde_json::json!(["absent", "brown", "river", "stone"]));
    assert_eq!(filter["remove_most_frequent"], 1);
    // It does not matter where the words came from.
    assert_eq!(build(1, &keep_both), expected);
    if has_mpi() {
        assert_eq!(build(3, &keep_both), expected);
        assert_eq!(build(2, &keep), expected);
    }
}

#[test]
fn stop_words_of_a_language_and_of_files_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output, list) = (dir.path().join("a.txt"), dir.path().join("corpus.h5"), dir.path().join("stop.txt"));
    std::fs::write(&input, "The cat and the dog were not on the mat\nDer Hund und die Katze sind nicht da\n").unwrap();
    std::fs::write(&list, "MAT\n").unwrap();
    let terms = |lists: &[&str]| {
        let lists = lists.iter().flat_map(|list| ["--stop-words", list]);
        alone(["build", text(&input), "-o", text(&output), "-q"].into_iter().chain(ALL).chain(lists)).ok();
        read_corpus(&output).0.terms().unwrap().join(" ")
    };
    assert_eq!(terms(&["english"]), "cat dog mat da der die hund katze nicht sind und");
    assert_eq!(terms(&["EN", "German", text(&list)]), "cat dog hund katze");
    let twice = digest(&output);
    assert_eq!(terms(&["de", text(&list), "en", "en"]), "cat dog hund katze");
    assert_eq!(digest(&output), twice);
}

#[test]
fn values_that_cannot_be_parsed_are_refused() {
    for (options, says) in [
        (["--ngrams", "2"], "such as 1,2"),
        (["--ngrams", "1,256"], "such as 1,2"),
        (["--ngram-separator", "_"], "not provided"),
        (["--keep-tokens", " ,"], "at least one term"),
    ] {
        alone(["build", "in.txt", "-o", "out.h5"].iter().chain(&options)).failed(2, &[says]);
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output, empty) = (dir.path().join("a.txt"), dir.path().join("corpus.h5"), dir.path().join("empty"));
    std::fs::write(&input, "some words\nmore words\n").unwrap();
    std::fs::write(&empty, "\n \n").unwrap();
    let absent = format!("@{}", text(&dir.path().join("absent")));
    let before = names(dir.path());
    for count in if has_mpi() { vec![1, 3] } else { vec![1] } {
        for (options, code, says) in [
            (["--stop-words", "elvish"], 2, "--stop-words elvish: neither a file nor a language; languages are: Afri"),
            (["--stop-words", text(&empty)], 1, "empty: holds no words"),
            (["--stop-words", text(dir.path())], 1, "is a folder"),
            (["--ngrams", "2,1"], 2, "--ngrams 2,1"),
            (["--ngrams", "0,1"], 2, "--ngrams 0,1"),
            (["--keep-tokens", &absent], 1, "absent: No such file"),
            (["--remove-most-frequent", "99"], 1, "lower --remove-most-frequent 99"),
        ] {
            ranks(count, ["build", text(&input), "-o", text(&output)].iter().chain(&options)).failed(code, &[says]);
            assert_eq!(names(dir.path()), before);
        }
        let separated = ["--ngrams", "1,2", "--ngram-separator", "\t"];
        ranks(count, ["build", text(&input), "-o", text(&output)].iter().chain(&separated))
            .failed(2, &["--ngram-separator \"\\t\""]);
    }
}
