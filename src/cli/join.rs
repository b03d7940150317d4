//! `majlis join`: joins a room and stays in it.

use std::time::Instant;

use clap::Args;
use majlis::node::Node;
use majlis_protocol::{limits::APPEAL, link::RoomLink, text::Text};

use super::{
    face::Face,
    options::{NodeFlags, SeatFlags},
    signals::Signals,
    stay::Stay,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis join 'majlis:…?via=…'                    the link as the host passed it on, in quotes
  majlis join ROOM-ID --bootstrap MULTIADDR       by the bare id, found through a community node
  majlis join LINK --output file:talk.wav --duration 3600
  majlis join LINK --appeal \"it was my brother\"   to those who banned you

Everyone joins as a listener. When the host invites you to the stage: `majlis ctl accept`, then open the
microphone: press Enter, or run `majlis ctl mic on`. Ctrl-C leaves.")]
pub(crate) struct JoinArgs {
    /// The room: its link, or its bare id
    #[arg(value_name = "LINK|ROOM-ID")]
    link: String,
    /// What to say to those who keep order, should you be banned: once for each ban, at most 180 bytes
    #[arg(long, value_name = "TEXT", value_parser = appeal)]
    appeal: Option<String>,
    #[command(flatten)]
    seat: SeatFlags,
}

pub(crate) async fn run(args: JoinArgs, flags: &NodeFlags, started: Instant) -> anyhow::Result<()> {
    let link: RoomLink = args.link.parse().map_err(|error| {
        anyhow::anyhow!(
            "this is no link to a room: {error}. Copy it whole, and quote it: a shell takes & for itself"
        )
    })?;
    let home = flags.home()?;
    let signals = Signals::new()?;
    let face = Face::new(flags.json);
    let seat = args.seat.resolve(started)?;
    let node = Node::start(flags.resolve(home.clone())).await?;
    let joining = node.clone();
    Stay::new(node, &home, face, signals, &args.seat, started)
        .run(async move {
            match args.appeal {
                Some(appeal) => joining.appeal(&link, appeal, seat).await,
                None => joining.join(&link, seat).await,
            }
        })
        .await
}

/// An appeal as people type it.
fn appeal(text: &str) -> Result<String, String> {
    let clean = Text::clean(text);
    if clean.is_empty() || clean.len() > APPEAL {
        return Err("an appeal has 1 to 180 bytes".to_owned());
    }
    Ok(clean.to_string())
}
