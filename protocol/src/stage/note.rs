//! Notes: what a person says to a room, signed, of which nothing stays in the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    domain, limits,
    log::ActionId,
    media::Tag,
    person::Person,
    room::{RoomId, at_most},
    signed::{self, Malformed, Signed, Statement, VERSION},
    text::Text,
};

/// The numbers of what this version can say.
pub mod kind {
    /// Raises or lowers the author's hand.
    pub const HAND: u16 = 1;
    /// A line in the room's chat.
    pub const CHAT: u16 = 2;
    /// Whether the author's microphone is open.
    pub const MICROPHONE: u16 = 3;
    /// What a banned person says to those who keep order.
    pub const APPEAL: u16 = 4;
    /// Lowers the hand of another.
    pub const LOWER: u16 = 5;
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
    /// A line in the room's chat, 1 to [`limits::CHAT`] bytes.
    Chat {
        /// What the author is called.
        nick: Text,
        /// The line.
        text: Text,
    },
    /// The author's microphone is open, or closed again, in this stay on the stage.
    Microphone {
        /// The tag of the stay.
        tag: Tag,
        /// Which.
        on: bool,
    },
    /// What a banned author says to those who keep order, 1 to [`limits::APPEAL`] bytes.
    Appeal {
        /// It.
        text: Text,
    },
    /// The hand of another is to go down. For those who could invite that person.
    Lower {
        /// Whose.
        person: Person,
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
            kind::CHAT => {
                let (nick, text): (Text, Text) = signed::decode(body, "chat")?;
                at_most("nick", nick.len(), limits::NICK)?;
                at_most("line of chat", text.len(), limits::CHAT)?;
                if text.is_empty() {
                    return Err(Malformed::Invalid {
                        what: "an empty line of chat",
                    });
                }
                Self::Chat { nick, text }
            }
            kind::MICROPHONE => {
                let (tag, on): ([u8; 4], bool) = signed::decode(body, "microphone")?;
                Self::Microphone { tag: Tag(tag), on }
            }
            kind::APPEAL => {
                let saying = Self::Appeal {
                    text: signed::decode(body, "appeal")?,
                };
                saying.check()?;
                saying
            }
            kind::LOWER => Self::Lower {
                person: signed::decode(body, "lowering of a hand")?,
            },
            kind => Self::Unknown {
                kind,
                body: body.clone(),
            },
        })
    }

    /// Checks the limits of what is about to be signed, where there are any beyond those of its parts.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        match self {
            Self::Appeal { text } if text.is_empty() => Err(Malformed::Invalid {
                what: "an empty appeal",
            }),
            Self::Appeal { text } => at_most("appeal", text.len(), limits::APPEAL),
            _ => Ok(()),
        }
    }

    fn encode(&self) -> Bytes {
        match self {
            Self::Hand { raised, nick, pass } => signed::encode(&(raised, nick, pass)),
            Self::Chat { nick, text } => signed::encode(&(nick, text)),
            Self::Microphone { tag, on } => signed::encode(&(tag.0, on)),
            Self::Appeal { text } => signed::encode(text),
            Self::Lower { person } => signed::encode(person),
            Self::Unknown { body, .. } => body.clone(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Hand { .. } => kind::HAND,
            Self::Chat { .. } => kind::CHAT,
            Self::Microphone { .. } => kind::MICROPHONE,
            Self::Appeal { .. } => kind::APPEAL,
            Self::Lower { .. } => kind::LOWER,
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
            Saying::Chat {
                nick: Text::clean("سلمى"),
                text: Text::clean("أهلا وسهلا"),
            },
            Saying::Appeal {
                text: Text::clean("it was my brother"),
            },
            Saying::Microphone {
                tag: Tag([1, 2, 3, 4]),
                on: true,
            },
            Saying::Lower {
                person: Person([3; 32]),
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
        assert_eq!(
            refused(kind::LOWER, signed::encode(&([1_u8; 32], 0_u8))),
            Malformed::LeftOver {
                what: "lowering of a hand",
                count: 1
            }
        );
        let appeal = |text: &str| refused(kind::APPEAL, signed::encode(&text));
        assert!(matches!(appeal(" "), Malformed::Invalid { .. }));
        assert!(matches!(appeal(&"x".repeat(181)), Malformed::TooLong { .. }));
        let line = |nick: &str, text: &str| refused(kind::CHAT, signed::encode(&(nick, text)));
        assert_eq!(line(&"x".repeat(65), "hello"), too_long);
        assert_eq!(
            line("x", &"y".repeat(limits::CHAT + 1)),
            Malformed::TooLong {
                what: "line of chat",
                max: limits::CHAT
            }
        );
        assert_eq!(
            line("x", " \u{200b}\n"),
            Malformed::Invalid {
                what: "an empty line of chat"
            }
        );
    }

    #[test]
    fn a_line_of_chat_is_clean_whatever_was_signed_and_the_longest_fits() {
        let body = signed::encode(&("n", "a\u{202e}b\n\u{1b}[31mc"));
        assert_eq!(
            Saying::decode(kind::CHAT, &body),
            Ok(Saying::Chat {
                nick: Text::clean("n"),
                text: Text::clean("ab c")
            })
        );
        let key = crate::person::PersonKey::from_seed(&[7; 32]);
        let longest = Saying::Chat {
            nick: Text::clean(&"م".repeat(limits::NICK / 2)),
            text: Text::clean(&"م".repeat(limits::CHAT / 2)),
        };
        let note = Note::new(RoomId([1; 32]), key.person(), u64::MAX, &longest);
        assert!(signed::Verified::sign(note, &key).is_ok());
    }
}
