//! Exact sums over the members of a lane.
//!
//! Safety argument for the `unsafe` blocks: as in `collectives`.

use ::mpi::ffi;

use super::collectives::{Lane, PIECE};
use super::request::{Request, check, from, into};
use crate::error::{Error, Result};

/// How the members of a lane add up vectors. What counts on a slow network is how many latencies follow each other: a tree
/// up and down again, which is MPI's way, has 2 log2 n of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WayToSum {
    /// There is nobody else.
    Alone,
    /// Everybody sends everybody its vector: one latency.
    AtOnce,
    /// Everybody adds up one stretch and sends it to everybody: two latencies, and the fewest bytes possible.
    InStretches,
    /// As MPI does it.
    UpAndDown,
}

/// Bytes a member may send for the sake of one latency instead of two.
const AT_ONCE: usize = 512 << 10;
/// Members from which on n^2 messages are too many.
const MANY: usize = 64;

/// The way `members` add up vectors of so many bytes: the same on all of them.
pub(super) fn way_to_sum(members: usize, bytes: usize) -> WayToSum {
    match members {
        1 => WayToSum::Alone,
        2..MANY if bytes * (members - 1) <= AT_ONCE => WayToSum::AtOnce,
        // Offsets are i32 in MPI.
        2..MANY if bytes < i32::MAX as usize => WayToSum::InStretches,
        _ => WayToSum::UpAndDown,
    }
}

impl WayToSum {
    /// Bytes a member sends, and receives, for a sum of vectors of so many bytes.
    pub(super) fn traffic(self, members: usize, bytes: usize) -> usize {
        match self {
            WayToSum::Alone => 0,
            WayToSum::AtOnce => bytes * (members - 1),
            WayToSum::InStretches => 2 * bytes * (members - 1) / members,
            WayToSum::UpAndDown => bytes,
        }
    }
}

fn add(total: &mut [i64], part: &[i64]) {
    total.iter_mut().zip(part).for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
}

impl Lane {
    /// Sum of a vector of all members, which each of them gets.
    pub(super) async fn sum(&self, values: Vec<i64>) -> Result<Vec<i64>> {
        match way_to_sum(self.members, size_of_val(&values[..])) {
            WayToSum::Alone => Ok(values),
            WayToSum::AtOnce => {
                let length = values.len();
                let all = self.all_gather_values(values, &vec![length; self.members]).await?;
                let mut total = all[..length].to_vec();
                if length > 0 {
                    all[length..].chunks_exact(length).for_each(|part| add(&mut total, part));
                }
                Ok(total)
            }
            WayToSum::InStretches => {
                let counts: Vec<usize> = (0..self.members)
                    .map(|member| values.len() * (member + 1) / self.members - values.len() * member / self.members)
                    .collect();
                let own = self.sum_scatter(values, &counts).await?;
                self.all_gather_values(own, &counts).await
            }
            WayToSum::UpAndDown => self.sum_up_and_down(values).await,
        }
    }

    /// The values of all members one after the other, `counts` of each.
    async fn all_gather_values(&self, own: Vec<i64>, counts: &[usize]) -> Result<Vec<i64>> {
        let raw = self.comm.raw();
        let total = counts.iter().sum::<usize>();
        check("MPI_Iallgatherv", i32::from(i32::try_from(total).is_err()))?;
        let (_, all, _, _) = Request::start(
            "MPI_Iallgatherv",
            (
                own,
                vec![0i64; total],
                counts.iter().map(|&count| count as i32).collect::<Vec<i32>>(),
                (0..self.members).map(|member| counts[..member].iter().sum::<usize>() as i32).collect::<Vec<i32>>(),
            ),
            |(own, all, counts, offsets), request| {
                // SAFETY: see the head of the file; all offsets fit, for the total does.
                unsafe {
                    ffi::MPI_Iallgatherv(
                        from(own),
                        own.len() as i32,
                        ffi::RSMPI_INT64_T,
                        into(all),
                        counts.as_ptr(),
                        offsets.as_ptr(),
                        ffi::RSMPI_INT64_T,
                        raw,
                        request,
                    )
                }
            },
        )?
        .complete()
        .await?;
        Ok(all)
    }

    /// MPI's own sum: a tree up and down again in every MPI known, 2 log2 n latencies.
    async fn sum_up_and_down(&self, values: Vec<i64>) -> Result<Vec<i64>> {
        let raw = self.comm.raw();
        let total = vec![0i64; values.len()];
        let mut buffers = (values, total);
        for first in (0..buffers.0.len()).step_by(PIECE) {
            let count = PIECE.min(buffers.0.len() - first);
            buffers = Request::start("MPI_Iallreduce", buffers, |(values, total), request| {
                // SAFETY: see the head of the file.
                unsafe {
                    ffi::MPI_Iallreduce(
                        from(&values[first..]),
                        into(&mut total[first..]),
                        count as i32,
                        ffi::RSMPI_INT64_T,
                        ffi::RSMPI_SUM,
                        raw,
                        request,
                    )
                }
            })?
            .complete()
            .await?;
        }
        Ok(buffers.1)
    }

    /// Every member sends each other its stretch, all messages in flight at once, and adds what it gets: one latency
    /// and (n - 1)/n of the vector each way, where a reduction to a root followed by a scatter moves twice as much.
    pub(super) async fn sum_scatter(&self, values: Vec<i64>, counts: &[usize]) -> Result<Vec<i64>> {
        if counts.len() != self.members || counts.iter().sum::<usize>() != values.len() {
            return Err(Error::failed(format!(
                "{} stretches for {} ranks in a sum of {} values",
                counts.len(),
                self.members,
                values.len()
            )));
        }
        if self.members == 1 {
            return Ok(values);
        }
        struct Stretches {
            send: Vec<i64>,
            send_counts: Vec<i32>,
            send_offsets: Vec<i32>,
            receive: Vec<i64>,
            receive_counts: Vec<i32>,
            receive_offsets: Vec<i32>,
        }
        let raw = self.comm.raw();
        let own = counts[self.member];
        let offset = |member: usize| counts[..member].iter().sum::<usize>() as i32;
        // A member sends itself nothing: its own stretch is added in place.
        let others = |member: usize, count: usize| if member == self.member { 0 } else { count as i32 };
        let slot = |member: usize| (member - usize::from(member > self.member)) * own;
        check("MPI_Ialltoallv", i32::from(i32::try_from(own * (self.members - 1)).is_err()))?;
        let mut receive = self.spare.take();
        receive.resize(own * (self.members - 1), 0);
        let mut x = Request::start(
            "MPI_Ialltoallv",
            Stretches {
                send: values,
                send_counts: counts.iter().enumerate().map(|(member, &count)| others(member, count)).collect(),
                send_offsets: (0..self.members).map(offset).collect(),
                receive,
                receive_counts: (0..self.members).map(|member| others(member, own)).collect(),
                receive_offsets: (0..self.members)
                    .map(|member| if member == self.member { 0 } else { slot(member) as i32 })
                    .collect(),
            },
            |x, request| {
                // SAFETY: see the head of the file.
                unsafe {
                    ffi::MPI_Ialltoallv(
                        from(&x.send),
                        x.send_counts.as_ptr(),
                        x.send_offsets.as_ptr(),
                        ffi::RSMPI_INT64_T,
                        into(&mut x.receive),
                        x.receive_counts.as_ptr(),
                        x.receive_offsets.as_ptr(),
                        ffi::RSMPI_INT64_T,
                        raw,
                        request,
                    )
                }
            },
        )?
        .complete()
        .await?;
        // In place: the stretch moves to the front, without another allocation of its size.
        let first = offset(self.member) as usize;
        let mut total = std::mem::take(&mut x.send);
        total.copy_within(first..first + own, 0);
        total.truncate(own);
        if own > 0 {
            x.receive.chunks_exact(own).for_each(|stretch| add(&mut total, stretch));
        }
        self.spare.set(x.receive);
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sums_take_one_latency_and_large_ones_two() {
        assert_eq!(way_to_sum(1, 1 << 30), WayToSum::Alone);
        assert_eq!(way_to_sum(2, 230 << 10), WayToSum::AtOnce);
        assert_eq!(way_to_sum(16, 230 << 10), WayToSum::InStretches);
        assert_eq!(way_to_sum(16, 8 << 10), WayToSum::AtOnce);
        assert_eq!(way_to_sum(64, 8), WayToSum::UpAndDown);
        assert_eq!(way_to_sum(3, 1 << 33), WayToSum::UpAndDown);
    }

    #[test]
    fn no_way_sends_more_than_the_limit_allows() {
        for members in 2..MANY {
            for bytes in [8, 4096, 1 << 16, 1 << 20, 1 << 24] {
                let sent = way_to_sum(members, bytes).traffic(members, bytes);
                assert!(sent <= AT_ONCE.max(2 * bytes), "{members} members, {bytes} bytes: {sent}");
            }
        }
    }
}
