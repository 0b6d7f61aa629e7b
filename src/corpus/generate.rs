//! Synthetic corpora of any size, a document at a time, the same for any partition of the work.
//!
//! The model is latent Dirichlet allocation over a Zipf vocabulary. Term r has base probability proportional to
//! 1 / (r + 2.7) (Zipf-Mandelbrot). A topic re-weights it: 40 % of its mass is the base distribution, 60 % lies on a few
//! hundred terms of its own, chosen at all frequencies alike and weighted by the square root of their base probability. A
//! document's mixture over the topics is Dirichlet(2 / topics): sparse, about three topics a document. Its length is
//! log-normal around the mean, with sigma 0.5.
//!
//! Cost: two random numbers and a look into an alias table (Walker, "An efficient method for generating discrete random
//! variables with general distributions", ACM TOMS 3, 1977) a token, then a sort of the document's tokens.

use crate::corpus::chunk::{CsrChunk, MAX_CHUNK_DOCUMENTS};
use crate::error::{Error, Result};
use crate::random::Stream;
use serde::Serialize;

/// Share of a topic's mass on its own terms.
const OWN_SHARE: f64 = 0.6;

/// Total concentration of the Dirichlet mixture of a document.
const CONCENTRATION: f64 = 2.0;

/// Standard deviation of the logarithm of the length.
const LENGTH_SIGMA: f64 = 0.5;

/// Tokens of a chunk, about.
const CHUNK_TOKENS: f64 = 2e6;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GenerateSpec {
    /// Number of documents.
    pub documents: u64,
    /// Size of the dictionary; rare terms may never occur.
    pub terms: u32,
    /// Number of topics.
    pub topics: u32,
    /// Tokens of a document, on average.
    pub mean_length: f64,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// A checked [`GenerateSpec`] with its tables: 8 bytes a term and up to 8 KB a topic.
#[derive(Debug, Clone)]
pub struct GeneratePlan {
    spec: GenerateSpec,
    documents_per_chunk: u64,
    base: Alias,
    topics: Vec<Topic>,
}

#[derive(Debug, Clone)]
struct Topic {
    own_terms: Vec<u32>,
    own: Alias,
}

/// Generated documents and the dominant topic of each: its label.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedChunk {
    /// The documents as counts.
    pub documents: CsrChunk,
    /// The topic with the largest share in each document's mixture.
    pub topics: Vec<u32>,
}

impl GeneratedChunk {
    /// As bytes, to travel.
    pub fn encode(&self) -> Vec<u8> {
        let documents = self.documents.encode();
        [&(documents.len() as u64).to_le_bytes(), &documents[..], bytemuck::cast_slice(&self.topics)].concat()
    }

    /// Undoes [`encode`](Self::encode); refuses damaged bytes.
    pub fn decode(bytes: &[u8]) -> Result<GeneratedChunk> {
        let damaged = || Error::failed("damaged message: generated documents");
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (documents, topics) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let documents = CsrChunk::decode(documents)?;
        if topics.len() != documents.documents() * size_of::<u32>() {
            return Err(damaged());
        }
        Ok(GeneratedChunk { documents, topics: bytemuck::pod_collect_to_vec(topics) })
    }
}

impl GenerateSpec {
    /// Checks the numbers alone.
    pub fn check_numbers(&self) -> Result<()> {
        let refuse = |what: &str| Err(Error::usage(what.to_string()));
        if self.documents == 0 || self.documents > 1 << 40 {
            return refuse("--documents must be from 1 to 2^40");
        }
        if self.terms < 10 || self.terms > i32::MAX as u32 {
            return refuse("--terms must be from 10 to 2^31 - 1");
        }
        if self.topics == 0 || self.topics > 100_000 {
            return refuse("--topics must be from 1 to 100000");
        }
        if !(1.0..=1e6).contains(&self.mean_length) {
            return refuse("--mean-length must be from 1 to 1000000 tokens");
        }
        Ok(())
    }

    fn documents_per_chunk(&self) -> u64 {
        ((CHUNK_TOKENS / self.mean_length) as u64).clamp(1, MAX_CHUNK_DOCUMENTS)
    }

    /// Documents of a chunk, and its tokens on average.
    pub fn chunk_sizes(&self) -> (u64, u64) {
        let documents = self.documents_per_chunk().min(self.documents);
        (documents, (documents as f64 * self.mean_length) as u64)
    }

    /// Checks the numbers and prepares the tables.
    pub fn check(self) -> Result<GeneratePlan> {
        self.check_numbers()?;
        let weight = |rank: u32| 1.0 / (f64::from(rank) + 2.7);
        let base = Alias::new((0..self.terms).map(weight));
        let topics = (0..self.topics).map(|topic| Topic::new(&self, topic, weight)).collect();
        let documents_per_chunk = self.documents_per_chunk();
        Ok(GeneratePlan { spec: self, documents_per_chunk, base, topics })
    }
}

impl Topic {
    fn new(spec: &GenerateSpec, topic: u32, weight: impl Fn(u32) -> f64) -> Self {
        let wanted = (spec.terms as usize / 20).clamp(5, 1000);
        let mut stream = Stream::new(spec.seed, "generate topic", u64::from(topic));
        let mut own_terms = std::collections::BTreeSet::new();
        while own_terms.len() < wanted {
            // Log-uniform ranks: as many among the frequent terms as among the rare ones.
            let rank = (stream.uniform() * f64::from(spec.terms).ln()).exp() - 1.0;
            own_terms.insert((rank as u32).min(spec.terms - 1));
        }
        let own_terms: Vec<u32> = own_terms.into_iter().collect();
        let own = Alias::new(own_terms.iter().map(|&term| weight(term).sqrt()));
        Topic { own_terms, own }
    }
}

impl GeneratePlan {
    /// The numbers this plan was made from.
    pub fn spec(&self) -> &GenerateSpec {
        &self.spec
    }

    /// Number of chunks.
    pub fn chunks(&self) -> u64 {
        self.spec.documents.div_ceil(self.documents_per_chunk)
    }

    /// Documents of chunk `number`, as first and count.
    pub fn span(&self, number: u64) -> (u64, u64) {
        let first = number * self.documents_per_chunk;
        (first, self.documents_per_chunk.min(self.spec.documents.saturating_sub(first)))
    }

    /// The dictionary, the most frequent term first.
    pub fn terms(&self) -> Vec<String> {
        (0..self.spec.terms).map(|term| format!("term{term}")).collect()
    }

    /// The id of a document.
    pub fn id(document: u64) -> String {
        format!("document{document}")
    }

    /// The label of a document with this dominant topic.
    pub fn label(topic: u32) -> String {
        format!("topic{topic}")
    }

    /// Generates chunk `number`.
    pub fn chunk(&self, number: u64) -> GeneratedChunk {
        let (first, count) = self.span(number);
        self.documents(first, count)
    }

    /// Generates documents `first .. first + count`.
    pub fn documents(&self, first: u64, count: u64) -> GeneratedChunk {
        let mut chunk =
            CsrChunk { first_document: first, terms: self.spec.terms, indptr: vec![0], ..CsrChunk::default() };
        let mut topics = Vec::with_capacity(count as usize);
        let (mut mixture, mut tokens) = (Vec::new(), Vec::new());
        for document in first..first + count {
            let mut stream = Stream::new(self.spec.seed, "generate document", document);
            topics.push(self.draw_mixture(&mut stream, &mut mixture));
            self.draw_tokens(&mut stream, &mixture, &mut tokens);
            tokens.sort_unstable();
            for run in tokens.chunk_by(|a, b| a == b) {
                chunk.indices.push(run[0]);
                chunk.data.push(run.len() as f32);
            }
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        GeneratedChunk { documents: chunk, topics }
    }

    /// Draws a Dirichlet(c / K, .. c / K) mixture over K topics and returns its dominant topic. `mixture` gets cumulative
    /// shares and topics.
    ///
    /// Stick-breaking (Sethuraman, "A constructive definition of Dirichlet priors", 1994): pieces of Beta(1, c) share of
    /// what is left, each given to a uniform topic. It is broken off when 0.1 % is left, which the last piece takes.
    fn draw_mixture(&self, stream: &mut Stream, mixture: &mut Vec<(f64, u32)>) -> u32 {
        mixture.clear();
        let mut left = 1.0;
        while left > 1e-3 {
            // Beta(1, c) by inversion.
            left *= (1.0 - stream.uniform()).powf(1.0 / CONCENTRATION);
            mixture.push((1.0 - left, stream.below(u64::from(self.spec.topics)) as u32));
        }
        let mut dominant = (0.0, 0);
        for &(_, topic) in mixture.iter() {
            let mut begin = 0.0;
            let mut share = 0.0;
            for &(end, other) in mixture.iter() {
                share += if other == topic { end - begin } else { 0.0 };
                begin = end;
            }
            if share > dominant.0 {
                dominant = (share, topic);
            }
        }
        dominant.1
    }

    fn draw_tokens(&self, stream: &mut Stream, mixture: &[(f64, u32)], tokens: &mut Vec<u32>) {
        let centre = self.spec.mean_length.ln() - 0.5 * LENGTH_SIGMA * LENGTH_SIGMA;
        let length = (centre + LENGTH_SIGMA * stream.normal()).exp().round().max(1.0) as usize;
        tokens.clear();
        for _ in 0..length {
            let place = stream.uniform();
            let piece = mixture.iter().position(|&(end, _)| place < end).unwrap_or(mixture.len() - 1);
            let begin = if piece == 0 { 0.0 } else { mixture[piece - 1].0 };
            let (end, topic) = mixture[piece];
            // Where in its piece the number fell is uniform again: it decides between own and common terms.
            let own = place - begin < OWN_SHARE * (end - begin);
            let topic = &self.topics[topic as usize];
            tokens.push(if own { topic.own_terms[topic.own.draw(stream) as usize] } else { self.base.draw(stream) });
        }
    }
}

/// A discrete distribution that is drawn from in constant time.
#[derive(Debug, Clone)]
struct Alias {
    /// For each slot: below which 32-bit number the slot itself is meant, and what is meant otherwise.
    slots: Vec<(u32, u32)>,
}

impl Alias {
    /// The distribution proportional to `weights`, which are positive (Vose's construction).
    fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut scaled: Vec<f64> = weights.collect();
        let mean = scaled.iter().sum::<f64>() / scaled.len() as f64;
        scaled.iter_mut().for_each(|weight| *weight /= mean);
        let mut slots: Vec<(u32, u32)> = (0..scaled.len() as u32).map(|slot| (u32::MAX, slot)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..scaled.len() as u32).partition(|&slot| scaled[slot as usize] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            slots[poor as usize] = ((scaled[poor as usize] * 2f64.powi(32)) as u32, rich);
            scaled[rich as usize] -= 1.0 - scaled[poor as usize];
            if scaled[rich as usize] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Alias { slots }
    }

    fn draw(&self, stream: &mut Stream) -> u32 {
        let bits = stream.bits();
        let slot = ((bits >> 32) * self.slots.len() as u64) >> 32;
        let (below, other) = self.slots[slot as usize];
        if (bits as u32) < below { slot as u32 } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(documents: u64) -> GeneratePlan {
        GenerateSpec { documents, terms: 2000, topics: 20, mean_length: 80.0, seed: 7 }.check().unwrap()
    }

    #[test]
    fn any_partition_gives_the_same_documents() {
        let plan = plan(500);
        let whole = plan.documents(0, 500);
        whole.documents.check().unwrap();
        for first in [0, 1, 123, 499] {
            let part = plan.documents(first, 1);
            assert_eq!(part.documents.document(0), whole.documents.document(first as usize));
            assert_eq!(part.topics[0], whole.topics[first as usize]);
        }
        let bytes = whole.encode();
        assert_eq!(GeneratedChunk::decode(&bytes).unwrap(), whole);
        assert!(GeneratedChunk::decode(&bytes[..bytes.len() - 1]).is_err());
        let spans: Vec<_> = (0..plan.chunks()).map(|n| plan.span(n)).collect();
        assert_eq!(spans.iter().map(|s| s.1).sum::<u64>(), 500);
        assert_ne!(plan.documents(1, 1).documents.indices, plan.documents(2, 1).documents.indices);
        let other = GenerateSpec { seed: 8, ..plan.spec().clone() }.check().unwrap();
        assert_ne!(other.documents(1, 1).documents.indices, plan.documents(1, 1).documents.indices);
    }

    #[test]
    fn alias_tables_draw_their_weights() {
        let weights = [0.5, 3.0, 0.01, 1.0, 1.49];
        let alias = Alias::new(weights.into_iter());
        let mut stream = Stream::new(1, "test", 0);
        let n = 600_000;
        let mut counts = [0u32; 5];
        (0..n).for_each(|_| counts[alias.draw(&mut stream) as usize] += 1);
        for (count, weight) in counts.into_iter().zip(weights) {
            let p = weight / 6.0;
            // Five standard errors of a binomial share.
            let tolerance = 5.0 * (p * (1.0 - p) / f64::from(n)).sqrt();
            assert!((f64::from(count) / f64::from(n) - p).abs() < tolerance, "{count} for {weight}");
        }
    }

    #[test]
    fn lengths_terms_and_labels_are_as_announced() {
        let plan = plan(4000);
        let chunk = plan.documents(0, 4000);
        let tokens: f32 = chunk.documents.data.iter().sum();
        let mean = f64::from(tokens) / 4000.0;
        // Standard error of the mean length: 80 sqrt(e^0.25 - 1) / sqrt(4000) = 0.67.
        assert!((mean - 80.0).abs() < 3.5, "{mean}");
        // Zipf: the 20 most frequent terms carry more than a fifth of all tokens, yet most terms occur.
        let mut frequency = vec![0.0; 2000];
        for (&term, &count) in chunk.documents.indices.iter().zip(&chunk.documents.data) {
            frequency[term as usize] += f64::from(count);
        }
        assert!(frequency[..20].iter().sum::<f64>() > 0.2 * f64::from(tokens));
        assert!(frequency.iter().filter(|&&f| f > 0.0).count() > 1800);
        // Every topic is dominant somewhere, and its documents use its own rarer terms far more than others do.
        for topic in 0..20 {
            let own = &plan.topics[topic as usize].own_terms;
            let share = |inside: bool| {
                let (mut own_tokens, mut all) = (0.0, 0.0);
                for row in (0..4000).filter(|&row| (chunk.topics[row] == topic) == inside) {
                    let (terms, counts) = chunk.documents.document(row);
                    for (term, &count) in terms.iter().zip(counts) {
                        all += count;
                        own_tokens += if *term >= 100 && own.contains(term) { count } else { 0.0 };
                    }
                }
                own_tokens / all
            };
            assert!(share(true) > 2.0 * share(false), "topic {topic}: {} {}", share(true), share(false));
        }
    }

    #[test]
    fn impossible_numbers_are_usage_errors() {
        let good = plan(1).spec().clone();
        for bad in [
            GenerateSpec { documents: 0, ..good.clone() },
            GenerateSpec { terms: 9, ..good.clone() },
            GenerateSpec { topics: 0, ..good.clone() },
            GenerateSpec { mean_length: 0.5, ..good.clone() },
            GenerateSpec { mean_length: f64::NAN, ..good.clone() },
        ] {
            assert_eq!(bad.check().unwrap_err().exit_code(), 2);
        }
        // The smallest vocabulary works.
        GenerateSpec { terms: 10, ..good }.check().unwrap().documents(0, 1).documents.check().unwrap();
    }
}
