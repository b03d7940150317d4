//! A relay that keeps every rule but one: it has a place below the host, gives places of its own, passes on sound, log
//! and beacons as a member would, and breaks what its [`Conduct`] says.
//!
//! It names the host as the elder that its children can turn to, since that is what an honest parent there does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use libp2p::PeerId;
use majlis::net::{NetEvent, Network, ROOM_PROTOCOL, quic};
use majlis_protocol::{
    link::{Address, RoomLink},
    log::{Entry, Head},
    person::Peer,
    signed::Signed,
    wire::{
        datagram::{Datagram, Item},
        message::{
            Alias, Attach, Attached, Candidate, Entries, Hello, Message, Position, Report, Slot, Welcome,
        },
    },
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::attacker::{Attacker, Intruder, Wire, datagram, within};

/// What datagrams to it begin with.
const ALIAS: Alias = Alias(3);

/// Messages that wait to be told to one child.
const WAITING: usize = 256;

/// What a relay does with what it should pass on.
pub(crate) trait Conduct: Send {
    /// The items that are sent to each child for a packet that came from the host.
    fn items(&mut self, packet: Bytes) -> Vec<Bytes> {
        vec![packet]
    }

    /// Whether entries and beacons are passed on.
    fn tells_the_log(&self) -> bool {
        true
    }

    /// Whether who asks for a place is answered.
    fn gives_places(&self) -> bool {
        true
    }
}

/// It does what a relay should.
pub(crate) struct Honest;

impl Conduct for Honest {}

/// The relay; it lives until it is dropped.
pub(crate) struct Rogue {
    shared: Arc<Shared>,
    /// What is told to the host.
    up: mpsc::Sender<Message>,
    /// What children say that needs no answer.
    heard: mpsc::Receiver<Message>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    network: Network,
    hello: Hello,
    welcome: Welcome,
    host: Candidate,
    state: Mutex<State>,
}

struct State {
    conduct: Box<dyn Conduct>,
    entries: Vec<Signed<Entry>>,
    head: Head,
    children: Vec<Child>,
    /// Items sent to each child.
    items: u64,
}

struct Child {
    peer: PeerId,
    alias: Alias,
    down: mpsc::Sender<Message>,
}

impl Rogue {
    /// A relay below the host that a link names, which behaves until it is told otherwise.
    pub(crate) async fn enter(link: &RoomLink) -> Self {
        let attacker = Attacker::start().await;
        let hello = attacker.hello(link.room);
        let mut intruder = attacker.enter(link).await;
        intruder.wire.say(&Message::Attach(Attach::join(8))).await;
        let mut entries = Vec::new();
        intruder
            .hear_until("a place", |message, _| match message {
                Message::Entries(news) => {
                    entries.extend(news.entries.iter().cloned());
                    false
                }
                message => matches!(message, Message::Attached(_)),
            })
            .await;
        let Intruder {
            attacker,
            wire,
            welcome,
            at,
            log,
        } = intruder;
        let host = Candidate {
            peer: Peer::from_peer_id_bytes(&at.to_bytes()).expect("an Ed25519 key"),
            addresses: link.via.clone(),
        };
        let shared = Arc::new(Shared {
            network: attacker.network.clone(),
            hello,
            welcome,
            host,
            state: Mutex::new(State {
                conduct: Box::new(Honest),
                entries,
                head: log.head(),
                children: Vec::new(),
                items: 0,
            }),
        });
        let (up, to_host) = mpsc::channel(WAITING);
        let (say, heard) = mpsc::channel(WAITING);
        let sound = attacker.network.links(at).pop().expect("QUIC");
        let tasks = vec![
            tokio::spawn(follow(Arc::clone(&shared), wire, to_host)),
            tokio::spawn(pass_on(Arc::clone(&shared), sound)),
            tokio::spawn(receive(Arc::clone(&shared), attacker, say)),
        ];
        Self {
            shared,
            up,
            heard,
            tasks,
        }
    }

    /// Who it is.
    pub(crate) fn peer(&self) -> Peer {
        self.shared.me().peer
    }

    /// Where it can be joined.
    pub(crate) fn link(&self) -> RoomLink {
        RoomLink {
            room: self.shared.hello.room,
            via: self.shared.me().addresses,
        }
    }

    /// From now on it behaves so.
    pub(crate) fn turn(&self, conduct: impl Conduct + 'static) {
        let state = &mut *self.shared.state();
        state.conduct = Box::new(conduct);
        state.items = 0;
    }

    /// Items that each child was sent since it turned.
    pub(crate) fn items(&self) -> u64 {
        self.shared.state().items
    }

    /// Tells all children something.
    pub(crate) fn tell(&self, message: impl Fn(PeerId) -> Message) {
        self.shared.tell_children(message);
    }

    /// Tells the host something.
    pub(crate) async fn tell_host(&self, message: Message) {
        self.up.send(message).await.expect("the host listens");
    }

    /// Waits for what a child says that fits.
    pub(crate) async fn hears<T>(&mut self, mut fits: impl FnMut(Message) -> Option<T>) -> T {
        within("what a child says", async {
            loop {
                let message = self.heard.recv().await.expect("it runs");
                if let Some(found) = fits(message) {
                    return found;
                }
            }
        })
        .await
    }

    /// A report with these claims, naming itself.
    pub(crate) fn claims(&self, members: u32, free: u16) -> Message {
        let offer = majlis_protocol::wire::message::Offer {
            candidate: self.shared.me(),
            free,
            depth: 0,
        };
        Message::Report(Report {
            members,
            free: free.into(),
            offers: vec![offer],
        })
    }

    /// What it tells a child of its position, with this path.
    pub(crate) fn position(&self, path: Vec<Peer>) -> Position {
        self.shared.position(path)
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn me(&self) -> Candidate {
        let addresses = self.network.addresses();
        let peer = self.network.local_peer().to_bytes();
        Candidate {
            peer: Peer::from_peer_id_bytes(&peer).expect("an Ed25519 key"),
            addresses: addresses
                .iter()
                .map(|address| address.to_string().parse::<Address>().expect("an address"))
                .collect(),
        }
    }

    fn position(&self, path: Vec<Peer>) -> Position {
        Position {
            path,
            root: Some(self.host.clone()),
            elders: vec![self.host.clone()],
            ..Position::default()
        }
    }

    /// What a newcomer is answered.
    fn welcome(&self) -> Welcome {
        Welcome {
            genesis: self.welcome.genesis.clone(),
            certificate: self.hello.certificate.clone(),
            profile: self.hello.profile.clone(),
            alias: ALIAS,
            head: self.state().head,
            beacon: None,
            addresses: vec![],
            extensions: vec![],
        }
    }

    fn entries_after(&self, after: u32) -> Message {
        let state = self.state();
        let known = usize::try_from(after).expect("a short log");
        let entries = state
            .entries
            .get(known..)
            .filter(|_| state.conduct.tells_the_log());
        let entries = entries.unwrap_or_default().to_vec();
        Message::Entries(Entries { entries, more: false })
    }

    fn tell_children(&self, message: impl Fn(PeerId) -> Message) {
        for child in &self.state().children {
            // One that has gone is taken off in a moment.
            let _ = child.down.try_send(message(child.peer));
        }
    }
}

/// Follows the room at the host, and passes on what goes down.
async fn follow(shared: Arc<Shared>, mut wire: Wire, mut to_host: mpsc::Receiver<Message>) {
    loop {
        let message = tokio::select! {
            message = wire.hear() => message,
            message = to_host.recv() => {
                let Some(message) = message else { return };
                wire.say(&message).await;
                continue;
            }
        };
        let Some(message) = message else { return };
        match &message {
            Message::Entries(news) => {
                let state = &mut *shared.state();
                for entry in &news.entries {
                    state.entries.push(entry.clone());
                }
            }
            Message::Beacon(_) | Message::Profiles(_) | Message::Census { .. } => {}
            _ => continue,
        }
        let is_of_the_log = matches!(message, Message::Entries(_) | Message::Beacon(_));
        let passes = !is_of_the_log || shared.state().conduct.tells_the_log();
        if passes {
            shared.tell_children(|_| message.clone());
        }
    }
}

/// Passes sound on, as its conduct says, and what the host promises as it is.
async fn pass_on(shared: Arc<Shared>, from_host: quic::Link) {
    while let Ok(bytes) = from_host.recv().await {
        let items = Datagram::parse(bytes).expect("the host's").items;
        let state = &mut *shared.state();
        for item in items {
            let items = match item.expect("the host's") {
                Item::Media(packet) => state.conduct.items(packet),
                Item::Heartbeat(report) => vec![report.encode_heartbeat().expect("it was decoded")],
                _ => vec![],
            };
            for child in &state.children {
                let Some(link) = shared.network.links(child.peer).pop() else {
                    continue;
                };
                for item in &items {
                    // One that has gone is taken off in a moment.
                    let _ = link.send(datagram(child.alias, &[item]));
                }
            }
            state.items += items.len() as u64;
        }
    }
}

/// Lets in whoever comes.
async fn receive(shared: Arc<Shared>, mut attacker: Attacker, say: mpsc::Sender<Message>) {
    let mut visits = tokio::task::JoinSet::new();
    while let Some(event) = attacker.events.recv().await {
        if let NetEvent::Inbound {
            peer,
            protocol,
            stream,
        } = event
            && protocol == ROOM_PROTOCOL
        {
            visits.spawn(serve(Arc::clone(&shared), peer, Wire::new(stream), say.clone()));
        }
    }
}

/// Serves one that came, until it goes.
async fn serve(shared: Arc<Shared>, peer: PeerId, mut wire: Wire, say: mpsc::Sender<Message>) {
    let Some(Message::Hello(hello)) = wire.hear().await else {
        return;
    };
    wire.say(&Message::Welcome(shared.welcome())).await;
    let (down, mut to_child) = mpsc::channel(WAITING);
    loop {
        let message = tokio::select! {
            message = wire.hear() => message,
            message = to_child.recv() => {
                wire.say(&message.expect("a sender is here")).await;
                continue;
            }
        };
        match message {
            Some(Message::EntriesWanted { after }) => wire.say(&shared.entries_after(after)).await,
            Some(Message::Attach(Attach {
                slot: Slot::Child, ..
            })) if shared.state().conduct.gives_places() => {
                let path = vec![shared.host.peer, shared.me().peer];
                let position = shared.position(path);
                let slot = Slot::Child;
                wire.say(&Message::Attached(Attached { slot, position })).await;
                let (alias, down) = (hello.alias, down.clone());
                shared.state().children.push(Child { peer, alias, down });
            }
            None | Some(Message::Leave | Message::Refuse(_)) => break,
            Some(message) => {
                // Nobody may be listening.
                let _ = say.try_send(message);
            }
        }
    }
    shared.state().children.retain(|child| child.peer != peer);
}
