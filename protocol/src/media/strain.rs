//! Whether our own line carries what we send: when several children at once lose what was pushed to them, it does not.
//!
//! Their pulls tell. One child that asks again and again has a bad path of its own; half of them at the same time share
//! what is common to them, and that is our uplink. A child's pull is a claim: those who lie make us take fewer children,
//! and never fewer than one.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::neighbour::Neighbour;

/// How long pulls are gathered. In less, chance makes several children lose much at once; children that lose for twice
/// as long leave us for good, all of them where a few had been enough.
const WINDOW: Duration = Duration::from_secs(2);

/// Packets pushed in a window below which nothing is said: most of one speaker's.
const ENOUGH: u32 = 80;

/// How long those that are too many have to go before it is told again.
const REST: Duration = Duration::from_secs(8);

/// The share of what was pushed, one in so many, that a child must be sent again to count as losing. A bad network loses
/// half of it, which is no reason to serve fewer.
const LOSING: u32 = 8;

/// Children that must lose at once. One has a path of its own.
const SEVERAL: usize = 2;

/// What was pushed and sent again of late.
#[derive(Debug, Default)]
pub(super) struct Strain {
    since: Duration,
    pushed: u32,
    /// Packets that each child was sent again.
    again: BTreeMap<Neighbour, u32>,
    /// Frames that did not come to us by the first push, in this window and the one before: children miss them too, by no
    /// fault of our line.
    missed: [u32; 2],
    /// Until when nothing is told.
    rests_until: Duration,
}

impl Strain {
    /// Counts a packet that was pushed to so many children. True when the line does not carry them.
    #[must_use]
    pub(super) fn note_push(&mut self, children: usize, now: Duration) -> bool {
        let is_over = now >= self.since.saturating_add(WINDOW);
        let is_told = is_over && now >= self.rests_until && self.is_strained(children);
        if is_told {
            self.rests_until = now.saturating_add(REST);
        }
        if is_over {
            self.since = now;
            self.pushed = 0;
            self.missed = [0, self.missed[0]];
            self.again.clear();
        }
        self.pushed = self.pushed.saturating_add(1);
        is_told
    }

    /// A child had to be sent so many packets again.
    pub(super) fn note_again(&mut self, child: Neighbour, packets: usize) {
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        let again = self.again.entry(child).or_default();
        *again = again.saturating_add(packets);
    }

    /// So many frames came to us late.
    pub(super) fn note_missed(&mut self, frames: u32) {
        self.missed[0] = self.missed[0].saturating_add(frames);
    }

    /// A child is gone.
    pub(super) fn forget(&mut self, child: Neighbour) {
        self.again.remove(&child);
    }

    fn is_strained(&self, children: usize) -> bool {
        let missed = self.missed[0].saturating_add(self.missed[1]);
        let loses = |again: &&u32| again.saturating_sub(missed).saturating_mul(LOSING) >= self.pushed;
        let losing = self.again.values().filter(loses).count();
        self.pushed >= ENOUGH && losing >= SEVERAL && 2 * losing >= children
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after which it is told that the line is strained, when each of these children must be sent every n-th
    /// packet again, of `children` in all, from one second until another.
    fn told_after(every: &[u32], children: usize, lossy: core::ops::Range<u32>) -> Option<u32> {
        let mut strain = Strain::default();
        (0..60 * 50).find_map(|packet| {
            let second = packet / 50;
            for (child, every) in every.iter().enumerate() {
                if lossy.contains(&second) && packet % every == 0 {
                    strain.note_again(Neighbour(child as u64), 1);
                }
            }
            let now = Duration::from_millis(20) * packet;
            strain.note_push(children, now).then_some(second)
        })
    }

    #[test]
    fn a_line_that_loses_for_half_of_the_children_at_once_is_strained() {
        assert_eq!(told_after(&[5, 5, 8, 8], 8, 0..60), Some(2));
        assert_eq!(told_after(&[5, 5], 2, 10..60), Some(12));
    }

    #[test]
    fn paths_that_lose_each_for_itself_are_no_strain() {
        assert_eq!(told_after(&[2], 1, 0..60), None, "one child");
        assert_eq!(told_after(&[2, 2, 2], 8, 0..60), None, "three of eight");
        assert_eq!(told_after(&[20; 8], 8, 0..60), None, "a bad network");
    }

    #[test]
    fn what_came_late_to_ourselves_is_no_strain() {
        let mut strain = Strain::default();
        for packet in 0..60 * 50 {
            if packet % 400 < 40 {
                strain.note_missed(1);
                (0..4).for_each(|child| strain.note_again(Neighbour(child), 1));
            }
            assert!(!strain.note_push(4, Duration::from_millis(20) * packet));
        }
    }

    #[test]
    fn what_was_told_is_told_again_when_it_lasts() {
        let mut strain = Strain::default();
        let mut told = 0;
        for packet in 0..60 * 50 {
            for child in 0..4 {
                strain.note_again(Neighbour(child), usize::from(packet % 5 == 0));
            }
            told += u32::from(strain.note_push(4, Duration::from_millis(20) * packet));
        }
        assert_eq!(told, 8, "once in eight seconds");
    }
}
