//! `meshctl peers`: everyone this node knows of.

use serde::Serialize;

use super::next::missing;
use super::table::Table;
use super::words::{address, claimed, peer_name, safe, span, standing, trusts};
use crate::local::wire::{Load, Peer, Platform, Seen};

const HEADINGS: [&str; 9] =
    ["NAME", "TRUSTS YOU", "YOU TRUST IT", "PLATFORM", "SLOTS", "SPEED", "VERSION", "ADDRESS", "SEEN"];

/// Says what quotes mean.
pub(crate) const CLAIMED: &str = "Names in quotes are what machines call themselves or each other.";

/// The list, and what is missing.
pub(crate) fn peers(peers: &[Peer]) -> String {
    if peers.is_empty() {
        return "Nobody is known yet. `meshctl setup` and `meshctl start` on another machine of this network, or `meshctl dial ADDRESS`.\n"
            .to_owned();
    }
    let mut table = Table::new(&HEADINGS);
    for peer in peers {
        table.row(row(peer));
    }
    let mut text = table.text();
    if peers.iter().any(is_claimed) {
        text.push_str(&format!("\n{CLAIMED}\n"));
    }
    text.push_str(&lacking(peers));
    text
}

/// What is missing, a line a peer; empty where nothing is.
pub(crate) fn lacking(peers: &[Peer]) -> String {
    let lines: Vec<String> = peers.iter().filter_map(missing).map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() { String::new() } else { format!("\nMissing:\n{}", lines.concat()) }
}

fn is_claimed(peer: &Peer) -> bool {
    peer.label.as_deref().unwrap_or("").is_empty() && !peer.name.is_empty()
}

fn row(peer: &Peer) -> Vec<String> {
    let or_dash =
        |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    vec![
        peer_name(peer),
        trusts(peer.trusts_you).to_owned(),
        standing(&peer.standing, &peer.path),
        or_dash(peer.platform.as_ref().map(platform)),
        or_dash(peer.load.as_ref().map(slots)),
        or_dash(peer.load.as_ref().and_then(speed)),
        or_dash(peer.version.as_deref().map(safe)),
        or_dash(peer.addresses.first().map(|first| address(first))),
        seen_when(peer),
    ]
}

fn platform(platform: &Platform) -> String {
    let parts = [&platform.os, &platform.arch, &platform.libc];
    let parts: Vec<String> =
        parts.into_iter().filter(|part| !part.is_empty()).map(|part| safe(part)).collect();
    parts.join(" ")
}

/// `3/8`, with what waits, or that it is paused.
pub(crate) fn slots(load: &Load) -> String {
    let mut text = format!("{}/{}", load.running, load.slots);
    if load.queued > 0 {
        text = format!("{text}, {} queued", load.queued);
    }
    if load.paused { format!("{text}, paused") } else { text }
}

fn speed(load: &Load) -> Option<String> {
    (load.speed > 0).then(|| format!("{}.{:02}x", load.speed / 1_000, load.speed % 1_000 / 10))
}

fn seen_when(peer: &Peer) -> String {
    match peer.last_seen {
        _ if peer.connected => "now".to_owned(),
        Some(ago) => format!("{} ago", span(ago)),
        None => "never".to_owned(),
    }
}

/// `meshctl peers --seen`: who is on the network.
pub(crate) fn seen(seen: &[Seen]) -> String {
    if seen.is_empty() {
        return "Nobody was seen on this network.\n".to_owned();
    }
    let mut table = Table::new(&["NAME", "YOU TRUST IT", "ADDRESS", "SEEN", "KEY"]);
    for one in seen {
        table.row(vec![
            claimed(&one.name, &one.key),
            standing(&one.standing, &crate::local::wire::Path::default()),
            one.addresses.first().map_or_else(|| "-".to_owned(), |first| address(first)),
            format!("{} ago", span(one.last_seen)),
            one.key.to_string(),
        ]);
    }
    format!("{}\n{CLAIMED}\n", table.text())
}

/// A peer with what is missing, for `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct PeerJson<'a> {
    #[serde(flatten)]
    peer: &'a Peer,
    /// What is missing and what to type; null where work flows.
    missing: Option<String>,
}

/// What `peers --json` prints.
pub(crate) fn json(peers: &[Peer]) -> Vec<PeerJson<'_>> {
    peers.iter().map(|peer| PeerJson { peer, missing: missing(peer) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::wire::sample;

    #[test]
    fn a_mesh_in_a_table() {
        insta::assert_snapshot!(peers(&sample::peers()), @r#"
        NAME                     TRUSTS YOU  YOU TRUST IT                           PLATFORM                  SLOTS           SPEED  VERSION  ADDRESS           SEEN
        alice                    yes         approved                               linux x86_64 glibc 2.36   3/8, 12 queued  1.25x  0.1.0    192.168.1.7:4917  now
        "carol-rack"             work only   via alice, "bob-lap", leaf             linux aarch64 musl 1.2.5  0/32, paused    -      0.2.0    [fe80::1]:4917    now
        "dave-ci"                no          approved, submit only, leaf            -                         -               -      -        -                 now
        "mallet"                 ?           denied by "bob-lap" (lost) 10 min ago  -                         -               -      -        -                 never
        "al\x1b[31mice\u{202e}"  yes         no                                     -                         -               -      -        192.168.1.66:1    now
        (6dypb4hq)               ?           approved                               -                         -               -      -        -                 2 h 1 min ago

        Names in quotes are what machines call themselves or each other.

        Missing:
          "carol-rack" trusts you with part: work only. Its owner can widen that with `meshctl approve`
          "dave-ci" does not trust you. Here: `meshctl key export > KEYFILE`; there: `meshctl approve KEYFILE`
          "mallet" was denied by "bob-lap" (lost). If you know better: `meshctl approve mallet --despite mfrggzdf`
          "al\x1b[31mice\u{202e}" is not approved here. It trusts you already. `meshctl approve ed25519:4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hq6dypb4hqq`
          (6dypb4hq) cannot be reached: unreachable: connection refused. Is its node up? `meshctl dial ADDRESS`
        "#);
    }

    #[test]
    fn nobody() {
        insta::assert_snapshot!(peers(&[]), @"Nobody is known yet. `meshctl setup` and `meshctl start` on another machine of this network, or `meshctl dial ADDRESS`.");
        insta::assert_snapshot!(seen(&[]), @"Nobody was seen on this network.");
    }

    #[test]
    fn who_is_here() {
        insta::assert_snapshot!(seen(&sample::seen()), @r#"
        NAME          YOU TRUST IT  ADDRESS           SEEN     KEY
        "bob-lap"     no            192.168.1.9:4917  3 s ago  ed25519:wcylbmfqwcylbmfqwcylbmfqwcylbmfqwcylbmfqwcylbmfqwcya
        "alice-rack"  approved      192.168.1.9:4917  3 s ago  ed25519:ugq2dinbugq2dinbugq2dinbugq2dinbugq2dinbugq2dinbugqq

        Names in quotes are what machines call themselves or each other.
        "#);
    }

    #[test]
    fn json_holds_everything_and_what_is_missing() {
        let peers = sample::peers();
        let json = serde_json::to_string_pretty(&json(&peers[1..3])).unwrap();
        insta::assert_snapshot!(json, @r#"
        [
          {
            "key": "ed25519:zlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfa",
            "name": "carol-rack",
            "label": null,
            "trusts_you": {
              "submit": false,
              "work": true
            },
            "standing": {
              "trusted": {
                "rights": {
                  "submit": true,
                  "work": true
                },
                "depth": 0,
                "approved": false
              }
            },
            "path": {
              "rights": {
                "submit": true,
                "work": true
              },
              "hops": [
                {
                  "from": {
                    "key": "ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq",
                    "name": "desk",
                    "origin": "yours"
                  },
                  "to": {
                    "key": "ed25519:ugq2dinbugq2dinbugq2dinbugq2dinbugq2dinbugq2dinbugqq",
                    "name": "alice",
                    "origin": "yours"
                  },
                  "kind": {
                    "approved": {
                      "at": 1772323200
                    }
                  },
                  "depth": 3
                },
                {
                  "from": {
                    "key": "ed25519:ugq2dinbugq2dinbugq2dinbugq2dinbugq2dinbugq2dinbugqq",
                    "name": "alice",
                    "origin": "yours"
                  },
                  "to": {
                    "key": "ed25519:wcylbmfqwcylbmfqwcylbmfqwcylbmfqwcylbmfqwcylbmfqwcya",
                    "name": "bob-lap",
                    "origin": "itself"
                  },
                  "kind": {
                    "vouched": {
                      "version": 41,
                      "lease_left": 5270400
                    }
                  },
                  "depth": 1
                },
                {
                  "from": {
                    "key": "ed25519:wcylbmfqwcylbmfqwcylbmfqwcylbmfqwcylbmfqwcylbmfqwcya",
                    "name": "bob-lap",
                    "origin": "itself"
                  },
                  "to": {
                    "key": "ed25519:zlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfmvswkzlfa",
                    "name": "carol-rack",
                    "origin": "itself"
                  },
                  "kind": {
                    "vouched": {
                      "version": 7,
                      "lease_left": 1036800
                    }
                  },
                  "depth": 0
                }
              ]
            },
            "platform": {
              "os": "linux",
              "arch": "aarch64",
              "libc": "musl 1.2.5"
            },
            "load": {
              "slots": 32,
              "running": 0,
              "queued": 0,
              "paused": true,
              "speed": 0,
              "tier": 2
            },
            "version": "0.2.0",
            "addresses": [
              "/ip6/fe80::1/tcp/4917"
            ],
            "last_seen": 0,
            "connected": true,
            "trouble": null,
            "missing": "\"carol-rack\" trusts you with part: work only. Its owner can widen that with `meshctl approve`"
          },
          {
            "key": "ed25519:3lnnvww23lnnvww23lnnvww23lnnvww23lnnvww23lnnvww23lna",
            "name": "dave-ci",
            "label": null,
            "trusts_you": {
              "submit": false,
              "work": false
            },
            "standing": {
              "trusted": {
                "rights": {
                  "submit": true,
                  "work": false
                },
                "depth": 0,
                "approved": true
              }
            },
            "path": {
              "rights": {
                "submit": true,
                "work": false
              },
              "hops": [
                {
                  "from": {
                    "key": "ed25519:ceirceirceirceirceirceirceirceirceirceirceirceirceiq",
                    "name": "desk",
                    "origin": "yours"
                  },
                  "to": {
                    "key": "ed25519:3lnnvww23lnnvww23lnnvww23lnnvww23lnnvww23lnnvww23lna",
                    "name": "dave-ci",
                    "origin": "itself"
                  },
                  "kind": {
                    "approved": {
                      "at": 1772323200
                    }
                  },
                  "depth": 0
                }
              ]
            },
            "platform": null,
            "load": null,
            "version": null,
            "addresses": [],
            "last_seen": 1,
            "connected": true,
            "trouble": null,
            "missing": "\"dave-ci\" does not trust you. Here: `meshctl key export > KEYFILE`; there: `meshctl approve KEYFILE`"
          }
        ]
        "#);
    }

    #[test]
    fn no_name_steers_the_terminal() {
        let mut all = sample::peers();
        for peer in &mut all {
            let hostile = "\u{1b}]0;x\u{7}\u{202e}\n".to_owned();
            peer.name.clone_from(&hostile);
            peer.label = Some(hostile.clone());
            peer.version = Some(hostile.clone());
            peer.trouble = Some(hostile.clone());
            peer.addresses = vec![hostile.clone()];
            peer.platform =
                Some(Platform { os: hostile.clone(), arch: hostile.clone(), libc: hostile.clone() });
            peer.path.hops.iter_mut().for_each(|hop| hop.from.name.clone_from(&hostile));
        }
        let text = peers(&all);
        assert!(
            !text.chars().any(|char| (char.is_control() && char != '\n') || char == '\u{202e}'),
            "{text}"
        );
        assert_eq!(
            text.lines().filter(|line| line.contains("\\x1b")).count(),
            all.len() + all.iter().filter_map(missing).count()
        );
    }
}
