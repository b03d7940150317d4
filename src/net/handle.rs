//! The handle that the rest of the program holds on the network.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId, StreamProtocol};
use majlis_protocol::{
    announcement::{Announcement, Listing},
    room::RoomTag,
    signed::Signed,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    AnnounceError, DialError, Hold, Kept, OpenError, Provider, RoomChange, Stats, Stream,
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
    /// Weak, so that those who watch see the end when the driver has gone.
    pub(super) changes: broadcast::WeakSender<RoomChange>,
    /// As the one above.
    pub(super) kept: broadcast::WeakSender<Kept>,
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
    /// Announce a room of our own, or its end.
    Announce {
        announcement: Signed<Announcement>,
        reply: oneshot::Sender<Result<(), AnnounceError>>,
    },
    /// List rooms.
    Rooms {
        tag: Option<RoomTag>,
        reply: oneshot::Sender<Vec<Listing>>,
    },
    /// Provide a key, or provide it no more.
    Provide {
        key: [u8; 32],
        provide: bool,
        reply: oneshot::Sender<()>,
    },
    /// Look for those who provide a key.
    Providers {
        key: [u8; 32],
        reply: oneshot::Sender<mpsc::Receiver<Provider>>,
    },
    /// Name the peers to remember.
    KnownPeers { reply: oneshot::Sender<Vec<Multiaddr>> },
    /// Tell the records that are kept for others.
    Written {
        reply: oneshot::Sender<Vec<bytes::Bytes>>,
    },
    /// Keep those of an earlier run.
    Restore {
        written: Vec<Vec<u8>>,
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

    /// Announces a room of our own: at once, every minute, and to new neighbours, until its end is announced. One signed
    /// anew replaces the one before; sign anew at every change and well before it expires.
    ///
    /// # Errors
    /// [`AnnounceError`] when it does not prove itself, or there are too many.
    pub async fn announce(&self, announcement: Signed<Announcement>) -> Result<(), AnnounceError> {
        self.ask(|reply| Command::Announce { announcement, reply })
            .await
            .unwrap_or(Err(AnnounceError::Closed))
    }

    /// The public rooms that are known, or those with a tag: the open ones, and then those to come or called off, each in
    /// ascending order of their ids.
    pub async fn rooms(&self, tag: Option<RoomTag>) -> Vec<Listing> {
        self.ask(|reply| Command::Rooms { tag, reply })
            .await
            .unwrap_or_default()
    }

    /// What changes in the list of rooms from now on; ends with the network. Who is told to have missed some reads
    /// [`Network::rooms`] again.
    #[must_use]
    pub fn watch_rooms(&self) -> broadcast::Receiver<RoomChange> {
        match self.shared.changes.upgrade() {
            Some(changes) => changes.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    /// What community nodes say from now on to records of ours of rooms to come; ends with the network.
    #[must_use]
    pub fn watch_keepers(&self) -> broadcast::Receiver<Kept> {
        match self.shared.kept.upgrade() {
            Some(kept) => kept.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    /// Provides a key in the DHT: whoever looks for it finds us. Repeated until it is stopped.
    pub async fn provide(&self, key: [u8; 32]) {
        let provide = true;
        self.ask(|reply| Command::Provide { key, provide, reply }).await;
    }

    /// Provides a key no more. Others forget it within five minutes.
    pub async fn stop_providing(&self, key: [u8; 32]) {
        let provide = false;
        self.ask(|reply| Command::Provide { key, provide, reply }).await;
    }

    /// Looks for those who provide a key; the receiver ends with the search, and dropping it ends the search. Nobody
    /// found is believed yet, and addresses may be missing.
    pub async fn providers(&self, key: [u8; 32]) -> mpsc::Receiver<Provider> {
        self.ask(|reply| Command::Providers { key, reply })
            .await
            .unwrap_or_else(|| mpsc::channel(1).1)
    }

    /// Peers that answered our dials, newest first, to be saved and given back as
    /// [`known_peers`](super::Config::known_peers) at the next start.
    pub async fn known_peers(&self) -> Vec<Multiaddr> {
        self.ask(|reply| Command::KnownPeers { reply })
            .await
            .unwrap_or_default()
    }

    /// Records of rooms to come that are kept for others, for [`Network::restore`] at the next start.
    pub async fn written(&self) -> Vec<bytes::Bytes> {
        self.ask(|reply| Command::Written { reply })
            .await
            .unwrap_or_default()
    }

    /// Keeps what an earlier run has kept, as far as it still counts.
    pub async fn restore(&self, written: Vec<Vec<u8>>) {
        self.ask(|reply| Command::Restore { written, reply }).await;
    }

    /// Closes the network for all handles, and waits until peers have been told, for half a second at most. A program that
    /// ends without it leaves its peers to find out by themselves, which takes three seconds.
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
