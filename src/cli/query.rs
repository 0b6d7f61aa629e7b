//! `corpuscle query`: vectors or texts -> the nearest documents of an index.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde_json::json;

use super::{Outcome, Printing};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::report::output::{Cell, Column, Format, Table};
use crate::similarity::index::Index;
use crate::similarity::query::{Found, QuerySource, QuerySpec, query};
use crate::similarity::search::FirstPass;
use crate::similarity::stream::answer_lines;
use crate::store::atomic::refuse_inputs_as_output;

/// `--first-pass`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pass {
    /// In eight bits where there are queries enough to make up for bringing the index to them
    Auto,
    /// In eight bits
    Int8,
    /// In single precision
    F32,
}

impl From<Pass> for FirstPass {
    fn from(pass: Pass) -> FirstPass {
        match pass {
            Pass::Auto => FirstPass::Auto,
            Pass::Int8 => FirstPass::Int8,
            Pass::F32 => FirstPass::F32,
        }
    }
}

/// Find the nearest documents to vectors or texts
///
/// Nearest by the cosine of the angle between the vectors, exactly; of equally near ones the first in the index comes
/// first. Documents are first compared in eight bits, with a bound on the error that holds for certain; what it does not rule out
/// is computed exactly, so the answers are those of a search without that pass, to the last bit. The table, JSON and CSV hold one row per query and neighbour; with --output they go to a file instead.
///
/// With - in place of vectors, queries come from standard input line by line, and each is answered on standard output before the
/// next is read. A line is a JSON object with a text or a vector, and an id if wanted: {"id": 1, "text": "slide guitar"}. Its answer
/// is {"query": 1, "neighbours": [{"id": "music-07", "similarity": 0.97}, ...]}, or {"query": 1, "error": "..."}.
///
/// Examples: corpuscle query index.h5 new-vectors.h5 --top 10 -o neighbours.h5
///           corpuscle query index.h5 --text "slide guitar in open tuning"
///           corpuscle query index.h5 - --top 3 < queries.jsonl
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, group(ArgGroup::new("queries").required(true).args(["vectors", "text"])))]
pub struct Query {
    /// Index made by `corpuscle index`
    index: PathBuf,
    /// Queries: vectors made by `corpuscle transform` with the model of the index, or - for lines of standard input
    vectors: Option<PathBuf>,
    /// A query as text; may be given several times. Texts are numbered from 0
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// Neighbours of each query
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// In what precision documents are ruled out; the answers are the same
    #[arg(long, value_enum, value_name = "PRECISION", default_value_t = Pass::Auto)]
    first_pass: Pass,
    /// The vectors are those of the index: no document is its own neighbour
    #[arg(long, conflicts_with = "text")]
    exclude_self: bool,
    /// Write the neighbours to this file instead of printing them
    #[arg(short, long, value_name = "NEIGHBOURS", conflicts_with = "format")]
    output: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

impl Query {
    /// Runs on every rank.
    pub fn run(self, job: &Job) -> Result<Outcome> {
        let Query { index, vectors, text, top, first_pass, exclude_self, output, printing } = self;
        let first_pass = FirstPass::from(first_pass);
        if vectors.as_deref() == Some(Path::new("-")) {
            let table = printing.format == Format::Table;
            return lines(job, &index, top, first_pass, output.is_some() || exclude_self || !table);
        }
        let target = match &output {
            Some(output) => {
                if job.is_dispatcher() {
                    let inputs = [Some(&index), vectors.as_ref()].into_iter().flatten();
                    refuse_inputs_as_output(inputs.map(PathBuf::as_path), output)?;
                }
                job.target(output)?
            }
            None => None,
        };
        let parameters = json!({ "top": top, "exclude_self": exclude_self });
        let queries = match vectors {
            Some(path) => QuerySource::Vectors { path, exclude_self },
            None => QuerySource::Texts(text),
        };
        let spec = QuerySpec { index, queries, top: top as usize, first_pass };
        let index = job.account.phase("load", || Index::open(job, &spec.index))?;
        let found = query(job, &index, &spec, output.is_some(), target)?;
        let mut result = json!({});
        if let Some(found) = found {
            if found.without_direction > 0 {
                log::warn!("{} of {} queries are zero vectors: no neighbours", found.without_direction, found.queries);
            }
            let each = found.rescored as f64 / (found.queries as f64).max(1.0);
            log::info!("{} queries answered, proven exact by {each:.1} exact similarities a query", found.queries);
            result = json!({
                "queries": found.queries, "zero_vectors": found.without_direction, "exact_similarities": found.rescored,
            });
            if output.is_none() {
                table(&index, found)?.print(printing.format)?;
            }
        }
        Ok(Outcome { output, parameters, result, accounted: true })
    }
}

/// Answers the lines of standard input.
fn lines(job: &Job, index: &Path, top: u32, first_pass: FirstPass, more: bool) -> Result<Outcome> {
    if more {
        return Err(Error::usage(
            "--output, --format and --exclude-self mean nothing for lines of standard input: leave them out",
        ));
    }
    let index = job.account.phase("load", || Index::open(job, index))?;
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let lines = answer_lines(job, &index, top as usize, first_pass, &mut input, &mut output)?;
    let result = lines.map_or_else(|| json!({}), |lines| json!({ "queries": lines }));
    Ok(Outcome { output: None, parameters: json!({ "top": top }), result, accounted: true })
}

/// A row per query and neighbour.
fn table(index: &Index, found: Found) -> Result<Table> {
    let labelled = index.header().labelled;
    let mut columns = vec![Column::text("query"), Column::integer("rank"), Column::text("id")];
    columns.extend(labelled.then(|| Column::text("label")));
    columns.push(Column::number("similarity", 4));
    let mut table = Table::new(columns);
    let documents: Vec<u64> = found.neighbours.iter().flat_map(|(_, list)| list).map(|n| n.document).collect();
    let ids = index.strings("ids", &documents)?;
    let labels = if labelled { index.strings("labels", &documents)? } else { Vec::new() };
    let (mut ids, mut labels) = (ids.into_iter(), labels.into_iter());
    for (query, list) in found.neighbours {
        for (rank, neighbour) in (1usize..).zip(list) {
            let mut row: Vec<Cell> = vec![query.as_str().into(), rank.into(), ids.next().into()];
            row.extend(labelled.then(|| Cell::from(labels.next())));
            row.push(neighbour.similarity.into());
            table.push(row);
        }
    }
    Ok(table)
}
