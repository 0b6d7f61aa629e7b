//! What a rank can find out about its host without measuring anything: processor, cores it may use, memory, limits.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::linalg::Simd;

/// What one rank sees of its host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostView {
    /// Model of the processor.
    pub processor: String,
    /// Kernels in use, as [`Simd`] names them.
    pub kernels: String,
    /// The best kernels the processor could run.
    pub best_kernels: String,
    /// CPUs this rank may run on, by number.
    pub cpus: Vec<usize>,
    /// Cores' worth of time that the control group allows; none without a limit.
    pub cpu_limit: Option<f64>,
    /// Memory of the host, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that programs could get now, in bytes.
    pub available_bytes: Option<u64>,
    /// Memory the control group allows all its processes together, in bytes; none without a limit.
    pub memory_limit_bytes: Option<u64>,
    /// Whether TCP connections begin anew slowly after every pause, as far as the kernel tells.
    pub slow_start_after_idle: Option<bool>,
    /// Most bytes that a TCP connection of this host may have under way, as far as the kernel tells.
    pub tcp_window_bytes: Option<u64>,
}

impl HostView {
    /// Looks around.
    pub fn look() -> HostView {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let (status, memory) = (read("/proc/self/status"), read("/proc/meminfo"));
        let limits = Limits::read(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"));
        let cpus = field(&status, "Cpus_allowed_list:").map(cpu_list).unwrap_or_default();
        let fallback = || (0..std::thread::available_parallelism().map_or(1, usize::from)).collect();
        HostView {
            processor: processor(&read("/proc/cpuinfo")),
            kernels: Simd::detect().name().to_owned(),
            best_kernels: Simd::available().last().map_or("portable", |best| best.name()).to_owned(),
            cpus: if cpus.is_empty() { fallback() } else { cpus },
            cpu_limit: limits.cpus,
            memory_bytes: kibibytes(&memory, "MemTotal:"),
            available_bytes: kibibytes(&memory, "MemAvailable:"),
            memory_limit_bytes: limits.memory_bytes,
            slow_start_after_idle: match read("/proc/sys/net/ipv4/tcp_slow_start_after_idle").trim() {
                "0" => Some(false),
                "" => None,
                _ => Some(true),
            },
            tcp_window_bytes: {
                let most = |buffer: &str| last_number(&read(&format!("/proc/sys/net/ipv4/tcp_{buffer}")));
                most("rmem").zip(most("wmem")).map(|(receive, send)| receive.min(send))
            },
        }
    }
}

/// The rest of the line that begins with `name`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The last of some numbers: of three sizes of a buffer the largest it may grow to.
fn last_number(text: &str) -> Option<u64> {
    text.split_whitespace().next_back()?.parse().ok()
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn processor(cpuinfo: &str) -> String {
    let model = field(cpuinfo, "model name").and_then(|rest| rest.strip_prefix(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

/// Reads a list as the kernel writes it: `0-3,8`.
fn cpu_list(text: &str) -> Vec<usize> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            cpus.extend(first..=last);
        }
    }
    cpus
}

/// Writes what [`cpu_list`] reads.
pub fn list_of_cpus(cpus: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => parts.push((cpu, cpu)),
        }
    }
    let text = |&(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    parts.iter().map(text).collect::<Vec<_>>().join(",")
}

/// What the control groups of a process leave it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Limits {
    cpus: Option<f64>,
    memory_bytes: Option<u64>,
}

impl Limits {
    /// The tightest limits of the groups in `table` (/proc/self/cgroup) and all groups around them. `root` is where they are
    /// mounted, in version 2 of control groups one tree for everything, in version 1 a tree for each resource.
    fn read(root: &Path, table: &str) -> Limits {
        let mut limits = Limits::default();
        let number = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<f64>().ok();
        for line in table.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(resources), Some(group)) = (parts.next(), parts.next()) else { continue };
            // In a container the path may be that of the host, which is not to be seen from here: the root still is.
            for group in Path::new(group.trim_start_matches('/')).ancestors() {
                if resources.is_empty() {
                    let folder = root.join(group);
                    limits.cpus(std::fs::read_to_string(folder.join("cpu.max")).ok().and_then(|text| {
                        let (quota, period) = text.trim().split_once(' ')?;
                        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
                    }));
                    limits.memory(number(folder.join("memory.max")));
                } else if resources.split(',').any(|resource| resource == "memory") {
                    limits.memory(number(root.join("memory").join(group).join("memory.limit_in_bytes")));
                } else if resources.split(',').any(|resource| resource == "cpu") {
                    let folder = root.join("cpu").join(group);
                    let quota = number(folder.join("cpu.cfs_quota_us")).filter(|&quota| quota > 0.0);
                    let period = number(folder.join("cpu.cfs_period_us"));
                    limits.cpus(quota.zip(period).map(|(quota, period)| quota / period));
                }
            }
        }
        limits
    }

    fn cpus(&mut self, found: Option<f64>) {
        if let Some(found) = found {
            self.cpus = Some(self.cpus.unwrap_or(f64::INFINITY).min(found));
        }
    }

    fn memory(&mut self, found: Option<f64>) {
        // Version 1 writes "no limit" as a number near 2^63.
        if let Some(found) = found.filter(|&bytes| bytes < (1u64 << 60) as f64) {
            self.memory_bytes = Some(self.memory_bytes.unwrap_or(u64::MAX).min(found as u64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read_and_written() {
        for (text, cpus) in [("0", vec![0]), ("0-3,8", vec![0, 1, 2, 3, 8]), ("5,7,9-10", vec![5, 7, 9, 10])] {
            assert_eq!(cpu_list(text), cpus);
            assert_eq!(list_of_cpus(&cpus), text);
        }
        assert!(cpu_list("nonsense").is_empty());
    }

    #[test]
    fn the_tightest_limit_around_a_process_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("job/step/cpu.max", "max 100000\n");
        write("job/cpu.max", "250000 100000\n");
        write("job/step/memory.max", "4294967296\n");
        write("job/memory.max", "max\n");
        let limits = Limits::read(root, "0::/job/step\n");
        assert_eq!(limits, Limits { cpus: Some(2.5), memory_bytes: Some(4 << 30) });
        assert_eq!(Limits::read(root, "0::/elsewhere\n"), Limits::default());
        // Version 1.
        write("cpu/job/cpu.cfs_quota_us", "150000\n");
        write("cpu/job/cpu.cfs_period_us", "100000\n");
        write("memory/job/memory.limit_in_bytes", "1073741824\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limits = Limits::read(root, "4:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/x\n");
        assert_eq!(limits, Limits { cpus: Some(1.5), memory_bytes: Some(1 << 30) });
    }

    #[test]
    fn this_host_is_seen() {
        let view = HostView::look();
        assert!(!view.processor.is_empty() && !view.cpus.is_empty(), "{view:?}");
        assert!(view.memory_bytes >= view.available_bytes, "{view:?}");
        assert_eq!(processor("model name\t: A CPU @ 2 GHz\n"), "A CPU @ 2 GHz");
    }
}
