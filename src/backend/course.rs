//! The course of one job: when its group is ended, how, and when waiting is over. PURE.
//!
//! In: the job's end, a cancellation, the time. Out: a [`Step`] to perform and the time of the next one. It never
//! waits or kills; it holds however late it is asked, and asks for each step once.
//!
//! ```text
//! Running --time up--> Terminating --100 ms--> Killed --5 s--> Over (stuck)
//!    |  \--time up (Kill), cancelled------------^
//!    \--exited--> Draining --200 ms--> Over       exited after a kill: Over at once
//! ```

use std::time::{Duration, Instant};

use crate::job::{Ladder, Limits};

/// Between the polite and the final signal (V8's).
const POLITE: Duration = Duration::from_millis(100);

/// How long a descendant that outlives the job may go on writing to its streams.
const DRAIN: Duration = Duration::from_millis(200);

/// After this a killed process is stuck in the kernel.
const STUCK: Duration = Duration::from_secs(5);

/// A wall time beyond this never comes.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What to do to the job's process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// Why a job was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its time was up.
    TimedOut,
    /// Its owner asked.
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running { until: Instant },
    Terminating { until: Instant },
    Killed { until: Instant },
    Draining { until: Instant },
    Over,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Course {
    state: State,
    ladder: Ladder,
    cause: Option<Cause>,
}

impl Course {
    /// A job that starts now.
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let until = now + limits.wall.min(NEVER);
        Self { state: State::Running { until }, ladder: limits.ladder, cause: None }
    }

    /// When [`Self::tick`] has something to say; none when nothing is left to wait for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Running { until }
            | State::Terminating { until }
            | State::Killed { until }
            | State::Draining { until } => Some(until),
            State::Over => None,
        }
    }

    /// Time has come to `now`.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Step> {
        if self.deadline().is_none_or(|until| now < until) {
            return None;
        }
        match self.state {
            State::Running { .. } => Some(self.time_up(now)),
            State::Terminating { .. } => Some(self.kill(now)),
            State::Killed { .. } | State::Draining { .. } | State::Over => {
                self.state = State::Over;
                None
            }
        }
    }

    /// The owner no longer wants the job. No effect once it was killed or has exited.
    pub(super) fn cancel(&mut self, now: Instant) -> Option<Step> {
        match self.state {
            State::Running { .. } | State::Terminating { .. } => {
                self.cause.get_or_insert(Cause::Cancelled);
                Some(self.kill(now))
            }
            State::Killed { .. } | State::Draining { .. } | State::Over => None,
        }
    }

    /// The job's own process has ended. After a kill nothing of what its descendants still write is wanted.
    pub(super) fn exited(&mut self, now: Instant) {
        self.state = match self.state {
            State::Over => State::Over,
            _ if self.cause.is_some() => State::Over,
            State::Running { .. }
            | State::Terminating { .. }
            | State::Killed { .. }
            | State::Draining { .. } => State::Draining { until: now + DRAIN },
        };
    }

    /// Why the job was ended from outside, if it was.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause
    }

    fn time_up(&mut self, now: Instant) -> Step {
        self.cause = Some(Cause::TimedOut);
        match self.ladder {
            Ladder::Kill => self.kill(now),
            Ladder::TermThenKill => {
                self.state = State::Terminating { until: now + POLITE };
                Step::Terminate
            }
        }
    }

    fn kill(&mut self, now: Instant) -> Step {
        self.state = State::Killed { until: now + STUCK };
        Step::Kill
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(ladder: Ladder) -> Limits {
        Limits { wall: Duration::from_secs(60), output: 0, ladder }
    }

    struct World {
        start: Instant,
        course: Course,
    }

    fn world(ladder: Ladder) -> World {
        let start = Instant::now();
        World { start, course: Course::new(&limits(ladder), start) }
    }

    impl World {
        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn tick(&mut self, millis: u64) -> Option<Step> {
            self.course.tick(self.at(millis))
        }
    }

    #[test]
    fn kill_comes_at_once_and_once() {
        let mut world = world(Ladder::Kill);
        assert_eq!(world.tick(59_999), None);
        assert_eq!(world.tick(60_000), Some(Step::Kill));
        assert_eq!(world.tick(60_001), None);
        assert_eq!(world.course.cause(), Some(Cause::TimedOut));
        world.course.exited(world.at(60_002));
        assert_eq!(world.course.deadline(), None);
    }

    #[test]
    fn term_is_followed_by_kill_after_a_tenth_of_a_second() {
        let mut world = world(Ladder::TermThenKill);
        assert_eq!(world.tick(60_000), Some(Step::Terminate));
        assert_eq!(world.tick(60_099), None);
        assert_eq!(world.tick(60_100), Some(Step::Kill));
    }

    #[test]
    fn who_heeds_term_is_not_waited_for() {
        let mut world = world(Ladder::TermThenKill);
        assert_eq!(world.tick(60_000), Some(Step::Terminate));
        world.course.exited(world.at(60_050));
        assert_eq!(world.course.deadline(), None);
        assert_eq!(world.course.cause(), Some(Cause::TimedOut));
    }

    #[test]
    fn streams_are_drained_for_a_fifth_of_a_second() {
        let mut world = world(Ladder::Kill);
        world.course.exited(world.at(10));
        assert_eq!(world.course.deadline(), Some(world.at(210)));
        assert_eq!(world.tick(210), None);
        assert_eq!(world.course.deadline(), None);
        assert_eq!(world.course.cause(), None);
    }

    #[test]
    fn cancelling_skips_politeness_and_has_no_effect_on_what_is_over() {
        let mut world = world(Ladder::TermThenKill);
        assert_eq!(world.course.cancel(world.at(5)), Some(Step::Kill));
        assert_eq!(world.course.cancel(world.at(6)), None);
        assert_eq!(world.course.cause(), Some(Cause::Cancelled));

        let mut exited = self::world(Ladder::Kill);
        exited.course.exited(exited.at(1));
        assert_eq!(exited.course.cancel(exited.at(2)), None);
        assert_eq!(exited.course.cause(), None);
    }

    #[test]
    fn a_process_that_does_not_die_is_given_up() {
        let mut world = world(Ladder::Kill);
        assert_eq!(world.tick(60_000), Some(Step::Kill));
        assert_eq!(world.tick(65_000), None);
        assert_eq!(world.course.deadline(), None);
    }

    #[test]
    fn an_endless_wall_time_is_fine() {
        let endless = Limits { wall: Duration::MAX, output: 0, ladder: Ladder::Kill };
        assert!(Course::new(&endless, Instant::now()).deadline().is_some());
    }

    proptest! {
        /// Whatever happens, time alone ends every course, and each step comes at most once.
        #[test]
        fn every_course_ends(inputs in prop::collection::vec((0u8..3, 0u64..70_000), 0..8), term: bool) {
            let ladder = if term { Ladder::TermThenKill } else { Ladder::Kill };
            let mut world = world(ladder);
            let mut steps = Vec::new();
            let mut clock = 0;
            for (input, passed) in inputs {
                clock += passed;
                let now = world.at(clock);
                match input {
                    0 => world.course.exited(now),
                    1 => steps.extend(world.course.cancel(now)),
                    _ => steps.extend(world.course.tick(now)),
                }
            }
            for _ in 0..4 {
                clock += 70_000;
                steps.extend(world.tick(clock));
            }
            prop_assert_eq!(world.course.deadline(), None);
            prop_assert!(steps.iter().filter(|step| **step == Step::Kill).count() <= 1);
            prop_assert!(steps.iter().filter(|step| **step == Step::Terminate).count() <= 1);
        }
    }
}
