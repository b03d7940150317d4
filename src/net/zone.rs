//! Link-local IPv6 addresses: on which of our links they may be.
//!
//! `fe80::1` is another machine on each link. Which link is meant, its zone, is a number that one machine alone has for
//! it (RFC 4007), so what others tell us, by mDNS, in a link or in an announcement, has none. Such an address is tried
//! on all our links at once, and the handshake proves who is there.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Most links that one address is tried on. A laptop has one or two; on a machine with hundreds of virtual ones each
/// dial would be a flood.
const LINKS: usize = 8;

/// Where an address may be: there, or for a link-local one without a zone, on each of our links. Never empty.
pub(super) fn candidates(target: SocketAddr) -> Vec<SocketAddr> {
    match target {
        SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() == 0 => {
            on_each(address, &links())
        }
        _ => vec![target],
    }
}

/// The zones of the links on which we have a link-local address ourselves: nothing else could be answered.
fn links() -> Vec<u32> {
    let interfaces = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::debug!(%error, "the network interfaces are unknown");
            return Vec::new();
        }
    };
    let mut links: Vec<u32> = interfaces
        .iter()
        .filter(|interface| matches!(interface.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .filter_map(|interface| interface.index)
        .collect();
    links.sort_unstable();
    links.dedup();
    links
}

fn on_each(address: SocketAddrV6, links: &[u32]) -> Vec<SocketAddr> {
    if links.is_empty() {
        // The system will say that no way leads there.
        return vec![address.into()];
    }
    let on = |link: &u32| SocketAddrV6::new(*address.ip(), address.port(), 0, *link).into();
    links.iter().take(LINKS).map(on).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("a socket address")
    }

    #[test]
    fn what_is_not_link_local_or_has_a_zone_is_where_it_says() {
        for text in [
            "192.0.2.1:1",
            "169.254.0.1:1",
            "[::1]:1",
            "[fd77::1]:1",
            "[fe80::1%7]:1",
        ] {
            assert_eq!(candidates(socket(text)), [socket(text)]);
        }
    }

    #[test]
    fn a_link_local_address_is_tried_on_each_link_and_on_not_too_many() {
        let SocketAddr::V6(address) = socket("[fe80::1]:9") else {
            panic!("IPv6");
        };
        assert_eq!(on_each(address, &[]), [socket("[fe80::1]:9")]);
        assert_eq!(
            on_each(address, &[2, 5]),
            [socket("[fe80::1%2]:9"), socket("[fe80::1%5]:9")]
        );
        assert_eq!(on_each(address, &Vec::from_iter(1..100)).len(), LINKS);
    }
}
