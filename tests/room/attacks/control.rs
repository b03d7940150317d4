//! Control substreams of those who do not keep to the protocol, or to no more of it than they like.

use futures::AsyncWriteExt as _;
use majlis::{event::Event, net::STREAMS_PER_CONNECTION, room::RoomAction};
use majlis_protocol::{
    reason::Reason,
    room::RoomId,
    text::Text,
    wire::message::{Attach, Message, Refusal},
};

use crate::support::{
    attacker::{Attacker, Wire},
    nodes::wait_for,
    scene::{self, Scene},
};

/// A frame with this kind and body, made by hand.
fn frame(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(3 + body.len()).expect("short");
    [&length.to_be_bytes()[..], &[1], &kind.to_be_bytes(), body].concat()
}

fn attach() -> Message {
    Message::Attach(Attach::join(0))
}

/// Bytes that are no message, and what their sender is told.
fn no_messages() -> Vec<(Vec<u8>, Reason)> {
    let noise: Vec<u8> = (0..300_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    vec![
        // A length beyond the limit, one below every frame, and the longest there is.
        (vec![0, 1, 0, 1], Reason::Malformed),
        (vec![0, 0, 0, 2], Reason::Malformed),
        (vec![0xff; 4], Reason::Malformed),
        (frame(1, &noise), Reason::Malformed),
        (frame(5, &noise), Reason::Malformed),
        (frame(14, b"left over"), Reason::Malformed),
        // The version byte of a later frame, and a message that must not be skipped.
        (vec![0, 0, 0, 9, 2], Reason::Unsupported),
        (frame(0x8001, b""), Reason::Unsupported),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_end_their_substream_with_a_reason() {
    scene::during(async |scene: &mut Scene| {
        for (bytes, reason) in no_messages() {
            let attacker = Attacker::start().await;
            let host = attacker.dial(&scene.link).await;
            let mut wire = attacker.open(host).await;
            wire.write(&bytes).await;
            assert_eq!(wire.hear_refusal().await, Some(reason), "at first: {bytes:x?}");

            let mut inside = attacker.enter(&scene.link).await;
            inside.wire.write(&bytes).await;
            assert_eq!(
                inside.wire.hear_refusal().await,
                Some(reason),
                "once inside: {bytes:x?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_cut_short_is_waited_for_and_holds_nobody_up() {
    scene::during(async |scene: &mut Scene| {
        let attacker = Attacker::start().await;
        let host = attacker.dial(&scene.link).await;
        let hello = Message::Hello(attacker.hello(scene.link.room))
            .encode()
            .expect("short");
        let mut half = attacker.open(host).await;
        half.write(&hello[..hello.len() / 2]).await;
        let mut gone = attacker.open(host).await;
        gone.write(&hello[..hello.len() - 1]).await;
        gone.stream.close().await.expect("ours");
        // The other half in its own time.
        half.write(&hello[hello.len() / 2..]).await;
        assert!(matches!(half.hear().await, Some(Message::Welcome(_))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_greet_as_one_should_is_told_why() {
    scene::during(async |scene: &mut Scene| {
        let (attacker, other) = (Attacker::start().await, Attacker::start().await);
        let host = attacker.dial(&scene.link).await;
        let room = scene.link.room;
        let elsewhere = attacker.hello(RoomId([5; 32]));
        let proper = attacker.hello(room);
        let mut certified_elsewhere = proper.clone();
        certified_elsewhere.certificate = elsewhere.certificate.clone();
        let mut borrowed = proper.clone();
        borrowed.certificate = other.hello(room).certificate;
        let mut somebodys_name = proper.clone();
        somebodys_name.profile = other.hello(room).profile;
        let cases = [
            (Message::Hello(elsewhere), Reason::UnknownRoom),
            (Message::Hello(certified_elsewhere), Reason::BadCertificate),
            (Message::Hello(borrowed), Reason::BadCertificate),
            (Message::Hello(other.hello(room)), Reason::BadCertificate),
            (Message::Hello(somebodys_name), Reason::BadCertificate),
            (attach(), Reason::NotInTheRoom),
            (Message::EntriesWanted { after: 0 }, Reason::NotInTheRoom),
        ];
        for (message, reason) in cases {
            let mut wire = attacker.open(host).await;
            wire.say(&message).await;
            assert_eq!(wire.hear_refusal().await, Some(reason), "{message:?}");
        }
        let mut wire = attacker.open(host).await;
        wire.say(&Message::Hello(proper.clone())).await;
        wire.say(&Message::Hello(proper)).await;
        assert_eq!(wire.hear_refusal().await, Some(Reason::Malformed), "hello twice");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_its_host_ends_a_room() {
    scene::during(async |scene: &mut Scene| {
        for reason in [Reason::Ended, Reason::Malformed, Reason::Full] {
            let mut intruder = scene.intruder().await;
            let text = Text::clean("it is over");
            intruder
                .wire
                .say(&Message::Refuse(Refusal { reason, text }))
                .await;
            intruder.wire.hear_the_end().await;
        }
        scene.sound_goes_on().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_messages_end_the_link_that_they_come_on() {
    scene::during(async |scene: &mut Scene| {
        let wanted = Message::EntriesWanted { after: 0 }.encode().expect("short");
        // Of a kind that a later version may send, and that is skipped.
        let later = frame(0x1234, &[0; 64]);
        for flood in [wanted.to_vec(), later] {
            let mut intruder = scene.intruder().await;
            intruder.wire.write(&flood.repeat(2_000)).await;
            assert_eq!(intruder.wire.hear_refusal().await, Some(Reason::TooMany));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_opens_substreams_and_says_nothing_keeps_nobody_out() {
    scene::during(async |scene: &mut Scene| {
        let mut silent: Vec<(Attacker, Vec<Wire>)> = Vec::new();
        for _ in 0..5 {
            let attacker = Attacker::start().await;
            let host = attacker.dial(&scene.link).await;
            let mut wires = Vec::new();
            for _ in 0..STREAMS_PER_CONNECTION {
                wires.push(attacker.open(host).await);
            }
            silent.push((attacker, wires));
        }
        // Lets itself be refused nowhere: hello at the first try.
        scene.intruder().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_links_from_one_peer_take_one_place() {
    scene::during(async |scene: &mut Scene| {
        let attacker = Attacker::start().await;
        let host = attacker.dial(&scene.link).await;
        let mut refused = 0;
        let mut newest: Option<Wire> = None;
        for _ in 0..200 {
            let mut wire = attacker.open(host).await;
            wire.say(&Message::Hello(attacker.hello(scene.link.room))).await;
            match wire.hear().await {
                Some(Message::Welcome(_)) => {
                    wire.say(&attach()).await;
                    newest = Some(wire);
                }
                Some(Message::Refuse(refusal)) => {
                    assert_eq!(refusal.reason, Reason::TooMany);
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(
            refused > 0,
            "no machine takes so long that two hundred are no flood"
        );
        assert!(newest.is_some());
        assert!(
            scene.counts().await.children <= 2,
            "the listener, and one for the crowd"
        );
        scene.intruder().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_that_never_reads_is_cut_off_and_stalls_nobody() {
    scene::during(async |scene: &mut Scene| {
        // A log that fills a whole answer.
        for n in 0..100 {
            let title = format!("{n} {}", "x".repeat(190));
            scene
                .room
                .act(RoomAction::Title(title))
                .await
                .expect("the host may");
        }
        let mut deaf = scene.intruder().await;
        let peer = deaf.attacker.peer();
        for _ in 0..80 {
            deaf.wire.say(&Message::EntriesWanted { after: 0 }).await;
        }
        wait_for(&mut scene.at_host, "the deaf child to go", |event| match event {
            Event::Child { peer: gone, added } => (*gone == peer && !added).then_some(()),
            _ => None,
        })
        .await;
        deaf.wire.hear_the_end().await;
    })
    .await;
}
