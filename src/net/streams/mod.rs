//! Substreams for the protocols of the program itself: opened on demand, handed out as they come.
//!
//! Invariants: a stream is opened or refused, never lost; nobody dials here; each connection carries at most
//! [`STREAMS_PER_CONNECTION`] of these streams at a time, whoever opened them. Requests reach a connection through
//! a channel of its own and never through the swarm, whose delivery to one stuck connection stops all behaviours.

mod behaviour;
mod handler;
mod hold;
mod stream;

use std::time::Duration;

use libp2p::StreamProtocol;

pub(super) use self::{
    behaviour::{Behaviour, Event},
    hold::Holds,
};
pub use self::{hold::Hold, stream::Stream};

/// The control substream of a room (SPEC.md section 11).
pub const ROOM_PROTOCOL: StreamProtocol = StreamProtocol::new("/majlis/room/1");

/// Datagrams over a substream, where the path carries none (SPEC.md section 10).
pub const MEDIA_PROTOCOL: StreamProtocol = StreamProtocol::new("/majlis/media/1");

/// The protocols that are accepted from others.
const ACCEPTED: [StreamProtocol; 2] = [ROOM_PROTOCOL, MEDIA_PROTOCOL];

/// Most application streams of one connection at a time: a control and two media substreams each for twenty rooms
/// shared with one peer. A peer that opens streams and says nothing holds this many and no more.
pub const STREAMS_PER_CONNECTION: usize = 64;

/// How long the other side may take to agree on a protocol. Two round trips on the worst path that still
/// carries speech; a peer that never answers frees its slot after this.
const NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests to open that wait for one connection's task. It takes them at its next turn; a longer queue would only
/// hide that the connection is stuck.
const OPEN_QUEUE: usize = 16;

/// Why a stream was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no connection to the peer; dial it first.
    #[error("not connected to the peer")]
    NotConnected,
    /// The peer does not speak the protocol; a retry does not help.
    #[error("the peer does not speak {0}")]
    Unsupported(StreamProtocol),
    /// The peer did not answer in time; a retry may help.
    #[error("the peer did not answer")]
    TimedOut,
    /// Too many streams to this peer are open or being opened; a retry helps once some are closed.
    #[error("too many streams to the peer")]
    TooMany,
    /// The connection broke; dial again.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The network has been closed.
    #[error("the network is closed")]
    Closed,
}

/// A request that travels to the connection's handler.
#[derive(Debug)]
struct Open {
    protocol: StreamProtocol,
    reply: Reply,
}

type Reply = tokio::sync::oneshot::Sender<Result<Stream, OpenError>>;
