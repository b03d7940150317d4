//! The queue of hands while chairs change and histories part, and what one link can have of it.

use super::{
    stage::{deep, hand, queue},
    succession::{retitle, room},
    *,
};
use crate::limits;

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
