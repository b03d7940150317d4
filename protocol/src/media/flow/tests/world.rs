//! Flows in a simulated room: links with delay and loss, relays with faults, and a virtual clock.
//!
//! After every step it asserts what must always hold: nobody hears a packet twice, nobody is sent back what they sent,
//! and a machine whose timeout was handled asks for a later one.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    media::{
        Check, Complaint, Delivery, Draft, Flow, Genuine, Header, Own, Packet, Signal, Tag, TransmitKind,
    },
    neighbour::Neighbour,
    person::PersonKey,
    room::RoomId,
    sim::link::{Link, Profile, Verdict},
    wire::{
        datagram::{Builder, Datagram, Item},
        repair::{Known, Report},
    },
};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const TICK: Duration = Duration::from_millis(20);
pub(super) const ROOM: RoomId = RoomId([7; 32]);
pub(super) const BITRATE: u32 = 32_000;

/// Number of a node. At every node, the link to another has that one's number.
pub(super) type Id = usize;

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// It is gone: it hears nothing and says nothing.
    Dead,
    /// It sends a heartbeat in place of every media packet, which names what it withholds, or nothing.
    Withholds {
        openly: bool,
    },
    /// It does not forward every n-th packet.
    DropsEvery(u32),
    /// It forwards half a second of packets, and from then on those again and again in place of new ones.
    Replays,
    /// It forwards, in place of every packet, the one that came so many before.
    LagsBy(usize),
    /// It does nothing until then, and after that everything at once.
    StallsUntil(Duration),
}

pub(super) struct Node {
    pub(super) flow: Flow,
    pub(super) fault: Fault,
    /// When each frame came first.
    pub(super) heard: BTreeMap<(Tag, u32, u32), Duration>,
    /// Frames that came as the answer to a pull.
    pub(super) repaired: u32,
    pub(super) signals: Vec<(Duration, Signal)>,
    /// Whether it moves to its standby when it is told to part.
    pub(super) moves: bool,
    wake: Option<Duration>,
    forwarded: u32,
    /// The packets that it has forwarded or should have.
    kept: Vec<Bytes>,
}

enum Event {
    Arrive { from: Id, to: Id, datagram: Bytes },
    Wake { node: Id },
    Speak { node: Id, own: Own },
    Fault { node: Id, fault: Fault },
    Move { node: Id },
}

pub(super) struct World {
    pub(super) now: Duration,
    pub(super) nodes: Vec<Node>,
    links: BTreeMap<(Id, Id), Link>,
    profile: Profile,
    events: BTreeMap<(Duration, u64), Event>,
    number: u64,
    /// The next packet with this sequence from one to another is lost.
    pub(super) lose: BTreeSet<(Id, Id, u32)>,
    genuine: BTreeSet<Bytes>,
    /// When each frame was spoken.
    pub(super) spoken: BTreeMap<(Tag, u32, u32), Duration>,
    /// Items sent, by what they are.
    pub(super) sent: BTreeMap<TransmitKind, u32>,
}

/// What one person says.
pub(super) struct Voice {
    pub(super) node: Id,
    pub(super) person: u8,
    pub(super) epoch: u32,
    sequence: u32,
    time: u32,
}

pub(super) fn tag(person: u8) -> Tag {
    Tag([0xaa, 0xbb, 0xcc, person])
}

pub(super) fn key(person: u8) -> PersonKey {
    PersonKey::from_seed(&[person + 1; 32])
}

impl World {
    /// A room whose links all have this profile.
    pub(super) fn new(profile: &str, seed: u64) -> Self {
        let mut profile: Profile = profile.parse().expect("a profile");
        profile.seed = seed;
        Self {
            now: Duration::from_secs(1000),
            nodes: vec![],
            links: BTreeMap::new(),
            profile,
            events: BTreeMap::new(),
            number: 0,
            lose: BTreeSet::new(),
            genuine: BTreeSet::new(),
            spoken: BTreeMap::new(),
            sent: BTreeMap::new(),
        }
    }

    /// Adds a node that grants the stage to persons 0 to 3.
    pub(super) fn node(&mut self) -> Id {
        let mut flow = Flow::new(ROOM, BITRATE);
        for person in 0..4 {
            flow.grant(tag(person), key(person).person()).expect("a key");
        }
        self.nodes.push(Node {
            flow,
            fault: Fault::None,
            heard: BTreeMap::new(),
            repaired: 0,
            signals: vec![],
            moves: true,
            wake: None,
            forwarded: 0,
            kept: vec![],
        });
        self.nodes.len() - 1
    }

    /// A node that takes its sound from one and keeps another in reserve.
    pub(super) fn member(&mut self, parent: Id, standby: Option<Id>) -> Id {
        let node = self.node();
        self.attach(node, parent);
        self.reserve(node, standby);
        node
    }

    pub(super) fn attach(&mut self, node: Id, parent: Id) {
        let now = self.now;
        self.nodes[node].flow.set_parent(Some(link(parent)), now);
        self.nodes[parent].flow.add_child(link(node), now);
        self.settle(parent);
        self.settle(node);
    }

    pub(super) fn reserve(&mut self, node: Id, standby: Option<Id>) {
        let now = self.now;
        self.nodes[node].flow.set_standby(standby.map(link), now);
        if let Some(standby) = standby {
            self.nodes[node]
                .flow
                .set_rtt(link(standby), self.profile.delay * 2);
            self.nodes[standby].flow.add_standby_child(link(node), now);
            self.settle(standby);
        }
        if let Some(parent) = self.nodes[node].flow.parent() {
            self.nodes[node].flow.set_rtt(parent, self.profile.delay * 2);
        }
        self.settle(node);
    }

    /// A node outside the tree that speaks to this one.
    pub(super) fn speaker(&mut self, root: Id, person: u8) -> Id {
        let (node, now) = (self.node(), self.now);
        self.nodes[node].flow.set_uplink(link(root), true, now);
        self.nodes[root].flow.set_source(tag(person), Some(link(node)));
        self.settle(node);
        node
    }

    pub(super) fn profile_between(&mut self, one: Id, other: Id, profile: &str) {
        let mut profile: Profile = profile.parse().expect("a profile");
        profile.seed = self.profile.seed;
        for (from, to) in [(one, other), (other, one)] {
            self.links
                .insert((from, to), Link::new(&profile, number(from, to)));
        }
    }

    pub(super) fn fault(&mut self, node: Id, fault: Fault, at: Duration) {
        self.push(at, Event::Fault { node, fault });
    }

    /// Speaks one packet of one frame each tick, from a time on; the last ends the spurt. Returns when it ends.
    pub(super) fn speak(&mut self, voice: &mut Voice, from: Duration, frames: u32) -> Duration {
        let mut at = from;
        for frame in 0..frames {
            let own = voice.say(1, frame + 1 == frames);
            at = from + TICK * frame;
            self.say(voice.node, own, at);
        }
        voice.time += 50;
        at
    }

    pub(super) fn say(&mut self, node: Id, own: Own, at: Duration) {
        self.genuine.insert(own.packet().bytes().clone());
        for frame in frames(own.packet()) {
            self.spoken.insert(frame, at);
        }
        self.push(at, Event::Speak { node, own });
    }

    /// Lets time pass.
    pub(super) fn run_until(&mut self, end: Duration) {
        while let Some(entry) = self.events.first_entry() {
            let (at, _) = *entry.key();
            if at > end {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(at);
            self.step(event);
        }
        self.now = end;
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// How late each frame that was spoken came to a node, after a path of this delay; nothing for one that did not.
    pub(super) fn lateness(&self, node: Id, path: Duration) -> Vec<((Tag, u32, u32), Option<Duration>)> {
        let late = |(frame, spoken): (&(Tag, u32, u32), &Duration)| {
            let heard = self.nodes[node].heard.get(frame);
            (*frame, heard.map(|heard| heard.saturating_sub(*spoken + path)))
        };
        self.spoken.iter().map(late).collect()
    }

    /// Frames that did not come to a node within so long of their earliest arrival.
    pub(super) fn missed(&self, node: Id, path: Duration, within: Duration) -> Vec<(Tag, u32, u32)> {
        let missed = |late: &Option<Duration>| late.is_none_or(|late| late > within);
        let late = self.lateness(node, path).into_iter();
        late.filter(|(_, late)| missed(late))
            .map(|(frame, _)| frame)
            .collect()
    }

    /// What a node was told to part for.
    pub(super) fn complaints(&self, node: Id) -> Vec<Complaint> {
        let why = |(_, signal): &(Duration, Signal)| match signal {
            Signal::Parting { why, .. } => Some(*why),
            Signal::StandbySilent { .. } | Signal::Strained => None,
        };
        self.nodes[node].signals.iter().filter_map(why).collect()
    }

    /// Hands a datagram with one item to a node.
    pub(super) fn hand(&mut self, from: Id, to: Id, item: &Bytes) {
        self.arrive(from, to, datagram(item));
    }

    fn step(&mut self, event: Event) {
        let node = match event {
            Event::Arrive { to, .. } => to,
            Event::Speak { node, .. } | Event::Wake { node } => node,
            Event::Fault { node, fault } => {
                self.nodes[node].fault = fault;
                return;
            }
            Event::Move { node } => return self.move_to_standby(node),
        };
        match self.nodes[node].fault {
            Fault::Dead => return,
            Fault::StallsUntil(end) if self.now < end => return self.push(end, event),
            _ => {}
        }
        match event {
            Event::Arrive { from, to, datagram } => self.arrive(from, to, datagram),
            Event::Speak { node, own } => {
                let now = self.now;
                match self.nodes[node].flow.commit_own(own, now) {
                    Ok(delivery) => self.deliver(node, &delivery, None),
                    Err(dropped) => panic!("own sound was dropped: {dropped}"),
                }
                self.settle(node);
            }
            Event::Wake { node } => self.wake(node),
            Event::Fault { .. } | Event::Move { .. } => unreachable!("handled above"),
        }
    }

    fn wake(&mut self, node: Id) {
        let now = self.now;
        if self.nodes[node].wake.is_none_or(|wake| wake > now) {
            return;
        }
        let flow = &mut self.nodes[node].flow;
        flow.handle_timeout(now);
        let next = flow.poll_timeout();
        assert!(
            next.is_none_or(|(due, _)| due > now),
            "node {node} at {now:?}: what was due is still due: {next:?}"
        );
        self.settle(node);
    }

    fn arrive(&mut self, from: Id, to: Id, bytes: Bytes) {
        let now = self.now;
        for item in Datagram::parse(bytes).expect("a datagram").items {
            let flow = &mut self.nodes[to].flow;
            match item.expect("an item") {
                Item::Media(packet) => self.judge(from, to, packet),
                Item::Heartbeat(report) => flow.handle_heartbeat(link(from), &report, now),
                Item::Digest(report) => flow.handle_digest(link(from), &report, now),
                Item::Pull(pull) => flow.handle_pull(link(from), &pull, now),
            }
        }
        self.settle(to);
    }

    fn judge(&mut self, from: Id, to: Id, bytes: Bytes) {
        let (now, is_genuine) = (self.now, self.genuine.contains(&bytes));
        let flow = &mut self.nodes[to].flow;
        let Ok(Check::Verify(candidate)) = flow.check(link(from), bytes, now) else {
            return;
        };
        // A signature that this world made need not be checked at every node.
        let verified = if is_genuine {
            Ok(Genuine {
                from: candidate.from,
                packet: candidate.packet,
                person: candidate.person,
            })
        } else {
            candidate.verify()
        };
        match verified {
            Ok(genuine) => {
                if let Ok(delivery) = flow.commit(genuine, now) {
                    self.deliver(to, &delivery, Some(from));
                }
            }
            Err(forged) => {
                let _counted = flow.note_forged(forged);
            }
        }
    }

    fn deliver(&mut self, node: Id, delivery: &Delivery, from: Option<Id>) {
        let now = self.now;
        for frame in frames(&delivery.packet) {
            let before = self.nodes[node].heard.insert(frame, now);
            assert_eq!(before, None, "node {node} heard {frame:?} twice");
            self.nodes[node].repaired += u32::from(delivery.repaired);
        }
        for to in &delivery.to {
            let to = usize::try_from(to.0).expect("a node");
            assert_ne!(Some(to), from, "node {node} sent a packet back");
            self.forward(node, to, delivery.packet.bytes());
        }
    }

    fn forward(&mut self, node: Id, to: Id, packet: &Bytes) {
        self.nodes[node].forwarded += 1;
        match self.nodes[node].fault {
            Fault::Withholds { openly } => {
                let heartbeat = heartbeat(packet, openly);
                self.send(node, to, &heartbeat);
            }
            Fault::DropsEvery(n) if self.nodes[node].forwarded.is_multiple_of(n) => {}
            fault @ (Fault::Replays | Fault::LagsBy(_)) => {
                let kept = &mut self.nodes[node].kept;
                kept.push(packet.clone());
                let newest = kept.len() - 1;
                let old = match fault {
                    Fault::LagsBy(back) => newest.saturating_sub(back),
                    _ => newest % 25,
                };
                let old = kept[old].clone();
                self.send(node, to, &old);
            }
            _ => self.send(node, to, packet),
        }
    }

    /// Sends what a node has to say, and comes back to it when it wants.
    fn settle(&mut self, node: Id) {
        while let Some(transmit) = self.nodes[node].flow.poll_transmit() {
            let to = usize::try_from(transmit.to.0).expect("a node");
            *self.sent.entry(transmit.kind).or_default() += 1;
            match transmit.kind {
                TransmitKind::Answer | TransmitKind::History => self.forward(node, to, &transmit.item),
                _ => self.send(node, to, &transmit.item),
            }
        }
        while let Some(signal) = self.nodes[node].flow.poll_signal() {
            let parts = matches!(signal, Signal::Parting { why, .. } if why != Complaint::Poor);
            self.nodes[node].signals.push((self.now, signal));
            if parts && self.nodes[node].moves && self.nodes[node].flow.standby().is_some() {
                // A round trip on the control substream.
                self.push(self.now + self.profile.delay * 2, Event::Move { node });
            }
        }
        let due = self.nodes[node].flow.poll_timeout().map(|(due, _)| due);
        if due != self.nodes[node].wake {
            self.nodes[node].wake = due;
            if let Some(due) = due {
                assert!(due >= self.now, "a timeout in the past");
                self.push(due, Event::Wake { node });
            }
        }
    }

    fn move_to_standby(&mut self, node: Id) {
        let Some(standby) = self.nodes[node].flow.standby() else {
            return;
        };
        self.attach(node, usize::try_from(standby.0).expect("a node"));
        self.reserve(node, None);
    }

    fn send(&mut self, from: Id, to: Id, item: &Bytes) {
        let packet = Packet::parse(item.clone()).ok();
        if packet.is_some_and(|packet| self.lose.remove(&(from, to, packet.header().sequence))) {
            return;
        }
        let profile = &self.profile;
        let between = self
            .links
            .entry((from, to))
            .or_insert_with(|| Link::new(profile, number(from, to)));
        if let Verdict::Deliver(at) = between.offer(self.now) {
            let datagram = datagram(item);
            self.push(at, Event::Arrive { from, to, datagram });
        }
    }

    fn push(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.events.insert((at, self.number), event);
    }
}

impl Voice {
    pub(super) fn new(node: Id, person: u8) -> Self {
        Self {
            node,
            person,
            epoch: 900,
            sequence: 0,
            time: 0,
        }
    }

    /// A stream that has been on for long.
    pub(super) fn at(node: Id, person: u8, sequence: u32) -> Self {
        Self {
            sequence,
            time: sequence,
            ..Self::new(node, person)
        }
    }

    /// The next packet.
    pub(super) fn say(&mut self, frames: u32, end_of_spurt: bool) -> Own {
        let header = Header {
            tag: tag(self.person),
            epoch: self.epoch,
            sequence: self.sequence,
            time: self.time,
            log: 0,
            level: 30,
            end_of_spurt,
        };
        self.sequence += frames;
        self.time += frames;
        let draft = Draft {
            header,
            frames: &[&[0x5a_u8; 40][..]; 3][..frames as usize],
            redundant: &[],
        };
        draft.sign(ROOM, &key(self.person)).expect("a valid draft")
    }
}

pub(super) fn link(node: Id) -> Neighbour {
    Neighbour(node as u64)
}

fn number(from: Id, to: Id) -> u64 {
    (from * 1000 + to) as u64
}

fn datagram(item: &Bytes) -> Bytes {
    let mut builder = Builder::new(0, 1200);
    assert!(builder.push(item), "an item fits a datagram");
    builder.finish()
}

/// A heartbeat that tells of this packet, or of nothing.
fn heartbeat(packet: &Bytes, openly: bool) -> Bytes {
    let header = *Packet::parse(packet.clone()).expect("a packet").header();
    let known = Known {
        tag: header.tag,
        epoch: header.epoch,
        newest: header.sequence,
        in_spurt: true,
    };
    let report = Report {
        starving: false,
        promise_ms: 40,
        missed: 0,
        streams: if openly { vec![known] } else { vec![] },
    };
    report.encode_heartbeat().expect("valid")
}

/// The frames of a packet.
pub(super) fn frames(packet: &Packet) -> impl Iterator<Item = (Tag, u32, u32)> + use<> {
    let header = *packet.header();
    (0..packet.frame_count()).map(move |frame| (header.tag, header.epoch, header.sequence + frame))
}
