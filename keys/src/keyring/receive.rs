//! What peers send: who may hand over what, and within which bounds (security rules §2.5, §2.7).
//!
//! Cheap checks come first: known names, relevance and room before a signature is verified. Snapshots are taken for
//! keys of the universe, from keys of the universe. Revocations whose issuer matters here are taken from anyone, even
//! from a denied key; others are carried for peers, within bounds, when a key of the universe hands them over.

use std::collections::BTreeMap;

use crate::audit::AuditEvent;
use crate::key::PublicKey;
use crate::keyring::Keyring;
use crate::keyring::change::{Change, Record, Recovery};
use crate::set::{MAX_DENIALS, Merged};
use crate::statement::{Kind, Signed, Statement, StatementError, StatementId, Unverified, Vouches};

/// Revocations carried for others, in all: 2 MiB at most.
pub const MAX_FOREIGN: usize = 4096;
/// Of them, denials of one issuer.
pub const MAX_FOREIGN_DENIALS: usize = 64;
/// Of them, from one giver since the start of this node: no single peer can fill the room.
pub const MAX_FOREIGN_PER_GIVER: usize = 512;

/// What became of received bytes.
#[derive(Debug, Clone)]
pub struct Received {
    /// Which statement it was.
    pub id: StatementId,
    /// Whether it was new here and worth forwarding.
    pub new: bool,
    /// What follows.
    pub change: Change,
}

/// Why received bytes were not taken; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Malformed, out of bounds or forged: the giver's fault.
    #[error(transparent)]
    Bad(#[from] StatementError),
    /// Nothing that concerns this node, or nothing its giver may hand over.
    #[error("this statement does not concern this node")]
    Irrelevant,
    /// A bound is reached.
    #[error("no room for more {0}")]
    Full(&'static str),
}

impl Refused {
    /// Whether the giver should lose score: honest nodes never send such bytes.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        matches!(self, Self::Bad(_))
    }
}

/// Where a statement belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its issuer matters here.
    Universe,
    /// Carried for others.
    Foreign,
}

/// How much is carried for others.
#[derive(Debug, Clone, Default)]
pub(super) struct Foreign {
    total: usize,
    by_giver: BTreeMap<PublicKey, usize>,
}

impl Keyring {
    /// Takes the bytes of a statement from a peer; `giver` is `None` for a file the owner hands over (a retirement
    /// certificate, say).
    ///
    /// # Errors
    /// [`Refused`]; nothing changed.
    pub fn receive(&mut self, bytes: &[u8], giver: Option<PublicKey>, now: u64) -> Result<Received, Refused> {
        let unverified = Unverified::decode(bytes)?;
        let id = unverified.id();
        let nothing = Received { id, new: false, change: Change::default() };
        if self.statement(&id).is_some() || self.is_stale(unverified.statement(), &id) {
            return Ok(nothing);
        }
        let kind = unverified.statement().kind();
        let place = self.gate(kind, &unverified.statement().issuer(), &id, giver)?;
        let signed = unverified.verify()?;
        match self.set.insert(signed.clone()) {
            Merged::Known | Merged::Stale => return Ok(nothing),
            Merged::Full => return Err(Refused::Full("denials of this issuer")),
            Merged::New | Merged::Conflict => {}
        }
        let change = match place {
            Place::Foreign => self.carry(signed, giver),
            Place::Universe => self.take(&signed, now),
        };
        Ok(Received { id, new: true, change })
    }

    fn is_stale(&self, statement: &Statement, id: &StatementId) -> bool {
        match statement {
            Statement::Vouches(vouches) => !self.set.lacks_snapshot(&vouches.issuer, vouches.version, id),
            Statement::Deny(_) => false,
            Statement::Retire(retire) => self.set.retirement(&retire.key).is_some(),
        }
    }

    /// Whether a statement may come in, by what is known before its signature is looked at.
    pub(super) fn gate(
        &self,
        kind: Kind,
        issuer: &PublicKey,
        id: &StatementId,
        giver: Option<PublicKey>,
    ) -> Result<Place, Refused> {
        let mine = *issuer == self.me();
        let concerns = mine || self.decision.in_universe(issuer);
        let known_giver = giver.is_none_or(|giver| self.decision.in_universe(&giver));
        match kind {
            Kind::Vouches if mine || concerns && known_giver => Ok(Place::Universe),
            Kind::Vouches => Err(Refused::Irrelevant),
            Kind::Deny if concerns => self.room_for_denial(issuer, id),
            Kind::Retire if concerns => Ok(Place::Universe),
            Kind::Deny | Kind::Retire if known_giver => self.room_for_foreign(kind, issuer, giver),
            Kind::Deny | Kind::Retire => Err(Refused::Irrelevant),
        }
    }

    fn room_for_denial(&self, issuer: &PublicKey, id: &StatementId) -> Result<Place, Refused> {
        let full = self.set.count_denials(issuer) >= MAX_DENIALS;
        if full && self.set.largest_denial(issuer).is_some_and(|largest| *id > largest) {
            return Err(Refused::Full("denials of this issuer"));
        }
        Ok(Place::Universe)
    }

    fn room_for_foreign(
        &self,
        kind: Kind,
        issuer: &PublicKey,
        giver: Option<PublicKey>,
    ) -> Result<Place, Refused> {
        if kind == Kind::Deny && self.set.count_denials(issuer) >= MAX_FOREIGN_DENIALS {
            return Err(Refused::Full("denials of this issuer"));
        }
        let given = giver.and_then(|giver| self.foreign.by_giver.get(&giver)).copied().unwrap_or(0);
        if given >= MAX_FOREIGN_PER_GIVER {
            return Err(Refused::Full("revocations from this peer"));
        }
        if self.foreign.total >= MAX_FOREIGN {
            return Err(Refused::Full("revocations of strangers"));
        }
        Ok(Place::Foreign)
    }

    /// Statements of keys outside the universe change no decision: nothing to settle.
    fn carry(&mut self, signed: Signed, giver: Option<PublicKey>) -> Change {
        self.foreign.total += 1;
        if let Some(giver) = giver {
            *self.foreign.by_giver.entry(giver).or_default() += 1;
        }
        self.digest = self.set.digest();
        Change { persist: vec![Record::Statement(signed)], ..Change::default() }
    }

    fn take(&mut self, signed: &Signed, now: u64) -> Change {
        let mut change = Change { persist: vec![Record::Statement(signed.clone())], ..Change::default() };
        let mine = signed.issuer() == self.me();
        match signed.statement() {
            Statement::Vouches(vouches) => {
                if self.set.in_conflict(&vouches.issuer) {
                    change.audit.push(AuditEvent::Conflict(vouches.issuer, vouches.version));
                }
                if mine {
                    self.meet_own_snapshot(vouches, &mut change);
                }
            }
            Statement::Deny(_) if mine => self.adopt(signed, &mut change),
            Statement::Deny(_) => {}
            Statement::Retire(retire) => change.audit.push(AuditEvent::Retired(retire.key)),
        }
        self.settle(now, Some(signed.id()), &mut change);
        change
    }

    /// A snapshot of this node's own key which it did not have.
    fn meet_own_snapshot(&mut self, vouches: &Vouches, change: &mut Change) {
        let cloned = self.set.in_conflict(&vouches.issuer);
        let next = match self.recovery {
            _ if cloned => Some(Recovery::Cloned),
            Some(Recovery::LostStore) if self.would_withdraw(vouches) => Some(Recovery::LostStore),
            Some(Recovery::LostStore) => None,
            Some(reason) => Some(reason),
            None if vouches.entries == self.own_entries() => None,
            None => Some(Recovery::RolledBack),
        };
        self.set_recovery(next, change);
    }

    /// Whether publishing the allowlist would withdraw something this snapshot says.
    fn would_withdraw(&self, vouches: &Vouches) -> bool {
        let missing = |key: &PublicKey| self.allowlist.get(key).is_none();
        vouches.entries.iter().any(|entry| !entry.rights.is_none() && missing(&entry.subject))
    }

    pub(super) fn set_recovery(&mut self, next: Option<Recovery>, change: &mut Change) {
        if self.recovery != next {
            self.recovery = next;
            change.persist.push(Record::Recovery(next));
            change.audit.push(AuditEvent::Recovery(next));
        }
    }

    /// Counts what is carried for others anew, and drops what has no room: the largest names first, never adopted
    /// denials. Needed where keys left the universe.
    pub(super) fn recount(&mut self) {
        let me = self.me();
        let outside = |signed: &&Signed| {
            signed.statement().is_revocation()
                && signed.issuer() != me
                && !self.decision.in_universe(&signed.issuer())
        };
        let foreign: Vec<StatementId> = self.set.iter().filter(outside).map(Signed::id).collect();
        self.foreign.total = foreign.len();
        for id in foreign.iter().skip(MAX_FOREIGN).filter(|id| !self.adopted.contains_key(*id)) {
            self.set.drop_revocation(id);
            self.foreign.total -= 1;
        }
        self.foreign.by_giver.retain(|giver, _| self.decision.in_universe(giver));
    }
}
