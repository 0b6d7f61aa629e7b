//! Options that every command takes, and what it hands back.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::report::output::Format;
use crate::store::file::{Format as FileFormat, OpenFile};

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// Seed of everything random; the same seed gives the same bytes
    #[arg(long, global = true, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Memory per rank for chunks kept between passes, such as 512M or 4G [default: 60 % of what is free, shared by
    /// the ranks of a host]
    #[arg(long, global = true, value_name = "BYTES", value_parser = parse_bytes)]
    pub memory: Option<u64>,
    /// Threads per rank [default: SLURM_CPUS_PER_TASK, else OMP_NUM_THREADS, else the cores shared by the workers of a
    /// host]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Send the corpus to the workers even where they can read the file themselves
    #[arg(long, global = true)]
    pub scatter: bool,
    /// Print nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Tell more; twice: everything, from all ranks
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Options of commands that print results. Not among [`Common`]: `--format` of `import` says what is read.
#[derive(Debug, Clone, Args)]
pub struct Printing {
    /// How results are printed on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// What a command has done, for the accounting table and `<output>.run.json`.
#[derive(Debug, Default)]
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

/// Models that documents can be taken to topics with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Latent semantic indexing.
    Lsi,
    /// Latent Dirichlet allocation.
    Lda,
}

/// What kind of model a file holds. Collective.
pub fn kind_of(job: &Job, model: &Path) -> Result<Kind> {
    let kind = job.share(|| match OpenFile::open(model)?.format {
        FileFormat::Lsi => Ok(vec![0]),
        FileFormat::Lda => Ok(vec![1]),
        other => Err(Error::failed(format!(
            "{}: holds {} where an LSI model or an LDA model is wanted",
            model.display(),
            other.description()
        ))),
    })?;
    Ok(if kind == [1] { Kind::Lda } else { Kind::Lsi })
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
