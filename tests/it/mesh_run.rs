//! Runs over three real nodes on loopback, while nodes are killed and frozen.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use crate::support::{Program, write};

/// Tests in the tree.
const TESTS: usize = 60;

/// Nothing that these tests wait for takes a loaded machine longer.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A tree whose tests keep a processor busy for a while; one of them fails, as expected.
fn tree(root: &Path) {
    write(
        root,
        "include/v8-version.h",
        "#define V8_MAJOR_VERSION 12\n#define V8_MINOR_VERSION 6\n#define V8_BUILD_NUMBER 0\n",
    );
    write(root, "tools/run-tests.py", "# The runner of the tree.\n");
    write(root, "test/mjsunit/mjsunit.js", "");
    write(root, "test/mjsunit/mjsunit.status", "[[ALWAYS, {'fails': [FAIL]}]]");
    write(root, "test/mjsunit/fails.js", "throw new Error('as expected');\n");
    for number in 1..TESTS {
        let text = "const end = Date.now() + 60; while (Date.now() < end) {}\n";
        write(root, &format!("test/mjsunit/t{number:02}.js"), text);
    }
}

/// A run under way.
struct Run {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Names of finished tests, and how often each was told.
    done: BTreeMap<String, usize>,
    _program: Program,
}

impl Run {
    /// A run on a mesh of its own.
    fn start() -> Self {
        Self::with(&["--lab=3"])
    }

    fn with(options: &[&str]) -> Self {
        let program = Program::new();
        let root = program.folder().join("v8");
        tree(&root);
        let workspace = format!("--workspace={}", root.display());
        let common = [&workspace, "--engine=embedded", "-p", "verbose", "--variants=default", "mjsunit"];
        let mut command = program.command(&[options, &common[..]].concat());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Run { process, lines, done: BTreeMap::new(), _program: program }
    }

    /// Reads on until so many tests are done; false at the end.
    fn until(&mut self, count: usize) -> bool {
        while self.done.len() < count {
            let Some(line) = self.lines.next() else { return false };
            let line = line.unwrap();
            if let Some((name, outcome)) = line.split_once(" default: ") {
                // V8's word for "as expected".
                assert_eq!(outcome, "PASS", "{line}");
                *self.done.entry(name.to_owned()).or_default() += 1;
            }
        }
        true
    }

    /// What the name of the folder of this run's mesh begins with.
    fn lab_name(&self) -> String {
        format!("testmesh-lab-{}-", self.process.id())
    }

    /// The folder of this run's mesh.
    fn lab(&self) -> Option<PathBuf> {
        let name = self.lab_name();
        let mut folders =
            std::fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|entry| entry.path());
        let is =
            |folder: &PathBuf| folder.file_name().is_some_and(|it| it.to_string_lossy().starts_with(&name));
        folders.find(is)
    }

    /// The home of a node of this run's mesh.
    fn home(&self, name: &str) -> PathBuf {
        self.lab().unwrap().join(name)
    }

    /// Processes of a node: the node itself first, then what it started.
    fn node(&self, name: &str) -> Vec<Pid> {
        let (lab, home) = (self.lab_name(), format!("/{name}\0"));
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let mut found: Vec<Pid> = numbers
            .filter(|number| {
                let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
                let text = String::from_utf8_lossy(&line).into_owned();
                text.contains("--meshd") && text.contains(&lab) && text.contains(&home)
            })
            .filter_map(Pid::from_raw)
            .collect();
        found.sort_by_key(|pid| pid.as_raw_nonzero());
        found
    }

    fn signal(&self, name: &str, signal: Signal) {
        let node = self.node(name);
        assert_eq!(node.len(), 1, "one process is node {name}");
        kill_process(node[0], signal).unwrap();
    }

    /// Every test was told once, all as expected.
    fn complete(&mut self) {
        while self.until(usize::MAX) {}
        let code = self.process.wait().unwrap().code();
        assert_eq!(code, Some(0));
        assert_eq!(self.done.len(), TESTS, "{:?}", self.done);
        assert!(self.done.values().all(|count| *count == 1), "{:?}", self.done);
    }

    /// It is complete, and nothing is left.
    fn check(mut self) {
        self.complete();
        for node in ["n1", "n2", "n3"] {
            assert!(self.node(node).is_empty(), "{node} is left");
        }
        assert_eq!(self.lab(), None);
    }
}

fn watch(pid: Pid) -> OwnedFd {
    pidfd_open(pid, PidfdFlags::empty()).unwrap()
}

#[track_caller]
fn ends(process: &OwnedFd) {
    assert_eq!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&PATIENCE)), Ok(1), "a process is left");
}

#[test]
fn a_killed_node_costs_no_test() {
    let mut run = Run::start();
    assert!(run.until(TESTS / 4));
    run.signal("n2", Signal::KILL);
    run.check();
}

#[test]
fn a_frozen_node_costs_no_test() {
    let mut run = Run::start();
    assert!(run.until(TESTS / 4));
    run.signal("n3", Signal::STOP);
    run.check();
}

#[test]
fn a_run_goes_on_alone_when_its_own_node_is_killed() {
    let mut run = Run::start();
    assert!(run.until(TESTS / 4));
    run.signal("n1", Signal::KILL);
    run.check();
}

/// The second waited for the first one's slots until the node forgot it, and ended its tests as not run.
#[test]
fn two_clients_of_a_node_are_both_served() {
    let mut first = Run::start();
    assert!(first.until(1));
    let home = format!("--home={}", first.home("n1").display());
    let mut second = Run::with(&[&home, "--min-remote=0", "--peers=n2"]);
    assert!(second.until(TESTS / 4));
    first.check();
    second.complete();
}

/// What `meshctl` says about a node of this run's mesh.
fn meshctl(home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
    let output = command.arg("--home").arg(home).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// This machine runs nothing itself, so that what runs after the node's return can only run through it.
#[test]
fn a_node_that_comes_back_in_a_run_is_used_again() {
    let mut run = Run::with(&["--lab=3", "--remote-only"]);
    assert!(run.until(TESTS / 4));
    let status: Value = serde_json::from_str(&meshctl(&run.home("n2"), &["status", "--json"])).unwrap();
    let address = status["listen"][0].as_str().unwrap();
    run.signal("n1", Signal::KILL);
    meshctl(&run.home("n1"), &["start"]);
    meshctl(&run.home("n1"), &["dial", address]);
    assert!(run.until(TESTS));
    // The lab does not know this one.
    meshctl(&run.home("n1"), &["stop"]);
    run.complete();
}

/// It comes up, and the run is about to begin.
#[test]
fn a_lab_that_is_interrupted_before_the_run_leaves_nothing() {
    let mut run = Run::start();
    while run.lab().is_none() && run.process.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let lab = run.lab().unwrap();
    kill_process(Pid::from_child(&run.process), Signal::INT).unwrap();
    let code = run.process.wait().unwrap().code();
    assert_eq!(code, Some(3), "{lab:?}");
    assert_eq!(run.lab(), None);
    assert!(["n1", "n2", "n3"].iter().all(|node| run.node(node).is_empty()));
}

#[test]
fn nodes_of_a_lab_end_with_a_client_that_is_killed() {
    let mut run = Run::start();
    assert!(run.until(TESTS / 4));
    let nodes: Vec<OwnedFd> = ["n1", "n2", "n3"].iter().map(|name| watch(run.node(name)[0])).collect();
    run.process.kill().unwrap();
    nodes.iter().for_each(ends);
    run.process.wait().unwrap();
    // Nobody was left to do it.
    let _ = std::fs::remove_dir_all(run.lab().unwrap());
}
