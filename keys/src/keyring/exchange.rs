//! Pairwise reconciliation: digest, pages of names, what is wanted, what is given (security rules §2.5).
//!
//! Reads the keyring and changes nothing. Gossip may be off: this alone makes nodes agree. Strangers see
//! revocations only, so that no list of keys leaves the closure.

use serde::{Deserialize, Serialize};

use crate::key::PublicKey;
use crate::keyring::Keyring;
use crate::keyring::receive::Place;
use crate::set::kind_and_version;
use crate::statement::{Kind, Signed, StatementId};

/// Items of one page: about 100 bytes each as CBOR with field names, so that a page fits a 64 KiB frame.
pub const MAX_PAGE: usize = 400;
/// Statements asked for at once: what comes back is cut to frames by the giver anyway.
pub const MAX_WANTED: usize = 256;

/// One statement by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Of the statement.
    pub id: StatementId,
    /// Who issued it.
    pub issuer: PublicKey,
    /// What it is.
    pub kind: Kind,
    /// Of a snapshot; 0 of a revocation.
    pub version: u64,
}

/// One page of what is held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// In order of ids, at most [`MAX_PAGE`].
    pub items: Vec<Item>,
    /// Ask for what follows this one; `None` at the end.
    pub next: Option<StatementId>,
}

/// To whom something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A key of the closure: everything.
    Trusted,
    /// Anyone else: revocations, nothing that tells who trusts whom.
    Stranger,
}

impl Audience {
    fn may_see(self, signed: &Signed) -> bool {
        self == Self::Trusted || signed.statement().is_revocation()
    }
}

impl Keyring {
    /// The name of everything held here: equal sets have equal digests.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// What is held here, a page at a time.
    #[must_use]
    pub fn listing(&self, after: Option<StatementId>, audience: Audience) -> Page {
        let visible = self.set.iter_after(after).filter(|signed| audience.may_see(signed));
        let mut items: Vec<Item> = visible.take(MAX_PAGE + 1).map(item).collect();
        let more = items.len() > MAX_PAGE;
        items.truncate(MAX_PAGE);
        let next = items.last().filter(|_| more).map(|item| item.id);
        Page { items, next }
    }

    /// Which of a peer's items are lacking here and would be taken from it; at most [`MAX_WANTED`], revocations first.
    #[must_use]
    pub fn wanted(&self, items: &[Item], giver: PublicKey) -> Vec<StatementId> {
        let lacking = items.iter().filter(|item| self.is_wanted(item, giver));
        let (snapshots, revocations): (Vec<&Item>, Vec<&Item>) =
            lacking.partition(|item| item.kind == Kind::Vouches);
        revocations.into_iter().chain(snapshots).map(|item| item.id).take(MAX_WANTED).collect()
    }

    fn is_wanted(&self, item: &Item, giver: PublicKey) -> bool {
        if self.statement(&item.id).is_some() {
            return false;
        }
        match self.gate(item.kind, &item.issuer, &item.id, Some(giver)) {
            Err(_) => false,
            Ok(Place::Universe | Place::Foreign) => match item.kind {
                Kind::Vouches => self.set.lacks_snapshot(&item.issuer, item.version, &item.id),
                Kind::Deny => true,
                Kind::Retire => self.set.retirement(&item.issuer).is_none(),
            },
        }
    }

    /// The statements of these ids that the audience may see, in the order asked, as many as fit into `max_bytes`.
    #[must_use]
    pub fn give(&self, ids: &[StatementId], audience: Audience, max_bytes: usize) -> Vec<Signed> {
        let mut room = max_bytes;
        let mut given = Vec::new();
        for signed in ids.iter().take(MAX_WANTED).filter_map(|id| self.statement(id)) {
            if !audience.may_see(signed) {
                continue;
            }
            let Some(rest) = room.checked_sub(signed.bytes().len()) else { break };
            room = rest;
            given.push(signed.clone());
        }
        given
    }
}

fn item(signed: &Signed) -> Item {
    let (kind, version) = kind_and_version(signed);
    Item { id: signed.id(), issuer: signed.issuer(), kind, version }
}
