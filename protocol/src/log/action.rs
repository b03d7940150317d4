//! Actions: what a person asks of a room, signed (SPEC.md section 7).
//!
//! An [`Action`] is the signed structure with a numbered kind and an opaque body; an [`Act`] is what the body means.
//! Kinds of later versions stay readable as [`Act::Unknown`]; whether they may be passed over is bit 15 of the kind.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    domain, limits,
    log::{permissions::Role, plan::Plan, rules::GuestList},
    person::Person,
    room::{Chat, Hands, RoomId, at_most},
    signed::{self, Malformed, Signed, Statement, VERSION},
    text::Text,
};

/// Bit 15 of a kind: a program that does not know it cannot follow the log any further.
pub const CRITICAL: u16 = 0x8000;

/// The numbers of the acts that this version knows.
pub mod kind {
    /// Gives the room a new title.
    pub const TITLE: u16 = 0x8001;
    /// Invites a listener to the stage.
    pub const INVITE: u16 = 0x8002;
    /// Takes an invitation: the author is on the stage from this entry.
    pub const ACCEPT: u16 = 0x8003;
    /// Turns an invitation down.
    pub const DECLINE: u16 = 0x8004;
    /// Brings a person from the stage to the audience, or withdraws an invitation.
    pub const MOVE: u16 = 0x8005;
    /// Ends the room for good.
    pub const END: u16 = 0x8006;
    /// Makes a person a moderator or a co-host.
    pub const GRANT: u16 = 0x8007;
    /// Takes that role away again.
    pub const REVOKE: u16 = 0x8008;
    /// Silences a person on the stage until a moderator lifts it.
    pub const MUTE: u16 = 0x8009;
    /// Lifts that.
    pub const UNMUTE: u16 = 0x800a;
    /// Puts a person out of the room, who may come back as a listener after a minute.
    pub const KICK: u16 = 0x800b;
    /// Keeps a person out of the room, for a time or for good.
    pub const BAN: u16 = 0x800c;
    /// Lets them in again.
    pub const UNBAN: u16 = 0x800d;
    /// Says in which order co-hosts take the chair when it is silent.
    pub const LINE: u16 = 0x8030;
    /// Opens a term: its author is the chair from this entry.
    pub const CHAIR: u16 = 0x8031;
    /// Takes over an act of moderation from a history that was given up.
    pub const CARRIED: u16 = 0x8032;
    /// Proves that a chair told two stories.
    pub const EXPOSED: u16 = 0x8033;
    /// Says who may raise a hand.
    pub const HANDS: u16 = 0x800e;
    /// Lets in nobody who was not in the room before.
    pub const LOCK: u16 = 0x800f;
    /// Lets in everyone again.
    pub const UNLOCK: u16 = 0x8010;
    /// Puts a person on the guest list.
    pub const GUEST: u16 = 0x8011;
    /// Takes a person off it.
    pub const UNGUEST: u16 = 0x8012;
    /// Says what the guest list is for.
    pub const GUEST_LIST: u16 = 0x8013;
    /// Says how many people the stage takes.
    pub const SPEAKERS: u16 = 0x8014;
    /// Plans a room that is not open yet for another time, or describes it anew.
    pub const SCHEDULE: u16 = 0x8020;
    /// Calls a room off before it has opened.
    pub const CANCEL: u16 = 0x8021;
    /// Says who may write in the chat.
    pub const CHAT: u16 = 0x8015;
    /// Says how far apart the lines of one person must lie in the chat.
    pub const SLOW_MODE: u16 = 0x8016;
    /// Says for how long a speaker stays on the stage.
    pub const SPEAKING_TIME: u16 = 0x8017;
    /// Says whether the host records the room.
    pub const RECORD: u16 = 0x8018;
    /// Pins a link for everyone to see.
    pub const PIN: u16 = 0x0040;
    /// Takes it off again.
    pub const UNPIN: u16 = 0x0042;
}

/// A place in a log: the newest entry, and thereby all before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Its sequence; 0 is the genesis.
    pub sequence: u32,
    /// Its hash; the room id for the genesis.
    pub hash: [u8; 32],
}

/// The hash that identifies an action, under which a room applies it once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId(pub [u8; 32]);

/// A signed request to change a room. [`Act::decode`] says what its body means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Always 1.
    pub version: u8,
    /// The room it is for.
    pub room: RoomId,
    /// Who asks, and signs.
    pub author: Person,
    /// The head that the author knew: what the request was an answer to.
    pub known: Head,
    /// Room clock in milliseconds after which it is not applied any more.
    pub expires: u64,
    /// What it is; from 0x8000 critical.
    pub kind: u16,
    /// Postcard of the kind's structure.
    pub body: Bytes,
}

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
    /// [`limits::KICK_MS`].
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
    /// Who takes the chair when it is silent, in this order: at most [`limits::OFFICERS`] people, of whom those count
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
    /// How many people the stage takes from now on, 1 to [`limits::STAGE`]. Who is on it stays.
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
        /// In seconds, at most [`limits::SLOW_MODE_S`]; 0 for no farther than ever.
        seconds: u16,
    },
    /// For how long a speaker without an office stays on the stage from now on; the chair then moves them to the audience.
    SpeakingTime {
        /// In seconds, within [`limits::SPEAKING_TIME_S`]; 0 for no limit.
        seconds: u16,
    },
    /// The host records the room from now on, or no more.
    Record {
        /// Whether it does.
        on: bool,
    },
    /// A link is pinned: 1 to [`limits::PIN`] bytes that begin with `https://`, `http://` or `majlis:`, without spaces.
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

impl Head {
    /// The head of a log that holds only its genesis.
    #[must_use]
    pub fn genesis(room: RoomId) -> Self {
        Self {
            sequence: 0,
            hash: room.0,
        }
    }
}

impl ActionId {
    /// The id of an action as it came, believed or not.
    #[must_use]
    pub fn of(action: &Signed<Action>) -> Self {
        Self(
            Sha256::new()
                .chain_update(domain::ACTION_ID)
                .chain_update(action.payload())
                .finalize()
                .into(),
        )
    }
}

impl Action {
    /// An action made at `clock_ms` of the room clock, for its author to sign.
    #[must_use]
    pub fn new(room: RoomId, author: Person, known: Head, clock_ms: u64, act: &Act) -> Self {
        Self {
            version: VERSION,
            room,
            author,
            known,
            expires: clock_ms.saturating_add(limits::ACTION_LIFETIME_MS),
            kind: act.kind(),
            body: act.encode(),
        }
    }

    /// What it does.
    ///
    /// # Errors
    /// [`Malformed`] when the body of a known kind does not decode or breaks a limit.
    pub fn act(&self) -> Result<Act, Malformed> {
        Act::decode(self.kind, &self.body)
    }
}

impl Statement for Action {
    const DOMAIN: &'static [u8] = domain::ACTION;
    const MAX: usize = limits::ACTION;
    const NAME: &'static str = "action";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.author
    }

    /// The body is judged by [`Act::decode`], since its kind may be unknown here.
    fn validate(&self) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Act {
    /// Reads the body of an action of this kind.
    ///
    /// # Errors
    /// [`Malformed`] when the body of a known kind does not decode, has bytes left over or breaks a limit.
    pub fn decode(kind: u16, body: &Bytes) -> Result<Self, Malformed> {
        Ok(match kind {
            kind::TITLE => {
                let title: Text = signed::decode(body, "title")?;
                if title.is_empty() {
                    return Err(Malformed::Invalid {
                        what: "an empty title",
                    });
                }
                at_most("title", title.len(), limits::TITLE)?;
                Self::Title { title }
            }
            kind::INVITE => Self::Invite {
                subject: field(body, "invite")?,
            },
            kind::ACCEPT => Self::Accept {
                invite: field(body, "accept")?,
            },
            kind::DECLINE => Self::Decline {
                invite: field(body, "decline")?,
            },
            kind::MOVE => Self::Move {
                subject: field(body, "move")?,
            },
            kind::END => empty(body, "end").map(|()| Self::End)?,
            kind::GRANT => {
                let (subject, role): (Person, u8) = field(body, "grant")?;
                let role = granted(role).ok_or(Malformed::Invalid {
                    what: "a role that is not granted",
                })?;
                Self::Grant { subject, role }
            }
            kind::REVOKE | kind::MUTE | kind::UNMUTE | kind::KICK | kind::UNBAN => {
                let (subject, reason) = field(body, "act of moderation")?;
                Self::moderation(kind, subject, checked(reason)?)
            }
            kind::BAN => {
                let (subject, lasts_ms, reason): (_, Option<u64>, _) = field(body, "ban")?;
                if lasts_ms == Some(0) {
                    return Err(Malformed::Invalid {
                        what: "a ban of no time",
                    });
                }
                let reason = checked(reason)?;
                Self::Ban {
                    subject,
                    lasts_ms,
                    reason,
                }
            }
            kind::LINE => {
                let people: Vec<Person> = field(body, "line")?;
                if people.len() > limits::OFFICERS {
                    return Err(Malformed::TooMany {
                        what: "people in the line",
                        max: limits::OFFICERS,
                    });
                }
                Self::Line { people }
            }
            kind::CHAIR => Self::Chair {
                alone: field(body, "chair")?,
            },
            kind::CARRIED => Self::Carried { action: body.clone() },
            kind::EXPOSED => Self::Exposed { entry: body.clone() },
            kind::HANDS => Self::Hands {
                who: field(body, "hands")?,
            },
            kind::LOCK => empty(body, "lock").map(|()| Self::Lock)?,
            kind::UNLOCK => empty(body, "unlock").map(|()| Self::Unlock)?,
            kind::GUEST => Self::Guest {
                subject: field(body, "guest")?,
            },
            kind::UNGUEST => Self::Unguest {
                subject: field(body, "guest")?,
            },
            kind::GUEST_LIST => Self::GuestList {
                list: field(body, "guest list")?,
            },
            kind::SPEAKERS => {
                let most: u8 = field(body, "speakers")?;
                if most == 0 || usize::from(most) > limits::STAGE {
                    return Err(Malformed::Invalid {
                        what: "a number of speakers",
                    });
                }
                Self::Speakers { most }
            }
            kind::SCHEDULE => {
                let plan: Plan = field(body, "schedule")?;
                Self::Schedule {
                    plan: plan.checked()?,
                }
            }
            kind::CANCEL => {
                let (starts, reason) = field(body, "cancel")?;
                let reason = checked(reason)?;
                Self::Cancel { starts, reason }
            }
            kind::CHAT => Self::Chat {
                who: field(body, "chat")?,
            },
            kind::SLOW_MODE => {
                let seconds: u16 = field(body, "slow mode")?;
                if seconds > limits::SLOW_MODE_S {
                    return Err(Malformed::Invalid {
                        what: "a slow mode beyond an hour",
                    });
                }
                Self::SlowMode { seconds }
            }
            kind::SPEAKING_TIME => {
                let seconds: u16 = field(body, "speaking time")?;
                if seconds != 0 && !limits::SPEAKING_TIME_S.contains(&seconds) {
                    return Err(Malformed::Invalid {
                        what: "a speaking time",
                    });
                }
                Self::SpeakingTime { seconds }
            }
            kind::RECORD => Self::Record {
                on: field(body, "recording")?,
            },
            kind::PIN => Self::Pin { link: link(body)? },
            kind::UNPIN => Self::Unpin { link: link(body)? },
            kind => Self::Unknown {
                kind,
                body: body.clone(),
            },
        })
    }

    /// The acts that name a person and a reason, and nothing else.
    fn moderation(kind: u16, subject: Person, reason: Text) -> Self {
        match kind {
            kind::REVOKE => Self::Revoke { subject, reason },
            kind::MUTE => Self::Mute { subject, reason },
            kind::UNMUTE => Self::Unmute { subject, reason },
            kind::KICK => Self::Kick { subject, reason },
            _ => Self::Unban { subject, reason },
        }
    }

    /// The body that [`Act::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Title { title } => signed::encode(title),
            Self::Invite { subject } | Self::Move { subject } => signed::encode(subject),
            Self::Accept { invite } | Self::Decline { invite } => signed::encode(invite),
            Self::End | Self::Lock | Self::Unlock => Bytes::new(),
            Self::Chair { alone } => signed::encode(alone),
            Self::Line { people } => signed::encode(people),
            Self::Carried { action } => action.clone(),
            Self::Exposed { entry } => entry.clone(),
            Self::Guest { subject } | Self::Unguest { subject } => signed::encode(subject),
            Self::GuestList { list } => signed::encode(list),
            Self::Speakers { most } => signed::encode(most),
            Self::Chat { who } => signed::encode(who),
            Self::SlowMode { seconds } | Self::SpeakingTime { seconds } => signed::encode(seconds),
            Self::Record { on } => signed::encode(on),
            Self::Pin { link } | Self::Unpin { link } => signed::encode(link),
            Self::Grant { subject, role } => signed::encode(&(subject, number(*role))),
            Self::Revoke { subject, reason }
            | Self::Mute { subject, reason }
            | Self::Unmute { subject, reason }
            | Self::Kick { subject, reason }
            | Self::Unban { subject, reason } => signed::encode(&(subject, reason)),
            Self::Ban {
                subject,
                lasts_ms,
                reason,
            } => signed::encode(&(subject, lasts_ms, reason)),
            Self::Hands { who } => signed::encode(who),
            Self::Schedule { plan } => signed::encode(plan),
            Self::Cancel { starts, reason } => signed::encode(&(starts, reason)),
            Self::Unknown { body, .. } => body.clone(),
        }
    }

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

/// The role that a number in a `grant` stands for. Listeners and speakers need no grant, and there is one host.
fn granted(number: u8) -> Option<Role> {
    match number {
        1 => Some(Role::Moderator),
        2 => Some(Role::CoHost),
        _ => None,
    }
}

/// The number of a role in a `grant`; 0, which nobody reads, for one that is not granted.
fn number(role: Role) -> u8 {
    match role {
        Role::Moderator => 1,
        Role::CoHost => 2,
        _ => 0,
    }
}

/// The body of a kind that has none.
fn empty(body: &Bytes, what: &'static str) -> Result<(), Malformed> {
    if body.is_empty() {
        return Ok(());
    }
    Err(Malformed::LeftOver {
        what,
        count: body.len(),
    })
}

/// A link that people may follow: of a kind that opens nothing but a page or a room.
fn link(body: &Bytes) -> Result<Text, Malformed> {
    let link: Text = field(body, "link")?;
    at_most("link", link.len(), limits::PIN)?;
    if is_link(link.as_str()) {
        Ok(link)
    } else {
        Err(Malformed::Invalid { what: "a link" })
    }
}

/// Whether a text is a link that may be pinned.
#[must_use]
pub fn is_link(text: &str) -> bool {
    let schemes = ["https://", "http://", "majlis:"];
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty()) && !text.contains(char::is_whitespace)
}

/// A reason that fits its limit.
fn checked(reason: Text) -> Result<Text, Malformed> {
    at_most("reason", reason.len(), limits::REASON)?;
    Ok(reason)
}

/// Reads a body.
fn field<T: DeserializeOwned>(body: &[u8], what: &'static str) -> Result<T, Malformed> {
    signed::decode(body, what)
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Head({} {}…)",
            self.sequence,
            data_encoding::HEXLOWER.encode(&self.hash[..4])
        )
    }
}

impl fmt::Debug for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActionId({}…)", data_encoding::HEXLOWER.encode(&self.0[..8]))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec};

    use super::*;

    fn refused(kind: u16, body: &[u8]) -> Malformed {
        Act::decode(kind, &Bytes::copy_from_slice(body)).expect_err("malformed")
    }

    #[test]
    fn every_act_reads_back_from_its_body() {
        for act in [
            Act::Title {
                title: Text::clean("مجلس الجيران"),
            },
            Act::Invite {
                subject: Person([1; 32]),
            },
            Act::Accept { invite: [2; 32] },
            Act::Decline { invite: [3; 32] },
            Act::Move {
                subject: Person([4; 32]),
            },
            Act::End,
            Act::Grant {
                subject: Person([5; 32]),
                role: Role::CoHost,
            },
            Act::Revoke {
                subject: Person([5; 32]),
                reason: Text::clean(""),
            },
            Act::Schedule {
                plan: Plan {
                    starts: 1_900_000_000,
                    description: Text::clean("قصائد"),
                },
            },
            Act::Cancel {
                starts: 1_900_000_000,
                reason: Text::clean("ill"),
            },
            Act::Mute {
                subject: Person([6; 32]),
                reason: Text::clean("ضجيج"),
            },
            Act::Unmute {
                subject: Person([6; 32]),
                reason: Text::clean("quiet now"),
            },
            Act::Kick {
                subject: Person([7; 32]),
                reason: Text::clean("spam"),
            },
            Act::Ban {
                subject: Person([7; 32]),
                lasts_ms: Some(3_600_000),
                reason: Text::clean("spam"),
            },
            Act::Ban {
                subject: Person([7; 32]),
                lasts_ms: None,
                reason: Text::clean(""),
            },
            Act::Unban {
                subject: Person([7; 32]),
                reason: Text::clean("a mistake"),
            },
            Act::Hands { who: Hands::Nobody },
            Act::Lock,
            Act::Unlock,
            Act::Guest {
                subject: Person([8; 32]),
            },
            Act::Unguest {
                subject: Person([8; 32]),
            },
            Act::GuestList {
                list: GuestList::Speak,
            },
            Act::Speakers { most: 32 },
            Act::Chat { who: Chat::Stage },
            Act::SlowMode { seconds: 3_600 },
            Act::Record { on: true },
            Act::SpeakingTime { seconds: 0 },
            Act::SpeakingTime { seconds: 600 },
            Act::Pin {
                link: Text::clean("https://example.org/"),
            },
            Act::Unpin {
                link: Text::clean("majlis:abc"),
            },
            Act::Unknown {
                kind: 0x0041,
                body: Bytes::from_static(b"later"),
            },
        ] {
            assert_eq!(Act::decode(act.kind(), &act.encode()), Ok(act));
        }
    }

    #[test]
    fn bodies_that_break_a_rule_are_refused_by_name() {
        let title = |text: &str| signed::encode(&text);
        assert_eq!(
            refused(kind::TITLE, &title(" \u{200b} ")),
            Malformed::Invalid {
                what: "an empty title"
            }
        );
        assert_eq!(
            refused(kind::TITLE, &title(&"x".repeat(201))),
            Malformed::TooLong {
                what: "title",
                max: 200
            }
        );
        assert_eq!(
            refused(kind::END, b"x"),
            Malformed::LeftOver {
                what: "end",
                count: 1
            }
        );
        assert_eq!(
            refused(kind::INVITE, &[0; 31]),
            Malformed::Encoding { what: "invite" }
        );
        assert_eq!(
            refused(kind::MOVE, &[0; 33]),
            Malformed::LeftOver {
                what: "move",
                count: 1
            }
        );
        let subject = Person([1; 32]);
        for role in [0_u8, 3, 255] {
            assert_eq!(
                refused(kind::GRANT, &signed::encode(&(subject, role))),
                Malformed::Invalid {
                    what: "a role that is not granted"
                }
            );
        }
        let long = "x".repeat(201);
        let too_long = Malformed::TooLong {
            what: "reason",
            max: 200,
        };
        for kind in [kind::REVOKE, kind::MUTE, kind::UNMUTE, kind::KICK, kind::UNBAN] {
            assert_eq!(refused(kind, &signed::encode(&(subject, &long))), too_long);
        }
        let ban = |lasts_ms: Option<u64>, reason: &str| {
            refused(kind::BAN, &signed::encode(&(subject, lasts_ms, reason)))
        };
        assert_eq!(ban(None, &long), too_long);
        assert_eq!(
            ban(Some(0), ""),
            Malformed::Invalid {
                what: "a ban of no time"
            }
        );
        for most in [0_u8, 33, 255] {
            assert_eq!(
                refused(kind::SPEAKERS, &signed::encode(&most)),
                Malformed::Invalid {
                    what: "a number of speakers"
                }
            );
        }
        assert_eq!(
            refused(kind::SLOW_MODE, &signed::encode(&3_601_u16)),
            Malformed::Invalid {
                what: "a slow mode beyond an hour"
            }
        );
        let bare = [kind::END, kind::LOCK, kind::UNLOCK];
        for seconds in [9_u16, 36_001] {
            assert_eq!(
                refused(kind::SPEAKING_TIME, &signed::encode(&seconds)),
                Malformed::Invalid {
                    what: "a speaking time"
                }
            );
        }
        for text in [
            "",
            "https://",
            "javascript:alert(1)",
            "https://a b",
            "file:///etc",
            "example.org",
        ] {
            assert_eq!(
                refused(kind::PIN, &signed::encode(&text)),
                Malformed::Invalid { what: "a link" },
                "{text}"
            );
        }
        let long = alloc::format!("https://{}", "x".repeat(limits::PIN));
        assert_eq!(
            refused(kind::UNPIN, &signed::encode(&long)),
            Malformed::TooLong {
                what: "link",
                max: limits::PIN
            }
        );
        for kind in (kind::TITLE..=kind::SPEAKING_TIME).filter(|kind| !bare.contains(kind)) {
            assert!(
                Act::decode(kind, &Bytes::new()).is_err(),
                "{kind:#x} without a body"
            );
        }
    }

    #[test]
    fn a_title_is_clean_whatever_was_signed() {
        let body = signed::encode(&"a\u{202e}b\u{1b}[31m");
        assert_eq!(
            Act::decode(kind::TITLE, &body),
            Ok(Act::Title {
                title: Text::clean("ab")
            })
        );
    }

    #[test]
    fn a_title_of_the_longest_length_fits() {
        let text: String = vec!["م"; limits::TITLE / 2].concat();
        assert!(Act::decode(kind::TITLE, &signed::encode(&text)).is_ok());
    }
}
