//! test262's frontmatter: YAML between `/*---` and `---*/` (reference §4.8).
//!
//! Pure. Reads what decides how a test runs (flags, negative, includes, features) and passes over the rest. The
//! subset is that of test262's own tools: scalars, flow lists, block lists, one nested map.

use std::borrow::Cow;

use memchr::memmem;

/// Begins the frontmatter.
const OPENS: &[u8] = b"/*---";

/// Ends it.
const CLOSES: &[u8] = b"---*/";

/// What decides how a test runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// Entries of `flags`.
    pub(super) flags: Vec<String>,
    /// Entries of `includes`.
    pub(super) includes: Vec<String>,
    /// Entries of `features`.
    pub(super) features: Vec<String>,
    /// There is a `negative`.
    pub(super) negative: bool,
    /// `negative.type`.
    pub(super) negative_type: Option<String>,
}

impl Record {
    /// Whether a flag is set.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

/// The text between the markers; none without frontmatter.
fn block(source: &[u8]) -> Result<Option<&[u8]>, String> {
    let Some(start) = memmem::find(source, OPENS) else { return Ok(None) };
    let body = &source[start + OPENS.len()..];
    match memmem::find(body, CLOSES) {
        Some(end) => Ok(Some(&body[..end])),
        None => Err("`/*---` without `---*/`".to_owned()),
    }
}

/// Whether the frontmatter ends in the first bytes of a file.
pub(super) fn is_whole(head: &[u8]) -> bool {
    matches!(block(head), Ok(Some(_)))
}

/// Reads the frontmatter of a source.
///
/// # Errors
/// With what is wrong and where.
pub(super) fn parse(source: &str) -> Result<Record, String> {
    parse_bytes(source.as_bytes())
}

/// Reads the frontmatter of a file; bytes that are not UTF-8 matter only in names, which are ASCII.
///
/// # Errors
/// With what is wrong and where.
pub(super) fn parse_bytes(source: &[u8]) -> Result<Record, String> {
    let mut record = Record::default();
    let Some(block) = block(source)? else { return Ok(record) };
    // Nearly all are UTF-8, which is quicker to check than to mend.
    let mut block = std::str::from_utf8(block).map_or_else(|_| String::from_utf8_lossy(block), Cow::Borrowed);
    // A few tests are about line ends, and have others.
    if memchr::memchr(b'\r', block.as_bytes()).is_some() {
        block = Cow::Owned(block.replace("\r\n", "\n").replace('\r', "\n"));
    }
    let block = &block;
    let indent = indentation(block);
    let mut lines = block.lines().map(|line| unindented(line, indent)).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with([' ', '\t', '#', '-']) || line.trim().is_empty() {
            continue;
        }
        let Some((key, value)) = line.split_once(':') else {
            return Err(format!("the line `{}` has no key", line.trim()));
        };
        let mut nested = Vec::new();
        while let Some(next) =
            lines.next_if(|next| next.starts_with([' ', '\t', '-']) || next.trim().is_empty())
        {
            nested.push(next);
        }
        read(&mut record, key.trim(), value.trim(), &nested)?;
    }
    Ok(record)
}

/// How far the whole block is indented: as far as its first line.
fn indentation(block: &str) -> usize {
    let first = block.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    first.len() - first.trim_start_matches(' ').len()
}

fn unindented(line: &str, indent: usize) -> &str {
    let spaces = line.len() - line.trim_start_matches(' ').len();
    &line[spaces.min(indent)..]
}

fn read(record: &mut Record, key: &str, value: &str, nested: &[&str]) -> Result<(), String> {
    match key {
        "flags" => record.flags = list(value, nested)?,
        "includes" => record.includes = list(value, nested)?,
        "features" => record.features = list(value, nested)?,
        "negative" => {
            record.negative = true;
            record.negative_type = nested_value(nested, "type");
        }
        _ => {}
    }
    Ok(())
}

/// `[a, b]`, perhaps over several lines, or `- a` lines; one bare scalar counts as a list of one.
fn list(value: &str, nested: &[&str]) -> Result<Vec<String>, String> {
    let value = uncommented(value);
    if value.starts_with('[') {
        let mut text = value.to_owned();
        for line in nested {
            text.push(' ');
            text.push_str(uncommented(line.trim()));
        }
        let inner = text.trim_start_matches('[');
        let end = inner.find(']').ok_or_else(|| format!("the list `{}` is not closed", text.trim()))?;
        return Ok(inner[..end].split(',').map(scalar).filter(|item| !item.is_empty()).collect());
    }
    if !value.is_empty() {
        return Ok(vec![scalar(value)]);
    }
    let items = nested.iter().filter_map(|line| uncommented(line.trim()).strip_prefix('-'));
    Ok(items.map(scalar).filter(|item| !item.is_empty()).collect())
}

fn nested_value(nested: &[&str], key: &str) -> Option<String> {
    let pairs = nested.iter().filter_map(|line| line.trim().split_once(':'));
    pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| scalar(uncommented(value)))
}

fn uncommented(text: &str) -> &str {
    let end = text.find(" #").unwrap_or(text.len());
    if text.starts_with('#') { "" } else { text[..end].trim_end() }
}

fn scalar(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_in_every_form() {
        let source = "// c\n/*---\ndescription: >\n  flags: [fake]\n  more\nflags: [onlyStrict, async]\nincludes:\n  - a.js\n\
                      - b.js # c\nfeatures: [\n    x,\n    y\n  ]\nnegative:\n  phase: parse\n  type: SyntaxError\n---*/\n";
        let record = parse(source).unwrap();
        assert_eq!(record.flags, ["onlyStrict", "async"]);
        assert_eq!(record.includes, ["a.js", "b.js"]);
        assert_eq!(record.features, ["x", "y"]);
        assert_eq!(record.negative_type.as_deref(), Some("SyntaxError"));
        assert!(record.negative && record.has("async") && !record.has("fake"));
    }

    #[test]
    fn an_indented_block_reads_like_any_other() {
        let record = parse("/*---\n  description: >\n      text\n  flags: [noStrict]\n ---*/").unwrap();
        assert_eq!(record.flags, ["noStrict"]);
    }

    #[test]
    fn carriage_returns_end_lines_too() {
        for end in ["\r", "\r\n"] {
            let source = "// c\n/*---\nesid: x\nincludes: [a.js]\nflags: [raw]\n---*/\n".replace('\n', end);
            let record = parse(&source).unwrap();
            assert_eq!((record.includes.len(), record.flags.len()), (1, 1), "{end:?}");
        }
    }

    #[test]
    fn a_test_without_frontmatter_has_an_empty_record() {
        assert_eq!(parse("var x;").unwrap(), Record::default());
    }

    #[test]
    fn broken_frontmatter_says_what_is_wrong() {
        for (source, words) in [
            ("/*---\nflags: [a\n---*/", "is not closed"),
            ("/*--- flags", "without"),
            ("/*---\nnonsense\n---*/", "has no key"),
        ] {
            let error = parse(source).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,100}", yaml in "[\\[\\]a-z:, \n#-]{0,100}") {
            let _ = parse(&text);
            let _ = parse(&format!("/*---{yaml}---*/"));
        }
    }
}
