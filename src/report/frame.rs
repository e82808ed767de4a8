//! What every V8-compatible style has around its results: the `>>> ` lines, and when a case counts as finished.
//!
//! Pure. Left to the command line: what is printed before a run is known, and what an exit code calls for.

use std::sync::Arc;
use std::time::Duration;

use super::block::Look;
use super::clock;
use super::render::{Text, line};
use super::runs::{Runs, Settled};
use super::wording::Wording;
use crate::run::event::{RunEvent, RunInfo, Stop, Summary};

/// How a run is told, whatever the style.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// Words, colours and reader.
    pub(crate) look: Look,
    /// `-v`: every command before it runs, and what 6.2 says beside.
    pub(crate) verbose: bool,
    /// Lines below the first one.
    pub(crate) preface: Vec<String>,
    /// Seconds by which the local time is ahead of UTC.
    pub(crate) utc_offset: i32,
}

/// Follows a run for a style.
#[derive(Debug)]
pub(crate) struct Frame {
    /// How it is told.
    pub(crate) manner: Manner,
    info: Option<Arc<RunInfo>>,
    now: Duration,
    runs: Runs,
}

impl Frame {
    /// A frame around a run yet to come.
    pub(crate) fn new(manner: Manner) -> Self {
        Frame { manner, info: None, now: Duration::ZERO, runs: Runs::default() }
    }

    /// Whose words.
    pub(crate) fn wording(&self) -> Wording {
        self.manner.look.wording
    }

    /// The time of the last event since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// The wall clock at the last event, in local seconds.
    pub(crate) fn local(&self) -> i64 {
        let epoch = self.info.as_ref().map_or(Duration::ZERO, |info| info.epoch);
        clock::local(epoch + self.now, self.manner.utc_offset)
    }

    /// What is run; nothing before the run began.
    pub(crate) fn info(&self) -> Option<&RunInfo> {
        self.info.as_deref()
    }

    /// Follows an event: the cases it settles. Generations that see each run get every run as a case of its own.
    pub(crate) fn follow(&mut self, event: &RunEvent) -> Vec<Settled> {
        match event {
            RunEvent::Started(info) => {
                self.info = Some(info.clone());
                self.now = Duration::ZERO;
                self.runs = Runs::default();
            }
            RunEvent::CaseStarted { at, .. } | RunEvent::Tick { at } => self.now = *at,
            RunEvent::CaseFinished { finished, at } => {
                self.now = *at;
                if self.wording().sees_each_run() {
                    return vec![Settled::single(finished)];
                }
                return self.runs.settle(finished).into_iter().collect();
            }
            RunEvent::Ended(summary) => {
                self.now = summary.elapsed;
                return self.runs.abandon();
            }
            RunEvent::Machines { .. } | RunEvent::Notice(_) | RunEvent::Stopping(_) => {}
        }
        Vec::new()
    }

    /// What is said about an event in every style, before its results.
    pub(crate) fn says(&self, event: &RunEvent) -> Text {
        match event {
            RunEvent::Started(info) => Text::out(opening(info, &self.manner)),
            RunEvent::CaseStarted { case, .. } if self.manner.verbose => {
                Text::out(format!("# {}\n", self.manner.look.guard.line(&case.command)))
            }
            RunEvent::Stopping(why) => stop(*why, self.wording(), self.local()),
            RunEvent::Notice(notice) => Text::err(&self.manner.look.guard.line(notice)),
            RunEvent::CaseStarted { .. }
            | RunEvent::CaseFinished { .. }
            | RunEvent::Tick { .. }
            | RunEvent::Machines { .. }
            | RunEvent::Ended(_) => Text::default(),
        }
    }

    /// What 6.2 adds with `-v` behind a failure and before the final lines.
    pub(crate) fn mutters(&self, event: &RunEvent) -> &'static str {
        match event {
            _ if !self.manner.verbose || self.wording() != Wording::V62 => "",
            RunEvent::CaseFinished { finished, .. } if finished.unexpected => {
                "Attempting to rerun test after failure.\n"
            }
            RunEvent::Ended(_) => "Closing process pool.\nClosing database connection.\n",
            _ => "",
        }
    }

    /// The lines behind the last test.
    pub(crate) fn closing(&self, summary: &Summary) -> String {
        self.info.as_ref().map(|info| closing(info, summary, self.wording())).unwrap_or_default()
    }
}

/// The lines before the first test.
fn opening(info: &RunInfo, manner: &Manner) -> String {
    let guard = manner.look.guard;
    let mut text = format!(">>> Running tests for {}.{}\n", guard.line(&info.arch), guard.line(&info.mode));
    manner.preface.iter().for_each(|one| line(&mut text, guard.line(one)));
    if !manner.look.wording.sees_each_run() {
        text.push_str(">>> Running with test processors\n");
    }
    text
}

fn closing(info: &RunInfo, summary: &Summary, wording: Wording) -> String {
    if wording.sees_each_run() {
        return String::new();
    }
    let (listed, cases) = (info.listed, info.cases);
    let ran = summary.passed + summary.failed;
    let percentage = percentage(cases, listed);
    format!(
        ">>> {listed} base tests produced {cases} ({percentage}%) non-filtered tests\n>>> {ran} tests ran\n"
    )
}

/// Computed as V8 does, in floating point and then cut off.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts of tests are far below 2^52, and V8 cuts off, too"
)]
fn percentage(cases: usize, listed: usize) -> i64 {
    if listed == 0 { 0 } else { (cases as f64 / listed as f64 * 100.0) as i64 }
}

/// The line that tells why the run stops. Since 11.6 V8 logs most of them, with the time of day.
fn stop(stop: Stop, wording: Wording, local: i64) -> Text {
    let words = match stop {
        Stop::TooManyFailures => return Text::out(">>> Too many failures, exiting...\n"),
        Stop::Interrupt => "Ctrl-C detected, early abort...",
        Stop::Terminate => "SIGTERM received, early abort...",
        Stop::TotalTimeout => "Total timeout reached.",
    };
    if wording.logs() {
        Text::err(&format!("{} {words}", clock::time(local)))
    } else {
        Text::out(format!(">>> {words}\n"))
    }
}
