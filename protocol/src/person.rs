//! Persons and peers: who acts, and which end of a link speaks.
//!
//! A [`Person`] is the key that roles and bans name; a [`Peer`] is the key that a connection proves. They are
//! different types and are never compared with each other, even where a program uses one key for both.
//! Signatures are Ed25519 (RFC 8032) with the strict checks of `verify_strict`.

use alloc::string::String;
use core::{fmt, str::FromStr};

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain;

/// What stands before an Ed25519 key in the binary form of a libp2p PeerId: identity multihash of 36 bytes,
/// protobuf key type 1, 32 bytes of key.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Bytes of the tag shown behind a nickname: 40 bits, beyond what a prankster searches in an afternoon for one
/// name, still short enough to read aloud.
const PERSON_TAG_BYTES: usize = 5;

/// A person: an Ed25519 public key. Roles, mutes and bans name persons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person(pub [u8; 32]);

/// A peer: the Ed25519 public key of a libp2p PeerId. Links, paths and roots name peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Peer(pub [u8; 32]);

/// The text is not a key: base58btc of an Ed25519 PeerId was expected (`12D3KooW…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key: expected the form 12D3KooW… (base58, 52 characters)")]
pub struct NotAKey;

/// A signature did not verify: whoever made or altered the message is at fault; a retry does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// An Ed25519 signature as it stands on the wire: 64 bytes, the point R and the scalar S.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    r: [u8; 32],
    s: [u8; 32],
}

/// A person's secret key. Zeroed when dropped; its debug form shows only the public half.
pub struct PersonKey(SigningKey);

/// A public key decompressed once, for those whose signatures are checked fifty times a second.
#[derive(Debug, Clone)]
pub struct Verifier(VerifyingKey);

impl Person {
    /// The short tag shown with a nickname: eight characters of base32, 40 bits of the key's hash.
    #[must_use]
    pub fn tag(&self) -> String {
        let hash = Sha256::new()
            .chain_update(domain::PERSON_TAG)
            .chain_update(self.0)
            .finalize();
        data_encoding::BASE32_NOPAD
            .encode(&hash[..PERSON_TAG_BYTES])
            .to_ascii_lowercase()
    }

    /// Decompresses the key.
    ///
    /// # Errors
    /// [`BadSignature`] when the bytes are no point of the curve: nothing this person signed can verify.
    pub fn verifier(&self) -> Result<Verifier, BadSignature> {
        VerifyingKey::from_bytes(&self.0)
            .map(Verifier)
            .map_err(|_| BadSignature)
    }
}

impl Peer {
    /// The binary form of the libp2p PeerId: an identity multihash around the key.
    #[must_use]
    pub fn to_peer_id_bytes(self) -> [u8; 38] {
        peer_id_bytes(&self.0)
    }

    /// Reads the binary form of a libp2p PeerId.
    ///
    /// # Errors
    /// [`NotAKey`] when it does not hold an Ed25519 key; such peers can use discovery but join no room.
    pub fn from_peer_id_bytes(bytes: &[u8]) -> Result<Self, NotAKey> {
        key_of_peer_id(bytes).map(Self)
    }
}

impl Signature {
    /// Reads the 64 bytes of a signature.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Self { r, s }
    }

    /// The 64 bytes of the signature.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }
}

impl PersonKey {
    /// The key that grows from 32 secret, uniformly random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn person(&self) -> Person {
        Person(self.0.verifying_key().to_bytes())
    }

    /// The 32 secret bytes, for writing the key to its file. Keep them nowhere else.
    #[must_use]
    pub fn to_seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Signs a message that already begins with its domain string.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(&self.0.sign(message).to_bytes())
    }
}

impl Verifier {
    /// Checks a signature over a message that begins with its domain string.
    ///
    /// # Errors
    /// [`BadSignature`] when the strict check fails: forged, altered, or a form on which implementations disagree.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        #[cfg(feature = "sim-memo")]
        return crate::sim::memo::verify(&Person(self.0.to_bytes()), message, signature, || {
            self.verify_anew(message, signature)
        });
        #[cfg(not(feature = "sim-memo"))]
        self.verify_anew(message, signature)
    }

    fn verify_anew(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
        self.0
            .verify_strict(message, &signature)
            .map_err(|_| BadSignature)
    }
}

fn peer_id_bytes(key: &[u8; 32]) -> [u8; 38] {
    let mut bytes = [0; 38];
    bytes[..6].copy_from_slice(&PEER_ID_PREFIX);
    bytes[6..].copy_from_slice(key);
    bytes
}

fn key_of_peer_id(bytes: &[u8]) -> Result<[u8; 32], NotAKey> {
    bytes
        .strip_prefix(&PEER_ID_PREFIX)
        .and_then(|key| key.try_into().ok())
        .ok_or(NotAKey)
}

fn parse_key(text: &str) -> Result<[u8; 32], NotAKey> {
    // A longer text cannot be a key; the decoder's cost is quadratic.
    if text.len() > 64 {
        return Err(NotAKey);
    }
    key_of_peer_id(&bs58::decode(text).into_vec().map_err(|_| NotAKey)?)
}

macro_rules! shown_like_a_peer_id {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&bs58::encode(peer_id_bytes(&self.0)).into_string())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }

        impl FromStr for $type {
            type Err = NotAKey;

            fn from_str(text: &str) -> Result<Self, NotAKey> {
                parse_key(text).map(Self)
            }
        }
    };
}

shown_like_a_peer_id!(Person);
shown_like_a_peer_id!(Peer);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}…)", data_encoding::HEXLOWER.encode(&self.r[..8]))
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonKey({})", self.person())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_key_reads_back_from_its_text() {
        let person = PersonKey::from_seed(&[7; 32]).person();
        let text = person.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse(), Ok(person));
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        for text in [
            "",
            "12D3KooW",
            "0OIl",
            &"1".repeat(4000),
            "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        ] {
            assert_eq!(text.parse::<Person>(), Err(NotAKey), "{text}");
        }
    }

    #[test]
    fn the_tag_has_forty_bits_and_depends_on_the_key() {
        let tag = |seed| PersonKey::from_seed(&[seed; 32]).person().tag();
        assert_eq!(tag(1).len(), 8);
        assert_ne!(tag(1), tag(2));
    }

    #[test]
    fn a_signature_holds_for_its_message_alone() {
        let key = PersonKey::from_seed(&[3; 32]);
        let verifier = key.person().verifier().expect("a key we made");
        let signature = key.sign(b"salam");
        assert_eq!(verifier.verify(b"salam", &signature), Ok(()));
        assert_eq!(verifier.verify(b"salaam", &signature), Err(BadSignature));
    }

    #[test]
    fn the_debug_form_of_a_secret_key_hides_it() {
        let key = PersonKey::from_seed(&[9; 32]);
        assert_eq!(
            alloc::format!("{key:?}"),
            alloc::format!("PersonKey({})", key.person())
        );
    }
}
