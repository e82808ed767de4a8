//! How slow a worker is, learned from what its tasks took.
//!
//! A robust running average of the logarithm of actual by expected duration: one wild test moves it by a bounded
//! step, a machine that has become ten times slower is known as such after some ten tests.

use std::time::Duration;

/// Slowness is kept within 1/LIMIT to LIMIT.
const LIMIT: f64 = 64.0;
/// How far one test with a known duration moves the average.
const GAIN_KNOWN: f64 = 0.3;
/// The same for one that is only compared with what is typical in this run: durations differ more than machines.
const GAIN_UNKNOWN: f64 = 0.08;
/// Added to both durations: starting a process takes its time, whatever the test.
const START: f64 = 0.005;
/// What a test is taken to need while nothing is known.
const GUESS: f64 = 0.1;
/// Weight of a new observation in what is typical of a run.
const GAIN_TYPICAL: f64 = 1.0 / 48.0;
/// Lets an average slowness that unknown tests alone have brought about fade.
const DECAY: f64 = 0.98;
/// No guess is longer, so that a few timeouts do not make every test look long.
const LONGEST_GUESS: f64 = 5.0;

/// One worker's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slowness {
    log: f64,
    factor: f64,
}

impl Slowness {
    pub(super) fn new(hint: f64) -> Self {
        let factor = if hint.is_finite() { hint.clamp(1.0 / LIMIT, LIMIT) } else { 1.0 };
        Slowness { log: factor.ln(), factor }
    }

    /// How long it takes for what takes an average worker 1.
    pub(super) fn factor(self) -> f64 {
        self.factor
    }

    fn learn(&mut self, actual: f64, expected: f64, gain: f64) {
        let surprise = ((actual + START) / (expected + START)).ln() - self.log;
        self.log = (self.log + gain * surprise.clamp(-1.0, 1.0)).clamp(-LIMIT.ln(), LIMIT.ln());
        self.factor = self.log.exp();
    }
}

/// What tests without a known duration take in this run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Typical {
    mean: f64,
    log: f64,
    /// The workers' average slowness (its logarithm). Unknown tests tell machines apart but say nothing of all of
    /// them: what they teach is relative to this.
    level: f64,
    seen: bool,
}

impl Default for Typical {
    fn default() -> Self {
        Typical { mean: GUESS, log: GUESS.ln(), level: 0.0, seen: false }
    }
}

impl Typical {
    /// The average on a worker of slowness 1, in microseconds.
    pub(super) fn micros(&self) -> u64 {
        (self.mean * 1e6 / self.level.exp()) as u64
    }

    /// Learns from a test of unknown duration: what is typical, and how slow its worker is beside the others.
    pub(super) fn learn(&mut self, slowness: &mut Slowness, duration: Duration) {
        let actual = duration.as_secs_f64();
        let gain = if self.seen { GAIN_TYPICAL } else { 1.0 };
        if self.seen {
            let expected = (self.log - self.level * DECAY).exp() - START;
            slowness.learn(actual, expected, GAIN_UNKNOWN);
        }
        self.seen = true;
        self.log += gain * ((actual + START).ln() - self.log);
        self.mean += gain * (actual - self.mean);
        self.mean = self.mean.clamp(0.001, LONGEST_GUESS);
        self.level += GAIN_TYPICAL * (slowness.log - self.level);
    }
}

/// Learns from a test whose duration was known.
pub(super) fn learn_known(slowness: &mut Slowness, duration: Duration, expected: Duration) {
    slowness.learn(duration.as_secs_f64(), expected.as_secs_f64(), GAIN_KNOWN);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn ten_times_slower_is_known_after_some_ten_tests() {
        let mut slowness = Slowness::new(1.0);
        (0..12).for_each(|_| learn_known(&mut slowness, millis(2000), millis(200)));
        assert!((8.0..11.0).contains(&slowness.factor()), "{slowness:?}");
        (0..12).for_each(|_| learn_known(&mut slowness, millis(200), millis(200)));
        assert!((0.9..1.3).contains(&slowness.factor()), "{slowness:?}");
    }

    #[test]
    fn one_wild_test_says_little() {
        let mut slowness = Slowness::new(1.0);
        learn_known(&mut slowness, Duration::from_secs(60), millis(10));
        assert!(slowness.factor() < 1.4, "{slowness:?}");
    }

    #[test]
    fn strange_hints_are_bounded() {
        for hint in [f64::NAN, f64::INFINITY, -3.0, 0.0, 1e300] {
            let factor = Slowness::new(hint).factor();
            assert!((1.0 / LIMIT..=LIMIT).contains(&factor), "{hint}: {factor}");
        }
    }

    #[test]
    fn unknown_tests_tell_machines_apart_too() {
        let (mut typical, mut fast, mut slow) = (Typical::default(), Slowness::new(1.0), Slowness::new(1.0));
        for round in 0..200 {
            typical.learn(&mut fast, millis(50 + round % 7 * 40));
            typical.learn(&mut slow, millis(10 * (50 + round % 7 * 40)));
        }
        let ratio = slow.factor() / fast.factor();
        assert!((6.0..14.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn tests_that_grow_longer_do_not_make_all_machines_slow() {
        let mut typical = Typical::default();
        let mut workers = [Slowness::new(1.0); 8];
        for round in 0..4000 {
            let duration = millis(1 + round / 10 + round % 13 * 10);
            typical.learn(&mut workers[usize::try_from(round % 8).unwrap()], duration);
        }
        let factors = workers.map(Slowness::factor);
        let (least, most) = factors.iter().fold((f64::MAX, 0.0f64), |(a, b), f| (a.min(*f), b.max(*f)));
        assert!(most < 4.0 && most / least < 1.2, "{factors:?}");
    }
}
