//! Whom to dial without being asked to: peers to enter by, peers met before, peers on the local network.
//!
//! Invariant: nothing is built in. A node that was told of nobody dials nobody.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use tokio::time::Instant;

use super::super::addresses::{is_relayed, peer_of, without_peer};

/// Most peers that are remembered for the next start. A few of them are still there after a month; more would be a
/// diary of whom one has met.
const REMEMBERED: usize = 64;

/// Most peers met before that are tried at once, so that the dials of the user find a place.
const TRIED: usize = 16;

/// How long a node that is connected with nobody waits before it tries again, at first and at most.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(120);

/// How much later the one of two peers dials that has the larger id: on a local network both learn of each other at
/// the same moment.
const YIELD: Duration = Duration::from_secs(1);

/// Most peers of the local network that wait to be dialled.
const LOCAL_WAITING: usize = 64;

/// Most addresses kept of one of them.
const LOCAL_ADDRESSES: usize = 8;

/// A dial to make: whom, if it is known, and where.
pub(super) type Dial = (Option<PeerId>, Vec<Multiaddr>);

/// Whom to dial.
#[derive(Debug)]
pub(super) struct Peers {
    local: PeerId,
    bootstrap: Vec<Multiaddr>,
    /// Newest first.
    known: VecDeque<(PeerId, Multiaddr)>,
    retry_at: Instant,
    retry_after: Duration,
    nearby: BTreeMap<PeerId, (Instant, Vec<Multiaddr>)>,
}

impl Peers {
    pub(super) fn new(local: PeerId, bootstrap: Vec<Multiaddr>, known: &[Multiaddr], now: Instant) -> Self {
        let known = known
            .iter()
            .filter_map(|address| Some((peer_of(address)?, without_peer(address))))
            .filter(|(peer, _)| *peer != local)
            .take(REMEMBERED)
            .collect();
        Self {
            local,
            bootstrap,
            known,
            retry_at: now,
            retry_after: RETRY,
            nearby: BTreeMap::new(),
        }
    }

    /// Peers that answered our dials, newest first, for the next start.
    pub(super) fn known(&self) -> Vec<Multiaddr> {
        self.known
            .iter()
            .map(|(peer, address)| address.clone().with(Protocol::P2p(*peer)))
            .collect()
    }

    /// A peer speaks our protocols at an address that we dialled.
    pub(super) fn handle_proven(&mut self, peer: PeerId, address: &Multiaddr) {
        if is_relayed(address) {
            return;
        }
        self.known.retain(|(known, _)| *known != peer);
        self.known.push_front((peer, without_peer(address)));
        self.known.truncate(REMEMBERED);
    }

    /// A peer on the local network told where it is.
    pub(super) fn handle_nearby(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        if peer == self.local || (self.nearby.len() >= LOCAL_WAITING && !self.nearby.contains_key(&peer)) {
            return;
        }
        let at = if self.local < peer { now } else { now + YIELD };
        let (_, addresses) = self.nearby.entry(peer).or_insert((at, Vec::new()));
        if addresses.len() < LOCAL_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    pub(super) fn handle_connected(&mut self, peer: PeerId) {
        self.nearby.remove(&peer);
    }

    /// What to dial now; `alone` says that we are connected with nobody.
    pub(super) fn handle_timeout(&mut self, alone: bool, now: Instant) -> Vec<Dial> {
        let mut dials = Vec::new();
        self.nearby.retain(|peer, (at, addresses)| {
            let is_due = *at <= now;
            if is_due {
                dials.push((Some(*peer), std::mem::take(addresses)));
            }
            !is_due
        });
        if !alone {
            // Who loses everybody tries again soon, not after the pauses of the time before.
            self.retry_after = RETRY;
            self.retry_at = self.retry_at.max(now + RETRY);
        } else if self.retry_at <= now {
            self.retry_at = now + self.retry_after;
            self.retry_after = (self.retry_after * 2).min(RETRY_MAX);
            let bootstrap = self.bootstrap.iter();
            dials.extend(bootstrap.map(|address| (peer_of(address), vec![address.clone()])));
            let known = self.known.iter().take(TRIED);
            dials.extend(known.map(|(peer, address)| (Some(*peer), vec![address.clone()])));
        }
        dials
    }

    pub(super) fn poll_timeout(&self, alone: bool) -> Option<Instant> {
        let retry = (alone && !(self.bootstrap.is_empty() && self.known.is_empty())).then_some(self.retry_at);
        let nearby = self.nearby.values().map(|(at, _)| *at).min();
        retry.into_iter().chain(nearby).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/udp/{port}/quic-v1")
            .parse()
            .expect("an address")
    }

    fn with_peer(port: u16, peer: PeerId) -> Multiaddr {
        address(port).with(Protocol::P2p(peer))
    }

    #[test]
    fn bootstrap_and_known_peers_are_tried_at_once_and_then_ever_less_often() {
        let (now, known) = (Instant::now(), PeerId::random());
        let mut peers = Peers::new(PeerId::random(), vec![address(1)], &[with_peer(2, known)], now);
        let dials = peers.handle_timeout(true, now);
        assert_eq!(dials, [(None, vec![address(1)]), (Some(known), vec![address(2)])]);
        assert!(peers.handle_timeout(true, now).is_empty());
        let mut pauses = Vec::new();
        let mut last = now;
        for _ in 0..8 {
            let due = peers.poll_timeout(true).expect("alone");
            assert_eq!(peers.handle_timeout(true, due).len(), 2);
            pauses.push((due - last).as_secs());
            last = due;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 120, 120, 120]);
        assert_eq!(peers.poll_timeout(false), None);
    }

    #[test]
    fn who_was_told_of_nobody_dials_nobody() {
        let now = Instant::now();
        let mut peers = Peers::new(PeerId::random(), Vec::new(), &[], now);
        assert_eq!(peers.poll_timeout(true), None);
        assert!(peers.handle_timeout(true, now).is_empty());
    }

    #[test]
    fn of_two_neighbours_one_dials_first_and_the_other_only_if_it_must() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let (small, large) = if a < b { (a, b) } else { (b, a) };
        let now = Instant::now();
        let mut first = Peers::new(small, Vec::new(), &[], now);
        let mut second = Peers::new(large, Vec::new(), &[], now);
        first.handle_nearby(large, address(1), now);
        second.handle_nearby(small, address(2), now);
        assert_eq!(first.handle_timeout(true, now).len(), 1);
        assert!(second.handle_timeout(true, now).is_empty());
        assert_eq!(second.poll_timeout(true), Some(now + YIELD));
        second.handle_connected(small);
        assert!(second.handle_timeout(true, now + YIELD).is_empty());
    }

    #[test]
    fn the_peers_met_last_are_remembered() {
        let now = Instant::now();
        let mut peers = Peers::new(PeerId::random(), Vec::new(), &[], now);
        let ids: Vec<_> = (0..100).map(|_| PeerId::random()).collect();
        for (peer, port) in ids.iter().zip(1..) {
            peers.handle_proven(*peer, &with_peer(port, *peer));
        }
        assert_eq!(peers.known().len(), REMEMBERED);
        assert_eq!(peers.known().first(), Some(&with_peer(100, ids[99])));
        peers.handle_proven(ids[50], &address(7));
        assert_eq!(peers.known().first(), Some(&with_peer(7, ids[50])));
        assert_eq!(peers.known().len(), REMEMBERED);
    }
}
