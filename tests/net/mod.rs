//! The network half of a node, over real sockets on loopback.

mod connecting;
mod dht;
mod directory;
mod hostile;
mod keeping;
mod rooms;
mod stock;
mod streams;

use std::time::Duration;

use libp2p::{Multiaddr, PeerId, identity::Keypair};
use majlis::net::{self, Config, NetEvent, Network, Stream};
use tokio::{sync::mpsc, time::timeout};

/// Every wait in these tests ends with an event long before; this only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(30);

const QUIC4: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const QUIC6: &str = "/ip6/::1/udp/0/quic-v1";
const TCP4: &str = "/ip4/127.0.0.1/tcp/0";
const TCP6: &str = "/ip6/::1/tcp/0";

/// A running network and its events.
struct Node {
    network: Network,
    events: mpsc::Receiver<NetEvent>,
}

impl Node {
    async fn listening(addresses: &[&str]) -> Self {
        Self::with(addresses, |_| ()).await
    }

    async fn with(addresses: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(addresses);
        change(&mut config);
        let (network, events) = net::start(config).await.expect("loopback can be listened on");
        Self { network, events }
    }

    fn peer(&self) -> PeerId {
        self.network.local_peer()
    }

    fn address(&self) -> Multiaddr {
        self.network.addresses().first().expect("an address").clone()
    }

    /// Dials another node by its first address.
    async fn dial(&self, other: &Self) {
        let peer = self
            .network
            .dial(None, vec![other.address()])
            .await
            .expect("the other listens");
        assert_eq!(peer, other.peer());
    }

    /// The first event that is wanted; those before it are dropped.
    async fn event<T>(&mut self, mut wanted: impl FnMut(NetEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the event comes")
    }

    async fn connected(&mut self, other: PeerId) {
        self.event(|event| match event {
            NetEvent::Connected {
                peer, first: true, ..
            } if peer == other => Some(()),
            _ => None,
        })
        .await;
    }

    async fn disconnected(&mut self, other: PeerId) {
        self.event(|event| match event {
            NetEvent::Disconnected { peer } if peer == other => Some(()),
            _ => None,
        })
        .await;
    }

    async fn inbound(&mut self) -> (PeerId, Stream) {
        self.event(|event| match event {
            NetEvent::Inbound { peer, stream, .. } => Some((peer, stream)),
            _ => None,
        })
        .await
    }
}

fn config(addresses: &[&str]) -> Config {
    let mut config = Config::new(Keypair::generate_ed25519());
    config.mdns = false;
    config.listen = addresses
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect();
    config
}

/// Waits until something is so that is only counted and that no event tells, such as what a node refused: looks at it
/// again and again.
async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it becomes so");
}
