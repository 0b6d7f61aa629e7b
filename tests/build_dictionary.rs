//! `corpuscle build --dictionary`: text on the terms of a corpus, a model or a dictionary of gensim's.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};

use common::corpora::read_corpus;
use common::{alone, digest, has_mpi, names, ranks, text};
use corpuscle::corpus::dictionary_file::{DictionaryFile, Order};

/// Two texts with words in common, a document a line.
fn texts(folder: &Path) -> [PathBuf; 2] {
    [3, 5].map(|step| {
        let word = |at: usize| ["ship", "sea", "wind", "sail", "port", "storm", "coast", "anchor", "tide"][at % 9];
        let line = |at: usize| {
            let words =
                (0..at % 11).map(|i| format!("{} w{} ", word(at * step + i * i), ["a", "b", "cc"][(at + i) % 3]));
            format!("{}only{}\n", words.collect::<String>(), ["three", "five"][step / 5])
        };
        let path = folder.join(format!("text{step}"));
        std::fs::write(&path, (0..400).map(line).collect::<String>()).unwrap();
        path
    })
}

fn compress(bytes: &[u8], name: &str) -> Vec<u8> {
    if name.ends_with(".bz2") {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        return encoder.finish().unwrap();
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_kind_of_dictionary_gives_the_same_bytes_however_it_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let [first, second] = texts(dir.path());
    let (corpus, tfidf, weights, lsi) = (file("corpus.h5"), file("tfidf.h5"), file("weights.h5"), file("lsi.h5"));
    alone(["build", text(&first), "-o", text(&corpus), "--no-above", "0.99", "-q"]).ok();
    alone(["tfidf", text(&corpus), "-o", text(&tfidf), "--model-out", text(&weights), "-q"]).ok();
    alone(["lsi", text(&tfidf), "-k", "3", "-o", text(&lsi), "-q"]).ok();
    let (reader, documents) = read_corpus(&corpus);
    let terms = reader.terms().unwrap();

    // The same text once more: the same matrix.
    let again = file("again.h5");
    let run =
        alone(["build", text(&first), "-o", text(&again), "--dictionary", text(&corpus), "--format", "json"]).ok();
    let (reread, rebuilt) = read_corpus(&again);
    assert_eq!((reread.terms().unwrap(), &rebuilt), (terms.clone(), &documents));
    assert_eq!(reread.document_frequency().unwrap(), reader.document_frequency().unwrap());
    let table: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let kept = reader.collection_frequency().unwrap().iter().sum::<u64>();
    assert_eq!((&table[0]["tokens_kept"], &table[0]["distinct_terms"]), (&kept.into(), &serde_json::Value::Null));
    // One word is in every document: not a term, but counted among the tokens.
    assert_eq!(table[0]["tokens"], kept + 400);

    // Another text, on dictionaries of all kinds.
    let dictionary =
        DictionaryFile { documents: Some(400), document_frequency: reader.document_frequency().unwrap(), terms };
    let mut files = vec![corpus.clone(), weights.clone(), lsi.clone()];
    for (name, order) in
        [("id.txt", Order::Id), ("word.txt", Order::Word), ("wordids.txt.bz2", Order::Word), ("d.gz", Order::Id)]
    {
        let mut bytes = Vec::new();
        dictionary.write(&mut bytes, order).unwrap();
        std::fs::write(file(name), if name.ends_with(".txt") { bytes } else { compress(&bytes, name) }).unwrap();
        files.push(file(name));
    }
    let headless = std::fs::read_to_string(file("word.txt")).unwrap();
    std::fs::write(file("old.txt"), headless.split_once('\n').unwrap().1).unwrap();
    files.push(file("old.txt"));
    std::fs::write(file("list.txt"), dictionary.terms.join("\n")).unwrap();
    files.push(file("list.txt"));
    let new = file("new.h5");
    let built = |count: usize, dictionary: &Path, more: &[&str]| {
        let fixed = ["build", text(&second), text(&first), "-o", text(&new), "-q", "--dictionary", text(dictionary)];
        ranks(count, fixed.iter().chain(more)).ok();
        digest(&new)
    };
    let expected = built(1, &corpus, &["--threads", "1"]);
    for dictionary in &files {
        assert_eq!(built(1, dictionary, &["--threads", "3"]), expected, "{}", dictionary.display());
    }
    if has_mpi() {
        for (count, more) in
            [(2, vec![]), (3, vec!["--scatter"]), (5, vec!["--threads", "1"]), (3, vec!["--memory", "1"])]
        {
            assert_eq!(built(count, &lsi, &more), expected, "{count} ranks, {more:?}");
        }
    }
    let (corpus, chunk) = read_corpus(&new);
    assert_eq!((corpus.header().documents, corpus.terms().unwrap()), (800, dictionary.terms));
    assert_eq!(chunk.document(401), documents.document(1));
    assert_eq!(corpus.ids(0, 800).unwrap()[799], "799");

    // And on it goes to the vectors of new documents.
    let (weighted, vectors) = (file("new-tfidf.h5"), file("vectors.h5"));
    alone(["tfidf", text(&new), "-o", text(&weighted), "--model", text(&weights), "-q"]).ok();
    alone(["transform", text(&lsi), text(&weighted), "-o", text(&vectors), "-q"]).ok();
}

#[test]
fn terms_that_the_text_lacks_keep_their_columns() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output, list) = (dir.path().join("in"), dir.path().join("corpus.h5"), dir.path().join("terms"));
    for file in [("a/1", "new york is new\n"), ("b/2", "nothing known\n")] {
        std::fs::create_dir_all(input.join(file.0).parent().unwrap()).unwrap();
        std::fs::write(input.join(file.0), file.1).unwrap();
    }
    std::fs::write(&list, "2\n2\tnew\t1\n0\tabsent\t2\n1\tnew york\t1\n").unwrap();
    let options = ["--ngrams", "1,2", "--dictionary", text(&list), "--label-field", "folder", "-q"];
    alone(["build", text(&input), "-o", text(&output)].iter().chain(&options)).ok();
    let (corpus, chunk) = read_corpus(&output);
    assert_eq!(corpus.terms().unwrap(), ["absent", "new york", "new"]);
    assert_eq!(corpus.document_frequency().unwrap(), [0, 1, 1]);
    assert_eq!(chunk.document(0), (&[1, 2][..], &[1.0, 2.0][..]));
    assert!(chunk.document(1).0.is_empty());
    assert_eq!(corpus.labels(0, 2).unwrap().unwrap(), ["a", "b"]);
    let parameters = corpus.file().provenance().unwrap()["parameters"].clone();
    assert!(parameters["dictionary"]["terms"] == 3 && parameters.get("filter").is_none(), "{parameters}");
}

#[test]
fn other_options_of_tokens_than_the_dictionarys_are_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    let [input, _] = texts(dir.path());
    let file = |name: &str| dir.path().join(name);
    let (corpus, weighted, list, output) = (file("corpus.h5"), file("tfidf.h5"), file("terms"), file("new.h5"));
    let made = ["--no-above", "0.99", "--min-length", "1", "--stop-words", "english"];
    alone(["build", text(&input), "-o", text(&corpus), "-q"].iter().chain(&made)).ok();
    alone(["tfidf", text(&corpus), "-o", text(&weighted), "-q"]).ok();
    std::fs::write(&list, read_corpus(&corpus).0.terms().unwrap().join("\n")).unwrap();
    let warnings = |count: usize, dictionary: &Path, more: &[&str]| {
        let fixed = ["build", text(&input), "-o", text(&output), "--dictionary", text(dictionary)];
        let run = ranks(count, fixed.iter().chain(more)).ok();
        run.stderr
            .lines()
            .filter(|line| line.contains("other options of tokens"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for dictionary in [&corpus, &weighted] {
        let told = warnings(1, dictionary, &["--stop-words", "english"]);
        assert!(told.len() == 1 && told[0].ends_with("other options of tokens: --min-length 1"), "{told:?}");
        let told = warnings(1, dictionary, &["--no-lowercase", "--min-length", "1"]);
        let (_, options) = told[0].split_once("tokens: --lowercase, ").unwrap();
        assert!(told.len() == 1 && options.ends_with(" stop words") && !options.starts_with('0'), "{told:?}");
        assert!(warnings(1, dictionary, &["--min-length", "1", "--stop-words", "english"]).is_empty());
    }
    // A list does not tell how it was made.
    assert!(warnings(1, &list, &[]).is_empty());
    if has_mpi() {
        assert_eq!(warnings(3, &corpus, &["--stop-words", "english"]).len(), 1);
    }
}

#[test]
fn what_is_no_dictionary_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [input, _] = texts(dir.path());
    let list = dir.path().join("terms");
    let output = dir.path().join("corpus.h5");
    let build = |count: usize, more: &[&str]| {
        ranks(count, ["build", text(&input), "-o", text(&output), "--dictionary", text(&list)].iter().chain(more))
    };
    for count in if has_mpi() { vec![1, 3] } else { vec![1] } {
        for (bytes, says) in [
            (&b"3\n0\ta\t1\n5\tb\t1\n"[..], "terms:3: id 5 in a dictionary of 2 terms: ids must have no gaps"),
            (b"a\nb\na\n", "terms: the dictionary has the term \"a\" twice"),
            (b"\x80\x04\x95pickle", "terms: a pickled Dictionary; write it with gensim's save_as_text"),
            (b"\x89HDF\r\n\x1a\n", "terms: damaged"),
            (b"caf\xe9\n", "terms:1: is not UTF-8"),
            (b"", "terms: holds no terms"),
        ] {
            std::fs::write(&list, bytes).unwrap();
            let before = names(dir.path());
            build(count, &[]).failed(1, &[says]);
            assert_eq!(names(dir.path()), before);
        }
    }
    std::fs::write(&list, "ship\nsea\n").unwrap();
    for filter in [
        ["--no-below", "2"],
        ["--no-above", "0.9"],
        ["--keep-n", "9"],
        ["--keep-tokens", "a"],
        ["--remove-most-frequent", "1"],
    ] {
        build(1, &filter).failed(2, &["--dictionary <FILE>", filter[0]]);
    }
    std::fs::remove_file(&list).unwrap();
    build(1, &[]).failed(1, &["terms: No such file"]);
}

#[test]
fn a_file_is_not_dictionary_and_output_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let [input, _] = texts(dir.path());
    let corpus = dir.path().join("corpus.h5");
    alone(["build", text(&input), "-o", text(&corpus), "-q"]).ok();
    let before = digest(&corpus);
    alone(["build", text(&input), "-o", text(&corpus), "--dictionary", text(&corpus)])
        .failed(2, &["corpus.h5: is input and output at once"]);
    assert_eq!(digest(&corpus), before);
}
