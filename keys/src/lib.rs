//! Who am I, and whom do I trust.
//!
//! This crate never names a network, a socket or an async runtime, never reads a clock (every call that needs one
//! takes `now` in unix seconds) and touches the disk in [`store`] only.
//!
//! # The parts
//!
//! | module | what it is |
//! |---|---|
//! | [`key`] | a public key as text, words and peer id |
//! | [`rights`] | what a trusted key may do: submit work, do work |
//! | [`identity`] | the key pair of this node, in memory |
//! | [`keyfile`] | a public key as a file that people send to each other |
//! | [`allowlist`], [`policy`] | what the owner of this machine decided, as text that keeps comments |
//! | [`statement`] | the three signed statements: `Vouches`, `Deny`, `Retire` |
//! | [`set`] | all statements known here: a join-semilattice |
//! | [`closure`] | PURE: roots + policy + set + now -> who is trusted, by which path |
//! | [`keyring`] | PURE façade of the node's state machine: command or statement + now -> [`keyring::Change`] |
//! | [`audit`] | the chained lines of the audit log |
//! | [`retirement`] | the certificate that ends a key, as a file |
//! | [`store`] | the files of a node's home |
//!
//! # How a node uses it
//!
//! ```text
//! store::setup(home)                          once: key, retire.cert, empty lists
//! store::open(home, now) -> Opened { store, keyring, report }, then keyring.tick(now)
//! keyring.approve(..) | forget | revoke | receive | tick | reload -> Change
//!     store.persist(&change, &keyring)?       first: an error leaves the files as they were
//!     announce(change.publish)                then
//!     admit(change.gained), expel(change.lost)  in the same turn
//! keyring.decision().rights(&peer)            at every offer of work
//! keyring.next_tick()                         when to call tick again at the latest
//! store.note(&[AuditEvent::Node { .. }], now)  jobs, pairings, kills
//! ```
//! Where `persist` fails after a *command*, put back the clone of the keyring taken before it: then nothing changed.
//! After `receive` or `tick` the change may stay: what arrived holds in memory and is fetched again after a restart.
//!
//! Pairwise reconciliation: compare [`keyring::Keyring::digest`]; where it differs page through
//! [`keyring::Keyring::listing`], ask the peer for what [`keyring::Keyring::wanted`] names, answer with
//! [`keyring::Keyring::give`], and repeat while something was new, because a snapshot may widen what is wanted.
//! Two nodes may hold different sets for good (each stores the snapshots of its own universe), so remember the pair
//! of digests after which nothing was wanted.

pub mod allowlist;
pub mod audit;
pub mod closure;
pub mod identity;
pub mod key;
pub mod keyfile;
pub mod keyring;
pub mod policy;
pub mod retirement;
pub mod rights;
pub mod set;
pub mod statement;
pub mod store;
mod text;
