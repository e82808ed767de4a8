//! webkit and inspector: the lines of the output are the lines expected (reference §4.3, §4.4).

use crate::frontend::dialect::{Dialect, Era};

/// Splits as Python does: its text `splitlines` since the runner is Python 3, its byte `splitlines` before.
pub(super) fn split(text: &str, dialect: Dialect) -> Vec<&str> {
    ended(text, dialect.era >= Era::V102).into_iter().map(|(line, _)| line).collect()
}

/// Splits as Python 3 does, each line with its end.
pub(super) fn split_keeping_ends(text: &str) -> Vec<&str> {
    ended(text, true).into_iter().map(|(_, whole)| whole).collect()
}

/// Lines without and with their ends.
fn ended(text: &str, unicode: bool) -> Vec<(&str, &str)> {
    let ends = |c: char| match c {
        '\n' | '\r' => true,
        '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}' => unicode,
        _ => false,
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(end) = rest.find(ends) else {
            lines.push((rest, rest));
            break;
        };
        let tail = &rest[end..];
        let width = if tail.starts_with("\r\n") { 2 } else { tail.chars().next().map_or(1, char::len_utf8) };
        let (whole, after) = rest.split_at(end + width);
        lines.push((&rest[..end], whole));
        rest = after;
    }
    lines
}

/// How the output differs from the expectation; none if it does not.
pub(super) fn difference(expected: &str, comments: bool, stdout: &str, dialect: Dialect) -> Option<String> {
    let wanted = expected_lines(expected, comments, dialect);
    let lines = split(stdout, dialect);
    let block = compared_block(&lines)?;
    let got: Vec<&str> =
        block.iter().map(|line| line.trim()).filter(|line| !ignored(line, dialect)).collect();
    let length = wanted.len().max(got.len());
    (0..length).find_map(|index| {
        let want = wanted.get(index).copied().unwrap_or("");
        let have = got.get(index).copied().unwrap_or("");
        (want != have).then(|| format!("line {}:\n-{want}\n+{have}", index + 1))
    })
}

/// Until 6.2 a comment begins its line; since then it may be indented.
fn expected_lines(expected: &str, comments: bool, dialect: Dialect) -> Vec<&str> {
    let is_comment = |line: &str| {
        let line = if dialect.is_old() { line } else { line.trim_start() };
        comments && line.starts_with('#')
    };
    let lines = expected.split('\n').filter(|line| !is_comment(line));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// The lines V8 compares: with stress separators (`==…`) only those between the first and the second, with exactly
/// one separator none at all, and the test passes.
fn compared_block<'a, 'b>(lines: &'b [&'a str]) -> Option<&'b [&'a str]> {
    let mut separators =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with("==")).map(|(at, _)| at);
    match (separators.next(), separators.next()) {
        (None, _) => Some(lines),
        (Some(_), None) => None,
        (Some(first), Some(second)) => Some(&lines[first + 1..second]),
    }
}

/// What Native Client said beside a test's output in 2015.
pub(super) fn of_native_client(line: &str) -> bool {
    let inside = |words| line.find(words).is_some_and(|at| at > 0);
    line.starts_with("DEBUG MODE ENABLED")
        || line.starts_with("tools/nacl-run.py")
        || inside("BYPASSING ALL ACL CHECKS")
        || inside("Native Client module will be loaded")
        || inside("NaClHostDescOpen:")
}

fn ignored(line: &str, dialect: Dialect) -> bool {
    let modern = dialect.era >= Era::V102;
    let warning = if dialect.version >= (14, 0) {
        line.starts_with("Warning: unknown flag")
    } else {
        line == "Warning: unknown flag --enable-slow-asserts."
    };
    line.is_empty()
        || line.starts_with("==")
        || line.starts_with("**")
        || line.starts_with("ANDROID")
        || (modern && (line.starts_with("###") || line.starts_with("WARNING: linker:")))
        || warning
        || (dialect.era == Era::V2015 && of_native_client(line))
        || line == "Try --help for options"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(expected: &str, stdout: &str) -> bool {
        difference(expected, true, stdout, Dialect::new(Era::V62)).is_some()
    }

    #[test]
    fn lines_are_stripped_and_blanks_and_comments_dropped() {
        assert!(!differs("# c\n\n a \nb\n", "a\n\n  b  \n"));
        assert!(differs("a\n", "b\n"));
        assert!(differs("a\n", "a\nb\n"));
        assert!(differs("a\nb\n", "a\n"));
        assert!(!differs("", ""));
    }

    #[test]
    fn comment_lines_are_significant_for_the_inspector() {
        let dialect = Dialect::new(Era::V102);
        assert!(difference("# a\n", false, "", dialect).is_some());
        assert!(difference("# a\n", false, "# a\n", dialect).is_none());
    }

    #[test]
    fn only_the_block_between_the_first_two_separators_counts() {
        assert!(!differs("a\n", "noise\n== 1\na\n== 2\nother\n"));
        assert!(differs("a\n", "a\n== 1\nb\n== 2\n"));
        assert!(!differs("a\n", "== only one\nwhatever\n"), "with one separator nothing is compared");
    }

    #[test]
    fn noise_of_the_shell_is_ignored_by_era() {
        assert!(!differs("a\n", "** x\nANDROID y\nTry --help for options\na\n"));
        let modern = Dialect::new(Era::V157);
        assert!(difference("a\n", true, "### x\nWarning: unknown flag --y.\na\n", modern).is_none());
        assert!(difference("a\n", true, "### x\na\n", Dialect::new(Era::V62)).is_some());
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        assert_eq!(split("a\r\nb\rc\n\nd", Dialect::new(Era::V62)), ["a", "b", "c", "", "d"]);
        assert_eq!(split("a\u{2028}b\u{c}c", Dialect::new(Era::V102)), ["a", "b", "c"]);
        assert_eq!(split("a\u{2028}b", Dialect::new(Era::V62)), ["a\u{2028}b"]);
    }
}
