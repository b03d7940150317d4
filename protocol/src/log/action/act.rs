//! What the actions that this version knows mean.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::{
    log::{permissions::Role, plan::Plan, rules::GuestList},
    person::Person,
    room::{Chat, Hands},
    text::Text,
};

use super::kind;

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// The room has a new title, 1 to 200 bytes.
    Title {
        /// The title.
        title: Text,
    },
    /// A listener is invited to the stage.
    Invite {
        /// Who is invited.
        subject: Person,
    },
    /// The author takes an invitation and is on the stage.
    Accept {
        /// Hash of the entry that invites.
        invite: [u8; 32],
    },
    /// The author turns an invitation down.
    Decline {
        /// Hash of the entry that invites.
        invite: [u8; 32],
    },
    /// A person leaves the stage for the audience, or is not invited any more.
    Move {
        /// Who.
        subject: Person,
    },
    /// The room is over.
    End,
    /// A person helps to keep order from now on.
    Grant {
        /// Who.
        subject: Person,
        /// As what: a moderator or a co-host.
        role: Role,
    },
    /// A person is a moderator or co-host no longer.
    Revoke {
        /// Who.
        subject: Person,
        /// Why; may be empty.
        reason: Text,
    },
    /// Nobody passes on what a person says, until that is lifted by someone who may.
    Mute {
        /// Who.
        subject: Person,
        /// Why; may be empty.
        reason: Text,
    },
    /// A muted person may be heard again, once they open their microphone.
    Unmute {
        /// Who.
        subject: Person,
        /// Why; may be empty.
        reason: Text,
    },
    /// A person is put out of the room, loses every role, and may come back as a listener after
    /// [`KICK_MS`](crate::limits::KICK_MS).
    Kick {
        /// Who.
        subject: Person,
        /// Why; may be empty.
        reason: Text,
    },
    /// A person is put out of the room and kept out.
    Ban {
        /// Who.
        subject: Person,
        /// For how long from this entry, in milliseconds of room clock, at least 1; none: until it is lifted.
        lasts_ms: Option<u64>,
        /// Why; may be empty.
        reason: Text,
    },
    /// A person who was kicked or banned may come in again.
    Unban {
        /// Who.
        subject: Person,
        /// Why; may be empty.
        reason: Text,
    },
    /// Who takes the chair when it is silent, in this order: at most [`OFFICERS`](crate::limits::OFFICERS) people, of whom those count
    /// who are co-hosts then. Without one, co-hosts do in the order in which they were made.
    Line {
        /// Whom, the first one first.
        people: Vec<Person>,
    },
    /// The author takes the chair, and opens a term.
    Chair {
        /// Nobody was there whom its author knew of: a history of which this is all gives way to any other.
        alone: bool,
    },
    /// The chair takes over what a moderator did in a history that was given up: a mute, a kick, a ban, or an office
    /// taken back. Its author answers for it, not the chair.
    Carried {
        /// The `signed Action`, whole.
        action: Bytes,
    },
    /// A chair has signed another entry at a place where this log holds one of its own, of the same term.
    Exposed {
        /// The other `signed Entry`, whole.
        entry: Bytes,
    },
    /// Who may raise a hand from now on.
    Hands {
        /// Who.
        who: Hands,
    },
    /// Nobody comes in who was not in the room before; who is in it stays.
    Lock,
    /// Everyone may come in again.
    Unlock,
    /// A person stands on the guest list.
    Guest {
        /// Who.
        subject: Person,
    },
    /// A person stands on it no more.
    Unguest {
        /// Who.
        subject: Person,
    },
    /// What the guest list is for from now on. Who is in the room or on the stage stays there.
    GuestList {
        /// What.
        list: GuestList,
    },
    /// How many people the stage takes from now on, 1 to [`STAGE`](crate::limits::STAGE). Who is on it stays.
    Speakers {
        /// How many, the host included.
        most: u8,
    },
    /// Something else is planned of a room that is not open yet.
    Schedule {
        /// What, in the place of all that was planned before.
        plan: Plan,
    },
    /// The room is called off before it has opened, and thereby over.
    Cancel {
        /// The start that it had, in Unix seconds.
        starts: u64,
        /// Why; may be empty.
        reason: Text,
    },
    /// Who may write in the chat from now on.
    Chat {
        /// Who.
        who: Chat,
    },
    /// How far apart the lines of one person must lie in the chat from now on.
    SlowMode {
        /// In seconds, at most [`SLOW_MODE_S`](crate::limits::SLOW_MODE_S); 0 for no farther than ever.
        seconds: u16,
    },
    /// For how long a speaker without an office stays on the stage from now on; the chair then moves them to the audience.
    SpeakingTime {
        /// In seconds, within [`SPEAKING_TIME_S`](crate::limits::SPEAKING_TIME_S); 0 for no limit.
        seconds: u16,
    },
    /// The host records the room from now on, or no more.
    Record {
        /// Whether it does.
        on: bool,
    },
    /// A link is pinned: 1 to [`PIN`](crate::limits::PIN) bytes that begin with `https://`, `http://` or `majlis:`, without spaces.
    Pin {
        /// The link.
        link: Text,
    },
    /// A link is pinned no more.
    Unpin {
        /// The link.
        link: Text,
    },
    /// A kind that this version does not know. Show it; stop at it if it is critical.
    Unknown {
        /// Its number.
        kind: u16,
        /// Its body, unread.
        body: Bytes,
    },
}

impl Act {
    /// Its number on the wire.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self {
            Self::Title { .. } => kind::TITLE,
            Self::Invite { .. } => kind::INVITE,
            Self::Accept { .. } => kind::ACCEPT,
            Self::Decline { .. } => kind::DECLINE,
            Self::Move { .. } => kind::MOVE,
            Self::End => kind::END,
            Self::Grant { .. } => kind::GRANT,
            Self::Revoke { .. } => kind::REVOKE,
            Self::Mute { .. } => kind::MUTE,
            Self::Unmute { .. } => kind::UNMUTE,
            Self::Kick { .. } => kind::KICK,
            Self::Ban { .. } => kind::BAN,
            Self::Unban { .. } => kind::UNBAN,
            Self::Line { .. } => kind::LINE,
            Self::Chair { .. } => kind::CHAIR,
            Self::Carried { .. } => kind::CARRIED,
            Self::Exposed { .. } => kind::EXPOSED,
            Self::Hands { .. } => kind::HANDS,
            Self::Lock => kind::LOCK,
            Self::Unlock => kind::UNLOCK,
            Self::Guest { .. } => kind::GUEST,
            Self::Unguest { .. } => kind::UNGUEST,
            Self::GuestList { .. } => kind::GUEST_LIST,
            Self::Speakers { .. } => kind::SPEAKERS,
            Self::Schedule { .. } => kind::SCHEDULE,
            Self::Cancel { .. } => kind::CANCEL,
            Self::Chat { .. } => kind::CHAT,
            Self::SlowMode { .. } => kind::SLOW_MODE,
            Self::SpeakingTime { .. } => kind::SPEAKING_TIME,
            Self::Record { .. } => kind::RECORD,
            Self::Pin { .. } => kind::PIN,
            Self::Unpin { .. } => kind::UNPIN,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// Its name in events and listings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Title { .. } => "title",
            Self::Invite { .. } => "invite",
            Self::Accept { .. } => "accept",
            Self::Decline { .. } => "decline",
            Self::Move { .. } => "move",
            Self::End => "end",
            Self::Grant { .. } => "grant",
            Self::Revoke { .. } => "revoke",
            Self::Mute { .. } => "mute",
            Self::Unmute { .. } => "unmute",
            Self::Kick { .. } => "kick",
            Self::Ban { .. } => "ban",
            Self::Unban { .. } => "unban",
            Self::Line { .. } => "line",
            Self::Chair { .. } => "chair",
            Self::Carried { .. } => "carried",
            Self::Exposed { .. } => "exposed",
            Self::Hands { .. } => "hands",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Guest { .. } => "guest",
            Self::Unguest { .. } => "unguest",
            Self::GuestList { .. } => "guest-list",
            Self::Speakers { .. } => "speakers",
            Self::Schedule { .. } => "schedule",
            Self::Cancel { .. } => "cancel",
            Self::Chat { .. } => "chat",
            Self::SlowMode { .. } => "slow-mode",
            Self::SpeakingTime { .. } => "speaking-time",
            Self::Record { on: true } => "record",
            Self::Record { on: false } => "record-off",
            Self::Pin { .. } => "pin",
            Self::Unpin { .. } => "unpin",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The person whom it changes when `author` does it; `None` when it is about the room.
    #[must_use]
    pub fn subject(&self, author: Person) -> Option<Person> {
        match self {
            Self::Invite { subject }
            | Self::Move { subject }
            | Self::Grant { subject, .. }
            | Self::Revoke { subject, .. }
            | Self::Mute { subject, .. }
            | Self::Unmute { subject, .. }
            | Self::Kick { subject, .. }
            | Self::Ban { subject, .. }
            | Self::Unban { subject, .. }
            | Self::Guest { subject }
            | Self::Unguest { subject } => Some(*subject),
            Self::Accept { .. } | Self::Decline { .. } => Some(author),
            Self::Title { .. }
            | Self::End
            | Self::Line { .. }
            | Self::Chair { .. }
            | Self::Carried { .. }
            | Self::Exposed { .. }
            | Self::Hands { .. }
            | Self::Lock
            | Self::Unlock
            | Self::GuestList { .. }
            | Self::Speakers { .. }
            | Self::Schedule { .. }
            | Self::Cancel { .. }
            | Self::Chat { .. }
            | Self::SlowMode { .. }
            | Self::SpeakingTime { .. }
            | Self::Pin { .. }
            | Self::Unpin { .. }
            | Self::Record { .. }
            | Self::Unknown { .. } => None,
        }
    }

    /// Whether it takes something from a person: what a history that wins takes over from one that is given up.
    #[must_use]
    pub fn restricts(&self) -> bool {
        matches!(
            self,
            Self::Mute { .. } | Self::Kick { .. } | Self::Ban { .. } | Self::Revoke { .. }
        )
    }

    /// The role that it gives.
    #[must_use]
    pub fn granted(&self) -> Option<Role> {
        match self {
            Self::Grant { role, .. } => Some(*role),
            _ => None,
        }
    }

    /// How long it holds, in milliseconds; none for a ban without an end, and for everything else.
    #[must_use]
    pub fn lasts_ms(&self) -> Option<u64> {
        match self {
            Self::Ban { lasts_ms, .. } => *lasts_ms,
            _ => None,
        }
    }

    /// What the room is called by it.
    #[must_use]
    pub fn title(&self) -> Option<&Text> {
        match self {
            Self::Title { title } => Some(title),
            _ => None,
        }
    }

    /// The link that it pins, or takes off again.
    #[must_use]
    pub fn link(&self) -> Option<&Text> {
        match self {
            Self::Pin { link } | Self::Unpin { link } => Some(link),
            _ => None,
        }
    }

    /// Why it was done, where its author said so.
    #[must_use]
    pub fn reason(&self) -> Option<&Text> {
        match self {
            Self::Revoke { reason, .. }
            | Self::Mute { reason, .. }
            | Self::Unmute { reason, .. }
            | Self::Kick { reason, .. }
            | Self::Ban { reason, .. }
            | Self::Unban { reason, .. }
            | Self::Cancel { reason, .. } => Some(reason).filter(|reason| !reason.is_empty()),
            _ => None,
        }
    }
}
