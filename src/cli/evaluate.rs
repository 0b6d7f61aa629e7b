//! `corpuscle evaluate`: how good a model is on a corpus.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::common::{Kind, kind_of};
use super::{Common, Outcome, Printing};
use crate::corpus::kinship::same_terms;
use crate::corpus::text::{InputFormat, TextSpec};
use crate::corpus::tokenizer::TokenizerSpec;
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::lda;
use crate::lda::coherence::{MOST_TERMS, WORDS};
use crate::lda::difference::{Distance, differences};
use crate::lda::evaluate::{Question, mean};
use crate::lda::model::LdaModel;
use crate::lda::texts::Texts;
use crate::linalg::variational::Until;
use crate::lsi::evaluate::{Evaluation, evaluate};
use crate::report::output::{Column, Format, Table};
use crate::store::provenance;

/// Say how good a model is on a corpus
///
/// LSI: for each topic u with singular value s: the residual |A A'u - s²u| / s², which is small on the corpus the model was
/// trained on if (s, u) is a singular pair of it, and the energy |A'u|² / |A|², the share of the corpus' squared norm that
/// the topic captures. LDA: the perplexity of one half of the tokens of each document after the topics' shares were inferred
/// from the other half, the variational bound as gensim has it, and the coherence of the leading terms of each topic: u_mass,
/// and with --texts c_v, c_npmi and c_uci, which go by the order of tokens. The table sums up;
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
    /// LDA: texts for c_v, c_npmi and c_uci coherence, files or folders as for `build`; may be given several times
    #[arg(long, value_name = "INPUT", conflicts_with = "against")]
    texts: Vec<PathBuf>,
    /// How documents lie in the texts [default: as `build` guesses it]
    #[arg(long, value_enum, value_name = "FORMAT", requires = "texts")]
    input_format: Option<InputFormat>,
    /// Field or column of the texts with the text
    #[arg(long, value_name = "NAME", requires = "texts")]
    text_field: Option<String>,
    /// LDA: most iterations of a document for the bound [default: 50]
    #[arg(long, value_name = "N", conflicts_with = "against")]
    iterations: Option<usize>,
    /// LDA: mean change of a document's parameters at which they are taken as found for the bound, in tokens [default: 0.001]
    #[arg(long, value_name = "TOKENS", conflicts_with = "against")]
    gamma_threshold: Option<f32>,
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
        if kind_of(job, &self.model, &[Kind::Lsi, Kind::Lda])? == Kind::Lda {
            return self.of_lda(job, &corpus, common.seed);
        }
        for (given, option) in [
            (self.words.is_some(), "--words"),
            (!self.texts.is_empty(), "--texts"),
            (self.iterations.is_some(), "--iterations"),
            (self.gamma_threshold.is_some(), "--gamma-threshold"),
        ] {
            if given {
                return Err(Error::usage(format!("{option} goes with an LDA model")));
            }
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
        let usual = Until::default();
        let until = Until {
            iterations: self.iterations.unwrap_or(usual.iterations),
            threshold: self.gamma_threshold.unwrap_or(usual.threshold),
        };
        if until.iterations == 0 {
            return Err(Error::usage("--iterations 0: at least 1"));
        }
        if !(until.threshold >= 0.0 && until.threshold.is_finite()) {
            let threshold = until.threshold;
            return Err(Error::usage(format!("--gamma-threshold {threshold}: a number of tokens, such as 0.001")));
        }
        let question = Question { words, until, texts: self.texts(job, corpus)?, seed };
        let found = lda::evaluate::evaluate(job, &self.model, corpus, &question)?;
        if job.is_dispatcher() {
            let table = match self.printing.format {
                Format::Table => lda_for_reading(&found, corpus.header().documents),
                Format::Json | Format::Csv => lda_for_programs(&found),
            };
            table.print(self.printing.format)?;
        }
        Ok(Outcome { parameters: json!({ "words": words, "seed": seed }), accounted: true, ..Outcome::default() })
    }

    /// The texts, with the options of tokens that the corpus was made with. Collective.
    fn texts(&self, job: &Job, corpus: &Corpus) -> Result<Option<Texts>> {
        if self.texts.is_empty() {
            return Ok(None);
        }
        let unsendable = |cause| Error::failed(format!("the texts cannot be sent: {cause}"));
        let message = job.share(|| {
            let made = corpus.reader()?.file().provenance()?;
            let step = provenance::step(&made, "build").map(|build| &build["parameters"]["tokenizer"]);
            let Some(tokenizer) = step.and_then(|spec| TokenizerSpec::deserialize(spec).ok()) else {
                let path = corpus.path().display();
                return Err(Error::failed(format!(
                    "{path}: was not made from text by `corpuscle build`, so nothing tells how --texts are cut into tokens; \
                     leave them out"
                )));
            };
            let spec = TextSpec {
                format: self.input_format,
                text_field: self.text_field.clone(),
                ..TextSpec::new(self.texts.clone())
            };
            serde_json::to_vec(&Texts { plan: spec.check()?, tokenizer }).map_err(unsendable)
        })?;
        serde_json::from_slice(&message).map(Some).map_err(unsendable)
    }
}

fn lda_for_reading(found: &lda::evaluate::Evaluation, documents: u64) -> Table {
    let mut columns = vec![
        Column::integer("documents"),
        Column::integer("topics"),
        Column::integer("tokens scored"),
        Column::number("perplexity", 1),
        Column::number("bound", 3),
        Column::number("u_mass", 3),
    ];
    let mut row = vec![
        documents.into(),
        found.u_mass.len().into(),
        found.tokens.into(),
        found.perplexity.into(),
        found.bound.into(),
        mean(&found.u_mass).into(),
    ];
    if let Some(windowed) = &found.windowed {
        columns.extend(["c_v", "c_npmi", "c_uci"].map(|name| Column::number(name, 3)));
        row.extend([&windowed.c_v, &windowed.c_npmi, &windowed.c_uci].map(|measure| mean(measure).into()));
    }
    columns.push(Column::number("diversity", 3));
    row.push(found.diversity.into());
    let mut table = Table::new(columns);
    table.push(row);
    table
}

fn lda_for_programs(found: &lda::evaluate::Evaluation) -> Table {
    let mut table = Table::new(vec![
        Column::integer("topic"),
        Column::number("share", 4),
        Column::number("u_mass", 3),
        Column::number("c_v", 3),
        Column::number("c_npmi", 3),
        Column::number("c_uci", 3),
        Column::number("perplexity", 1),
        Column::number("bound", 3),
        Column::number("diversity", 3),
    ]);
    let known = |values: Option<&Vec<f64>>, topic: usize| {
        values.and_then(|values| values.get(topic)).copied().filter(|value| value.is_finite())
    };
    for (topic, &share) in found.shares.iter().enumerate() {
        let windowed = found.windowed.as_ref();
        table.push(vec![
            topic.into(),
            share.into(),
            known(Some(&found.u_mass), topic).into(),
            known(windowed.map(|windowed| &windowed.c_v), topic).into(),
            known(windowed.map(|windowed| &windowed.c_npmi), topic).into(),
            known(windowed.map(|windowed| &windowed.c_uci), topic).into(),
            found.perplexity.into(),
            found.bound.into(),
            found.diversity.into(),
        ]);
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
