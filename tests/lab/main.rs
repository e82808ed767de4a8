//! The fault lab: meshes in containers, broken on purpose.
//!
//!   cargo run --example lab -- faults --seeds 100      # a fresh mesh a seed, a run, its faults, all checks
//!   cargo run --example lab -- join | trust --nodes 8,16,32 | bridges
//!   cargo run --example lab -- short                   # all of them, in a few minutes
//!
//! Needs a Docker engine and the image that docker/images.sh makes. Says what this machine cannot do to containers, and
//! leaves it out. Everything it makes carries a label and is removed at the end, also when it is interrupted or killed.
//! Exit codes: 0 all clean, 1 something was not as it must be, 2 mistyped, 3 no Docker engine or image.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod docker;
mod faults;
mod guard;
mod logs;
mod plan;
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
    },
    /// Two networks with one machine in both.
    Bridges,
    /// Runs with faults; each seed has its own.
    Faults(Seeds),
    /// What a seed would bring.
    Plan(Seeds),
    /// All of it, shortly.
    Short(Seeds),
}

#[derive(Debug, Clone, clap::Args)]
struct Seeds {
    /// How many.
    #[arg(long, default_value_t = 13)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Keep the logs of clean seeds, too.
    #[arg(long)]
    keep: bool,
    /// Begin no more seeds after so many minutes.
    #[arg(long, default_value_t = 240)]
    minutes: u64,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [argument, whose] = &words[..]
        && argument == guard::ARGUMENT
    {
        guard::watch(whose);
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    if let Command::Plan(seeds) = &args.command {
        (seeds.first..)
            .take(number(seeds.seeds))
            .for_each(|seed| println!("seed {seed}: {}", plan::Plan::of(seed)));
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
    let means = Means::find();
    means.gaps().iter().for_each(|gap| println!("here: {gap}"));
    let ground =
        Ground { whose: format!("{}-{}", args.prefix, std::process::id()), image: args.image.clone(), means };
    let _guard = Guard::over(&ground.whose)?;
    match &args.command {
        Command::Join => scenarios::join(&ground)?,
        Command::Trust { nodes } => {
            nodes.iter().try_for_each(|count| scenarios::trust(&ground, usize::from(*count)))?;
        }
        Command::Bridges => scenarios::bridges(&ground, &Tree::new()?)?,
        Command::Faults(seeds) => return faults(&ground, args, seeds),
        Command::Plan(_) => {}
        Command::Short(seeds) => {
            scenarios::join(&ground)?;
            scenarios::trust(&ground, 8)?;
            scenarios::bridges(&ground, &Tree::new()?)?;
            return faults(&ground, args, seeds);
        }
    }
    Ok(true)
}

fn faults(ground: &Ground, args: &Args, seeds: &Seeds) -> Result<bool> {
    println!(
        "\nfaults: {} seeds from {}, a fresh mesh of {} nodes and a client each",
        seeds.seeds,
        seeds.first,
        plan::NODES
    );
    let begun = Instant::now();
    let tree = Tree::new()?;
    let measure = runs::measure(ground, &tree)?;
    let (cases, work) = (measure.local.cases(), measure.local.work);
    println!("alone: {cases} cases, {work:.1} s of work; on the mesh without faults {:.1} s", measure.calm);
    let limit = Duration::from_secs(seeds.minutes * 60);
    let (mut clean, mut failed, mut left_out, mut in_time) = (0, Vec::new(), 0, 0);
    for seed in (seeds.first..).take(number(seeds.seeds)) {
        if begun.elapsed() > limit {
            println!("no more seeds after {} minutes", seeds.minutes);
            break;
        }
        let outcome = runs::seed(ground, &tree, &measure, seed, seeds.keep)?;
        println!("{}", outcome.line);
        left_out += outcome.left_out;
        in_time += usize::from(outcome.in_time);
        outcome.complaints.iter().for_each(|complaint| println!("  {complaint}"));
        if let Some(logs) = &outcome.logs {
            println!("  logs: {}", runs::keep(seed, logs)?.display());
        }
        if outcome.complaints.is_empty() {
            clean += 1;
            continue;
        }
        let repeat =
            format!("faults --first {seed} --seeds 1 --image {} --prefix {}", args.image, args.prefix);
        println!("  repeat: cargo run --example lab -- {repeat}");
        failed.push(seed.to_string());
    }
    let seconds = begun.elapsed().as_secs();
    let all = clean + failed.len();
    println!("\n{clean} of {all} seeds clean in {seconds} s");
    println!("{in_time} of {all} within the time without faults and 3 s a loss (told, not asked for)");
    if left_out > 0 {
        println!("{left_out} faults were left out: this machine cannot make them");
    }
    if !failed.is_empty() {
        println!("not clean: {}", failed.join(", "));
    }
    Ok(failed.is_empty() && clean > 0)
}

fn number(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
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
