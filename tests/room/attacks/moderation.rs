//! People who were told to be silent or to go, and whose programs do not care.

use std::time::Duration;

use bytes::Bytes;
use majlis::{
    audio::Input,
    event::{Event, LeftReason},
    room::{ActError, RoomAction, RoomError, Seat},
};
use majlis_protocol::{link::RoomLink, log::Role, person::Person, reason::Reason, wire::message::Message};

use crate::support::{
    attacker::{Attacker, Intruder, Says, hello, until, within},
    ear,
    nodes::{TestNode, wait_for},
    scene::{self, Scene},
};

/// Packets in each round. Within the budget of one speaker, so that nothing but the mute stands against them.
const ROUND: u32 = 20;

/// A round of packets from a sequence on, validly signed.
fn round(intruder: &Intruder, says: Says, from: u32) -> Vec<Bytes> {
    (from..from + ROUND)
        .map(|n| says.at(n).signed(&intruder.attacker.key, intruder.log.room()))
        .map(|packet| intruder.datagram(&[&packet]))
        .collect()
}

/// How many frames of a person the scene's listener has received.
async fn received(scene: &Scene, speaker: Person) -> u64 {
    let stats = scene.there.info().await.expect("the listener stays").stats;
    let of_them = stats.streams.iter().find(|stream| stream.speaker == speaker);
    of_them.map_or(0, |stream| stream.received)
}

fn mute(person: Person) -> RoomAction {
    let reason = "noise".into();
    RoomAction::Mute { person, reason }
}

fn unmute(person: Person) -> RoomAction {
    let reason = String::new();
    RoomAction::Unmute { person, reason }
}

fn ban(person: Person) -> RoomAction {
    RoomAction::Ban {
        person,
        lasts: None,
        reason: "spam".into(),
    }
}

/// Sends packets at once, for what is not counted one by one.
fn send(intruder: &Intruder, packets: &[Bytes]) {
    let link = intruder.attacker.network.links(intruder.at).pop().expect("QUIC");
    for packet in packets {
        link.send(packet.clone()).expect("it fits");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_speaker_that_goes_on_sending_is_forwarded_by_nobody() {
    scene::during(async |scene: &mut Scene| {
        let (mut intruder, says) = scene.speaker().await;
        let person = intruder.attacker.person();
        send(&intruder, &round(&intruder, says, 0));
        until("sound before the mute", async || {
            received(scene, person).await > 0
        })
        .await;

        scene.room.act(mute(person)).await.expect("the host may");
        intruder
            .hear_until("the mute", |_, log| log.state().mutes().contains_key(&person))
            .await;
        let says = Says {
            log: intruder.log.head().sequence,
            ..says
        };
        let dropped = async || scene.counts().await.muted_dropped;
        let into_the_mute = intruder.fire(&round(&intruder, says, ROUND), dropped).await;
        assert_eq!(into_the_mute, u64::from(ROUND));

        scene.room.act(unmute(person)).await.expect("the host may");
        intruder
            .hear_until("the end of it", |_, log| {
                !log.state().mutes().contains_key(&person)
            })
            .await;
        let too_early = intruder.fire(&round(&intruder, says, 2 * ROUND), dropped).await;
        assert_eq!(too_early, u64::from(ROUND), "spoken before it was lifted");
        let heard = received(scene, person).await;
        assert!(heard <= u64::from(ROUND), "the listener got {heard}");
        let says = Says {
            log: intruder.log.head().sequence,
            epoch: says.epoch + 1,
            ..says
        };
        send(&intruder, &round(&intruder, says, 0));
        until("sound after the mute", async || {
            received(scene, person).await > heard
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_speakers_own_program_falls_silent_and_only_its_owner_turns_it_on_again() {
    scene::during(async |scene: &mut Scene| {
        let guest = TestNode::start("guest").await;
        let seat = Seat::default().input(Input::Tone(440.0));
        let there = guest.node.join(&scene.link, seat).await.expect("a place");
        let (mut events, me) = (there.events(), guest.node.person());
        scene
            .room
            .act(RoomAction::Invite(me))
            .await
            .expect("the host may");
        wait_for(&mut events, "an invitation", |event| match event {
            Event::Log { action, .. } if action == "invite" => Some(()),
            _ => None,
        })
        .await;
        there.act(RoomAction::Accept).await.expect("invited");
        let microphone = |wanted: bool| {
            move |event: &Event| match event {
                Event::Microphone { on } if *on == wanted => Some(()),
                _ => None,
            }
        };
        wait_for(&mut events, "the tone", microphone(true)).await;

        scene.room.act(mute(me)).await.expect("the host may");
        wait_for(&mut events, "silence", microphone(false)).await;
        let refused = there.microphone(true).await.expect_err("muted");
        assert!(matches!(refused, ActError::Muted), "{refused}");
        let refused = there.act(unmute(me)).await.expect_err("not by oneself");
        assert!(matches!(refused, ActError::Refused(why) if why.reason == Reason::NotAllowed));

        scene.room.act(unmute(me)).await.expect("the host may");
        wait_for(&mut events, "the end of it", |event| match event {
            Event::Mute { muted: false, .. } => Some(()),
            _ => None,
        })
        .await;
        let info = there.info().await.expect("still there");
        assert!(!info.microphone && !info.muted, "nobody opens it but its owner");
        let before = received(scene, me).await;
        there.microphone(true).await.expect("no longer muted");
        until("the tone at the listener", async || {
            received(scene, me).await > before
        })
        .await;
        there.leave(LeftReason::Interrupted).await.expect("it was there");
    })
    .await;
}

/// Whether the listener's node shows the microphone of someone as open; `None` for those off the stage.
async fn shown(scene: &Scene, person: Person) -> Option<bool> {
    let people = scene.there.info().await.expect("the listener stays").people;
    let person = people.iter().find(|one| one.key == person)?;
    person.mic
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_heard_is_shown_with_an_open_microphone_though_they_never_said_so() {
    scene::during(async |scene: &mut Scene| {
        let (intruder, says) = scene.speaker().await;
        let person = intruder.attacker.person();
        until("the stage at the listener", async || {
            shown(scene, person).await == Some(false)
        })
        .await;
        let tone: Vec<i16> = (0..48_000)
            .map(|n| ((f64::from(n) * 0.0576).sin() * 9_000.0) as i16)
            .collect();
        let frames = ear::encode(&tone);
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut sequence = 0;
        within("them to be shown", async {
            while shown(scene, person).await != Some(true) {
                pace.tick().await;
                let frame = &frames[sequence as usize % frames.len()];
                let (key, room) = (&intruder.attacker.key, intruder.log.room());
                let packet = says.at(sequence).sounding(frame, key, room);
                send(&intruder, &[intruder.datagram(&[&packet])]);
                sequence += 1;
            }
        })
        .await;
        until("them to be silent again", async || {
            shown(scene, person).await == Some(false)
        })
        .await;
    })
    .await;
}

/// A link to the room through these addresses alone.
fn by(of: &TestNode, scene: &Scene) -> RoomLink {
    RoomLink {
        room: scene.link.room,
        via: of.node.addresses(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_key_is_put_out_and_rejoins_through_no_member_whatever_its_peer() {
    scene::during(async |scene: &mut Scene| {
        let guest = TestNode::start("guest").await;
        let by_the_listener = by(&scene.listener, scene);
        let there = guest
            .node
            .join(&by_the_listener, Seat::default())
            .await
            .expect("a place");
        let mut events = there.events();
        let person = guest.node.person();
        scene.room.act(ban(person)).await.expect("the host may");
        let reason = wait_for(&mut events, "left", |event| match event {
            Event::Left { reason } => Some(*reason),
            _ => None,
        })
        .await;
        assert_eq!(reason, LeftReason::Banned);
        let is_out = async |who: &majlis::room::RoomHandle| {
            let info = who.info().await.expect("still there");
            info.kept_out.iter().any(|one| one.key == person)
        };
        until("the listener to know", async || is_out(&scene.there).await).await;
        for link in [&scene.link, &by_the_listener] {
            let refused = guest.node.join(link, Seat::default()).await.expect_err("banned");
            let RoomError::Refused(why) = &refused else {
                panic!("{refused}");
            };
            assert_eq!(why.reason, Reason::Banned);
            assert!(why.text.as_str().ends_with("spam"), "{refused}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_person_with_a_peer_of_another_key_is_refused_by_every_member() {
    scene::during(async |scene: &mut Scene| {
        let mut intruder = scene.intruder().await;
        let person = intruder.attacker.person();
        scene.room.act(ban(person)).await.expect("the host may");
        assert_eq!(intruder.wire.hear_refusal().await, Some(Reason::Banned));
        until("the listener to know", async || {
            let info = scene.there.info().await.expect("still there");
            !info.kept_out.is_empty()
        })
        .await;
        for link in [scene.link.clone(), by(&scene.listener, scene)] {
            let other = Attacker::start().await;
            let at = other.dial(&link).await;
            let mut wire = other.open(at).await;
            let same = hello(&intruder.attacker.key, other.peer(), link.room);
            wire.say(&Message::Hello(same)).await;
            assert_eq!(wire.hear_refusal().await, Some(Reason::Banned));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderator_keeps_order_and_loses_nothing_by_coming_again() {
    scene::during(async |scene: &mut Scene| {
        let (moderator, troll) = (TestNode::start("moderator").await, TestNode::start("troll").await);
        let there = moderator
            .node
            .join(&scene.link, Seat::default())
            .await
            .expect("a place");
        let grant = RoomAction::Grant {
            person: moderator.node.person(),
            role: Role::Moderator,
        };
        scene.room.act(grant).await.expect("the host may");
        there.leave(LeftReason::Interrupted).await.expect("it was there");
        let there = moderator
            .node
            .join(&scene.link, Seat::default())
            .await
            .expect("a place");
        let info = there.info().await.expect("there again");
        assert_eq!(info.role.0, Role::Moderator);

        let seat = Seat::default();
        let trolls = troll.node.join(&scene.link, seat).await.expect("a place");
        let mut events = trolls.events();
        let refused = trolls
            .act(ban(moderator.node.person()))
            .await
            .expect_err("a listener");
        assert!(matches!(refused, ActError::Refused(why) if why.reason == Reason::NotAllowed));
        let kick = RoomAction::Kick {
            person: troll.node.person(),
            reason: String::new(),
        };
        there.act(kick).await.expect("a moderator may");
        let reason = wait_for(&mut events, "left", |event| match event {
            Event::Left { reason } => Some(*reason),
            _ => None,
        })
        .await;
        assert_eq!(reason, LeftReason::Kicked);
        let host = scene.host.node.person();
        let refused = there.act(ban(host)).await.expect_err("nobody removes the host");
        assert!(matches!(refused, ActError::Refused(why) if why.reason == Reason::NotAllowed));
    })
    .await;
}
