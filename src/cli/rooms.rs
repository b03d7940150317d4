//! `majlis rooms`: the rooms that are open and those to come, as the running node of this home knows them, or else a passing one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use majlis::{
    api::{Client, ClientError},
    event::{Event, Stamped},
    node::Node,
};
use majlis_protocol::room::RoomTag;
use serde_json::Value;

use super::{
    face::Face,
    options::{NodeFlags, seconds},
    signals::Signals,
    stay::until,
};

/// How long a passing node looks around: a LAN answers within one second, a first meeting over the internet in two.
const DEFAULT_WAIT: Duration = Duration::from_secs(3);

/// How often a running node is asked again. Rooms come and go in minutes.
const ASK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis rooms
  majlis rooms --tag poetry
  majlis rooms --watch                   stay, and show how rooms come and go
  majlis rooms --json | jq -r 'select(.event == \"listing\").link'

A node that runs in this home answers at once. Else a passing one looks around for --wait seconds.")]
pub(crate) struct RoomsArgs {
    /// Only rooms with this tag
    #[arg(long)]
    tag: Option<RoomTag>,
    /// How long to look around [default: 3]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
    /// Stay, and show rooms as they come and go
    #[arg(long, conflicts_with = "wait")]
    watch: bool,
}

/// The rooms that have been shown, each as its event without the time; and of those that were called off, which.
#[derive(Debug, Default)]
struct Shown(BTreeMap<String, Value>, BTreeSet<String>);

pub(crate) async fn run(args: RoomsArgs, flags: &NodeFlags) -> anyhow::Result<()> {
    let home = flags.home()?;
    let mut face = Face::new(flags.json);
    let mut signals = Signals::new()?;
    let wait = args.wait.unwrap_or(DEFAULT_WAIT);
    let end = if args.watch {
        None
    } else {
        Instant::now().checked_add(wait)
    };
    match reachable(&home).await? {
        Some(client) => {
            let unused = flags.of_the_node();
            if !unused.is_empty() {
                let text = format!(
                    "the node that runs in this home is asked, and keeps its own {}",
                    unused.join(", ")
                );
                face.tell(Event::Warning { text })?;
            }
            ask(&client, &args, end, face, &mut signals).await
        }
        None => look_around(&args, flags, &home, end, face, &mut signals).await,
    }
}

/// A client of the node that runs in this home, if one does.
async fn reachable(home: &Path) -> anyhow::Result<Option<Client>> {
    let found = match Client::of(home) {
        Ok(client) => client.get("/v1/info").await.map(|_| client),
        Err(error) => Err(error),
    };
    match found {
        Ok(client) => Ok(Some(client)),
        Err(ClientError::NotRunning(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks the running node until it knows a room or the time is over; for ever when watching.
async fn ask(
    client: &Client,
    args: &RoomsArgs,
    end: Option<Instant>,
    mut face: Face,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let path = match &args.tag {
        // Letters, digits, '-' and '_' of any script: escaped byte by byte where they are not ASCII.
        Some(tag) => format!("/v1/rooms?tag={}", escaped(tag.as_str())),
        None => "/v1/rooms".to_owned(),
    };
    let mut shown = Shown::default();
    loop {
        let answer = client.get(&path).await?;
        let listings = answer["listings"].as_array().cloned().unwrap_or_default();
        let over = end.is_some() && (!listings.is_empty() || end <= Some(Instant::now()));
        let cancelled = answer["cancelled"].as_array().cloned().unwrap_or_default();
        shown.replace(listings, cancelled, &mut face)?;
        if over {
            return Ok(shown.say_if_none(&mut face)?);
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_AGAIN) => {}
            () = signals.next() => return Ok(()),
        }
    }
}

/// Starts a node for as long as it takes to look around.
async fn look_around(
    args: &RoomsArgs,
    flags: &NodeFlags,
    home: &Path,
    end: Option<Instant>,
    mut face: Face,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let node = Node::start(flags.resolve(home.to_owned())).await?;
    let result = look(&node, args, end, &mut face, signals).await;
    node.shutdown().await;
    result
}

async fn look(
    node: &Node,
    args: &RoomsArgs,
    end: Option<Instant>,
    face: &mut Face,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let mut found = node.watch_listings();
    face.tell(node.listening())?;
    let mut shown = Shown::default();
    // What was found before the watch began.
    for listing in node.listings(args.tag.as_ref()).await {
        shown.tell(&Stamped::now(Event::Listing(listing)), None, face)?;
    }
    for cancelled in node.cancelled(args.tag.as_ref()).await {
        shown.tell(&Stamped::now(Event::Cancelled(cancelled)), None, face)?;
    }
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            () = until(end) => return Ok(shown.say_if_none(face)?),
            event = found.next() => match event {
                Some(event) => shown.tell(&event, args.tag.as_ref(), face)?,
                None => anyhow::bail!("the node ended by itself; please try again"),
            },
        }
    }
}

impl Shown {
    /// Shows what a passing node found, if it is asked for and news.
    fn tell(&mut self, event: &Stamped, tag: Option<&RoomTag>, face: &mut Face) -> anyhow::Result<()> {
        let wanted = |tags: &[String]| tag.is_none_or(|tag| tags.iter().any(|theirs| theirs == tag.as_str()));
        let news = match &event.event {
            Event::Listing(listing) => {
                let value = serde_json::to_value(listing)?;
                wanted(&listing.tags) && self.0.insert(listing.id.to_string(), value.clone()) != Some(value)
            }
            Event::Cancelled(cancelled) => {
                let id = cancelled.id.to_string();
                if self.0.remove(&id).is_some() {
                    face.tell(Event::Unlisted { id: cancelled.id })?;
                }
                wanted(&cancelled.tags) && self.1.insert(id)
            }
            Event::Unlisted { id } => self.0.remove(&id.to_string()).is_some(),
            _ => false,
        };
        if news {
            face.event(event)?;
        }
        Ok(())
    }

    /// Shows how the list of a running node differs from the one before.
    fn replace(
        &mut self,
        listings: Vec<Value>,
        cancelled: Vec<Value>,
        face: &mut Face,
    ) -> anyhow::Result<()> {
        let id = |listing: &Value| listing["id"].as_str().unwrap_or_default().to_owned();
        let now: BTreeMap<String, Value> = listings.into_iter().map(|one| (id(&one), one)).collect();
        for (id, listing) in &now {
            if self.0.get(id) != Some(listing) {
                face.listing(listing)?;
            }
        }
        for id in self.0.keys().filter(|id| !now.contains_key(*id)) {
            face.unlisted(id)?;
        }
        self.0 = now;
        for one in cancelled {
            if self.1.insert(id(&one)) {
                face.cancelled(&one)?;
            }
        }
        Ok(())
    }

    /// For people, an empty list is a word.
    fn say_if_none(&self, face: &mut Face) -> std::io::Result<()> {
        match face {
            Face::People(show) if self.0.is_empty() && self.1.is_empty() => {
                show.text("no rooms found; a longer --wait or a --bootstrap address may find some")
            }
            _ => Ok(()),
        }
    }
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
