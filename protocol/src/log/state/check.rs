//! Whether an act fits the room as it is: asked by the chair before it writes an entry, and by every member that checks one.

use crate::{
    limits,
    log::{
        action::{Act, Action, ActionId, kind},
        permissions::{self, Role, Target},
    },
    media::Tag,
    person::Person,
    reason::Reason,
    room::Chat,
    signed::Malformed,
};

use super::State;

/// Farthest that an action's expiry may lie ahead of the clock of its entry, in milliseconds: the lifetime that
/// its author may give it, and as much again for an author whose clock runs ahead of the chair's. Without a
/// bound the ids of applied actions could never be forgotten; without slack a fast clock could ask for nothing.
const EXPIRY_AHEAD_MS: u64 = 2 * limits::ACTION_LIFETIME_MS;

/// Why an action was not appended, or makes an entry invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// The action or its body does not decode: its author's program is at fault; do not retry.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is for another room: whoever sent it here is at fault.
    #[error("the action belongs to another room")]
    WrongRoom,
    /// It was applied before: a repetition, or a replay. Nothing is left to do.
    #[error("the action was applied before")]
    Replayed,
    /// Its time is over: sign it anew.
    #[error("the action expired {late_ms} ms before it arrived: sign it anew")]
    Expired {
        /// By how much, in milliseconds of room clock.
        late_ms: u64,
    },
    /// It would stay valid for longer than any action may: its author's clock is wrong. Sign it anew with the
    /// clock of a fresh beacon.
    #[error("the action would expire {ahead_ms} ms from now, later than any action may")]
    ExpiresTooLate {
        /// How far ahead, in milliseconds of room clock.
        ahead_ms: u64,
    },
    /// Its signature is not its author's: forged.
    #[error("the action is not signed by its author")]
    Signature,
    /// Its kind is not known here: the chair cannot tell who may do it. An update of this program helps.
    #[error("action {kind:#06x} needs a newer version of this program")]
    Unsupported {
        /// The kind.
        kind: u16,
    },
    /// The key at hand is not that of the room's chair.
    #[error("only the chair appends to the log")]
    NotTheChair,
    /// The author's role, the subject's place or the room's state does not allow it.
    #[error("{0}")]
    Refused(Reason),
}

impl ActionError {
    /// The reason that its author is told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed(malformed) => malformed.reason(),
            Self::Signature => Reason::Malformed,
            Self::WrongRoom => Reason::UnknownRoom,
            Self::Replayed => Reason::Duplicate,
            Self::Expired { .. } | Self::ExpiresTooLate { .. } => Reason::Expired,
            Self::Unsupported { .. } => Reason::Unsupported,
            Self::NotTheChair => Reason::NotTheChair,
            Self::Refused(reason) => *reason,
        }
    }
}

impl State {
    /// Whether a person may raise a hand at this time of the room clock: who is in the audience, and not invited yet.
    ///
    /// # Errors
    /// [`Reason`] that the person is told.
    pub fn check_hand(&self, person: Person, clock_ms: u64) -> Result<(), Reason> {
        if self.ended {
            return Err(Reason::Ended);
        }
        if let Some(exclusion) = self.exclusion(person, clock_ms) {
            return Err(exclusion.told());
        }
        if self.stage.contains_key(&person) || self.invited.contains_key(&person) {
            return Err(Reason::NoSuchSubject);
        }
        self.rules.check_hand()
    }

    /// Whether a person may lower the hand of another at this time of the room clock: whoever could invite them may say no
    /// as well.
    ///
    /// # Errors
    /// [`Reason`] that the person is told.
    pub fn check_lower(&self, person: Person, of: Person, clock_ms: u64) -> Result<(), Reason> {
        if self.ended {
            return Err(Reason::Ended);
        }
        if let Some(exclusion) = self.exclusion(person, clock_ms) {
            return Err(exclusion.told());
        }
        permissions::check(kind::INVITE, self.role(person), Target::Other(self.role(of)))
    }

    /// Whether a person may write in the chat at this time of the room clock, and how far its lines must lie apart, in
    /// milliseconds. Those who keep order are not slowed down.
    ///
    /// # Errors
    /// [`Reason`] that the person is told.
    pub fn check_chat(&self, person: Person, clock_ms: u64) -> Result<u64, Reason> {
        if self.ended {
            return Err(Reason::Ended);
        }
        if let Some(exclusion) = self.exclusion(person, clock_ms) {
            return Err(exclusion.told());
        }
        if self.role(person) >= Role::Moderator {
            return Ok(limits::CHAT_APART_MS);
        }
        let may = match self.rules.chat() {
            Chat::Anyone => true,
            Chat::Stage => self.stage.contains_key(&person),
            Chat::Nobody => false,
        };
        let slow_ms = u64::from(self.rules.slow_mode_s()) * 1_000;
        may.then_some(slow_ms.max(limits::CHAT_APART_MS))
            .ok_or(Reason::NotAllowed)
    }

    /// Whether a person may come in who shows a pass of this time, or none. Whom the log names may: the host, those with
    /// an office, on the stage or invited to it.
    ///
    /// # Errors
    /// [`Reason::Locked`] or [`Reason::NotListed`].
    pub fn check_entry(&self, person: Person, issued: Option<u64>) -> Result<(), Reason> {
        if self.names(person) {
            return Ok(());
        }
        self.rules.check_entry(person, issued)
    }

    /// Whether the chair may sign at this clock that a person is in the room.
    #[must_use]
    pub fn gives_pass(&self, person: Person, clock_ms: u64) -> bool {
        self.names(person) || self.rules.gives_passes(clock_ms)
    }

    /// Whether `author` may do this at `clock_ms` of the room clock.
    ///
    /// # Errors
    /// [`Reason`] that the author is told.
    pub fn check(&self, author: Person, act: &Act, clock_ms: u64) -> Result<(), Reason> {
        if self.ended {
            return Err(Reason::Ended);
        }
        if let Act::Unknown { .. } = act {
            return Err(Reason::Unsupported);
        }
        if let Some(exclusion) = self.exclusion(author, clock_ms) {
            return Err(exclusion.told());
        }
        let target = match act.subject(author) {
            None => Target::Room,
            Some(subject) if subject == author => Target::Oneself,
            Some(subject) => Target::Other(self.role(subject)),
        };
        let by = self.role(author);
        permissions::check(act.kind(), by, target)?;
        self.check_rank(by, act, clock_ms)?;
        self.check_situation(author, act, clock_ms)?;
        self.check_listed(author, act)?;
        self.check_room(act, clock_ms)
    }

    /// Whether an action's time is right and it is not a repetition, for an entry at `clock_ms`.
    pub(in crate::log) fn check_freshness(
        &self,
        id: ActionId,
        action: &Action,
        clock_ms: u64,
    ) -> Result<(), ActionError> {
        if action.expires < clock_ms {
            return Err(ActionError::Expired {
                late_ms: clock_ms - action.expires,
            });
        }
        let ahead_ms = action.expires - clock_ms;
        if ahead_ms > EXPIRY_AHEAD_MS {
            return Err(ActionError::ExpiresTooLate { ahead_ms });
        }
        if self.applied.contains_key(&id) {
            Err(ActionError::Replayed)
        } else {
            Ok(())
        }
    }

    /// The same for an action that is carried, which may have expired meanwhile.
    pub(in crate::log) fn check_carried(
        &self,
        id: ActionId,
        action: &Action,
        clock_ms: u64,
    ) -> Result<(), ActionError> {
        let late_ms = clock_ms.saturating_sub(action.expires);
        if late_ms > limits::CARRIED_MS {
            return Err(ActionError::Expired { late_ms });
        }
        let ahead_ms = action.expires.saturating_sub(clock_ms);
        if ahead_ms > EXPIRY_AHEAD_MS {
            return Err(ActionError::ExpiresTooLate { ahead_ms });
        }
        if self.carriable.contains_key(&id) {
            Err(ActionError::Replayed)
        } else {
            Ok(())
        }
    }

    /// Whether an entry with this hash may grant the stage: its tag must be new to the room.
    pub(in crate::log) fn check_tag(&self, act: &Act, entry: &[u8; 32]) -> Result<(), Reason> {
        let taken = matches!(act, Act::Accept { .. }) && self.tags.contains_key(&Tag::of(entry));
        if taken { Err(Reason::TagTaken) } else { Ok(()) }
    }

    /// The rules of rank beside the table: what may be given, and what may be lifted.
    fn check_rank(&self, by: Role, act: &Act, clock_ms: u64) -> Result<(), Reason> {
        let laid_by = match act {
            Act::Grant { role, .. } => return permissions::check_grant(by, *role),
            Act::Unmute { subject, .. } => self.mutes.get(subject).map(|mute| mute.laid_by),
            Act::Kick { subject, .. } | Act::Ban { subject, .. } | Act::Unban { subject, .. } => self
                .exclusion(*subject, clock_ms)
                .map(|exclusion| exclusion.laid_by),
            _ => None,
        };
        laid_by.map_or(Ok(()), |laid_by| permissions::check_lift(by, laid_by))
    }

    /// Whether the subject is where the act needs it.
    fn check_situation(&self, author: Person, act: &Act, clock_ms: u64) -> Result<(), Reason> {
        let is_out = |person: &Person| self.exclusion(*person, clock_ms).is_some();
        let fits = match act {
            Act::Invite { subject } => {
                !self.stage.contains_key(subject) && !self.invited.contains_key(subject) && !is_out(subject)
            }
            Act::Accept { invite } | Act::Decline { invite } => self.invited.get(&author) == Some(invite),
            Act::Move { subject } => self.stage.contains_key(subject) || self.invited.contains_key(subject),
            Act::Grant { subject, role } => {
                let held = self.officers.get(subject).map(|office| office.role);
                held != Some(*role) && !is_out(subject)
            }
            Act::Revoke { subject, .. } => self.officers.contains_key(subject),
            Act::Mute { subject, .. } => {
                self.stage.contains_key(subject) && !self.mutes.contains_key(subject)
            }
            Act::Unmute { subject, .. } => self.mutes.contains_key(subject),
            Act::Kick { subject, .. } => !is_out(subject),
            Act::Unban { subject, .. } => is_out(subject),
            Act::Hands { .. }
            | Act::Lock
            | Act::Unlock
            | Act::Guest { .. }
            | Act::Unguest { .. }
            | Act::GuestList { .. }
            | Act::Speakers { .. }
            | Act::Chat { .. }
            | Act::SlowMode { .. }
            | Act::SpeakingTime { .. }
            | Act::Pin { .. }
            | Act::Unpin { .. }
            | Act::Record { .. } => self.rules.would_change(act),
            Act::Schedule { .. } | Act::Cancel { .. } => return self.check_plan(act),
            Act::Chair { .. } => self.rank(author).is_some(),
            Act::Carried { .. } => author == self.chair,
            Act::Title { .. }
            | Act::End
            | Act::Ban { .. }
            | Act::Line { .. }
            // The log itself looks at the proof.
            | Act::Exposed { .. }
            | Act::Unknown { .. } => true,
        };
        if fits { Ok(()) } else { Err(Reason::NoSuchSubject) }
    }

    /// Whether the room is planned and not open yet, and the plan another one.
    fn check_plan(&self, act: &Act) -> Result<(), Reason> {
        match &self.planned {
            Some(planned) => planned.check(act),
            None => Err(Reason::NotAllowed),
        }
    }

    /// Whether the guest list lets the subject onto the stage. Whoever has an office needs no place on it.
    fn check_listed(&self, author: Person, act: &Act) -> Result<(), Reason> {
        let subject = match act {
            Act::Invite { subject } => *subject,
            Act::Accept { .. } => author,
            _ => return Ok(()),
        };
        if self.officers.contains_key(&subject) {
            return Ok(());
        }
        self.rules.check_stage(subject)
    }

    /// Whether a place is left for what the act adds.
    fn check_room(&self, act: &Act, clock_ms: u64) -> Result<(), Reason> {
        let full = match act {
            Act::Invite { .. } => self.invited.len() >= limits::INVITATIONS,
            Act::Accept { .. } => self.stage.len() >= usize::from(self.rules.speakers()),
            Act::Guest { .. } => self.rules.guests().len() >= limits::GUESTS,
            Act::Pin { .. } => self.rules.pins().len() >= limits::PINS,
            Act::Grant { subject, .. } => {
                !self.officers.contains_key(subject) && self.officers.len() >= limits::OFFICERS
            }
            Act::Mute { .. } => self.mutes.len() >= limits::MUTES,
            Act::Kick { subject, .. } | Act::Ban { subject, .. } => {
                self.exclusion(*subject, clock_ms).is_none()
                    && self.exclusions(clock_ms).count() >= limits::BANS
            }
            _ => false,
        };
        if full { Err(Reason::Full) } else { Ok(()) }
    }
}
