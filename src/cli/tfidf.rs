//! `corpuscle tfidf`: corpus of counts -> corpus of weights.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::store::atomic::same_file;
use crate::weight::apply::{Scheme, Targets, weigh};
use crate::weight::smart::SmartCode;
use crate::weight::tfidf::Pivoting;

/// Weight the counts of a corpus by tf-idf
///
/// Examples: corpuscle tfidf train.h5 -o train-tfidf.h5 --model-out tfidf.h5
///           corpuscle tfidf new.h5 -o new-tfidf.h5 --model tfidf.h5
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Tfidf {
    /// Corpus of counts
    corpus: PathBuf,
    /// Corpus of weights to write
    #[arg(short, long, value_name = "CORPUS")]
    output: PathBuf,
    /// Local weight (b, n or t, a, l, d, L), global weight (n or x, f, t, p) and normalisation (n or x, c, u, b) in
    /// SMART notation, as in gensim
    #[arg(long, value_name = "CODE", default_value_t = SmartCode::default())]
    smart: SmartCode,
    /// Document norm that pivoting leaves as it is [default: the mean of the corpus for u and b, no pivoting for n and c]
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    pivot: Option<f64>,
    /// Share of the document's own norm in the pivoted one, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = Pivoting::default().slope, allow_negative_numbers = true)]
    slope: f64,
    /// Also write the model, for documents to come
    #[arg(long, value_name = "FILE")]
    model_out: Option<PathBuf>,
    /// Take the weights from this model instead of from the corpus
    #[arg(long, value_name = "FILE", conflicts_with_all = ["smart", "pivot", "slope", "model_out"])]
    model: Option<PathBuf>,
}

impl Tfidf {
    /// Runs on every rank.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        let targets = self.targets(job)?;
        let scheme = match self.model {
            Some(path) => Scheme::Load(path),
            None => Scheme::Fit { code: self.smart, pivoting: Pivoting { pivot: self.pivot, slope: self.slope } },
        };
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let weighted = weigh(job, &corpus, &scheme, targets)?;
        let result = weighted
            .header
            .map(|header| json!({ "documents": header.documents, "terms": header.terms, "nonzeros": header.nonzeros }));
        Ok(Outcome {
            output: Some(self.output),
            parameters: weighted.parameters,
            result: result.unwrap_or_default(),
            accounted: true,
        })
    }

    /// Makes sure that the files can be written.
    fn targets(&self, job: &Job) -> Result<Option<Targets>> {
        if job.is_dispatcher()
            && let Some(model) = &self.model_out
            && same_file(model, &self.output)
        {
            let name = model.display();
            return Err(Error::usage(format!("{name}: --model-out and --output name one file; give each its own")));
        }
        let corpus = job.target(&self.output)?;
        let model = self.model_out.as_ref().map(|path| job.target(path)).transpose()?.flatten();
        Ok(corpus.map(|corpus| Targets { corpus, model }))
    }
}
