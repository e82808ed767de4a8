//! The files of a node's home: the only part of this crate that touches the disk.
//!
//! ```text
//! identity        32 secret bytes, 0600, created once
//! retire.cert     a signed retirement of the key, to be kept elsewhere
//! allowlist       whom the owner approved              whole-file writes: beside, sync, rename, sync the folder
//! policy          blocks, voids, answers               likewise
//! statements.log  statements, marks, adoptions         appended, checksummed, compacted
//! audit.log(.1)   chained lines                        appended
//! lock            held while a process has the home open
//! ```
//! A list that was edited by hand is read before it is written again, so that no edit is lost.
//! Unreadable is an error, never "empty". A torn end of a log is cut, damage before its end is refused. A write that
//! fails for want of room leaves every file as it was.

mod disk;
mod error;
mod journal;
mod log;
mod secret;

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::{File, OpenOptions};

use crate::allowlist::{self, Allowlist};
use crate::audit::{self, AuditEvent, Head};
use crate::key::PublicKey;
use crate::keyring::{Change, Keyring, Record, Recovery, Seed};
use crate::policy::{self, Policy};

use self::disk::{Appender, Mark, Room, Staged};
use self::journal::Journal;

pub use self::error::StoreError;

/// The file of the key pair.
pub const IDENTITY: &str = "identity";
/// The file of the retirement certificate.
pub const RETIRE_CERT: &str = "retire.cert";
/// The file of the approvals.
pub const ALLOWLIST: &str = "allowlist";
/// The file of the other decisions.
pub const POLICY: &str = "policy";
/// The file of the statements.
pub const STATEMENTS: &str = "statements.log";
/// The file of the audit log.
pub const AUDIT_LOG: &str = "audit.log";
/// The audit log before it.
pub const AUDIT_OLD: &str = "audit.log.1";
/// The file of the lock.
pub const LOCK: &str = "lock";

/// Bytes a log may have more than twice what is live before it is compacted: small logs are left alone.
const COMPACT_FLOOR: u64 = 1024 * 1024;
/// Bytes of the name of a process in the lock file.
const MAX_PID: u64 = 20;

/// The files of one home, open and locked.
#[derive(Debug)]
pub struct Store {
    home: PathBuf,
    allowlist: Watched,
    policy: Watched,
    log: Appender,
    journal: Journal,
    room: Room,
    /// Length of the log at which it is compacted next.
    compact_at: u64,
    _lock: File,
}

/// A list that its owner may edit while the home is open.
#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    /// The content in force: last read or written here.
    good: Option<Mark>,
    /// The content last looked at, which may be one that cannot be read.
    seen: Option<Mark>,
}

impl Watched {
    const fn of(mark: Mark) -> Self {
        Self { good: Some(mark), seen: Some(mark) }
    }
}

/// A home that was opened.
#[derive(Debug)]
pub struct Opened {
    /// For [`Store::persist`].
    pub store: Store,
    /// The state the files held. Call [`Keyring::tick`] next.
    pub keyring: Keyring,
    /// What was found.
    pub report: Report,
}

/// What was found and repaired at opening; also noted in the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Bytes of a torn last record of the statements.
    pub cut: u64,
    /// Bytes of a torn last line of the audit log.
    pub audit_cut: u64,
    /// The line of the audit log that does not follow from the one before it.
    pub audit_broken: Option<usize>,
    /// Files that were missing and made anew; the node is in recovery then.
    pub lost: Vec<&'static str>,
}

/// What `setup` found or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The key of this home.
    pub key: PublicKey,
    /// Whether it was made now.
    pub created: bool,
    /// The certificate to keep a copy of elsewhere.
    pub certificate: PathBuf,
}

/// Makes a home with a new key; one that has a key already is left as it is.
///
/// # Errors
/// [`StoreError`]; a home without a key is completed by the next call.
pub fn setup(home: &Path, now: u64) -> Result<Setup, StoreError> {
    disk::make_home(home)?;
    let _lock = lock(home)?;
    let certificate = home.join(RETIRE_CERT);
    if fs_err::symlink_metadata(home.join(IDENTITY)).is_ok() {
        return Ok(Setup { key: secret::load(home)?.public(), created: false, certificate });
    }
    // The key last: a home with a key is a whole one, and what is missing later was lost.
    create_missing(home, ALLOWLIST, Allowlist::empty().to_string().as_bytes())?;
    create_missing(home, POLICY, Policy::empty().to_string().as_bytes())?;
    create_missing(home, STATEMENTS, log::MAGIC)?;
    create_missing(home, AUDIT_LOG, b"")?;
    disk::sync_dir(home)?;
    let created = secret::create(home, now)?.is_some();
    Ok(Setup { key: secret::load(home)?.public(), created, certificate })
}

fn create_missing(home: &Path, name: &str, content: &[u8]) -> Result<(), StoreError> {
    Staged::write(&home.join(name), content, &mut Room::default())?.commit_new().map(|_| ())
}

/// The public key of a home, without opening it: for `key show` beside a running node.
///
/// # Errors
/// [`StoreError`].
pub fn public_key(home: &Path) -> Result<PublicKey, StoreError> {
    if !fs_err::exists(home)? {
        return Err(StoreError::NotSetUp { home: home.to_owned() });
    }
    disk::check_home(home)?;
    Ok(secret::load(home)?.public())
}

/// Opens a home for one process.
///
/// # Errors
/// [`StoreError`]; nothing was changed, but for torn ends that are cut.
pub fn open(home: &Path, now: u64) -> Result<Opened, StoreError> {
    if !fs_err::exists(home)? {
        return Err(StoreError::NotSetUp { home: home.to_owned() });
    }
    disk::check_home(home)?;
    let lock = lock(home)?;
    let identity = Arc::new(secret::load(home)?);
    for name in [ALLOWLIST, POLICY, STATEMENTS, AUDIT_LOG, IDENTITY, RETIRE_CERT] {
        disk::remove_staged(&home.join(name))?;
    }
    let (scan, cut) = read_log(home)?;
    let mut report = Report { cut, ..Report::default() };
    let (allowlist, allowlist_mark) = match read_allowlist_if_there(home)? {
        Some(allowlist) => allowlist,
        None => lost(home, ALLOWLIST, Allowlist::empty(), &mut report)?,
    };
    let (policy, policy_mark) = match (read_policy_if_there(home)?, &scan) {
        (Some(policy), _) => policy,
        (None, Some(_)) => return Err(StoreError::Missing { path: home.join(POLICY) }),
        (None, None) => lost(home, POLICY, Policy::empty(), &mut report)?,
    };
    let mut records = match &scan {
        Some(scan) => scan.records.clone(),
        None => {
            let mut room = Room::default();
            Staged::write(&home.join(STATEMENTS), log::MAGIC, &mut room)?.commit(&mut room)?;
            report.lost.push(STATEMENTS);
            Vec::new()
        }
    };
    if !report.lost.is_empty() {
        disk::sync_dir(home)?;
    }
    let good = scan.map_or(log::MAGIC.len(), |scan| scan.good);
    let mut log = Appender::open(&home.join(STATEMENTS), u64::try_from(good).unwrap_or(u64::MAX))?;
    if !report.lost.is_empty() {
        let record = Record::Recovery(Some(Recovery::LostStore));
        log.append(&log::frame(&record).unwrap_or_default(), &mut Room::default(), true)?;
        records.push(record);
    }
    let keyring = Keyring::new(identity, Seed { allowlist, policy, records }, now);
    let (journal, found) = Journal::open(home)?;
    report.audit_cut = found.cut;
    report.audit_broken = found.broken;
    let room = Room::default();
    let (allowlist, policy) = (Watched::of(allowlist_mark), Watched::of(policy_mark));
    let home = home.to_owned();
    let mut store = Store { home, allowlist, policy, compact_at: 0, log, journal, room, _lock: lock };
    store.compact_at = store.due(&keyring);
    store.note(&report.events(), now)?;
    Ok(Opened { store, keyring, report })
}

fn lost<T: ToString>(
    home: &Path,
    name: &'static str,
    empty: T,
    report: &mut Report,
) -> Result<(T, Mark), StoreError> {
    let mut room = Room::default();
    let file = Staged::write(&home.join(name), empty.to_string().as_bytes(), &mut room)?.commit(&mut room)?;
    report.lost.push(name);
    Ok((empty, Mark::of(&file.metadata()?)))
}

/// The records, and how many bytes at the end are torn; `None` where the log is missing or has lost its first line.
fn read_log(home: &Path) -> Result<(Option<log::Scan>, u64), StoreError> {
    let path = home.join(STATEMENTS);
    let Some(bytes) = disk::read_private(&path, usize::MAX - 1)? else { return Ok((None, 0)) };
    if bytes.len() < log::MAGIC.len() && log::MAGIC.starts_with(&bytes) {
        return Ok((None, 0));
    }
    if !bytes.starts_with(log::MAGIC) {
        return Err(StoreError::Damaged { path, offset: 0 });
    }
    match log::scan(&bytes) {
        Ok(scan) => {
            let cut = u64::try_from(bytes.len() - scan.good).unwrap_or(0);
            Ok((Some(scan), cut))
        }
        Err(log::Bad::Damaged(at)) => {
            Err(StoreError::Damaged { path, offset: u64::try_from(at).unwrap_or(0) })
        }
        Err(log::Bad::Newer(at)) => Err(StoreError::Newer { path, offset: u64::try_from(at).unwrap_or(0) }),
    }
}

fn read_allowlist_if_there(home: &Path) -> Result<Option<(Allowlist, Mark)>, StoreError> {
    let path = home.join(ALLOWLIST);
    let Some((text, mark)) = disk::read_text(&path, allowlist::MAX_FILE)? else { return Ok(None) };
    let parsed = Allowlist::parse(&text).map_err(|source| StoreError::Allowlist { path, source })?;
    Ok(Some((parsed, mark)))
}

fn read_policy_if_there(home: &Path) -> Result<Option<(Policy, Mark)>, StoreError> {
    let path = home.join(POLICY);
    let Some((text, mark)) = disk::read_text(&path, policy::MAX_FILE)? else { return Ok(None) };
    let parsed = Policy::parse(&text).map_err(|source| StoreError::Policy { path, source })?;
    Ok(Some((parsed, mark)))
}

/// Checks the audit log of a home, the file before it too, and returns its head.
///
/// # Errors
/// [`StoreError::Audit`] with the first line that does not follow.
pub fn verify_audit(home: &Path) -> Result<Head, StoreError> {
    let mut head = None;
    for name in [AUDIT_OLD, AUDIT_LOG] {
        let path = home.join(name);
        let Some((text, _)) = disk::read_text(&path, usize::MAX - 1)? else { continue };
        // What came before the oldest file that is kept is not here: its first line says how that ended.
        let verified = match &head {
            None => audit::verify(&text),
            Some(older) => audit::verify_after(older, &text),
        };
        head = Some(verified.map_err(|source| StoreError::Audit { path, source })?);
    }
    Ok(head.unwrap_or_default())
}

/// Held until dropped; the system lets go of it when the process ends, however it ends.
fn lock(home: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    let path = home.join(LOCK);
    let file = disk::open_private(&path, options.read(true).write(true).create(true).truncate(false))?;
    let mut file = file.ok_or(StoreError::Missing { path })?;
    match file.file().try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let read = (&mut file).take(MAX_PID).read_to_string(&mut owner);
            let digits = read.is_ok() && !owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit());
            let owner = if digits { owner } else { "?".to_owned() };
            return Err(StoreError::InUse { home: home.to_owned(), owner });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(StoreError::Io(error)),
    }
    file.set_len(0)?;
    file.rewind()?;
    // Only a hint for people: a full disk must not keep a node from starting.
    let _ = write!(file, "{}", std::process::id());
    Ok(file)
}

impl Store {
    /// Writes what follows from a change: all of it or nothing, before anything of it is published. `keyring` is the
    /// one that made the change; a log that has grown is compacted from it.
    ///
    /// # Errors
    /// [`StoreError`]; on [`StoreError::Full`] every file is as it was.
    pub fn persist(&mut self, change: &Change, keyring: &Keyring, now: u64) -> Result<(), StoreError> {
        let staged = self.stage(&change.persist)?;
        let staged = self.unless_edited(staged)?;
        let framed: Vec<u8> = change.persist.iter().filter_map(log::frame).flatten().collect();
        if let Err(error) = self.append(&change.audit, &framed, now) {
            self.discard(staged);
            return Err(error);
        }
        let renames = !staged.is_empty();
        for (name, file) in staged {
            let mark = Mark::of(&file.commit(&mut self.room)?.metadata()?);
            *self.watched(name) = Watched::of(mark);
        }
        if renames {
            disk::sync_dir(&self.home)?;
        }
        self.tidy(keyring);
        Ok(())
    }

    /// Whether the allowlist or the policy is another than when it was last looked at here: somebody edited it. Looks
    /// at the two files and reads neither.
    #[must_use]
    pub fn is_edited(&self) -> bool {
        let changed = |name: &str, watched: &Watched| Mark::at(&self.home.join(name)) != watched.seen;
        changed(ALLOWLIST, &self.allowlist) || changed(POLICY, &self.policy)
    }

    /// Reads both lists, after they were edited by hand.
    ///
    /// # Errors
    /// [`StoreError`], also where a file is missing. Then what was read before stays in force, and no list is written
    /// until it can be read.
    pub fn reread(&mut self) -> Result<(Allowlist, Policy), StoreError> {
        self.allowlist.seen = Mark::at(&self.home.join(ALLOWLIST));
        self.policy.seen = Mark::at(&self.home.join(POLICY));
        let missing = |name: &str| StoreError::Missing { path: self.home.join(name) };
        let (allowlist, allowlist_mark) =
            read_allowlist_if_there(&self.home)?.ok_or_else(|| missing(ALLOWLIST))?;
        let (policy, policy_mark) = read_policy_if_there(&self.home)?.ok_or_else(|| missing(POLICY))?;
        (self.allowlist, self.policy) = (Watched::of(allowlist_mark), Watched::of(policy_mark));
        Ok((allowlist, policy))
    }

    fn watched(&mut self, name: &str) -> &mut Watched {
        if name == ALLOWLIST { &mut self.allowlist } else { &mut self.policy }
    }

    fn discard(&mut self, staged: Vec<Named>) {
        staged.into_iter().for_each(|(_, file)| file.discard(&mut self.room));
    }

    /// No file may take the place of an edit that was not read.
    fn unless_edited(&mut self, staged: Vec<Named>) -> Result<Vec<Named>, StoreError> {
        let edited = staged.iter().map(|(name, _)| *name).find(|name| {
            let found = Mark::at(&self.home.join(name));
            found != self.watched(name).good
        });
        match edited {
            None => Ok(staged),
            Some(name) => {
                self.discard(staged);
                Err(StoreError::Edited { path: self.home.join(name) })
            }
        }
    }

    fn stage(&mut self, records: &[Record]) -> Result<Vec<Named>, StoreError> {
        let mut staged = Vec::new();
        for record in records {
            let (name, text) = match record {
                Record::Policy(policy) => (POLICY, policy.to_string()),
                Record::Allowlist(allowlist) => (ALLOWLIST, allowlist.to_string()),
                Record::Statement(_)
                | Record::Mark(_)
                | Record::Adopted(_)
                | Record::Unadopted(_)
                | Record::Dropped(_)
                | Record::Recovery(_) => continue,
            };
            match Staged::write(&self.home.join(name), text.as_bytes(), &mut self.room) {
                Ok(file) => staged.push((name, file)),
                Err(error) => {
                    self.discard(staged);
                    return Err(error);
                }
            }
        }
        Ok(staged)
    }

    /// The audit log first: of an act that is in force there is a line.
    fn append(&mut self, events: &[AuditEvent], framed: &[u8], now: u64) -> Result<(), StoreError> {
        let mark = self.journal.mark();
        self.journal.append(events, now, &mut self.room)?;
        if framed.is_empty() {
            return Ok(());
        }
        let appended = self.log.append(framed, &mut self.room, true);
        if appended.is_err() {
            self.journal.back_to(mark, &mut self.room)?;
        }
        appended
    }

    /// Notes events of the node in the audit log.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written then.
    pub fn note(&mut self, events: &[AuditEvent], now: u64) -> Result<(), StoreError> {
        self.journal.append(events, now, &mut self.room)?;
        self.journal.rotate(&mut self.room)
    }

    /// The head of the audit log, to be noted elsewhere.
    #[must_use]
    pub const fn audit_head(&self) -> &Head {
        self.journal.head()
    }

    /// The folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Bounds what may still be written, in bytes; `None` for the disk's own bound. For hosts with a quota the system
    /// does not enforce, and for tests of a full disk.
    pub const fn set_room(&mut self, room: Option<u64>) {
        self.room = Room::of(room);
    }

    /// Lets nothing reach the disk after so many steps, as when the process were killed there: halves of writes, and
    /// files made, renamed, cut or removed. What was begun is not put back. For tests.
    pub const fn set_life(&mut self, steps: u64) {
        self.room = Room::life(steps);
    }

    /// Housekeeping that may fail without harm: the old files stay in use and it is tried again when they have grown.
    fn tidy(&mut self, keyring: &Keyring) {
        let _ = self.journal.rotate(&mut self.room);
        if self.log.len() >= self.compact_at {
            let _ = self.compact(keyring);
            self.compact_at = self.due(keyring).max(self.log.len().saturating_add(COMPACT_FLOOR));
        }
    }

    /// Rewrites the log without history: newest statements, marks, adoptions.
    ///
    /// # Errors
    /// [`StoreError`]; the old log stays in use.
    pub fn compact(&mut self, keyring: &Keyring) -> Result<(), StoreError> {
        let bytes = compacted(keyring);
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let file =
            Staged::write(&self.home.join(STATEMENTS), &bytes, &mut self.room)?.commit(&mut self.room)?;
        self.log = Appender::from_file(file, len)?;
        disk::sync_dir(&self.home)
    }

    fn due(&self, keyring: &Keyring) -> u64 {
        let live: u64 =
            keyring.set().iter().map(|signed| u64::try_from(signed.bytes().len()).unwrap_or(0)).sum();
        live.saturating_mul(2).saturating_add(COMPACT_FLOOR)
    }
}

/// A new content and the name of its file.
type Named = (&'static str, Staged);

fn compacted(keyring: &Keyring) -> Vec<u8> {
    let mut bytes = log::MAGIC.to_vec();
    bytes.extend(keyring.records().iter().filter_map(log::frame).flatten());
    bytes
}

impl Report {
    fn events(&self) -> Vec<AuditEvent> {
        let mut events = Vec::new();
        if self.cut > 0 {
            events.push(AuditEvent::Store(format!("cut a torn record of {} bytes", self.cut)));
        }
        if self.audit_cut > 0 {
            events.push(AuditEvent::Store(format!("cut a torn audit line of {} bytes", self.audit_cut)));
        }
        if let Some(line) = self.audit_broken {
            events.push(AuditEvent::Store(format!("audit line {line} does not follow from the one before")));
        }
        for name in &self.lost {
            events.push(AuditEvent::Store(format!("{name} was missing")));
        }
        events
    }
}
