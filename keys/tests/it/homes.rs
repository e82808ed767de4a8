//! Homes: what is created, what is refused, what a crash at every byte leaves (P16, P24).

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use testmesh_keys::allowlist::{Allowlist, Root};
use testmesh_keys::audit::AuditEvent;
use testmesh_keys::closure::{DEFAULT_DEPTH, Decision, Grant};
use testmesh_keys::keyring::{Approve, Change, Keyring, Recovery};
use testmesh_keys::retirement;
use testmesh_keys::rights::Rights;
use testmesh_keys::statement::{Deny, Reason, Signed, Statement};
use testmesh_keys::store::{self, Opened, Store, StoreError};

use crate::support::{Group, config, identity, key};

const NOW: u64 = 1_772_323_200;

struct Home {
    _scratch: TempDir,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let scratch = TempDir::new().expect("a scratch folder");
        let path = scratch.path().join("deep/home");
        Self { _scratch: scratch, path }
    }

    fn set_up() -> Self {
        let home = Self::new();
        store::setup(&home.path, NOW).expect("a home");
        home
    }

    fn open(&self) -> Opened {
        store::open(&self.path, NOW).expect("opens")
    }

    fn fails(&self) -> String {
        let error = store::open(&self.path, NOW).map(|_| ()).expect_err("refused").to_string();
        error.replace(&self.path.display().to_string(), "HOME")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).expect("a file")
    }
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
}

fn approve(keyring: &mut Keyring, node: usize) -> Change {
    let (label, despite) = (format!("node {node}"), BTreeSet::new());
    let approve = Approve { key: key(node), label, rights: Rights::ALL, depth: DEFAULT_DEPTH, despite };
    keyring.approve(approve, NOW).expect("approved")
}

fn persist(store: &mut Store, change: &Change, keyring: &Keyring) {
    store.persist(change, keyring, NOW).expect("room");
}

#[test]
fn a_home_is_made_once_and_private() {
    let home = Home::new();
    let made = store::setup(&home.path, NOW).expect("a home");
    assert!(made.created);
    let again = store::setup(&home.path, NOW + 1).expect("the same home");
    assert_eq!((again.key, again.created), (made.key, false));
    assert_eq!(store::public_key(&home.path).expect("a key"), made.key);
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&home.path), 0o700);
    for name in ["identity", "retire.cert", "allowlist", "policy", "statements.log", "audit.log", "lock"] {
        assert_eq!(mode(&home.file(name)), 0o600, "{name}");
    }
    assert_eq!(home.bytes("identity").len(), 32);
    assert!(std::fs::read_dir(&home.path).expect("a folder").count() == 7, "nothing else is left");
    let opened = home.open();
    assert_eq!(opened.keyring.me(), made.key);
    assert_eq!(opened.report, store::Report::default());
}

#[test]
fn the_certificate_retires_the_key() {
    let home = Home::set_up();
    let text = String::from_utf8(home.bytes("retire.cert")).expect("text");
    let mut keyring = home.open().keyring;
    let bytes = retirement::parse(&text).expect("a certificate");
    assert!(keyring.receive(&bytes, None, NOW).expect("its own").new);
    assert!(keyring.set().retirement(&keyring.me()).is_some());
}

#[test]
fn the_words_of_every_refusal() {
    let mut words = vec![Home::new().fails()];
    let with = |break_it: &dyn Fn(&Home)| {
        let home = Home::set_up();
        break_it(&home);
        home.fails()
    };
    words.push(with(&|home| chmod(&home.path, 0o755)));
    words.push(with(&|home| chmod(&home.file("identity"), 0o640)));
    words.push(with(&|home| chmod(&home.file("allowlist"), 0o666)));
    words.push(with(&|home| std::fs::write(home.file("identity"), "short").expect("written")));
    words.push(with(&|home| std::fs::remove_file(home.file("identity")).expect("removed")));
    words.push(with(&|home| {
        std::fs::rename(home.file("identity"), home.file("elsewhere")).expect("moved");
        symlink(home.file("elsewhere"), home.file("identity")).expect("linked");
    }));
    words.push(with(&|home| {
        std::fs::remove_file(home.file("policy")).expect("removed");
        std::fs::create_dir(home.file("policy")).expect("made");
        chmod(&home.file("policy"), 0o700);
    }));
    words.push(with(&|home| std::fs::remove_file(home.file("policy")).expect("removed")));
    words.push(with(&|home| std::fs::write(home.file("allowlist"), [0xff]).expect("written")));
    words.push(with(&|home| std::fs::write(home.file("allowlist"), "\nfriend\n").expect("written")));
    words.push(with(&|home| std::fs::write(home.file("policy"), "allow all\n").expect("written")));
    words.push(with(&|home| std::fs::write(home.file("statements.log"), [b'x'; 99]).expect("written")));
    insta::assert_snapshot!(words.join("\n"), @r#"
    HOME has no key yet; hint: `meshctl setup` makes one
    HOME has mode 755, others may get at it; hint: chmod 700 HOME
    HOME/identity has mode 640, others may get at it; hint: chmod 600 HOME/identity
    HOME/allowlist has mode 666, others may get at it; hint: chmod 600 HOME/allowlist
    HOME/identity has 5 bytes, a key has 32; hint: put the copy of the key back, or make a new home
    HOME has no key yet; hint: `meshctl setup` makes one
    HOME/identity is a link or no plain file; hint: put the file itself there
    HOME/policy is a link or no plain file; hint: put the file itself there
    HOME/policy is missing; hint: put it back, or create it empty if it is gone for good (its decisions are lost then)
    HOME/allowlist is not text
    HOME/allowlist: line 2: a key begins with `ed25519:`
    HOME/policy: line 1: unknown rule "allow"; hint: `block`, `void` or `answer`
    HOME/statements.log is damaged at byte 0, and there is more behind it; hint: put a copy back; without one move it away and the node starts in recovery
    "#);
}

#[test]
fn a_home_has_one_process() {
    let home = Home::set_up();
    let opened = home.open();
    let words = home.fails();
    assert!(words.contains(&format!("in use by process {}", std::process::id())), "{words}");
    assert!(matches!(store::setup(&home.path, NOW), Err(StoreError::InUse { .. })));
    assert!(store::public_key(&home.path).is_ok(), "the key can be shown beside a running node");
    drop(opened);
    home.open();
}

#[test]
fn another_owner_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return assert!(
            std::os::unix::fs::chown("/", Some(1), None).is_err(),
            "only root can give a file away"
        );
    }
    let home = Home::set_up();
    std::os::unix::fs::chown(home.file("identity"), Some(12345), None).expect("chown");
    let words = home.fails();
    assert!(words.contains("belongs to user 12345, not to user 0; hint:"), "{words}");
}

/// A life: approvals, statements of others, a revocation, a block. Decisions after each step.
fn live(home: &Home) -> Vec<(Vec<u8>, Decision)> {
    let Opened { mut store, mut keyring, .. } = home.open();
    let mut friend = {
        let other = Home::set_up();
        other.open().keyring
    };
    let mut seen = vec![(home.bytes("statements.log"), keyring.decision().clone())];
    let mut step = |store: &mut Store, keyring: &Keyring, change: &Change| {
        persist(store, change, keyring);
        seen.push((home.bytes("statements.log"), keyring.decision().clone()));
    };
    let root = Approve {
        key: friend.me(),
        label: "friend".to_owned(),
        rights: Rights::ALL,
        depth: DEFAULT_DEPTH,
        despite: BTreeSet::new(),
    };
    let change = keyring.approve(root, NOW).expect("approved");
    step(&mut store, &keyring, &change);
    for node in [1, 2, 3] {
        let said = approve(&mut friend, node).publish.remove(0);
        let change = keyring.receive(said.bytes(), Some(friend.me()), NOW).expect("a friend's").change;
        step(&mut store, &keyring, &change);
    }
    let said = friend.revoke(&key(2), Reason::Left, "", NOW).expect("revoked").publish;
    for signed in said {
        let change = keyring.receive(signed.bytes(), Some(friend.me()), NOW).expect("a friend's").change;
        step(&mut store, &keyring, &change);
    }
    let change = keyring.revoke(&key(1), Reason::Lost, "", NOW).expect("revoked");
    step(&mut store, &keyring, &change);
    seen
}

fn within(less: &Decision, more: &Decision) -> bool {
    less.trusted().all(|(key, rights)| more.rights(&key).contains(rights))
}

#[test]
fn a_crash_at_every_byte_of_the_log_leaves_no_more_trust() {
    let home = Home::set_up();
    let steps = live(&home);
    let whole = home.bytes("statements.log");
    for len in 0..whole.len() {
        std::fs::write(home.file("statements.log"), &whole[..len]).expect("written");
        let Opened { keyring, report, store } = home.open();
        let done = steps.iter().filter(|(log, _)| log.len() <= len).count();
        if done == 0 {
            assert_eq!(keyring.recovery(), Some(Recovery::LostStore), "{len}: the first line is gone");
            assert_eq!(report.lost, ["statements.log"]);
            continue;
        }
        // What was acknowledged is there, and of the step that was cut off at most what it would have given.
        let around = [steps.get(done - 1), steps.get(done)];
        let ok = around.into_iter().flatten().any(|(_, decision)| within(keyring.decision(), decision));
        assert!(ok, "{len}: {:?}", keyring.decision());
        let kept = home.bytes("statements.log");
        assert!(whole.starts_with(&kept) && kept.len() <= len);
        assert_eq!(report.cut, u64::try_from(len - kept.len()).expect("small"));
        drop(store);
        if len % 97 == 0 {
            assert_eq!(home.open().report.cut, 0, "{len}: a cut end stays cut");
        }
    }
}

/// A copy of a home in which a process is killed at one moment after another of what `act` does, and opened again.
/// Returns at how many moments.
fn killed_everywhere(home: &Home, act: impl Fn(&mut Store, &mut Keyring) -> Result<(), StoreError>) -> u64 {
    let before = home.open().keyring.decision().clone();
    let after = {
        let copy = copy(home);
        let Opened { mut store, mut keyring, .. } = copy.open();
        act(&mut store, &mut keyring).expect("room");
        keyring.decision().clone()
    };
    for life in 0.. {
        let copy = copy(home);
        let Opened { mut store, mut keyring, .. } = copy.open();
        store.set_life(life);
        let done = act(&mut store, &mut keyring).is_ok();
        drop((store, keyring));
        let Opened { store, keyring, report } = copy.open();
        let now = keyring.decision();
        assert!(within(now, &before) || within(now, &after), "{life}: {now:?}");
        assert!(report.audit_broken.is_none() && report.lost.is_empty(), "{life}: {report:?}");
        assert_eq!(store::verify_audit(&copy.path).expect("whole"), *store.audit_head(), "{life}");
        let names =
            std::fs::read_dir(&copy.path).expect("a folder").map(|entry| entry.expect("a file").file_name());
        assert!(
            names.into_iter().all(|name| !name.to_string_lossy().ends_with(".new")),
            "{life}: something is left"
        );
        if done {
            assert_eq!(now, &after, "{life}: what was acknowledged is there");
            return life;
        }
    }
    unreachable!("some life is long enough")
}

fn copy(home: &Home) -> Home {
    let copy = Home::new();
    std::fs::create_dir_all(&copy.path).expect("made");
    chmod(&copy.path, 0o700);
    for entry in std::fs::read_dir(&home.path).expect("a folder") {
        let name = entry.expect("a file").file_name();
        std::fs::copy(home.path.join(&name), copy.path.join(&name)).expect("copied");
    }
    copy
}

#[test]
fn a_kill_at_every_write_and_rename_of_every_file_leaves_no_more_trust() {
    let home = Home::set_up();
    live(&home);
    let denied = home.open().keyring.why(&key(1), NOW).standing;
    let testmesh_keys::closure::Standing::Denied(denials) = denied else { panic!("{denied:?}") };
    let despite: BTreeSet<_> = denials.iter().map(|denial| denial.id).collect();
    let moments = [
        // The audit log, the statements and the allowlist.
        killed_everywhere(&home, |store, keyring| store.persist(&approve(keyring, 7), &keyring.clone(), NOW)),
        // The policy, too.
        killed_everywhere(&home, |store, keyring| {
            let (key, label, despite) = (key(1), "again".to_owned(), despite.clone());
            let approve = Approve { key, label, rights: Rights::ALL, depth: DEFAULT_DEPTH, despite };
            let change = keyring.approve(approve, NOW).expect("approved");
            store.persist(&change, keyring, NOW)
        }),
        killed_everywhere(&home, |store, keyring| {
            let root = keyring.allowlist().roots().next().expect("a friend").key;
            let change = keyring.revoke(&root, Reason::Lost, "", NOW).expect("revoked");
            store.persist(&change, keyring, NOW)
        }),
        killed_everywhere(&home, |store, keyring| {
            let root = keyring.allowlist().roots().next().expect("a friend").key;
            let change = keyring.forget(&root, true, NOW).expect("forgotten");
            store.persist(&change, keyring, NOW)
        }),
        killed_everywhere(&home, |store, keyring| {
            let change = keyring.block(&key(3), NOW).expect("blocked");
            store.persist(&change, keyring, NOW)
        }),
        killed_everywhere(&home, |store, keyring| store.compact(keyring)),
    ];
    assert!(moments.iter().all(|moments| *moments >= 4), "{moments:?}");
}

fn last(steps: &[(Vec<u8>, Decision)]) -> Decision {
    steps.last().expect("steps").1.clone()
}

#[test]
fn a_reopened_home_decides_as_before() {
    let home = Home::set_up();
    let steps = live(&home);
    assert_eq!(*home.open().keyring.decision(), last(&steps));
    let Opened { mut store, keyring, .. } = home.open();
    store.compact(&keyring).expect("room");
    drop(store);
    let reopened = home.open().keyring;
    assert_eq!((reopened.decision(), reopened.set()), (&last(&steps), keyring.set()));
    assert!(reopened.adopted().map(|(id, _)| id).eq(keyring.adopted().map(|(id, _)| id)));
}

#[test]
fn a_flipped_bit_in_the_middle_stops_the_node() {
    let home = Home::set_up();
    live(&home);
    let mut bytes = home.bytes("statements.log");
    bytes[40] ^= 1;
    std::fs::write(home.file("statements.log"), &bytes).expect("written");
    assert!(
        home.fails()
            .starts_with("HOME/statements.log is damaged at byte 22, and there is more behind it; hint:")
    );
    assert_eq!(home.bytes("statements.log"), bytes, "nothing was changed");
}

#[test]
fn high_water_marks_survive_compaction() {
    let home = Home::set_up();
    let Opened { mut store, mut keyring, .. } = home.open();
    let mut friend = Home::set_up().open().keyring;
    let old = approve(&mut friend, 1).publish.remove(0);
    let new = approve(&mut friend, 2).publish.remove(0);
    let root = |keyring: &mut Keyring| {
        let (label, despite) = (String::new(), BTreeSet::new());
        let approve = Approve { key: friend.me(), label, rights: Rights::ALL, depth: DEFAULT_DEPTH, despite };
        keyring.approve(approve, NOW).expect("approved")
    };
    let approved = root(&mut keyring);
    persist(&mut store, &approved, &keyring);
    let received = keyring.receive(new.bytes(), None, NOW).expect("a friend's").change;
    persist(&mut store, &received, &keyring);
    let forgotten = keyring.forget(&friend.me(), true, NOW).expect("forgotten");
    persist(&mut store, &forgotten, &keyring);
    store.compact(&keyring).expect("room");
    drop(store);
    let mut keyring = home.open().keyring;
    root(&mut keyring);
    assert!(!keyring.receive(old.bytes(), None, NOW).expect("stale").new, "the old version stays refused");
    assert!(keyring.receive(new.bytes(), None, NOW).expect("fetched again").new);
}

#[test]
fn a_log_that_grew_is_compacted() {
    let home = Home::set_up();
    let Opened { mut store, mut keyring, .. } = home.open();
    let note = "x".repeat(3000);
    let mut longest = 0;
    for round in 0..900 {
        let mut change = if round % 2 == 0 { approve(&mut keyring, 1) } else { Change::default() };
        change.persist.extend(keyring.set().iter().cloned().map(testmesh_keys::keyring::Record::Statement));
        change.persist.extend(vec![change.persist[0].clone(); 10]);
        change.audit = vec![AuditEvent::Node { what: "job", text: note.clone() }];
        persist(&mut store, &change, &keyring);
        longest = longest.max(home.bytes("statements.log").len());
    }
    assert!(longest < 2 << 20, "{longest}");
    assert_eq!(keyring.set().len(), 1);
    drop(store);
    assert_eq!(home.open().keyring.set(), keyring.set());
}

#[test]
fn a_full_disk_changes_nothing() {
    let home = Home::set_up();
    let Opened { mut store, mut keyring, .. } = home.open();
    let change = approve(&mut keyring, 1);
    persist(&mut store, &change, &keyring);
    let names = ["allowlist", "policy", "statements.log", "audit.log"];
    let before = names.map(|name| home.bytes(name));
    let undo = keyring.clone();
    for room in 0.. {
        let change = keyring.revoke(&key(1), Reason::Lost, "", NOW).expect("revoked");
        store.set_room(Some(room * 7));
        match store.persist(&change, &keyring, NOW) {
            Err(StoreError::Full { .. }) => {
                assert_eq!(names.map(|name| home.bytes(name)), before, "with room for {} bytes", room * 7);
                keyring = undo.clone();
            }
            result => {
                result.expect("room at last");
                break;
            }
        }
    }
    store.set_room(None);
    drop(store);
    let reopened = home.open().keyring;
    assert_eq!(reopened.decision(), keyring.decision());
    assert_eq!(std::fs::read_dir(&home.path).expect("a folder").count(), 7, "nothing staged is left");
}

/// What an editor does: another file in the place of the old one, or the same one longer.
fn edit(home: &Home, name: &str, change: impl Fn(String) -> String) {
    let text = String::from_utf8(home.bytes(name)).expect("text");
    let beside = home.file("edited");
    std::fs::write(&beside, change(text)).expect("written");
    chmod(&beside, 0o600);
    std::fs::rename(beside, home.file(name)).expect("renamed");
}

#[test]
fn an_edit_is_seen_taken_and_never_overwritten() {
    let home = Home::set_up();
    let Opened { mut store, mut keyring, .. } = home.open();
    let change = approve(&mut keyring, 1);
    persist(&mut store, &change, &keyring);
    assert!(!store.is_edited(), "its own writes are no edits");
    edit(&home, "allowlist", |text| format!("{text}# by hand\n{}  work  1  friend\n", key(2)));
    assert!(store.is_edited());

    // A command that came too early leaves the edit alone, and itself nothing behind.
    let before = ["allowlist", "policy", "statements.log", "audit.log"].map(|name| home.bytes(name));
    let undo = keyring.clone();
    let change = approve(&mut keyring, 3);
    let refused = store.persist(&change, &keyring, NOW).expect_err("not read yet").to_string();
    assert!(refused.contains("edited by another hand"), "{refused}");
    assert_eq!(["allowlist", "policy", "statements.log", "audit.log"].map(|name| home.bytes(name)), before);
    keyring = undo;

    let (allowlist, policy) = store.reread().expect("a list");
    assert!(!store.is_edited());
    let change = keyring.reload(allowlist, policy, NOW);
    persist(&mut store, &change, &keyring);
    assert_eq!(keyring.decision().rights(&key(2)), Rights::WORK);
    let change = approve(&mut keyring, 3);
    persist(&mut store, &change, &keyring);
    let text = String::from_utf8(home.bytes("allowlist")).expect("text");
    assert!(text.contains("# by hand\n") && text.contains("friend") && text.contains("node 3"), "{text}");
    // A removal by hand is one: the next command does not bring the key back.
    edit(&home, "allowlist", |text| {
        text.lines().filter(|line| !line.contains("friend")).map(|line| format!("{line}\n")).collect()
    });
    let (allowlist, policy) = store.reread().expect("a list");
    let change = keyring.reload(allowlist, policy, NOW);
    persist(&mut store, &change, &keyring);
    let change = keyring.block(&key(9), NOW).expect("blocked");
    persist(&mut store, &change, &keyring);
    drop(store);
    let reopened = home.open().keyring;
    assert!(reopened.decision().rights(&key(2)).is_none() && !reopened.decision().rights(&key(3)).is_none());
}

#[test]
fn an_edit_that_cannot_be_read_changes_nothing_and_stays() {
    let home = Home::set_up();
    let Opened { mut store, mut keyring, .. } = home.open();
    let change = approve(&mut keyring, 1);
    persist(&mut store, &change, &keyring);
    edit(&home, "allowlist", |text| format!("{text}friend\n"));
    let broken = home.bytes("allowlist");
    let why = store.reread().expect_err("no list").to_string();
    assert!(why.contains("line 4: a key begins with"), "{why}");
    assert!(!store.is_edited(), "looked at already: it need not be read again and again");
    let undo = keyring.clone();
    let change = approve(&mut keyring, 2);
    assert!(matches!(store.persist(&change, &keyring, NOW), Err(StoreError::Edited { .. })));
    assert_eq!(home.bytes("allowlist"), broken);
    // What does not touch the list is written all the same.
    keyring = undo;
    let change = keyring.block(&key(1), NOW).expect("blocked");
    persist(&mut store, &change, &keyring);
    std::fs::remove_file(home.file("allowlist")).expect("removed");
    assert!(store.is_edited() && matches!(store.reread(), Err(StoreError::Missing { .. })));
    edit(&home, "policy", |text| text);
    std::fs::write(home.file("allowlist"), "# empty now\n").expect("written");
    chmod(&home.file("allowlist"), 0o600);
    assert!(store.is_edited());
    let (allowlist, policy) = store.reread().expect("lists");
    let change = keyring.reload(allowlist, policy, NOW);
    persist(&mut store, &change, &keyring);
    assert!(keyring.allowlist().roots().next().is_none());
}

#[test]
fn a_lost_store_is_recovered_not_emptied() {
    let home = Home::set_up();
    live(&home);
    for name in ["allowlist", "policy", "statements.log"] {
        std::fs::remove_file(home.file(name)).expect("removed");
    }
    let Opened { mut store, mut keyring, report } = home.open();
    assert_eq!(report.lost, ["allowlist", "policy", "statements.log"]);
    assert_eq!(keyring.recovery(), Some(Recovery::LostStore));
    assert!(keyring.tick(NOW).publish.is_empty());
    drop(store);
    store = home.open().store;
    assert_eq!(home_recovery(&home, store), Some(Recovery::LostStore), "until its owner decides");
}

fn home_recovery(home: &Home, store: Store) -> Option<Recovery> {
    drop(store);
    home.open().keyring.recovery()
}

#[test]
fn the_audit_log_is_a_chain_on_disk() {
    let home = Home::set_up();
    let Opened { mut store, mut keyring, .. } = home.open();
    for node in 1..4 {
        let change = approve(&mut keyring, node);
        persist(&mut store, &change, &keyring);
    }
    let head = store.audit_head().clone();
    drop(store);
    assert_eq!(store::verify_audit(&home.path).expect("whole"), head);
    let text = String::from_utf8(home.bytes("audit.log")).expect("text");
    assert!(text.contains(" approved ed25519:") && text.contains(" trust ed25519:"));
    // A torn line is cut, a changed one is told and stays.
    std::fs::write(home.file("audit.log"), &text[..text.len() - 5]).expect("written");
    assert!(home.open().report.audit_cut > 0);
    std::fs::write(home.file("audit.log"), text.replacen("approved", "abhorred", 1)).expect("written");
    assert_eq!(home.open().report.audit_broken, Some(1));
    assert!(
        store::verify_audit(&home.path).expect_err("changed").to_string().contains("line 1 does not follow")
    );
}

#[test]
fn a_full_audit_log_continues_in_a_new_file() {
    let home = Home::set_up();
    let mut store = home.open().store;
    let event = AuditEvent::Node { what: "job", text: "x".repeat(4000) };
    let events = vec![event; 500];
    // Two full files: what the oldest one that is kept continues is gone.
    for _ in 0..18 {
        store.note(&events, NOW).expect("room");
    }
    assert!(home.file("audit.log.1").exists());
    assert!(home.bytes("audit.log").starts_with(b"continues "));
    let head = store.audit_head().clone();
    assert_eq!(store::verify_audit(&home.path).expect("whole"), head);
    drop(store);
    assert_eq!(*home.open().store.audit_head(), head);
}

#[test]
fn a_statement_from_the_log_counts_without_its_issuer() {
    // An adopted denial whose issuer has used up its denials since is not lost.
    let home = Home::set_up();
    let Opened { mut store, mut keyring, .. } = home.open();
    let change = approve(&mut keyring, 1);
    persist(&mut store, &change, &keyring);
    let deny = Deny {
        issuer: key(1),
        subject: key(2),
        reason: Reason::Lost,
        issued_at: 0,
        nonce: [0; 8],
        note: String::new(),
    };
    let signed = Signed::new(Statement::Deny(deny), &identity(1)).expect("within bounds");
    let change = approve(&mut keyring, 2);
    persist(&mut store, &change, &keyring);
    let change = keyring.receive(signed.bytes(), Some(key(1)), NOW).expect("relevant").change;
    persist(&mut store, &change, &keyring);
    let change = keyring.forget(&key(1), true, NOW).expect("forgotten");
    persist(&mut store, &change, &keyring);
    drop(store);
    let keyring = home.open().keyring;
    assert!(keyring.decision().rights(&key(2)).is_none());
    assert_eq!(keyring.adopted().count(), 2, "theirs, and the one issued again");
}

fn lines() -> impl Strategy<Value = String> {
    let comment = prop_oneof![Just(String::new()), "[ \t]{0,3}#[ -~]{0,30}"];
    let root = (1..30usize, 0..4u8, 0..=4u8, "[a-z]{0,8}", comment.clone());
    let root = root.prop_map(|(node, rights, depth, label, comment)| {
        let rights = Rights::from_bits(rights).expect("two bits");
        format!("{}  {rights} {depth} {label} {comment}", key(node))
    });
    let line = prop_oneof![root, comment, Just("   ".to_owned())];
    proptest::collection::vec(line, 0..12).prop_map(|lines| {
        let mut seen = BTreeSet::new();
        let first = |line: &String| {
            let key = line.split_whitespace().next().filter(|word| word.starts_with("ed25519:"));
            key.is_none_or(|key| seen.insert(key.to_owned()))
        };
        lines.into_iter().filter(first).map(|line| line + "\n").collect()
    })
}

proptest! {
    #![proptest_config(config(Group::Lists, 64))]

    #[test]
    fn an_allowlist_keeps_every_line_it_does_not_change(text in lines(), node in 1..30usize) {
        let mut list = Allowlist::parse(&text).expect("a list");
        prop_assert_eq!(list.to_string(), text.clone());
        let had = list.get(&key(node)).is_some();
        let grant = Grant { rights: Rights::WORK, depth: 1 };
        list.put(Root { key: key(node), grant, label: "new".to_owned(), comment: "why".to_owned() }).expect("room");
        let again = Allowlist::parse(&list.to_string()).expect("reads back");
        prop_assert_eq!(&again, &list);
        prop_assert_eq!(again.get(&key(node)).map(|root| root.grant), Some(grant));
        list.remove(&key(node));
        let other = |line: &&str| !line.starts_with(&key(node).to_string());
        let kept: Vec<&str> = text.lines().filter(other).collect();
        let left = list.to_string();
        prop_assert_eq!(left.lines().collect::<Vec<_>>(), kept);
        prop_assert!(had || list.to_string() == text);
    }

    #[test]
    fn no_text_panics(text in "[ -~\n#]{0,200}") {
        let read = Allowlist::parse(&text);
        prop_assert!(read.is_err() || read.is_ok_and(|list| list.to_string().trim_end() == text.trim_end()));
    }
}
