//! How a result file was made, in the same words for all of them:
//!
//! ```text
//! { "command": "lsi", "version": "0.1.0", "parameters": { what decides the content },
//!   "inputs": { role: { "checksum": ..., "provenance": { how the input was made, if it is a file of ours } } } }
//! ```
//!
//! So a file tells all steps from raw text on, and a later command can repeat them. Several inputs in one role are a list.
//! Names of files, times and hosts do not belong here: equal content must give equal bytes.

use super::file::OpenFile;
use crate::error::{At, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

/// What a result was made from, in one role.
#[derive(Debug, Clone, PartialEq)]
pub struct Input(Value);

impl Input {
    /// One of our own files.
    pub fn result(file: &OpenFile) -> Result<Input> {
        let mut made = file.provenance()?;
        if let Some(Value::Object(inputs)) = made.get_mut("inputs") {
            inputs.values_mut().filter(|input| input.is_array()).for_each(summarise);
        }
        Ok(Input(json!({ "checksum": file.checksum, "provenance": made })))
    }

    /// Several files that are not ours, each with its length in bytes and its checksum.
    pub fn files(files: impl Iterator<Item = (u64, String)>) -> Input {
        Input(files.map(|(bytes, checksum)| json!({ "bytes": bytes, "checksum": checksum })).collect())
    }
}

/// Takes a list of files together: a corpus may be made from a hundred thousand, and every file made from it repeats how
/// it was made.
fn summarise(list: &mut Value) {
    let Value::Array(files) = &*list else { return };
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(file["checksum"].as_str().unwrap_or_default().as_bytes());
        hasher.update(b"\n");
    }
    let bytes: u64 = files.iter().filter_map(|file| file["bytes"].as_u64()).sum();
    *list = json!({ "files": files.len(), "bytes": bytes, "checksum": hasher.finalize().to_hex().as_str() });
}

/// The provenance of a result: program version, command, the parameters that decide its content, and its inputs by their
/// role ("corpus", "matrix", "ids").
pub fn of(command: &str, parameters: Value, inputs: &[(&str, Input)]) -> Value {
    let inputs: Map<String, Value> = inputs.iter().map(|(role, input)| (role.to_string(), input.0.clone())).collect();
    json!({ "command": command, "version": env!("CARGO_PKG_VERSION"), "parameters": parameters, "inputs": inputs })
}

/// An input that is not one of our own files: BLAKE3 in hexadecimal over its bytes, as `b3sum` prints it.
pub fn of_input(path: &Path) -> Result<Input> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path).at(path)?).at(path)?;
    Ok(Input(json!({ "checksum": hasher.finalize().to_hex().as_str() })))
}

/// The checksum of the input in a role, if there is one.
pub fn checksum<'a>(provenance: &'a Value, role: &str) -> Option<&'a str> {
    provenance["inputs"][role]["checksum"].as_str()
}

/// The step of this command on the way from raw text to a file: its own, or that of the corpus it was made from, and so
/// on. None where the documents came another way.
pub fn step<'a>(provenance: &'a Value, command: &str) -> Option<&'a Value> {
    // A search calls its corpus data.
    let next = |made: &&'a Value| ["corpus", "data"].iter().find_map(|role| made["inputs"][role].get("provenance"));
    std::iter::successors(Some(provenance), next).find(|made| made["command"] == command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::atomic::Target;
    use crate::store::file::{Format, ResultFile};

    #[test]
    fn inputs_are_named_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        std::fs::write(&path, "abc").unwrap();
        // BLAKE3 of "abc", from the specification's test vectors as b3sum prints it.
        let sum = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        let provenance = of("import", json!({"format": "mm"}), &[("matrix", of_input(&path).unwrap())]);
        assert_eq!(checksum(&provenance, "matrix"), Some(sum));
        assert_eq!(checksum(&provenance, "ids"), None);
        assert_eq!(provenance["parameters"]["format"], "mm");
        assert!(of_input(folder.path()).is_err());
    }

    #[test]
    fn all_steps_are_told_and_lists_of_files_are_taken_together() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, provenance: &Value| {
            let path = folder.path().join(name);
            let file = ResultFile::create(Target::create(&path).unwrap()).unwrap();
            file.finish(Format::Lsi, provenance).unwrap();
            OpenFile::expect(&path, Format::Lsi).unwrap()
        };
        let texts = |sums: [&str; 2]| Input::files(sums.into_iter().map(|sum| (7, sum.to_owned())));
        let build = |sums| of("build", json!({"tokenizer": 1}), &[("text", texts(sums))]);
        let corpus = made("corpus", &build(["a", "b"]));
        assert_eq!(corpus.provenance().unwrap()["inputs"]["text"][1], json!({"bytes": 7, "checksum": "b"}));
        let weights = made("weights", &of("tfidf", json!({}), &[("corpus", Input::result(&corpus).unwrap())]));
        let model = of("lsi", json!({"k": 2}), &[("corpus", Input::result(&weights).unwrap())]);
        assert_eq!(checksum(&model, "corpus"), Some(weights.checksum.as_str()));
        assert_eq!(step(&model, "lsi"), Some(&model));
        let first = step(&model, "build").unwrap();
        assert_eq!(first["parameters"]["tokenizer"], 1);
        assert_eq!((&first["inputs"]["text"]["files"], &first["inputs"]["text"]["bytes"]), (&json!(2), &json!(14)));
        let other = made("other", &build(["a", "c"]));
        let other = of("lsi", json!({}), &[("corpus", Input::result(&other).unwrap())]);
        assert_ne!(step(&other, "build").unwrap()["inputs"], first["inputs"]);
        assert_eq!(step(&model, "import"), None);
    }
}
