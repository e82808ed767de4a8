//! The integration tests: one binary, a module an area.

/// Real processes through real slots: what a job may do, and what is left of it.
mod backend;
