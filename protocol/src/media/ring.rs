//! What is kept of one stream to be sent again: the last two seconds of its packets, by sequence.
//!
//! The exact bytes are kept, shared with whoever else holds them. A ring holds one epoch; its owner clears it for the
//! next.

use alloc::collections::VecDeque;
use core::{ops::RangeInclusive, time::Duration};

use bytes::Bytes;

use super::Packet;

/// How long a packet is kept. The audience's delay ends at half a second; four times that answers a neighbour that
/// found out late, and all children of a relay that died. More costs memory for sound that nobody can still play.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(2);

/// Most packets kept of one stream: those of [`KEPT_FOR`] at one frame each, and a tenth for a burst.
pub(super) const KEPT_PACKETS: usize = 110;

/// The packets kept of one stream, in the order of their sequence.
#[derive(Debug, Default)]
pub(super) struct Ring {
    packets: VecDeque<Kept>,
}

/// A packet that is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// Sequence of its first frame, which names it.
    pub(super) sequence: u32,
    /// Sequence of its last frame.
    last: u32,
    /// When it came.
    pub(super) at: Duration,
    /// Exactly what came.
    pub(super) bytes: Bytes,
}

impl Ring {
    /// The packets that hold any of these frames, in order.
    pub(super) fn holding(&self, frames: RangeInclusive<u32>) -> impl Iterator<Item = &Kept> {
        let start = self.packets.partition_point(|kept| kept.last < *frames.start());
        self.packets
            .range(start..)
            .take_while(move |kept| kept.sequence <= *frames.end())
    }

    /// The packets that came at or after a time, in order.
    pub(super) fn since(&self, at: Duration) -> impl Iterator<Item = &Kept> {
        self.packets.iter().filter(move |kept| kept.at >= at)
    }

    /// When the whole ring is past keeping, unless something is added to it.
    pub(super) fn expiry(&self) -> Option<Duration> {
        self.packets.back().map(|kept| kept.at.saturating_add(KEPT_FOR))
    }

    /// Adds a packet that was not there.
    pub(super) fn insert(&mut self, packet: &Packet, now: Duration) {
        let sequence = packet.header().sequence;
        let kept = Kept {
            sequence,
            last: sequence + (packet.frame_count() - 1),
            at: now,
            bytes: packet.bytes().clone(),
        };
        let place = match self.packets.back() {
            Some(newest) if newest.sequence > sequence => {
                self.packets.partition_point(|kept| kept.sequence < sequence)
            }
            _ => self.packets.len(),
        };
        self.packets.insert(place, kept);
        self.expire(now);
        if self.packets.len() > KEPT_PACKETS {
            self.packets.pop_front();
        }
    }

    /// Forgets what is past keeping, and gives memory back once nothing is left.
    pub(super) fn expire(&mut self, now: Duration) {
        let is_old = |kept: &Kept| kept.at.saturating_add(KEPT_FOR) <= now;
        if self.packets.back().is_some_and(is_old) {
            self.clear();
        }
        while self.packets.front().is_some_and(is_old) {
            self.packets.pop_front();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.packets = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{
        media::{Draft, Header, Tag},
        person::PersonKey,
        room::RoomId,
    };

    const MS: Duration = Duration::from_millis(1);

    fn packet(sequence: u32, frames: usize) -> Packet {
        let header = Header {
            tag: Tag([1; 4]),
            epoch: 1,
            sequence,
            time: sequence,
            log: 0,
            level: 30,
            end_of_spurt: false,
        };
        let draft = Draft {
            header,
            frames: &[&b"x"[..]; 3][..frames],
            redundant: &[],
        };
        let own = draft
            .sign(RoomId([7; 32]), &PersonKey::from_seed(&[1; 32]))
            .expect("valid");
        own.packet().clone()
    }

    fn ring(packets: &[(u32, usize, u32)]) -> Ring {
        let mut ring = Ring::default();
        for &(sequence, frames, at) in packets {
            ring.insert(&packet(sequence, frames), MS * at);
        }
        ring
    }

    fn sequences<'a>(kept: impl Iterator<Item = &'a Kept>) -> Vec<u32> {
        kept.map(|kept| kept.sequence).collect()
    }

    #[test]
    fn the_packet_that_holds_a_frame_is_found() {
        let ring = ring(&[(10, 3, 0), (13, 1, 0), (16, 2, 0)]);
        for (frame, holds) in [
            (9, None),
            (10, Some(10)),
            (12, Some(10)),
            (13, Some(13)),
            (14, None),
            (17, Some(16)),
        ] {
            assert_eq!(
                sequences(ring.holding(frame..=frame)).first().copied(),
                holds,
                "{frame}"
            );
        }
        assert_eq!(sequences(ring.holding(12..=16)), [10, 13, 16]);
        assert_eq!(sequences(ring.holding(18..=90)), []);
    }

    #[test]
    fn what_is_repaired_takes_its_place() {
        let ring = ring(&[(1, 1, 0), (4, 1, 60), (2, 1, 90), (3, 1, 91)]);
        assert_eq!(sequences(ring.holding(0..=9)), [1, 2, 3, 4]);
        assert_eq!(sequences(ring.since(MS * 90)), [2, 3]);
    }

    #[test]
    fn two_seconds_are_kept_and_then_nothing() {
        let mut ring = ring(&[(1, 1, 0), (2, 1, 20)]);
        ring.insert(&packet(3, 1), MS * 2000);
        assert_eq!(sequences(ring.holding(0..=9)), [2, 3]);
        assert_eq!(ring.expiry(), Some(MS * 4000));
        ring.expire(MS * 4000);
        assert_eq!((ring.expiry(), ring.packets.capacity()), (None, 0));
    }

    #[test]
    fn a_burst_pushes_out_the_oldest() {
        let ring = ring(&(0..120).map(|sequence| (sequence, 1, 0)).collect::<Vec<_>>());
        assert_eq!(sequences(ring.holding(0..=200)), (10..120).collect::<Vec<_>>());
    }
}
