//! The file of the audit log: lines are appended, a full file makes room for a new one that continues its chain.
//!
//! The lines themselves are made and checked in `audit`; nothing is decided here.

use std::path::{Path, PathBuf};

use crate::audit::{self, AuditEvent, Head};
use crate::store::disk::{self, Appender, Room, Staged};
use crate::store::error::StoreError;
use crate::store::{AUDIT_LOG, AUDIT_OLD};

/// Bytes of one file; the one before it is kept, older ones are not. About 100,000 events each.
pub(super) const MAX_JOURNAL: u64 = 16 * 1024 * 1024;

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
            None => {
                Staged::write(&path, b"", &mut Room::default())?.commit()?;
                String::new()
            }
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
    pub(super) fn back_to(&mut self, (len, head): (u64, Head)) -> Result<(), StoreError> {
        self.file.cut_to(len)?;
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
        fs_err::rename(&path, self.home.join(AUDIT_OLD))?;
        let file = staged.commit()?;
        disk::sync_dir(&self.home)?;
        self.file = Appender::from_file(file, u64::try_from(first.len()).unwrap_or(0))?;
        Ok(())
    }
}
