//! The report as tables for reading, and as rows for programs.

use crate::error::Result;
use crate::report::output::{Cell, Column, Format, Table};

use crate::comm::Survival;

use super::advice::{Advice, advice};
use super::folder::Place;
use super::host::list_of_cpus;
use super::{Figure, Locking, Report, Unit, speed};

/// Hosts of which each figure is shown in tables; of more, the slowest, the median and the fastest are.
const MOST_HOSTS: usize = 4;

/// One thing that was found out.
struct Entry {
    section: &'static str,
    /// A host or a rank; empty where it holds for the run.
    place: String,
    item: String,
    value: Cell,
    unit: &'static str,
}

impl Report {
    /// Prints everything on standard output, and hands back what makes runs impossible.
    pub fn print(&self, format: Format) -> Result<Option<String>> {
        let advice = advice(self);
        let entries = self.entries();
        match format {
            Format::Table => self.for_reading(&entries, &advice)?,
            Format::Json | Format::Csv => for_programs(entries, &advice).print(format)?,
        }
        Ok(advice.into_iter().find(|advice| advice.fatal).map(|advice| advice.text))
    }

    fn for_reading(&self, entries: &[Entry], advice: &[Advice]) -> Result<()> {
        for section in ["MPI", "linear algebra", "files"] {
            let mut table = Table::new(vec![Column::text(section), Column::text("")]);
            for entry in entries.iter().filter(|entry| entry.section == section) {
                table.push(vec![entry.item.as_str().into(), shown(entry).into()]);
            }
            table.print(Format::Table)?;
            println!();
        }
        let mut table = Table::new(vec![
            Column::text("rank"),
            Column::text("works"),
            Column::text("CPUs"),
            Column::integer("threads"),
            Column::text("from"),
            Column::number("memory GiB", 1),
            Column::text("kernels"),
        ]);
        for rank in &self.ranks {
            table.push(vec![
                format!("{}@{}", rank.rank, rank.host).into(),
                if rank.works { "yes" } else { "dispatches" }.into(),
                list_of_cpus(&rank.view.cpus).into(),
                rank.threads.into(),
                rank.threads_from.as_str().into(),
                gibibytes(rank.memory_bytes).into(),
                rank.view.kernels.as_str().into(),
            ]);
        }
        table.print(Format::Table)?;
        println!();
        for section in ["hosts", "speed", "network"] {
            let rows = if section == "hosts" {
                entries.iter().filter(|entry| entry.section == section).collect()
            } else {
                fewer(entries.iter().filter(|entry| entry.section == section).collect())
            };
            if rows.is_empty() {
                continue;
            }
            let mut table = Table::new(vec![Column::text(section), Column::text("where"), Column::text("")]);
            for entry in rows {
                table.push(vec![entry.item.as_str().into(), entry.place.as_str().into(), shown(entry).into()]);
            }
            table.print(Format::Table)?;
            println!();
        }
        if advice.is_empty() {
            println!("All is well: nothing to advise{}.", if self.quick { ", but nothing was measured" } else { "" });
        }
        for Advice { text, .. } in advice {
            println!("* {text}");
        }
        Ok(())
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut say = |section, item: &str, value: Cell| {
            entries.push(Entry { section, place: String::new(), item: item.to_owned(), value, unit: "" });
        };
        say("MPI", "library", self.mpi_library.clone().unwrap_or_else(|| "none: a serial build".to_owned()).into());
        say("MPI", "launcher", self.launcher.unwrap_or("none: one rank, MPI is not used").into());
        say("MPI", "ranks", self.ranks.len().into());
        say("MPI", "thread level", self.thread_level.clone().into());
        say("MPI", "survives the death of a rank", self.survives().into());
        say("MPI", "a worker that dies", self.after_a_death().into());
        say("linear algebra", "dense products", self.blas.name.as_str().into());
        say("linear algebra", "reproducibility", self.blas.reproducibility.as_str().into());
        say("linear algebra", "threads of a dense product", 1usize.into());
        say("linear algebra", "dense eigenproblems", "faer".into());
        say("files", "HDF5", self.hdf5.as_str().into());
        let locking = match self.locking {
            Locking::On => "on",
            Locking::WherePossible => "where possible",
            Locking::Off => "off",
        };
        say("files", "file locking", locking.into());
        let folder = &self.folder;
        say("files", "folder", folder.path.display().to_string().into());
        if folder.trouble.is_none() {
            let place = match folder.place() {
                Place::Local => "",
                Place::Network => ", on a server",
                Place::Memory => ", in memory",
            };
            say("files", "file system", folder.file_system.as_ref().map(|name| format!("{name}{place}")).into());
            say("files", "locks work there", folder.locks.map(|locks| if locks { "yes" } else { "no" }).into());
            let seen = folder.seen_by.iter().filter(|&&sees| sees).count();
            say("files", "ranks that see the same files", format!("{seen} of {}", self.ranks.len()).into());
            entries.push(entry("files", "", "free space", folder.free_bytes.map(|free| free as f64).into(), "B"));
            if let Some(rate) = folder.write_rate {
                entries.push(entry("files", "", "writing, to the disk", rate.into(), "B/s"));
            }
        }
        for rank in &self.ranks {
            let place = format!("{}@{}", rank.rank, rank.host);
            let mut say = |item, value: Cell, unit| entries.push(entry("ranks", &place, item, value, unit));
            say("works", if rank.works { "yes" } else { "dispatches" }.into(), "");
            say("CPUs", list_of_cpus(&rank.view.cpus).into(), "");
            say("threads", rank.threads.into(), "");
            say("threads from", rank.threads_from.as_str().into(), "");
            say("memory", (rank.memory_bytes as f64).into(), "B");
            say("kernels", rank.view.kernels.as_str().into(), "");
        }
        for host in self.hosts() {
            self.host(host, &mut entries);
        }
        for (rank, figures) in &self.messages {
            let place = format!("0 <-> {rank}@{}", self.ranks[*rank].host);
            entries.extend(figures.iter().map(|figure| measured("network", &place, figure, "")));
        }
        if let Some(seconds) = self.ranks.iter().filter_map(|rank| rank.sum_seconds).max_by(f64::total_cmp) {
            entries.push(entry("network", "workers", "exact sum, 8 MiB", seconds.into(), "s"));
        }
        entries
    }

    /// What is on a host, and how fast it is.
    fn host(&self, host: &str, entries: &mut Vec<Entry>) {
        let ranks: Vec<_> = self.ranks.iter().filter(|rank| rank.host == host).collect();
        let Some(first) = ranks.first() else { return };
        let numbers: Vec<String> = ranks.iter().map(|rank| rank.rank.to_string()).collect();
        let view = &first.view;
        let mut say = |item: &str, value: Cell, unit| entries.push(entry("hosts", host, item, value, unit));
        say("ranks", numbers.join(", ").into(), "");
        say("processor", view.processor.as_str().into(), "");
        say("instruction set", view.best_kernels.as_str().into(), "");
        say("memory", view.memory_bytes.map(|bytes| bytes as f64).into(), "B");
        say("memory free", view.available_bytes.map(|bytes| bytes as f64).into(), "B");
        if let Some(limit) = view.memory_limit_bytes {
            say("memory limit of the control group", (limit as f64).into(), "B");
        }
        if let Some(limit) = view.cpu_limit {
            say("CPU limit of the control group", limit.into(), "cores");
        }
        for rank in &ranks {
            entries.extend(rank.one_thread.iter().map(|figure| measured("speed", host, figure, ", one thread")));
        }
        let threads: usize = ranks.iter().filter(|rank| rank.works).map(|rank| rank.threads).sum();
        for name in [speed::SPARSE[0].0, speed::SPARSE[1].0, speed::TRIAD] {
            let of_workers = ranks.iter().flat_map(|rank| rank.all_threads.iter().filter(|figure| figure.name == name));
            let together = of_workers.fold(None::<Figure>, |sum, figure| match sum {
                Some(sum) => Some(Figure { value: sum.value + figure.value, ..sum }),
                None => Some(figure.clone()),
            });
            if let Some(together) = together {
                entries.push(measured("speed", host, &together, &format!(", all threads ({threads})")));
            }
        }
    }

    fn after_a_death(&self) -> &'static str {
        match self.survival {
            Survival::With { given: true, .. } => "is done without: the job goes on, to the same bytes",
            _ => "ends the job",
        }
    }

    fn survives(&self) -> String {
        if self.mpi_library.is_none() {
            return "there is no other rank".to_owned();
        }
        match self.survival {
            Survival::Never => "no: its launcher ends the job".to_owned(),
            Survival::Unknown => "unknown for this MPI".to_owned(),
            Survival::With { option, given: false } => format!("if started with {option}; this run was not"),
            Survival::With { option, given: true } => format!("yes: this run was started with {option}"),
        }
    }
}

fn entry(section: &'static str, place: &str, item: &str, value: Cell, unit: &'static str) -> Entry {
    Entry { section, place: place.to_owned(), item: item.to_owned(), value, unit }
}

fn measured(section: &'static str, place: &str, figure: &Figure, how: &str) -> Entry {
    let unit = match figure.unit {
        Unit::Flops => "flop/s",
        Unit::Bytes => "B/s",
        Unit::Seconds => "s",
    };
    entry(section, place, &format!("{}{how}", figure.name), figure.value.into(), unit)
}

fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / (1u64 << 30) as f64
}

/// A value with its unit, in the size people use.
fn shown(entry: &Entry) -> String {
    let number = match &entry.value {
        Cell::Number(number) => *number,
        Cell::Text(text) => return text.clone(),
        Cell::Integer(number) => return number.to_string(),
        Cell::Single(_) | Cell::Missing => return "-".to_owned(),
    };
    match entry.unit {
        "flop/s" => format!("{:.1} GF/s", number * 1e-9),
        "B/s" if number < 1e9 => format!("{:.1} MB/s", number * 1e-6),
        "B/s" => format!("{:.1} GB/s", number * 1e-9),
        "B" => format!("{:.1} GiB", number / (1u64 << 30) as f64),
        "s" if number < 1e-3 => format!("{:.1} us", number * 1e6),
        "s" => format!("{:.1} ms", number * 1e3),
        unit => format!("{number:.1} {unit}"),
    }
}

/// The rows themselves, or of each item that many places have the least, the median and the most.
fn fewer(rows: Vec<&Entry>) -> Vec<&Entry> {
    let mut items: Vec<&str> = Vec::new();
    for row in &rows {
        if !items.contains(&row.item.as_str()) {
            items.push(&row.item);
        }
    }
    let mut kept = Vec::new();
    for item in items {
        let mut of_item: Vec<&Entry> = rows.iter().copied().filter(|row| row.item == item).collect();
        if of_item.len() > MOST_HOSTS {
            let number = |row: &Entry| if let Cell::Number(number) = row.value { number } else { f64::NAN };
            of_item.sort_by(|a, b| number(a).total_cmp(&number(b)));
            let last = of_item.len() - 1;
            of_item = vec![of_item[0], of_item[last / 2], of_item[last]];
        }
        kept.extend(of_item);
    }
    kept
}

/// One row a thing, the advice last.
fn for_programs(entries: Vec<Entry>, advice: &[Advice]) -> Table {
    let columns = ["section", "where", "item", "value", "unit"];
    let mut table = Table::new(columns.map(Column::text).into());
    let mut push = |entry: Entry| {
        let some = |text: &str| if text.is_empty() { Cell::Missing } else { text.into() };
        table.push(vec![entry.section.into(), some(&entry.place), entry.item.into(), entry.value, some(entry.unit)]);
    };
    entries.into_iter().for_each(&mut push);
    for Advice { fatal, text } in advice {
        push(entry("advice", "", if *fatal { "impossible" } else { "advice" }, text.as_str().into(), ""));
    }
    table
}
