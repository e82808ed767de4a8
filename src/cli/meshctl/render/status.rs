//! `meshctl status`: this node, and which side lacks what.

use super::peers::lacking;
use super::table::Table;
use super::words::{address, name, plural, safe, span};
use crate::local::wire::{Mdns, Peer, Recovery, RootAge, Status, Unreached};

/// The node, its roots, and what is missing between it and its peers.
pub(crate) fn status(status: &Status, peers: &[Peer]) -> String {
    let mut text = format!(
        "{}, mesh {}, version {}, up {} (process {})\n",
        safe(&status.name),
        safe(&status.mesh),
        safe(&status.version),
        span(status.uptime),
        status.pid
    );
    let mut table = Table::plain();
    for (what, words) in facts(status) {
        table.row(vec![format!("  {what}"), words]);
    }
    text.push_str(&table.text());
    text.push_str(&roots(&status.roots));
    text.push_str(&lacking(peers));
    text.push_str(&unreached(&status.unreached));
    text.push_str(&warnings(status));
    text
}

fn facts(status: &Status) -> Vec<(&'static str, String)> {
    let listen: Vec<String> = status.listen.iter().map(|one| address(one)).collect();
    vec![
        ("key", status.key.to_string()),
        ("home", safe(&status.home)),
        ("listens on", if listen.is_empty() { "nothing".to_owned() } else { listen.join(", ") }),
        ("discovery", mdns(&status.mdns)),
        ("jobs", jobs(status)),
        ("containment", containment(status)),
        ("peers", peers(status)),
    ]
}

fn mdns(mdns: &Mdns) -> String {
    match mdns {
        Mdns::On => "multicast".to_owned(),
        Mdns::Off => "off (mdns = false in the settings)".to_owned(),
        Mdns::Failed(why) => format!("none: {}", safe(why)),
    }
}

fn jobs(status: &Status) -> String {
    let load = &status.load;
    let slots = plural(usize::from(load.slots), "slot", "slots");
    let text = format!("{slots}, {} running, {} queued", load.running, load.queued);
    if load.paused { format!("{text}; paused, `meshctl resume` goes on") } else { text }
}

fn containment(status: &Status) -> String {
    let text = format!("tier {} ({})", status.load.tier, safe(&status.containment));
    match (status.load.tier, status.accept_unsandboxed) {
        (0, true) => format!("{text}; jobs of others run all the same: accept_unsandboxed is set"),
        (0, false) => format!("{text}; jobs of others are refused"),
        _ => text,
    }
}

fn peers(status: &Status) -> String {
    format!(
        "{} trusted, {} connected, {} in both directions; {}",
        status.trusted,
        status.connected,
        status.mutual,
        plural(usize::try_from(status.statements).unwrap_or(usize::MAX), "statement", "statements")
    )
}

fn roots(roots: &[RootAge]) -> String {
    if roots.is_empty() {
        return "\nNobody is approved yet. `meshctl peers --seen` shows who is here, `meshctl approve` trusts one.\n"
            .to_owned();
    }
    let mut table = Table::new(&["APPROVED", "LAST WORD", "LEASE", "HERE"]);
    for root in roots {
        let age = root.age.map_or_else(|| "none yet".to_owned(), |age| format!("{} ago", span(age)));
        let lease = match root.lease_left {
            Some(0) => "ended".to_owned(),
            Some(left) => span(left),
            None => "-".to_owned(),
        };
        let here = if root.connected { "yes" } else { "no" };
        table.row(vec![name(&root.root), age, lease, here.to_owned()]);
    }
    format!("\n{}", table.text())
}

fn unreached(unreached: &[Unreached]) -> String {
    let line =
        |one: &Unreached| format!("  {} {} ago: {}\n", address(&one.address), span(one.age), safe(&one.why));
    let lines: Vec<String> = unreached.iter().map(line).collect();
    if lines.is_empty() { String::new() } else { format!("\nDialled in vain:\n{}", lines.concat()) }
}

/// Why nothing is published; a sentence without a period.
pub(super) fn recovery(recovery: Recovery) -> Option<&'static str> {
    match recovery {
        Recovery::No => None,
        Recovery::LostStore => Some(
            "the statements of this node were lost: it waits for its peers to give them back and publishes nothing",
        ),
        Recovery::RolledBack => Some(
            "this home is older than what its node published, as a restored backup is: only what both say is in force, and nothing is published",
        ),
        Recovery::Cloned => Some(
            "another machine uses this node's key: nothing is published. Find it; if you cannot, `meshctl retire` and make a new key",
        ),
    }
}

fn warnings(status: &Status) -> String {
    let recovery =
        recovery(status.recovery).map(|why| format!("{why}. `meshctl recover` shows what came back"));
    let warnings = status.warnings.iter().map(|warning| safe(warning));
    let lines: Vec<String> =
        recovery.into_iter().chain(warnings).map(|line| format!("warning: {line}\n")).collect();
    if lines.is_empty() { String::new() } else { format!("\n{}", lines.concat()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::wire::{Load, sample};

    #[test]
    fn a_node_at_work() {
        insta::assert_snapshot!(status(&sample::status(), &sample::peers()), @r#"
        desk, mesh default, version 0.1.0, up 3 h 2 min (process 4242)
          key          ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq
          home         /home/ann/.local/share/testmesh
          listens on   192.168.1.5:4917, [fe80::5]:4917
          discovery    multicast
          jobs         8 slots, 2 running, 5 queued
          containment  tier 2 (namespaces, Landlock, seccomp)
          peers        4 trusted, 3 connected, 1 in both directions; 7 statements

        APPROVED   LAST WORD  LEASE  HERE
        alice      3 d ago    87 d   yes
        "dave-ci"  none yet   -      no

        Missing:
          "carol-rack" trusts you with part: work only. Its owner can widen that with `meshctl approve`
          "dave-ci" does not trust you. Here: `meshctl key export > KEYFILE`; there: `meshctl approve KEYFILE`
          "mallet" was denied by "bob-lap" (lost). If you know better: `meshctl approve mallet --despite mfrggzdf`
          "al\x1b[31mice\u{202e}" is not approved here. It trusts you already. `meshctl approve ed25519:4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hqq`
          (6dypb4hq) cannot be reached: unreachable: connection refused. Is its node up? `meshctl dial ADDRESS`

        warning: the clock of alice is 2 days ahead
        "#);
    }

    #[test]
    fn a_node_alone_and_in_trouble() {
        let alone = Status {
            roots: Vec::new(),
            listen: Vec::new(),
            mdns: Mdns::Failed("no such device".to_owned()),
            load: Load { slots: 1, running: 0, queued: 0, paused: true, speed: 0, tier: 0 },
            containment: "none".to_owned(),
            recovery: Recovery::LostStore,
            unreached: vec![Unreached {
                address: "/ip4/192.168.1.99/tcp/4917".to_owned(),
                why: "unreachable: connection\u{1b} refused".to_owned(),
                age: 63,
            }],
            ..sample::status()
        };
        insta::assert_snapshot!(status(&alone, &[]), @r"
        desk, mesh default, version 0.1.0, up 3 h 2 min (process 4242)
          key          ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq
          home         /home/ann/.local/share/testmesh
          listens on   nothing
          discovery    none: no such device
          jobs         1 slot, 0 running, 0 queued; paused, `meshctl resume` goes on
          containment  tier 0 (none); jobs of others are refused
          peers        4 trusted, 3 connected, 1 in both directions; 7 statements

        Nobody is approved yet. `meshctl peers --seen` shows who is here, `meshctl approve` trusts one.

        Dialled in vain:
          192.168.1.99:4917 1 min 3 s ago: unreachable: connection\x1b refused

        warning: the statements of this node were lost: it waits for its peers to give them back and publishes nothing. `meshctl recover` shows what came back
        warning: the clock of alice is 2 days ahead
        ");
        let open = Status { accept_unsandboxed: true, ..alone };
        assert!(status(&open, &[]).contains("accept_unsandboxed is set"));
    }
}
