//! Slots of this machine that its own clients hold to run tests themselves, and how clients share them.
//!
//! Pure, a part of [`super::inbound`]: permits are wished for through the same queue as the jobs of others, so that
//! never more processes run than there are slots. One client has all it wants; several have equal shares; where there
//! are more clients than slots they take turns. Nothing is taken from a client but asked back, and it answers when what
//! it runs there has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::ClientId;
use crate::job::JobId;

/// How long a client may keep a slot while another has none.
pub const TURN: Duration = Duration::from_secs(5);

/// A slot that is free again, and the wish that it was granted for.
pub type Returned = (u32, JobId);

/// All clients with a wish for slots.
#[derive(Debug)]
pub struct Permits {
    slots: usize,
    holders: BTreeMap<ClientId, Holder>,
}

#[derive(Debug, Default)]
struct Holder {
    wanted: usize,
    /// Wished for and not yet granted.
    wished: Vec<JobId>,
    held: Vec<Permit>,
    /// Asked back and not yet returned.
    recalled: usize,
    /// Since when it waits without any.
    waits: Option<Duration>,
    /// Wishes so far.
    count: u32,
}

#[derive(Debug)]
struct Permit {
    slot: u32,
    id: JobId,
    since: Duration,
}

impl Permits {
    /// Nobody wants any of so many slots.
    pub fn new(slots: u32) -> Self {
        Self { slots: usize::try_from(slots).unwrap_or(usize::MAX), holders: BTreeMap::new() }
    }

    /// A client wants so many slots in all. Returns what is to be queued for it.
    pub fn want(&mut self, client: ClientId, count: u32, now: Duration) -> Vec<JobId> {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX).min(self.slots);
        let holder = self.holders.entry(client).or_default();
        holder.wanted = wanted;
        holder.wishes(now)
    }

    /// A wish could not be queued.
    pub fn refused(&mut self, client: ClientId, id: JobId) {
        if let Some(holder) = self.holders.get_mut(&client) {
            holder.wished.retain(|wish| *wish != id);
        }
    }

    /// A slot is a client's; false if nobody wishes it any more.
    pub fn granted(&mut self, client: ClientId, slot: u32, id: JobId, now: Duration) -> bool {
        let Some(holder) = self.holders.get_mut(&client) else { return false };
        let before = holder.wished.len();
        holder.wished.retain(|wish| *wish != id);
        let wished = holder.wished.len() < before;
        if wished {
            holder.held.push(Permit { slot, id, since: now });
            holder.waits = None;
        }
        wished
    }

    /// A client returns so many. Returns them, and what is to be queued for it since it wants them back.
    pub fn release(&mut self, client: ClientId, count: u32, now: Duration) -> (Vec<Returned>, Vec<JobId>) {
        let Some(holder) = self.holders.get_mut(&client) else { return Default::default() };
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(holder.held.len());
        let returned = holder.held.drain(..count).map(|permit| (permit.slot, permit.id)).collect();
        holder.recalled = holder.recalled.saturating_sub(count);
        (returned, holder.wishes(now))
    }

    /// A client is gone; returns what it held.
    pub fn gone(&mut self, client: ClientId) -> Vec<Returned> {
        let held = self.holders.remove(&client).map(|holder| holder.held).unwrap_or_default();
        held.into_iter().map(|permit| (permit.slot, permit.id)).collect()
    }

    /// Who is to return how many now, so that others have their share.
    pub fn recalls(&mut self, now: Duration) -> Vec<(ClientId, u32)> {
        let mut asked: BTreeMap<ClientId, u32> = BTreeMap::new();
        while let Some(client) = self.next_recall(now) {
            if let Some(holder) = self.holders.get_mut(&client) {
                holder.recalled += 1;
            }
            *asked.entry(client).or_default() += 1;
        }
        asked.into_iter().collect()
    }

    fn next_recall(&self, now: Duration) -> Option<ClientId> {
        let clients = self.holders.values().filter(|holder| holder.wanted > 0).count();
        let share = self.slots.div_ceil(clients.max(1)).max(1);
        let coming: usize = self.holders.values().map(|holder| holder.recalled).sum();
        let short: usize = self.holders.values().map(|holder| holder.short_of(share)).sum();
        let starved = self.holders.values().filter(|holder| holder.is_starved(now)).count();
        let above = |holder: &&Holder| holder.keeps() > share && short > coming;
        let long = |holder: &&Holder| holder.keeps() > 0 && holder.is_sated(now) && starved > coming;
        let takes = |holder: &&Holder| above(holder) || long(holder);
        let most = self.holders.iter().filter(|(_, holder)| takes(holder));
        most.max_by_key(|(_, holder)| (holder.keeps(), now.saturating_sub(holder.oldest())))
            .map(|(id, _)| *id)
    }
}

impl Holder {
    /// New wishes for what it wants and neither has nor waits for.
    fn wishes(&mut self, now: Duration) -> Vec<JobId> {
        let missing = self.wanted.saturating_sub(self.wished.len() + self.held.len());
        let wish = |_| {
            let id = JobId { run: 0, sequence: self.count, attempt: 0 };
            self.count += 1;
            id
        };
        let wishes: Vec<JobId> = (0..missing).map(wish).collect();
        self.wished.extend(&wishes);
        if self.held.is_empty() && !self.wished.is_empty() {
            self.waits.get_or_insert(now);
        }
        wishes
    }

    /// What it has and was not asked for.
    fn keeps(&self) -> usize {
        self.held.len().saturating_sub(self.recalled)
    }

    fn short_of(&self, share: usize) -> usize {
        share.saturating_sub(self.held.len()).min(self.wished.len())
    }

    fn is_starved(&self, now: Duration) -> bool {
        self.waits.is_some_and(|since| since + TURN <= now)
    }

    fn oldest(&self) -> Duration {
        self.held.iter().map(|permit| permit.since).min().unwrap_or(Duration::MAX)
    }

    fn is_sated(&self, now: Duration) -> bool {
        self.oldest().saturating_add(TURN) <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_secs(1);

    /// Permits with slots that are given to wishes in the order of wishing.
    struct Table {
        permits: Permits,
        free: Vec<u32>,
        queue: Vec<(ClientId, JobId)>,
        now: Duration,
    }

    impl Table {
        fn new(slots: u32) -> Self {
            Self { permits: Permits::new(slots), free: (0..slots).collect(), queue: Vec::new(), now: START }
        }

        fn want(&mut self, client: u64, count: u32) {
            let wishes = self.permits.want(client, count, self.now);
            self.queue.extend(wishes.into_iter().map(|wish| (client, wish)));
            self.grant();
        }

        fn grant(&mut self) {
            while !self.queue.is_empty()
                && let Some(slot) = self.free.pop()
            {
                let (client, id) = self.queue.remove(0);
                if !self.permits.granted(client, slot, id, self.now) {
                    self.free.push(slot);
                }
            }
        }

        /// Clients return what they are asked for; how many that was.
        fn settle(&mut self) -> u32 {
            let recalls = self.permits.recalls(self.now);
            for (client, count) in &recalls {
                let (returned, wishes) = self.permits.release(*client, *count, self.now);
                assert_eq!(returned.len(), *count as usize, "what is asked for is held");
                self.free.extend(returned.into_iter().map(|(slot, _)| slot));
                self.queue.extend(wishes.into_iter().map(|wish| (*client, wish)));
                self.grant();
            }
            recalls.iter().map(|(_, count)| count).sum()
        }

        fn leave(&mut self, client: u64) {
            self.free.extend(self.permits.gone(client).into_iter().map(|(slot, _)| slot));
            self.queue.retain(|(who, _)| *who != client);
            self.grant();
        }

        fn held(&self) -> Vec<usize> {
            self.permits.holders.values().map(|holder| holder.held.len()).collect()
        }
    }

    #[test]
    fn one_client_has_all_and_a_second_one_half() {
        let mut table = Table::new(4);
        table.want(1, 8);
        assert_eq!((table.settle(), table.held()), (0, vec![4]));
        table.want(2, 8);
        assert_eq!(table.held(), [4, 0]);
        assert_eq!((table.settle(), table.held()), (2, vec![2, 2]));
        assert_eq!(table.settle(), 0, "and so it stays");
        table.leave(1);
        assert_eq!(table.held(), [4], "what the other wants comes by itself");
    }

    #[test]
    fn who_wants_little_leaves_the_rest() {
        let mut table = Table::new(4);
        table.want(1, 1);
        table.want(2, 8);
        assert_eq!((table.settle(), table.held()), (0, vec![1, 3]));
    }

    #[test]
    fn more_clients_than_slots_take_turns() {
        let mut table = Table::new(1);
        table.want(1, 1);
        table.want(2, 1);
        assert_eq!((table.settle(), table.held()), (0, vec![1, 0]));
        table.now += TURN;
        assert_eq!((table.settle(), table.held()), (1, vec![0, 1]));
        assert_eq!(table.settle(), 0, "a turn has only begun");
        table.now += TURN;
        assert_eq!((table.settle(), table.held()), (1, vec![1, 0]));
    }

    proptest! {
        /// No slot is held twice, every one is used while somebody wants it, and everybody has had one after so many
        /// turns as there are clients.
        #[test]
        fn everybody_gets_a_turn(slots in 1u32..5, wants in proptest::collection::vec(1u32..6, 1..6)) {
            let mut table = Table::new(slots);
            let mut had = vec![false; wants.len()];
            for (client, count) in (1..).zip(&wants) {
                table.want(client, *count);
            }
            for _ in 0..=2 * wants.len() {
                table.settle();
                let held = table.held();
                let wanted: u32 = wants.iter().map(|want| (*want).min(slots)).sum();
                prop_assert_eq!(held.iter().sum::<usize>(), wanted.min(slots) as usize);
                had.iter_mut().zip(held).for_each(|(had, held)| *had |= held > 0);
                table.now += TURN;
            }
            prop_assert!(had.iter().all(|had| *had));
        }
    }
}
