//! The candidates, by number: a grid is never written out.
//!
//! A candidate of a grid is a number in mixed radix, one digit an axis, the last of the sorted names fastest, as in
//! scikit-learn's `ParameterGrid`; several grids follow each other. Drawn candidates are functions of (seed, number, axis).
//! Candidates that share all that is expensive form a *group*: those that differ in *inner* axes only.
//! Cost: O(axes) a candidate; memory that of the values of the axes.

use std::collections::HashMap;

use super::value::Value;
use crate::random::Stream;

/// What values of an axis are drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// Between two numbers.
    Uniform(f64, f64),
    /// Between two numbers, their logarithms uniform.
    LogUniform(f64, f64),
    /// Whole numbers, both ends included.
    Integers(i64, i64),
}

impl Distribution {
    /// The smallest and the largest value.
    pub fn ends(self) -> [Value; 2] {
        match self {
            Distribution::Uniform(low, high) | Distribution::LogUniform(low, high) => {
                [Value::Float(low), Value::Float(high)]
            }
            Distribution::Integers(low, high) => [Value::Int(low), Value::Int(high)],
        }
    }

    fn draw(self, stream: &mut Stream) -> Value {
        match self {
            Distribution::Uniform(low, high) => Value::Float(low + (high - low) * stream.uniform()),
            Distribution::LogUniform(low, high) => {
                Value::Float((low.ln() + (high.ln() - low.ln()) * stream.uniform()).exp().clamp(low, high))
            }
            Distribution::Integers(low, high) => Value::Int(low + stream.below((high - low + 1) as u64) as i64),
        }
    }
}

/// A parameter and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Number of the step.
    pub step: usize,
    /// Name of the step.
    pub step_name: String,
    /// Name of the parameter.
    pub parameter: String,
    /// Its values; of a distribution the ends.
    pub values: Vec<Value>,
    /// What they are drawn from instead.
    pub distribution: Option<Distribution>,
    /// Where it stands in the file.
    pub at: usize,
}

impl Axis {
    /// As scikit-learn writes it.
    pub fn name(&self) -> String {
        format!("{}__{}", self.step_name, self.parameter)
    }
}

/// Axes that are combined, sorted by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grid {
    /// The axes.
    pub axes: Vec<Axis>,
}

impl Grid {
    fn size(&self) -> Option<usize> {
        self.axes.iter().try_fold(1usize, |size, axis| size.checked_mul(axis.values.len()))
    }

    fn digits(&self, mut number: usize) -> Vec<usize> {
        let mut digits = vec![0; self.axes.len()];
        for (digit, axis) in digits.iter_mut().zip(&self.axes).rev() {
            *digit = number % axis.values.len();
            number /= axis.values.len();
        }
        digits
    }
}

/// How candidates are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// All combinations.
    Grid,
    /// So many of them, or of what is drawn.
    Random { candidates: usize, seed: u64 },
}

/// All candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    grids: Vec<Grid>,
    /// Number of the first candidate of each grid, and of all.
    begins: Vec<usize>,
    /// Numbers of those that were chosen among the combinations, when they are not all.
    chosen: Option<Vec<usize>>,
    /// Candidates drawn from distributions: how many, and the seed.
    drawn: Option<(usize, u64)>,
}

/// A parameter of a candidate: step, name of the parameter, value.
pub type Setting = (usize, String, Value);

impl Space {
    /// The candidates of some grids.
    ///
    /// # Errors
    /// More combinations than can be counted.
    pub fn new(mut grids: Vec<Grid>, method: Method) -> Result<Space, String> {
        if grids.is_empty() {
            grids.push(Grid::default());
        }
        let mut begins = vec![0usize];
        for grid in &grids {
            let end = grid.size().and_then(|size| size.checked_add(begins[begins.len() - 1]));
            begins.push(end.filter(|&end| end < 1 << 40).ok_or("more than 2^40 candidates")?);
        }
        let total = begins[begins.len() - 1];
        let distributed = grids.iter().any(|grid| grid.axes.iter().any(|axis| axis.distribution.is_some()));
        let (mut chosen, mut drawn) = (None, None);
        if let Method::Random { candidates, seed } = method {
            if distributed {
                drawn = Some((candidates, seed));
            } else if candidates < total {
                // Floyd's choice without replacement, in the order drawn.
                let mut stream = Stream::new(seed, "random search", 0);
                let mut list: Vec<usize> = Vec::with_capacity(candidates);
                let mut taken = std::collections::HashSet::new();
                for last in total - candidates..total {
                    let number = stream.below(last as u64 + 1) as usize;
                    let number = if taken.insert(number) { number } else { last };
                    taken.insert(number);
                    list.push(number);
                }
                chosen = Some(list);
            }
        }
        Ok(Space { grids, begins, chosen, drawn })
    }

    /// The axes of all grids.
    pub fn axes(&self) -> impl Iterator<Item = &Axis> {
        self.grids.iter().flat_map(|grid| &grid.axes)
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        match (&self.chosen, self.drawn) {
            (Some(chosen), _) => chosen.len(),
            (None, Some((candidates, _))) => candidates,
            _ => self.begins[self.begins.len() - 1],
        }
    }

    /// There is always one: the pipeline as it stands.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of all parameters that vary, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.grids.iter().flat_map(|grid| grid.axes.iter().map(Axis::name)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The parameters of a candidate, sorted by name.
    pub fn candidate(&self, number: usize) -> Vec<Setting> {
        let setting = |axis: &Axis, value: Value| (axis.step, axis.parameter.clone(), value);
        if let Some((_, seed)) = self.drawn {
            let mut stream = Stream::new(seed, "candidate", number as u64);
            let grid = &self.grids[stream.below(self.grids.len() as u64) as usize];
            let value = |axis: &Axis, stream: &mut Stream| match axis.distribution {
                Some(distribution) => distribution.draw(stream),
                None => axis.values[stream.below(axis.values.len() as u64) as usize].clone(),
            };
            return grid.axes.iter().map(|axis| setting(axis, value(axis, &mut stream))).collect();
        }
        let number = self.chosen.as_ref().map_or(number, |chosen| chosen[number]);
        let grid = self.begins.partition_point(|&begin| begin <= number) - 1;
        let digits = self.grids[grid].digits(number - self.begins[grid]);
        self.grids[grid]
            .axes
            .iter()
            .zip(digits)
            .map(|(axis, digit)| setting(axis, axis.values[digit].clone()))
            .collect()
    }

    /// Candidates that differ in inner axes only, as they were found.
    pub fn groups<'a>(&'a self, inner: impl Fn(usize, &str) -> bool + 'a) -> Groups<'a> {
        if self.chosen.is_none() && self.drawn.is_none() {
            let inner: Vec<Vec<bool>> = self
                .grids
                .iter()
                .map(|grid| grid.axes.iter().map(|axis| inner(axis.step, &axis.parameter)).collect())
                .collect();
            return Groups::Grids { space: self, inner };
        }
        self.groups_of(0..self.len(), inner)
    }

    /// The same of some candidates, in their order.
    pub fn groups_of(
        &self,
        numbers: impl Iterator<Item = usize>,
        inner: impl Fn(usize, &str) -> bool,
    ) -> Groups<'static> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for number in numbers {
            let outer: Vec<Setting> =
                self.candidate(number).into_iter().filter(|(step, name, _)| !inner(*step, name)).collect();
            let group = *known.entry(format!("{outer:?}")).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push(number);
        }
        Groups::Listed(groups)
    }
}

/// Groups of candidates.
pub enum Groups<'a> {
    /// By number: which axes of each grid are inner.
    Grids { space: &'a Space, inner: Vec<Vec<bool>> },
    /// Written out.
    Listed(Vec<Vec<usize>>),
}

impl Groups<'_> {
    /// Number of groups.
    pub fn len(&self) -> usize {
        match self {
            Groups::Listed(groups) => groups.len(),
            Groups::Grids { space, inner } => {
                (0..space.grids.len()).map(|grid| outer(&space.grids[grid], &inner[grid])).sum()
            }
        }
    }

    /// There is always a candidate.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Candidates of a group.
    pub fn members(&self, group: usize) -> Vec<usize> {
        let (space, inner) = match self {
            Groups::Listed(groups) => return groups[group].clone(),
            Groups::Grids { space, inner } => (space, inner),
        };
        let (mut number, mut rest) = (0, group);
        while rest >= outer(&space.grids[number], &inner[number]) {
            rest -= outer(&space.grids[number], &inner[number]);
            number += 1;
        }
        let (axes, inner) = (&space.grids[number].axes, &inner[number]);
        // Digits of the outer axes are those of the group; inner ones take all values.
        let mut members = vec![0usize];
        let mut place = 1;
        for (axis, &inner) in axes.iter().zip(inner).rev() {
            let size = axis.values.len();
            if inner {
                members = (0..size)
                    .flat_map(|digit| members.iter().map(move |member| member + digit * place).collect::<Vec<_>>())
                    .collect();
            } else {
                members.iter_mut().for_each(|member| *member += rest % size * place);
                rest /= size;
            }
            place *= size;
        }
        members.iter_mut().for_each(|member| *member += space.begins[number]);
        members.sort_unstable();
        members
    }
}

fn outer(grid: &Grid, inner: &[bool]) -> usize {
    grid.axes.iter().zip(inner).filter(|(_, inner)| !**inner).map(|(axis, _)| axis.values.len()).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(step: usize, name: &str, values: usize) -> Axis {
        Axis {
            step,
            step_name: format!("s{step}"),
            parameter: name.into(),
            values: (0..values as i64).map(Value::Int).collect(),
            distribution: None,
            at: 0,
        }
    }

    #[test]
    fn groups_part_the_candidates_and_share_their_outer_values() {
        let grids = vec![
            Grid { axes: vec![axis(0, "a", 3), axis(1, "k", 4), axis(2, "c", 5)] },
            Grid { axes: vec![axis(0, "a", 2)] },
        ];
        let all = Space::new(grids.clone(), Method::Grid).unwrap();
        let some = Space::new(grids, Method::Random { candidates: 40, seed: 3 }).unwrap();
        assert_eq!((all.len(), some.len()), (62, 40));
        // The last name is fastest.
        let values =
            |space: &Space, number: usize| -> Vec<Value> { space.candidate(number).into_iter().map(|s| s.2).collect() };
        assert_eq!(values(&all, 7), [0, 1, 2].map(Value::Int));
        assert_eq!(values(&all, 61), [1].map(Value::Int));
        for space in [&all, &some] {
            let groups = space.groups(|step, name| step > 1 || name == "k");
            let mut seen = vec![0; space.len()];
            for group in 0..groups.len() {
                let members = groups.members(group);
                let first = values(space, members[0])[0].clone();
                for member in members {
                    assert_eq!(values(space, member)[0], first);
                    seen[member] += 1;
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{seen:?}");
        }
        assert_eq!(all.groups(|step, _| step > 0).len(), 5);
    }

    #[test]
    fn a_great_grid_is_not_written_out() {
        let axes = ["a", "b", "c", "d"].map(|name| axis(0, name, 1000));
        let space = Space::new(vec![Grid { axes: axes.into() }], Method::Grid);
        assert_eq!(space.unwrap().len(), 1_000_000_000_000);
    }
}
