//! Status files: which tests are expected to do what (reference §2).
//!
//! Text -> sections (`parse`) -> rules under the build's variables (`eval`, `rules`) -> outcomes of one test.
//! Every outcome keeps the file and line it came from.

pub mod outcome;

pub use outcome::{Actual, Keyword, Outcomes};
