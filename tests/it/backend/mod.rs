//! Real processes through real slots: what a job may do, and what is left of it.

mod containment;
mod failures;
mod local_slots;
mod outcomes;
mod probe;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags};
use testmesh::backend::{Environment, Launcher, Roots, SLOT_ARGUMENT, Slot, SlotConfig};
use testmesh::job::{Arg, Exit, Job, JobId, Ladder, Limits, Output, Root, RootedPath, Status};

/// Nothing that these tests wait for takes a loaded machine longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A scratch workspace, and slots of the real program that run jobs in it.
struct Place {
    folder: tempfile::TempDir,
    launcher: Launcher,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    fn new() -> Self {
        let launcher = Launcher {
            program: env!("CARGO_BIN_EXE_run-tests").into(),
            arguments: vec![SLOT_ARGUMENT.into()],
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            launcher,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> SlotConfig {
        let mut config = SlotConfig::new(Environment::inherited_utf8());
        config.launcher = self.launcher.clone();
        config
    }

    fn roots(&self) -> Roots {
        let here = self.path().to_path_buf();
        Roots { workspace: here.clone(), build: here.clone(), program: here.clone(), cwd: here }
    }

    fn slot(&self) -> Slot {
        self.runtime.block_on(Slot::start(self.config())).unwrap()
    }

    fn run(&self, job: &Job) -> Output {
        self.run_in(&mut self.slot(), job)
    }

    fn run_in(&self, slot: &mut Slot, job: &Job) -> Output {
        let resolved = self.roots().job(job).unwrap();
        self.runtime.block_on(slot.run(&resolved))
    }

    fn sh(&self, script: &str) -> Output {
        self.run(&sh(script))
    }

    /// A file of the workspace; executable by the mode.
    fn file(&self, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        fs_err::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn fifo(&self, name: &str) -> Fifo {
        let made = std::process::Command::new("mkfifo").arg(self.path().join(name)).status().unwrap();
        assert!(made.success());
        // Open for both, so that neither end ever waits for the other or sees an end.
        let file = fs_err::OpenOptions::new().read(true).write(true).open(self.path().join(name)).unwrap();
        Fifo { file: file.into(), read: String::new() }
    }
}

/// Where jobs report what they did, line by line.
struct Fifo {
    file: std::fs::File,
    read: String,
}

impl Fifo {
    fn line(&mut self) -> String {
        loop {
            if let Some((line, rest)) = self.read.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.read = rest;
                return line;
            }
            let patience = Timespec::try_from(PATIENCE).unwrap();
            let mut waiting = [PollFd::new(&self.file, PollFlags::IN)];
            assert_eq!(poll(&mut waiting, Some(&patience)), Ok(1), "no report came");
            let mut bytes = [0; 512];
            let count = rustix::io::read(&self.file, &mut bytes[..]).unwrap();
            self.read.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
    }

    fn pid(&mut self) -> i32 {
        self.line().trim().parse().unwrap()
    }
}

fn job(argv: &[&str]) -> Job {
    Job {
        id: JobId { run: 1, sequence: 0, attempt: 0 },
        argv: argv.iter().map(|arg| Arg::Text((*arg).to_owned())).collect(),
        env: Vec::new(),
        cwd: RootedPath { root: Root::Workspace, path: String::new() },
        limits: Limits { wall: PATIENCE, output: 1 << 20, ladder: Ladder::Kill },
    }
}

fn sh(script: &str) -> Job {
    job(&["/bin/sh", "-c", script])
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.bytes.clone()).unwrap()
}

#[track_caller]
fn not_started(output: &Output) -> &str {
    match &output.exit {
        Exit::NotStarted(why) => why,
        other => panic!("expected a job that did not start, not {other:?}"),
    }
}

fn code(code: i32) -> Exit {
    Exit::Ended(Status::Code(code))
}

/// Whether a process exists that still does something.
fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

/// A process that will end by itself, watched from before it does.
struct Watched(std::os::fd::OwnedFd);

fn watch(pid: i32) -> Watched {
    Watched(rustix::process::pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap())
}

impl Watched {
    #[track_caller]
    fn ends(&self) {
        let patience = Timespec::try_from(PATIENCE).unwrap();
        let mut waiting = [PollFd::new(&self.0, PollFlags::IN)];
        assert_eq!(poll(&mut waiting, Some(&patience)), Ok(1), "a process is left");
    }
}

fn elapsed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

/// This test binary again, to play a program that owns slots: only the named test runs, with `folder` in its hands.
fn play(test: &str, folder: &Path) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(STAGE, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The variable that tells a played test where its folder is.
const STAGE: &str = "TESTMESH_TEST_STAGE";
