//! Collectives carried by point-to-point messages: for communicators that have none of their own, and for the time
//! after a loss, when a native collective over the old communicator would hang.
//!
//! Rank r of a binomial tree over n members (0 the root) has the parent r with its lowest set bit cleared and the
//! children r + 1, r + 2, r + 4, ... below r's lowest set bit: ceil(log2 n) rounds, each rank sends once upwards.
//! The sum of stretches goes directly to the owners instead: n - 1 messages in flight at once, one latency, and the
//! fewest bytes possible, (n - 1)/n of the vector each way.

use super::wait::all;
use super::{Comm, Pending, Route, Tag};
use crate::error::{Error, Result};
use crate::linalg::Aligned;

/// A member's place in the tree of its route.
struct Place {
    /// Rank of member 0.
    base: usize,
    /// This rank's member number.
    member: usize,
    /// Number of members.
    members: usize,
}

impl Place {
    fn of<C: Comm + ?Sized>(comm: &C, route: Route) -> Place {
        let ranks = route.members(comm.size());
        Place { base: ranks.start, member: comm.rank() - ranks.start, members: ranks.len() }
    }

    fn parent(&self) -> Option<usize> {
        (self.member > 0).then(|| self.base + (self.member & (self.member - 1)))
    }

    /// Children with the size of the subtree below each, nearest first.
    fn children(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let reach =
            if self.member == 0 { self.members.next_power_of_two() } else { self.member & self.member.wrapping_neg() };
        (0..usize::BITS)
            .map(|bit| 1usize << bit)
            .take_while(move |&step| step < reach)
            .filter(move |&step| self.member + step < self.members)
            .map(move |step| (self.base + self.member + step, step.min(self.members - self.member - step)))
    }
}

/// Several byte strings in one.
pub(super) fn pack(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + parts.iter().map(|part| part.len() + 8).sum::<usize>());
    bytes.extend_from_slice(&(parts.len() as u64).to_le_bytes());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Undoes [`pack`].
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let damaged = || Error::failed("damaged message: its parts do not add up");
    let number = |bytes: &mut &[u8]| -> Result<usize> {
        let (head, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        *bytes = rest;
        usize::try_from(u64::from_le_bytes(*head)).map_err(|_| damaged())
    };
    let mut rest = bytes;
    let count = number(&mut rest)?;
    let mut parts = Vec::with_capacity(count.min(rest.len() / 8));
    for _ in 0..count {
        let length = number(&mut rest)?;
        let (part, tail) = rest.split_at_checked(length).ok_or_else(damaged)?;
        parts.push(part.to_vec());
        rest = tail;
    }
    Ok(parts)
}

pub(super) fn broadcast(comm: &dyn Comm, route: Route, data: Vec<u8>) -> Pending<'_, Vec<u8>> {
    Box::pin(async move {
        let (place, tag) = (Place::of(comm, route), Tag::from(route));
        let data = match place.parent() {
            Some(parent) => comm.receive(parent, tag).await?,
            None => data,
        };
        // The farthest child first: it has the deepest tree below it.
        let mut children: Vec<_> = place.children().collect();
        children.reverse();
        all(children.into_iter().map(|(child, _)| comm.send(child, tag, data.clone())).collect()).await?;
        Ok(data)
    })
}

pub(super) fn scatter(comm: &dyn Comm, route: Route, parts: Vec<Vec<u8>>) -> Pending<'_, Vec<u8>> {
    Box::pin(async move {
        let (place, tag) = (Place::of(comm, route), Tag::from(route));
        let mut mine = match place.parent() {
            Some(parent) => unpack(&comm.receive(parent, tag).await?)?,
            None => parts,
        };
        let mut children: Vec<_> = place.children().collect();
        children.reverse();
        let mut sends = Vec::new();
        for (child, below) in children {
            let first = child - place.base - place.member;
            if mine.len() < first + below {
                return Err(Error::failed(format!("scatter of {} parts to {} ranks", mine.len(), place.members)));
            }
            sends.push(comm.send(child, tag, pack(&mine.split_off(first))));
        }
        all(sends).await?;
        mine.into_iter().next().ok_or_else(|| Error::failed("scatter without a part for its root"))
    })
}

pub(super) fn gather(comm: &dyn Comm, route: Route, part: Vec<u8>) -> Pending<'_, Vec<Vec<u8>>> {
    Box::pin(async move {
        let (place, tag) = (Place::of(comm, route), Tag::from(route));
        let mut parts = vec![part];
        for packed in all(place.children().map(|(child, _)| comm.receive(child, tag)).collect()).await? {
            parts.extend(unpack(&packed)?);
        }
        match place.parent() {
            Some(parent) => comm.send(parent, tag, pack(&parts)).await.map(|()| Vec::new()),
            None => Ok(parts),
        }
    })
}

pub(super) fn all_gather_stretches<C: Comm + ?Sized>(
    comm: &C,
    route: Route,
    own: Aligned<f32>,
    mut all: Aligned<f32>,
    counts: Vec<usize>,
) -> Pending<'_, (Aligned<f32>, Aligned<f32>)> {
    Box::pin(async move {
        let place = Place::of(comm, route);
        check_stretches(&counts, place.member, place.members, own.len(), all.len())?;
        let mut rest: &mut [u8] = bytemuck::cast_slice_mut(&mut all);
        for (part, count) in comm.all_gather(route, bytemuck::cast_slice(&own).to_vec()).await?.iter().zip(counts) {
            let (stretch, tail) = rest.split_at_mut(count * size_of::<f32>());
            if part.len() != stretch.len() {
                return Err(Error::failed(format!("a stretch of {} bytes, not {}", part.len(), stretch.len())));
            }
            stretch.copy_from_slice(part);
            rest = tail;
        }
        Ok((own, all))
    })
}

/// Stretches that do not fit together are a defect of the caller.
pub(super) fn check_stretches(counts: &[usize], member: usize, members: usize, own: usize, all: usize) -> Result<()> {
    if counts.len() != members || counts[member] != own || counts.iter().sum::<usize>() != all {
        return Err(Error::failed(format!(
            "{} stretches for {members} ranks in a vector of {all} values",
            counts.len()
        )));
    }
    Ok(())
}

fn add(total: &mut [i64], bytes: &[u8]) -> Result<()> {
    if bytes.len() != total.len() * 8 {
        return Err(Error::failed(format!("sum of vectors of {} and {} values", total.len(), bytes.len() / 8)));
    }
    for (sum, value) in total.iter_mut().zip(bytes.chunks_exact(8)) {
        *sum = sum.wrapping_add(i64::from_le_bytes(value.try_into().unwrap_or_default()));
    }
    Ok(())
}

fn to_bytes(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(super) fn sum(comm: &dyn Comm, route: Route, values: Vec<i64>) -> Pending<'_, Vec<i64>> {
    Box::pin(async move {
        let (place, tag) = (Place::of(comm, route), Tag::from(route));
        let mut total = values;
        for (child, _) in place.children().collect::<Vec<_>>() {
            add(&mut total, &comm.receive(child, tag).await?)?;
        }
        if let Some(parent) = place.parent() {
            comm.send(parent, tag, to_bytes(&total)).await?;
        }
        let bytes = broadcast(comm, route, to_bytes(&total)).await?;
        total.fill(0);
        add(&mut total, &bytes)?;
        Ok(total)
    })
}

pub(super) fn sum_scatter(
    comm: &dyn Comm,
    route: Route,
    values: Vec<i64>,
    counts: Vec<usize>,
) -> Pending<'_, Vec<i64>> {
    Box::pin(async move {
        let (place, tag) = (Place::of(comm, route), Tag::from(route));
        if counts.len() != place.members || counts.iter().sum::<usize>() != values.len() {
            return Err(Error::failed(format!(
                "{} stretches for {} ranks in a sum of {} values",
                counts.len(),
                place.members,
                values.len()
            )));
        }
        let mut rest = values.as_slice();
        let mut own = Vec::new();
        let mut sends = Vec::new();
        for (member, &count) in counts.iter().enumerate() {
            let (stretch, tail) = rest.split_at(count);
            rest = tail;
            if member == place.member {
                own = stretch.to_vec();
            } else {
                sends.push(comm.send(place.base + member, tag, to_bytes(stretch)));
            }
        }
        let mut exchange: Vec<Pending<'_, Vec<u8>>> =
            sends.into_iter().map(|send| Box::pin(async move { send.await.map(|()| Vec::new()) }) as _).collect();
        let sent = exchange.len();
        let others = (0..place.members).filter(|&member| member != place.member);
        exchange.extend(others.map(|member| comm.receive(place.base + member, tag)));
        for bytes in &all(exchange).await?[sent..] {
            add(&mut own, bytes)?;
        }
        Ok(own)
    })
}
