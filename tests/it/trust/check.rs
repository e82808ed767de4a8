//! What must hold in a world at rest.

use std::collections::{BTreeMap, BTreeSet};

use testmesh_behaviours::id::NodeKey;
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::{Keyring, Record, Seed};
use testmesh_keys::statement::{Kind, Signed, StatementId};

use super::world::World;

/// Statements by name.
type Statements = BTreeMap<StatementId, Signed>;

impl World {
    fn keyring(&self, node: usize) -> &Keyring {
        self.nodes[node].state.trust().keyring()
    }

    /// What a node holds, its adopted denials included.
    fn held(&self, node: usize) -> Statements {
        statements(&self.keyring(node).records())
    }

    /// Whether a statement that one holds reaches the other, by the rules alone: who passes what on to whom, and who
    /// takes what from whom.
    fn flows(&self, signed: &Signed, from: usize, to: usize) -> bool {
        let (giver, taker) = (&self.nodes[from], self.keyring(to));
        let issuer = signed.issuer();
        if !giver.linked.contains(&to) || giver.drops.contains(&NodeKey::new(*issuer.as_bytes())) {
            return false;
        }
        let concerns = issuer == taker.me() || taker.decision().in_universe(&issuer);
        let from_known = taker.decision().in_universe(&giver.identity.public());
        match signed.statement().kind() {
            Kind::Deny | Kind::Retire => concerns || from_known,
            Kind::Vouches => {
                let mutual = giver.admitted.contains(&to) && self.nodes[to].admitted.contains(&from);
                mutual && (issuer == taker.me() || concerns && from_known)
            }
        }
    }

    /// Everything that must have reached a node: what is on disks, along wires, as far as the rules carry it.
    fn due(&self) -> Vec<Statements> {
        let count = self.nodes.len();
        let mut due: Vec<Statements> = (0..count)
            .map(|node| {
                // The log remembers revocations that were ever written; snapshots are passed on only while held.
                let logged = statements(&self.nodes[node].disk.records).into_iter();
                let mut known = self.held(node);
                known.extend(logged.filter(|(_, signed)| signed.statement().is_revocation()));
                known
            })
            .collect();
        loop {
            let mut news = Vec::new();
            for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
                let lacking = due[from].iter().filter(|(id, _)| !due[to].contains_key(*id));
                let flowing = lacking.filter(|(_, signed)| self.flows(signed, from, to));
                news.extend(flowing.map(|(id, signed)| (to, *id, signed.clone())));
            }
            if news.is_empty() {
                return due;
            }
            news.into_iter().for_each(|(to, id, signed)| drop(due[to].insert(id, signed)));
        }
    }

    /// Whether a node holds a statement, or one that says all it says.
    fn knows(&self, node: usize, held: &Statements, signed: &Signed) -> bool {
        let set = self.keyring(node).set();
        held.contains_key(&signed.id())
            || match signed.statement().kind() {
                Kind::Deny => false,
                Kind::Retire => set.retirement(&signed.issuer()).is_some(),
                Kind::Vouches => {
                    let (_, version) = testmesh_keys::set::kind_and_version(signed);
                    !set.lacks_snapshot(&signed.issuer(), version, &signed.id())
                }
            }
    }

    /// What a node would decide if it held all that is due.
    fn ideal(&self, node: usize, due: &Statements) -> Keyring {
        let disk = &self.nodes[node].disk;
        let held = self.held(node);
        // The log also remembers snapshots that did not matter for a while and were let go.
        let counts = |record: &&Record| match record {
            Record::Statement(signed) => {
                signed.statement().is_revocation() || held.contains_key(&signed.id())
            }
            _ => true,
        };
        let mut records: Vec<Record> = disk.records.iter().filter(counts).cloned().collect();
        records.extend(due.values().cloned().map(Record::Statement));
        // Adoptions follow the statements they name.
        records.extend(
            disk.records
                .iter()
                .filter(|record| matches!(record, Record::Adopted(_) | Record::Unadopted(_)))
                .cloned(),
        );
        let seed = Seed { allowlist: disk.allowlist.clone(), policy: disk.policy.clone(), records };
        Keyring::new(self.nodes[node].identity.clone(), seed, self.unix(node))
    }

    pub(crate) fn check(&self) {
        let due = self.due();
        for (node, due) in due.iter().enumerate() {
            let held = self.held(node);
            for signed in due.values() {
                let (kind, issuer) = (signed.statement().kind(), self.number(&signed.issuer()));
                assert!(self.knows(node, &held, signed), "node {node} lacks a {kind:?} of {issuer:?}");
            }
            self.check_decision(node, due);
            self.check_doors(node);
        }
    }

    fn number(&self, key: &PublicKey) -> Option<usize> {
        self.nodes.iter().position(|node| node.identity.public() == *key)
    }

    fn check_decision(&self, node: usize, due: &Statements) {
        let keyring = self.keyring(node);
        let ideal = self.ideal(node, due);
        let again = self.nodes[node].disk.read(&self.nodes[node].identity, self.unix(node));
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let key = self.nodes[other].identity.public();
            let rights = |keyring: &Keyring| keyring.decision().rights(&key).bits();
            let (has, may, after) = (rights(keyring), rights(&ideal), rights(&again));
            let (recovery, adopted) = (keyring.recovery(), keyring.adopted().count());
            let state = format!(
                "{after} after a restart; {recovery:?}, {adopted} adopted, ideally {:?}, {}",
                ideal.recovery(),
                ideal.adopted().count()
            );
            let why = keyring.why(&key, self.unix(node)).standing;
            assert_eq!(
                has & !may,
                0,
                "node {node} trusts {other} with {has}, {may} would be right; {state}: {why:?}"
            );
            assert_eq!(
                has, may,
                "node {node} trusts {other} with {has} only, {may} would be right; {state}: {why:?}"
            );
            assert_eq!(
                has & !after,
                0,
                "node {node} trusts {other} with {has}, after a restart with {after}"
            );
        }
    }

    /// Doors are open to those trusted, and barred to those blocked.
    fn check_doors(&self, node: usize) {
        let at = &self.nodes[node];
        let local = at.state.trust().keyring().policy().local();
        let numbers = |keys: &BTreeSet<PublicKey>| -> BTreeSet<usize> {
            keys.iter().filter_map(|key| self.number(key)).collect()
        };
        let trusted = at.state.trust().keyring().decision().trusted();
        let trusted = trusted.filter(|(_, rights)| !rights.is_none()).map(|(key, _)| key).collect();
        assert_eq!(at.admitted, numbers(&trusted), "node {node} lets in whom it trusts");
        assert_eq!(at.blocked, numbers(&local.block), "node {node} bars whom its owner blocked");
    }
}

fn statements(records: &[Record]) -> Statements {
    let signed = records.iter().filter_map(|record| match record {
        Record::Statement(signed) => Some(signed),
        _ => None,
    });
    signed.map(|signed| (signed.id(), signed.clone())).collect()
}
