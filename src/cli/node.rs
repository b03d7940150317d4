//! `majlis node`: a community node, which helps others and is in no room.

use std::time::Duration;

use clap::Args;
use majlis::{api, event::Event, node::Node};
use tokio::time;

use super::{
    face::Face,
    options::NodeFlags,
    printer::{Print, Printer},
    signals::Signals,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis node
  majlis node --listen /ip4/0.0.0.0/udp/4001/quic-v1 \\
      --announce /dns4/node.example.org/udp/4001/quic-v1
  majlis host \"Evening talk\" --bootstrap MULTIADDR   an address that it printed

It answers who asks for rooms, keeps the list of them, and needs no sound device. Rooms that were announced ahead it keeps while their hosts are away, also when it is started anew. Ctrl-C ends it.")]
pub(crate) struct NodeArgs {}

/// How often what is kept for others is written down, if there was news: what a node that is killed may lose.
const SAVE: Duration = Duration::from_secs(5);

pub(crate) async fn run(NodeArgs {}: NodeArgs, flags: &NodeFlags) -> anyhow::Result<()> {
    let home = flags.home()?;
    let mut signals = Signals::new()?;
    let printer = Printer::new(Face::new(flags.json));
    let mut config = flags.resolve(home.clone());
    config.community = true;
    let node = Node::start(config).await?;
    let result = serve(&node, &home, &printer, &mut signals).await;
    node.shutdown().await;
    printer.finish(result).await
}

/// Says where the node listens, and which rooms come and go, until a signal comes.
async fn serve(
    node: &Node,
    home: &std::path::Path,
    printer: &Printer,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let _api = api::Server::start(node.clone(), home).await?;
    let mut listings = node.watch_listings();
    printer.tell(node.listening()).await?;
    let (mut save, mut is_news) = (time::interval(SAVE), false);
    save.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            () = signals.next() => return Ok(()),
            event = listings.next() => event,
            _ = save.tick(), if is_news => {
                node.save_announced().await;
                is_news = false;
                continue;
            }
        };
        let Some(event) = event else {
            anyhow::bail!("the node ended by itself; start it again");
        };
        is_news |= matches!(&event.event, Event::Listing(listing) if !listing.live)
            || matches!(event.event, Event::Cancelled(_));
        tokio::select! {
            () = signals.next() => return Ok(()),
            ready = printer.ready() => ready?.send(Print::Event(Box::new(event))),
        }
    }
}
