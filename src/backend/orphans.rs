//! What a job leaves behind: descendants that outlived it.
//!
//! The slot is their subreaper, so whatever a job started and abandoned, in however many sessions, becomes the slot's
//! own child when its parent ends. Killing direct children only is race-free: their ids cannot be reused before the
//! slot reaps them.
//!
//! When the slot itself is killed, the system kills the job's own process; its owner then ends what else is left in
//! the slot's session. Daemons that had left that session as well are out of reach.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions};

use super::group::Leader;

/// Time to kill what is left; only processes that the slot may not signal, or that multiply faster than they can be
/// killed, need all of it.
const BUDGET: Duration = Duration::from_secs(2);

/// Longest wait for one of them to end before the rest is looked at again.
const LOOK: Duration = Duration::from_millis(50);

/// Kills and reaps every descendant of this process, a slot that runs no job.
pub(super) fn sweep() {
    // Almost every job leaves nothing, and then this is one system call.
    if !any_left() {
        return;
    }
    let end = Instant::now() + BUDGET;
    while Instant::now() < end {
        let children = children();
        children.iter().for_each(|child| child.kill());
        if let Some(child) = children.first() {
            wait_for(*child);
        }
        if !any_left() {
            return;
        }
    }
}

/// Kills every process in the session of a slot that is dead.
pub(super) fn end_session(slot: i32) {
    let end = Instant::now() + BUDGET;
    while Instant::now() < end {
        let members = processes(|stat| stat.session == slot && stat.state != "Z");
        let Some(first) = members.first() else { return };
        members.iter().for_each(|member| member.kill());
        wait_for(*first);
    }
}

/// Reaps what has ended; says whether anything runs on.
fn any_left() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    loop {
        match rustix::process::waitid(WaitId::All, options) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            // No child at all.
            Err(_) => return false,
        }
    }
}

fn wait_for(child: Leader) {
    let Ok(exit) = rustix::process::pidfd_open(child.pid(), PidfdFlags::empty()) else { return };
    let timeout = Timespec::try_from(LOOK).ok();
    let _ = poll(&mut [PollFd::new(&exit, PollFlags::IN)], timeout.as_ref());
}

/// The slot's own children.
fn children() -> Vec<Leader> {
    match std::fs::read_to_string("/proc/thread-self/children") {
        Ok(list) => list.split_ascii_whitespace().filter_map(|id| Leader::new(id.parse().ok()?)).collect(),
        // Kernels without this file show each process's parent.
        Err(_) => children_by_parent(rustix::process::getpid().as_raw_nonzero().get()),
    }
}

fn children_by_parent(parent: i32) -> Vec<Leader> {
    processes(|stat| stat.parent == parent)
}

/// All processes of this machine that are like that.
fn processes(wanted: impl Fn(&Stat<'_>) -> bool) -> Vec<Leader> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_wanted = |id: &i32| {
        let stat = std::fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
        Stat::parse(&String::from_utf8_lossy(&stat)).is_some_and(|stat| wanted(&stat))
    };
    ids.filter(is_wanted).filter_map(Leader::new).collect()
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    state: &'a str,
    parent: i32,
    session: i32,
}

impl<'a> Stat<'a> {
    /// The fields behind the name, which stands in parentheses and may hold anything.
    fn parse(line: &'a str) -> Option<Self> {
        let (_, behind_name) = line.rsplit_once(')')?;
        let mut fields = behind_name.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        Some(Self { state, parent, session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = Some(Stat { state: "S", parent: 42, session: 5 });
        assert_eq!(Stat::parse("7 (d8) S 42 6 5 0"), stat);
        assert_eq!(Stat::parse("7 (a) R 1 (b) S 42 6 5"), stat);
        assert_eq!(Stat::parse("7 (d8"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn both_ways_find_the_same_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = children_by_parent(i32::try_from(std::process::id()).unwrap());
        let id = Leader::new(i32::try_from(child.id()).unwrap()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&id));
    }
}
