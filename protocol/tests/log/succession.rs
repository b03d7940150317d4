//! The line of succession, terms, and histories that part.

use majlis_protocol::{
    limits,
    log::{Act, ActionError, BranchError, Entry, EntryError, Log, Role},
    person::{Person, PersonKey},
    reason::Reason,
    signed::{Signed, Verified},
    text::Text,
};

use super::{Room, key, person, title};

/// A room whose co-hosts are 2 and 3, in this order, with a speaker 4 and a moderator 5.
fn room() -> Room {
    let mut room = Room::open();
    for (subject, role) in [(2, Role::CoHost), (3, Role::CoHost), (5, Role::Moderator)] {
        let subject = person(subject);
        room.does(&key(1), &Act::Grant { subject, role });
    }
    room.seat(&key(4));
    room
}

fn mute(seed: u8) -> Act {
    let reason = Text::clean("noise");
    Act::Mute {
        subject: person(seed),
        reason,
    }
}

fn ban(seed: u8) -> Act {
    let (reason, lasts_ms) = (Text::clean(""), None);
    Act::Ban {
        subject: person(seed),
        lasts_ms,
        reason,
    }
}

/// The same room as someone else goes on with it.
fn copy(room: &Room, chair: u8) -> Room {
    Room {
        log: room.log.clone(),
        host: key(chair),
        clock: room.clock,
    }
}

fn claims(room: &mut Room, seed: u8) -> Result<u32, ActionError> {
    room.clock += 1_000;
    room.host = key(seed);
    let applied = room.log.claim(&key(seed), room.clock, false)?;
    Ok(applied.entry.term)
}

fn after(log: &Log, sequence: u32) -> Vec<Signed<Entry>> {
    let entries = log.entries_after(sequence, usize::MAX).iter();
    entries.map(|entry| entry.signed().clone()).collect()
}

/// A chair entry as anyone could write it.
fn claim_by(room: &Room, author: &PersonKey, signer: &PersonKey, term: u32) -> Signed<Entry> {
    let action = room.action(author, &Act::Chair { alone: false });
    let head = room.head();
    let entry = Entry::new(room.log.room(), head, term, signer.person(), room.clock, &action);
    Verified::sign(entry, signer).unwrap().signed().clone()
}

fn line(room: &Room) -> Vec<Person> {
    room.log.state().line()
}

#[test]
fn co_hosts_stand_in_line_in_the_order_in_which_they_were_made_until_the_host_says_another() {
    let mut room = room();
    assert_eq!(line(&room), [1, 2, 3].map(person));
    let people = [3, 5, 2].map(person).to_vec();
    assert_eq!(
        room.ask(
            &key(2),
            &Act::Line {
                people: people.clone()
            }
        ),
        Err(ActionError::Refused(Reason::NotAllowed))
    );
    room.does(&key(1), &Act::Line { people });
    assert_eq!(line(&room), [1, 3, 2].map(person), "a moderator is none");
    let (subject, reason) = (person(3), Text::clean(""));
    room.does(&key(1), &Act::Revoke { subject, reason });
    assert_eq!(line(&room), [1, 2].map(person));
    room.does(&key(1), &Act::Line { people: vec![] });
    assert_eq!(line(&room), [person(1)]);
    assert_eq!(
        claims(&mut room, 2),
        Err(ActionError::Refused(Reason::NoSuchSubject))
    );
}

#[test]
fn whoever_stands_in_line_opens_the_next_term_and_writes_from_then_on() {
    let mut room = room();
    let mut member = room.member();
    assert_eq!(claims(&mut room, 3), Ok(1));
    room.does(&key(5), &mute(4));
    assert_eq!(claims(&mut room, 2), Ok(2));
    assert_eq!(claims(&mut room, 1), Ok(3));
    for entry in after(&room.log, member.head().sequence) {
        member.handle_entry(entry).unwrap().unwrap();
    }
    assert_eq!(member.state(), room.log.state());
    assert_eq!((member.state().chair(), member.term()), (person(1), 3));
}

#[test]
fn a_chair_entry_is_refused_by_whoever_it_is_not_for() {
    let mut room = room();
    let refused = |room: &Room, entry| room.member().handle_entry(entry).unwrap_err();
    let not_allowed = EntryError::Action(ActionError::Refused(Reason::NotAllowed));
    for seed in [4, 5, 9] {
        let claim = claim_by(&room, &key(seed), &key(seed), 1);
        assert_eq!(refused(&room, claim), not_allowed, "{seed} stands in no line");
    }
    // The action of one, the entry of another.
    let stolen = claim_by(&room, &key(2), &key(3), 1);
    assert_eq!(refused(&room, stolen), EntryError::NotTheChair);
    for term in [0, 2] {
        let claim = claim_by(&room, &key(2), &key(2), term);
        let wrong = matches!(refused(&room, claim), EntryError::Term { right: 1, .. });
        assert!(wrong, "{term}");
    }
    // Written before the ban, and brought after it; and written after it.
    let before = claim_by(&room, &key(2), &key(2), 1);
    room.does(&key(1), &ban(2));
    assert_eq!(refused(&room, before), EntryError::Fork { sequence: 6 });
    let banned = EntryError::Action(ActionError::Refused(Reason::Banned));
    assert_eq!(refused(&room, claim_by(&room, &key(2), &key(2), 1)), banned);
    let (subject, reason) = (person(3), Text::clean(""));
    room.does(&key(1), &Act::Revoke { subject, reason });
    assert_eq!(refused(&room, claim_by(&room, &key(3), &key(3), 1)), not_allowed);
    // One that was taken already.
    let claim = claim_by(&room, &key(1), &key(1), 1);
    let mut member = room.member();
    member.handle_entry(claim.clone()).unwrap();
    assert_eq!(member.handle_entry(claim), Ok(None));
    assert_eq!(member.term(), 1);
}

#[test]
fn a_chair_that_loses_its_place_in_the_line_writes_no_more() {
    let mut room = room();
    claims(&mut room, 2).unwrap();
    room.does(&key(1), &ban(2));
    assert!(!room.log.state().has_chair());
    assert_eq!(room.ask(&key(5), &mute(4)), Err(ActionError::NotTheChair));
    let action = room.action(&key(5), &mute(4));
    let entry = room.sign(room.unchecked(&action));
    assert_eq!(room.member().handle_entry(entry), Err(EntryError::NotTheChair));
    assert_eq!(claims(&mut room, 3), Ok(2));
    room.does(&key(5), &mute(4));
}

#[test]
fn the_history_of_whoever_stands_first_in_line_is_followed_by_both() {
    let common = room();
    let (mut first, mut second) = (copy(&common, 1), copy(&common, 1));
    claims(&mut first, 2).unwrap();
    claims(&mut second, 3).unwrap();
    for n in 0..5 {
        second.does(&key(3), &title(&format!("ours {n}")));
    }
    let at = common.head().sequence;
    let judged = second.log.judge(&after(&first.log, at)).unwrap();
    assert!(judged.is_better() && judged.common() == at);
    assert_eq!(judged.into_log().state(), first.log.state());
    // All of it, from the genesis on, says the same.
    assert!(second.log.judge(&after(&first.log, 0)).unwrap().is_better());
    assert!(!first.log.judge(&after(&second.log, at)).unwrap().is_better());

    // The host comes back to the second half: whatever it was there when, its word goes before.
    claims(&mut second, 1).unwrap();
    assert!(first.log.judge(&after(&second.log, at)).unwrap().is_better());
    assert!(!second.log.judge(&after(&first.log, at)).unwrap().is_better());
}

#[test]
fn a_term_goes_before_an_older_one_of_the_same_chair_and_then_the_smaller_hash() {
    let common = room();
    let (mut old, mut new) = (copy(&common, 1), copy(&common, 1));
    old.does(&key(1), &title("lost with a disk"));
    claims(&mut new, 1).unwrap();
    let at = common.head().sequence;
    assert!(old.log.judge(&after(&new.log, at)).unwrap().is_better());
    assert!(!new.log.judge(&after(&old.log, at)).unwrap().is_better());

    // One chair, one term, two stories.
    let (mut one, mut other) = (copy(&common, 1), copy(&common, 1));
    one.does(&key(1), &title("one"));
    other.does(&key(1), &title("another"));
    let (ours, theirs) = (after(&one.log, at), after(&other.log, at));
    let better = one.log.judge(&theirs).unwrap().is_better();
    assert_eq!(better, Entry::hash(&theirs[0]) < Entry::hash(&ours[0]));
    assert_ne!(better, other.log.judge(&ours).unwrap().is_better());
}

#[test]
fn a_co_host_of_the_past_cannot_undo_what_the_host_wrote_since() {
    let mut room = room();
    claims(&mut room, 2).unwrap();
    let mut forger = copy(&room, 2);
    room.does(&key(5), &mute(4));
    claims(&mut room, 1).unwrap();
    room.does(&key(1), &ban(2));
    let at = forger.head().sequence;
    for n in 0..64 {
        forger.does(&key(2), &title(&n.to_string()));
        let judged = room.log.judge(&after(&forger.log, at)).unwrap();
        assert!(!judged.is_better());
    }
}

#[test]
fn a_history_that_continues_none_of_ours_asks_for_more_of_it_and_a_bad_one_is_refused() {
    let common = room();
    let (ours, mut theirs) = (copy(&common, 1), copy(&common, 1));
    claims(&mut theirs, 2).unwrap();
    theirs.does(&key(5), &mute(4));
    theirs.does(&key(5), &ban(4));
    let at = common.head().sequence;
    assert_eq!(
        ours.log.judge(&after(&theirs.log, at + 2)).unwrap_err(),
        BranchError::Detached { first: at + 3 }
    );
    let mut bad = after(&theirs.log, at);
    bad[1] = super::forged(&bad[1]);
    assert_eq!(
        ours.log.judge(&bad).unwrap_err(),
        BranchError::Entry(EntryError::Signature)
    );
    assert!(ours.log.judge(&after(&theirs.log, at)).unwrap().is_better());
    assert!(ours.log.judge(&after(&ours.log, 0)).unwrap().entries().is_empty());
}

#[test]
fn acts_of_moderation_are_carried_once_and_answered_for_by_their_author() {
    let mut room = room();
    let muted = room.action(&key(5), &mute(4));
    let banned = room.action(&key(5), &ban(4));
    let titled = room.action(&key(2), &title("theirs"));
    let by_a_speaker = room.action(&key(4), &ban(5));
    room.clock += 60_000;
    let clock = room.clock;
    let mut carry = |action: &_, by: u8, clock| room.log.carry(action, &key(by), clock);
    let applied = carry(&muted, 1, clock).unwrap();
    assert!(applied.carried);
    assert_eq!(
        (applied.author(), applied.author_role),
        (person(5), Role::Moderator)
    );
    assert_eq!(carry(&muted, 1, clock), Err(ActionError::Replayed));
    carry(&banned, 1, clock).unwrap();
    let refused = |reason| Err(ActionError::Refused(reason));
    assert_eq!(carry(&titled, 1, clock), refused(Reason::NotAllowed));
    assert_eq!(carry(&by_a_speaker, 1, clock), refused(Reason::Banned));
    assert!(carry(&muted, 2, clock).is_err(), "only the chair carries");
    // Ten minutes later nobody knows any more what was applied, and nothing is carried.
    let late = carry(&muted, 1, clock + 700_000);
    assert!(matches!(late, Err(ActionError::Expired { .. })), "{late:?}");
    assert!(room.log.state().mutes().contains_key(&person(4)));
    assert_eq!(room.member().state(), room.log.state());
}

#[test]
fn what_is_carried_holds_for_as_long_as_if_it_had_been_heard_at_once() {
    let mut room = room();
    let (subject, reason) = (person(4), Text::clean("for a minute"));
    let lasts_ms = Some(60_000);
    let short = Act::Ban {
        subject,
        lasts_ms,
        reason,
    };
    let (short, done_at) = (room.action(&key(5), &short), room.clock);
    room.clock += 45_000;
    room.log.carry(&short, &key(1), room.clock).unwrap();
    let until = room.log.state().exclusion(person(4), room.clock).unwrap().until;
    let latest = done_at + 60_000 + limits::ACTION_LIFETIME_MS;
    assert!(
        until.is_some_and(|until| (done_at + 60_000..=latest).contains(&until)),
        "{until:?}"
    );
}

#[test]
fn a_clock_that_leaps_to_its_end_lifts_no_ban_for_good() {
    let mut room = room();
    room.clock = limits::CLOCK_MS;
    claims(&mut room, 2).unwrap();
    claims(&mut room, 1).unwrap();
    let (subject, reason) = (person(4), Text::clean("out"));
    room.does(&key(5), &Act::Kick { subject, reason });
    let clock = room.log.state().clock();
    assert_eq!(clock, limits::CLOCK_MS);
    assert!(room.log.state().exclusion(person(4), clock).is_some());
    assert_eq!(room.member().state(), room.log.state());
}

#[test]
fn a_chair_that_fell_does_not_undo_it_by_writing_on_from_before() {
    // Exposed by the next in line, and revoked by the host while the next in line has the chair.
    let revoked = Act::Revoke {
        subject: person(2),
        reason: Text::clean(""),
    };
    for is_exposed in [true, false] {
        let mut room = room();
        claims(&mut room, 2).unwrap();
        let mut other = copy(&room, 2);
        room.does(&key(2), &title("one"));
        let mut past = copy(&room, 2);
        let theirs = other.does(&key(2), &title("another")).entry;
        claims(&mut room, 3).unwrap();
        if is_exposed {
            let entry = theirs.signed().to_bytes();
            room.does(&key(5), &Act::Exposed { entry });
        } else {
            room.does(&key(1), &revoked);
        }
        let at = past.head().sequence;
        past.does(&key(2), &title("as if nothing had been"));
        assert!(
            !room.log.judge(&after(&past.log, at)).unwrap().is_better(),
            "{is_exposed}"
        );
        assert!(
            past.log.judge(&after(&room.log, at)).unwrap().is_better(),
            "{is_exposed}"
        );
    }
}

#[test]
fn a_chair_that_was_taken_with_nobody_there_gives_way_to_what_the_room_did() {
    let common = room();
    let (mut lone, mut theirs) = (copy(&common, 1), copy(&common, 2));
    lone.log.claim(&key(1), lone.clock, true).unwrap();
    claims(&mut theirs, 3).unwrap();
    theirs.does(&key(3), &title("meanwhile"));
    let at = common.head().sequence;
    assert!(lone.log.judge(&after(&theirs.log, at)).unwrap().is_better());
    assert!(!theirs.log.judge(&after(&lone.log, at)).unwrap().is_better());
    // Somebody came to it and something was done: the host's word goes before.
    lone.does(&key(1), &title("with somebody"));
    assert!(theirs.log.judge(&after(&lone.log, at)).unwrap().is_better());
}

#[test]
fn what_changes_when_another_history_is_followed_is_told_in_full() {
    let common = room();
    let (mut ours, mut theirs) = (copy(&common, 1), copy(&common, 1));
    claims(&mut ours, 3).unwrap();
    claims(&mut theirs, 2).unwrap();
    ours.does(&key(3), &title("ours"));
    ours.does(&key(5), &mute(4));
    theirs.does(&key(5), &ban(4));
    let (old, new) = (ours.log.state(), theirs.log.state());
    let changes = old.changes_to(new);
    let told = |text: &str| {
        changes
            .iter()
            .any(|change| format!("{change:?}").starts_with(text))
    };
    for text in ["Title", "Role", "Revoked", "Chair", "Expelled", "Unmuted"] {
        assert!(told(text), "{text}: {changes:?}");
    }
    assert!(new.changes_to(new).is_empty());
}

#[test]
fn two_entries_at_one_place_and_term_expose_their_chair_for_good() {
    let mut room = room();
    claims(&mut room, 2).unwrap();
    let mut other = copy(&room, 2);
    room.does(&key(2), &title("one"));
    let theirs = other.does(&key(2), &title("another")).entry;
    let entry = theirs.signed().to_bytes();
    let exposed = Act::Exposed { entry: entry.clone() };
    let refused = |reason| Err(ActionError::Refused(reason));
    assert_eq!(room.ask(&key(4), &exposed), refused(Reason::NotAllowed));
    let ours = Act::Exposed {
        entry: room.log.entry(7).unwrap().signed().to_bytes(),
    };
    assert_eq!(
        room.ask(&key(5), &ours),
        refused(Reason::NoSuchSubject),
        "one story"
    );
    let mut forged = entry.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Act::Exposed { entry: forged.into() };
    assert_eq!(room.ask(&key(5), &forged), Err(ActionError::Signature));

    room.does(&key(5), &exposed);
    assert_eq!(line(&room), [1, 3].map(person));
    assert!(room.log.state().exposed().contains(&person(2)) && !room.log.state().has_chair());
    claims(&mut room, 3).unwrap();
    assert_eq!(
        room.ask(&key(5), &exposed),
        refused(Reason::NoSuchSubject),
        "once"
    );
    let again = claims(&mut room, 2);
    assert_eq!(again, Err(ActionError::Refused(Reason::NoSuchSubject)));
    room.host = key(3);
    assert_eq!(room.member().state(), room.log.state());
}
