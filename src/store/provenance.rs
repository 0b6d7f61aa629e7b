//! How a result file was made, in the same words for all of them.

use crate::error::{At, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The provenance of a result: program version, command, the parameters that decide its content, and a checksum for each
/// input by its role ("corpus", "matrix", "ids"). Names of files, times and hosts do not belong here: equal content must
/// give equal bytes.
pub fn of(command: &str, parameters: Value, inputs: &[(&str, String)]) -> Value {
    let inputs: Map<String, Value> = inputs.iter().map(|(role, sum)| (role.to_string(), json!(sum))).collect();
    json!({ "corpuscle": env!("CARGO_PKG_VERSION"), "command": command, "parameters": parameters, "inputs": inputs })
}

/// The checksum of an input that is not one of our own files: BLAKE3 in hexadecimal over its bytes, as `b3sum` prints it.
pub fn of_input(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path).at(path)?).at(path)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_named_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        std::fs::write(&path, "abc").unwrap();
        // BLAKE3 of "abc", from the specification's test vectors as b3sum prints it.
        let sum = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(of_input(&path).unwrap(), sum);
        let provenance = of("import", json!({"format": "mm"}), &[("matrix", sum.to_owned())]);
        assert_eq!(provenance["inputs"]["matrix"], sum);
        assert_eq!(provenance["parameters"]["format"], "mm");
        assert!(of_input(folder.path()).is_err());
    }
}
