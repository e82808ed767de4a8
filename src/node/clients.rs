//! What the owner's programs ask of a node: commands carried out, and who is told of changes.
//!
//! Pure, a part of [`State`]. The socket has already made sure that the owner asks, and the driver that a command about
//! trust brought the cookie. What is only shown is put together in [`super::answers`].

use std::collections::{BTreeMap, BTreeSet};

use testmesh_behaviours::id::NodeKey;
use testmesh_keys::allowlist::check_label;
use testmesh_keys::key::PublicKey;
use testmesh_keys::keyring::{self, CommandError, Keyring, RightsChange};
use testmesh_keys::statement;

use super::event::{Action, Client, ClientId, Now};
use super::state::State;
use super::trust::{self, Trust};
use crate::local::wire::{
    Approve, Consequences, Error, ErrorKind, Key, Named, Outcome, Recover, Reply, Request, Revoke, Shift,
    Topic, Who,
};
use crate::schedule::slots::Submitter;

/// Names offered where none fits, and keys where several do.
const NEAREST: usize = 3;
/// Ranks of a name: the owner's label, a voucher's, the machine's own.
const NAMES: usize = 3;
/// Letters of the beginning of a denial, at least: what is shown of one, and enough to tell two apart.
const DENIAL_LETTERS: usize = 8;

/// Clients that want to know of changes.
#[derive(Debug, Default)]
pub struct Clients {
    watchers: BTreeMap<ClientId, Client>,
    dirty: BTreeSet<Topic>,
}

impl Clients {
    /// Something changed.
    pub fn changed(&mut self, topic: Topic) {
        self.dirty.insert(topic);
    }

    /// A client is gone.
    pub fn gone(&mut self, client: ClientId) {
        self.watchers.remove(&client);
    }

    /// Tells the watchers, once a turn.
    pub fn flush(&mut self, out: &mut Vec<Action>) {
        let topics: Vec<Topic> = std::mem::take(&mut self.dirty).into_iter().collect();
        if !topics.is_empty() {
            out.extend(
                self.watchers.values().map(|client| Action::Tell(*client, Reply::Changed(topics.clone()))),
            );
        }
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        Self::new(ErrorKind::Refused, error.to_string())
    }
}

impl State {
    pub(super) fn client(&mut self, client: Client, request: Request, now: Now) {
        let reply = match request {
            Request::Status => Ok(Reply::Status(Box::new(self.status_answer_for_owner(now)))),
            Request::Peers => Ok(Reply::Peers(self.peer_list(now))),
            Request::Trust => Ok(Reply::Trust(Box::new(self.trust_list(now)))),
            Request::Why(who) => self.find_other(&who).map(|key| Reply::Why(Box::new(self.why(&key, now)))),
            Request::Seen => Ok(Reply::Seen(self.seen_list(now))),
            Request::Found => Ok(Reply::Found(Box::new(self.found(now)))),
            Request::Watch => {
                self.clients.watchers.insert(client.id, client);
                Ok(Reply::Ok)
            }
            Request::Dial { address } => {
                self.out.push(Action::Dial(address));
                Ok(Reply::Ok)
            }
            Request::Pause => self.paused(true, now),
            Request::Resume => self.paused(false, now),
            Request::Stop => {
                self.out.push(Action::Tell(client, Reply::Ok));
                self.out.push(Action::Stop);
                return;
            }
            // Files are the driver's.
            Request::Key | Request::Audit { .. } | Request::Reload => {
                self.out.push(Action::Ask(client, request));
                return;
            }
            Request::Run(request) => return self.run(client, request, now),
            change => return self.change(client, change, now),
        };
        self.answer(client, reply);
    }

    fn answer(&mut self, client: Client, reply: Result<Reply, Error>) {
        self.out.push(Action::Tell(client, reply.unwrap_or_else(Reply::Error)));
    }

    fn paused(&mut self, paused: bool, now: Now) -> Result<Reply, Error> {
        self.inbound.pause(paused, now, &mut self.out);
        self.clients.changed(Topic::Status);
        Ok(Reply::Ok)
    }

    /// The key somebody means: a key as text, or a name. What this machine's owner calls a machine counts before what
    /// others call it, and that before what machines call themselves: no stranger can take a name away.
    pub(super) fn find(&self, who: &Who) -> Result<NodeKey, Error> {
        let wanted = match who {
            Who::Key(key) => return Ok(NodeKey::new(key.0)),
            Who::Name(name) => name,
        };
        let known = self.known();
        let names = |key: &NodeKey| {
            let claimed = self.peers.get(key).map(|peer| peer.name.clone());
            let names = [self.trust.own_label(key), self.trust.label(key), claimed];
            names.map(Option::unwrap_or_default)
        };
        if wanted.is_empty() {
            let error = Error::new(ErrorKind::Invalid, "the name is empty");
            return Err(error.hint("`meshctl peers` lists names; where a machine has none, give its key"));
        }
        let called = |rank: usize| -> Vec<NodeKey> {
            known.iter().filter(|key| names(key).get(rank) == Some(wanted)).copied().collect()
        };
        let fits = (0..NAMES).map(called).find(|fits| !fits.is_empty()).unwrap_or_default();
        match fits[..] {
            [key] => Ok(key),
            [] => {
                let all = known.iter().flat_map(names).filter(|name| !name.is_empty());
                if *wanted == self.about.name {
                    return Err(itself());
                }
                let mut error =
                    Error::new(ErrorKind::UnknownPeer, format!("nobody here is called `{wanted}`"))
                        .hint("`meshctl peers` lists who is there");
                error.nearest = nearest(wanted, all);
                Err(error)
            }
            _ => {
                let keys = fits.iter().take(NEAREST).map(|key| Key(key.bytes()).to_string());
                let keys: Vec<String> = keys.collect();
                let text = format!("{} machines are called `{wanted}`", fits.len());
                Err(Error::new(ErrorKind::Ambiguous, text)
                    .hint(format!("give the key: {}", keys.join(" or "))))
            }
        }
    }

    /// As [`Self::find`], for questions that make no sense about this machine.
    fn find_other(&self, who: &Who) -> Result<NodeKey, Error> {
        self.find(who).and_then(|key| if key == self.about.key { Err(itself()) } else { Ok(key) })
    }

    fn public(&self, who: &Who) -> Result<PublicKey, Error> {
        trust::key(&self.find(who)?).ok_or_else(|| Error::new(ErrorKind::Invalid, "this is no key"))
    }

    /// Carries out what the owner decided about trust. When it cannot be written, nothing changes.
    fn change(&mut self, client: Client, request: Request, now: Now) {
        let before = self.trust.clone();
        match self.changed_by_owner(request, now) {
            Ok((change, mut done)) => {
                for fallen in &mut done.lost {
                    fallen.who = self.named_in(&before, &NodeKey::new(fallen.who.key.0));
                }
                self.undo = Some((client, before));
                self.apply(change, None, now);
                self.out.push(Action::Tell(client, Reply::Done(done)));
            }
            Err(error) => self.answer(client, Err(error)),
        }
    }

    fn changed_by_owner(
        &mut self,
        request: Request,
        now: Now,
    ) -> Result<(trust::Change, Consequences), Error> {
        let unix = now.unix;
        match request {
            Request::Approve(approve) => self.approve(approve, unix),
            Request::Forget { who, keep_denials } => {
                self.about(&who, |ring, key| ring.forget(key, keep_denials, unix))
            }
            Request::Revoke(revoke) => self.revoke(&revoke, unix),
            Request::Retire { note, successor } => {
                let me = self.named(&self.about.key.clone());
                let successor = successor.and_then(|key| trust::key(&NodeKey::new(key.0)));
                let change = self.trust.command(|ring| ring.retire(successor, &note, unix))?;
                Ok(self.consequences(me, change))
            }
            Request::Block(who) => self.about(&who, |ring, key| ring.block(key, unix)),
            Request::Unblock(who) => self.about(&who, |ring, key| ring.unblock(key, unix)),
            Request::Void(who) => self.about(&who, |ring, key| ring.void(key, unix)),
            Request::Unvoid(who) => self.about(&who, |ring, key| ring.unvoid(key, unix)),
            Request::Certificate(bytes) => {
                let (key, change) =
                    self.trust.hand_in(&bytes, unix).map_err(|why| Error::new(ErrorKind::Refused, why))?;
                Ok(self.consequences(self.named(&trust::node(key)), change))
            }
            Request::Recover(how) => {
                let me = self.named(&self.about.key.clone());
                let change = self.trust.command(|ring| match how {
                    Recover::Fresh => Ok(ring.recover_fresh(unix)),
                    Recover::Restore => ring.recover_restore(unix),
                })?;
                Ok(self.consequences(me, change))
            }
            _ => Err(Error::new(ErrorKind::Invalid, "this changes nothing")),
        }
    }

    fn about(
        &mut self,
        who: &Who,
        act: impl FnOnce(&mut Keyring, &PublicKey) -> Result<keyring::Change, CommandError>,
    ) -> Result<(trust::Change, Consequences), Error> {
        let key = self.public(who)?;
        let named = self.named(&trust::node(key));
        let change = self.trust.command(|ring| act(ring, &key))?;
        Ok(self.consequences(named, change))
    }

    fn consequences(&self, who: Named, change: trust::Change) -> (trust::Change, Consequences) {
        let named = |list: &[RightsChange]| list.iter().map(|one| self.shift(one)).collect();
        let changed = !change.persist.persist.is_empty() || !change.persist.publish.is_empty();
        let done = Consequences {
            outcome: if changed { Outcome::Done } else { Outcome::Unchanged },
            who,
            gained: named(&change.persist.gained),
            lost: named(&change.persist.lost),
            jobs_stopped: self.jobs_of(&change.persist.lost),
            notes: Vec::new(),
        };
        (change, done)
    }

    /// Jobs running or queued here of those who may submit no more.
    fn jobs_of(&self, lost: &[RightsChange]) -> u32 {
        let submit = testmesh_keys::rights::Rights::SUBMIT;
        let out = lost.iter().filter(|one| one.before.contains(submit) && !one.after.contains(submit));
        let out: BTreeSet<NodeKey> = out.map(|one| trust::node(one.key)).collect();
        let jobs = |(who, running, queued): &(Submitter<NodeKey>, u32, usize)| match who {
            Submitter::Remote(key) if out.contains(key) => {
                running.saturating_add(u32::try_from(*queued).unwrap_or(u32::MAX))
            }
            _ => 0,
        };
        self.inbound.usage().submitters.iter().map(jobs).fold(0, u32::saturating_add)
    }

    fn shift(&self, change: &RightsChange) -> Shift {
        let rights = |rights: testmesh_keys::rights::Rights| super::answers::rights(rights.bits());
        let who = self.named(&trust::node(change.key));
        Shift { who, before: rights(change.before), after: rights(change.after) }
    }

    fn approve(&mut self, approve: Approve, unix: u64) -> Result<(trust::Change, Consequences), Error> {
        let key = self.public(&approve.who)?;
        let node = trust::node(key);
        let claimed = self.peers.get(&node).map(|peer| peer.name.clone()).into_iter();
        let mut claimed = [approve.name].into_iter().chain(claimed).filter(|name| !name.is_empty());
        let own = approve.label.or_else(|| self.trust.own_label(&node));
        let label = own.or_else(|| claimed.find(|name| check_label(name).is_ok())).unwrap_or_default();
        let bits = u8::from(approve.rights.submit) | u8::from(approve.rights.work) << 1;
        let rights = testmesh_keys::rights::Rights::from_bits(bits).unwrap_or_default();
        let despite = self.trust.denials(&key, &approve.despite)?;
        let wish = keyring::Approve { key, label, rights, depth: approve.depth, despite };
        let change = self.trust.command(|ring| ring.approve(wish, unix))?;
        let named = self.named(&node);
        let (change, mut done) = self.consequences(named, change);
        if !self.peers.get(&node).is_some_and(|peer| peer.gives_us.any()) {
            let me = Key(self.about.key.bytes());
            done.notes.push(format!("it must approve this machine as well; there: meshctl approve {me}"));
        }
        Ok((change, done))
    }

    fn revoke(&mut self, revoke: &Revoke, unix: u64) -> Result<(trust::Change, Consequences), Error> {
        let key = self.public(&revoke.who)?;
        let named = self.named(&trust::node(key));
        if revoke.dry_run {
            let falls = self.trust.keyring().revoke_preview(&key, unix)?.falls;
            let lost = falls.iter().map(|one| self.shift(one)).collect();
            let (outcome, gained, notes) = (Outcome::DryRun, Vec::new(), Vec::new());
            let jobs_stopped = self.jobs_of(&falls);
            let done = Consequences { outcome, who: named, gained, lost, jobs_stopped, notes };
            return Ok((trust::Change::default(), done));
        }
        let reason: statement::Reason = revoke
            .reason
            .word()
            .parse()
            .map_err(|_| Error::new(ErrorKind::Invalid, format!("`{}` is no reason", revoke.reason)))?;
        let change = self.trust.command(|ring| ring.revoke(&key, reason, &revoke.note, unix))?;
        Ok(self.consequences(named, change))
    }

    /// A change that the owner asked for could not be written: it is taken back. Empty where nobody asked: what came
    /// from a peer or from time holds in memory and comes again after a restart.
    pub fn persist_failed(&mut self, why: &str) -> Vec<Action> {
        let Some((client, before)) = self.undo.take() else {
            self.unwritten = Some(why.to_owned());
            return Vec::new();
        };
        self.trust = before;
        self.unbar();
        let error =
            Error::new(ErrorKind::Failed, format!("nothing changed: {why}")).hint("is the disk full?");
        vec![Action::Tell(client, Reply::Error(error))]
    }
}

fn itself() -> Error {
    Error::new(ErrorKind::Invalid, "that is this machine itself").hint("`meshctl status` shows it")
}

fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut ranked: Vec<(usize, String)> =
        names.map(|name| (strsim::levenshtein(wanted, &name), name)).collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(NEAREST).map(|(_, name)| name).collect()
}

impl Trust {
    /// The denials of a key whose names begin with these texts, one each: what overrides a denial must mean it.
    fn denials(&self, key: &PublicKey, texts: &[String]) -> Result<BTreeSet<statement::StatementId>, Error> {
        let known = self.keyring().set().denials().chain(self.keyring().adopted());
        let known = known.filter(|(_, deny)| deny.subject == *key);
        let denials: BTreeMap<String, statement::StatementId> =
            known.map(|(id, _)| (id.to_string(), id)).collect();
        let one = |text: &String| {
            let fits: Vec<_> = denials.iter().filter(|(name, _)| name.starts_with(text)).collect();
            let why = match fits[..] {
                _ if text.chars().count() < DENIAL_LETTERS => {
                    format!("`{text}` is too short for a denial: {DENIAL_LETTERS} letters at least")
                }
                [(_, id)] => return Ok(*id),
                [] => format!("no denial of this key begins with `{text}`"),
                _ => format!("{} denials of this key begin with `{text}`", fits.len()),
            };
            Err(Error::new(ErrorKind::Invalid, why).hint(format!("`meshctl why {key}` shows its denials")))
        };
        texts.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests;
