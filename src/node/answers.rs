//! What a node shows its owner, put together from its state. Reads, changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use testmesh_behaviours::address;
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::status::hello;
use testmesh_behaviours::status::wire as mesh;
use testmesh_keys::closure;
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::{self, Keyring, Warning};
use testmesh_keys::statement;

use super::event::Now;
use super::peers::Peer as Known;
use super::state::State;
use super::trust::{self, Trust as Trusted};
use crate::backend::Tier;
use crate::local::wire::{
    Conflict, Denial, Found, Hop, HopKind, Key, Load, Named, Origin, Path, Peer, Platform, Reason, Recovery,
    Refusal, Retirement, Rights, Root, RootAge, Seen, Snapshot, SnapshotEntry, Standing, Status, Trust,
    Unreached, Why,
};

/// Where the settings leave it to the node where to listen, and it found nothing.
const NOT_REACHABLE: &str = "only this machine can connect: no interface has a private or link-local address that others \
                             can dial (`listen` in the settings names addresses of any kind)";

fn reaches_others(address: &str) -> bool {
    address.parse().is_ok_and(|address| address::reaches_others(&address))
}

pub(super) fn rights(bits: u8) -> Rights {
    Rights { submit: bits & 1 != 0, work: bits & 2 != 0 }
}

/// A load with its speed beside ours, in thousandths; both are told beside a machine that is the same for all.
fn load(load: &mesh::Load, own_speed: u32) -> Load {
    let speed = (u64::from(load.speed) * 1000).checked_div(u64::from(own_speed)).unwrap_or(0);
    Load {
        slots: load.slots,
        running: load.running,
        queued: load.queued,
        paused: load.paused,
        speed: u32::try_from(speed).unwrap_or(u32::MAX),
        tier: load.tier,
    }
}

fn platform(platform: &hello::Platform) -> Option<Platform> {
    let known = !platform.os.is_empty();
    known.then(|| Platform {
        os: platform.os.clone(),
        arch: platform.arch.clone(),
        libc: platform.libc.clone(),
    })
}

fn reason(reason: statement::Reason) -> Reason {
    reason.word().parse().unwrap_or(Reason::Misbehaving)
}

impl State {
    /// Everybody the node has heard of in any way, without itself.
    pub(super) fn known(&self) -> BTreeSet<NodeKey> {
        let mut known: BTreeSet<NodeKey> = self.peers.iter().map(|(key, _)| *key).collect();
        known.extend(self.trust.known());
        known.remove(&self.about.key);
        known
    }

    /// A key with the name it goes by here.
    pub(super) fn named(&self, key: &NodeKey) -> Named {
        self.named_in(&self.trust, key)
    }

    /// A key with the name it goes by in another state of trust: who is forgotten loses its label with it.
    pub(super) fn named_in(&self, trust: &Trusted, key: &NodeKey) -> Named {
        let own = (*key == self.about.key).then(|| self.about.name.clone());
        let claimed = self.peers.get(key).map(|peer| peer.name.clone()).filter(|name| !name.is_empty());
        let names = [
            (own.or_else(|| trust.own_label(key)), Origin::Yours),
            (trust.label(key), Origin::Voucher),
            (claimed, Origin::Itself),
        ];
        let known = names.into_iter().find_map(|(name, origin)| name.map(|name| (name, origin)));
        let (name, origin) = known.unwrap_or_default();
        Named { key: Key(key.bytes()), name, origin }
    }

    /// A key in a sentence: a name of this machine's owner as it is, a claimed one in quotes.
    fn in_words(&self, key: PublicKey) -> String {
        let named = self.named_key(&key);
        match named.origin {
            _ if named.name.is_empty() => format!("({})", named.key.short()),
            Origin::Yours => named.name,
            Origin::Voucher | Origin::Itself => format!("\"{}\"", named.name),
        }
    }

    fn named_key(&self, key: &PublicKey) -> Named {
        self.named(&trust::node(*key))
    }

    pub(super) fn status_answer_for_owner(&self, now: Now) -> Status {
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let keyring = self.trust.keyring();
        Status {
            key: Key(self.about.key.bytes()),
            name: self.about.name.clone(),
            mesh: self.about.mesh.clone(),
            version: self.about.version.clone(),
            pid: self.about.pid,
            home: self.about.home.clone(),
            uptime: now.mono.as_secs(),
            listen: self.listening.clone(),
            mdns: self.about.mdns.clone(),
            load: load(&self.load(), self.about.speed),
            containment: match self.about.tier {
                Tier::Contained => "Landlock, seccomp, limits".to_owned(),
                Tier::Partial => "Landlock or seccomp in part, limits".to_owned(),
                Tier::Open => "none".to_owned(),
            },
            accept_unsandboxed: self.about.accept_unsandboxed,
            roots: self.root_ages(now),
            trusted: small(self.trust.trusted().len()),
            connected: small(self.peers.connected().count()),
            mutual: small(self.peers.connected().filter(|key| self.mutual(key)).count()),
            statements: small(self.trust.statements()),
            recovery: recovery(keyring),
            unreached: self.unreached(now),
            warnings: self.warnings(now),
        }
    }

    fn unreached(&self, now: Now) -> Vec<Unreached> {
        let shown = |one: &super::peers::Unreached| Unreached {
            address: one.address.clone(),
            why: one.why.clone(),
            age: now.unix.saturating_sub(one.at),
        };
        self.peers.unreached().iter().map(shown).collect()
    }

    fn warnings(&self, now: Now) -> Vec<String> {
        let mut warnings = self.about.warnings.clone();
        if let Some(why) = &self.unwritten {
            warnings
                .push(format!("what was learned of trust is not on the disk, and lost at a restart: {why}"));
        }
        if let Some(why) = &self.unreadable {
            warnings.push(format!("trust is as it was before the last edit, which cannot be read: {why}"));
        }
        if self.listening.is_empty() {
            warnings.push("nobody can connect: no address is listened on".to_owned());
        } else if self.about.local && !self.listening.iter().any(|address| reaches_others(address)) {
            warnings.push(NOT_REACHABLE.to_owned());
        }
        let keyring = self.trust.keyring();
        if keyring.set().retirement(&keyring.me()).is_some() {
            warnings.push(
                "this machine's key has ended: no machine that knows of it trusts this one. For a new key: \
                 `meshctl stop`, move the home away, `meshctl setup`"
                    .to_owned(),
            );
        }
        warnings.extend(keyring.warnings(now.unix).into_iter().filter_map(|warning| self.words(warning)));
        warnings
    }

    /// A warning of the `keys` crate, with names.
    fn words(&self, warning: Warning) -> Option<String> {
        let name = |key: PublicKey| self.in_words(key);
        Some(match warning {
            // It has a place of its own in the status.
            Warning::Recovery(_) => return None,
            Warning::Conflict(key) => {
                format!("two machines use the key of {}: its vouches do not count", name(key))
            }
            Warning::DenialsNearlyFull(key, count) => {
                format!("{} has denied {count} keys, nearly all it can", name(key))
            }
            Warning::UniverseFull => {
                "more keys are reachable than are kept; the farthest are left out".to_owned()
            }
            Warning::AdoptedFull => "no more denials can be kept beyond their authors' standing".to_owned(),
            Warning::VersionsUsedUp => {
                "this node's key has no version left to publish: retire it and make a new one".to_owned()
            }
            Warning::ClockBehind => {
                "two machines you approved are more than a day ahead: is this clock slow?".to_owned()
            }
        })
    }

    fn root_ages(&self, now: Now) -> Vec<RootAge> {
        let age = |key: NodeKey| {
            let snapshot = self.trust.snapshot(&key);
            let connected = self.peers.get(&key).is_some_and(|peer| peer.connection.is_some());
            RootAge {
                root: self.named(&key),
                age: snapshot.map(|(issued_at, _)| now.unix.saturating_sub(issued_at)),
                lease_left: snapshot.map(|(_, not_after)| not_after.saturating_sub(now.unix)),
                connected,
            }
        };
        self.trust.roots().into_iter().map(age).collect()
    }

    pub(super) fn peer_list(&self, now: Now) -> Vec<Peer> {
        self.known().iter().map(|key| self.peer_line(key, now)).collect()
    }

    fn peer_line(&self, key: &NodeKey, now: Now) -> Peer {
        let unknown = Known::default();
        let peer = self.peers.get(key).unwrap_or(&unknown);
        let why = self.trust.why(key, now.unix);
        let path = why.as_ref().and_then(best_path).map(|path| self.path(path, now)).unwrap_or_default();
        Peer {
            key: Key(key.bytes()),
            name: self.named(key).name,
            label: self.trust.own_label(key),
            trusts_you: trusts_you(peer),
            standing: why.as_ref().map_or(Standing::Stranger, |why| self.standing(why, now)),
            path,
            platform: platform(&peer.platform),
            load: (peer.load.slots > 0).then(|| load(&peer.load, self.about.speed)),
            version: Some(peer.version.clone()).filter(|version| !version.is_empty()),
            addresses: addresses(peer),
            last_seen: self.last_seen(peer, now),
            connected: peer.connection.is_some(),
            trouble: peer.trouble.clone(),
        }
    }

    fn last_seen(&self, peer: &Known, now: Now) -> Option<u64> {
        (peer.last_seen > 0).then(|| now.unix.saturating_sub(peer.last_seen))
    }

    pub(super) fn seen_list(&self, now: Now) -> Vec<Seen> {
        let seen = |(key, peer): (&NodeKey, &Known)| Seen {
            key: Key(key.bytes()),
            name: peer.name.clone(),
            addresses: addresses(peer),
            last_seen: now.unix.saturating_sub(peer.last_seen),
            standing: self
                .trust
                .why(key, now.unix)
                .map_or(Standing::Stranger, |why| self.standing(&why, now)),
        };
        self.peers.iter().filter(|(_, peer)| peer.last_seen > 0).map(seen).collect()
    }

    fn standing(&self, why: &closure::Why, now: Now) -> Standing {
        match &why.standing {
            closure::Standing::Me | closure::Standing::Trusted => {
                let last = best_path(why).and_then(|path| path.steps.last());
                Standing::Trusted {
                    rights: rights(why.rights.bits()),
                    depth: last.map_or(0, |step| step.depth_left),
                    approved: self.trust.is_root(&trust::node(why.key)),
                }
            }
            closure::Standing::Blocked => Standing::Refused(Refusal::Blocked),
            closure::Standing::Retired(successor) => {
                let successor = successor.map(|key| Key(*key.as_bytes()));
                Standing::Refused(Refusal::Retired { successor })
            }
            closure::Standing::Lapsed => Standing::Refused(Refusal::Lapsed),
            closure::Standing::Unknown => Standing::Stranger,
            closure::Standing::Denied(denials) => match denials.first() {
                None => Standing::Stranger,
                Some(denial) => Standing::Refused(Refusal::Denied {
                    by: self.named_key(&denial.issuer),
                    reason: reason(denial.reason),
                    age: now.unix.saturating_sub(denial.issued_at),
                    id: denial.id.short(),
                }),
            },
        }
    }

    fn path(&self, path: &closure::Path, now: Now) -> Path {
        let hop = |step: &closure::Step| Hop {
            from: self.named_key(&step.from),
            to: self.named_key(&step.to),
            kind: match step.vouch {
                None => HopKind::Approved { at: self.trust.approved(&step.to) },
                Some(vouch) => HopKind::Vouched {
                    version: vouch.version,
                    lease_left: vouch.not_after.saturating_sub(now.unix),
                },
            },
            depth: step.depth_left,
        };
        let end = path.steps.last().map(|step| self.trust.given(&trust::node(step.to)).0);
        Path { rights: rights(end.unwrap_or_default()), hops: path.steps.iter().map(hop).collect() }
    }

    pub(super) fn why(&self, key: &NodeKey, now: Now) -> Why {
        let trusts_you = self.peers.get(key).and_then(trusts_you);
        let Some(why) = self.trust.why(key, now.unix) else {
            return Why {
                who: self.named(key),
                standing: Standing::Stranger,
                trusts_you,
                paths: Vec::new(),
                hangs_on: Vec::new(),
                denials: Vec::new(),
            };
        };
        let mut paths: Vec<Path> = Vec::new();
        for path in [&why.submit, &why.work].into_iter().flatten() {
            let path = self.path(path, now);
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        Why {
            who: self.named(key),
            standing: self.standing(&why, now),
            trusts_you,
            paths,
            hangs_on: why.hangs_on.iter().map(|key| self.named_key(key)).collect(),
            denials: self.denials(Some(&why.key)),
        }
    }

    /// Denials known here, of one key or of all, in force or not.
    fn denials(&self, about: Option<&PublicKey>) -> Vec<Denial> {
        let keyring = self.trust.keyring();
        let in_force: BTreeSet<_> = keyring.decision().in_force().map(|(id, _)| id).collect();
        let known: BTreeMap<_, _> = keyring.set().denials().chain(keyring.adopted()).collect();
        let wanted = known.iter().filter(|(_, deny)| about.is_none_or(|key| deny.subject == *key));
        let denial = |(id, deny): (&statement::StatementId, &&statement::Deny)| Denial {
            id: id.short(),
            issuer: self.named_key(&deny.issuer),
            subject: self.named_key(&deny.subject),
            reason: reason(deny.reason),
            note: deny.note.clone(),
            issued_at: deny.issued_at,
            in_force: in_force.contains(id),
        };
        wanted.map(denial).collect()
    }

    pub(super) fn trust_list(&self, now: Now) -> Trust {
        let keyring = self.trust.keyring();
        let (set, local) = (keyring.set(), keyring.policy().local());
        let named = |keys: &BTreeSet<PublicKey>| keys.iter().map(|key| self.named_key(key)).collect();
        let others = set.snapshot_issuers().filter(|issuer| *issuer != keyring.me());
        Trust {
            roots: keyring.allowlist().roots().map(|root| self.root(root)).collect(),
            decisions: self.trust.known().iter().map(|key| self.why(key, now)).collect(),
            snapshots: others
                .filter_map(|issuer| set.vouches(&issuer))
                .map(|snapshot| self.snapshot(snapshot, now))
                .collect(),
            denials: self.denials(None),
            retirements: set
                .retired()
                .filter_map(|key| set.retirement(&key))
                .map(|one| self.retirement(one))
                .collect(),
            blocked: named(&local.block),
            void: named(&local.void),
            conflicts: self.conflicts(),
        }
    }

    fn root(&self, root: &testmesh_keys::allowlist::Root) -> Root {
        let keyring = self.trust.keyring();
        let answers = keyring.policy().local().answers;
        let despite =
            keyring.set().denials().filter(|(id, deny)| deny.subject == root.key && answers.contains(id));
        Root {
            who: self.named_key(&root.key),
            rights: rights(root.grant.rights.bits()),
            depth: root.grant.depth,
            approved_at: trust::approved_at(&root.comment),
            despite: despite.map(|(id, _)| id.short()).collect(),
        }
    }

    /// What `recover` would bring back.
    pub(super) fn found(&self, now: Now) -> Found {
        let keyring = self.trust.keyring();
        let own = keyring.own_snapshot();
        let entries = own.map(|own| own.entries.as_slice()).unwrap_or_default();
        let missing = entries.iter().filter(|entry| !entry.rights.is_none());
        let missing = missing.filter(|entry| keyring.allowlist().get(&entry.subject).is_none());
        Found {
            recovery: recovery(keyring),
            snapshot: own.map(|own| self.snapshot(own, now)),
            missing: missing.map(|one| entry(one, Origin::Yours)).collect(),
        }
    }

    fn snapshot(&self, snapshot: &statement::Vouches, now: Now) -> Snapshot {
        let mine = snapshot.issuer == self.trust.keyring().me();
        let origin = if mine { Origin::Yours } else { Origin::Voucher };
        let entry = |one: &statement::Entry| entry(one, origin);
        Snapshot {
            issuer: self.named_key(&snapshot.issuer),
            version: snapshot.version,
            lease_left: snapshot.not_after.saturating_sub(now.unix),
            entries: snapshot.entries.iter().map(entry).collect(),
        }
    }

    fn retirement(&self, retire: &statement::Retire) -> Retirement {
        Retirement {
            who: self.named_key(&retire.key),
            successor: retire.successor.map(|key| Key(*key.as_bytes())),
            note: retire.note.clone(),
            issued_at: retire.issued_at,
        }
    }

    fn conflicts(&self) -> Vec<Conflict> {
        let set = self.trust.keyring().set();
        let issuers = set.snapshot_issuers().filter(|issuer| set.in_conflict(issuer));
        let conflict = |issuer: PublicKey| Conflict {
            issuer: self.named_key(&issuer),
            version: set.version(&issuer).unwrap_or_default(),
        };
        issuers.map(conflict).collect()
    }
}

fn entry(entry: &statement::Entry, origin: Origin) -> SnapshotEntry {
    SnapshotEntry {
        who: Named { key: Key(*entry.subject.as_bytes()), name: entry.label.clone(), origin },
        rights: rights(entry.rights.bits()),
        depth: entry.depth,
    }
}

fn recovery(keyring: &Keyring) -> Recovery {
    match keyring.recovery() {
        None => Recovery::No,
        Some(keyring::Recovery::LostStore) => Recovery::LostStore,
        Some(keyring::Recovery::RolledBack) => Recovery::RolledBack,
        Some(keyring::Recovery::Cloned) => Recovery::Cloned,
    }
}

/// The address in use, then those known from before, the newest first.
fn addresses(peer: &Known) -> Vec<String> {
    let current = peer.connection.as_ref().map(|connection| &connection.address);
    let others = peer.addresses.iter().rev().filter(|address| Some(*address) != current);
    current.into_iter().chain(others).cloned().collect()
}

/// What a peer lets us do; none before it said so on this connection.
fn trusts_you(peer: &Known) -> Option<Rights> {
    let said = peer.connection.is_some() && peer.digest.is_some();
    said.then(|| rights(peer.gives_us.0))
}

fn best_path(why: &closure::Why) -> Option<&closure::Path> {
    why.submit.as_ref().or(why.work.as_ref())
}
