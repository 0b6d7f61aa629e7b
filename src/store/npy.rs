//! Arrays as NumPy's `.npy` has them: the header, and numbers one after another.
//!
//! Format: NumPy Enhancement Proposal 1 (R. Kern, 2007), versions 1 to 3: magic, version, length of the header, a Python
//! dictionary with the type, the order and the shape; then the numbers.

use std::fmt::Write as _;
use std::io::Read;

/// No header of an array is longer.
const LONGEST_HEADER: u64 = 1 << 20;

/// What is known of an array before its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyHeader {
    /// Type of the elements, as NumPy writes it: `<f8` are little-endian doubles.
    pub kind: String,
    /// Stored by columns.
    pub by_columns: bool,
    /// Extents; none for a single element.
    pub shape: Vec<u64>,
    /// Where the numbers begin.
    pub offset: u64,
}

impl NpyHeader {
    /// Reads the header; the reader then stands before the numbers.
    ///
    /// # Errors
    /// What is wrong, to be said behind the name of the file.
    pub fn read(reader: &mut impl Read) -> Result<NpyHeader, String> {
        let mut head = [0_u8; 10];
        reader.read_exact(&mut head).map_err(|_| "not a .npy array, or a truncated one")?;
        if head[..6] != *b"\x93NUMPY" {
            return Err("not a .npy array".to_owned());
        }
        let (mut begin, mut length) = (10_u64, u64::from(u16::from_le_bytes([head[8], head[9]])));
        if head[6] != 1 {
            let mut more = [0_u8; 2];
            reader.read_exact(&mut more).map_err(|_| "truncated header")?;
            (begin, length) = (12, u64::from(u32::from_le_bytes([head[8], head[9], more[0], more[1]])));
        }
        if length > LONGEST_HEADER {
            return Err("damaged header".to_owned());
        }
        let mut text = vec![0_u8; length as usize];
        reader.read_exact(&mut text).map_err(|_| "truncated header")?;
        let text = String::from_utf8_lossy(&text);
        let value = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        let shape = value("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).map(|(list, _)| list);
        let extents = shape.unwrap_or("?").split(',').map(str::trim).filter(|extent| !extent.is_empty());
        let shape = extents.map(str::parse).collect::<Result<_, _>>().map_err(|_| "damaged header: no shape")?;
        let kind = value("descr").and_then(|rest| rest.strip_prefix('\'')?.split_once('\''));
        let kind = kind.map_or("damaged header: no type of numbers".into(), |(kind, _)| kind.to_owned());
        let by_columns = value("fortran_order").is_some_and(|order| order.starts_with("True"));
        Ok(NpyHeader { kind, by_columns, shape, offset: begin + length })
    }

    /// The bytes of a header of version 1 for an array stored by rows, a multiple of 64 long as NumPy wants it.
    pub fn bytes(kind: &str, shape: &[u64]) -> Vec<u8> {
        let mut extents = String::new();
        for extent in shape {
            let _ = write!(extents, "{extent}, ");
        }
        // (3,) and (3, 4), as Python writes tuples.
        let extents = if shape.len() == 1 { extents.trim_end() } else { extents.trim_end_matches(", ") };
        let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({extents}), }}");
        let length = (text.len() + 11).next_multiple_of(64) - 10;
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(length as u16).to_le_bytes());
        bytes.extend_from_slice(format!("{text:<width$}\n", width = length - 1).as_bytes());
        bytes
    }

    /// How many elements there are; none where a number does not hold it.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1_u64, |elements, &extent| elements.checked_mul(extent))
    }
}

/// Types of numbers that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberKind {
    /// Whole numbers of so many bytes.
    Whole {
        /// 1, 2, 4 or 8.
        bytes: u8,
        /// May be negative.
        signed: bool,
    },
    /// `f32`.
    Single,
    /// `f64`.
    Double,
}

impl NumberKind {
    /// Of NumPy's name for it; none for those that cannot be read.
    pub fn of(name: &str) -> Option<NumberKind> {
        Some(match name {
            "<f4" => NumberKind::Single,
            "<f8" => NumberKind::Double,
            // Truth values are bytes of 0 and 1.
            "|b1" | "|u1" => NumberKind::Whole { bytes: 1, signed: false },
            "|i1" => NumberKind::Whole { bytes: 1, signed: true },
            "<u2" => NumberKind::Whole { bytes: 2, signed: false },
            "<i2" => NumberKind::Whole { bytes: 2, signed: true },
            "<u4" => NumberKind::Whole { bytes: 4, signed: false },
            "<i4" => NumberKind::Whole { bytes: 4, signed: true },
            "<u8" => NumberKind::Whole { bytes: 8, signed: false },
            "<i8" => NumberKind::Whole { bytes: 8, signed: true },
            _ => return None,
        })
    }

    /// Bytes of a number.
    pub fn width(self) -> usize {
        match self {
            NumberKind::Whole { bytes, .. } => bytes.into(),
            NumberKind::Single => 4,
            NumberKind::Double => 8,
        }
    }

    /// The number that these bytes are, as many as [`width`](Self::width) says; exact but for whole numbers beyond 2^53.
    pub fn number(self, bytes: &[u8]) -> f64 {
        match self {
            NumberKind::Single => f32::from_le_bytes(std::array::from_fn(|i| bytes[i])).into(),
            NumberKind::Double => f64::from_le_bytes(std::array::from_fn(|i| bytes[i])),
            NumberKind::Whole { .. } => self.whole(bytes).map_or(f64::NAN, |whole| whole as f64),
        }
    }

    /// The whole number that these bytes are; none for other kinds of numbers, and beyond 2^63.
    pub fn whole(self, bytes: &[u8]) -> Option<i64> {
        let NumberKind::Whole { signed, .. } = self else { return None };
        let negative = signed && bytes.last().is_some_and(|&byte| byte >= 0x80);
        let filler = if negative { 0xff } else { 0 };
        let whole = i64::from_le_bytes(std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(filler)));
        (negative || whole >= 0).then_some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_are_written() {
        for (kind, shape) in [("<f8", vec![3, 4]), ("<i4", vec![7]), ("|b1", vec![]), ("<f4", vec![1 << 40, 200, 3])] {
            let mut bytes = NpyHeader::bytes(kind, &shape);
            assert_eq!((bytes.len() % 64, bytes.last()), (0, Some(&b'\n')));
            bytes.extend_from_slice(b"rest");
            let mut reader = &bytes[..];
            let header = NpyHeader::read(&mut reader).unwrap();
            assert_eq!(reader, b"rest");
            assert_eq!((header.kind.as_str(), header.shape, header.by_columns), (kind, shape, false));
            assert_eq!(header.offset as usize, bytes.len() - 4);
        }
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let dictionary = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }          \n";
        let mut second = b"\x93NUMPY\x02\x00".to_vec();
        second.extend_from_slice(&(dictionary.len() as u32).to_le_bytes());
        second.extend_from_slice(dictionary.as_bytes());
        let header = NpyHeader::read(&mut &second[..]).unwrap();
        assert_eq!((header.shape, header.by_columns, header.offset), (vec![2, 3], true, 12 + dictionary.len() as u64));
        for cut in 0..second.len() {
            assert!(NpyHeader::read(&mut &second[..cut]).is_err(), "{cut}");
        }
        let mut endless = second.clone();
        endless[8..12].fill(0xff);
        assert!(NpyHeader::read(&mut &endless[..]).is_err());
        let odd = |from: &str, to: &str| {
            let text = dictionary.replace(from, to);
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
            NpyHeader::read(&mut &bytes[..])
        };
        assert!(odd("(2, 3)", "(2, -3)").is_err() && odd("'shape'", "'form'").is_err());
        assert_eq!(odd("(2, 3)", "(99999999999, 99999999999)").unwrap().elements(), None);
    }

    #[test]
    fn numbers_of_all_kinds() {
        for (kind, bytes, number) in [
            ("<i4", &(-7_i32).to_le_bytes()[..], -7.0),
            ("<u4", &u32::MAX.to_le_bytes(), 4_294_967_295.0),
            ("<i8", &(-1_i64).to_le_bytes(), -1.0),
            ("<i2", &(-300_i16).to_le_bytes(), -300.0),
            ("<u2", &u16::MAX.to_le_bytes(), 65535.0),
            ("|i1", &[0x80], -128.0),
            ("|u1", &[0x80], 128.0),
            ("|b1", &[1], 1.0),
            ("<f4", &0.25_f32.to_le_bytes(), 0.25),
            ("<f8", &(-0.1_f64).to_le_bytes(), -0.1),
        ] {
            let known = NumberKind::of(kind).unwrap();
            assert_eq!((known.width(), known.number(bytes)), (bytes.len(), number), "{kind}");
        }
        assert_eq!(NumberKind::of("<u8").unwrap().whole(&u64::MAX.to_le_bytes()), None);
        assert!(NumberKind::of(">f8").is_none() && NumberKind::of("<c16").is_none());
    }
}
