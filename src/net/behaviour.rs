//! What this node speaks on each connection, in one value that the swarm drives.

use std::time::Duration;

use libp2p::{connection_limits, identify, ping, swarm::NetworkBehaviour};

use super::{
    config::{CONNECTIONS_PER_PEER, Config, NetError, PENDING_INCOMING, PENDING_OUTGOING},
    directory, half_open, streams,
};

/// The identify protocol version: who has another is no Majlis peer, and no enemy.
const IDENTIFY_VERSION: &str = "/majlis/1";

/// How often an idle connection is probed. Below the 30 to 60 s after which home routers forget a UDP flow.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// All protocols. The limits come first, so that what they deny costs the others nothing.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) half_open: half_open::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) streams: streams::Behaviour,
    pub(super) directory: directory::Behaviours,
}

impl Behaviour {
    pub(super) fn new(config: &Config, holds: streams::Holds) -> Result<Self, NetError> {
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits(config)),
            half_open: half_open::Behaviour::default(),
            identify: identify::Behaviour::new(
                identify::Config::new(IDENTIFY_VERSION.into(), config.keypair.public())
                    .with_agent_version(concat!("majlis/", env!("CARGO_PKG_VERSION")).into())
                    .with_push_listen_addr_updates(true),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL)),
            streams: streams::Behaviour::new(holds),
            directory: directory::Behaviours::new(config)?,
        })
    }
}

fn limits(config: &Config) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER))
        .with_max_established(Some(config.connections()))
        .with_max_established_incoming(Some(config.incoming()))
        .with_max_pending_incoming(Some(PENDING_INCOMING))
        .with_max_pending_outgoing(Some(PENDING_OUTGOING))
}
