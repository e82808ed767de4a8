//! Who am I, and whom do I trust.
//!
//! This crate never names a network, a socket or an async runtime.
