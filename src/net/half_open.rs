//! How many TCP connections may be half open: those that connect and say nothing must not keep out who comes over QUIC,
//! which proves an address before it costs a place.
//!
//! Invariant: of the places for connections that are being set up, TCP has no more than [`PLACES`], and one network
//! address no more than [`PLACES_OF_ONE`], but for loopback, where everyone shares one.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

/// Half of what may be set up at once over all transports.
const PLACES: usize = 32;

/// People behind one router come one after the other; a handshake takes a few round trips.
const PLACES_OF_ONE: usize = 8;

/// Counts what is half open.
#[derive(Debug, Default)]
pub(super) struct Behaviour {
    half_open: HashMap<ConnectionId, Option<IpAddr>>,
}

/// There are too many half-open connections already; a retry helps later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many TCP connections are half open")]
struct TooMany;

impl Behaviour {
    fn admit(&mut self, id: ConnectionId, remote: &Multiaddr) -> Result<(), TooMany> {
        if !remote.iter().any(|part| matches!(part, Protocol::Tcp(_))) {
            return Ok(());
        }
        let address = remote.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
            _ => None,
        });
        let of_one = address.filter(|ip| !ip.is_loopback()).map_or(0, |ip| {
            self.half_open
                .values()
                .filter(|other| **other == Some(ip))
                .count()
        });
        if self.half_open.len() >= PLACES || of_one >= PLACES_OF_ONE {
            return Err(TooMany);
        }
        self.half_open.insert(id, address);
        Ok(())
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection_id: ConnectionId,
        _local_addr: &Multiaddr,
        remote_addr: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.admit(connection_id, remote_addr)
            .map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _connection_id: ConnectionId,
        _peer: PeerId,
        _local_addr: &Multiaddr,
        _remote_addr: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection_id: ConnectionId,
        _peer: PeerId,
        _addr: &Multiaddr,
        _role_override: Endpoint,
        _port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => drop(self.half_open.remove(&event.connection_id)),
            FromSwarm::ListenFailure(event) => drop(self.half_open.remove(&event.connection_id)),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection_id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    fn admitted(behaviour: &mut Behaviour, from: usize, remote_of: impl Fn(usize) -> String) -> usize {
        let ids = (0..from).map(ConnectionId::new_unchecked);
        ids.enumerate()
            .filter(|(at, id)| behaviour.admit(*id, &remote(&remote_of(*at))).is_ok())
            .count()
    }

    #[test]
    fn one_address_has_a_few_places_and_all_together_half_of_them() {
        let mut behaviour = Behaviour::default();
        let one = admitted(&mut behaviour, 100, |at| format!("/ip4/192.0.2.1/tcp/{at}"));
        assert_eq!(one, PLACES_OF_ONE);
        let mut behaviour = Behaviour::default();
        let many = admitted(&mut behaviour, 100, |at| format!("/ip6/2001:db8::{at}/tcp/1"));
        assert_eq!(many, PLACES);
        let mut behaviour = Behaviour::default();
        let quic = admitted(&mut behaviour, 100, |at| {
            format!("/ip4/192.0.2.1/udp/{at}/quic-v1")
        });
        assert_eq!((quic, behaviour.half_open.len()), (100, 0));
    }
}
