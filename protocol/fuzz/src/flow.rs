//! The flow under any history: places that change, sound, claims, pulls, and a driver that comes when it likes.
//!
//! What is delivered is new, signed and granted. What is sent as an answer or as history was delivered before and its
//! stay is on the stage; whatever is sent reads back, and goes to a neighbour that may get it. A timeout that was handled
//! is over.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use majlis_protocol::{
    media::{Check, Draft, Flow, Header, Own, Packet, Tag, Transmit, TransmitKind},
    neighbour::Neighbour,
    person::PersonKey,
    room::RoomId,
    wire::{
        datagram::{Builder, Datagram, Item},
        repair::{Known, Pull, Report, Run},
    },
};

use super::{log::key, script::Script};

const ROOM: RoomId = RoomId([7; 32]);

/// The flow, and what its driver knows.
struct World {
    flow: Flow,
    now: Duration,
    keys: [PersonKey; 2],
    granted: BTreeMap<Tag, u8>,
    children: BTreeSet<Neighbour>,
    standby_children: BTreeSet<Neighbour>,
    uplinks: BTreeSet<Neighbour>,
    sources: BTreeMap<Tag, Neighbour>,
    delivered: BTreeSet<Bytes>,
    recent: Vec<Bytes>,
    repaired: u64,
    sent: u64,
}

/// A flow, driven by a script.
pub fn flow(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let mut world = World {
        flow: Flow::new(ROOM, 64_000),
        now: Duration::ZERO,
        keys: [key(1), key(2)],
        granted: BTreeMap::new(),
        children: BTreeSet::new(),
        standby_children: BTreeSet::new(),
        uplinks: BTreeSet::new(),
        sources: BTreeMap::new(),
        delivered: BTreeSet::new(),
        recent: Vec::new(),
        repaired: 0,
        sent: 0,
    };
    while !script.is_over() {
        world.step(&mut script);
        world.settle();
    }
    assert_eq!(world.flow.counters().pulled, world.repaired);
    world.sent > 0
}

impl World {
    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(24) {
            0 => self.grant(script),
            1 => self.revoke(script),
            2 => {
                let parent = script.flag().then(|| neighbour(script));
                self.flow.set_parent(parent, self.now);
            }
            3 => {
                let standby = script.flag().then(|| neighbour(script));
                self.flow.set_standby(standby, self.now);
            }
            4 => {
                let child = neighbour(script);
                self.flow.add_child(child, self.now);
                self.standby_children.remove(&child);
                self.children.insert(child);
            }
            5 => {
                let child = neighbour(script);
                self.flow.add_standby_child(child, self.now);
                self.children.remove(&child);
                self.standby_children.insert(child);
            }
            6 => self.part(script),
            7 => {
                let (link, is_uplink) = (neighbour(script), script.flag());
                self.flow.set_uplink(link, is_uplink, self.now);
                if is_uplink {
                    self.uplinks.insert(link);
                } else {
                    self.uplinks.remove(&link);
                }
            }
            8 => {
                let (tag, link) = (tag(script), neighbour(script));
                self.flow.set_source(tag, Some(link));
                if self.granted.contains_key(&tag) {
                    self.sources.insert(tag, link);
                }
            }
            9 => {
                let rtt = Duration::from_millis(script.number().into());
                self.flow.set_rtt(neighbour(script), rtt);
            }
            10..13 => self.pass(Duration::from_millis(script.byte().into())),
            13 => {
                self.now = self
                    .now
                    .saturating_add(Duration::from_millis(script.number().into()))
            }
            14 => self.timeout(),
            15 => {
                let from = neighbour(script);
                let report = report(script);
                self.flow.handle_heartbeat(from, &report, self.now);
            }
            16 => {
                let from = neighbour(script);
                let report = report(script);
                self.flow.handle_digest(from, &report, self.now);
            }
            17 => self.pull(script),
            18 => self.speak(script),
            19 if !self.recent.is_empty() => {
                let at = usize::from(script.byte()) % self.recent.len();
                self.take(neighbour(script), self.recent[at].clone());
            }
            20 => {
                let (_, own) = self.packet(script);
                let mut bytes = own.packet().bytes().to_vec();
                script.spoil(&mut bytes);
                self.take(neighbour(script), bytes.into());
            }
            _ => {
                let (_, own) = self.packet(script);
                self.take(neighbour(script), own.packet().bytes().clone());
            }
        }
    }

    fn grant(&mut self, script: &mut Script<'_>) {
        let (tag, person) = (tag(script), script.below(2));
        if self.granted.get(&tag).is_some_and(|before| *before != person) {
            self.forget(tag);
        }
        self.granted.insert(tag, person);
        let granted = self.flow.grant(tag, self.keys[usize::from(person)].person());
        assert_eq!(granted, Ok(()));
    }

    fn revoke(&mut self, script: &mut Script<'_>) {
        let tag = tag(script);
        self.flow.revoke(tag);
        self.forget(tag);
    }

    fn forget(&mut self, tag: Tag) {
        self.granted.remove(&tag);
        self.sources.remove(&tag);
        self.delivered
            .retain(|packet| Packet::peek_tag(packet) != Some(tag));
    }

    fn part(&mut self, script: &mut Script<'_>) {
        let link = neighbour(script);
        self.children.remove(&link);
        self.standby_children.remove(&link);
        if script.flag() {
            self.flow.forget(link);
            self.uplinks.remove(&link);
            self.sources.retain(|_, source| *source != link);
        } else {
            self.flow.remove_child(link);
        }
    }

    fn pull(&mut self, script: &mut Script<'_>) {
        let from = neighbour(script);
        let run = Run {
            tag: tag(script),
            epoch: script.number() / 64,
            first: script.number() & 0xffff_ff0f,
            frames: 1 + script.below(100),
        };
        let live = script.flag();
        let pull = Pull {
            live,
            runs: vec![run],
        };
        self.flow.handle_pull(from, &pull, self.now);
    }

    /// Lets time pass as a driver does that comes when it was asked to.
    fn pass(&mut self, time: Duration) {
        let end = self.now.saturating_add(time);
        while let Some((due, _)) = self.flow.poll_timeout().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.timeout();
            self.settle();
        }
        self.now = self.now.max(end);
    }

    fn timeout(&mut self) {
        self.flow.handle_timeout(self.now);
        let next = self.flow.poll_timeout();
        assert!(
            next.is_none_or(|(due, _)| due > self.now || self.now == Duration::MAX),
            "what was due is due still: {next:?} at {:?}",
            self.now
        );
    }

    fn speak(&mut self, script: &mut Script<'_>) {
        let (person, own) = self.packet(script);
        let tag = own.packet().header().tag;
        if let Ok(delivery) = self.flow.commit_own(own, self.now) {
            assert_eq!(self.granted.get(&tag), Some(&person));
            assert!(self.delivered.insert(delivery.packet.bytes().clone()));
            assert!(!delivery.repaired);
            let gets = |to: &Neighbour| self.children.contains(to) || self.uplinks.contains(to);
            assert!(delivery.to.iter().all(gets));
        }
    }

    fn take(&mut self, from: Neighbour, bytes: Bytes) {
        let Ok(Check::Verify(candidate)) = self.flow.check(from, bytes.clone(), self.now) else {
            return;
        };
        match candidate.verify() {
            Ok(genuine) => {
                if let Ok(delivery) = self.flow.commit(genuine, self.now) {
                    assert!(self.delivered.insert(bytes), "delivered twice");
                    assert!(
                        delivery
                            .to
                            .iter()
                            .all(|to| self.children.contains(to) && *to != from)
                    );
                    self.repaired += u64::from(delivery.repaired);
                }
            }
            Err(forged) => {
                let _left = self.flow.note_forged(forged);
            }
        }
    }

    fn settle(&mut self) {
        while let Some(transmit) = self.flow.poll_transmit() {
            self.sent += 1;
            self.read(&transmit);
        }
        while self.flow.poll_signal().is_some() {}
    }

    fn read(&self, transmit: &Transmit) {
        let mut builder = Builder::new(0, 1_200);
        assert!(builder.push(&transmit.item), "an item fits a datagram");
        let mut items = Datagram::parse(builder.finish()).expect("a datagram").items;
        let item = items.next().expect("an item").expect("one that reads back");
        let to = transmit.to;
        let (child, uplink) = (self.children.contains(&to), self.uplinks.contains(&to));
        match (transmit.kind, item) {
            (TransmitKind::Heartbeat, Item::Heartbeat(_)) => assert!(child || uplink),
            (TransmitKind::Digest, Item::Digest(_)) => assert!(self.standby_children.contains(&to)),
            (TransmitKind::Pull, Item::Pull(_)) => assert!(
                self.flow.parent() == Some(to)
                    || self.flow.standby() == Some(to)
                    || self.sources.values().any(|source| *source == to)
            ),
            (TransmitKind::History, Item::Media(packet)) => {
                assert!(child && self.delivered.contains(&packet));
            }
            (TransmitKind::Answer, Item::Media(packet)) => {
                assert!(child || uplink || self.standby_children.contains(&to));
                assert!(self.delivered.contains(&packet), "an answer that nobody heard");
            }
            (kind, item) => panic!("{kind:?} is no {item:?}"),
        }
    }

    fn packet(&mut self, script: &mut Script<'_>) -> (u8, Own) {
        let person = script.below(2);
        let header = Header {
            tag: tag(script),
            epoch: script.number() / 64,
            sequence: script.number() & 0xffff_ff3f,
            time: 0,
            log: 0,
            level: 40,
            end_of_spurt: script.below(8) == 1,
        };
        let frames = vec![&b"frame"[..]; 1 + usize::from(script.below(3))];
        let draft = Draft {
            header,
            frames: &frames,
            redundant: &[],
        };
        let own = draft
            .sign(ROOM, &self.keys[usize::from(person)])
            .expect("a valid draft");
        if self.recent.len() == 16 {
            self.recent.remove(0);
        }
        self.recent.push(own.packet().bytes().clone());
        (person, own)
    }
}

fn report(script: &mut Script<'_>) -> Report {
    let known = Known {
        tag: tag(script),
        epoch: script.number() / 64,
        newest: script.number(),
        in_spurt: script.flag(),
    };
    Report {
        starving: script.flag(),
        promise_ms: 1 + u16::from(script.byte()),
        missed: script.byte().into(),
        streams: vec![known],
    }
}

fn neighbour(script: &mut Script<'_>) -> Neighbour {
    Neighbour(script.below(5).into())
}

fn tag(script: &mut Script<'_>) -> Tag {
    Tag([0xaa, 0xbb, 0xcc, script.below(3)])
}
