//! Bytes that all ranks read, in memory once on each node.
//!
//! The ranks say which node they are on, and the first of each is its keeper. A broadcast passes the bytes by in pieces: keepers
//! write them to [`NodeMemory`], the others let them go. Then all say whether they could open what their keeper has; for those who
//! could not, it is all done again, and they keep bytes of their own.
//! Memory: the bytes once on a node, and a piece on each rank.

use std::fs::File;

use crate::comm::{NodeMemory, NodeWriter, Route, WORDS, node};
use crate::error::{Error, Result};
use crate::linalg::Aligned;

use super::Job;

/// Bytes of a piece.
pub const PIECE: usize = 16 << 20;

/// Gives all ranks the dispatcher's bytes, held once a node. Collective; `make` runs on the dispatcher alone.
///
/// # Errors
/// Those of `make`.
pub fn once_a_node(job: &Job, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<NodeMemory> {
    let mut bytes = Vec::new();
    let head = job.share(|| {
        bytes = make()?;
        let mut words = [0; WORDS];
        words[..32].copy_from_slice(blake3::hash(&bytes).as_bytes());
        // Equal bytes of two jobs are told apart, so that each has its own even when numbers of processes come again.
        words[32..64].copy_from_slice(blake3::hash(&[node().as_bytes(), &unique()].concat()).as_bytes());
        Ok([&(bytes.len() as u64).to_le_bytes()[..], &words].concat())
    })?;
    let damaged = || Error::failed("damaged message: bytes for a node");
    let (length, words) = head.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (length, words) = (u64::from_le_bytes(*length), <&[u8; WORDS]>::try_from(words).map_err(|_| damaged())?);
    let nodes = job.wait(job.comm.all_gather(Route::World, node().into_bytes()))?;
    let keeper = nodes.iter().position(|node| *node == nodes[job.comm.rank()]).unwrap_or(job.comm.rank());
    let mut keeps = keeper == job.comm.rank();
    let mut held: Option<(NodeMemory, Option<File>)> = None;
    loop {
        let kept = pass(job, &bytes, length, words, keeps && held.is_none())?;
        let address = kept.as_ref().map(|(address, ..)| address.clone()).unwrap_or_default();
        held = held.or(kept.map(|(_, memory, file)| (memory, file)));
        let addresses = job.wait(job.comm.all_gather(Route::World, address.into_bytes()))?;
        if held.is_none() {
            let address = String::from_utf8_lossy(&addresses[keeper]);
            held = NodeMemory::open(&address, words, length).map(|memory| (memory, None));
        }
        // Nobody closes what another has yet to open.
        let lacking = job.wait(job.comm.all_gather(Route::World, vec![u8::from(held.is_none())]))?;
        if let Some((memory, file)) = held.take_if(|_| !lacking.iter().any(|lacks| lacks == &[1])) {
            drop(file);
            report(job, length, &nodes);
            return Ok(memory);
        }
        keeps = true;
    }
}

/// Bytes that no other job has.
fn unique() -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    [now.as_nanos().to_le_bytes().as_slice(), &std::process::id().to_le_bytes()].concat()
}

fn report(job: &Job, length: u64, nodes: &[Vec<u8>]) {
    if job.is_dispatcher() {
        let mut distinct: Vec<&Vec<u8>> = nodes.iter().collect();
        distinct.sort();
        distinct.dedup();
        let size = indicatif::BinaryBytes(length);
        log::debug!("{size} of data in memory once on each of {} nodes, for {} ranks", distinct.len(), nodes.len());
    }
}

/// Passes the bytes by once; those who keep them get them, and where others find them. Collective.
fn pass(
    job: &Job,
    bytes: &[u8],
    length: u64,
    words: &[u8; WORDS],
    keeps: bool,
) -> Result<Option<(String, NodeMemory, Option<File>)>> {
    let mut shared = if keeps { NodeWriter::new(words).ok() } else { None };
    let mut own = Aligned::<u8>::default();
    if keeps && shared.is_none() {
        own.resize(length as usize);
    }
    let mut at = 0;
    while at < length as usize {
        let end = (at + PIECE).min(length as usize);
        let piece = job.share(|| Ok(bytes[at..end].to_vec()))?;
        if piece.len() != end - at {
            return Err(Error::failed("damaged message: bytes for a node"));
        }
        if let Some(writer) = &mut shared {
            writer
                .write(&piece)
                .map_err(|cause| Error::failed(format!("no memory for the data of a node: {cause}")))?;
        } else if keeps {
            own[at..end].copy_from_slice(&piece);
        }
        at = end;
    }
    Ok(match shared {
        Some(writer) => {
            let address = writer.address();
            let sealed =
                writer.seal().map_err(|cause| Error::failed(format!("no memory for the data of a node: {cause}")))?;
            Some((address, sealed.0, Some(sealed.1)))
        }
        None => keeps.then(|| (String::new(), NodeMemory::own(own), None)),
    })
}
