//! Handles on nodes and rooms: any of them keeps both up, and the last one dropped closes them.

use majlis::{
    event::{Event, LeftReason},
    room::{Hosting, Seat},
};

use crate::support::nodes::{TestNode, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_lets_people_in_while_a_handle_on_it_is_kept_and_is_left_with_the_last() {
    let TestNode { node, home: _home } = TestNode::start("host").await;
    let room = node.host(Hosting::titled("Poems")).await.expect("a room");
    let link = room.info().await.expect("open").link;
    drop(node);
    let listener = TestNode::start("listener").await;
    let there = listener
        .node
        .join(&link, Seat::default())
        .await
        .expect("greeted and let in");
    drop(room);
    let reason = wait_for(&mut there.events(), "left", |event| match event {
        Event::Left { reason } => Some(*reason),
        _ => None,
    })
    .await;
    assert_eq!(reason, LeftReason::Unreachable, "the host has left its room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_goes_on_while_its_node_is_kept() {
    let host = TestNode::start("host").await;
    let room = host.node.host(Hosting::titled("Poems")).await.expect("a room");
    let (id, link) = (room.id(), room.info().await.expect("open").link);
    drop(room);
    let listener = TestNode::start("listener").await;
    listener
        .node
        .join(&link, Seat::default())
        .await
        .expect("the room is still there");
    let room = host.node.room(id).expect("listed");
    room.leave(LeftReason::Interrupted).await.expect("was there");
    assert!(host.node.rooms().is_empty());
}
