//! Who takes sound from here, or would in need: places given, places free, and what the subtrees below claim.
//!
//! Invariant: there are never more children than places and emergency places, nor more standby children than
//! [`STANDBYS_A_PLACE`] allows.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{
    limits,
    neighbour::Neighbour,
    person::Peer,
    wire::message::{Candidate, Offer, Report, Slot},
};

/// How long a place that was named in a redirect is left out of the next ones. A newcomer dials, says hello and asks
/// within this, or not at all; longer and a crowd of people who gave up empties the list.
pub(super) const RESERVED_FOR: Duration = Duration::from_secs(2);

/// Most reservations remembered: a crowd beyond is redirected by the same offers again, and asks deeper.
const RESERVATIONS: usize = 512;

/// Standby children for each place. A standby costs a few digests a second where a child costs fifty packets, and every
/// member below needs one of the few elders that its parent names; with fewer, some find none.
pub(super) const STANDBYS_A_PLACE: usize = 4;

/// The least number of emergency places of whoever takes children at all: a relay of four that dies leaves four, whose
/// standbys are spread over a few elders.
const EMERGENCIES: usize = 2;

/// How long a child that was sent elsewhere has to go, before it is sent elsewhere again.
const TOLD_PATIENCE: Duration = Duration::from_secs(3);

/// One neighbour that was given a place.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) slot: Slot,
    /// When the place was given.
    pub(super) since: Duration,
    /// How many children it says it can take.
    pub(super) capacity: u16,
    /// What it last said of its subtree.
    pub(super) report: Option<Report>,
    /// When it was last asked to move elsewhere.
    pub(super) told: Option<Duration>,
}

impl Child {
    /// Whether it was told to move elsewhere, and has the time to.
    pub(super) fn is_going(&self, now: Duration) -> bool {
        self.told.is_some_and(|told| now < told + TOLD_PATIENCE)
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Children {
    links: BTreeMap<Neighbour, Child>,
    capacity: usize,
    reservations: Vec<Reservation>,
}

#[derive(Debug)]
struct Reservation {
    peer: Peer,
    quarters: u16,
    until: Duration,
}

impl Children {
    /// No children yet, and room for so many.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            links: BTreeMap::new(),
            capacity,
            reservations: Vec::new(),
        }
    }

    /// How many children there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// There is room for so many from now on.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Those with this kind of place, in a fixed order.
    pub(super) fn of(&self, slot: Slot) -> impl Iterator<Item = (Neighbour, &Child)> + '_ {
        self.links
            .iter()
            .filter(move |(_, child)| child.slot == slot)
            .map(|(link, child)| (*link, child))
    }

    /// Which place a neighbour has.
    pub(super) fn slot(&self, link: Neighbour) -> Option<Slot> {
        self.links.get(&link).map(|child| child.slot)
    }

    /// One neighbour with a place.
    pub(super) fn get_mut(&mut self, link: Neighbour) -> Option<&mut Child> {
        self.links.get_mut(&link)
    }

    /// How many take sound.
    pub(super) fn len(&self) -> usize {
        self.of(Slot::Child).count()
    }

    /// Since when the oldest of them takes it.
    pub(super) fn oldest_since(&self) -> Option<Duration> {
        self.of(Slot::Child).map(|(_, child)| child.since).min()
    }

    /// Places for children that nobody has.
    pub(super) fn free(&self) -> usize {
        self.capacity.saturating_sub(self.len())
    }

    /// How many children are there beyond the places.
    pub(super) fn excess(&self) -> usize {
        self.len().saturating_sub(self.capacity)
    }

    /// Whether a neighbour without a place could have one of this kind; `urgent` opens the emergency places.
    pub(super) fn has_room(&self, link: Neighbour, slot: Slot, urgent: bool) -> bool {
        if self.capacity == 0 {
            return false;
        }
        match slot {
            _ if self.slot(link) == Some(slot) => true,
            Slot::Child => {
                let extra = if urgent { self.emergencies() } else { 0 };
                self.len() < self.capacity + extra
            }
            Slot::Standby => self.of(Slot::Standby).count() < self.capacity * STANDBYS_A_PLACE,
        }
    }

    /// Gives a neighbour a place; whether that is news. One that asks for the place it has keeps it as it is.
    pub(super) fn admit(&mut self, link: Neighbour, slot: Slot, capacity: u16, now: Duration) -> bool {
        if let Some(child) = self.links.get_mut(&link).filter(|child| child.slot == slot) {
            child.capacity = capacity;
            return false;
        }
        let child = Child {
            slot,
            since: now,
            capacity,
            report: None,
            told: None,
        };
        self.links.insert(link, child);
        true
    }

    /// Takes a neighbour's place back; which one it had.
    pub(super) fn remove(&mut self, link: Neighbour) -> Option<Slot> {
        self.links.remove(&link).map(|child| child.slot)
    }

    /// What this member's subtree looks like. `me` is named while it has free places of its own.
    pub(super) fn report(&self, me: &Candidate) -> Report {
        let reports = || self.of(Slot::Child).map(|(_, child)| child.report.as_ref());
        let members = reports().fold(1_u32, |sum, report| {
            sum.saturating_add(report.map_or(1, |report| report.members.max(1)))
        });
        let own_free = u32::try_from(self.free()).unwrap_or(u32::MAX);
        let free = reports()
            .flatten()
            .fold(own_free, |sum, report| sum.saturating_add(report.free));
        let below = reports()
            .flatten()
            .flat_map(|report| &report.offers)
            .map(|offer| Offer {
                depth: offer.depth.saturating_add(1),
                ..offer.clone()
            });
        let own = (self.free() > 0).then(|| Offer {
            candidate: me.clone(),
            free: u16::try_from(self.free()).unwrap_or(u16::MAX),
            depth: 0,
        });
        let mut offers: Vec<Offer> = own.into_iter().chain(below).collect();
        offers.sort_by_key(|offer| (offer.depth, core::cmp::Reverse(offer.free), offer.candidate.peer));
        offers.truncate(limits::CANDIDATES);
        Report {
            members,
            free,
            offers,
        }
    }

    /// Whom to name to someone who finds no place here: those who offered one and were not named to too many others
    /// just now, nearest first. Neither `who` asks nor anybody below it is among them.
    ///
    /// Nor are those who were told to go themselves: two that are sent to each other would make a loop.
    pub(super) fn candidates(&mut self, (link, who): (Neighbour, Peer), now: Duration) -> Vec<Candidate> {
        self.reservations.retain(|reservation| reservation.until > now);
        let mut offers: Vec<&Offer> = self
            .of(Slot::Child)
            .filter(|(child, state)| *child != link && !state.is_going(now))
            .filter_map(|(_, child)| child.report.as_ref())
            .flat_map(|report| &report.offers)
            .filter(|offer| offer.candidate.peer != who && self.free_quarters(offer) > 0)
            .collect();
        offers.sort_by_key(|offer| {
            let left = self.free_quarters(offer);
            (offer.depth, core::cmp::Reverse(left), offer.candidate.peer)
        });
        let mut named = Vec::new();
        for offer in offers {
            if named.len() < limits::CANDIDATES && !named.contains(&offer.candidate) {
                named.push(offer.candidate.clone());
            }
        }
        self.reserve(&named, now);
        named
    }

    /// What is left of an offer, in quarters of a place: who is named among four takes a quarter of each.
    fn free_quarters(&self, offer: &Offer) -> u32 {
        let reserved: u32 = self
            .reservations
            .iter()
            .filter(|reservation| reservation.peer == offer.candidate.peer)
            .map(|reservation| u32::from(reservation.quarters))
            .sum();
        (u32::from(offer.free) * 4).saturating_sub(reserved)
    }

    fn reserve(&mut self, named: &[Candidate], now: Duration) {
        let quarters = 4_usize.div_ceil(named.len().max(1));
        let quarters = u16::try_from(quarters).unwrap_or(4);
        for candidate in named {
            if self.reservations.len() < RESERVATIONS {
                self.reservations.push(Reservation {
                    peer: candidate.peer,
                    quarters,
                    until: now + RESERVED_FOR,
                });
            }
        }
    }

    fn emergencies(&self) -> usize {
        (self.capacity / 2).max(EMERGENCIES)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn candidate(seed: u8) -> Candidate {
        Candidate {
            peer: Peer([seed; 32]),
            addresses: vec![],
        }
    }

    fn full(capacity: usize) -> Children {
        let mut children = Children::new(capacity);
        for link in 0..capacity as u64 {
            assert!(children.has_room(Neighbour(link), Slot::Child, false));
            assert!(children.admit(Neighbour(link), Slot::Child, 4, Duration::ZERO));
        }
        children
    }

    #[test]
    fn places_are_exceeded_by_emergencies_alone_and_asking_twice_takes_one() {
        let mut children = full(4);
        assert!(!children.has_room(Neighbour(9), Slot::Child, false));
        assert!(children.has_room(Neighbour(0), Slot::Child, false), "it has one");
        assert!(!children.admit(Neighbour(0), Slot::Child, 4, Duration::ZERO));
        for link in 10..12 {
            assert!(children.has_room(Neighbour(link), Slot::Child, true));
            children.admit(Neighbour(link), Slot::Child, 4, Duration::ZERO);
        }
        assert!(!children.has_room(Neighbour(12), Slot::Child, true));
        assert_eq!((children.len(), children.excess(), children.free()), (6, 2, 0));
    }

    #[test]
    fn a_leaf_takes_nobody_in_need_either() {
        let children = Children::new(0);
        assert!(!children.has_room(Neighbour(1), Slot::Child, true));
        assert!(!children.has_room(Neighbour(1), Slot::Standby, true));
    }

    #[test]
    fn standbys_are_bounded_apart_from_children() {
        let mut children = full(1);
        for link in 10..14 {
            assert!(children.has_room(Neighbour(link), Slot::Standby, false));
            children.admit(Neighbour(link), Slot::Standby, 4, Duration::ZERO);
        }
        assert!(!children.has_room(Neighbour(14), Slot::Standby, true));
        assert_eq!(children.len(), 1);
    }

    #[test]
    fn a_report_counts_the_subtree_and_names_its_nearest_free_places() {
        let mut children = full(2);
        let below = Report {
            members: 5,
            free: 7,
            offers: (1..=4)
                .map(|seed| Offer {
                    candidate: candidate(seed),
                    free: 2,
                    depth: seed,
                })
                .collect(),
        };
        children.get_mut(Neighbour(0)).expect("a child").report = Some(below);
        let report = children.report(&candidate(9));
        assert_eq!((report.members, report.free), (7, 7));
        assert_eq!(
            report.offers.iter().map(|offer| offer.depth).collect::<Vec<_>>(),
            [2, 3, 4, 5]
        );
        children.remove(Neighbour(1));
        let report = children.report(&candidate(9));
        assert_eq!((report.members, report.free), (6, 8));
        assert_eq!(
            report
                .offers
                .first()
                .map(|offer| (offer.candidate.peer, offer.depth)),
            Some((Peer([9; 32]), 0))
        );
        assert_eq!(report.offers.len(), limits::CANDIDATES);
    }

    #[test]
    fn a_crowd_is_spread_over_what_was_offered_and_places_come_back() {
        let mut children = full(1);
        let offers = vec![Offer {
            candidate: candidate(1),
            free: 2,
            depth: 0,
        }];
        let report = Report {
            members: 1,
            free: 2,
            offers,
        };
        children.get_mut(Neighbour(0)).expect("a child").report = Some(report);
        let asker = (Neighbour(7), Peer([7; 32]));
        for _ in 0..2 {
            assert_eq!(children.candidates(asker, Duration::ZERO), [candidate(1)]);
        }
        assert_eq!(children.candidates(asker, Duration::ZERO), []);
        assert_eq!(children.candidates(asker, RESERVED_FOR), [candidate(1)]);
        let later = RESERVED_FOR * 3;
        assert_eq!(
            children.candidates((Neighbour(7), Peer([1; 32])), later),
            [],
            "not to itself"
        );
        assert_eq!(
            children.candidates((Neighbour(0), Peer([7; 32])), later),
            [],
            "not below itself"
        );
    }
}
