//! Options that every command takes, and what it hands back.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::corpus::text::{InputFormat, TextSpec};
use crate::dispatch::{CheckpointSpec, Corpus, Job};
use crate::error::{Error, Result};
use crate::learn::table::{Choice, Table};
use crate::report::output::Format;
use crate::report::progress::Style;
use crate::store::file::{Format as FileFormat, OpenFile};

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// Seed of everything random; the same seed gives the same bytes
    #[arg(long, global = true, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Memory per rank for all that a corpus makes it hold, such as 512M or 4G; 128 MiB a rank come on top [default: 60 % of
    /// what is free, shared by the ranks of a host]
    #[arg(long, global = true, value_name = "BYTES", value_parser = parse_bytes)]
    pub memory: Option<u64>,
    /// Threads per rank [default: SLURM_CPUS_PER_TASK, else OMP_NUM_THREADS, else the cores shared by the workers of a
    /// host]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Send the corpus to the workers even where they can read the file themselves
    #[arg(long, global = true)]
    pub scatter: bool,
    /// Take a worker for dead that gives no sign of life for so long: stopped, or cut off
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = parse_patience)]
    pub worker_timeout: Duration,
    /// End a job whose ranks have not met after so long: one died while MPI started
    #[arg(long, global = true, value_name = "SECONDS", default_value = "120", value_parser = parse_patience)]
    pub start_timeout: Duration,
    /// Address at which workers on other hosts reach the dispatcher [default: found out]
    #[arg(long, global = true, value_name = "IP")]
    pub dispatcher_address: Option<IpAddr>,
    /// Save in this folder what has been worked out so far; SIGTERM or SIGUSR1 to the launcher or to rank 0 then saves and
    /// ends with exit code 75
    #[arg(long, global = true, value_name = "DIR")]
    pub checkpoint: Option<PathBuf>,
    /// Go on from the checkpoint in that folder, if there is one
    #[arg(long, global = true)]
    pub resume: bool,
    /// Shortest time between two checkpoints; it grows so that they cost no more than 2 % of the run. 0: after every round,
    /// whatever it costs [default: 60]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = parse_seconds)]
    pub checkpoint_every: Option<Duration>,
    /// Write what every rank did when to this file, for ui.perfetto.dev, chrome://tracing and corpuscle report
    #[arg(long, global = true, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// How progress is shown on standard error
    #[arg(long, global = true, value_enum, default_value_t = Style::Auto, value_name = "STYLE")]
    pub progress: Style,
    /// Print nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Tell more; twice: everything, from all ranks
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Shortest time between two checkpoints when nothing is said.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

impl Common {
    /// Where and how often a command saves what it has, if it does.
    ///
    /// # Errors
    /// The command is over too soon to be gone on with; an option without the folder it is about.
    pub(super) fn checkpoints(&self, command: &str, resumable: bool) -> Result<Option<CheckpointSpec>> {
        let options = [(self.resume, "--resume"), (self.checkpoint_every.is_some(), "--checkpoint-every")];
        let Some(folder) = &self.checkpoint else {
            return match options.iter().find(|(given, _)| *given) {
                Some((_, option)) => Err(Error::usage(format!("{option} goes with --checkpoint DIR"))),
                None => Ok(None),
            };
        };
        if !resumable {
            return Err(Error::usage(format!(
                "--checkpoint: {command} makes no checkpoints, its work is repeated faster than gone on with; leave it out"
            )));
        }
        let every = self.checkpoint_every.unwrap_or(CHECKPOINT_EVERY);
        Ok(Some(CheckpointSpec { folder: folder.clone(), resume: self.resume, every }))
    }
}

/// Options of commands that print results. Not among [`Common`]: `--format` of `import` says what is read.
#[derive(Debug, Clone, Args)]
pub struct Printing {
    /// How results are printed on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// What a command has done, for the accounting table and `<output>.run.json`.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// The file that was made, if one was.
    pub output: Option<PathBuf>,
    /// All parameters as they took effect.
    pub parameters: Value,
    /// What there is to say about the result.
    pub result: Value,
    /// The command worked on a corpus: an accounting table is due.
    pub accounted: bool,
}

/// A number of seconds, not necessarily whole.
fn parse_seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "a number of seconds".to_owned())
}

/// A time in seconds, not below a tenth of one: a busy process is silent for a moment now and then.
fn parse_patience(text: &str) -> std::result::Result<Duration, String> {
    let seconds = parse_seconds(text)?;
    if seconds < Duration::from_millis(100) { Err("at least 0.1 seconds".into()) } else { Ok(seconds) }
}

/// How texts that a fitted pipeline is applied to are to be read.
#[derive(Debug, Args)]
pub struct Texts {
    /// Of texts: how documents lie in the file [default: by its name, lines where that says nothing]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,
    /// Of texts: field with the text [default: text, or the only column]
    #[arg(long, value_name = "NAME")]
    pub text_field: Option<String>,
    /// Of texts: field with the identifier [default: documents are numbered from 0]
    #[arg(long, value_name = "NAME")]
    pub id_field: Option<String>,
}

impl Texts {
    /// The options say that there are texts.
    pub fn are_meant(&self) -> bool {
        self.input_format.is_some() || self.text_field.is_some() || self.id_field.is_some()
    }

    /// Texts in a file, with the labels that are chosen.
    pub fn spec(&self, file: &Path, choice: &Choice) -> TextSpec {
        TextSpec {
            format: self.input_format,
            text_field: self.text_field.clone(),
            id_field: self.id_field.clone(),
            label_field: choice.label_field.clone(),
            ..TextSpec::new(vec![file.to_owned()])
        }
    }
}

/// Models that documents, or rows, can be taken to vectors with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Latent semantic indexing.
    Lsi,
    /// Latent Dirichlet allocation.
    Lda,
    /// Non-negative matrix factorisation.
    Nmf,
    /// Principal components.
    Pca,
    /// A random projection.
    Projection,
    /// A pipeline that a search has fitted.
    Pipeline,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] = [Kind::Lsi, Kind::Lda, Kind::Nmf, Kind::Pca, Kind::Projection, Kind::Pipeline];

    fn format(self) -> FileFormat {
        match self {
            Kind::Lsi => FileFormat::Lsi,
            Kind::Lda => FileFormat::Lda,
            Kind::Nmf => FileFormat::Nmf,
            Kind::Pca => FileFormat::Pca,
            Kind::Projection => FileFormat::Projection,
            Kind::Pipeline => FileFormat::Pipeline,
        }
    }
}

/// What kind of model a file holds, of those that are wanted. Collective.
pub fn kind_of(job: &Job, model: &Path, wanted: &[Kind]) -> Result<Kind> {
    let kind = job.share(|| {
        let format = OpenFile::open(model)?.format;
        let found = Kind::ALL.iter().position(|kind| kind.format() == format && wanted.contains(kind));
        found.map(|kind| vec![kind as u8]).ok_or_else(|| {
            let names: Vec<&str> = wanted.iter().map(|kind| kind.format().description()).collect();
            let (path, held) = (model.display(), format.description());
            Error::failed(format!("{path}: holds {held} where {} is wanted", names.join(" or ")))
        })
    })?;
    match kind[..] {
        [kind] if usize::from(kind) < Kind::ALL.len() => Ok(Kind::ALL[usize::from(kind)]),
        _ => Err(Error::failed("damaged message: the kind of a model")),
    }
}

/// Data that is either documents or dense rows.
pub enum Data {
    /// A corpus.
    Documents(Box<Corpus>),
    /// Rows of a table.
    Rows(Table),
}

/// Opens a corpus, or else a table of anyone. Collective.
pub fn open_data(job: &Job, path: &Path, choice: &Choice) -> Result<Data> {
    let chosen = choice.dataset.is_some() || choice.label_field.is_some();
    // What cannot be opened is said by the reader of tables.
    let corpus = || !chosen && OpenFile::open(path).is_ok_and(|open| open.format == FileFormat::Corpus);
    let corpus = job.share(|| Ok(vec![u8::from(corpus())]))? == [1];
    Ok(if corpus {
        Data::Documents(Box::new(Corpus::open(job, path)?))
    } else {
        Data::Rows(Table::open(job, path, choice)?)
    })
}

/// A number of bytes with an optional suffix K, M, G or T (powers of 1024).
fn parse_bytes(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim_end_matches(['i', 'B', 'b']).to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("a number of bytes, with K, M, G or T after it".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "a number of bytes, with K, M, G or T after it".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "more bytes than there are".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_reasonable() {
        assert_eq!(parse_patience("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "0", "0.05", "-1", "nan", "inf", "3s"] {
            assert!(parse_patience(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_have_suffixes() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("4K", 4096),
            ("3M", 3 << 20),
            ("2G", 2 << 30),
            ("1GiB", 1 << 30),
            ("1tb", 1 << 40),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "4X", "-1", "1.5G", "99999999999T"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
