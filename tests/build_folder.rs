//! `corpuscle build` of folders: a document per file, the same bytes however it is run, the corpus that the same texts
//! give as lines, one clear line about every file that cannot be one.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};

use common::corpora::read_corpus;
use common::{alone, digest, has_mpi, names, ranks, text};

const FILES: usize = 1300;

/// Text of a file: words of a small vocabulary, every thirteenth file empty; 4 KB on average, so that a folder is cut.
fn words(at: usize) -> String {
    let count = if at % 13 == 5 { 0 } else { 300 + at * 7919 % 700 };
    (0..count).map(|i| format!("{}{}\n", ["wort", "Été", "tree", "мир"][i % 4], letters(i * (at + 3) % 211))).collect()
}

fn letters(n: usize) -> String {
    [n / 25, n % 25].map(|digit| (b'a' + digit as u8) as char).iter().collect()
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Name of a file below the folder.
fn name(at: usize) -> String {
    format!("{}/{}/{at:04}.txt", ["east", "north", "west"][at * 3 / FILES], at % 2)
}

/// The texts as files; `store` gives the ending and the bytes of each.
fn folder(root: &Path, store: impl Fn(usize) -> (&'static str, Vec<u8>)) -> PathBuf {
    for at in 0..FILES {
        let (ending, bytes) = store(at);
        write(&root.join(name(at) + ending), &bytes);
    }
    write(&root.join("east/.hidden"), b"nobody reads this \x00");
    root.to_path_buf()
}

fn plain(root: &Path) -> PathBuf {
    folder(root, |at| ("", words(at).into_bytes()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_bytes_do_not_depend_on_how_it_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let input = plain(&dir.path().join("in"));
    let mixed = folder(&dir.path().join("mixed"), |at| match at % 50 {
        0 => (".gz", gzip(words(at).as_bytes())),
        1 => (".bz2", bzip2(words(at).as_bytes())),
        2 => (".zst", zstd::encode_all(words(at).as_bytes(), 1).unwrap()),
        _ => ("", words(at).into_bytes()),
    });
    let output = dir.path().join("corpus.h5");
    for inputs in [vec![text(&input)], vec![text(&mixed), text(&input)]] {
        let built = |count: usize, more: &[&str]| {
            let fixed = ["-o", text(&output), "--label-field", "folder", "--no-above", "1", "-q"];
            ranks(count, ["build"].iter().chain(&inputs).chain(&fixed).chain(more)).ok();
            digest(&output)
        };
        let expected = built(1, &["--threads", "1"]);
        let mut ways: Vec<(usize, &[&str])> =
            vec![(1, &["--threads", "3"]), (1, &["--memory", "1"]), (1, &["--input-format", "dir"])];
        if has_mpi() {
            ways.extend::<[(usize, &[&str]); 6]>([
                (2, &[]),
                (3, &["--threads", "2"]),
                (5, &["--threads", "1"]),
                (3, &["--scatter"]),
                (3, &["--scatter", "--memory", "1"]),
                (3, &["--memory", "1"]),
            ]);
        }
        for (count, more) in ways {
            assert_eq!(built(count, more), expected, "{count} ranks, {more:?}");
        }
    }
}

#[test]
fn documents_are_those_of_the_files_with_paths_and_labels() {
    let dir = tempfile::tempdir().unwrap();
    let input = plain(&dir.path().join("in"));
    let packed = folder(&dir.path().join("packed"), |at| (".gz", gzip(words(at).as_bytes())));
    let mut order = (0..FILES).collect::<Vec<_>>();
    order.sort_by_key(|&at| name(at));
    let lines = order.iter().map(|&at| words(at).replace('\n', " ") + "\n").collect::<String>();
    write(&dir.path().join("lines.txt"), lines.as_bytes());
    let output = dir.path().join("corpus.h5");
    let built = |input: &Path, more: &[&str]| {
        alone(["build", text(input), "-o", text(&output), "--no-above", "1", "-q"].iter().chain(more)).ok();
        let (corpus, chunk) = read_corpus(&output);
        let (ids, labels) = (corpus.ids(0, FILES as u64).unwrap(), corpus.labels(0, FILES as u64).unwrap());
        (corpus.terms().unwrap(), chunk, ids, labels)
    };
    let expected = built(&dir.path().join("lines.txt"), &[]);
    assert!(expected.0.len() > 300);
    let labelled = built(&input, &["--label-field", "folder", "--id-field", "path"]);
    let unlabelled = built(&packed, &[]);
    assert_eq!((&labelled.0, &labelled.1), (&expected.0, &expected.1));
    assert_eq!((&unlabelled.0, &unlabelled.1), (&expected.0, &expected.1));
    assert_eq!(labelled.2, order.iter().map(|&at| name(at)).collect::<Vec<_>>());
    assert_eq!(unlabelled.2[17], name(order[17]) + ".gz");
    let label = |&at: &usize| name(at).split_once('/').unwrap().0.to_owned();
    assert_eq!(labelled.3, Some(order.iter().map(label).collect()));
    assert_eq!(unlabelled.3, None);
}

#[test]
fn a_link_back_is_passed_over_with_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    for file in ["a", "b", "c/d"] {
        write(&input.join(file), b"the same words in all of them");
    }
    std::os::unix::fs::symlink(&input, input.join("c/again")).unwrap();
    let all = ["--no-above", "1", "--no-below", "1", "--format", "csv"];
    let output = dir.path().join("corpus.h5");
    let run = alone(["build", text(&input), "-o", text(&output)].iter().chain(&all)).ok();
    assert!(run.stdout.lines().nth(1).unwrap().starts_with("3,"), "{}", run.stdout);
    let said = run.stderr.lines().filter(|line| line.contains("c/again: passed over")).count();
    assert_eq!(said, 1, "{}", run.stderr);
}

#[test]
fn what_cannot_be_a_document_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("corpus.h5");
    let counts: &[usize] = if has_mpi() { &[1, 3] } else { &[1] };
    let fill = |name: &str, bytes: &[u8]| {
        let root = dir.path().join("in");
        let _ = std::fs::remove_dir_all(&root);
        (0..20).for_each(|at| write(&root.join(format!("a/{at}")), b"words\nand words\n"));
        write(&root.join(name), bytes);
        root
    };
    let refused = |input: &Path, more: &[&str], code: i32, says: &[&str]| {
        for &count in counts {
            let before = names(dir.path());
            ranks(count, ["build", text(input), "-o", text(&output)].iter().chain(more)).failed(code, says);
            assert_eq!(names(dir.path()), before);
        }
    };
    refused(&fill("a/latin", b"one\ncaf\xe9\n"), &[], 1, &["in/a/latin:2: not UTF-8", "--invalid-utf8 replace"]);
    refused(&fill("a/image", b"\x89PNG\r\n\x00"), &[], 1, &["in/a/image:2: a NUL byte"]);
    refused(&fill("a/packed", &gzip(b"words")), &[], 1, &["in/a/packed: is compressed", ".gz"]);
    let cut = gzip(words(1).as_bytes());
    refused(&fill("a/cut.gz", &cut[..cut.len() / 2]), &[], 1, &["in/a/cut.gz: the gzip stream is damaged"]);
    refused(&fill("top", b"words"), &["--label-field", "folder"], 1, &["in/top: lies in no folder"]);
    let folder = fill("a/fine", b"words");
    refused(&folder, &["--label-field", "kind"], 2, &["--label-field kind", "\"folder\" only"]);
    refused(&folder, &["--text-field", "body"], 2, &["--text-field means nothing for folders"]);
    refused(&folder, &["--input-format", "csv"], 1, &["in: is a folder", "--input-format dir"]);
    refused(&folder, &[text(&folder.join("a/fine"))], 2, &["a/fine: is a file among folders"]);
    std::fs::create_dir(dir.path().join("none")).unwrap();
    refused(&dir.path().join("none"), &[], 1, &["none: holds no files"]);
    refused(&dir.path().join("absent"), &["--input-format", "dir"], 1, &["absent: No such file"]);
}

#[test]
fn no_output_goes_into_the_input() {
    let dir = tempfile::tempdir().unwrap();
    let input = plain(&dir.path().join("in"));
    let output = input.join("east/corpus.h5");
    alone(["build", text(&input), "-o", text(&output)]).failed(2, &["lies in the input", "name another output"]);
    assert!(!output.exists());
}

#[test]
fn bytes_that_are_not_utf8_follow_the_option() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    write(&input.join("a"), b"caf\xe9 noir");
    write(&input.join(std::ffi::OsStr::from_bytes(b"b\xff")), b"words");
    let output = dir.path().join("corpus.h5");
    let build = ["build", text(&input), "-o", text(&output), "--no-below", "1", "--no-above", "1", "-q"];
    alone(build.iter().chain(&["--invalid-utf8", "replace"])).ok();
    let (corpus, _) = read_corpus(&output);
    assert_eq!(corpus.terms().unwrap(), ["caf", "noir", "words"]);
    assert_eq!(corpus.ids(0, 2).unwrap(), ["a", "b\u{fffd}"]);
    write(&input.join("a"), b"words");
    alone(build).failed(1, &["the name is not UTF-8: rename the file"]);
}
