//! The Status role: who is there, whom it trusts, how busy it is.
//!
//! `hello` is what strangers may say, `wire` what only trusted peers may.

pub mod hello;
pub mod wire;
