//! What follows from any change: decide anew, adopt what is in force, say in the own snapshot what is trusted.
//!
//! The last step of every call of the keyring that changes something. Pure.

use std::collections::BTreeSet;

use crate::audit::AuditEvent;
use crate::closure::{self, Decision, MAX_DEPTH, PATH_RIGHTS};
use crate::key::PublicKey;
use crate::keyring::Keyring;
use crate::keyring::change::{Change, Record, RightsChange};
use crate::statement::{
    Entry, MAX_ANSWERS, MAX_LEASE, Signed, Statement, StatementError, StatementId, Vouches,
};

/// Life of an own snapshot in seconds: the longest the format allows.
pub const LEASE: u64 = MAX_LEASE;
/// Age in seconds at which an own snapshot is renewed: 60 days before it ends.
pub const RENEW_AFTER: u64 = 30 * 24 * 60 * 60;
/// Denials of others that stay in force whatever becomes of their issuers. At the bound no more are adopted; they
/// hold as long as their issuer is reached. Own denials and those of approved keys always have room.
pub const MAX_ADOPTED: usize = 8192;
/// High-water marks of issuers that are not reached any more; the oldest versions go first.
pub const MAX_MARKS: usize = 4096;

impl Keyring {
    /// Lets time pass: leases end, the own snapshot is renewed. Call at the latest at [`Keyring::next_tick`], and once
    /// after opening.
    pub fn tick(&mut self, now: u64) -> Change {
        let mut change = Change::default();
        self.settle(now, None, &mut change);
        change
    }

    /// Brings everything into line with what is known now.
    pub(super) fn settle(&mut self, now: u64, cause: Option<StatementId>, change: &mut Change) {
        self.lift_voided(change);
        let next = closure::decide(&self.inputs(&self.roots()), now);
        let before = std::mem::replace(&mut self.decision, next);
        self.adopt_in_force(change);
        self.publish_snapshot(now, change);
        if !before.universe().eq(self.decision.universe()) {
            self.drop_outside(change);
            self.recount();
        }
        self.digest = self.set.digest();
        self.note_changes(&before, cause, change);
    }

    /// Denials of a voided key are adopted no longer.
    fn lift_voided(&mut self, change: &mut Change) {
        let lifted: Vec<StatementId> = self
            .adopted
            .values()
            .filter(|signed| self.local.void.contains(&signed.issuer()))
            .map(Signed::id)
            .collect();
        self.unadopt(&lifted, change);
    }

    pub(super) fn unadopt(&mut self, ids: &[StatementId], change: &mut Change) {
        for id in ids {
            if self.adopted.remove(id).is_some() {
                change.persist.push(Record::Unadopted(*id));
            }
        }
    }

    /// Keeps a denial in force for good.
    pub(super) fn adopt(&mut self, signed: &Signed, change: &mut Change) {
        if self.adopted.insert(signed.id(), signed.clone()).is_none() {
            change.persist.push(Record::Adopted(signed.id()));
        }
    }

    /// Stratum 5: denials in force about keys that matter here.
    fn adopt_in_force(&mut self, change: &mut Change) {
        let new = self.decision.in_force().filter(|(id, subject)| {
            !self.adopted.contains_key(id)
                && (self.decision.in_universe(subject) || self.allowlist.get(subject).is_some())
        });
        let new: Vec<Signed> = new.filter_map(|(id, _)| self.set.get(&id).cloned()).collect();
        for signed in new {
            let favoured = self.allowlist.get(&signed.issuer()).is_some();
            if favoured || self.adopted.len() < MAX_ADOPTED {
                self.adopt(&signed, change);
            }
        }
    }

    /// Signs a new own snapshot where the present one is not what should be said, or is due.
    fn publish_snapshot(&mut self, now: u64, change: &mut Change) {
        if self.recovery.is_some() || self.set.retirement(&self.me()).is_some() {
            return;
        }
        let entries = self.own_entries();
        let current = self.own_snapshot();
        if entries.is_empty() && current.is_none() && self.set.version(&self.me()).is_none() {
            return;
        }
        let due = |held: &Vouches| held.not_after < now || held.issued_at.saturating_add(RENEW_AFTER) <= now;
        if current.is_some_and(|held| held.entries == entries && !due(held)) {
            return;
        }
        let Some(version) = self.next_version(now) else { return };
        let Some(signed) = self.sign_snapshot(version, entries, now) else { return };
        self.set.insert(signed.clone());
        change.persist.push(Record::Statement(signed.clone()));
        change.publish.push(signed);
        change.audit.push(AuditEvent::Published(version));
    }

    /// Above everything seen of this key, and never behind the clock, so that a restored backup cannot fall behind.
    fn next_version(&self, now: u64) -> Option<u64> {
        let floor = now.saturating_mul(1 << 16);
        match self.set.version(&self.me()) {
            Some(seen) => Some(seen.checked_add(1)?.max(floor)),
            None => Some(floor),
        }
    }

    /// Drops first labels, then answers, where a list of 256 machines would not fit.
    fn sign_snapshot(&self, version: u64, mut entries: Vec<Entry>, now: u64) -> Option<Signed> {
        let shorten: [fn(&mut Entry); 3] =
            [|_| (), |entry| entry.label.clear(), |entry| entry.answers.clear()];
        for shorten in shorten {
            entries.iter_mut().for_each(shorten);
            let vouches = Vouches {
                issuer: self.me(),
                version,
                issued_at: now,
                not_after: now.saturating_add(LEASE),
                entries: entries.clone(),
            };
            match Signed::new(Statement::Vouches(vouches), &self.identity) {
                Ok(signed) => return Some(signed),
                Err(StatementError::TooLong { .. }) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// What the own snapshot should say: every approval, without rights where the key is not trusted here (I do not
    /// vouch for what I do not trust; this is how an honoured denial spreads into snapshots).
    pub(super) fn own_entries(&self) -> Vec<Entry> {
        let me = self.me();
        let roots = self.allowlist.roots().filter(|root| root.key != me);
        let mut entries: Vec<Entry> = roots
            .map(|root| Entry {
                subject: root.key,
                rights: root.grant.rights & self.decision.rights(&root.key),
                depth: root.grant.depth.min(MAX_DEPTH),
                label: root.label.clone(),
                answers: self.answers_about(&root.key),
            })
            .collect();
        entries.sort_by_key(|entry| entry.subject);
        entries
    }

    fn answers_about(&self, key: &PublicKey) -> Vec<StatementId> {
        let about = |id: &&StatementId| match self.statement(id).map(Signed::statement) {
            Some(Statement::Deny(deny)) => deny.subject == *key,
            Some(Statement::Vouches(_) | Statement::Retire(_)) | None => false,
        };
        self.local.answers.iter().filter(about).take(MAX_ANSWERS).copied().collect()
    }

    /// Snapshots of keys that are not reached are not kept; their marks are, so that an old version stays refused.
    pub(super) fn drop_outside(&mut self, change: &mut Change) {
        let me = self.me();
        let outside = |key: &PublicKey| *key != me && !self.decision.in_universe(key);
        let issuers: Vec<PublicKey> = self.set.snapshot_issuers().filter(outside).collect();
        for issuer in &issuers {
            if self.set.drop_snapshot(issuer) {
                change.persist.push(Record::Dropped(*issuer));
            }
        }
        let mut marks: Vec<(u64, PublicKey)> = self
            .set
            .bare_marks()
            .map(|mark| (mark.version, mark.issuer))
            .filter(|(_, key)| outside(key))
            .collect();
        marks.sort_unstable();
        for (_, issuer) in marks.iter().take(marks.len().saturating_sub(MAX_MARKS)) {
            self.set.drop_mark(issuer);
        }
    }

    fn note_changes(&self, before: &Decision, cause: Option<StatementId>, change: &mut Change) {
        let keys: BTreeSet<PublicKey> =
            before.trusted().chain(self.decision.trusted()).map(|(key, _)| key).collect();
        for key in keys {
            let each = RightsChange { key, before: before.rights(&key), after: self.decision.rights(&key) };
            if each.before == each.after {
                continue;
            }
            if !each.after.without(each.before).is_none() {
                change.gained.push(each);
            }
            if !each.before.without(each.after).is_none() {
                change.lost.push(each);
            }
            change.audit.push(AuditEvent::Trust { change: each, via: self.via(&key), cause });
        }
    }

    /// The vouchers on the best path to a key, nearest to this node first.
    fn via(&self, key: &PublicKey) -> Vec<PublicKey> {
        let Some(right) = PATH_RIGHTS.into_iter().find(|right| self.decision.hop(*right, key).is_some())
        else {
            return Vec::new();
        };
        let mut via = Vec::new();
        let mut at = *key;
        for _ in 0..=MAX_DEPTH {
            let Some(from) = self.decision.hop(right, &at).and_then(|hop| hop.from) else { break };
            via.push(from);
            at = from;
        }
        via.reverse();
        via
    }
}
