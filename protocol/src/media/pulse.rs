//! What a parent promises: the next sign of life within so many milliseconds, and the heartbeats that keep the word.
//!
//! Every hop speaks for itself. A media packet is a sign of life like any other, so while someone speaks hardly a
//! heartbeat is sent.

use core::time::Duration;

/// What is promised while anyone speaks, and for [`SPEAKING_FOR`] after. A child suspects us after three of these, and
/// its standby has the rest of the audience's delay; half of it would be a fifth of the packets of an idle room.
pub(super) const PROMISE_SPEAKING: Duration = Duration::from_millis(40);

/// What is promised for [`QUIET_FOR`] after the last word.
pub(super) const PROMISE_QUIET: Duration = Duration::from_millis(100);

/// What is promised in a room where nobody has spoken for long: five small packets a second and child.
pub(super) const PROMISE_IDLE: Duration = Duration::from_millis(200);

/// How long after the last packet someone may be about to go on.
pub(super) const SPEAKING_FOR: Duration = Duration::from_secs(2);

/// How long after the last packet a room counts as quiet and not yet as idle.
pub(super) const QUIET_FOR: Duration = Duration::from_secs(10);

/// A heartbeat comes at least this often, also where packets never stop: what it says has no other way.
pub(super) const HEARTBEAT_AT_LEAST: Duration = Duration::from_secs(1);

/// Time between two digests while something is or was live within [`SPEAKING_FOR`].
pub(super) const DIGEST_SPEAKING: Duration = Duration::from_millis(250);

/// Time between two digests otherwise: a sign of life.
pub(super) const DIGEST_IDLE: Duration = Duration::from_secs(1);

/// What is promised when the last packet is this long ago.
pub(super) fn promise(quiet_for: Option<Duration>) -> Duration {
    match quiet_for {
        Some(quiet) if quiet < SPEAKING_FOR => PROMISE_SPEAKING,
        Some(quiet) if quiet < QUIET_FOR => PROMISE_QUIET,
        _ => PROMISE_IDLE,
    }
}

/// The time between two digests when the last packet is this long ago.
pub(super) fn digest_interval(quiet_for: Option<Duration>) -> Duration {
    match quiet_for {
        Some(quiet) if quiet < SPEAKING_FOR => DIGEST_SPEAKING,
        _ => DIGEST_IDLE,
    }
}

/// What one neighbour was promised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    /// When the next sign of life is due.
    next: Duration,
    /// The last heartbeat.
    beat: Duration,
}

impl Pulse {
    /// A pulse whose first beat is due now.
    pub(super) fn new(now: Duration) -> Self {
        Self { next: now, beat: now }
    }

    /// When a heartbeat is due.
    pub(super) fn due(&self) -> Duration {
        self.next.min(self.beat.saturating_add(HEARTBEAT_AT_LEAST))
    }

    /// A packet was pushed.
    pub(super) fn note_push(&mut self, now: Duration) {
        self.next = now.saturating_add(PROMISE_SPEAKING);
    }

    /// A heartbeat was sent.
    pub(super) fn note_beat(&mut self, promise: Duration, now: Duration) {
        self.next = now.saturating_add(promise);
        self.beat = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_promise_lengthens_with_silence() {
        for (quiet, promised, digest) in [
            (Some(0), 40, 250),
            (Some(1_999), 40, 250),
            (Some(2_000), 100, 1_000),
            (Some(9_999), 100, 1_000),
            (Some(10_000), 200, 1_000),
            (None, 200, 1_000),
        ] {
            let quiet = quiet.map(|quiet| MS * quiet);
            assert_eq!(promise(quiet), MS * promised);
            assert_eq!(digest_interval(quiet), MS * digest);
        }
    }

    #[test]
    fn a_push_keeps_the_promise_but_once_a_second_a_heartbeat_comes_all_the_same() {
        let mut pulse = Pulse::new(MS * 100);
        assert_eq!(pulse.due(), MS * 100);
        pulse.note_beat(PROMISE_IDLE, MS * 100);
        assert_eq!(pulse.due(), MS * 300);
        for tick in 6..60 {
            pulse.note_push(MS * 20 * tick);
        }
        assert_eq!(pulse.due(), MS * 1_100);
        pulse.note_beat(PROMISE_SPEAKING, MS * 1_100);
        assert_eq!(pulse.due(), MS * 1_140);
    }
}
