//! The part of the swarm that knows each connection's application streams.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    task::{Context, Poll, Waker},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, ToSwarm},
};
use tokio::sync::mpsc;

use super::{
    Holds, OPEN_QUEUE, Open, OpenError, Reply, Stream,
    handler::{Handler, Inbound},
    stream::Count,
};

/// Opens streams and reports those that others open.
pub(in crate::net) struct Behaviour {
    connections: HashMap<ConnectionId, Connection>,
    holds: Holds,
    events: VecDeque<Event>,
    waker: Option<Waker>,
}

/// What happened.
#[derive(Debug)]
pub(in crate::net) enum Event {
    /// A peer opened a stream.
    Inbound {
        /// Who.
        peer: PeerId,
        /// What it wants to speak.
        protocol: StreamProtocol,
        /// The stream, open to both sides.
        stream: Stream,
    },
    /// A peer opened more streams than a connection may have.
    Refused {
        /// Who.
        peer: PeerId,
    },
}

struct Connection {
    requests: mpsc::Sender<Open>,
    count: Count,
}

impl Behaviour {
    pub(in crate::net) fn new(holds: Holds) -> Self {
        Self {
            connections: HashMap::new(),
            holds,
            events: VecDeque::new(),
            waker: None,
        }
    }

    /// How many application streams a connection carries.
    pub(in crate::net) fn streams(&self, id: ConnectionId) -> usize {
        self.connections
            .get(&id)
            .map_or(0, |connection| connection.count.get())
    }

    /// Opens a stream on a connection; the answer goes to `reply`.
    pub(in crate::net) fn open(&self, id: ConnectionId, protocol: StreamProtocol, reply: Reply) {
        let Some(connection) = self.connections.get(&id) else {
            let _ = reply.send(Err(OpenError::NotConnected));
            return;
        };
        if let Err(error) = connection.requests.try_send(Open { protocol, reply }) {
            let (open, why) = match error {
                mpsc::error::TrySendError::Full(open) => (open, OpenError::TooMany),
                mpsc::error::TrySendError::Closed(open) => (open, OpenError::NotConnected),
            };
            let _ = open.reply.send(Err(why));
        }
    }

    fn handler(&mut self, id: ConnectionId, peer: PeerId) -> Handler {
        let (requests, receiver) = mpsc::channel(OPEN_QUEUE);
        let count = Count::default();
        let handler = Handler::new(receiver, count.clone(), self.holds.watch(peer));
        self.connections.insert(id, Connection { requests, count });
        handler
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(id, peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(id, peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => {
                self.connections.remove(&closed.connection_id);
                self.holds.forget(closed.peer_id);
            }
            // A behaviour behind this one denied the connection after its handler was made.
            FromSwarm::DialFailure(failure) => {
                self.connections.remove(&failure.connection_id);
            }
            FromSwarm::ListenFailure(failure) => {
                self.connections.remove(&failure.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: Inbound) {
        self.events.push_back(match event {
            Inbound::Stream(protocol, stream) => Event::Inbound {
                peer,
                protocol,
                stream,
            },
            Inbound::Refused => Event::Refused { peer },
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, Infallible>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
