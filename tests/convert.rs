//! `import`, `generate`, `split` and `info` through the binary: what comes out, the same bytes for any ranks, and what they
//! refuse.

mod common;

use common::corpora::{dictionary, documents, read_corpus, write_corpus};
use common::{alone, assert_all_gone, digest, has_mpi, names, ranks, text, truncated, writing};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::Values;
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use tempfile::tempdir;

const BANNER: &str = "%%MatrixMarket matrix coordinate real general\n";

/// Runs a command alone, then as 2, 3 and 5 ranks with and without `--scatter`: its results must be the same bytes.
fn same_for_any_ranks(arguments: &[&str], results: &[&Path]) {
    let digests = || -> Vec<String> { results.iter().map(|path| digest(path)).collect() };
    alone(arguments).ok();
    let expected = digests();
    // Less is refused for some of the commands.
    alone(arguments.iter().chain(&["--threads", "2", "--memory", "40M"])).ok();
    assert_eq!(digests(), expected, "two threads, little memory");
    if !has_mpi() {
        return;
    }
    for count in [2, 3, 5] {
        for scatter in [None, Some(&"--scatter")] {
            results.iter().for_each(|path| fs::remove_file(path).unwrap());
            ranks(count, arguments.iter().chain(scatter)).ok();
            assert_eq!(digests(), expected, "{count} ranks {scatter:?}");
        }
    }
}

fn gzip(path: &Path, content: &[u8]) {
    let _writing = writing();
    let mut encoder = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap();
}

/// A corpus as a MatrixMarket file, indices from 1.
fn matrix_market(chunk: &CsrChunk) -> String {
    let mut file = format!("{BANNER}{} {} {}\n", chunk.documents(), chunk.terms, chunk.nonzeros());
    for row in 0..chunk.documents() {
        let (terms, values) = chunk.document(row);
        terms.iter().zip(values).for_each(|(term, value)| writeln!(file, "{} {} {value}", row + 1, term + 1).unwrap());
    }
    file
}

#[test]
fn import_gives_the_same_bytes_for_any_ranks() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (plain, packed, corpus) = (file("matrix.mtx"), file("matrix.mtx.gz"), file("corpus.h5"));
    let chunk = documents(30_000, 4000, 1);
    let content = matrix_market(&chunk);
    // Workers get pieces of 4 MiB.
    assert!(content.len() > 3 * (4 << 20), "too few pieces: {} bytes", content.len());
    fs::write(&plain, &content).unwrap();
    gzip(&packed, content.as_bytes());
    for input in [&plain, &packed] {
        same_for_any_ranks(&["import", text(input), "-o", text(&corpus)], &[&corpus]);
        // The seals of the two differ: the provenance has the checksum of the file that was read.
        let (reader, imported) = read_corpus(&corpus);
        assert!(imported == chunk, "{}", input.display());
        assert_eq!(reader.ids(24_998, 2).unwrap(), ["document24998", "document24999"]);
        assert_eq!(reader.terms().unwrap()[3999], "term3999");
    }
}

#[test]
fn small_matrices_come_through_exactly() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (matrix, corpus) = (file("matrix.mtx"), file("corpus.h5"));
    // Documents 0 and 3 of five are empty, and so is the last one.
    let counts: &[(u32, u32, f32)] = &[(1, 0, 2.0), (1, 3, 1.0), (2, 1, 7.0)];
    let weights: &[(u32, u32, f32)] = &[(1, 0, 0.5), (1, 3, 1.0), (2, 1, 1e-3)];
    let negative: &[(u32, u32, f32)] = &[(1, 0, 2.0), (1, 3, 1.0), (2, 1, -7.0)];
    // Gensim leaves room in the size line and fills it in when it knows the sizes.
    let padded = format!("{:<50}\n", "5 4 3");
    let cases = [
        (format!("{BANNER}{padded}2 1 2\n2 4 1\n3 2 7\n"), counts),
        (format!("{BANNER}% a comment\n\n5 4 3\n3 2 7\n2 4 1\n% another\n\n2 1 2.0"), counts),
        (format!("{BANNER}5 4 4\n2 4 1\r\n3 2 7e0\r\n1 1 0\r\n2 1 2\r\n"), counts),
        (format!("{BANNER}{padded}2 1 0.5\n2 4 1\n3 2 1e-3\n"), weights),
        // What makes them weights comes last.
        (format!("{BANNER}5 4 3\n2 1 2\n2 4 1\n3 2 -7\n"), negative),
        (format!("{BANNER}5 4 3\n2 4 1\n3 2 0.001\n2 1 .5\n"), weights),
    ];
    for (content, expected) in cases {
        fs::write(&matrix, &content).unwrap();
        alone(["import", text(&matrix), "-o", text(&corpus)]).ok();
        let (reader, chunk) = read_corpus(&corpus);
        let header = reader.header();
        assert_eq!((header.documents, header.terms, header.nonzeros, header.labelled), (5, 4, 3, false), "{content}");
        let values = if expected == counts { Values::Counts } else { Values::Weights("unknown".into()) };
        assert_eq!(header.values, values, "{content}");
        let found: Vec<(u32, u32, f32)> = (0..5)
            .flat_map(|row| {
                let (terms, values) = chunk.document(row);
                terms.iter().zip(values).map(move |(&term, &value)| (row as u32, term, value))
            })
            .collect();
        assert_eq!(found, expected, "{content}");
        assert_eq!(reader.terms().unwrap(), ["term0", "term1", "term2", "term3"]);
    }
}

#[test]
fn terms_ids_and_labels_come_from_their_files() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [matrix, plain, gensim, ids, labels, corpus] =
        ["matrix.mtx", "plain.txt", "gensim.txt", "ids.txt", "labels.txt", "corpus.h5"].map(file);
    fs::write(&matrix, format!("{BANNER}3 3 2\n1 1 1\n3 3 4\n")).unwrap();
    fs::write(&plain, "zebra\närger\nnew york\n").unwrap();
    fs::write(&gensim, "3\n2\tnew york\t1\n0\tzebra\t1\n1\tärger\t0\n").unwrap();
    fs::write(&ids, "a\nb\nc\n").unwrap();
    fs::write(&labels, "x\ny\nx\n").unwrap();
    let [matrix, ids, labels, out] = [&matrix, &ids, &labels, &corpus].map(|path| text(path));
    for terms in [&plain, &gensim] {
        let options = ["--dictionary", text(terms), "--ids", ids, "--labels", labels];
        alone(["import", matrix, "-o", out].iter().chain(&options)).ok();
        let (reader, _) = read_corpus(&corpus);
        assert_eq!(reader.terms().unwrap(), ["zebra", "ärger", "new york"], "{}", terms.display());
        assert_eq!(reader.document_frequency().unwrap(), [1, 0, 1]);
        assert_eq!(reader.collection_frequency().unwrap(), [1, 0, 4]);
        assert_eq!(reader.ids(0, 3).unwrap(), ["a", "b", "c"]);
        assert_eq!(reader.labels(0, 3).unwrap().unwrap(), ["x", "y", "x"]);
    }
}

#[test]
fn bad_matrices_are_named_and_leave_nothing_behind() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let put = |name: &str, content: &str| fs::write(file(name), content).unwrap();
    let body = |lines: &str| format!("{BANNER}3 4 2\n1 1 1\n{lines}");
    put("good.mtx", &body("2 2 1\n"));
    put("short.txt", "one\ntwo\n");
    // The file, and what is said of it.
    let contents: [(&str, String, &str); 10] = [
        ("nan.mtx", body("2 2 nan\n"), "nan.mtx:4: "),
        ("infinite.mtx", body("2 2 1e999\n"), "infinite.mtx:4: "),
        ("row.mtx", body("4 2 1\n"), "row.mtx:4: document \"4\" is no number from 1 to 3"),
        ("column.mtx", body("2 5 1\n"), "column.mtx:4: term \"5\" is no number from 1 to 4"),
        ("zero.mtx", body("2 0 1\n"), "zero.mtx:4: term \"0\" is no number from 1 to 4"),
        ("twice.mtx", body("1 1 2\n"), "twice.mtx:4: "),
        ("fewer.mtx", body(""), "fewer.mtx: ends after 1 of 2 entries"),
        ("more.mtx", body("2 2 1\n3 3 1\n"), "more.mtx:5: more entries than the 2 announced"),
        ("junk.mtx", "once upon a time\n".into(), "junk.mtx:1: not a MatrixMarket file"),
        ("words.mtx", body("two 2 1\n"), "words.mtx:4: "),
    ];
    contents.iter().for_each(|(name, content, _)| put(name, content));
    put("empty.mtx", "");
    gzip(&file("whole.gz"), matrix_market(&documents(300, 200, 2)).as_bytes());
    truncated(&file("whole.gz"));
    let before = names(folder.path());

    let (out, homeless) = (file("corpus.h5"), file("no/such/corpus.h5"));
    let mut cases: Vec<(i32, String, Vec<String>)> = Vec::new();
    let mut case = |code, words: &str, input: &str, output: &Path, more: &[&str]| {
        let input = file(input);
        let arguments = ["import", text(&input), "-o", text(output)];
        cases.push((code, words.into(), arguments.iter().chain(more).map(|word| word.to_string()).collect()));
    };
    contents.iter().for_each(|(name, _, words)| case(1, words, name, &out, &[]));
    case(1, "empty.mtx", "empty.mtx", &out, &[]);
    case(1, "missing.mtx", "missing.mtx", &out, &[]);
    case(1, "whole.cut", "whole.cut", &out, &[]);
    case(1, "no/such/corpus.h5", "good.mtx", &homeless, &[]);
    case(2, "is a directory", "good.mtx", folder.path(), &[]);
    let short = file("short.txt");
    case(1, "short.txt: 2 terms for a matrix of 4 columns", "good.mtx", &out, &["--dictionary", text(&short)]);
    case(1, "short.txt:3: ", "good.mtx", &out, &["--ids", text(&short)]);
    case(2, "--format", "good.mtx", &out, &["--format", "arff"]);
    for count in [1, 3] {
        if count > 1 && !has_mpi() {
            break;
        }
        for (code, words, arguments) in &cases {
            ranks(count, arguments).failed(*code, &[words]);
            assert_eq!(names(folder.path()), before, "{count} ranks, {arguments:?}");
            if count > 1 {
                assert_all_gone(folder.path());
            }
        }
    }
}

#[test]
fn generate_depends_on_the_seed_alone() {
    let folder = tempdir().unwrap();
    let [one, again, other] = ["one.h5", "again.h5", "other.h5"].map(|name| folder.path().join(name));
    let sizes = ["--documents", "30000", "--terms", "2000", "--topics", "8", "--mean-length", "150"];
    let generate = |output, seed| [&["generate", "-o", output, "--seed", seed], &sizes[..]].concat();
    same_for_any_ranks(&generate(text(&one), "5"), &[&one]);
    alone(generate(text(&again), "5")).ok();
    alone(generate(text(&other), "6")).ok();
    assert_eq!(digest(&again), digest(&one));
    let ((reader, chunk), (_, different)) = (read_corpus(&one), read_corpus(&other));
    assert!(chunk != different, "another seed, other documents");
    assert_eq!((reader.header().documents, reader.header().terms), (30_000, 2000));
    let labels: BTreeSet<String> = reader.labels(0, 30_000).unwrap().unwrap().into_iter().collect();
    assert_eq!(labels.len(), 8);
    let tokens: f64 = chunk.data.iter().map(|&count| f64::from(count)).sum();
    // Log-normal lengths with sigma 0.5 deviate by 53 % of their mean, that of 30,000 by 0.3 %: five of these.
    assert!((tokens / 30_000.0 / 150.0 - 1.0).abs() < 0.015, "{tokens}");
    alone(["generate", "-o", text(&other), "--documents", "0"]).failed(2, &["documents"]);
}

#[test]
fn split_parts_are_disjoint_complete_and_stratified() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (corpus, train, test) = (file("corpus.h5"), file("train.h5"), file("test.h5"));
    let count = 9000;
    write_corpus(&corpus, &documents(count, 3000, 3), Values::Counts, true);
    let outputs = ["--train-out", text(&train), "--test-out", text(&test)];
    let arguments = [&["split", text(&corpus), "--test", "0.2"], &outputs[..]].concat();
    same_for_any_ranks(&arguments, &[&train, &test]);

    let (whole, chunk) = read_corpus(&corpus);
    let mut origin: BTreeMap<String, usize> = whole.ids(0, count).unwrap().into_iter().zip(0..).collect();
    let labels = whole.labels(0, count).unwrap().unwrap();
    for (path, share) in [(&train, 2400), (&test, 600)] {
        let (reader, part) = read_corpus(path);
        let documents = reader.header().documents;
        assert_eq!(reader.terms().unwrap(), dictionary(3000));
        let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
        let mut last = None;
        let names = reader.ids(0, documents).unwrap().into_iter().zip(reader.labels(0, documents).unwrap().unwrap());
        for (row, (id, label)) in names.enumerate() {
            let from = origin.remove(&id).unwrap_or_else(|| panic!("{id} is not of the corpus or in both parts"));
            assert_eq!(part.document(row), chunk.document(from), "{id}");
            assert_eq!(label, labels[from], "{id}");
            assert!(last < Some(from), "documents stay in order");
            last = Some(from);
            *sizes.entry(label).or_default() += 1;
        }
        // Three labels of 3000 documents each.
        assert_eq!(sizes.into_values().collect::<Vec<_>>(), [share; 3]);
    }
    assert!(origin.is_empty(), "in no part: {origin:?}");

    for path in [&train, &test] {
        fs::remove_file(path).unwrap();
    }
    let before = names(folder.path());
    let same = ["--train-out", text(&train), "--test-out", text(&train)];
    alone(["split", text(&corpus)].iter().chain(&same)).failed(2, &["--train-out and --test-out"]);
    alone(["split", text(&corpus), "--test", "1.5"].iter().chain(&outputs)).failed(2, &["--test 1.5"]);
    alone(["split", text(&file("none.h5"))].iter().chain(&outputs)).failed(1, &["none.h5"]);
    assert_eq!(names(folder.path()), before);
}

#[test]
fn info_says_what_is_in_a_corpus_and_refuses_the_rest() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [corpus, foreign, newer, flipped, junk] =
        ["corpus.h5", "foreign.h5", "newer.h5", "flipped.h5", "junk.h5"].map(file);
    let chunk = documents(400, 300, 4);
    write_corpus(&corpus, &chunk, Values::Counts, true);
    let run = alone(["info", text(&corpus), "--verify", "--format", "json"]).ok();
    let rows: Vec<BTreeMap<String, Value>> = serde_json::from_str(&run.stdout).expect("an array of objects");
    let property =
        |name: &str| rows.iter().find(|row| row["property"] == name).map(|row| row["value"].clone()).unwrap();
    assert_eq!(property("format"), "corpuscle-corpus");
    for (name, number) in [("documents", 400), ("terms", 300), ("nonzeros", chunk.nonzeros()), ("labels", 3)] {
        assert_eq!(property(name), number, "{name}");
    }

    fs::copy(&corpus, &newer).unwrap();
    {
        let _writing = writing();
        let hdf5 = hdf5::File::create(&foreign).unwrap();
        hdf5.new_dataset_builder().with_data(&[1.0, 2.0]).create("numbers").unwrap();
        hdf5.close().unwrap();
        let hdf5 = hdf5::File::open_rw(&newer).unwrap();
        hdf5.attr("format_version").unwrap().write_scalar(&2u64).unwrap();
        hdf5.close().unwrap();
    }
    // A count in the middle of the data: what opening does not read.
    let needle: Vec<u8> = chunk.data[chunk.nonzeros() - 40..].iter().flat_map(|count| count.to_le_bytes()).collect();
    let mut bytes = fs::read(&corpus).unwrap();
    let needle: Vec<u8> = if bytes.windows(needle.len()).any(|window| window == needle) {
        needle
    } else {
        chunk.data[chunk.nonzeros() - 40..].iter().flat_map(|&count| (count as u32).to_le_bytes()).collect()
    };
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("values as they lie in memory");
    bytes[at + needle.len() / 2] ^= 1;
    fs::write(&flipped, bytes).unwrap();
    fs::write(&junk, "no HDF5").unwrap();
    let cut = truncated(&corpus);
    let before = names(folder.path());
    alone(["info", text(&flipped)]).ok();
    let cases: [(&[&str], &[&str]); 6] = [
        (&["info", text(&foreign)], &["foreign.h5", "not one written by this version"]),
        (&["info", text(&newer)], &["newer.h5", "format version 2 is newer than version 1"]),
        (&["info", text(&cut)], &["corpus.cut", "truncated"]),
        (&["info", text(&junk)], &["junk.h5", "not an HDF5 file"]),
        (&["info", text(&flipped), "--verify"], &["flipped.h5"]),
        (&["info", text(folder.path())], &["is a directory"]),
    ];
    for (arguments, words) in cases {
        alone(arguments).failed(1, words);
        if has_mpi() {
            ranks(3, arguments).failed(1, words);
        }
        assert_eq!(names(folder.path()), before, "{arguments:?}");
    }
}
