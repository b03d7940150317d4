//! Peers made from libp2p alone: what runs in them is none of our code.

use std::collections::HashSet;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, SwarmBuilder,
    gossipsub::{self, IdentTopic, MessageAuthenticity},
    identify,
    identity::Keypair,
    kad, noise,
    swarm::{NetworkBehaviour, Swarm, SwarmEvent},
    tcp, yamux,
};

use super::attacker::within;

/// The topic of all public rooms.
const ROOMS: &str = "/majlis/1/rooms";

/// What such a peer speaks. Rooms are of no use to it unless it is told more.
#[derive(NetworkBehaviour)]
pub(crate) struct Stock {
    pub(crate) identify: identify::Behaviour,
    pub(crate) kad: kad::Behaviour<kad::store::MemoryStore>,
    pub(crate) gossip: gossipsub::Behaviour,
    pub(crate) streams: libp2p_stream::Behaviour,
}

impl Stock {
    fn new(key: &Keypair) -> Self {
        let local = key.public().to_peer_id();
        let config = kad::Config::new(StreamProtocol::new("/majlis/kad/1.0.0"));
        let signed = MessageAuthenticity::Signed(key.clone());
        let gossip = gossipsub::Behaviour::new(signed, gossipsub::Config::default());
        Self {
            identify: identify::Behaviour::new(identify::Config::new("stock".into(), key.public())),
            kad: kad::Behaviour::with_config(local, kad::store::MemoryStore::new(local), config),
            gossip: gossip.expect("valid"),
            streams: libp2p_stream::Behaviour::new(),
        }
    }

    /// Takes part in the gossip about public rooms.
    pub(crate) fn follow_rooms(&mut self) {
        let topic = IdentTopic::new(ROOMS);
        self.gossip.subscribe(&topic).expect("a topic");
    }
}

/// A peer that speaks QUIC.
pub(crate) fn quic() -> Swarm<Stock> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        .with_behaviour(Stock::new)
        .expect("valid")
        .build()
}

/// A peer that speaks TCP alone.
pub(crate) fn tcp_only() -> Swarm<Stock> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("valid")
        .with_behaviour(Stock::new)
        .expect("valid")
        .build()
}

/// The first event that is wanted.
pub(crate) async fn event<T>(
    stock: &mut Swarm<Stock>,
    mut wanted: impl FnMut(&mut Swarm<Stock>, SwarmEvent<StockEvent>) -> Option<T>,
) -> T {
    within("an event", async {
        loop {
            let event = stock.select_next_some().await;
            if let Some(found) = wanted(stock, event) {
                return found;
            }
        }
    })
    .await
}

/// Listens, and says where others find it.
pub(crate) async fn listen(stock: &mut Swarm<Stock>, on: &str) -> Multiaddr {
    stock
        .listen_on(on.parse().expect("an address"))
        .expect("loopback");
    let address = event(stock, |_, event| match event {
        SwarmEvent::NewListenAddr { address, .. } => Some(address),
        _ => None,
    })
    .await;
    address.with_p2p(*stock.local_peer_id()).expect("it names nobody")
}

/// Asks the DHT who provides a key, again and again until somebody does.
pub(crate) async fn providers(stock: &mut Swarm<Stock>, key: [u8; 32]) -> HashSet<PeerId> {
    let record = kad::RecordKey::new(&[&[0x12, 0x20][..], &key].concat());
    stock.behaviour_mut().kad.get_providers(record.clone());
    event(stock, |stock, event| match event {
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
    .await
}

/// Runs a peer whose events are of no further interest.
pub(crate) async fn run(mut stock: Swarm<Stock>) {
    loop {
        stock.select_next_some().await;
    }
}
