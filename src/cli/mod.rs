//! Arguments, words and exit codes of the programs. The only part that prints or exits.

pub mod run_tests;
pub mod words;
