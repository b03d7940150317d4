//! On which link each raised hand came: whoever raises many in other names has its share of the queue, and no more.
//!
//! The chair keeps it for its queue, and has a full one make room for whoever has less of it. A relay keeps it for what it
//! passes up, and lets no link have more than a quarter of the queue.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{log::ActionId, neighbour::Neighbour, person::Person};

/// Hands, the one that came last behind the others.
#[derive(Debug, Default)]
pub(super) struct Shares {
    hands: Vec<Share>,
}

#[derive(Debug)]
struct Share {
    person: Person,
    /// None: this member's own.
    link: Option<Neighbour>,
    /// The last note.
    note: ActionId,
    /// When it came.
    at: Duration,
}

impl Shares {
    pub(super) fn knows(&self, person: Person) -> bool {
        self.hands.iter().any(|share| share.person == person)
    }

    /// How many came on a link.
    pub(super) fn of(&self, link: Option<Neighbour>) -> usize {
        self.hands.iter().filter(|share| share.link == link).count()
    }

    /// A hand that came on this link is up. One that is known stays with the link on which it came first.
    pub(super) fn note(&mut self, person: Person, link: Option<Neighbour>, note: ActionId, at: Duration) {
        if let Some(share) = self.hands.iter_mut().find(|share| share.person == person) {
            (share.note, share.at) = (note, at);
        } else {
            self.hands.push(Share {
                person,
                link,
                note,
                at,
            });
        }
    }

    /// Whose hand goes down for one more from this link, where there is no place left: the last one of the link that has
    /// most, if that leaves it no fewer than this one then has. `None`: this link has its share.
    pub(super) fn yields(&self, to: Option<Neighbour>) -> Option<Person> {
        let mut counts: BTreeMap<Option<Neighbour>, usize> = BTreeMap::new();
        for share in &self.hands {
            *counts.entry(share.link).or_default() += 1;
        }
        let (most, count) = counts.iter().max_by_key(|(_, count)| **count)?;
        if *count < self.of(to) + 2 {
            return None;
        }
        let mut last = self.hands.iter().rev();
        last.find(|share| share.link == *most).map(|share| share.person)
    }

    /// Keeps those that are up.
    pub(super) fn retain(&mut self, is_up: impl Fn(Person) -> bool) {
        self.hands.retain(|share| is_up(share.person));
    }

    /// Forgets those of which nothing was heard since.
    pub(super) fn lapse(&mut self, since: Duration) {
        self.hands.retain(|share| share.at >= since);
    }

    /// Forgets the hand of a note that was refused.
    pub(super) fn refused(&mut self, note: ActionId) {
        self.hands.retain(|share| share.note != note);
    }

    /// Forgets a hand that was lowered on the link on which it came: whoever else says so may not be its owner.
    pub(super) fn lowered(&mut self, person: Person, link: Neighbour) {
        self.hands
            .retain(|share| (share.person, share.link) != (person, Some(link)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    fn filled(by: impl Fn(usize) -> u64) -> Shares {
        let mut shares = Shares::default();
        for n in 0..limits::HANDS {
            let link = Some(Neighbour(by(n)));
            shares.note(
                Person([n as u8; 32]),
                link,
                ActionId([n as u8; 32]),
                Duration::ZERO,
            );
        }
        shares
    }

    #[test]
    fn the_last_of_the_link_that_has_most_yields_until_all_have_as_many() {
        let mut shares = filled(|_| 1);
        let mut taken = 0;
        while let Some(out) = shares.yields(Some(Neighbour(2))) {
            assert_eq!(out, Person([limits::HANDS as u8 - 1 - taken; 32]));
            shares.retain(|person| person != out);
            let person = Person([100 + taken; 32]);
            shares.note(person, Some(Neighbour(2)), ActionId([0; 32]), Duration::ZERO);
            taken += 1;
        }
        assert_eq!(usize::from(taken), limits::HANDS / 2);
        assert!(shares.yields(None).is_some(), "a third has its share too");
        let even = filled(|n| n as u64 % 4);
        assert_eq!(even.yields(Some(Neighbour(0))), None);
        assert!(even.yields(Some(Neighbour(9))).is_some());
    }

    #[test]
    fn a_hand_stays_with_its_first_link_until_it_is_down() {
        let mut shares = filled(|n| 1 + u64::from(n >= 60));
        let (who, other) = (Person([0; 32]), Some(Neighbour(2)));
        shares.note(who, other, ActionId([99; 32]), Duration::from_secs(9));
        shares.lowered(who, Neighbour(2));
        assert!(shares.knows(who));
        shares.lapse(Duration::from_secs(1));
        assert!(shares.knows(who));
        assert_eq!((shares.of(Some(Neighbour(1))), shares.of(other)), (1, 0));
        shares.refused(ActionId([99; 32]));
        assert!(!shares.knows(who));
    }
}
