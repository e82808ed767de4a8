//! `run-tests`: runs a V8 checkout's tests.

fn main() {}
