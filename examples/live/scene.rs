//! The room as its members tell of it, each by its own events: who hangs below whom, who would step in, what was heard.
//!
//! Nothing here asks anybody: what a member has not told is not known.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

/// What a member is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Opens the room.
    Host,
    /// Was invited to the stage.
    Speaker,
    /// A process that relays.
    Relay,
    /// A node inside this process.
    Node,
}

/// The room.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    members: BTreeMap<String, Member>,
    names: BTreeMap<String, String>,
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) part: Part,
    /// The number of its process.
    pub(crate) pid: Option<u32>,
    /// Its end of every link, once it listens.
    pub(crate) peer: String,
    /// The id and link of the room that it opened.
    pub(crate) room: Option<(String, String)>,
    /// Its person, once it has joined.
    pub(crate) key: Option<String>,
    /// Hops from the root, as it says.
    pub(crate) depth: u64,
    /// The name of the member that it takes sound from.
    pub(crate) parent: Option<String>,
    /// The name of the member that would step in.
    pub(crate) standby: Option<String>,
    /// How many took sound from it, and since when, in Unix milliseconds.
    pub(crate) children: Vec<(u64, usize)>,
    /// Who takes sound from it.
    child_peers: BTreeSet<String>,
    /// Each change of its parent.
    pub(crate) moves: Vec<Move>,
    /// What became of each action that it saw in the log.
    pub(crate) log: Vec<String>,
    /// Sequence of the first frame that it heard.
    pub(crate) first_heard: Option<u64>,
    /// What it counted last.
    pub(crate) counts: Counts,
    /// What it sent, second by second: when, packets, own frames.
    pub(crate) sent: Vec<(u64, u64, u64)>,
    /// How often it has told its counts.
    pub(crate) told: u64,
    /// Whether its counts say what the link emulator did: it was built with it.
    pub(crate) has_emulator: bool,
    /// When it was taken away on purpose, in Unix milliseconds.
    pub(crate) struck: Option<u64>,
    /// Whether it is in the room no more, and why.
    pub(crate) left: Option<String>,
}

/// A change of a parent.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Move {
    /// Unix milliseconds.
    pub(crate) at_ms: u64,
    /// The new parent's name; none while there was none.
    pub(crate) to: Option<String>,
    /// As the event says.
    pub(crate) reason: String,
}

/// What a listener counted since it joined, over all speakers; and what it sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    pub(crate) expected: u64,
    pub(crate) lost: u64,
    pub(crate) fec: u64,
    pub(crate) concealed: u64,
    pub(crate) repaired: u64,
    pub(crate) late: u64,
    /// Grows when a gap was longer than all before.
    pub(crate) longest_gap_ms: u64,
    pub(crate) stalls: u64,
    pub(crate) sent_packets: u64,
    pub(crate) pulled_packets: u64,
    pub(crate) sent_frames: u64,
}

impl Counts {
    /// What a `stats` or `summary` event counts.
    fn of(stats: &Value) -> Self {
        let streams: Vec<&Value> = stats["streams"].as_array().into_iter().flatten().collect();
        let count = |stream: &&Value, name: &str| stream[name].as_u64().unwrap_or(0);
        let sum = |name: &str| streams.iter().map(|stream| count(stream, name)).sum();
        let own = |name: &str| stats[name].as_u64().unwrap_or(0);
        Self {
            received: sum("received"),
            expected: sum("expected"),
            lost: sum("lost"),
            fec: sum("fec"),
            concealed: sum("concealed"),
            repaired: sum("repaired"),
            late: sum("late"),
            longest_gap_ms: streams
                .iter()
                .map(|stream| count(stream, "longest_gap_ms"))
                .max()
                .unwrap_or(0),
            stalls: own("stalls"),
            sent_packets: own("sent_packets"),
            pulled_packets: own("pulled_packets"),
            sent_frames: own("sent_frames"),
        }
    }

    /// What came in the time since `before`. The longest gap is one of that time only if it grew in it.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let gap = self.longest_gap_ms;
        Self {
            received: self.received - before.received.min(self.received),
            expected: self.expected - before.expected.min(self.expected),
            lost: self.lost - before.lost.min(self.lost),
            fec: self.fec - before.fec.min(self.fec),
            concealed: self.concealed - before.concealed.min(self.concealed),
            repaired: self.repaired - before.repaired.min(self.repaired),
            late: self.late - before.late.min(self.late),
            longest_gap_ms: if gap > before.longest_gap_ms { gap } else { 0 },
            stalls: self.stalls - before.stalls.min(self.stalls),
            sent_packets: self.sent_packets - before.sent_packets.min(self.sent_packets),
            pulled_packets: self.pulled_packets - before.pulled_packets.min(self.pulled_packets),
            sent_frames: self.sent_frames - before.sent_frames.min(self.sent_frames),
        }
    }

    /// The counts of two times together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            received: self.received + other.received,
            expected: self.expected + other.expected,
            lost: self.lost + other.lost,
            fec: self.fec + other.fec,
            concealed: self.concealed + other.concealed,
            repaired: self.repaired + other.repaired,
            late: self.late + other.late,
            longest_gap_ms: self.longest_gap_ms.max(other.longest_gap_ms),
            stalls: self.stalls + other.stalls,
            sent_packets: self.sent_packets + other.sent_packets,
            pulled_packets: self.pulled_packets + other.pulled_packets,
            sent_frames: self.sent_frames + other.sent_frames,
        }
    }
}

impl Member {
    fn new(name: &str, part: Part, pid: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            part,
            pid,
            peer: String::new(),
            room: None,
            key: None,
            depth: 0,
            parent: None,
            standby: None,
            children: Vec::new(),
            child_peers: BTreeSet::new(),
            moves: Vec::new(),
            log: Vec::new(),
            first_heard: None,
            counts: Counts::default(),
            sent: Vec::new(),
            told: 0,
            has_emulator: false,
            struck: None,
            left: None,
        }
    }

    /// Whether it is in the room.
    pub(crate) fn is_here(&self) -> bool {
        self.key.is_some() && self.struck.is_none() && self.left.is_none()
    }

    /// Whether it is there to listen.
    pub(crate) fn listens(&self) -> bool {
        matches!(self.part, Part::Relay | Part::Node)
    }
}

impl Scene {
    /// Adds a member that is about to start.
    pub(crate) fn add(&mut self, name: &str, part: Part, pid: Option<u32>) {
        self.members.insert(name.to_owned(), Member::new(name, part, pid));
    }

    /// One of them, whether it is still there or not.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members.get(name)
    }

    /// All of them.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Those who are in the room, in the order of their names.
    pub(crate) fn here(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.is_here())
    }

    /// Those who take sound from a member.
    pub(crate) fn children_of(&self, name: &str) -> impl Iterator<Item = &Member> {
        self.here()
            .filter(move |member| member.parent.as_deref() == Some(name))
    }

    /// Everyone below a member, nearest first.
    pub(crate) fn below(&self, name: &str) -> Vec<&Member> {
        let mut found: Vec<&Member> = self.children_of(name).collect();
        let mut at = 0;
        // Two that move at once may name each other for a moment.
        while let Some(next) = found.get(at).map(|member| member.name.clone()) {
            for child in self.children_of(&next) {
                if child.name != name && !found.iter().any(|member| member.name == child.name) {
                    found.push(child);
                }
            }
            at += 1;
        }
        found
    }

    /// A member was taken away on purpose.
    pub(crate) fn strike(&mut self, name: &str, at_ms: u64) {
        if let Some(member) = self.members.get_mut(name) {
            member.struck = Some(at_ms);
        }
    }

    /// A member tells no more.
    pub(crate) fn gone(&mut self, name: &str) {
        if let Some(member) = self.members.get_mut(name)
            && member.left.is_none()
        {
            member.left = Some("ended without a word".to_owned());
        }
    }

    /// Takes what an event of a member says.
    pub(crate) fn learn(&mut self, name: &str, event: &Value) {
        let text = |field: &str| event[field].as_str().map(str::to_owned);
        let at_ms = event["at_ms"].as_u64().unwrap_or(0);
        if event["event"] == "listening" {
            self.names
                .insert(text("peer").unwrap_or_default(), name.to_owned());
        }
        let named = |field: &str| text(field).map(|peer| self.names.get(&peer).cloned().unwrap_or(peer));
        let (peer, parent) = (named("peer"), named("parent"));
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        match event["event"].as_str().unwrap_or_default() {
            "listening" => member.peer = text("peer").unwrap_or_default(),
            "room" => member.room = text("id").zip(text("link")),
            "joined" => {
                member.key = text("key");
                member.parent = parent;
                member.depth = event["depth"].as_u64().unwrap_or(0);
            }
            "parent" => {
                member.parent.clone_from(&peer);
                member.depth = event["depth"].as_u64().unwrap_or(0);
                member.moves.push(Move {
                    at_ms,
                    to: peer,
                    reason: text("reason").unwrap_or_default(),
                });
            }
            "standby" => member.standby = peer,
            "child" => {
                let peer = text("peer").unwrap_or_default();
                if event["added"] == true {
                    member.child_peers.insert(peer);
                } else {
                    member.child_peers.remove(&peer);
                }
                member.children.push((at_ms, member.child_peers.len()));
            }
            "log" => member.log.extend(text("action")),
            "first_audio" => {
                member.first_heard = member.first_heard.or(event["seq"].as_u64());
            }
            "stats" | "summary" => {
                member.counts = Counts::of(event);
                member.told += 1;
                member.has_emulator = event.get("emulator_dropped").is_some();
                let Counts {
                    sent_packets,
                    sent_frames,
                    ..
                } = member.counts;
                member.sent.push((at_ms, sent_packets, sent_frames));
            }
            "left" => member.left = text("reason"),
            _ => {}
        }
    }
}
