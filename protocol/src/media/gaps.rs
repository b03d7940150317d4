//! Which frames of one stream are missing, since when, and when and whom to ask for each.
//!
//! The first is asked who should have pushed the frame: it lost it on our hop, and has it; if it lost it further up it
//! is mending that itself, and pushes it on. After that the two that may be asked take turns. A list holds one epoch.

use alloc::vec::Vec;
use core::{ops::Range, time::Duration};

/// Most frames of one stream that are missed at once: what a ring of a neighbour may still hold.
pub(super) const MISSING: usize = 100;

/// How far behind the newest frame one is still worth asking for: half a second, the longest playout delay.
pub(super) const WORTH: u32 = 25;

/// How long a frame is awaited before it is first asked for: what jitter reorders on one path.
pub(super) const FIRST_ASK: Duration = Duration::from_millis(10);

/// How long a frame that only the standby speaks of is awaited: it may be nearer to the root than the parent is. By
/// then the parent's own silence would be suspicious too.
pub(super) const STANDBY_PATIENCE: Duration = Duration::from_millis(120);

/// When a frame is given up, after it was noticed: nobody can still play it.
pub(super) const GIVEN_UP: Duration = Duration::from_millis(480);

/// Least and longest time between two asks for a frame. Less asks twice for what is on its way; more leaves no second
/// chance within the audience's delay.
const ASK_AGAIN: Range<Duration> = Duration::from_millis(30)..Duration::from_millis(150);

/// Added to a round trip and an eighth: the neighbour's own work, and ours. Whoever waits longer asks the other one too
/// late for a playout deep in the tree; whoever waits less asks for what is on its way.
const ASK_MARGIN: Duration = Duration::from_millis(10);

/// The missing frames of one stream.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    epoch: u32,
    /// In ascending order.
    missing: Vec<Missing>,
}

#[derive(Debug)]
struct Missing {
    frame: u32,
    noticed: Duration,
    /// When it is asked for next.
    next: Duration,
    /// Who spoke of it first.
    witness: Witness,
    /// How often its time has come.
    asks: u8,
    /// Somebody could be asked.
    asked: bool,
}

/// Whether an arrived frame had been missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// It came in order.
    NotMissing,
    /// It was late and came by itself.
    Late,
    /// It had been asked for.
    Asked,
}

/// Who reported that a frame exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Witness {
    /// Who should have pushed it: by a later packet or a heartbeat.
    Feeder,
    /// The standby, by a digest.
    Standby,
}

/// How long to wait for the answer of a neighbour this far away.
pub(super) fn patience(rtt: Duration) -> Duration {
    (rtt.saturating_mul(9) / 8)
        .saturating_add(ASK_MARGIN)
        .clamp(ASK_AGAIN.start, ASK_AGAIN.end)
}

impl Gaps {
    /// The epoch of the missing frames.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// When something is to be done: a frame asked for, or given up.
    pub(super) fn due(&self) -> Option<Duration> {
        self.missing.iter().map(Missing::due).min()
    }

    /// Forgets all that is missing, for an epoch that begins or one that was believed in error.
    pub(super) fn restart(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.missing.clear();
    }

    /// Adds frames that exist and are not here. Those that were missing already are asked for no later than a new one
    /// would be. Returns how many of the oldest had to go for them.
    pub(super) fn notice(&mut self, frames: Range<u32>, witness: Witness, now: Duration) -> u32 {
        let patience = match witness {
            Witness::Feeder => FIRST_ASK,
            Witness::Standby => STANDBY_PATIENCE,
        };
        let next = now.saturating_add(patience);
        for frame in frames {
            match self.missing.binary_search_by_key(&frame, |missing| missing.frame) {
                Ok(place) => {
                    let missing = &mut self.missing[place];
                    missing.next = missing.next.min(next);
                }
                Err(place) => self.missing.insert(
                    place,
                    Missing {
                        frame,
                        noticed: now,
                        next,
                        witness,
                        asks: 0,
                        asked: false,
                    },
                ),
            }
        }
        let excess = self.missing.len().saturating_sub(MISSING);
        self.missing.drain(..excess);
        u32::try_from(excess).unwrap_or(u32::MAX)
    }

    /// A frame has come.
    pub(super) fn fill(&mut self, frame: u32) -> Filled {
        match self.missing.binary_search_by_key(&frame, |missing| missing.frame) {
            Ok(place) if self.missing.remove(place).asked => Filled::Asked,
            Ok(_) => Filled::Late,
            Err(_) => Filled::NotMissing,
        }
    }

    /// Gives up what nobody can still play, and returns how many frames that was.
    pub(super) fn give_up(&mut self, now: Duration) -> u32 {
        let before = self.missing.len();
        self.missing
            .retain(|missing| now < missing.noticed.saturating_add(GIVEN_UP));
        u32::try_from(before - self.missing.len()).unwrap_or(u32::MAX)
    }

    /// Asks for each frame whose time has come: `ask` is told the frame, who spoke of it first and how often it was asked
    /// for, and says how long to wait for the answer, or nothing when there is nobody to ask.
    pub(super) fn ask(&mut self, now: Duration, mut ask: impl FnMut(u32, Witness, u8) -> Option<Duration>) {
        for missing in self.missing.iter_mut().filter(|missing| missing.next <= now) {
            let wait = ask(missing.frame, missing.witness, missing.asks);
            missing.asked |= wait.is_some();
            missing.next = now.saturating_add(wait.unwrap_or(ASK_AGAIN.end));
            missing.asks = missing.asks.wrapping_add(1);
        }
    }
}

impl Missing {
    fn due(&self) -> Duration {
        self.next.min(self.noticed.saturating_add(GIVEN_UP))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ask(gaps: &mut Gaps, at: u32) -> Vec<(u32, u8)> {
        let mut asked = vec![];
        gaps.ask(MS * at, |frame, _, asks| {
            asked.push((frame, asks));
            Some(MS * 95)
        });
        asked
    }

    #[test]
    fn a_frame_is_asked_for_by_turns_until_it_comes() {
        let mut gaps = Gaps::default();
        gaps.notice(5..7, Witness::Feeder, MS * 100);
        assert_eq!(gaps.due(), Some(MS * 110));
        assert_eq!(ask(&mut gaps, 109), []);
        assert_eq!(ask(&mut gaps, 110), [(5, 0), (6, 0)]);
        assert_eq!(ask(&mut gaps, 204), []);
        assert_eq!(gaps.fill(6), Filled::Asked);
        assert_eq!(ask(&mut gaps, 205), [(5, 1)]);
        assert_eq!(ask(&mut gaps, 300), [(5, 2)]);
        assert_eq!(gaps.fill(5), Filled::Asked);
        assert_eq!(gaps.fill(5), Filled::NotMissing);
        assert_eq!(gaps.due(), None);
    }

    #[test]
    fn what_was_only_late_is_not_asked_for() {
        let mut gaps = Gaps::default();
        gaps.notice(5..6, Witness::Feeder, MS * 100);
        assert_eq!(gaps.fill(5), Filled::Late);
        assert_eq!(ask(&mut gaps, 200), []);
    }

    #[test]
    fn the_standbys_word_is_not_acted_upon_at_once_but_anothers_hurries_it() {
        let mut gaps = Gaps::default();
        gaps.notice(5..6, Witness::Standby, MS * 100);
        assert_eq!(gaps.due(), Some(MS * 220));
        gaps.notice(5..6, Witness::Feeder, MS * 150);
        assert_eq!(gaps.missing[0].witness, Witness::Standby, "it has it for certain");
        assert_eq!(ask(&mut gaps, 160), [(5, 0)]);
    }

    #[test]
    fn a_frame_is_given_up_when_nobody_can_still_play_it() {
        let mut gaps = Gaps::default();
        gaps.notice(5..6, Witness::Feeder, MS * 100);
        gaps.notice(9..10, Witness::Feeder, MS * 200);
        ask(&mut gaps, 560);
        assert_eq!(gaps.due(), Some(MS * 580));
        assert_eq!(gaps.give_up(MS * 579), 0);
        assert_eq!(gaps.give_up(MS * 580), 1);
        assert_eq!(gaps.fill(5), Filled::NotMissing);
        assert_eq!(gaps.fill(9), Filled::Asked);
    }

    #[test]
    fn the_list_is_bounded_and_keeps_the_newest() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.notice(0..90, Witness::Feeder, MS), 0);
        assert_eq!(gaps.notice(100..130, Witness::Feeder, MS), 20);
        assert_eq!((gaps.fill(19), gaps.fill(20)), (Filled::NotMissing, Filled::Late));
    }

    #[test]
    fn an_answer_is_awaited_for_a_round_trip_and_a_little_within_bounds() {
        for (rtt, wait) in [(0, 30), (16, 30), (40, 55), (80, 100), (120, 145), (900, 150)] {
            assert_eq!(patience(MS * rtt), MS * wait);
        }
        assert_eq!(patience(Duration::MAX), MS * 150);
    }
}
