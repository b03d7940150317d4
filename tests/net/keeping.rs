//! Records of rooms to come, kept by community nodes while their hosts are away.

use majlis::net::{Kept, RoomChange};
use majlis_protocol::{announcement::Status, reason::Reason, room::RoomId};
use tokio::sync::broadcast;

use super::{
    rooms::{Room, change, until_listed},
    *,
};

async fn community() -> Node {
    Node::with(&[QUIC4], |config| config.community = true).await
}

async fn answer(kept: &mut broadcast::Receiver<Kept>) -> Kept {
    let answer = timeout(PATIENCE, kept.recv()).await.expect("an answer");
    answer.expect("the network runs")
}

/// Waits until a room is known to have been called off.
async fn cancelled(changes: &mut broadcast::Receiver<RoomChange>, room: RoomId) {
    change(changes, |change| match change {
        RoomChange::Cancelled(listing) if listing.announcement().room == room => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn a_community_node_says_that_it_keeps_a_record_and_tells_of_it_when_the_host_has_gone() {
    let (keeper, host, plain) = (
        community().await,
        Node::listening(&[QUIC4]).await,
        Node::listening(&[QUIC4]).await,
    );
    let (room, log) = Room::planned(1);
    let mut kept = host.network.watch_keepers();
    host.network
        .announce(room.record(&log, &host))
        .await
        .expect("valid");
    host.dial(&plain).await;
    host.dial(&keeper).await;
    let answer = answer(&mut kept).await;
    assert_eq!(
        (answer.peer, answer.refused),
        (keeper.peer(), None),
        "and the other promises nothing"
    );
    assert_eq!(answer.address, Some(keeper.address()));
    assert_eq!((answer.room, answer.head), (room.id(), 0));
    host.network.close().await;
    plain.network.close().await;

    let stranger = Node::listening(&[QUIC4]).await;
    stranger.dial(&keeper).await;
    until_listed(&stranger, room.id()).await;
    let listed = stranger.network.rooms(None).await;
    assert!(matches!(listed[0].status(), Status::Planned(_)));
    assert_eq!(stranger.network.stats().peers, 1, "the host was never met");
}

#[tokio::test]
async fn what_was_said_before_a_room_was_called_off_does_not_bring_it_back() {
    let (keeper, host) = (community().await, Node::listening(&[QUIC4]).await);
    let (room, mut log) = Room::planned(1);
    let old = room.record(&log, &host);
    let mut kept = host.network.watch_keepers();
    host.dial(&keeper).await;
    host.network.announce(old.clone()).await.expect("valid");
    assert_eq!(answer(&mut kept).await.refused, None);
    room.cancel(&mut log);
    host.network
        .announce(room.record(&log, &host))
        .await
        .expect("valid");
    let off = answer(&mut kept).await;
    assert_eq!((off.head, off.refused), (1, None));
    host.network.close().await;

    // Somebody has kept the first record, and wants it kept and told.
    let liar = Node::listening(&[QUIC4]).await;
    let mut refused = liar.network.watch_keepers();
    liar.network.announce(old).await.expect("it was valid");
    liar.dial(&keeper).await;
    assert_eq!(answer(&mut refused).await.refused, Some(Reason::Duplicate));
    assert_eq!(keeper.network.stats().records_refused, 1);

    let stranger = Node::listening(&[QUIC4]).await;
    let mut changes = stranger.network.watch_rooms();
    stranger.dial(&keeper).await;
    cancelled(&mut changes, room.id()).await;
    stranger.dial(&liar).await;
    until(|| stranger.network.stats().announcements_older >= 1).await;
    let known = stranger.network.rooms(None).await;
    assert!(matches!(known[0].status(), Status::Cancelled { .. }) && known.len() == 1);
}

#[tokio::test]
async fn who_has_heard_of_a_room_to_come_tells_its_neighbours_of_its_change() {
    let (host, guest) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    let (room, mut log) = Room::planned(1);
    host.network
        .announce(room.record(&log, &host))
        .await
        .expect("valid");
    let mut changes = guest.network.watch_rooms();
    guest.dial(&host).await;
    until_listed(&guest, room.id()).await;
    room.cancel(&mut log);
    host.network
        .announce(room.record(&log, &host))
        .await
        .expect("valid");
    cancelled(&mut changes, room.id()).await;
}
