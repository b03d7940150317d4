//! How long to hold sound back: the estimate of a stream's arrival delays, and of the output's own clock.
//!
//! All times are microseconds in `i64`. The *relative delay* of a frame is its arrival minus its capture time; the two
//! clocks share no zero, so only differences mean something. The least relative delay of the last [`WINDOW`] is the
//! *base*, the earliest arrival; a frame's *lateness* is its relative delay above the base. Sliding the window is what
//! absorbs the drift of the speaker's clock.

use super::{DelayGoal, TICK};
use core::time::Duration;
use std::collections::VecDeque;

/// The stage's least delay: what a scheduler that wakes us late takes. Frames come and polls ask every 20 ms with any
/// phase between them, so that a stream is played up to a tick behind it. More is heard in a conversation; what jitter
/// and losses need beyond it is measured.
pub const STAGE_MIN: Duration = Duration::from_millis(8);

/// The audience's least delay: a dead relay is suspected after at most 120 ms and the pull from the standby takes the
/// rest. Less and a relay's death is heard; more delays everyone for nothing.
pub const AUDIENCE_MIN: Duration = Duration::from_millis(240);

/// The largest delay, of stage and audience alike. A link that needs more cannot be talked over (ITU-T G.114 rules out
/// 400 ms one way), and an audience further behind misses the stage's answers to its hands. Frames behind it are late.
pub const DELAY_MAX: Duration = Duration::from_millis(500);

/// How far the estimate looks back. Shorter forgets the jitter of one spurt before the next; longer keeps the delay of
/// a bad moment and lets 200 ppm of drift add up (2 ms in this window).
const WINDOW: i64 = 10_000_000;

/// Arrivals held: the frames of [`WINDOW`] in a continuous stream.
const WINDOW_FRAMES: usize = 500;

/// The share of frames that shall arrive in time, in percent. The rest is left to recovery: covering the last three
/// would follow every stall of a busy machine. Below 95 % speech suffers more from late frames than from delay.
const QUANTILE_PERCENT: usize = 97;

/// Added to the quantile, so that the frame exactly on it is not lost to a wobble of the clocks.
const MARGIN: i64 = 5_000;

/// Two frames lost within this time make a lossy path, and for twice as long after the last of them the stage waits one
/// tick more: for the packet after a lost one, which carries its copy, or recovers it by forward error correction.
const LOSSY: i64 = 5_000_000;

/// How fast the target falls to what the window asks for: one part in this many of the time that passed, 25 ms each
/// second, once the window has forgotten. Faster, and a late frame's tick is gone before the next spurt can use it;
/// slower, and one stall costs a conversation half a minute of delay.
const SHRINK: i64 = 40;

/// A late frame lengthens the target at once by one tick, at most once in this time, so that one stall that delays
/// fifteen frames counts once and jitter that goes on adds 200 ms in a second.
const BUMP_EVERY: i64 = 100_000;

/// Polls over which the output's clock is taken from the most punctual one: output that catches up after a stall of
/// half a second reads as if it had never stalled. Longer, and output that really slipped is misread for longer.
const OUTPUT_POLLS: usize = 25;

/// A poll later than this against the most punctual one has slipped for good: [`OUTPUT_POLLS`] can't be caught up.
const OUTPUT_SLIP: i64 = 500_000;

/// A time as signed microseconds; what does not fit is the largest that leaves room to add and subtract.
pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros())
        .unwrap_or(i64::MAX)
        .min(i64::MAX / 4)
}

/// One tick in microseconds.
pub(super) const TICK_MICROS: i64 = TICK.as_micros() as i64;

/// The arrival delays of one stream and the delay to aim for.
#[derive(Debug)]
pub(super) struct Delays {
    goal: DelayGoal,
    /// (arrived at, relative delay), oldest first.
    window: VecDeque<(i64, i64)>,
    /// Kept while the window is empty after a long silence.
    base: Option<i64>,
    target: i64,
    updated_at: Option<i64>,
    bumped_at: Option<i64>,
    /// When the newest frame was lost.
    lost_at: Option<i64>,
    lossy_until: Option<i64>,
    scratch: Vec<i64>,
}

impl Delays {
    pub(super) fn new(goal: DelayGoal) -> Self {
        Self {
            goal,
            window: VecDeque::with_capacity(WINDOW_FRAMES),
            base: None,
            target: least(goal),
            updated_at: None,
            bumped_at: None,
            lost_at: None,
            lossy_until: None,
            scratch: Vec::with_capacity(WINDOW_FRAMES),
        }
    }

    /// The relative delay of the earliest arrival; `None` before the first.
    pub(super) fn base(&self) -> Option<i64> {
        self.base
    }

    /// Whether the delay is for those who talk with each other.
    pub(super) fn is_for_stage(&self) -> bool {
        self.goal == DelayGoal::Stage
    }

    /// The delay to aim for.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// How much later than the earliest arrival this relative delay is; negative when it is earlier. Zero when nothing
    /// recent is known, since two clocks that drift apart in a long silence prove nothing.
    pub(super) fn lateness(&self, relative: i64) -> i64 {
        match self.base {
            Some(base) if !self.window.is_empty() => relative - base,
            _ => 0,
        }
    }

    /// Notes a frame's first arrival. One later than [`DELAY_MAX`] says nothing: no delay of ours could have held for it.
    pub(super) fn handle_arrival(&mut self, now: i64, relative: i64) {
        if self.lateness(relative) > micros(DELAY_MAX) {
            return;
        }
        if self.window.len() >= WINDOW_FRAMES {
            self.window.pop_front();
        }
        self.window.push_back((now, relative));
        self.base = self.window.iter().map(|&(_, relative)| relative).min();
        self.update_target(now);
    }

    /// A frame of the first push came after its tick, or only while it was waited for.
    pub(super) fn handle_late(&mut self, now: i64) {
        if self.bumped_at.is_some_and(|at| now - at < BUMP_EVERY) {
            return;
        }
        self.bumped_at = Some(now);
        self.target = (self.target + TICK_MICROS).min(micros(DELAY_MAX));
    }

    /// A frame did not come in time.
    pub(super) fn handle_lost(&mut self, now: i64) {
        if self.lost_at.is_some_and(|at| now - at < LOSSY) {
            self.lossy_until = Some(now + 2 * LOSSY);
            self.target = self.target.max(self.wanted());
        }
        self.lost_at = Some(now);
    }

    pub(super) fn set_goal(&mut self, goal: DelayGoal) {
        self.goal = goal;
        self.target = self.wanted();
    }

    /// Forgets arrivals older than the window.
    pub(super) fn expire(&mut self, now: i64) {
        while self.window.front().is_some_and(|&(at, _)| now - at > WINDOW) {
            self.window.pop_front();
        }
        if self.lossy_until.is_some_and(|until| until < now) {
            self.lossy_until = None;
        }
    }

    /// The speaker's clock started anew: its relative delays no longer compare. The link's jitter does.
    pub(super) fn reset_clock(&mut self) {
        self.window.clear();
        self.base = None;
    }

    /// Rises at once to what the window asks for, falls towards it slowly.
    fn update_target(&mut self, now: i64) {
        let elapsed = now - self.updated_at.replace(now).unwrap_or(now);
        let wanted = self.wanted();
        self.target = wanted.max(self.target - elapsed.max(0) / SHRINK);
    }

    /// What the window asks for, within the goal's bounds.
    fn wanted(&mut self) -> i64 {
        let least = match self.goal {
            DelayGoal::Stage if self.lossy_until.is_some() => least(self.goal) + TICK_MICROS,
            _ => least(self.goal),
        };
        let Some(base) = self.base.filter(|_| !self.window.is_empty()) else {
            return least;
        };
        self.scratch.clear();
        self.scratch
            .extend(self.window.iter().map(|&(_, relative)| relative - base));
        let index = (self.scratch.len() * QUANTILE_PERCENT / 100).min(self.scratch.len() - 1);
        let (_, quantile, _) = self.scratch.select_nth_unstable(index);
        (*quantile + MARGIN).clamp(least, micros(DELAY_MAX))
    }
}

/// The goal's least delay.
fn least(goal: DelayGoal) -> i64 {
    micros(match goal {
        DelayGoal::Stage => STAGE_MIN,
        DelayGoal::Audience { floor } => floor.clamp(AUDIENCE_MIN, DELAY_MAX),
    })
}

/// The output's clock, read from its polls.
///
/// A program that is woken late polls late and then several times at once; the sound itself runs on evenly. So the
/// time of a poll is taken from the most punctual of the last [`OUTPUT_POLLS`].
#[derive(Debug, Default)]
pub(super) struct OutputClock {
    polls: i64,
    /// Of each recent poll: when it came, less what the polls before it lasted.
    offsets: VecDeque<i64>,
}

impl OutputClock {
    /// Counts one poll and says when the sound it asks for is due.
    pub(super) fn handle_poll(&mut self, now: i64) -> i64 {
        let elapsed = self.polls * TICK_MICROS;
        let offset = now - elapsed;
        self.polls += 1;
        if self
            .offsets
            .iter()
            .min()
            .is_some_and(|least| offset - least > OUTPUT_SLIP)
        {
            self.offsets.clear();
        }
        if self.offsets.len() >= OUTPUT_POLLS {
            self.offsets.pop_front();
        }
        self.offsets.push_back(offset);
        let punctual = self.offsets.iter().copied().min().unwrap_or(offset);
        punctual + elapsed
    }
}
