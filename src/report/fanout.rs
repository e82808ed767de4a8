//! Several sinks as one: the failure of one is kept, told once at the end, and stops no other.

use std::io;

use super::Sink;
use crate::run::event::RunEvent;

/// Sinks in the order in which they hear of events.
#[derive(Default)]
pub(crate) struct Fanout {
    sinks: Vec<Box<dyn Sink + Send>>,
    errors: Vec<io::Error>,
}

impl Fanout {
    /// Adds a sink behind the others.
    pub(crate) fn add(&mut self, sink: impl Sink + Send + 'static) {
        self.sinks.push(Box::new(sink));
    }

    /// The errors so far as one.
    fn told(&mut self) -> io::Result<()> {
        let errors = std::mem::take(&mut self.errors);
        let Some(kind) = errors.first().map(io::Error::kind) else { return Ok(()) };
        let words: Vec<String> = errors.iter().map(chain).collect();
        Err(io::Error::new(kind, words.join("; ")))
    }
}

impl Sink for Fanout {
    fn event(&mut self, event: &RunEvent) -> io::Result<()> {
        let errors = &mut self.errors;
        self.sinks.retain_mut(|sink| match sink.event(event) {
            Ok(()) => true,
            Err(error) => {
                errors.push(error);
                false
            }
        });
        if matches!(event, RunEvent::Ended(_)) { self.told() } else { Ok(()) }
    }
}

/// An error with its causes on one line: the joined error has no place for them.
fn chain(error: &io::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.get_ref().and_then(|inner| inner.source());
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::report::fixture::{case, pass, story};
    use crate::report::{FileError, ReportFile};

    /// Counts events and fails at one of them.
    struct Fails(usize, Arc<Mutex<usize>>);

    impl Sink for Fails {
        fn event(&mut self, _: &RunEvent) -> io::Result<()> {
            let mut count = self.1.lock().unwrap();
            *count += 1;
            if *count == self.0 { Err(io::Error::other("no more")) } else { Ok(()) }
        }
    }

    /// Fails as a report on a full disk does.
    struct Full(ReportFile);

    impl Sink for Full {
        fn event(&mut self, event: &RunEvent) -> io::Result<()> {
            let full: Result<(), FileError> =
                if matches!(event, RunEvent::Ended(_)) { self.0.replace(b"x") } else { Ok(()) };
            full.map_err(io::Error::other)
        }
    }

    #[test]
    fn one_failure_stops_no_other_sink_and_is_told_at_the_end() {
        let [bad, good] = [(); 2].map(|()| Arc::new(Mutex::new(0)));
        let mut fanout = Fanout::default();
        fanout.add(Fails(2, bad.clone()));
        fanout.add(Fails(usize::MAX, good.clone()));
        fanout.add(Full(ReportFile::open(std::path::Path::new("/dev/full")).unwrap()));
        let events = story(vec![pass(case(0, "a/b"))]);
        let (end, before) = events.split_last().unwrap();
        before.iter().for_each(|event| fanout.event(event).unwrap());
        let error = fanout.event(end).unwrap_err().to_string();
        let (before, rest) = error.split_once("which is in ").unwrap();
        let (saved, after) = rest.split_once(" now").unwrap();
        assert_eq!(before, "no more; cannot write the report /dev/full, ");
        assert_eq!(after, ": No space left on device (os error 28)");
        assert_eq!(std::fs::read(saved).unwrap(), b"x");
        std::fs::remove_file(saved).unwrap();
        assert_eq!((*bad.lock().unwrap(), *good.lock().unwrap()), (2, events.len()));
        fanout.event(end).unwrap();
    }
}
