//! Other programs' formats, out and in again: SVMlight, LDA-C, UCI, Mallet, GibbsLDA++. What is exported comes back, the
//! bytes do not depend on ranks, gensim reads them, and what is broken is named by file and line.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::corpora::{dictionary, documents, read_corpus};
use common::{alone, digest, has_mpi, names, ranks, run, text, writing};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::{CorpusWriter, Values};
use corpuscle::store::atomic::Target;
use tempfile::tempdir;

const DOCUMENTS: u64 = 5_000;
const TERMS: u32 = 2_000;
const FORMATS: [&str; 5] = ["svmlight", "blei", "uci", "mallet", "low"];

/// Writes a corpus of labelled documents whose names have no blanks.
fn write(path: &Path, chunk: &CsrChunk, values: Values, label: impl Fn(usize) -> String) {
    let _writing = writing();
    let ids: Vec<String> = (0..chunk.documents()).map(|n| format!("d{n}")).collect();
    let labels: Vec<String> = (0..chunk.documents()).map(label).collect();
    let target = Target::create(path).expect("a target");
    let mut writer = CorpusWriter::create(target, &dictionary(chunk.terms), values, true).expect("a corpus");
    writer.append(chunk, &ids, Some(&labels)).expect("documents");
    writer.finish(&serde_json::json!({ "made by": "a test" })).expect("a complete corpus");
}

#[test]
fn what_is_exported_comes_back() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (original, vocabulary, ids, back) = (file("original.h5"), file("vocab.txt"), file("ids.txt"), file("back.h5"));
    let chunk = documents(DOCUMENTS, TERMS, 5);
    write(&original, &chunk, Values::Counts, |n| ["-1", "0.5", "2"][n % 3].to_owned());
    for format in FORMATS.into_iter().chain(["csv", "npz"]) {
        // An archive is compressed by itself.
        let endings = ["", ".gz", ".bz2", ".zst"];
        for ending in &endings[..if format == "npz" { 1 } else { 4 }] {
            let lines = file(&format!("lines.{format}{ending}"));
            let [corpus, l, v, i, b] = [&original, &lines, &vocabulary, &ids, &back].map(|path| text(path));
            let out = ["export", corpus, "-o", l, "--format", format, "--vocabulary-out", v, "--ids-out", i, "-q"];
            alone(out).ok();
            let mut back_in = vec!["import", l, "-o", b, "--format", format, "--dictionary", v, "-q"];
            let names_come_along = ["mallet", "low"].contains(&format);
            if !names_come_along {
                back_in.extend(["--ids", i]);
            }
            alone(&back_in).ok();
            let (reader, found) = read_corpus(&back);
            assert_eq!(found, chunk, "{format}{ending}");
            assert_eq!(reader.header().values, Values::Counts);
            assert_eq!(reader.terms().unwrap(), dictionary(TERMS));
            if format != "low" {
                assert_eq!(reader.ids(0, 2).unwrap(), ["d0", "d1"], "{format}");
            }
            let labels = reader.labels(0, 3).unwrap();
            let labelled = ["svmlight", "mallet"].contains(&format);
            assert_eq!(labels, labelled.then(|| ["-1", "0.5", "2"].map(str::to_owned).to_vec()), "{format}");
        }
    }
}

#[test]
fn words_without_a_dictionary_become_all_terms_as_they_stand() {
    let folder = tempdir().unwrap();
    let (lines, corpus) = (folder.path().join("lines"), folder.path().join("corpus.h5"));
    fs::write(&lines, "3\nThe cat, the Cat\n\nx_1 the\n").unwrap();
    alone(["import", text(&lines), "-o", text(&corpus), "--format", "low", "-q"]).ok();
    let (reader, chunk) = read_corpus(&corpus);
    let terms = reader.terms().unwrap();
    let mut sorted = terms.clone();
    sorted.sort();
    assert_eq!(sorted, ["Cat", "The", "cat,", "the", "x_1"]);
    assert_eq!((chunk.documents(), chunk.nonzeros()), (3, 6));

    fs::write(&lines, "a1\tspam  free free money\nb2 ham\n").unwrap();
    alone(["import", text(&lines), "-o", text(&corpus), "--format", "mallet", "-q"]).ok();
    let (reader, chunk) = read_corpus(&corpus);
    assert_eq!(reader.ids(0, 2).unwrap(), ["a1", "b2"]);
    assert_eq!(reader.labels(0, 2).unwrap().unwrap(), ["spam", "ham"]);
    assert_eq!((chunk.indptr.clone(), reader.header().terms), (vec![0, 2, 2], 2));
}

#[test]
fn weights_and_labels_that_are_words_go_to_svmlight() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (original, lines, back) = (file("original.h5"), file("weights.svm"), file("back.h5"));
    let mut chunk = documents(DOCUMENTS, TERMS, 6);
    for (at, value) in chunk.data.iter_mut().enumerate() {
        *value *= [0.1, 1.0 / 3.0, -1.0, 1e-30, 3e30, 1.0][at % 6];
    }
    write(&original, &chunk, Values::Weights("nnn".into()), |n| ["rec.autos", "alt.atheism"][n % 2].to_owned());
    alone(["export", text(&original), "-o", text(&lines), "-q"]).ok();
    let written = fs::read_to_string(&lines).unwrap();
    assert!(written.starts_with("# class 0: alt.atheism\n# class 1: rec.autos\n1 "), "{}", &written[..80]);
    alone(["import", text(&lines), "-o", text(&back), "--format", "svmlight", "-q"]).ok();
    let (reader, found) = read_corpus(&back);
    let used = found.terms;
    assert_eq!((found.indptr, found.indices), (chunk.indptr, chunk.indices.clone()));
    assert_eq!(used, chunk.indices.iter().max().unwrap() + 1);
    assert!(found.data.iter().zip(&chunk.data).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(reader.labels(0, 2).unwrap().unwrap(), ["1", "0"]);
    assert_eq!(reader.header().values, Values::Weights("unknown".into()));
}

#[test]
fn the_same_bytes_for_any_ranks_and_memory() {
    if !has_mpi() {
        return;
    }
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let original = file("original.h5");
    // Several pieces of text of 4 MiB, several chunks.
    write(&original, &documents(15_000, 20_000, 7), Values::Counts, |n| format!("class{}", n % 4));
    // Every value of a matrix is written in CSV: a small one, which still is several pieces.
    let narrow = file("narrow.h5");
    write(&narrow, &documents(3_000, 1_500, 7), Values::Counts, |n| format!("class{}", n % 4));
    for format in FORMATS.into_iter().chain(["csv", "npz"]) {
        let original = if format == "csv" { &narrow } else { &original };
        for ending in &["", ".gz"][..if format == "npz" { 1 } else { 2 }] {
            let mut first: Option<(String, String)> = None;
            for (count, options) in
                [(1, &[][..]), (2, &["--scatter"]), (3, &["--memory", "4M"]), (5, &["--threads", "2"])]
            {
                let lines = file(&format!("lines{count}.{format}{ending}"));
                let back = file("back.h5");
                let mut out = vec!["export", text(original), "-o", text(&lines), "--format", format, "-q"];
                out.extend(options);
                ranks(count, &out).ok();
                let mut back_in = vec!["import", text(&lines), "-o", text(&back), "--format", format, "-q"];
                back_in.extend(options);
                ranks(count, &back_in).ok();
                let found = (digest(&lines), digest(&back));
                assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{format}{ending} on {count} ranks");
                fs::remove_file(lines).unwrap();
            }
        }
    }
}

/// A Python that has these modules, if there is one.
fn python_with(modules: &str) -> Option<String> {
    let named = std::env::var("CORPUSCLE_PYTHON").ok().into_iter().chain(["python3".into()]);
    let has = |python: &String| {
        let output = Command::new(python).args(["-c", &format!("import {modules}")]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let mut found = named.filter(has);
    found.next().or_else(|| {
        eprintln!("skipped: no Python with {modules}");
        None
    })
}

#[test]
fn gensim_reads_what_is_exported_and_its_files_are_read() {
    let Some(python) = python_with("gensim, h5py, scipy") else { return };
    let script = "\
import sys, h5py, numpy, scipy.sparse
from gensim import corpora, matutils
folder, format = sys.argv[1:]
with h5py.File(f'{folder}/original.h5') as file:
    X = file['X']
    parts = [X[name][:] for name in ('data', 'indices', 'indptr')]
    expected = scipy.sparse.csr_matrix(tuple(parts), shape=tuple(X.attrs['shape']))
    terms = [term.decode() for term in file['terms'][:]]
name = f'{folder}/lines.{format}'
corpus = {
    'svmlight': lambda: corpora.SvmLightCorpus(name),
    'blei': lambda: corpora.BleiCorpus(name, f'{folder}/vocab.txt'),
    'uci': lambda: corpora.UciCorpus(name, f'{folder}/vocab.txt'),
    'mallet': lambda: corpora.MalletCorpus(name),
    'low': lambda: corpora.LowCorpus(name),
}[format]()
words = corpus.id2word if format in ('mallet', 'low') else dict(enumerate(terms))
column = {term: at for at, term in enumerate(terms)}
rows = [sorted((column[words[at]], value) for at, value in document) for document in corpus]
found = matutils.corpus2csc(rows, num_terms=len(terms)).T
assert found.shape == expected.shape, (found.shape, expected.shape)
assert (found != expected).nnz == 0 and found.nnz > 0
# And its own writing of the same documents.
documents = [[(int(t), int(c)) for t, c in row] for row in rows]
id2word = dict(enumerate(terms))
theirs = f'{folder}/theirs.{format}'
kind = {'svmlight': corpora.SvmLightCorpus, 'blei': corpora.BleiCorpus, 'uci': corpora.UciCorpus,
        'mallet': corpora.MalletCorpus, 'low': corpora.LowCorpus}[format]
kind.save_corpus(theirs, documents, id2word=id2word)
";
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (original, vocabulary, back) = (file("original.h5"), file("vocab.txt"), file("back.h5"));
    let chunk = documents(500, 300, 8);
    write(&original, &chunk, Values::Counts, |n| format!("class{}", n % 4));
    for format in FORMATS {
        let (lines, theirs) = (file(&format!("lines.{format}")), file(&format!("theirs.{format}")));
        let [o, l, v, t, b] = [&original, &lines, &vocabulary, &theirs, &back].map(|path| text(path));
        alone(["export", o, "-o", l, "--format", format, "--vocabulary-out", v, "-q"]).ok();
        run(Command::new(&python).args(["-c", script, text(folder.path()), format])).ok();
        alone(["import", t, "-o", b, "--format", format, "--dictionary", v, "-q"]).ok();
        assert_eq!(read_corpus(&back).1, chunk, "{format}");
    }
}

/// Matrices for gensim, pandas and scipy, and theirs for us: in all layouts, by documents or by terms.
#[test]
fn tables_and_arrays_are_those_of_python() {
    let Some(python) = python_with("pandas, scipy.sparse, h5py, numpy") else { return };
    let script = r"
import sys, h5py, numpy, pandas, scipy.sparse
folder = sys.argv[1]
with h5py.File(f'{folder}/original.h5') as file:
    X = file['X']
    parts = [X[name][:] for name in ('data', 'indices', 'indptr')]
    expected = scipy.sparse.csr_matrix(tuple(parts), shape=tuple(X.attrs['shape']))
    terms = [term.decode() for term in file['terms'][:]]
table = pandas.read_csv(f'{folder}/ours.csv')
assert list(table.columns) == terms and (table.to_numpy() == expected.toarray()).all()
ours = scipy.sparse.load_npz(f'{folder}/ours.npz')
assert ours.format == 'csr' and ours.shape == expected.shape and ours.dtype == numpy.int32
assert (ours != expected).nnz == 0 and ours.nnz == expected.nnz and ours.has_canonical_format
turned = scipy.sparse.load_npz(f'{folder}/turned.npz')
assert turned.format == 'csc' and (turned != expected.T).nnz == 0
try:
    from gensim import corpora
    rows = [[(at, value) for at, value in row if value] for row in corpora.CsvCorpus(f'{folder}/ours.csv', labels=False)]
    assert rows == [[(int(t), float(c)) for t, c in zip(r.indices, r.data)] for r in expected]
except ImportError:
    pass
table.to_csv(f'{folder}/theirs.csv', index=False)
for dtype in ('int64', 'float64', 'float32', 'uint8'):
    for layout in ('csr', 'csc', 'coo'):
        matrix = expected.asformat(layout).astype(dtype)
        scipy.sparse.save_npz(f'{folder}/theirs-{layout}-{dtype}.npz', matrix, compressed=dtype != 'float32')
scipy.sparse.save_npz(f'{folder}/theirs-terms-float64.npz', expected.T.tocsr().astype('float64'))
";
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (original, back) = (file("original.h5"), file("back.h5"));
    let chunk = documents(500, 300, 8);
    write(&original, &chunk, Values::Counts, |n| format!("class{}", n % 4));
    for (name, options) in [("ours.csv", &[][..]), ("ours.npz", &[]), ("turned.npz", &["--rows", "terms"])] {
        alone([&["export", text(&original), "-o", text(&file(name)), "-q"], options].concat()).ok();
    }
    run(Command::new(&python).args(["-c", script, text(folder.path())])).ok();
    let mut theirs = vec![("theirs.csv".to_owned(), vec!["--format", "csv"])];
    for layout in ["csr", "csc", "coo"] {
        for kind in ["int64", "float64", "float32", "uint8"] {
            theirs.push((format!("theirs-{layout}-{kind}.npz"), vec!["--format", "npz"]));
        }
    }
    theirs.push(("theirs-terms-float64.npz".to_owned(), vec!["--format", "npz", "--rows", "terms"]));
    for (name, options) in theirs {
        alone([&["import", text(&file(&name)), "-o", text(&back), "-q"], &options[..]].concat()).ok();
        let (reader, found) = read_corpus(&back);
        assert_eq!((found, &reader.header().values), (chunk.clone(), &Values::Counts), "{name}");
        assert_eq!(reader.terms().unwrap() == dictionary(300), name.ends_with("csv"), "{name}");
    }
    // Entries that are not sorted by document, in less memory than they take.
    let turned = text(&file("theirs-csc-float64.npz")).to_owned();
    alone(["import", &turned, "-o", text(&back), "--format", "npz", "--memory", "1M", "-q"]).ok();
    assert_eq!(read_corpus(&back).1, chunk);
}

#[test]
fn weights_go_through_tables_and_arrays() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (original, back) = (file("original.h5"), file("back.h5"));
    let mut chunk = documents(300, 200, 6);
    for (at, value) in chunk.data.iter_mut().enumerate() {
        *value *= [0.1, 1.0 / 3.0, -1.0, 1e-30, 3e30, 1.0][at % 6];
    }
    write(&original, &chunk, Values::Weights("nfc".into()), |_| "a".to_owned());
    for format in ["csv", "npz"] {
        let matrix = file(&format!("weights.{format}"));
        alone(["export", text(&original), "-o", text(&matrix), "-q"]).ok();
        alone(["import", text(&matrix), "-o", text(&back), "--format", format, "-q"]).ok();
        let (reader, found) = read_corpus(&back);
        assert_eq!(found, chunk, "{format}");
        assert_eq!(reader.header().values, Values::Weights("unknown".into()));
    }
    alone(["export", text(&original), "-o", text(&file("weights.npz.gz")), "-q"]).failed(2, &["compressed already"]);
}

#[test]
fn what_is_broken_is_named_and_leaves_nothing_behind() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (lines, output) = (file("broken.txt"), file("corpus.h5"));
    let long: String = (0..400_000).map(|n| format!("{} {}:1\n", n % 7, n % 50 + 1)).collect();
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("svmlight", b"1 1:1\n1 0:1\n".to_vec(), &["broken.txt:2:", "--zero-based"]),
        ("svmlight", [long.as_bytes(), b"1 1:x\n"].concat(), &["broken.txt:400001:", "not a number"]),
        ("svmlight", b"# nothing\n\n".to_vec(), &["broken.txt", "no document has a term"]),
        ("svmlight", b"\0\x01\x02".to_vec(), &["broken.txt:1:", "binary"]),
        ("blei", b"2 0:1 1:1\n3 0:1\n".to_vec(), &["broken.txt:2:", "3 terms are announced and 1 follow"]),
        ("blei", b"1 0:1e99\n".to_vec(), &["broken.txt:1:", "finite"]),
        ("uci", b"2\n3\n".to_vec(), &["broken.txt:3:", "number of entries"]),
        ("uci", b"2\n3\n2\n1 1 1\n".to_vec(), &["broken.txt", "ends after 1 of 2"]),
        ("uci", b"2\n3\n2\n1 1 1\n3 1 1\n".to_vec(), &["broken.txt:5:", "document"]),
        ("uci", b"%%MatrixMarket\n".to_vec(), &["broken.txt:1:", "number of documents"]),
        ("low", b"three\na b\n".to_vec(), &["broken.txt:1:", "number of documents"]),
        ("low", b"3\na b\nc\n".to_vec(), &["broken.txt", "3 documents are announced", "2 follow"]),
        ("mallet", b"a b c\nd\n".to_vec(), &["broken.txt:2:", "an id, a label"]),
        ("mallet", b"a b \xff\n".to_vec(), &["broken.txt:1:", "UTF-8"]),
        ("svmlight", Vec::new(), &["broken.txt", "empty"]),
        ("csv", b"ape,bat\n1,2\n1,2,3\n".to_vec(), &["broken.txt:3:", "3 values where there are 2 columns"]),
        ("csv", b",ape,bat\n0,1,2\n".to_vec(), &["broken.txt:1:", "index=False"]),
        ("csv", b"ape,bat\n1,x\n".to_vec(), &["broken.txt:2:", "column 2", "not a number"]),
        ("npz", b"PK\x03\x04 and nothing more".to_vec(), &["broken.txt", "save_npz"]),
        ("npz", b"1 2 3\n".to_vec(), &["broken.txt", "save_npz"]),
    ];
    let counts: &[usize] = if has_mpi() { &[1, 3] } else { &[1] };
    for (at, (format, content, words)) in cases.iter().enumerate() {
        fs::write(&lines, content).unwrap();
        // The launcher takes half a second a time.
        for &count in if at % 4 == 1 { counts } else { &counts[..1] } {
            let arguments = ["import", text(&lines), "-o", text(&output), "--format", format, "-q"];
            ranks(count, arguments).failed_on_workers(1, words);
            assert_eq!(names(folder.path()), ["broken.txt"]);
        }
    }
    for options in [
        &["--format", "blei", "--rows", "terms"][..],
        &["--format", "blei", "--zero-based"],
        &["--format", "csv", "--rows", "terms"],
        &["--format", "low", "--ids", "x"],
        &["--format", "mallet", "--labels", "x"],
    ] {
        let arguments: Vec<&str> =
            ["import", text(&lines), "-o", text(&output)].iter().chain(options).copied().collect();
        alone(arguments).failed(2, &["leave it out"]);
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (original, output): (PathBuf, PathBuf) = (file("original.h5"), file("lines.txt"));
    let chunk = documents(50, 30, 9);
    write(&original, &chunk, Values::Weights("nfc".into()), |_| "a".to_owned());
    let export = |format: &str| alone(["export", text(&original), "-o", text(&output), "--format", format, "-q"]);
    for format in ["blei", "uci", "mallet", "low"] {
        export(format).failed(1, &["original.h5", "weights (nfc)", format]);
    }
    write(&original, &chunk, Values::Counts, |_| "two words".to_owned());
    export("mallet").failed(1, &["original.h5", "the label \"two words\"", "blank"]);
    alone(["export", text(&original), "-o", text(&output), "-q"]).failed(2, &["lines.txt", "--format"]);
    alone(["export", text(&original), "-o", text(&output), "--format", "blei", "--rows", "terms"])
        .failed(2, &["--rows"]);
    assert_eq!(names(folder.path()), ["original.h5"]);
}
