//! From a home to a running node: opens what it needs, in an order that leaves nothing behind when a step fails.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use testmesh_behaviours::Multiaddr;
use testmesh_behaviours::id::NodeKey;
use testmesh_behaviours::network::{Network, NetworkConfig, StartError};
use testmesh_keys::store::{Report, StoreError};

use super::driver::Driver;
use super::files::{Home, HomeError};
use super::keep::Kept;
use super::link::Link;
use super::machine;
use super::settings::Settings;
use super::state::{About, State};
use super::supplies::{Supplies, SuppliesError};
use super::trust::Trust;
use crate::backend::{BackendError, Containment, Environment, Roots, Slot, SlotConfig, Targets, Tier};
use crate::job::{Arg, Exit, Job, JobId, Ladder, Limits, Root, RootedPath, Status};
use crate::local::server::{BindError, Server};
use crate::local::wire::{Key, Mdns, ServerHello, VERSION};
use crate::worker::local::LocalSlots;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its files.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its key and what it knows of trust.
    #[error(transparent)]
    Keep(#[from] StoreError),
    /// Its network.
    #[error(transparent)]
    Network(#[from] StartError),
    /// Its socket.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// Its store of content.
    #[error(transparent)]
    Supplies(#[from] SuppliesError),
    /// Its slots.
    #[error("cannot start the slots that run tests")]
    Slots(#[from] BackendError),
    /// The system.
    #[error("cannot listen to signals")]
    Signals(#[source] std::io::Error),
}

/// Runs the node of a home until it is told to stop, or `end` comes.
///
/// # Errors
/// Why it cannot start. Nothing of it runs then.
pub async fn run(home: &Home, end: impl Future<Output = ()>) -> Result<(), NodeError> {
    let settings = home.settings()?;
    let cookie = home.cookie()?;
    home.make_folders()?;
    let _lock = home.lock()?;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (kept, keyring, report) = Kept::open(home, &settings, unix)?;
    let key = NodeKey::new(*keyring.me().as_bytes());
    let secret = keyring.identity().secret_bytes();
    // What is refused from outside, such as a port in use, before anybody finds a socket and takes the node for running.
    let network = Network::new(network_config(&settings, secret))?;
    // The hostile probe tries this socket.
    let server = Server::bind(&home.socket(), greeting(key, &settings), cookie)?;
    let slots = slot_config(home);
    let (tier, mut warnings) = probe(home, &slots).await;
    warnings.extend(repaired(&report));
    let work = tier > Tier::Open || settings.accept_unsandboxed;
    if !work {
        warnings.push(
            "tests of other machines do not run here: nothing would contain them (accept_unsandboxed)"
                .to_owned(),
        );
    }
    let count = settings.slots.map_or_else(cores, usize::from);
    let mdns = multicast(&settings, &network);
    let about = About { works: work, ..about(home, &settings, key, count, tier, mdns, warnings) };
    let nowhere = Roots {
        workspace: PathBuf::new(),
        build: PathBuf::new(),
        program: PathBuf::new(),
        cwd: PathBuf::new(),
    };
    // Its owner's tests run in processes of the client.
    let local = LocalSlots::open(if work { count } else { 0 }, nowhere, &slots).await?;
    let supplies = Supplies::open(home, key)?;
    tracing::info!(name = %settings.name, mesh = %settings.mesh, key = %Key(key.bytes()), slots = count, %tier, "node is up");
    let state = State::new(about, Trust::new(keyring));
    let driver = Driver::new(state, Link::new(network), server, supplies, local, kept);
    driver.run(end).await.map_err(NodeError::Signals)
}

/// What the store found when it was opened, in words.
fn repaired(report: &Report) -> Vec<String> {
    let mut words = Vec::new();
    if report.cut > 0 {
        words.push(format!("{} bytes of a torn last statement were cut off", report.cut));
    }
    if let Some(line) = report.audit_broken {
        words.push(format!("line {line} of the audit log does not follow from the one before it"));
    }
    words.extend(report.lost.iter().map(|file| format!("{file} was missing and was made anew, empty")));
    words
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn greeting(key: NodeKey, settings: &Settings) -> ServerHello {
    ServerHello {
        version: VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        key: Key(key.bytes()),
        name: settings.name.clone(),
        pid: std::process::id(),
        refused: None,
    }
}

fn about(
    home: &Home,
    settings: &Settings,
    key: NodeKey,
    slots: usize,
    tier: Tier,
    mdns: Mdns,
    warnings: Vec<String>,
) -> About {
    About {
        key,
        name: settings.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        platform: machine::platform(),
        speed: machine::speed(),
        slots: u32::try_from(slots).unwrap_or(u32::MAX),
        works: true,
        tier,
        mesh: settings.mesh.clone(),
        mdns,
        local: settings.listen.is_empty(),
        pid: std::process::id(),
        home: home.keys().display().to_string(),
        accept_unsandboxed: settings.accept_unsandboxed,
        warnings,
    }
}

/// Whether others are found by themselves.
fn multicast(settings: &Settings, network: &Network) -> Mdns {
    match network.no_multicast() {
        _ if !settings.mdns => Mdns::Off,
        None => Mdns::On,
        Some(why) => Mdns::Failed(why.to_owned()),
    }
}

/// Listens where the owner says, else on this host's private and link-local addresses.
fn network_config(settings: &Settings, secret: [u8; 32]) -> NetworkConfig {
    let parse =
        |list: &[String]| list.iter().filter_map(|text| text.parse::<Multiaddr>().ok()).collect::<Vec<_>>();
    let mut config = NetworkConfig::new(secret, settings.mesh.clone());
    config.listen = parse(&settings.listen);
    config.local = settings.listen.is_empty();
    config.fixed = parse(&settings.peers);
    config.mdns = settings.mdns;
    config.gossip = settings.gossip;
    config.agent = format!("testmesh/{} {}", env!("CARGO_PKG_VERSION"), settings.name);
    config
}

/// How jobs of others run here: nothing of this account's environment, own folders only.
fn slot_config(home: &Home) -> SlotConfig {
    let environment = Environment::empty()
        .with("PATH", "/usr/local/bin:/usr/bin:/bin")
        .with("LANG", "en_US.UTF-8")
        .with("TZ", "UTC");
    // The file alone: what lies beside it may be its owner's home.
    let own = std::env::current_exe().ok();
    let readable = own.into_iter().chain([home.cache().join("workspaces")]).collect();
    let scratch = home.cache().join("scratch");
    SlotConfig::new(environment).contained(Containment { readable, scratch })
}

/// Which tier really holds here: what a slot claims, unless the hostile probe got through.
async fn probe(home: &Home, slots: &SlotConfig) -> (Tier, Vec<String>) {
    match try_probe(home, slots).await {
        Ok((tier, worked)) if worked.is_empty() => (tier, Vec::new()),
        Ok((_, worked)) => (Tier::Open, vec![format!("a contained test could {}", worked.join(", "))]),
        Err(why) => (Tier::Open, vec![format!("containment could not be tried: {why}")]),
    }
}

async fn try_probe(home: &Home, slots: &SlotConfig) -> Result<(Tier, Vec<String>), String> {
    let config = slots.of_slot(PROBE_SLOT);
    let scratch = config.containment.as_ref().map(|contained| contained.scratch.clone()).unwrap_or_default();
    let _ = std::fs::create_dir_all(home.cache().join("workspaces"));
    let mut slot = Slot::start(config).await.map_err(|error| error.to_string())?;
    let targets = Targets {
        secret: home.cookie_file(),
        socket: home.socket(),
        outside: home.keys().to_owned(),
        node: std::process::id(),
    };
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut argv = vec![Arg::Text(own.display().to_string())];
    argv.extend(targets.arguments().into_iter().map(Arg::Text));
    let job = Job {
        id: JobId { run: 0, sequence: 0, attempt: 0 },
        argv,
        env: Vec::new(),
        cwd: RootedPath { root: Root::Workspace, path: String::new() },
        limits: Limits { wall: PROBE_LIMIT, output: 1 << 16, ladder: Ladder::Kill },
    };
    let roots =
        Roots { workspace: scratch.clone(), build: scratch.clone(), program: scratch.clone(), cwd: scratch };
    let resolved = roots.job(&job).map_err(|error| error.to_string())?;
    let (tier, output) = (slot.tier(), slot.run(&resolved).await);
    slot.stop().await;
    match output.exit {
        Exit::Ended(Status::Code(0)) => {
            let text = String::from_utf8_lossy(&output.stdout.bytes).into_owned();
            Ok((tier, text.lines().map(str::to_owned).collect()))
        }
        other => Err(format!("{other:?}")),
    }
}

/// The probe's slot; its scratch folder is nobody else's.
const PROBE_SLOT: usize = 9_999;

/// Far more than opening ten things takes.
const PROBE_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
