//! A section of a result file: numbers and attributes under a name of their own, such as the weighting of a corpus.
//!
//! A section that one command wrote can be handed on by others that need not know what is in it: whoever derives a file
//! from a weighted corpus copies the weighting with it.

use super::column::{self, Number, NumberColumn};
use super::file::{AtFile, OpenFile, ResultFile};
use super::seal::{self, CHECKSUM, Value};
use crate::error::{Error, Result};
use hdf5::Group;
use std::path::{Path, PathBuf};

/// A section of a file being written. To be dropped before the file is finished.
pub struct SectionWriter {
    group: Group,
    path: PathBuf,
}

impl SectionWriter {
    /// Starts a section.
    pub fn create(file: &ResultFile, name: &str) -> Result<Self> {
        let path = file.path().to_path_buf();
        Ok(SectionWriter { group: file.group(name).at_file(&path)?, path })
    }

    /// The root of the file as a section.
    pub fn root(file: &ResultFile) -> Self {
        SectionWriter { group: file.root().clone(), path: file.path().to_path_buf() }
    }

    /// Adds a 1-D dataset.
    pub fn list<T: Number>(&mut self, name: &str, values: &[T]) -> Result<()> {
        let mut column = NumberColumn::list(&self.group, name);
        column.push(values).and_then(|()| column.finish()).at_file(&self.path).map(drop)
    }

    /// Starts a 1-D dataset that arrives in pieces.
    pub fn column<T: Number>(&self, name: &str) -> NumberColumn<T> {
        NumberColumn::list(&self.group, name)
    }

    /// The file it lies in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an attribute: text, a whole or a real number.
    pub fn attribute(&mut self, name: &str, value: impl Into<Value>) -> Result<()> {
        seal::write_attribute(&self.group, name, &value.into()).at_file(&self.path)
    }

    /// Copies all lists and attributes of a section of another file.
    pub fn copy(&mut self, from: &Section) -> Result<()> {
        let mut names = from.group.member_names().at_file(&from.path)?;
        // In whatever order another libhdf5 lists them: the bytes must be the same.
        names.sort();
        for name in names {
            let dataset = from.group.dataset(&name).at_file(&from.path)?;
            match seal::element_name(&dataset).at_file(&from.path)? {
                "u32" => self.list::<u32>(&name, &from.list(&name)?)?,
                "u64" => self.list::<u64>(&name, &from.list(&name)?)?,
                "i32" => self.list::<i32>(&name, &from.list(&name)?)?,
                "i64" => self.list::<i64>(&name, &from.list(&name)?)?,
                "f32" => self.list::<f32>(&name, &from.list(&name)?)?,
                "f64" => self.list::<f64>(&name, &from.list(&name)?)?,
                other => {
                    let path = from.path.display();
                    return Err(Error::failed(format!("{path}: {name} holds elements of type {other}, not numbers")));
                }
            }
        }
        let mut names = from.group.attr_names().at_file(&from.path)?;
        names.sort();
        for name in names {
            self.attribute(&name, from.attribute(&name)?)?;
        }
        Ok(())
    }
}

/// A section of an opened file; every list is compared with its checksum when it is read.
pub struct Section {
    group: Group,
    path: PathBuf,
}

impl Section {
    /// The section of this name, if the file has one.
    pub fn open(file: &OpenFile, name: &str) -> Result<Option<Self>> {
        if !file.file.link_exists(name) {
            return Ok(None);
        }
        let group = file.file.group(name).at_file(&file.path)?;
        Ok(Some(Section { group, path: file.path.clone() }))
    }

    /// The root of the file as a section.
    pub fn root(file: &OpenFile) -> Result<Self> {
        let group = file.file.group("/").at_file(&file.path)?;
        Ok(Section { group, path: file.path.clone() })
    }

    /// The file it lies in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a list of this name.
    pub fn has(&self, name: &str) -> bool {
        self.group.link_exists(name)
    }

    /// A 1-D dataset.
    pub fn list<T: Number>(&self, name: &str) -> Result<Vec<T>> {
        let dataset = self.group.dataset(name).at_file(&self.path)?;
        if dataset.ndim() != 1 {
            let path = self.path.display();
            return Err(Error::failed(format!("{path}: {name} has {} dimensions, not 1", dataset.ndim())));
        }
        column::read_all(&dataset).at_file(&self.path)
    }

    /// A text among the attributes.
    pub fn text(&self, name: &str) -> Result<String> {
        match self.attribute(name)? {
            Value::Text(text) => Ok(text),
            other => Err(self.odd(name, "text", &other)),
        }
    }

    /// A whole number among the attributes.
    pub fn unsigned(&self, name: &str) -> Result<u64> {
        match self.attribute(name)? {
            Value::Unsigned(number) => Ok(number),
            other => Err(self.odd(name, "whole number", &other)),
        }
    }

    /// A real number among the attributes.
    pub fn float(&self, name: &str) -> Result<f64> {
        match self.attribute(name)? {
            Value::Float(number) => Ok(number),
            other => Err(self.odd(name, "number", &other)),
        }
    }

    /// Whether there is an attribute of this name.
    pub fn has_attribute(&self, name: &str) -> Result<bool> {
        Ok(seal::read_attribute(&self.group, name).at_file(&self.path)?.is_some())
    }

    fn attribute(&self, name: &str) -> Result<Value> {
        debug_assert_ne!(name, CHECKSUM, "lists have checksums, sections have none");
        seal::read_attribute(&self.group, name)
            .at_file(&self.path)?
            .ok_or_else(|| Error::failed(format!("{}: the attribute {name} is missing", self.path.display())))
    }

    fn odd(&self, name: &str, wanted: &str, found: &Value) -> Error {
        Error::failed(format!("{}: attribute {name} is no {wanted}: {found:?}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::atomic::Target;
    use crate::store::file::Format;
    use serde_json::json;

    fn write(path: &Path, fill: impl FnOnce(&mut SectionWriter)) {
        let file = ResultFile::create(Target::create(path).unwrap()).unwrap();
        fill(&mut SectionWriter::create(&file, "part").unwrap());
        file.finish(Format::Lsi, &json!({})).unwrap();
    }

    #[test]
    fn what_is_handed_on_has_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        write(&first, |section| {
            section.list("counts", &[1u64, 1 << 60]).unwrap();
            section.list("weights", &[0.1f64, f64::MIN_POSITIVE]).unwrap();
            section.list::<u32>("none", &[]).unwrap();
            section.attribute("code", "nfc").unwrap();
            section.attribute("slope", 0.25).unwrap();
            section.attribute("documents", 7u64).unwrap();
        });
        let open = OpenFile::expect(&first, Format::Lsi).unwrap();
        let section = Section::open(&open, "part").unwrap().unwrap();
        assert_eq!(section.list::<u64>("counts").unwrap(), [1, 1 << 60]);
        assert!(section.list::<u32>("counts").is_err() && section.has("none") && !section.has("more"));
        assert_eq!((section.text("code").unwrap().as_str(), section.float("slope").unwrap()), ("nfc", 0.25));
        assert_eq!(section.unsigned("documents").unwrap(), 7);
        assert!(section.text("slope").is_err() && section.float("pivot").is_err());
        assert!(!section.has_attribute("pivot").unwrap());
        assert!(Section::open(&open, "other").unwrap().is_none());
        write(&second, |copy| copy.copy(&section).unwrap());
        let copied = OpenFile::expect(&second, Format::Lsi).unwrap();
        assert_eq!(copied.checksum, open.checksum);
        copied.verify().unwrap();
    }
}
