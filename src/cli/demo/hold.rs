//! The rooms of the demo from the first socket to the last word, and the death of a relay in between.

use std::path::{Path, PathBuf};

use majlis::api::{Act, Client, Mic};
use serde_json::json;

use super::{
    Plan, Way,
    process::{Process, Seen},
    score,
    speech::{self, Clip},
    table::Row,
    tree::{Names, Tree},
};
use crate::cli::{face::Face, options::NodeFlags};

/// Children that the first room's host takes: its two relays.
const HOST_PLACES: &str = "2";

/// Children that a relay takes: all three listeners, if it comes to that.
const RELAY_PLACES: &str = "3";

/// No room of the demo has so many listeners: who speaks starts when the demo says so.
const NEVER: &str = "1000000";

/// Frames that whoever is to lose its parent has heard before: two seconds of seven, so that its sound has settled and
/// most of the speech is still to come.
const BEFORE_THE_KILL: u64 = 100;

/// `stats` events, one a second, until a new relay's free places are known to the host.
const OFFERED: u32 = 2;

/// `stats` events, one a second, that a listener is given after the last word: more than the largest delay.
const LAST_WORDS: u32 = 2;

/// Where the demo keeps its files, and what it shows.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    flags: &'a NodeFlags,
    homes: PathBuf,
    heard: PathBuf,
    face: &'a mut Face,
    names: Names,
}

/// What it came to.
#[derive(Debug)]
pub(super) struct Held {
    /// A verdict on each listener that was not killed.
    pub(super) rows: Vec<Row>,
    /// How often processes were held up while somebody spoke.
    pub(super) stalls: u64,
    /// Whether a relay was killed in the middle of the speech.
    pub(super) killed: bool,
}

/// A room with the process that hosts it.
#[derive(Debug)]
struct Room {
    id: String,
    link: String,
    clip: Clip,
    process: Process,
    /// How often it had been held up when the speech began.
    before: u64,
}

/// A listener as it was planned, and as it is.
#[derive(Debug)]
struct Guest {
    plan: Plan,
    process: Process,
    /// How often it had been held up, and to how many parents it had turned, when the speech began.
    before: (u64, usize),
}

impl<'a> Stage<'a> {
    /// Files go below `homes`, and what is heard into `heard`.
    pub(super) fn new(
        flags: &'a NodeFlags,
        homes: PathBuf,
        heard: PathBuf,
        face: &'a mut Face,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&homes)?;
        Ok(Self {
            flags,
            homes,
            heard,
            face,
            names: Names::default(),
        })
    }

    /// Holds both rooms from the first socket to the last word.
    pub(super) async fn hold(&mut self, plans: &[Plan]) -> anyhow::Result<Held> {
        // It ends with this function: rooms are found through it to the last.
        let mut node = self.start("community-node", &["node"])?;
        let meeting = node.until("listening", |seen| seen.address.is_some()).await?;
        let meeting = meeting.address.unwrap_or_default();
        let mut rooms = Vec::new();
        for (number, clip) in speech::CLIPS.into_iter().enumerate() {
            let places = if number == 0 {
                &["--max-children", HOST_PLACES][..]
            } else {
                &[]
            };
            rooms.push(self.open(clip, &meeting, places).await?);
        }
        let mut guests = self.gather(plans, &rooms, &meeting).await?;
        self.show_tree(&rooms, &guests)?;
        self.speak(&mut rooms, &mut guests).await?;
        let killed = self.kill(&mut rooms, &mut guests).await?;
        self.listen(&mut rooms, &mut guests).await?;
        let while_speaking = |room: &Room| room.process.seen().stalls.saturating_sub(room.before);
        let mut stalls: u64 = rooms.iter().map(while_speaking).sum();
        let mut rows = Vec::new();
        for guest in &mut guests {
            let seen = guest.process.ended().await;
            stalls += seen.stalls.saturating_sub(guest.before.0);
            if Some(guest.plan.name) != killed {
                rows.push(self.judge(guest, &seen, rooms[guest.plan.expects].clip)?);
            }
        }
        let killed = killed.is_some();
        Ok(Held { rows, stalls, killed })
    }

    /// Brings everyone in, relays first, and waits until all have places and whoever hangs below a relay has someone
    /// who would step in.
    async fn gather(&mut self, plans: &[Plan], rooms: &[Room], meeting: &str) -> anyhow::Result<Vec<Guest>> {
        let listed = self.listed(rooms, meeting).await?;
        let mut guests = Vec::new();
        for plan in plans {
            let room = &rooms[plan.joins];
            let join = match plan.way {
                Way::Link => vec![room.link.as_str()],
                Way::Id => vec![room.id.as_str(), "--bootstrap", meeting],
                Way::List => vec![listed[plan.joins].as_str()],
            };
            let mut process = self.listener(plan, &join)?;
            if plan.relays {
                process
                    .until("known for its places", |seen| {
                        seen.join_ms.is_some() && seen.stats >= OFFERED
                    })
                    .await?;
            }
            guests.push(Guest {
                plan: *plan,
                process,
                before: (0, 0),
            });
        }
        for guest in &mut guests {
            let hangs_below_a_relay = guest.plan.joins == 0 && !guest.plan.relays;
            let seen = guest
                .process
                .until("at its place in the room", |seen| {
                    seen.join_ms.is_some()
                        && (!hangs_below_a_relay || seen.depth >= 2 && seen.standby.is_some())
                })
                .await?;
            self.names.learn(guest.plan.name, &seen);
        }
        Ok(guests)
    }

    /// Lets both speak, and waits until everyone hears something.
    async fn speak(&mut self, rooms: &mut [Room], guests: &mut [Guest]) -> anyhow::Result<()> {
        for guest in &mut *guests {
            let seen = guest.process.seen();
            guest.before = (seen.stalls, seen.moves.len());
        }
        for room in rooms {
            room.before = room.process.seen().stalls;
            room.post(&self.homes, "mic", &Mic { on: true }).await?;
        }
        for guest in guests {
            guest
                .process
                .until("hearing anything", |seen| seen.first_audio_ms.is_some())
                .await?;
        }
        self.face.result("hearing", &json!({}), "\nAll hear something.")?;
        Ok(())
    }

    /// Kills the relay of the first room on which most hang, in the middle of the speech; which it was, unless this
    /// machine is so slow that the speech was over before.
    async fn kill(
        &mut self,
        rooms: &mut [Room],
        guests: &mut [Guest],
    ) -> anyhow::Result<Option<&'static str>> {
        let tree = self.tree(rooms, guests);
        let relays = guests.iter().filter(|guest| guest.plan.relays);
        let relays: Vec<&'static str> = relays.map(|guest| guest.plan.name).collect();
        let victim = tree
            .busiest(&relays)
            .ok_or_else(|| anyhow::anyhow!("nobody hangs on a relay that could be killed"))?;
        let orphans = tree.children(victim);
        let all_settle = async {
            for guest in named(guests, &orphans) {
                let settled = |seen: &Seen| seen.counts.received >= BEFORE_THE_KILL;
                // One that was killed gets its line in the table.
                let _ = guest.process.until("hearing the speech", settled).await;
            }
        };
        tokio::select! {
            () = all_settle => {}
            ended = rooms[0].process.until("done speaking", |seen| seen.input_ended) => {
                return ended.map(|_| None);
            }
        }
        let Some(guest) = named(guests, &[victim]).next() else {
            return Ok(None);
        };
        let (pid, peer) = (guest.process.pid, guest.process.seen().peer);
        guest.process.kill()?;
        let text = format!(
            "{victim} (process {pid}) was killed with SIGKILL while {} took the speech from it.",
            orphans.join(" and ")
        );
        let event = json!({ "name": victim, "pid": pid, "children": orphans });
        self.face.result("killed", &event, &text)?;
        self.follow(guests, &orphans, peer).await?;
        Ok(Some(victim))
    }

    /// Tells to whom each of those turns who have lost this parent.
    async fn follow(
        &mut self,
        guests: &mut [Guest],
        orphans: &[&str],
        lost: Option<String>,
    ) -> anyhow::Result<()> {
        for guest in named(guests, orphans) {
            let found = |seen: &Seen| seen.parent.is_some() && seen.parent != lost;
            let Ok(seen) = guest.process.until("taken in by another", found).await else {
                continue;
            };
            let name = guest.plan.name;
            let to = self.names.of(seen.parent.as_ref()).unwrap_or("someone else");
            let event = json!({ "name": name, "to": to });
            self.face
                .result("moved", &event, &format!("{name} takes it from {to} now."))?;
        }
        Ok(())
    }

    /// Waits until all was said and heard, and ends the rooms.
    async fn listen(&mut self, rooms: &mut [Room], guests: &mut [Guest]) -> anyhow::Result<()> {
        for room in &mut *rooms {
            room.process
                .until("done speaking", |seen| seen.input_ended)
                .await?;
        }
        for guest in guests {
            // One that was killed gets its line in the table.
            let until = guest.process.seen().stats + LAST_WORDS;
            let _ = guest.process.until("counting", |seen| seen.stats >= until).await;
        }
        for room in rooms {
            room.end(&self.homes).await?;
        }
        Ok(())
    }

    /// Who hangs on whom in the first room.
    fn tree(&self, rooms: &[Room], guests: &[Guest]) -> Tree {
        let there = guests
            .iter()
            .filter(|guest| guest.plan.joins == 0)
            .map(|guest| &guest.process);
        let seen: Vec<(&'static str, Seen)> = std::iter::once(&rooms[0].process)
            .chain(there)
            .map(|process| (process.name(), process.seen()))
            .collect();
        Tree::of(seen.iter().map(|(name, seen)| (*name, seen)), &self.names)
    }

    fn show_tree(&mut self, rooms: &[Room], guests: &[Guest]) -> anyhow::Result<()> {
        let tree = self.tree(rooms, guests);
        let text = format!(
            "\nWho takes the sound of \"{}\" from whom:\n{}",
            rooms[0].clip.title,
            tree.drawing()
        );
        self.face.result("tree", &tree, &text)?;
        Ok(())
    }

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

    async fn open(&mut self, clip: Clip, meeting: &str, places: &[&str]) -> anyhow::Result<Room> {
        let input = clip.write_into(&self.homes)?;
        let input = format!("file:{}", input.display());
        let words = ["host", clip.title, "--tag", "demo", "--bootstrap", meeting];
        let seat = ["--input", &input, "--output", "none", "--wait-listeners", NEVER];
        let mut process = self.start(clip.host, &[&words, &seat, places].concat())?;
        let seen = process.until("open", |seen| seen.room.is_some()).await?;
        self.names.learn(clip.host, &seen);
        let (id, link) = seen.room.unwrap_or_default();
        Ok(Room {
            id,
            link,
            clip,
            process,
            before: 0,
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
        // Levelled it would be another sound than the one that was said.
        let seat = ["--input", "none", "--output", &output, "--leveling", "off"];
        let places = if plan.relays {
            &["--max-children", RELAY_PLACES][..]
        } else {
            &[]
        };
        self.start(plan.name, &[&["join"], join, &seat, places].concat())
    }

    fn wav(&self, plan: &Plan) -> PathBuf {
        self.heard.join(plan.name).with_extension("wav")
    }

    /// Compares what a listener heard with what it should have heard.
    fn judge(&self, guest: &Guest, seen: &Seen, clip: Clip) -> anyhow::Result<Row> {
        let wav = self.wav(&guest.plan);
        let said = clip.as_decoded(&self.homes)?;
        // No file, or none that can be read, is nothing heard.
        let heard = speech::read(&wav).unwrap_or_default();
        let moves = seen.moves.iter().skip(guest.before.1);
        let moved_to = moves.map(|peer| self.names.of(Some(peer)).unwrap_or("someone else"));
        Ok(Row::new(
            guest.plan.name,
            guest.process.pid,
            seen,
            moved_to.collect(),
            (score::matching(&said, &heard), wav),
        ))
    }
}

impl Room {
    async fn post(&self, homes: &Path, what: &str, body: &impl serde::Serialize) -> anyhow::Result<()> {
        let client = Client::of(&homes.join(self.clip.host))?;
        client.post(&format!("/v1/room/{}/{what}", self.id), body).await?;
        Ok(())
    }

    /// Ends the room for everyone, as its host does with `ctl end`.
    async fn end(&mut self, homes: &Path) -> anyhow::Result<()> {
        self.post(homes, "act", &Act::End).await?;
        self.process.ended().await;
        Ok(())
    }
}

/// Those guests that are called so.
fn named<'a>(guests: &'a mut [Guest], names: &[&str]) -> impl Iterator<Item = &'a mut Guest> {
    let is_named = move |guest: &&mut Guest| names.contains(&guest.plan.name);
    guests.iter_mut().filter(is_named)
}
