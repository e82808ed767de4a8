//! One run, from cases to summary.
//!
//! The session decides, the driver awaits and performs, the events tell.

pub mod event;
pub mod session;

pub mod describe;
pub mod history;
pub mod peers;
pub mod predictable;

pub mod driver;
