//! Who watches a run: its progress as JSON, its time lines.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{alone, digest, has_mpi, names, ranks, text};
use serde_json::Value;

/// A small corpus of several chunks.
fn corpus(folder: &std::path::Path) -> String {
    let path = folder.join("corpus.h5");
    alone(["generate", "--documents", "3000", "--terms", "500", "--seed", "3", "-o", text(&path)]).ok();
    text(&path).to_owned()
}

fn events(stderr: &str) -> Vec<Value> {
    let lines = stderr.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|cause| panic!("{cause}: {line}"))).collect()
}

#[test]
fn progress_as_json_is_objects_only_and_one_rank_talks() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let output = folder.path().join("tfidf.h5");
    for number in if has_mpi() { vec![1, 3] } else { vec![1] } {
        let run = ranks(number, ["tfidf", &corpus, "-o", text(&output), "--progress", "json"]).ok();
        let events = events(&run.stderr);
        let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
        if number == 1 {
            assert_eq!(events.len(), run.stderr.lines().count(), "{}", run.stderr);
        }
        assert_eq!((of("start").len(), of("end").len()), (1, 1), "{}", run.stderr);
        assert_eq!(of("start")[0]["ranks"], number);
        assert_eq!(of("end")[0]["totals"]["counters"]["documents"], 3000);
        let last = of("progress").last().copied().cloned().expect("at least when it is done");
        assert_eq!((&last["done"], &last["total"], &last["unit"]), (&3000.into(), &3000.into(), &"documents".into()));
        let workers: usize =
            last["workers"].as_object().unwrap().values().map(|list| list.as_array().unwrap().len()).sum();
        assert!(workers < number, "{last}");
        assert!(events.iter().all(|event| event["time"].as_f64().is_some()));
    }
    let none = folder.path().join("none.h5");
    let failed = alone(["tfidf", text(&none), "-o", text(&output), "--progress", "json"]);
    let events = events(&failed.stderr);
    let error = events.iter().find(|event| event["event"] == "error").expect("an error");
    assert!(failed.code == Some(1) && error["message"].as_str().unwrap().contains("none.h5"), "{error}");
    // Quiet is quiet in any style.
    let quiet = alone(["tfidf", &corpus, "-o", text(&output), "--progress", "json", "-q"]).ok();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_trace_has_every_rank_and_every_chunk_and_changes_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let (output, trace) = (folder.path().join("tfidf.h5"), folder.path().join("trace.json"));
    alone(["tfidf", &corpus, "-o", text(&output)]).ok();
    let bytes = digest(&output);
    for number in if has_mpi() { vec![1, 3] } else { vec![1] } {
        ranks(number, ["tfidf", &corpus, "-o", text(&output), "--trace", text(&trace)]).ok();
        assert_eq!(digest(&output), bytes);
        let trace: Value = serde_json::from_slice(&fs::read(&trace).unwrap()).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let spans: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        let of = |key: &str| spans.iter().map(|span| span[key].to_string()).collect::<BTreeSet<_>>();
        assert_eq!(of("pid").len(), number);
        assert!(of("cat").contains("\"phase\"") && of("cat").contains("\"io\""), "{:?}", of("cat"));
        let chunks: BTreeSet<u64> = spans.iter().filter_map(|span| span["args"]["chunk"].as_u64()).collect();
        assert!(!chunks.is_empty() && chunks.iter().copied().eq(0..chunks.len() as u64), "{chunks:?}");
        // Spans of one rank nest: none ends after the one around it.
        for rank in 0..number {
            let mut own: Vec<(f64, f64)> = spans
                .iter()
                .filter(|span| span["pid"] == rank)
                .map(|span| (span["ts"].as_f64().unwrap(), span["dur"].as_f64().unwrap()))
                .collect();
            own.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
            let mut open: Vec<f64> = Vec::new();
            for (begun, lasted) in own {
                open.retain(|end| *end > begun + 2e-3);
                let end = begun + lasted;
                assert!(open.iter().all(|around| end <= around + 2e-3), "rank {rank}: {begun} {lasted} {open:?}");
                open.push(end);
            }
        }
        let messages = events.iter().filter(|event| event["cat"] == "message").count();
        assert_eq!(messages > 0, number > 1);
    }
    // A file that is something else is not written over.
    let before = digest(corpus.as_ref());
    alone(["tfidf", &corpus, "-o", text(&output), "--trace", &corpus]).failed(2, &["--trace", "corpus.h5", "no trace"]);
    assert_eq!(digest(corpus.as_ref()), before);
    // Any command may be traced, and a place that is none is told before the work.
    alone(["info", &corpus, "--trace", text(&trace)]).ok();
    let nowhere = folder.path().join("none/trace.json");
    alone(["info", &corpus, "--trace", text(&nowhere)]).failed(1, &["none/trace.json"]);
    assert!(names(folder.path()).iter().all(|name| !name.ends_with(".tmp")));
}
