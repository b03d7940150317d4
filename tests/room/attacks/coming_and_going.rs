//! Members that are killed, come back, come twice, or find nobody.

use std::sync::mpsc;

use majlis::{
    event::{Event, LeftReason},
    net::{NetEvent, ROOM_PROTOCOL},
    node::{Config, Node},
    room::{RoomAction, RoomError, Seat},
};
use majlis_protocol::{
    link::RoomLink, log, person::Peer, reason::Reason, room::RoomId, wire::message::Message,
};

use crate::support::{
    attacker::{Attacker, Wire},
    nodes::{TestNode, wait_for},
    scene::{self, Scene},
};

/// A listener in a runtime of its own, which can be stopped like a process: nothing in it gets to say a last word.
struct Mortal {
    peer: Peer,
    kill: mpsc::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Mortal {
    async fn join(link: &RoomLink) -> Self {
        let (kill, killed) = mpsc::channel();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let link = link.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let listener = runtime.block_on(async {
                let listener = TestNode::start("mortal").await;
                let there = listener.node.join(&link, Seat::default()).await.expect("a place");
                (listener, there)
            });
            ready.send(listener.0.node.peer()).expect("somebody waits");
            killed.recv().expect("the test kills it");
            runtime.shutdown_background();
            drop(listener);
        });
        let peer = is_ready.await.expect("it joined");
        Self { peer, kill, thread }
    }

    fn kill(self) -> Peer {
        self.kill.send(()).expect("it lives");
        self.thread.join().expect("it died as told");
        self.peer
    }
}

async fn child_goes(scene: &mut Scene, peer: Peer) {
    wait_for(&mut scene.at_host, "a child to go", |event| match event {
        Event::Child { peer: gone, added } => (*gone == peer && !added).then_some(()),
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_killed_takes_nothing_from_the_others() {
    scene::during(async |scene: &mut Scene| {
        let mortal = Mortal::join(&scene.link).await;
        scene.sound_goes_on().await;
        let killed = mortal.kill();
        child_goes(scene, killed).await;
        assert_eq!(scene.counts().await.children, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_last_handle_is_dropped_is_gone_from_its_rooms() {
    scene::during(async |scene: &mut Scene| {
        let passing = TestNode::start("passing").await;
        let there = passing
            .node
            .join(&scene.link, Seat::default())
            .await
            .expect("a place");
        let peer = passing.node.peer();
        drop((passing, there));
        child_goes(scene, peer).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_comes_back_with_its_home_goes_on_with_its_log() {
    scene::during(async |scene: &mut Scene| {
        let home = tempfile::tempdir().expect("a directory");
        let path = home
            .path()
            .join("rooms")
            .join(scene.link.room.to_string())
            .join("log");
        let entries = || {
            log::verify(&std::fs::read(&path).expect("a log"))
                .expect("whole")
                .log
                .head()
                .sequence
        };
        let config = || Config::at(home.path()).on_loopback();
        for n in 1..=3 {
            let title = RoomAction::Title(format!("Songs {n}"));
            let sequence = scene.room.act(title).await.expect("the host may");
            let node = Node::start(config()).await.expect("the home is free");
            let mut there = node.join(&scene.link, Seat::default()).await.expect("a place");
            assert_eq!(there.info().await.expect("there").head, sequence);
            // And again, on the node that runs.
            there.leave(LeftReason::Interrupted).await.expect("it was there");
            there = node
                .join(&scene.link, Seat::default())
                .await
                .expect("a place again");
            assert_eq!(there.info().await.expect("there").head, sequence);
            node.shutdown().await;
            assert_eq!(entries(), sequence, "each entry stands in the file once");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_in_a_room_once() {
    scene::during(async |scene: &mut Scene| {
        let again = scene.listener.node.join(&scene.link, Seat::default()).await;
        assert!(matches!(again, Err(RoomError::AlreadyThere)), "{again:?}");
        let newcomer = TestNode::start("newcomer").await;
        let (one, other) = tokio::join!(
            newcomer.node.join(&scene.link, Seat::default()),
            newcomer.node.join(&scene.link, Seat::default()),
        );
        let places = [&one, &other].into_iter().filter(|joined| joined.is_ok()).count();
        let refused = [&one, &other]
            .into_iter()
            .filter(|joined| matches!(joined, Err(RoomError::AlreadyThere)))
            .count();
        assert_eq!((places, refused), (1, 1));
    })
    .await;
}

/// A host that takes a newcomer's hello and is gone.
async fn vanish(mut host: Attacker) {
    while let Some(event) = host.events.recv().await {
        if let NetEvent::Inbound { protocol, stream, .. } = event
            && protocol == ROOM_PROTOCOL
        {
            assert!(matches!(Wire::new(stream).hear().await, Some(Message::Hello(_))));
            return host.network.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_room_is_told_why() {
    scene::during(async |scene: &mut Scene| {
        // Bound and closed again: whoever calls is refused at once.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let nobody = format!("/ip4/127.0.0.1/tcp/{port}");
        let stranger = Attacker::start().await;
        let vanishing = Attacker::start().await;
        let at = |room: u8, via: Vec<String>| RoomLink {
            room: RoomId([room; 32]),
            via: via.iter().map(|via| via.parse().expect("an address")).collect(),
        };
        let peer = |attacker: &Attacker| attacker.network.local_peer().to_string();
        let unreachable = at(1, vec![format!("{nobody}/p2p/{}", peer(&stranger))]);
        let unknown = RoomLink {
            room: RoomId([2; 32]),
            ..scene.link.clone()
        };
        let gone = at(
            3,
            vanishing
                .network
                .addresses()
                .iter()
                .map(ToString::to_string)
                .collect(),
        );
        let node = &scene.listener.node;
        let (unreachable, unknown, gone, ()) = tokio::join!(
            node.join(&unreachable, Seat::default()),
            node.join(&unknown, Seat::default()),
            node.join(&gone, Seat::default()),
            vanish(vanishing),
        );
        assert!(
            matches!(&unreachable, Err(RoomError::Unreachable { why }) if why.contains("refused")),
            "{unreachable:?}"
        );
        assert!(
            matches!(&unknown, Err(RoomError::Refused(refusal)) if refusal.reason == Reason::UnknownRoom),
            "{unknown:?}"
        );
        assert!(matches!(&gone, Err(RoomError::Unreachable { .. })), "{gone:?}");
        assert_eq!(node.rooms().len(), 1, "only the room that it is in");
    })
    .await;
}
