use super::*;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::sent_rows::SentRows;
use crate::error::Result;
use crate::store::atomic::Target;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A corpus whose entries follow from the document's number; some documents are empty.
fn chunk(first: u64, documents: u64, terms: u32, weights: bool) -> CsrChunk {
    let mut chunk = CsrChunk { first_document: first, terms, indptr: vec![0], ..CsrChunk::default() };
    for document in first..first + documents {
        for step in 0..document % 7 {
            chunk.indices.push(((document + step * step * 3) % u64::from(terms)) as u32);
        }
        let begin = *chunk.indptr.last().unwrap() as usize;
        let mut row = chunk.indices.split_off(begin);
        row.sort_unstable();
        row.dedup();
        chunk.data.extend(row.iter().map(|&t| if weights { 0.25 + t as f32 } else { (t % 5 + 1) as f32 }));
        chunk.indices.extend(row);
        chunk.indptr.push(chunk.indices.len() as u64);
    }
    chunk
}

fn names(prefix: &str, first: u64, count: u64) -> Vec<String> {
    (first..first + count).map(|n| format!("{prefix}-{n}-é")).collect()
}

fn write(path: &Path, documents: u64, step: u64, values: Values, labelled: bool) -> Result<CorpusHeader> {
    let terms = names("term", 0, 50);
    let weights = values != Values::Counts;
    let mut writer = CorpusWriter::create(Target::create(path)?, &terms, values, labelled)?;
    for first in (0..documents).step_by(step as usize) {
        let count = step.min(documents - first);
        let labels = labelled.then(|| (first..first + count).map(|n| format!("label-{}", n % 3)).collect::<Vec<_>>());
        writer.append(&chunk(first, count, 50, weights), &names("id", first, count), labels.as_deref())?;
    }
    writer.finish(&json!({"command": "test"}))
}

fn only_file(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).unwrap();
    let path = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "something was left behind");
    path
}

#[test]
fn what_is_written_is_read() {
    for (values, labelled) in [(Values::Counts, true), (Values::Weights("nfc".into()), false)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.h5");
        let header = write(&path, 9000, 1234, values.clone(), labelled).unwrap();
        assert_eq!(only_file(folder.path()), path);
        let reader = CorpusReader::open(&path).unwrap();
        assert_eq!(reader.header(), &header);
        assert_eq!(reader.file().provenance().unwrap(), json!({"command": "test"}));
        assert_eq!(reader.terms().unwrap(), names("term", 0, 50));
        assert_eq!(reader.ids(4000, 200).unwrap(), names("id", 4000, 200));
        assert_eq!(reader.ids(9000, 0).unwrap(), Vec::<String>::new());
        assert_eq!(reader.labels(5, 1).unwrap(), labelled.then(|| vec!["label-2".to_string()]));

        let whole = chunk(0, 9000, 50, values != Values::Counts);
        let mut document_frequency = vec![0; 50];
        let mut collection_frequency = vec![0; 50];
        for (&term, &value) in whole.indices.iter().zip(&whole.data) {
            document_frequency[term as usize] += 1;
            collection_frequency[term as usize] += value as u64;
        }
        assert_eq!(reader.document_frequency().unwrap(), document_frequency);
        match values {
            Values::Counts => assert_eq!(reader.collection_frequency().unwrap(), collection_frequency),
            Values::Weights(_) => assert!(reader.collection_frequency().is_err()),
        }
        let parts: Vec<_> = (0..reader.chunks().len()).map(|n| reader.read_chunk(n).unwrap()).collect();
        assert_eq!(parts.iter().map(CsrChunk::documents).sum::<usize>(), 9000);
        assert_eq!(parts.iter().flat_map(|c| c.indices.clone()).collect::<Vec<_>>(), whole.indices);
        assert_eq!(parts.iter().flat_map(|c| c.data.clone()).collect::<Vec<_>>(), whole.data);
        assert_eq!(reader.read_documents(777, 50).unwrap(), chunk(777, 50, 50, values != Values::Counts));
        assert!(reader.read_chunk(parts.len()).is_err());
        assert!(reader.read_documents(8999, 2).is_err());
        assert!(reader.ids(u64::MAX, 2).is_err());
        reader.verify().unwrap();
    }
}

#[test]
fn bytes_do_not_depend_on_how_the_documents_arrive() {
    let folder = tempfile::tempdir().unwrap();
    // More than one block of strings and of numbers (9,000 and 275,000 entries).
    let documents = 100_000;
    let files = [1, 4096, 33_333, documents].map(|step| {
        let path = folder.path().join(format!("by-{step}"));
        write(&path, documents, step, Values::Counts, true).unwrap();
        fs::read(path).unwrap()
    });
    assert!(files.iter().all(|bytes| *bytes == files[0]));
    assert!(CorpusReader::open(folder.path().join("by-1")).unwrap().chunks().len() > 1);
}

#[test]
fn documents_that_do_not_fit_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.h5");
    let start = || {
        let target = Target::create(&path).unwrap();
        CorpusWriter::create(target, &names("term", 0, 50), Values::Counts, false).unwrap()
    };
    let ids = names("id", 0, 3);
    let good = chunk(3, 3, 50, false);
    assert!(start().append(&good, &ids, None).unwrap_err().to_string().contains("do not continue"));
    let good = CsrChunk { first_document: 0, ..good };
    start().append(&good, &ids, None).unwrap();
    assert!(start().append(&good, &ids[..2], None).is_err());
    assert!(start().append(&good, &ids, Some(&ids)).is_err());
    assert!(start().append(&CsrChunk { terms: 51, ..good.clone() }, &ids, None).is_err());
    for bad in [0.0, -1.0, 0.5, 16_777_218.0] {
        let mut chunk = good.clone();
        chunk.data[4] = bad;
        let error = start().append(&chunk, &ids, None).unwrap_err().to_string();
        assert!(error.contains("in document 1 is no count"), "{error}");
    }
    let nul = start().append(&good, &["a".into(), "b\0c".into(), "d".into()], None).unwrap_err();
    assert!(nul.to_string().contains("NUL"), "{nul}");
    assert!(start().finish(&json!({})).unwrap_err().to_string().contains("without any document"));
    let twice = ["a".to_string(), "a".to_string()];
    let target = || Target::create(&path).unwrap();
    assert!(CorpusWriter::create(target(), &twice, Values::Counts, false).is_err());
    assert!(CorpusWriter::create(target(), &[], Values::Counts, false).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

type Everything = (CorpusHeader, Vec<CsrChunk>, Vec<Vec<String>>, Vec<u64>);

/// Everything a reader can be asked, or the first refusal.
fn read_everything(path: &Path) -> Result<Everything> {
    let reader = CorpusReader::open(path)?;
    let documents = reader.header().documents;
    let chunks = (0..reader.chunks().len()).map(|n| reader.read_chunk(n)).collect::<Result<_>>()?;
    let labels = reader.labels(0, documents)?.unwrap_or_default();
    let strings = vec![reader.terms()?, reader.ids(0, documents)?, labels];
    let mut frequencies = reader.document_frequency()?;
    frequencies.extend(reader.collection_frequency()?);
    reader.file().provenance()?;
    Ok((reader.header().clone(), chunks, strings, frequencies))
}

#[test]
fn damage_anywhere_is_noticed_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.h5");
    write(&path, 40, 40, Values::Counts, true).unwrap();
    let whole = read_everything(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let damaged = folder.path().join("damaged.h5");
    let mut noticed = 0;
    let step = 7;
    for at in (0..bytes.len()).step_by(step) {
        let mut copy = bytes.clone();
        copy[at] ^= 1 << (at % 8);
        fs::write(&damaged, &copy).unwrap();
        match read_everything(&damaged) {
            // Some bytes of an HDF5 file carry nothing.
            Ok(read) => assert!(read == whole, "a flipped bit at {at} changed what was read, unnoticed"),
            Err(e) => {
                let text = e.to_string();
                assert!(text.starts_with(&damaged.display().to_string()) && !text.contains('\n'), "{text}");
                noticed += 1;
            }
        }
    }
    assert!(noticed * step > bytes.len() / 4, "only {noticed} noticed of {} bytes", bytes.len());
    for length in (0..bytes.len()).step_by(501) {
        fs::write(&damaged, &bytes[..length]).unwrap();
        assert!(read_everything(&damaged).is_err(), "truncated to {length}");
    }
}

/// Counts as they arrive from a worker, through the thread that writes, against chunks.
#[test]
fn counts_from_messages_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["chunks", "counted", "known"].map(|name| folder.path().join(name));
    let (documents, step, terms) = (9000, 1234, names("term", 0, 50));
    let create =
        |path: &Path| CorpusWriter::create(Target::create(path).unwrap(), &terms, Values::Counts, false).unwrap();
    let pieces =
        || (0..documents).step_by(step).map(|first| chunk(first, (documents - first).min(step as u64), 50, false));
    let numbers =
        |piece: &CsrChunk| (piece.first_document..).take(piece.documents()).map(|n| n.to_string()).collect::<Vec<_>>();
    let mut writer = create(&paths[0]);
    pieces().for_each(|piece| writer.append(&piece, &numbers(&piece), None).unwrap());
    let expected = writer.finish(&json!({})).unwrap();

    let reader = CorpusReader::open(&paths[0]).unwrap();
    let known = (reader.document_frequency().unwrap(), reader.collection_frequency().unwrap());
    for (path, frequencies) in [(&paths[1], None), (&paths[2], Some(known.clone()))] {
        let mut writer = create(path);
        if let Some((by_document, in_all)) = frequencies {
            writer.know_frequencies(by_document, in_all);
        }
        let mut writer = BackgroundWriter::start(|| Ok(writer)).unwrap();
        for piece in pieces() {
            let mut message = Vec::new();
            SentRows::encode((&piece).into(), true, &mut message);
            let ids = (piece.first_document % 2 == 1).then(|| numbers(&piece));
            writer.append_sent(SentRows::decode(message, 0).unwrap().0, ids, None).unwrap();
        }
        assert_eq!(writer.finish().unwrap().finish(&json!({})).unwrap(), expected);
        assert!(fs::read(path).unwrap() == fs::read(&paths[0]).unwrap(), "{}", path.display());
    }

    let mut writer = create(&paths[1]);
    writer.know_frequencies(known.0, known.1);
    writer.append(&chunk(0, 100, 50, false), &names("id", 0, 100), None).unwrap();
    let refused = writer.finish(&json!({})).unwrap_err().to_string();
    assert!(refused.contains("not those that were counted"), "{refused}");
}
