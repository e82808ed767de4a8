//! `meshctl` against real nodes: on loopback, without multicast, each in a home of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A machine of the test's mesh; its node ends with it.
struct Machine {
    folder: tempfile::TempDir,
    name: &'static str,
    /// Its `meshctl`.
    program: PathBuf,
}

/// What a command did.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Machine {
    /// A machine without a node.
    fn bare(name: &'static str) -> Self {
        let program = env!("CARGO_BIN_EXE_meshctl").into();
        Machine { folder: tempfile::tempdir().unwrap(), name, program }
    }

    /// A machine that is set up.
    fn new(name: &'static str) -> Self {
        Self::bare(name).set_up()
    }

    fn set_up(self) -> Self {
        self.ok(&["setup", "--name", self.name, "--mesh", "it"]);
        let settings = self.home().join("config.toml");
        let mut text = std::fs::read_to_string(&settings).unwrap();
        text.push_str("\nmdns = false\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nslots = 1\n");
        std::fs::write(&settings, text).unwrap();
        self
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(self.home()).args(arguments).stdin(Stdio::null());
        command.current_dir(self.folder.path()).env_remove("TESTMESH_HOME");
        command
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| self.redact(&String::from_utf8_lossy(bytes));
        Done { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Without what differs from run to run.
    fn redact(&self, text: &str) -> String {
        text.replace(self.folder.path().to_str().unwrap(), "/scratch")
    }

    /// Runs what must work, and takes its output.
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, Some(0), "{}: {arguments:?}: {}{}", self.name, done.out, done.err);
        done.out
    }

    /// Runs what must fail with this code, and takes what it says.
    #[track_caller]
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, Some(code), "{}: {arguments:?}: {}{}", self.name, done.out, done.err);
        done.err
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--json"]].concat())).unwrap()
    }

    fn key_file(&self) -> String {
        let file = self.folder.path().join("own.key");
        if !file.exists() {
            self.ok(&["key", "export", "--output", file.to_str().unwrap()]);
        }
        file.to_str().unwrap().to_owned()
    }

    /// Follows the status until it is as wished. The watch reports every change, so nothing is waited for in vain.
    fn until(&self, wished: impl Fn(&Value) -> bool) -> Value {
        let mut watch =
            self.command(&["status", "--watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        let found = lines
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|status| wished(status));
        watch.kill().unwrap();
        watch.wait().unwrap();
        found.expect("the node stopped before")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.command(&["stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Two nodes that run and have approved each other.
fn pair() -> (Machine, Machine) {
    let (ann, bob) = (Machine::new("ann"), Machine::new("bob"));
    ann.ok(&["start"]);
    bob.ok(&["start"]);
    ann.ok(&["approve", &bob.key_file()]);
    bob.ok(&["approve", &ann.key_file()]);
    introduce(&bob, &ann);
    (ann, bob)
}

/// Makes one dial where the other listens now.
fn introduce(one: &Machine, other: &Machine) {
    let listening = |status: &Value| status["listen"].as_array().is_some_and(|all| !all.is_empty());
    let address = other.until(listening)["listen"][0].as_str().unwrap().to_owned();
    one.ok(&["dial", &address]);
}

fn mutual(count: u64) -> impl Fn(&Value) -> bool {
    move |status| status["mutual"] == count
}

#[test]
fn one_file_with_three_names_is_enough() {
    let mut machine = Machine::bare("ann");
    machine.program = machine.folder.path().join("meshctl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_run-tests"), &machine.program).unwrap();
    let machine = machine.set_up();
    machine.ok(&["start"]);
    assert_eq!(machine.json(&["status"])["name"], "ann");
}

#[test]
fn setup_is_done_once_and_works_without_a_node() {
    let machine = Machine::bare("desk");
    let home = machine.home();
    insta::assert_snapshot!(machine.fails(3, &["status"]), @"
    meshctl: error: no node runs here: nobody answers on /scratch/home/run/mesh.sock
    hint: `meshctl start` starts one
    ");
    insta::assert_snapshot!(machine.fails(1, &["start"]), @"
    meshctl: error: no node is set up in /scratch/home: /scratch/home/config.toml is missing
    hint: `meshctl setup` makes one
    ");
    insta::assert_snapshot!(machine.fails(1, &["key", "show"]), @"
    meshctl: error: no node is set up in /scratch/home: /scratch/home/config.toml is missing
    hint: `meshctl setup` makes one
    ");
    let first = machine.ok(&["setup", "--name", "desk"]);
    assert!(home.join("identity").is_file() && home.join("retire.cert").is_file());
    let again = machine.run(&["setup", "--name", "other"]);
    assert_eq!((again.code, again.out), (Some(0), first.clone()));
    insta::assert_snapshot!(again.err, @r#"
    everything was there already; nothing was changed
    meshctl: warning: the name stays "desk": change it in /scratch/home/config.toml

    Next: `meshctl start`, then on another machine approve this key (`meshctl key export`).
    "#);
    assert_eq!(machine.ok(&["key", "show"]), first);
    let exported = machine.ok(&["key", "export"]);
    assert!(exported.contains("name: desk") && exported.contains("words: "), "{exported}");
    insta::assert_snapshot!(machine.fails(3, &["approve", &machine.key_file()]), @"
    meshctl: error: no node runs here: nobody answers on /scratch/home/run/mesh.sock
    hint: `meshctl start` starts one
    ");
    insta::assert_snapshot!(machine.fails(3, &["stop"]), @"
    meshctl: error: no node runs here (/scratch/home/run/mesh.sock)
    hint: `meshctl start` starts one
    ");
    insta::assert_snapshot!(machine.fails(1, &["logs"]), @"
    meshctl: error: there is no log yet: /scratch/home/meshd.log
    hint: a node started by the system logs there, such as in `journalctl --user -u meshd`
    ");
}

#[test]
fn a_home_that_cannot_be_is_left_as_it_was() {
    let machine = Machine::bare("desk");
    std::fs::write(machine.home(), "a file").unwrap();
    let said = machine.fails(1, &["setup"]);
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(std::fs::read(machine.home()).unwrap(), b"a file");
}

#[test]
fn two_machines_trust_each_other_until_one_is_revoked() {
    let (ann, bob) = pair();
    let status = bob.until(mutual(1));
    let peer = &status["peers"][0];
    assert_eq!((&peer["label"], &peer["connected"]), (&Value::from("ann"), &Value::from(true)));
    assert_eq!(peer["missing"], Value::Null);
    ann.until(mutual(1));

    let why = bob.json(&["why", "ann"]);
    assert_eq!(why["standing"]["trusted"]["approved"], true);
    assert_eq!(why["paths"][0]["hops"].as_array().unwrap().len(), 1);
    assert_eq!(bob.json(&["peers"])[0]["trusts_you"]["work"], true);
    assert_eq!(bob.json(&["trust"])["roots"][0]["who"]["key"], peer["key"]);
    assert!(bob.ok(&["peers"]).contains("approved"));

    let would = ann.json(&["revoke", "bob", "--dry-run"]);
    assert_eq!((&would["outcome"], &would["lost"][0]["who"]["name"]), (&"dry-run".into(), &"bob".into()));
    ann.until(mutual(1));

    // After a restart both still trust each other.
    ann.ok(&["restart"]);
    introduce(&bob, &ann);
    ann.until(mutual(1));
    ann.ok(&["revoke", "bob", "--reason", "left", "--note", "moved on"]);
    let gone = bob.until(|status| status["connected"] == 0);
    assert_eq!(gone["mutual"], 0);
    let why = ann.ok(&["why", "bob"]);
    assert!(why.contains("not trusted: denied") && why.contains("moved on"), "{why}");
    assert!(ann.fails(1, &["approve", &bob.key_file()]).contains("--despite"));
    let id = ann.json(&["why", "bob"])["denials"][0]["id"].as_str().unwrap().to_owned();
    ann.ok(&["approve", &bob.key_file(), "--despite", &id]);
    assert_eq!(ann.json(&["why", "bob"])["standing"]["trusted"]["approved"], true);
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let (ann, bob) = pair();
    bob.until(mutual(1));
    insta::assert_snapshot!(ann.fails(1, &["why", "bobb"]), @"
    meshctl: error: nobody here is called `bobb`
    hint: did you mean `bob`? `meshctl peers` lists who is there
    ");
    assert!(ann.fails(1, &["approve", &ann.key_file()]).contains("is the key of this node"));
    assert!(ann.fails(2, &["approve", "missing.key"]).contains("does not exist"));
    assert!(ann.fails(2, &["block", "ed25519:abc"]).contains("is no key"));
    let odd = ann.folder.path().join("odd.key");
    std::fs::write(&odd, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    assert!(ann.fails(1, &["approve", odd.to_str().unwrap()]).contains("PRIVATE"));
    let own = std::fs::read_to_string(bob.key_file()).unwrap();
    std::fs::write(&odd, own.replace("name: bob", "name: bib")).unwrap();
    assert!(ann.fails(1, &["approve", odd.to_str().unwrap()]).contains("checksum"));
    assert!(ann.fails(1, &["retire"]).contains("--yes"));
    ann.ok(&["forget", "bob"]);
    // Only a name leads to the key now, and nobody is here to look at it.
    assert!(ann.fails(1, &["approve", "bob"]).contains("only what some machine"));
    ann.ok(&["approve", "bob", "--yes"]);
    ann.until(mutual(1));

    // Without the cookie one may look, and nothing more.
    std::fs::remove_file(ann.home().join("cookie")).unwrap();
    ann.ok(&["peers"]);
    assert!(ann.fails(1, &["block", "bob"]).contains("cookie is missing"));
    std::fs::write(ann.home().join("cookie"), [0; 32]).unwrap();
    set_mode(&ann.home().join("cookie"), 0o600);
    assert!(ann.fails(1, &["block", "bob"]).contains("the cookie is not this node's"));
    assert_eq!(ann.json(&["status"])["mutual"], 1);
    // `stop` falls back to a signal.
    ann.ok(&["stop"]);
    assert_eq!(ann.run(&["status"]).code, Some(3));
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_second_start_finds_the_first_and_a_dead_node_leaves_nothing_in_the_way() {
    let machine = Machine::new("desk");
    machine.ok(&["start"]);
    let pid = machine.json(&["status"])["pid"].as_i64().unwrap();
    assert!(machine.run(&["start"]).err.contains(&format!("runs already (process {pid})")));
    let second =
        Command::new(env!("CARGO_BIN_EXE_meshd")).arg("--home").arg(machine.home()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("already"));

    let raw = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(raw, rustix::process::Signal::KILL).unwrap();
    machine.ok(&["restart"]);
    let after = machine.json(&["status"])["pid"].as_i64().unwrap();
    assert_ne!(after, pid);
    assert!(machine.ok(&["logs"]).contains("node is up"));
    machine.ok(&["stop"]);
    assert!(!machine.home().join("run/mesh.sock").exists());
}

#[test]
fn a_node_that_cannot_start_says_why() {
    let machine = Machine::new("desk");
    let settings = machine.home().join("config.toml");
    let socket = machine.home().join("run/mesh.sock");
    std::fs::write(&socket, "precious").unwrap();
    insta::assert_snapshot!(machine.fails(1, &["start"]), @"
    meshctl: error: the node ended at once (exit status: 1); the end of its log:
    meshd: error: /scratch/home/run/mesh.sock is in the way and is no socket
    ");
    std::fs::remove_file(&socket).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = format!("mdns = false\nlisten = [\"/ip4/127.0.0.1/tcp/{port}\"]\n");
    std::fs::write(&settings, text).unwrap();
    let said = machine.fails(1, &["start"]);
    assert!(said.contains("cannot listen on") && said.contains("hint: is the port in use"), "{said}");
    assert!(!socket.exists(), "nothing that looks like a node is left");
    std::fs::write(&settings, "slots = \"many\"\n").unwrap();
    insta::assert_snapshot!(machine.fails(1, &["start"]), @r#"
    meshctl: error: /scratch/home/config.toml: TOML parse error at line 1, column 9
      |
    1 | slots = "many"
      |         ^^^^^^
    invalid type: string "many", expected u16
    "#);
}
