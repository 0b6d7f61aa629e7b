//! `corpuscle topics`: the terms that make up the topics of a model.

use std::path::{Path, PathBuf};

use clap::Args;

use super::common::{Kind, kind_of};
use super::{Common, Outcome, Printing};
use crate::dispatch::{Corpus, Job};
use crate::error::{At, Error, Result};
use crate::lda::coherence::MOST_TERMS;
use crate::lda::model::LdaModel;
use crate::lda::standing::{self, Standing};
use crate::lda::topics as lda;
use crate::lsi::model::LsiModel;
use crate::lsi::topics::leading_terms;
use crate::report::output::{Cell, Column, Format, Table};
use crate::store::file::{Format as FileFormat, OpenFile};
use crate::store::model::ModelReader;
use crate::store::provenance;

/// Print the topics of a model by their leading terms
///
/// Of an LSI model: topics are numbered from 0 by falling singular value. Terms come by the size of their weight in the left
/// singular vector; the sign tells the two ends of a topic apart. Of an LDA model: topics come by falling share of the
/// tokens, under the numbers they have in the model; terms by their probability. With --corpus there are two columns more, by
/// which topics can be put in order: the mean share of a topic in a document, and u_mass coherence. JSON and CSV hold one row
/// per topic and term.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle topics lda.h5 -n 20 --words 8
  corpuscle topics lda.h5 --documents shares.h5 --top 5
  corpuscle topics lsi.h5 --format csv")]
pub struct Topics {
    /// LSI or LDA model
    model: PathBuf,
    /// Topics to print, from the first in this order; all if there are fewer
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    topics: u32,
    /// Terms per topic; all if there are fewer
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    words: u32,
    /// LDA: a corpus in which it is looked up how well the terms of a topic go together and how much of the documents it makes
    /// up
    #[arg(long, value_name = "CORPUS", conflicts_with = "documents")]
    corpus: Option<PathBuf>,
    /// LDA: what topics are put in order by; the last two take --corpus
    #[arg(long, value_enum, default_value_t = Order::Share)]
    by: Order,
    /// LDA: print the documents with the largest shares of each topic instead of its terms; these are the vectors that
    /// `corpuscle transform` made with the model
    #[arg(long, value_name = "VECTORS")]
    documents: Option<PathBuf>,
    /// With --documents: how many of each topic
    #[arg(long, value_name = "N", default_value_t = 3, requires = "documents", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    #[command(flatten)]
    printing: Printing,
}

/// What topics of an LDA model are put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// Share of the tokens that the model was trained on
    Share,
    /// Mean share in the documents of --corpus
    Documents,
    /// u_mass coherence in --corpus
    Coherence,
}

impl Topics {
    /// Runs on every rank; the dispatcher does it all unless there is a corpus.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        if self.by != Order::Share && self.corpus.is_none() {
            return Err(Error::usage("--by documents and --by coherence go with --corpus"));
        }
        let standing = match &self.corpus {
            Some(path) => Some(self.standing(job, path)?),
            None => None,
        };
        if job.is_dispatcher() {
            let table = match OpenFile::open(&self.model)?.format {
                FileFormat::Lda => match &self.documents {
                    Some(vectors) => self.of_documents(vectors)?,
                    None => self.of_lda(&LdaModel::load(&self.model)?, standing.as_ref()),
                },
                FileFormat::Lsi if self.documents.is_some() => {
                    return Err(Error::usage("--documents goes with an LDA model"));
                }
                FileFormat::Lsi => {
                    let model = LsiModel::load(&self.model)?;
                    match self.printing.format {
                        Format::Table => self.for_reading(&model),
                        Format::Json | Format::Csv => self.for_programs(&model),
                    }
                }
                other => {
                    let path = self.model.display();
                    let what = other.description();
                    return Err(Error::failed(format!(
                        "{path}: holds {what} where an LSI model or an LDA model is wanted"
                    )));
                }
            };
            table.print(self.printing.format)?;
        }
        Ok(Outcome { accounted: standing.is_some(), ..Outcome::default() })
    }

    /// Looks the topics up in a corpus. Collective.
    fn standing(&self, job: &Job, path: &Path) -> Result<Standing> {
        if kind_of(job, &self.model)? != Kind::Lda {
            return Err(Error::usage("--corpus goes with an LDA model"));
        }
        if self.words as usize > MOST_TERMS || self.words < 2 {
            return Err(Error::usage(format!("--words {}: with --corpus from 2 to {MOST_TERMS}", self.words)));
        }
        let corpus = job.account.phase("open", || Corpus::open(job, path))?;
        standing::standing(job, &self.model, &corpus, self.words as usize)
    }

    /// Numbers of the topics to print.
    fn chosen(&self, model: &LsiModel) -> std::ops::Range<usize> {
        0..model.topics().min(self.topics as usize)
    }

    fn of_documents(&self, vectors: &Path) -> Result<Table> {
        let opened = ModelReader::open(&self.model, FileFormat::Lda)?;
        let model = LdaModel::read(&opened)?;
        let vectors = ModelReader::open(vectors, FileFormat::Vectors)?;
        if provenance::checksum(&vectors.file().provenance()?, "model") != Some(&opened.file().checksum) {
            let (path, model) = (vectors.file().path.display(), self.model.display());
            return Err(Error::failed(format!(
                "{path}: not made with the model {model}; make it with `corpuscle transform`"
            )));
        }
        let mut table = Table::new(vec![
            Column::integer("topic"),
            Column::number("share", 4),
            Column::integer("rank"),
            Column::text("id"),
            Column::number("document_share", 4),
        ]);
        let (shares, most) = (model.shares(), lda::largest_shares(&vectors, self.top as usize)?);
        let ids = vectors.strings("ids")?;
        for topic in lda::by_share(&model).into_iter().take(self.topics as usize) {
            for (rank, &(share, document)) in most[topic].iter().enumerate() {
                let id = ids.read(document as usize, 1).at(&vectors.file().path)?.remove(0);
                table.push(vec![topic.into(), shares[topic].into(), rank.into(), id.into(), share.into()]);
            }
        }
        Ok(table)
    }

    fn of_lda(&self, model: &LdaModel, standing: Option<&Standing>) -> Table {
        let reading = self.printing.format == Format::Table;
        let mut columns = vec![
            Column::integer("topic"),
            if reading { Column::number("share %", 2) } else { Column::number("share", 4) },
        ];
        if standing.is_some() {
            columns.push(if reading { Column::number("documents %", 2) } else { Column::number("mean_share", 4) });
            columns.push(Column::number("u_mass", 3));
        }
        columns.push(Column::number("alpha", 4));
        if reading {
            columns.push(Column::text("terms"));
        } else {
            columns.extend([Column::integer("position"), Column::text("term"), Column::number("weight", 4)]);
        }
        let mut table = Table::new(columns);
        let shares = model.shares();
        let order = match (self.by, standing) {
            (Order::Coherence, Some(standing)) => standing.by_coherence(),
            (Order::Documents, Some(standing)) => standing.by_documents(),
            _ => lda::by_share(model),
        };
        let scale = if reading { 100.0 } else { 1.0 };
        for topic in order.into_iter().take(self.topics as usize) {
            let mut row: Vec<Cell> = vec![topic.into(), (scale * shares[topic]).into()];
            if let Some(standing) = standing {
                row.push((scale * standing.mean_share[topic]).into());
                row.push(Some(standing.u_mass[topic]).filter(|value| value.is_finite()).into());
            }
            row.push(model.alpha[topic].into());
            let terms = lda::leading_terms(model, topic, self.words as usize);
            let terms = terms.into_iter().map(|term| term as usize);
            let terms = terms.map(|term| (model.terms[term].as_str(), model.topic_word[[topic, term]]));
            if reading {
                let terms: Vec<String> = terms.map(|(term, weight)| format!("{weight:.3}*\"{term}\"")).collect();
                row.push(terms.join(" + ").into());
                table.push(row);
                continue;
            }
            for (position, (term, weight)) in terms.enumerate() {
                let mut row = row.clone();
                row.extend([position.into(), term.into(), weight.into()]);
                table.push(row);
            }
        }
        table
    }

    fn for_reading(&self, model: &LsiModel) -> Table {
        let mut table = Table::new(vec![
            Column::integer("topic"),
            Column::number("singular value", 3),
            Column::scientific("residual", 1),
            Column::text("terms"),
        ]);
        for topic in self.chosen(model) {
            let terms: Vec<String> = leading_terms(model, topic, self.words as usize)
                .into_iter()
                .map(|(term, weight)| format!("{weight:.3}*\"{term}\""))
                .collect();
            let (value, residual) = (model.singular_values[topic], model.residuals[topic]);
            table.push(vec![topic.into(), value.into(), residual.into(), terms.join(" + ").into()]);
        }
        table
    }

    fn for_programs(&self, model: &LsiModel) -> Table {
        let mut table = Table::new(vec![
            Column::integer("topic"),
            Column::number("singular_value", 3),
            Column::scientific("residual", 1),
            Column::integer("position"),
            Column::text("term"),
            Column::number("weight", 3),
        ]);
        for topic in self.chosen(model) {
            let (value, residual) = (model.singular_values[topic], model.residuals[topic]);
            for (position, (term, weight)) in leading_terms(model, topic, self.words as usize).into_iter().enumerate() {
                table.push(vec![
                    topic.into(),
                    value.into(),
                    residual.into(),
                    position.into(),
                    term.into(),
                    weight.into(),
                ]);
            }
        }
        table
    }
}
