//! The slots of this machine, side by side.
//!
//! One task owns each slot and shares nothing: jobs and cancellations come in over a bounded queue, outputs go out over
//! one that all slots share. Which job runs on which slot is the caller's decision.

use std::collections::VecDeque;

use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::without_process;
use crate::backend::{BackendError, Resolved, Roots, Slot, SlotConfig};
use crate::job::{Exit, Job, JobId, Output};

/// What a slot can be told before it listens: a job and its cancellation. More of the latter are dropped, because one
/// is enough.
const COMMANDS: usize = 2;

/// A set of slots. Dropping it ends what runs without waiting for that; [`Self::shutdown`] waits.
#[derive(Debug)]
pub struct LocalSlots {
    roots: Roots,
    lanes: Vec<Lane>,
    tasks: JoinSet<()>,
    finished: mpsc::Receiver<Finished>,
    /// Jobs that ended before they reached a slot.
    unsent: VecDeque<Finished>,
}

/// Which slot, which job, what became of it.
type Finished = (usize, JobId, Output);

/// One slot as its task's caller sees it.
#[derive(Debug)]
struct Lane {
    commands: mpsc::Sender<Command>,
    running: Option<JobId>,
}

#[derive(Debug)]
enum Command {
    Run(JobId, Resolved),
    Cancel,
}

impl LocalSlots {
    /// Starts `count` slots that resolve jobs with these roots.
    ///
    /// # Errors
    /// When a slot process cannot be started.
    pub async fn open(count: usize, roots: Roots, config: &SlotConfig) -> Result<Self, BackendError> {
        let slots = try_join_all((0..count).map(|index| Slot::start(config.of_slot(index)))).await?;
        // Room for one output a slot, so that no slot ever waits for its owner.
        let (results, finished) = mpsc::channel(count.max(1));
        let mut tasks = JoinSet::new();
        let lane = |(index, slot)| {
            let (commands, orders) = mpsc::channel(COMMANDS);
            tasks.spawn(Worker { index, slot, orders, results: results.clone() }.work());
            Lane { commands, running: None }
        };
        let lanes = slots.into_iter().enumerate().map(lane).collect();
        Ok(Self { roots, lanes, tasks, finished, unsent: VecDeque::new() })
    }

    /// How many slots there are.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Starts a job on a slot that runs none. Whatever prevents it comes back from [`Self::next_finished`].
    pub fn start(&mut self, slot: usize, id: JobId, job: &Job) {
        match self.roots.job(job) {
            Ok(resolved) => self.start_resolved(slot, id, resolved),
            Err(error) => self.failed(slot, id, without_process(Exit::NotStarted(error.to_string()))),
        }
    }

    /// As [`Self::start`], for a job that is in this machine's paths already.
    pub fn start_resolved(&mut self, slot: usize, id: JobId, job: Resolved) {
        if let Err(exit) = self.hand_over(slot, id, job) {
            self.failed(slot, id, without_process(exit));
        }
    }

    /// A job ended before it reached its slot; comes back from [`Self::next_finished`] as any other.
    pub fn failed(&mut self, slot: usize, id: JobId, output: Output) {
        self.unsent.push_back((slot, id, output));
    }

    fn hand_over(&mut self, slot: usize, id: JobId, resolved: Resolved) -> Result<(), Exit> {
        let lane = self.lanes.get_mut(slot).ok_or_else(|| Exit::Lost(format!("there is no slot {slot}")))?;
        if lane.running.is_some() {
            return Err(Exit::Lost(format!("slot {slot} runs another job")));
        }
        let sent = lane.commands.try_send(Command::Run(id, resolved));
        sent.map_err(|_| Exit::Lost(format!("slot {slot} is gone")))?;
        lane.running = Some(id);
        Ok(())
    }

    /// Waits for the next job to end. Waits for ever while none runs. May be dropped at any time.
    pub async fn next_finished(&mut self) -> (usize, JobId, Output) {
        if let Some(finished) = self.unsent.pop_front() {
            return finished;
        }
        let finished = match self.finished.recv().await {
            Some(finished) => finished,
            None => self.abandoned().await,
        };
        if let Some(lane) = self.lanes.get_mut(finished.0) {
            lane.running = None;
        }
        finished
    }

    /// A job whose slot's task is gone.
    async fn abandoned(&mut self) -> Finished {
        let mut lanes = self.lanes.iter().enumerate();
        match lanes.find_map(|(slot, lane)| Some((slot, lane.running?))) {
            Some((slot, id)) => (slot, id, without_process(Exit::Lost(format!("slot {slot} is gone")))),
            None => std::future::pending().await,
        }
    }

    /// Ends a job. Its output still comes, unless it has already. No effect on a job that does not run here.
    pub fn cancel(&mut self, id: JobId) {
        let lane = self.lanes.iter().find(|lane| lane.running == Some(id));
        lane.into_iter().for_each(Lane::cancel);
    }

    /// The same where the slot is known: two submitters may have given their jobs the same number.
    pub fn cancel_on(&mut self, slot: usize, id: JobId) {
        let lane = self.lanes.get(slot).filter(|lane| lane.running == Some(id));
        lane.into_iter().for_each(Lane::cancel);
    }

    /// Ends every job. Their outputs still come.
    pub fn cancel_all(&mut self) {
        self.lanes.iter().filter(|lane| lane.running.is_some()).for_each(Lane::cancel);
    }

    /// Ends every job and every process, and waits for that at most half a second. No output comes any more.
    pub async fn shutdown(&mut self) {
        self.finished.close();
        self.lanes.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Lane {
    fn cancel(&self) {
        // A full queue holds a cancellation already.
        let _ = self.commands.try_send(Command::Cancel);
    }
}

/// The task that owns a slot.
struct Worker {
    index: usize,
    slot: Slot,
    orders: mpsc::Receiver<Command>,
    results: mpsc::Sender<Finished>,
}

impl Worker {
    async fn work(mut self) {
        while let Some(order) = self.orders.recv().await {
            match order {
                Command::Run(id, job) => {
                    let Some(output) = self.run(&job).await else { break };
                    if self.results.send((self.index, id, output)).await.is_err() {
                        break;
                    }
                }
                // The job it was meant for has ended.
                Command::Cancel => {}
            }
        }
        self.slot.stop().await;
    }

    /// Runs a job while listening for its cancellation; none when the set of slots is gone.
    async fn run(&mut self, job: &Resolved) -> Option<Output> {
        if let Err(output) = self.slot.begin(job).await {
            return Some(*output);
        }
        loop {
            tokio::select! {
                biased;
                output = self.slot.finish() => return Some(output),
                order = self.orders.recv() => match order {
                    Some(Command::Cancel) => self.slot.cancel().await,
                    // Nobody starts a job on a slot that runs one.
                    Some(Command::Run(..)) => {}
                    None => return None,
                },
            }
        }
    }
}
