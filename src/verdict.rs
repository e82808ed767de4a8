//! The only judge: check + output -> what happened. Pure; never reads a file, a clock or a process.
