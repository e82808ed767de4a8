//! The hostile probe: a program that tries, inside a contained slot, what no job may do, and says what worked.
//!
//! A node runs it before it offers a tier, because what a kernel claims and what it enforces differ (security note
//! §3.4). Started as `PROGRAM --probe`; runs as any job. Nothing here does harm: each attempt opens, asks or writes an
//! empty file and goes no further.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::process::Pid;

/// The argument that makes this program a probe.
pub const PROBE_ARGUMENT: &str = "--probe";

/// What the probe attacks.
#[derive(Debug, Clone)]
pub struct Targets {
    /// A file with a secret of the node, readable by its account.
    pub secret: PathBuf,
    /// The node's control socket.
    pub socket: PathBuf,
    /// A folder that jobs must not write to.
    pub outside: PathBuf,
    /// The node.
    pub node: u32,
}

impl Targets {
    /// The probe's command line after the program.
    pub fn arguments(&self) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let node = self.node.to_string();
        vec![PROBE_ARGUMENT.to_owned(), text(&self.secret), text(&self.socket), text(&self.outside), node]
    }
}

/// One thing tried; true when it worked.
type Attempt = (&'static str, fn(&Targets) -> bool);

/// The rows of security note §3.2.
const ATTEMPTS: &[Attempt] = &[
    ("read the node's key", |targets| std::fs::read(&targets.secret).is_ok()),
    ("connect to the control socket", |targets| UnixStream::connect(&targets.socket).is_ok()),
    ("listen on TCP", |_| TcpListener::bind("127.0.0.1:0").is_ok()),
    ("open a UDP socket", |_| UdpSocket::bind("127.0.0.1:0").is_ok()),
    ("open a Unix socket", |_| UnixListener::bind("probe.sock").is_ok()),
    ("write outside the scratch folder", |targets| {
        let file = targets.outside.join(".probe");
        let wrote = std::fs::write(&file, "").is_ok();
        let _ = std::fs::remove_file(file);
        wrote
    }),
    ("write to /tmp", |_| {
        let file = Path::new("/tmp").join(format!(".testmesh-probe-{}", std::process::id()));
        let wrote = std::fs::write(&file, "").is_ok();
        let _ = std::fs::remove_file(file);
        wrote
    }),
    ("signal the node", |targets| {
        let node = i32::try_from(targets.node).ok().and_then(Pid::from_raw);
        node.is_some_and(|node| rustix::process::test_kill_process(node).is_ok())
    }),
    ("read the node's environment", |targets| {
        std::fs::read(format!("/proc/{}/environ", targets.node)).is_ok()
    }),
    ("read the home folders", |_| std::fs::read_dir("/root").is_ok() || std::fs::read_dir("/home").is_ok()),
];

/// Tries everything; prints one line for each thing that worked or should have. For `main` alone.
#[expect(clippy::print_stdout, reason = "the lines are this program's answer")]
pub fn probe_main(arguments: &[std::ffi::OsString]) -> ExitCode {
    let [secret, socket, outside, node] = arguments else { return ExitCode::from(2) };
    let Some(node) = node.to_str().and_then(|node| node.parse().ok()) else { return ExitCode::from(2) };
    let targets = Targets { secret: secret.into(), socket: socket.into(), outside: outside.into(), node };
    ATTEMPTS.iter().filter(|(_, attempt)| attempt(&targets)).for_each(|(name, _)| println!("{name}"));
    if std::fs::write("scratch", "x").is_err() {
        println!("cannot write to its own scratch folder");
    }
    ExitCode::SUCCESS
}
