//! `corpuscle info`: what is in a file.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value as Json;

use super::{Common, Outcome, Printing};
use crate::corpus::container::{CorpusReader, Values};
use crate::dispatch::Job;
use crate::error::Result;
use crate::report::output::{Cell, Column, Table};
use crate::store::file::{FORMAT_VERSION, Format, OpenFile};
use crate::store::seal::Value;

/// Labels read at a time while they are counted.
const LABELS_AT_A_TIME: u64 = 65_536;

/// Say what is in a file: a corpus, a model or vectors
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle info corpus.h5
  corpuscle info model.h5 --verify")]
pub struct Info {
    /// A corpus, a model or vectors
    file: PathBuf,
    /// Read everything and compare it with its checksums
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    printing: Printing,
}

impl Info {
    /// Runs on every rank of the job; the dispatcher alone has something to do.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        if job.is_dispatcher() {
            self.describe()?.print(self.printing.format)?;
        }
        Ok(Outcome::default())
    }

    fn describe(&self) -> Result<Table> {
        let table = Table::new(vec![Column::text("property"), Column::text("value")]);
        let mut table = Rows { table, told: BTreeSet::new() };
        let open = OpenFile::open(&self.file)?;
        table.push("format", open.format.name());
        table.push("format version", FORMAT_VERSION);
        table.push("bytes", std::fs::metadata(&self.file).map(|about| about.len()).ok());
        table.push("checksum", open.checksum.as_str());
        if open.format == Format::Corpus {
            let corpus = CorpusReader::open(&self.file)?;
            if self.verify {
                corpus.verify()?;
            }
            table.corpus(&corpus)?;
        } else {
            if self.verify {
                open.verify()?;
            }
            for (name, value) in open.attributes()? {
                table.push(&name, cell(value));
            }
        }
        if self.verify {
            table.push("verified", "all contents match their checksums");
        }
        for dataset in open.datasets()? {
            let shape: Vec<String> = dataset.shape.iter().map(usize::to_string).collect();
            table.push(&format!("dataset {}", dataset.name), format!("{} {}", shape.join(" x "), dataset.element));
        }
        table.json("provenance", &open.provenance()?);
        Ok(table.table)
    }
}

/// Entries of a list that are shown.
const LIST_SHOWN: usize = 8;

/// A ratio as people read it; the numbers it is made of are printed too.
fn four_digits(ratio: f64) -> Cell {
    format!("{ratio:.3e}").parse::<f64>().ok().into()
}

fn cell(value: Value) -> Cell {
    match value {
        Value::Text(text) => text.into(),
        Value::Unsigned(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Shape(list) => format!("{list:?}").into(),
    }
}

/// Properties and their values.
struct Rows {
    table: Table,
    /// Checksums of inputs of which it was said how they were made.
    told: BTreeSet<String>,
}

impl Rows {
    fn push(&mut self, property: &str, value: impl Into<Cell>) {
        self.table.push(vec![property.into(), value.into()]);
    }

    fn corpus(&mut self, corpus: &CorpusReader) -> Result<()> {
        let header = corpus.header();
        let cells = header.documents as f64 * f64::from(header.terms);
        self.push("values", header.values.name());
        self.push("documents", header.documents);
        self.push("terms", header.terms);
        self.push("nonzeros", header.nonzeros);
        self.push("density", four_digits(header.nonzeros as f64 / cells));
        self.push("terms per document, mean", four_digits(header.nonzeros as f64 / header.documents as f64));
        self.push("terms per document, most", corpus.document_lengths().max());
        self.push("empty documents", corpus.document_lengths().filter(|&length| length == 0).count());
        let unused = corpus.document_frequency()?.iter().filter(|&&frequency| frequency == 0).count();
        self.push("terms in no document", unused);
        if header.values == Values::Counts {
            self.push("tokens", corpus.collection_frequency()?.iter().sum::<u64>());
        }
        if header.labelled {
            let mut labels = BTreeSet::new();
            for first in (0..header.documents).step_by(LABELS_AT_A_TIME as usize) {
                labels
                    .extend(corpus.labels(first, LABELS_AT_A_TIME.min(header.documents - first))?.unwrap_or_default());
            }
            self.push("labels", labels.len());
        }
        self.push("chunks", corpus.chunks().len());
        Ok(())
    }

    /// A row for each leaf, under its dotted path. How an input was made is told once, and under the name of the input.
    fn json(&mut self, path: &str, value: &Json) {
        match value {
            Json::Object(members) => {
                let told =
                    members.get("checksum").and_then(Json::as_str).is_some_and(|sum| !self.told.insert(sum.into()));
                for (name, inner) in members {
                    match (name.as_str(), inner) {
                        ("provenance", _) if told => {}
                        ("inputs" | "provenance", Json::Object(_)) => self.json(path, inner),
                        _ => self.json(&format!("{path}.{name}"), inner),
                    }
                }
            }
            Json::String(text) => self.push(path, text.as_str()),
            Json::Null => self.push(path, Cell::Missing),
            Json::Number(number) if number.is_u64() => self.push(path, number.as_u64()),
            Json::Number(number) => self.push(path, number.as_f64()),
            // Such as stop words: a table as wide as all of them is of no use.
            Json::Array(list) if list.len() > LIST_SHOWN => {
                let (first, last) = (Json::from(&list[..LIST_SHOWN - 1]), &list[list.len() - 1]);
                self.push(path, format!("{} entries: {first} ... {last}", list.len()));
            }
            Json::Bool(_) | Json::Array(_) => self.push(path, value.to_string()),
        }
    }
}
