//! The fold: what an entry that was found valid makes of a room.

use alloc::{collections::BTreeSet, vec, vec::Vec};

use crate::{
    limits,
    log::{
        action::{Act, Action, ActionId},
        entry::Entry,
        measures::{Exclusion, Mute, Office},
        permissions::Role,
    },
    media::Tag,
    person::Person,
    signed::Signed,
};

use super::{Change, State, Stay};

impl State {
    /// Applies an entry for which every check was passed. An unknown act changes nothing but clock and term.
    pub(in crate::log) fn apply(
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
                if *role == Role::CoHost {
                    self.co_hosts.insert(*subject);
                }
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

    pub(super) fn muted(&self, person: Person) -> Option<Change> {
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
