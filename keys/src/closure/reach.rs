//! Reachability over numbered keys: the universe, and who is trusted for one right.
//!
//! Pure helpers of the closure. Numbers come from the set's graph and mean nothing outside one decision; wherever an
//! order shows in the result, keys are compared.

use std::collections::BTreeMap;

use crate::closure::{Hop, Inputs, MAX_DEPTH, MAX_UNIVERSE};
use crate::key::PublicKey;
use crate::rights::Rights;
use crate::set::{Edge, Graph};

/// Depth left of a key that was not reached.
const UNREACHED: i8 = -1;
/// Who vouches for a root.
const OWNER: u32 = u32::MAX;

/// Numbers for this decision: the graph's, and roots nobody vouches for behind them.
pub(super) struct Seeds<'a> {
    graph: &'a Graph,
    beyond: Vec<PublicKey>,
    /// In order of keys; never this node.
    roots: Vec<(u32, u8, Rights)>,
    me: Option<u32>,
}

impl<'a> Seeds<'a> {
    pub(super) fn new(inputs: &Inputs<'a>) -> Self {
        let graph = inputs.set.graph();
        let mut seeds = Self { graph, beyond: Vec::new(), roots: Vec::new(), me: graph.number(&inputs.me) };
        for (key, grant) in inputs.roots.iter().filter(|(key, _)| **key != inputs.me) {
            let at = graph.number(key).unwrap_or_else(|| seeds.push(*key));
            seeds.roots.push((at, grant.depth.min(MAX_DEPTH), grant.rights));
        }
        seeds
    }

    fn push(&mut self, key: PublicKey) -> u32 {
        self.beyond.push(key);
        u32::try_from(self.graph.keys().len() + self.beyond.len() - 1).unwrap_or(OWNER)
    }

    fn len(&self) -> usize {
        self.graph.keys().len() + self.beyond.len()
    }

    fn key(&self, at: u32) -> Option<&PublicKey> {
        let keys = self.graph.keys();
        keys.get(at as usize).or_else(|| self.beyond.get((at as usize).checked_sub(keys.len())?))
    }

    fn edges(&self, at: u32) -> &[Edge] {
        self.graph.node_at(at).map(|node| node.edges.as_slice()).unwrap_or_default()
    }
}

/// Depth left by number.
pub(super) struct Field {
    left: Vec<i8>,
    order: Vec<u32>,
    pub(super) overflow: bool,
}

impl Field {
    fn get(&self, at: u32) -> i8 {
        self.left.get(at as usize).copied().unwrap_or(UNREACHED)
    }

    /// What is left at a key, if it is reached through the graph or as a root.
    pub(super) fn depth_left(&self, inputs: &Inputs<'_>, key: &PublicKey) -> Option<u8> {
        match inputs.set.graph().number(key) {
            Some(at) => u8::try_from(self.get(at)).ok(),
            None if *key == inputs.me => None,
            None => inputs.roots.get(key).map(|grant| grant.depth.min(MAX_DEPTH)),
        }
    }

    /// Every number reached.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.order.iter().copied()
    }

    pub(super) fn reached(&self, seeds: &Seeds<'_>) -> BTreeMap<PublicKey, u8> {
        let each = self.order.iter();
        each.filter_map(|at| Some((*seeds.key(*at)?, u8::try_from(self.get(*at)).ok()?))).collect()
    }
}

/// What one entry passes on: one hop less, and no more than it says.
fn passed_on(left: i8, edge: &Edge) -> i8 {
    (left - 1).min(i8::try_from(edge.depth).unwrap_or(i8::MAX))
}

/// Stratum 0. Layer by layer, so that where there is no room for all, the nearest are in: by (distance, key).
pub(super) fn universe(seeds: &Seeds<'_>) -> Field {
    let mut field = Field { left: vec![UNREACHED; seeds.len()], order: Vec::new(), overflow: false };
    let mut layer: Vec<(u32, i8)> = Vec::new();
    for (at, depth, _) in &seeds.roots {
        let left = i8::try_from(*depth).unwrap_or(i8::MAX);
        set(&mut field.left, *at, left);
        field.order.push(*at);
        layer.push((*at, left));
    }
    while !layer.is_empty() {
        layer = next_layer(seeds, &mut field, &layer);
    }
    field
}

/// Who is new or has more depth left after one more hop from `layer`.
fn next_layer(seeds: &Seeds<'_>, field: &mut Field, layer: &[(u32, i8)]) -> Vec<(u32, i8)> {
    let mut improved: Vec<u32> = Vec::new();
    let mut fresh: BTreeMap<u32, i8> = BTreeMap::new();
    for (from, left) in layer.iter().filter(|(_, left)| *left > 0) {
        for edge in seeds.edges(*from).iter().filter(|edge| Some(edge.to) != seeds.me) {
            let passed = passed_on(*left, edge);
            let held = field.get(edge.to);
            if held == UNREACHED {
                let best = fresh.entry(edge.to).or_insert(passed);
                *best = passed.max(*best);
            } else if passed > held {
                set(&mut field.left, edge.to, passed);
                improved.push(edge.to);
            }
        }
    }
    improved.sort_unstable();
    improved.dedup();
    improved.extend(admit(seeds, field, &fresh));
    improved.into_iter().map(|at| (at, field.get(at))).collect()
}

/// Takes new keys in, in order of keys, while there is room.
fn admit(seeds: &Seeds<'_>, field: &mut Field, fresh: &BTreeMap<u32, i8>) -> Vec<u32> {
    let mut admitted: Vec<u32> = fresh.keys().copied().collect();
    admitted.sort_unstable_by_key(|at| seeds.key(*at));
    let room = MAX_UNIVERSE.saturating_sub(field.order.len());
    if admitted.len() > room {
        field.overflow = true;
        admitted.truncate(room);
    }
    for at in &admitted {
        set(&mut field.left, *at, fresh.get(at).copied().unwrap_or(UNREACHED));
    }
    field.order.extend(&admitted);
    admitted
}

/// Which numbers may be on a path at all: in the universe and not dead.
pub(super) fn alive(seeds: &Seeds<'_>, universe: &Field, dead: impl Fn(&PublicKey) -> bool) -> Vec<bool> {
    let mut alive = vec![false; seeds.len()];
    for at in universe.numbers() {
        if let (Some(place), Some(key)) = (alive.get_mut(at as usize), seeds.key(at)) {
            *place = !dead(key);
        }
    }
    alive
}

/// Stratum 4 for one right: the last hop of the best path to every trusted key.
///
/// Depth shrinks at every hop, so keys are final level by level from the top. Of paths that leave the same depth the
/// one whose last voucher has more depth left wins, then the one with the smaller voucher's key.
pub(super) fn trusted(
    inputs: &Inputs<'_>,
    seeds: &Seeds<'_>,
    alive: &[bool],
    right: Rights,
    now: u64,
) -> BTreeMap<PublicKey, Hop> {
    let mut walk = Walk::new(seeds.len());
    let is_alive = |at: u32| alive.get(at as usize).copied().unwrap_or(false);
    for (at, depth, rights) in &seeds.roots {
        if is_alive(*at) && rights.contains(right) {
            walk.offer(*at, i8::try_from(*depth).unwrap_or(0), OWNER);
        }
    }
    for level in (1..=MAX_DEPTH).rev() {
        let left = i8::try_from(level).unwrap_or(0);
        for from in walk.settled(left, seeds) {
            let Some(node) = inputs.set.graph().node_at(from).filter(|node| node.not_after >= now) else {
                continue;
            };
            for edge in &node.edges {
                if edge.rights & right.bits() != 0 && is_alive(edge.to) {
                    walk.offer(edge.to, passed_on(left, edge), from);
                }
            }
        }
    }
    walk.hops(seeds)
}

/// Best depth and voucher by number, while levels are worked off.
struct Walk {
    left: Vec<i8>,
    from: Vec<u32>,
    levels: [Vec<u32>; MAX_DEPTH as usize + 1],
}

impl Walk {
    fn new(len: usize) -> Self {
        Self { left: vec![UNREACHED; len], from: vec![OWNER; len], levels: Default::default() }
    }

    fn offer(&mut self, at: u32, left: i8, from: u32) {
        let index = at as usize;
        let (Some(held), Some(voucher)) = (self.left.get_mut(index), self.from.get_mut(index)) else {
            return;
        };
        if left <= *held {
            return;
        }
        *held = left;
        *voucher = from;
        if let Some(level) = usize::try_from(left).ok().and_then(|left| self.levels.get_mut(left)) {
            level.push(at);
        }
    }

    /// The numbers whose best is this level, in order of keys.
    fn settled(&mut self, left: i8, seeds: &Seeds<'_>) -> Vec<u32> {
        let level = usize::try_from(left).ok().and_then(|left| self.levels.get_mut(left));
        let mut settled = level.map(std::mem::take).unwrap_or_default();
        settled.retain(|at| self.left.get(*at as usize) == Some(&left));
        settled.sort_unstable_by_key(|at| seeds.key(*at));
        settled
    }

    fn hops(&self, seeds: &Seeds<'_>) -> BTreeMap<PublicKey, Hop> {
        let each = (0u32..).zip(self.left.iter().zip(&self.from));
        let hop = |(at, (left, from)): (u32, (&i8, &u32))| {
            let depth_left = u8::try_from(*left).ok()?;
            let from = if *from == OWNER { None } else { Some(*seeds.key(*from)?) };
            Some((*seeds.key(at)?, Hop { from, depth_left }))
        };
        each.filter_map(hop).collect()
    }
}

fn set(field: &mut [i8], at: u32, left: i8) {
    if let Some(place) = field.get_mut(at as usize) {
        *place = left;
    }
}
