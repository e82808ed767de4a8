//! PURE façade: what this node's owner decided and what arrived, in; what to write, send, admit and expel, out.
//!
//! Every call that changes something takes the time and returns a [`Change`]; nothing is written here. The caller
//! persists first, then publishes, and admits and expels in the same turn. Invariants, after every call:
//! the decision is that of the present inputs; denials in force about keys that matter here are adopted; the own
//! snapshot says what the allowlist says, with no rights for roots that are not trusted (unless in recovery).
//!
//! Files: `command` what the owner types, `receive` what peers send, `settle` what follows from either, `exchange`
//! pairwise reconciliation, `change` the results.

mod change;
mod command;
mod exchange;
mod receive;
mod settle;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::allowlist::Allowlist;
use crate::closure::{self, Decision, Grant, Inputs, Local, Why};
use crate::identity::Identity;
use crate::key::PublicKey;
use crate::policy::Policy;
use crate::set::{MAX_DENIALS, StatementSet};
use crate::statement::{Deny, Signed, Statement, StatementId, Vouches};

pub use self::change::{Change, Record, Recovery, RightsChange};
pub use self::command::{Approve, CommandError, Preview};
pub use self::exchange::{Audience, Item, MAX_PAGE, MAX_WANTED, Page};
pub use self::receive::{MAX_FOREIGN, MAX_FOREIGN_DENIALS, MAX_FOREIGN_PER_GIVER, Received, Refused};
pub use self::settle::{LEASE, MAX_ADOPTED, MAX_MARKS, RENEW_AFTER};

/// Denials of one issuer from which on the owner is warned: `MAX_DENIALS` is near.
pub const WARN_DENIALS: usize = 100;
/// How far ahead of this clock the snapshots of roots may be issued before the owner is warned, in seconds.
const CLOCK_SKEW: u64 = 24 * 60 * 60;

/// What the node knows about trust. Clone it before a command to undo the command.
#[derive(Debug, Clone)]
pub struct Keyring {
    identity: Arc<Identity>,
    allowlist: Allowlist,
    policy: Policy,
    /// The policy as the closure wants it.
    local: Local,
    set: StatementSet,
    adopted: BTreeMap<StatementId, Signed>,
    recovery: Option<Recovery>,
    foreign: receive::Foreign,
    decision: Decision,
    digest: [u8; 32],
}

/// What a store kept of a keyring.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The approvals.
    pub allowlist: Allowlist,
    /// The other decisions.
    pub policy: Policy,
    /// The log, in its order.
    pub records: Vec<Record>,
}

/// What the owner should be told, beside the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// Two machines use this key; its vouches are void.
    Conflict(PublicKey),
    /// An issuer has nearly used up its denials.
    DenialsNearlyFull(PublicKey, usize),
    /// More keys are reached than fit; the farthest are left out.
    UniverseFull,
    /// No more denials are adopted.
    AdoptedFull,
    /// At least two approved machines issued snapshots more than a day ahead of this clock: it may be slow.
    ClockBehind,
    /// This node may not publish until its owner decided.
    Recovery(Recovery),
    /// Somebody signed the highest version there is with this node's key: it can publish nothing any more.
    VersionsUsedUp,
}

impl Keyring {
    /// A keyring from what a store kept. Nothing is published; call [`Keyring::tick`] next.
    #[must_use]
    pub fn new(identity: Arc<Identity>, seed: Seed, now: u64) -> Self {
        let mut keyring = Self {
            local: seed.policy.local(),
            identity,
            allowlist: seed.allowlist,
            policy: seed.policy,
            set: StatementSet::default(),
            adopted: BTreeMap::new(),
            recovery: None,
            foreign: receive::Foreign::default(),
            decision: Decision::default(),
            digest: [0; 32],
        };
        keyring.replay(seed.records);
        keyring.decision = closure::decide(&keyring.inputs(&keyring.roots()), now);
        // What this drops will be dropped again if it is ever read again.
        keyring.drop_outside(&mut Change::default());
        keyring.recount();
        keyring.digest = keyring.set.digest();
        keyring
    }

    /// Builds the state from the log. A denial may be adopted although the set has no room for it.
    fn replay(&mut self, records: Vec<Record>) {
        let mut denials = BTreeMap::new();
        for record in records {
            match record {
                Record::Statement(signed) => {
                    if matches!(signed.statement(), Statement::Deny(_)) {
                        denials.insert(signed.id(), signed.clone());
                    }
                    self.set.insert(signed);
                }
                Record::Mark(mark) => self.set.restore_mark(&mark),
                Record::Dropped(issuer) => {
                    self.set.drop_snapshot(&issuer);
                }
                Record::Adopted(id) => {
                    if let Some(signed) = denials.get(&id) {
                        self.adopted.insert(id, signed.clone());
                    }
                }
                Record::Unadopted(id) => {
                    self.adopted.remove(&id);
                }
                Record::Recovery(recovery) => self.recovery = recovery,
                Record::Policy(policy) => self.policy = policy,
                Record::Allowlist(allowlist) => self.allowlist = allowlist,
            }
        }
        let me = self.me();
        self.adopted.extend(denials.into_iter().filter(|(_, signed)| signed.issuer() == me));
        self.local = self.policy.local();
        let void = &self.local.void;
        self.adopted.retain(|_, signed| !void.contains(&signed.issuer()));
    }

    /// Everything a compacted log must hold: the newest state, no history.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let evicted = self.adopted.values().filter(|signed| self.set.get(&signed.id()).is_none());
        let mut records: Vec<Record> =
            self.set.iter().chain(evicted).cloned().map(Record::Statement).collect();
        records.extend(self.set.bare_marks().map(Record::Mark));
        records.extend(self.adopted.keys().map(|id| Record::Adopted(*id)));
        records.extend(self.recovery.map(|recovery| Record::Recovery(Some(recovery))));
        records
    }

    /// This node's key.
    #[must_use]
    pub fn me(&self) -> PublicKey {
        self.identity.public()
    }

    /// The key pair, for the transport.
    #[must_use]
    pub const fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Who is trusted, as of the last call that took a time.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Everything known.
    #[must_use]
    pub const fn set(&self) -> &StatementSet {
        &self.set
    }

    /// Whom the owner approved.
    #[must_use]
    pub const fn allowlist(&self) -> &Allowlist {
        &self.allowlist
    }

    /// What else the owner decided.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Denials that stay in force here whatever becomes of their issuers, in order of ids.
    pub fn adopted(&self) -> impl Iterator<Item = (StatementId, &Deny)> {
        self.adopted.iter().filter_map(|(id, signed)| match signed.statement() {
            Statement::Deny(deny) => Some((*id, deny)),
            Statement::Vouches(_) | Statement::Retire(_) => None,
        })
    }

    /// The own snapshot in force.
    #[must_use]
    pub fn own_snapshot(&self) -> Option<&Vouches> {
        self.set.vouches(&self.me())
    }

    /// Why this node may not publish, if so.
    #[must_use]
    pub const fn recovery(&self) -> Option<Recovery> {
        self.recovery
    }

    /// How a key stands and why.
    #[must_use]
    pub fn why(&self, key: &PublicKey, now: u64) -> Why {
        closure::explain(&self.inputs(&self.roots()), &self.decision, key, now)
    }

    /// What a key is called: by the owner, else by whoever vouches for it on its best path (a claim).
    #[must_use]
    pub fn label(&self, key: &PublicKey) -> Option<&str> {
        let own = self.allowlist.get(key).map(|root| root.label.as_str());
        let hops = closure::PATH_RIGHTS.iter().filter_map(|right| self.decision.hop(*right, key)?.from);
        let claimed =
            hops.filter_map(|from| self.set.vouches(&from)?.entry(key)).map(|entry| entry.label.as_str());
        own.into_iter().chain(claimed).find(|label| !label.is_empty())
    }

    /// When to call [`Keyring::tick`] at the latest, in unix seconds: a lease ends or the own snapshot is due.
    #[must_use]
    pub fn next_tick(&self) -> Option<u64> {
        let renewal = self.own_snapshot().map(|vouches| vouches.issued_at.saturating_add(RENEW_AFTER));
        self.decision.next_expiry().into_iter().chain(renewal).min()
    }

    /// What the owner should be told.
    #[must_use]
    pub fn warnings(&self, now: u64) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = self.recovery.map(Warning::Recovery).into_iter().collect();
        let mut issuers: Vec<PublicKey> = vec![self.me()];
        issuers.extend(self.decision.universe().map(|(key, _)| key));
        for issuer in issuers {
            let denials = self.set.count_denials(&issuer);
            if denials >= WARN_DENIALS {
                warnings.push(Warning::DenialsNearlyFull(issuer, denials.min(MAX_DENIALS)));
            }
            if self.set.in_conflict(&issuer) {
                warnings.push(Warning::Conflict(issuer));
            }
        }
        if self.decision.overflow() {
            warnings.push(Warning::UniverseFull);
        }
        if self.adopted.len() >= MAX_ADOPTED {
            warnings.push(Warning::AdoptedFull);
        }
        if self.set.version(&self.me()) == Some(u64::MAX) {
            warnings.push(Warning::VersionsUsedUp);
        }
        if self.is_clock_behind(now) {
            warnings.push(Warning::ClockBehind);
        }
        warnings
    }

    fn is_clock_behind(&self, now: u64) -> bool {
        let issued = self.allowlist.roots().filter_map(|root| self.set.vouches(&root.key));
        issued.filter(|vouches| vouches.issued_at > now.saturating_add(CLOCK_SKEW)).count() >= 2
    }

    /// The approvals in force. After a rollback only what the newer own snapshot lists as well: what the restored
    /// backup still approves may have been forgotten since.
    fn roots(&self) -> BTreeMap<PublicKey, Grant> {
        let mut roots = self.allowlist.grants();
        roots.remove(&self.me());
        if self.recovery == Some(Recovery::RolledBack)
            && let Some(newer) = self.own_snapshot()
        {
            roots.retain(|key, grant| {
                newer.entry(key).is_some_and(|entry| {
                    grant.rights = grant.rights & entry.rights;
                    !entry.rights.is_none()
                })
            });
        }
        roots
    }

    fn inputs<'a>(&'a self, roots: &'a BTreeMap<PublicKey, Grant>) -> Inputs<'a> {
        Inputs { me: self.me(), roots, local: &self.local, adopted: &self.adopted, set: &self.set }
    }

    /// A statement by its name, held or adopted.
    fn statement(&self, id: &StatementId) -> Option<&Signed> {
        self.set.get(id).or_else(|| self.adopted.get(id))
    }
}
