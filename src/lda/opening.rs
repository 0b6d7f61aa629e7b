//! What SCVB0 begins with: clusters of documents, twice as many as topics are wanted, joined in pairs.
//!
//! Problem: from a random state some topics come to hold the terms of two and others share those of one; inference that moves
//! every topic a little at a time does not come out of that.
//! Algorithm: k-means on the tf-idf vectors of all documents by their cosines with the clusters' (spherical k-means: Dhillon
//! and Modha, Machine Learning 42, 2001), from as many documents chosen at random; a cluster's vector is that of all its tokens.
//! With twice the clusters hardly any holds two topics; then they are joined in pairs (see [`joining`](super::joining)). A
//! fifth of each topic's tokens is spread like those of the corpus. What that is good for, in figures: ARCHITECTURE.md.
//! Cost: 2 flops a nonzero and cluster and an exchange of all counts in each of [`ROUNDS`] rounds, and joining them, the same
//! work on each worker. All counts are whole numbers, so the clusters are the same for any number of ranks. Memory: three
//! times the clusters' counts; models that would have more than [`MOST_NUMBERS`] numbers begin with fewer clusters, down to one
//! a topic.

use rayon::prelude::*;

use super::counts::{Counts, spread};
use super::exchange::{self, Grain, Layout};
use super::joining::join;
use super::minibatch::{Place, tally};
use super::model::History;
use super::params::{LdaPlan, Method};
use super::train::Documents;
use crate::comm::Route;
use crate::corpus::chunk::CsrChunk;
use crate::dispatch::Job;
use crate::error::Result;
use crate::linalg::Simd;
use crate::linalg::kernels::LANES;
use crate::linalg::nearest::nearest_of_tile;
use crate::random::Stream;

/// Numbers of the clusters (terms x clusters), where they are more than the topics: 64 MiB.
pub const MOST_NUMBERS: usize = 1 << 24;
/// The same for the clusters themselves.
const MOST_CLUSTERS: usize = 1024;
/// Times that documents are assigned to clusters.
const ROUNDS: usize = 6;
/// Passes after which steps are as small as those that training begins with: what clusters say is not to be forgotten at once.
const LEAD: usize = 3;
/// Share of a topic's tokens that is spread like those of the corpus.
const COMMON: f64 = 0.2;

/// Clusters that training by `plan` begins with; `None` where it begins with what is known already, or at random: by variational
/// inference (as in gensim), and with a prior that tells topics apart.
pub fn clusters(plan: &LdaPlan, terms: usize, before: History) -> Option<usize> {
    let alike = plan.alpha.iter().all(|&alpha| alpha == plan.alpha[0]);
    let begins = plan.method == Method::Scvb0 && before == History::default() && alike && plan.topics > 1;
    let most = (2 * plan.topics).min(MOST_CLUSTERS).min(MOST_NUMBERS / terms.max(1));
    begins.then_some(most.max(plan.topics))
}

/// Steps that training by `plan` is taken to have made before it begins.
pub fn lead(plan: &LdaPlan, terms: usize, before: History) -> usize {
    clusters(plan, terms, before).map_or(0, |_| LEAD * plan.steps())
}

/// The counts to begin with. Collective over the workers.
///
/// # Errors
/// Those of the exchange.
pub fn begin(job: &Job, documents: &Documents, plan: &LdaPlan, clusters: usize) -> Result<Counts> {
    let counts = cluster(job, documents, clusters, plan.seed)?;
    Ok(job.account.compute(|| {
        let joined = if clusters > plan.topics { join(&counts, plan.topics) } else { counts };
        smoothed(&joined, plan.seed)
    }))
}

/// Tokens of the terms in clusters of documents.
fn cluster(job: &Job, documents: &Documents, clusters: usize, seed: u64) -> Result<Counts> {
    let (terms, count) = (documents.terms, documents.count);
    let chunks: Vec<&CsrChunk> = documents.chunks.iter().map(|held| &*held.0).collect();
    let mut counts = Counts::zeros(terms, clusters);
    let nonzeros: usize = chunks.iter().map(|chunk| chunk.nonzeros()).sum();
    let rows = |(chunk, at): (&&CsrChunk, u32)| (0..chunk.documents() as u32).map(move |row| (at, row));
    let places: Vec<Place> = chunks.iter().zip(0..).flat_map(rows).collect();
    let (own, tokens) = job.account.compute(|| tally(documents.chunks, places.iter(), terms));
    let announced = job.wait(exchange::announce(job.comm, &own, &tokens))?;
    let layout = job.account.compute(|| exchange::together(&announced, terms, counts.width(), Grain::Coarse))?;
    let mut frequencies = vec![0i64; terms];
    job.account.compute(|| {
        chunks.iter().flat_map(|chunk| &chunk.indices).for_each(|&term| frequencies[term as usize] += 1);
    });
    let frequencies = job.wait(job.comm.sum(Route::Workers, frequencies))?;
    let idf: Vec<f64> = frequencies.iter().map(|&held| (count as f64 / held.max(1) as f64).log2()).collect();
    let mut nearest = job.account.compute(|| seeds(&chunks, count, clusters, seed));
    for round in 0..=ROUNDS {
        let words = job.account.compute(|| {
            if round > 0 {
                let weights = weights(&counts, &idf, job.pool);
                nearest = assign(&chunks, &weights, terms, job.pool);
                job.account.count(|counters| counters.flops += (2 * nonzeros * counts.width()) as u64);
            }
            add(&chunks, &nearest, &layout, counts.width())
        });
        let sums = job.wait(exchange::sum(job.comm, words))?;
        job.account.compute(|| counts.absorb(&layout, sums.words(), 1.0, 1.0, job.pool));
    }
    Ok(counts)
}

/// No cluster.
const NONE: u32 = u32::MAX;

/// Documents at random, one for each cluster if there are so many: by chunk and document its cluster.
fn seeds(chunks: &[&CsrChunk], count: u64, clusters: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(seed, "clusters", 0);
    let mut chosen = std::collections::BTreeMap::new();
    while (chosen.len() as u64) < count.min(clusters as u64) {
        let next = chosen.len() as u32;
        chosen.entry(stream.below(count)).or_insert(next);
    }
    let of = |chunk: &&CsrChunk| -> Vec<u32> {
        let own = chunk.first_document..chunk.first_document + chunk.documents() as u64;
        let mut nearest = vec![NONE; chunk.documents()];
        chosen
            .range(own)
            .for_each(|(document, &cluster)| nearest[(document - chunk.first_document) as usize] = cluster);
        nearest
    };
    chunks.iter().map(of).collect()
}

/// The clusters' vectors of length 1, each number times the idf of its term, in tiles of 16 clusters (each terms x 16): their products
/// with counts are in the order of the cosines.
fn weights(counts: &Counts, idf: &[f64], pool: &rayon::ThreadPool) -> Vec<[f32; LANES]> {
    let (clusters, terms) = (counts.totals().len(), idf.len());
    let mut tiles = vec![[0f32; LANES]; terms * clusters.div_ceil(LANES)];
    spread(pool, tiles.par_chunks_mut(terms.max(1)).enumerate(), |(tile, rows)| {
        let mut squares = [0f64; LANES];
        for (term, idf) in idf.iter().enumerate() {
            let values = counts.strip(term, tile);
            squares.iter_mut().zip(values).for_each(|(square, value)| *square += (idf * value).powi(2));
        }
        let inverses = squares.map(|square| if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 });
        for (term, (row, idf)) in rows.iter_mut().zip(idf).enumerate() {
            let values = counts.strip(term, tile);
            (row.iter_mut().zip(values).zip(inverses))
                .for_each(|((weight, value), inverse)| *weight = (idf * idf * value * inverse) as f32);
        }
    });
    tiles
}

/// The cluster of each document, by chunk; none for documents that have nothing in common with any.
fn assign(chunks: &[&CsrChunk], tiles: &[[f32; LANES]], terms: usize, pool: &rayon::ThreadPool) -> Vec<Vec<u32>> {
    let simd = Simd::detect();
    let of = |chunk: &&CsrChunk| -> Vec<u32> {
        let mut best = vec![(0.0, NONE); chunk.documents()];
        for (tile, first) in tiles.chunks(terms.max(1)).zip((0..).step_by(LANES)) {
            nearest_of_tile(simd, tile, chunk, first, &mut best);
        }
        best.into_iter().map(|(_, cluster)| cluster).collect()
    };
    pool.install(|| chunks.par_iter().map(of).collect())
}

/// The tokens of these documents in their clusters, in the words of a layout of all terms.
fn add(chunks: &[&CsrChunk], nearest: &[Vec<u32>], layout: &Layout, width: usize) -> Vec<i64> {
    let mut words = vec![0i64; layout.words];
    let last = layout.rows.last().map_or(0, |row| row.term as usize + 1);
    let mut rows = vec![0u32; last];
    layout.rows.iter().zip(0..).for_each(|(row, at)| rows[row.term as usize] = at);
    for (chunk, nearest) in chunks.iter().zip(nearest) {
        for (document, &cluster) in nearest.iter().enumerate().filter(|(_, cluster)| **cluster != NONE) {
            let (terms, counts) = chunk.document(document);
            for (&term, &count) in terms.iter().zip(counts) {
                let row = &layout.rows[rows[term as usize] as usize];
                // Within the lane: no term has more tokens than the layout was made for.
                let tokens = (count as u64) << row.shift;
                let words = &mut words[row.words(width)];
                if row.wide {
                    bytemuck::cast_slice_mut::<i64, u32>(words)[cluster as usize] += tokens as u32;
                } else {
                    bytemuck::cast_slice_mut::<i64, u16>(words)[cluster as usize] += tokens as u16;
                }
            }
        }
    }
    words
}

/// The counts with a share of each topic spread like the corpus; topics without tokens get counts at random.
fn smoothed(counts: &Counts, seed: u64) -> Counts {
    let (terms, topics) = (counts.terms(), counts.totals().len());
    let common: Vec<f64> = (0..terms).map(|term| counts.tokens(term)).collect();
    let all: f64 = counts.totals().iter().sum();
    let mean = all.max(1.0) / topics as f64;
    Counts::of(terms, topics, |term, topic| {
        let total = counts.totals()[topic];
        let count = if total > 0.0 {
            (1.0 - COMMON) * counts.count(term, topic) + COMMON * common[term] / all * total
        } else {
            2.0 * mean / terms as f64 * Stream::new(seed, "topics", (topic * terms + term) as u64).uniform()
        };
        count as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Local;
    use crate::lda::minibatch::Held;
    use crate::lda::params::{Alpha, Eta, LdaParams};
    use crate::report::account::Account;
    use std::sync::Arc;

    fn plan(change: impl FnOnce(&mut LdaParams)) -> LdaPlan {
        let mut params = LdaParams {
            method: Method::Scvb0,
            topics: 10,
            passes: 10,
            minibatch: None,
            update_every: None,
            burn_in: None,
            gibbs_sweeps: None,
            iterations: None,
            gamma_threshold: None,
            kappa: None,
            tau0: None,
            staleness: 0,
            alpha: Alpha::Symmetric(0.1),
            eta: Eta::symmetric(0.01),
            learn_eta: false,
            seed: 1,
        };
        change(&mut params);
        params.check(1200, 500).unwrap()
    }

    #[test]
    fn training_begins_with_twice_the_clusters_where_there_is_room() {
        let fresh = History::default();
        assert_eq!(clusters(&plan(|_| ()), 500, fresh), Some(20));
        assert_eq!(clusters(&plan(|_| ()), MOST_NUMBERS / 15, fresh), Some(15));
        assert_eq!(clusters(&plan(|_| ()), MOST_NUMBERS, fresh), Some(10));
        assert_eq!(lead(&plan(|_| ()), 500, fresh), 36);
        for (change, before) in [
            ((|params| params.method = Method::Batch) as fn(&mut LdaParams), fresh),
            (|params| params.alpha = Alpha::Asymmetric, fresh),
            (|params| params.topics = 1, fresh),
            (|_| (), History { documents: 1, ..fresh }),
        ] {
            assert_eq!((clusters(&plan(change), 500, before), lead(&plan(change), 500, before)), (None, 0));
        }
    }

    /// Documents of three kinds of terms, some without any.
    fn chunks() -> Vec<Held> {
        let mut stream = Stream::new(1, "clusters of a test", 0);
        let mut chunk = |first: u64| {
            let mut chunk = CsrChunk { first_document: first, terms: 31, indptr: vec![0], ..CsrChunk::default() };
            for row in first..first + 40 {
                let kind = (row % 4) as u32;
                if kind < 3 {
                    let own = (0..10).filter(|_| stream.uniform() < 0.6).map(|term| 10 * kind + term);
                    let own: Vec<u32> = own.chain([30]).collect();
                    chunk.data.extend(own.iter().map(|_| 1.0 + stream.below(3) as f32));
                    chunk.indices.extend(own);
                }
                chunk.indptr.push(chunk.indices.len() as u64);
            }
            Held(Arc::new(chunk))
        };
        vec![chunk(0), chunk(40), chunk(80)]
    }

    #[test]
    fn documents_of_a_kind_come_into_one_topic() {
        let chunks = chunks();
        let tokens: f32 = chunks.iter().flat_map(|held| &held.0.data).sum();
        let documents = Documents { chunks: &chunks, count: 120, terms: 31, tokens: tokens as u64 };
        let (comm, account) = (Local::new(), Account::open(0));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let job = Job::quiet(&comm, &pool, &account);
        let found = cluster(&job, &documents, 12, 1).unwrap();
        // Each token is in one cluster.
        assert_eq!(found.totals().iter().sum::<f64>(), f64::from(tokens));
        let counts = begin(&job, &documents, &plan(|params| params.topics = 3), 12).unwrap();
        for kind in 0..3 {
            let of = |topic: usize| (0..10).map(|term| counts.count(10 * kind + term, topic)).sum::<f64>();
            let all: f64 = (0..3).map(of).sum();
            let most = (0..3).map(of).fold(0.0, f64::max);
            // A fifth is common to all.
            assert!(most > 0.8 * all, "{kind}: {most} of {all}");
        }
    }
}
