//! message: every line of the output matches the pattern expected in its place (reference §4.2).

use regex::Regex;

use super::lines;
use crate::frontend::dialect::{Dialect, Era};

/// What d8 says beside its output since ~13.
const NOISE: [&str; 2] = [
    "V8 is running with experimental features enabled. Stability and security will suffer.",
    "Concurrent maglev has been disabled for tracing.",
];

/// How the output differs from the expectation; none if it does not.
pub(super) fn difference(expected: &str, basename: &str, stdout: &str, dialect: Dialect) -> Option<String> {
    let wanted: Vec<&str> = expected
        .split('\n')
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(str::trim_end)
        .collect();
    let got: Vec<&str> =
        lines::split(stdout, dialect).into_iter().filter(|line| !ignored(line, dialect)).collect();
    if wanted.len() != got.len() {
        return Some(format!("expected {} lines, got {}", wanted.len(), got.len()));
    }
    wanted.iter().zip(&got).enumerate().find_map(|(index, (pattern, line))| {
        let problem = match substitute(pattern, basename) {
            Ok(pattern) => (!matches(&pattern, line, dialect)).then(|| format!("-{pattern}\n+{line}")),
            Err(problem) => Some(problem),
        };
        problem.map(|problem| format!("line {}:\n{problem}", index + 1))
    })
}

fn ignored(line: &str, dialect: Dialect) -> bool {
    line.trim().is_empty()
        || line.starts_with("==")
        || line.starts_with("**")
        || line.starts_with("ANDROID")
        || (dialect.era >= Era::V102 && line.starts_with("WARNING: linker:"))
        || (dialect.era >= Era::V13 && NOISE.contains(&line))
        || (dialect.era == Era::V2015 && lines::of_native_client(line))
}

/// Python's `line % {"basename": …}`: `%(basename)s` and `%%`; anything else after a `%` is an error there, too.
fn substitute(line: &str, basename: &str) -> Result<String, String> {
    let mut result = String::with_capacity(line.len() + basename.len());
    let mut rest = line;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix("(basename)s") {
            result.push_str(basename);
            rest = after;
        } else if let Some(after) = tail.strip_prefix('%') {
            result.push('%');
            rest = after;
        } else {
            return Err(format!("stray `%` in the expectation `{line}`; hint: write `%%`"));
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// `*` stands for any text, `{NUMBER}` (not in 2015) for a decimal number, since ~13 with a sign, and `{ADDRESS}`
/// (since ~13) for one in hexadecimal; the whole line must match.
fn matches(pattern: &str, line: &str, dialect: Dialect) -> bool {
    let late = dialect.era >= Era::V13;
    let numbers = dialect.era != Era::V2015 && pattern.contains("{NUMBER}");
    let addresses = late && pattern.contains("{ADDRESS}");
    if !numbers && !addresses && !pattern.contains('*') {
        return pattern == line;
    }
    let mut expression = regex::escape(pattern).replace("\\*", ".*");
    if numbers {
        let number = if late { r"-?\d+(?:\.\d*)?" } else { r"\d+(?:\.\d*)?" };
        expression = expression.replace("\\{NUMBER\\}", number);
    }
    if addresses {
        expression = expression.replace("\\{ADDRESS\\}", "(0x)?[0-9A-Fa-f]+");
    }
    Regex::new(&format!("^(?s:{expression})$")).is_ok_and(|regex| regex.is_match(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn differs(expected: &str, stdout: &str) -> bool {
        difference(expected, "a.js", stdout, Dialect::new(Era::V62)).is_some()
    }

    #[test]
    fn patterns_stand_for_text_numbers_and_the_file_name() {
        assert!(!differs("*%(basename)s:3: x\n", "/tmp/a.js:3: x\n"));
        assert!(!differs("took {NUMBER} ms\n", "took 12.5 ms\n"));
        assert!(!differs("took {NUMBER} ms\n", "took 12. ms\n"));
        assert!(differs("took {NUMBER} ms\n", "took x ms\n"));
        assert!(!differs("100%%\n", "100%\n"));
        assert!(differs("100%\n", "100%\n"), "a stray % is an error of the expectation");
    }

    #[test]
    fn blank_lines_and_noise_are_dropped_but_counts_must_agree() {
        assert!(!differs("# comment\n\na\n", "\n== stress\n** x\nANDROID\na\n"));
        assert!(differs("a\n", "a\na\n"));
        assert!(differs("a\na\n", "a\n"));
    }

    #[test]
    fn leading_space_counts_on_both_sides_and_trailing_space_in_the_output() {
        assert!(differs("  a\n", "a\n"));
        assert!(differs("a\n", "  a\n"));
        assert!(!differs("a  \n", "a\n"));
        assert!(differs("a\n", "a \n"));
    }

    #[test]
    fn numbers_were_not_known_in_2015() {
        let old = Dialect::new(Era::V2015);
        assert!(difference("{NUMBER}\n", "a.js", "12\n", old).is_some());
        assert!(difference("{NUMBER}\n", "a.js", "{NUMBER}\n", old).is_none());
    }

    #[test]
    fn signs_and_addresses_are_known_since_13() {
        for (pattern, line) in [("a {NUMBER}", "a -1.5"), ("at {ADDRESS}!", "at 0x7fA!")] {
            assert_eq!(difference(pattern, "a.js", line, Dialect::new(Era::V13)), None, "{pattern}");
            assert!(difference(pattern, "a.js", line, Dialect::new(Era::V102)).is_some(), "{pattern}");
        }
    }

    proptest! {
        /// A line is its own pattern, whatever it contains besides pattern characters.
        #[test]
        fn every_plain_line_matches_itself(line in "[^%*{}#=\\p{C}\\s][^%*{}\\p{C}\\u{2028}\\u{2029}]{0,40}") {
            let line = line.trim_end();
            prop_assume!(!ignored(line, Dialect::new(Era::V102)));
            prop_assert_eq!(difference(line, "a.js", line, Dialect::new(Era::V102)), None);
        }

        /// Agreement with a backtracking matcher written the obvious way.
        #[test]
        fn stars_match_as_a_naive_matcher_does(pattern in "[ab*]{0,8}", line in "[ab]{0,8}") {
            let naive = naive(pattern.as_bytes(), line.as_bytes());
            prop_assert_eq!(matches(&pattern, &line, Dialect::new(Era::V62)), naive);
        }
    }

    fn naive(pattern: &[u8], line: &[u8]) -> bool {
        match pattern.split_first() {
            None => line.is_empty(),
            Some((b'*', rest)) => (0..=line.len()).any(|skip| naive(rest, &line[skip..])),
            Some((byte, rest)) => line.first() == Some(byte) && naive(rest, &line[1..]),
        }
    }
}
