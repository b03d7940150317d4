//! Announcements of rooms that are planned, and of those that were called off.

use super::*;
use crate::{log::Head, person::PersonKey, signed::StatementError};

const NOW: u64 = 1_900_000_000;
const STARTS: u64 = NOW + 86_400;

fn key(seed: u8) -> PersonKey {
    PersonKey::from_seed(&[seed; 32])
}

fn genesis(starts: Option<u64>) -> Verified<Genesis> {
    let genesis = Genesis {
        starts,
        ..Genesis::new(key(1).person(), "Poems", [0; 16])
    };
    genesis.sign(&key(1)).expect("valid")
}

fn log() -> Log {
    Log::new(genesis(Some(STARTS)))
}

fn does(log: &mut Log, act: &Act) {
    let action = Action::new(log.room(), key(1).person(), log.head(), log.state().clock(), act);
    let action = Verified::sign(action, &key(1)).expect("valid");
    log.append(action.signed().clone(), &key(1), 0)
        .expect("the host may");
}

fn plan(starts: u64) -> Act {
    Act::Schedule {
        plan: Plan {
            starts,
            description: Text::clean("more of them"),
        },
    }
}

fn cancel(starts: u64) -> Act {
    Act::Cancel {
        starts,
        reason: Text::clean("ill"),
    }
}

fn signed(log: &Log, issued: u64) -> Signed<Announcement> {
    let planned = Announcement::planned(log, issued).expect("planned");
    let verified = Verified::sign(planned, &key(1)).expect("valid");
    verified.signed().clone()
}

fn listed(log: &Log, issued: u64) -> Listing {
    Listing::verify(signed(log, issued), NOW, None).expect("current")
}

/// A record with something wrong in it, signed by its host all the same.
fn altered(log: &Log, change: impl FnOnce(&mut Announcement)) -> Result<Listing, ListingError> {
    let mut planned = Announcement::planned(log, NOW).expect("planned");
    change(&mut planned);
    let verified = Verified::sign(planned, &key(1))?;
    Listing::verify(verified.signed().clone(), NOW, None)
}

#[test]
fn what_is_planned_is_proven_by_the_genesis_or_by_the_hosts_newest_word() {
    let mut log = log();
    let first = listed(&log, NOW);
    assert_eq!((first.starts(), first.description().as_str()), (Some(STARTS), ""));
    assert!(matches!(first.status(), Status::Planned(_)));

    does(&mut log, &plan(STARTS - 3_600));
    let changed = listed(&log, NOW);
    assert_eq!(changed.starts(), Some(STARTS - 3_600));
    assert_eq!(changed.description().as_str(), "more of them");
    assert!(changed.is_newer_than(&first) && !first.is_newer_than(&changed));
    let lives = |listing: &Listing| listing.announcement().expires;
    assert_eq!(lives(&changed), lives(&first), "as long as what it replaces");

    does(&mut log, &cancel(STARTS - 3_600));
    let cancelled = listed(&log, NOW);
    let reason = Text::clean("ill");
    let starts = STARTS - 3_600;
    assert_eq!(cancelled.status(), &Status::Cancelled { starts, reason });
    assert!(cancelled.is_newer_than(&changed));
}

#[test]
fn a_room_that_was_opened_or_never_planned_is_not_announced_ahead() {
    assert_eq!(Announcement::planned(&Log::new(genesis(None)), NOW), None);
    let mut log = log();
    log.claim(&key(1), 0, false).expect("the host");
    assert_eq!(Announcement::planned(&log, NOW), None);
}

#[test]
fn it_goes_by_the_clock_unless_the_clock_is_known_to_be_wrong() {
    let signed = signed(&log(), NOW);
    let end = STARTS + limits::SCHEDULE_KEPT_S;
    let member = Some(Peer([8; 32]));
    let at = |now| Listing::verify(signed.clone(), now, member).is_ok();
    for now in [0, 1, CLOCK_FLOOR - 1, NOW - 86_400, NOW, STARTS, end - 1] {
        assert!(at(now), "{now}");
    }
    for now in [CLOCK_FLOOR, NOW - 86_401, end, u64::MAX] {
        assert!(!at(now), "{now}");
    }
}

#[test]
fn nothing_is_planned_farther_ahead_than_it_is_kept() {
    let far = NOW + limits::SCHEDULE_AHEAD_S;
    assert!(altered(&Log::new(genesis(Some(far))), |_| ()).is_ok());
    for starts in [far + 1, u64::MAX, NOW - limits::SCHEDULE_KEPT_S, 0] {
        let log = Log::new(genesis(Some(starts)));
        assert!(altered(&log, |_| ()).is_err(), "{starts}");
    }
    // Nor does a record end before its room may start.
    assert!(altered(&log(), |a| a.expires = STARTS).is_err());
}

#[test]
fn nobody_but_the_host_plans_changes_or_cancels() {
    let (thief, mut log) = (key(2), log());
    let mut stolen = Announcement::planned(&log, NOW).expect("planned");
    stolen.chair = thief.person();
    let stolen = Verified::sign(stolen, &thief).expect("well-formed");
    assert_eq!(
        Listing::verify(stolen.signed().clone(), NOW, None),
        Err(ListingError::NotTheHost)
    );

    let room = log.room();
    let by = |author: &PersonKey, room, act: &Act| {
        let action = Action::new(room, author.person(), Head::genesis(room), 0, act);
        Verified::sign(action, author).expect("valid").signed().to_bytes()
    };
    let elsewhere = RoomId([9; 32]);
    for (proof, error) in [
        (by(&thief, room, &cancel(STARTS)), ListingError::NotTheHost),
        (by(&key(1), elsewhere, &cancel(STARTS)), ListingError::NotTheHost),
        (by(&key(1), room, &Act::End), ListingError::NotPlanned),
    ] {
        assert_eq!(altered(&log, |a| a.proof = Some(proof)), Err(error));
    }
    let mut forged = by(&key(1), room, &cancel(STARTS)).to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let error = altered(&log, |a| a.proof = Some(forged.into()));
    assert_eq!(
        error,
        Err(ListingError::Statement(StatementError::Signature("action")))
    );

    does(&mut log, &plan(STARTS + 1));
    let unplanned = Announcement {
        kind: Kind::Scheduled,
        expires: STARTS,
        ..Announcement::live(&genesis(None), NOW)
    };
    let unplanned = Verified::sign(unplanned, &key(1)).expect("well-formed");
    assert_eq!(
        Listing::verify(unplanned.signed().clone(), NOW, None),
        Err(ListingError::NotPlanned)
    );
}

#[test]
fn the_room_that_opens_is_news_after_what_was_planned() {
    let mut log = log();
    let planned = listed(&log, NOW + 60);
    log.claim(&key(1), 0, false).expect("the host");
    let live = Announcement {
        head: log.head().sequence,
        ..Announcement::live(log.genesis(), NOW)
    };
    let live = Verified::sign(live, &key(1)).expect("valid");
    let live = Listing::verify(live.signed().clone(), NOW, None).expect("fresh");
    assert!(live.is_newer_than(&planned) && !planned.is_newer_than(&live));
    assert_eq!(live.status(), &Status::Live);
}
