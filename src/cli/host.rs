//! `majlis host`: opens a room and stays in it.

use std::time::Instant;

use clap::{Args, ValueEnum};
use majlis::{node::Node, room::Hosting};
use majlis_protocol::room::{RoomTag, Visibility};

use super::{
    face::Face,
    options::{NodeFlags, SeatFlags},
    signals::Signals,
    stay::Stay,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis host \"Evening talk\"                     speak with the microphone, once you open it
  majlis host \"Poems\" --tag poetry --input file:poem.wav --wait-listeners 1
  majlis host \"Only for you\" --visibility unlisted

The link that it prints is what to pass on. Ctrl-C leaves; `majlis ctl end` ends the room for all.
The microphone stays closed until you open it: press Enter, or run `majlis ctl mic on`.")]
pub(crate) struct HostArgs {
    /// What the room is called
    title: String,
    /// What it is about
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A word to find it by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RoomTag>,
    /// Who finds it: everyone, or those who have its link or id [default: public]
    #[arg(long, value_name = "public|unlisted", hide_possible_values = true)]
    visibility: Option<Findable>,
    #[command(flatten)]
    seat: SeatFlags,
}

/// Who finds a room.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Findable {
    /// Everyone.
    Public,
    /// Those who have its link or id.
    Unlisted,
}

pub(crate) async fn run(args: HostArgs, flags: &NodeFlags, started: Instant) -> anyhow::Result<()> {
    let home = flags.home()?;
    let signals = Signals::new()?;
    let face = Face::new(flags.json);
    let hosting = hosting(&args, started)?;
    let node = Node::start(flags.resolve(home.clone())).await?;
    let opening = node.clone();
    Stay::new(node, &home, face, signals, &args.seat, started)
        .run(async move { opening.host(hosting).await })
        .await
}

/// The room as it was asked for.
fn hosting(args: &HostArgs, started: Instant) -> anyhow::Result<Hosting> {
    let mut hosting = Hosting::titled(&args.title);
    hosting.description = args.description.clone().unwrap_or_default();
    hosting.tags = args.tags.clone();
    hosting.visibility = match args.visibility {
        None | Some(Findable::Public) => Visibility::Public,
        Some(Findable::Unlisted) => Visibility::Unlisted,
    };
    hosting.seat = args.seat.resolve(started)?;
    Ok(hosting)
}
