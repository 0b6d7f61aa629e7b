//! The accounting table that ends every run.

use crate::report::account::{Phase, RankAccount};
use crate::report::layout::{bytes, plain_table, render as rendered, seconds, single_line};
use crate::report::progress::above_bars;
use crate::report::totals::{Totals, percent, working};
use comfy_table::Table;
use indicatif::{BinaryBytes, HumanCount};
use std::io::Write;

/// More ranks than this are shown as rank 0 and the smallest, median and largest of the workers.
const RANKS_SHOWN: usize = 16;
/// Of longer names of nodes the end is shown, where their numbers are.
const HOST_CHARACTERS: usize = 8;

/// The table of a run as text of at most 100 columns: where the time of each phase went, what each rank did, and the
/// sums. `ranks` are the accounts of all ranks in order.
pub fn render(command: &str, ranks: &[RankAccount]) -> String {
    let totals = Totals::of(ranks);
    let workers = match ranks.len() {
        0 | 1 => "one rank".to_owned(),
        2 => "a dispatcher and one worker".to_owned(),
        n => format!("a dispatcher and {} workers", n - 1),
    };
    let ranks_are =
        if ranks.len() > RANKS_SHOWN { "; least, median, most: of the workers, each column by itself" } else { "" };
    format!(
        "Accounting of {command}: {workers}\n\n{}wall: the slowest rank; compute, waiting, I/O, rest: mean of the workers\n\n\
         {}compute to total: seconds{ranks_are}\n\n{}",
        rendered(&phases(&totals)),
        rendered(&by_rank(ranks)),
        summary(&totals)
    )
}

/// Ends a run with its table on standard error. Nobody listening there is no reason to fail.
pub fn print(command: &str, ranks: &[RankAccount]) {
    let text = render(command, ranks);
    let _ = above_bars(|| std::io::stderr().write_all(text.as_bytes()));
}

fn phases(totals: &Totals) -> Table {
    let figures = ["wall s", "compute s", "waiting s", "I/O s", "rest s", "rank 0 CPU %"];
    let mut table = plain_table([("phase", false)].into_iter().chain(figures.map(|head| (head, true))));
    for phase in &totals.phases {
        let mean = &phase.mean;
        let cpu = phase.dispatcher_cpu_percent.map_or("-".into(), |cpu| format!("{cpu:.1}"));
        let times = [phase.seconds, mean.compute_seconds, mean.waiting_seconds, mean.io_seconds, mean.rest_seconds()];
        table.add_row([single_line(&mean.name)].into_iter().chain(times.map(seconds)).chain([cpu]));
    }
    table
}

/// The figures of a rank, in the order of the columns.
fn figures(rank: &RankAccount) -> [f64; 11] {
    let total: Phase = rank.total();
    [
        total.compute_seconds,
        total.waiting_seconds,
        total.io_seconds,
        total.rest_seconds(),
        total.seconds,
        percent(total.cpu_seconds, total.seconds),
        rank.peak_memory_bytes.map_or(f64::NAN, |bytes| bytes as f64),
        rank.predicted_memory_bytes.map_or(f64::NAN, |bytes| bytes as f64),
        rank.counters.bytes_sent as f64,
        rank.counters.bytes_received as f64,
        rank.counters.documents as f64,
    ]
}

fn cells(figures: [f64; 11]) -> impl Iterator<Item = String> {
    figures.into_iter().enumerate().filter(|(column, _)| *column != PREDICTED).map(move |(column, figure)| match column
    {
        0..=4 => seconds(figure),
        5 => format!("{figure:.1}"),
        _ if figure.is_nan() => "-".into(),
        6 => of(figure, figures[PREDICTED]),
        8..=9 => bytes(figure as u64),
        _ => (figure as u64).to_string(),
    })
}

/// Which of the figures is the predicted peak; it shares a cell with the real one.
const PREDICTED: usize = 7;

/// A peak and what was predicted, if it was, in the unit of the larger.
fn of(peak: f64, predicted: f64) -> String {
    if predicted.is_nan() {
        return bytes(peak as u64);
    }
    let unit = if peak.max(predicted) < 1e3 * 1_048_576.0 { ("MiB", 20) } else { ("GiB", 30) };
    let short = |bytes: f64| {
        let size = bytes / f64::from(1u32 << unit.1);
        format!("{size:.*}", usize::from(size < 9.95))
    };
    // No space: lines are to fit in a hundred columns.
    format!("{}/{}{}", short(peak), short(predicted), unit.0)
}

/// The name of a node without its domain, cut from the left.
fn short_host(host: &str) -> String {
    let name: Vec<char> = single_line(host.split('.').next().unwrap_or_default()).chars().collect();
    name[name.len().saturating_sub(HOST_CHARACTERS)..].iter().collect()
}

fn by_rank(ranks: &[RankAccount]) -> Table {
    let heads = ["compute", "waiting", "I/O", "rest", "total", "CPU %", "peak/plan", "sent", "got", "documents"];
    let mut table = plain_table([("rank", false)].into_iter().chain(heads.map(|head| (head, true))));
    let shown = if ranks.len() > RANKS_SHOWN { 1 } else { ranks.len() };
    for rank in &ranks[..shown] {
        table.add_row([format!("{}@{}", rank.rank, short_host(&rank.host))].into_iter().chain(cells(figures(rank))));
    }
    if shown < ranks.len() {
        let workers: Vec<[f64; 11]> = working(ranks).iter().map(figures).collect();
        for (name, place) in [("least", 0), ("median", (workers.len() - 1) / 2), ("most", workers.len() - 1)] {
            let figure = |column: usize| {
                let mut all: Vec<f64> = workers.iter().map(|figures| figures[column]).collect();
                all.sort_by(f64::total_cmp);
                all[place]
            };
            table.add_row([name.to_owned()].into_iter().chain(cells(std::array::from_fn(figure))));
        }
    }
    table
}

fn summary(totals: &Totals) -> String {
    let counters = &totals.counters;
    let count = |n: u64| HumanCount(n).to_string();
    let rows = [
        ("passes over the corpus", count(counters.passes)),
        ("matrix-vector products", count(counters.products)),
        ("rounds", count(counters.rounds)),
        ("floating-point operations", format!("{:.3e}", (counters.flops + counters.dense_flops) as f64)),
        (
            "bytes moved",
            format!(
                "{} in {} messages and {} collectives",
                BinaryBytes(counters.bytes_sent),
                count(counters.messages),
                count(counters.collectives)
            ),
        ),
        ("documents worked on", count(counters.documents)),
        ("documents/s", count(totals.documents_per_second.round() as u64)),
        ("peak memory of a rank", memory(totals)),
        ("CPU of rank 0", format!("{:.1} % of a core", totals.dispatcher_cpu_percent)),
        ("total", format!("{} s", seconds(totals.seconds))),
    ];
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// The largest peak, and what was predicted.
fn memory(totals: &Totals) -> String {
    match (totals.peak_memory_bytes, totals.predicted_memory_bytes) {
        (Some(peak), Some(predicted)) => format!("{} of {} predicted", bytes(peak), bytes(predicted)),
        (peak, _) => peak.map_or("unknown".into(), bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::totals::fixture::run;

    /// The words of the line that begins with `head`.
    fn line<'a>(text: &'a str, head: &str) -> Vec<&'a str> {
        let line = text.lines().find(|line| line.starts_with(head)).unwrap_or_else(|| panic!("no {head} in\n{text}"));
        line[head.len()..].split_whitespace().collect()
    }

    #[test]
    fn it_says_where_time_and_bytes_went() {
        let text = render("lsi", &run(3));
        assert_eq!(line(&text, "lsi"), ["12.000", "9.500", "1.500", "0.000", "0.500", "5.0"]);
        assert_eq!(line(&text, "0@node00")[..6], ["0.500", "9.000", "2.000", "1.500", "13.000", "7.7"]);
        assert_eq!(line(&text, "2@node00")[4..], ["15.000", "70.0", "102/122MiB", "1.0", "MiB", "2.0", "MiB", "2000"]);
        assert_eq!(line(&text, "peak memory of a rank"), ["102", "MiB", "of", "122", "MiB", "predicted"]);
        assert_eq!(line(&text, "passes over the corpus"), ["9"]);
        assert_eq!(line(&text, "matrix-vector products"), ["800"]);
        assert_eq!(line(&text, "rounds"), ["8"]);
        assert_eq!(line(&text, "bytes moved")[..2], ["3.00", "MiB"]);
        assert_eq!(line(&text, "documents/s"), ["200"]);
        assert_eq!(line(&text, "CPU of rank 0 "), ["7.7", "%", "of", "a", "core"]);
        assert_eq!(text.lines().last(), Some("total                      15.000 s"));
    }

    #[test]
    fn every_line_fits_in_a_hundred_columns() {
        for ranks in [1, 2, 16, 400] {
            let mut accounts = run(ranks);
            for account in &mut accounts {
                account.host = "a-very-long-name-17.of.a.node.example".into();
                account.phases[1].seconds = 123_456.0;
                account.phases[1].waiting_seconds = 100_000.0;
                account.counters.documents = 123_456_789;
                account.counters.bytes_sent = (1023 << 30) + 7;
            }
            let text = render("lsi", &accounts);
            assert!(text.contains("\n0@-name-17  "), "{text}");
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(100), "{widest:?}\n{text}");
        }
    }

    #[test]
    fn many_ranks_become_least_median_and_most() {
        let text = render("lsi", &run(100));
        assert!(text.contains("99 workers") && !text.contains("\n1@"));
        // Workers 1 to 99 compute 9 to 107 seconds.
        assert_eq!(line(&text, "least")[0], "9.000");
        assert_eq!(line(&text, "median")[0], "58.000");
        assert_eq!(line(&text, "most")[0], "107.000");
        assert_eq!(render("lsi", &run(16)).matches("@node").count(), 16);
    }

    #[test]
    fn unknown_peaks_and_no_ranks_are_no_trouble() {
        let mut ranks = run(2);
        ranks.iter_mut().for_each(|rank| rank.peak_memory_bytes = None);
        let text = render("lsi", &ranks);
        assert_eq!(line(&text, "peak memory of a rank"), ["unknown"]);
        assert!(render("info", &[]).contains("total"));
    }

    #[test]
    fn bytes_stay_short() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (102_350, "100 KiB"),
            (u64::MAX, "16384 PiB"),
        ];
        for (size, text) in cases {
            assert_eq!(bytes(size), text);
        }
    }
}
