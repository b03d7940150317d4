//! Rooms are found without a server: by bare id through a third node's DHT, and from the list.

use majlis::{
    audio::Input,
    event::{Event, Listing},
    node::{Config, ListingStream},
    room::{Hosting, RoomHandle, Seat},
};
use majlis_protocol::{
    link::RoomLink,
    room::{RoomId, Visibility},
};

use crate::support::nodes::{PATIENCE, TestNode, wait_for};

/// A community node that knows nobody, and nodes that know only it.
async fn community() -> (TestNode, impl Fn(Config) -> Config) {
    let community = TestNode::with("community", |config| Config {
        community: true,
        ..config
    })
    .await;
    let bootstrap: Vec<String> = community
        .node
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    (community, move |config: Config| Config {
        bootstrap: bootstrap.clone(),
        ..config
    })
}

async fn hears(room: &RoomHandle) {
    wait_for(&mut room.events(), "a second of sound", |event| match event {
        Event::Stats(stats) => stats
            .streams
            .first()
            .filter(|stream| stream.received >= 50)
            .map(|_| ()),
        _ => None,
    })
    .await;
}

/// Waits until a room is listed.
async fn listed(list: &mut ListingStream, room: RoomId) -> Listing {
    let waiting = async {
        while let Some(change) = list.next().await {
            match change.event {
                Event::Listing(listing) if listing.id == room => return listing,
                _ => {}
            }
        }
        panic!("the node closed")
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("not listed in {PATIENCE:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_joined_by_its_bare_id_through_a_third_nodes_dht() {
    let (_community, known) = community().await;
    let host = TestNode::with("host", &known).await;
    // Of an unlisted room nobody tells but the DHT.
    let hosting = Hosting {
        visibility: Visibility::Unlisted,
        ..Hosting::titled("By id").seat(Seat::default().input(Input::Tone(440.0)))
    };
    let room = host.node.host(hosting).await.expect("a room");
    let listener = TestNode::with("listener", &known).await;
    let bare = RoomLink {
        room: room.id(),
        via: Vec::new(),
    };
    // The provider record may still be on its way; the search goes on until it is found or given up.
    let there = listener
        .node
        .join(&bare, Seat::default())
        .await
        .expect("found through the DHT");
    hears(&there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_on_the_list_is_joined_from_there() {
    let (_community, known) = community().await;
    let listener = TestNode::with("listener", &known).await;
    let mut list = listener.node.watch_listings();
    let host = TestNode::with("host", &known).await;
    let hosting = Hosting::titled("On the list").seat(Seat::default().input(Input::Tone(440.0)));
    let room = host.node.host(hosting).await.expect("a room");
    let listing = listed(&mut list, room.id()).await;
    assert_eq!(
        (listing.title.as_str(), listing.host, listing.live),
        ("On the list", host.node.person(), true)
    );
    let there = listener
        .node
        .join(&listing.link, Seat::default())
        .await
        .expect("a place");
    hears(&there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_room_is_joined_by_link_and_never_listed() {
    let (_community, known) = community().await;
    let listener = TestNode::with("listener", &known).await;
    let mut list = listener.node.watch_listings();
    let host = TestNode::with("host", &known).await;
    let hidden = Hosting {
        visibility: Visibility::Unlisted,
        ..Hosting::titled("Hidden").seat(Seat::default().input(Input::Tone(440.0)))
    };
    let hidden = host.node.host(hidden).await.expect("a room");
    let shown = host.node.host(Hosting::titled("Shown")).await.expect("a room");
    let link = hidden.info().await.expect("open").link;
    let there = listener.node.join(&link, Seat::default()).await.expect("a place");
    hears(&there).await;
    // The other room of the same host proves that the list has come.
    listed(&mut list, shown.id()).await;
    let listings = listener.node.listings(None).await;
    assert!(listings.iter().all(|listing| listing.id != hidden.id()));
}
