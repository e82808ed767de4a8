//! Whether a run uses the mesh: finds this machine's node, says in one line why not, and what peers will need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_bytes::ByteBuf;

use crate::cli::words::Shell;
use crate::engine::{EMBEDDED_ARGUMENT, Engine};
use crate::frontend::lower::Lowering;
use crate::frontend::select::Selection;
use crate::job::{Arg, Job, JobId, Ladder, Limits, Root, RootedPath};
use crate::local::client::ClientError;
use crate::local::run::{Open, Source};
use crate::local::wire::{Peer, Reply, Request};
use crate::node::files::Home;
use crate::schedule::dispatch::{Estimate, Spec};
use crate::worker::mesh::{Line, Mesh, Way};

/// What every shell can say; a peer that says it has everything it needs.
const CANARY: &str = "testmesh canary";

/// Time a peer has to say it.
const CANARY_LIMIT: Duration = Duration::from_secs(30);

/// What a test takes if nothing is known of it: a small test on a release build.
const UNKNOWN: Duration = Duration::from_millis(100);

/// What a test marked SLOW is taken to need.
const SLOW: Duration = Duration::from_secs(10);

/// Options of runs on several machines.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct MeshArgs {
    /// Folder of the node to use (default: this account's node).
    #[arg(long, env = crate::node::files::HOME_VARIABLE, value_name = "DIR", help_heading = "Mesh")]
    pub home: Option<PathBuf>,
    /// Use only these peers, by name or key, comma-separated.
    #[arg(long, value_delimiter = ',', value_name = "NAME", help_heading = "Mesh")]
    pub peers: Vec<String>,
    /// Run nothing on this machine.
    #[arg(long, conflicts_with = "nonetwork", help_heading = "Mesh")]
    pub remote_only: bool,
    /// Estimated seconds of work on this machine below which the run stays here.
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS", help_heading = "Mesh")]
    pub min_remote: f64,
    /// Bring up a private mesh of so many nodes on this machine for the run, and take it down again.
    #[arg(long, value_name = "NODES", value_parser = clap::value_parser!(u8).range(2..=16), help_heading = "Mesh")]
    pub lab: Option<u8>,
}

/// Why a run stays on this machine, in a line for the person.
#[derive(Debug, thiserror::Error)]
pub enum Stays {
    /// Somebody wants it so, or always was so.
    #[error("network distribution is switched off: running tests locally")]
    Wanted,
    /// The seed's rule.
    #[error("network distribution is only supported on Linux: running tests locally")]
    NotLinux,
    /// A prefix may mean anything.
    #[error("--command-prefix disables network distribution: running tests locally")]
    Prefix,
    /// Its prelude and its program are this machine's.
    #[error("--engine node runs on this machine only: running tests locally")]
    Node,
    /// Nobody to ask.
    #[error("{0}: running tests locally")]
    NoNode(String),
    /// Nobody else.
    #[error("no other peers on the network: running tests locally")]
    Alone,
    /// Nobody of those that were named.
    #[error("no peer has a name given with --peers")]
    Unknown,
    /// It would not pay.
    #[error("about {0:.1} s of work, which is too little to share (--min-remote): running tests locally")]
    Little(f64),
    /// Nothing that could be tried on a peer.
    #[error("the build has no d8 to try on peers: running tests locally")]
    NoCanary,
}

/// What decides whether and how a run is shared.
pub struct Wish<'a> {
    /// The options.
    pub args: &'a MeshArgs,
    /// `--nonetwork`.
    pub nonetwork: bool,
    /// What stands before every command.
    pub prefix: &'a [String],
    /// What runs the JavaScript.
    pub engine: &'a Engine,
    /// The checkout.
    pub workspace: &'a Path,
    /// The build directory.
    pub build: &'a Path,
    /// The cases.
    pub selection: &'a Selection,
    /// Their command lines.
    pub lowering: &'a Lowering<'a>,
    /// How each case is to be run.
    pub specs: &'a [Spec],
    /// Slots of this machine.
    pub slots: usize,
}

impl Wish<'_> {
    /// The mesh to share the run with, through this machine's node.
    ///
    /// # Errors
    /// Why the run stays here.
    pub async fn connect(&self, run: u64, shell: &Shell) -> Result<Mesh, Stays> {
        self.allowed()?;
        let open = self.open(run)?;
        let home =
            Home::find(self.args.home.as_deref()).map_err(|error| Stays::NoNode(first_line(&error)))?;
        let program = concat!("run-tests ", env!("CARGO_PKG_VERSION"));
        let way = Way { socket: home.live_socket(), program, open };
        let mut client = way.connect().await.map_err(|error| match error {
            ClientError::NoNode(_) => Stays::NoNode("no node runs on this machine".to_owned()),
            other => Stays::NoNode(first_line(&other)),
        })?;
        if !self.args.peers.is_empty()
            && let Ok(Reply::Peers(peers)) = client.ask(Request::Peers).await
        {
            let unknown = unknown(&self.args.peers, &peers);
            unknown.iter().for_each(|words| shell.warn(words));
            if unknown.len() == self.args.peers.len() && self.args.remote_only {
                return Err(Stays::Unknown);
            }
        }
        match client.ask(Request::Status).await {
            Ok(Reply::Status(status)) if status.mutual > 0 => {
                Ok(Mesh::new(Line::to(client, way.open.clone()), Some(way)))
            }
            Ok(_) => Err(Stays::Alone),
            Err(error) => Err(Stays::NoNode(first_line(&error))),
        }
    }

    fn allowed(&self) -> Result<(), Stays> {
        if self.nonetwork {
            return Err(Stays::Wanted);
        }
        if !cfg!(target_os = "linux") {
            return Err(Stays::NotLinux);
        }
        if !self.prefix.is_empty() {
            return Err(Stays::Prefix);
        }
        if matches!(self.engine, Engine::Node { .. }) {
            return Err(Stays::Node);
        }
        let work: Duration = self.specs.iter().map(expected).sum();
        let here = work.as_secs_f64() / self.slots.max(1) as f64;
        if here < self.args.min_remote && !self.args.remote_only {
            return Err(Stays::Little(here));
        }
        Ok(())
    }

    fn open(&self, run: u64) -> Result<Open, Stays> {
        let programs = self.programs();
        let mut sources =
            vec![Source { root: Root::Workspace, dir: self.workspace.to_owned(), paths: self.paths() }];
        if matches!(self.engine, Engine::Build) {
            sources.push(Source { root: Root::Build, dir: self.build.to_owned(), paths: programs.clone() });
        }
        let (argv, answer) = self.canary(&programs)?;
        let cwd = RootedPath { root: Root::Workspace, path: String::new() };
        let limits = Limits { wall: CANARY_LIMIT, output: 1 << 16, ladder: Ladder::Kill };
        let id = JobId { run, sequence: u32::MAX, attempt: 0 };
        Ok(Open {
            run,
            sources,
            canary: Job { id, argv, env: Vec::new(), cwd, limits },
            answer: ByteBuf::from(answer.into_bytes()),
            platform: (std::env::consts::OS.to_owned(), std::env::consts::ARCH.to_owned()),
            only: self.args.peers.clone(),
        })
    }

    fn canary(&self, programs: &[String]) -> Result<(Vec<Arg>, String), Stays> {
        let known =
            matches!(self.engine, Engine::Embedded { .. }) || programs.iter().any(|program| program == "d8");
        if !known {
            return Err(Stays::NoCanary);
        }
        let mut argv = self.engine.program("d8", self.lowering.context.dialect);
        argv.extend(["-e".to_owned(), format!("print('{CANARY}')")].map(Arg::Text));
        debug_assert!(argv.len() > 2 || EMBEDDED_ARGUMENT.is_empty());
        Ok((argv, format!("{CANARY}\n")))
    }

    /// Programs of the build that any suite's first case starts.
    fn programs(&self) -> Vec<String> {
        let (mut programs, mut suites) = (BTreeSet::new(), BTreeSet::new());
        for (index, case) in (0..).zip(&self.selection.cases) {
            let name = self.selection.name(case);
            let suite = name.split('/').next().unwrap_or_default().to_owned();
            if !suites.insert(suite) {
                continue;
            }
            let Ok(lowered) = self.lowering.lower(self.selection, case, index) else { continue };
            let paths = lowered.job.argv.iter().filter_map(|arg| match arg {
                Arg::Path(path) | Arg::Relative(path) if path.root == Root::Build => Some(path.path.clone()),
                _ => None,
            });
            programs.extend(paths.filter(|path| !path.is_empty()));
        }
        programs.into_iter().collect()
    }

    /// What of the checkout the tests may read: their suites, the harness of mjsunit, and V8's JavaScript tools.
    fn paths(&self) -> Vec<String> {
        let mut paths: BTreeSet<String> = BTreeSet::new();
        let below = self.lowering.context.test_root.strip_prefix(self.workspace).unwrap_or(Path::new("test"));
        let below = below.to_string_lossy();
        for case in &self.selection.cases {
            let name = self.selection.name(case);
            let suite = name.split('/').next().unwrap_or_default();
            paths.insert(format!("{below}/{suite}"));
        }
        paths.insert(format!("{below}/mjsunit"));
        paths.extend(scripts(&self.workspace.join("tools")).into_iter().map(|name| format!("tools/{name}")));
        paths.into_iter().collect()
    }
}

/// What is wrong with names for which there is no peer.
fn unknown(wanted: &[String], peers: &[Peer]) -> Vec<String> {
    let name = |peer: &Peer| peer.label.clone().unwrap_or_else(|| peer.name.clone());
    let known: BTreeSet<String> = peers.iter().map(name).filter(|name| !name.is_empty()).collect();
    let strange = |wanted: &&String| {
        !known.contains(*wanted) && !peers.iter().any(|peer| peer.key.to_string() == **wanted)
    };
    let words = |wanted: &String| {
        let nearest = known.iter().min_by_key(|name| strsim::levenshtein(wanted, name));
        let nearest = nearest.map(|name| format!("; the nearest is {name:?}")).unwrap_or_default();
        format!("no peer is called {wanted:?}{nearest}")
    };
    wanted.iter().filter(strange).map(words).collect()
}

/// What a test is taken to need on this machine.
fn expected(spec: &Spec) -> Duration {
    match spec.estimate {
        Estimate::Known(known) => known,
        Estimate::Slow => SLOW,
        Estimate::Unknown => UNKNOWN,
    }
}

/// JavaScript files directly in a folder; tests of the profiler load them.
fn scripts(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".js") || name.ends_with(".mjs")).collect()
}

fn first_line(error: &dyn std::error::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
