//! `corpuscle export`: what comes back through `import`, the same bytes for any ranks, what scipy reads, and what is refused.

mod common;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use common::corpora::{dictionary, documents, read_corpus, write_corpus};
use common::{alone, assert_all_gone, digest, has_mpi, names, ranks, run, text, writing};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::compression::Compression;
use corpuscle::corpus::container::{CorpusWriter, MAX_COUNT, Values};
use corpuscle::store::atomic::Target;
use tempfile::tempdir;

/// Several chunks, so that several ranks have something to write.
const DOCUMENTS: u64 = 9_000;
const TERMS: u32 = 3_000;

/// A corpus of counts, or of weights of all sizes, signs and lengths of decimals.
fn corpus(values: &Values) -> CsrChunk {
    let mut chunk = documents(DOCUMENTS, TERMS, 11);
    if *values != Values::Counts {
        for (at, value) in chunk.data.iter_mut().enumerate() {
            *value *= [0.1, 1.0 / 3.0, -1.0, 1e-30, 3e30, 1.0][at % 6];
        }
    }
    chunk
}

/// The text of a file, decompressed.
fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    Compression::of(&fs::read(path).unwrap()).open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn what_is_exported_comes_back() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (original, back) = (file("original.h5"), file("back.h5"));
    for values in [Values::Counts, Values::Weights("log-entropy-raw".into()), Values::Weights("nnn".into())] {
        let mut chunk = corpus(&values);
        if values.name() == "nnn" {
            // Whole numbers that are weights all the same.
            chunk = documents(DOCUMENTS, TERMS, 12);
        }
        write_corpus(&original, &chunk, values.clone(), true);
        for (matrix, rows) in
            [("m.mm", "documents"), ("m.mtx.gz", "terms"), ("m.mm.bz2", "documents"), ("m.mtx.zst", "terms")]
        {
            let [matrix, terms, ids, labels] = [matrix, "terms.txt.gz", "ids.txt", "labels.txt.bz2"].map(file);
            let [corpus, m, t, i, l, b] = [&original, &matrix, &terms, &ids, &labels, &back].map(|path| text(path));
            alone([
                "export",
                corpus,
                "-o",
                m,
                "--rows",
                rows,
                "--dictionary-out",
                t,
                "--ids-out",
                i,
                "--labels-out",
                l,
            ])
            .ok();
            alone(["import", m, "-o", b, "--rows", rows, "--dictionary", t, "--ids", i, "--labels", l, "-q"]).ok();
            let ((reader, found), (expected, _)) = (read_corpus(&back), read_corpus(&original));
            assert!(found == chunk, "{m} of {values:?}");
            assert_eq!(reader.header().values, values, "{m}");
            assert_eq!(reader.terms(), expected.terms());
            assert_eq!(reader.document_frequency(), expected.document_frequency());
            assert_eq!(reader.ids(0, DOCUMENTS), expected.ids(0, DOCUMENTS));
            assert_eq!(reader.labels(0, DOCUMENTS), expected.labels(0, DOCUMENTS));
        }
    }
}

/// The largest count, 2^24, goes out and comes back; one more is refused, however it is written.
#[test]
fn the_largest_count_comes_back_and_a_larger_one_is_refused() {
    let folder = tempdir().unwrap();
    let [original, matrix, terms, back] =
        ["original.h5", "m.mm", "terms", "back.h5"].map(|name| folder.path().join(name));
    let mut chunk = documents(DOCUMENTS, TERMS, 12);
    let largest = MAX_COUNT as f32;
    // Whole rows travel another way than those at the ends of a file.
    let middle = chunk.data.len() / 2;
    (chunk.data[0], chunk.data[middle]) = (largest, largest);
    write_corpus(&original, &chunk, Values::Counts, false);
    alone(["export", text(&original), "-o", text(&matrix), "--dictionary-out", text(&terms)]).ok();
    let import = ["import", text(&matrix), "-o", text(&back), "--dictionary", text(&terms), "-q"];
    alone(import).ok();
    let (reader, found) = read_corpus(&back);
    assert!(found == chunk && reader.header().values == Values::Counts);
    let written = std::fs::read_to_string(&matrix).unwrap();
    assert_eq!(written.matches(" 16777216\n").count(), 2);
    for more in ["16777217", "16777217.0", "16777218", "1e9"] {
        let (before, behind) = written.rsplit_once(" 16777216\n").unwrap();
        std::fs::write(&matrix, format!("{before} {more}\n{behind}")).unwrap();
        alone(import).failed(1, &["m.mm:", "more than 16777216"]);
    }
}

#[test]
fn the_text_is_what_gensim_writes() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [counts, matrix, terms] = ["counts.h5", "m.mm", "terms.txt"].map(file);
    let chunk = CsrChunk {
        first_document: 0,
        terms: 6,
        indptr: vec![0, 2, 2, 3, 3],
        indices: vec![0, 5, 1],
        data: vec![1.0, 16_777_215.0, 2.0],
    };
    write_corpus(&counts, &chunk, Values::Counts, false);
    alone(["export", text(&counts), "-o", text(&matrix), "--dictionary-out", text(&terms)]).ok();
    let banner = "%%MatrixMarket matrix coordinate real general\n";
    assert_eq!(fs::read_to_string(&matrix).unwrap(), format!("{banner}4 6 3\n1 1 1\n1 6 16777215\n3 2 2\n"));
    // By term: "term1" to "term4" before "wört0" and "wört5".
    let expected = "4\n1\tterm1\t1\n2\tterm2\t0\n3\tterm3\t0\n4\tterm4\t0\n0\twört0\t1\n5\twört5\t1\n";
    assert_eq!(fs::read_to_string(&terms).unwrap(), expected);
    assert_eq!(names(folder.path()), ["counts.h5", "m.mm", "m.mm.run.json", "terms.txt"]);
}

#[test]
fn the_same_bytes_for_any_ranks_and_threads() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let weights = file("weights.h5");
    write_corpus(&weights, &corpus(&Values::Weights("nfc".into())), Values::Weights("nfc".into()), true);
    assert!(read_corpus(&weights).0.chunks().len() >= 5, "too few chunks for five ranks");
    for name in ["m.mm", "m.mtx.gz"] {
        let [matrix, terms] = [name, "terms.txt"].map(file);
        let arguments = ["export", text(&weights), "-o", text(&matrix), "--dictionary-out", text(&terms), "-q"];
        let digests = || [digest(&matrix), digest(&terms)];
        alone(arguments).ok();
        let expected = digests();
        alone(arguments.iter().chain(&["--threads", "3", "--memory", "0"])).ok();
        assert_eq!(digests(), expected, "three threads, no memory");
        if !has_mpi() {
            continue;
        }
        for count in [2, 3, 5] {
            for scatter in [None, Some(&"--scatter")] {
                [&matrix, &terms].into_iter().for_each(|path| fs::remove_file(path).unwrap());
                ranks(count, arguments.iter().chain(scatter)).ok();
                assert_eq!(digests(), expected, "{name}: {count} ranks {scatter:?}");
            }
        }
    }
    assert_eq!(unpacked(&file("m.mtx.gz")), unpacked(&file("m.mm")));
}

#[test]
fn scipy_reads_the_same_matrix() {
    let named = std::env::var("CORPUSCLE_PYTHON").ok().into_iter();
    let works = |python: &String| {
        let output = Command::new(python).args(["-c", "import h5py, scipy.io"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(python) = named.chain(["python3".into()]).find(works) else {
        // Set-up installs one: silence would hide that it failed to.
        assert!(std::env::var_os("CI").is_none(), "no Python with h5py and scipy in CI");
        eprintln!("skipped: no Python with h5py and scipy; jobscripts/setup.sh installs one");
        return;
    };
    let script = "\
import h5py, scipy.io, scipy.sparse, sys
corpus, matrix, rows = sys.argv[1:]
with h5py.File(corpus) as file:
    X = file['X']
    expected = scipy.sparse.csr_matrix((X['data'][:], X['indices'][:], X['indptr'][:]), shape=tuple(X.attrs['shape']))
found = scipy.io.mmread(matrix).tocsr()
if rows == 'terms':
    found = found.T.tocsr()
assert found.shape == expected.shape, (found.shape, expected.shape)
assert found.nnz == expected.nnz > 0
assert (found.astype(expected.dtype) != expected).nnz == 0
";
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let original = file("original.h5");
    for values in [Values::Counts, Values::Weights("nfc".into())] {
        write_corpus(&original, &corpus(&values), values, false);
        for (name, rows) in [("m.mm", "documents"), ("m.mtx.gz", "documents"), ("m.mtx.bz2", "terms")] {
            let matrix = file(name);
            alone(["export", text(&original), "-o", text(&matrix), "--rows", rows, "-q"]).ok();
            run(Command::new(&python).args(["-c", script, text(&original), text(&matrix), rows])).ok();
        }
    }
}

#[test]
fn what_cannot_be_exported_is_named_and_leaves_nothing_behind() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [counts, odd, out, homeless, missing] =
        ["counts.h5", "odd.h5", "out.mm", "no/such/out.mm", "missing.h5"].map(file);
    let chunk = documents(40, 30, 6);
    write_corpus(&counts, &chunk, Values::Counts, false);
    {
        // A term and an id that do not fit on a line.
        let _writing = writing();
        let mut terms = dictionary(30);
        terms[7] = "tab\there".into();
        let ids: Vec<String> = (0..40).map(|n| if n == 3 { "two\nlines".into() } else { format!("d{n}") }).collect();
        let mut writer = CorpusWriter::create(Target::create(&odd).unwrap(), &terms, Values::Counts, false).unwrap();
        writer.append(&chunk, &ids, None).unwrap();
        writer.finish(&serde_json::json!({})).unwrap();
    }
    let junk = file("junk.h5");
    fs::write(&junk, [7; 3000]).unwrap();
    let before = names(folder.path());
    let [counts, odd, out, homeless, missing, junk] =
        [&counts, &odd, &out, &homeless, &missing, &junk].map(|path| text(path));
    let beside = file("beside.txt");
    let beside = text(&beside);
    let strange = file("out.h5.gz");
    type Case<'a> = (Vec<&'a str>, i32, &'a [&'a str]);
    let cases: [Case; 10] = [
        (vec![missing, "-o", out], 1, &["missing.h5"]),
        (vec![junk, "-o", out], 1, &["junk.h5", "not an HDF5 file"]),
        (vec![counts, "-o", homeless], 1, &["no/such/out.mm", "does not exist"]),
        (vec![counts, "-o", text(&strange)], 2, &["out.h5.gz", "--format mm"]),
        (vec![counts, "-o", counts, "--format", "mm"], 2, &["counts.h5", "input and output"]),
        (vec![counts, "-o", out, "--ids-out", out], 2, &["out.mm", "two outputs"]),
        (vec![counts, "-o", out, "--ids-out", beside, "--dictionary-out", beside], 2, &["beside.txt", "two outputs"]),
        (vec![counts, "-o", out, "--labels-out", beside], 1, &["counts.h5", "has no labels"]),
        (vec![odd, "-o", out, "--dictionary-out", beside], 1, &["beside.txt", "tab\\there"]),
        (vec![odd, "-o", out, "--ids-out", beside], 1, &["beside.txt", "two\\nlines", "document 3"]),
    ];
    for count in [1, 3] {
        if count > 1 && !has_mpi() {
            break;
        }
        for (arguments, code, words) in &cases {
            ranks(count, ["export"].iter().chain(arguments)).failed(*code, words);
            assert_eq!(names(folder.path()), before, "{count} ranks, {arguments:?}");
            if count > 1 {
                assert_all_gone(folder.path());
            }
        }
    }
}
