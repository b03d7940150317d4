//! TCP as libp2p has it, and dials to link-local IPv6 addresses, which it has not.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt, future::select_ok};
use libp2p::{
    Multiaddr, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
    multiaddr::Protocol,
    tcp::{self, tokio::TcpStream},
};

use super::zone;

type Inner = tcp::tokio::Transport;

/// TCP for a libp2p swarm.
pub(super) struct Transport(Inner);

impl Transport {
    pub(super) fn new() -> Self {
        // Without `nodelay`, Nagle's algorithm holds a media frame back until the one before is acknowledged.
        Self(Inner::new(tcp::Config::default().nodelay(true)))
    }
}

impl libp2p::Transport for Transport {
    type Output = TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = <Inner as libp2p::Transport>::ListenerUpgrade;
    type Dial = <Inner as libp2p::Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        match link_local(&address) {
            Some(target) => Ok(connect(target).boxed()),
            None => self.0.dial(address, opts),
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// The socket of `/ip6/fe80::…/tcp/…[/p2p/…]`.
fn link_local(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let (Protocol::Ip6(ip), Protocol::Tcp(port)) = (parts.next()?, parts.next()?) else {
        return None;
    };
    let is_end = match parts.next() {
        None => true,
        Some(Protocol::P2p(_)) => parts.next().is_none(),
        Some(_) => false,
    };
    (is_end && ip.is_unicast_link_local() && port != 0).then(|| SocketAddr::new(ip.into(), port))
}

/// Connects on whichever of our links there is someone. A port of its own will do: no address translator stands
/// between neighbours on one link.
async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let attempts = zone::candidates(target)
        .into_iter()
        .map(|target| tokio::net::TcpStream::connect(target).boxed());
    let (stream, _) = select_ok(attempts).await?;
    stream.set_nodelay(true)?;
    Ok(TcpStream(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooW9xk7Zp1gejwfwNpfm6L9zH5NL4Bx5rm94LRYJJHJuARZ";

    fn target(text: &str) -> Option<SocketAddr> {
        link_local(&text.parse().expect("an address"))
    }

    #[test]
    fn only_link_local_addresses_are_taken_from_libp2ps_tcp() {
        let expected = Some("[fe80::1]:9".parse().expect("a socket address"));
        assert_eq!(target("/ip6/fe80::1/tcp/9"), expected);
        assert_eq!(target(&format!("/ip6/fe80::1/tcp/9/p2p/{PEER}")), expected);
        for other in [
            "/ip6/fe80::1/tcp/0",
            "/ip6/fe80::1/udp/9/quic-v1",
            "/ip6/fe80::1/tcp/9/ws",
            &format!("/ip6/fe80::1/tcp/9/p2p/{PEER}/p2p-circuit"),
            "/ip6/fd77::1/tcp/9",
            "/ip6/::1/tcp/9",
            "/ip4/169.254.0.1/tcp/9",
            "",
        ] {
            assert_eq!(target(other), None, "{other}");
        }
    }
}
