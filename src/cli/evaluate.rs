//! `corpuscle evaluate`: how good a model is on a corpus.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::common::{Kind, kind_of};
use super::{Common, Outcome, Printing};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::lda;
use crate::lda::coherence::MOST_TERMS;
use crate::lsi::evaluate::{Evaluation, evaluate};
use crate::report::output::{Column, Format, Table};

/// Say how good a model is on a corpus
///
/// LSI: for each topic u with singular value s: the residual |A A'u - s²u| / s², which is small on the corpus the model was
/// trained on if (s, u) is a singular pair of it, and the energy |A'u|² / |A|², the share of the corpus' squared norm that
/// the topic captures. LDA: the perplexity of one half of the tokens of each document after the topics' shares were inferred
/// from the other half, and the u_mass coherence of the leading terms of each topic. The table sums up; JSON and CSV hold one row per topic.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// LSI or LDA model
    model: PathBuf,
    /// Corpus with the dictionary and the weighting of the model
    corpus: PathBuf,
    /// LDA: leading terms of a topic that its coherence and the diversity of topics are about [default: 20]
    #[arg(long, value_name = "N")]
    words: Option<usize>,
    #[command(flatten)]
    printing: Printing,
}

impl Evaluate {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        if kind_of(job, &self.model)? == Kind::Lda {
            return self.of_lda(job, &corpus, common.seed);
        }
        if self.words.is_some() {
            return Err(Error::usage("--words goes with an LDA model"));
        }
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

    fn of_lda(&self, job: &Job, corpus: &Corpus, seed: u64) -> Result<Outcome> {
        let words = self.words.unwrap_or(WORDS);
        if !(2..=MOST_TERMS).contains(&words) {
            return Err(Error::usage(format!("--words {words}: from 2 to {MOST_TERMS}")));
        }
        let found = lda::evaluate::evaluate(job, &self.model, corpus, words, seed)?;
        if job.is_dispatcher() {
            let table = match self.printing.format {
                Format::Table => lda_for_reading(&found, corpus.header().documents),
                Format::Json | Format::Csv => lda_for_programs(&found),
            };
            table.print(self.printing.format)?;
        }
        Ok(Outcome { parameters: json!({ "words": words, "seed": seed }), accounted: true, ..Outcome::default() })
    }
}

/// Leading terms of a topic, as in gensim's `CoherenceModel`.
const WORDS: usize = 20;

fn lda_for_reading(found: &lda::evaluate::Evaluation, documents: u64) -> Table {
    let mut table = Table::new(vec![
        Column::integer("documents"),
        Column::integer("topics"),
        Column::integer("tokens scored"),
        Column::number("perplexity", 1),
        Column::number("u_mass", 3),
        Column::number("diversity", 3),
    ]);
    table.push(vec![
        documents.into(),
        found.coherence.len().into(),
        found.tokens.into(),
        found.perplexity.into(),
        found.mean_coherence().into(),
        found.diversity.into(),
    ]);
    table
}

fn lda_for_programs(found: &lda::evaluate::Evaluation) -> Table {
    let mut table = Table::new(vec![
        Column::integer("topic"),
        Column::number("share", 4),
        Column::number("u_mass", 3),
        Column::number("perplexity", 1),
        Column::number("diversity", 3),
    ]);
    for (topic, (&share, &coherence)) in found.shares.iter().zip(&found.coherence).enumerate() {
        let all = [found.perplexity.into(), found.diversity.into()];
        table.push([topic.into(), share.into(), coherence.into()].into_iter().chain(all).collect());
    }
    table
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
