//! One of everything, for tests: a small mesh as seen from `desk`.

use super::*;

pub(crate) const KEY: Key = Key([0x11; 32]);

fn key(byte: u8) -> Key {
    Key([byte; 32])
}

pub(crate) fn named(byte: u8, name: &str) -> Named {
    Named { key: key(byte), name: name.to_owned(), origin: Origin::Itself }
}

/// By a name that this machine's owner gave.
fn ours(byte: u8, name: &str) -> Named {
    Named { origin: Origin::Yours, ..named(byte, name) }
}

fn hop(from: Named, to: Named, kind: HopKind, depth: u8) -> Hop {
    Hop { from, to, kind, depth }
}

const APPROVED: HopKind = HopKind::Approved { at: Some(1_772_323_200) };

fn to_alice() -> Path {
    Path { rights: Rights::ALL, hops: vec![hop(ours(0x11, "desk"), ours(0xa1, "alice"), APPROVED, 3)] }
}

fn to_carol() -> Path {
    let mut path = to_alice();
    let vouched = |version, days: u64| HopKind::Vouched { version, lease_left: days * 86_400 };
    path.hops.push(hop(ours(0xa1, "alice"), named(0xb0, "bob-lap"), vouched(41, 61), 1));
    path.hops.push(hop(named(0xb0, "bob-lap"), named(0xca, "carol-rack"), vouched(7, 12), 0));
    path
}

fn peer(byte: u8, name: &str, trusts_you: Option<Rights>, standing: Standing) -> Peer {
    Peer {
        key: key(byte),
        name: name.to_owned(),
        label: None,
        trusts_you,
        standing,
        path: Path::default(),
        platform: None,
        load: None,
        version: None,
        addresses: Vec::new(),
        last_seen: None,
        connected: false,
        trouble: None,
    }
}

fn load(slots: u16, running: u16, queued: u32, speed: u32) -> Load {
    Load { slots, running, queued, paused: false, speed, tier: 2 }
}

fn platform(os: &str, arch: &str, libc: &str) -> Platform {
    Platform { os: os.to_owned(), arch: arch.to_owned(), libc: libc.to_owned() }
}

const TRUSTED: Standing = Standing::Trusted { rights: Rights::ALL, depth: 3, approved: true };

/// A good peer, one by way of others, one that has not approved us, one denied, a stranger, one lost.
pub(crate) fn peers() -> Vec<Peer> {
    let alice = Peer {
        label: Some("alice".to_owned()),
        path: to_alice(),
        platform: Some(platform("linux", "x86_64", "glibc 2.36")),
        load: Some(load(8, 3, 12, 1_250)),
        version: Some("0.1.0".to_owned()),
        addresses: vec!["/ip4/192.168.1.7/tcp/4917".to_owned(), "/ip4/10.0.0.7/tcp/4917".to_owned()],
        last_seen: Some(2),
        connected: true,
        ..peer(0xa1, "alice-rack", Some(Rights::ALL), TRUSTED)
    };
    let carol = Peer {
        path: to_carol(),
        platform: Some(platform("linux", "aarch64", "musl 1.2.5")),
        load: Some(Load { paused: true, ..load(32, 0, 0, 0) }),
        version: Some("0.2.0".to_owned()),
        addresses: vec!["/ip6/fe80::1/tcp/4917".to_owned()],
        last_seen: Some(0),
        connected: true,
        ..peer(
            0xca,
            "carol-rack",
            Some(Rights { submit: false, work: true }),
            Standing::Trusted { rights: Rights::ALL, depth: 0, approved: false },
        )
    };
    let dave = Peer {
        last_seen: Some(1),
        connected: true,
        path: Path {
            rights: Rights { submit: true, work: false },
            hops: vec![hop(ours(0x11, "desk"), named(0xda, "dave-ci"), APPROVED, 0)],
        },
        ..peer(
            0xda,
            "dave-ci",
            Some(Rights::default()),
            Standing::Trusted { rights: Rights { submit: true, work: false }, depth: 0, approved: true },
        )
    };
    let mallet = peer(0xe0, "mallet", None, Standing::Refused(denied()));
    let stranger = Peer {
        connected: true,
        last_seen: Some(40),
        addresses: vec!["/ip4/192.168.1.66/tcp/1".to_owned()],
        ..peer(0xe1, "al\u{1b}[31mice\u{202e}", Some(Rights::ALL), Standing::Stranger)
    };
    let gone = Peer {
        last_seen: Some(7_300),
        trouble: Some("unreachable: connection refused".to_owned()),
        ..peer(0xf0, "", None, TRUSTED)
    };
    vec![alice, carol, dave, mallet, stranger, gone]
}

fn denied() -> Refusal {
    Refusal::Denied { by: named(0xb0, "bob-lap"), reason: Reason::Lost, age: 600, id: "mfrggzdf".to_owned() }
}

pub(crate) fn status() -> Status {
    Status {
        key: KEY,
        name: "desk".to_owned(),
        mesh: "default".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 4_242,
        home: "/home/ann/.local/share/testmesh".to_owned(),
        uptime: 3 * 3_600 + 120,
        listen: vec!["/ip4/192.168.1.5/tcp/4917".to_owned(), "/ip6/fe80::5/tcp/4917".to_owned()],
        mdns: Mdns::On,
        load: load(8, 2, 5, 1_000),
        containment: "namespaces, Landlock, seccomp".to_owned(),
        accept_unsandboxed: false,
        roots: vec![
            RootAge {
                root: ours(0xa1, "alice"),
                age: Some(86_400 * 3),
                lease_left: Some(86_400 * 87),
                connected: true,
            },
            RootAge { root: named(0xda, "dave-ci"), age: None, lease_left: None, connected: false },
        ],
        trusted: 4,
        connected: 3,
        mutual: 1,
        statements: 7,
        recovery: Recovery::No,
        unreached: Vec::new(),
        warnings: vec!["the clock of alice is 2 days ahead".to_owned()],
    }
}

pub(crate) fn denial(in_force: bool) -> Denial {
    Denial {
        id: "mfrggzdf".to_owned(),
        issuer: named(0xb0, "bob-lap"),
        subject: named(0xe0, "mallet"),
        reason: Reason::Lost,
        note: "left on the train".to_owned(),
        issued_at: 1_772_323_200,
        in_force,
    }
}

pub(crate) fn why() -> Why {
    Why {
        who: named(0xca, "carol-rack"),
        standing: Standing::Trusted { rights: Rights::ALL, depth: 0, approved: false },
        trusts_you: Some(Rights { submit: false, work: true }),
        paths: vec![to_carol()],
        hangs_on: vec![ours(0xa1, "alice"), named(0xb0, "bob-lap")],
        denials: Vec::new(),
    }
}

pub(crate) fn why_not() -> Why {
    Why {
        who: named(0xe0, "mallet"),
        standing: Standing::Refused(denied()),
        trusts_you: None,
        paths: Vec::new(),
        hangs_on: Vec::new(),
        denials: vec![denial(true)],
    }
}

pub(crate) fn trust() -> Trust {
    let entry = |byte, name: &str, rights, depth| SnapshotEntry { who: named(byte, name), rights, depth };
    Trust {
        roots: vec![Root {
            who: ours(0xa1, "alice"),
            rights: Rights::ALL,
            depth: 3,
            approved_at: Some(1_772_323_200),
            despite: vec!["mfrggzdf".to_owned()],
        }],
        decisions: vec![why(), why_not()],
        snapshots: vec![Snapshot {
            issuer: ours(0xa1, "alice"),
            version: 41,
            lease_left: 61 * 86_400,
            entries: vec![
                entry(0xb0, "bob-lap", Rights::ALL, 2),
                entry(0xe0, "mallet", Rights::default(), 0),
            ],
        }],
        denials: vec![denial(true), denial(false)],
        retirements: vec![Retirement {
            who: named(0x0d, "old-desk"),
            successor: Some(KEY),
            note: String::new(),
            issued_at: 1_772_323_200,
        }],
        blocked: vec![named(0xe2, "noisy")],
        void: vec![named(0xe3, "grief")],
        conflicts: vec![Conflict { issuer: named(0xe4, "twin"), version: 9 }],
    }
}

pub(crate) fn found() -> Found {
    let snapshot = Snapshot { issuer: ours(0x11, "desk"), ..trust().snapshots.remove(0) };
    let missing = snapshot.entries.iter().take(1).cloned().collect();
    Found { recovery: Recovery::LostStore, snapshot: Some(snapshot), missing }
}

pub(crate) fn seen() -> Vec<Seen> {
    let seen = |byte, name: &str, standing| Seen {
        key: key(byte),
        name: name.to_owned(),
        addresses: vec!["/ip4/192.168.1.9/tcp/4917".to_owned()],
        last_seen: 3,
        standing,
    };
    vec![seen(0xb0, "bob-lap", Standing::Stranger), seen(0xa1, "alice-rack", TRUSTED)]
}

fn shift(who: Named) -> Shift {
    Shift { who, before: Rights::ALL, after: Rights::default() }
}

pub(crate) fn fall() -> Consequences {
    Consequences {
        outcome: Outcome::DryRun,
        who: named(0xb0, "bob-lap"),
        gained: Vec::new(),
        lost: vec![shift(named(0xb0, "bob-lap")), shift(named(0xca, "carol-rack"))],
        jobs_stopped: 2,
        notes: Vec::new(),
    }
}

pub(crate) fn own_key() -> OwnKey {
    OwnKey {
        key: KEY,
        name: "desk".to_owned(),
        file: "name: desk\nkey: ...\n".to_owned(),
        words: ["abandon", "ability", "able"].map(str::to_owned).to_vec(),
    }
}

pub(crate) fn audit() -> Audit {
    Audit {
        lines: vec![
            "2026-03-01T00:00:00Z approved alice".to_owned(),
            "2026-03-02T00:00:00Z job \u{1b}x".to_owned(),
        ],
        head: "5f3a".to_owned(),
        broken: None,
    }
}
