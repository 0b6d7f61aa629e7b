//! Twice as many topics to begin with, joined to as many as are wanted.
//!
//! Problem: from a random state some topics come to hold the terms of two and others share those of one; inference that moves
//! every topic a little at a time does not come out of that. With more topics than there are to find, hardly any holds two.
//! Algorithm: the first tenth of training, at least half a pass, has twice the topics; then two of them are joined at a time,
//! those whose counts are least changed by it in the chi-square norm (terms x topics): Ward's method (J. Am. Stat. Assoc. 58,
//! 1963) on the topics' distributions over terms, weighted by their tokens. What that is good for: ARCHITECTURE.md.
//! Cost: the first tenth takes twice the time; for t <= 8192 terms and m topics at first t m^2 / 2 flops and m^3 / 4
//! comparisons, the same everywhere: each worker comes to the same topics. Memory: twice the model, so models that would have
//! more than [`MOST_NUMBERS`] numbers begin with fewer topics or as they are.

use super::counts::Counts;
use super::model::History;
use super::params::{LdaPlan, Method};

/// Numbers of the first model (terms x topics): 64 MiB.
pub const MOST_NUMBERS: usize = 1 << 24;
/// Topics of the first model.
const MOST_TOPICS: usize = 1024;
/// Terms by which topics are compared, the most frequent ones.
const TERMS: usize = 8192;

/// The beginning of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// What is trained, with more topics than are wanted.
    pub plan: LdaPlan,
    /// Steps after which they are joined.
    pub until: usize,
}

impl Opening {
    /// How training by `plan` begins; `None` where it begins with the topics that are wanted: to go on with earlier training, by
    /// variational inference (as in gensim), with a prior that tells topics apart, and with large models.
    pub fn of(plan: &LdaPlan, terms: usize, before: History) -> Option<Opening> {
        let topics = (2 * plan.topics).min(MOST_TOPICS).min(MOST_NUMBERS / terms.max(1));
        let alike = plan.alpha.iter().all(|&alpha| alpha == plan.alpha[0]);
        let steps = plan.steps();
        let until = (plan.passes * steps / 10).max(steps / 2);
        let open = plan.method == Method::Scvb0 && before == History::default() && alike;
        if !open || plan.topics < 2 || topics <= plan.topics || until == 0 || until >= plan.passes * steps {
            return None;
        }
        let alpha = plan.alpha.iter().sum::<f64>() / topics as f64;
        let plan = LdaPlan { topics, alpha: vec![alpha; topics], learn_alpha: false, learn_eta: false, ..plan.clone() };
        Some(Opening { plan, until })
    }
}

/// The counts of so many topics, from those of more.
pub fn join(counts: &Counts, topics: usize) -> Counts {
    let mut pairs = Pairs::of(counts);
    while pairs.groups.len() > topics {
        pairs.join_nearest();
    }
    let groups = pairs.groups;
    Counts::of(counts.terms(), groups.len(), |term, topic| {
        groups[topic].members.iter().map(|&member| counts.count(term, member)).sum::<f64>() as f32
    })
}

/// Topics that have become one.
struct Group {
    members: Vec<usize>,
    /// Its row and column of the products.
    at: usize,
    /// Its share of the tokens.
    weight: f64,
}

/// Topics and what their distributions over terms have in common.
struct Pairs {
    groups: Vec<Group>,
    /// Row length of the products.
    width: usize,
    /// Sum over the terms of p(term | a) p(term | b) / p(term) (topics x topics).
    products: Vec<f64>,
}

impl Pairs {
    fn of(counts: &Counts) -> Pairs {
        let (terms, width) = (counts.terms(), counts.totals().len());
        let totals: Vec<f64> = counts.totals().iter().map(|&total| total.max(f64::MIN_POSITIVE)).collect();
        let all: f64 = totals.iter().sum();
        let mut frequent: Vec<(f64, usize)> =
            (0..terms).map(|term| ((0..width).map(|topic| counts.count(term, topic)).sum(), term)).collect();
        frequent.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        frequent.truncate(TERMS);
        // A term that hardly occurs says little, and its share is not known well enough to divide by.
        let least = 0.01 * all / terms as f64;
        let mut products = vec![0f64; width * width];
        let mut given = vec![0f64; width];
        for (tokens, term) in frequent {
            let inverse = all / (tokens + least);
            (given.iter_mut().zip(&totals).enumerate())
                .for_each(|(topic, (given, total))| *given = counts.count(term, topic) / total);
            for (a, row) in products.chunks_exact_mut(width).enumerate() {
                let factor = given[a] * inverse;
                row[..=a].iter_mut().zip(&given).for_each(|(product, given)| *product += factor * given);
            }
        }
        for a in 0..width {
            for b in 0..a {
                products[b * width + a] = products[a * width + b];
            }
        }
        let group = |(at, total): (usize, &f64)| Group { members: vec![at], at, weight: total / all };
        Pairs { groups: totals.iter().enumerate().map(group).collect(), width, products }
    }

    /// What joining two groups changes: the squared chi-square norm.
    fn cost(&self, a: &Group, b: &Group) -> f64 {
        let product = |a: &Group, b: &Group| self.products[a.at * self.width + b.at];
        let apart = product(a, a) + product(b, b) - 2.0 * product(a, b);
        apart * a.weight * b.weight / (a.weight + b.weight)
    }

    /// Joins the two whose joining changes least, the first of equals.
    fn join_nearest(&mut self) {
        let mut best = (f64::INFINITY, 0, 1);
        for (second, b) in self.groups.iter().enumerate() {
            for (first, a) in self.groups[..second].iter().enumerate() {
                let cost = self.cost(a, b);
                if cost < best.0 {
                    best = (cost, first, second);
                }
            }
        }
        let (_, first, second) = best;
        let gone = self.groups.remove(second);
        let kept = &mut self.groups[first];
        let weight = kept.weight + gone.weight;
        let (x, y) = (kept.weight / weight, gone.weight / weight);
        kept.members.extend(gone.members);
        kept.weight = weight;
        // The distribution of both is the mean of theirs, and so are its products with others.
        let (a, b, width) = (kept.at, gone.at, self.width);
        for other in 0..width {
            self.products[a * width + other] =
                x * self.products[a * width + other] + y * self.products[b * width + other];
        }
        for other in 0..width {
            self.products[other * width + a] =
                x * self.products[other * width + a] + y * self.products[other * width + b];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lda::params::{Alpha, Eta, LdaParams};
    use crate::random::Stream;

    fn plan(change: impl FnOnce(&mut LdaParams)) -> LdaPlan {
        let mut params = LdaParams {
            method: Method::Scvb0,
            topics: 10,
            passes: 10,
            minibatch: None,
            update_every: None,
            burn_in: None,
            iterations: None,
            gamma_threshold: None,
            kappa: None,
            tau0: None,
            staleness: 0,
            alpha: Alpha::Symmetric(0.1),
            eta: Eta::symmetric(0.01),
            learn_eta: false,
            seed: 1,
        };
        change(&mut params);
        params.check(1200, 500).unwrap()
    }

    #[test]
    fn training_begins_with_twice_the_topics_for_a_tenth_of_it() {
        let fresh = History::default();
        let usual = Opening::of(&plan(|_| ()), 500, fresh).unwrap();
        assert_eq!((usual.plan.topics, usual.until, usual.plan.steps()), (20, 12, 12));
        assert!((usual.plan.alpha.iter().sum::<f64>() - 1.0).abs() < 1e-12 && usual.plan.alpha.len() == 20);
        assert_eq!(Opening::of(&plan(|params| params.passes = 1), 500, fresh).unwrap().until, 6);
        assert_eq!(Opening::of(&plan(|params| params.passes = 25), 500, fresh).unwrap().until, 30);
        assert_eq!(Opening::of(&plan(|_| ()), MOST_NUMBERS / 15, fresh).unwrap().plan.topics, 15);
        for (change, terms, before) in [
            ((|params| params.method = Method::Batch) as fn(&mut LdaParams), 500, fresh),
            (|params| params.alpha = Alpha::Asymmetric, 500, fresh),
            (|params| (params.topics, params.alpha) = (1, Alpha::Symmetric(0.1)), 500, fresh),
            (|params| (params.passes, params.minibatch) = (1, Some(1200)), 500, fresh),
            (|_| (), MOST_NUMBERS / 10, fresh),
            (|_| (), 500, History { documents: 1, ..fresh }),
        ] {
            assert_eq!(Opening::of(&plan(change), terms, before), None);
        }
    }

    /// The squared chi-square norm of what joining changes, term by term and topic by topic.
    fn slow_cost(columns: &[Vec<f64>], a: usize, b: usize) -> f64 {
        let total = |column: &Vec<f64>| column.iter().sum::<f64>();
        let all: f64 = columns.iter().map(total).sum();
        let least = 0.01 * all / columns[0].len() as f64;
        let (of_a, of_b) = (total(&columns[a]), total(&columns[b]));
        let change = |term: usize| {
            let tokens: f64 = columns.iter().map(|column| column[term]).sum();
            let mean = (columns[a][term] + columns[b][term]) / (of_a + of_b);
            let part = |of: f64, count: f64| of * (count / of - mean).powi(2);
            (part(of_a, columns[a][term]) + part(of_b, columns[b][term])) / (tokens + least)
        };
        (0..columns[0].len()).map(change).sum()
    }

    #[test]
    fn topics_are_joined_as_a_slow_oracle_joins_them() {
        let (terms, topics) = (40, 14);
        let mut stream = Stream::new(1, "joining", 0);
        let mut columns: Vec<Vec<f64>> = Vec::new();
        for topic in 0..topics {
            // Every third resembles the one before.
            let column = match (topic % 3, columns.last()) {
                (2, Some(before)) => before.iter().map(|count| (2.0 * count + stream.uniform()).round()).collect(),
                _ => (0..terms).map(|_| (20.0 * stream.uniform().powi(4)).round()).collect(),
            };
            columns.push(column);
        }
        let counts = Counts::of(terms, topics, |term, topic| columns[topic][term] as f32);
        for wanted in [13, 9, 5, 2, 1] {
            let mut expected = columns.clone();
            while expected.len() > wanted {
                let pairs = (1..expected.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
                let cost = |&(a, b): &(usize, usize)| slow_cost(&expected, a, b);
                let (a, b) = pairs.min_by(|x, y| cost(x).total_cmp(&cost(y))).unwrap();
                let gone = expected.remove(b);
                expected[a].iter_mut().zip(gone).for_each(|(sum, count)| *sum += count);
            }
            let joined = join(&counts, wanted);
            assert_eq!(joined.totals().len(), wanted);
            for (topic, column) in expected.iter().enumerate() {
                for (term, &count) in column.iter().enumerate() {
                    assert_eq!(joined.count(term, topic), count, "{wanted} topics: term {term} of topic {topic}");
                }
            }
        }
    }

    #[test]
    fn topics_without_tokens_are_joined_first() {
        let counts = Counts::of(6, 5, |term, topic| if topic % 2 == 0 { (term + topic) as f32 } else { 0.0 });
        let joined = join(&counts, 3);
        let columns: Vec<Vec<f64>> =
            (0..3).map(|topic| (0..6).map(|term| joined.count(term, topic)).collect()).collect();
        for topic in [0.0, 2.0, 4.0] {
            let column: Vec<f64> = (0..6).map(|term| f64::from(term) + topic).collect();
            assert!(columns.contains(&column), "{columns:?} without {column:?}");
        }
    }
}
