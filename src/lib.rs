#![doc = include_str!("ARCHITECTURE.md")]

pub mod job;

pub mod frontend;
pub mod verdict;

pub mod blobs;

pub mod backend;
pub mod schedule;
pub mod worker;

pub mod local;
pub mod node;

pub mod run;

pub mod report;

pub mod engine;
pub mod sample;

pub mod cli;
