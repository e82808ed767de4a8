//! The words of status files and the sets they form.

use std::fmt;

/// A keyword usable as an outcome in some era (reference §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Keyword {
    /// Not run.
    Skip,
    /// Expected to fail.
    Fail,
    /// Expected to pass.
    Pass,
    /// 2015/6.2: fails and we will not fix it.
    Okay,
    /// 2015: may time out.
    Timeout,
    /// Expected to crash.
    Crash,
    /// Longer timeout, scheduled first.
    Slow,
    /// 2015: filtered by `--flaky-tests`.
    Flaky,
    /// Fails and we will not fix it; 2015/6.2 macro for FAIL and OKAY.
    FailOk,
    /// 2015/6.2: only the fast variants.
    FastVariants,
    /// Only the variant `default`.
    NoVariants,
    /// 2015/6.2 macro for PASS and FAIL.
    PassOrFail,
    /// test262: fails in sloppy mode.
    FailSloppy,
    /// 10.2+: few at a time under `--swarming`.
    Heavy,
    /// 10.2+, test262: only the negative phase fails.
    FailPhaseOnly,
    /// Newest: limits fuzzing only.
    FuzzRare,
}

impl Keyword {
    /// Every keyword, in declaration order.
    pub const ALL: [Keyword; 16] = [
        Keyword::Skip,
        Keyword::Fail,
        Keyword::Pass,
        Keyword::Okay,
        Keyword::Timeout,
        Keyword::Crash,
        Keyword::Slow,
        Keyword::Flaky,
        Keyword::FailOk,
        Keyword::FastVariants,
        Keyword::NoVariants,
        Keyword::PassOrFail,
        Keyword::FailSloppy,
        Keyword::Heavy,
        Keyword::FailPhaseOnly,
        Keyword::FuzzRare,
    ];

    /// Its spelling in a status file.
    pub fn name(self) -> &'static str {
        match self {
            Keyword::Skip => "SKIP",
            Keyword::Fail => "FAIL",
            Keyword::Pass => "PASS",
            Keyword::Okay => "OKAY",
            Keyword::Timeout => "TIMEOUT",
            Keyword::Crash => "CRASH",
            Keyword::Slow => "SLOW",
            Keyword::Flaky => "FLAKY",
            Keyword::FailOk => "FAIL_OK",
            Keyword::FastVariants => "FAST_VARIANTS",
            Keyword::NoVariants => "NO_VARIANTS",
            Keyword::PassOrFail => "PASS_OR_FAIL",
            Keyword::FailSloppy => "FAIL_SLOPPY",
            Keyword::Heavy => "HEAVY",
            Keyword::FailPhaseOnly => "FAIL_PHASE_ONLY",
            Keyword::FuzzRare => "FUZZ_RARE",
        }
    }
}

/// A set of keywords.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Outcomes(u32);

impl Outcomes {
    /// The set without members.
    pub const EMPTY: Outcomes = Outcomes(0);

    /// The set of these keywords.
    pub fn of(keywords: &[Keyword]) -> Self {
        keywords.iter().fold(Outcomes::EMPTY, |set, keyword| set.with(*keyword))
    }

    /// Whether the keyword is a member.
    pub fn has(self, keyword: Keyword) -> bool {
        self.0 & (1 << keyword as u8) != 0
    }

    /// The set with the keyword.
    #[must_use]
    pub fn with(self, keyword: Keyword) -> Self {
        Outcomes(self.0 | 1 << keyword as u8)
    }

    /// The set without the keyword.
    #[must_use]
    pub fn without(self, keyword: Keyword) -> Self {
        Outcomes(self.0 & !(1 << keyword as u8))
    }

    /// Members of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Outcomes(self.0 | other.0)
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Keyword> {
        Keyword::ALL.into_iter().filter(move |keyword| self.has(*keyword))
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Keyword::name)).finish()
    }
}

/// What a run of a test turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actual {
    /// The output check was satisfied.
    Pass,
    /// It was not.
    Fail,
    /// Ended by a signal other than SIGABRT (reference §5.6).
    Crash,
    /// Out of time.
    Timeout,
}

impl Actual {
    /// V8's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Actual::Pass => "PASS",
            Actual::Fail => "FAIL",
            Actual::Crash => "CRASH",
            Actual::Timeout => "TIMEOUT",
        }
    }
}
