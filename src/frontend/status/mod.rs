//! Status files: which tests are expected to do what (reference §2).
//!
//! Text -> sections (`parse`) -> rules under the build's variables (`eval`, `rules`) -> outcomes of one test -> what a
//! run may turn out to be (`expect`). Every outcome keeps the file and line it came from. Reads status files only.

pub mod outcome;

mod parse;

mod eval;
mod rules;

mod expect;

pub use eval::{Value, Variables};
pub use expect::{Expectation, expectation, report_counts};
pub use outcome::{Actual, Keyword, Outcomes};
pub use parse::StatusError;
pub use rules::{Matched, Origin, RuleId, Rules, StatusFile, Warning};
