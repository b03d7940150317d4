//! Long histories that are taken in on their chairs' word, and who can lie in them.

use majlis_protocol::{
    log::{Act, Action, ActionError, Cover, Entry, EntryError, Head, Log, Role},
    signed::{Signed, Verified},
};

use super::{Room, forged, key, person, title};

const LONG: usize = 40;

/// A room whose host has made 2 a co-host and then done much else.
fn long_room() -> Room {
    let mut room = Room::open();
    let (subject, role) = (person(2), Role::CoHost);
    room.does(&key(1), &Act::Grant { subject, role });
    go_on(&mut room, 1);
    room
}

/// The chair writes on.
fn go_on(room: &mut Room, author: u8) {
    for n in 0..LONG {
        room.does(&key(author), &title(&format!("{n}")));
    }
}

/// Another takes the chair.
fn claim(room: &mut Room, seed: u8) {
    room.clock += 1_000;
    room.host = key(seed);
    room.log.claim(&key(seed), room.clock, false).unwrap();
}

/// What a newcomer takes of these entries, and why no more.
fn newcomer(room: &Room, entries: &[Signed<Entry>]) -> (Log, Option<EntryError>) {
    let mut log = Log::new(room.log.genesis().clone());
    let cover = Cover::of(entries);
    for entry in entries {
        if let Err(error) = log.handle_covered(entry.clone(), &cover) {
            return (log, Some(error));
        }
    }
    (log, None)
}

/// An action that its author has not signed.
fn put_into_the_mouth(room: &Room, of: u8, act: &Act) -> Signed<Action> {
    forged(&room.action(&key(of), act))
}

/// The entry of a chair that looks at nothing, with these entries behind it.
fn forge(room: &Room, action: &Signed<Action>, more: usize) -> Vec<Signed<Entry>> {
    let mut entries = room.entries();
    let mut last = room.sign(room.unchecked(action));
    for n in 0..more {
        let before = last.peek().unwrap();
        let after = Head {
            sequence: before.sequence,
            hash: Entry::hash(&last),
        };
        entries.push(last);
        let (chair, clock) = (room.host.person(), before.clock + 1_000);
        let action = Action::new(
            room.log.room(),
            chair,
            after,
            clock,
            &title(&format!("after {n}")),
        );
        let action = Verified::sign(action, &room.host).unwrap();
        last = room.sign(Entry::new(
            room.log.room(),
            after,
            before.term,
            chair,
            clock,
            action.signed(),
        ));
    }
    entries.push(last);
    entries
}

#[test]
fn a_long_log_is_the_same_room_at_once_and_is_verified_behind() {
    let mut room = long_room();
    claim(&mut room, 2);
    go_on(&mut room, 2);
    let (mut log, error) = newcomer(&room, &room.entries());
    assert_eq!(error, None);
    assert_eq!((log.head(), log.state()), (room.head(), room.log.state()));
    assert_eq!((log.verified(), log.is_verified()), (0, false));
    log.verify_behind(LONG / 2).unwrap();
    assert_eq!(log.verified() as usize, LONG / 2);
    assert_eq!(log.proven().head().sequence as usize, LONG / 2);
    log.verify_behind(usize::MAX).unwrap();
    assert_eq!((log.verified(), log.is_verified()), (room.head().sequence, true));
}

#[test]
fn a_few_entries_are_verified_at_once() {
    let room = long_room();
    let (log, error) = newcomer(&room, &room.entries()[..8]);
    assert_eq!((error, log.is_verified(), log.head().sequence), (None, true, 8));
}

#[test]
fn the_last_of_a_chairs_term_is_verified_and_so_is_whoever_takes_the_chair() {
    let mut room = long_room();
    let (lasts, claims) = (room.head().sequence, room.head().sequence + 1);
    claim(&mut room, 2);
    go_on(&mut room, 2);
    for at in [lasts, claims, room.head().sequence] {
        let mut entries = room.entries();
        entries[at as usize - 1] = forged(&entries[at as usize - 1]);
        let (log, error) = newcomer(&room, &entries);
        assert_eq!(error, Some(EntryError::Signature), "{at}");
        assert_eq!(log.head().sequence, at - 1);
    }
}

#[test]
fn a_stranger_forges_nothing_that_comes_before_an_entry_of_the_chair() {
    let room = long_room();
    // One entry less, and all behind it as the stranger would like it to be: it cannot sign them.
    let mut forger = Room::open();
    let (subject, role) = (person(9), Role::CoHost);
    forger.does(&key(1), &Act::Grant { subject, role });
    go_on(&mut forger, 1);
    let entries: Vec<_> = forger.entries().iter().map(forged).collect();
    let (log, error) = newcomer(&room, &entries);
    assert_eq!((error, log.head().sequence), (Some(EntryError::Signature), 0));
    // The true ones behind a forged one do not continue it.
    let mut entries = room.entries();
    entries[0] = forger.entries()[0].clone();
    let (log, error) = newcomer(&room, &entries);
    assert_eq!(
        log.head().sequence,
        1,
        "the host has signed that one, in another history"
    );
    assert_eq!(error, Some(EntryError::Fork { sequence: 2 }));
}

#[test]
fn a_stranger_makes_itself_chair_by_no_forged_grant() {
    let room = long_room();
    let (subject, role) = (person(9), Role::CoHost);
    let grant = put_into_the_mouth(&room, 1, &Act::Grant { subject, role });
    let mut forger = Room {
        log: room.log.clone(),
        host: key(9),
        clock: room.clock,
    };
    // Written by the stranger as the host, and continued under its own key.
    let mut entry = room.unchecked(&grant);
    entry.chair = person(1);
    let entry = forged(&room.sign(entry));
    let after = Head {
        sequence: entry.peek().unwrap().sequence,
        hash: Entry::hash(&entry),
    };
    let claim = Action::new(
        room.log.room(),
        person(9),
        after,
        room.clock,
        &Act::Chair { alone: false },
    );
    let claim = Verified::sign(claim, &key(9)).unwrap();
    let chair = Entry::new(room.log.room(), after, 1, person(9), room.clock, claim.signed());
    forger.clock += 1_000;
    let mut entries = room.entries();
    entries.extend([entry, forger.sign(chair)]);
    let (log, error) = newcomer(&room, &entries);
    assert_eq!(error, Some(EntryError::Signature));
    assert_eq!(log.head(), room.head(), "what the host has written is there");
    // Without the grant it may not.
    let mut entries = room.entries();
    let claim = room.action(&key(9), &Act::Chair { alone: false });
    let chair = Entry::new(room.log.room(), room.head(), 1, person(9), room.clock, &claim);
    entries.push(forger.sign(chair));
    let (log, error) = newcomer(&room, &entries);
    assert!(
        matches!(error, Some(EntryError::Action(ActionError::Refused(_)))),
        "{error:?}"
    );
    assert_eq!(log.head(), room.head());
}

#[test]
fn a_chair_that_forges_anothers_act_is_found_behind_and_named() {
    let mut room = long_room();
    claim(&mut room, 2);
    let forged_at = room.head().sequence + 1;
    let end = put_into_the_mouth(&room, 1, &title("in the host's name"));
    let entries = forge(&room, &end, LONG);
    let (mut log, error) = newcomer(&room, &entries);
    assert_eq!(error, None);
    assert_eq!(log.head().sequence as usize, entries.len());
    let error = log.verify_behind(usize::MAX).unwrap_err();
    assert_eq!(error, EntryError::Action(ActionError::Signature));
    assert_eq!(log.verified() + 1, forged_at);
    let proven = log.proven();
    assert!(proven.is_verified());
    assert_eq!((proven.head(), proven.state()), (room.head(), room.log.state()));
}

#[test]
fn a_signature_that_a_relay_spoiled_is_found_behind() {
    let room = long_room();
    let mut entries = room.entries();
    entries[10] = forged(&entries[10]);
    let (mut log, error) = newcomer(&room, &entries);
    assert_eq!((error, log.head()), (None, room.head()));
    assert_eq!(log.verify_behind(usize::MAX), Err(EntryError::Signature));
    assert_eq!(log.proven().head().sequence, 10);
}

#[test]
fn nobody_is_accused_of_two_stories_by_an_entry_that_it_did_not_sign() {
    let room = long_room();
    let mut other = Room {
        log: Log::new(room.log.genesis().clone()),
        host: key(1),
        clock: 0,
    };
    for n in 0..=10 {
        other.does(&key(1), &title(&format!("other {n}")));
    }
    let told = other.entries()[10].clone();
    let (mut log, _) = newcomer(&room, &room.entries());
    let error = log.handle_entry(told.clone()).unwrap_err();
    assert!(matches!(error, EntryError::Equivocation(_)), "both are signed");
    let mut entries = room.entries();
    entries[10] = forged(&entries[10]);
    let (mut log, _) = newcomer(&room, &entries);
    assert_eq!(log.handle_entry(told), Err(EntryError::Fork { sequence: 11 }));
}

#[test]
fn a_log_is_given_up_for_an_update_only_on_a_signed_act() {
    let room = long_room();
    let mut action = room.action(&key(1), &title("x")).peek().unwrap();
    action.kind = 0x8fff;
    let action = forged(Verified::sign(action, &key(1)).unwrap().signed());
    let (mut log, error) = newcomer(&room, &forge(&room, &action, LONG));
    assert_eq!(error, Some(EntryError::Action(ActionError::Signature)));
    assert_eq!(log.stopped_at(), None);
    log.verify_behind(usize::MAX).unwrap();
    assert_eq!(log.head(), room.head());
}
