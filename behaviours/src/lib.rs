//! What is said on the mesh: the wire types of every role.
//!
//! This crate knows jobs, never tests, expectations or verdicts.

pub mod work;
