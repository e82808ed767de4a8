//! `run-tests`, from the words typed to the exit code.

pub mod args;
