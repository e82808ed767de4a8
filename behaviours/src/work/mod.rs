//! The Work role: jobs go out, outputs come back.
//!
//! `wire` says what a job is and what became of it, `offer` signs jobs, `replay` remembers which were taken,
//! `message` is the conversation around them.

pub mod message;
pub mod offer;
pub mod replay;
pub mod wire;
