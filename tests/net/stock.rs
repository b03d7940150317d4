//! Peers made from libp2p alone: they connect, are told who we are, find providers, and hear announcements.

use futures::StreamExt;
use libp2p::{
    StreamProtocol, SwarmBuilder,
    gossipsub::{self, IdentTopic, MessageAuthenticity},
    identify, kad, noise,
    swarm::{NetworkBehaviour, Swarm, SwarmEvent},
    tcp, yamux,
};
use majlis::clock::unix_seconds;
use majlis_protocol::{announcement::Listing, wire::directory::decode_gossip};

use super::{rooms::Room, *};

#[derive(NetworkBehaviour)]
struct Stock {
    identify: identify::Behaviour,
    kad: kad::Behaviour<kad::store::MemoryStore>,
    gossip: gossipsub::Behaviour,
}

impl Stock {
    fn new(key: &Keypair) -> Self {
        let local = key.public().to_peer_id();
        let config = kad::Config::new(StreamProtocol::new("/majlis/kad/1.0.0"));
        let mut gossip = gossipsub::Behaviour::new(
            MessageAuthenticity::Signed(key.clone()),
            gossipsub::Config::default(),
        )
        .expect("valid");
        gossip
            .subscribe(&IdentTopic::new("/majlis/1/rooms"))
            .expect("a topic");
        Self {
            identify: identify::Behaviour::new(identify::Config::new("stock".into(), key.public())),
            kad: kad::Behaviour::with_config(local, kad::store::MemoryStore::new(local), config),
            gossip,
        }
    }
}

fn quic() -> Swarm<Stock> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        .with_behaviour(Stock::new)
        .expect("valid")
        .build()
}

fn tcp_only() -> Swarm<Stock> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("valid")
        .with_behaviour(Stock::new)
        .expect("valid")
        .build()
}

/// The first event that is wanted.
async fn event<T>(
    swarm: &mut Swarm<Stock>,
    mut wanted: impl FnMut(&mut Swarm<Stock>, SwarmEvent<StockEvent>) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = swarm.select_next_some().await;
            if let Some(found) = wanted(swarm, event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the event comes")
}

async fn meets_a_node(mut stock: Swarm<Stock>, address: &str) {
    let key = [9; 32];
    let mut host = Node::listening(&[address]).await;
    let member = Node::listening(&[address]).await;
    member.network.provide(key).await;
    member.dial(&host).await;
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
    let record = kad::RecordKey::new(&[&[0x12, 0x20][..], &key].concat());
    stock.behaviour_mut().kad.get_providers(record.clone());
    let found = event(&mut stock, |stock, event| match event {
        SwarmEvent::Behaviour(StockEvent::Kad(kad::Event::OutboundQueryProgressed {
            result: kad::QueryResult::GetProviders(result),
            step,
            ..
        })) => match result {
            Ok(kad::GetProvidersOk::FoundProviders { providers, .. }) if !providers.is_empty() => {
                Some(providers)
            }
            // The record is on its way: ask again.
            _ if step.last => {
                stock.behaviour_mut().kad.get_providers(record.clone());
                None
            }
            _ => None,
        },
        _ => None,
    })
    .await;
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
