//! Trust as the node's machine sees it: rights by key, statements by name.
//!
//! Pure. Everything is decided in the `keys` crate; this translates between its types and those of the wire.

use std::collections::BTreeSet;

use serde_bytes::ByteBuf;
use testmesh_behaviours::id::{Digest, NodeKey, StatementId};
use testmesh_behaviours::status::hello::{REVOCATION_BYTES_MAX, REVOCATIONS_MAX, Rights};
use testmesh_behaviours::status::wire::{PAGE_MAX, STATEMENT_BYTES_MAX, Trusted, VectorEntry};
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::audit::AuditEvent;
use testmesh_keys::closure::Why;
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::{self, Audience, CommandError, Item, Keyring, Refused, RightsChange};
use testmesh_keys::policy::Policy;
use testmesh_keys::statement::{self, Kind};

use super::event::{Judgement, Now};
use super::pace::Pace;

/// A statement that is new here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// As signed.
    pub bytes: Vec<u8>,
    /// Whether it takes trust away, and so concerns everybody.
    pub revocation: bool,
}

/// What became of a statement from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was looked at.
    Judged(Judgement),
    /// Its issuer says too much: not now.
    TooSoon,
}

/// What a statement, a command or time changed.
#[derive(Debug, Default)]
pub struct Change {
    /// To be written before anything else is done.
    pub persist: keyring::Change,
    /// To be passed on.
    pub news: Vec<News>,
    /// Keys that are trusted now and were not.
    pub gained: Vec<NodeKey>,
    /// Keys that are not trusted any more.
    pub lost: Vec<NodeKey>,
    /// Keys with other rights than before, but some.
    pub altered: Vec<NodeKey>,
}

/// Whom this node trusts.
#[derive(Debug, Clone)]
pub struct Trust {
    keyring: Keyring,
    /// The name of the revocations in the set of this name. Asked for at every hello, also by strangers; where all bounds
    /// are full, hashing takes milliseconds.
    revocations: ([u8; 32], Digest),
}

/// A key of the wire as the `keys` crate has it; none where it is no key.
pub fn key(key: &NodeKey) -> Option<PublicKey> {
    PublicKey::from_bytes(&key.bytes()).ok()
}

/// A key of the `keys` crate as it travels.
pub fn node(key: PublicKey) -> NodeKey {
    NodeKey::new(*key.as_bytes())
}

fn rights(rights: testmesh_keys::rights::Rights) -> Rights {
    Rights(rights.bits())
}

fn keys_id(id: StatementId) -> statement::StatementId {
    statement::StatementId::from_bytes(id.bytes())
}

impl Trust {
    /// With what the store held.
    pub fn new(keyring: Keyring) -> Self {
        let revocations = (keyring.digest(), revocation_digest(&keyring));
        Self { keyring, revocations }
    }

    /// Keeps what is derived in step with the keyring.
    fn follow(&mut self) {
        if self.revocations.0 != self.keyring.digest() {
            self.revocations = (self.keyring.digest(), revocation_digest(&self.keyring));
        }
    }

    /// All that the `keys` crate knows.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Whether time alone changes something: a lease ends, or the own snapshot is due.
    pub fn is_due(&self, now: u64) -> bool {
        self.keyring.next_tick().is_some_and(|next| next <= now)
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: u64) -> Change {
        let change = self.keyring.tick(now);
        self.follow();
        changed(change)
    }

    /// Takes what the owner edited by hand.
    pub fn reload(&mut self, allowlist: Allowlist, policy: Policy, now: u64) -> Change {
        let change = self.keyring.reload(allowlist, policy, now);
        self.follow();
        changed(change)
    }

    /// Performs a command of the owner.
    ///
    /// # Errors
    /// The `keys` crate's; nothing changed.
    pub fn command(
        &mut self,
        act: impl FnOnce(&mut Keyring) -> Result<keyring::Change, CommandError>,
    ) -> Result<Change, CommandError> {
        let change = act(&mut self.keyring);
        self.follow();
        change.map(changed)
    }

    /// Takes a statement from a peer, unless its issuer has said too much lately or the peer has lied too often.
    pub fn receive(&mut self, bytes: &[u8], from: NodeKey, pace: &mut Pace, now: Now) -> (Taken, Change) {
        if !pace.is_heard(&from, now.mono) {
            return (Taken::Judged(Judgement::Ignore), Change::default());
        }
        let said = statement::Unverified::decode(bytes);
        let said = said.as_ref().map(statement::Unverified::statement);
        if let Ok(said) = said
            && !pace.may_say(&node(said.issuer()), said.kind(), now.mono)
        {
            return (Taken::TooSoon, Change::default());
        }
        let (judgement, change) = self.take(bytes, from, now.unix);
        match (judgement, said) {
            (Judgement::Accept, Ok(said)) => pace.said(node(said.issuer()), said.kind(), now.mono),
            (Judgement::Reject, _) => pace.lied(from, now.mono),
            _ => {}
        }
        (Taken::Judged(judgement), change)
    }

    /// Takes the certificate of a retired key from the owner of this machine. Returns whose it was.
    ///
    /// # Errors
    /// In words: other bytes than a retirement's, a bad signature, no room. Nothing changed then.
    pub fn hand_in(&mut self, bytes: &[u8], now: u64) -> Result<(PublicKey, Change), String> {
        let unverified = statement::Unverified::decode(bytes).map_err(|error| error.to_string())?;
        let statement::Statement::Retire(retire) = unverified.statement() else {
            return Err("this is a statement, but none that ends a key".to_owned());
        };
        let key = retire.key;
        let received = self.keyring.receive(bytes, None, now).map_err(|error| error.to_string())?;
        let mut change = changed(received.change);
        if received.new {
            change.news.push(News { bytes: bytes.to_vec(), revocation: true });
            // A key that does not matter here yet changes nothing, and is not noted by itself.
            if change.persist.audit.is_empty() {
                change.persist.audit.push(AuditEvent::Retired(key));
            }
        }
        Ok((key, change))
    }

    fn take(&mut self, bytes: &[u8], from: NodeKey, now: u64) -> (Judgement, Change) {
        let received = self.keyring.receive(bytes, key(&from), now);
        self.follow();
        match received {
            Ok(received) if received.new => {
                let revocation = statement::Unverified::decode(bytes)
                    .is_ok_and(|unverified| unverified.statement().is_revocation());
                let mut change = changed(received.change);
                change.news.push(News { bytes: bytes.to_vec(), revocation });
                (Judgement::Accept, change)
            }
            Ok(received) => (Judgement::Ignore, changed(received.change)),
            Err(refused @ Refused::Bad(_)) => {
                tracing::warn!(peer = %from, why = %refused, "a peer sent a statement that cannot be honest");
                (Judgement::Reject, Change::default())
            }
            Err(_) => (Judgement::Ignore, Change::default()),
        }
    }

    /// What a key may do here.
    pub fn given(&self, peer: &NodeKey) -> Rights {
        key(peer).map_or(Rights::NONE, |key| rights(self.keyring.decision().rights(&key)))
    }

    /// Everybody with any right.
    pub fn trusted(&self) -> Vec<(NodeKey, Rights)> {
        let all = self.keyring.decision().trusted();
        all.map(|(key, given)| (node(key), rights(given))).filter(|(_, given)| given.any()).collect()
    }

    /// The name of the whole set of statements.
    pub fn digest(&self) -> Digest {
        Digest::new(self.keyring.digest())
    }

    /// The name of the set of revocations.
    pub fn revocation_digest(&self) -> Digest {
        self.revocations.1
    }

    /// How many statements are held.
    pub fn statements(&self) -> usize {
        self.keyring.set().len()
    }

    /// A page of revocations, and whether there is more.
    pub fn revocations_after(&self, after: Option<StatementId>) -> (Vec<ByteBuf>, bool) {
        let page = self.keyring.listing(after.map(keys_id), Audience::Stranger);
        let ids: Vec<_> = page.items.iter().map(|item| item.id).take(REVOCATIONS_MAX).collect();
        let given = self.keyring.give(&ids, Audience::Stranger, REVOCATION_BYTES_MAX);
        let more = page.next.is_some() || given.len() < page.items.len();
        (
            given.iter().map(|signed| ByteBuf::from(signed.bytes().to_vec())).collect(),
            more && !given.is_empty(),
        )
    }

    /// The name of a statement somebody sent; none where it is none.
    pub fn name_of_statement(bytes: &[u8]) -> Option<StatementId> {
        let unverified = statement::Unverified::decode(bytes).ok()?;
        Some(StatementId::new(*unverified.id().as_bytes()))
    }

    /// What is held here behind a name, for a trusted peer: a page in the order of names, and whether there is more.
    pub fn page(&self, after: Option<StatementId>) -> (Vec<VectorEntry>, bool) {
        let entry = |item: Item| VectorEntry {
            issuer: node(item.issuer),
            kind: match item.kind {
                Kind::Vouches => 0,
                Kind::Deny => 1,
                Kind::Retire => 2,
            },
            version: item.version,
            id: StatementId::new(*item.id.as_bytes()),
        };
        let page = self.keyring.listing(after.map(keys_id), Audience::Trusted);
        let more = page.next.is_some() || page.items.len() > PAGE_MAX;
        (page.items.into_iter().take(PAGE_MAX).map(entry).collect(), more)
    }

    /// Statements of these names, as many as one message takes.
    pub fn fetch(&self, ids: &[StatementId]) -> Vec<ByteBuf> {
        let ids: Vec<_> = ids.iter().copied().map(keys_id).collect();
        let given = self.keyring.give(&ids, Audience::Trusted, STATEMENT_BYTES_MAX);
        given.iter().map(|signed| ByteBuf::from(signed.bytes().to_vec())).collect()
    }

    /// Which of a peer's statements are lacking here.
    pub fn wanted(&self, theirs: &[VectorEntry], from: &NodeKey) -> Vec<StatementId> {
        let Some(giver) = key(from) else { return Vec::new() };
        let item = |entry: &VectorEntry| {
            let kind = match entry.kind {
                0 => Kind::Vouches,
                1 => Kind::Deny,
                _ => Kind::Retire,
            };
            Some(Item { id: keys_id(entry.id), issuer: key(&entry.issuer)?, kind, version: entry.version })
        };
        let items: Vec<Item> = theirs.iter().filter_map(item).collect();
        self.keyring.wanted(&items, giver).iter().map(|id| StatementId::new(*id.as_bytes())).collect()
    }

    /// Whom this node trusts, for a trusted peer.
    pub fn view(&self, addresses: impl Fn(&NodeKey) -> Vec<String>) -> Vec<Trusted> {
        let line = |(key, given)| Trusted {
            name: self.label(&key).unwrap_or_default(),
            addresses: addresses(&key),
            key,
            rights: given,
        };
        self.trusted().into_iter().map(line).collect()
    }

    /// How a key stands.
    pub fn why(&self, peer: &NodeKey, now: u64) -> Option<Why> {
        Some(self.keyring.why(&key(peer)?, now))
    }

    /// What a key is called by this machine's owner, else by whoever vouches for it.
    pub fn label(&self, peer: &NodeKey) -> Option<String> {
        self.keyring.label(&key(peer)?).filter(|label| !label.is_empty()).map(str::to_owned)
    }

    /// Keys that trust has an opinion on: trusted, approved, denied or retired.
    pub fn known(&self) -> BTreeSet<NodeKey> {
        let set = self.keyring.set();
        let trusted = self.keyring.decision().trusted().map(|(key, _)| key);
        let roots = self.keyring.allowlist().roots().map(|root| root.key);
        let denied = set.denials().map(|(_, deny)| deny.subject);
        trusted.chain(roots).chain(denied).chain(set.retired()).map(node).collect()
    }

    /// Keys that this machine's owner approved.
    pub fn roots(&self) -> Vec<NodeKey> {
        self.keyring.allowlist().roots().map(|root| node(root.key)).collect()
    }

    /// Whether this machine's owner approved a key.
    pub fn is_root(&self, peer: &NodeKey) -> bool {
        key(peer).is_some_and(|key| self.keyring.allowlist().get(&key).is_some())
    }

    /// Keys that this machine's owner refuses, whoever vouches for them.
    pub fn blocked(&self) -> BTreeSet<NodeKey> {
        self.keyring.policy().local().block.into_iter().map(node).collect()
    }

    /// What this machine's owner calls a key.
    pub fn own_label(&self, peer: &NodeKey) -> Option<String> {
        let key = key(peer)?;
        self.keyring.allowlist().get(&key).map(|root| root.label.clone()).filter(|label| !label.is_empty())
    }

    /// When this machine's owner approved a key, where the allowlist says so.
    pub fn approved(&self, key: &PublicKey) -> Option<u64> {
        approved_at(&self.keyring.allowlist().get(key)?.comment)
    }

    /// When a key's newest snapshot was issued and when its lease ends: seconds since the epoch.
    pub fn snapshot(&self, peer: &NodeKey) -> Option<(u64, u64)> {
        self.keyring.set().vouches(&key(peer)?).map(|vouches| (vouches.issued_at, vouches.not_after))
    }

    /// Signs what begins with the length and name of its domain.
    pub fn sign(&self, buffer: &[u8]) -> [u8; 64] {
        self.keyring.identity().sign(buffer)
    }

    /// Whether a signature is that of a key, strictly.
    pub fn verify(by: &NodeKey, buffer: &[u8], signature: &[u8; 64]) -> bool {
        key(by).is_some_and(|key| key.verify(buffer, signature))
    }
}

fn revocation_digest(keyring: &Keyring) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for revocation in keyring.set().iter().filter(|signed| signed.statement().is_revocation()) {
        hasher.update(revocation.id().as_bytes());
    }
    Digest::new(*hasher.finalize().as_bytes())
}

/// The day in a comment that `approve` wrote, in seconds since the epoch: `approved 2026-03-01`.
pub(super) fn approved_at(comment: &str) -> Option<u64> {
    let day = comment.split_once("approved ")?.1.split_whitespace().next()?;
    let mut numbers = day.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    if !((1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)) {
        return None;
    }
    // Years that begin in March end with the leap day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days.checked_sub(719_468).map(|days| days * 86_400)
}

fn changed(change: keyring::Change) -> Change {
    let news = change.publish.iter().map(|signed| News {
        bytes: signed.bytes().to_vec(),
        revocation: signed.statement().is_revocation(),
    });
    let news = news.collect();
    let none = |rights: testmesh_keys::rights::Rights| rights.is_none();
    let select = |list: &[RightsChange], keep: fn(bool, bool) -> bool| -> Vec<NodeKey> {
        list.iter().filter(|one| keep(none(one.before), none(one.after))).map(|one| node(one.key)).collect()
    };
    let gained = select(&change.gained, |before, after| before && !after);
    let lost = select(&change.lost, |before, after| !before && after);
    let both = [change.gained.as_slice(), &change.lost].concat();
    let altered = select(&both, |before, after| !before && !after);
    Change { persist: change, news, gained, lost, altered }
}

#[cfg(test)]
mod tests {
    use super::approved_at;

    #[test]
    fn the_day_of_an_approval_is_read_from_its_comment() {
        assert_eq!(approved_at("approved 1970-01-01"), Some(0));
        assert_eq!(approved_at("approved 2000-02-29, at the fair"), None, "a word ends at a space");
        assert_eq!(approved_at("approved 2000-02-29 at the fair"), Some(951_782_400));
        assert_eq!(approved_at("recovered; approved 2026-03-01"), Some(1_772_323_200));
        for text in
            ["", "approved", "approved yesterday", "approved 2026-13-01", "approved 1-1-1", "approved 2026-1"]
        {
            assert_eq!(approved_at(text), None, "{text}");
        }
    }
}
