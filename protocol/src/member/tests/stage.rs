//! Raised hands among members in virtual time: one order for all, and what floods and forgeries come to.

use super::*;
use crate::{
    limits,
    room::Hands,
    signed::Statement,
    stage::{HAND_LAPSE_MS, HAND_REFRESH_MS, HandList, Note, Saying},
};

const SECOND: Duration = Duration::from_secs(1);
const UP: Command = Command::Hand { raised: true };
const DOWN: Command = Command::Hand { raised: false };

fn queue(world: &World, member: usize) -> Vec<Person> {
    world.members[member]
        .hands()
        .iter()
        .map(|hand| hand.person)
        .collect()
}

pub(super) fn sign<T: Statement>(statement: T, by: u8) -> Signed<T> {
    Verified::sign(statement, &key(by))
        .expect("valid")
        .signed()
        .clone()
}

fn hand(by: u8, at: u64, raised: bool) -> Signed<Note> {
    let nick = Text::clean("x");
    let saying = Saying::Hand { raised, nick };
    sign(Note::new(RoomId::of(&genesis()), person(by), at, &saying), by)
}

/// A host (0), a relay below it (1), and two listeners below that (2, 3), with seeds one higher.
pub(super) fn deep() -> World {
    let mut world = World::hosted();
    let (relay, _) = world.joined(2);
    for seed in [3, 4] {
        let listener = world.newcomer(seed);
        world.connect(listener, relay);
    }
    world.pass(SECOND);
    world
}

impl World {
    pub(super) fn verdicts_on(&self, link: Neighbour) -> Vec<Outcome> {
        let verdicts = self.said(link).into_iter().filter_map(|message| match message {
            Message::Verdict(verdict) => Some(verdict.outcome.clone()),
            _ => None,
        });
        verdicts.collect()
    }

    pub(super) fn refused_on(&self, link: Neighbour) -> Option<Reason> {
        match self.verdicts_on(link).pop() {
            Some(Outcome::Refused(refusal)) => Some(refusal.reason),
            _ => None,
        }
    }
}

#[test]
fn hands_go_up_in_one_order_that_every_member_sees_and_down_again() {
    let mut world = deep();
    assert_eq!(world.command(3, UP), Ok(1));
    assert_eq!(world.command(2, UP), Ok(2));
    world.pass(SECOND);
    for member in 0..4 {
        assert_eq!(queue(&world, member), [person(4), person(3)], "at {member}");
        let told = world.events(member).into_iter().filter_map(|event| match event {
            Event::Hand { person, raised, .. } => Some((*person, *raised)),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [(person(4), true), (person(3), true)]);
    }
    assert_eq!(
        world.command(3, UP).expect_err("it is up").reason,
        Reason::NoSuchSubject
    );
    assert_eq!(world.command(3, DOWN), Ok(0));
    world.pass(SECOND);
    for member in 0..4 {
        assert_eq!(queue(&world, member), [person(3)], "at {member}");
    }
    assert_eq!(
        world.command(3, DOWN).expect_err("it is down").reason,
        Reason::NoSuchSubject
    );
}

#[test]
fn who_comes_later_sees_who_waits() {
    let mut world = deep();
    world.command(2, UP).expect("a listener may");
    world.pass(SECOND);
    let (late, _) = world.joined(9);
    assert_eq!(queue(&world, late), [person(3)]);
}

#[test]
fn a_hand_goes_down_when_its_owner_takes_the_stage_is_put_out_or_leaves() {
    let mut world = deep();
    let (third, _) = world.joined(5);
    for member in [2, 3, third] {
        world.command(member, UP).expect("a listener may");
    }
    world
        .command(0, Command::Invite(person(3)))
        .expect("the host may");
    world.pass(SECOND);
    assert_eq!(queue(&world, 1).len(), 3, "an invitation is no answer yet");
    world.command(2, Command::Accept).expect("invited");
    world.pass(SECOND);
    assert_eq!(queue(&world, 1), [person(4), person(5)]);
    let kick = Command::Kick {
        person: person(4),
        reason: String::new(),
    };
    world.command(0, kick).expect("the host may");
    world.pass(SECOND);
    assert_eq!(queue(&world, 1), [person(5)]);
    world.members[third].handle(Input::Leave, world.now);
    world.run();
    world.pass(SECOND);
    assert!(queue(&world, 1).is_empty());
}

#[test]
fn a_hand_stays_up_while_its_program_lives_and_no_longer() {
    let mut world = deep();
    world.command(2, UP).expect("a listener may");
    world.pass(Duration::from_millis(HAND_LAPSE_MS + HAND_REFRESH_MS));
    assert_eq!(queue(&world, 0), [person(3)]);
    world.dead.insert(2);
    world.pass(Duration::from_millis(HAND_LAPSE_MS) + 10 * SECOND);
    for member in [0, 1, 3] {
        assert!(queue(&world, member).is_empty(), "at {member}");
    }
}

#[test]
fn hands_are_raised_by_those_whom_the_room_lets() {
    let mut world = deep();
    world.command(2, UP).expect("a listener may");
    let refused = world.command(3, Command::Hands(Hands::Nobody));
    assert_eq!(refused.expect_err("a listener").reason, Reason::NotAllowed);
    world
        .command(0, Command::Hands(Hands::Nobody))
        .expect("the host may");
    world.pass(SECOND);
    assert!(queue(&world, 3).is_empty(), "those that were up are down");
    assert_eq!(
        world.command(3, UP).expect_err("closed").reason,
        Reason::NotAllowed
    );
    world
        .command(0, Command::Hands(Hands::Anyone))
        .expect("the host may");
    assert_eq!(world.command(3, UP), Ok(1));
    let on_stage = world.command(0, UP).expect_err("the host is on the stage");
    assert_eq!(on_stage.reason, Reason::NoSuchSubject);
}

#[test]
fn forged_replayed_and_late_hands_are_refused_by_name() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(3);
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    world.pass(SECOND);
    let clock = u64::try_from(world.now.as_millis()).expect("small");
    let up = hand(9, clock, true);
    let mut forged = up.to_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = Signed::from_bytes(&forged).expect("an envelope");
    world.say(0, link, Message::Note(forged));
    assert_eq!(world.refused_on(link), Some(Reason::Malformed));
    world.say(0, link, Message::Note(up.clone()));
    assert_eq!(
        world.verdicts_on(link).pop(),
        Some(Outcome::Appended { sequence: 1 })
    );
    world.say(0, link, Message::Note(hand(9, clock + 1, false)));
    world.say(0, link, Message::Note(up));
    assert_eq!(
        world.refused_on(link),
        Some(Reason::Duplicate),
        "what was lowered stays down"
    );
    world.say(0, link, Message::Note(hand(9, clock + 40_000, true)));
    assert_eq!(world.refused_on(link), Some(Reason::Expired));
    world.say(0, link, Message::Note(hand(9, clock + 2, true)));
    assert_eq!(
        world.refused_on(link),
        Some(Reason::TooMany),
        "up and down and up at once"
    );
    let elsewhere = Saying::Hand {
        raised: true,
        nick: Text::clean("x"),
    };
    let elsewhere = Note::new(RoomId([1; 32]), person(9), clock + 3, &elsewhere);
    world.say(0, link, Message::Note(sign(elsewhere, 9)));
    assert_eq!(world.refused_on(link), Some(Reason::UnknownRoom));
    world.pass(SECOND);
    assert!(queue(&world, listener).is_empty());
}

#[test]
fn a_flood_of_hands_from_one_link_leaves_the_way_up_to_others() {
    let mut world = deep();
    let link = world.stranger(1, 9);
    world.say(1, link, Message::Hello(hello(9, |_| ())));
    world.say(1, link, Message::Attach(Attach::join(0)));
    let clock = u64::try_from(world.now.as_millis()).expect("small");
    for n in 0..30 {
        world.say(1, link, Message::Note(hand(9, clock + n, n % 2 == 0)));
    }
    assert_eq!(world.refused_on(link), Some(Reason::TooMany));
    assert!(world.command(2, UP).is_ok(), "an honest hand still goes up");
    assert_eq!(world.left(1), None);
    assert!(world.members[1].parent().is_some(), "nor is the relay blamed");
}

#[test]
fn a_full_queue_refuses_one_more() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    for n in 0..=limits::HANDS as u8 {
        world.pass(SECOND);
        let clock = u64::try_from(world.now.as_millis()).expect("small");
        world.say(0, link, Message::Note(hand(100 + n, clock, true)));
        let full = n == limits::HANDS as u8;
        assert_eq!(world.refused_on(link).is_some(), full, "hand {n}");
        if n % 16 == 0 && !full {
            // Those before are held up, or they would go down meanwhile.
            for held in 0..n {
                world.pass(SECOND / 4);
                let clock = u64::try_from(world.now.as_millis()).expect("small");
                world.say(0, link, Message::Note(hand(100 + held, clock, true)));
            }
        }
    }
    assert_eq!(world.refused_on(link), Some(Reason::Full));
}

#[test]
fn a_queue_that_the_chair_did_not_sign_is_not_believed_and_not_passed_on() {
    let mut world = World::hosted();
    let (relay, _) = world.joined(2);
    let leaf = world.newcomer(3);
    let (at_leaf, _) = world.connect(leaf, relay);
    let forged = HandList {
        version: 1,
        room: RoomId::of(&genesis()),
        chair: person(1),
        term: 9,
        number: 9,
        hands: vec![],
    };
    // Signed by another key than the chair's, which it names.
    let mut bytes = sign(
        HandList {
            chair: person(2),
            ..forged.clone()
        },
        2,
    )
    .to_bytes()
    .to_vec();
    let own = sign(forged, 1).to_bytes();
    let payload = own.len() - 64;
    bytes[..payload].copy_from_slice(&own[..payload]);
    let forged = Signed::from_bytes(&bytes).expect("an envelope");
    world.say(leaf, at_leaf, Message::Hands(forged));
    assert_eq!(world.members[leaf].parent(), None, "such a parent is left");
}

fn admitted(world: &mut World, seed: u8, at: usize) -> Option<Reason> {
    let member = world.newcomer(seed);
    world.connect(member, at);
    if world.members[member].joined {
        return None;
    }
    world.members[member].handle(Input::NobodyLeft, world.now);
    world.run();
    match world.left(member) {
        Some(Left::Refused(refusal)) => Some(refusal.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lock_keeps_new_keys_out_at_every_member_and_lets_back_in_who_was_inside() {
    let mut world = deep();
    world.pass(3 * SECOND);
    world.command(0, Command::Lock(true)).expect("the host may");
    world.pass(Duration::from_secs(20));
    for at in [0, 1, 2] {
        assert_eq!(
            admitted(&mut world, 50 + at as u8, at),
            Some(Reason::Locked),
            "at {at}"
        );
    }
    let pass = world.outputs(2).find_map(|output| match output {
        Output::StorePass(pass) => Some(pass.clone()),
        _ => None,
    });
    let pass = pass.expect("the chair has signed it");
    for (at, seed, may) in [(0, 3, true), (1, 3, true), (0, 60, false)] {
        let room = RoomId::of(&genesis());
        let mut back = Member::join(config(seed), room, None, world.now).expect("a member");
        back.resume_pass(&pass);
        world.members.push(back);
        world.run();
        let back = world.members.len() - 1;
        world.connect(back, at);
        assert_eq!(world.members[back].joined, may, "seed {seed} at {at}");
    }
    world.command(0, Command::Lock(false)).expect("the host may");
    assert_eq!(admitted(&mut world, 70, 1), None);
}

#[test]
fn a_member_that_loses_its_parent_in_a_locked_room_finds_another() {
    let mut world = deep();
    world.pass(3 * SECOND);
    world.command(0, Command::Lock(true)).expect("the host may");
    world.dead.insert(1);
    let gone: Vec<Neighbour> = world
        .owners
        .iter()
        .filter(|(_, owner)| **owner == 1)
        .map(|(link, _)| *link)
        .collect();
    gone.into_iter().for_each(|link| world.cut(link));
    world.connect(2, 0);
    assert_eq!(world.members[2].parent(), Some(Peer([1; 32])));
}

#[test]
fn no_pass_is_given_for_a_key_that_comes_after_the_lock() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    let passes = |world: &World| {
        let said = world.said(link);
        said.iter()
            .filter(|said| matches!(said, Message::Passes(_)))
            .count()
    };
    world.say(0, link, Message::PassWanted(vec![person(60)]));
    assert_eq!(passes(&world), 1);
    world.command(0, Command::Lock(true)).expect("the host may");
    world.pass(Duration::from_secs(11));
    world.say(0, link, Message::PassWanted(vec![person(61)]));
    assert_eq!(passes(&world), 1);
}

#[test]
fn a_room_for_listed_people_lets_in_nobody_else_and_a_stage_for_them_neither() {
    use crate::log::GuestList;
    let mut world = deep();
    let listed = |seed, listed| Command::Guest {
        person: person(seed),
        listed,
    };
    world.command(0, listed(70, true)).expect("the host may");
    world
        .command(0, Command::GuestList(GuestList::Enter))
        .expect("the host may");
    for at in [0, 1] {
        assert_eq!(admitted(&mut world, 71, at), Some(Reason::NotListed), "at {at}");
    }
    assert_eq!(admitted(&mut world, 70, 1), None);
    assert_eq!(world.left(2), None, "who is inside stays");
    world
        .command(0, Command::GuestList(GuestList::Speak))
        .expect("the host may");
    assert_eq!(admitted(&mut world, 72, 1), None);
    let refused = world
        .command(0, Command::Invite(person(3)))
        .expect_err("not listed");
    assert_eq!(refused.reason, Reason::NotListed);
    world.command(0, Command::Invite(person(70))).expect("listed");
    world.command(0, Command::Speakers(1)).expect("the host may");
    let guest = world
        .members
        .iter()
        .position(|member| member.config.peer == Peer([70; 32]));
    let full = world
        .command(guest.expect("inside"), Command::Accept)
        .expect_err("full");
    assert_eq!(full.reason, Reason::Full);
    world.command(0, Command::Speakers(2)).expect("the host may");
    world
        .command(guest.expect("inside"), Command::Accept)
        .expect("invited");
}
