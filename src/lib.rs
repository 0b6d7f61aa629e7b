//! # corpuscle
//!
//! Distributed semantic modelling of text corpora: one SPMD program on MPI whose rank 0 dispatches and whose other
//! ranks work. The same command runs serially, under `mpirun` and in a Slurm job, and gives the same bytes.
//!
//! The map of the house; arrows point down only:
//!
//! ```text
//! cli        flags -> validated parameters -> one call
//! build      raw text to a corpus
//! convert    corpora made of something else than text: import, export, generate, split
//! lsi        singular vectors: training, projection, quality
//! lda        topic models: training, inference, quality
//! nmf        non-negative factors, from minibatches
//! pca        principal components of dense rows and of documents
//! projection random projections
//! vectors    vectors of documents and rows as files
//! weight     term weights: tf-idf, log-entropy, BM25
//! learn      scaler, estimators, metrics, on dense or sparse rows
//! search     cross-validated search over pipelines, prediction
//! similarity the nearest of many vectors: index and query
//! pages      HTML pages about models and searches
//! doctor     which MPI, BLAS, cores and folders a run has, and how fast they are
//! dispatch   fold (a sum over the corpus) and farm (independent tasks over shared data)
//! comm       the only rooms that know MPI
//! corpus, linalg, store, report     used by all of the above
//! ```

// Linked for the BLAS they bring, through ndarray.
#[cfg(feature = "mkl")]
use intel_mkl_src as _;
#[cfg(any(feature = "mkl", feature = "openblas"))]
use ndarray_linalg as _;

#[cfg(target_endian = "big")]
compile_error!("numbers travel between ranks as they lie in memory: little-endian machines only");

pub mod build;
pub mod cli;
pub mod comm;
pub mod convert;
pub mod corpus;
pub mod dispatch;
pub mod doctor;
pub mod error;
pub mod lda;
pub mod learn;
pub mod linalg;
pub mod lsi;
pub mod nmf;
pub mod pages;
pub mod pca;
pub mod projection;
pub mod random;
pub mod report;
pub mod search;
pub mod similarity;
pub mod store;
pub mod vectors;
pub mod weight;
