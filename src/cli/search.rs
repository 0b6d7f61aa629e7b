//! `corpuscle search`: a pipeline file and rows with labels -> scores of all candidates, and the best one fitted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value as Json, json};

use super::{Common, Outcome, Printing};
use crate::dispatch::Job;
use crate::error::{At, Error, Result};
use crate::learn::table::Choice;
use crate::report::output::{Cell, Column, Table};
use crate::search::data::{Beside, Data};
use crate::search::memory::forecast;
use crate::search::pipeline::Pipeline;
use crate::search::results::{self, Results};
use crate::search::run::{check, refit, search};
use crate::store::atomic::{refuse_inputs_as_output, same_file};
use crate::store::provenance;

/// Candidates that are printed.
const SHOWN: usize = 10;

/// Cross-validate the candidates of a pipeline, fit the best
///
/// This is scikit-learn's GridSearchCV, RandomizedSearchCV, and their Halving kin. Results have the columns of `cv_results_`: `pandas.read_csv(RESULTS, index_col=0)` takes the place of
/// `pd.DataFrame(search.cv_results_)`. The four columns of times, which differ from run to run, go to RESULTS.times.csv.
///
/// Examples: corpuscle search pipeline.toml corpus.h5 -o results.csv --model-out best.h5
///           corpuscle search pipeline.toml features.npy --labels labels.txt -o results.h5
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Search {
    /// The pipeline file
    pipeline: PathBuf,
    /// A corpus with labels, or without where the pipeline ends in topics, vectors of `corpuscle transform`, a .npy or .csv file, an HDF5 file
    /// with --dataset, or else an SVMlight file
    data: PathBuf,
    /// Results to write: .csv, .json or .h5
    #[arg(short, long, value_name = "RESULTS")]
    output: PathBuf,
    /// Also write the best candidate, fitted on all rows, for `corpuscle predict`
    #[arg(long, value_name = "FILE")]
    model_out: Option<PathBuf>,
    /// The label of each row, one a line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// The group of each row, one a line, for group-k-fold
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// The fold each row is tested in, one a line, -1 for none, for predefined-split
    #[arg(long, value_name = "FILE")]
    folds: Option<PathBuf>,
    /// Dataset of an HDF5 file of others
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Column of a CSV file that holds the labels
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
    /// Put the columns of times into RESULTS, as scikit-learn has them
    #[arg(long)]
    with_times: bool,
    #[command(flatten)]
    printing: Printing,
}

impl Search {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        results::kind(&self.output)?;
        if job.is_dispatcher() {
            self.refuse_outputs()?;
        }
        let mut text = None;
        let shared = job.share(|| {
            let read = std::fs::read_to_string(&self.pipeline).at(&self.pipeline)?;
            // Said once, before anything is sent.
            Pipeline::parse(&self.pipeline, &read, common.seed)?;
            Ok(text.insert(read).clone().into_bytes())
        })?;
        let pipeline = Pipeline::parse(&self.pipeline, &String::from_utf8_lossy(&shared), common.seed)?;
        if self.model_out.is_some() && pipeline.refit.is_none() {
            return Err(Error::usage("--model-out needs a refit in the pipeline file"));
        }
        let target = job.target(&self.output)?;
        let model_target = self.model_out.as_ref().map(|path| job.target(path)).transpose()?.flatten();
        let times = if self.with_times { None } else { job.target(&self.times())? };
        let choice = Choice { dataset: self.dataset.clone(), label_field: self.label_field.clone() };
        let beside =
            Beside { labels: self.labels.as_deref(), groups: self.groups.as_deref(), folds: self.folds.as_deref() };
        let (data, origin) =
            job.account.phase("share data", || Data::open(job, &self.data, &choice, &beside, pipeline.subject))?;
        let mut inputs = Vec::new();
        let mut parameters = json!({ "pipeline": String::from_utf8_lossy(&shared), "seed": common.seed });
        if let Some(origin) = &origin {
            inputs.push(("data", origin.input.clone()));
            for (role, path) in [("labels", &self.labels), ("groups", &self.groups), ("folds", &self.folds)] {
                inputs
                    .extend(path.as_ref().map(|path| Ok::<_, Error>((role, provenance::of_input(path)?))).transpose()?);
            }
        }
        job.begin(|| {
            let mut identity = provenance::of("search", parameters.clone(), &inputs);
            identity["parameters"]["dataset"] = json!(self.dataset);
            identity["parameters"]["label_field"] = json!(self.label_field);
            Ok(identity)
        })?;
        check(&pipeline, &data)?;
        let folds = pipeline.splitter.split(data.to_split())?.len();
        let remedy = "give more, lower k, or give fewer rows";
        let saving = self.model_out.is_some();
        let job = &job.within_memory(remedy, || forecast(&pipeline, &data, folds, saving))?;
        let found = job.account.phase("search", || search(job, &pipeline, &data))?;

        // The dispatcher tells which candidate is the best, if there is one: its row, and itself.
        let best = job.share(|| {
            let best = found.as_ref().and_then(|found| pipeline.refit.and_then(|scorer| found.best(scorer)));
            let both = best.zip(found.as_ref()).map(|(row, found)| [row as u64, found.candidate(row) as u64]);
            Ok(both.map_or(Vec::new(), |both| both.map(u64::to_le_bytes).concat()))
        })?;
        let [row, candidate] = [0, 8].map(|at| {
            let bytes = best.get(at..).and_then(<[u8]>::first_chunk::<8>);
            bytes.map(|bytes| u64::from_le_bytes(*bytes) as usize)
        });
        let best = row;
        if self.model_out.is_some() && best.is_none() {
            return Err(Error::failed(match found.as_ref().and_then(|found| found.errors.1.as_ref()) {
                Some((candidate, fold, error)) => {
                    format!("no candidate could be scored; candidate {candidate}, fold {fold}: {error}")
                }
                None => "no candidate could be scored".into(),
            }));
        }
        let fitted = match (candidate, &self.model_out) {
            (Some(best), Some(_)) => job.account.phase("refit", || refit(job, &pipeline, &data, best))?,
            _ => None,
        };
        let mut result = json!({});
        if let (Some(found), Some(target), Some(origin)) = (found, target, origin) {
            if let Some(best) = best {
                parameters["best"] = settings(&found, best).into();
            }
            let provenance = provenance::of("search", parameters, &inputs);
            result = summary(&found, &pipeline, best);
            if let Some((fitted, note)) = &fitted {
                note.iter().for_each(|note| log::warn!("the best candidate, fitted on all rows: {note}"));
                if let Some(target) = model_target {
                    job.account.io(|| fitted.save(target, &origin.terms, &provenance))?;
                }
            }
            job.account.io(|| found.save(target, self.with_times, times, &provenance))?;
            warn(&found);
            table(&found, &pipeline).print(self.printing.format)?;
        }
        let parameters = json!({ "candidates": pipeline.space.len() });
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }

    /// Where the times go.
    fn times(&self) -> PathBuf {
        let mut name = OsString::from(&self.output);
        name.push(".times.csv");
        PathBuf::from(name)
    }

    fn refuse_outputs(&self) -> Result<()> {
        let files = [&self.labels, &self.groups, &self.folds];
        let inputs = || {
            let given = [&self.pipeline, &self.data];
            given.into_iter().chain(files.into_iter().flatten()).map(PathBuf::as_path)
        };
        let outputs: Vec<&Path> =
            [Some(&self.output), self.model_out.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
        outputs.iter().try_for_each(|output| refuse_inputs_as_output(inputs(), output))?;
        match &self.model_out {
            Some(model) if same_file(model, &self.output) => Err(Error::usage(format!(
                "{}: --model-out and --output name one file; give each its own",
                model.display()
            ))),
            _ => Ok(()),
        }
    }
}

fn settings(found: &Results, candidate: usize) -> Map<String, Json> {
    found.parameters(candidate).into_iter().map(|(name, value)| (name, json!(value))).collect()
}

fn summary(found: &Results, pipeline: &Pipeline, best: Option<usize>) -> Json {
    let mut result = json!({
        "candidates": pipeline.space.len(), "failed_fits": found.errors.0, "unconverged_fits": found.unconverged.0,
    });
    if let (Some(best), Some(scorer)) = (best, pipeline.refit) {
        result["best_index"] = json!(best);
        result["best_score"] = json!(found.means(scorer)[best]);
        result["best_params"] = settings(found, best).into();
    }
    result
}

/// Says what went wrong, once.
fn warn(found: &Results) {
    if let Some((candidate, fold, error)) = &found.errors.1 {
        log::warn!(
            "{} fits failed or lack a score; the first is candidate {candidate}, fold {fold}: {error}",
            found.errors.0
        );
    }
    if let (count, Some((candidate, note))) = &found.unconverged {
        log::warn!("{count} fits did not converge; the first is candidate {candidate}: {note}");
    }
}

/// The best candidates by the first scorer, or by that of the refit.
fn table(found: &Results, pipeline: &Pipeline) -> Table {
    let by = pipeline.refit.unwrap_or(0);
    let means: Vec<Vec<f64>> = (0..pipeline.scorers.len()).map(|scorer| found.means(scorer)).collect();
    let mut order: Vec<usize> = (0..found.len()).collect();
    // Of successive halving the last round comes first.
    let mean = |at: usize| if means[by][at].is_nan() { f64::NEG_INFINITY } else { means[by][at] };
    order.sort_by(|&a, &b| found.round(b).cmp(&found.round(a)).then(mean(b).total_cmp(&mean(a))));
    let ranks = results::ranks(&means[by]);
    let names = pipeline.space.names();
    let mut columns = vec![Column::integer("rank")];
    let halved = found.round(0).is_some();
    if halved {
        columns.extend([Column::integer("iter"), Column::integer("n_resources")]);
    }
    columns.extend(names.iter().map(|name| Column::text(name)));
    columns.extend(pipeline.scorers.iter().map(|(name, _)| Column::number(name, 4)));
    let mut table = Table::new(columns);
    for candidate in order.into_iter().take(SHOWN) {
        let parameters = found.parameters(candidate);
        let value =
            |name: &String| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_string());
        let mut row: Vec<Cell> = vec![(ranks[candidate] as u64).into()];
        if let Some((round, resources)) = found.round(candidate) {
            row.extend([Cell::from(round as u64), Cell::from(resources as u64)]);
        }
        row.extend(names.iter().map(|name| Cell::from(value(name))));
        row.extend(means.iter().map(|means| Cell::from(means[candidate])));
        table.push(row);
    }
    table
}
