//! Runs that differ in their number of workers only, and what the workers gained.
//!
//! With t(w) the median seconds of the runs on w workers and w0 the fewest:
//!
//! * the same corpus (strong scaling): speed-up w0 t(w0) / t(w), which is w when nothing is lost;
//! * a corpus that grows with the workers (weak scaling): speed-up w t(w0) / t(w);
//! * efficiency: speed-up / w.

use super::runs::Run;

/// How much two corpora may differ in documents and count as equal: 0.5 %.
const ALIKE: f64 = 0.005;

/// What the runs of a series have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// All on one number of workers: nothing to compare.
    One,
    /// The same documents on more workers.
    Strong,
    /// The same documents a worker on more workers.
    Weak,
    /// Neither, or documents were not counted: times only.
    Unknown,
}

/// The runs on one number of workers.
#[derive(Debug, Clone)]
pub struct Point<'a> {
    /// Workers.
    pub workers: usize,
    /// Its runs by time.
    pub runs: Vec<&'a Run>,
    /// Against the fewest workers; none where that would mean nothing.
    pub speed_up: Option<f64>,
}

impl<'a> Point<'a> {
    /// The run of median time; of an even number the slower of the two in the middle.
    pub fn median(&self) -> &'a Run {
        self.runs[self.runs.len() / 2]
    }

    /// Seconds of the median run.
    pub fn seconds(&self) -> f64 {
        self.median().totals.seconds
    }

    /// Speed-up per worker.
    pub fn efficiency(&self) -> Option<f64> {
        self.speed_up.map(|speed_up| speed_up / self.workers as f64)
    }
}

/// Runs of one command with the same parameters.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    /// What changes along it.
    pub scaling: Scaling,
    /// By number of workers.
    pub points: Vec<Point<'a>>,
}

impl<'a> Series<'a> {
    /// Sorts runs into series, in the order in which these first appear.
    pub fn of(runs: &'a [Run]) -> Vec<Series<'a>> {
        let mut groups: Vec<Vec<&Run>> = Vec::new();
        for run in runs {
            let alike =
                |group: &&mut Vec<&Run>| group[0].command == run.command && group[0].parameters == run.parameters;
            match groups.iter_mut().find(alike) {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        groups.into_iter().map(Series::of_group).collect()
    }

    fn of_group(mut runs: Vec<&'a Run>) -> Series<'a> {
        runs.sort_by(|a, b| a.workers().cmp(&b.workers()).then(a.totals.seconds.total_cmp(&b.totals.seconds)));
        let mut points: Vec<Point> = Vec::new();
        for run in runs {
            match points.last_mut() {
                Some(point) if point.workers == run.workers() => point.runs.push(run),
                _ => points.push(Point { workers: run.workers(), runs: vec![run], speed_up: None }),
            }
        }
        let scaling = scaling_of(&points);
        let (fewest, slowest) = (points[0].workers as f64, points[0].seconds());
        for point in &mut points {
            let work = match scaling {
                Scaling::Strong => fewest,
                Scaling::Weak => point.workers as f64,
                Scaling::One | Scaling::Unknown => continue,
            };
            point.speed_up = (point.seconds() > 0.0).then(|| work * slowest / point.seconds());
        }
        Series { scaling, points }
    }

    /// What it is a series of.
    pub fn first(&self) -> &'a Run {
        self.points[0].runs[0]
    }
}

fn scaling_of(points: &[Point]) -> Scaling {
    if points.len() == 1 {
        return Scaling::One;
    }
    let documents = |per_worker: bool| -> Option<Vec<f64>> {
        let of = |point: &Point, run: &&Run| {
            run.documents().map(|documents| documents / if per_worker { point.workers as f64 } else { 1.0 })
        };
        points.iter().flat_map(|point| point.runs.iter().map(move |run| of(point, run))).collect()
    };
    let alike = |numbers: Option<Vec<f64>>| {
        numbers.is_some_and(|numbers| numbers.iter().all(|n| (n - numbers[0]).abs() <= ALIKE * numbers[0]))
    };
    if alike(documents(false)) {
        Scaling::Strong
    } else if alike(documents(true)) {
        Scaling::Weak
    } else {
        Scaling::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::fixture;
    use serde_json::{Value, json};

    fn runs(of: &[(usize, f64, u64, Value)]) -> Vec<Run> {
        let folder = tempfile::tempdir().unwrap();
        let write = |(number, (workers, seconds, documents, parameters)): (usize, &(usize, f64, u64, Value))| {
            fixture::write(folder.path(), &format!("{number}"), *workers, *seconds, *documents, parameters)
        };
        of.iter().enumerate().map(write).map(|path| Run::read(&path).unwrap()).collect()
    }

    #[test]
    fn the_same_corpus_is_strong_scaling_by_medians() {
        let k = json!({"k": 5});
        let runs = runs(&[
            (4, 5.0, 1000, k.clone()),
            (1, 16.0, 1000, k.clone()),
            (2, 99.0, 1000, k.clone()),
            (2, 8.0, 1000, k.clone()),
            (2, 10.0, 1000, k.clone()),
            (4, 3.0, 1000, json!({"k": 6})),
        ]);
        let series = Series::of(&runs);
        assert_eq!(series.len(), 2);
        assert_eq!((series[0].scaling, series[1].scaling), (Scaling::Strong, Scaling::One));
        let of = |point: &Point| (point.workers, point.runs.len(), point.seconds(), point.speed_up, point.efficiency());
        let points: Vec<_> = series[0].points.iter().map(of).collect();
        assert_eq!(points[0], (1, 1, 16.0, Some(1.0), Some(1.0)));
        assert_eq!(points[1], (2, 3, 10.0, Some(1.6), Some(0.8)));
        assert_eq!(points[2], (4, 1, 5.0, Some(3.2), Some(0.8)));
    }

    #[test]
    fn a_growing_corpus_is_weak_scaling_and_the_fewest_workers_count_as_perfect() {
        let series_of = |of: &[(usize, f64, u64)]| {
            let runs = runs(&of.iter().map(|&(w, t, d)| (w, t, d, json!({}))).collect::<Vec<_>>());
            let series = Series::of(&runs);
            (series[0].scaling, series[0].points.iter().map(|point| point.speed_up).collect::<Vec<_>>())
        };
        assert_eq!(series_of(&[(2, 8.0, 2000), (8, 10.0, 8000)]), (Scaling::Weak, vec![Some(2.0), Some(6.4)]));
        assert_eq!(series_of(&[(2, 8.0, 1000), (8, 4.0, 1000)]), (Scaling::Strong, vec![Some(2.0), Some(4.0)]));
        assert_eq!(series_of(&[(2, 8.0, 1000), (8, 4.0, 1200)]), (Scaling::Unknown, vec![None, None]));
    }
}
