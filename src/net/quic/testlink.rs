//! The transport's bad network, for proofs about bad networks. Compiled in only with `testlink`.
//!
//! Delay, jitter and partition act on the UDP packets that leave a socket, so that substreams and
//! handshakes feel them as well. Loss acts on the datagrams of a [`Link`](super::Link), one decision
//! each, before they are queued: what this end says it lost is then exactly what the other end misses,
//! where a lost packet could hold several datagrams or none. All of it acts on the sending side alone; for
//! a link that is bad both ways give both ends a profile.
//!
//! What decides is [`majlis_protocol::sim::link`]; here is only the moving of packets. Invariants: packets
//! to one address leave in order; everything taken is delivered, cut or refused, and counted as such.

use std::{
    collections::BTreeMap,
    env,
    fmt::{self, Debug},
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use majlis_protocol::sim::link::{Link as Model, Profile, ProfileError};
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

/// The environment variable from which [`profile_from_env`] reads.
pub const VARIABLE: &str = "MAJLIS_TESTLINK";

/// Packets that one socket holds back at once; past it new ones are lost and counted as refused. At 8,000
/// packets a second it lasts for two seconds of delay; it is there so that a typing error in a delay does
/// not eat the machine's memory.
const MOST_HELD: usize = 16 * 1024;

/// Addresses whose order one socket keeps. Past it the lowest address is forgotten, whose next packet may
/// overtake its last.
const MOST_TARGETS: usize = 4096;

/// The profile that `MAJLIS_TESTLINK` holds, or `None` if it is not set.
///
/// # Errors
/// What is wrong with the text; text that is not Unicode counts as an unknown key.
pub fn profile_from_env() -> Result<Option<Profile>, ProfileError> {
    match env::var(VARIABLE) {
        Ok(text) => text.parse().map(Some),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(text)) => {
            Err(ProfileError::UnknownKey(text.to_string_lossy().into_owned()))
        }
    }
}

/// The bad network of one transport; clones are the same.
#[derive(Clone)]
pub struct Emulator(Arc<Shared>);

struct Shared {
    profile: Profile,
    /// What the profile's times count from.
    start: Instant,
    /// Numbers the links, so that each loses a pattern of its own, whatever the sockets do.
    links: AtomicU64,
    /// Numbers the delays of the sockets' targets, likewise.
    targets: AtomicU64,
    is_partitioned: AtomicBool,
    datagrams_offered: AtomicU64,
    datagrams_lost: AtomicU64,
    packets_offered: AtomicU64,
    packets_cut: AtomicU64,
    packets_refused: AtomicU64,
}

/// What an emulator has done so far, over all links and sockets of its transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that [`Link::send`](super::Link::send) was asked to send and could have sent.
    pub datagrams_offered: u64,
    /// Those of them that were lost on purpose.
    pub datagrams_lost: u64,
    /// UDP packets that the sockets were asked to send.
    pub packets_offered: u64,
    /// Those of them that a partition cut off.
    pub packets_cut: u64,
    /// Those of them that found too many others held back.
    pub packets_refused: u64,
}

impl Emulator {
    pub(super) fn new(profile: Profile) -> Self {
        Self(Arc::new(Shared {
            profile,
            start: Instant::now(),
            links: AtomicU64::new(0),
            targets: AtomicU64::new(0),
            is_partitioned: AtomicBool::new(false),
            datagrams_offered: AtomicU64::new(0),
            datagrams_lost: AtomicU64::new(0),
            packets_offered: AtomicU64::new(0),
            packets_cut: AtomicU64::new(0),
            packets_refused: AtomicU64::new(0),
        }))
    }

    /// What it was asked to play.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.0.profile
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            // Lost before offered, so that a reading in between never shows more lost than offered.
            datagrams_lost: read(&self.0.datagrams_lost),
            datagrams_offered: read(&self.0.datagrams_offered),
            packets_cut: read(&self.0.packets_cut),
            packets_refused: read(&self.0.packets_refused),
            packets_offered: read(&self.0.packets_offered),
        }
    }

    /// Cuts off everything that this transport sends, or ends that. Independent of the profile's own
    /// partition: while either holds, nothing leaves.
    pub fn set_partitioned(&self, is_partitioned: bool) {
        self.0.is_partitioned.store(is_partitioned, Ordering::Relaxed);
    }

    /// The loss of one link.
    pub(super) fn lossy_link(&self) -> LossyLink {
        let number = self.0.links.fetch_add(1, Ordering::Relaxed);
        let model = Mutex::new(Model::new(&self.0.profile, number));
        LossyLink {
            emulator: self.clone(),
            model,
        }
    }

    /// `inner`, seen through the bad network.
    pub(super) fn slow_socket(&self, inner: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
        let held = Arc::new(Held::default());
        let delivery = tokio::spawn(deliver(Arc::clone(&held), Arc::clone(&inner), self.0.start));
        Arc::new(SlowSocket {
            inner,
            emulator: self.clone(),
            held,
            delivery: delivery.abort_handle(),
        })
    }

    /// The delay towards one more address.
    fn target(&self) -> Model {
        Model::new(&self.0.profile, self.0.targets.fetch_add(1, Ordering::Relaxed))
    }

    fn delays_nothing(&self) -> bool {
        self.0.profile.delay.is_zero() && self.0.profile.jitter.is_zero()
    }
}

impl Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emulator({})", self.0.profile)
    }
}

/// Decides which datagrams of one link are lost.
pub(super) struct LossyLink {
    emulator: Emulator,
    model: Mutex<Model>,
}

impl LossyLink {
    /// How many were lost.
    pub(super) fn lost(&self) -> u64 {
        lock(&self.model).counters().lost
    }

    /// Decides over the next datagram: true if it is lost.
    pub(super) fn loses_next(&self) -> bool {
        let is_lost = lock(&self.model).offer_to_loss();
        let shared = &self.emulator.0;
        shared.datagrams_offered.fetch_add(1, Ordering::Relaxed);
        shared
            .datagrams_lost
            .fetch_add(u64::from(is_lost), Ordering::Relaxed);
        is_lost
    }
}

/// A socket whose packets leave late or not at all.
struct SlowSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    emulator: Emulator,
    held: Arc<Held>,
    delivery: AbortHandle,
}

/// Packets on their way through the bad network.
#[derive(Default)]
struct Held {
    state: Mutex<HeldState>,
    /// Told when a packet is added that leaves before all others.
    sooner: Notify,
}

#[derive(Default)]
struct HeldState {
    /// By the time they leave, then by the order they came.
    packets: BTreeMap<(Duration, u64), Packet>,
    came: u64,
    /// The delay towards each address.
    models: BTreeMap<SocketAddr, Model>,
}

/// What [`Transmit`] borrows, owned.
struct Packet {
    destination: SocketAddr,
    ecn: Option<EcnCodepoint>,
    contents: Bytes,
    segment_size: Option<usize>,
    src_ip: Option<IpAddr>,
}

impl SlowSocket {
    /// When a packet may leave, or `None` if it is cut off.
    fn departure(&self, state: &mut HeldState, target: SocketAddr) -> Option<Duration> {
        if !state.models.contains_key(&target) && state.models.len() >= MOST_TARGETS {
            state.models.pop_first();
        }
        let model = state
            .models
            .entry(target)
            .or_insert_with(|| self.emulator.target());
        let departure = model.offer_to_delay(self.emulator.0.start.elapsed());
        departure.filter(|_| !self.emulator.0.is_partitioned.load(Ordering::Relaxed))
    }
}

impl AsyncUdpSocket for SlowSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let shared = &self.emulator.0;
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let packets = transmit.contents.len().div_ceil(segment) as u64;
        let mut state = lock(&self.held.state);
        let Some(departure) = self.departure(&mut state, transmit.destination) else {
            shared.packets_offered.fetch_add(packets, Ordering::Relaxed);
            shared.packets_cut.fetch_add(packets, Ordering::Relaxed);
            return Ok(());
        };
        if self.emulator.delays_nothing() {
            drop(state);
            self.inner.try_send(transmit)?;
            shared.packets_offered.fetch_add(packets, Ordering::Relaxed);
            return Ok(());
        }
        shared.packets_offered.fetch_add(packets, Ordering::Relaxed);
        if state.packets.len() >= MOST_HELD {
            shared.packets_refused.fetch_add(packets, Ordering::Relaxed);
            return Ok(());
        }
        state.came += 1;
        let key = (departure, state.came);
        let is_next = state
            .packets
            .first_key_value()
            .is_none_or(|(first, _)| key < *first);
        state.packets.insert(key, Packet::from(transmit));
        drop(state);
        if is_next {
            self.held.sooner.notify_one();
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, buffers, meta)
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

impl Debug for SlowSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlowSocket({:?}, {:?})", self.inner, self.emulator)
    }
}

impl Drop for SlowSocket {
    fn drop(&mut self) {
        self.delivery.abort();
    }
}

impl From<&Transmit<'_>> for Packet {
    fn from(transmit: &Transmit<'_>) -> Self {
        let Transmit {
            destination,
            ecn,
            contents,
            segment_size,
            src_ip,
        } = transmit;
        Self {
            destination: *destination,
            ecn: *ecn,
            contents: Bytes::copy_from_slice(contents),
            segment_size: *segment_size,
            src_ip: *src_ip,
        }
    }
}

/// Sends held packets when their time has come, for as long as the socket exists.
async fn deliver(held: Arc<Held>, socket: Arc<dyn AsyncUdpSocket>, start: Instant) {
    let mut writable = Arc::clone(&socket).create_io_poller();
    loop {
        let next = lock(&held.state)
            .packets
            .first_key_value()
            .map(|((at, _), _)| *at);
        match next {
            None => held.sooner.notified().await,
            Some(at) if start.elapsed() < at => {
                tokio::select! {
                    () = sleep_until(start + at) => {}
                    () = held.sooner.notified() => {}
                }
            }
            Some(_) => {
                let first = lock(&held.state).packets.pop_first();
                if let Some((_, packet)) = first {
                    send(&*socket, &mut writable, &packet).await;
                }
            }
        }
    }
}

/// Sends one packet, waiting for room in the socket. Errors are the network's to have: the packet is gone.
async fn send(socket: &dyn AsyncUdpSocket, writable: &mut Pin<Box<dyn UdpPoller>>, packet: &Packet) {
    let Packet {
        destination,
        ecn,
        contents,
        segment_size,
        src_ip,
    } = packet;
    let transmit = Transmit {
        destination: *destination,
        ecn: *ecn,
        contents,
        segment_size: *segment_size,
        src_ip: *src_ip,
    };
    while let Err(error) = socket.try_send(&transmit) {
        let is_full = error.kind() == io::ErrorKind::WouldBlock;
        if !is_full
            || std::future::poll_fn(|cx| writable.as_mut().poll_writable(cx))
                .await
                .is_err()
        {
            tracing::debug!(%destination, %error, "a held packet could not be sent");
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder panics half-way through a change, so a poisoned state is still right.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
