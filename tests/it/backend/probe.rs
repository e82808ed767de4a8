//! Contained slots: what the hostile probe may and may not do in them.

use testmesh::backend::{Containment, Targets, Tier};

use super::*;

/// A contained slot, the folder its jobs start in, and what the probe attacks.
struct Cell {
    place: Place,
    slot: Slot,
    targets: Targets,
    _socket: std::os::unix::net::UnixListener,
}

impl Cell {
    fn new(contained: bool) -> Self {
        let place = Place::new();
        let secret = place.file("secret", b"key", 0o600);
        fs_err::create_dir_all(place.path().join("scratch/0")).unwrap();
        let socket = place.path().join("node.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_run-tests"));
        let mut config = place.config();
        if contained {
            let readable = vec![program];
            config = config.contained(Containment { readable, scratch: place.path().join("scratch") });
        }
        let slot = place.runtime.block_on(Slot::start(config.of_slot(0))).unwrap();
        let targets = Targets { secret, socket, outside: place.path().into(), node: std::process::id() };
        Self { place, slot, targets, _socket: listener }
    }

    fn run(&mut self, argv: &[&str]) -> Output {
        let mut roots = self.place.roots();
        roots.workspace = self.place.path().join("scratch/0");
        roots.cwd.clone_from(&roots.workspace);
        let resolved = roots.job(&job(argv)).unwrap();
        self.place.runtime.block_on(self.slot.run(&resolved))
    }

    fn probe(&mut self) -> Vec<String> {
        let arguments = self.targets.arguments();
        let mut argv = vec![env!("CARGO_BIN_EXE_run-tests")];
        argv.extend(arguments.iter().map(String::as_str));
        let output = self.run(&argv);
        assert_eq!(output.exit, code(0), "{output:?}");
        stdout(&output).lines().map(str::to_owned).collect()
    }
}

#[test]
fn an_open_slot_lets_the_probe_do_what_this_account_may() {
    let mut cell = Cell::new(false);
    assert_eq!(cell.slot.tier(), Tier::Open);
    let worked = cell.probe();
    for name in ["read the node's key", "connect to the control socket", "write outside the scratch folder"] {
        assert!(worked.iter().any(|line| line == name), "{name} is missing in {worked:?}");
    }
}

#[test]
fn nothing_of_the_probe_works_in_the_highest_tier_and_a_lower_one_is_said() {
    let mut cell = Cell::new(true);
    let worked = cell.probe();
    assert_eq!(cell.slot.tier() == Tier::Contained, worked.is_empty(), "{worked:?}");
}

#[test]
fn a_contained_job_starts_processes_and_finds_an_empty_scratch_folder() {
    let mut cell = Cell::new(true);
    for _ in 0..2 {
        let output = cell.run(&[
            "/bin/sh",
            "-c",
            "ls -A; mkdir d; echo x >d/f; cat d/f | sort; cd; pwd; test $PWD = $TMPDIR",
        ]);
        let home = cell.place.path().join("scratch/0");
        let expected = format!("x\n{}\n", home.display());
        assert_eq!((&output.exit, stdout(&output)), (&code(0), expected), "{output:?}");
    }
}

#[test]
fn the_embedded_engine_runs_in_a_contained_slot() {
    let mut cell = Cell::new(true);
    let program = env!("CARGO_BIN_EXE_run-tests");
    let output = cell.run(&[program, testmesh::engine::EMBEDDED_ARGUMENT, "-e", "print(6*7)"]);
    assert_eq!((&output.exit, stdout(&output).as_str()), (&code(0), "42\n"), "{output:?}");
}
