//! A corpus as `scipy.sparse.load_npz` reads it: documents x terms (csr), or terms x documents (csc), of counts (int32) or
//! weights (float32).
//!
//! Both list the entries document by document, so the arrays are the same. The archive is written an array after the
//! other, in as many passes over the corpus; its bytes depend on the corpus alone.

use std::io::{Seek, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::corpus::container::{CorpusReader, Values};
use crate::corpus::matrix_market::Rows;
use crate::error::{Error, Result};
use crate::store::npy::NpyHeader;

/// Offsets written together.
const OFFSETS: usize = 1 << 16;

/// Writes the archive. `seen` is told the documents of each chunk that has gone into it.
///
/// # Errors
/// Those of reading and writing.
pub fn write(corpus: &CorpusReader, rows: Rows, to: impl Write + Seek, seen: &mut dyn FnMut(u64)) -> Result<()> {
    let (header, mut archive) = (corpus.header(), ZipWriter::new(to));
    let (layout, shape) = match rows {
        Rows::Documents => ("csr", [header.documents, header.terms.into()]),
        Rows::Terms => ("csc", [header.terms.into(), header.documents]),
    };
    let nonzeros = header.nonzeros;
    begin(&mut archive, "indices", "<i4", &[nonzeros])?;
    for number in 0..corpus.chunks().len() {
        // Below 2^31, as scipy has them.
        told(archive.write_all(bytemuck::cast_slice(&corpus.read_chunk(number)?.indices)))?;
    }
    begin(&mut archive, "indptr", if nonzeros < 1 << 31 { "<i4" } else { "<i8" }, &[header.documents + 1])?;
    let mut offsets = vec![0_u64];
    let mut end = 0;
    let mut lengths = corpus.document_lengths();
    loop {
        offsets.extend(lengths.by_ref().take(OFFSETS).map(|length| {
            end += length;
            end
        }));
        if offsets.is_empty() {
            break;
        }
        let bytes: Vec<u8> = if nonzeros < 1 << 31 {
            offsets.iter().flat_map(|&offset| (offset as u32).to_le_bytes()).collect()
        } else {
            offsets.iter().flat_map(|&offset| offset.to_le_bytes()).collect()
        };
        told(archive.write_all(&bytes))?;
        offsets.clear();
    }
    begin(&mut archive, "format", "|S3", &[])?;
    told(archive.write_all(layout.as_bytes()))?;
    begin(&mut archive, "shape", "<i8", &[2])?;
    told(archive.write_all(bytemuck::cast_slice(&shape)))?;
    let counts = header.values == Values::Counts;
    begin(&mut archive, "data", if counts { "<i4" } else { "<f4" }, &[nonzeros])?;
    for number in 0..corpus.chunks().len() {
        let chunk = corpus.read_chunk(number)?;
        if counts {
            let counts: Vec<i32> = chunk.data.iter().map(|&count| count as i32).collect();
            told(archive.write_all(bytemuck::cast_slice(&counts)))?;
        } else {
            told(archive.write_all(bytemuck::cast_slice(&chunk.data)))?;
        }
        seen(chunk.documents() as u64);
    }
    archive.finish().map(drop).map_err(failed)
}

/// Begins an array of the archive.
fn begin(archive: &mut ZipWriter<impl Write + Seek>, name: &str, kind: &str, shape: &[u64]) -> Result<()> {
    // Beyond 4 GiB an entry has to be announced as such.
    let options = SimpleFileOptions::default().large_file(true);
    archive.start_file(format!("{name}.npy"), options).map_err(failed)?;
    told(archive.write_all(&NpyHeader::bytes(kind, shape)))
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::failed(format!("cannot be written ({cause})"))
}

fn told<T>(result: std::io::Result<T>) -> Result<T> {
    result.map_err(failed)
}
