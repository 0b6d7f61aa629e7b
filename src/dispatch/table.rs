//! The dispatcher's table chunk -> worker.
//!
//! It is the only place that knows who has what. Chunks are planned onto workers in proportion to the speed each
//! showed so far (longest processing time first); a chunk that a worker keeps in memory stays with it unless moving
//! it would shorten the pass by more than [`REBALANCE`].

use super::dataset::Parcel;

/// A pass is planned anew when the plan is this much shorter than going on with the present owners: moving a chunk
/// costs reading or sending it again.
const REBALANCE: f64 = 0.85;
/// How much less an earlier pass counts than the one after it. A single pass says little: on a busy machine the times of
/// equal passes differ by a third.
const FORGETTING: f64 = 0.8;

/// One chunk and who has it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub parcel: Parcel,
    /// Worker number, 0-based among the workers.
    pub owner: usize,
    /// The owner keeps it in memory.
    pub kept: bool,
    /// Its bytes came by in a stream.
    pub passing: bool,
}

/// All chunks of a dataset, in their order, and the speed of each worker.
#[derive(Debug)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
    speeds: Vec<f64>,
    /// Work and seconds of each worker so far, the latest counting most.
    done: Vec<(f64, f64)>,
}

impl Table {
    pub fn new(workers: usize) -> Self {
        Table { entries: Vec::new(), speeds: vec![1.0; workers], done: vec![(0.0, 0.0); workers] }
    }

    /// Adds the next chunk, of a worker or, without one, of whom [`plan`](Self::plan) will give it to.
    pub fn push(&mut self, parcel: Parcel, owner: usize) {
        let passing = parcel.body.is_some();
        self.entries.push(Entry { parcel: Parcel { body: None, ..parcel }, owner, kept: false, passing });
    }

    /// Only these workers are left, ascending, and are numbered anew; the chunks of the others go to whoever would be done
    /// first.
    pub fn keep_workers(&mut self, stay: &[usize]) {
        self.speeds = stay.iter().map(|&worker| self.speeds[worker]).collect();
        self.done = stay.iter().map(|&worker| self.done[worker]).collect();
        if stay.is_empty() {
            // The dispatcher is the one worker.
            (self.speeds, self.done) = (vec![1.0], vec![(0.0, 0.0)]);
        }
        let mut load = vec![0u64; self.speeds.len()];
        let mut orphans = Vec::new();
        for (at, entry) in self.entries.iter_mut().enumerate() {
            match stay.binary_search(&entry.owner) {
                Ok(owner) => {
                    entry.owner = owner;
                    load[owner] += entry.parcel.weight;
                }
                Err(_) => {
                    entry.kept = false;
                    orphans.push(at);
                }
            }
        }
        for at in orphans {
            let weight = self.entries[at].parcel.weight;
            let owner = first_done(&load, &self.speeds, weight);
            load[owner] += weight;
            self.entries[at].owner = owner;
        }
    }

    /// Work per second of a worker, relative to the others.
    pub fn speed(&self, worker: usize) -> f64 {
        self.speeds[worker]
    }

    /// Learns from a pass: each worker did this much work in so many seconds.
    pub fn learn(&mut self, worker: usize, weight: u64, seconds: f64) {
        // Below a hundredth of a second the clock and the cold caches are all one measures.
        if seconds < 0.01 || weight == 0 {
            return;
        }
        let (work, time) = &mut self.done[worker];
        *work = *work * FORGETTING + weight as f64;
        *time = *time * FORGETTING + seconds;
        let known: Vec<f64> =
            self.done.iter().filter(|(_, time)| *time > 0.0).map(|(work, time)| work / time).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        for (speed, (work, time)) in self.speeds.iter_mut().zip(&self.done) {
            *speed = if *time > 0.0 { work / time } else { mean };
        }
    }

    /// Seconds (in the unit of the speeds) the slowest worker would take with these owners.
    fn makespan(&self, owners: &[usize]) -> f64 {
        let mut load = vec![0u64; self.speeds.len()];
        for (entry, &owner) in self.entries.iter().zip(owners) {
            load[owner] += entry.parcel.weight;
        }
        load.iter().zip(&self.speeds).map(|(&load, speed)| load as f64 / speed).fold(0.0, f64::max)
    }

    /// Gives each chunk its owner for the next pass. Owners keep what fits into their fair share; the rest goes,
    /// heaviest first, to whoever would be done with it first.
    pub fn plan(&mut self, first: bool) {
        let total: u64 = self.entries.iter().map(|entry| entry.parcel.weight).sum();
        let speed: f64 = self.speeds.iter().sum();
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(self.entries[at].parcel.weight));
        let mut load = vec![0u64; self.speeds.len()];
        let mut owners: Vec<usize> = self.entries.iter().map(|entry| entry.owner).collect();
        order.retain(|&at| {
            let (owner, weight) = (owners[at], self.entries[at].parcel.weight);
            let stays = !first && (load[owner] + weight) as f64 <= total as f64 * self.speeds[owner] / speed;
            if stays {
                load[owner] += weight;
            }
            !stays
        });
        for at in order {
            let weight = self.entries[at].parcel.weight;
            let worker = first_done(&load, &self.speeds, weight);
            load[worker] += weight;
            owners[at] = worker;
        }
        let present: Vec<usize> = self.entries.iter().map(|entry| entry.owner).collect();
        if first || self.makespan(&owners) < REBALANCE * self.makespan(&present) {
            for (entry, owner) in self.entries.iter_mut().zip(owners) {
                entry.kept &= entry.owner == owner;
                entry.owner = owner;
            }
        }
    }
}

/// The worker that would be done first with this much more work.
fn first_done(load: &[u64], speeds: &[f64], weight: u64) -> usize {
    let after = |worker: &usize| (load[*worker] + weight) as f64 / speeds[*worker];
    (0..load.len()).min_by(|a, b| after(a).total_cmp(&after(b))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(weights: &[u64], workers: usize) -> Table {
        let mut table = Table::new(workers);
        for (number, &weight) in weights.iter().enumerate() {
            table.push(Parcel { number: number as u64, weight, memory: 0, place: vec![], body: None }, 0);
        }
        table.plan(true);
        table
    }

    fn load(table: &Table, worker: usize) -> u64 {
        table.entries.iter().filter(|entry| entry.owner == worker).map(|entry| entry.parcel.weight).sum()
    }

    #[test]
    fn equal_workers_get_equal_loads() {
        let table = table(&[5, 4, 3, 3, 3], 2);
        assert_eq!((load(&table, 0), load(&table, 1)), (8, 10));
    }

    #[test]
    fn a_slow_worker_gets_less_and_small_differences_move_nothing() {
        let mut table = table(&[10; 12], 2);
        for entry in &mut table.entries {
            entry.kept = true;
        }
        table.learn(0, 60, 1.0);
        table.learn(1, 60, 1.05);
        table.plan(false);
        assert!(table.entries.iter().all(|entry| entry.kept));
        for _ in 0..8 {
            table.learn(0, 60, 1.0);
            table.learn(1, 60, 3.0);
        }
        table.plan(false);
        assert_eq!((load(&table, 0), load(&table, 1)), (90, 30));
        assert!(table.entries.iter().filter(|entry| !entry.kept).count() == 3);
    }

    #[test]
    fn the_chunks_of_the_dead_go_to_the_living_in_equal_parts() {
        let mut table = table(&[10; 12], 3);
        for entry in &mut table.entries {
            entry.kept = true;
        }
        table.keep_workers(&[0, 2]);
        assert_eq!((load(&table, 0), load(&table, 1)), (60, 60));
        assert_eq!(table.entries.iter().filter(|entry| entry.kept).count(), 8);
        table.keep_workers(&[]);
        assert_eq!(load(&table, 0), 120);
        assert!(table.entries.iter().all(|entry| !entry.kept));
    }
}
