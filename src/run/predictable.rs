//! Predictable mode of 2015/6.2: a test passes if three runs allocate alike (reference §5.10).
//!
//! Pure; remembers one line a running case.

use std::collections::BTreeMap;

use crate::job::{Exit, Output};

/// The last allocation lines of cases under way.
#[derive(Debug, Default)]
pub struct Allocations {
    lines: BTreeMap<u32, String>,
    printed: bool,
}

impl Allocations {
    /// Takes a run of a case; none if it must run again, else whether its runs differed (or the first timed out).
    pub fn compare(&mut self, case: u32, run: u32, output: &Output) -> Option<bool> {
        let line = allocation_line(output);
        self.printed |= run > 1 && !line.is_empty();
        let before = self.lines.insert(case, line.clone());
        let verdict = match before {
            None => matches!(output.exit, Exit::TimedOut(_)).then_some(true),
            Some(before) if before != line => Some(true),
            Some(_) => (run >= 3).then_some(false),
        };
        if verdict.is_some() {
            self.lines.remove(&case);
        }
        verdict
    }
}

impl Allocations {
    /// Whether any comparison saw an allocation line. V8 fails a run in which none did: nothing was compared.
    pub fn any_printed(&self) -> bool {
        self.printed
    }
}

fn allocation_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout.bytes);
    text.lines().rev().find(|line| line.starts_with("### Allocations = ")).unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Captured, Status};
    use std::time::Duration;

    fn output(text: &str, exit: Exit) -> Output {
        let stdout = Captured { bytes: text.as_bytes().to_vec(), dropped: 0 };
        Output { exit, stdout, stderr: Captured::default(), duration: Duration::ZERO, max_rss: 0 }
    }

    fn allocated(count: u32) -> Output {
        output(&format!("x\n### Allocations = {count}\ny\n"), Exit::Ended(Status::Code(0)))
    }

    #[test]
    fn three_equal_runs_pass_and_a_difference_fails_at_once() {
        let mut allocations = Allocations::default();
        assert_eq!(allocations.compare(0, 1, &allocated(5)), None);
        assert_eq!(allocations.compare(1, 1, &allocated(6)), None);
        assert_eq!(allocations.compare(0, 2, &allocated(5)), None);
        assert_eq!(allocations.compare(1, 2, &allocated(7)), Some(true));
        assert_eq!(allocations.compare(0, 3, &allocated(5)), Some(false));
    }

    #[test]
    fn what_prints_nothing_is_equal_and_is_known_to_have_printed_nothing() {
        let mut allocations = Allocations::default();
        let silent = output("x\n", Exit::Ended(Status::Code(0)));
        for (run, verdict) in [(1, None), (2, None), (3, Some(false))] {
            assert_eq!(allocations.compare(0, run, &silent), verdict);
        }
        assert!(!allocations.any_printed());
        allocations.compare(1, 1, &allocated(5));
        allocations.compare(1, 2, &allocated(5));
        assert!(allocations.any_printed());
    }

    #[test]
    fn a_first_run_out_of_time_fails() {
        let late = output("", Exit::TimedOut(Status::Signal(9)));
        assert_eq!(Allocations::default().compare(0, 1, &late), Some(true));
    }
}
