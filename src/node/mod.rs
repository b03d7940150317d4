//! A node: one person's presence on the network, and the rooms it takes part in.
//!
//! A [`Node`] is a cheap handle; it opens the home, binds the sockets, greets peers that say hello to one of its rooms
//! and starts an actor for each room. When the last handle is dropped, on the node and on its rooms, the node closes.

mod ahead;
mod config;
mod greeter;
mod listings;
mod uplink;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{Multiaddr, identity::Keypair};
use majlis_protocol::{
    limits,
    link::{Address, RoomLink},
    person::{Peer, Person, PersonKey},
    room::{Genesis, RoomId, RoomTag},
    text::Text,
};
use tokio::{sync::mpsc, task::AbortHandle};

pub use self::{
    ahead::{Keeper, KeeperStream},
    config::{Config, DEFAULT_MAX_CHILDREN},
    listings::ListingStream,
    uplink::{Uplink, UplinkError},
};
use crate::{
    event::{self, Event, LeftReason},
    home::{Home, HomeError, Volumes},
    media::Plane,
    net::{self, NetError, Network},
    room::{self, Arrival, Hosting, RoomError, RoomHandle, Seat, Setup},
};

/// Peers that said hello and wait for a room's actor.
const ARRIVALS: usize = 64;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The home could not be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The network could not be started.
    #[error(transparent)]
    Net(#[from] NetError),
    /// An address in the configuration is none.
    #[error("{0} is not a multiaddr such as /ip4/127.0.0.1/udp/4001/quic-v1")]
    Address(String),
    /// The bad network that was asked for makes no sense.
    #[cfg(feature = "testlink")]
    #[error("MAJLIS_TESTLINK: {0}")]
    Link(String),
    /// The nickname is too long.
    #[error("the nickname is longer than {} bytes", limits::NICK)]
    Nick,
}

/// A handle on a node. Clones are the same node, and so are the handles on its rooms: when the last of all these is
/// dropped, the node leaves its rooms and closes. A program that is about to end calls [`Node::shutdown`] and waits.
#[derive(Debug, Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    home: Home,
    volumes: Volumes,
    key: Arc<PersonKey>,
    nick: String,
    max_children: usize,
    uplink: Option<Uplink>,
    /// Whether announcements of others are kept on disk.
    is_community: bool,
    network: Network,
    plane: Plane,
    rooms: Rooms,
    /// Holds the plane, and so would keep the network up for ever.
    greeter: AbortHandle,
}

/// The rooms of a node: where each takes its arrivals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rooms(Arc<Mutex<BTreeMap<RoomId, Entry>>>);

#[derive(Debug)]
struct Entry {
    arrivals: mpsc::Sender<Arrival>,
    /// Set once the room was joined.
    handle: Option<RoomHandle>,
}

impl Node {
    /// Opens the home, binds the sockets and starts to greet.
    ///
    /// # Errors
    /// [`NodeError`] says what to change.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let home = Home::open(&config.home)?;
        let key = Arc::new(home.person_key()?);
        let nick = Text::clean(config.nick.as_deref().unwrap_or("guest")).to_string();
        if nick.len() > limits::NICK {
            return Err(NodeError::Nick);
        }
        let mut net_config = config.network(keypair(&key))?;
        net_config.known_peers = home
            .known_peers()
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect();
        let (network, events) = net::start(net_config).await?;
        if config.community {
            network.restore(home.announced()).await;
        }
        let plane = Plane::new(network.clone());
        let rooms = Rooms::default();
        let greeter = tokio::spawn(greeter::run(events, plane.clone(), rooms.clone())).abort_handle();
        Ok(Self {
            shared: Arc::new(Shared {
                volumes: home.volumes(),
                home,
                key,
                nick,
                max_children: config.places(),
                uplink: config.uplink,
                is_community: config.community,
                network,
                plane,
                rooms,
                greeter,
            }),
        })
    }

    /// This end of every link.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer(self.person().0)
    }

    /// The person that acts here.
    #[must_use]
    pub fn person(&self) -> Person {
        self.shared.key.person()
    }

    /// What the person is called.
    #[must_use]
    pub fn nick(&self) -> &str {
        &self.shared.nick
    }

    /// Where this node can be reached, best first.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        addresses(&self.shared.network)
    }

    /// What to tell when the sockets are bound.
    #[must_use]
    pub fn listening(&self) -> Event {
        Event::Listening {
            peer: self.peer(),
            key: self.person(),
            addresses: self.addresses(),
        }
    }

    /// Opens a room of one's own.
    ///
    /// # Errors
    /// [`RoomError`] when a field breaks its limit, or sound or log cannot be opened.
    pub async fn host(&self, hosting: Hosting) -> Result<RoomHandle, RoomError> {
        let Hosting {
            title,
            description,
            language,
            mut tags,
            visibility,
            audio,
            seat,
        } = hosting;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).expect("the system gives randomness, or nothing here can be secure");
        tags.sort();
        tags.dedup();
        let description = Text::clean(&description);
        let genesis = Genesis {
            description,
            language,
            tags,
            visibility,
            audio,
            ..Genesis::new(self.person(), &title, nonce)
        };
        let genesis = genesis.sign(&self.shared.key)?;
        let link = RoomLink {
            room: RoomId::of(&genesis),
            via: self.addresses(),
        };
        self.enter(link, room::Entry::Open(Box::new(genesis)), seat).await
    }

    /// Opens a room of one's own again, with the log that this home holds of it. Whoever is still in it is joined.
    ///
    /// # Errors
    /// [`RoomError::NotOurs`] when there is none; [`RoomError`] when it has ended, or sound or log cannot be opened.
    pub async fn host_again(&self, room: RoomId, seat: Seat) -> Result<RoomHandle, RoomError> {
        if !self.shared.home.has_room(room) {
            return Err(RoomError::NotOurs);
        }
        let via = self.addresses();
        self.enter(RoomLink { room, via }, room::Entry::OpenAgain, seat)
            .await
    }

    /// Joins a room by its link. Returns once this node has a place there.
    ///
    /// # Errors
    /// [`RoomError`] says why it has none.
    pub async fn join(&self, link: &RoomLink, seat: Seat) -> Result<RoomHandle, RoomError> {
        self.enter(link.clone(), room::Entry::Join { appeal: None }, seat)
            .await
    }

    /// The same, with what is said to those who keep order there, should this person be banned: 1 to 180 bytes. It is
    /// refused all the same; its error says what became of the appeal.
    ///
    /// # Errors
    /// [`RoomError`], as of [`Node::join`].
    pub async fn appeal(&self, link: &RoomLink, appeal: String, seat: Seat) -> Result<RoomHandle, RoomError> {
        let appeal = Some(appeal);
        self.enter(link.clone(), room::Entry::Join { appeal }, seat).await
    }

    /// The public rooms that this node has heard of, or those with a tag: the open ones, and then those to come, each in
    /// ascending order of their ids.
    pub async fn listings(&self, tag: Option<&RoomTag>) -> Vec<event::Listing> {
        self.shared
            .network
            .rooms(tag.cloned())
            .await
            .iter()
            .filter(|listing| listings::cancelled(listing).is_none())
            .map(listings::shown)
            .collect()
    }

    /// What changes in the list of public rooms from now on.
    #[must_use]
    pub fn watch_listings(&self) -> ListingStream {
        ListingStream::new(self.shared.network.watch_rooms())
    }

    /// The rooms this node is in.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomHandle> {
        let handles = self.shared.rooms.handles().into_iter();
        handles.map(|handle| self.holding(handle)).collect()
    }

    /// One of them.
    #[must_use]
    pub fn room(&self, id: RoomId) -> Option<RoomHandle> {
        self.shared
            .rooms
            .lock()
            .get(&id)
            .and_then(|entry| entry.handle.clone())
            .map(|handle| self.holding(handle))
    }

    /// How loud this person wants another, in percent: 100 unless it was set, 0 where they are muted here.
    #[must_use]
    pub fn volume(&self, person: Person) -> u16 {
        self.shared.volumes.of(person)
    }

    /// Makes another louder or softer for this person alone, in every room and from now on: 0, which mutes them here, to
    /// [`crate::home::MOST_VOLUME`] percent. It is kept in the home.
    ///
    /// # Errors
    /// [`HomeError::Write`] when it cannot be kept; it holds all the same until the node closes.
    pub async fn set_volume(&self, person: Person, percent: u16) -> Result<(), HomeError> {
        let volumes = self.shared.volumes.clone();
        let kept = tokio::task::spawn_blocking(move || volumes.set(person, percent)).await;
        for room in self.rooms() {
            room.follow_volume(person).await;
        }
        // The thread does not panic; were it torn down, the process ends.
        kept.unwrap_or(Ok(()))
    }

    /// Leaves all rooms, and closes the network. Waits until peers have been told, a second or two at most.
    pub async fn shutdown(&self) {
        for room in self.rooms() {
            room.leave(LeftReason::Interrupted).await;
        }
        let known: Vec<String> = self
            .shared
            .network
            .known_peers()
            .await
            .iter()
            .map(Multiaddr::to_string)
            .collect();
        if let Err(error) = self.shared.home.save_known_peers(&known) {
            tracing::warn!(%error, "the peers met are not remembered");
        }
        self.save_announced().await;
        self.shared.network.close().await;
    }

    /// Keeps on disk, as a community node, what it keeps for others: a new run tells of it at once.
    pub async fn save_announced(&self) {
        if !self.shared.is_community {
            return;
        }
        let written = self.shared.network.written().await;
        if let Err(error) = self.shared.home.save_announced(&written) {
            tracing::warn!(%error, "the announcements of rooms to come are not kept");
        }
    }

    async fn enter(&self, link: RoomLink, entry: room::Entry, seat: Seat) -> Result<RoomHandle, RoomError> {
        let room = link.room;
        let seat = seat.ready()?;
        let arrivals = self.shared.rooms.reserve(room).ok_or(RoomError::AlreadyThere)?;
        let entering = async {
            let setup = Setup {
                key: Arc::clone(&self.shared.key),
                nick: self.shared.nick.clone(),
                max_children: self.shared.max_children,
                uplink: self.shared.uplink,
                network: self.shared.network.clone(),
                plane: self.shared.plane.clone(),
                log: self.shared.home.room_log(room)?,
                volumes: self.shared.volumes.clone(),
                link,
                entry,
                seat,
                arrivals,
            };
            room::start(setup).await
        };
        let entered = entering.await;
        match &entered {
            Ok(handle) => self.shared.rooms.fill(room, handle.clone()),
            Err(_) => self.shared.rooms.remove(room),
        }
        entered.map(|handle| self.holding(handle))
    }

    /// A handle for the outside. The node's own keep no node up, or it would never close.
    fn holding(&self, handle: RoomHandle) -> RoomHandle {
        handle.holding(Arc::clone(&self.shared))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.greeter.abort();
        self.rooms.lock().clear();
    }
}

impl Rooms {
    /// Takes the place of a room that is about to be entered; `None` when it is taken.
    fn reserve(&self, room: RoomId) -> Option<mpsc::Receiver<Arrival>> {
        let mut rooms = self.lock();
        if rooms.get(&room).is_some_and(|entry| !entry.arrivals.is_closed()) {
            return None;
        }
        let (arrivals, receiver) = mpsc::channel(ARRIVALS);
        rooms.insert(
            room,
            Entry {
                arrivals,
                handle: None,
            },
        );
        Some(receiver)
    }

    fn fill(&self, room: RoomId, handle: RoomHandle) {
        if let Some(entry) = self.lock().get_mut(&room) {
            entry.handle = Some(handle);
        }
    }

    fn remove(&self, room: RoomId) {
        self.lock().remove(&room);
    }

    /// Where a room takes its arrivals, if this node is in it.
    pub(crate) fn arrivals(&self, room: RoomId) -> Option<mpsc::Sender<Arrival>> {
        self.lock().get(&room).map(|entry| entry.arrivals.clone())
    }

    fn handles(&self) -> Vec<RoomHandle> {
        let mut rooms = self.lock();
        // A room that was left has closed its arrivals.
        rooms.retain(|_, entry| !entry.arrivals.is_closed());
        rooms.values().filter_map(|entry| entry.handle.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoomId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A network's addresses as rooms pass them on, at most eight.
pub(crate) fn addresses(network: &Network) -> Vec<Address> {
    let addresses = network.addresses();
    addresses
        .iter()
        .map(Multiaddr::to_string)
        .filter_map(|text| text.parse().ok())
        .take(limits::ADDRESSES)
        .collect()
}

/// In version 1 the person's key is the peer's as well.
fn keypair(key: &PersonKey) -> Keypair {
    Keypair::ed25519_from_bytes(key.to_seed()).expect("32 bytes are an Ed25519 seed, whatever they are")
}
