//! Running the program in tests: alone, or as several ranks under the MPI launcher; what it leaves behind.

// Each test binary is compiled with all of this and uses what it needs.
#![allow(dead_code)]

pub mod browser;
pub mod corpora;
pub mod jobs;
pub mod matrices;
pub mod topics;

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_corpuscle");

/// Longest a run may take. A rank that waits for a dead one would take for ever.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Held by many while files are written by the test itself, and by one while a process starts.
static WRITING: RwLock<()> = RwLock::new(());

/// To be held while this process writes a result file. A process that another test starts meanwhile would inherit the open
/// file with its lock, and the file would look unfinished to the next program for as long as that process lives.
pub fn writing() -> RwLockReadGuard<'static, ()> {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process while nothing is being written.
pub fn start(command: &mut Command) -> Child {
    let _alone = WRITING.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap_or_else(|cause| panic!("{command:?}: {cause}"))
}

/// What a run did.
#[derive(Debug)]
pub struct Run {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub elapsed: Duration,
}

impl Run {
    /// The run ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The program's own messages: a launcher adds lines of its own.
    pub fn messages(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.starts_with("corpuscle:")).collect()
    }

    /// The run ended with this code and one line that holds all of these words, and printed no result.
    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) {
        assert_eq!(self.complaints(code, words), 1, "one line says what is wrong: {}", self.stderr);
    }

    /// As [`Run::failed`], for what several workers may find at the same moment: each says it in a line.
    #[track_caller]
    pub fn failed_on_workers(self, code: i32, words: &[&str]) {
        assert!(self.complaints(code, words) > 0, "nobody says what is wrong: {}", self.stderr);
    }

    /// Number of lines that say what is wrong; all of them hold all of the words. The argument parser's begin otherwise.
    #[track_caller]
    fn complaints(&self, code: i32, words: &[&str]) -> usize {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        let mut said = self.messages();
        said.extend(self.stderr.lines().filter(|line| line.starts_with("error: ")));
        for (line, word) in said.iter().flat_map(|line| words.iter().map(move |word| (line, word))) {
            assert!(line.contains(word), "{word:?} is missing in: {line}");
        }
        said.len()
    }
}

/// Runs the program alone.
#[track_caller]
pub fn alone<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    run(Command::new(PROGRAM).args(arguments))
}

/// Runs the program as this many ranks on this machine; alone when there is one.
#[track_caller]
pub fn ranks<S: AsRef<OsStr>>(ranks: usize, arguments: impl IntoIterator<Item = S>) -> Run {
    if ranks == 1 {
        return alone(arguments);
    }
    run_launcher(launcher(ranks).arg(PROGRAM).args(arguments))
}

/// As [`ranks`], with a file as standard input.
#[track_caller]
pub fn ranks_reading<S: AsRef<OsStr>>(ranks: usize, input: &Path, arguments: impl IntoIterator<Item = S>) -> Run {
    let mut command = if ranks == 1 { Command::new(PROGRAM) } else { launcher(ranks) };
    if ranks > 1 {
        command.arg(PROGRAM);
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "input=$1; shift; exec \"$@\" < \"$input\"", "sh"]).arg(input).arg(command.get_program());
    shell.args(command.get_args()).args(arguments);
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(&mut shell)
}

/// False in a build that knows no MPI: there is nothing to launch then.
pub fn has_mpi() -> bool {
    if !cfg!(feature = "mpi") {
        eprintln!("skipped: this build knows no MPI");
    }
    cfg!(feature = "mpi")
}

/// Runs this test program itself as ranks that are given a task.
#[track_caller]
pub fn launch_self(ranks: usize, task: &str) -> Run {
    let program = std::env::current_exe().expect("the path of this test");
    run_launcher(launcher(ranks).arg(program).args(["--as-rank", task]))
}

/// Runs the program alone with additions to its environment.
#[track_caller]
pub fn alone_with<S: AsRef<OsStr>>(environment: &[(&str, &str)], arguments: impl IntoIterator<Item = S>) -> Run {
    run(Command::new(PROGRAM).args(arguments).envs(environment.iter().copied()))
}

/// The MPI launcher for this many ranks: what `CORPUSCLE_MPIRUN` says (jobscripts/env.sh sets it to the launcher of the
/// MPI that was built with, and its options), else Open MPI's mpirun, which wants to be told that more ranks than cores,
/// and root in a container, are meant.
pub fn launcher(ranks: usize) -> Command {
    let words =
        std::env::var("CORPUSCLE_MPIRUN").unwrap_or_else(|_| "mpirun --oversubscribe --bind-to none".to_owned());
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().expect("CORPUSCLE_MPIRUN names a launcher"));
    command.args(words).args(["-n", &ranks.to_string()]);
    for name in ["OMPI_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT"] {
        command.env(name, "1").env(format!("{name}_CONFIRM"), "1");
    }
    command
}

/// Runs a command to its end, which must come before [`DEADLINE`].
#[track_caller]
pub fn run(command: &mut Command) -> Run {
    attempt(command, |_| false).expect("only launchers are given up")
}

/// As [`run`], for a launcher. Open MPI 4.1's has been seen to lock up in the end of its PMIx server (`PMIx_server_finalize`
/// waits for a thread that waits for a lock) when all its ranks had gone: nothing of ours is left then, and it is started
/// again.
#[track_caller]
fn run_launcher(command: &mut Command) -> Run {
    for _ in 0..2 {
        let mut childless: Option<Instant> = None;
        let locked_up = |launcher: u32| {
            if has_children(launcher) {
                childless = None;
            }
            childless.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(20)
        };
        if let Some(run) = attempt(command, locked_up) {
            return run;
        }
        eprintln!("{command:?} has locked up without any rank left: once more");
    }
    run(command)
}

/// Runs a command to its end; none if it was given up and killed.
#[track_caller]
fn attempt(command: &mut Command, mut give_up: impl FnMut(u32) -> bool) -> Option<Run> {
    // Through files: a pipe that nobody empties would stop a talkative program.
    let folder = tempfile::tempdir().unwrap();
    let (stdout, stderr) = (folder.path().join("stdout"), folder.path().join("stderr"));
    command.stdin(Stdio::null());
    command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
    let begun = Instant::now();
    let mut child = start(command);
    let mut looked = begun;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > DEADLINE {
            // A launcher that is told to end, not killed, takes its ranks with it.
            Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
            let told = Instant::now();
            while child.try_wait().unwrap().is_none() && told.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = child.kill();
            child.wait().unwrap();
            panic!("{command:?} has not ended within {DEADLINE:?}: {}", read(&stderr));
        }
        if looked.elapsed() > Duration::from_secs(1) {
            looked = Instant::now();
            if give_up(child.id()) {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Some(Run { code: status.code(), stdout: read(&stdout), stderr: read(&stderr), elapsed: begun.elapsed() })
}

/// Whether a process has started others that are alive; true where that cannot be found out.
fn has_children(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return true };
    let children = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children"));
    threads.flatten().any(|thread| children(thread).map_or(true, |list| !list.trim().is_empty()))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// Names of all files in a folder, hidden ones too, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Digest of a file.
pub fn digest(path: &Path) -> String {
    blake3::hash(&std::fs::read(path).unwrap()).to_hex().to_string()
}

/// Writes a file into a folder.
pub fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("written");
    path
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A file cut to half its length.
pub fn truncated(path: &Path) -> PathBuf {
    let bytes = std::fs::read(path).unwrap();
    let cut = path.with_extension("cut");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    cut
}

/// Ends the test if a process is alive that was started with a path in this folder.
pub fn assert_all_gone(folder: &Path) {
    let folder = folder.to_str().expect("UTF-8");
    let alive = || -> Vec<String> {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(folder))
            .collect()
    };
    // Ranks that were told to end may take a moment longer than their launcher.
    for _ in 0..100 {
        if alive().is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("still alive: {:?}", alive());
}
