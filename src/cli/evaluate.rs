//! `corpuscle evaluate`: how good a model is on a corpus.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Outcome, Printing};
use crate::dispatch::{Corpus, Job};
use crate::error::Result;
use crate::lsi::evaluate::{Evaluation, evaluate};
use crate::report::output::{Column, Format, Table};

/// Say how good a model is on a corpus
///
/// For each topic u with singular value s: the residual |A A'u - s²u| / s², which is small on the corpus the model was
/// trained on if (s, u) is a singular pair of it, and the energy |A'u|² / |A|², the share of the corpus' squared norm that
/// the topic captures. The table sums up; JSON and CSV hold one row per topic.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// LSI model
    model: PathBuf,
    /// Corpus with the dictionary and the weighting of the model
    corpus: PathBuf,
    #[command(flatten)]
    printing: Printing,
}

impl Evaluate {
    /// Runs on every rank.
    pub fn run(self, job: &Job) -> Result<Outcome> {
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let evaluation = evaluate(job, &self.model, &corpus)?;
        if job.is_dispatcher() {
            let table = match self.printing.format {
                Format::Table => for_reading(&evaluation, corpus.header().documents),
                Format::Json | Format::Csv => for_programs(&evaluation),
            };
            table.print(self.printing.format)?;
        }
        Ok(Outcome { parameters: json!({}), accounted: true, ..Outcome::default() })
    }
}

fn for_reading(evaluation: &Evaluation, documents: u64) -> Table {
    let mut table = Table::new(vec![
        Column::integer("documents"),
        Column::integer("topics"),
        Column::number("energy %", 3),
        Column::scientific("median residual", 1),
        Column::scientific("largest residual", 1),
        Column::integer("at topic"),
    ]);
    let mut sorted = evaluation.residuals.clone();
    sorted.sort_by(f64::total_cmp);
    let energy = evaluation.cumulative_energies().last().map(|share| 100.0 * share);
    let (topic, largest) = evaluation.worst().unzip();
    let median = sorted.get(sorted.len() / 2).copied();
    table.push(vec![documents.into(), sorted.len().into(), energy.into(), median.into(), largest.into(), topic.into()]);
    table
}

fn for_programs(evaluation: &Evaluation) -> Table {
    let mut table = Table::new(vec![
        Column::integer("topic"),
        Column::number("singular_value", 3),
        Column::scientific("residual", 1),
        Column::number("energy", 6),
        Column::number("cumulative_energy", 6),
    ]);
    for (topic, cumulative) in evaluation.cumulative_energies().into_iter().enumerate() {
        let Evaluation { singular_values, residuals, energies } = evaluation;
        let figures = [singular_values[topic], residuals[topic], energies[topic], cumulative];
        table.push([topic.into()].into_iter().chain(figures.map(Into::into)).collect());
    }
    table
}
