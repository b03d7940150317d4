//! The media plane: moves packets between connections, past the swarm.
//!
//! One plane a process; rooms share its links. A datagram comes in on a task of its connection, is judged by the
//! room's [`Flow`](majlis_protocol::media::Flow), and goes out again on every link that the verdict names, without
//! a queue of its own and without waiting; what came together goes on together (`bundle`). Where a path carries no
//! datagrams, the same bytes travel on a substream (`fallback`). The plane decides nothing: rooms tell it their routes, the flow judges.

mod bundle;
mod ear;
mod fallback;
mod intake;
mod outlet;
mod path;
mod paths;
mod room;

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use libp2p::PeerId;
use majlis_protocol::{
    person::Peer,
    room::RoomId,
    wire::{datagram::Datagram, message::Alias},
};
use tokio::sync::mpsc;

pub use room::{MediaStats, RoomMedia, Signal};

use self::intake::Intake;
use crate::net::{Network, Stream, quic::Link};

/// Most datagrams of one connection that are handled without a look at anything else. A stage sends three a tick; many
/// more, and one connection would hold up the others for milliseconds.
const TOGETHER: usize = 16;

/// A handle on the process's media plane.
#[derive(Debug, Clone)]
pub struct Plane {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    network: Network,
    rooms: RwLock<BTreeMap<Alias, Arc<RoomMedia>>>,
    /// The QUIC links that a task receives from.
    receiving: Mutex<BTreeSet<u64>>,
    /// Datagrams for rooms that are not here.
    unknown_room: AtomicU64,
    /// Datagrams that are not what they should be.
    malformed: AtomicU64,
}

impl Plane {
    /// A plane without rooms.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self {
            shared: Arc::new(Shared {
                network,
                rooms: RwLock::default(),
                receiving: Mutex::default(),
                unknown_room: AtomicU64::new(0),
                malformed: AtomicU64::new(0),
            }),
        }
    }

    /// Opens a room under an alias that no other room here has; `None` when there are 65,536 of them.
    ///
    /// What the room must know comes out of `signals`.
    #[must_use]
    pub fn open_room(&self, room: RoomId, signals: mpsc::Sender<Signal>) -> Option<Arc<RoomMedia>> {
        let mut rooms = self.shared.rooms.write().unwrap_or_else(PoisonError::into_inner);
        // Low aliases first: children of many parents then share one, and a datagram is built once for all of them.
        let alias = (0..=u16::MAX)
            .map(Alias)
            .find(|alias| !rooms.contains_key(alias))?;
        let media = Arc::new(RoomMedia::new(alias, room, self.shared.network.clone(), signals));
        rooms.insert(alias, Arc::clone(&media));
        tokio::spawn(media.drive());
        Some(media)
    }

    /// Closes a room: its alias is free, and what still comes for it is refused.
    pub fn close_room(&self, media: &RoomMedia) {
        self.shared
            .rooms
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&media.alias());
    }

    /// Receives from every QUIC link to a peer that is not received from yet. Call it for each new connection, once
    /// the swarm has accepted it.
    pub fn receive_from(&self, peer: PeerId) {
        for link in self.shared.network.links(peer) {
            if self.shared.receiving().insert(link.id()) {
                tokio::spawn(receive(Arc::downgrade(&self.shared), link));
            }
        }
    }

    /// Receives the datagrams that a peer sends on a substream, in a task of its own, until it ends.
    pub fn serve_fallback(&self, peer: PeerId, stream: Stream) {
        tokio::spawn(serve_fallback(Arc::downgrade(&self.shared), peer, stream));
    }

    /// Datagrams dropped because no room here has their alias.
    #[must_use]
    pub fn unknown_room(&self) -> u64 {
        self.shared.unknown_room.load(Ordering::Relaxed)
    }

    /// Datagrams dropped because they are not what they should be.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.shared.malformed.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Takes datagrams of a peer that are here already. What they bring goes on together.
    fn handle_datagrams(&self, peer: Peer, datagrams: impl IntoIterator<Item = Bytes>, arrived: Instant) {
        let mut intake: Option<Intake> = None;
        for bytes in datagrams {
            let Ok(datagram) = Datagram::parse(bytes) else {
                self.note_malformed();
                continue;
            };
            let alias = Alias(datagram.alias);
            if intake.as_ref().is_none_or(|intake| intake.alias() != alias) {
                if let Some(before) = intake.take() {
                    before.finish();
                }
                intake = self.room(alias).map(|room| Intake::new(room, arrived));
            }
            let Some(intake) = &mut intake else {
                self.unknown_room.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            for item in datagram.items {
                match item {
                    Ok(item) => intake.handle_item(peer, item),
                    Err(_) => self.note_malformed(),
                }
            }
        }
        if let Some(intake) = intake {
            intake.finish();
        }
    }

    fn room(&self, alias: Alias) -> Option<Arc<RoomMedia>> {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(&alias).cloned()
    }

    fn note_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    fn receiving(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.receiving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of one connection: until it ends, each datagram is handled as it comes, with those that came with it. It
/// does not keep the plane, and with it the network, from being dropped.
async fn receive(plane: Weak<Shared>, link: Link) {
    if let Some(peer) = peer_of(link.peer()) {
        while let Ok(first) = link.recv().await {
            let Some(plane) = plane.upgrade() else { return };
            let others = iter::from_fn(|| link.try_recv());
            let datagrams = iter::once(first).chain(others).take(TOGETHER);
            plane.handle_datagrams(peer, datagrams, Instant::now());
            drop(plane);
            // A connection on which something is always ready must not keep the others waiting.
            tokio::task::coop::consume_budget().await;
        }
    }
    if let Some(plane) = plane.upgrade() {
        plane.receiving().remove(&link.id());
    }
}

/// The same for a substream.
async fn serve_fallback(plane: Weak<Shared>, peer: PeerId, stream: Stream) {
    let Some(peer) = peer_of(peer) else { return };
    let mut datagrams = fallback::Receiver::new(stream);
    while let Some(datagram) = datagrams.next().await {
        let Some(plane) = plane.upgrade() else { return };
        match datagram {
            Ok(datagram) => plane.handle_datagrams(peer, [datagram], Instant::now()),
            Err(_) => return plane.note_malformed(),
        }
    }
}

/// The member that a connection proves, if its key is of the kind that members have.
fn peer_of(peer: PeerId) -> Option<Peer> {
    Peer::from_peer_id_bytes(&peer.to_bytes()).ok()
}
