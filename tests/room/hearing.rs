//! What is said is what is heard, sample for sample, whichever way the sound goes.

use majlis::{
    audio::{Input, Output},
    event::Event,
    node::Config,
    room::{Hosting, RoomAction, Seat},
};

use crate::support::{
    ear,
    nodes::{Run, TestNode, in_real_time, settled, summary, wait_for},
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
    in_real_time(async || one_run(&nodes).await).await;
}

async fn one_run(nodes: impl Fn(Config) -> Config) -> Run {
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
    settled(&mut at_listener, (SECONDS * 50) as u64).await;
    // The end of the room plays out what has arrived.
    room.act(RoomAction::End).await.expect("the host may");
    let stats = summary(&mut at_listener).await;
    let stalls = stats.stalls + summary(&mut at_host).await.stalls;

    let total = (SECONDS * 50) as u64;
    let counts = stats
        .streams
        .first()
        .map(|stream| (stream.received, stream.lost, stream.concealed));
    if first != 0 || counts != Some((total, 0, 0)) {
        return Run::Bad {
            why: format!("first frame {first}, {stats:?}"),
            stalls,
        };
    }
    let reference = ear::decode(&ear::encode(&samples));
    match ear::judge(&reference, &ear::read(&heard)) {
        Ok(()) => Run::Good,
        Err(why) => Run::Bad { why, stalls },
    }
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
