//! Commands and received statements: what follows from each, and what is refused (P17, P23 and the acts of §2.4).

use std::collections::BTreeSet;

use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::audit::AuditEvent;
use testmesh_keys::closure::{DEFAULT_DEPTH, Standing};
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::{
    Approve, Audience, Change, CommandError, Keyring, MAX_FOREIGN_DENIALS, MAX_PAGE, RENEW_AFTER, Record,
    Recovery, Refused, Seed, Warning,
};
use testmesh_keys::policy::Policy;
use testmesh_keys::rights::Rights;
use testmesh_keys::set::MAX_DENIALS;
use testmesh_keys::statement::{
    Deny, Kind, MAX_LEASE, Reason, Retire, Signed, Statement, StatementId, Vouches,
};

use crate::support::{identity, key};

/// Any moment.
const NOW: u64 = 1_772_323_200;

fn fresh(node: usize) -> Keyring {
    let seed = Seed { allowlist: Allowlist::empty(), policy: Policy::empty(), records: Vec::new() };
    Keyring::new(identity(node), seed, NOW)
}

fn approval(node: usize) -> Approve {
    let (label, despite) = (format!("node {node}"), BTreeSet::new());
    Approve { key: key(node), label, rights: Rights::ALL, depth: DEFAULT_DEPTH, despite }
}

fn approve(keyring: &mut Keyring, node: usize) -> Change {
    keyring.approve(approval(node), NOW).expect("approved")
}

/// Everything one keyring may tell is offered to another, until nothing is new.
fn sync(from: &Keyring, to: &mut Keyring) -> Vec<Change> {
    let mut changes = Vec::new();
    loop {
        let page = from.listing(None, Audience::Trusted);
        let wanted = to.wanted(&page.items, from.me());
        let given = from.give(&wanted, Audience::Trusted, 1 << 20);
        let received: Vec<_> =
            given.iter().filter_map(|signed| to.receive(signed.bytes(), Some(from.me()), NOW).ok()).collect();
        if !received.iter().any(|received| received.new) {
            return changes;
        }
        changes.extend(received.into_iter().map(|received| received.change));
    }
}

fn trusted(keyring: &Keyring) -> Vec<usize> {
    (0..40).filter(|node| !keyring.decision().rights(&key(*node)).is_none()).collect()
}

/// 0 trusts 1, 1 trusts 2, 2 trusts 3; what each says has reached those before it.
fn chain() -> [Keyring; 4] {
    let mut all = [0, 1, 2, 3].map(fresh);
    for (node, keyring) in all.iter_mut().take(3).enumerate() {
        approve(keyring, node + 1);
    }
    let [a, b, c, d] = &mut all;
    sync(d, c);
    sync(c, b);
    sync(b, a);
    all
}

fn snapshots(change: &Change) -> usize {
    change.publish.iter().filter(|signed| signed.statement().kind() == Kind::Vouches).count()
}

#[test]
fn an_approval_is_written_published_and_in_force() {
    let mut keyring = fresh(0);
    let change = approve(&mut keyring, 1);
    assert_eq!(snapshots(&change), 1);
    assert!(matches!(change.persist.first(), Some(Record::Statement(_))));
    assert!(matches!(change.persist.last(), Some(Record::Allowlist(list)) if list.get(&key(1)).is_some()));
    assert_eq!(change.gained.len(), 1);
    assert_eq!((change.gained[0].key, change.gained[0].after), (key(1), Rights::ALL));
    assert!(matches!(change.audit.first(), Some(AuditEvent::Approved { .. })));
    assert_eq!(keyring.label(&key(1)), Some("node 1"));
    assert!(keyring.tick(NOW + 1).is_empty(), "nothing is left to do");
}

#[test]
fn trust_spreads_along_a_chain_and_says_why() {
    let [a, ..] = chain();
    assert_eq!(trusted(&a), [1, 2, 3]);
    let why = a.why(&key(3), NOW);
    let steps: Vec<PublicKey> = why.work.expect("a path").steps.iter().map(|step| step.to).collect();
    assert_eq!(steps, [key(1), key(2), key(3)]);
    assert_eq!(why.hangs_on, [key(1), key(2)]);
    assert_eq!(a.label(&key(3)), Some("node 3"));
    assert_eq!(a.why(&key(9), NOW).standing, Standing::Unknown);
    assert_eq!(a.why(&key(0), NOW).standing, Standing::Me);
}

#[test]
fn a_revocation_takes_the_key_and_what_hangs_on_it() {
    let [mut a, b, ..] = chain();
    let preview = a.revoke_preview(&key(1), NOW).expect("a preview");
    assert_eq!(preview.falls.len(), 3);
    assert_eq!(trusted(&a), [1, 2, 3], "a preview changes nothing");
    // 4 trusts 0, and approved 1 itself.
    let mut e = fresh(4);
    approve(&mut e, 0);
    approve(&mut e, 1);
    sync(&a, &mut e);
    sync(&b, &mut e);
    assert_eq!(trusted(&e), [0, 1, 2, 3]);
    let change = a.revoke(&key(1), Reason::Lost, "on a train", NOW).expect("revoked");
    assert_eq!(change.lost.len(), 3);
    assert_eq!(change.publish.len(), 2, "the denial and the snapshot without it");
    assert!(matches!(change.persist[0], Record::Statement(ref signed) if signed.statement().is_revocation()));
    sync(&a, &mut e);
    assert_eq!(trusted(&e), [0], "a denial beats a direct approval, and cuts the hop");
    let entries = &e.own_snapshot().expect("published").entries;
    let suspended = entries.iter().find(|entry| entry.subject == key(1)).expect("still listed");
    assert!(suspended.rights.is_none(), "nobody vouches for what it does not trust");
    assert!(
        matches!(e.why(&key(1), NOW).standing, Standing::Denied(denials) if denials[0].note == "on a train")
    );
}

#[test]
fn a_denial_is_overridden_by_name_only() {
    let mut a = fresh(0);
    approve(&mut a, 1);
    a.revoke(&key(1), Reason::Left, "", NOW).expect("revoked");
    let refused = a.approve(approval(1), NOW).expect_err("denied");
    let CommandError::Denied { denials, .. } = refused else { panic!("{refused}") };
    let stranger = Approve { despite: BTreeSet::from([StatementId::from_bytes([9; 32])]), ..approval(1) };
    assert!(matches!(a.approve(stranger, NOW), Err(CommandError::NotADenial(_))));
    let despite: BTreeSet<StatementId> = denials.iter().map(|denial| denial.id).collect();
    let change =
        a.approve(Approve { despite: despite.clone(), ..approval(1) }, NOW).expect("approved despite");
    assert_eq!(trusted(&a), [1]);
    let Some(Record::Policy(policy)) =
        change.persist.iter().find(|record| matches!(record, Record::Policy(_)))
    else {
        panic!("the answer is written");
    };
    assert_eq!(policy.local().answers, despite);
    let entry = a.own_snapshot().and_then(|own| own.entry(&key(1))).expect("published");
    assert!(entry.answers.iter().copied().eq(despite));
    // Forgotten again, the override is gone with the approval.
    a.forget(&key(1), true, NOW).expect("forgotten");
    assert!(a.policy().local().answers.is_empty());
    assert!(matches!(a.approve(approval(1), NOW), Err(CommandError::Denied { .. })));
}

#[test]
fn an_adopted_denial_outlives_its_author_unless_it_is_voided() {
    let [mut a, mut b, ..] = chain();
    approve(&mut a, 2);
    b.revoke(&key(2), Reason::Misbehaving, "", NOW).expect("revoked");
    sync(&b, &mut a);
    assert_eq!(trusted(&a), [1]);
    assert_eq!(a.denials_by(&key(1)).len(), 1);
    let mut kept = a.clone();
    let change = kept.forget(&key(1), true, NOW).expect("forgotten");
    assert_eq!(change.publish.len(), 2, "the denial is issued again, and the snapshot");
    assert_eq!(trusted(&kept), [], "2 stays denied");
    let mut voided = a.clone();
    let change = voided.void(&key(1), NOW).expect("voided");
    assert!(change.persist.iter().any(|record| matches!(record, Record::Unadopted(_))));
    assert_eq!(trusted(&voided), [1, 2, 3]);
    voided.unvoid(&key(1), NOW).expect("heeded again");
    assert_eq!(trusted(&voided), [1]);
    a.forget(&key(1), false, NOW).expect("forgotten");
    assert_eq!(trusted(&a), [2, 3], "told not to keep what 1 said");
}

#[test]
fn a_leaf_may_not_deny_and_anyone_may_relay() {
    let [_, b, mut c, mut d] = chain();
    let mut a = fresh(0);
    a.approve(Approve { depth: 1, ..approval(1) }, NOW).expect("approved");
    sync(&b, &mut a);
    sync(&c, &mut a);
    assert_eq!(trusted(&a), [1, 2], "no hop is left for 3");
    // 2 is a leaf here: what it denies changes nothing, but it is carried for others.
    c.revoke(&key(1), Reason::Lost, "", NOW).expect("revoked");
    sync(&c, &mut a);
    assert_eq!(trusted(&a), [1, 2]);
    assert_eq!(a.set().count_denials(&key(2)), 1);
    // 3 is a stranger here: its own revocations are of no use, those of 1 it may hand over.
    d.revoke(&key(1), Reason::Lost, "", NOW).expect("revoked");
    let theirs = d.listing(None, Audience::Stranger);
    assert_eq!(a.wanted(&theirs.items, key(3)), []);
    let mut b = b;
    let change = b.revoke(&key(2), Reason::Lost, "", NOW).expect("revoked");
    let denial = change.publish[0].bytes();
    assert!(a.receive(denial, Some(key(3)), NOW).expect("relevant").new);
    assert_eq!(trusted(&a), [1]);
    let snapshot = change.publish[1].bytes();
    assert!(
        matches!(a.receive(snapshot, Some(key(3)), NOW), Err(Refused::Irrelevant)),
        "snapshots only from friends"
    );
    assert!(a.receive(snapshot, Some(key(1)), NOW).expect("from its issuer").new);
}

#[test]
fn a_retirement_is_final() {
    let [mut a, mut b, ..] = chain();
    let change = b.retire(Some(key(9)), "new disk", NOW).expect("retired");
    assert_eq!(change.publish.len(), 1);
    a.receive(change.publish[0].bytes(), Some(key(30)), NOW).expect("from anyone");
    assert_eq!(trusted(&a), []);
    assert_eq!(a.why(&key(1), NOW).standing, Standing::Retired(Some(key(9))));
    assert!(matches!(a.approve(approval(1), NOW), Err(CommandError::Retired(_))));
    assert_eq!(snapshots(&b.tick(NOW + RENEW_AFTER)), 0, "a retired key publishes no more");
}

#[test]
fn bad_commands_change_nothing() {
    let mut a = fresh(0);
    let before = (a.decision().clone(), a.allowlist().clone(), a.policy().clone());
    let bad: [Result<Change, CommandError>; 11] = [
        a.approve(approval(0), NOW),
        a.approve(Approve { depth: 5, ..approval(1) }, NOW),
        a.approve(Approve { rights: Rights::NONE, ..approval(1) }, NOW),
        a.approve(Approve { label: "a\u{1b}".to_owned(), ..approval(1) }, NOW),
        a.forget(&key(1), true, NOW),
        a.revoke(&key(0), Reason::Lost, "", NOW),
        a.revoke(&key(1), Reason::Lost, "a\nb", NOW),
        a.block(&key(0), NOW),
        a.unblock(&key(1), NOW),
        a.unvoid(&key(1), NOW),
        a.recover_restore(NOW),
    ];
    let words: Vec<String> = bad.into_iter().map(|result| result.expect_err("refused").to_string()).collect();
    assert!(words.iter().all(|word| !word.is_empty()));
    assert_eq!((a.decision().clone(), a.allowlist().clone(), a.policy().clone()), before);
}

#[test]
fn a_block_is_local_and_beats_every_path() {
    let [mut a, ..] = chain();
    let change = a.block(&key(2), NOW).expect("blocked");
    assert_eq!(trusted(&a), [1]);
    assert_eq!(change.publish, [], "never published");
    assert!(matches!(a.approve(approval(2), NOW), Err(CommandError::Blocked(_))));
    a.unblock(&key(2), NOW).expect("unblocked");
    assert_eq!(trusted(&a), [1, 2, 3]);
}

#[test]
fn leases_end_and_the_own_snapshot_is_renewed() {
    let [mut a, ..] = chain();
    assert_eq!(a.next_tick(), Some(NOW + RENEW_AFTER));
    let change = a.tick(NOW + RENEW_AFTER);
    assert_eq!(snapshots(&change), 1);
    assert_eq!(a.decision().next_expiry(), Some(NOW + MAX_LEASE + 1));
    assert!(a.tick(NOW + MAX_LEASE).lost.is_empty());
    let change = a.tick(NOW + MAX_LEASE + 1);
    assert_eq!(change.lost.len(), 2, "what hung on the snapshots of others");
    assert_eq!(trusted(&a), [1]);
    let back = a.tick(NOW);
    assert_eq!(back.gained.len(), 2, "a clock that was wrong loses nothing for good");
}

#[test]
fn a_reload_takes_what_was_edited() {
    let [mut a, ..] = chain();
    let text = format!("# by hand\n{}\n", key(5));
    let edited = Allowlist::parse(&text).expect("a list");
    let change = a.reload(edited, Policy::empty(), NOW);
    assert_eq!(trusted(&a), [5]);
    assert_eq!(snapshots(&change), 1);
    assert!(!change.persist.iter().any(|record| matches!(record, Record::Allowlist(_) | Record::Policy(_))));
    assert_eq!(a.allowlist().to_string(), text);
    let again = a.reload(a.allowlist().clone(), a.policy().clone(), NOW);
    assert!(again.is_empty());
    assert_eq!(a.set().snapshot_issuers().count(), 1, "snapshots of keys that are not reached are not kept");
    assert_eq!(a.set().version(&key(1)), Some(NOW << 16), "their versions are");
}

fn own(version: u64, entries: Vec<testmesh_keys::statement::Entry>) -> Signed {
    let vouches = Vouches { issuer: key(0), version, issued_at: NOW, not_after: NOW + 9, entries };
    Signed::new(Statement::Vouches(vouches), &identity(0)).expect("within bounds")
}

fn in_recovery(allowlist: &Allowlist) -> Keyring {
    let records = vec![Record::Recovery(Some(Recovery::LostStore))];
    Keyring::new(identity(0), Seed { allowlist: allowlist.clone(), policy: Policy::empty(), records }, NOW)
}

#[test]
fn recovery_never_publishes_a_snapshot() {
    let mut a = in_recovery(&Allowlist::empty());
    assert_eq!(a.warnings(NOW), [Warning::Recovery(Recovery::LostStore)]);
    let mut published = Vec::new();
    for change in [
        a.tick(NOW),
        approve(&mut a, 1),
        a.forget(&key(1), true, NOW).expect("forgotten"),
        a.revoke(&key(2), Reason::Lost, "", NOW).expect("revoked"),
        a.tick(NOW + 2 * RENEW_AFTER),
    ] {
        published.extend(change.publish);
    }
    assert_eq!(published.len(), 1);
    assert!(published[0].statement().is_revocation(), "removal is never held back");
    let change = a.recover_fresh(NOW);
    assert_eq!((a.recovery(), snapshots(&change)), (None, 0), "nothing is approved: nothing to say");
    assert_eq!(snapshots(&approve(&mut a, 3)), 1);
}

#[test]
fn recovery_ends_when_nothing_would_be_withdrawn() {
    let mut before = fresh(0);
    let said = approve(&mut before, 1).publish.remove(0);
    let mut intact = in_recovery(before.allowlist());
    let change = intact.receive(said.bytes(), Some(key(1)), NOW).expect("its own").change;
    assert_eq!(intact.recovery(), None);
    assert!(change.persist.contains(&Record::Recovery(None)));
    let mut lost = in_recovery(&Allowlist::empty());
    lost.receive(said.bytes(), Some(key(1)), NOW).expect("its own");
    assert_eq!(lost.recovery(), Some(Recovery::LostStore), "the owner is asked");
    assert_eq!(trusted(&lost), [], "an old snapshot is no approval");
    lost.recover_restore(NOW).expect("restored");
    assert_eq!((lost.recovery(), trusted(&lost)), (None, vec![1]));
}

#[test]
fn a_restored_backup_does_not_undo_what_was_forgotten() {
    let mut a = fresh(0);
    approve(&mut a, 1);
    approve(&mut a, 2);
    let mut backup = a.clone();
    let newer = a.forget(&key(1), true, NOW + 5).expect("forgotten").publish.remove(0);
    assert_eq!(trusted(&backup), [1, 2]);
    let change = backup.receive(newer.bytes(), Some(key(2)), NOW + 9).expect("its own").change;
    assert_eq!(backup.recovery(), Some(Recovery::RolledBack));
    assert_eq!(trusted(&backup), [2], "only what the newer snapshot lists as well");
    assert_eq!(change.publish, []);
    let records = backup.records();
    let (allowlist, policy) = (backup.allowlist().clone(), Policy::empty());
    let reopened = Keyring::new(identity(0), Seed { allowlist, policy, records }, NOW + 9);
    assert_eq!((reopened.recovery(), trusted(&reopened)), (Some(Recovery::RolledBack), vec![2]));
    let change = backup.recover_fresh(NOW + 9);
    assert_eq!(snapshots(&change), 1);
    assert!(backup.own_snapshot().is_some_and(|own| own.version > NOW << 16));
}

#[test]
fn a_cloned_key_is_noticed_and_a_stolen_version_counter_is_told() {
    let mut a = fresh(0);
    approve(&mut a, 1);
    let version = a.own_snapshot().expect("published").version;
    let change = a.receive(own(version, vec![]).bytes(), Some(key(1)), NOW).expect("its own").change;
    assert_eq!(a.recovery(), Some(Recovery::Cloned));
    assert!(change.audit.contains(&AuditEvent::Conflict(key(0), version)));
    assert!(a.warnings(NOW).contains(&Warning::Conflict(key(0))));
    assert_eq!(a.set().evidence(&key(0)).count(), 2);
    assert_eq!(snapshots(&a.recover_fresh(NOW)), 1, "a higher version ends the conflict");
    assert!(!a.set().in_conflict(&key(0)));
    a.receive(own(u64::MAX, vec![]).bytes(), Some(key(1)), NOW).expect("its own");
    a.recover_fresh(NOW);
    assert!(a.warnings(NOW).contains(&Warning::VersionsUsedUp));
}

fn deny(issuer: usize, subject: usize, nonce: usize) -> Statement {
    Statement::Deny(Deny {
        issuer: key(issuer),
        subject: key(subject),
        reason: Reason::Lost,
        issued_at: NOW,
        nonce: u64::try_from(nonce).expect("small").to_le_bytes(),
        note: String::new(),
    })
}

fn denial(issuer: usize, subject: usize, nonce: usize) -> Signed {
    Signed::new(deny(issuer, subject, nonce), &identity(issuer)).expect("within bounds")
}

#[test]
fn every_cap_is_full_and_a_removal_still_works() {
    let mut a = fresh(0);
    approve(&mut a, 1);
    approve(&mut a, 2);
    for nonce in 0..MAX_DENIALS + 5 {
        let _ = a.receive(denial(0, 9, nonce).bytes(), None, NOW);
    }
    assert_eq!(a.set().count_denials(&key(0)), MAX_DENIALS);
    assert!(a.warnings(NOW).contains(&Warning::DenialsNearlyFull(key(0), MAX_DENIALS)));
    a.revoke(&key(1), Reason::Lost, "", NOW).expect("revoked");
    assert_eq!(trusted(&a), [2], "blocked where no denial is left");
    assert_eq!(a.why(&key(1), NOW).standing, Standing::Blocked);
    a.forget(&key(2), true, NOW).expect("forgotten");
    assert_eq!(trusted(&a), []);
}

#[test]
fn a_flood_of_foreign_denials_is_bounded() {
    let mut a = fresh(0);
    approve(&mut a, 1);
    let refused = |a: &mut Keyring, nonce| a.receive(denial(20, 21, nonce).bytes(), Some(key(1)), NOW).err();
    for nonce in 0..MAX_FOREIGN_DENIALS {
        assert_eq!(refused(&mut a, nonce), None);
    }
    assert!(matches!(refused(&mut a, 999), Some(Refused::Full(_))));
    assert!(matches!(a.receive(denial(22, 21, 0).bytes(), Some(key(30)), NOW), Err(Refused::Irrelevant)));
    // An issuer that matters has room all the same, and its largest names go first.
    for nonce in 0..MAX_DENIALS + 20 {
        let _ = a.receive(denial(1, 9, nonce).bytes(), Some(key(30)), NOW);
    }
    assert_eq!(a.set().count_denials(&key(1)), MAX_DENIALS);
}

#[test]
fn nothing_is_received_twice_and_forgeries_are_faults() {
    let [mut a, b, ..] = chain();
    let digest = a.digest();
    for signed in b.give(
        &b.listing(None, Audience::Trusted).items.iter().map(|item| item.id).collect::<Vec<_>>(),
        Audience::Trusted,
        1 << 20,
    ) {
        assert!(!a.receive(signed.bytes(), Some(key(1)), NOW).expect("known").new);
    }
    let mut forged = denial(1, 2, 0).bytes().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert!(a.receive(&forged, Some(key(1)), NOW).expect_err("forged").is_fault());
    assert!(a.receive(b"junk", Some(key(1)), NOW).expect_err("junk").is_fault());
    assert_eq!((a.digest(), trusted(&a)), (digest, vec![1, 2, 3]));
}

#[test]
fn strangers_are_shown_revocations_only() {
    let [mut a, ..] = chain();
    a.revoke(&key(3), Reason::Left, "", NOW).expect("revoked");
    let shown = a.listing(None, Audience::Stranger).items;
    assert!(!shown.is_empty() && shown.iter().all(|item| item.kind != Kind::Vouches));
    let all: Vec<StatementId> = a.listing(None, Audience::Trusted).items.iter().map(|item| item.id).collect();
    assert!(
        a.give(&all, Audience::Stranger, 1 << 20).iter().all(|signed| signed.statement().is_revocation())
    );
    assert!(a.give(&all, Audience::Trusted, 10).is_empty(), "no room, nothing");
    assert_eq!(a.give(&all, Audience::Trusted, 1 << 20).len(), all.len());
}

#[test]
fn listings_come_in_pages() {
    let unsigned = |(issuer, nonce)| Signed::unsigned(deny(issuer, 9, nonce));
    let all = (1..=4).flat_map(|issuer| (0..MAX_DENIALS).map(move |nonce| (issuer, nonce)));
    let records =
        all.take(MAX_PAGE + 9).map(|at| Record::Statement(unsigned(at).expect("within bounds"))).collect();
    let seed = Seed { allowlist: Allowlist::empty(), policy: Policy::empty(), records };
    let a = Keyring::new(identity(0), seed, NOW);
    let first = a.listing(None, Audience::Trusted);
    let second = a.listing(first.next, Audience::Trusted);
    assert_eq!((first.items.len(), second.next), (MAX_PAGE, None));
    let ids: BTreeSet<StatementId> = first.items.iter().chain(&second.items).map(|item| item.id).collect();
    assert_eq!(ids.len(), a.set().len());
}

#[test]
fn a_keyring_comes_back_from_its_records() {
    let [mut a, mut b, ..] = chain();
    b.revoke(&key(2), Reason::Lost, "", NOW).expect("revoked");
    sync(&b, &mut a);
    let retire = Retire { key: key(7), issued_at: NOW, successor: None, note: String::new() };
    let retired = Signed::new(Statement::Retire(retire), &identity(7)).expect("within bounds");
    a.receive(retired.bytes(), None, NOW).expect("carried");
    let seed = Seed { allowlist: a.allowlist().clone(), policy: a.policy().clone(), records: a.records() };
    let back = Keyring::new(identity(0), seed, NOW);
    assert_eq!(back.set(), a.set());
    assert_eq!((back.digest(), back.decision()), (a.digest(), a.decision()));
    assert!(back.adopted().map(|(id, _)| id).eq(a.adopted().map(|(id, _)| id)));
}
