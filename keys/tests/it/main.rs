//! The trust rules from outside: properties, a model and its mutants, statements' bytes, homes that crash.
//!
//! `TESTMESH_CASES` sets how many cases each property sees; `TESTMESH_CASES_WORLDS`, `_STATEMENTS`, `_LISTS` and
//! `_SCHEDULES` each for properties that cost alike. The defaults keep a debug run within seconds.

// Nodes by number, their keys, and how many cases to run.
mod support;
// The rules once more, plainly, with switches for the mistakes that must be noticed.
mod model;
// Random worlds.
mod worlds;
// What must hold of any implementation of the rules: P1-P15, P22, P25.
mod properties;
// The crate and the model agree; every property holds for both.
mod agreement;
// Every mistake is noticed by its property.
mod mutants;
// Golden bytes, strictness, domains: P18-P20.
mod statements;
// Key files and the words of every error.
mod keyfiles;
// Commands and received statements: P17, P23.
mod keyrings;
// Homes: creation, refusals, crashes at every byte: P16, P24.
mod homes;
// Keyrings that exchange statements over a lossy network.
mod schedules;
