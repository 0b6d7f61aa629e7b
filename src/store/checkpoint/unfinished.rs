//! The names of the hidden files that outputs are written to, a line each, in the folder of the checkpoints: should the job be
//! killed at any moment, the next one removes them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::{At, Result};
use crate::store::atomic::is_being_written;

/// The file of the names.
pub(super) const UNFINISHED: &str = "unfinished";

/// Removes the hidden files that a killed run wrote its outputs to. Only what looks like one is touched, whatever the
/// list says.
pub(super) fn remove_unfinished_outputs(folder: &Path) {
    let path = folder.join(UNFINISHED);
    let Ok(list) = fs::read_to_string(&path) else { return };
    let (mine, others): (Vec<&str>, Vec<&str>) = list.lines().partition(|line| is_being_written(Path::new(line)));
    for line in others.iter().take(1000).map(Path::new) {
        let name = line.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let serial =
            name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp")).and_then(|rest| rest.rsplit_once('.'));
        let ours = serial.and_then(|(_, serial)| serial.split_once('-')).is_some_and(|(process, serial)| {
            [process, serial].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        });
        if ours && fs::symlink_metadata(line).is_ok_and(|there| there.is_file()) {
            let _ = fs::remove_file(line);
        }
    }
    let _ = fs::remove_file(path);
    for line in mine {
        let _ = note_unfinished(folder, Path::new(line));
    }
}

/// Notes a hidden file that an output is going to be written to. Should this run be killed, the next one that opens the
/// folder removes it. The folder is made if it is not there.
pub fn note_unfinished(folder: &Path, temporary: &Path) -> Result<()> {
    fs::create_dir_all(folder).at(folder)?;
    let path = folder.join(UNFINISHED);
    let mut file = OpenOptions::new().create(true).append(true).open(&path).at(&path)?;
    writeln!(file, "{}", temporary.display()).at(&path)
}

/// Takes back what [`note_unfinished`] made where nothing else has come to it.
pub fn forget_unfinished(folder: &Path) {
    let path = folder.join(UNFINISHED);
    let alone = fs::read_dir(folder).is_ok_and(|there| there.flatten().all(|entry| entry.path() == path));
    if alone {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir(folder);
    }
}
