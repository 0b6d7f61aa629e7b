//! `corpuscle doctor`: what a run has to work with, how fast that is, and what is wrong with it.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Outcome, Printing, run};
use crate::dispatch::Job;
use crate::doctor::{Options, examine};
use crate::error::{Error, Result};

/// Say what a run has to work with, how fast that is, and what is wrong with it
///
/// Start it just as the run it is meant for: same launcher, hosts, ranks and options. It measures for a few seconds on
/// cores that should be idle. What is wrong or slow comes last, each with its remedy. The exit code is 1 if no run can
/// succeed like this.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mpirun -n 17 corpuscle doctor --work results")]
pub struct Doctor {
    /// Folder that results will be written to
    #[arg(long, value_name = "DIR", default_value = ".")]
    work: PathBuf,
    /// Measure nothing
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    printing: Printing,
}

impl Doctor {
    /// Runs on every rank of the job.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let threads_from = run::threads_from(common).to_owned();
        let report = examine(job, &Options { work: &self.work, quick: self.quick, threads_from })?;
        let mut impossible = None;
        let verdict = job.share(|| {
            if let Some(report) = report {
                impossible = report.print(self.printing.format)?;
            }
            Ok(vec![u8::from(impossible.is_some())])
        })?;
        match impossible {
            Some(why) => Err(Error::failed(format!("no run can succeed like this: {}", why.trim_end_matches('.')))),
            // Rank 0 says it.
            None if verdict != [0] => Err(Error::Aborted),
            None => Ok(Outcome::default()),
        }
    }
}
