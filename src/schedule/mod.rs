//! Which worker gets which job, and when.
