//! From a prepared command to a running process, on Linux. The only file with unsafe code.
//!
//! `clone(CLONE_VM | CLONE_VFORK)` copies no memory: the child runs on a stack of its own inside the slot's memory
//! while the slot stands still, until it executes the program or reports why it cannot by writing to that memory.
//! So between `clone` and `execve` nothing may allocate, lock or panic: the child only makes system calls with what
//! [`Spawner::start`] laid out before. The slot has one thread and no signal handlers, which is what makes sharing its
//! memory sound; [`Spawner::prepare`] brings about the rest.
#![expect(
    unsafe_code,
    reason = "clone, execve, wait4 and signal dispositions have no safe wrapper that shares memory"
)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Resource, Rlimit};

use super::explain::{Stage, StartError};
use super::group::Leader;
use super::process::Ended;
use super::program::Command;
use crate::job::Status;

/// Words of the child's stack: 64 KiB, of which a handful of system calls need a fraction.
const STACK: usize = 4096;

/// Neither files nor pipes get core dumps: a limit of 0 would not stop a piped `core_pattern`, 1 stops both.
const NO_CORE: u64 = 1;

/// Bytes of the kernel's signal set.
const SIGSET: usize = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 16 } else { 8 };

/// Starts processes; made once, by the only thread of a slot process.
pub(super) struct Spawner {
    null: OwnedFd,
    /// 16-byte aligned, as a stack must be.
    stack: Vec<u128>,
    own: Pid,
}

/// A process that runs; its descendants are in its group unless they left it.
#[derive(Debug)]
pub(super) struct Child {
    leader: Leader,
    /// Readable once it has ended; none on kernels before 5.3.
    exit: Option<OwnedFd>,
}

/// A process and its streams.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Spawner {
    /// Makes this process one that starts others: no foreign descriptors, default signals, no terminal, no core
    /// dumps, and parent of every orphan among its descendants. All of it is inherited, so nothing is done per job.
    pub(super) fn prepare() -> std::io::Result<Self> {
        close_all_from(3);
        reset_signals();
        // A session leader already: then there is nothing to leave.
        let _ = rustix::process::setsid();
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own))?;
        let core = rustix::process::getrlimit(Resource::Core);
        let least = core.maximum.map_or(NO_CORE, |maximum| maximum.min(NO_CORE));
        rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(least), maximum: core.maximum })?;
        let null = std::fs::OpenOptions::new().read(true).open("/dev/null")?;
        Ok(Self { null: null.into(), stack: vec![0; STACK], own })
    }

    /// Starts a command with `/dev/null` and two pipes for streams, in a process group of its own.
    pub(super) fn start(&mut self, command: &Command) -> Result<Started, StartError> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| StartError::new(Stage::Pipe, error));
        let (stdout, its_stdout) = pipe()?;
        let (stderr, its_stderr) = pipe()?;
        let argv = pointers(&command.argv);
        let env = pointers(&command.env);
        let plan = Plan {
            program: command.program.as_ptr(),
            argv: argv.as_ptr(),
            env: env.as_ptr(),
            cwd: command.cwd.as_ptr(),
            streams: [self.null.as_raw_fd(), its_stdout.as_raw_fd(), its_stderr.as_raw_fd()],
            parent: self.own.as_raw_nonzero().get(),
            stage: AtomicI32::new(0),
            error: AtomicI32::new(0),
        };
        let child = self.clone_and_execute(&plan)?;
        if let Some(stage) = Stage::from_number(plan.stage.load(Ordering::Relaxed)) {
            let _ = rustix::process::waitpid(Some(child.leader.pid()), rustix::process::WaitOptions::empty());
            let error = Errno::from_raw_os_error(plan.error.load(Ordering::Relaxed));
            return Err(StartError::new(stage, error));
        }
        Ok(Started { child, stdout, stderr })
    }

    fn clone_and_execute(&mut self, plan: &Plan) -> Result<Child, StartError> {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let top = self.stack.as_mut_ptr_range().end;
        let mut pidfd: RawFd = -1;
        // SAFETY: `top` is the aligned end of a stack that nobody else uses, and this thread, the only one, stands
        // still until the child has executed or exited, so `plan`, what it points to and the stack outlive its use.
        // The child writes nothing but the atomics of `plan` and its stack. `pidfd` outlives the call.
        let id = unsafe {
            libc::clone(
                child_main,
                top.cast::<c_void>(),
                flags,
                ptr::from_ref(plan).cast_mut().cast::<c_void>(),
                &raw mut pidfd,
            )
        };
        let Some(leader) = Leader::new(id) else {
            return Err(StartError::new(Stage::Clone, last_error()));
        };
        // SAFETY: the kernel made this descriptor for us; nobody else knows of it.
        let exit = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
        Ok(Child { leader, exit })
    }
}

impl Child {
    /// Its group.
    pub(super) fn leader(&self) -> Leader {
        self.leader
    }

    /// What becomes readable when it ends, where the system has such a thing.
    pub(super) fn exit(&self) -> Option<BorrowedFd<'_>> {
        self.exit.as_ref().map(AsFd::as_fd)
    }

    /// How it ended, once; none while it runs.
    pub(super) fn reap(&mut self) -> Option<Ended> {
        let mut status = 0;
        // SAFETY: all-zero is a valid `rusage`, which holds integers only.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let id = self.leader.pid().as_raw_nonzero().get();
        // SAFETY: both pointers are valid for writes during the call.
        let reaped = unsafe { libc::wait4(id, &raw mut status, libc::WNOHANG, &raw mut usage) };
        let kibibytes = u64::try_from(usage.ru_maxrss).unwrap_or(0);
        (reaped == id).then(|| Ended { status: status_of(status), max_rss: kibibytes << 10 })
    }
}

fn status_of(status: c_int) -> Status {
    if libc::WIFSIGNALED(status) {
        Status::Signal(libc::WTERMSIG(status))
    } else {
        Status::Code(libc::WEXITSTATUS(status))
    }
}

/// Everything the child needs, laid out before it exists.
struct Plan {
    program: *const c_char,
    argv: *const *const c_char,
    env: *const *const c_char,
    cwd: *const c_char,
    streams: [RawFd; 3],
    parent: libc::pid_t,
    /// Number of the [`Stage`] that failed; 0: none did.
    stage: AtomicI32,
    error: AtomicI32,
}

impl Plan {
    /// Becomes the program. Returns only when it cannot, with the stage that failed and `errno` set by it.
    ///
    /// # Safety
    /// Only in the child of [`Spawner::clone_and_execute`].
    unsafe fn execute(&self) -> Stage {
        // SAFETY: system calls on numbers, and on strings and arrays that the standing parent keeps alive; none of
        // these wrappers allocates or locks.
        unsafe {
            if libc::setpgid(0, 0) != 0 {
                return Stage::Group;
            }
            // Asked after the request: a parent that died in between would never be noticed.
            let bound = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0;
            if !bound || libc::getppid() != self.parent {
                return Stage::Orphaned;
            }
            for (number, stream) in (0..).zip(self.streams) {
                if libc::dup2(stream, number) < 0 {
                    return Stage::Streams;
                }
            }
            close_all_from(3);
            if libc::chdir(self.cwd) != 0 {
                return Stage::Directory;
            }
            libc::execve(self.program, self.argv, self.env);
        }
        Stage::Execute
    }
}

extern "C" fn child_main(plan: *mut c_void) -> c_int {
    // SAFETY: the argument of `clone` is a `Plan` that lives until this process has executed or exited.
    let plan = unsafe { &*plan.cast::<Plan>() };
    // SAFETY: this is that child.
    let stage = unsafe { plan.execute() };
    plan.error.store(last_error().raw_os_error(), Ordering::Relaxed);
    plan.stage.store(stage as i32, Ordering::Relaxed);
    // SAFETY: ends this process without running anything that belongs to the slot.
    unsafe { libc::_exit(127) }
}

/// Texts as `execve` takes them; valid while the texts are.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The error of the last system call of this thread; needs no memory.
fn last_error() -> Errno {
    // SAFETY: always valid for reads by this thread.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Closes what a careless parent left open. On kernels before 5.9 it stays so; everything of ours closes by itself.
fn close_all_from(first: c_int) {
    // SAFETY: the callers own no descriptor from here on: a slot at its start, a child before it executes.
    unsafe { libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) };
}

/// Undoes what a parent ignores or blocks (`nohup`, a shell's background job, this program's own start): ignored
/// signals and the mask survive `execve`.
fn reset_signals() {
    // Zeros are the default action, whatever the order of the kernel's fields; no structure is longer.
    let default = [0u64; 8];
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the pointer is valid for the call, and the default action runs no code of ours. Asked of the kernel
        // itself, because the C library keeps two signals to itself, ignored or not. Two signals cannot be changed.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<u64>(), SIGSET)
        };
    }
    // SAFETY: an emptied set, valid for the call.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}
/// From now on, reads and writes of this process and of all it starts come after everybody else's (`ioprio_set(2)`). No
/// effect where the kernel has no such classes.
pub(super) fn idle_io() {
    const OF_PROCESS: c_int = 1;
    const SELF: c_int = 0;
    const CLASS_IDLE: c_int = 3 << 13;
    // SAFETY: the call takes three numbers and touches no memory of this process.
    let _ = unsafe { libc::syscall(libc::SYS_ioprio_set, OF_PROCESS, SELF, CLASS_IDLE) };
}
