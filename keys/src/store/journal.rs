//! The file of the audit log: lines are appended, a full file makes room for a new one that continues its chain.
//!
//! The lines themselves are made and checked in `audit`; nothing is decided here.

use std::path::{Path, PathBuf};

use crate::audit::{self, AuditEvent, Head};
use crate::store::disk::{self, Appender, Room, Staged};
use crate::store::error::StoreError;
use crate::store::{AUDIT_LOG, AUDIT_OLD};

/// Bytes of one file; the one before it is kept, older ones are not. About 100,000 events each.
pub(super) const MAX_JOURNAL: u64 = if cfg!(test) { 1024 } else { 16 * 1024 * 1024 };

#[derive(Debug)]
pub(super) struct Journal {
    home: PathBuf,
    file: Appender,
    head: Head,
}

/// What was found at opening.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Bytes of a torn last line.
    pub(super) cut: u64,
    /// The line that does not follow.
    pub(super) broken: Option<usize>,
}

impl Journal {
    /// Opens the log and checks it. A broken chain is told, not refused: the node must run, and the break stays visible.
    pub(super) fn open(home: &Path) -> Result<(Self, Found), StoreError> {
        let path = home.join(AUDIT_LOG);
        let text = match disk::read_text(&path, usize::MAX)? {
            Some((text, _)) => text,
            None => begin_anew(home)?,
        };
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        let (kept, torn) = text.split_at_checked(whole).unwrap_or((&text, ""));
        let (head, broken) = match audit::verify(kept) {
            Ok(head) => (head, None),
            Err(broken) => (Head::of_last_line(kept), Some(broken.line)),
        };
        let len = u64::try_from(kept.len()).unwrap_or(0);
        let cut = u64::try_from(torn.len()).unwrap_or(0);
        let journal = Self { home: home.to_owned(), file: Appender::open(&path, len)?, head };
        Ok((journal, Found { cut, broken }))
    }

    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    /// Where the log ends now, to go back to.
    pub(super) fn mark(&self) -> (u64, Head) {
        (self.file.len(), self.head.clone())
    }

    /// Takes back what was appended since a mark.
    pub(super) fn back_to(&mut self, (len, head): (u64, Head), room: &mut Room) -> Result<(), StoreError> {
        self.file.cut_to(len, room)?;
        self.head = head;
        Ok(())
    }

    pub(super) fn append(
        &mut self,
        events: &[AuditEvent],
        now: u64,
        room: &mut Room,
    ) -> Result<(), StoreError> {
        let mut head = self.head.clone();
        let mut lines = String::new();
        for event in events {
            let (line, next) = head.line(event, now);
            lines.push_str(&line);
            lines.push('\n');
            head = next;
        }
        self.file.append(lines.as_bytes(), room, false)?;
        self.head = head;
        Ok(())
    }

    /// Begins a new file where this one is full.
    pub(super) fn rotate(&mut self, room: &mut Room) -> Result<(), StoreError> {
        if self.file.len() < MAX_JOURNAL {
            return Ok(());
        }
        let path = self.home.join(AUDIT_LOG);
        let first = format!("{}\n", self.head.continuation());
        let staged = Staged::write(&path, first.as_bytes(), room)?;
        room.rename(&path, &self.home.join(AUDIT_OLD))?;
        let file = staged.commit(room)?;
        disk::sync_dir(&self.home)?;
        self.file = Appender::from_file(file, u64::try_from(first.len()).unwrap_or(0))?;
        Ok(())
    }
}

/// A log where there is none: it continues the one before it, which a kill in the middle of a rotation leaves alone.
fn begin_anew(home: &Path) -> Result<String, StoreError> {
    let older = disk::read_text(&home.join(AUDIT_OLD), usize::MAX)?;
    let head = older.map(|(older, _)| audit::verify(&older).unwrap_or_else(|_| Head::of_last_line(&older)));
    let first = head.map_or_else(String::new, |head| format!("{}\n", head.continuation()));
    let mut room = Room::default();
    Staged::write(&home.join(AUDIT_LOG), first.as_bytes(), &mut room)?.commit(&mut room)?;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::verify_audit;

    /// A full log, in a folder of its own.
    fn full() -> (tempfile::TempDir, Journal) {
        let home = tempfile::tempdir().expect("a folder");
        let (mut journal, _) = Journal::open(home.path()).expect("a log");
        let events = vec![AuditEvent::Reloaded; 20];
        journal.append(&events, 0, &mut Room::default()).expect("room");
        (home, journal)
    }

    #[test]
    fn a_kill_in_the_middle_of_a_rotation_breaks_no_chain() {
        for life in 0.. {
            let (home, mut journal) = full();
            let head = journal.head.clone();
            let done = journal.rotate(&mut Room::life(life)).is_ok();
            drop(journal);
            disk::remove_staged(&home.path().join(AUDIT_LOG)).expect("removed");
            let (mut journal, found) = Journal::open(home.path()).expect("a log");
            assert!(found.broken.is_none() && journal.head == head, "{life}");
            journal.append(&[AuditEvent::Reloaded], 1, &mut Room::default()).expect("room");
            assert_eq!(verify_audit(home.path()).expect("whole"), journal.head, "{life}");
            if done {
                assert!(home.path().join(AUDIT_OLD).exists() && life > 3);
                return;
            }
        }
    }
}
