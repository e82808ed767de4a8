//! The rules of the mesh between real swarms: over the memory of this process with Noise, two over loopback.

mod admission;
mod blobs;
mod decoding;
mod dialing;
mod golden;
mod gossip;
mod malice;
mod support;
