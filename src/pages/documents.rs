//! Documents beside topics: which show a topic best, and how much of it each label has.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{At, Error, Result};
use crate::store::file::{Format, OpenFile};
use crate::store::model::ModelReader;
use crate::store::provenance;

/// Bytes of vectors read at a time.
const SLAB: usize = 64 << 20;
/// Labels that are told apart; the others, which have fewer documents, are one.
const LABELS: usize = 40;

/// What documents say about the topics of a model.
#[derive(Debug, Default)]
pub struct Documents {
    /// How many there are.
    pub count: usize,
    /// Labels with their documents, most first; empty where there are none.
    pub labels: Vec<(String, u64)>,
    /// (label, topic): mean share of the topic in the documents of the label.
    pub prevalence: Vec<Vec<f64>>,
    /// Of each topic the documents with the largest shares: share, id, label.
    pub best: Vec<Vec<(f64, String, String)>>,
}

/// Reads the vectors that `transform` made with the model. The share of a topic is its value in an LDA vector; in an LSI
/// vector it is its part of the squared length.
///
/// # Errors
/// Vectors of another model, or a damaged file.
pub fn read(vectors: &Path, model: &OpenFile, squared: bool, each: usize) -> Result<Documents> {
    let reader = ModelReader::open(vectors, Format::Vectors)?;
    if provenance::checksum(&reader.file().provenance()?, "model") != Some(&model.checksum) {
        let (path, model) = (vectors.display(), model.path.display());
        return Err(Error::failed(format!(
            "{path}: not made with the model {model}; make it with `corpuscle transform`"
        )));
    }
    let shape = reader.shape("vectors")?;
    let (count, topics) = match shape[..] {
        [count, topics] => (count, topics),
        _ => return Err(Error::failed(format!("{}: damaged vectors", vectors.display()))),
    };
    let ids = reader.strings("ids")?;
    let labels = if reader.has("labels") { Some(reader.strings("labels")?) } else { None };
    let mut sums: BTreeMap<String, (u64, Vec<f64>)> = BTreeMap::new();
    let mut best: Vec<Vec<(f64, usize)>> = vec![Vec::new(); topics];
    let slab_rows = (SLAB / 4 / topics.max(1)).max(1);
    let mut shares = vec![0.0; topics];
    for first in (0..count).step_by(slab_rows) {
        let rows = slab_rows.min(count - first);
        let slab = reader.rows::<f32>("vectors", first, rows)?;
        let of_slab = labels.as_ref().map(|labels| labels.read(first, rows)).transpose().at(vectors)?;
        for (at, row) in slab.rows().into_iter().enumerate() {
            let part = |value: f32| if squared { f64::from(value).powi(2) } else { f64::from(value) };
            let whole: f64 = if squared { row.iter().map(|&value| part(value)).sum() } else { 1.0 };
            shares.iter_mut().zip(row).for_each(|(share, &value)| *share = part(value) / whole.max(f64::MIN_POSITIVE));
            if let Some(labels) = &of_slab {
                let sums = sums.entry(labels[at].clone()).or_insert_with(|| (0, vec![0.0; topics]));
                sums.0 += 1;
                sums.1.iter_mut().zip(&shares).for_each(|(sum, share)| *sum += share);
            }
            for (best, &share) in best.iter_mut().zip(&shares) {
                if share > 0.0 && (best.len() < each || best.last().is_some_and(|last| share > last.0)) {
                    let place = best.partition_point(|other| other.0 >= share);
                    best.insert(place, (share, first + at));
                    best.truncate(each);
                }
            }
        }
    }
    let name = |&(share, document): &(f64, usize)| {
        let id = ids.read(document, 1).at(vectors)?.remove(0);
        let label = match &labels {
            Some(labels) => labels.read(document, 1).at(vectors)?.remove(0),
            None => String::new(),
        };
        Ok((share, id, label))
    };
    let best = best.iter().map(|best| best.iter().map(name).collect()).collect::<Result<Vec<_>>>()?;
    let (labels, prevalence) = means(sums, topics);
    Ok(Documents { count, labels, prevalence, best })
}

/// Labels with their documents, and the mean shares of the topics in these.
type Means = (Vec<(String, u64)>, Vec<Vec<f64>>);

fn means(sums: BTreeMap<String, (u64, Vec<f64>)>, topics: usize) -> Means {
    let mut all: Vec<(String, (u64, Vec<f64>))> = sums.into_iter().collect();
    all.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    if all.len() > LABELS {
        let mut others = (0, vec![0.0; topics]);
        for (_, (count, sums)) in all.drain(LABELS..) {
            others.0 += count;
            others.1.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
        }
        all.push(("(all others)".into(), others));
    }
    all.into_iter()
        .map(|(label, (count, sums))| ((label, count), sums.into_iter().map(|sum| sum / count as f64).collect()))
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_labels_become_one_and_means_are_of_documents() {
        let sums =
            (0..50u64).map(|number| (format!("l{number:02}"), (100 - number, vec![1.0, number as f64]))).collect();
        let (labels, means) = means(sums, 2);
        assert_eq!((labels.len(), means.len()), (41, 41));
        assert_eq!(labels[0], ("l00".into(), 100));
        let others: u64 = (40..50).map(|number| 100 - number).sum();
        assert_eq!(labels[40], ("(all others)".into(), others));
        assert!((means[40][1] - (40..50).sum::<u64>() as f64 / others as f64).abs() < 1e-12);
    }
}
