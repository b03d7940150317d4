//! `majlis demo`: two rooms on this machine, on real sockets, each node a process of its own; then the proof that
//! whoever listened heard their own room, whole and as it was spoken.
//!
//! Nothing leaves loopback. Nothing is measured by the parts it judges: the listeners' WAV files are compared with
//! what a fresh codec makes of the speech ([`score`]), and frames are counted by the listeners.

mod process;
mod score;
mod speech;
mod table;

use std::path::{Path, PathBuf};

use clap::Args;
use majlis::api::{Act, Client};
use serde_json::json;

use super::{face::Face, options::NodeFlags, signals::Signals};
use process::{Process, Seen};
use speech::Clip;
use table::Row;

/// `stats` events, one a second, that a listener is given after the last word: more than the largest delay.
const LAST_WORDS: u32 = 2;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis demo
  majlis demo --keep heard                keep what each listener heard, to listen to it
  majlis demo --wrong-room                lead one listener astray: the demo must notice, and exits 1

Someone speaks in one room and someone else in another. Listeners join by link, by the room's bare id through a
community node, and from the list of rooms. Heard means: at least 99 % of the frames, and a match of at least 0.95
between what was heard and what was said.")]
pub(crate) struct DemoArgs {
    /// Keep the WAV files of what each heard in DIR
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Lead the listener that joins from the list into the other room, to see that it is noticed
    #[arg(long)]
    wrong_room: bool,
}

/// How a listener finds its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the link that the host printed.
    Link,
    /// By its bare id, through the community node's DHT.
    Id,
    /// By the link that the list of rooms shows.
    List,
}

/// A listener as it is planned: its name, how it joins, which room it should hear, which it is sent to.
#[derive(Debug, Clone, Copy)]
struct Plan {
    name: &'static str,
    way: Way,
    expects: usize,
    joins: usize,
}

/// A room with the process that hosts it.
#[derive(Debug)]
struct Room {
    id: String,
    link: String,
    clip: Clip,
    process: Process,
}

/// Where the demo keeps its files, and what it shows.
#[derive(Debug)]
struct Stage<'a> {
    flags: &'a NodeFlags,
    homes: PathBuf,
    heard: PathBuf,
    face: Face,
}

pub(crate) async fn run(args: DemoArgs, flags: &NodeFlags) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let temporary = tempfile::Builder::new().prefix("majlis-demo-").tempdir()?;
    let heard = args
        .keep
        .clone()
        .unwrap_or_else(|| temporary.path().join("heard"));
    std::fs::create_dir_all(&heard).map_err(|error| {
        anyhow::anyhow!(
            "cannot make {}: {error}; choose another --keep DIR",
            heard.display()
        )
    })?;
    let mut stage = Stage {
        flags,
        homes: temporary.path().to_owned(),
        heard,
        face: Face::new(flags.json),
    };
    let plans = plans(args.wrong_room);
    let rows = tokio::select! {
        rows = hold(&mut stage, &plans) => rows?,
        // Processes end with their handles.
        () = signals.next() => anyhow::bail!("the demo was interrupted"),
    };
    report(&mut stage, &rows, args.keep.as_deref())
}

/// Who listens: three in the first room, one in the second.
fn plans(wrong_room: bool) -> [Plan; 4] {
    let plan = |name, way, expects| Plan {
        name,
        way,
        expects,
        joins: expects,
    };
    let mut plans = [
        plan("by-link", Way::Link, 0),
        plan("by-id", Way::Id, 0),
        plan("from-the-list", Way::List, 0),
        plan("other-room", Way::List, 1),
    ];
    if wrong_room {
        plans[2].joins = 1;
    }
    plans
}

/// Holds both rooms from the first socket to the last word.
async fn hold(stage: &mut Stage<'_>, plans: &[Plan]) -> anyhow::Result<Vec<Row>> {
    // It ends with this function: rooms are found through it to the last.
    let mut node = stage.start("community-node", &["node"])?;
    let meeting = node.until("listening", |seen| seen.address.is_some()).await?;
    let meeting = meeting.address.unwrap_or_default();
    let mut rooms = Vec::new();
    for (number, clip) in speech::CLIPS.into_iter().enumerate() {
        let audience = plans.iter().filter(|plan| plan.joins == number).count();
        rooms.push(stage.open(clip, audience, &meeting).await?);
    }
    let listed = stage.listed(&rooms, &meeting).await?;
    let mut listeners = Vec::new();
    for plan in plans {
        let room = &rooms[plan.joins];
        let join = match plan.way {
            Way::Link => vec![room.link.as_str()],
            Way::Id => vec![room.id.as_str(), "--bootstrap", &meeting],
            Way::List => vec![listed[plan.joins].as_str()],
        };
        listeners.push(stage.listener(plan, &join)?);
    }
    listen(stage, &mut rooms, &mut listeners).await?;
    let mut rows = Vec::new();
    for (plan, mut listener) in plans.iter().zip(listeners) {
        let seen = listener.ended().await;
        rows.push(stage.judge(plan, listener.pid, &seen, rooms[plan.expects].clip)?);
    }
    Ok(rows)
}

/// Waits until all was said and heard, and ends the rooms.
async fn listen(stage: &mut Stage<'_>, rooms: &mut [Room], listeners: &mut [Process]) -> anyhow::Result<()> {
    for listener in &mut *listeners {
        listener
            .until("in the room", |seen| seen.join_ms.is_some())
            .await?;
    }
    for listener in &mut *listeners {
        listener
            .until("hearing anything", |seen| seen.first_audio_ms.is_some())
            .await?;
    }
    stage
        .face
        .result("hearing", &json!({}), "all hear something; now to the last word")?;
    for room in &mut *rooms {
        room.process
            .until("done speaking", |seen| seen.input_ended)
            .await?;
    }
    for listener in listeners {
        // One that was killed gets its line in the table.
        let until = listener.seen().stats + LAST_WORDS;
        let _ = listener.until("counting", |seen| seen.stats >= until).await;
    }
    for room in rooms {
        room.end(&stage.homes).await?;
    }
    Ok(())
}

impl Stage<'_> {
    /// Starts a process of this program with a home of its own, on loopback alone.
    fn start(&mut self, name: &'static str, args: &[&str]) -> anyhow::Result<Process> {
        let home = self.homes.join(name);
        let process = Process::start(name, &home, self.flags, args)?;
        let pid = process.pid;
        self.face.result(
            "process",
            &json!({ "name": name, "pid": pid }),
            &format!("{name:<15} process {pid}"),
        )?;
        Ok(process)
    }

    async fn open(&mut self, clip: Clip, audience: usize, meeting: &str) -> anyhow::Result<Room> {
        let input = clip.write_into(&self.homes)?;
        let mut process = self.start(
            clip.host,
            &[
                "host",
                clip.title,
                "--tag",
                "demo",
                "--bootstrap",
                meeting,
                "--input",
                &format!("file:{}", input.display()),
                "--output",
                "none",
                "--wait-listeners",
                &audience.to_string(),
            ],
        )?;
        let seen = process.until("open", |seen| seen.room.is_some()).await?;
        let (id, link) = seen.room.unwrap_or_default();
        Ok(Room {
            id,
            link,
            clip,
            process,
        })
    }

    /// The links of the rooms as a newcomer sees them who knows no more than the community node.
    async fn listed(&mut self, rooms: &[Room], meeting: &str) -> anyhow::Result<Vec<String>> {
        let mut newcomer = self.start("newcomer", &["rooms", "--watch", "--bootstrap", meeting])?;
        let all = |seen: &Seen| rooms.iter().all(|room| seen.listings.contains_key(&room.id));
        let seen = newcomer.until("shown the rooms", all).await?;
        Ok(rooms.iter().map(|room| seen.listings[&room.id].clone()).collect())
    }

    fn listener(&mut self, plan: &Plan, join: &[&str]) -> anyhow::Result<Process> {
        let output = format!("file:{}", self.wav(plan).display());
        let seat = ["--input", "none", "--output", &output];
        self.start(plan.name, &[&["join"], join, &seat].concat())
    }

    fn wav(&self, plan: &Plan) -> PathBuf {
        self.heard.join(plan.name).with_extension("wav")
    }

    /// Compares what a listener heard with what it should have heard.
    fn judge(&self, plan: &Plan, pid: u32, seen: &Seen, clip: Clip) -> anyhow::Result<Row> {
        let wav = self.wav(plan);
        let said = clip.as_decoded(&self.homes)?;
        // No file, or none that can be read, is nothing heard.
        let heard = speech::read_wav(&wav).unwrap_or_default();
        Ok(Row::new(
            plan.name,
            pid,
            seen,
            score::matching(&said, &heard),
            wav,
        ))
    }
}

impl Room {
    /// Ends the room for everyone, as its host does with `ctl end`.
    async fn end(&mut self, homes: &Path) -> anyhow::Result<()> {
        let client = Client::of(&homes.join(self.clip.host))?;
        client
            .post(&format!("/v1/room/{}/act", self.id), &Act::End)
            .await?;
        self.process.ended().await;
        Ok(())
    }
}

/// The table, where to listen, and whether all is well.
fn report(stage: &mut Stage<'_>, rows: &[Row], keep: Option<&Path>) -> anyhow::Result<()> {
    match &mut stage.face {
        Face::Json => {
            for row in rows {
                stage.face.result("heard", row, "")?;
            }
        }
        Face::People(show) => {
            show.text(&format!("\n{}", table::text(rows)))?;
            match keep {
                Some(dir) => show.text(&format!("\nWhat each heard is in {}.", dir.display()))?,
                None => show.text("\nWith --keep DIR you can listen to what each heard.")?,
            }
        }
    }
    let deaf = rows.iter().filter(|row| !row.heard).count();
    anyhow::ensure!(
        deaf == 0,
        "{deaf} of {} listeners did not hear their room; run it again with -v to see more",
        rows.len()
    );
    Ok(())
}
