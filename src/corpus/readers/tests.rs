use std::path::{Path, PathBuf};

use super::*;
use crate::corpus::cutter::{Cutter, read_piece};
use crate::corpus::text::TextSpec;

/// Text, identifier and label of a document.
type Triple = (String, Option<String>, Option<String>);

fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Every document, cut into pieces of about `spec.piece_bytes`.
fn read(spec: &TextSpec) -> Result<Vec<Triple>> {
    let plan = spec.check()?;
    let mut cutter = Cutter::new(&plan);
    let mut all = Vec::new();
    while let Some(piece) = cutter.next()? {
        let bytes = read_piece(&plan, &piece)?;
        documents(&plan, &piece, &bytes, &mut |document| {
            let owned = |s: Cow<'_, str>| s.into_owned();
            all.push((owned(document.text), document.id.map(owned), document.label.map(owned)));
            Ok(())
        })?;
    }
    Ok(all)
}

fn spec(path: &Path) -> TextSpec {
    TextSpec::new(vec![path.to_path_buf()])
}

fn triple(text: &str, id: &str, label: &str) -> Triple {
    (text.into(), Some(id.into()), Some(label.into()))
}

fn message(spec: &TextSpec) -> String {
    read(spec).unwrap_err().to_string()
}

#[test]
fn every_line_is_a_document_also_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "a.txt", b"\xef\xbb\xbfone two\r\n\n three\n\nlast");
    for piece_bytes in [1, 4, 1000] {
        let texts =
            read(&TextSpec { piece_bytes, ..spec(&path) }).unwrap().into_iter().map(|d| d.0).collect::<Vec<_>>();
        assert_eq!(texts, ["one two", "", " three", "", "last"]);
    }
}

#[test]
fn json_lines_give_the_wanted_fields() {
    let dir = tempfile::tempdir().unwrap();
    let lines = concat!(
        r#"{"other": {"text": [1, "x"]}, "text": "plain", "id": "a", "n": 1}"#,
        "\r\n\n  \n",
        r#"{"n": -2, "id": 17, "text": "esc\u0061ped \"\n\u0000 caf\u00e9"}"#,
        "\n",
        r#"{"te\u0078t": "t", "id": "é", "n": 1.50}"#,
    );
    let path = file(dir.path(), "a.jsonl", lines.as_bytes());
    let wanted = TextSpec { id_field: Some("id".into()), label_field: Some("n".into()), piece_bytes: 1, ..spec(&path) };
    let expected = [triple("plain", "a", "1"), triple("escaped \"\n\0 café", "17", "-2"), triple("t", "é", "1.5")];
    assert_eq!(read(&wanted).unwrap(), expected);
    // Unasked, fields named id or label are none.
    assert_eq!(read(&spec(&path)).unwrap()[0], ("plain".into(), None, None));
    let twice = TextSpec { text_field: Some("id".into()), id_field: Some("id".into()), ..spec(&path) };
    assert!(
        message(&twice).contains("a.jsonl:4: the number 17 in field \"id\", expected a string"),
        "{}",
        message(&twice)
    );
}

#[test]
fn faulty_json_lines_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for (fault, expected) in [
        (r#"{"text": "open"#, "a.jsonl:3: EOF while parsing a string (column 14)"),
        (r#"{"text": "a"} x"#, "a.jsonl:3: trailing characters (column 15)"),
        (r#"["text"]"#, "a.jsonl:3: invalid type: sequence, expected a JSON object per line"),
        (r#"{"text": null}"#, "a.jsonl:3: invalid type: null, expected a string in field \"text\""),
        (
            r#"{"body": "a", "n": 3}"#,
            "a.jsonl:3: no field \"text\"; others are: \"body\", \"n\"; choose one with --text-field",
        ),
    ] {
        let path = file(dir.path(), "a.jsonl", format!("{{\"text\": \"fine\"}}\n\n{fault}\n").as_bytes());
        for piece_bytes in [1, 1000] {
            let message = message(&TextSpec { piece_bytes, ..spec(&path) });
            assert!(message.contains(expected), "{message}");
        }
    }
    let path = file(dir.path(), "a.jsonl", b"{\"text\": \"fine\", \"id\": 100000000000000000000001}\n");
    let long_id = message(&TextSpec { id_field: Some("id".into()), ..spec(&path) });
    assert!(long_id.contains("a.jsonl:1: the number in field \"id\" has too many digits"), "{long_id}");
    let path = file(dir.path(), "a.jsonl", b"{\"text\": \"fine\", \"key\": [1]}\n");
    let no_id = message(&TextSpec { id_field: Some("id".into()), ..spec(&path) });
    assert!(no_id.contains("no field \"id\"; others are: \"key\"; choose one with --id-field"), "{no_id}");
    let list_id = message(&TextSpec { id_field: Some("key".into()), ..spec(&path) });
    assert!(list_id.contains("expected a string or a number in field \"key\""), "{list_id}");
}

#[test]
fn csv_and_tsv_give_the_wanted_columns() {
    let dir = tempfile::tempdir().unwrap();
    let csv = "\u{feff}\nid,text,\"the \"\"label\"\"\"\r\n1,\"a \"\"b\"\",\nc\",x\r\n\r\n2,plain,\n";
    for (name, contents) in [("a.csv", csv.to_owned()), ("a.tsv", csv.replace(',', "\t"))] {
        let path = file(dir.path(), name, contents.as_bytes());
        let inner = if name == "a.csv" { "," } else { "\t" };
        for piece_bytes in [1, 1000] {
            let wanted = TextSpec {
                id_field: Some("id".into()),
                label_field: Some("the \"label\"".into()),
                piece_bytes,
                ..spec(&path)
            };
            let expected = [triple(&format!("a \"b\"{inner}\nc"), "1", "x"), triple("plain", "2", "")];
            assert_eq!(read(&wanted).unwrap(), expected);
        }
    }
}

#[test]
fn the_only_column_is_the_text_unless_another_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "a.csv", b"body\none\ntwo\n");
    assert_eq!(read(&spec(&path)).unwrap().len(), 2);
    let message = message(&TextSpec { text_field: Some("text".into()), ..spec(&path) });
    assert!(
        message.contains("a.csv:1: no column \"text\"; there are: \"body\"; choose one with --text-field"),
        "{message}"
    );
}

#[test]
fn records_of_a_csv_with_fields_too_few_or_many_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for (fault, found) in [("only", "1 fields where the header has 2"), ("a,b,c", "3 fields where the header has 2")] {
        let path = file(dir.path(), "a.csv", format!("text,n\n\"two\nlines\",1\n\r\n{fault}\nrest,1\n").as_bytes());
        for piece_bytes in [1, 1000] {
            let message = message(&TextSpec { piece_bytes, ..spec(&path) });
            assert!(message.contains(&format!("a.csv:5: {found}")), "{message}");
        }
    }
}

#[test]
fn what_is_not_text_is_named_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let broken = b"one\ntwo\nthr\xffee\nfour\n";
    let path = file(dir.path(), "a", broken);
    for piece_bytes in [1, 9, 1000] {
        let spec = TextSpec { piece_bytes, ..spec(&path) };
        let message = message(&spec);
        assert!(message.contains("a:3: not UTF-8") && message.contains("--invalid-utf8 replace"), "{message}");
        let replaced = read(&TextSpec { invalid_utf8: InvalidUtf8::Replace, ..spec }).unwrap();
        assert_eq!(replaced.iter().map(|d| d.0.as_str()).collect::<Vec<_>>(), ["one", "two", "thr\u{fffd}ee", "four"]);
    }
    let path = file(dir.path(), "b", b"one\ntw\0o\n");
    assert!(message(&spec(&path)).contains("b:2: a NUL byte: the file is binary"));
}
