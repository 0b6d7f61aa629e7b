//! What scikit-learn has beside topics: a scaler, estimators and metrics.
//!
//! Nothing in here but [`table`], [`scaled_file`] and the two functions of [`scaler`] that go through a table knows of ranks: everything is
//! called with rows in memory.

pub mod bayes;
pub mod estimator;
pub mod features;
pub mod lbfgs;
pub mod logistic;
pub mod metrics;
pub mod moments;
pub mod neighbours;
pub mod proximal;
pub mod ridge;
pub mod scaled_file;
pub mod scaler;
pub mod svm;
pub mod svmlight;
pub mod table;

#[cfg(test)]
mod reference_tests;
