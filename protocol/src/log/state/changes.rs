//! What an entry changes in a room, and what is different between two histories of it.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::{log::permissions::Role, media::Tag, person::Person};

use super::{State, Stay};

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

impl State {
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
}
