//! `majlis host`: opens a room and stays in it.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use majlis::{
    clock,
    event::Event,
    node::Node,
    planning::{PlannedRoom, Planning},
    room::{Hosting, RoomError},
};
use majlis_protocol::room::{AudioSettings, MUSIC_BITRATE, Profile, RoomId, RoomTag, Visibility};
use tokio::sync::mpsc;

use super::{
    face::Face,
    options::{NodeFlags, SeatFlags},
    signals::Signals,
    start::start,
    stay::Stay,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis host \"Evening talk\"            the microphone speaks, once you open it
  majlis host \"Evening talk\" --output none   on a machine without loudspeakers
  majlis host \"Poems\" --tag poetry --input file:poem.wav --wait-listeners 1
  majlis host \"Only for you\" --visibility unlisted
  majlis host \"Oud\" --music --input file:oud.wav   stereo, unfiltered
  majlis host --room ROOM-ID             open yours again, or on its day
  majlis host \"Poems\" --at 2026-12-01T20:00   announce it, and open it then

The link that it prints is what to pass on. The microphone stays closed until you open it.

At a terminal you run the room by single keys, and ? shows them: m opens the microphone and closes it, Space opens it while you hold it, w shows who has raised a hand, p who is here. Type the number that stands beside somebody, and the row below says by which key you invite, mute, kick or ban them. Elsewhere, and from another shell, `majlis ctl` does all of it.

Ctrl-C leaves: the first co-host who is there takes the chair at once, and you have it back ten seconds after you open the room again. With neither a co-host nor anybody else on the stage, the room is over for those who are in it until you do. The key x, or `majlis ctl end`, ends it for good.")]
pub(crate) struct HostArgs {
    /// What the room is called
    #[arg(required_unless_present = "room", conflicts_with = "room")]
    title: Option<String>,
    /// Open a room of your own again, which this home has opened before or has scheduled
    #[arg(long, value_name = "ID", conflicts_with_all = ["description", "tags", "visibility", "at"])]
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
    /// Announce it ahead, stay, and open it then; `majlis schedule` does so without staying
    #[arg(long, value_name = "TIME", value_parser = start, conflicts_with = "visibility")]
    at: Option<u64>,
    /// Open it for music: stereo at 128 kbit/s, and nobody's microphone is treated as one for speech
    #[arg(long, conflicts_with_all = ["room", "at"])]
    music: bool,
    #[command(flatten)]
    pub(crate) seat: SeatFlags,
}

/// How often the clock is looked at while a room is waited for: a laptop that slept is late by no more.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(10);

/// How a room for music sounds.
const MUSIC: AudioSettings = AudioSettings {
    profile: Profile::Music,
    bitrate: MUSIC_BITRATE,
};

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
    let (sender, events) = mpsc::channel(1);
    let (seat, hosting) = (args.seat.resolve(started, sender)?, hosting(&args));
    let node = Node::start(flags.resolve(home.clone())).await?;
    let opening = node.clone();
    let (tell, told) = mpsc::channel(4);
    Stay::new(node, &home, face, signals, (&args.seat, started), events)
        .hearing(told)
        .run(async move {
            match (args.room, args.at) {
                (Some(room), _) => opening.host_again(room, seat).await,
                (None, Some(at)) => {
                    let room = ahead(&opening, &hosting, at, &tell).await?;
                    opening.host_again(room, seat).await
                }
                (None, None) => opening.host(hosting.seat(seat)).await,
            }
        })
        .await
}

/// Announces a room ahead, and waits until it is to open.
async fn ahead(
    node: &Node,
    hosting: &Hosting,
    at: u64,
    tell: &mpsc::Sender<Event>,
) -> Result<RoomId, RoomError> {
    let planning = Planning {
        title: hosting.title.clone(),
        description: hosting.description.clone(),
        language: hosting.language.clone(),
        tags: hosting.tags.clone(),
        starts: at,
    };
    let room = PlannedRoom::make(node.home(), planning)?;
    let _keepers = node.announce_ahead(&room).await?;
    // Whoever does not listen still hosts.
    let _ = tell.send(Event::Scheduled(room.shown(node.addresses()))).await;
    loop {
        match at.saturating_sub(clock::unix_seconds()) {
            0 => return Ok(room.id()),
            left => tokio::time::sleep(Duration::from_secs(left).min(LOOK_AT_CLOCK)).await,
        }
    }
}

/// The room as it was asked for, with nobody seated.
fn hosting(args: &HostArgs) -> Hosting {
    let mut hosting = Hosting::titled(args.title.as_deref().unwrap_or_default());
    hosting.description = args.description.clone().unwrap_or_default();
    hosting.tags = args.tags.clone();
    if args.music {
        hosting.audio = MUSIC;
    }
    hosting.visibility = match args.visibility {
        None | Some(Findable::Public) => Visibility::Public,
        Some(Findable::Unlisted) => Visibility::Unlisted,
    };
    hosting
}
