//! Which faults a seed brings, and when.
//!
//! Pure: the same seed is the same plan on every machine, whatever that machine can do.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// The client, among machines; nodes count from 1.
pub(crate) const CLIENT: usize = 0;

/// Nodes beside the client in a run with faults.
pub(crate) const NODES: usize = 3;

/// Seeds among which few are looked for that bring every kind.
const COVER_MAX: u64 = 200;

/// Most faults of a run.
const FAULTS_MAX: u64 = 3;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Killed, and not back before the run is over.
    Kill,
    /// Killed, and started again after a while.
    Crash,
    /// Ended in order and started again.
    Restart,
    /// Frozen.
    Pause,
    /// Its network interface goes away.
    Disconnect,
    /// It and perhaps another hear nothing of the rest, though each other.
    Partition,
    /// Packets are lost, in both directions.
    Loss,
    /// A slow link; with delay where the kernel can.
    Narrow,
    /// A fraction of a processor.
    SlowCpu,
    /// No room for inputs and scratch files.
    FullDisk,
    /// Nor for anything else of the node: statements of trust, its audit log.
    FullHome,
    /// The clock jumps.
    Skew,
    /// The client's own node is killed.
    OwnNode,
    /// The client's network interface goes away.
    CutOff,
}

impl Kind {
    /// All of them, in the order in which seeds begin with them.
    pub(crate) const ALL: [Kind; 14] = [
        Kind::Kill,
        Kind::Crash,
        Kind::Restart,
        Kind::Pause,
        Kind::Disconnect,
        Kind::Partition,
        Kind::Loss,
        Kind::Narrow,
        Kind::SlowCpu,
        Kind::FullDisk,
        Kind::Skew,
        Kind::OwnNode,
        Kind::CutOff,
        Kind::FullHome,
    ];

    fn is_of_client(self) -> bool {
        matches!(self, Kind::OwnNode | Kind::CutOff)
    }
}

/// Something that goes wrong once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What.
    pub(crate) kind: Kind,
    /// When: after so many thousandths of the cases have been told.
    pub(crate) at: u32,
    /// Where.
    pub(crate) machines: Vec<usize>,
    /// For how long, if the run lasts that long.
    pub(crate) lasting: Duration,
    /// How bad: per cent of packets lost, kilobits a second, per cent of a processor, seconds of skew.
    pub(crate) strength: i64,
}

impl Fault {
    /// Whether this may cost tests that ran: a connection that loses packets may break, and what a slow machine does not
    /// end is done elsewhere. Machines that are lost together are found to be lost together, so they are one loss.
    fn is_a_loss(&self) -> bool {
        self.kind != Kind::Skew
    }

    /// Nodes that can do nothing for the client while it lasts, or only a part of what they could.
    pub(crate) fn out(&self) -> Vec<usize> {
        match self.kind {
            Kind::OwnNode | Kind::CutOff => (1..=NODES).collect(),
            Kind::Skew => Vec::new(),
            _ => self.machines.clone(),
        }
    }

    /// The part that they still do.
    pub(crate) fn capacity(&self) -> f64 {
        if self.kind == Kind::SlowCpu { self.strength as f64 / 100.0 } else { 0.0 }
    }

    /// Whether it lasts until the run is over.
    pub(crate) fn is_for_good(&self) -> bool {
        matches!(self.kind, Kind::Kill | Kind::OwnNode)
    }

    /// Whether machines may not hear in time that a run is over: they are asleep, slow, or out of reach.
    fn deafens(&self) -> bool {
        matches!(
            self.kind,
            Kind::Pause
                | Kind::Disconnect
                | Kind::Partition
                | Kind::Loss
                | Kind::Narrow
                | Kind::SlowCpu
                | Kind::OwnNode
                | Kind::CutOff
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.machines.iter().map(|machine| name(*machine)).collect();
        let (names, seconds, strength) = (names.join("+"), self.lasting.as_secs_f64(), self.strength);
        match self.kind {
            Kind::Kill => write!(out, "kill {names}")?,
            Kind::Crash => write!(out, "kill {names}, start after {seconds:.1} s")?,
            Kind::Restart => write!(out, "restart {names}")?,
            Kind::Pause => write!(out, "pause {names} for {seconds:.1} s")?,
            Kind::Disconnect | Kind::CutOff => write!(out, "disconnect {names} for {seconds:.1} s")?,
            Kind::Partition => write!(out, "partition {names} off for {seconds:.1} s")?,
            Kind::Loss => write!(out, "lose {strength} % at {names} for {seconds:.1} s")?,
            Kind::Narrow => write!(out, "{strength} kbit/s at {names} for {seconds:.1} s")?,
            Kind::SlowCpu => write!(out, "{strength} % of a processor at {names} for {seconds:.1} s")?,
            Kind::FullDisk => write!(out, "full disk at {names} for {seconds:.1} s")?,
            Kind::FullHome => write!(out, "full home at {names} for {seconds:.1} s")?,
            Kind::Skew => write!(out, "clock of {names} off by {strength} s for {seconds:.1} s")?,
            Kind::OwnNode => write!(out, "kill the client's node")?,
        }
        write!(out, " at {} %", self.at / 10)
    }
}

/// What a machine of the lab is called.
pub(crate) fn name(machine: usize) -> String {
    if machine == CLIENT { "client".to_owned() } else { format!("n{machine}") }
}

/// A run with faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Where it comes from.
    pub(crate) seed: u64,
    /// Whether the client runs nothing itself; only where a node is spared.
    pub(crate) remote_only: bool,
    /// What goes wrong, in order.
    pub(crate) faults: Vec<Fault>,
}

impl Plan {
    /// The plan of a seed. Seeds that follow each other begin with different kinds.
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random(seed);
        let kinds = Kind::ALL.len() as u64;
        let first = Kind::ALL[usize::try_from(seed % kinds).unwrap_or(0)];
        let mut faults = vec![fault(first, &mut random)];
        for _ in 0..random.below(FAULTS_MAX) {
            let kind = Kind::ALL[usize::try_from(random.below(kinds)).unwrap_or(0)];
            let more = fault(kind, &mut random);
            // A machine has one trouble at a time: what is dead cannot be frozen.
            if !faults
                .iter()
                .any(|fault| fault.machines.iter().any(|machine| more.machines.contains(machine)))
            {
                faults.push(more);
            }
        }
        faults.sort_by_key(|fault| fault.at);
        let mut plan = Plan { seed, remote_only: false, faults };
        plan.remote_only = random.below(2) == 0 && !plan.spared().is_empty();
        plan
    }

    /// Nodes that are there, and can be heard by the client, from beginning to end.
    pub(crate) fn spared(&self) -> Vec<usize> {
        let hit: BTreeSet<usize> = self.faults.iter().flat_map(|fault| fault.machines.clone()).collect();
        if hit.contains(&CLIENT) {
            return Vec::new();
        }
        (1..=NODES).filter(|node| !hit.contains(node)).collect()
    }

    /// Machines whose clock may jump.
    pub(crate) fn skewed(&self) -> BTreeSet<usize> {
        let of_clock = self.faults.iter().filter(|fault| fault.kind == Kind::Skew);
        of_clock.flat_map(|fault| fault.machines.clone()).collect()
    }

    /// Machines whose home is small enough to be filled.
    pub(crate) fn small_homes(&self) -> BTreeSet<usize> {
        let of_home = self.faults.iter().filter(|fault| fault.kind == Kind::FullHome);
        of_home.flat_map(|fault| fault.machines.clone()).collect()
    }

    /// Machines that hear at once that a run is over.
    pub(crate) fn listening(&self) -> Vec<usize> {
        let deaf = self.faults.iter().filter(|fault| fault.deafens());
        let deaf: BTreeSet<usize> = deaf.flat_map(Fault::out).collect();
        (0..=NODES).filter(|machine| !deaf.contains(machine)).collect()
    }

    /// How often tests may be lost.
    pub(crate) fn losses(&self) -> usize {
        self.faults.iter().filter(|fault| fault.is_a_loss()).count()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        let remote = if self.remote_only { " (nothing runs on the client)" } else { "" };
        write!(out, "{}{remote}", faults.join("; "))
    }
}

/// Few seeds that bring every kind together: each time the one with most kinds that were not there yet.
pub(crate) fn cover() -> Vec<u64> {
    let kinds =
        |seed: u64| -> BTreeSet<Kind> { Plan::of(seed).faults.iter().map(|fault| fault.kind).collect() };
    let (mut missing, mut seeds) = (BTreeSet::from(Kind::ALL), Vec::new());
    while !missing.is_empty() {
        let most = (0..COVER_MAX)
            .max_by_key(|seed| (kinds(*seed).intersection(&missing).count(), std::cmp::Reverse(*seed)));
        let Some(seed) = most else { break };
        missing = &missing - &kinds(seed);
        seeds.push(seed);
    }
    seeds
}

fn fault(kind: Kind, random: &mut Random) -> Fault {
    let first = 1 + usize::try_from(random.below(NODES as u64)).unwrap_or(0);
    let mut machines = if kind.is_of_client() { vec![CLIENT] } else { vec![first] };
    if kind == Kind::Partition && random.below(2) == 0 {
        machines.push(first % NODES + 1);
        machines.sort_unstable();
    }
    let strength = match kind {
        Kind::Loss => random.between(2, 25),
        Kind::Narrow => random.between(32, 512),
        Kind::SlowCpu => random.between(5, 30),
        // Shorter and longer than offers live, and back as well as ahead.
        Kind::Skew => [-86_400, -300, -30, 30, 300, 86_400][usize::try_from(random.below(6)).unwrap_or(0)],
        _ => 0,
    };
    Fault {
        kind,
        at: u32::try_from(random.between(0, 850)).unwrap_or(0),
        machines,
        lasting: Duration::from_millis(u64::try_from(random.between(300, 6_000)).unwrap_or(300)),
        strength,
    }
}

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, least: i64, most: i64) -> i64 {
        let span = u64::try_from(most - least + 1).unwrap_or(1);
        least + i64::try_from(self.below(span)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan_and_another_is_another() {
        assert_eq!(Plan::of(7), Plan::of(7));
        let plans: BTreeSet<String> = (0..100).map(|seed| Plan::of(seed).to_string()).collect();
        assert!(plans.len() > 95, "{} of 100 differ", plans.len());
    }

    #[test]
    fn a_hundred_seeds_bring_every_kind_often_enough() {
        for kind in Kind::ALL {
            let seeds = (0..100).filter(|seed| Plan::of(*seed).faults.iter().any(|fault| fault.kind == kind));
            assert!(seeds.count() >= 7, "{kind:?}");
        }
    }

    #[test]
    fn a_plan_can_be_carried_out() {
        for seed in 0..10_000 {
            let plan = Plan::of(seed);
            let all: Vec<usize> = plan.faults.iter().flat_map(|fault| fault.machines.clone()).collect();
            let hit: BTreeSet<usize> = all.iter().copied().collect();
            assert!((1..=FAULTS_MAX).contains(&(plan.faults.len() as u64)), "{plan}");
            assert_eq!(hit.len(), all.len(), "one trouble a machine: {plan}");
            assert!(plan.faults.is_sorted_by_key(|fault| fault.at), "{plan}");
            for fault in &plan.faults {
                assert!(fault.at < 900, "it happens while tests run: {plan}");
                assert!(!fault.machines.is_empty() && fault.machines.iter().all(|machine| *machine <= NODES));
                assert_eq!(fault.machines.contains(&CLIENT), fault.kind.is_of_client(), "{plan}");
                assert!(fault.machines.len() < NODES, "a partition leaves somebody: {plan}");
                assert!((Duration::from_millis(300)..=Duration::from_secs(6)).contains(&fault.lasting));
            }
            let spared = plan.spared();
            assert!(
                spared.is_empty() || spared.iter().all(|node| !hit.contains(node) && !hit.contains(&CLIENT))
            );
            assert!(!plan.remote_only || !spared.is_empty(), "nobody is left to run anything: {plan}");
        }
    }

    #[test]
    fn few_seeds_bring_every_kind() {
        let plans: Vec<Plan> = cover().into_iter().map(Plan::of).collect();
        let kinds: BTreeSet<Kind> =
            plans.iter().flat_map(|plan| plan.faults.iter().map(|fault| fault.kind)).collect();
        assert_eq!(kinds, BTreeSet::from(Kind::ALL));
        assert!(plans.len() <= 7, "{} seeds", plans.len());
    }

    #[test]
    fn who_is_out_of_reach_need_not_hear_the_end() {
        let fault = |kind, machine| Fault {
            kind,
            at: 0,
            machines: vec![machine],
            lasting: Duration::from_secs(1),
            strength: 0,
        };
        let plan = |faults: &[Fault]| Plan { seed: 0, remote_only: false, faults: faults.to_vec() };
        assert_eq!(plan(&[fault(Kind::Pause, 1), fault(Kind::Restart, 2)]).listening(), [CLIENT, 2, 3]);
        assert_eq!(plan(&[fault(Kind::CutOff, CLIENT)]).listening(), [CLIENT]);
    }

    #[test]
    fn words_say_what_when_and_where() {
        let fault = Fault {
            kind: Kind::Partition,
            at: 405,
            machines: vec![1, 3],
            lasting: Duration::from_millis(2_340),
            strength: 0,
        };
        assert_eq!(fault.to_string(), "partition n1+n3 off for 2.3 s at 40 %");
        assert_eq!(fault.out(), [1, 3]);
    }
}
