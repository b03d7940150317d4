//! One listening address: which addresses it stands for, and who knocks.
//!
//! Invariant: each address is announced once when it appears and expired once when it goes; the last
//! event of a listener is that it closed.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll, Waker},
};

use futures::{StreamExt, stream::BoxStream};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::core::transport::{ListenerId, TransportEvent};

use super::{Error, address::multiaddr, handshake::Handshake, socket::Bound};

/// What a listener tells the transport.
pub(super) enum ListenerEvent {
    /// To be handed to the swarm as it is.
    Swarm(TransportEvent<Handshake, Error>),
    /// Someone begins a handshake.
    Incoming(Box<quinn::Incoming>),
}

/// A socket that accepts connections.
pub(super) struct Listener {
    id: ListenerId,
    bound: Bound,
    /// Tells the addresses that an unspecified one stands for; `None` if it is a specific one.
    interfaces: Option<IfWatcher>,
    /// The addresses announced and not expired.
    announced: BTreeSet<IpAddr>,
    knocks: BoxStream<'static, quinn::Incoming>,
    /// Events that wait to be told: one for the address at the start, one for the end.
    pending: VecDeque<TransportEvent<Handshake, Error>>,
    is_closed: bool,
    waker: Option<Waker>,
}

impl Listener {
    pub(super) fn new(id: ListenerId, bound: Bound) -> Result<Self, Error> {
        let ip = bound.address.ip();
        let endpoint = bound.endpoint.clone();
        let knocks = futures::stream::unfold(endpoint, |endpoint| async move {
            let incoming = endpoint.accept().await?;
            Some((incoming, endpoint))
        });
        let mut listener = Self {
            id,
            bound,
            interfaces: None,
            announced: BTreeSet::new(),
            knocks: knocks.boxed(),
            pending: VecDeque::new(),
            is_closed: false,
            waker: None,
        };
        if ip.is_unspecified() {
            listener.interfaces = Some(IfWatcher::new()?);
        } else {
            let event = listener.announce(ip);
            listener.pending.extend(event);
        }
        Ok(listener)
    }

    pub(super) fn id(&self) -> ListenerId {
        self.id
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.bound.address
    }

    pub(super) fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Whether a packet from this socket can reach `target`: same family, and loopback only to loopback.
    pub(super) fn reaches(&self, target: SocketAddr) -> bool {
        let here = self.bound.address.ip();
        let there = target.ip();
        !self.is_closed
            && here.is_ipv4() == there.is_ipv4()
            && (here.is_unspecified() || here.is_loopback() == there.is_loopback())
    }

    /// Stops accepting. Connections that were accepted, or dialled from here, go on, and the socket with
    /// them.
    pub(super) fn close(&mut self) {
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        self.bound.endpoint.set_server_config(None);
        self.pending.push_back(TransportEvent::ListenerClosed {
            listener_id: self.id,
            reason: Ok(()),
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The next event; `None` after the last.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<ListenerEvent>> {
        if let Some(event) = self.pending.pop_front() {
            return Poll::Ready(Some(ListenerEvent::Swarm(event)));
        }
        if self.is_closed {
            return Poll::Ready(None);
        }
        if let Poll::Ready(event) = self.poll_interfaces(cx) {
            return Poll::Ready(Some(ListenerEvent::Swarm(event)));
        }
        match self.knocks.poll_next_unpin(cx) {
            Poll::Ready(Some(incoming)) => {
                return Poll::Ready(Some(ListenerEvent::Incoming(Box::new(incoming))));
            }
            Poll::Ready(None) => {
                // The endpoint's driver has ended: the socket is broken beyond use.
                self.close();
                return self.poll_next(cx);
            }
            Poll::Pending => {}
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent<Handshake, Error>> {
        while let Some(interfaces) = &mut self.interfaces {
            let event = match std::task::ready!(interfaces.poll_if_event(cx)) {
                Ok(IfEvent::Up(net)) => self.announce(net.addr()),
                Ok(IfEvent::Down(net)) => self.expire(net.addr()),
                Err(error) => {
                    // It would fail again at once and for ever. What is known so far stays announced.
                    self.interfaces = None;
                    Some(TransportEvent::ListenerError {
                        listener_id: self.id,
                        error: error.into(),
                    })
                }
            };
            if let Some(event) = event {
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }

    fn announce(&mut self, ip: IpAddr) -> Option<TransportEvent<Handshake, Error>> {
        let is_new = ip.is_ipv4() == self.bound.address.is_ipv4() && self.announced.insert(ip);
        is_new.then(|| TransportEvent::NewAddress {
            listener_id: self.id,
            listen_addr: multiaddr(SocketAddr::new(ip, self.bound.address.port())),
        })
    }

    fn expire(&mut self, ip: IpAddr) -> Option<TransportEvent<Handshake, Error>> {
        self.announced
            .remove(&ip)
            .then(|| TransportEvent::AddressExpired {
                listener_id: self.id,
                listen_addr: multiaddr(SocketAddr::new(ip, self.bound.address.port())),
            })
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("id", &self.id)
            .field("address", &self.bound.address)
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}
