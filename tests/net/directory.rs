//! Rooms are found through neighbours: asked at once, gossiped after that.

use majlis::{
    clock::unix_seconds,
    net::{AnnounceError, OWN_ROOMS, RoomChange, TransportChoice},
};
use majlis_protocol::room::RoomId;
use tokio::sync::broadcast;

use super::{
    rooms::{Room, change, listed, lists, until_listed},
    *,
};

#[tokio::test]
async fn a_newcomer_sees_the_list_at_once() {
    let (host, guest) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    let rooms: Vec<_> = (1..=3).map(Room::new).collect();
    for room in &rooms {
        let announcement = room.announced_by(&host, |_| ());
        host.network.announce(announcement).await.expect("valid");
    }
    guest.dial(&host).await;
    for room in &rooms {
        until_listed(&guest, room.id()).await;
    }
    assert_eq!(guest.network.stats().announcements_news, 3);
}

#[tokio::test]
async fn news_travel_through_neighbours_and_replace_what_was_known() {
    // Host and guest have no transport in common, so that they cannot meet.
    let (host, middle, guest) = (
        Node::with(&[QUIC4], |config| config.transport = TransportChoice::Quic).await,
        Node::listening(&[TCP4, QUIC4]).await,
        Node::with(&[TCP4], |config| config.transport = TransportChoice::Tcp).await,
    );
    let room = Room::with_tags(1, &["poetry"]);
    let mut changes = guest.network.watch_rooms();
    let announcement = room.announced_by(&host, |_| ());
    host.network.announce(announcement).await.expect("valid");
    for node in [&guest, &host] {
        let addresses = middle.network.addresses();
        let dialled = node.network.dial(Some(middle.peer()), addresses).await;
        assert_eq!(dialled, Ok(middle.peer()));
    }
    listed(&mut changes, room.id(), 0).await;

    let newer = room.announced_by(&host, |announcement| announcement.head = 1);
    host.network.announce(newer).await.expect("valid");
    let listing = listed(&mut changes, room.id(), 1).await;
    assert_eq!(listing.announcement().addresses.len(), 1);
    assert_eq!(guest.network.stats().peers, 1, "the host was never met");

    for (tag, expected) in [("poetry", 1), ("chess", 0)] {
        let rooms = guest.network.rooms(tag.parse().ok()).await;
        assert_eq!(rooms.len(), expected, "{tag}");
    }
}

#[tokio::test]
async fn clocks_may_be_wrong_among_neighbours() {
    for issued in [60, unix_seconds() - 86_400, unix_seconds() + 86_400] {
        let (host, guest) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
        let room = Room::new(1);
        let announcement = room.announced_by(&host, |announcement| {
            (announcement.issued, announcement.expires) = (issued, issued + 600);
        });
        host.network.announce(announcement).await.expect("valid");
        guest.dial(&host).await;
        until_listed(&guest, room.id()).await;
    }
}

/// Waits until a room is listed no more.
async fn gone(changes: &mut broadcast::Receiver<RoomChange>, room: RoomId) {
    change(changes, |change| match change {
        RoomChange::Gone(gone) if gone == room => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn what_has_ended_is_no_longer_told() {
    let host = Node::listening(&[QUIC4]).await;
    let (kept, over) = (Room::new(1), Room::new(2));
    let mut changes = host.network.watch_rooms();
    for room in [&kept, &over] {
        let announcement = room.announced_by(&host, |_| ());
        host.network.announce(announcement).await.expect("valid");
    }
    host.network.announce(over.end(1)).await.expect("valid");
    gone(&mut changes, over.id()).await;
    let guest = Node::listening(&[QUIC4]).await;
    guest.dial(&host).await;
    until_listed(&guest, kept.id()).await;
    assert!(!lists(&guest, over.id()).await);
}

#[tokio::test]
async fn an_end_travels_and_nothing_said_before_it_brings_the_room_back() {
    let (host, middle, guest) = (
        Node::with(&[QUIC4], |config| config.transport = TransportChoice::Quic).await,
        Node::listening(&[TCP4, QUIC4]).await,
        Node::with(&[TCP4], |config| config.transport = TransportChoice::Tcp).await,
    );
    let (room, other) = (Room::with_tags(1, &["poetry"]), Room::new(2));
    let mut changes = guest.network.watch_rooms();
    let live = room.announced_by(&host, |_| ());
    host.network.announce(live.clone()).await.expect("valid");
    for node in [&guest, &host] {
        let addresses = middle.network.addresses();
        let dialled = node.network.dial(Some(middle.peer()), addresses).await;
        assert_eq!(dialled, Ok(middle.peer()));
    }
    listed(&mut changes, room.id(), 0).await;
    host.network.announce(room.end(0)).await.expect("valid");
    gone(&mut changes, room.id()).await;

    // Somebody who has not heard tells of the room, and of another.
    let late = Node::listening(&[TCP4]).await;
    for announcement in [live, other.announced_by(&late, |_| ())] {
        late.network.announce(announcement).await.expect("valid");
    }
    guest.dial(&late).await;
    listed(&mut changes, other.id(), 0).await;
    until(|| guest.network.stats().announcements_older >= 1).await;
    assert!(!lists(&guest, room.id()).await);
}

#[tokio::test]
async fn who_asks_hears_of_an_end_that_it_has_missed() {
    let (host, guest) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    let witness = Node::listening(&[QUIC4]).await;
    let room = Room::new(1);
    let mut changes = guest.network.watch_rooms();
    let mut seen = witness.network.watch_rooms();
    host.network
        .announce(room.announced_by(&host, |_| ()))
        .await
        .expect("valid");
    guest.dial(&host).await;
    witness.dial(&host).await;
    listed(&mut changes, room.id(), 0).await;
    listed(&mut seen, room.id(), 0).await;
    // The guest's line breaks before the end, and it comes back another way.
    guest.network.disconnect(host.peer()).await;
    host.network.announce(room.end(1)).await.expect("valid");
    gone(&mut seen, room.id()).await;
    host.network.close().await;
    guest.dial(&witness).await;
    gone(&mut changes, room.id()).await;
}

#[tokio::test]
async fn a_node_that_closes_has_told_of_its_rooms_ends() {
    let (host, guest) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    let room = Room::new(1);
    let mut changes = guest.network.watch_rooms();
    host.network
        .announce(room.announced_by(&host, |_| ()))
        .await
        .expect("valid");
    guest.dial(&host).await;
    listed(&mut changes, room.id(), 0).await;
    host.network.announce(room.end(1)).await.expect("valid");
    host.network.close().await;
    gone(&mut changes, room.id()).await;
}

#[tokio::test]
async fn a_node_announces_only_what_proves_itself_and_not_too_much() {
    let host = Node::listening(&[QUIC4]).await;
    for seed in 0..=OWN_ROOMS {
        let room = Room::new(u8::try_from(seed).expect("few"));
        let result = host.network.announce(room.announced_by(&host, |_| ())).await;
        match result {
            Ok(()) => assert!(seed < OWN_ROOMS),
            Err(error) => assert_eq!((error, seed), (AnnounceError::TooMany, OWN_ROOMS)),
        }
    }
    let mut forged = Room::new(1).announcement(|_| ()).to_bytes().to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let forged = majlis_protocol::signed::Signed::from_bytes(&forged).expect("an envelope");
    let error = host.network.announce(forged).await;
    assert!(matches!(error, Err(AnnounceError::Invalid(_))));
}
