//! MPI's own non-blocking collectives for byte strings of any length and exact sums.
//!
//! Lengths travel first, as a collective of one u64 a rank, then the bytes in units of 64: counts and offsets are i32
//! in MPI, so a unit of 64 bytes carries 128 GiB in one call. Sums go in pieces.
//!
//! Safety argument for the `unsafe` blocks: as in `request`; counts and offsets are computed from the lengths of the
//! very buffers they describe, or from lengths announced by the peer for which the buffer was then allocated.

use std::cell::Cell;

use ::mpi::ffi;

use super::request::{Communicator, Request, from, into};
use crate::comm::tree::check_stretches;
use crate::error::{Error, Result};
use crate::linalg::Aligned;

/// Bytes of the datatype that byte strings travel in.
const UNIT: usize = 64;
/// Values summed, or bytes broadcast, by one call.
pub(super) const PIECE: usize = 1 << 27;

/// A communicator on which one collective at a time is under way.
pub(super) struct Lane {
    pub(super) comm: Communicator,
    unit: ffi::MPI_Datatype,
    pub(super) member: usize,
    pub(super) members: usize,
    /// What others sent to the last exchange, for the next one.
    pub(super) spare: Cell<Vec<i64>>,
}

/// Buffers of a collective with one length for each rank.
struct Exchange {
    send: Vec<u8>,
    receive: Vec<u8>,
    counts: Vec<i32>,
    offsets: Vec<i32>,
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT)
}

/// Counts and offsets in units for parts of these lengths, laid one after the other.
fn layout(lengths: &[u64]) -> Result<(Vec<i32>, Vec<i32>, usize)> {
    let too_long = || Error::failed("collective beyond 128 GiB");
    let (mut counts, mut offsets, mut total) = (Vec::new(), Vec::new(), 0usize);
    for &length in lengths {
        let count = units(usize::try_from(length).map_err(|_| too_long())?);
        counts.push(i32::try_from(count).map_err(|_| too_long())?);
        offsets.push(i32::try_from(total).map_err(|_| too_long())?);
        total = total.checked_add(count).ok_or_else(too_long)?;
    }
    Ok((counts, offsets, total * UNIT))
}

fn split(bytes: &[u8], offsets: &[i32], lengths: &[u64]) -> Vec<Vec<u8>> {
    offsets
        .iter()
        .zip(lengths)
        .map(|(&offset, &length)| bytes[offset as usize * UNIT..][..length as usize].to_vec())
        .collect()
}

impl Lane {
    pub(super) fn duplicate(of: ffi::MPI_Comm) -> Result<Lane> {
        Ok(Lane::over(Communicator::duplicate(of)?))
    }

    pub(super) fn over(comm: Communicator) -> Lane {
        let (member, members) = comm.member();
        // SAFETY: the new type is written by MPI and committed before use.
        let unit = unsafe {
            let mut unit = ffi::RSMPI_DATATYPE_NULL;
            ffi::MPI_Type_contiguous(UNIT as i32, ffi::RSMPI_UINT8_T, &mut unit);
            ffi::MPI_Type_commit(&mut unit);
            unit
        };
        Lane { comm, unit, member, members, spare: Cell::default() }
    }

    pub(super) fn member(&self) -> usize {
        self.member
    }

    pub(super) fn members(&self) -> usize {
        self.members
    }

    pub(super) async fn broadcast(&self, data: Vec<u8>) -> Result<Vec<u8>> {
        let raw = self.comm.raw();
        let length = Request::start("MPI_Ibcast", Box::new(data.len() as u64), |length, request| {
            // SAFETY: see the head of the file.
            unsafe { ffi::MPI_Ibcast((&raw mut **length).cast(), 1, ffi::RSMPI_UINT64_T, 0, raw, request) }
        })?
        .complete()
        .await?;
        let mut data = data;
        data.resize(*length as usize, 0);
        for first in (0..data.len()).step_by(PIECE) {
            let count = PIECE.min(data.len() - first);
            data = Request::start("MPI_Ibcast", data, |data, request| {
                // SAFETY: see the head of the file.
                unsafe { ffi::MPI_Ibcast(into(&mut data[first..]), count as i32, ffi::RSMPI_UINT8_T, 0, raw, request) }
            })?
            .complete()
            .await?;
        }
        Ok(data)
    }

    pub(super) async fn scatter(&self, parts: Vec<Vec<u8>>) -> Result<Vec<u8>> {
        let raw = self.comm.raw();
        let unit = self.unit;
        let root = self.member == 0;
        if root && parts.len() != self.members {
            return Err(Error::failed(format!("scatter of {} parts to {} ranks", parts.len(), self.members)));
        }
        let lengths: Vec<u64> = parts.iter().map(|part| part.len() as u64).collect();
        let (lengths, own) = Request::start("MPI_Iscatter", (lengths, Box::new(0u64)), |(lengths, own), request| {
            // SAFETY: see the head of the file; only the root's send buffer is read.
            unsafe {
                ffi::MPI_Iscatter(
                    from(lengths),
                    1,
                    ffi::RSMPI_UINT64_T,
                    (&raw mut **own).cast(),
                    1,
                    ffi::RSMPI_UINT64_T,
                    0,
                    raw,
                    request,
                )
            }
        })?
        .complete()
        .await?;
        let own = *own as usize;
        let (counts, offsets, total) = layout(&lengths)?;
        let mut send = Vec::with_capacity(total);
        for (part, &offset) in parts.iter().zip(&offsets) {
            send.resize(offset as usize * UNIT, 0);
            send.extend_from_slice(part);
        }
        send.resize(total, 0);
        drop(parts);
        let exchange = Exchange { send, receive: vec![0; units(own) * UNIT], counts, offsets };
        let mut received = Request::start("MPI_Iscatterv", exchange, |x, request| {
            // SAFETY: see the head of the file.
            unsafe {
                ffi::MPI_Iscatterv(
                    from(&x.send),
                    x.counts.as_ptr(),
                    x.offsets.as_ptr(),
                    unit,
                    into(&mut x.receive),
                    units(own) as i32,
                    unit,
                    0,
                    raw,
                    request,
                )
            }
        })?
        .complete()
        .await?
        .receive;
        received.truncate(own);
        Ok(received)
    }

    pub(super) async fn gather(&self, part: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let raw = self.comm.raw();
        let unit = self.unit;
        let root = self.member == 0;
        let lengths = vec![0u64; if root { self.members } else { 0 }];
        let (_, lengths) =
            Request::start("MPI_Igather", (Box::new(part.len() as u64), lengths), |(own, lengths), request| {
                // SAFETY: see the head of the file; only the root's receive buffer is written.
                unsafe {
                    ffi::MPI_Igather(
                        (&raw const **own).cast(),
                        1,
                        ffi::RSMPI_UINT64_T,
                        into(lengths),
                        1,
                        ffi::RSMPI_UINT64_T,
                        0,
                        raw,
                        request,
                    )
                }
            })?
            .complete()
            .await?;
        let (counts, offsets, total) = layout(&lengths)?;
        let count = units(part.len());
        let mut send = part;
        send.resize(count * UNIT, 0);
        let x = Request::start(
            "MPI_Igatherv",
            Exchange { send, receive: vec![0; total], counts, offsets },
            |x, request| {
                // SAFETY: see the head of the file.
                unsafe {
                    ffi::MPI_Igatherv(
                        from(&x.send),
                        count as i32,
                        unit,
                        into(&mut x.receive),
                        x.counts.as_ptr(),
                        x.offsets.as_ptr(),
                        unit,
                        0,
                        raw,
                        request,
                    )
                }
            },
        )?
        .complete()
        .await?;
        Ok(split(&x.receive, &x.offsets, &lengths))
    }

    /// Straight from one buffer of the caller into the other: no copy, no length to be told first.
    pub(super) async fn all_gather_stretches(
        &self,
        own: Aligned<f32>,
        all: Aligned<f32>,
        counts: &[usize],
    ) -> Result<(Aligned<f32>, Aligned<f32>)> {
        check_stretches(counts, self.member, self.members, own.len(), all.len())?;
        struct Stretches {
            own: Aligned<f32>,
            all: Aligned<f32>,
            counts: Vec<i32>,
            offsets: Vec<i32>,
        }
        let raw = self.comm.raw();
        let offset = |member: usize| counts[..member].iter().sum::<usize>() as i32;
        let x = Stretches {
            counts: counts.iter().map(|&count| count as i32).collect(),
            offsets: (0..self.members).map(offset).collect(),
            own,
            all,
        };
        let x = Request::start("MPI_Iallgatherv", x, |x, request| {
            // SAFETY: see the head of the file; the caller has seen that all offsets fit.
            unsafe {
                ffi::MPI_Iallgatherv(
                    from(&x.own),
                    x.counts[self.member],
                    ffi::RSMPI_FLOAT,
                    into(&mut x.all),
                    x.counts.as_ptr(),
                    x.offsets.as_ptr(),
                    ffi::RSMPI_FLOAT,
                    raw,
                    request,
                )
            }
        })?
        .complete()
        .await?;
        Ok((x.own, x.all))
    }
}
