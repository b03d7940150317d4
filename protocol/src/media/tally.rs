//! How well sound came down over the last ten seconds: which share of its frames the first push did not bring.
//!
//! A frame that the parent missed itself is not its fault. Its heartbeats tell how many those are; but they are its
//! own word. The standby, which stands no lower, tells in its digests how many it missed: whoever misses far more than
//! the standby does has a bad parent, whatever that one says. Where nobody can be compared with, most of what is missing
//! may be excused and never all.

use core::time::Duration;

/// The share of frames, as a fraction, above which a parent is left.
const POOR: (i64, i64) = (3, 100);

/// Frames below which nothing is said: two seconds of one speaker.
const ENOUGH: i64 = 100;

/// Seconds that are looked at.
const SECONDS: usize = 10;

/// Seconds that are kept beyond those: a parent's heartbeat may tell this much later what it missed.
const SETTLING: usize = 2;

/// The share of what is missing, as a fraction, that a parent's word may excuse where there is no standby's to compare it
/// with. At less a whole subtree would leave the places below one bad link; at all of it a parent that drops packets
/// could excuse itself.
const EXCUSED: (i64, i64) = (3, 4);

/// The share of frames, as a fraction, that may be missed beyond what the standby missed, whatever the parent says. Twice
/// what one link may lose: the parent may stand one hop lower than the standby. With less, all children leave a parent
/// at the moment in which it is about to leave its own.
const WORSE: (i64, i64) = (6, 100);

/// How many seconds that may last. A parent that is honest leaves its own parent within ten, and what was missed until
/// then is looked at for ten more.
const WORSE_FOR: u64 = 20;

/// What the standby missed counts for so much more, as a fraction: it stands a hop nearer to the root than a child of
/// the parent does, and each hop of a bad network adds to what is missed.
const ALLOWED: (i64, i64) = (5, 4);

/// Chance is allowed for: so many standard deviations of the number that a path would lose whose share is just the
/// bound. It is looked at each second: with two, one member in a hundred of a room whose every link loses that much would
/// move each second for nothing.
const DEVIATIONS: i64 = 3;

/// What came, and how, by the second.
#[derive(Debug, Default)]
pub(super) struct Tally {
    seconds: [Second; SECONDS + SETTLING],
    /// The second that `seconds[0]` counts; those before follow.
    newest: u64,
    /// The second in which it was last judged.
    judged: u64,
    /// Since when more is missed than the standby's word explains.
    worse_since: Option<u64>,
    /// All frames missed, modulo 2^16: what we tell our children.
    missed: u16,
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    frames: u32,
    missed: u32,
    excused: u32,
    /// What the standby missed.
    spared: u32,
    /// The standby said something.
    is_compared: bool,
}

impl Tally {
    /// All frames that the first push did not bring here, modulo 2^16.
    pub(super) fn missed(&self) -> u16 {
        self.missed
    }

    /// Counts frames that came down or should have, and how many of them the first push did not bring. True when it
    /// comes down poorly; then the count begins anew.
    #[must_use]
    pub(super) fn note(&mut self, frames: u32, missed: u32, now: Duration) -> bool {
        self.roll(now);
        let is_due = core::mem::replace(&mut self.judged, self.newest) != self.newest;
        let is_poor = is_due && self.is_poor();
        if is_poor {
            self.clear();
        }
        let [second, ..] = &mut self.seconds;
        second.frames = second.frames.saturating_add(frames);
        second.missed = second.missed.saturating_add(missed);
        self.missed = self.missed.wrapping_add(missed as u16);
        is_poor
    }

    /// The parent says that so many more did not come to itself.
    pub(super) fn excuse(&mut self, missed: u16, now: Duration) {
        self.roll(now);
        let [second, ..] = &mut self.seconds;
        second.excused = second.excused.saturating_add(missed.into());
    }

    /// The standby says that so many more did not come to it.
    pub(super) fn compare(&mut self, missed: u16, now: Duration) {
        self.roll(now);
        let [second, ..] = &mut self.seconds;
        second.spared = second.spared.saturating_add(missed.into());
        second.is_compared = true;
    }

    /// Forgets the seconds: they were another parent's.
    pub(super) fn clear(&mut self) {
        self.seconds = [Second::default(); SECONDS + SETTLING];
        self.worse_since = None;
    }

    /// Begins the second of `now`.
    fn roll(&mut self, now: Duration) {
        let passed = now.as_secs().saturating_sub(self.newest);
        self.newest += passed;
        let passed = usize::try_from(passed)
            .unwrap_or(usize::MAX)
            .min(self.seconds.len());
        self.seconds.rotate_right(passed);
        self.seconds[..passed].fill(Second::default());
    }

    /// Judges the seconds that have settled.
    fn is_poor(&mut self) -> bool {
        let settled = &self.seconds[SETTLING..];
        let sum = |seconds: &[Second], of: fn(&Second) -> u32| -> i64 {
            seconds.iter().map(|second| i64::from(of(second))).sum()
        };
        let frames = sum(settled, |second| second.frames);
        let missed = sum(settled, |second| second.missed);
        let excused = sum(&self.seconds, |second| second.excused);
        let is_compared = |second: &Second| second.frames == 0 || second.is_compared;
        if !settled.iter().all(is_compared) {
            self.worse_since = None;
            let (part, of) = EXCUSED;
            return is_beyond(frames, missed - excused.min(missed * part / of), POOR);
        }
        let (part, of) = ALLOWED;
        let spared = sum(&self.seconds, |second| second.spared) * part / of;
        if !is_beyond(frames, missed - spared, WORSE) {
            self.worse_since = None;
            return is_beyond(frames, missed - excused, POOR);
        }
        let since = *self.worse_since.get_or_insert(self.newest);
        self.newest - since >= WORSE_FOR || is_beyond(frames, missed - excused, POOR)
    }
}

/// Whether more were missed of so many frames than a share, and more than chance makes of it.
fn is_beyond(frames: i64, missed: i64, (share, whole): (i64, i64)) -> bool {
    let beyond = whole * missed - share * frames;
    let variance = share * whole * frames;
    frames >= ENOUGH && beyond > 0 && beyond.saturating_pow(2) > DEVIATIONS.pow(2).saturating_mul(variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tally of 50 frames a second of which every `n`th is missed, and the seconds after which it was poor.
    fn poor_after(seconds: u32, every: u32, excused: impl Fn(u32) -> u16) -> Option<u32> {
        let mut tally = Tally::default();
        (0..seconds * 50).find_map(|frame| {
            let now = Duration::from_millis(20) * frame;
            if frame % 50 == 0 {
                tally.excuse(excused(frame / 50), now);
            }
            let missed = u32::from(every > 0 && frame % every == 0);
            tally.note(1, missed, now).then_some(frame / 50)
        })
    }

    #[test]
    fn a_path_that_loses_two_in_a_hundred_is_not_poor_and_one_that_loses_ten_is_within_seconds() {
        assert_eq!(poor_after(600, 0, |_| 0), None);
        assert_eq!(poor_after(600, 50, |_| 0), None);
        let after = poor_after(600, 10, |_| 0).expect("poor");
        assert!(after <= 5, "{after} s");
        assert!(poor_after(600, 16, |_| 0).is_some());
    }

    #[test]
    fn what_the_parent_missed_itself_is_not_its_fault() {
        assert_eq!(
            poor_after(600, 10, |second| if second == 0 { 0 } else { 5 }),
            None
        );
        assert!(poor_after(600, 10, |_| 1).is_some());
    }

    #[test]
    fn a_parents_word_does_not_excuse_everything() {
        assert!(poor_after(600, 3, |_| u16::MAX).is_some());
    }

    /// The seconds after which it was poor, of a parent and a standby that say how many of 50 frames they missed each
    /// second, and a child that misses so many.
    fn poor_beside(standby: u16, parent: u16, child: u32) -> Option<u32> {
        let mut tally = Tally::default();
        (0..60 * 50).find_map(|frame| {
            let now = Duration::from_millis(20) * frame;
            if frame % 50 == 0 {
                tally.excuse(parent, now);
                tally.compare(standby, now);
            }
            let missed = u32::from(frame % 50 < child);
            tally.note(1, missed, now).then_some(frame / 50)
        })
    }

    #[test]
    fn deep_below_lossy_links_everyone_misses_much_and_nobody_is_to_blame() {
        assert_eq!(poor_beside(9, 10, 12), None);
        assert_eq!(poor_beside(0, 2, 3), None);
    }

    #[test]
    fn a_parent_that_excuses_what_it_drops_is_found_out_beside_the_standby() {
        assert!(poor_beside(2, 50, 8).is_some());
        assert!(poor_beside(0, 50, 5).is_some());
    }

    #[test]
    fn a_standby_that_claims_to_miss_everything_excuses_nobody() {
        assert!(poor_beside(50, 2, 8).is_some());
    }

    #[test]
    fn a_few_words_say_nothing() {
        let mut tally = Tally::default();
        for second in 0..9 {
            assert!(!tally.note(11, 5, Duration::from_secs(second)));
        }
    }

    #[test]
    fn the_count_that_children_are_told_wraps_around() {
        let mut tally = Tally::default();
        let _ = tally.note(70_000, 65_535, Duration::ZERO);
        let _ = tally.note(3, 3, Duration::MAX);
        assert_eq!(tally.missed(), 2);
        tally.clear();
        assert_eq!(tally.missed(), 2);
    }
}
