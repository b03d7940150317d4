//! How much one stay on the stage may send: frames and bits, each with a second of burst.
//!
//! Each is the generic cell rate algorithm (ITU-T I.371): one point in time says how far ahead of its rate a stay
//! has sent. Only verified packets are spent, so nobody can use up the budget of another.

use core::time::Duration;

/// Frames that a stay may send in a second, over time. Real time is 50; a sound card whose clock runs fast stays
/// far below 60, and twice real time stays far above.
pub const FRAMES_PER_SECOND: u32 = 60;

/// How far ahead of its rate a stay may be: a second, which a path that stalls delivers at once. Longer and a
/// flood passes; shorter and a stall of the path is heard.
pub const BURST: Duration = Duration::from_secs(1);

/// The share of the room's bit rate that a stay may use, as a fraction: frames of variable size peak above their
/// average, and redundant frames of half the rate fit in what is left.
const BITRATE_SHARE: (u64, u64) = (3, 2);

/// What one stay has sent of late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Budget {
    frames: Bucket,
    bits: Bucket,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bucket {
    /// Units a second.
    rate: u64,
    /// When what was spent will have been earned.
    paid_until: Duration,
}

impl Budget {
    /// The unspent budget of a stay in a room of `bitrate` bit/s.
    pub(super) fn new(bitrate: u32) -> Self {
        let (share, of) = BITRATE_SHARE;
        let bucket = |rate| Bucket {
            rate,
            paid_until: Duration::ZERO,
        };
        Self {
            frames: bucket(FRAMES_PER_SECOND.into()),
            // A verified genesis has a bit rate; the lower bound keeps any other from dividing by zero.
            bits: bucket((u64::from(bitrate) * share / of).max(1)),
        }
    }

    /// Whether a packet with this many primary frames and bytes of Opus fits. Changes nothing.
    pub(super) fn allows(&self, frames: u32, opus_bytes: u32, now: Duration) -> bool {
        self.after(frames, opus_bytes, now).is_some()
    }

    /// Takes it from the budget; false, and nothing changes, when it does not fit.
    pub(super) fn spend(&mut self, frames: u32, opus_bytes: u32, now: Duration) -> bool {
        let Some((frames, bits)) = self.after(frames, opus_bytes, now) else {
            return false;
        };
        self.frames.paid_until = frames;
        self.bits.paid_until = bits;
        true
    }

    fn after(&self, frames: u32, opus_bytes: u32, now: Duration) -> Option<(Duration, Duration)> {
        let bits = u64::from(opus_bytes) * 8;
        Some((
            self.frames.after(frames.into(), now)?,
            self.bits.after(bits, now)?,
        ))
    }
}

impl Bucket {
    /// Where `paid_until` would be after `units` more, unless that is further ahead than a burst.
    fn after(&self, units: u64, now: Duration) -> Option<Duration> {
        let cost = Duration::from_nanos(units.saturating_mul(1_000_000_000) / self.rate);
        let paid_until = self.paid_until.max(now).saturating_add(cost);
        (paid_until <= now.saturating_add(BURST)).then_some(paid_until)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn speech_in_real_time_never_reaches_its_budget() {
        let mut budget = Budget::new(32_000);
        for tick in 0..100_000 {
            assert!(budget.spend(1, 80, 20 * MS * tick), "tick {tick}");
        }
    }

    #[test]
    fn a_second_of_frames_may_come_at_once_and_not_one_more() {
        let mut budget = Budget::new(256_000);
        assert!((0..60).all(|_| budget.spend(1, 10, 5 * MS)));
        assert!(!budget.spend(1, 10, 5 * MS));
        assert!(!budget.allows(1, 10, 21 * MS));
        assert!(budget.allows(1, 10, 22 * MS));
    }

    #[test]
    fn bits_count_at_one_and_a_half_times_the_rooms_rate() {
        let mut budget = Budget::new(32_000);
        assert!((0..6).all(|_| budget.spend(1, 1000, MS)));
        assert!(!budget.spend(1, 1, MS));
        assert!(budget.spend(1, 600, 101 * MS));
        assert!(!budget.spend(1, 600, 200 * MS));
    }

    #[test]
    fn a_packet_that_does_not_fit_costs_nothing() {
        let mut budget = Budget::new(6_000);
        let before = budget.clone();
        assert!(!budget.spend(1, 1200, MS));
        assert_eq!(budget, before);
    }

    #[test]
    fn the_largest_packet_fits_the_slowest_room() {
        assert!(Budget::new(6_000).spend(1, 1009, MS));
    }

    #[test]
    fn a_clock_at_its_end_or_a_rate_of_nothing_does_not_panic() {
        assert!(Budget::new(0).allows(1, 0, Duration::MAX));
        assert!(!Budget::new(0).allows(1, 1000, MS));
    }

    proptest! {
        /// Over any span of time no more passes than its rate and one burst.
        #[test]
        fn no_pattern_of_sending_beats_the_rate(
            steps in prop::collection::vec((0_u64..300, 1_u32..=3, 1_u32..1000), 1..300),
        ) {
            let mut budget = Budget::new(48_000);
            let mut passed: Vec<(Duration, u32, u32)> = Vec::new();
            let mut now = Duration::ZERO;
            for (wait, frames, bytes) in steps {
                now += Duration::from_millis(wait);
                if budget.spend(frames, bytes, now) {
                    passed.push((now, frames, bytes));
                }
                let (mut sum_frames, mut sum_bits) = (0, 0);
                for &(at, frames, bytes) in passed.iter().rev() {
                    sum_frames += frames;
                    sum_bits += bytes * 8;
                    let seconds = (now - at + BURST).as_secs_f64();
                    prop_assert!(f64::from(sum_frames) <= 60.0 * seconds + 0.001);
                    prop_assert!(f64::from(sum_bits) <= 72_000.0 * seconds + 0.1);
                }
            }
        }
    }
}
