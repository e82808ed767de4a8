//! RUNS one job. The same code on the client and on every node; knows nothing of tests, verdicts or who asked.
