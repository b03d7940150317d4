//! The jitter buffer under any packets at any time.
//!
//! It plays what it was given, once, and nothing else; it holds no more than it says, and what it counts adds up.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use majlis_protocol::jitter::{
    Arrival, DELAY_MAX, DelayGoal, JitterBuffer, MAX_BUFFERED, Playout, Stats, TICK,
};

use super::script::Script;

/// The buffer, and what went into it.
struct World {
    buffer: JitterBuffer,
    now: Duration,
    epoch: u32,
    sequence: u32,
    time: u32,
    /// Each payload by epoch and sequence, in the packet or as a copy in a later one.
    given: BTreeMap<(u32, u32), Vec<Bytes>>,
    stamp: u32,
    played: BTreeSet<Bytes>,
}

/// A jitter buffer, driven by a script.
pub fn jitter(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let mut world = World {
        buffer: JitterBuffer::new(goal(&mut script)),
        now: Duration::ZERO,
        epoch: 0,
        sequence: script.number(),
        time: script.number(),
        given: BTreeMap::new(),
        stamp: 0,
        played: BTreeSet::new(),
    };
    while !script.is_over() {
        let before = world.buffer.stats().clone();
        world.step(&mut script);
        world.holds(&before);
    }
    !world.played.is_empty()
}

impl World {
    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0 => {
                self.now = self
                    .now
                    .saturating_add(Duration::from_millis(script.number().into()))
            }
            1 => self.buffer.flush(),
            2 => self.buffer.set_goal(goal(script)),
            3 => self.epoch = self.epoch.wrapping_add(script.number()),
            4 => {
                self.sequence = self.sequence.wrapping_add(script.number());
                self.time = self.time.wrapping_add(script.number());
            }
            5 => {
                self.sequence = script.u32();
                self.time = script.u32();
            }
            6..=10 => self.poll(1 + script.below(4)),
            11 => self.packet(script),
            12 => {
                self.sequence = self.sequence.wrapping_sub(script.below(60).into());
                self.time = self.time.wrapping_sub(script.below(60).into());
            }
            // The ordinary course: a frame each 20 ms, and a poll.
            _ => {
                self.packet(script);
                self.now = self.now.saturating_add(TICK);
                self.poll(1);
            }
        }
    }

    fn packet(&mut self, script: &mut Script<'_>) {
        let shape = script.byte();
        let count = u32::from(shape & 3);
        let copies = shape >> 2 & 3;
        let frames: Vec<Bytes> = (0..count)
            .map(|index| self.payload(self.sequence.wrapping_add(index)))
            .collect();
        let redundant: Vec<(u8, Bytes)> = (0..copies)
            .map(|_| {
                let back = 1 + script.below(50);
                (back, self.payload(self.sequence.wrapping_sub(back.into())))
            })
            .collect();
        self.buffer.handle_packet(
            &Arrival {
                epoch: self.epoch,
                sequence: self.sequence,
                time: self.time,
                frames: &frames,
                redundant: &redundant,
                end_of_spurt: shape & 0x10 != 0,
                repaired: shape & 0x20 != 0,
            },
            self.now,
        );
        self.sequence = self.sequence.wrapping_add(count);
        self.time = self.time.wrapping_add(count);
    }

    /// A payload that no other frame has.
    fn payload(&mut self, sequence: u32) -> Bytes {
        self.stamp += 1;
        let payload = Bytes::copy_from_slice(&self.stamp.to_be_bytes());
        self.given
            .entry((self.epoch, sequence))
            .or_default()
            .push(payload.clone());
        payload
    }

    fn poll(&mut self, count: u8) {
        for _ in 0..count {
            let before = self.buffer.stats().concealed;
            match self.buffer.poll_frame(self.now) {
                Playout::Frame {
                    epoch,
                    sequence,
                    payload,
                } => {
                    self.was_given(epoch, sequence, &payload);
                    assert!(
                        self.played.insert(payload),
                        "{epoch}/{sequence} was played before"
                    );
                }
                Playout::Recover {
                    epoch,
                    sequence,
                    next,
                } => self.was_given(epoch, sequence.wrapping_add(1), &next),
                Playout::Conceal { .. } => assert_eq!(self.buffer.stats().concealed, before + 1),
                Playout::Silence => {}
            }
        }
    }

    fn was_given(&self, epoch: u32, sequence: u32, payload: &Bytes) {
        let given = self.given.get(&(epoch, sequence));
        assert!(
            given.is_some_and(|given| given.contains(payload)),
            "played what was not sent as {epoch}/{sequence}"
        );
    }

    fn holds(&self, before: &Stats) {
        assert!(self.buffer.buffered() <= MAX_BUFFERED);
        assert!(self.buffer.delay() <= DELAY_MAX + 2 * TICK);
        let stats = self.buffer.stats();
        assert!(stats.repaired + stats.skipped <= 2 * stats.received, "{stats:?}");
        assert!(stats.late <= stats.lost && stats.fec <= stats.lost, "{stats:?}");
        let counts = |stats: &Stats| {
            [
                stats.received,
                stats.lost,
                stats.repaired,
                stats.fec,
                stats.late,
                stats.concealed,
                stats.skipped,
                stats.inserted,
                stats.removed,
                stats.longest_gap.as_millis() as u64,
            ]
        };
        assert!(
            counts(before).iter().zip(counts(stats)).all(|(a, b)| *a <= b),
            "counts only grow: {before:?} {stats:?}"
        );
    }
}

fn goal(script: &mut Script<'_>) -> DelayGoal {
    if script.flag() {
        DelayGoal::Stage
    } else {
        DelayGoal::Audience {
            floor: Duration::from_millis(script.number().into()),
        }
    }
}
