//! The command line: a file per subcommand, each turning flags into checked parameters and one call.

mod build;
mod common;
mod completions;
mod doctor;
mod evaluate;
mod export;
mod generate;
mod import;
mod index;
mod info;
mod lda;
mod lsi;
mod nmf;
mod pairs;
mod pca;
mod predict;
mod project;
mod query;
mod report;
mod run;
mod scale;
mod search;
mod signals;
mod split;
mod tfidf;
mod topics;
mod transform;
mod version;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::comm::{Launch, end_launch};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::report::logging::let_launcher_read;

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
    Build(Box<build::Build>),
    Import(import::Import),
    Export(export::Export),
    Generate(generate::Generate),
    Split(split::Split),
    Info(info::Info),
    Tfidf(tfidf::Tfidf),
    Lda(lda::Lda),
    Lsi(lsi::Lsi),
    Nmf(nmf::Nmf),
    Pca(pca::Pca),
    Project(project::Project),
    Topics(topics::Topics),
    Transform(transform::Transform),
    Index(index::Index),
    Query(query::Query),
    Pairs(pairs::Pairs),
    Evaluate(evaluate::Evaluate),
    Report(report::Report),
    Scale(scale::Scale),
    Search(search::Search),
    Predict(predict::Predict),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
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
            Command::Lda(_) => "lda",
            Command::Lsi(_) => "lsi",
            Command::Nmf(_) => "nmf",
            Command::Pca(_) => "pca",
            Command::Project(_) => "project",
            Command::Topics(_) => "topics",
            Command::Transform(_) => "transform",
            Command::Index(_) => "index",
            Command::Query(_) => "query",
            Command::Pairs(_) => "pairs",
            Command::Evaluate(_) => "evaluate",
            Command::Report(_) => "report",
            Command::Scale(_) => "scale",
            Command::Search(_) => "search",
            Command::Predict(_) => "predict",
            Command::Doctor(_) => "doctor",
            Command::Completions(_) => "completions",
        }
    }

    /// Whether it can go on from a checkpoint.
    fn resumable(&self) -> bool {
        match self {
            Command::Build(_)
            | Command::Import(_)
            | Command::Export(_)
            | Command::Generate(_)
            | Command::Tfidf(_)
            | Command::Lsi(_)
            | Command::Lda(_)
            | Command::Nmf(_)
            | Command::Pca(_)
            | Command::Scale(_)
            | Command::Search(_)
            | Command::Transform(_) => true,
            Command::Split(_)
            | Command::Info(_)
            | Command::Topics(_)
            | Command::Project(_)
            | Command::Index(_)
            | Command::Query(_)
            | Command::Pairs(_)
            | Command::Evaluate(_)
            | Command::Predict(_)
            | Command::Report(_)
            | Command::Doctor(_)
            | Command::Completions(_) => false,
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
            Command::Lda(command) => command.run(job, common),
            Command::Lsi(command) => command.run(job, common),
            Command::Nmf(command) => command.run(job, common),
            Command::Pca(command) => command.run(job, common),
            Command::Project(command) => command.run(job, common),
            Command::Topics(command) => command.run(job, common),
            Command::Transform(command) => command.run(job, common),
            Command::Index(command) => command.run(job),
            Command::Query(command) => command.run(job),
            Command::Pairs(command) => command.run(job),
            Command::Evaluate(command) => command.run(job, common),
            Command::Report(command) => command.run(job),
            Command::Scale(command) => command.run(job, common),
            Command::Search(command) => command.run(job, common),
            Command::Predict(command) => command.run(job),
            Command::Doctor(command) => command.run(job, common),
            Command::Completions(command) => command.run(job, common),
        }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Every rank has the same command line and finds the same mistake: one of them says it.
            let launch = Launch::from_environment();
            if launch.rank == 0 {
                // A closed standard output is no reason for another message.
                let _ = if message.kind() == ErrorKind::DisplayVersion && asks_for_more(std::env::args_os()) {
                    std::io::stdout().write_all(version::details().as_bytes())
                } else if message.use_stderr() && !std::io::stderr().is_terminal() {
                    // In one piece: printed in several, words of the launcher have come between them.
                    std::io::stderr().write_all(message.render().to_string().as_bytes())
                } else {
                    message.print()
                };
            }
            // The rank that has said it ends them all, once that was heard; were another one to leave first, the launcher
            // would end that one before it has spoken.
            if message.exit_code() != 0 && launch.ranks.is_some() {
                if launch.rank == 0 {
                    let_launcher_read();
                    end_launch();
                } else {
                    std::thread::sleep(run::PATIENCE);
                }
            }
            return ExitCode::from(message.exit_code() as u8);
        }
    };
    let again = || Cli::try_parse().map(|cli| cli.command).map_err(|cause| Error::usage(cause.to_string()));
    run::run(cli.common, cli.command, again)
}

/// True for `--version -v` in any order: clap answers `--version` before it has seen the rest.
fn asks_for_more(mut arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.any(|argument| {
        argument.to_str().is_some_and(|text| matches!(text, "-v" | "-vv" | "--verbose" | "-vV" | "-Vv"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Words as a shell would make them of a line without anything but double quotes.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (number, part) in line.split('"').enumerate() {
            if number % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    #[test]
    fn every_command_has_examples_and_they_are_right() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let texts = [command.get_long_about(), command.get_after_help()];
            let help: String = texts.iter().flatten().map(|text| format!("{text}\n")).collect();
            let examples: Vec<&str> = help.split_once("Example").map_or(vec![], |(_, after)| {
                let starts = after.split("corpuscle ").skip(1);
                starts.map(|rest| rest.split(['\n', '>', '<']).next().unwrap_or(rest)).collect()
            });
            assert!(!examples.is_empty(), "{name}: no examples");
            for example in examples {
                let line = example.trim_end_matches("mpirun -n 3").trim();
                assert!(line.starts_with(name), "{name}: {line}");
                let parsed = Cli::try_parse_from(["corpuscle".to_owned()].into_iter().chain(words(line)));
                assert!(parsed.is_ok(), "{line}: {}", parsed.err().map_or(String::new(), |cause| cause.to_string()));
            }
        }
    }
}
