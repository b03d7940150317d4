//! Every way in which an entry or a request can be wrong, forged with real keys.

use majlis_protocol::{
    limits,
    log::{Act, Action, ActionError, Entry, EntryError, Head, Log, Role},
    reason::Reason,
    room::{Genesis, RoomId},
    signed::{Malformed, Signed, Verified},
    text::Text,
};

use super::{Room, forged, genesis, key, person, title};

/// A room with three entries.
fn room() -> Room {
    let mut room = Room::open();
    room.seat(&key(2));
    room.does(&key(1), &title("ours"));
    room
}

/// What a member of the room says to an entry that differs from the right one by `change`.
fn member_says(room: &Room, change: impl FnOnce(&mut Entry)) -> EntryError {
    let mut entry = room.unchecked(&room.action(&key(1), &title("next")));
    change(&mut entry);
    let mut member = room.member();
    let error = member.handle_entry(room.sign(entry)).unwrap_err();
    assert_eq!(member.head(), room.head());
    assert_eq!(member.state(), room.log.state());
    error
}

/// What a member says to an entry that rightly carries this action.
fn member_says_to(room: &Room, action: &Signed<Action>) -> ActionError {
    match member_says(room, |entry| entry.action = action.to_bytes()) {
        EntryError::Action(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_rightful_entry_is_taken_and_a_second_copy_is_no_error() {
    let mut room = room();
    let mut member = room.member();
    let applied = room.does(&key(1), &title("next"));
    let entry = applied.entry.signed().clone();
    assert_eq!(member.handle_entry(entry.clone()), Ok(Some(applied)));
    assert_eq!(member.handle_entry(entry), Ok(None));
    assert_eq!(member.state(), room.log.state());
}

#[test]
fn an_entry_that_comes_too_early_names_what_is_missing() {
    let room = room();
    let error = member_says(&room, |entry| entry.sequence += 2);
    assert_eq!(
        error,
        EntryError::Gap {
            after: 3,
            sequence: 6
        }
    );
    let last = member_says(&room, |entry| entry.sequence = u32::MAX);
    assert_eq!(
        last,
        EntryError::Gap {
            after: 3,
            sequence: u32::MAX
        }
    );
}

#[test]
fn two_entries_at_one_place_are_proof_against_the_chair() {
    let room = room();
    let error = member_says(&room, |entry| entry.sequence = 2);
    let EntryError::Equivocation(proof) = error else {
        panic!("{error}")
    };
    assert_eq!(
        Some(proof.ours.signed()),
        room.log.entry(2).map(|entry| entry.signed())
    );
    assert_eq!((proof.theirs.sequence, proof.theirs.term), (2, 0));
    assert_ne!(proof.ours, proof.theirs);

    let mut entry = room.unchecked(&room.action(&key(1), &title("next")));
    entry.sequence = 2;
    let slander = forged(&room.sign(entry));
    assert_eq!(
        room.member().handle_entry(slander),
        Err(EntryError::Signature),
        "no proof without a signature"
    );
}

#[test]
fn another_history_is_a_fork() {
    let room = room();
    let before = member_says(&room, |entry| entry.previous = [7; 32]);
    assert_eq!(before, EntryError::Fork { sequence: 4 });
    let other_term = member_says(&room, |entry| (entry.sequence, entry.term) = (2, 1));
    assert_eq!(other_term, EntryError::Fork { sequence: 2 });
    let mut entry = room.unchecked(&room.action(&key(1), &title("next")));
    entry.previous = [7; 32];
    assert_eq!(
        room.member().handle_entry(forged(&room.sign(entry))),
        Err(EntryError::Signature)
    );
}

#[test]
fn an_entry_of_another_room_is_refused() {
    let error = member_says(&room(), |entry| entry.room = RoomId([3; 32]));
    assert_eq!(error, EntryError::WrongRoom);
}

#[test]
fn an_entry_by_anyone_but_the_chair_is_refused() {
    let mut room = room();
    for (sequence, error) in [
        (2, EntryError::Fork { sequence: 2 }),
        (4, EntryError::NotTheChair),
    ] {
        let mut entry = room.unchecked(&room.action(&key(1), &title("next")));
        (entry.sequence, entry.chair) = (sequence, person(2));
        let entry = Verified::sign(entry, &key(2)).unwrap();
        let said = room.member().handle_entry(entry.signed().clone());
        assert_eq!(said, Err(error));
    }
    let action = room.action(&key(1), &title("next"));
    assert_eq!(
        room.log.append(action, &key(2), 9_000),
        Err(ActionError::NotTheChair)
    );
}

#[test]
fn a_forged_entry_is_refused_and_the_true_one_taken_after_it() {
    let room = room();
    let entry = room.sign(room.unchecked(&room.action(&key(1), &title("next"))));
    let mut member = room.member();
    assert_eq!(member.handle_entry(forged(&entry)), Err(EntryError::Signature));
    assert!(member.handle_entry(entry).unwrap().is_some());
}

#[test]
fn the_chair_cannot_put_words_in_anyones_mouth() {
    let mut room = room();
    let action = forged(&room.action(&key(2), &Act::Move { subject: person(2) }));
    assert_eq!(member_says_to(&room, &action), ActionError::Signature);
    let (host, clock) = (key(1), room.clock);
    assert_eq!(room.log.append(action, &host, clock), Err(ActionError::Signature));
}

#[test]
fn the_clock_never_falls_and_only_a_chair_entry_opens_a_term() {
    let mut room = room();
    let error = member_says(&room, |entry| entry.clock = 2_999);
    assert_eq!(error, EntryError::Fell { sequence: 4 });
    let error = member_says(&room, |entry| entry.clock = limits::CLOCK_MS + 1);
    assert!(
        matches!(
            error,
            EntryError::TooLate { sequence: 4 } | EntryError::Action(ActionError::Expired { .. })
        ),
        "{error}"
    );
    let term = |term, right| EntryError::Term {
        sequence: 4,
        term,
        right,
    };
    assert_eq!(member_says(&room, |entry| entry.term = 1), term(1, 0));
    room.log.claim(&key(1), room.clock, false).unwrap();
    assert_eq!(room.log.term(), 1);
    let applied = room.does(&key(1), &title("a new term"));
    assert_eq!(applied.entry.term, 1);
    let error = member_says(&room, |entry| entry.term = 0);
    let sequence = 6;
    let (term, right) = (0, 1);
    assert_eq!(
        error,
        EntryError::Term {
            sequence,
            term,
            right
        }
    );
}

#[test]
fn the_chairs_clock_goes_on_above_what_is_logged() {
    let mut room = room();
    let action = room.action(&key(1), &title("the clock of this machine was set back"));
    let host = key(1);
    let applied = room.log.append(action, &host, 5).unwrap();
    assert_eq!(applied.entry.clock, 3_000);
}

#[test]
fn an_action_is_applied_once_and_a_replay_after_its_time_is_expired() {
    let mut room = room();
    let host = key(1);
    let action = room.action(&host, &title("once"));
    room.log.append(action.clone(), &host, room.clock).unwrap();
    for late in [0, 30_000] {
        let clock = 3_000 + late;
        assert_eq!(
            room.log.append(action.clone(), &host, clock),
            Err(ActionError::Replayed)
        );
    }
    assert_eq!(
        room.log
            .append(action.clone(), &host, 33_000)
            .unwrap_err()
            .reason(),
        Reason::Duplicate
    );
    assert_eq!(member_says_to(&room, &action), ActionError::Replayed);

    // An entry long after makes the room forget which actions it applied, and the replay stays out.
    room.clock = 100_000;
    room.does(&host, &title("later"));
    let clock = room.clock;
    let error = room.log.append(action.clone(), &host, clock).unwrap_err();
    assert_eq!(error, ActionError::Expired { late_ms: 68_000 });
    assert_eq!(error.reason(), Reason::Expired);
    assert_eq!(
        member_says_to(&room, &action),
        ActionError::Expired { late_ms: 68_000 }
    );
}

#[test]
fn a_withheld_action_cannot_be_sprung_on_a_room_later() {
    let mut room = room();
    let host = key(1);
    let action = room.action(&host, &title("withheld"));
    room.clock += limits::ACTION_LIFETIME_MS + 1;
    assert_eq!(
        member_says_to(&room, &action),
        ActionError::Expired { late_ms: 1 }
    );
    room.clock -= 1;
    assert!(room.log.append(action, &host, room.clock).is_ok());
}

#[test]
fn an_action_that_would_live_for_long_is_refused() {
    let mut room = room();
    let host = key(1);
    let living = |room: &Room, ahead: u64| {
        let mut action = Action::new(room.log.room(), host.person(), room.head(), 0, &title("long"));
        action.expires = room.clock.saturating_add(ahead);
        Verified::sign(action, &host).unwrap().signed().clone()
    };
    let long = living(&room, 60_001);
    assert_eq!(
        member_says_to(&room, &long),
        ActionError::ExpiresTooLate { ahead_ms: 60_001 }
    );
    assert!(matches!(
        member_says_to(&room, &living(&room, u64::MAX)),
        ActionError::ExpiresTooLate { .. }
    ));
    let fast_clock = living(&room, 60_000);
    assert!(room.log.append(fast_clock, &host, room.clock).is_ok());
}

#[test]
fn an_action_for_another_room_is_refused() {
    let mut room = room();
    let host = key(1);
    let elsewhere = Log::new(
        Genesis::new(host.person(), "elsewhere", [6; 16])
            .sign(&host)
            .unwrap(),
    );
    let action = Action::new(
        elsewhere.room(),
        host.person(),
        elsewhere.head(),
        room.clock,
        &title("x"),
    );
    let action = Verified::sign(action, &host).unwrap().signed().clone();
    assert_eq!(member_says_to(&room, &action), ActionError::WrongRoom);
    let error = room.log.append(action, &host, room.clock).unwrap_err();
    assert_eq!(error.reason(), Reason::UnknownRoom);
}

#[test]
fn the_chair_has_no_power_but_order() {
    let room = room();
    let theft = room.action(&key(4), &title("mine"));
    assert_eq!(
        member_says_to(&room, &theft),
        ActionError::Refused(Reason::NotAllowed)
    );
    let nobody = room.action(&key(1), &Act::Move { subject: person(9) });
    assert_eq!(
        member_says_to(&room, &nobody),
        ActionError::Refused(Reason::NoSuchSubject)
    );
}

#[test]
fn nothing_follows_the_end() {
    let mut room = room();
    room.does(&key(1), &Act::End);
    let after = room.action(&key(1), &title("again"));
    assert_eq!(member_says_to(&room, &after), ActionError::Refused(Reason::Ended));
    let unknown = Act::Unknown {
        kind: 0x0043,
        body: vec![].into(),
    };
    let after = room.action(&key(1), &unknown);
    assert_eq!(member_says_to(&room, &after), ActionError::Refused(Reason::Ended));
}

#[test]
fn malformed_entries_and_actions_are_named() {
    let room = room();
    let newer = member_says(&room, |entry| entry.version = 2);
    assert_eq!(
        newer,
        EntryError::Malformed(Malformed::Version {
            what: "entry",
            version: 2
        })
    );
    let no_action = member_says(&room, |entry| entry.action = vec![1, 2, 3].into());
    assert_eq!(
        no_action,
        EntryError::Malformed(Malformed::Encoding { what: "action" })
    );

    let host = key(1);
    let mut empty_title = Action::new(room.log.room(), host.person(), room.head(), room.clock, &Act::End);
    empty_title.kind = title("x").kind();
    let empty_title = Verified::sign(empty_title, &host).unwrap().signed().clone();
    let error = member_says_to(&room, &empty_title);
    assert_eq!(
        error,
        ActionError::Malformed(Malformed::Encoding { what: "title" })
    );
    assert_eq!(error.reason(), Reason::Malformed);

    let mut newer = Action::new(
        room.log.room(),
        host.person(),
        room.head(),
        room.clock,
        &title("x"),
    );
    newer.version = 2;
    let newer = Verified::sign(newer, &host).unwrap().signed().clone();
    assert_eq!(member_says_to(&room, &newer).reason(), Reason::Unsupported);

    assert!(
        Verified::sign(
            Entry {
                sequence: 0,
                ..room.unchecked(&empty_title)
            },
            &host
        )
        .is_err()
    );
}

#[test]
fn oversized_entries_and_actions_are_refused() {
    let room = room();
    let host = key(1);
    let huge = |bytes: usize| {
        Action::new(
            room.log.room(),
            host.person(),
            room.head(),
            room.clock,
            &Act::Unknown {
                kind: 1,
                body: vec![0; bytes].into(),
            },
        )
    };
    let too_long = Malformed::TooLong {
        what: "action",
        max: limits::ACTION,
    };
    assert_eq!(Verified::sign(huge(limits::ACTION), &host).unwrap_err(), too_long);
    let largest = Verified::sign(huge(limits::ACTION - 200), &host).unwrap();
    let entry = room.sign(room.unchecked(largest.signed()));
    assert!(room.member().handle_entry(entry).unwrap().is_some());
}

#[test]
fn an_unknown_act_is_kept_and_changes_nothing() {
    let room = room();
    let unknown = Act::Unknown {
        kind: 0x0043,
        body: vec![1].into(),
    };
    let mut member = room.member();
    let entry = room.sign(room.unchecked(&room.action(&key(4), &unknown)));
    let applied = member.handle_entry(entry).unwrap().unwrap();
    assert_eq!((applied.act, applied.changes), (unknown, vec![]));
    assert_eq!(member.head().sequence, 4);
    assert_eq!(member.state().stage(), room.log.state().stage());
}

#[test]
fn an_unknown_critical_act_stops_the_log_for_good() {
    let room = room();
    let (host, mut member) = (key(1), room.member());
    let unknown = Act::Unknown {
        kind: 0x803f,
        body: vec![1].into(),
    };
    let action = room.action(&host, &unknown);
    let entry = room.sign(room.unchecked(&action));

    assert_eq!(member.handle_entry(forged(&entry)), Err(EntryError::Signature));
    let nobodys = room.sign(room.unchecked(&forged(&action)));
    assert_eq!(
        member.handle_entry(nobodys),
        Err(EntryError::Action(ActionError::Signature))
    );
    assert_eq!(member.stopped_at(), None, "a forgery stops nobody");

    let needed = EntryError::UpdateNeeded { kind: 0x803f };
    assert_eq!(member.handle_entry(entry), Err(needed.clone()));
    assert_eq!(member.stopped_at(), Some(0x803f));
    assert_eq!(member.head(), room.head());
    let next = room.sign(room.unchecked(&room.action(&host, &title("next"))));
    assert_eq!(member.handle_entry(next), Err(needed));
    let action = room.action(&host, &title("next"));
    assert_eq!(
        member.append(action, &host, 9_000),
        Err(ActionError::Unsupported { kind: 0x803f })
    );
}

#[test]
fn a_full_log_can_still_be_ended() {
    let mut room = Room::open();
    let host = key(1);
    let mut full = None;
    for n in 0..2_000_u32 {
        let mut body = vec![0; 16_000];
        body[..4].copy_from_slice(&n.to_be_bytes());
        let action = room.action(
            &host,
            &Act::Unknown {
                kind: 1,
                body: body.into(),
            },
        );
        let entry = room.sign(room.unchecked(&action));
        if let Err(error) = room.log.handle_entry(entry) {
            full = Some(error);
            break;
        }
    }
    let refused = ActionError::Refused(Reason::Full);
    assert_eq!(full, Some(EntryError::Action(refused)));
    assert!(room.log.head().sequence > 1_000);
    room.does(&host, &Act::End);
    assert!(room.log.state().ended());
}

#[test]
fn whoever_fills_the_log_is_put_out_by_the_host_and_ends_nothing() {
    let mut room = Room::open();
    let co_host = key(2);
    let (subject, role) = (person(2), Role::CoHost);
    room.does(&key(1), &Act::Grant { subject, role });
    room.log.claim(&co_host, room.clock, false).unwrap();
    room.host = key(2);
    let mut full = None;
    for n in 0..2_000_u32 {
        let mut body = vec![0; 16_000];
        body[..4].copy_from_slice(&n.to_be_bytes());
        let (kind, body) = (1, body.into());
        let action = room.action(&co_host, &Act::Unknown { kind, body });
        let entry = room.sign(room.unchecked(&action));
        if let Err(error) = room.log.handle_entry(entry) {
            full = Some(error);
            break;
        }
    }
    let refused = ActionError::Refused(Reason::Full);
    assert_eq!(full, Some(EntryError::Action(refused.clone())));
    while room.ask(&co_host, &title("and the rest in small")).is_ok() {}
    assert_eq!(room.log.claim(&co_host, room.clock, false), Err(refused));

    room.log.claim(&key(1), room.clock, false).unwrap();
    room.host = key(1);
    let (reason, lasts_ms) = (Text::clean("filled the log"), None);
    room.does(
        &key(1),
        &Act::Ban {
            subject,
            lasts_ms,
            reason,
        },
    );
    assert!(room.log.state().exclusion(subject, room.clock).is_some());
    room.does(&key(1), &Act::End);
}

#[test]
fn catching_up_goes_in_batches_of_bounded_size() {
    let mut room = Room::open();
    for n in 0..200 {
        room.does(&key(1), &title(&format!("title {n}")));
    }
    let mut member = Log::new(genesis());
    let mut batches = 0;
    while member.head() != room.head() {
        let batch = room
            .log
            .entries_after(member.head().sequence, limits::ENTRIES_BATCH);
        let bytes: usize = batch.iter().map(|entry| entry.signed().to_bytes().len()).sum();
        assert!(bytes <= limits::ENTRIES_BATCH && !batch.is_empty());
        for entry in batch {
            member.handle_entry(entry.signed().clone()).unwrap();
        }
        batches += 1;
    }
    assert!(batches > 1);
    assert_eq!(member.state(), room.log.state());
    assert!(room.log.entries_after(200, usize::MAX).is_empty());
    assert!(room.log.entries_after(u32::MAX, usize::MAX).is_empty());
    assert!(room.log.entries_after(0, 100).is_empty());
}

#[test]
fn the_head_of_a_new_log_is_its_genesis() {
    let log = Log::new(genesis());
    assert_eq!(
        log.head(),
        Head {
            sequence: 0,
            hash: log.room().0
        }
    );
    assert_eq!(log.entry(0), None);
    assert_eq!(log.state().stage()[&person(1)].since, 0);
    assert_eq!(log.state().stage()[&person(1)].tag.0, log.room().0[..4]);
}
