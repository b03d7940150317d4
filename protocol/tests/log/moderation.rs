//! Acts of moderation through a real chain: every row of the table, allowed and refused by name, and what each leaves
//! behind.

use majlis_protocol::{
    limits,
    log::{Act, Change, Role, State},
    media::Tag,
    reason::Reason,
    text::Text,
};

use super::{Room, key, person, title};

/// One of each role, by its seed.
const HOST: u8 = 1;
const CO_HOST: u8 = 2;
const MODERATOR: u8 = 3;
const SPEAKER: u8 = 4;
const LISTENER: u8 = 5;

/// A second of each that there can be, to be acted upon by those of the same role.
const OTHER_CO_HOST: u8 = 12;
const OTHER_MODERATOR: u8 = 13;
const OTHER_SPEAKER: u8 = 14;
const OTHER_LISTENER: u8 = 15;

const RANKED: [u8; 5] = [LISTENER, SPEAKER, MODERATOR, CO_HOST, HOST];

fn grant(subject: u8, role: Role) -> Act {
    Act::Grant {
        subject: person(subject),
        role,
    }
}

fn because(text: &str) -> Text {
    Text::clean(text)
}

fn revoke(subject: u8) -> Act {
    Act::Revoke {
        subject: person(subject),
        reason: because("enough"),
    }
}

fn mute(subject: u8) -> Act {
    Act::Mute {
        subject: person(subject),
        reason: because("noise"),
    }
}

fn unmute(subject: u8) -> Act {
    Act::Unmute {
        subject: person(subject),
        reason: because(""),
    }
}

fn kick(subject: u8) -> Act {
    Act::Kick {
        subject: person(subject),
        reason: because("once more and it is a ban"),
    }
}

fn ban(subject: u8, lasts_ms: Option<u64>) -> Act {
    Act::Ban {
        subject: person(subject),
        lasts_ms,
        reason: because("spam"),
    }
}

fn unban(subject: u8) -> Act {
    Act::Unban {
        subject: person(subject),
        reason: because("a mistake"),
    }
}

fn invite(subject: u8) -> Act {
    Act::Invite {
        subject: person(subject),
    }
}

fn moved(subject: u8) -> Act {
    Act::Move {
        subject: person(subject),
    }
}

/// A room with two of each role but the host's. Officers are in the audience.
fn room() -> Room {
    let mut room = Room::open();
    for (subject, role) in [
        (CO_HOST, Role::CoHost),
        (OTHER_CO_HOST, Role::CoHost),
        (MODERATOR, Role::Moderator),
        (OTHER_MODERATOR, Role::Moderator),
    ] {
        room.does(&key(HOST), &grant(subject, role));
    }
    room.seat(&key(SPEAKER));
    room.seat(&key(OTHER_SPEAKER));
    room
}

/// A room in which everyone but the listeners is on the stage.
fn full_stage() -> Room {
    let mut room = room();
    for guest in [CO_HOST, OTHER_CO_HOST, MODERATOR, OTHER_MODERATOR] {
        room.seat(&key(guest));
    }
    room
}

fn refused(room: &mut Room, author: u8, act: &Act) -> Reason {
    let before = room.log.state().clone();
    let error = room.ask(&key(author), act).expect_err("refused");
    assert_eq!(
        *room.log.state(),
        before,
        "{act:?} was refused and changed something"
    );
    error.reason()
}

fn role(room: &Room, of: u8) -> Role {
    room.log.state().role(person(of))
}

fn tag(room: &Room, of: u8) -> Tag {
    room.log.state().stage()[&person(of)].tag
}

/// Someone else of the same role as `of`.
fn peer_of(of: u8) -> u8 {
    if of == HOST { HOST } else { of + 10 }
}

/// The act by each role upon each: allowed to whom ranks lower, from `lowest` on, and refused to all others.
fn only_those_who_rank_higher_may(make: impl Fn(u8) -> Act, lowest: u8, prepare: impl Fn(&mut Room, u8)) {
    for author in RANKED {
        for target in RANKED {
            let subject = if author == target { peer_of(target) } else { target };
            let mut room = full_stage();
            prepare(&mut room, subject);
            let rank = |of: u8| RANKED.iter().position(|one| *one == of).expect("ranked");
            let may = rank(author) >= rank(lowest) && rank(author) > rank(target);
            let act = make(subject);
            let outcome = room
                .ask(&key(author), &act)
                .map(drop)
                .map_err(|error| error.reason());
            let expected = if may { Ok(()) } else { Err(Reason::NotAllowed) };
            assert_eq!(outcome, expected, "{} of {target} by {author}", act.name());
        }
    }
}

#[test]
fn roles_are_as_granted_whether_on_the_stage_or_not() {
    let mut room = room();
    for (of, is) in [
        (HOST, Role::Host),
        (CO_HOST, Role::CoHost),
        (MODERATOR, Role::Moderator),
        (SPEAKER, Role::Speaker),
        (LISTENER, Role::Listener),
    ] {
        assert_eq!(role(&room, of), is);
    }
    room.seat(&key(MODERATOR));
    assert_eq!(role(&room, MODERATOR), Role::Moderator);
    room.does(&key(MODERATOR), &moved(MODERATOR));
    assert_eq!(role(&room, MODERATOR), Role::Moderator);
}

#[test]
fn a_moderator_is_made_by_hosts_and_co_hosts_of_those_below_them() {
    only_those_who_rank_higher_may(
        |subject| grant(subject, Role::Moderator),
        CO_HOST,
        |room, subject| {
            if matches!(subject, MODERATOR | OTHER_MODERATOR) {
                // Nobody is made again what they are: one who was stands in for the rank.
                room.does(&key(HOST), &revoke(subject));
            }
        },
    );
}

#[test]
fn a_co_host_is_made_by_the_host_alone() {
    for author in [LISTENER, SPEAKER, MODERATOR, CO_HOST] {
        let act = grant(OTHER_LISTENER, Role::CoHost);
        assert_eq!(refused(&mut room(), author, &act), Reason::NotAllowed);
        assert_eq!(
            refused(&mut room(), author, &grant(author, Role::CoHost)),
            Reason::NotAllowed
        );
    }
    let mut room = room();
    let applied = room.does(&key(HOST), &grant(MODERATOR, Role::CoHost));
    let changes = [Change::Role {
        person: person(MODERATOR),
        role: Role::CoHost,
    }];
    assert_eq!(applied.changes, changes);
    let office = room.log.state().officers()[&person(MODERATOR)];
    assert_eq!(
        (office.role, office.since),
        (Role::CoHost, applied.entry.sequence)
    );
    let again = grant(MODERATOR, Role::CoHost);
    assert_eq!(refused(&mut room, HOST, &again), Reason::NoSuchSubject);
    assert_eq!(
        refused(&mut room, HOST, &grant(HOST, Role::CoHost)),
        Reason::NotAllowed
    );
}

#[test]
fn a_role_is_taken_by_those_above_and_given_up_by_oneself() {
    for (author, subject) in [(HOST, CO_HOST), (HOST, MODERATOR), (CO_HOST, MODERATOR)] {
        let mut room = full_stage();
        room.does(&key(author), &revoke(subject));
        assert_eq!(role(&room, subject), Role::Speaker, "the stage is not the role");
    }
    for officer in [CO_HOST, MODERATOR] {
        let mut room = room();
        room.does(&key(officer), &revoke(officer));
        assert_eq!(role(&room, officer), Role::Listener);
        assert_eq!(refused(&mut room, officer, &revoke(officer)), Reason::NotAllowed);
    }
    for (author, subject) in [
        (CO_HOST, OTHER_CO_HOST),
        (CO_HOST, HOST),
        (MODERATOR, OTHER_MODERATOR),
        (MODERATOR, CO_HOST),
        (SPEAKER, MODERATOR),
        (LISTENER, MODERATOR),
        (SPEAKER, SPEAKER),
    ] {
        assert_eq!(refused(&mut room(), author, &revoke(subject)), Reason::NotAllowed);
    }
    assert_eq!(
        refused(&mut room(), HOST, &revoke(SPEAKER)),
        Reason::NoSuchSubject
    );
}

#[test]
fn those_who_keep_order_invite_and_move_those_below_them_and_a_co_host_comes_to_the_stage_by_itself() {
    for author in [HOST, CO_HOST, MODERATOR] {
        let mut room = room();
        room.does(&key(author), &invite(LISTENER));
        room.does(&key(author), &moved(LISTENER));
        room.does(&key(author), &moved(SPEAKER));
        assert_eq!(role(&room, SPEAKER), Role::Listener);
    }
    let mut room = room();
    let applied = room.does(&key(CO_HOST), &invite(CO_HOST));
    room.does(&key(CO_HOST), &Act::Accept { invite: applied.hash });
    assert!(room.log.state().stage().contains_key(&person(CO_HOST)));
    assert_eq!(
        refused(&mut room, MODERATOR, &invite(MODERATOR)),
        Reason::NotAllowed
    );
    assert_eq!(refused(&mut room, MODERATOR, &moved(CO_HOST)), Reason::NotAllowed);
    assert_eq!(refused(&mut room, MODERATOR, &title("mine")), Reason::NotAllowed);
    assert_eq!(refused(&mut room, CO_HOST, &Act::End), Reason::NotAllowed);
    room.does(&key(CO_HOST), &title("ours"));
}

#[test]
fn who_ranks_higher_mutes_who_is_on_the_stage() {
    only_those_who_rank_higher_may(mute, MODERATOR, |room, subject| {
        if !room.log.state().stage().contains_key(&person(subject)) {
            // A listener has nothing to be muted: one who was made a speaker stands in for the rank below.
            room.seat(&key(subject));
        }
    });
    let mut room = room();
    assert_eq!(refused(&mut room, HOST, &mute(LISTENER)), Reason::NoSuchSubject);
    let applied = room.does(&key(MODERATOR), &mute(SPEAKER));
    let changes = [Change::Muted {
        person: person(SPEAKER),
        tag: tag(&room, SPEAKER),
    }];
    assert_eq!(applied.changes, changes);
    let held = &room.log.state().mutes()[&person(SPEAKER)];
    assert_eq!((held.laid_by, held.reason.as_str()), (Role::Moderator, "noise"));
    assert_eq!(refused(&mut room, HOST, &mute(SPEAKER)), Reason::NoSuchSubject);
}

#[test]
fn the_muted_cannot_lift_it_by_any_means() {
    let mut room = room();
    room.does(&key(MODERATOR), &mute(SPEAKER));
    assert_eq!(refused(&mut room, SPEAKER, &unmute(SPEAKER)), Reason::NotAllowed);
    room.does(&key(SPEAKER), &moved(SPEAKER));
    let seated = room.seat(&key(SPEAKER));
    let now = tag(&room, SPEAKER);
    let muted = Change::Muted {
        person: person(SPEAKER),
        tag: now,
    };
    assert_eq!(seated.changes.last(), Some(&muted), "the next stay is muted too");
    room.does(&key(HOST), &grant(SPEAKER, Role::Moderator));
    assert_eq!(refused(&mut room, SPEAKER, &unmute(SPEAKER)), Reason::NotAllowed);
    let lifted = room.does(&key(HOST), &unmute(SPEAKER));
    let stay = room.log.state().stage()[&person(SPEAKER)];
    assert_eq!((stay.tag, stay.heard_since), (now, lifted.entry.sequence));
    let changes = [Change::Unmuted {
        person: person(SPEAKER),
        stay: Some(stay),
    }];
    assert_eq!(lifted.changes, changes);
    assert_eq!(refused(&mut room, HOST, &unmute(SPEAKER)), Reason::NoSuchSubject);
}

#[test]
fn a_mute_is_lifted_by_the_same_rank_or_a_higher_one() {
    for (by, lifter, may) in [
        (HOST, CO_HOST, false),
        (HOST, MODERATOR, false),
        (CO_HOST, MODERATOR, false),
        (CO_HOST, OTHER_CO_HOST, true),
        (MODERATOR, OTHER_MODERATOR, true),
        (MODERATOR, CO_HOST, true),
        (MODERATOR, HOST, true),
    ] {
        let mut room = room();
        room.does(&key(by), &mute(SPEAKER));
        let outcome = room.ask(&key(lifter), &unmute(SPEAKER));
        assert_eq!(outcome.is_ok(), may, "{by}'s lifted by {lifter}");
    }
}

#[test]
fn a_kicked_person_loses_every_role_and_may_come_back_after_a_minute() {
    only_those_who_rank_higher_may(kick, MODERATOR, |_, _| {});
    let mut room = full_stage();
    let stay = tag(&room, MODERATOR);
    let applied = room.does(&key(CO_HOST), &kick(MODERATOR));
    let subject = person(MODERATOR);
    let changes = [
        Change::Role {
            person: subject,
            role: Role::Listener,
        },
        Change::Revoked {
            person: subject,
            tag: stay,
        },
        Change::Expelled { person: subject },
    ];
    assert_eq!(applied.changes, changes);
    let back = applied.entry.clock + limits::KICK_MS;
    let state = room.log.state();
    let held = state.exclusion(subject, back - 1).expect("still out");
    assert_eq!((held.told(), held.until), (Reason::Kicked, Some(back)));
    assert_eq!(state.exclusion(subject, back), None);
    assert_eq!(refused(&mut room, HOST, &kick(MODERATOR)), Reason::NoSuchSubject);
    assert_eq!(
        refused(&mut room, HOST, &invite(MODERATOR)),
        Reason::NoSuchSubject
    );
    assert_eq!(refused(&mut room, MODERATOR, &mute(SPEAKER)), Reason::Kicked);
    room.clock += limits::KICK_MS;
    assert_eq!(refused(&mut room, MODERATOR, &mute(SPEAKER)), Reason::NotAllowed);
    room.does(&key(HOST), &invite(MODERATOR));
}

#[test]
fn a_ban_holds_for_its_time_or_until_it_is_lifted() {
    only_those_who_rank_higher_may(|subject| ban(subject, None), MODERATOR, |_, _| {});
    let mut room = room();
    let applied = room.does(&key(MODERATOR), &ban(SPEAKER, Some(5_000)));
    let (subject, end) = (person(SPEAKER), applied.entry.clock + 5_000);
    assert!(room.log.state().exclusion(subject, end - 1).is_some());
    assert!(room.log.state().exclusion(subject, end).is_none());

    let longer = room.does(&key(HOST), &ban(SPEAKER, None));
    assert!(longer.changes.contains(&Change::Expelled { person: subject }));
    assert!(room.log.state().exclusion(subject, u64::MAX).is_some());
    for act in [title("mine"), Act::Accept { invite: [0; 32] }, unban(SPEAKER)] {
        assert_eq!(refused(&mut room, SPEAKER, &act), Reason::Banned);
    }
    for act in [ban(SPEAKER, Some(1)), unban(SPEAKER)] {
        assert_eq!(
            refused(&mut room, CO_HOST, &act),
            Reason::NotAllowed,
            "the host laid it"
        );
    }
    assert_eq!(
        refused(&mut room, HOST, &grant(SPEAKER, Role::CoHost)),
        Reason::NoSuchSubject
    );
    room.does(&key(HOST), &unban(SPEAKER));
    assert!(room.log.state().exclusion(subject, 0).is_none());
    assert_eq!(refused(&mut room, HOST, &unban(SPEAKER)), Reason::NoSuchSubject);
    assert_eq!(role(&room, SPEAKER), Role::Listener, "no role comes back");
}

#[test]
fn a_ban_is_lifted_by_those_who_rank_higher_than_its_subject() {
    for (lifter, may) in [
        (LISTENER, false),
        (SPEAKER, false),
        (MODERATOR, true),
        (CO_HOST, true),
        (HOST, true),
    ] {
        let mut room = room();
        room.does(&key(OTHER_MODERATOR), &ban(OTHER_LISTENER, None));
        let outcome = room.ask(&key(lifter), &unban(OTHER_LISTENER));
        assert_eq!(outcome.is_ok(), may, "by {lifter}");
    }
}

#[test]
fn a_measure_counts_until_it_has_run_out_and_is_forgotten_then() {
    let mut room = room();
    room.does(&key(HOST), &ban(LISTENER, Some(1_500)));
    assert_eq!(room.log.state().exclusions(0).count(), 1);
    room.does(&key(HOST), &title("a second later"));
    assert_eq!(room.log.state().exclusions(room.clock).count(), 1);
    room.does(&key(HOST), &title("two seconds later"));
    let forgotten = |state: &State| state.exclusions(0).count();
    assert_eq!(forgotten(room.log.state()), 0);
}

#[test]
fn officers_and_mutes_are_bounded() {
    let mut room = Room::open();
    for n in 0..limits::OFFICERS as u8 {
        room.does(&key(HOST), &grant(100 + n, Role::Moderator));
    }
    let one_more = grant(99, Role::Moderator);
    assert_eq!(refused(&mut room, HOST, &one_more), Reason::Full);
    room.does(&key(HOST), &grant(100, Role::CoHost));
    room.does(&key(HOST), &revoke(101));
    room.does(&key(HOST), &one_more);
}
