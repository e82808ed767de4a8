//! V8's JSON results, in each generation's shape (reference §6.4).
//!
//! Input: run events. Output: a file, replaced when the run ends; up to 8.x an array to which each run appends an
//! object, since 9.x one object. Names and output are raw here: JSON escapes what a terminal would obey.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;

use super::Sink;
use super::block::{exit_code, not_run};
use super::file::{FileError, ReportFile};
use super::python;
use super::runs::{Runs, Settled};
use super::slowest::{Brief, Top};
use super::untrusted::text;
use super::wording::Wording;
use crate::run::event::{CaseInfo, Finished, RunEvent, RunInfo};

mod shape;

use shape::{Entry, OldRun, OldSlowest, Results, ResultsOf90, Run2015, Runs2015, RunsOf62, SlowestOf90};

/// Entries in the lists whose length cannot be chosen.
const FIXED_LIST: usize = 20;

/// What the shapes need beside the events.
#[derive(Debug, Clone)]
pub(crate) struct JsonConfig {
    /// Whose shape.
    pub(crate) wording: Wording,
    /// `release` or `debug`, for the shapes that carry it.
    pub(crate) execution_mode: String,
    /// Length of `slowest_tests` since 9.x.
    pub(crate) slowest: usize,
    /// Which shard of how many, from 0.
    pub(crate) shard: (usize, usize),
}

/// The sink.
#[derive(Debug)]
pub(crate) struct Json {
    file: ReportFile,
    config: JsonConfig,
    collected: Collected,
}

impl Json {
    /// Makes sure that results can be written, and appended where the shape is an array.
    pub(crate) fn open(file: ReportFile, config: JsonConfig) -> Result<Self, FileError> {
        let json = Json { collected: Collected::new(&config), file, config };
        if json.config.wording.appends_json() {
            json.earlier()?;
        }
        Ok(json)
    }

    /// The objects of earlier runs as they stand in the file, separated by commas.
    fn earlier(&self) -> Result<String, FileError> {
        let existing = self.file.existing()?;
        let array = existing.trim();
        if array.is_empty() {
            return Ok(String::new());
        }
        serde_json::from_str::<Vec<IgnoredAny>>(array)
            .map_err(|source| FileError::NoArray { path: self.file.path().to_owned(), source })?;
        let inner = array.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
        Ok(inner.trim().to_owned())
    }

    fn write(&mut self, info: &RunInfo) -> io::Result<()> {
        let object = self.collected.object(info, &self.config)?;
        let text = if self.config.wording.appends_json() {
            let earlier = self.earlier().map_err(io::Error::other)?;
            let comma = if earlier.is_empty() { "" } else { ", " };
            format!("[{earlier}{comma}{object}]")
        } else {
            object
        };
        self.file.replace(text.as_bytes()).map_err(io::Error::other)
    }
}

impl Sink for Json {
    fn event(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => {
                self.collected = Collected::new(&self.config);
                self.collected.info = Some(info.clone());
            }
            RunEvent::CaseFinished { finished, .. } => self.collected.finished(finished, self.config.wording),
            RunEvent::Ended(_) => {
                self.collected.abandon();
                if let Some(info) = self.collected.info.take() {
                    return self.write(&info);
                }
            }
            RunEvent::CaseStarted { .. }
            | RunEvent::Tick { .. }
            | RunEvent::Notice(_)
            | RunEvent::Stopping(_) => {}
        }
        Ok(())
    }
}

/// What is kept of a run until it is written.
#[derive(Debug)]
struct Collected {
    info: Option<Arc<RunInfo>>,
    runs: Runs,
    results: Vec<Arc<Finished>>,
    slowest: Top<Duration, Brief>,
    largest: Top<u64, Brief>,
    /// By virtual memory, which nothing measures: to V8 without its optional library all runs are equal, too.
    largest_virtual: Top<u64, Brief>,
    seconds: f64,
    total: usize,
    last: LastDurations,
}

impl Collected {
    fn new(config: &JsonConfig) -> Self {
        let length = if config.wording.appends_json() { FIXED_LIST } else { config.slowest };
        Collected {
            info: None,
            runs: Runs::default(),
            results: Vec::new(),
            slowest: Top::new(length),
            largest: Top::new(FIXED_LIST),
            largest_virtual: Top::new(FIXED_LIST),
            seconds: 0.0,
            total: 0,
            last: LastDurations::default(),
        }
    }

    fn finished(&mut self, run: &Arc<Finished>, wording: Wording) {
        if wording.sees_each_run() {
            self.total += usize::from(run.actual.is_some());
            self.last.add(run);
            if run.unexpected || run.run > 1 {
                self.results.push(run.clone());
            }
        } else if let Some(case) = self.runs.settle(run) {
            self.settled(&case);
        }
    }

    fn abandon(&mut self) {
        for case in self.runs.abandon() {
            self.settled(&case);
        }
    }

    /// Every run counts; those that were not expected are told, and whatever followed them.
    fn settled(&mut self, case: &Settled) {
        for run in case.all() {
            if let Some(brief) = Brief::of(run) {
                self.total += 1;
                self.seconds += brief.duration.as_secs_f64();
                self.largest.add(brief.max_rss, brief.clone());
                self.largest_virtual.add(0, brief.clone());
                self.slowest.add(brief.duration, brief);
            }
            if run.unexpected || run.run > 1 {
                self.results.push(run.clone());
            }
        }
    }

    fn object(&self, info: &RunInfo, config: &JsonConfig) -> io::Result<String> {
        match config.wording {
            Wording::V2015 => python::json(&Runs2015 {
                arch: &info.arch,
                mode: &config.execution_mode,
                results: self.results.iter().map(|run| Run2015::new(run)).collect(),
            }),
            Wording::V62 => python::json(&RunsOf62 {
                test_total: self.total,
                duration_mean: self.last.mean(),
                results: self.results.iter().map(|run| OldRun::of_62(run)).collect(),
                slowest_tests: self.last.slowest(),
                mode: &config.execution_mode,
                arch: &info.arch,
            }),
            Wording::V79 => python::json(&RunsOf62 {
                test_total: self.total,
                duration_mean: self.mean(),
                results: self.results.iter().map(|run| OldRun::of_79(run)).collect(),
                slowest_tests: self.slowest.list().into_iter().map(OldSlowest::of_79).collect(),
                mode: &config.execution_mode,
                arch: &info.arch,
            }),
            Wording::V90 => python::json(&ResultsOf90 {
                duration_mean: self.mean(),
                slowest_tests: self.slowest.list().into_iter().map(SlowestOf90::new).collect(),
                results: self.results.iter().map(|run| OldRun::of_79(run)).collect(),
                test_total: self.total,
            }),
            Wording::V102 | Wording::V116 | Wording::V126 | Wording::V157 => {
                python::json(&self.results(config))
            }
        }
    }

    fn results<'a>(&'a self, config: &JsonConfig) -> Results<'a> {
        let lists_memory = config.wording >= Wording::V126;
        let brief = |brief: &'a Brief| Entry::brief(brief, config);
        let list =
            |top: &'a Top<u64, Brief>| lists_memory.then(|| top.list().into_iter().map(brief).collect());
        Results {
            results: self.results.iter().map(|run| Entry::run(run, config)).collect(),
            max_rss_tests: list(&self.largest),
            max_vms_tests: list(&self.largest_virtual),
            slowest_tests: self.slowest.list().into_iter().map(brief).collect(),
            duration_mean: self.mean(),
            test_total: self.total,
        }
    }

    fn mean(&self) -> Option<f64> {
        mean(self.seconds, self.total)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of tests are far below 2^52")]
fn mean(seconds: f64, total: usize) -> Option<f64> {
    (total > 0).then(|| seconds / total as f64)
}

/// 6.2 lists a case once a run, each time with the duration of its last run.
#[derive(Debug, Default)]
struct LastDurations {
    order: Vec<u32>,
    last: BTreeMap<u32, (Arc<CaseInfo>, Duration)>,
}

impl LastDurations {
    fn add(&mut self, run: &Finished) {
        if run.actual.is_some() {
            self.order.push(run.case.index);
            self.last.insert(run.case.index, (run.case.clone(), run.output.duration));
        }
    }

    fn all(&self) -> impl Iterator<Item = &(Arc<CaseInfo>, Duration)> {
        self.order.iter().filter_map(|index| self.last.get(index))
    }

    fn mean(&self) -> Option<f64> {
        mean(self.all().map(|(_, duration)| duration.as_secs_f64()).sum(), self.order.len())
    }

    fn slowest(&self) -> Vec<OldSlowest<'_>> {
        let mut all: Vec<_> = self.all().collect();
        all.sort_by_key(|(_, duration)| std::cmp::Reverse(*duration));
        all.into_iter().take(FIXED_LIST).map(|(case, duration)| OldSlowest::of_62(case, *duration)).collect()
    }
}

/// The word for what a run was.
fn result(run: &Finished) -> &'static str {
    run.actual.map_or("NOT RUN", crate::frontend::status::Actual::name)
}

/// Standard error; for a job that could not be run, why.
fn stderr(run: &Finished, python2: bool) -> Cow<'_, str> {
    if run.actual.is_none() { Cow::Owned(not_run(run)) } else { text(&run.output.stderr, python2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{case, everything, fail, filed, interrupted, pass, reruns, story};

    fn config(wording: Wording) -> JsonConfig {
        JsonConfig { wording, execution_mode: "release".to_owned(), slowest: 2, shard: (1, 4) }
    }

    /// The file, its objects on lines of their own.
    fn shown(wording: Wording, results: Vec<Finished>) -> String {
        written(wording, "", &story(results)).replace("}, {", "},\n{").replace("\": [{", "\": [\n{")
    }

    fn written(wording: Wording, before: &str, events: &[RunEvent]) -> String {
        filed(|file| Json::open(file, config(wording)).unwrap(), before, events)
    }

    /// A failure, a test that passes when run again, and output that is not ASCII.
    fn results() -> Vec<Finished> {
        let mut bad = fail(CaseInfo { test_flags: vec!["--opt".to_owned()], slow: true, ..case(0, "a/b") });
        Arc::make_mut(&mut bad.output).stdout.bytes = b"\xc3\xa4\xff\x1b[1m\x7f\n".to_vec();
        bad.details = Some("- x".to_owned());
        let mut results = vec![bad];
        results.extend(reruns(vec![fail(case(1, "a/c")), pass(case(1, "a/c"))]));
        results.push(pass(case(2, "a/d")));
        results
    }

    #[test]
    fn of_2015() {
        insta::assert_snapshot!(shown(Wording::V2015, results()), @r#"
        [{"arch": "x64", "mode": "release", "results": [
        {"run": 1, "flags": ["--opt"], "name": "a/b", "stderr": "err\n", "stdout": "\u00e4\ufffd\u001b[1m\u007f\n", "expected": ["PASS"], "command": "out/d8 --test test/a/b.js --nohard-abort", "exit_code": 1, "result": "FAIL"},
        {"run": 1, "flags": [], "name": "a/c", "stderr": "err\n", "stdout": "\nout 1\nout 2\n", "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort", "exit_code": 1, "result": "FAIL"},
        {"run": 2, "flags": [], "name": "a/c", "stderr": "", "stdout": "fine\n", "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort", "exit_code": 0, "result": "PASS"}]}]
        "#);
    }

    #[test]
    fn of_62_lists_a_case_once_a_run_with_its_last_duration() {
        insta::assert_snapshot!(shown(Wording::V62, results()), @r#"
        [{"test_total": 4, "duration_mean": 0.125, "results": [
        {"random_seed": 7, "stdout": "\u00e4\ufffd\u001b[1m\u007f\n", "target_name": "d8", "variant": "default", "result": "FAIL", "duration": 0.125, "run": 1, "name": "a/b", "exit_code": 1, "flags": ["--opt"], "stderr": "err\n", "expected": ["PASS"], "command": "out/d8 --test test/a/b.js --nohard-abort"},
        {"random_seed": 7, "stdout": "\nout 1\nout 2\n", "target_name": "d8", "variant": "default", "result": "FAIL", "duration": 0.125, "run": 1, "name": "a/c", "exit_code": 1, "flags": [], "stderr": "err\n", "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort"},
        {"random_seed": 7, "stdout": "fine\n", "target_name": "d8", "variant": "default", "result": "PASS", "duration": 0.125, "run": 2, "name": "a/c", "exit_code": 0, "flags": [], "stderr": "", "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort"}], "slowest_tests": [
        {"duration": 0.125, "command": "out/d8 --test test/a/b.js --nohard-abort", "marked_slow": true, "flags": ["--opt"], "name": "a/b"},
        {"duration": 0.125, "command": "out/d8 --test test/a/c.js --nohard-abort", "marked_slow": false, "flags": [], "name": "a/c"},
        {"duration": 0.125, "command": "out/d8 --test test/a/c.js --nohard-abort", "marked_slow": false, "flags": [], "name": "a/c"},
        {"duration": 0.125, "command": "out/d8 --test test/a/d.js --nohard-abort", "marked_slow": false, "flags": [], "name": "a/d"}], "mode": "release", "arch": "x64"}]
        "#);
    }

    #[test]
    fn of_79() {
        insta::assert_snapshot!(shown(Wording::V79, results()), @r#"
        [{"test_total": 4, "duration_mean": 0.125, "results": [
        {"random_seed": 7, "stdout": "\u00e4\ufffd\u001b[1m\u007f\n", "target_name": "d8", "framework_name": "standard_runner", "variant_flags": [], "variant": "default", "result": "FAIL", "duration": 0.125, "run": 1, "name": "a/b", "exit_code": 1, "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "stderr": "err\n", "expected": ["PASS"], "command": "out/d8 --test test/a/b.js --nohard-abort"},
        {"random_seed": 7, "stdout": "\nout 1\nout 2\n", "target_name": "d8", "framework_name": "standard_runner", "variant_flags": [], "variant": "default", "result": "FAIL", "duration": 0.125, "run": 1, "name": "a/c", "exit_code": 1, "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "stderr": "err\n", "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort"},
        {"random_seed": 7, "stdout": "fine\n", "target_name": "d8", "framework_name": "standard_runner", "variant_flags": [], "variant": "default", "result": "PASS", "duration": 0.125, "run": 2, "name": "a/c", "exit_code": 0, "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "stderr": "", "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort"}], "slowest_tests": [
        {"duration": 0.125, "command": "out/d8 --test test/a/b.js --nohard-abort", "marked_slow": true, "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "name": "a/b"},
        {"duration": 0.125, "command": "out/d8 --test test/a/c.js --nohard-abort", "marked_slow": false, "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "name": "a/c"},
        {"duration": 0.125, "command": "out/d8 --test test/a/c.js --nohard-abort", "marked_slow": false, "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "name": "a/c"},
        {"duration": 0.125, "command": "out/d8 --test test/a/d.js --nohard-abort", "marked_slow": false, "flags": ["--test", "/v8/test/a/d.js", "--nohard-abort"], "name": "a/d"}], "mode": "release", "arch": "x64"}]
        "#);
    }

    #[test]
    fn of_90() {
        insta::assert_snapshot!(shown(Wording::V90, results()), @r#"
        {"duration_mean": 0.125, "slowest_tests": [
        {"random_seed": 7, "target_name": "d8", "framework_name": "standard_runner", "variant_flags": [], "variant": "default", "result": "", "duration": 0.125, "run": 2, "marked_slow": false, "name": "a/c", "exit_code": 0, "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort"},
        {"random_seed": 7, "target_name": "d8", "framework_name": "standard_runner", "variant_flags": [], "variant": "default", "result": "", "duration": 0.125, "run": 1, "marked_slow": false, "name": "a/d", "exit_code": 0, "flags": ["--test", "/v8/test/a/d.js", "--nohard-abort"], "expected": ["PASS"], "command": "out/d8 --test test/a/d.js --nohard-abort"}], "results": [
        {"random_seed": 7, "stdout": "\u00e4\ufffd\u001b[1m\u007f\n", "target_name": "d8", "framework_name": "standard_runner", "variant_flags": [], "variant": "default", "result": "FAIL", "duration": 0.125, "run": 1, "name": "a/b", "exit_code": 1, "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "stderr": "err\n", "expected": ["PASS"], "command": "out/d8 --test test/a/b.js --nohard-abort"},
        {"random_seed": 7, "stdout": "\nout 1\nout 2\n", "target_name": "d8", "framework_name": "standard_runner", "variant_flags": [], "variant": "default", "result": "FAIL", "duration": 0.125, "run": 1, "name": "a/c", "exit_code": 1, "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "stderr": "err\n", "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort"},
        {"random_seed": 7, "stdout": "fine\n", "target_name": "d8", "framework_name": "standard_runner", "variant_flags": [], "variant": "default", "result": "PASS", "duration": 0.125, "run": 2, "name": "a/c", "exit_code": 0, "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "stderr": "", "expected": ["PASS"], "command": "out/d8 --test test/a/c.js --nohard-abort"}], "test_total": 4}
        "#);
    }

    #[test]
    fn of_102() {
        insta::assert_snapshot!(shown(Wording::V102, results()), @r#"
        {"results": [
        {"name": "a/b", "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "command": "out/d8 --test test/a/b.js --nohard-abort", "run": 1, "exit_code": 1, "expected": ["PASS"], "duration": 0.125, "random_seed": 7, "target_name": "d8", "variant": "default", "variant_flags": [], "framework_name": "standard_runner", "result": "FAIL", "stdout": "\u00e4\ufffd\u001b[1m\u007f\n", "stderr": "err\n"},
        {"name": "a/c", "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "command": "out/d8 --test test/a/c.js --nohard-abort", "run": 1, "exit_code": 1, "expected": ["PASS"], "duration": 0.125, "random_seed": 7, "target_name": "d8", "variant": "default", "variant_flags": [], "framework_name": "standard_runner", "result": "FAIL", "stdout": "\nout 1\nout 2\n", "stderr": "err\n"},
        {"name": "a/c", "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "command": "out/d8 --test test/a/c.js --nohard-abort", "run": 2, "exit_code": 0, "expected": ["PASS"], "duration": 0.125, "random_seed": 7, "target_name": "d8", "variant": "default", "variant_flags": [], "framework_name": "standard_runner", "result": "PASS", "stdout": "fine\n", "stderr": ""}], "slowest_tests": [
        {"name": "a/c", "flags": ["--test", "/v8/test/a/c.js", "--nohard-abort"], "command": "out/d8 --test test/a/c.js --nohard-abort", "run": 2, "exit_code": 0, "expected": ["PASS"], "duration": 0.125, "random_seed": 7, "target_name": "d8", "variant": "default", "variant_flags": [], "framework_name": "standard_runner", "result": "", "marked_slow": false},
        {"name": "a/d", "flags": ["--test", "/v8/test/a/d.js", "--nohard-abort"], "command": "out/d8 --test test/a/d.js --nohard-abort", "run": 1, "exit_code": 0, "expected": ["PASS"], "duration": 0.125, "random_seed": 7, "target_name": "d8", "variant": "default", "variant_flags": [], "framework_name": "standard_runner", "result": "", "marked_slow": false}], "duration_mean": 0.125, "test_total": 4}
        "#);
    }

    #[test]
    fn of_116() {
        insta::assert_snapshot!(shown(Wording::V116, results().into_iter().take(1).collect()), @r#"
        {"results": [
        {"expected": ["PASS"], "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "framework_name": "standard_runner", "name": "a/b", "random_seed": 7, "run": 1, "shard_id": 1, "shard_count": 4, "target_name": "d8", "variant": "default", "variant_flags": [], "exit_code": 1, "duration": 0.125, "command": "out/d8 --test test/a/b.js --nohard-abort", "result": "FAIL", "stdout": "\u00e4\ufffd\u001b[1m\u007f\n", "stderr": "err\n", "error_details": "- x"}], "slowest_tests": [
        {"expected": ["PASS"], "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "framework_name": "standard_runner", "name": "a/b", "random_seed": 7, "run": 1, "shard_id": 1, "shard_count": 4, "target_name": "d8", "variant": "default", "variant_flags": [], "exit_code": 1, "duration": 0.125, "command": "out/d8 --test test/a/b.js --nohard-abort", "result": "FAIL", "marked_slow": true}], "duration_mean": 0.125, "test_total": 1}
        "#);
    }

    #[test]
    fn of_126() {
        insta::assert_snapshot!(shown(Wording::V126, results().into_iter().take(1).collect()), @r#"
        {"results": [
        {"expected": ["PASS"], "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "framework_name": "standard_runner", "name": "a/b", "random_seed": 7, "run": 1, "shard_id": 1, "shard_count": 4, "target_name": "d8", "variant": "default", "variant_flags": [], "exit_code": 1, "duration": 0.125, "max_rss": 0, "max_vms": 0, "command": "out/d8 --test test/a/b.js --nohard-abort", "result": "FAIL", "stdout": "\u00e4\ufffd\u001b[1m\u007f\n", "stderr": "err\n", "error_details": "- x"}], "max_rss_tests": [
        {"expected": ["PASS"], "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "framework_name": "standard_runner", "name": "a/b", "random_seed": 7, "run": 1, "shard_id": 1, "shard_count": 4, "target_name": "d8", "variant": "default", "variant_flags": [], "exit_code": 1, "duration": 0.125, "max_rss": 0, "max_vms": 0, "command": "out/d8 --test test/a/b.js --nohard-abort", "result": "FAIL", "marked_slow": true, "marked_heavy": false}], "max_vms_tests": [
        {"expected": ["PASS"], "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "framework_name": "standard_runner", "name": "a/b", "random_seed": 7, "run": 1, "shard_id": 1, "shard_count": 4, "target_name": "d8", "variant": "default", "variant_flags": [], "exit_code": 1, "duration": 0.125, "max_rss": 0, "max_vms": 0, "command": "out/d8 --test test/a/b.js --nohard-abort", "result": "FAIL", "marked_slow": true, "marked_heavy": false}], "slowest_tests": [
        {"expected": ["PASS"], "flags": ["--test", "/v8/test/a/b.js", "--nohard-abort"], "framework_name": "standard_runner", "name": "a/b", "random_seed": 7, "run": 1, "shard_id": 1, "shard_count": 4, "target_name": "d8", "variant": "default", "variant_flags": [], "exit_code": 1, "duration": 0.125, "max_rss": 0, "max_vms": 0, "command": "out/d8 --test test/a/b.js --nohard-abort", "result": "FAIL", "marked_slow": true, "marked_heavy": false}], "duration_mean": 0.125, "test_total": 1}
        "#);
    }

    #[test]
    fn arrays_grow_and_keep_what_they_hold() {
        let none = story(vec![]);
        let object = r#"{"test_total": 0, "duration_mean": null, "results": [], "slowest_tests": [], "mode": "release", "arch": "x64"}"#;
        for (before, after) in [
            ("", format!("[{object}]")),
            (" \n", format!("[{object}]")),
            ("[]", format!("[{object}]")),
            (" [ {\"a\":1.50} ]\n", format!("[{{\"a\":1.50}}, {object}]")),
        ] {
            assert_eq!(written(Wording::V62, before, &none), after, "{before:?}");
        }
        let twice: Vec<RunEvent> = none.iter().chain(&none).cloned().collect();
        assert_eq!(written(Wording::V62, "", &twice), format!("[{object}, {object}]"));
    }

    #[test]
    fn a_file_that_holds_no_array_is_refused_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        for before in ["{}", "[1", "nonsense"] {
            std::fs::write(&path, before).unwrap();
            let error = Json::open(ReportFile::open(&path).unwrap(), config(Wording::V62)).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("cannot append to {}", path.display())),
                "{error}"
            );
        }
    }

    #[test]
    fn jobs_that_could_not_be_run_are_told_and_not_counted() {
        let text = written(Wording::V102, "", &story(everything()));
        let results: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(results["test_total"], 8);
        let lost =
            results["results"].as_array().unwrap().iter().find(|run| run["name"] == "mjsunit/lost").unwrap();
        assert_eq!((&lost["result"], &lost["stderr"]), (&"NOT RUN".into(), &"d8: no such file".into()));
        assert!(lost["exit_code"].is_null());
    }

    #[test]
    fn an_interrupted_run_is_told_as_far_as_it_came() {
        let text = written(Wording::V102, "", &interrupted(results(), 2));
        let results: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&str> =
            results["results"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a/b", "a/c"]);
    }
}
