//! The way to one neighbour: QUIC datagrams where there are any, a substream where there are none.
//!
//! The path looks for itself again when its connection is gone, since a peer may have several, and a better one may
//! come.

use std::time::Duration;

use bytes::Bytes;
use libp2p::PeerId;
use majlis_protocol::{limits, wire::message::Alias};

use super::fallback;
use crate::net::{
    MEDIA_PROTOCOL, Network,
    quic::{Link, SendError},
};

/// The way to one neighbour in one room.
#[derive(Debug)]
pub(super) struct Path {
    peer: PeerId,
    alias: Alias,
    way: Way,
    /// Datagrams that found no way.
    lost: u64,
}

#[derive(Debug)]
enum Way {
    /// Datagrams on a connection.
    Datagrams(Link),
    /// A substream.
    Fallback(fallback::Sender),
}

impl Path {
    pub(super) fn new(network: &Network, peer: PeerId, alias: Alias) -> Self {
        Self {
            peer,
            alias,
            way: find(network, peer),
            lost: 0,
        }
    }

    /// What datagrams to this neighbour begin with.
    pub(super) fn alias(&self) -> Alias {
        self.alias
    }

    /// Most bytes that one datagram may have here.
    pub(super) fn capacity(&self) -> usize {
        match &self.way {
            Way::Datagrams(link) => link.max_size().unwrap_or(limits::DATAGRAM).min(limits::DATAGRAM),
            Way::Fallback(_) => limits::DATAGRAM,
        }
    }

    /// How long a round trip takes, where the transport measures it.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        match &self.way {
            Way::Datagrams(link) => Some(link.rtt()),
            Way::Fallback(_) => None,
        }
    }

    /// Datagrams that the link emulator dropped on this way on purpose.
    #[cfg(feature = "testlink")]
    pub(super) fn lost_by_testlink(&self) -> u64 {
        match &self.way {
            Way::Datagrams(link) => link.lost_by_testlink(),
            Way::Fallback(_) => 0,
        }
    }

    /// Whether what is not live may be queued: half of the queue is kept for what is.
    pub(super) fn has_room(&self) -> bool {
        match &self.way {
            Way::Datagrams(link) => link.has_room(),
            Way::Fallback(sender) => sender.has_room(),
        }
    }

    /// Datagrams that were dropped on the way out.
    pub(super) fn dropped(&self) -> u64 {
        self.lost
            + match &self.way {
                Way::Datagrams(_) => 0,
                Way::Fallback(sender) => sender.dropped(),
            }
    }

    /// Sends a datagram. Never waits.
    pub(super) fn send(&mut self, network: &Network, datagram: Bytes) {
        let Way::Datagrams(link) = &self.way else {
            return self.send_on_substream(datagram);
        };
        match link.send(datagram.clone()) {
            Ok(()) => {}
            Err(SendError::TooLarge { .. }) => self.lost += 1,
            Err(_) => {
                self.way = find(network, self.peer);
                match &self.way {
                    Way::Datagrams(link) if link.send(datagram.clone()).is_ok() => {}
                    Way::Datagrams(_) => self.lost += 1,
                    Way::Fallback(sender) => sender.send(datagram),
                }
            }
        }
    }

    fn send_on_substream(&self, datagram: Bytes) {
        if let Way::Fallback(sender) = &self.way {
            sender.send(datagram);
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if let Way::Fallback(sender) = &self.way {
            sender.close();
        }
    }
}

/// The newest connection that takes datagrams, or else a substream, which opens in the background.
fn find(network: &Network, peer: PeerId) -> Way {
    let mut links = network.links(peer).into_iter().rev();
    if let Some(link) = links.find(|link| !link.is_closed() && link.max_size().is_some()) {
        return Way::Datagrams(link);
    }
    let sender = fallback::Sender::new();
    tokio::spawn(open_fallback(network.clone(), peer, sender.clone()));
    Way::Fallback(sender)
}

async fn open_fallback(network: Network, peer: PeerId, sender: fallback::Sender) {
    match network.open(peer, MEDIA_PROTOCOL).await {
        Ok(stream) => {
            // The stream lives as long as the network: this task must not keep it up.
            drop(network);
            sender.run(stream).await;
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "no media substream");
            sender.close();
        }
    }
}
