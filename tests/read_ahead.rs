//! Chunks read ahead: which thread reads them, in which memory, and what becomes of errors there.

mod common;

use common::jobs::job;
use corpuscle::comm::Route;
use corpuscle::corpus::chunk::Footprint;
use corpuscle::dispatch::{Dataset, Job, Parcel, Reader, Source};
use corpuscle::error::{Error, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a chunk, sent and in memory.
const CHUNK: u64 = 1000;

/// A chunk that knows by which thread it was read: the worker itself, or another one.
struct Read {
    number: u64,
    ahead: bool,
    /// What its rank had read before.
    reads: u64,
}

impl Footprint for Read {
    fn bytes(&self) -> u64 {
        CHUNK
    }
}

/// So many chunks, of which one may be damaged.
struct Files {
    next: u64,
    count: u64,
    damaged: Option<u64>,
    reads: AtomicU64,
}

impl Files {
    fn of(count: u64) -> Files {
        Files { next: 0, count, damaged: None, reads: AtomicU64::new(0) }
    }

    fn read_here(&self, number: u64, ahead: bool) -> Result<Read> {
        if self.damaged == Some(number) {
            return Err(Error::failed(format!("chunk {number} is damaged")));
        }
        Ok(Read { number, ahead, reads: self.reads.fetch_add(1, Relaxed) })
    }
}

impl Source for Files {
    type Item = Read;
    const KNOWN: bool = true;

    fn next(&mut self) -> Result<Option<Parcel>> {
        let number = self.next;
        self.next += 1;
        let parcel = Parcel { number, weight: 1, memory: CHUNK, ..Parcel::default() };
        Ok((number < self.count).then_some(parcel))
    }

    fn visible(&self) -> bool {
        true
    }

    fn read(&self, _: &Parcel) -> Result<Vec<u8>> {
        unreachable!("every rank sees the files")
    }

    fn open(&self, _: &Parcel, _: Vec<u8>) -> Result<Read> {
        unreachable!("nothing is sent")
    }

    fn load(&self, parcel: &Parcel) -> Result<Read> {
        self.read_here(parcel.number, false)
    }

    fn reader(&self) -> Option<Reader<'_, Read>> {
        Some(Box::new(|parcel| self.read_here(parcel.number, true)))
    }
}

/// What the workers saw in two passes with so much memory for chunks: (pass, number, read ahead).
fn seen(ranks: usize, memory: u64, count: u64) -> Vec<(usize, u64, bool)> {
    let seen = Mutex::new(Vec::new());
    job(ranks, 1, false, |job| {
        let job = &Job { memory, ..*job };
        let dataset = Dataset::new(job, Files::of(count))?;
        for pass in 0..2 {
            let mut own = Vec::new();
            dataset.fold(|number, item| {
                assert_eq!(number, item.number);
                own.push((pass, number, item.ahead));
                Ok(())
            })?;
            assert!(own.is_sorted(), "chunks of a worker come in their order");
            seen.lock().expect("no panic").extend(own);
            job.wait(job.comm.sum(Route::World, vec![0]))?;
        }
        Ok(())
    })
    .into_iter()
    .for_each(|result| result.expect("two passes"));
    let mut seen = seen.into_inner().expect("no panic");
    seen.sort_unstable();
    seen
}

#[test]
fn all_but_the_first_chunk_of_a_worker_are_read_ahead_where_there_is_room() {
    for (ranks, workers) in [(1, 1), (2, 1), (3, 2), (5, 4)] {
        // Room for one that is read ahead, and none to keep one beside it.
        let seen = seen(ranks, 4 * CHUNK, 12);
        let numbers: Vec<(usize, u64)> = seen.iter().map(|&(pass, number, _)| (pass, number)).collect();
        let expected: Vec<(usize, u64)> = (0..2).flat_map(|pass| (0..12).map(move |number| (pass, number))).collect();
        assert_eq!(numbers, expected, "{ranks} ranks");
        for pass in 0..2 {
            let here = seen.iter().filter(|&&(of, _, ahead)| of == pass && !ahead).count();
            assert_eq!(here, workers, "pass {pass} of {ranks} ranks");
        }
    }
}

#[test]
fn without_room_every_chunk_is_read_when_its_turn_comes() {
    assert!(seen(2, 4 * CHUNK - 1, 7).iter().all(|&(_, _, ahead)| !ahead));
}

#[test]
fn kept_chunks_leave_room_for_one_that_is_read_ahead() {
    job(1, 1, false, |job| {
        let job = &Job { memory: 7 * CHUNK, ..*job };
        let dataset = Dataset::new(job, Files::of(12))?;
        dataset.fold(|_, _| Ok(()))?;
        let mut again = Vec::new();
        dataset.fold(|number, item| {
            if item.reads >= 12 {
                assert!(item.ahead, "chunk {number} had to be waited for");
                again.push(number);
            }
            Ok(())
        })?;
        // Three are kept beside the four that one takes while it is read.
        assert_eq!(again, (3..12).collect::<Vec<_>>());
        Ok(())
    })
    .into_iter()
    .for_each(|result| result.expect("two passes"));
}

#[test]
fn what_goes_wrong_while_reading_ahead_ends_the_job_on_every_rank() {
    for ranks in [1, 2, 4] {
        let results = job(ranks, 1, false, |job| {
            let job = &Job { memory: 4 * CHUNK, ..*job };
            Dataset::new(job, Files { damaged: Some(17), ..Files::of(30) })?.fold(|_, _| Ok(()))?;
            job.wait(job.comm.sum(Route::World, vec![0])).map(drop)
        });
        assert!(results.iter().all(Result::is_err), "{ranks} ranks");
        let causes: Vec<String> = results.iter().filter_map(|r| r.as_ref().err()).map(ToString::to_string).collect();
        assert_eq!(causes.iter().filter(|cause| cause.contains("chunk 17 is damaged")).count(), 1, "{causes:?}");
    }
}
