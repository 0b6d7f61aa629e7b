//! scikit-learn's `StandardScaler`: columns to mean 0 and variance 1.
//!
//! Problem: z = (x - mean) / scale for each column, scale the standard deviation (of the population), 1 where a column
//! does not vary beyond rounding. Missing values (NaN) are left out of the statistics and stay missing.
//! Cost: [`moments`](super::moments), then 2 flops a number.
//!
//! The model file: `mean`, `variance`, `scale`, `samples` (columns, f64); attributes `with_mean`, `with_std` (0 or 1).

use std::path::Path;

use serde_json::json;

use super::moments::{self, Moments};
use super::scaled_file::Place;
use super::table::{Block, Blocks, Numbers, ROWS, Table};
use crate::dispatch::{Dataset, Job};
use crate::error::{Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};

/// A fitted scaler.
#[derive(Debug, Clone, PartialEq)]
pub struct StandardScaler {
    /// Mean of each column.
    pub mean: Vec<f64>,
    /// Variance of each column.
    pub variance: Vec<f64>,
    /// What each column is divided by.
    pub scale: Vec<f64>,
    /// Values of each column that are not missing.
    pub samples: Vec<f64>,
    /// Subtract the mean.
    pub with_mean: bool,
    /// Divide by the scale.
    pub with_std: bool,
}

impl StandardScaler {
    /// From the moments of all rows, taken about a shift.
    pub fn from_moments(moments: &Moments, shift: &[f64], with_mean: bool, with_std: bool) -> StandardScaler {
        let columns = shift.len();
        let known = |column: usize, value: f64| if moments.count[column] > 0.0 { value } else { f64::NAN };
        let mean: Vec<f64> = (0..columns).map(|at| known(at, shift[at] + moments.mean[at])).collect();
        let variance: Vec<f64> = (0..columns).map(|at| known(at, moments.squares[at] / moments.count[at])).collect();
        let scale = (0..columns).map(|at| scale(variance[at], mean[at], moments.count[at])).collect();
        StandardScaler { mean, variance, scale, samples: moments.count.clone(), with_mean, with_std }
    }

    /// From rows in memory (rows x columns).
    pub fn fit(rows: &[f64], columns: usize, with_mean: bool, with_std: bool) -> Result<StandardScaler> {
        let block = |rows: &[f64]| Block { first: 0, columns, numbers: Numbers::Double(rows.to_vec()) };
        let shift = moments::shift(&block(&rows[..rows.len().min(ROWS * columns)]));
        Ok(StandardScaler::from_moments(&Moments::of(&block(rows), &shift)?, &shift, with_mean, with_std))
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.mean.len()
    }

    /// Scales rows (rows x columns) where they lie.
    pub fn apply(&self, rows: &mut [f64]) {
        for rows in rows.chunks_mut(ROWS * self.columns().max(1)) {
            rows.copy_from_slice(&scaled_rows(self, rows, |value| value, |value| value));
        }
    }

    /// Scales a block; its numbers stay of their precision.
    pub fn scaled(&self, block: &Block) -> Numbers {
        match &block.numbers {
            Numbers::Double(numbers) => Numbers::Double(scaled_rows(self, numbers, |value| value, |value| value)),
            Numbers::Single(numbers) => Numbers::Single(scaled_rows(self, numbers, f64::from, |value| value as f32)),
        }
    }

    /// Writes the model.
    pub fn save(&self, target: Target, provenance: &serde_json::Value) -> Result<()> {
        let mut file = ModelWriter::create(target, Format::Scaler)?;
        let lists =
            [("mean", &self.mean), ("variance", &self.variance), ("scale", &self.scale), ("samples", &self.samples)];
        for (name, list) in lists {
            file.list(name, list)?;
        }
        file.attribute("with_mean", u64::from(self.with_mean))?;
        file.attribute("with_std", u64::from(self.with_std))?;
        file.finish(provenance).map(drop)
    }

    /// Reads a model.
    pub fn load(path: &Path) -> Result<(StandardScaler, ModelReader)> {
        let reader = ModelReader::open(path, Format::Scaler)?;
        let scaler = StandardScaler {
            mean: reader.list("mean")?,
            variance: reader.list("variance")?,
            scale: reader.list("scale")?,
            samples: reader.list("samples")?,
            with_mean: reader.file().unsigned("with_mean")? != 0,
            with_std: reader.file().unsigned("with_std")? != 0,
        };
        let columns = scaler.columns();
        if [&scaler.variance, &scaler.scale, &scaler.samples].iter().any(|list| list.len() != columns) {
            return Err(Error::failed(format!(
                "{}: damaged scaler (lists of different lengths); make it again",
                path.display()
            )));
        }
        Ok((scaler, reader))
    }

    /// As bytes, to travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        let flags = [f64::from(u8::from(self.with_mean)), f64::from(u8::from(self.with_std))];
        let lists = [&self.mean[..], &self.variance, &self.scale, &self.samples, &flags];
        lists.concat().iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Undoes [`StandardScaler::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<StandardScaler> {
        let numbers: Vec<f64> = bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        let Some((lists, &[with_mean, with_std])) = numbers.split_last_chunk::<2>() else {
            return Err(Error::failed("damaged scaler in a message"));
        };
        if !lists.len().is_multiple_of(4) || lists.is_empty() {
            return Err(Error::failed("damaged scaler in a message"));
        }
        let mut lists = lists.chunks(lists.len() / 4).map(<[f64]>::to_vec);
        let mut next = || lists.next().unwrap_or_default();
        Ok(StandardScaler {
            mean: next(),
            variance: next(),
            scale: next(),
            samples: next(),
            with_mean: with_mean != 0.0,
            with_std: with_std != 0.0,
        })
    }
}

/// The standard deviation, or 1 of a column that rounding alone makes vary: scikit-learn's bound for its own two passes.
fn scale(variance: f64, mean: f64, samples: f64) -> f64 {
    let rounding = samples * mean * f64::EPSILON;
    if variance <= samples * f64::EPSILON * variance + rounding * rounding { 1.0 } else { variance.sqrt() }
}

/// Rows scaled: written once, not copied first.
fn scaled_rows<T: Copy>(scaler: &StandardScaler, rows: &[T], to: impl Fn(T) -> f64, from: impl Fn(f64) -> T) -> Vec<T> {
    let StandardScaler { mean, scale, with_mean, with_std, .. } = scaler;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows.chunks_exact(mean.len().max(1)) {
        let row = row.iter().zip(mean).zip(scale);
        match (with_mean, with_std) {
            (true, true) => all.extend(row.map(|((x, m), s)| from((to(*x) - m) / s))),
            (true, false) => all.extend(row.map(|((x, m), _)| from(to(*x) - m))),
            (false, true) => all.extend(row.map(|((x, _), s)| from(to(*x) / s))),
            (false, false) => all.extend(row.map(|((x, _), _)| *x)),
        }
    }
    all
}

/// Fits a scaler to a table. Collective; every rank gets it.
///
/// # Errors
/// A table without rows; an infinite value.
pub fn fit(
    job: &Job,
    table: &Table,
    dataset: &Dataset<Blocks>,
    with_mean: bool,
    with_std: bool,
) -> Result<StandardScaler> {
    let (rows, columns) = (table.shape().rows, table.shape().columns);
    let about = job.share(|| {
        if rows == 0 || columns == 0 {
            let what = format!("a table of {rows} rows and {columns} columns: nothing to learn from");
            return Err(Error::failed(format!("{}: {what}", table.path().display())));
        }
        let shift = moments::shift(&job.account.io(|| table.rows(0, rows.min(ROWS)))?);
        Ok(bytemuck::cast_slice(&shift).to_vec())
    })?;
    let shift: Vec<f64> = bytemuck::pod_collect_to_vec(&about);
    let mut total = Moments::none(columns);
    let progress = job.progress.task("scale", Unit::Documents, Some(rows as u64));
    dataset.map(
        |_, block| {
            job.account.count(|counters| {
                counters.documents += block.rows() as u64;
                counters.flops += 5 * (block.rows() * columns) as u64;
            });
            Ok(named(table.path(), Moments::of(block, &shift))?.encode())
        },
        |_, moments| {
            total.join(&Moments::decode(&moments)?);
            progress.advance(table.block_rows() as u64, 0);
            Ok(())
        },
    )?;
    StandardScaler::from_bytes(&job.share(|| {
        let scaler = StandardScaler::from_moments(&total, &shift, with_mean, with_std);
        Ok(scaler.to_bytes())
    })?)
}

fn named<T>(path: &Path, result: Result<T>) -> Result<T> {
    result.map_err(|error| Error::failed(format!("{}: {error}", path.display())))
}

/// Scales a table. Rows go to their place in a file that all workers see, or the dispatcher's `sink` gets them in order.
/// Collective.
pub fn apply(
    job: &Job,
    dataset: &Dataset<Blocks>,
    scaler: &StandardScaler,
    place: Option<&Place>,
    sink: &mut dyn FnMut(Numbers) -> Result<()>,
) -> Result<()> {
    dataset.map(
        |_, block| {
            job.account.count(|counters| counters.flops += 2 * (block.rows() * block.columns) as u64);
            let scaled = scaler.scaled(block);
            if let Some(place) = place {
                job.account.io(|| place.put(block, &scaled))?;
                return Ok(Vec::new());
            }
            // The first byte tells the precision; eight keep the numbers aligned.
            Ok(match scaled {
                Numbers::Double(numbers) => [&[1; 8], bytemuck::cast_slice(&numbers)].concat(),
                Numbers::Single(numbers) => [&[0; 8], bytemuck::cast_slice(&numbers)].concat(),
            })
        },
        |_, bytes| match bytes.split_first_chunk::<8>() {
            None => Ok(()),
            Some(([1, ..], numbers)) => sink(Numbers::Double(bytemuck::pod_collect_to_vec(numbers))),
            Some((_, numbers)) => sink(Numbers::Single(bytemuck::pod_collect_to_vec(numbers))),
        },
    )
}

/// What the model's file says of how it was made.
pub fn parameters(scaler: &StandardScaler) -> serde_json::Value {
    json!({ "with_mean": scaler.with_mean, "with_std": scaler.with_std })
}
