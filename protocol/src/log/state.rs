//! The state of a room: a pure fold over its log.
//!
//! Whether an act fits is asked and answered here, with the table of [`super::permissions`]; the same answer is
//! given to the chair before it writes an entry and to every member that checks one.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use crate::{
    limits,
    log::{
        action::{Act, Action, ActionId, kind},
        entry::Entry,
        measures::{Exclusion, Mute, Office},
        permissions::{self, Role, Target},
        plan::Planned,
        rules::Rules,
    },
    media::Tag,
    person::Person,
    reason::Reason,
    room::{Chat, Genesis, RoomId},
    signed::{Malformed, Signed, Verified},
    text::Text,
};

/// Farthest that an action's expiry may lie ahead of the clock of its entry, in milliseconds: the lifetime that
/// its author may give it, and as much again for an author whose clock runs ahead of the chair's. Without a
/// bound the ids of applied actions could never be forgotten; without slack a fast clock could ask for nothing.
const EXPIRY_AHEAD_MS: u64 = 2 * limits::ACTION_LIFETIME_MS;

/// A person's stay on the stage, from one grant to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The tag of the sound of this stay; never used again in this room.
    pub tag: Tag,
    /// Sequence of the entry that granted it; 0 for the host.
    pub since: u32,
    /// Room clock in milliseconds of that entry.
    pub began: u64,
    /// The oldest entry that its sound may say its speaker knew: the one that granted it, or that lifted the last
    /// mute. What says an older one was spoken before.
    pub heard_since: u32,
}

/// What an entry changed, for those who act upon it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The title is another.
    Title,
    /// This person may accept the invitation.
    Invited {
        /// Who was invited.
        person: Person,
        /// Hash of the entry that invites, for the answer.
        invite: [u8; 32],
    },
    /// This person's invitation is no longer open, and the person is not on the stage.
    Uninvited {
        /// Whose invitation it was.
        person: Person,
    },
    /// Sound with this tag is welcome from now on.
    Granted {
        /// Who is on the stage.
        person: Person,
        /// The tag of the stay.
        tag: Tag,
    },
    /// Sound with this tag is refused from now on.
    Revoked {
        /// Who left the stage.
        person: Person,
        /// The tag of the stay that is over.
        tag: Tag,
    },
    /// This person's role is another.
    Role {
        /// Whose.
        person: Person,
        /// Which it is now.
        role: Role,
    },
    /// Sound with this tag is refused until the mute is lifted.
    Muted {
        /// Who is muted.
        person: Person,
        /// The tag of the stay, which goes on.
        tag: Tag,
    },
    /// This person is muted no more.
    Unmuted {
        /// Who.
        person: Person,
        /// The stay, if there is one: its sound is welcome again.
        stay: Option<Stay>,
    },
    /// This person is put out of the room: its links are closed.
    Expelled {
        /// Who.
        person: Person,
    },
    /// This person writes the log from now on.
    Chair {
        /// Who.
        person: Person,
        /// In which term.
        term: u32,
    },
    /// This person told two stories as the chair, and stands in no line any more, unless it is the host.
    Exposed {
        /// Who.
        person: Person,
    },
    /// Others than before may raise a hand, enter, speak or chat.
    Rules,
    /// The room is over; every stay was revoked.
    Ended,
}

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

/// What the log makes of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    host: Person,
    chair: Person,
    term: u32,
    clock: u64,
    title: Text,
    ended: bool,
    stage: BTreeMap<Person, Stay>,
    invited: BTreeMap<Person, [u8; 32]>,
    officers: BTreeMap<Person, Office>,
    mutes: BTreeMap<Person, Mute>,
    /// Those that have run out go with the next entry.
    exclusions: BTreeMap<Person, Exclusion>,
    rules: Rules,
    /// What was announced ahead, of a room whose genesis names a start.
    planned: Option<Planned>,
    /// Every tag that a stay ever had, each to its person.
    tags: BTreeMap<Tag, Person>,
    /// Applied actions that have not expired yet, each with its expiry. Those that have are refused for that.
    applied: BTreeMap<ActionId, u64>,
    /// Applied acts of moderation that could still be carried, each with its expiry.
    carriable: BTreeMap<ActionId, u64>,
    /// Who takes the chair in which order, where the host has said so.
    line: Option<Vec<Person>>,
    /// Everyone who ever had the chair.
    chairs: BTreeSet<Person>,
    /// Those of them who told two stories.
    exposed: BTreeSet<Person>,
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

impl Stay {
    fn begun(tag: Tag, since: u32, began: u64) -> Self {
        Self {
            tag,
            since,
            began,
            heard_since: since,
        }
    }
}

impl State {
    /// The room as its genesis makes it: the host on the stage and in the chair.
    pub(super) fn new(genesis: &Verified<Genesis>) -> Self {
        let host = genesis.host;
        let tag = Tag::of(&RoomId::of(genesis).0);
        Self {
            host,
            chair: host,
            term: 0,
            clock: 0,
            title: genesis.title.clone(),
            ended: false,
            stage: BTreeMap::from([(host, Stay::begun(tag, 0, 0))]),
            invited: BTreeMap::new(),
            officers: BTreeMap::new(),
            mutes: BTreeMap::new(),
            exclusions: BTreeMap::new(),
            rules: Rules::new(&genesis.policy),
            planned: Planned::of(genesis),
            tags: BTreeMap::from([(tag, host)]),
            applied: BTreeMap::new(),
            carriable: BTreeMap::new(),
            line: None,
            chairs: BTreeSet::from([host]),
            exposed: BTreeSet::new(),
        }
    }

    /// Who signed the genesis.
    #[must_use]
    pub fn host(&self) -> Person {
        self.host
    }

    /// Who writes the log.
    #[must_use]
    pub fn chair(&self) -> Person {
        self.chair
    }

    /// Whether a person writes the log or ever did.
    #[must_use]
    pub fn was_chair(&self, person: Person) -> bool {
        self.chairs.contains(&person)
    }

    /// Everyone who is proven to have told two stories as the chair.
    #[must_use]
    pub fn exposed(&self) -> &BTreeSet<Person> {
        &self.exposed
    }

    /// The line of succession: the host, then the co-hosts in the order that the host has set, or else in that in which
    /// they were made. Whoever stands nearer to its beginning ranks higher.
    #[must_use]
    pub fn line(&self) -> Vec<Person> {
        let is_co_host = |person: &Person| {
            let office = self.officers.get(person);
            office.is_some_and(|office| office.role == Role::CoHost) && !self.exposed.contains(person)
        };
        let successors: Vec<Person> = match &self.line {
            Some(people) => people.iter().copied().filter(is_co_host).collect(),
            None => {
                let mut since: Vec<(u32, Person)> = self
                    .officers
                    .iter()
                    .filter(|(person, _)| is_co_host(person))
                    .map(|(person, office)| (office.since, *person))
                    .collect();
                since.sort_unstable();
                since.into_iter().map(|(_, person)| person).collect()
            }
        };
        let mut line = vec![self.host];
        for person in successors {
            if !line.contains(&person) {
                line.push(person);
            }
        }
        line
    }

    /// Where a person stands in the line of succession: 0 is the host; `None` for whoever may not take the chair.
    #[must_use]
    pub fn rank(&self, person: Person) -> Option<usize> {
        self.line().iter().position(|other| *other == person)
    }

    /// Whether whoever has the chair may still write: not once it has lost its place in the line.
    #[must_use]
    pub fn has_chair(&self) -> bool {
        self.rank(self.chair).is_some()
    }

    /// The term of the newest entry; 0 before the first.
    #[must_use]
    pub fn term(&self) -> u32 {
        self.term
    }

    /// The room clock of the newest entry, in milliseconds; 0 before the first.
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// What the room is called now.
    #[must_use]
    pub fn title(&self) -> &Text {
        &self.title
    }

    /// Whether the room is over. Nothing can be appended to it any more.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Who may speak: empty once the room has ended.
    #[must_use]
    pub fn stage(&self) -> &BTreeMap<Person, Stay> {
        &self.stage
    }

    /// Open invitations, each with the hash of the entry that invites.
    #[must_use]
    pub fn invited(&self) -> &BTreeMap<Person, [u8; 32]> {
        &self.invited
    }

    /// Moderators and co-hosts, on the stage or not.
    #[must_use]
    pub fn officers(&self) -> &BTreeMap<Person, Office> {
        &self.officers
    }

    /// Who is muted, on the stage or not.
    #[must_use]
    pub fn mutes(&self) -> &BTreeMap<Person, Mute> {
        &self.mutes
    }

    /// Everyone who is kept out at this time of the room clock.
    pub fn exclusions(&self, clock_ms: u64) -> impl Iterator<Item = (&Person, &Exclusion)> {
        self.exclusions
            .iter()
            .filter(move |(_, exclusion)| exclusion.holds_at(clock_ms))
    }

    /// Why a person is kept out at this time of the room clock; `None` for who may come in.
    #[must_use]
    pub fn exclusion(&self, person: Person, clock_ms: u64) -> Option<&Exclusion> {
        self.exclusions
            .get(&person)
            .filter(|exclusion| exclusion.holds_at(clock_ms))
    }

    /// Whether what an act of the entry `sequence` took from a person is still taken at this time of the room clock.
    #[must_use]
    pub fn is_in_force(&self, sequence: u32, act: &Act, clock_ms: u64) -> bool {
        match act {
            Act::Mute { subject, .. } => self.mutes.get(subject).is_some_and(|mute| mute.entry == sequence),
            Act::Kick { subject, .. } | Act::Ban { subject, .. } => self
                .exclusion(*subject, clock_ms)
                .is_some_and(|exclusion| exclusion.entry == sequence),
            Act::Revoke { subject, .. } => !self.officers.contains_key(subject),
            _ => false,
        }
    }

    /// What the room lets whom do, beside what roles allow.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What was announced ahead; `None` for a room that opened as it was made.
    #[must_use]
    pub fn planned(&self) -> Option<&Planned> {
        self.planned.as_ref()
    }

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

    /// Room clock in milliseconds at which a speaker's time on the stage is over; none for those who have an office, and
    /// where there is no limit.
    #[must_use]
    pub fn speaks_until(&self, person: Person) -> Option<u64> {
        let time = self.rules.speaking_time()?;
        let stay = self.stage.get(&person)?;
        let lasts = u64::from(time.seconds) * 1_000;
        (self.role(person) == Role::Speaker).then(|| stay.began.max(time.since).saturating_add(lasts))
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

    /// Whether a person is more in this room than one of the audience.
    fn names(&self, person: Person) -> bool {
        self.role(person) != Role::Listener || self.invited.contains_key(&person)
    }

    /// A person's role. Persons that the log does not name are listeners.
    #[must_use]
    pub fn role(&self, person: Person) -> Role {
        if person == self.host {
            Role::Host
        } else if let Some(office) = self.officers.get(&person) {
            office.role
        } else if self.stage.contains_key(&person) {
            Role::Speaker
        } else {
            Role::Listener
        }
    }

    /// Whose stay has or had this tag, and whether it is still on; `None` for a tag that this log never gave.
    #[must_use]
    pub fn stay(&self, tag: Tag) -> Option<(Person, bool)> {
        let person = *self.tags.get(&tag)?;
        let on = self.stage.get(&person).is_some_and(|stay| stay.tag == tag);
        Some((person, on))
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

    /// What is different in another state of the room, for those who act upon it: when its history is followed instead.
    #[must_use]
    pub fn changes_to(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let people: BTreeSet<Person> = [self, new]
            .into_iter()
            .flat_map(|state| {
                let listed = state.officers.keys().chain(state.mutes.keys());
                listed.chain(state.stage.keys()).chain(state.invited.keys())
            })
            .copied()
            .collect();
        for person in &people {
            self.changes_of(*person, new, &mut changes);
        }
        if self.title != new.title {
            changes.push(Change::Title);
        }
        if (self.chair, self.term) != (new.chair, new.term) {
            let (person, term) = (new.chair, new.term);
            changes.push(Change::Chair { person, term });
        }
        let exposed = new.exposed.difference(&self.exposed);
        changes.extend(exposed.map(|person| Change::Exposed { person: *person }));
        let is_new = |person: &&Person| !self.exclusions.contains_key(*person);
        let expelled = new.exclusions.keys().filter(is_new);
        changes.extend(expelled.map(|person| Change::Expelled { person: *person }));
        if new.ended && !self.ended {
            changes.push(Change::Ended);
        }
        changes
    }

    /// The same for one person.
    fn changes_of(&self, person: Person, new: &Self, changes: &mut Vec<Change>) {
        let role = new.role(person);
        if self.role(person) != role {
            changes.push(Change::Role { person, role });
        }
        let (old_stay, stay) = (self.stage.get(&person), new.stage.get(&person));
        let moved = old_stay.map(|stay| stay.tag) != stay.map(|stay| stay.tag);
        if let Some(tag) = old_stay.map(|stay| stay.tag).filter(|_| moved) {
            changes.push(Change::Revoked { person, tag });
        }
        if let Some(tag) = stay.map(|stay| stay.tag).filter(|_| moved) {
            changes.push(Change::Granted { person, tag });
        }
        match (self.mutes.contains_key(&person), new.mutes.contains_key(&person)) {
            (false, true) => changes.extend(new.muted(person)),
            (true, false) => {
                let stay = stay.copied();
                changes.push(Change::Unmuted { person, stay });
            }
            (true, true) if moved => changes.extend(new.muted(person)),
            (false, false) if !moved && old_stay != stay => {
                let stay = stay.copied();
                changes.push(Change::Unmuted { person, stay });
            }
            _ => {}
        }
        match (self.invited.get(&person), new.invited.get(&person)) {
            (old, Some(invite)) if old != Some(invite) => changes.push(Change::Invited {
                person,
                invite: *invite,
            }),
            (Some(_), None) if stay.is_none() => changes.push(Change::Uninvited { person }),
            _ => {}
        }
    }

    /// Whether an action's time is right and it is not a repetition, for an entry at `clock_ms`.
    pub(super) fn check_freshness(
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
    pub(super) fn check_carried(
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
    pub(super) fn check_tag(&self, act: &Act, entry: &[u8; 32]) -> Result<(), Reason> {
        let taken = matches!(act, Act::Accept { .. }) && self.tags.contains_key(&Tag::of(entry));
        if taken { Err(Reason::TagTaken) } else { Ok(()) }
    }

    /// Applies an entry for which every check was passed. An unknown act changes nothing but clock and term.
    pub(super) fn apply(
        &mut self,
        entry: &Entry,
        hash: [u8; 32],
        id: ActionId,
        action: &Action,
        act: &Act,
    ) -> Vec<Change> {
        self.clock = entry.clock;
        self.term = entry.term;
        self.applied.retain(|_, expires| *expires >= entry.clock);
        self.applied.insert(id, action.expires);
        let is_carriable = |expires: u64| expires.saturating_add(limits::CARRIED_MS) >= entry.clock;
        self.carriable.retain(|_, expires| is_carriable(*expires));
        if act.restricts() {
            self.carriable.insert(id, action.expires);
        }
        self.exclusions
            .retain(|_, exclusion| exclusion.holds_at(entry.clock));
        let subject = act.subject(action.author);
        let before = subject.map(|person| self.role(person));
        let mut changes = self.apply_act(entry, hash, action, act);
        let role = subject
            .map(|person| (person, self.role(person)))
            .filter(|(_, role)| Some(*role) != before)
            .map(|(person, role)| Change::Role { person, role });
        changes.splice(0..0, role);
        changes
    }

    fn apply_act(&mut self, entry: &Entry, hash: [u8; 32], action: &Action, act: &Act) -> Vec<Change> {
        let author = action.author;
        let laid_by = self.role(author);
        let sequence = entry.sequence;
        // What is carried began when it was done, not when it was taken over.
        let since = entry.clock.min(action.expires);
        match act {
            Act::Title { title } => {
                self.title = title.clone();
                vec![Change::Title]
            }
            Act::Invite { subject } => {
                self.invited.insert(*subject, hash);
                vec![Change::Invited {
                    person: *subject,
                    invite: hash,
                }]
            }
            Act::Accept { .. } => self.seat(author, (sequence, entry.clock), hash),
            Act::Decline { .. } => self.remove(author),
            Act::Move { subject } => self.remove(*subject),
            Act::End => self.end(),
            Act::Grant { subject, role } => {
                let office = Office {
                    role: *role,
                    since: sequence,
                };
                self.officers.insert(*subject, office);
                Vec::new()
            }
            Act::Revoke { subject, .. } => {
                self.officers.remove(subject);
                Vec::new()
            }
            Act::Mute { subject, reason } => {
                let mute = Mute {
                    laid_by,
                    entry: sequence,
                    reason: reason.clone(),
                };
                self.mutes.insert(*subject, mute);
                self.muted(*subject).into_iter().collect()
            }
            Act::Unmute { subject, .. } => self.unmute(*subject, sequence),
            Act::Kick { subject, reason } => {
                let exclusion = Exclusion {
                    laid_by,
                    entry: sequence,
                    until: Some(since.saturating_add(limits::KICK_MS)),
                    is_kick: true,
                    reason: reason.clone(),
                };
                self.expel(*subject, exclusion)
            }
            Act::Ban {
                subject,
                lasts_ms,
                reason,
            } => {
                let exclusion = Exclusion {
                    laid_by,
                    entry: sequence,
                    until: lasts_ms.map(|lasts| since.saturating_add(lasts)),
                    is_kick: false,
                    reason: reason.clone(),
                };
                self.expel(*subject, exclusion)
            }
            Act::Unban { subject, .. } => {
                self.exclusions.remove(subject);
                Vec::new()
            }
            Act::Line { people } => {
                self.line = Some(people.clone());
                Vec::new()
            }
            Act::Schedule { plan } => {
                if let Some(planned) = &mut self.planned {
                    planned.change(plan, sequence);
                }
                Vec::new()
            }
            Act::Cancel { .. } => {
                if let Some(planned) = &mut self.planned {
                    planned.cancel(sequence);
                }
                self.end()
            }
            Act::Chair { .. } => {
                if let Some(planned) = &mut self.planned {
                    planned.open();
                }
                self.chair = author;
                self.chairs.insert(author);
                vec![Change::Chair {
                    person: author,
                    term: self.term,
                }]
            }
            Act::Exposed { entry } => {
                let liar = Signed::<Entry>::from_bytes(entry).and_then(|entry| entry.peek());
                let person = liar.map(|entry| entry.chair);
                self.exposed.extend(person.iter());
                person
                    .map(|person| vec![Change::Exposed { person }])
                    .unwrap_or_default()
            }
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
            | Act::Record { .. } => {
                self.rules.apply(act, entry.clock);
                vec![Change::Rules]
            }
            // What is carried is applied as what it is.
            Act::Carried { .. } | Act::Unknown { .. } => Vec::new(),
        }
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

    /// Brings a person to the stage. A mute from an earlier stay holds in this one.
    fn seat(&mut self, person: Person, (since, clock): (u32, u64), entry: [u8; 32]) -> Vec<Change> {
        let tag = Tag::of(&entry);
        self.invited.remove(&person);
        self.stage.insert(person, Stay::begun(tag, since, clock));
        self.tags.insert(tag, person);
        let mute = self.mutes.contains_key(&person).then(|| self.muted(person));
        [Change::Granted { person, tag }]
            .into_iter()
            .chain(mute.flatten())
            .collect()
    }

    fn muted(&self, person: Person) -> Option<Change> {
        let tag = self.stage.get(&person)?.tag;
        Some(Change::Muted { person, tag })
    }

    fn unmute(&mut self, person: Person, sequence: u32) -> Vec<Change> {
        self.mutes.remove(&person);
        let stay = self.stage.get_mut(&person).map(|stay| {
            stay.heard_since = sequence;
            *stay
        });
        vec![Change::Unmuted { person, stay }]
    }

    /// Takes everything from a person that the room gave, and keeps it out.
    fn expel(&mut self, person: Person, exclusion: Exclusion) -> Vec<Change> {
        self.officers.remove(&person);
        self.exclusions.insert(person, exclusion);
        let mut changes = self.remove(person);
        changes.push(Change::Expelled { person });
        changes
    }

    /// Takes a person off the stage and off the list of the invited; one is on at most one of the two.
    fn remove(&mut self, person: Person) -> Vec<Change> {
        let invitation = self.invited.remove(&person).map(|_| Change::Uninvited { person });
        let stay = self.stage.remove(&person).map(|stay| Change::Revoked {
            person,
            tag: stay.tag,
        });
        invitation.into_iter().chain(stay).collect()
    }

    fn end(&mut self) -> Vec<Change> {
        self.ended = true;
        let everyone: BTreeSet<Person> = self.invited.keys().chain(self.stage.keys()).copied().collect();
        let mut changes = Vec::new();
        for person in everyone {
            let before = self.role(person);
            let removed = self.remove(person);
            let role = self.role(person);
            if role != before {
                changes.push(Change::Role { person, role });
            }
            changes.extend(removed);
        }
        changes.push(Change::Ended);
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{log::action::Head, person::PersonKey};

    fn state() -> State {
        let key = PersonKey::from_seed(&[1; 32]);
        State::new(&Genesis::new(key.person(), "room", [0; 16]).sign(&key).unwrap())
    }

    fn apply(state: &mut State, author: Person, act: &Act, hash: [u8; 32]) -> Vec<Change> {
        let room = RoomId([0; 32]);
        let action = Action::new(room, author, Head::genesis(room), state.clock, act);
        let entry = Entry {
            version: 1,
            room,
            sequence: 1,
            previous: [0; 32],
            term: 0,
            chair: state.chair,
            clock: state.clock + 1,
            action: bytes::Bytes::new(),
        };
        state.apply(&entry, hash, ActionId(hash), &action, act)
    }

    /// Lets a guest onto the stage with an entry of this hash.
    fn seat(state: &mut State, guest: Person, hash: [u8; 32]) {
        let host = state.host;
        apply(state, host, &Act::Invite { subject: guest }, [9; 32]);
        apply(state, guest, &Act::Accept { invite: [9; 32] }, hash);
    }

    #[test]
    fn a_tag_is_never_given_twice_even_after_its_stay() {
        let (mut state, guest) = (state(), Person([7; 32]));
        seat(&mut state, guest, [5; 32]);
        assert_eq!(state.stay(Tag([5; 4])), Some((guest, true)));
        apply(&mut state, guest, &Act::Move { subject: guest }, [6; 32]);
        assert_eq!(state.stay(Tag([5; 4])), Some((guest, false)));
        let accept = Act::Accept { invite: [9; 32] };
        let mut same_tag = [0xff; 32];
        same_tag[..4].copy_from_slice(&[5; 4]);
        assert_eq!(state.check_tag(&accept, &same_tag), Err(Reason::TagTaken));
        assert_eq!(state.check_tag(&accept, &[0xff; 32]), Ok(()));
        assert_eq!(state.check_tag(&Act::End, &same_tag), Ok(()));
    }

    #[test]
    fn a_tag_that_the_log_never_gave_is_unknown() {
        assert_eq!(state().stay(Tag([5; 4])), None);
    }

    #[test]
    fn the_stage_and_the_invitations_are_bounded() {
        let mut state = state();
        let host = state.host;
        for n in 1..limits::STAGE as u8 {
            seat(&mut state, Person([n; 32]), [n; 32]);
        }
        assert_eq!(state.stage.len(), limits::STAGE);
        for n in 100..100 + limits::INVITATIONS as u8 {
            let invite = Act::Invite {
                subject: Person([n; 32]),
            };
            assert_eq!(state.check(host, &invite, 0), Ok(()));
            apply(&mut state, host, &invite, [n; 32]);
        }
        let one_more = Act::Invite {
            subject: Person([99; 32]),
        };
        assert_eq!(state.check(host, &one_more, 0), Err(Reason::Full));
        let guest = Person([100; 32]);
        let accept = Act::Accept { invite: [100; 32] };
        assert_eq!(state.check(guest, &accept, 0), Err(Reason::Full));
        apply(
            &mut state,
            host,
            &Act::Move {
                subject: Person([1; 32]),
            },
            [250; 32],
        );
        assert_eq!(state.check(guest, &accept, 0), Ok(()));
    }

    #[test]
    fn what_expired_is_forgotten_and_stays_refused() {
        let mut state = state();
        let host = state.host;
        let title = Act::Title {
            title: Text::clean("t"),
        };
        let room = RoomId([0; 32]);
        let action = Action::new(room, host, Head::genesis(room), 0, &title);
        apply(&mut state, host, &title, [1; 32]);
        assert_eq!(
            state.check_freshness(ActionId([1; 32]), &action, 1),
            Err(ActionError::Replayed)
        );
        assert_eq!(
            state.check_freshness(ActionId([1; 32]), &action, 30_000),
            Err(ActionError::Replayed)
        );
        state.clock = 30_001;
        apply(&mut state, host, &title, [2; 32]);
        assert!(!state.applied.contains_key(&ActionId([1; 32])));
        assert_eq!(
            state.check_freshness(ActionId([1; 32]), &action, 30_002),
            Err(ActionError::Expired { late_ms: 2 })
        );
    }
}
