//! A host and a listener in one program, without any sound device: the host sends a tone, the listener counts it.
//!
//! `cargo run --example hello_room`

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

use majlis::{
    audio::Input,
    event::Event,
    node::{Config, Node},
    room::{Hosting, RoomAction, Seat},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // A home holds a person's key; these two vanish with the program.
    let homes = (tempfile::tempdir()?, tempfile::tempdir()?);
    let host = Node::start(Config::at(homes.0.path()).on_loopback()).await?;
    let listener = Node::start(Config::at(homes.1.path()).on_loopback()).await?;

    let room = host
        .host(Hosting::titled("Hello").seat(Seat::default().input(Input::Tone(440.0))))
        .await?;
    let link = room.info().await.expect("the room is open").link;
    println!("room: {link}");

    let seat = listener.join(&link, Seat::default()).await?;
    let mut events = seat.events();
    while let Some(stamped) = events.next().await {
        match stamped.event {
            Event::Joined { join_ms, .. } => println!("joined after {join_ms} ms"),
            Event::FirstAudio { ms, speaker, .. } => println!("heard {speaker} after {ms} ms"),
            // Three seconds are enough.
            Event::Stats(stats) if stats.streams.first().is_some_and(|stream| stream.received >= 150) => {
                room.act(RoomAction::End).await?;
            }
            Event::Summary(stats) => println!("heard: {:?}", stats.streams),
            _ => {}
        }
    }
    host.shutdown().await;
    listener.shutdown().await;
    Ok(())
}
