//! What is said on the mesh and how it reaches the swarm.
//!
//! This crate knows jobs, never tests, expectations or verdicts. It reads no files, starts no processes and prints
//! nothing; statements, results and blobs are opaque bytes to it, and whom to trust is told from outside.
//!
//! # The handle
//!
//! A node owns one [`network::Network`] and awaits [`network::Network::next`] in its loop; everything else returns at
//! once and has its outcome as an [`event::Event`].
//!
//! ```no_run
//! use testmesh_behaviours::event::Event;
//! use testmesh_behaviours::network::{Network, NetworkConfig, StartError};
//!
//! # async fn run(secret: [u8; 32]) -> Result<(), StartError> {
//! let mut config = NetworkConfig::new(secret, "lab");
//! config.local = true;
//! config.mdns = true;
//! let mut network = Network::new(config)?;
//! loop {
//!     match network.next().await {
//!         Event::Connected { peer, .. } => { /* network.say_hello(peer, ..) */ }
//!         Event::Hello { reply, .. } => { /* network.answer_hello(reply, ..) */ }
//!         _ => {}
//!     }
//! }
//! # }
//! ```
//!
//! | to | call | outcome |
//! |---|---|---|
//! | change trust | `admit`, `expel`, `block`, `unblock` | at once, also on live connections |
//! | reach somebody | `dial`, `remember`, fixed addresses, multicast | `Connected`, `DialFailed` |
//! | introduce oneself | `say_hello`, `answer_hello` | `Hello`, `HelloAnswer` |
//! | reconcile, tell load | `ask_status`, `answer_status` | `Status`, `StatusAnswer` |
//! | run jobs | `send_work`, `answer_work` | `Work`, `WorkAnswer` |
//! | move content | `open_blob` (a future) | `BlobStream` at the other side |
//! | announce | `announce`, `judge_gossip` | `Gossip` |
//! | see | `peers`, `listen_addresses`, `addresses_of` | |
//! | end | `shutdown` | `Hello` with `Goodbye` at the peers |
//!
//! A request that cannot be answered ends in `RequestFailed` with a [`event::Failure`]; its id is never used again.
//! Beyond a bounded number of requests to one peer further ones wait, then fail as `Busy`.
//!
//! # Protocols
//!
//! TCP, Noise and yamux only. QUIC was measured on a LAN: half the throughput, twice the CPU a byte, twice the size
//! of the program. The mesh name is part of the handshake, so meshes on one LAN do not meet.
//!
//! | protocol | for | request / response at most | streams a connection | in all |
//! |---|---|---|---|---|
//! | `/testmesh/hello/1` | anybody connected | 16 KiB / 16 KiB | 4 | 5 s |
//! | identify, ping | anybody connected | 4 KiB; 32 bytes | 1 | two missed pings close |
//! | `/testmesh/status/2` | trusted | 512 KiB / 1 MiB | 16 | 10 s |
//! | `/testmesh/work/1` | trusted | 1 MiB + 64 KiB / 256 KiB | 32 | 20 s |
//! | `/testmesh/blob/1` | trusted | frames of 1 KiB, then raw bytes | 64 each way | no limit |
//! | gossipsub `testmesh/statements/1` | both trust each other | 32 KiB | 1 each way | judged within 10 s |
//!
//! "Trusted" is this node's view of the asking peer: an asker that is not trusted finds the protocol unsupported
//! ([`event::Failure::NotAdmitted`]) and none of its bytes is read. Messages are CBOR; byte payloads are byte strings;
//! every name carries its version and every message has golden bytes (`tests/it/golden.txt`).
//!
//! # Who may connect
//!
//! Strangers: 16 connections in all, 4 from one address, 10 s without a hello, 60 s at most
//! ([`admission`]). All peers: 3 connections each, 320 in all of which 256 incoming, 64 handshakes under way of which
//! half from one address ([`mesh`]), so strangers never take the room of trusted peers. Multicast records are hints:
//! only of own subnets, 256 addresses, 4 a peer, 4 dials of strangers a second ([`discovery`]).

pub mod address;
pub mod admission;
mod alarm;
pub mod blobs;
pub mod check;
pub mod discovery;
pub mod event;
pub mod gossip;
pub mod id;
pub mod mesh;
pub mod network;
pub mod status;
pub mod work;

pub use libp2p::{Multiaddr, PeerId};
