//! What the program uses: the typed options, checked against the tree under test and against each other.
//!
//! The order of the steps is V8's, since later options change what earlier ones set (reference §1.1, §1.2).

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;

use super::args::{Args, EngineName, Framework, typed, unknown_to};
use crate::frontend::build::{self, Build, BuildError, Properties, Property, Wanted};
use crate::frontend::dialect::{Dialect, DialectError, Era};
use crate::frontend::runner::Runner;
use crate::frontend::select::Filter;
use crate::frontend::variants::{VariantError, VariantTable};

/// Why a command line cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No checkout around the current directory.
    #[error("no V8 checkout at or above {}\nhint: go into one, name it with --workspace DIR, or try --sample", .0.display())]
    NoWorkspace(PathBuf),
    /// The folder given is no checkout.
    #[error(transparent)]
    Dialect(#[from] DialectError),
    /// An option the era did not have, in optparse's words.
    #[error("no such option: {option} (V8 {era} did not have it; {known} did)")]
    NoSuchOption {
        /// Its spelling.
        option: String,
        /// The tree's era.
        era: Era,
        /// Which eras knew it.
        known: String,
    },
    /// What to do with marked tests, in V8's words.
    #[error("Unknown {what} mode {choice}\nhint: run, skip or dontcare")]
    UnknownChoice {
        /// Which mark.
        what: &'static str,
        /// What was typed.
        choice: String,
    },
    /// Options that exclude each other.
    #[error("{0}")]
    Clash(&'static str),
    /// Builds.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Variants.
    #[error(transparent)]
    Variants(#[from] VariantError),
    /// Text that a shell could not split.
    #[error("cannot split {option} `{text}` as a shell would: a quote is not closed")]
    Unsplittable {
        /// The option.
        option: &'static str,
        /// Its text.
        text: String,
    },
    /// A file that was named and cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// `--sancov-dir` must exist.
    #[error("--sancov-dir {} does not exist", .0.display())]
    NoSancovDir(PathBuf),
    /// What this runner does not do.
    #[error("{0} is not supported by this runner")]
    Unsupported(&'static str),
    /// V8 would repeat every test until somebody stops it.
    #[error(
        "--random-seed-stress-count=0 (for ever) is not supported by this runner\nhint: name a large number, and --total-timeout-sec"
    )]
    Endless,
    /// A variable of the environment that should be a number.
    #[error(
        "the environment variable {name} is `{value}`, which is no number\nhint: unset it, or use --shard-count and --shard-run"
    )]
    BadVariable {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A number out of range.
    #[error("--timeout {0} is no number of seconds")]
    BadTimeout(i64),
}

impl ConfigError {
    /// V8's exit code for it: optparse's own errors exit with 2, its checks with 1 (2015/6.2) or 5.
    pub fn exit_code(&self, dialect: Option<Dialect>) -> u8 {
        match (self, dialect) {
            (ConfigError::NoSuchOption { .. }, _) => 2,
            (_, Some(dialect)) if dialect.is_old() => 1,
            _ => 5,
        }
    }
}

/// Random seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    /// The run's seed; none when every subtest gets its own.
    pub run: Option<i64>,
    /// Runs of each test with different seeds.
    pub count: u32,
}

/// One part of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// How many.
    pub count: u64,
    /// Which, from 1.
    pub run: u64,
}

/// What the sample tree has; V8's default group leaves out two of them.
const SAMPLE_SUITES: [&str; 5] = ["mjsunit", "message", "webkit", "intl", "test262"];

/// What does not depend on the build.
#[derive(Debug, Clone)]
pub struct Config {
    /// The checkout, absolute.
    pub workspace: PathBuf,
    /// Directory of suites, absolute.
    pub test_root: PathBuf,
    /// The tree's rules.
    pub dialect: Dialect,
    /// The tables of the tree's own runner.
    pub runner: Runner,
    /// What was typed; plain switches are read from here.
    pub args: Args,
    /// Tests named on the command line and in `--test-list`; never empty (`default`).
    pub tests: Vec<String>,
    /// Whether tests were named at all.
    pub tests_named: bool,
    /// The engine.
    pub engine: EngineName,
    /// Seconds a test may take, before any factor.
    pub timeout: Duration,
    /// Seeds.
    pub seeds: Seeds,
    /// Tests at once.
    pub jobs: usize,
    /// Which shard runs.
    pub shard: Option<Shard>,
    /// Things to say before the run.
    pub notices: Vec<String>,
    /// Filter on SLOW.
    pub slow: Filter,
    /// Filter on PASS+FAIL.
    pub pass_fail: Filter,
    /// Filter on FLAKY.
    pub flaky: Filter,
    /// Failures after which the run stops; 0 is never.
    pub failure_limit: usize,
}

/// One build and what it makes of the options.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The build.
    pub build: Build,
    /// Variants to run, in order.
    pub variants: Vec<String>,
    /// Flags for every command.
    pub extra_flags: Vec<String>,
    /// Flags for every command of d8, behind those.
    pub d8_flags: Vec<String>,
    /// Stands before every command.
    pub prefix: Vec<String>,
    /// Predictable mode: several runs are compared (2015/6.2).
    pub predictable: bool,
}

/// The checkout that a command line means.
///
/// # Errors
/// When there is none.
pub fn workspace(args: &Args, here: &Path) -> Result<PathBuf, ConfigError> {
    let looks_right = |dir: &&Path| {
        dir.join("test").is_dir()
            && ["tools/run-tests.py", "tools/testrunner", "include/v8-version.h"]
                .iter()
                .any(|mark| dir.join(mark).exists())
    };
    match &args.workspace {
        Some(dir) => absolute(here, dir),
        None => here
            .ancestors()
            .find(looks_right)
            .map(Path::to_owned)
            .map(Ok)
            .unwrap_or_else(|| Err(ConfigError::NoWorkspace(here.to_owned()))),
    }
}

fn absolute(here: &Path, dir: &Path) -> Result<PathBuf, ConfigError> {
    let path = here.join(dir);
    std::fs::canonicalize(&path).map_err(|source| ConfigError::Unreadable { path, source })
}

/// Checks the options against the tree.
///
/// # Errors
/// As [`ConfigError`] says.
pub fn configure(
    args: &Args,
    matches: &ArgMatches,
    workspace: PathBuf,
    here: &Path,
    random: impl Fn() -> i64,
) -> Result<Config, ConfigError> {
    let dialect = Dialect::detect(&workspace)?;
    refuse_unknown(dialect, matches)?;
    refuse_unsupported(args)?;
    refuse_clashes(args, dialect)?;
    if args.random_seed_stress_count == 0 && !dialect.is_old() {
        return Err(ConfigError::Endless);
    }
    let sancov_dir = args.sancov_dir.as_ref().map(|dir| workspace.join(dir));
    if let Some(dir) = sancov_dir.filter(|dir| !dir.exists()) {
        return Err(ConfigError::NoSancovDir(dir));
    }
    let mut notices = Vec::new();
    if args.sancov_dir.is_some() {
        notices.push("coverage files keep their process ids in their names and are not merged".to_owned());
    }
    let tests = tests(args, here)?;
    let tests_named = !tests.is_empty();
    let seeds = seeds(args, dialect, random);
    let shard = shard(args, dialect, &mut notices)?;
    let quick = |filter| if args.quickcheck { Filter::Skip } else { filter };
    Ok(Config {
        test_root: args.test_root.as_ref().map_or_else(|| workspace.join("test"), |dir| workspace.join(dir)),
        engine: if args.sample && !typed(matches, "engine") { EngineName::Embedded } else { args.engine },
        timeout: timeout(args, dialect)?,
        jobs: if args.j > 0 { args.j } else { processors() },
        slow: quick(filter("slow test", &args.slow_tests)?),
        pass_fail: quick(filter("pass|fail test", &args.pass_fail_tests)?),
        flaky: quick(filter("flaky test", &args.flaky_tests)?),
        failure_limit: args.exit_after_n_failures.unwrap_or_else(|| dialect.default_failure_limit()),
        tests: match (tests_named, args.sample) {
            (true, _) => tests,
            (false, true) => SAMPLE_SUITES.map(str::to_owned).to_vec(),
            (false, false) => vec!["default".to_owned()],
        },
        args: args.clone(),
        runner: Runner::read(&workspace),
        workspace,
        dialect,
        tests_named,
        seeds,
        shard,
        notices,
    })
}

/// `run`, `skip` or `dontcare`; `what` is V8's name for the kind of test.
fn filter(what: &'static str, choice: &str) -> Result<Filter, ConfigError> {
    match choice {
        "run" => Ok(Filter::Run),
        "skip" => Ok(Filter::Skip),
        "dontcare" => Ok(Filter::Any),
        _ => Err(ConfigError::UnknownChoice { what, choice: choice.to_owned() }),
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn refuse_unknown(dialect: Dialect, matches: &ArgMatches) -> Result<(), ConfigError> {
    match unknown_to(dialect.era, matches).into_iter().next() {
        None => Ok(()),
        Some((option, first, last)) => {
            let known = if first == last { format!("{first}") } else { format!("{first} to {last}") };
            Err(ConfigError::NoSuchOption { option, era: dialect.era, known })
        }
    }
}

fn refuse_unsupported(args: &Args) -> Result<(), ConfigError> {
    let refused = [
        (args.device.is_some(), "--device (Android)"),
        (args.download_data || args.download_data_only, "--download-data"),
        (args.log_system_memory.is_some(), "--log-system-memory"),
        (args.framework == Some(Framework::NumFuzzer), "--framework=num_fuzzer"),
    ];
    match refused.into_iter().find(|(typed, _)| *typed) {
        Some((_, what)) => Err(ConfigError::Unsupported(what)),
        None => Ok(()),
    }
}

fn refuse_clashes(args: &Args, dialect: Dialect) -> Result<(), ConfigError> {
    let typed_variants = args.variants.is_some();
    let shortcuts = [args.no_variants, typed_variants, args.no_stress || args.stress_only];
    let modern = !dialect.is_old();
    let clashes = [
        (
            shortcuts.iter().filter(|typed| **typed).count() > 1,
            if dialect.era == Era::V2015 {
                "Use only one of --no-stress, --stress-only, --no-variants, or --variants."
            } else {
                "Use only one of --no-variants or --variants."
            },
        ),
        (
            args.no_stress && args.stress_only,
            "Use only one of --no-stress, --stress-only, --no-variants, or --variants.",
        ),
        (
            modern && args.exhaustive_variants && (typed_variants || args.no_variants),
            "Use only one of --exhaustive-variants, --no-variants or --variants.",
        ),
        (modern && args.quickcheck && typed_variants, "Use only one of --quickcheck or --variants."),
        (
            modern && args.quickcheck && args.slow_tests != "dontcare",
            "Use only one of --quickcheck or --slow-tests.",
        ),
        (
            modern && args.quickcheck && args.pass_fail_tests != "dontcare",
            "Use only one of --quickcheck or --pass-fail-tests.",
        ),
        (
            modern && args.arch.as_deref().is_some_and(|arch| arch.contains(',')),
            "Multiple architectures are deprecated; name one with --arch.",
        ),
        (args.list && args.dry_run, "Use only one of --list or --dry-run."),
        (args.json && !args.list && !args.dry_run, "--json goes with --list or --dry-run."),
    ];
    match clashes.into_iter().find(|(clash, _)| *clash) {
        Some((_, words)) => Err(ConfigError::Clash(words)),
        None => Ok(()),
    }
}

/// Test names of the command line and of `--test-list` (text after `#` and blank lines dropped).
fn tests(args: &Args, here: &Path) -> Result<Vec<String>, ConfigError> {
    let mut tests = args.tests.clone();
    if let Some(path) = &args.test_list {
        let path = here.join(path);
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|source| ConfigError::Unreadable { path, source })?;
        let names = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
        tests.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    Ok(tests)
}

fn timeout(args: &Args, dialect: Dialect) -> Result<Duration, ConfigError> {
    match args.timeout {
        None => Ok(dialect.default_timeout()),
        Some(-1) if dialect.era == Era::V2015 => Ok(dialect.default_timeout()),
        Some(seconds) => {
            u64::try_from(seconds).map(Duration::from_secs).map_err(|_| ConfigError::BadTimeout(seconds))
        }
    }
}

fn seeds(args: &Args, dialect: Dialect, random: impl Fn() -> i64) -> Seeds {
    let given = (args.random_seed != 0).then_some(args.random_seed);
    let count = args.random_seed_stress_count;
    // With several seeds a test, each subtest draws its own unless one was given.
    // Until 6.2 a count below 1 is 1.
    let own = if dialect.is_old() { count > 1 } else { count != 1 };
    Seeds { run: given.or_else(|| (!own).then(random)), count }
}

/// `GTEST_TOTAL_SHARDS` and `GTEST_SHARD_INDEX` override the options since 6.2 (reference §5.7).
fn shard(args: &Args, dialect: Dialect, notices: &mut Vec<String>) -> Result<Option<Shard>, ConfigError> {
    let number = |name: &'static str| match std::env::var(name) {
        Ok(value) if dialect.era >= Era::V62 => match value.trim().parse::<i64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(ConfigError::BadVariable { name, value }),
        },
        _ => Ok(None),
    };
    let index = number("GTEST_SHARD_INDEX")?.map(|index| index.saturating_add(1));
    let environment = (number("GTEST_TOTAL_SHARDS")?, index);
    let count = environment.0.unwrap_or(args.shard_count);
    let run = environment.1.unwrap_or(args.shard_run);
    if args.shard_count > 1 && args.shard_count != count {
        notices.push(
            "shard_count from cmd line differs from environment variable GTEST_TOTAL_SHARDS".to_owned(),
        );
    }
    if args.shard_count > 1 && args.shard_run > 1 && args.shard_run != run {
        notices
            .push("shard_run from cmd line differs from environment variable GTEST_SHARD_INDEX".to_owned());
    }
    if count < 2 {
        return Ok(None);
    }
    if run < 1 || run > count {
        notices.push("shard-run not a valid number, should be in [1:shard-count]".to_owned());
        notices.push("defaulting back to running all tests".to_owned());
        return Ok(None);
    }
    Ok(Some(Shard { count: count.unsigned_abs(), run: run.unsigned_abs() }))
}

impl Config {
    /// The builds that the options mean; an engine brings its own.
    ///
    /// # Errors
    /// When a build named by hand is missing or contradicts the options, or none is there.
    pub fn builds(&self, matches: &ArgMatches, here: &Path) -> Result<build::Found, ConfigError> {
        let args = &self.args;
        let shell_dir = match (&args.shell_dir, &args.shell) {
            (Some(dir), _) if self.dialect.is_old() => Some(self.workspace.join(dir)),
            (Some(dir), _) => Some(here.join(dir)),
            (None, Some(shell)) => shell.parent().map(|dir| self.workspace.join(dir)),
            (None, None) => None,
        };
        // Since 10.2 V8 ignores --shell-dir with a warning.
        let shell_dir = shell_dir.filter(|_| self.dialect.is_old());
        let wanted = Wanted {
            outdir: args.outdir.clone(),
            outdir_typed: typed(matches, "outdir"),
            gn: args.gn,
            buildbot: args.buildbot,
            shell_dir,
            arch: args.arch.clone(),
            mode: args.mode.clone(),
            arch_and_mode: args.arch_and_mode.clone(),
            properties: self.typed_properties(),
            timeout_typed: args.timeout.is_some_and(|seconds| seconds >= 0),
        };
        Ok(build::find(&self.workspace, &self.runner, self.dialect, &wanted)?)
    }

    /// Build properties said by hand (2015/6.2).
    pub fn typed_properties(&self) -> Properties {
        let args = &self.args;
        [
            ("asan", args.asan),
            ("msan", args.msan),
            ("tsan", args.tsan),
            ("ubsan_vptr", args.ubsan_vptr),
            ("gcov_coverage", args.gcov_coverage),
            ("dcheck_always_on", args.dcheck_always_on),
            ("no_i18n", args.no_i18n),
            ("no_snap", args.no_snap),
            ("predictable", args.predictable),
            // Only 6.2 asks for it by hand; later builds say it themselves.
            ("cfi_vptr", args.cfi_vptr),
        ]
        .map(|(name, value)| (name.to_owned(), Property::Bool(value)))
        .into_iter()
        .collect()
    }

    /// What one build makes of flags, prefix and variants.
    ///
    /// # Errors
    /// On unknown variants and on text that a shell could not split.
    pub fn setup(&self, build: Build, table: &VariantTable) -> Result<Setup, ConfigError> {
        let predictable = build.predictable();
        let variants = self.variants(&build, table)?;
        let prefix = self.prefix(predictable)?;
        let extra_flags = self.extra_flags(&build, predictable)?;
        let predictable = predictable && self.dialect.is_old();
        let d8_only = build.is("asan") && self.dialect.has_d8_flags();
        let d8_flags = d8_only.then(|| "--invoke-weak-callbacks".to_owned()).into_iter().collect();
        Ok(Setup { build, variants, extra_flags, d8_flags, prefix, predictable })
    }

    fn variants(&self, build: &Build, table: &VariantTable) -> Result<Vec<String>, ConfigError> {
        let args = &self.args;
        let forced = build.predictable()
            || build.is("msan") && (!self.dialect.is_old() || args.variants.is_none())
            || build.is("tsan") && self.dialect.is_old() && args.variants.is_none();
        let requested = if forced || args.no_variants {
            Some("default")
        } else if args.stress_only {
            Some("stress")
        } else if args.no_stress {
            Some("default,nocrankshaft")
        } else if args.variants.is_some() {
            args.variants.as_deref()
        } else if args.quickcheck {
            Some("stress,default")
        } else if args.exhaustive_variants {
            Some("exhaustive")
        } else {
            None
        };
        // 10.2: the bots' name for everything.
        let requested = requested.map(|names| if names == "infra_staging" { "exhaustive" } else { names });
        Ok(table.resolve(requested, self.dialect)?)
    }

    fn prefix(&self, predictable: bool) -> Result<Vec<String>, ConfigError> {
        let mut prefix = split("--command-prefix", &self.args.command_prefix)?;
        if self.args.valgrind {
            let valgrind = ["python", "-u", "tools/run-valgrind.py"].map(str::to_owned);
            prefix = [valgrind.to_vec(), prefix].concat();
        }
        if predictable && !self.dialect.is_old() {
            let wrapper = self.workspace.join("tools/predictable_wrapper.py").to_string_lossy().into_owned();
            prefix = [vec!["python3".to_owned(), wrapper], prefix].concat();
        }
        Ok(prefix)
    }

    fn extra_flags(&self, build: &Build, predictable: bool) -> Result<Vec<String>, ConfigError> {
        let args = &self.args;
        let old = self.dialect.is_old();
        let mut flags = Vec::new();
        for text in &args.extra_flags {
            flags.extend(split("--extra-flags", text)?);
        }
        let mut add = |applies: bool, more: &[&str]| {
            if applies {
                flags.extend(more.iter().map(|flag| (*flag).to_owned()));
            }
        };
        add(args.gc_stress, gc_stress_flags(self.dialect));
        add(args.random_gc_stress, &["--random-gc-interval=5000", "--stress-compaction-random"]);
        add(build.is("asan") && !self.dialect.has_d8_flags(), &["--invoke-weak-callbacks"]);
        add(build.is("asan") && self.dialect.era == Era::V62, &["--omit-quit"]);
        add(args.novfp3, &["--noenable-vfp3"]);
        add(predictable && old, &["--predictable", "--verify_predictable", "--no-inline-new"]);
        add(predictable && !old, &["--predictable", "--verify-predictable", "--no-inline-new"]);
        let own = self.runner.bodies("_process_options");
        let omits = if own.is_empty() { self.dialect.era >= Era::V13 } else { own.contains("'--omit-quit'") };
        add(predictable && !old && omits, &["--omit-quit"]);
        Ok(flags)
    }
}

fn gc_stress_flags(dialect: Dialect) -> &'static [&'static str] {
    const FLAGS: &[&str] = &[
        "--gc-interval=500",
        "--stress-compaction",
        "--concurrent-recompilation-queue-length=64",
        "--concurrent-recompilation-delay=500",
        "--concurrent-recompilation",
        "--stress-flush-code",
        "--flush-bytecode",
        "--wasm-code-gc",
        "--stress-wasm-code-gc",
    ];
    if dialect.is_old() { &FLAGS[..5] } else { FLAGS }
}

fn split(option: &'static str, text: &str) -> Result<Vec<String>, ConfigError> {
    shlex::split(text).ok_or_else(|| ConfigError::Unsplittable { option, text: text.to_owned() })
}
