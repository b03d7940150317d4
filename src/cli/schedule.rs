//! `majlis schedule`: announces a room ahead; changes what was announced, or calls it off; writes it for calendars.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Args, Subcommand};
use majlis::{
    calendar, clock,
    event::{Event, PlanState},
    home::Home,
    node::{KeeperStream, Node},
    planning::{PlanChange, PlanError, PlannedRoom, Planning},
};
use majlis_protocol::{
    limits,
    link::Address,
    room::{RoomId, RoomTag},
};

use super::{
    face::Face,
    options::{NodeFlags, seconds},
    signals::Signals,
    start::start,
    stay::until,
};

/// How long a community node is waited for: a first meeting over a bad line, twice.
const DEFAULT_WAIT: Duration = Duration::from_secs(20);

/// How long others are waited for once one keeps the record: they are asked at the same time.
const OTHERS: Duration = Duration::from_millis(1_500);

/// How long a room that is not of this home is looked for.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  majlis schedule \"Poems\" --start 2026-12-01T20:00 --bootstrap MULTIADDR
  majlis schedule \"Poems\" --start 2026-12-01T20:00 --tag poetry --language en
  majlis schedule list
  majlis host --room ROOM-ID              open it: with the same id and link

It waits until a community node keeps the announcement, says which do, and ends. Others find the room while you are away, for as long as one of those runs. Tags and language stay as they are; all else can be changed until the room opens."
)]
pub(crate) struct ScheduleArgs {
    /// What the room is called
    #[arg(required = true)]
    title: Option<String>,
    /// When it starts, by this machine's clock unless a zone is given; at most 30 days ahead
    #[arg(long, value_name = "TIME", required = true, value_parser = start)]
    start: Option<u64>,
    /// What it is about
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The language that is spoken, as en or ar-EG
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// A word to find it by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<RoomTag>,
    #[command(flatten)]
    wait: WaitFlags,
    #[command(subcommand)]
    command: Option<ScheduleCommand>,
}

#[derive(Debug, Default, Args)]
struct WaitFlags {
    /// How long to wait for a community node that keeps the announcement [default: 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    /// Show the rooms that this home has announced ahead
    #[command(after_help = "Example:\n  majlis schedule list")]
    List,
    /// Change the start, the title or the description
    #[command(after_help = "Example:\n  majlis schedule change ROOM-ID --start 2026-12-01T21:00")]
    Change {
        /// The room
        room: RoomId,
        /// When it starts
        #[arg(long, value_name = "TIME", value_parser = start)]
        start: Option<u64>,
        /// What it is called
        #[arg(long, value_name = "TEXT")]
        title: Option<String>,
        /// What it is about
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Give the announcement to community nodes again, as to another one
    #[command(after_help = "Example:\n  majlis schedule announce ROOM-ID --bootstrap MULTIADDR")]
    Announce {
        /// The room
        room: RoomId,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Call the room off: it is listed as cancelled until its time, and never opens
    #[command(after_help = "Example:\n  majlis schedule cancel ROOM-ID --reason \"I am ill\"")]
    Cancel {
        /// The room
        room: RoomId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Write an entry for calendars (iCalendar), of a room of this home or of any that is listed
    #[command(after_help = "Example:\n  majlis schedule ics ROOM-ID --output poems.ics")]
    Ics {
        /// The room
        room: RoomId,
        /// Where to, instead of the terminal
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

pub(crate) async fn run(args: ScheduleArgs, flags: &NodeFlags) -> anyhow::Result<()> {
    let home = flags.home()?;
    let mut face = Face::new(flags.json);
    let mut signals = Signals::new()?;
    let wait = match args.command {
        Some(ScheduleCommand::List) => return list(&home, &mut face),
        Some(ScheduleCommand::Ics { room, output }) => {
            return ics(room, output.as_deref(), &home, flags, &mut signals).await;
        }
        Some(ScheduleCommand::Change { ref wait, .. })
        | Some(ScheduleCommand::Announce { ref wait, .. })
        | Some(ScheduleCommand::Cancel { ref wait, .. }) => wait.wait,
        None => args.wait.wait,
    };
    let node = Node::start(flags.resolve(home)).await?;
    let result = async {
        let room = done(args, node.home())?;
        tell(
            &node,
            &room,
            flags,
            wait.unwrap_or(DEFAULT_WAIT),
            &mut face,
            &mut signals,
        )
        .await
    };
    let result = result.await;
    node.shutdown().await;
    result
}

/// Does what was asked for in the home.
fn done(args: ScheduleArgs, home: &Home) -> Result<PlannedRoom, PlanError> {
    match args.command {
        Some(ScheduleCommand::Change {
            room,
            start,
            title,
            description,
            ..
        }) => {
            let mut room = PlannedRoom::open(home, room)?;
            let change = PlanChange {
                starts: start,
                title,
                description,
            };
            room.change(home, change)?;
            Ok(room)
        }
        Some(ScheduleCommand::Cancel { room, reason, .. }) => {
            let mut room = PlannedRoom::open(home, room)?;
            room.cancel(home, reason.as_deref().unwrap_or_default())?;
            Ok(room)
        }
        Some(ScheduleCommand::Announce { room, .. }) => PlannedRoom::open(home, room),
        Some(ScheduleCommand::List | ScheduleCommand::Ics { .. }) | None => PlannedRoom::make(
            home,
            Planning {
                title: args.title.unwrap_or_default(),
                description: args.description.unwrap_or_default(),
                language: args.language.unwrap_or_default(),
                tags: args.tags,
                starts: args.start.unwrap_or_default(),
            },
        ),
    }
}

/// Announces a room, says who keeps the record, and shows the link.
async fn tell(
    node: &Node,
    room: &PlannedRoom,
    flags: &NodeFlags,
    wait: Duration,
    face: &mut Face,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    face.tell(node.listening())?;
    let keepers = node.announce_ahead(room).await?;
    let keepers = waited(keepers, room, wait, face, signals).await?;
    let mut via = own_addresses(node, flags);
    via.extend(keepers.iter().flatten().cloned());
    via.truncate(limits::ADDRESSES);
    face.tell(Event::Scheduled(room.shown(via)))?;
    anyhow::ensure!(
        !keepers.is_empty(),
        "no community node keeps the record, and nobody finds the room while you are away: name one with --bootstrap, \
         then run `majlis schedule announce {}`",
        room.id()
    );
    Ok(())
}

/// Waits for the first community node that keeps the record, and a moment for others; the addresses of all that do.
async fn waited(
    mut keepers: KeeperStream,
    room: &PlannedRoom,
    wait: Duration,
    face: &mut Face,
    signals: &mut Signals,
) -> anyhow::Result<Vec<Option<Address>>> {
    let mut end = Instant::now().checked_add(wait);
    let mut kept = Vec::new();
    loop {
        let keeper = tokio::select! {
            keeper = keepers.next() => keeper,
            () = until(end) => return Ok(kept),
            () = signals.next() => return Ok(kept),
        };
        let Some(keeper) = keeper else {
            anyhow::bail!("the node ended by itself; please try again");
        };
        face.tell(Event::Kept {
            id: room.id(),
            peer: keeper.peer,
            address: keeper.address.clone(),
            kept: keeper.refused.is_none(),
            reason: keeper.refused.map(|reason| reason.to_string()),
        })?;
        if keeper.refused.is_none() {
            kept.push(keeper.address);
            end = end.min(Instant::now().checked_add(OTHERS));
        }
    }
}

/// Where this node can be found again later: only what was said with `--announce`.
fn own_addresses(node: &Node, flags: &NodeFlags) -> Vec<Address> {
    let said = |address: &Address| {
        let mut announced = flags.announce.iter();
        announced.any(|said| address.as_str().starts_with(said.as_str()))
    };
    node.addresses().into_iter().filter(said).collect()
}

fn list(home: &Path, face: &mut Face) -> anyhow::Result<()> {
    let rooms = PlannedRoom::all(&Home::open(home)?)?;
    for room in &rooms {
        face.tell(Event::Scheduled(room.shown(Vec::new())))?;
    }
    if let (true, Face::People(show)) = (rooms.is_empty(), face) {
        show.text("this home has announced no room ahead; `majlis schedule TITLE --start TIME` does")?;
    }
    Ok(())
}

async fn ics(
    room: RoomId,
    output: Option<&Path>,
    home: &Path,
    flags: &NodeFlags,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let own = match Home::open(home) {
        Ok(home) => PlannedRoom::open(&home, room).ok(),
        Err(error) => return Err(error.into()),
    };
    let entry = match own {
        Some(own) => {
            let shown = own.shown(Vec::new());
            anyhow::ensure!(
                matches!(shown.state, PlanState::Planned | PlanState::Cancelled),
                "that room has no time to come"
            );
            calendar::Entry::from(&shown)
        }
        None => {
            let node = Node::start(flags.resolve(home.to_owned())).await?;
            let found = look_for(&node, room, signals).await;
            node.shutdown().await;
            found?
        }
    };
    let file = entry.file(clock::unix_seconds());
    match output {
        Some(path) => fs::write(path, file).with_context(|| format!("cannot write {}", path.display())),
        None => {
            use std::io::Write;
            let mut out = std::io::stdout().lock();
            out.write_all(file.as_bytes())?;
            Ok(out.flush()?)
        }
    }
}

/// What is announced of a room, as soon as somebody tells of it.
async fn look_for(node: &Node, room: RoomId, signals: &mut Signals) -> anyhow::Result<calendar::Entry> {
    let end = Instant::now().checked_add(LOOK);
    let mut changes = node.watch_listings();
    loop {
        let listed = node.listings(None).await.into_iter().find(|one| one.id == room);
        if let Some(listing) = listed {
            return calendar::Entry::of(&listing)
                .ok_or_else(|| anyhow::anyhow!("that room is open now: `majlis join` it"));
        }
        let cancelled = node.cancelled(None).await.into_iter().find(|one| one.id == room);
        if let Some(cancelled) = cancelled {
            return Ok(calendar::Entry::from(&cancelled));
        }
        tokio::select! {
            change = changes.next() => anyhow::ensure!(change.is_some(), "the node ended by itself; please try again"),
            () = until(end) => anyhow::bail!("nobody here knows of that room; a --bootstrap address may help"),
            () = signals.next() => anyhow::bail!("interrupted before the room was found"),
        }
    }
}
