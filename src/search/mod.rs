//! Cross-validated search over pipelines: what scikit-learn's `GridSearchCV`, `RandomizedSearchCV` and their halving kin do, over ranks.
//!
//! [`pipeline`] reads what is wanted, [`steps`] knows what a pipeline may be made of, [`space`] numbers the candidates,
//! [`splitters`] and [`mt19937`] make the folds, [`data`] brings the rows to all ranks, [`held`] keeps them, [`run`] hands out the work, [`halving`] in rounds, [`fit`],
//! [`topics`] and [`model`] are the pipeline itself, [`memory`] what it takes, [`results`] what comes out, [`predict`] and [`transform`] what it is for.

pub mod data;
pub mod fit;
pub mod halving;
pub mod held;
pub mod memory;
pub mod model;
pub mod mt19937;
pub mod pipeline;
pub mod predict;
pub mod results;
pub mod run;
pub mod space;
pub mod splitters;
pub mod steps;
pub mod topics;
pub mod transform;
pub mod value;
