//! Workers of real jobs are killed and stopped at random moments, and so are dispatchers: what is left has the same bytes, or
//! the job is over at once and everywhere. `benches/kills.py` does the same many more times.

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::{DEADLINE, PROGRAM, alone, digest, has_mpi, launcher, text};
use corpuscle::random::Stream;
use ndarray::Array2;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What the first line of the log says once all ranks have met.
const READY: &str = "the job outlives its workers";

/// A job that runs while the test does things to it.
struct Job {
    launcher: Child,
    log: PathBuf,
    begun: Instant,
}

impl Job {
    /// Starts so many ranks under a launcher that lets them outlive each other; none where there is none.
    fn surviving(folder: &Path, ranks: usize, arguments: &[&str]) -> Option<Job> {
        Job::surviving_as(&[PROGRAM], folder, ranks, arguments)
    }

    /// The same, of a program that is started by these words.
    fn surviving_as(program: &[&str], folder: &Path, ranks: usize, arguments: &[&str]) -> Option<Job> {
        let options = std::env::var("CORPUSCLE_MPIRUN_RECOVERY").unwrap_or_default();
        if options.is_empty() {
            eprintln!("skipped: CORPUSCLE_MPIRUN_RECOVERY names no way in which a job outlives its workers");
            return None;
        }
        let mut command = launcher(ranks);
        command.args(options.split_whitespace());
        command.args(program);
        Some(Job::start(folder, command, arguments))
    }

    fn start(folder: &Path, mut command: Command, arguments: &[&str]) -> Job {
        let log = folder.join("log");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&log).unwrap());
        Job { launcher: common::start(&mut command), log, begun: Instant::now() }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    fn wait_until(&mut self, mut reached: impl FnMut(&Job) -> bool) {
        while !reached(self) && self.launcher.try_wait().unwrap().is_none() {
            assert!(self.begun.elapsed() < DEADLINE, "{}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until all ranks have met.
    fn ready(mut self) -> Job {
        self.wait_until(|job| job.said().contains(READY));
        self
    }

    /// The processes of the ranks that live.
    fn processes(&self) -> BTreeMap<usize, Pid> {
        let mut found = BTreeMap::new();
        let mut parents = vec![self.launcher.id().to_string()];
        while let Some(parent) = parents.pop() {
            let Ok(tasks) = std::fs::read_dir(format!("/proc/{parent}/task")) else { continue };
            for task in tasks.flatten() {
                let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
                for child in children.split_whitespace() {
                    parents.push(child.to_owned());
                    let environment = std::fs::read(format!("/proc/{child}/environ")).unwrap_or_default();
                    let rank = environment.split(|&byte| byte == 0).find_map(|variable| {
                        let variable = String::from_utf8_lossy(variable).into_owned();
                        let number = variable.strip_prefix("PMIX_RANK=").or(variable.strip_prefix("PMI_RANK="))?;
                        number.parse::<usize>().ok()
                    });
                    if let (Some(rank), Some(pid)) = (rank, child.parse().ok().and_then(Pid::from_raw)) {
                        found.insert(rank, pid);
                    }
                }
            }
        }
        found
    }

    /// Sends a signal to a rank that lives; false when it does not.
    fn signal(&self, rank: usize, signal: Signal) -> bool {
        self.processes().get(&rank).is_some_and(|&process| kill_process(process, signal).is_ok())
    }

    fn end(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.launcher.try_wait().unwrap() {
                return status;
            }
            if self.begun.elapsed() > DEADLINE {
                let left: Vec<usize> = self.processes().into_keys().collect();
                let _ = self.launcher.kill();
                panic!("hangs with ranks {left:?}: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The job ends well, with this result.
    #[track_caller]
    fn ends_with(mut self, result: &Path, expected: &str, what: &str) {
        let status = self.end();
        assert!(status.success(), "{what}: {status}\n{}", self.said());
        assert!(result.exists(), "{what}: no result\n{}", self.said());
        assert_eq!(digest(result), expected, "{what}\n{}", self.said());
        std::fs::remove_file(result).unwrap();
    }
}

/// A folder with something to work on.
fn prepared() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| drop(alone([&["-q"], arguments].concat()).ok());
    run(&["generate", "--documents", "6000", "--terms", "8000", "--mean-length", "80", "-o", &at("counts.h5")]);
    run(&["export", &at("counts.h5"), "--format", "mm", "-o", &at("counts.mm")]);
    run(&["tfidf", &at("counts.h5"), "-o", &at("weights.h5")]);
    run(&["lsi", &at("weights.h5"), "-k", "20", "-o", &at("lsi.h5")]);
    run(&["transform", &at("lsi.h5"), &at("weights.h5"), "-o", &at("vectors.h5")]);
    run(&["index", &at("vectors.h5"), "-o", &at("index.h5")]);
    run(&["nmf", &at("weights.h5"), "-k", "10", "-o", &at("nmf.h5")]);
    run(&["pca", &at("vectors.h5"), "-k", "8", "-o", &at("pca.h5")]);
    run(&["project", &at("weights.h5"), "-k", "60", "-o", &at("projection.h5")]);
    let mut stream = Stream::new(1, "text", 0);
    let word = |stream: &mut Stream| {
        let number = (3000.0 * stream.uniform().powi(3)) as u32;
        [0, 1, 2].map(|place| char::from(b'a' + (number / 15u32.pow(place) % 15) as u8)).iter().collect::<String>()
    };
    let line = |stream: &mut Stream| (0..80).map(|_| word(stream)).collect::<Vec<_>>().join(" ") + "\n";
    let numbers: Vec<f64> = (0..40_000 * 40).map(|_| stream.normal()).collect();
    let rows = Array2::from_shape_vec((40_000, 40), numbers).unwrap();
    common::matrices::write_npy(Path::new(&at("rows.npy")), &rows);
    let steps = ["tfidf", "lsi", "logistic"].map(|kind| format!("[[step]]\nkind = \"{kind}\"\n")).concat();
    let grid = "[grid]\nlsi__k = [5, 12]\nlogistic__C = [0.1, 1.0]\ntfidf__smart = [\"nfc\", \"ltc\"]\n";
    std::fs::write(at("pipeline.toml"), format!("{steps}{grid}[cv]\nsplits = 4\n")).unwrap();
    run(&["search", &at("pipeline.toml"), &at("counts.h5"), "-o", &at("found.csv"), "--model-out", &at("best.h5")]);
    std::fs::write(at("text.txt"), (0..12_000).map(|_| line(&mut stream)).collect::<String>()).unwrap();
    folder
}

/// The commands that work on a corpus, each writing `out`.
fn commands(folder: &Path) -> Vec<Vec<String>> {
    let lines = [
        "generate --documents 30000 --terms 8000 --mean-length 80 -o out",
        "build text.txt -o out",
        "import counts.mm --format mm -o out",
        "export counts.h5 --format mm -o out",
        "split counts.h5 --test 0.1 --train-out out --test-out rest",
        "tfidf counts.h5 --scheme log-entropy -o out",
        "lsi weights.h5 -k 20 --tolerance 1e-6 -o out",
        "lsi weights.h5 -k 20 --one-pass --chunk-documents 500 -o out",
        "lda counts.h5 -k 12 --passes 4 --alpha learned --eval counts.h5 -o out",
        "lda counts.h5 -k 12 --passes 2 --method online --minibatch 500 --staleness 1 -o out",
        "transform lsi.h5 weights.h5 -o out",
        "pca vectors.h5 -k 8 -o out",
        "pca weights.h5 -k 8 -o out",
        "nmf weights.h5 -k 10 --passes 3 --chunksize 1000 -o out",
        "project weights.h5 -k 60 -o out",
        "transform nmf.h5 weights.h5 -o out",
        "transform pca.h5 vectors.h5 -o out",
        "transform projection.h5 weights.h5 -o out",
        "index vectors.h5 -o out",
        "query index.h5 vectors.h5 --top 5 -o out",
        "scale vectors.h5 -o out",
        "scale rows.npy -o out.npy",
        "search pipeline.toml counts.h5 -o out.csv",
        "transform best.h5 counts.h5 -o out",
    ];
    let file = |word: &str| {
        let names = [".h5", ".mm", ".txt", ".npy", ".toml", ".csv"].iter().any(|ending| word.ends_with(ending));
        if names || word == "out" || word == "rest" { text(&folder.join(word)).to_owned() } else { word.to_owned() }
    };
    lines.iter().map(|line| line.split(' ').map(file).collect()).collect()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// Kills a worker of every command, twice at a moment of the run and once when the result has just been written.
#[test]
fn a_killed_worker_does_not_change_the_result() {
    if !has_mpi() {
        return;
    }
    let folder = prepared();
    let mut chance = Stream::new(4, "moments", 0);
    let mut hit = 0;
    for command in commands(folder.path()) {
        let arguments = words(&command);
        let is_output = |path: &PathBuf| ["out", "out.npy", "out.csv"].iter().any(|out| path.ends_with(out));
        let out = arguments.iter().map(PathBuf::from).find(is_output).expect("an output");
        alone(&arguments).ok();
        let expected = digest(&out);
        std::fs::remove_file(&out).unwrap();
        let Some(job) = Job::surviving(folder.path(), 4, &arguments) else { return };
        let job = job.ready();
        let ready = Instant::now();
        job.ends_with(&out, &expected, "undisturbed");
        let whole = ready.elapsed();
        for kill in 0..3 {
            let mut job = Job::surviving(folder.path(), 4, &arguments).unwrap().ready();
            let after = whole.mul_f64(chance.uniform() * 0.9);
            if kill < 2 {
                std::thread::sleep(after);
            } else {
                job.wait_until(|_| out.exists());
            }
            let rank = 1 + chance.below(3) as usize;
            hit += usize::from(job.signal(rank, Signal::KILL));
            job.ends_with(&out, &expected, &format!("{arguments:?}, rank {rank} killed after {after:?}, kill {kill}"));
        }
    }
    assert!(hit > 16, "only {hit} kills met a living worker");
}

#[test]
fn all_workers_but_one_may_go_and_even_all() {
    if !has_mpi() {
        return;
    }
    let folder = prepared();
    let (out, weights) = (folder.path().join("out"), folder.path().join("weights.h5"));
    let arguments = ["lsi", text(&weights), "-k", "20", "--tolerance", "1e-6", "-o", text(&out)];
    alone(arguments).ok();
    let expected = digest(&out);
    std::fs::remove_file(&out).unwrap();
    for victims in [&[1, 3][..], &[3, 2, 1]] {
        let Some(job) = Job::surviving(folder.path(), 4, &arguments) else { return };
        let job = job.ready();
        for &rank in victims {
            std::thread::sleep(Duration::from_millis(40));
            assert!(job.signal(rank, Signal::KILL), "rank {rank} was gone");
        }
        let log = job.log.clone();
        job.ends_with(&out, &expected, &format!("{victims:?} killed"));
        let said = std::fs::read_to_string(log).unwrap();
        assert_eq!(said.matches("was lost (its process is gone)").count(), victims.len(), "{said}");
        let left = if victims.len() == 3 { "the dispatcher alone" } else { "1 worker" };
        assert!(said.contains(&format!("going on with {left}")), "{said}");
    }
}

#[test]
fn a_stopped_worker_is_noticed_and_done_without() {
    if !has_mpi() {
        return;
    }
    let folder = prepared();
    let out = folder.path().join("out");
    let all = commands(folder.path());
    for (command, then) in [(&all[1], None), (&all[6], Some(Signal::CONT))] {
        let mut arguments = words(command);
        alone(&arguments).ok();
        let expected = digest(&out);
        std::fs::remove_file(&out).unwrap();
        arguments.extend(["--worker-timeout", "1"]);
        let Some(job) = Job::surviving(folder.path(), 3, &arguments) else { return };
        let job = job.ready();
        std::thread::sleep(Duration::from_millis(20));
        assert!(job.signal(2, Signal::STOP));
        if let Some(signal) = then {
            // It comes back when its work is done by others, and must not disturb them.
            std::thread::sleep(Duration::from_millis(1200));
            job.signal(2, signal);
        }
        let log = job.log.clone();
        job.ends_with(&out, &expected, &format!("{arguments:?}, a worker stopped"));
        let said = std::fs::read_to_string(log).unwrap();
        assert!(said.contains("was lost (it gave no sign of life within --worker-timeout)"), "{said}");
        common::assert_all_gone(folder.path());
    }
}

#[test]
fn a_dead_dispatcher_ends_the_job_everywhere() {
    if !has_mpi() {
        return;
    }
    let folder = prepared();
    let (out, weights) = (folder.path().join("out"), folder.path().join("weights.h5"));
    let arguments = ["lsi", text(&weights), "-k", "20", "--tolerance", "1e-9", "--rounds", "60", "-o", text(&out)];
    let Some(job) = Job::surviving(folder.path(), 4, &arguments) else { return };
    let mut job = job.ready();
    std::thread::sleep(Duration::from_millis(60));
    assert!(job.signal(0, Signal::KILL));
    let killed = Instant::now();
    assert!(!job.end().success(), "{}", job.said());
    common::assert_all_gone(folder.path());
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    assert_eq!(job.said().matches("the dispatcher was lost").count(), 1, "{}", job.said());
    assert!(!out.exists());
    let left = common::names(folder.path());
    assert!(left.iter().all(|name| !name.ends_with(".tmp")), "{left:?}");
}

#[test]
fn a_worker_that_dies_before_all_have_met_ends_the_job() {
    if !has_mpi() {
        return;
    }
    let folder = prepared();
    let (out, weights) = (folder.path().join("out"), folder.path().join("weights.h5"));
    let arguments = ["lsi", text(&weights), "-k", "20", "--start-timeout", "3", "-o", text(&out)];
    let Some(mut job) = Job::surviving(folder.path(), 3, &arguments) else { return };
    job.wait_until(|job| job.processes().len() == 3);
    job.signal(1, Signal::KILL);
    let status = job.end();
    // It may have been ready just in time.
    assert!(!status.success() || out.exists(), "{status}: {}", job.said());
    common::assert_all_gone(folder.path());
}

/// Under a launcher that takes no rank's status for a failure, failures must show all the same.
#[test]
fn failures_have_a_status_under_a_launcher_that_forgives() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.h5");
    let out = folder.path().join("out");
    let cases = [&["lsi", text(&missing), "-k", "20", "-o", text(&out)][..], &["lsi", "--no-such-option"]];
    // A shell may stand between the launcher and the program, and hides its status.
    let script = ["sh", "-c", "\"$0\" \"$@\"; true", PROGRAM];
    for (arguments, program) in cases.into_iter().flat_map(|case| [(case, &[PROGRAM][..]), (case, &script)]) {
        let Some(mut job) = Job::surviving_as(program, folder.path(), 3, arguments) else { return };
        assert!(!job.end().success(), "{program:?}: {}", job.said());
        let said = job.said();
        assert_eq!(said.lines().filter(|line| line.contains("error: ")).count(), 1, "{said}");
    }
    common::assert_all_gone(folder.path());
}

/// Without recovery a death ends the job, with a status that is not 0.
#[test]
fn elsewhere_a_death_ends_the_job() {
    if !has_mpi() {
        return;
    }
    let folder = prepared();
    let (out, weights) = (folder.path().join("out"), folder.path().join("weights.h5"));
    let arguments = ["lsi", text(&weights), "-k", "20", "--tolerance", "1e-9", "--rounds", "60", "-o", text(&out)];
    let mut command = launcher(3);
    command.arg(PROGRAM);
    let mut job = Job::start(folder.path(), command, &arguments);
    job.wait_until(|job| job.said().contains("a worker that dies ends the job"));
    assert!(job.signal(2, Signal::KILL), "{}", job.said());
    assert!(!job.end().success(), "{}", job.said());
    assert!(!out.exists());
    common::assert_all_gone(folder.path());
}

/// Who watches hears of it: in the events, and on the time lines of those that are left.
#[test]
fn a_lost_worker_is_in_the_events_and_in_the_trace() {
    if !has_mpi() {
        return;
    }
    let folder = prepared();
    let at = |name: &str| folder.path().join(name);
    let (out, weights, trace) = (at("out"), at("weights.h5"), at("trace.json"));
    let iteration = ["lsi", text(&weights), "-k", "20", "--tolerance", "1e-9", "--rounds", "60", "-o", text(&out)];
    let watching = ["--progress", "json", "--trace", text(&trace)];
    let Some(job) = Job::surviving(folder.path(), 4, &[&iteration[..], &watching].concat()) else { return };
    let mut job = job.ready();
    assert!(job.signal(2, Signal::KILL), "{}", job.said());
    let status = job.end();
    let said = job.said();
    assert!(status.success() && out.exists(), "{status}: {said}");
    let events: Vec<serde_json::Value> =
        said.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).expect(line)).collect();
    let last = events.iter().rfind(|event| event["event"] == "progress").expect("progress");
    assert_eq!(last["workers"]["dead"], serde_json::json!([2]), "{said}");
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert!(events.iter().any(|event| event["cat"] == "loss" && event["name"] == "worker 2 lost"));
    for rank in [0, 1, 3] {
        assert!(events.iter().any(|event| event["ph"] == "X" && event["pid"] == rank), "rank {rank}");
    }
    assert!(!events.iter().any(|event| event["ph"] == "X" && event["pid"] == 2));
}
