//! The folder results are written to: what file system it is on, and whether all ranks see the same files there.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock, statvfs};

use crate::comm::Route;
use crate::dispatch::Job;
use crate::error::{At, Result};
use crate::store::atomic::Target;

/// Bytes written at most, and the longest time that writing may take, to see how fast it is.
const WRITTEN: (usize, Duration) = (64 << 20, Duration::from_secs(1));

/// What the dispatcher found out about the folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Folder {
    /// Its whole path.
    pub path: PathBuf,
    /// Why no result can be written there.
    pub trouble: Option<String>,
    /// Type of the file system, as the kernel names it.
    pub file_system: Option<String>,
    /// Bytes that may still be written.
    pub free_bytes: Option<u64>,
    /// Files can be locked there.
    pub locks: Option<bool>,
    /// Bytes a second, down to the disk.
    pub write_rate: Option<f64>,
    /// Which ranks see the files of rank 0 there.
    pub seen_by: Vec<bool>,
}

/// Where the folder's contents live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a disk of this host, or nobody knows.
    Local,
    /// On a server.
    Network,
    /// In this host's memory.
    Memory,
}

impl Folder {
    /// Looks at the folder from all ranks. Collective; what the other ranks get holds nothing.
    pub fn look(job: &Job, path: &Path, measure: bool) -> Result<Folder> {
        let mut folder = Folder::default();
        let mut probe = None;
        // What a rank must find there: a name no other run gives, and a content that nobody else has.
        let content = job.share(|| {
            folder.path = std::path::absolute(path).at(path)?;
            match Probe::new(path) {
                Ok(made) => {
                    folder.examine(&made, measure);
                    Ok(probe.insert(made).content.clone())
                }
                Err(trouble) => {
                    folder.trouble = Some(trouble);
                    Ok(Vec::new())
                }
            }
        })?;
        let name = job.share(|| {
            let name =
                probe.as_ref().map(|probe| std::path::absolute(probe.target.temporary()).at(path)).transpose()?;
            Ok(name.map_or_else(Vec::new, |name| name.into_os_string().into_vec()))
        })?;
        let sees = !name.is_empty() && std::fs::read(OsString::from_vec(name)).is_ok_and(|found| found == content);
        let seen = job.wait(job.comm.gather(Route::World, vec![u8::from(sees)]))?;
        folder.seen_by = seen.iter().map(|part| part == &[1]).collect();
        Ok(folder)
    }

    /// What kind of file system it is on.
    pub fn place(&self) -> Place {
        let name = self.file_system.as_deref().unwrap_or_default();
        // What mounts a folder through a program of its own is called fuse.NAME; most of those reach another machine.
        let network = [
            "nfs",
            "lustre",
            "gpfs",
            "beegfs",
            "ceph",
            "cifs",
            "smb",
            "afs",
            "9p",
            "pvfs",
            "orangefs",
            "panfs",
            "glusterfs",
            "virtiofs",
            "wekafs",
            "fuse.",
        ];
        if ["tmpfs", "ramfs"].contains(&name) {
            Place::Memory
        } else if network.iter().any(|prefix| name.starts_with(prefix)) {
            Place::Network
        } else {
            Place::Local
        }
    }

    fn examine(&mut self, probe: &Probe, measure: bool) {
        let path = probe.target.temporary();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if let Ok(path) = path.canonicalize() {
            self.file_system = file_system(&mounts, &path);
        }
        self.free_bytes = statvfs(path).ok().map(|about| about.f_bavail * about.f_frsize);
        self.locks =
            std::fs::File::open(path).ok().map(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
        if measure {
            self.write_rate = probe.write_rate(self.free_bytes.unwrap_or(0)).ok();
        }
    }
}

/// A file that goes away with the value.
struct Probe {
    target: Target,
    /// What is in it: no file of another run has the same.
    content: Vec<u8>,
}

impl Probe {
    /// Makes it, or says why that cannot be.
    fn new(folder: &Path) -> std::result::Result<Probe, String> {
        if !folder.is_dir() {
            let what = if folder.exists() { "is not a folder" } else { "does not exist" };
            return Err(format!("{what}: create it, or name another with --work"));
        }
        let write = || -> Result<Probe> {
            let target = Target::create(folder.join("corpuscle-doctor"))?;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let content =
                format!("{} {} {now:?}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
                    .into_bytes();
            std::fs::write(target.temporary(), &content).at(folder)?;
            Ok(Probe { target, content })
        };
        write().map_err(|cause| format!("no file can be written there ({cause})"))
    }

    /// Bytes a second of writing another file beside it, the last byte on disk.
    fn write_rate(&self, free: u64) -> Result<f64> {
        let most = WRITTEN.0.min((free / 4) as usize);
        let target = Target::create(self.target.path().with_extension("speed"))?;
        let path = target.temporary();
        let piece: Vec<u8> = (0..4usize << 20).map(|i| ((i * 7919) >> 3) as u8).collect();
        let mut file = std::fs::File::create(path).at(path)?;
        let (begin, mut written) = (Instant::now(), 0);
        while written < most && begin.elapsed() < WRITTEN.1 {
            file.write_all(&piece).at(path)?;
            written += piece.len();
        }
        file.sync_all().at(path)?;
        Ok(written as f64 / begin.elapsed().as_secs_f64())
    }
}

/// Type of the file system that holds a file, from /proc/self/mountinfo.
fn file_system(mounts: &str, file: &Path) -> Option<String> {
    let mounted = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let place = before.split(' ').nth(4)?.replace("\\040", " ");
        file.starts_with(&place).then(|| (place.len(), after.split(' ').next().unwrap_or_default().to_owned()))
    });
    // Of two mounts on one place the later hides the earlier.
    mounted.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_longest_mount_point() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      2 1 0:5 / /home rw,relatime shared:3 - nfs4 server:/home rw\n\
                      3 1 0:6 / /home/with\\040space rw - tmpfs tmpfs rw\n";
        let on = |path: &str| file_system(mounts, Path::new(path)).expect("a mount");
        assert_eq!(on("/home/a/file"), "nfs4");
        assert_eq!(on("/homeless/file"), "ext4");
        assert_eq!(on("/home/with space/file"), "tmpfs");
        let place = |name: &str| Folder { file_system: Some(name.to_owned()), ..Folder::default() }.place();
        assert_eq!(
            ["nfs4", "lustre", "fuse.sshfs", "tmpfs", "ext4"].map(place),
            [Place::Network, Place::Network, Place::Network, Place::Memory, Place::Local]
        );
        assert_eq!(Folder::default().place(), Place::Local);
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let probe = Probe::new(folder.path()).unwrap_or_else(|trouble| panic!("{trouble}"));
        assert_eq!(std::fs::read(probe.target.temporary()).expect("there"), probe.content);
        assert!(probe.write_rate(1 << 26).expect("written") > 0.0);
        drop(probe);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let missing = Probe::new(&folder.path().join("none")).err().expect("refused");
        assert!(missing.contains("does not exist"), "{missing}");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert!(Probe::new(&file).err().expect("refused").contains("is not a folder"));
    }
}
