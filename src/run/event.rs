//! All that a report may know of a run.
//!
//! Made by the session and its driver, read by the sinks of `report`. Plain data: times are offsets from the start of
//! the run, so that no sink reads a clock.

use std::sync::Arc;
use std::time::Duration;

use crate::frontend::dialect::Dialect;
use crate::frontend::status::Actual;
use crate::job::Output;

/// What is run, told once before the first case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// Era rules for spelling.
    pub dialect: Dialect,
    /// `x64`.
    pub arch: String,
    /// V8's label: `release`, `debug`, `release+dchecks`.
    pub mode: String,
    /// Flags of the mode, in order.
    pub mode_flags: Vec<String>,
    /// Cases that will run (subtests; without reruns).
    pub cases: usize,
    /// Base tests among them: the denominator of V8's percentage.
    pub base_tests: usize,
    /// Files listed before any filter, for the closing line of 10.2+.
    pub listed: usize,
    /// Slots at work on this machine.
    pub slots: usize,
    /// Working directory of the tests: the workspace root.
    pub workspace: String,
    /// The wall clock when the run's own clock read zero, since the Unix epoch: for reports that print dates.
    pub epoch: Duration,
}

/// One case as people and programs see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseInfo {
    /// Counts the cases of the run from 0.
    pub index: u32,
    /// `suite/path`.
    pub name: String,
    /// Name of the variant (`default`).
    pub variant: String,
    /// Flags of the variant.
    pub variant_flags: Vec<String>,
    /// Flags of the variant and of `'Flags: …'` outcomes: what 2015/6.2 call the test's flags.
    pub test_flags: Vec<String>,
    /// Every argument after the shell.
    pub arguments: Vec<String>,
    /// The shell's file name (`d8`).
    pub shell: String,
    /// The command line as V8 prints it, with absolute paths (reference §6.2).
    pub command: String,
    /// The same with the working directory taken off.
    pub relative_command: String,
    /// What a person pastes into a shell in the workspace to repeat the case; quoted for a POSIX shell.
    pub repeat: String,
    /// The outcomes that are as expected, in V8's order (`["PASS"]`).
    pub expected: Vec<&'static str>,
    /// The check is inverted.
    pub negative: bool,
    /// Marked FAIL and not PASS, or so because of a flag contradiction. V8 words an unexpected pass of these, and only
    /// these, as such: not of FAIL_OK and FAIL_SLOPPY, which expect a failure, too.
    pub marked_fail: bool,
    /// Marked SLOW.
    pub slow: bool,
    /// Marked HEAVY.
    pub heavy: bool,
    /// The random seed on its command line; 0 if none.
    pub random_seed: i64,
    /// Where the expectation comes from: `test/mjsunit/mjsunit.status:12: 'array-*'`, one per rule that matched.
    pub why: Vec<String>,
}

/// One finished run of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Which case.
    pub case: Arc<CaseInfo>,
    /// Which run of it, from 1; above 1 for reruns.
    pub run: u32,
    /// Whether another run of the same case follows.
    pub reruns: bool,
    /// What came back.
    pub output: Arc<Output>,
    /// What it amounts to; none when the job could not be run (infra, never a verdict).
    pub actual: Option<Actual>,
    /// Whether it is other than expected. An infra failure is unexpected, too.
    pub unexpected: bool,
    /// Whether this machine calls it a crash (reference §5.6).
    pub crashed: bool,
    /// Why a flag contradiction was expected (reference §2.7), or why the job could not be run.
    pub reason: Option<String>,
    /// How an unexpected output differs from its expectation file, in V8's words since 11.x.
    pub details: Option<String>,
    /// Where the judge found it to differ, for people.
    pub difference: Option<String>,
    /// Where it ran, if not on this machine.
    pub peer: Option<String>,
}

/// Why a run stopped before its last case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// `--exit-after-n-failures`.
    TooManyFailures,
    /// `--total-timeout-sec`.
    TotalTimeout,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whether it ended before its last case, and why.
    pub stop: Option<Stop>,
    /// Runs of cases, reruns included.
    pub runs: usize,
    /// Cases whose last run was as expected.
    pub passed: usize,
    /// Cases whose last run was unexpected (infra not counted).
    pub failed: usize,
    /// Cases that failed first and passed in a rerun.
    pub flaky: usize,
    /// Cases that could not be run.
    pub infra: usize,
    /// Cases that never finished because the run stopped.
    pub remaining: usize,
    /// Allocations were to be compared and no test printed any (2015/6.2 `--predictable`).
    pub nothing_compared: bool,
    /// From the first start to the end.
    pub elapsed: Duration,
}

/// What happens in a run, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// The run begins.
    Started(Arc<RunInfo>),
    /// A case was handed to a slot.
    CaseStarted {
        /// Which case.
        case: Arc<CaseInfo>,
        /// Which run of it, from 1.
        run: u32,
        /// Since the run began.
        at: Duration,
    },
    /// A run of a case ended.
    CaseFinished {
        /// What became of it.
        finished: Arc<Finished>,
        /// Since the run began.
        at: Duration,
    },
    /// Time passes: at least once a second, so that a report may redraw.
    Tick {
        /// Since the run began.
        at: Duration,
    },
    /// Who takes part has changed. Never told in a run that stays on this machine.
    Machines {
        /// Other machines that run tests now.
        peers: usize,
        /// Slots of all together, this machine's included.
        slots: usize,
        /// Bytes of inputs that went to them so far.
        shipped: u64,
    },
    /// A line for the person, such as a fall-back; not part of V8's output.
    Notice(String),
    /// The run stops early; running cases are being ended.
    Stopping(Stop),
    /// The run is over.
    Ended(Arc<Summary>),
}
