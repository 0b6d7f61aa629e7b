//! The search: groups of candidates times folds, farmed out.
//!
//! Problem: for each of C candidates and F folds, fit on the training rows and score the test rows.
//! Algorithm: candidates that share their heavy steps ([`fit`](super::fit)) form a group; (group, fold) is a task, which one
//! worker runs alone: heavy steps once, lsi at the largest k; then, k by k, the cheap steps and the estimator along its path,
//! each fit using what the last one left. Without heavy steps a group is a path. The order within a task is fixed, so
//! results do not depend on who does what. Of successive halving ([`halving`](super::halving)) each round is such a farm. Tasks are listed a batch at a time, longest first, so the plan of a great grid takes
//! no memory to speak of; scores take 8 bytes each.
//! Cost: C F fits of the estimator, G F of the heavy steps; rows travel once, a task is 16 bytes, its answer 100 bytes a candidate.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::data::Data;
use super::fit::fit_step;
use super::halving::leading;
use super::model::{FittedPipeline, FittedStep, Stage};
use super::pipeline::{Described, ErrorScore, Pipeline};
use super::results::Results;
use super::space::{Groups, Setting};
use super::splitters::Fold;
use super::steps::{self, Kind, Step};
use super::topics;
use super::value::Value;
use crate::dispatch::{Job, farm};
use crate::error::{Error, Result};
use crate::learn::estimator::{Reuse, Spec};
use crate::learn::features::Features;
use crate::learn::metrics::Subject;
use crate::report::progress::{Task, Unit};

/// Tasks that are listed at a time.
const BATCH: usize = 8192;

/// What a worker found for one candidate and fold. Scores travel as bits: JSON has no NaN.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    /// Number of the candidate.
    pub candidate: usize,
    /// Scores on the test rows, a scorer each.
    pub test: Vec<u64>,
    /// Scores on the training rows, where they are wanted.
    pub train: Vec<u64>,
    /// Seconds of fitting, a share of the common steps included, and of scoring.
    pub seconds: [f64; 2],
    /// Why there are no scores, or one is missing.
    pub error: Option<String>,
    /// What did not converge.
    pub note: Option<String>,
}

struct Context<'a, 'j> {
    job: &'a Job<'j>,
    pipeline: &'a Pipeline,
    data: &'a Data,
    folds: &'a [Fold],
    groups: Groups<'a>,
    /// Tasks that each group is on each fold.
    parts: usize,
    began: Instant,
}

/// Tasks that a search should have, for workers to have some each, where that costs little.
const ENOUGH: usize = 32;
/// Candidates of a path that warm starts are worth keeping together for.
const PATH: usize = 8;

/// Into how many parts the path of a group is cut: some, if there are few tasks and nothing heavy is done for each part. The plan
/// alone decides, for where a fit starts from shows in the last bits.
fn parts(pipeline: &Pipeline, groups: &Groups, folds: usize, candidates: usize) -> usize {
    let warm = pipeline.steps.last().is_some_and(|step| step.kind().path() == Some("C"));
    if heavy(&pipeline.steps) > 0 || !warm {
        return 1;
    }
    let tasks = groups.len() * folds;
    ENOUGH.div_ceil(tasks.max(1)).min(candidates / groups.len().max(1) / PATH).max(1)
}

/// The number of heavy steps: up to the last of terms, tfidf, lsi and lda.
fn heavy(described: &[Described]) -> usize {
    let heavy = |step: &Described| matches!(step.kind(), Kind::Terms | Kind::Tfidf | Kind::Lsi | Kind::Lda);
    described.iter().rposition(heavy).map_or(0, |last| last + 1)
}

/// The steps of a candidate.
fn resolve(described: &[Described], settings: &[Setting]) -> Result<Vec<Step>> {
    described
        .iter()
        .enumerate()
        .map(|(at, step)| {
            let chosen = settings.iter().filter(|(of, ..)| *of == at).map(|(_, name, value)| (name.as_str(), value));
            let fixed = step.values.iter().map(|(name, value)| (name.as_str(), value));
            // What comes first is found first.
            let values: Vec<(&str, &Value)> = chosen.chain(fixed).collect();
            steps::build(step.kind(), &values).map_err(|what| Error::failed(format!("{}: {what}", step.name)))
        })
        .collect()
}

/// Runs the search. Collective; the dispatcher gets the results.
///
/// # Errors
/// Folds that cannot be made; a candidate's failure where it is not to be passed over.
pub fn search(job: &Job, pipeline: &Pipeline, data: &Data) -> Result<Option<Results>> {
    let folds = pipeline.splitter.split(data.to_split())?;
    if let Some(empty) = folds.iter().position(|fold| fold.train.is_empty() || fold.test.is_empty()) {
        return Err(Error::usage(format!("fold {empty} has no rows to train on or none to test on")));
    }
    let described = &pipeline.steps;
    let last = heavy(described);
    let path = described.last().and_then(|step| step.kind().path());
    let inner = |step: usize, parameter: &str| {
        if last == 0 {
            step + 1 == described.len() && path == Some(parameter)
        } else {
            step >= last || described[step].kind() == Kind::Lsi && parameter == "k"
        }
    };
    let mut results = Results::new(pipeline, folds.len());
    let began = Instant::now();
    let Some(halving) = pipeline.halving else {
        let total = pipeline.space.len() * folds.len();
        let progress = job.progress.task("search", Unit::Tasks, Some(total as u64));
        let groups = pipeline.space.groups(inner);
        let parts = parts(pipeline, &groups, folds.len(), pipeline.space.len());
        Context { job, pipeline, data, folds: &folds, groups, parts, began }.farm_out(&mut results, &progress)?;
        return Ok(job.is_dispatcher().then_some(results));
    };
    let mut candidates: Vec<usize> = (0..pipeline.space.len()).collect();
    let classes = if pipeline.subject == Subject::Classes { data.classes.len() } else { 0 };
    let schedule = halving.schedule(candidates.len(), data.len(), folds.len(), classes)?;
    let sizes = std::iter::successors(Some(candidates.len()), |&size| Some(halving.keeps(size))).take(schedule.len());
    let progress = job.progress.task("search", Unit::Tasks, Some((sizes.sum::<usize>() * folds.len()) as u64));
    for (round, &resources) in schedule.iter().enumerate() {
        if round > 0 {
            let best = job.share(|| {
                let means = results.means(0).split_off(results.last_round());
                let best = leading(&means, halving.keeps(candidates.len()));
                Ok(best.into_iter().flat_map(|at| (candidates[at] as u64).to_le_bytes()).collect())
            })?;
            candidates = best.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
        }
        let drawn = halving.drawn(&folds, resources, data.len())?;
        results.begin_round(round, &candidates, resources);
        let groups = pipeline.space.groups_of(candidates.iter().copied(), inner);
        let parts = parts(pipeline, &groups, drawn.len(), candidates.len());
        Context { job, pipeline, data, folds: &drawn, groups, parts, began }.farm_out(&mut results, &progress)?;
    }
    Ok(job.is_dispatcher().then_some(results))
}

/// What can be said before anything runs.
///
/// # Errors
/// Steps that the rows do not suit; a single class.
pub fn check(pipeline: &Pipeline, data: &Data) -> Result<()> {
    let first = |kinds: &[Kind]| pipeline.steps.iter().find(|step| kinds.contains(&step.kind()));
    let dense = !matches!(data.rows, super::held::Held::Documents { .. });
    if let Some(step) = first(&[Kind::Terms, Kind::Tfidf, Kind::Lsi, Kind::Lda]).filter(|_| dense) {
        return Err(Error::usage(format!("{} works on a corpus, but the rows are vectors", step.name)));
    }
    if let Some(step) = first(&[Kind::Tfidf, Kind::Lda]).filter(|_| !data.counts) {
        return Err(Error::usage(format!("{} works on counts, but the corpus is weighted already", step.name)));
    }
    if pipeline.subject == Subject::Classes && data.classes.len() == 1 {
        return Err(Error::usage(format!(
            "all rows have the label {:?}: there is nothing to tell apart",
            data.classes[0]
        )));
    }
    Ok(())
}

impl Context<'_, '_> {
    /// Runs all groups on all folds; the dispatcher gets the results. Collective.
    fn farm_out(&self, results: &mut Results, progress: &Task) -> Result<()> {
        let (job, folds) = (self.job, self.folds.len());
        let tasks = self.groups.len() * folds * self.parts;
        for first in (0..tasks).step_by(BATCH) {
            let batch: Vec<(f64, Vec<u8>)> = match job.is_dispatcher() {
                false => Vec::new(),
                true => (first..tasks.min(first + BATCH)).map(|task| self.task(task)).collect::<Result<_>>()?,
            };
            let answers = farm(job, batch, |task| {
                let number = u64::from_le_bytes(task.try_into().map_err(|_| Error::failed("damaged task"))?) as usize;
                let cells = self.run(number / folds / self.parts, number % folds, number / folds % self.parts);
                if let (ErrorScore::Raise, Some(error)) =
                    (self.pipeline.error_score, cells.iter().find_map(|cell| cell.error.as_ref()))
                {
                    return Err(Error::failed(error.clone()));
                }
                progress.advance(cells.len() as u64, 0);
                serde_json::to_vec(&cells).map_err(|cause| Error::failed(cause.to_string()))
            })?;
            for (task, answer) in (first..).zip(answers) {
                let cells: Vec<Cell> = serde_json::from_slice(&answer)
                    .map_err(|cause| Error::failed(format!("damaged answer: {cause}")))?;
                if job.distributed() {
                    progress.advance(cells.len() as u64, 0);
                }
                results.take(task % folds, cells);
            }
        }
        Ok(())
    }

    /// A task with its expected cost: columns of all its fits.
    fn task(&self, task: usize) -> Result<(f64, Vec<u8>)> {
        let members = self.groups.members(task / self.folds.len() / self.parts);
        let mut cost = 0.0;
        // A sample tells enough of a large group.
        for &member in members.iter().take(64) {
            let candidate = self.pipeline.space.candidate(member);
            let of = |wanted: &str| candidate.iter().find(|(_, name, _)| name == wanted)?.2.number();
            cost += of("k").unwrap_or(100.0) * of("passes").unwrap_or(1.0);
        }
        cost *= members.len() as f64 / members.len().clamp(1, 64) as f64;
        // The end of a path takes longest.
        cost *= (1 + task / self.folds.len() % self.parts) as f64;
        Ok((cost, (task as u64).to_le_bytes().to_vec()))
    }

    /// All candidates of a group on a fold, or a part of them.
    fn run(&self, group: usize, fold: usize, part: usize) -> Vec<Cell> {
        let mut members = Vec::new();
        let mut cells = Vec::new();
        for candidate in self.groups.members(group) {
            let settings = self.pipeline.space.candidate(candidate);
            match resolve(&self.pipeline.steps, &settings) {
                Ok(steps) => members.push(Member { candidate, settings, steps }),
                Err(error) if part == 0 => cells.push(self.failed(candidate, error.to_string())),
                Err(_) => {}
            }
        }
        let path = self.pipeline.steps.last().and_then(|step| step.kind().path());
        members.sort_by(|a, b| a.order(b, self.pipeline.steps.len() - 1, path));
        let cut = |part: usize| members.len() * part / self.parts;
        members = members.drain(cut(part)..cut(part + 1)).collect();
        if self.pipeline.time_limit.is_some_and(|limit| self.began.elapsed().as_secs_f64() > limit) {
            cells.extend(
                members
                    .iter()
                    .map(|member| self.failed(member.candidate, "not run: the time limit was reached".into())),
            );
            return cells;
        }
        // What ends the pipeline is scored, not gone through.
        let last = heavy(&self.pipeline.steps).min(self.pipeline.steps.len() - 1);
        let Fold { train, test } = &self.folds[fold];
        // From the largest k down: one that the rows do not have fails alone.
        let started = Instant::now();
        let common = loop {
            let Some(largest) = members.last() else { return cells };
            let begun = largest.steps[..last].iter().try_fold(
                (Vec::new(), self.data.rows.select(train), self.data.rows.select(test)),
                |(mut fitted, train, test), step| {
                    let (step, train, test) = fit_step(self.job, step, self.data, train, Some(test))?;
                    fitted.push(step);
                    Ok::<_, Error>((fitted, train, test.expect("as it was given")))
                },
            );
            match begun {
                Ok((_, train, test)) => break (train, test),
                Err(error) => {
                    let k = largest.k();
                    let out = members.extract_if(.., |member| k.is_none() || member.k() == k);
                    cells.extend(out.map(|member| self.failed(member.candidate, error.to_string())));
                }
            }
        };
        let share = started.elapsed().as_secs_f64() / members.len() as f64;
        if self.pipeline.subject == Subject::Topics {
            cells.extend(members.iter().map(|member| self.topics(member, &common, share)));
            return cells;
        }
        let (train, test) = (common.0.features(), common.1.features());
        let Some(target) = &self.data.target else { return cells };
        let targets = [target.select(&self.folds[fold].train), target.select(&self.folds[fold].test)];
        let mut ready: Option<Ready> = None;
        for member in &members {
            let light = &member.steps[last..member.steps.len() - 1];
            let begun = Instant::now();
            let same = |ready: &Ready| ready.k == member.k() && ready.light == light;
            if !ready.as_ref().is_some_and(same) {
                ready = match self.light(member.k(), light, &train, &test) {
                    Ok(rows) => Some(rows),
                    Err(error) => {
                        cells.push(self.failed(member.candidate, error.to_string()));
                        None
                    }
                };
            }
            let (Some(ready), Some(Step::Estimator(spec))) = (&mut ready, member.steps.last()) else { continue };
            let cell = match spec.fit(&ready.train, &targets[0], &mut ready.reuse) {
                Err(error) => self.failed(member.candidate, error.to_string()),
                Ok((fitted, note)) => {
                    let fit = share + begun.elapsed().as_secs_f64();
                    let begun = Instant::now();
                    let mut error = None;
                    let mut score = |features: &Features, target| {
                        let predicted = fitted.predict(features);
                        let of = |(name, scorer): &(String, crate::learn::metrics::Scorer)| {
                            scorer.score(&predicted, target).unwrap_or_else(|what| {
                                error.get_or_insert(format!("{name}: {what}"));
                                f64::NAN
                            })
                        };
                        self.pipeline.scorers.iter().map(of).map(f64::to_bits).collect::<Vec<u64>>()
                    };
                    let test = score(&ready.test, &targets[1]);
                    let seconds = begun.elapsed().as_secs_f64();
                    let train = if self.pipeline.train_score { score(&ready.train, &targets[0]) } else { Vec::new() };
                    Cell { candidate: member.candidate, test, train, seconds: [fit, seconds], error, note }
                }
            };
            cells.push(cell);
        }
        cells
    }

    /// A candidate that ends in topics, on the rows before these.
    fn topics(&self, member: &Member, (train, test): &(Stage, Stage), share: f64) -> Cell {
        let (Some(Step::Lda(params)), Stage::Documents(train), Stage::Documents(test)) =
            (member.steps.last(), train, test)
        else {
            return self.failed(member.candidate, "lda works on a corpus, not on vectors".into());
        };
        let begun = Instant::now();
        let model = match topics::fit(self.job, params, train) {
            Ok(model) => model,
            Err(error) => return self.failed(member.candidate, error.to_string()),
        };
        let fit = share + begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let mut error = None;
        let mut score = |rows| -> Vec<u64> {
            let scorers = &self.pipeline.scorers;
            let found = topics::score(scorers, &model, rows, self.pipeline.seed, self.job.pool);
            let of = |((name, _), found): (&(String, _), Result<f64>)| {
                found.unwrap_or_else(|what| {
                    error.get_or_insert(format!("{name}: {what}"));
                    f64::NAN
                })
            };
            scorers.iter().zip(found).map(of).map(f64::to_bits).collect()
        };
        let test = score(test);
        let seconds = begun.elapsed().as_secs_f64();
        let train = if self.pipeline.train_score { score(train) } else { Vec::new() };
        Cell { candidate: member.candidate, test, train, seconds: [fit, seconds], error, note: None }
    }

    /// The cheap steps on the first k columns.
    fn light(&self, k: Option<usize>, light: &[Step], train: &Features, test: &Features) -> Result<Ready> {
        let leading = |features: &Features| Stage::Features(features.leading(k.unwrap_or(usize::MAX)));
        let (mut train, mut test) = (leading(train), leading(test));
        for step in light {
            let (_, next, after) = fit_step(self.job, step, self.data, train, Some(test))?;
            (train, test) = (next, after.expect("as it was given"));
        }
        Ok(Ready { k, light: light.to_vec(), train: train.features(), test: test.features(), reuse: Reuse::default() })
    }

    fn failed(&self, candidate: usize, error: String) -> Cell {
        let score = match self.pipeline.error_score {
            ErrorScore::Score(score) => score.to_bits(),
            ErrorScore::Raise => f64::NAN.to_bits(),
        };
        let test = vec![score; self.pipeline.scorers.len()];
        let train = if self.pipeline.train_score { test.clone() } else { Vec::new() };
        Cell { candidate, test, train, seconds: [0.0; 2], error: Some(error), note: None }
    }
}

/// Rows ready for an estimator, and what fits to them have left.
struct Ready {
    k: Option<usize>,
    light: Vec<Step>,
    train: Features,
    test: Features,
    reuse: Reuse,
}

/// A candidate of a task.
struct Member {
    candidate: usize,
    settings: Vec<Setting>,
    steps: Vec<Step>,
}

impl Member {
    fn k(&self) -> Option<usize> {
        self.steps.iter().find_map(|step| if let Step::Lsi { k, .. } = step { Some(*k) } else { None })
    }

    /// By k, then by the settings of the steps in their order, the path last.
    fn order(&self, other: &Member, estimator: usize, path: Option<&str>) -> std::cmp::Ordering {
        let key = |setting: &Setting| {
            (setting.0 == estimator && path == Some(setting.1.as_str()), setting.0, setting.1.clone())
        };
        let sorted = |member: &Member| {
            let mut settings: Vec<Setting> = member.settings.clone();
            settings.sort_by_key(key);
            settings
        };
        let pairs = || sorted(self).into_iter().zip(sorted(other));
        self.k()
            .cmp(&other.k())
            .then_with(|| {
                pairs()
                    .map(|(a, b)| key(&a).cmp(&key(&b)).then(a.2.order(&b.2)))
                    .find(|o| o.is_ne())
                    .unwrap_or(std::cmp::Ordering::Equal)
            })
            .then(self.candidate.cmp(&other.candidate))
    }
}

/// Fits a candidate on all rows, by one worker. Collective; the dispatcher gets the pipeline.
///
/// # Errors
/// A candidate that cannot be fitted on all rows.
pub fn refit(
    job: &Job,
    pipeline: &Pipeline,
    data: &Data,
    candidate: usize,
) -> Result<Option<(FittedPipeline, Option<String>)>> {
    let tasks = if job.is_dispatcher() { vec![(1.0, (candidate as u64).to_le_bytes().to_vec())] } else { Vec::new() };
    let answers = farm(job, tasks, |task| {
        let candidate = u64::from_le_bytes(task.try_into().map_err(|_| Error::failed("damaged task"))?) as usize;
        let steps = resolve(&pipeline.steps, &pipeline.space.candidate(candidate))?;
        let all: Vec<usize> = (0..data.len()).collect();
        let mut stage = data.rows.select(&all);
        let mut fitted = Vec::new();
        let mut note = String::new();
        let (last, before) = steps.split_last().ok_or_else(|| Error::failed("a pipeline without steps"))?;
        for step in before {
            let (step, next, _) = fit_step(job, step, data, stage, None)?;
            fitted.push(step);
            stage = next;
        }
        fitted.push(match (last, &data.target, &stage) {
            (Step::Estimator(spec), Some(target), _) => {
                let (estimator, late) = Spec::fit(spec, &stage.features(), target, &mut Reuse::default())?;
                note = late.unwrap_or_default();
                FittedStep::Estimator(estimator)
            }
            (Step::Lda(params), _, Stage::Documents(chunk)) => {
                FittedStep::Lda(Box::new(topics::fit(job, params, chunk)?))
            }
            _ => return Err(Error::failed("a pipeline without an estimator")),
        });
        let classes = if pipeline.subject == Subject::Classes { data.classes.clone() } else { Vec::new() };
        let mut answer = (note.len() as u64).to_le_bytes().to_vec();
        answer.extend(note.as_bytes());
        answer.extend(FittedPipeline { steps: fitted, classes }.encode());
        Ok(answer)
    })?;
    let Some(answer) = answers.first() else { return Ok(None) };
    let damaged = || Error::failed("damaged answer");
    let (length, rest) = answer.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (note, model) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    let note = String::from_utf8_lossy(note).into_owned();
    Ok(Some((FittedPipeline::decode(model)?, (!note.is_empty()).then_some(note))))
}
