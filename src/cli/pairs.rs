//! `corpuscle pairs`: an index -> its pairs of documents that are alike.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::query::Pass;
use super::{Outcome, Printing};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::report::output::{Cell, Column, Table};
use crate::similarity::index::Index;
use crate::similarity::pairs::{Pair, pairs};
use crate::store::atomic::refuse_inputs_as_output;

/// Find all pairs of documents of an index that are alike, such as near-duplicates
///
/// Alike by the cosine of the angle between their vectors, exactly: no pair at or above the threshold is missed. Each pair is there
/// once, in the order of the index. The table, JSON and CSV hold one row per pair; with --output they go to a file instead.
///
/// Examples: corpuscle pairs index.h5 --threshold 0.95
///           mpirun -n 3 corpuscle pairs index.h5 --threshold 0.98 -o pairs.h5
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Pairs {
    /// Index made by `corpuscle index`
    index: PathBuf,
    /// Least similarity of a pair, above 0 and up to 1
    #[arg(long, value_name = "COSINE", default_value_t = 0.95)]
    threshold: f32,
    /// In what precision pairs are ruled out; the answers are the same
    #[arg(long, value_enum, value_name = "PRECISION", default_value_t = Pass::Auto)]
    first_pass: Pass,
    /// Write the pairs to this file instead of printing them
    #[arg(short, long, value_name = "PAIRS", conflicts_with = "format")]
    output: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

impl Pairs {
    /// Runs on every rank.
    pub fn run(self, job: &Job) -> Result<Outcome> {
        let Pairs { index: path, threshold, first_pass, output, printing } = self;
        if !(threshold > 0.0 && threshold <= 1.0) {
            return Err(Error::usage(format!("--threshold {threshold}: a cosine above 0 and up to 1 is wanted")));
        }
        let target = match &output {
            Some(output) => {
                if job.is_dispatcher() {
                    refuse_inputs_as_output([path.as_path()], output)?;
                }
                job.target(output)?
            }
            None => None,
        };
        let index = job.account.phase("load", || Index::open(job, &path))?;
        let found = pairs(job, &index, threshold, first_pass.into(), output.is_some(), target)?;
        let mut result = json!({});
        if let Some(found) = found {
            log::info!("{} pairs among {} documents", found.pairs, found.documents);
            result = json!({
                "pairs": found.pairs, "documents": found.documents, "exact_similarities": found.rescored,
            });
            if output.is_none() {
                table(&index, &found.listed)?.print(printing.format)?;
            }
        }
        Ok(Outcome { output, parameters: json!({ "threshold": threshold }), result, accounted: true })
    }
}

/// A row per pair.
fn table(index: &Index, pairs: &[Pair]) -> Result<Table> {
    let labelled = index.header().labelled;
    let mut columns = vec![Column::text("id"), Column::text("other")];
    if labelled {
        columns.extend([Column::text("label"), Column::text("other label")]);
    }
    columns.push(Column::number("similarity", 4));
    let mut table = Table::new(columns);
    let documents: Vec<u64> = pairs.iter().flat_map(|pair| [pair.first, pair.second]).collect();
    let ids = index.strings("ids", &documents)?;
    let labels = if labelled { index.strings("labels", &documents)? } else { Vec::new() };
    for (at, pair) in pairs.iter().enumerate() {
        let names = [Some(&ids), labelled.then_some(&labels)].into_iter().flatten();
        let mut row: Vec<Cell> =
            names.flat_map(|names| &names[2 * at..2 * at + 2]).map(|name| name.as_str().into()).collect();
        row.push(pair.similarity.into());
        table.push(row);
    }
    Ok(table)
}
