//! How the programs speak: data on standard output, talk on standard error, `hint:` on a line of its own.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the file that speaks")]

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The two streams of a program.
#[derive(Debug)]
pub struct Shell {
    program: &'static str,
}

impl Shell {
    /// Standard output and standard error of `run-tests`.
    pub fn standard() -> Self {
        Shell { program: "run-tests" }
    }

    /// Those of another program.
    pub fn of(program: &'static str) -> Self {
        Shell { program }
    }

    /// A line of data.
    pub fn print(&self, line: &str) {
        println!("{line}");
    }

    /// Buffered standard output.
    pub fn stdout(&self) -> impl Write {
        io::BufWriter::new(io::stdout().lock())
    }

    /// Something worth knowing.
    pub fn note(&self, line: &str) {
        eprintln!("{line}");
    }

    /// Something that may matter.
    pub fn warn(&self, line: &str) {
        eprintln!("{}: warning: {line}", self.program);
    }

    /// Why the program cannot do what was asked.
    pub fn error(&self, text: &str) {
        eprintln!("{}: error: {text}", self.program);
    }

    /// Shows clap's own words (help, version, errors) and takes its exit code.
    pub fn usage(&self, error: &clap::Error) -> ExitCode {
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    }
}

/// An error with its causes. A hint stays at the end, behind the causes.
pub fn chain(error: &dyn Error) -> String {
    let (text, hint) = split_hint(error.to_string());
    let mut chain = text;
    let mut last = chain.clone();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // A transparent error repeats its cause.
        if text != last && !chain.ends_with(&text) {
            chain = format!("{chain}: {text}");
        }
        last = text;
        source = cause.source();
    }
    match hint {
        Some(hint) => format!("{chain}\nhint: {hint}"),
        None => chain,
    }
}

fn split_hint(text: String) -> (String, Option<String>) {
    match text.split_once("\nhint: ") {
        Some((text, hint)) => (text.to_owned(), Some(hint.to_owned())),
        None => (text, None),
    }
}

/// Where this user's caches are; the temporary folder where there is no home.
pub fn cache_folder() -> PathBuf {
    if let Some(home) = std::env::var_os("TESTMESH_HOME") {
        return PathBuf::from(home).join("cache");
    }
    directories::ProjectDirs::from("", "", "testmesh")
        .map_or_else(|| std::env::temp_dir().join("testmesh"), |dirs| dirs.cache_dir().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("cannot read x\nhint: look at y")]
        Read(#[source] io::Error),
        #[error(transparent)]
        Other(#[from] io::Error),
    }

    #[test]
    fn causes_follow_and_the_hint_comes_last() {
        let error = Outer::Read(io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "cannot read x: disk on fire\nhint: look at y");
        assert_eq!(chain(&Outer::from(io::Error::other("plain"))), "plain");
    }
}
