//! A parent that is not the host, and does with the sound what it likes.

use bytes::Bytes;
use futures::StreamExt as _;
use libp2p::PeerId;
use majlis::{
    event::Event,
    net::{NetEvent, ROOM_PROTOCOL},
    room::Seat,
};
use majlis_protocol::{
    link::RoomLink,
    log::Head,
    wire::{
        datagram::{Datagram, Item},
        message::{Alias, Attached, Message, Position, Slot, Welcome},
    },
};

use crate::support::{
    attacker::{Attacker, Intruder, Wire, altered, datagram, within},
    nodes::{TestNode, wait_for},
    scene::{self, Scene},
};

/// How many packets the relay alters, and how many it sends twice. Fewer than get it left.
const EACH: u64 = 60;

/// Waits for a newcomer, lets it in as a member would, and gives it a place.
async fn adopt(relay: &mut Intruder) -> (Wire, PeerId, Alias) {
    let inbound = async {
        loop {
            match relay.attacker.events.recv().await.expect("the network runs") {
                NetEvent::Inbound {
                    peer,
                    protocol,
                    stream,
                } if protocol == ROOM_PROTOCOL => return (peer, stream),
                _ => {}
            }
        }
    };
    let (victim, stream) = within("a newcomer", inbound).await;
    let mut wire = Wire::new(stream);
    let Some(Message::Hello(hello)) = wire.hear().await else {
        panic!("a newcomer says hello");
    };
    let own = relay.attacker.hello(relay.log.room());
    let welcome = Welcome {
        genesis: relay.welcome.genesis.clone(),
        certificate: own.certificate,
        profile: own.profile,
        alias: Alias(3),
        head: Head {
            sequence: 0,
            hash: relay.log.room().0,
        },
        beacon: None,
        addresses: vec![],
        extensions: vec![],
    };
    wire.say(&Message::Welcome(welcome)).await;
    while !matches!(wire.hear().await, Some(Message::Attach(_))) {}
    let path = vec![relay.attacker.peer()];
    let position = Position {
        path,
        ..Position::default()
    };
    let slot = Slot::Child;
    wire.say(&Message::Attached(Attached { slot, position })).await;
    (wire, victim, hello.alias)
}

/// Passes the host's sound on: some of it altered as well, some of it twice. Never ends.
async fn pass_on(relay: &Intruder, victim: PeerId, alias: Alias) {
    let down = relay.attacker.network.links(relay.at).pop().expect("QUIC");
    let up = relay.attacker.network.links(victim).pop().expect("QUIC");
    let packets = futures::stream::unfold(down, |link| async {
        let bytes = link.recv().await.ok()?;
        let items = Datagram::parse(bytes).expect("the host's").items;
        let packets: Vec<Bytes> = items
            .filter_map(|item| match item.expect("the host's") {
                Item::Media(packet) => Some(packet),
                _ => None,
            })
            .collect();
        Some((packets, link))
    });
    let mut packets = std::pin::pin!(packets.map(futures::stream::iter).flatten().enumerate());
    while let Some((n, packet)) = packets.next().await {
        let send = |packet: &Bytes| up.send(datagram(alias, &[packet])).expect("it fits");
        if (n as u64) < EACH {
            send(&altered(&packet, packet.len() - 70));
        }
        send(&packet);
        if (n as u64) < EACH {
            send(&packet);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_alters_sound_is_caught_and_what_is_genuine_is_heard() {
    scene::during(async |scene: &mut Scene| {
        let mut relay = Attacker::start().await.enter(&scene.link).await;
        relay.attach().await;
        let victim = TestNode::start("victim").await;
        let by_the_relay = RoomLink {
            room: scene.link.room,
            via: relay
                .attacker
                .network
                .addresses()
                .iter()
                .map(|address| address.to_string().parse().expect("an address"))
                .collect(),
        };
        let (joined, (_wire, peer, alias)) = tokio::join!(
            victim.node.join(&by_the_relay, Seat::default()),
            adopt(&mut relay)
        );
        let there = joined.expect("the relay gave it a place");
        let mut events = there.events();
        let counted = wait_for(&mut events, "the counts", |event| match event {
            Event::Stats(stats) => {
                let received = stats.streams.first().map_or(0, |stream| stream.received);
                let is_over =
                    stats.forged_dropped >= EACH && stats.duplicate_dropped >= EACH && received >= EACH;
                is_over.then_some(())
            }
            _ => None,
        });
        tokio::select! {
            () = counted => {}
            () = pass_on(&relay, peer, alias) => panic!("the host goes on"),
        }
        let stats = there.info().await.expect("still there").stats;
        assert_eq!(
            (stats.forged_dropped, stats.duplicate_dropped),
            (EACH, EACH),
            "{stats:?}"
        );
        let stream = &stats.streams[0];
        assert_eq!(stream.speaker, scene.host.node.person());
        assert_eq!(stream.received, stream.expected, "{stream:?}");
    })
    .await;
}
