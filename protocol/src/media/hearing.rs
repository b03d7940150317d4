//! How well sound is heard after all repair, and what members tell each other of it.
//!
//! Each member judges its own ear over the last ten seconds; the counts of those that miss something go up the tree and
//! from the root to whoever speaks (SPEC.md section 12), where [`Redundancy`](super::Redundancy) decides what to do.
//! What a pull brought in time counts as heard: as long as pulls do, nothing need be sent twice.

use alloc::collections::VecDeque;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// What is looked back at. Less and chance decides; more and a bad minute is answered when it is over.
const WINDOW: Duration = Duration::from_secs(10);

/// Most counts held: a few each second of [`WINDOW`].
const COUNTS: usize = 64;

/// Frames below which nothing is judged: two seconds of one speaker.
const ENOUGH: u64 = 100;

/// Missing frames in a thousand from which a member is losing. Opus conceals one in fifty well enough that few notice;
/// above it words suffer.
const LOSING: u64 = 20;

/// Missing frames in a thousand from which it loses badly: one copy of each frame leaves more than one in a hundred
/// missing from about here when losses come in runs.
const BADLY: u64 = 60;

/// How well one member hears the room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As good as everything comes in time.
    #[default]
    Well,
    /// At least one frame in fifty does not.
    Losing,
    /// At least one in sixteen does not.
    Badly,
}

/// How many members miss some of what is said, after all repair but a speaker's own copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Members that miss at least one frame in fifty.
    pub losing: u32,
    /// Those of them that miss at least one in sixteen.
    pub badly: u32,
    /// Those of `losing` whose person is on the stage: they have no time for pulls.
    pub on_stage: u32,
}

/// One member's own ear.
#[derive(Debug, Default)]
pub struct Hearing {
    /// (when, frames expected, frames that did not come in time).
    counts: VecDeque<(Duration, u64, u64)>,
    grade: Grade,
}

impl Losses {
    /// One member's own.
    #[must_use]
    pub fn of(grade: Grade, on_stage: bool) -> Self {
        let losing = grade >= Grade::Losing;
        Self {
            losing: losing.into(),
            badly: (grade >= Grade::Badly).into(),
            on_stage: (losing && on_stage).into(),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            losing: self.losing.saturating_add(other.losing),
            badly: self.badly.saturating_add(other.badly),
            on_stage: self.on_stage.saturating_add(other.on_stage),
        }
    }

    /// No more than so many members can have said.
    #[must_use]
    pub fn bounded(self, members: u32) -> Self {
        let losing = self.losing.min(members);
        Self {
            losing,
            badly: self.badly.min(losing),
            on_stage: self.on_stage.min(losing),
        }
    }

    /// Whether nobody misses anything.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Hearing {
    /// Takes in how many frames were expected since the last call, and how many of those did not come in time; copies
    /// that stood in for them do not make them come.
    pub fn note(&mut self, expected: u64, missed: u64, now: Duration) -> Grade {
        if expected > 0 {
            self.counts.push_back((now, expected, missed.min(expected)));
        }
        while self.counts.len() > COUNTS || self.counts.front().is_some_and(|(at, ..)| *at + WINDOW < now) {
            self.counts.pop_front();
        }
        let sum = |of: fn(&(Duration, u64, u64)) -> u64| self.counts.iter().map(of).sum::<u64>();
        let (expected, missed) = (sum(|count| count.1), sum(|count| count.2));
        if expected < ENOUGH {
            // Nobody spoke enough to tell: as it was, until everything of it is forgotten.
            if expected == 0 {
                self.grade = Grade::Well;
            }
            return self.grade;
        }
        // A grade that was reached is kept down to half of what reaches it.
        let reaches = |grade: Grade, bound: u64| {
            let bound = if self.grade >= grade { bound / 2 } else { bound };
            missed * 1000 >= bound * expected
        };
        self.grade = if reaches(Grade::Badly, BADLY) {
            Grade::Badly
        } else if reaches(Grade::Losing, LOSING) {
            Grade::Losing
        } else {
            Grade::Well
        };
        self.grade
    }

    /// The present grade.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.grade
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grades(missed: impl Fn(u64) -> u64, seconds: u64) -> Vec<Grade> {
        let mut hearing = Hearing::default();
        (0..seconds)
            .map(|second| hearing.note(50, missed(second), Duration::from_secs(second)))
            .collect()
    }
    use alloc::vec::Vec;

    #[test]
    fn one_frame_in_a_hundred_is_well_heard_and_one_in_twenty_is_not() {
        assert!(
            grades(|second| second % 2, 60)
                .iter()
                .all(|grade| *grade == Grade::Well)
        );
        assert_eq!(grades(|_| 2, 5).last(), Some(&Grade::Losing));
        assert_eq!(grades(|_| 4, 5).last(), Some(&Grade::Badly));
    }

    #[test]
    fn a_grade_is_kept_until_loss_has_halved_and_forgotten_with_the_sound() {
        let grades = grades(
            |second| if second < 10 { 2 } else { u64::from(second % 4 > 0) },
            40,
        );
        assert_eq!(grades.last(), Some(&Grade::Losing), "1.5 %");
        let mut hearing = Hearing::default();
        assert_eq!(hearing.note(500, 100, Duration::ZERO), Grade::Badly);
        assert_eq!(hearing.note(0, 0, Duration::from_secs(9)), Grade::Badly);
        assert_eq!(hearing.note(0, 0, Duration::from_secs(11)), Grade::Well);
    }

    #[test]
    fn a_few_frames_say_nothing() {
        let mut hearing = Hearing::default();
        assert_eq!(hearing.note(99, 99, Duration::ZERO), Grade::Well);
        assert_eq!(hearing.note(1, 0, Duration::ZERO), Grade::Badly);
    }

    #[test]
    fn nobody_can_speak_for_more_members_than_there_are() {
        let claim = Losses {
            losing: u32::MAX,
            badly: 7,
            on_stage: 9,
        };
        let sum = claim.plus(Losses::of(Grade::Losing, true));
        assert_eq!(
            sum,
            Losses {
                losing: u32::MAX,
                badly: 7,
                on_stage: 10
            }
        );
        assert_eq!(
            sum.bounded(5),
            Losses {
                losing: 5,
                badly: 5,
                on_stage: 5
            }
        );
    }
}
