//! The topics of each term of each document, beside the vectors of the documents.
//!
//! Shapes: three levels, each told by lengths: documents -> terms -> topics with their phi, the expected number of the term's
//! tokens in the document that belong to the topic. In the file, the group [`GROUP`]: `indptr` (documents + 1) says where the terms
//! of a document begin in `terms` and `topic_indptr`, `topic_indptr` (terms + 1) where the topics of a term begin in
//! `topics` and `phi`.
//! Cost: 8 bytes a topic and 8 a term travel to the dispatcher.

use super::documents::damaged;
use crate::error::Result;
use crate::store::column::NumberColumn;
use crate::store::file::AtFile;
use crate::store::model::ModelWriter;
use crate::store::section::SectionWriter;

/// The group of the file.
pub const GROUP: &str = "per_word_topics";

/// Those of some documents.
#[derive(Debug, Default, PartialEq)]
pub struct TermTopics {
    /// Terms of each document.
    pub documents: Vec<u32>,
    /// The terms, document by document.
    pub terms: Vec<u32>,
    /// Topics of each of them.
    pub lengths: Vec<u32>,
    /// The topics, term by term.
    pub topics: Vec<u32>,
    /// phi of each of them.
    pub phi: Vec<f32>,
}

/// Bytes of the lengths before the numbers.
const HEAD: usize = 24;

impl TermTopics {
    /// Adds a term of the document at hand, with its topics.
    pub fn push(&mut self, term: u32, topics: &[(f32, u32)]) {
        self.terms.push(term);
        self.lengths.push(topics.len() as u32);
        self.topics.extend(topics.iter().map(|(_, topic)| topic));
        self.phi.extend(topics.iter().map(|(phi, _)| phi));
    }

    /// Gives back what was taken in case there would be more.
    pub fn shrink(&mut self) {
        self.documents.shrink_to_fit();
        self.terms.shrink_to_fit();
        self.lengths.shrink_to_fit();
        self.topics.shrink_to_fit();
        self.phi.shrink_to_fit();
    }

    /// Bytes of those of so many documents, which have so many terms with so many topics each.
    pub fn bytes(documents: u64, terms: u64, topics: u64) -> u64 {
        HEAD as u64 + 4 * documents + terms * (8 + 8 * topics)
    }

    /// Appends the parts, one after the other, as they travel.
    pub fn write(parts: &[TermTopics], out: &mut Vec<u8>) {
        let all = |of: fn(&TermTopics) -> usize| parts.iter().map(of).sum::<usize>();
        let lengths = [all(|part| part.documents.len()), all(|part| part.terms.len()), all(|part| part.topics.len())];
        out.reserve_exact(HEAD + 4 * lengths[0] + 8 * (lengths[1] + lengths[2]));
        lengths.iter().for_each(|&length| out.extend_from_slice(&(length as u64).to_le_bytes()));
        let columns: [fn(&TermTopics) -> &[u8]; 5] = [
            |part| bytemuck::cast_slice(&part.documents),
            |part| bytemuck::cast_slice(&part.terms),
            |part| bytemuck::cast_slice(&part.lengths),
            |part| bytemuck::cast_slice(&part.topics),
            |part| bytemuck::cast_slice(&part.phi),
        ];
        columns.iter().for_each(|column| parts.iter().for_each(|part| out.extend_from_slice(column(part))));
    }

    /// What [`write`](Self::write) has written.
    pub fn read(bytes: &[u8]) -> Result<TermTopics> {
        let (head, mut rest) = bytes.split_first_chunk::<HEAD>().ok_or_else(damaged)?;
        let [documents, terms, topics] = bytemuck::pod_read_unaligned::<[u64; 3]>(head).map(|length| length as usize);
        let mut next = |length: usize| {
            let (column, behind) =
                length.checked_mul(4).and_then(|end| rest.split_at_checked(end)).ok_or_else(damaged)?;
            rest = behind;
            Ok(column)
        };
        Ok(TermTopics {
            documents: bytemuck::pod_collect_to_vec(next(documents)?),
            terms: bytemuck::pod_collect_to_vec(next(terms)?),
            lengths: bytemuck::pod_collect_to_vec(next(terms)?),
            topics: bytemuck::pod_collect_to_vec(next(topics)?),
            phi: bytemuck::pod_collect_to_vec(next(topics)?),
        })
    }
}

/// Where one level begins in the next, and how far it has got.
struct Pointers {
    column: NumberColumn<u64>,
    end: u64,
}

impl Pointers {
    fn push(&mut self, lengths: &[u32]) -> hdf5::Result<()> {
        let end = &mut self.end;
        let ends: Vec<u64> = lengths
            .iter()
            .map(|&length| {
                *end += u64::from(length);
                *end
            })
            .collect();
        self.column.push(&ends)
    }
}

/// The group being written.
pub struct Columns {
    indptr: Pointers,
    terms: NumberColumn<u32>,
    topic_indptr: Pointers,
    topics: NumberColumn<u32>,
    phi: NumberColumn<f32>,
    // Behind the columns, which lie in it.
    section: SectionWriter,
}

impl Columns {
    /// Begins the group.
    pub fn create(file: &mut ModelWriter) -> Result<Columns> {
        let section = file.section(GROUP)?;
        let pointers = |name: &str| -> Result<Pointers> {
            let mut column = section.column(name);
            column.push(&[0]).at_file(section.path())?;
            Ok(Pointers { column, end: 0 })
        };
        Ok(Columns {
            indptr: pointers("indptr")?,
            terms: section.column("terms"),
            topic_indptr: pointers("topic_indptr")?,
            topics: section.column("topics"),
            phi: section.column("phi"),
            section,
        })
    }

    /// The next documents.
    pub fn append(&mut self, next: &TermTopics) -> Result<()> {
        let TermTopics { documents, terms, lengths, topics, phi } = next;
        self.indptr
            .push(documents)
            .and_then(|()| self.terms.push(terms))
            .and_then(|()| self.topic_indptr.push(lengths))
            .and_then(|()| self.topics.push(topics))
            .and_then(|()| self.phi.push(phi))
            .at_file(self.section.path())
    }

    /// Completes the group.
    pub fn finish(self) -> Result<()> {
        let Columns { indptr, terms, topic_indptr, topics, phi, section } = self;
        indptr
            .column
            .finish()
            .and_then(|_| terms.finish())
            .and_then(|_| topic_indptr.column.finish())
            .and_then(|_| topics.finish())
            .and_then(|_| phi.finish())
            .at_file(section.path())
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_arrives_and_what_is_cut_off_is_refused() {
        let (mut one, mut other) = (TermTopics::default(), TermTopics::default());
        one.push(3, &[(0.75, 1), (0.25, 0)]);
        one.push(9, &[]);
        one.documents.push(2);
        other.documents.push(0);
        other.push(4, &[(2.0, 7)]);
        other.documents.push(1);
        let mut bytes = vec![1, 2, 3];
        TermTopics::write(&[one, other], &mut bytes);
        assert_eq!(bytes.len() as u64 - 3, TermTopics::bytes(3, 3, 1));
        let found = TermTopics::read(&bytes[3..]).unwrap();
        assert_eq!((found.documents, found.terms, found.lengths), (vec![2, 0, 1], vec![3, 9, 4], vec![2, 0, 1]));
        assert_eq!((found.topics, found.phi), (vec![1, 0, 7], vec![0.75, 0.25, 2.0]));
        assert!((3..bytes.len()).all(|end| TermTopics::read(&bytes[3..end]).is_err()));
    }
}
