//! Documents in the space of the topics.
//!
//! Problem: Y = A^T U (documents x k) for a chunk of documents A (terms x documents) and the left vectors U (terms x k) of
//! a model; with scaling, each column divided by its singular value, which makes the documents of the training corpus
//! the right singular vectors. This is gensim's `lsi[corpus]` and `LsiModel(.., scaled=True)`.
//! Cost: 2 k flops a nonzero; memory of U with k padded to a multiple of 16.

use crate::error::{Error, Result};
use crate::linalg::kernels::{LANES, documents_times};
use crate::linalg::{Aligned, Prepared, Simd};
use crate::lsi::model::LsiModel;
use ndarray::ArrayView2;

/// The left vectors of a model, ready to be multiplied with.
pub struct Projection {
    topics: usize,
    /// Topics rounded up to whole registers.
    width: usize,
    /// Rows of `width` (terms x width), zeros behind the topics.
    vectors: Aligned<f32>,
    /// What each topic is divided by (topics); none when nothing is.
    divisors: Option<Vec<f64>>,
    /// What is subtracted from each topic before (topics); none when nothing is.
    offset: Option<Vec<f64>>,
}

impl Projection {
    /// What other ranks need to know of a model, as a message: topics, terms, divisors and vectors, little-endian.
    ///
    /// # Errors
    /// A singular value of zero cannot be scaled by.
    pub fn message(model: &LsiModel, scaled: bool) -> Result<Vec<u8>> {
        if let Some(topic) = model.singular_values.iter().position(|&s| scaled && s <= 0.0) {
            return Err(Error::failed(format!("the singular value of topic {topic} is 0: leave out --scaled")));
        }
        let (terms, topics) = model.left_vectors.dim();
        let divisors: &[f64] = if scaled { &model.singular_values } else { &[] };
        let mut message = Vec::with_capacity(24 + 8 * divisors.len() + 4 * terms * topics);
        for number in [terms, topics, divisors.len()] {
            message.extend_from_slice(&(number as u64).to_le_bytes());
        }
        message.extend(divisors.iter().flat_map(|divisor| divisor.to_le_bytes()));
        message.extend(model.left_vectors.iter().flat_map(|value| value.to_le_bytes()));
        Ok(message)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Fails when the message does not add up.
    pub fn from_message(message: &[u8]) -> Result<Projection> {
        let damaged = || Error::failed("damaged LSI model in a message");
        let (head, rest) = message.split_at_checked(24).ok_or_else(damaged)?;
        let mut numbers = head.as_chunks().0.iter().map(|b| usize::try_from(u64::from_le_bytes(*b)));
        let mut number = || numbers.next().and_then(|n| n.ok()).ok_or_else(damaged);
        let (terms, topics, scaled) = (number()?, number()?, number()?);
        let size = terms.checked_mul(topics).and_then(|n| n.checked_mul(4));
        let size = size.zip(scaled.checked_mul(8)).and_then(|(vectors, divisors)| vectors.checked_add(divisors));
        if size != Some(rest.len()) || topics == 0 || scaled != 0 && scaled != topics {
            return Err(damaged());
        }
        let (divisors, values) = rest.split_at(scaled * 8);
        let divisors: Vec<f64> = divisors.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        let rows = values.chunks_exact(4 * topics).map(|row| row.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        Ok(Projection::of_rows(terms, topics, rows, (scaled > 0).then_some(divisors)))
    }

    /// From left vectors (terms x topics, at least one topic) and what each topic is divided by, if by anything.
    pub fn new(left_vectors: ArrayView2<f32>, divisors: Option<Vec<f64>>) -> Projection {
        let (terms, topics) = left_vectors.dim();
        Projection::of_rows(
            terms,
            topics,
            left_vectors.rows().into_iter().map(|row| row.into_iter().copied()),
            divisors,
        )
    }

    fn of_rows<R: Iterator<Item = f32>>(
        terms: usize,
        topics: usize,
        rows: impl Iterator<Item = R>,
        divisors: Option<Vec<f64>>,
    ) -> Projection {
        let width = topics.next_multiple_of(LANES);
        let mut vectors = Aligned::zeros(terms * width);
        for (to, from) in vectors.chunks_exact_mut(width).zip(rows) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from);
        }
        Projection { topics, width, vectors, divisors, offset: None }
    }

    /// The same with something subtracted from each topic, before it is divided: documents less their mean m give
    /// Y - 1 m^T U.
    pub fn less(self, offset: Vec<f64>) -> Projection {
        Projection { offset: Some(offset), ..self }
    }

    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.topics
    }

    /// Y of a chunk, row by row (documents x topics). The chunk is over the terms of the model.
    pub fn documents(&self, pool: &rayon::ThreadPool, chunk: &Prepared) -> Vec<f32> {
        let mut padded = Aligned::zeros(chunk.documents() * self.width);
        documents_times(Simd::detect(), pool, chunk, &self.vectors, self.width, &mut padded);
        let mut vectors = Vec::with_capacity(chunk.documents() * self.topics);
        for row in padded.chunks_exact_mut(self.width) {
            if let Some(offset) = &self.offset {
                row.iter_mut().zip(offset).for_each(|(value, less)| *value = (f64::from(*value) - less) as f32);
            }
            match &self.divisors {
                Some(divisors) => {
                    vectors
                        .extend(row.iter().zip(divisors).map(|(&value, divisor)| (f64::from(value) / divisor) as f32));
                }
                None => vectors.extend_from_slice(&row[..self.topics]),
            }
        }
        vectors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::chunk::CsrChunk;
    use ndarray::Array2;

    fn model(terms: usize, topics: usize) -> LsiModel {
        LsiModel {
            left_vectors: Array2::from_shape_fn((terms, topics), |(i, j)| ((i * 7 + j * 13) % 11) as f32 / 8.0 - 0.5),
            singular_values: (0..topics).map(|i| 10.0 / (i + 1) as f64).collect(),
            residuals: vec![0.0; topics],
            terms: (0..terms).map(|i| format!("t{i}")).collect(),
            documents: 9,
            values: "counts".into(),
            frobenius_squared: 1e3,
        }
    }

    #[test]
    fn equals_the_dense_product_for_any_number_of_topics() {
        let chunk = CsrChunk {
            first_document: 3,
            terms: 40,
            indptr: vec![0, 3, 3, 5],
            indices: vec![0, 20, 39, 1, 2],
            data: vec![1.0, 2.0, 0.5, 3.0, 1.0],
        };
        let prepared = Prepared::new(chunk.clone()).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for topics in [1, 16, 17, 33] {
            let model = model(40, topics);
            for scaled in [false, true] {
                let projection = Projection::from_message(&Projection::message(&model, scaled).unwrap()).unwrap();
                let vectors = projection.documents(&pool, &prepared);
                assert_eq!((projection.topics(), vectors.len()), (topics, 3 * topics));
                for (row, vector) in vectors.chunks_exact(topics).enumerate() {
                    let (terms, values) = chunk.document(row);
                    for (topic, &value) in vector.iter().enumerate() {
                        let sum: f64 = terms
                            .iter()
                            .zip(values)
                            .map(|(&t, &x)| f64::from(x) * f64::from(model.left_vectors[[t as usize, topic]]))
                            .sum();
                        let expected = if scaled { sum / model.singular_values[topic] } else { sum };
                        // At most three additions in f32 of numbers below 4.
                        assert!((f64::from(value) - expected).abs() < 1e-5, "{value} is not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_zero_singular_value_cannot_be_divided_by_and_damage_is_noticed() {
        let mut model = model(5, 3);
        let message = Projection::message(&model, true).unwrap();
        for cut in 0..message.len() {
            assert!(Projection::from_message(&message[..cut]).is_err(), "cut at {cut}");
        }
        model.singular_values[2] = 0.0;
        assert!(Projection::message(&model, true).unwrap_err().to_string().contains("topic 2"));
        assert!(Projection::message(&model, false).is_ok());
    }
}
