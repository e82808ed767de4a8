//! What runs over real nodes cost and how well they are spread: `cargo bench --bench mesh -- [MODE] [OPTIONS]`.
//!
//! Nodes are real processes on loopback without multicast, each with a home of its own, and trust each other; the
//! shell is a small program that does nothing, or sleeps as long as a test's name says. Modes:
//!
//! - `overhead [--tests N] [--rounds N]`: CPU a null test, of the client and all nodes together, above
//!   `xargs -P2` of the same program in the same run; and null tests a second.
//! - `first [--rounds N]`: from the start of `run-tests` to the first answer of a peer, with the phases; and from the
//!   start of a new node to the first test it runs.
//! - `ship [--nodes N] [--megabytes N] [--megabits N]`: what leaves a client's node when a shell goes to many, and how
//!   long it takes beside one plain copy over TCP. On loopback the processors of this machine do the work of all; with
//!   `--megabits` each node has a line of that width in a network namespace (root, `ip`, `tc`), as machines have.
//! - `spread [--nodes N] [--slots N] [--seconds N]`: traces replayed with sleeping tests, beside the shortest time
//!   possible; all well, and with one node ten times slower and one frozen at half time.
//! - `speedup [--nodes N] [--slots N] [--seconds N]`: the same sleeping tests on one node, two, four and so on.
//!
//! `TESTMESH_PROGRAMS=FOLDER` takes `run-tests` and `meshd` from there: two builds can be compared.
//!
//! Without a mode all of them run. Prints Markdown; `--json FILE` adds a line of JSON a figure. Nothing is asserted on
//! time: machines differ, ratios of one run hardly do.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "../common/figures.rs"]
mod figures;
mod first;
mod lines;
mod measure;
mod nodes;
mod overhead;
mod ship;
mod spread;
mod tree;

use std::error::Error;
use std::process::ExitCode;

use figures::Figures;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What was asked for.
pub(crate) struct Options {
    words: Vec<String>,
    pub(crate) figures: Figures,
}

impl Options {
    fn new(mut words: Vec<String>) -> Self {
        let figures = Figures::take(&mut words);
        Options { words, figures }
    }

    /// The number behind a word, or a default.
    pub(crate) fn number(&self, word: &str, default: usize) -> usize {
        let value = self.words.iter().position(|given| given == word).and_then(|at| self.words.get(at + 1));
        value.and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    fn mode(&self) -> Option<&str> {
        self.words.first().map(String::as_str).filter(|word| !word.starts_with("--"))
    }
}

fn main() -> ExitCode {
    let words = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match run(&Options::new(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    match options.mode() {
        Some("overhead") => overhead::run(options),
        Some("first") => first::run(options),
        Some("ship") => ship::run(options),
        Some("spread") => spread::run(options),
        Some("speedup") => spread::speedup(options),
        None => {
            overhead::run(options)?;
            first::run(options)?;
            ship::run(options)?;
            spread::run(options)?;
            spread::speedup(options)
        }
        Some(other) => Err(format!("no mode {other}: overhead, first, ship, spread or speedup").into()),
    }
}
