//! Engines that can stand in for a build's d8: Node.js through a prelude, and the embedded one.
