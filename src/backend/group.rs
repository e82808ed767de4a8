//! Signals to processes and process groups that a slot started.
//!
//! A process id of 0, 1 or below means something else to `kill` (the own group, init, every process of the user), so
//! such an id cannot be held here.

use rustix::process::{Pid, Signal};

/// A process of ours, leader of its own group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leader(Pid);

impl Leader {
    /// None for an id that is no single process of ours.
    pub(super) fn new(id: i32) -> Option<Self> {
        (id > 1).then(|| Pid::from_raw(id)).flatten().map(Self)
    }

    /// Its process id.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the standard library reaps there"))]
    pub(super) fn pid(self) -> Pid {
        self.0
    }

    /// Signals every process of the group. That none is left is no error.
    pub(super) fn signal_group(self, signal: Signal) {
        // The group may have ended by itself, or belong to another user by now: both leave nothing to do.
        let _ = rustix::process::kill_process_group(self.0, signal);
    }

    /// Kills the process alone. That it has ended is no error.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "orphans cannot be found there"))]
    pub(super) fn kill(self) {
        let _ = rustix::process::kill_process(self.0, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_a_wider_meaning_cannot_be_held() {
        for id in [i32::MIN, -7, -1, 0, 1] {
            assert_eq!(Leader::new(id), None, "{id}");
        }
        assert_eq!(Leader::new(2).map(|leader| leader.pid().as_raw_nonzero().get()), Some(2));
    }
}
