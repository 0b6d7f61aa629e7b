//! The model that vectors are made with: the dispatcher opens it, and what it makes says which one it was.

use std::path::Path;

use serde_json::Value;

use crate::dispatch::Job;
use crate::error::Result;
use crate::store::file::Format;
use crate::store::model::ModelReader;
use crate::store::provenance::{self, Input};

/// What `values` says of a model of dense rows; of a corpus it says what that held.
pub const DENSE: &str = "rows";

/// A model among the inputs of vectors: known on the dispatcher, once it is opened there.
#[derive(Debug, Default)]
pub struct ModelInput(Option<Input>);

impl ModelInput {
    /// A model that is open.
    pub fn of(reader: &ModelReader) -> Result<ModelInput> {
        Ok(ModelInput(Some(Input::result(reader.file())?)))
    }

    /// Opens the model.
    pub fn open(&mut self, job: &Job, model: &Path, format: Format) -> Result<ModelReader> {
        let reader = job.account.io(|| ModelReader::open(model, format))?;
        *self = ModelInput::of(&reader)?;
        Ok(reader)
    }

    /// The provenance of vectors: `data`, in its role, through the model.
    pub fn provenance(&self, parameters: Value, data: (&str, Input)) -> Value {
        let inputs: Vec<_> = [data].into_iter().chain(self.0.clone().map(|model| ("model", model))).collect();
        provenance::of("transform", parameters, &inputs)
    }
}
