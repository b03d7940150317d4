//! Marks of microphones, and turns that end, among members in virtual time.

use super::{
    stage::{deep, sign},
    *,
};
use crate::{
    media::Tag,
    stage::{Note, Saying},
};

const SECOND: Duration = Duration::from_secs(1);

fn clock(world: &World) -> u64 {
    u64::try_from(world.now.as_millis()).expect("small")
}

fn mark(by: u8, at: u64, tag: Tag, on: bool) -> Signed<Note> {
    let saying = Saying::Microphone { tag, on };
    sign(Note::new(RoomId::of(&genesis()), person(by), at, &saying), by)
}

fn tag(world: &World, of: u8) -> Tag {
    let log = world.members[0].log().expect("the host's");
    log.state().stage()[&person(of)].tag
}

impl World {
    fn microphone(&mut self, member: usize, on: bool) {
        self.members[member].handle(Input::Microphone { on }, self.now);
        self.run();
    }

    fn shown(&self, of: u8) -> Vec<bool> {
        let members = self.members.iter();
        members.map(|member| member.microphone(person(of))).collect()
    }

    fn be_seated(&mut self, member: usize, seed: u8) {
        self.command(0, Command::Invite(person(seed)))
            .expect("the host may");
        self.command(member, Command::Accept).expect("invited");
    }
}

/// The deep room with the member of index 2, whose seed is 3, on the stage.
fn staged() -> World {
    let mut world = deep();
    world.be_seated(2, 3);
    world
}

#[test]
fn everyone_sees_whose_microphone_is_open_who_comes_later_too() {
    let mut world = staged();
    assert_eq!(world.shown(3), [false; 4], "taking the stage opens none");
    world.microphone(2, true);
    world.pass(SECOND);
    assert_eq!(world.shown(3), [true; 4]);
    assert_eq!(world.shown(1), [false; 4]);
    world.microphone(0, true);
    let (late, _) = world.joined(9);
    assert_eq!((world.shown(3), world.shown(1)), (vec![true; 5], vec![true; 5]));
    world.microphone(2, false);
    world.pass(SECOND);
    assert_eq!(world.shown(3), [false; 5]);
    let told = world.events(late).into_iter().filter_map(|event| match event {
        Event::Microphone { person: who, on } if *who == person(3) => Some(*on),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_stay_begins_with_a_closed_microphone_whatever_was_said_in_the_one_before() {
    let mut world = staged();
    let open = mark(3, clock(&world), tag(&world, 3), true);
    world.microphone(2, true);
    world.pass(SECOND);
    world.command(2, Command::LeaveStage).expect("a speaker may");
    world.microphone(2, false);
    world.pass(SECOND);
    assert_eq!(world.shown(3), [false; 4]);
    world.be_seated(2, 3);
    world.pass(SECOND);
    assert_eq!(world.shown(3), [false; 4]);
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    world.say(0, link, Message::Attach(Attach::join(8)));
    world.say(0, link, Message::Note(open));
    assert_eq!(world.refused_on(link), Some(Reason::NoSuchSubject));
    assert_eq!(world.shown(3), [false; 4]);
}

#[test]
fn who_opens_and_closes_fast_is_shown_as_it_is_in_the_end() {
    let mut world = staged();
    for on in [true, false, true, false, true] {
        world.microphone(2, on);
    }
    world.pass(3 * SECOND);
    assert_eq!(world.shown(3), [true; 4]);
    let told = world.events(3).into_iter();
    let told = told.filter(|event| matches!(event, Event::Microphone { .. }));
    assert!(told.count() <= 3, "and not told each time");
}

#[test]
fn a_mark_that_the_chair_did_not_hear_is_said_again() {
    let mut world = staged();
    world.dead.insert(0);
    world.microphone(2, true);
    world.dead.remove(&0);
    world.pass(3 * SECOND);
    assert_eq!(world.shown(3), [true; 4]);
}

#[test]
fn a_program_that_comes_back_silent_is_not_shown_as_open() {
    let mut world = staged();
    world.microphone(2, true);
    world.pass(SECOND);
    world.dead.insert(2);
    let back = world.newcomer(3);
    world.connect(back, 1);
    world.pass(SECOND);
    assert!(!world.members[0].microphone(person(3)) && !world.members[back].microphone(person(3)));
}

#[test]
fn marks_of_those_who_are_not_on_the_stage_forged_old_and_late_ones_are_refused_by_name() {
    let mut world = staged();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    world.say(0, link, Message::Attach(Attach::join(8)));
    let (own, at) = (tag(&world, 3), clock(&world));
    world.say(0, link, Message::Note(mark(9, at, own, true)));
    assert_eq!(
        world.refused_on(link),
        Some(Reason::NoSuchSubject),
        "in the audience"
    );
    let mut forged = mark(3, at, own, true).to_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = Signed::from_bytes(&forged).expect("an envelope");
    world.say(0, link, Message::Note(forged));
    assert_eq!(world.refused_on(link), Some(Reason::Malformed));
    let open = mark(3, at, own, true);
    world.say(0, link, Message::Note(open.clone()));
    world.pass(SECOND);
    world.say(0, link, Message::Note(open));
    assert_eq!(world.refused_on(link), Some(Reason::Duplicate));
    let late = mark(3, clock(&world) + 40_000, own, false);
    world.say(0, link, Message::Note(late));
    assert_eq!(world.refused_on(link), Some(Reason::Expired));
}

#[test]
fn a_parent_that_forges_marks_is_left_and_believed_by_nobody() {
    let mut world = staged();
    let way = world.members[3].place().parent().expect("a parent");
    let mut forged = mark(3, clock(&world), tag(&world, 3), true).to_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = Signed::from_bytes(&forged).expect("an envelope");
    world.say(3, way, Message::Note(forged));
    assert!(!world.members[3].microphone(person(3)));
    assert_eq!(world.members[3].parent(), None);
}

#[test]
fn a_speaker_who_opens_and_closes_without_end_costs_everyone_little() {
    let mut world = staged();
    let link = world.stranger(0, 3);
    world.say(0, link, Message::Hello(hello(3, |_| ())));
    world.say(0, link, Message::Attach(Attach::join(8)));
    let leaf = world.stranger(1, 200);
    world.say(1, leaf, Message::Hello(hello(200, |_| ())));
    world.say(1, leaf, Message::Attach(Attach::join(8)));
    let own = tag(&world, 3);
    for n in 0..240_u64 {
        let at = clock(&world);
        world.say(0, link, Message::Note(mark(3, at, own, n % 2 == 0)));
        world.pass(SECOND / 4);
    }
    let notes = world.said(leaf);
    let notes = notes.iter().filter(|said| matches!(said, Message::Note(_)));
    // A stage full at once, and one in two seconds for a minute.
    assert!(notes.count() <= 32 + 30 + 1);
}

#[test]
fn a_speaker_whose_time_is_over_is_moved_to_the_audience_by_the_chair() {
    let mut world = staged();
    world.command(0, Command::SpeakingTime(10)).expect("the host may");
    world.pass(9 * SECOND);
    let is_on = |world: &World| world.members[3].is_on_stage(person(3));
    assert!(is_on(&world));
    world.pass(2 * SECOND);
    assert!(!is_on(&world) && world.members[3].is_on_stage(person(1)));
    let moved = world.events(3).into_iter().any(|event| {
        matches!(event, Event::Entry { action: "move", author, subject, .. }
            if *author == person(1) && *subject == Some(person(3)))
    });
    assert!(moved, "by an entry that says who did it");
    assert!(world.events(2).contains(&&Event::Silenced(person(3))));
    world.be_seated(2, 3);
    world.pass(9 * SECOND);
    assert!(is_on(&world), "each stay has its own time");
    world.command(0, Command::SpeakingTime(0)).expect("the host may");
    world.pass(60 * SECOND);
    assert!(is_on(&world));
}

#[test]
fn whoever_takes_the_chair_ends_turns_too() {
    let mut world = staged();
    let co_host = Command::Grant {
        person: person(2),
        role: Role::CoHost,
    };
    world.command(0, co_host).expect("the host may");
    world.command(0, Command::SpeakingTime(30)).expect("the host may");
    world.dead.insert(0);
    let gone: Vec<Neighbour> = world
        .owners
        .iter()
        .filter(|(_, owner)| **owner == 0)
        .map(|(link, _)| *link)
        .collect();
    gone.into_iter().for_each(|link| world.cut(link));
    world.pass(32 * SECOND);
    assert!(world.members[1].is_chair());
    assert!(!world.members[3].is_on_stage(person(3)));
}
