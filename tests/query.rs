//! `corpuscle index` and `query`: the neighbours, the same bytes for any ranks, texts, and what they refuse.

mod common;

use common::corpora::{documents, model, write_corpus, write_model};
use common::{Run, alone, assert_all_gone, digest, has_mpi, names, ranks, ranks_reading, text, truncated, writing};
use corpuscle::corpus::container::Values;
use corpuscle::random::Stream;
use corpuscle::store::atomic::Target;
use corpuscle::store::file::{Format, OpenFile};
use corpuscle::store::model::{ModelReader, ModelWriter};
use ndarray::Array2;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};

/// Vectors of any length, every 37th of them zero and every 50th the double of the one before.
fn vectors(rows: usize, columns: usize, purpose: &str) -> Array2<f32> {
    let mut stream = Stream::new(5, purpose, 0);
    let mut vectors = Array2::from_shape_simple_fn((rows, columns), || 3.0 * stream.normal() as f32);
    for row in 1..rows {
        if row % 37 == 0 {
            vectors.row_mut(row).fill(0.0);
        } else if row % 50 == 0 {
            let twin = 2.0 * &vectors.row(row - 1);
            vectors.row_mut(row).assign(&twin);
        }
    }
    vectors
}

fn is_zero(vectors: &Array2<f32>, row: usize) -> bool {
    vectors.row(row).iter().all(|&value| value == 0.0)
}

/// Writes a vectors file.
fn write_vectors(path: &Path, vectors: &Array2<f32>, labelled: bool) {
    let _writing = writing();
    let mut file = ModelWriter::create(Target::create(path).unwrap(), Format::Vectors).unwrap();
    file.table("vectors", vectors.view()).unwrap();
    file.strings("ids", (0..vectors.nrows()).map(|row| format!("document {row}"))).unwrap();
    if labelled {
        file.strings("labels", (0..vectors.nrows()).map(|row| format!("class {}", row % 3))).unwrap();
    }
    file.finish(&serde_json::json!({ "made by": "a test" })).unwrap();
}

/// Cosines of a query to all documents in double precision, best first; zero vectors are left out.
fn cosines(query: ndarray::ArrayView1<f32>, documents: &Array2<f32>) -> Vec<(i64, f64)> {
    let norm = |v: ndarray::ArrayView1<f32>| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let mut list: Vec<(i64, f64)> = (0i64..)
        .zip(documents.rows())
        .filter(|(_, row)| norm(*row) > 0.0)
        .map(|(number, row)| {
            let product: f64 = query.iter().zip(row).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            (number, product / norm(query) / norm(row))
        })
        .collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list
}

/// Neighbours and similarities of a file.
fn neighbours(path: &Path) -> (Array2<i64>, Array2<f32>) {
    let reader = ModelReader::open(path, Format::Neighbours).expect("neighbours");
    (reader.table("neighbours").expect("numbers"), reader.table("similarities").expect("similarities"))
}

#[test]
fn neighbours_are_those_of_an_exhaustive_search_in_double_precision() {
    let folder = tempdir().unwrap();
    let [file, asked, index, out] = ["v.h5", "q.h5", "i.h5", "n.h5"].map(|name| folder.path().join(name));
    // More than one stretch, the last block not full.
    let (documents, queries) = (vectors(9000, 23, "documents"), vectors(300, 23, "queries"));
    write_vectors(&file, &documents, true);
    write_vectors(&asked, &queries, false);
    alone(["index", text(&file), "-o", text(&index)]).ok();
    let reader = ModelReader::open(&index, Format::Index).expect("an index");
    assert_eq!(
        reader.file().unsigned("zero_vectors"),
        Ok((0..9000).filter(|&row| is_zero(&documents, row)).count() as u64)
    );
    for row in reader.table::<f32>("vectors").unwrap().rows() {
        let squared: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
        assert!(squared == 0.0 || (squared - 1.0).abs() < 1e-6);
    }
    alone(["query", text(&index), text(&asked), "--top", "7", "-o", text(&out)]).ok();
    let (numbers, similarities) = neighbours(&out);
    assert_eq!((numbers.dim(), similarities.dim()), ((300, 7), (300, 7)));
    let ids = ModelReader::open(&out, Format::Neighbours).unwrap().all_strings("ids").unwrap();
    assert_eq!(ids[299], "document 299");
    for (query, vector) in queries.rows().into_iter().enumerate() {
        if is_zero(&queries, query) {
            assert!(numbers.row(query).iter().all(|&n| n == -1) && similarities.row(query).iter().all(|&s| s == 0.0));
            continue;
        }
        let expected = cosines(vector, &documents);
        for place in 0..7 {
            let (number, similarity) = (numbers[[query, place]], f64::from(similarities[[query, place]]));
            let exact = expected.iter().find(|(document, _)| *document == number).expect("no zero vector").1;
            assert!((similarity - exact).abs() < 1e-6, "query {query}: {similarity} is not {exact}");
            assert!((exact - expected[place].1).abs() < 1e-6, "query {query}: {number} is not the {place}th");
        }
    }

    // Its own vectors: every document finds itself, or its twin of a smaller number, unless it is left out.
    alone(["query", text(&index), text(&file), "--top", "2", "-o", text(&out)]).ok();
    let (with, _) = neighbours(&out);
    alone(["query", text(&index), text(&file), "--top", "2", "--exclude-self", "-o", text(&out)]).ok();
    let (without, _) = neighbours(&out);
    for document in (1..9000).filter(|&document| !is_zero(&documents, document)) {
        let twin = document % 50 == 0;
        let before = (document + 1) % 50 == 0 && document + 1 < 9000 && !is_zero(&documents, document + 1);
        let number = document as i64;
        assert_eq!(with[[document, 0]], if twin { number - 1 } else { number }, "{document}");
        assert!(without.row(document).iter().all(|&n| n != number), "{document} is its own neighbour");
        if twin || before {
            assert_eq!(without[[document, 0]], if twin { number - 1 } else { number + 1 }, "{document}");
        } else {
            assert_eq!(without[[document, 0]], with[[document, 1]], "{document}");
        }
    }
}

#[test]
fn the_same_bytes_for_any_ranks_threads_and_ways_to_the_index() {
    let folder = tempdir().unwrap();
    let [file, asked, index, out] = ["v.h5", "q.h5", "i.h5", "n.h5"].map(|name| folder.path().join(name));
    write_vectors(&file, &vectors(40_000, 33, "documents"), true);
    write_vectors(&asked, &vectors(700, 33, "queries"), false);
    let make = ["index", text(&file), "-o", text(&index)];
    let ask = ["query", text(&index), text(&asked), "-o", text(&out)];
    alone(make).ok();
    alone(ask).ok();
    let expected = [digest(&index), digest(&out)];
    for more in [
        ["--threads", "1", "--memory", "1K"],
        ["--threads", "3", "--memory", "3M"],
        ["--first-pass", "f32", "--threads", "2"],
        ["--first-pass", "int8", "--threads", "1"],
    ] {
        alone(ask.iter().chain(&more)).ok();
        assert_eq!(digest(&out), expected[1], "{more:?}");
    }
    // A batch of one query each: thousands of neighbours would fill the memory otherwise.
    let all = ["--top", "38897"];
    alone(ask.iter().chain(&all)).ok();
    let everything = digest(&out);
    alone(ask.iter().chain(&all).chain(&["--first-pass", "f32"])).ok();
    assert_eq!(digest(&out), everything);
    if !has_mpi() {
        return;
    }
    for count in [2, 3, 5] {
        ranks(count, make).ok();
        assert_eq!(digest(&index), expected[0], "{count} ranks");
        for more in [&[][..], &["--scatter", "--threads", "2"], &["--memory", "1K"]] {
            fs::remove_file(&out).unwrap();
            let finished = ranks(count, ask.iter().chain(more)).ok();
            assert!(
                finished.stderr.contains("\nload ") && finished.stderr.contains("\nsearch "),
                "{}",
                finished.stderr
            );
            assert_eq!(digest(&out), expected[1], "{count} ranks {more:?}");
        }
    }
    ranks(3, ask.iter().chain(&all)).ok();
    assert_eq!(digest(&out), everything);
    assert_eq!(names(folder.path()), ["i.h5", "i.h5.run.json", "n.h5", "n.h5.run.json", "q.h5", "v.h5"]);
}

/// Numbers of the documents of each pair, and their similarities.
fn pairs_of(path: &Path) -> (Array2<i64>, Vec<f32>) {
    let reader = ModelReader::open(path, Format::Pairs).expect("pairs");
    (reader.table("pairs").expect("numbers"), reader.list("similarities").expect("similarities"))
}

#[test]
fn all_pairs_are_found_once_and_no_other() {
    let folder = tempdir().unwrap();
    let [file, index, out] = ["v.h5", "i.h5", "p.h5"].map(|name| folder.path().join(name));
    // More than one batch; with so few columns many are alike by chance.
    let documents = vectors(5000, 8, "documents");
    write_vectors(&file, &documents, true);
    alone(["index", text(&file), "-o", text(&index)]).ok();
    let find = ["pairs", text(&index), "--threshold", "0.96", "-o", text(&out)];
    alone(find).ok();
    let (found, similarities) = pairs_of(&out);
    let rows: Vec<(i64, i64)> = found.rows().into_iter().map(|row| (row[0], row[1])).collect();
    assert!(rows.is_sorted_by(|a, b| a < b) && rows.len() == similarities.len());
    let length = |row: usize| documents.row(row).iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let lengths: Vec<f64> = (0..5000).map(length).collect();
    let mut expected = Vec::new();
    for one in (0..5000).filter(|&row| lengths[row] > 0.0) {
        for other in (one + 1..5000).filter(|&row| lengths[row] > 0.0) {
            let products = documents
                .row(one)
                .iter()
                .zip(documents.row(other))
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum::<f64>();
            expected.push(((one as i64, other as i64), products / lengths[one] / lengths[other]));
        }
    }
    // Pairs on the threshold itself may fall to either side of it.
    let clear: Vec<_> = expected.iter().filter(|(_, cosine)| *cosine >= 0.96 + 1e-6).map(|(pair, _)| *pair).collect();
    let close = expected.iter().filter(|(_, cosine)| (cosine - 0.96).abs() < 1e-6).count();
    let (least, most) = (clear.len(), clear.len() + close);
    assert!(least > 200 && (least..=most).contains(&rows.len()), "{} of {least} to {most}", rows.len());
    assert!(clear.iter().all(|pair| rows.binary_search(pair).is_ok()));
    for (pair, similarity) in rows.iter().zip(&similarities) {
        let at = expected.binary_search_by_key(pair, |(pair, _)| *pair).expect("a pair of directions");
        assert!((expected[at].1 - f64::from(*similarity)).abs() < 1e-6 && *similarity >= 0.96);
    }

    let bytes = digest(&out);
    for more in [["--first-pass", "f32"], ["--threads", "3"], ["--memory", "1K"]] {
        alone(find.iter().chain(&more)).ok();
        assert_eq!(digest(&out), bytes, "{more:?}");
    }
    let listed = alone(["pairs", text(&index), "--threshold", "0.9999", "--format", "csv"]).ok().stdout;
    assert_eq!(listed.lines().next(), Some("id,other,label,other label,similarity"));
    let twins = |row: usize| row.is_multiple_of(50) && !row.is_multiple_of(37) && !(row - 1).is_multiple_of(37);
    for row in (1..5000).filter(|&row| twins(row)) {
        let line = format!("document {},document {row},class {},class {},", row - 1, (row - 1) % 3, row % 3);
        assert!(listed.lines().any(|listed| listed.starts_with(&line)), "{line}");
    }
    for (threshold, said) in [("0", "above 0"), ("1.5", "up to 1"), ("nan", "--threshold")] {
        alone(["pairs", text(&index), "--threshold", threshold]).failed(2, &[said]);
    }
    alone(["pairs", text(&index), "-o", text(&index)]).failed(2, &["input and output"]);
    alone(["pairs", text(&file)]).failed(1, &["v.h5: holds document vectors where an index is wanted"]);
    alone(["pairs", text(&index), "--threshold", "0.001"]).failed(1, &["--threshold"]);
    if has_mpi() {
        for count in [2, 3, 5] {
            for more in [&[][..], &["--scatter"]] {
                ranks(count, find.iter().chain(more)).ok();
                assert_eq!(digest(&out), bytes, "{count} ranks {more:?}");
            }
        }
    }
}

#[test]
fn joined_indexes_are_the_index_of_all() {
    let folder = tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let documents = vectors(9001, 12, "documents");
    let write = |name: &str, rows: std::ops::Range<usize>| {
        let _writing = writing();
        let mut file = ModelWriter::create(Target::create(path(name)).unwrap(), Format::Vectors).unwrap();
        file.table("vectors", documents.slice(ndarray::s![rows.clone(), ..])).unwrap();
        file.strings("ids", rows.map(|row| format!("document {row}"))).unwrap();
        file.finish(&serde_json::json!({ "made by": "a test" })).unwrap();
    };
    for (name, rows) in [("all.h5", 0..9001), ("a.h5", 0..1), ("b.h5", 1..8200), ("c.h5", 8200..9001)] {
        write(name, rows);
    }
    let index = |parts: &[&str], out: &str| {
        let parts = parts.iter().map(|part| path(part));
        alone(std::iter::once("index".to_owned()).chain(parts).chain(["-o".into(), path(out)]))
    };
    index(&["all.h5"], "one.h5").ok();
    index(&["a.h5", "b.h5"], "ab.h5").ok();
    index(&["ab.h5", "c.h5"], "appended.h5").ok();
    index(&["c.h5"], "ci.h5").ok();
    index(&["ab.h5", "ci.h5"], "merged.h5").ok();
    index(&["a.h5", "b.h5", "c.h5"], "parts.h5").ok();
    let read = |name: &str| {
        let reader = ModelReader::open(path(name), Format::Index).unwrap();
        let zeros = reader.file().unsigned("zero_vectors").unwrap();
        let bits: Vec<u32> = reader.table::<f32>("vectors").unwrap().iter().map(|value| value.to_bits()).collect();
        (zeros, bits, reader.all_strings("ids").unwrap())
    };
    let one = read("one.h5");
    for joined in ["appended.h5", "merged.h5", "parts.h5"] {
        assert!(read(joined) == one, "{joined}");
    }
    let ask = |index: &str, out: &str| alone(["query", &path(index), &path("c.h5"), "-o", &path(out)]).ok();
    ask("one.h5", "n1.h5");
    ask("merged.h5", "n2.h5");
    assert_eq!(neighbours(Path::new(&path("n1.h5"))), neighbours(Path::new(&path("n2.h5"))));

    write_vectors(Path::new(&path("labelled.h5")), &documents, true);
    write_vectors(Path::new(&path("narrow.h5")), &vectors(40, 11, "narrow"), false);
    index(&["ab.h5", "labelled.h5"], "x.h5").failed(1, &["labelled.h5: has labels"]);
    index(&["ab.h5", "narrow.h5"], "x.h5").failed(1, &["narrow.h5: vectors of 11 numbers", "12"]);
    index(&["ab.h5", "n1.h5"], "x.h5").failed(1, &["n1.h5: holds neighbours where"]);
    index(&[], "x.h5").failed(2, &["required"]);
    assert!(!Path::new(&path("x.h5")).exists());
}

#[test]
fn an_index_of_texts_takes_more_of_them() {
    let made = FromText::new("nfc", false);
    made.run("split weighted.h5 --test 0.3 --train-out train.h5 --test-out test.h5").ok();
    for part in ["train", "test"] {
        made.run(&format!("transform lsi.h5 {part}.h5 -o {part}-vectors.h5")).ok();
    }
    made.run("transform lsi.h5 test.h5 --scaled -o scaled.h5").ok();
    made.run("index train-vectors.h5 --model lsi.h5 -o some.h5").ok();
    made.run("index some.h5 test-vectors.h5 -o joined.h5").ok();
    let ids = ModelReader::open(made.path("test-vectors.h5"), Format::Vectors).unwrap().all_strings("ids").unwrap();
    let told = story(ids[2].parse().unwrap());
    let found = alone(["query", text(&made.path("joined.h5")), "--text", &told, "--top", "1", "--format", "csv"]).ok();
    assert_eq!(found.stdout.lines().nth(1).and_then(|line| line.split(',').nth(2)), Some(ids[2].as_str()));
    // Other models, and other ways to the same model.
    made.run("lsi weighted.h5 -k 4 -o other.h5").ok();
    made.run("transform other.h5 test.h5 -o other-vectors.h5").ok();
    made.run("tfidf counts.h5 --smart nfc --pivot 2 -o otherwise.h5").ok();
    made.run("transform lsi.h5 otherwise.h5 -o otherwise-vectors.h5").ok();
    for (part, said) in [
        ("other-vectors.h5", "numbers"),
        ("scaled.h5", "--scaled"),
        ("otherwise-vectors.h5", "weighted by another model"),
    ] {
        made.run(&format!("index some.h5 {part} -o x.h5")).failed(1, &[part, said]);
    }
    made.run("index some.h5 joined.h5 --model lsi.h5 -o x.h5").failed(2, &["--model", "leave it out"]);
}

/// A corpus from text, its model and its vectors.
struct FromText {
    folder: TempDir,
}

/// Topics of the models: enough to tell documents of one subject apart.
const TOPICS: usize = 20;

const SUBJECTS: [&str; 5] = [
    "oil pan flour salt oven",
    "train track signal driver",
    "star moon dust orbit",
    "soil seed root leaf",
    "voice bass piano chord",
];

/// A document about one subject, with words of its own.
fn story(number: u64) -> String {
    let words: Vec<&str> = SUBJECTS[number as usize % 5].split(' ').collect();
    let mut stream = Stream::new(11, "stories", number);
    let mut story = format!("Story {} has:", number % 7);
    for _ in 0..12 {
        story.push(' ');
        story.push_str(words[stream.below(words.len() as u64) as usize]);
        if stream.below(4) == 0 {
            story.push_str(&format!(" Word{}", ["a", "be", "ce", "de"][stream.below(4) as usize]));
        }
    }
    story
}

impl FromText {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &str) -> Run {
        let folder = text(self.folder.path());
        alone(arguments.split(' ').map(|word| {
            if word.ends_with(".h5") || word.ends_with(".txt") { format!("{folder}/{word}") } else { word.to_owned() }
        }))
    }

    /// Builds, weights (unless the code is "counts"), trains and transforms.
    fn new(code: &str, scaled: bool) -> FromText {
        let made = FromText { folder: tempdir().unwrap() };
        let lines: Vec<String> = (0..60).map(story).collect();
        fs::write(made.path("docs.txt"), lines.join("\n")).unwrap();
        made.run("build docs.txt --no-below 2 --no-above 0.9 -o counts.h5").ok();
        let corpus = if code == "counts" {
            "counts.h5"
        } else {
            made.run(&format!("tfidf counts.h5 --smart {code} --model-out weights.h5 -o weighted.h5")).ok();
            "weighted.h5"
        };
        made.run(&format!("lsi {corpus} -k {TOPICS} -o lsi.h5")).ok();
        made.run(&format!("transform lsi.h5 {corpus} -o vectors.h5{}", if scaled { " --scaled" } else { "" })).ok();
        made.run("index vectors.h5 --model lsi.h5 -o index.h5").ok();
        made
    }

    /// Asks the index for texts and returns numbers and similarities.
    fn ask(&self, texts: &[&str], top: usize) -> (Array2<i64>, Array2<f32>) {
        let (index, out, top) = (self.path("index.h5"), self.path("found.h5"), top.to_string());
        let texts = texts.iter().flat_map(|text| ["--text", text]);
        alone(["query", text(&index), "--top", &top, "-o", text(&out)].into_iter().chain(texts)).ok();
        neighbours(&out)
    }
}

#[test]
fn the_text_of_a_document_finds_that_document() {
    for (code, scaled) in [("nfc", false), ("Lpu", true), ("ntb", false), ("counts", true)] {
        let made = FromText::new(code, scaled);
        // The index alone knows the way from text to vector.
        for name in ["docs.txt", "counts.h5", "lsi.h5"] {
            fs::remove_file(made.path(name)).unwrap();
        }
        let texts: Vec<String> = [0, 17, 33, 59].map(story).to_vec();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (numbers, similarities) = made.ask(&texts, 60);
        for (row, document) in [0, 17, 33, 59].into_iter().enumerate() {
            assert_eq!(numbers[[row, 0]], document, "{code}");
            assert!((similarities[[row, 0]] - 1.0).abs() < 1e-5, "{code}: {}", similarities[[row, 0]]);
            // The vector of the text is that of the document, so it is as far from all others.
            let vectors: Array2<f32> =
                ModelReader::open(made.path("vectors.h5"), Format::Vectors).unwrap().table("vectors").unwrap();
            let expected = cosines(vectors.row(document as usize), &vectors);
            for (place, (_, cosine)) in expected.iter().enumerate() {
                assert!(
                    (f64::from(similarities[[row, place]]) - cosine).abs() < 1e-5,
                    "{code}: text {row}, place {place}"
                );
            }
        }
        // Unknown words do not count, and case does as little as it did for the documents.
        let (plain, _) = made.ask(&["oven flour", "OVEN xyzzy flour!"], 5);
        assert_eq!(plain.row(0), plain.row(1));
        assert_eq!(plain[[0, 0]] % 5, 0, "{code}: no document on cooking: {plain}");
    }
}

#[test]
fn a_part_of_a_corpus_keeps_its_weighting() {
    let made = FromText::new("nfc", false);
    made.run("split weighted.h5 --test 0.3 --train-out train.h5 --test-out test.h5").ok();
    made.run("lsi train.h5 -k 4 -o part.h5").ok();
    made.run("transform part.h5 test.h5 -o part-vectors.h5").ok();
    made.run("index part-vectors.h5 --model part.h5 -o part-index.h5").ok();
    let ids = ModelReader::open(made.path("part-vectors.h5"), Format::Vectors).unwrap().all_strings("ids").unwrap();
    let [index, story] = [text(&made.path("part-index.h5")).to_owned(), story(ids[3].parse().unwrap())];
    let found = alone(["query", &index, "--text", &story, "--top", "1", "--format", "json"]).ok();
    let rows: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(
        (&rows[0]["query"], &rows[0]["rank"], &rows[0]["id"]),
        (&"0".into(), &1.into(), &ids[3].as_str().into())
    );
    assert!((rows[0]["similarity"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    // How the index came about, from raw text on.
    let made_by = OpenFile::expect(&index, Format::Index).unwrap().provenance().unwrap();
    let mut at = &made_by["inputs"]["vectors"]["provenance"];
    for command in ["transform", "split", "tfidf", "build"] {
        assert_eq!((&at["command"], &at["version"]), (&command.into(), &env!("CARGO_PKG_VERSION").into()));
        at = &at["inputs"]["corpus"]["provenance"];
    }
}

#[test]
fn what_was_found_is_printed() {
    let folder = tempdir().unwrap();
    let [file, asked, index] = ["v.h5", "q.h5", "i.h5"].map(|name| folder.path().join(name));
    write_vectors(&file, &ndarray::array![[1.0, 0.0], [0.0, 0.0], [3.0, 4.0], [0.0, -2.0]], true);
    write_vectors(&asked, &ndarray::array![[2.0, 0.0], [0.0, 0.0]], false);
    alone(["index", text(&file), "-o", text(&index)]).ok();
    let ask = ["query", text(&index), text(&asked), "--top", "3"];
    let table = "query       rank  id          label    similarity\n\
                 ----------- ----- ----------- -------- -----------\n\
                 document 0      1 document 0  class 0       1.0000\n\
                 document 0      2 document 2  class 2       0.6000\n\
                 document 0      3 document 3  class 0       0.0000\n";
    let found = alone(ask).ok();
    let squeezed = |text: &str| {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.starts_with('-'))
            .collect::<Vec<_>>()
    };
    assert_eq!(squeezed(&found.stdout), squeezed(table));
    assert!(found.stderr.contains("1 of 2 queries are zero vectors"), "{}", found.stderr);
    let csv = alone(ask.iter().chain(&["--format", "csv"])).ok();
    assert_eq!(csv.stdout.lines().nth(2), Some("document 0,2,document 2,class 2,0.6"));
    if has_mpi() {
        assert_eq!(ranks(3, ask).ok().stdout, found.stdout);
    }
}

#[test]
fn what_cannot_be_answered_is_refused_in_one_line() {
    let made = FromText::new("nfc", false);
    let path = |name: &str| text(&made.path(name)).to_owned();
    // Vectors that are not finite, of another size, of another model, of documents that were no text.
    let mut odd = vectors(60, TOPICS, "odd");
    odd[[41, 2]] = f32::NAN;
    write_vectors(&made.path("odd.h5"), &odd, false);
    write_vectors(&made.path("narrow.h5"), &vectors(60, 4, "narrow"), false);
    write_vectors(&made.path("bare.h5"), &vectors(60, TOPICS, "bare"), false);
    made.run("index bare.h5 -o bare-index.h5").ok();
    made.run("lsi weighted.h5 -k 4 -o other.h5").ok();
    write_corpus(&made.path("made.h5"), &documents(40, 30, 1), Values::Counts, false);
    write_model(&made.path("made-lsi.h5"), &model(30, 3, "counts"));
    made.run("transform made-lsi.h5 made.h5 -o made-vectors.h5").ok();
    // Weighted by another model than the one that was trained on.
    made.run("tfidf counts.h5 --smart nfc --pivot 2 -o otherwise.h5").ok();
    made.run("transform lsi.h5 otherwise.h5 -o otherwise-vectors.h5").ok();
    let cut = truncated(&made.path("index.h5"));
    fs::rename(cut, made.path("cut.h5")).unwrap();

    let before = names(made.folder.path());
    let text_query = |text: &str| vec!["query".to_owned(), path("index.h5"), "--text".into(), text.into()];
    let words = |arguments: &str| -> Vec<String> {
        arguments.split(' ').map(|word| if word.ends_with(".h5") { path(word) } else { word.to_owned() }).collect()
    };
    let cases: Vec<(Vec<String>, i32, &[&str])> = vec![
        (words("index odd.h5 -o out.h5"), 1, &["odd.h5: vector 41 (id \"document 41\")", "finite"]),
        (words("query index.h5 odd.h5 -o out.h5"), 1, &["odd.h5: vector 41"]),
        (words("query index.h5 narrow.h5"), 1, &["narrow.h5: vectors of 4 numbers", "index.h5, whose vectors have 20"]),
        (words("query index.h5 vectors.h5 --top 61"), 2, &["--top 61", "at most 60 neighbours"]),
        (words("query index.h5 vectors.h5 --top 60 --exclude-self"), 2, &["--top 60", "at most 59 neighbours"]),
        (words("query bare-index.h5 vectors.h5 --top 60"), 2, &["at most 59 neighbours (60 documents, 1 of them zero"]),
        (words("query index.h5 bare.h5 --exclude-self"), 1, &["bare.h5: --exclude-self"]),
        (words("query index.h5"), 2, &["required"]),
        (words("query index.h5 vectors.h5 --text oven"), 2, &["--text", "cannot be used"]),
        (words("query index.h5 vectors.h5 --top 0"), 2, &["--top"]),
        (words("query index.h5 vectors.h5 --format csv -o out.h5"), 2, &["--format", "cannot be used"]),
        (words("query vectors.h5 vectors.h5"), 1, &["vectors.h5: holds document vectors where an index is wanted"]),
        (words("query cut.h5 vectors.h5"), 1, &["cut.h5"]),
        (words("query index.h5 vectors.h5 -o vectors.h5"), 2, &["vectors.h5: is input and output"]),
        (words("index vectors.h5 --model lsi.h5 -o lsi.h5"), 2, &["lsi.h5: is input and output"]),
        (words("index vectors.h5 --model other.h5 -o out.h5"), 1, &["other.h5: is not the model that", "vectors.h5"]),
        (words("index bare.h5 --model lsi.h5 -o out.h5"), 1, &["lsi.h5: is not the model"]),
        (
            words("index made-vectors.h5 --model made-lsi.h5 -o out.h5"),
            1,
            &["made-vectors.h5", "not made from text", "leave out --model"],
        ),
        (
            words("index otherwise-vectors.h5 --model lsi.h5 -o out.h5"),
            1,
            &["otherwise-vectors.h5", "were not weighted by", "tfidf --model"],
        ),
        (words("query bare-index.h5 --text oven"), 1, &["bare-index.h5: answers vectors only", "index --model"]),
        (text_query("xyzzy\nplugh"), 1, &["the text \"xyzzy\\nplugh\" has no term that the dictionary knows"]),
        (text_query(""), 1, &["the text \"\" has no term"]),
    ];
    for (arguments, code, said) in &cases {
        alone(arguments).failed(*code, said);
        assert_eq!(names(made.folder.path()), before, "{arguments:?}");
    }
    if !has_mpi() {
        return;
    }
    for (arguments, code, said) in cases.iter().filter(|(_, code, _)| *code == 1) {
        ranks(3, arguments).failed(*code, said);
        assert_eq!(names(made.folder.path()), before, "{arguments:?}");
    }
    assert_all_gone(made.folder.path());
}

#[test]
fn lines_of_another_program_are_answered_one_by_one() {
    let folder = tempdir().unwrap();
    let [file, index, lines] = ["v.h5", "i.h5", "lines.jsonl"].map(|name| folder.path().join(name));
    let documents = vectors(700, 9, "documents");
    write_vectors(&file, &documents, true);
    alone(["index", text(&file), "-o", text(&index)]).ok();
    let vector = |row: usize| serde_json::to_string(&documents.row(row).to_vec()).unwrap();
    let asked = [
        format!("{{\"vector\": {}, \"id\": \"mine\"}}", vector(3)),
        String::new(),
        format!("{{\"vector\": {}}}", vector(11)),
        format!("{{\"vector\": {}}}", vector(37)),
        "{\"text\": \"words\"}".to_owned(),
        "{\"vector\": [1, 2], \"id\": 5}".to_owned(),
        "no JSON".to_owned(),
        "{\"id\": null}".to_owned(),
        format!("{{\"vector\": {}}}", vector(3)),
    ];
    fs::write(&lines, asked.join("\n")).unwrap();
    let query = ["query", text(&index), "-", "--top", "2", "-q"];
    let answers = ranks_reading(1, &lines, query).ok().stdout;
    let parsed: Vec<serde_json::Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), 8);
    let names = parsed.iter().map(|answer| answer["query"].to_string()).collect::<Vec<_>>();
    assert_eq!(names, ["\"mine\"", "1", "2", "3", "5", "5", "6", "7"]);
    for (at, row) in [(0, 3), (1, 11), (7, 3)] {
        let best = &parsed[at]["neighbours"][0];
        assert_eq!(
            (&best["id"], &best["label"]),
            (&format!("document {row}").into(), &format!("class {}", row % 3).into())
        );
        let second = &cosines(documents.row(row), &documents)[1];
        let found = &parsed[at]["neighbours"][1];
        assert_eq!(found["id"], format!("document {}", second.0));
        assert!((found["similarity"].as_f64().unwrap() - second.1).abs() < 1e-6 && parsed[at]["error"].is_null());
    }
    // A vector of zeros has no neighbours; alike queries have alike answers, wherever they stand.
    assert!(is_zero(&documents, 37) && parsed[2]["neighbours"].as_array().unwrap().is_empty());
    assert_eq!(parsed[0]["neighbours"], parsed[7]["neighbours"]);
    for (at, says) in [(3, "made without a model"), (4, "2 numbers"), (5, "not a query"), (6, "either")] {
        assert!(parsed[at]["error"].as_str().unwrap().contains(says), "{}", parsed[at]);
        assert!(parsed[at]["neighbours"].is_null());
    }
    if has_mpi() {
        assert_eq!(ranks_reading(3, &lines, query).ok().stdout, answers);
    }
    for more in [["--format", "json"], ["--top", "701"]] {
        assert_eq!(ranks_reading(1, &lines, [&query[..], &more].concat()).code, Some(2));
    }
}
