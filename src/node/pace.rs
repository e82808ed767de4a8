//! How often a machine may say something new: what a flood of honest-looking statements may cost.
//!
//! Every new snapshot of a reached key is verified, decided on, written and passed on; a key that signs a thousand a
//! second would keep everybody busy. So each issuer has a few snapshots at once and then one in ten seconds, whoever
//! hands them over; what came too soon is found by the next comparison, which asks for the newest only. Denials have
//! room for all that one issuer can have in force, so that no bound delays a removal. Who hands over what no honest
//! machine passes on (each checks before it does) is soon not listened to any more for a while.
//!
//! Pure, in monotonic time. Tokens are taken only for what was accepted: nobody can use up another's by forging.

use std::collections::BTreeMap;
use std::time::Duration;

use testmesh_behaviours::id::NodeKey;
use testmesh_keys::set::MAX_DENIALS;
use testmesh_keys::statement::Kind;

/// Snapshots of one issuer taken at once: somebody approves a handful of machines in a row.
pub const SNAPSHOTS: u32 = 16;
/// Denials of one issuer taken at once: all it can have.
pub const DENIALS: u32 = MAX_DENIALS as u32;
/// Retirements of one key taken at once: one says all; of several the least stays.
pub const RETIREMENTS: u32 = 4;
/// Dishonest statements of one giver looked at in a row.
pub const FAULTS: u32 = 16;
/// After so long there is room for one more of each.
pub const EVERY: Duration = Duration::from_secs(10);
/// Issuers and givers remembered: with more, those that have all their room back are forgotten.
pub const BUCKETS_MAX: usize = 4096;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Snapshots,
    Denials,
    Retirements,
    Faults,
}

impl What {
    const fn most(self) -> u32 {
        match self {
            Self::Snapshots => SNAPSHOTS,
            Self::Denials => DENIALS,
            Self::Retirements => RETIREMENTS,
            Self::Faults => FAULTS,
        }
    }
}

impl From<Kind> for What {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Vouches => Self::Snapshots,
            Kind::Deny => Self::Denials,
            Kind::Retire => Self::Retirements,
        }
    }
}

/// What is left at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    left: u32,
    /// When the latest of the tokens that came back did.
    since: Duration,
}

/// Who has said how much lately.
#[derive(Debug, Default)]
pub struct Pace {
    buckets: BTreeMap<(What, NodeKey), Bucket>,
}

impl Pace {
    /// Whether a statement of this issuer may be taken now.
    pub fn may_say(&self, issuer: &NodeKey, kind: Kind, now: Duration) -> bool {
        self.left(kind.into(), issuer, now) > 0
    }

    /// One was taken.
    pub fn said(&mut self, issuer: NodeKey, kind: Kind, now: Duration) {
        self.take(kind.into(), issuer, now);
    }

    /// Whether what a peer hands over is looked at.
    pub fn is_heard(&self, giver: &NodeKey, now: Duration) -> bool {
        self.left(What::Faults, giver, now) > 0
    }

    /// It handed over what no honest machine does.
    pub fn lied(&mut self, giver: NodeKey, now: Duration) {
        self.take(What::Faults, giver, now);
    }

    fn left(&self, what: What, key: &NodeKey, now: Duration) -> u32 {
        self.buckets.get(&(what, *key)).map_or(what.most(), |bucket| bucket.at(now, what.most()).left)
    }

    fn take(&mut self, what: What, key: NodeKey, now: Duration) {
        if self.buckets.len() >= BUCKETS_MAX {
            self.buckets.retain(|(what, _), bucket| bucket.at(now, what.most()).left < what.most());
        }
        let full = Bucket { left: what.most(), since: now };
        if self.buckets.len() < BUCKETS_MAX || self.buckets.contains_key(&(what, key)) {
            let bucket = self.buckets.entry((what, key)).or_insert(full);
            *bucket = bucket.at(now, what.most());
            bucket.left = bucket.left.saturating_sub(1);
        }
    }
}

impl Bucket {
    fn at(self, now: Duration, most: u32) -> Self {
        let back = now.saturating_sub(self.since).as_millis() / EVERY.as_millis();
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        match self.left.saturating_add(back) {
            left if left >= most => Self { left: most, since: now },
            left => Self { left, since: self.since + EVERY * back },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> NodeKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        NodeKey::new(bytes)
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// Tries to say something every second; when it was let.
    fn let_at(kind: Kind, seconds: u32) -> Vec<u32> {
        let mut pace = Pace::default();
        let mut said = |second: u32| {
            let now = SECOND * second;
            pace.may_say(&key(1), kind, now).then(|| pace.said(key(1), kind, now)).is_some()
        };
        (0..seconds).filter(|second| said(*second)).collect()
    }

    #[test]
    fn an_issuer_has_a_few_snapshots_at_once_and_then_one_in_ten_seconds() {
        let let_at = let_at(Kind::Vouches, 51);
        assert_eq!(let_at[..18], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20]);
        assert_eq!(let_at[18..], [30, 40, 50]);
    }

    #[test]
    fn all_denials_of_an_issuer_pass_at_once() {
        let mut pace = Pace::default();
        for _ in 0..MAX_DENIALS {
            assert!(pace.may_say(&key(1), Kind::Deny, SECOND));
            pace.said(key(1), Kind::Deny, SECOND);
        }
        assert!(!pace.may_say(&key(1), Kind::Deny, SECOND));
        assert!(pace.may_say(&key(1), Kind::Retire, SECOND), "its end is not held up by them");
        assert!(pace.may_say(&key(1), Kind::Vouches, SECOND), "each kind has its own room");
        assert!(pace.may_say(&key(2), Kind::Deny, SECOND), "each issuer, too");
    }

    #[test]
    fn a_liar_is_heard_again_after_a_while() {
        let mut pace = Pace::default();
        (0..FAULTS).for_each(|_| pace.lied(key(1), SECOND));
        assert!(!pace.is_heard(&key(1), SECOND) && pace.is_heard(&key(2), SECOND));
        assert!(pace.is_heard(&key(1), SECOND + EVERY));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut pace = Pace::default();
        for number in 0..10_000 {
            pace.said(key(number), Kind::Vouches, SECOND);
        }
        assert_eq!(pace.buckets.len(), BUCKETS_MAX);
        pace.said(key(20_000), Kind::Vouches, SECOND + EVERY * SNAPSHOTS);
        assert_eq!(pace.buckets.len(), 1, "who has all its room back is forgotten");
    }
}
