//! `corpuscle evaluate`: how good a model is on a corpus.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::common::{Kind, kind_of};
use super::{Common, Outcome, Printing};
use crate::corpus::kinship::same_terms;
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::lda;
use crate::lda::coherence::MOST_TERMS;
use crate::lda::difference::{Distance, differences};
use crate::lda::model::LdaModel;
use crate::lsi::evaluate::{Evaluation, evaluate};
use crate::report::output::{Column, Format, Table};

/// Say how good a model is on a corpus
///
/// LSI: for each topic u with singular value s: the residual |A A'u - s²u| / s², which is small on the corpus the model was
/// trained on if (s, u) is a singular pair of it, and the energy |A'u|² / |A|², the share of the corpus' squared norm that
/// the topic captures. LDA: the perplexity of one half of the tokens of each document after the topics' shares were inferred
/// from the other half, and the u_mass coherence of the leading terms of each topic. The table sums up;
/// JSON and CSV hold one row per topic. With --against: the topics of another LDA model that are nearest to those of this one;
/// JSON and CSV hold all pairs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle evaluate lda.h5 test.h5
  corpuscle evaluate lsi.h5 tfidf.h5 --format json
  corpuscle evaluate lda.h5 --against other.h5 --distance hellinger")]
pub struct Evaluate {
    /// LSI or LDA model
    model: PathBuf,
    /// Corpus with the dictionary and the weighting of the model
    #[arg(required_unless_present = "against", conflicts_with = "against")]
    corpus: Option<PathBuf>,
    /// LDA: leading terms of a topic that its coherence and the diversity of topics are about [default: 20]
    #[arg(long, value_name = "N")]
    words: Option<usize>,
    /// LDA: instead of a corpus another model over the same dictionary, of which each topic's nearest one is found
    #[arg(long, value_name = "MODEL")]
    against: Option<PathBuf>,
    /// LDA: how far topics of two models are apart
    #[arg(long, value_enum, default_value_t = Distance::Hellinger, requires = "against")]
    distance: Distance,
    #[command(flatten)]
    printing: Printing,
}

impl Evaluate {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        if let Some(other) = &self.against {
            return self.compare(job, other);
        }
        let Some(corpus) = &self.corpus else { return Err(Error::usage("evaluate: a corpus, or --against a model")) };
        let corpus = job.account.phase("open", || Corpus::open(job, corpus))?;
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

    /// The dispatcher reads both models and does it all.
    fn compare(&self, job: &Job, other: &Path) -> Result<Outcome> {
        if job.is_dispatcher() {
            let words = self.words.unwrap_or(WORDS);
            if words == 0 {
                return Err(Error::usage("--words 0: at least 1"));
            }
            let (ours, theirs) = (LdaModel::load(&self.model)?, LdaModel::load(other)?);
            same_terms(&self.model, &ours.terms, other, &theirs.terms)?;
            let distances = differences(&ours, &theirs, self.distance, words);
            let mut table =
                Table::new(vec![Column::integer("topic"), Column::integer("other"), Column::number("distance", 4)]);
            for (topic, row) in distances.rows().into_iter().enumerate() {
                let mut all: Vec<(usize, f64)> = row.iter().copied().enumerate().collect();
                if self.printing.format == Format::Table {
                    // The nearest one, of equals the first.
                    all.sort_by(|a, b| a.1.total_cmp(&b.1));
                    all.truncate(1);
                }
                for (other, distance) in all {
                    table.push(vec![topic.into(), other.into(), distance.into()]);
                }
            }
            table.print(self.printing.format)?;
        }
        Ok(Outcome::default())
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
