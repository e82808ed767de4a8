//! One run: which case comes next, which runs again, when it is over, and what the exit code says.
//!
//! Pure. Inputs: [`Session::take`] when a slot is free, [`Session::finished`] when a run of a case was judged,
//! [`Session::stop`] when somebody or some limit ends the run. Outputs: what to start, whether to rerun, whether to
//! stop, and the counts. Invariants: a case is handed out once and again only as its own rerun; it is counted once;
//! after a stop nothing is handed out. Never knows commands, slots or clocks: durations arrive with results.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::event::Stop;
use crate::frontend::dialect::{Dialect, Era, RerunRule};

/// What a session is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many cases there are; each is an index of the caller's.
    pub cases: u32,
    /// Reruns of one failing case at most.
    pub rerun_count: u32,
    /// Reruns in all: tests or single runs, as [`RerunRule::limit_counts_tests`] says.
    pub rerun_max: u32,
    /// The era's way of counting reruns.
    pub rule: RerunRule,
    /// Timeout of the run before per-test factors; 2015/6.2 compare durations with it.
    pub timeout: Duration,
    /// Failures after which the run stops; 0 is never.
    pub failure_limit: usize,
    /// Allocations are compared over three runs instead of reruns (2015/6.2 `--predictable`).
    pub predictable: bool,
}

/// A run of a case to start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// Which case.
    pub case: u32,
    /// Which run of it, from 1.
    pub run: u32,
}

/// How one run of a case came out, as far as the session cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Expected,
    /// Other than expected.
    Unexpected,
    /// Could not be run.
    Infra,
}

/// What a result leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reaction {
    /// The case will be handed out again.
    pub reruns: bool,
    /// The run stops now.
    pub stop: Option<Stop>,
}

/// Counts at any moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Finished runs of cases, reruns included.
    pub runs: usize,
    /// Cases that ended as expected.
    pub passed: usize,
    /// Cases that ended unexpectedly.
    pub failed: usize,
    /// Cases that failed first and ended as expected.
    pub flaky: usize,
    /// Cases that could not be run.
    pub infra: usize,
    /// Cases without an end.
    pub remaining: usize,
}

/// The state of a run.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    queue: VecDeque<Assignment>,
    running: BTreeMap<u32, u32>,
    failed_before: BTreeMap<u32, ()>,
    counts: Counts,
    failures: usize,
    reruns: u32,
    stop: Option<Stop>,
}

impl Session {
    /// A session that has not begun.
    pub fn new(plan: Plan) -> Self {
        let queue: VecDeque<_> = (0..plan.cases).map(|case| Assignment { case, run: 1 }).collect();
        let counts = Counts { remaining: queue.len(), ..Counts::default() };
        Session {
            plan,
            queue,
            running: BTreeMap::new(),
            failed_before: BTreeMap::new(),
            counts,
            failures: 0,
            reruns: 0,
            stop: None,
        }
    }

    /// What a free slot should run; none if nothing may start now.
    pub fn take(&mut self) -> Option<Assignment> {
        if self.stop.is_some() {
            return None;
        }
        let assignment = self.queue.pop_front()?;
        self.running.insert(assignment.case, assignment.run);
        Some(assignment)
    }

    /// Takes the result of a run. A result of a run that is not under way has no effect.
    pub fn finished(&mut self, case: u32, run: u32, outcome: Outcome, duration: Duration) -> Reaction {
        if self.running.get(&case) != Some(&run) {
            return Reaction::default();
        }
        self.running.remove(&case);
        self.counts.runs += 1;
        let again = Assignment { case, run: run + 1 };
        if outcome == Outcome::Unexpected && self.may_rerun(run, duration) {
            self.failed_before.insert(case, ());
            self.queue.push_front(again);
            return Reaction { reruns: true, stop: None };
        }
        self.count(case, outcome);
        Reaction { reruns: false, stop: self.stop_on_failures() }
    }

    /// A predictable run asks for another run of the same case (2015/6.2: up to three are compared).
    pub fn repeat(&mut self, case: u32, run: u32) -> bool {
        if self.running.get(&case) != Some(&run) {
            return false;
        }
        self.running.remove(&case);
        self.queue.push_front(Assignment { case, run: run + 1 });
        true
    }

    fn may_rerun(&mut self, run: u32, duration: Duration) -> bool {
        if run > self.plan.rerun_count || self.stop.is_some() || self.plan.predictable {
            return false;
        }
        if self.plan.rule.slow_once && run >= 2 && duration > self.plan.timeout / 20 {
            return false;
        }
        let counts = run == 1 || !self.plan.rule.limit_counts_tests;
        if counts && self.reruns >= self.plan.rerun_max {
            return false;
        }
        self.reruns += u32::from(counts);
        true
    }

    fn count(&mut self, case: u32, outcome: Outcome) {
        self.counts.remaining -= 1;
        let failed_before = self.failed_before.remove(&case).is_some();
        let counts = &mut self.counts;
        match outcome {
            Outcome::Expected if failed_before && self.plan.rule.failure_sticks => {
                counts.failed += 1;
                counts.flaky += 1;
                self.failures += 1;
            }
            Outcome::Expected => {
                counts.passed += 1;
                counts.flaky += usize::from(failed_before);
            }
            Outcome::Unexpected => {
                counts.failed += 1;
                self.failures += 1;
            }
            Outcome::Infra => counts.infra += 1,
        }
    }

    fn stop_on_failures(&mut self) -> Option<Stop> {
        let reached = self.plan.failure_limit > 0 && self.failures >= self.plan.failure_limit;
        let stops = reached && self.stop.is_none() && self.counts.remaining > 0;
        stops.then(|| {
            self.stop = Some(Stop::TooManyFailures);
            Stop::TooManyFailures
        })
    }

    /// Ends the run: nothing starts any more. The first reason stands.
    pub fn stop(&mut self, reason: Stop) {
        self.stop.get_or_insert(reason);
    }

    /// Takes back what was handed out but never ran to its end (its process was ended by a stop).
    pub fn abandoned(&mut self, case: u32) {
        self.running.remove(&case);
    }

    /// Why the run stopped early, if it did.
    pub fn stopped(&self) -> Option<Stop> {
        self.stop
    }

    /// Whether nothing runs and nothing will.
    pub fn is_over(&self) -> bool {
        self.running.is_empty() && (self.queue.is_empty() || self.stop.is_some())
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// V8's exit code of one run (reference §5.9), before `--json-test-results` may change it.
pub fn exit_code(dialect: Dialect, counts: &Counts, stop: Option<Stop>, cases: usize) -> u8 {
    let failed = counts.failed > 0;
    match (dialect.era, stop) {
        (Era::V2015, Some(Stop::Interrupt | Stop::Terminate)) => 2,
        (Era::V2015, _) => u8::from(failed || counts.remaining > 0 || counts.infra > 0),
        (Era::V62, Some(Stop::Interrupt | Stop::Terminate)) => 2,
        (Era::V62, _) if failed || counts.infra > 0 => 1,
        (Era::V62, _) => {
            if counts.remaining > 0 {
                2
            } else {
                0
            }
        }
        (_, Some(Stop::Interrupt)) => 3,
        (_, Some(Stop::Terminate)) => 4,
        (_, _) if counts.infra > 0 => 5,
        (_, _) if failed => 1,
        (_, _) if cases == 0 => 2,
        (_, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(cases: u32, era: Era) -> Plan {
        Plan {
            cases,
            rerun_count: 0,
            rerun_max: 100,
            rule: Dialect::new(era).reruns(),
            timeout: Duration::from_secs(60),
            failure_limit: 0,
            predictable: false,
        }
    }

    /// Runs a session with `slots` slots; `judge` says how each run of a case comes out. Returns starts in order.
    fn drive(plan: Plan, slots: usize, judge: impl Fn(u32, u32) -> Outcome) -> (Vec<Assignment>, Session) {
        let mut session = Session::new(plan);
        let (mut started, mut busy) = (Vec::new(), VecDeque::new());
        while !session.is_over() {
            while busy.len() < slots {
                let Some(assignment) = session.take() else { break };
                started.push(assignment);
                busy.push_back(assignment);
            }
            let Some(done) = busy.pop_front() else { break };
            session.finished(done.case, done.run, judge(done.case, done.run), Duration::from_secs(1));
        }
        (started, session)
    }

    fn fails_first(times: u32) -> impl Fn(u32, u32) -> Outcome {
        move |_, run| if run <= times { Outcome::Unexpected } else { Outcome::Expected }
    }

    #[test]
    fn a_flaky_case_counts_as_its_era_counts_it() {
        for (era, failed) in [(Era::V62, 1), (Era::V102, 0), (Era::V13, 1), (Era::V157, 1)] {
            let (started, session) = drive(Plan { rerun_count: 2, ..plan(1, era) }, 1, fails_first(1));
            assert_eq!(started.len(), 2, "{era}");
            assert_eq!(session.counts().failed, failed, "{era}");
            assert_eq!(session.counts().flaky, 1, "{era}");
        }
    }

    #[test]
    fn the_rerun_limit_counts_tests_in_old_eras_and_runs_in_new_ones() {
        let limited = |era| Plan { rerun_count: 5, rerun_max: 2, ..plan(3, era) };
        let (old, _) = drive(limited(Era::V62), 1, |_, _| Outcome::Unexpected);
        assert_eq!(old.len(), 3 + 2 * 5);
        let (new, _) = drive(limited(Era::V102), 1, |_, _| Outcome::Unexpected);
        assert_eq!(new.len(), 3 + 2);
    }

    #[test]
    fn slow_tests_rerun_once_in_old_eras() {
        let slow = |era| {
            let mut session = Session::new(Plan { rerun_count: 5, ..plan(1, era) });
            let mut runs = 0;
            while let Some(next) = session.take() {
                runs += 1;
                session.finished(next.case, next.run, Outcome::Unexpected, Duration::from_secs(4));
            }
            runs
        };
        assert_eq!((slow(Era::V62), slow(Era::V102)), (2, 6));
    }

    #[test]
    fn the_failure_limit_stops_the_run() {
        let limited = Plan { failure_limit: 2, ..plan(10, Era::V102) };
        let (started, session) = drive(limited, 1, |_, _| Outcome::Unexpected);
        assert_eq!(started.len(), 2);
        assert_eq!(session.stopped(), Some(Stop::TooManyFailures));
        assert_eq!(session.counts().remaining, 8);
    }

    #[test]
    fn late_and_double_results_have_no_effect() {
        let mut session = Session::new(plan(2, Era::V102));
        session.take();
        session.finished(0, 1, Outcome::Expected, Duration::ZERO);
        let before = session.counts();
        assert_eq!(session.finished(0, 1, Outcome::Unexpected, Duration::ZERO), Reaction::default());
        assert_eq!(session.finished(1, 1, Outcome::Unexpected, Duration::ZERO), Reaction::default());
        assert_eq!(session.counts(), before);
    }

    #[test]
    fn exit_codes_are_v8s() {
        let counts = |failed, remaining| Counts { failed, remaining, ..Counts::default() };
        let code = |era, counts: Counts, stop, cases| exit_code(Dialect::new(era), &counts, stop, cases);
        assert_eq!(code(Era::V102, counts(0, 0), None, 5), 0);
        assert_eq!(code(Era::V102, counts(1, 0), None, 5), 1);
        assert_eq!(code(Era::V102, counts(0, 0), None, 0), 2);
        assert_eq!(code(Era::V102, counts(0, 3), Some(Stop::Interrupt), 5), 3);
        assert_eq!(code(Era::V102, counts(1, 3), Some(Stop::Terminate), 5), 4);
        assert_eq!(code(Era::V102, counts(0, 3), Some(Stop::TotalTimeout), 5), 0);
        assert_eq!(code(Era::V62, counts(0, 0), None, 0), 0);
        assert_eq!(code(Era::V62, counts(1, 0), None, 5), 1);
        assert_eq!(code(Era::V62, counts(0, 1), Some(Stop::Interrupt), 5), 2);
        assert_eq!(code(Era::V2015, counts(0, 1), None, 5), 1);
        let infra = Counts { infra: 1, ..Counts::default() };
        assert_eq!(code(Era::V157, infra, None, 5), 5);
        assert_eq!(code(Era::V62, infra, None, 5), 1);
    }

    proptest! {
        /// Every case gets exactly one end, whatever comes out of each run and however many slots there are.
        #[test]
        fn every_case_is_counted_once(
            cases in 0u32..40,
            slots in 1usize..6,
            reruns in 0u32..4,
            limit in 0u32..10,
            seed in any::<u64>(),
        ) {
            let plan = Plan { rerun_count: reruns, rerun_max: limit, ..plan(cases, Era::V62) };
            let judge = |case: u32, run: u32| match (seed >> ((case * 7 + run * 13) % 61)) % 4 {
                0 => Outcome::Unexpected,
                1 => Outcome::Infra,
                _ => Outcome::Expected,
            };
            let (started, session) = drive(plan, slots, judge);
            let counts = session.counts();
            prop_assert!(session.is_over());
            prop_assert_eq!(counts.remaining, 0);
            prop_assert_eq!(counts.passed + counts.failed + counts.infra, cases as usize);
            prop_assert_eq!(counts.runs, started.len());
            for case in 0..cases {
                let runs: Vec<u32> = started.iter().filter(|start| start.case == case).map(|start| start.run).collect();
                prop_assert_eq!(&runs, &(1..=runs.len() as u32).collect::<Vec<_>>());
                prop_assert!(runs.len() as u32 <= 1 + reruns);
            }
        }

        /// After a stop nothing starts, and what was counted stays.
        #[test]
        fn nothing_starts_after_a_stop(cases in 1u32..20, before in 0usize..20) {
            let mut session = Session::new(plan(cases, Era::V102));
            let started: Vec<_> = (0..before).filter_map(|_| session.take()).collect();
            session.stop(Stop::Interrupt);
            prop_assert_eq!(session.take(), None);
            for start in &started {
                session.abandoned(start.case);
            }
            prop_assert!(session.is_over());
            prop_assert_eq!(session.counts().remaining, cases as usize);
        }
    }
}
