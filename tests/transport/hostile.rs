//! What strangers may send to the port.

use bytes::Bytes;
use libp2p::multiaddr::Protocol;
use majlis::net::quic::Error;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use tokio::net::UdpSocket;

use super::{
    IPV4,
    bare::{self, Bare, DIAL},
    node::{Node, connect},
    within,
};

/// Packets that no honest peer sends: noise of every length, and noise behind the first bytes of each
/// kind of QUIC packet.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let noise = || prop::collection::vec(any::<u8>(), 0..1400);
    let headed = |head: &'static [u8]| noise().prop_map(move |noise| [head, &noise].concat());
    prop_oneof![
        noise(),
        // Initial, 0-RTT, handshake and Retry of version 1; then a version nobody has; then a short header.
        headed(&[0xc3, 0, 0, 0, 1, 8]),
        headed(&[0xd3, 0, 0, 0, 1, 8]),
        headed(&[0xe3, 0, 0, 0, 1, 8]),
        headed(&[0xf3, 0, 0, 0, 1, 8]),
        headed(&[0xc3, 0xff, 0xff, 0xff, 0xff, 20]),
        headed(&[0xc3, 0, 0, 0, 0, 8]),
        headed(&[0x43]),
    ]
}

#[tokio::test]
async fn garbage_at_the_port_does_no_harm() {
    let [(_dialler, a), (mut listener, b)] = connect(Node::ours(), Node::ours(), IPV4).await;
    let at = listener.listen(IPV4).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut draws = TestRunner::deterministic();
    for number in 0_u32..300 {
        let packet = garbage().new_tree(&mut draws).unwrap().current();
        // To a port with a connection on it, and to one with none.
        stranger.send_to(&packet, a.remote_address()).await.unwrap();
        let Some(Protocol::Udp(port)) = at.iter().nth(1) else {
            panic!("{at} is not a UDP address")
        };
        stranger.send_to(&packet, ("127.0.0.1", port)).await.unwrap();
        let sound = Bytes::copy_from_slice(&number.to_be_bytes());
        a.send(sound.clone()).unwrap();
        assert_eq!(within("sound among garbage", b.recv()).await, Ok(sound));
    }
    let mut newcomer = Node::ours();
    newcomer.dial(listener.peer, &at).await;
    newcomer.connected(listener.peer).await;
    newcomer.pinged(listener.peer).await;
    assert_eq!(listener.hub.len(), 2, "garbage made no connection");
}

#[tokio::test]
async fn a_flood_of_handshakes_is_refused_and_passes() {
    let (dialler, mut listener) = (Bare::new(), Bare::new());
    let (_, at) = listener.listen(IPV4).await;
    // Handshakes that the listening side never finishes, since nobody polls them.
    let mut held = Vec::new();
    let mut dialled = Vec::new();
    let refused = loop {
        let mut dial = tokio::spawn(dialler.dial(&at, DIAL).await.unwrap());
        tokio::select! {
            // In this order, since a dial that was accepted may have succeeded by now.
            biased;
            (incoming, _) = listener.incoming() => {
                held.push(incoming);
                dialled.push(within("a dial to end", dial).await.unwrap().unwrap());
            }
            refused = &mut dial => break refused.unwrap(),
        }
    };
    assert!(matches!(refused, Err(Error::Connection(_))), "{refused:?}");
    assert_eq!(held.len(), 512, "{refused:?}");
    assert!(
        listener.hub.is_empty(),
        "nothing of the flood has come as far as the hub"
    );

    // The flood over, newcomers are welcome; half-way down they are first asked to prove their address.
    while held.len() > 400 {
        held.pop();
    }
    let dial = tokio::spawn(dialler.dial(&at, DIAL).await.unwrap());
    let (incoming, _) = listener.incoming().await;
    let _both = bare::finish(Box::pin(async { dial.await.unwrap() }), incoming).await;
    assert_eq!(listener.hub.links(&dialler.peer).len(), 1);
}
