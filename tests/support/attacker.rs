//! A peer that speaks the protocol by hand: it can keep every rule, and then break whichever it likes.
//!
//! It stands on the transport and the message formats alone; none of the rooms that are attacked runs in it.

use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use majlis::net::{self, Config, MEDIA_PROTOCOL, NetEvent, Network, ROOM_PROTOCOL, Stream, TransportChoice};
use majlis_protocol::{
    identity::{Certificate, Profile},
    link::RoomLink,
    log::{Act, Action, Head, Log},
    media::{Draft, Header, Tag},
    person::{Peer, Person, PersonKey},
    reason::Reason,
    room::{Genesis, RoomId},
    signed::Verified,
    wire::{
        datagram::Builder,
        frame::FrameReader,
        message::{Alias, Attach, Hello, Message, Welcome},
    },
};
use tokio::{sync::mpsc, time::timeout};

use super::nodes::PATIENCE;

/// An Opus frame of 20 ms of silence.
const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

/// Pause between two looks at a count. It decides how soon a test goes on, and nothing else. Counts are told once a
/// second, which is too seldom for an attack that waits for each few packets.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A peer with a key of its own.
pub(crate) struct Attacker {
    pub(crate) network: Network,
    pub(crate) key: PersonKey,
    pub(crate) events: mpsc::Receiver<NetEvent>,
}

/// A control substream, spoken by hand.
pub(crate) struct Wire<S = Stream> {
    pub(crate) stream: S,
    frames: FrameReader,
}

/// An attacker that was let into a room.
pub(crate) struct Intruder {
    pub(crate) attacker: Attacker,
    pub(crate) wire: Wire,
    pub(crate) welcome: Welcome,
    pub(crate) at: PeerId,
    pub(crate) log: Log,
}

/// What a packet says besides its sound, as a speaker would say it.
#[derive(Clone, Copy)]
pub(crate) struct Says {
    pub(crate) tag: Tag,
    pub(crate) epoch: u32,
    pub(crate) sequence: u32,
    pub(crate) log: u32,
}

impl Attacker {
    /// A peer that speaks QUIC.
    pub(crate) async fn start() -> Self {
        Self::with("/ip4/127.0.0.1/udp/0/quic-v1", TransportChoice::Quic).await
    }

    /// A peer that speaks TCP alone, and so has no datagrams.
    pub(crate) async fn over_tcp() -> Self {
        Self::with("/ip4/127.0.0.1/tcp/0", TransportChoice::Tcp).await
    }

    async fn with(listen: &str, transport: TransportChoice) -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("randomness");
        let key = PersonKey::from_seed(&seed);
        let keypair = Keypair::ed25519_from_bytes(seed).expect("32 bytes");
        let mut config = Config::new(keypair);
        config.mdns = false;
        config.transport = transport;
        config.listen = vec![listen.parse().expect("an address")];
        let (network, events) = net::start(config).await.expect("loopback");
        Self { network, key, events }
    }

    pub(crate) fn person(&self) -> Person {
        self.key.person()
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer(self.key.person().0)
    }

    /// Connects with the member that a link names.
    pub(crate) async fn dial(&self, link: &RoomLink) -> PeerId {
        let addresses: Vec<Multiaddr> = link
            .via
            .iter()
            .map(|via| via.as_str().parse().expect("an address"))
            .collect();
        within("a connection", self.network.dial(None, addresses))
            .await
            .expect("it listens")
    }

    /// Opens a control substream.
    pub(crate) async fn open(&self, to: PeerId) -> Wire {
        let stream = within("a substream", self.network.open(to, ROOM_PROTOCOL)).await;
        Wire::new(stream.expect("it is spoken"))
    }

    /// Opens a substream for datagrams.
    pub(crate) async fn open_media(&self, to: PeerId) -> Stream {
        let stream = within("a substream", self.network.open(to, MEDIA_PROTOCOL)).await;
        stream.expect("it is spoken")
    }

    /// A proper hello.
    pub(crate) fn hello(&self, room: RoomId) -> Hello {
        hello(&self.key, self.peer(), room)
    }

    /// Says hello and is welcomed.
    pub(crate) async fn enter(self, link: &RoomLink) -> Intruder {
        let at = self.dial(link).await;
        let mut wire = self.open(at).await;
        wire.say(&Message::Hello(self.hello(link.room))).await;
        let Some(Message::Welcome(welcome)) = wire.hear().await else {
            panic!("a proper hello is welcomed");
        };
        let genesis = Genesis::verify_for(welcome.genesis.clone(), link.room).expect("the room's");
        Intruder {
            attacker: self,
            wire,
            welcome,
            at,
            log: Log::new(genesis),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            frames: FrameReader::default(),
        }
    }

    /// Sends a message.
    pub(crate) async fn say(&mut self, message: &Message) {
        self.write(&message.encode().expect("fits a frame")).await;
    }

    /// Sends bytes, whatever they are. The other end may have had enough of them.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let _ = within("room to write", written).await;
    }

    /// The next message; `None` when the other end has closed the substream.
    pub(crate) async fn hear(&mut self) -> Option<Message> {
        let hearing = async {
            loop {
                if let Some(frame) = self.frames.next_frame().expect("well-formed") {
                    return Some(Message::decode(&frame).expect("decodes").expect("known"));
                }
                let mut chunk = [0; 4_096];
                let read = self.stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
                self.frames.push(&chunk[..read]);
            }
        };
        within("a message or the end", hearing).await
    }

    /// Why the other end closed the substream, once it has said so.
    pub(crate) async fn hear_refusal(&mut self) -> Option<Reason> {
        let mut reason = None;
        while let Some(message) = self.hear().await {
            if let Message::Refuse(refusal) = message {
                reason = Some(refusal.reason);
            }
        }
        reason
    }

    /// Listens until the other end has closed the substream.
    pub(crate) async fn hear_the_end(&mut self) {
        while self.hear().await.is_some() {}
    }
}

impl Intruder {
    /// Takes a child's place.
    pub(crate) async fn attach(&mut self) {
        self.wire.say(&Message::Attach(Attach::join(0))).await;
        self.hear_until("a place", |message, _| matches!(message, Message::Attached(_)))
            .await;
    }

    /// Takes the stage, once it is or will be invited; the tag of its packets.
    pub(crate) async fn take_the_stage(&mut self) -> Tag {
        let me = self.attacker.person();
        self.hear_until("an invitation", |_, log| log.state().invited().contains_key(&me))
            .await;
        let accept = Act::Accept {
            invite: self.log.state().invited()[&me],
        };
        let (room, clock) = (self.log.room(), self.log.state().clock());
        let action = Action::new(room, me, self.log.head(), clock, &accept);
        let action = Verified::sign(action, &self.attacker.key).expect("well-formed");
        self.wire.say(&Message::Request(action.signed().clone())).await;
        self.hear_until("the stage", |_, log| log.state().stage().contains_key(&me))
            .await;
        self.log.state().stage()[&me].tag
    }

    /// Follows the room until a message, or what it made of the log, is what is waited for.
    pub(crate) async fn hear_until(&mut self, what: &str, mut fits: impl FnMut(&Message, &Log) -> bool) {
        while let Some(message) = self.wire.hear().await {
            if let Message::Entries(entries) = &message {
                for entry in &entries.entries {
                    self.log.handle_entry(entry.clone()).expect("the host's");
                }
            }
            if fits(&message, &self.log) {
                return;
            }
        }
        panic!("cut off before {what}");
    }

    /// A datagram for this room with these items.
    pub(crate) fn datagram(&self, items: &[&[u8]]) -> Bytes {
        datagram(self.welcome.alias, items)
    }

    /// Sends datagrams, a few at a time, each few once those before them are counted: none is lost on the way, so that
    /// what is counted can be compared with what was sent.
    pub(crate) async fn fire(&self, datagrams: &[Bytes], count: impl AsyncFn() -> u64) -> u64 {
        let link = self
            .attacker
            .network
            .links(self.at)
            .pop()
            .expect("QUIC carries datagrams");
        let before = count().await;
        let mut sent = 0;
        for few in datagrams.chunks(8) {
            for datagram in few {
                link.send(datagram.clone()).expect("it fits");
            }
            sent += few.len() as u64;
            until("all to be counted", async || count().await >= before + sent).await;
        }
        count().await - before
    }
}

impl Says {
    /// A packet that says so, signed with a key for a room.
    pub(crate) fn signed(self, key: &PersonKey, room: RoomId) -> Bytes {
        self.sounding(SILENCE, key, room)
    }

    /// The same with another frame in it.
    pub(crate) fn sounding(self, frame: &[u8], key: &PersonKey, room: RoomId) -> Bytes {
        let header = Header {
            tag: self.tag,
            epoch: self.epoch,
            sequence: self.sequence,
            time: self.sequence,
            log: self.log,
            level: 127,
            end_of_spurt: false,
        };
        let draft = Draft {
            header,
            frames: &[frame],
            redundant: &[],
        };
        draft.sign(room, key).expect("valid").packet().bytes().clone()
    }

    /// The same with another sequence.
    pub(crate) fn at(self, sequence: u32) -> Self {
        Self { sequence, ..self }
    }
}

/// What a person who speaks through a peer says first.
pub(crate) fn hello(key: &PersonKey, peer: Peer, room: RoomId) -> Hello {
    let person = key.person();
    let certificate = Verified::sign(Certificate::new(person, peer, room), key).expect("valid");
    let profile = Verified::sign(Profile::new(person, "mallory", 0), key).expect("valid");
    Hello {
        room,
        certificate: certificate.signed().clone(),
        profile: profile.signed().clone(),
        alias: Alias(7),
        head: Head {
            sequence: 0,
            hash: [0; 32],
        },
        addresses: vec![],
        extensions: vec![],
    }
}

/// A datagram for the room that its receiver calls `alias`.
pub(crate) fn datagram(alias: Alias, items: &[&[u8]]) -> Bytes {
    let mut builder = Builder::new(alias.0, usize::MAX);
    for item in items {
        assert!(builder.push(item), "items that fit");
    }
    builder.finish()
}

/// Bytes with one bit turned.
pub(crate) fn altered(bytes: &Bytes, at: usize) -> Bytes {
    let mut altered = bytes.to_vec();
    altered[at] ^= 1;
    altered.into()
}

/// Asks again and again until `holds`, for what no event announces in time.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    within(what, async {
        while !holds().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await;
}

/// What `future` gives, or a failed test that names what was waited for.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
