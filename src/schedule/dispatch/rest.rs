//! How long a worker that takes tests and answers none of them is left alone.
//!
//! Such a machine may be frozen for a moment, busy with its owner's programs, or an enemy; which of them it is shows in
//! time. So it rests, longer each time, until it answers something; only one that says nothing through several rests
//! while others end its tests is used no more.

use std::time::Duration;

/// Only a worker that has said nothing for so long is beaten by others; the rest are slow.
const SILENT: Duration = Duration::from_secs(3);
/// Rounds of being beaten, with a rest after each, before a worker is excluded.
const ROUNDS: u32 = 3;
/// The longest rest after being beaten.
const LONGEST: Duration = Duration::from_secs(30);
/// The first rest after giving tests back …
const FIRST_RETURN: Duration = Duration::from_millis(10);
/// … and the longest: a machine whose owner needed it for a moment is used again soon.
const LONGEST_RETURN: Duration = Duration::from_secs(4);

/// What is remembered of a worker since it last answered.
#[derive(Debug)]
pub(super) struct Rest {
    /// When it last answered a task.
    answered: Duration,
    /// Rounds since then in which others ended its tests.
    beaten: u32,
    rest: Duration,
    until: Duration,
}

impl Rest {
    pub(super) fn new(now: Duration) -> Self {
        Rest { answered: now, beaten: 0, rest: Duration::ZERO, until: Duration::ZERO }
    }

    /// Until when it gets nothing new.
    pub(super) fn until(&self) -> Duration {
        self.until
    }

    /// It answered a task that it had.
    pub(super) fn answers(&mut self, now: Duration) {
        *self = Rest::new(now);
    }

    /// It gave tests back that it had taken. What comes at once is one round.
    pub(super) fn gave_back(&mut self, now: Duration) {
        if self.until <= now {
            self.lie_down(FIRST_RETURN, LONGEST_RETURN, now);
        }
    }

    /// Another ended a task first that this one had since then. Why it must be excluded, if it must.
    pub(super) fn beaten(&mut self, since: Duration, now: Duration) -> Option<String> {
        let silent = now.saturating_sub(self.answered.max(since));
        if silent < SILENT || self.until > now {
            return None;
        }
        self.beaten += 1;
        self.lie_down(SILENT, LONGEST, now);
        let silent = now.saturating_sub(self.answered).as_secs();
        (self.beaten >= ROUNDS)
            .then(|| format!("it answered nothing for {silent} s while others ended the tests it had taken"))
    }

    fn lie_down(&mut self, first: Duration, longest: Duration, now: Duration) {
        self.rest = (self.rest * 2).clamp(first, longest);
        self.until = now + self.rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silence_through_three_rounds_is_enough_and_several_losses_at_once_are_one_round() {
        let mut rest = Rest::new(at(0));
        assert_eq!(rest.beaten(at(0), at(2)), None, "only slow");
        assert_eq!(rest.until(), at(0));
        for now in [10, 10, 12] {
            assert_eq!(rest.beaten(at(0), at(now)), None);
            assert_eq!(rest.until(), at(13));
        }
        assert_eq!(rest.beaten(at(0), at(20)), None);
        assert_eq!(rest.until(), at(26));
        assert!(rest.beaten(at(0), at(30)).is_some_and(|why| why.contains("for 30 s")));
    }

    #[test]
    fn an_answer_ends_every_rest_and_forgives() {
        let mut rest = Rest::new(at(0));
        for round in 1..20 {
            assert_eq!(rest.beaten(at(0), at(10 * round)), None);
            rest.answers(at(10 * round));
            assert_eq!(rest.until(), at(0));
        }
    }

    #[test]
    fn who_gives_everything_back_rests_longer_and_longer_and_is_never_excluded() {
        let mut rest = Rest::new(at(0));
        let (mut now, mut rounds) = (at(0), 0);
        while now < at(600) {
            rest.gave_back(now);
            now = rest.until();
            rounds += 1;
        }
        assert!((150..200).contains(&rounds), "{rounds} rounds in ten minutes");
    }
}
