//! What a node is told before it starts.

use std::path::PathBuf;

use libp2p::{Multiaddr, identity::Keypair};

use super::NodeError;
use crate::net::{self, TransportChoice};

/// Most children, unless it is said otherwise. As long as every listener takes its sound from the host itself, this
/// is also the size of the audience; at 32 kbit/s a hundred of them take about 5 Mbit/s of uplink.
pub const DEFAULT_MAX_CHILDREN: u32 = 100;

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
    /// Most children in each room.
    pub max_children: Option<u32>,
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

    /// What the network half is told.
    pub(super) fn network(&self, keypair: Keypair) -> Result<net::Config, NodeError> {
        Ok(net::Config {
            listen: multiaddrs(&self.listen)?,
            announce: multiaddrs(&self.announce)?,
            bootstrap: multiaddrs(&self.bootstrap)?,
            transport: self.transport,
            mdns: self.mdns,
            community: self.community,
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
