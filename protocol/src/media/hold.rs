//! Packets that say they were spoken under a log entry which has not come here yet.
//!
//! They wait for the entry, not for long and not many: who sends sound from the future gets no memory for it.

use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::neighbour::Neighbour;

/// Most packets that a room holds: half a second of one speaker. More would let a neighbour fill memory with
/// sound that can never be checked; fewer would cut the first words after every entry on a slow path.
pub const HELD_PACKETS: usize = 25;

/// How long a packet is held. An entry takes one round trip to a neighbour when asked for; sound that is older
/// than this has missed its playout.
pub const HELD_FOR: Duration = Duration::from_millis(500);

/// A packet that waits.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) from: Neighbour,
    pub(super) bytes: Bytes,
    /// The log entry it waits for.
    pub(super) log: u32,
    pub(super) since: Duration,
}

/// The packets of one room that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Hold {
    packets: VecDeque<Held>,
}

impl Hold {
    /// Adds a packet. True when another had to go for it: the oldest of the neighbour that has most waiting, so
    /// that one who floods pushes out only their own.
    pub(super) fn push(&mut self, held: Held) -> bool {
        self.packets.push_back(held);
        if self.packets.len() <= HELD_PACKETS {
            return false;
        }
        let waiting = |from: Neighbour| self.packets.iter().filter(|held| held.from == from).count();
        let most = self.packets.iter().map(|held| waiting(held.from)).max();
        let oldest = self
            .packets
            .iter()
            .position(|held| Some(waiting(held.from)) == most);
        oldest.and_then(|index| self.packets.remove(index)).is_some()
    }

    /// Drops what has waited too long, and says how many that was.
    pub(super) fn expire(&mut self, now: Duration) -> u64 {
        let before = self.packets.len();
        self.packets
            .retain(|held| now.saturating_sub(held.since) < HELD_FOR);
        (before - self.packets.len()) as u64
    }

    /// Takes out, oldest first, what waits for no entry beyond `head`.
    pub(super) fn release(&mut self, head: u32) -> Vec<(Neighbour, Bytes)> {
        let (released, held) = self.packets.drain(..).partition(|held| held.log <= head);
        self.packets = held;
        let released: VecDeque<Held> = released;
        released.into_iter().map(|held| (held.from, held.bytes)).collect()
    }

    /// Drops what came from a neighbour that is gone.
    pub(super) fn forget(&mut self, neighbour: Neighbour) {
        self.packets.retain(|held| held.from != neighbour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(from: u64, number: u8, log: u32) -> Held {
        let since = Duration::from_millis(number.into());
        Held {
            from: Neighbour(from),
            bytes: Bytes::from(alloc::vec![number]),
            log,
            since,
        }
    }

    fn numbers(packets: &[(Neighbour, Bytes)]) -> Vec<u8> {
        packets.iter().map(|(_, bytes)| bytes[0]).collect()
    }

    #[test]
    fn packets_come_out_with_their_entry_in_the_order_they_came() {
        let mut hold = Hold::default();
        for (number, log) in [(1, 5), (2, 6), (3, 5)] {
            assert!(!hold.push(held(1, number, log)));
        }
        assert_eq!(numbers(&hold.release(4)), []);
        assert_eq!(numbers(&hold.release(5)), [1, 3]);
        assert_eq!(numbers(&hold.release(7)), [2]);
    }

    #[test]
    fn a_full_hold_drops_the_oldest() {
        let mut hold = Hold::default();
        let overflowed = (0..30).filter(|&number| hold.push(held(1, number, 1))).count();
        assert_eq!(overflowed, 5);
        assert_eq!(numbers(&hold.release(1)), (5..30).collect::<Vec<_>>());
    }

    #[test]
    fn one_who_floods_pushes_out_only_their_own() {
        let mut hold = Hold::default();
        hold.push(held(7, 200, 1));
        for number in 0..100 {
            hold.push(held(1, number, 1));
        }
        let released = hold.release(1);
        assert_eq!(released.len(), HELD_PACKETS);
        assert_eq!(released[0].0, Neighbour(7));
    }

    #[test]
    fn a_packet_expires_after_half_a_second() {
        let mut hold = Hold::default();
        hold.push(held(1, 0, 1));
        hold.push(held(1, 10, 1));
        assert_eq!(hold.expire(Duration::from_millis(499)), 0);
        assert_eq!(hold.expire(Duration::from_millis(500)), 1);
        assert_eq!(numbers(&hold.release(1)), [10]);
    }
}
