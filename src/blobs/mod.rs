//! Everything a job reads, by content: what to ship, how it is named, kept, found and moved.
//!
//! On the submitting machine [`scan()`](scan::scan) turns a directory into a [`Manifest`]: many small files travel as
//! packs, large ones as content-defined chunks, and all of these are blobs in a [`Store`], named by their BLAKE3 hash.
//! A worker fetches the manifest, then what its store lacks; [`Exchange`] decides what to ask of whom and [`Offers`]
//! what to answer, both without I/O; [`transfer`] moves the bytes over any stream. `backend::Workspaces` makes a
//! directory out of a manifest.
//!
//! Nothing here knows jobs, tests or trust. What comes from a peer is checked before it is believed: names, lengths,
//! hashes.

pub mod id;
pub mod manifest;
pub mod pack;
pub mod path;

pub mod scan;

pub mod store;

pub mod exchange;
pub mod transfer;
pub use testmesh_behaviours::blobs::wire;

pub use exchange::{Exchange, Offers};
pub use id::{BlobId, hash};
pub use manifest::{Chunk, LargeFile, Manifest, ManifestError, PackRef};
pub use scan::{Scanned, Selection, scan};
pub use store::{Store, StoreConfig, StoreError};
