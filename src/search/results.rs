//! What a search found, in the columns of scikit-learn's `cv_results_`.
//!
//! Columns: `mean_fit_time`, `std_fit_time`, `mean_score_time`, `std_score_time`; `param_*`; `params`;
//! `split<i>_test_<score>`, `mean_test_<score>`, `std_test_<score>`, `rank_test_<score>`; the same with `train` but for the rank.
//! Successive halving puts `iter` and `n_resources` before them, and has a row for each candidate and round.
//! With a single scorer its name is `score`. Times vary from run to run: they are columns of their own table, unless asked for.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::pipeline::Pipeline;
use super::run::Cell;
use super::space::Space;
use super::value::{Value, number};
use crate::error::{At, Error, Result};
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::ModelWriter;

/// Scores and times of all candidates and folds.
pub struct Results {
    space: Space,
    names: Vec<String>,
    step_names: Vec<String>,
    folds: usize,
    scorers: Vec<String>,
    /// Of successive halving: what each row is.
    rounds: Option<Rounds>,
    /// (candidate, fold, scorer).
    test: Vec<f64>,
    train: Option<Vec<f64>>,
    /// (candidate, fold): fitting, scoring.
    seconds: Vec<[f64; 2]>,
    /// Fits that failed or lack a score, and the first: candidate, fold, why.
    pub errors: (usize, Option<(usize, usize, String)>),
    /// Fits that did not converge, and the first of their notes.
    pub unconverged: (usize, Option<(usize, String)>),
}

/// Rows of successive halving.
#[derive(Default)]
struct Rounds {
    /// Candidate, round and rows used.
    rows: Vec<[usize; 3]>,
    /// First row of the present round, and the row of each of its candidates.
    first: usize,
    places: HashMap<usize, usize>,
}

/// A column of the results.
enum Column {
    Reals(Vec<f64>),
    Counts(Vec<i32>),
    Values(Vec<Option<Value>>),
    Words(Vec<String>),
}

impl Results {
    /// Of nothing yet.
    pub fn new(pipeline: &Pipeline, folds: usize) -> Results {
        let rounds = pipeline.halving.map(|_| Rounds::default());
        let (candidates, scorers) = (if rounds.is_some() { 0 } else { pipeline.space.len() }, pipeline.scorers.len());
        let scores = || vec![f64::NAN; candidates * folds * scorers];
        let single = |(name, _): &(String, _)| if scorers == 1 { "score".to_owned() } else { name.clone() };
        Results {
            space: pipeline.space.clone(),
            names: pipeline.space.names(),
            step_names: pipeline.steps.iter().map(|step| step.name.clone()).collect(),
            folds,
            scorers: pipeline.scorers.iter().map(single).collect(),
            rounds,
            test: scores(),
            train: pipeline.train_score.then(scores),
            seconds: vec![[0.0; 2]; candidates * folds],
            errors: (0, None),
            unconverged: (0, None),
        }
    }

    /// Begins a round of successive halving with these candidates on so many rows.
    pub fn begin_round(&mut self, round: usize, candidates: &[usize], resources: usize) {
        let Some(rounds) = &mut self.rounds else { return };
        rounds.first = rounds.rows.len();
        rounds.places = candidates.iter().zip(rounds.first..).map(|(&candidate, row)| (candidate, row)).collect();
        rounds.rows.extend(candidates.iter().map(|&candidate| [candidate, round, resources]));
        let cells = rounds.rows.len() * self.folds;
        self.test.resize(cells * self.scorers.len(), f64::NAN);
        if let Some(train) = &mut self.train {
            train.resize(cells * self.scorers.len(), f64::NAN);
        }
        self.seconds.resize(cells, [0.0; 2]);
    }

    /// The candidate of a row.
    pub fn candidate(&self, row: usize) -> usize {
        self.rounds.as_ref().map_or(row, |rounds| rounds.rows[row][0])
    }

    /// The round of a row, and how many rows of the data it used; none without successive halving.
    pub fn round(&self, row: usize) -> Option<(usize, usize)> {
        self.rounds.as_ref().map(|rounds| (rounds.rows[row][1], rounds.rows[row][2]))
    }

    /// First row of the last round.
    pub fn last_round(&self) -> usize {
        self.rounds.as_ref().map_or(0, |rounds| rounds.first)
    }

    /// Takes what a task has found.
    pub fn take(&mut self, fold: usize, cells: Vec<Cell>) {
        for Cell { candidate, test, train, seconds, error, note } in cells {
            let candidate = self.rounds.as_ref().map_or(candidate, |rounds| rounds.places[&candidate]);
            let at = candidate * self.folds + fold;
            let scores = at * self.scorers.len()..(at + 1) * self.scorers.len();
            self.test[scores.clone()].iter_mut().zip(test).for_each(|(to, bits)| *to = f64::from_bits(bits));
            if let Some(to) = &mut self.train {
                to[scores].iter_mut().zip(train).for_each(|(to, bits)| *to = f64::from_bits(bits));
            }
            self.seconds[at] = seconds;
            if let Some(error) = error {
                self.errors.0 += 1;
                if self.errors.1.as_ref().is_none_or(|(first, of, _)| (candidate, fold) < (*first, *of)) {
                    self.errors.1 = Some((candidate, fold, error));
                }
            }
            if let Some(note) = note {
                self.unconverged.0 += 1;
                if self.unconverged.1.as_ref().is_none_or(|(first, _)| candidate < *first) {
                    self.unconverged.1 = Some((candidate, note));
                }
            }
        }
    }

    /// Number of rows: of candidates, of successive halving in all rounds.
    pub fn len(&self) -> usize {
        self.rounds.as_ref().map_or(self.space.len(), |rounds| rounds.rows.len())
    }

    /// There is always one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scores of a scorer over the folds, candidate by candidate.
    fn split(&self, scores: &[f64], scorer: usize, fold: usize) -> Vec<f64> {
        let at = |candidate: usize| (candidate * self.folds + fold) * self.scorers.len() + scorer;
        (0..self.len()).map(|candidate| scores[at(candidate)]).collect()
    }

    fn mean_and_std(&self, values: impl Fn(usize, usize) -> f64) -> (Vec<f64>, Vec<f64>) {
        let n = self.folds as f64;
        let of = |candidate: usize| {
            let mean = (0..self.folds).map(|fold| values(candidate, fold)).sum::<f64>() / n;
            let square = (0..self.folds).map(|fold| (values(candidate, fold) - mean).powi(2)).sum::<f64>() / n;
            (mean, square.sqrt())
        };
        (0..self.len()).map(of).unzip()
    }

    /// Mean test score of each candidate.
    pub fn means(&self, scorer: usize) -> Vec<f64> {
        self.mean_and_std(|candidate, fold| self.test[(candidate * self.folds + fold) * self.scorers.len() + scorer]).0
    }

    /// The first of the rows of the best mean, among those of the last round; none when no score is a number.
    pub fn best(&self, scorer: usize) -> Option<usize> {
        let means = self.means(scorer);
        let better = |best: Option<usize>, at: usize| match best {
            Some(best) if means[at] <= means[best] => Some(best),
            _ => Some(at),
        };
        (self.last_round()..means.len()).filter(|&at| !means[at].is_nan()).fold(None, better)
    }

    /// The parameters of a row's candidate as scikit-learn has them.
    pub fn parameters(&self, candidate: usize) -> Vec<(String, Value)> {
        let name = |(step, parameter, value)| (format!("{}__{parameter}", self.step_names[step]), value);
        self.space.candidate(self.candidate(candidate)).into_iter().map(name).collect()
    }

    fn times(&self) -> Vec<(String, Column)> {
        let (fit, fit_std) = self.mean_and_std(|candidate, fold| self.seconds[candidate * self.folds + fold][0]);
        let (score, score_std) = self.mean_and_std(|candidate, fold| self.seconds[candidate * self.folds + fold][1]);
        let names = ["mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"];
        names.map(String::from).into_iter().zip([fit, fit_std, score, score_std].map(Column::Reals)).collect()
    }

    /// All columns but the times.
    fn columns(&self) -> Vec<(String, Column)> {
        let mut columns = Vec::new();
        let all: Vec<Vec<(String, Value)>> = (0..self.len()).map(|candidate| self.parameters(candidate)).collect();
        for name in &self.names {
            let value =
                |of: &Vec<(String, Value)>| of.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            columns.push((format!("param_{name}"), Column::Values(all.iter().map(value).collect())));
        }
        let dictionary = |of: &Vec<(String, Value)>| {
            let entries: Vec<String> = of.iter().map(|(name, value)| format!("'{name}': {}", value.python())).collect();
            format!("{{{}}}", entries.join(", "))
        };
        columns.push(("params".into(), Column::Words(all.iter().map(dictionary).collect())));
        for (part, scores) in [("test", Some(&self.test)), ("train", self.train.as_ref())] {
            let Some(scores) = scores else { continue };
            for (scorer, name) in self.scorers.iter().enumerate() {
                for fold in 0..self.folds {
                    columns
                        .push((format!("split{fold}_{part}_{name}"), Column::Reals(self.split(scores, scorer, fold))));
                }
                let of = |candidate: usize, fold: usize| {
                    scores[(candidate * self.folds + fold) * self.scorers.len() + scorer]
                };
                let (mean, std) = self.mean_and_std(of);
                let ranks = ranks(&mean);
                columns.push((format!("mean_{part}_{name}"), Column::Reals(mean)));
                columns.push((format!("std_{part}_{name}"), Column::Reals(std)));
                if part == "test" {
                    columns.push((format!("rank_test_{name}"), Column::Counts(ranks)));
                }
            }
        }
        columns
    }

    /// Writes the results, in the format that the name of the file says, and the times as CSV to a file of their own.
    pub fn save(&self, target: Target, with_times: bool, times: Option<Target>, provenance: &Json) -> Result<()> {
        let mut columns = Vec::new();
        if let Some(rounds) = &self.rounds {
            let list = |what: usize| Column::Counts(rounds.rows.iter().map(|row| row[what] as i32).collect());
            columns.extend([("iter".to_owned(), list(1)), ("n_resources".to_owned(), list(2))]);
        }
        if with_times {
            columns.extend(self.times());
        }
        columns.extend(self.columns());
        match kind(target.path())? {
            Kind::Csv => self.csv(target, &columns)?,
            Kind::Json => self.json(target, &columns)?,
            Kind::Hdf5 => self.hdf5(target, &columns, provenance)?,
        }
        times.map_or(Ok(()), |times| self.csv(times, &self.times()))
    }

    fn csv(&self, target: Target, columns: &[(String, Column)]) -> Result<()> {
        let mut writer = csv::Writer::from_path(target.temporary()).at(target.path())?;
        // The first column is the index, as pandas writes it.
        writer.write_record([""].into_iter().chain(columns.iter().map(|(name, _)| name.as_str()))).at(target.path())?;
        for row in 0..self.len() {
            writer.write_field(row.to_string()).at(target.path())?;
            for (_, column) in columns {
                writer.write_field(column.text(row)).at(target.path())?;
            }
            writer.write_record(None::<&[u8]>).at(target.path())?;
        }
        writer.flush().at(target.path())?;
        drop(writer);
        target.commit()
    }

    fn json(&self, target: Target, columns: &[(String, Column)]) -> Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(target.temporary()).at(target.path())?);
        let mut all = Map::new();
        for (name, column) in columns {
            let list: Json = if name == "params" {
                let object = |candidate: usize| -> Map<String, Json> {
                    self.parameters(candidate).into_iter().map(|(name, value)| (name, json!(value))).collect()
                };
                (0..self.len()).map(|candidate| Json::from(object(candidate))).collect()
            } else {
                (0..self.len()).map(|row| column.json(row)).collect()
            };
            all.insert(name.clone(), list);
        }
        serde_json::to_writer(&mut file, &all).at(target.path())?;
        file.write_all(b"\n").and_then(|()| file.flush()).at(target.path())?;
        drop(file);
        target.commit()
    }

    fn hdf5(&self, target: Target, columns: &[(String, Column)], provenance: &Json) -> Result<()> {
        let mut file = ModelWriter::create(target, Format::Results)?;
        for (name, column) in columns {
            match column {
                Column::Reals(values) => file.list(name, values)?,
                Column::Counts(values) => file.list(name, values)?,
                Column::Words(words) => file.strings(name, words)?,
                Column::Values(values) => {
                    let reals: Option<Vec<f64>> =
                        values.iter().map(|value| value.as_ref().map_or(Some(f64::NAN), Value::number)).collect();
                    match reals {
                        Some(reals) => file.list(name, &reals)?,
                        None => file.strings(name, (0..self.len()).map(|row| column.text(row)))?,
                    }
                }
            }
        }
        file.finish(provenance).map(drop)
    }
}

impl Column {
    fn text(&self, row: usize) -> String {
        match self {
            Column::Reals(values) => number(values[row]),
            Column::Counts(values) => values[row].to_string(),
            Column::Values(values) => values[row].as_ref().map(Value::to_string).unwrap_or_default(),
            Column::Words(words) => words[row].clone(),
        }
    }

    fn json(&self, row: usize) -> Json {
        match self {
            Column::Reals(values) => json!(values[row]),
            Column::Counts(values) => json!(values[row]),
            Column::Values(values) => json!(values[row]),
            Column::Words(words) => json!(words[row]),
        }
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Csv,
    Json,
    Hdf5,
}

/// What the name of a file says.
///
/// # Errors
/// Another name.
pub fn kind(path: &Path) -> Result<Kind> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(Kind::Csv),
        Some("json") => Ok(Kind::Json),
        Some("h5" | "hdf5") => Ok(Kind::Hdf5),
        _ => {
            Err(Error::usage(format!("{}: results are written to a name ending in .csv, .json or .h5", path.display())))
        }
    }
}

/// scikit-learn's ranks: 1 for the best, equals share the smallest, what is not a number comes last.
pub fn ranks(means: &[f64]) -> Vec<i32> {
    let mut sorted: Vec<f64> = means.iter().copied().filter(|mean| !mean.is_nan()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    means.iter().map(|mean| 1 + sorted.partition_point(|other| mean.is_nan() || other > mean) as i32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_share_a_rank_and_failures_come_last() {
        assert_eq!(ranks(&[0.5, f64::NAN, 0.9, 0.5, f64::NAN, 0.1]), [2, 5, 1, 2, 5, 4]);
        assert_eq!(ranks(&[f64::NAN]), [1]);
    }
}
