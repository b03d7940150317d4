//! The chat among members in virtual time: one order for all, and what floods and forgeries come to.

use super::{
    stage::{deep, sign},
    *,
};
use crate::{
    room::Chat,
    stage::{NOTE_WINDOW_MS, Note, Reactions, Saying},
};

const SECOND: Duration = Duration::from_secs(1);

fn say(text: &str) -> Command {
    Command::Say(text.to_string())
}

fn clock(world: &World) -> u64 {
    u64::try_from(world.now.as_millis()).expect("small")
}

fn line(by: u8, at: u64, text: &str) -> Signed<Note> {
    let (nick, text) = (Text::clean("x"), Text::clean(text));
    let saying = Saying::Chat { nick, text };
    sign(Note::new(RoomId::of(&genesis()), person(by), at, &saying), by)
}

/// What a member has seen written, and by whom.
fn written(world: &World, member: usize) -> Vec<(Person, String)> {
    let lines = world.events(member).into_iter().filter_map(|event| match event {
        Event::Chat { person, text, .. } => Some((*person, text.to_string())),
        _ => None,
    });
    lines.collect()
}

/// Bytes of chat that went out on a link.
fn bytes_on(world: &World, link: Neighbour) -> usize {
    let sent = world
        .said(link)
        .into_iter()
        .filter(|message| matches!(message, Message::Note(_)))
        .map(|message| message.encode().expect("fits").len());
    sent.sum()
}

/// A stranger with a place below a member.
fn attached(world: &mut World, to: usize, seed: u8) -> Neighbour {
    let link = world.stranger(to, seed);
    world.say(to, link, Message::Hello(hello(seed, |_| ())));
    world.say(to, link, Message::Attach(Attach::join(8)));
    link
}

#[test]
fn a_line_reaches_everyone_once_in_one_order_its_author_too() {
    let mut world = deep();
    assert_eq!(world.command(3, say(" hello\n you ")), Ok(0));
    assert_eq!(world.command(0, say("welcome")), Ok(0));
    assert_eq!(world.command(1, say("أهلا")), Ok(0));
    world.pass(SECOND);
    let expected = [(4, "hello you"), (1, "welcome"), (2, "أهلا")];
    let expected = expected.map(|(by, text)| (person(by), text.to_string()));
    for member in 0..4 {
        assert_eq!(written(&world, member), expected, "at {member}");
    }
}

#[test]
fn who_comes_from_a_lost_parent_misses_no_line_and_sees_none_twice() {
    let mut world = deep();
    world.command(3, say("one")).expect("anyone may");
    world.pass(2 * SECOND);
    world.dead.insert(1);
    let gone: Vec<Neighbour> = world
        .owners
        .iter()
        .filter(|(_, owner)| **owner == 1)
        .map(|(link, _)| *link)
        .collect();
    gone.into_iter().for_each(|link| world.cut(link));
    world.command(0, say("two")).expect("the host may");
    world.connect(2, 0);
    world.pass(SECOND);
    let texts: Vec<String> = written(&world, 2).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn lines_that_are_empty_or_too_long_are_refused_here() {
    let mut world = World::hosted();
    for text in [" \u{200b}\n", &"x".repeat(401)] {
        let refused = world.command(0, say(text)).expect_err("no line");
        assert_eq!(refused.reason, Reason::Malformed);
    }
    world.command(0, say(&"x".repeat(400))).expect("the longest");
}

#[test]
fn nobody_writes_faster_than_a_line_a_second_and_in_slow_mode_slower() {
    let mut world = deep();
    world.command(2, say("one")).expect("anyone may");
    let fast = world.command(2, say("two")).expect_err("too fast");
    assert_eq!(fast.reason, Reason::TooMany);
    world.pass(SECOND);
    world.command(2, say("two")).expect("a second later");
    world.command(0, Command::SlowMode(30)).expect("the host may");
    world.pass(2 * SECOND);
    let slow = world.command(2, say("three")).expect_err("slow mode");
    assert!(slow.text.to_string().contains("30 s"), "{slow:?}");
    world.command(0, say("hush")).expect("who keeps order may");
    world.pass(SECOND);
    world.command(0, say("please")).expect("and is not slowed down");
    world.pass(30 * SECOND);
    world.command(2, say("three")).expect("30 s later");
    world.pass(SECOND);
    assert_eq!(written(&world, 3).len(), 5);
}

#[test]
fn slow_mode_holds_at_the_relay_and_at_the_chair_whatever_the_author_does() {
    for at in [0, 1] {
        let mut world = deep();
        world.command(0, Command::SlowMode(20)).expect("the host may");
        let link = attached(&mut world, at, 9);
        let start = clock(&world);
        for n in 0..20 {
            // Each names the latest time that could pass.
            world.say(
                at,
                link,
                Message::Note(line(9, clock(&world) + 20_000 * n, "spam")),
            );
            world.pass(SECOND);
        }
        let too_fast = world
            .verdicts_on(link)
            .into_iter()
            .any(|outcome| matches!(outcome, Outcome::Refused(refusal) if refusal.reason == Reason::TooMany));
        assert!(too_fast, "at {at}");
        // Ahead of its time by as much as may be, a line counts for the 20 s after that.
        let most = (clock(&world) - start + NOTE_WINDOW_MS) / 20_000 + 1;
        let seen = written(&world, 3).len();
        assert!(seen >= 1 && seen as u64 <= most, "at {at}: {seen} of {most}");
    }
}

#[test]
fn only_those_write_whom_the_room_lets() {
    let mut world = deep();
    let closed = world.command(3, Command::Chat(Chat::Nobody));
    assert_eq!(closed.expect_err("a listener").reason, Reason::NotAllowed);
    world
        .command(0, Command::Chat(Chat::Stage))
        .expect("the host may");
    let refused = world.command(3, say("hello")).expect_err("in the audience");
    assert_eq!(refused.reason, Reason::NotAllowed);
    world
        .command(0, Command::Invite(person(3)))
        .expect("the host may");
    world.command(2, Command::Accept).expect("invited");
    world.command(2, say("hello")).expect("on the stage");
    world
        .command(0, Command::Chat(Chat::Nobody))
        .expect("the host may");
    world.pass(SECOND);
    assert!(world.command(2, say("hello")).is_err());
    world.command(0, say("order")).expect("who keeps order may");
    let link = attached(&mut world, 1, 9);
    let at = clock(&world);
    world.say(1, link, Message::Note(line(9, at, "whatever my program does")));
    assert_eq!(world.refused_on(link), Some(Reason::NotAllowed));
}

#[test]
fn what_a_banned_key_writes_stops_at_the_first_member_on_its_way_up_and_down() {
    let mut world = deep();
    let ban = |seed| Command::Ban {
        person: person(seed),
        lasts: None,
        reason: String::new(),
    };
    world.command(0, ban(9)).expect("the host may");
    // Another carries it.
    let link = attached(&mut world, 1, 8);
    let at = clock(&world);
    world.say(1, link, Message::Note(line(9, at, "I am back")));
    assert_eq!(world.refused_on(link), Some(Reason::Banned));
    // A relay sends it down.
    let way = world.members[3].place().parent().expect("a parent");
    world.say(3, way, Message::Note(line(9, at + 1, "I am back")));
    world.pass(SECOND);
    for member in 0..4 {
        assert!(written(&world, member).is_empty(), "at {member}");
    }
    assert!(world.members[3].parent().is_some(), "it may not know of the ban");
}

#[test]
fn forged_replayed_late_and_foreign_lines_are_refused_by_name() {
    let mut world = World::hosted();
    let link = attached(&mut world, 0, 9);
    let at = clock(&world);
    let mut forged = line(9, at, "hello").to_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = Signed::from_bytes(&forged).expect("an envelope");
    world.say(0, link, Message::Note(forged));
    assert_eq!(world.refused_on(link), Some(Reason::Malformed));
    let honest = line(9, at, "hello");
    world.say(0, link, Message::Note(honest.clone()));
    world.pass(SECOND);
    world.say(0, link, Message::Note(honest));
    assert_eq!(world.refused_on(link), Some(Reason::Duplicate));
    let late = clock(&world) + 40_000;
    world.say(0, link, Message::Note(line(9, late, "hello")));
    assert_eq!(world.refused_on(link), Some(Reason::Expired));
    let saying = Saying::Chat {
        nick: Text::clean("x"),
        text: Text::clean("hello"),
    };
    let elsewhere = Note::new(RoomId([1; 32]), person(9), clock(&world), &saying);
    world.say(0, link, Message::Note(sign(elsewhere, 9)));
    assert_eq!(world.refused_on(link), Some(Reason::UnknownRoom));
    let unknown = Note::new(
        RoomId::of(&genesis()),
        person(9),
        clock(&world),
        &Saying::Unknown {
            kind: 99,
            body: bytes::Bytes::new(),
        },
    );
    world.say(0, link, Message::Note(sign(unknown, 9)));
    assert_eq!(world.refused_on(link), Some(Reason::Unsupported));
    assert_eq!(written(&world, 0).len(), 1);
}

#[test]
fn who_only_says_hello_writes_nothing() {
    let mut world = World::hosted();
    let link = world.stranger(0, 9);
    world.say(0, link, Message::Hello(hello(9, |_| ())));
    let at = clock(&world);
    world.say(0, link, Message::Note(line(9, at, "hello")));
    assert_eq!(world.refused_on(link), Some(Reason::NotInTheRoom));
}

#[test]
fn a_parent_that_forges_lines_is_left() {
    let mut world = deep();
    let way = world.members[3].place().parent().expect("a parent");
    let mut forged = line(1, clock(&world), "I resign").to_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = Signed::from_bytes(&forged).expect("an envelope");
    world.say(3, way, Message::Note(forged));
    assert!(written(&world, 3).is_empty());
    assert_eq!(world.members[3].parent(), None);
}

/// Floods a member with lines for a minute, and says how many bytes of them reached a leaf below the relay.
fn flooded(keys: u8, links: u8) -> (World, usize) {
    let mut world = deep();
    let leaf = attached(&mut world, 1, 200);
    // The host's places: as many attackers as it takes.
    let strangers: Vec<Neighbour> = (0..links).map(|n| attached(&mut world, 0, 50 + n)).collect();
    let text = "x".repeat(400);
    for round in 0..240_u64 {
        for (n, link) in strangers.iter().enumerate() {
            let by = (round * u64::from(links) + n as u64) % u64::from(keys);
            let at = clock(&world);
            world.say(0, *link, Message::Note(line(50 + by as u8, at, &text)));
        }
        if round % 8 == 4 {
            let _ = world.command(2, say("an honest line"));
        }
        world.pass(SECOND / 4);
    }
    let bytes = bytes_on(&world, leaf);
    (world, bytes)
}

#[test]
fn a_flood_from_one_key_or_from_many_costs_every_member_bounded_bandwidth() {
    for (keys, links) in [(1, 1), (100, 1), (100, 3)] {
        let (world, bytes) = flooded(keys, links);
        // What is saved up, and 1 kbit/s for a minute.
        assert!(bytes <= 4_096 + 60 * 128, "{keys} keys on {links} links: {bytes}");
        for member in 0..4 {
            assert_eq!(world.left(member), None);
        }
        let honest = written(&world, 3);
        let honest = honest.iter().filter(|(by, _)| *by == person(3)).count();
        assert!(honest >= 8, "{keys} keys on {links} links: {honest} honest lines");
    }
}

#[test]
fn a_parent_that_makes_up_people_costs_those_further_down_no_more() {
    let mut world = deep();
    let leaf = attached(&mut world, 3, 201);
    let way = world.members[3].place().parent().expect("a parent");
    let text = "x".repeat(400);
    for round in 0..240_u64 {
        for n in 0..3 {
            let at = clock(&world);
            let by = 50 + ((round * 3 + n) % 150) as u8;
            world.say(3, way, Message::Note(line(by, at, &text)));
        }
        world.pass(SECOND / 4);
    }
    let bytes = bytes_on(&world, leaf);
    assert!((4_096..=8_192 + 60 * 128).contains(&bytes), "{bytes}");
}

#[test]
fn a_relay_whose_children_flood_it_with_all_there_is_is_not_blamed() {
    let mut world = deep();
    let links = [attached(&mut world, 1, 9), attached(&mut world, 1, 10)];
    let room = RoomId::of(&genesis());
    for round in 0..240_u64 {
        for (n, link) in links.into_iter().enumerate() {
            let (at, by) = (clock(&world), 9 + n as u8);
            let head = world.members[1].head();
            let title = Act::Title {
                title: Text::clean(&format!("{round}")),
            };
            let action = sign(Action::new(room, person(by), head, at, &title), by);
            let hand = Saying::Hand {
                raised: round % 2 == 0,
                nick: Text::clean("x"),
                pass: bytes::Bytes::new(),
            };
            let hand = sign(Note::new(room, person(by), at, &hand), by);
            let line = line((50 + (round * 2 + n as u64) % 150) as u8, at, "spam");
            for message in [Message::Request(action), Message::Note(hand), Message::Note(line)] {
                world.say(1, link, message);
            }
        }
        world.pass(SECOND / 4);
    }
    assert!(world.members[1].parent().is_some() && world.left(1).is_none());
    world.pass(10 * SECOND);
    assert!(world.command(2, say("an honest line")).is_ok());
}

/// The relay's leaf in a room where everyone does all there is at once, for so many seconds.
fn besieged(world: &mut World, links: &[Neighbour], seconds: u64) {
    let room = RoomId::of(&genesis());
    let stay = world.members[0].log().expect("a log").state().stage()[&person(3)].tag;
    let clap = Reactions::one("clap").expect("there is one");
    let text = "x".repeat(300);
    for round in 0..4 * seconds {
        let at = clock(world);
        let on = round % 2 == 0;
        let mark = Saying::Microphone { tag: stay, on };
        let plea = Saying::Appeal {
            text: Text::clean(&text[..180]),
        };
        let banned = 100 + (round % 40) as u8;
        for (n, link) in links.iter().enumerate() {
            let by = 50 + ((round * 3 + n as u64) % 50) as u8;
            for message in [
                Message::Note(line(by, at, &text)),
                Message::Note(sign(Note::new(room, person(3), at, &mark), 3)),
                Message::Note(sign(Note::new(room, person(banned), at, &plea), banned)),
                Message::Reactions(clap),
            ] {
                world.say(0, *link, message);
            }
        }
        world.pass(SECOND / 4);
    }
}

#[test]
fn whatever_everyone_does_at_once_costs_a_member_three_kilobits_a_second() {
    let mut world = deep();
    world
        .command(0, Command::Invite(person(3)))
        .expect("the host may");
    world.command(2, Command::Accept).expect("invited");
    for seed in 100..140 {
        let ban = Command::Ban {
            person: person(seed),
            lasts: None,
            reason: String::new(),
        };
        world.command(0, ban).expect("the host may");
    }
    let leaf = attached(&mut world, 1, 200);
    let links = [40, 41, 42].map(|seed| attached(&mut world, 0, seed));
    besieged(&mut world, &links, 60);
    let sent = |world: &World| -> usize {
        let said = world.said(leaf).into_iter();
        said.map(|message| message.encode().expect("fits").len()).sum()
    };
    let (before, seconds) = (sent(&world), 60);
    besieged(&mut world, &links, seconds);
    let bits = 8 * (sent(&world) - before) as u64 / seconds;
    assert!((1_000..=3_000).contains(&bits), "{bits} bit/s");
    assert!(world.members[1].parent().is_some() && world.left(1).is_none());
}
