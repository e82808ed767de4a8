//! What jobs read: fetched from peers, made into workspaces, served to others. Driver of the blob machines.
//!
//! [`Exchange`] decides whom to ask and [`Offers`] what to answer; this opens the streams, moves the bytes on tasks of
//! their own and writes the trees. It runs and judges nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use testmesh_behaviours::blobs::Opening;
use testmesh_behaviours::blobs::stream::BlobStream;
use testmesh_behaviours::event::Failure;
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::work::message::{RunId, RunOpen};
use testmesh_behaviours::work::offer::InputDigest;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::event::Event;
use super::files::Home;
use super::outbound::Scan;
use crate::backend::{Roots, Workspace, WorkspaceError, Workspaces};
use crate::blobs::exchange::{Input, NeedId, Output, TransferId};
use crate::blobs::manifest::{Chunk, ENCODED_MAX, Manifest};
use crate::blobs::store::Pin;
use crate::blobs::transfer::{self, Coming, Gate, Report};
use crate::blobs::wire::Want;
use crate::blobs::{BlobId, Exchange, Offers, Selection, Store, StoreConfig, StoreError, scan};
use crate::job::Root;
use crate::local::run::Source;

/// Workspaces that no run uses and that are kept for the next one.
const WORKSPACES_KEPT: usize = 8;

/// What the tasks may have to say at once before they wait.
const NEWS: usize = 256;

/// A transfer without an end after this long is given up; what came is kept.
const TRANSFER_LIMIT: Duration = Duration::from_secs(120);

/// Why supplies cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SuppliesError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The workspaces.
    #[error(transparent)]
    Workspaces(#[from] WorkspaceError),
}

/// What tasks have to say.
#[derive(Debug)]
enum News {
    Exchange(Input<NodeKey>),
    Served(NodeKey, u64),
    State(Event),
    Rooted { submitter: NodeKey, run: RunId, result: Result<Place, String> },
    Pinned(RunId, Vec<Pin>),
}

/// A run of a peer.
#[derive(Debug)]
struct Prepared {
    need: NeedId,
    open: RunOpen,
    pins: Vec<Pin>,
    place: Option<Place>,
}

/// Where a run's jobs run.
#[derive(Debug)]
struct Place {
    roots: Roots,
    /// The trees stay while these are held.
    _trees: Vec<Workspace>,
}

/// A stream to open, for the owner of the network.
#[derive(Debug)]
pub struct ToOpen {
    transfer: TransferId,
    peer: NodeKey,
    wants: Vec<Want>,
}

impl ToOpen {
    /// To whom.
    pub fn peer(&self) -> &NodeKey {
        &self.peer
    }
}

/// Everything a node keeps for jobs to read.
pub struct Supplies {
    store: Store,
    workspaces: Workspaces,
    cache: PathBuf,
    exchange: Exchange<NodeKey>,
    offers: Arc<Mutex<Offers<NodeKey>>>,
    /// What the exchange lacks: who asks for it waits a moment.
    coming: Coming,
    runs: BTreeMap<(NodeKey, RunId), Prepared>,
    /// Blobs of our clients' runs stay while they last.
    own: BTreeMap<RunId, Vec<Pin>>,
    transfers: BTreeMap<TransferId, AbortHandle>,
    to_open: Vec<ToOpen>,
    tasks: JoinSet<()>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    count: u64,
}

impl Supplies {
    /// Opens the store and the workspaces of a node.
    ///
    /// # Errors
    /// When their folders cannot be used.
    pub fn open(home: &Home, here: NodeKey) -> Result<Self, SuppliesError> {
        Ok(Self {
            store: Store::open(StoreConfig::new(home.cache().join("blobs")))?,
            workspaces: Workspaces::open(&home.cache().join("workspaces"), WORKSPACES_KEPT)?,
            cache: home.cache().join("scan"),
            exchange: Exchange::new(here),
            offers: Arc::new(Mutex::new(Offers::new())),
            coming: Coming::default(),
            runs: BTreeMap::new(),
            own: BTreeMap::new(),
            transfers: BTreeMap::new(),
            to_open: Vec::new(),
            tasks: JoinSet::new(),
            news: mpsc::channel(NEWS),
            count: 0,
        })
    }

    /// Where a run's jobs find their files; none while it is not prepared.
    pub fn roots(&self, submitter: NodeKey, run: RunId) -> Option<&Roots> {
        self.runs.get(&(submitter, run))?.place.as_ref().map(|place| &place.roots)
    }

    /// Streams to open since the last time; hand each to [`Self::opened`].
    pub fn to_open(&mut self) -> Vec<ToOpen> {
        std::mem::take(&mut self.to_open)
    }

    /// When [`Self::tick`] is due.
    pub fn wake(&self) -> Option<Instant> {
        self.exchange.wake()
    }

    /// Time has passed.
    pub fn tick(&mut self) {
        self.exchange(Input::Tick);
    }

    /// A peer is gone.
    pub fn gone(&mut self, peer: NodeKey) {
        self.exchange(Input::Gone(peer));
        if let Ok(mut offers) = self.offers.lock() {
            offers.gone(peer);
        }
    }

    /// Waits for news; an event when there is one for the state. May be dropped at any time.
    pub async fn next(&mut self) -> Option<Event> {
        // The sender is ours as well, so the queue never closes.
        let news = self.news.1.recv().await?;
        while self.tasks.try_join_next().is_some() {}
        match news {
            News::Exchange(input) => self.exchange(input),
            News::Served(peer, bytes) => return Some(Event::Served { peer, bytes }),
            News::State(event) => return Some(event),
            News::Rooted { submitter, run, result } => return self.rooted(submitter, run, result),
            News::Pinned(run, pins) => self.own.entry(run).or_default().extend(pins),
        }
        None
    }

    fn rooted(&mut self, submitter: NodeKey, run: RunId, result: Result<Place, String>) -> Option<Event> {
        let prepared = self.runs.get_mut(&(submitter, run))?;
        let result = result.map(|place| prepared.place = Some(place));
        Some(Event::Prepared { submitter, run, result })
    }

    /// A peer wants content.
    pub fn serve(&mut self, peer: NodeKey, stream: BlobStream) {
        // One stream too many is told so: one that is only dropped would count as a broken line.
        let gate = Gate::admit(self.offers.clone(), peer);
        let (store, coming, news) = (self.store.clone(), self.coming.clone(), self.news.0.clone());
        self.tasks.spawn(async move {
            let serving = transfer::serve(stream, &store, coming, gate);
            let served = tokio::time::timeout(TRANSFER_LIMIT, serving).await;
            let bytes = match served {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "serving ended early");
                    0
                }
                Err(_) => {
                    tracing::debug!(%peer, "serving took too long");
                    0
                }
            };
            let _ = news.send(News::Served(peer, bytes)).await;
        });
    }

    /// Fetches what a peer's run needs; an [`Event::Prepared`] follows.
    pub fn prepare(&mut self, submitter: NodeKey, open: RunOpen) {
        self.count += 1;
        let need = NeedId(self.count);
        let manifests: Vec<BlobId> = open.inputs.iter().map(|input| input.manifest).collect();
        let pins = vec![self.store.pin(manifests.iter().copied())];
        let run = open.run;
        self.runs.insert((submitter, run), Prepared { need, open, pins, place: None });
        self.supply(submitter, run);
    }

    /// Asks for what is still missing, manifests first; when nothing is, makes the trees.
    fn supply(&mut self, submitter: NodeKey, run: RunId) {
        match self.missing(submitter, run) {
            Ok(missing) if missing.is_empty() => self.build(submitter, run),
            Ok(blobs) => {
                let Some(prepared) = self.runs.get(&(submitter, run)) else { return };
                let need = prepared.need;
                self.exchange(Input::Need { need, blobs, sources: vec![submitter] });
            }
            Err(why) => self.failed(submitter, run, why),
        }
    }

    fn missing(&mut self, submitter: NodeKey, run: RunId) -> Result<Vec<Chunk>, String> {
        let Some(prepared) = self.runs.get_mut(&(submitter, run)) else { return Ok(Vec::new()) };
        let manifest_length = u32::try_from(ENCODED_MAX).unwrap_or(u32::MAX);
        let mut missing = Vec::new();
        for InputDigest { manifest: id, .. } in &prepared.open.inputs {
            match self.store.read(id).map_err(|error| error.to_string())? {
                None => missing.push(Chunk { id: *id, len: manifest_length }),
                Some(bytes) => {
                    let manifest = Manifest::decode(&bytes).map_err(|error| error.to_string())?;
                    let blobs = manifest.blobs();
                    prepared.pins.push(self.store.pin(blobs.iter().map(|blob| blob.id)));
                    missing.extend(blobs.into_iter().filter(|blob| !self.store.has(&blob.id)));
                }
            }
        }
        Ok(missing)
    }

    fn failed(&mut self, submitter: NodeKey, run: RunId, why: String) {
        let news = self.news.0.clone();
        self.tasks.spawn(async move {
            let _ = news.send(News::Rooted { submitter, run, result: Err(why) }).await;
        });
    }

    fn exchange(&mut self, input: Input<NodeKey>) {
        let answered = match &input {
            Input::Need { blobs, .. } => {
                self.coming.expect(blobs.iter().map(|blob| blob.id));
                None
            }
            Input::Answered { id, .. } => Some(*id),
            _ => None,
        };
        let outputs = self.exchange.handle(input, Instant::now());
        if let Some(id) = answered.filter(|id| !self.exchange.lacks(id)) {
            self.coming.came(&id);
        }
        for output in outputs {
            match output {
                Output::Fetch { transfer, peer, wants } => {
                    self.to_open.push(ToOpen { transfer, peer, wants });
                }
                Output::Abort(transfer) => {
                    self.transfers.remove(&transfer).into_iter().for_each(|task| task.abort());
                }
                Output::Ready(need) => {
                    if let Some((submitter, run)) = self.run_of(need) {
                        self.supply(submitter, run);
                    }
                }
                Output::Unavailable { need, blobs } => {
                    self.coming.retain(|id| self.exchange.lacks(id));
                    let Some((submitter, run)) = self.run_of(need) else { continue };
                    let first = blobs.first().map(ToString::to_string).unwrap_or_default();
                    let why =
                        format!("{} inputs cannot be had from anybody, {first} among them", blobs.len());
                    self.failed(submitter, run, why);
                }
                Output::Blame { peer, blob } => {
                    tracing::warn!(%peer, %blob, "sent other content than it was asked for");
                }
            }
        }
    }

    fn run_of(&self, need: NeedId) -> Option<(NodeKey, RunId)> {
        self.runs.iter().find(|(_, prepared)| prepared.need == need).map(|(key, _)| *key)
    }

    /// A stream that was to be opened is being opened.
    pub fn opened(&mut self, order: ToOpen, opening: Option<Opening>) {
        let ToOpen { transfer, peer, wants } = order;
        let (store, news) = (self.store.clone(), self.news.0.clone());
        let task = self.tasks.spawn(async move {
            let fetched =
                tokio::time::timeout(TRANSFER_LIMIT, fetch(transfer, opening, store, wants, &news)).await;
            let input = match fetched.unwrap_or(Fetched::Broken) {
                Fetched::Clean => Input::Closed { transfer, clean: true },
                Fetched::Broken => Input::Closed { transfer, clean: false },
                // Named by another node, and not known here, or not yet: nothing is to be had from it now.
                Fetched::Unreachable => Input::Gone(peer),
            };
            let _ = news.send(News::Exchange(input)).await;
        });
        self.transfers.insert(transfer, task);
        self.transfers.retain(|_, task| !task.is_finished());
    }

    /// Makes the trees of a run whose content is all here.
    fn build(&mut self, submitter: NodeKey, run: RunId) {
        let Some(prepared) = self.runs.get(&(submitter, run)) else { return };
        let (inputs, store, workspaces) =
            (prepared.open.inputs.clone(), self.store.clone(), self.workspaces.clone());
        let news = self.news.0.clone();
        self.tasks.spawn(async move {
            let built = tokio::task::spawn_blocking(move || roots(&inputs, &store, &workspaces)).await;
            let result = built.unwrap_or_else(|error| Err(error.to_string()));
            let _ = news.send(News::Rooted { submitter, run, result }).await;
        });
    }

    /// A peer's run is over.
    pub fn discard(&mut self, submitter: NodeKey, run: RunId) {
        if let Some(prepared) = self.runs.remove(&(submitter, run)) {
            self.exchange(Input::Release(prepared.need));
            self.coming.retain(|id| self.exchange.lacks(id));
        }
    }

    /// Reads and names the inputs of a client's run; an [`Event::Scanned`] follows.
    pub fn scan(&mut self, run: RunId, sources: Vec<Source>) {
        let (store, cache, news) = (self.store.clone(), self.cache.clone(), self.news.0.clone());
        self.tasks.spawn(async move {
            let scanned = tokio::task::spawn_blocking(move || scan_all(&sources, &store, &cache)).await;
            let result = match scanned.unwrap_or_else(|error| Err(error.to_string())) {
                Ok((scan, pins)) => {
                    let _ = news.send(News::Pinned(run, pins)).await;
                    Ok(scan)
                }
                Err(why) => Err(why),
            };
            let _ = news.send(News::State(Event::Scanned { run, result })).await;
        });
    }

    /// A client's run is over: its content may go.
    pub fn release(&mut self, run: RunId) {
        self.own.remove(&run);
    }
}

/// How a stream ended.
enum Fetched {
    Clean,
    Broken,
    /// It could not even be opened: there is no connection.
    Unreachable,
}

/// Fetches over one stream.
async fn fetch(
    transfer: TransferId,
    opening: Option<Opening>,
    store: Store,
    wants: Vec<Want>,
    news: &mpsc::Sender<News>,
) -> Fetched {
    let Some(opening) = opening else { return Fetched::Unreachable };
    let mut stream = match opening.await {
        Ok(stream) => stream,
        Err(Failure::NotConnected | Failure::NotTrusted) => return Fetched::Unreachable,
        Err(_) => return Fetched::Broken,
    };
    // Reports come from within a transfer that must not wait for us; they pass through a queue without a bound of its
    // own, which the number of wants bounds.
    let (reports, mut reported) = mpsc::unbounded_channel();
    let fetched = transfer::fetch(&mut stream, &store, &wants, |report| {
        let _ = reports.send(match report {
            Report::Settled(id, outcome) => Input::Answered { transfer, id, outcome },
            Report::Given(blobs) => Input::Given(blobs),
        });
    });
    tokio::pin!(fetched);
    let result = loop {
        tokio::select! {
            biased;
            Some(input) = reported.recv() => {
                let _ = news.send(News::Exchange(input)).await;
            }
            result = &mut fetched => break result,
        }
    };
    while let Ok(input) = reported.try_recv() {
        let _ = news.send(News::Exchange(input)).await;
    }
    match result {
        Ok(_) => Fetched::Clean,
        Err(error) => {
            tracing::debug!(%error, "a transfer ended early");
            Fetched::Broken
        }
    }
}

/// The directories of a run on this machine. Blocks.
fn roots(inputs: &[InputDigest], store: &Store, workspaces: &Workspaces) -> Result<Place, String> {
    let (mut trees, mut held) = (BTreeMap::new(), Vec::new());
    for input in inputs {
        let tree = workspaces.prepare(store, &input.manifest).map_err(|error| error.to_string())?;
        trees.insert(input.root, tree.path().to_owned());
        held.push(tree);
    }
    let workspace = trees.get(&Root::Workspace).ok_or("the run has no workspace")?.clone();
    let build = trees.get(&Root::Build).cloned().unwrap_or_else(|| workspace.clone());
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let roots = Roots { cwd: workspace.clone(), workspace, build, program };
    Ok(Place { roots, _trees: held })
}

/// Names all sources of a run. Blocks.
fn scan_all(sources: &[Source], store: &Store, cache: &std::path::Path) -> Result<(Scan, Vec<Pin>), String> {
    let mut all = Scan { inputs: Vec::new(), files: 0, bytes: 0, read: 0 };
    let mut pins = Vec::new();
    for source in sources {
        let selection = match source.root {
            Root::Workspace => Selection::Workspace { paths: source.paths.clone() },
            Root::Build => Selection::Build { programs: source.paths.clone() },
            Root::Program => continue,
        };
        let scanned = scan(&source.dir, &selection, store, cache, SystemTime::now());
        let scanned = scanned.map_err(|error| error.to_string())?;
        let blobs = scanned.manifest.blobs().into_iter().map(|blob| blob.id);
        pins.push(store.pin(blobs.chain([scanned.id])));
        all.inputs.push(InputDigest { root: source.root, manifest: scanned.id });
        all.files += scanned.manifest.tree_files();
        all.bytes += scanned.manifest.tree_bytes();
        all.read += scanned.bytes_read;
    }
    Ok((all, pins))
}
