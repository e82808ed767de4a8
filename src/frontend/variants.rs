//! Variant tables of the tree under test.
