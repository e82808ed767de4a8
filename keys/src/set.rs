//! All statements known here: a product of join-semilattices (security rules §2.3).
//!
//! State = (issuer -> newest snapshot, or conflict) × denials × retirements. Merging reads no clock, no order of
//! arrival and no trust decision, so equal deliveries give equal sets. Who may hand over what is the keyring's
//! business. Nothing is verified here: only [`Signed`] statements come in.

mod graph;

use std::collections::BTreeMap;

use crate::key::PublicKey;
use crate::statement::{Deny, Kind, Retire, Signed, Statement, StatementId, Vouches};

pub(crate) use self::graph::{Edge, Graph};

/// Denials kept of one issuer, smallest ids first: enough for a person's life, little enough that one griefer cannot
/// fill a disk.
pub const MAX_DENIALS: usize = 128;

/// Snapshots of one version that are kept as evidence of a conflict: two prove it.
const MAX_EVIDENCE: usize = 2;

/// Everything known, whoever said it.
#[derive(Debug, Clone, Default)]
pub struct StatementSet {
    snapshots: BTreeMap<PublicKey, Slot>,
    denials: BTreeMap<PublicKey, BTreeMap<StatementId, Signed>>,
    retired: BTreeMap<PublicKey, Signed>,
    by_id: BTreeMap<StatementId, Signed>,
    graph: Graph,
}

/// The newest version seen of one issuer: the high-water mark, and what is still held of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    version: u64,
    /// Ascending by id; two are a conflict. The content may be gone while the mark stays.
    seen: Vec<(StatementId, Option<Signed>)>,
}

/// What merging one statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// It is in the set now.
    New,
    /// It is in the set, and makes two contents of one version: the issuer's vouches are void until a higher one.
    Conflict,
    /// It was there.
    Known,
    /// Something newer, or enough of the same, is there.
    Stale,
    /// Its issuer has [`MAX_DENIALS`] with smaller ids.
    Full,
}

/// A high-water mark without its content, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub issuer: PublicKey,
    /// The newest version seen.
    pub version: u64,
    /// Which contents of that version were seen: one, or two in conflict.
    pub ids: Vec<StatementId>,
}

impl StatementSet {
    /// Merges one statement.
    pub fn insert(&mut self, signed: Signed) -> Merged {
        match signed.statement() {
            Statement::Vouches(_) => self.insert_snapshot(signed),
            Statement::Deny(_) => self.insert_denial(signed),
            Statement::Retire(_) => self.insert_retirement(signed),
        }
    }

    fn insert_snapshot(&mut self, signed: Signed) -> Merged {
        let Statement::Vouches(vouches) = signed.statement() else { return Merged::Stale };
        let (issuer, version, id) = (vouches.issuer, vouches.version, signed.id());
        let slot = self.snapshots.entry(issuer).or_insert(Slot { version, seen: Vec::new() });
        if version < slot.version {
            return Merged::Stale;
        }
        if version > slot.version {
            for (gone, _) in slot.seen.drain(..) {
                self.by_id.remove(&gone);
            }
            slot.version = version;
        }
        let at = match slot.seen.binary_search_by(|(seen, _)| seen.cmp(&id)) {
            Ok(at) if slot.seen.get(at).is_some_and(|(_, content)| content.is_some()) => {
                return Merged::Known;
            }
            Ok(at) => {
                slot.seen.remove(at);
                at
            }
            Err(at) if at >= MAX_EVIDENCE => return Merged::Stale,
            Err(at) => at,
        };
        slot.seen.insert(at, (id, Some(signed.clone())));
        if let Some((gone, _)) = slot.seen.get(MAX_EVIDENCE) {
            self.by_id.remove(gone);
        }
        slot.seen.truncate(MAX_EVIDENCE);
        let merged = if slot.seen.len() > 1 { Merged::Conflict } else { Merged::New };
        self.by_id.insert(id, signed);
        self.reindex(&issuer);
        merged
    }

    fn insert_denial(&mut self, signed: Signed) -> Merged {
        let id = signed.id();
        let theirs = self.denials.entry(signed.issuer()).or_default();
        if theirs.contains_key(&id) {
            return Merged::Known;
        }
        theirs.insert(id, signed.clone());
        self.by_id.insert(id, signed);
        if theirs.len() <= MAX_DENIALS {
            return Merged::New;
        }
        let Some((largest, _)) = theirs.pop_last() else { return Merged::Full };
        self.by_id.remove(&largest);
        if largest == id { Merged::Full } else { Merged::New }
    }

    /// Of several retirements of one key the smallest id stays: any of them says all there is to say.
    fn insert_retirement(&mut self, signed: Signed) -> Merged {
        let (id, key) = (signed.id(), signed.issuer());
        if let Some(held) = self.retired.get(&key) {
            if held.id() == id {
                return Merged::Known;
            }
            if held.id() < id {
                return Merged::Stale;
            }
            self.by_id.remove(&held.id());
        }
        self.retired.insert(key, signed.clone());
        self.by_id.insert(id, signed);
        Merged::New
    }

    /// Puts a high-water mark back that the store kept.
    pub fn restore_mark(&mut self, mark: &Mark) {
        let held = self.snapshots.get(&mark.issuer);
        if held.is_some_and(|slot| slot.version > mark.version) {
            return;
        }
        let mut slot = match held {
            Some(slot) if slot.version == mark.version => slot.clone(),
            _ => Slot { version: mark.version, seen: Vec::new() },
        };
        for (gone, _) in held.into_iter().flat_map(|held| &held.seen) {
            if held.is_some_and(|held| held.version < mark.version) {
                self.by_id.remove(gone);
            }
        }
        for id in &mark.ids {
            if let Err(at) = slot.seen.binary_search_by(|(seen, _)| seen.cmp(id)) {
                slot.seen.insert(at, (*id, None));
            }
        }
        for (gone, _) in slot.seen.iter().skip(MAX_EVIDENCE) {
            self.by_id.remove(gone);
        }
        slot.seen.truncate(MAX_EVIDENCE);
        self.snapshots.insert(mark.issuer, slot);
        self.reindex(&mark.issuer);
    }

    /// Drops the snapshot of an issuer and keeps its mark; says whether there was one to drop.
    pub fn drop_snapshot(&mut self, issuer: &PublicKey) -> bool {
        let Some(slot) = self.snapshots.get_mut(issuer) else { return false };
        let mut dropped = false;
        for (id, content) in &mut slot.seen {
            dropped |= content.take().is_some();
            self.by_id.remove(id);
        }
        self.reindex(issuer);
        dropped
    }

    /// Drops a mark that has no content any more.
    pub fn drop_mark(&mut self, issuer: &PublicKey) {
        if self.snapshots.get(issuer).is_some_and(|slot| slot.seen.iter().all(|(_, held)| held.is_none())) {
            self.snapshots.remove(issuer);
        }
    }

    /// Drops a revocation: only for foreign ones that found no room.
    pub fn drop_revocation(&mut self, id: &StatementId) {
        let Some(signed) = self.by_id.get(id).cloned() else { return };
        let issuer = signed.issuer();
        match signed.statement() {
            Statement::Vouches(_) => return,
            Statement::Deny(_) => {
                if let Some(theirs) = self.denials.get_mut(&issuer) {
                    theirs.remove(id);
                }
                if self.denials.get(&issuer).is_some_and(BTreeMap::is_empty) {
                    self.denials.remove(&issuer);
                }
            }
            Statement::Retire(_) => {
                self.retired.remove(&issuer);
            }
        }
        self.by_id.remove(id);
    }

    fn reindex(&mut self, issuer: &PublicKey) {
        let current = self.snapshots.get(issuer).and_then(Slot::current);
        self.graph.put(issuer, current);
        if self.graph.is_mostly_stale() {
            self.graph = Graph::default();
            for (issuer, slot) in &self.snapshots {
                self.graph.put(issuer, slot.current());
            }
        }
    }

    /// The snapshot of an issuer that counts: the newest, unless it is in conflict or not held.
    #[must_use]
    pub fn vouches(&self, issuer: &PublicKey) -> Option<&Vouches> {
        self.snapshots.get(issuer).and_then(Slot::current)
    }

    /// The newest version seen of an issuer, in conflict or not.
    #[must_use]
    pub fn version(&self, issuer: &PublicKey) -> Option<u64> {
        self.snapshots.get(issuer).map(|slot| slot.version)
    }

    /// Whether the newest version of an issuer has two contents: two machines use its key.
    #[must_use]
    pub fn in_conflict(&self, issuer: &PublicKey) -> bool {
        self.snapshots.get(issuer).is_some_and(|slot| slot.seen.len() > 1)
    }

    /// The documents that prove a conflict, for people.
    pub fn evidence(&self, issuer: &PublicKey) -> impl Iterator<Item = &Signed> {
        let seen = self.snapshots.get(issuer).map(|slot| slot.seen.as_slice()).unwrap_or_default();
        seen.iter().filter_map(|(_, content)| content.as_ref())
    }

    /// Issuers whose snapshot is held, in order of keys.
    pub fn snapshot_issuers(&self) -> impl Iterator<Item = PublicKey> {
        let held = |slot: &Slot| slot.seen.iter().any(|(_, content)| content.is_some());
        self.snapshots.iter().filter(move |(_, slot)| held(slot)).map(|(issuer, _)| *issuer)
    }

    /// Marks of which no content is held, in order of keys.
    pub fn bare_marks(&self) -> impl Iterator<Item = Mark> {
        let bare = |slot: &Slot| slot.seen.iter().any(|(_, content)| content.is_none());
        self.snapshots.iter().filter(move |(_, slot)| bare(slot)).map(|(issuer, slot)| slot.mark(issuer))
    }

    /// Every denial with its name, by issuer, then id.
    pub fn denials(&self) -> impl Iterator<Item = (StatementId, &Deny)> {
        self.denials.values().flatten().filter_map(|(id, signed)| as_deny(signed).map(|deny| (*id, deny)))
    }

    /// The denials of one issuer, by id.
    pub fn denials_by(&self, issuer: &PublicKey) -> impl Iterator<Item = (StatementId, &Deny)> {
        let theirs = self.denials.get(issuer).into_iter().flatten();
        theirs.filter_map(|(id, signed)| as_deny(signed).map(|deny| (*id, deny)))
    }

    /// How many denials of an issuer are held.
    #[must_use]
    pub fn count_denials(&self, issuer: &PublicKey) -> usize {
        self.denials.get(issuer).map_or(0, BTreeMap::len)
    }

    /// The largest denial id held of an issuer.
    #[must_use]
    pub fn largest_denial(&self, issuer: &PublicKey) -> Option<StatementId> {
        self.denials.get(issuer)?.last_key_value().map(|(id, _)| *id)
    }

    /// The retirement of a key.
    #[must_use]
    pub fn retirement(&self, key: &PublicKey) -> Option<&Retire> {
        match self.retired.get(key)?.statement() {
            Statement::Retire(retire) => Some(retire),
            Statement::Vouches(_) | Statement::Deny(_) => None,
        }
    }

    /// Every retired key, in order.
    pub fn retired(&self) -> impl Iterator<Item = PublicKey> {
        self.retired.keys().copied()
    }

    /// A statement by its name.
    #[must_use]
    pub fn get(&self, id: &StatementId) -> Option<&Signed> {
        self.by_id.get(id)
    }

    /// Every statement held, in order of ids.
    pub fn iter(&self) -> impl Iterator<Item = &Signed> {
        self.by_id.values()
    }

    /// Every statement held whose id follows the given one, in order of ids.
    pub fn iter_after(&self, after: Option<StatementId>) -> impl Iterator<Item = &Signed> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.by_id.range((from, Unbounded)).map(|(_, signed)| signed)
    }

    /// How many statements are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The name of the set: BLAKE3 of all ids in order.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for id in self.by_id.keys() {
            hasher.update(id.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Whether a snapshot of this version and name would be news.
    #[must_use]
    pub fn lacks_snapshot(&self, issuer: &PublicKey, version: u64, id: &StatementId) -> bool {
        let Some(slot) = self.snapshots.get(issuer) else { return true };
        if version != slot.version {
            return version > slot.version;
        }
        match slot.seen.iter().find(|(seen, _)| seen == id) {
            Some((_, content)) => content.is_none(),
            None => slot.seen.len() < MAX_EVIDENCE || slot.seen.iter().any(|(seen, _)| seen > id),
        }
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }
}

/// Equal where the statements and marks are equal, whatever the order they came in.
impl PartialEq for StatementSet {
    fn eq(&self, other: &Self) -> bool {
        self.snapshots == other.snapshots && self.by_id == other.by_id
    }
}

impl Eq for StatementSet {}

impl Slot {
    fn current(&self) -> Option<&Vouches> {
        let [(_, Some(signed))] = self.seen.as_slice() else { return None };
        match signed.statement() {
            Statement::Vouches(vouches) => Some(vouches),
            Statement::Deny(_) | Statement::Retire(_) => None,
        }
    }

    fn mark(&self, issuer: &PublicKey) -> Mark {
        Mark { issuer: *issuer, version: self.version, ids: self.seen.iter().map(|(id, _)| *id).collect() }
    }
}

/// The kind and the version (0 of a revocation) of a statement, as listings show them.
#[must_use]
pub fn kind_and_version(signed: &Signed) -> (Kind, u64) {
    match signed.statement() {
        Statement::Vouches(vouches) => (Kind::Vouches, vouches.version),
        Statement::Deny(_) => (Kind::Deny, 0),
        Statement::Retire(_) => (Kind::Retire, 0),
    }
}

fn as_deny(signed: &Signed) -> Option<&Deny> {
    match signed.statement() {
        Statement::Deny(deny) => Some(deny),
        Statement::Vouches(_) | Statement::Retire(_) => None,
    }
}
