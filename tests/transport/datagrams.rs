//! Datagrams between two transports of ours; where it matters, through QUIC alone (those beside it: `express.rs`).

use bytes::Bytes;
use futures::FutureExt;
use majlis::net::quic::{Link, SendError};

use super::{
    IPV4, IPV6,
    node::{Node, connect},
    until, within,
};

/// Sends `count` numbered datagrams one by one, each after the one before was read.
async fn exchange(from: &Link, to: &Link, count: u32) {
    for number in 0..count {
        let sent = Bytes::copy_from_slice(&number.to_be_bytes());
        from.send(sent.clone()).unwrap();
        assert_eq!(within("a datagram", to.recv()).await, Ok(sent));
    }
}

async fn datagrams_arrive_both_ways(on: &str) {
    let [(dialler, a), (listener, b)] = connect(Node::without_express(), Node::without_express(), on).await;
    exchange(&a, &b, 100).await;
    exchange(&b, &a, 100).await;
    assert_eq!((a.peer(), b.peer()), (listener.peer, dialler.peer));
    assert!(a.is_dialer() && !b.is_dialer());
    assert_ne!(a.id(), b.id());
    assert!(a.rtt() > std::time::Duration::ZERO);
    let (sent, received) = (a.stats(), b.stats());
    assert_eq!(
        (
            sent.datagrams_accepted,
            sent.datagrams_sent,
            sent.datagrams_received
        ),
        (100, 100, 100)
    );
    assert_eq!(
        (
            received.datagrams_sent,
            received.datagrams_received,
            received.datagrams_read
        ),
        (100, 100, 100)
    );
    assert_eq!(sent.datagrams_overflowed, 0);
    assert!(sent.bytes_sent > 400 && sent.bytes_received > 400 && sent.packets_sent >= 100);
}

#[tokio::test]
async fn datagrams_arrive_both_ways_over_ipv4() {
    datagrams_arrive_both_ways(IPV4).await;
}

#[tokio::test]
async fn datagrams_arrive_both_ways_over_ipv6() {
    datagrams_arrive_both_ways(IPV6).await;
}

#[tokio::test]
async fn a_datagram_over_the_limit_is_refused_and_one_at_the_limit_arrives() {
    let [(_dialler, a), (_listener, b)] = connect(Node::ours(), Node::ours(), IPV4).await;
    // The limit can only grow while nothing is lost, so what fits now still fits below.
    let most = a.max_size().unwrap();
    assert!(
        most >= 1150,
        "{most} bytes is less than a tick of three speakers needs"
    );
    let too_long = Bytes::from(vec![0; 60_000]);
    assert_eq!(a.send(too_long), Err(SendError::TooLarge { size: 60_000 }));
    let longest = Bytes::from(vec![7; most]);
    a.send(longest.clone()).unwrap();
    assert_eq!(within("the longest datagram", b.recv()).await, Ok(longest));
    assert_eq!(
        a.stats().datagrams_accepted,
        1,
        "a refused datagram is not counted as accepted"
    );
}

/// On one thread nothing is sent until the test waits, so the queue's content is known exactly.
#[tokio::test(flavor = "current_thread")]
async fn a_full_send_queue_drops_its_oldest_and_counts_them() {
    let [(_dialler, a), (_listener, b)] =
        connect(Node::without_express(), Node::without_express(), IPV4).await;
    for number in 0_u32..200 {
        let mut datagram = vec![0; 500];
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        a.send(datagram.into()).unwrap();
    }
    let stats = a.stats();
    let dropped = u32::try_from(stats.datagrams_overflowed).unwrap();
    // 16 KiB hold at most 32 of 500 bytes, and not many fewer whatever quinn adds to each.
    assert!((168..180).contains(&dropped), "{dropped} of 200 dropped");
    for number in dropped..200 {
        let datagram = within("a datagram that stayed in the queue", b.recv())
            .await
            .unwrap();
        assert_eq!(datagram[..4], number.to_be_bytes(), "the newest stay, in order");
    }
    let stats = a.stats();
    assert_eq!(stats.datagrams_accepted, 200);
    assert_eq!(stats.datagrams_overflowed, u64::from(dropped));
    assert_eq!(stats.datagrams_sent, 200 - u64::from(dropped));
}

#[tokio::test]
async fn a_link_outlives_its_connection_only_to_say_so() {
    let [(dialler, a), (listener, b)] = connect(Node::ours(), Node::ours(), IPV4).await;
    b.send(Bytes::from_static(b"last words")).unwrap();
    until("the datagram to arrive", || a.stats().datagrams_received == 1).await;
    let peer = listener.peer;
    dialler
        .on_swarm(move |swarm| swarm.disconnect_peer_id(peer))
        .await
        .unwrap();
    within("the dialler's end to close", a.closed()).await;
    within("the listener's end to close", b.closed()).await;
    assert_eq!(
        within("what had arrived", a.recv()).await.unwrap().as_ref(),
        b"last words"
    );
    assert!(within("the end", a.recv()).await.is_err());
    assert!(matches!(b.send(Bytes::new()), Err(SendError::Closed(_))));
    assert!(a.is_closed() && b.is_closed());
    until("both hubs to forget the link", || {
        dialler.hub.is_empty() && listener.hub.is_empty()
    })
    .await;
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_have_two_links_and_both_carry() {
    let (mut a, mut b) = (Node::ours(), Node::ours());
    let (at_a, at_b) = (a.listen(IPV4).await, b.listen(IPV4).await);
    futures::join!(a.dial(b.peer, &at_b), b.dial(a.peer, &at_a));
    for _ in 0..2 {
        a.connected(b.peer).await;
        b.connected(a.peer).await;
    }
    let (from_a, mut from_b) = (a.hub.links(&b.peer), b.hub.links(&a.peer));
    assert_eq!((from_a.len(), from_b.len(), a.hub.len()), (2, 2, 2));
    // Which is which is told by who dialled: the addresses are the same, both being reused ports.
    from_b.sort_by_key(|link| link.is_dialer() == from_a[0].is_dialer());
    for (one, other) in from_a.iter().zip(&from_b) {
        assert_ne!(one.is_dialer(), other.is_dialer());
        exchange(one, other, 10).await;
        exchange(other, one, 10).await;
    }
}

/// On one thread nothing is read until the test reads, so all that arrives waits in the queue.
#[tokio::test(flavor = "current_thread")]
async fn what_a_slow_reader_misses_shows_in_its_counters() {
    let [(_dialler, a), (_listener, b)] =
        connect(Node::without_express(), Node::without_express(), IPV4).await;
    for sent in 1..=200 {
        a.send(vec![0; 1000].into()).unwrap();
        until("the datagram to arrive", || b.stats().datagrams_received == sent).await;
    }
    let waiting = std::iter::from_fn(|| b.recv().now_or_never()).count();
    let stats = b.stats();
    assert_eq!(
        (stats.datagrams_received, stats.datagrams_read),
        (200, waiting as u64)
    );
    // 64 KiB hold at most 65 of 1000 bytes, and not many fewer whatever quinn adds to each.
    assert!((55..=65).contains(&waiting), "{waiting} of 200 were kept");
}
