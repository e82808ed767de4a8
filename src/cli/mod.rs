//! Arguments, words and exit codes of the programs.
