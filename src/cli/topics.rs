//! `corpuscle topics`: the terms that make up the topics of a model.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Outcome, Printing};
use crate::dispatch::Job;
use crate::error::Result;
use crate::lsi::model::LsiModel;
use crate::lsi::topics::leading_terms;
use crate::report::output::{Column, Format, Table};

/// Print the topics of a model by their leading terms
///
/// Topics are numbered from 0 by falling singular value. Terms come by the size of their weight in the left singular
/// vector; the sign tells the two ends of a topic apart. JSON and CSV hold one row per topic and term.
#[derive(Debug, Args)]
pub struct Topics {
    /// LSI model
    model: PathBuf,
    /// Topics to print, from the first; all if there are fewer
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    topics: u32,
    /// Terms per topic; all if there are fewer
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    words: u32,
    #[command(flatten)]
    printing: Printing,
}

impl Topics {
    /// Runs on every rank; the dispatcher does it all.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        if job.is_dispatcher() {
            let model = LsiModel::load(&self.model)?;
            let table = match self.printing.format {
                Format::Table => self.for_reading(&model),
                Format::Json | Format::Csv => self.for_programs(&model),
            };
            table.print(self.printing.format)?;
        }
        Ok(Outcome::default())
    }

    /// Numbers of the topics to print.
    fn chosen(&self, model: &LsiModel) -> std::ops::Range<usize> {
        0..model.topics().min(self.topics as usize)
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
