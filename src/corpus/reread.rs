//! Bytes of pieces once more, after the cutter has passed them.

use std::io::Read;

use crate::corpus::compression::Compression;
use crate::corpus::cutter::{Piece, read_piece};
use crate::corpus::text::{TextPlan, read_more};
use crate::error::{At, Error, Result};

/// Reads pieces by their place: of plain files by seeking; of compressed ones by decompressing forward from the piece
/// read last, so that pieces asked for in ascending order cost one decompression in all. Any other order is right too,
/// but begins the file anew at each step back.
#[derive(Default)]
pub struct Rereader {
    open: Option<Forward>,
}

/// A decompressed stream and how far it was read.
struct Forward {
    file: u32,
    offset: u64,
    stream: Box<dyn Read + Send>,
}

impl Rereader {
    /// The bytes of a piece; its body is not looked at.
    ///
    /// # Errors
    /// The file cannot be read, its stream is damaged, or it has become shorter.
    pub fn read(&mut self, plan: &TextPlan, piece: &Piece) -> Result<Vec<u8>> {
        let file = &plan.files[piece.file as usize];
        if file.compression == Compression::None || plan.in_ranges(file) {
            // Folders are of the former, and decompress their files themselves.
            return Ok(read_piece(plan, &Piece { body: None, ..piece.clone() })?.into_owned());
        }
        let mut forward = match self.open.take() {
            Some(open) if open.file == piece.file && open.offset <= piece.offset => open,
            _ => Forward { file: piece.file, offset: 0, stream: file.compression.open(&file.path)? },
        };
        let skip = piece.offset - forward.offset;
        let skipped = std::io::copy(&mut (&mut forward.stream).take(skip), &mut std::io::sink()).at(&file.path)?;
        let mut bytes = Vec::with_capacity(piece.length as usize);
        let read = read_more(&mut forward.stream, &mut bytes, piece.length, file)?;
        if skipped != skip || read as u64 != piece.length {
            let path = file.path.display();
            return Err(Error::failed(format!("{path}: has become shorter while it was read: start again")));
        }
        forward.offset = piece.offset + piece.length;
        self.open = Some(forward);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::cutter::Cutter;
    use crate::corpus::text::TextSpec;

    #[test]
    fn pieces_come_back_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let text = |seed: usize| (0..3000).map(|i| format!("line {}\n", i * seed % 10_007)).collect::<String>();
        let inputs = ["a", "b", "c"].map(|name| dir.path().join(name));
        std::fs::write(&inputs[0], zstd::encode_all(text(7919).as_bytes(), 1).unwrap()).unwrap();
        std::fs::write(&inputs[1], text(31)).unwrap();
        std::fs::write(&inputs[2], zstd::encode_all(text(101).as_bytes(), 1).unwrap()).unwrap();
        let plan = TextSpec { piece_bytes: 1000, ..TextSpec::new(inputs.to_vec()) }.check().unwrap();
        let (mut cutter, mut pieces) = (Cutter::new(&plan), Vec::new());
        while let Some(piece) = cutter.next().unwrap() {
            let bytes = read_piece(&plan, &piece).unwrap().into_owned();
            pieces.push((piece, bytes));
        }
        assert!(pieces.len() > 50);
        let every_third = (0..pieces.len()).step_by(3);
        let scattered = (0..pieces.len()).map(|i| i * 37 % pieces.len());
        for order in [(0..pieces.len()).collect::<Vec<_>>(), every_third.collect(), scattered.collect()] {
            let mut reader = Rereader::default();
            for at in order {
                let (piece, bytes) = &pieces[at];
                assert_eq!(reader.read(&plan, piece).unwrap(), *bytes, "piece {at}");
            }
        }
        std::fs::write(&inputs[2], zstd::encode_all(&text(101).as_bytes()[..5000], 1).unwrap()).unwrap();
        let message = Rereader::default().read(&plan, &pieces.last().unwrap().0).unwrap_err().to_string();
        assert!(message.contains("has become shorter"), "{message}");
    }
}
