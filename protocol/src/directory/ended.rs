//! Rooms that have ended: listed no more, and remembered for as long as somebody may still tell of them.
//!
//! Invariant: what was said of a room before its end does not bring it back; what its host says afterwards does.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::announcement::{END_MATTERS_S, Listing, ListingError};

use super::{Directory, Entry, Heard, News, Refusal, Source};

/// How long the end of a room is remembered after it was first heard of, by the monotonic clock: afterwards nothing that
/// was said before it is fresh. Hearing it again does not lengthen this, or two directories would keep it for ever.
pub const REMEMBER: Duration = Duration::from_secs(END_MATTERS_S);

impl Directory {
    /// Takes the end of a room from a peer. Of a room that we do not know it counts as long as somebody may tell us of it.
    pub(super) fn handle_end(
        &mut self,
        end: Listing,
        source: Source,
        wall: u64,
        now: Duration,
    ) -> Result<Heard, Refusal> {
        let room = end.announcement().room;
        match self.known_entry(&room) {
            // What we announce ourselves we know best.
            Some(known) if known.source.is_none() || !end.is_newer_than(&known.listing) => {
                return Err(Refusal::Older);
            }
            None if !end.announcement().is_recent_end_at(wall) => return Err(ListingError::Stale.into()),
            _ => {}
        }
        let was_listed = self.remember(end, Some(source), now);
        Ok(Heard {
            room,
            news: News::End,
            evicted: was_listed.then_some(room),
        })
    }

    /// Remembers an end, at the cost of the oldest of a source that has its share, or of the one with most; true when
    /// its room was listed.
    pub(super) fn remember(&mut self, end: Listing, source: Option<Source>, now: Duration) -> bool {
        let room = end.announcement().room;
        let was_planned = self.plans.to_come(&room).is_some();
        let was_listed = self.rooms.remove(&room).is_some() || was_planned;
        self.plans.close(&room);
        self.ended.remove(&room);
        self.make_space_to_remember(source.map(|source| source.id));
        self.ended.insert(room, Entry::new(end, source, now));
        was_listed
    }

    fn make_space_to_remember(&mut self, source: Option<[u8; 32]>) {
        let id = |entry: &Entry| entry.source.map(|source| source.id);
        let mut counts: BTreeMap<Option<[u8; 32]>, usize> = BTreeMap::new();
        for entry in self.ended.values() {
            *counts.entry(id(entry)).or_default() += 1;
        }
        let own = counts.get(&source).copied().unwrap_or(0);
        let fullest = counts.into_iter().max_by_key(|(_, count)| *count);
        let pays = if own >= self.bounds.ends_per_peer {
            source
        } else if let Some((fullest, _)) = fullest.filter(|_| self.ended.len() >= self.bounds.ends) {
            fullest
        } else {
            return;
        };
        let of_payer = self.ended.iter().filter(|(_, entry)| id(entry) == pays);
        let oldest = of_payer.min_by_key(|(room, entry)| (entry.heard, **room));
        if let Some(oldest) = oldest.map(|(room, _)| *room) {
            self.ended.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            tests::{NOW, SECOND, announcement, end, named, small, source},
            *,
        },
        *,
    };

    fn live(head: u32) -> Signed<Announcement> {
        announcement(1, |a| a.head = head)
    }

    fn hear(
        directory: &mut Directory,
        signed: Signed<Announcement>,
        now: Duration,
    ) -> Result<Heard, Refusal> {
        directory.handle_announcement(signed, source(1), NOW, now)
    }

    #[test]
    fn an_end_takes_its_room_off_the_list_and_what_was_said_before_does_not_bring_it_back() {
        let mut directory = Directory::default();
        let room = hear(&mut directory, live(3), SECOND).expect("heard").room;
        let ended = Heard {
            room,
            news: News::End,
            evicted: Some(room),
        };
        assert_eq!(hear(&mut directory, end(1, 4), SECOND), Ok(ended));
        assert!(directory.is_empty() && directory.get(&room).is_none());
        for head in [0, 3, 4] {
            assert_eq!(hear(&mut directory, live(head), 2 * SECOND), Err(Refusal::Older));
            let member = directory.handle_announcement(named(1, 1), source(1), NOW + 86_400, 2 * SECOND);
            assert_eq!(member, Err(Refusal::Older), "a member hands over what it had");
        }
        assert_eq!(
            hear(&mut directory, end(1, 4), 3 * SECOND).map(|heard| heard.news),
            Ok(News::Again)
        );
        assert_eq!(hear(&mut directory, end(1, 3), 3 * SECOND), Err(Refusal::Older));
        let back = hear(&mut directory, live(5), 4 * SECOND).expect("its host is back");
        assert_eq!((back.news, directory.len()), (News::Room, 1));
    }

    #[test]
    fn an_end_that_comes_first_keeps_its_room_off_the_list() {
        let mut directory = Directory::default();
        let heard = hear(&mut directory, end(1, 4), SECOND).expect("it may be told to us");
        assert_eq!((heard.news, heard.evicted), (News::End, None));
        assert_eq!(hear(&mut directory, live(3), SECOND), Err(Refusal::Older));
    }

    #[test]
    fn an_end_from_before_what_is_known_changes_nothing() {
        let mut directory = Directory::default();
        let room = hear(&mut directory, live(3), SECOND).expect("heard").room;
        assert_eq!(hear(&mut directory, end(1, 2), SECOND), Err(Refusal::Older));
        assert!(directory.get(&room).is_some());
    }

    #[test]
    fn forged_and_foreign_ends_unlist_nothing() {
        let mut directory = Directory::default();
        let room = hear(&mut directory, live(3), SECOND).expect("heard").room;
        let mut forged = end(1, 9).to_bytes().to_vec();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let thief = crate::person::PersonKey::from_seed(&[2; 32]);
        let mut foreign = end(1, 9).peek().expect("valid");
        foreign.chair = thief.person();
        let foreign = Verified::sign(foreign, &thief).expect("well-formed");
        for wrong in [
            Signed::from_bytes(&forged).expect("an envelope"),
            foreign.signed().clone(),
        ] {
            let error = hear(&mut directory, wrong, SECOND).expect_err("not the host's");
            assert!(error.is_senders_fault(), "{error}");
        }
        assert!(directory.get(&room).is_some() && directory.ended.is_empty());
    }

    #[test]
    fn an_end_of_long_ago_counts_only_for_a_room_that_is_listed() {
        let mut directory = Directory::default();
        let late = |directory: &mut Directory| {
            directory.handle_announcement(end(1, 4), source(1), NOW + END_MATTERS_S + 1, SECOND)
        };
        assert_eq!(late(&mut directory), Err(Refusal::Listing(ListingError::Stale)));
        hear(&mut directory, live(3), SECOND).expect("heard");
        assert_eq!(late(&mut directory).map(|heard| heard.news), Ok(News::End));
    }

    #[test]
    fn an_end_is_remembered_for_as_long_as_it_matters_however_often_it_comes() {
        let mut directory = Directory::default();
        hear(&mut directory, end(1, 4), Duration::ZERO).expect("heard");
        hear(&mut directory, end(1, 4), REMEMBER / 2).expect("again");
        directory.handle_timeout(REMEMBER - SECOND);
        assert_eq!(directory.ended.len(), 1);
        directory.handle_timeout(REMEMBER);
        assert!(directory.ended.is_empty());
    }

    #[test]
    fn ends_are_bounded_and_a_peer_that_floods_pushes_out_its_own() {
        let mut directory = small();
        for (number, (host, from)) in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3)].into_iter().enumerate() {
            let at = SECOND * u32::try_from(number).expect("few");
            let heard = directory.handle_announcement(end(host, 1), source(from), NOW, at);
            assert!(heard.is_ok());
        }
        let by: Vec<u8> = directory
            .ended
            .values()
            .filter_map(|entry| Some(entry.source?.id[0]))
            .collect();
        let of = |source: u8| by.iter().filter(|id| **id == source).count();
        assert_eq!((of(1), of(2), of(3)), (1, 1, 1));
    }

    #[test]
    fn ends_are_passed_on_once_and_answered() {
        let mut directory = Directory::default();
        let room = hear(&mut directory, end(1, 4), SECOND).expect("heard").room;
        let other = directory
            .handle_announcement(announcement(2, |_| ()), source(1), NOW, SECOND)
            .expect("heard")
            .room;
        let (poetry, chess) = ("poetry".parse().ok(), "chess".parse().ok());
        assert!(directory.pass_on(&room, None, SECOND) && !directory.pass_on(&room, None, 2 * SECOND));
        assert!(directory.pass_on(&room, poetry.as_ref(), SECOND));
        assert!(!directory.pass_on(&room, chess.as_ref(), SECOND));
        assert!(directory.genesis(&room).is_some());
        let all = Query {
            limit: 64,
            ..Query::default()
        };
        let answer = directory.answer(&all);
        let rooms: Vec<RoomId> = answer
            .announcements
            .iter()
            .map(|signed| signed.peek().expect("valid").room)
            .collect();
        assert_eq!(rooms.len(), 2);
        assert!(rooms.contains(&room) && rooms.contains(&other) && rooms.is_sorted());
    }
}
