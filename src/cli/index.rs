//! `corpuscle index`: document vectors -> an index to be queried.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Outcome;
use crate::dispatch::Job;
use crate::error::Result;
use crate::similarity::index::{forecast, make};
use crate::store::atomic::refuse_inputs_as_output;

/// Make an index of document vectors, to find the nearest ones
///
/// Vectors are brought to length 1. A zero vector, such as that of an empty document, stays in its place and is never a
/// neighbour. With the model the index holds all that it takes to answer texts. Indexes may stand in place of vectors: so one is
/// added to, and several become one, whose vectors are those of an index of all documents at once, to the last bit.
///
/// Examples: corpuscle index vectors.h5 --model lsi.h5 -o index.h5
///           corpuscle index index.h5 new-vectors.h5 -o more.h5
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Index {
    /// Vectors made by `corpuscle transform`, or indexes, all with the same model; in this order
    #[arg(required = true, value_name = "VECTORS")]
    vectors: Vec<PathBuf>,
    /// Index to write
    #[arg(short, long, value_name = "INDEX")]
    output: PathBuf,
    /// The LSI model that the vectors were made with, so that `corpuscle query --text` can be answered
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
}

impl Index {
    /// Runs on every rank of the job; the dispatcher alone has something to do.
    pub fn run(self, job: &Job) -> Result<Outcome> {
        let _phase = job.account.enter_phase("index");
        if job.is_dispatcher() {
            let inputs = self.vectors.iter().chain(&self.model);
            refuse_inputs_as_output(inputs.map(PathBuf::as_path), &self.output)?;
        }
        let target = job.target(&self.output)?;
        job.within_memory("give more", || forecast(&self.vectors, self.model.as_deref()))?;
        let header = target.map(|target| make(job, &self.vectors, self.model.as_deref(), target)).transpose()?;
        let result = header.map(|header| {
            json!({ "documents": header.documents, "columns": header.columns, "zero_vectors": header.zero_vectors })
        });
        Ok(Outcome {
            output: Some(self.output),
            parameters: json!({ "text": self.model.is_some() }),
            result: result.unwrap_or_default(),
            accounted: true,
        })
    }
}
