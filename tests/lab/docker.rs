//! The Docker engine, by its command line, and what this machine can do to containers.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Everything of the lab carries it; the value says whose it is.
pub(crate) const LABEL: &str = "testmesh.lab";

/// No command to the engine takes longer, or it hangs.
const PATIENCE: &str = "900";

/// An engine that does not say its version within so many seconds is none.
const ANSWER: &str = "10";

/// Between two looks for what is left.
const PAUSE: Duration = Duration::from_millis(500);

/// So long nothing may be there before nothing is left: what a killed command began may still appear.
const SETTLED: Duration = Duration::from_secs(5);

/// What cannot be removed in this time is told.
const REMOVAL: Duration = Duration::from_secs(60);

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
    /// A mesh in which something failed; the logs of its machines are kept.
    #[error("{error}\nlogs: {}", .logs.display())]
    Broken {
        /// What.
        error: Box<Error>,
        /// The file.
        logs: PathBuf,
    },
    /// Files of the lab.
    #[error(transparent)]
    Files(#[from] std::io::Error),
}

/// What came of a command.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Runs a command to its end; its output.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    run_within(PATIENCE, words)
}

fn run_within(seconds: &str, words: &[&str]) -> Result<String> {
    let command = words.join(" ");
    let mut limited = Command::new("timeout");
    limited.args(["-k", "5", seconds]).args(words).stdin(Stdio::null());
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
    let error = run_within(ANSWER, &["docker", "version", "--format", "{{.Server.Version}}"]).err()?;
    let words = error.to_string();
    Some(words.lines().next().unwrap_or_default().to_owned())
}

/// What the engine has of a label, by kind of thing.
fn labelled(filter: &str) -> Result<Vec<(&'static str, String)>> {
    let filter = format!("label={filter}");
    let kinds: [(&str, &[&str]); 3] = [
        ("container", &["ps", "-aq"]),
        ("network", &["network", "ls", "-q"]),
        ("volume", &["volume", "ls", "-q"]),
    ];
    let mut found = Vec::new();
    for (kind, words) in kinds {
        let listed = docker(&[words, &["--filter", &filter]].concat())?;
        found.extend(listed.lines().map(|id| (kind, id.to_owned())));
    }
    Ok(found)
}

/// Removes everything that carries a lab's label; what could not be removed. A lab that was cut short may have commands
/// on the way, so what it began is waited for.
pub(crate) fn remove_all(whose: &str, cut_short: bool) -> Vec<String> {
    let (begun, mut seen) = (Instant::now(), Instant::now());
    let settled = if cut_short { SETTLED } else { Duration::ZERO };
    loop {
        // An engine that does not answer may have anything.
        let found = labelled(&format!("{LABEL}={whose}"));
        if found.as_ref().is_ok_and(Vec::is_empty) && seen.elapsed() >= settled {
            return Vec::new();
        }
        let mut failed = Vec::new();
        match found {
            Err(error) => failed.push(error.to_string()),
            Ok(found) => {
                if !found.is_empty() {
                    seen = Instant::now();
                }
                for (kind, id) in found {
                    if let Err(error) = remove(kind, &id) {
                        failed.push(format!("{kind} {id}: {error}"));
                    }
                }
            }
        }
        if begun.elapsed() > REMOVAL && !failed.is_empty() {
            return failed;
        }
        thread::sleep(PAUSE);
    }
}

fn remove(kind: &str, id: &str) -> Result<()> {
    match kind {
        "container" => {
            // Most are not frozen, and that is no error; what is frozen cannot be killed.
            let _ = docker(&["unpause", id]);
            docker(&["rm", "-fv", id]).map(drop)
        }
        kind => docker(&[kind, "rm", id]).map(drop),
    }
}

/// Removes what labs of that prefix left behind that were killed together with their guards.
pub(crate) fn sweep(prefix: &str) -> Result<()> {
    let format = format!("{{{{.Label \"{LABEL}\"}}}}");
    let mut labs = BTreeSet::new();
    for words in [&["ps", "-a"][..], &["network", "ls"], &["volume", "ls"]] {
        let listed =
            docker(&[words, &["--filter", &format!("label={LABEL}"), "--format", &format]].concat())?;
        labs.extend(listed.lines().map(str::to_owned));
    }
    let dead = |whose: &String| {
        let process = whose.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
        process.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| !is_lab(number))
    };
    for whose in labs.iter().filter(|whose| dead(whose)) {
        println!("left by a lab that was killed, removed now: {whose}");
        remove_all(whose, false).iter().for_each(|words| println!("not removed: {words}"));
    }
    Ok(())
}

/// Whether a process is a lab that runs.
fn is_lab(process: u32) -> bool {
    let here = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    std::fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name == here)
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
    /// Processes of containers are processes of this machine.
    pub(crate) processes: bool,
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
            processes: engine_is_here(),
            cores: thread::available_parallelism().map_or(1, usize::from),
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
            (self.processes, "no look at processes within 500 ms: the engine is on another machine"),
        ]
        .into_iter()
        .filter_map(|(there, words)| (!there).then_some(words))
        .collect()
    }
}

/// Whether the engine runs on this very kernel.
fn engine_is_here() -> bool {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    docker(&["info", "--format", "{{.KernelVersion}} {{.Name}}"])
        .is_ok_and(|said| said.trim() == format!("{} {}", kernel.trim(), name.trim()))
}

/// How often the kernel's table of neighbours was full, which all network namespaces of a machine share. Packets are lost
/// then, whatever a mesh does.
pub(crate) fn neighbours_full() -> u64 {
    let table = std::fs::read_to_string("/proc/net/stat/arp_cache").unwrap_or_default();
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    let Some(column) = head.split_whitespace().position(|name| name == "table_fulls") else { return 0 };
    let of_line = |line: &str| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok();
    lines.filter_map(of_line).sum()
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
