//! The part of a connection that negotiates its application streams.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use libp2p::{
    StreamProtocol,
    core::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::sync::mpsc;

use super::{
    ACCEPTED, NEGOTIATION_TIMEOUT, Open, OpenError, Reply, STREAMS_PER_CONNECTION, Stream,
    hold::Watch,
    stream::{Count, Counted},
};

/// Negotiates the application streams of one connection.
pub(in crate::net) struct Handler {
    requests: mpsc::Receiver<Open>,
    count: Count,
    hold: Watch,
    inbound: Vec<Inbound>,
}

/// What the handler tells the behaviour.
#[derive(Debug)]
pub(in crate::net) enum Inbound {
    /// The peer opened a stream.
    Stream(StreamProtocol, Stream),
    /// The peer opened one too many; it was reset.
    Refused,
}

/// An outbound request on its way.
pub(in crate::net) struct Pending {
    protocol: StreamProtocol,
    reply: Reply,
    counted: Counted,
}

/// Agrees on one of some protocols and does nothing more.
pub(in crate::net) struct OneOf(Vec<StreamProtocol>);

impl Handler {
    pub(super) fn new(requests: mpsc::Receiver<Open>, count: Count, hold: Watch) -> Self {
        Self {
            requests,
            count,
            hold,
            inbound: Vec::new(),
        }
    }

    fn on_inbound(&mut self, protocol: StreamProtocol, stream: libp2p::Stream) {
        self.inbound.push(match self.count.take(STREAMS_PER_CONNECTION) {
            Some(counted) => Inbound::Stream(protocol, Stream::new(stream, counted)),
            None => Inbound::Refused,
        });
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Inbound;
    type InboundProtocol = OneOf;
    type OutboundProtocol = OneOf;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Pending;

    fn listen_protocol(&self) -> SubstreamProtocol<OneOf, ()> {
        SubstreamProtocol::new(OneOf(ACCEPTED.to_vec()), ()).with_timeout(NEGOTIATION_TIMEOUT)
    }

    fn connection_keep_alive(&self) -> bool {
        self.hold.is_held()
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, OneOf, OneOf, (), Pending>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (protocol, stream),
                ..
            }) => self.on_inbound(protocol, stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (_, stream),
                info,
            }) => {
                // Nobody waits any more: the stream is reset.
                let _ = info.reply.send(Ok(Stream::new(stream, info.counted)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => OpenError::TimedOut,
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported(info.protocol),
                    StreamUpgradeError::Io(error) => OpenError::Broken(error.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.reply.send(Err(error));
            }
            _ => {}
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<OneOf, Pending, Inbound>> {
        if let Some(inbound) = self.inbound.pop() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(inbound));
        }
        while let Poll::Ready(Some(Open { protocol, reply })) = self.requests.poll_recv(cx) {
            let Some(counted) = self.count.take(STREAMS_PER_CONNECTION) else {
                let _ = reply.send(Err(OpenError::TooMany));
                continue;
            };
            let upgrade = OneOf(vec![protocol.clone()]);
            let pending = Pending {
                protocol,
                reply,
                counted,
            };
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(upgrade, pending).with_timeout(NEGOTIATION_TIMEOUT),
            });
        }
        Poll::Pending
    }
}

impl UpgradeInfo for OneOf {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<libp2p::Stream> for OneOf {
    type Output = (StreamProtocol, libp2p::Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: libp2p::Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((protocol, stream)))
    }
}

impl OutboundUpgrade<libp2p::Stream> for OneOf {
    type Output = (StreamProtocol, libp2p::Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: libp2p::Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((protocol, stream)))
    }
}
