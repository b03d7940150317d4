//! Beacons on their way down: whole where something is new, and else only the time.

use super::{withheld::below_a_played_parent, *};
use crate::log::Tick;

const SECOND: Duration = Duration::from_secs(1);

impl World {
    /// How many beacons were sent whole, and how many as ticks.
    fn beacons_sent(&self) -> (usize, usize) {
        let sent = |is_one: fn(&Message) -> bool| {
            let is_it = |output: &&(usize, Output)| matches!(&output.1, Output::Send { message, .. } if is_one(message));
            self.seen.iter().filter(is_it).count()
        };
        (
            sent(|message| matches!(message, Message::Beacon(_))),
            sent(|message| matches!(message, Message::Tick(_))),
        )
    }

    fn all_have_the_newest_beacon(&self) -> bool {
        let newest = self.members[0].beacon.get();
        newest.is_some() && self.members.iter().all(|member| member.beacon.get() == newest)
    }
}

#[test]
fn a_beacon_is_sent_whole_only_when_more_than_the_time_is_new() {
    let mut world = World::hosted();
    let (middle, _) = world.joined(2);
    world.pass(2 * SECOND);
    let below = world.newcomer(3);
    world.connect(below, middle);
    world.pass(2 * SECOND);
    assert!(world.all_have_the_newest_beacon());
    let (whole, ticks) = world.beacons_sent();
    world.pass(10 * SECOND);
    assert_eq!(
        world.beacons_sent(),
        (whole, ticks + 20),
        "two links, ten seconds"
    );
    assert!(world.all_have_the_newest_beacon());
    world
        .command(0, Command::Title("Songs".into()))
        .expect("the host may");
    assert_eq!(world.beacons_sent().0, whole + 2, "the head is new");
    assert!(world.all_have_the_newest_beacon());
    world.pass(3 * SECOND);
    assert_eq!(world.beacons_sent(), (whole + 2, ticks + 26));
    assert!(world.all_have_the_newest_beacon());
}

#[test]
fn a_tick_that_nothing_came_before_or_that_is_signed_by_nobody_ends_its_link() {
    let tick = |at: u32, signature| Tick {
        number: at,
        clock: u64::from(at) * 1_000,
        signature,
    };
    let someones = key(1).sign(b"something else");
    let (mut world, victim, link) = below_a_played_parent();
    world.say(victim, link, Message::Tick(tick(1_000, someones)));
    assert!(!world.members[victim].links.contains_key(&link));

    let (mut world, victim, link) = below_a_played_parent();
    let beacon = world.members[0].beacon.get().expect("a chair's").signed().clone();
    world.say(victim, link, Message::Beacon(beacon));
    assert!(world.members[victim].links.contains_key(&link));
    world.say(victim, link, Message::Tick(tick(1_000, someones)));
    assert!(!world.members[victim].links.contains_key(&link));
    assert!(world.all_have_the_newest_beacon());
}
