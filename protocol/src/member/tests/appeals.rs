//! Appeals of the banned among members in virtual time.

use super::{
    stage::{deep, sign},
    *,
};
use crate::stage::{Note, Saying};

const SECOND: Duration = Duration::from_secs(1);

fn ban(seed: u8) -> Command {
    Command::Ban {
        person: person(seed),
        lasts: None,
        reason: "noise".to_string(),
    }
}

fn appeal(by: u8, text: &str) -> Signed<Note> {
    let text = Text::clean(text);
    let saying = Saying::Appeal { text };
    sign(Note::new(RoomId::of(&genesis()), person(by), 7, &saying), by)
}

/// What a member was told by the banned.
fn told(world: &World, member: usize) -> Vec<(Person, String)> {
    let events = world.events(member).into_iter();
    let appeals = events.filter_map(|event| match event {
        Event::Appeal { person, text } => Some((*person, text.to_string())),
        _ => None,
    });
    appeals.collect()
}

/// Comes to a member with an appeal; what it is told there.
fn come(world: &mut World, seed: u8, at: usize, text: &str) -> String {
    let room = RoomId::of(&genesis());
    let mut member = Member::join(config(seed), room, None, world.now).expect("a member");
    member.appeal(text).expect("short");
    world.members.push(member);
    let comes = world.members.len() - 1;
    world.run();
    world.connect(comes, at);
    world.members[comes].handle(Input::NobodyLeft, world.now);
    world.run();
    match world.left(comes) {
        Some(Left::Refused(refusal)) => {
            assert_eq!(refusal.reason, Reason::Banned);
            refusal.text.to_string()
        }
        other => panic!("{other:?}"),
    }
}

/// The deep room, with a moderator (index 3, seed 4), and somebody banned (9).
fn judged() -> World {
    let mut world = deep();
    let moderator = Command::Grant {
        person: person(4),
        role: Role::Moderator,
    };
    world.command(0, moderator).expect("the host may");
    world.command(0, ban(9)).expect("the host may");
    world
}

#[test]
fn an_appeal_reaches_those_who_keep_order_through_whoever_is_asked_and_nobody_else_once() {
    for at in [0, 1, 2] {
        let mut world = judged();
        let said = come(&mut world, 9, at, "it was\n my brother");
        assert!(said.contains("on its way") && said.contains("noise"), "{said}");
        let expected = [(person(9), "it was my brother".to_string())];
        assert_eq!(told(&world, 0), expected, "at {at}");
        assert_eq!(told(&world, 3), expected, "at {at}");
        assert!(told(&world, 1).is_empty() && told(&world, 2).is_empty());
        world.pass(60 * SECOND);
        let again = come(&mut world, 9, at, "please");
        assert!(again.contains("already"), "{again}");
        come(&mut world, 9, (at + 1) % 3, "please, there");
        world.pass(SECOND);
        assert_eq!(told(&world, 0).len(), 1, "nor through another member");
    }
}

#[test]
fn each_ban_is_appealed_against_once() {
    let mut world = judged();
    come(&mut world, 9, 1, "it was my brother");
    let unban = Command::Unban {
        person: person(9),
        reason: String::new(),
    };
    world.command(0, unban).expect("the host may");
    world.command(0, ban(9)).expect("the host may");
    come(&mut world, 9, 1, "and now my sister");
    assert_eq!(told(&world, 3).len(), 2);
}

#[test]
fn whoever_is_not_banned_comes_in_and_says_nothing() {
    let mut world = judged();
    let room = RoomId::of(&genesis());
    let mut member = Member::join(config(8), room, None, world.now).expect("a member");
    member.appeal("just in case").expect("short");
    world.members.push(member);
    world.run();
    let comes = world.members.len() - 1;
    world.connect(comes, 1);
    assert!(world.members[comes].joined && told(&world, 0).is_empty());
    for text in ["", " \u{200b}", &"x".repeat(181)] {
        assert!(world.members[comes].appeal(text).is_err());
    }
}

#[test]
fn a_crowd_of_the_banned_is_heard_a_few_at_a_time() {
    let mut world = judged();
    for seed in 50..80 {
        world.command(0, ban(seed)).expect("the host may");
    }
    for seed in 50..80 {
        come(&mut world, seed, 1, "x");
    }
    assert_eq!(told(&world, 3).len(), 4);
    world.pass(10 * SECOND);
    let before = told(&world, 3).len();
    world.command(0, ban(80)).expect("the host may");
    come(&mut world, 80, 1, "x");
    assert_eq!(told(&world, 3).len(), before + 1);
}

#[test]
fn forged_and_foreign_appeals_and_those_of_others_are_refused_by_name() {
    let mut world = judged();
    let link = world.stranger(0, 8);
    world.say(0, link, Message::Hello(hello(8, |_| ())));
    world.say(0, link, Message::Attach(Attach::join(8)));
    world.say(0, link, Message::Note(appeal(8, "I am not banned")));
    assert_eq!(world.refused_on(link), Some(Reason::NoSuchSubject));
    world.command(0, ban(10)).expect("the host may");
    let mut forged = appeal(10, "I confess").to_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = Signed::from_bytes(&forged).expect("an envelope");
    world.say(0, link, Message::Note(forged.clone()));
    assert_eq!(world.refused_on(link), Some(Reason::Malformed));
    let text = Text::clean("elsewhere");
    let elsewhere = Note::new(RoomId([1; 32]), person(9), 7, &Saying::Appeal { text });
    world.say(0, link, Message::Note(sign(elsewhere, 9)));
    assert_eq!(world.refused_on(link), Some(Reason::UnknownRoom));
    world.say(0, link, Message::Note(appeal(9, "it was my brother")));
    world.say(0, link, Message::Note(appeal(9, "it was my brother")));
    assert_eq!(world.refused_on(link), Some(Reason::Duplicate));
    assert_eq!(told(&world, 0).len(), 1);
    let way = world.members[3].place().parent().expect("a parent");
    world.say(3, way, Message::Note(forged));
    assert_eq!(world.members[3].parent(), None, "a parent that forges is left");
}
