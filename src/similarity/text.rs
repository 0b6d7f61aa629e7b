//! A text to a vector, by the steps that the documents of an index went through: tokens, counts over the dictionary,
//! weights, and the projection onto the topics, divided by the singular values where theirs were.
//!
//! Each step is the one that `build --dictionary`, `tfidf --model` and `transform` take, so the text of a document gets the
//! bits of its vector. What the steps need is found when an index is made, from how the vectors say they came about, and
//! written into the index.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::unit::normalise;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::{MAX_COUNT, Values, WEIGHTING};
use crate::corpus::tokenizer::{Tokenizer, TokenizerSpec};
use crate::error::{At, Error, Result};
use crate::linalg::Prepared;
use crate::lsi::model::LsiModel;
use crate::lsi::projection::Projection;
use crate::store::file::{Format, OpenFile};
use crate::store::model::{ModelReader, ModelWriter};
use crate::store::provenance;
use crate::weight::saved;
use crate::weight::scheme::WeightModel;

/// Characters of a text that are shown in a message.
const SHOWN: usize = 60;

/// The steps from text to vector, found when an index is made.
pub struct Steps {
    tokenizer: TokenizerSpec,
    scaled: bool,
    model: LsiModel,
    file: ModelReader,
}

impl Steps {
    /// Finds the steps that led to some vectors, with the model that was the last of them.
    ///
    /// # Errors
    /// Another model; vectors of documents that were not made from text by `build`, or were weighted in another way than
    /// those the model was made from; a model without its weighting.
    pub fn find(vectors: &OpenFile, path: &Path) -> Result<Steps> {
        let file = ModelReader::open(path, Format::Lsi)?;
        let (documents, name) = (vectors.path.display(), path.display());
        let made = vectors.provenance()?;
        let refuse = |what: String| Err(Error::failed(what));
        if provenance::checksum(&made, "model") != Some(file.file().checksum.as_str()) {
            return refuse(format!(
                "{name}: is not the model that {documents} was made with; give that one, or transform the documents again"
            ));
        }
        let tokenizer = provenance::step(&made, "build").map(|build| &build["parameters"]["tokenizer"]);
        let Some(tokenizer) = tokenizer.and_then(|spec| TokenizerSpec::deserialize(spec).ok()) else {
            return refuse(format!(
                "{documents}: its documents were not made from text by `corpuscle build`, so nothing tells how a text is \
                 cut into terms; leave out --model, for vector queries only"
            ));
        };
        let model = LsiModel::read(&file)?;
        if model.values != Values::Counts.name() {
            let Some(weighting) = file.section(WEIGHTING)? else {
                return refuse(format!(
                    "{name}: does not tell how the corpus it was made from was weighted; weight that with `corpuscle \
                     tfidf` and make the model again"
                ));
            };
            let fingerprint = saved::read(&weighting, &model.terms)?.fingerprint();
            let weights = provenance::step(&made, "tfidf").and_then(|step| step["parameters"]["weights"].as_str());
            if weights != Some(fingerprint.as_str()) {
                return refuse(format!(
                    "{documents}: its documents were not weighted by the model of weights behind {name}; weight them with \
                     `corpuscle tfidf --model` and transform them again"
                ));
            }
        }
        let scaled = made["parameters"]["scaled"] == true;
        Ok(Steps { tokenizer, scaled, model, file })
    }

    /// Writes what the steps need into an index.
    pub fn write(&self, index: &mut ModelWriter) -> Result<()> {
        let tokenizer = serde_json::to_string(&self.tokenizer).map_err(|cause| Error::failed(cause.to_string()))?;
        index.strings("tokenizer", [tokenizer])?;
        index.strings("terms", &self.model.terms)?;
        if let Some(weighting) = self.file.section(WEIGHTING)? {
            index.section(WEIGHTING)?.copy(&weighting)?;
        }
        index.table("left_vectors", self.model.left_vectors.view())?;
        if self.scaled {
            index.list("singular_values", &self.model.singular_values)?;
        }
        Ok(())
    }
}

/// Copies the steps of one index into another.
pub fn copy_steps(from: &ModelReader, index: &mut ModelWriter) -> Result<()> {
    for name in ["tokenizer", "terms"] {
        index.strings(name, from.all_strings(name)?)?;
    }
    if let Some(weighting) = from.section(WEIGHTING)? {
        index.section(WEIGHTING)?.copy(&weighting)?;
    }
    index.table("left_vectors", from.table::<f32>("left_vectors")?.view())?;
    if from.has("singular_values") {
        index.list("singular_values", &from.list::<f64>("singular_values")?)?;
    }
    Ok(())
}

/// How vectors came about, as far as it decides whether they can be compared: the model, and whether it scaled them; and
/// whether the same steps lead from text to them: the tokenizer and the weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    model: Value,
    scaled: bool,
    tokenizer: Value,
    weights: Value,
}

impl Origin {
    /// Of a file of vectors, or of an index.
    pub fn of(file: &OpenFile, is_index: bool) -> Result<Origin> {
        let made = file.provenance()?;
        if is_index {
            return Origin::deserialize(&made["parameters"]["origin"]).map_err(|_| {
                Error::failed(format!(
                    "{}: does not tell how its vectors were made; make the index again from its vectors",
                    file.path.display()
                ))
            });
        }
        let parameter = |command: &str, name: &str| {
            provenance::step(&made, command).map_or(Value::Null, |step| step["parameters"][name].clone())
        };
        Ok(Origin {
            model: made["inputs"]["model"]["checksum"].clone(),
            scaled: made["parameters"]["scaled"] == true,
            tokenizer: parameter("build", "tokenizer"),
            weights: parameter("tfidf", "weights"),
        })
    }

    /// Makes sure that vectors of both origins belong into one index, which answers texts or does not.
    ///
    /// # Errors
    /// They name the `other` file.
    pub fn check(&self, other: &Origin, path: &Path, text: bool) -> Result<()> {
        let what = if self.model != other.model {
            "its vectors were made with another model than those before it"
        } else if self.scaled != other.scaled {
            "its vectors were made with --scaled and those before it were not, or the other way round"
        } else if text && self.tokenizer != other.tokenizer {
            "its documents were cut into terms in another way than those before it"
        } else if text && self.weights != other.weights {
            "its documents were weighted by another model than those before it"
        } else {
            return Ok(());
        };
        Err(Error::failed(format!("{}: {what}; they cannot be compared in one index", path.display())))
    }
}

/// The steps of an index, ready to be taken.
pub struct TextSpace {
    tokenizer: Tokenizer,
    terms: HashMap<String, u32>,
    weighting: Option<WeightModel>,
    projection: Projection,
}

impl TextSpace {
    /// Reads the steps from an index.
    ///
    /// # Errors
    /// An index that was made without a model.
    pub fn read(index: &ModelReader) -> Result<TextSpace> {
        let path = &index.file().path;
        if !index.has("tokenizer") {
            return Err(Error::failed(format!(
                "{}: answers vectors only, since it was made without a model; `corpuscle index --model` makes one that \
                 answers texts",
                path.display()
            )));
        }
        let damaged = |what: &str| Error::failed(format!("{}: damaged index ({what}); make it again", path.display()));
        let spec: TokenizerSpec = match &index.all_strings("tokenizer")?[..] {
            [spec] => serde_json::from_str(spec).at(path)?,
            _ => return Err(damaged("not one tokenizer")),
        };
        let terms = index.all_strings("terms")?;
        let weighting = index.section(WEIGHTING)?.map(|weighting| saved::read(&weighting, &terms)).transpose()?;
        let left_vectors: Array2<f32> = index.table("left_vectors")?;
        let scaled = index.has("singular_values");
        let divisors: Option<Vec<f64>> = scaled.then(|| index.list("singular_values")).transpose()?;
        let topics = left_vectors.ncols();
        if left_vectors.nrows() != terms.len() || divisors.as_ref().is_some_and(|divisors| divisors.len() != topics) {
            return Err(damaged("the parts of its model do not fit each other"));
        }
        Ok(TextSpace {
            tokenizer: Tokenizer::new(&spec)?,
            terms: terms.into_iter().zip(0..).collect(),
            weighting,
            projection: Projection::new(left_vectors.view(), divisors),
        })
    }

    /// The vectors of some texts, of length 1 (texts x k).
    ///
    /// # Errors
    /// A text without any term of the dictionary, or of terms without any weight.
    pub fn vectors(&self, pool: &rayon::ThreadPool, texts: &[String]) -> Result<Array2<f32>> {
        let mut vectors = Vec::with_capacity(texts.len() * self.projection.topics());
        for text in texts {
            let mut chunk = self.count(text)?;
            if chunk.nonzeros() == 0 {
                return Err(Error::failed(format!("the text {} has no term that the dictionary knows", shown(text))));
            }
            if let Some(weighting) = &self.weighting {
                chunk = weighting.apply(&chunk)?;
            }
            let vector = self.projection.documents(pool, &Prepared::new(chunk)?);
            if vector.iter().all(|&value| value == 0.0) {
                return Err(Error::failed(format!("the text {} has no term that weighs anything", shown(text))));
            }
            vectors.extend(vector);
        }
        let shape = (texts.len(), self.projection.topics());
        let mut vectors = Array2::from_shape_vec(shape, vectors)
            .map_err(|cause| Error::failed(format!("vectors of texts do not add up: {cause}")))?;
        vectors.rows_mut().into_iter().for_each(|row| {
            normalise(row);
        });
        Ok(vectors)
    }

    /// How often each term of the dictionary is in a text, as a chunk of one document.
    fn count(&self, text: &str) -> Result<CsrChunk> {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        self.tokenizer.tokens(text, &mut String::new(), |token| {
            if let Some(&term) = self.terms.get(token) {
                *counts.entry(term).or_default() += 1;
            }
        });
        if let Some(count) = counts.values().find(|&&count| count > MAX_COUNT) {
            return Err(Error::failed(format!(
                "the text {} has a term {count} times, more than a count can be (2^24)",
                shown(text)
            )));
        }
        Ok(CsrChunk {
            terms: self.terms.len() as u32,
            indptr: vec![0, counts.len() as u64],
            indices: counts.keys().copied().collect(),
            data: counts.values().map(|&count| count as f32).collect(),
            ..CsrChunk::default()
        })
    }
}

/// A text as it stands in a message: its beginning, on one line.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    format!("{shown:?}")
}
