//! Names, rights, times and addresses in words.

use crate::local::wire::{Hop, Key, Named, Origin, Path, Peer, Refusal, Rights, Standing};
use crate::report::untrusted::Untrusted;

/// Letters of a name shown in a table; names have at most 64 bytes.
const SHOWN: usize = 32;

/// One line of somebody else's text.
pub(crate) fn safe(text: &str) -> String {
    Untrusted::line(text).to_string()
}

/// A name of yours as it is, a claimed one in quotes, and for no name the beginning of the key.
pub(crate) fn name(named: &Named) -> String {
    match named.origin {
        Origin::Yours if !named.name.is_empty() => cut(&safe(&named.name)),
        _ => claimed(&named.name, &named.key),
    }
}

fn unnamed(key: &Key) -> String {
    format!("({})", key.short())
}

/// Your label as it is, a claimed name in quotes, and for no name the beginning of the key.
pub(crate) fn peer_name(peer: &Peer) -> String {
    match &peer.label {
        Some(label) if !label.is_empty() => cut(&safe(label)),
        _ => claimed(&peer.name, &peer.key),
    }
}

/// A name that is the word of another machine, in quotes.
pub(crate) fn claimed(name: &str, key: &Key) -> String {
    if name.is_empty() { unnamed(key) } else { format!("\"{}\"", cut(&safe(name))) }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let kept: String = text.chars().take(SHOWN - 1).collect();
    format!("{kept}…")
}

/// `submit, work`, or `nothing`.
pub(crate) fn rights(rights: Rights) -> &'static str {
    match (rights.submit, rights.work) {
        (true, true) => "submit, work",
        (true, false) => "submit only",
        (false, true) => "work only",
        (false, false) => "nothing",
    }
}

/// `yes`, `no`, or what of it.
pub(crate) fn trusts(trust: Option<Rights>) -> &'static str {
    match trust {
        None => "?",
        Some(Rights::ALL) => "yes",
        Some(one) if one.any() => rights(one),
        Some(_) => "no",
    }
}

/// What this node thinks of a key, in a few words.
pub(crate) fn standing(standing: &Standing, path: &Path) -> String {
    match standing {
        Standing::Trusted { rights: right, depth, approved } => {
            let mut text = if *approved { "approved".to_owned() } else { via(path) };
            if *right != Rights::ALL {
                text = format!("{text}, {}", rights(*right));
            }
            if *depth == 0 { format!("{text}, leaf") } else { text }
        }
        Standing::Stranger => "no".to_owned(),
        Standing::Refused(refusal) => refused(refusal),
    }
}

fn via(path: &Path) -> String {
    let between: Vec<String> = path.hops.iter().skip(1).map(|hop: &Hop| name(&hop.from)).collect();
    if between.is_empty() { "yes".to_owned() } else { format!("via {}", between.join(", ")) }
}

/// What keeps a key out.
pub(crate) fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Denied { by, reason, age, .. } => {
            format!("denied by {} ({reason}) {} ago", name(by), span(*age))
        }
        Refusal::Retired { .. } => "retired".to_owned(),
        Refusal::Blocked => "blocked here".to_owned(),
        Refusal::Lapsed => "lapsed".to_owned(),
    }
}

/// A span of time in its two largest units: `3 h 2 min`.
pub(crate) fn span(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..DAY => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => format!("{} d", seconds / DAY),
    }
}

fn two(large: u64, unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {small_unit}") }
}

/// `192.168.1.7:4917` for `/ip4/192.168.1.7/tcp/4917`; anything else as it is.
pub(crate) fn address(multiaddr: &str) -> String {
    let parts: Vec<&str> = multiaddr.split('/').collect();
    match parts.as_slice() {
        ["", "ip4", host, "tcp", port] => safe(&format!("{host}:{port}")),
        ["", "ip6", host, "tcp", port] => safe(&format!("[{host}]:{port}")),
        _ => safe(multiaddr),
    }
}

/// `1 test`, `2 tests`.
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// A name as one types it: itself where a shell takes it for one word, else the key.
pub(crate) fn typed(name: &str, key: &Key) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    let word = !name.is_empty() && name.chars().all(plain) && !name.starts_with('-');
    if word { name.to_owned() } else { key.to_string() }
}

/// The UTC day of unix seconds, such as `2026-03-01` (days to date after Hinnant's `civil_from_days`).
pub(crate) fn day(unix: u64) -> String {
    let shifted = unix / 86_400 + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let all = [0, 59, 60, 61, 3_599, 3_600, 3_661, 86_399, 86_400, 200_000].map(span);
        insta::assert_snapshot!(all.join(" | "), @"0 s | 59 s | 1 min | 1 min 1 s | 59 min 59 s | 1 h | 1 h 1 min | 23 h 59 min | 1 d | 2 d");
    }

    #[test]
    fn days_are_utc() {
        let all = [0, 951_782_399, 951_782_400, 1_772_323_200, u64::MAX].map(day);
        insta::assert_snapshot!(all.join(" | "), @"1970-01-01 | 2000-02-28 | 2000-02-29 | 2026-03-01 | 584554051223-11-09");
    }

    #[test]
    fn addresses_are_short_where_they_can_be() {
        let all = ["/ip4/10.0.0.1/tcp/1", "/ip6/fe80::1/tcp/2", "/dns4/x/tcp/3", "\u{1b}[2J"].map(address);
        insta::assert_snapshot!(all.join(" | "), @r"10.0.0.1:1 | [fe80::1]:2 | /dns4/x/tcp/3 | \x1b[2J");
    }

    #[test]
    fn only_plain_names_are_typed() {
        let key = Key([0; 32]);
        assert_eq!(typed("bob-lap", &key), "bob-lap");
        for odd in ["", "a b", "$(rm)", "-rf", "b\u{f6}b"] {
            assert_eq!(typed(odd, &key), key.to_string());
        }
    }

    #[test]
    fn long_names_are_cut() {
        let mut named = Named { key: Key([0; 32]), name: "x".repeat(64), origin: Origin::Yours };
        assert_eq!(name(&named).chars().count(), SHOWN);
        named.origin = Origin::Voucher;
        assert!(name(&named).starts_with("\"x") && name(&named).ends_with("…\""));
    }
}
