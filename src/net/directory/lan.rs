//! The local network: who is there, and whether its router opens a port for us.
//!
//! Both speak by multicast. Invariant: nothing here is even constructed while every listen address is loopback, or
//! when it is switched off.

use std::time::Duration;

use libp2p::{PeerId, mdns, swarm::behaviour::toggle::Toggle, upnp};

use super::super::{
    addresses::Scope,
    config::{Config, NetError},
};

/// How often peers are asked for. The library's five minutes would be the time until two that started while the
/// cable was out find each other; far below ten seconds every laptop in a hall would shout all the time.
const QUERY_INTERVAL: Duration = Duration::from_secs(15);

/// How long a peer that is not heard of is taken to be there: several queries.
const TTL: Duration = Duration::from_secs(120);

/// What finds peers over one family of addresses.
pub(in crate::net) type Mdns = Toggle<mdns::tokio::Behaviour>;

/// What asks a router for a port.
pub(in crate::net) type Upnp = Toggle<upnp::tokio::Behaviour>;

/// Whether the local network is any business of this node.
pub(super) fn is_wanted(config: &Config) -> bool {
    let (listeners, _) = config.listeners();
    config.mdns
        && listeners
            .iter()
            .any(|address| Scope::of(address) > Scope::Loopback)
}

/// mDNS over IPv4 and IPv6; the library does one of them at a time.
pub(in crate::net) fn build(config: &Config, local: PeerId) -> Result<(Mdns, Mdns), NetError> {
    if !is_wanted(config) {
        return Ok((None.into(), None.into()));
    }
    let family = |enable_ipv6| {
        let settings = mdns::Config {
            ttl: TTL,
            query_interval: QUERY_INTERVAL,
            enable_ipv6,
        };
        mdns::tokio::Behaviour::new(settings, local)
    };
    Ok((Some(family(false)?).into(), Some(family(true)?).into()))
}

/// A port from the router, where this node may be reached from outside.
pub(in crate::net) fn build_upnp(config: &Config) -> Upnp {
    is_wanted(config).then(upnp::tokio::Behaviour::default).into()
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    #[test]
    fn only_who_listens_beyond_loopback_and_wants_to_speaks_by_multicast() {
        let mut config = Config::new(Keypair::generate_ed25519());
        assert!(is_wanted(&config));
        config.mdns = false;
        assert!(!is_wanted(&config));
        config.mdns = true;
        for address in ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip6/::1/tcp/0"] {
            config.listen.push(address.parse().expect("an address"));
        }
        assert!(!is_wanted(&config));
        config
            .listen
            .push("/ip4/0.0.0.0/tcp/0".parse().expect("an address"));
        assert!(is_wanted(&config));
    }
}
