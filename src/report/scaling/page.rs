//! Runs on one page: self-contained HTML, pictures as SVG inside it, no scripts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::plot::{Line, lines, stacked_bars};
use super::runs::Run;
use super::series::{Point, Scaling, Series};
use crate::error::{At, Result};
use crate::report::output::{Format, Table};
use crate::report::totals::percent;
use crate::store::atomic::Target;

const MEBI: f64 = (1u64 << 20) as f64;

const STYLE: &str = "body { font: 15px/1.5 sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: 0.2em 0.8em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } code { background: #f3f3f3; padding: 0.1em 0.3em; overflow-wrap: anywhere }
.pictures { display: flex; flex-wrap: wrap; gap: 12px } svg { max-width: 100% } details { margin: 1em 0; overflow-x: auto }";

/// Writes the page, whole or not at all. `everything` is appended as text, for who wants the numbers.
///
/// # Errors
/// Fails when the file cannot be written.
pub fn write(path: &Path, runs: &[Run], everything: &Table) -> Result<()> {
    let target = Target::create(path)?;
    fs::write(target.temporary(), page(runs, everything)).at(path)?;
    target.commit()
}

fn page(runs: &[Run], everything: &Table) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>corpuscle: {n}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{n}</h1>\n",
        n = count(runs.len(), "run"),
    );
    for series in Series::of(runs) {
        section(&mut html, &series);
    }
    let mut csv = Vec::new();
    let written = everything.write(Format::Csv, &mut csv);
    written.expect("memory takes any table");
    let csv = escaped(&String::from_utf8_lossy(&csv));
    let _ =
        write!(html, "<details><summary>Everything, as CSV</summary><pre>{csv}</pre></details>\n</body>\n</html>\n");
    html
}

fn section(html: &mut String, series: &Series) {
    let first = series.first();
    let what = match series.scaling {
        Scaling::One => "",
        Scaling::Strong => ": strong scaling, the same corpus on more workers",
        Scaling::Weak => ": weak scaling, a corpus that grows with the workers",
        Scaling::Unknown => " on different corpora: only times can be shown",
    };
    let _ = writeln!(html, "<h2>{}{what}</h2>", escaped(&first.command));
    let parameters: Vec<String> = first
        .parameters
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{} = {}", escaped(name), escaped(&value.to_string())))
        .collect();
    let _ = writeln!(html, "<p><code>{}</code></p>", escaped(&first.arguments.join(" ")));
    let _ = writeln!(html, "<p>{}. corpuscle {}.</p>", parameters.join(", "), escaped(&first.version));
    medians(html, series);
    html.push_str("<div class=\"pictures\">\n");
    if matches!(series.scaling, Scaling::Strong | Scaling::Weak) {
        html.push_str(&speed_up(series));
        html.push_str(&efficiency(series));
    }
    html.push_str(&phases(series));
    html.push_str(&bytes(series));
    html.push_str(&activities(series.points.last().expect("a series has points").median()));
    html.push_str("</div>\n");
}

/// The figures behind the pictures.
fn medians(html: &mut String, series: &Series) {
    html.push_str(
        "<table><tr><th>workers</th><th>runs</th><th>hosts</th><th>median s</th><th>fastest s</th><th>slowest s</th><th>speed-up</th>\
         <th>efficiency %</th><th>waiting %</th><th>documents/s</th><th>MiB sent</th><th>rounds</th><th>peak MiB of a rank</th></tr>\n",
    );
    for point in &series.points {
        let (run, totals) = (point.median(), &point.median().totals);
        let seconds = |run: Option<&&Run>| run.map_or(0.0, |run| run.totals.seconds);
        let optional =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let waiting = totals.phases.last().map(|whole| percent(whole.mean.waiting_seconds, whole.mean.seconds));
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{:.0}</td><td>{:.1}</td><td>{}</td><td>{}</td></tr>",
            point.workers,
            point.runs.len(),
            run.hosts(),
            point.seconds(),
            seconds(point.runs.first()),
            seconds(point.runs.last()),
            optional(point.speed_up, 2),
            optional(point.efficiency().map(|part| 100.0 * part), 1),
            optional(waiting, 1),
            totals.documents_per_second,
            totals.counters.bytes_sent as f64 / MEBI,
            totals.counters.rounds,
            optional(totals.peak_memory_bytes.map(|bytes| bytes as f64 / MEBI), 0),
        );
    }
    html.push_str("</table>\n");
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

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Text that HTML takes as text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::{fixture, table};
    use serde_json::json;

    fn made(of: &[(usize, f64, u64)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let write = |(number, &(workers, seconds, documents)): (usize, &(usize, f64, u64))| {
            let path =
                fixture::write(folder.path(), &format!("{number}"), workers, seconds, documents, &json!({"k": 5}));
            Run::read(&path).unwrap()
        };
        let runs: Vec<Run> = of.iter().enumerate().map(write).collect();
        let path = folder.path().join("page.html");
        super::write(&path, &runs, &table::for_programs(&runs)).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_scaling_run_has_all_pictures_and_the_figures_behind_them() {
        let html = made(&[(1, 16.0, 1000), (2, 10.0, 1000), (4, 5.0, 1000)]);
        assert_eq!((html.matches("<svg").count(), html.matches("</svg>").count()), (5, 5));
        assert!(html.contains("lsi: strong scaling"), "{html}");
        assert!(html.contains(
            "<td>4</td><td>1</td><td>1</td><td>5.000</td><td>5.000</td><td>5.000</td><td>3.20</td><td>80.0</td>"
        ));
        for name in ["krylov", "read", "ideal", "waiting", "k = 5"] {
            assert!(html.contains(name), "{name}");
        }
        // A file name is no markup, and nothing is fetched from anywhere.
        assert!(html.contains("&lt;tfidf&gt; &amp; more.h5") && !html.contains("<tfidf>"));
        assert!(!html.contains("<script") && !html.contains("src=") && !html.contains("href="));
    }

    #[test]
    fn the_length_of_a_bar_is_its_time() {
        // 8 s of krylov and 16 s of it: one bar is twice the other.
        let svg = stacked_bars("t", "x", "y", &["a".into()], &[("one".into(), vec![8.0]), ("two".into(), vec![16.0])]);
        let heights: Vec<f64> = svg
            .lines()
            .filter(|line| line.contains("<rect") && line.contains("#0072B2"))
            .map(|line| line.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!(heights.len() >= 2, "{svg}");
        assert!((heights[1] / heights[0] - 2.0).abs() < 0.05, "{heights:?}");
    }

    #[test]
    fn one_run_is_enough_and_different_corpora_have_no_speed_up() {
        let html = made(&[(1, 16.0, 1000)]);
        assert_eq!(html.matches("<svg").count(), 3);
        let html = made(&[(1, 16.0, 1000), (2, 8.0, 1500)]);
        assert!(html.contains("different corpora") && html.matches("<svg").count() == 3);
    }
}
