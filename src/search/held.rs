//! The rows of a search in the memory of a node: read by all its ranks, copied by none but for the rows of a fold.

use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit};
use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::model::Stage;
use crate::comm::NodeMemory;
use crate::corpus::chunk::{CsrChunk, check_rows};
use crate::error::{Error, Result};
use crate::learn::features::{Features, Sparse};

/// A stretch of numbers in the memory of a node.
#[derive(Debug, Clone)]
pub struct Numbers<T> {
    memory: Arc<NodeMemory>,
    bytes: Range<usize>,
    kind: PhantomData<T>,
}

impl<T: AnyBitPattern + NoUninit> Deref for Numbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.memory[self.bytes.clone()])
    }
}

/// What the memory holds, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Of documents: where each begins (u64), terms (u32), counts or weights (f32).
    Documents,
    /// Vectors (f64), by rows.
    Dense,
    /// Of vectors without their zeros: where each begins (u64), values (f64), columns (u32).
    Sparse,
}

/// The form and size of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// How they lie in memory.
    pub form: Form,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Numbers of all rows.
    pub numbers: usize,
}

/// Rows as they were in the file.
#[derive(Debug, Clone)]
pub enum Held {
    /// Documents of counts or weights over so many terms.
    Documents { terms: u32, indptr: Numbers<u64>, indices: Numbers<u32>, data: Numbers<f32> },
    /// Vectors of so many columns.
    Dense { rows: usize, columns: usize, values: Numbers<f64> },
    /// Vectors without their zeros.
    Sparse { columns: usize, begins: Numbers<u64>, values: Numbers<f64>, indices: Numbers<u32> },
}

impl Shape {
    /// Finds the rows in memory, of which nothing is believed.
    ///
    /// # Errors
    /// Numbers that do not add up.
    pub fn find(self, memory: NodeMemory) -> Result<Held> {
        let damaged = || Error::failed("damaged message: rows of a search");
        let Shape { form, rows, columns, numbers } = self;
        let memory = Arc::new(memory);
        let mut at = 0usize;
        let offsets = rows.checked_add(1).ok_or_else(damaged)?;
        let held = match form {
            Form::Documents => Held::Documents {
                terms: u32::try_from(columns).map_err(|_| damaged())?,
                indptr: take(&memory, &mut at, offsets)?,
                indices: take(&memory, &mut at, numbers)?,
                data: take(&memory, &mut at, numbers)?,
            },
            Form::Dense => Held::Dense { rows, columns, values: take(&memory, &mut at, numbers)? },
            Form::Sparse => Held::Sparse {
                columns,
                begins: take(&memory, &mut at, offsets)?,
                values: take(&memory, &mut at, numbers)?,
                indices: take(&memory, &mut at, numbers)?,
            },
        };
        let sound = match &held {
            Held::Documents { terms, indptr, indices, data } => {
                return check_rows(0, *terms, indptr, indices, data).map(|()| held);
            }
            Held::Dense { .. } => rows.checked_mul(columns) == Some(numbers),
            Held::Sparse { begins, indices, .. } => {
                begins.first() == Some(&0)
                    && begins.is_sorted()
                    && begins.last() == Some(&(numbers as u64))
                    && indices.iter().all(|&column| (column as usize) < columns)
            }
        };
        (sound && at == memory.len()).then_some(held).ok_or_else(damaged)
    }
}

fn take<T>(memory: &Arc<NodeMemory>, at: &mut usize, count: usize) -> Result<Numbers<T>> {
    let end =
        count.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(*at)).filter(|end| *end <= memory.len());
    let end = end.ok_or_else(|| Error::failed("damaged message: rows of a search"))?;
    let bytes = std::mem::replace(at, end)..end;
    Ok(Numbers { memory: memory.clone(), bytes, kind: PhantomData })
}

/// Documents as they lie in memory.
pub fn documents(chunk: &CsrChunk) -> (Shape, Vec<u8>) {
    let mut bytes = Vec::with_capacity(8 * (chunk.indptr.len() + chunk.nonzeros()));
    bytes.extend_from_slice(bytemuck::cast_slice(&chunk.indptr));
    bytes.extend_from_slice(bytemuck::cast_slice(&chunk.indices));
    bytes.extend_from_slice(bytemuck::cast_slice(&chunk.data));
    let (rows, columns, numbers) = (chunk.documents(), chunk.terms as usize, chunk.nonzeros());
    (Shape { form: Form::Documents, rows, columns, numbers }, bytes)
}

/// Vectors without their zeros as they lie in memory.
pub fn sparse(x: &Sparse) -> (Shape, Vec<u8>) {
    let mut bytes = Vec::with_capacity(8 * x.begins.len() + 12 * x.values.len());
    bytes.extend(x.begins.iter().flat_map(|&begin| (begin as u64).to_le_bytes()));
    bytes.extend_from_slice(bytemuck::cast_slice(&x.values));
    bytes.extend_from_slice(bytemuck::cast_slice(&x.indices));
    (Shape { form: Form::Sparse, rows: x.rows(), columns: x.columns, numbers: x.values.len() }, bytes)
}

impl Held {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Held::Dense { rows, .. } => *rows,
            Held::Documents { indptr: begins, .. } | Held::Sparse { begins, .. } => begins.len() - 1,
        }
    }

    /// A copy of some rows.
    pub fn select(&self, rows: &[usize]) -> Stage {
        match self {
            Held::Dense { rows: all, columns, values } => {
                let view = ArrayView2::from_shape((*all, *columns), values).expect("numbers were counted");
                Stage::Features(Features::Dense(view.select(Axis(0), rows)))
            }
            Held::Documents { terms, indptr, indices, data } => {
                let mut chosen = CsrChunk { terms: *terms, indptr: vec![0], ..CsrChunk::default() };
                let (indptr, indices, data): (&[u64], &[u32], &[f32]) = (indptr, indices, data);
                for &row in rows {
                    let span = indptr[row] as usize..indptr[row + 1] as usize;
                    chosen.indices.extend_from_slice(&indices[span.clone()]);
                    chosen.data.extend_from_slice(&data[span]);
                    chosen.indptr.push(chosen.indices.len() as u64);
                }
                Stage::Documents(chosen)
            }
            Held::Sparse { columns, begins, values, indices } => {
                let mut chosen = Sparse { columns: *columns, begins: vec![0], ..Sparse::default() };
                let (begins, indices, values): (&[u64], &[u32], &[f64]) = (begins, indices, values);
                for &row in rows {
                    let span = begins[row] as usize..begins[row + 1] as usize;
                    chosen.indices.extend_from_slice(&indices[span.clone()]);
                    chosen.values.extend_from_slice(&values[span]);
                    chosen.begins.push(chosen.indices.len());
                }
                Stage::Features(Features::Sparse(chosen))
            }
        }
    }
}
