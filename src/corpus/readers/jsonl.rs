//! A JSON object per line, its wanted fields borrowed from the line where no escape has to be undone; all others are
//! skipped without being built. Blank lines are skipped.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::{RawDocument, Source};
use crate::corpus::text::{Fields, list};
use crate::error::{Result, one_line};

pub(super) fn documents(
    source: &Source<'_>,
    text: &str,
    each: &mut dyn FnMut(RawDocument<'_>) -> Result<()>,
) -> Result<()> {
    let mut begin = 0;
    while begin < text.len() {
        let end = memchr(b'\n', &text.as_bytes()[begin..]).map_or(text.len(), |i| begin + i);
        let line = &text[begin..end];
        if !line.trim_ascii().is_empty() {
            let mut parser = serde_json::Deserializer::from_str(line);
            let parsed =
                Record(&source.plan.fields).deserialize(&mut parser).and_then(|doc| parser.end().map(|()| doc));
            let document = parsed.map_err(|cause| source.error(begin, in_words(&cause)))?;
            each(document)?;
        }
        begin = end + 1;
    }
    Ok(())
}

/// A parser's message, its position within the line as a column: that "line 1" is not the file's.
fn in_words(cause: &serde_json::Error) -> String {
    let message = one_line(cause);
    match message.rsplit_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} (column {column})"),
        None => message,
    }
}

/// Reads an object into a document.
struct Record<'f>(&'f Fields);

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = RawDocument<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = RawDocument<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object per line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let fields = self.0;
        let (mut text, mut id, mut label) = (None, None, None);
        let mut others = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            let (is_text, is_id, is_label) =
                (key == fields.text, fields.id.as_deref() == Some(&*key), fields.label.as_deref() == Some(&*key));
            if !(is_text || is_id || is_label) {
                map.next_value::<IgnoredAny>()?;
                // Only a message about a missing field needs the names.
                others.push(key);
                continue;
            }
            // One field may be wanted twice, say as identifier and label.
            let value = map.next_value_seed(Scalar { key: &key, numbers: !is_text })?;
            if is_text {
                text = Some(value.clone());
            }
            if is_id {
                id = Some(value.clone());
            }
            if is_label {
                label = Some(value);
            }
        }
        let missing = |name: &str, option: &str| {
            let names = others.iter().map(|key| key.to_string()).collect::<Vec<_>>();
            A::Error::custom(format!("no field \"{name}\"; others are: {}; choose one with {option}", list(&names)))
        };
        let id = match (&fields.id, id) {
            (Some(name), None) => return Err(missing(name, "--id-field")),
            (_, id) => id,
        };
        let label = match (&fields.label, label) {
            (Some(name), None) => return Err(missing(name, "--label-field")),
            (_, label) => label,
        };
        Ok(RawDocument { text: text.ok_or_else(|| missing(&fields.text, "--text-field"))?, id, label })
    }
}

/// A key, borrowed where it holds no escape.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_str(Scalar { key: "key", numbers: false }).map(Key)
    }
}

/// Reads a string, or also a number where one may stand.
struct Scalar<'k> {
    key: &'k str,
    numbers: bool,
}

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = if self.numbers { "a string or a number" } else { "a string" };
        write!(f, "{kinds} in field \"{}\"", self.key)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> std::result::Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> std::result::Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> std::result::Result<Self::Value, E> {
        self.number(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> std::result::Result<Self::Value, E> {
        self.number(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> std::result::Result<Self::Value, E> {
        // An integer beyond 64 bits arrives here too, rounded: two documents could come to share an identifier.
        match serde_json::Number::from_f64(value) {
            Some(number) if value.abs() < 2_f64.powi(53) => self.number(number),
            _ => Err(E::custom(format!(
                "the number in field \"{}\" has too many digits: write it as a string",
                self.key
            ))),
        }
    }
}

impl Scalar<'_> {
    fn number<'de, E: serde::de::Error>(&self, value: impl fmt::Display) -> std::result::Result<Cow<'de, str>, E> {
        if self.numbers {
            Ok(Cow::Owned(value.to_string()))
        } else {
            Err(E::custom(format!("the number {value} in field \"{}\", expected a string", self.key)))
        }
    }
}
