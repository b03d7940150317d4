//! Names of the audience among members in virtual time.

use super::{
    stage::{deep, sign},
    *,
};
use crate::{
    limits,
    wire::message::{Audience, AudienceWanted, Report},
};

const SECOND: Duration = Duration::from_secs(1);

/// The people on a page, and whether there may be more.
type Found = (Vec<Person>, bool);

impl World {
    fn page(&mut self, member: usize, page: u32) -> Option<Result<Found, Reason>> {
        let id = CommandId(self.next);
        self.next += 1;
        self.members[member].handle(Input::Audience { id, page }, self.now);
        self.run();
        self.answer(member, id)
    }

    fn answer(&self, member: usize, id: CommandId) -> Option<Result<Found, Reason>> {
        self.outputs(member).find_map(|output| match output {
            Output::Audience { command, result } if *command == id => {
                let people = |people: &Vec<Verified<Profile>>| people.iter().map(|one| one.person).collect();
                Some(match result {
                    Ok((found, more)) => Ok((people(found), *more)),
                    Err(why) => Err(why.reason),
                })
            }
            _ => None,
        })
    }

    /// Everyone that a member finds, page by page.
    fn audience(&mut self, member: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for page in 0.. {
            let (people, more) = self.page(member, page).expect("at once").expect("found");
            assert!(people.len() <= limits::AUDIENCE);
            all.extend(people);
            if !more {
                break;
            }
            self.pass(20 * SECOND);
        }
        let mut seeds: Vec<u8> = all.iter().map(|one| seed_of(*one)).collect();
        seeds.sort_unstable();
        seeds
    }
}

fn seed_of(someone: Person) -> u8 {
    (1..=255)
        .find(|seed| person(*seed) == someone)
        .expect("one of ours")
}

#[test]
fn anyone_finds_everyone_who_listens_and_nobody_on_the_stage() {
    let mut world = deep();
    world.pass(3 * SECOND);
    for member in 0..4 {
        assert_eq!(world.audience(member), [2, 3, 4], "by {member}");
    }
    world
        .command(0, Command::Invite(person(3)))
        .expect("the host may");
    world.command(2, Command::Accept).expect("invited");
    for member in 0..4 {
        assert_eq!(world.audience(member), [2, 4], "by {member}");
    }
}

#[test]
fn a_large_room_is_found_page_by_page() {
    let mut world = World::hosted();
    let mut relays = vec![0];
    let mut seed = 2;
    // Four below each, three levels deep, until there are 40.
    while seed <= 41 {
        let relay = relays.remove(0);
        for _ in 0..4.min(42 - seed) {
            let member = world.newcomer(seed);
            world.connect(member, relay);
            relays.push(member);
            seed += 1;
        }
    }
    world.pass(10 * SECOND);
    let everyone: Vec<u8> = (2..=41).collect();
    assert_eq!(world.audience(40), everyone);
    assert_eq!(world.audience(0), everyone);
    assert_eq!(world.page(7, 100), Some(Ok((vec![], false))), "behind the last");
}

#[test]
fn a_member_that_does_not_answer_is_waited_for_and_not_for_ever() {
    let mut world = deep();
    world.pass(3 * SECOND);
    world.dead.insert(0);
    let id = CommandId(world.next);
    assert_eq!(world.page(2, 0), None);
    world.pass(6 * SECOND);
    assert_eq!(world.answer(2, id), Some(Err(Reason::Expired)));
}

#[test]
fn names_that_were_not_signed_by_their_owners_and_answers_to_nothing_count_for_nothing() {
    let mut world = deep();
    let way = world.members[2].place().parent().expect("a parent");
    world.dead.insert(1);
    let id = CommandId(world.next);
    assert_eq!(world.page(2, 0), None);
    let number = match world.said(way).last() {
        Some(Message::AudienceWanted(wanted)) => wanted.number,
        other => panic!("{other:?}"),
    };
    let honest = sign(Profile::new(person(9), "Layla", 0), 9);
    let mut forged = sign(Profile::new(person(10), "Layla", 0), 10).to_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = Signed::from_bytes(&forged).expect("an envelope");
    let answer = |number| {
        Message::Audience(Audience {
            number,
            next: None,
            people: vec![forged.clone(), honest.clone(), honest.clone()],
        })
    };
    world.say(2, way, answer(number + 7));
    assert_eq!(world.answer(2, id), None);
    world.say(2, way, answer(number));
    assert_eq!(world.answer(2, id), Some(Ok((vec![person(9)], false))));
}

#[test]
fn a_child_that_leads_in_circles_is_asked_a_few_times() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    world.say(0, link, Message::Attach(Attach::join(4)));
    let report = Report {
        members: 1_000_000,
        ..Report::default()
    };
    world.say(0, link, Message::Report(report));
    let id = CommandId(world.next);
    assert_eq!(world.page(0, 0), None);
    let mut asked = 0;
    while world.answer(0, id).is_none() {
        asked += 1;
        let Some(Message::AudienceWanted(wanted)) = world.said(link).last() else {
            panic!("it asks")
        };
        let answer = Audience {
            number: wanted.number,
            next: Some(wanted.skip + 1),
            people: vec![],
        };
        world.say(0, link, Message::Audience(answer));
    }
    assert_eq!(world.answer(0, id), Some(Ok((vec![], true))));
    assert!(asked <= 16, "{asked}");
}

#[test]
fn a_flood_of_requests_is_answered_in_part_and_costs_others_nothing() {
    let mut world = deep();
    world.pass(3 * SECOND);
    let link = world.stranger(1, 9);
    world.say(1, link, Message::Hello(hello(9, |_| ())));
    world.say(1, link, Message::Attach(Attach::join(8)));
    let way = world.members[1].place().parent().expect("a parent");
    let before = world.said(way).len();
    for number in 0..100 {
        let wanted = AudienceWanted {
            number,
            skip: 0,
            most: 16,
        };
        world.say(1, link, Message::AudienceWanted(wanted));
        world.pass(SECOND / 10);
    }
    let asked = world.said(way).into_iter().skip(before);
    let asked = asked.filter(|said| matches!(said, Message::AudienceWanted(_)));
    assert!(asked.count() <= 16 + 10);
    assert!(world.left(1).is_none() && world.members[1].parent().is_some());
    let strange = world.stranger(0, 10);
    world.say(0, strange, Message::Hello(hello(10, |_| ())));
    let wanted = AudienceWanted {
        number: 0,
        skip: 0,
        most: 16,
    };
    world.say(0, strange, Message::AudienceWanted(wanted));
    let told = world.said(strange).into_iter();
    assert_eq!(
        told.filter(|said| matches!(said, Message::Audience(_))).count(),
        0
    );
}
