//! What commands print on standard output: rows of typed columns as an aligned table, as JSON or as CSV.

use crate::error::{At, Result};
use crate::report::layout::{plain_table, render, single_line};
use serde_json::{Map, Value};
use std::io::{self, BufWriter, ErrorKind, Write};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for reading, numbers rounded
    #[default]
    Table,
    /// An array of objects, numbers exact
    Json,
    /// Comma-separated values with a head, numbers exact
    Csv,
}

/// How a column is set in a table; JSON and CSV hold every number exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Fixed { digits: usize },
    Scientific { digits: usize },
}

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    name: String,
    kind: Kind,
}

impl Column {
    /// Text, flush left.
    pub fn text(name: &str) -> Self {
        Column { name: name.into(), kind: Kind::Text }
    }

    /// Counts and numbers of things.
    pub fn integer(name: &str) -> Self {
        Column { name: name.into(), kind: Kind::Integer }
    }

    /// Numbers with this many digits after the point.
    pub fn number(name: &str, digits: usize) -> Self {
        Column { name: name.into(), kind: Kind::Fixed { digits } }
    }

    /// Numbers of any magnitude, such as residuals: `1.3e-7`.
    pub fn scientific(name: &str, digits: usize) -> Self {
        Column { name: name.into(), kind: Kind::Scientific { digits } }
    }
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A count or a number of something.
    Integer(u64),
    /// A real number; one that is not finite counts as missing.
    Number(f64),
    /// A real number of single precision, exact with fewer digits.
    Single(f32),
    /// Nothing to say here: empty, `null` in JSON.
    Missing,
}

impl Cell {
    fn in_table(&self, kind: Kind) -> String {
        let real = |x: f64| match kind {
            Kind::Scientific { digits } => format!("{x:.digits$e}"),
            Kind::Fixed { digits } => format!("{x:.digits$}"),
            Kind::Text | Kind::Integer => x.to_string(),
        };
        match self {
            Cell::Text(text) => single_line(text),
            Cell::Integer(n) => n.to_string(),
            Cell::Number(x) if x.is_finite() => real(*x),
            Cell::Single(x) if x.is_finite() => real(f64::from(*x)),
            Cell::Number(_) | Cell::Single(_) | Cell::Missing => "-".into(),
        }
    }

    fn in_json(&self) -> Value {
        match self {
            Cell::Text(text) => Value::from(text.as_str()),
            Cell::Integer(n) => Value::from(*n),
            Cell::Number(x) => Value::from(*x),
            // By way of its shortest decimal text: f64::from(0.1f32) would show digits that nobody computed.
            Cell::Single(x) => x.to_string().parse::<f64>().map_or(Value::Null, Value::from),
            Cell::Missing => Value::Null,
        }
    }

    fn in_csv(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Integer(n) => n.to_string(),
            Cell::Number(x) if x.is_finite() => x.to_string(),
            Cell::Single(x) if x.is_finite() => x.to_string(),
            Cell::Number(_) | Cell::Single(_) | Cell::Missing => String::new(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(n: u64) -> Self {
        Cell::Integer(n)
    }
}

impl From<u32> for Cell {
    fn from(n: u32) -> Self {
        Cell::Integer(n.into())
    }
}

impl From<usize> for Cell {
    fn from(n: usize) -> Self {
        Cell::Integer(n as u64)
    }
}

impl From<f64> for Cell {
    fn from(x: f64) -> Self {
        Cell::Number(x)
    }
}

impl From<f32> for Cell {
    fn from(x: f32) -> Self {
        Cell::Single(x)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Missing, Into::into)
    }
}

/// Rows under typed columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: Vec<Column>) -> Self {
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When it has not as many cells as there are columns: a mistake of the program, not of its user.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "a row has as many cells as the table has columns");
        self.rows.push(row);
    }

    /// Prints on standard output. A reader that has gone, such as `head`, ends it quietly.
    ///
    /// # Errors
    /// Fails when standard output does not take it, for instance on a full disk.
    pub fn print(&self, format: Format) -> Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        let written = self.write(format, &mut out).and_then(|()| out.flush());
        // What could not be written is not tried again when the buffer goes.
        let _ = out.into_parts();
        heard(written).at("standard output")
    }

    /// Writes to any place.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Table => self.write_aligned(out),
            Format::Json => self.write_json(out),
            Format::Csv => self.write_csv(out),
        }
    }

    fn write_aligned(&self, out: &mut impl Write) -> io::Result<()> {
        let mut table = plain_table(self.columns.iter().map(|c| (c.name.as_str(), c.kind != Kind::Text)));
        for row in &self.rows {
            table.add_row(row.iter().zip(&self.columns).map(|(cell, column)| cell.in_table(column.kind)));
        }
        out.write_all(render(&table).as_bytes())
    }

    /// An object a line: as easy on `grep` as on a parser.
    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"[")?;
        for (number, row) in self.rows.iter().enumerate() {
            out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
            let object: Map<String, Value> =
                row.iter().zip(&self.columns).map(|(cell, column)| (column.name.clone(), cell.in_json())).collect();
            serde_json::to_writer(&mut *out, &object)?;
        }
        out.write_all(b"\n]\n")
    }

    fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(self.columns.iter().map(|column| &column.name))?;
        for row in &self.rows {
            csv.write_record(row.iter().map(Cell::in_csv))?;
        }
        csv.flush()
    }
}

/// Takes a closed pipe for the end of the reader's interest.
pub fn heard(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(gone) if gone.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = vec![
            Column::integer("topic"),
            Column::text("terms"),
            Column::number("weight", 3),
            Column::scientific("residual", 1),
        ];
        let mut table = Table::new(columns);
        table.push(vec![0usize.into(), "naïve, \"term\"\nnext".into(), 0.123_456_789f64.into(), 1.25e-7f64.into()]);
        table.push(vec![u64::MAX.into(), "short".into(), 0.1f32.into(), f64::NAN.into()]);
        table.push(vec![Option::<u32>::None.into(), String::new().into(), f32::INFINITY.into(), Cell::Missing]);
        table
    }

    fn written(format: Format) -> String {
        let mut bytes = Vec::new();
        table().write(format, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_rounded() {
        let expected = [
            "               topic  terms               weight  residual",
            "--------------------- ------------------- ------- ---------",
            "                   0  naïve, \"term\" next   0.123    1.2e-7",
            "18446744073709551615  short                0.100         -",
            "                   -                           -         -",
            "",
        ];
        assert_eq!(written(Format::Table).split('\n').collect::<Vec<_>>(), expected);
    }

    #[test]
    fn json_is_exact_and_in_the_order_of_the_columns() {
        let text = written(Format::Json);
        let rows: Vec<Map<String, Value>> = serde_json::from_str(&text).unwrap();
        assert_eq!(rows[0].keys().collect::<Vec<_>>(), ["topic", "terms", "weight", "residual"]);
        assert_eq!(rows[0]["terms"], "naïve, \"term\"\nnext");
        assert_eq!(rows[0]["weight"], 0.123_456_789);
        assert_eq!((&rows[1]["topic"], &rows[1]["weight"]), (&Value::from(u64::MAX), &Value::from(0.1)));
        assert!(rows[1]["residual"].is_null() && rows[2]["weight"].is_null() && rows[2]["topic"].is_null());
        assert_eq!(text.lines().count(), 5);
        let mut none = Vec::new();
        Table::new(vec![Column::text("a")]).write(Format::Json, &mut none).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&none).unwrap(), Value::Array(vec![]));
    }

    #[test]
    fn csv_reads_back() {
        let text = written(Format::Csv);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), &csv::StringRecord::from(vec!["topic", "terms", "weight", "residual"]));
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
        assert_eq!(&rows[0][1], "naïve, \"term\"\nnext");
        assert_eq!((&rows[0][2], rows[0][3].parse::<f64>().unwrap()), ("0.123456789", 1.25e-7));
        assert_eq!((&rows[1][2], &rows[1][3], &rows[2][0]), ("0.1", "", ""));
    }

    /// Takes `room` bytes and fails then.
    struct Failing(usize, ErrorKind);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken > 0 { Ok(taken) } else { Err(self.1.into()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_the_end_and_a_full_disk_an_error() {
        for format in [Format::Table, Format::Json, Format::Csv] {
            let into = |kind| heard(table().write(format, &mut Failing(40, kind)));
            assert!(into(ErrorKind::BrokenPipe).is_ok(), "{format:?}");
            assert_eq!(into(ErrorKind::StorageFull).unwrap_err().kind(), ErrorKind::StorageFull, "{format:?}");
        }
    }

    #[test]
    #[should_panic(expected = "as many cells")]
    fn a_row_too_short_is_a_mistake() {
        table().push(vec![Cell::Missing]);
    }
}
