//! `/ip4/…/udp/…/quic-v1[/p2p/…]` and socket addresses, one from the other.
//!
//! Invariant: only exactly this shape is ours. Everything else, circuits above all, is left to the
//! transport it belongs to.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// Where the UDP socket is, or `None` if `address` is not one of ours. The peer at the end, if any, is
/// for the swarm to compare with the one that the handshake proves.
pub(super) fn parse(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let Protocol::Udp(port) = parts.next()? else {
        return None;
    };
    let Protocol::QuicV1 = parts.next()? else {
        return None;
    };
    let is_end = match parts.next() {
        None => true,
        Some(Protocol::P2p(_)) => parts.next().is_none(),
        Some(_) => false,
    };
    is_end.then_some(SocketAddr::new(ip, port))
}

/// The same, for an address to dial: one that could be someone's.
pub(super) fn parse_remote(address: &Multiaddr) -> Option<SocketAddr> {
    parse(address).filter(|socket| {
        let ip = socket.ip();
        socket.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
    })
}

/// The multiaddress of a QUIC socket.
pub(super) fn multiaddr(socket: SocketAddr) -> Multiaddr {
    Multiaddr::empty()
        .with(socket.ip().into())
        .with(Protocol::Udp(socket.port()))
        .with(Protocol::QuicV1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooW9xk7Zp1gejwfwNpfm6L9zH5NL4Bx5rm94LRYJJHJuARZ";

    fn parse_text(text: &str) -> Option<SocketAddr> {
        parse(&text.parse().unwrap())
    }

    #[test]
    fn an_address_survives_the_way_there_and_back() {
        for socket in [
            "127.0.0.1:4001",
            "255.255.255.255:1",
            "[::1]:65535",
            "[2001:db8::1]:9",
        ] {
            let socket: SocketAddr = socket.parse().unwrap();
            assert_eq!(parse(&multiaddr(socket)), Some(socket));
        }
    }

    #[test]
    fn a_peer_may_stand_at_the_end() {
        let address = format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{PEER}");
        assert_eq!(parse_text(&address), Some("127.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn addresses_of_other_transports_are_not_ours() {
        for other in [
            "/ip4/127.0.0.1/udp/1",
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/127.0.0.1/udp/1/quic",
            "/dns4/example.org/udp/1/quic-v1",
            "/ip4/127.0.0.1/udp/1/quic-v1/webtransport",
            &format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{PEER}/p2p-circuit"),
            &format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{PEER}/p2p/{PEER}"),
            "/memory/1",
            "",
        ] {
            assert_eq!(parse_text(other), None, "{other}");
        }
    }

    #[test]
    fn what_nobody_can_have_cannot_be_dialled() {
        for nobody in [
            "/ip4/0.0.0.0/udp/1/quic-v1",
            "/ip6/::/udp/1/quic-v1",
            "/ip4/127.0.0.1/udp/0/quic-v1",
            "/ip4/224.0.0.251/udp/1/quic-v1",
            "/ip6/ff02::fb/udp/1/quic-v1",
        ] {
            let address = nobody.parse().unwrap();
            assert!(
                parse(&address).is_some() && parse_remote(&address).is_none(),
                "{nobody}"
            );
        }
    }
}
