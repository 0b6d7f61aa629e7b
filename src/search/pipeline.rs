//! The pipeline file: what is searched, how, checked whole before anything runs.
//!
//! TOML; every complaint names the line. See docs/pipeline.md for an example and the tables of what may stand in it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::halving::{Halving, Smallest};
use super::space::{Axis, Distribution, Grid, Method, Space};
use super::splitters::{Size, Splitter};
use super::steps::{self, Kind, Step};
use super::value::Value;
use crate::error::{Error, Result};
use crate::learn::metrics::{Scorer, Subject};

/// A step as the file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// What the grid calls it.
    pub name: String,
    /// Which step.
    pub kind: String,
    /// Parameters that are fixed.
    pub values: Vec<(String, Value)>,
}

impl Described {
    /// Which step.
    pub fn kind(&self) -> Kind {
        Kind::named(&self.kind).expect("checked when it was read")
    }
}

/// What becomes of a candidate that fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorScore {
    /// Its score is this, or nothing (NaN).
    Score(f64),
    /// The search ends.
    Raise,
}

/// A pipeline file, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The steps, the estimator last, or a model of topics.
    pub steps: Vec<Described>,
    /// What the last step is scored for.
    pub subject: Subject,
    /// The candidates.
    pub space: Space,
    /// The candidates are sifted in rounds.
    pub halving: Option<Halving>,
    /// The folds.
    pub splitter: Splitter,
    /// Scorers by name.
    pub scorers: Vec<(String, Scorer)>,
    /// The scorer whose best candidate is fitted on all rows.
    pub refit: Option<usize>,
    /// What becomes of failures.
    pub error_score: ErrorScore,
    /// Score the training rows too.
    pub train_score: bool,
    /// Seconds after which no task is begun.
    pub time_limit: Option<f64>,
    /// Seed of all that has none of its own.
    pub seed: u64,
}

/// A place in the text for messages.
struct Text<'a> {
    path: &'a Path,
    text: &'a str,
}

type Table<'a> = DeTable<'a>;

impl Text<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    fn error(&self, at: usize, what: impl std::fmt::Display) -> Error {
        Error::usage(format!("{}:{}: {what}", self.path.display(), self.line(at)))
    }

    fn table<'t>(&self, value: &'t Spanned<DeValue<'t>>, what: &str) -> Result<&'t Table<'t>> {
        value.get_ref().as_table().ok_or_else(|| self.error(value.span().start, format!("{what}: a table is wanted")))
    }

    fn value(&self, value: &Spanned<DeValue>) -> Result<Value> {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(Value::Bool(*flag)),
            DeValue::String(text) => Ok(Value::Text(text.to_string())),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Value::Int)
                .map_err(|_| self.error(at, format!("{} is too large", number.as_str()))),
            DeValue::Float(number) => {
                number.as_str().parse().map(Value::Float).map_err(|_| self.error(at, "not a number"))
            }
            _ => Err(self.error(at, "a number, a word in quotes, true or false is wanted")),
        }
    }

    fn values(&self, value: &Spanned<DeValue>) -> Result<Vec<(Value, usize)>> {
        match value.get_ref() {
            DeValue::Array(list) => list.iter().map(|value| Ok((self.value(value)?, value.span().start))).collect(),
            _ => Ok(vec![(self.value(value)?, value.span().start)]),
        }
    }
}

/// The options of a table, each of which has to be asked for.
struct Options<'a, 't> {
    text: &'a Text<'a>,
    table: Option<&'t Table<'t>>,
    what: &'static str,
    asked: Vec<&'static str>,
}

impl<'t> Options<'_, 't> {
    fn get(&mut self, name: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.push(name);
        self.table
            .and_then(|table| table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value))
    }

    fn value(&mut self, name: &'static str) -> Result<Option<(Value, usize)>> {
        let text = self.text;
        self.get(name).map(|value| Ok((text.value(value)?, value.span().start))).transpose()
    }

    fn whole(&mut self, name: &'static str, least: i64) -> Result<Option<usize>> {
        match self.value(name)? {
            None => Ok(None),
            Some((Value::Int(value), _)) if value >= least => Ok(Some(value as usize)),
            Some((_, at)) => Err(self.text.error(at, format!("{name}: a whole number from {least} on is wanted"))),
        }
    }

    fn flag(&mut self, name: &'static str) -> Result<Option<bool>> {
        match self.value(name)? {
            None => Ok(None),
            Some((Value::Bool(value), _)) => Ok(Some(value)),
            Some((_, at)) => Err(self.text.error(at, format!("{name}: true or false is wanted"))),
        }
    }

    fn size(&mut self, name: &'static str) -> Result<Option<Size>> {
        match self.value(name)? {
            None => Ok(None),
            Some((Value::Int(value), _)) if value > 0 => Ok(Some(Size::Count(value as usize))),
            Some((Value::Float(value), _)) if value > 0.0 && value < 1.0 => Ok(Some(Size::Share(value))),
            Some((_, at)) => {
                Err(self.text.error(at, format!("{name}: a share between 0 and 1 or a number of rows is wanted")))
            }
        }
    }

    fn word(&mut self, name: &'static str, known: &[&str], default: &str) -> Result<String> {
        match self.value(name)? {
            None => Ok(default.to_owned()),
            Some((Value::Text(word), _)) if known.contains(&word.as_str()) => Ok(word),
            Some((value, at)) => {
                Err(self.text.error(at, format!("{name} = {}: one of {} is wanted", value.python(), known.join(", "))))
            }
        }
    }

    fn finish(self) -> Result<()> {
        let stray = self.table.into_iter().flatten().find(|(key, _)| !self.asked.contains(&key.get_ref().as_ref()));
        match stray {
            None => Ok(()),
            Some((key, _)) => Err(self.text.error(
                key.span().start,
                format!("{} has no {}: what may stand there is {}", self.what, key.get_ref(), self.asked.join(", ")),
            )),
        }
    }
}

impl Pipeline {
    /// Checks the text of a file; `seed` is that of everything random to which the file gives none.
    ///
    /// # Errors
    /// Usage errors that name the line.
    pub fn parse(path: &Path, text: &str, seed: u64) -> Result<Pipeline> {
        let parsed = DeTable::parse(text);
        let text = Text { path, text };
        let root = parsed.map_err(|error| text.error(error.span().map_or(0, |span| span.start), error.message()))?;
        let usual = usual_seed(seed)?;
        let mut top = Options { text: &text, table: Some(root.get_ref()), what: "a pipeline file", asked: vec![] };
        let steps = match top.get("step") {
            Some(list) => read_steps(&text, list, usual)?,
            None => return Err(text.error(0, "no [[step]]: a pipeline ends in an estimator")),
        };
        let grids = top.get("grid").map(|value| read_grids(&text, value, &steps)).transpose()?.unwrap_or_default();
        let table = |value: Option<&'_ Spanned<DeValue<'_>>>, what| {
            value.map(|value| text.table(value, what).map(|_| ())).transpose()
        };
        let (cv, search) = (top.get("cv"), top.get("search"));
        table(cv, "cv")?;
        table(search, "search")?;
        top.finish()?;
        let subject = match steps.last().map(Described::kind) {
            Some(Kind::Lda) => Subject::Topics,
            Some(Kind::Estimator(steps::Model::Ridge)) => Subject::Numbers,
            _ => Subject::Classes,
        };
        let splitter = read_splitter(&text, cv.and_then(|value| value.get_ref().as_table()), subject, usual)?;
        let mut options = Options {
            text: &text,
            table: search.and_then(|value| value.get_ref().as_table()),
            what: "[search]",
            asked: vec![],
        };
        let method = options.word("method", &["grid", "random", "halving"], "grid")?;
        let candidates = options.whole("candidates", 1)?;
        let seed = options.whole("seed", 0)?;
        let halving =
            read_halving(&mut options, method == "halving", candidates.is_some(), seed.unwrap_or(usual as usize))?;
        let scorers = match options.get("scoring") {
            Some(value) => read_scorers(&text, value, subject)?,
            None => {
                let name = match subject {
                    Subject::Classes => "accuracy",
                    Subject::Numbers => "r2",
                    Subject::Topics => "neg_perplexity",
                };
                Scorer::named(name).map(|scorer| (name.to_owned(), scorer)).into_iter().collect()
            }
        };
        let refit = match options.value("refit")? {
            None | Some((Value::Bool(true), _)) if scorers.len() == 1 => Some(0),
            Some((Value::Bool(false), _)) => None,
            Some((Value::Text(name), at)) => Some(
                scorers
                    .iter()
                    .position(|(known, _)| *known == name)
                    .ok_or_else(|| text.error(at, format!("refit = {name:?} is not among the scorers")))?,
            ),
            other => {
                let at = other.map_or(0, |(_, at)| at);
                return Err(text.error(at, "with several scorers, refit names the one that decides, or is false"));
            }
        };
        let error_score = match options.value("error_score")? {
            None => ErrorScore::Score(f64::NAN),
            Some((Value::Text(word), _)) if word == "raise" => ErrorScore::Raise,
            Some((Value::Text(word), _)) if word == "nan" => ErrorScore::Score(f64::NAN),
            Some((value, at)) => ErrorScore::Score(
                value
                    .number()
                    .ok_or_else(|| text.error(at, "error_score: a number, \"nan\" or \"raise\" is wanted"))?,
            ),
        };
        let train_score = options.flag("return_train_score")?.unwrap_or(false);
        let time_limit = match options.value("time_limit")? {
            None => None,
            Some((value, at)) => Some(
                value
                    .number()
                    .filter(|&seconds| seconds > 0.0)
                    .ok_or_else(|| text.error(at, "time_limit: seconds above 0 are wanted"))?,
            ),
        };
        let method = match (method.as_str(), candidates) {
            ("random" | "halving", Some(candidates)) => {
                Method::Random { candidates, seed: seed.map_or(usual.into(), |seed| seed as u64) }
            }
            ("random", None) => return Err(text.error(0, "a random search needs candidates = N in [search]")),
            ("halving", None) => Method::Grid,
            (_, Some(_)) => return Err(text.error(0, "candidates belongs to method = \"random\" or \"halving\"")),
            _ if seed.is_some() => return Err(text.error(0, "seed belongs to method = \"random\" or \"halving\"")),
            _ => Method::Grid,
        };
        options.finish()?;
        let drawn = |axis: &&Axis| axis.distribution.is_some();
        if method == Method::Grid
            && let Some(axis) = grids.iter().flat_map(|grid| &grid.axes).find(drawn)
        {
            return Err(text
                .error(axis.at, format!("{}: a distribution needs method = \"random\", or candidates", axis.name())));
        }
        let space = Space::new(grids, method).map_err(|what| text.error(0, what))?;
        if halving.is_some() && scorers.len() > 1 {
            return Err(text.error(0, "halving goes by one score: give scoring one name"));
        }
        let seed = usual.into();
        Ok(Pipeline {
            steps,
            subject,
            space,
            halving,
            splitter,
            scorers,
            refit,
            error_score,
            train_score,
            time_limit,
            seed,
        })
    }
}

impl Pipeline {
    /// The steps, each with the largest of the values that its parameters have among the candidates: what they may take.
    pub fn largest(&self) -> Result<Vec<Step>> {
        let of = |(at, described): (usize, &Described)| {
            let axes: Vec<&Axis> = self.space.axes().filter(|axis| axis.step == at).collect();
            let most = |axis: &Axis| axis.values.iter().max_by(|a, b| a.order(b)).cloned();
            let largest: Vec<(&str, Value)> =
                axes.iter().filter_map(|axis| Some((axis.parameter.as_str(), most(axis)?))).collect();
            let fixed = described.values.iter().map(|(name, value)| (name.as_str(), value));
            let values: Vec<(&str, &Value)> = largest.iter().map(|(name, value)| (*name, value)).chain(fixed).collect();
            steps::build(described.kind(), &values).map_err(|what| Error::usage(format!("{}: {what}", described.name)))
        };
        self.steps.iter().enumerate().map(of).collect()
    }
}

/// The seed of what has none of its own, as numpy's generator takes it.
fn usual_seed(seed: u64) -> Result<u32> {
    u32::try_from(seed).map_err(|_| Error::usage(format!("--seed {seed}: a search takes at most {}", u32::MAX)))
}

fn read_steps(text: &Text, value: &Spanned<DeValue>, seed: u32) -> Result<Vec<Described>> {
    let list =
        value.get_ref().as_array().ok_or_else(|| text.error(value.span().start, "steps are written [[step]]"))?;
    let mut described: Vec<Described> = Vec::new();
    for value in list.iter() {
        let (table, at) = (text.table(value, "step")?, value.span().start);
        let (mut kind, mut name, mut values) = (None, None, Vec::new());
        for (key, value) in table.iter() {
            match (key.get_ref().as_ref(), text.value(value)?) {
                ("kind", Value::Text(word)) => {
                    let known: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
                    let found = Kind::named(&word).ok_or_else(|| {
                        text.error(
                            value.span().start,
                            format!("no step is called {word:?}; there are {}", known.join(", ")),
                        )
                    })?;
                    kind = Some(found);
                }
                ("name", Value::Text(word)) if !word.is_empty() && !word.contains("__") => name = Some(word),
                ("kind" | "name", _) => {
                    return Err(
                        text.error(value.span().start, format!("{}: a word without __ is wanted", key.get_ref()))
                    );
                }
                (parameter, given) => values.push((parameter.to_owned(), given, key.span().start)),
            }
        }
        let kind = kind.ok_or_else(|| text.error(at, "a step without its kind"))?;
        for (parameter, given, at) in &values {
            steps::build(kind, &[(parameter, given)]).map_err(|what| text.error(*at, what))?;
        }
        let name = name.unwrap_or_else(|| kind.name().to_owned());
        if described.iter().any(|other| other.name == name) {
            return Err(text.error(at, format!("two steps are called {name}: give one a name of its own")));
        }
        let after = |earlier: &[Kind]| described.iter().any(|other| earlier.contains(&other.kind()));
        let dense = [Kind::Lsi, Kind::Lda, Kind::Scale, Kind::Normalise];
        let misplaced = match kind {
            _ if described.iter().any(|other| matches!(other.kind(), Kind::Estimator(_))) => {
                Some("nothing follows the estimator")
            }
            Kind::Terms if after(&[Kind::Terms, Kind::Tfidf]) || after(&dense) => Some("terms come first, once"),
            Kind::Tfidf if after(&[Kind::Tfidf]) || after(&dense) => {
                Some("tfidf comes before lsi, scale and normalise, once, and not with lda, which takes counts")
            }
            Kind::Lsi if after(&dense) => Some("lsi comes before scale and normalise, once, and not with lda"),
            Kind::Lda if after(&dense) || after(&[Kind::Tfidf]) => {
                Some("lda takes counts: it comes before scale and normalise, once, and not with tfidf or lsi")
            }
            _ => None,
        };
        if let Some(what) = misplaced {
            return Err(text.error(at, what));
        }
        let mut values: Vec<(String, Value)> =
            values.into_iter().map(|(parameter, value, _)| (parameter, value)).collect();
        // Behind what the file or a grid says.
        if kind.parameters().iter().any(|(parameter, _)| *parameter == "seed") {
            values.push(("seed".into(), Value::Int(seed.into())));
        }
        described.push(Described { name, kind: kind.name().to_owned(), values });
    }
    match described.last().map(Described::kind) {
        Some(Kind::Estimator(_) | Kind::Lda) => Ok(described),
        _ => Err(text.error(value.span().start, "the last step must be an estimator, or lda")),
    }
}

fn read_grids(text: &Text, value: &Spanned<DeValue>, steps: &[Described]) -> Result<Vec<Grid>> {
    match value.get_ref() {
        DeValue::Array(list) => list.iter().map(|value| read_grid(text, text.table(value, "grid")?, steps)).collect(),
        _ => Ok(vec![read_grid(text, text.table(value, "grid")?, steps)?]),
    }
}

fn read_grid(text: &Text, table: &Table, described: &[Described]) -> Result<Grid> {
    let mut axes = Vec::new();
    for (key, value) in table.iter() {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        let (step, parameter) = name
            .split_once("__")
            .ok_or_else(|| text.error(at, format!("{name}: a parameter is written step__parameter")))?;
        let step = described.iter().position(|other| other.name == step).ok_or_else(|| {
            let names: Vec<&str> = described.iter().map(|step| step.name.as_str()).collect();
            text.error(at, format!("no step is called {step}; there are {}", names.join(", ")))
        })?;
        let (mut values, mut distribution) = (Vec::new(), None);
        let given = match value.get_ref() {
            DeValue::Table(table) => match read_range(text, table, value.span().start)? {
                Range::Values(list) => list.into_iter().map(|number| (Value::Float(number), at)).collect(),
                Range::Drawn(drawn) => {
                    distribution = Some(drawn);
                    drawn.ends().into_iter().map(|end| (end, at)).collect()
                }
            },
            _ => text.values(value)?,
        };
        if given.is_empty() {
            return Err(text.error(at, format!("{name}: no value")));
        }
        for (candidate, at) in given {
            steps::build(described[step].kind(), &[(parameter, &candidate)]).map_err(|what| text.error(at, what))?;
            if values.contains(&candidate) && distribution.is_none() {
                return Err(text
                    .error(at, format!("{name} has {} twice: a candidate would be fitted twice", candidate.python())));
            }
            values.push(candidate);
        }
        axes.push(Axis {
            step,
            step_name: described[step].name.clone(),
            parameter: parameter.to_owned(),
            values,
            distribution,
            at,
        });
    }
    axes.sort_by_key(Axis::name);
    Ok(Grid { axes })
}

enum Range {
    Values(Vec<f64>),
    Drawn(Distribution),
}

/// `{ logspace = [a, b, n] }`, `{ linspace = [a, b, n] }`, `{ uniform = [a, b] }`, `{ log_uniform = [a, b] }`,
/// `{ integers = [a, b] }`.
fn read_range(text: &Text, table: &Table, at: usize) -> Result<Range> {
    let mut entries = table.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else {
        return Err(text.error(at, "one of logspace, linspace, uniform, log_uniform, integers is wanted"));
    };
    let numbers: Vec<f64> = text.values(value)?.iter().filter_map(|(value, _)| value.number()).collect();
    let spaced = |count: f64| {
        let (low, high, n) = (numbers[0], numbers[1], count as usize);
        (0..n)
            .map(move |at| if n == 1 { low } else { low + (high - low) * at as f64 / (n - 1) as f64 })
            .collect::<Vec<_>>()
    };
    match (key.get_ref().as_ref(), &numbers[..]) {
        ("linspace", &[_, _, count]) if count >= 1.0 && count.fract() == 0.0 => Ok(Range::Values(spaced(count))),
        ("logspace", &[_, _, count]) if count >= 1.0 && count.fract() == 0.0 => {
            Ok(Range::Values(spaced(count).into_iter().map(|exponent| 10f64.powf(exponent)).collect()))
        }
        ("uniform", &[low, high]) if low < high => Ok(Range::Drawn(Distribution::Uniform(low, high))),
        ("log_uniform", &[low, high]) if 0.0 < low && low < high => Ok(Range::Drawn(Distribution::LogUniform(low, high))),
        ("integers", &[low, high]) if low.fract() == 0.0 && high.fract() == 0.0 && low < high => {
            Ok(Range::Drawn(Distribution::Integers(low as i64, high as i64)))
        }
        (name, _) => Err(text.error(
            at,
            format!("{name}: wanted is linspace = [from, to, n], logspace = [from, to, n] (exponents of 10), uniform = [a, b], log_uniform = [a, b] or integers = [a, b]"),
        )),
    }
}

fn read_scorers(text: &Text, value: &Spanned<DeValue>, subject: Subject) -> Result<Vec<(String, Scorer)>> {
    let mut scorers: Vec<(String, Scorer)> = Vec::new();
    for (name, at) in text.values(value)? {
        let Value::Text(name) = name else { return Err(text.error(at, "scorers are words in quotes")) };
        let scorer = Scorer::named(&name).ok_or_else(|| {
            let known: Vec<&str> = Scorer::ALL.iter().map(|(name, _)| *name).collect();
            text.error(at, format!("no score is called {name:?}; there are {}", known.join(", ")))
        })?;
        if scorer.subject() != subject {
            let (of, made) = (scorer.subject().name(), subject.name());
            let what = format!("{name} is a score of {of}, which this pipeline does not predict: it ends in {made}");
            return Err(text.error(at, what));
        }
        if scorers.iter().any(|(known, _)| *known == name) {
            return Err(text.error(at, format!("{name} is named twice")));
        }
        scorers.push((name, scorer));
    }
    if scorers.is_empty() {
        return Err(text.error(value.span().start, "no score"));
    }
    Ok(scorers)
}

/// The options of successive halving; without it there are none of them.
fn read_halving(options: &mut Options, wanted: bool, random: bool, seed: usize) -> Result<Option<Halving>> {
    let text = options.text;
    if !wanted {
        return Ok(None);
    }
    let factor = match options.value("factor")? {
        None => 3.0,
        Some((value, at)) => value
            .number()
            .filter(|&factor| factor > 1.0 && factor.is_finite())
            .ok_or_else(|| text.error(at, "factor: a number above 1 is wanted"))?,
    };
    let smallest = match options.value("min_resources")? {
        None if random => Smallest::Smallest,
        None => Smallest::Exhaust,
        Some((Value::Text(word), _)) if word == "exhaust" => Smallest::Exhaust,
        Some((Value::Text(word), _)) if word == "smallest" => Smallest::Smallest,
        Some((Value::Int(rows), _)) if rows > 0 => Smallest::Rows(rows as usize),
        Some((_, at)) => {
            return Err(text.error(at, "min_resources: a number of rows, \"exhaust\" or \"smallest\" is wanted"));
        }
    };
    let seed = u32::try_from(seed).map_err(|_| text.error(0, "seed: at most 4294967295"))?;
    let most = options.whole("max_resources", 1)?;
    let aggressive = options.flag("aggressive_elimination")?.unwrap_or(false);
    Ok(Some(Halving { factor, smallest, most, aggressive, seed }))
}

fn read_splitter(text: &Text, table: Option<&Table>, subject: Subject, usual_seed: u32) -> Result<Splitter> {
    let mut options = Options { text, table, what: "[cv]", asked: vec![] };
    let usual = if subject == Subject::Classes { "stratified-k-fold" } else { "k-fold" };
    let known = [
        "k-fold",
        "stratified-k-fold",
        "group-k-fold",
        "shuffle-split",
        "stratified-shuffle-split",
        "repeated-stratified-k-fold",
        "time-series-split",
        "predefined-split",
    ];
    let name = options.word("splitter", &known, usual)?;
    let least = if name.contains("shuffle-split") { 1 } else { 2 };
    let splits = if name == "predefined-split" { 0 } else { options.whole("splits", least)?.unwrap_or(5) };
    let seed = |options: &mut Options| -> Result<u32> {
        let seed = options.whole("seed", 0)?.unwrap_or(usual_seed as usize);
        u32::try_from(seed).map_err(|_| text.error(0, "seed: at most 4294967295"))
    };
    let shuffled = |options: &mut Options| -> Result<Option<u32>> {
        if options.flag("shuffle")?.unwrap_or(false) { seed(options).map(Some) } else { Ok(None) }
    };
    let splitter = match name.as_str() {
        "k-fold" => Splitter::KFold { splits, seed: shuffled(&mut options)? },
        "stratified-k-fold" => Splitter::StratifiedKFold { splits, seed: shuffled(&mut options)? },
        "group-k-fold" => Splitter::GroupKFold { splits },
        "shuffle-split" | "stratified-shuffle-split" => {
            let (test, train) = (options.size("test_size")?, options.size("train_size")?);
            let seed = seed(&mut options)?;
            if name == "shuffle-split" {
                Splitter::ShuffleSplit { splits, test, train, seed }
            } else {
                Splitter::StratifiedShuffleSplit { splits, test, train, seed }
            }
        }
        "repeated-stratified-k-fold" => {
            let repeats = options.whole("repeats", 1)?.unwrap_or(10);
            Splitter::RepeatedStratifiedKFold { splits, repeats, seed: seed(&mut options)? }
        }
        "time-series-split" => Splitter::TimeSeriesSplit {
            splits,
            gap: options.whole("gap", 0)?.unwrap_or(0),
            max_train: options.whole("max_train_size", 1)?,
            test: options.whole("test_size", 1)?,
        },
        _ => Splitter::Predefined,
    };
    options.finish()?;
    Ok(splitter)
}
