//! CPU of processes and their trees, and medians.

use std::collections::BTreeMap;

use crate::Result;

/// Kernel ticks a second in `/proc/PID/stat`, on every Linux.
const TICKS: f64 = 100.0;

/// A process as `/proc/PID/stat` has it.
#[derive(Clone, Copy)]
struct Process {
    parent: i32,
    /// Seconds of its own and of all it waited for.
    cpu: f64,
}

fn process(pid: &str) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let parent = fields.get(1)?.parse().ok()?;
    Some(Process { parent, cpu: (11..=14).map(ticks).sum::<f64>() / TICKS })
}

fn processes() -> BTreeMap<i32, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Some((name.parse().ok()?, process(&name)?))).collect()
}

/// The process and everything below it.
pub(crate) fn tree(root: u32) -> Vec<i32> {
    let Ok(root) = i32::try_from(root) else { return Vec::new() };
    let all = processes();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, process)| process.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// Seconds of CPU that a process, all below it and all these waited for have used.
pub(crate) fn tree_cpu(root: u32) -> f64 {
    let pids = tree(root);
    pids.iter().filter_map(|pid| process(&pid.to_string())).map(|process| process.cpu).sum()
}

/// Seconds of CPU used by all children of this process that ended and were waited for.
pub(crate) fn children_cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit_once(')').ok_or("unknown format of /proc/self/stat")?.1;
    let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(13) + ticks(14)) / TICKS)
}

/// Seconds of CPU that a process, without those it started, has used.
pub(crate) fn own_cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().collect()).unwrap_or_default();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
