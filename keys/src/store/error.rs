//! What can go wrong with the files of a home, each with its path and what to do.

use std::io;
use std::path::PathBuf;

use crate::allowlist::AllowlistError;
use crate::audit::BrokenChain;
use crate::identity::IdentityError;
use crate::policy::PolicyError;
use crate::statement::StatementError;

/// Why a home cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no key in it.
    #[error("{} has no key yet; hint: `meshctl setup` makes one", home.display())]
    NotSetUp {
        /// The home.
        home: PathBuf,
    },
    /// Another process has it.
    #[error("{} is in use by process {owner}; hint: one node a home: stop that one, or give this one another with --home", home.display())]
    InUse {
        /// The home.
        home: PathBuf,
        /// As that process wrote it down; `?` where it did not.
        owner: String,
    },
    /// Others may read or write what is only the owner's.
    #[error("{} has mode {mode:03o}, others may get at it; hint: chmod {wanted:03o} {}", path.display(), path.display())]
    Loose {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}, not to user {me}; hint: run as its owner, or use another --home", path.display())]
    ForeignOwner {
        /// The file or folder.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// This process's user id.
        me: u32,
    },
    /// Not a plain file.
    #[error("{} is a link or no plain file; hint: put the file itself there", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A key file of the wrong length.
    #[error("{} has {len} bytes, a key has 32; hint: put the copy of the key back, or make a new home", path.display())]
    BadIdentity {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
    /// A file that is not allowed to be missing.
    #[error("{} is missing; hint: put it back, or create it empty if it is gone for good (its decisions are lost then)", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The log is damaged before its end.
    #[error("{} is damaged at byte {offset}, and there is more behind it; hint: put a copy back; without one move it away and the node starts in recovery", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Where the first bad record begins.
        offset: u64,
    },
    /// A record of a version that is not known here.
    #[error("{} was written by a newer version (at byte {offset}); hint: use that version", path.display())]
    Newer {
        /// The log.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
    },
    /// Text that is none.
    #[error("{} is not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The allowlist cannot be read.
    #[error("{}: {source}", path.display())]
    Allowlist {
        /// The file.
        path: PathBuf,
        /// The line and what is wrong.
        source: AllowlistError,
    },
    /// A list that is not the one last read: to write it would undo what was edited.
    #[error("{} was edited by another hand and is not read yet: nothing was changed; hint: `meshctl status` says whether it can be read", path.display())]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// The policy cannot be read.
    #[error("{}: {source}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// The line and what is wrong.
        source: PolicyError,
    },
    /// No room; the files are as they were.
    #[error("no room to write {}: nothing was changed; hint: free some space and try again", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// The audit log was changed.
    #[error("{}: {source}", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// The line.
        source: BrokenChain,
    },
    /// No key could be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A statement could not be signed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The system refused; the text names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}
