//! The node's decisions on disk: the store of the `keys` crate, for the driver.
//!
//! Writes what the state decided, answers what only files can answer, reads the allowlist anew. Decides nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use testmesh_keys::audit::AuditEvent;
use testmesh_keys::keyfile;
use testmesh_keys::keyring::{Change, Keyring};
use testmesh_keys::store::{self, AUDIT_LOG, AUDIT_OLD, Report, Store, StoreError};

use super::driver::Keep;
use super::event::{Action, Event, Now};
use super::files::Home;
use super::settings::Settings;
use super::state::State;
use crate::local::wire::{Audit, Error, ErrorKind, Key, OwnKey, Reply, Request};

/// An open home.
#[derive(Debug)]
pub struct Kept {
    store: Store,
    home: Home,
    /// The settings this process started with.
    settings: Settings,
}

impl Kept {
    /// Opens the home of a node: what it keeps, what it knows, and what had to be repaired.
    ///
    /// # Errors
    /// The store's; nothing was changed but torn ends cut.
    pub fn open(home: &Home, settings: &Settings, now: u64) -> Result<(Self, Keyring, Report), StoreError> {
        let opened = store::open(home.keys(), now)?;
        let (home, settings) = (home.clone(), settings.clone());
        Ok((Self { store: opened.store, home, settings }, opened.keyring, opened.report))
    }

    /// The last lines, of the file before the present one where that has too few, and whether all follow.
    fn audit(&self, lines: usize) -> Result<Audit, String> {
        let home = self.store.home();
        let mut all: Vec<String> = Vec::new();
        for name in [AUDIT_OLD, AUDIT_LOG] {
            match fs_err::read(home.join(name)) {
                Ok(bytes) => all.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && name == AUDIT_OLD => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        let (head, broken) = match store::verify_audit(home) {
            Ok(head) if head == *self.store.audit_head() => (head.to_string(), None),
            Ok(_) => (String::new(), Some("the log does not end with what this node wrote last".to_owned())),
            Err(error) => (String::new(), Some(error.to_string())),
        };
        Ok(Audit { lines: all.split_off(all.len().saturating_sub(lines)), head, broken })
    }

    /// Reads the lists that the owner may edit.
    fn lists(&mut self, state: &mut State, now: Now) -> (Result<(), String>, Vec<Action>) {
        let read = self.store.reread().map_err(|error| error.to_string());
        let told = read.as_ref().map(drop).map_err(Clone::clone);
        (told, state.handle(Event::Edited(read.map(Box::new)), now))
    }

    /// Reads the settings and says which of them wait for a restart.
    fn waiting(&self) -> Result<Vec<String>, String> {
        let new = self.home.settings().map_err(|error| error.to_string())?;
        let (new, old) = (table(&new)?, table(&self.settings)?);
        let names: std::collections::BTreeSet<&String> = new.keys().chain(old.keys()).collect();
        Ok(names.into_iter().filter(|name| new.get(*name) != old.get(*name)).cloned().collect())
    }

    fn reload(&mut self, state: &mut State, now: Now) -> (Reply, Vec<Action>) {
        let (lists, actions) = self.lists(state, now);
        let reply = match (lists, self.waiting()) {
            (Ok(()), Ok(waiting)) => Reply::Reloaded { waiting },
            (Ok(()), Err(why)) => failed(format!(
                "the allowlist was read again, the settings cannot be used and stay as they were: {why}"
            )),
            (Err(why), _) => failed(format!("trust stays as it was: {why}")),
        };
        (reply, actions)
    }
}

fn table(settings: &Settings) -> Result<toml::Table, String> {
    toml::Table::try_from(settings).map_err(|error| error.to_string())
}

fn failed(why: String) -> Reply {
    Reply::Error(Error::new(ErrorKind::Failed, why))
}

impl Keep for Kept {
    fn persist(&mut self, change: &Change, state: &State) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.store.persist(change, state.trust().keyring(), now).map_err(|error| error.to_string())
    }

    fn catch_up(&mut self, state: &State) -> Result<(), String> {
        self.store.compact(state.trust().keyring()).map_err(|error| error.to_string())
    }

    fn note(&mut self, what: &'static str, text: String) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.store.note(&[AuditEvent::Node { what, text }], now).map_err(|error| error.to_string())
    }

    fn look(&mut self, state: &mut State, now: Now) -> Option<(Result<(), String>, Vec<Action>)> {
        self.store.is_edited().then(|| self.lists(state, now))
    }

    fn ask(&mut self, request: Request, state: &mut State, now: Now) -> (Reply, Vec<Action>) {
        match request {
            Request::Key => (own_key(state).map_or_else(failed, Reply::Key), Vec::new()),
            Request::Audit { lines } => {
                (self.audit(lines as usize).map_or_else(failed, Reply::Audit), Vec::new())
            }
            Request::Reload => self.reload(state, now),
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
