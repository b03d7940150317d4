//! Reactions among members in virtual time: sums that everyone sees, and no storm.

use super::{stage::deep, *};
use crate::stage::Reactions;

const SECOND: Duration = Duration::from_secs(1);

fn clap() -> Reactions {
    Reactions::one("clap").expect("there is one")
}

fn claps(count: u32) -> Reactions {
    let mut claps = Reactions::default();
    (0..count).for_each(|_| claps.add(&clap(), 1));
    claps
}

/// How many a member was told of.
fn told(world: &World, member: usize) -> u32 {
    let events = world.events(member).into_iter();
    let sums = events.filter_map(|event| match event {
        Event::Reactions(sum) => Some(sum.sum()),
        _ => None,
    });
    sums.sum()
}

fn sums_on(world: &World, link: Neighbour) -> Vec<u32> {
    let said = world.said(link).into_iter();
    let sums = said.filter_map(|message| match message {
        Message::Reactions(sum) => Some(sum.sum()),
        _ => None,
    });
    sums.collect()
}

fn attached(world: &mut World, to: usize, seed: u8) -> Neighbour {
    let link = world.stranger(to, seed);
    world.say(to, link, Message::Hello(hello(seed, |_| ())));
    world.say(to, link, Message::Attach(Attach::join(8)));
    link
}

#[test]
fn everyone_sees_how_many_clap() {
    let mut world = deep();
    for member in [0, 2, 3] {
        assert_eq!(world.command(member, Command::React(clap())), Ok(0));
    }
    let laugh = Reactions::one("😂").expect("there is one");
    world.command(3, Command::React(laugh)).expect("anyone may");
    world.pass(2 * SECOND);
    for member in 0..4 {
        assert_eq!(told(&world, member), 4, "at {member}");
    }
}

#[test]
fn one_person_counts_for_no_more_than_a_person() {
    let mut world = deep();
    let done = (0..20)
        .filter(|_| world.command(2, Command::React(clap())).is_ok())
        .count();
    assert_eq!(done, 4);
    let link = attached(&mut world, 1, 9);
    for _ in 0..100 {
        world.say(1, link, Message::Reactions(claps(10)));
        world.pass(SECOND / 10);
    }
    world.pass(SECOND);
    let most = 4 + 11 * 4;
    assert!(told(&world, 3) <= most, "{} of {most}", told(&world, 3));
}

#[test]
fn a_storm_below_is_a_few_sums_above_and_for_everyone() {
    let mut world = deep();
    let links = [attached(&mut world, 1, 9), attached(&mut world, 1, 10)];
    for _ in 0..100 {
        for link in links {
            world.say(1, link, Message::Reactions(claps(1)));
        }
        world.pass(SECOND / 10);
    }
    world.pass(SECOND);
    let way = world.members[1].place().parent().expect("a parent");
    let (up, down) = (sums_on(&world, way).len(), sums_on(&world, links[0]).len());
    assert!(
        (20..=28).contains(&up) && (20..=28).contains(&down),
        "{up} up, {down} down"
    );
    assert_eq!(told(&world, 3), told(&world, 0));
}

#[test]
fn sums_of_strangers_do_not_count_and_a_flood_of_them_ends_the_link() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    for _ in 0..300 {
        world.say(0, link, Message::Reactions(claps(1)));
    }
    world.pass(SECOND);
    assert_eq!(told(&world, 0), 0);
    assert_eq!(world.refusal_on(link), Some(Reason::TooMany));
}

#[test]
fn a_parent_that_repeats_itself_is_not_repeated() {
    let mut world = deep();
    let leaf = attached(&mut world, 3, 9);
    let way = world.members[3].place().parent().expect("a parent");
    for _ in 0..100 {
        world.say(3, way, Message::Reactions(claps(1)));
        world.pass(SECOND / 10);
    }
    let down = sums_on(&world, leaf).len();
    assert!(down <= 8 + 4 * 10, "{down}");
}
