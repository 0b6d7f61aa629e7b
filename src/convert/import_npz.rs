//! A sparse matrix of scipy becomes a corpus.
//!
//! An archive cannot be cut, and its numbers are numbers already: the dispatcher copies them by itself, as fast as it
//! writes. Cost: the file is read once, its values twice. Memory: a block of entries; those that do not come document by
//! document (16 bytes each) go to a file where `--memory` does not hold them.

use serde_json::Value;

use super::assembly::{Head, Inputs};
use super::import::ImportSpec;
use crate::corpus::assemble::Assumptions;
use crate::corpus::container::CorpusHeader;
use crate::corpus::npz::Npz;
use crate::dispatch::Job;
use crate::dispatch::memory::{FILES, Forecast, Need};
use crate::error::{Error, Result};
use crate::store::atomic::refuse_inputs_as_output;

/// Bytes the dispatcher takes for entries, arrays being read and the chunk that is being put together.
const ASSEMBLY: u64 = 48 << 20;

/// Imports a matrix; the header of the corpus is returned on the dispatcher. Collective.
///
/// # Errors
/// Those of [`Npz::open`] and [`Npz::entries`]; an entry twice, counts above 2^24; a dictionary with fewer terms, or lists
/// of ids or labels with fewer lines, than there are.
pub fn import_npz(job: &Job, spec: &ImportSpec) -> Result<Option<CorpusHeader>> {
    if job.is_dispatcher() {
        refuse_inputs_as_output(spec.inputs().map(|(_, path)| path), &spec.output)?;
    }
    let target = job.target(&spec.output)?;
    let mut opened = None;
    job.share(|| {
        let matrix = Npz::open(&spec.matrix, spec.rows)?;
        let counts = job.account.io(|| matrix.counts())?;
        let head = Head { header: matrix.header, weighting: None, first_line: None };
        let mut inputs = Inputs::open(job, spec, head, Assumptions { counts, sorted: true }, target)?;
        job.begin(|| inputs.how(spec))?;
        opened = Some((matrix, inputs));
        Ok(Vec::new())
    })?;
    if !job.is_dispatcher() {
        job.begin(|| Ok(Value::Null))?;
    }
    let sizes = opened.as_ref().map(|(matrix, inputs)| (inputs.terms.len() as u64, matrix.header.entries));
    let job = &job.within_memory("give more", || Ok(forecast(sizes)))?;
    let mut done = None;
    job.share(|| {
        let Some((matrix, inputs)) = &mut opened else { return Err(Error::Aborted) };
        loop {
            // While the list of entries grows there are two of it.
            let mut assembly = inputs.start(job, spec, job.memory / 2)?;
            matrix.entries(&mut |entries| {
                assembly.take_entries(entries)?;
                Ok(assembly.restart.is_none())
            })?;
            match assembly.restart {
                Some(assumptions) => inputs.assumptions = assumptions,
                None => {
                    let provenance = inputs.how(spec)?;
                    done = Some(job.account.io(|| assembly.finish(&provenance))?);
                    return Ok(Vec::new());
                }
            }
        }
    })?;
    Ok(done)
}

/// What importing takes: the dictionary, and entries in another order as far as there is memory for them.
fn forecast(sizes: Option<(u64, u64)>) -> Forecast {
    let (terms, entries) = sizes.unwrap_or_default();
    let dispatcher =
        Need::fixed(FILES + ASSEMBLY).with("dictionary and frequencies", 192 * terms).keeping(24 * entries);
    Forecast { dispatcher, worker: Need::fixed(0) }
}
