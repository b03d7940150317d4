//! QUIC with datagrams: a libp2p transport of our own.
//!
//! On the wire this is libp2p's QUIC transport: QUIC version 1 (RFC 9000), the libp2p TLS handshake,
//! ALPN `libp2p`, one bidirectional QUIC stream a substream. A stock peer connects in either direction
//! and notices nothing. What is added is that a connection also offers unreliable datagrams (RFC 9221),
//! which carry the sound: a lost stream segment holds back everything behind it, a lost datagram only
//! itself.
//!
//! Between two of ours most datagrams do not go through QUIC at all, but beside it on the same socket, sealed with keys
//! from the same handshake: express packets, which cost a relay a third. QUIC's datagrams are what carries them until
//! express is known to get through, and where it does not.
//!
//! The two halves part after the handshake. The [`Connection`] goes to the swarm, which opens and accepts
//! substreams on it. A [`Link`], a handle on the same connection for datagrams, goes into the [`Hub`],
//! where the media plane finds it by peer.
//!
//! Invariants:
//! - The swarm owns the connection. When it drops the [`Connection`] (denied, lost a race, closed), the
//!   QUIC connection closes and its link leaves the hub, however many handles of it exist.
//! - Nothing that arrives from the network can panic here, block a sender, or grow a queue without bound.
//! - With the feature `testlink` the sockets and links can play a bad network; without it no trace of
//!   that is compiled in.
//!
//! ```no_run
//! use libp2p::{SwarmBuilder, identity::Keypair, ping};
//! use majlis::net::quic::{Config, Transport};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let keypair = Keypair::generate_ed25519();
//! let (transport, hub) = Transport::new(Config::new(&keypair))?;
//! let swarm = SwarmBuilder::with_existing_identity(keypair)
//!     .with_tokio()
//!     .with_other_transport(|_| transport)?
//!     .with_behaviour(|_| ping::Behaviour::default())?
//!     .build();
//! // On SwarmEvent::ConnectionEstablished { peer_id, .. }: hub.links(&peer_id)
//! # drop((swarm, hub)); Ok(()) }
//! ```

mod address;
mod certificate;
mod config;
mod congestion;
mod connection;
mod error;
mod express;
mod handshake;
mod holepunch;
mod hub;
mod link;
mod listener;
mod socket;
#[cfg(feature = "testlink")]
pub mod testlink;
mod transport;

pub use config::Config;
pub use connection::{Connection, Stream};
pub use error::Error;
pub use hub::Hub;
pub use link::{Closed, Link, SendError, Stats};
pub use transport::Transport;
