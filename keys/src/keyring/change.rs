//! What follows from a command or a statement: to write, to send, to admit and expel, to note.
//!
//! Plain data made by the keyring; read by the node and the store. Nothing is done here.

use crate::allowlist::Allowlist;
use crate::audit::AuditEvent;
use crate::key::PublicKey;
use crate::policy::Policy;
use crate::rights::Rights;
use crate::set::Mark;
use crate::statement::{Signed, StatementId};

/// What follows, in the order: persist, publish, expel and admit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// For the store, before anything else.
    pub persist: Vec<Record>,
    /// Own statements for the peers, once persisted.
    pub publish: Vec<Signed>,
    /// Who gained at least one right, in order of keys.
    pub gained: Vec<RightsChange>,
    /// Who lost at least one right, in order of keys. A key that swaps one right for the other stands in both.
    pub lost: Vec<RightsChange>,
    /// For the audit log, in order.
    pub audit: Vec<AuditEvent>,
}

/// One thing the store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A statement was taken or made.
    Statement(Signed),
    /// The newest version seen of an issuer whose snapshot is not held.
    Mark(Mark),
    /// The snapshot of an issuer that is not reached any more is held no longer; its mark is. Without this a restart
    /// would bring it back, and with it what its issuer said before it was reached anew.
    Dropped(PublicKey),
    /// A denial was in force here once and stays so, whatever becomes of its issuer.
    Adopted(StatementId),
    /// The owner lifted an adoption (void, or forget without keeping).
    Unadopted(StatementId),
    /// Recovery began, or ended.
    Recovery(Option<Recovery>),
    /// The whole policy file.
    Policy(Policy),
    /// The whole allowlist file.
    Allowlist(Allowlist),
}

/// Why this node may not publish a snapshot until its owner decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// The key is here, the store was not: what it published is not known, and absence would withdraw it.
    LostStore,
    /// A newer snapshot of this node's key came from a peer: this home is a restored backup, or a second machine
    /// uses the key.
    RolledBack,
    /// A second content of this node's own version came from a peer: two machines use the key.
    Cloned,
}

/// Rights of one key before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RightsChange {
    /// Whose.
    pub key: PublicKey,
    /// Until now.
    pub before: Rights,
    /// From now on.
    pub after: Rights,
}

impl Change {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
