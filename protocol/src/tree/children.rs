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

use super::affinity;

/// How long a place that was named in a redirect is left out of the next ones. A newcomer dials, says hello and asks
/// within this, or not at all; longer and a crowd of people who gave up empties the list.
pub(super) const RESERVED_FOR: Duration = Duration::from_secs(2);

/// Most members for whom it is remembered how many were sent to them of late: a few more than the children's offers name.
const RESERVATIONS: usize = 512;

/// Most children named for what may be left below them. Of those named the nearest is asked, so more of them sends a
/// crowd to the same one; and one alone may be gone.
const RELAYS_NAMED: usize = 2;

/// Offers of one child that come before those of others: one that lies must not speak for all. Fewer makes the tree
/// deeper, as the nearest free places mostly are below few children.
const OFFERS_FIRST: usize = 2;

/// How long whoever was sent to others and asks again is not sent to the same. Where it was sent there was no place, or
/// nobody: a report may be out of date, or a lie. Longer, and places that became free meanwhile are kept from it.
const VAIN_FOR: Duration = Duration::from_secs(30);

/// Most others to whom one asker was sent that are remembered: a report's offers and the children of a usual member.
const MOST_SENT: usize = 32;

/// Most askers of whom that is remembered.
const ASKERS: usize = 256;

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
    /// How many there is room for now.
    capacity: usize,
    /// The same when nothing strains the line.
    most: usize,
    reservations: BTreeMap<Peer, Reserved>,
    sent: BTreeMap<Peer, Sent>,
}

/// Whom an asker was sent to.
#[derive(Debug)]
struct Sent {
    to: Vec<Peer>,
    until: Duration,
}

/// Quarters of places set aside, in this half of [`RESERVED_FOR`] and in the one before.
#[derive(Debug, Clone, Copy, Default)]
struct Reserved {
    half: u64,
    now: u32,
    before: u32,
}

impl Reserved {
    /// As it is in a later half.
    fn at(self, half: u64) -> Self {
        match half.saturating_sub(self.half) {
            0 => self,
            1 => Self {
                half,
                now: 0,
                before: self.now,
            },
            _ => Self {
                half,
                ..Self::default()
            },
        }
    }

    fn quarters(self) -> u32 {
        self.now.saturating_add(self.before)
    }
}

impl Children {
    /// No children yet, and room for so many.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            links: BTreeMap::new(),
            capacity,
            most: capacity,
            reservations: BTreeMap::new(),
            sent: BTreeMap::new(),
        }
    }

    /// How many children there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// There is room for so many at most from now on.
    pub(super) fn limit(&mut self, most: usize) {
        self.most = self.most.min(most);
        self.capacity = self.capacity.min(most);
    }

    /// The line does not carry those who are here: there is room for three quarters of them, and for one at least.
    /// Whether that is fewer than before.
    pub(super) fn lower(&mut self) -> bool {
        let fewer = (self.len().min(self.capacity) * 3 / 4).max(1);
        let is_lower = fewer < self.capacity;
        if is_lower {
            self.capacity = fewer;
        }
        is_lower
    }

    /// There is room for one more, up to the most. Whether for more still after that.
    pub(super) fn raise(&mut self) -> bool {
        self.capacity = (self.capacity + 1).min(self.most);
        self.capacity < self.most
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

    /// Since when a neighbour has its place.
    pub(super) fn since(&self, link: Neighbour) -> Option<Duration> {
        self.links.get(&link).map(|child| child.since)
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
        let below = reports().flatten().flat_map(|report| {
            let offers = report.offers.iter().enumerate();
            offers.map(|(place, offer)| (place >= OFFERS_FIRST, offer.depth.saturating_add(1), offer))
        });
        let mut below: Vec<(bool, u8, &Offer)> = below.collect();
        below.sort_by_key(|(is_more, depth, offer)| {
            (
                *is_more,
                *depth,
                core::cmp::Reverse(offer.free),
                offer.candidate.peer,
            )
        });
        let below = below.into_iter().map(|(_, depth, offer)| Offer {
            depth,
            ..offer.clone()
        });
        let own = (self.free() > 0).then(|| Offer {
            candidate: me.clone(),
            free: u16::try_from(self.free()).unwrap_or(u16::MAX),
            depth: 0,
        });
        Report {
            members,
            free,
            offers: own.into_iter().chain(below).take(limits::CANDIDATES).collect(),
        }
    }

    /// Whom to name to someone who finds no place here: those who offered one and were not named to too many others
    /// just now, nearest first. Neither `who` asks nor anybody below it is among them, nor whom it was sent to before.
    ///
    /// Nor are those who were told to go themselves: two that are sent to each other would make a loop.
    pub(super) fn candidates(&mut self, (link, who): (Neighbour, Peer), now: Duration) -> Vec<Candidate> {
        let half = half_at(now);
        self.reservations
            .retain(|_, reserved| reserved.at(half).quarters() > 0);
        let left = |offer: &Offer| {
            (u32::from(offer.free) * 4).saturating_sub(self.reserved(offer.candidate.peer, half))
        };
        let is_open = |offer: &&Offer| {
            let peer = offer.candidate.peer;
            peer != who && left(offer) > 0 && !self.was_sent(who, peer, now)
        };
        let mut offers: Vec<(bool, u32, &Offer)> = self
            .of(Slot::Child)
            .filter(|(child, state)| *child != link && !state.is_going(now))
            .filter_map(|(_, child)| child.report.as_ref())
            .flat_map(|report| report.offers.iter().filter(is_open).enumerate())
            .map(|(place, offer)| (place >= OFFERS_FIRST, left(offer), offer))
            .collect();
        offers.sort_unstable_by_key(|(is_more, left, offer)| {
            (
                *is_more,
                offer.depth,
                core::cmp::Reverse(*left),
                offer.candidate.peer,
            )
        });
        let mut named: Vec<Candidate> = Vec::new();
        for (_, _, Offer { candidate, .. }) in offers {
            if named.len() < limits::CANDIDATES && !named.contains(candidate) {
                named.push(candidate.clone());
            }
        }
        self.reserve(&named, now);
        self.note_sent(who, &named, now);
        named
    }

    /// Children that may know of places below them, for someone who was named fewer than could be: those first to which
    /// the fewest were sent of late, for all that is left below them, and to whom this one was not.
    pub(super) fn relays(
        &mut self,
        (link, who): (Neighbour, Peer),
        candidate: impl Fn(Neighbour) -> Option<Candidate>,
        now: Duration,
    ) -> Vec<Candidate> {
        let half = half_at(now);
        let mut relays: Vec<(bool, bool, u32, u64, Candidate)> = self
            .of(Slot::Child)
            .filter(|(child, state)| *child != link && state.capacity > 0 && !state.is_going(now))
            .filter_map(|(child, state)| {
                let relay = candidate(child)?;
                let free = state.report.as_ref().map(|report| report.free);
                let load = self.reserved(relay.peer, half) / free.unwrap_or(1).max(1);
                let in_vain = self.was_sent(who, relay.peer, now);
                Some((in_vain, free == Some(0), load, affinity(who, relay.peer), relay))
            })
            .filter(|(_, _, _, _, relay)| relay.peer != who)
            .collect();
        relays.sort_unstable_by_key(|(in_vain, is_full, load, affinity, _)| {
            (*in_vain, *is_full, *load, *affinity)
        });
        let named: Vec<Candidate> = relays
            .into_iter()
            .take(RELAYS_NAMED)
            .map(|(_, _, _, _, relay)| relay)
            .collect();
        self.reserve(&named, now);
        self.note_sent(who, &named, now);
        named
    }

    /// Whether a child may have free places below it: it says so, or has just come with places of its own.
    pub(super) fn may_have_room_below(&self) -> bool {
        self.of(Slot::Child).any(|(_, child)| match &child.report {
            Some(report) => report.free > 0,
            None => child.capacity > 0,
        })
    }

    fn was_sent(&self, who: Peer, to: Peer, now: Duration) -> bool {
        let sent = self.sent.get(&who).filter(|sent| now < sent.until);
        sent.is_some_and(|sent| sent.to.contains(&to))
    }

    /// Remembers whom an asker is sent to, so that it is sent elsewhere if it comes back.
    fn note_sent(&mut self, who: Peer, named: &[Candidate], now: Duration) {
        if named.is_empty() {
            return;
        }
        if self.sent.len() >= ASKERS {
            self.sent.retain(|_, sent| now < sent.until);
        }
        if self.sent.len() < ASKERS || self.sent.contains_key(&who) {
            let fresh = Sent {
                to: Vec::new(),
                until: now,
            };
            let sent = self.sent.entry(who).or_insert(fresh);
            if sent.until <= now {
                sent.to.clear();
            }
            let named = named.iter().map(|candidate| candidate.peer);
            sent.to
                .extend(named.take(MOST_SENT.saturating_sub(sent.to.len())));
            sent.until = now + VAIN_FOR;
        }
    }

    /// Quarters of places that are set aside at a member: who is named among four takes a quarter of each.
    fn reserved(&self, peer: Peer, half: u64) -> u32 {
        self.reservations
            .get(&peer)
            .map_or(0, |reserved| reserved.at(half).quarters())
    }

    fn reserve(&mut self, named: &[Candidate], now: Duration) {
        let half = half_at(now);
        let quarters = 4_usize.div_ceil(named.len().max(1));
        let quarters = u32::try_from(quarters).unwrap_or(4);
        for candidate in named {
            if self.reservations.len() < RESERVATIONS || self.reservations.contains_key(&candidate.peer) {
                let reserved = self.reservations.entry(candidate.peer).or_default();
                *reserved = reserved.at(half);
                reserved.now = reserved.now.saturating_add(quarters);
            }
        }
    }

    fn emergencies(&self) -> usize {
        (self.capacity / 2).max(EMERGENCIES)
    }
}

/// Which half of [`RESERVED_FOR`] a time lies in.
fn half_at(now: Duration) -> u64 {
    let half = (RESERVED_FOR / 2).as_millis().max(1);
    u64::try_from(now.as_millis() / half).unwrap_or(u64::MAX)
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
        let asker = |seed: u8| (Neighbour(seed.into()), Peer([seed; 32]));
        for seed in [7, 8] {
            assert_eq!(children.candidates(asker(seed), Duration::ZERO), [candidate(1)]);
        }
        assert_eq!(children.candidates(asker(9), Duration::ZERO), []);
        assert_eq!(children.candidates(asker(9), RESERVED_FOR), [candidate(1)]);
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

    fn claims(children: &mut Children, link: u64, free: u16, peers: core::ops::Range<u8>) {
        let offers = peers.map(|seed| Offer {
            candidate: candidate(seed),
            free,
            depth: 0,
        });
        let report = Report {
            members: 1,
            free: free.into(),
            offers: offers.collect(),
        };
        children.get_mut(Neighbour(link)).expect("a child").report = Some(report);
    }

    #[test]
    fn one_child_that_offers_without_end_does_not_speak_for_all() {
        let mut children = full(3);
        claims(&mut children, 0, u16::MAX, 10..14);
        claims(&mut children, 1, 1, 20..21);
        claims(&mut children, 2, 1, 30..31);
        let honest = [candidate(20), candidate(30)];
        let asker = (Neighbour(7), Peer([7; 32]));
        let named = children.candidates(asker, Duration::ZERO);
        assert!(
            honest.iter().all(|candidate| named.contains(candidate)),
            "{named:?}"
        );
        let offers = children.report(&candidate(9)).offers;
        assert!(
            honest
                .iter()
                .all(|candidate| offers.iter().any(|offer| offer.candidate == *candidate)),
            "{offers:?}"
        );
    }

    #[test]
    fn a_child_that_has_just_come_with_places_may_have_room_below_and_one_that_is_full_has_none() {
        let mut children = full(1);
        assert!(children.may_have_room_below());
        claims(&mut children, 0, 0, 0..0);
        assert!(!children.may_have_room_below());
        children.admit(Neighbour(1), Slot::Child, 0, Duration::ZERO);
        assert!(!children.may_have_room_below(), "a leaf");
    }

    #[test]
    fn who_was_sent_somewhere_in_vain_is_sent_elsewhere_and_others_are_not_kept_from_it() {
        let mut children = full(2);
        claims(&mut children, 0, u16::MAX, 10..14);
        let asker = (Neighbour(7), Peer([7; 32]));
        let relay = |link: Neighbour| Some(candidate(100 + link.0 as u8));
        assert_eq!(children.candidates(asker, Duration::ZERO).len(), 4);
        assert_eq!(children.candidates(asker, RESERVED_FOR), []);
        let relays = children.relays(asker, relay, RESERVED_FOR);
        assert_eq!(relays.len(), 2, "its children know better");
        let other = (Neighbour(8), Peer([8; 32]));
        assert_eq!(children.candidates(other, RESERVED_FOR).len(), 4);
        let later = RESERVED_FOR + VAIN_FOR;
        assert_eq!(
            children.candidates(asker, later).len(),
            4,
            "it may be true by now"
        );
    }
}
