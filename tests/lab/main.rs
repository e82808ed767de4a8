//! The fault lab: meshes in containers, broken on purpose.
//!
//!   cargo run --example lab -- faults --seeds 100      # a fresh mesh a seed, a run, its faults, all checks
//!   cargo run --example lab -- join | trust --nodes 8,16,32 --gossip both | bridges | interrupt
//!   cargo run --example lab -- short                   # all of them, and few seeds that bring every kind of fault
//!
//! Needs a Docker engine and the image that docker/images.sh makes. Says what this machine cannot do to containers, and
//! leaves it out. Everything it makes carries a label and is removed at the end, also when it is interrupted or killed.
//! Exit codes: 0 all clean, 1 something was not as it must be, 2 mistyped, 3 no Docker engine or image.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod docker;
mod faults;
mod guard;
mod ideal;
mod logs;
mod plan;
mod processes;
mod runs;
mod scenarios;
mod tree;
mod verdicts;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use crate::docker::{Means, Result};
use crate::guard::Guard;
use crate::runs::Tree;
use crate::world::Ground;

/// Where there is no engine, or no image.
const NO_ENGINE: u8 = 3;

/// Nodes whose trust the short form looks at.
const SHORT_NODES: usize = 8;

/// Meshes in containers, broken on purpose.
#[derive(Debug, Parser)]
#[command(name = "lab")]
struct Args {
    /// The image of a node.
    #[arg(long, global = true, default_value = "testmesh")]
    image: String,
    /// The first part of all names.
    #[arg(long, global = true, default_value = "testmesh-lab")]
    prefix: String,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How soon machines are there for others, new ones and those that come back.
    Join,
    /// How trust spreads and goes.
    Trust {
        /// How many nodes, one mesh each.
        #[arg(long, value_delimiter = ',', default_value = "8", value_parser = clap::value_parser!(u16).range(3..=64))]
        nodes: Vec<u16>,
        /// Whether changes are announced by gossip.
        #[arg(long, default_value = "both")]
        gossip: Gossip,
    },
    /// Two networks with one machine in both.
    Bridges,
    /// A client that is interrupted.
    Interrupt,
    /// Runs with faults; each seed has its own.
    Faults(Seeds),
    /// What a seed would bring.
    Plan(Seeds),
    /// All of it, shortly.
    Short(Seeds),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Gossip {
    On,
    Off,
    Both,
}

impl Gossip {
    fn ways(self) -> &'static [bool] {
        match self {
            Gossip::On => &[true],
            Gossip::Off => &[false],
            Gossip::Both => &[true, false],
        }
    }
}

#[derive(Debug, Clone, clap::Args)]
struct Seeds {
    /// How many; without it as few as bring every kind of fault.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Keep the logs of clean seeds, too.
    #[arg(long)]
    keep: bool,
    /// Begin no more seeds after so many seconds since the start of the lab; those left then are a failure.
    #[arg(long, default_value_t = 14_400)]
    seconds: u64,
}

impl Seeds {
    fn list(&self) -> Vec<u64> {
        match self.seeds {
            Some(count) => (self.first..).take(usize::try_from(count).unwrap_or(usize::MAX)).collect(),
            None => plan::cover(),
        }
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [argument, whose] = &words[..]
        && argument == guard::ARGUMENT
    {
        return if guard::watch(whose) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let args = Args::parse();
    if let Command::Plan(seeds) = &args.command {
        seeds.list().into_iter().for_each(|seed| println!("seed {seed}: {}", plan::Plan::of(seed)));
        return ExitCode::SUCCESS;
    }
    if let Some(why) = docker::missing() {
        eprintln!("lab: no Docker engine answers, nothing was tried: {why}");
        return ExitCode::from(NO_ENGINE);
    }
    if docker::docker(&["image", "inspect", &args.image]).is_err() {
        eprintln!("lab: no image {}\nhint: docker/images.sh {0} makes it", args.image);
        return ExitCode::from(NO_ENGINE);
    }
    match perform(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked; whether all was as it must be.
fn perform(args: &Args) -> Result<bool> {
    let begun = Instant::now();
    let means = Means::find();
    means.gaps().iter().for_each(|gap| println!("here: {gap}"));
    docker::sweep(&args.prefix)?;
    let whose = format!("{}-{}", args.prefix, std::process::id());
    let ground = Ground { whose, image: args.image.clone(), means, gossip: true };
    let _guard = Guard::over(&ground.whose)?;
    match &args.command {
        Command::Join => scenarios::join(&ground)?,
        Command::Trust { nodes, gossip } => {
            for count in nodes {
                gossip
                    .ways()
                    .iter()
                    .try_for_each(|way| scenarios::trust(&ground, usize::from(*count), *way))?;
            }
        }
        Command::Bridges => scenarios::bridges(&ground, &Tree::new()?)?,
        Command::Interrupt => scenarios::interrupt(&ground, &Tree::new()?)?,
        Command::Faults(seeds) => return faults(&ground, seeds, begun),
        Command::Plan(_) => {}
        Command::Short(seeds) => {
            scenarios::join(&ground)?;
            Gossip::Both.ways().iter().try_for_each(|way| scenarios::trust(&ground, SHORT_NODES, *way))?;
            scenarios::bridges(&ground, &Tree::new()?)?;
            scenarios::interrupt(&ground, &Tree::new()?)?;
            return faults(&ground, seeds, begun);
        }
    }
    Ok(true)
}

fn faults(ground: &Ground, seeds: &Seeds, begun: Instant) -> Result<bool> {
    let wanted = seeds.list();
    println!(
        "\nfaults: {} seeds, a fresh mesh of {} nodes and a client each: {}",
        wanted.len(),
        plan::NODES,
        wanted.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    );
    let tree = Tree::new()?;
    let measure = runs::measure(ground, &tree)?;
    let (cases, work) = (measure.local.cases(), measure.local.work);
    println!(
        "alone: {cases} cases, {work:.1} s of work; on a mesh without faults {:.1} s",
        measure.calm.took
    );
    let (mut clean, mut failed, mut left_out) = (0, Vec::new(), 0);
    for seed in &wanted {
        if begun.elapsed() > Duration::from_secs(seeds.seconds) {
            break;
        }
        let outcome = runs::seed(ground, &tree, &measure, *seed, seeds.keep);
        println!("{}", outcome.line);
        left_out += outcome.left_out;
        outcome.complaints.iter().for_each(|complaint| println!("  {complaint}"));
        if let Some(logs) = &outcome.logs {
            println!("  logs: {}", logs.display());
        }
        if outcome.complaints.is_empty() {
            clean += 1;
            continue;
        }
        // The image of a check may be gone by then.
        println!(
            "  repeat: docker/images.sh && cargo run --locked --example lab -- faults --first {seed} --seeds 1"
        );
        failed.push(seed.to_string());
    }
    let not_run = wanted.len() - clean - failed.len();
    println!("\n{clean} of {} seeds clean in {} s", wanted.len(), begun.elapsed().as_secs());
    if left_out > 0 {
        println!("{left_out} faults were left out: this machine cannot make them");
    }
    if !failed.is_empty() {
        println!("not clean: {}", failed.join(", "));
    }
    if not_run > 0 {
        println!("NOT RUN: the last {not_run} seeds, since {} seconds were over", seeds.seconds);
    }
    Ok(failed.is_empty() && not_run == 0 && clean > 0)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
