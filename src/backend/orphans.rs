//! What a job leaves behind: descendants that outlived it.
//!
//! The slot is their subreaper, so whatever a job started and abandoned, in however many sessions, becomes the slot's
//! own child when its parent ends. Killing direct children only is race-free: their ids cannot be reused before the
//! slot reaps them. May only be called while no job runs.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use super::group::Leader;

/// Time to kill what is left; only processes that the slot may not signal, or that multiply faster than they can be
/// killed, need all of it.
const BUDGET: Duration = Duration::from_secs(2);

/// Longest wait for one of them to end before the rest is looked at again.
const LOOK: Duration = Duration::from_millis(50);

/// Kills and reaps every descendant.
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
        Err(_) => children_by_parent(rustix::process::getpid()),
    }
}

fn children_by_parent(parent: Pid) -> Vec<Leader> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).filter_map(Leader::new).collect()
}

fn parent_of(id: i32) -> Option<Pid> {
    let stat = std::fs::read(format!("/proc/{id}/stat")).ok()?;
    parent_in(&String::from_utf8_lossy(&stat)).and_then(Pid::from_raw)
}

/// The fourth field; the second is a name in parentheses that may hold anything.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("7 (d8) S 42 7 7 0"), Some(42));
        assert_eq!(parent_in("7 (a) R 1 (b) S 42 7"), Some(42));
        assert_eq!(parent_in("7 (d8"), None);
        assert_eq!(parent_in(""), None);
    }

    #[test]
    fn both_ways_find_the_same_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = children_by_parent(rustix::process::getpid());
        let id = Leader::new(i32::try_from(child.id()).unwrap()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&id));
    }
}
