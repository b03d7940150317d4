//! One listener inside this process: a node with a home of its own, that decodes what it hears and plays it to nobody.

use std::path::Path;

use majlis::{
    event::{Event, Stamped},
    net::TransportChoice,
    node::{Config, Node},
    room::{EventStream, RoomHandle, Seat},
};
use majlis_protocol::link::RoomLink;

use super::cast::Teller;

/// A running node and its place in the room.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) node: Node,
    pub(crate) room: RoomHandle,
}

impl Listener {
    /// Joins a room. `network` is the bad network it plays.
    pub(crate) async fn join(
        home: &Path,
        link: &RoomLink,
        max_children: u32,
        network: Option<&str>,
        teller: Teller,
    ) -> anyhow::Result<Self> {
        let config = Config {
            listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".into()],
            transport: TransportChoice::Quic,
            max_children: Some(max_children),
            ..Config::at(home).on_loopback()
        };
        let node = Node::start(on_bad_network(config, network)?).await?;
        teller
            .tell(serde_json::to_value(Stamped::now(node.listening()))?)
            .await;
        let room = node.join(link, Seat::default()).await?;
        tokio::spawn(follow(room.events(), teller));
        Ok(Self { node, room })
    }
}

/// Tells what happens, but for what happens too often to be of use.
async fn follow(mut events: EventStream, teller: Teller) {
    while let Some(stamped) = events.next().await {
        if matches!(stamped.event, Event::Level { .. }) {
            continue;
        }
        let event = serde_json::to_value(stamped).expect("events are made of plain values");
        if !teller.tell(event).await {
            return;
        }
    }
    teller.fall_silent().await;
}

#[cfg(feature = "testlink")]
fn on_bad_network(config: Config, network: Option<&str>) -> anyhow::Result<Config> {
    let link = network.map(str::parse).transpose()?;
    Ok(Config { link, ..config })
}

#[cfg(not(feature = "testlink"))]
fn on_bad_network(config: Config, network: Option<&str>) -> anyhow::Result<Config> {
    anyhow::ensure!(
        network.is_none(),
        "a bad network needs the feature: cargo … --features testlink"
    );
    Ok(config)
}
