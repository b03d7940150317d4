//! Whether parent and standby are there: suspicion and silence, by what they promised.
//!
//! A failure detector with the heartbeat's own promise for its timeout. Suspicion adds the standby and drops nobody;
//! only silence, which comes well after, is a reason to move. What is late because our own driver was is forgiven.

use core::{fmt, time::Duration};

use super::pulse::{PROMISE_IDLE, PROMISE_QUIET, PROMISE_SPEAKING};
use crate::neighbour::Neighbour;

/// Promises that a parent may miss before it is suspected: two heartbeats may be lost in a row.
pub(super) const SUSPICION: u32 = 3;

/// How long a suspected parent may stay silent before its child moves. Pulls fill the time; moving too soon drags a
/// subtree after every stall of a busy machine.
pub(super) const SILENT_FOR: Duration = Duration::from_millis(280);

/// How long sound may be starved under a parent that is alive. Its own repair takes less, so that only the children of
/// a dead relay move and not the whole subtree.
pub(super) const STARVED_FOR: Duration = Duration::from_secs(1);

/// How long a standby may say nothing: two digests of an idle room.
pub(super) const STANDBY_SILENT_FOR: Duration = Duration::from_secs(2);

/// How late a driver may come before what it missed meanwhile is forgiven: a frame. Scheduling is finer on any machine
/// that can keep up with sound.
pub(super) const LATE: Duration = Duration::from_millis(20);

/// Why a member should look for another parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Complaint {
    /// The parent says nothing any more: move now.
    Silent,
    /// The parent is alive, but sound does not come down to it, or not from it: move.
    Starved,
    /// Sound comes down late or with losses: move to a better place when there is one.
    Poor,
}

/// What the parent has said of late.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) link: Neighbour,
    /// When it last said anything.
    heard: Duration,
    promise: Duration,
    /// Nothing came for [`SUSPICION`] promises.
    pub(super) suspected: bool,
    /// It said that it starves, and has brought nothing new since.
    pub(super) starving: bool,
    /// When its silence is next complained about.
    complain: Option<Duration>,
    /// We came late since it last spoke, and forgave it. Once: a driver that is always late must not forgive forever.
    forgiven: bool,
    /// The frames that it missed itself, by its last heartbeat.
    missed: Option<u16>,
}

/// What the standby has said of late.
#[derive(Debug)]
pub(super) struct Standby {
    pub(super) link: Neighbour,
    /// When it last said anything, or its silence was last told.
    heard: Duration,
    forgiven: bool,
    /// The frames that it missed itself, by its last digest.
    missed: Option<u16>,
}

impl Parent {
    /// A parent that has just been found: it may take a while to begin.
    pub(super) fn new(link: Neighbour, now: Duration) -> Self {
        Self {
            link,
            heard: now,
            promise: PROMISE_QUIET,
            suspected: false,
            starving: false,
            complain: None,
            forgiven: false,
            missed: None,
        }
    }

    /// When it is suspected or its silence complained about, if it says nothing until then.
    pub(super) fn due(&self) -> Duration {
        self.complain.unwrap_or_else(|| self.suspicion())
    }

    fn suspicion(&self) -> Duration {
        self.heard.saturating_add(self.promise * SUSPICION)
    }

    /// It pushed a packet, which promises the next sign of life as a heartbeat does while someone speaks.
    pub(super) fn hear_packet(&mut self, now: Duration) {
        self.hear(PROMISE_SPEAKING, now);
    }

    /// Its heartbeat came. Returns how many frames it has missed since the one before.
    pub(super) fn hear_heartbeat(
        &mut self,
        promise: Duration,
        starving: bool,
        missed: u16,
        now: Duration,
    ) -> u16 {
        // A longer promise than any that is made is no excuse for a longer silence.
        self.hear(promise.clamp(PROMISE_SPEAKING, PROMISE_IDLE), now);
        self.starving = starving;
        let before = self.missed.replace(missed).unwrap_or(missed);
        missed.wrapping_sub(before)
    }

    fn hear(&mut self, promise: Duration, now: Duration) {
        self.heard = self.heard.max(now);
        self.promise = promise;
        self.suspected = false;
        self.complain = None;
        self.forgiven = false;
    }

    /// Looks at the clock: suspects it, or complains of its silence, again each [`STARVED_FOR`]. True for a complaint.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> bool {
        if now < self.due() {
            return false;
        }
        let is_silent = core::mem::replace(&mut self.suspected, true);
        let wait = if is_silent { STARVED_FOR } else { SILENT_FOR };
        self.complain = Some(now.saturating_add(wait));
        is_silent
    }

    /// Takes back so much of its silence, which was ours.
    pub(super) fn forgive(&mut self, late: Duration, now: Duration) {
        if core::mem::replace(&mut self.forgiven, true) {
            return;
        }
        self.heard = self.heard.saturating_add(late).min(now);
        if let Some(complain) = &mut self.complain {
            *complain = complain.saturating_add(late);
        }
    }
}

impl Standby {
    /// A standby that has just been found.
    pub(super) fn new(link: Neighbour, now: Duration) -> Self {
        Self {
            link,
            heard: now,
            forgiven: false,
            missed: None,
        }
    }

    /// When its silence is told.
    pub(super) fn due(&self) -> Duration {
        self.heard.saturating_add(STANDBY_SILENT_FOR)
    }

    /// It said something.
    pub(super) fn hear(&mut self, now: Duration) {
        self.heard = self.heard.max(now);
        self.forgiven = false;
    }

    /// Its digest came. Returns how many frames it has missed since the one before.
    pub(super) fn hear_digest(&mut self, missed: u16, now: Duration) -> u16 {
        self.hear(now);
        let before = self.missed.replace(missed).unwrap_or(missed);
        missed.wrapping_sub(before)
    }

    /// Looks at the clock: true when it was silent for too long, again each [`STANDBY_SILENT_FOR`].
    pub(super) fn handle_timeout(&mut self, now: Duration) -> bool {
        let is_silent = now >= self.due();
        if is_silent {
            self.heard = now;
        }
        is_silent
    }

    /// Takes back so much of its silence, which was ours.
    pub(super) fn forgive(&mut self, late: Duration, now: Duration) {
        if !core::mem::replace(&mut self.forgiven, true) {
            self.heard = self.heard.saturating_add(late).min(now);
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Silent => "silent",
            Self::Starved => "starved",
            Self::Poor => "poor",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const LINK: Neighbour = Neighbour(1);

    #[test]
    fn a_parent_that_spoke_is_suspected_after_120_ms_and_silent_after_400() {
        let mut parent = Parent::new(LINK, Duration::ZERO);
        parent.hear_packet(MS * 1_000);
        assert_eq!(parent.due(), MS * 1_120);
        assert!(!parent.handle_timeout(MS * 1_119) && !parent.suspected);
        assert!(!parent.handle_timeout(MS * 1_120) && parent.suspected);
        assert_eq!(parent.due(), MS * 1_400);
        assert!(!parent.handle_timeout(MS * 1_399));
        assert!(parent.handle_timeout(MS * 1_400));
        assert_eq!(parent.due(), MS * 2_400, "it is told again");
        parent.hear_packet(MS * 1_500);
        assert!(!parent.suspected);
        assert_eq!(parent.due(), MS * 1_620);
    }

    #[test]
    fn no_promise_puts_off_a_suspicion_for_long_or_hastens_it() {
        let mut parent = Parent::new(LINK, Duration::ZERO);
        parent.hear_heartbeat(MS, false, 0, MS * 1_000);
        assert_eq!(parent.due(), MS * 1_120);
        parent.hear_heartbeat(MS * 1_000, false, 0, MS * 1_000);
        assert_eq!(parent.due(), MS * 1_600);
    }

    #[test]
    fn what_a_parent_missed_is_counted_from_its_first_word_on() {
        let mut parent = Parent::new(LINK, Duration::ZERO);
        let mut missed = |missed| parent.hear_heartbeat(MS * 40, false, missed, MS);
        assert_eq!((missed(u16::MAX), missed(u16::MAX), missed(2)), (0, 0, 3));
    }

    #[test]
    fn our_own_lateness_is_forgiven_once_and_never_beyond_now() {
        let mut parent = Parent::new(LINK, Duration::ZERO);
        parent.hear_packet(MS * 1_000);
        parent.forgive(MS * 70, MS * 1_170);
        assert_eq!(parent.due(), MS * 1_190);
        parent.forgive(MS * 70, MS * 1_250);
        assert_eq!(parent.due(), MS * 1_190);
        parent.hear_packet(MS * 1_260);
        parent.forgive(MS * 5_000, MS * 1_300);
        assert_eq!(parent.due(), MS * 1_420);
    }

    #[test]
    fn a_silent_standby_is_told_each_two_seconds() {
        let mut standby = Standby::new(LINK, MS * 1_000);
        assert!(!standby.handle_timeout(MS * 2_999));
        assert!(standby.handle_timeout(MS * 3_000));
        assert_eq!(standby.due(), MS * 5_000);
        standby.hear(MS * 4_000);
        assert_eq!(standby.due(), MS * 6_000);
    }
}
