//! The listener's part in punching a hole through two address translators (DCUtR).
//!
//! Both ends know each other's outside address and start at the same moment. The dialler's part is an
//! ordinary dial. The listener sends packets of noise from its listening socket, so that its own
//! translator expects answers from there, and waits for the dialler's handshake to come through. See the
//! DCUtR specification of libp2p, "QUIC".
//!
//! Invariant: at most [`MOST_AT_ONCE`] punches are under way, one an address, none longer than a
//! handshake may take.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use quinn::{AsyncUdpSocket, udp::Transmit};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{Error, config::HANDSHAKE_TIMEOUT, handshake::Handshake};

/// Punches under way at once. The swarm punches to a peer or two at a time; a peer that asks for more
/// than this has us send noise around, some 600 packets a second at the bound.
pub(super) const MOST_AT_ONCE: usize = 64;

/// Bytes of noise in a packet; what libp2p's specification says.
const NOISE: usize = 64;

/// Shortest pause between two packets of noise; the specification's. Below it lies a flood.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// What is added to it at most, in milliseconds; the specification has 10 to 200 in all. The pauses are
/// random so that two punches of one peer do not march in step.
const PAUSE_SPREAD_MS: u8 = 190;

/// The punches under way, by the address that is expected to come through.
#[derive(Default)]
pub(super) struct HolePunches {
    expected: BTreeMap<SocketAddr, oneshot::Sender<Handshake>>,
}

impl HolePunches {
    /// Hands a handshake from `remote` to the punch that waits for it; gives it back if none does.
    pub(super) fn handle_handshake(&mut self, remote: SocketAddr, handshake: Handshake) -> Option<Handshake> {
        match self.expected.remove(&remote) {
            Some(waiting) => waiting.send(handshake).err(),
            None => Some(handshake),
        }
    }

    /// Starts to punch; the result is the handshake that comes through.
    pub(super) fn begin(
        &mut self,
        remote: SocketAddr,
        socket: Arc<dyn AsyncUdpSocket>,
    ) -> Result<Handshake, Error> {
        self.expected.retain(|_, waiting| !waiting.is_closed());
        if self.expected.len() >= MOST_AT_ONCE {
            return Err(Error::TooManyHolePunches);
        }
        let Entry::Vacant(entry) = self.expected.entry(remote) else {
            return Err(Error::HolePunchInProgress(remote));
        };
        let (sender, receiver) = oneshot::channel();
        entry.insert(sender);
        Ok(punch(remote, socket, receiver).boxed())
    }
}

async fn punch(
    remote: SocketAddr,
    socket: Arc<dyn AsyncUdpSocket>,
    arriving: oneshot::Receiver<Handshake>,
) -> <Handshake as Future>::Output {
    let handshake = timeout(HANDSHAKE_TIMEOUT, async {
        tokio::select! {
            // The sender goes unused only when the transport itself is dropped.
            arrived = arriving => arrived.map_err(|_| Error::NotListening),
            failed = make_noise(remote, &*socket) => match failed {
                Ok(never) => match never {},
                Err(error) => Err(error.into()),
            },
        }
    })
    .await
    .map_err(|_| Error::HandshakeTimedOut)??;
    handshake.await
}

async fn make_noise(remote: SocketAddr, socket: &dyn AsyncUdpSocket) -> io::Result<Infallible> {
    loop {
        let mut random = [0; NOISE + 1];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let [pause, noise @ ..] = &mut random;
        // A long header of a version nobody has, too short to be answered (RFC 9000, section 5.2.2). As a
        // short header the other end could take it for a packet of a connection it has lost, and answer.
        noise[0] |= 0x80;
        let noise = Transmit {
            destination: remote,
            ecn: None,
            contents: noise,
            segment_size: None,
            src_ip: None,
        };
        match socket.try_send(&noise) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        sleep(SHORTEST_PAUSE + Duration::from_millis(u64::from(*pause % (PAUSE_SPREAD_MS + 1)))).await;
    }
}
