//! The farm, on ranks that are threads: its results, its order and its errors.

mod common;

use common::jobs::job;
use corpuscle::dispatch::{PIECE, farm, once_a_node};
use corpuscle::error::Error;
use std::sync::Mutex;

/// Tasks whose cost is their number, and whose answer is its square.
fn tasks(count: u64) -> Vec<(f64, Vec<u8>)> {
    (0..count).map(|number| (number as f64, number.to_le_bytes().to_vec())).collect()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

#[test]
fn results_come_in_the_order_of_tasks_whoever_worked() {
    for ranks in [1, 2, 3, 5, 8] {
        for count in [0, 1, 2, 37] {
            let runs = Mutex::new(vec![0; count as usize]);
            let results = job(ranks, 1, false, |job| {
                // What others than the dispatcher pass does not count.
                let own = if job.is_dispatcher() { tasks(count) } else { tasks(3) };
                farm(job, own, |task| {
                    runs.lock().expect("no panic")[number(task) as usize] += 1;
                    Ok((number(task) * number(task)).to_le_bytes().to_vec())
                })
            });
            for (rank, answers) in results.into_iter().enumerate() {
                let answers: Vec<u64> = answers.expect("a farm that ends well").iter().map(|a| number(a)).collect();
                let expected: Vec<u64> = if rank == 0 { (0..count).map(|n| n * n).collect() } else { Vec::new() };
                assert_eq!(answers, expected, "rank {rank} of {ranks}");
            }
            assert!(runs.into_inner().expect("no panic").iter().all(|&runs| runs == 1), "{count} tasks, {ranks} ranks");
        }
    }
}

#[test]
fn the_longest_tasks_go_first() {
    let order = Mutex::new(Vec::new());
    job(2, 1, false, |job| {
        farm(job, tasks(20), |task| {
            order.lock().expect("no panic").push(number(task));
            Ok(Vec::new())
        })
    })
    .into_iter()
    .for_each(|result| drop(result.expect("a farm that ends well")));
    assert_eq!(order.into_inner().expect("no panic"), (0..20).rev().collect::<Vec<_>>());
}

#[test]
fn a_task_that_fails_ends_the_job_on_every_rank() {
    for ranks in [1, 2, 4] {
        let results = job(ranks, 1, false, |job| {
            farm(job, tasks(50), |task| if number(task) == 17 { Err(Error::failed("task 17")) } else { Ok(Vec::new()) })
        });
        assert!(results.iter().all(Result::is_err), "{ranks} ranks");
        let causes: Vec<String> = results.iter().filter_map(|r| r.as_ref().err()).map(ToString::to_string).collect();
        assert_eq!(causes.iter().filter(|cause| cause.contains("task 17")).count(), 1, "{causes:?}");
    }
}

#[test]
fn all_ranks_of_a_node_read_the_same_memory() {
    // Nothing, a part of a piece, and more than one.
    for length in [0, 1000, 2 * PIECE + 5] {
        let bytes: Vec<u8> = (0..length).map(|at| (at * at % 251) as u8).collect();
        for ranks in [1, 2, 5] {
            let results = job(ranks, 1, false, |job| {
                let memory = once_a_node(job, || Ok(if job.is_dispatcher() { bytes.clone() } else { vec![1] }))?;
                assert_eq!(memory.as_ptr().addr() % 64, 0);
                assert!(format!("{memory:?}").contains("mapped"), "{memory:?}");
                Ok(memory[..] == bytes[..])
            });
            assert!(results.into_iter().all(|same| same.expect("a node")), "{ranks} ranks, {length} bytes");
        }
    }
}
