//! The node: a pure state machine, and a driver that performs what it decides.

pub mod answers;
pub mod batches;
pub mod clients;
pub mod driver;
pub mod event;
mod exchange;
pub mod files;
pub mod inbound;
pub mod keep;
pub mod link;
pub mod machine;
pub mod outbound;
pub mod pace;
pub mod peers;
pub mod permits;
pub mod settings;
pub mod start;
pub mod state;
pub mod supplies;
pub mod trial;
pub mod trust;
