//! `majlis host`: opens a room and stays in it.

use std::time::Instant;

use clap::{Args, ValueEnum};
use majlis::{node::Node, room::Hosting};
use majlis_protocol::room::{RoomId, RoomTag, Visibility};
use tokio::sync::oneshot;

use super::{
    face::Face,
    options::{NodeFlags, SeatFlags},
    signals::Signals,
    stay::Stay,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis host \"Evening talk\"            the microphone speaks, once you open it
  majlis host \"Evening talk\" --output none   on a machine without loudspeakers
  majlis host \"Poems\" --tag poetry --input file:poem.wav --wait-listeners 1
  majlis host \"Only for you\" --visibility unlisted
  majlis host --room ROOM-ID             open your own room again, as it was

The link that it prints is what to pass on. The microphone stays closed until you open it: press Enter, or run `majlis ctl mic on`.

Ctrl-C leaves: the first co-host who is there takes the chair at once, and you have it back ten seconds after you open the room again. With neither a co-host nor anybody else on the stage, the room is over for those who are in it until you do. `majlis ctl end` ends it for good.")]
pub(crate) struct HostArgs {
    /// What the room is called
    #[arg(required_unless_present = "room", conflicts_with = "room")]
    title: Option<String>,
    /// Open a room of your own again, which this home has opened before
    #[arg(long, value_name = "ID", conflicts_with_all = ["description", "tags", "visibility"])]
    room: Option<RoomId>,
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
    let (sender, events) = oneshot::channel();
    let (seat, hosting) = (args.seat.resolve(started, sender)?, hosting(&args));
    let node = Node::start(flags.resolve(home.clone())).await?;
    let opening = node.clone();
    Stay::new(node, &home, face, signals, (&args.seat, started), events)
        .run(async move {
            match args.room {
                Some(room) => opening.host_again(room, seat).await,
                None => opening.host(hosting.seat(seat)).await,
            }
        })
        .await
}

/// The room as it was asked for, with nobody seated.
fn hosting(args: &HostArgs) -> Hosting {
    let mut hosting = Hosting::titled(args.title.as_deref().unwrap_or_default());
    hosting.description = args.description.clone().unwrap_or_default();
    hosting.tags = args.tags.clone();
    hosting.visibility = match args.visibility {
        None | Some(Findable::Public) => Visibility::Public,
        Some(Findable::Unlisted) => Visibility::Unlisted,
    };
    hosting
}
