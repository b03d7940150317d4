//! The way to one neighbour: QUIC datagrams where there are any, a substream where there are none.
//!
//! The path looks for itself again when its connection is gone, since a peer may have several, and a better one may
//! come.

use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::PeerId;
use majlis_protocol::{limits, wire::message::Alias};

use super::fallback;
use crate::net::{
    MEDIA_PROTOCOL, Network,
    quic::{Link, SendError},
};

/// How often a path without datagrams looks for a better one, and how long it takes a substream that broke for gone:
/// a peer that refuses is not asked for each packet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The way to one neighbour in one room.
#[derive(Debug)]
pub(super) struct Path {
    peer: PeerId,
    alias: Alias,
    way: Way,
    /// Datagrams that found no way, and those that former ways dropped.
    lost: u64,
}

#[derive(Debug)]
enum Way {
    /// Datagrams on a connection.
    Datagrams {
        link: Link,
        /// How many the connection had dropped before.
        overflowed: u64,
    },
    /// A substream.
    Fallback {
        sender: fallback::Sender,
        /// When a better way was last looked for.
        looked: Instant,
    },
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
            Way::Datagrams { link, .. } => link.max_size().unwrap_or(limits::DATAGRAM).min(limits::DATAGRAM),
            Way::Fallback { .. } => limits::DATAGRAM,
        }
    }

    /// How long a round trip takes, where the transport measures it.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        match &self.way {
            Way::Datagrams { link, .. } => Some(link.rtt()),
            Way::Fallback { .. } => None,
        }
    }

    /// Datagrams that the link emulator dropped on this way on purpose.
    #[cfg(feature = "testlink")]
    pub(super) fn lost_by_testlink(&self) -> u64 {
        match &self.way {
            Way::Datagrams { link, .. } => link.lost_by_testlink(),
            Way::Fallback { .. } => 0,
        }
    }

    /// Whether what is not live may be queued: half of the queue is kept for what is.
    pub(super) fn has_room(&self) -> bool {
        match &self.way {
            Way::Datagrams { link, .. } => link.has_room(),
            Way::Fallback { sender, .. } => sender.has_room(),
        }
    }

    /// Datagrams that were dropped on the way out. What else is sent on the same connection is counted with them.
    pub(super) fn dropped(&self) -> u64 {
        self.lost + self.way.dropped()
    }

    /// Sends a datagram. Never waits.
    pub(super) fn send(&mut self, network: &Network, datagram: Bytes) {
        self.look_for_better(network);
        match self.way.send(datagram) {
            Ok(()) => {}
            Err(Unsent::Lost) => self.lost += 1,
            Err(Unsent::NoWay(datagram)) => {
                self.take(find(network, self.peer));
                if self.way.send(datagram).is_err() {
                    self.lost += 1;
                }
            }
        }
    }

    /// Leaves a substream for datagrams as soon as there are some, and one that broke for another.
    fn look_for_better(&mut self, network: &Network) {
        let Way::Fallback { sender, looked } = &mut self.way else {
            return;
        };
        if looked.elapsed() < LOOK_AGAIN {
            return;
        }
        *looked = Instant::now();
        if sender.is_closed() {
            self.take(find(network, self.peer));
        } else if let Some(way) = datagrams(network, self.peer) {
            self.take(way);
        }
    }

    fn take(&mut self, way: Way) {
        self.lost += self.way.dropped();
        let old = std::mem::replace(&mut self.way, way);
        if let Way::Fallback { sender, .. } = old {
            sender.close();
        }
    }
}

/// Why a datagram was not sent.
enum Unsent {
    /// It cannot be.
    Lost,
    /// Its connection is gone.
    NoWay(Bytes),
}

impl Way {
    fn dropped(&self) -> u64 {
        match self {
            Self::Datagrams { link, overflowed } => {
                link.stats().datagrams_overflowed.saturating_sub(*overflowed)
            }
            Self::Fallback { sender, .. } => sender.dropped(),
        }
    }

    fn send(&self, datagram: Bytes) -> Result<(), Unsent> {
        match self {
            Self::Datagrams { link, .. } => match link.send(datagram.clone()) {
                Ok(()) => Ok(()),
                Err(SendError::TooLarge { .. }) => Err(Unsent::Lost),
                Err(_) => Err(Unsent::NoWay(datagram)),
            },
            Self::Fallback { sender, .. } if sender.is_closed() => Err(Unsent::Lost),
            Self::Fallback { sender, .. } => {
                sender.send(datagram);
                Ok(())
            }
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if let Way::Fallback { sender, .. } = &self.way {
            sender.close();
        }
    }
}

/// The newest connection that takes datagrams, or else a substream, which opens in the background.
fn find(network: &Network, peer: PeerId) -> Way {
    datagrams(network, peer).unwrap_or_else(|| {
        let sender = fallback::Sender::new();
        tokio::spawn(open_fallback(network.clone(), peer, sender.clone()));
        let looked = Instant::now();
        Way::Fallback { sender, looked }
    })
}

/// The newest connection that takes datagrams.
fn datagrams(network: &Network, peer: PeerId) -> Option<Way> {
    let mut links = network.links(peer).into_iter().rev();
    let link = links.find(|link| !link.is_closed() && link.max_size().is_some())?;
    let overflowed = link.stats().datagrams_overflowed;
    Some(Way::Datagrams { link, overflowed })
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
