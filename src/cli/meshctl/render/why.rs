//! `meshctl why`: the chain, hop by hop.

use super::table::Table;
use super::words::{day, name, refused, rights, safe, span, trusts};
use crate::local::wire::{Denial, Hop, HopKind, Path, Rights, Standing, Why};

/// A lease this near its end is marked: the daemon renews at 30 days, so its issuer has been away for long.
const LEASE_SOON: u64 = 14 * 86_400;

/// The decision about a key and what it rests on.
pub(crate) fn why(why: &Why) -> String {
    let mut text = format!("{}  {}\n  {}\n", name(&why.who), decision(why), why.who.key);
    for path in &why.paths {
        text.push_str(&chain(path, why.paths.len() > 1));
    }
    text.push_str(&hangs_on(why));
    text.push_str(&denials(&why.denials));
    text.push_str(&format!("  it trusts you: {}\n", trusts(why.trusts_you)));
    text
}

fn decision(why: &Why) -> String {
    match &why.standing {
        Standing::Trusted { rights: right, depth, .. } => {
            let hops = why.paths.iter().map(|path| path.hops.len()).min().unwrap_or(0);
            let hops = super::words::plural(hops, "hop", "hops");
            let leaf = if *depth == 0 { ", leaf" } else { "" };
            format!("{}, {hops}{leaf}", rights(*right))
        }
        Standing::Stranger => "not trusted: nobody you trust vouches for it".to_owned(),
        Standing::Refused(refusal) => format!("not trusted: {}", refused(refusal)),
    }
}

fn chain(path: &Path, several: bool) -> String {
    let mut table = Table::plain();
    for (nth, hop) in path.hops.iter().enumerate() {
        table.row(vec![format!("  {}", step(hop, nth == 0)), basis(&hop.kind)]);
    }
    if several { format!("  to {}:\n{}", each(path.rights), table.text()) } else { table.text() }
}

/// The rights of one of several paths.
fn each(rights: Rights) -> &'static str {
    match (rights.submit, rights.work) {
        (true, true) => "submit and work",
        (true, false) => "submit",
        (false, true) => "work",
        (false, false) => "nothing",
    }
}

fn step(hop: &Hop, first: bool) -> String {
    let from = if first { "you".to_owned() } else { name(&hop.from) };
    format!("{from} -> {}", name(&hop.to))
}

fn basis(kind: &HopKind) -> String {
    match kind {
        HopKind::Approved { at: Some(at) } => format!("approved {} by you", day(*at)),
        HopKind::Approved { at: None } => "approved by you".to_owned(),
        HopKind::Vouched { version, lease_left } => {
            let soon = if *lease_left < LEASE_SOON { " !" } else { "" };
            format!("vouch v{version}, lease {}{soon}", span(*lease_left))
        }
    }
}

fn hangs_on(why: &Why) -> String {
    if why.hangs_on.is_empty() {
        return String::new();
    }
    let names: Vec<String> = why.hangs_on.iter().map(name).collect();
    format!("  all of it hangs on {}\n", names.join(", "))
}

/// Denials, a line each.
pub(super) fn denials(denials: &[Denial]) -> String {
    denials.iter().map(denial).collect()
}

fn denial(denial: &Denial) -> String {
    let force = if denial.in_force { "" } else { ", not in force here" };
    let note = if denial.note.is_empty() { String::new() } else { format!(": \"{}\"", safe(&denial.note)) };
    format!(
        "  denial {}  {} denies {} ({}, {}){note}{force}\n",
        safe(&denial.id),
        name(&denial.issuer),
        name(&denial.subject),
        denial.reason,
        day(denial.issued_at)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::wire::sample;

    #[test]
    fn a_chain_with_leases() {
        insta::assert_snapshot!(why(&sample::why()), @r#"
        "carol-rack"  submit, work, 3 hops, leaf
          ed25519:zlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfa
          you -> alice               approved 2026-03-01 by you
          alice -> "bob-lap"         vouch v41, lease 61 d
          "bob-lap" -> "carol-rack"  vouch v7, lease 12 d !
          all of it hangs on alice, "bob-lap"
          it trusts you: work only
        "#);
    }

    #[test]
    fn two_paths_for_two_rights() {
        let mut two = sample::why();
        let mut other = two.paths[0].clone();
        two.paths[0].rights = Rights { submit: true, work: false };
        other.rights = Rights { submit: false, work: true };
        other.hops.truncate(1);
        two.paths.push(other);
        insta::assert_snapshot!(why(&two), @r#"
        "carol-rack"  submit, work, 1 hop, leaf
          ed25519:zlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfa
          to submit:
          you -> alice               approved 2026-03-01 by you
          alice -> "bob-lap"         vouch v41, lease 61 d
          "bob-lap" -> "carol-rack"  vouch v7, lease 12 d !
          to work:
          you -> alice  approved 2026-03-01 by you
          all of it hangs on alice, "bob-lap"
          it trusts you: work only
        "#);
    }

    #[test]
    fn a_denied_key_and_a_stranger() {
        let mut stranger = sample::why_not();
        insta::assert_snapshot!(why(&stranger), @r#"
        "mallet"  not trusted: denied by "bob-lap" (lost) 10 min ago
          ed25519:4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqa
          denial mfrggzdf  "bob-lap" denies "mallet" (lost, 2026-03-01): "left on the train"
          it trusts you: ?
        "#);
        stranger.standing = Standing::Stranger;
        stranger.denials.clear();
        insta::assert_snapshot!(why(&stranger), @r#"
        "mallet"  not trusted: nobody you trust vouches for it
          ed25519:4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqa
          it trusts you: ?
        "#);
    }
}
