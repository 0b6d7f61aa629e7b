//! Variable-length strings read without libhdf5.
//!
//! Such strings lie in HDF5's global heap, which carries no checksum, and libhdf5 follows the lengths it finds there
//! without comparing them with anything: one flipped bit is a read out of bounds. So the heap is read here instead, from
//! the file's own bytes, with every length and address checked. Layout: HDF5 File Format Specification 3.0, III.E "Global
//! Heap", and the variable-length reference of IV.A.2.d.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a reference to a string: length (4), address of its collection (8), index in it (4).
const REFERENCE: usize = 16;

/// Bytes before the objects of a collection: "GCOL", version (1), reserved (3), size (8).
const COLLECTION_HEADER: usize = 16;

/// Bytes before the content of an object: index (2), reference count (2), reserved (4), size (8).
const OBJECT_HEADER: usize = 16;

/// What libhdf5 makes a collection at most, unless a single object needs more.
const LARGEST_COLLECTION: u64 = 1 << 16;

/// The bytes of an HDF5 file as strings need them.
pub struct Heap {
    file: File,
    length: u64,
}

/// A part of the heap: several objects in one run of bytes.
struct Collection {
    bytes: Vec<u8>,
    /// Where each object's content lies in `bytes`, by index.
    objects: HashMap<u32, Range<usize>>,
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its strings are damaged")
}

fn number<const BYTES: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(BYTES)?)?;
    Some(part.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

impl Heap {
    /// Opens the file beside libhdf5.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Heap { file, length })
    }

    /// Bytes of the `count` strings whose references begin at `address`.
    pub fn strings(&self, address: u64, count: usize) -> io::Result<Vec<Vec<u8>>> {
        let references = self.bytes(address, (count as u64).saturating_mul(REFERENCE as u64))?;
        let mut collections = HashMap::new();
        references.chunks_exact(REFERENCE).map(|reference| self.string(reference, &mut collections)).collect()
    }

    fn string(&self, reference: &[u8], collections: &mut HashMap<u64, Collection>) -> io::Result<Vec<u8>> {
        let field = |value: Option<u64>| value.ok_or_else(damaged);
        let length = field(number::<4>(reference, 0))?;
        let address = field(number::<8>(reference, 4))?;
        let index = field(number::<4>(reference, 12))? as u32;
        if length == 0 {
            return Ok(Vec::new());
        }
        let collection = match collections.entry(address) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(self.collection(address, length)?),
        };
        let range = collection.objects.get(&index).ok_or_else(damaged)?;
        let content = collection.bytes.get(range.clone()).ok_or_else(damaged)?;
        content.get(..length as usize).map(<[u8]>::to_vec).ok_or_else(damaged)
    }

    /// Reads the collection at `address`, which holds at least one object of `length` bytes.
    fn collection(&self, address: u64, length: u64) -> io::Result<Collection> {
        let header = self.bytes(address, COLLECTION_HEADER as u64)?;
        let size = number::<8>(&header, 8).ok_or_else(damaged)?;
        if !header.starts_with(b"GCOL\x01") || size > LARGEST_COLLECTION + length {
            return Err(damaged());
        }
        let bytes = self.bytes(address, size)?;
        let mut objects = HashMap::new();
        let mut at = COLLECTION_HEADER;
        while let (Some(index), Some(size)) = (number::<2>(&bytes, at), number::<8>(&bytes, at + 8)) {
            // Object 0 is the free space, always the last.
            if index == 0 {
                break;
            }
            let begin = at + OBJECT_HEADER;
            let end = usize::try_from(size).ok().and_then(|size| begin.checked_add(size)).ok_or_else(damaged)?;
            objects.insert(index as u32, begin..end);
            at = end.checked_next_multiple_of(8).ok_or_else(damaged)?;
        }
        Ok(Collection { bytes, objects })
    }

    fn bytes(&self, address: u64, count: u64) -> io::Result<Vec<u8>> {
        if address.checked_add(count).is_none_or(|end| end > self.length) {
            return Err(damaged());
        }
        let mut bytes = vec![0; count as usize];
        self.file.read_exact_at(&mut bytes, address)?;
        Ok(bytes)
    }
}
