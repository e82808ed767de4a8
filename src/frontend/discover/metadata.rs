//! What a test says of itself in comments (reference §4, metadata table).
//!
//! Pure: text in, flags and files out. Sources are read as ISO-8859-1, so that any bytes are text.

use std::sync::LazyLock;

use regex::Regex;

use crate::frontend::dialect::Dialect;

/// A pattern of this file; they are constants, so that a bad one is found by the first test.
macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($text).ok());
    };
}

pattern!(FLAGS, r"//\s+Flags:(.*)");
pattern!(FILES, r"//\s+Files:(.*)");
pattern!(ENVIRONMENT, r"//\s+Environment Variables:(.*)");
pattern!(FILE_NAME, r"//\s+Env: TEST_FILE_NAME");
pattern!(MODULE, r"(?m)^// MODULE$");
pattern!(NO_HARNESS, r"(?m)^// NO HARNESS$");
pattern!(PYTHON_FLAGS, r"#\s+Flags:(.*)");
pattern!(META_SCRIPT, r"META:\s*script=(.*)");
pattern!(META_TIMEOUT, r"META:\s*timeout=(.*)");

/// The text of bytes, a character a byte.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Everything behind the colon of every line that a pattern finds, stripped.
fn lines<'a>(pattern: &'static LazyLock<Option<Regex>>, source: &'a str) -> impl Iterator<Item = &'a str> {
    let found = pattern.as_ref().into_iter().flat_map(move |regex| regex.captures_iter(source));
    found.filter_map(|captures| captures.get(1)).map(|group| group.as_str().trim())
}

fn has(pattern: &'static LazyLock<Option<Regex>>, source: &str) -> bool {
    pattern.as_ref().is_some_and(|regex| regex.is_match(source))
}

/// `Flags:` lines, split on white space (2015/6.2) or as a shell splits (since 2018).
///
/// # Errors
/// With the line whose quote is not closed.
pub(super) fn flags(source: &str, dialect: Dialect) -> Result<Vec<String>, String> {
    if dialect.is_old() {
        Ok(lines(&FLAGS, source).flat_map(str::split_whitespace).map(str::to_owned).collect())
    } else {
        quoted_flags(source)
    }
}

/// `Flags:` lines, split as a shell splits.
///
/// # Errors
/// With the line whose quote is not closed.
pub(super) fn quoted_flags(source: &str) -> Result<Vec<String>, String> {
    split_all(lines(&FLAGS, source))
}

/// `# Flags:` lines of a Python test.
///
/// # Errors
/// With the line whose quote is not closed.
pub(super) fn python_flags(source: &str) -> Result<Vec<String>, String> {
    split_all(lines(&PYTHON_FLAGS, source))
}

fn split_all<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut flags = Vec::new();
    for line in lines {
        flags.extend(shlex::split(line).ok_or_else(|| line.to_owned())?);
    }
    Ok(flags)
}

/// `Files:` lines.
pub(super) fn files(source: &str) -> Vec<String> {
    lines(&FILES, source).flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// `Environment Variables:`, the first line only.
pub(super) fn environment(source: &str) -> Vec<(String, String)> {
    let pairs = lines(&ENVIRONMENT, source).next().into_iter().flat_map(str::split_whitespace);
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// `Env: TEST_FILE_NAME`.
pub(super) fn wants_file_name(source: &str) -> bool {
    has(&FILE_NAME, source)
}

/// `// MODULE` on a line of its own.
pub(super) fn is_module(source: &str) -> bool {
    has(&MODULE, source)
}

/// `// NO HARNESS` on a line of its own.
pub(super) fn has_no_harness(source: &str) -> bool {
    has(&NO_HARNESS, source)
}

/// `META: script=` lines (wasm-js).
pub(super) fn meta_scripts(source: &str) -> Vec<String> {
    lines(&META_SCRIPT, source).map(str::to_owned).collect()
}

/// Whether the first `META: timeout=` says `long` (wasm-js).
pub(super) fn has_long_timeout(source: &str) -> bool {
    lines(&META_TIMEOUT, source).next() == Some("long")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::dialect::Era;
    use proptest::prelude::*;

    #[test]
    fn flags_split_by_era() {
        let source = "// Flags: --a \"--b c\"\nx // Flags: --d\n//Flags: --no\n";
        assert_eq!(flags(source, Dialect::new(Era::V62)).unwrap(), ["--a", "\"--b", "c\"", "--d"]);
        assert_eq!(flags(source, Dialect::new(Era::V102)).unwrap(), ["--a", "--b c", "--d"]);
        assert_eq!(flags("// Flags: 'x", Dialect::new(Era::V102)).unwrap_err(), "'x");
    }

    #[test]
    fn files_environment_and_marks() {
        let source = "// Files: a b\n// Files: c\r\n// Environment Variables: TZ=UTC A=b\n// Environment Variables: C=d\n\
                      // MODULE\n// NO HARNESS\n// Env: TEST_FILE_NAME\n";
        assert_eq!(files(source), ["a", "b", "c"]);
        assert_eq!(environment(source), [("TZ".into(), "UTC".into()), ("A".into(), "b".into())]);
        assert!(is_module(source) && has_no_harness(source) && wants_file_name(source));
        assert!(!is_module("// MODULES\n") && !has_no_harness(" // NO HARNESS\n"));
    }

    #[test]
    fn meta_lines_of_wasm_js() {
        let source = "// META: script=/wasm/jsapi/a.js\n// META: timeout=long\n";
        assert_eq!(meta_scripts(source), ["/wasm/jsapi/a.js"]);
        assert!(has_long_timeout(source));
        assert!(!has_long_timeout("// META: timeout=short\n"));
    }

    #[test]
    fn every_pattern_compiles() {
        for pattern in
            [&FLAGS, &FILES, &ENVIRONMENT, &FILE_NAME, &MODULE, &NO_HARNESS, &PYTHON_FLAGS, &META_SCRIPT]
        {
            assert!(pattern.is_some());
        }
        assert!(META_TIMEOUT.is_some());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let source = latin1(&bytes);
            let _ = flags(&source, Dialect::new(Era::V157));
            environment(&source);
            files(&source);
        }
    }
}
