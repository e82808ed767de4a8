//! Every rule that differs between V8's eras: one type, one place (reference §8).
//!
//! A dialect is detected from the tree under test. The rest of the frontend asks it; nobody else compares versions.

/// The generations of V8's runner that behave differently. Ordered, so that `era >= Era::V102` reads as "since 10.2".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// V8 4.x, 2015: Python 2, prefix patterns, crankshaft variants.
    V2015,
    /// V8 5 to 6.x, 2016-2018: `tools/run-tests.py` is the whole runner, flags precede files.
    V62,
    /// V8 7 to 12, 2019-2023: a pipeline of processors, files precede flags.
    V102,
    /// V8 13 to 15.6, 2024-2025: build JSON keys are the status variables.
    V13,
    /// V8 15.7 and later, 2026.
    V157,
}

/// The rules of the tree under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Its generation.
    pub era: Era,
}

impl Dialect {
    /// The dialect of a generation.
    pub fn new(era: Era) -> Self {
        Dialect { era }
    }
}
