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
    assert!(ann.fails(2, &["approve", "./"]).contains("is a folder"));
    assert!(ann.fails(1, &["approve", "/dev/null"]).contains("the file is empty"));
    assert!(ann.fails(1, &["revoke", ""]).contains("the name is empty"));
    let own = ann.json(&["key", "show"])["key"].as_str().unwrap().to_owned();
    assert!(ann.fails(1, &["why", &own]).contains("this machine itself"));
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

/// What the owner of a machine calls those approved there.
fn labels(machine: &Machine) -> Vec<String> {
    let trust = machine.json(&["trust"]);
    let roots = trust["roots"].as_array().unwrap().iter();
    roots.map(|root| root["who"]["name"].as_str().unwrap().to_owned()).collect()
}

fn edit(file: &Path, change: impl Fn(String) -> String) {
    std::fs::write(file, change(std::fs::read_to_string(file).unwrap())).unwrap();
}

#[test]
fn an_allowlist_edited_by_hand_is_in_force_at_once_and_never_written_over() {
    let (ann, bob) = pair();
    ann.until(mutual(1));
    let list = ann.home().join("allowlist");
    let line = |text: &str| text.lines().find(|line| line.starts_with("ed25519:")).unwrap().to_owned();
    let bobs = line(&std::fs::read_to_string(&list).unwrap());

    // A line taken out takes trust away without a word to the node, and no command brings it back.
    edit(&list, |text| text.replace(&bobs, "# bob is on holiday"));
    ann.until(mutual(0));
    assert!(ann.ok(&["logs"]).contains("was edited, and read again"));
    let noisy = Machine::new("noisy");
    ann.ok(&["approve", &noisy.key_file()]);
    let text = std::fs::read_to_string(&list).unwrap();
    assert!(text.contains("# bob is on holiday\n") && !text.contains(&bobs), "{text}");

    // What cannot be read changes nothing, is complained of, and is not written over.
    edit(&list, |text| format!("{text}{bobs}\nnonsense\n"));
    let complaint = |status: &Value| status["warnings"].to_string().contains("before the last edit");
    let status = ann.until(complaint);
    assert!(status["warnings"].to_string().contains("a key begins with"), "{status}");
    let broken = std::fs::read_to_string(&list).unwrap();
    let refused = ann.fails(1, &["approve", &bob.key_file()]);
    assert!(
        refused.contains("edited by another hand") && refused.contains("nothing was changed"),
        "{refused}"
    );
    assert!(ann.fails(1, &["reload"]).contains("a key begins with"));
    assert_eq!(std::fs::read_to_string(&list).unwrap(), broken);
    assert_eq!(labels(&ann), ["noisy"]);
    ann.ok(&["block", "noisy"]);

    edit(&list, |text| text.replace("nonsense\n", ""));
    ann.until(|status| !complaint(status));
    introduce(&bob, &ann);
    ann.until(mutual(1));
}

#[test]
fn a_reload_checks_the_settings_and_says_what_waits() {
    let machine = Machine::new("desk");
    machine.ok(&["start"]);
    insta::assert_snapshot!(machine.run(&["reload"]).err, @"the allowlist was read again and is in force; the settings can be used");
    let settings = machine.home().join("config.toml");
    edit(&settings, |text| text.replace("slots = 1", "slots = 2").replace("\"it\"", "\"other\""));
    insta::assert_snapshot!(machine.run(&["reload"]).err, @"
    the allowlist was read again and is in force; the settings can be used
    meshctl: warning: changed, and in force after `meshctl restart`: mesh, slots
    ");
    edit(&settings, |text| format!("{text}slots = 3\n"));
    let said = machine.fails(1, &["reload"]);
    assert!(said.contains("the settings cannot be used") && said.contains("slots"), "{said}");
    machine.ok(&["stop"]);
}

#[test]
fn a_key_is_ended_by_its_certificate_on_another_machine() {
    let (ann, bob) = pair();
    ann.until(mutual(1));
    let certificate = bob.home().join("retire.cert");
    let certificate = certificate.to_str().unwrap();
    assert!(ann.fails(1, &["retire", "--certificate", certificate]).contains("--yes"));
    assert!(
        ann.fails(1, &["retire", "--certificate", &bob.key_file(), "--yes"])
            .contains("no retirement certificate")
    );
    assert!(ann.fails(2, &["retire", "--certificate", "/", "--yes"]).contains("is a folder"));
    assert!(ann.fails(2, &["retire", "--certificate", "gone", "--yes"]).contains("does not exist"));
    let done = ann.json(&["retire", "--certificate", certificate, "--yes"]);
    assert_eq!((&done["outcome"], &done["lost"][0]["who"]["name"]), (&"done".into(), &"bob".into()));
    assert!(ann.ok(&["why", "bob"]).contains("not trusted: retired"));
    assert_eq!(ann.json(&["retire", "--certificate", certificate, "--yes"])["outcome"], "unchanged");
    assert!(ann.fails(1, &["approve", &bob.key_file()]).contains("retired itself"));
    // Bob is told, and says so.
    let status = bob.until(|status| status["warnings"].to_string().contains("key has ended"));
    assert_eq!(status["mutual"], 0);
}

#[test]
fn a_denial_is_overridden_by_its_name_only() {
    let (ann, bob) = pair();
    ann.until(mutual(1));
    ann.ok(&["revoke", "bob"]);
    let id = ann.json(&["why", "bob"])["denials"][0]["id"].as_str().unwrap().to_owned();
    for vague in ["", &id[..1], &id[..7]] {
        let said = ann.fails(1, &["approve", &bob.key_file(), "--yes", "--despite", vague]);
        assert!(said.contains("too short for a denial"), "{said}");
    }
    assert!(
        ann.fails(1, &["approve", &bob.key_file(), "--despite", "aaaaaaaaaaaa"])
            .contains("no denial of this key")
    );
    assert!(ann.ok(&["why", "bob"]).contains("not trusted: denied"));
    ann.ok(&["approve", &bob.key_file(), "--despite", &id]);
}

#[test]
fn a_label_stays_and_nobody_can_take_it() {
    let (ann, bob) = pair();
    ann.ok(&["approve", &bob.key_file(), "--label", "rack"]);
    assert_eq!(labels(&ann), ["rack"]);
    ann.ok(&["approve", &bob.key_file(), "--depth", "1"]);
    assert_eq!(labels(&ann), ["rack"], "an approval without a label keeps the one there is");

    // A stranger by the name of a label: the label is meant.
    let mallet = Machine::bare("rack").set_up();
    mallet.ok(&["start"]);
    introduce(&mallet, &ann);
    ann.until(|status| status["peers"].to_string().contains("\"name\":\"rack\",\"label\":null"));
    let key = ann.json(&["trust"])["roots"][0]["who"]["key"].clone();
    assert_eq!(ann.json(&["why", "rack"])["who"]["key"], key);
    assert!(ann.ok(&["block", mallet.json(&["key", "show"])["key"].as_str().unwrap()]).contains("\"rack\""));
    let done = ann.json(&["revoke", "rack"]);
    assert_eq!((&done["who"]["key"], &done["who"]["origin"]), (&key, &"yours".into()));
    insta::assert_snapshot!(ann.fails(1, &["why", "ann"]), @"
    meshctl: error: that is this machine itself
    hint: `meshctl status` shows it
    ");
}

#[test]
fn a_changed_audit_log_fails_and_has_no_head() {
    let machine = Machine::new("desk");
    let friend = Machine::new("friend");
    machine.ok(&["start"]);
    machine.ok(&["approve", &friend.key_file()]);
    let head = machine.ok(&["audit", "--head"]);
    assert!(machine.ok(&["audit"]).lines().last().unwrap().starts_with(head.trim_end()));
    let log = machine.home().join("audit.log");
    let whole = std::fs::read_to_string(&log).unwrap();
    edit(&log, |text| text.replacen("approved", "abhorred", 1));
    assert!(machine.fails(1, &["audit"]).contains("was changed after it was written"));
    let done = machine.run(&["audit", "--head"]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    // Lines taken from the end follow from each other; the node knows what it wrote.
    let cut: String = whole.lines().take(1).map(|line| format!("{line}\n")).collect();
    std::fs::write(&log, cut).unwrap();
    assert!(machine.fails(1, &["audit"]).contains("does not end with what this node wrote last"));
}

#[test]
fn a_lost_store_is_shown_and_restored() {
    let (ann, bob) = pair();
    ann.until(mutual(1));
    insta::assert_snapshot!(ann.ok(&["recover"]), @"Nothing was lost: what the allowlist says is published.");
    ann.ok(&["stop"]);
    for name in ["statements.log", "allowlist"] {
        std::fs::remove_file(ann.home().join(name)).unwrap();
    }
    ann.ok(&["start"]);
    assert!(ann.ok(&["recover"]).contains("Nothing came back yet"));
    assert!(ann.ok(&["status"]).contains("`meshctl recover` shows what came back"));
    assert!(ann.fails(1, &["recover", "--restore"]).contains("no snapshot of this node's key"));
    // Bob still trusts ann: one approval brings back what ann published.
    ann.ok(&["approve", &bob.key_file(), "--label", "bob"]);
    introduce(&bob, &ann);
    ann.until(mutual(1));
    ann.until(|_| ann.json(&["recover"])["snapshot"].is_object());
    ann.ok(&["recover", "--restore"]);
    assert_eq!(ann.json(&["status"])["recovery"], "no");
    assert_eq!(labels(&ann), ["bob"]);
}
