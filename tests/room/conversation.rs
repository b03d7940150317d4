//! Several people on the stage: everyone hears the others, and nobody hears itself.

use std::path::PathBuf;

use majlis::{
    audio::{Input, Output},
    event::{Event, LeftReason, StreamStats},
    room::{EventStream, Hosting, RoomAction, RoomHandle, Seat},
};
use majlis_protocol::{log::Role, person::Person};

use crate::support::{
    ear,
    nodes::{Run, TestNode, in_real_time, summary, wait_for},
};

/// Someone in the room, who speaks in a tone of its own.
struct Someone {
    node: TestNode,
    room: RoomHandle,
    events: EventStream,
    hertz: f64,
    heard: PathBuf,
}

fn seat(node: &TestNode, hertz: f64) -> (Seat, PathBuf) {
    let heard = node.home.path().join("heard.wav");
    (
        Seat::default()
            .input(Input::Tone(hertz))
            .output(Output::File(heard.clone())),
        heard,
    )
}

async fn host(hertz: f64) -> Someone {
    let node = TestNode::start("host").await;
    let (seat, heard) = seat(&node, hertz);
    let room = node
        .node
        .host(Hosting::titled("Three at once").seat(seat))
        .await
        .expect("a room");
    Someone {
        events: room.events(),
        node,
        room,
        hertz,
        heard,
    }
}

async fn guest(of: &Someone, nick: &str, hertz: f64) -> Someone {
    let node = TestNode::start(nick).await;
    let link = of.room.info().await.expect("still open").link;
    let (seat, heard) = seat(&node, hertz);
    let room = node.node.join(&link, seat).await.expect("a place");
    Someone {
        events: room.events(),
        node,
        room,
        hertz,
        heard,
    }
}

/// Brings a guest to the stage, by invitation and acceptance.
async fn bring_to_the_stage(host: &mut Someone, guest: &mut Someone) {
    let key = guest.node.node.person();
    host.room
        .act(RoomAction::Invite(key))
        .await
        .expect("the host may");
    wait_for(&mut guest.events, "an invitation", |event| match event {
        Event::Log { action, subject, .. } if action == "invite" && *subject == Some(key) => Some(()),
        _ => None,
    })
    .await;
    guest.room.act(RoomAction::Accept).await.expect("invited");
    wait_for(&mut host.events, "a speaker", |event| match event {
        Event::Role { key: who, role } if *who == key && role.0 == Role::Speaker => Some(()),
        _ => None,
    })
    .await;
}

/// Waits until someone has heard two seconds of each of so many others.
async fn has_heard(someone: &mut Someone, others: usize) {
    wait_for(
        &mut someone.events,
        "two seconds of everyone",
        |event| match event {
            Event::Stats(stats) => {
                let heard = stats
                    .streams
                    .iter()
                    .filter(|stream| stream.received >= 100)
                    .count();
                (heard == others).then_some(())
            }
            _ => None,
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_people_talk_at_once_and_hear_the_others_and_not_themselves() {
    in_real_time(async || three_people().await).await;
}

async fn three_people() -> Run {
    let mut host = host(500.0).await;
    let mut second = guest(&host, "second", 700.0).await;
    let mut third = guest(&host, "third", 1_100.0).await;
    bring_to_the_stage(&mut host, &mut second).await;
    bring_to_the_stage(&mut host, &mut third).await;
    for someone in [&mut host, &mut second, &mut third] {
        has_heard(someone, 2).await;
    }
    host.room.act(RoomAction::End).await.expect("the host may");
    let (mut lost, mut stalls) = (Vec::new(), 0);
    for someone in [&mut host, &mut second, &mut third] {
        let stats = summary(&mut someone.events).await;
        stalls += stats.stalls;
        lost.extend(stats.streams.into_iter().filter(|stream| stream.lost > 0));
    }
    if !lost.is_empty() {
        return Run::Bad {
            why: format!("{lost:?}"),
            stalls,
        };
    }

    let tones = [host.hertz, second.hertz, third.hertz];
    for someone in [&host, &second, &third] {
        let heard = ear::read(&someone.heard);
        // The last second before the end, when all three were heard.
        let end = heard.len().saturating_sub(48_000 / 2);
        let second = &heard[end.saturating_sub(48_000)..end];
        for hertz in tones {
            let level = ear::tone_level(second, hertz);
            if hertz == someone.hertz {
                assert!(
                    level < -50.0,
                    "{hertz} Hz is one's own, and heard at {level:.1} dB"
                );
            } else {
                assert!(
                    level > -30.0,
                    "{hertz} Hz is another's, and heard at {level:.1} dB"
                );
            }
        }
    }
    Run::Good
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_stage_is_heard_no_more_while_the_host_goes_on() {
    let mut host = host(500.0).await;
    let mut speaker = guest(&host, "speaker", 700.0).await;
    let mut listener = guest(&host, "listener", 900.0).await;
    bring_to_the_stage(&mut host, &mut speaker).await;
    has_heard(&mut listener, 2).await;
    let key = speaker.node.node.person();
    host.room.act(RoomAction::Move(key)).await.expect("the host may");
    wait_for(&mut speaker.events, "the microphone off", |event| {
        matches!(event, Event::Microphone { on: false }).then_some(())
    })
    .await;
    let counts = |event: &Event| match event {
        Event::Stats(stats) => {
            let received = |who| {
                stats
                    .streams
                    .iter()
                    .find(|stream| stream.speaker == who)
                    .map_or(0, |s| s.received)
            };
            Some((received(key), received(host.node.node.person())))
        }
        _ => None,
    };
    wait_for(&mut listener.events, "the move", |event| match event {
        Event::Log { action, .. } if action == "move" => Some(()),
        _ => None,
    })
    .await;
    let (_, at_move) = wait_for(&mut listener.events, "counts", counts).await;
    let (speakers, _) = wait_for(&mut listener.events, "the host going on", |e| {
        counts(e).filter(|(_, h)| *h > at_move + 50)
    })
    .await;
    let (later, _) = wait_for(&mut listener.events, "the host going on", |e| {
        counts(e).filter(|(_, h)| *h > at_move + 150)
    })
    .await;
    assert_eq!(speakers, later, "nothing of the speaker was heard after the move");
    host.room.act(RoomAction::End).await.expect("the host may");
    assert!(speaker.room.microphone(true).await.is_err());
}

/// Waits until nothing more is heard of a speaker.
async fn has_fallen_silent(listener: &mut Someone, speaker: Person) {
    let (mut last, mut unchanged) = (None, 0);
    wait_for(&mut listener.events, "silence", |event| match event {
        Event::Stats(stats) => {
            let stream = stats.streams.iter().find(|stream| stream.speaker == speaker);
            let received = stream.map(|stream| stream.received);
            unchanged = if received == last { unchanged + 1 } else { 0 };
            last = received;
            (unchanged == 2).then_some(())
        }
        _ => None,
    })
    .await;
}

/// A good run, unless somebody heard what nobody said.
async fn nothing_was_made_up(listeners: &mut [&mut Someone]) -> Run {
    let (mut bad, mut stalls) = (Vec::new(), 0);
    for listener in listeners {
        let stats = summary(&mut listener.events).await;
        stalls += stats.stalls;
        let made_up = |stream: &StreamStats| stream.concealed > 0 || stream.lost > 0;
        bad.extend(stats.streams.into_iter().filter(made_up));
    }
    if bad.is_empty() {
        Run::Good
    } else {
        Run::Bad {
            why: format!("{bad:?}"),
            stalls,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_ends_in_the_middle_of_speech_is_heard_to_the_end_and_no_further() {
    in_real_time(async || {
        let mut host = host(500.0).await;
        let mut speaker = guest(&host, "speaker", 700.0).await;
        let mut listener = guest(&host, "listener", 900.0).await;
        bring_to_the_stage(&mut host, &mut speaker).await;
        has_heard(&mut listener, 2).await;
        host.room.act(RoomAction::End).await.expect("the host may");
        nothing_was_made_up(&mut [&mut host, &mut speaker, &mut listener]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_in_the_middle_of_speech_is_heard_to_the_end_and_no_further() {
    in_real_time(async || {
        let mut host = host(500.0).await;
        let mut listener = guest(&host, "listener", 900.0).await;
        let (mut leaver, mut goer) = (
            guest(&host, "leaver", 700.0).await,
            guest(&host, "goer", 1_100.0).await,
        );
        for speaker in [&mut leaver, &mut goer] {
            bring_to_the_stage(&mut host, speaker).await;
        }
        has_heard(&mut listener, 3).await;
        let (leaves, goes) = (leaver.node.node.person(), goer.node.node.person());

        leaver.room.microphone(false).await.expect("on the stage");
        has_fallen_silent(&mut listener, leaves).await;
        leaver.room.microphone(true).await.expect("on the stage");
        has_heard(&mut leaver, 2).await;
        leaver.room.act(RoomAction::LeaveStage).await.expect("one's own");
        goer.room.leave(LeftReason::Interrupted).await.expect("was there");
        for speaker in [leaves, goes] {
            has_fallen_silent(&mut listener, speaker).await;
        }
        host.room.act(RoomAction::End).await.expect("the host may");
        nothing_was_made_up(&mut [&mut host, &mut listener]).await
    })
    .await;
}
