//! Drives one run: the only async file here.
//!
//! Awaits workers, signals and ticks; passes what the session wants run to the dispatcher, performs what that decides,
//! has every answer judged here and tells the sinks. Decides nothing that session, dispatcher or judge can decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::describe::{Describe, unrunnable};
use super::event::{CaseInfo, Finished, RunEvent, RunInfo, Stop, Summary};
use super::history::{self, History};
use super::peers::{self, Field};
use super::predictable::Allocations;
use super::session::{Assignment, Outcome, Session};
use crate::frontend::discover::DiscoverError;
use crate::frontend::lower::{Lowered, Lowering};
use crate::frontend::select::Selection;
use crate::frontend::status::Actual;
use crate::job::{Captured, Exit, JobId, Output, Status};
use crate::report::Sink;
use crate::schedule::dispatch::{
    Action, Class, Config as DispatchConfig, Dispatch, Ending as TaskEnding, Kind, Leaving, Spec, TaskId,
    WorkerId,
};
use crate::verdict::{Judgement, details, judge};
use crate::worker::{Told, Workers};

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
    /// How each case is to be run, by its index.
    pub specs: Vec<Spec>,
    /// How they are spread.
    pub dispatch: DispatchConfig,
}

/// How a run came to its end.
#[derive(Debug)]
pub enum Ending {
    /// With a summary, told to the sinks, and what went wrong with them.
    Complete(Arc<Summary>, Option<std::io::Error>),
    /// Left at once: the person insisted.
    Abandoned,
}

/// A run of a case that the dispatcher has.
struct Task {
    assignment: Assignment,
    spec: Spec,
    /// Since a worker was to run it.
    lowered: Option<Arc<Prepared>>,
    /// The unexpected result of a peer that this run is to confirm.
    doubted: Option<Doubt>,
    /// How long the test it depends on took; none while that has not run.
    depended: Option<Duration>,
}

/// A case ready to run, and as people see it.
struct Prepared {
    lowered: Lowered,
    info: Arc<CaseInfo>,
}

/// A peer's result that is run again here.
struct Doubt {
    peer: WorkerId,
    unexpected: bool,
}

/// What came back for a task, until the dispatcher has said whether it counts.
struct Answer {
    worker: WorkerId,
    job: JobId,
    output: Output,
}

/// Runs all cases of a session on the workers there are.
///
/// # Errors
/// When signals cannot be listened to.
pub async fn drive(
    run: Run<'_>,
    session: Session,
    workers: Workers,
    sink: &mut (dyn Sink + Send),
) -> std::io::Result<Ending> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let dispatch = Dispatch::new(run.dispatch.clone());
    let driver = Driver {
        run,
        session,
        dispatch,
        workers,
        sink,
        tasks: BTreeMap::new(),
        answer: None,
        believed: BTreeSet::new(),
        alarm: None,
        allocations: Allocations::default(),
        field: Field::default(),
        begun: Instant::now(),
        sink_error: None,
    };
    driver.drive(interrupt, terminate).await
}

struct Driver<'a, 's> {
    run: Run<'a>,
    session: Session,
    dispatch: Dispatch,
    workers: Workers,
    sink: &'s mut (dyn Sink + Send),
    /// By the dispatcher's number, until delivered.
    tasks: BTreeMap<TaskId, Task>,
    answer: Option<Answer>,
    /// Peers whose first unexpected result this machine confirmed.
    believed: BTreeSet<WorkerId>,
    /// When the dispatcher wants to be asked again.
    alarm: Option<Duration>,
    allocations: Allocations,
    /// Peers and slots, as last told.
    field: Field,
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
            self.turn();
            if self.session.is_over() && self.dispatch.is_idle() {
                break;
            }
            let alarm = self.begun + self.alarm.unwrap_or(NEVER);
            tokio::select! {
                biased;
                _ = interrupt.recv() => if self.interrupted(Stop::Interrupt) { return Ok(Ending::Abandoned) },
                _ = terminate.recv() => if self.interrupted(Stop::Terminate) { return Ok(Ending::Abandoned) },
                told = self.workers.next() => self.told(told),
                () = tokio::time::sleep_until(alarm.into()) => {
                    self.alarm = None;
                    self.dispatch.tick(self.at());
                }
                _ = ticks.tick() => self.ticked(),
            }
        }
        self.workers.shutdown().await;
        let (summary, error) = self.end();
        Ok(Ending::Complete(summary, error))
    }

    fn tell(&mut self, event: &RunEvent) {
        if let Err(error) = self.sink.event(event) {
            self.sink_error.get_or_insert(error);
        }
    }

    fn at(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Passes on what the session wants run, and performs what the dispatcher wants done, until both are content.
    fn turn(&mut self) {
        loop {
            while let Some(assignment) = self.session.take() {
                self.submit(assignment, None);
            }
            let actions = self.dispatch.actions(self.at());
            if actions.is_empty() {
                break;
            }
            actions.into_iter().for_each(|action| self.perform(action));
        }
        self.workers.flush();
    }

    fn submit(&mut self, assignment: Assignment, doubted: Option<(Spec, Arc<Prepared>, Doubt)>) {
        let (spec, lowered, doubted) = match doubted {
            Some((spec, prepared, doubt)) => {
                (timed(spec.confirming(), &prepared), Some(prepared), Some(doubt))
            }
            None => (self.spec(assignment), None, None),
        };
        let task = self.dispatch.submit(spec, self.at());
        self.tasks.insert(task, Task { assignment, spec, lowered, doubted, depended: None });
    }

    /// A test whose dependency has run: it runs now, unless that failed or everything stops.
    fn after_dependency(&mut self, task: Task, prepared: &Arc<Prepared>, output: &Output) {
        if self.session.stopped().is_some() {
            self.session.abandoned(task.assignment.case);
            return;
        }
        let id = self.dispatch.submit(timed(task.spec, prepared), self.at());
        let lowered = Some(prepared.clone());
        self.tasks.insert(id, Task { lowered, depended: Some(output.duration), ..task });
    }

    fn spec(&self, Assignment { case, run }: Assignment) -> Spec {
        let spec = self.run.specs[case as usize];
        Spec { urgent: spec.urgent || run > 1, ..spec }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start { worker, task, attempt } => self.start(worker, task, attempt),
            Action::Cancel { worker, task, attempt } => {
                self.workers.cancel(worker, self.job_id(task, attempt));
            }
            Action::Deliver { task, worker, ending, .. } => self.deliver(task, worker, ending),
            Action::Exclude { worker, why } => {
                let name = self.workers.name(worker);
                self.tell(&RunEvent::Notice(format!("{name} is not used any more in this run: {why}")));
            }
            Action::Arm(moment) => self.alarm = Some(moment),
        }
    }

    fn job_id(&self, task: TaskId, attempt: u16) -> JobId {
        JobId { run: self.workers.run(), sequence: task.0, attempt }
    }

    fn start(&mut self, worker: WorkerId, task: TaskId, attempt: u16) {
        let id = self.job_id(task, attempt);
        match self.prepared(task) {
            Ok(Some(prepared)) => {
                let mut job = prepared.lowered.job.clone();
                job.id = id;
                let depends = self.tasks.get(&task).is_some_and(|task| task.depended.is_none());
                if let Some(argv) = prepared.lowered.dependency.clone().filter(|_| depends) {
                    job.argv = argv;
                }
                self.workers.start(worker, job);
            }
            Ok(None) => {}
            Err(error) => {
                if let Some(Task { assignment, .. }) = self.tasks.remove(&task) {
                    self.never_ran(assignment, nothing(Exit::NotStarted(error.to_string())));
                }
                // Whoever was to run it is free again.
                self.dispatch.finished(
                    worker,
                    task,
                    attempt,
                    &Class::Ran { duration: Duration::ZERO },
                    self.at(),
                );
            }
        }
    }

    /// The command line of a task, made when the first worker is to run it; told to the sinks then.
    fn prepared(&mut self, id: TaskId) -> Result<Option<Arc<Prepared>>, DiscoverError> {
        let Some(task) = self.tasks.get_mut(&id) else { return Ok(None) };
        if let Some(prepared) = &task.lowered {
            return Ok(Some(prepared.clone()));
        }
        let assignment = task.assignment;
        let case = &self.run.selection.cases[assignment.case as usize];
        let lowered = self.run.lowering.lower(self.run.selection, case, assignment.case)?;
        let info = Arc::new(self.run.describe.case(self.run.selection, case, &lowered));
        let prepared = Arc::new(Prepared { lowered, info: info.clone() });
        task.lowered = Some(prepared.clone());
        let at = self.at();
        // Only now is it known: flags and SLOW marks stretch it.
        self.dispatch.limit(id, prepared.lowered.job.limits.wall, at);
        self.tell(&RunEvent::CaseStarted { case: info, run: assignment.run, at });
        Ok(Some(prepared))
    }

    /// Something a worker has to say.
    fn told(&mut self, told: Told) {
        let now = self.at();
        // A peer can name whatever it likes: a job of another run changes nothing here.
        if told.job().is_some_and(|job| job.run != self.workers.run()) {
            return;
        }
        match told {
            Told::Joined { worker, joined } => self.dispatch.worker_joined(worker, joined, now),
            Told::Changed { worker, slots } => self.dispatch.worker_changed(worker, slots, now),
            Told::Left { worker, leaving } => {
                let revoked = leaving == Leaving::Revoked;
                self.dispatch.worker_left(worker, leaving, now);
                if revoked {
                    self.tainted(worker);
                }
            }
            Told::Heard(worker) => self.dispatch.heard(worker, now),
            Told::Accepted { worker, job } => {
                self.dispatch.accepted(worker, TaskId(job.sequence), job.attempt, now);
            }
            Told::Refused { worker, job, why } => {
                self.dispatch.refused(worker, TaskId(job.sequence), job.attempt, &why, now);
            }
            Told::Finished { worker, job, output } => self.finished(worker, job, output),
            Told::Broken { worker, why } => self.dispatch.exclude(worker, &why, now),
            Told::Notice(text) => self.tell(&RunEvent::Notice(text)),
        }
    }

    /// A machine lost trust in the middle of the run: what it said before has been reported and counts, and the person
    /// has to know.
    fn tainted(&mut self, worker: WorkerId) {
        let counted = self.dispatch.report(worker).map_or(0, |report| report.answered);
        if counted > 0 {
            let name = self.workers.name(worker);
            let text = format!("{counted} results that {name} gave while it was trusted count in this run");
            self.tell(&RunEvent::Notice(text));
        }
    }

    fn finished(&mut self, worker: WorkerId, job: JobId, output: Output) {
        let class = match &output.exit {
            Exit::Ended(_) | Exit::TimedOut(_) => Class::Ran { duration: output.duration },
            Exit::NotStarted(why) | Exit::Lost(why) => Class::Infra { why: why.clone() },
            Exit::Cancelled => Class::Cancelled,
        };
        self.answer = Some(Answer { worker, job, output });
        self.dispatch.finished(worker, TaskId(job.sequence), job.attempt, &class, self.at());
        self.turn();
        self.answer = None;
    }

    /// The one answer to a task.
    fn deliver(&mut self, id: TaskId, worker: Option<WorkerId>, ending: TaskEnding) {
        let Some(task) = self.tasks.remove(&id) else { return };
        let answer =
            self.answer.take_if(|answer| answer.job.sequence == id.0 && Some(answer.worker) == worker);
        let output = match ending {
            TaskEnding::Cancelled => {
                self.session.abandoned(task.assignment.case);
                return;
            }
            TaskEnding::Ran => answer.map(|answer| answer.output),
            TaskEnding::Infra(why) => {
                Some(answer.map_or_else(|| nothing(Exit::NotStarted(why)), |answer| answer.output))
            }
        };
        // A dispatcher that counts an answer nobody gave would be a bug; the case must not vanish with it.
        let output = output.unwrap_or_else(|| nothing(Exit::Lost("its answer was lost".to_owned())));
        self.judge(task, worker, output);
    }

    fn judge(&mut self, task: Task, worker: Option<WorkerId>, mut output: Output) {
        let Some(prepared) = task.lowered.clone() else { return self.never_ran(task.assignment, output) };
        let lowered = &prepared.lowered;
        let depends = lowered.dependency.is_some() && task.depended.is_none();
        if depends && output.exit == Exit::Ended(Status::Code(0)) {
            return self.after_dependency(task, &prepared, &output);
        }
        output.duration += task.depended.unwrap_or_default();
        let judgement = judge(&lowered.check, lowered.negative, &output, self.run.describe.dialect);
        let unexpected = match self.predictable_step(task.assignment, &output) {
            Some(Step::Again) => return,
            Some(Step::Differs(differs)) => differs,
            None => judgement.actual.is_none_or(|actual| !lowered.expectation.accepts(actual)),
        };
        if let Some(doubt) = &task.doubted {
            self.confirmed(doubt, unexpected, &prepared.info);
        } else if let Some(peer) = self.doubts(worker, &judgement, unexpected) {
            let doubt = Doubt { peer, unexpected };
            return self.submit(task.assignment, Some((task.spec, prepared, doubt)));
        }
        self.settle(task.assignment, &prepared, output, judgement, unexpected, worker);
    }

    /// What a test that took so long on a worker takes on an average one.
    fn here(&self, worker: Option<WorkerId>, duration: Duration) -> Duration {
        let report = worker.and_then(|worker| self.dispatch.report(worker));
        report.map_or(duration, |report| duration.div_f64(report.slowness.max(f64::MIN_POSITIVE)))
    }

    fn is_peer(&self, worker: WorkerId) -> bool {
        self.dispatch.report(worker).is_some_and(|report| report.kind == Kind::Peer)
    }

    /// Whether a result must be confirmed on this machine: the first unexpected one of a peer, every one of a peer that
    /// was wrong before, and whatever ran out of time there, since that depends on how busy a machine is.
    fn doubts(&self, worker: Option<WorkerId>, judgement: &Judgement, unexpected: bool) -> Option<WorkerId> {
        let report = self.dispatch.report(worker?)?;
        let judged = unexpected && judgement.actual.is_some();
        let late = judgement.actual == Some(Actual::Timeout);
        let known = self.believed.contains(&worker?) && report.disagreements == 0 && !late;
        (judged && report.kind == Kind::Peer && !known && !self.run.dispatch.remote_only).then_some(worker?)
    }

    /// This machine ran a peer's case again; what it says counts.
    fn confirmed(&mut self, doubt: &Doubt, unexpected: bool, info: &CaseInfo) {
        if doubt.unexpected == unexpected {
            self.believed.insert(doubt.peer);
            return;
        }
        self.dispatch.disagreed(doubt.peer, self.at());
        let name = self.workers.name(doubt.peer);
        let text = format!("{name} and this machine disagree on {}; this machine's result counts", info.name);
        self.tell(&RunEvent::Notice(text));
    }

    /// A case that never ran ends without a verdict: its files cannot be used, or nobody was there to run it.
    fn never_ran(&mut self, assignment: Assignment, output: Output) {
        let Assignment { case, run } = assignment;
        let selected = &self.run.selection.cases[case as usize];
        let info = Arc::new(unrunnable(self.run.selection, selected, self.run.describe.variants, case));
        let finished = Finished {
            case: info,
            run,
            reruns: false,
            reason: reason(&output),
            output: Arc::new(output),
            actual: None,
            unexpected: true,
            crashed: false,
            details: None,
            difference: None,
            peer: None,
        };
        self.session.finished(case, run, Outcome::Infra, Duration::ZERO);
        self.tell(&RunEvent::CaseFinished { finished: Arc::new(finished), at: self.at() });
    }

    /// Counts a judged run, tells the sinks, and stops the run where a limit says so.
    fn settle(
        &mut self,
        assignment: Assignment,
        prepared: &Prepared,
        mut output: Output,
        judgement: Judgement,
        unexpected: bool,
        worker: Option<WorkerId>,
    ) {
        let peer = worker.filter(|worker| self.is_peer(*worker)).map(|worker| self.workers.name(worker));
        let Assignment { case, run } = assignment;
        let outcome = match (judgement.actual, unexpected) {
            (None, _) => Outcome::Infra,
            (Some(_), true) => Outcome::Unexpected,
            (Some(_), false) => Outcome::Expected,
        };
        let reaction = self.session.finished(case, run, outcome, output.duration);
        if outcome == Outcome::Expected {
            self.run.history.record(&history_key(&prepared.info), self.here(worker, output.duration));
        }
        if unexpected && self.run.regenerate {
            self.regenerate(&prepared.lowered, &output);
        }
        if let Some(shown) = judgement.shown {
            output.stdout.bytes = shown.into_bytes();
        }
        let file = prepared.lowered.expected_file.as_deref();
        let details = unexpected.then(|| details(&prepared.lowered.check, file, &output)).flatten();
        let finished = Finished {
            case: prepared.info.clone(),
            run,
            reruns: reaction.reruns,
            reason: reason(&output).or_else(|| prepared.lowered.contradiction.clone()),
            output: Arc::new(output),
            actual: judgement.actual,
            unexpected,
            crashed: judgement.crashed,
            details,
            difference: judgement.difference,
            peer,
        };
        // V8 tells of the limit before it shows the failure that reached it.
        if let Some(stop) = reaction.stop {
            self.stopping(stop);
        }
        self.tell(&RunEvent::CaseFinished { finished: Arc::new(finished), at: self.at() });
    }

    /// Predictable mode: whether the case must run again, or how the comparison ended.
    fn predictable_step(&mut self, assignment: Assignment, output: &Output) -> Option<Step> {
        if !self.run.predictable {
            return None;
        }
        let Assignment { case, run } = assignment;
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
        let field = peers::field(&self.workers, &self.dispatch);
        if field != std::mem::replace(&mut self.field, field) && self.workers.mesh().is_some() {
            let Field { peers, slots, shipped } = field;
            self.tell(&RunEvent::Machines { peers, slots, shipped });
        }
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
        self.dispatch.cancel_all(self.at());
    }

    fn end(mut self) -> (Arc<Summary>, Option<std::io::Error>) {
        let counts = self.session.counts();
        let summary = Arc::new(Summary {
            stop: self.session.stopped(),
            runs: counts.runs,
            passed: counts.passed,
            failed: counts.failed,
            flaky: counts.flaky,
            infra: counts.infra,
            remaining: counts.remaining,
            nothing_compared: self.run.predictable && !self.allocations.any_printed(),
            elapsed: self.at(),
        });
        for line in peers::summary(&self.workers, &self.dispatch) {
            self.tell(&RunEvent::Notice(line));
        }
        // Most reports are written now, and their failures show now.
        self.tell(&RunEvent::Ended(summary.clone()));
        (summary, self.sink_error)
    }
}

/// The same with the time that the finished command line is given.
fn timed(spec: Spec, prepared: &Prepared) -> Spec {
    Spec { limit: prepared.lowered.job.limits.wall, ..spec }
}

/// A moment that does not come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

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

/// Why a job has no status.
fn reason(output: &Output) -> Option<String> {
    match &output.exit {
        Exit::NotStarted(why) | Exit::Lost(why) => Some(why.clone()),
        Exit::Ended(_) | Exit::TimedOut(_) | Exit::Cancelled => None,
    }
}

fn nothing(exit: Exit) -> Output {
    let empty = Captured::default;
    Output { exit, stdout: empty(), stderr: empty(), duration: Duration::ZERO, max_rss: 0 }
}
