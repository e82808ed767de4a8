//! How benchmarks tell their figures to programs: a line of JSON each, in the file behind `--json`.
//!
//! `benches/report.py` reads them. Shared by the benchmarks; each takes it in with `#[path]`.

use std::fs::OpenOptions;
use std::io::{Result, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

/// Adds figures to a file, if one was named.
pub(crate) struct Figures(Option<PathBuf>);

impl Figures {
    /// Takes `--json FILE` out of a program's words.
    pub(crate) fn take(words: &mut Vec<String>) -> Self {
        let at = words.iter().position(|word| word == "--json").filter(|at| at + 1 < words.len());
        Figures(at.and_then(|at| words.drain(at..at + 2).next_back()).map(PathBuf::from))
    }

    /// A benchmark's figures of one thing.
    pub(crate) fn add(&self, bench: &str, what: &str, figures: &Value) -> Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{}", json!({ "bench": bench, "what": what, "figures": figures }))
    }
}
