//! One run, from cases to summary.

pub mod event;
pub mod session;
