//! The link emulator inside the transport.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use libp2p::{Transport as _, core::transport::ListenerId, identity::Keypair};
use majlis::net::quic::{Config, Link};
use majlis_protocol::sim::link::Profile;

use super::{
    IPV4, address,
    bare::{self, Bare},
    node::{Node, connect},
    until, within,
};

/// Sends numbered datagrams through a link that loses some. Never more are under way than either end's
/// queue holds, so that nothing but the link loses any.
async fn send_numbers(from: &Link, to: &Link, count: u32) {
    for number in 0..count {
        from.send(Bytes::copy_from_slice(&number.to_be_bytes())).unwrap();
        until("the reader to keep up", || {
            from.stats().datagrams_accepted - to.stats().datagrams_read < 100
        })
        .await;
    }
}

async fn losses_are_counted_exactly(profile: &str) {
    const SENT: u32 = 2000;
    let [(dialler, a), (listener, b)] =
        connect(Node::ours_over(profile), Node::ours_over("seed=1"), IPV4).await;
    let reading = tokio::spawn({
        let b = b.clone();
        async move {
            let mut arrived = BTreeSet::new();
            while let Ok(datagram) = b.recv().await {
                let Ok(number) = datagram.as_ref().try_into().map(u32::from_be_bytes) else {
                    break;
                };
                assert!(arrived.insert(number), "{number} came twice");
            }
            arrived
        }
    });
    send_numbers(&a, &b, SENT).await;
    let stats = a.stats();
    let counters = dialler.hub.emulator().unwrap().counters();
    until("the last datagram to be read", || {
        b.stats().datagrams_read == stats.datagrams_accepted
    })
    .await;
    // The end mark may be lost as well: repeated until one gets through.
    until("the reader to end", || {
        a.send(Bytes::from_static(b"end")).unwrap();
        reading.is_finished()
    })
    .await;
    let missing = u64::from(SENT) - reading.await.unwrap().len() as u64;
    assert_eq!(stats.datagrams_lost_by_testlink, missing, "{profile}");
    assert_eq!(counters.datagrams_lost, missing);
    assert_eq!(counters.datagrams_offered, u64::from(SENT));
    assert_eq!(
        (stats.datagrams_overflowed, stats.datagrams_accepted),
        (0, u64::from(SENT) - missing)
    );
    assert!(missing > 0, "the profile loses something");
    assert_eq!(listener.hub.emulator().unwrap().counters().datagrams_lost, 0);
}

#[tokio::test]
async fn uniform_losses_are_exactly_what_does_not_arrive() {
    losses_are_counted_exactly("loss=5%,seed=7").await;
}

#[tokio::test]
async fn bursty_losses_on_a_slow_link_are_exactly_what_does_not_arrive() {
    losses_are_counted_exactly("loss=10%,burst=3,delay=5ms,jitter=3ms,seed=7").await;
}

#[tokio::test]
async fn two_runs_with_one_seed_lose_the_same_datagrams() {
    let mut lost = Vec::new();
    for _ in 0..2 {
        let [(_dialler, a), (_listener, _b)] =
            connect(Node::ours_over("loss=20%,seed=3"), Node::ours(), IPV4).await;
        let mut pattern = Vec::new();
        for _ in 0..200 {
            let before = a.stats().datagrams_lost_by_testlink;
            a.send(Bytes::from_static(b"sound")).unwrap();
            pattern.push(a.stats().datagrams_lost_by_testlink > before);
        }
        lost.push(pattern);
    }
    assert_eq!(lost[0], lost[1]);
    assert!(lost[0].contains(&true) && lost[0].contains(&false));
}

#[tokio::test]
async fn a_delay_is_felt_by_the_handshake_substreams_and_datagrams() {
    let slow = "delay=40ms,jitter=10ms,seed=2";
    let [(mut dialler, a), (listener, b)] = connect(Node::ours_over(slow), Node::ours_over(slow), IPV4).await;
    dialler.pinged(listener.peer).await;
    a.send(Bytes::from_static(b"sound")).unwrap();
    assert_eq!(within("a late datagram", b.recv()).await.unwrap(), "sound");
    // Never sooner than both ends' shortest delay. How much later is the machine's affair.
    let shortest = Duration::from_millis(60);
    assert!(
        a.rtt() >= shortest && b.rtt() >= shortest,
        "{:?} {:?}",
        a.rtt(),
        b.rtt()
    );
}

#[tokio::test]
async fn nothing_passes_a_partition_and_the_idle_timeout_sweeps_the_link_away() {
    let [(dialler, a), (listener, b)] =
        connect(Node::ours_over("delay=1ms"), Node::ours_over("delay=1ms"), IPV4).await;
    let both = [
        dialler.hub.emulator().unwrap().clone(),
        listener.hub.emulator().unwrap().clone(),
    ];
    a.send(Bytes::from_static(b"before")).unwrap();
    assert_eq!(
        within("a datagram before the partition", b.recv()).await.unwrap(),
        "before"
    );
    both.iter().for_each(|emulator| emulator.set_partitioned(true));
    a.send(Bytes::from_static(b"during")).unwrap();
    within("the idle timeout", futures::future::join(a.closed(), b.closed())).await;
    assert!(b.recv().await.is_err(), "the datagram was cut");
    assert!(both.iter().all(|emulator| emulator.counters().packets_cut > 0));
    until("both hubs to forget the link", || {
        dialler.hub.is_empty() && listener.hub.is_empty()
    })
    .await;

    both.iter().for_each(|emulator| emulator.set_partitioned(false));
    let again = connect(dialler, listener, IPV4);
    let [(_dialler, a), (_listener, b)] = within("a connection after the partition", again).await;
    a.send(Bytes::from_static(b"after")).unwrap();
    assert_eq!(
        within("a datagram after the partition", b.recv()).await.unwrap(),
        "after"
    );
}

#[tokio::test]
async fn a_short_partition_is_survived_and_substreams_lose_nothing() {
    let [(mut dialler, a), (listener, b)] = connect(Node::ours_over(""), Node::ours_over(""), IPV4).await;
    let emulator = dialler.hub.emulator().unwrap();
    emulator.set_partitioned(true);
    let cut = emulator.counters().packets_cut;
    a.send(Bytes::from_static(b"cut")).unwrap();
    until("the datagram to be cut", || emulator.counters().packets_cut > cut).await;
    emulator.set_partitioned(false);
    dialler.pinged(listener.peer).await;
    a.send(Bytes::from_static(b"after")).unwrap();
    assert_eq!(
        within("a datagram after the partition", b.recv()).await.unwrap(),
        "after"
    );
    assert!(!a.is_closed());
}

/// One node dies without a word and the next takes its place at the same port. Why its peer's connection
/// then ended.
async fn restart() -> String {
    let keypair = Keypair::generate_ed25519();
    let mut config = Config::new(&keypair);
    config.testlink = Some(Profile::default());
    let mut dying = Bare::with_config(&keypair, config);
    let dialler = Bare::new();
    let (near, far) = bare::connect(&dialler, &mut dying).await;
    let link = dialler.hub.links(&dying.peer).remove(0);
    let port = link.remote_address().port();
    dying.hub.emulator().unwrap().set_partitioned(true);
    drop((far, dying));

    let again = Bare::with_config(&keypair, Config::new(&keypair));
    within("the port to be free", async {
        let on = address(&format!("/ip4/127.0.0.1/udp/{port}/quic-v1"));
        loop {
            let (id, on) = (ListenerId::next(), on.clone());
            let bound = again
                .on_transport(move |transport| transport.listen_on(id, on))
                .await;
            if bound.is_ok() {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let reason = within("the dialler to learn of it", link.closed()).await;
    drop(near);
    reason.to_string()
}

/// A machine that stalls for three seconds lets the idle timeout come first; hence the repetition.
#[tokio::test]
async fn peers_of_a_restarted_node_learn_of_it_from_their_next_packet() {
    let mut reasons = Vec::new();
    for _ in 0..3 {
        let reason = restart().await;
        if reason.contains("reset by peer") {
            return;
        }
        reasons.push(reason);
    }
    panic!("the connections ended otherwise: {reasons:?}");
}
