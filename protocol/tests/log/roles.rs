//! Every row of the table of permissions, allowed and refused, through a real chain.

use majlis_protocol::{
    log::{Act, ActionError, Change, Role},
    media::Tag,
    reason::Reason,
};

use super::{Room, key, person, title};

fn refused(room: &mut Room, author: u8, act: &Act) -> Reason {
    let before = room.log.state().clone();
    let error = room.ask(&key(author), act).unwrap_err();
    assert_eq!(
        *room.log.state(),
        before,
        "{act:?} was refused and changed something"
    );
    error.reason()
}

/// A room with its host (1), a speaker (2), an invited listener (3) and a listener (4).
fn room() -> Room {
    let mut room = Room::open();
    room.seat(&key(2));
    room.does(&key(1), &Act::Invite { subject: person(3) });
    room
}

#[test]
fn roles_follow_the_log() {
    let room = room();
    let state = room.log.state();
    assert_eq!(state.role(person(1)), Role::Host);
    assert_eq!(state.role(person(2)), Role::Speaker);
    assert_eq!(state.role(person(3)), Role::Listener);
    assert_eq!(state.role(person(200)), Role::Listener);
}

#[test]
fn only_the_host_names_the_room() {
    let mut room = room();
    assert_eq!(refused(&mut room, 2, &title("mine")), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 4, &title("mine")), Reason::NotAllowed);
    let applied = room.does(&key(1), &title("ours"));
    assert_eq!(applied.changes, [Change::Title]);
    assert_eq!(room.log.state().title().as_str(), "ours");
    assert_eq!(applied.subject(), None);
}

#[test]
fn only_the_host_invites_and_only_those_who_are_neither_invited_nor_on_the_stage() {
    let mut room = room();
    let invite = |subject| Act::Invite {
        subject: person(subject),
    };
    assert_eq!(refused(&mut room, 2, &invite(4)), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 4, &invite(4)), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 1, &invite(1)), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 1, &invite(2)), Reason::NoSuchSubject);
    assert_eq!(refused(&mut room, 1, &invite(3)), Reason::NoSuchSubject);
    let applied = room.does(&key(1), &invite(4));
    let changes = [Change::Invited {
        person: person(4),
        invite: applied.hash,
    }];
    assert_eq!(applied.changes, changes);
    assert_eq!(room.log.state().invited()[&person(4)], applied.hash);
    assert_eq!(applied.subject(), Some(person(4)));
}

#[test]
fn an_invitation_is_accepted_by_the_invited_once_and_gives_a_tag_of_its_own() {
    let mut room = room();
    let invite = room.log.state().invited()[&person(3)];
    assert_eq!(
        refused(&mut room, 4, &Act::Accept { invite }),
        Reason::NoSuchSubject
    );
    assert_eq!(refused(&mut room, 2, &Act::Accept { invite }), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 1, &Act::Accept { invite }), Reason::NotAllowed);
    assert_eq!(
        refused(&mut room, 3, &Act::Accept { invite: [0; 32] }),
        Reason::NoSuchSubject
    );
    let applied = room.does(&key(3), &Act::Accept { invite });
    let tag = Tag(applied.hash[..4].try_into().unwrap());
    assert_eq!(
        applied.changes,
        [
            Change::Role {
                person: person(3),
                role: Role::Speaker
            },
            Change::Granted {
                person: person(3),
                tag
            }
        ]
    );
    let stay = room.log.state().stage()[&person(3)];
    assert_eq!((stay.tag, stay.since), (tag, applied.entry.sequence));
    assert!(room.log.state().invited().is_empty());
    assert_eq!(refused(&mut room, 3, &Act::Accept { invite }), Reason::NotAllowed);
}

#[test]
fn an_invitation_is_declined_by_the_invited_alone() {
    let mut room = room();
    let invite = room.log.state().invited()[&person(3)];
    assert_eq!(
        refused(&mut room, 4, &Act::Decline { invite }),
        Reason::NoSuchSubject
    );
    assert_eq!(
        refused(&mut room, 2, &Act::Decline { invite }),
        Reason::NotAllowed
    );
    let applied = room.does(&key(3), &Act::Decline { invite });
    assert_eq!(applied.changes, [Change::Uninvited { person: person(3) }]);
    assert_eq!(
        refused(&mut room, 3, &Act::Accept { invite }),
        Reason::NoSuchSubject
    );
}

#[test]
fn the_host_moves_anyone_but_itself_and_speakers_move_themselves() {
    let mut room = room();
    let moved = |subject| Act::Move {
        subject: person(subject),
    };
    assert_eq!(refused(&mut room, 1, &moved(1)), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 2, &moved(1)), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 4, &moved(2)), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 3, &moved(3)), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 1, &moved(4)), Reason::NoSuchSubject);
    let tag = room.log.state().stage()[&person(2)].tag;
    let applied = room.does(&key(2), &moved(2));
    assert_eq!(
        applied.changes,
        [
            Change::Role {
                person: person(2),
                role: Role::Listener
            },
            Change::Revoked {
                person: person(2),
                tag
            }
        ]
    );
    assert_eq!(room.log.state().role(person(2)), Role::Listener);

    room.seat(&key(4));
    assert_eq!(refused(&mut room, 2, &moved(4)), Reason::NotAllowed);
    room.does(&key(1), &moved(4));
    assert_eq!(room.log.state().role(person(4)), Role::Listener);

    let withdrawn = room.does(&key(1), &moved(3));
    assert_eq!(withdrawn.changes, [Change::Uninvited { person: person(3) }]);
}

#[test]
fn a_second_stay_has_another_tag() {
    let mut room = Room::open();
    let tag = |room: &Room| room.log.state().stage()[&person(2)].tag;
    room.seat(&key(2));
    let first = tag(&room);
    room.does(&key(2), &Act::Move { subject: person(2) });
    room.seat(&key(2));
    assert_ne!(tag(&room), first);
    assert_eq!(room.log.state().stay(first), Some((person(2), false)));
    assert_eq!(room.log.state().stay(tag(&room)), Some((person(2), true)));
}

#[test]
fn only_the_host_ends_the_room_and_then_nothing_more_happens() {
    let mut room = room();
    assert_eq!(refused(&mut room, 2, &Act::End), Reason::NotAllowed);
    assert_eq!(refused(&mut room, 4, &Act::End), Reason::NotAllowed);
    let applied = room.does(&key(1), &Act::End);
    assert_eq!(applied.changes.len(), 5);
    assert_eq!(applied.changes.last(), Some(&Change::Ended));
    assert!(room.log.state().ended() && room.log.state().stage().is_empty());
    for act in [title("again"), Act::End, Act::Invite { subject: person(4) }] {
        assert_eq!(refused(&mut room, 1, &act), Reason::Ended);
    }
}

#[test]
fn the_chair_writes_down_nothing_that_it_cannot_judge() {
    let mut room = room();
    for kind in [0x0041, 0x803f] {
        let unknown = Act::Unknown {
            kind,
            body: vec![1, 2, 3].into(),
        };
        let error = room.ask(&key(1), &unknown).unwrap_err();
        assert_eq!(error, ActionError::Unsupported { kind });
        assert_eq!(error.reason(), Reason::Unsupported);
    }
}
