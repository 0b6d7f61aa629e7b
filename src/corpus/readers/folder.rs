//! A file is a document: its path is the identifier, the first folder on it the label.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use memchr::memchr;

use super::{RawDocument, Source};
use crate::corpus::compression::Compression;
use crate::corpus::folder::frames;
use crate::corpus::records::newlines;
use crate::corpus::text::InvalidUtf8;
use crate::error::{Error, Result};

pub(super) fn documents(source: &Source<'_>, each: &mut dyn FnMut(RawDocument<'_>) -> Result<()>) -> Result<()> {
    let Source { plan, piece, bytes } = source;
    let root = &plan.files[piece.file as usize].path;
    for (path, text) in frames(bytes) {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let name = root.join(Path::new(std::ffi::OsStr::from_bytes(path)));
        let error = |at: usize, what: &str| {
            Err(Error::failed(format!("{}:{}: {what}", name.display(), 1 + newlines(&text[..at]))))
        };
        let compression = Compression::of(text);
        if compression != Compression::None {
            let what = "is compressed, but its name does not say so: give it the ending .gz, .bz2 or .zst";
            return Err(Error::failed(format!("{}: {what} ({})", name.display(), compression.name())));
        }
        if let Some(at) = memchr(0, text) {
            return error(at, super::BINARY);
        }
        let document = match (std::str::from_utf8(text), plan.invalid_utf8) {
            (Ok(text), _) => Cow::Borrowed(text),
            (Err(_), InvalidUtf8::Replace) => String::from_utf8_lossy(text),
            (Err(broken), InvalidUtf8::Refuse) => return error(broken.valid_up_to(), super::NOT_UTF8),
        };
        let id = match (std::str::from_utf8(path), plan.invalid_utf8) {
            (Ok(path), _) => Cow::Borrowed(path),
            (Err(_), InvalidUtf8::Replace) => String::from_utf8_lossy(path),
            (Err(_), InvalidUtf8::Refuse) => {
                let what = "the name is not UTF-8: rename the file, or give --invalid-utf8 replace";
                return Err(Error::failed(format!("{}: {what}", name.display())));
            }
        };
        let label = plan.fields.label.as_ref().map(|_| id.split_once('/').map_or("", |(folder, _)| folder).to_owned());
        each(RawDocument { text: document, id: Some(id), label: label.map(Cow::Owned) })?;
    }
    Ok(())
}
