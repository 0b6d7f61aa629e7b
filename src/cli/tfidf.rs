//! `corpuscle tfidf`: corpus of counts -> corpus of weights.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::store::atomic::same_file;
use crate::weight::apply::{Targets, Weights, weigh};
use crate::weight::bm25::{Bm25Parameters, Variant};
use crate::weight::scheme::Scheme;
use crate::weight::smart::SmartCode;
use crate::weight::tfidf::Pivoting;

/// The schemes that --k1 and --b belong to.
const BM25: [SchemeName; 3] = [SchemeName::Bm25Okapi, SchemeName::Bm25Lucene, SchemeName::Bm25Atire];

/// What can be chosen with --scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemeName {
    /// tf-idf, in all kinds that --smart names
    Tfidf,
    /// ln(1 + tf) times one minus the term's entropy over the documents
    LogEntropy,
    /// Okapi BM25
    Bm25Okapi,
    /// BM25 as Apache Lucene 8 computes it
    Bm25Lucene,
    /// BM25 as ATIRE computes it
    Bm25Atire,
}

impl SchemeName {
    /// As it is typed.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Weight the counts of a corpus by tf-idf, log-entropy or BM25
///
/// Examples: corpuscle tfidf train.h5 -o train-tfidf.h5 --model-out tfidf.h5
///           corpuscle tfidf new.h5 -o new-tfidf.h5 --model tfidf.h5
///           corpuscle tfidf corpus.h5 -o bm25.h5 --scheme bm25-okapi --k1 1.2
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Tfidf {
    /// Corpus of counts
    corpus: PathBuf,
    /// Corpus of weights to write
    #[arg(short, long, value_name = "CORPUS")]
    output: PathBuf,
    /// How terms are weighted
    #[arg(long, value_enum, default_value_t = SchemeName::Tfidf)]
    scheme: SchemeName,
    /// tf-idf: local weight (b, n or t, a, l, d, L), global weight (n or x, f, t, p) and normalisation (n or x, c, u, b) in
    /// SMART notation, as in gensim [default: nfc]
    #[arg(long, value_name = "CODE")]
    smart: Option<SmartCode>,
    /// tf-idf: document norm that pivoting leaves as it is [default: the mean of the corpus for u and b, no pivoting for n
    /// and c]
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    pivot: Option<f64>,
    /// tf-idf: share of the document's own norm in the pivoted one, 0 to 1 [default: 0.25]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    slope: Option<f64>,
    /// log-entropy: leave documents as long as they are, instead of scaling them to length 1
    #[arg(long)]
    no_normalize: bool,
    /// BM25: how much more a term is worth for occurring often [default: 1.5]
    #[arg(long, value_name = "K1", allow_negative_numbers = true)]
    k1: Option<f64>,
    /// BM25: how much the length of a document counts against it, 0 to 1 [default: 0.75]
    #[arg(long, value_name = "B", allow_negative_numbers = true)]
    b: Option<f64>,
    /// Okapi BM25: share of the mean idf that a term of more than half of the documents gets [default: 0.25]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// Also write the model, for documents to come
    #[arg(long, value_name = "FILE")]
    model_out: Option<PathBuf>,
    /// Take the weights from this model instead of from the corpus
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scheme", "smart", "pivot", "slope", "no_normalize", "k1", "b", "epsilon", "model_out"])]
    model: Option<PathBuf>,
}

impl Tfidf {
    /// Runs on every rank.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        let scheme = self.scheme()?;
        let targets = self.targets(job)?;
        let weights = self.model.map_or(Weights::Fit(scheme), Weights::Load);
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let weighted = weigh(job, &corpus, &weights, targets)?;
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

    /// The scheme with its parameters; those of another one are refused.
    fn scheme(&self) -> Result<Scheme> {
        let given = [
            ("--smart", self.smart.is_some(), &[SchemeName::Tfidf][..]),
            ("--pivot", self.pivot.is_some(), &[SchemeName::Tfidf]),
            ("--slope", self.slope.is_some(), &[SchemeName::Tfidf]),
            ("--no-normalize", self.no_normalize, &[SchemeName::LogEntropy]),
            ("--k1", self.k1.is_some(), &BM25),
            ("--b", self.b.is_some(), &BM25),
            ("--epsilon", self.epsilon.is_some(), &[SchemeName::Bm25Okapi]),
        ];
        if let Some((option, _, of)) = given.iter().find(|(_, given, of)| *given && !of.contains(&self.scheme)) {
            let names: Vec<String> = of.iter().map(|scheme| scheme.name()).collect();
            let what = format!("{option} is an option of --scheme {}, not of {}", names.join(", "), self.scheme.name());
            return Err(Error::usage(what));
        }
        let bm25 = |variant| {
            let usual = Bm25Parameters::default();
            let parameters = Bm25Parameters {
                k1: self.k1.unwrap_or(usual.k1),
                b: self.b.unwrap_or(usual.b),
                epsilon: self.epsilon.unwrap_or(usual.epsilon),
            };
            parameters.check()?;
            Ok(Scheme::Bm25 { variant, parameters })
        };
        match self.scheme {
            SchemeName::Tfidf => Ok(Scheme::Tfidf {
                code: self.smart.unwrap_or_default(),
                pivoting: Pivoting { pivot: self.pivot, slope: self.slope.unwrap_or(Pivoting::default().slope) },
            }),
            SchemeName::LogEntropy => Ok(Scheme::LogEntropy { normalised: !self.no_normalize }),
            SchemeName::Bm25Okapi => bm25(Variant::Okapi),
            SchemeName::Bm25Lucene => bm25(Variant::Lucene),
            SchemeName::Bm25Atire => bm25(Variant::Atire),
        }
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
