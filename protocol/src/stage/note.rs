//! Notes: what a person says to a room, signed, of which nothing stays in the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    domain, limits,
    log::ActionId,
    person::Person,
    room::{RoomId, at_most},
    signed::{self, Malformed, Signed, Statement, VERSION},
    text::Text,
};

/// The numbers of what this version can say.
pub mod kind {
    /// Raises or lowers the author's hand.
    pub const HAND: u16 = 1;
}

/// A signed word to the room. [`Saying::decode`] says what its body means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Always 1.
    pub version: u8,
    /// The room it is for.
    pub room: RoomId,
    /// Who says it, and signs.
    pub author: Person,
    /// Room clock in milliseconds when it was said, as its author estimates it; higher than that of every note which
    /// this author has signed before, so that none counts twice.
    pub at: u64,
    /// What it is.
    pub kind: u16,
    /// Postcard of the kind's structure.
    pub body: Bytes,
}

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saying {
    /// The author's hand is up, or down again.
    Hand {
        /// Which.
        raised: bool,
        /// What the author is called, for those who read the queue.
        nick: Text,
        /// The author's pass, whole, where the room's door is shut to those without one; else empty.
        pass: Bytes,
    },
    /// A kind that this version does not know.
    Unknown {
        /// Its number.
        kind: u16,
        /// Its body, unread.
        body: Bytes,
    },
}

impl Note {
    /// A note, for its author to sign.
    #[must_use]
    pub fn new(room: RoomId, author: Person, at: u64, saying: &Saying) -> Self {
        Self {
            version: VERSION,
            room,
            author,
            at,
            kind: saying.kind(),
            body: saying.encode(),
        }
    }

    /// The id under which the chair answers.
    #[must_use]
    pub fn id(note: &Signed<Self>) -> ActionId {
        ActionId(
            Sha256::new()
                .chain_update(domain::NOTE_ID)
                .chain_update(note.payload())
                .finalize()
                .into(),
        )
    }

    /// What it says.
    ///
    /// # Errors
    /// [`Malformed`] when the body of a known kind does not decode or breaks a limit.
    pub fn saying(&self) -> Result<Saying, Malformed> {
        Saying::decode(self.kind, &self.body)
    }
}

impl Statement for Note {
    const DOMAIN: &'static [u8] = domain::NOTE;
    const MAX: usize = limits::NOTE;
    const NAME: &'static str = "note";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.author
    }

    /// The body is judged by [`Saying::decode`], since its kind may be unknown here.
    fn validate(&self) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Saying {
    /// Reads the body of a note of this kind.
    ///
    /// # Errors
    /// [`Malformed`] when the body of a known kind does not decode, has bytes left over or breaks a limit.
    pub fn decode(kind: u16, body: &Bytes) -> Result<Self, Malformed> {
        Ok(match kind {
            kind::HAND => {
                let (raised, nick, pass): (bool, Text, Bytes) = signed::decode(body, "hand")?;
                at_most("nick", nick.len(), limits::NICK)?;
                at_most("pass", pass.len(), limits::EXTENSION)?;
                Self::Hand { raised, nick, pass }
            }
            kind => Self::Unknown {
                kind,
                body: body.clone(),
            },
        })
    }

    fn encode(&self) -> Bytes {
        match self {
            Self::Hand { raised, nick, pass } => signed::encode(&(raised, nick, pass)),
            Self::Unknown { body, .. } => body.clone(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Hand { .. } => kind::HAND,
            Self::Unknown { kind, .. } => *kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_and_one_of_a_later_kind_stays_readable() {
        for saying in [
            Saying::Hand {
                raised: true,
                nick: Text::clean("سلمى"),
                pass: Bytes::from_static(b"a pass"),
            },
            Saying::Unknown {
                kind: 77,
                body: Bytes::from_static(b"later"),
            },
        ] {
            let note = Note::new(RoomId([1; 32]), Person([2; 32]), 5, &saying);
            assert_eq!(note.saying(), Ok(saying));
        }
    }

    #[test]
    fn bodies_that_break_a_rule_are_refused_by_name() {
        let refused = |kind, body: Bytes| Saying::decode(kind, &body).expect_err("malformed");
        let long = "x".repeat(65);
        let too_long = Malformed::TooLong {
            what: "nick",
            max: 64,
        };
        assert_eq!(refused(kind::HAND, signed::encode(&(true, long, ""))), too_long);
        let long = Bytes::from(alloc::vec![1; limits::EXTENSION + 1]);
        assert_eq!(
            refused(kind::HAND, signed::encode(&(true, "x", long))),
            Malformed::TooLong {
                what: "pass",
                max: limits::EXTENSION
            }
        );
        assert_eq!(
            refused(kind::HAND, signed::encode(&(true, "x", "", 0_u8))),
            Malformed::LeftOver {
                what: "hand",
                count: 1
            }
        );
    }
}
