use super::*;
use crate::store::atomic::Target;
use serde_json::json;

/// A job that has added three records in two generations, and a fourth that no generation counts.
fn folder() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let (mut folder, saved) = Folder::open(place.path(), true, &job(1)).unwrap();
    assert!(saved.is_none());
    folder.append(0, 7, vec![1, 2, 3]).unwrap();
    folder.append(1, 0, Vec::new()).unwrap();
    folder.commit().unwrap();
    folder.append(1, 1, vec![9; 1000]).unwrap();
    folder.commit().unwrap();
    folder.append(1, 2, vec![8; 50]).unwrap();
    folder.close().unwrap();
    place
}

fn job(k: u64) -> Value {
    json!({ "command": "lsi", "parameters": { "k": k, "seed": 1 }, "inputs": { "corpus": { "checksum": "abc" } } })
}

/// What is there to go on from: stage, kind and bytes of each record.
fn content(place: &Path) -> Result<Vec<(u32, u32, Vec<u8>)>> {
    let (folder, saved) = Folder::open(place, true, &job(1))?;
    let saved = saved.ok_or_else(|| Error::failed("nothing"))?;
    let content = saved.records().iter().map(|record| Ok((record.stage, record.kind, saved.read(record)?))).collect();
    folder.close()?;
    content
}

fn names(place: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn refusal(place: &Path, resume: bool, job: &Value) -> String {
    let text = Folder::open(place, resume, job).err().expect("a refusal").to_string();
    assert!(text.starts_with(&place.display().to_string()) && !text.contains('\n'), "{text}");
    text
}

#[test]
fn what_was_committed_comes_back_and_can_be_added_to() {
    let place = folder();
    let whole = vec![(0, 7, vec![1, 2, 3]), (1, 0, vec![]), (1, 1, vec![9; 1000])];
    assert_eq!(content(place.path()).unwrap(), whole);
    // Again and again, and with more.
    assert_eq!(content(place.path()).unwrap(), whole);
    let (mut folder, _) = Folder::open(place.path(), true, &job(1)).unwrap();
    folder.append(2, 0, vec![5]).unwrap();
    folder.commit().unwrap();
    folder.close().unwrap();
    assert_eq!(content(place.path()).unwrap(), [whole, vec![(2, 0, vec![5])]].concat());
    assert_eq!(names(place.path()), ["checkpoint-2", "checkpoint-3", "journal-1", "lock"]);
    let (folder, _) = Folder::open(place.path(), true, &job(1)).unwrap();
    folder.finish().unwrap();
    assert!(names(place.path()).is_empty());
}

#[test]
fn a_journal_begun_anew_keeps_earlier_stages_and_the_generation_before() {
    let place = folder();
    let (mut folder, _) = Folder::open(place.path(), true, &job(1)).unwrap();
    folder.restart(1).unwrap();
    folder.append(1, 0, vec![4]).unwrap();
    folder.commit().unwrap();
    folder.close().unwrap();
    assert_eq!(names(place.path()), ["checkpoint-2", "checkpoint-3", "journal-1", "journal-2", "lock"]);
    assert_eq!(content(place.path()).unwrap(), [(0, 7, vec![1, 2, 3]), (1, 0, vec![4])]);
    let (mut folder, _) = Folder::open(place.path(), true, &job(1)).unwrap();
    folder.commit().unwrap();
    folder.close().unwrap();
    assert_eq!(names(place.path()), ["checkpoint-3", "checkpoint-4", "journal-2", "lock"]);
}

#[test]
fn the_older_generation_is_used_when_the_newest_is_damaged() {
    let older = vec![(0, 7, vec![1, 2, 3]), (1, 0, vec![])];
    let newest = [older.clone(), vec![(1, 1, vec![9; 1000])]].concat();
    for name in ["checkpoint-2", "journal-1"] {
        let length = fs::metadata(folder().path().join(name)).unwrap().len() as usize;
        for at in (0..length).step_by(29) {
            let place = folder();
            let path = place.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            match content(place.path()) {
                // Behind what counts, or the line's end.
                Ok(read) if read == newest => {
                    assert!(name == "journal-1" && at >= 1051 || at + 1 == length, "{name} {at}")
                }
                Ok(read) => assert_eq!(read, older, "{name} {at}"),
                // What both generations count on.
                Err(error) => assert!(
                    name == "journal-1" && at < 35 && error.to_string().contains("no checkpoint can be used"),
                    "{name} {at}: {error}"
                ),
            }
        }
        for cut in [0, 1, length / 2] {
            let place = folder();
            let path = place.path().join(name);
            fs::write(&path, &fs::read(&path).unwrap()[..cut]).unwrap();
            match content(place.path()) {
                Ok(read) => assert_eq!(read, older),
                Err(error) => assert!(name == "journal-1" && cut < 35, "{error}"),
            }
        }
    }
}

#[test]
fn other_jobs_newer_versions_and_folders_in_use_are_refused() {
    let place = folder();
    let text = refusal(place.path(), true, &job(2));
    assert!(text.contains("another job: parameters.k was 1, is 2"), "{text}");
    let mut other = job(1);
    other["inputs"]["corpus"]["checksum"] = json!("abd");
    assert!(refusal(place.path(), true, &other).contains("inputs.corpus.checksum was \"abc\", is \"abd\""));
    assert!(refusal(place.path(), false, &job(1)).contains("add --resume"));
    assert_eq!(content(place.path()).unwrap().len(), 3, "a refusal leaves all as it was");

    let (running, _) = Folder::open(place.path(), true, &job(1)).unwrap();
    assert!(refusal(place.path(), true, &job(1)).contains("another job writes its checkpoints here"));
    drop(running);

    let path = place.path().join("checkpoint-2");
    let line = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
    let rewrite = |line: &str| {
        fs::write(&path, format!("{line}\n{}\n", blake3::hash(line.as_bytes()).to_hex())).unwrap();
    };
    rewrite(&line.replace("\"format_version\":2", "\"format_version\":3"));
    let text = refusal_of(place.path());
    assert!(text.contains("checkpoint-2: format version 3 is newer than version 2"), "{text}");
}

fn refusal_of(place: &Path) -> String {
    Folder::open(place, true, &job(1)).err().expect("a refusal").to_string()
}

#[test]
fn lengths_beyond_the_file_take_no_memory() {
    // Proved by checksums and a lie all the same.
    for (bytes, length) in [(u64::MAX, 16), (16, u64::MAX), (16, 1 << 40), (20, 1), (15, 0)] {
        let place = tempfile::tempdir().unwrap();
        let journal = [encode_head(0, 0, length).to_vec(), vec![0; 4]].concat();
        let journal = &journal[..journal.len().min(bytes as usize)];
        fs::write(place.path().join("journal-1"), journal).unwrap();
        let generation = Generation {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            job: job(1),
            journal: 1,
            bytes,
            blake3: blake3::hash(journal).to_hex().to_string(),
        };
        write_generation(&place.path().join("checkpoint-1"), &generation).unwrap();
        let text = refusal_of(place.path());
        assert!(text.contains("no checkpoint can be used (its journal is"), "{text}");
    }
}

#[test]
fn only_hidden_files_of_ours_are_removed() {
    let place = folder();
    let outside = tempfile::tempdir().unwrap();
    let files = [".out.h5.123-0.tmp", "out.h5", ".out.h5.123.tmp", ".out.h5.x-0.tmp", "out.123-0.tmp"];
    let list: Vec<String> = files.iter().map(|name| outside.path().join(name).display().to_string()).collect();
    list.iter().for_each(|path| fs::write(path, "x").unwrap());
    fs::write(place.path().join(UNFINISHED), list.join("\n")).unwrap();
    content(place.path()).unwrap();
    let left: Vec<bool> = list.iter().map(|path| Path::new(path).exists()).collect();
    assert_eq!(left, [false, true, true, true, true]);
    assert!(!place.path().join(UNFINISHED).exists());
}

#[test]
fn an_output_is_noted_before_it_is_there_and_its_writer_leaves_it_alone() {
    let (place, outside) = (folder(), tempfile::tempdir().unwrap());
    let mut noted = PathBuf::new();
    let target = Target::create_noted(&outside.path().join("out.h5"), |temporary| {
        assert!(!temporary.exists());
        noted = temporary.to_path_buf();
        note_unfinished(place.path(), temporary)
    })
    .unwrap();
    content(place.path()).unwrap();
    let list = || fs::read_to_string(place.path().join(UNFINISHED)).unwrap_or_default();
    assert_eq!((target.temporary(), noted.exists(), list()), (&*noted, true, format!("{}\n", noted.display())));
    drop(target);
    // Killed before it could remove the file.
    fs::write(&noted, "x").unwrap();
    content(place.path()).unwrap();
    assert!(!noted.exists() && list().is_empty());
}

#[test]
fn a_folder_made_for_a_note_alone_is_taken_back() {
    let outside = tempfile::tempdir().unwrap();
    let fresh = outside.path().join("fresh");
    note_unfinished(&fresh, Path::new("/x/.out.1-0.tmp")).unwrap();
    forget_unfinished(&fresh);
    assert!(!fresh.exists());
    let used = folder();
    note_unfinished(used.path(), Path::new("/x/.out.1-0.tmp")).unwrap();
    forget_unfinished(used.path());
    assert!(used.path().join(UNFINISHED).exists() && content(used.path()).is_ok());
}

#[test]
fn the_cost_of_the_next_generation_is_reckoned_from_its_bytes() {
    let place = tempfile::tempdir().unwrap();
    let (mut folder, _) = Folder::open(place.path(), false, &job(1)).unwrap();
    let pace = |bytes: u64| UNKNOWN_COMMIT + Duration::from_nanos(UNKNOWN_PACE * bytes);
    assert_eq!((folder.likely_cost(0), folder.likely_cost(1000)), (pace(0), pace(1000)));
    folder.append(0, 0, vec![1; 1 << 20]).unwrap();
    assert_eq!(folder.likely_cost(0), pace((1 << 20) + HEAD as u64));
    assert!(folder.likely_cost(u64::MAX) > Duration::from_secs(1 << 32));
    folder.commit().unwrap();
    let work = folder.work.clone();
    folder.close().unwrap();
    // By then the thread has ended.
    let written = work.committed_bytes.load(Ordering::Relaxed);
    assert_eq!((written, work.commits.load(Ordering::Relaxed)), ((1 << 20) + HEAD as u64, 1));
    assert_eq!(work.committed_nanoseconds.load(Ordering::Relaxed), work.nanoseconds.load(Ordering::Relaxed));
}
