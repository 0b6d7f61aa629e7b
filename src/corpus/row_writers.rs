//! A corpus as lines of other programs' formats, a document or an entry each. Written is what gensim's `SvmLightCorpus`,
//! `BleiCorpus`, `UciCorpus`, `LowCorpus`, `MalletCorpus` and `CsvCorpus` read:
//!
//! ```text
//! svmlight   CLASS TERM:VALUE ...      terms from 1; a comment at the head names the label of each class
//! blei       NUMBER TERM:COUNT ...     terms from 0
//! uci        DOCUMENT TERM COUNT       from 1; three numbers at the head
//! low        WORD WORD ...             each as often as it is counted; the number of documents at the head
//! mallet     ID LABEL WORD WORD ...
//! csv        VALUE,VALUE,...           a value for every term; the terms at the head
//! ```

use serde::Serialize;

use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::{CorpusHeader, Values};
use crate::corpus::matrix_market::Rows;
use crate::corpus::matrix_market_writer as matrix_market;
use crate::error::{Error, Result};

/// How a corpus is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LineFormat {
    /// MatrixMarket coordinate format.
    MatrixMarket(Rows),
    /// SVMlight and LIBSVM.
    Svmlight,
    /// LDA-C.
    Blei,
    /// UCI bag of words.
    Uci,
    /// Mallet, one instance per line.
    Mallet,
    /// GibbsLDA++.
    Low,
    /// A document-term matrix.
    Csv,
}

impl LineFormat {
    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            LineFormat::MatrixMarket(_) => "mm",
            LineFormat::Svmlight => "svmlight",
            LineFormat::Blei => "blei",
            LineFormat::Uci => "uci",
            LineFormat::Mallet => "mallet",
            LineFormat::Low => "low",
            LineFormat::Csv => "csv",
        }
    }

    /// Terms are written as words, not as numbers.
    pub fn has_words(self) -> bool {
        matches!(self, LineFormat::Mallet | LineFormat::Low)
    }

    /// The terms stand at the head.
    pub fn names_columns(self) -> bool {
        self == LineFormat::Csv
    }

    /// The label of a document, or its id too, stands in its line.
    pub fn names_documents(self) -> bool {
        matches!(self, LineFormat::Svmlight | LineFormat::Mallet)
    }

    /// Makes sure that the corpus can be written like this; `terms` are looked at where they are written.
    ///
    /// # Errors
    /// Weights where the format has counts, a term that would read back as several.
    pub fn check(self, corpus: &CorpusHeader, terms: &[String]) -> Result<()> {
        let counts = corpus.values == Values::Counts;
        if !counts && !matches!(self, LineFormat::MatrixMarket(_) | LineFormat::Svmlight | LineFormat::Csv) {
            return Err(Error::failed(format!(
                "the corpus holds weights ({}), which {} files cannot hold: export the counts, or choose mm, npz, svmlight or csv",
                corpus.values.name(),
                self.name()
            )));
        }
        let blank = |term: &&String| term.is_empty() || term.contains(char::is_whitespace);
        match terms.iter().find(blank).filter(|_| self.has_words()) {
            Some(term) => Err(Error::failed(format!(
                "the term {term:?} holds a blank and would read back as several from a {} file: choose another format, or \
                 build with another --ngram-separator",
                self.name()
            ))),
            None => Ok(()),
        }
    }

    /// What stands before the first document. `names` are the labels in the order of their numbers, or the terms where
    /// [`names_columns`](Self::names_columns).
    ///
    /// # Errors
    /// Terms that do not fit into a header, or make one that looks like a document.
    pub fn head(self, corpus: &CorpusHeader, names: &[String]) -> Result<String> {
        Ok(match self {
            LineFormat::MatrixMarket(rows) => matrix_market::header(corpus, rows),
            LineFormat::Svmlight => {
                let name = |(class, label): (usize, &String)| format!("# class {class}: {label}\n");
                names.iter().enumerate().map(name).collect()
            }
            LineFormat::Csv => csv_header(names)?,
            LineFormat::Uci => format!("{}\n{}\n{}\n", corpus.documents, corpus.terms, corpus.nonzeros),
            LineFormat::Low => format!("{}\n", corpus.documents),
            LineFormat::Blei | LineFormat::Mallet => String::new(),
        })
    }

    /// Cuts a chunk into blocks of whole documents, each about a megabyte of text. They depend on the chunk alone.
    pub fn blocks(self, chunk: &CsrChunk) -> Vec<std::ops::Range<usize>> {
        if self != LineFormat::Csv {
            return matrix_market::blocks(chunk);
        }
        let (documents, step) = (chunk.documents(), csv_documents(chunk.terms));
        (0..documents).step_by(step).map(|first| first..documents.min(first + step)).collect()
    }

    /// Bytes of the longest block of a document-term matrix: a megabyte, or a document, none of whose values is longer than 32.
    pub fn widest_block(self, terms: u64) -> u64 {
        if self == LineFormat::Csv { (1 << 20) + 32 * terms } else { 0 }
    }

    /// The lines of these documents of a chunk; where documents are named, without the names that begin them.
    pub fn lines(self, chunk: &CsrChunk, documents: std::ops::Range<usize>, counts: bool, words: &[String]) -> Vec<u8> {
        if let LineFormat::MatrixMarket(rows) = self {
            return matrix_market::lines(chunk, documents, counts, rows);
        }
        if self == LineFormat::Csv {
            return csv_lines(chunk, documents, counts);
        }
        let mut out = Lines::default();
        for row in documents {
            let (terms, values) = chunk.document(row);
            let pairs = terms.iter().copied().zip(values.iter().copied());
            match self {
                LineFormat::Svmlight => pairs.for_each(|(term, value)| {
                    out.blank_between().number(u64::from(term) + 1).byte(b':').value(value, counts);
                }),
                LineFormat::Blei => {
                    out.number(terms.len() as u64);
                    pairs.for_each(|(term, value)| {
                        out.byte(b' ').number(term.into()).byte(b':').value(value, counts);
                    });
                }
                LineFormat::Uci => {
                    let document = chunk.first_document + row as u64 + 1;
                    pairs.for_each(|(term, value)| {
                        out.number(document).byte(b' ').number(u64::from(term) + 1).byte(b' ').value(value, counts);
                        out.end();
                    });
                    continue;
                }
                LineFormat::Mallet | LineFormat::Low => pairs.for_each(|(term, value)| {
                    for _ in 0..value as u32 {
                        out.blank_between().bytes.extend_from_slice(words[term as usize].as_bytes());
                    }
                }),
                LineFormat::MatrixMarket(_) | LineFormat::Csv => {}
            }
            out.end();
        }
        out.bytes
    }
}

/// Documents of a document-term matrix that are about a megabyte of text.
fn csv_documents(terms: u32) -> usize {
    ((1 << 19) / terms.max(1) as usize).max(1)
}

/// The terms, quoted where they have to be.
fn csv_header(terms: &[String]) -> Result<String> {
    if let Some(term) = terms.iter().find(|term| term.contains(['\n', '\r'])) {
        return Err(Error::failed(format!("the term {term:?} holds a line break and cannot stand in a header")));
    }
    if terms.iter().all(|term| term.trim().parse::<f64>().is_ok()) {
        let what = "all terms are numbers: a header of them would be taken for a document; choose mm or npz";
        return Err(Error::failed(what));
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(terms).map_err(|cause| Error::failed(cause.to_string()))?;
    let bytes = writer.into_inner().map_err(|cause| Error::failed(cause.to_string()))?;
    String::from_utf8(bytes).map_err(|cause| Error::failed(cause.to_string()))
}

/// A value for every term of these documents.
fn csv_lines(chunk: &CsrChunk, documents: std::ops::Range<usize>, counts: bool) -> Vec<u8> {
    let zeros = b"0,".repeat(chunk.terms as usize);
    let mut out = Lines::default();
    for row in documents {
        let (terms, values) = chunk.document(row);
        let mut column = 0;
        for (&term, &value) in terms.iter().zip(values) {
            out.bytes.extend_from_slice(&zeros[..2 * (term - column) as usize]);
            out.value(value, counts).byte(b',');
            column = term + 1;
        }
        out.bytes.extend_from_slice(&zeros[..2 * (chunk.terms - column) as usize]);
        // The comma behind the last value ends the line.
        out.bytes.pop();
        out.end();
    }
    out.bytes
}

/// Lines being written.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where the present line begins.
    begin: usize,
    integer: itoa::Buffer,
    decimal: zmij::Buffer,
}

impl Lines {
    fn byte(&mut self, byte: u8) -> &mut Self {
        self.bytes.push(byte);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.bytes.extend_from_slice(self.integer.format(number).as_bytes());
        self
    }

    /// A count as a whole number, a weight as the shortest decimal that reads back to its bits.
    fn value(&mut self, value: f32, count: bool) -> &mut Self {
        let written = if count { self.integer.format(value as u32) } else { self.decimal.format_finite(value) };
        self.bytes.extend_from_slice(written.strip_suffix(".0").unwrap_or(written).as_bytes());
        self
    }

    fn blank_between(&mut self) -> &mut Self {
        if self.bytes.len() > self.begin {
            self.bytes.push(b' ');
        }
        self
    }

    fn end(&mut self) {
        self.bytes.push(b'\n');
        self.begin = self.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::row_lines::{RowFormat, RowLines};

    fn header(values: Values) -> CorpusHeader {
        CorpusHeader { documents: 3, terms: 5, nonzeros: 4, values, labelled: true, checksum: String::new() }
    }

    fn chunk() -> CsrChunk {
        CsrChunk {
            first_document: 9,
            terms: 5,
            indptr: vec![0, 2, 2, 4],
            indices: vec![0, 4, 1, 2],
            data: vec![2.0, 1.0, 3.0, 1.0],
        }
    }

    fn text(format: LineFormat) -> String {
        let words = ["ape", "bat", "cat", "dog", "eel"].map(str::to_owned);
        String::from_utf8(format.lines(&chunk(), 0..3, true, &words)).unwrap()
    }

    #[test]
    fn lines_are_those_of_the_formats() {
        assert_eq!(text(LineFormat::Svmlight), "1:2 5:1\n\n2:3 3:1\n");
        assert_eq!(text(LineFormat::Blei), "2 0:2 4:1\n0\n2 1:3 2:1\n");
        assert_eq!(text(LineFormat::Uci), "10 1 2\n10 5 1\n12 2 3\n12 3 1\n");
        assert_eq!(text(LineFormat::Low), "ape ape eel\n\nbat bat bat cat\n");
        assert_eq!(text(LineFormat::Mallet), text(LineFormat::Low));
        assert_eq!(text(LineFormat::Csv), "2,0,0,0,1\n0,0,0,0,0\n0,3,1,0,0\n");
        assert_eq!(LineFormat::Csv.blocks(&CsrChunk { terms: 1 << 20, ..chunk() }), [0..1, 1..2, 2..3]);
        let classes = ["ham", "spam"].map(str::to_owned);
        let head = |format: LineFormat, names: &[String]| format.head(&header(Values::Counts), names).unwrap();
        assert_eq!(head(LineFormat::Svmlight, &classes), "# class 0: ham\n# class 1: spam\n");
        assert_eq!(head(LineFormat::Uci, &[]), "3\n5\n4\n");
        let terms = ["ape", "New York, NY", "a \"b\""].map(str::to_owned);
        assert_eq!(head(LineFormat::Csv, &terms), "ape,\"New York, NY\",\"a \"\"b\"\"\"\n");
        for terms in [["1", "nan"], ["a\nb", "c"]] {
            assert!(LineFormat::Csv.head(&header(Values::Counts), &terms.map(str::to_owned)).is_err(), "{terms:?}");
        }
        assert_eq!(head(LineFormat::Low, &[]), "3\n");
    }

    #[test]
    fn weights_read_back_to_their_bits() {
        let weights = CsrChunk { data: vec![0.1, -2.5, 1e-30, 1.0], ..chunk() };
        let lines = LineFormat::Svmlight.lines(&weights, 0..3, false, &[]);
        let labelled: String = String::from_utf8(lines).unwrap().lines().map(|line| format!("0 {line}\n")).collect();
        let rows = RowLines::parse(labelled.as_bytes(), RowFormat::Svmlight { zero_based: false }).unwrap();
        let (indptr, indices, data, _) = rows.into_parts();
        assert_eq!((indptr, indices, data), (weights.indptr, weights.indices, weights.data));
    }

    #[test]
    fn what_a_format_cannot_hold_is_refused() {
        let weights = header(Values::Weights("nfc".into()));
        let said = |format: LineFormat| format.check(&weights, &[]).unwrap_err().to_string();
        for format in [LineFormat::Blei, LineFormat::Uci, LineFormat::Mallet, LineFormat::Low] {
            assert!(said(format).contains("weights (nfc)"), "{format:?}");
        }
        assert!(LineFormat::Svmlight.check(&weights, &[]).is_ok());
        let terms = ["new york".to_owned()];
        let error = LineFormat::Low.check(&header(Values::Counts), &terms).unwrap_err().to_string();
        assert!(error.contains("\"new york\""), "{error}");
        assert!(LineFormat::Blei.check(&header(Values::Counts), &terms).is_ok());
    }
}
