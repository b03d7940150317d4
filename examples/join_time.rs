//! How long joining takes on loopback: from dialling to the place in the room, and to the first packet heard.
//!
//! `cargo run --release --example join_time -- 20` joins twenty times, each with a new node, and prints the minimum,
//! the median and the maximum. The first packet is counted when it comes off the network, before any playout delay.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

use std::time::{Duration, Instant};

use majlis::{
    audio::Input,
    event::Event,
    node::{Config, Node},
    room::{Hosting, Seat},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let joins: usize = std::env::args().nth(1).map_or(Ok(20), |count| count.parse())?;
    let home = tempfile::tempdir()?;
    let host = Node::start(Config::at(home.path()).on_loopback()).await?;
    let room = host
        .host(Hosting::titled("Join").seat(Seat::default().input(Input::Tone(440.0))))
        .await?;
    let link = room.info().await.expect("the room is open").link;

    let (mut places, mut packets) = (Vec::new(), Vec::new());
    for _ in 0..joins {
        let home = tempfile::tempdir()?;
        let node = Node::start(Config::at(home.path()).on_loopback()).await?;
        let dialled = Instant::now();
        let seat = node
            .join(
                &link,
                Seat {
                    started: dialled,
                    ..Seat::default()
                },
            )
            .await?;
        let mut events = seat.events();
        while let Some(stamped) = events.next().await {
            match stamped.event {
                Event::Joined { join_ms, .. } => places.push(Duration::from_millis(join_ms)),
                Event::FirstPacket { ms, .. } => {
                    packets.push(Duration::from_millis(ms));
                    break;
                }
                _ => {}
            }
        }
        node.shutdown().await;
    }
    print("place in the room", &mut places);
    print("first packet", &mut packets);
    host.shutdown().await;
    Ok(())
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort();
    if let (Some(first), Some(median), Some(last)) = (times.first(), times.get(times.len() / 2), times.last())
    {
        println!(
            "{what}: min {first:?}, median {median:?}, max {last:?} over {} joins",
            times.len()
        );
    }
}
