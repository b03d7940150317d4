//! Datagrams that go beside QUIC, and those who stand between.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use libp2p::Multiaddr;
use majlis::net::quic::Link;
use tokio::{net::UdpSocket, task::JoinHandle};

use super::{
    IPV4, IPV6, address,
    node::{Node, connect},
    within,
};

/// What somebody between two nodes makes of a packet: those that go on in its place.
type Meddling = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>> + Send>;

/// Somebody between a dialler and a listener, who sees and sends all of their packets.
struct Middle {
    address: Multiaddr,
    meddling: Arc<Mutex<Meddling>>,
    task: JoinHandle<()>,
}

impl Middle {
    /// Before a listener; it changes nothing yet.
    async fn before(listener: &Multiaddr) -> Self {
        let port = listener.iter().find_map(|part| match part {
            libp2p::multiaddr::Protocol::Udp(port) => Some(port),
            _ => None,
        });
        let listener = SocketAddr::from(([127, 0, 0, 1], port.unwrap()));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let meddling: Arc<Mutex<Meddling>> = Arc::new(Mutex::new(Box::new(|packet| vec![packet.to_vec()])));
        let shared = Arc::clone(&meddling);
        let task = tokio::spawn(async move {
            let (mut dialler, mut buffer) = (None, vec![0; 65_536]);
            loop {
                // The other end's socket may be gone already: loopback says so here.
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                    continue;
                };
                let to = if from == listener {
                    dialler
                } else {
                    dialler = Some(from);
                    Some(listener)
                };
                let packets = shared.lock().unwrap()(&buffer[..length]);
                for packet in packets {
                    if let Some(to) = to {
                        let _ = socket.send_to(&packet, to).await;
                    }
                }
            }
        });
        Self {
            address: address(&format!("/ip4/127.0.0.1/udp/{port}/quic-v1")),
            meddling,
            task,
        }
    }

    fn meddle(&self, meddling: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
        *self.meddling.lock().unwrap() = Box::new(meddling);
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Two nodes with somebody between them.
async fn connect_through_middle() -> ([(Node, Link); 2], Middle) {
    let (mut dialler, mut listener) = (Node::ours(), Node::ours());
    let middle = Middle::before(&listener.listen(IPV4).await).await;
    dialler.dial(listener.peer, &middle.address).await;
    dialler.connected(listener.peer).await;
    listener.connected(dialler.peer).await;
    let (a, b) = (dialler.link(listener.peer), listener.link(dialler.peer));
    ([(dialler, a), (listener, b)], middle)
}

fn is_express(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 5 == 1)
}

/// Sends numbered datagrams, each after the one before was read, until `enough`; says how many there were.
async fn exchange_until(from: &Link, to: &Link, enough: impl Fn() -> bool) -> u32 {
    within("datagrams that go another way", async {
        let mut number = 0_u32;
        while !enough() {
            let sent = Bytes::copy_from_slice(&number.to_be_bytes());
            from.send(sent.clone()).unwrap();
            assert_eq!(within("a datagram", to.recv()).await, Ok(sent));
            number += 1;
        }
        number
    })
    .await
}

async fn datagrams_go_beside_quic(on: &str) {
    let [(_dialler, a), (_listener, b)] = connect(Node::ours(), Node::ours(), on).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        exchange_until(from, to, || from.stats().express_sent == 100).await;
        let (sent, received) = (from.stats(), to.stats());
        assert_eq!(received.express_received, 100);
        assert_eq!(sent.datagrams_sent, received.datagrams_received);
        assert_eq!(sent.datagrams_accepted, received.datagrams_read);
        assert_eq!((sent.datagrams_overflowed, received.express_refused), (0, 0));
        // A packet has 33 bytes besides the number; a packet of QUIC would be counted on top.
        assert!(sent.bytes_sent >= 100 * 37 && sent.packets_sent >= 100);
    }
}

#[tokio::test]
async fn datagrams_go_beside_quic_over_ipv4() {
    datagrams_go_beside_quic(IPV4).await;
}

#[tokio::test]
async fn datagrams_go_beside_quic_over_ipv6() {
    datagrams_go_beside_quic(IPV6).await;
}

#[tokio::test]
async fn where_one_end_has_no_express_all_datagrams_go_through_quic() {
    for (dialler, listener) in [
        (Node::ours(), Node::without_express()),
        (Node::without_express(), Node::ours()),
    ] {
        let [(_dialler, a), (_listener, b)] = connect(dialler, listener, IPV4).await;
        for (from, to) in [(&a, &b), (&b, &a)] {
            let mut left = 100;
            while left > 0 {
                left -= 1;
                from.send(Bytes::from_static(b"sound")).unwrap();
                assert_eq!(within("a datagram", to.recv()).await.unwrap(), "sound");
            }
            assert_eq!((from.stats().datagrams_sent, from.stats().express_sent), (100, 0));
        }
    }
}

#[tokio::test]
async fn the_longest_datagram_goes_beside_quic_too_and_a_longer_one_nowhere() {
    let [(_dialler, a), (_listener, b)] = connect(Node::ours(), Node::ours(), IPV4).await;
    exchange_until(&a, &b, || a.stats().express_sent > 0).await;
    // Express learns a moment later than QUIC that the path carries more.
    let before = a.stats().express_sent;
    within("the longest datagram beside QUIC", async {
        while a.stats().express_sent == before {
            let longest = Bytes::from(vec![7; a.max_size().unwrap()]);
            a.send(longest.clone()).unwrap();
            assert_eq!(within("the longest datagram", b.recv()).await, Ok(longest));
        }
    })
    .await;
    let before = a.stats().express_sent;
    assert!(a.send(Bytes::from(vec![0; 60_000])).is_err());
    assert_eq!(a.stats().express_sent, before);
}

#[tokio::test]
async fn what_is_sent_again_or_altered_on_the_way_is_refused_and_counted() {
    let ([(_dialler, a), (_listener, b)], middle) = connect_through_middle().await;
    exchange_until(&a, &b, || a.stats().express_sent > 0).await;
    // Each express packet goes on three times: altered, as it is, and again.
    middle.meddle(|packet| {
        let mut altered = packet.to_vec();
        if !is_express(packet) {
            return vec![altered];
        }
        altered[packet.len() / 2] ^= 1;
        vec![altered, packet.to_vec(), packet.to_vec()]
    });
    let before = a.stats().express_sent;
    exchange_until(&a, &b, || a.stats().express_sent == before + 100).await;
    // The last one's double may be on its way: of a hundred at least 99 have come.
    assert!(b.stats().express_refused >= 199, "{:?}", b.stats());
    let stats = b.stats();
    assert_eq!(
        stats.datagrams_received, stats.datagrams_read,
        "nothing came twice"
    );
    assert_eq!(stats.datagrams_read, a.stats().datagrams_accepted);
}

#[tokio::test]
async fn packets_with_another_connections_token_or_none_are_dropped() {
    let ([(_dialler, a), (_listener, b)], middle) = connect_through_middle().await;
    let seen: Arc<Mutex<BTreeSet<Vec<u8>>>> = Arc::default();
    let tokens = Arc::clone(&seen);
    middle.meddle(move |packet| {
        if !is_express(packet) {
            return vec![packet.to_vec()];
        }
        tokens.lock().unwrap().insert(packet[1..9].to_vec());
        let mut stranger = packet.to_vec();
        stranger[1] ^= 1;
        let short = packet[..packet.len().min(5)].to_vec();
        vec![stranger, short, vec![packet[0]], packet.to_vec()]
    });
    exchange_until(&a, &b, || a.stats().express_sent == 50).await;
    assert_eq!(b.stats().express_refused, 0, "they are nobody's");
    assert_eq!(seen.lock().unwrap().len(), 2, "one token a direction");
}

#[tokio::test]
async fn where_only_quic_gets_through_so_do_datagrams() {
    let ([(_dialler, a), (_listener, b)], middle) = connect_through_middle().await;
    let cut = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&cut);
    middle.meddle(move |packet| {
        if is_express(packet) {
            *counted.lock().unwrap() += 1;
            return vec![];
        }
        vec![packet.to_vec()]
    });
    exchange_until(&a, &b, || *cut.lock().unwrap() >= 3).await;
    assert_eq!(
        a.stats().express_sent,
        0,
        "nothing is sent before the way is known"
    );
}

#[tokio::test]
async fn a_way_that_ends_is_left_for_quic_and_taken_again_when_it_is_back() {
    let ([(_dialler, a), (_listener, b)], middle) = connect_through_middle().await;
    exchange_until(&a, &b, || a.stats().express_sent > 0).await;
    middle.meddle(|packet| {
        if is_express(packet) {
            vec![]
        } else {
            vec![packet.to_vec()]
        }
    });
    // Until three questions were asked in vain datagrams are lost; then all arrive.
    let lost = within("a datagram through QUIC", async {
        let mut lost = 0;
        loop {
            a.send(Bytes::from_static(b"is anybody there?")).unwrap();
            let wait = tokio::time::timeout(std::time::Duration::from_millis(50), b.recv());
            match wait.await {
                Ok(datagram) => break datagram.map(|_| lost),
                Err(_) => lost += 1,
            }
        }
    });
    assert!(lost.await.unwrap() > 0);
    let before = a.stats().express_sent;
    middle.meddle(|packet| vec![packet.to_vec()]);
    exchange_until(&a, &b, || a.stats().express_sent > before + 10).await;
}

#[tokio::test]
async fn what_the_path_does_not_allow_at_once_goes_into_the_queue_of_quic() {
    let [(_dialler, a), (_listener, b)] = connect(Node::ours(), Node::ours(), IPV4).await;
    exchange_until(&a, &b, || a.stats().express_sent > 0).await;
    exchange_until(&a, &b, || a.has_room()).await;
    let before = a.stats();
    // Half a megabyte in a moment, which is seven windows.
    let last = 499_u32;
    for number in 0..=last {
        let mut datagram = number.to_be_bytes().to_vec();
        datagram.resize(1000, 0);
        a.send(datagram.into()).unwrap();
    }
    assert!(!a.has_room(), "answers wait until live sound has gone");
    let beside = a.stats().express_sent - before.express_sent;
    assert!(
        (1..u64::from(last)).contains(&beside),
        "{beside} went beside QUIC"
    );
    // Of what QUIC's queue takes the newest is kept.
    within("the last datagram", async {
        while b.recv().await.unwrap()[..4] != last.to_be_bytes() {}
    })
    .await;
    exchange_until(&a, &b, || a.has_room()).await;
}
