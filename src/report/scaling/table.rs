//! Runs as rows: every parameter, every count, every phase.

use serde_json::Value;

use super::runs::Run;
use crate::report::output::{Cell, Column, Table};
use crate::report::totals::percent;

/// A few columns for reading.
pub fn for_reading(runs: &[Run]) -> Table {
    let mut table = Table::new(vec![
        Column::text("run"),
        Column::text("command"),
        Column::integer("workers"),
        Column::number("seconds", 3),
        Column::number("waiting %", 1),
        Column::number("documents/s", 0),
        Column::number("MiB sent", 1),
        Column::integer("rounds"),
        Column::number("peak MiB", 0),
    ]);
    for run in runs {
        let (totals, mebi) = (&run.totals, (1u64 << 20) as f64);
        let whole = totals.phases.last().map(|whole| &whole.mean);
        table.push(vec![
            run.file.display().to_string().into(),
            run.command.as_str().into(),
            run.workers().into(),
            totals.seconds.into(),
            whole.map(|mean| percent(mean.waiting_seconds, mean.seconds)).into(),
            totals.documents_per_second.into(),
            (totals.counters.bytes_sent as f64 / mebi).into(),
            totals.counters.rounds.into(),
            totals.peak_memory_bytes.map(|bytes| bytes as f64 / mebi).into(),
        ]);
    }
    table
}

/// Everything, numbers exact. Parameters and phases that a run does not have are missing there. Times of phases are
/// means over the workers, `wall` those of the slowest rank.
pub fn for_programs(runs: &[Run]) -> Table {
    let parameters = names(runs, |run| run.parameters.keys().cloned().collect());
    let phases = names(runs, |run| run.totals.phases.iter().map(|phase| phase.mean.name.clone()).collect());
    let mut columns = ["run", "version", "command", "arguments"].map(Column::text).to_vec();
    columns.extend(["ranks", "workers", "hosts"].map(Column::integer));
    columns.extend(parameters.iter().map(|name| Column::text(&format!("parameter {name}"))));
    columns.extend(
        ["seconds", "started_unix_seconds", "documents_per_second", "dispatcher_cpu_percent"]
            .map(|name| Column::number(name, 3)),
    );
    columns.extend(["peak_memory_bytes", "largest_bytes_sent_by_a_rank"].map(Column::integer));
    columns.extend(COUNTERS.map(Column::integer));
    for phase in &phases {
        columns.extend(TIMES.map(|time| Column::number(&format!("{phase} {time}"), 6)));
    }
    let mut table = Table::new(columns);
    for run in runs {
        let totals = &run.totals;
        let mut row: Vec<Cell> = vec![
            run.file.display().to_string().into(),
            run.version.as_str().into(),
            run.command.as_str().into(),
            run.arguments.join(" ").into(),
            run.ranks.len().into(),
            run.workers().into(),
            run.hosts().into(),
        ];
        row.extend(parameters.iter().map(|name| cell(run.parameters.get(name))));
        row.push(totals.seconds.into());
        row.push(run.ranks[0].started_unix_seconds.into());
        row.push(totals.documents_per_second.into());
        row.push(totals.dispatcher_cpu_percent.into());
        row.push(totals.peak_memory_bytes.into());
        row.push(run.ranks.iter().map(|rank| rank.counters.bytes_sent).max().into());
        let counters = totals.counters;
        row.extend(
            [
                counters.passes,
                counters.products,
                counters.rounds,
                counters.documents,
                counters.flops,
                counters.bytes_sent,
                counters.bytes_received,
                counters.messages,
                counters.collectives,
            ]
            .map(Cell::from),
        );
        for name in &phases {
            let phase = totals.phases.iter().find(|phase| phase.mean.name == *name);
            let time = |time: fn(&crate::report::totals::PhaseTotals) -> f64| Cell::from(phase.map(time));
            row.push(time(|phase| phase.seconds));
            row.push(time(|phase| phase.mean.seconds));
            row.push(time(|phase| phase.mean.compute_seconds));
            row.push(time(|phase| phase.mean.waiting_seconds));
            row.push(time(|phase| phase.mean.io_seconds));
            row.push(time(|phase| phase.mean.cpu_seconds));
        }
        table.push(row);
    }
    table
}

const COUNTERS: [&str; 9] =
    ["passes", "products", "rounds", "documents", "flops", "bytes_sent", "bytes_received", "messages", "collectives"];
const TIMES: [&str; 6] = ["wall_seconds", "seconds", "compute_seconds", "waiting_seconds", "io_seconds", "cpu_seconds"];

/// Names that any run has, in the order in which they first appear.
fn names(runs: &[Run], of: impl Fn(&Run) -> Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in runs.iter().flat_map(of) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn cell(value: Option<&Value>) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::Missing,
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(number) => number.into(),
            None => number.as_f64().into(),
        },
        Some(other) => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::output::Format;
    use crate::report::scaling::fixture;
    use serde_json::{Map, json};

    #[test]
    fn every_parameter_and_phase_has_a_column() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name, workers, seconds, parameters| {
            fixture::write(folder.path(), name, workers, seconds, 1000, &parameters)
        };
        let paths =
            [write("a", 1, 16.0, json!({"k": 5})), write("b", 2, 8.0, json!({"k": 5, "decay": 0.5, "block": null}))];
        let runs: Vec<Run> = paths.iter().map(|path| Run::read(path).unwrap()).collect();
        let mut text = Vec::new();
        for_programs(&runs).write(Format::Json, &mut text).unwrap();
        let rows: Vec<Map<String, Value>> = serde_json::from_slice(&text).unwrap();
        assert_eq!((&rows[0]["workers"], &rows[1]["workers"]), (&json!(1), &json!(2)));
        assert_eq!((&rows[0]["parameter decay"], &rows[1]["parameter decay"]), (&Value::Null, &json!(0.5)));
        assert_eq!(rows[1]["parameter k"], 5);
        assert_eq!((&rows[0]["seconds"], &rows[0]["krylov wall_seconds"]), (&json!(16.0), &json!(12.0)));
        assert_eq!(rows[1]["krylov waiting_seconds"], 1.5);
        assert_eq!(rows[1]["total seconds"], 8.0);
        assert_eq!((&rows[1]["bytes_sent"], &rows[1]["largest_bytes_sent_by_a_rank"]), (&json!(6000), &json!(2000)));
        let mut text = Vec::new();
        for_reading(&runs).write(Format::Csv, &mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap().lines().count(), 3);
    }
}
