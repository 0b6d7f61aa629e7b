//! Who is trained on and who is tested on: scikit-learn's splitters with scikit-learn's own assignments.
//!
//! Problem: for n rows, their classes and groups, a list of folds (training rows, test rows), both ascending.
//! Algorithm: that of `sklearn.model_selection` 1.9, shuffles included: they draw from [`RandomState`] in the same order.
//! Cost: O(n) a fold. Reference: sklearn/model_selection/_split.py.

use super::mt19937::RandomState;
use crate::error::{Error, Result};

/// One split: rows to train on and rows to test on, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Rows to fit on.
    pub train: Vec<usize>,
    /// Rows to score on.
    pub test: Vec<usize>,
}

/// A share of the rows, or so many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// Between 0 and 1.
    Share(f64),
    /// Rows.
    Count(usize),
}

/// A splitter with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Splitter {
    /// `KFold`; shuffled where there is a seed.
    KFold { splits: usize, seed: Option<u32> },
    /// `StratifiedKFold`; shuffled where there is a seed.
    StratifiedKFold { splits: usize, seed: Option<u32> },
    /// `GroupKFold`.
    GroupKFold { splits: usize },
    /// `ShuffleSplit`.
    ShuffleSplit { splits: usize, test: Option<Size>, train: Option<Size>, seed: u32 },
    /// `StratifiedShuffleSplit`.
    StratifiedShuffleSplit { splits: usize, test: Option<Size>, train: Option<Size>, seed: u32 },
    /// `RepeatedStratifiedKFold`.
    RepeatedStratifiedKFold { splits: usize, repeats: usize, seed: u32 },
    /// `TimeSeriesSplit`.
    TimeSeriesSplit { splits: usize, gap: usize, max_train: Option<usize>, test: Option<usize> },
    /// `PredefinedSplit`: the fold each row is tested in is given with the data, -1 for rows always trained on.
    Predefined,
}

/// What a splitter may look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rows<'a> {
    /// Number of rows.
    pub count: usize,
    /// Class of each row, where rows have classes; numbered in the order of the class names.
    pub classes: Option<&'a [usize]>,
    /// Group of each row, where they are given.
    pub groups: Option<&'a [usize]>,
    /// Fold each row is tested in, where they are given.
    pub folds: Option<&'a [i64]>,
}

impl Splitter {
    /// The folds.
    ///
    /// # Errors
    /// More folds than rows or than members of every class; classes, groups or folds that are needed and missing.
    pub fn split(&self, rows: Rows) -> Result<Vec<Fold>> {
        let n = rows.count;
        match *self {
            Splitter::KFold { splits, seed } => {
                enough(splits, n)?;
                let mut order: Vec<usize> = (0..n).collect();
                if let Some(seed) = seed {
                    RandomState::new(seed).shuffle(&mut order);
                }
                let mut folds = vec![0i64; n];
                let mut next = order.into_iter();
                for fold in 0..splits {
                    let size = n / splits + usize::from(fold < n % splits);
                    next.by_ref().take(size).for_each(|row| folds[row] = fold as i64);
                }
                Ok(by_fold(&folds))
            }
            Splitter::StratifiedKFold { splits, seed } => {
                stratified(splits, classes(rows)?, &mut seed.map(RandomState::new))
            }
            Splitter::RepeatedStratifiedKFold { splits, repeats, seed } => {
                let (classes, mut state) = (classes(rows)?, Some(RandomState::new(seed)));
                let repeated: Vec<_> =
                    (0..repeats).map(|_| stratified(splits, classes, &mut state)).collect::<Result<_>>()?;
                Ok(repeated.into_iter().flatten().collect())
            }
            Splitter::GroupKFold { splits } => {
                let groups = rows.groups.ok_or_else(|| Error::usage("group-k-fold needs --groups"))?;
                by_group(splits, groups)
            }
            Splitter::ShuffleSplit { splits, test, train, seed } => {
                let (train, test) = sizes(n, train, test)?;
                let mut state = RandomState::new(seed);
                let fold = |_| {
                    let order = state.permutation(n);
                    ascending(order[test..test + train].to_vec(), order[..test].to_vec())
                };
                Ok((0..splits).map(fold).collect())
            }
            Splitter::StratifiedShuffleSplit { splits, test, train, seed } => {
                let (train, test) = sizes(n, train, test)?;
                stratified_shuffle(splits, classes(rows)?, train, test, seed)
            }
            Splitter::TimeSeriesSplit { splits, gap, max_train, test } => {
                let size = test.unwrap_or(n / (splits + 1));
                if splits + 1 > n || size == 0 {
                    return Err(Error::usage(format!("{splits} splits of {n} rows: too many")));
                }
                if n < gap + size * splits + 1 {
                    let what = format!("{splits} splits with test_size {size} and gap {gap} need more than {n} rows");
                    return Err(Error::usage(what));
                }
                let fold = |fold: usize| {
                    let start = n - (splits - fold) * size;
                    let end = start - gap;
                    let begin = max_train.map_or(0, |most| end.saturating_sub(most));
                    Fold { train: (begin..end).collect(), test: (start..start + size).collect() }
                };
                Ok((0..splits).map(fold).collect())
            }
            Splitter::Predefined => {
                let folds = rows.folds.ok_or_else(|| Error::usage("predefined-split needs --folds"))?;
                if folds.iter().all(|&fold| fold < 0) {
                    return Err(Error::usage("--folds: no row is in a fold"));
                }
                Ok(by_fold(folds))
            }
        }
    }
}

fn classes<'a>(rows: Rows<'a>) -> Result<&'a [usize]> {
    rows.classes
        .ok_or_else(|| Error::usage("a stratified splitter needs classes: labels that are no numbers to regress on"))
}

fn enough(splits: usize, rows: usize) -> Result<()> {
    if splits > rows {
        return Err(Error::usage(format!("{splits} splits of {rows} rows: there must be a row for each")));
    }
    Ok(())
}

fn ascending(mut train: Vec<usize>, mut test: Vec<usize>) -> Fold {
    train.sort_unstable();
    test.sort_unstable();
    Fold { train, test }
}

/// Folds from the number of the one each row is tested in.
fn by_fold(folds: &[i64]) -> Vec<Fold> {
    let mut numbers: Vec<i64> = folds.iter().copied().filter(|&fold| fold >= 0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let rows = |keep: &dyn Fn(i64) -> bool| (0..folds.len()).filter(|&row| keep(folds[row])).collect();
    numbers
        .iter()
        .map(|&number| Fold { train: rows(&|fold| fold != number), test: rows(&|fold| fold == number) })
        .collect()
}

/// Classes renumbered in the order in which they first occur, and how many rows each has.
fn by_appearance(classes: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut number = vec![usize::MAX; classes.iter().max().map_or(0, |most| most + 1)];
    let mut counts = Vec::new();
    let renumbered = classes
        .iter()
        .map(|&class| {
            if number[class] == usize::MAX {
                number[class] = counts.len();
                counts.push(0);
            }
            counts[number[class]] += 1;
            number[class]
        })
        .collect();
    (renumbered, counts)
}

fn stratified(splits: usize, classes: &[usize], state: &mut Option<RandomState>) -> Result<Vec<Fold>> {
    let (classes, counts) = by_appearance(classes);
    let (most, least) = (counts.iter().max().copied().unwrap_or(0), counts.iter().min().copied().unwrap_or(0));
    if splits > most {
        return Err(Error::usage(format!("{splits} splits: no class has more than {most} members")));
    }
    if splits > least {
        log::warn!("the smallest class has {least} members for {splits} splits: some folds will not have it");
    }
    let mut ordered = classes.clone();
    ordered.sort_unstable();
    let mut folds = vec![0i64; classes.len()];
    for (class, &count) in counts.iter().enumerate() {
        let mut dealt: Vec<i64> = Vec::with_capacity(count);
        for fold in 0..splits {
            let share = ordered.iter().skip(fold).step_by(splits).filter(|&&other| other == class).count();
            dealt.extend(std::iter::repeat_n(fold as i64, share));
        }
        if let Some(state) = state {
            state.shuffle(&mut dealt);
        }
        let members = (0..classes.len()).filter(|&row| classes[row] == class);
        members.zip(dealt).for_each(|(row, fold)| folds[row] = fold);
    }
    Ok(by_fold(&folds))
}

fn by_group(splits: usize, groups: &[usize]) -> Result<Vec<Fold>> {
    let mut sizes = vec![0usize; groups.iter().max().map_or(0, |most| most + 1)];
    groups.iter().for_each(|&group| sizes[group] += 1);
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&group| sizes[group] > 0).collect();
    if splits > order.len() {
        return Err(Error::usage(format!("{splits} splits of {} groups: there must be a group for each", order.len())));
    }
    // Heaviest first; of equals the last, as a reversed stable sort leaves them.
    order.sort_by_key(|&group| (std::cmp::Reverse(sizes[group]), std::cmp::Reverse(group)));
    let (mut load, mut fold_of) = (vec![0usize; splits], vec![0i64; sizes.len()]);
    for group in order {
        let lightest = (0..splits).min_by_key(|&fold| load[fold]).unwrap_or(0);
        load[lightest] += sizes[group];
        fold_of[group] = lightest as i64;
    }
    Ok(by_fold(&groups.iter().map(|&group| fold_of[group]).collect::<Vec<_>>()))
}

/// Rows to train on and to test on, as scikit-learn rounds them; 0.1 is tested on by default.
fn sizes(n: usize, train: Option<Size>, test: Option<Size>) -> Result<(usize, usize)> {
    let test = match (test, train) {
        (None, None) => Some(Size::Share(0.1)),
        (test, _) => test,
    };
    let count = |size: Size, up: bool| match size {
        Size::Count(count) => count,
        Size::Share(share) if up => (share * n as f64).ceil() as usize,
        Size::Share(share) => (share * n as f64).floor() as usize,
    };
    let (test, train) = match (test.map(|size| count(size, true)), train.map(|size| count(size, false))) {
        (Some(test), None) => (test, n.saturating_sub(test)),
        (None, Some(train)) => (n.saturating_sub(train), train),
        (Some(test), Some(train)) => (test, train),
        (None, None) => (0, 0),
    };
    if train == 0 || test == 0 || train + test > n {
        return Err(Error::usage(format!("{train} rows to train on and {test} to test on of {n}: choose other sizes")));
    }
    Ok((train, test))
}

/// scikit-learn's `_approximate_mode`: `draws` dealt out in proportion to the counts, remainders by size and by lot.
fn approximate_mode(counts: &[usize], draws: usize, state: &mut RandomState) -> Vec<usize> {
    let total: usize = counts.iter().sum();
    let exact: Vec<f64> = counts.iter().map(|&count| count as f64 / total as f64 * draws as f64).collect();
    let mut dealt: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut missing = draws - dealt.iter().sum::<usize>();
    let remainders: Vec<f64> = exact.iter().map(|share| share - share.floor()).collect();
    let mut values = remainders.clone();
    values.sort_by(|a, b| b.total_cmp(a));
    values.dedup();
    for value in values {
        if missing == 0 {
            break;
        }
        let equal: Vec<usize> = (0..counts.len()).filter(|&class| remainders[class] == value).collect();
        let chosen = state.choice(&equal, equal.len().min(missing));
        missing -= chosen.len();
        chosen.into_iter().for_each(|class| dealt[class] += 1);
    }
    dealt
}

fn stratified_shuffle(splits: usize, classes: &[usize], train: usize, test: usize, seed: u32) -> Result<Vec<Fold>> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); classes.iter().max().map_or(0, |most| most + 1)];
    classes.iter().enumerate().for_each(|(row, &class)| members[class].push(row));
    members.retain(|rows| !rows.is_empty());
    let counts: Vec<usize> = members.iter().map(Vec::len).collect();
    if counts.iter().any(|&count| count < 2) {
        return Err(Error::usage("a class has only 1 member: a stratified split needs 2 of each"));
    }
    if train < counts.len() || test < counts.len() {
        return Err(Error::usage(format!(
            "{train} rows to train on and {test} to test on for {} classes: too few",
            counts.len()
        )));
    }
    let mut state = RandomState::new(seed);
    let mut folds = Vec::with_capacity(splits);
    for _ in 0..splits {
        let trained = approximate_mode(&counts, train, &mut state);
        let left: Vec<usize> = counts.iter().zip(&trained).map(|(count, taken)| count - taken).collect();
        let tested = approximate_mode(&left, test, &mut state);
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (class, rows) in members.iter().enumerate() {
            let order = state.permutation(rows.len());
            let mut rows = order.into_iter().map(|at| rows[at]);
            train.extend(rows.by_ref().take(trained[class]));
            test.extend(rows.take(tested[class]));
        }
        // scikit-learn shuffles both; the next split draws after that.
        state.permutation(train.len());
        state.permutation(test.len());
        folds.push(ascending(train, test));
    }
    Ok(folds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn size(value: &Value) -> Option<Size> {
        value.as_u64().map(|count| Size::Count(count as usize)).or_else(|| value.as_f64().map(Size::Share))
    }

    #[test]
    fn folds_are_scikit_learns() {
        let fixture: Value = serde_json::from_str(include_str!("../../tests/fixtures/splits.json")).unwrap();
        let labels: Vec<String> = serde_json::from_value(fixture["labels"].clone()).unwrap();
        let mut names = labels.clone();
        names.sort();
        names.dedup();
        let classes: Vec<usize> = labels.iter().map(|label| names.binary_search(label).unwrap()).collect();
        let groups: Vec<usize> = serde_json::from_value(fixture["groups"].clone()).unwrap();
        let given: Vec<i64> = serde_json::from_value(fixture["folds"].clone()).unwrap();
        let rows = Rows { count: labels.len(), classes: Some(&classes), groups: Some(&groups), folds: Some(&given) };
        let cases = fixture["cases"].as_array().unwrap();
        assert!(cases.len() > 40);
        for case in cases {
            let (name, arguments) = (case["splitter"].as_str().unwrap(), &case["arguments"]);
            let number = |key: &str| arguments[key].as_u64().map(|n| n as usize);
            let (splits, seed) = (number("splits").unwrap_or(0), number("seed").map(|seed| seed as u32));
            let (test, train) = (size(&arguments["test_size"]), size(&arguments["train_size"]));
            let splitter = match name {
                "k-fold" => Splitter::KFold { splits, seed },
                "stratified-k-fold" => Splitter::StratifiedKFold { splits, seed },
                "group-k-fold" => Splitter::GroupKFold { splits },
                "shuffle-split" => Splitter::ShuffleSplit { splits, test, train, seed: seed.unwrap() },
                "stratified-shuffle-split" => {
                    Splitter::StratifiedShuffleSplit { splits, test, train, seed: seed.unwrap() }
                }
                "repeated-stratified-k-fold" => {
                    let repeats = number("repeats").unwrap();
                    Splitter::RepeatedStratifiedKFold { splits, repeats, seed: seed.unwrap() }
                }
                "time-series-split" => Splitter::TimeSeriesSplit {
                    splits,
                    gap: number("gap").unwrap_or(0),
                    max_train: number("max_train"),
                    test: number("test_size"),
                },
                _ => Splitter::Predefined,
            };
            let folds = splitter.split(rows).unwrap();
            let expected = case["splits"].as_array().unwrap();
            assert_eq!(folds.len(), expected.len(), "{name}");
            for (number, (fold, expected)) in folds.iter().zip(expected).enumerate() {
                let list = |key: &str| serde_json::from_value::<Vec<usize>>(expected[key].clone()).unwrap();
                assert_eq!(fold.test, list("test"), "{name} {arguments} fold {number}");
                assert_eq!(fold.train, list("train"), "{name} {arguments} fold {number}");
            }
        }
    }

    #[test]
    fn impossible_splits_are_refused() {
        let classes = [0, 0, 0, 1];
        let rows = Rows { count: 4, classes: Some(&classes), ..Rows::default() };
        let cases = [
            (Splitter::KFold { splits: 5, seed: None }, "5 splits of 4 rows"),
            (Splitter::StratifiedKFold { splits: 4, seed: None }, "no class has more than 3"),
            (Splitter::GroupKFold { splits: 2 }, "needs --groups"),
            (Splitter::Predefined, "needs --folds"),
            (
                Splitter::StratifiedShuffleSplit { splits: 1, test: Some(Size::Share(0.5)), train: None, seed: 0 },
                "only 1 member",
            ),
            (
                Splitter::ShuffleSplit { splits: 1, test: Some(Size::Count(4)), train: None, seed: 0 },
                "choose other sizes",
            ),
            (Splitter::TimeSeriesSplit { splits: 4, gap: 0, max_train: None, test: None }, "too many"),
        ];
        for (splitter, words) in cases {
            let error = splitter.split(rows).unwrap_err();
            assert!(error.to_string().contains(words), "{splitter:?}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        let unlabelled = Rows { count: 4, ..Rows::default() };
        assert!(Splitter::StratifiedKFold { splits: 2, seed: None }.split(unlabelled).is_err());
    }
}
