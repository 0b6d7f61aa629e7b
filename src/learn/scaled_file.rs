//! The file that scaled rows go to: a vectors file of ours, or `.npy`.
//!
//! The place of a row in a `.npy` file is known beforehand. Where all workers see the unfinished file, known by its head and
//! its length, each writes its own rows and the dispatcher gets none; else rows come to the dispatcher in their order.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::table::{Block, Numbers, Shape, Table, as_rows};
use crate::comm::Route;
use crate::dispatch::Job;
use crate::error::{At, Error, Result};
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelWriter, Slabs};

/// The dispatcher's side: the file being written.
pub enum Output {
    /// As numpy writes it.
    Npy { target: Target, file: File, head: Vec<u8>, written: u64 },
    /// A vectors file in single precision.
    Single { rows: Slabs<f32>, file: ModelWriter },
    /// A vectors file in double precision.
    Double { rows: Slabs<f64>, file: ModelWriter },
}

/// Version 1 of the format: the data begins at a multiple of 64 bytes, behind a line feed.
fn head(shape: &Shape) -> Vec<u8> {
    let kind = if shape.double { "<f8" } else { "<f4" };
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}, {}), }}", shape.rows, shape.columns);
    let length = (text.len() + 11).next_multiple_of(64) - 10;
    let mut head = b"\x93NUMPY\x01\x00".to_vec();
    head.extend((length as u16).to_le_bytes());
    head.extend(format!("{text:<width$}\n", width = length - 1).as_bytes());
    head
}

fn bytes(numbers: &Numbers) -> &[u8] {
    match numbers {
        Numbers::Single(numbers) => bytemuck::cast_slice(numbers),
        Numbers::Double(numbers) => bytemuck::cast_slice(numbers),
    }
}

impl Output {
    /// Starts a file for rows of this shape; `name` says of which kind.
    pub fn create(target: Target, name: &Path, shape: &Shape) -> Result<Output> {
        if name.extension().is_some_and(|extension| extension == "npy") {
            let mut file = File::create(target.temporary()).at(target.path())?;
            let head = head(shape);
            let size = shape.rows * shape.columns * if shape.double { 8 } else { 4 };
            file.write_all(&head).and_then(|()| file.set_len((head.len() + size) as u64)).at(target.path())?;
            return Ok(Output::Npy { target, file, written: head.len() as u64, head });
        }
        let mut file = ModelWriter::create(target, Format::Vectors)?;
        Ok(if shape.double {
            Output::Double { rows: file.slabs("vectors", shape.columns)?, file }
        } else {
            Output::Single { rows: file.slabs("vectors", shape.columns)?, file }
        })
    }

    /// Appends rows.
    pub fn append(&mut self, numbers: &Numbers, shape: &Shape) -> Result<()> {
        match (self, numbers) {
            (Output::Npy { target, file, written, .. }, numbers) => {
                let bytes = bytes(numbers);
                file.write_all_at(bytes, *written).at(target.path())?;
                *written += bytes.len() as u64;
                Ok(())
            }
            (Output::Single { rows, file }, Numbers::Single(numbers)) => {
                file.push(rows, as_rows(numbers, shape.columns))
            }
            (Output::Double { rows, file }, Numbers::Double(numbers)) => {
                file.push(rows, as_rows(numbers, shape.columns))
            }
            _ => Err(Error::failed("scaled rows of another precision than their table")),
        }
    }

    /// Completes the file. The provenance is asked for only where it is kept.
    pub fn finish(
        self,
        job: &Job,
        table: &Table,
        provenance: impl FnOnce() -> Result<serde_json::Value>,
    ) -> Result<()> {
        let mut file = match self {
            Output::Npy { target, file, .. } => {
                drop(file);
                return job.account.io(|| target.commit());
            }
            Output::Single { rows, mut file } => {
                file.finish_slabs(rows)?;
                file
            }
            Output::Double { rows, mut file } => {
                file.finish_slabs(rows)?;
                file
            }
        };
        let provenance = provenance()?;
        job.account.io(|| {
            file.strings("ids", table.ids()?)?;
            if let Some(labels) = table.labels()? {
                file.strings("labels", labels)?;
            }
            file.finish(&provenance).map(drop)
        })
    }
}

/// The unfinished `.npy` file, as a worker sees it.
pub struct Place {
    file: Option<File>,
    begin: u64,
    path: PathBuf,
}

impl Place {
    /// Finds out whether all workers see the file. Collective; the dispatcher gives its output.
    pub fn find(job: &Job, output: Option<&Output>) -> Result<Option<Place>> {
        let message = job.share(|| match output {
            // What a later run is to go on with has to come by the dispatcher.
            Some(Output::Npy { target, head, .. }) if !job.scatter && job.checkpoint.is_none() => {
                let path = std::path::absolute(target.temporary()).at(target.path())?;
                serde_json::to_vec(&(path, head)).at(target.path())
            }
            _ => Ok(Vec::new()),
        })?;
        if message.is_empty() {
            return Ok(None);
        }
        let (path, head): (PathBuf, Vec<u8>) =
            serde_json::from_slice(&message).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
        let file = if job.works() { seen(&path, &head) } else { None };
        let votes = job.wait(job.comm.gather(Route::World, vec![u8::from(file.is_some() || !job.works())]))?;
        let all = job.share(|| Ok(vec![u8::from(votes.iter().all(|vote| *vote == [1]))]))?;
        Ok((all == [1]).then_some(Place { file, begin: head.len() as u64, path }))
    }

    /// Writes scaled rows where they belong.
    pub fn put(&self, block: &Block, numbers: &Numbers) -> Result<()> {
        let bytes = bytes(numbers);
        let row = bytes.len() / block.rows().max(1);
        match &self.file {
            Some(file) => file.write_all_at(bytes, self.begin + (block.first * row) as u64).at(&self.path),
            None => Err(Error::failed("rows were scaled where nobody works")),
        }
    }
}

/// The file, if it is there and begins with this head.
fn seen(path: &Path, head: &[u8]) -> Option<File> {
    let file = File::options().read(true).write(true).open(path).ok()?;
    let mut begin = vec![0; head.len()];
    file.read_exact_at(&mut begin, 0).ok()?;
    (begin == head).then_some(file)
}
