//! A target file that exists complete or not at all: written beside its place under a hidden name, then renamed.

use crate::error::{At, Error, Result};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Temporary files of this process that have been neither renamed nor removed yet.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Distinguishes the temporary files of one process.
static SERIAL: AtomicU64 = AtomicU64::new(0);

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // A panic elsewhere must not keep the panic hook from cleaning up.
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every temporary file of this process that was not committed: for the ways out that run no destructors
/// (a panic hook that aborts, `exit`). Targets still alive can no longer be committed afterwards.
pub fn remove_unfinished() {
    // Not waiting: the thread that aborts may be the one that holds the list.
    let mut list = match UNFINISHED.try_lock() {
        Ok(list) => list,
        Err(std::sync::TryLockError::Poisoned(list)) => list.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return,
    };
    for path in std::mem::take(&mut *list) {
        // Nothing is left to do about a failure: the process is on its way out.
        let _ = fs::remove_file(path);
    }
}

/// Whether a temporary file is one that this process writes.
pub fn is_being_written(temporary: &Path) -> bool {
    let absolute = |path: &PathBuf| std::path::absolute(path).is_ok_and(|path| path == temporary);
    unfinished().iter().any(absolute)
}

/// Adds the temporary file of another process of the job to those that [`remove_unfinished`] removes.
pub fn remove_with_unfinished(temporary: PathBuf) {
    unfinished().insert(temporary);
}

/// Temporary files of a process that this one may outlive.
static ORPHANS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Remembers the temporary file of another process of the job, for [`remove_orphans`].
pub fn remember_orphan(temporary: PathBuf) {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner).insert(temporary);
}

/// Removes what a process has left that died before its time.
pub fn remove_orphans() {
    for path in std::mem::take(&mut *ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)) {
        // It may have been finished or removed, or be on a disk of another machine.
        let _ = fs::remove_file(path);
    }
}

/// A file to be written. Until [`Target::commit`] only a hidden temporary file in the same folder exists; dropping the
/// target removes it and leaves an older file of that name as it was.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    temporary: PathBuf,
}

impl Target {
    /// Prepares to write `path` and creates the temporary file, so that a folder that is missing or may not be written
    /// is known before any work is done.
    ///
    /// Errors: the folder does not exist or cannot be written; `path` is a directory or a device.
    pub fn create(path: impl AsRef<Path>) -> Result<Target> {
        Target::create_noted(path.as_ref(), |_| Ok(()))
    }

    /// As [`create`](Self::create); `note` is told the temporary file's name before there is such a file.
    pub fn create_noted(named: &Path, note: impl FnOnce(&Path) -> Result<()>) -> Result<Target> {
        // Through a symbolic link the file it points to is replaced, not the link.
        let path = match fs::canonicalize(named) {
            Ok(resolved) => resolved,
            Err(_) => named.to_path_buf(),
        };
        match fs::metadata(&path) {
            Ok(there) if there.is_dir() => {
                return Err(Error::usage(format!(
                    "{}: is a directory; name a file to be written in it",
                    named.display()
                )));
            }
            Ok(there) if !there.is_file() => {
                return Err(Error::usage(format!(
                    "{}: is not a regular file and cannot be replaced by one; name another output",
                    named.display()
                )));
            }
            _ => {}
        }
        let Some(name) = path.file_name() else {
            return Err(Error::usage(format!("{}: does not name a file to be written", named.display())));
        };
        let folder = folder_of(&path);
        if !folder.is_dir() {
            return Err(Error::failed(format!(
                "{}: the folder {} does not exist; create it first",
                named.display(),
                folder.display()
            )));
        }
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{}.{}-{serial}.tmp", name.to_string_lossy(), std::process::id()));
        unfinished().insert(temporary.clone());
        let target = Target { path, temporary };
        note(&target.temporary)?;
        match OpenOptions::new().write(true).create_new(true).open(&target.temporary) {
            Ok(_) => Ok(target),
            Err(cause) => {
                // A file that was there before is not ours to remove.
                unfinished().remove(&target.temporary);
                let remedy = match cause.kind() {
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "; choose a folder you may write to",
                    _ => "",
                };
                Err(Error::failed(format!("{}: cannot be written: {cause}{remedy}", named.display())))
            }
        }
    }

    /// The file that will exist after [`Target::commit`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file to write to; it exists and is empty.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Puts the written file in its place: on disk first, then under its name, then the name on disk. Whatever wrote to
    /// [`Target::temporary`] must have closed it.
    pub fn commit(self) -> Result<()> {
        File::open(&self.temporary).and_then(|file| file.sync_all()).at(&self.path)?;
        fs::rename(&self.temporary, &self.path).at(&self.path)?;
        unfinished().remove(&self.temporary);
        // Some file systems cannot sync a folder; the file itself is safe by now.
        if let Ok(folder) = File::open(folder_of(&self.path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if unfinished().remove(&self.temporary) {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Whether two names lead to one file, be it there already or to be written.
pub fn same_file(a: &Path, b: &Path) -> bool {
    // Of a file to be written only the folder is there.
    let place = |path: &Path| {
        path.canonicalize().ok().or_else(|| Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?)))
    };
    place(a).zip(place(b)).is_some_and(|(a, b)| a == b)
}

/// Makes sure that no input is going to be replaced.
pub fn refuse_inputs_as_output<'a>(inputs: impl IntoIterator<Item = &'a Path>, output: &Path) -> Result<()> {
    match inputs.into_iter().find(|input| same_file(input, output)) {
        None => Ok(()),
        Some(input) => {
            Err(Error::usage(format!("{}: is input and output at once: name another output", input.display())))
        }
    }
}

/// The folder a path lies in; `.` for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn commit_replaces_and_drop_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        fs::write(&path, "old").unwrap();

        let target = Target::create(&path).unwrap();
        fs::write(target.temporary(), "half").unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(target);
        assert_eq!(names(folder.path()), ["result"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");

        let target = Target::create(&path).unwrap();
        fs::write(target.temporary(), "new").unwrap();
        target.commit().unwrap();
        assert_eq!(names(folder.path()), ["result"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn folders_that_are_missing_and_targets_that_are_no_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Target::create(folder.path().join("none/result")).unwrap_err();
        assert_eq!(missing.exit_code(), 1);
        assert!(missing.to_string().contains("does not exist"), "{missing}");
        let directory = Target::create(folder.path()).unwrap_err();
        assert_eq!(directory.exit_code(), 2);
        assert!(directory.to_string().contains("is a directory"), "{directory}");
        assert!(Target::create("/dev/null").unwrap_err().to_string().contains("not a regular file"));
        assert!(Target::create("").is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        let link = folder.path().join("link");
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let target = Target::create(&link).unwrap();
        fs::write(target.temporary(), "new").unwrap();
        target.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    }

    #[test]
    fn two_targets_of_one_name_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let (one, two) = (Target::create(&path).unwrap(), Target::create(&path).unwrap());
        assert_ne!(one.temporary(), two.temporary());
    }

    #[test]
    fn one_file_is_known_by_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let here = |name: &str| folder.path().join(name);
        fs::write(here("there"), "").unwrap();
        fs::create_dir(here("inner")).unwrap();
        std::os::unix::fs::symlink(here("there"), here("link")).unwrap();
        for (a, b) in [("there", "link"), ("there", "inner/../there"), ("new", "inner/../new")] {
            assert!(same_file(&here(a), &here(b)), "{a} {b}");
        }
        for (a, b) in [("there", "new"), ("new", "newer"), ("nowhere/a", "nowhere/a"), ("inner/there", "there")] {
            assert!(!same_file(&here(a), &here(b)), "{a} {b}");
        }
        let inputs = [here("new"), here("link")];
        let refused = refuse_inputs_as_output(inputs.iter().map(PathBuf::as_path), &here("there")).unwrap_err();
        assert_eq!((refused.exit_code(), refused.to_string().contains("link: is input and output")), (2, true));
        refuse_inputs_as_output(inputs.iter().map(PathBuf::as_path), &here("other")).unwrap();
    }
}
