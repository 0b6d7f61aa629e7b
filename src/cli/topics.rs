//! `corpuscle topics`: the terms that make up the topics of a model.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Common, Outcome, Printing};
use crate::dispatch::Job;
use crate::error::{At, Error, Result};
use crate::lda::model::LdaModel;
use crate::lda::topics as lda;
use crate::lsi::model::LsiModel;
use crate::lsi::topics::leading_terms;
use crate::report::output::{Column, Format, Table};
use crate::store::file::{Format as FileFormat, OpenFile};
use crate::store::model::ModelReader;
use crate::store::provenance;

/// Print the topics of a model by their leading terms
///
/// Of an LSI model: topics are numbered from 0 by falling singular value. Terms come by the size of their weight in the left
/// singular vector; the sign tells the two ends of a topic apart. Of an LDA model: topics come by falling share of the
/// tokens, under the numbers they have in the model; terms by their probability. JSON and CSV hold one row per topic and
/// term.
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

impl Topics {
    /// Runs on every rank; the dispatcher does it all.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        if job.is_dispatcher() {
            let table = match OpenFile::open(&self.model)?.format {
                FileFormat::Lda => match &self.documents {
                    Some(vectors) => self.of_documents(vectors)?,
                    None => self.of_lda(&LdaModel::load(&self.model)?),
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
        Ok(Outcome::default())
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

    fn of_lda(&self, model: &LdaModel) -> Table {
        let reading = self.printing.format == Format::Table;
        let mut table = Table::new(if reading {
            vec![
                Column::integer("topic"),
                Column::number("share %", 2),
                Column::number("alpha", 4),
                Column::text("terms"),
            ]
        } else {
            vec![
                Column::integer("topic"),
                Column::number("share", 4),
                Column::number("alpha", 4),
                Column::integer("position"),
                Column::text("term"),
                Column::number("weight", 4),
            ]
        });
        let shares = model.shares();
        for topic in lda::by_share(model).into_iter().take(self.topics as usize) {
            let (share, alpha) = (shares[topic], model.alpha[topic]);
            let terms = lda::leading_terms(model, topic, self.words as usize);
            let terms = terms.into_iter().map(|term| term as usize);
            let terms = terms.map(|term| (model.terms[term].as_str(), model.topic_word[[topic, term]]));
            if reading {
                let terms: Vec<String> = terms.map(|(term, weight)| format!("{weight:.3}*\"{term}\"")).collect();
                table.push(vec![topic.into(), (100.0 * share).into(), alpha.into(), terms.join(" + ").into()]);
                continue;
            }
            for (position, (term, weight)) in terms.enumerate() {
                let place = [topic.into(), share.into(), alpha.into(), position.into()];
                table.push(place.into_iter().chain([term.into(), weight.into()]).collect());
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
