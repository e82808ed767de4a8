//! WHICH tests run, with which command lines and expectations.
//!
//! Reads the checkout and the build directory; writes nothing; knows nothing of workers, peers or terminals.

pub mod dialect;

pub mod build;
pub mod features;
pub mod hashed;
pub mod properties;
pub mod python;
pub mod runner;
pub mod status;
pub mod variants;
pub mod words;

pub mod discover;

pub mod select;

pub mod lower;
