//! Who is in the room stays in it when its door is shut, whoever dies above; and who asks for others gets no more than
//! its share.

use super::{
    stage::{admitted, deep, sign},
    *,
};
use bytes::Bytes;

use crate::{
    extension::{self, Extension},
    log::{Entry, GuestList},
    stage::Pass,
};

const SECOND: Duration = Duration::from_secs(1);

impl World {
    /// Kills the relay of [`deep`] and has a listener below it ask the host instead.
    fn moves_to_the_host(&mut self, listener: usize) {
        self.dead.insert(1);
        let gone = self.owners.iter().filter(|(_, owner)| **owner == 1);
        let gone: Vec<Neighbour> = gone.map(|(link, _)| *link).collect();
        gone.into_iter().for_each(|link| self.cut(link));
        self.connect(listener, 0);
    }

    fn passes_of(&self, member: usize) -> Vec<Bytes> {
        let outputs = self.outputs(member).filter_map(|output| match output {
            Output::StorePass(pass) => Some(pass.clone()),
            _ => None,
        });
        outputs.collect()
    }

    /// A stranger takes a place at a member.
    pub(super) fn settled(&mut self, at: usize, seed: u8) -> Neighbour {
        let link = self.stranger(at, seed);
        self.say(at, link, Message::Hello(hello(seed, |_| ())));
        self.say(at, link, Message::Attach(Attach::join(1)));
        link
    }

    /// Has the chair go to somebody in the line for a moment: the host takes it back.
    fn chairs_once(&mut self, seed: u8) {
        let (key, log) = (key(seed), self.members[0].log().expect("a log"));
        let clock = log.state().clock();
        let action = Action::new(
            log.room(),
            key.person(),
            log.head(),
            clock,
            &Act::Chair { alone: false },
        );
        let action = sign(action, seed);
        let term = log.term() + 1;
        let entry = Entry::new(log.room(), log.head(), term, key.person(), clock, &action);
        let (entries, more) = (vec![sign(entry, seed)], false);
        let link = self.stranger(0, 200);
        self.say(0, link, Message::Hello(hello(200, |_| ())));
        self.say(0, link, Message::Entries(Entries { entries, more }));
        self.pass(5 * SECOND);
        let state = self.members[0].log().expect("a log").state();
        assert!(state.was_chair(person(seed)) && state.chair() == person(1));
    }
}

fn co_host(seed: u8) -> Command {
    let (person, role) = (person(seed), Role::CoHost);
    Command::Grant { person, role }
}

fn revoke(seed: u8) -> Command {
    let (person, reason) = (person(seed), String::new());
    Command::Revoke { person, reason }
}

#[test]
fn who_is_inside_stays_when_the_room_is_closed_to_all_but_a_guest_list() {
    let mut world = deep();
    world.pass(3 * SECOND);
    world.does(0, Command::GuestList(GuestList::Enter));
    world.pass(20 * SECOND);
    world.moves_to_the_host(2);
    assert_eq!(world.members[2].parent(), Some(Peer([1; 32])));
    assert_eq!(admitted(&mut world, 71, 0), Some(Reason::NotListed));
    // Opened and closed again: those who came meanwhile were inside as well.
    world.does(0, Command::GuestList(GuestList::Off));
    let (late, _) = world.joined(72);
    world.pass(3 * SECOND);
    world.does(0, Command::GuestList(GuestList::Enter));
    world.pass(20 * SECOND);
    assert_eq!(world.passes_of(late).len(), 1);
}

#[test]
fn who_joined_with_an_office_and_lost_it_stays_in_a_locked_room() {
    for on_stage in [false, true] {
        let mut world = deep();
        if on_stage {
            world.does(0, Command::Invite(person(3)));
            world.does(2, Command::Accept);
        } else {
            world.does(0, co_host(3));
        }
        // Its program begins anew, and joins as what it is.
        let room = RoomId::of(&genesis());
        let again = Member::join(config(3), room, None, world.now).expect("a member");
        world.members[2] = again;
        let at_old = world.owners.iter().filter(|(_, owner)| **owner == 2);
        let at_old: Vec<Neighbour> = at_old.map(|(link, _)| *link).collect();
        at_old.into_iter().for_each(|link| world.cut(link));
        world.connect(2, 1);
        assert_ne!(world.members[2].role(), Role::Listener);
        world.pass(3 * SECOND);
        let end = if on_stage {
            Command::Move(person(3))
        } else {
            revoke(3)
        };
        world.does(0, end);
        world.does(0, Command::Lock(true));
        world.pass(20 * SECOND);
        world.moves_to_the_host(2);
        let parent = world.members[2].parent();
        assert_eq!(parent, Some(Peer([1; 32])), "on the stage: {on_stage}");
    }
}

#[test]
fn a_pass_that_counts_no_more_is_replaced() {
    let mut world = World::hosted();
    let room = RoomId::of(&genesis());
    // Of somebody who has no chair in the history that holds.
    let stale = sign(Pass::new(room, person(5), person(3), 1), 5);
    let mut member = Member::join(config(3), room, None, world.now).expect("a member");
    member.resume_pass(&stale.to_bytes());
    world.members.push(member);
    world.run();
    world.connect(1, 0);
    world.pass(3 * SECOND);
    let [pass] = &world.passes_of(1)[..] else {
        panic!("one pass");
    };
    let pass = Signed::<Pass>::from_bytes(pass).and_then(|pass| pass.peek());
    assert_eq!(pass.expect("a pass").chair, person(1));
    world.pass(60 * SECOND);
    assert_eq!(world.passes_of(1).len(), 1, "it asks no more");
}

#[test]
fn whoever_had_the_chair_and_stands_in_no_line_lets_nobody_into_a_locked_room() {
    let mut world = deep();
    world.does(0, co_host(2));
    world.pass(12 * SECOND);
    world.chairs_once(2);
    let made = |world: &mut World, at: usize, seed: u8| {
        let room = RoomId::of(&genesis());
        let pass = sign(Pass::new(room, person(2), person(seed), 0), 2);
        let body = pass.to_bytes();
        let kind = extension::PASS;
        let link = world.stranger(at, seed);
        let mut hello = hello(seed, |_| ());
        hello.extensions = vec![Extension { kind, body }];
        world.say(at, link, Message::Hello(hello));
        world.refusal_on(link)
    };
    world.does(0, Command::Lock(true));
    world.pass(SECOND);
    assert_eq!(made(&mut world, 0, 60), None, "it stands in the line yet");
    world.does(0, revoke(2));
    world.pass(SECOND);
    for at in [0, 1] {
        assert_eq!(made(&mut world, at, 61), Some(Reason::Locked), "at {at}");
    }
}

#[test]
fn who_asks_for_a_crowd_of_keys_delays_nobody_elses_pass() {
    let mut world = deep();
    let mut floods: Vec<Neighbour> = [60, 61].map(|seed| world.settled(1, seed)).to_vec();
    assert_eq!(world.members[1].children(), 4);
    floods.sort_unstable();
    let mut made_up = 0_u64;
    for _ in 0..150 {
        for link in &floods {
            // Keys that come before all others.
            let keys = (0..32).map(|_| {
                made_up += 1;
                let mut key = [0; 32];
                key[..8].copy_from_slice(&made_up.to_be_bytes());
                Person(key)
            });
            let people = keys.collect();
            world.say(1, *link, Message::PassWanted(people));
        }
        world.pass(SECOND / 10);
    }
    for link in floods {
        assert_eq!(world.refusal_on(link), None, "within what each may say");
    }
    for member in [1, 2, 3] {
        assert_eq!(world.passes_of(member).len(), 1, "member {member}");
    }
}

#[test]
fn who_asks_for_another_persons_pass_does_not_take_it_away() {
    let mut world = deep();
    let link = world.settled(1, 60);
    for _ in 0..40 {
        world.say(1, link, Message::PassWanted(vec![person(3)]));
        world.pass(SECOND / 4);
    }
    assert_eq!(world.passes_of(2).len(), 1);
}

#[test]
fn only_who_has_a_place_asks_for_passes_and_the_chair_signs_so_many_a_second() {
    let mut world = World::hosted();
    let told = |world: &World, link: Neighbour| {
        let said = world.said(link).into_iter();
        let passes = said.map(|said| match said {
            Message::Passes(passes) => passes.len(),
            _ => 0,
        });
        passes.sum::<usize>()
    };
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    let crowd = |seed: u8| (0..32).map(|n| person(seed.wrapping_add(n))).collect();
    world.say(0, link, Message::PassWanted(crowd(100)));
    world.pass(SECOND);
    assert_eq!(told(&world, link), 0);
    let children = [20, 21, 22, 23].map(|seed| world.settled(0, seed));
    let begun = world.now;
    for n in 0..50 {
        for link in children {
            world.say(0, link, Message::PassWanted(crowd(n)));
        }
        world.pass(SECOND / 10);
    }
    let signed: usize = children.into_iter().map(|link| told(&world, link)).sum();
    let seconds = usize::try_from((world.now - begun).as_secs()).expect("a few");
    assert!(
        (128..=256 * (seconds + 1)).contains(&signed),
        "{signed} in {seconds} s"
    );
}
