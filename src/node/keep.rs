//! The node's decisions on disk: the store of the `keys` crate, for the driver.
//!
//! Writes what the state decided, answers what only files can answer, reads the allowlist anew. Decides nothing.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use testmesh_keys::audit::verify;
use testmesh_keys::keyfile;
use testmesh_keys::keyring::{Change, Keyring};
use testmesh_keys::store::{self, AUDIT_LOG, Report, Store, StoreError};

use super::driver::Keep;
use super::event::{Action, Event, Now};
use super::state::State;
use crate::local::wire::{Audit, Error, ErrorKind, Key, OwnKey, Reply, Request};

/// An open home.
#[derive(Debug)]
pub struct Kept {
    store: Store,
}

impl Kept {
    /// Opens the home of a node: what it keeps, what it knows, and what had to be repaired.
    ///
    /// # Errors
    /// The store's; nothing was changed but torn ends cut.
    pub fn open(home: &Path, now: u64) -> Result<(Self, Keyring, Report), StoreError> {
        let opened = store::open(home, now)?;
        Ok((Self { store: opened.store }, opened.keyring, opened.report))
    }

    fn audit(&self, lines: usize) -> Result<Audit, String> {
        let path = self.store.home().join(AUDIT_LOG);
        let text = fs_err::read_to_string(path).map_err(|error| error.to_string())?;
        let (head, broken) = match verify(&text) {
            Ok(head) => (head.to_string(), None),
            Err(broken) => (String::new(), Some(broken.to_string())),
        };
        let all: Vec<&str> = text.lines().collect();
        let last = all.iter().skip(all.len().saturating_sub(lines));
        Ok(Audit { lines: last.map(|line| (*line).to_owned()).collect(), head, broken })
    }

    fn reload(&self, state: &mut State, now: Now) -> Result<Vec<Action>, String> {
        let home = self.store.home();
        let allowlist = store::read_allowlist(home).map_err(|error| error.to_string())?;
        let policy = store::read_policy(home).map_err(|error| error.to_string())?;
        Ok(state.handle(Event::Edited(Box::new((allowlist, policy))), now))
    }
}

impl Keep for Kept {
    fn persist(&mut self, change: &Change, state: &State) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.store.persist(change, state.trust().keyring(), now).map_err(|error| error.to_string())
    }

    fn catch_up(&mut self, state: &State) -> Result<(), String> {
        self.store.compact(state.trust().keyring()).map_err(|error| error.to_string())
    }

    fn ask(&mut self, request: Request, state: &mut State, now: Now) -> (Reply, Vec<Action>) {
        let failed = |why: String| Reply::Error(Error::new(ErrorKind::Failed, why));
        match request {
            Request::Key => (own_key(state).map_or_else(failed, Reply::Key), Vec::new()),
            Request::Audit { lines } => {
                (self.audit(lines as usize).map_or_else(failed, Reply::Audit), Vec::new())
            }
            Request::Reload => match self.reload(state, now) {
                Ok(actions) => (Reply::Ok, actions),
                Err(why) => (failed(why), Vec::new()),
            },
            _ => (failed("no file answers this".to_owned()), Vec::new()),
        }
    }
}

fn own_key(state: &State) -> Result<OwnKey, String> {
    let (key, name) = (state.trust().keyring().me(), state.name());
    let file = keyfile::export(name, &key).map_err(|error| error.to_string())?;
    let words = key.words().iter().map(|word| (*word).to_owned()).collect();
    Ok(OwnKey { key: Key(*key.as_bytes()), name: name.to_owned(), file, words })
}
