//! `corpuscle import` of files that are not what they seem at first, and of bad input that shows late: across pieces, over
//! ranks, on a full disk. What every import does is in `convert.rs`.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::corpora::{documents, read_corpus};
use common::{PROGRAM, alone, digest, has_mpi, names, ranks, run, text};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::Values;
use tempfile::tempdir;

const DOCUMENTS: u64 = 20_000;
const TERMS: u32 = 2_000;

/// More than the 4 MiB of a piece as text.
fn matrix() -> CsrChunk {
    documents(DOCUMENTS, TERMS, 5)
}

/// A chunk as a file with these values, its entries in the order that `place` gives their numbers.
fn written(chunk: &CsrChunk, value: impl Fn(f32) -> String, place: impl Fn(usize) -> usize) -> String {
    let rows = (0..chunk.documents()).flat_map(|row| chunk.document(row).0.iter().map(move |_| row));
    let lines: Vec<String> = rows
        .zip(chunk.indices.iter().zip(&chunk.data))
        .map(|(row, (term, &count))| format!("{} {} {}\n", row + 1, term + 1, value(count)))
        .collect();
    let header = format!(
        "%%MatrixMarket matrix coordinate real general\n% note\n{} {} {}          \n",
        chunk.documents(),
        chunk.terms,
        lines.len()
    );
    let mut text = header;
    (0..lines.len()).for_each(|at| text.push_str(&lines[place(at) % lines.len()]));
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn arguments<'a>(input: &'a Path, output: &'a Path, options: &[&'a str]) -> Vec<&'a str> {
    let mut list = vec!["import", text(input), "--format", "mm", "-q", "-o", text(output)];
    list.extend(options);
    list
}

/// Lines `name 0`, `name 1`, ... in a file.
fn lines(path: &Path, name: &str, count: u64) {
    std::fs::write(path, (0..count).map(|n| format!("{name} {n}\n")).collect::<String>()).unwrap();
}

#[test]
fn files_in_any_order_and_late_weights_become_the_same_corpus_over_any_ranks() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let chunk = matrix();
    let plain = written(&chunk, |count| count.to_string(), |at| at);
    assert!(plain.len() > 5 << 20, "{}", plain.len());
    // 1,000,003 is prime and so meets every entry once.
    std::fs::write(at("shuffled.mm"), written(&chunk, |count| count.to_string(), |at| at * 1_000_003)).unwrap();
    // Weights, of which the first that is no whole number is in the last piece: all ranks have to begin again.
    let late = |count: f32| if count < 1e6 { format!("{count}.0") } else { "0.5".to_owned() };
    let mut odd = chunk.clone();
    *odd.data.last_mut().unwrap() = 1e6;
    std::fs::write(at("late.mm"), written(&odd, late, |at| at)).unwrap();
    *odd.data.last_mut().unwrap() = 0.5;
    lines(&at("ids"), "id", DOCUMENTS);
    lines(&at("labels"), "label", DOCUMENTS);
    lines(&at("terms"), "term", TERMS.into());
    let names: Vec<String> = ["ids", "labels", "terms"].map(|name| text(&at(name)).to_owned()).into();
    let beside = ["--ids", &names[0], "--labels", &names[1], "--dictionary", &names[2]];

    for (name, expected, values) in
        [("shuffled.mm", &chunk, Values::Counts), ("late.mm", &odd, Values::Weights("unknown".into()))]
    {
        let serial = at("serial.h5");
        alone(arguments(&at(name), &serial, &beside)).ok();
        let (reader, read) = read_corpus(&serial);
        assert!(read == *expected, "{name}");
        assert_eq!((&reader.header().values, reader.header().labelled), (&values, true), "{name}");
        assert_eq!(reader.ids(DOCUMENTS - 1, 1).unwrap(), ["id 19999"]);
        assert_eq!(reader.labels(7, 1).unwrap(), Some(vec!["label 7".to_owned()]));
        assert_eq!(reader.terms().unwrap()[1999], "term 1999");
        drop(reader);
        for count in if has_mpi() { vec![2, 3, 5] } else { vec![] } {
            for scatter in [&[][..], &["--scatter"]] {
                let output = at("parallel.h5");
                ranks(count, arguments(&at(name), &output, &[&beside, scatter].concat())).ok();
                assert_eq!(digest(&output), digest(&serial), "{name} with {count} ranks {scatter:?}");
            }
        }
    }
}

/// Bad input, and what is said about it.
fn refuse_all(count: usize) {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let head = |body: &str| format!("%%MatrixMarket matrix coordinate real general\n3 4 3\n{body}").into_bytes();
    let good = head("1 1 1\n2 2 2\n3 3 3\n");
    // A bad line that the dispatcher does not look at first: its number has to be counted across pieces.
    let plain = written(&matrix(), |count| count.to_string(), |at| at);
    let far = format!("{plain}oops\n").into_bytes();
    let far_line = format!("bad:{}: document \"oops\"", plain.lines().count() + 1);
    let cut = gzip(&plain)[..20_000].to_vec();
    let inputs: Vec<(Vec<u8>, &str)> = vec![
        (b"\x7fELF\x02\x01\x01\0\0\0".to_vec(), "bad:1: not a MatrixMarket file"),
        (b"%%MatrixMarket matrix coordinate complex general\n".to_vec(), "bad:1: complex matrices"),
        (head("1 1 1\n2 2 20000000\n3 3 3\n"), "bad:4: count 20000000"),
        (far, &far_line),
        (cut, "bad: "),
    ];
    let refused = |input: &Path, options: &[&str], code: i32, says: &str| {
        let before = names(folder.path());
        let run = ranks(count, arguments(input, &at("corpus.h5"), options));
        run.failed(code, &[says]);
        assert_eq!(names(folder.path()), before, "{says}: something was left behind");
    };
    for (bytes, says) in inputs {
        std::fs::write(at("bad"), bytes).unwrap();
        refused(&at("bad"), &[], 1, says);
    }
    std::fs::write(at("good"), good).unwrap();
    for (name, lines, option, says) in [
        ("long", "a\nb\nc\nd\n", "--labels", "long:4: more lines than the 3 documents"),
        ("gap", "a\n\nc\n", "--ids", "gap:2: the line is empty"),
    ] {
        std::fs::write(at(name), lines).unwrap();
        refused(&at("good"), &[option, text(&at(name))], 1, says);
    }
    refused(&at("good"), &["--ids", text(&at("corpus.h5"))], 2, "corpus.h5: is input and output at once");
    ranks(count, arguments(&at("good"), Path::new("/proc/corpus.h5"), &[])).failed(1, &["/proc/corpus.h5"]);
}

#[test]
fn bad_input_is_refused() {
    refuse_all(1);
}

#[test]
fn bad_input_is_refused_under_mpi() {
    if has_mpi() {
        refuse_all(3);
    }
}

/// A limit on the size of files stands in for a full disk.
#[test]
fn a_full_disk_leaves_the_old_corpus() {
    let folder = tempdir().unwrap();
    let (input, output): (PathBuf, PathBuf) = (folder.path().join("m.mm"), folder.path().join("corpus.h5"));
    std::fs::write(&input, written(&matrix(), |count| count.to_string(), |at| at)).unwrap();
    std::fs::write(&output, "the old one").unwrap();
    let before = names(folder.path());
    let mut shell = Command::new("bash");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "bash", PROGRAM]);
    run(shell.args(arguments(&input, &output, &[]))).failed(1, &["corpus.h5: ", "File too large"]);
    assert_eq!(names(folder.path()), before);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "the old one");
}
