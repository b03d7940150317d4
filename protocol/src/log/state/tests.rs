//! The fold and its bounds.

use super::*;
use crate::{
    limits,
    log::{
        action::{Action, Head},
        entry::Entry,
    },
    person::PersonKey,
    reason::Reason,
};

fn state() -> State {
    let key = PersonKey::from_seed(&[1; 32]);
    State::new(&Genesis::new(key.person(), "room", [0; 16]).sign(&key).unwrap())
}

fn apply(state: &mut State, author: Person, act: &Act, hash: [u8; 32]) -> Vec<Change> {
    let room = RoomId([0; 32]);
    let action = Action::new(room, author, Head::genesis(room), state.clock, act);
    let entry = Entry {
        version: 1,
        room,
        sequence: 1,
        previous: [0; 32],
        term: 0,
        chair: state.chair,
        clock: state.clock + 1,
        action: bytes::Bytes::new(),
    };
    state.apply(&entry, hash, ActionId(hash), &action, act)
}

/// Lets a guest onto the stage with an entry of this hash.
fn seat(state: &mut State, guest: Person, hash: [u8; 32]) {
    let host = state.host;
    apply(state, host, &Act::Invite { subject: guest }, [9; 32]);
    apply(state, guest, &Act::Accept { invite: [9; 32] }, hash);
}

#[test]
fn a_tag_is_never_given_twice_even_after_its_stay() {
    let (mut state, guest) = (state(), Person([7; 32]));
    seat(&mut state, guest, [5; 32]);
    assert_eq!(state.stay(Tag([5; 4])), Some((guest, true)));
    apply(&mut state, guest, &Act::Move { subject: guest }, [6; 32]);
    assert_eq!(state.stay(Tag([5; 4])), Some((guest, false)));
    let accept = Act::Accept { invite: [9; 32] };
    let mut same_tag = [0xff; 32];
    same_tag[..4].copy_from_slice(&[5; 4]);
    assert_eq!(state.check_tag(&accept, &same_tag), Err(Reason::TagTaken));
    assert_eq!(state.check_tag(&accept, &[0xff; 32]), Ok(()));
    assert_eq!(state.check_tag(&Act::End, &same_tag), Ok(()));
}

#[test]
fn a_tag_that_the_log_never_gave_is_unknown() {
    assert_eq!(state().stay(Tag([5; 4])), None);
}

#[test]
fn the_stage_and_the_invitations_are_bounded() {
    let mut state = state();
    let host = state.host;
    for n in 1..limits::STAGE as u8 {
        seat(&mut state, Person([n; 32]), [n; 32]);
    }
    assert_eq!(state.stage.len(), limits::STAGE);
    for n in 100..100 + limits::INVITATIONS as u8 {
        let invite = Act::Invite {
            subject: Person([n; 32]),
        };
        assert_eq!(state.check(host, &invite, 0), Ok(()));
        apply(&mut state, host, &invite, [n; 32]);
    }
    let one_more = Act::Invite {
        subject: Person([99; 32]),
    };
    assert_eq!(state.check(host, &one_more, 0), Err(Reason::Full));
    let guest = Person([100; 32]);
    let accept = Act::Accept { invite: [100; 32] };
    assert_eq!(state.check(guest, &accept, 0), Err(Reason::Full));
    apply(
        &mut state,
        host,
        &Act::Move {
            subject: Person([1; 32]),
        },
        [250; 32],
    );
    assert_eq!(state.check(guest, &accept, 0), Ok(()));
}

#[test]
fn what_expired_is_forgotten_and_stays_refused() {
    let mut state = state();
    let host = state.host;
    let title = Act::Title {
        title: Text::clean("t"),
    };
    let room = RoomId([0; 32]);
    let action = Action::new(room, host, Head::genesis(room), 0, &title);
    apply(&mut state, host, &title, [1; 32]);
    assert_eq!(
        state.check_freshness(ActionId([1; 32]), &action, 1),
        Err(ActionError::Replayed)
    );
    assert_eq!(
        state.check_freshness(ActionId([1; 32]), &action, 30_000),
        Err(ActionError::Replayed)
    );
    state.clock = 30_001;
    apply(&mut state, host, &title, [2; 32]);
    assert!(!state.applied.contains_key(&ActionId([1; 32])));
    assert_eq!(
        state.check_freshness(ActionId([1; 32]), &action, 30_002),
        Err(ActionError::Expired { late_ms: 2 })
    );
}
