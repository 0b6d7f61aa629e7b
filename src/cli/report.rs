//! `corpuscle report`: what runs cost, as a table or as a page of plots.

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, Printing};
use crate::dispatch::Job;
use crate::error::Result;
use crate::report::output::Format;
use crate::report::scaling::runs::Run;
use crate::report::scaling::{page, table};
use crate::store::atomic::refuse_inputs_as_output;

/// Compare what runs cost, from the accounts beside their results
///
/// Prints a row per run; JSON and CSV hold every parameter, count and phase. The page shows runs of the same command and
/// parameters over their number of workers: speed-up and efficiency (strong scaling where the corpus is the same, weak
/// where it grows with the workers), time by phase, bytes sent, and what each rank did.
#[derive(Debug, Args)]
pub struct Report {
    /// Accounts of runs: the OUTPUT.run.json beside each result
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write a page of plots too: one HTML file that needs no other
    #[arg(short, long, value_name = "PAGE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

impl Report {
    /// Runs on every rank; the dispatcher does it all.
    pub fn run(self, job: &Job) -> Result<Outcome> {
        if job.is_dispatcher() {
            if let Some(output) = &self.output {
                refuse_inputs_as_output(self.runs.iter().map(PathBuf::as_path), output)?;
            }
            let runs = self.runs.iter().map(|path| Run::read(path)).collect::<Result<Vec<_>>>()?;
            if let Some(output) = &self.output {
                page::write(output, &runs, &table::for_programs(&runs))?;
            }
            let table = match self.printing.format {
                Format::Table => table::for_reading(&runs),
                Format::Json | Format::Csv => table::for_programs(&runs),
            };
            table.print(self.printing.format)?;
        }
        Ok(Outcome::default())
    }
}
