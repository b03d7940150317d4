//! Express packets: datagrams that go beside QUIC, on the same socket and under keys from the same handshake.
//!
//! QUIC numbers, remembers, paces and has acknowledged each packet that it sends. Sound needs none of that: it is paced
//! by its source, what is lost is found and pulled by the relay tree, and a relay with 200 children pays for the rest
//! two hundred times a tick. An express packet is sealed and handed to the socket, and that is all. QUIC stays: for
//! substreams, for finding out that the other end is gone, and for the datagrams of peers or paths that have no express.
//! SPEC.md section 10 has the bytes; the sharing of a port follows RFC 9443, the keys RFC 8446 section 7.5.
//!
//! Invariants:
//! - Nothing is sent as express before the other end has said that it hears this end, and nothing for longer than
//!   [`UNANSWERED`] questions after it last said so.
//! - A packet is handed on at most once, and only if it was sealed by the other end of this very connection.
//! - A connection that carries no datagrams costs nothing here: the first one sent asks the first question.

mod allowance;
mod packet;
mod socket;
mod window;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use quinn::{AsyncUdpSocket as _, udp::Transmit};
use tokio::{runtime::Handle, time::sleep};

pub(super) use self::socket::Socket;
use self::{
    allowance::Allowance,
    packet::{Kind, Opener, Sealer, Token},
    window::Window,
};
use crate::queue::Queue;

/// How soon the second question follows the first; each pause after it is twice as long. The other end may finish its
/// handshake a moment later, and then misses the first.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Questions to a peer that never answered. Who knows no express, or sits behind something that lets QUIC through and
/// nothing else, is left alone after some 13 seconds.
const QUESTIONS: u32 = 8;

/// How often the way is asked for while it is in use. It bounds for how long packets go into nothing when something on
/// the path begins to let only QUIC through.
const PAUSE: Duration = Duration::from_secs(1);

/// Questions in a row without an answer after which the way counts as gone. With a tenth of all packets lost each way,
/// three go unanswered once in some 150 s, and then datagrams do what they did before for a second.
const UNANSWERED: u32 = 3;

/// Datagrams that wait to be read; past it the oldest is dropped. What is ready together comes in one, so this is two
/// seconds of a stage, and 190 kB at most, as [`packet::LONGEST`] says.
const WAITING: usize = 128;

/// One connection's way beside QUIC.
pub(super) struct Express {
    socket: Arc<Socket>,
    remote: SocketAddr,
    /// The address of this end that the other knows, where the socket has several and the system tells.
    local: Option<IpAddr>,
    sealer: Sealer,
    opener: Opener,
    window: Mutex<Window>,
    /// What came and waits to be read.
    arrived: Queue<Bytes>,
    /// Whether the other end has said that it hears this one.
    is_open: AtomicBool,
    /// Bytes that one datagram may have, as far as the path is known.
    most: AtomicUsize,
    /// How much may be sent, as far as the path is known.
    allowance: Allowance,
    /// Questions since the last answer.
    unanswered: AtomicU32,
    /// Whether somebody asks the questions.
    is_kept: AtomicBool,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    refused: AtomicU64,
    runtime: Handle,
}

/// What went over one connection's express so far. Questions and answers count as packets, not as datagrams.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    /// Datagrams handed to the socket.
    pub(super) sent: u64,
    /// Bytes of UDP payload that they had.
    pub(super) sent_bytes: u64,
    /// Datagrams that came and held.
    pub(super) received: u64,
    /// Bytes of UDP payload that they had.
    pub(super) received_bytes: u64,
    /// Packets with this connection's token that did not hold, or came twice.
    pub(super) refused: u64,
}

impl Express {
    /// The express of a fresh connection on a socket; `None` when its keys cannot be had, and then there is none.
    /// Inside a tokio runtime.
    pub(super) fn new(connection: &quinn::Connection, socket: &Arc<Socket>) -> Option<Arc<Self>> {
        let (sealer, opener) = packet::derive(connection)?;
        // A socket with an address of its own sends from there anyway.
        let is_wild = socket.local_addr().is_ok_and(|at| at.ip().is_unspecified());
        let local = connection.local_ip().filter(|_| is_wild);
        let express = Arc::new(Self {
            socket: Arc::clone(socket),
            remote: connection.remote_address(),
            local,
            sealer,
            opener,
            window: Mutex::default(),
            arrived: Queue::new(WAITING),
            is_open: AtomicBool::new(false),
            most: AtomicUsize::new(0),
            allowance: Allowance::new(Instant::now()),
            unanswered: AtomicU32::new(0),
            is_kept: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            received: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            runtime: Handle::current(),
        });
        socket.enter(&express).then_some(express)
    }

    /// What the other end's packets begin with.
    fn token(&self) -> Token {
        self.opener.token()
    }

    /// What went over it so far.
    pub(super) fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            sent: read(&self.sent),
            sent_bytes: read(&self.sent_bytes),
            received: read(&self.received),
            received_bytes: read(&self.received_bytes),
            refused: read(&self.refused),
        }
    }

    /// Whether the other end has said that it hears this one.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Whether what is not live may be sent: half of what the path allows is kept for what is.
    pub(super) fn has_room(&self) -> bool {
        !self.is_open() || self.allowance.has_room(Instant::now())
    }

    /// Sends a datagram, if the way is open, the path allows it and the socket takes it at once. Says whether it did; where
    /// it did not, QUIC does better: it has a queue, of which it drops the oldest, or knows why nothing goes.
    pub(super) fn send(self: &Arc<Self>, datagram: &[u8], connection: &quinn::Connection) -> bool {
        if !self.is_kept.swap(true, Ordering::Relaxed) {
            self.runtime.spawn(keep(Arc::clone(self), connection.clone()));
        }
        if !self.is_open() || datagram.len() > self.most.load(Ordering::Relaxed) {
            return false;
        }
        if !self
            .allowance
            .take(datagram.len() + packet::OVERHEAD, Instant::now())
        {
            return false;
        }
        let Some(packet) = self.sealer.seal(Kind::Datagram, datagram) else {
            return false;
        };
        let is_sent = self.transmit(&packet).is_ok();
        if is_sent {
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.sent_bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        }
        is_sent
    }

    /// The oldest datagram that waits, if there is one.
    pub(super) fn try_recv(&self) -> Option<Bytes> {
        self.arrived.try_pop()
    }

    /// Waits for a datagram; for ever once the express is closed. Cancelling loses none.
    pub(super) async fn recv(&self) -> Bytes {
        match self.arrived.pop().await {
            Some(datagram) => datagram,
            None => std::future::pending().await,
        }
    }

    /// Takes no more packets. What came before can still be read.
    pub(super) fn close(&self) {
        self.socket.leave(self.token());
        self.is_open.store(false, Ordering::Relaxed);
        self.arrived.close();
    }

    /// Takes a packet with this connection's token.
    fn handle(&self, from: SocketAddr, packet: &[u8]) {
        let opened = if (from.ip(), from.port()) == (self.remote.ip(), self.remote.port()) {
            self.opener.open(BytesMut::from(packet))
        } else {
            // QUIC does not follow a peer to another address either.
            None
        };
        let is_new = |number| {
            let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
            window.take(number)
        };
        match opened.filter(|opened| is_new(opened.number)) {
            Some(opened) => self.handle_opened(opened.kind, opened.content, packet.len()),
            None => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn handle_opened(&self, kind: Kind, content: Bytes, size: usize) {
        match kind {
            Kind::Datagram => {
                self.received.fetch_add(1, Ordering::Relaxed);
                self.received_bytes.fetch_add(size as u64, Ordering::Relaxed);
                self.arrived.push(content);
            }
            Kind::Question => self.tell(Kind::Answer),
            Kind::Answer => {
                self.unanswered.store(0, Ordering::Relaxed);
                self.is_open.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Sends a packet without content. One that is not sent is made up for by the next question.
    fn tell(&self, kind: Kind) {
        if let Some(packet) = self.sealer.seal(kind, &[])
            && let Err(error) = self.transmit(&packet)
        {
            tracing::debug!(remote = %self.remote, %error, "an express packet was not sent");
        }
    }

    fn transmit(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.try_send(&Transmit {
            destination: self.remote,
            ecn: None,
            contents: packet,
            segment_size: None,
            src_ip: self.local,
        })
    }

    /// Asks whether the other end hears this one, and counts how often in vain.
    fn ask(&self) {
        if self.unanswered.fetch_add(1, Ordering::Relaxed) >= UNANSWERED {
            self.is_open.store(false, Ordering::Relaxed);
        }
        self.tell(Kind::Question);
    }
}

/// Asks for the way while datagrams are sent, until the connection ends, which closes the way.
async fn keep(express: Arc<Express>, connection: quinn::Connection) {
    let measure = || {
        // The path takes as much of either.
        let most = connection.max_datagram_size().unwrap_or(0);
        express.most.store(most, Ordering::Relaxed);
        let path = connection.stats().path;
        express.allowance.measure(path.cwnd, path.rtt, Instant::now());
    };
    let asking = async {
        measure();
        let mut pause = FIRST_PAUSE;
        for _ in 0..QUESTIONS {
            express.ask();
            sleep(pause).await;
            if express.is_open() {
                break;
            }
            pause *= 2;
        }
        let (mut is_found, mut sent) = (false, express.sent.load(Ordering::Relaxed));
        loop {
            sleep(PAUSE).await;
            measure();
            // An answer may come after the last question. Who never gave one is not asked again.
            is_found |= express.is_open();
            let sent_now = express.sent.load(Ordering::Relaxed);
            // While it is closed nothing is sent, and it is to be found again.
            if is_found && (sent_now != sent || !express.is_open()) {
                express.ask();
            }
            sent = sent_now;
        }
    };
    tokio::select! {
        () = asking => {}
        _ = connection.closed() => express.is_open.store(false, Ordering::Relaxed),
    }
}

impl fmt::Debug for Express {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Express")
            .field("remote", &self.remote)
            .field("is_open", &self.is_open())
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
