//! Tasks that wait for a worker, in the order they are to start: what came back first, then the longest.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Bound;

use super::types::TaskId;

/// Entries of a lane that are looked at before it is taken to hold nothing for a worker. More than the workers that one
/// task may have to avoid.
const LOOK: usize = 24;

/// Which workers may take a task: two properties, four lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) local_only: bool,
    pub(super) heavy: bool,
}

impl Lane {
    fn index(self) -> usize {
        usize::from(self.local_only) * 2 + usize::from(self.heavy)
    }
}

/// The place of a task in its lane; the smallest starts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// 0 for what came back or is urgent, 1 for the rest.
    class: u8,
    weight: Reverse<u64>,
    task: TaskId,
}

impl Place {
    pub(super) fn new(first: bool, weight: u64, task: TaskId) -> Self {
        Place { class: u8::from(!first), weight: Reverse(weight), task }
    }
}

/// All lanes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    lanes: [BTreeSet<Place>; 4],
}

impl Pending {
    pub(super) fn insert(&mut self, lane: Lane, place: Place) {
        self.lane_mut(lane).insert(place);
    }

    pub(super) fn remove(&mut self, lane: Lane, place: &Place) {
        self.lane_mut(lane).remove(place);
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut BTreeSet<Place> {
        &mut self.lanes[lane.index()]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(BTreeSet::is_empty)
    }

    /// All tasks of both lanes with this bound to the machine.
    pub(super) fn tasks(&self, local_only: bool) -> Vec<TaskId> {
        let light = Lane { local_only, heavy: false }.index();
        self.lanes[light..=light + 1].iter().flatten().map(|place| place.task).collect()
    }

    /// The first task of these lanes that weighs at most `cap` and that `fits`.
    pub(super) fn first(
        &self,
        lanes: impl Iterator<Item = Lane>,
        cap: u64,
        fits: impl Fn(TaskId) -> bool,
    ) -> Option<TaskId> {
        let best = lanes.filter_map(|lane| self.first_of(lane, cap, &fits)).min()?;
        Some(best.task)
    }

    fn first_of(&self, lane: Lane, cap: u64, fits: &impl Fn(TaskId) -> bool) -> Option<Place> {
        let places = &self.lanes[lane.index()];
        let of_class = |class| {
            let from = Place { class, weight: Reverse(cap), task: TaskId(0) };
            let to = Place { class: class + 1, weight: Reverse(u64::MAX), task: TaskId(0) };
            places.range((Bound::Included(from), Bound::Excluded(to))).take(LOOK)
        };
        of_class(0).chain(of_class(1)).find(|place| fits(place.task)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIGHT: Lane = Lane { local_only: false, heavy: false };
    const HEAVY: Lane = Lane { local_only: false, heavy: true };

    fn pending() -> Pending {
        let mut pending = Pending::default();
        for (task, first, weight) in [(0, false, 5), (1, false, 9), (2, true, 1), (3, false, 9), (4, true, 7)]
        {
            pending.insert(LIGHT, Place::new(first, weight, TaskId(task)));
        }
        pending.insert(HEAVY, Place::new(false, 20, TaskId(5)));
        pending
    }

    fn order(pending: &mut Pending, lanes: &[Lane], cap: u64) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some(task) = pending.first(lanes.iter().copied(), cap, |task| !taken.contains(&task.0)) {
            taken.push(task.0);
        }
        taken
    }

    #[test]
    fn what_came_back_goes_first_then_the_longest_then_the_earliest() {
        assert_eq!(order(&mut pending(), &[LIGHT], u64::MAX), [4, 2, 1, 3, 0]);
        assert_eq!(order(&mut pending(), &[LIGHT, HEAVY], u64::MAX), [4, 2, 5, 1, 3, 0]);
    }

    #[test]
    fn a_cap_leaves_out_what_is_longer() {
        assert_eq!(order(&mut pending(), &[LIGHT, HEAVY], 6), [2, 0]);
        assert_eq!(order(&mut pending(), &[LIGHT, HEAVY], 0), [] as [u32; 0]);
    }
}
