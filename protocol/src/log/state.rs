//! The state of a room: a pure fold over its log.
//!
//! Whether an act fits is asked in [`check`], with the table of [`super::permissions`]; what it changes is done in
//! [`apply`].

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use crate::{
    log::{
        action::{Act, ActionId},
        measures::{Exclusion, Mute, Office},
        permissions::Role,
        plan::Planned,
        rules::Rules,
    },
    media::Tag,
    person::Person,
    room::{Genesis, RoomId},
    signed::Verified,
    text::Text,
};

mod apply;
mod changes;
mod check;

pub use self::{changes::Change, check::ActionError};

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
    /// Everyone who was ever made a co-host.
    co_hosts: BTreeSet<Person>,
    /// Those of them who told two stories.
    exposed: BTreeSet<Person>,
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
            co_hosts: BTreeSet::new(),
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

    /// Whether a person could ever take the chair, now or before.
    pub(super) fn stood_in_line(&self, person: Person) -> bool {
        person == self.host || self.co_hosts.contains(&person)
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

    /// Room clock in milliseconds at which a speaker's time on the stage is over; none for those who have an office, and
    /// where there is no limit.
    #[must_use]
    pub fn speaks_until(&self, person: Person) -> Option<u64> {
        let time = self.rules.speaking_time()?;
        let stay = self.stage.get(&person)?;
        let lasts = u64::from(time.seconds) * 1_000;
        (self.role(person) == Role::Speaker).then(|| stay.began.max(time.since).saturating_add(lasts))
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
}

#[cfg(test)]
mod tests;
