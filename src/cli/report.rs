//! `corpuscle report`: what runs cost, what is in a model, what a search found, as a table or a page.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Outcome, Printing};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::pages::model::Beside;
use crate::pages::{model, search};
use crate::report::html::Page;
use crate::report::output::Format;
use crate::report::scaling::runs::Run;
use crate::report::scaling::{page, table};
use crate::report::trace::chrome::is_trace;
use crate::report::trace::timeline::Timeline;
use crate::store::atomic::refuse_inputs_as_output;
use crate::store::file::{Format as FileFormat, OpenFile};

/// Show models, searches and runs as pages; compare what runs cost
///
/// Of an LSI or LDA model: a map of its topics, their terms by relevance, spectrum and residuals, and with --documents
/// prevalence by label and the documents that show a topic best. Of the results of a search: all candidates, the score
/// against each parameter, parallel coordinates. Of runs (the OUTPUT.run.json beside each result): a row per run on standard
/// output, and on the page speed-up and efficiency, time by phase, bytes, and what each rank did. Of a trace (--trace): time
/// lines. A page is one HTML file that needs no other and no network.
///
/// Examples: corpuscle report lda.h5 --documents shares.h5 -o topics.html
///           corpuscle report results.csv -o search.html --plots figures
///           corpuscle report lsi.h5.run.json lsi.trace.json -o run.html
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Report {
    /// A model, or results of a search, or any number of accounts of runs and traces
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The page to write; of runs optional
    #[arg(short, long, value_name = "PAGE")]
    output: Option<PathBuf>,
    /// Write the pictures of the page as SVG and PNG files into this folder, too
    #[arg(long, value_name = "DIR", requires = "output")]
    plots: Option<PathBuf>,
    /// Of a model: vectors that `corpuscle transform` made with it
    #[arg(long, value_name = "VECTORS")]
    documents: Option<PathBuf>,
    /// Of a model: what `corpuscle evaluate MODEL CORPUS --format json` printed
    #[arg(long, value_name = "FILE")]
    evaluation: Option<PathBuf>,
    /// Of a search: what `corpuscle predict --show confusion -o FILE` wrote
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

/// What a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Search,
    Run,
    Trace,
}

/// Found out from the content; from the name where that says too little.
fn kind(path: &Path) -> Result<Kind> {
    if is_trace(path) {
        return Ok(Kind::Trace);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".run.json") {
        return Ok(Kind::Run);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(Kind::Search),
        Some("json") if !looks_like_results(path) => Ok(Kind::Run),
        Some("json") => Ok(Kind::Search),
        _ => match OpenFile::open(path)?.format {
            FileFormat::Lda | FileFormat::Lsi => Ok(Kind::Model),
            FileFormat::Results => Ok(Kind::Search),
            other => Err(Error::failed(format!(
                "{}: holds {}; report shows LSI and LDA models, results of searches, run files and traces",
                path.display(),
                other.description()
            ))),
        },
    }
}

fn looks_like_results(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.contains("\"mean_test_")
}

impl Report {
    /// Runs on every rank; the dispatcher does it all.
    pub fn run(self, job: &Job) -> Result<Outcome> {
        if job.is_dispatcher() {
            let others = [&self.documents, &self.evaluation, &self.confusion].into_iter().flatten();
            if let Some(output) = &self.output {
                refuse_inputs_as_output(self.files.iter().chain(others).map(PathBuf::as_path), output)?;
            }
            let kinds = self.files.iter().map(|path| kind(path)).collect::<Result<Vec<_>>>()?;
            self.check(&kinds)?;
            match kinds[0] {
                Kind::Model => {
                    let beside =
                        Beside { documents: self.documents.as_deref(), evaluation: self.evaluation.as_deref() };
                    self.write(&model::page(&self.files[0], beside, job.pool)?)?;
                }
                Kind::Search => self.write(&search::page(&self.files[0], self.confusion.as_deref())?)?,
                Kind::Run | Kind::Trace => self.of_runs()?,
            }
        }
        Ok(Outcome::default())
    }

    fn check(&self, kinds: &[Kind]) -> Result<()> {
        let single = kinds.iter().any(|kind| matches!(kind, Kind::Model | Kind::Search));
        if single && kinds.len() > 1 {
            return Err(Error::usage("report: one model or one search at a time; only runs and traces are compared"));
        }
        if self.output.is_none() && (single || !kinds.contains(&Kind::Run)) {
            return Err(Error::usage(format!("report {}: name the page with -o PAGE", self.files[0].display())));
        }
        for (given, option, wanted, what) in [
            (self.documents.is_some(), "--documents", Kind::Model, "a model"),
            (self.evaluation.is_some(), "--evaluation", Kind::Model, "a model"),
            (self.confusion.is_some(), "--confusion", Kind::Search, "the results of a search"),
        ] {
            if given && kinds[0] != wanted {
                return Err(Error::usage(format!("{option} goes with {what}")));
            }
        }
        Ok(())
    }

    fn write(&self, page: &Page) -> Result<()> {
        self.output.as_ref().map_or(Ok(()), |output| page.write(output, self.plots.as_deref()))
    }

    fn of_runs(&self) -> Result<()> {
        let (mut runs, mut timelines) = (Vec::new(), Vec::new());
        for path in &self.files {
            match Timeline::read(path)? {
                Some(timeline) => timelines.push(timeline),
                None => runs.push(Run::read(path)?),
            }
        }
        let everything = (!runs.is_empty()).then(|| table::for_programs(&runs));
        if let Some(output) = &self.output {
            page::write(output, self.plots.as_deref(), &runs, &timelines, everything.as_ref())?;
        }
        let Some(everything) = everything else { return Ok(()) };
        let table = match self.printing.format {
            Format::Table => table::for_reading(&runs),
            Format::Json | Format::Csv => everything,
        };
        table.print(self.printing.format)
    }
}
