//! One connection's datagrams: send, receive, and what became of them.
//!
//! Invariant: sending never waits. What the network does not take at once is queued up to 16 KiB, and
//! past that the oldest goes, since of two late packets the older is the more useless.

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt as _;
use libp2p::PeerId;

#[cfg(feature = "testlink")]
use super::testlink::LossyLink;
use super::{
    config::DATAGRAM_SEND_BUFFER,
    express::{self, Express},
};

/// A handle on the datagrams of one connection; clones are the same link.
///
/// Holding one does not keep the connection open: the swarm decides that. One task at a time should
/// [`recv`](Link::recv), since two would share the datagrams out between them.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    id: u64,
    peer: PeerId,
    connection: quinn::Connection,
    /// The way beside QUIC.
    express: Option<Arc<Express>>,
    ledger: Mutex<Ledger>,
    read: AtomicU64,
    #[cfg(feature = "testlink")]
    lossy: Option<LossyLink>,
}

/// What one link has done since its connection began.
///
/// `datagrams_accepted = datagrams_sent + datagrams_overflowed + waiting`; with `testlink` the ones it
/// lost come on top, since they go no further than [`Link::send`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams queued for sending.
    pub datagrams_accepted: u64,
    /// Datagrams that left in a packet. Whether they arrived is for the other end to say.
    pub datagrams_sent: u64,
    /// Datagrams that newer ones pushed out of the full send queue.
    pub datagrams_overflowed: u64,
    /// Datagrams that arrived.
    pub datagrams_received: u64,
    /// Datagrams that [`Link::recv`] and [`Link::try_recv`] have given out. The difference to those that arrived waits
    /// to be read, or was pushed out of the full receive queue by newer ones.
    pub datagrams_read: u64,
    /// Of those sent the ones that went beside QUIC.
    pub express_sent: u64,
    /// Of those that arrived the ones that came beside QUIC.
    pub express_received: u64,
    /// Packets beside QUIC that named this connection and were not sealed by its other end, or came twice.
    pub express_refused: u64,
    /// Datagrams that the link emulator lost.
    #[cfg(feature = "testlink")]
    pub datagrams_lost_by_testlink: u64,
    /// Packets of this connection that were sent, substreams and acknowledgements included.
    pub packets_sent: u64,
    /// Packets of QUIC that were sent and then found lost. Nobody looks for those beside it.
    pub packets_lost: u64,
    /// Bytes of UDP payload sent.
    pub bytes_sent: u64,
    /// Bytes of UDP payload received.
    pub bytes_received: u64,
}

/// Why a datagram was not taken. It is gone; nothing is retried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The other end takes no datagrams: a stock peer. Nobody's fault and for the connection's whole
    /// life; use a framed substream.
    #[error("the peer takes no datagrams")]
    Unsupported,
    /// Longer than [`Link::max_size`] now allows. The caller's fault; a shorter one may pass.
    #[error("a datagram of {size} bytes is more than the path takes")]
    TooLarge {
        /// Bytes of the datagram refused.
        size: usize,
    },
    /// The connection has ended. No retry helps on this link.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The connection has ended, by either end's wish or by the idle timeout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended: {0}")]
pub struct Closed(quinn::ConnectionError);

impl Link {
    /// Must be called while nothing has been sent on the connection, since the size of an empty queue is
    /// measured here.
    pub(super) fn new(
        peer: PeerId,
        connection: quinn::Connection,
        socket: &Arc<express::Socket>,
        #[cfg(feature = "testlink")] emulator: Option<&super::testlink::Emulator>,
    ) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let ledger = Mutex::new(Ledger::new(connection.datagram_send_buffer_space()));
        #[cfg(feature = "testlink")]
        let lossy = emulator.map(|emulator| emulator.lossy_link());
        let express = Express::new(&connection, socket);
        Self(Arc::new(Inner {
            id,
            peer,
            connection,
            express,
            ledger,
            read: AtomicU64::new(0),
            #[cfg(feature = "testlink")]
            lossy,
        }))
    }

    /// Who is at the other end, as the handshake proved.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.0.peer
    }

    /// Tells this connection from every other this process ever has. A later connection has a higher one.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Where the other end is.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.0.connection.remote_address()
    }

    /// Whether this end dialled.
    #[must_use]
    pub fn is_dialer(&self) -> bool {
        self.0.connection.side().is_client()
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.connection.close_reason().is_some()
    }

    /// Bytes that one datagram may have now, or `None` if the peer takes none. Some 1,150 at first and
    /// more once the path is found to carry it; it may shrink again.
    #[must_use]
    pub fn max_size(&self) -> Option<usize> {
        self.0.connection.max_datagram_size()
    }

    /// The current estimate of the round-trip time.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.0.connection.rtt()
    }

    /// Datagrams that the link emulator dropped here on purpose.
    #[cfg(feature = "testlink")]
    #[must_use]
    pub fn lost_by_testlink(&self) -> u64 {
        self.0.lossy.as_ref().map_or(0, LossyLink::lost)
    }

    /// Whether what is not live may be sent: at least half of the queue of datagrams is free, and half of what may go
    /// beside QUIC now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        if self.0.express.as_ref().is_some_and(|express| !express.has_room()) {
            return false;
        }
        let space = self.0.connection.datagram_send_buffer_space();
        space >= self.0.ledger().space_when_empty / 2
    }

    /// What this link has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = &*self.0;
        let mut ledger = inner.ledger();
        // In this order, what leaves the queue between the two calls counts as waiting and as sent, and
        // so is never taken for dropped.
        let space = inner.connection.datagram_send_buffer_space();
        let quinn = inner.connection.stats();
        let express = inner.express.as_ref().map(|express| express.counters());
        let express = express.unwrap_or_default();
        Stats {
            datagrams_accepted: ledger.accepted + express.sent,
            datagrams_sent: quinn.frame_tx.datagram + express.sent,
            datagrams_overflowed: ledger.overflowed(space, quinn.frame_tx.datagram),
            datagrams_received: quinn.frame_rx.datagram + express.received,
            express_sent: express.sent,
            express_received: express.received,
            express_refused: express.refused,
            datagrams_read: inner.read.load(Ordering::Relaxed),
            #[cfg(feature = "testlink")]
            datagrams_lost_by_testlink: self.lost_by_testlink(),
            packets_sent: quinn.path.sent_packets + express.sent,
            packets_lost: quinn.path.lost_packets,
            bytes_sent: quinn.udp_tx.bytes + express.sent_bytes,
            bytes_received: quinn.udp_rx.bytes + express.received_bytes,
        }
    }

    /// Queues one datagram and returns at once. If the queue is full, the oldest in it are dropped.
    ///
    /// # Errors
    /// See [`SendError`]; [`Unsupported`](SendError::Unsupported) is the sign to fall back to a substream.
    pub fn send(&self, datagram: Bytes) -> Result<(), SendError> {
        let inner = &*self.0;
        #[cfg(feature = "testlink")]
        if self.loses(&datagram)? {
            return Ok(());
        }
        let size = datagram.len();
        if let Some(express) = &inner.express
            && !self.is_closed()
            && express.send(&datagram, &inner.connection)
        {
            return Ok(());
        }
        // Held over the call, so that the ledger has the queue's order.
        let mut ledger = inner.ledger();
        inner
            .connection
            .send_datagram(datagram)
            .map_err(|error| SendError::from_quinn(error, size))?;
        ledger.record(size);
        Ok(())
    }

    /// Waits for the next datagram, in the order of arrival. Cancelling loses none.
    ///
    /// # Errors
    /// [`Closed`] once the connection has ended and what had arrived before is read.
    pub async fn recv(&self) -> Result<Bytes, Closed> {
        let inner = &*self.0;
        let datagram = match &inner.express {
            None => inner.connection.read_datagram().await.map_err(Closed)?,
            Some(express) => tokio::select! {
                biased;
                datagram = express.recv() => datagram,
                read = inner.connection.read_datagram() => match read {
                    Ok(datagram) => datagram,
                    // What had arrived before the end comes first.
                    Err(error) => express.try_recv().ok_or(Closed(error))?,
                },
            },
        };
        inner.read.fetch_add(1, Ordering::Relaxed);
        Ok(datagram)
    }

    /// The next datagram, if one is here already.
    #[must_use = "a datagram that was taken is gone"]
    pub fn try_recv(&self) -> Option<Bytes> {
        let express = self.0.express.as_ref().and_then(|express| express.try_recv());
        let quic = || self.0.connection.read_datagram().now_or_never()?.ok();
        let datagram = express.or_else(quic)?;
        self.0.read.fetch_add(1, Ordering::Relaxed);
        Some(datagram)
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) -> Closed {
        Closed(self.0.connection.closed().await)
    }

    /// Ends the connection, for whoever holds handles of it.
    pub(super) fn close(&self) {
        if let Some(express) = &self.0.express {
            express.close();
        }
        self.0.connection.close(quinn::VarInt::from_u32(0), &[]);
    }

    /// Lets the emulator decide over a datagram that would otherwise be sent.
    #[cfg(feature = "testlink")]
    fn loses(&self, datagram: &Bytes) -> Result<bool, SendError> {
        let Some(lossy) = &self.0.lossy else {
            return Ok(false);
        };
        if let Some(reason) = self.0.connection.close_reason() {
            return Err(Closed(reason).into());
        }
        match self.max_size() {
            None => Err(SendError::Unsupported),
            Some(most) if datagram.len() > most => Err(SendError::TooLarge { size: datagram.len() }),
            Some(_) => Ok(lossy.loses_next()),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.id())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // No holder panics half-way through a change, so a poisoned ledger is still right.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SendError {
    fn from_quinn(error: quinn::SendDatagramError, size: usize) -> Self {
        match error {
            quinn::SendDatagramError::TooLarge => Self::TooLarge { size },
            quinn::SendDatagramError::ConnectionLost(reason) => Self::Closed(Closed(reason)),
            quinn::SendDatagramError::UnsupportedByPeer | quinn::SendDatagramError::Disabled => {
                Self::Unsupported
            }
        }
    }
}

/// Counts what quinn drops from a full queue, which quinn itself does not tell.
///
/// The queue is first in, first out, and both sending and dropping take from its front. So what waits is
/// always a suffix of what was accepted, and how long a suffix follows from the bytes that the queue
/// holds. What was accepted, does not wait and was not sent was dropped.
#[derive(Debug)]
struct Ledger {
    /// Free bytes that an empty queue reports.
    space_when_empty: usize,
    /// Bytes that quinn counts for each waiting datagram beside its own.
    overhead: usize,
    accepted: u64,
    /// Greatest number of drops found so far; a reading between two changes may find fewer.
    overflowed: u64,
    /// Sizes of the newest datagrams accepted, as many as the queue could hold.
    sizes: VecDeque<usize>,
}

impl Ledger {
    fn new(space_when_empty: usize) -> Self {
        let overhead = DATAGRAM_SEND_BUFFER.saturating_sub(space_when_empty).max(1);
        Self {
            space_when_empty,
            overhead,
            accepted: 0,
            overflowed: 0,
            sizes: VecDeque::new(),
        }
    }

    fn record(&mut self, size: usize) {
        self.accepted += 1;
        if self.sizes.len() >= DATAGRAM_SEND_BUFFER / self.overhead {
            self.sizes.pop_front();
        }
        self.sizes.push_back(size);
    }

    /// How many were dropped, given the queue's free bytes and how many were sent.
    fn overflowed(&mut self, space: usize, sent: u64) -> u64 {
        // The free bytes are told less the overhead of one more datagram and never below zero. At zero
        // the queue may hold up to that overhead more.
        let slack = if space == 0 { self.overhead } else { 0 };
        let held = self.space_when_empty.saturating_sub(space) + slack;
        let mut sum = 0;
        let waiting = self.sizes.iter().rev().take_while(|size| {
            sum += *size + self.overhead;
            sum <= held
        });
        let gone = self
            .accepted
            .saturating_sub(sent)
            .saturating_sub(waiting.count() as u64);
        self.overflowed = self.overflowed.max(gone);
        self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERHEAD: usize = 32;

    /// A queue that behaves as quinn's does.
    #[derive(Default)]
    struct Queue {
        sizes: VecDeque<usize>,
        dropped: u64,
        sent: u64,
    }

    impl Queue {
        fn held(&self) -> usize {
            self.sizes.iter().map(|size| size + OVERHEAD).sum()
        }

        fn space(&self) -> usize {
            DATAGRAM_SEND_BUFFER
                .saturating_sub(self.held())
                .saturating_sub(OVERHEAD)
        }

        fn push(&mut self, size: usize) {
            while self.held() + size + OVERHEAD > DATAGRAM_SEND_BUFFER {
                self.sizes.pop_front();
                self.dropped += 1;
            }
            self.sizes.push_back(size);
        }

        fn send(&mut self) {
            if self.sizes.pop_front().is_some() {
                self.sent += 1;
            }
        }
    }

    #[test]
    fn the_ledger_finds_every_drop_and_no_other() {
        let mut queue = Queue::default();
        let mut ledger = Ledger::new(queue.space());
        assert_eq!(ledger.overhead, OVERHEAD);
        for step in 0_usize..5000 {
            // Sizes from 1 to 1200, and phases in which more is offered than sent and the reverse.
            let size = 1 + step * 7919 % 1200;
            if step % 700 < 400 || step % 3 == 0 {
                queue.push(size);
                ledger.record(size);
            }
            if step % 700 >= 400 || step % 4 == 0 {
                queue.send();
            }
            let found = ledger.overflowed(queue.space(), queue.sent);
            // With no free byte the queue's contents are known to one datagram.
            let least = if queue.space() == 0 {
                queue.dropped.saturating_sub(1)
            } else {
                queue.dropped
            };
            assert!(
                (least..=queue.dropped).contains(&found),
                "step {step}: {found} of {}",
                queue.dropped
            );
        }
        while !queue.sizes.is_empty() {
            queue.send();
        }
        assert!(queue.dropped > 100 && queue.sent > 1000);
        assert_eq!(ledger.overflowed(queue.space(), queue.sent), queue.dropped);
    }
}
