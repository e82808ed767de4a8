//! The Docker engine, by its command line, and what this machine can do to containers.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Everything of the lab carries it; the value says whose it is.
pub(crate) const LABEL: &str = "testmesh.lab";

/// No command to the engine takes longer, or it hangs.
const PATIENCE: &str = "900";

/// Looks until nothing of a lab is left; what a killed command began may still appear.
const LOOKS: usize = 20;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A command of ours.
    #[error("cannot start {0}")]
    Start(String, #[source] std::io::Error),
    /// What it said.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The words.
        command: String,
        /// Its last lines.
        said: String,
    },
    /// Something did not come true.
    #[error("not within {limit:?}: {what}")]
    Late {
        /// What.
        what: String,
        /// The time it had.
        limit: Duration,
    },
    /// An answer that makes no sense.
    #[error("{0}")]
    Confused(String),
    /// Files of the lab.
    #[error(transparent)]
    Files(#[from] std::io::Error),
}

/// What came of a command.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Runs a command to its end; its output.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    let command = words.join(" ");
    let mut limited = Command::new("timeout");
    limited.args(["-k", "5", PATIENCE]).args(words).stdin(Stdio::null());
    let output = limited.output().map_err(|error| Error::Start(command.clone(), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let lines: Vec<&str> = said.lines().rev().take(5).collect();
    let said = lines.into_iter().rev().collect::<Vec<_>>().join(" / ");
    Err(Error::Failed { command, said: if said.is_empty() { output.status.to_string() } else { said } })
}

/// A command to the engine.
pub(crate) fn docker(words: &[&str]) -> Result<String> {
    run(&[&["docker"], words].concat())
}

/// A command in a container whose output is read while it runs.
pub(crate) fn exec_piped(container: &str, script: &str) -> Result<Child> {
    let mut command = Command::new("docker");
    command.args(["exec", container, "sh", "-c", script]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| Error::Start("docker exec".to_owned(), error))
}

/// Everything a process says on standard error, at its end.
pub(crate) fn complaints_of(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut err) = child.stderr.take() {
        // A process that is gone says nothing.
        let _ = err.read_to_string(&mut text);
    }
    text
}

/// Runs a script in a container.
pub(crate) fn exec(container: &str, script: &str) -> Result<String> {
    docker(&["exec", container, "sh", "-c", script])
}

/// Why no engine can be used, in one line; none: it can.
pub(crate) fn missing() -> Option<String> {
    let error = docker(&["version", "--format", "{{.Server.Version}}"]).err()?;
    let words = error.to_string();
    Some(words.lines().next().unwrap_or_default().to_owned())
}

/// Removes everything that carries a lab's label. What is already gone is no error.
pub(crate) fn remove_all(whose: &str) {
    let filter = format!("label={LABEL}={whose}");
    let list = |words: &[&str]| -> Vec<String> {
        let found = docker(&[words, &["--filter", &filter]].concat()).unwrap_or_default();
        found.lines().map(str::to_owned).collect()
    };
    let mut clean = 0;
    for _ in 0..LOOKS {
        let containers = list(&["ps", "-aq"]);
        let paused = list(&["ps", "-aq", "--filter", "status=paused"]);
        paused.iter().for_each(|id| drop(docker(&["unpause", id])));
        if !containers.is_empty() {
            let ids: Vec<&str> = containers.iter().map(String::as_str).collect();
            drop(docker(&[&["rm", "-fv"], &ids[..]].concat()));
        }
        let networks = list(&["network", "ls", "-q"]);
        networks.iter().for_each(|id| drop(docker(&["network", "rm", id])));
        let volumes = list(&["volume", "ls", "-q"]);
        volumes.iter().for_each(|id| drop(docker(&["volume", "rm", "-f", id])));
        clean =
            if containers.is_empty() && networks.is_empty() && volumes.is_empty() { clean + 1 } else { 0 };
        if clean == 2 {
            return;
        }
    }
}

/// What this machine can do to a container beside what the engine offers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Means {
    /// Filters in a container's network namespace: loss and partitions.
    pub(crate) filters: bool,
    /// Delay as well as a narrow link.
    pub(crate) netem: bool,
    /// A narrow link.
    pub(crate) shaping: bool,
    /// The library that lies about the time.
    pub(crate) faketime: Option<PathBuf>,
    /// Processors.
    pub(crate) cores: usize,
}

impl Means {
    /// Tries everything out, in a network namespace that goes away.
    pub(crate) fn find() -> Self {
        let tried = |script: &str| run(&["unshare", "--net", "sh", "-ec", script]).is_ok();
        let up = "ip link set lo up";
        let candidates = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let of_folder = |folder: PathBuf| folder.join("faketime/libfaketime.so.1");
        let faketime = candidates.map(|entry| of_folder(entry.path())).find(|file| file.is_file());
        Means {
            filters: tried("iptables -A INPUT -m statistic --mode random --probability 0.1 -j DROP")
                && run(&["nsenter", "--version"]).is_ok(),
            netem: tried(&format!("{up}; tc qdisc add dev lo root netem delay 1ms")),
            shaping: tried(&format!("{up}; tc qdisc add dev lo root tbf rate 1mbit burst 10kb latency 50ms")),
            faketime,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// What is missing, a line each.
    pub(crate) fn gaps(&self) -> Vec<&'static str> {
        [
            (self.filters, "no packet loss (needs root, nsenter and iptables); partitions are disconnects"),
            (self.netem, "no delay: the kernel has no netem; links are made narrow instead"),
            (self.shaping, "no narrow links: neither netem nor tbf"),
            (
                self.faketime.is_some(),
                "no clock skew: it needs libfaketime on this machine (containers share its clock)",
            ),
        ]
        .into_iter()
        .filter_map(|(there, words)| (!there).then_some(words))
        .collect()
    }
}

/// Runs a command of this machine in the network namespace of a container.
pub(crate) fn in_network(container: &str, words: &str) -> Result<String> {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", container])?;
    run(&["nsenter", "--net", &format!("--target={}", pid.trim()), "sh", "-ec", words])
}

/// Whether a file can be shown to containers under its own name.
pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
