//! How Python writes numbers, strings and JSON, because V8's reports are written by Python.
//!
//! Pure; compared with Python's own output in the tests.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// A float as `repr` writes it: the shortest digits that read back, an exponent below 1e-4 and from 1e16.
pub(crate) fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// `round(value, 3)` as `str` writes it.
pub(crate) fn rounded(value: f64) -> String {
    float(format!("{value:.3}").parse().unwrap_or(value))
}

/// `str.strip()`: ASCII whitespace in Python 2, where output is bytes, any whitespace in Python 3.
pub(crate) fn strip(text: &str, python2: bool) -> &str {
    let ascii = |char: char| matches!(char, ' ' | '\t'..='\r');
    let unicode = |char: char| char.is_whitespace() || matches!(char, '\u{1c}'..='\u{1f}');
    text.trim_matches(|char| if python2 { ascii(char) } else { unicode(char) })
}

/// Bytes as text, what is no UTF-8 replaced: Python 3 replaces as Rust does, Python 2 in pieces of its own.
pub(crate) fn decode(bytes: &[u8], python2: bool) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Err(_) if python2 => Cow::Owned(decode2(bytes)),
        _ => String::from_utf8_lossy(bytes),
    }
}

fn decode2(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let length = sequence(*first);
        // A surrogate half is a character to Python 2; here there is none to hold it.
        let (taken, char) = match rest.get(..length) {
            Some(whole) if is_sequence(whole) => (length, std::str::from_utf8(whole).ok()),
            Some(broken) => {
                (1 + broken.iter().skip(1).take(length.saturating_sub(2)).take_while(continues).count(), None)
            }
            None => (1 + rest.iter().skip(1).take_while(continues).count(), None),
        };
        text.push_str(char.unwrap_or("\u{fffd}"));
        rest = &rest[taken..];
    }
    text
}

/// Bytes of the sequence that begins so; 0 if none does.
fn sequence(first: u8) -> usize {
    match first {
        0..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 0,
    }
}

fn is_sequence(bytes: &[u8]) -> bool {
    let out_of_range =
        matches!(bytes, [] | [0xe0, ..0xa0, ..] | [0xf0, ..0x90, ..] | [0xf4, 0x90..=0xff, ..]);
    !out_of_range && bytes.iter().skip(1).all(|byte| continues(&byte))
}

fn continues(byte: &&u8) -> bool {
    **byte & 0xc0 == 0x80
}

/// `json.dumps(value)`: separators with spaces, ASCII only, floats as `repr` writes them.
///
/// # Errors
/// When the value has no JSON form; report types always have one.
pub(crate) fn json(value: &impl Serialize) -> io::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Dumps))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The format of `json.dumps` without arguments.
struct Dumps;

impl Formatter for Dumps {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for char in text.chars() {
            if matches!(char, ' '..='~') {
                write!(writer, "{char}")?;
            } else {
                char.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.00783395767211914, "0.00783395767211914"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000012, "1.2e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1_700_000_000.123_456, "1700000000.123456"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn rounding_is_to_three_digits() {
        for (value, text) in
            [(0.0094, "0.009"), (0.0095, "0.009"), (12.0, "12.0"), (1.2345, "1.234"), (0.0, "0.0")]
        {
            assert_eq!(rounded(value), text, "{value}");
        }
    }

    #[test]
    fn python_2_strips_only_ascii() {
        assert_eq!(strip("\u{b}\u{a0} a\u{85}\n", true), "\u{a0} a\u{85}");
        assert_eq!(strip("\u{1f}\u{a0} a\u{85}\n", false), "a");
    }

    #[test]
    fn python_2_replaces_in_pieces_of_its_own() {
        for (bytes, python2, python3) in [
            (&b"a\xff\xe2\x82b"[..], "a\u{fffd}\u{fffd}b", "a\u{fffd}\u{fffd}b"),
            (b"\xf0\x9f\x98A", "\u{fffd}A", "\u{fffd}A"),
            (b"\xe0\x80\x80", "\u{fffd}\u{fffd}", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xf4\x90\x80\x80", "\u{fffd}\u{fffd}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xc0\x80\x80A", "\u{fffd}\u{fffd}\u{fffd}A", "\u{fffd}\u{fffd}\u{fffd}A"),
            (b"\xf0\x9f\x98", "\u{fffd}", "\u{fffd}"),
            ("ä€😀".as_bytes(), "ä€😀", "ä€😀"),
        ] {
            assert_eq!(decode(bytes, true), python2, "{bytes:x?}");
            assert_eq!(decode(bytes, false), python3, "{bytes:x?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn text_stays_text_among_broken_bytes(text: String, bytes: Vec<u8>) {
            proptest::prop_assert_eq!(decode2(text.as_bytes()), text.as_str());
            let broken = [text.as_bytes(), b"\n", &bytes].concat();
            proptest::prop_assert!(decode2(&broken).starts_with(&text));
        }
    }

    #[test]
    fn json_is_ascii_with_spaces() {
        #[derive(Serialize)]
        struct Record<'a> {
            text: &'a str,
            list: Vec<Option<f64>>,
            empty: Vec<u8>,
        }
        let record = Record {
            text: "ä€😀 <&>\"'/\\ \u{1}\u{1b}\u{7f}\t\r\n\u{8}\u{c}",
            list: vec![Some(1e-7), None],
            empty: vec![],
        };
        insta::assert_snapshot!(json(&record).unwrap(), @r#"{"text": "\u00e4\u20ac\ud83d\ude00 <&>\"'/\\ \u0001\u001b\u007f\t\r\n\b\f", "list": [1e-07, null], "empty": []}"#);
    }
}
