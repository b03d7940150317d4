//! Which connections there are with each peer, which of them is used, and which is one too many.
//!
//! Invariant: of two ends exactly one closes surplus connections, the one with the smaller peer id; so both cannot
//! close a different one of two and be left with none. What still carries application streams is never surplus.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use super::addresses::{ip_of, is_quic, is_relayed};

/// How long a surplus connection stays: time for what was just opened on it to end or to be opened again on the
/// better one. Less and a simultaneous dial tears the first control stream.
const SURPLUS_GRACE: Duration = Duration::from_secs(5);

/// The connections of this node.
#[derive(Debug, Default)]
pub(super) struct Connections {
    peers: HashMap<PeerId, Vec<Connection>>,
}

/// One connection with one peer.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// The other end's address as this connection knows it.
    pub(super) address: Multiaddr,
    /// Whether we dialled it.
    pub(super) dialled: bool,
    /// When it was established.
    pub(super) since: Instant,
}

impl Connections {
    /// How many connections there are.
    pub(super) fn count(&self) -> usize {
        self.peers.values().map(Vec::len).sum()
    }

    /// How many peers we are connected with.
    pub(super) fn peers(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn get(&self, peer: &PeerId, id: ConnectionId) -> Option<&Connection> {
        let connections = self.peers.get(peer)?;
        connections.iter().find(|connection| connection.id == id)
    }

    /// The address that a peer's connection comes from.
    pub(super) fn remote_ip(&self, peer: &PeerId) -> Option<IpAddr> {
        self.peers
            .get(peer)?
            .iter()
            .filter(|connection| !is_relayed(&connection.address))
            .find_map(|connection| ip_of(&connection.address))
    }

    /// The connection to use with a peer: direct before relayed, QUIC before TCP, then the newest, since after a
    /// change of network the older ones are dead and do not know it.
    pub(super) fn best(&self, peer: &PeerId) -> Option<ConnectionId> {
        best(self.peers.get(peer)?).map(|connection| connection.id)
    }

    /// The connections to close now.
    pub(super) fn surplus(
        &self,
        local: PeerId,
        now: Instant,
        streams: impl Fn(ConnectionId) -> usize,
    ) -> Vec<ConnectionId> {
        let mut surplus = Vec::new();
        for (peer, connections) in &self.peers {
            if connections.len() < 2 || local > *peer {
                continue;
            }
            let settled = connections
                .iter()
                .all(|connection| now.saturating_duration_since(connection.since) >= SURPLUS_GRACE);
            let kept = best(connections).map(|connection| connection.id);
            if settled {
                surplus.extend(
                    connections
                        .iter()
                        .map(|connection| connection.id)
                        .filter(|id| Some(*id) != kept && streams(*id) == 0),
                );
            }
        }
        surplus
    }

    /// Takes a connection in; true when it is the first with its peer.
    pub(super) fn add(&mut self, peer: PeerId, connection: Connection) -> bool {
        let connections = self.peers.entry(peer).or_default();
        connections.push(connection);
        connections.len() == 1
    }

    /// Forgets a connection; true when it was the last with its peer.
    pub(super) fn remove(&mut self, peer: &PeerId, id: ConnectionId) -> bool {
        let Some(connections) = self.peers.get_mut(peer) else {
            return false;
        };
        connections.retain(|connection| connection.id != id);
        let was_last = connections.is_empty();
        if was_last {
            self.peers.remove(peer);
        }
        was_last
    }
}

fn best(connections: &[Connection]) -> Option<&Connection> {
    connections.iter().min_by_key(|connection| {
        (
            is_relayed(&connection.address),
            !is_quic(&connection.address),
            Reverse(connection.since),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIC: &str = "/ip4/127.0.0.1/udp/1/quic-v1";
    const TCP: &str = "/ip4/127.0.0.1/tcp/1";

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn connections(list: &[(&str, u64)]) -> (Connections, PeerId, Instant) {
        let (mut connections, peer, start) = (Connections::default(), PeerId::random(), Instant::now());
        for (number, (address, second)) in list.iter().enumerate() {
            let connection = Connection {
                id: id(number),
                address: address.parse().expect("an address"),
                dialled: true,
                since: start + Duration::from_secs(*second),
            };
            connections.add(peer, connection);
        }
        (connections, peer, start)
    }

    #[test]
    fn quic_is_preferred_then_the_newest() {
        let (list, peer, _) = connections(&[(QUIC, 0), (QUIC, 1), (TCP, 2)]);
        assert_eq!(list.best(&peer), Some(id(1)));
    }

    #[test]
    fn only_the_smaller_end_closes_and_only_what_is_idle_and_settled() {
        let (list, peer, start) = connections(&[(QUIC, 0), (QUIC, 1), (TCP, 2)]);
        let others = std::iter::repeat_with(PeerId::random);
        let smaller = others
            .clone()
            .find(|other| *other < peer)
            .expect("some are smaller");
        let larger = others
            .into_iter()
            .find(|other| *other > peer)
            .expect("some are larger");
        let later = start + Duration::from_secs(20);
        assert_eq!(list.surplus(smaller, later, |_| 0), [id(0), id(2)]);
        assert_eq!(list.surplus(smaller, later, |c| usize::from(c == id(0))), [id(2)]);
        assert!(
            list.surplus(smaller, start + Duration::from_secs(6), |_| 0)
                .is_empty()
        );
        assert!(list.surplus(larger, later, |_| 0).is_empty());
    }

    #[test]
    fn the_last_connection_takes_the_peer_with_it() {
        let (mut list, peer, _) = connections(&[(QUIC, 0), (TCP, 1)]);
        assert!(!list.remove(&peer, id(0)));
        assert!(list.remove(&peer, id(1)));
        assert!(!list.is_connected(&peer));
        assert_eq!(list.count(), 0);
        assert!(!list.remove(&peer, id(1)));
    }
}
