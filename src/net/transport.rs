//! The transports of a node, put together as its settings say.

use std::time::Duration;

use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns, noise, yamux,
};

use super::{
    config::{Config, NetError, TransportChoice},
    quic::{self, Hub},
    tcp,
};

/// How long noise and yamux may take on a TCP connection. The QUIC handshake has the same.
const TCP_UPGRADE_TIMEOUT: Duration = Duration::from_secs(5);

type Upgraded = Boxed<(PeerId, StreamMuxerBox)>;

/// What the swarm listens and dials with, and where the links of its QUIC connections are found.
pub(super) fn build(config: &Config) -> Result<(Upgraded, Hub), NetError> {
    let (transport, hub) = without_names(config)?;
    match dns::tokio::Transport::system(transport) {
        Ok(transport) => Ok((transport.boxed(), hub)),
        // This system does not say how it resolves names: addresses that need it stay unsupported.
        Err(error) => {
            tracing::debug!(%error, "no name resolution");
            without_names(config)
        }
    }
}

fn without_names(config: &Config) -> Result<(Upgraded, Hub), NetError> {
    match config.transport {
        TransportChoice::Quic => quic(config),
        TransportChoice::Tcp => Ok((tcp(config)?, Hub::default())),
        TransportChoice::Any => {
            let (quic, hub) = quic(config)?;
            let either = quic
                .or_transport(tcp(config)?)
                .map(|either, _| either.into_inner());
            Ok((either.boxed(), hub))
        }
    }
}

fn quic(config: &Config) -> Result<(Upgraded, Hub), NetError> {
    let quic = quic::Config::new(&config.keypair);
    #[cfg(feature = "testlink")]
    let quic = {
        let mut quic = quic;
        quic.testlink.clone_from(&config.link);
        quic
    };
    let (transport, hub) = quic::Transport::new(quic).map_err(|error| NetError::Setup(error.to_string()))?;
    let boxed = transport
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed();
    Ok((boxed, hub))
}

fn tcp(config: &Config) -> Result<Upgraded, NetError> {
    let noise = noise::Config::new(&config.keypair).map_err(|error| NetError::Setup(error.to_string()))?;
    Ok(tcp::Transport::new()
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(TCP_UPGRADE_TIMEOUT)
        .boxed())
}
