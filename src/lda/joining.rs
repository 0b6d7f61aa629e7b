//! Clusters joined in pairs to as many topics as are wanted.
//!
//! Algorithm: two are joined at a time, those whose counts are least changed by it in the chi-square norm (terms x topics):
//! Ward's method (J. Am. Stat. Assoc. 58, 1963) on distributions over terms, weighted by their tokens.
//! Cost: for t <= 8192 terms and m clusters t m^2 / 2 flops and m^3 / 4 comparisons.

use super::counts::Counts;

/// Terms by which clusters are compared, the most frequent ones.
const TERMS: usize = 8192;

/// The counts of so many topics, from those of more.
pub(super) fn join(counts: &Counts, topics: usize) -> Counts {
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
        let mut frequent: Vec<(f64, usize)> = (0..terms).map(|term| (counts.tokens(term), term)).collect();
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
    use crate::random::Stream;

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
