//! What happens to a world while it lives: owners, machines, disks, clocks, liars.

use testmesh::local::wire::{Recover, Request, Rights};

use super::world::World;

/// Turns of a world that lives.
const TURNS: usize = 60;

/// Seconds.
const DAY: u64 = 24 * 60 * 60;
const YEAR: i64 = 365 * 24 * 60 * 60;

impl World {
    /// Owners approve, forget, revoke and take back; machines come, go, restart and are put back, for a while.
    pub(crate) fn live(&mut self) {
        for _ in 0..TURNS {
            let (one, other) = (self.any(), self.any());
            if one != other {
                match self.draw(40) {
                    0..14 => self.decide(one, other),
                    14..18 => self.trouble(one),
                    18..22 => self.part(one, other),
                    _ => self.meet(one, other),
                }
            }
            self.repeat_something();
            self.pass(true);
        }
    }

    /// An owner decides something.
    fn decide(&mut self, one: usize, other: usize) {
        let who = self.who(other);
        match self.draw(28) {
            0..14 => self.approve_somehow(one, other),
            14..17 => self.command(one, Request::Forget { who, keep_denials: true }),
            17 => self.command(one, Request::Forget { who, keep_denials: false }),
            18 | 19 => self.revoke(one, other),
            20 | 21 => self.approve_despite(one, other),
            22 => self.block(one, other),
            23 => self.command(one, Request::Unblock(who)),
            24 => self.command(one, Request::Void(who)),
            25 => self.command(one, Request::Unvoid(who)),
            26 if self.draw(2) == 0 => self.command(one, Request::Recover(Recover::Restore)),
            26 => self.command(one, Request::Recover(Recover::Fresh)),
            _ if self.draw(4) == 0 => {
                self.command(one, Request::Retire { successor: None, note: String::new() });
            }
            _ => {}
        }
    }

    fn approve_somehow(&mut self, one: usize, other: usize) {
        let (submit, work) = match self.draw(6) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let depth = u8::try_from(self.draw(4)).unwrap();
        let depth = if self.draw(2) == 0 { 3 } else { depth };
        self.approve(one, other, Rights { submit, work }, depth, Vec::new());
    }

    /// Trust in spite of every denial this node knows.
    fn approve_despite(&mut self, one: usize, other: usize) {
        let key = self.nodes[other].identity.public();
        let set = self.nodes[one].state.trust().keyring().set();
        let denials = set.denials().filter(|(_, deny)| deny.subject == key);
        let despite = denials.map(|(id, _)| id.to_string()).take(8).collect();
        self.approve(one, other, Rights::ALL, 3, despite);
    }

    /// Something happens to a machine.
    fn trouble(&mut self, one: usize) {
        match self.draw(10) {
            0 | 1 => self.restart(one),
            2 => self.stop(one),
            3 | 4 if !self.nodes[one].up => self.start(one),
            3 | 4 => {
                let after = self.draw(2) == 0;
                self.kill_at_next_write(one, after);
            }
            5 | 6 => self.disk_trouble(one),
            7 | 8 if self.habits.clocks => self.clock_trouble(one),
            _ => {}
        }
    }

    fn disk_trouble(&mut self, one: usize) {
        if !self.habits.disks || !self.nodes[one].up {
            return;
        }
        match self.draw(8) {
            0..3 => self.back_up(one),
            3..5 => self.roll_back(one),
            5 | 6 => self.nodes[one].full = !self.nodes[one].full,
            _ => self.lose_store(one),
        }
    }

    fn clock_trouble(&mut self, one: usize) {
        match self.draw(4) {
            0 => self.nodes[one].skew = 0,
            1 => {
                let year = i64::try_from(self.draw(2 * YEAR as u64)).unwrap();
                self.nodes[one].skew = year - YEAR;
            }
            2 => self.nodes[one].skew += i64::try_from(self.draw(7200)).unwrap() - 3600,
            _ => self.aged += self.draw(120) * DAY,
        }
    }

    /// Somebody tells an old statement again.
    fn repeat_something(&mut self) {
        if self.published.is_empty() || self.draw(4) > 0 {
            return;
        }
        let place = usize::try_from(self.draw(self.published.len() as u64)).unwrap();
        let bytes = self.published[place].clone();
        let (from, to) = (self.any(), self.any());
        self.replay(from, to, bytes);
    }
}
