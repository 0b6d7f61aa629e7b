//! From a worker's bags of words to documents over the terms of the dictionary, and their way to the dispatcher.

use std::cell::RefCell;
use std::rc::Rc;

use rayon::prelude::*;

use crate::corpus::bag::{BagPiece, NO_TERM};
use crate::corpus::chunk::CsrChunk;
use crate::corpus::dictionary::Dictionary;
use crate::corpus::sent_rows::SentRows;
use crate::corpus::text::TextPlan;
use crate::corpus::vocabulary::Vocabulary;
use crate::error::{Error, Result};

use super::census::PieceFacts;
use super::pieces::Bags;
use super::reuse::vocabulary;

/// Turns bags into documents.
pub(super) struct Converter<'a> {
    plan: &'a TextPlan,
    pieces: &'a [PieceFacts],
    /// Number in the corpus of each piece's first document.
    first_document: Vec<u64>,
    /// The dictionary, for lookup; a term has the same number here and there.
    dictionary: Rc<Vocabulary>,
    /// By thread: its term numbers to those of the dictionary, as far as they were needed yet.
    maps: RefCell<Vec<Vec<u32>>>,
    /// Each term of the dictionary under its own number.
    same: Vec<u32>,
}

impl<'a> Converter<'a> {
    pub fn new(plan: &'a TextPlan, pieces: &'a [PieceFacts], dictionary: &Dictionary) -> Self {
        let begin = |documents: &mut u64, piece: &PieceFacts| {
            *documents += piece.documents;
            Some(*documents - piece.documents)
        };
        let first_document = pieces.iter().scan(0, begin).collect();
        let same = (0..dictionary.len() as u32).collect();
        let dictionary = Rc::new(vocabulary(&dictionary.terms));
        Converter { plan, pieces, first_document, dictionary, maps: RefCell::default(), same }
    }

    /// The dictionary, for lookup.
    pub fn dictionary(&self) -> Rc<Vocabulary> {
        self.dictionary.clone()
    }

    /// Length of a piece's text.
    pub fn piece_bytes(&self, number: u64) -> u64 {
        self.pieces.get(number as usize).map_or(0, |piece| piece.bytes)
    }

    /// The documents of a piece. `vocabularies` are those its bags were counted under.
    ///
    /// # Errors
    /// The piece is not what it was in the counting pass; a count beyond 2^24.
    pub fn convert(&self, pool: &rayon::ThreadPool, bags: &Bags, vocabularies: &[Vocabulary]) -> Result<Documents> {
        let number = bags.facts.number as usize;
        if self.pieces.get(number) != Some(&bags.facts) {
            let path = self.plan.files[bags.facts.file as usize].path.display();
            return Err(Error::failed(format!("{path}: has changed while it was read: start again")));
        }
        let terms = self.dictionary.len() as u32;
        let maps = &mut *self.maps.borrow_mut();
        maps.resize_with(vocabularies.len(), Vec::new);
        let (dictionary, same, first_document) = (&*self.dictionary, &self.same, self.first_document[number]);
        let convert = |((map, vocabulary), part): ((&mut Vec<u32>, &Vocabulary), &BagPiece)| {
            if map.is_empty() && vocabulary.len() > dictionary.len() {
                // Of the terms that a worker has met most are in no dictionary: those that are, are fewer to look up.
                map.resize(vocabulary.len(), NO_TERM);
                for term in 0..terms {
                    if let Some(local) = vocabulary.get(dictionary.term(term)) {
                        map[local as usize] = term;
                    }
                }
            }
            let new = map.len() as u32..vocabulary.len() as u32;
            map.extend(new.map(|local| dictionary.get(vocabulary.term(local)).unwrap_or(NO_TERM)));
            part.to_csr(map, terms, first_document + u64::from(part.first_row))
        };
        let chunks = pool.install(|| {
            if bags.by_dictionary {
                let convert = |part: &BagPiece| part.to_csr(same, terms, first_document + u64::from(part.first_row));
                return bags.parts.par_iter().map(convert).collect();
            }
            let threads = maps.par_iter_mut().zip(vocabularies);
            threads.zip(&bags.parts).map(convert).collect::<Vec<Result<CsrChunk>>>()
        });
        Documents::join(bags, chunks, CsrChunk { first_document, terms, indptr: vec![0], ..CsrChunk::default() })
    }
}

/// Identifiers or labels of all documents of a piece, where there are any.
fn strings(bags: &Bags, of: impl Fn(&BagPiece) -> &Option<Vec<String>>) -> Option<Vec<String>> {
    let parts = bags.parts.iter().map(|part| of(part).as_deref()).collect::<Option<Vec<&[String]>>>();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.concat())
}

/// Documents of a piece as the container takes them.
#[derive(Debug, PartialEq)]
pub(super) struct Documents {
    /// Terms and counts.
    pub chunk: CsrChunk,
    /// An identifier for each document, where the input has any.
    pub ids: Option<Vec<String>>,
    /// A label for each document, where the input has any.
    pub labels: Option<Vec<String>>,
}

impl Documents {
    /// The documents of a piece whose parts have become these chunks; `none` is a chunk without any.
    pub fn join(bags: &Bags, chunks: Vec<Result<CsrChunk>>, none: CsrChunk) -> Result<Self> {
        let mut chunks = chunks.into_iter();
        let mut chunk = chunks.next().unwrap_or(Ok(none))?;
        chunks.try_for_each(|next| next.map(|next| chunk.append(&next)))?;
        Ok(Documents { chunk, ids: strings(bags, |part| &part.ids), labels: strings(bags, |part| &part.labels) })
    }

    /// Appends them as a message: the counts as the container takes them, identifiers and labels as JSON.
    ///
    /// # Errors
    /// Identifiers or labels that cannot be written as JSON, which no text is.
    pub fn encode(&self, to: &mut Vec<u8>) -> Result<()> {
        SentRows::encode((&self.chunk).into(), true, to);
        serde_json::to_writer(to, &(&self.ids, &self.labels))
            .map_err(|cause| Error::failed(format!("identifiers and labels cannot be sent: {cause}")))
    }
}

/// Documents of a piece as they have arrived at the dispatcher.
#[derive(Debug, PartialEq)]
pub(super) struct Arrived {
    /// Terms and counts.
    pub rows: SentRows,
    /// An identifier for each document, where the input has any.
    pub ids: Option<Vec<String>>,
    /// A label for each document, where the input has any.
    pub labels: Option<Vec<String>>,
}

impl Arrived {
    /// From what [`Documents::encode`] has put at `at` of a message.
    pub fn decode(message: Vec<u8>, at: usize) -> Result<Self> {
        let damaged = || Error::failed("damaged message: not documents; a defect of the network or of corpuscle");
        let (rows, end) = SentRows::decode(message, at)?;
        let (ids, labels) = serde_json::from_slice(&rows.message()[end..]).map_err(|_| damaged())?;
        Ok(Arrived { rows, ids, labels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_travel_and_damage_is_noticed() {
        let chunk =
            CsrChunk { first_document: 3, terms: 4, indptr: vec![0, 1, 3], indices: vec![2, 0, 3], data: vec![1.0; 3] };
        let names = |a: &str, b: &str| Some(vec![a.to_owned(), b.to_owned()]);
        for (ids, labels) in [(None, None), (names("é\"", "\u{0}\n"), None), (names("1", "2"), names("x", ""))] {
            let mut bytes = vec![0; 4];
            let documents = Documents { chunk: chunk.clone(), ids, labels };
            documents.encode(&mut bytes).unwrap();
            let arrived = Arrived::decode(bytes.clone(), 4).unwrap();
            assert_eq!((&arrived.ids, &arrived.labels), (&documents.ids, &documents.labels));
            assert_eq!((arrived.rows.first_document, arrived.rows.offsets()), (3, vec![0, 1, 3]));
            for cut in 0..bytes.len() {
                assert!(Arrived::decode(bytes[..cut].to_vec(), 4).is_err(), "cut at {cut}");
            }
        }
    }
}
