//! A run of the simulated world: a real dispatcher, imagined tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use testmesh::schedule::dispatch::{
    Action, Config, Dispatch, Ending, Estimate, Joined, Kind, Spec, TaskId, WorkerId,
};

/// A test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    /// On an average machine.
    pub(crate) duration: Duration,
    pub(crate) estimate: Estimate,
    pub(crate) local_only: bool,
    pub(crate) heavy: bool,
    /// Its result on a peer is confirmed at home.
    pub(crate) doubtful: bool,
    /// Brings down peers.
    pub(crate) poison: bool,
}

impl Test {
    pub(crate) fn new(duration: Duration, estimate: Estimate) -> Self {
        Test { duration, estimate, local_only: false, heavy: false, doubtful: false, poison: false }
    }
}

/// After it a worker ends a test itself.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// How often nodes give a sign of life.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// Number of the worker that the client's own process is.
pub(crate) const HERE: WorkerId = WorkerId(1_000_000);

/// A run.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) dispatch: Dispatch,
    /// The node on its machine.
    pub(crate) home: Option<usize>,
    /// What each task is.
    pub(crate) tests: Vec<Test>,
    /// Times each task was delivered.
    pub(crate) delivered: Vec<u8>,
    pub(crate) open: usize,
    pub(crate) done_at: Duration,
    pub(crate) infra: Vec<String>,
    pub(crate) excluded: Vec<(WorkerId, String)>,
    /// Offers without an answer.
    pub(crate) offers: BTreeMap<u64, (usize, Vec<(TaskId, u16)>)>,
    pub(crate) next_offer: u64,
    /// Answers the machine was given, to check that it delivers none that nobody gave.
    pub(crate) answers: BTreeSet<(WorkerId, TaskId, u16)>,
    pub(crate) revoked: BTreeSet<WorkerId>,
    /// Slots of its own process, and what runs on them: open once the node of this machine is lost.
    pub(crate) own_slots: u32,
    pub(crate) own: BTreeSet<(TaskId, u16)>,
    pub(crate) own_open: bool,
    pub(crate) armed: Option<Duration>,
    pub(crate) executions: u64,
    /// Time spent inside the dispatcher, if it is measured.
    pub(crate) cpu: Option<Duration>,
}

impl Client {
    pub(crate) fn new(home: Option<usize>, config: Config) -> Self {
        Client {
            dispatch: Dispatch::new(config),
            home,
            tests: Vec::new(),
            delivered: Vec::new(),
            open: 0,
            done_at: Duration::ZERO,
            infra: Vec::new(),
            excluded: Vec::new(),
            offers: BTreeMap::new(),
            next_offer: 0,
            answers: BTreeSet::new(),
            revoked: BTreeSet::new(),
            own_slots: 2,
            own: BTreeSet::new(),
            own_open: false,
            armed: None,
            executions: 0,
            cpu: None,
        }
    }

    pub(crate) fn submit(&mut self, test: Test, spec: Spec, now: Duration) {
        let id = self.dispatch.submit(spec, now);
        assert_eq!(id.0 as usize, self.tests.len(), "tasks are numbered in order");
        self.tests.push(test);
        self.delivered.push(0);
        self.open += 1;
    }

    pub(crate) fn submit_test(&mut self, test: Test, now: Duration) {
        let Test { local_only, heavy, .. } = test;
        self.submit(test, Spec { local_only, heavy, ..Spec::new(test.estimate, LIMIT) }, now);
    }

    pub(crate) fn join(&mut self, node: usize, slots: u32, now: Duration) {
        let kind = if self.home == Some(node) { Kind::Local } else { Kind::Peer };
        let joined = Joined { kind, slots, queues: true, unfit: None, slowness: 1.0, heartbeat: Some(BEAT) };
        self.revoked.remove(&worker(node));
        self.dispatch.worker_joined(worker(node), joined, now);
    }

    pub(crate) fn open_own(&mut self, now: Duration) {
        let joined = Joined {
            kind: Kind::Local,
            slots: self.own_slots,
            queues: false,
            unfit: None,
            slowness: 1.0,
            heartbeat: None,
        };
        self.own_open = true;
        self.dispatch.worker_joined(HERE, joined, now);
    }

    pub(crate) fn actions(&mut self, now: Duration) -> Vec<Action> {
        self.measured(|dispatch| dispatch.actions(now))
    }

    /// Calls the machine, on the clock if asked to.
    pub(crate) fn measured<R>(&mut self, call: impl FnOnce(&mut Dispatch) -> R) -> R {
        let Some(cpu) = &mut self.cpu else { return call(&mut self.dispatch) };
        let begun = thread_time();
        let result = call(&mut self.dispatch);
        *cpu += thread_time().saturating_sub(begun);
        result
    }

    /// A delivery; panics if it is not the first of its task or of an answer nobody gave.
    pub(crate) fn delivered(
        &mut self,
        task: TaskId,
        worker: Option<WorkerId>,
        attempt: u16,
        ending: &Ending,
        now: Duration,
    ) {
        let times = &mut self.delivered[task.0 as usize];
        *times += 1;
        assert_eq!(*times, 1, "{task:?} was delivered again");
        self.open -= 1;
        self.done_at = now;
        match ending {
            Ending::Ran => {
                let worker = worker.expect("somebody ran it");
                assert!(self.answers.contains(&(worker, task, attempt)), "nobody gave this answer");
                assert!(!self.revoked.contains(&worker), "an answer of a revoked machine counts");
                self.confirm(task, worker, now);
            }
            Ending::Infra(why) => self.infra.push(why.clone()),
            Ending::Cancelled => {}
        }
    }

    fn confirm(&mut self, task: TaskId, worker: WorkerId, now: Duration) {
        let test = self.tests[task.0 as usize];
        let home = self.home.map(self::worker);
        if test.doubtful && worker != HERE && Some(worker) != home {
            let again = Test { doubtful: false, poison: false, local_only: true, ..test };
            self.submit(again, Spec::new(test.estimate, LIMIT).confirming(), now);
        }
    }
}

/// The worker that a node is.
pub(crate) fn worker(node: usize) -> WorkerId {
    WorkerId(u32::try_from(node).expect("few nodes"))
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
