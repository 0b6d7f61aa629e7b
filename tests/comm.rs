//! The communicator over real MPI processes: every collective, messages beyond 2^31 bytes, and jobs that must end.
//!
//! This test is its own program: started by cargo it launches itself as several ranks; started by the MPI launcher it
//! is one of them.

mod common;

use corpuscle::comm::{Comm, Launch, Local, Route, Started, Tag, Threads, abort_on_panic, start, wait};
use corpuscle::error::Result;
use corpuscle::linalg::Aligned;

fn word(rank: usize) -> Vec<u8> {
    vec![rank as u8; rank * 77]
}

/// Every operation gives what it should, on each of its routes.
fn collectives(comm: &dyn Comm) -> Result<()> {
    for route in [Route::World, Route::Feed, Route::Workers] {
        let members = route.members(comm.size());
        if !members.contains(&comm.rank()) {
            continue;
        }
        let (root, count) = (members.start, members.len());
        let me = comm.rank() - root;
        assert_eq!(wait(comm.broadcast(route, word(comm.rank() + 1)))?, word(root + 1));
        assert_eq!(wait(comm.scatter(route, (0..count).map(word).collect()))?, word(me));
        let expected: Vec<_> = (0..count).map(word).collect();
        let gathered = wait(comm.gather(route, word(me)))?;
        assert_eq!(gathered, if me == 0 { expected.clone() } else { vec![] });
        assert_eq!(wait(comm.all_gather(route, word(me)))?, expected);
        let n = count as i64;
        assert_eq!(wait(comm.sum(route, vec![me as i64, i64::MAX / 64]))?, vec![n * (n - 1) / 2, n * (i64::MAX / 64)]);
        assert!(wait(comm.sum(route, vec![]))?.is_empty());
        // Too long to be sent to everybody: added up by stretches.
        let long: Vec<i64> = (0..100_003).map(|at| at * (me as i64 + 1)).collect();
        let total: Vec<i64> = (0..100_003).map(|at| at * n * (n + 1) / 2).collect();
        assert_eq!(wait(comm.sum(route, long))?, total);
        let counts: Vec<usize> = (0..count).map(|member| member * 5 % 3).collect();
        let values: Vec<i64> = (0..counts.iter().sum::<usize>() as i64).collect();
        let first: usize = counts[..me].iter().sum();
        let own = wait(comm.sum_scatter(route, values, counts.clone()))?;
        assert_eq!(own, (first..first + counts[me]).map(|value| value as i64 * n).collect::<Vec<_>>());
        let stretch = |member: usize| vec![member as f32 + 0.5; counts[member]];
        let (own, all) = (aligned(&stretch(me)), Aligned::zeros(counts.iter().sum()));
        let (own, all) = wait(comm.all_gather_stretches(route, own, all, counts.clone()))?;
        assert_eq!(*own, stretch(me));
        assert_eq!(*all, (0..count).flat_map(stretch).collect::<Vec<_>>());
    }
    Ok(())
}

fn aligned(values: &[f32]) -> Aligned<f32> {
    let mut copy = Aligned::zeros(values.len());
    copy.copy_from_slice(values);
    copy
}

/// Messages between two ranks keep their order, whatever their lengths, while a collective is under way.
fn messages(comm: &dyn Comm) -> Result<()> {
    let parts = if comm.rank() == 0 { (0..comm.size()).map(word).collect() } else { vec![] };
    let feed = Started::new(comm.scatter(Route::Feed, parts));
    if comm.rank() == 0 {
        for to in 1..comm.size() {
            let sends: Vec<_> = [0, 1, 100_000, 3]
                .map(|length| Started::new(comm.send(to, Tag::Task, vec![length as u8; length])))
                .into();
            sends.into_iter().try_for_each(Started::finish)?;
        }
    } else {
        for length in [0, 1, 100_000, 3] {
            assert_eq!(wait(comm.receive(0, Tag::Task))?, vec![length as u8; length]);
        }
    }
    assert_eq!(feed.finish()?, word(comm.rank()));
    Ok(())
}

/// More than 2^31 bytes in one message and one broadcast, more values than one call sums.
fn large(comm: &dyn Comm) -> Result<()> {
    const LENGTH: usize = (1 << 31) + 12_345;
    let check = |data: &[u8]| {
        assert_eq!(data.len(), LENGTH);
        assert!(data[0] == 1 && data[1 << 30] == 2 && data[LENGTH - 1] == 3 && data[LENGTH / 3] == 0);
    };
    let mut data = Vec::new();
    if comm.rank() == 0 {
        data = vec![0u8; LENGTH];
        (data[0], data[1 << 30], data[LENGTH - 1]) = (1, 2, 3);
        wait(comm.send(1, Tag::Task, data.clone()))?;
    } else if comm.rank() == 1 {
        check(&wait(comm.receive(0, Tag::Task))?);
    }
    if comm.rank() < 2 {
        check(&wait(comm.broadcast(Route::World, data))?);
    }
    const VALUES: usize = (1 << 27) + 9;
    let mut values = vec![0i64; VALUES];
    (values[0], values[VALUES - 1]) = (1, 5);
    let total = wait(comm.sum(Route::World, values))?;
    assert!(total[0] == 2 && total[VALUES - 1] == 10 && total[VALUES / 2] == 0);
    Ok(())
}

/// What a rank does when started by the launcher.
fn rank(task: &str) {
    let comm = start().expect("the job starts");
    abort_on_panic(&*comm);
    match task {
        "collectives" => collectives(&*comm).and_then(|()| messages(&*comm)).expect("collectives"),
        "large" => large(&*comm).expect("large messages"),
        "panic" => {
            if comm.rank() == comm.size() - 1 {
                panic!("this rank is broken");
            }
            // The others wait for a message that never comes.
            let _ = wait(comm.receive(comm.size() - 1, Tag::Answer));
        }
        other => panic!("no task {other}"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, task] = &arguments[..]
        && flag == "--as-rank"
    {
        return rank(task);
    }
    let mut passed = 0;
    let mut done = |name: &str| {
        println!("test {name} ... ok");
        passed += 1;
    };
    collectives(&Local::new()).expect("collectives");
    done("collectives_of_one_rank_alone");
    for ranks in [1, 2, 3, 5, 7, 16] {
        Threads::run(ranks, |comm| collectives(comm).and_then(|()| messages(comm)))
            .into_iter()
            .for_each(|result| result.expect("collectives"));
        done(&format!("collectives_of_{ranks}_ranks_as_threads"));
    }
    if common::has_mpi() {
        with_launcher(&mut done);
    }
    println!("test result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

/// The same between processes, and what only they can do.
fn with_launcher(done: &mut dyn FnMut(&str)) {
    assert_eq!(Launch::from_environment().ranks, None, "run this test without a launcher");
    for ranks in [1, 2, 3, 5, 8] {
        common::launch_self(ranks, "collectives").ok();
        done(&format!("collectives_of_{ranks}_ranks"));
    }
    common::launch_self(2, "large").ok();
    done("messages_beyond_2_to_the_31");
    for ranks in [2, 4] {
        let run = common::launch_self(ranks, "panic");
        assert_ne!(run.code, Some(0));
        let said = "internal error: this rank is broken at tests/comm.rs";
        let line = run.messages().into_iter().find(|line| line.contains(said)).expect("the cause is named").to_owned();
        assert!(line.contains(&format!("(rank {} on ", ranks - 1)), "{line}");
        assert!(run.elapsed.as_secs() < 20, "the others were gone after {:?}", run.elapsed);
        done(&format!("a_panic_ends_{ranks}_ranks"));
    }
    // A launcher that started more ranks than this process finds in its MPI: each would compute everything.
    let run =
        common::alone_with(&[("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "0")], ["--seed", "1", "topics", "x"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.messages()[0].contains("the launcher started 4 ranks but"), "{}", run.stderr);
    done("singletons_are_refused");
}
