//! Peers made from libp2p alone: they connect, are told who we are, find providers, hear announcements, and hear a room.

use bytes::Bytes;
use futures::{AsyncReadExt, StreamExt};
use libp2p::{
    StreamProtocol, gossipsub, identify,
    swarm::{Swarm, SwarmEvent},
};
use majlis::{
    audio::Input,
    clock::unix_seconds,
    room::{Hosting, RoomHandle, Seat},
};
use majlis_protocol::{
    announcement::Listing,
    media::{Packet, Tag},
    person::{Peer, PersonKey},
    room::{Genesis, RoomId},
    signed::Verified,
    wire::{
        datagram::{Datagram, Item},
        directory::decode_gossip,
        message::{Attach, Message},
    },
};

use super::{rooms::Room, *};
use crate::support::{
    attacker::{Wire, hello, within},
    ear,
    nodes::{Run, TestNode, in_real_time},
    stock::{self, Stock, StockEvent, event, quic, tcp_only},
};

async fn meets_a_node(mut stock: Swarm<Stock>, address: &str) {
    let key = [9; 32];
    let mut host = Node::listening(&[address]).await;
    let member = Node::listening(&[address]).await;
    member.network.provide(key).await;
    member.dial(&host).await;
    stock.behaviour_mut().follow_rooms();
    stock.dial(host.address()).expect("an address");

    // It is told who we are.
    let info = event(&mut stock, |_, event| match event {
        SwarmEvent::Behaviour(StockEvent::Identify(identify::Event::Received { info, .. })) => Some(info),
        _ => None,
    })
    .await;
    assert_eq!(info.protocol_version, "/majlis/1");
    for protocol in ["/majlis/kad/1.0.0", "/majlis/room/1", "/majlis/directory/1"] {
        let protocol = StreamProtocol::try_from_owned(protocol.into()).expect("a name");
        assert!(info.protocols.contains(&protocol), "{protocol}");
    }
    let mut bare = host.address();
    bare.pop();
    assert!(info.listen_addrs.contains(&bare));
    host.connected(*stock.local_peer_id()).await;

    // It finds a member through the host.
    stock.behaviour_mut().kad.add_address(&host.peer(), bare);
    let found = stock::providers(&mut stock, key).await;
    assert!(found.contains(&member.peer()));

    // It hears a room announced.
    let room = Room::new(1);
    let announcement = room.announced_by(&host, |_| ());
    host.network.announce(announcement).await.expect("valid");
    let message = event(&mut stock, |_, event| match event {
        SwarmEvent::Behaviour(StockEvent::Gossip(gossipsub::Event::Message { message, .. })) => Some(message),
        _ => None,
    })
    .await;
    let signed = decode_gossip(&message.data).expect("an announcement");
    let listing = Listing::verify(signed, unix_seconds(), None).expect("it proves itself");
    assert_eq!(listing.announcement().room, room.id());
}

#[tokio::test]
async fn a_stock_peer_over_quic_takes_part_in_discovery() {
    meets_a_node(quic(), QUIC4).await;
}

#[tokio::test]
async fn a_stock_peer_with_tcp_alone_takes_part_in_discovery() {
    meets_a_node(tcp_only(), TCP4).await;
}

/// A frame as it should come: its sequence and its bytes.
type Sequenced = (u32, Vec<u8>);

/// Seconds of speech.
const SECONDS: usize = 3;

/// How long nothing comes before it is said that nothing will: a frame takes 20 ms.
const QUIET: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_peer_with_tcp_alone_hears_every_frame_of_a_room() {
    in_real_time(hears_a_room).await;
}

async fn hears_a_room() -> Run {
    let host = TestNode::with("host", |config| majlis::node::Config {
        listen: vec![TCP4.into()],
        ..config
    })
    .await;
    let said = host.home.path().join("said.wav");
    let samples = ear::clip(&ear::speech()[0], SECONDS, &said);
    let seat = Seat {
        wait_listeners: 1,
        ..Seat::default().input(Input::File(said))
    };
    let hosting = Hosting::titled("Poems").seat(seat);
    let room = host.node.host(hosting).await.expect("a room");

    let spoken: Vec<Sequenced> = (0..).zip(ear::encode(&samples)).collect();
    let heard = hear(tcp_only(), &room, spoken.len()).await;
    if heard == spoken {
        return Run::Good;
    }
    let missing = spoken.iter().filter(|frame| !heard.contains(frame));
    let missing: Vec<u32> = missing.map(|(sequence, _)| *sequence).collect();
    Run::Bad {
        why: format!("{} frames came, {missing:?} were not among them", heard.len()),
        stalls: room.info().await.expect("open").stats.stalls,
    }
}

/// Joins a room as SPEC.md says it in section 11, and hears of its host as many frames as there will be.
async fn hear(mut stock: Swarm<Stock>, room: &RoomHandle, frames: usize) -> Vec<Sequenced> {
    let link = room.info().await.expect("open").link;
    let mut streams = stock.behaviour().streams.new_control();
    let media = StreamProtocol::new("/majlis/media/1");
    let mut media = streams.accept(media).expect("nobody else takes them");
    let address: Multiaddr = link.via[0].as_str().parse().expect("an address");
    stock.dial(address).expect("an address");
    let host = event(&mut stock, |_, event| match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } => Some(peer_id),
        _ => None,
    })
    .await;
    let me = Peer::from_peer_id_bytes(&stock.local_peer_id().to_bytes()).expect("an Ed25519 key");
    tokio::spawn(stock::run(stock));

    // The person is not the peer: the certificate binds the one to the other.
    let hello = hello(&PersonKey::from_seed(&[7; 32]), me, link.room);
    let alias = hello.alias;
    let control = StreamProtocol::new("/majlis/room/1");
    let control = within("a substream", streams.open_stream(host, control)).await;
    let mut wire = Wire::new(control.expect("it is spoken"));
    wire.say(&Message::Hello(hello)).await;
    let Some(Message::Welcome(welcome)) = wire.hear().await else {
        panic!("a proper hello is welcomed");
    };
    let genesis = Genesis::verify_for(welcome.genesis, link.room).expect("the room's");
    wire.say(&Message::Attach(Attach::join(0))).await;

    let (from, mut sound) = within("sound", media.next()).await.expect("it listens");
    assert_eq!(from, host);
    let mut heard = Vec::new();
    while heard.len() < frames {
        let Ok(Some(datagram)) = timeout(QUIET, next_datagram(&mut sound)).await else {
            break;
        };
        assert_eq!(datagram.alias, alias.0);
        for item in datagram.items {
            let Item::Media(packet) = item.expect("well-formed") else {
                continue;
            };
            heard.extend(genuine(&genesis, packet));
        }
    }
    heard
}

/// What comes next on a media substream, as section 10 has it; `None` when it has ended.
async fn next_datagram(sound: &mut libp2p::Stream) -> Option<Datagram> {
    let mut length = [0; 2];
    sound.read_exact(&mut length).await.ok()?;
    let mut datagram = vec![0; usize::from(u16::from_be_bytes(length))];
    sound.read_exact(&mut datagram).await.ok()?;
    Some(Datagram::parse(datagram.into()).expect("well-formed"))
}

/// The frames of a packet that the host of a room has signed, of its stay on the stage.
fn genuine(genesis: &Verified<Genesis>, packet: Bytes) -> Vec<Sequenced> {
    let room = RoomId::of(genesis);
    let packet = Packet::parse(packet).expect("well-formed");
    let host = genesis.host.verifier().expect("a key");
    packet.verify(&room, &host).expect("the host's own");
    assert_eq!(packet.header().tag, Tag::of(&room.0));
    let frames = packet.frames();
    frames
        .map(|frame| (frame.sequence, frame.opus.to_vec()))
        .collect()
}
