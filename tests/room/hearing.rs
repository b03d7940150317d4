//! What is said is what is heard, sample for sample, whichever way the sound goes.

use majlis::{
    audio::{Input, Output},
    event::Event,
    node::Config,
    room::{Hosting, RoomAction, Seat},
};

use crate::support::{
    ear,
    nodes::{TestNode, wait_for},
};

/// Seconds of speech. Long enough for adaptation to show itself, short enough to test each way.
const SECONDS: usize = 4;

fn listening_on(addresses: &[&str]) -> impl Fn(Config) -> Config {
    let listen: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
    move |config| Config {
        listen: listen.clone(),
        ..config
    }
}

/// A host speaks to one listener that was there before: every sample must arrive.
async fn every_sample_is_heard(nodes: impl Fn(Config) -> Config) {
    let host = TestNode::with("host", &nodes).await;
    let listener = TestNode::with("listener", &nodes).await;
    let (said, heard) = (
        host.home.path().join("said.wav"),
        listener.home.path().join("heard.wav"),
    );
    let samples = ear::clip(&ear::speech()[0], SECONDS, &said);

    let seat = Seat {
        wait_listeners: 1,
        ..Seat::default().input(Input::File(said))
    };
    let room = host
        .node
        .host(Hosting::titled("Poems").seat(seat))
        .await
        .expect("a room");
    let link = room.info().await.expect("still open").link;
    let mut at_host = room.events();
    let seat = Seat::default().output(Output::File(heard.clone()));
    let there = listener.node.join(&link, seat).await.expect("a place");
    let mut at_listener = there.events();

    let first = wait_for(&mut at_listener, "first_audio", |event| match event {
        Event::FirstAudio { seq, .. } => Some(*seq),
        _ => None,
    })
    .await;
    wait_for(&mut at_host, "input_ended", |event| {
        matches!(event, Event::InputEnded).then_some(())
    })
    .await;
    let total = (SECONDS * 50) as u64;
    wait_for(&mut at_listener, "the last frame", |event| match event {
        Event::Stats(stats) => stats
            .streams
            .first()
            .filter(|stream| stream.received == total)
            .map(|_| ()),
        _ => None,
    })
    .await;
    // What was received is still to be played: the end of the room plays it out.
    room.act(RoomAction::End).await.expect("the host may");
    let stats = wait_for(&mut at_listener, "summary", |event| match event {
        Event::Summary(stats) => Some(stats.clone()),
        _ => None,
    })
    .await;

    assert_eq!(first, 0, "the host waited for its listener");
    let stream = &stats.streams[0];
    assert_eq!(
        (stream.received, stream.lost, stream.concealed),
        (total, 0, 0),
        "{stats:?}"
    );
    let reference = ear::decode(&ear::encode(&samples));
    let heard = ear::read(&heard);
    let at = ear::find(&reference, &heard).expect("the first second is in the file");
    assert!(heard[at..].starts_with(&reference), "a later second differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_quic_datagrams_every_sample_is_heard() {
    every_sample_is_heard(listening_on(&["/ip4/127.0.0.1/udp/0/quic-v1"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_ipv6_every_sample_is_heard() {
    every_sample_is_heard(listening_on(&["/ip6/::1/udp/0/quic-v1"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_alone_every_sample_is_heard() {
    every_sample_is_heard(listening_on(&["/ip4/127.0.0.1/tcp/0"])).await;
}
