//! When the next 20 ms are due: absolute deadlines, so that no delay ever adds up.
//!
//! Pure: the caller reads the clock and sleeps. Tick `n` is due `n × 20 ms` after the start, whatever the
//! ticks before it did. Whoever comes late catches up tick by tick, with a little room between the ticks;
//! after a pause too long to catch up with, the missed ticks are left out.

use super::FRAME;
use core::time::Duration;

/// A delay beyond this is left out instead of caught up. Shorter, and a busy machine would lose sound that
/// it could still send; longer, and a laptop that wakes up floods its listeners with the past.
const MAX_CATCH_UP: Duration = Duration::from_secs(5);

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is due; look again after this long.
    Wait(Duration),
    /// Do tick number `tick`, which was due `late` ago.
    Run { tick: u64, late: Duration },
}

/// The deadlines of one stream.
#[derive(Debug)]
pub(crate) struct Schedule {
    next: u64,
    spacing: Duration,
    not_before: Duration,
}

impl Schedule {
    /// Tick 0 is due at once. Ticks that are caught up keep `spacing` between each other.
    pub(crate) const fn new(spacing: Duration) -> Self {
        Self {
            next: 0,
            spacing,
            not_before: Duration::ZERO,
        }
    }

    /// When a tick is due, counted from the start.
    pub(crate) fn due(tick: u64) -> Duration {
        Duration::from_nanos(tick.saturating_mul(FRAME.as_nanos() as u64))
    }

    /// The tick that is going on at `now`.
    pub(crate) fn tick_at(now: Duration) -> u64 {
        (now.as_nanos() / FRAME.as_nanos()) as u64
    }

    /// Looks at the clock; a tick that is to run is counted as done.
    pub(crate) fn step(&mut self, now: Duration) -> Step {
        let due = Self::due(self.next);
        if now < due {
            return Step::Wait(due - now);
        }
        if now - due > MAX_CATCH_UP {
            self.skip_to(now);
            return self.step(now);
        }
        if now < self.not_before {
            return Step::Wait(self.not_before - now);
        }
        let tick = self.next;
        self.next += 1;
        self.not_before = now + self.spacing;
        Step::Run {
            tick,
            late: now - due,
        }
    }

    /// Leaves out every tick that was due before `now`'s own; never goes back.
    pub(crate) fn skip_to(&mut self, now: Duration) {
        self.next = self.next.max(Self::tick_at(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Runs a schedule on a clock that oversleeps by `lag(n)` at the n-th wait; says when each tick ran.
    fn run(schedule: &mut Schedule, ticks: usize, lag: impl Fn(usize) -> Duration) -> Vec<Duration> {
        let mut now = Duration::ZERO;
        let mut ran = Vec::new();
        let mut waits = 0;
        while ran.len() < ticks {
            match schedule.step(now) {
                Step::Wait(time) => {
                    now += time + lag(waits);
                    waits += 1;
                }
                Step::Run { tick, late } => {
                    assert_eq!(late, now - Schedule::due(tick));
                    ran.push(now);
                }
            }
        }
        ran
    }

    #[test]
    fn oversleeping_a_little_each_time_does_not_add_up() {
        let ran = run(&mut Schedule::new(Duration::ZERO), 30_000, |_| 3 * MS);
        for (tick, at) in ran.iter().enumerate() {
            assert!(*at - Schedule::due(tick as u64) <= 3 * MS, "tick {tick}");
        }
    }

    #[test]
    fn after_a_stall_every_missed_tick_runs_with_room_between() {
        let lag = |wait| if wait == 10 { 300 * MS } else { Duration::ZERO };
        let ran = run(&mut Schedule::new(10 * MS), 100, lag);
        assert!(ran.windows(2).all(|pair| pair[1] - pair[0] >= 10 * MS));
        assert_eq!(ran[99], Schedule::due(99), "caught up in the end");
    }

    #[test]
    fn what_is_too_long_ago_is_left_out() {
        let mut schedule = Schedule::new(Duration::ZERO);
        let hour = Duration::from_secs(3_600);
        assert_eq!(
            schedule.step(hour),
            Step::Run {
                tick: 180_000,
                late: Duration::ZERO
            }
        );
    }

    #[test]
    fn a_skip_never_goes_back() {
        let mut schedule = Schedule::new(Duration::ZERO);
        schedule.skip_to(Duration::from_secs(1));
        schedule.skip_to(Duration::ZERO);
        assert_eq!(schedule.step(Duration::ZERO), Step::Wait(Duration::from_secs(1)));
    }
}
