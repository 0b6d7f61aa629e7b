//! The command line: a file per subcommand, each turning flags into checked parameters and one call.

mod common;
mod generate;
mod import;
mod info;
mod run;
mod split;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::comm::Launch;
use crate::dispatch::Job;
use crate::error::Result;

pub use common::{Common, Outcome, Printing};

/// Distributed semantic modelling of text corpora.
///
/// The same command runs alone, under mpirun and in a Slurm job, and gives the same bytes.
#[derive(Debug, Parser)]
#[command(name = "corpuscle", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a corpus of a MatrixMarket file
    Import(import::ImportArgs),
    /// Makes a synthetic corpus of any size: Zipf terms, LDA topics
    Generate(generate::GenerateArgs),
    /// Splits a corpus into documents to learn from and documents to test with
    Split(split::SplitArgs),
    /// Says what is in a file
    Info(info::InfoArgs),
}

impl Command {
    /// Name as typed.
    fn name(&self) -> &'static str {
        match self {
            Command::Import(_) => "import",
            Command::Generate(_) => "generate",
            Command::Split(_) => "split",
            Command::Info(_) => "info",
        }
    }

    /// Runs on every rank of the job.
    fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        match self {
            Command::Import(args) => args.run(job, common),
            Command::Generate(args) => args.run(job, common),
            Command::Split(args) => args.run(job, common),
            Command::Info(args) => args.run(job, common),
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Every rank has the same command line and finds the same mistake: one of them says it.
            if Launch::from_environment().rank == 0 {
                // A closed standard output is no reason for another message.
                let _ = message.print();
            }
            return ExitCode::from(message.exit_code() as u8);
        }
    };
    run::run(cli.common, cli.command)
}
