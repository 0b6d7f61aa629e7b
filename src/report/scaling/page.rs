//! Runs on one page: pictures and the figures behind them.

use std::path::Path;

use super::plot::{Line, lines, stacked_bars};
use super::runs::Run;
use super::series::{Point, Scaling, Series};
use crate::error::Result;
use crate::report::html::{self, Page};
use crate::report::output::{Format, Table};
use crate::report::svg::{Axis, COLOURS, Mark, Plot, escaped};
use crate::report::totals::percent;
use crate::report::trace::timeline::Timeline;

const MEBI: f64 = (1u64 << 20) as f64;

/// Writes the page, whole or not at all, and its pictures as files where a folder is named. The time lines come after the
/// runs; `everything` is appended as text, for who wants the numbers.
///
/// # Errors
/// Fails when a file cannot be written.
pub fn write(
    path: &Path,
    pictures: Option<&Path>,
    runs: &[Run],
    timelines: &[Timeline],
    everything: Option<&Table>,
) -> Result<()> {
    let number = runs.len().max(timelines.len());
    let mut page = Page::new(&format!("corpuscle: {}", count(number, "run")));
    for (number, series) in Series::of(runs).iter().enumerate() {
        section(&mut page, number, series);
    }
    for (number, timeline) in timelines.iter().enumerate() {
        timeline.show(&mut page, number);
    }
    if let Some(everything) = everything {
        let mut csv = Vec::new();
        let written = everything.write(Format::Csv, &mut csv);
        written.expect("memory takes any table");
        let csv = escaped(&String::from_utf8_lossy(&csv));
        page.html(&format!("<details><summary>Everything, as CSV</summary><pre>{csv}</pre></details>\n"));
    }
    page.write(path, pictures)
}

fn section(page: &mut Page, number: usize, series: &Series) {
    let first = series.first();
    let what = match series.scaling {
        Scaling::One => "",
        Scaling::Strong => ": strong scaling, the same corpus on more workers",
        Scaling::Weak => ": weak scaling, a corpus that grows with the workers",
        Scaling::Unknown => " on different corpora: only times can be shown",
    };
    page.section(&format!("{}{what}", first.command));
    let parameters: Vec<String> = first
        .parameters
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    page.html(&format!("<p><code>{}</code></p>\n", escaped(&first.arguments.join(" "))));
    page.words(&format!("{}. corpuscle {}.", parameters.join(", "), first.version));
    medians(page, number, series);
    page.html("<div class=\"pictures\">\n");
    let name = |what: &str| format!("runs-{number}-{what}");
    if matches!(series.scaling, Scaling::Strong | Scaling::Weak) {
        page.figure(&name("speed-up"), speed_up(series));
        page.figure(&name("efficiency"), efficiency(series));
    }
    page.figure(&name("phases"), phases(series));
    page.figure(&name("bytes"), bytes(series));
    let largest = series.points.last().expect("a series has points").median();
    page.figure(&name("ranks"), activities(largest));
    page.figure(&name("memory"), memory(largest));
    page.html("</div>\n");
}

/// The figures behind the pictures.
fn medians(page: &mut Page, number: usize, series: &Series) {
    let heads = [
        "workers",
        "runs",
        "hosts",
        "median s",
        "fastest s",
        "slowest s",
        "speed-up",
        "efficiency %",
        "waiting %",
        "documents/s",
        "MiB sent",
        "rounds",
        "peak MiB of a rank",
    ];
    let row = |point: &Point| {
        let (run, totals) = (point.median(), &point.median().totals);
        let seconds = |run: Option<&&Run>| run.map_or(0.0, |run| run.totals.seconds);
        let optional =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let waiting = totals.phases.last().map(|whole| percent(whole.mean.waiting_seconds, whole.mean.seconds));
        vec![
            point.workers.to_string(),
            point.runs.len().to_string(),
            run.hosts().to_string(),
            format!("{:.3}", point.seconds()),
            format!("{:.3}", seconds(point.runs.first())),
            format!("{:.3}", seconds(point.runs.last())),
            optional(point.speed_up, 2),
            optional(point.efficiency().map(|part| 100.0 * part), 1),
            optional(waiting, 1),
            format!("{:.0}", totals.documents_per_second),
            format!("{:.1}", totals.counters.bytes_sent as f64 / MEBI),
            totals.counters.rounds.to_string(),
            optional(totals.peak_memory_bytes.map(|bytes| bytes as f64 / MEBI), 0),
        ]
    };
    let rows: Vec<Vec<String>> = series.points.iter().map(row).collect();
    page.html(&html::table(&format!("runs-{number}"), "Medians by number of workers", &heads, &rows));
}

fn measured(series: &Series, of: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
    series.points.iter().filter_map(|point| of(point).map(|value| (point.workers as f64, value))).collect()
}

fn speed_up(series: &Series) -> String {
    let most = series.points.last().map_or(1, |point| point.workers) as f64;
    let ideal = Line { name: "ideal".into(), points: vec![(0.0, 0.0), (most, most)], ideal: true };
    let line = Line { name: "measured".into(), points: measured(series, |point| point.speed_up), ideal: false };
    lines("Speed-up over the fewest workers", "speed-up", &[line, ideal])
}

fn efficiency(series: &Series) -> String {
    let most = series.points.last().map_or(1, |point| point.workers) as f64;
    let ideal = Line { name: "ideal".into(), points: vec![(0.0, 100.0), (most, 100.0)], ideal: true };
    let points = measured(series, |point| point.efficiency().map(|part| 100.0 * part));
    lines(
        "Efficiency: speed-up per worker",
        "per cent",
        &[Line { name: "measured".into(), points, ideal: false }, ideal],
    )
}

/// Where the workers' time went, phase by phase: means over the workers of the median run.
fn phases(series: &Series) -> String {
    let mut names: Vec<String> = Vec::new();
    // The last phase is the total.
    let parts = |run: &Run| run.totals.phases[..run.totals.phases.len() - 1].to_vec();
    for phase in series.points.iter().flat_map(|point| parts(point.median())) {
        if !names.contains(&phase.mean.name) {
            names.push(phase.mean.name);
        }
    }
    let bar = |point: &Point| {
        let phases = parts(point.median());
        let length = |name: &String| {
            phases.iter().find(|phase| phase.mean.name == *name).map_or(0.0, |phase| phase.mean.seconds)
        };
        (point.workers.to_string(), names.iter().map(length).collect())
    };
    let bars: Vec<_> = series.points.iter().map(bar).collect();
    stacked_bars("Time of a worker by phase", "workers", "seconds", &names, &bars)
}

fn bytes(series: &Series) -> String {
    let most = |run: &Run| run.ranks.iter().map(|rank| rank.counters.bytes_sent).max().unwrap_or(0);
    let all = measured(series, |point| Some(point.median().totals.counters.bytes_sent as f64 / MEBI));
    let one = measured(series, |point| Some(most(point.median()) as f64 / MEBI));
    lines(
        "Bytes sent",
        "MiB",
        &[
            Line { name: "all ranks".into(), points: all, ideal: false },
            Line { name: "the rank that sent most".into(), points: one, ideal: false },
        ],
    )
}

/// What each rank of the largest run did.
fn activities(run: &Run) -> String {
    let parts = ["computing", "waiting", "reading, writing", "rest"].map(String::from);
    let bar = |rank: &crate::report::account::RankAccount| {
        let total = rank.total();
        let rest = total.rest_seconds().max(0.0);
        (rank.rank.to_string(), vec![total.compute_seconds, total.waiting_seconds, total.io_seconds, rest])
    };
    let bars: Vec<_> = run.ranks.iter().map(bar).collect();
    let title = format!("What the ranks did, on {}", count(run.workers(), "worker"));
    stacked_bars(&title, "rank", "seconds", &parts, &bars)
}

/// Largest resident memory of each rank, and what was predicted.
fn memory(run: &Run) -> String {
    let names: Vec<String> = run.ranks.iter().map(|rank| rank.rank.to_string()).collect();
    let of = |bytes: Option<u64>| bytes.map_or(0.0, |bytes| bytes as f64 / MEBI);
    let all = run.ranks.iter().flat_map(|rank| [of(rank.peak_memory_bytes), of(rank.predicted_memory_bytes)]);
    let mut plot = Plot::new("Memory of the ranks", Axis::names("rank", &names), Axis::from_zero("MiB", all));
    plot.legend("largest", COLOURS[0]);
    for (at, rank) in run.ranks.iter().enumerate() {
        let (at, peak, predicted) = (at as f64, of(rank.peak_memory_bytes), of(rank.predicted_memory_bytes));
        let tip = format!("rank {}: {peak:.0} MiB of {predicted:.0} predicted", rank.rank);
        plot.bar((at - 0.5, 0.0), (at + 0.5, peak), 2.0, &Mark::new(COLOURS[0], tip));
        if predicted > 0.0 {
            plot.line(&[(at - 0.5, predicted), (at + 0.5, predicted)], true, &Mark::new("#888888", "predicted"));
        }
    }
    plot.legend("predicted", "#888888");
    plot.svg()
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::{fixture, table};
    use serde_json::json;
    use std::fs;

    fn made(of: &[(usize, f64, u64)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let write = |(number, &(workers, seconds, documents)): (usize, &(usize, f64, u64))| {
            let path =
                fixture::write(folder.path(), &format!("{number}"), workers, seconds, documents, &json!({"k": 5}));
            Run::read(&path).unwrap()
        };
        let runs: Vec<Run> = of.iter().enumerate().map(write).collect();
        let path = folder.path().join("page.html");
        super::write(&path, None, &runs, &[], Some(&table::for_programs(&runs))).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_scaling_run_has_all_pictures_and_the_figures_behind_them() {
        let html = made(&[(1, 16.0, 1000), (2, 10.0, 1000), (4, 5.0, 1000)]);
        assert_eq!((html.matches("<svg").count(), html.matches("</svg>").count()), (6, 6));
        assert!(html.contains("lsi: strong scaling"), "{html}");
        assert!(html.contains(
            "<td>4</td><td>1</td><td>1</td><td>5.000</td><td>5.000</td><td>5.000</td><td>3.20</td><td>80.0</td>"
        ));
        for name in ["krylov", "read", "ideal", "waiting", "k = 5"] {
            assert!(html.contains(name), "{name}");
        }
        // A file name is no markup, and nothing is fetched from anywhere.
        assert!(html.contains("&lt;tfidf&gt; &amp; more.h5") && !html.contains("<tfidf>"));
        assert!(!html.contains("src=") && html.matches("href=").count() == 1);
    }

    #[test]
    fn one_run_is_enough_and_different_corpora_have_no_speed_up() {
        let html = made(&[(1, 16.0, 1000)]);
        assert_eq!(html.matches("<svg").count(), 4);
        let html = made(&[(1, 16.0, 1000), (2, 8.0, 1500)]);
        assert!(html.contains("different corpora") && html.matches("<svg").count() == 4);
    }
}
