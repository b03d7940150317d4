//! How our QUIC is set up, and why.
//!
//! Invariant: whatever a stock peer can see of the handshake is as `libp2p-quic` has it: version 1, the
//! libp2p TLS certificate, no unidirectional streams, no migration. The rest is for sound: small datagram
//! buffers, a window that does not flinch at loss, a short idle timeout.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use libp2p::identity::Keypair;
#[cfg(feature = "testlink")]
use majlis_protocol::sim::link::Profile;
use quinn::{
    VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use sha2::Sha256;

use super::{Error, certificate, congestion};

/// How long a handshake may take. Longer than two retries of a lost first packet (1 s, then 2 s), so
/// that a dial survives a bad moment; much longer would hold up the attempts queued behind it.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after which a connection is given up. It is the last broom only: the relay tree suspects a
/// parent within 120 ms and leaves it within 500 ms, but a peer that owes us no sound is noticed here.
/// Shorter, and a laptop's lost second of Wi-Fi ends every connection it has (quinn itself never goes
/// below three probe timeouts); longer, and dead peers hold their slots: libp2p's 10 s were measured to
/// take 12.7 s in all.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Silence after which a connection says that it lives. A third of [`IDLE_TIMEOUT`], so that two such
/// packets in a row may be lost. More often costs idle links power and bytes for nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Substreams that the other end may have open at once; what `libp2p-quic` grants. Fewer would stall
/// stock peers, more is only memory for an attacker to take.
const BIDIRECTIONAL_STREAMS: u32 = 256;

/// Bytes that may lie unread in one substream. A control message has at most some kilobytes and a log at
/// most some hundred; at a round trip of 100 ms this still carries 80 Mbit/s.
const STREAM_WINDOW: u32 = 1 << 20;

/// Bytes that may lie unread in all substreams of a connection together, and so what a peer can make us
/// hold. A few streams at their full window; `libp2p-quic`'s 15 MB would be 3 GB at 200 connections.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Bytes written to substreams and not yet acknowledged; past it a writer waits.
const SEND_WINDOW: u64 = 1 << 20;

/// Bytes of datagrams that wait to be sent; past it the oldest is dropped. About four ticks of three
/// speakers to one child with room for pulled packets: what waits longer is too late to be played.
/// quinn's default of 1 MiB is minutes of stale sound; under 4 KiB a burst of pulls would push out live
/// packets on a healthy link.
pub(super) const DATAGRAM_SEND_BUFFER: usize = 16 * 1024;

/// Bytes of datagrams that wait to be read; past it the oldest is dropped. The reader is a task of our
/// own that only moves packets on, so this covers a stall of the machine, not a slow reader: about a
/// second of three speakers.
const DATAGRAM_RECEIVE_BUFFER: usize = 64 * 1024;

/// Connection attempts that wait for the swarm to take them up; past it new ones are refused. The swarm
/// takes them up within its next turn. quinn's default of 65,536 is memory for an attacker to take.
const WAITING_ATTEMPTS: usize = 1024;

/// Bytes that early data of all waiting attempts may take together.
const WAITING_BYTES: u64 = 4 << 20;

/// What a stateless reset key is derived for; the words of `libp2p-quic`, so that a node that changes
/// from it to this still ends its old connections.
const RESET_KEY_DOMAIN: &[u8] = b"libp2p quic stateless reset key";

/// What a [`Transport`](super::Transport) is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Proves to others which peer this is.
    keypair: Keypair,
    /// Whether datagrams may go beside QUIC where the other end does the same. They may by default; without it they cost
    /// more and are the same.
    pub express: bool,
    /// The bad network to play, if any. See [`testlink`](super::testlink).
    #[cfg(feature = "testlink")]
    pub testlink: Option<Profile>,
}

/// The same in quinn's terms.
#[derive(Clone, Debug)]
pub(super) struct QuinnConfig {
    pub(super) client: quinn::ClientConfig,
    pub(super) server: quinn::ServerConfig,
    pub(super) endpoint: quinn::EndpointConfig,
}

impl Config {
    /// The configuration of the peer that holds this key.
    #[must_use]
    pub fn new(keypair: &Keypair) -> Self {
        Self {
            keypair: keypair.clone(),
            express: true,
            #[cfg(feature = "testlink")]
            testlink: None,
        }
    }
}

impl QuinnConfig {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let keypair = &config.keypair;
        let transport = Arc::new(transport_config());

        let certificate = certificate::make(keypair)?;

        let mut tls = libp2p_tls::make_client_config(keypair, None)?;
        tls.client_auth_cert_resolver = certificate.clone();
        let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        client
            .transport_config(Arc::clone(&transport))
            // Tokens that spare a later connection the proof of its address are kept by server name, and
            // all peers have the same: one peer's token would be shown to the next.
            .token_store(Arc::new(quinn::NoneTokenStore));

        let mut tls = libp2p_tls::make_server_config(keypair)?;
        tls.cert_resolver = certificate;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        server
            .transport_config(transport)
            // A peer whose address changes dials again and resumes by sequence number. With migration the
            // address that the swarm, the directory and the limits know would silently become wrong.
            .migration(false)
            // Nobody could show the right one, for the same reason; so none are handed out.
            .validation_token_config(no_validation_tokens())
            .max_incoming(WAITING_ATTEMPTS)
            .incoming_buffer_size_total(WAITING_BYTES);

        let mut endpoint = match keypair.derive_secret(RESET_KEY_DOMAIN) {
            Some(secret) => quinn::EndpointConfig::new(Arc::new(ResetKey::new(&secret))),
            // Not every kind of key can derive a secret; a random one is lost at a restart, no more.
            None => quinn::EndpointConfig::default(),
        };
        endpoint
            .supported_versions(vec![1])
            // Peers that were told otherwise may send packets that look like express.
            .grease_quic_bit(false)
            .cid_generator(|| Box::<ConnectionIds>::default());
        Ok(Self {
            client,
            server,
            endpoint,
        })
    }
}

fn no_validation_tokens() -> quinn::ValidationTokenConfig {
    let mut config = quinn::ValidationTokenConfig::default();
    config.sent(0);
    config
}

fn transport_config() -> quinn::TransportConfig {
    let idle_millis = u32::try_from(IDLE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    let mut config = quinn::TransportConfig::default();
    config
        // Unidirectional streams are not part of libp2p's QUIC, and media uses none.
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(BIDIRECTIONAL_STREAMS))
        .max_idle_timeout(Some(VarInt::from_u32(idle_millis).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_send_buffer_size(DATAGRAM_SEND_BUFFER)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER))
        .congestion_controller_factory(Arc::new(congestion::Factory))
        // The spin bit tells every onlooker the round-trip time.
        .allow_spin(false);
    config
}

/// Draws the connection IDs of one endpoint: 64 bits each, by a keyed hash (SipHash) of their number.
///
/// quinn's own generator has 24 random bits and a checksum with a key of its own. With some thousand IDs
/// in use, one in ten thousand newcomers who must prove their address is then given an ID that is taken,
/// and waits in vain. And the checksum makes a restarted endpoint ignore all that its predecessor's peers
/// send, where a stateless reset would tell them.
#[derive(Default)]
struct ConnectionIds {
    key: RandomState,
    drawn: u64,
}

impl quinn::ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> quinn::ConnectionId {
        self.drawn += 1;
        quinn::ConnectionId::new(&self.key.hash_one(self.drawn).to_be_bytes())
    }

    fn cid_len(&self) -> usize {
        size_of::<u64>()
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Keys the tokens by which an endpoint that has lost its state ends a connection at once (RFC 9000,
/// section 10.3). Derived from the identity, so that after a crash the restarted node's peers learn of
/// it from their next packet instead of from the idle timeout.
struct ResetKey(Hmac<Sha256>);

impl ResetKey {
    fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of every length"))
    }
}

impl quinn::crypto::HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        let tag = self.0.clone().chain_update(data).finalize().into_bytes();
        signature.copy_from_slice(&tag);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), quinn::crypto::CryptoError> {
        let mac = self.0.clone().chain_update(data);
        mac.verify_slice(signature)
            .map_err(|_| quinn::crypto::CryptoError)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quinn::{ConnectionIdGenerator, crypto::HmacKey};

    use super::*;

    /// RFC 4231, test case 2 has a shorter key; test case 1's is padded here to the 32 bytes a derived
    /// secret has, which HMAC pads with zeros anyway.
    #[test]
    fn the_reset_key_is_hmac_sha256() {
        let mut secret = [0; 32];
        secret[..20].fill(0x0b);
        let mut tag = [0; 32];
        ResetKey::new(&secret).sign(b"Hi There", &mut tag);
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert!(ResetKey::new(&secret).verify(b"Hi There", &tag).is_ok());
        assert!(ResetKey::new(&secret).verify(b"Hi there", &tag).is_err());
    }

    #[test]
    fn connection_ids_do_not_repeat_and_differ_between_endpoints() {
        let mut endpoints = [ConnectionIds::default(), ConnectionIds::default()];
        let ids: BTreeSet<Vec<u8>> = (0..200_000)
            .map(|number| endpoints[number % 2].generate_cid().to_vec())
            .collect();
        // Of as many with 24 bits, more than a thousand would be repeats.
        assert_eq!(ids.len(), 200_000);
        assert!(ids.iter().all(|id| id.len() == endpoints[0].cid_len()));
    }

    #[test]
    fn one_identity_always_derives_the_same_reset_key() {
        let keypair = Keypair::generate_ed25519();
        let derived = || {
            keypair
                .derive_secret(RESET_KEY_DOMAIN)
                .expect("Ed25519 derives secrets")
        };
        assert_eq!(derived(), derived());
        assert!(QuinnConfig::new(&Config::new(&keypair)).is_ok());
    }
}
