//! The Work role: jobs go out, outputs come back.

pub mod wire;
