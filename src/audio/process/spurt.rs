//! Spurts: what of a microphone's sound is sent.
//!
//! While nobody speaks next to nothing is: one frame now and then, from which listeners take how the silence sounds, and
//! that the link lives. A spurt begins with the frame in which sound rises and the [`PRE_ROLL`] before it, since words
//! begin softly. It ends some time after the last voice, or soon when no voice followed the rise.
//!
//! Invariants: frames are given in the order in which they came, each once; in silence at most one in
//! [`REFRESH_EVERY`]; the last frame of a spurt says so.

use super::activity::Activity;
use std::collections::VecDeque;

/// Frames before the one that is heard to rise which are sent with it: 40 ms, in which the breath or the fricative before
/// a vowel fits. They come late by as much, which the least delay of a listener on the stage just holds; more would make
/// that delay longer for everybody.
pub const PRE_ROLL: usize = 2;

/// Frames that a spurt lasts after the last voice: 400 ms, the longest stops inside of words and the pauses between them.
/// Shorter, and the soft ends of words are cut; longer, and silence is sent.
const HANG_OVER: u32 = 20;

/// Frames that a spurt lasts after a rise in which the detector finds no voice: 200 ms, twice what it needs to find one.
const PROOF: u32 = 10;

/// In silence one frame of so many is sent: every 400 ms, as Opus' own discontinuous transmission does.
pub(super) const REFRESH_EVERY: u32 = 20;

/// What to do with a frame.
#[derive(Debug, PartialEq)]
pub enum Step<T> {
    /// Keep it back: it is silence, or the beginning of what is not known yet.
    Hold,
    /// A spurt begins: send these in order, the last of which is the frame.
    Begin(Vec<T>),
    /// Send it: the spurt goes on.
    Send(T),
    /// Send it, and say that silence follows.
    Last(T),
}

/// Decides which frames are sent; `T` is a frame with its time.
#[derive(Debug)]
pub struct Spurts<T> {
    /// The frames before this one that were not sent.
    held: VecDeque<T>,
    /// Frames that the spurt still lasts without a voice; `None` in silence.
    left: Option<u32>,
    /// Frames since the last that was sent.
    unsent: u32,
}

impl<T> Spurts<T> {
    /// In silence.
    pub const fn new() -> Self {
        Self {
            held: VecDeque::new(),
            left: None,
            // The first frame is sent: it tells listeners how this silence sounds.
            unsent: REFRESH_EVERY,
        }
    }

    /// Decides on the next frame.
    pub fn step(&mut self, frame: T, activity: Activity) -> Step<T> {
        match (self.left, activity) {
            (_, Activity::Voice) => self.go_on(frame, HANG_OVER),
            (left, Activity::Rise) => self.go_on(frame, left.unwrap_or(0).saturating_sub(1).max(PROOF)),
            (None, Activity::Quiet) => self.be_silent(frame),
            (Some(0 | 1), Activity::Quiet) => {
                self.left = None;
                self.unsent = 0;
                Step::Last(frame)
            }
            (Some(left), Activity::Quiet) => {
                self.left = Some(left - 1);
                Step::Send(frame)
            }
        }
    }

    /// Begins anew, in silence: the microphone was closed.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    fn go_on(&mut self, frame: T, lasts: u32) -> Step<T> {
        let begins = self.left.is_none();
        self.left = Some(lasts);
        self.unsent = 0;
        if !begins {
            return Step::Send(frame);
        }
        let mut first: Vec<T> = self.held.drain(..).collect();
        first.push(frame);
        Step::Begin(first)
    }

    fn be_silent(&mut self, frame: T) -> Step<T> {
        self.unsent += 1;
        if self.unsent >= REFRESH_EVERY {
            self.unsent = 0;
            // What came before it can't be sent any more: time goes forward.
            self.held.clear();
            return Step::Last(frame);
        }
        if self.held.len() >= PRE_ROLL {
            self.held.pop_front();
        }
        self.held.push_back(frame);
        Step::Hold
    }
}

impl<T> Default for Spurts<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is sent of frames 0, 1, 2, … and whether each says that silence follows.
    fn sent(activities: &[Activity]) -> Vec<(usize, bool)> {
        let mut spurts = Spurts::new();
        let mut sent = Vec::new();
        for (frame, &activity) in activities.iter().enumerate() {
            match spurts.step(frame, activity) {
                Step::Hold => {}
                Step::Begin(frames) => sent.extend(frames.into_iter().map(|frame| (frame, false))),
                Step::Send(frame) => sent.push((frame, false)),
                Step::Last(frame) => sent.push((frame, true)),
            }
        }
        sent
    }

    fn times(activity: Activity, count: usize) -> Vec<Activity> {
        vec![activity; count]
    }

    #[test]
    fn in_silence_a_frame_in_twenty_is_sent_and_each_says_that_silence_follows() {
        let sent = sent(&times(Activity::Quiet, 101));
        assert_eq!(sent, [0, 20, 40, 60, 80, 100].map(|frame| (frame, true)));
    }

    #[test]
    fn a_word_is_sent_with_what_came_before_it_and_ends_after_the_hang_over() {
        let frames = [
            times(Activity::Quiet, 10),
            times(Activity::Voice, 5),
            times(Activity::Quiet, 30),
        ]
        .concat();
        let end = 14 + HANG_OVER as usize;
        let mut expected = vec![(0, true)];
        expected.extend((10 - PRE_ROLL..end).map(|frame| (frame, false)));
        expected.push((end, true));
        assert_eq!(sent(&frames), expected);
    }

    #[test]
    fn a_rise_without_a_voice_is_over_soon() {
        let frames = [
            times(Activity::Quiet, 10),
            times(Activity::Rise, 1),
            times(Activity::Quiet, 20),
        ]
        .concat();
        let ends: Vec<usize> = sent(&frames)
            .iter()
            .filter_map(|&(frame, last)| last.then_some(frame))
            .collect();
        assert_eq!(ends, [0, 10 + PROOF as usize]);
    }

    proptest! {
        #[test]
        fn whatever_is_heard_frames_come_in_order_once_and_every_spurt_is_closed(
            heard in proptest::collection::vec(0u8..3, 0..400)
        ) {
            let activities: Vec<Activity> = heard
                .iter()
                .map(|kind| [Activity::Quiet, Activity::Rise, Activity::Voice][usize::from(*kind)])
                .chain(times(Activity::Quiet, 2 * HANG_OVER as usize))
                .collect();
            let sent = sent(&activities);
            prop_assert!(sent.windows(2).all(|pair| pair[0].0 < pair[1].0));
            // A gap is announced by the frame before it.
            prop_assert!(sent.windows(2).all(|pair| pair[0].1 || pair[1].0 == pair[0].0 + 1));
            prop_assert!(sent.last().is_some_and(|&(_, last)| last));
            for (frame, activity) in activities.iter().enumerate() {
                if *activity == Activity::Voice {
                    prop_assert!(sent.contains(&(frame, false)));
                }
            }
        }
    }
}
