//! Events: what a node and its rooms tell, one type for the library, for `--json` and for the local API.
//!
//! With [`Stamped`] around it, an event serialises as one JSON object: `{"event": …, "at_ms": …, …}`. The names are
//! a contract with programs outside: fields may be added, names stay. Values that are not known are `null`.

use std::{collections::BTreeMap, fmt::Display};

use majlis_protocol::{
    link::{Address, RoomLink},
    log::Role,
    person::{Peer, Person},
    reason::Reason,
    room::RoomId,
    tree::Why,
};
use serde::{Serialize, Serializer};

use crate::clock;

/// An event with the wall-clock time at which it was told.
#[derive(Debug, Clone, Serialize)]
pub struct Stamped {
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// Unix milliseconds by this machine's clock.
    pub at_ms: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// All sockets are bound. Each address can be given to `--bootstrap` as it is.
    Listening {
        /// This end of every link.
        #[serde(serialize_with = "shown")]
        peer: Peer,
        /// The person that acts through it.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// Where it can be reached, each ending in `/p2p/<peer>`.
        addresses: Vec<Address>,
    },
    /// A room of this node is open.
    Room {
        /// Its id.
        #[serde(serialize_with = "shown")]
        id: RoomId,
        /// What to pass on.
        #[serde(serialize_with = "shown")]
        link: RoomLink,
        /// What it is called.
        title: String,
    },
    /// A public room was found, or what is known of it changed.
    Listing(Listing),
    /// A public room that was to come was called off.
    Cancelled(Cancelled),
    /// What is planned of a room of this home.
    Scheduled(Scheduled),
    /// What a community node says to the record of a room of this home: whether it keeps it while this node is away.
    Kept {
        /// The room.
        #[serde(serialize_with = "shown")]
        id: RoomId,
        /// The community node.
        peer: String,
        /// Where it is reached, as this node reached it.
        address: Option<Address>,
        /// Whether it does.
        kept: bool,
        /// Why not, where it does not.
        reason: Option<String>,
    },
    /// The room that this node was to join is not open yet; it is joined once it is.
    Waiting {
        /// The room.
        #[serde(serialize_with = "shown")]
        id: RoomId,
        /// What it is called.
        title: String,
        /// Unix seconds at which it starts.
        starts: u64,
    },
    /// A listed room is gone.
    Unlisted {
        /// Its id.
        #[serde(serialize_with = "shown")]
        id: RoomId,
    },
    /// A room is being looked for, and has not been reached in a second.
    Seeking {
        /// The room.
        #[serde(serialize_with = "shown")]
        room: RoomId,
    },
    /// Somebody who may be in the room that is looked for was called and is not to be had; told once of each.
    NoAnswer {
        /// Whom.
        #[serde(serialize_with = "shown")]
        peer: Peer,
        /// Where they were called.
        addresses: Vec<String>,
        /// Why, for people.
        reason: String,
    },
    /// Nobody whom this node can ask has heard of the room that is looked for. It is looked for all the same.
    NobodyKnown {
        /// The room.
        #[serde(serialize_with = "shown")]
        room: RoomId,
    },
    /// This node is in a room.
    Joined {
        /// The room.
        #[serde(serialize_with = "shown")]
        room: RoomId,
        /// The person it is there as.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// What the room is called.
        title: String,
        /// In which role.
        role: RoleName,
        /// How many people are on the stage.
        on_stage: u32,
        /// From whom sound comes; `null` for the root.
        #[serde(serialize_with = "shown_or_null")]
        parent: Option<Peer>,
        /// Hops from the root.
        depth: u32,
        /// Milliseconds from the start of joining.
        join_ms: u64,
        /// Whether someone beside the parent vouches for the log (the chair itself, so far), and every signature in it was
        /// checked.
        confirmed: bool,
    },
    /// Every signature of a long log, which was taken in on the word of its chairs, is checked now.
    Verified {
        /// Its entries.
        entries: u32,
        /// Milliseconds from the start of joining.
        ms: u64,
    },
    /// The first media packet of another came off the network.
    FirstPacket {
        /// Milliseconds from the start of joining.
        ms: u64,
        /// Whose it was.
        #[serde(serialize_with = "shown")]
        speaker: Person,
        /// Its epoch.
        epoch: u32,
        /// Its sequence.
        seq: u32,
    },
    /// The first real frame of a speaker's epoch was handed to the output.
    FirstAudio {
        /// Milliseconds from the start of joining.
        ms: u64,
        /// Whose it was.
        #[serde(serialize_with = "shown")]
        speaker: Person,
        /// Its epoch.
        epoch: u32,
        /// Its sequence.
        seq: u32,
    },
    /// Sound comes from another peer now.
    Parent {
        /// From whom; `null` while there is none.
        #[serde(serialize_with = "shown_or_null")]
        peer: Option<Peer>,
        /// Hops from the root.
        depth: u32,
        /// Why.
        reason: ParentReason,
    },
    /// Another peer would step in for the parent now.
    Standby {
        /// Which; `null` while there is none.
        #[serde(serialize_with = "shown_or_null")]
        peer: Option<Peer>,
    },
    /// A peer takes sound from here, or no longer does.
    Child {
        /// Which.
        #[serde(serialize_with = "shown")]
        peer: Peer,
        /// Whether it came or went.
        added: bool,
    },
    /// A person has another role now.
    Role {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// Which role.
        role: RoleName,
    },
    /// An entry was applied to the log.
    Log {
        /// Its sequence.
        seq: u32,
        /// Its term.
        term: u32,
        /// When it was written: milliseconds since the room was opened, by the room's own clock.
        clock_ms: u64,
        /// The action's name.
        action: String,
        /// Who did it.
        #[serde(serialize_with = "shown")]
        author: Person,
        /// To whom.
        #[serde(serialize_with = "shown_or_null")]
        subject: Option<Person>,
        /// What the room is called from here on, for `title`.
        title: Option<String>,
        /// The link, for `pin` and `unpin`.
        link: Option<String>,
        /// The role that it gives.
        role: Option<RoleName>,
        /// How long a ban lasts; `null` for one without an end, and for every other action.
        lasts_ms: Option<u64>,
        /// Why, where the author said so.
        reason: Option<String>,
        /// Whether the chair took it over from a history that the room gave up.
        carried: bool,
    },
    /// An action was in the log and is no more: the room was in two parts, follows the other part's log now, and the
    /// action did not come back; or its author had never signed it.
    Lost {
        /// The action's name.
        action: String,
        /// Who did it.
        #[serde(serialize_with = "shown")]
        author: Person,
        /// To whom.
        #[serde(serialize_with = "shown_or_null")]
        subject: Option<Person>,
        /// Why it did not come back.
        reason: String,
    },
    /// A person came onto the stage or left it, whatever their role.
    Stage {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// Whether they are on it.
        on: bool,
    },
    /// A person on the stage was muted by another, or may be heard again once they open their microphone.
    Mute {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// Which.
        muted: bool,
    },
    /// A hand was raised or lowered.
    Hand {
        /// Whose.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// What that person is called.
        nick: String,
        /// Whether it is up.
        raised: bool,
    },
    /// A person on the stage opened their microphone, or closed it, as they say; or is heard though they say it is closed.
    Mic {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// Whether it is open.
        on: bool,
    },
    /// A banned person says something to those who keep order, of whom this one is.
    Appeal {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// The tag of the key.
        tag: String,
        /// What, cleaned.
        text: String,
    },
    /// People reacted, since the last of these.
    Reactions {
        /// How many of each sign; a claim of those who counted.
        counts: BTreeMap<&'static str, u32>,
    },
    /// Someone wrote a line in the room's chat.
    Chat {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// What that person is called.
        nick: String,
        /// The tag to show with it.
        tag: String,
        /// The line, cleaned.
        text: String,
    },
    /// The room is called something else.
    Title {
        /// What.
        title: String,
    },
    /// The host records the room from now on, or no more. Told of what is so on joining, too, if it is recorded.
    Recording {
        /// Whether it does.
        on: bool,
    },
    /// A recording that this node made is whole.
    Recorded {
        /// The folder with its files, one Ogg Opus file a speaker and the mix.
        folder: String,
    },
    /// The estimate of how many listen changed.
    Listeners {
        /// How many.
        listeners: u32,
    },
    /// Who writes the log.
    Chair {
        /// The person.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// In which term.
        term: u32,
    },
    /// The chair is gone, and nobody is there who could take it: the room is over until its host opens it again. What
    /// follows is `left`, as `unreachable`.
    Vacant,
    /// A person is proven to have told two stories as the chair, and has the chair no more, unless it is the host.
    Exposed {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
    },
    /// Where sound enters the tree.
    Root {
        /// The peer.
        #[serde(serialize_with = "shown")]
        peer: Peer,
    },
    /// What a person is called: those on the stage, and those whom an entry of the log names, where it is known.
    Profile {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// The nickname, cleaned.
        nick: String,
        /// The tag to show with it.
        tag: String,
    },
    /// The own microphone, file or tone was opened or closed. A microphone that cannot be opened is told as a warning.
    Microphone {
        /// Whether sound of ours goes out now.
        on: bool,
    },
    /// The input came to its end.
    InputEnded,
    /// How loud someone is, at most ten times a second a speaker.
    Level {
        /// Who.
        #[serde(serialize_with = "shown")]
        key: Person,
        /// In -dBov: 0 is loudest, 127 silence.
        level: u8,
    },
    /// Something went wrong that does not end the room.
    Warning {
        /// What, and what to do about it.
        text: String,
    },
    /// Each second.
    Stats(Stats),
    /// This node is no longer in the room.
    Left {
        /// Why.
        reason: LeftReason,
    },
    /// The last event of a room: its totals.
    Summary(Stats),
}

/// A room as the directory shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Its id.
    #[serde(serialize_with = "shown")]
    pub id: RoomId,
    /// What to join it by.
    #[serde(serialize_with = "shown")]
    pub link: RoomLink,
    /// What it is called now.
    pub title: String,
    /// Whose room it is.
    #[serde(serialize_with = "shown")]
    pub host: Person,
    /// Under which tags it is found.
    pub tags: Vec<String>,
    /// What it is about, as it was announced.
    pub description: String,
    /// BCP 47 language, or empty.
    pub language: String,
    /// Whether it is open.
    pub live: bool,
    /// Unix seconds at which it starts, for a room that is not open yet.
    pub starts: Option<u64>,
    /// A claim of its host.
    pub listeners: u32,
    /// Sequence of the newest log entry that it was announced with.
    pub revision: u32,
}

/// A room that was to come, and will not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cancelled {
    /// Its id.
    #[serde(serialize_with = "shown")]
    pub id: RoomId,
    /// What it was called.
    pub title: String,
    /// Whose room it was.
    #[serde(serialize_with = "shown")]
    pub host: Person,
    /// Under which tags it was found.
    pub tags: Vec<String>,
    /// Unix seconds at which it was to start.
    pub starts: u64,
    /// Why, where its host said so.
    pub reason: Option<String>,
}

/// What is planned of a room, as its host's home has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    /// Its id, before it opens and after.
    #[serde(serialize_with = "shown")]
    pub id: RoomId,
    /// What to pass on.
    #[serde(serialize_with = "shown")]
    pub link: RoomLink,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// BCP 47 language, or empty.
    pub language: String,
    /// Whose room it is.
    #[serde(serialize_with = "shown")]
    pub host: Person,
    /// Under which tags it is found.
    pub tags: Vec<String>,
    /// Unix seconds at which it starts.
    pub starts: u64,
    /// Sequence of the newest log entry: it grows with each change.
    pub revision: u32,
    /// How far it has come.
    pub state: PlanState,
    /// Why it was called off, where that was said.
    pub reason: Option<String>,
}

/// How far a room announced ahead has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PlanState {
    /// It is to be opened.
    Planned,
    /// It was to be opened more than an hour ago; nobody lists it any more.
    Missed,
    /// It has been opened.
    Opened,
    /// It has been opened, and ended by its host.
    Ended,
    /// It was called off.
    Cancelled,
}

/// What a node counted in a room since it joined.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Hops from the root.
    pub depth: u32,
    /// From whom sound comes.
    #[serde(serialize_with = "shown_or_null")]
    pub parent: Option<Peer>,
    /// Who would step in.
    #[serde(serialize_with = "shown_or_null")]
    pub standby: Option<Peer>,
    /// Peers that take sound from here.
    pub children: u32,
    /// Estimate of the people who listen in the whole room.
    pub listeners: u32,
    /// One a speaker.
    pub streams: Vec<StreamStats>,
    /// Media packets sent, each child counted.
    pub sent_packets: u64,
    /// Media packets that came as an answer to a pull.
    pub pulled_packets: u64,
    /// Media packets sent as the answer to another's pull.
    pub answered_packets: u64,
    /// Packets with a wrong signature.
    pub forged_dropped: u64,
    /// Packets from a link or for a stage stay that may not carry them, or for an unknown room alias.
    pub refused_dropped: u64,
    /// Packets of people who are muted, or were when they spoke.
    pub muted_dropped: u64,
    /// Packets that were too old.
    pub stale_dropped: u64,
    /// Packets that had come before.
    pub duplicate_dropped: u64,
    /// Packets beyond a budget or a full queue.
    pub overflow_dropped: u64,
    /// Packets and datagrams that are not what they should be.
    pub malformed_dropped: u64,
    /// Frames that this node's own input sent.
    pub sent_frames: u64,
    /// How often each of those is sent once more at present, since the room misses too many: 0 to 2.
    pub copies: u8,
    /// Times that this process itself was held up for over 40 ms.
    pub stalls: u64,
    /// Media packets pushed from here that the link emulator dropped on purpose, each receiver counted.
    #[cfg(feature = "testlink")]
    pub emulator_dropped: u64,
}

/// One speaker's sound as it was heard here: counts of 20 ms frames since the first one heard.
///
/// `expected = received + lost`; silence is not expected; `repaired` is part of `received`, `late` of `lost`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamStats {
    /// Whose sound.
    #[serde(serialize_with = "shown")]
    pub speaker: Person,
    /// Arrived in time.
    pub received: u64,
    /// Sent by the speaker, as far as known here.
    pub expected: u64,
    /// Did not arrive in time.
    pub lost: u64,
    /// Arrived in time, but by a pull.
    pub repaired: u64,
    /// Lost, but played from redundancy.
    pub fec: u64,
    /// Played without data.
    pub concealed: u64,
    /// Arrived after their time.
    pub late: u64,
    /// The longest time without this sound, concealment included, that has ended.
    pub longest_gap_ms: u64,
    /// From arrival to the output.
    pub delay_ms: u64,
}

/// A role as events spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RoleName(#[serde(serialize_with = "role_name")] pub Role);

/// Why sound comes from another peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ParentReason {
    /// The first place in the room.
    Attached,
    /// A place at whom another member named.
    Redirected,
    /// The parent before was lost, or served badly.
    Failover,
    /// The new one is nearer to the root.
    Better,
    /// The parent before left the room.
    Left,
    /// Sound enters the tree elsewhere now.
    RootMoved,
}

/// Why a node is no longer in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LeftReason {
    /// The host ended the room.
    Ended,
    /// `--duration` is over.
    Duration,
    /// The person left, or the program was told to stop.
    Interrupted,
    /// Nobody of the room could be reached any more.
    Unreachable,
    /// A host, co-host or moderator put this person out; it may come back in a minute.
    Kicked,
    /// A host, co-host or moderator keeps this person out.
    Banned,
    /// The room did not let this node in.
    Refused,
}

impl From<Why> for ParentReason {
    fn from(why: Why) -> Self {
        match why {
            Why::Attached => Self::Attached,
            Why::Redirected => Self::Redirected,
            Why::Better => Self::Better,
            Why::Left => Self::Left,
            Why::RootMoved => Self::RootMoved,
            _ => Self::Failover,
        }
    }
}

/// Of a refusal that keeps a node out of a room, or ends its stay.
impl From<Reason> for LeftReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Kicked => Self::Kicked,
            Reason::Banned => Self::Banned,
            _ => Self::Refused,
        }
    }
}

impl Stamped {
    /// Stamps an event with the time of this machine's clock.
    #[must_use]
    pub fn now(event: Event) -> Self {
        Self {
            event,
            at_ms: clock::unix_millis(),
        }
    }
}

pub(crate) fn shown<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn shown_or_null<T: Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn role_name<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.as_str())
}
