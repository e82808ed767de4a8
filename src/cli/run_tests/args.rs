//! What was typed: V8's options with V8's spelling and defaults, and a few of ours.
//!
//! Nothing is looked up here. Which options a dialect knew is decided by [`unknown_to`] once the tree is known.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Parser, ValueEnum};

use super::mesh::MeshArgs;
use crate::frontend::dialect::Era;

/// V8's progress styles, and two of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names are V8's own")]
pub enum Progress {
    Verbose,
    Ci,
    Dots,
    Color,
    Mono,
    Stream,
    None,
    /// Ours, the default on a terminal: a bar with counts, rate and the longest-running tests.
    Bar,
    /// Ours, the default elsewhere: failures as they happen, and a summary.
    Plain,
}

/// What runs the JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum EngineName {
    /// The shells of a build directory.
    #[default]
    Build,
    /// Node.js, as a V8 shell through a prelude.
    Node,
    /// The small engine compiled into this program.
    Embedded,
}

/// The flavour of runner whose tweaks apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are V8's own")]
pub enum Framework {
    Default,
    StandardRunner,
    NumFuzzer,
}

/// Runs the tests of a V8 checkout as V8's tools/run-tests.py does.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "run-tests",
    version,
    infer_long_args = true,
    args_override_self = true,
    max_term_width = 110
)]
pub struct Args {
    /// Groups, suites (`mjsunit`) or patterns (`mjsunit/array-*`); default: the group `default`.
    pub tests: Vec<String>,

    // Where the tests and the binaries are.
    /// Checkout to test; default: the one around the current directory.
    #[arg(long, value_name = "DIR", help_heading = "Tree and build")]
    pub workspace: Option<PathBuf>,
    /// Directory with compile output, relative to the checkout.
    #[arg(long, default_value = "out", help_heading = "Tree and build")]
    pub outdir: String,
    /// Use the newest directory under out.gn.
    #[arg(long, help_heading = "Tree and build")]
    pub gn: bool,
    /// Architectures, comma-separated; `auto` or `native` guesses.
    #[arg(long, help_heading = "Tree and build")]
    pub arch: Option<String>,
    /// Modes, comma-separated: debug, optdebug, release, tryrelease, slowrelease.
    #[arg(short, long, help_heading = "Tree and build")]
    pub mode: Option<String>,
    /// Comma-separated list of `arch.mode`; overrides both.
    #[arg(long, help_heading = "Tree and build")]
    pub arch_and_mode: Option<String>,
    /// Binaries are in OUTDIR/MODE.
    #[arg(long, help_heading = "Tree and build")]
    pub buildbot: bool,
    /// Directory with the executables.
    #[arg(long, value_name = "DIR", help_heading = "Tree and build")]
    pub shell_dir: Option<PathBuf>,
    /// Deprecated: its folder is taken as --shell-dir.
    #[arg(long, value_name = "FILE", help_heading = "Tree and build")]
    pub shell: Option<PathBuf>,
    /// Directory of suites; default: `test` in the checkout.
    #[arg(long, value_name = "DIR", help_heading = "Tree and build")]
    pub test_root: Option<PathBuf>,
    /// What runs the JavaScript.
    #[arg(long, value_enum, default_value = "build", help_heading = "Tree and build")]
    pub engine: EngineName,
    /// Run the sample tree that travels inside this program, on the embedded engine unless told otherwise.
    #[arg(long, help_heading = "Tree and build")]
    pub sample: bool,
    /// Android device (not supported).
    #[arg(short, long, help_heading = "Tree and build")]
    pub device: Option<String>,
    /// Never looks for other machines.
    #[arg(long, visible_alias = "no-network", help_heading = "Tree and build")]
    pub nonetwork: bool,

    /// Runs on several machines.
    #[command(flatten)]
    pub mesh: MeshArgs,

    // Which tests.
    /// Variants and aliases (dev, more, exhaustive, extra), comma-separated.
    #[arg(long, help_heading = "Selection")]
    pub variants: Option<String>,
    /// Deprecated: --variants=default.
    #[arg(long, alias = "novariants", help_heading = "Selection")]
    pub no_variants: bool,
    /// Deprecated: --variants=exhaustive.
    #[arg(long, help_heading = "Selection")]
    pub exhaustive_variants: bool,
    /// 2015: without the stress variant.
    #[arg(long, alias = "nostress", help_heading = "Selection")]
    pub no_stress: bool,
    /// 2015: only the stress variant.
    #[arg(long, help_heading = "Selection")]
    pub stress_only: bool,
    /// Tests marked SLOW: run, skip or dontcare.
    #[arg(long, value_name = "CHOICE", default_value = "dontcare", help_heading = "Selection")]
    pub slow_tests: String,
    /// Tests that may pass or fail: run, skip or dontcare.
    #[arg(long, value_name = "CHOICE", default_value = "dontcare", help_heading = "Selection")]
    pub pass_fail_tests: String,
    /// 2015: tests marked FLAKY: run, skip or dontcare.
    #[arg(long, value_name = "CHOICE", default_value = "dontcare", help_heading = "Selection")]
    pub flaky_tests: String,
    /// Variants default and stress, without slow and pass|fail tests.
    #[arg(long, help_heading = "Selection")]
    pub quickcheck: bool,
    /// Run tests marked SKIP, too.
    #[arg(long, help_heading = "Selection")]
    pub run_skipped: bool,
    /// File with one test name a line, added to the tests named here.
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub test_list: Option<PathBuf>,
    /// Split the tests into this many shards.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, help_heading = "Selection")]
    pub shard_count: i64,
    /// Run this shard, from 1.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, help_heading = "Selection")]
    pub shard_run: i64,
    /// Run slow tests on a simulator, too.
    #[arg(long, help_heading = "Selection")]
    pub dont_skip_slow_simulator_tests: bool,
    /// Which runner's tweaks apply.
    #[arg(long, value_enum, help_heading = "Selection")]
    pub framework: Option<Framework>,

    // How they run.
    /// Tests at once; 0: as many as there are processors.
    #[arg(short, default_value_t = 0, help_heading = "Running")]
    pub j: usize,
    /// Seconds a test may take before scaling; -1: the default.
    #[arg(short, long, allow_negative_numbers = true, help_heading = "Running")]
    pub timeout: Option<i64>,
    /// Stop after this many seconds; 0: never.
    #[arg(long, default_value_t = 0, help_heading = "Running")]
    pub total_timeout_sec: u64,
    /// Flags for every test command, split as a shell splits; repeatable.
    #[arg(long, allow_hyphen_values = true, action = ArgAction::Append, help_heading = "Running")]
    pub extra_flags: Vec<String>,
    /// Prepended to every command, split as a shell splits.
    #[arg(long, default_value = "", allow_hyphen_values = true, help_heading = "Running")]
    pub command_prefix: String,
    /// Run each test twice in one process, in two isolates.
    #[arg(long, help_heading = "Running")]
    pub isolates: bool,
    /// Without mjsunit.js.
    #[arg(long, alias = "noharness", help_heading = "Running")]
    pub no_harness: bool,
    /// Random seed; 0: one chosen for the run.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, help_heading = "Running")]
    pub random_seed: i64,
    /// Run each test this many times with different seeds.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = at_least_0, help_heading = "Running")]
    pub random_seed_stress_count: u32,
    /// Run a failing test again up to this many times.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = at_least_0, help_heading = "Running")]
    pub rerun_failures_count: u32,
    /// At most this many reruns (until 6.2: rerun tests) in all.
    #[arg(long, default_value_t = 100, allow_negative_numbers = true, value_parser = at_least_0, help_heading = "Running")]
    pub rerun_failures_max: u32,
    /// Stop after this many failures; 0: never.
    #[arg(long, value_name = "N", help_heading = "Running")]
    pub exit_after_n_failures: Option<usize>,
    /// Stress garbage collection.
    #[arg(long, help_heading = "Running")]
    pub gc_stress: bool,
    /// Stress garbage collection at random intervals.
    #[arg(long, help_heading = "Running")]
    pub random_gc_stress: bool,
    /// Overwrite the expectation files of tests whose output differs.
    #[arg(long, help_heading = "Running")]
    pub regenerate_expected_files: bool,
    /// Heavy tests at once under --swarming.
    #[arg(long, default_value_t = 1, help_heading = "Running")]
    pub max_heavy_tests: usize,
    /// Do not use the fork server (this runner has none).
    #[arg(long, help_heading = "Running")]
    pub no_fork_server: bool,
    /// Compare the allocations of several runs.
    #[arg(long, help_heading = "Running")]
    pub predictable: bool,
    /// Run under tools/run-valgrind.py.
    #[arg(long, help_heading = "Running")]
    pub valgrind: bool,
    /// Do not order tests by the duration of earlier runs.
    #[arg(long, alias = "nosorting", help_heading = "Running")]
    pub no_sorting: bool,
    /// This run is driven by Swarming.
    #[arg(long, help_heading = "Running")]
    pub swarming: bool,

    // What the build is, where no build configuration says it.
    /// AddressSanitizer.
    #[arg(long, help_heading = "Build properties")]
    pub asan: bool,
    /// MemorySanitizer.
    #[arg(long, help_heading = "Build properties")]
    pub msan: bool,
    /// ThreadSanitizer.
    #[arg(long, help_heading = "Build properties")]
    pub tsan: bool,
    /// UndefinedBehaviorSanitizer (vptr).
    #[arg(long, help_heading = "Build properties")]
    pub ubsan_vptr: bool,
    /// UBSan's cfi_vptr; no effect since 10.2.
    #[arg(long, help_heading = "Build properties")]
    pub cfi_vptr: bool,
    /// Instrumented with gcov.
    #[arg(long, help_heading = "Build properties")]
    pub gcov_coverage: bool,
    /// DCHECKs are on.
    #[arg(long, help_heading = "Build properties")]
    pub dcheck_always_on: bool,
    /// Without internationalization.
    #[arg(long, alias = "noi18n", help_heading = "Build properties")]
    pub no_i18n: bool,
    /// Without snapshot.
    #[arg(long, alias = "nosnap", help_heading = "Build properties")]
    pub no_snap: bool,
    /// Without VFP3.
    #[arg(long, help_heading = "Build properties")]
    pub novfp3: bool,
    /// Directory for sanitizer coverage; must exist.
    #[arg(long, value_name = "DIR", help_heading = "Build properties")]
    pub sancov_dir: Option<PathBuf>,

    // What is told.
    /// Progress style.
    #[arg(short, long, value_enum, help_heading = "Reports")]
    pub progress: Option<Progress>,
    /// No progress.
    #[arg(long, overrides_with = "no_quiet", help_heading = "Reports")]
    pub quiet: bool,
    /// Progress even where the environment asks for quiet.
    #[arg(long, overrides_with = "quiet", help_heading = "Reports")]
    pub no_quiet: bool,
    /// Print each command before it runs.
    #[arg(short, long, help_heading = "Reports")]
    pub verbose: bool,
    /// File for results as JSON.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub json_test_results: Option<PathBuf>,
    /// File for results as JUnit XML.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub junitout: Option<PathBuf>,
    /// Name of the test suite in the JUnit file.
    #[arg(long, default_value = "v8tests", help_heading = "Reports")]
    pub junittestsuite: String,
    /// 6.2: file for flakiness results as JSON.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub flakiness_results: Option<PathBuf>,
    /// With `-p ci`: file that gets a line a test.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub ci_test_completion: Option<PathBuf>,
    /// File for memory statistics (not supported).
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub log_system_memory: Option<PathBuf>,
    /// File for the start and end of each test.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub log_test_schedule: Option<PathBuf>,
    /// Length of the list of slowest tests in the JSON results.
    #[arg(long, default_value_t = 100, help_heading = "Reports")]
    pub slow_tests_cutoff: usize,
    /// Print the slowest tests afterwards.
    #[arg(long, help_heading = "Reports")]
    pub time: bool,
    /// Print counts of what is expected.
    #[arg(long, help_heading = "Reports")]
    pub report: bool,
    /// Print the sources of the tests instead of running them.
    #[arg(long, help_heading = "Reports")]
    pub cat: bool,
    /// Name rules of status files that matched no test.
    #[arg(long, help_heading = "Reports")]
    pub warn_unused: bool,
    /// List the tests that would run, one a line, instead of running them.
    #[arg(long, help_heading = "Reports")]
    pub list: bool,
    /// With --list or --dry-run: one JSON object a line.
    #[arg(long, help_heading = "Reports")]
    pub json: bool,
    /// Print the command lines instead of running them.
    #[arg(long, help_heading = "Reports")]
    pub dry_run: bool,
    /// Print completions for a shell.
    #[arg(long, value_name = "SHELL", help_heading = "Reports")]
    pub completions: Option<clap_complete::Shell>,

    // Accepted for V8's bots; without effect.
    /// No effect.
    #[arg(long, hide = true)]
    pub infra_staging: bool,
    /// No effect.
    #[arg(long, hide = true)]
    pub no_infra_staging: bool,
    /// No effect.
    #[arg(long, hide = true)]
    pub mastername: Option<String>,
    /// No effect.
    #[arg(long, hide = true)]
    pub buildername: Option<String>,
    /// No effect here: presubmit checks are never run.
    #[arg(long, alias = "nopresubmit", hide = true)]
    pub no_presubmit: bool,
    /// Not supported: fetches data from the network.
    #[arg(long, hide = true)]
    pub download_data: bool,
    /// Not supported: fetches data from the network.
    #[arg(long, hide = true)]
    pub download_data_only: bool,
}

/// A count: V8 takes any integer, and one below 0 for 0.
fn at_least_0(text: &str) -> Result<u32, std::num::ParseIntError> {
    let number: i64 = text.trim().parse()?;
    Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
}

/// First and last era that knew an option; options missing here are known everywhere (or are ours).
const ERAS: &[(&str, Era, Era)] = &[
    ("mode", Era::V2015, Era::V157),
    ("arch_and_mode", Era::V2015, Era::V62),
    ("buildbot", Era::V2015, Era::V62),
    ("shell", Era::V2015, Era::V62),
    ("asan", Era::V2015, Era::V62),
    ("msan", Era::V2015, Era::V62),
    ("tsan", Era::V2015, Era::V62),
    ("ubsan_vptr", Era::V62, Era::V62),
    ("gcov_coverage", Era::V62, Era::V62),
    ("dcheck_always_on", Era::V2015, Era::V62),
    ("no_i18n", Era::V2015, Era::V62),
    ("no_snap", Era::V2015, Era::V62),
    ("predictable", Era::V2015, Era::V62),
    ("valgrind", Era::V2015, Era::V62),
    ("no_stress", Era::V2015, Era::V2015),
    ("stress_only", Era::V2015, Era::V2015),
    ("flaky_tests", Era::V2015, Era::V2015),
    ("download_data", Era::V2015, Era::V62),
    ("download_data_only", Era::V2015, Era::V62),
    ("gn", Era::V62, Era::V157),
    ("cfi_vptr", Era::V62, Era::V157),
    ("novfp3", Era::V62, Era::V157),
    ("sancov_dir", Era::V62, Era::V157),
    ("swarming", Era::V62, Era::V157),
    ("rerun_failures_count", Era::V2015, Era::V157),
    ("random_seed_stress_count", Era::V62, Era::V157),
    ("exhaustive_variants", Era::V62, Era::V157),
    ("flakiness_results", Era::V62, Era::V157),
    ("dont_skip_slow_simulator_tests", Era::V62, Era::V157),
    ("test_root", Era::V102, Era::V157),
    ("total_timeout_sec", Era::V102, Era::V157),
    ("infra_staging", Era::V102, Era::V157),
    ("no_infra_staging", Era::V102, Era::V157),
    ("device", Era::V102, Era::V157),
    ("exit_after_n_failures", Era::V102, Era::V157),
    ("ci_test_completion", Era::V102, Era::V157),
    ("run_skipped", Era::V102, Era::V157),
    ("regenerate_expected_files", Era::V102, Era::V157),
    ("mastername", Era::V102, Era::V157),
    ("buildername", Era::V102, Era::V157),
    ("random_gc_stress", Era::V102, Era::V157),
    ("max_heavy_tests", Era::V102, Era::V157),
    ("slow_tests_cutoff", Era::V102, Era::V157),
    ("junitout", Era::V2015, Era::V13),
    ("junittestsuite", Era::V2015, Era::V13),
    ("quiet", Era::V13, Era::V157),
    ("no_quiet", Era::V13, Era::V157),
    ("log_system_memory", Era::V13, Era::V157),
    ("log_test_schedule", Era::V13, Era::V157),
    ("no_fork_server", Era::V157, Era::V157),
    ("test_list", Era::V13, Era::V157),
    ("framework", Era::V13, Era::V157),
];

/// Options that were typed although the dialect did not have them, with the eras that did: `(--name, from, to)`.
pub fn unknown_to(era: Era, matches: &ArgMatches) -> Vec<(String, Era, Era)> {
    ERAS.iter()
        .filter(|(id, first, last)| {
            matches.value_source(id) == Some(ValueSource::CommandLine) && !(*first..=*last).contains(&era)
        })
        .map(|(id, first, last)| (format!("--{}", id.replace('_', "-")), *first, *last))
        .collect()
}

/// Whether an option was typed (and not defaulted).
pub fn typed(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, FromArgMatches};

    fn parse(line: &[&str]) -> (Args, ArgMatches) {
        let matches = Args::command().try_get_matches_from([&["run-tests"], line].concat()).unwrap();
        (Args::from_arg_matches(&matches).unwrap(), matches)
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
        let command = Args::command();
        for (id, first, last) in ERAS {
            assert!(command.get_arguments().any(|arg| arg.get_id() == id), "{id} is no option");
            assert!(first <= last, "{id}");
        }
    }

    #[test]
    fn options_and_tests_interleave_and_abbreviate_as_optparse_allows() {
        let (args, _) = parse(&["mjsunit", "-j4", "--json-test=x.json", "--noharness", "message", "-t", "5"]);
        assert_eq!(args.tests, ["mjsunit", "message"]);
        assert_eq!((args.j, args.timeout, args.no_harness), (4, Some(5), true));
        assert_eq!(args.json_test_results.unwrap().to_str(), Some("x.json"));
    }

    #[test]
    fn the_seed_usage_stays_valid() {
        let (args, _) = parse(&["--nonetwork", "--arch", "ia32", "--mode", "release"]);
        assert!(args.nonetwork);
        assert_eq!((args.arch.as_deref(), args.mode.as_deref()), (Some("ia32"), Some("release")));
    }

    #[test]
    fn extra_flags_are_repeatable_and_may_look_like_options() {
        let (args, _) = parse(&["--extra-flags=--a --b", "--extra-flags", "--c", "mjsunit"]);
        assert_eq!(args.extra_flags, ["--a --b", "--c"]);
        assert_eq!(args.tests, ["mjsunit"]);
    }

    #[test]
    fn an_option_of_another_era_is_found_only_when_typed() {
        let (_, matches) = parse(&["--flaky-tests=run", "mjsunit"]);
        assert_eq!(unknown_to(Era::V2015, &matches), []);
        assert_eq!(unknown_to(Era::V62, &matches), [("--flaky-tests".to_owned(), Era::V2015, Era::V2015)]);
        let (_, matches) = parse(&["mjsunit"]);
        assert_eq!(unknown_to(Era::V2015, &matches), []);
    }

    #[test]
    fn bad_options_and_choices_are_errors() {
        for line in [&["--no-such-option"][..], &["-p", "rainbow"], &["-j", "many"]] {
            let error = Args::command().try_get_matches_from([&["run-tests"], line].concat()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}
