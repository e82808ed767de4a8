//! The records of each generation's JSON, fields in V8's order: Python 2's hash order up to 9.x, V8's own since.
//!
//! Types only; what goes into them is decided by the parent.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::{Brief, CaseInfo, Finished, JsonConfig, exit_code, result, stderr, text};
use crate::report::wording::Wording;

/// What the standard runner calls itself.
const FRAMEWORK: &str = "standard_runner";

/// Outcomes in the order in which Python 2 goes through a small set of them.
fn in_set_order(outcomes: &[&'static str]) -> Vec<&'static str> {
    const ORDER: [&str; 13] = [
        "FAIL",
        "PASS_OR_FAIL",
        "NO_VARIANTS",
        "SKIP",
        "FAIL_SLOPPY",
        "FAST_VARIANTS",
        "FLAKY",
        "SLOW",
        "CRASH",
        "OKAY",
        "FAIL_OK",
        "TIMEOUT",
        "PASS",
    ];
    let mut sorted = outcomes.to_vec();
    sorted.sort_by_key(|outcome| ORDER.iter().position(|known| known == outcome));
    sorted
}

/// 2015: an object of the array.
#[derive(Debug, Serialize)]
pub(super) struct Runs2015<'a> {
    pub(super) arch: &'a str,
    pub(super) mode: &'a str,
    pub(super) results: Vec<Run2015<'a>>,
}

/// 2015: a run.
#[derive(Debug, Serialize)]
pub(super) struct Run2015<'a> {
    run: u32,
    flags: &'a [String],
    name: &'a str,
    stderr: Cow<'a, str>,
    stdout: Cow<'a, str>,
    expected: Vec<&'static str>,
    command: &'a str,
    /// Ours: where it ran, if not on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    exit_code: Option<i32>,
    result: &'static str,
}

impl<'a> Run2015<'a> {
    pub(super) fn new(run: &'a Finished) -> Self {
        Run2015 {
            run: run.run,
            flags: &run.case.test_flags,
            name: &run.case.name,
            stderr: stderr(run, true),
            stdout: text(&run.output.stdout, true),
            expected: in_set_order(&run.case.expected),
            command: &run.case.relative_command,
            peer: run.peer.as_deref(),
            exit_code: exit_code(&run.output.exit),
            result: result(run),
        }
    }
}

/// 6.2 and 7.9: an object of the array.
#[derive(Debug, Serialize)]
pub(super) struct RunsOf62<'a> {
    pub(super) test_total: usize,
    pub(super) duration_mean: Option<f64>,
    pub(super) results: Vec<OldRun<'a>>,
    pub(super) slowest_tests: Vec<OldSlowest<'a>>,
    pub(super) mode: &'a str,
    pub(super) arch: &'a str,
}

/// 6.2 and, with two more fields, 7.9 and 9.0: a run.
#[derive(Debug, Serialize)]
pub(super) struct OldRun<'a> {
    random_seed: i64,
    stdout: Cow<'a, str>,
    target_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    framework_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant_flags: Option<&'a [String]>,
    variant: &'a str,
    result: &'static str,
    duration: f64,
    run: u32,
    name: &'a str,
    exit_code: Option<i32>,
    flags: &'a [String],
    stderr: Cow<'a, str>,
    expected: Vec<&'static str>,
    command: &'a str,
    /// Ours: where it ran, if not on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
}

impl<'a> OldRun<'a> {
    pub(super) fn of_62(run: &'a Finished) -> Self {
        OldRun {
            random_seed: run.case.random_seed,
            stdout: text(&run.output.stdout, true),
            target_name: &run.case.shell,
            framework_name: None,
            variant_flags: None,
            variant: &run.case.variant,
            result: result(run),
            duration: run.output.duration.as_secs_f64(),
            run: run.run,
            name: &run.case.name,
            exit_code: exit_code(&run.output.exit),
            flags: &run.case.test_flags,
            stderr: stderr(run, true),
            expected: in_set_order(&run.case.expected),
            command: &run.case.relative_command,
            peer: run.peer.as_deref(),
        }
    }

    pub(super) fn of_79(run: &'a Finished) -> Self {
        OldRun {
            framework_name: Some(FRAMEWORK),
            variant_flags: Some(&run.case.variant_flags),
            flags: &run.case.arguments,
            expected: run.case.expected.clone(),
            ..OldRun::of_62(run)
        }
    }
}

/// 6.2 and 7.9: a slow case.
#[derive(Debug, Serialize)]
pub(super) struct OldSlowest<'a> {
    duration: f64,
    command: &'a str,
    marked_slow: bool,
    flags: &'a [String],
    name: &'a str,
}

impl<'a> OldSlowest<'a> {
    pub(super) fn of_62(case: &'a CaseInfo, duration: Duration) -> Self {
        OldSlowest {
            duration: duration.as_secs_f64(),
            command: &case.relative_command,
            marked_slow: case.slow,
            flags: &case.test_flags,
            name: &case.name,
        }
    }

    pub(super) fn of_79(brief: &'a Brief) -> Self {
        OldSlowest { flags: &brief.case.arguments, ..OldSlowest::of_62(&brief.case, brief.duration) }
    }
}

/// 9.x: the whole file.
#[derive(Debug, Serialize)]
pub(super) struct ResultsOf90<'a> {
    pub(super) duration_mean: Option<f64>,
    pub(super) slowest_tests: Vec<SlowestOf90<'a>>,
    pub(super) results: Vec<OldRun<'a>>,
    pub(super) test_total: usize,
}

/// 9.x: a slow run.
#[derive(Debug, Serialize)]
pub(super) struct SlowestOf90<'a> {
    random_seed: i64,
    target_name: &'a str,
    framework_name: &'static str,
    variant_flags: &'a [String],
    variant: &'a str,
    result: &'static str,
    duration: f64,
    run: u32,
    marked_slow: bool,
    name: &'a str,
    exit_code: Option<i32>,
    flags: &'a [String],
    expected: &'a [&'static str],
    command: &'a str,
}

impl<'a> SlowestOf90<'a> {
    pub(super) fn new(brief: &'a Brief) -> Self {
        let case = &brief.case;
        SlowestOf90 {
            random_seed: case.random_seed,
            target_name: &case.shell,
            framework_name: FRAMEWORK,
            variant_flags: &case.variant_flags,
            variant: &case.variant,
            result: brief.result(),
            duration: brief.duration.as_secs_f64(),
            run: brief.run,
            marked_slow: case.slow,
            name: &case.name,
            exit_code: brief.exit_code,
            flags: &case.arguments,
            expected: &case.expected,
            command: &case.relative_command,
        }
    }
}

/// Since 10.x: the whole file.
#[derive(Debug, Serialize)]
pub(super) struct Results<'a> {
    pub(super) results: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_rss_tests: Option<Vec<Entry<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_vms_tests: Option<Vec<Entry<'a>>>,
    pub(super) slowest_tests: Vec<Entry<'a>>,
    pub(super) duration_mean: Option<f64>,
    pub(super) test_total: usize,
}

/// Since 10.x: a run. What it has of its own comes last.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    #[serde(flatten)]
    record: Record<'a>,
    #[serde(flatten)]
    rest: Rest<'a>,
    /// Ours: where it ran, if not on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Record<'a> {
    Of102(Record102<'a>),
    Of116(Record116<'a>),
}

/// 10.x: what every run has.
#[derive(Debug, Serialize)]
struct Record102<'a> {
    name: &'a str,
    flags: &'a [String],
    command: &'a str,
    run: u32,
    exit_code: Option<i32>,
    expected: &'a [&'static str],
    duration: f64,
    random_seed: i64,
    target_name: &'a str,
    variant: &'a str,
    variant_flags: &'a [String],
    framework_name: &'static str,
}

/// Since 11.x: what every run has; since 12.6 with memory.
#[derive(Debug, Serialize)]
struct Record116<'a> {
    expected: &'a [&'static str],
    flags: &'a [String],
    framework_name: &'static str,
    name: &'a str,
    random_seed: i64,
    run: u32,
    shard_id: usize,
    shard_count: usize,
    target_name: &'a str,
    variant: &'a str,
    variant_flags: &'a [String],
    exit_code: Option<i32>,
    duration: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rss: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_vms: Option<u64>,
    command: &'a str,
}

/// What the lists add to a record.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Rest<'a> {
    Run {
        result: &'static str,
        stdout: Cow<'a, str>,
        stderr: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error_details: Option<Option<&'a str>>,
    },
    Slowest {
        result: &'static str,
        marked_slow: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        marked_heavy: Option<bool>,
    },
}

impl<'a> Entry<'a> {
    /// A run of `results`.
    pub(super) fn run(run: &'a Finished, config: &JsonConfig) -> Self {
        let measured = Measured {
            run: run.run,
            exit_code: exit_code(&run.output.exit),
            duration: run.output.duration,
            max_rss: run.output.max_rss,
        };
        let rest = Rest::Run {
            result: result(run),
            stdout: text(&run.output.stdout, false),
            stderr: stderr(run, false),
            error_details: (config.wording >= Wording::V116).then_some(run.details.as_deref()),
        };
        Entry { record: Record::new(&run.case, measured, config), rest, peer: run.peer.as_deref() }
    }

    /// A run of the lists of the slowest and largest.
    pub(super) fn brief(brief: &'a Brief, config: &JsonConfig) -> Self {
        let measured = Measured {
            run: brief.run,
            exit_code: brief.exit_code,
            duration: brief.duration,
            max_rss: brief.max_rss,
        };
        let rest = Rest::Slowest {
            result: brief.result(),
            marked_slow: brief.case.slow,
            marked_heavy: (config.wording >= Wording::V126).then_some(brief.case.heavy),
        };
        Entry { record: Record::new(&brief.case, measured, config), rest, peer: brief.peer.as_deref() }
    }
}

/// The numbers of a run.
struct Measured {
    run: u32,
    exit_code: Option<i32>,
    duration: Duration,
    max_rss: u64,
}

impl<'a> Record<'a> {
    fn new(case: &'a CaseInfo, measured: Measured, config: &JsonConfig) -> Self {
        if config.wording >= Wording::V116 {
            Record::Of116(Record116::new(case, &measured, config))
        } else {
            Record::Of102(Record102::new(case, &measured))
        }
    }
}

impl<'a> Record102<'a> {
    fn new(case: &'a CaseInfo, measured: &Measured) -> Self {
        Record102 {
            name: &case.name,
            flags: &case.arguments,
            command: &case.relative_command,
            run: measured.run,
            exit_code: measured.exit_code,
            expected: &case.expected,
            duration: measured.duration.as_secs_f64(),
            random_seed: case.random_seed,
            target_name: &case.shell,
            variant: &case.variant,
            variant_flags: &case.variant_flags,
            framework_name: FRAMEWORK,
        }
    }
}

impl<'a> Record116<'a> {
    fn new(case: &'a CaseInfo, measured: &Measured, config: &JsonConfig) -> Self {
        let memory = config.wording >= Wording::V126;
        Record116 {
            expected: &case.expected,
            flags: &case.arguments,
            framework_name: FRAMEWORK,
            name: &case.name,
            random_seed: case.random_seed,
            run: measured.run,
            shard_id: config.shard.0,
            shard_count: config.shard.1,
            target_name: &case.shell,
            variant: &case.variant,
            variant_flags: &case.variant_flags,
            exit_code: measured.exit_code,
            duration: measured.duration.as_secs_f64(),
            max_rss: memory.then_some(measured.max_rss),
            max_vms: memory.then_some(0),
            command: &case.relative_command,
        }
    }
}
