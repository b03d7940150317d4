//! Floods and lies: each is counted under its reason and harms nobody.

use std::sync::Arc;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    StreamProtocol, SwarmBuilder,
    gossipsub::{self, IdentTopic, MessageAuthenticity},
    multiaddr::Protocol,
    swarm::{
        Swarm, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use majlis::clock::unix_seconds;
use majlis_protocol::{
    announcement::Announcement,
    signed::Signed,
    wire::directory::{Query, encode_gossip},
};
use tokio::sync::mpsc;

use super::{
    rooms::{Room, listed, lists, until_listed},
    *,
};

const ROOMS: &str = "/majlis/1/rooms";

/// A neighbour that publishes whatever it is told to, unlike a node of ours.
struct Liar {
    publish: mpsc::Sender<(&'static str, Vec<u8>)>,
}

impl Liar {
    /// Connects to a node and waits until it is a neighbour of its.
    async fn beside(node: &Node) -> Self {
        let mut swarm = swarm();
        let topic = IdentTopic::new(ROOMS);
        swarm.behaviour_mut().subscribe(&topic).expect("a topic");
        swarm.dial(node.address()).expect("an address");
        let neighbour = async {
            loop {
                let event = swarm.select_next_some().await;
                if matches!(event, SwarmEvent::Behaviour(gossipsub::Event::Subscribed { .. })) {
                    return;
                }
            }
        };
        timeout(PATIENCE, neighbour).await.expect("a neighbour");
        let (publish, mut told) = mpsc::channel::<(&'static str, Vec<u8>)>(1);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = told.recv() => match message {
                        Some((topic, data)) => {
                            let topic = IdentTopic::new(topic);
                            swarm.behaviour_mut().publish(topic, data).expect("a neighbour hears");
                        }
                        None => return,
                    },
                    _ = swarm.select_next_some() => {}
                }
            }
        });
        Self { publish }
    }

    async fn tell(&self, announcement: &Signed<Announcement>) {
        self.tell_bytes(ROOMS, encode_gossip(announcement).to_vec()).await;
    }

    async fn tell_bytes(&self, topic: &'static str, bytes: Vec<u8>) {
        self.publish.send((topic, bytes)).await.expect("it runs");
    }
}

fn swarm() -> Swarm<gossipsub::Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        .with_behaviour(|key| {
            let config = gossipsub::ConfigBuilder::default()
                .heartbeat_initial_delay(Duration::from_millis(100))
                .build()
                .expect("valid");
            gossipsub::Behaviour::new(MessageAuthenticity::Signed(key.clone()), config).expect("valid")
        })
        .expect("valid")
        .build()
}

fn forged(room: &Room) -> Signed<Announcement> {
    let mut bytes = room.announcement(|_| ()).to_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    Signed::from_bytes(&bytes).expect("an envelope")
}

#[tokio::test]
async fn each_lie_is_counted_under_its_reason_and_passed_on_to_nobody() {
    let (victim, other) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    other.dial(&victim).await;
    let liar = Liar::beside(&victim).await;
    let at = |issued: u64| {
        move |announcement: &mut Announcement| {
            (announcement.issued, announcement.expires) = (issued, issued + 600);
        }
    };

    liar.tell(&forged(&Room::new(1))).await;
    liar.tell_bytes(ROOMS, vec![1; 100]).await;
    liar.tell_bytes(ROOMS, vec![1; 9_000]).await;
    liar.tell_bytes(ROOMS, vec![2; 100]).await;
    liar.tell(&Room::new(2).announcement(at(unix_seconds() - 3_600)))
        .await;
    liar.tell(&Room::new(3).announcement(at(unix_seconds() + 86_400)))
        .await;
    let stats = || victim.network.stats();
    until(|| stats().announcements_forged == 1).await;
    until(|| stats().announcements_malformed == 2).await;
    until(|| stats().announcements_newer_version == 1).await;
    until(|| stats().announcements_stale == 2).await;

    // What is true among it is listed, and passed on.
    let honest = Room::new(4);
    liar.tell(&honest.announcement(|_| ())).await;
    until_listed(&other, honest.id()).await;
    let heard = other.network.stats();
    assert_eq!(heard.announcements_forged + heard.announcements_malformed, 0);
    assert_eq!(heard.announcements_stale + heard.announcements_newer_version, 0);
    assert_eq!(victim.network.rooms(None).await.len(), 1);
}

#[tokio::test]
async fn a_flood_of_forgeries_is_soon_not_listened_to_and_rooms_are_found_all_the_while() {
    let (victim, host) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    let liar = Arc::new(Liar::beside(&victim).await);
    let flood = {
        let liar = liar.clone();
        tokio::spawn(async move {
            let forged = forged(&Room::new(1));
            for _ in 0..500 {
                liar.tell(&forged).await;
            }
        })
    };
    let mut changes = victim.network.watch_rooms();
    let room = Room::new(2);
    host.dial(&victim).await;
    for head in 0..5 {
        let announcement = room.announced_by(&host, |announcement| announcement.head = head);
        host.network.announce(announcement).await.expect("valid");
        listed(&mut changes, room.id(), head).await;
    }
    flood.await.expect("it ends");
    let forged = victim.network.stats().announcements_forged;
    assert!((1..100).contains(&forged), "{forged} of 500 were verified");
}

#[tokio::test]
async fn a_flood_of_rooms_does_not_push_out_those_of_others() {
    let (victim, host) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    let room = Room::new(0);
    host.network
        .announce(room.announced_by(&host, |_| ()))
        .await
        .expect("valid");
    host.dial(&victim).await;
    until_listed(&victim, room.id()).await;
    let liar = Liar::beside(&victim).await;
    for number in 1..=200 {
        liar.tell(&Room::new(number).announcement(|_| ())).await;
    }
    until(|| victim.network.stats().announcements_news == 201).await;
    assert!(lists(&victim, room.id()).await);
}

#[tokio::test]
async fn the_same_announcement_again_and_again_is_passed_on_once() {
    let (victim, other) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    other.dial(&victim).await;
    let liar = Liar::beside(&victim).await;
    let room = Room::new(1);
    let announcement = room.announcement(|_| ());
    for _ in 0..50 {
        liar.tell(&announcement).await;
    }
    until(|| {
        let stats = victim.network.stats();
        stats.announcements_news + stats.announcements_again == 50
    })
    .await;
    // What comes behind them shows that nothing is still on its way.
    let last = Room::new(2);
    liar.tell(&last.announcement(|_| ())).await;
    until_listed(&other, last.id()).await;
    let stats = other.network.stats();
    assert!(
        stats.announcements_news + stats.announcements_again <= 4,
        "{stats:?}"
    );
}

#[tokio::test]
async fn questions_that_are_none_and_too_many_questions_stall_nobody() {
    let (host, asker, guest) = (
        Node::listening(&[QUIC4]).await,
        Node::listening(&[QUIC4]).await,
        Node::listening(&[QUIC4]).await,
    );
    let room = Room::new(1);
    host.network
        .announce(room.announced_by(&host, |_| ()))
        .await
        .expect("valid");
    asker.dial(&host).await;
    let directory = StreamProtocol::new("/majlis/directory/1");
    let ask = async |bytes: &[u8]| {
        let mut stream = asker.network.open(host.peer(), directory.clone()).await.ok()?;
        stream.write_all(bytes).await.ok()?;
        stream.close().await.ok()?;
        let mut answer = Vec::new();
        let end = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        end.expect("it ends").ok()?;
        (!answer.is_empty()).then_some(answer)
    };
    for bad in [&[0xff; 200][..], &[0x05, 1, 2], &[0x80, 0x80, 0x80, 0x01], &[]] {
        assert_eq!(ask(bad).await, None, "{bad:?}");
    }
    let query = Query {
        limit: 64,
        ..Query::default()
    }
    .encode();
    let mut frame = vec![u8::try_from(query.len()).expect("short")];
    frame.extend(query);
    let mut answered = 0;
    for _ in 0..100 {
        answered += usize::from(ask(&frame).await.is_some());
    }
    assert!((1..100).contains(&answered), "{answered}");
    assert!(host.network.stats().questions_refused > 0);

    guest.dial(&host).await;
    until_listed(&guest, room.id()).await;
}

#[tokio::test]
async fn one_peer_has_no_more_than_its_share_of_connections() {
    let host = Node::listening(&[QUIC4]).await;
    let mut greedy = swarm();
    for _ in 0..10 {
        let opts = DialOpts::peer_id(host.peer())
            .condition(PeerCondition::Always)
            .addresses(vec![host.address()])
            .build();
        greedy.dial(opts).expect("an address");
    }
    // Each dial ends: as a connection that stays, or as one that is closed again.
    let (mut open, mut closed) = (0, 0);
    let settle = async {
        while open < 4 || closed < 6 {
            match greedy.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => open += 1,
                SwarmEvent::ConnectionClosed { .. } => (open, closed) = (open - 1, closed + 1),
                SwarmEvent::OutgoingConnectionError { .. } => closed += 1,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, settle).await.expect("each dial ends");
    assert!(host.network.stats().connections <= 4);
    let guest = Node::listening(&[QUIC4]).await;
    guest.dial(&host).await;
}

#[tokio::test]
async fn who_connects_over_tcp_and_says_nothing_keeps_nobody_out_who_comes_over_quic() {
    let host = Node::listening(&[QUIC4, TCP4]).await;
    let is_tcp = |address: &&Multiaddr| address.iter().any(|part| matches!(part, Protocol::Tcp(_)));
    let addresses = host.network.addresses();
    let port = addresses.iter().find(is_tcp).and_then(|address| {
        address.iter().find_map(|part| match part {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        })
    });
    let mut silent = Vec::new();
    for _ in 0..100 {
        let connected = tokio::net::TcpStream::connect(("127.0.0.1", port.expect("it listens"))).await;
        silent.push(connected.expect("the system accepts"));
    }
    let quic = addresses
        .iter()
        .find(|address| !is_tcp(address))
        .expect("it listens");
    for _ in 0..5 {
        let guest = Node::listening(&[QUIC4]).await;
        let dial = guest.network.dial(Some(host.peer()), vec![quic.clone()]);
        assert_eq!(timeout(PATIENCE, dial).await.expect("it ends"), Ok(host.peer()));
    }
}
