//! UDP sockets and the QUIC endpoints on them.
//!
//! Invariant: an IPv6 socket takes IPv6 only, so that `0.0.0.0` and `::` can share a port number.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use quinn::{AsyncUdpSocket as _, Runtime};
use socket2::{Domain, Protocol, Socket, Type};

#[cfg(feature = "testlink")]
use super::testlink::Emulator;
use super::{config::QuinnConfig, express};

/// A bound socket with an endpoint on it.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) endpoint: quinn::Endpoint,
    /// The endpoint's own socket, for the packets that are not QUIC: express, and those that punch holes.
    pub(super) socket: Arc<express::Socket>,
    pub(super) address: SocketAddr,
}

/// What it takes to bind an endpoint.
#[derive(Debug)]
pub(super) struct Binder {
    pub(super) config: QuinnConfig,
    /// Whether datagrams may go beside QUIC.
    pub(super) express: bool,
    #[cfg(feature = "testlink")]
    pub(super) emulator: Option<Emulator>,
}

impl Binder {
    /// An endpoint that accepts connections at `address`.
    pub(super) fn bind_listener(&self, address: SocketAddr) -> io::Result<Bound> {
        self.bind(address, Some(self.config.server.clone()))
    }

    /// An endpoint that only dials, towards targets of this one's family.
    pub(super) fn bind_dialer(&self, target: SocketAddr) -> io::Result<Bound> {
        let any = match target {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        self.bind(any, None)
    }

    fn bind(&self, address: SocketAddr, server: Option<quinn::ServerConfig>) -> io::Result<Bound> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;

        let runtime = Arc::new(quinn::TokioRuntime);
        let socket = runtime.wrap_udp_socket(socket.into())?;
        #[cfg(feature = "testlink")]
        let socket = match &self.emulator {
            Some(emulator) => emulator.slow_socket(socket),
            None => socket,
        };
        let socket = Arc::new(express::Socket::new(socket, self.express));
        let endpoint = quinn::Endpoint::new_with_abstract_socket(
            self.config.endpoint.clone(),
            server,
            socket.clone(),
            runtime,
        )?;
        Ok(Bound {
            endpoint,
            address: socket.local_addr()?,
            socket,
        })
    }
}
