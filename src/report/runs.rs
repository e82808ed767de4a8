//! The runs of one case, put together once its last run ended.
//!
//! Input: finished runs in order. Output: settled cases, in the order of their last runs. Invariant: every run is in
//! exactly one settled case. Cases whose rerun never came back are settled when the run ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::run::event::Finished;

/// Collects the runs of cases that run again.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    open: BTreeMap<u32, Vec<Arc<Finished>>>,
}

/// A case with all its runs.
#[derive(Debug)]
pub(crate) struct Settled {
    earlier: Vec<Arc<Finished>>,
    last: Arc<Finished>,
}

impl Runs {
    /// Takes a run; the case if it was its last.
    pub(crate) fn settle(&mut self, finished: &Arc<Finished>) -> Option<Settled> {
        let index = finished.case.index;
        if finished.reruns {
            self.open.entry(index).or_default().push(finished.clone());
            return None;
        }
        let earlier = self.open.remove(&index).unwrap_or_default();
        Some(Settled { earlier, last: finished.clone() })
    }

    /// The cases whose next run will not come any more.
    pub(crate) fn abandon(&mut self) -> Vec<Settled> {
        let open = std::mem::take(&mut self.open).into_values();
        open.filter_map(|mut runs| runs.pop().map(|last| Settled { earlier: runs, last })).collect()
    }
}

impl Settled {
    /// A run on its own.
    pub(crate) fn single(run: &Arc<Finished>) -> Self {
        Settled { earlier: Vec::new(), last: run.clone() }
    }

    /// The run that counts.
    pub(crate) fn last(&self) -> &Arc<Finished> {
        &self.last
    }

    /// The first run.
    pub(crate) fn first(&self) -> &Arc<Finished> {
        self.earlier.first().unwrap_or(&self.last)
    }

    /// Every run, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Finished>> {
        self.earlier.iter().chain([&self.last])
    }

    /// Whether it ran more than once.
    pub(crate) fn is_rerun(&self) -> bool {
        !self.earlier.is_empty()
    }
}
