//! `majlis join`: joins a room and stays in it.

use std::time::Instant;

use clap::Args;
use majlis::node::Node;
use majlis_protocol::{limits::APPEAL, link::RoomLink, text::Text};
use tokio::sync::mpsc;

use super::{
    face::Face,
    options::{NodeFlags, SeatFlags},
    signals::Signals,
    stay::Stay,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis join 'majlis:…?via=…'           the link as it was passed on, in quotes
  majlis join ROOM-ID --bootstrap MULTIADDR   by its id, through another node
  majlis join LINK --output none         on a machine without loudspeakers
  majlis join LINK --output file:talk.wav --duration 3600
  majlis join LINK --home /tmp/second    beside a host on the same machine
  majlis join LINK --appeal \"it was my brother\"   to those who banned you

A room that was announced and is not open yet is waited for.
Everyone joins as a listener. At a terminal single keys do the rest, and ? shows them: r raises your hand, a accepts an invitation to the stage, m opens the microphone and closes it, Space opens it while you hold it, c writes in the chat. Elsewhere, and from another shell, `majlis ctl hand`, `accept`, `mic on` and `chat` do so. Ctrl-C leaves.")]
pub(crate) struct JoinArgs {
    /// The room: its link, or its bare id
    #[arg(value_name = "LINK|ROOM-ID")]
    link: String,
    /// What to say to those who keep order, should you be banned: once for each ban, at most 180 bytes
    #[arg(long, value_name = "TEXT", value_parser = appeal)]
    appeal: Option<String>,
    #[command(flatten)]
    pub(crate) seat: SeatFlags,
}

pub(crate) async fn run(args: JoinArgs, flags: &NodeFlags, started: Instant) -> anyhow::Result<()> {
    let link: RoomLink = args.link.parse().map_err(|error| {
        anyhow::anyhow!(
            "this is no link to a room: {error}. Copy it whole, and quote it: a shell takes & for itself"
        )
    })?;
    anyhow::ensure!(
        link.is_whole(),
        "no address in this link can be read: it was cut short, or its capital letters were lost. Copy it whole, and \
         quote it"
    );
    let home = flags.home()?;
    let signals = Signals::new()?;
    let face = Face::new(flags.json);
    let (sender, events) = mpsc::channel(1);
    let seat = args.seat.resolve(started, sender.clone())?;
    let node = Node::start(flags.resolve(home.clone())).await?;
    let (joining, waiting) = (node.clone(), args.seat.clone());
    let (tell, told) = mpsc::channel(4);
    Stay::new(node, &home, face, signals, (&args.seat, started), events)
        .hearing(told)
        .run(async move {
            let (mut link, mut seat, mut appeal) = (link, Some(seat), args.appeal);
            loop {
                // What could be read once can be read again.
                let seat = match seat.take() {
                    Some(seat) => seat,
                    None => waiting.resolve(started, sender.clone()).unwrap_or_default(),
                };
                let entered = match appeal.take() {
                    Some(appeal) => joining.appeal(&link, appeal, seat).await,
                    None => joining.join(&link, seat).await,
                };
                match entered {
                    Ok(room) => return Ok(room),
                    Err(why) => link = joining.until_open(&link, why, &tell).await?,
                }
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
