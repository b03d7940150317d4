//! The queue of hands while chairs change and histories part, and what one link can have of it.

use super::{
    stage::{deep, hand, queue, sign},
    succession::{retitle, room},
    *,
};
use crate::{
    limits,
    log::Role,
    stage::{HAND_LAPSE_MS, HAND_REFRESH_MS, LOWERED_MS, Note, Saying},
};

const SECOND: Duration = Duration::from_secs(1);
const UP: Command = Command::Hand { raised: true };
const DOWN: Command = Command::Hand { raised: false };

/// Hands that one link raises in made-up names have seeds from here on.
const MADE_UP: u8 = 100;

fn lowered(world: &World, member: usize) -> usize {
    let events = world.events(member).into_iter();
    events
        .filter(|event| matches!(event, Event::Hand { raised: false, .. }))
        .count()
}

impl World {
    fn clock(&self) -> u64 {
        u64::try_from(self.now.as_millis()).expect("small")
    }

    /// One link raises hands in so many names, and holds them up, until all have been said or refused.
    fn floods(&mut self, at: usize, link: Neighbour, from: u8, hands: u8) {
        for n in 0..hands {
            self.pass(SECOND / 3);
            let up = hand(from + n, self.clock(), true);
            self.say(at, link, Message::Note(up));
        }
    }

    fn up_of(&self, member: usize, from: u8, hands: u8) -> usize {
        let up = queue(self, member).into_iter();
        up.filter(|who| (from..from + hands).any(|seed| person(seed) == *who))
            .count()
    }
}

#[test]
fn after_two_halves_have_met_all_see_one_queue_and_a_lowered_hand_stays_down() {
    let mut world = room(13);
    let half: Vec<usize> = (0..world.members.len()).filter(|at| at % 2 == 1).collect();
    world.part(half);
    world.pass(10 * SECOND);
    assert_eq!(world.chair(1), (person(2), 1));
    for member in [3, 7, 4] {
        world.command(member, UP).expect("a listener may");
    }
    world.pass(SECOND);
    assert_eq!(queue(&world, 1), [person(4), person(8)]);
    assert_eq!(queue(&world, 0), [person(5)]);
    world.does(0, retitle("with the host"));
    world.part([]);
    world.pass(40 * SECOND);
    let all = queue(&world, 0);
    assert_eq!(all.len(), 3, "whoever asked for the word still does");
    for at in world.alive() {
        assert_eq!(world.chair(at), (person(1), 0), "member {at}");
        assert_eq!(queue(&world, at), all, "member {at}");
    }
    world.does(3, DOWN);
    for _ in 0..60 {
        world.pass(SECOND);
        for at in world.alive() {
            assert!(!queue(&world, at).contains(&person(4)), "member {at}");
        }
    }
    assert_eq!(queue(&world, 3).len(), 2);
}

#[test]
fn a_queue_keeps_its_order_while_the_chair_goes_to_and_fro() {
    let mut world = room(6);
    for member in [5, 4] {
        world.command(member, UP).expect("a listener may");
    }
    world.pass(SECOND);
    world.part([0]);
    world.pass(42 * SECOND);
    assert_eq!(world.chair(1), (person(2), 1));
    world.part([]);
    world.pass(25 * SECOND);
    for at in world.alive() {
        assert_eq!(world.chair(at), (person(1), 2), "member {at}");
        assert_eq!(queue(&world, at), [person(6), person(5)], "member {at}");
        assert_eq!(lowered(&world, at), 0, "member {at}");
    }
    let late = world.grow(40, 4);
    world.pass(SECOND);
    assert_eq!(queue(&world, late), [person(6), person(5)]);
}

#[test]
fn a_full_queue_makes_room_for_a_link_that_has_less_of_it() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(3);
    let link = world.settled(0, 9);
    let most = limits::HANDS as u8;
    for round in 1..=4 {
        // Those before are held up, or they would go down meanwhile.
        world.floods(0, link, MADE_UP, round * (most / 4));
    }
    world.pass(SECOND);
    assert_eq!(queue(&world, 0).len(), limits::HANDS);
    let more = hand(MADE_UP + most, world.clock(), true);
    world.say(0, link, Message::Note(more));
    assert_eq!(world.refused_on(link), Some(Reason::Full));
    let place = world.command(listener, UP);
    assert_eq!(place, Ok(u32::from(most)), "at the end, in place of the last");
    world.pass(SECOND);
    assert_eq!(queue(&world, listener).last(), Some(&person(3)));
}

#[test]
fn one_link_below_a_relay_has_a_quarter_of_the_queue() {
    let mut world = deep();
    let link = world.settled(1, 9);
    world.floods(1, link, MADE_UP, 20);
    world.floods(1, link, MADE_UP, 20);
    assert_eq!(world.refused_on(link), Some(Reason::Full));
    assert_eq!(world.up_of(0, MADE_UP, 20), limits::HANDS / 4);
    assert!(world.command(2, UP).is_ok());
    // One that is lowered makes room for another.
    let down = hand(MADE_UP, world.clock(), false);
    world.say(1, link, Message::Note(down));
    world.pass(SECOND);
    let up = hand(MADE_UP + 30, world.clock(), true);
    world.say(1, link, Message::Note(up));
    world.pass(SECOND);
    assert_eq!(world.up_of(0, MADE_UP + 30, 1), 1);
}

#[test]
fn a_hand_of_somebody_without_a_place_is_not_heard() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    let up = hand(9, world.clock(), true);
    world.say(0, link, Message::Note(up));
    assert_eq!(world.refused_on(link), Some(Reason::NotInTheRoom));
    assert!(queue(&world, 0).is_empty());
}

#[test]
fn a_clock_at_its_end_stops_no_program() {
    let mut world = deep();
    world.members[2].clock.handle_entry(u64::MAX, world.now);
    for command in [UP, UP] {
        let refused = world.command(2, command).expect_err("of another time");
        assert_eq!(refused.reason, Reason::Expired);
    }
}

#[test]
fn behind_a_shut_door_only_those_who_would_be_let_in_raise_a_hand() {
    use crate::log::GuestList;
    for shut in [Command::Lock(true), Command::GuestList(GuestList::Enter)] {
        let mut world = deep();
        let link = world.settled(1, 9);
        world.pass(3 * SECOND);
        world.does(0, shut);
        world.pass(20 * SECOND);
        for made_up in MADE_UP..MADE_UP + 3 {
            let up = hand(made_up, world.clock(), true);
            world.say(1, link, Message::Note(up));
            let reason = world.refused_on(link).expect("refused");
            assert!(matches!(reason, Reason::Locked | Reason::NotListed), "{reason:?}");
        }
        assert_eq!(world.command(2, UP), Ok(1), "who was inside may");
        world.pass(Duration::from_secs(60));
        assert_eq!(queue(&world, 3), [person(3)], "and holds it up");
        let invite = Command::Invite(person(3));
        world.does(0, invite);
        world.does(2, Command::Accept);
    }
}

/// That somebody lowers the hand of another, signed by its author at this time.
fn lowering(by: u8, of: u8, at: u64) -> Signed<Note> {
    let saying = Saying::Lower { person: person(of) };
    sign(Note::new(RoomId::of(&genesis()), person(by), at, &saying), by)
}

#[test]
fn who_keeps_order_lowers_the_hand_of_another_and_it_stays_down_though_its_program_held_it_up() {
    let mut world = deep();
    let grant = Command::Grant {
        person: person(2),
        role: Role::Moderator,
    };
    world.does(0, grant);
    for (times, by, waits) in [(1, 0, 2), (2, 1, 3)] {
        world.pass(2 * SECOND);
        let of = person(waits as u8 + 1);
        world.command(waits, UP).expect("a listener may");
        world.pass(SECOND);
        assert_eq!(queue(&world, 1), [of]);
        assert_eq!(world.command(by, Command::LowerHand(of)), Ok(0), "by {by}");
        // A word of its owner's program that was on its way.
        let late = hand(waits as u8 + 1, world.clock() + 1, true);
        let link = world.settled(0, 9 + by as u8);
        world.say(0, link, Message::Note(late));
        assert_eq!(world.refused_on(link), Some(Reason::TooMany));
        for _ in 0..(HAND_LAPSE_MS + HAND_REFRESH_MS) / 1_000 {
            world.pass(SECOND);
            for at in 0..4 {
                assert!(queue(&world, at).is_empty(), "at {at}");
            }
        }
        assert_eq!(lowered(&world, waits), times, "its owner is told");
    }
    // It may be raised again.
    assert_eq!(world.command(2, UP), Ok(1));
}

#[test]
fn nobody_else_lowers_a_hand_and_the_chair_says_why() {
    let mut world = deep();
    world.does(
        0,
        Command::Grant {
            person: person(4),
            role: Role::Moderator,
        },
    );
    world.command(2, UP).expect("a listener may");
    world.command(3, UP).expect("a moderator in the audience may");
    let link = world.settled(0, 9);
    world.pass(SECOND);
    let refused = |world: &mut World, member, of| {
        let lower = Command::LowerHand(person(of));
        world.command(member, lower).expect_err("refused").reason
    };
    // A listener's of a listener and of a moderator; a moderator's of one who holds none up.
    assert_eq!(refused(&mut world, 1, 3), Reason::NotAllowed);
    assert_eq!(refused(&mut world, 1, 4), Reason::NotAllowed);
    assert_eq!(refused(&mut world, 3, 2), Reason::NoSuchSubject);
    // Whatever a program of one's own sends: the unprivileged, again, late, forged, of another room.
    let clock = world.clock();
    let mut forged = lowering(1, 3, clock).to_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let elsewhere = Note::new(
        RoomId([1; 32]),
        person(1),
        clock,
        &Saying::Lower { person: person(3) },
    );
    for (note, reason) in [
        (lowering(9, 3, clock), Reason::NotAllowed),
        (lowering(4, 1, clock), Reason::NotAllowed),
        (lowering(9, 9, clock), Reason::NotAllowed),
        (lowering(1, 9, clock), Reason::NoSuchSubject),
        (lowering(1, 3, clock + 40_000), Reason::Expired),
        (
            Signed::from_bytes(&forged).expect("an envelope"),
            Reason::Malformed,
        ),
        (sign(elsewhere, 1), Reason::UnknownRoom),
    ] {
        world.say(0, link, Message::Note(note));
        assert_eq!(world.refused_on(link), Some(reason));
    }
    world.pass(SECOND);
    assert_eq!(queue(&world, 1), [person(3), person(4)]);
    let once = lowering(1, 3, world.clock());
    world.say(0, link, Message::Note(once.clone()));
    world.pass(Duration::from_millis(LOWERED_MS));
    world.command(2, UP).expect("again");
    world.say(0, link, Message::Note(once));
    assert_eq!(
        world.refused_on(link),
        Some(Reason::Duplicate),
        "a copy lowers nothing"
    );
    assert_eq!(
        world.command(3, Command::LowerHand(person(4))),
        Ok(0),
        "one's own"
    );
}
