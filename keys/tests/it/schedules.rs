//! Keyrings that exchange statements over a lossy network, restart, fall back to old disks and join late.
//!
//! No gossip: pairwise pulls only. At rest nobody may trust more than the union of all stores allows, nothing that
//! every voucher withdrew may be left, and no adopted denial may ever be undone. The union is that of every revocation
//! and of the snapshots in reach: two nodes that refuse each other show each other no lists, and nobody carries the list
//! of a key that does not matter to it, so a denier whose standing rests on a snapshot that only refused nodes hold is
//! not known to be one.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRng;
use testmesh_keys::allowlist::Allowlist;
use testmesh_keys::closure::Decision;
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::{Approve, Audience, Keyring, Record, Recovery, Seed};
use testmesh_keys::policy::Policy;
use testmesh_keys::rights::Rights;
use testmesh_keys::statement::{Reason, Signed};

use crate::support::{Group, config, identity, key};

const NOW: u64 = 1_772_323_200;
/// Pulls until nothing is new, at most.
const ROUNDS: usize = 40;

struct Net {
    nodes: Vec<Keyring>,
    rng: TestRng,
    now: u64,
    /// Nodes whose disk was put back.
    rolled_back: BTreeSet<usize>,
}

fn reopened(keyring: &Keyring, extra: impl IntoIterator<Item = Record>) -> Keyring {
    let (allowlist, policy) = (keyring.allowlist().clone(), keyring.policy().clone());
    let records = keyring.records().into_iter().chain(extra).collect();
    Keyring::new(keyring.identity().clone(), Seed { allowlist, policy, records }, NOW)
}

impl Net {
    fn new(count: usize, rng: TestRng) -> Self {
        let seed = || Seed { allowlist: Allowlist::empty(), policy: Policy::empty(), records: Vec::new() };
        let nodes = (0..count).map(|node| Keyring::new(identity(node), seed(), NOW)).collect();
        Self { nodes, rng, now: NOW, rolled_back: BTreeSet::new() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.next_u64() % bound.max(1) as u64).expect("small")
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn two(&mut self) -> (usize, usize) {
        let one = self.below(self.nodes.len());
        let other = (one + 1 + self.below(self.nodes.len() - 1)) % self.nodes.len();
        (one, other)
    }

    fn approve(&mut self, node: usize, whom: usize, depth: u8) {
        let (label, despite) = (String::new(), BTreeSet::new());
        let approve = Approve { key: key(whom), label, rights: Rights::ALL, depth, despite };
        // Denied or retired meanwhile: then it is not approved.
        let _ = self.nodes[node].approve(approve, self.now);
    }

    fn linked(&self, one: usize, other: usize) -> bool {
        let trusts = |a: usize, b: usize| !self.nodes[a].decision().rights(&key(b)).is_none();
        trusts(one, other) || trusts(other, one)
    }

    /// One node asks another for what it lacks; says whether anything was new.
    fn pull(&mut self, to: usize, from: usize, loss: usize) -> bool {
        let audience = if self.linked(to, from) { Audience::Trusted } else { Audience::Stranger };
        let mut changed = false;
        loop {
            let page = self.nodes[from].listing(None, audience);
            let wanted = self.nodes[to].wanted(&page.items, key(from));
            let given = self.nodes[from].give(&wanted, audience, 1 << 20);
            let mut news = false;
            for signed in given {
                if self.percent(loss) {
                    continue;
                }
                let received = self.nodes[to].receive(signed.bytes(), Some(key(from)), self.now);
                news |= received.is_ok_and(|received| received.new);
            }
            changed |= news;
            if !news {
                return changed;
            }
        }
    }

    fn sync(&mut self, pulls: usize, loss: usize) {
        for _ in 0..pulls {
            let (to, from) = self.two();
            self.pull(to, from, loss);
            self.check_adopted();
        }
    }

    fn rest(&mut self) {
        for _ in 0..ROUNDS {
            let mut changed = false;
            for to in 0..self.nodes.len() {
                for from in 0..self.nodes.len() {
                    changed |= to != from && self.pull(to, from, 0);
                }
            }
            if !changed {
                return;
            }
        }
        panic!("never at rest");
    }

    /// No adopted denial is undone while nobody answered it.
    fn check_adopted(&self) {
        for keyring in &self.nodes {
            for (id, deny) in keyring.adopted() {
                let rights = keyring.decision().rights(&deny.subject);
                assert!(rights.is_none(), "{:?} is back at {:?} despite {id:?}", deny.subject, keyring.me());
            }
        }
    }

    fn withdraw_something(&mut self, removed: &mut BTreeSet<usize>) {
        let (one, other) = self.two();
        let now = self.now;
        match self.below(5) {
            0 | 1 => drop(self.nodes[one].revoke(&key(other), Reason::Lost, "", now)),
            2 => {
                drop(self.nodes[one].revoke(&key(other), Reason::Misbehaving, "", now));
                drop(self.nodes[other].revoke(&key(one), Reason::Misbehaving, "", now));
            }
            3 => drop(self.nodes[other].retire(None, "", now)),
            _ => {
                for node in &mut self.nodes {
                    let _ = node.forget(&key(other), true, now);
                }
                removed.insert(other);
            }
        }
    }

    /// Whether a snapshot could come from one node to another, directly or through others: it is shown along trust
    /// only, and carried only by those in whose universe its issuer is.
    fn could_come(&self, issuer: &PublicKey, from: usize, to: usize) -> bool {
        let carries = |node: &usize| {
            let keyring = &self.nodes[*node];
            keyring.me() == *issuer || keyring.decision().in_universe(issuer)
        };
        let mut heard = BTreeSet::from([from]);
        let mut todo = vec![from];
        while let Some(at) = todo.pop() {
            let next = (0..self.nodes.len()).filter(|other| self.linked(at, *other)).filter(carries);
            todo.extend(next.filter(|other| heard.insert(*other)).collect::<Vec<_>>());
        }
        heard.contains(&to)
    }

    /// What a node would decide with every revocation there is and every snapshot that could reach it.
    fn with_everything(&self, node: usize) -> Decision {
        let mut extra = Vec::new();
        for (at, keyring) in self.nodes.iter().enumerate() {
            let could_reach = |signed: &&Signed| {
                let issuer = signed.issuer();
                signed.statement().is_revocation()
                    || issuer != key(node) && self.could_come(&issuer, at, node)
            };
            extra.extend(keyring.set().iter().filter(could_reach).cloned().map(Record::Statement));
        }
        reopened(&self.nodes[node], extra).decision().clone()
    }
}

fn run(rng: TestRng) {
    let mut net = Net::new(4, rng);
    for _ in 0..net.below(4) {
        net.nodes.push(Net::new(8, net.rng.clone()).nodes.swap_remove(net.nodes.len()));
    }
    let count = net.nodes.len();
    for _ in 0..count + net.below(2 * count) {
        let (one, other) = net.two();
        let depth = [4, 4, 4, 1, 0][net.below(5)];
        net.approve(one, other, depth);
        if net.percent(70) {
            net.approve(other, one, 4);
        }
    }
    net.sync(3 * count, 30);
    let mut removed = BTreeSet::new();
    for _ in 0..1 + net.below(3) {
        net.now += 10;
        let backup = net.nodes.clone();
        net.withdraw_something(&mut removed);
        let pulls = net.below(2 * count);
        net.sync(pulls, 50);
        let node = net.below(count);
        if net.percent(20) {
            net.nodes[node] = backup[node].clone();
            net.rolled_back.insert(node);
        } else if net.percent(30) {
            net.nodes[node] = reopened(&net.nodes[node], []);
        }
    }
    net.rest();
    net.check_adopted();
    for node in 0..count {
        let ours = net.nodes[node].decision();
        let union = net.with_everything(node);
        let too_much = ours.trusted().find(|(key, rights)| !union.rights(key).contains(*rights));
        assert_eq!(too_much, None, "node {node} trusts more than what could reach it allows");
        if net.rolled_back.is_empty() {
            assert!(ours.trusted().eq(union.trusted()), "node {node} lacks a statement");
            let ghosts: Vec<&usize> =
                removed.iter().filter(|ghost| !ours.rights(&key(**ghost)).is_none()).collect();
            assert!(ghosts.is_empty(), "node {node} still trusts {ghosts:?}, which everybody forgot");
        }
        if net.nodes[node].recovery() == Some(Recovery::RolledBack) {
            let own = net.nodes[node].own_snapshot().expect("the newer one");
            let listed = |root: &testmesh_keys::allowlist::Root| {
                own.entry(&root.key).is_some_and(|entry| !entry.rights.is_none())
            };
            let direct = ours.trusted().filter_map(|(key, _)| net.nodes[node].allowlist().get(&key));
            let undone: Vec<_> = direct.filter(|root| !listed(root) && is_direct(ours, root)).collect();
            assert!(undone.is_empty(), "node {node} was put back and trusts {undone:?} again");
        }
    }
}

/// Whether the owner's own approval is what a key is trusted by.
fn is_direct(decision: &Decision, root: &testmesh_keys::allowlist::Root) -> bool {
    let hops = testmesh_keys::closure::PATH_RIGHTS.map(|right| decision.hop(right, &root.key));
    hops.into_iter().flatten().any(|hop| hop.from.is_none())
}

/// A root that is denied holds the only list that makes a stranger a denier; nobody it could come from carries it.
#[test]
fn a_list_that_nobody_carries_is_not_missed() {
    let rng = [
        164, 242, 137, 65, 121, 186, 99, 28, 180, 97, 250, 29, 206, 28, 201, 40, 240, 49, 68, 211, 192, 78,
        158, 106, 211, 64, 77, 240, 8, 208, 92, 249,
    ];
    run(TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &rng));
}

proptest! {
    #![proptest_config(config(Group::Schedules, 6))]

    #[test]
    fn at_rest_nobody_trusts_too_much(rng in any::<[u8; 32]>()) {
        run(TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &rng));
    }
}
