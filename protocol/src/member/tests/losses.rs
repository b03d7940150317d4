//! What members miss, on its way to whoever speaks, in virtual time.

use super::{stage::deep, *};
use crate::{
    media::{Grade, Losses},
    wire::message::{Slot, Wish},
};

const SECOND: Duration = Duration::from_secs(1);

impl World {
    fn hears(&mut self, member: usize, grade: Grade) {
        self.members[member].handle(Input::Hearing(grade), self.now);
        self.run();
    }

    fn losses(&self, member: usize) -> Losses {
        self.members[member].losses(self.now)
    }

    fn words(&self, member: usize) -> usize {
        let is_word = |output: &&Output| matches!(output, Output::Send { message, .. } if matches!(**message, Message::Losses(_)));
        self.outputs(member).filter(is_word).count()
    }
}

/// The deep room with the member of index 1, whose seed is 2, on the stage.
fn staged() -> World {
    let mut world = deep();
    world
        .command(0, Command::Invite(person(2)))
        .expect("the host may");
    world.command(1, Command::Accept).expect("invited");
    world
}

#[test]
fn what_the_deepest_member_misses_is_known_to_the_root_and_to_whoever_speaks() {
    let mut world = staged();
    world.hears(3, Grade::Badly);
    world.hears(1, Grade::Losing);
    world.pass(SECOND * 8);
    let sum = Losses {
        losing: 2,
        badly: 1,
        on_stage: 1,
    };
    assert_eq!((world.losses(0), world.losses(1)), (sum, sum));
    assert_eq!(world.losses(2), Losses::default(), "it does not speak");
    world.hears(3, Grade::Well);
    world.hears(1, Grade::Well);
    world.pass(SECOND * 8);
    assert_eq!((world.losses(0), world.losses(1)), Default::default());
}

#[test]
fn where_nobody_misses_anything_nobody_says_anything() {
    let mut world = staged();
    for second in 0..60 {
        world.hears(3, Grade::Well);
        world.pass(SECOND);
        assert_eq!(world.words(3) + world.words(0), 0, "second {second}");
    }
}

#[test]
fn a_grade_that_changes_all_the_time_is_a_message_in_two_seconds() {
    let mut world = staged();
    for tenth in 0..100 {
        world.hears(
            3,
            if tenth % 2 == 0 {
                Grade::Losing
            } else {
                Grade::Badly
            },
        );
        world.pass(SECOND / 10);
    }
    assert!((2..=6).contains(&world.words(3)), "{}", world.words(3));
}

#[test]
fn who_is_gone_misses_nothing() {
    let mut world = staged();
    world.hears(3, Grade::Badly);
    world.pass(SECOND * 4);
    assert_eq!(world.losses(0).losing, 1);
    world.dead.insert(3);
    world.pass(SECOND * 30);
    assert_eq!(world.losses(0), Losses::default());
}

#[test]
fn nobody_speaks_for_more_members_than_it_reported() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| {})));
    let claim = Losses {
        losing: 500,
        badly: 500,
        on_stage: 500,
    };
    world.say(0, link, Message::Losses(claim));
    assert_eq!(world.losses(0), Losses::default(), "it is no child");
    let attach = Attach {
        slot: Slot::Child,
        wish: Wish::Join,
        redirects: 0,
        capacity: 0,
        extensions: vec![],
    };
    world.say(0, link, Message::Attach(attach));
    world.say(0, link, Message::Losses(claim));
    let one = Losses {
        losing: 1,
        badly: 1,
        on_stage: 1,
    };
    assert_eq!(world.losses(0), one);
}
