//! Which cases run now, and since when. Pure bookkeeping over events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::run::event::{CaseInfo, RunEvent};

/// The cases between their start and their end.
#[derive(Debug, Default)]
pub(crate) struct Running {
    cases: BTreeMap<(u32, u32), (Arc<CaseInfo>, Duration)>,
}

impl Running {
    /// Follows an event.
    pub(crate) fn follow(&mut self, event: &RunEvent) {
        match event {
            RunEvent::CaseStarted { case, run, at } => {
                self.cases.insert((case.index, *run), (case.clone(), *at));
            }
            RunEvent::CaseFinished { finished, .. } => {
                self.cases.remove(&(finished.case.index, finished.run));
            }
            RunEvent::Started(_) | RunEvent::Ended(_) => self.cases.clear(),
            RunEvent::Tick { .. }
            | RunEvent::Machines { .. }
            | RunEvent::Notice(_)
            | RunEvent::Stopping(_) => {}
        }
    }

    /// The running cases with the time of their start, longest-running first.
    pub(crate) fn oldest(&self) -> Vec<(&CaseInfo, Duration)> {
        let mut cases: Vec<_> = self.cases.values().map(|(case, start)| (&**case, *start)).collect();
        cases.sort_by_key(|(_, start)| *start);
        cases
    }
}
