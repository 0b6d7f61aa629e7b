//! `corpuscle predict`: a fitted pipeline and rows -> labels, scores, probabilities, or how good they are.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::common::Texts;
use super::{Outcome, Printing};
use crate::dispatch::Job;
use crate::error::{At, Error, Result};
use crate::learn::metrics::{Average, Confusion, Share};
use crate::learn::table::Choice;
use crate::report::output::{Cell, Column, Format, Table};
use crate::search::predict::{Given, Predictions, predict};
use crate::store::atomic::refuse_inputs_as_output;

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// The label of each row, with probabilities or scores
    Labels,
    /// Precision, recall and F1 of each class, of rows that have labels
    Report,
    /// How many rows of each class (rows) were given which label (columns)
    Confusion,
}

/// Predict labels with the pipeline that a search chose
///
/// Rows must be of the kind the pipeline learned from: a corpus over the same dictionary (`corpuscle build --dictionary`) or
/// texts, which are cut into terms as those of its corpus were; or vectors with the same columns.
///
/// Examples: corpuscle predict best.h5 new.h5 -o predictions.csv
///           corpuscle predict best.h5 new.jsonl --id-field id --label-field tag --show report
///           corpuscle predict best.h5 test.h5 --show report
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Predict {
    /// Pipeline written by `corpuscle search --model-out`
    model: PathBuf,
    /// A corpus, texts as `corpuscle build` reads them, vectors of `corpuscle transform`, a .npy or .csv file, an HDF5
    /// file with --dataset, or else an SVMlight file
    data: PathBuf,
    /// What is told about the rows
    #[arg(long, value_enum, default_value_t = Show::Labels)]
    show: Show,
    /// Write it to this file, as CSV, instead of printing it
    #[arg(short, long, value_name = "FILE", conflicts_with = "format")]
    output: Option<PathBuf>,
    /// The true label of each row, one a line, where the rows do not hold them
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Dataset of an HDF5 file of others
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Column of a CSV file, or field of texts, that holds the true labels
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
    #[command(flatten)]
    texts: Texts,
    #[command(flatten)]
    printing: Printing,
}

impl Predict {
    /// Runs on every rank.
    pub fn run(self, job: &Job) -> Result<Outcome> {
        let target = match &self.output {
            Some(output) => {
                if job.is_dispatcher() {
                    let inputs = [Some(&self.model), Some(&self.data), self.labels.as_ref()];
                    refuse_inputs_as_output(inputs.into_iter().flatten().map(PathBuf::as_path), output)?;
                }
                job.target(output)?
            }
            None => None,
        };
        let choice = Choice { dataset: self.dataset.clone(), label_field: self.label_field.clone() };
        let texts = self.texts.spec(&self.data, &choice);
        let given = Given { path: &self.data, choice: &choice, texts: &texts, as_texts: self.texts.are_meant() };
        let mut found = job.account.phase("predict", || predict(job, &self.model, &given))?;
        let mut result = json!({});
        if job.is_dispatcher() {
            if let Some(path) = &self.labels {
                let text = std::fs::read_to_string(path).at(path)?;
                let labels: Vec<String> = text.lines().map(str::to_owned).collect();
                if labels.len() != found.ids.len() {
                    let what =
                        format!("{} lines for {} rows: a label for each is wanted", labels.len(), found.ids.len());
                    return Err(Error::failed(format!("{}: {what}", path.display())));
                }
                found.labels = Some(labels);
            }
            let table = match self.show {
                Show::Labels => labels(&found),
                Show::Report => report(&names(&found), &self.confusion(&found)?),
                Show::Confusion => confusion(&names(&found), &self.confusion(&found)?),
            };
            match target {
                Some(target) => {
                    let mut file = BufWriter::new(File::create(target.temporary()).at(target.path())?);
                    table.write(Format::Csv, &mut file).and_then(|()| file.flush()).at(target.path())?;
                    drop(file);
                    target.commit()?;
                }
                None => table.print(self.printing.format)?,
            }
            result = json!({ "rows": found.ids.len() });
        }
        Ok(Outcome { output: self.output, parameters: json!({}), result, accounted: true })
    }

    /// Who was taken for whom, by the numbers of [`names`].
    fn confusion(&self, found: &Predictions) -> Result<Confusion> {
        let Some(labels) = &found.labels else {
            let what = "the rows have no labels to compare with; give them with --labels";
            return Err(Error::usage(format!("{}: {what}", self.data.display())));
        };
        if found.classes.is_empty() {
            return Err(Error::usage("the pipeline predicts numbers: there are no classes to report on"));
        }
        let names = names(found);
        let place = |name: &String| names.iter().position(|known| known == name).unwrap_or(0);
        Ok(Confusion::new(&labels.iter().map(place).collect::<Vec<_>>(), &found.said))
    }
}

/// Classes of the pipeline, and behind them those that only the rows have.
fn names(found: &Predictions) -> Vec<String> {
    let mut names = found.classes.clone();
    let mut others: Vec<String> =
        found.labels.iter().flatten().filter(|label| !names.contains(label)).cloned().collect();
    others.sort();
    others.dedup();
    names.extend(others);
    names
}

fn labels(found: &Predictions) -> Table {
    let mut columns = vec![Column::text("id")];
    if found.classes.is_empty() {
        columns.push(Column::number("value", 6));
        let mut table = Table::new(columns);
        found.ids.iter().zip(&found.values).for_each(|(id, &value)| table.push(vec![id.as_str().into(), value.into()]));
        return table;
    }
    columns.push(Column::text("label"));
    let class = |number: &usize| found.classes[*number].as_str();
    if let Some(decision) = &found.decision {
        if decision.first().is_some_and(|row| row.len() == 1) {
            columns.push(Column::number("decision", 4));
        } else {
            columns
                .extend(found.columns.iter().map(|number| Column::number(&format!("decision_{}", class(number)), 4)));
        }
    }
    if found.probabilities.is_some() {
        columns.extend(found.columns.iter().map(|number| Column::number(&format!("probability_{}", class(number)), 4)));
    }
    let mut table = Table::new(columns);
    for (row, (id, said)) in found.ids.iter().zip(&found.said).enumerate() {
        let mut cells: Vec<Cell> = vec![id.as_str().into(), class(said).into()];
        let numbers = [&found.decision, &found.probabilities].into_iter().flatten().flat_map(|rows| rows[row].iter());
        cells.extend(numbers.map(|&number| Cell::from(number)));
        table.push(cells);
    }
    table
}

/// scikit-learn's `classification_report`.
fn report(names: &[String], confusion: &Confusion) -> Table {
    let mut table = Table::new(vec![
        Column::text("class"),
        Column::number("precision", 2),
        Column::number("recall", 2),
        Column::number("f1-score", 2),
        Column::integer("support"),
    ]);
    let shares = [Share::Precision, Share::Recall, Share::F1];
    let total: f64 = confusion.classes.iter().map(|class| class.rows).sum();
    let mut push = |name: &str, scores: [f64; 3], rows: f64| {
        let mut cells: Vec<Cell> = vec![name.into()];
        cells.extend(scores.map(Cell::from));
        cells.push((rows as u64).into());
        table.push(cells);
    };
    for class in &confusion.classes {
        push(&names[class.class], shares.map(|share| class.share(share)), class.rows);
    }
    let accuracy = confusion.share(Share::F1, Average::Micro);
    push("accuracy", [accuracy; 3], total);
    push("macro avg", shares.map(|share| confusion.share(share, Average::Macro)), total);
    push("weighted avg", shares.map(|share| confusion.share(share, Average::Weighted)), total);
    table
}

fn confusion(names: &[String], confusion: &Confusion) -> Table {
    let name = |at: usize| names[confusion.classes[at].class].as_str();
    let mut columns = vec![Column::text("class")];
    columns.extend((0..confusion.classes.len()).map(|at| Column::integer(name(at))));
    let mut table = Table::new(columns);
    for (at, counts) in confusion.counts.iter().enumerate() {
        let mut row: Vec<Cell> = vec![name(at).into()];
        row.extend(counts.iter().map(|&count| Cell::from(count)));
        table.push(row);
    }
    table
}
