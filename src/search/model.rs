//! A fitted pipeline: what a search chose, for rows to come.
//!
//! The file: `description` (a string: JSON of the steps and their parameters), `classes` (strings), `terms` (strings: the
//! dictionary, of a pipeline on corpora), and a table `step<i>_<what>` (f64) for each matrix of a step.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, ArrayView2};
use serde_json::{Value as Json, json};

use crate::corpus::chunk::CsrChunk;
use crate::error::{Error, Result};
use crate::lda::model::{History, LdaModel, Shared};
use crate::lda::params::Eta;
use crate::lda::transform::{Minimum, infer};
use crate::learn::estimator::{Fitted, Form, Predicted};
use crate::learn::features::{Features, Norm, Sparse, normalise};
use crate::learn::scaler::StandardScaler;
use crate::linalg::Prepared;
use crate::lsi::projection::Projection;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};
use crate::weight::tfidf::TfidfModel;

/// A step that has learned.
#[derive(Debug, Clone, PartialEq)]
pub enum FittedStep {
    /// Numbers of the terms that stay, ascending.
    Terms(Vec<u32>),
    /// Weights.
    Tfidf(Box<TfidfModel>),
    /// Left singular vectors (terms x k).
    Lsi(Array2<f32>),
    /// Topics; their terms have no names here.
    Lda(Box<LdaModel>),
    /// StandardScaler.
    Scale(StandardScaler),
    /// Normaliser.
    Normalise(Norm),
    /// The estimator.
    Estimator(Fitted),
}

/// Rows on their way through a pipeline.
#[derive(Debug, Clone)]
pub enum Stage {
    /// Documents.
    Documents(CsrChunk),
    /// Rows for an estimator.
    Features(Features),
}

impl Stage {
    /// Rows for an estimator.
    pub fn features(self) -> Features {
        match self {
            Stage::Documents(chunk) => Features::from(&chunk),
            Stage::Features(features) => features,
        }
    }
}

/// Documents with the kept terms only, renumbered.
pub fn keep_terms(chunk: &CsrChunk, kept: &[u32]) -> CsrChunk {
    let mut number = vec![u32::MAX; chunk.terms as usize];
    kept.iter().enumerate().for_each(|(new, &old)| number[old as usize] = new as u32);
    let mut fewer = CsrChunk {
        first_document: chunk.first_document,
        terms: kept.len() as u32,
        indptr: vec![0],
        ..CsrChunk::default()
    };
    for row in 0..chunk.documents() {
        let (terms, values) = chunk.document(row);
        for (&term, &value) in terms.iter().zip(values) {
            if number[term as usize] != u32::MAX {
                fewer.indices.push(number[term as usize]);
                fewer.data.push(value);
            }
        }
        fewer.indptr.push(fewer.indices.len() as u64);
    }
    fewer
}

/// Documents times left vectors.
pub fn project(pool: &rayon::ThreadPool, chunk: &Prepared, left: ArrayView2<f32>) -> Features {
    let projection = Projection::new(left, None);
    let values = projection.documents(pool, chunk).into_iter().map(f64::from).collect();
    Features::Dense(Array2::from_shape_vec((chunk.documents(), left.ncols()), values).expect("rows of k numbers"))
}

impl FittedStep {
    /// Takes rows through the step; the estimator is not one of those.
    pub fn apply(&self, pool: &rayon::ThreadPool, stage: Stage) -> Result<Stage> {
        Ok(match (self, stage) {
            (FittedStep::Terms(kept), Stage::Documents(chunk)) => Stage::Documents(keep_terms(&chunk, kept)),
            (FittedStep::Tfidf(model), Stage::Documents(chunk)) => Stage::Documents(model.apply(&chunk)?),
            (FittedStep::Lsi(left), Stage::Documents(chunk)) => {
                Stage::Features(project(pool, &Prepared::new(chunk)?, left.view()))
            }
            (FittedStep::Lda(model), Stage::Documents(chunk)) => {
                let all = Minimum { share: 0.0, phi: None };
                let (shares, _) = infer(&Shared::of(model).topics(), &chunk, all, pool);
                let shares = shares.into_iter().map(f64::from).collect();
                let shape = (chunk.documents(), model.topics());
                Stage::Features(Features::Dense(Array2::from_shape_vec(shape, shares).expect("rows of k numbers")))
            }
            (
                FittedStep::Terms(_) | FittedStep::Tfidf(_) | FittedStep::Lsi(_) | FittedStep::Lda(_),
                Stage::Features(_),
            ) => {
                return Err(Error::failed("terms, tfidf, lsi and lda work on a corpus, not on vectors"));
            }
            (FittedStep::Scale(scaler), stage) => {
                let mut features = stage.features();
                scale(scaler, &mut features)?;
                Stage::Features(features)
            }
            (FittedStep::Normalise(norm), stage) => {
                let mut features = stage.features();
                normalise(&mut features, *norm);
                Stage::Features(features)
            }
            (FittedStep::Estimator(_), stage) => stage,
        })
    }
}

fn scale(scaler: &StandardScaler, features: &mut Features) -> Result<()> {
    same_columns(features, scaler.columns())?;
    match features {
        Features::Dense(rows) => scaler.apply(rows.as_slice_mut().expect("rows without gaps")),
        Features::Sparse(rows) => {
            if scaler.with_mean {
                return Err(centred());
            }
            if scaler.with_std {
                rows.values
                    .iter_mut()
                    .zip(&rows.indices)
                    .for_each(|(value, &column)| *value /= scaler.scale[column as usize]);
            }
        }
    }
    Ok(())
}

fn same_columns(features: &Features, known: usize) -> Result<()> {
    match features.columns() {
        given if given == known => Ok(()),
        given => Err(Error::failed(format!("rows of {given} columns for a pipeline that learned from {known}"))),
    }
}

fn sparse_end() -> Error {
    Error::usage(
        "the steps before the estimator make no vectors: there is no lsi or lda among them; see corpuscle tfidf",
    )
}

fn centred() -> Error {
    Error::failed("sparse rows cannot be centred: put lsi before scale, or set with_mean = false")
}

/// Fits a scaler to dense or sparse rows.
pub fn fit_scaler(features: &Features, with_mean: bool, with_std: bool) -> Result<StandardScaler> {
    match features {
        Features::Dense(rows) => {
            StandardScaler::fit(rows.as_slice().expect("rows without gaps"), rows.ncols(), with_mean, with_std)
        }
        Features::Sparse(_) if with_mean => Err(centred()),
        Features::Sparse(rows) => {
            let (n, columns) = (rows.rows() as f64, rows.columns);
            let (mut mean, mut squares, mut there) = (vec![0.0; columns], vec![0.0; columns], vec![0.0; columns]);
            let entries = || rows.indices.iter().map(|&column| column as usize).zip(&rows.values);
            entries().for_each(|(column, value)| {
                mean[column] += value / n;
                there[column] += 1.0;
            });
            entries().for_each(|(column, value)| squares[column] += (value - mean[column]).powi(2));
            // Zeros, which are not stored, are as far from the mean as it is from zero.
            (0..columns).for_each(|column| squares[column] += (n - there[column]) * mean[column] * mean[column]);
            let moments = crate::learn::moments::Moments { count: vec![n; columns], mean, squares };
            Ok(StandardScaler::from_moments(&moments, &vec![0.0; columns], with_mean, with_std))
        }
    }
}

/// A pipeline that was fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedPipeline {
    /// The steps, the estimator last, or a model of topics.
    pub steps: Vec<FittedStep>,
    /// Name of each class; none of a regression.
    pub classes: Vec<String>,
}

type Tables = BTreeMap<String, Array2<f64>>;
/// Their names and shapes.
type Shapes = Vec<(String, (usize, usize))>;

impl FittedPipeline {
    /// Predicts.
    pub fn predict(&self, pool: &rayon::ThreadPool, rows: Stage) -> Result<Predicted> {
        let stage = self.through(pool, rows)?;
        let Some(FittedStep::Estimator(fitted)) = self.steps.last() else {
            return Err(Error::usage("the pipeline ends in topics: there is nothing to predict"));
        };
        let features = stage.features();
        same_columns(&features, fitted.columns())?;
        Ok(fitted.predict(&features))
    }

    /// Rows behind the last step that changes them.
    fn through(&self, pool: &rayon::ThreadPool, rows: Stage) -> Result<Stage> {
        self.steps.iter().try_fold(rows, |stage, step| step.apply(pool, stage))
    }

    /// Takes rows through all steps but an estimator at the end: vectors (rows x columns).
    ///
    /// # Errors
    /// Rows it was not made for.
    pub fn transform(&self, pool: &rayon::ThreadPool, rows: Stage) -> Result<Array2<f64>> {
        let stage = self.through(pool, rows)?;
        match stage {
            Stage::Features(Features::Dense(rows)) => Ok(rows),
            Stage::Features(Features::Sparse(_)) | Stage::Documents(_) => Err(sparse_end()),
        }
    }

    /// Columns of the vectors that [`transform`](Self::transform) gives.
    ///
    /// # Errors
    /// The steps before the estimator leave documents as they are, or weighted.
    pub fn width(&self) -> Result<usize> {
        let of_step = |step: &FittedStep| match step {
            FittedStep::Lsi(left) => Some(left.ncols()),
            FittedStep::Lda(model) => Some(model.topics()),
            _ => None,
        };
        let on_documents = self.steps.iter().any(|step| matches!(step, FittedStep::Terms(_) | FittedStep::Tfidf(_)));
        let width = self.steps.iter().find_map(of_step);
        width.or_else(|| self.columns().filter(|_| !on_documents)).ok_or_else(sparse_end)
    }

    /// Columns of the vectors it was made for; none where it was made for documents.
    pub fn columns(&self) -> Option<usize> {
        self.steps.iter().find_map(|step| match step {
            FittedStep::Scale(scaler) => Some(scaler.columns()),
            FittedStep::Estimator(fitted) => Some(fitted.columns()),
            _ => None,
        })
    }

    /// As a description and tables.
    fn parts(&self) -> (Json, Tables) {
        let mut tables = Tables::new();
        let mut described = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            let mut put = |name: &str, table: Array2<f64>| drop(tables.insert(format!("step{at}_{name}"), table));
            let list = |values: Vec<f64>| Array2::from_shape_vec((1, values.len()), values).expect("one row");
            let whole = |values: &[usize]| list(values.iter().map(|&value| value as f64).collect());
            described.push(match step {
                FittedStep::Terms(kept) => {
                    put("kept", list(kept.iter().map(|&term| f64::from(term)).collect()));
                    json!({ "kind": "terms" })
                }
                FittedStep::Tfidf(model) => {
                    json!({ "kind": "tfidf", "model": String::from_utf8_lossy(&model.to_bytes()) })
                }
                FittedStep::Lsi(left) => {
                    put("left_vectors", left.mapv(f64::from));
                    json!({ "kind": "lsi" })
                }
                FittedStep::Lda(model) => {
                    put("topic_word", model.topic_word.mapv(f64::from));
                    put("alpha", list(model.alpha.clone()));
                    put("eta", list(model.eta.0.clone()));
                    put("topic_tokens", list(model.topic_tokens.clone()));
                    let History { documents, tokens, updates } = model.history;
                    json!({ "kind": "lda", "documents": documents, "tokens": tokens, "updates": updates })
                }
                FittedStep::Scale(scaler) => {
                    put("scaler", list(bytemuck::pod_collect_to_vec(&scaler.to_bytes())));
                    json!({ "kind": "scale" })
                }
                FittedStep::Normalise(norm) => {
                    json!({ "kind": "normalise", "norm": match norm { Norm::L1 => "l1", Norm::L2 => "l2", Norm::Max => "max" } })
                }
                FittedStep::Estimator(Fitted::Linear { form, classes, weights }) => {
                    put("classes", whole(classes));
                    put("weights", weights.clone());
                    json!({ "kind": "linear", "form": form })
                }
                FittedStep::Estimator(Fitted::Bayes { classes, threshold, weights, offsets }) => {
                    put("classes", whole(classes));
                    put("weights", weights.clone());
                    put("offsets", list(offsets.clone()));
                    json!({ "kind": "bayes", "threshold": threshold })
                }
                FittedStep::Estimator(Fitted::Centroids { classes, means }) => {
                    put("classes", whole(classes));
                    put("means", means.clone());
                    json!({ "kind": "centroids" })
                }
                FittedStep::Estimator(Fitted::Neighbours { classes, rows, row_classes, k, by_distance, cosine }) => {
                    put("classes", whole(classes));
                    put("row_classes", whole(row_classes));
                    match rows {
                        Features::Dense(rows) => put("rows", rows.clone()),
                        Features::Sparse(rows) => {
                            put("begins", whole(&rows.begins));
                            put("indices", list(rows.indices.iter().map(|&column| f64::from(column)).collect()));
                            put("values", list(rows.values.clone()));
                        }
                    }
                    json!({ "kind": "neighbours", "k": k, "by_distance": by_distance, "cosine": cosine, "columns": rows.columns() })
                }
            });
        }
        (json!({ "steps": described, "classes": self.classes }), tables)
    }

    /// Undoes [`FittedPipeline::parts`].
    fn from_parts(description: &Json, mut tables: Tables) -> Result<FittedPipeline> {
        let damaged = || Error::failed("damaged pipeline; make it again");
        let mut steps = Vec::new();
        for (at, step) in description["steps"].as_array().ok_or_else(damaged)?.iter().enumerate() {
            let mut has = |name: &str| tables.remove(&format!("step{at}_{name}"));
            let mut take = |name: &str| has(name).ok_or_else(damaged);
            let whole = |table: Array2<f64>| -> Vec<usize> { table.iter().map(|&value| value as usize).collect() };
            let fitted = match step["kind"].as_str().unwrap_or_default() {
                "terms" => FittedStep::Terms(take("kept")?.iter().map(|&term| term as u32).collect()),
                "tfidf" => {
                    let model = step["model"].as_str().ok_or_else(damaged)?;
                    FittedStep::Tfidf(Box::new(TfidfModel::from_bytes(model.as_bytes())?))
                }
                "lsi" => FittedStep::Lsi(take("left_vectors")?.mapv(|value| value as f32)),
                "lda" => {
                    let number = |name: &str| step[name].as_u64().ok_or_else(damaged);
                    let topic_word = take("topic_word")?.mapv(|value| value as f32);
                    let mut list = |name: &str| Ok::<Vec<f64>, Error>(take(name)?.iter().copied().collect());
                    let (alpha, eta, topic_tokens) = (list("alpha")?, list("eta")?, list("topic_tokens")?);
                    if alpha.len() != topic_word.nrows() || alpha.is_empty() {
                        return Err(damaged());
                    }
                    FittedStep::Lda(Box::new(LdaModel {
                        topic_word,
                        alpha,
                        eta: Eta(eta),
                        topic_tokens,
                        terms: Vec::new(),
                        history: History {
                            documents: number("documents")?,
                            tokens: number("tokens")?,
                            updates: number("updates")?,
                        },
                    }))
                }
                "scale" => {
                    let numbers = take("scaler")?;
                    FittedStep::Scale(StandardScaler::from_bytes(bytemuck::cast_slice(
                        numbers.as_slice().ok_or_else(damaged)?,
                    ))?)
                }
                "normalise" => FittedStep::Normalise(match step["norm"].as_str() {
                    Some("l1") => Norm::L1,
                    Some("max") => Norm::Max,
                    _ => Norm::L2,
                }),
                "linear" => FittedStep::Estimator(Fitted::Linear {
                    form: serde_json::from_value::<Form>(step["form"].clone()).map_err(|_| damaged())?,
                    classes: whole(take("classes")?),
                    weights: take("weights")?,
                }),
                "bayes" => FittedStep::Estimator(Fitted::Bayes {
                    classes: whole(take("classes")?),
                    threshold: step["threshold"].as_f64(),
                    weights: take("weights")?,
                    offsets: take("offsets")?.iter().copied().collect(),
                }),
                "centroids" => {
                    FittedStep::Estimator(Fitted::Centroids { classes: whole(take("classes")?), means: take("means")? })
                }
                "neighbours" => {
                    let (classes, row_classes) = (whole(take("classes")?), whole(take("row_classes")?));
                    let columns = step["columns"].as_u64().ok_or_else(damaged)? as usize;
                    let rows = match has("rows") {
                        Some(rows) => Features::Dense(rows),
                        None => {
                            let mut list = |name: &str| has(name).ok_or_else(damaged);
                            Features::Sparse(Sparse {
                                columns,
                                begins: whole(list("begins")?),
                                indices: list("indices")?.iter().map(|&column| column as u32).collect(),
                                values: list("values")?.iter().copied().collect(),
                            })
                        }
                    };
                    let k = step["k"].as_u64().ok_or_else(damaged)? as usize;
                    let flag = |name: &str| step[name].as_bool().unwrap_or(false);
                    let (by_distance, cosine) = (flag("by_distance"), flag("cosine"));
                    FittedStep::Estimator(Fitted::Neighbours { classes, rows, row_classes, k, by_distance, cosine })
                }
                _ => return Err(damaged()),
            };
            steps.push(fitted);
        }
        let classes = serde_json::from_value(description["classes"].clone()).map_err(|_| damaged())?;
        Ok(FittedPipeline { steps, classes })
    }

    /// As bytes, to travel: the length of the description, the description with the shapes, the numbers.
    pub fn encode(&self) -> Vec<u8> {
        let (description, tables) = self.parts();
        let shapes: Vec<(&String, (usize, usize))> = tables.iter().map(|(name, table)| (name, table.dim())).collect();
        let head = serde_json::to_vec(&(description, shapes)).expect("plain data with string keys always serialises");
        let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
        bytes.extend(head);
        tables.values().for_each(|table| bytes.extend(table.iter().flat_map(|value| value.to_le_bytes())));
        bytes
    }

    /// Undoes [`FittedPipeline::encode`].
    pub fn decode(bytes: &[u8]) -> Result<FittedPipeline> {
        let damaged = || Error::failed("damaged pipeline in a message");
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (head, numbers) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
        let (description, shapes): (Json, Shapes) = serde_json::from_slice(head).map_err(|_| damaged())?;
        let mut numbers = numbers.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b));
        let mut tables = Tables::new();
        for (name, shape) in shapes {
            let values: Vec<f64> = numbers.by_ref().take(shape.0 * shape.1).collect();
            tables.insert(name, Array2::from_shape_vec(shape, values).map_err(|_| damaged())?);
        }
        FittedPipeline::from_parts(&description, tables)
    }

    /// Writes the pipeline.
    pub fn save(&self, target: Target, terms: &[String], provenance: &Json) -> Result<()> {
        let (description, tables) = self.parts();
        let mut file = ModelWriter::create(target, Format::Pipeline)?;
        let shapes: BTreeMap<&String, (usize, usize)> =
            tables.iter().map(|(name, table)| (name, table.dim())).collect();
        file.strings("description", [json!({ "pipeline": description, "shapes": shapes }).to_string()])?;
        file.strings("classes", &self.classes)?;
        file.strings("terms", terms)?;
        for (name, table) in tables.iter().filter(|(_, table)| table.ncols() > 0) {
            file.table(name, table.view())?;
        }
        file.finish(provenance).map(drop)
    }

    /// Reads a pipeline and its dictionary.
    pub fn load(path: &Path) -> Result<(FittedPipeline, Vec<String>, ModelReader)> {
        let reader = ModelReader::open(path, Format::Pipeline)?;
        let damaged = || Error::failed(format!("{}: damaged pipeline; make it again", path.display()));
        let description = reader.all_strings("description")?.into_iter().next().ok_or_else(damaged)?;
        let description: Json = serde_json::from_str(&description).map_err(|_| damaged())?;
        let shapes: BTreeMap<String, (usize, usize)> =
            serde_json::from_value(description["shapes"].clone()).map_err(|_| damaged())?;
        let mut tables = Tables::new();
        for (name, shape) in shapes {
            let table = if shape.1 > 0 { reader.table(&name)? } else { Array2::zeros(shape) };
            tables.insert(name, table);
        }
        let pipeline = FittedPipeline::from_parts(&description["pipeline"], tables)?;
        Ok((pipeline, reader.all_strings("terms")?, reader))
    }
}
