//! Replies of the node as text for people: pure functions, a file a listing.
//!
//! Every name, label, note and address from outside passes [`words`], so that it is shown and never obeyed. Nothing
//! is asked or decided here.

pub(super) mod words;

mod table;

pub(super) mod change;
pub(super) mod next;
pub(super) mod peers;
pub(super) mod status;
pub(super) mod trust;
pub(super) mod why;
