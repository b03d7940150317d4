//! Members against neighbours that keep to the letter of the protocol and to nothing else.

use super::*;
use crate::{extension::Extension, limits, wire::message::Welcome};

/// A stranger with this seed that has said a proper hello; the link's number at the member.
fn introduced(world: &mut World, to: usize, seed: u8) -> Neighbour {
    let link = world.stranger(to, seed);
    world.say(to, link, Message::Hello(hello(seed, |_| ())));
    link
}

#[test]
fn nobody_ends_a_room_by_saying_that_it_has_ended() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    for member in [0, listener] {
        for link in [introduced(&mut world, member, 9), world.stranger(member, 9)] {
            world.say(
                member,
                link,
                Message::Refuse(refusal(Reason::Ended, "it is over")),
            );
            assert_eq!(world.left(member), None);
        }
    }
    assert_eq!(world.members[listener].parent(), Some(Peer([1; 32])));
}

#[test]
fn a_newcomer_believes_whom_it_asks_that_the_room_has_ended() {
    let mut world = World::hosted();
    let newcomer = world.newcomer(2);
    let link = world.asked(newcomer, 9);
    world.say(newcomer, link, Message::Refuse(refusal(Reason::Ended, "")));
    assert_eq!(world.left(newcomer), Some(&Left::Ended));
}

fn seeks(world: &World, member: usize) -> usize {
    let seeks = world.outputs(member).filter(|output| **output == Output::Seek);
    seeks.count()
}

#[test]
fn who_refuses_for_good_is_left_out_and_the_next_is_looked_for_at_once() {
    for reason in [
        Reason::UnknownRoom,
        Reason::BadCertificate,
        Reason::Malformed,
        Reason::Unsupported,
    ] {
        let mut world = World::hosted();
        let newcomer = world.newcomer(2);
        let link = world.asked(newcomer, 9);
        world.say(newcomer, link, Message::Refuse(refusal(reason, "go away")));
        world.pass(Duration::ZERO);
        assert_eq!(seeks(&world, newcomer), 2, "{reason:?}");
        assert!(world.members[newcomer].refusers().contains(&Peer([9; 32])));
        world.members[newcomer].handle(Input::NobodyLeft, world.now);
        world.run();
        let why = Left::Refused(refusal(reason, "go away"));
        assert_eq!(world.left(newcomer), Some(&why));
    }
}

#[test]
fn a_refusal_that_may_pass_is_asked_again_after_a_pause() {
    for reason in [Reason::Full, Reason::TooMany, Reason::Unknown(999)] {
        let mut world = World::hosted();
        let newcomer = world.newcomer(2);
        let link = world.asked(newcomer, 9);
        world.say(newcomer, link, Message::Refuse(refusal(reason, "")));
        world.pass(Duration::from_millis(999));
        assert_eq!(seeks(&world, newcomer), 1, "{reason:?}");
        assert!(world.members[newcomer].refusers().is_empty());
        // A crowd that was refused does not come back at once.
        world.pass(Duration::from_millis(1001));
        assert_eq!(seeks(&world, newcomer), 2);
        // Without a refusal for good the driver is not believed that nobody is left.
        world.members[newcomer].handle(Input::NobodyLeft, world.now);
        world.run();
        assert_eq!(world.left(newcomer), None);
    }
}

#[test]
fn who_lies_to_a_newcomer_is_not_asked_again_and_leaves_the_room_unreachable() {
    let mut world = World::hosted();
    let newcomer = world.newcomer(2);
    let link = world.asked(newcomer, 9);
    let elsewhere = Genesis::new(person(9), "Elsewhere", [1; 16])
        .sign(&key(9))
        .expect("valid");
    let greeting = hello(9, |_| ());
    let welcome = Welcome {
        genesis: elsewhere.signed().clone(),
        certificate: greeting.certificate,
        profile: greeting.profile,
        alias: Alias(0),
        head: greeting.head,
        beacon: None,
        addresses: vec![],
        extensions: vec![],
    };
    world.say(newcomer, link, Message::Welcome(welcome));
    assert!(world.members[newcomer].refusers().contains(&Peer([9; 32])));
    world.members[newcomer].handle(Input::NobodyLeft, world.now);
    world.run();
    assert_eq!(world.left(newcomer), Some(&Left::Unreachable));
}

#[test]
fn liars_without_end_are_called_a_bounded_number_of_times_in_a_row() {
    let mut world = World::hosted();
    let newcomer = world.newcomer(2);
    for seed in 3..=200 {
        let link = world.asked(newcomer, seed);
        world.say(newcomer, link, Message::Refuse(refusal(Reason::UnknownRoom, "")));
        world.pass(Duration::ZERO);
    }
    assert!((50..100).contains(&seeks(&world, newcomer)));
}

#[test]
fn a_member_that_lost_its_parent_looks_on_whoever_refuses() {
    let mut world = World::hosted();
    let (listener, at_host) = world.joined(2);
    world.cut(at_host);
    let link = world.asked(listener, 1);
    world.say(
        listener,
        link,
        Message::Refuse(refusal(Reason::UnknownRoom, "only just up")),
    );
    assert!(world.members[listener].refusers().is_empty());
    world.members[listener].handle(Input::NobodyLeft, world.now);
    world.run();
    assert_eq!(world.left(listener), None);
    world.connect(listener, 0);
    assert_eq!(world.members[listener].parent(), Some(Peer([1; 32])));
}

fn head_far_ahead() -> Head {
    Head {
        sequence: u32::MAX,
        hash: [9; 32],
    }
}

fn asks_for_entries(message: &&Message) -> bool {
    matches!(message, Message::EntriesWanted { .. })
}

#[test]
fn a_strangers_claim_to_know_more_keeps_nobody_from_a_place() {
    let mut world = World::hosted();
    let (listener, at_host) = world.joined(2);
    for member in [0, listener] {
        let link = world.stranger(member, 9);
        let boast = Hello {
            head: head_far_ahead(),
            ..hello(9, |_| ())
        };
        world.say(member, link, Message::Hello(boast));
        let asked = world.said(link).into_iter().filter(asks_for_entries).count();
        assert_eq!(asked, 1, "the chair too: another may have taken its place");
    }
    world.cut(at_host);
    world.connect(listener, 0);
    assert_eq!(world.members[listener].parent(), Some(Peer([1; 32])));
}

#[test]
fn who_claims_more_than_it_has_is_taken_at_what_it_gives() {
    let mut world = World::hosted();
    let newcomer = world.newcomer(2);
    let link = world.asked(newcomer, 9);
    let greeting = hello(9, |_| ());
    let welcome = Welcome {
        genesis: genesis().signed().clone(),
        certificate: greeting.certificate,
        profile: greeting.profile,
        alias: Alias(0),
        head: head_far_ahead(),
        beacon: None,
        addresses: vec![],
        extensions: vec![],
    };
    world.say(newcomer, link, Message::Welcome(welcome));
    assert_eq!(world.said(link).into_iter().filter(asks_for_entries).count(), 1);
    let nothing = Entries {
        entries: vec![],
        more: false,
    };
    world.say(newcomer, link, Message::Entries(nothing));
    assert!(matches!(world.said(link).last(), Some(Message::Attach(_))));
}

#[test]
fn sound_that_runs_ahead_asks_for_the_log_a_few_times_a_second_at_most() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    // Half a minute of one speaker whose newest entry is withheld.
    for _ in 0..1_500 {
        world.pass(Duration::from_millis(20));
        world.members[listener].handle(Input::SoundAhead, world.now);
        world.run();
    }
    let asked = world
        .outputs(listener)
        .filter(|output| matches!(output, Output::Send { message, .. } if asks_for_entries(&&**message)))
        .count();
    assert!((30..=150).contains(&asked), "{asked} times");
    assert_eq!(
        world.members[listener].parent(),
        Some(Peer([1; 32])),
        "cut off by its own parent"
    );
}

#[test]
fn what_a_newer_program_says_is_refused_as_that() {
    for (error, reason) in [
        (
            Malformed::NeedsNewer {
                what: "messages of this kind",
            },
            Reason::Unsupported,
        ),
        (
            Malformed::Version {
                what: "a control frame",
                version: 2,
            },
            Reason::Unsupported,
        ),
        (Malformed::NeedsExtension { kind: 0x8001 }, Reason::Unsupported),
        (Malformed::Encoding { what: "hello" }, Reason::Malformed),
    ] {
        let mut world = World::hosted();
        let link = world.stranger(0, 9);
        world.members[0].handle(Input::Malformed { link, error }, world.now);
        world.run();
        assert_eq!(world.refusal_on(link), Some(reason));
    }
}

#[test]
fn a_peer_takes_one_place_however_many_links_it_opens() {
    let mut world = World::hosted();
    let attach = || Message::Attach(Attach::join(0));
    let mut links = vec![];
    for _ in 0..40 {
        links.push(introduced(&mut world, 0, 9));
        world.say(0, links[links.len() - 1], attach());
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.members[0].children(), 1);
    let newest = links.pop().expect("many");
    assert_eq!(world.refusal_on(newest), None);
    assert!(
        links
            .iter()
            .all(|link| world.refusal_on(*link) == Some(Reason::TooMany))
    );
    let (honest, _) = world.joined(2);
    assert_eq!(world.members[honest].parent(), Some(Peer([1; 32])));
}

#[test]
fn a_new_link_buys_no_new_patience() {
    let mut world = World::hosted();
    let links: Vec<Neighbour> = (0..500).map(|_| introduced(&mut world, 0, 9)).collect();
    let welcomed = links
        .iter()
        .filter(|link| {
            world
                .said(**link)
                .iter()
                .any(|m| matches!(m, Message::Welcome(_)))
        })
        .count();
    assert!(welcomed <= 100, "{welcomed} hellos were verified at once");
    let (honest, _) = world.joined(2);
    assert_eq!(world.members[honest].parent(), Some(Peer([1; 32])));
    world.pass(Duration::from_secs(1));
    let later = introduced(&mut world, 0, 9);
    assert_eq!(world.refusal_on(later), None, "patience comes back");
}

#[test]
fn messages_of_a_later_version_are_skipped_but_not_without_end() {
    let mut world = World::hosted();
    let link = introduced(&mut world, 0, 9);
    for _ in 0..50 {
        world.members[0].handle(Input::Skipped { link }, world.now);
    }
    world.run();
    assert_eq!(world.refusal_on(link), None);
    for _ in 0..500 {
        world.members[0].handle(Input::Skipped { link }, world.now);
    }
    world.run();
    assert_eq!(world.refusal_on(link), Some(Reason::TooMany));
}

/// Two entries fill a batch, so that a log of few entries takes more batches than a link has tokens.
#[test]
fn the_longest_log_is_caught_up_with_at_once() {
    let mut world = World::hosted();
    let (room, key) = (RoomId::of(&genesis()), key(1));
    for n in 0..300 {
        let head = world.members[0].head();
        let act = Act::Unknown {
            kind: 0x0043,
            body: vec![n as u8; 15_000].into(),
        };
        let action = Action::new(room, key.person(), head, n, &act);
        let action = Verified::sign(action, &key).expect("well-formed");
        let entry = crate::log::Entry::new(room, head, 0, key.person(), n, action.signed());
        let entry = Verified::sign(entry, &key).expect("well-formed");
        let log = world.members[0].log.as_mut().expect("a host has its log");
        log.handle_entry(entry.signed().clone()).expect("valid");
    }
    let (late, _) = world.joined(2);
    assert_eq!(world.members[late].head().sequence, 300);
    assert_eq!(world.members[late].parent(), Some(Peer([1; 32])));

    // Who asks for the same again and again pays for it.
    let link = introduced(&mut world, 0, 9);
    for _ in 0..1_000 {
        world.say(0, link, Message::EntriesWanted { after: 0 });
    }
    assert_eq!(world.refusal_on(link), Some(Reason::TooMany));
}

/// Each frame that a world delivers is encoded, and one that is too long fails there.
#[test]
fn a_stage_of_large_profiles_keeps_nobody_out() {
    let mut world = World::hosted();
    for seed in 10..=40 {
        let mut profile = Profile::new(person(seed), "large", 1);
        profile.extensions = (0..8)
            .map(|kind| Extension {
                kind,
                body: vec![seed; limits::EXTENSION].into(),
            })
            .collect();
        let profile = Verified::sign(profile, &key(seed)).expect("valid");
        let link = world.stranger(0, seed);
        let hello = Hello {
            profile: profile.signed().clone(),
            ..hello(seed, |_| ())
        };
        world.say(0, link, Message::Hello(hello));
        world
            .command(0, Command::Invite(person(seed)))
            .expect("the host may");
        let log = world.members[0].log().expect("a log");
        let invite = log.state().invited()[&person(seed)];
        let accept = Action::new(log.room(), person(seed), log.head(), 0, &Act::Accept { invite });
        let accept = Verified::sign(accept, &key(seed)).expect("well-formed");
        world.say(0, link, Message::Request(accept.signed().clone()));
        world.cut(link);
    }
    let (listener, _) = world.joined(2);
    assert_eq!(world.members[listener].parent(), Some(Peer([1; 32])));
    let named = world
        .events(listener)
        .iter()
        .filter(|event| matches!(event, Event::Profile(_)))
        .count();
    assert_eq!(named, limits::STAGE);
}

#[test]
fn a_busy_chair_is_not_taken_for_a_flood() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    for n in 0..300 {
        world
            .command(0, Command::Title(format!("Poem {n}")))
            .expect("the host may");
    }
    assert_eq!(world.members[listener].head().sequence, 300);
    assert_eq!(world.members[listener].parent(), Some(Peer([1; 32])));
}

/// A stranger that has welcomed a newcomer and claims to have a thousand entries.
fn boaster(world: &mut World, newcomer: usize, seed: u8) -> Neighbour {
    let link = world.asked(newcomer, seed);
    let greeting = hello(seed, |_| ());
    let welcome = Welcome {
        genesis: genesis().signed().clone(),
        certificate: greeting.certificate,
        profile: greeting.profile,
        alias: Alias(0),
        head: head_far_ahead(),
        beacon: None,
        addresses: vec![],
        extensions: vec![],
    };
    world.say(newcomer, link, Message::Welcome(welcome));
    link
}

#[test]
fn who_claims_entries_and_sends_none_holds_a_newcomer_up_for_ten_seconds() {
    let mut world = World::hosted();
    let newcomer = world.newcomer(2);
    let link = boaster(&mut world, newcomer, 9);
    assert_eq!(world.said(link).into_iter().filter(asks_for_entries).count(), 1);
    world.pass(Duration::from_millis(9_999));
    assert_eq!((world.refusal_on(link), seeks(&world, newcomer)), (None, 1));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.refusal_on(link), Some(Reason::Expired));
    world.pass(Duration::ZERO);
    assert_eq!(seeks(&world, newcomer), 2, "the next is looked for at once");
    assert!(world.members[newcomer].refusers().contains(&Peer([9; 32])));
}

#[test]
fn who_says_that_there_is_more_and_sends_nothing_is_asked_once() {
    let mut world = World::hosted();
    let newcomer = world.newcomer(2);
    let link = boaster(&mut world, newcomer, 9);
    let nothing = Entries {
        entries: vec![],
        more: true,
    };
    world.say(newcomer, link, Message::Entries(nothing));
    let asked = world.said(link).into_iter().filter(asks_for_entries);
    assert_eq!(asked.count(), 1);
    assert_eq!(world.refusal_on(link), Some(Reason::Malformed));
}
