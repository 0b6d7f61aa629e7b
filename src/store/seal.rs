//! The seal of a result file: one checksum over everything in it.
//!
//! Every dataset carries the BLAKE3 of its content (`checksum`), taken while it was written. The root attribute
//! `checksum` is the BLAKE3 over a sorted list of all objects: the attributes with their values, the datasets with
//! element type, shape and content checksum. So a reader checks the seal of a file of any size at once, and each dataset
//! when it reads it; nothing depends on the order of writing.

use super::file::cause;
use crate::error::{Error, Result};
use hdf5::types::{FixedUnicode, FloatSize, IntSize, TypeDescriptor, VarLenUnicode};
use hdf5::{Container, Dataset, Group, Location};
use std::collections::BTreeSet;

// Contents are hashed as they lie in memory and HDF5's native types write them so.
#[cfg(target_endian = "big")]
compile_error!("corpuscle's files are little-endian and this target is not");

/// Name of the attribute that holds a dataset's and the file's checksum.
pub const CHECKSUM: &str = "checksum";

/// Bytes of a text attribute. Of fixed length: such a text lies in the object's header, which HDF5 checksums, whereas one of
/// variable length lies in the global heap, which libhdf5 cannot read safely from a damaged file.
const TEXT_BYTES: usize = 64;

type Text = FixedUnicode<TEXT_BYTES>;

/// Attributes that tell AnnData what an object is.
const ENCODING: [&str; 2] = ["encoding-type", "encoding-version"];

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Short UTF-8 text: a name, a code, a checksum; at most 64 bytes.
    Text(String),
    /// A whole number.
    Unsigned(u64),
    /// A real number.
    Float(f64),
    /// A short list of whole numbers, such as a shape.
    Shape(Vec<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_string())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Unsigned(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

/// Adds an attribute to a file, group or dataset.
pub fn write_attribute(object: &Location, name: &str, value: &Value) -> hdf5::Result<()> {
    let attribute = object.new_attr_builder();
    match value {
        Value::Text(text) => {
            let text: Text = text.parse().map_err(|_| {
                hdf5::Error::Internal(format!("the attribute {name} is longer than {TEXT_BYTES} bytes: {text}"))
            })?;
            attribute.empty::<Text>().create(name)?.write_scalar(&text)
        }
        Value::Unsigned(number) => attribute.empty::<u64>().create(name)?.write_scalar(number),
        Value::Float(number) => attribute.empty::<f64>().create(name)?.write_scalar(number),
        Value::Shape(list) => attribute.with_data(list.as_slice()).create(name).map(|_| ()),
    }
}

/// Marks a group or dataset as an element of AnnData's on-disk format. AnnData wants texts of variable length; we never read
/// them, and the seal leaves them out.
pub fn write_encoding(object: &Location, kind: &str, version: &str) -> hdf5::Result<()> {
    for (name, text) in ENCODING.into_iter().zip([kind, version]) {
        let text: VarLenUnicode = text.parse().map_err(|e| hdf5::Error::Internal(format!("{name}: {e}")))?;
        object.new_attr_builder().empty::<VarLenUnicode>().create(name)?.write_scalar(&text)?;
    }
    Ok(())
}

/// Reads an attribute of one of the kinds [`write_attribute`] writes; `None` when there is none of that name.
pub fn read_attribute(object: &Location, name: &str) -> hdf5::Result<Option<Value>> {
    if !object.attr_names()?.iter().any(|known| known == name) {
        return Ok(None);
    }
    let attribute = object.attr(name)?;
    let odd = |what: String| hdf5::Error::Internal(format!("attribute {name} {what}"));
    let (kind, ndim) = (attribute.dtype()?.to_descriptor()?, attribute.ndim());
    Ok(Some(match (kind, ndim) {
        (TypeDescriptor::FixedUnicode(TEXT_BYTES), 0) => {
            let text: Text = attribute.read_scalar()?;
            let text = std::str::from_utf8(text.as_bytes()).map_err(|_| odd("is not UTF-8".into()))?;
            Value::Text(text.to_string())
        }
        (TypeDescriptor::Unsigned(IntSize::U8), 0) => Value::Unsigned(attribute.read_scalar()?),
        (TypeDescriptor::Float(FloatSize::U8), 0) => Value::Float(attribute.read_scalar()?),
        (TypeDescriptor::Integer(IntSize::U8), 1) => Value::Shape(attribute.read_raw()?),
        (kind, ndim) => return Err(odd(format!("is of an unexpected type ({kind:?}, {ndim} dimensions)"))),
    }))
}

/// Name of a dataset's element type in the seal.
pub fn element_name(dataset: &Container) -> hdf5::Result<&'static str> {
    Ok(match dataset.dtype()?.to_descriptor()? {
        TypeDescriptor::Unsigned(IntSize::U4) => "u32",
        TypeDescriptor::Unsigned(IntSize::U8) => "u64",
        TypeDescriptor::Integer(IntSize::U4) => "i32",
        TypeDescriptor::Integer(IntSize::U8) => "i64",
        TypeDescriptor::Float(FloatSize::U4) => "f32",
        TypeDescriptor::Float(FloatSize::U8) => "f64",
        TypeDescriptor::VarLenUnicode => "string",
        other => return Err(hdf5::Error::Internal(format!("holds elements of an unexpected type ({other:?})"))),
    })
}

fn describe_attributes(path: &str, object: &Location, lines: &mut BTreeSet<String>) -> hdf5::Result<()> {
    for name in object.attr_names()? {
        if ENCODING.contains(&name.as_str()) || path == "/" && name == CHECKSUM {
            continue;
        }
        let value = match read_attribute(object, &name)? {
            Some(Value::Text(text)) => format!("text {text:?}"),
            Some(Value::Unsigned(number)) => format!("unsigned {number}"),
            Some(Value::Float(number)) => format!("float {:016x}", number.to_bits()),
            Some(Value::Shape(list)) => format!("shape {list:?}"),
            None => continue,
        };
        lines.insert(format!("attribute {path:?} {name:?} {value}"));
    }
    Ok(())
}

fn describe(path: &str, group: &Group, lines: &mut BTreeSet<String>) -> hdf5::Result<()> {
    describe_attributes(path, group, lines)?;
    for name in group.member_names()? {
        let inner = format!("{path}{name}");
        // Our files nest one level deep; anything deeper was not written by us.
        if let Ok(dataset) = group.dataset(&name) {
            describe_attributes(&inner, &dataset, lines)?;
            lines.insert(format!("dataset {inner:?} {} {:?}", element_name(&dataset)?, dataset.shape()));
        } else if path == "/" {
            describe(&format!("{inner}/"), &group.group(&name)?, lines)?;
        } else {
            return Err(hdf5::Error::Internal(format!("{inner} is neither a dataset nor expected")));
        }
    }
    Ok(())
}

/// The checksum of a file: BLAKE3 in hexadecimal over its sorted description.
pub fn of(root: &Group) -> hdf5::Result<String> {
    let mut lines = BTreeSet::new();
    describe("/", root, &mut lines)?;
    let mut hasher = blake3::Hasher::new();
    for line in lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Compares the file's description with its seal and returns the seal; `path` names the file in the error.
pub fn verify(root: &Group, path: &std::path::Path) -> Result<String> {
    let damaged = |what: &str| {
        Error::failed(format!(
            "{}: damaged or changed after it was written ({what}); make it again or restore a copy",
            path.display()
        ))
    };
    let stored = match read_attribute(root, CHECKSUM).map_err(|e| damaged(&cause(&e)))? {
        Some(Value::Text(stored)) => stored,
        _ => return Err(damaged("it has no checksum")),
    };
    let actual = of(root).map_err(|e| damaged(&cause(&e)))?;
    if stored != actual {
        return Err(damaged("its checksum does not match its content"));
    }
    Ok(stored)
}

/// The content checksum a dataset carries.
pub fn of_dataset(dataset: &Dataset) -> hdf5::Result<String> {
    match read_attribute(dataset, CHECKSUM)? {
        Some(Value::Text(checksum)) => Ok(checksum),
        _ => Err(hdf5::Error::Internal("a dataset without a checksum".into())),
    }
}
