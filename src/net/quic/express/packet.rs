//! The bytes of an express packet, and the keys that seal it (SPEC.md section 10).
//!
//! Invariants: no number is used twice under one key; a kind and a token are under the seal like the content.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::{Bytes, BytesMut};

/// What the keys of a connection are exported under.
const LABEL: &[u8] = b"EXPORTER-majlis-express-1";

/// Bytes of a key of ChaCha20-Poly1305.
const KEY: usize = 32;

/// Bytes of the tag at a packet's end.
const TAG: usize = 16;

/// Where a packet's number stands.
const NUMBER: usize = 1 + size_of::<Token>();

/// Where a packet's sealed content begins.
const CONTENT: usize = NUMBER + size_of::<u64>();

/// Bytes of a packet beside its content.
pub(super) const OVERHEAD: usize = CONTENT + TAG;

/// The longest packet that is opened: what QUIC takes in one UDP packet. A longer one came in fragments, which nobody of
/// ours sends, and would lie in memory until it is read.
pub(super) const LONGEST: usize = 1472;

/// The first three bits of a first byte. No QUIC packet has these: the second is always set there (RFC 9000, section
/// 17), but where the first is.
const MARK: u8 = 0b0010_0000;
const MARK_MASK: u8 = 0b1110_0000;

/// Names a connection and a direction in it; drawn like the keys, so that both ends know it and nobody else.
pub(super) type Token = [u8; 8];

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It holds a datagram.
    Datagram,
    /// It asks whether it is heard, and holds nothing. The receiver answers at once.
    Question,
    /// It says that a question was heard, and holds nothing.
    Answer,
}

/// Seals what this end sends.
pub(super) struct Sealer {
    key: LessSafeKey,
    token: Token,
    next: AtomicU64,
}

/// Opens what the other end sent.
pub(super) struct Opener {
    key: LessSafeKey,
    token: Token,
}

/// A packet that the other end sealed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) content: Bytes,
}

/// Both halves of a connection's express, from its handshake; `None` when that gives no keys.
pub(super) fn derive(connection: &quinn::Connection) -> Option<(Sealer, Opener)> {
    let mut exported = Exported::default();
    connection
        .export_keying_material(&mut exported.0, LABEL, &[])
        .ok()?;
    exported.halves(connection.side().is_client())
}

/// Whether a UDP payload is an express packet, and if so, whose.
pub(super) fn token_of(payload: &[u8]) -> Option<Option<Token>> {
    let first = payload.first()?;
    (first & MARK_MASK == MARK).then(|| payload.get(1..NUMBER)?.try_into().ok())
}

/// What is exported: the dialler's key, the listener's key, the dialler's token, the listener's token.
struct Exported([u8; 2 * (KEY + size_of::<Token>())]);

impl Default for Exported {
    fn default() -> Self {
        Self([0; 2 * (KEY + size_of::<Token>())])
    }
}

impl Exported {
    fn halves(&self, is_dialler: bool) -> Option<(Sealer, Opener)> {
        let (keys, tokens) = self.0.split_at(2 * KEY);
        let half = |of_dialler: bool| {
            let index = usize::from(!of_dialler);
            let key = keys.chunks_exact(KEY).nth(index)?;
            let token = tokens.chunks_exact(size_of::<Token>()).nth(index)?;
            let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
            Some((key, token.try_into().ok()?))
        };
        let (key, token) = half(is_dialler)?;
        let sealer = Sealer {
            key,
            token,
            next: AtomicU64::new(0),
        };
        let (key, token) = half(!is_dialler)?;
        Some((sealer, Opener { key, token }))
    }
}

impl Sealer {
    /// A packet; `None` once there are no numbers left.
    pub(super) fn seal(&self, kind: Kind, content: &[u8]) -> Option<Vec<u8>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Half of all numbers, so that many threads at once cannot come round.
        if number > u64::MAX / 2 {
            return None;
        }
        let mut packet = Vec::with_capacity(CONTENT + content.len() + TAG);
        packet.push(MARK | kind.code());
        packet.extend_from_slice(&self.token);
        packet.extend_from_slice(&number.to_be_bytes());
        packet.extend_from_slice(content);
        let (head, content) = packet.split_at_mut(CONTENT);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(number), Aad::from(head), content)
            .ok()?;
        packet.extend_from_slice(tag.as_ref());
        Some(packet)
    }
}

impl Opener {
    /// What the other end's packets name.
    pub(super) fn token(&self) -> Token {
        self.token
    }

    /// Opens a packet; `None` if it is none that the other end sealed, or longer than [`LONGEST`].
    pub(super) fn open(&self, mut packet: BytesMut) -> Option<Opened> {
        if packet.len() > LONGEST {
            return None;
        }
        let kind = Kind::from_code(packet.first()? & !MARK_MASK)?;
        let mut head = [0; CONTENT];
        head.copy_from_slice(packet.get(..CONTENT)?);
        let number = u64::from_be_bytes(head[NUMBER..].try_into().ok()?);
        let mut content = packet.split_off(CONTENT);
        let length = self
            .key
            .open_in_place(nonce(number), Aad::from(head), &mut content)
            .ok()?
            .len();
        content.truncate(length);
        Some(Opened {
            kind,
            number,
            content: content.freeze(),
        })
    }
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Datagram => 0,
            Self::Question => 1,
            Self::Answer => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Datagram, Self::Question, Self::Answer]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - size_of::<u64>()..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exported() -> Exported {
        let mut bytes = Exported::default();
        for (byte, value) in bytes.0.iter_mut().zip(0..) {
            *byte = value;
        }
        bytes
    }

    fn ends() -> ((Sealer, Opener), (Sealer, Opener)) {
        let exported = exported();
        (exported.halves(true).unwrap(), exported.halves(false).unwrap())
    }

    #[test]
    fn each_end_opens_what_the_other_sealed_and_not_its_own() {
        let ((dialler, at_dialler), (listener, at_listener)) = ends();
        let packet = dialler.seal(Kind::Datagram, b"sound").unwrap();
        assert_eq!(token_of(&packet), Some(Some(at_listener.token())));
        let opened = at_listener.open(packet[..].into()).unwrap();
        assert_eq!(opened.content, "sound");
        assert_eq!((opened.kind, opened.number), (Kind::Datagram, 0));
        assert_eq!(at_dialler.open(packet[..].into()), None);
        let packet = listener.seal(Kind::Question, &[]).unwrap();
        assert_eq!(at_dialler.open(packet[..].into()).unwrap().kind, Kind::Question);
    }

    /// Made by another implementation of RFC 8439 from the bytes 0 to 79 as what is exported.
    #[test]
    fn packets_have_the_bytes_that_the_specification_says() {
        let ((dialler, _), (listener, _)) = ends();
        let hex = |packet: Vec<u8>| -> String { packet.iter().map(|byte| format!("{byte:02x}")).collect() };
        assert_eq!(
            hex(dialler.seal(Kind::Datagram, b"sound").unwrap()),
            "20404142434445464700000000000000006bd7375fc94631bfa4c14b55a5e7ed95f023677689"
        );
        assert_eq!(
            hex(listener.seal(Kind::Question, &[]).unwrap()),
            "2148494a4b4c4d4e4f00000000000000001bfc8596444b8e23abe4ada4654597ef"
        );
    }

    #[test]
    fn no_bit_can_be_changed_and_no_byte_left_out() {
        let ((dialler, _), (_, at_listener)) = ends();
        let packet = dialler.seal(Kind::Datagram, b"sound").unwrap();
        for bit in 0..packet.len() * 8 {
            let mut altered = packet.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(at_listener.open(altered[..].into()), None, "bit {bit}");
        }
        for length in 0..packet.len() {
            assert_eq!(at_listener.open(packet[..length].into()), None, "{length} bytes");
        }
    }

    #[test]
    fn a_packet_that_fits_no_path_is_not_opened_whoever_sealed_it() {
        let ((dialler, _), (_, at_listener)) = ends();
        let longest = vec![7; LONGEST - OVERHEAD];
        let packet = dialler.seal(Kind::Datagram, &longest).unwrap();
        assert_eq!(at_listener.open(packet[..].into()).unwrap().content, longest);
        for length in [longest.len() + 1, 65_000] {
            let packet = dialler.seal(Kind::Datagram, &vec![7; length]).unwrap();
            assert_eq!(at_listener.open(packet[..].into()), None, "{length} bytes");
        }
    }

    #[test]
    fn packets_of_quic_are_none_of_express() {
        for first in (0x40..=0xff).chain(0..0x20) {
            assert_eq!(token_of(&[first; 40]), None);
        }
        assert_eq!(token_of(&[]), None);
        assert_eq!(token_of(&[0x20; 8]), Some(None), "too short for a token");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let (_, (_, at_listener)) = ends();
            let _ = token_of(&bytes);
            prop_assert_eq!(at_listener.open(bytes[..].into()), None);
        }
    }
}
