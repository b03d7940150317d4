//! Peers that use libp2p's own QUIC transport.

use bytes::Bytes;
use majlis::net::quic::SendError;

use super::{IPV4, IPV6, node::Node};

async fn talks(mut ours: Node, mut stock: Node) {
    ours.connected(stock.peer).await;
    let link = ours.link(stock.peer);
    assert_eq!(link.max_size(), None);
    assert_eq!(
        link.send(Bytes::from_static(b"sound")),
        Err(SendError::Unsupported)
    );
    ours.pinged(stock.peer).await;
    stock.pinged(ours.peer).await;
    assert!(!link.is_closed());
    assert_eq!(link.stats().datagrams_accepted, 0);
}

#[tokio::test]
async fn we_dial_a_stock_peer_and_learn_that_it_takes_no_datagrams() {
    for on in [IPV4, IPV6] {
        let (ours, mut stock) = (Node::ours(), Node::stock());
        let at = stock.listen(on).await;
        ours.dial(stock.peer, &at).await;
        talks(ours, stock).await;
    }
}

#[tokio::test]
async fn a_stock_peer_dials_us_and_we_learn_that_it_takes_no_datagrams() {
    for on in [IPV4, IPV6] {
        let (mut ours, stock) = (Node::ours(), Node::stock());
        let at = ours.listen(on).await;
        stock.dial(ours.peer, &at).await;
        talks(ours, stock).await;
    }
}

#[tokio::test]
async fn a_stock_peer_sees_us_at_the_address_we_listen_on() {
    let (mut ours, mut stock) = (Node::ours(), Node::stock());
    let listening = ours.listen(IPV4).await;
    let at = stock.listen(IPV4).await;
    ours.dial(stock.peer, &at).await;
    assert_eq!(ours.identified(stock.peer).await, listening);
    assert_eq!(stock.identified(ours.peer).await, at);
}
