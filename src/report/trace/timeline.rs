//! A trace as pictures: what each rank did when, its memory and its messages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::chrome::is_trace;
use crate::error::{At, Error, Result};
use crate::report::html::{Page, table};
use crate::report::svg::{Axis, COLOURS, Mark, Plot, escaped};

/// Largest trace that is read, in bytes.
const LARGEST: u64 = 1 << 30;
/// Steps that a time line is cut into, and ranks that are shown.
const STEPS: usize = 900;
const RANKS_SHOWN: usize = 64;
/// Ranks that have lines of their own in plots of memory and messages.
const LINES: usize = 8;

const KINDS: [(&str, &str, &str); 3] =
    [("compute", "computing", COLOURS[0]), ("waiting", "waiting", COLOURS[1]), ("io", "reading, writing", COLOURS[2])];

/// What of an event is read.
#[derive(Deserialize)]
struct Event {
    ph: String,
    pid: usize,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    other_data: Value,
    trace_events: Vec<Event>,
}

/// A span: seconds, and what it is.
#[derive(Debug, Clone)]
struct Span {
    begun: f64,
    ended: f64,
    kind: usize,
}

#[derive(Debug, Default)]
struct Rank {
    name: String,
    spans: Vec<Span>,
    phases: Vec<(String, f64, f64)>,
    memory: Vec<(f64, f64)>,
    moved: Vec<(f64, f64)>,
    chunks: usize,
}

/// A trace as it was read.
#[derive(Debug)]
pub struct Timeline {
    command: String,
    arguments: String,
    ranks: BTreeMap<usize, Rank>,
    losses: Vec<(f64, String)>,
    seconds: f64,
}

impl Timeline {
    /// Reads a trace; none where the file is something else.
    ///
    /// # Errors
    /// Fails on a trace that is damaged or too large.
    pub fn read(path: &Path) -> Result<Option<Timeline>> {
        if !is_trace(path) {
            return Ok(None);
        }
        let size = fs::metadata(path).at(path)?.len();
        if size > LARGEST {
            let what = format!("{}: a trace of {size} bytes is too large for a page", path.display());
            return Err(Error::failed(format!("{what}; ui.perfetto.dev opens it")));
        }
        let file: File = serde_json::from_slice(&fs::read(path).at(path)?)
            .map_err(|cause| Error::failed(format!("{}: a damaged trace ({cause})", path.display())))?;
        let about = &file.other_data["about"];
        let words: Vec<&str> = about["arguments"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut timeline = Timeline {
            command: about["command"].as_str().unwrap_or_default().to_owned(),
            arguments: words.join(" "),
            ranks: BTreeMap::new(),
            losses: Vec::new(),
            seconds: 0.0,
        };
        file.trace_events.into_iter().for_each(|event| timeline.take(event));
        for rank in timeline.ranks.values_mut() {
            // What begins earlier, or at the same time and lasts longer, is around what comes after it.
            rank.spans.sort_by(|a, b| a.begun.total_cmp(&b.begun).then(b.ended.total_cmp(&a.ended)));
        }
        Ok(Some(timeline))
    }

    fn take(&mut self, event: Event) {
        let (begun, ended) = (event.ts / 1e6, (event.ts + event.dur) / 1e6);
        if !begun.is_finite() || !ended.is_finite() || ended < begun {
            return;
        }
        self.seconds = self.seconds.max(ended);
        if event.cat == "loss" {
            self.losses.push((begun, event.name));
            return;
        }
        let rank = self.ranks.entry(event.pid).or_default();
        let number = |name: &str| event.args[name].as_f64().unwrap_or(0.0);
        match (event.ph.as_str(), event.name.as_str()) {
            ("M", "process_name") => rank.name = event.args["name"].as_str().unwrap_or_default().to_owned(),
            ("X", _) if event.cat == "phase" => rank.phases.push((event.name, begun, ended)),
            ("X", _) => {
                if let Some(kind) = KINDS.iter().position(|(category, ..)| *category == event.cat) {
                    rank.spans.push(Span { begun, ended, kind });
                    rank.chunks += usize::from(event.args.get("chunk").is_some());
                }
            }
            ("C", "memory") => rank.memory.push((begun, number("bytes") / f64::from(1 << 20))),
            ("C", "bytes moved") => {
                rank.moved.push((begun, (number("sent") + number("received")) / f64::from(1 << 20)));
            }
            _ => {}
        }
    }

    /// Seconds of each kind in each of the steps, what is inside another span counted for the inner one.
    fn shares(&self, rank: &Rank) -> Vec<[f64; KINDS.len()]> {
        let step = (self.seconds / STEPS as f64).max(f64::MIN_POSITIVE);
        let mut shares = vec![[0.0; KINDS.len()]; STEPS];
        let mut add = |begun: f64, ended: f64, kind: usize| {
            let mut at = (begun / step) as usize;
            while at < STEPS && at as f64 * step < ended {
                let (from, to) = (begun.max(at as f64 * step), ended.min((at + 1) as f64 * step));
                shares[at][kind] += (to - from).max(0.0);
                at += 1;
            }
        };
        // Spans that are open, with the time up to which each has been counted.
        let mut open: Vec<(Span, f64)> = Vec::new();
        for span in &rank.spans {
            while let Some((around, counted)) = open.pop_if(|(around, _)| around.ended <= span.begun) {
                add(counted, around.ended, around.kind);
                if let Some((_, counted)) = open.last_mut() {
                    *counted = around.ended;
                }
            }
            if let Some((around, counted)) = open.last_mut() {
                add(*counted, span.begun, around.kind);
                *counted = span.begun;
            }
            open.push((span.clone(), span.begun));
        }
        while let Some((around, counted)) = open.pop() {
            add(counted, around.ended, around.kind);
            if let Some((_, counted)) = open.last_mut() {
                *counted = around.ended;
            }
        }
        shares
    }

    /// The dispatcher, and so many others that all find room, evenly chosen.
    fn shown(&self) -> Vec<(usize, &Rank)> {
        let every = self.ranks.len().div_ceil(RANKS_SHOWN).max(1);
        self.ranks.iter().enumerate().filter(|(at, _)| at % every == 0).map(|(_, (rank, of))| (*rank, of)).collect()
    }

    /// Puts it on a page.
    pub fn show(&self, page: &mut Page, number: usize) {
        let name = |what: &str| format!("timeline-{number}-{what}");
        page.section(&format!("Time line of {}", self.command));
        page.html(&format!("<p><code>{}</code></p>\n", escaped(&self.arguments)));
        let shown = self.shown();
        if shown.len() < self.ranks.len() {
            page.words(&format!("{} of {} ranks are shown.", shown.len(), self.ranks.len()));
        }
        let all: Vec<(usize, &Rank, Vec<[f64; KINDS.len()]>)> =
            shown.iter().map(|(number, rank)| (*number, *rank, self.shares(rank))).collect();
        page.figure(&name("ranks"), self.picture(&all));
        page.figure(&name("phases"), self.phases());
        page.html("<div class=\"pictures\">\n");
        page.figure(&name("memory"), self.lines("Memory of the ranks", "MiB", |rank| &rank.memory));
        page.figure(&name("bytes"), self.lines("Bytes sent and received", "MiB", |rank| &rank.moved));
        page.html("</div>\n");
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|(number, rank, shares)| {
                let sum = |kind: usize| shares.iter().map(|step| step[kind]).sum::<f64>();
                let mut row = vec![number.to_string(), escaped(&rank.name)];
                row.extend((0..KINDS.len()).map(|kind| format!("{:.3}", sum(kind))));
                row.extend([rank.chunks.to_string(), rank.moved.len().to_string()]);
                row
            })
            .collect();
        let heads = ["rank", "name", "computing s", "waiting s", "reading, writing s", "chunks", "messages"];
        page.html(&table(&name("table"), "What the ranks did", &heads, &rows));
        for (at, loss) in &self.losses {
            page.words(&format!("{loss} after {at:.2} s"));
        }
        page.words("Every span and message: open the trace in ui.perfetto.dev or chrome://tracing.");
    }

    fn picture(&self, all: &[(usize, &Rank, Vec<[f64; KINDS.len()]>)]) -> String {
        let names: Vec<String> = all.iter().rev().map(|(number, ..)| format!("rank {number}")).collect();
        let height = 100.0 + all.len() as f64 * if all.len() > 24 { 12.0 } else { 24.0 };
        let axes = (Axis::linear("seconds", 0.0, self.seconds), Axis::names("", &names));
        let mut plot = Plot::new("What the ranks did", axes.0, axes.1).sized(1150.0, height);
        KINDS.iter().for_each(|(_, name, colour)| plot.legend(name, colour));
        let step = self.seconds / STEPS as f64;
        for (at, (number, _, shares)) in all.iter().rev().enumerate() {
            // Neighbouring steps of the same leading kind become one bar.
            let leading = |share: &[f64; KINDS.len()]| {
                let best = (0..KINDS.len()).fold(0, |best, kind| if share[kind] > share[best] { kind } else { best });
                (share[best] > 0.25 * step).then_some(best)
            };
            let mut first = 0;
            for end in 1..=STEPS {
                if end < STEPS && leading(&shares[end]) == leading(&shares[first]) {
                    continue;
                }
                if let Some(kind) = leading(&shares[first]) {
                    let (from, to) = (first as f64 * step, end as f64 * step);
                    let tip = format!("rank {number}, {from:.2} to {to:.2} s: mostly {}", KINDS[kind].1);
                    let (low, high) = (at as f64 - 0.4, at as f64 + 0.4);
                    plot.bar((from, low), (to, high), 0.0, &Mark::new(KINDS[kind].2, tip));
                }
                first = end;
            }
        }
        for (at, loss) in &self.losses {
            let top = all.len() as f64 - 0.5;
            plot.line(&[(*at, -0.5), (*at, top)], true, &Mark::new("#CC0000", loss.clone()));
        }
        plot.svg()
    }

    /// The phases of the first worker, which are those of all.
    fn phases(&self) -> String {
        let mut names: Vec<String> = Vec::new();
        let rank = self.ranks.get(&1).or_else(|| self.ranks.values().next());
        let phases = rank.map(|rank| rank.phases.as_slice()).unwrap_or_default();
        for (name, ..) in phases {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names.reverse();
        let height = 100.0 + 22.0 * names.len() as f64;
        let axes = (Axis::linear("seconds", 0.0, self.seconds), Axis::names("", &names));
        let mut plot = Plot::new("Phases of a worker", axes.0, axes.1).sized(1150.0, height);
        for (name, begun, ended) in phases {
            let at = names.iter().position(|known| known == name).unwrap_or(0) as f64;
            let tip = format!("{name}: {begun:.3} to {ended:.3} s");
            plot.bar((*begun, at - 0.4), (*ended, at + 0.4), 0.0, &Mark::new(COLOURS[4], tip));
        }
        plot.svg()
    }

    fn lines(&self, title: &str, unit: &str, of: impl Fn(&Rank) -> &Vec<(f64, f64)>) -> String {
        let every = self.ranks.len().div_ceil(LINES).max(1);
        let chosen: Vec<_> = self.ranks.iter().step_by(every).collect();
        let largest = chosen.iter().flat_map(|(_, rank)| of(rank)).map(|point| point.1);
        let axes = (Axis::linear("seconds", 0.0, self.seconds), Axis::from_zero(unit, largest));
        let mut plot = Plot::new(title, axes.0, axes.1);
        for (at, (number, rank)) in chosen.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let points = of(rank);
            // More points than pixels show nothing more.
            let every = points.len().div_ceil(600).max(1);
            let mut thin: Vec<(f64, f64)> = points.iter().copied().step_by(every).collect();
            thin.extend(points.last());
            plot.line(&thin, false, &Mark::new(colour, format!("rank {number}")));
            plot.legend(&number.to_string(), colour);
        }
        plot.svg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(begun: f64, ended: f64, kind: usize) -> Span {
        Span { begun, ended, kind }
    }

    #[test]
    fn time_inside_a_span_counts_once() {
        // 10 s of computing, in which 3 s of waiting, in which 1 s of reading; then 5 s of nothing and 5 s of waiting.
        let spans =
            vec![span(0.0, 10.0, 0), span(2.0, 5.0, 1), span(3.0, 4.0, 2), span(6.0, 7.0, 1), span(15.0, 20.0, 1)];
        let rank = Rank { spans, ..Rank::default() };
        let timeline = Timeline {
            command: String::new(),
            arguments: String::new(),
            ranks: BTreeMap::new(),
            losses: Vec::new(),
            seconds: 20.0,
        };
        let shares = timeline.shares(&rank);
        let sum = |kind: usize| shares.iter().map(|step| step[kind]).sum::<f64>();
        assert!((sum(0) - 6.0).abs() < 1e-9 && (sum(1) - 8.0).abs() < 1e-9 && (sum(2) - 1.0).abs() < 1e-9);
        assert!(shares.iter().all(|step| step.iter().sum::<f64>() < 20.0 / STEPS as f64 + 1e-9));
    }

    #[test]
    fn other_files_are_none_and_damaged_ones_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.json");
        fs::write(&path, "{}").unwrap();
        assert!(Timeline::read(&path).unwrap().is_none());
        fs::write(&path, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"corpuscle\":\"0\"").unwrap();
        assert!(Timeline::read(&path).unwrap_err().to_string().contains("a damaged trace"));
    }
}
