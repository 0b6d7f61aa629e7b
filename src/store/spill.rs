//! What does not fit into memory, in a file without a name.
//!
//! The file lies in the folder for temporary files (`TMPDIR`) and is gone with the process, however that ends.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};

/// Byte strings written one after another and read back in any order.
#[derive(Debug)]
pub struct Spill {
    file: File,
    end: u64,
}

fn told<T>(result: std::io::Result<T>) -> Result<T> {
    result.map_err(|cause| {
        let folder = std::env::temp_dir();
        Error::failed(format!(
            "{}: {cause}; what exceeds --memory goes there: set TMPDIR to a folder with more space, or give more memory",
            folder.display()
        ))
    })
}

impl Spill {
    /// An empty file.
    pub fn new() -> Result<Spill> {
        Ok(Spill { file: told(tempfile::tempfile())?, end: 0 })
    }

    /// Writes bytes at the end; says where they are.
    pub fn append(&mut self, bytes: &[u8]) -> Result<Range<u64>> {
        told(self.file.write_all_at(bytes, self.end))?;
        let place = self.end..self.end + bytes.len() as u64;
        self.end = place.end;
        Ok(place)
    }

    /// Reads what [`append`](Self::append) wrote there.
    pub fn read(&self, place: &Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (place.end - place.start) as usize];
        told(self.file.read_exact_at(&mut bytes, place.start))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_in_any_order() {
        let mut spill = Spill::new().unwrap();
        let places: Vec<Range<u64>> =
            ["one", "", "three"].iter().map(|s| spill.append(s.as_bytes()).unwrap()).collect();
        assert_eq!(spill.read(&places[2]).unwrap(), b"three");
        assert_eq!(spill.read(&places[0]).unwrap(), b"one");
        assert_eq!(spill.read(&places[1]).unwrap(), b"");
        let beyond = spill.read(&(3..100)).unwrap_err().to_string();
        assert!(beyond.contains("TMPDIR"), "{beyond}");
    }
}
