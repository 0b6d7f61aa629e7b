//! A dump as input: what is found out before it is read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use memchr::memmem;

use super::FIELDS;
use super::ranges::LAST;
use crate::corpus::compression::Compression;
use crate::corpus::text::{TextFile, TextSpec, read_more};
use crate::error::{At, Error, Result};

/// Makes sure that the fields that are asked for are those of a page.
///
/// # Errors
/// `Usage`, naming the option.
pub fn check_fields(spec: &TextSpec) -> Result<()> {
    let (ids, label) = FIELDS;
    let given = [
        ("--text-field", &spec.text_field, &["text"][..]),
        ("--id-field", &spec.id_field, ids),
        ("--label-field", &spec.label_field, &[label][..]),
    ];
    for (option, field, known) in given {
        if let Some(field) = field.as_deref().filter(|field| !known.contains(field)) {
            let known = known.join("\" or \"");
            return Err(Error::usage(format!("{option} {field}: for pages of a dump it can be \"{known}\" only")));
        }
    }
    Ok(())
}

/// Makes sure that a file begins, and where that is easily seen ends, as a dump of MediaWiki.
///
/// # Errors
/// It does not; it cannot be read.
pub fn check_dump(file: &TextFile, stream: &mut dyn Read, mut head: Vec<u8>) -> Result<()> {
    let refuse = |why: &str| Err(Error::failed(format!("{}: {why}", file.path.display())));
    read_more(stream, &mut head, 4 << 10, file)?;
    if memmem::find(&head, b"<mediawiki").is_none() {
        return refuse("is no dump of MediaWiki, which begins with <mediawiki: is --input-format wiki right?");
    }
    if file.compression == Compression::None {
        let mut plain = File::open(&file.path).at(&file.path)?;
        plain.seek(SeekFrom::Start(file.bytes.saturating_sub(64))).at(&file.path)?;
        let mut end = Vec::new();
        plain.read_to_end(&mut end).at(&file.path)?;
        if !end.trim_ascii_end().ends_with(LAST.as_bytes()) {
            return refuse("does not end with </mediawiki>: is it complete?");
        }
    }
    Ok(())
}
