//! What the kernel says of a process and its children.

use std::fs::{read_dir, read_to_string};
use std::time::Duration;

/// The process and all below it.
fn tree(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut at = 0;
    while let Some(pid) = pids.get(at) {
        for thread in threads(*pid) {
            let children = read_to_string(thread + "/children").unwrap_or_default();
            pids.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    pids
}

fn threads(pid: u32) -> Vec<String> {
    let entries = read_dir(format!("/proc/{pid}/task"));
    let entries = entries.into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path().to_string_lossy().into_owned())
        .collect()
}

/// Time on the processors so far. By thread, as only that is counted in nanoseconds: what ended is
/// no longer in it.
pub fn cpu(pid: u32) -> Duration {
    let threads = tree(pid).into_iter().flat_map(threads);
    let times = threads.filter_map(|thread| {
        let times = read_to_string(thread + "/schedstat").ok()?;
        times.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

/// Memory in use, in KiB.
pub fn rss(pid: u32) -> usize {
    let sizes = tree(pid).into_iter().filter_map(|pid| {
        let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line?.split_whitespace().next()?.parse::<usize>().ok()
    });
    sizes.sum()
}

/// Descriptors that this process may have.
pub fn descriptors() -> usize {
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_whitespace().next());
    soft.map_or(1024, |soft| soft.parse().unwrap_or(usize::MAX))
}

/// What the figures were taken on.
pub fn machine() -> String {
    let line = |file: &str, name: &str| {
        let text = read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(':').nth(1))
            .unwrap_or("?")
            .trim()
            .to_owned()
    };
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{} × {}, {} of memory, Linux {}, load {} at the end; load, provider and proxies on the same machine.",
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        line("/proc/cpuinfo", "model name"),
        line("/proc/meminfo", "MemTotal"),
        kernel.trim(),
        load.split(' ').next().unwrap_or("?")
    )
}
