//! A parent that keeps log entries from its children.

use super::{tree::welcomed, *};
use crate::{
    limits,
    log::Beacon,
    wire::message::{Attached, Position, Slot},
};

const MS: Duration = Duration::from_millis(1);

/// A room with a member below a parent that the test plays, on this link; the host stands by for it.
pub(super) fn below_a_played_parent() -> (World, usize, Neighbour) {
    let mut world = World::hosted();
    let victim = world.newcomer(2);
    let link = welcomed(&mut world, victim, 9);
    world.dials = true;
    let position = Position {
        path: vec![Peer([1; 32]), Peer([9; 32])],
        elders: vec![config(1).candidate()],
        ..Position::default()
    };
    let slot = Slot::Child;
    world.say(victim, link, Message::Attached(Attached { slot, position }));
    let member = &world.members[victim];
    assert_eq!(member.parent(), Some(Peer([9; 32])));
    assert_eq!(member.standby(), Some(Peer([1; 32])));
    (world, victim, link)
}

fn rename(world: &mut World, title: &str) {
    world
        .command(0, Command::Title(title.into()))
        .expect("the host may");
}

impl World {
    /// Sound that knows more of the log than this member does comes to it, for so long.
    fn sound_ahead(&mut self, member: usize, frames: u32) {
        for _ in 0..frames {
            self.members[member].handle(Input::SoundAhead, self.now);
            self.run();
            self.pass(20 * MS);
        }
    }

    fn times_asked(&self, link: Neighbour) -> usize {
        let said = self.said(link).into_iter();
        said.filter(|message| matches!(message, Message::EntriesWanted { .. }))
            .count()
    }

    /// The whole log, as the host would answer who has nothing but the genesis.
    fn entries(&self) -> Message {
        let log = self.members[0].log().expect("a host has its log");
        let entries = log.entries_after(0, limits::ENTRIES_BATCH);
        let entries = entries.iter().map(|entry| entry.signed().clone()).collect();
        Message::Entries(Entries { entries, more: false })
    }
}

#[test]
fn what_the_parent_withholds_comes_from_the_standby_and_the_parent_is_left() {
    let (mut world, victim, link) = below_a_played_parent();
    rename(&mut world, "Songs");
    assert_eq!(world.members[victim].head().sequence, 0);
    world.sound_ahead(victim, 5);
    assert_eq!(
        world.members[victim].head().sequence,
        1,
        "within the time that sound waits for its entry"
    );
    assert_eq!(world.members[victim].parent(), Some(Peer([9; 32])));
    assert!(world.times_asked(link) >= 1);
    world.pass(3_000 * MS);
    assert_eq!(world.members[victim].parent(), Some(Peer([1; 32])));
    let gaps = world
        .outputs(victim)
        .filter(|output| **output == Output::Route(Route::Parent(None)));
    assert_eq!(gaps.count(), 0, "it was never without a parent");
}

#[test]
fn a_parent_that_is_only_slower_than_the_standby_is_kept() {
    let (mut world, victim, link) = below_a_played_parent();
    rename(&mut world, "Songs");
    world.sound_ahead(victim, 5);
    assert_eq!(world.members[victim].head().sequence, 1);
    world.pass(1_000 * MS);
    let late = world.entries();
    world.say(victim, link, late);
    world.pass(10_000 * MS);
    assert_eq!(world.members[victim].parent(), Some(Peer([9; 32])));
}

#[test]
fn a_parent_that_passes_the_beacon_on_but_not_what_it_names_is_left() {
    let (mut world, victim, link) = below_a_played_parent();
    rename(&mut world, "Songs");
    let beacon = world.members[0].beacon.get().expect("a chair's").signed().clone();
    world.say(victim, link, Message::Beacon(beacon));
    assert_eq!(world.times_asked(link), 1);
    world.pass(4_000 * MS);
    let member = &world.members[victim];
    assert_eq!(member.parent(), Some(Peer([1; 32])));
    assert_eq!(member.head().sequence, 1);
}

#[test]
fn a_parent_that_brings_a_long_log_piece_by_piece_is_kept() {
    let (mut world, victim, link) = below_a_played_parent();
    for n in 0..5 {
        rename(&mut world, &format!("Song {n}"));
    }
    let beacon = world.members[0].beacon.get().expect("a chair's").signed().clone();
    world.say(victim, link, Message::Beacon(beacon));
    let Message::Entries(all) = world.entries() else {
        unreachable!("entries")
    };
    for entry in all.entries {
        world.pass(1_500 * MS);
        let entries = vec![entry];
        world.say(victim, link, Message::Entries(Entries { entries, more: true }));
    }
    world.pass(5_000 * MS);
    let member = &world.members[victim];
    assert_eq!(
        (member.head().sequence, member.parent()),
        (5, Some(Peer([9; 32])))
    );
}

#[test]
fn a_speaker_that_claims_entries_which_nobody_has_makes_nobody_leave_its_parent() {
    let (mut world, victim, link) = below_a_played_parent();
    let mut answered = 0;
    for _ in 0..1_000 {
        world.sound_ahead(victim, 1);
        if world.times_asked(link) > answered {
            answered += 1;
            let nothing = Entries {
                entries: vec![],
                more: false,
            };
            world.say(victim, link, Message::Entries(nothing));
        }
    }
    let member = &world.members[victim];
    assert_eq!(member.parent(), Some(Peer([9; 32])));
    assert_eq!(member.standby(), Some(Peer([1; 32])), "nor is it cut off");
    let asked = world.times_asked(link);
    assert!((50..=110).contains(&asked), "{asked} times in 20 s");
}

/// A beacon that names a head which nobody has.
fn of_nowhere(world: &World, by: u8, number: u32) -> Message {
    let ours = world.members[0].head().sequence;
    let head = Head {
        sequence: ours + 1_000,
        hash: [by; 32],
    };
    let room = world.members[0].room();
    let beacon = Beacon::new(room, person(by), (9, number), 0, head, Peer([by; 32]));
    let beacon = Verified::sign(beacon, &key(by)).expect("well-formed");
    Message::Beacon(beacon.signed().clone())
}

#[test]
fn a_strangers_beacon_makes_nobody_leave_its_parent() {
    let (mut world, victim, parents) = below_a_played_parent();
    let (person, role) = (person(5), Role::CoHost);
    world
        .command(0, Command::Grant { person, role })
        .expect("the host may");
    let known = world.entries();
    world.say(victim, parents, known);
    let asked = world.times_asked(parents);
    // Of a key that nobody knows, and of one that stands in the line.
    for seed in [60, 5] {
        let link = world.stranger(victim, 60);
        world.say(victim, link, Message::Hello(hello(60, |_| ())));
        for number in 1..10 {
            let beacon = of_nowhere(&world, seed, number);
            world.say(victim, link, beacon);
            let (entries, more) = (vec![], false);
            world.say(victim, link, Message::Entries(Entries { entries, more }));
            world.pass(1_000 * MS);
        }
        assert_eq!(world.refusal_on(link), None, "{seed}");
        let times = world.times_asked(link);
        assert_eq!(times, if seed == 60 { 1 } else { 9 }, "{seed}");
    }
    let member = &world.members[victim];
    assert_eq!(member.parent(), Some(Peer([9; 32])));
    let moves = world.events(victim).into_iter();
    let moves = moves.filter(|event| matches!(event, Event::Parent { .. }));
    assert_eq!(moves.count(), 0);
    assert_eq!(
        world.times_asked(parents),
        asked,
        "nor is the parent asked for it"
    );
}

#[test]
fn a_parent_that_tells_of_another_history_and_does_not_bring_it_is_left() {
    let (mut world, victim, link) = below_a_played_parent();
    let beacon = of_nowhere(&world, 60, 1);
    world.say(victim, link, beacon);
    let (entries, more) = (vec![], false);
    world.say(victim, link, Message::Entries(Entries { entries, more }));
    world.pass(3_000 * MS);
    assert_eq!(world.members[victim].parent(), Some(Peer([1; 32])));
}
