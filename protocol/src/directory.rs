//! The directory: which public rooms we have heard of, from whom, and for how long they are believed (SPEC.md
//! section 13).
//!
//! Keys are free, so rooms are free: the directory is a place to be flooded. Invariants: it holds no more than
//! [`Bounds::rooms`], no more than [`Bounds::per_peer`] through one peer and [`Bounds::per_network`] through one
//! network; of a room only the newest announcement; nothing unheard of for [`FORGET`]. Our own rooms are never
//! pushed out. A room that has ended is listed no more, and not brought back by what was said of it before: ends are
//! remembered, no more than [`Bounds::ends`] of them. Rooms that are announced ahead have places of their own, which are
//! shared out otherwise, since they are kept for weeks: `plans`. What a peer makes us verify has a budget, checked before the
//! signature.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{net::IpAddr, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    announcement::{Announcement, Listing, ListingError, Status},
    limits,
    person::Peer,
    reason::Reason,
    room::{Genesis, RoomId, RoomTag},
    signed::{Malformed, Signed, StatementError, Verified},
    wire::directory::{ANSWER_BYTES, Answer, Query},
};

mod ended;
mod plans;
#[cfg(test)]
mod plans_tests;

pub use ended::REMEMBER;
pub use plans::REPEAT;

/// How long a room is listed after it was last heard of, by the monotonic clock. Ten announcements in a row must
/// be lost for a room to vanish wrongly; a room whose host was killed is listed for no longer.
pub const FORGET: Duration = Duration::from_secs(600);

/// How soon the same announcement is passed on again on one topic. Half the interval at which it is repeated: each
/// repetition travels once, and a flood of one announcement stops at its first honest receiver.
pub const PASS_ON_AGAIN: Duration = Duration::from_secs(30);

/// Announcements that one peer may make us verify at once; a newcomer asks for the whole directory. 0.1 s of work.
const BURST: u32 = 1_024;

/// How often one more may be verified for a peer: 32 a second, three times what 2,000 rooms need that sign anew every
/// three minutes, and half a percent of a core.
const REFILL: Duration = Duration::from_millis(31);

/// Most peers whose budgets are remembered. Those with the most left are forgotten first.
const BUDGETS: usize = 4_096;

/// Bytes of an answer around its announcements: version, count, `more`.
const ANSWER_OVERHEAD: usize = 8;

/// How much a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rooms altogether.
    pub rooms: usize,
    /// Rooms that one peer has handed us.
    pub per_peer: usize,
    /// Rooms that the peers of one network have handed us.
    pub per_network: usize,
    /// Ends that are remembered.
    pub ends: usize,
    /// Of those, ends that one peer has handed us.
    pub ends_per_peer: usize,
    /// Rooms announced ahead, and what is remembered of those that were.
    pub plans: usize,
    /// Of those, what one peer has handed us.
    pub plans_per_peer: usize,
    /// Of those, what the peers of one network have handed us.
    pub plans_per_network: usize,
    /// Rooms to come of one host.
    pub plans_per_host: usize,
}

/// The part of an address that is cheap to have many of: a /24 of IPv4, a /48 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Network {
    /// The first 24 bits.
    V4([u8; 3]),
    /// The first 48 bits.
    V6([u8; 6]),
}

/// Who handed us an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The key that the connection proved, or a hash of it when it is not Ed25519.
    pub id: [u8; 32],
    /// The peer, when its key is Ed25519 and it may thus be a member.
    pub peer: Option<Peer>,
    /// Its network; none on loopback and in private ranges, where many share one honestly.
    pub network: Option<Network>,
}

/// What an announcement told us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its room.
    pub room: RoomId,
    /// How much of it was news.
    pub news: News,
    /// A room that is no longer listed: one that was pushed out for it, or that has ended.
    pub evicted: Option<RoomId>,
}

/// How much of an announcement was news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The room was not listed.
    Room,
    /// It says something newer about a room that was.
    Newer,
    /// It is the one we have.
    Again,
    /// The room has ended.
    End,
}

/// Why an announcement did not enter the directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not prove itself, or is not fresh.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// We have a newer one: whoever sent it has not heard yet.
    #[error("a newer announcement is known")]
    Older,
    /// This peer has made us verify too much; later it may again.
    #[error("too many announcements from this peer")]
    Budget,
    /// No room is left that others would not miss more.
    #[error("the directory is full")]
    Full,
}

/// The public rooms that we have heard of.
#[derive(Debug)]
pub struct Directory {
    bounds: Bounds,
    rooms: BTreeMap<RoomId, Entry>,
    /// Rooms that have ended; none of them is listed.
    ended: BTreeMap<RoomId, Entry>,
    /// Rooms that are to come, and what was said of those that are not any more.
    plans: plans::Plans,
    budgets: BTreeMap<[u8; 32], Budget>,
}

#[derive(Debug)]
struct Entry {
    listing: Listing,
    /// Who is charged for it; nobody for our own rooms.
    source: Option<Source>,
    /// Whether a member itself handed it over.
    confirmed: bool,
    heard: Duration,
    /// When this announcement was last passed on, for all rooms and for each of its tags.
    passed_on: [Option<Duration>; 1 + limits::TAGS],
}

/// What a peer may still make us verify: `left` at the time `at`.
#[derive(Debug, Clone, Copy)]
struct Budget {
    left: u32,
    at: Duration,
}

impl Default for Bounds {
    /// 2,000 rooms at no more than 16 MB; half of them through one peer, three quarters through one network, so that
    /// no single one of either can fill it. Of the ends as many as come in twenty minutes when those rooms last an hour
    /// or two. A thousand rooms to come, at 8 MB, of which a neighbour that tells of all it knows brings a quarter; more
    /// than eight of one host at once are a program of events, for which it may take another key.
    fn default() -> Self {
        Self {
            rooms: 2_000,
            per_peer: 1_000,
            per_network: 1_500,
            ends: 512,
            ends_per_peer: 256,
            plans: 1_000,
            plans_per_peer: 250,
            plans_per_network: 500,
            plans_per_host: 8,
        }
    }
}

impl Network {
    /// The network of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(mapped) => Self::of(mapped.into()),
                None => {
                    let [a, b, c, d, e, f, ..] = ip.octets();
                    Self::V6([a, b, c, d, e, f])
                }
            },
        }
    }
}

impl Refusal {
    /// Whether the sender made or passed on what it should have seen to be wrong. A newer version of the protocol, a
    /// wrong clock and a full directory are nobody's fault.
    #[must_use]
    pub fn is_senders_fault(&self) -> bool {
        let malformed = |malformed: &Malformed| {
            !matches!(
                malformed,
                Malformed::Version { .. } | Malformed::NeedsExtension { .. } | Malformed::NeedsNewer { .. }
            )
        };
        match self {
            Self::Listing(ListingError::Statement(StatementError::Malformed(error))) => malformed(error),
            Self::Listing(ListingError::Statement(StatementError::Signature(_)))
            | Self::Listing(ListingError::NotTheHost | ListingError::NotPublic | ListingError::NotPlanned) => {
                true
            }
            Self::Listing(ListingError::Stale) | Self::Older | Self::Budget | Self::Full => false,
        }
    }
}

impl Refusal {
    /// What somebody is told who asked for it to be kept.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Listing(ListingError::Statement(StatementError::Malformed(malformed))) => {
                malformed.reason()
            }
            Self::Listing(ListingError::Statement(StatementError::Signature(_))) => Reason::Malformed,
            Self::Listing(ListingError::Stale) => Reason::Expired,
            Self::Listing(_) => Reason::NotAllowed,
            Self::Older => Reason::Duplicate,
            Self::Budget => Reason::TooMany,
            Self::Full => Reason::Full,
        }
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Directory {
    /// An empty directory.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            rooms: BTreeMap::new(),
            ended: BTreeMap::new(),
            plans: plans::Plans::default(),
            budgets: BTreeMap::new(),
        }
    }

    /// How many rooms are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether no room is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many rooms to come are listed.
    #[must_use]
    pub fn len_of_plans(&self) -> usize {
        self.plans.len()
    }

    /// What is known of a room that is open or to come.
    #[must_use]
    pub fn get(&self, room: &RoomId) -> Option<&Listing> {
        let live = self.rooms.get(room).map(|entry| &entry.listing);
        live.or_else(|| self.plans.to_come(room))
    }

    /// Why a room that was to come is not listed: that it was called off.
    #[must_use]
    pub fn cancelled(&self, room: &RoomId) -> Option<&Listing> {
        let listing = &self.plans.get(room)?.listing;
        matches!(listing.status(), Status::Cancelled { .. }).then_some(listing)
    }

    /// The rooms to come, or those with a tag, in ascending order of their ids; among them those that were called off and
    /// would be.
    pub fn plans<'a>(&'a self, tag: Option<&'a RoomTag>) -> impl Iterator<Item = &'a Listing> {
        let has_tag = move |tag: &RoomTag, listing: &Listing| listing.genesis().tags.contains(tag);
        let shown = self.plans.shown();
        shown.filter(move |listing| tag.is_none_or(|tag| has_tag(tag, listing)))
    }

    /// The genesis of a room that is listed, or was.
    #[must_use]
    pub fn genesis(&self, room: &RoomId) -> Option<&Verified<Genesis>> {
        self.known_entry(room).map(|entry| entry.listing.genesis())
    }

    /// The open rooms that are listed, or those with a tag, in ascending order of their ids.
    pub fn rooms<'a>(&'a self, tag: Option<&'a RoomTag>) -> impl Iterator<Item = &'a Listing> {
        self.rooms
            .values()
            .map(|entry| &entry.listing)
            .filter(move |listing| tag.is_none_or(|tag| listing.genesis().tags.contains(tag)))
    }

    /// The answer to a peer's question. It tells of ends too: who asks may list what is over.
    #[must_use]
    pub fn answer(&self, query: &Query) -> Answer {
        let most = usize::from(query.limit).min(limits::DIRECTORY_ANSWER);
        let mut answer = Answer::default();
        let mut bytes = ANSWER_OVERHEAD;
        for listing in self.asked_for(query) {
            let announcement = listing.announcement();
            // Two more bytes for the length before the payload.
            bytes += announcement.signed().size() + 2;
            if answer.announcements.len() >= most || bytes > ANSWER_BYTES {
                answer.more = true;
                break;
            }
            answer.announcements.push(announcement.signed().clone());
        }
        answer
    }

    /// Takes an announcement that a peer handed us; `wall` is our wall clock in Unix seconds.
    ///
    /// # Errors
    /// [`Refusal`] says why nothing was learned from it.
    pub fn handle_announcement(
        &mut self,
        signed: Signed<Announcement>,
        source: Source,
        wall: u64,
        now: Duration,
    ) -> Result<Heard, Refusal> {
        if let Some(room) = self.known(&signed, source, wall)? {
            if !self.has_opened(&room) && self.plans.is_closed(&room) {
                return Err(Refusal::Older);
            }
            self.hear_again(room, source, now);
            self.plans.hear_again(room, source, &self.bounds, now);
            return Ok(Heard {
                room,
                news: News::Again,
                evicted: None,
            });
        }
        if !self.spend(source.id, now) {
            return Err(Refusal::Budget);
        }
        let listing = Listing::verify(signed, wall, source.peer)?;
        match listing.status() {
            Status::Ended => self.handle_end(listing, source, wall, now),
            Status::Live => self.insert(listing, source, now),
            Status::Planned(_) | Status::Cancelled { .. } => self.keep_plan(listing, source, wall, now),
        }
    }

    /// Forgets what has not been heard of for too long, and says which rooms those were.
    pub fn handle_timeout(&mut self, now: Duration) -> Vec<RoomId> {
        self.budgets.retain(|_, budget| budget.refilled(now).left < BURST);
        let mut gone: Vec<_> = self
            .rooms
            .iter()
            .filter(|(_, entry)| entry.source.is_some() && entry.heard + FORGET <= now)
            .map(|(room, _)| *room)
            .collect();
        for room in &gone {
            self.rooms.remove(room);
        }
        self.ended.retain(|_, entry| now < entry.heard + REMEMBER);
        gone.extend(self.plans.handle_timeout(now));
        gone
    }

    /// Lists a room of our own until its end, or what is planned of it; replaces what others say about it.
    pub fn announce(&mut self, listing: Listing, now: Duration) {
        let room = listing.announcement().room;
        if matches!(listing.status(), Status::Planned(_) | Status::Cancelled { .. }) {
            return self.plans.keep_own(listing, now);
        }
        self.plans.close(&room);
        let mut entry = Entry::new(listing, None, now);
        entry.confirmed = true;
        self.ended.remove(&room);
        self.rooms.insert(room, entry);
    }

    /// Ends a room of our own; true when it was listed.
    pub fn end(&mut self, end: Listing, now: Duration) -> bool {
        self.remember(end, None, now)
    }

    /// Records of rooms to come that are kept for others, as they are written down between two runs of a node.
    #[must_use]
    pub fn written(&self) -> Vec<Bytes> {
        self.plans.written()
    }

    /// Keeps one that an earlier run has written down, before anything else is heard.
    ///
    /// # Errors
    /// [`Refusal`] when it is damaged, does not count any more or has no place.
    pub fn restore(&mut self, written: &[u8], wall: u64, now: Duration) -> Result<(), Refusal> {
        self.plans.restore(written, &self.bounds, (wall, now))
    }

    /// Records of rooms to come that are kept for others and that nobody has repeated for [`REPEAT`], a few at a time.
    pub fn repeat(&mut self, now: Duration) -> Vec<Listing> {
        self.plans.repeat(now)
    }

    /// Whether what was just heard of a room is to be passed on: on the topic of all rooms, or that of one of its tags.
    pub fn pass_on(&mut self, room: &RoomId, tag: Option<&RoomTag>, now: Duration) -> bool {
        let entry = match self.rooms.get_mut(room) {
            Some(listed) => Some(listed),
            None if self.ended.contains_key(room) => self.ended.get_mut(room),
            None => self.plans.get_mut(room),
        };
        let Some(entry) = entry else {
            return false;
        };
        let tags = &entry.listing.genesis().tags;
        let topic = match tag {
            None => 0,
            Some(tag) => match tags.iter().position(|own| own == tag) {
                Some(position) => 1 + position,
                None => return false,
            },
        };
        let Some(passed_on) = entry.passed_on.get_mut(topic) else {
            return false;
        };
        if passed_on.is_some_and(|last| now < last + PASS_ON_AGAIN) {
            return false;
        }
        *passed_on = Some(now);
        true
    }

    /// When the next room is to be forgotten. Ends are forgotten with whatever comes next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.rooms
            .values()
            .filter(|entry| entry.source.is_some())
            .map(|entry| entry.heard + FORGET)
            .chain(self.plans.poll_timeout())
            .min()
    }

    /// The room of an announcement that we hold byte for byte: its signature need not be verified again, but it must
    /// still be fresh, or two directories would keep a dead room alive between them.
    fn known(
        &self,
        signed: &Signed<Announcement>,
        source: Source,
        wall: u64,
    ) -> Result<Option<RoomId>, ListingError> {
        let claim = signed.peek()?;
        let Some(entry) = self.known_entry(&claim.room) else {
            return Ok(None);
        };
        if entry.listing.announcement().signed() != signed {
            return Ok(None);
        }
        if claim.counts_at(wall, source.peer) {
            Ok(Some(claim.room))
        } else {
            Err(ListingError::Stale)
        }
    }

    fn hear_again(&mut self, room: RoomId, source: Source, now: Duration) {
        let has_space = self.has_space_for(source, Some(room));
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.heard = now;
            entry.confirm(source, has_space);
        }
    }

    /// Keeps what is planned of a room, or that it was called off. Of one that has opened or ended nothing is planned.
    fn keep_plan(
        &mut self,
        listing: Listing,
        source: Source,
        wall: u64,
        now: Duration,
    ) -> Result<Heard, Refusal> {
        let room = listing.announcement().room;
        let known = self.plans.get(&room);
        let is_older =
            known.is_some_and(|known| known.source.is_none() || !listing.is_newer_than(&known.listing));
        if self.has_opened(&room) || is_older || self.plans.is_closed(&room) {
            return Err(Refusal::Older);
        }
        self.plans.keep(listing, source, &self.bounds, (wall, now))
    }

    fn insert(&mut self, listing: Listing, source: Source, now: Duration) -> Result<Heard, Refusal> {
        let room = listing.announcement().room;
        let known = self.known_entry(&room);
        if known.is_some_and(|known| !listing.is_newer_than(&known.listing)) {
            return Err(Refusal::Older);
        }
        let was_planned = self.plans.to_come(&room).is_some();
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.listing = listing;
            entry.passed_on = [None; 1 + limits::TAGS];
            self.hear_again(room, source, now);
            return Ok(Heard {
                room,
                news: News::Newer,
                evicted: None,
            });
        }
        let mut entry = Entry::new(listing, Some(source), now);
        entry.confirmed = entry.is_named_by(source);
        let evicted = self.make_space(source, entry.confirmed)?;
        // Its host has come back, or come as it said.
        self.ended.remove(&room);
        self.plans.close(&room);
        self.rooms.insert(room, entry);
        Ok(Heard {
            room,
            news: if was_planned { News::Newer } else { News::Room },
            evicted,
        })
    }

    /// Whether a room is open, or its end is remembered.
    fn has_opened(&self, room: &RoomId) -> bool {
        self.rooms.contains_key(room) || self.ended.contains_key(room)
    }

    /// What is known of a room, whether it is listed, has ended or is to come.
    fn known_entry(&self, room: &RoomId) -> Option<&Entry> {
        let known = self.rooms.get(room).or_else(|| self.ended.get(room));
        known.or_else(|| self.plans.get(room))
    }

    /// All that a question asks for, in ascending order.
    fn asked_for(&self, query: &Query) -> Vec<&Listing> {
        // Of a room that is open or over, what was planned is not told.
        let entries = self.rooms.iter().chain(&self.ended).chain(self.plans.told());
        let mut asked: Vec<(RoomId, &Listing)> = entries
            .filter(|(room, _)| query.after.is_none_or(|after| **room > after))
            .filter(|(room, _)| query.room.is_none_or(|wanted| **room == wanted))
            .map(|(room, entry)| (*room, &entry.listing))
            .filter(|(_, listing)| {
                let tag = query.tag.as_ref();
                tag.is_none_or(|tag| listing.genesis().tags.contains(tag))
            })
            .collect();
        asked.sort_unstable_by_key(|(room, _)| *room);
        asked.into_iter().map(|(_, listing)| listing).collect()
    }

    /// Makes a place for one more room from a source, if need be at the cost of another.
    fn make_space(&mut self, source: Source, confirmed: bool) -> Result<Option<RoomId>, Refusal> {
        let (of_peer, of_network) = self.used_by(source, None);
        // Who has filled its share replaces its own.
        let victim = if of_peer >= self.bounds.per_peer {
            self.victim(confirmed, |other| other.id == source.id)
        } else if of_network >= self.bounds.per_network {
            self.victim(confirmed, |other| other.network == source.network)
        } else if self.rooms.len() >= self.bounds.rooms {
            let fullest = self.fullest();
            self.victim(confirmed, |other| Some(other.id) == fullest)
                .or_else(|| self.victim(confirmed, |_| true))
        } else {
            return Ok(None);
        };
        let victim = victim.ok_or(Refusal::Full)?;
        // A peer that has changed its network may have reached both bounds with different rooms.
        if !self.has_space_for(source, Some(victim)) {
            return Err(Refusal::Full);
        }
        self.rooms.remove(&victim);
        Ok(Some(victim))
    }

    /// Whether a source is below its bounds, not counting one room.
    fn has_space_for(&self, source: Source, without: Option<RoomId>) -> bool {
        let (of_peer, of_network) = self.used_by(source, without);
        of_peer < self.bounds.per_peer && of_network < self.bounds.per_network
    }

    /// How many rooms are charged to a source's peer and to its network, not counting one room.
    fn used_by(&self, source: Source, without: Option<RoomId>) -> (usize, usize) {
        let others = self
            .rooms
            .iter()
            .filter(|(room, _)| Some(**room) != without)
            .filter_map(|(_, entry)| entry.source);
        count(others, source)
    }

    /// The source with the most rooms.
    fn fullest(&self) -> Option<[u8; 32]> {
        let mut counts: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        for source in self.rooms.values().filter_map(|entry| entry.source) {
            *counts.entry(source.id).or_default() += 1;
        }
        counts
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(id, _)| id)
    }

    /// The room to push out among those of some sources: unconfirmed before confirmed, then the longest unheard. A
    /// confirmed one goes only for a confirmed one.
    fn victim(&self, confirmed: bool, among: impl Fn(Source) -> bool) -> Option<RoomId> {
        self.rooms
            .iter()
            .filter(|(_, entry)| confirmed || !entry.confirmed)
            .filter(|(_, entry)| entry.source.is_some_and(&among))
            .min_by_key(|(room, entry)| (entry.confirmed, entry.heard, **room))
            .map(|(room, _)| *room)
    }

    /// Takes one verification from a peer's budget.
    fn spend(&mut self, id: [u8; 32], now: Duration) -> bool {
        if self.budgets.len() >= BUDGETS && !self.budgets.contains_key(&id) {
            let richest = self
                .budgets
                .iter()
                .max_by_key(|(_, budget)| budget.refilled(now).left)
                .map(|(id, _)| *id);
            richest.and_then(|id| self.budgets.remove(&id));
        }
        let budget = self.budgets.entry(id).or_insert(Budget { left: BURST, at: now });
        *budget = budget.refilled(now);
        let allowed = budget.left > 0;
        budget.left = budget.left.saturating_sub(1);
        allowed
    }
}

/// How many of these are a source's own, and how many its network's.
fn count(others: impl Iterator<Item = Source>, source: Source) -> (usize, usize) {
    others.fold((0, 0), |(of_peer, of_network), other| {
        (
            of_peer + usize::from(other.id == source.id),
            of_network + usize::from(source.network.is_some() && other.network == source.network),
        )
    })
}

impl Entry {
    fn new(listing: Listing, source: Option<Source>, now: Duration) -> Self {
        Self {
            listing,
            source,
            confirmed: false,
            heard: now,
            passed_on: [None; 1 + limits::TAGS],
        }
    }

    /// A room is charged to its member once that hands it over: it frees the place of who passed it on.
    fn confirm(&mut self, source: Source, has_space: bool) {
        if !self.confirmed && self.is_named_by(source) && has_space {
            self.confirmed = true;
            self.source = Some(source);
        }
    }

    fn is_named_by(&self, source: Source) -> bool {
        source
            .peer
            .is_some_and(|peer| self.listing.announcement().names(peer))
    }
}

impl Budget {
    fn refilled(self, now: Duration) -> Self {
        let passed = now.saturating_sub(self.at).as_millis() / REFILL.as_millis();
        let earned = u32::try_from(passed).unwrap_or(BURST).min(BURST);
        if self.left.saturating_add(earned) >= BURST {
            return Self { left: BURST, at: now };
        }
        Self {
            left: self.left + earned,
            at: self.at + REFILL * earned,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        person::PersonKey,
        room::{Genesis, Visibility},
        signed::Verified,
    };

    pub(super) const NOW: u64 = 1_900_000_000;
    pub(super) const SECOND: Duration = Duration::from_secs(1);

    pub(super) fn source(number: u8) -> Source {
        Source {
            id: [number; 32],
            peer: Some(Peer([number; 32])),
            network: None,
        }
    }

    /// An announcement of a room that `host` has, changed as a test needs it.
    pub(super) fn announcement(host: u8, change: impl FnOnce(&mut Announcement)) -> Signed<Announcement> {
        let key = PersonKey::from_seed(&[host; 32]);
        let mut genesis = Genesis::new(key.person(), "Poems", [host; 16]);
        genesis.tags = vec!["poetry".parse().expect("a tag")];
        let mut announcement = Announcement::live(&genesis.sign(&key).expect("valid"), NOW);
        change(&mut announcement);
        let verified = Verified::sign(announcement, &key).expect("valid");
        verified.signed().clone()
    }

    /// The end of that room.
    pub(super) fn end(host: u8, head: u32) -> Signed<Announcement> {
        announcement(host, |a| (a.head, a.expires) = (head, a.issued))
    }

    pub(super) fn named(host: u8, member: u8) -> Signed<Announcement> {
        let member = Peer([member; 32]);
        let address = format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{member}");
        announcement(host, |a| a.addresses = vec![address.parse().expect("an address")])
    }

    fn hear(directory: &mut Directory, host: u8, from: u8, now: Duration) -> Result<Heard, Refusal> {
        directory.handle_announcement(announcement(host, |_| ()), source(from), NOW, now)
    }

    pub(super) fn small() -> Directory {
        Directory::new(Bounds {
            rooms: 3,
            per_peer: 2,
            per_network: 2,
            ends: 3,
            ends_per_peer: 2,
            plans: 4,
            plans_per_peer: 2,
            plans_per_network: 3,
            plans_per_host: 2,
        })
    }

    #[test]
    fn a_room_is_news_once_and_newer_news_replace_it() {
        let mut directory = Directory::default();
        let news = |result: Result<Heard, Refusal>| result.map(|heard| heard.news);
        assert_eq!(news(hear(&mut directory, 1, 1, SECOND)), Ok(News::Room));
        assert_eq!(news(hear(&mut directory, 1, 2, SECOND)), Ok(News::Again));
        let newer = announcement(1, |a| a.head = 7);
        let heard = directory.handle_announcement(newer, source(2), NOW, SECOND);
        assert_eq!(news(heard), Ok(News::Newer));
        assert_eq!(hear(&mut directory, 1, 1, SECOND), Err(Refusal::Older));
        assert_eq!(directory.len(), 1);
        assert_eq!(
            directory.rooms(None).next().map(|l| l.announcement().head),
            Some(7)
        );
    }

    #[test]
    fn a_room_unheard_of_for_ten_minutes_is_forgotten_and_one_heard_again_is_not() {
        let mut directory = Directory::default();
        let first = hear(&mut directory, 1, 1, SECOND).expect("heard").room;
        hear(&mut directory, 2, 1, SECOND).expect("heard");
        hear(&mut directory, 2, 2, 300 * SECOND).expect("heard again");
        assert_eq!(directory.poll_timeout(), Some(SECOND + FORGET));
        assert!(directory.handle_timeout(FORGET).is_empty());
        assert_eq!(directory.handle_timeout(SECOND + FORGET), [first]);
        assert_eq!(directory.len(), 1);
    }

    #[test]
    fn a_dead_room_is_not_kept_alive_by_those_who_tell_each_other_of_it() {
        let mut directory = Directory::default();
        hear(&mut directory, 1, 1, SECOND).expect("heard");
        let late = NOW + limits::LIVE_ANNOUNCEMENT_S + 1;
        let again = directory.handle_announcement(announcement(1, |_| ()), source(2), late, 599 * SECOND);
        assert_eq!(again, Err(Refusal::Listing(ListingError::Stale)));
        assert_eq!(directory.handle_timeout(601 * SECOND).len(), 1);
    }

    #[test]
    fn our_own_rooms_stay_until_they_end() {
        let mut directory = small();
        let own = Listing::verify(announcement(9, |_| ()), NOW, None).expect("fresh");
        let room = own.announcement().room;
        directory.announce(own, SECOND);
        for (host, from) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4)] {
            let _ = hear(&mut directory, host, from, SECOND);
        }
        assert_eq!(directory.len(), 3);
        directory.handle_timeout(10 * FORGET);
        assert_eq!(directory.len(), 1);
        let foreign = directory.handle_announcement(end(9, 1), source(1), NOW, SECOND);
        assert_eq!(foreign, Err(Refusal::Older), "we know best");
        assert!(directory.get(&room).is_some());
        let own = || Listing::verify(end(9, 1), NOW, None).expect("valid");
        assert!(directory.end(own(), SECOND) && !directory.end(own(), SECOND));
        assert!(directory.get(&room).is_none());
    }

    #[test]
    fn a_peer_that_floods_replaces_its_own_rooms_and_nobody_elses() {
        let mut directory = small();
        let honest = hear(&mut directory, 100, 2, SECOND).expect("heard").room;
        for host in 1..50 {
            let heard = hear(&mut directory, host, 1, SECOND * u32::from(host)).expect("heard");
            assert_eq!(heard.evicted.is_some(), host > 2);
        }
        assert_eq!(directory.len(), 3);
        assert!(directory.get(&honest).is_some());
    }

    #[test]
    fn many_peers_of_one_network_are_bounded_together() {
        let mut directory = small();
        let network = Network::of(IpAddr::from([203, 0, 113, 5]));
        for number in 1..10 {
            let source = Source {
                network: Some(network),
                ..source(number)
            };
            let signed = announcement(number, |_| ());
            let _ = directory.handle_announcement(signed, source, NOW, SECOND);
        }
        assert_eq!(directory.len(), 2);
    }

    #[test]
    fn what_a_member_handed_over_is_not_pushed_out_by_what_it_did_not() {
        let mut directory = small();
        for host in 1..=3 {
            let heard = directory.handle_announcement(named(host, host), source(host), NOW, SECOND);
            assert_eq!(heard.map(|heard| heard.news), Ok(News::Room));
        }
        assert_eq!(hear(&mut directory, 9, 9, SECOND), Err(Refusal::Full));
        let heard = directory.handle_announcement(named(10, 10), source(10), NOW, 2 * SECOND);
        assert!(heard.is_ok_and(|heard| heard.evicted.is_some()));
    }

    #[test]
    fn a_peer_spends_its_budget_and_earns_it_back() {
        let mut directory = Directory::default();
        let forged = |number: u32| {
            let mut bytes = announcement(1, |a| a.listeners = number).to_bytes().to_vec();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            Signed::from_bytes(&bytes).expect("an envelope")
        };
        for number in 0..BURST {
            let error = directory.handle_announcement(forged(number), source(1), NOW, SECOND);
            assert!(error.is_err_and(|error| error.is_senders_fault()));
        }
        assert_eq!(hear(&mut directory, 1, 1, SECOND), Err(Refusal::Budget));
        assert!(
            hear(&mut directory, 1, 2, SECOND).is_ok(),
            "others are not affected"
        );
        assert!(hear(&mut directory, 2, 1, SECOND + REFILL).is_ok());
        assert_eq!(hear(&mut directory, 3, 1, SECOND + REFILL), Err(Refusal::Budget));
    }

    #[test]
    fn each_reason_says_whether_it_is_the_senders_fault() {
        let mut directory = Directory::default();
        let key = PersonKey::from_seed(&[1; 32]);
        let mut genesis = Genesis::new(key.person(), "Poems", [1; 16]);
        genesis.visibility = Visibility::Unlisted;
        let genesis = genesis.sign(&key).expect("valid");
        let unlisted = Verified::sign(Announcement::live(&genesis, NOW), &key).expect("valid");
        let error = directory.handle_announcement(unlisted.signed().clone(), source(1), NOW, SECOND);
        assert!(error.is_err_and(|error| error.is_senders_fault()));
        let error = directory.handle_announcement(announcement(1, |_| ()), source(1), 0, SECOND);
        assert!(
            error.is_err_and(|error| !error.is_senders_fault()),
            "our clock may be wrong"
        );
    }

    #[test]
    fn one_announcement_is_passed_on_once_on_each_topic_of_its_own() {
        let mut directory = Directory::default();
        let room = hear(&mut directory, 1, 1, SECOND).expect("heard").room;
        let (poetry, chess) = ("poetry".parse().ok(), "chess".parse().ok());
        assert!(directory.pass_on(&room, None, SECOND));
        assert!(!directory.pass_on(&room, None, 2 * SECOND));
        assert!(directory.pass_on(&room, poetry.as_ref(), 2 * SECOND));
        assert!(!directory.pass_on(&room, chess.as_ref(), 2 * SECOND));
        assert!(directory.pass_on(&room, None, SECOND + PASS_ON_AGAIN));
        let newer = announcement(1, |a| a.head = 1);
        let heard = directory.handle_announcement(newer, source(1), NOW, 32 * SECOND);
        assert!(heard.is_ok() && directory.pass_on(&room, None, 32 * SECOND));
    }

    #[test]
    fn answers_come_in_pages_that_fit_and_continue() {
        let mut directory = Directory::default();
        for host in 1..=100 {
            hear(&mut directory, host, 1, SECOND).expect("heard");
        }
        let mut query = Query {
            tag: "poetry".parse().ok(),
            limit: u16::MAX,
            ..Query::default()
        };
        let mut rooms = Vec::new();
        loop {
            let answer = directory.answer(&query);
            assert!(answer.encode().len() <= ANSWER_BYTES && answer.announcements.len() <= 64);
            rooms.extend(
                answer
                    .announcements
                    .iter()
                    .map(|signed| signed.peek().expect("valid").room),
            );
            query.after = rooms.last().copied();
            if !answer.more {
                break;
            }
        }
        assert_eq!(rooms.len(), 100);
        assert!(rooms.is_sorted());
        let other = Query {
            tag: "chess".parse().ok(),
            limit: 64,
            ..Query::default()
        };
        assert_eq!(directory.answer(&other), Answer::default());
        let one = Query {
            room: rooms.get(7).copied(),
            limit: 64,
            ..Query::default()
        };
        assert_eq!(directory.answer(&one).announcements.len(), 1);
    }

    #[test]
    fn the_largest_announcements_still_make_an_answer_that_fits() {
        let mut directory = Directory::default();
        for host in 1..=64 {
            let key = PersonKey::from_seed(&[host; 32]);
            let mut genesis = Genesis::new(key.person(), "Poems", [host; 16]);
            genesis.description = crate::text::Text::clean(&"a".repeat(limits::DESCRIPTION));
            let genesis = genesis.sign(&key).expect("valid");
            let mut announcement = Announcement::live(&genesis, NOW);
            let address = format!("/dns/{}/tcp/1/p2p/{}", "a".repeat(180), Peer([host; 32]));
            announcement.addresses = vec![address.parse().expect("an address"); limits::ADDRESSES];
            let verified = Verified::sign(announcement, &key).expect("valid");
            directory
                .handle_announcement(verified.signed().clone(), source(1), NOW, SECOND)
                .expect("fresh");
        }
        let answer = directory.answer(&Query {
            limit: 64,
            ..Query::default()
        });
        assert!(answer.more && answer.encode().len() <= ANSWER_BYTES);
        assert!(answer.encode().len() > ANSWER_BYTES - 8_192, "no space is wasted");
    }

    /// Rooms 0 to 5 in versions 0 to 2; made once, since signing is what takes time.
    static LISTINGS: LazyLock<Vec<Vec<Listing>>> = LazyLock::new(|| {
        let version = |host, head| {
            let signed = announcement(host, |a| a.head = head);
            Listing::verify(signed, NOW, None).expect("fresh")
        };
        (1..=6)
            .map(|host| (0..3).map(|head| version(host, head)).collect())
            .collect()
    });

    /// The ends of those rooms, newer than versions 0 and 1.
    static ENDS: LazyLock<Vec<Listing>> = LazyLock::new(|| {
        let of = |host| Listing::verify(end(host, 1), NOW, None).expect("valid");
        (1..=6).map(of).collect()
    });

    #[derive(Debug, Clone)]
    enum Step {
        Hear { room: usize, version: usize, from: u8 },
        HearEnd { room: usize, from: u8 },
        Own { room: usize },
        End { room: usize },
        Pass { seconds: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..6usize, 0..3usize, 0..4u8).prop_map(|(room, version, from)| Step::Hear { room, version, from }),
            1 => (0..6usize).prop_map(|room| Step::Own { room }),
            1 => (0..6usize).prop_map(|room| Step::End { room }),
            2 => (0..6usize, 0..4u8).prop_map(|(room, from)| Step::HearEnd { room, from }),
            2 => (0..400u64).prop_map(|seconds| Step::Pass { seconds }),
        ]
    }

    /// What a reader of the rules would keep on paper: of each room its newest version and when it was heard.
    type Paper = BTreeMap<RoomId, (u32, Duration, bool)>;

    /// And of the rooms that have ended, when it heard of that.
    type Over = BTreeMap<RoomId, Duration>;

    proptest! {
        #[test]
        fn any_history_keeps_the_bounds_and_what_is_listed_is_what_was_heard_last(
            steps in prop::collection::vec(step(), 1..80),
        ) {
            let bounds = Bounds { rooms: 4, per_peer: 2, per_network: 2, ..Bounds::default() };
            let mut directory = Directory::new(bounds);
            let (mut paper, mut over, mut now) = (Paper::new(), Over::new(), Duration::ZERO);
            for step in steps {
                match step {
                    Step::Hear { room, version, from } => {
                        let listing = LISTINGS[room][version].clone();
                        let (id, head) = (listing.announcement().room, listing.announcement().head);
                        let signed = listing.announcement().signed().clone();
                        let before = paper.get(&id).copied();
                        match directory.handle_announcement(signed, source(from), NOW, now) {
                            Ok(heard) => {
                                prop_assert!(before.is_none_or(|(known, ..)| known <= head));
                                prop_assert!(over.remove(&id).is_none() || head > 1);
                                let own = before.is_some_and(|(.., own)| own);
                                paper.insert(id, (head, now, own));
                                if let Some(evicted) = heard.evicted {
                                    prop_assert!(paper.remove(&evicted).is_some_and(|(.., own)| !own));
                                }
                            }
                            Err(Refusal::Older) => {
                                let after_its_end = over.contains_key(&id) && head <= 1;
                                prop_assert!(after_its_end || before.is_some_and(|(known, ..)| known > head));
                            }
                            Err(Refusal::Full) => prop_assert!(before.is_none()),
                            Err(error) => prop_assert!(false, "{error}"),
                        }
                    }
                    Step::HearEnd { room, from } => {
                        let id = ENDS[room].announcement().room;
                        let signed = ENDS[room].announcement().signed().clone();
                        let listed = paper.get(&id).copied();
                        match directory.handle_announcement(signed, source(from), NOW, now) {
                            Ok(Heard { news: News::Again, .. }) => prop_assert!(over.contains_key(&id)),
                            Ok(heard) => {
                                prop_assert_eq!(heard.evicted, listed.map(|_| id));
                                prop_assert!(listed.is_none_or(|(head, _, own)| head <= 1 && !own));
                                paper.remove(&id);
                                over.insert(id, now);
                            }
                            Err(error) => {
                                prop_assert_eq!(error, Refusal::Older);
                                prop_assert!(listed.is_some_and(|(head, _, own)| head > 1 || own));
                            }
                        }
                    }
                    Step::Own { room } => {
                        let listing = LISTINGS[room][2].clone();
                        let id = listing.announcement().room;
                        paper.insert(id, (2, now, true));
                        over.remove(&id);
                        directory.announce(listing, now);
                    }
                    Step::End { room } => {
                        let id = LISTINGS[room][0].announcement().room;
                        let listed = paper.remove(&id).is_some();
                        prop_assert_eq!(directory.end(ENDS[room].clone(), now), listed);
                        over.insert(id, now);
                    }
                    Step::Pass { seconds } => {
                        now += Duration::from_secs(seconds);
                        let gone = directory.handle_timeout(now);
                        let expected: Vec<_> = paper
                            .iter()
                            .filter(|(_, (_, heard, own))| !own && *heard + FORGET <= now)
                            .map(|(id, _)| *id)
                            .collect();
                        paper.retain(|id, _| !expected.contains(id));
                        over.retain(|_, heard| now < *heard + REMEMBER);
                        prop_assert_eq!(gone, expected);
                    }
                }
                let others = paper.values().filter(|(.., own)| !own).count();
                prop_assert!(others <= 4);
                let listed: Vec<_> = directory
                    .rooms(None)
                    .map(|listing| (listing.announcement().room, listing.announcement().head))
                    .collect();
                let expected: Vec<_> = paper.iter().map(|(id, (head, ..))| (*id, *head)).collect();
                prop_assert_eq!(listed, expected);
                for from in 0..4 {
                    prop_assert!(directory.used_by(source(from), None).0 <= 2);
                }
            }
        }
    }
}
