//! The socket below QUIC: it takes express packets out of what arrives and leaves the rest to QUIC.
//!
//! Invariant: QUIC sees every packet that is none of ours, unchanged and in order, and none that is.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, Weak},
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

use super::{
    Express,
    packet::{Token, token_of},
};

/// See the module's documentation.
pub(in crate::net::quic) struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    /// Whether any connection has an express.
    is_on: bool,
    /// Who takes the packets with a token: one entry a connection.
    ways: RwLock<BTreeMap<Token, Weak<Express>>>,
}

impl Socket {
    pub(in crate::net::quic) fn new(inner: Arc<dyn AsyncUdpSocket>, is_on: bool) -> Self {
        Self {
            inner,
            is_on,
            ways: RwLock::default(),
        }
    }

    /// Hands packets to this express from now on; false where there is to be none, and if another has its token, which
    /// no two have by chance.
    pub(super) fn enter(&self, express: &Arc<Express>) -> bool {
        if !self.is_on {
            return false;
        }
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        match ways.entry(express.token()) {
            Entry::Vacant(free) => {
                free.insert(Arc::downgrade(express));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Hands it no more.
    pub(super) fn leave(&self, token: Token) {
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        ways.remove(&token);
    }

    fn way(&self, token: Token) -> Option<Arc<Express>> {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        ways.get(&token)?.upgrade()
    }

    /// Takes express packets out of what one call received. What is left stands at the front; says how long it is.
    ///
    /// A buffer holds packets of `stride` bytes, the last one maybe shorter, all from one address.
    fn take_out(&self, buffer: &mut [u8], stride: usize, from: SocketAddr) -> usize {
        let mut kept = 0;
        let mut start = 0;
        while start < buffer.len() {
            let end = buffer.len().min(start.saturating_add(stride.max(1)));
            match token_of(&buffer[start..end]) {
                Some(token) => {
                    if let Some(way) = token.and_then(|token| self.way(token)) {
                        way.handle(from, &buffer[start..end]);
                    }
                }
                None => {
                    if kept < start {
                        buffer.copy_within(start..end, kept);
                    }
                    kept += end - start;
                }
            }
            start = end;
        }
        kept
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.inner.poll_recv(cx, buffers, meta))?;
        for (buffer, meta) in buffers.iter_mut().zip(meta).take(count) {
            // One of which nothing is left still counts as received, so that QUIC's driver knows how much work was done.
            let received = meta.len.min(buffer.len());
            meta.len = self.take_out(&mut buffer[..received], meta.stride, meta.addr);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({:?})", self.inner)
    }
}
