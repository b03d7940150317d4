//! What is said is what is heard, sample for sample.

use majlis::{
    audio::{Input, Output},
    event::{Event, LeftReason},
    room::{Hosting, Seat},
};

use crate::support::{
    ear,
    nodes::{TestNode, wait_for},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_joined_before_hears_every_sample() {
    let seconds = 4;
    let host = TestNode::start("host").await;
    let listener = TestNode::start("listener").await;
    let (said, heard) = (
        host.home.path().join("said.wav"),
        listener.home.path().join("heard.wav"),
    );
    let samples = ear::clip(&ear::speech()[0], seconds, &said);

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
    let total = (seconds * 50) as u64;
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
    room.act(majlis::room::RoomAction::End)
        .await
        .expect("the host may");
    let stats = wait_for(&mut at_listener, "summary", |event| match event {
        Event::Summary(stats) => Some(stats.clone()),
        Event::Left { reason } => {
            assert_eq!(*reason, LeftReason::Ended);
            None
        }
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
    let reference = ear::decode(&ear::encode(&samples)[first as usize..]);
    let heard = ear::read(&heard);
    let at = ear::find(&reference, &heard).expect("the first second is in the file");
    assert!(heard[at..].starts_with(&reference), "a later second differs");
}
