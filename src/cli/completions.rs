//! `corpuscle completions`: what a shell completes, and the manual pages, both from the definition of the command line.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Common, Outcome};
use crate::dispatch::Job;
use crate::error::{At, Result};
use crate::report::output::heard;

/// Print completions for a shell, or write the manual pages
///
/// Examples:
///   corpuscle completions bash > ~/.local/share/bash-completion/completions/corpuscle
///   corpuscle completions zsh > ~/.zfunc/_corpuscle
///   corpuscle completions --man-pages ~/.local/share/man/man1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Completions {
    /// The shell to print completions for
    #[arg(required_unless_present = "man_pages", conflicts_with = "man_pages")]
    shell: Option<Shell>,
    /// Write a manual page for the program and one for each command into this folder, instead
    #[arg(long, value_name = "DIR")]
    man_pages: Option<PathBuf>,
}

impl Completions {
    /// Runs on every rank of the job; the dispatcher alone has something to do.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        if job.is_dispatcher() {
            if let Some(shell) = self.shell {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "corpuscle", &mut script);
                let mut out = io::stdout().lock();
                heard(out.write_all(&script).and_then(|()| out.flush())).at("standard output")?;
            }
            if let Some(folder) = &self.man_pages {
                std::fs::create_dir_all(folder).at(folder)?;
                // Options of every command are described once more with each of them: a page has to stand alone.
                let mut command = Cli::command();
                command.build();
                clap_mangen::generate_to(command, folder).at(folder)?;
                log::info!(
                    "manual pages are in {}; read them with man -M or put the folder on MANPATH",
                    folder.display()
                );
            }
        }
        Ok(Outcome::default())
    }
}
