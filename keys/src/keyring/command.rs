//! What the owner of this node types.
//!
//! Each command is checked first, so that an error leaves everything as it was; then it changes the lists or signs a
//! revocation, and everything else follows (`settle`). Pure.

use std::collections::BTreeSet;

use crate::allowlist::{Allowlist, AllowlistError, LabelError, MAX_ROOTS, Root, check_label};
use crate::audit::AuditEvent;
use crate::closure::{Denial, Grant, MAX_DEPTH};
use crate::key::PublicKey;
use crate::keyring::Keyring;
use crate::keyring::change::{Change, Record, RightsChange};
use crate::policy::{MAX_RULES, Policy, Rule};
use crate::rights::Rights;
use crate::set::MAX_DENIALS;
use crate::statement::{Deny, MAX_NOTE, Reason, Retire, Signed, Statement, StatementError, StatementId};
use crate::text;

/// An approval as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approve {
    /// Whom.
    pub key: PublicKey,
    /// What to call it here; may be empty.
    pub label: String,
    /// For what; at least one right.
    pub rights: Rights,
    /// How many more hops its own vouches carry, at most [`MAX_DEPTH`].
    pub depth: u8,
    /// Denials of it to override.
    pub despite: BTreeSet<StatementId>,
}

/// What a revocation would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Every key that would lose a right, in order of keys.
    pub falls: Vec<RightsChange>,
}

/// Why a command was refused; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// This node's own key.
    #[error("{0} is the key of this node; hint: to give it up for good, use `retire`")]
    OwnKey(PublicKey),
    /// Not in the allowlist.
    #[error("{0} is not approved here")]
    NotApproved(PublicKey),
    /// Retired keys stay retired.
    #[error("{0} retired itself; hint: its machine needs a new key")]
    Retired(PublicKey),
    /// Blocked here.
    #[error("{0} is blocked here; hint: `unblock` it first")]
    Blocked(PublicKey),
    /// Not blocked here.
    #[error("{0} is not blocked here")]
    NotBlocked(PublicKey),
    /// Its denials are heeded.
    #[error("the denials of {0} are not voided here")]
    NotVoid(PublicKey),
    /// Denied, and the denials were not named.
    #[error(
        "{key} is denied{}; hint: `meshctl why {key}` shows by whom and why; who knows better adds{}",
        times(denials),
        despite(denials)
    )]
    Denied {
        /// Whom.
        key: PublicKey,
        /// The denials to name.
        denials: Vec<Denial>,
    },
    /// `--despite` names what is no denial of this key.
    #[error("{0} is no known denial of this key")]
    NotADenial(StatementId),
    /// An approval for nothing.
    #[error("an approval needs at least one right; hint: `submit`, `work` or both")]
    NoRights,
    /// Too many hops.
    #[error("depth {0} is too much; hint: 0 (its vouches do not count) to {MAX_DEPTH}")]
    Depth(u8),
    /// No label.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// No note.
    #[error("a note has at most {MAX_NOTE} bytes and no control characters")]
    Note,
    /// The allowlist is full or its line cannot be written.
    #[error(transparent)]
    Allowlist(#[from] AllowlistError),
    /// The policy is full.
    #[error("more than {MAX_RULES} local decisions; hint: `unblock` or `unvoid` what no longer matters")]
    PolicyFull,
    /// The statement could not be signed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// There is no own snapshot to take approvals from.
    #[error("no snapshot of this node's key came from its peers yet")]
    NothingToRestore,
}

impl Keyring {
    /// Approves a key: trusted here from now on, and listed in the own snapshot.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn approve(&mut self, approve: Approve, now: u64) -> Result<Change, CommandError> {
        self.check_approval(&approve)?;
        let Approve { key, label, rights, depth, despite } = approve;
        let mut policy = self.policy.clone();
        for id in &despite {
            policy.add(Rule::Answer(*id)).map_err(|_| CommandError::PolicyFull)?;
        }
        let mut allowlist = self.allowlist.clone();
        let comment =
            allowlist.get(&key).map(|root| root.comment.clone()).filter(|comment| !comment.is_empty());
        let comment = comment.unwrap_or_else(|| format!("approved {}", text::date(now)));
        allowlist.put(Root { key, grant: Grant { rights, depth }, label, comment })?;
        let mut change = Change::default();
        let despite = despite.into_iter().collect();
        change.audit.push(AuditEvent::Approved { key, rights, depth, despite });
        self.replace(allowlist, policy, now, &mut change);
        Ok(change)
    }

    fn check_approval(&self, approve: &Approve) -> Result<(), CommandError> {
        let key = approve.key;
        self.not_me(&key)?;
        check_label(&approve.label)?;
        if approve.rights.is_none() {
            return Err(CommandError::NoRights);
        }
        if approve.depth > MAX_DEPTH {
            return Err(CommandError::Depth(approve.depth));
        }
        if self.set.retirement(&key).is_some() {
            return Err(CommandError::Retired(key));
        }
        if self.local.block.contains(&key) {
            return Err(CommandError::Blocked(key));
        }
        let of_key = |id: &&StatementId| self.denial(id).is_some_and(|denial| denial.subject == key);
        if let Some(id) = approve.despite.iter().find(|id| !of_key(id)) {
            return Err(CommandError::NotADenial(*id));
        }
        let in_force =
            self.decision.in_force().filter(|(id, subject)| *subject == key && !approve.despite.contains(id));
        let denials: Vec<Denial> = in_force.filter_map(|(id, _)| self.denial(&id)).collect();
        if denials.is_empty() { Ok(()) } else { Err(CommandError::Denied { key, denials }) }
    }

    /// Withdraws the approval of a key. Others' paths to it remain. With `keep_denials` the denials it issued are
    /// issued again as this node's; without, they lose their force here unless their issuer is reached otherwise.
    ///
    /// # Errors
    /// [`CommandError::NotApproved`].
    pub fn forget(&mut self, key: &PublicKey, keep_denials: bool, now: u64) -> Result<Change, CommandError> {
        if self.allowlist.get(key).is_none() {
            return Err(CommandError::NotApproved(*key));
        }
        let mut change = Change::default();
        change.audit.push(AuditEvent::Forgot(*key));
        if keep_denials {
            self.reissue_denials(key, now, &mut change)?;
        } else {
            let theirs: Vec<StatementId> =
                self.adopted.values().filter(|signed| signed.issuer() == *key).map(Signed::id).collect();
            self.unadopt(&theirs, &mut change);
        }
        let (allowlist, policy) = self.lists_without(key);
        self.replace(allowlist, policy, now, &mut change);
        Ok(change)
    }

    /// The denials a key issued that are in force here: what `forget` offers to keep.
    #[must_use]
    pub fn denials_by(&self, key: &PublicKey) -> Vec<Denial> {
        let each = self.decision.in_force().filter_map(|(id, _)| self.denial(&id));
        each.filter(|denial| denial.issuer == *key).collect()
    }

    fn reissue_denials(
        &mut self,
        key: &PublicKey,
        now: u64,
        change: &mut Change,
    ) -> Result<(), CommandError> {
        let me = self.me();
        for denial in self.denials_by(key) {
            let mine = self.own_denial_of(&denial.subject).is_some();
            if denial.subject != me && !mine && self.has_denials_left() {
                let note = format!("as {} said", key.short());
                self.deny(&denial.subject, denial.reason, &note, now, change)?;
            }
        }
        Ok(())
    }

    /// Forgets and denies a key, everywhere this node is heard. Where this node has used up its denials the key is
    /// blocked here instead: no bound stands in the way of a removal.
    ///
    /// # Errors
    /// [`CommandError::OwnKey`], [`CommandError::Note`], [`CommandError::PolicyFull`].
    pub fn revoke(
        &mut self,
        key: &PublicKey,
        reason: Reason,
        note: &str,
        now: u64,
    ) -> Result<Change, CommandError> {
        self.not_me(key)?;
        check_note(note)?;
        let mut change = Change::default();
        let (allowlist, mut policy) = self.lists_without(key);
        let mut denial = self.own_denial_of(key);
        if denial.is_none() && self.has_denials_left() {
            denial = Some(self.deny(key, reason, note, now, &mut change)?);
        }
        if denial.is_none() {
            policy.add(Rule::Block(*key)).map_err(|_| CommandError::PolicyFull)?;
        }
        change.audit.push(AuditEvent::Revoked { key: *key, reason, denial });
        self.replace(allowlist, policy, now, &mut change);
        Ok(change)
    }

    /// Who would fall if a key were revoked now; changes nothing.
    ///
    /// # Errors
    /// As [`Keyring::revoke`].
    pub fn revoke_preview(&self, key: &PublicKey, now: u64) -> Result<Preview, CommandError> {
        let change = self.clone().revoke(key, Reason::Left, "", now)?;
        Ok(Preview { falls: change.lost })
    }

    /// Retires this node's own key, everywhere and for good.
    ///
    /// # Errors
    /// [`CommandError::Note`], [`CommandError::Statement`] (a successor that is the key itself).
    pub fn retire(
        &mut self,
        successor: Option<PublicKey>,
        note: &str,
        now: u64,
    ) -> Result<Change, CommandError> {
        check_note(note)?;
        let retire = Retire { key: self.me(), issued_at: now, successor, note: note.to_owned() };
        let signed = Signed::new(Statement::Retire(retire), &self.identity)?;
        let mut change = Change::default();
        self.issue(signed, &mut change);
        change.audit.push(AuditEvent::Retired(self.me()));
        self.settle(now, None, &mut change);
        Ok(change)
    }

    /// Refuses a key on this node, whoever vouches for it. Never published.
    ///
    /// # Errors
    /// [`CommandError::OwnKey`], [`CommandError::PolicyFull`].
    pub fn block(&mut self, key: &PublicKey, now: u64) -> Result<Change, CommandError> {
        self.not_me(key)?;
        self.add_rule(Rule::Block(*key), AuditEvent::Blocked(*key), now)
    }

    /// Ends a block.
    ///
    /// # Errors
    /// [`CommandError::NotBlocked`].
    pub fn unblock(&mut self, key: &PublicKey, now: u64) -> Result<Change, CommandError> {
        let change = self.remove_rule(Rule::Block(*key), AuditEvent::Unblocked(*key), now);
        change.ok_or(CommandError::NotBlocked(*key))
    }

    /// Ignores the denials of a key on this node, those it issued before as well. Never published.
    ///
    /// # Errors
    /// [`CommandError::OwnKey`], [`CommandError::PolicyFull`].
    pub fn void(&mut self, key: &PublicKey, now: u64) -> Result<Change, CommandError> {
        self.not_me(key)?;
        self.add_rule(Rule::Void(*key), AuditEvent::Voided(*key), now)
    }

    /// Heeds the denials of a key again.
    ///
    /// # Errors
    /// [`CommandError::NotVoid`].
    pub fn unvoid(&mut self, key: &PublicKey, now: u64) -> Result<Change, CommandError> {
        let change = self.remove_rule(Rule::Void(*key), AuditEvent::Unvoided(*key), now);
        change.ok_or(CommandError::NotVoid(*key))
    }

    /// Takes lists that were edited by hand. Nothing is written; where nothing changed nothing follows.
    pub fn reload(&mut self, allowlist: Allowlist, policy: Policy, now: u64) -> Change {
        let mut change = Change::default();
        if allowlist == self.allowlist && policy == self.policy {
            return change;
        }
        change.audit.push(AuditEvent::Reloaded);
        self.replace(allowlist, policy, now, &mut change);
        change.persist.retain(|record| !matches!(record, Record::Allowlist(_) | Record::Policy(_)));
        change
    }

    /// Ends recovery: what the allowlist says now is published, whatever was published before.
    pub fn recover_fresh(&mut self, now: u64) -> Change {
        let mut change = Change::default();
        self.set_recovery(None, &mut change);
        self.settle(now, None, &mut change);
        change
    }

    /// Ends recovery: the approvals of the own snapshot that came back from peers are taken into the allowlist. To be
    /// shown to the owner first ([`Keyring::own_snapshot`]): an old snapshot may list what was forgotten since.
    ///
    /// # Errors
    /// [`CommandError::NothingToRestore`], [`CommandError::Allowlist`].
    pub fn recover_restore(&mut self, now: u64) -> Result<Change, CommandError> {
        let snapshot = self.own_snapshot().ok_or(CommandError::NothingToRestore)?;
        let mut allowlist = self.allowlist.clone();
        for entry in snapshot.entries.iter().filter(|entry| !entry.rights.is_none()) {
            if allowlist.get(&entry.subject).is_some() {
                continue;
            }
            let label = if check_label(&entry.label).is_ok() { entry.label.clone() } else { String::new() };
            let grant = Grant { rights: entry.rights, depth: entry.depth.min(MAX_DEPTH) };
            let comment = format!("recovered {}", text::date(now));
            allowlist.put(Root { key: entry.subject, grant, label, comment })?;
        }
        let mut change = Change::default();
        self.set_recovery(None, &mut change);
        self.replace(allowlist, self.policy.clone(), now, &mut change);
        Ok(change)
    }

    /// How many keys may still be approved.
    #[must_use]
    pub fn approvals_left(&self) -> usize {
        MAX_ROOTS.saturating_sub(self.allowlist.roots().count())
    }

    /// Puts new lists in force, and into the change where they differ.
    fn replace(&mut self, allowlist: Allowlist, policy: Policy, now: u64, change: &mut Change) {
        let new_policy = policy != self.policy;
        let new_allowlist = allowlist != self.allowlist;
        self.local = policy.local();
        self.policy = policy;
        self.allowlist = allowlist;
        self.settle(now, None, change);
        if new_policy {
            change.persist.push(Record::Policy(self.policy.clone()));
        }
        if new_allowlist {
            change.persist.push(Record::Allowlist(self.allowlist.clone()));
        }
    }

    fn add_rule(&mut self, rule: Rule, event: AuditEvent, now: u64) -> Result<Change, CommandError> {
        let mut policy = self.policy.clone();
        let mut change = Change::default();
        if policy.add(rule).map_err(|_| CommandError::PolicyFull)? {
            change.audit.push(event);
            self.replace(self.allowlist.clone(), policy, now, &mut change);
        }
        Ok(change)
    }

    fn remove_rule(&mut self, rule: Rule, event: AuditEvent, now: u64) -> Option<Change> {
        let mut policy = self.policy.clone();
        if !policy.remove(rule) {
            return None;
        }
        let mut change = Change::default();
        change.audit.push(event);
        self.replace(self.allowlist.clone(), policy, now, &mut change);
        Some(change)
    }

    /// The lists without a key and without the answers about it: what was overridden counts again.
    fn lists_without(&self, key: &PublicKey) -> (Allowlist, Policy) {
        let (mut allowlist, mut policy) = (self.allowlist.clone(), self.policy.clone());
        allowlist.remove(key);
        for id in &self.local.answers {
            if self.denial(id).is_some_and(|denial| denial.subject == *key) {
                policy.remove(Rule::Answer(*id));
            }
        }
        (allowlist, policy)
    }

    fn has_denials_left(&self) -> bool {
        self.set.count_denials(&self.me()) < MAX_DENIALS
    }

    /// A denial of a key by this node which is in force.
    fn own_denial_of(&self, subject: &PublicKey) -> Option<StatementId> {
        let me = self.me();
        let about = self.decision.in_force().filter(|(_, about)| about == subject).map(|(id, _)| id);
        about.into_iter().find(|id| self.statement(id).is_some_and(|signed| signed.issuer() == me))
    }

    /// Signs a denial and puts it in force here. Callers check first that there is one left.
    fn deny(
        &mut self,
        subject: &PublicKey,
        reason: Reason,
        note: &str,
        now: u64,
        change: &mut Change,
    ) -> Result<StatementId, CommandError> {
        let deny = Deny {
            issuer: self.me(),
            subject: *subject,
            reason,
            issued_at: now,
            nonce: self.nonce(subject, now),
            note: note.to_owned(),
        };
        let signed = Signed::new(Statement::Deny(deny), &self.identity)?;
        let id = signed.id();
        self.issue(signed.clone(), change);
        self.adopt(&signed, change);
        Ok(id)
    }

    /// Differs from that of every earlier denial, so that an answer to one is no answer to the next. No secret.
    fn nonce(&self, subject: &PublicKey, now: u64) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(subject.as_bytes()).update(&now.to_le_bytes());
        for (id, _) in self.set.denials_by(&self.me()) {
            hasher.update(id.as_bytes());
        }
        let mut nonce = [0; 8];
        hasher.finalize_xof().fill(&mut nonce);
        nonce
    }

    /// An own revocation: into the set, the store and to the peers.
    fn issue(&mut self, signed: Signed, change: &mut Change) {
        self.set.insert(signed.clone());
        change.persist.push(Record::Statement(signed.clone()));
        change.publish.push(signed);
    }

    fn denial(&self, id: &StatementId) -> Option<Denial> {
        self.statement(id).and_then(Denial::of)
    }

    fn not_me(&self, key: &PublicKey) -> Result<(), CommandError> {
        if *key == self.me() { Err(CommandError::OwnKey(*key)) } else { Ok(()) }
    }
}

fn times(denials: &[Denial]) -> String {
    if denials.len() == 1 { String::new() } else { format!(" {} times", denials.len()) }
}

fn despite(denials: &[Denial]) -> String {
    denials.iter().map(|denial| format!(" --despite {}", denial.id.short())).collect()
}

fn check_note(note: &str) -> Result<(), CommandError> {
    if note.len() > MAX_NOTE || !text::is_plain(note) { Err(CommandError::Note) } else { Ok(()) }
}
