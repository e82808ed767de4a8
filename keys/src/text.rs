//! Which text of others may stand in our files and on a screen, and how a date is written.
//!
//! Pure. Labels and notes arrive from peers: they are refused where they carry control characters, so that no
//! terminal escape, line break or reversed text ever reaches a file or a person.

/// Whether a text has no control and no direction-changing characters.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.chars().any(|letter| letter.is_control() || is_steering(letter))
}

/// Line and paragraph separators, marks and overrides of direction, byte order marks: invisible, and they move what
/// stands around them.
const fn is_steering(letter: char) -> bool {
    matches!(letter,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The UTC time of unix seconds: year, month, day, hour, minute, second.
/// From Hinnant's `civil_from_days`; the library that does it better would be a dependency for one line of output.
const fn civil(unix: u64) -> (u64, u64, u64, u64, u64, u64) {
    let days = unix / 86_400;
    let second = unix % 86_400;
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day, second / 3600, second / 60 % 60, second % 60)
}

/// `2026-03-01`.
pub(crate) fn date(unix: u64) -> String {
    let (year, month, day, ..) = civil(unix);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-03-01T12:30:00Z`.
pub(crate) fn timestamp(unix: u64) -> String {
    let (_, _, _, hour, minute, second) = civil(unix);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(unix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_utc() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date(1_772_323_200), "2026-03-01");
        assert!(!timestamp(u64::MAX).is_empty());
    }

    #[test]
    fn steering_characters_are_seen() {
        assert!(is_plain("Zoë's desk, 机器 7"));
        for hostile in
            ["a\nb", "\u{1b}[2J", "\u{7f}", "a\u{202e}b", "\u{2066}", "\u{feff}", "\u{9b}", "a\u{200b}"]
        {
            assert!(!is_plain(hostile), "{hostile:?}");
        }
    }
}
