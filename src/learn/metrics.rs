//! Scores by scikit-learn's names and definitions; what is an error there has the prefix `neg_`, so that more is better.
//!
//! Cost: O(rows classes), and a sort of the rows a class for curves. Reference: sklearn/metrics.

use ndarray::ArrayView1;

use super::estimator::{Predicted, Target};
use crate::error::{Error, Result};

/// How the scores of classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// The mean over classes.
    Macro,
    /// From counts over all classes.
    Micro,
    /// The mean over classes, weighted by their rows.
    Weighted,
}

/// Which of precision, recall and F1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Of those said to be of a class.
    Precision,
    /// Of those that are.
    Recall,
    /// The harmonic mean of both.
    F1,
}

/// What is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Predicted classes.
    Classes,
    /// Predicted numbers.
    Numbers,
    /// Topics of documents that need no label.
    Topics,
}

impl Subject {
    /// As it stands in a message.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Classes => "classes",
            Subject::Numbers => "numbers",
            Subject::Topics => "topics",
        }
    }
}

/// A score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scorer {
    /// Share of rows whose class is right.
    Accuracy,
    /// Mean recall of the classes.
    BalancedAccuracy,
    /// Precision, recall or F1.
    Of(Share, Average),
    /// Mean log-probability of the true class.
    NegLogLoss,
    /// Area under the ROC curve; of several classes, of each against the rest.
    RocAuc(Average),
    /// Area under the precision-recall curve, by steps.
    AveragePrecision,
    /// Minus the mean squared error of probabilities.
    NegBrier,
    /// Share of the variance explained.
    R2,
    /// Minus the mean squared error.
    NegMse,
    /// Minus its root.
    NegRmse,
    /// Minus the mean absolute error.
    NegMae,
    /// Minus the perplexity of one half of each document, foretold from the other.
    NegPerplexity,
    /// Mean log-likelihood of the tokens of these halves: minus the logarithm of the perplexity.
    LogLikelihood,
    /// Mean u_mass coherence of the topics.
    UMass,
}

impl Scorer {
    /// All, by name.
    pub const ALL: [(&'static str, Scorer); 24] = [
        ("accuracy", Scorer::Accuracy),
        ("balanced_accuracy", Scorer::BalancedAccuracy),
        ("precision_macro", Scorer::Of(Share::Precision, Average::Macro)),
        ("precision_micro", Scorer::Of(Share::Precision, Average::Micro)),
        ("precision_weighted", Scorer::Of(Share::Precision, Average::Weighted)),
        ("recall_macro", Scorer::Of(Share::Recall, Average::Macro)),
        ("recall_micro", Scorer::Of(Share::Recall, Average::Micro)),
        ("recall_weighted", Scorer::Of(Share::Recall, Average::Weighted)),
        ("f1_macro", Scorer::Of(Share::F1, Average::Macro)),
        ("f1_micro", Scorer::Of(Share::F1, Average::Micro)),
        ("f1_weighted", Scorer::Of(Share::F1, Average::Weighted)),
        ("neg_log_loss", Scorer::NegLogLoss),
        ("roc_auc", Scorer::RocAuc(Average::Macro)),
        ("roc_auc_ovr", Scorer::RocAuc(Average::Macro)),
        ("roc_auc_ovr_weighted", Scorer::RocAuc(Average::Weighted)),
        ("average_precision", Scorer::AveragePrecision),
        ("neg_brier_score", Scorer::NegBrier),
        ("r2", Scorer::R2),
        ("neg_mean_squared_error", Scorer::NegMse),
        ("neg_root_mean_squared_error", Scorer::NegRmse),
        ("neg_mean_absolute_error", Scorer::NegMae),
        ("neg_perplexity", Scorer::NegPerplexity),
        ("log_likelihood", Scorer::LogLikelihood),
        ("u_mass", Scorer::UMass),
    ];

    /// The scorer of a name.
    pub fn named(name: &str) -> Option<Scorer> {
        Scorer::ALL.iter().find(|(known, _)| *known == name).map(|(_, scorer)| *scorer)
    }

    /// What it is a score of.
    pub fn subject(self) -> Subject {
        match self {
            Scorer::R2 | Scorer::NegMse | Scorer::NegRmse | Scorer::NegMae => Subject::Numbers,
            Scorer::NegPerplexity | Scorer::LogLikelihood | Scorer::UMass => Subject::Topics,
            _ => Subject::Classes,
        }
    }

    /// Scores predictions.
    ///
    /// # Errors
    /// What the estimator does not say (probabilities, a decision); a class that is not among those it knows.
    pub fn score(self, predicted: &Predicted, target: &Target) -> Result<f64> {
        match target {
            Target::Values(y) => regression(self, &predicted.values, y),
            Target::Classes(y) => self.classes(predicted, y),
        }
    }

    fn classes(self, predicted: &Predicted, y: &[usize]) -> Result<f64> {
        match self {
            Scorer::Accuracy => {
                Ok(y.iter().zip(&predicted.labels).filter(|(a, b)| a == b).count() as f64 / y.len() as f64)
            }
            Scorer::BalancedAccuracy => {
                let recalls: Vec<f64> = Confusion::new(y, &predicted.labels)
                    .classes
                    .iter()
                    .filter(|class| class.rows > 0.0)
                    .map(|class| class.right / class.rows)
                    .collect();
                Ok(mean(&recalls))
            }
            Scorer::Of(share, average) => Ok(Confusion::new(y, &predicted.labels).share(share, average)),
            Scorer::NegLogLoss => {
                let (places, p) = probabilities(predicted, y)?;
                let losses = places.iter().zip(p.rows()).map(|(&class, row)| {
                    // As scikit-learn clips.
                    row[class].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
                });
                Ok(losses.sum::<f64>() / y.len() as f64)
            }
            Scorer::NegBrier => {
                let (places, p) = probabilities(predicted, y)?;
                let halves = if p.ncols() == 2 { 0.5 } else { 1.0 };
                let squares = places.iter().zip(p.rows()).map(|(&class, row)| {
                    let error = |(at, p): (usize, &f64)| (p - f64::from(u8::from(at == class))).powi(2);
                    row.iter().enumerate().map(error).sum::<f64>()
                });
                Ok(-halves * squares.sum::<f64>() / y.len() as f64)
            }
            Scorer::RocAuc(average) => curves(predicted, y, average, Curve::Roc),
            Scorer::AveragePrecision => curves(predicted, y, Average::Macro, Curve::PrecisionRecall),
            _ => Err(Error::failed("a score of numbers for a classifier")),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Probabilities, and each row's place among their classes.
fn probabilities<'a>(predicted: &'a Predicted, y: &[usize]) -> Result<(Vec<usize>, &'a ndarray::Array2<f64>)> {
    let p = predicted.probabilities.as_ref().ok_or_else(|| Error::failed("the estimator gives no probabilities"))?;
    Ok((places(predicted, y)?, p))
}

/// Each row's place among the classes the estimator knows; all of them must occur, and no other.
fn places(predicted: &Predicted, y: &[usize]) -> Result<Vec<usize>> {
    let known = &predicted.classes;
    let places: Option<Vec<usize>> = y.iter().map(|class| known.binary_search(class).ok()).collect();
    let places = places.ok_or_else(|| Error::failed("a class of the test rows is not among the training rows"))?;
    if (0..known.len()).any(|class| !places.contains(&class)) {
        return Err(Error::failed(
            "a class of the training rows is missing among the test rows: the score is not defined",
        ));
    }
    Ok(places)
}

/// Whose area a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    Roc,
    PrecisionRecall,
}

/// A curve's area for two classes, or for each against the rest.
fn curves(predicted: &Predicted, y: &[usize], average: Average, curve: Curve) -> Result<f64> {
    let places = places(predicted, y)?;
    let scores = predicted.decision.as_ref().or(predicted.probabilities.as_ref());
    let scores = scores.ok_or_else(|| Error::failed("the estimator gives neither a decision nor probabilities"))?;
    let of = |column: ArrayView1<f64>, class: usize| {
        let right: Vec<bool> = places.iter().map(|&place| place == class).collect();
        match curve {
            Curve::Roc => roc_auc(&column.to_vec(), &right),
            Curve::PrecisionRecall => average_precision(&column.to_vec(), &right),
        }
    };
    if predicted.classes.len() == 2 {
        return Ok(of(scores.column(scores.ncols() - 1), 1));
    }
    // As scikit-learn's scorers: rows are compared by a class' probability for the one curve, by its score for the other.
    let by_chance = predicted.probabilities.as_ref().filter(|_| curve == Curve::Roc);
    let scores = by_chance.unwrap_or(scores);
    let areas: Vec<f64> = (0..predicted.classes.len()).map(|class| of(scores.column(class), class)).collect();
    let rows = |class: usize| places.iter().filter(|&&place| place == class).count() as f64;
    Ok(match average {
        Average::Weighted => {
            areas.iter().enumerate().map(|(class, area)| area * rows(class)).sum::<f64>() / y.len() as f64
        }
        _ => mean(&areas),
    })
}

/// Groups of equal scores, highest first: rows right and wrong in each.
fn steps(scores: &[f64], right: &[bool]) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
        .chunk_by(|&a, &b| scores[a] == scores[b])
        .map(|group| {
            let hits = group.iter().filter(|&&row| right[row]).count() as f64;
            (hits, group.len() as f64 - hits)
        })
        .collect()
}

/// Area under the ROC curve by trapezia.
fn roc_auc(scores: &[f64], right: &[bool]) -> f64 {
    let (mut area, mut hits, mut misses) = (0.0, 0.0, 0.0);
    for (right, wrong) in steps(scores, right) {
        area += wrong * (hits + 0.5 * right);
        hits += right;
        misses += wrong;
    }
    area / (hits * misses)
}

/// Sum of precision times the recall gained.
fn average_precision(scores: &[f64], right: &[bool]) -> f64 {
    let total = right.iter().filter(|&&right| right).count() as f64;
    let (mut sum, mut hits, mut taken) = (0.0, 0.0, 0.0);
    for (right, wrong) in steps(scores, right) {
        hits += right;
        taken += right + wrong;
        sum += right / total * (hits / taken);
    }
    sum
}

fn regression(scorer: Scorer, predicted: &[f64], y: &[f64]) -> Result<f64> {
    let n = y.len() as f64;
    let squares: f64 = predicted.iter().zip(y).map(|(p, y)| (y - p) * (y - p)).sum();
    match scorer {
        Scorer::R2 => {
            let centre = mean(y);
            let total: f64 = y.iter().map(|y| (y - centre) * (y - centre)).sum();
            Ok(match (squares, total) {
                (0.0, 0.0) => 1.0,
                (_, 0.0) => 0.0,
                _ if y.len() < 2 => f64::NAN,
                _ => 1.0 - squares / total,
            })
        }
        Scorer::NegMse => Ok(-squares / n),
        Scorer::NegRmse => Ok(-(squares / n).sqrt()),
        Scorer::NegMae => Ok(-predicted.iter().zip(y).map(|(p, y)| (y - p).abs()).sum::<f64>() / n),
        _ => Err(Error::failed("a score of classes for a regression")),
    }
}

/// Rows of a class: that are of it, that are said to be, and both.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OfClass {
    /// Number of the class.
    pub class: usize,
    /// Rows of the class.
    pub rows: f64,
    /// Rows said to be of it.
    pub said: f64,
    /// Both.
    pub right: f64,
}

impl OfClass {
    /// Precision, recall or F1; 0 where it is not defined, as scikit-learn has it.
    pub fn share(&self, share: Share) -> f64 {
        let ratio = |over: f64, under: f64| if under > 0.0 { over / under } else { 0.0 };
        match share {
            Share::Precision => ratio(self.right, self.said),
            Share::Recall => ratio(self.right, self.rows),
            Share::F1 => ratio(2.0 * self.right, self.rows + self.said),
        }
    }
}

/// Who was taken for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    /// The classes that occur, true or said, ascending.
    pub classes: Vec<OfClass>,
    /// Rows by true class (rows) and class said (columns), in the order of `classes`.
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// From true classes and those said.
    pub fn new(y: &[usize], said: &[usize]) -> Confusion {
        let mut names: Vec<usize> = y.iter().chain(said).copied().collect();
        names.sort_unstable();
        names.dedup();
        let mut counts = vec![vec![0u64; names.len()]; names.len()];
        for (truth, said) in y.iter().zip(said) {
            let place = |class| names.binary_search(class).unwrap_or(0);
            counts[place(truth)][place(said)] += 1;
        }
        let classes = names
            .iter()
            .enumerate()
            .map(|(at, &class)| OfClass {
                class,
                rows: counts[at].iter().sum::<u64>() as f64,
                said: counts.iter().map(|row| row[at]).sum::<u64>() as f64,
                right: counts[at][at] as f64,
            })
            .collect();
        Confusion { classes, counts }
    }

    /// Precision, recall or F1 over all classes.
    pub fn share(&self, share: Share, average: Average) -> f64 {
        let total: f64 = self.classes.iter().map(|class| class.rows).sum();
        let shares: Vec<f64> = self.classes.iter().map(|class| class.share(share)).collect();
        match average {
            Average::Macro => mean(&shares),
            Average::Weighted => self.classes.iter().zip(&shares).map(|(class, s)| class.rows * s).sum::<f64>() / total,
            Average::Micro => {
                let sum = |of: fn(&OfClass) -> f64| self.classes.iter().map(of).sum();
                OfClass { class: 0, rows: total, said: sum(|c| c.said), right: sum(|c| c.right) }.share(share)
            }
        }
    }
}
