//! Why something was refused: one number on the wire, one sentence for people (SPEC.md section 11).
//!
//! Numbers that a later version adds are kept as they came, so that they can be shown and passed on.

use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a neighbour or the chair refused. Each variant says what the one who was refused does next.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "u16", into = "u16")]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $name,)*
            /// A number that this version does not know: show the text that came with it.
            Unknown(u16),
        }

        impl From<u16> for Reason {
            fn from(number: u16) -> Self {
                match number {
                    $($number => Self::$name,)*
                    number => Self::Unknown(number),
                }
            }
        }

        impl From<Reason> for u16 {
            fn from(reason: Reason) -> Self {
                match reason {
                    $(Reason::$name => $number,)*
                    Reason::Unknown(number) => number,
                }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.pad($text),)*
                    Self::Unknown(number) => write!(f, "refused for a reason that this program does not know ({number})"),
                }
            }
        }

        /// Every reason that has a number of its own, for the test that compares them with SPEC.md.
        #[cfg(test)]
        const ALL: &[Reason] = &[$(Reason::$name),*];
    };
}

reasons! {
    /// The bytes were wrong: do not retry.
    Malformed = 1, "the message was malformed";
    /// It needs a version that the other does not have: say that an update is needed.
    Unsupported = 2, "it needs a newer version of the program: update it";
    /// The other is not in that room: ask another member.
    UnknownRoom = 3, "that member is not in the room";
    /// The certificate does not bind the person to the peer: do not retry.
    BadCertificate = 4, "the certificate does not belong to this connection";
    /// No place is left: ask another member, or wait until somebody leaves the stage.
    Full = 5, "there is no place left";
    /// The room is over: leave.
    Ended = 6, "the room has ended";
    /// An action was refused for what the text says: show it.
    Refused = 7, "it was refused";
    /// Something came before `hello`: say `hello` first.
    NotInTheRoom = 8, "say hello to the room first";
    /// Too much in too short a time: wait a second.
    TooMany = 9, "too many requests: wait a second";
    /// The action's time was over when it reached the chair: sign it anew.
    Expired = 10, "the request came too late: try again";
    /// The author's role may not do this.
    NotAllowed = 11, "this role may not do that";
    /// The subject is not where the action would have it: look at the room's state and ask for something else.
    NoSuchSubject = 12, "that does not fit what this person is in the room now";
    /// The request came to someone who does not write the log: ask on the path to the root.
    NotTheChair = 13, "only the chair of the room can do that";
    /// The action was applied before: nothing is left to do.
    Duplicate = 14, "it was done already";
    /// Chance gave this stay on the stage a media tag that was used before: sign the action anew.
    TagTaken = 15, "two stays on the stage drew the same tag: try again";
    /// The person is kept out of this room: leave, and do not come back with this key before the ban is over.
    Banned = 16, "banned from the room";
    /// The person was put out of this room: come back after a minute.
    Kicked = 17, "put out of the room: come back in a minute";
    /// The room is locked, and this person was not in it before: come back when it is open again.
    Locked = 18, "the room is locked: nobody new comes in";
    /// The person does not stand on the guest list: ask the host.
    NotListed = 19, "not on the guest list";
}

impl Reason {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        self.into()
    }

    /// Whether who said so to a newcomer will say it again: asking the same member once more is of no use. A number
    /// that this version does not know may stand for what passes.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Malformed
                | Self::Unsupported
                | Self::UnknownRoom
                | Self::BadCertificate
                | Self::Refused
                | Self::NotAllowed
                | Self::Banned
                | Self::Kicked
                | Self::Locked
                | Self::NotListed
        )
    }
}

#[cfg(test)]
mod tests {
    use alloc::{
        format,
        string::{String, ToString},
        vec::Vec,
    };

    use super::*;
    use crate::signed::{decode, encode};

    #[test]
    fn every_number_reads_back_as_itself() {
        for number in 0..=u16::MAX {
            let reason = Reason::from(number);
            assert_eq!(reason.number(), number);
            assert_eq!(decode::<Reason>(&encode(&reason), "reason"), Ok(reason));
            assert_eq!(encode(&reason), encode(&number));
        }
    }

    #[test]
    fn the_numbers_are_those_of_the_specification() {
        let spec = include_str!("../SPEC.md");
        let table = spec
            .split("| reason | name |")
            .nth(1)
            .expect("the table of reasons");
        let rows: Vec<&str> = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        assert_eq!(rows.len(), ALL.len());
        for (row, reason) in rows.iter().zip(ALL) {
            let mut cells = row.split('|').map(str::trim).skip(1);
            assert_eq!(cells.next(), Some(reason.number().to_string().as_str()), "{row}");
            let name: String = cells.next().expect("a name").split(' ').collect();
            assert_eq!(format!("{reason:?}").to_lowercase(), name, "{row}");
        }
    }

    #[test]
    fn an_unknown_reason_shows_its_number() {
        assert!(Reason::from(999).to_string().contains("999"));
    }
}
