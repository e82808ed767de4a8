//! Times of day and durations as V8 prints them. Pure: no clock is read.

use std::time::Duration;

const DAY: i64 = 86_400;

/// A moment as seconds since the Unix epoch, moved east by the zone's offset.
pub(crate) fn local(epoch: Duration, offset: i32) -> i64 {
    i64::try_from(epoch.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(offset))
}

/// `2026-11-23 06:12:00`.
pub(crate) fn date(local: i64) -> String {
    let (year, month, day) = civil(local.div_euclid(DAY));
    format!("{year:04}-{month:02}-{day:02} {}", time(local))
}

/// `06:12:00`.
pub(crate) fn time(local: i64) -> String {
    let second = local.rem_euclid(DAY);
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's algorithm: years begin in March).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// `mm:ss.mmm` of 6.2's --time: the milliseconds are rounded, the seconds are not.
pub(crate) fn minutes_rounded(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let millis = (duration.as_secs_f64() * 1000.0).round() % 1000.0;
    format!("{:02}:{:02}.{millis:03}", seconds / 60 % 60, seconds % 60)
}

/// `MM:SS:mmm` of 10.2's --time: cut off after rounding to microseconds.
pub(crate) fn minutes_cut(duration: Duration) -> String {
    let micros = (duration.as_nanos() + 500) / 1000;
    let seconds = micros / 1_000_000;
    format!("{:02}:{:02}:{:03}", seconds / 60 % 60, seconds % 60, micros / 1000 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days_and_centuries() {
        for (second, text) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_164_800, "2024-02-29 00:00:00"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (1_763_878_320, "2025-11-23 06:12:00"),
        ] {
            assert_eq!(date(second), text);
        }
        assert_eq!(date(local(Duration::from_secs(0), 3600)), "1970-01-01 01:00:00");
    }

    #[test]
    fn durations_wrap_at_the_hour_as_v8s_do() {
        for (millis, rounded, cut) in [
            (31, "00:00.031", "00:00:031"),
            (61_500, "01:01.500", "01:01:500"),
            (3_600_000, "00:00.000", "00:00:000"),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(
                (minutes_rounded(duration), minutes_cut(duration)),
                (rounded.to_owned(), cut.to_owned())
            );
        }
        // V8's own slip: the rounding does not carry into the seconds.
        assert_eq!(minutes_rounded(Duration::from_micros(1_999_700)), "00:01.000");
    }
}
