//! The crate behind the properties' interface, and its agreement with the model on random worlds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use testmesh_keys::closure::{self, Grant, Inputs, Local, PATH_RIGHTS, Standing, decide, explain};
use testmesh_keys::rights::Rights;
use testmesh_keys::set::StatementSet;
use testmesh_keys::statement::{Deny, Entry, Reason, Retire, Signed, Statement, StatementId, Vouches};

use crate::model::{self, Denial, Doc, Merged, Mutant, Outcome, Owner, Said};
use crate::properties::{self, Engine};
use crate::support::{Group, NODES, config, key, node};
use crate::worlds::{Case, case};

/// The rules as the crate has them.
pub(crate) struct Crate;

/// The rules as the model has them, perhaps with a mistake.
pub(crate) struct Model(pub(crate) Option<Mutant>);

impl Engine for Model {
    fn decide(&self, owner: &Owner, said: &[Said], now: u64) -> Outcome {
        model::evaluate(owner, said, now, self.0)
    }

    fn merged(&self, said: &[Said]) -> Vec<u8> {
        format!("{:?}", Merged::of(said, self.0)).into_bytes()
    }
}

impl Engine for Crate {
    fn decide(&self, owner: &Owner, said: &[Said], now: u64) -> Outcome {
        let world = World::new(owner, said);
        let decision = decide(&world.inputs(), now);
        let denied: BTreeSet<usize> = decision.denied().map(|(key, _)| node(&key)).collect();
        let hard = owner.block.iter().copied().chain(world.set.retired().map(|key| node(&key)));
        let path = |right: Rights| {
            let hop = |at: usize| Some((at, decision.hop(right, &key(at))?));
            let hops = (0..NODES).filter_map(hop);
            hops.map(|(at, hop)| (at, (i32::from(hop.depth_left), hop.from.map(|from| node(&from)))))
                .collect()
        };
        Outcome {
            trusted: decision.trusted().map(|(key, rights)| (node(&key), rights.bits())).collect(),
            universe: decision.universe().map(|(key, left)| (node(&key), i32::from(left))).collect(),
            dead: denied.iter().copied().chain(hard).collect(),
            denied,
            in_force: decision.in_force().filter_map(|(id, _)| world.names.get(&id).copied()).collect(),
            // Which answers of roots counted is no output of the crate: the model's word is taken.
            answered: model::evaluate(owner, said, now, None).answered,
            paths: PATH_RIGHTS.map(path),
        }
    }

    fn merged(&self, said: &[Said]) -> Vec<u8> {
        let set = merge(said);
        format!("{:?} {:?} {:?}", set.digest(), set.iter().collect::<Vec<_>>(), marks(&set)).into_bytes()
    }
}

fn marks(set: &StatementSet) -> Vec<(u64, bool)> {
    (0..NODES).map(|node| (set.version(&key(node)).unwrap_or(0), set.in_conflict(&key(node)))).collect()
}

pub(crate) fn deny(denial: &Denial) -> Signed {
    let statement = Statement::Deny(Deny {
        issuer: key(denial.issuer),
        subject: key(denial.subject),
        reason: Reason::Lost,
        issued_at: 0,
        nonce: [denial.nonce; 8],
        note: String::new(),
    });
    Signed::unsigned(statement).expect("within bounds")
}

fn vouches(doc: &Doc) -> Signed {
    let mut entries: Vec<Entry> = doc
        .entries
        .iter()
        .map(|(subject, vouch)| {
            let mut answers: Vec<StatementId> =
                vouch.answers.iter().map(|denial| deny(denial).id()).collect();
            answers.sort_unstable();
            let rights = Rights::from_bits(vouch.rights).expect("two rights");
            Entry { subject: key(*subject), rights, depth: vouch.depth, label: String::new(), answers }
        })
        .collect();
    entries.sort_by_key(|entry| entry.subject);
    let (issuer, version, not_after) = (key(doc.issuer), doc.version, doc.not_after);
    let statement = Statement::Vouches(Vouches { issuer, version, issued_at: 0, not_after, entries });
    Signed::unsigned(statement).expect("within bounds")
}

fn signed(said: &Said) -> Signed {
    match said {
        Said::Doc(doc) => vouches(doc),
        Said::Deny(denial) => deny(denial),
        Said::Retire(node) => {
            let retire = Retire { key: key(*node), issued_at: 0, successor: None, note: String::new() };
            Signed::unsigned(Statement::Retire(retire)).expect("within bounds")
        }
    }
}

fn merge(said: &[Said]) -> StatementSet {
    let mut set = StatementSet::default();
    for each in said {
        set.insert(signed(each));
    }
    set
}

/// A model's world in the crate's types.
struct World {
    me: usize,
    roots: BTreeMap<testmesh_keys::key::PublicKey, Grant>,
    local: Local,
    adopted: BTreeMap<StatementId, Signed>,
    set: StatementSet,
    names: BTreeMap<StatementId, Denial>,
}

impl World {
    fn new(owner: &Owner, said: &[Said]) -> Self {
        let grant = |(node, (rights, depth)): (&usize, &(u8, u8))| {
            (key(*node), Grant { rights: Rights::from_bits(*rights).expect("two rights"), depth: *depth })
        };
        let denials = said.iter().filter_map(|said| match said {
            Said::Deny(denial) => Some(*denial),
            Said::Doc(_) | Said::Retire(_) => None,
        });
        let names: BTreeMap<StatementId, Denial> =
            denials.map(|denial| (deny(&denial).id(), denial)).collect();
        let adopted = names.iter().filter(|(_, denial)| owner.adopted.contains(denial));
        Self {
            me: owner.me,
            roots: owner.roots.iter().map(grant).collect(),
            local: Local {
                block: owner.block.iter().map(|node| key(*node)).collect(),
                void: owner.void.iter().map(|node| key(*node)).collect(),
                answers: owner.answers.iter().map(|denial| deny(denial).id()).collect(),
            },
            adopted: adopted.map(|(id, denial)| (*id, deny(denial))).collect(),
            set: merge(said),
            names,
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            me: key(self.me),
            roots: &self.roots,
            local: &self.local,
            adopted: &self.adopted,
            set: &self.set,
        }
    }
}

/// Without the vouchers of paths: of equally good paths each may take its own.
fn comparable(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    for (_, from) in outcome.paths.iter_mut().flat_map(BTreeMap::values_mut) {
        *from = None;
    }
    outcome
}

fn check_all(engine: &dyn Engine, case: &Case) -> Result<(), TestCaseError> {
    for (name, property) in properties::ALL {
        property(engine, case).map_err(|wrong| TestCaseError::fail(format!("{name}: {wrong}")))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(Group::Worlds, 64))]

    #[test]
    fn the_crate_decides_as_the_model(case in case()) {
        let ours = Crate.decide(&case.owner, &case.said, case.now);
        let model = Model(None).decide(&case.owner, &case.said, case.now);
        prop_assert_eq!(comparable(&ours), comparable(&model));
        let adopting = Owner { adopted: ours.in_force.clone(), ..case.owner.clone() };
        let ours = Crate.decide(&adopting, &case.said, case.now + case.later);
        let model = Model(None).decide(&adopting, &case.said, case.now + case.later);
        prop_assert_eq!(comparable(&ours), comparable(&model));
    }

    #[test]
    fn every_property_holds_for_the_crate(case in case()) {
        check_all(&Crate, &case)?;
    }

    #[test]
    fn every_property_holds_for_the_model(case in case()) {
        check_all(&Model(None), &case)?;
    }

    #[test]
    fn why_tells_the_path_of_every_trusted_key(case in case()) {
        let world = World::new(&case.owner, &case.said);
        let decision = decide(&world.inputs(), case.now);
        for at in 0..NODES {
            let why = explain(&world.inputs(), &decision, &key(at), case.now);
            let rights = decision.rights(&key(at));
            for (right, path) in PATH_RIGHTS.into_iter().zip([&why.submit, &why.work]) {
                prop_assert_eq!(rights.contains(right), path.is_some());
                let steps = path.iter().flat_map(|path| &path.steps);
                let mut from = key(case.owner.me);
                for step in steps {
                    prop_assert_eq!(step.from, from);
                    from = step.to;
                }
                prop_assert!(path.is_none() || from == key(at));
            }
            prop_assert_eq!(why.standing == Standing::Trusted, !rights.is_none());
            for needed in &why.hangs_on {
                let mut local = world.local.clone();
                local.block.insert(*needed);
                let without = decide(&Inputs { local: &local, ..world.inputs() }, case.now);
                prop_assert!(without.rights(&key(at)).is_none());
            }
        }
    }

    #[test]
    fn nothing_expires_before_the_next_expiry(case in case()) {
        let world = World::new(&case.owner, &case.said);
        let now = decide(&world.inputs(), case.now);
        let until = now.next_expiry().unwrap_or(case.now + 100);
        for time in case.now..until.min(case.now + 100) {
            let then = decide(&world.inputs(), time);
            prop_assert!(then.trusted().eq(now.trusted()));
        }
    }
}

#[test]
fn a_universe_keeps_the_nearest() {
    use testmesh_keys::identity::Identity;
    // Four roots vouch for 256 keys each, each of which vouches for others: more than fit.
    let made: Vec<_> = (0..1400u32)
        .map(|seed| {
            let mut bytes = [0xaa; 32];
            bytes[..4].copy_from_slice(&seed.to_le_bytes());
            Identity::from_secret_bytes(bytes).expect("a key").public()
        })
        .collect();
    let grant = Grant { rights: Rights::ALL, depth: 4 };
    let roots: BTreeMap<_, _> = made[..4].iter().map(|key| (*key, grant)).collect();
    let mut set = StatementSet::default();
    for (at, issuer) in made.iter().enumerate().take(5) {
        let subjects = made[4 + at * 256..].iter().take(256);
        let entry = |subject: &testmesh_keys::key::PublicKey| Entry {
            subject: *subject,
            rights: Rights::ALL,
            depth: 4,
            label: String::new(),
            answers: Vec::new(),
        };
        let mut entries: Vec<Entry> = subjects.map(entry).collect();
        entries.sort_by_key(|entry| entry.subject);
        let vouches = Vouches { issuer: *issuer, version: 1, issued_at: 0, not_after: 9, entries };
        set.insert(Signed::unsigned(Statement::Vouches(vouches)).expect("within bounds"));
    }
    let (local, adopted) = (Local::default(), BTreeMap::new());
    let inputs = Inputs { me: key(0), roots: &roots, local: &local, adopted: &adopted, set: &set };
    let decision = decide(&inputs, 1);
    assert!(decision.overflow());
    assert_eq!(decision.universe().count(), closure::MAX_UNIVERSE);
    assert!(made[..4].iter().all(|root| decision.in_universe(root)), "a root is never left out");
    let mut near: Vec<_> = made[4..4 + 1024].to_vec();
    near.sort_unstable();
    assert!(near[..1020].iter().all(|key| decision.in_universe(key)), "the nearest, then by key");
    assert_eq!(decision.trusted().count(), closure::MAX_UNIVERSE);
}
