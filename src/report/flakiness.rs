//! 6.2's `--flakiness-results` (reference §6.4): what each test did in all its runs, as a JSON object.
//!
//! Input: run events. Output: a file, replaced when the run ends. Jobs that could not be run are no results.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Sink;
use super::file::ReportFile;
use super::python;
use crate::frontend::status::Actual;
use crate::run::event::{CaseInfo, Finished, RunEvent};

/// The words this report knows.
const OUTCOMES: [&str; 4] = ["PASS", "FAIL", "CRASH", "TIMEOUT"];

/// The sink.
#[derive(Debug)]
pub(crate) struct Flakiness {
    file: ReportFile,
    extra_flags: Vec<String>,
    epoch: Duration,
    tests: Tests,
    first_runs: FirstRuns,
}

/// The whole file.
#[derive(Debug, Serialize)]
struct Document<'a> {
    tests: &'a Tests,
    interrupted: bool,
    num_failures_by_type: &'a FirstRuns,
    version: u32,
    seconds_since_epoch: f64,
    path_delimiter: &'static str,
}

/// Results by key, in the order in which they came.
#[derive(Debug, Default)]
struct Tests {
    keys: std::collections::BTreeMap<String, usize>,
    results: Vec<(String, Result)>,
}

/// What a test did.
#[derive(Debug, Serialize)]
struct Result {
    expected: String,
    actual: String,
    times: Vec<f64>,
}

/// Outcomes of first runs.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct FirstRuns {
    fail: usize,
    crash: usize,
    timeout: usize,
    pass: usize,
}

impl Flakiness {
    /// Results in that file, keyed by these flags, too.
    pub(crate) fn new(file: ReportFile, extra_flags: Vec<String>) -> Self {
        let (tests, first_runs) = (Tests::default(), FirstRuns::default());
        Flakiness { file, extra_flags, epoch: Duration::ZERO, tests, first_runs }
    }

    fn finished(&mut self, run: &Arc<Finished>) {
        let Some(actual) = run.actual else { return };
        if run.run == 1 {
            self.first_runs.count(actual);
        }
        let key = key(&run.case, &self.extra_flags);
        self.tests.add(key, &run.case, actual, run.output.duration.as_secs_f64());
    }

    fn document(&self) -> Document<'_> {
        Document {
            tests: &self.tests,
            interrupted: false,
            num_failures_by_type: &self.first_runs,
            version: 3,
            seconds_since_epoch: self.epoch.as_secs_f64(),
            path_delimiter: "/",
        }
    }
}

impl Tests {
    fn add(&mut self, key: String, case: &CaseInfo, actual: Actual, seconds: f64) {
        if let Some(index) = self.keys.get(&key) {
            let result = &mut self.results[*index].1;
            result.actual = format!("{} {}", result.actual, actual.name());
            result.times.push(seconds);
            return;
        }
        self.keys.insert(key.clone(), self.results.len());
        let result =
            Result { expected: expected(case), actual: actual.name().to_owned(), times: vec![seconds] };
        self.results.push((key, result));
    }
}

impl Serialize for Tests {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.results.iter().map(|(key, result)| (key, result)))
    }
}

impl FirstRuns {
    fn count(&mut self, actual: Actual) {
        *(match actual {
            Actual::Pass => &mut self.pass,
            Actual::Fail => &mut self.fail,
            Actual::Crash => &mut self.crash,
            Actual::Timeout => &mut self.timeout,
        }) += 1;
    }
}

impl Sink for Flakiness {
    fn event(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.epoch = info.epoch,
            RunEvent::CaseFinished { finished, .. } => self.finished(finished),
            RunEvent::Ended(_) => {
                let text = python::json(&self.document())?;
                return self.file.replace(text.as_bytes()).map_err(io::Error::other);
            }
            RunEvent::CaseStarted { .. }
            | RunEvent::Tick { .. }
            | RunEvent::Machines { .. }
            | RunEvent::Notice(_)
            | RunEvent::Stopping(_) => {}
        }
        Ok(())
    }
}

/// The sorted flags without dashes, then `test` and the name.
fn key(case: &CaseInfo, extra_flags: &[String]) -> String {
    let flags = extra_flags.iter().chain(&case.test_flags);
    let mut parts: Vec<&str> = flags.map(|flag| flag.trim_start_matches('-')).collect();
    parts.sort_unstable();
    parts.extend(["test", &case.name]);
    parts.join("/")
}

fn expected(case: &CaseInfo) -> String {
    let known: Vec<&str> = case.expected.iter().copied().filter(|word| OUTCOMES.contains(word)).collect();
    if known.is_empty() { "PASS".to_owned() } else { known.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{everything, filed, story};

    #[test]
    fn all_runs_of_a_test_are_one_entry() {
        let mut results = everything();
        let case = Arc::make_mut(&mut results[0].case);
        case.test_flags = vec!["--stress-opt".to_owned(), "--always-opt".to_owned()];
        case.expected = vec!["SLOW", "PASS", "FAIL"];
        let flags = vec!["--noopt".to_owned()];
        insta::assert_snapshot!(filed(|file| Flakiness::new(file, flags), "", &story(results)), @r#"{"tests": {"always-opt/noopt/stress-opt/test/mjsunit/good": {"expected": "PASS FAIL", "actual": "PASS", "times": [0.125]}, "noopt/test/mjsunit/bad": {"expected": "PASS", "actual": "FAIL", "times": [0.125]}, "noopt/test/mjsunit/crash": {"expected": "PASS", "actual": "CRASH", "times": [0.125]}, "noopt/test/mjsunit/slow": {"expected": "PASS", "actual": "TIMEOUT", "times": [0.125]}, "noopt/test/mjsunit/better": {"expected": "FAIL", "actual": "PASS", "times": [0.125]}, "noopt/test/message/negative": {"expected": "PASS", "actual": "FAIL", "times": [0.125]}, "noopt/test/mjsunit/flaky": {"expected": "PASS", "actual": "FAIL PASS", "times": [0.125, 0.125]}}, "interrupted": false, "num_failures_by_type": {"FAIL": 3, "CRASH": 1, "TIMEOUT": 1, "PASS": 2}, "version": 3, "seconds_since_epoch": 1700000000.0, "path_delimiter": "/"}"#);
    }
}
