//! Rooms that are announced ahead, and those that were called off: kept while their hosts are away (SPEC.md section 13).
//!
//! A record is kept until it expires, which may be a month, and its host may never come back: here a flood would last. So
//! places are shared fairly. Invariants: no more records than [`Bounds::plans`], no more than
//! [`Bounds::plans_per_peer`] through one peer, [`Bounds::plans_per_network`] through one network, and
//! [`Bounds::plans_per_host`] of one host that are still to come; a newcomer takes the place of another's record only
//! where that other has more of them. What was cancelled, has opened or was superseded is remembered as long as an older
//! record of it could pass for current. Records of our own are never pushed out.

use bytes::Bytes;

use super::*;
use crate::{
    announcement::{CLOCK_FLOOR, Status},
    signed::{decode, encode},
};

/// How often a record is repeated on the topics while its host is away, unless somebody else has done it.
pub const REPEAT: Duration = Duration::from_secs(600);

/// Most records that are repeated at a time: with the largest, 128 KB a minute.
const REPEATED_AT_ONCE: usize = 16;

/// The longest that any record lives, by our monotonic clock.
const LONGEST: u64 = limits::SCHEDULE_AHEAD_S + limits::SCHEDULE_KEPT_S;

/// What is known of rooms that are to come.
#[derive(Debug, Default)]
pub(super) struct Plans {
    kept: BTreeMap<RoomId, Kept>,
}

#[derive(Debug)]
struct Kept {
    entry: Entry,
    /// Until when it is of use to people: an hour after the start.
    shown_until: Duration,
    /// Whether it still is.
    is_shown: bool,
    /// When it expires.
    until: Duration,
    /// Whether something else took its place for good: the room has opened, or is over.
    is_closed: bool,
}

/// A record as it is written down between two runs of a node: with whom it is charged to, so that a flood is none the
/// better for it.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    source: [u8; 32],
    network: Option<Network>,
    is_hosts: bool,
    is_closed: bool,
    record: Signed<Announcement>,
}

/// Whom a record is charged to when places are shared out: the network that it came from, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Network(Network),
    Peer([u8; 32]),
}

impl Kept {
    fn new(entry: Entry, wall: u64) -> Self {
        let announcement = entry.listing.announcement();
        // A clock that is known to be wrong says nothing; then a record lives as long as it would from its beginning.
        let wall = if wall < CLOCK_FLOOR {
            announcement.issued
        } else {
            wall
        };
        let left = |end: u64| Duration::from_secs(end.saturating_sub(wall).min(LONGEST));
        let starts = entry.listing.starts().unwrap_or(0);
        Self {
            shown_until: entry.heard + left(starts.saturating_add(limits::SCHEDULE_KEPT_S)),
            is_shown: true,
            until: entry.heard + left(announcement.expires),
            is_closed: false,
            entry,
        }
    }

    fn starts(&self) -> u64 {
        self.entry.listing.starts().unwrap_or(0)
    }

    /// Whether it is a room to come, as far as we know.
    fn is_to_come(&self) -> bool {
        self.is_shown && matches!(self.entry.listing.status(), Status::Planned(_))
    }
}

impl Source {
    fn group(self) -> Group {
        self.network.map_or(Group::Peer(self.id), Group::Network)
    }
}

impl Plans {
    pub(super) fn get(&self, room: &RoomId) -> Option<&Entry> {
        self.kept.get(room).map(|kept| &kept.entry)
    }

    pub(super) fn get_mut(&mut self, room: &RoomId) -> Option<&mut Entry> {
        self.kept.get_mut(room).map(|kept| &mut kept.entry)
    }

    /// A room that is to come.
    pub(super) fn to_come(&self, room: &RoomId) -> Option<&Listing> {
        let kept = self.kept.get(room).filter(|kept| kept.is_to_come())?;
        Some(&kept.entry.listing)
    }

    /// Those that are to come, and those that were called off and would be.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Listing> {
        let shown = self.kept.values().filter(|kept| kept.is_shown);
        shown.map(|kept| &kept.entry.listing)
    }

    /// All that others are told: also what only keeps older records from coming back.
    pub(super) fn told(&self) -> impl Iterator<Item = (&RoomId, &Entry)> {
        let open = self.kept.iter().filter(|(_, kept)| !kept.is_closed);
        open.map(|(room, kept)| (room, &kept.entry))
    }

    pub(super) fn len(&self) -> usize {
        self.kept.values().filter(|kept| kept.is_to_come()).count()
    }

    /// Whether a room is known to have opened, or to be over.
    pub(super) fn is_closed(&self, room: &RoomId) -> bool {
        self.kept.get(room).is_some_and(|kept| kept.is_closed)
    }

    /// The room has opened, or is over: what was planned is not shown, and does not come back.
    pub(super) fn close(&mut self, room: &RoomId) {
        if let Some(kept) = self.kept.get_mut(room) {
            kept.is_shown = false;
            kept.is_closed = true;
        }
    }

    /// Keeps a record of our own.
    pub(super) fn keep_own(&mut self, listing: Listing, now: Duration) {
        let (room, issued) = (listing.announcement().room, listing.announcement().issued);
        let mut entry = Entry::new(listing, None, now);
        entry.confirmed = true;
        self.kept.insert(room, Kept::new(entry, issued));
    }

    /// A record that is held came again.
    pub(super) fn hear_again(&mut self, room: RoomId, source: Source, bounds: &Bounds, now: Duration) {
        let has_space = self.has_space_for(source, Some(room), bounds);
        if let Some(kept) = self.kept.get_mut(&room) {
            kept.entry.heard = now;
            kept.entry.confirm(source, has_space);
        }
    }

    /// Keeps a record that is newer than what was known of its room.
    pub(super) fn keep(
        &mut self,
        listing: Listing,
        source: Source,
        bounds: &Bounds,
        (wall, now): (u64, Duration),
    ) -> Result<Heard, Refusal> {
        let room = listing.announcement().room;
        let is_cancelled = matches!(listing.status(), Status::Cancelled { .. });
        if let Some(known) = self.kept.get_mut(&room) {
            let was_to_come = known.is_to_come();
            let (old, mut entry) = (&known.entry, Entry::new(listing, known.entry.source, now));
            entry.confirmed = old.confirmed;
            *known = Kept::new(entry, wall);
            self.hear_again(room, source, bounds, now);
            return Ok(Heard {
                room,
                news: if is_cancelled { News::End } else { News::Newer },
                evicted: Some(room).filter(|_| is_cancelled && was_to_come),
            });
        }
        let mut entry = Entry::new(listing, Some(source), now);
        entry.confirmed = entry.is_named_by(source);
        let kept = Kept::new(entry, wall);
        let evicted = self.make_space(&kept, source, bounds)?;
        self.kept.insert(room, kept);
        Ok(Heard {
            room,
            news: if is_cancelled { News::End } else { News::Room },
            evicted,
        })
    }

    /// Forgets what has expired; the rooms that were to come and did not.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> Vec<RoomId> {
        let mut gone = Vec::new();
        for (room, kept) in &mut self.kept {
            if kept.is_shown && kept.shown_until <= now {
                if kept.is_to_come() {
                    gone.push(*room);
                }
                kept.is_shown = false;
            }
        }
        self.kept.retain(|_, kept| now < kept.until);
        gone
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let shown = |kept: &Kept| Some(kept.shown_until).filter(|_| kept.is_shown);
        let due = self
            .kept
            .values()
            .flat_map(|kept| [shown(kept), Some(kept.until)]);
        due.flatten().min()
    }

    /// Records of others that nobody has repeated for a while; they count as repeated from now on.
    pub(super) fn repeat(&mut self, now: Duration) -> Vec<Listing> {
        let is_due = |kept: &&mut Kept| {
            let last = kept.entry.passed_on[0].max(Some(kept.entry.heard));
            let is_open = !kept.is_closed && kept.entry.source.is_some();
            is_open && last.is_none_or(|last| last + REPEAT <= now)
        };
        let due = self.kept.values_mut().filter(is_due).take(REPEATED_AT_ONCE);
        due.map(|kept| {
            kept.entry.passed_on = [Some(now); 1 + limits::TAGS];
            kept.entry.listing.clone()
        })
        .collect()
    }

    /// Records of others, to be written down.
    pub(super) fn written(&self) -> Vec<Bytes> {
        let write = |kept: &Kept| {
            let source = kept.entry.source?;
            Some(encode(&Written {
                source: source.id,
                network: source.network,
                is_hosts: kept.entry.confirmed,
                is_closed: kept.is_closed,
                record: kept.entry.listing.announcement().signed().clone(),
            }))
        };
        self.kept.values().filter_map(write).collect()
    }

    /// Keeps a record that was written down, if it still counts.
    pub(super) fn restore(
        &mut self,
        written: &[u8],
        bounds: &Bounds,
        (wall, now): (u64, Duration),
    ) -> Result<(), Refusal> {
        let written: Written = decode(written, "a record").map_err(ListingError::from)?;
        let listing = Listing::verify(written.record, wall, None)?;
        if !matches!(listing.status(), Status::Planned(_) | Status::Cancelled { .. }) {
            return Err(ListingError::NotPlanned.into());
        }
        if self.others() >= bounds.plans {
            return Err(Refusal::Full);
        }
        let source = Source {
            id: written.source,
            peer: None,
            network: written.network,
        };
        let room = listing.announcement().room;
        let mut kept = Kept::new(Entry::new(listing, Some(source), now), wall);
        kept.entry.confirmed = written.is_hosts;
        kept.is_closed = written.is_closed;
        kept.is_shown = !written.is_closed;
        self.kept.insert(room, kept);
        Ok(())
    }

    /// Makes a place for one more record, if need be at the cost of another.
    fn make_space(
        &mut self,
        newcomer: &Kept,
        source: Source,
        bounds: &Bounds,
    ) -> Result<Option<RoomId>, Refusal> {
        let host = newcomer.entry.listing.genesis().host;
        let of_host = |kept: &&Kept| kept.is_to_come() && kept.entry.listing.genesis().host == host;
        if newcomer.is_to_come() && self.kept.values().filter(of_host).count() >= bounds.plans_per_host {
            return Err(Refusal::Full);
        }
        let (of_peer, of_network) = self.used_by(source, None);
        let victim = if of_peer >= bounds.plans_per_peer {
            // Who has filled its share may bring what is sooner.
            let last = self.last_of(newcomer, |other| other.id == source.id);
            last.filter(|(_, starts)| *starts > newcomer.starts())
        } else if of_network >= bounds.plans_per_network {
            let neighbours = |other: &Source| other.network == source.network;
            let fullest = self.fullest(neighbours, |other| Group::Peer(other.id));
            let fullest = fullest.filter(|(_, count)| *count > of_peer + 1);
            fullest.and_then(|(group, _)| self.last_of(newcomer, |other| Group::Peer(other.id) == group))
        } else if self.others() >= bounds.plans {
            let own = if source.network.is_some() {
                of_network
            } else {
                of_peer
            };
            let fullest = self.fullest(|_| true, Source::group);
            let fullest = fullest.filter(|(_, count)| *count > own + 1);
            fullest.and_then(|(group, _)| self.last_of(newcomer, |other| other.group() == group))
        } else {
            return Ok(None);
        };
        let (victim, _) = victim.ok_or(Refusal::Full)?;
        let was_to_come = self.kept.remove(&victim).is_some_and(|kept| kept.is_to_come());
        Ok(Some(victim).filter(|_| was_to_come))
    }

    /// How many records are not our own.
    fn others(&self) -> usize {
        let others = self.kept.values().filter(|kept| kept.entry.source.is_some());
        others.count()
    }

    fn has_space_for(&self, source: Source, without: Option<RoomId>, bounds: &Bounds) -> bool {
        let (of_peer, of_network) = self.used_by(source, without);
        of_peer < bounds.plans_per_peer && of_network < bounds.plans_per_network
    }

    fn used_by(&self, source: Source, without: Option<RoomId>) -> (usize, usize) {
        let others = self.kept.iter().filter(|(room, _)| Some(**room) != without);
        count(others.filter_map(|(_, kept)| kept.entry.source), source)
    }

    /// Who has the most records among some sources, and how many.
    fn fullest(
        &self,
        among: impl Fn(&Source) -> bool,
        group: impl Fn(Source) -> Group,
    ) -> Option<(Group, usize)> {
        let mut counts: BTreeMap<Group, usize> = BTreeMap::new();
        let sources = self.kept.values().filter_map(|kept| kept.entry.source);
        for source in sources.filter(among) {
            *counts.entry(group(source)).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count)
    }

    /// The record to push out among those of some sources, and its start: one that its host did not hand over before one
    /// that it did, then the one that starts last. One that a host handed over goes only for another such one.
    fn last_of(&self, newcomer: &Kept, among: impl Fn(Source) -> bool) -> Option<(RoomId, u64)> {
        self.kept
            .iter()
            .filter(|(_, kept)| newcomer.entry.confirmed || !kept.entry.confirmed)
            .filter(|(_, kept)| kept.entry.source.is_some_and(&among))
            .max_by_key(|(room, kept)| (!kept.entry.confirmed, kept.starts(), **room))
            .map(|(room, kept)| (*room, kept.starts()))
    }
}
