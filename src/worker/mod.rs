//! The layer between a run and the backend: a worker is a local slot, later also a peer.

pub mod local;
