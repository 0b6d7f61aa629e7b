//! What the dispatcher and a worker say to each other: flat little-endian records, checked when read.

use super::dataset::Parcel;
use crate::error::{Error, Result};

/// How a worker gets at a chunk it is to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It kept the chunk from an earlier pass.
    Kept,
    /// It reads the chunk from the file system both share.
    Read,
    /// The bytes are in the message.
    Sent(Vec<u8>),
}

/// One chunk for one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub parcel: Parcel,
    pub delivery: Delivery,
}

/// A worker's share of one scatter round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub assignments: Vec<Assignment>,
    /// No round follows.
    pub last: bool,
}

/// A worker's word after a round.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Report {
    /// Seconds it worked.
    pub seconds: f64,
    /// Numbers of the chunks it now keeps in memory.
    pub kept: Vec<u64>,
}

/// Writes records.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }
}

/// Reads records, refusing whatever does not add up.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*head))
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.number()?).map_err(|_| damaged())?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged()) }
    }
}

fn damaged() -> Error {
    Error::failed("damaged message between dispatcher and worker")
}

impl Assignment {
    fn write(&self, to: &mut Writer) {
        let Parcel { number, weight, memory, place, body: _ } = &self.parcel;
        to.number(*number).number(*weight).number(*memory).bytes(place);
        match &self.delivery {
            Delivery::Kept => to.number(0),
            Delivery::Read => to.number(1),
            Delivery::Sent(bytes) => to.number(2).bytes(bytes),
        };
    }

    fn read(from: &mut Reader) -> Result<Self> {
        let (number, weight, memory) = (from.number()?, from.number()?, from.number()?);
        let place = from.bytes()?.to_vec();
        let delivery = match from.number()? {
            0 => Delivery::Kept,
            1 => Delivery::Read,
            2 => Delivery::Sent(from.bytes()?.to_vec()),
            _ => return Err(damaged()),
        };
        Ok(Assignment { parcel: Parcel { number, weight, memory, place, body: None }, delivery })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        self.write(&mut to);
        to.0
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader(bytes);
        let assignment = Assignment::read(&mut from)?;
        from.end()?;
        Ok(assignment)
    }
}

impl Share {
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.number(self.last.into()).number(self.assignments.len() as u64);
        self.assignments.iter().for_each(|assignment| assignment.write(&mut to));
        to.0
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader(bytes);
        let last = from.number()? != 0;
        let count = from.number()?;
        let assignments = (0..count).map(|_| Assignment::read(&mut from)).collect::<Result<_>>()?;
        from.end()?;
        Ok(Share { assignments, last })
    }
}

impl Report {
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.number(self.seconds.to_bits()).number(self.kept.len() as u64);
        self.kept.iter().for_each(|&number| {
            to.number(number);
        });
        to.0
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader(bytes);
        let seconds = f64::from_bits(from.number()?);
        let count = from.number()?;
        let kept = (0..count).map(|_| from.number()).collect::<Result<_>>()?;
        from.end()?;
        Ok(Report { seconds, kept })
    }
}

/// Reads bytes as each kind of message: what is taken for one says the same when it is written again. For fuzzing.
#[doc(hidden)]
pub fn read_any_message(bytes: &[u8]) {
    if let Ok(share) = Share::decode(bytes) {
        assert_eq!(Share::decode(&share.encode()), Ok(share));
    }
    if let Ok(assignment) = Assignment::decode(bytes) {
        assert_eq!(assignment.encode(), bytes);
    }
    if let Ok(report) = Report::decode(bytes) {
        assert_eq!(report.encode(), bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_and_damage_is_noticed() {
        let parcel = Parcel { number: 7, weight: 1 << 40, memory: 3, place: vec![1, 2], body: None };
        let share = Share {
            assignments: [Delivery::Kept, Delivery::Read, Delivery::Sent(vec![9; 20])]
                .map(|delivery| Assignment { parcel: parcel.clone(), delivery })
                .into(),
            last: true,
        };
        let bytes = share.encode();
        assert_eq!(Share::decode(&bytes), Ok(share));
        for cut in 0..bytes.len() {
            assert!(Share::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let report = Report { seconds: 0.25, kept: vec![1, 5] };
        assert_eq!(Report::decode(&report.encode()), Ok(report));
        assert!(Report::decode(&[255; 16]).is_err());
    }
}
