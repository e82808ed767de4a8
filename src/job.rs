//! The shared vocabulary of client, node and mesh: what a job is and what became of it. Re-exports only.

pub use testmesh_behaviours::work::wire::{
    Arg, Captured, Exit, Job, JobId, Ladder, Limits, Output, Root, RootedPath, Status,
};
