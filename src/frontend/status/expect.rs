//! Outcomes -> what a run may turn out to be (reference §2.6), and the marks that filters ask for.
//!
//! Pure.

use super::outcome::{Actual, Keyword, Outcomes};
use super::rules::Matched;
use crate::frontend::dialect::{Dialect, Era};

/// Which results are as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    accepts: Vec<Actual>,
    names: Vec<&'static str>,
}

impl Expectation {
    /// Only FAIL is as expected.
    pub fn only_fail() -> Self {
        Expectation::of(vec![Actual::Fail])
    }

    /// Only PASS is as expected.
    pub fn only_pass() -> Self {
        Expectation::of(vec![Actual::Pass])
    }

    fn of(accepts: Vec<Actual>) -> Self {
        let names = accepts.iter().map(|actual| actual.name()).collect();
        Expectation { accepts, names }
    }

    /// Whether a result is as expected.
    pub fn accepts(&self, actual: Actual) -> bool {
        self.accepts.contains(&actual)
    }

    /// What V8 calls the expectation, in its order.
    pub fn names(&self) -> Vec<&'static str> {
        self.names.clone()
    }
}

/// What a case may turn out to be. `strict` says that its flags have `--use-strict`.
pub fn expectation(matched: &Matched, dialect: Dialect, test262: bool, strict: bool) -> Expectation {
    if dialect.is_old() {
        old(matched, dialect.era == Era::V62 && test262, strict)
    } else {
        modern(matched.outcomes, strict)
    }
}

/// 2015 and 6.2: the result must be among the outcomes; without any, PASS.
fn old(matched: &Matched, test262: bool, strict: bool) -> Expectation {
    let outcomes = matched.outcomes;
    if test262 && outcomes.has(Keyword::FailSloppy) && !strict {
        return Expectation::only_fail();
    }
    let relevant = if test262 { outcomes.without(Keyword::FailSloppy) } else { outcomes };
    let worded = matched.worded && !test262;
    if relevant.is_empty() && !worded {
        return Expectation::of(vec![Actual::Pass]);
    }
    let members = [
        (Keyword::Fail, Actual::Fail),
        (Keyword::Crash, Actual::Crash),
        (Keyword::Timeout, Actual::Timeout),
        (Keyword::Pass, Actual::Pass),
    ];
    let accepts = members.into_iter().filter(|(keyword, _)| relevant.has(*keyword)).map(|(_, actual)| actual);
    Expectation { accepts: accepts.collect(), names: relevant.iter().map(Keyword::name).collect() }
}

/// 10.2 and later: marks do not count, and PASS is implied where nothing else is.
fn modern(outcomes: Outcomes, strict: bool) -> Expectation {
    if outcomes.has(Keyword::FailSloppy) && !strict {
        return Expectation::only_fail();
    }
    let mut accepts = Vec::new();
    if outcomes.has(Keyword::Fail) || outcomes.has(Keyword::FailOk) {
        accepts.push(Actual::Fail);
    }
    if outcomes.has(Keyword::Crash) {
        accepts.push(Actual::Crash);
    }
    if accepts.is_empty() || outcomes.has(Keyword::Pass) {
        accepts.push(Actual::Pass);
    }
    Expectation::of(accepts)
}

impl Outcomes {
    /// Marked SLOW, or what the era counts as slow.
    pub fn is_slow(self, dialect: Dialect) -> bool {
        self.has(Keyword::Slow) || (dialect.heavy_is_slow() && self.has(Keyword::Heavy))
    }

    /// May pass or fail, and nothing else.
    pub fn is_pass_or_fail(self, dialect: Dialect) -> bool {
        let both = self.has(Keyword::Pass) && self.has(Keyword::Fail);
        both && !self.has(Keyword::Crash) && !(dialect.is_old() && self.has(Keyword::Okay))
    }
}

/// What `--report` counts: how many, and V8's words for them (reference §6.3).
pub fn report_counts(outcomes: &[Outcomes], dialect: Dialect) -> Vec<(usize, &'static str)> {
    let live = || outcomes.iter().filter(|set| !set.has(Keyword::Skip));
    let count = |counts: &dyn Fn(Outcomes) -> bool| live().filter(|set| counts(**set)).count();
    let only = |keyword| move |set: Outcomes| set == Outcomes::of(&[keyword]);
    let fail_ok =
        |set: Outcomes| set.has(Keyword::FailOk) || (set.has(Keyword::Fail) && set.has(Keyword::Okay));
    vec![
        (outcomes.len() - live().count(), "will be skipped"),
        (count(&|set| set.has(Keyword::Timeout)), "are expected to timeout sometimes"),
        (count(&|set| set.is_pass_or_fail(dialect)), "are expected to be flaky but not crash"),
        (count(&|set| set.is_empty() || only(Keyword::Pass)(set)), "are expected to pass"),
        (count(&fail_ok), "are expected to fail that we won't fix"),
        (count(&only(Keyword::Fail)), "are expected to fail that we should fix"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use Keyword::{Crash, Fail, FailOk, FailSloppy, NoVariants, Pass, Slow};

    fn accepts(keywords: &[Keyword], era: Era, strict: bool) -> Vec<Actual> {
        let matched = Matched { outcomes: Outcomes::of(keywords), ..Matched::default() };
        expectation(&matched, Dialect::new(era), true, strict).accepts
    }

    #[test]
    fn marks_imply_pass_only_since_10_2() {
        assert_eq!(accepts(&[Slow], Era::V102, false), [Actual::Pass]);
        assert_eq!(accepts(&[Slow], Era::V62, false), []);
        assert_eq!(accepts(&[NoVariants], Era::V2015, false), []);
        assert_eq!(accepts(&[], Era::V62, false), [Actual::Pass]);
    }

    #[test]
    fn failing_and_crashing_outcomes() {
        assert_eq!(accepts(&[Fail], Era::V102, false), [Actual::Fail]);
        assert_eq!(accepts(&[FailOk], Era::V102, false), [Actual::Fail]);
        assert_eq!(accepts(&[Pass, Crash], Era::V102, false), [Actual::Crash, Actual::Pass]);
        assert_eq!(accepts(&[Pass, Fail, Slow], Era::V62, false), [Actual::Fail, Actual::Pass]);
    }

    #[test]
    fn sloppy_failures_do_not_concern_strict_runs() {
        for era in [Era::V62, Era::V102] {
            assert_eq!(accepts(&[FailSloppy], era, false), [Actual::Fail], "{era}");
            assert_eq!(accepts(&[FailSloppy], era, true), [Actual::Pass], "{era}");
        }
    }

    #[test]
    fn counts_of_the_report() {
        let sets = [
            Outcomes::EMPTY,
            Outcomes::of(&[Fail]),
            Outcomes::of(&[Pass, Fail]),
            Outcomes::of(&[Keyword::Skip]),
        ];
        let counts: Vec<usize> =
            report_counts(&sets, Dialect::new(Era::V62)).into_iter().map(|(count, _)| count).collect();
        assert_eq!(counts, [1, 0, 1, 1, 0, 1]);
    }
}
