//! Packets between their arrival and the tick that may first use them.
//!
//! Invariants: a packet is handed on at the first tick at or after its arrival, so that ticks which are
//! caught up after a stall see what they would have seen in time; and a packet that waited unread while
//! the whole machine stood still is not taken for late, since its network was not slow.
//!
//! The second needs a guess: the stamp of such a packet says when it was read. When a stall was reported
//! for that moment, the packet is taken to have come at the same distance from its capture as the
//! speaker's packet before it, if that is earlier than its stamp.

use super::{SpeakerKey, SpeechPacket};
use crate::audio::FRAME;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

/// Packets held for ticks to come. They pile up only while ticks are caught up: 5 s, the longest stall that
/// is caught up, of four speakers. The oldest go first.
const MAX_WAITING: usize = 1_000;

/// Speakers whose last arrival is remembered.
const MAX_REMEMBERED: usize = super::MAX_STREAMS;

/// The waiting packets of all speakers.
#[derive(Debug, Default)]
pub(super) struct Intake {
    waiting: VecDeque<(SpeechPacket, Duration)>,
    /// When each speaker's newest packet is taken to have arrived.
    last: BTreeMap<SpeakerKey, Reference>,
    /// The latest stall.
    stall: Option<(Duration, Duration)>,
}

#[derive(Debug, Clone, Copy)]
struct Reference {
    epoch: u32,
    time: u32,
    arrived: Duration,
}

impl Intake {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn handle_packet(&mut self, packet: SpeechPacket, stamp: Duration) {
        let arrived = self.likely_arrival(&packet, stamp);
        self.remember(&packet, arrived);
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((packet, arrived));
    }

    /// Nobody was woken between the two times. A stall that touches the one before it lengthens it.
    pub(super) fn handle_stall(&mut self, from: Duration, until: Duration) {
        self.stall = match self.stall {
            Some((begin, end)) if from <= end => Some((begin, until.max(end))),
            _ => Some((from, until)),
        };
    }

    /// Drops what waits of one speaker.
    pub(super) fn forget(&mut self, speaker: SpeakerKey) {
        self.waiting.retain(|(packet, _)| packet.speaker != speaker);
        self.last.remove(&speaker);
    }

    /// The next packet that had arrived by `now`, with the time it is taken to have arrived.
    pub(super) fn poll_packet(&mut self, now: Duration) -> Option<(SpeechPacket, Duration)> {
        let index = self.waiting.iter().position(|&(_, arrived)| arrived <= now)?;
        self.waiting.remove(index)
    }

    fn likely_arrival(&self, packet: &SpeechPacket, stamp: Duration) -> Duration {
        let stalled = self
            .stall
            .is_some_and(|(from, until)| from <= stamp && stamp <= until);
        let Some(last) = self.last.get(&packet.speaker).filter(|_| stalled) else {
            return stamp;
        };
        if last.epoch != packet.epoch {
            return stamp;
        }
        let after = packet.time.saturating_sub(last.time);
        stamp.min(last.arrived + FRAME.saturating_mul(after))
    }

    /// Remembers the newest push of each speaker; the answer to a pull says nothing about the path.
    fn remember(&mut self, packet: &SpeechPacket, arrived: Duration) {
        let newer = self
            .last
            .get(&packet.speaker)
            .is_none_or(|last| (last.epoch, last.time) < (packet.epoch, packet.time));
        if packet.repaired || !newer {
            return;
        }
        if self.last.len() >= MAX_REMEMBERED && !self.last.contains_key(&packet.speaker) {
            self.last.pop_first();
        }
        let reference = Reference {
            epoch: packet.epoch,
            time: packet.time,
            arrived,
        };
        self.last.insert(packet.speaker, reference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn packet(time: u32) -> SpeechPacket {
        SpeechPacket {
            speaker: SpeakerKey([1; 32]),
            epoch: 1,
            sequence: time,
            time,
            frames: Vec::new(),
            redundant: Vec::new(),
            end_of_spurt: false,
            repaired: false,
        }
    }

    fn drain(intake: &mut Intake, now: Duration) -> Vec<(u32, Duration)> {
        core::iter::from_fn(|| intake.poll_packet(now))
            .map(|(packet, arrived)| (packet.time, arrived))
            .collect()
    }

    #[test]
    fn a_packet_waits_for_the_first_tick_after_its_arrival() {
        let mut intake = Intake::default();
        intake.handle_packet(packet(0), 15 * MS);
        intake.handle_packet(packet(1), 35 * MS);
        assert_eq!(drain(&mut intake, 10 * MS), []);
        assert_eq!(drain(&mut intake, 20 * MS), [(0, 15 * MS)]);
        assert_eq!(drain(&mut intake, 40 * MS), [(1, 35 * MS)]);
    }

    #[test]
    fn packets_read_after_a_stall_of_the_machine_are_not_taken_for_late() {
        let mut intake = Intake::default();
        intake.handle_packet(packet(0), 5 * MS);
        intake.handle_stall(20 * MS, 320 * MS);
        for time in 1..=15 {
            intake.handle_packet(packet(time), 320 * MS);
        }
        let arrivals = drain(&mut intake, 320 * MS);
        for (time, arrived) in arrivals {
            assert_eq!(arrived, 5 * MS + time * FRAME);
        }
    }

    #[test]
    fn packets_read_in_time_while_only_the_output_stalled_keep_their_stamps() {
        let mut intake = Intake::default();
        intake.handle_packet(packet(0), 5 * MS);
        intake.handle_stall(20 * MS, 320 * MS);
        for time in 1..=15u32 {
            // A jitter of 3 ms less than the first packet had.
            intake.handle_packet(packet(time), time * FRAME + 2 * MS);
        }
        assert_eq!(drain(&mut intake, 20 * MS).len(), 1);
        assert_eq!(drain(&mut intake, 40 * MS), [(1, 22 * MS)]);
    }

    #[test]
    fn without_a_stall_a_late_packet_is_late() {
        let mut intake = Intake::default();
        intake.handle_packet(packet(0), 5 * MS);
        intake.handle_packet(packet(1), 300 * MS);
        assert_eq!(drain(&mut intake, 300 * MS)[1], (1, 300 * MS));
    }

    #[test]
    fn what_waits_is_bounded_and_can_be_forgotten() {
        let mut intake = Intake::default();
        for time in 0..2_000 {
            intake.handle_packet(packet(time), Duration::ZERO);
        }
        assert_eq!(intake.waiting.len(), MAX_WAITING);
        assert_eq!(intake.waiting[0].0.time, 1_000, "the oldest went");
        intake.forget(SpeakerKey([1; 32]));
        assert!(intake.is_empty());
    }
}
