//! Which worker gets which job, and when.
//!
//! [`dispatch`] decides for a run (in the client), [`slots`] for a machine (in the node). Both are pure: inputs with a
//! time on them go in, actions come out; the same inputs give the same actions. Times are durations since an origin
//! that the caller chooses once and keeps: the start of the run, the start of the node.

pub mod dispatch;
pub mod slots;
