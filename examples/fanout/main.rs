//! What a relay costs: processor time for each packet that it delivers, memory a child, and the delay of the hop, next to
//! a bare loop of `sendto` over the same packets in the same run.
//!
//! `cargo run --release --example fanout -- --children 8,200 --modes one,three,bundled`
//!
//! Four kinds of process, so that each pays for itself alone: this one feeds, a *relay* is a real node in the middle of
//! a room's tree, *receivers* are peers that speak just enough to be its children, and *raw* is the loop. Feeding means
//! to be the root of the room by hand. Linux only: what a process used is read from `/proc`.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

mod feeder;
mod measure;
mod part;
mod receivers;
mod relay;
mod report;
mod speech;

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use majlis_protocol::{link::RoomLink, room::RoomId};
use serde::Serialize;

/// Measures what a relay costs, next to a loop of sendto over the same packets.
///
/// One line for each run, and a row of medians for each number of children and each mode.
#[derive(Debug, Parser)]
#[command(name = "fanout")]
struct Options {
    /// How many children the relay has; several numbers are measured one after the other
    #[arg(long, value_delimiter = ',', default_value = "8", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    children: Vec<u32>,
    /// How sound comes to the relay
    #[arg(long, value_delimiter = ',', default_value = "one")]
    modes: Vec<Mode>,
    /// How often raw and relay take turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long each is measured
    #[arg(long, default_value = "4s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Only the relay, without the raw loop: for a profiler
    #[arg(long)]
    relay_only: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// How sound comes to the relay in each tick of 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// One speaker: one packet
    One,
    /// Three speakers: three packets at the same time, each in a datagram of its own
    Three,
    /// Three speakers: three packets in one datagram
    Bundled,
}

/// The other processes; started by this program alone.
#[derive(Debug, Subcommand)]
enum Part {
    /// A node that joins a room and takes children.
    #[command(hide = true)]
    Relay {
        /// The room.
        link: RoomLink,
        /// Most children.
        children: u32,
    },
    /// The loop of `sendto`; the targets' ports come on stdin.
    #[command(hide = true)]
    Raw,
    /// Children of a relay.
    #[command(hide = true)]
    Receivers {
        /// The relay's multiaddr.
        at: libp2p::Multiaddr,
        /// The room.
        room: RoomId,
        /// How many.
        children: usize,
    },
    /// Bare sockets for the raw loop.
    #[command(hide = true)]
    Sockets {
        /// How many.
        children: usize,
    },
}

impl Mode {
    fn speakers(self) -> usize {
        match self {
            Self::One => 1,
            Self::Three | Self::Bundled => 3,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match options.part {
        Some(Part::Relay { link, children }) => relay::run_relay(&link, children).await,
        Some(Part::Raw) => relay::run_raw(),
        Some(Part::Receivers { at, room, children }) => receivers::run_children(&at, room, children).await,
        Some(Part::Sockets { children }) => receivers::run_sockets(children).await,
        None => measure(&options).await,
    }
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let show = report::Show::new(options.json);
    let mut rows = Vec::new();
    for &children in &options.children {
        for &mode in &options.modes {
            let (mut raw, mut relay) = (Vec::new(), Vec::new());
            for _ in 0..options.runs {
                if !options.relay_only {
                    raw.push(show.run(measure::raw(mode, children, options.time).await?)?);
                }
                relay.push(show.run(measure::relay(mode, children, options.time).await?)?);
            }
            rows.push(report::Row::new(mode, children, &raw, &relay));
        }
    }
    show.rows(&rows)
}
