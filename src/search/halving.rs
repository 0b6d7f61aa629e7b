//! Successive halving: all candidates on few rows, the better ones on more, the best on as many as there are.
//!
//! Problem: find the best of n candidates for less than n fits to all rows.
//! Algorithm: scikit-learn's `HalvingGridSearchCV` and `HalvingRandomSearchCV` with rows as the resource: in each round the share
//! 1 / factor of the candidates with the best mean test scores goes on, to factor times as many rows. The rows of a round are drawn
//! from both sides of each fold by numpy's generator, as `sklearn.utils.resample` does, so they are the same ones.
//! (Jamieson and Talwalkar, AISTATS 2016; scikit-learn, `_search_successive_halving.py`.)
//! Differs: of equal scores the later candidate goes on; there the order of equals is that of an unstable sort.

use super::mt19937::RandomState;
use super::splitters::Fold;
use crate::error::{Error, Result};

/// Rows of the first round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smallest {
    /// So many that the last round has as many as it can.
    Exhaust,
    /// Two for each fold and class.
    Smallest,
    /// This many.
    Rows(usize),
}

/// How candidates are sifted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Halving {
    /// Of so many candidates one goes on, to so many times the rows; above 1.
    pub factor: f64,
    /// Rows of the first round.
    pub smallest: Smallest,
    /// Rows of a round at most; none: all.
    pub most: Option<usize>,
    /// Where the rows do not suffice for as many rounds as the candidates need, begin with several rounds on the fewest.
    pub aggressive: bool,
    /// Seed of the rows drawn.
    pub seed: u32,
}

/// 1 + the whole part of the logarithm of x to this base, as scikit-learn reckons it in floating point.
fn rounds(x: f64, base: f64) -> i32 {
    1 + (x.ln() / base.ln()).floor() as i32
}

impl Halving {
    /// The number of rows of each round, for so many candidates, rows, folds, and classes where there are any.
    ///
    /// # Errors
    /// More rows wanted for the first round than there are.
    pub fn schedule(&self, candidates: usize, rows: usize, folds: usize, classes: usize) -> Result<Vec<usize>> {
        let most = self.most.unwrap_or(rows);
        let mut least = match self.smallest {
            Smallest::Rows(rows) => rows as f64,
            _ => (2 * folds * classes.max(1)) as f64,
        };
        if most > rows || least > most as f64 {
            let what =
                format!("rounds of {least} to {most} rows of {rows}: lower min_resources, or the number of folds");
            return Err(Error::usage(format!("halving: {what}")));
        }
        let required = rounds(candidates as f64, self.factor);
        if self.smallest == Smallest::Exhaust {
            least = least.max((most as f64 / self.factor.powi(required - 1)).floor());
        }
        let possible = rounds((most as f64 / least).floor(), self.factor);
        let all = if self.aggressive { required } else { required.min(possible) };
        let of = |round: i32| {
            let power = if self.aggressive { (round - required + possible).max(0) } else { round };
            ((self.factor.powi(power) * least) as usize).min(most)
        };
        Ok((0..all).map(of).collect())
    }

    /// How many of so many candidates go on.
    pub fn keeps(&self, candidates: usize) -> usize {
        (candidates as f64 / self.factor).ceil() as usize
    }

    /// The folds of a round of so many of all rows.
    ///
    /// # Errors
    /// A fold that is left without rows.
    pub fn drawn(&self, folds: &[Fold], resources: usize, rows: usize) -> Result<Vec<Fold>> {
        let share = resources as f64 / rows as f64;
        let some = |all: &[usize]| {
            let mut order: Vec<usize> = (0..all.len()).collect();
            RandomState::new(self.seed).shuffle(&mut order);
            let mut some: Vec<usize> = order[..(share * all.len() as f64) as usize].iter().map(|&at| all[at]).collect();
            some.sort_unstable();
            some
        };
        let drawn: Vec<Fold> =
            folds.iter().map(|fold| Fold { train: some(&fold.train), test: some(&fold.test) }).collect();
        match drawn.iter().position(|fold| fold.train.is_empty() || fold.test.is_empty()) {
            Some(empty) => Err(Error::usage(format!(
                "halving: of {resources} of {rows} rows fold {empty} has none to train on or none to test on: raise min_resources"
            ))),
            None => Ok(drawn),
        }
    }
}

/// The places of the best means, the worst of them first; what is not a number is worst.
pub fn leading(means: &[f64], keep: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..means.len()).collect();
    let key = |&at: &usize| if means[at].is_nan() { f64::NEG_INFINITY } else { means[at] };
    order.sort_by(|a, b| key(a).total_cmp(&key(b)));
    order.split_off(means.len() - keep.min(means.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Halving = Halving { factor: 3.0, smallest: Smallest::Exhaust, most: None, aggressive: false, seed: 0 };

    #[test]
    fn rounds_are_scikit_learns() {
        // n_resources_ of HalvingGridSearchCV, scikit-learn 1.9.
        let of = |halving: Halving, candidates| halving.schedule(candidates, 1000, 5, 2).unwrap();
        assert_eq!(of(PLAIN, 12), [111, 333, 999]);
        assert_eq!(of(Halving { smallest: Smallest::Smallest, ..PLAIN }, 12), [20, 60, 180]);
        assert_eq!(of(Halving { factor: 2.0, smallest: Smallest::Rows(100), ..PLAIN }, 50), [100, 200, 400, 800]);
        let aggressive =
            Halving { smallest: Smallest::Rows(20), most: Some(40), factor: 2.0, aggressive: true, ..PLAIN };
        assert_eq!(of(aggressive, 6), [20, 20, 40]);
        assert_eq!(of(Halving { aggressive: false, ..aggressive }, 6), [20, 40]);
        assert_eq!((PLAIN.keeps(12), PLAIN.keeps(4), PLAIN.keeps(1)), (4, 2, 1));
        let refused = Halving { smallest: Smallest::Rows(1001), ..PLAIN }.schedule(3, 1000, 5, 2);
        assert!(refused.unwrap_err().to_string().contains("lower min_resources"));
    }

    #[test]
    fn the_best_go_on_and_failures_do_not() {
        assert_eq!(leading(&[0.3, f64::NAN, 0.9, 0.3, 0.1], 3), [0, 3, 2]);
        assert_eq!(leading(&[f64::NAN, 0.2], 2), [0, 1]);
        let folds = [Fold { train: (0..30).collect(), test: vec![30, 31] }];
        let drawn = PLAIN.drawn(&folds, 16, 32).unwrap();
        assert_eq!((drawn[0].train.len(), drawn[0].test.len()), (15, 1));
        assert!(PLAIN.drawn(&folds, 15, 32).unwrap_err().to_string().contains("raise min_resources"));
    }
}
