//! Pieces of raw text as they are handed out: a parcel says where a piece lies, or brings its bytes.

use super::dataset::Parcel;
use crate::corpus::cutter::Piece;
use crate::error::{Error, Result};

impl From<Piece> for Parcel {
    fn from(mut piece: Piece) -> Parcel {
        Parcel {
            number: piece.number,
            weight: piece.length,
            memory: piece.length,
            body: piece.body.take(),
            place: piece.encode().to_vec(),
        }
    }
}

impl Parcel {
    /// The piece of text that it stands for, without its bytes.
    pub fn piece(&self) -> Result<Piece> {
        let place = self.place.as_slice().try_into();
        Ok(Piece::decode(place.map_err(|_| Error::failed("damaged message: not the place of a piece of text"))?))
    }
}
