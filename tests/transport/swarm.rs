//! What the swarm decides about a connection holds for its link.

use libp2p::swarm::SwarmEvent;

use super::{
    IPV4,
    bare::{self, Bare},
    node::{Node, connect},
    until, within,
};

#[tokio::test]
async fn a_connection_that_the_swarm_denies_is_closed_and_gone_from_the_hub() {
    let (mut dialler, mut listener) = (Node::ours(), Node::ours());
    listener.block(dialler.peer).await;
    let at = listener.listen(IPV4).await;
    dialler.dial(listener.peer, &at).await;
    // The dialler's handshake is complete before the listener can look at who it is.
    dialler.connected(listener.peer).await;
    listener
        .event("the denial", |event| {
            matches!(event, SwarmEvent::IncomingConnectionError { .. }).then_some(())
        })
        .await;
    dialler
        .event("the end of the denied connection", |event| {
            matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(())
        })
        .await;
    until("both hubs to be empty", || {
        dialler.hub.is_empty() && listener.hub.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_peer_blocked_later_loses_its_link_at_once() {
    let [(dialler, a), (listener, b)] = connect(Node::ours(), Node::ours(), IPV4).await;
    listener.block(dialler.peer).await;
    within("the blocked link to close", b.closed()).await;
    within("the other end to learn of it", a.closed()).await;
    until("both hubs to be empty", || {
        dialler.hub.is_empty() && listener.hub.is_empty()
    })
    .await;
}

#[tokio::test]
async fn held_handles_do_not_keep_a_dropped_connection_alive() {
    let (dialler, mut listener) = (Bare::new(), Bare::new());
    let (dialled, accepted) = bare::connect(&dialler, &mut listener).await;
    let near = listener.hub.links(&dialler.peer).remove(0);
    let far = dialler.hub.links(&listener.peer).remove(0);
    assert!(!near.is_closed());
    drop(accepted);
    assert!(near.is_closed(), "closed by the drop itself");
    assert!(listener.hub.is_empty());
    within("the other end to learn of it", far.closed()).await;
    assert_eq!(dialler.hub.len(), 1, "the other end's swarm has not let go yet");
    drop(dialled);
    assert!(dialler.hub.is_empty());
}

#[tokio::test]
async fn closing_one_of_two_connections_leaves_the_other() {
    let (dialler, mut listener) = (Bare::new(), Bare::new());
    let first = bare::connect(&dialler, &mut listener).await;
    let second = bare::connect(&dialler, &mut listener).await;
    let links = dialler.hub.links(&listener.peer);
    assert_eq!(links.len(), 2);
    drop(first);
    assert!(
        links[0].is_closed() && !links[1].is_closed(),
        "links are listed oldest first"
    );
    let left: Vec<u64> = dialler
        .hub
        .links(&listener.peer)
        .iter()
        .map(|link| link.id())
        .collect();
    assert_eq!(left, [links[1].id()]);
    drop(second);
    assert!(dialler.hub.is_empty() && listener.hub.is_empty());
}
