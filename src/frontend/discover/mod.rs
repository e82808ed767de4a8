//! Disk -> tests: a file a suite kind (reference §4).
//!
//! A suite lists its tests cheaply (names and what selection needs) and describes how one of them is run
//! ([`Recipe`]) only when it is about to run, so that 100,000 cases stay small in memory.

use std::path::PathBuf;

use crate::job::Arg;

/// One test of a suite, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Name inside the suite: `/`-separated, no suite prefix; no extension where files have one.
    pub name: Box<str>,
    /// Its source file relative to the workspace (`test/mjsunit/a/b.js`); none where a binary lists its tests.
    pub source: Option<Box<str>>,
    /// In which strictness it runs; only test262 knows more than `AsIs`.
    pub strictness: Strictness,
    /// 2015's cctest: the test that must run first.
    pub dependency: Option<Box<str>>,
}

/// test262's doubling (reference §4.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// Once, as it is (`noStrict`, and every other suite).
    #[default]
    AsIs,
    /// Once, with `--use-strict` (`onlyStrict`).
    OnlyStrict,
    /// Once as it is, once with `--use-strict`.
    Both,
}

/// One way to run a test: which variant, and which of the suite's own doublings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtest {
    /// Index into the selected variants.
    pub variant: u16,
    /// The flags come from the fast table (2015/6.2).
    pub fast: bool,
    /// `--use-strict` is added to the variant's flags (test262).
    pub strict: bool,
    /// The reversed run of a FAIL_PHASE_ONLY test (test262, modern).
    pub reverse: bool,
}

/// Where the program of a command line comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shell {
    /// A file of the build directory: `d8`, `cctest`, `v8_unittests`. An engine may stand in for `d8` only.
    Named(String),
    /// Something else, such as a Python interpreter with its first arguments.
    Command(Vec<Arg>),
}

/// A part of a 2015/6.2 command line, whose order is each suite's own (reference §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Flags of the variant and of `'Flags: …'` outcomes.
    TestFlags,
    /// Flags of the mode.
    Mode,
    /// Flags of the source comment.
    Source,
    /// Flags of the suite.
    Suite,
    /// Files and what stands among them.
    Files,
    /// A second helping of suite flags, where a suite has flags on both sides of the files.
    SuiteTail,
    /// Status-file flags that start with `--` (6.2's test262).
    StatusFlags,
    /// Feature flags (6.2's test262).
    Features,
}

/// How one test is run and judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The program.
    pub shell: Shell,
    /// Files and what stands among them, in order.
    pub files: Vec<Arg>,
    /// Flags of the source comment.
    pub source_flags: Vec<String>,
    /// Flags of the suite.
    pub suite_flags: Vec<String>,
    /// See [`Part::SuiteTail`].
    pub suite_tail: Vec<String>,
    /// See [`Part::Features`].
    pub feature_flags: Vec<String>,
    /// Order of the parts in 2015/6.2; unused since 10.2, where files come first for every suite.
    pub layout: &'static [Part],
    /// A parameter removed from the finished command line (message since 10.2: `--enable-slow-asserts`).
    pub dropped_flag: Option<&'static str>,
    /// Without variant, mode, source, suite and status flags (fuzzer).
    pub bare: bool,
    /// Environment of the test.
    pub env: Vec<(String, Arg)>,
    /// Factor on the timeout (wasm-js `META: timeout=long`: 10).
    pub timeout_factor: u32,
    /// How its output is judged.
    pub check: Check,
    /// The verdict of the check is inverted.
    pub negative: bool,
    /// Where `--regenerate-expected-files` writes standard output.
    pub expected_file: Option<PathBuf>,
}

/// What `message` says of the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitRule {
    /// Not looked at (2015/6.2).
    Ignored,
    /// Must be 0.
    Zero,
    /// Must not be 0 (names with a path component `fail`).
    NonZero,
}

/// How an output is judged; the expected text is loaded, so that judging reads no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Fails if the exit code is not 0.
    ExitCode,
    /// message: patterns line by line (reference §4.2).
    Message {
        /// The text of the `.out` file.
        expected: String,
        /// File name with extension, for `%(basename)s`.
        basename: String,
        /// What the exit code must be.
        exit: ExitRule,
    },
    /// webkit and inspector: equal lines (reference §4.3, §4.4).
    Lines {
        /// The text of the `-expected.txt` file.
        expected: String,
        /// Whether `#` lines of the expectation are comments (webkit) or significant (inspector).
        comments: bool,
        /// Whether an exit code other than 0 fails.
        exit: bool,
    },
    /// mozilla and 2015/6.2's test262: fails on the exit code or when standard output contains `FAILED!`.
    NoFailed,
    /// test262 (reference §4.8).
    Test262 {
        /// `negative.type`: the exception that must be thrown.
        exception: Option<String>,
        /// Since ~13: `Test262:AsyncTestComplete` must be printed.
        completes: bool,
    },
    /// mkgrokdump: equal to `tools/v8heapconst.py`, or a non-shipping build.
    Grokdump {
        /// The text of the file.
        expected: String,
    },
    /// promises-aplus: all tests have run, none failed.
    AllRun,
    /// filecheck: the directives of the test's source, matched against both streams.
    FileCheck {
        /// The source with the directives.
        source: String,
        /// The shell must fail (`crash…`).
        must_fail: bool,
    },
}
