//! Listening, dialling, and what is said when it does not work.

use majlis::net::{DialError, NetError, TransportChoice, addresses::is_quic};

use super::*;

#[tokio::test]
async fn two_nodes_meet_over_every_transport_and_family() {
    for address in [QUIC4, QUIC6, TCP4, TCP6] {
        let (mut host, mut guest) = (
            Node::listening(&[address]).await,
            Node::listening(&[address]).await,
        );
        guest.dial(&host).await;
        guest.connected(host.peer()).await;
        host.connected(guest.peer()).await;
        // A second dial finds the connection that is there.
        guest.dial(&host).await;
        assert_eq!(guest.network.stats().connections, 1, "{address}");
    }
}

#[tokio::test]
async fn quic_is_chosen_over_tcp_and_tcp_where_nothing_else_is_spoken() {
    let host = Node::listening(&[QUIC4, TCP4]).await;
    assert_eq!(host.network.addresses().len(), 2);
    for (choice, expected) in [(TransportChoice::Any, true), (TransportChoice::Tcp, false)] {
        let listen = if expected { QUIC4 } else { TCP4 };
        let mut guest = Node::with(&[listen], |config| config.transport = choice).await;
        let peer = guest
            .network
            .dial(Some(host.peer()), host.network.addresses())
            .await
            .expect("it listens");
        let address = guest
            .event(|event| match event {
                NetEvent::Connected { address, .. } => Some(address),
                _ => None,
            })
            .await;
        assert_eq!(is_quic(&address), expected);
        assert_eq!(guest.network.links(peer).is_empty(), !expected);
    }
}

#[tokio::test]
async fn every_address_told_works_as_it_is() {
    let host = Node::listening(&[QUIC4, QUIC6, TCP4, TCP6]).await;
    let addresses = host.network.addresses();
    assert_eq!(addresses.len(), 4);
    for address in addresses {
        let guest = Node::listening(&[QUIC4]).await;
        assert_eq!(guest.network.dial(None, vec![address]).await, Ok(host.peer()));
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    for address in [QUIC4, TCP4] {
        let first = Node::listening(&[address]).await;
        let mut taken = first.address();
        taken.pop();
        let mut config = config(&[]);
        config.listen = vec![taken.clone()];
        let error = net::start(config).await.expect_err("the port is in use");
        let NetError::Listen { address, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(address, &taken);
        assert!(error.to_string().contains("port is in use"), "{error}");
    }
}

#[tokio::test]
async fn an_address_of_another_transport_is_refused_by_name() {
    let mut config = config(&[QUIC4]);
    config.transport = TransportChoice::Tcp;
    let error = net::start(config).await.expect_err("no such transport");
    assert!(matches!(error, NetError::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn a_failed_dial_says_why() {
    let guest = Node::listening(&[QUIC4, TCP4]).await;
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
    };
    let error = guest.network.dial(None, vec![gone]).await.expect_err("closed");
    assert!(matches!(error, DialError::Refused(_)), "{error}");

    let host = Node::listening(&[QUIC4]).await;
    let stranger = Keypair::generate_ed25519().public().to_peer_id();
    let mut address = host.address();
    address.pop();
    let error = guest
        .network
        .dial(Some(stranger), vec![address])
        .await
        .expect_err("another peer");
    assert!(
        matches!(&error, DialError::WrongPeer { found, .. } if *found == host.peer()),
        "{error}"
    );

    let error = guest.network.dial(Some(stranger), vec![]).await;
    assert_eq!(error, Err(DialError::NoAddress));
    let error = guest.network.dial(None, vec![guest.address()]).await;
    assert!(error.is_err(), "nobody meets himself");
}

#[tokio::test]
async fn a_peer_is_found_behind_a_wrong_one() {
    let (right, wrong) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    let guest = Node::listening(&[QUIC4]).await;
    let mut addresses = vec![wrong.address(), right.address()];
    for address in &mut addresses {
        address.pop();
    }
    let found = guest.network.dial(Some(right.peer()), addresses).await;
    assert_eq!(found, Ok(right.peer()));
}

#[tokio::test]
async fn nothing_answers_and_the_dial_ends() {
    // A bound socket that never reads: the handshake gets no answer.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let address = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
    let guest = Node::listening(&[QUIC4]).await;
    let dial = guest
        .network
        .dial(None, vec![address.parse().expect("an address")]);
    let error = timeout(PATIENCE, dial).await.expect("it ends");
    assert_eq!(error, Err(DialError::TimedOut));
}

#[tokio::test]
async fn a_closed_network_is_seen_to_go_at_once() {
    let (host, mut guest) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    guest.dial(&host).await;
    let peer = host.peer();
    host.network.close().await;
    guest.disconnected(peer).await;
    let error = host.network.dial(None, vec![guest.address()]).await;
    assert_eq!(error, Err(DialError::Closed));
}

#[tokio::test]
async fn the_last_handle_takes_the_network_with_it() {
    let (mut host, mut guest) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    guest.dial(&host).await;
    host.connected(guest.peer()).await;
    let peer = host.peer();
    let second = host.network.clone();
    drop(host);
    assert_eq!(second.stats().peers, 1);
    drop(second);
    guest.disconnected(peer).await;
}

#[tokio::test]
async fn peers_that_dial_each_other_at_once_end_with_one_connection() {
    let (one, other) = (Node::listening(&[QUIC4]).await, Node::listening(&[QUIC4]).await);
    tokio::join!(one.dial(&other), other.dial(&one));
    let _holds = (one.network.hold(other.peer()), other.network.hold(one.peer()));
    until(|| one.network.stats().connections == 1 && other.network.stats().connections == 1).await;
    assert_eq!(one.network.links(other.peer()).len(), 1);
}
