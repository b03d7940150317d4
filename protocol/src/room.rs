//! Rooms: the genesis that a host signs, and the id that it gives a room (SPEC.md section 5).
//!
//! A room's id is the hash of its genesis, and the genesis names the host whose signature it bears: an id proves
//! its host, with no directory to ask.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    domain,
    extension::{self, Extension},
    limits,
    person::{Person, PersonKey},
    signed::{Malformed, Signed, Statement, StatementError, VERSION, Verified},
    text::Text,
};

/// Bit rate of speech unless the host says otherwise, in bit/s: wideband speech that listeners cannot tell from
/// more, at a third of the uplink.
pub const SPEECH_BITRATE: u32 = 32_000;

/// Bit rate of music, in bit/s: stereo that few can tell from its source.
pub const MUSIC_BITRATE: u32 = 128_000;

/// Bit rates that a room may have, in bit/s: Opus' floor for usable speech, and more than stereo music needs.
pub const BITRATES: core::ops::RangeInclusive<u32> = 6_000..=256_000;

/// The version byte of a room id in text form.
const ID_VERSION: u8 = 1;

/// A room: the hash of its genesis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoomId(pub [u8; 32]);

/// The text is not a room id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotARoomId {
    /// Not base32 of the right length.
    #[error("not a room id: expected 53 characters of base32, as a link or `majlis rooms` shows them")]
    Form,
    /// A version of the protocol that this program does not know; an update helps.
    #[error("the room id has version {0}; this program knows version 1")]
    Version(u8),
}

/// Who finds a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Announced to everyone.
    Public,
    /// Found by those who have its id or link.
    Unlisted,
    /// Reserved for sealed rooms.
    Private,
}

/// The kind of sound a room carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Profile {
    /// Mono, tuned for voices.
    Speech,
    /// Stereo, tuned for music.
    Music,
}

/// How a room's sound is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioSettings {
    /// Speech or music.
    pub profile: Profile,
    /// Bit rate of one speaker, in bit/s, within [`BITRATES`].
    pub bitrate: u32,
}

/// Who may enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Join {
    /// Anyone.
    Anyone,
    /// Reserved: those on a list.
    GuestList,
}

/// Who may raise a hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hands {
    /// Anyone.
    Anyone,
    /// Nobody.
    Nobody,
}

/// Who may write in the room's chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chat {
    /// Anyone.
    Anyone,
    /// The people on the stage.
    Stage,
    /// Nobody.
    Nobody,
}

/// What a room allows to those who come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Who may enter.
    pub join: Join,
    /// Who may raise a hand.
    pub hands: Hands,
    /// Who may chat.
    pub chat: Chat,
}

/// What a room is, signed by its host before anything else happens in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Always 1.
    pub version: u8,
    /// The person whose room it is.
    pub host: Person,
    /// What the room is called, 1 to 200 bytes.
    pub title: Text,
    /// What it is about, at most 2,000 bytes.
    pub description: Text,
    /// BCP 47 language, or empty.
    pub language: String,
    /// At most five, ascending.
    pub tags: Vec<RoomTag>,
    /// Who finds it.
    pub visibility: Visibility,
    /// Unix seconds at which a scheduled room starts.
    pub starts: Option<u64>,
    /// How it sounds.
    pub audio: AudioSettings,
    /// Who may do what from the start.
    pub policy: Policy,
    /// Random, so that two rooms never share an id.
    pub nonce: [u8; 16],
    /// What later versions add.
    pub extensions: Vec<Extension>,
}

/// A tag under which rooms are found: lower case, at most 32 bytes of letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoomTag(String);

/// The text is no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a tag: use letters, digits, '-' and '_', at most {} bytes", limits::TAG)]
pub struct NotATag;

impl RoomId {
    /// The id that a genesis gives its room.
    #[must_use]
    pub fn of(genesis: &Verified<Genesis>) -> Self {
        Self(genesis.hash(domain::ROOM_ID))
    }

    /// The key under which the room is found in Kademlia and gossipsub, which does not give its id away.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(domain::ROOM_KEY)
            .chain_update(self.0)
            .finalize()
            .into()
    }
}

impl Genesis {
    /// Checks that a signed genesis is that of one room.
    ///
    /// # Errors
    /// [`StatementError`] when it is malformed, forged, or belongs to another room.
    pub fn verify_for(signed: Signed<Self>, room: RoomId) -> Result<Verified<Self>, StatementError> {
        let genesis = signed.verify()?;
        if RoomId::of(&genesis) == room {
            Ok(genesis)
        } else {
            Err(Malformed::Invalid {
                what: "the genesis: it belongs to another room and",
            }
            .into())
        }
    }

    /// A public room with the usual settings, to be adjusted and then signed by its host.
    #[must_use]
    pub fn new(host: Person, title: &str, nonce: [u8; 16]) -> Self {
        Self {
            version: VERSION,
            host,
            title: Text::clean(title),
            description: Text::default(),
            language: String::new(),
            tags: Vec::new(),
            visibility: Visibility::Public,
            starts: None,
            audio: AudioSettings {
                profile: Profile::Speech,
                bitrate: SPEECH_BITRATE,
            },
            policy: Policy {
                join: Join::Anyone,
                hands: Hands::Anyone,
                chat: Chat::Anyone,
            },
            nonce,
            extensions: Vec::new(),
        }
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`Malformed`] when a field breaks its limit or the key is not the host's.
    pub fn sign(self, key: &PersonKey) -> Result<Verified<Self>, Malformed> {
        Verified::sign(self, key)
    }
}

impl Statement for Genesis {
    const DOMAIN: &'static [u8] = domain::GENESIS;
    const MAX: usize = limits::GENESIS;
    const NAME: &'static str = "genesis";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.host
    }

    fn validate(&self) -> Result<(), Malformed> {
        if self.title.is_empty() {
            return Err(Malformed::Invalid {
                what: "an empty title",
            });
        }
        at_most("title", self.title.len(), limits::TITLE)?;
        at_most("description", self.description.len(), limits::DESCRIPTION)?;
        at_most("language", self.language.len(), limits::LANGUAGE)?;
        if !self
            .language
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(Malformed::Invalid { what: "language" });
        }
        if self.tags.len() > limits::TAGS {
            return Err(Malformed::TooMany {
                what: "tags",
                max: limits::TAGS,
            });
        }
        if !self.tags.iter().all(RoomTag::is_valid) || !self.tags.is_sorted_by(|a, b| a < b) {
            return Err(Malformed::Invalid {
                what: "the list of tags",
            });
        }
        if !BITRATES.contains(&self.audio.bitrate) {
            return Err(Malformed::Invalid { what: "bitrate" });
        }
        if self.visibility == Visibility::Private {
            return Err(Malformed::NeedsNewer {
                what: "private rooms",
            });
        }
        if self.policy.join == Join::GuestList {
            return Err(Malformed::NeedsNewer { what: "guest lists" });
        }
        extension::validate(&self.extensions)
    }
}

impl RoomTag {
    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key under which rooms with this tag are found in Kademlia.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(domain::TAG_KEY)
            .chain_update(self.0.as_bytes())
            .finalize()
            .into()
    }

    fn is_valid(&self) -> bool {
        self.0.parse::<Self>().as_ref() == Ok(self)
    }
}

impl FromStr for RoomTag {
    type Err = NotATag;

    fn from_str(text: &str) -> Result<Self, NotATag> {
        let tag = Text::clean(&Text::clean(text).as_str().to_lowercase());
        let fits = (1..=limits::TAG).contains(&tag.len());
        let letters = tag.as_str().chars().all(|c| {
            c.is_alphanumeric() || matches!(c, '-' | '_') || unicode_normalization::char::is_combining_mark(c)
        });
        if fits && letters {
            Ok(Self(tag.as_str().into()))
        } else {
            Err(NotATag)
        }
    }
}

impl fmt::Display for RoomTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [ID_VERSION; 33];
        bytes[1..].copy_from_slice(&self.0);
        f.write_str(&data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomId({self})")
    }
}

impl FromStr for RoomId {
    type Err = NotARoomId;

    fn from_str(text: &str) -> Result<Self, NotARoomId> {
        if text.len() != 53 {
            return Err(NotARoomId::Form);
        }
        let bytes = data_encoding::BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .map_err(|_| NotARoomId::Form)?;
        match bytes.split_first() {
            Some((&ID_VERSION, id)) => id.try_into().map(Self).map_err(|_| NotARoomId::Form),
            Some((&version, _)) => Err(NotARoomId::Version(version)),
            None => Err(NotARoomId::Form),
        }
    }
}

/// Checks a length in bytes.
pub(crate) fn at_most(what: &'static str, len: usize, max: usize) -> Result<(), Malformed> {
    if len <= max {
        Ok(())
    } else {
        Err(Malformed::TooLong { what, max })
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use super::*;

    fn key() -> PersonKey {
        PersonKey::from_seed(&[1; 32])
    }

    fn genesis() -> Genesis {
        Genesis::new(key().person(), "مجلس الجيران", [5; 16])
    }

    #[test]
    fn a_room_id_proves_its_host() {
        let genesis = genesis().sign(&key()).expect("valid");
        let room = RoomId::of(&genesis);
        assert_eq!(
            Genesis::verify_for(genesis.signed().clone(), room),
            Ok(genesis.clone())
        );

        let impostor = PersonKey::from_seed(&[2; 32]);
        let theirs = Genesis::new(impostor.person(), "مجلس الجيران", [5; 16])
            .sign(&impostor)
            .expect("valid");
        assert!(Genesis::verify_for(theirs.signed().clone(), room).is_err());
    }

    #[test]
    fn a_changed_byte_of_a_genesis_is_noticed() {
        let bytes = genesis().sign(&key()).expect("valid").signed().to_bytes();
        for at in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[at] ^= 1;
            let read = Signed::<Genesis>::from_bytes(&altered)
                .map_err(StatementError::from)
                .and_then(Signed::verify);
            assert!(read.is_err(), "byte {at} changed and nobody noticed");
        }
    }

    #[test]
    fn ids_read_back_in_either_case() {
        let room = RoomId([0xa7; 32]);
        assert_eq!(room.to_string().parse(), Ok(room));
        assert_eq!(room.to_string().to_uppercase().parse(), Ok(room));
        assert_eq!("abc".parse::<RoomId>(), Err(NotARoomId::Form));
        let newer = data_encoding::BASE32_NOPAD.encode(&[2; 33]);
        assert_eq!(newer.parse::<RoomId>(), Err(NotARoomId::Version(2)));
    }

    #[test]
    fn every_limit_of_a_genesis_is_named() {
        let refused = |change: fn(&mut Genesis)| {
            let mut genesis = genesis();
            change(&mut genesis);
            genesis.sign(&key()).expect_err("over the limit").to_string()
        };
        assert_eq!(
            refused(|g| g.title = Text::default()),
            "an empty title is not valid"
        );
        assert_eq!(
            refused(|g| g.title = Text::clean(&"x".repeat(201))),
            "title is longer than 200 bytes"
        );
        assert_eq!(refused(|g| g.language = "a b".into()), "language is not valid");
        assert_eq!(refused(|g| g.audio.bitrate = 1), "bitrate is not valid");
        assert_eq!(
            refused(|g| g.visibility = Visibility::Private),
            "private rooms need a newer version of this program"
        );
        assert_eq!(
            refused(|g| g.tags = vec![RoomTag("b".into()), RoomTag("a".into())]),
            "the list of tags is not valid"
        );
        assert_eq!(
            refused(|g| g.tags = vec![RoomTag("A b".into())]),
            "the list of tags is not valid"
        );
        let many = |g: &mut Genesis| g.tags = (0..6).map(|n| RoomTag(format!("t{n}"))).collect();
        assert_eq!(refused(many), "more than 5 tags");
    }

    #[test]
    fn tags_are_lower_case_in_every_script() {
        assert_eq!("Rust-Lang".parse(), Ok(RoomTag("rust-lang".into())));
        assert_eq!("شعر".parse(), Ok(RoomTag("شعر".into())));
        for bad in ["", "a b", "a/b", "#x", &"x".repeat(33)] {
            assert_eq!(bad.parse::<RoomTag>(), Err(NotATag), "{bad}");
        }
    }
}
