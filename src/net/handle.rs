//! The handle that the rest of the program holds on the network.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    DialError, Hold, OpenError, Stats, Stream,
    quic::{Hub, Link},
    stats::Counters,
    streams::Holds,
};

/// Commands that wait for the driver, which takes each in microseconds; who sends more waits.
pub(super) const COMMAND_QUEUE: usize = 64;

/// A handle on the network. Clones are the same network; the last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Network {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// What handles read without asking the driver.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) local: PeerId,
    pub(super) addresses: watch::Receiver<Vec<Multiaddr>>,
    pub(super) holds: Holds,
    pub(super) counters: Arc<Counters>,
    pub(super) hub: Hub,
}

/// What a handle asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    /// Connect with a peer.
    Dial {
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<PeerId, DialError>>,
    },
    /// Open a stream to a connected peer.
    Open {
        peer: PeerId,
        protocol: StreamProtocol,
        reply: oneshot::Sender<Result<Stream, OpenError>>,
    },
    /// Close all connections with a peer.
    Disconnect {
        peer: PeerId,
        reply: oneshot::Sender<()>,
    },
    /// Close everything and end.
    Close { reply: oneshot::Sender<()> },
}

impl Network {
    pub(super) fn new(commands: mpsc::Sender<Command>, shared: Shared) -> Self {
        Self {
            commands,
            shared: Arc::new(shared),
        }
    }

    /// Who we are.
    #[must_use]
    pub fn local_peer(&self) -> PeerId {
        self.shared.local
    }

    /// The addresses others can reach us by, best first. Each ends in `/p2p/` and our id and works as a bootstrap
    /// address as it is.
    #[must_use]
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.shared.addresses.borrow().clone()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// The QUIC links to a peer, oldest first; none when it is reached over TCP alone.
    #[must_use]
    pub fn links(&self, peer: PeerId) -> Vec<Link> {
        self.shared.hub.links(&peer)
    }

    /// All QUIC links of this node.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Keeps the connections with a peer, present and future, from being closed as idle.
    pub fn hold(&self, peer: PeerId) -> Hold {
        self.shared.holds.hold(peer)
    }

    /// Connects with a peer, at once if we are connected already.
    ///
    /// Without a peer the addresses say whom to expect, if they do, and the first to answer is taken. Without
    /// addresses those are tried that discovery knows. QUIC gets a head start over TCP.
    ///
    /// # Errors
    /// [`DialError`] says why the peer was not reached, within [`super::DIAL_TIMEOUT`].
    pub async fn dial(&self, peer: Option<PeerId>, addresses: Vec<Multiaddr>) -> Result<PeerId, DialError> {
        self.ask(|reply| Command::Dial {
            peer,
            addresses,
            reply,
        })
        .await
        .unwrap_or(Err(DialError::Closed))
    }

    /// Opens a stream to a connected peer, on the best connection there is. Dials nobody.
    ///
    /// # Errors
    /// [`OpenError`] says why there is no stream.
    pub async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Open {
            peer,
            protocol,
            reply,
        };
        self.commands.send(command).await.map_err(|_| OpenError::Closed)?;
        // The connection went with the request in its hands.
        answer
            .await
            .unwrap_or_else(|_| Err(OpenError::Broken("it was closed".into())))
    }

    /// Closes all connections with a peer; returns once the driver has begun to.
    pub async fn disconnect(&self, peer: PeerId) {
        self.ask(|reply| Command::Disconnect { peer, reply }).await;
    }

    /// Closes the network for all handles, and waits until peers have been told.
    pub async fn close(&self) {
        self.ask(|reply| Command::Close { reply }).await;
    }

    /// Sends a command and waits for its answer; none when the network is closed.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}
