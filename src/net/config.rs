//! What a node's network half is told once, before it starts, and what can go wrong then.

use std::{io, time::Duration};

use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};

/// How the network half of a node runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who we are on the wire.
    pub keypair: Keypair,
    /// Where to listen. Empty means every interface on a port of the system's choice, with whatever of IPv4 and
    /// IPv6 this machine has; what is named here must work.
    pub listen: Vec<Multiaddr>,
    /// Addresses to tell others besides those we listen on: a port forwarded by a router, a name.
    pub announce: Vec<Multiaddr>,
    /// Peers to enter the network by.
    pub bootstrap: Vec<Multiaddr>,
    /// Which transports to use.
    pub transport: TransportChoice,
    /// Whether to look for peers on the local network. Without effect when every listen address is loopback.
    pub mdns: bool,
    /// Whether this node serves others for its own sake, with more connections than a person's own.
    pub community: bool,
    /// Children that are to find a connection in each room.
    pub places: u32,
    /// Addresses of peers that were met before; each is tried at the start.
    pub known_peers: Vec<Multiaddr>,
    /// The bad network to play on QUIC, if any.
    #[cfg(feature = "testlink")]
    pub link: Option<majlis_protocol::sim::link::Profile>,
}

/// Which transports a node uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// QUIC first, TCP where QUIC does not get through.
    #[default]
    Any,
    /// QUIC alone.
    Quic,
    /// TCP alone.
    Tcp,
}

/// Why the network half did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// Nothing could be bound there: the port is in use, or the address is not this machine's. The user is to
    /// choose another; a retry helps once the port is free.
    #[error("cannot listen on {address}: {reason}; choose another address with --listen")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system said.
        reason: String,
    },
    /// No transport in use knows such an address; a retry does not help.
    #[error("{address} is not an address that the chosen transports can use")]
    Unsupported {
        /// The address.
        address: Multiaddr,
    },
    /// A key or a setting that the libraries refuse: a fault of this program.
    #[error("the network could not be set up: {0}")]
    Setup(String),
    /// The system refused a socket, a thread or a file.
    #[error("the network could not be set up: {0}")]
    Io(#[from] io::Error),
}

/// How long a dial may take before it is given up. Two attempts of a QUIC handshake on a path with 25 % loss;
/// less and poor mobile links fail, more and a person thinks that the program hangs.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that nobody uses stays open. Long enough to ask a peer again without a handshake, short
/// enough that passers-by of the DHT do not fill the table.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Most connections with one peer: a simultaneous dial over two transports leaves four. With fewer, the surplus of
/// an honest race is refused; more only serve a peer that wants to exhaust us.
pub(super) const CONNECTIONS_PER_PEER: u32 = 4;

/// Most connections of an ordinary node, beside those that its places take; at about 0.3 MB each a bound of 64 MB.
const CONNECTIONS: u32 = 200;

/// Most connections of a community node, which many enter by.
const COMMUNITY_CONNECTIONS: u32 = 1_000;

/// Connections for each place for children: one for the child, and one for who is there for a moment or keeps it in
/// reserve. A quarter of all is no stranger's, so less would leave places empty.
const CONNECTIONS_PER_PLACE: u32 = 2;

/// Most handshakes from outside in progress. A flood of half-open connections stops here; a crowd that arrives at
/// once takes a few rounds of 100 ms.
pub(super) const PENDING_INCOMING: u32 = 64;

/// Most dials in progress. A hostile list of addresses cannot make us scan more at a time.
pub(super) const PENDING_OUTGOING: u32 = 32;

impl Config {
    /// The usual settings: every interface, all transports, no bootstrap, mDNS on.
    #[must_use]
    pub fn new(keypair: Keypair) -> Self {
        Self {
            keypair,
            listen: Vec::new(),
            announce: Vec::new(),
            bootstrap: Vec::new(),
            transport: TransportChoice::Any,
            mdns: true,
            community: false,
            places: 0,
            known_peers: Vec::new(),
            #[cfg(feature = "testlink")]
            link: None,
        }
    }

    /// Most connections at a time.
    pub(super) fn connections(&self) -> u32 {
        let for_itself = if self.community {
            COMMUNITY_CONNECTIONS
        } else {
            CONNECTIONS
        };
        for_itself.saturating_add(self.places.saturating_mul(CONNECTIONS_PER_PLACE))
    }

    /// Most of them that strangers open: a quarter is kept for the peers we choose ourselves, so that nobody locks us out
    /// of our rooms.
    pub(super) fn incoming(&self) -> u32 {
        self.connections() / 4 * 3
    }

    /// The addresses to listen on, and whether each of them must work.
    pub(super) fn listeners(&self) -> (Vec<Multiaddr>, bool) {
        if !self.listen.is_empty() {
            return (self.listen.clone(), true);
        }
        let any = [
            Multiaddr::from(std::net::Ipv4Addr::UNSPECIFIED),
            Multiaddr::from(std::net::Ipv6Addr::UNSPECIFIED),
        ];
        let quic = any
            .iter()
            .map(|host| host.clone().with(Protocol::Udp(0)).with(Protocol::QuicV1));
        let tcp = any.iter().map(|host| host.clone().with(Protocol::Tcp(0)));
        let addresses = match self.transport {
            TransportChoice::Any => quic.chain(tcp).collect(),
            TransportChoice::Quic => quic.collect(),
            TransportChoice::Tcp => tcp.collect(),
        };
        (addresses, false)
    }
}

#[cfg(test)]
mod tests {
    use majlis_protocol::tree::MOST_PLACES;

    use super::*;

    #[test]
    fn every_place_that_is_offered_has_a_connection_from_outside() {
        for places in [0, 8, 200, MOST_PLACES as u32] {
            for community in [false, true] {
                let config = Config {
                    places,
                    community,
                    ..Config::new(Keypair::generate_ed25519())
                };
                assert!(
                    config.incoming() >= places + places / 2,
                    "{places} and their emergencies"
                );
                assert!(config.incoming() < config.connections(), "some are no stranger's");
            }
        }
    }
}
