//! From a first packet to a connection whose peer is proven and whose link is in the hub.
//!
//! Invariants: a connection is handed on only with the PeerId that its certificate proves; the number of
//! handshakes that strangers can keep under way is bounded.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::PeerId;
use rustls::pki_types::CertificateDer;

use super::{Connection, Error, Hub, config::HANDSHAKE_TIMEOUT, socket::Bound};

/// Inbound handshakes under way from which on a newcomer must first show that it receives at its address
/// (a QUIC Retry, RFC 9000 section 8.1.2). A handshake costs us a signature and a certificate, a Retry
/// one cheap packet; forged sender addresses stop here. It costs honest newcomers a round trip, hence not
/// always; even a crowd that joins at once keeps below this, since a handshake lasts a round trip or two.
const VALIDATE_FROM: usize = 64;

/// Inbound handshakes under way from which on newcomers are refused. Those that are under way finish or
/// time out within five seconds.
const REFUSE_FROM: usize = 512;

/// A handshake under way. Dropping it abandons the connection.
pub(super) type Handshake = BoxFuture<'static, Result<(PeerId, Connection), Error>>;

/// Finishes handshakes and enters their links into the hub.
#[derive(Clone, Debug)]
pub(super) struct Handshakes {
    hub: Hub,
    inbound: Arc<AtomicUsize>,
}

impl Handshakes {
    pub(super) fn new(hub: Hub) -> Self {
        Self {
            hub,
            inbound: Arc::default(),
        }
    }

    /// Takes up a stranger's attempt, unless it is malformed or there are too many.
    pub(super) fn handle_incoming(&self, incoming: quinn::Incoming, bound: Bound) -> Option<Handshake> {
        let remote = incoming.remote_address();
        let under_way = self.inbound.load(Ordering::Relaxed);
        if under_way >= REFUSE_FROM {
            tracing::debug!(%remote, under_way, "refused a connection: too many handshakes");
            incoming.refuse();
            return None;
        }
        if under_way >= VALIDATE_FROM && incoming.may_retry() {
            tracing::debug!(%remote, under_way, "asked a newcomer to prove its address");
            // Fails only where no Retry is allowed, which was just ruled out; then it is refused.
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            return None;
        }
        match incoming.accept() {
            Ok(connecting) => {
                let place = Place::take(&self.inbound);
                let finishing = self.finish(connecting, bound);
                Some(async move { finishing.await.inspect(|_| drop(place)) }.boxed())
            }
            Err(error) => {
                tracing::debug!(%remote, %error, "dropped a malformed connection attempt");
                None
            }
        }
    }

    /// Finishes a handshake that either end began, on this endpoint.
    pub(super) fn finish(
        &self,
        connecting: quinn::Connecting,
        bound: Bound,
    ) -> impl Future<Output = Result<(PeerId, Connection), Error>> + Send + 'static {
        let hub = self.hub.clone();
        async move {
            let connection = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting)
                .await
                .map_err(|_| Error::HandshakeTimedOut)??;
            let peer = proven_peer(&connection).ok_or(Error::NoPeer)?;
            let registration = hub.register(peer, connection.clone(), bound);
            Ok((peer, Connection::new(connection, registration)))
        }
    }
}

/// One of the places for inbound handshakes, held until the handshake ends or is abandoned.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The peer that the certificate names. The TLS verifier has checked the signature by now; what is left
/// is to read it again, since quinn hands over only the bytes.
fn proven_peer(connection: &quinn::Connection) -> Option<PeerId> {
    let chain = connection
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    let certificate = libp2p_tls::certificate::parse(chain.first()?).ok()?;
    Some(certificate.peer_id())
}
