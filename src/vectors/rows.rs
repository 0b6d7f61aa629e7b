//! A vector for each row of a table of anyone, written in the order of the rows and in the precision of the table.
//!
//! Cost: one reading; a row of the result travels to the dispatcher. Memory: a block of rows and of results on a worker.

use std::path::Path;

use serde_json::Value;

use crate::dispatch::memory::{FILES, Forecast, Need, waiting};
use crate::dispatch::{Dataset, Job};
use crate::error::{Error, Result};
use crate::learn::scaled_file::Output;
use crate::learn::table::{Block, Blocks, Numbers, Table};
use crate::report::progress::Unit;
use crate::store::atomic::Target;

/// Writes a vector of `width` numbers for each row: `vectors` gives those of a block (rows x width); `name` says what kind of
/// file is written, as it is asked for on the command line. Collective; `target` is given on the dispatcher.
pub fn write(
    job: &Job,
    table: &Table,
    width: usize,
    name: &Path,
    target: Option<Target>,
    vectors: impl Fn(&Block) -> Result<Vec<f64>>,
    provenance: &dyn Fn() -> Result<Value>,
) -> Result<()> {
    job.begin(provenance)?;
    let shape = table.shape().with_columns(width);
    let mut output = target.map(|target| Output::create(target, name, &shape)).transpose()?;
    let phase = job.account.enter_phase("project");
    let dataset = Dataset::new(job, Blocks::of(table))?.enduring();
    let progress = job.progress.task("transform", Unit::Documents, Some(shape.rows as u64));
    dataset.map(
        |_, block| {
            job.account.count(|counters| counters.documents += block.rows() as u64);
            let vectors = vectors(block)?;
            Ok(match shape.double {
                true => bytemuck::cast_slice(&vectors).to_vec(),
                false => vectors.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect(),
            })
        },
        |_, bytes| {
            let rows = if shape.double {
                Numbers::Double(bytemuck::pod_collect_to_vec(&bytes))
            } else {
                Numbers::Single(bytemuck::pod_collect_to_vec(&bytes))
            };
            output.as_mut().map_or(Ok(()), |output| output.append(&rows, &shape))?;
            progress.advance(table.block_rows() as u64, 0);
            Ok(())
        },
    )?;
    drop((phase, progress));
    if let Some(output) = output {
        let _phase = job.account.enter_phase("write");
        output.finish(job, table, provenance)?;
    }
    Ok(())
}

/// Names the table that something is wrong with.
pub fn named<T>(table: &Table, result: Result<T>) -> Result<T> {
    result.map_err(|error| Error::failed(format!("{}: {error}", table.path().display())))
}

/// What going through a table takes on each kind of rank, where a block gives results of so many bytes.
pub fn reading(table: &Table, workers: usize, results: u64) -> Forecast {
    let shape = table.shape();
    let row = 8 * shape.columns as u64;
    let block = row * table.block_rows().min(shape.rows) as u64;
    let held = if shape.travels_always() { row * shape.rows as u64 } else { 0 };
    let dispatcher = Need::fixed(FILES)
        .with("table", 2 * held)
        .with("results", waiting(workers as u64, results))
        .with("blocks on their way", if held > 0 { 3 * block * workers as u64 } else { 0 });
    let all = row * shape.rows as u64 / workers as u64 * 5 / 4;
    let worker = Need::fixed(FILES / 2).with("a block at hand", 4 * block + 2 * results).keeping(all);
    Forecast { dispatcher, worker }
}
