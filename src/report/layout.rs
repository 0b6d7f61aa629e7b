//! The plain look of all tables: columns of spaces and one line of dashes under the head, as readable in a log file and
//! by `awk` as on a terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};

/// An empty table with its head. The columns for which `right` says so are set flush right.
pub fn plain_table<'a>(columns: impl IntoIterator<Item = (&'a str, bool)>) -> Table {
    let (heads, right): (Vec<&str>, Vec<bool>) = columns.into_iter().unzip();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_style(TableComponent::HeaderLines, '-').set_style(TableComponent::MiddleHeaderIntersections, ' ');
    table.set_header(heads);
    for (column, right) in table.column_iter_mut().zip(right) {
        // comfy-table's own separator, a space, makes it two.
        column.set_padding((0, 1));
        if right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table as text whose lines end in a newline and not in spaces.
pub fn render(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Seconds with milliseconds as long as these matter.
pub fn seconds(seconds: f64) -> String {
    if seconds.abs() < 1000.0 { format!("{seconds:.3}") } else { format!("{seconds:.0}") }
}

/// Text in one line: control characters, line ends among them, become spaces.
pub fn single_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Bytes in four digits or fewer, so that columns stay narrow: `12 MiB`.
pub fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1000.0 && unit + 1 < units.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    let digits = if unit == 0 || size >= 99.95 { 0 } else { 1 };
    format!("{size:.digits$} {}", units[unit])
}
