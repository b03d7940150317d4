//! Listening, dialling from the listening socket, and the listener's part in hole punching.

use libp2p::{
    Multiaddr, Transport as _, TransportError,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    },
    multiaddr::Protocol,
};
use majlis::net::quic::Error;

use super::{
    IPV4, IPV6, address,
    bare::{self, Bare, DIAL},
    within,
};

const PUNCH: DialOpts = DialOpts {
    role: Endpoint::Listener,
    port_use: PortUse::New,
};

fn port(address: &Multiaddr) -> u16 {
    let port = address.iter().find_map(|part| match part {
        Protocol::Udp(port) => Some(port),
        _ => None,
    });
    port.expect("a UDP address")
}

#[tokio::test]
async fn a_wildcard_stands_for_the_loopback_address_among_others() {
    let mut bare = Bare::new();
    let (id, mut at) = bare.listen("/ip4/0.0.0.0/udp/0/quic-v1").await;
    let port = port(&at);
    let loopback = address(&format!("/ip4/127.0.0.1/udp/{port}/quic-v1"));
    while at != loopback {
        assert!(
            !at.iter()
                .any(|part| matches!(part, Protocol::Ip4(ip) if ip.is_unspecified())),
            "{at}"
        );
        at = bare
            .event("the loopback address", |event| match event {
                TransportEvent::NewAddress {
                    listener_id,
                    listen_addr,
                } if listener_id == id => Ok(listen_addr),
                other => Err(other),
            })
            .await;
    }
    // The same number in the other family is free: an IPv6 socket takes IPv6 only.
    let on = address(&format!("/ip6/::/udp/{port}/quic-v1"));
    bare.on_transport(|transport| transport.listen_on(ListenerId::next(), on))
        .await
        .unwrap();
    // And the one in the same family is not.
    let on = address(&format!("/ip4/0.0.0.0/udp/{port}/quic-v1"));
    let taken = bare
        .on_transport(|transport| transport.listen_on(ListenerId::next(), on))
        .await;
    assert!(
        matches!(taken, Err(TransportError::Other(Error::Io(_)))),
        "{taken:?}"
    );
}

#[tokio::test]
async fn addresses_of_other_transports_are_left_to_them() {
    let mut bare = Bare::new();
    bare.listen(IPV4).await;
    let peer = bare.peer;
    for other in [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/127.0.0.1/udp/4001",
        "/dns4/localhost/udp/4001/quic-v1",
        &format!("/ip4/127.0.0.1/udp/4001/quic-v1/p2p/{peer}/p2p-circuit"),
    ] {
        let other = address(other);
        let dialled = bare.dial(&other, DIAL).await.map(|_| ());
        assert!(
            matches!(&dialled, Err(TransportError::MultiaddrNotSupported(a)) if *a == other),
            "{dialled:?}"
        );
        let on = other.clone();
        let listened = bare
            .on_transport(|transport| transport.listen_on(ListenerId::next(), on))
            .await;
        assert!(matches!(&listened, Err(TransportError::MultiaddrNotSupported(a)) if *a == other));
    }
}

#[tokio::test]
async fn a_dial_leaves_from_the_listening_port_unless_asked_otherwise() {
    for on in [IPV4, IPV6] {
        let (mut dialler, mut listener) = (Bare::new(), Bare::new());
        let (_, from) = dialler.listen(on).await;
        let (_, at) = listener.listen(on).await;
        for (port_use, is_same) in [(PortUse::Reuse, true), (PortUse::New, false)] {
            let opts = DialOpts {
                role: Endpoint::Dialer,
                port_use,
            };
            let dial = tokio::spawn(dialler.dial(&at, opts).await.unwrap());
            let (incoming, seen) = listener.incoming().await;
            assert_eq!(seen == from, is_same, "{seen} for {from}");
            bare::finish(Box::pin(async { dial.await.unwrap() }), incoming).await;
        }
    }
}

#[tokio::test]
async fn dials_that_reuse_a_port_share_one_even_without_a_listener() {
    let (dialler, mut listener) = (Bare::new(), Bare::new());
    let (_, at) = listener.listen(IPV4).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let dial = tokio::spawn(dialler.dial(&at, DIAL).await.unwrap());
        let (incoming, from) = listener.incoming().await;
        seen.push(from);
        bare::finish(Box::pin(async { dial.await.unwrap() }), incoming).await;
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_closed_listener_refuses_newcomers_and_keeps_its_connections() {
    let (dialler, mut listener) = (Bare::new(), Bare::new());
    let (id, at) = listener.listen(IPV4).await;
    let dial = tokio::spawn(dialler.dial(&at, DIAL).await.unwrap());
    let (incoming, _) = listener.incoming().await;
    let kept = bare::finish(Box::pin(async { dial.await.unwrap() }), incoming).await;

    assert!(
        listener
            .on_transport(move |transport| transport.remove_listener(id))
            .await
    );
    listener
        .event("the listener to close", |event| match event {
            TransportEvent::ListenerClosed {
                listener_id,
                reason: Ok(()),
            } if listener_id == id => Ok(()),
            other => Err(other),
        })
        .await;
    assert!(
        !listener
            .on_transport(move |transport| transport.remove_listener(id))
            .await,
        "it is gone"
    );

    let refused = within("a refusal", dialler.dial(&at, DIAL).await.unwrap()).await;
    assert!(matches!(refused, Err(Error::Connection(_))), "{refused:?}");
    let (near, far) = (
        dialler.hub.links(&listener.peer),
        listener.hub.links(&dialler.peer),
    );
    near[0].send("still here".into()).unwrap();
    assert_eq!(within("a datagram", far[0].recv()).await.unwrap(), "still here");
    drop(kept);
}

#[tokio::test]
async fn a_hole_punch_ends_in_the_dialler_s_connection() {
    let (mut dialler, mut listener) = (Bare::new(), Bare::new());
    let (_, from) = dialler.listen(IPV4).await;
    let (_, at) = listener.listen(IPV4).await;
    let awaited = tokio::spawn(listener.dial(&from, PUNCH).await.unwrap());
    let again = listener.dial(&from, PUNCH).await.map(|_| ());
    assert!(
        matches!(again, Err(TransportError::Other(Error::HolePunchInProgress(_)))),
        "{again:?}"
    );

    let dialled = dialler.dial(&at, DIAL).await.unwrap();
    let (near, far) = bare::finish(dialled, Box::pin(async { awaited.await.unwrap() })).await;
    assert_eq!(dialler.hub.links(&listener.peer).len(), 1);
    assert_eq!(listener.hub.links(&dialler.peer).len(), 1);
    assert!(
        !listener.has_event(),
        "the swarm must not be offered the same connection as an incoming one"
    );
    assert!(!dialler.has_event(), "noise is not a dial");
    drop((near, far));

    // Once over, the same address can be awaited again.
    assert!(listener.dial(&from, PUNCH).await.is_ok());
}

#[tokio::test]
async fn a_hole_punch_needs_a_listener_and_is_bounded() {
    let mut bare = Bare::new();
    let without = bare
        .dial(&address("/ip4/127.0.0.1/udp/9/quic-v1"), PUNCH)
        .await
        .map(|_| ());
    assert!(
        matches!(without, Err(TransportError::Other(Error::NotListening))),
        "{without:?}"
    );

    bare.listen(IPV4).await;
    let mut held = Vec::new();
    let refused = loop {
        let to = address(&format!("/ip4/127.0.0.1/udp/{}/quic-v1", 10_000 + held.len()));
        match bare.dial(&to, PUNCH).await {
            // Not polled, so it sends nothing.
            Ok(punch) => held.push(punch),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, TransportError::Other(Error::TooManyHolePunches)),
        "{refused:?}"
    );
    assert_eq!(held.len(), 64);
    held.pop();
    assert!(
        bare.dial(&address("/ip4/127.0.0.1/udp/9/quic-v1"), PUNCH)
            .await
            .is_ok(),
        "one has ended"
    );
}
