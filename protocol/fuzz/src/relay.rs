//! The relay under any history: speech, forgery, replay, and a room that changes meanwhile.
//!
//! What is delivered was signed by the stay's person for this room, is new, and goes back to nobody. Each decision
//! is counted once.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use majlis_protocol::{
    media::{Candidate, Check, Draft, FORGED_BOUND, Genuine, Header, Own, Packet, Relay, Tag},
    neighbour::Neighbour,
    person::PersonKey,
    room::RoomId,
};

use super::{log::key, script::Script};

const ROOM: RoomId = RoomId([7; 32]);

/// The relay, and what its driver knows.
struct World {
    relay: Relay,
    now: Duration,
    keys: [PersonKey; 3],
    granted: BTreeMap<Tag, u8>,
    children: BTreeSet<Neighbour>,
    /// Packets that a person signed for this room.
    signed: BTreeSet<(u8, Bytes)>,
    /// What was heard of each stay that is on the stage.
    heard: BTreeSet<(Tag, u32, u32)>,
    /// The last packets, to come again.
    recent: Vec<Bytes>,
    /// Verifications under way.
    verifying: Vec<Candidate>,
    decided: Decided,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Decided {
    delivered: u64,
    own: u64,
    dropped: u64,
    forged: u64,
}

/// A relay, driven by a script.
pub fn relay(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let mut world = World {
        relay: Relay::new(ROOM, 1 + u32::from(script.byte()) * 1000),
        now: Duration::ZERO,
        keys: [key(1), key(2), key(3)],
        granted: BTreeMap::new(),
        children: BTreeSet::new(),
        signed: BTreeSet::new(),
        heard: BTreeSet::new(),
        recent: Vec::new(),
        verifying: Vec::new(),
        decided: Decided::default(),
    };
    while !script.is_over() {
        world.step(&mut script);
        let counters = world.relay.counters();
        let counted = Decided {
            delivered: counters.delivered,
            own: counters.own,
            dropped: counters.refused
                + counters.malformed
                + counters.budget
                + counters.stale
                + counters.duplicate,
            forged: counters.forged,
        };
        assert_eq!(counted, world.decided, "each decision is counted once");
    }
    world.decided.delivered > 0
}

impl World {
    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(20) {
            0 | 1 => self.grant(script),
            2 => self.revoke(script),
            3 => self.relay.set_parent(script.flag().then(|| neighbour(script))),
            4 => self.relay.set_source(tag(script), Some(neighbour(script))),
            5 => {
                let child = neighbour(script);
                self.relay.add_child(child);
                self.children.insert(child);
            }
            6 => self.forget(script),
            7 => self.relay.set_head(script.number()),
            8 => self.relay.set_bitrate(script.u32()),
            9 => {
                self.now = self
                    .now
                    .saturating_add(Duration::from_millis(script.number().into()))
            }
            10 => {
                for (from, bytes) in self.relay.take_released(self.now) {
                    self.take(from, bytes);
                }
            }
            11 => {
                for candidate in core::mem::take(&mut self.verifying) {
                    self.finish(candidate);
                }
            }
            12 => self.speak(script),
            13 => {
                let from = neighbour(script);
                let length = usize::from(script.byte()) * 5;
                self.take(from, script.bytes(length));
            }
            14 => self.spoiled(script),
            15 if !self.recent.is_empty() => {
                let at = usize::from(script.byte()) % self.recent.len();
                self.take(neighbour(script), self.recent[at].clone());
            }
            16 => self.late(script),
            _ => {
                let (_, own) = self.packet(script);
                self.take(neighbour(script), own.packet().bytes().clone());
            }
        }
    }

    fn grant(&mut self, script: &mut Script<'_>) {
        let (tag, person) = (tag(script), script.below(3));
        let known = self.granted.insert(tag, person);
        if known != Some(person) {
            self.heard.retain(|(stay, ..)| *stay != tag);
        }
        let granted = self.relay.grant(tag, self.keys[usize::from(person)].person());
        assert_eq!(granted, Ok(()));
    }

    fn revoke(&mut self, script: &mut Script<'_>) {
        let tag = tag(script);
        self.relay.revoke(tag);
        self.granted.remove(&tag);
        self.heard.retain(|(stay, ..)| *stay != tag);
    }

    fn forget(&mut self, script: &mut Script<'_>) {
        let neighbour = neighbour(script);
        self.children.remove(&neighbour);
        if script.flag() {
            self.relay.forget(neighbour);
        } else {
            self.relay.remove_child(neighbour);
        }
    }

    /// A packet with one byte changed.
    fn spoiled(&mut self, script: &mut Script<'_>) {
        let (_, own) = self.packet(script);
        let mut bytes = own.packet().bytes().to_vec();
        script.spoil(&mut bytes);
        self.take(neighbour(script), bytes.into());
    }

    /// A packet whose verification ends later.
    fn late(&mut self, script: &mut Script<'_>) {
        let (_, own) = self.packet(script);
        match self
            .relay
            .check(neighbour(script), own.packet().bytes().clone(), self.now)
        {
            Ok(Check::Verify(candidate)) => self.verifying.push(candidate),
            Ok(Check::Held) => {}
            Err(_) => self.decided.dropped += 1,
        }
    }

    /// This member's own sound.
    fn speak(&mut self, script: &mut Script<'_>) {
        let (person, own) = self.packet(script);
        let header = *own.packet().header();
        match self.relay.commit_own(own, self.now) {
            Ok(_) => {
                self.decided.own += 1;
                assert_eq!(self.granted.get(&header.tag), Some(&person));
                assert!(self.heard.insert((header.tag, header.epoch, header.sequence)));
            }
            Err(_) => self.decided.dropped += 1,
        }
    }

    fn take(&mut self, from: Neighbour, bytes: Bytes) {
        match self.relay.check(from, bytes, self.now) {
            Ok(Check::Verify(candidate)) => self.finish(candidate),
            Ok(Check::Held) => {}
            Err(_) => self.decided.dropped += 1,
        }
    }

    fn finish(&mut self, candidate: Candidate) {
        match candidate.verify() {
            Ok(genuine) => self.commit(genuine),
            Err(forged) => {
                self.decided.forged += 1;
                let left = self.relay.note_forged(forged);
                assert!(left.is_none() || self.decided.forged >= u64::from(FORGED_BOUND));
            }
        }
    }

    fn commit(&mut self, genuine: Genuine) {
        let Ok(delivery) = self.relay.commit(genuine, self.now) else {
            self.decided.dropped += 1;
            return;
        };
        self.decided.delivered += 1;
        let header = delivery.packet.header();
        let person = self.granted.get(&header.tag).expect("only the stage is heard");
        assert_eq!(delivery.speaker, self.keys[usize::from(*person)].person());
        assert!(
            self.signed.contains(&(*person, delivery.packet.bytes().clone())),
            "forged sound"
        );
        assert!(
            self.heard.insert((header.tag, header.epoch, header.sequence)),
            "heard twice"
        );
        assert!(delivery.to.iter().all(|to| self.children.contains(to)));
    }

    /// A packet that someone signs, at times for another room.
    fn packet(&mut self, script: &mut Script<'_>) -> (u8, Own) {
        let person = script.below(3);
        let header = Header {
            tag: tag(script),
            epoch: script.number() / 64,
            sequence: script.number() & 0xffff_fff0,
            time: script.number() & 0xffff_fff0,
            log: script.number() / 128,
            level: script.byte() & 0x7f,
            end_of_spurt: script.flag(),
        };
        let frame = vec![0x5a; 1 + usize::from(script.byte())];
        let frames = vec![&frame[..]; 1 + usize::from(script.below(3))];
        let draft = Draft {
            header,
            frames: &frames,
            redundant: &[],
        };
        let room = if script.below(16) == 1 {
            RoomId([8; 32])
        } else {
            ROOM
        };
        let own = draft
            .sign(room, &self.keys[usize::from(person)])
            .expect("a valid draft");
        let bytes = own.packet().bytes().clone();
        assert_eq!(Packet::parse(bytes.clone()).as_ref(), Ok(own.packet()));
        if room == ROOM {
            self.signed.insert((person, bytes.clone()));
        }
        if self.recent.len() == 16 {
            self.recent.remove(0);
        }
        self.recent.push(bytes);
        (person, own)
    }
}

fn neighbour(script: &mut Script<'_>) -> Neighbour {
    Neighbour(script.below(4).into())
}

fn tag(script: &mut Script<'_>) -> Tag {
    Tag([0xaa, 0xbb, 0xcc, script.below(4)])
}
