//! Everything that touches the network: connections, streams and the finding of peers. Knows no rooms.
//!
//! One task, the driver, owns the libp2p swarm. [`Network`] is a handle on it: cheap to clone, and the last one
//! dropped ends the task and closes every connection. Events come out of one bounded channel. The swarm never waits
//! for the program: see `outbox` for what happens when the program is slow.

mod actor;
pub mod addresses;
mod behaviour;
mod config;
mod connections;
mod dials;
mod directory;
mod half_open;
mod handle;
mod outbox;
pub mod quic;
mod stats;
mod streams;
mod tcp;
mod transport;
mod zone;

use libp2p::{Multiaddr, PeerId, StreamProtocol, swarm::ConnectionId};
use tokio::sync::mpsc;

pub use self::{
    config::{Config, DIAL_TIMEOUT, NetError, TransportChoice},
    dials::DialError,
    directory::{AnnounceError, Kept, OWN_ROOMS, Provider, RoomChange},
    handle::Network,
    stats::Stats,
    streams::{Hold, MEDIA_PROTOCOL, OpenError, ROOM_PROTOCOL, STREAMS_PER_CONNECTION, Stream},
};

/// Events that wait in the channel itself; the driver keeps those beyond. One look of the program takes them all.
const EVENT_QUEUE: usize = 64;

/// What happens on the network.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetEvent {
    /// A connection with a peer is there.
    Connected {
        /// Who.
        peer: PeerId,
        /// Which connection; one peer may have several for a while.
        connection: ConnectionId,
        /// The other end's address as this connection knows it.
        address: Multiaddr,
        /// Whether we dialled.
        dialled: bool,
        /// Whether there was no connection with this peer before. Behind it, a `Disconnected` follows some day.
        first: bool,
    },
    /// The last connection with a peer is gone, and with it all its streams.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// A peer opened a stream. The receiver owns it; dropping it resets it.
    Inbound {
        /// Who.
        peer: PeerId,
        /// What the peer wants to speak: [`ROOM_PROTOCOL`] or [`MEDIA_PROTOCOL`].
        protocol: StreamProtocol,
        /// The stream.
        stream: Stream,
    },
    /// The addresses others can reach us by have changed.
    Listening {
        /// All of them, best first, each ending in `/p2p/` and our id.
        addresses: Vec<Multiaddr>,
    },
}

/// Starts the network half of a node. Returns once every socket is bound.
///
/// # Errors
/// [`NetError`] when an address cannot be listened on or the system refuses what is needed.
pub async fn start(config: Config) -> Result<(Network, mpsc::Receiver<NetEvent>), NetError> {
    let (events, receiver) = mpsc::channel(EVENT_QUEUE);
    let (driver, network) = actor::Driver::start(config).await?;
    tokio::spawn(driver.run(events));
    Ok((network, receiver))
}
