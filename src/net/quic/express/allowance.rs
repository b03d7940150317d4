//! How many bytes may go beside QUIC: as many as QUIC would let out on the same path.
//!
//! QUIC lets one window of bytes out a round trip. Where a queue on the way fills, round trips grow and so the rate
//! falls; where nothing arrives any more, the window shrinks. Both are measured by the connection's own traffic, which
//! never ceases, since an idle connection is kept alive.
//!
//! Invariant: in no period more is taken than one window and what the rate gives in that period.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The shortest round trip that counts: one tick of sound. A window a tick is 26 Mbit/s.
const SHORTEST: Duration = Duration::from_millis(20);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Allowance(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    /// Bytes that may be taken at once.
    window: u64,
    /// In how long as many come back.
    round: Duration,
    /// Bytes that may be taken now, as of `filled`.
    free: u64,
    filled: Instant,
}

impl Allowance {
    /// Nothing, until a path is measured.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Bucket {
            window: 0,
            round: SHORTEST,
            free: 0,
            filled: now,
        }))
    }

    /// Takes the path's window in bytes and its round trip, as they are now.
    pub(super) fn measure(&self, window: u64, round_trip: Duration, now: Instant) {
        let mut bucket = self.bucket();
        bucket.fill(now);
        // The first time all of it is free.
        let more = window.saturating_sub(bucket.window);
        bucket.free = (bucket.free + more).min(window);
        bucket.window = window;
        bucket.round = round_trip.max(SHORTEST);
    }

    /// Takes that many bytes, if they are free.
    #[must_use]
    pub(super) fn take(&self, bytes: usize, now: Instant) -> bool {
        let mut bucket = self.bucket();
        bucket.fill(now);
        let left = bucket.free.checked_sub(bytes as u64);
        bucket.free = left.unwrap_or(bucket.free);
        left.is_some()
    }

    /// Whether half of the window is free.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        let mut bucket = self.bucket();
        bucket.fill(now);
        bucket.free >= bucket.window / 2
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // No holder panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_nanos();
        let back = u128::from(self.window) * passed / self.round.as_nanos();
        // What is less than a byte goes on to count.
        if back == 0 {
            return;
        }
        let back = u64::try_from(back).unwrap_or(u64::MAX);
        self.free = self.free.saturating_add(back).min(self.window);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 64 * 1024;

    fn taken(allowance: &Allowance, now: Instant) -> u64 {
        (0..).take_while(|_| allowance.take(1000, now)).count() as u64 * 1000
    }

    #[test]
    fn a_window_goes_out_at_once_and_another_each_round_trip() {
        let start = Instant::now();
        let allowance = Allowance::new(start);
        assert!(!allowance.take(1, start), "nothing is known of the path yet");
        allowance.measure(WINDOW, Duration::from_millis(100), start);
        assert!(allowance.has_room(start));
        assert_eq!(taken(&allowance, start), 65_000);
        assert!(!allowance.has_room(start));
        // By the millisecond, as packets go.
        let later: u64 = (1..=1000)
            .map(|ms| taken(&allowance, start + Duration::from_millis(ms)))
            .sum();
        assert!(
            (10 * WINDOW - 1000..=10 * WINDOW + 1000).contains(&later),
            "{later}"
        );
        let idle = start + Duration::from_secs(60);
        assert_eq!(
            taken(&allowance, idle),
            65_000,
            "what is not taken does not pile up"
        );
    }

    #[test]
    fn longer_round_trips_and_a_narrower_window_hold_it_back() {
        let start = Instant::now();
        let allowance = Allowance::new(start);
        allowance.measure(WINDOW, Duration::from_micros(200), start);
        assert_eq!(taken(&allowance, start), 65_000);
        let next = start + SHORTEST / 2;
        assert!(
            (31_000..=33_000).contains(&taken(&allowance, next)),
            "half a tick"
        );
        allowance.measure(WINDOW, Duration::from_secs(1), next);
        let next = next + Duration::from_millis(500);
        assert!(
            (31_000..=34_000).contains(&taken(&allowance, next)),
            "half a round trip"
        );
        allowance.measure(8 * 1024, Duration::from_secs(1), next);
        assert_eq!(taken(&allowance, next + Duration::from_secs(9)), 8000);
    }

    #[test]
    fn what_comes_back_in_less_than_a_byte_is_not_lost() {
        let start = Instant::now();
        let allowance = Allowance::new(start);
        allowance.measure(10, Duration::from_secs(1), start);
        assert!(allowance.take(10, start));
        for ms in 1..100 {
            assert!(!allowance.take(1, start + Duration::from_millis(ms)), "{ms}");
        }
        assert!(allowance.take(1, start + Duration::from_millis(100)));
    }
}
