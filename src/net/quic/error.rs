//! What can go wrong between asking for a connection and losing it.

use std::net::SocketAddr;

/// A failure of the QUIC transport or of one of its connections.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The node's key cannot sign the certificate that the handshake needs. Ours; no retry helps.
    #[error("this identity cannot make a TLS certificate: {0}")]
    Identity(#[from] libp2p_tls::certificate::GenError),
    /// The TLS settings lack a cipher that QUIC requires. Ours; no retry helps.
    #[error("the TLS settings do not fit QUIC: {0}")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// The operating system refused a socket operation: the port is taken, the address is not ours.
    /// Ours; helps to try another address.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The dial could not even begin. Ours; helps once the endpoint has fewer connections.
    #[error("cannot begin to connect: {0}")]
    Connect(#[from] quinn::ConnectError),
    /// The connection failed or was closed. The reason says by whom; a new dial may succeed.
    #[error(transparent)]
    Connection(#[from] quinn::ConnectionError),
    /// The other end did not finish the handshake in time. Theirs or the network's; a later dial may
    /// succeed.
    #[error("the handshake took too long")]
    HandshakeTimedOut,
    /// The handshake ended without a certificate that names a peer. Theirs; no retry helps.
    #[error("the other end did not prove which peer it is")]
    NoPeer,
    /// Asked to await a hole punch without a listener of that address family. Ours; listen first.
    #[error("cannot take part in a hole punch without listening")]
    NotListening,
    /// A hole punch to this address is under way. Ours; wait for its end.
    #[error("a hole punch to {0} is already under way")]
    HolePunchInProgress(SocketAddr),
    /// More than 64 hole punches at once. Ours; wait for one to end.
    #[error("too many hole punches at once")]
    TooManyHolePunches,
}

impl From<Error> for libp2p::TransportError<Error> {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
