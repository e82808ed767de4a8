//! Programs that start and end before their first instruction, because a library is missing.
//!
//! To the system such a process ran; to a person it could not start, and every test would fail for the same reason.
//! Recognised by the dynamic loader's own words, which begin with the program's name and which no test's output does.

use crate::job::{Output, Status};

/// The loader's exit codes: glibc's for a missing library and for a library that is too old.
const CODES: [i32; 2] = [127, 1];

/// The loader's complaint, if that is all the process said.
pub(super) fn complaint(program: &[u8], status: Status, output: &Output) -> Option<String> {
    let Status::Code(code) = status else { return None };
    if !CODES.contains(&code) || !output.stdout.bytes.is_empty() {
        return None;
    }
    let behind = output.stderr.bytes.strip_prefix(program)?.strip_prefix(b": ")?;
    let first = behind.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(first);
    is_loaders(code, &line).then(|| format!("cannot load `{}`: {line}", String::from_utf8_lossy(program)))
}

fn is_loaders(code: i32, line: &str) -> bool {
    match code {
        127 => line.starts_with("error while loading shared libraries: "),
        _ => line.contains(": version `") && line.contains("' not found (required by "),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::{Captured, Exit};

    fn check(code: i32, stdout: &str, stderr: &str, expected: Option<&str>) {
        let stream = |text: &str| Captured { bytes: text.into(), dropped: 0 };
        let output = Output {
            exit: Exit::Ended(Status::Code(code)),
            stdout: stream(stdout),
            stderr: stream(stderr),
            duration: Duration::ZERO,
            max_rss: 0,
        };
        assert_eq!(complaint(b"/b/d8", Status::Code(code), &output).as_deref(), expected, "{stderr}");
    }

    #[test]
    fn the_loader_is_told_from_a_test() {
        let missing =
            "error while loading shared libraries: libv8.so: cannot open shared object file: No such file";
        let told = format!("cannot load `/b/d8`: {missing}");
        check(127, "", &format!("/b/d8: {missing}\n"), Some(&told));
        let old = "/lib/libc.so.6: version `GLIBC_2.38' not found (required by /b/d8)";
        check(1, "", &format!("/b/d8: {old}\n/b/d8: again\n"), Some(&format!("cannot load `/b/d8`: {old}")));

        check(1, "", &format!("/b/d8: {missing}\n"), None);
        check(127, "out", &format!("/b/d8: {missing}\n"), None);
        check(127, "", &format!("x.js: {missing}\n"), None);
        check(1, "", "/b/d8: x.js:1: SyntaxError\n", None);
        check(127, "", "", None);
    }
}
