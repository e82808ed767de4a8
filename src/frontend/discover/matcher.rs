//! Which tests of a suite the command line names (reference §1.6), and what comes near a name that matched nothing.
//!
//! Pure.

use crate::frontend::dialect::{Dialect, Era};

/// The patterns that concern one suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns {
    /// None: every test.
    patterns: Option<Vec<String>>,
    dialect: Dialect,
}

impl Patterns {
    /// Those of the arguments (`suite`, `suite/pattern`) that name the suite.
    pub fn of_suite(arguments: &[String], suite: &str, dialect: Dialect) -> Self {
        let mut patterns = Vec::new();
        for argument in arguments {
            let (name, rest) = argument.split_once('/').unwrap_or((argument, "*"));
            if name != suite {
                continue;
            }
            // The whole suite is named: nothing else counts.
            if rest == "*" || (rest.is_empty() && !dialect.is_old()) {
                return Patterns { patterns: None, dialect };
            }
            patterns.push(rest.to_owned());
        }
        Patterns { patterns: Some(patterns), dialect }
    }

    /// Whether a test is named.
    pub fn matches(&self, name: &str) -> bool {
        let Some(patterns) = &self.patterns else { return true };
        patterns.iter().any(|pattern| matches(pattern, name, self.dialect))
    }

    /// Patterns that name no test.
    pub fn unmatched<'a, 'b>(&'a self, names: impl Iterator<Item = &'b str>) -> Vec<&'a str> {
        let mut left: Vec<&str> = self.patterns.iter().flatten().map(String::as_str).collect();
        for name in names {
            if left.is_empty() {
                break;
            }
            left.retain(|pattern| !matches(pattern, name, self.dialect));
        }
        left
    }
}

fn matches(pattern: &str, name: &str, dialect: Dialect) -> bool {
    match dialect.era {
        Era::V2015 => name.starts_with(pattern.strip_suffix('*').unwrap_or(pattern)),
        Era::V62 => fnmatch(pattern, name),
        _ if pattern.contains('*') => fnmatch(pattern, name),
        _ => pattern == name,
    }
}

/// Python's `fnmatch`: `*`, `?`, `[…]`, `[!…]`; an unterminated `[` is itself. `*` crosses `/`.
pub fn fnmatch(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut pos) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, pos));
            at += 1;
            continue;
        }
        let step = name.get(pos).and_then(|c| one(&pattern[at..], *c));
        match (step, star) {
            (Some(width), _) => {
                at += width;
                pos += 1;
            }
            (None, _) if pos == name.len() && at == pattern.len() => return true,
            // Let the last star swallow one more character.
            (None, Some((behind, from))) if from < name.len() => {
                (at, pos) = (behind, from + 1);
                star = Some((behind, from + 1));
            }
            (None, _) => return false,
        }
    }
}

/// How much of the pattern matches one character, if it does.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class_end(pattern) {
            Some(end) => in_class(&pattern[1..end], c).then_some(end + 1),
            None => (c == '[').then_some(1),
        },
        literal => (*literal == c).then_some(1),
    }
}

/// Where the class that begins a pattern ends: a `]` right behind `[` or `[!` is a member.
fn class_end(pattern: &[char]) -> Option<usize> {
    let mut start = 1;
    if pattern.get(start) == Some(&'!') {
        start += 1;
    }
    if pattern.get(start) == Some(&']') {
        start += 1;
    }
    pattern.get(start..)?.iter().position(|c| *c == ']').map(|offset| start + offset)
}

fn in_class(class: &[char], c: char) -> bool {
    let (negated, mut members) = match class.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    while let Some((first, rest)) = members.split_first() {
        match rest {
            ['-', last, tail @ ..] => {
                found |= (*first..=*last).contains(&c);
                members = tail;
            }
            _ => {
                found |= *first == c;
                members = rest;
            }
        }
    }
    found != negated
}

/// Up to three names that are close to one that was not found.
pub fn nearest<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> Vec<String> {
    let wanted = wanted.trim_end_matches(".mjs").trim_end_matches(".js");
    let close = |name: &str| strsim::jaro_winkler(name, wanted);
    let mut scored: Vec<(f64, &str)> =
        names.map(|name| (close(name), name)).filter(|(score, _)| *score > 0.8).collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(argument: &str, name: &str, era: Era) -> bool {
        Patterns::of_suite(&[argument.to_owned()], "mjsunit", Dialect::new(era)).matches(name)
    }

    #[test]
    fn patterns_by_era() {
        for (argument, name, eras) in [
            ("mjsunit", "a", [true, true, true]),
            ("mjsunit/*", "a", [true, true, true]),
            ("mjsunit/array", "array-concat", [true, false, false]),
            ("mjsunit/array*", "array-concat", [true, true, true]),
            ("mjsunit/*concat", "array-concat", [false, true, true]),
            ("mjsunit/a?", "ab", [false, true, false]),
            ("mjsunit/a[1]", "a[1]", [true, false, true]),
            ("mjsunit/a[1]*", "a1", [false, true, true]),
            ("mjsunit/foo.js", "foo", [false, false, false]),
            ("mjsunit/a*", "a/b/c", [true, true, true]),
        ] {
            let found = [Era::V2015, Era::V62, Era::V102].map(|era| named(argument, name, era));
            assert_eq!(found, eras, "{argument} {name}");
        }
    }

    #[test]
    fn what_matched_nothing_is_known_with_its_neighbours() {
        let arguments = ["mjsunit/aray".to_owned(), "mjsunit/array".to_owned()];
        let patterns = Patterns::of_suite(&arguments, "mjsunit", Dialect::new(Era::V102));
        let names = ["array", "arguments"];
        assert_eq!(patterns.unmatched(names.into_iter()), ["aray"]);
        assert_eq!(nearest(names.into_iter(), "aray"), ["array"]);
        assert_eq!(nearest(names.into_iter(), "array.js"), ["array"]);
    }

    #[test]
    fn classes_as_python_reads_them() {
        for (pattern, name, found) in [
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[!]]", "a", true),
            ("[", "[", true),
            ("a[b", "a[b", true),
            ("*[0-9]", "a/b7", true),
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(fnmatch(pattern, name), found, "{pattern} {name}");
        }
    }

    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|skip| naive(rest, &name[skip..])),
            Some((b'?', rest)) => !name.is_empty() && naive(rest, &name[1..]),
            Some((byte, rest)) => name.first() == Some(byte) && naive(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(fnmatch(&pattern, &name), naive(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn arbitrary_patterns_never_panic(pattern in "\\PC{0,20}", name in "\\PC{0,20}") {
            fnmatch(&pattern, &name);
        }
    }
}
