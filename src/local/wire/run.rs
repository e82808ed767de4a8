//! Runs of tests: see [`crate::local::run`].

pub use crate::local::run::{RunReply, RunRequest};
