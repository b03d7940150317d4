//! Rooms to come: replaced, called off, opened, forgotten; replays and floods.

use alloc::{format, vec, vec::Vec};

use proptest::prelude::*;

use super::{
    tests::{NOW, SECOND, end, small, source},
    *,
};
use crate::{
    log::{Act, Action, Log, Plan},
    person::PersonKey,
    text::Text,
};

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
const STARTS: u64 = NOW + DAY;

fn key(host: u8) -> PersonKey {
    PersonKey::from_seed(&[host; 32])
}

/// A planned room, as its host has it.
struct Planned {
    host: u8,
    log: Log,
}

impl Planned {
    fn new(host: u8, starts: u64) -> Self {
        Self::numbered(host, host, starts)
    }

    /// One of several rooms of a host.
    fn numbered(host: u8, number: u8, starts: u64) -> Self {
        let mut genesis = Genesis::new(key(host).person(), "Poems", [number; 16]);
        genesis.tags = vec!["poetry".parse().expect("a tag")];
        genesis.starts = Some(starts);
        let log = Log::new(genesis.sign(&key(host)).expect("valid"));
        Self { host, log }
    }

    fn id(&self) -> RoomId {
        self.log.room()
    }

    fn does(&mut self, act: &Act) {
        let key = key(self.host);
        let action = Action::new(self.id(), key.person(), self.log.head(), 0, act);
        let action = Verified::sign(action, &key).expect("valid");
        self.log.append(action.signed().clone(), &key, 0).expect("it may");
    }

    fn moves(&mut self, starts: u64) -> Signed<Announcement> {
        let description = Text::clean(&format!("at {starts}"));
        let plan = Plan { starts, description };
        self.does(&Act::Schedule { plan });
        self.record(NOW)
    }

    fn cancels(&mut self, starts: u64) -> Signed<Announcement> {
        let reason = Text::clean("ill");
        self.does(&Act::Cancel { starts, reason });
        self.record(NOW)
    }

    fn record(&self, issued: u64) -> Signed<Announcement> {
        let planned = Announcement::planned(&self.log, issued).expect("planned");
        self.sign(planned)
    }

    /// The record as its host tells of it that is this peer.
    fn record_at(&self, peer: u8) -> Signed<Announcement> {
        let mut planned = Announcement::planned(&self.log, NOW).expect("planned");
        let address = format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{}", Peer([peer; 32]));
        planned.addresses = vec![address.parse().expect("an address")];
        self.sign(planned)
    }

    fn opens(&mut self, issued: u64) -> Signed<Announcement> {
        self.log.claim(&key(self.host), 0, false).expect("its host");
        let live = Announcement {
            head: self.log.head().sequence,
            ..Announcement::live(self.log.genesis(), issued)
        };
        self.sign(live)
    }

    fn sign(&self, announcement: Announcement) -> Signed<Announcement> {
        let verified = Verified::sign(announcement, &key(self.host)).expect("valid");
        verified.signed().clone()
    }
}

/// What a directory makes of an announcement at a time after [`NOW`].
fn hear(
    directory: &mut Directory,
    signed: &Signed<Announcement>,
    from: Source,
    after: u64,
) -> Result<News, Refusal> {
    let heard = directory.handle_announcement(signed.clone(), from, NOW + after, Duration::from_secs(after));
    heard.map(|heard| heard.news)
}

fn to_come(directory: &Directory) -> Vec<(RoomId, Option<u64>)> {
    let planned = |listing: &&Listing| matches!(listing.status(), Status::Planned(_));
    let plans = directory.plans(None).filter(planned);
    plans
        .map(|listing| (listing.announcement().room, listing.starts()))
        .collect()
}

fn in_network(number: u8, network: u8) -> Source {
    Source {
        network: Some(Network::V4([network; 3])),
        ..source(number)
    }
}

#[test]
fn a_room_to_come_is_listed_until_an_hour_after_its_start_however_seldom_it_is_heard_of() {
    let mut directory = Directory::default();
    let room = Planned::new(1, STARTS);
    let record = room.record(NOW);
    assert_eq!(hear(&mut directory, &record, source(1), 0), Ok(News::Room));
    assert_eq!(hear(&mut directory, &record, source(2), 60), Ok(News::Again));
    assert_eq!(to_come(&directory), [(room.id(), Some(STARTS))]);
    assert!(directory.get(&room.id()).is_some() && directory.is_empty());

    let late = Duration::from_secs(DAY + HOUR);
    assert_eq!(directory.poll_timeout(), Some(late));
    assert!(directory.handle_timeout(late - SECOND).is_empty());
    assert_eq!(directory.handle_timeout(late), [room.id()]);
    assert!(to_come(&directory).is_empty() && directory.poll_timeout().is_none());
    let again = hear(&mut directory, &record, source(1), DAY + HOUR);
    assert_eq!(again, Err(Refusal::Listing(ListingError::Stale)));
}

#[test]
fn a_changed_plan_takes_the_place_of_the_one_before_which_does_not_come_back() {
    let mut directory = Directory::default();
    let mut room = Planned::new(1, STARTS + 9 * DAY);
    let old = room.record(NOW);
    let sooner = room.moves(STARTS);
    assert_eq!(hear(&mut directory, &old, source(1), 0), Ok(News::Room));
    assert_eq!(hear(&mut directory, &sooner, source(1), 1), Ok(News::Newer));
    assert_eq!(hear(&mut directory, &old, source(2), 2), Err(Refusal::Older));
    assert_eq!(to_come(&directory), [(room.id(), Some(STARTS))]);

    // The one that is over by now still keeps away the one that would be current.
    let after = DAY + HOUR;
    let gone = directory.handle_timeout(Duration::from_secs(after));
    assert_eq!(gone, [room.id()]);
    for after in [after, 5 * DAY, 10 * DAY] {
        assert_eq!(
            hear(&mut directory, &old, source(2), after),
            Err(Refusal::Older),
            "{after}"
        );
        assert!(to_come(&directory).is_empty());
    }
}

#[test]
fn a_cancelled_room_is_listed_as_such_until_its_time_and_no_replay_brings_it_back() {
    let mut directory = Directory::default();
    let mut room = Planned::new(1, STARTS);
    let old = room.record(NOW);
    let later = room.moves(STARTS + 9 * DAY);
    let cancelled = room.cancels(STARTS + 9 * DAY);
    assert_eq!(hear(&mut directory, &old, source(1), 0), Ok(News::Room));
    let heard = directory.handle_announcement(cancelled, source(1), NOW, SECOND);
    let heard = heard.expect("its host's");
    assert_eq!((heard.news, heard.evicted), (News::End, Some(room.id())));
    assert!(directory.get(&room.id()).is_none() && to_come(&directory).is_empty());
    let shown = directory.cancelled(&room.id()).expect("it is remembered");
    assert!(matches!(shown.status(), Status::Cancelled { reason, .. } if reason.as_str() == "ill"));
    assert_eq!(directory.plans(None).count(), 1);

    for after in [2, DAY, 9 * DAY, 10 * DAY + HOUR - 1] {
        for replayed in [&old, &later] {
            directory.handle_timeout(Duration::from_secs(after));
            assert!(
                hear(&mut directory, replayed, source(2), after).is_err(),
                "{after}"
            );
            assert!(directory.get(&room.id()).is_none());
        }
    }
    directory.handle_timeout(Duration::from_secs(10 * DAY + HOUR + 1));
    assert!(
        directory.cancelled(&room.id()).is_none(),
        "none could come back any more"
    );
    let replayed = hear(&mut directory, &later, source(2), 10 * DAY + HOUR);
    assert_eq!(replayed, Err(Refusal::Listing(ListingError::Stale)));
}

#[test]
fn a_room_that_has_opened_is_planned_no_more_whatever_is_said_of_it_later() {
    let mut directory = Directory::default();
    let mut room = Planned::new(1, STARTS);
    let planned = room.record(NOW);
    let live = room.opens(NOW + 60);
    assert_eq!(hear(&mut directory, &planned, source(1), 0), Ok(News::Room));
    assert_eq!(hear(&mut directory, &live, source(1), 60), Ok(News::Newer));
    assert_eq!((directory.len(), directory.len_of_plans()), (1, 0));
    assert_eq!(hear(&mut directory, &planned, source(2), 61), Err(Refusal::Older));
    // Its host was killed, and the room is forgotten.
    let gone = directory.handle_timeout(Duration::from_secs(700));
    assert_eq!(gone, [room.id()]);
    assert_eq!(
        hear(&mut directory, &planned, source(2), 701),
        Err(Refusal::Older)
    );
    assert!(directory.get(&room.id()).is_none());
    let answer = directory.answer(&Query {
        limit: 64,
        ..Query::default()
    });
    assert!(answer.announcements.is_empty());
}

#[test]
fn the_end_of_a_room_ends_its_plan() {
    let mut directory = Directory::default();
    let mut room = Planned::new(1, STARTS);
    let planned = room.record(NOW);
    hear(&mut directory, &planned, source(1), 0).expect("heard");
    let _live = room.opens(NOW);
    let over = Announcement::end(room.log.genesis(), 1, NOW);
    assert_eq!(
        hear(&mut directory, &room.sign(over), source(1), 1),
        Ok(News::End)
    );
    directory.handle_timeout(REMEMBER + 2 * SECOND);
    assert_eq!(
        hear(&mut directory, &planned, source(2), 3 * HOUR),
        Err(Refusal::Older)
    );
    let other = end(2, 1);
    assert_eq!(hear(&mut directory, &other, source(1), 1), Ok(News::End));
}

#[test]
fn whoever_asks_is_told_of_what_is_to_come_and_of_what_will_not() {
    let (mut keeper, mut newcomer) = (Directory::default(), Directory::default());
    let (kept, mut off) = (Planned::new(1, STARTS), Planned::new(2, STARTS));
    let old = off.record(NOW);
    for record in [kept.record(NOW), off.cancels(STARTS)] {
        hear(&mut keeper, &record, source(1), 0).expect("heard");
    }
    let tag = "poetry".parse().ok();
    for tag in [None, tag] {
        let query = Query {
            tag,
            limit: 64,
            ..Query::default()
        };
        let answer = keeper.answer(&query);
        assert_eq!(answer.announcements.len(), 2);
        for told in &answer.announcements {
            let _ = hear(&mut newcomer, told, source(9), HOUR);
        }
    }
    assert_eq!(to_come(&newcomer), [(kept.id(), Some(STARTS))]);
    assert_eq!(hear(&mut newcomer, &old, source(2), HOUR), Err(Refusal::Older));
    let poetry: RoomTag = "poetry".parse().expect("a tag");
    assert_eq!(newcomer.plans(Some(&poetry)).count(), 2);
    assert_eq!(newcomer.plans("chess".parse().ok().as_ref()).count(), 0);
}

#[test]
fn a_clock_that_is_known_to_be_wrong_keeps_a_record_for_as_long_as_it_says_of_itself() {
    let mut directory = Directory::default();
    let room = Planned::new(1, STARTS);
    let heard = directory.handle_announcement(room.record(NOW), source(1), 1, Duration::ZERO);
    assert_eq!(heard.map(|heard| heard.news), Ok(News::Room));
    assert!(directory.handle_timeout(Duration::from_secs(DAY)).is_empty());
    assert_eq!(
        directory.handle_timeout(Duration::from_secs(DAY + HOUR)),
        [room.id()]
    );
}

#[test]
fn a_flood_of_keys_through_one_peer_pushes_out_nothing_of_others_and_little_of_its_own() {
    let mut directory = small();
    let honest = Planned::new(100, STARTS + 20 * DAY);
    hear(&mut directory, &honest.record(NOW), source(2), 0).expect("heard");
    for host in 1..50 {
        let flood = Planned::new(host, STARTS).record(NOW);
        let refused = hear(&mut directory, &flood, source(1), 1).is_err();
        assert_eq!(refused, host > 2, "who has filled its share is heard no more");
    }
    assert!(directory.get(&honest.id()).is_some());
    let sooner = Planned::new(60, STARTS - HOUR).record(NOW);
    assert_eq!(hear(&mut directory, &sooner, source(1), 2), Ok(News::Room));
    assert_eq!(directory.len_of_plans(), 3, "in the place of one of its own");
}

#[test]
fn many_peers_of_one_network_share_its_places() {
    let mut directory = small();
    for number in 1..20 {
        let record = Planned::new(number, STARTS).record(NOW);
        let _ = hear(&mut directory, &record, in_network(number, 7), 0);
    }
    assert_eq!(directory.len_of_plans(), 3);
}

#[test]
fn in_a_full_directory_places_go_from_those_with_many_to_those_with_none_and_never_back() {
    let mut directory = small();
    // Two networks fill it.
    for number in 1..=4 {
        let record = Planned::new(number, STARTS).record(NOW);
        hear(&mut directory, &record, in_network(number, number % 2), 0).expect("there is space");
    }
    for (number, network) in [(5, 5), (6, 6)] {
        let honest = Planned::new(number, STARTS + DAY);
        let heard = hear(
            &mut directory,
            &honest.record(NOW),
            in_network(number, network),
            1,
        );
        assert_eq!(heard, Ok(News::Room), "{number}");
    }
    let honest: Vec<RoomId> = [5, 6].map(|host| Planned::new(host, STARTS + DAY).id()).into();
    // Now each has one. However many keys and networks come, nobody loses it.
    for number in 10..40 {
        let flood = Planned::new(number, NOW + 60).record(NOW);
        let heard = hear(&mut directory, &flood, in_network(number, number), 2);
        assert_eq!(heard, Err(Refusal::Full), "{number}");
    }
    assert!(honest.iter().all(|room| directory.get(room).is_some()));
}

#[test]
fn what_a_host_has_handed_over_is_not_pushed_out_by_what_comes_round_about() {
    let mut directory = small();
    let (first, second) = (Planned::new(1, STARTS), Planned::new(2, STARTS));
    for room in [&first, &second] {
        // It came with gossip before, through another.
        hear(&mut directory, &room.record_at(7), source(3), 0).expect("heard");
        assert_eq!(
            hear(&mut directory, &room.record_at(7), source(7), 0),
            Ok(News::Again)
        );
    }
    let gossip = Planned::new(3, NOW + 60);
    assert_eq!(
        hear(&mut directory, &gossip.record(NOW), source(7), 1),
        Err(Refusal::Full)
    );
    let own = Planned::new(4, NOW + 60);
    assert_eq!(
        hear(&mut directory, &own.record_at(7), source(7), 1),
        Ok(News::Room),
        "sooner, and handed over as well"
    );
}

#[test]
fn one_host_has_few_rooms_to_come_and_may_have_another_for_each_that_it_calls_off() {
    let mut directory = small();
    let mut rooms: Vec<Planned> = (0..3)
        .map(|number| Planned::numbered(1, number, STARTS))
        .collect();
    let from = |number: usize| source(u8::try_from(number).expect("few"));
    for (number, room) in rooms.iter().enumerate() {
        let heard = hear(&mut directory, &room.record(NOW), from(number), 0);
        let wanted = if number < 2 {
            Ok(News::Room)
        } else {
            Err(Refusal::Full)
        };
        assert_eq!(heard, wanted, "{number}");
    }
    let cancelled = rooms[0].cancels(STARTS);
    assert_eq!(hear(&mut directory, &cancelled, from(0), 1), Ok(News::End));
    assert_eq!(
        hear(&mut directory, &rooms[2].record(NOW), from(2), 2),
        Ok(News::Room)
    );
}

#[test]
fn our_own_plans_stay_whatever_others_say_of_them() {
    let mut directory = small();
    let mut room = Planned::new(9, STARTS);
    let own = Listing::verify(room.record(NOW), NOW, None).expect("current");
    directory.announce(own, SECOND);
    for number in 1..20 {
        let record = Planned::new(number, NOW + 60).record(NOW);
        let _ = hear(&mut directory, &record, source(number), 1);
    }
    let foreign = room.cancels(STARTS);
    assert_eq!(
        hear(&mut directory, &foreign, source(1), 2),
        Err(Refusal::Older),
        "we know best"
    );
    assert!(directory.get(&room.id()).is_some());
    assert!(directory.repeat(2 * REPEAT).len() == 4, "but our own");
}

#[test]
fn records_are_repeated_once_nobody_has_done_so_for_a_while() {
    let mut directory = Directory::default();
    let room = Planned::new(1, STARTS);
    hear(&mut directory, &room.record(NOW), source(1), 0).expect("heard");
    assert!(directory.repeat(REPEAT - SECOND).is_empty());
    hear(&mut directory, &room.record(NOW), source(2), 300).expect("heard again");
    assert!(directory.repeat(REPEAT).is_empty(), "another has repeated it");
    let due = REPEAT + Duration::from_secs(300);
    assert_eq!(directory.repeat(due).len(), 1);
    assert!(directory.repeat(due + SECOND).is_empty());
    assert_eq!(directory.repeat(due + REPEAT).len(), 1);
}

#[test]
fn a_record_is_passed_on_once_on_each_topic_of_its_own() {
    let mut directory = Directory::default();
    let room = Planned::new(1, STARTS);
    hear(&mut directory, &room.record(NOW), source(1), 0).expect("heard");
    let poetry: Option<RoomTag> = "poetry".parse().ok();
    assert!(directory.pass_on(&room.id(), None, SECOND));
    assert!(!directory.pass_on(&room.id(), None, 2 * SECOND));
    assert!(directory.pass_on(&room.id(), poetry.as_ref(), 2 * SECOND));
    assert!(directory.genesis(&room.id()).is_some());
}

#[test]
fn what_was_written_down_is_kept_again_with_whom_it_is_charged_to() {
    let mut directory = small();
    let (kept, mut off, mut open) = (
        Planned::new(1, STARTS),
        Planned::new(2, STARTS),
        Planned::new(3, STARTS),
    );
    let (old, planned) = (off.record(NOW), open.record(NOW));
    let records = [
        kept.record(NOW),
        off.cancels(STARTS),
        planned.clone(),
        open.opens(NOW),
    ];
    for (record, from) in records.iter().zip(1..) {
        hear(&mut directory, record, in_network(from, 5), 0).expect("heard");
    }
    let (written, mut again) = (directory.written(), small());
    assert_eq!(written.len(), 3);
    for one in &written {
        again.restore(one, NOW + HOUR, SECOND).expect("it counts");
    }
    assert_eq!(to_come(&again), [(kept.id(), Some(STARTS))]);
    for replayed in [&old, &planned] {
        assert_eq!(hear(&mut again, replayed, source(9), HOUR), Err(Refusal::Older));
    }
    let more = Planned::new(7, STARTS + DAY).record(NOW);
    assert_eq!(
        hear(&mut again, &more, in_network(9, 5), HOUR),
        Err(Refusal::Full),
        "its network has its share"
    );
    let mut late = small();
    let stale = late.restore(&written[0], NOW + 40 * DAY, SECOND);
    assert_eq!(stale, Err(Refusal::Listing(ListingError::Stale)));
    assert!(late.restore(b"torn", NOW, SECOND).is_err());
}

/// Of each of six rooms its three records: planned, moved, cancelled; and the room as it opens.
static RECORDS: std::sync::LazyLock<Vec<Vec<Signed<Announcement>>>> = std::sync::LazyLock::new(|| {
    let of = |host: u8| {
        let mut room = Planned::new(host, STARTS + u64::from(host) * HOUR);
        let live = Planned::new(host, STARTS + u64::from(host) * HOUR).opens(NOW);
        let first = room.record(NOW);
        let moved = room.moves(STARTS);
        vec![first, moved, room.cancels(STARTS), live]
    };
    (1..=6).map(of).collect()
});

proptest! {
    #[test]
    fn in_any_history_the_bounds_hold_and_nothing_older_is_shown_again(
        steps in prop::collection::vec((0..6usize, 0..4usize, 0..4u8, 0..40_000u64), 1..60),
    ) {
        let mut directory = small();
        let bounds = directory.bounds;
        let (mut after, mut seen) = (0, BTreeMap::<RoomId, u32>::new());
        for (room, version, from, pause) in steps {
            after += if pause < 30_000 { 1 } else { pause };
            let now = Duration::from_secs(after);
            for gone in directory.handle_timeout(now) {
                prop_assert!(directory.get(&gone).is_none());
            }
            prop_assert!(directory.poll_timeout().is_none_or(|due| due > now));
            let signed = &RECORDS[room][version];
            let claim = signed.peek().expect("valid");
            seen.retain(|room, _| directory.known_entry(room).is_some());
            let heard = directory.handle_announcement(signed.clone(), in_network(from, from / 2), NOW + after, now);
            match heard {
                Ok(heard) => {
                    let newest = seen.insert(claim.room, claim.head).unwrap_or(0);
                    prop_assert!(heard.news == News::Again || claim.head >= newest);
                    if let Some(evicted) = heard.evicted {
                        prop_assert!(directory.get(&evicted).is_none());
                    }
                }
                Err(error) => prop_assert!(!error.is_senders_fault(), "{error}"),
            }
            for listing in directory.plans(None) {
                let said = listing.announcement();
                prop_assert_eq!(seen.get(&said.room), Some(&said.head));
            }
            prop_assert!(directory.plans.told().count() <= bounds.plans);
        }
    }
}
