//! Where the sound comes from: the root of a room by hand, with one child.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::identity::Keypair;
use majlis::net::{self, NetEvent, Network, ROOM_PROTOCOL, Stream, quic::Link};
use majlis_protocol::{
    identity::{Certificate, Profile},
    link::RoomLink,
    log::{Act, Action, Beacon, Log},
    media::Tag,
    person::{Peer, PersonKey},
    room::{Genesis, RoomId},
    signed::{Signed, Verified},
    wire::{
        frame::FrameReader,
        message::{Alias, Attached, Entries, Message, Position, Slot, Welcome},
    },
};
use tokio::{net::UdpSocket, sync::mpsc, time::interval};

use crate::{
    Mode,
    speech::{Speaker, Tally, datagram},
};

/// From one packet of a speaker to the next.
const TICK: Duration = Duration::from_millis(20);

/// A room with speakers, all of whose keys are here.
pub(crate) struct Room {
    key: PersonKey,
    seed: [u8; 32],
    log: Log,
    pub(crate) speakers: Vec<Speaker>,
}

/// Where packets go.
pub(crate) enum Way {
    /// To a relay.
    Relay(Link, Alias),
    /// To the loop; the socket is connected.
    Raw(UdpSocket),
}

/// The root, until its child has come.
pub(crate) struct Root {
    network: Network,
    events: mpsc::Receiver<NetEvent>,
}

impl Room {
    /// A room with so many on its stage, the host first.
    pub(crate) fn new(speakers: usize) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let key = PersonKey::from_seed(&seed);
        let genesis = Genesis::new(key.person(), "Fan-out", [7; 16]).sign(&key)?;
        let mut room = Self {
            key,
            seed,
            log: Log::new(genesis),
            speakers: Vec::new(),
        };
        for guest in 1..speakers {
            let guest = PersonKey::from_seed(&[guest as u8; 32]);
            let subject = guest.person();
            let host = PersonKey::from_seed(&seed);
            let invite = room.act(&host, &Act::Invite { subject })?;
            let hash = room.act(&guest, &Act::Accept { invite })?;
            room.seat(guest, Tag::of(&hash));
        }
        let host = PersonKey::from_seed(&seed);
        room.seat(host, Tag::of(&room.id().0));
        Ok(room)
    }

    pub(crate) fn id(&self) -> RoomId {
        self.log.room()
    }

    fn seat(&mut self, key: PersonKey, tag: Tag) {
        let log = self.log.head().sequence;
        self.speakers.push(Speaker { key, tag, log });
    }

    /// Writes an act into the log; the hash of its entry.
    fn act(&mut self, author: &PersonKey, act: &Act) -> anyhow::Result<[u8; 32]> {
        let action = Action::new(self.id(), author.person(), self.log.head(), 0, act);
        let action = Verified::sign(action, author)?.signed().clone();
        Ok(self.log.append(action, &self.key, 0)?.hash)
    }

    fn peer(&self) -> Peer {
        Peer(self.key.person().0)
    }

    fn welcome(&self) -> anyhow::Result<Welcome> {
        let (certificate, profile) = papers(&self.key, self.id())?;
        let chair = self.key.person();
        let beacon = Beacon::new(
            self.id(),
            chair,
            (self.log.term(), 1),
            0,
            self.log.head(),
            self.peer(),
        );
        Ok(Welcome {
            genesis: self.log.genesis().signed().clone(),
            certificate,
            profile,
            alias: Alias(0),
            head: self.log.head(),
            beacon: Some(Verified::sign(beacon, &self.key)?.signed().clone()),
            addresses: vec![],
            extensions: vec![],
        })
    }

    /// What the child is answered, if anything.
    fn answer(&self, message: &Message) -> anyhow::Result<Option<Message>> {
        Ok(match message {
            Message::Hello(_) => Some(Message::Welcome(self.welcome()?)),
            Message::EntriesWanted { after } => {
                let entries = self.log.entries_after(*after, usize::MAX);
                Some(Message::Entries(Entries {
                    entries: entries.iter().map(|entry| entry.signed().clone()).collect(),
                    more: false,
                }))
            }
            Message::Attach(attach) if attach.slot == Slot::Child => Some(Message::Attached(Attached {
                slot: Slot::Child,
                position: Position {
                    path: vec![self.peer()],
                    ..Position::default()
                },
            })),
            _ => None,
        })
    }
}

impl Root {
    /// A root that listens on loopback.
    pub(crate) async fn start(room: &Room) -> anyhow::Result<Self> {
        let mut config = net::Config::new(Keypair::ed25519_from_bytes(room.seed)?);
        config.mdns = false;
        config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse()?];
        let (network, events) = net::start(config).await?;
        Ok(Self { network, events })
    }

    /// What the relay is to join by.
    pub(crate) fn link(&self, room: &Room) -> anyhow::Result<RoomLink> {
        let addresses = self.network.addresses();
        let via = addresses.iter().map(|address| Ok(address.to_string().parse()?));
        Ok(RoomLink {
            room: room.id(),
            via: via.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Lets the relay in and gives it a place. From then on what it says is read and not answered.
    pub(crate) async fn adopt(&mut self, room: &Room) -> anyhow::Result<Way> {
        let (peer, mut stream) = loop {
            match self.events.recv().await.context("the network has ended")? {
                NetEvent::Inbound {
                    peer,
                    protocol,
                    stream,
                } if protocol == ROOM_PROTOCOL => break (peer, stream),
                _ => {}
            }
        };
        let mut frames = FrameReader::default();
        let mut alias = None;
        loop {
            let message = hear(&mut stream, &mut frames).await?;
            if let Message::Hello(hello) = &message {
                alias = Some(hello.alias);
            }
            let Some(answer) = room.answer(&message)? else {
                continue;
            };
            stream.write_all(&answer.encode()?).await?;
            stream.flush().await?;
            if matches!(answer, Message::Attached(_)) {
                break;
            }
        }
        let link = self.network.links(peer).pop().context("QUIC")?;
        tokio::spawn(async move { while hear(&mut stream, &mut frames).await.is_ok() {} });
        Ok(Way::Relay(link, alias.context("a hello before all")?))
    }
}

/// The next message that is known here.
async fn hear(stream: &mut Stream, frames: &mut FrameReader) -> anyhow::Result<Message> {
    let mut chunk = [0; 4_096];
    loop {
        while let Some(frame) = frames.next_frame()? {
            if let Some(message) = Message::decode(&frame)? {
                return Ok(message);
            }
        }
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            bail!("the substream has ended");
        }
        frames.push(&chunk[..read]);
    }
}

/// Feeds for ever: each tick a packet of every speaker. Counts what it has sent.
pub(crate) async fn feed(room: &Room, way: &Way, mode: Mode, sent: &Tally) -> anyhow::Result<()> {
    let mut ticks = interval(TICK);
    for sequence in 0.. {
        ticks.tick().await;
        let mut packets = Vec::new();
        for speaker in &room.speakers {
            packets.push(speaker.packet(room.id(), sequence)?);
        }
        match way {
            Way::Relay(link, alias) if mode == Mode::Bundled => send(link, *alias, &packets, sent)?,
            Way::Relay(link, alias) => {
                for packet in packets.chunks(1) {
                    send(link, *alias, packet, sent)?;
                }
            }
            Way::Raw(socket) => {
                for packet in packets.chunks(1) {
                    let datagram = datagram(Alias(0), packet)?;
                    sent.note(datagram.clone());
                    socket.send(&datagram).await?;
                }
            }
        }
    }
    Ok(())
}

fn send(link: &Link, alias: Alias, packets: &[Bytes], sent: &Tally) -> anyhow::Result<()> {
    let datagram = datagram(alias, packets)?;
    sent.note(datagram.clone());
    Ok(link.send(datagram)?)
}

/// What a person shows at the door: the certificate of its peer, which has the same key, and a profile.
pub(crate) fn papers(
    key: &PersonKey,
    room: RoomId,
) -> anyhow::Result<(Signed<Certificate>, Signed<Profile>)> {
    let person = key.person();
    let certificate = Certificate::new(person, Peer(person.0), room);
    let profile = Profile::new(person, "fan-out", 0);
    Ok((
        Verified::sign(certificate, key)?.signed().clone(),
        Verified::sign(profile, key)?.signed().clone(),
    ))
}
