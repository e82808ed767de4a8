//! Who asks whom for which blob, and what the asked one answers. PURE: input and now in, outputs out.
//!
//! [`Exchange`] is the end that lacks blobs, [`Offers`] the end that has them. Every node that needs the same shell
//! asks the submitter for different pieces first; the submitter gives each piece to one of them and names that one to
//! the others, so that little more than one copy leaves it. Nothing depends on it: who finds no other holder insists
//! and is served.
//!
//! A driver opens the streams, moves the bytes (see [`super::transfer`]) and reports; it decides nothing.

mod idle;
mod offers;
mod peer;
mod piece;
mod state;
mod types;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;

pub use offers::{Decision, Offers};
pub use state::{BATCH_BYTES, Exchange, TRANSFERS_MAX};
pub use types::{Input, NeedId, Outcome, Output, TransferId};
