//! The libp2p transport itself: listen, dial, and hand connections to the swarm.
//!
//! Invariant: a dial that asks for port reuse leaves from a listening socket of its family if there is
//! one that can reach the target, so that the address others observe is one that can be dialled back.

use std::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{FutureExt, future::select_ok};
use libp2p::{
    Multiaddr, PeerId, TransportError,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    },
};

#[cfg(feature = "testlink")]
use super::testlink::Emulator;
use super::{
    Config, Connection, Error, Hub,
    address::{multiaddr, parse, parse_remote},
    config::QuinnConfig,
    handshake::{Handshake, Handshakes},
    holepunch::HolePunches,
    listener::{Listener, ListenerEvent},
    socket::{Binder, Bound},
};
use crate::net::zone;

/// The server name that a dialler sends. Peers are named by key and nobody reads it, but TLS wants a
/// valid one; this is what `libp2p-quic` sends.
const SERVER_NAME: &str = "l";

/// Newcomers turned away in one turn before the swarm gets its next. Turning one away is cheap but under a
/// flood without end there is always one more, and the swarm's other work must go on.
const TURNED_AWAY_A_TURN: usize = 64;

/// QUIC with datagrams for a libp2p swarm. See the [module](super).
///
/// All of it must run inside a tokio runtime.
pub struct Transport {
    binder: Binder,
    handshakes: Handshakes,
    listeners: Vec<Listener>,
    /// Which listener is polled first, moved on each time, so that a busy one starves no other.
    first: usize,
    /// Endpoints of dials that asked for port reuse and found no listener: IPv4, then IPv6.
    dialers: [Option<Bound>; 2],
    hole_punches: HolePunches,
    /// Woken when a listener is added, which nothing else would poll.
    waker: Option<Waker>,
}

impl Transport {
    /// A transport that does not listen yet, and the hub where the links of its connections are found.
    ///
    /// # Errors
    /// [`Error::Identity`] or [`Error::Cipher`] if the key or the TLS library cannot do what QUIC needs.
    pub fn new(config: Config) -> Result<(Self, Hub), Error> {
        let quinn = QuinnConfig::new(&config)?;
        #[cfg(feature = "testlink")]
        let emulator = config.testlink.map(Emulator::new);
        #[cfg(feature = "testlink")]
        let hub = Hub::with_emulator(emulator.clone());
        #[cfg(not(feature = "testlink"))]
        let hub = Hub::default();
        let transport = Self {
            binder: Binder {
                config: quinn,
                express: config.express,
                #[cfg(feature = "testlink")]
                emulator,
            },
            handshakes: Handshakes::new(hub.clone()),
            listeners: Vec::new(),
            first: 0,
            dialers: [None, None],
            hole_punches: HolePunches::default(),
            waker: None,
        };
        Ok((transport, hub))
    }

    /// A listener from whose socket `target` can be reached.
    fn listener_towards(&self, target: SocketAddr) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.reaches(target))
    }

    /// Hands a newcomer to the punch that waits for it, or makes it an event for the swarm.
    fn handle_incoming(
        &mut self,
        listener_id: ListenerId,
        local: SocketAddr,
        incoming: quinn::Incoming,
    ) -> Option<TransportEvent<Handshake, Error>> {
        let remote = incoming.remote_address();
        let listener = self
            .listeners
            .iter()
            .find(|listener| listener.id() == listener_id)?;
        let bound = listener.bound().clone();
        let handshake = self.handshakes.handle_incoming(incoming, bound)?;
        let upgrade = self.hole_punches.handle_handshake(remote, handshake)?;
        Some(TransportEvent::Incoming {
            listener_id,
            upgrade,
            local_addr: multiaddr(local),
            send_back_addr: multiaddr(remote),
        })
    }

    /// The endpoint to dial `target` from.
    fn dialing_endpoint(&mut self, target: SocketAddr, port_use: PortUse) -> Result<Bound, Error> {
        if port_use == PortUse::New {
            return Ok(self.binder.bind_dialer(target)?);
        }
        if let Some(listener) = self.listener_towards(target) {
            return Ok(listener.bound().clone());
        }
        let dialer = &mut self.dialers[usize::from(target.is_ipv6())];
        match dialer {
            Some(bound) => Ok(bound.clone()),
            None => Ok(dialer.insert(self.binder.bind_dialer(target)?).clone()),
        }
    }

    /// Connects with whoever answers at `target`; on several links at once if it does not say on which.
    fn connect(&self, bound: Bound, target: SocketAddr) -> Handshake {
        let config = self.binder.config.client.clone();
        let handshakes = self.handshakes.clone();
        async move {
            let attempts = zone::candidates(target).into_iter().map(|target| {
                let (bound, config, handshakes) = (&bound, config.clone(), &handshakes);
                async move {
                    let connecting = bound.endpoint.connect_with(config, target, SERVER_NAME)?;
                    handshakes.finish(connecting, bound.clone()).await
                }
                .boxed()
            });
            let (first, _) = select_ok(attempts).await?;
            Ok(first)
        }
        .boxed()
    }

    /// Waits for `target` to dial us while we make its packets welcome.
    fn await_hole_punch(&mut self, target: SocketAddr) -> Result<Handshake, Error> {
        let socket = self
            .listener_towards(target)
            .ok_or(Error::NotListening)?
            .bound()
            .socket
            .clone();
        self.hole_punches.begin(target, socket)
    }

    /// The next event of any listener, with the listener's id and address.
    fn poll_listeners(&mut self, cx: &mut Context<'_>) -> Poll<(ListenerId, SocketAddr, ListenerEvent)> {
        let mut left = self.listeners.len();
        while left > 0 {
            left -= 1;
            let index = self.first % self.listeners.len();
            let listener = &mut self.listeners[index];
            match listener.poll_next(cx) {
                Poll::Ready(Some(event)) => return Poll::Ready((listener.id(), listener.address(), event)),
                Poll::Ready(None) => {
                    // The next one has moved to this index.
                    self.listeners.remove(index);
                    self.first = index;
                }
                Poll::Pending => self.first = index + 1,
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Handshake;
    type Dial = Handshake;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        let Some(socket) = parse(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let bound = self.binder.bind_listener(socket).map_err(Error::from)?;
        self.listeners.push(Listener::new(id, bound)?);
        if socket.ip().is_unspecified() {
            // Reaches all that this one reached. It closes with its last connection.
            self.dialers[usize::from(socket.is_ipv6())] = None;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let listener = self.listeners.iter_mut().find(|listener| listener.id() == id);
        listener.map(Listener::close).is_some()
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<Handshake, TransportError<Error>> {
        let Some(target) = parse_remote(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        match (opts.role, opts.port_use) {
            (Endpoint::Listener, PortUse::New) => Ok(self.await_hole_punch(target)?),
            // As a listener but with port reuse is how DCUtR dials today: both ends dial from the
            // listening socket at once, which opens both translators by itself.
            (Endpoint::Dialer | Endpoint::Listener, port_use) => {
                let bound = self.dialing_endpoint(target, port_use)?;
                Ok(self.connect(bound, target))
            }
        }
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Handshake, Error>> {
        let this = self.get_mut();
        let mut turned_away = 0;
        while let Poll::Ready((id, local, event)) = this.poll_listeners(cx) {
            let event = match event {
                ListenerEvent::Swarm(event) => Some(event),
                ListenerEvent::Incoming(incoming) => this.handle_incoming(id, local, *incoming),
            };
            if let Some(event) = event {
                return Poll::Ready(event);
            }
            turned_away += 1;
            if turned_away >= TURNED_AWAY_A_TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
