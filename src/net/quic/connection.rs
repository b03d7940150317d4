//! The swarm's half of a connection: bidirectional QUIC streams as libp2p substreams.
//!
//! Invariant: dropping a [`Connection`] closes the QUIC connection and takes its link out of the hub.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

use super::{Error, hub::Registration};

/// The two halves of a new stream, or why there will be no more.
type Streams = Result<(quinn::SendStream, quinn::RecvStream), quinn::ConnectionError>;

/// An established connection, as the swarm drives it.
pub struct Connection {
    quinn: quinn::Connection,
    /// The stream that the other end opens next.
    inbound: Option<BoxFuture<'static, Streams>>,
    /// The stream that this end was asked to open; it waits while 256 are open.
    outbound: Option<BoxFuture<'static, Streams>>,
    /// Set once closing was asked for.
    closing: Option<BoxFuture<'static, quinn::ConnectionError>>,
    /// Held for its drop.
    _registration: Registration,
}

impl Connection {
    pub(super) fn new(quinn: quinn::Connection, registration: Registration) -> Self {
        Self {
            quinn,
            inbound: None,
            outbound: None,
            closing: None,
            _registration: registration,
        }
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let Self { quinn, inbound, .. } = self.get_mut();
        let accepting = inbound.get_or_insert_with(|| {
            let quinn = quinn.clone();
            async move { quinn.accept_bi().await }.boxed()
        });
        let streams = ready!(accepting.poll_unpin(cx));
        *inbound = None;
        Poll::Ready(Ok(Stream::new(streams?)))
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let Self { quinn, outbound, .. } = self.get_mut();
        let opening = outbound.get_or_insert_with(|| {
            let quinn = quinn.clone();
            async move { quinn.open_bi().await }.boxed()
        });
        let streams = ready!(opening.poll_unpin(cx));
        *outbound = None;
        Poll::Ready(Ok(Stream::new(streams?)))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self { quinn, closing, .. } = self.get_mut();
        let closing = closing.get_or_insert_with(|| {
            quinn.close(quinn::VarInt::from_u32(0), &[]);
            let quinn = quinn.clone();
            async move { quinn.closed().await }.boxed()
        });
        match ready!(closing.poll_unpin(cx)) {
            quinn::ConnectionError::LocallyClosed => Poll::Ready(Ok(())),
            other => Poll::Ready(Err(other.into())),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        // The only event is a change of address, and migration is off.
        Poll::Pending
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("link", &self._registration)
            .finish_non_exhaustive()
    }
}

/// One substream.
///
/// Dropping it without closing finishes the sending half and tells the other end to stop sending.
#[derive(Debug)]
pub struct Stream {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    /// What closing gave, kept because a substream may be closed more than once and a QUIC stream not.
    closed: Option<Result<(), io::ErrorKind>>,
}

impl Stream {
    fn new((send, recv): (quinn::SendStream, quinn::RecvStream)) -> Self {
        Self {
            send,
            recv,
            closed: None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        AsyncRead::poll_read(Pin::new(&mut self.recv), cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(closed) = self.closed {
            return Poll::Ready(closed.map_err(io::Error::from));
        }
        let closed = ready!(AsyncWrite::poll_close(Pin::new(&mut self.send), cx));
        self.closed = Some(closed.as_ref().copied().map_err(io::Error::kind));
        Poll::Ready(closed)
    }
}
