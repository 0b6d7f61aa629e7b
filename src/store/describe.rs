//! What is in a result file: its attributes and datasets, and a proof of all of it.

use super::column::{self, BLOCK_STRINGS, CHECKSUMS, StringReader};
use super::file::{AtFile, OpenFile};
use super::seal::{self, CHECKSUM, Value};
use crate::error::Result;
use hdf5::{Dataset, Group};

/// A dataset of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetInfo {
    /// Path in the file, such as "X/indptr".
    pub name: String,
    /// Type of its elements: "f32", "u64", "string".
    pub element: &'static str,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Bytes its elements take in the file; of strings only the references.
    pub bytes: u64,
}

impl OpenFile {
    /// Root attributes in alphabetical order, but for those that every file has.
    pub fn attributes(&self) -> Result<Vec<(String, Value)>> {
        let read = || -> hdf5::Result<Vec<(String, Value)>> {
            let mut attributes = Vec::new();
            for name in self.file.attr_names()? {
                if !["format", "format_version", CHECKSUM].contains(&name.as_str())
                    && let Some(value) = seal::read_attribute(&self.file, &name)?
                {
                    attributes.push((name, value));
                }
            }
            attributes.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(attributes)
        };
        read().at_file(&self.path)
    }

    /// All datasets in alphabetical order, but for those that hold checksums.
    pub fn datasets(&self) -> Result<Vec<DatasetInfo>> {
        let mut list = Vec::new();
        self.visit(&mut |name, dataset| {
            let (element, shape) = (seal::element_name(dataset)?, dataset.shape());
            list.push(DatasetInfo { name: name.into(), element, shape, bytes: dataset.storage_size() });
            Ok(())
        })
        .at_file(&self.path)?;
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// Reads everything and compares it with its checksums.
    ///
    /// Errors: damage anywhere in the contents.
    pub fn verify(&self) -> Result<()> {
        self.visit(&mut |name, dataset| match seal::element_name(dataset)? {
            "u32" => column::verify::<u32>(dataset),
            "u64" => column::verify::<u64>(dataset),
            "i32" => column::verify::<i32>(dataset),
            "i64" => column::verify::<i64>(dataset),
            "f32" => column::verify::<f32>(dataset),
            "f64" => column::verify::<f64>(dataset),
            _ => {
                let strings = StringReader::open(&self.file, &self.path, name)?;
                let mut blocks = (0..strings.len()).step_by(BLOCK_STRINGS);
                blocks.try_for_each(|at| strings.read(at, BLOCK_STRINGS.min(strings.len() - at)).map(drop))
            }
        })
        .at_file(&self.path)
    }

    fn visit(&self, each: &mut dyn FnMut(&str, &Dataset) -> hdf5::Result<()>) -> hdf5::Result<()> {
        let root: &Group = &self.file;
        for name in root.member_names()? {
            if name == CHECKSUMS {
                continue;
            }
            if let Ok(dataset) = root.dataset(&name) {
                each(&name, &dataset)?;
                continue;
            }
            // Files nest one level deep: the seal was proved.
            let group = root.group(&name)?;
            for inner in group.member_names()? {
                each(&format!("{name}/{inner}"), &group.dataset(&inner)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::atomic::Target;
    use crate::store::file::Format;
    use crate::store::model::ModelWriter;
    use ndarray::Array2;
    use serde_json::json;

    #[test]
    fn contents_are_listed_and_proved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let mut writer = ModelWriter::create(Target::create(&path).unwrap(), Format::Lsi).unwrap();
        // More than one HDF5 chunk.
        let table = Array2::from_shape_fn((100_000, 7), |(row, column)| (row * 7 + column) as f32);
        writer.table("table", table.view()).unwrap();
        writer.list("numbers", &[0.25f64, 1e300]).unwrap();
        writer.strings("words", (0..5000).map(|n| format!("word-{n}"))).unwrap();
        writer.attribute("documents", 7u64).unwrap();
        writer.finish(&json!({"command": "test"})).unwrap();

        let open = OpenFile::open(&path).unwrap();
        assert_eq!(open.attributes().unwrap(), [("documents".to_owned(), Value::Unsigned(7))]);
        let datasets = open.datasets().unwrap();
        let listed: Vec<_> = datasets.iter().map(|d| (d.name.as_str(), d.element, &d.shape[..])).collect();
        let expected = [
            ("numbers", "f64", &[2][..]),
            ("provenance", "string", &[1][..]),
            ("table", "f32", &[100_000, 7][..]),
            ("words", "string", &[5000][..]),
        ];
        assert_eq!(listed, expected);
        assert!(datasets[2].bytes >= 2_800_000);
        open.verify().unwrap();
        drop(open);

        // A byte in the middle of the table and one in the middle of the strings: what opening does not read.
        let bytes = std::fs::read(&path).unwrap();
        let needles = [69_999f32.to_le_bytes().to_vec(), b"word-4321".to_vec()];
        for needle in needles {
            let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
            let mut copy = bytes.clone();
            copy[at + 1] ^= 1;
            std::fs::write(&path, copy).unwrap();
            let error = OpenFile::open(&path).unwrap().verify().unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
        }
    }
}
