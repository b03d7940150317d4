//! Commands: what the person here wants, signed as an action and brought to the chair.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use crate::{
    log::{Act, Action, ActionId, GuestList, Role},
    neighbour::Neighbour,
    person::Person,
    reason::Reason,
    room::{Chat, Hands},
    signed::Verified,
    stage::Reactions,
    text::Text,
    wire::message::{Message, Outcome, Refusal, Verdict},
};

use super::{Member, Output, refusal};

/// How long a command waits for its entry. An action lives 30 s; people give up sooner.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// Most commands that wait at a time. A person types no faster; a program that does is told so.
const MAX_PENDING: usize = 32;

/// Names a command until it is done; its driver chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What the person wants. It is checked here, signed, and brought to the chair, who puts it in the room's log or refuses
/// it with a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Call the room something else: 1 to 200 bytes after cleaning. For hosts and co-hosts.
    Title(String),
    /// Invite someone to the stage, who may accept or decline. Nobody is brought there without. For hosts, co-hosts and
    /// moderators.
    Invite(Person),
    /// Take the invitation to the stage. The microphone stays off.
    Accept,
    /// Turn it down.
    Decline,
    /// Leave the stage for the audience. The host stays on it.
    LeaveStage,
    /// Move someone from the stage to the audience, who is heard no more at once; or withdraw an invitation. For hosts,
    /// co-hosts and moderators.
    Move(Person),
    /// End the room for everyone, for good. For hosts.
    End,
    /// Say who takes the chair when it is silent, in this order; those who are co-hosts then. For hosts.
    Line(Vec<Person>),
    /// Raise one's hand, or lower it. It is done once the chair has heard it; the answer is one's place in the queue, 0
    /// for nowhere.
    Hand {
        /// Which.
        raised: bool,
    },
    /// Lower somebody's hand. It is done once the chair has heard it, and leaves nothing in the log. For hosts, co-hosts
    /// and moderators, each for those of a lower role; and for oneself.
    LowerHand(Person),
    /// Say who may raise a hand. For hosts, co-hosts and moderators.
    Hands(Hands),
    /// Let in nobody who was not in the room before, or everyone again. For hosts, co-hosts and moderators.
    Lock(bool),
    /// Put someone on the guest list, or take them off it. For hosts and co-hosts.
    Guest {
        /// Whom.
        person: Person,
        /// Which.
        listed: bool,
    },
    /// Say what the guest list is for. For hosts and co-hosts.
    GuestList(GuestList),
    /// Say how many people the stage takes, 1 to 32. For hosts and co-hosts.
    Speakers(u8),
    /// React: everyone sees how many did. It is done once it is on its way.
    React(Reactions),
    /// Write a line in the chat: 1 to 400 bytes after cleaning. It is done once the chair has passed it on to everyone.
    Say(String),
    /// Say who may write in the chat. For hosts, co-hosts and moderators, who always may.
    Chat(Chat),
    /// Say how many seconds the lines of one person must lie apart in the chat, at most an hour; 0 for no slow mode. For
    /// hosts, co-hosts and moderators, whom it does not slow down.
    SlowMode(u16),
    /// Say how many seconds a speaker without an office stays on the stage, 10 to 36,000; 0 for no limit. For hosts,
    /// co-hosts and moderators.
    SpeakingTime(u16),
    /// Record the room, or record it no more. For hosts.
    Record {
        /// Whether it is to be recorded.
        on: bool,
    },
    /// Pin a link for everyone to see: at most 512 bytes, of https, http or majlis; or take it off again. For hosts,
    /// co-hosts and moderators.
    Pin {
        /// Which.
        link: String,
        /// Whether it is to be pinned.
        pinned: bool,
    },
    /// Make someone a moderator or a co-host. Hosts make both, co-hosts make moderators.
    Grant {
        /// Whom.
        person: Person,
        /// What.
        role: Role,
    },
    /// Take that role back, or give up one's own.
    Revoke {
        /// Whose.
        person: Person,
        /// Why; may be empty. At most 200 bytes after cleaning, as every reason.
        reason: String,
    },
    /// Silence someone on the stage, who cannot lift that. For hosts, co-hosts and moderators, as all that follows; each
    /// to those of a lower role.
    Mute {
        /// Whom.
        person: Person,
        /// Why.
        reason: String,
    },
    /// Let a muted person be heard again, who opens the microphone when they like.
    Unmute {
        /// Whom.
        person: Person,
        /// Why.
        reason: String,
    },
    /// Put someone out of the room, who may come back as a listener after a minute.
    Kick {
        /// Whom.
        person: Person,
        /// Why.
        reason: String,
    },
    /// Put someone out of the room and keep them out.
    Ban {
        /// Whom.
        person: Person,
        /// For how long; none: until it is lifted.
        lasts: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// Let someone in again who was kicked or banned.
    Unban {
        /// Whom.
        person: Person,
        /// Why.
        reason: String,
    },
}

/// A command whose entry is not here yet.
#[derive(Debug)]
pub(super) struct Pending {
    command: CommandId,
    deadline: Duration,
    /// Whether the chair's answer is the end of it: a note leaves no entry to wait for.
    is_note: bool,
}

impl Pending {
    /// Waits for the answer to a note.
    pub(super) fn of_note(command: CommandId, now: Duration) -> Self {
        Self {
            command,
            deadline: now + COMMAND_TIMEOUT,
            is_note: true,
        }
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl Member {
    pub(super) fn handle_command(&mut self, command: CommandId, wish: Command, now: Duration) {
        let result = match wish {
            Command::Hand { raised } => self.request_hand(command, raised, now),
            Command::LowerHand(person) => self.request_lower(command, person, now),
            Command::Say(text) => self.request_chat(command, &text, now),
            Command::React(reaction) => self.request_reaction(command, reaction, now),
            wish => self.request(command, wish, now),
        };
        if let Err(refusal) = result {
            self.outputs.push_back(Output::Done {
                command,
                result: Err(refusal),
            });
        }
    }

    pub(super) fn handle_verdict(&mut self, link: Neighbour, verdict: Verdict) {
        // The chair is where its beacons come from, and nobody else speaks for it.
        if self.way_to_chair() != Some(link) || self.relay_verdict(&verdict) {
            return;
        }
        let waits = self.requests.get(&verdict.action);
        match verdict.outcome {
            Outcome::Refused(refusal) => {
                self.note_not_back(verdict.action, refusal.reason);
                self.finish_command(verdict.action, Err(refusal));
            }
            Outcome::Appended { sequence } if waits.is_some_and(|pending| pending.is_note) => {
                self.finish_command(verdict.action, Ok(sequence));
            }
            // An appended action is done once its entry is here, not before.
            Outcome::Appended { .. } => {}
        }
    }

    /// Remembers a command whose answer will come.
    pub(super) fn expect(&mut self, id: ActionId, pending: Pending) -> Result<(), Refusal> {
        if self.requests.len() >= MAX_PENDING {
            return Err(refusal(Reason::TooMany, "too many commands wait for the chair"));
        }
        self.requests.insert(id, pending);
        Ok(())
    }

    pub(super) fn finish_command(&mut self, action: ActionId, result: Result<u32, Refusal>) {
        if let Some(pending) = self.requests.remove(&action) {
            self.outputs.push_back(Output::Done {
                command: pending.command,
                result,
            });
        }
    }

    pub(super) fn expire_commands(&mut self, now: Duration) {
        let late: Vec<ActionId> = self
            .requests
            .iter()
            .filter(|(_, pending)| pending.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.finish_command(
                id,
                Err(refusal(Reason::Expired, "the chair did not answer: try again")),
            );
        }
    }

    /// Tells every command that waits that it is over.
    pub(super) fn fail_commands(&mut self) {
        let waiting: Vec<ActionId> = self.requests.keys().copied().collect();
        for id in waiting {
            self.finish_command(id, Err(refusal(Reason::NotInTheRoom, "this node left the room")));
        }
    }

    fn request(&mut self, command: CommandId, wish: Command, now: Duration) -> Result<(), Refusal> {
        let act = self.act_of(wish)?;
        let Some(log) = &self.log else {
            return Err(refusal(Reason::NotInTheRoom, "not in the room yet"));
        };
        let me = self.config.key.person();
        let clock = self.clock.now_ms(now);
        log.state()
            .check(me, &act, clock)
            .map_err(|reason| refusal(reason, &alloc::format!("{reason}")))?;
        let action = Action::new(self.room, me, log.head(), clock, &act);
        let action = Verified::sign(action, &self.config.key)
            .map_err(|error| refusal(Reason::Malformed, &alloc::format!("{error}")))?;
        let signed = action.signed().clone();
        let pending = Pending {
            command,
            deadline: now + COMMAND_TIMEOUT,
            is_note: false,
        };
        self.expect(ActionId::of(&signed), pending)?;
        if self.is_chair() {
            let id = ActionId::of(&signed);
            if let Err(refusal) = self.append(signed, now) {
                self.finish_command(id, Err(refusal));
            }
            return Ok(());
        }
        match self.way_to_chair() {
            Some(way) => self.send(way, Message::Request(signed)),
            None => {
                let id = ActionId::of(&signed);
                self.finish_command(
                    id,
                    Err(refusal(
                        Reason::NotInTheRoom,
                        "no way to the chair now: try again",
                    )),
                );
            }
        }
        Ok(())
    }

    fn act_of(&self, wish: Command) -> Result<Act, Refusal> {
        let me = self.config.key.person();
        let invite = || {
            let invites = self.log.as_ref().map(|log| log.state().invited());
            invites
                .and_then(|invites| invites.get(&me).copied())
                .ok_or_else(|| refusal(Reason::NoSuchSubject, "nobody has invited you to the stage"))
        };
        Ok(match wish {
            Command::Title(title) => {
                let title = Text::clean(&title);
                if title.is_empty() || title.len() > crate::limits::TITLE {
                    return Err(refusal(Reason::Malformed, "a title has 1 to 200 bytes"));
                }
                Act::Title { title }
            }
            Command::Invite(subject) => Act::Invite { subject },
            Command::Accept => Act::Accept { invite: invite()? },
            Command::Decline => Act::Decline { invite: invite()? },
            Command::LeaveStage => Act::Move { subject: me },
            Command::Move(subject) => Act::Move { subject },
            Command::End => Act::End,
            Command::Line(people) if people.len() > crate::limits::OFFICERS => {
                return Err(refusal(Reason::TooMany, "a line has at most 64 people"));
            }
            Command::Line(people) => Act::Line { people },
            Command::Hands(who) => Act::Hands { who },
            Command::Lock(true) => Act::Lock,
            Command::Lock(false) => Act::Unlock,
            Command::Guest { person, listed: true } => Act::Guest { subject: person },
            Command::Guest { person, .. } => Act::Unguest { subject: person },
            Command::GuestList(list) => Act::GuestList { list },
            Command::Speakers(most) if most == 0 || usize::from(most) > crate::limits::STAGE => {
                return Err(refusal(Reason::Malformed, "a stage takes 1 to 32 people"));
            }
            Command::Speakers(most) => Act::Speakers { most },
            Command::Chat(who) => Act::Chat { who },
            Command::SlowMode(seconds) if seconds > crate::limits::SLOW_MODE_S => {
                return Err(refusal(Reason::Malformed, "a slow mode has at most an hour"));
            }
            Command::SlowMode(seconds) => Act::SlowMode { seconds },
            Command::SpeakingTime(seconds)
                if seconds != 0 && !crate::limits::SPEAKING_TIME_S.contains(&seconds) =>
            {
                return Err(refusal(Reason::Malformed, "a speaking time is 10 s to 10 h"));
            }
            Command::SpeakingTime(seconds) => Act::SpeakingTime { seconds },
            Command::Record { on } => Act::Record { on },
            Command::Pin { link, pinned } => return act_of_pin(&link, pinned),
            moderation => return act_of_moderation(moderation),
        })
    }
}

fn act_of_pin(link: &str, pinned: bool) -> Result<Act, Refusal> {
    let link = Text::clean(link);
    if link.len() > crate::limits::PIN || !crate::log::is_link(link.as_str()) {
        let text = "a link has at most 512 bytes, no spaces, and begins with https://, http:// or majlis:";
        return Err(refusal(Reason::Malformed, text));
    }
    Ok(if pinned {
        Act::Pin { link }
    } else {
        Act::Unpin { link }
    })
}

/// The act of a command about another person that carries a reason or a role.
fn act_of_moderation(wish: Command) -> Result<Act, Refusal> {
    Ok(match wish {
        Command::Grant { person, role } if matches!(role, Role::Moderator | Role::CoHost) => Act::Grant {
            subject: person,
            role,
        },
        Command::Revoke { person, reason } => Act::Revoke {
            subject: person,
            reason: reason_of(&reason)?,
        },
        Command::Mute { person, reason } => Act::Mute {
            subject: person,
            reason: reason_of(&reason)?,
        },
        Command::Unmute { person, reason } => Act::Unmute {
            subject: person,
            reason: reason_of(&reason)?,
        },
        Command::Kick { person, reason } => Act::Kick {
            subject: person,
            reason: reason_of(&reason)?,
        },
        Command::Ban {
            person,
            lasts,
            reason,
        } => Act::Ban {
            subject: person,
            lasts_ms: lasts.map(millis),
            reason: reason_of(&reason)?,
        },
        Command::Unban { person, reason } => Act::Unban {
            subject: person,
            reason: reason_of(&reason)?,
        },
        _ => {
            return Err(refusal(
                Reason::Malformed,
                "only the roles of moderator and co-host are granted",
            ));
        }
    })
}

fn reason_of(text: &str) -> Result<Text, Refusal> {
    let text = Text::clean(text);
    if text.len() > crate::limits::REASON {
        return Err(refusal(Reason::Malformed, "a reason has at most 200 bytes"));
    }
    Ok(text)
}

/// Whole milliseconds, one at least: a ban of no time is none.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
