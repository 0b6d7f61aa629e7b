//! What a search found, read from its result file: CSV, JSON or HDF5, with the columns of scikit-learn's `cv_results_`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{At, Error, Result};
use crate::store::file::Format;
use crate::store::model::ModelReader;

/// Scores of all candidates by one measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Scorer {
    /// As in the column, `score` where there is one only.
    pub name: String,
    /// Mean over the folds; NaN where a candidate has no score.
    pub mean: Vec<f64>,
    /// Standard deviation over the folds.
    pub std: Vec<f64>,
    /// 1 is the best.
    pub rank: Vec<f64>,
}

/// All candidates of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// Names of parameters, without `param_`, with the value of each candidate.
    pub parameters: Vec<(String, Vec<String>)>,
    /// At least one.
    pub scorers: Vec<Scorer>,
    /// Mean seconds of fitting on a fold, where they are known.
    pub fit_seconds: Option<Vec<f64>>,
}

/// Columns as text, by name, in the order of the file.
type Columns = Vec<(String, Vec<String>)>;

impl Candidates {
    /// Reads results, and the times that `search` wrote beside them.
    ///
    /// # Errors
    /// A file that is no result of a search, with the reason.
    pub fn read(path: &Path) -> Result<Candidates> {
        let columns = columns(path)?;
        let mut found = Candidates::of(columns).map_err(|why| {
            Error::failed(format!(
                "{}: not the results of a search ({why}); give what `corpuscle search -o` wrote",
                path.display()
            ))
        })?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".times.csv");
        let beside = PathBuf::from(beside);
        if found.fit_seconds.is_none() && beside.exists() {
            found.fit_seconds = from_csv(&beside)?
                .into_iter()
                .find(|(name, _)| name == "mean_fit_time")
                .map(|(_, texts)| numbers(&texts));
            if found.fit_seconds.as_ref().is_some_and(|times| times.len() != found.len()) {
                return Err(Error::failed(format!("{}: not the times of {}", beside.display(), path.display())));
            }
        }
        Ok(found)
    }

    fn of(columns: Columns) -> std::result::Result<Candidates, &'static str> {
        let by_name: BTreeMap<&str, &Vec<String>> =
            columns.iter().map(|(name, texts)| (name.as_str(), texts)).collect();
        let column = |name: String| by_name.get(name.as_str()).map(|texts| numbers(texts));
        let mut scorers = Vec::new();
        for (name, mean) in columns.iter().filter_map(|(name, texts)| Some((name.strip_prefix("mean_test_")?, texts))) {
            let std = column(format!("std_test_{name}")).ok_or("a mean without a standard deviation")?;
            let rank = column(format!("rank_test_{name}")).ok_or("a mean without a rank")?;
            scorers.push(Scorer { name: name.to_owned(), mean: numbers(mean), std, rank });
        }
        let parameters: Columns = columns
            .iter()
            .filter_map(|(name, texts)| Some((name.strip_prefix("param_")?.to_owned(), texts.clone())))
            .collect();
        let fit_seconds = column("mean_fit_time".into());
        let length = scorers.first().ok_or("it has no column mean_test_...")?.mean.len();
        if length == 0 || columns.iter().any(|(_, texts)| texts.len() != length) {
            return Err("it has no candidates, or columns of different lengths");
        }
        Ok(Candidates { parameters, scorers, fit_seconds })
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.scorers[0].mean.len()
    }

    /// There is always one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Candidates by their rank in a scorer, those without a score last.
    pub fn by_rank(&self, scorer: usize) -> Vec<usize> {
        let rank = |candidate: &usize| {
            let rank = self.scorers[scorer].rank[*candidate];
            if rank.is_nan() { f64::INFINITY } else { rank }
        };
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
        order
    }
}

fn columns(path: &Path) -> Result<Columns> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => from_csv(path),
        Some("json") => from_json(path),
        _ => from_hdf5(path),
    }
}

fn from_csv(path: &Path) -> Result<Columns> {
    let mut reader = csv::Reader::from_path(path).at(path)?;
    let mut columns: Columns = reader.headers().at(path)?.iter().map(|name| (name.to_owned(), Vec::new())).collect();
    for record in reader.records() {
        let record = record.at(path)?;
        columns.iter_mut().zip(&record).for_each(|((_, texts), text)| texts.push(text.to_owned()));
    }
    Ok(columns)
}

fn from_json(path: &Path) -> Result<Columns> {
    let all: serde_json::Map<String, Value> = serde_json::from_slice(&fs::read(path).at(path)?)
        .map_err(|cause| Error::failed(format!("{}: not the results of a search ({cause})", path.display())))?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let list = |(name, value): (String, Value)| Some((name, value.as_array()?.iter().map(text).collect()));
    Ok(all.into_iter().filter_map(list).collect())
}

fn from_hdf5(path: &Path) -> Result<Columns> {
    let reader = ModelReader::open(path, Format::Results)?;
    let names =
        reader.file().file.member_names().map_err(|cause| Error::failed(format!("{}: {cause}", path.display())))?;
    let mut columns = Columns::new();
    for name in names {
        if !["param_", "mean_", "std_", "rank_", "split"].iter().any(|head| name.starts_with(head)) {
            continue;
        }
        let texts = if let Ok(values) = reader.list::<f64>(&name) {
            values.iter().map(f64::to_string).collect()
        } else if let Ok(values) = reader.list::<i32>(&name) {
            values.iter().map(i32::to_string).collect()
        } else {
            reader.all_strings(&name)?
        };
        columns.push((name, texts));
    }
    Ok(columns)
}

fn numbers(texts: &[String]) -> Vec<f64> {
    texts.iter().map(|text| text.parse().unwrap_or(f64::NAN)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = ",param_lsi__k,param_tfidf__smart,params,split0_test_score,mean_test_score,std_test_score,rank_test_score\n\
                       0,6,nfc,{},0.5,0.5,0.1,2\n1,12,lfc,{},0.9,0.9,0.05,1\n2,12,nfc,{},,,,3\n";

    #[test]
    fn csv_and_json_are_read_with_times_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        fs::write(&path, CSV).unwrap();
        fs::write(folder.path().join("r.csv.times.csv"), ",mean_fit_time\n0,1.5\n1,2\n2,3\n").unwrap();
        let found = Candidates::read(&path).unwrap();
        assert_eq!((found.len(), found.by_rank(0)), (3, vec![1, 0, 2]));
        assert_eq!(found.parameters[1], ("tfidf__smart".into(), ["nfc", "lfc", "nfc"].map(String::from).into()));
        assert_eq!(found.fit_seconds, Some(vec![1.5, 2.0, 3.0]));
        assert!(found.scorers[0].mean[2].is_nan());
        let json = folder.path().join("r.json");
        fs::write(
            &json,
            r#"{"param_k":[1,2],"params":[{},{}],"mean_test_score":[0.1,null],"std_test_score":[0.1,null],"rank_test_score":[1,2]}"#,
        )
        .unwrap();
        let found = Candidates::read(&json).unwrap();
        assert_eq!((found.len(), found.parameters[0].1[1].as_str()), (2, "2"));
    }

    #[test]
    fn other_tables_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        for (text, reason) in [
            ("a,b\n1,2\n", "no column mean_test_"),
            ("mean_test_score\n1\n", "without a standard deviation"),
            ("mean_test_score,std_test_score,rank_test_score\n", "no candidates"),
        ] {
            fs::write(&path, text).unwrap();
            let message = Candidates::read(&path).unwrap_err().to_string();
            assert!(message.contains("r.csv: not the results of a search") && message.contains(reason), "{message}");
        }
    }
}
