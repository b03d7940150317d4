//! The bodies of actions: bytes to acts and back, and every bound that one must keep.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    limits,
    log::{permissions::Role, plan::Plan},
    person::Person,
    room::at_most,
    signed::{self, Malformed},
    text::Text,
};

use super::{Act, kind};

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
