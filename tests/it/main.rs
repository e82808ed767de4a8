//! The integration tests: one binary, a module an area.

/// Running the real program.
mod support;

/// Real processes through real slots: what a job may do, and what is left of it.
mod backend;
/// Trusted peers that do not keep to the protocol.
mod byzantine;
/// `meshctl` against real nodes.
mod ctl;
/// Old eras: small trees with the layout and words of 2015 and 6.2.
mod eras;
/// Runs over peers that answer wrongly.
mod liar;
/// Runs over several real nodes, some of which die.
mod mesh_run;
/// The sample tree against its model, on the embedded engine and on Node.js; errors and exit codes.
mod sample;
/// The dispatcher and the slots in a simulated world.
mod sim;
/// Rules of the house, checked on the sources.
mod tidy;
/// Whole nodes in a simulated network: how trust spreads, and that it goes.
mod trust;
