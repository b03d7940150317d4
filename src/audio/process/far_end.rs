//! What the loudspeaker plays, as the echo canceller of the microphone beside it needs it.
//!
//! The playback thread hands over each frame as it gives it to the device; the capture thread takes them all before it
//! works on a frame of its own. So the canceller sees them in the order of time, and finds out by itself how long the
//! way through the air and both devices is. Neither thread waits: the lock is held for a copy.

use crate::audio::sample::fold;
use crate::audio::{Channels, FRAME_SAMPLES};
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Frames that wait: half a second. Devices ask for some frames at once; a capture thread that sleeps longer has lost
/// the alignment anyway.
const MOST_WAITING: usize = 25;

/// Both ends of the way from a loudspeaker to an echo canceller; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct FarEnd {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether somebody takes what is played.
    is_open: AtomicBool,
    waiting: Mutex<VecDeque<[f32; FRAME_SAMPLES]>>,
}

impl FarEnd {
    /// Takes what is played from now on.
    pub fn open(&self) {
        self.waiting().clear();
        self.shared.is_open.store(true, Ordering::Release);
    }

    /// Takes nothing more.
    pub fn close(&self) {
        self.shared.is_open.store(false, Ordering::Release);
    }

    /// Notes a frame that is about to be played, its channels interleaved. The oldest is forgotten when nobody takes
    /// them.
    pub fn play(&self, channels: Channels, frame: &[f32]) {
        if !self.shared.is_open.load(Ordering::Acquire) || frame.len() != channels.frame_len() {
            return;
        }
        let mut mono = [0.0; FRAME_SAMPLES];
        fold(frame, channels, &mut mono);
        let mut waiting = self.waiting();
        if waiting.len() >= MOST_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(mono);
    }

    /// The oldest frame that was not taken yet, mono; whether there was one.
    pub(super) fn next(&self, frame: &mut [f32; FRAME_SAMPLES]) -> bool {
        match self.waiting().pop_front() {
            Some(next) => {
                *frame = next;
                true
            }
            None => false,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<[f32; FRAME_SAMPLES]>> {
        // Frames go in and out whole, so a panic elsewhere leaves the queue usable.
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(far_end: &FarEnd) -> Vec<f32> {
        let mut frame = [0.0; FRAME_SAMPLES];
        core::iter::from_fn(|| far_end.next(&mut frame).then(|| frame[0])).collect()
    }

    #[test]
    fn frames_come_out_in_order_and_only_those_played_while_it_was_open() {
        let far_end = FarEnd::default();
        far_end.play(Channels::Mono, &[0.1; FRAME_SAMPLES]);
        far_end.open();
        far_end.play(Channels::Mono, &[0.2; FRAME_SAMPLES]);
        far_end.play(Channels::Mono, &[0.3; FRAME_SAMPLES]);
        assert_eq!(taken(&far_end), [0.2, 0.3]);
        far_end.play(Channels::Mono, &[0.4; FRAME_SAMPLES]);
        far_end.open();
        assert_eq!(
            taken(&far_end),
            [0.0; 0],
            "what was played to a microphone of before is no echo for this one"
        );
        far_end.close();
        far_end.play(Channels::Mono, &[0.5; FRAME_SAMPLES]);
        assert_eq!(taken(&far_end), [0.0; 0]);
    }

    #[test]
    fn both_channels_are_heard_and_half_a_second_is_kept() {
        let far_end = FarEnd::default();
        far_end.open();
        let stereo: Vec<f32> = [0.2, 0.4].repeat(FRAME_SAMPLES);
        for _ in 0..100 {
            far_end.play(Channels::Stereo, &stereo);
        }
        let taken = taken(&far_end);
        assert_eq!(taken.len(), MOST_WAITING);
        assert!(taken.iter().all(|sample| (sample - 0.3).abs() < 1e-6));
    }
}
