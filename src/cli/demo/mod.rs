//! `majlis demo`: two rooms on this machine, on real sockets, each node a process of its own; a relay of one is killed
//! while it carries the speech; then the proof that whoever listened heard their own room, every frame of it and as it
//! was spoken.
//!
//! Nothing leaves loopback. Nothing is measured by the parts it judges: the listeners' WAV files are compared with
//! what a fresh codec makes of the speech ([`score`]), and frames are counted by the listeners.

mod hold;
mod process;
mod score;
mod speech;
mod table;
mod tree;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{face::Face, options::NodeFlags, signals::Signals};
use hold::{Held, Stage};
use table::Row;

/// How often the demo is held when the machine held processes up and frames were missed for it.
const TAKES: u32 = 3;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis demo
  majlis demo --keep heard          keep what each listener heard, to hear it
  majlis demo --wrong-room          lead one listener astray: it must notice

Someone speaks in one room and someone else in another. Listeners join by link, by the room's bare id through a community node, and from the list of rooms. The first room's host feeds two relays and nobody else, so its listeners hang below those; one relay is killed in the middle of the speech. Heard means: every frame, none of them made up, and a match of at least 0.95 between what was heard and what was said. If frames are missing and the machine held processes up meanwhile, it is held once more, at most three times.")]
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

/// A listener as it is planned: its name, how it joins, which room it should hear, which it is sent to, and whether it
/// comes before the others, so that they hang below it.
#[derive(Debug, Clone, Copy)]
struct Plan {
    name: &'static str,
    way: Way,
    expects: usize,
    joins: usize,
    relays: bool,
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
    let mut face = Face::new(flags.json);
    let plans = plans(args.wrong_room);
    let mut take = 1;
    let held = loop {
        let homes = temporary.path().join(format!("take-{take}"));
        let mut stage = Stage::new(flags, homes, heard.clone(), &mut face)?;
        let held = tokio::select! {
            held = stage.hold(&plans) => held?,
            // Processes end with their handles.
            () = signals.next() => anyhow::bail!("the demo was interrupted"),
        };
        if take == TAKES || !held.is_the_machines_fault() {
            break held;
        }
        let text = format!(
            "\nThe machine has held processes up {} times, and frames came too late for it: once more.\n",
            held.stalls
        );
        face.result("again", &json!({ "stalls": held.stalls }), &text)?;
        take += 1;
    };
    report(&mut face, &held.rows, args.keep.as_deref())?;
    anyhow::ensure!(
        held.killed,
        "the speech was over before a relay could be killed in the middle of it; run it again when this machine has less to do"
    );
    Ok(())
}

/// Who listens: two relays and three listeners in the first room, one listener in the second.
fn plans(wrong_room: bool) -> [Plan; 6] {
    let plan = |name, way, expects| Plan {
        name,
        way,
        expects,
        joins: expects,
        relays: false,
    };
    let relay = |name| Plan {
        relays: true,
        ..plan(name, Way::Link, 0)
    };
    let mut plans = [
        relay("relay-1"),
        relay("relay-2"),
        plan("by-link", Way::Link, 0),
        plan("by-id", Way::Id, 0),
        plan("from-the-list", Way::List, 0),
        plan("other-room", Way::List, 1),
    ];
    if wrong_room {
        plans[4].joins = 1;
    }
    plans
}

impl Held {
    /// Whether what went wrong says nothing about the rooms: processes were held up, and all that is amiss is that
    /// frames, or the kill, came too late.
    fn is_the_machines_fault(&self) -> bool {
        let mut bad = self.rows.iter().filter(|row| !row.heard).peekable();
        let is_bad = bad.peek().is_some() || !self.killed;
        is_bad && self.stalls > 0 && bad.all(Row::missed_frames)
    }
}

/// The table, where to listen, and whether all is well.
fn report(face: &mut Face, rows: &[Row], keep: Option<&Path>) -> anyhow::Result<()> {
    match face {
        Face::Json => {
            for row in rows {
                face.result("heard", row, "")?;
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
        "{deaf} of {} listeners did not hear their room, or not all of it; run it again with -v to see more",
        rows.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        process::{Counts, Seen},
        *,
    };

    fn held(stalls: u64, lost: &[u64]) -> Held {
        let row = |lost: &u64| {
            let summary = Some(Counts {
                received: 100,
                expected: 100 + lost,
                lost: *lost,
                ..Counts::default()
            });
            let seen = Seen {
                summary,
                ..Seen::default()
            };
            Row::new("one", 1, &seen, Vec::new(), (1.0, PathBuf::new()))
        };
        Held {
            rows: lost.iter().map(row).collect(),
            stalls,
            killed: true,
        }
    }

    #[test]
    fn only_missed_frames_on_a_machine_that_stalled_are_the_machines_fault() {
        assert!(held(1, &[0, 3]).is_the_machines_fault());
        assert!(!held(0, &[0, 3]).is_the_machines_fault());
        assert!(!held(5, &[0, 0]).is_the_machines_fault());
        let mut with_a_dead_one = held(5, &[0, 3]);
        let dead = Row::new("dead", 2, &Seen::default(), Vec::new(), (0.0, PathBuf::new()));
        with_a_dead_one.rows.push(dead);
        let mut without_a_kill = held(5, &[0, 0]);
        without_a_kill.killed = false;
        assert!(without_a_kill.is_the_machines_fault());
        assert!(!with_a_dead_one.is_the_machines_fault());
    }
}
