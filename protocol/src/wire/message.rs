//! Control messages: what members say to each other on the substream of a room (SPEC.md section 11).
//!
//! Decoding checks every length and count, and believes no signature: that is for the machine that handles the message.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    extension::{self, Extension},
    identity::{Certificate, Profile},
    limits,
    link::Address,
    log::{Action, ActionId, Beacon, Entry, Head, Tick},
    media::Losses,
    person::{Peer, Person},
    reason::Reason,
    room::{Genesis, RoomId, at_most},
    signed::{Malformed, Signed, decode, encode},
    stage::{HandList, Note, Pass, Reactions},
    text::Text,
    wire::frame::{self, Frame},
};

/// What a datagram of this room begins with on one link; the receiver of the datagrams chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alias(pub u16);

/// The first message of whoever opens a substream. The receiver checks the certificate against the connection's
/// peer and answers with [`Message::Welcome`] or [`Message::Refuse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The room that the opener means.
    pub room: RoomId,
    /// Who speaks through this link.
    pub certificate: Signed<Certificate>,
    /// What that person is called.
    pub profile: Signed<Profile>,
    /// What datagrams to the opener begin with.
    pub alias: Alias,
    /// The newest entry that the opener has; zeroes when it knows nothing.
    pub head: Head,
    /// Where the opener can be reached.
    pub addresses: Vec<Address>,
    /// What later versions add.
    pub extensions: Vec<Extension>,
}

/// The answer to a [`Hello`]. The receiver checks that the genesis hashes to the room it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The room's genesis.
    pub genesis: Signed<Genesis>,
    /// Who answers.
    pub certificate: Signed<Certificate>,
    /// What that person is called.
    pub profile: Signed<Profile>,
    /// What datagrams to the answering side begin with.
    pub alias: Alias,
    /// The newest entry that the answering side has.
    pub head: Head,
    /// The newest beacon that it has.
    pub beacon: Option<Signed<Beacon>>,
    /// Where it can be reached.
    pub addresses: Vec<Address>,
    /// What later versions add.
    pub extensions: Vec<Extension>,
}

/// Why something was not done, with words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub reason: Reason,
    /// For people; may be empty.
    pub text: Text,
}

/// A batch of the log, of at most [`limits::ENTRIES_BATCH`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// In order of sequence, without a gap.
    pub entries: Vec<Signed<Entry>>,
    /// Whether there are more; the receiver asks again.
    pub more: bool,
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which action.
    pub action: ActionId,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The outcome of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is in the log.
    Appended {
        /// The sequence of its entry.
        sequence: u32,
    },
    /// It is not.
    Refused(Refusal),
}

/// How a link is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Slot {
    /// For sound: the other end becomes the parent.
    Child,
    /// For digests and pulls: the other end becomes the warm standby.
    Standby,
}

/// Why a place is asked for. It says what the asked may do to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// A newcomer. After [`crate::tree::MAX_REDIRECTS`] redirects an emergency slot may be given.
    Join,
    /// Its parent is gone: an emergency slot may be given.
    Orphan,
    /// Its parent told it to move here: an emergency slot may be given.
    Told,
    /// It speaks, and wants to be near the root: an emergency slot may be given.
    Stage,
    /// It has proven its service lower down and offers to take the place of a leaf, whose parent it becomes.
    Better,
}

/// A member that may have a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which peer.
    pub peer: Peer,
    /// Where to reach it.
    pub addresses: Vec<Address>,
}

/// A wish for a place in the tree. The receiver answers with [`Message::Attached`],
/// [`Message::Redirect`] or [`Message::AttachRefused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Which kind of place.
    pub slot: Slot,
    /// Why.
    pub wish: Wish,
    /// How many redirects brought it here.
    pub redirects: u8,
    /// How many children it can take itself; 0 for a leaf. A claim.
    pub capacity: u16,
    /// What later versions add.
    pub extensions: Vec<Extension>,
}

impl Attach {
    /// A newcomer's first wish for a child's place.
    #[must_use]
    pub fn join(capacity: u16) -> Self {
        Self {
            slot: Slot::Child,
            wish: Wish::Join,
            redirects: 0,
            capacity,
            extensions: Vec::new(),
        }
    }
}

/// Where a member stands in the tree, and whom those below it can turn to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Peers from the root to the sender.
    pub path: Vec<Peer>,
    /// Where the root can be reached, as far as the sender knows.
    pub root: Option<Candidate>,
    /// Where the fallback root can be reached, likewise.
    pub fallback: Option<Candidate>,
    /// Members outside the sender's subtree, at most four: standbys for the receiver. Empty for a standby's child.
    pub elders: Vec<Candidate>,
    /// The sender's other children, at most four: elders for the receiver's children. Empty for a standby's child.
    pub siblings: Vec<Candidate>,
    /// The sender has free places.
    pub has_room: bool,
    /// The sender's parent has.
    pub room_above: bool,
}

/// Other members to ask. As an answer to [`Message::Attach`]: instead of the sender. From a parent, unasked: the
/// receiver finds a place with one of these, and leaves the sender once it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Whom, at most four.
    pub candidates: Vec<Candidate>,
    /// Whether the sender leaves the room.
    pub leaving: bool,
}

/// A place: the answer to an [`Attach`] that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Which kind.
    pub slot: Slot,
    /// Where the sender stands.
    pub position: Position,
}

/// A free place somewhere below the sender of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Who has it.
    pub candidate: Candidate,
    /// How many it has.
    pub free: u16,
    /// Hops below the sender of the report; 0 for itself.
    pub depth: u8,
}

/// What a subtree looks like from its top. All of it is claims.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Members in the subtree, the sender included.
    pub members: u32,
    /// Free places in the subtree.
    pub free: u32,
    /// The best of them, nearest first, at most four.
    pub offers: Vec<Offer>,
}

/// A wish for names of the audience: of the members from one place on in the order of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceWanted {
    /// For the answer; the sender's choice.
    pub number: u32,
    /// The place of the first.
    pub skip: u32,
    /// How many places.
    pub most: u8,
}

/// Names of the audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// Of the request.
    pub number: u32,
    /// The place to ask from next; none behind the last.
    pub next: Option<u32>,
    /// Those at the places before it who are not on the stage, at most [`limits::AUDIENCE`].
    pub people: Vec<Signed<Profile>>,
}

/// A message between two members of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The opener introduces itself.
    Hello(Hello),
    /// The receiver lets the opener in; it now may ask for entries and attach.
    Welcome(Welcome),
    /// The sender closes the substream after this; the receiver acts on the reason.
    Refuse(Refusal),
    /// The receiver answers with the entries that follow this sequence.
    EntriesWanted {
        /// The newest sequence that the sender has.
        after: u32,
    },
    /// The receiver applies them in order and asks for what is missing.
    Entries(Entries),
    /// The receiver keeps the newest and passes it on to its children.
    Beacon(Signed<Beacon>),
    /// The beacon that follows the last one on this link: the receiver puts it together again, and takes it for one that
    /// came.
    Tick(Tick),
    /// The receiver appends it when it is the chair, and else passes it on towards the chair.
    Request(Signed<Action>),
    /// The receiver is the action's author, or passes it on towards the author.
    Verdict(Verdict),
    /// The receiver gives a place or refuses.
    Attach(Attach),
    /// The receiver has the place that it asked for.
    Attached(Attached),
    /// The receiver asks others for a place.
    Redirect(Redirect),
    /// The receiver asks someone else.
    AttachRefused(Refusal),
    /// From a parent or a standby: its position has changed. The receiver leaves it when the path leads through itself.
    Position(Position),
    /// From a child: what its subtree looks like now.
    Report(Report),
    /// The sender needs this link no more, or leaves the room; the receiver forgets the link.
    Leave,
    /// Profiles of the people on the stage; the receiver checks each and passes news on to its children.
    Profiles(Vec<Signed<Profile>>),
    /// The receiver shows it as an estimate and passes it on to its children.
    Census {
        /// People in the room who are not on the stage.
        listeners: u32,
    },
    /// The receiver judges it when it is the chair, and else passes it on towards the chair.
    Note(Signed<Note>),
    /// Who asks for the word; the receiver checks it, keeps the newest and passes it on to its children.
    Hands(Signed<HandList>),
    /// These people are in the room; the receiver signs that when it is the chair, and else asks for them above.
    PassWanted(Vec<Person>),
    /// The receiver keeps its own, and passes the others on to who asked.
    Passes(Vec<Signed<Pass>>),
    /// From below, the receiver adds them to what it sends on towards the chair; from there, it shows them and passes them
    /// on.
    Reactions(Reactions),
    /// From a child, the receiver asks above, or looks where it is the root; from a parent, it looks in its own branch.
    AudienceWanted(AudienceWanted),
    /// The receiver passes it on to who asked.
    Audience(Audience),
    /// From a child, the receiver adds it to what it tells above; from the root, a speaker takes it for what the room
    /// misses.
    Losses(Losses),
}

#[derive(Serialize, Deserialize)]
struct EntriesWanted {
    after: u32,
}

#[derive(Serialize, Deserialize)]
struct Census {
    listeners: u32,
}

mod kind {
    pub(super) const HELLO: u16 = 1;
    pub(super) const WELCOME: u16 = 2;
    pub(super) const REFUSE: u16 = 3;
    pub(super) const ENTRIES_WANTED: u16 = 4;
    pub(super) const ENTRIES: u16 = 5;
    pub(super) const BEACON: u16 = 6;
    pub(super) const REQUEST: u16 = 7;
    pub(super) const VERDICT: u16 = 8;
    pub(super) const ATTACH: u16 = 9;
    pub(super) const ATTACHED: u16 = 10;
    pub(super) const REDIRECT: u16 = 11;
    pub(super) const ATTACH_REFUSED: u16 = 12;
    pub(super) const POSITION: u16 = 13;
    pub(super) const LEAVE: u16 = 14;
    pub(super) const REPORT: u16 = 15;
    pub(super) const PROFILES: u16 = 16;
    pub(super) const CENSUS: u16 = 17;
    pub(super) const NOTE: u16 = 18;
    pub(super) const HANDS: u16 = 19;
    pub(super) const PASS_WANTED: u16 = 20;
    pub(super) const PASSES: u16 = 21;
    pub(super) const TICK: u16 = 22;
    pub(super) const REACTIONS: u16 = 23;
    pub(super) const AUDIENCE_WANTED: u16 = 24;
    pub(super) const AUDIENCE: u16 = 25;
    pub(super) const LOSSES: u16 = 26;
}

impl Message {
    /// The message as a frame.
    ///
    /// # Errors
    /// [`Malformed::TooLong`] when it does not fit one.
    pub fn encode(&self) -> Result<Bytes, Malformed> {
        let (kind, body) = match self {
            Self::Hello(hello) => (kind::HELLO, encode(hello)),
            Self::Welcome(welcome) => (kind::WELCOME, encode(welcome)),
            Self::Refuse(refusal) => (kind::REFUSE, encode(refusal)),
            Self::EntriesWanted { after } => (kind::ENTRIES_WANTED, encode(&EntriesWanted { after: *after })),
            Self::Entries(entries) => (kind::ENTRIES, encode(entries)),
            Self::Beacon(beacon) => (kind::BEACON, encode(beacon)),
            Self::Tick(tick) => (kind::TICK, encode(tick)),
            Self::Request(action) => (kind::REQUEST, encode(action)),
            Self::Verdict(verdict) => (kind::VERDICT, encode(verdict)),
            Self::Attach(attach) => (kind::ATTACH, encode(attach)),
            Self::Attached(attached) => (kind::ATTACHED, encode(attached)),
            Self::Redirect(redirect) => (kind::REDIRECT, encode(redirect)),
            Self::AttachRefused(refusal) => (kind::ATTACH_REFUSED, encode(refusal)),
            Self::Position(position) => (kind::POSITION, encode(position)),
            Self::Report(report) => (kind::REPORT, encode(report)),
            Self::Leave => (kind::LEAVE, Bytes::new()),
            Self::Profiles(profiles) => (kind::PROFILES, encode(profiles)),
            Self::Census { listeners } => (
                kind::CENSUS,
                encode(&Census {
                    listeners: *listeners,
                }),
            ),
            Self::Note(note) => (kind::NOTE, encode(note)),
            Self::Hands(list) => (kind::HANDS, encode(list)),
            Self::PassWanted(people) => (kind::PASS_WANTED, encode(people)),
            Self::Passes(passes) => (kind::PASSES, encode(passes)),
            Self::Reactions(sum) => (kind::REACTIONS, sum.encode()),
            Self::AudienceWanted(wanted) => (kind::AUDIENCE_WANTED, encode(wanted)),
            Self::Audience(audience) => (kind::AUDIENCE, encode(audience)),
            Self::Losses(losses) => (kind::LOSSES, encode(losses)),
        };
        Frame { kind, body }.encode()
    }

    /// Reads a frame. `None` is a message of a later version that may be skipped.
    ///
    /// # Errors
    /// [`Malformed`] names what is wrong; the substream ends with a refusal.
    pub fn decode(frame: &Frame) -> Result<Option<Self>, Malformed> {
        let body = &frame.body;
        Ok(Some(match frame.kind {
            kind::HELLO => Self::Hello(checked(body, "hello")?),
            kind::WELCOME => Self::Welcome(checked(body, "welcome")?),
            kind::REFUSE => Self::Refuse(checked(body, "refuse")?),
            kind::ENTRIES_WANTED => Self::EntriesWanted {
                after: decode::<EntriesWanted>(body, "entries wanted")?.after,
            },
            kind::ENTRIES => Self::Entries(checked(body, "entries")?),
            kind::BEACON => Self::Beacon(decode(body, "beacon")?),
            kind::TICK => Self::Tick(decode(body, "tick")?),
            kind::REQUEST => Self::Request(decode(body, "request")?),
            kind::VERDICT => Self::Verdict(checked(body, "verdict")?),
            kind::ATTACH => Self::Attach(checked(body, "attach")?),
            kind::ATTACHED => Self::Attached(checked(body, "attached")?),
            kind::REDIRECT => Self::Redirect(checked(body, "redirect")?),
            kind::ATTACH_REFUSED => Self::AttachRefused(checked(body, "attach refused")?),
            kind::POSITION => Self::Position(checked(body, "position")?),
            kind::REPORT => Self::Report(checked(body, "report")?),
            kind::LEAVE if body.is_empty() => Self::Leave,
            kind::LEAVE => {
                return Err(Malformed::LeftOver {
                    what: "leave",
                    count: body.len(),
                });
            }
            kind::PROFILES => Self::Profiles(checked(body, "profiles")?),
            kind::CENSUS => Self::Census {
                listeners: decode::<Census>(body, "census")?.listeners,
            },
            kind::NOTE => Self::Note(decode(body, "note")?),
            kind::HANDS => Self::Hands(decode(body, "hands")?),
            kind::PASS_WANTED => Self::PassWanted(checked(body, "pass wanted")?),
            kind::PASSES => Self::Passes(checked(body, "passes")?),
            kind::REACTIONS => Self::Reactions(Reactions::decode(body)?),
            kind::AUDIENCE_WANTED => Self::AudienceWanted(decode(body, "audience wanted")?),
            kind::AUDIENCE => Self::Audience(checked(body, "audience")?),
            kind::LOSSES => Self::Losses(decode(body, "losses")?),
            kind if kind < frame::CRITICAL => return Ok(None),
            _ => {
                return Err(Malformed::NeedsNewer {
                    what: "messages of this kind",
                });
            }
        }))
    }
}

/// A body with limits beyond those of its types.
trait Limited {
    fn validate(&self) -> Result<(), Malformed>;
}

impl Limited for Hello {
    fn validate(&self) -> Result<(), Malformed> {
        addresses(&self.addresses)?;
        extension::validate(&self.extensions)
    }
}

impl Limited for Welcome {
    fn validate(&self) -> Result<(), Malformed> {
        addresses(&self.addresses)?;
        extension::validate(&self.extensions)
    }
}

impl Limited for Entries {
    fn validate(&self) -> Result<(), Malformed> {
        let bytes = self.entries.iter().map(Entry::size).sum();
        at_most("a batch of entries", bytes, limits::ENTRIES_BATCH)
    }
}

impl Limited for Refusal {
    fn validate(&self) -> Result<(), Malformed> {
        at_most("the text of a refusal", self.text.len(), limits::REASON)
    }
}

impl Limited for Verdict {
    fn validate(&self) -> Result<(), Malformed> {
        match &self.outcome {
            Outcome::Appended { .. } => Ok(()),
            Outcome::Refused(refusal) => refusal.validate(),
        }
    }
}

impl Limited for Attach {
    fn validate(&self) -> Result<(), Malformed> {
        extension::validate(&self.extensions)
    }
}

impl Limited for Attached {
    fn validate(&self) -> Result<(), Malformed> {
        self.position.validate()
    }
}

impl Limited for Position {
    fn validate(&self) -> Result<(), Malformed> {
        if self.path.is_empty() {
            return Err(Malformed::Invalid {
                what: "an empty path",
            });
        }
        count("peers on a path", self.path.len(), limits::DEPTH)?;
        self.elders.validate()?;
        self.siblings.validate()?;
        self.root
            .iter()
            .chain(&self.fallback)
            .try_for_each(|candidate| addresses(&candidate.addresses))
    }
}

impl Limited for Redirect {
    fn validate(&self) -> Result<(), Malformed> {
        self.candidates.validate()
    }
}

impl Limited for Report {
    fn validate(&self) -> Result<(), Malformed> {
        count("offers", self.offers.len(), limits::CANDIDATES)?;
        self.offers
            .iter()
            .try_for_each(|offer| addresses(&offer.candidate.addresses))
    }
}

impl Limited for Vec<Candidate> {
    fn validate(&self) -> Result<(), Malformed> {
        count("candidates", self.len(), limits::CANDIDATES)?;
        self.iter()
            .try_for_each(|candidate| addresses(&candidate.addresses))
    }
}

impl Limited for Vec<Signed<Profile>> {
    fn validate(&self) -> Result<(), Malformed> {
        count("profiles", self.len(), limits::PROFILES)
    }
}

impl Limited for Audience {
    fn validate(&self) -> Result<(), Malformed> {
        count("people", self.people.len(), limits::AUDIENCE)
    }
}

impl Limited for Vec<Person> {
    fn validate(&self) -> Result<(), Malformed> {
        count("people", self.len(), limits::PASSES)
    }
}

impl Limited for Vec<Signed<Pass>> {
    fn validate(&self) -> Result<(), Malformed> {
        count("passes", self.len(), limits::PASSES)
    }
}

fn checked<T: DeserializeOwned + Limited>(body: &[u8], what: &'static str) -> Result<T, Malformed> {
    let value: T = decode(body, what)?;
    value.validate()?;
    Ok(value)
}

fn addresses(list: &[Address]) -> Result<(), Malformed> {
    count("addresses", list.len(), limits::ADDRESSES)?;
    if list.iter().all(Address::is_valid) {
        Ok(())
    } else {
        Err(Malformed::Invalid { what: "an address" })
    }
}

fn count(what: &'static str, count: usize, max: usize) -> Result<(), Malformed> {
    if count <= max {
        Ok(())
    } else {
        Err(Malformed::TooMany { what, max })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        log::{Act, Log},
        person::PersonKey,
        signed::{Statement, Verified},
        stage::{Hands, Saying},
        wire::frame::FrameReader,
    };

    fn read_back(message: &Message) -> Result<Option<Message>, Malformed> {
        let mut reader = FrameReader::default();
        reader.push(&message.encode().expect("fits a frame"));
        Message::decode(&reader.next_frame().expect("well-formed").expect("whole"))
    }

    fn refusal() -> Refusal {
        Refusal {
            reason: Reason::Full,
            text: Text::clean("no place"),
        }
    }

    fn addresses(count: usize) -> Vec<Address> {
        vec!["/ip4/127.0.0.1/udp/1/quic-v1".parse().expect("an address"); count]
    }

    fn candidate(peer: Peer) -> Candidate {
        Candidate {
            peer,
            addresses: addresses(2),
        }
    }

    fn offer(peer: Peer) -> Offer {
        Offer {
            candidate: candidate(peer),
            free: 8,
            depth: 3,
        }
    }

    fn position(peer: Peer) -> Position {
        Position {
            path: vec![peer; limits::DEPTH],
            root: Some(candidate(peer)),
            fallback: None,
            elders: vec![candidate(peer); limits::CANDIDATES],
            siblings: vec![candidate(peer)],
            has_room: true,
            room_above: false,
        }
    }

    fn signed<T: Statement>(statement: T, key: &PersonKey) -> Signed<T> {
        Verified::sign(statement, key).expect("valid").signed().clone()
    }

    /// One message of each kind.
    fn every_message() -> Vec<Message> {
        let (key, peer) = (PersonKey::from_seed(&[1; 32]), Peer([2; 32]));
        let genesis = Genesis::new(key.person(), "Poems", [0; 16])
            .sign(&key)
            .expect("valid");
        let mut log = Log::new(genesis.clone());
        let (room, head) = (log.room(), log.head());
        let title = Act::Title {
            title: Text::clean("Songs"),
        };
        let action = Verified::sign(Action::new(room, key.person(), head, 0, &title), &key).expect("valid");
        let entry = log
            .append(action.signed().clone(), &key, 1)
            .expect("the host may")
            .entry
            .signed()
            .clone();
        let beacon = Beacon::new(room, key.person(), (0, 1), 5, log.head(), peer);
        let beacon = Verified::sign(beacon, &key).expect("valid").signed().clone();
        let tick = Tick {
            number: 2,
            clock: 1_005,
            signature: key.sign(b"the next"),
        };
        let certificate = Certificate::new(key.person(), peer, room);
        let certificate = Verified::sign(certificate, &key).expect("valid").signed().clone();
        let profile = Verified::sign(Profile::new(key.person(), "Layla", 0), &key)
            .expect("valid")
            .signed()
            .clone();
        let id = ActionId::of(action.signed());
        let nick = Text::clean("Layla");
        let hand = Saying::Hand {
            pass: Bytes::new(),
            raised: true,
            nick: nick.clone(),
        };
        let mut hands = Hands::default();
        hands.raise(key.person(), nick, 8).expect("a place");
        vec![
            Message::Hello(Hello {
                room,
                certificate: certificate.clone(),
                profile: profile.clone(),
                alias: Alias(7),
                head,
                addresses: addresses(8),
                extensions: vec![Extension {
                    kind: 5,
                    body: Bytes::from_static(b"later"),
                }],
            }),
            Message::Welcome(Welcome {
                genesis: genesis.signed().clone(),
                certificate,
                profile: profile.clone(),
                alias: Alias(0xffff),
                head,
                beacon: Some(beacon.clone()),
                addresses: addresses(1),
                extensions: vec![],
            }),
            Message::Refuse(refusal()),
            Message::EntriesWanted { after: u32::MAX },
            Message::Entries(Entries {
                entries: vec![entry],
                more: true,
            }),
            Message::Beacon(beacon),
            Message::Tick(tick),
            Message::Request(action.signed().clone()),
            Message::Verdict(Verdict {
                action: id,
                outcome: Outcome::Appended { sequence: 3 },
            }),
            Message::Verdict(Verdict {
                action: id,
                outcome: Outcome::Refused(refusal()),
            }),
            Message::Attach(Attach {
                slot: Slot::Standby,
                wish: Wish::Better,
                redirects: 2,
                capacity: u16::MAX,
                extensions: vec![],
            }),
            Message::Attached(Attached {
                slot: Slot::Child,
                position: position(peer),
            }),
            Message::Redirect(Redirect {
                candidates: vec![candidate(peer); limits::CANDIDATES],
                leaving: true,
            }),
            Message::AttachRefused(refusal()),
            Message::Position(position(peer)),
            Message::Report(Report {
                members: 8_000,
                free: u32::MAX,
                offers: vec![offer(peer); limits::CANDIDATES],
            }),
            Message::Leave,
            Message::Profiles(vec![profile.clone()]),
            Message::Census { listeners: 8_000 },
            Message::Note(signed(Note::new(room, key.person(), 9, &hand), &key)),
            Message::Hands(signed(hands.next_list(room, key.person(), 2), &key)),
            Message::PassWanted(vec![key.person(); limits::PASSES]),
            Message::Passes(vec![signed(Pass::new(room, key.person(), key.person(), 4), &key)]),
            Message::Reactions(Reactions::one("wow").expect("there is one")),
            Message::AudienceWanted(AudienceWanted {
                number: u32::MAX,
                skip: 3,
                most: 16,
            }),
            Message::Audience(Audience {
                number: u32::MAX,
                next: Some(19),
                people: vec![profile; limits::AUDIENCE],
            }),
            Message::Losses(Losses {
                losing: 300,
                badly: u32::MAX,
                on_stage: 1,
            }),
        ]
    }

    #[test]
    fn every_message_reads_back() {
        for message in every_message() {
            assert_eq!(read_back(&message), Ok(Some(message)));
        }
    }

    #[test]
    fn messages_of_later_versions_are_skipped_unless_critical() {
        let frame = |kind| Frame {
            kind,
            body: Bytes::from_static(b"?"),
        };
        assert_eq!(Message::decode(&frame(999)), Ok(None));
        assert!(matches!(
            Message::decode(&frame(0x8001)),
            Err(Malformed::NeedsNewer { .. })
        ));
    }

    #[test]
    fn every_count_and_length_has_its_limit() {
        let peer = Peer([2; 32]);
        let far = Candidate {
            peer,
            addresses: addresses(9),
        };
        let long = Refusal {
            reason: Reason::Full,
            text: Text::clean(&"x".repeat(201)),
        };
        for message in [
            Message::Position(Position {
                path: vec![peer; limits::DEPTH + 1],
                ..position(peer)
            }),
            Message::Attached(Attached {
                slot: Slot::Child,
                position: Position::default(),
            }),
            Message::Position(Position {
                siblings: vec![candidate(peer); 5],
                ..position(peer)
            }),
            Message::Position(Position {
                root: Some(far.clone()),
                ..position(peer)
            }),
            Message::Redirect(Redirect {
                candidates: vec![far.clone()],
                leaving: false,
            }),
            Message::Redirect(Redirect {
                candidates: vec![candidate(peer); 5],
                leaving: false,
            }),
            Message::Report(Report {
                offers: vec![offer(peer); 5],
                ..Report::default()
            }),
            Message::Report(Report {
                offers: vec![Offer {
                    candidate: far,
                    ..offer(peer)
                }],
                ..Report::default()
            }),
            Message::Refuse(long.clone()),
            Message::AttachRefused(long),
        ] {
            assert!(read_back(&message).is_err(), "{message:?}");
        }
    }

    #[test]
    fn bytes_left_over_are_refused() {
        for message in every_message() {
            let mut bytes = message.encode().expect("fits").to_vec();
            bytes.push(0);
            let len = u32::try_from(bytes.len() - 4).expect("small");
            bytes[..4].copy_from_slice(&len.to_be_bytes());
            let mut reader = FrameReader::default();
            reader.push(&bytes);
            let frame = reader.next_frame().expect("well-formed").expect("whole");
            assert!(
                matches!(Message::decode(&frame), Err(Malformed::LeftOver { .. })),
                "{message:?}"
            );
        }
    }

    #[test]
    fn truncated_messages_are_refused() {
        for message in every_message() {
            let frame = message.encode().expect("fits").slice(7..);
            let kind = u16::from_be_bytes([
                message.encode().expect("fits")[5],
                message.encode().expect("fits")[6],
            ]);
            for len in 0..frame.len() {
                let cut = Frame {
                    kind,
                    body: frame.slice(..len),
                };
                assert!(Message::decode(&cut).is_err(), "{message:?} cut at {len}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in 0u16..24, body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::decode(&Frame { kind, body: body.into() });
        }

        #[test]
        fn what_decodes_is_the_same_after_another_passage(
            which in 0usize..23,
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let bytes = every_message()[which].encode().expect("fits");
            let mut body = bytes[7..].to_vec();
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] ^= 1 << bit;
            }
            let kind = u16::from_be_bytes([bytes[5], bytes[6]]);
            if let Ok(Some(message)) = Message::decode(&Frame { kind, body: body.into() }) {
                prop_assert_eq!(read_back(&message), Ok(Some(message)));
            }
        }
    }

    #[test]
    fn a_batch_of_entries_is_bounded() {
        let key = PersonKey::from_seed(&[1; 32]);
        let genesis = Genesis::new(key.person(), "Poems", [0; 16]);
        let mut log = Log::new(Verified::sign(genesis, &key).expect("valid"));
        let mut entry = |title: &str| {
            let act = Act::Title {
                title: Text::clean(title),
            };
            let action = Action::new(log.room(), key.person(), log.head(), 0, &act);
            let action = Verified::sign(action, &key).expect("valid").signed().clone();
            let applied = log.append(action, &key, 0).expect("the host may");
            applied.entry.signed().clone()
        };
        let (mut entries, mut size) = (Vec::new(), 0);
        loop {
            let one = entry("title");
            size += Entry::size(&one);
            if size > limits::ENTRIES_BATCH {
                break;
            }
            entries.push(one);
        }
        let more = true;
        let full = Message::Entries(Entries { entries, more });
        assert_eq!(read_back(&full), Ok(Some(full.clone())));
        let Message::Entries(Entries { mut entries, .. }) = full else {
            unreachable!("a batch")
        };
        entries.push(entry("title"));
        let error = read_back(&Message::Entries(Entries { entries, more }));
        assert!(matches!(error, Err(Malformed::TooLong { .. })), "{error:?}");
    }
}
