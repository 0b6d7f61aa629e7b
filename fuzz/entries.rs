//! What is done with bytes that come from outside, a function for each reader: the fuzz targets of this folder call them,
//! and so does `tests/fuzzed.rs`. Whatever the bytes are, a function returns: it does not panic, hang, or take memory
//! that the bytes do not account for. What a reader accepts is used as the program uses it.

use std::path::{Path, PathBuf};

use corpuscle::comm::{Comm, Local};
use corpuscle::corpus::bzip2_blocks::BlockFile;
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::CorpusReader;
use corpuscle::corpus::csv_header::CsvHeader;
use corpuscle::corpus::cutter::{Cutter, Piece, read_piece};
use corpuscle::corpus::matrix_market::{Matrix, Parsed, Rows, parse_lines};
use corpuscle::corpus::name_list::NameList;
use corpuscle::corpus::npz::Npz;
use corpuscle::corpus::piece_rows::Digest;
use corpuscle::corpus::readers::documents;
use corpuscle::corpus::row_lines::{RowFormat, RowLines};
use corpuscle::corpus::sent_rows::SentRows;
use corpuscle::corpus::text::{InputFormat, InvalidUtf8, TextSpec};
use corpuscle::corpus::tokenizer::{Tokenizer, TokenizerSpec};
use corpuscle::corpus::wiki::markup::plain_text;
use corpuscle::corpus::{term_list, word_list};
use corpuscle::dispatch::Job;
use corpuscle::lda::model::LdaModel;
use corpuscle::learn::table::{Choice, Table};
use corpuscle::lsi::model::LsiModel;
use corpuscle::nmf::model::NmfModel;
use corpuscle::pca::model::PcaModel;
use corpuscle::projection::model::ProjectionModel;
use corpuscle::report::account::{Account, RankAccount};
use corpuscle::search::model::FittedPipeline;
use corpuscle::search::pipeline::Pipeline;
use corpuscle::similarity::index::Index;
use corpuscle::similarity::unit::UnitVectors;
use corpuscle::store::checkpoint::Folder;
use corpuscle::store::file::OpenFile;
use corpuscle::weight::saved::SavedModel;
use tempfile::TempDir;

/// A function that takes any bytes.
pub type Entry = fn(&[u8]);

/// All of them, by name.
pub const ENTRIES: [(&str, Entry); 16] = [
    ("corpus", corpus),
    ("model", model),
    ("checkpoint", checkpoint),
    ("matrix_market", matrix_market),
    ("npz", npz),
    ("text", text),
    ("wiki", wiki),
    ("bzip2", bzip2),
    ("lists", lists),
    ("rows", rows),
    ("messages", messages),
    ("liveness", liveness),
    ("pipeline", pipeline),
    ("npy", npy),
    ("hdf5_table", hdf5_table),
    ("csv_table", csv_table),
];

/// Rows, or documents, that are read of a file: those behind them are read no other way.
const MOST: u64 = 10_000;

/// A file of this name with these bytes; it is gone with the folder.
fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    (folder, path)
}

/// A job of one rank.
fn with_job<T>(work: impl FnOnce(&Job) -> T) -> T {
    let comm = Local::new();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let account = Account::open(comm.rank());
    work(&Job::quiet(&comm, &pool, &account))
}

/// A corpus container.
pub fn corpus(bytes: &[u8]) {
    let (_folder, path) = file("corpus.h5", bytes);
    let Ok(reader) = CorpusReader::open(&path) else { return };
    let _ = (reader.terms(), reader.document_frequency(), reader.collection_frequency());
    let documents = reader.header().documents.min(MOST);
    let _ = (reader.ids(0, documents), reader.labels(0, documents));
    for number in 0..reader.chunks().len().min(100) {
        if let Ok(chunk) = reader.read_chunk(number) {
            chunk.check().expect("a chunk that was read is sound");
        }
    }
    let _ = reader.verify();
}

/// A model of any kind, an index, vectors.
pub fn model(bytes: &[u8]) {
    let (_folder, path) = file("model.h5", bytes);
    if let Ok(file) = OpenFile::open(&path) {
        let _ = (file.attributes(), file.datasets(), file.verify(), file.provenance());
    }
    let _ = (LsiModel::load(&path), LdaModel::load(&path), SavedModel::load(&path), FittedPipeline::load(&path));
    let _ = (NmfModel::load(&path), ProjectionModel::load(&path));
    if let Ok(model) = PcaModel::load(&path) {
        let _ = (model.explained_variance_ratio(), model.noise_variance(), model.affine().offset());
    }
    if let Ok(vectors) = UnitVectors::open(&path) {
        let _ = vectors.rows(0, vectors.documents().min(MOST as usize));
        let _ = vectors.strings("ids").map(|names| names.take(3).count());
    }
    with_job(|job| {
        if let Ok(index) = Index::open(job, &path) {
            let _ = (index.strings("ids", &[0]), index.strings("labels", &[0]));
        }
    });
}

/// A checkpoint: bytes up to the first newline are what a generation says, the others its journal. The first byte says whether
/// their checksums are put right, so that what is behind them is reached, too.
pub fn checkpoint(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let (line, journal) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
    let mut line = String::from_utf8_lossy(line).into_owned();
    if first % 2 == 0 {
        line = line.replace("BLAKE3", blake3::hash(journal).to_hex().as_str());
    }
    line += &format!("\n{}\n", blake3::hash(line.as_bytes()).to_hex());
    write("checkpoint-7", line.as_bytes());
    write("journal-1", journal);
    write("unfinished", journal);
    let job = serde_json::json!({ "command": "lsi" });
    let Ok((folder, saved)) = Folder::open(folder.path(), true, &job) else { return };
    for record in saved.iter().flat_map(|saved| saved.records()) {
        let read = saved.as_ref().map(|saved| saved.read(record));
        read.transpose().expect("a record that was listed is there");
    }
    folder.close().expect("a folder that was opened can be closed");
}

/// A MatrixMarket file, whose rows are documents or terms, and a UCI bag of words.
pub fn matrix_market(bytes: &[u8]) {
    let (_folder, path) = file("matrix.mm", bytes);
    let opened = [Matrix::open(&path, Rows::Documents), Matrix::open(&path, Rows::Terms), Matrix::open_uci(&path)];
    for matrix in opened.into_iter().flatten() {
        let mut cutter = Cutter::new(&matrix.lines);
        while let Ok(Some(piece)) = cutter.next() {
            let Ok(bytes) = read_piece(&matrix.lines, &piece) else { break };
            let parsed = parse_lines(&bytes, &matrix.header);
            for entry in &parsed.entries {
                assert!(entry.document < matrix.header.documents && entry.term < matrix.header.terms);
                assert!(entry.value.is_finite());
            }
            Digest::decode(Digest::encode(&parsed)).expect("what was encoded");
        }
    }
}

/// Raw text. The first bytes say of which format, in pieces of how many bytes, and how the file is called.
pub fn text(bytes: &[u8]) {
    let Some((head, bytes)) = bytes.split_first_chunk::<3>() else { return };
    use InputFormat::{Csv, Jsonl, Lines, Low, Mallet, Tsv};
    let format = [Lines, Jsonl, Csv, Tsv, Mallet, Low][usize::from(head[0] % 6)];
    let (_folder, path) = file(["a", "a.gz", "a.bz2", "a.zst"][usize::from(head[2] % 4)], bytes);
    let fields = head[0] >= 128 && !matches!(format, Lines | Low | Mallet);
    let spec = TextSpec {
        format: Some(format),
        piece_bytes: 1 + u64::from(head[1]) * 16,
        id_field: fields.then(|| "id".to_owned()),
        label_field: fields.then(|| "label".to_owned()),
        invalid_utf8: if head[2] >= 128 { InvalidUtf8::Replace } else { InvalidUtf8::Refuse },
        ..TextSpec::new(vec![path])
    };
    read_all(&spec);
}

/// A dump of Wikipedia, plain or in bzip2 blocks, and markup by itself. The first byte says how large the pieces are.
pub fn wiki(bytes: &[u8]) {
    let Some((&head, bytes)) = bytes.split_first() else { return };
    let name = if bytes.starts_with(b"BZh") { "a.xml.bz2" } else { "a.xml" };
    let (_folder, path) = file(name, bytes);
    read_all(&TextSpec {
        format: Some(InputFormat::Wiki),
        piece_bytes: 1 + u64::from(head) * 64,
        ..TextSpec::new(vec![path])
    });
    plain_text(&String::from_utf8_lossy(bytes));
}

/// Blocks of a bzip2 file, from its beginning and from a place that the first bytes say.
pub fn bzip2(bytes: &[u8]) {
    let Some((head, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let (_folder, path) = file("a.bz2", bytes);
    let blocks = BlockFile::open(&path).expect("a file that was written");
    let (place, length) = (u64::from(u16::from_le_bytes(*head)), bytes.len() as u64);
    let _ = (blocks.block(place), blocks.run(place.min(length)..length));
    let mut next = blocks.run(0..length).ok().and_then(|run| run.next);
    while let Some(bit) = next {
        let Ok(run) = blocks.block(bit) else { break };
        assert!(run.next.is_none_or(|after| after > bit), "blocks follow one another");
        next = run.next;
    }
}

fn read_all(spec: &TextSpec) {
    let Ok(plan) = spec.check() else { return };
    let tokenizer = Tokenizer::new(&TokenizerSpec::default()).expect("the default tokenizer");
    let mut scratch = String::new();
    let mut cutter = Cutter::new(&plan);
    while let Ok(Some(piece)) = cutter.next() {
        // Its text travels beside it.
        assert_eq!(Piece::decode(&piece.encode()), Piece { body: None, ..piece.clone() });
        let Ok(bytes) = read_piece(&plan, &piece) else { break };
        let read = documents(&plan, &piece, &bytes, &mut |document| {
            let mut count = 0;
            tokenizer.tokens(&document.text, &mut scratch, |_| count += 1);
            assert!(count <= tokenizer.most_terms(document.text.len()));
            Ok(())
        });
        if read.is_err() {
            break;
        }
    }
}

/// Files with something on each line: dictionaries, words, names.
pub fn lists(bytes: &[u8]) {
    let (_folder, path) = file("list", bytes);
    let _ = (term_list::read(&path, 2), term_list::of_dictionary(&path), word_list::read(&path));
    if let Ok(mut names) = NameList::open(&path) {
        let _ = names.take(MOST as usize);
        let _ = names.end();
    }
}

/// A sparse matrix of scipy.
pub fn npz(bytes: &[u8]) {
    let (_folder, path) = file("matrix.npz", bytes);
    for matrix in [Rows::Documents, Rows::Terms].map(|rows| Npz::open(&path, rows)).into_iter().flatten() {
        let _ = matrix.counts();
        let _ = matrix.entries(&mut |entries| {
            for entry in entries {
                assert!(entry.document < matrix.header.documents && entry.term < matrix.header.terms);
                assert!(entry.value.is_finite());
            }
            Ok(u64::from(entries.last().map_or(0, |entry| entry.line)) < MOST)
        });
    }
}

/// SVMlight, LDA-C and CSV files; the first as a table, too.
pub fn rows(bytes: &[u8]) {
    let (_folder, path) = file("matrix.csv", bytes);
    let lines = TextSpec { format: Some(InputFormat::Lines), ..TextSpec::new(vec![path.clone()]) };
    if let Ok(mut plan) = lines.check() {
        let _ = CsvHeader::read(&path, &mut plan.files[0]);
    }
    table("table.svm", bytes, &Choice::default());
    let formats = [false, true].map(|zero_based| RowFormat::Svmlight { zero_based });
    for format in formats.into_iter().chain([RowFormat::Blei, RowFormat::Csv { columns: 3 }]) {
        if let Ok(rows) = RowLines::parse(bytes, format) {
            let (sent, sent_labels) = RowLines::decode(rows.encode(rows.counts)).expect("what was encoded");
            let terms = rows.terms;
            let (indptr, indices, data, labels) = rows.into_parts();
            assert_eq!((sent.offsets(), &sent.indices()[..], &sent_labels), (indptr.clone(), &indices[..], &labels));
            let chunk = CsrChunk { first_document: 0, terms, indptr, indices, data };
            chunk.check().expect("a chunk that was read is sound");
        }
    }
}

/// Messages between ranks.
pub fn messages(bytes: &[u8]) {
    corpuscle::dispatch::read_any_message(bytes);
    let _ = (
        Parsed::decode(bytes),
        Digest::decode(bytes.to_vec()),
        FittedPipeline::decode(bytes),
        RankAccount::from_bytes(bytes),
    );
    if let Ok(chunk) = CsrChunk::decode(bytes) {
        chunk.check().expect("a chunk that was read is sound");
    }
    if let Ok((rows, end)) = SentRows::decode(bytes.to_vec(), 0) {
        assert!(end <= bytes.len() && rows.offsets().len() == rows.documents() + 1);
    }
    if let Ok((rows, labels)) = RowLines::decode(bytes.to_vec()) {
        assert!(labels.is_none_or(|labels| labels.len() == rows.documents()));
    }
}

/// What arrives on the connection that tells who is alive.
pub fn liveness(bytes: &[u8]) {
    // A build without MPI has no such connection.
    #[cfg(feature = "mpi")]
    corpuscle::comm::hear_any_words(bytes);
    #[cfg(not(feature = "mpi"))]
    let _ = bytes;
}

/// A pipeline file.
pub fn pipeline(bytes: &[u8]) {
    let _ = Pipeline::parse(Path::new("pipeline.toml"), &String::from_utf8_lossy(bytes), 1);
}

/// A dense table as numpy saves it.
pub fn npy(bytes: &[u8]) {
    table("table.npy", bytes, &Choice::default());
}

/// A dense table in an HDF5 file of others.
pub fn hdf5_table(bytes: &[u8]) {
    table("table.h5", bytes, &Choice { dataset: Some("data".to_owned()), label_field: None });
}

/// A dense table as CSV, with a column of labels or without.
pub fn csv_table(bytes: &[u8]) {
    table("table.csv", bytes, &Choice::default());
    table("table.csv", bytes, &Choice { dataset: None, label_field: Some("label".to_owned()) });
}

fn table(name: &str, bytes: &[u8], choice: &Choice) {
    let (_folder, path) = file(name, bytes);
    with_job(|job| {
        let Ok(table) = Table::open(job, &path, choice) else { return };
        let count = table.shape().rows.min(MOST as usize).min(table.block_rows());
        if let Ok(block) = table.rows(0, count) {
            assert_eq!(block.rows(), count);
        }
        let _ = (table.ids(), table.labels(), table.input());
    });
}
