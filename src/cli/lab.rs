//! A private mesh on this machine, for as long as it is held: `run-tests --lab N`.
//!
//! Real nodes in processes of their own, on loopback, without multicast, each with a home in a scratch folder; set up
//! and approved through the socket, as a person would. Dropping it ends every node and removes the folder; a node also
//! ends by itself when this process is gone, however it went.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::meshd::{MESHD_ARGUMENT, WATCH_ARGUMENT};
use crate::local::client::{Client, ClientError};
use crate::local::wire::{Approve, Key, Reply, Request, Rights, Status, Who};
use crate::node::files::{Home, HomeError};

/// How long a mesh may take to come up: seconds on a machine that is busy compiling.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a node that is starting is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long nodes may take to end in order before they are killed.
const FAREWELL: Duration = Duration::from_secs(2);

/// How far an approval in a lab carries: nobody vouches further.
const DEPTH: u8 = 1;

/// Why a lab does not come up.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Its folder.
    #[error("cannot make a folder for the lab")]
    Folder(#[source] std::io::Error),
    /// A home in it.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A key.
    #[error(transparent)]
    Key(#[from] testmesh_keys::store::StoreError),
    /// A node.
    #[error("cannot start a node of the lab")]
    Start(#[source] std::io::Error),
    /// A node that started.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Too slow, or never.
    #[error("the lab's nodes did not find each other in time; the last said:\n{0}")]
    Late(String),
}

/// A mesh of nodes that trust each other.
#[derive(Debug)]
pub struct Lab {
    folder: PathBuf,
    /// Of its mesh.
    name: String,
    nodes: Vec<Node>,
    /// Whether the person has interrupted the program since the lab began.
    interrupted: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Node {
    home: Home,
    process: Child,
}

impl Lab {
    /// Brings up `count` nodes with `slots` slots each, all trusting each other; none if it is interrupted meanwhile.
    ///
    /// # Errors
    /// Why not; nothing is left then.
    pub async fn start(count: u8, slots: usize) -> Result<Option<Self>, LabError> {
        let interrupted = listen().map_err(LabError::Start)?;
        // The number alone may have been another one's in another container before, and its folder may still be there.
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| LabError::Folder(error.into()))?;
        let name = format!("lab-{}-{:08x}", std::process::id(), u32::from_le_bytes(random));
        let folder = std::env::temp_dir().join(format!("testmesh-{name}"));
        let mut lab = Lab { folder, name, nodes: Vec::new(), interrupted };
        make_private(&lab.folder).map_err(LabError::Folder)?;
        for number in 1..=count {
            let node = lab.node(number, slots)?;
            lab.nodes.push(node);
        }
        let met = lab.unless_interrupted(lab.meet()).await.transpose()?;
        Ok(met.map(|()| lab))
    }

    /// Waits for something, unless the person interrupts or has done so since the lab began.
    pub async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut interrupted = self.interrupted.clone();
        tokio::select! {
            biased;
            // An error: nobody listens for signals any more, and none can come.
            Ok(_) = interrupted.wait_for(|interrupted| *interrupted) => None,
            done = work => Some(done),
        }
    }

    /// Makes the nodes trust each other and waits until they do.
    async fn meet(&self) -> Result<(), LabError> {
        let until = Instant::now() + PATIENCE;
        let mut clients = Vec::new();
        for node in &self.nodes {
            clients.push(node.connect(until).await?);
        }
        introduce(&mut clients, until).await?;
        for (client, node) in clients.iter_mut().zip(&self.nodes) {
            let others = self.nodes.len() - 1;
            wait(client, node, until, |status| status.mutual as usize == others).await?;
        }
        Ok(())
    }

    /// The home of the node that runs use.
    pub fn home(&self) -> PathBuf {
        self.folder.join("n1")
    }

    fn node(&self, number: u8, slots: usize) -> Result<Node, LabError> {
        let name = format!("n{number}");
        let folder = self.folder.join(&name);
        let home = Home::at(&folder);
        home.setup(Some(&name), Some("lab"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        testmesh_keys::store::setup(home.keys(), now)?;
        let settings = format!(
            "name = \"{name}\"\nmesh = \"{}\"\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nmdns = false\nslots = {slots}\n",
            self.name
        );
        fs_err::write(home.settings_file(), settings).map_err(LabError::Folder)?;
        let log = fs_err::File::create(home.log_file()).map_err(LabError::Folder)?;
        let process = Command::new(std::env::current_exe().map_err(LabError::Start)?)
            .args([MESHD_ARGUMENT, WATCH_ARGUMENT, "--home"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log.into_parts().0)
            .spawn()
            .map_err(LabError::Start)?;
        Ok(Node { home, process })
    }
}

impl Node {
    async fn connect(&self, until: Instant) -> Result<Client, LabError> {
        let cookie = self.home.cookie()?;
        loop {
            match Client::connect(&self.home.socket(), "lab", Some(cookie)).await {
                Ok(client) => return Ok(client),
                Err(error) if Instant::now() >= until => {
                    let log = last_words(&self.home.log_file());
                    return Err(if log.is_empty() { error.into() } else { LabError::Late(log) });
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// Makes every node approve all others, and dial the first.
async fn introduce(clients: &mut [Client], until: Instant) -> Result<(), LabError> {
    let keys: Vec<(Key, String)> =
        clients.iter().map(|client| (client.node().key, client.node().name.clone())).collect();
    for client in clients.iter_mut() {
        let own = client.node().key;
        for (key, name) in keys.iter().filter(|(key, _)| *key != own) {
            let approve = Approve {
                who: Who::Key(*key),
                rights: Rights::ALL,
                depth: DEPTH,
                label: Some(name.clone()),
                name: String::new(),
                despite: Vec::new(),
            };
            client.ask(Request::Approve(approve)).await?;
        }
    }
    // Everybody dials everybody before: in so small a mesh nobody need ask around.
    let mut addresses: Vec<String> = Vec::new();
    for client in clients.iter_mut() {
        for address in &addresses {
            client.ask(Request::Dial { address: address.clone() }).await?;
        }
        addresses.extend(listening(client, until).await?);
    }
    Ok(())
}

/// Where a node listens; it may have to be waited for.
async fn listening(client: &mut Client, until: Instant) -> Result<Option<String>, LabError> {
    loop {
        let Reply::Status(status) = client.ask(Request::Status).await? else { return Ok(None) };
        if let Some(address) = status.listen.first() {
            return Ok(Some(address.clone()));
        }
        if Instant::now() >= until {
            return Err(LabError::Late("it listens nowhere".to_owned()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn wait(
    client: &mut Client,
    node: &Node,
    until: Instant,
    ready: impl Fn(&Status) -> bool,
) -> Result<(), LabError> {
    loop {
        if let Reply::Status(status) = client.ask(Request::Status).await?
            && ready(&status)
        {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(LabError::Late(last_words(&node.home.log_file())));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The end of a log.
fn last_words(log: &Path) -> String {
    let text = fs_err::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Listens for interruptions on a thread of its own, until the program ends: between what is waited for there is work
/// during which nobody else does.
fn listen() -> std::io::Result<watch::Receiver<bool>> {
    let (tell, told) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(entered);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Nobody waits any more if there is no receiver.
        let _ = tell.send(true);
    });
    Ok(told)
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

impl Drop for Lab {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // Its standard input closes, and it ends in order.
            drop(node.process.stdin.take());
        }
        let until = Instant::now() + FAREWELL;
        for node in &mut self.nodes {
            while matches!(node.process.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
            // One that has ended is not there to be killed.
            let _ = node.process.kill();
            let _ = node.process.wait();
        }
        let _ = fs_err::remove_dir_all(&self.folder);
    }
}
