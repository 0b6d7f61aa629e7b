//! A document per record of a CSV or TSV, its fields by the columns the header named.

use std::borrow::Cow;

use super::{RawDocument, Source};
use crate::error::{Result, one_line};

pub(super) fn documents(source: &Source<'_>, each: &mut dyn FnMut(RawDocument<'_>) -> Result<()>) -> Result<()> {
    let file = &source.plan.files[source.piece.file as usize];
    let (Some(delimiter), Some(columns)) = (source.plan.format.delimiter(), file.columns) else {
        unreachable!("a plan for CSV has a delimiter and columns");
    };
    // The header is not in the pieces; that every record has as many fields is checked here, to say on which line not.
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(source.bytes);
    let mut record = csv::StringRecord::new();
    loop {
        // Between records the reader stands before blank lines and the '\n' of "\r\n", which belong to none.
        let behind_last = (reader.position().byte() as usize).min(source.bytes.len());
        let blank = source.bytes[behind_last..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let at = behind_last + blank;
        if !reader.read_record(&mut record).map_err(|cause| source.error(at, one_line(&cause)))? {
            return Ok(());
        }
        if record.len() != columns.count {
            let found = format!("{} fields where the header has {}", record.len(), columns.count);
            return Err(source.error(at, format!("{found}: is a delimiter or a line break in a field not quoted?")));
        }
        let field = |column: usize| Cow::Borrowed(&record[column]);
        each(RawDocument { text: field(columns.text), id: columns.id.map(field), label: columns.label.map(field) })?;
    }
}
