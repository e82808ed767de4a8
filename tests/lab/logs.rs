//! The logs of all machines, merged by time. Pure.

use std::time::Duration;

/// One log: who wrote it, and its lines, each with a time before it as `docker logs --timestamps` prints it.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// A machine, or the lab itself.
    pub(crate) source: String,
    /// The lines.
    pub(crate) text: String,
}

/// All lines of all logs in the order of their times; lines of one log stay in order.
pub(crate) fn merged(logs: &[Log]) -> String {
    let width = logs.iter().map(|log| log.source.len()).max().unwrap_or(0);
    let mut lines: Vec<(&str, String)> = Vec::new();
    for log in logs {
        // A line without a time belongs to the one before it.
        let mut last = "";
        for line in log.text.lines() {
            let (time, words) = match line.split_once(' ') {
                Some((time, words)) if is_time(time) => (time, words),
                _ => (last, line),
            };
            last = time;
            lines.push((time, format!("{time:<30} {:<width$} {words}", log.source)));
        }
    }
    lines.sort_by_key(|(time, _)| *time);
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

fn is_time(word: &str) -> bool {
    word.len() >= 20 && word.ends_with('Z') && word.as_bytes()[4] == b'-' && word.as_bytes()[10] == b'T'
}

/// A time since 1970 as Docker prints it.
pub(crate) fn stamp(since: Duration) -> String {
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a date, in years that begin in March (Howard Hinnant's algorithm).
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_order_of_time_and_stay_with_their_first() {
        let log = |source: &str, text: &str| Log { source: source.to_owned(), text: text.to_owned() };
        let logs = [
            log("n1", "2026-01-01T00:00:01.000000000Z a\nand more\n2026-01-01T00:00:03.000000000Z c\n"),
            log("client", "2026-01-01T00:00:02.000000000Z b\n"),
        ];
        let text = merged(&logs);
        let words: Vec<&str> = text.lines().map(|line| line.split_at(31).1).collect();
        assert_eq!(words, ["n1     a", "n1     and more", "client b", "n1     c"]);
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(stamp(Duration::ZERO), "1970-01-01T00:00:00.000000000Z");
        let leap = Duration::new(1_709_210_096, 7_000);
        assert_eq!(stamp(leap), "2024-02-29T12:34:56.000007000Z");
        let new_year = Duration::from_secs(1_767_225_599);
        assert_eq!(stamp(new_year), "2025-12-31T23:59:59.000000000Z");
    }
}
