//! Performs what the node's state decides: network, socket, store, slots and supplies, and the clocks.
//!
//! One loop waits for all of them, turns what happens into events, and does what the state says, in order. What is
//! written is written before anything that depends on it is told. Decides nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::work::message::RunId;
use tokio::signal::unix::{SignalKind, signal};

use super::event::{Action, Client, ClientId, Event, Now};
use super::link::{Incoming, Link};
use super::state::State;
use super::supplies::Supplies;
use crate::job::{Exit, Job};
use crate::local::server::{ConnectionId, Event as Heard, Server};
use crate::local::wire::{Reply, Request};
use crate::worker::local::LocalSlots;
use crate::worker::without_process;

/// How often the state hears that time passes: often enough for a load told every second.
const TICK: Duration = Duration::from_millis(500);

/// What keeps a node's decisions on disk, and answers what only files can.
pub trait Keep {
    /// Writes a change and waits until it is safe.
    ///
    /// # Errors
    /// In words for the owner; then nothing is written.
    fn persist(&mut self, change: &testmesh_keys::keyring::Change, state: &State) -> Result<(), String>;

    /// Writes all that is known anew, after something could not be written.
    ///
    /// # Errors
    /// In words for the owner; what was written before is as it was.
    fn catch_up(&mut self, state: &State) -> Result<(), String>;

    /// Writes a line of the audit log.
    ///
    /// # Errors
    /// In words for the owner; then nothing is written.
    fn note(&mut self, what: &'static str, text: String) -> Result<(), String>;

    /// Reads what the owner edited by hand, if something was edited: whether it could be read, and what follows.
    fn look(&mut self, state: &mut State, now: Now) -> Option<(Result<(), String>, Vec<Action>)>;

    /// Answers a request about files.
    fn ask(&mut self, request: Request, state: &mut State, now: Now) -> (Reply, Vec<Action>);
}

/// A node at work.
pub struct Driver<K> {
    /// What decides.
    pub state: State,
    /// The network.
    pub link: Link,
    /// The socket.
    pub server: Server,
    /// What jobs read.
    pub supplies: Supplies,
    /// Where peers' jobs run.
    pub slots: LocalSlots,
    /// The disk.
    pub keep: K,
    begun: Instant,
    /// The last request about a run, by client: its answers carry the number.
    runs: BTreeMap<ClientId, u32>,
    stopping: bool,
}

impl<K: Keep> Driver<K> {
    /// Everything a node consists of.
    pub fn new(
        state: State,
        link: Link,
        server: Server,
        supplies: Supplies,
        slots: LocalSlots,
        keep: K,
    ) -> Self {
        let begun = Instant::now();
        Self { state, link, server, supplies, slots, keep, begun, runs: BTreeMap::new(), stopping: false }
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Now { mono: self.begun.elapsed(), unix }
    }

    /// Runs until the node is told to stop, by a signal, a client, or `end`.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub async fn run(mut self, end: impl Future<Output = ()>) -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let first = self.state.begin(self.now());
        self.perform(first);
        tokio::pin!(end);
        while !self.stopping {
            self.open_streams();
            let wake = self.supplies.wake().unwrap_or_else(|| Instant::now() + NEVER);
            let due = self.state.due().map_or_else(|| Instant::now() + NEVER, |due| self.begun + due);
            tokio::select! {
                biased;
                () = &mut end => self.stopping = true,
                _ = interrupt.recv() => self.happened(Event::Stop),
                _ = terminate.recv() => self.happened(Event::Stop),
                _ = hangup.recv() => self.reload(),
                _ = ticks.tick() => {
                    self.look();
                    self.happened(Event::Tick);
                }
                heard = self.server.next() => self.heard(heard),
                (slot, id, output) = self.slots.next_finished() => {
                    let slot = u32::try_from(slot).unwrap_or(u32::MAX);
                    self.happened(Event::JobDone { slot, id, output });
                }
                event = self.supplies.next() => if let Some(event) = event { self.happened(event) },
                () = tokio::time::sleep_until(wake.into()) => self.supplies.tick(),
                () = tokio::time::sleep_until(due.into()) => self.happened(Event::Due),
                // Last: it alone can have something to say at any time, and a flood must not keep out the owner.
                incoming = self.link.next() => self.incoming(incoming),
            }
        }
        tracing::info!("stopping");
        self.slots.shutdown().await;
        self.link.shutdown().await;
        self.server.shutdown().await;
        Ok(())
    }

    fn happened(&mut self, event: Event) {
        let peer = |key| tracing::info_span!("peer", %key, name = ?self.state.name_of(&key));
        let _span = event.peer().map(|key| peer(key).entered());
        match &event {
            Event::Connected { peer, address, .. } if self.state.trust().given(peer).any() => {
                tracing::info!(%address, "connected");
            }
            Event::Disconnected { peer, why } if self.state.trust().given(peer).any() => {
                tracing::info!(why = why.as_deref().unwrap_or("it left"), "disconnected");
            }
            Event::Connected { address, .. } => tracing::debug!(%address, "a stranger connected"),
            _ => {}
        }
        if let Event::Disconnected { peer, .. } = &event {
            self.supplies.gone(*peer);
        }
        let actions = self.state.handle(event, self.now());
        self.perform(actions);
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Event(event) => self.happened(event),
            Incoming::Blobs(peer, stream) => self.supplies.serve(peer, stream),
        }
    }

    fn open_streams(&mut self) {
        for order in self.supplies.to_open() {
            let opening = self.link.open_blob(order.peer());
            self.supplies.opened(order, opening);
        }
    }

    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Asked { connection, id, request } => {
                if matches!(request, Request::Run(_)) {
                    self.runs.insert(connection.0, id);
                } else {
                    // A command is about the lists as they are, not as they were.
                    self.look();
                }
                self.happened(Event::Client { client: Client { id: connection.0, ask: id }, request });
            }
            Heard::Gone(connection) => self.client_gone(connection.0),
        }
    }

    fn client_gone(&mut self, id: ClientId) {
        self.runs.remove(&id);
        self.happened(Event::ClientGone(id));
    }

    /// Sends a reply; a client that does not read is gone.
    fn tell(&mut self, id: ClientId, ask: u32, reply: Reply) {
        if !self.server.reply(ConnectionId(id), ask, reply) && self.runs.contains_key(&id) {
            self.client_gone(id);
        }
    }

    fn reload(&mut self) {
        let now = self.now();
        let (reply, actions) = self.keep.ask(Request::Reload, &mut self.state, now);
        match reply {
            Reply::Error(error) => tracing::error!(why = %error, "reload"),
            Reply::Reloaded { waiting } if waiting.is_empty() => {
                tracing::info!("allowlist and settings read again");
            }
            Reply::Reloaded { waiting } => {
                tracing::warn!(settings = ?waiting, "allowlist and settings read again; these settings need a restart");
            }
            _ => {}
        }
        self.perform(actions);
    }

    /// Takes what the owner edited by hand.
    fn look(&mut self) {
        let now = self.now();
        let Some((read, actions)) = self.keep.look(&mut self.state, now) else { return };
        match read {
            Ok(()) => tracing::info!("the allowlist or the policy was edited, and read again"),
            Err(why) => {
                tracing::error!(%why, "the allowlist or the policy was edited, and what was read before stays in force");
            }
        }
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match &action {
                Action::Admit(key) => {
                    tracing::info!(%key, name = ?self.state.name_of(key), "trusted from now on");
                }
                Action::Expel(key) => {
                    tracing::info!(%key, name = ?self.state.name_of(key), "trusted no longer");
                }
                _ => {}
            }
            let Some(action) = self.link.perform(action) else { continue };
            match action {
                Action::Persist(change) => {
                    if let Err(why) = self.keep.persist(&change, &self.state) {
                        tracing::error!(%why, "a change of trust could not be written");
                        let undone = self.state.persist_failed(&why);
                        // What came from a peer or from time holds in memory; only the owner's wish is taken back.
                        if !undone.is_empty() {
                            return self.perform(undone);
                        }
                    }
                }
                Action::CatchUp => match self.keep.catch_up(&self.state) {
                    Ok(()) => {
                        tracing::info!("what could not be written before is on the disk now");
                        self.state.caught_up();
                    }
                    Err(why) => tracing::debug!(%why, "still nothing can be written"),
                },
                Action::Tell(client, reply) => self.tell(client.id, client.ask, reply),
                Action::TellRun(id, reply) => {
                    let ask = self.runs.get(&id).copied().unwrap_or_default();
                    self.tell(id, ask, Reply::Run(reply));
                }
                Action::Ask(client, request) => {
                    let now = self.now();
                    let (reply, actions) = self.keep.ask(request, &mut self.state, now);
                    self.perform(actions);
                    self.tell(client.id, client.ask, reply);
                }
                Action::Prepare { submitter, open } => self.supplies.prepare(submitter, *open),
                Action::Discard { submitter, run } => self.supplies.discard(submitter, run),
                Action::Scan { run, sources, .. } => self.supplies.scan(run, sources),
                Action::Release(run) => self.supplies.release(run),
                Action::Run { slot, submitter, run, job } => self.start(slot, submitter, run, &job),
                Action::Kill { slot, id } => self.slots.cancel_on(slot as usize, id),
                Action::Note { what, text } => {
                    if let Err(why) = self.keep.note(what, text) {
                        tracing::error!(%why, "the audit log lacks a line");
                    }
                }
                Action::Log(text) => tracing::info!("{text}"),
                Action::Stop => self.stopping = true,
                other => tracing::error!(?other, "nobody performs this"),
            }
        }
    }

    fn start(&mut self, slot: u32, submitter: NodeKey, run: RunId, job: &Job) {
        let resolved = match self.supplies.roots(submitter, run) {
            Some(roots) => roots.job(job).map_err(|error| Exit::NotStarted(error.to_string())),
            None => Err(Exit::Lost("its run is over".to_owned())),
        };
        match resolved {
            Ok(resolved) => self.slots.start_resolved(slot as usize, job.id, resolved),
            Err(exit) => self.slots.failed(slot as usize, job.id, without_process(exit)),
        }
    }
}

/// A moment that does not come.
const NEVER: Duration = Duration::from_secs(3600);
