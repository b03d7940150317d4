//! Whether somebody speaks in a frame.
//!
//! Two judges: a small neural network (`earshot`) knows a voice from other sound, but only some tens of milliseconds
//! after it began; how far the sound rises above the noise before it is known at once. So a frame that rises *may* be
//! the beginning of a word, and the network says later whether it was.

use crate::audio::sample::mean_power;
use crate::audio::{FRAME_SAMPLES, Resampler};
use earshot::Detector;

/// Samples that the network judges at once: 16 ms at its 16 kHz.
const HOP: usize = 256;

/// The network's score above which it hears a voice. Its authors' default is 0.5; somewhat less keeps the soft ends of
/// words, and what it costs is packets, not sense.
const VOICE: f32 = 0.4;

/// Pieces of a frame whose power is looked at by itself: 10 ms, so that a word that begins at the end of a frame is seen
/// in it. Shorter, and a hum swells and fades from one to the next.
const PIECES: usize = 2;

/// How far above the noise a piece must rise to be the beginning of something, in power: 9 dB. Less, and noise that
/// crackles is sent; more, and soft beginnings of words are left to the pre-roll.
const RISE: f32 = 8.0;

/// What is softer than this is never the beginning of something: -66 dB below full scale, in power.
const SOFTEST: f32 = 2.5e-7;

/// How fast the idea of the noise follows sound that is louder, in power each frame: 3 dB a second. Faster, and it
/// climbs into a long vowel that the network does not know; slower, and a fan that starts is sent for long.
const CLIMB: f32 = 1.0139;

/// How fast it follows sound that is softer: 30 dB a second. At once, and a single frame of digital silence, as noise
/// suppressors make it, would let the room's noise pass for the beginning of something.
const FALL: f32 = 0.87;

/// How fast it climbs while nothing is known of the room yet: 40 dB a second.
const FIRST_CLIMB: f32 = 1.2;

/// Frames for which nothing is known: a second.
const UNKNOWN: u32 = 50;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// Nothing, or what has been there for a while.
    Quiet,
    /// Something louder than before.
    Rise,
    /// A voice.
    Voice,
}

/// Tells speech from silence and noise, frame by frame.
pub struct VoiceDetector {
    network: Box<Detector>,
    resampler: Resampler,
    /// At the network's rate; less than a hop is left between two frames.
    waiting: Vec<f32>,
    /// Power of the noise that is always there.
    floor: f32,
    /// Frames heard, up to [`UNKNOWN`].
    heard: u32,
}

impl VoiceDetector {
    /// One that has heard nothing.
    pub fn new() -> Self {
        Self {
            network: Detector::default_boxed(),
            resampler: Resampler::frames_to_16k(),
            waiting: Vec::with_capacity(2 * HOP),
            floor: SOFTEST,
            heard: 0,
        }
    }

    /// Judges the next frame, mono: `heard` with its noise, `clean` as it would be sent. Both may be the same.
    pub fn judge(&mut self, heard: &[f32], clean: &[f32]) -> Activity {
        let has_voice = self.has_voice(clean);
        let rises = self.rises(heard, has_voice);
        match (has_voice, rises) {
            (true, _) => Activity::Voice,
            (false, true) => Activity::Rise,
            (false, false) => Activity::Quiet,
        }
    }

    fn has_voice(&mut self, frame: &[f32]) -> bool {
        self.resampler.push(frame, &mut self.waiting);
        let whole = self.waiting.len() / HOP * HOP;
        let mut best: f32 = 0.0;
        for hop in self.waiting[..whole].chunks_exact_mut(HOP) {
            for sample in hop.iter_mut() {
                // The filter overshoots full scale a little, and the network refuses that.
                *sample = if sample.is_finite() {
                    sample.clamp(-1.0, 1.0)
                } else {
                    0.0
                };
            }
            best = best.max(self.network.predict_f32(hop));
        }
        self.waiting.drain(..whole);
        best >= VOICE
    }

    /// Whether a piece of the frame is louder than what was there before. The idea of what is there follows the softest
    /// piece: down soon, and up slowly, unless a voice is why.
    fn rises(&mut self, frame: &[f32], has_voice: bool) -> bool {
        let pieces = frame.chunks(FRAME_SAMPLES / PIECES).map(mean_power);
        let (softest, loudest) = pieces.fold((f32::MAX, 0.0), |(softest, loudest): (f32, f32), power| {
            (softest.min(power), loudest.max(power))
        });
        let rises = loudest > SOFTEST.max(self.floor * RISE);
        let climb = if self.heard < UNKNOWN { FIRST_CLIMB } else { CLIMB };
        self.heard = (self.heard + 1).min(UNKNOWN);
        if softest < self.floor {
            self.floor = (self.floor * FALL).max(softest).max(SOFTEST / RISE);
        } else if !has_voice {
            self.floor = (self.floor * climb).min(softest);
        }
        rises
    }
}

impl Default for VoiceDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for VoiceDetector {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VoiceDetector")
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}
