//! Drives one run: the only async file here.
//!
//! Awaits slots, signals and ticks; asks the session what comes next; performs it; tells the sinks. Decides nothing
//! that the session or the judge can decide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::describe::{Describe, unrunnable};
use super::event::{CaseInfo, Finished, RunEvent, RunInfo, Stop, Summary};
use super::history::{self, History};
use super::predictable::Allocations;
use super::session::{Assignment, Outcome, Session};
use crate::frontend::discover::DiscoverError;
use crate::frontend::lower::{Lowered, Lowering};
use crate::frontend::select::Selection;
use crate::job::{Captured, Exit, Output};
use crate::report::Sink;
use crate::verdict::{Judgement, judge};
use crate::worker::local::LocalSlots;

/// How often the sinks hear that time passes.
const TICK: Duration = Duration::from_millis(200);

/// What a run needs.
pub struct Run<'a> {
    /// The cases.
    pub selection: &'a Selection,
    /// Makes jobs of them.
    pub lowering: &'a Lowering<'a>,
    /// Describes them.
    pub describe: Describe<'a>,
    /// What is told first.
    pub info: Arc<RunInfo>,
    /// Durations of earlier runs; updated.
    pub history: &'a mut History,
    /// Ends the run when it is over; none: never.
    pub total_timeout: Option<Duration>,
    /// `--regenerate-expected-files`.
    pub regenerate: bool,
    /// Compare the allocations of three runs (2015/6.2).
    pub predictable: bool,
}

/// How a run came to its end.
#[derive(Debug)]
pub enum Ending {
    /// With a summary, told to the sinks.
    Complete(Arc<Summary>),
    /// Left at once: the person insisted.
    Abandoned,
}

/// A case that runs now.
struct Running {
    assignment: Assignment,
    lowered: Lowered,
    info: Arc<CaseInfo>,
}

/// Runs all cases of a session on local slots.
///
/// # Errors
/// When signals cannot be listened to.
pub async fn drive(
    run: Run<'_>,
    session: Session,
    slots: LocalSlots,
    sink: &mut (dyn Sink + Send),
) -> std::io::Result<Ending> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let idle = (0..slots.count()).rev().collect();
    let driver = Driver {
        run,
        session,
        slots,
        sink,
        idle,
        running: BTreeMap::new(),
        allocations: Allocations::default(),
        begun: Instant::now(),
        sink_error: None,
    };
    driver.drive(interrupt, terminate).await
}

struct Driver<'a, 's> {
    run: Run<'a>,
    session: Session,
    slots: LocalSlots,
    sink: &'s mut (dyn Sink + Send),
    /// Slots without a job.
    idle: Vec<usize>,
    /// By slot.
    running: BTreeMap<usize, Running>,
    allocations: Allocations,
    begun: Instant,
    /// The first failure of a report; reports never fail a run.
    sink_error: Option<std::io::Error>,
}

impl Driver<'_, '_> {
    async fn drive(mut self, mut interrupt: Signal, mut terminate: Signal) -> std::io::Result<Ending> {
        self.tell(&RunEvent::Started(self.run.info.clone()));
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.fill();
            if self.session.is_over() {
                break;
            }
            tokio::select! {
                biased;
                _ = interrupt.recv() => if self.interrupted(Stop::Interrupt) { return Ok(Ending::Abandoned) },
                _ = terminate.recv() => if self.interrupted(Stop::Terminate) { return Ok(Ending::Abandoned) },
                (slot, _, output) = self.slots.next_finished() => self.finished(slot, output),
                _ = ticks.tick() => self.ticked(),
            }
        }
        self.slots.shutdown().await;
        Ok(Ending::Complete(self.end()))
    }

    fn tell(&mut self, event: &RunEvent) {
        if let Err(error) = self.sink.event(event) {
            self.sink_error.get_or_insert(error);
        }
    }

    fn at(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Gives every idle slot something to do.
    fn fill(&mut self) {
        while let Some(slot) = self.idle.last().copied() {
            let Some(assignment) = self.session.take() else { return };
            let case = &self.run.selection.cases[assignment.case as usize];
            match self.run.lowering.lower(self.run.selection, case, assignment.case) {
                Ok(lowered) => {
                    self.idle.pop();
                    self.start(slot, assignment, lowered);
                }
                Err(error) => self.unrunnable(assignment, &error),
            }
        }
    }

    fn start(&mut self, slot: usize, assignment: Assignment, lowered: Lowered) {
        let case = &self.run.selection.cases[assignment.case as usize];
        let info = Arc::new(self.run.describe.case(self.run.selection, case, &lowered));
        self.tell(&RunEvent::CaseStarted { case: info.clone(), run: assignment.run, at: self.at() });
        self.slots.start(slot, lowered.job.id, &lowered.job);
        self.running.insert(slot, Running { assignment, lowered, info });
    }

    /// A case whose files cannot be used ends without a verdict.
    fn unrunnable(&mut self, assignment: Assignment, error: &DiscoverError) {
        let case = &self.run.selection.cases[assignment.case as usize];
        let info =
            Arc::new(unrunnable(self.run.selection, case, self.run.describe.variants, assignment.case));
        let finished = Finished {
            case: info,
            run: assignment.run,
            reruns: false,
            output: Arc::new(nothing(Exit::NotStarted(error.to_string()))),
            actual: None,
            unexpected: true,
            crashed: false,
            reason: Some(error.to_string()),
            details: None,
            peer: None,
        };
        self.session.finished(assignment.case, assignment.run, Outcome::Infra, Duration::ZERO);
        self.tell(&RunEvent::CaseFinished { finished: Arc::new(finished), at: self.at() });
    }

    fn finished(&mut self, slot: usize, output: Output) {
        let Some(running) = self.running.remove(&slot) else { return };
        self.idle.push(slot);
        if matches!(output.exit, Exit::Cancelled) {
            self.session.abandoned(running.assignment.case);
            return;
        }
        let judgement =
            judge(&running.lowered.check, running.lowered.negative, &output, self.run.describe.dialect);
        let unexpected = match self.predictable_step(&running, &output) {
            Some(Step::Again) => return,
            Some(Step::Differs(differs)) => differs,
            None => judgement.actual.is_none_or(|actual| !running.lowered.expectation.accepts(actual)),
        };
        self.settle(running, output, judgement, unexpected);
    }

    /// Counts a judged run, tells the sinks, and stops the run where a limit says so.
    fn settle(&mut self, running: Running, output: Output, judgement: Judgement, unexpected: bool) {
        let Assignment { case, run } = running.assignment;
        let outcome = match (judgement.actual, unexpected) {
            (None, _) => Outcome::Infra,
            (Some(_), true) => Outcome::Unexpected,
            (Some(_), false) => Outcome::Expected,
        };
        let reaction = self.session.finished(case, run, outcome, output.duration);
        if outcome == Outcome::Expected {
            self.run.history.record(&history_key(&running.info), output.duration);
        }
        if unexpected && self.run.regenerate {
            self.regenerate(&running.lowered, &output);
        }
        let reason = match &output.exit {
            Exit::NotStarted(why) | Exit::Lost(why) => Some(why.clone()),
            _ => running.lowered.contradiction.clone(),
        };
        let finished = Finished {
            case: running.info,
            run,
            reruns: reaction.reruns,
            output: Arc::new(output),
            actual: judgement.actual,
            unexpected,
            crashed: judgement.crashed,
            reason,
            details: judgement.details,
            peer: None,
        };
        self.tell(&RunEvent::CaseFinished { finished: Arc::new(finished), at: self.at() });
        if let Some(stop) = reaction.stop {
            self.stopping(stop);
        }
    }

    /// Predictable mode: whether the case must run again, or how the comparison ended.
    fn predictable_step(&mut self, running: &Running, output: &Output) -> Option<Step> {
        if !self.run.predictable {
            return None;
        }
        let Assignment { case, run } = running.assignment;
        match self.allocations.compare(case, run, output) {
            None => {
                self.session.repeat(case, run);
                Some(Step::Again)
            }
            Some(differs) => Some(Step::Differs(differs)),
        }
    }

    fn regenerate(&mut self, lowered: &Lowered, output: &Output) {
        let Some(path) = &lowered.expected_file else { return };
        if let Err(error) = fs_err::write(path, &output.stdout.bytes) {
            self.tell(&RunEvent::Notice(format!("cannot regenerate an expected file: {error}")));
        }
    }

    fn ticked(&mut self) {
        let at = self.at();
        self.tell(&RunEvent::Tick { at });
        let over = self.run.total_timeout.is_some_and(|limit| at >= limit);
        if over && self.session.stopped().is_none() {
            self.session.stop(Stop::TotalTimeout);
            self.stopping(Stop::TotalTimeout);
        }
    }

    /// The first signal ends the run in order; the second leaves at once. Returns whether to leave.
    fn interrupted(&mut self, stop: Stop) -> bool {
        if matches!(self.session.stopped(), Some(Stop::Interrupt | Stop::Terminate)) {
            return true;
        }
        self.session.stop(stop);
        self.stopping(stop);
        false
    }

    fn stopping(&mut self, stop: Stop) {
        self.tell(&RunEvent::Stopping(stop));
        self.slots.cancel_all();
    }

    fn end(mut self) -> Arc<Summary> {
        let counts = self.session.counts();
        let summary = Arc::new(Summary {
            stop: self.session.stopped(),
            runs: counts.runs,
            passed: counts.passed,
            failed: counts.failed,
            flaky: counts.flaky,
            infra: counts.infra,
            remaining: counts.remaining,
            elapsed: self.at(),
        });
        if let Some(error) = self.sink_error.take() {
            self.tell(&RunEvent::Notice(format!("a report is incomplete: {error}")));
        }
        self.tell(&RunEvent::Ended(summary.clone()));
        summary
    }
}

/// Where a predictable case stands.
enum Step {
    /// It runs once more.
    Again,
    /// It is over; whether its runs differed.
    Differs(bool),
}

/// What durations are remembered under.
fn history_key(info: &CaseInfo) -> String {
    history::key(&info.name, &info.variant_flags)
}

fn nothing(exit: Exit) -> Output {
    let empty = Captured::default;
    Output { exit, stdout: empty(), stderr: empty(), duration: Duration::ZERO, max_rss: 0 }
}
