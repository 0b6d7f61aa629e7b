//! The command line: a file per subcommand, each turning flags into checked parameters and one call.

mod build;
mod common;
mod doctor;
mod evaluate;
mod export;
mod generate;
mod import;
mod index;
mod info;
mod lsi;
mod predict;
mod query;
mod run;
mod scale;
mod search;
mod signals;
mod split;
mod tfidf;
mod topics;
mod transform;

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
    Build(build::Build),
    Import(import::Import),
    Export(export::Export),
    Generate(generate::Generate),
    Split(split::Split),
    Info(info::Info),
    Tfidf(tfidf::Tfidf),
    Lsi(lsi::Lsi),
    Topics(topics::Topics),
    Transform(transform::Transform),
    Index(index::Index),
    Query(query::Query),
    Evaluate(evaluate::Evaluate),
    Scale(scale::Scale),
    Search(search::Search),
    Predict(predict::Predict),
    Doctor(doctor::Doctor),
}

impl Command {
    /// Name as typed.
    fn name(&self) -> &'static str {
        match self {
            Command::Build(_) => "build",
            Command::Import(_) => "import",
            Command::Export(_) => "export",
            Command::Generate(_) => "generate",
            Command::Split(_) => "split",
            Command::Info(_) => "info",
            Command::Tfidf(_) => "tfidf",
            Command::Lsi(_) => "lsi",
            Command::Topics(_) => "topics",
            Command::Transform(_) => "transform",
            Command::Index(_) => "index",
            Command::Query(_) => "query",
            Command::Evaluate(_) => "evaluate",
            Command::Scale(_) => "scale",
            Command::Search(_) => "search",
            Command::Predict(_) => "predict",
            Command::Doctor(_) => "doctor",
        }
    }

    /// Runs on every rank of the job.
    fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        match self {
            Command::Build(build) => build.run(job),
            Command::Import(command) => command.run(job, common),
            Command::Export(command) => command.run(job, common),
            Command::Generate(command) => command.run(job, common),
            Command::Split(command) => command.run(job, common),
            Command::Info(command) => command.run(job, common),
            Command::Tfidf(command) => command.run(job, common),
            Command::Lsi(command) => command.run(job, common),
            Command::Topics(command) => command.run(job, common),
            Command::Transform(command) => command.run(job, common),
            Command::Index(command) => command.run(job),
            Command::Query(command) => command.run(job),
            Command::Evaluate(command) => command.run(job),
            Command::Scale(command) => command.run(job, common),
            Command::Search(command) => command.run(job, common),
            Command::Predict(command) => command.run(job),
            Command::Doctor(command) => command.run(job, common),
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
