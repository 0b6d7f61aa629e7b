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
use crate::lsi::topics::{leading_terms, leading_weights};
use crate::nmf::model::NmfModel;
use crate::pca::model::PcaModel;
use crate::report::output::{Cell, Column, Format, Table};
use crate::store::file::{Format as FileFormat, OpenFile};
use crate::store::model::ModelReader;
use crate::store::provenance;
use crate::vectors::model::DENSE;

/// Print the topics of a model by their leading terms
///
/// Of an LSI model, and a PCA model of a corpus: topics are numbered from 0 by falling singular value or variance. Terms come by the size of their weight in the left
/// singular vector; the sign tells the two ends of a topic apart. Of an LDA or NMF model: topics come by falling share of the
/// tokens or weights, under the numbers they have in the model; terms by their probability. With --corpus there are two columns more, by
/// which topics can be put in order: the mean share of a topic in a document, and u_mass coherence. JSON and CSV hold one row
/// per topic and term.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle topics lda.h5 -n 20 --words 8
  corpuscle topics lda.h5 --documents shares.h5 --top 5
  corpuscle topics lsi.h5 --format csv")]
pub struct Topics {
    /// LSI, LDA, NMF model, or PCA model of a corpus
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
                FileFormat::Lsi | FileFormat::Nmf | FileFormat::Pca if self.documents.is_some() => {
                    return Err(Error::usage("--documents goes with an LDA model"));
                }
                FileFormat::Lsi => {
                    let model = LsiModel::load(&self.model)?;
                    let leading = |topic| leading_terms(&model, topic, self.words as usize);
                    self.of_axes("singular value", &model.singular_values, &model.residuals, leading)
                }
                FileFormat::Pca => {
                    let model = PcaModel::load(&self.model)?;
                    if model.values == DENSE {
                        let path = self.model.display();
                        return Err(Error::failed(format!("{path}: a PCA of dense rows, whose columns are no terms")));
                    }
                    let leading = |topic: usize| {
                        let weights = model.components.column(topic).iter().map(|&weight| weight as f32).collect();
                        leading_weights(weights, self.words as usize)
                            .map(|(term, weight)| (&model.terms[term][..], weight))
                            .collect()
                    };
                    self.of_axes("explained variance", &model.explained_variance(), &model.residuals, leading)
                }
                FileFormat::Nmf => self.of_nmf(&NmfModel::load(&self.model)?),
                other => {
                    let path = self.model.display();
                    let what = other.description();
                    return Err(Error::failed(format!(
                        "{path}: holds {what} where a model with topics is wanted: LSI, LDA, NMF, or PCA of a corpus"
                    )));
                }
            };
            table.print(self.printing.format)?;
        }
        Ok(Outcome { accounted: standing.is_some(), ..Outcome::default() })
    }

    /// Looks the topics up in a corpus. Collective.
    fn standing(&self, job: &Job, path: &Path) -> Result<Standing> {
        if kind_of(job, &self.model, &[Kind::Lsi, Kind::Lda, Kind::Nmf, Kind::Pca])? != Kind::Lda {
            return Err(Error::usage("--corpus goes with an LDA model"));
        }
        if self.words as usize > MOST_TERMS || self.words < 2 {
            return Err(Error::usage(format!("--words {}: with --corpus from 2 to {MOST_TERMS}", self.words)));
        }
        let corpus = job.account.phase("open", || Corpus::open(job, path))?;
        standing::standing(job, &self.model, &corpus, self.words as usize)
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

    /// Topics that are directions, with a size and a residual each and terms of either sign.
    fn of_axes<'m>(
        &self,
        size: &str,
        sizes: &[f64],
        residuals: &[f64],
        leading: impl Fn(usize) -> Vec<(&'m str, f32)>,
    ) -> Table {
        let reading = self.printing.format == Format::Table;
        let name = if reading { size.to_owned() } else { size.replace(' ', "_") };
        let mut columns = vec![Column::integer("topic"), Column::number(&name, 3), Column::scientific("residual", 1)];
        columns.extend(term_columns(reading, 3));
        let mut table = Table::new(columns);
        for topic in 0..sizes.len().min(self.topics as usize) {
            let row = vec![topic.into(), sizes[topic].into(), residuals[topic].into()];
            push_terms(&mut table, reading, row, leading(topic));
        }
        table
    }

    /// Topics by falling share.
    fn of_nmf(&self, model: &NmfModel) -> Table {
        let reading = self.printing.format == Format::Table;
        let share = if reading { Column::number("share %", 2) } else { Column::number("share", 4) };
        let mut columns = vec![Column::integer("topic"), share];
        columns.extend(term_columns(reading, 4));
        let mut table = Table::new(columns);
        let scale = if reading { 100.0 } else { 1.0 };
        for topic in model.by_share().into_iter().take(self.topics as usize) {
            let divisor = model.divisor(topic);
            let weights = model.term_topic.column(topic).to_vec();
            let terms = leading_weights(weights, self.words as usize)
                .map(|(term, weight)| (model.terms[term].as_str(), (f64::from(weight) / divisor) as f32))
                .collect();
            push_terms(&mut table, reading, vec![topic.into(), (scale * model.topic_share[topic]).into()], terms);
        }
        table
    }
}

/// The columns of the terms: one for people; for programs a row for each term.
fn term_columns(reading: bool, digits: usize) -> Vec<Column> {
    if reading {
        vec![Column::text("terms")]
    } else {
        vec![Column::integer("position"), Column::text("term"), Column::number("weight", digits)]
    }
}

/// Adds a topic, of which `row` holds all but the terms.
fn push_terms(table: &mut Table, reading: bool, mut row: Vec<Cell>, terms: Vec<(&str, f32)>) {
    if reading {
        let terms: Vec<String> = terms.into_iter().map(|(term, weight)| format!("{weight:.3}*\"{term}\"")).collect();
        row.push(terms.join(" + ").into());
        table.push(row);
        return;
    }
    for (position, (term, weight)) in terms.into_iter().enumerate() {
        let mut row = row.clone();
        row.extend([position.into(), term.into(), weight.into()]);
        table.push(row);
    }
}
