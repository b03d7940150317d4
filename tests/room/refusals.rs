//! Members that say no, or lie: each is asked once when it will not think better of it, and again when it may.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use libp2p::PeerId;
use majlis::{
    net::{NetEvent, ROOM_PROTOCOL},
    node::Config,
    room::{Hosting, RoomError, RoomHandle, Seat},
};
use majlis_protocol::{
    link::{Address, RoomLink},
    person::PersonKey,
    reason::Reason,
    room::{Genesis, RoomId},
    text::Text,
    wire::message::{Alias, Hello, Message, Refusal, Welcome},
};

use crate::support::{
    attacker::{Attacker, Wire, until},
    nodes::TestNode,
};

/// A room that nobody is in.
const NOWHERE: RoomId = RoomId([7; 32]);

/// Someone who answers hellos as a test wants it.
struct Contact {
    addresses: Vec<Address>,
    asked: Arc<AtomicUsize>,
    network: majlis::net::Network,
}

impl Contact {
    /// Answers the n-th hello, from 0 on, with this.
    async fn start(answer: impl Fn(usize, &Attacker, &Hello) -> Message + Send + 'static) -> Self {
        let mut attacker = Attacker::start().await;
        let network = attacker.network.clone();
        let addresses = network.addresses();
        let addresses = addresses
            .iter()
            .map(|address| address.to_string().parse().expect("an address"))
            .collect();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Some(event) = attacker.events.recv().await {
                let NetEvent::Inbound { protocol, stream, .. } = event else {
                    continue;
                };
                if protocol != ROOM_PROTOCOL {
                    continue;
                }
                let mut wire = Wire::new(stream);
                let Some(Message::Hello(hello)) = wire.hear().await else {
                    continue;
                };
                let number = count.fetch_add(1, Ordering::SeqCst);
                wire.say(&answer(number, &attacker, &hello)).await;
                wire.hear_the_end().await;
            }
        });
        Self {
            addresses,
            asked,
            network,
        }
    }

    /// Refuses every hello for this reason.
    async fn refusing(reason: Reason) -> Self {
        Self::start(move |_, _, _| refusal(reason)).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A link to a room that names this one alone.
    fn link(&self, room: RoomId) -> RoomLink {
        RoomLink {
            room,
            via: self.addresses.clone(),
        }
    }
}

fn refusal(reason: Reason) -> Message {
    Message::Refuse(Refusal {
        reason,
        text: Text::clean("go away"),
    })
}

async fn joins(link: &RoomLink) -> Result<RoomHandle, RoomError> {
    let newcomer = TestNode::start("newcomer").await;
    newcomer.node.join(link, Seat::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_for_good_is_asked_once_and_its_reason_is_told() {
    for reason in [
        Reason::UnknownRoom,
        Reason::BadCertificate,
        Reason::Malformed,
        Reason::Unsupported,
    ] {
        let contact = Contact::refusing(reason).await;
        let Err(RoomError::Refused(refusal)) = joins(&contact.link(NOWHERE)).await else {
            panic!("let in where nobody is");
        };
        assert_eq!((refusal.reason, refusal.text.as_str()), (reason, "go away"));
        assert_eq!(contact.asked(), 1, "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_lies_is_asked_once_and_named() {
    let contact = Contact::start(|_, liar, hello| {
        let key = PersonKey::from_seed(&[9; 32]);
        let elsewhere = Genesis::new(key.person(), "Elsewhere", [1; 16])
            .sign(&key)
            .expect("valid");
        let own = liar.hello(hello.room);
        Message::Welcome(Welcome {
            genesis: elsewhere.signed().clone(),
            certificate: own.certificate,
            profile: own.profile,
            alias: Alias(1),
            head: own.head,
            beacon: None,
            addresses: vec![],
            extensions: vec![],
        })
    })
    .await;
    let Err(RoomError::Unreachable { why }) = joins(&contact.link(NOWHERE)).await else {
        panic!("another room is not the room");
    };
    let liar = contact.network.local_peer().to_string();
    assert!(why.contains(&liar), "{why}");
    assert_eq!(contact.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_is_full_is_asked_again() {
    let contact = Contact::start(|number, _, _| match number {
        0 => refusal(Reason::Full),
        _ => refusal(Reason::UnknownRoom),
    })
    .await;
    let refused = joins(&contact.link(NOWHERE)).await;
    assert!(matches!(refused, Err(RoomError::Refused(refusal)) if refusal.reason == Reason::UnknownRoom));
    assert_eq!(contact.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_beside_the_host_keeps_nobody_out() {
    let host = TestNode::start("host").await;
    let room = host.node.host(Hosting::titled("Here")).await.expect("a room");
    let contact = Contact::refusing(Reason::UnknownRoom).await;
    let mut link = contact.link(room.id());
    link.via.extend(room.info().await.expect("open").link.via);
    joins(&link).await.expect("the host lets it in");
    assert!(contact.asked() <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_bare_id_a_liar_in_the_dht_does_not_end_the_wait_for_the_host() {
    let host = TestNode::start("host").await;
    let room = host.node.host(Hosting::titled("By id")).await.expect("a room");
    let id = room.id();
    let contact = Contact::refusing(Reason::UnknownRoom).await;
    contact.network.provide(id.key()).await;
    let newcomer = TestNode::with("newcomer", |config| knowing(config, &contact.addresses)).await;
    let joining = {
        let node = newcomer.node.clone();
        let bare = RoomLink {
            room: id,
            via: vec![],
        };
        tokio::spawn(async move { node.join(&bare, Seat::default()).await })
    };
    until("the liar to be asked", async || contact.asked() == 1).await;
    // Only now can the host's record come to where the newcomer looks.
    let addresses = host.node.addresses();
    let addresses = addresses
        .iter()
        .map(|address| address.as_str().parse().expect("an address"))
        .collect();
    let peer = PeerId::from_bytes(&host.node.peer().to_peer_id_bytes()).expect("a peer");
    let met = contact.network.dial(Some(peer), addresses).await;
    assert_eq!(met, Ok(peer));
    joining.await.expect("no panic").expect("found at last");
    assert_eq!(contact.asked(), 1);
}

fn knowing(config: Config, addresses: &[Address]) -> Config {
    Config {
        bootstrap: addresses.iter().map(ToString::to_string).collect(),
        ..config
    }
}
