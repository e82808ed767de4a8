//! A mesh in containers: machines on a bridge network that found each other by multicast and were approved by
//! `meshctl`, as a person does it. Dropping it removes everything of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::docker::{Error, LABEL, Means, Result, docker, exec, neighbours_full, text};
use crate::logs::{Log, merged, stamp};
use crate::plan::{CLIENT, name};

/// No wait of the lab is longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where the file lies that says by how much a clock is off.
pub(crate) const SKEW_FILE: &str = "/tmp/skew";

/// What a lab's worlds have in common.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// Whose everything is: the value of the label, and the first part of names.
    pub(crate) whose: String,
    /// The image of all machines.
    pub(crate) image: String,
    /// What can be done to containers here.
    pub(crate) means: Means,
    /// Whether changes of trust are announced by gossip.
    pub(crate) gossip: bool,
}

/// A machine to be.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Tests at once.
    pub(crate) slots: usize,
    /// Whether its clock may be changed.
    pub(crate) skewable: bool,
    /// Whether its home is in memory, small enough to be filled, and gone when the machine stops.
    pub(crate) small_home: bool,
    /// Whether its node can stop and start without it.
    pub(crate) background: bool,
    /// Networks of the world it is in, by number.
    pub(crate) networks: Vec<usize>,
}

impl Machine {
    /// A machine with one slot in the first network.
    pub(crate) fn plain() -> Self {
        Machine { slots: 1, skewable: false, small_home: false, background: false, networks: vec![0] }
    }
}

/// A mesh in containers. The first machine is the client.
#[derive(Debug)]
pub(crate) struct World {
    ground: Ground,
    title: String,
    machines: Vec<Machine>,
    networks: Vec<String>,
    prefix: String,
    keys: BTreeMap<usize, String>,
    /// How often the table of neighbours had been full before.
    neighbours_full: u64,
    /// What the lab did, with times.
    diary: std::sync::Mutex<String>,
}

/// What each machine runs: sets itself up once and becomes the node. The client's node may die without its container.
const NODE: &str = r#"
echo +0s >/tmp/skew
if [ ! -e "$TESTMESH_HOME/config.toml" ]; then
    meshctl setup --name "$(hostname)" --mesh lab >/dev/null 2>&1
    printf 'slots = %s\ngossip = %s\n' "$LAB_SLOTS" "$LAB_GOSSIP" >>"$TESTMESH_HOME/config.toml"
fi
if [ "$LAB_ROLE" = node ]; then exec meshd; fi
meshctl start
exec meshctl logs --follow
"#;

impl World {
    /// Brings machines up; they do not trust each other yet. The logs are kept where that fails.
    pub(crate) fn start(ground: &Ground, title: &str, machines: Vec<Machine>) -> Result<Self> {
        let prefix = format!("{}-{title}", ground.whose);
        let most = machines.iter().flat_map(|machine| machine.networks.clone()).max().unwrap_or(0);
        let networks: Vec<String> = (0..=most).map(|network| format!("{prefix}-lan{network}")).collect();
        let mut world = World {
            ground: ground.clone(),
            title: title.to_owned(),
            networks,
            prefix,
            keys: BTreeMap::new(),
            neighbours_full: neighbours_full(),
            diary: std::sync::Mutex::default(),
            machines,
        };
        match world.bring_up() {
            Ok(keys) => {
                world.keys = keys;
                Ok(world)
            }
            Err(error) => {
                world.tell_of_neighbours();
                Err(world.broken(error))
            }
        }
    }

    fn bring_up(&self) -> Result<BTreeMap<usize, String>> {
        let label = format!("{LABEL}={}", self.ground.whose);
        for network in &self.networks {
            docker(&["network", "create", "--label", &label, network])?;
        }
        let all: Vec<usize> = (0..self.machines.len()).collect();
        self.each(&all, |machine| self.create(machine))?;
        let keys = self.each(&all, |machine| self.up(machine))?;
        Ok(all.into_iter().zip(keys).collect())
    }

    /// Does something in it; the logs are kept where that fails.
    pub(crate) fn within<T>(mut self, what: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let done = what(&mut self).map_err(|error| self.broken(error));
        self.tell_of_neighbours();
        done
    }

    /// Says so where packets were lost for a reason outside of the mesh.
    fn tell_of_neighbours(&self) {
        let times = neighbours_full().saturating_sub(self.neighbours_full);
        if times > 0 {
            println!(
                "{}: the kernel's table of neighbours was full {times} times, and packets were lost; too many containers \
                 and namespaces for net.ipv4.neigh.default.gc_thresh3",
                self.title
            );
        }
    }

    /// An error together with the logs.
    fn broken(&self, error: Error) -> Error {
        self.note(&format!("failed: {error}"));
        match self.keep_logs() {
            Ok(logs) => Error::Broken { error: Box::new(error), logs },
            Err(_) => error,
        }
    }

    /// The name of a container.
    pub(crate) fn container(&self, machine: usize) -> String {
        format!("{}-{}", self.prefix, name(machine))
    }

    /// The name of a network.
    pub(crate) fn network(&self, network: usize) -> &str {
        &self.networks[network]
    }

    /// What can be done here.
    pub(crate) fn means(&self) -> &Means {
        &self.ground.means
    }

    /// Nodes beside the client.
    pub(crate) fn nodes(&self) -> Vec<usize> {
        (1..self.machines.len()).collect()
    }

    /// Does something to several machines at once; the first error counts.
    pub(crate) fn each<T: Send>(
        &self,
        machines: &[usize],
        what: impl Fn(usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        thread::scope(|scope| {
            let what = &what;
            let threads: Vec<_> =
                machines.iter().map(|machine| scope.spawn(move || what(*machine))).collect();
            let broken = || Error::Confused("a thread of the lab panicked".to_owned());
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(broken()))).collect()
        })
    }

    fn create(&self, number: usize) -> Result<()> {
        let machine = &self.machines[number];
        let (container, host) = (self.container(number), name(number));
        let label = format!("{LABEL}={}", self.ground.whose);
        let background = number == CLIENT || machine.background;
        let role = format!("LAB_ROLE={}", if background { "background" } else { "node" });
        let slots = format!("LAB_SLOTS={}", machine.slots);
        let gossip = format!("LAB_GOSSIP={}", self.ground.gossip);
        let mut words = vec!["run", "-d", "--init", "--no-healthcheck", "--label", &label];
        words.extend([
            "--name",
            &container,
            "--hostname",
            &host,
            "--network",
            &self.networks[machine.networks[0]],
        ]);
        words.extend(["--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"]);
        words.extend(["--memory", "512m", "--pids-limit", "512", "--env", &role, "--env", &slots]);
        words.extend(["--env", &gossip]);
        if machine.small_home {
            words.extend(["--tmpfs", "/mesh/node:exec,size=4m,uid=10001,gid=10001,mode=700"]);
        }
        // Small enough to be filled.
        words.extend(["--tmpfs", "/mesh/node/cache:exec,size=16m,uid=10001,gid=10001,mode=700"]);
        let library = self.ground.means.faketime.as_deref().map(|file| format!("{0}:{0}:ro", text(file)));
        let preload = self.ground.means.faketime.as_deref().map(|file| format!("LD_PRELOAD={}", text(file)));
        let skew = format!("FAKETIME_TIMESTAMP_FILE={SKEW_FILE}");
        if let (true, Some(library), Some(preload)) = (machine.skewable, &library, &preload) {
            words.extend(["--volume", library, "--env", preload, "--env", &skew]);
            words.extend(["--env", "FAKETIME_NO_CACHE=1", "--env", "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
        }
        words.extend([&*self.ground.image, "sh", "-c", NODE]);
        docker(&words)?;
        for network in &machine.networks[1..] {
            docker(&["network", "connect", &self.networks[*network], &container])?;
        }
        Ok(())
    }

    /// Brings one more machine up.
    pub(crate) fn add(&mut self, machine: Machine) -> Result<usize> {
        let number = self.machines.len();
        self.machines.push(machine);
        self.create(number)?;
        let key = self.up(number)?;
        self.keys.insert(number, key);
        Ok(number)
    }

    /// Waits until the node of a machine answers; its key.
    fn up(&self, machine: usize) -> Result<String> {
        self.wait(machine, "the node answers", "meshctl status >/dev/null 2>&1", PATIENCE)?;
        let json = exec(&self.container(machine), "meshctl key show --json")?;
        let json: Value = serde_json::from_str(&json).map_err(|error| Error::Confused(error.to_string()))?;
        let key = json["key"].as_str().ok_or_else(|| Error::Confused("a key without text".to_owned()))?;
        Ok(key.to_owned())
    }

    /// Waits until a script in a machine succeeds; how long it took.
    pub(crate) fn wait(&self, machine: usize, what: &str, script: &str, limit: Duration) -> Result<Duration> {
        let begun = Instant::now();
        self.wait_until(machine, what, script, limit).map(|_| begun.elapsed())
    }

    /// Waits until a script in a machine succeeds; when it did, on the clock of `clock`.
    pub(crate) fn wait_until(
        &self,
        machine: usize,
        what: &str,
        script: &str,
        limit: Duration,
    ) -> Result<f64> {
        // Looked at within: a command to the engine takes longer than what it would find. In a large world less often,
        // since looking costs a processor what is being waited for.
        let pause = (self.machines.len() as u64 * 12).clamp(50, 500);
        let looks = limit.as_secs() * 1_000 / pause;
        let pause = pause as f64 / 1_000.0;
        let until = format!(
            "n=0; until {script}; do n=$((n + 1)); [ $n -lt {looks} ] || exit 1; sleep {pause}; done"
        );
        let waited = self.clock(machine, &format!("timeout {} sh -c '{until}' >/dev/null", limit.as_secs()));
        waited.map_err(|error| {
            let at = name(machine);
            let status = exec(&self.container(machine), "meshctl peers 2>&1").unwrap_or_default();
            Error::Late { what: format!("{what} at {at}: {error}\n{status}"), limit }
        })
    }

    /// Runs a script that prints nothing in a machine; when it ended, in seconds of the clock that all machines share. What
    /// the engine adds to a command is not in it.
    pub(crate) fn clock(&self, machine: usize, script: &str) -> Result<f64> {
        self.seconds(machine, &format!("{script} && cat /proc/uptime"))
    }

    /// Runs a script in a machine; when it began, on the same clock.
    pub(crate) fn begun(&self, machine: usize, script: &str) -> Result<f64> {
        self.seconds(machine, &format!("cat /proc/uptime && {script} >/dev/null 2>&1"))
    }

    fn seconds(&self, machine: usize, script: &str) -> Result<f64> {
        let said = exec(&self.container(machine), script)?;
        let seconds = said.split(' ').next().and_then(|word| word.parse().ok());
        seconds.ok_or_else(|| Error::Confused(format!("no time: {said}")))
    }

    /// Makes one machine approve others, by the keys their owners showed.
    pub(crate) fn approve(&self, at: usize, others: &[usize]) -> Result<()> {
        let commands: Vec<String> = others
            .iter()
            .map(|other| format!("meshctl approve --yes --label {} {}", name(*other), self.keys[other]))
            .collect();
        exec(&self.container(at), &format!("({}) 2>&1", commands.join(" && "))).map(drop)
    }

    /// Makes the client and every node approve each other.
    pub(crate) fn introduce(&self) -> Result<()> {
        self.introduce_to(&self.nodes())
    }

    /// Makes every node approve the client, and the client some of them.
    pub(crate) fn introduce_to(&self, nodes: &[usize]) -> Result<()> {
        let all: Vec<usize> = (0..self.machines.len()).collect();
        self.each(&all, |machine| {
            if machine == CLIENT { self.approve(CLIENT, nodes) } else { self.approve(machine, &[CLIENT]) }
        })
        .map(drop)
    }

    /// Waits until a machine has so many others, trusted both ways and connected.
    pub(crate) fn wait_for_mutual(&self, machine: usize, others: usize) -> Result<Duration> {
        let script = format!("meshctl status --json | grep -q \"\\\"mutual\\\": {others},\"");
        self.wait(machine, &format!("{others} others trusted both ways"), &script, PATIENCE)
    }

    /// The name other machines know one by.
    pub(crate) fn key(&self, machine: usize) -> &str {
        &self.keys[&machine]
    }

    /// Where a machine is in the first network; none while it is not.
    pub(crate) fn address(&self, machine: usize) -> Option<String> {
        let format = format!(
            "{{{{with index .NetworkSettings.Networks \"{}\"}}}}{{{{.IPAddress}}}}{{{{end}}}}",
            self.networks[0]
        );
        let address = docker(&["inspect", "--format", &format, &self.container(machine)]).ok()?;
        let address = address.trim().to_owned();
        (!address.is_empty()).then_some(address)
    }

    /// Writes into the diary.
    pub(crate) fn note(&self, words: &str) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Ok(mut diary) = self.diary.lock() {
            diary.push_str(&format!("{} {words}\n", stamp(since)));
        }
    }

    /// Keeps the logs of all machines and the diary, merged by time; the file.
    pub(crate) fn keep_logs(&self) -> Result<PathBuf> {
        let base =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let folder = base.join("lab");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.log", self.title));
        std::fs::write(&file, self.logs())?;
        Ok(file)
    }

    fn logs(&self) -> String {
        let diary = self.diary.lock().map(|diary| diary.clone()).unwrap_or_default();
        let mut logs = vec![Log { source: "lab".to_owned(), text: diary }];
        for machine in 0..self.machines.len() {
            let container = self.container(machine);
            // Both streams in one.
            let script = format!("docker logs --timestamps {container} 2>&1");
            let text = crate::docker::run(&["sh", "-c", &script]).unwrap_or_default();
            logs.push(Log { source: name(machine), text });
        }
        merged(&logs)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let containers: Vec<String> =
            (0..self.machines.len()).map(|machine| self.container(machine)).collect();
        // What is not paused or not there any more is no error; the guard looks again at the end.
        thread::scope(|scope| {
            for container in &containers {
                scope.spawn(|| {
                    let _ = docker(&["unpause", container]);
                    let _ = docker(&["rm", "-fv", container]);
                });
            }
        });
        self.networks.iter().for_each(|network| drop(docker(&["network", "rm", network])));
    }
}
