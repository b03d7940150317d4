//! What an address says about who can reach it, and which of ours are worth telling.

use std::net::{IpAddr, Ipv6Addr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// From how far away an address can be reached. Ordered: who reaches a nearer scope may reach the farther too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// From this machine.
    Loopback,
    /// From the same local network.
    Private,
    /// From anywhere, as far as the address tells.
    Public,
}

impl Scope {
    /// The scope of an IP address.
    #[must_use]
    pub fn of_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) if ip.is_loopback() => Self::Loopback,
            // 100.64.0.0/10 is the range of carrier-grade NAT (RFC 6598).
            IpAddr::V4(ip)
                if ip.is_private()
                    || ip.is_link_local()
                    || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64) =>
            {
                Self::Private
            }
            IpAddr::V4(_) => Self::Public,
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(mapped) => Self::of_ip(mapped.into()),
                None if ip.is_loopback() => Self::Loopback,
                None if ip.is_unique_local() || ip.is_unicast_link_local() => Self::Private,
                None => Self::Public,
            },
        }
    }

    /// The scope of a multiaddr; a name counts as public.
    #[must_use]
    pub fn of(address: &Multiaddr) -> Self {
        ip_of(address).map_or(Self::Public, Self::of_ip)
    }
}

/// The IP address that a multiaddr begins with.
#[must_use]
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The peer that an address ends in.
#[must_use]
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}

/// The address without the peer that it ends in.
#[must_use]
pub fn without_peer(address: &Multiaddr) -> Multiaddr {
    let mut address = address.clone();
    if peer_of(&address).is_some() {
        address.pop();
    }
    address
}

/// Whether an address is one of QUIC.
#[must_use]
pub fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::QuicV1)
}

/// Whether an address leads through a relay.
#[must_use]
pub fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The addresses to tell others, best first: what the user named, then by reach, QUIC before TCP.
///
/// Loopback is told only by a node that has nothing else, and link-local IPv6 only when nothing but loopback
/// would remain: it leads somewhere on its own link alone. mDNS tells it there in any case.
pub(super) fn worth_telling(announce: &[Multiaddr], listening: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut own: Vec<_> = listening.to_vec();
    own.sort_by_key(|address| {
        (
            Scope::of(address) == Scope::Loopback,
            is_link_local_v6(address),
            std::cmp::Reverse(Scope::of(address)),
            !is_quic(address),
            address.to_string(),
        )
    });
    own.dedup();
    if let Some(best) = own.first() {
        let (reach, zoned) = (Scope::of(best), is_link_local_v6(best));
        own.retain(|address| {
            (Scope::of(address) > Scope::Loopback || reach == Scope::Loopback)
                && (zoned || !is_link_local_v6(address))
        });
    }
    let mut all: Vec<_> = announce.iter().map(without_peer).collect();
    for address in own {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

fn is_link_local_v6(address: &Multiaddr) -> bool {
    matches!(ip_of(address), Some(IpAddr::V6(ip)) if Ipv6Addr::is_unicast_link_local(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    #[test]
    fn every_range_has_its_scope() {
        let scope = |text: &str| Scope::of(&address(text));
        for text in ["/ip4/127.3.2.1/tcp/1", "/ip6/::1/udp/1/quic-v1"] {
            assert_eq!(scope(text), Scope::Loopback, "{text}");
        }
        for text in [
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/169.254.0.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/::ffff:192.168.0.1/tcp/1",
        ] {
            assert_eq!(scope(text), Scope::Private, "{text}");
        }
        for text in [
            "/ip4/100.128.0.1/tcp/1",
            "/ip6/2001:db8::1/tcp/1",
            "/dns/example.org/tcp/1",
        ] {
            assert_eq!(scope(text), Scope::Public, "{text}");
        }
    }

    #[test]
    fn the_best_addresses_are_told_first_and_loopback_only_when_alone() {
        let listening = [
            address("/ip4/127.0.0.1/udp/1/quic-v1"),
            address("/ip6/fe80::1/udp/1/quic-v1"),
            address("/ip4/192.168.0.2/tcp/1"),
            address("/ip4/192.168.0.2/udp/1/quic-v1"),
        ];
        let announce = [address("/dns/example.org/udp/7/quic-v1")];
        assert_eq!(
            worth_telling(&announce, &listening),
            [announce[0].clone(), listening[3].clone(), listening[2].clone()]
        );
        assert_eq!(worth_telling(&[], &listening[..1]), listening[..1]);
        assert_eq!(worth_telling(&[], &listening[..2]), listening[1..2]);
    }

    #[test]
    fn a_peer_is_read_from_the_end_alone() {
        let peer = PeerId::random();
        let with = address(&format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}"));
        assert_eq!(peer_of(&with), Some(peer));
        assert_eq!(without_peer(&with), address("/ip4/127.0.0.1/tcp/1"));
        assert_eq!(peer_of(&with.with(Protocol::P2pCircuit)), None);
    }
}
