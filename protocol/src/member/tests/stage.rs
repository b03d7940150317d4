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

fn sign<T: Statement>(statement: T, by: u8) -> Signed<T> {
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
fn deep() -> World {
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
    fn verdicts_on(&self, link: Neighbour) -> Vec<Outcome> {
        let verdicts = self.said(link).into_iter().filter_map(|message| match message {
            Message::Verdict(verdict) => Some(verdict.outcome.clone()),
            _ => None,
        });
        verdicts.collect()
    }

    fn refused_on(&self, link: Neighbour) -> Option<Reason> {
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
