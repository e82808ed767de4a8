//! The places for strangers: a pure count of who is here, from where, and until when.
//!
//! Knows no sockets and reads no clock. The bounds are those of security.md §2.7.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use super::Denied;

/// Connections of strangers in all, both directions.
pub const STRANGERS_MAX: usize = 16;
/// Connections of strangers from one address.
pub const STRANGERS_PER_ADDRESS_MAX: usize = 4;
/// Handshakes under way from one address: half of all, so that one address cannot keep everybody out, while all
/// nodes of a test host may start at once.
pub const PENDING_PER_ADDRESS_MAX: usize = 32;
/// A stranger that says nothing for so long is sent away.
pub const STRANGER_IDLE: Duration = Duration::from_secs(10);
/// A stranger that is not trusted after so long is sent away, whatever it says.
pub const STRANGER_STAY: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Stranger {
    peer: PeerId,
    address: Option<IpAddr>,
    since: Instant,
    heard: Instant,
}

impl Stranger {
    fn end(&self) -> Instant {
        (self.heard + STRANGER_IDLE).min(self.since + STRANGER_STAY)
    }
}

/// Everybody here that is not trusted.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    here: BTreeMap<ConnectionId, Stranger>,
    handshakes: BTreeMap<ConnectionId, IpAddr>,
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

impl Strangers {
    /// Counts a handshake that begins.
    pub(super) fn handshake(&mut self, connection: ConnectionId, remote: &Multiaddr) -> Result<(), Denied> {
        let Some(ip) = ip(remote) else { return Ok(()) };
        if self.handshakes.values().filter(|other| **other == ip).count() >= PENDING_PER_ADDRESS_MAX {
            return Err(Denied::Handshakes);
        }
        self.handshakes.insert(connection, ip);
        Ok(())
    }

    /// The handshake has succeeded or failed.
    pub(super) fn handshake_over(&mut self, connection: ConnectionId) {
        self.handshakes.remove(&connection);
    }

    /// Whether another stranger may come; `remote` where it dialled.
    pub(super) fn room(&self, remote: Option<&Multiaddr>) -> Result<(), Denied> {
        if self.here.len() >= STRANGERS_MAX {
            return Err(Denied::Strangers);
        }
        let Some(ip) = remote.and_then(ip) else { return Ok(()) };
        let same = self.here.values().filter(|stranger| stranger.address == Some(ip)).count();
        if same >= STRANGERS_PER_ADDRESS_MAX { Err(Denied::Address) } else { Ok(()) }
    }

    /// A stranger has connected.
    pub(super) fn arrived(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        remote: Option<&Multiaddr>,
        now: Instant,
    ) {
        let stranger = Stranger { peer, address: remote.and_then(ip), since: now, heard: now };
        self.here.insert(connection, stranger);
    }

    /// A connection has closed.
    pub(super) fn left(&mut self, connection: ConnectionId) {
        self.here.remove(&connection);
    }

    /// A stranger has said something.
    pub(super) fn heard(&mut self, peer: PeerId, now: Instant) {
        self.here.values_mut().filter(|one| one.peer == peer).for_each(|one| one.heard = now);
    }

    /// A stranger is none any more.
    pub(super) fn promote(&mut self, peer: PeerId) {
        self.here.retain(|_, stranger| stranger.peer != peer);
    }

    /// When the next stranger's time is up.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.here.values().map(Stranger::end).min()
    }

    /// Whose time is up; they are forgotten here.
    pub(super) fn over(&mut self, now: Instant) -> Vec<(PeerId, ConnectionId)> {
        let over = self.here.extract_if(.., |_, stranger| stranger.end() <= now);
        over.map(|(connection, stranger)| (stranger.peer, connection)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(ip: &str) -> Multiaddr {
        format!("/ip4/{ip}/tcp/1").parse().unwrap()
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn one_address_has_four_places_and_all_have_sixteen() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        for number in 0..STRANGERS_MAX {
            let address = from(&format!("10.0.0.{}", number / STRANGERS_PER_ADDRESS_MAX));
            assert_eq!(strangers.room(Some(&address)), Ok(()));
            strangers.arrived(PeerId::random(), id(number), Some(&address), now);
            let full = (number + 1) % STRANGERS_PER_ADDRESS_MAX == 0 && number + 1 < STRANGERS_MAX;
            assert_eq!(strangers.room(Some(&address)).is_err(), full || number + 1 == STRANGERS_MAX);
        }
        assert_eq!(strangers.room(Some(&from("10.0.1.1"))), Err(Denied::Strangers));
        assert_eq!(strangers.room(None), Err(Denied::Strangers));
        strangers.left(id(3));
        assert_eq!(strangers.room(Some(&from("10.0.0.0"))), Ok(()));
    }

    #[test]
    fn a_talking_stranger_stays_longer_but_not_for_ever() {
        let (mut strangers, start) = (Strangers::default(), Instant::now());
        let peer = PeerId::random();
        strangers.arrived(peer, id(1), None, start);
        strangers.heard(peer, start + STRANGER_IDLE / 2);
        assert_eq!(strangers.over(start + STRANGER_IDLE), []);
        assert_eq!(strangers.next_end(), Some(start + STRANGER_IDLE * 3 / 2));
        strangers.heard(peer, start + STRANGER_STAY - Duration::from_secs(1));
        assert_eq!(strangers.next_end(), Some(start + STRANGER_STAY));
        assert_eq!(strangers.over(start + STRANGER_STAY), [(peer, id(1))]);
        assert_eq!(strangers.next_end(), None);
    }

    #[test]
    fn a_promoted_stranger_gives_its_place_back() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        let peer = PeerId::random();
        strangers.arrived(peer, id(1), None, now);
        strangers.promote(peer);
        assert_eq!(strangers.over(now + STRANGER_STAY), []);
    }

    #[test]
    fn handshakes_of_one_address_leave_room_for_others() {
        let mut strangers = Strangers::default();
        for number in 0..PENDING_PER_ADDRESS_MAX {
            assert_eq!(strangers.handshake(id(number), &from("10.0.0.1")), Ok(()));
        }
        assert_eq!(strangers.handshake(id(99), &from("10.0.0.1")), Err(Denied::Handshakes));
        assert_eq!(strangers.handshake(id(99), &from("10.0.0.2")), Ok(()));
        strangers.handshake_over(id(0));
        assert_eq!(strangers.handshake(id(100), &from("10.0.0.1")), Ok(()));
    }
}
