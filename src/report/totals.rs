//! The accounts of all ranks as one.

use crate::report::account::{Counters, OTHER, Phase, RankAccount};
use serde::Serialize;

/// A phase over all ranks that took part in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseTotals {
    /// Wall seconds of the rank that took longest.
    pub seconds: f64,
    /// Mean over the working ranks.
    pub mean: Phase,
    /// CPU of the dispatcher while in this phase, in per cent of one core; none if it never was.
    pub dispatcher_cpu_percent: Option<f64>,
}

/// A run over all its ranks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    /// Wall seconds of the rank that took longest.
    pub seconds: f64,
    /// Sums, and the largest for what all ranks do together.
    pub counters: Counters,
    /// Documents worked on, again in each pass, per second of the whole run.
    pub documents_per_second: f64,
    /// Largest of any rank, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Largest prediction of any rank, in bytes.
    pub predicted_memory_bytes: Option<u64>,
    /// CPU of rank 0 in per cent of one core.
    pub dispatcher_cpu_percent: f64,
    /// In order of appearance, [`OTHER`] last, then all of them as one.
    pub phases: Vec<PhaseTotals>,
}

/// The ranks that work on documents: all but the dispatcher, which works itself when it is alone.
pub fn working(ranks: &[RankAccount]) -> &[RankAccount] {
    if ranks.len() > 1 { &ranks[1..] } else { ranks }
}

/// Part of a time in per cent; 0 of nothing.
pub fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

impl Totals {
    /// Adds up the accounts of all ranks, rank 0 first.
    pub fn of(ranks: &[RankAccount]) -> Self {
        let mut counters = Counters::default();
        for Counters {
            passes,
            products,
            rounds,
            documents,
            flops,
            dense_flops,
            projected_again,
            exchanged_bytes,
            bytes_sent,
            bytes_received,
            messages,
            collectives,
        } in ranks.iter().map(|rank| rank.counters)
        {
            counters.passes = counters.passes.max(passes);
            counters.products = counters.products.max(products);
            counters.rounds = counters.rounds.max(rounds);
            counters.documents += documents;
            counters.flops += flops;
            counters.dense_flops += dense_flops;
            counters.projected_again = counters.projected_again.max(projected_again);
            counters.exchanged_bytes += exchanged_bytes;
            counters.bytes_sent += bytes_sent;
            counters.bytes_received += bytes_received;
            counters.messages += messages;
            counters.collectives += collectives;
        }
        let mut names: Vec<&str> = Vec::new();
        for phase in ranks.iter().flat_map(|rank| &rank.phases) {
            if phase.name != OTHER && !names.contains(&phase.name.as_str()) {
                names.push(&phase.name);
            }
        }
        names.push(OTHER);
        let named = |name| move |rank: &RankAccount| rank.phases.iter().find(|phase| phase.name == name).cloned();
        let mut phases: Vec<PhaseTotals> = names.iter().map(|name| over_ranks(ranks, name, named(*name))).collect();
        let whole = over_ranks(ranks, "total", |rank| Some(rank.total()));
        let (seconds, dispatcher) = (whole.seconds, whole.dispatcher_cpu_percent);
        phases.push(whole);
        Totals {
            seconds,
            counters,
            documents_per_second: if seconds > 0.0 { counters.documents as f64 / seconds } else { 0.0 },
            peak_memory_bytes: ranks.iter().filter_map(|rank| rank.peak_memory_bytes).max(),
            predicted_memory_bytes: ranks.iter().filter_map(|rank| rank.predicted_memory_bytes).max(),
            dispatcher_cpu_percent: dispatcher.unwrap_or(0.0),
            phases,
        }
    }
}

fn over_ranks(ranks: &[RankAccount], name: &str, phase: impl Fn(&RankAccount) -> Option<Phase>) -> PhaseTotals {
    let mut mean = Phase { name: name.into(), ..Phase::default() };
    working(ranks).iter().filter_map(&phase).for_each(|phase| mean.add(&phase));
    let workers = working(ranks).len().max(1) as f64;
    for sum in [
        &mut mean.seconds,
        &mut mean.cpu_seconds,
        &mut mean.compute_seconds,
        &mut mean.waiting_seconds,
        &mut mean.io_seconds,
    ] {
        *sum /= workers;
    }
    PhaseTotals {
        seconds: ranks.iter().filter_map(&phase).map(|phase| phase.seconds).fold(0.0, f64::max),
        mean,
        dispatcher_cpu_percent: ranks.first().and_then(&phase).map(|phase| percent(phase.cpu_seconds, phase.seconds)),
    }
}

/// Accounts made up for the tests of this folder.
#[cfg(test)]
pub(crate) mod fixture {
    use super::*;

    /// The account of `rank`: a dispatcher that waits, or a worker that computes; `rank` seconds longer each.
    pub fn account(rank: usize) -> RankAccount {
        let r = rank as f64;
        let phase = |name: &str, seconds: f64, compute: f64, waiting: f64, io: f64| Phase {
            name: name.into(),
            seconds,
            cpu_seconds: compute + 0.25 * io,
            compute_seconds: compute,
            waiting_seconds: waiting,
            io_seconds: io,
        };
        let (compute, waiting) = if rank == 0 { (0.5, 9.0) } else { (8.0 + r, 1.5) };
        RankAccount {
            rank,
            host: format!("node{:02}", rank / 4),
            started_unix_seconds: 1.7e9,
            peak_memory_bytes: Some((100 + rank as u64) << 20),
            predicted_memory_bytes: Some((120 + rank as u64) << 20),
            counters: Counters {
                passes: 9,
                products: 800,
                rounds: 8,
                documents: if rank == 0 { 0 } else { 1000 * rank as u64 },
                flops: 1_000_000,
                dense_flops: 500_000,
                projected_again: 0,
                exchanged_bytes: 1 << 19,
                bytes_sent: 1 << 20,
                bytes_received: 2 << 20,
                messages: 3,
                collectives: 4,
            },
            phases: vec![
                phase("read", 2.0, 0.0, 0.0, 2.0),
                phase("lsi", 10.0 + r, compute, waiting, 0.0),
                phase(OTHER, 1.0, 0.0, 0.0, 0.0),
            ],
        }
    }

    /// A dispatcher and its workers.
    pub fn run(ranks: usize) -> Vec<RankAccount> {
        (0..ranks).map(account).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_largest_over_the_ranks() {
        let totals = Totals::of(&fixture::run(3));
        assert_eq!((totals.counters.passes, totals.counters.products, totals.counters.rounds), (9, 800, 8));
        assert_eq!((totals.counters.documents, totals.counters.bytes_sent), (3000, 3 << 20));
        assert_eq!((totals.counters.messages, totals.counters.collectives), (9, 12));
        assert_eq!(totals.seconds, 2.0 + 12.0 + 1.0);
        assert_eq!(totals.documents_per_second, 200.0);
        assert_eq!(totals.peak_memory_bytes, Some(102 << 20));
        // Rank 0: 0.5 s for its I/O and 0.5 s of computing, of 13 s.
        assert!((totals.dispatcher_cpu_percent - 100.0 / 13.0).abs() < 1e-9);
    }

    #[test]
    fn phases_are_means_over_the_workers_and_add_up() {
        let totals = Totals::of(&fixture::run(3));
        let names: Vec<&str> = totals.phases.iter().map(|phase| phase.mean.name.as_str()).collect();
        assert_eq!(names, ["read", "lsi", OTHER, "total"]);
        let lsi = &totals.phases[1];
        assert_eq!((lsi.seconds, lsi.mean.seconds, lsi.mean.compute_seconds), (12.0, 11.5, 9.5));
        assert_eq!(lsi.dispatcher_cpu_percent, Some(5.0));
        let sum: f64 = totals.phases[..3].iter().map(|phase| phase.mean.seconds).sum();
        assert_eq!(sum, totals.phases[3].mean.seconds);
    }

    #[test]
    fn a_rank_alone_is_its_own_worker_and_absent_phases_are_none() {
        let mut alone = fixture::run(1);
        assert_eq!(Totals::of(&alone).phases[1].mean.compute_seconds, 0.5);
        alone.push(fixture::account(1));
        alone[0].phases.remove(0);
        let totals = Totals::of(&alone);
        let read = totals.phases.iter().find(|phase| phase.mean.name == "read").unwrap();
        assert_eq!((read.dispatcher_cpu_percent, read.seconds), (None, 2.0));
        assert_eq!(Totals::of(&[]).seconds, 0.0);
    }
}
