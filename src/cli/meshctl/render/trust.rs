//! `meshctl trust` and `audit`: everything about trust.

use super::peers::CLAIMED;
use super::status::recovery;
use super::table::Table;
use super::why::denials;
use super::words::{day, name, rights, safe, span, standing, trusts};
use crate::local::wire::{Audit, Found, Named, Path, Retirement, Root, Snapshot, Trust, Why};

/// All of it, a section a kind; sections with nothing in them are left out.
pub(crate) fn trust(trust: &Trust) -> String {
    let sections = [
        ("Approved by you", roots(&trust.roots)),
        ("Decisions", decisions(&trust.decisions)),
        ("What others vouch for", trust.snapshots.iter().map(snapshot).collect()),
        ("Denials", denials(&trust.denials)),
        ("Ended keys", trust.retirements.iter().map(retirement).collect()),
        ("Blocked on this machine", names(&trust.blocked)),
        ("Denials ignored on this machine", names(&trust.void)),
        ("Keys that two machines use: their vouches count for nothing", conflicts(trust)),
    ];
    let full: Vec<String> = sections
        .into_iter()
        .filter(|(_, body)| !body.is_empty())
        .map(|(title, body)| format!("{title}\n{body}"))
        .collect();
    if full.is_empty() {
        return "Nobody is trusted and nothing was said. `meshctl approve` begins.\n".to_owned();
    }
    format!("{}\n{CLAIMED}\n", full.join("\n"))
}

fn roots(roots: &[Root]) -> String {
    let mut table = Table::plain();
    for root in roots {
        let since = root.approved_at.map_or_else(String::new, |at| format!("since {}", day(at)));
        let despite: Vec<String> = root.despite.iter().map(|id| safe(id)).collect();
        let despite =
            if despite.is_empty() { String::new() } else { format!("despite {}", despite.join(", ")) };
        let depth = format!("depth {}", root.depth);
        let cells = [format!("  {}", name(&root.who)), rights(root.rights).to_owned(), depth, since, despite];
        table.row(cells.to_vec());
    }
    table.text()
}

fn decisions(decisions: &[Why]) -> String {
    let mut table = Table::plain();
    let none = Path::default();
    for why in decisions {
        let path = why.paths.first().unwrap_or(&none);
        let theirs = format!("trusts you: {}", trusts(why.trusts_you));
        table.row(vec![format!("  {}", name(&why.who)), standing(&why.standing, path), theirs]);
    }
    table.text()
}

fn snapshot(snapshot: &Snapshot) -> String {
    let lease = match snapshot.lease_left {
        0 => "lease ended".to_owned(),
        left => format!("lease {}", span(left)),
    };
    let mut table = Table::plain();
    for entry in &snapshot.entries {
        let right = if entry.rights.any() { rights(entry.rights) } else { "suspended" };
        table.row(vec![
            format!("    {}", name(&entry.who)),
            right.to_owned(),
            format!("depth {}", entry.depth),
        ]);
    }
    format!("  {}  v{}, {lease}\n{}", name(&snapshot.issuer), snapshot.version, table.text())
}

fn retirement(retirement: &Retirement) -> String {
    let successor = retirement.successor.map_or_else(String::new, |key| format!(", says the next is {key}"));
    let note =
        if retirement.note.is_empty() { String::new() } else { format!(": \"{}\"", safe(&retirement.note)) };
    format!("  {}  {}{successor}{note}\n", name(&retirement.who), day(retirement.issued_at))
}

fn names(names: &[Named]) -> String {
    names.iter().map(|one| format!("  {}  {}\n", name(one), one.key)).collect()
}

fn conflicts(trust: &Trust) -> String {
    let line = |conflict: &crate::local::wire::Conflict| {
        format!("  {}  v{} exists twice: a copied disk, or theft\n", name(&conflict.issuer), conflict.version)
    };
    trust.conflicts.iter().map(line).collect()
}

/// `meshctl recover`: why nothing is published, what came back, and what to type.
pub(crate) fn found(found: &Found) -> String {
    let Some(why) = recovery(found.recovery) else {
        return "Nothing was lost: what the allowlist says is published.\n".to_owned();
    };
    let Some(snapshot) = &found.snapshot else {
        return format!(
            "Why nothing is published: {why}.\n\nNothing came back yet. It comes from machines that trust this one and are trusted here: start one of them, or `meshctl approve` one again.\nIf it is gone for good: `meshctl recover --fresh` publishes what the allowlist says now.\n"
        );
    };
    let came = format!(
        "Why nothing is published: {why}.\n\nCame back, as this node published it last:\n{}",
        self::snapshot(snapshot)
    );
    let missing: Vec<String> = found.missing.iter().map(|one| name(&one.who)).collect();
    let restores = match missing.as_slice() {
        [] => "approves nobody new: all of it is in the allowlist".to_owned(),
        names => format!("approves again: {}", names.join(", ")),
    };
    format!(
        "{came}\n`meshctl recover --restore` {restores}.\n`meshctl recover --fresh` gives that up and publishes what the allowlist says now.\n"
    )
}

/// `meshctl audit`: the last lines, and whether the chain holds.
pub(crate) fn audit(audit: &Audit) -> String {
    let lines: String = audit.lines.iter().map(|line| format!("{}\n", safe(line))).collect();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::wire::sample;

    #[test]
    fn all_of_it() {
        insta::assert_snapshot!(trust(&sample::trust()), @r#"
        Approved by you
          alice  submit, work  depth 3  since 2026-03-01  despite mfrggzdf

        Decisions
          "carol-rack"  via alice, "bob-lap", leaf             trusts you: work only
          "mallet"      denied by "bob-lap" (lost) 10 min ago  trusts you: ?

        What others vouch for
          alice  v41, lease 61 d
            "bob-lap"  submit, work  depth 2
            "mallet"   suspended     depth 0

        Denials
          denial mfrggzdf  "bob-lap" denies "mallet" (lost, 2026-03-01): "left on the train"
          denial mfrggzdf  "bob-lap" denies "mallet" (lost, 2026-03-01): "left on the train", not in force here

        Ended keys
          "old-desk"  2026-03-01, says the next is ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq

        Blocked on this machine
          "noisy"  ed25519:4lrofyxc4lrofyxc4lrofyxc4lrofyxc4lrofyxc4lrofyxc4lra

        Denials ignored on this machine
          "grief"  ed25519:4pr6hy7d4pr6hy7d4pr6hy7d4pr6hy7d4pr6hy7d4pr6hy7d4prq

        Keys that two machines use: their vouches count for nothing
          "twin"  v9 exists twice: a copied disk, or theft

        Names in quotes are what machines call themselves or each other.
        "#);
    }

    #[test]
    fn what_recovery_finds() {
        let mut all = sample::found();
        insta::assert_snapshot!(found(&all), @r#"
        Why nothing is published: the statements of this node were lost: it waits for its peers to give them back and publishes nothing.

        Came back, as this node published it last:
          desk  v41, lease 61 d
            "bob-lap"  submit, work  depth 2
            "mallet"   suspended     depth 0

        `meshctl recover --restore` approves again: "bob-lap".
        `meshctl recover --fresh` gives that up and publishes what the allowlist says now.
        "#);
        all.missing.clear();
        assert!(found(&all).contains("approves nobody new"));
        all.snapshot = None;
        insta::assert_snapshot!(found(&all), @"
        Why nothing is published: the statements of this node were lost: it waits for its peers to give them back and publishes nothing.

        Nothing came back yet. It comes from machines that trust this one and are trusted here: start one of them, or `meshctl approve` one again.
        If it is gone for good: `meshctl recover --fresh` publishes what the allowlist says now.
        ");
        all.recovery = crate::local::wire::Recovery::No;
        insta::assert_snapshot!(found(&all), @"Nothing was lost: what the allowlist says is published.");
    }

    #[test]
    fn nothing_yet() {
        insta::assert_snapshot!(trust(&Trust::default()), @"Nobody is trusted and nothing was said. `meshctl approve` begins.");
    }

    #[test]
    fn audit_lines_and_a_broken_chain() {
        let mut log = sample::audit();
        insta::assert_snapshot!(audit(&log), @r"
        2026-03-01T00:00:00Z approved alice
        2026-03-02T00:00:00Z job \x1bx
        ");
        log.broken = Some("line 7 does not follow line 6".to_owned());
        insta::assert_snapshot!(audit(&log), @r"
        2026-03-01T00:00:00Z approved alice
        2026-03-02T00:00:00Z job \x1bx
        ");
    }
}
