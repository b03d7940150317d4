//! What a node is told before it starts.

use std::path::PathBuf;

use libp2p::{Multiaddr, identity::Keypair};
use majlis_protocol::{
    room::BITRATES,
    tree::{MOST_PLACES, places},
};

use super::{NodeError, Uplink};
use crate::net::{self, TransportChoice};

/// Most children in each room, unless it is said otherwise. With three speakers at once, eight take about 2 Mbit/s of
/// a home's uplink, packets' own cost included. More is too much for some who never asked to relay; fewer makes the
/// tree deeper, and each hop is one more that can fail.
pub const DEFAULT_MAX_CHILDREN: u32 = 8;

/// How a node runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory with its key and logs; one process a home.
    pub home: PathBuf,
    /// Multiaddrs to listen on; none means every interface and a port of the system's choice.
    pub listen: Vec<String>,
    /// Multiaddrs to tell others besides, such as a port that a router forwards.
    pub announce: Vec<String>,
    /// Multiaddrs of peers to enter the network by.
    pub bootstrap: Vec<String>,
    /// Which transports to use.
    pub transport: TransportChoice,
    /// Whether to look for peers on the local network.
    pub mdns: bool,
    /// What the person is called.
    pub nick: Option<String>,
    /// Most children in each room; 0 makes a leaf. Without it: what the uplink carries, or else
    /// [`DEFAULT_MAX_CHILDREN`].
    pub max_children: Option<u32>,
    /// What the line carries up: there are no more children than it holds at a room's bitrate.
    pub uplink: Option<Uplink>,
    /// Whether this node serves others for its own sake.
    pub community: bool,
    /// The bad network to play on what this node sends over QUIC; none means what the environment variable
    /// `MAJLIS_TESTLINK` says.
    #[cfg(feature = "testlink")]
    pub link: Option<majlis_protocol::sim::link::Profile>,
}

impl Config {
    /// The usual settings with this home.
    #[must_use]
    pub fn at(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            listen: Vec::new(),
            announce: Vec::new(),
            bootstrap: Vec::new(),
            transport: TransportChoice::Any,
            mdns: true,
            nick: None,
            max_children: None,
            uplink: None,
            community: false,
            #[cfg(feature = "testlink")]
            link: None,
        }
    }

    /// The same node on loopback alone, without mDNS: for tests and for programs that talk to themselves.
    #[must_use]
    pub fn on_loopback(self) -> Self {
        Self {
            listen: vec![
                "/ip4/127.0.0.1/udp/0/quic-v1".into(),
                "/ip4/127.0.0.1/tcp/0".into(),
            ],
            mdns: false,
            ..self
        }
    }

    /// Most children, as far as it can be said before a room's bitrate is known.
    pub(super) fn places(&self) -> usize {
        match (self.max_children, self.uplink) {
            (Some(most), _) => (most as usize).min(MOST_PLACES),
            (None, Some(uplink)) => places(uplink.bits_per_second(), *BITRATES.start()),
            (None, None) => DEFAULT_MAX_CHILDREN as usize,
        }
    }

    /// What the network half is told.
    pub(super) fn network(&self, keypair: Keypair) -> Result<net::Config, NodeError> {
        Ok(net::Config {
            listen: multiaddrs(&self.listen)?,
            announce: multiaddrs(&self.announce)?,
            bootstrap: multiaddrs(&self.bootstrap)?,
            transport: self.transport,
            mdns: self.mdns,
            community: self.community,
            places: u32::try_from(self.places()).unwrap_or(u32::MAX),
            #[cfg(feature = "testlink")]
            link: self.link_profile()?,
            ..net::Config::new(keypair)
        })
    }
}

#[cfg(feature = "testlink")]
impl Config {
    fn link_profile(&self) -> Result<Option<majlis_protocol::sim::link::Profile>, NodeError> {
        if let Some(link) = &self.link {
            return Ok(Some(link.clone()));
        }
        let from_env = net::quic::testlink::profile_from_env();
        from_env.map_err(|error| NodeError::Link(error.to_string()))
    }
}

fn multiaddrs(texts: &[String]) -> Result<Vec<Multiaddr>, NodeError> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|_| NodeError::Address(text.clone())))
        .collect()
}
