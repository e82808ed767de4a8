//! One job from start to end: starts it, captures its streams, watches the clock and its owner, and leaves nothing
//! behind. What happens when is decided by [`Course`]; this waits and performs.

use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::capture::{Scratch, Stream, scratch};
use super::course::{Cause, Course, Step};
use super::environment::Prepared;
use super::loader;
#[cfg(target_os = "linux")]
use super::orphans::sweep;
#[cfg(not(target_os = "linux"))]
use super::portable::{Child, Spawner, sweep};
use super::program::Command;
use super::request::Resolved;
use super::slot::{Heard, Link};
#[cfg(target_os = "linux")]
use super::spawn::{Child, Spawner};
use crate::job::{Captured, Exit, Output, Status};

/// How often a process is asked whether it has ended, where the system cannot say so by itself.
const ASK: Duration = Duration::from_millis(5);

/// What a process that was reaped tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) status: Status,
    /// Bytes; 0 where unknown.
    pub(super) max_rss: u64,
}

/// Runs jobs, one after another; made once, by the only thread of a slot process.
pub(super) struct Runner {
    spawner: Spawner,
    scratch: Scratch,
}

impl Runner {
    pub(super) fn prepare() -> io::Result<Self> {
        Ok(Self { spawner: Spawner::prepare()?, scratch: scratch() })
    }

    /// Runs a job to its end, whatever that is. Ends it early when its owner says so or is gone.
    pub(super) fn run(&mut self, job: &Resolved, environment: &Prepared, link: &mut Link) -> Output {
        let begun = Instant::now();
        let output = match Command::new(job, environment) {
            Ok(command) => self.execute(job, &command, link, begun),
            Err(error) => nothing(Exit::NotStarted(error.to_string())),
        };
        Output { duration: begun.elapsed(), ..output }
    }

    fn execute(&mut self, job: &Resolved, command: &Command, link: &mut Link, begun: Instant) -> Output {
        let started = match self.spawner.start(command) {
            Ok(started) => started,
            Err(error) => {
                let program = OsStr::from_bytes(command.program.as_bytes());
                let reason = error.explain(program, OsStr::from_bytes(&job.cwd));
                return nothing(Exit::NotStarted(reason));
            }
        };
        let mut pump = Pump {
            child: started.child,
            stdout: Stream::new(started.stdout, job.limits.output),
            stderr: Stream::new(started.stderr, job.limits.output),
            course: Course::new(&job.limits, begun),
            ended: None,
        };
        pump.run(link, &mut self.scratch);
        sweep();
        pump.drain(&mut self.scratch);
        finish(command.program.as_bytes(), pump)
    }
}

/// What a job amounts to that never became a process.
pub(super) fn nothing(exit: Exit) -> Output {
    let empty = Captured::default;
    Output { exit, stdout: empty(), stderr: empty(), duration: Duration::ZERO, max_rss: 0 }
}

fn finish(program: &[u8], pump: Pump) -> Output {
    let (ended, cause) = (pump.ended, pump.course.cause());
    let mut output = Output {
        exit: exit(ended, cause),
        stdout: pump.stdout.finish(),
        stderr: pump.stderr.finish(),
        duration: Duration::ZERO,
        max_rss: ended.map_or(0, |ended| ended.max_rss),
    };
    if let Exit::Ended(status) = output.exit
        && let Some(complaint) = loader::complaint(program, status, &output)
    {
        output.exit = Exit::NotStarted(complaint);
    }
    output
}

fn exit(ended: Option<Ended>, cause: Option<Cause>) -> Exit {
    match (ended, cause) {
        (Some(Ended { status, .. }), None) => Exit::Ended(status),
        (Some(Ended { status, .. }), Some(Cause::TimedOut)) => Exit::TimedOut(status),
        (_, Some(Cause::Cancelled)) => Exit::Cancelled,
        (None, _) => Exit::Lost("process did not end when it was killed".to_owned()),
    }
}

/// What is ready after a wait.
#[derive(Debug, Default, Clone, Copy)]
struct Ready {
    stdout: bool,
    stderr: bool,
    exit: bool,
    link: bool,
}

/// A job that runs.
struct Pump {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    course: Course,
    ended: Option<Ended>,
}

impl Pump {
    /// Until the process has ended and its streams are closed or have had their time.
    fn run(&mut self, link: &mut Link, scratch: &mut [u8]) {
        // A cancellation may have come in together with the job.
        self.listen(link.heard());
        while !self.is_over() {
            let ready = self.wait(link);
            self.read(ready, scratch);
            if ready.exit {
                self.reap();
            }
            if ready.link {
                self.listen(link.hear());
            }
            let step = self.course.tick(Instant::now());
            self.perform(step);
        }
    }

    fn listen(&mut self, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Cancel | Heard::Gone => {
                let step = self.course.cancel(Instant::now());
                self.perform(step);
            }
        }
    }

    fn is_over(&self) -> bool {
        let closed = self.stdout.pipe().is_none() && self.stderr.pipe().is_none();
        self.course.deadline().is_none() || (self.ended.is_some() && closed)
    }

    fn read(&mut self, ready: Ready, scratch: &mut [u8]) {
        if ready.stdout {
            self.stdout.read(scratch);
        }
        if ready.stderr {
            self.stderr.read(scratch);
        }
    }

    fn reap(&mut self) {
        if self.ended.is_none() {
            self.ended = self.child.reap();
            if self.ended.is_some() {
                self.course.exited(Instant::now());
            }
        }
    }

    fn perform(&self, step: Option<Step>) {
        match step {
            Some(Step::Terminate) => self.child.leader().signal_group(Signal::TERM),
            Some(Step::Kill) => self.child.leader().signal_group(Signal::KILL),
            None => {}
        }
    }

    /// Waits for anything to happen, at most until the course has its next step.
    fn wait(&self, link: &Link) -> Ready {
        let left = self
            .course
            .deadline()
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        // An exit that was seen stays visible for ever.
        let exit = if self.ended.is_none() { self.child.exit() } else { None };
        let asks = self.ended.is_none() && exit.is_none();
        let timeout = if asks { left.min(ASK) } else { left };
        let socket = (!link.is_gone()).then(|| link.socket());
        let [stdout, stderr, exit, link] =
            ready([self.stdout.pipe(), self.stderr.pipe(), exit, socket], timeout);
        Ready { stdout, stderr, exit: exit || asks, link }
    }

    /// Takes what is left in the pipes without waiting for more.
    fn drain(&mut self, scratch: &mut [u8]) {
        while self.stdout.pipe().is_some() || self.stderr.pipe().is_some() {
            let [stdout, stderr] = ready([self.stdout.pipe(), self.stderr.pipe()], Duration::ZERO);
            if !stdout && !stderr {
                return;
            }
            self.read(Ready { stdout, stderr, ..Ready::default() }, scratch);
        }
    }
}

/// Which of the descriptors can be read, after waiting for one of them.
fn ready<const N: usize>(descriptors: [Option<BorrowedFd<'_>>; N], timeout: Duration) -> [bool; N] {
    let mut places = [None; N];
    let mut waiting = Vec::with_capacity(N);
    for (place, descriptor) in places.iter_mut().zip(descriptors) {
        if let Some(descriptor) = descriptor {
            *place = Some(waiting.len());
            waiting.push(PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
        }
    }
    // A wait that fails shows nothing as ready; the caller looks at the clock and waits again.
    let timeout = Timespec::try_from(timeout).ok();
    let _ = poll(&mut waiting, timeout.as_ref());
    places.map(|place| place.is_some_and(|at| !waiting[at].revents().is_empty()))
}
