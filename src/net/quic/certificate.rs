//! The certificate that proves which peer this is: libp2p's TLS specification, "Peer Authentication".
//!
//! Invariant: it is valid whatever a clock shows, ours or the other end's. The specification has each end compare the
//! certificate's dates with its own clock. libp2p's own generator begins them in 1975, so that a machine whose clock
//! starts in 1970 would refuse everyone. Between such a machine and a stock peer, TCP with Noise remains, which
//! knows no dates.

use std::sync::Arc;

use libp2p::identity::Keypair;
use libp2p_tls::certificate::GenError;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::{
    crypto::aws_lc_rs::sign::any_ecdsa_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
};

/// The extension that carries the peer's key: what IANA has given libp2p.
const EXTENSION: [u64; 9] = [1, 3, 6, 1, 4, 1, 53594, 1, 1];

/// What the peer signs, before the certificate's own public key.
const SIGNED_PREFIX: &[u8] = b"libp2p-tls-handshake:";

/// A certificate of this identity, with a fresh key of its own, for both ends of a handshake.
pub(super) fn make(identity: &Keypair) -> Result<Arc<SingleCertAndKey>, GenError> {
    let (certificate, key) = generate(identity)?;
    let key = any_ecdsa_type(&key).expect("a key for P-256 was just made");
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key).into()))
}

fn generate(identity: &Keypair) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let signed = [SIGNED_PREFIX, &key.public_key_der()].concat();
    let signature = identity.sign(&signed).map_err(|_| rcgen::Error::RemoteKeyError)?;
    let content = yasna::encode_der(&(identity.public().encode_protobuf(), signature));
    let mut extension = CustomExtension::from_oid_content(&EXTENSION, content);
    extension.set_criticality(true);

    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions.push(extension);
    // No clock can show less.
    params.not_before = date_time_ymd(1970, 1, 1);
    let certificate = params.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok((certificate.into(), key.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_names_the_peer_and_holds_from_the_first_second_a_clock_can_show() {
        let identity = Keypair::generate_ed25519();
        let (certificate, _) = generate(&identity).expect("a certificate");
        let parsed = libp2p_tls::certificate::parse(&certificate).expect("valid now");
        assert_eq!(parsed.peer_id(), identity.public().to_peer_id());
        // Its dates as X.509 writes them: two digits of the year before 2050, four from then on.
        for date in [&b"700101000000Z"[..], b"40960101000000Z"] {
            let found = certificate.windows(date.len()).any(|part| part == date);
            assert!(found, "{}", String::from_utf8_lossy(date));
        }
    }
}
