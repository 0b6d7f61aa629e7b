//! Which documents make up a minibatch, and a worker's part of one.
//!
//! A pass is cut into as many minibatches as the corpus needs, and each of them takes its share of every chunk. Within
//! a chunk the documents are put in order of length and dealt out: of each run of as many documents as there are
//! minibatches, every minibatch gets one, at random. So minibatches mix the whole corpus however it is sorted, and all
//! have nearly the same work of every chunk, whoever has it: workers with equal chunks are done at the same time. Chunks and
//! random numbers come from the corpus and the seed; ranks play no part.
//!
//! Cost: a sort of each chunk's documents a pass; 20 bytes and about 10 ns a nonzero to prepare a minibatch.

use std::sync::Arc;

use crate::corpus::chunk::{CsrChunk, Footprint};
use crate::linalg::topics::{Bag, DITHERS};
use crate::random::Stream;

/// A chunk of documents that a worker holds on to.
#[derive(Debug, Clone)]
pub struct Held(pub Arc<CsrChunk>);

impl Footprint for Held {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

/// A document among the chunks of a worker: chunk and row.
pub type Place = (u32, u32);

/// Deals the documents of these chunks out to the minibatches of a pass. Documents without terms are left out.
pub fn deal(chunks: &[Held], minibatches: usize, seed: u64, pass: u64) -> Vec<Vec<Place>> {
    let mut dealt = vec![Vec::new(); minibatches];
    let purpose = format!("minibatches of pass {pass}");
    let mut hand: Vec<usize> = (0..minibatches).collect();
    for (at, Held(chunk)) in chunks.iter().enumerate() {
        let length = |row: usize| chunk.indptr[row + 1] - chunk.indptr[row];
        let mut rows: Vec<usize> = (0..chunk.documents()).filter(|&row| length(row) > 0).collect();
        rows.sort_by_key(|&row| length(row));
        for (run, rows) in rows.chunks(minibatches).enumerate() {
            let place = chunk.first_document + (run * minibatches) as u64;
            let mut stream = Stream::new(seed, &purpose, place);
            // Fisher and Yates from the front, as far as there are documents.
            for (next, &row) in rows.iter().enumerate() {
                let other = next + stream.below((minibatches - next) as u64) as usize;
                hand.swap(next, other);
                dealt[hand[next]].push((at as u32, row as u32));
            }
            hand.iter_mut().enumerate().for_each(|(number, slot)| *slot = number);
        }
    }
    dealt
}

/// A worker's documents of a minibatch, by document and by term.
#[derive(Debug, Default)]
pub struct Batch {
    /// Where each document begins in `rows` and `counts`.
    begins: Vec<u32>,
    /// The term of each nonzero, as a position in `terms`.
    rows: Vec<u32>,
    counts: Vec<f32>,
    /// Tokens of each document.
    lengths: Vec<f32>,
    /// Random bits of each document in this pass.
    bits: Vec<u64>,
    /// The terms that occur, ascending.
    pub terms: Vec<u32>,
    /// Tokens of each of these terms.
    pub tokens: Vec<u64>,
    /// Where each term begins in `occurrences`.
    term_begins: Vec<u32>,
    /// For each term the documents, counts and places in the list of dithers.
    occurrences: Vec<(u32, f32, u32)>,
}

/// Tables over the dictionary, used again for each batch: 12 bytes a term.
#[derive(Debug)]
pub struct Scratch {
    nonzeros: Vec<u32>,
    row: Vec<u32>,
    present: Vec<u64>,
}

impl Scratch {
    /// For a dictionary of so many terms.
    pub fn new(terms: usize) -> Self {
        Scratch { nonzeros: vec![0; terms], row: vec![0; terms], present: vec![0; terms.div_ceil(64)] }
    }
}

/// The terms of these documents, ascending, and their tokens.
pub fn tally<'a>(chunks: &[Held], places: impl Iterator<Item = &'a Place>, terms: usize) -> (Vec<u32>, Vec<u64>) {
    let mut all = vec![0u64; terms];
    for &(chunk, row) in places {
        let (terms, counts) = chunks[chunk as usize].0.document(row as usize);
        for (&term, &count) in terms.iter().zip(counts) {
            all[term as usize] += count as u64;
        }
    }
    let present = |(term, tokens): (usize, u64)| (tokens > 0).then_some((term as u32, tokens));
    all.into_iter().enumerate().filter_map(present).unzip()
}

impl Batch {
    /// Prepares these documents.
    pub fn new(chunks: &[Held], mut places: Vec<Place>, seed: u64, pass: u64, scratch: &mut Scratch) -> Batch {
        // Neighbours are worked on side by side: they had better be of the same length.
        let length = |&(chunk, row): &Place| chunks[chunk as usize].0.document(row as usize).0.len();
        places.sort_by_key(|place| (std::cmp::Reverse(length(place)), *place));
        let purpose = format!("dithers of pass {pass}");
        let mut batch = Batch { begins: vec![0], ..Batch::default() };
        let nonzeros = places.iter().map(length).sum();
        batch.rows.reserve_exact(nonzeros);
        batch.counts.reserve_exact(nonzeros);
        for &(chunk, row) in &places {
            let (terms, counts) = chunks[chunk as usize].0.document(row as usize);
            for &term in terms {
                scratch.nonzeros[term as usize] += 1;
                scratch.present[term as usize / 64] |= 1 << (term % 64);
            }
            batch.rows.extend_from_slice(terms);
            batch.counts.extend_from_slice(counts);
            batch.begins.push(batch.rows.len() as u32);
            batch.lengths.push(counts.iter().map(|&count| f64::from(count)).sum::<f64>() as f32);
        }
        batch.term_begins.push(0);
        for (at, word) in scratch.present.iter_mut().enumerate() {
            while *word != 0 {
                let term = at as u32 * 64 + word.trailing_zeros();
                *word &= *word - 1;
                scratch.row[term as usize] = batch.terms.len() as u32;
                batch.terms.push(term);
                let end = batch.term_begins[batch.term_begins.len() - 1] + scratch.nonzeros[term as usize];
                batch.term_begins.push(end);
                scratch.nonzeros[term as usize] = 0;
            }
        }
        let mut cursors = batch.term_begins.clone();
        batch.tokens = vec![0; batch.terms.len()];
        batch.occurrences = vec![(0, 0.0, 0); nonzeros];
        for (document, &(chunk, row)) in places.iter().enumerate() {
            let number = chunks[chunk as usize].0.first_document + u64::from(row);
            let base = Stream::new(seed, &purpose, number).bits();
            batch.bits.push(base);
            for at in batch.begins[document] as usize..batch.begins[document + 1] as usize {
                let term = batch.rows[at];
                let row = scratch.row[term as usize];
                batch.rows[at] = row;
                let cursor = &mut cursors[row as usize];
                let mixed =
                    (base ^ u64::from(term).wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
                let dither = (mixed >> 32) as u32 % DITHERS as u32;
                batch.occurrences[*cursor as usize] = (document as u32, batch.counts[at], dither);
                *cursor += 1;
                batch.tokens[row as usize] += batch.counts[at] as u64;
            }
        }
        batch
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.lengths.len()
    }

    /// Number of nonzeros.
    pub fn nonzeros(&self) -> usize {
        self.rows.len()
    }

    /// Most terms of a document.
    pub fn longest(&self) -> usize {
        self.begins.windows(2).map(|span| span[1] - span[0]).max().unwrap_or(0) as usize
    }

    /// One document; its rows are positions in `terms`.
    pub fn bag(&self, document: usize) -> Bag<'_> {
        let span = self.begins[document] as usize..self.begins[document + 1] as usize;
        Bag { rows: &self.rows[span.clone()], counts: &self.counts[span], tokens: self.lengths[document] }
    }

    /// Random bits of a document, others in each pass.
    pub fn bits(&self, document: usize) -> u64 {
        self.bits[document]
    }

    /// Where the term at this position occurs.
    pub fn occurrences(&self, row: usize) -> &[(u32, f32, u32)] {
        &self.occurrences[self.term_begins[row] as usize..self.term_begins[row + 1] as usize]
    }

    /// Occurrences of the terms before this position.
    pub fn occurrences_before(&self, row: usize) -> usize {
        self.term_begins[row] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first_document: u64, lengths: &[usize]) -> Held {
        let mut chunk = CsrChunk { first_document, terms: 50, indptr: vec![0], ..CsrChunk::default() };
        for (row, &length) in lengths.iter().enumerate() {
            chunk.indices.extend((0..length as u32).map(|term| term + (row % 3) as u32));
            chunk.data.extend((0..length).map(|at| (1 + at % 4) as f32));
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        chunk.check().expect("a valid chunk");
        Held(Arc::new(chunk))
    }

    #[test]
    fn every_document_is_dealt_once_a_pass_and_lengths_are_even() {
        let lengths: Vec<usize> = (0..997).map(|row| (row * row) % 40).collect();
        let chunks = [chunk(0, &lengths), chunk(997, &[0, 5, 6]), chunk(1000, &[])];
        for minibatches in [1, 2, 13, 400] {
            let dealt = deal(&chunks, minibatches, 1, 0);
            assert_eq!(dealt.len(), minibatches);
            let mut all: Vec<Place> = dealt.concat();
            all.sort_unstable();
            let full = (0..997).filter(|&row| lengths[row as usize] > 0).map(|row| (0, row));
            assert_eq!(all, full.chain([(1, 1), (1, 2)]).collect::<Vec<_>>());
            let work =
                |places: &Vec<Place>| places.iter().filter(|p| p.0 == 0).map(|p| lengths[p.1 as usize]).sum::<usize>();
            let works: Vec<usize> = dealt.iter().map(work).collect();
            // A document of each run: sums differ by no more than the longest document twice.
            assert!(works.iter().max().unwrap() - works.iter().min().unwrap() <= 80, "{works:?}");
            assert_ne!(deal(&chunks, minibatches, 1, 1) == dealt, minibatches > 1);
            assert_ne!(deal(&chunks, minibatches, 2, 0) == dealt, minibatches > 1);
        }
    }

    #[test]
    fn a_batch_by_terms_is_the_batch_by_documents() {
        let chunks = [chunk(0, &[3, 0, 7, 1]), chunk(4, &[9, 2])];
        let mut scratch = Scratch::new(50);
        for places in [vec![(0, 0), (0, 2), (1, 0), (1, 1)], vec![(0, 3)], vec![]] {
            let batch = Batch::new(&chunks, places.clone(), 1, 0, &mut scratch);
            assert_eq!(batch.documents(), places.len());
            assert!(batch.terms.windows(2).all(|pair| pair[0] < pair[1]));
            let mut by_document = Vec::new();
            for document in 0..batch.documents() {
                let bag = batch.bag(document);
                assert_eq!(bag.counts.iter().sum::<f32>(), bag.tokens);
                by_document
                    .extend(bag.rows.iter().zip(bag.counts).map(|(&row, &count)| (row, document as u32, count as u64)));
            }
            let mut by_term = Vec::new();
            for row in 0..batch.terms.len() {
                let occurrences = batch.occurrences(row);
                assert_eq!(occurrences.iter().map(|o| o.1 as u64).sum::<u64>(), batch.tokens[row]);
                by_term.extend(occurrences.iter().map(|&(document, count, _)| (row as u32, document, count as u64)));
            }
            by_document.sort_unstable();
            assert_eq!(by_document, by_term);
            let lengths: Vec<usize> = (0..batch.documents()).map(|document| batch.bag(document).rows.len()).collect();
            assert!(lengths.windows(2).all(|pair| pair[0] >= pair[1]));
        }
    }
}
