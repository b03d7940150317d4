//! The local API: how other programs of the same user see and steer the node that runs in a home.
//!
//! HTTP on 127.0.0.1, on a port of the system's choice, with a token that is new at every start; both stand in the
//! home ([`crate::home::ApiAccess`]). It depends on [`Node`] and [`RoomHandle`] alone.
//!
//! Every answer is JSON; an error is `{"error": text}` that says what to do.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/info` | `{peer, key, nick, tag, addresses[], rooms[]}` |
//! | `GET /v1/rooms?tag=T` | `{listings: […]}`, the rooms this node knows of |
//! | `GET /v1/room/{id}` | the room as [`crate::room::RoomInfo`] |
//! | `GET /v1/room/{id}/audience?page=N` | who listens, as [`crate::room::AudiencePage`]; the first page is 1 |
//! | `GET /v1/room/{id}/tree` | the relay tree as [`crate::room::TreeInfo`] |
//! | `POST /v1/room/{id}/act` with an [`Act`] | `{seq}`, once it is in this node's log, or `{place}` of a hand or `{}` for a line of chat and a lowered hand once the chair has it, and for a reaction at once; 409 with the chair's reason |
//! | `POST /v1/room/{id}/mic` with a [`Mic`] | `{on}` |
//! | `POST /v1/room/{id}/volume` with a [`Volume`] | `{key, percent}`: how loud that person is here |
//! | `GET /v1/events` | a WebSocket of the events of `--json`, those of a room with its id as `room` |
//!
//! [`Node`]: crate::node::Node
//! [`RoomHandle`]: crate::room::RoomHandle

mod client;
mod events;
mod guard;
mod keys;
mod routes;
mod server;

use serde::{Deserialize, Serialize};

pub use client::{Client, ClientError};
pub use keys::KeyError;
pub use server::{ApiError, Server};

/// What to do in a room. A key is a person's whole key, or its `nick#tag` where only one person there has it, or the
/// place of a raised hand in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Act {
    /// Calls the room otherwise.
    Title {
        /// How.
        title: String,
    },
    /// Invites a person to the stage.
    Invite {
        /// Whom.
        key: String,
    },
    /// Accepts an invitation.
    Accept,
    /// Declines an invitation.
    Decline,
    /// Goes back to the audience.
    LeaveStage,
    /// Moves a person back to the audience.
    Move {
        /// Whom.
        key: String,
    },
    /// Ends the room for everyone.
    End,
    /// Says who takes the chair when it is silent.
    Line {
        /// Whom, in this order.
        keys: Vec<String>,
    },
    /// Makes a person a moderator or a co-host.
    Grant {
        /// Whom.
        key: String,
        /// What.
        role: Office,
    },
    /// Takes that role back.
    Revoke {
        /// Whose.
        key: String,
        /// Why; may be left out, as everywhere.
        #[serde(default)]
        reason: String,
    },
    /// Silences a person on the stage.
    Mute {
        /// Whom.
        key: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Lifts that.
    Unmute {
        /// Whose.
        key: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Puts a person out of the room.
    Kick {
        /// Whom.
        key: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Puts a person out and keeps them out.
    Ban {
        /// Whom.
        key: String,
        /// For how many seconds; none: until it is lifted.
        #[serde(default)]
        seconds: Option<u64>,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Raises this person's hand, or lowers it; the answer has `place` instead of `seq`, 0 for nowhere.
    Hand {
        /// Whether it is to be up.
        raised: bool,
    },
    /// Lowers the hand of another; the answer has no `seq`.
    LowerHand {
        /// Whose.
        key: String,
    },
    /// Says who may raise a hand.
    Hands {
        /// Who.
        who: HandPolicy,
    },
    /// Writes a line in the room's chat; the answer has no `seq`.
    Chat {
        /// The line, 1 to 400 bytes after cleaning.
        text: String,
    },
    /// Reacts; the answer has no `seq`.
    React {
        /// The sign, or the word for it.
        reaction: String,
    },
    /// Says who may write in the chat.
    ChatPolicy {
        /// Who.
        who: ChatFor,
    },
    /// Says how far apart the lines of one person must lie.
    SlowMode {
        /// In seconds, at most an hour; 0 for no slow mode.
        seconds: u16,
    },
    /// Says for how long a speaker without an office stays on the stage.
    SpeakingTime {
        /// In seconds, 10 to 36,000; 0 for as long as they like.
        seconds: u16,
    },
    /// Records the room, in this node's home, or no more. For the host.
    Record {
        /// Whether it is to be recorded.
        on: bool,
    },
    /// Pins a link for everyone to see.
    Pin {
        /// The link: of https, http or majlis, at most 512 bytes.
        link: String,
    },
    /// Takes it off again.
    Unpin {
        /// The link.
        link: String,
    },
    /// Lets in nobody who was not in the room before.
    Lock,
    /// Lets in everyone again.
    Unlock,
    /// Puts a person on the guest list, or takes them off it.
    Guest {
        /// Whom.
        key: String,
        /// Whether they stand on it.
        listed: bool,
    },
    /// Says what the guest list is for.
    GuestList {
        /// What.
        list: ForGuests,
    },
    /// Says how many people the stage takes.
    Speakers {
        /// How many, 1 to 32.
        most: u8,
    },
    /// Lets a person in again.
    Unban {
        /// Whom.
        key: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
}

/// Who may raise a hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandPolicy {
    /// Everyone in the audience.
    Anyone,
    /// Nobody; those that are up go down.
    Nobody,
}

/// Who may write in the chat, beside those who keep order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChatFor {
    /// Everyone.
    Anyone,
    /// The people on the stage.
    Stage,
    /// Nobody else.
    Nobody,
}

/// What a guest list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForGuests {
    /// Nothing.
    Off,
    /// Only listed people come in.
    Enter,
    /// Only listed people come onto the stage.
    Speak,
}

/// A role that can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Office {
    /// Keeps order.
    Moderator,
    /// Does what the host does, but end the room.
    CoHost,
}

/// Makes a person louder or softer here, in every room of this node and from now on, or asks how loud they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Whom.
    pub key: String,
    /// How loud, in percent: 0 mutes them here, at most [`crate::home::MOST_VOLUME`]; none: as it is.
    #[serde(default)]
    pub percent: Option<u16>,
}

/// Opens or closes this node's own microphone, file or tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mic {
    /// Whether sound goes out.
    pub on: bool,
}
