//! What runs the jobs of a run: slots of this process, and through the node of this machine everybody it trusts.
//!
//! [`Workers`] is the layer between the dispatcher, which decides who runs what, and the backends. It names each
//! worker by a number, turns what they say into [`Told`], and decides nothing itself.

pub mod local;
pub mod mesh;

use std::collections::VecDeque;
use std::time::Duration;

use crate::job::{Exit, Job, JobId, Output};
use crate::local::run::RunReply;
use crate::schedule::dispatch::{Joined, Kind, Leaving, Refusal, WorkerId};
use local::LocalSlots;
use mesh::Mesh;

/// The slots of this process.
pub const HERE: WorkerId = WorkerId(0);

/// Something a worker has to say.
#[derive(Debug)]
pub enum Told {
    /// It is there.
    Joined {
        /// Who.
        worker: WorkerId,
        /// What it is.
        joined: Joined,
    },
    /// It has another number of slots.
    Changed {
        /// Who.
        worker: WorkerId,
        /// How many now.
        slots: u32,
    },
    /// It is gone.
    Left {
        /// Who.
        worker: WorkerId,
        /// How.
        leaving: Leaving,
    },
    /// It lives.
    Heard(WorkerId),
    /// It queued a job.
    Accepted {
        /// Who.
        worker: WorkerId,
        /// Which.
        job: JobId,
    },
    /// It does not take a job.
    Refused {
        /// Who.
        worker: WorkerId,
        /// Which.
        job: JobId,
        /// Why.
        why: Refusal,
    },
    /// A job came back.
    Finished {
        /// From whom.
        worker: WorkerId,
        /// Which.
        job: JobId,
        /// With what.
        output: Output,
    },
    /// It does not keep to the protocol.
    Broken {
        /// Who.
        worker: WorkerId,
        /// What it does.
        why: String,
    },
    /// Something for people.
    Notice(String),
}

impl Told {
    /// The job it is about.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        match self {
            Told::Accepted { job, .. } | Told::Refused { job, .. } | Told::Finished { job, .. } => Some(*job),
            Told::Joined { .. } | Told::Changed { .. } | Told::Left { .. } => None,
            Told::Heard(_) | Told::Broken { .. } | Told::Notice(_) => None,
        }
    }
}

/// Slots of this machine that may be used.
#[derive(Debug, Clone, Copy, Default)]
struct Permits {
    granted: u32,
    /// Of these, to be given back when what runs there has ended.
    owed: u32,
}

impl Permits {
    fn usable(self) -> u32 {
        self.granted - self.owed
    }

    fn recalled(&mut self, count: u32) {
        self.owed = (self.owed + count).min(self.granted);
    }

    /// What can be given back while so many are in use.
    fn give_back(&mut self, busy: u32) -> u32 {
        let count = self.owed.min(self.granted.saturating_sub(busy));
        self.granted -= count;
        self.owed -= count;
        count
    }
}

/// Everybody who runs jobs for one run.
#[derive(Debug)]
pub struct Workers {
    run: u64,
    here: LocalSlots,
    /// Slots of this process without a job.
    idle: Vec<usize>,
    permits: Permits,
    mesh: Option<Mesh>,
    /// Whether anything may run on this machine.
    here_too: bool,
    /// Said already, not yet heard.
    waiting: VecDeque<Told>,
}

impl Workers {
    /// The slots of this process only.
    pub fn local(run: u64, here: LocalSlots) -> Self {
        let slots = here_slots(&here);
        Self::new(run, here, slots, None)
    }

    /// The slots of this process, as far as the node grants them, and the peers it knows. `here_too`: something may
    /// run on this machine; otherwise its slots are left to others.
    pub fn with_mesh(run: u64, here: LocalSlots, mesh: Mesh, here_too: bool) -> Self {
        let mut workers = Self::new(run, here, 0, Some(mesh));
        workers.here_too = here_too;
        workers.want();
        workers
    }

    fn new(run: u64, here: LocalSlots, slots: u32, mesh: Option<Mesh>) -> Self {
        let idle = (0..here.count()).rev().collect();
        let joined =
            Joined { kind: Kind::Local, slots, queues: false, unfit: None, slowness: 1.0, heartbeat: None };
        let permits = Permits { granted: slots, owed: 0 };
        Self {
            run,
            here,
            idle,
            permits,
            mesh,
            here_too: true,
            waiting: VecDeque::from([Told::Joined { worker: HERE, joined }]),
        }
    }

    /// Waits until every peer that is there is ready or has said why not, at most so long. What is said meanwhile is
    /// kept for [`Self::next`].
    pub async fn gather(&mut self, limit: Duration) {
        let until = tokio::time::Instant::now() + limit;
        while self.mesh.as_ref().is_some_and(|mesh| !mesh.is_settled()) {
            match tokio::time::timeout_at(until, next_reply(&mut self.mesh)).await {
                Ok(reply) => self.heard(reply),
                Err(_) => return,
            }
        }
    }

    /// The number that all jobs of the run carry.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// A worker as people know it.
    pub fn name(&self, worker: WorkerId) -> String {
        let peer = self.mesh.as_ref().and_then(|mesh| mesh.peer(worker));
        peer.map_or_else(|| "this machine".to_owned(), |peer| peer.name.clone())
    }

    /// The peers that ever took part.
    pub fn mesh(&self) -> Option<&Mesh> {
        self.mesh.as_ref()
    }

    /// Hands a job over. Whatever prevents it comes back from [`Self::next`].
    pub fn start(&mut self, worker: WorkerId, job: Job) {
        if worker != HERE {
            self.mesh.iter_mut().for_each(|mesh| mesh.start(worker, job.clone()));
            return;
        }
        let may = self.busy() < self.permits.usable();
        match self.idle.pop_if(|_| may) {
            Some(slot) => self.here.start(slot, job.id, &job),
            None => self.waiting.push_back(Told::Refused { worker, job: job.id, why: Refusal::Busy }),
        }
    }

    /// Ends a job that is not wanted any more.
    pub fn cancel(&mut self, worker: WorkerId, job: JobId) {
        match &mut self.mesh {
            Some(mesh) if worker != HERE => mesh.cancel(worker, job),
            _ => self.here.cancel(job),
        }
    }

    /// Sends what was handed over since the last time.
    pub fn flush(&mut self) {
        self.mesh.iter_mut().for_each(Mesh::flush);
    }

    /// Waits for what a worker has to say. May be dropped at any time.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.waiting.pop_front() {
                return told;
            }
            let reply = tokio::select! {
                biased;
                (slot, job, output) = self.here.next_finished() => return self.finished(slot, job, output),
                reply = next_reply(&mut self.mesh) => reply,
            };
            self.heard(reply);
        }
    }

    fn finished(&mut self, slot: usize, job: JobId, output: Output) -> Told {
        // A job that never reached the slot leaves it idle as well.
        if !self.idle.contains(&slot) {
            self.idle.push(slot);
        }
        self.give_back();
        Told::Finished { worker: HERE, job, output }
    }

    fn heard(&mut self, reply: Option<RunReply>) {
        let Some(mesh) = &mut self.mesh else { return };
        match reply {
            Some(RunReply::Opened { .. }) if !mesh.is_open() => {
                mesh.back();
                self.permits = Permits::default();
                self.want();
                self.resized();
                self.waiting.push_back(Told::Notice("the node of this machine is back".to_owned()));
            }
            Some(RunReply::Granted(count)) => {
                self.permits.granted += count;
                self.resized();
            }
            Some(RunReply::Recall(count)) => {
                self.permits.recalled(count);
                self.give_back();
                self.resized();
            }
            Some(reply) => self.waiting.extend(mesh.told(reply)),
            None => {
                self.waiting.extend(mesh.lost());
                self.permits = Permits { granted: here_slots(&self.here), owed: 0 };
                self.resized();
                let notice = "the node of this machine is gone: the run goes on here".to_owned();
                self.waiting.push_back(Told::Notice(notice));
            }
        }
    }

    /// Asks the node for the slots of this machine that this process can use.
    fn want(&mut self) {
        let slots = here_slots(&self.here);
        self.mesh.iter_mut().filter(|_| self.here_too).for_each(|mesh| mesh.want(slots));
    }

    fn resized(&mut self) {
        self.waiting.push_back(Told::Changed { worker: HERE, slots: self.permits.usable() });
    }

    /// Returns what the node wants back, as far as nothing runs there.
    fn give_back(&mut self) {
        let count = self.permits.give_back(self.busy());
        if let Some(mesh) = self.mesh.as_mut().filter(|_| count > 0) {
            mesh.release(count);
        }
    }

    fn busy(&self) -> u32 {
        u32::try_from(self.here.count() - self.idle.len()).unwrap_or(u32::MAX)
    }

    /// Ends every job and every process.
    pub async fn shutdown(&mut self) {
        self.mesh.iter_mut().for_each(Mesh::close);
        self.here.shutdown().await;
    }
}

fn here_slots(here: &LocalSlots) -> u32 {
    u32::try_from(here.count()).unwrap_or(u32::MAX)
}

async fn next_reply(mesh: &mut Option<Mesh>) -> Option<RunReply> {
    match mesh {
        Some(mesh) if mesh.listens() => mesh.next().await,
        _ => std::future::pending().await,
    }
}

/// What a job amounts to that came back without output.
pub fn without_process(exit: Exit) -> Output {
    let empty = crate::job::Captured::default;
    Output { exit, stdout: empty(), stderr: empty(), duration: Duration::ZERO, max_rss: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_given_back_as_jobs_end_and_only_once() {
        let mut permits = Permits { granted: 4, owed: 0 };
        permits.recalled(2);
        assert_eq!((permits.usable(), permits.give_back(3)), (2, 1));
        assert_eq!(permits.give_back(3), 0);
        assert_eq!((permits.give_back(2), permits.usable()), (1, 2));
        permits.recalled(9);
        assert_eq!((permits.usable(), permits.give_back(0), permits.give_back(0)), (0, 2, 0));
    }
}
