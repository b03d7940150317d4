//! The directory's question and answer (SPEC.md section 13): a newcomer sees the list at once, from any peer.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    announcement::Announcement,
    limits,
    reason::Reason,
    room::{RoomId, RoomTag},
    signed::{Malformed, Signed, decode, encode},
};

/// The version byte of questions, answers and gossiped announcements.
const VERSION: u8 = 1;

/// Most bytes of an answer: sixteen of the largest announcements, far more of ordinary ones.
pub const ANSWER_BYTES: usize = 131_072;

/// Most bytes of a question: its fields at their largest.
pub const QUERY_BYTES: usize = 128;

/// Which rooms a peer would like to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Only rooms with this tag.
    pub tag: Option<RoomTag>,
    /// Only this room.
    pub room: Option<RoomId>,
    /// Only rooms behind this id: the next page.
    pub after: Option<RoomId>,
    /// At most so many; the answer holds at most 64.
    pub limit: u16,
}

/// The rooms a peer knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// In ascending order of room id. The receiver checks each.
    pub announcements: Vec<Signed<Announcement>>,
    /// Whether there are rooms behind the last one.
    pub more: bool,
}

/// What a community node says to a record that a host has given it to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// Why it does not keep it; none when it does, until it expires.
    pub refused: Option<Reason>,
}

/// Most bytes of such an answer.
pub const KEEPING_BYTES: usize = 8;

impl Keeping {
    /// The bytes of the answer.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        versioned(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Malformed`] names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        unversioned(bytes, "an answer about keeping", KEEPING_BYTES)
    }
}

impl Query {
    /// The bytes of the question.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        versioned(self)
    }

    /// Reads a question.
    ///
    /// # Errors
    /// [`Malformed`] names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let query: Self = unversioned(bytes, "a directory query", QUERY_BYTES)?;
        match &query.tag {
            Some(tag) if tag.as_str().parse().as_ref() != Ok(tag) => Err(Malformed::Invalid { what: "tag" }),
            _ => Ok(query),
        }
    }
}

impl Answer {
    /// The bytes of the answer.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        versioned(self)
    }

    /// Reads an answer; the announcements in it are not believed yet.
    ///
    /// # Errors
    /// [`Malformed`] names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let answer: Self = unversioned(bytes, "a directory answer", ANSWER_BYTES)?;
        if answer.announcements.len() > limits::DIRECTORY_ANSWER {
            return Err(Malformed::TooMany {
                what: "announcements",
                max: limits::DIRECTORY_ANSWER,
            });
        }
        Ok(answer)
    }
}

/// An announcement as it is gossiped, and given to a community node to keep.
#[must_use]
pub fn encode_gossip(announcement: &Signed<Announcement>) -> Bytes {
    versioned(announcement)
}

/// Reads a gossiped announcement; it is not believed yet.
///
/// # Errors
/// [`Malformed`] names what is wrong.
pub fn decode_gossip(bytes: &[u8]) -> Result<Signed<Announcement>, Malformed> {
    unversioned(bytes, "a gossiped announcement", limits::ANNOUNCEMENT + 128)
}

fn versioned<T: Serialize>(value: &T) -> Bytes {
    let body = encode(value);
    let mut bytes = Vec::with_capacity(1 + body.len());
    bytes.put_u8(VERSION);
    bytes.put_slice(&body);
    bytes.into()
}

fn unversioned<T: DeserializeOwned>(bytes: &[u8], what: &'static str, max: usize) -> Result<T, Malformed> {
    if bytes.len() > max {
        return Err(Malformed::TooLong { what, max });
    }
    match bytes.split_first() {
        Some((&VERSION, body)) => decode(body, what),
        Some((&version, _)) => Err(Malformed::Version { what, version }),
        None => Err(Malformed::Encoding { what }),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::{person::PersonKey, room::Genesis, signed::Verified};

    fn announcement() -> Signed<Announcement> {
        let host = PersonKey::from_seed(&[1; 32]);
        let genesis = Genesis::new(host.person(), "Poems", [0; 16])
            .sign(&host)
            .expect("valid");
        let announcement = Verified::sign(Announcement::live(&genesis, 1), &host).expect("valid");
        announcement.signed().clone()
    }

    #[test]
    fn questions_answers_and_gossip_read_back() {
        let query = Query {
            tag: "شعر".parse().ok(),
            room: None,
            after: Some(RoomId([1; 32])),
            limit: 9,
        };
        assert_eq!(Query::decode(&query.encode()), Ok(query));
        let answer = Answer {
            announcements: vec![announcement(); 3],
            more: true,
        };
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        assert_eq!(decode_gossip(&encode_gossip(&announcement())), Ok(announcement()));
        for refused in [None, Some(Reason::Full), Some(Reason::Unknown(u16::MAX))] {
            let keeping = Keeping { refused };
            assert_eq!(Keeping::decode(&keeping.encode()), Ok(keeping));
        }
    }

    #[test]
    fn too_many_too_long_and_newer_are_refused_by_name() {
        let many = Answer {
            announcements: vec![announcement(); 65],
            more: false,
        };
        assert_eq!(
            Answer::decode(&many.encode()),
            Err(Malformed::TooMany {
                what: "announcements",
                max: 64
            })
        );
        let long = vec![1; ANSWER_BYTES + 1];
        assert_eq!(
            Answer::decode(&long),
            Err(Malformed::TooLong {
                what: "a directory answer",
                max: ANSWER_BYTES
            })
        );
        assert_eq!(
            Query::decode(&[2]),
            Err(Malformed::Version {
                what: "a directory query",
                version: 2
            })
        );
        let mut left_over = Query::default().encode().to_vec();
        left_over.push(0);
        assert_eq!(
            Query::decode(&left_over),
            Err(Malformed::LeftOver {
                what: "a directory query",
                count: 1
            })
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Query::decode(&bytes);
            let _ = Answer::decode(&bytes);
            let _ = decode_gossip(&bytes);
            let _ = Keeping::decode(&bytes);
        }
    }
}
