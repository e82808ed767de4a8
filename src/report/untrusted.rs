//! Text from tests, file names and peers that must not steer a terminal: shown, not obeyed.
//!
//! Escapes C0 and C1 controls, DEL, ESC, line separators and everything that reorders text; leaves all else alone.
//! Files get the raw text: this is only for what a person's terminal interprets.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::python::decode;
use crate::job::Captured;

/// Text whose `Display` shows control characters instead of sending them.
#[derive(Debug, Clone, Copy)]
pub struct Untrusted<'a> {
    text: &'a str,
    keeps_lines: bool,
}

impl<'a> Untrusted<'a> {
    /// One line: newlines and tabs are escaped, too.
    pub fn line(text: &'a str) -> Self {
        Untrusted { text, keeps_lines: false }
    }

    /// A block of output: newlines and tabs stay.
    pub fn block(text: &'a str) -> Self {
        Untrusted { text, keeps_lines: true }
    }

    fn shows(self, char: char) -> bool {
        !steers(char) || (self.keeps_lines && matches!(char, '\n' | '\t'))
    }
}

impl fmt::Display for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.text.chars() {
            if self.shows(char) { f.write_char(char)? } else { escape(char, f)? }
        }
        Ok(())
    }
}

/// Whether text is shown to a person's terminal or goes where nothing interprets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// A terminal reads it: escape.
    Escape,
    /// A file or pipe: byte for byte what V8 writes.
    Exact,
}

impl Guard {
    /// A name or another text of one line.
    pub fn line(self, text: &str) -> Cow<'_, str> {
        self.apply(Untrusted::line(text))
    }

    /// Output of a test.
    pub fn block(self, text: &str) -> Cow<'_, str> {
        self.apply(Untrusted::block(text))
    }

    fn apply(self, text: Untrusted<'_>) -> Cow<'_, str> {
        if self == Guard::Exact || text.text.chars().all(|char| text.shows(char)) {
            return Cow::Borrowed(text.text);
        }
        Cow::Owned(text.to_string())
    }
}

/// A captured stream as text: bytes that are not UTF-8 are replaced as that Python does, and a cut is said.
pub(crate) fn text(stream: &Captured, python2: bool) -> Cow<'_, str> {
    let kept = decode(&stream.bytes, python2);
    match stream.dropped {
        0 => kept,
        dropped => Cow::Owned(format!("{kept}\n[{dropped} more bytes were not kept]\n")),
    }
}

/// Characters that move the cursor, change modes, or change the order in which others appear.
fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{2028}' | '\u{2029}')
}

fn escape(char: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match char {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\0'..='\u{ff}' => write!(f, "\\x{:02x}", u32::from(char)),
        _ => write!(f, "\\u{{{:x}}}", u32::from(char)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_whole_control_set_is_shown() {
        let all: String =
            (0..=0xa0u32).chain(0x2028..=0x202f).chain(0x2065..=0x206a).filter_map(char::from_u32).collect();
        insta::assert_snapshot!(Untrusted::line(&all), @r##"\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f \u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e} ⁥\u{2066}\u{2067}\u{2068}\u{2069}⁪"##);
    }

    #[test]
    fn output_keeps_its_lines_and_nothing_else() {
        insta::assert_snapshot!(
            Untrusted::block("one\n\ttwo\r\n\x1b[31mred\x1b]0;title\x07 \u{9b}2J \u{202e}cba"), @r"
        one
        	two\r
        \x1b[31mred\x1b]0;title\x07 \x9b2J \u{202e}cba
        ");
    }

    #[test]
    fn what_is_not_text_is_replaced_and_cuts_are_said() {
        let stream = Captured { bytes: b"a\xff\xe2\x82b".to_vec(), dropped: 0 };
        assert_eq!(text(&stream, false), "a\u{fffd}\u{fffd}b");
        let cut = Captured { bytes: b"abc".to_vec(), dropped: 12 };
        assert_eq!(text(&cut, false), "abc\n[12 more bytes were not kept]\n");
    }

    proptest! {
        #[test]
        fn nothing_that_steers_gets_through(text in any::<String>()) {
            prop_assert!(!Untrusted::line(&text).to_string().chars().any(steers));
            prop_assert!(!Guard::Escape.line(&text).chars().any(steers));
            let block = Guard::Escape.block(&text);
            prop_assert!(!block.chars().any(|char| steers(char) && !matches!(char, '\n' | '\t')));
        }

        #[test]
        fn harmless_text_stays_as_it_is(text in "[ -~äöü€😀]*") {
            prop_assert_eq!(Untrusted::line(&text).to_string(), text.as_str());
            prop_assert!(matches!(Guard::Escape.block(&text), Cow::Borrowed(_)));
        }

        #[test]
        fn off_a_terminal_every_byte_stays(text in any::<String>()) {
            prop_assert_eq!(Guard::Exact.block(&text), text.as_str());
        }
    }
}
