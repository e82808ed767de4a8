//! Real nodes on loopback that trust each other, for as long as they are held.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testmesh::local::client::Client;
use testmesh::local::wire::{Approve, Key, Reply, Request, Rights, Status, Who};
use testmesh::node::files::Home;

use crate::Result;
use crate::lines::Lines;
use crate::measure::{own_cpu, tree_cpu};

/// How long nodes may take to come up on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often something that is awaited is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// How long nodes may take to end in order.
const FAREWELL: Duration = Duration::from_secs(5);

/// Nodes that trust each other, the first being the client's.
pub(crate) struct Mesh {
    folder: PathBuf,
    pub(crate) nodes: Vec<Node>,
    /// Where they are, if not on loopback.
    pub(crate) lines: Option<Lines>,
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    home: Home,
    process: Child,
    key: Key,
}

impl Mesh {
    /// As many nodes as slots are given, each with so many.
    pub(crate) async fn start(folder: &Path, slots: &[usize]) -> Result<Self> {
        Self::start_on(folder, slots, None).await
    }

    /// The same on lines of their own, one a node.
    pub(crate) async fn start_on(folder: &Path, slots: &[usize], lines: Option<Lines>) -> Result<Self> {
        let mut mesh = Mesh { folder: folder.to_owned(), nodes: Vec::new(), lines };
        for slots in slots {
            mesh.join(*slots).await?;
        }
        Ok(mesh)
    }

    /// One more node; returns when everybody trusts it and is connected to it.
    pub(crate) async fn join(&mut self, slots: usize) -> Result<()> {
        let peers = self.addresses().await?;
        let line = self.lines.as_ref().map(|lines| (lines, self.nodes.len()));
        let name = format!("n{}", self.nodes.len() + 1);
        let node = Node::start(&self.folder, &name, slots, &peers, line).await?;
        let mut client = node.client().await?;
        for other in &self.nodes {
            let mut theirs = other.client().await?;
            client.ask(approve(other.key, &other.name)).await?;
            theirs.ask(approve(node.key, &node.name)).await?;
        }
        let others = self.nodes.len();
        self.nodes.push(node);
        for node in &self.nodes {
            node.wait(|status| status.mutual as usize >= others).await?;
        }
        Ok(())
    }

    /// Where the nodes listen.
    pub(crate) async fn addresses(&self) -> Result<Vec<String>> {
        let mut addresses = Vec::new();
        for node in &self.nodes {
            let status = node.wait(|status| !status.listen.is_empty()).await?;
            addresses.extend(status.listen);
        }
        Ok(addresses)
    }

    /// The client's node.
    pub(crate) fn own(&self) -> &Node {
        &self.nodes[0]
    }

    /// Seconds of CPU of all nodes and what they ran.
    pub(crate) fn cpu(&self) -> f64 {
        self.nodes.iter().map(|node| tree_cpu(node.process.id())).sum()
    }

    /// A run of all tests of a tree from the first node, with its words.
    pub(crate) fn run(&self, tree: &Path, words: &[&str]) -> Command {
        run_tests(tree, &self.own().folder, words)
    }
}

/// `run-tests` over a tree, with a home of its own for caches.
pub(crate) fn run_tests(tree: &Path, home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program("run-tests", env!("CARGO_BIN_EXE_run-tests")));
    command
        .arg(format!("--workspace={}", tree.display()))
        .args(["--outdir=out/x64.release", "--variants=default", "--min-remote=0"])
        .args(words)
        .arg("mjsunit")
        .env("TESTMESH_HOME", home)
        .current_dir(tree)
        .stdin(Stdio::null());
    command
}

/// A program of this build, or of another that is to be compared with it.
fn program(name: &str, own: &str) -> PathBuf {
    std::env::var_os("TESTMESH_PROGRAMS")
        .map_or_else(|| own.into(), |folder| PathBuf::from(folder).join(name))
}

fn approve(key: Key, name: &str) -> Request {
    let who = Who::Key(key);
    let label = Some(name.to_owned());
    Request::Approve(Approve {
        who,
        rights: Rights::ALL,
        depth: 1,
        label,
        name: String::new(),
        despite: Vec::new(),
    })
}

impl Node {
    async fn start(
        folder: &Path,
        name: &str,
        slots: usize,
        peers: &[String],
        line: Option<(&Lines, usize)>,
    ) -> Result<Self> {
        let folder = folder.join(name);
        let home = Home::at(&folder);
        home.setup(Some(name), Some("bench"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let key = Key(*testmesh_keys::store::setup(home.keys(), now)?.key.as_bytes());
        let peers: Vec<String> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
        let address = line.map_or_else(|| "127.0.0.1".to_owned(), |(lines, node)| lines.address(node));
        let settings = format!(
            "name = \"{name}\"\nmesh = \"bench-{}\"\nlisten = [\"/ip4/{address}/tcp/0\"]\nmdns = false\nslots = {slots}\npeers = [{}]\n",
            std::process::id(),
            peers.join(", "),
        );
        std::fs::write(home.settings_file(), settings)?;
        let process = spawn(&home, &folder, line)?;
        Ok(Node { name: name.to_owned(), folder, home, process, key })
    }

    /// Starts its process again after [`Self::end`].
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.process = spawn(&self.home, &self.folder, None)?;
        Ok(())
    }

    /// Ends its process, in order.
    pub(crate) fn end(&mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let until = Instant::now() + FAREWELL;
        while self.process.try_wait()?.is_none() {
            if Instant::now() >= until {
                self.process.kill()?;
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Seconds of CPU of the node itself, without its slots.
    pub(crate) fn own_cpu(&self) -> f64 {
        own_cpu(self.process.id())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.socket()
    }

    /// Connects to it, once it answers.
    pub(crate) async fn client(&self) -> Result<Client> {
        let until = Instant::now() + PATIENCE;
        loop {
            match Client::connect(&self.home.socket(), "bench", Some(self.home.cookie()?)).await {
                Ok(client) => return Ok(client),
                Err(error) if Instant::now() >= until => return Err(self.words(&error.to_string())),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Waits until it is as asked for.
    pub(crate) async fn wait(&self, ready: impl Fn(&Status) -> bool) -> Result<Status> {
        let until = Instant::now() + PATIENCE;
        let mut client = self.client().await?;
        loop {
            if let Reply::Status(status) = client.ask(Request::Status).await?
                && ready(&status)
            {
                return Ok(*status);
            }
            if Instant::now() >= until {
                return Err(self.words("it is not ready in time"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn words(&self, why: &str) -> Box<dyn std::error::Error> {
        let log = std::fs::read_to_string(self.home.log_file()).unwrap_or_default();
        format!("node {}: {why}\n{log}", self.name).into()
    }
}

fn spawn(home: &Home, folder: &Path, line: Option<(&Lines, usize)>) -> Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(home.log_file())?;
    let meshd = program("meshd", env!("CARGO_BIN_EXE_meshd"));
    let mut command = line.map_or_else(|| Command::new(&meshd), |(lines, node)| lines.command(node, &meshd));
    command.args(["--while-stdin-is-open", "--home"]).arg(folder);
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn()?)
}

impl Drop for Mesh {
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
    }
}
