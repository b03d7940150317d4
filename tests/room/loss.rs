//! A bad network: the room plays on, and counts what it lost.

use majlis::{
    audio::Input,
    event::Event,
    node::Config,
    room::{Hosting, RoomAction, Seat},
};

use crate::support::{
    attacker::until,
    ear,
    nodes::{Run, TestNode, in_real_time, settled, summary, wait_for},
};

const SECONDS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn at_five_percent_loss_the_room_plays_on_and_what_it_repairs_is_what_the_link_lost() {
    in_real_time(async || one_run().await).await;
}

async fn one_run() -> Run {
    let link = "delay=25ms,loss=5%,seed=4".parse().expect("a profile");
    let host = TestNode::with("host", |config| Config {
        link: Some(link),
        ..config
    })
    .await;
    let listener = TestNode::start("listener").await;
    let said = host.home.path().join("said.wav");
    ear::clip(&ear::speech()[0], SECONDS, &said);
    let seat = Seat {
        wait_listeners: 1,
        ..Seat::default().input(Input::File(said))
    };
    let room = host
        .node
        .host(Hosting::titled("Far away").seat(seat))
        .await
        .expect("a room");
    let mut at_host = room.events();
    let link = room.info().await.expect("still open").link;
    let there = listener.node.join(&link, Seat::default()).await.expect("a place");
    let mut at_listener = there.events();

    wait_for(&mut at_host, "input_ended", |event| {
        matches!(event, Event::InputEnded).then_some(())
    })
    .await;
    settled(&mut at_listener, (SECONDS * 50) as u64).await;
    room.act(RoomAction::End).await.expect("the host may");
    let (at_listener, at_host) = (summary(&mut at_listener).await, summary(&mut at_host).await);
    let (stalls, dropped) = (at_listener.stalls + at_host.stalls, at_host.emulator_dropped);
    let stream = &at_listener.streams[0];
    assert!(dropped >= 10, "the link lost {dropped} of {}", SECONDS * 50);
    // What was lost before the first frame that came is nobody's to miss.
    let before = (SECONDS * 50) as u64 - stream.expected;
    let holds = stream.repaired + stream.lost + before == dropped
        && before <= 2
        // The audience has the time to pull what the first push lost.
        && stream.repaired > 9 * stream.lost
        && stream.fec + stream.concealed == stream.lost;
    if holds {
        Run::Good
    } else {
        Run::Bad {
            why: format!("the link lost {dropped}: {stream:?}"),
            stalls,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stage_misses_because_it_waits_for_no_repair_is_sent_twice() {
    let link = "delay=25ms,loss=12%,seed=4".parse().expect("a profile");
    let host = TestNode::with("host", |config| Config {
        link: Some(link),
        ..config
    })
    .await;
    let guest = TestNode::start("guest").await;
    let seat = || Seat::default().input(Input::Tone(440.0));
    let room = host
        .node
        .host(Hosting::titled("Far away").seat(seat()))
        .await
        .expect("a room");
    let mut at_host = room.events();
    let link = room.info().await.expect("still open").link;
    let there = guest.node.join(&link, seat()).await.expect("a place");
    let mut at_guest = there.events();
    let key = guest.node.person();
    room.act(RoomAction::Invite(key)).await.expect("the host may");
    wait_for(&mut at_guest, "an invitation", |event| match event {
        Event::Log { action, subject, .. } if action == "invite" && *subject == Some(key) => Some(()),
        _ => None,
    })
    .await;
    there.act(RoomAction::Accept).await.expect("invited");

    wait_for(&mut at_host, "copies", |event| match event {
        Event::Stats(stats) => (stats.copies > 0).then_some(()),
        _ => None,
    })
    .await;
    // More than the codec's own correction mends of what is lost: from here on most of it is.
    let counts = |event: &Event| match event {
        Event::Stats(stats) => stats.streams.first().map(|stream| (stream.lost, stream.fec)),
        _ => None,
    };
    let (lost, fec) = wait_for(&mut at_guest, "counts", counts).await;
    let (later, mended) = wait_for(&mut at_guest, "a hundred losses more", |event| {
        counts(event).filter(|(later, _)| *later >= lost + 100)
    })
    .await;
    let share = (mended - fec) as f64 / (later - lost) as f64;
    println!("{share:.2} of what was lost was mended");
    assert!(share > 0.5, "{share}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_line_loses_for_all_its_listeners_at_once_offers_fewer_places() {
    in_real_time(async || {
        let link = "loss=20%,seed=4".parse().expect("a profile");
        let host = TestNode::with("host", |config| Config {
            link: Some(link),
            ..config
        })
        .await;
        let seat = Seat::default().input(Input::Tone(440.0));
        let hosting = Hosting::titled("A thin line").seat(seat);
        let room = host.node.host(hosting).await.expect("a room");
        let link = room.info().await.expect("still open").link;
        let mut listeners = Vec::new();
        for nick in ["one", "two", "three"] {
            let listener = TestNode::start(nick).await;
            let there = listener.node.join(&link, Seat::default()).await.expect("a place");
            listeners.push((listener, there));
        }
        let places = async || room.tree().await.expect("still open").capacity;
        until("fewer places", async || places().await < 8).await;
        println!("{} places are left of 8", places().await);
        Run::Good
    })
    .await;
}
