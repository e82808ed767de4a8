//! Case + build -> job: the command line, byte for byte V8's (reference §4 "Command shape", §5.4, §5.5).
//!
//! Reads the test's source through its suite; starts nothing and knows no worker. Called when a slot is about to run
//! the case, so that no more command lines are in memory than run.

use std::path::Path;
use std::time::Duration;

use super::build::Build;
use super::dialect::{Dialect, Era};
use super::discover::{Check, DiscoverError, ExitRule, Part, Recipe, Shell, SuiteContext};
use super::select::{Case, Selection};
use super::status::{Actual, Expectation, Keyword, expectation};
use super::variants::{FlagSets, VariantTable};
use crate::engine::Engine;
use crate::job::{Arg, Job, JobId, Limits, Root, RootedPath};

/// Bytes kept of each stream of a test.
pub const OUTPUT_CAP: u64 = 10 << 20;

/// What all cases of one build share.
#[derive(Debug)]
pub struct Lowering<'a> {
    /// What the suites need.
    pub context: SuiteContext<'a>,
    /// The build.
    pub build: &'a Build,
    /// What runs the JavaScript.
    pub engine: &'a Engine,
    /// The tree's variants.
    pub variants: &'a VariantTable,
    /// Names of the selected variants.
    pub selected: &'a [String],
    /// Stands before every command.
    pub prefix: &'a [String],
    /// Flags for every command.
    pub extra_flags: &'a [String],
    /// Flags for every command of d8, behind those.
    pub d8_flags: &'a [String],
    /// `--isolates`.
    pub isolates: bool,
    /// The run's seed; none when each subtest has its own.
    pub seed: Option<i64>,
    /// Draws a subtest's own seed.
    pub draw_seed: fn(case: u64) -> i64,
    /// Timeout before any factor.
    pub timeout: Duration,
    /// `--sancov-dir`, as typed.
    pub sancov_dir: Option<&'a str>,
}

/// A case ready to run and to be judged.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// What runs.
    pub job: Job,
    /// What must run before, with exit code 0; else its output is the test's (2015's cctest).
    pub dependency: Option<Vec<Arg>>,
    /// How its output is judged.
    pub check: Check,
    /// The check is inverted.
    pub negative: bool,
    /// Which outcomes are as expected.
    pub expectation: Expectation,
    /// Why a flag contradiction is expected.
    pub contradiction: Option<String>,
    /// Where `--regenerate-expected-files` writes.
    pub expected_file: Option<std::path::PathBuf>,
    /// Name of the shell.
    pub shell: String,
    /// Flags of the variant (with `--use-strict` where test262 doubles).
    pub variant_flags: Vec<String>,
    /// Flags of the variant and of the status file: what 2015/6.2 call the test's flags.
    pub test_flags: Vec<String>,
    /// The seed on the command line; 0 if none.
    pub seed: i64,
}

impl Lowering<'_> {
    fn dialect(&self) -> Dialect {
        self.context.dialect
    }

    /// Makes the job of a case.
    ///
    /// # Errors
    /// When the test's files vanished or cannot be understood.
    pub fn lower(&self, selection: &Selection, case: &Case, index: u32) -> Result<Lowered, DiscoverError> {
        let (suite, test) = selection.test(case);
        let recipe = suite.recipe(&self.context, test, &case.subtest)?;
        let flags = Flags::of(self, case, &recipe);
        let seed = self.seed_of(case, index);
        let parameters = self.parameters(&recipe, &flags, seed);
        let strict = case.subtest.strict;
        let contradiction = self.contradiction(case, &recipe, &flags);
        let expectation = match &contradiction {
            Some(_) => Expectation::only_fail(),
            None => expectation(&case.matched, self.dialect(), suite.is_test262(), strict),
        };
        // Since 2018 a wrapper compares runs, and its exit code is all that counts.
        let wrapped = self.build.predictable() && !self.dialect().is_old();
        let slow = case.matched.outcomes.is_slow(self.dialect());
        let limits = Limits {
            wall: self.wall(&recipe, &parameters, &flags, slow),
            output: OUTPUT_CAP,
            ladder: self.dialect().ladder(),
        };
        let argv = self.argv(&recipe, parameters);
        let shell = self.shell_name(&recipe);
        Ok(Lowered {
            dependency: test.dependency.as_deref().map(|other| dependency(&argv, &test.name, other)),
            job: Job {
                id: JobId { run: 0, sequence: index, attempt: 0 },
                argv,
                env: self.environment(&recipe),
                cwd: RootedPath { root: Root::Workspace, path: String::new() },
                limits,
            },
            negative: !wrapped && (recipe.negative || case.subtest.reverse),
            expectation: if wrapped { Expectation::only_pass() } else { expectation },
            contradiction,
            expected_file: recipe.expected_file,
            shell,
            check: if wrapped { Check::ExitCode } else { recipe.check },
            variant_flags: flags.variant,
            test_flags: flags.test,
            seed,
        })
    }

    /// Whether a case can run where allocations are compared: those that fail, on purpose or not, and those of other
    /// shells than d8 print none (reference §5.10). A case that cannot be described stays, so that it is told.
    pub fn suits_predictable(&self, selection: &Selection, case: &Case) -> bool {
        let (suite, test) = selection.test(case);
        let Ok(recipe) = suite.recipe(&self.context, test, &case.subtest) else { return true };
        let flags = Flags::of(self, case, &recipe);
        let expected = expectation(&case.matched, self.dialect(), suite.is_test262(), case.subtest.strict);
        let fails = recipe.negative
            || case.subtest.reverse
            || matches!(recipe.check, Check::Message { exit: ExitRule::NonZero, .. })
            || expected.accepts(Actual::Fail)
            || self.contradiction(case, &recipe, &flags).is_some();
        recipe.shell == Shell::Named("d8".to_owned()) && !fails
    }

    /// The flags of a case's variant, with `--use-strict` where test262 doubles.
    pub fn variant_flags(&self, case: &Case) -> Vec<String> {
        let name = &self.selected[usize::from(case.subtest.variant)];
        let mut flags = match case.subtest.instead {
            Some(flags) => flags.iter().map(|flag| (*flag).to_owned()).collect(),
            None => self.variants.flags(name, case.subtest.fast).to_vec(),
        };
        flags.extend(case.subtest.strict.then(|| "--use-strict".to_owned()));
        flags
    }

    /// What results call the shell: 2015/6.2 name a suite's usual one, also where a test has its own.
    fn shell_name(&self, recipe: &Recipe) -> String {
        match &recipe.shell {
            Shell::Named(name) if self.dialect().is_old() && name.starts_with("v8_simple_") => {
                "d8".to_owned()
            }
            Shell::Named(name) => name.clone(),
            Shell::Command(_) => "command".to_owned(),
        }
    }

    fn seed_of(&self, case: &Case, index: u32) -> i64 {
        self.seed.unwrap_or_else(|| (self.draw_seed)(u64::from(index) << 32 | u64::from(case.seed_copy)))
    }

    /// Everything behind the shell.
    fn parameters(&self, recipe: &Recipe, flags: &Flags, seed: i64) -> Vec<Arg> {
        let mut parameters = if self.dialect().is_old() {
            self.old_parameters(recipe, flags, seed)
        } else {
            self.modern_parameters(recipe, flags, seed)
        };
        if let Some(dropped) = recipe.dropped_flag.filter(|_| !self.dialect().is_old()) {
            parameters.retain(|arg| !matches!(arg, Arg::Text(text) if text == dropped));
        }
        // 2015 and 6.2 drop empty arguments before they start a process.
        if self.dialect().is_old() {
            parameters.retain(|arg| !matches!(arg, Arg::Text(text) if text.is_empty()));
        }
        parameters
    }

    fn test_flag(&self, recipe: &Recipe) -> Option<&'static str> {
        (recipe.shell == Shell::Named("d8".to_owned())).then_some("--test")
    }

    fn files(&self, recipe: &Recipe) -> Vec<Arg> {
        let mut files = recipe.files.clone();
        if self.isolates && recipe.isolates {
            files.push(Arg::Text("--isolate".to_owned()));
            files.extend(recipe.files.iter().cloned());
        }
        files
    }

    /// Since 10.2: files first, then every kind of flag in a fixed order.
    fn modern_parameters(&self, recipe: &Recipe, flags: &Flags, seed: i64) -> Vec<Arg> {
        let mut parameters = texts(self.test_flag(recipe).as_slice());
        parameters.extend(self.files(recipe));
        parameters.push(Arg::Text(format!("--random-seed={seed}")));
        if recipe.bare {
            parameters.extend(texts(self.extra_flags));
            return parameters;
        }
        let d8_flags = if self.test_flag(recipe).is_some() { self.d8_flags } else { &[] };
        for group in
            [&self.build.mode_flags[..], self.extra_flags, d8_flags, &flags.variant, &recipe.source_flags]
        {
            parameters.extend(texts(group));
        }
        parameters.extend(texts(&recipe.suite_flags));
        parameters.extend(texts(&flags.status));
        parameters
    }

    /// 2015 and 6.2: the suite's own order, extra flags last.
    fn old_parameters(&self, recipe: &Recipe, flags: &Flags, seed: i64) -> Vec<Arg> {
        let mut parameters = texts(self.test_flag(recipe).as_slice());
        // With several seeds a test, 6.2 puts each one's among the test's flags.
        if self.seed.is_some() || self.dialect().era == Era::V2015 {
            parameters.push(Arg::Text(format!("--random-seed={seed}")));
        }
        for part in recipe.layout {
            match part {
                Part::TestFlags => {
                    parameters.extend(texts(&flags.test));
                    if self.seed.is_none() && self.dialect().era == Era::V62 {
                        parameters.push(Arg::Text(format!("--random-seed={seed}")));
                    }
                }
                // 2015/6.2 drop a suite's unwanted flag from these two only.
                Part::Mode => parameters.extend(without(&self.build.mode_flags, recipe.dropped_flag)),
                Part::Source => parameters.extend(without(&recipe.source_flags, recipe.dropped_flag)),
                Part::Suite => parameters.extend(texts(&recipe.suite_flags)),
                Part::Files => parameters.extend(self.files(recipe)),
                Part::SuiteTail => parameters.extend(texts(&recipe.suite_tail)),
                Part::Serialized => parameters.extend(serialized(recipe, flags)),
                Part::StatusFlags => parameters.extend(texts(&flags.status)),
                Part::Features => parameters.extend(texts(&recipe.feature_flags)),
            }
        }
        parameters.extend(texts(self.extra_flags));
        parameters
    }

    fn argv(&self, recipe: &Recipe, parameters: Vec<Arg>) -> Vec<Arg> {
        let mut argv = texts(self.prefix);
        match &recipe.shell {
            Shell::Named(name) => argv.extend(self.engine.program(name, self.dialect())),
            Shell::Command(command) => argv.extend(command.iter().cloned()),
        }
        argv.extend(parameters);
        argv
    }

    fn environment(&self, recipe: &Recipe) -> Vec<(String, Arg)> {
        let workspace = self.context.workspace;
        let mut env = sanitizer_environment(self.build, self.dialect(), workspace, self.sancov_dir);
        env.extend(recipe.env.iter().cloned());
        env
    }

    fn contradiction(&self, case: &Case, recipe: &Recipe, flags: &Flags) -> Option<String> {
        if self.dialect().is_old() || recipe.bare {
            return None;
        }
        let own: Vec<String> = [&recipe.source_flags[..], &recipe.suite_flags, &flags.status].concat();
        let variant = &self.selected[usize::from(case.subtest.variant)];
        let sets = FlagSets {
            own: &own,
            variant: &flags.variant,
            extra: self.extra_flags,
            mode: &self.build.mode_flags,
        };
        let found = self.variants.contradiction(self.dialect(), variant, sets, &|name| self.build.is(name));
        found.map(|contradiction| contradiction.to_string())
    }

    /// The time a case may take: 2015/6.2 look for telling flags among those of the test, the mode and every command,
    /// later runners in the whole command line.
    fn wall(&self, recipe: &Recipe, parameters: &[Arg], flags: &Flags, slow: bool) -> Duration {
        let looked_at: Vec<String> = if self.dialect().is_old() {
            [&flags.test[..], &self.build.mode_flags, self.extra_flags].concat()
        } else {
            parameters.iter().filter_map(text_of).collect()
        };
        let factor = self.build.timeout_factor
            * self.dialect().case_factor(&looked_at, slow)
            * f64::from(recipe.timeout_factor.max(1));
        self.timeout.mul_f64(factor)
    }
}

/// Where a test of 2015's cctest leaves what another one reads, below the checkout.
pub const SERIALIZED: &str = "out/.serdes";

/// The option that names that file: after the test and its flags.
fn serialized(recipe: &Recipe, flags: &Flags) -> Option<Arg> {
    let name = recipe.files.first().and_then(text_of)?;
    let last = name.rsplit('/').next().unwrap_or_default();
    let flags = flags.test.concat().replace('-', "_");
    let path = RootedPath { root: Root::Workspace, path: format!("{SERIALIZED}/serdes_{last}{flags}") };
    let before = "--testing_serialization_file=".to_owned();
    Some(Arg::Within { before, path, after: String::new() })
}

/// The command line of the test that must have run before: the same with the other name.
fn dependency(argv: &[Arg], name: &str, dependency: &str) -> Vec<Arg> {
    let replaced = |arg: &Arg| match arg {
        Arg::Text(text) => Arg::Text(text.replace(name, dependency)),
        other => other.clone(),
    };
    argv.iter().map(replaced).collect()
}

fn text_of(arg: &Arg) -> Option<String> {
    match arg {
        Arg::Text(text) => Some(text.clone()),
        Arg::Path(_) | Arg::Relative(_) | Arg::Within { .. } => None,
    }
}

/// The flags of one case by origin.
struct Flags {
    /// Of the variant.
    variant: Vec<String>,
    /// Of the status file, starting `--`.
    status: Vec<String>,
    /// Of the test itself, of the variant and of `'Flags: …'` outcomes.
    test: Vec<String>,
}

impl Flags {
    fn of(lowering: &Lowering<'_>, case: &Case, recipe: &Recipe) -> Self {
        let variant = lowering.variant_flags(case);
        let matched = &case.matched;
        let test = [&recipe.own_flags[..], &matched.flags, &variant, &matched.late_flags].concat();
        let status = matched.status_flags.clone();
        Flags { variant, status, test }
    }
}

fn texts<T: AsRef<str>>(texts: &[T]) -> Vec<Arg> {
    texts.iter().map(|text| Arg::Text(text.as_ref().to_owned())).collect()
}

fn without(flags: &[String], dropped: Option<&str>) -> Vec<Arg> {
    let kept: Vec<&String> = flags.iter().filter(|flag| Some(flag.as_str()) != dropped).collect();
    texts(&kept)
}

/// What sanitizer builds want in their environment (reference §5.4).
fn sanitizer_environment(
    build: &Build,
    dialect: Dialect,
    workspace: &Path,
    sancov_dir: Option<&str>,
) -> Vec<(String, Arg)> {
    let file = |before: &str, path: &str, after: &str| Arg::Within {
        before: before.to_owned(),
        path: RootedPath { root: Root::Workspace, path: path.to_owned() },
        after: after.to_owned(),
    };
    const SYMBOLIZER: &str = "third_party/llvm-build/Release+Asserts/bin/llvm-symbolizer";
    let symbolizer =
        |before: &str, after: &str| file(&format!("{before}external_symbolizer_path="), SYMBOLIZER, after);
    let leaks = if cfg!(target_os = "macos") { 0 } else { 1 };
    let asan = match (dialect.era, leaks) {
        (Era::V62, 0) => ":allow_user_segv_handler=1".to_owned(),
        (Era::V62, _) => ":allow_user_segv_handler=1:detect_leaks=1".to_owned(),
        _ => format!(":allow_user_segv_handler=1:allocator_may_return_null=1:detect_leaks={leaks}"),
    };
    let tsan = " exit_code=0 report_thread_leaks=0 history_size=7 report_destroy_locked=0";
    let suppressions = "tools/sanitizers/tsan_suppressions.txt";
    let any = |names: [&str; 2]| names.iter().any(|name| build.is(name));
    let since_62 = dialect.era >= Era::V62;
    // Two paths in one value: the symbolizer's is this machine's own, as text; no peer has the program anyway.
    let tsan_before = if since_62 {
        format!("external_symbolizer_path={} suppressions=", workspace.join(SYMBOLIZER).display())
    } else {
        "suppressions=".to_owned()
    };
    let mut env = Vec::new();
    let mut set = |applies: bool, name: &str, value: Arg| {
        if applies {
            env.push((name.to_owned(), value));
        }
    };
    set(since_62 && build.is("asan"), "ASAN_OPTIONS", symbolizer("", &asan));
    set(
        since_62 && any(["cfi_vptr", "cfi"]),
        "UBSAN_OPTIONS",
        symbolizer("print_stacktrace=1:print_summary=1:symbolize=1:", ""),
    );
    set(since_62 && any(["ubsan_vptr", "ubsan"]), "UBSAN_OPTIONS", symbolizer("print_stacktrace=1:", ""));
    set(since_62 && build.is("msan"), "MSAN_OPTIONS", symbolizer("", ""));
    set(build.is("tsan"), "TSAN_OPTIONS", file(&tsan_before, suppressions, if since_62 { tsan } else { "" }));
    set(build.is("sandbox_hardware_support"), "LD_BIND_NOW", Arg::Text("1".to_owned()));
    set(build.is("sandbox_hardware_support"), "GLIBC_TUNABLES", Arg::Text("glibc.pthread.rseq=0".to_owned()));
    if let Some(dir) = sancov_dir {
        // Coverage wins over what an ASAN build wants.
        env.retain(|(name, _)| name != "ASAN_OPTIONS");
        let before = format!("coverage=1:coverage_dir={dir}:");
        env.push(("ASAN_OPTIONS".to_owned(), symbolizer(&before, ":allow_user_segv_handler=1")));
    }
    env
}

/// Whether a case is marked HEAVY.
pub fn is_heavy(case: &Case) -> bool {
    case.matched.outcomes.has(Keyword::Heavy)
}
