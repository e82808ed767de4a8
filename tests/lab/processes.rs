//! Processes of containers, as this machine's kernel lists them: looking takes milliseconds, where a command to the engine
//! takes longer than what it would find.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::docker::{Result, docker};
use crate::plan::name;
use crate::verdicts::left_over;
use crate::world::World;

/// So long processes of a run may be there after it.
pub(crate) const AFTERMATH: Duration = Duration::from_millis(500);

/// Looked on for so long, to say how late they went.
const PATIENCE: Duration = Duration::from_secs(15);

/// Most of them that are told.
const TOLD: usize = 3;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Containers whose processes are looked at: what the engine calls each, and whose they are.
#[derive(Debug)]
pub(crate) struct Watched(BTreeMap<String, usize>);

impl Watched {
    /// These machines of a world.
    pub(crate) fn of(world: &World, machines: &[usize]) -> Result<Self> {
        let id = |machine: &usize| -> Result<(String, usize)> {
            let id = docker(&["inspect", "--format", "{{.Id}}", &world.container(*machine)])?;
            Ok((id.trim().to_owned(), *machine))
        };
        machines.iter().map(id).collect::<Result<_>>().map(Watched)
    }

    /// Waits until no process of a run is left; what was wrong with that.
    pub(crate) fn all_gone(&self, since: Instant) -> Vec<String> {
        let mut late = Vec::new();
        loop {
            let left = self.left();
            let passed = since.elapsed();
            if left.is_empty() {
                late.truncate(TOLD);
                return late
                    .into_iter()
                    .map(|line| format!("gone only after {:.2} s: {line}", passed.as_secs_f64()))
                    .collect();
            }
            if passed > PATIENCE {
                return left.into_iter().map(|line| format!("not gone after {PATIENCE:?}: {line}")).collect();
            }
            if passed > AFTERMATH && late.is_empty() {
                late = left;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Processes of a run that are there now.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut lines = BTreeMap::<usize, String>::new();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let folder = process.path();
            // Most of what cannot be read has just ended.
            let text = |file: &str| {
                fs::read(folder.join(file)).map(|text| String::from_utf8_lossy(&text).into_owned())
            };
            let (Ok(groups), Ok(words), Ok(stat)) = (text("cgroup"), text("cmdline"), text("stat")) else {
                continue;
            };
            let Some((_, machine)) = self.0.iter().find(|(id, _)| groups.contains(*id)) else { continue };
            let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let state = state.split(' ').next().unwrap_or_default();
            let line = format!("{state} {} {}\n", process.file_name().display(), words.replace('\0', " "));
            lines.entry(*machine).or_default().push_str(&line);
        }
        let of = |(machine, text): (usize, String)| {
            left_over(&text)
                .into_iter()
                .map(move |line| format!("{line} at {}", name(machine)))
                .collect::<Vec<_>>()
        };
        lines.into_iter().flat_map(of).collect()
    }
}
