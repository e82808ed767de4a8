//! Which generation of V8's runner words a report: finer than the eras, for reports changed more often than rules.
//!
//! Pure table, read by every V8-compatible style; knows no test and no run.

use crate::frontend::dialect::{Dialect, Era};

/// A generation of V8's reports. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wording {
    /// V8 4.x.
    V2015,
    /// V8 5 and 6.
    V62,
    /// V8 7: processors, but still the words of 6.2.
    V79,
    /// V8 8 and 9: failure lines, one JSON object; the last that Python 2 runs.
    V90,
    /// V8 10: flaky tests have a word of their own.
    V102,
    /// V8 11 to 12.5: talk goes to the log, differences are shown.
    V116,
    /// V8 12.6 to 15.6: memory in the JSON, the schedule log.
    V126,
    /// V8 15.7 and later.
    V157,
}

impl Wording {
    /// The generation of a tree, by its version where known, else by its era.
    pub fn of(dialect: Dialect, version: Option<(u32, u32)>) -> Self {
        match (dialect.era, version) {
            (Era::V2015, _) => Wording::V2015,
            (Era::V62, _) => Wording::V62,
            (Era::V102, Some((..=7, _))) => Wording::V79,
            (Era::V102, Some((8 | 9, _))) => Wording::V90,
            (Era::V102, Some((11, _) | (12, ..=5))) => Wording::V116,
            (Era::V102, Some((12.., _))) => Wording::V126,
            (Era::V102, _) => Wording::V102,
            (Era::V13, _) => Wording::V126,
            (Era::V157, _) => Wording::V157,
        }
    }

    /// Reports see each run of a case (2015, 6.2) instead of a case once its last run ended.
    pub(crate) fn sees_each_run(self) -> bool {
        self <= Wording::V62
    }

    /// Written by Python 2: other dictionaries, other whitespace.
    pub(crate) fn is_python2(self) -> bool {
        self <= Wording::V90
    }

    /// An array in the JSON file, to which each run appends.
    pub(crate) fn appends_json(self) -> bool {
        self <= Wording::V79
    }

    /// `Done running a/b: pass`.
    pub(crate) fn says_done_running(self) -> bool {
        self <= Wording::V79
    }

    /// `exit code: -11 [FFFFFFF5]`, and a last line that names what went wrong.
    pub(crate) fn names_failures(self) -> bool {
        self >= Wording::V90
    }

    /// `(flaky)`, `FAIL PASS`.
    pub(crate) fn names_flaky(self) -> bool {
        self >= Wording::V102
    }

    /// How the output differs is shown.
    pub(crate) fn shows_details(self) -> bool {
        self >= Wording::V116
    }

    /// Signals, events and process lists go to the log on standard error.
    pub(crate) fn logs(self) -> bool {
        self >= Wording::V116
    }

    /// Since 11.6 nothing counts crashes in the final lines any more.
    pub(crate) fn counts_crashes(self) -> bool {
        self < Wording::V116
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wording_follows_from_era_and_version() {
        for (era, version, wording) in [
            (Era::V2015, Some((4, 3)), Wording::V2015),
            (Era::V62, Some((6, 2)), Wording::V62),
            (Era::V102, Some((6, 8)), Wording::V79),
            (Era::V102, Some((7, 9)), Wording::V79),
            (Era::V102, Some((8, 7)), Wording::V90),
            (Era::V102, Some((9, 0)), Wording::V90),
            (Era::V102, Some((10, 2)), Wording::V102),
            (Era::V102, Some((11, 6)), Wording::V116),
            (Era::V102, Some((12, 4)), Wording::V116),
            (Era::V102, Some((12, 6)), Wording::V126),
            (Era::V102, None, Wording::V102),
            (Era::V13, Some((14, 0)), Wording::V126),
            (Era::V157, None, Wording::V157),
        ] {
            assert_eq!(Wording::of(Dialect::new(era), version), wording, "{era:?} {version:?}");
        }
    }
}
