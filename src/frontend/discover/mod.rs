//! Disk -> tests: a file a suite kind (reference §4).
//!
//! A suite lists its tests cheaply (names and what selection needs) and describes how one of them is run
//! ([`Recipe`]) only when it is about to run, so that 100,000 cases stay small in memory. Reads files; starts nothing
//! itself: a binary that lists its own tests is run by the caller's `lister`.

mod frontmatter;
mod metadata;
mod walk;

pub mod groups;
pub mod matcher;

mod benchmarks;
mod binary;
mod fuzzer;
mod js;
mod others;
mod preparser;
mod test262;
mod wasm;

use std::path::{Path, PathBuf};

pub use preparser::PYTHON;

use super::dialect::{Dialect, Era};
use super::features::Features;
use super::status::{Keyword, Outcomes};
use crate::job::{Arg, Root, RootedPath};

/// Why a suite cannot be listed or a test not be described.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// A folder that is no suite of any kind.
    #[error("suite {name} is of no known kind")]
    UnknownKind {
        /// Its name.
        name: String,
    },
    /// A folder or file that cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A test's file that was there when it was listed.
    #[error("the file {} vanished", .path.display())]
    Vanished {
        /// Which.
        path: PathBuf,
    },
    /// An expectation file that is not there.
    #[error("{} has no expectation file {}", .test, .path.display())]
    NoExpectation {
        /// The test.
        test: String,
        /// The file.
        path: PathBuf,
    },
    /// Something in a test's source.
    #[error("{}: {what}", .path.display())]
    Source {
        /// The test's file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A binary that should have listed its tests.
    #[error("{binary} failed to list its tests: {what}")]
    Listing {
        /// Which.
        binary: String,
        /// What it said.
        what: String,
    },
}

/// Runs a binary of the build with arguments and returns its standard output, or what went wrong.
pub type Lister<'a> = dyn Fn(&str, &[&str]) -> Result<String, String> + 'a;

/// What all suites of a run share.
#[derive(Clone, Copy)]
pub struct SuiteContext<'a> {
    /// The checkout, absolute.
    pub workspace: &'a Path,
    /// Directory of suites, absolute.
    pub test_root: &'a Path,
    /// The tree's rules.
    pub dialect: Dialect,
    /// Directory with the executables.
    pub build_dir: Option<&'a Path>,
    /// Whether the build has internationalization.
    pub i18n: bool,
    /// `--no-harness`.
    pub no_harness: bool,
    /// Runs a binary that lists its tests.
    pub lister: &'a Lister<'a>,
    /// test262's features that need flags.
    pub features: &'a Features,
    /// The run's seed, for binaries that take it by another name.
    pub seed: i64,
}

impl std::fmt::Debug for SuiteContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuiteContext")
            .field("workspace", &self.workspace)
            .field("dialect", &self.dialect)
            .finish()
    }
}

impl SuiteContext<'_> {
    /// The path of a file below the checkout as the era's runner passes it.
    fn path(&self, file: &Path) -> Arg {
        match self.rooted(file) {
            Some(path) if self.dialect.era >= Era::V157 => Arg::Relative(path),
            Some(path) => Arg::Path(path),
            None => Arg::Text(file.to_string_lossy().into_owned()),
        }
    }

    fn rooted(&self, file: &Path) -> Option<RootedPath> {
        let path = normalized(file.strip_prefix(self.workspace).ok()?)?;
        Some(RootedPath { root: Root::Workspace, path })
    }

    /// A file named by a comment, relative to the checkout.
    fn workspace_file(&self, name: &str) -> Arg {
        match normalized(Path::new(name)) {
            Some(path) if !name.starts_with('/') => self.path(&self.workspace.join(path)),
            _ => Arg::Text(self.workspace.join(name).to_string_lossy().into_owned()),
        }
    }
}

/// A relative path without `.` and `..`; none if it leads out.
fn normalized(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => parts.push(name.to_str()?),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                parts.pop()?;
            }
            std::path::Component::RootDir | std::path::Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

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
    /// The flags come from the fast table (6.2).
    pub fast: bool,
    /// These flags in the place of the variant's (2015).
    pub instead: Option<&'static [&'static str]>,
    /// `--use-strict` is added to the variant's flags (test262).
    pub strict: bool,
    /// The test is FAIL_PHASE_ONLY (test262, modern).
    pub phase_only: bool,
    /// The reversed run of a FAIL_PHASE_ONLY test.
    pub reverse: bool,
}

impl Subtest {
    /// A test as it is, in one variant.
    fn plain(variant: u16) -> Self {
        Subtest { variant, fast: false, instead: None, strict: false, phase_only: false, reverse: false }
    }
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
    /// 2015's cctest: where a test leaves what the one that depends on it reads.
    Serialized,
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
    /// 2015/6.2: flags a test has of itself, before those of status file and variant (preparser).
    pub own_flags: Vec<String>,
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
    /// `--isolates` repeats the files.
    pub isolates: bool,
}

impl Recipe {
    /// A recipe with nothing but a program and a check.
    fn new(shell: Shell, check: Check) -> Self {
        Recipe {
            shell,
            files: Vec::new(),
            source_flags: Vec::new(),
            suite_flags: Vec::new(),
            suite_tail: Vec::new(),
            feature_flags: Vec::new(),
            layout: &[Part::TestFlags, Part::Mode, Part::Source, Part::Files],
            dropped_flag: None,
            bare: false,
            own_flags: Vec::new(),
            env: Vec::new(),
            timeout_factor: 1,
            check,
            negative: false,
            expected_file: None,
            isolates: false,
        }
    }

    /// A recipe for d8.
    fn d8(check: Check) -> Self {
        Recipe::new(Shell::Named("d8".to_owned()), check)
    }
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

/// What kind of suite a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Js(js::Kind),
    Mozilla,
    Test262,
    Cctest,
    Gtest,
    Bigint,
    Fuzzer,
    Fuzzilli,
    Mkgrokdump,
    WasmSpec,
    WasmJs,
    Benchmarks,
    Preparser,
    Promises,
    FileCheck,
    Debugging,
}

/// A folder of tests.
#[derive(Debug, Clone)]
pub struct Suite {
    name: String,
    root: PathBuf,
    kind: Kind,
    /// Text of the suite's `testcfg.py`: which helper files it names decides between versions of one era.
    config: String,
    /// What preparser's files ask for, once they were listed.
    snippets: std::sync::OnceLock<preparser::Snippets>,
}

/// What listing a suite yields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Tests in V8's order.
    pub tests: Vec<Test>,
    /// Files looked at before the filter by extension.
    pub candidates: usize,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

impl Listing {
    fn of_names(names: Vec<String>) -> Self {
        let tests = names.into_iter().map(|name| Test::named(name, None)).collect();
        Listing::of_tests(tests)
    }

    fn of_tests(tests: Vec<Test>) -> Self {
        Listing { candidates: tests.len(), tests, left_out: Vec::new() }
    }
}

impl Test {
    fn named(name: String, source: Option<String>) -> Self {
        Test {
            name: name.into_boxed_str(),
            source: source.map(String::into_boxed_str),
            strictness: Strictness::AsIs,
            dependency: None,
        }
    }
}

impl Suite {
    /// Finds out what kind of suite a folder of the test root is.
    ///
    /// # Errors
    /// When it is of no known kind.
    pub fn open(context: &SuiteContext<'_>, name: &str) -> Result<Self, DiscoverError> {
        let root = context.test_root.join(name);
        let config = std::fs::read(root.join("testcfg.py")).ok();
        let kind = match kind_of(name, context.dialect) {
            Some(kind) => kind,
            // Without a testcfg.py the old runners took any folder for a gtest suite.
            None if context.dialect.is_old() && config.is_none() => Kind::Gtest,
            None => return Err(DiscoverError::UnknownKind { name: name.to_owned() }),
        };
        let config = String::from_utf8_lossy(&config.unwrap_or_default()).into_owned();
        Ok(Suite { name: name.to_owned(), root, kind, config, snippets: std::sync::OnceLock::new() })
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its status file.
    pub fn status_file(&self) -> PathBuf {
        self.root.join(format!("{}.status", self.name))
    }

    /// Whether test262's rules hold.
    pub fn is_test262(&self) -> bool {
        self.kind == Kind::Test262
    }

    /// Whether the suite's own configuration names a word; without a real one the era decides.
    fn names(&self, word: &str, otherwise: bool) -> bool {
        if self.config.contains("def GetSuite") || self.config.contains("class ") {
            self.config.contains(word)
        } else {
            otherwise
        }
    }

    /// Lists the tests.
    ///
    /// # Errors
    /// When a folder cannot be read or a binary not list its tests.
    pub fn list(&self, context: &SuiteContext<'_>) -> Result<Listing, DiscoverError> {
        match self.kind {
            Kind::Js(kind) => js::list(self, kind, context),
            Kind::Mozilla => js::list_mozilla(self, context),
            Kind::Test262 => test262::list(self, context),
            Kind::Cctest => binary::list_cctest(self, context),
            Kind::Gtest => binary::list_gtest(self, context),
            Kind::Bigint => binary::list_bigint(context),
            Kind::Fuzzer => fuzzer::list(self, context),
            Kind::Fuzzilli => fuzzer::list_fuzzilli(self, context),
            Kind::Mkgrokdump => Ok(Listing::of_names(vec!["mkgrokdump".to_owned()])),
            Kind::WasmSpec => wasm::list_spec(self, context),
            Kind::WasmJs => wasm::list_js(self, context),
            Kind::Benchmarks => Ok(benchmarks::list(self, context)),
            Kind::Preparser => preparser::list(self, context),
            Kind::Promises => others::list_promises(self, context),
            Kind::FileCheck => others::list_filecheck(self, context),
            Kind::Debugging => others::list_debugging(self, context),
        }
    }

    /// Describes how a test is run.
    ///
    /// # Errors
    /// When its files vanished or cannot be understood.
    pub fn recipe(
        &self,
        context: &SuiteContext<'_>,
        test: &Test,
        subtest: &Subtest,
    ) -> Result<Recipe, DiscoverError> {
        match self.kind {
            Kind::Js(kind) => js::recipe(self, kind, context, test),
            Kind::Mozilla => js::recipe_mozilla(self, context, test),
            Kind::Test262 => test262::recipe(self, context, test, subtest),
            Kind::Cctest => Ok(binary::recipe_cctest(test, context)),
            Kind::Gtest => Ok(binary::recipe_gtest(self, context, test)),
            Kind::Bigint => Ok(binary::recipe_bigint(test)),
            Kind::Fuzzer | Kind::Fuzzilli => Ok(fuzzer::recipe(self, context, test)),
            Kind::Mkgrokdump => others::recipe_mkgrokdump(context),
            Kind::WasmSpec => wasm::recipe_spec(self, context, test),
            Kind::WasmJs => wasm::recipe_js(self, context, test),
            Kind::Benchmarks => Ok(benchmarks::recipe(self, context, test)),
            Kind::Preparser => preparser::recipe(self, context, test),
            Kind::Promises => Ok(others::recipe_promises(self, context, test)),
            Kind::FileCheck => others::recipe_filecheck(self, context, test),
            Kind::Debugging => others::recipe_debugging(self, context, test),
        }
    }

    /// The ways a test runs, in V8's order (reference §3.4).
    pub fn subtests(
        &self,
        test: &Test,
        selected: &[String],
        outcomes: Outcomes,
        dialect: Dialect,
    ) -> Vec<Subtest> {
        if let Some(sets) = self.flag_sets_2015(outcomes, dialect) {
            let subtest =
                |flags: &&'static [&'static str]| Subtest { instead: Some(flags), ..Subtest::plain(0) };
            return sets.iter().map(subtest).collect();
        }
        let fast_only =
            dialect.is_old() && (outcomes.has(Keyword::FastVariants) || self.kind == Kind::Benchmarks);
        let variants = selected.iter().enumerate().filter(|(_, variant)| {
            let standard = variant.as_str() == "default";
            if outcomes.has(Keyword::NoVariants) || self.only_standard(dialect) {
                return standard;
            }
            let fast = standard || variant.as_str() == "turbofan";
            (!fast_only || fast) && self.runs_variant(variant, dialect)
        });
        let variants: Vec<u16> =
            variants.map(|(index, _)| u16::try_from(index).unwrap_or(u16::MAX)).collect();
        let fast = fast_only || (dialect.is_old() && self.kind == Kind::Fuzzer);
        let plain = |variant: &u16| Subtest { fast, ..Subtest::plain(*variant) };
        if self.kind == Kind::Test262 {
            return test262::subtests(test, &variants, fast, outcomes.has(Keyword::FailPhaseOnly));
        }
        variants.iter().map(plain).collect()
    }

    /// 2015: the sets of flags of tests that ask for their own, whatever variants are selected.
    fn flag_sets_2015(
        &self,
        outcomes: Outcomes,
        dialect: Dialect,
    ) -> Option<&'static [&'static [&'static str]]> {
        match self.kind {
            _ if dialect.era != Era::V2015 => None,
            Kind::Benchmarks => Some(&[&[], &["--turbo-filter=*"]]),
            Kind::Preparser => Some(&[&[]]),
            _ => outcomes.has(Keyword::NoVariants).then_some(&[&[]]),
        }
    }

    fn only_standard(&self, dialect: Dialect) -> bool {
        match self.kind {
            Kind::Fuzzer | Kind::Fuzzilli | Kind::Preparser => true,
            // 2015 made no difference between these and others.
            Kind::Gtest if dialect.era == Era::V2015 => false,
            Kind::Gtest => dialect.era < Era::V13 || self.name == "wasm-api-tests",
            _ => false,
        }
    }

    /// gtest suites run few variants since 2024.
    fn runs_variant(&self, variant: &str, dialect: Dialect) -> bool {
        const NEWEST: &[&str] = &[
            "default",
            "maglev",
            "minor_ms",
            "stress_maglev",
            "no_memory_protection_keys",
            "conservative_stack_scanning",
            "precise_pinning",
            "scavenger_chaos_mode",
        ];
        let known = if dialect.era == Era::V13 { &NEWEST[..4] } else { NEWEST };
        self.kind != Kind::Gtest || dialect.era == Era::V2015 || known.contains(&variant)
    }

    /// The end of 10.2's subtest id: the number among the test's variants, with test262's marks.
    pub fn subtest_suffix(&self, subtest: &Subtest, ordinal: u16) -> String {
        let strict = if subtest.strict { "strict-" } else { "" };
        let reverse = if subtest.reverse { "-fail-phase-reverse" } else { "" };
        format!("{strict}{ordinal}{reverse}")
    }

    /// Reads a test's source as ISO-8859-1.
    fn source(&self, context: &SuiteContext<'_>, test: &Test) -> Result<(PathBuf, String), DiscoverError> {
        let path = context.workspace.join(test.source.as_deref().unwrap_or_default());
        match std::fs::read(&path) {
            Ok(bytes) => Ok((path, metadata::latin1(&bytes))),
            Err(_) if path.to_string_lossy().contains(char::REPLACEMENT_CHARACTER) => {
                Err(DiscoverError::Source { path, what: "its name is not UTF-8".to_owned() })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(DiscoverError::Vanished { path })
            }
            Err(source) => Err(DiscoverError::Unreadable { path, source }),
        }
    }

    /// Reads an expectation file; text that is not UTF-8 is read with replacement, as outputs are.
    fn expectation(&self, test: &Test, path: &Path) -> Result<String, DiscoverError> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let test = format!("{}/{}", self.name, test.name);
                Err(DiscoverError::NoExpectation { test, path: path.to_owned() })
            }
            Err(source) => Err(DiscoverError::Unreadable { path: path.to_owned(), source }),
        }
    }
}

/// The flags of a source, or an error that names the file.
fn source_flags(result: Result<Vec<String>, String>, path: &Path) -> Result<Vec<String>, DiscoverError> {
    result.map_err(|line| DiscoverError::Source {
        path: path.to_owned(),
        what: format!("cannot split the flags `{line}`: a quote is not closed"),
    })
}

fn kind_of(name: &str, dialect: Dialect) -> Option<Kind> {
    let era = dialect.era;
    Some(match name {
        "mjsunit" => Kind::Js(js::Kind::Mjsunit),
        "message" => Kind::Js(js::Kind::Message),
        "webkit" => Kind::Js(js::Kind::Webkit),
        "intl" => Kind::Js(js::Kind::Intl),
        "debugger" => Kind::Js(js::Kind::Debugger),
        "inspector" => Kind::Js(js::Kind::Inspector),
        "mozilla" => Kind::Mozilla,
        "test262" | "test262-es6" => Kind::Test262,
        "cctest" => Kind::Cctest,
        "bigint" => Kind::Bigint,
        "fuzzer" => Kind::Fuzzer,
        "fuzzilli" => Kind::Fuzzilli,
        "mkgrokdump" => Kind::Mkgrokdump,
        "wasm-spec-tests" => Kind::WasmSpec,
        "wasm-js" => Kind::WasmJs,
        "benchmarks" => Kind::Benchmarks,
        "preparser" => Kind::Preparser,
        "promises-aplus" => Kind::Promises,
        "filecheck" => Kind::FileCheck,
        "debugging" => Kind::Debugging,
        "unittests" | "v8_unittests" | "wasm-api-tests" if era >= Era::V62 => Kind::Gtest,
        _ => return None,
    })
}
