//! What becomes of a microphone's sound before it is encoded: what the loudspeaker plays is taken out of it, noise is
//! held down, and a soft voice is raised.
//!
//! The order is that of every voice program: high-pass, echo cancellation, noise suppression, gain. The first two and
//! the last are those of WebRTC (`sonora`), noise is held down by RNNoise (`nnnoiseless`). Each can be left out; without
//! any of them a frame comes back bit for bit.
//!
//! Invariants: a frame that goes in comes out with the same length, within full scale and without what is no number;
//! nothing here waits for the loudspeaker's thread; memory is allocated when a chain is made, and hardly afterwards.

mod activity;
mod far_end;
mod spurt;
#[cfg(test)]
mod tests;

pub use activity::VoiceDetector;
pub use far_end::FarEnd;
pub use spurt::{PRE_ROLL, Spurts, Step};

use super::{FRAME_SAMPLES, SAMPLE_RATE};
use nnnoiseless::DenoiseState;
use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate, Pipeline,
};
use sonora::{AudioProcessing, Config, StreamConfig};

/// Samples that the libraries take at once: 10 ms.
const BLOCK: usize = FRAME_SAMPLES / 2;

/// The libraries' noise suppressor works on samples of 16 bit.
const SIXTEEN_BIT: f32 = 32_768.0;

/// The gain before anything was heard, in decibels. Most microphones are set so that speech needs some; more, and the
/// first word of a loud one is bent by the limiter, and an echo is raised before the canceller has learnt it.
const INITIAL_GAIN_DB: f32 = 6.0;

/// The most gain, in decibels. Beyond it what is raised is the microphone's own noise.
const MAX_GAIN_DB: f32 = 30.0;

/// What is done to a microphone's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoiceOptions {
    /// Rumble below the voice is cut off.
    pub high_pass: bool,
    /// What the loudspeaker plays is taken out again. For headsets it is not needed, and does little.
    pub echo_cancel: bool,
    /// Steady noise is held down.
    pub noise_suppression: bool,
    /// Soft voices are raised, and no peak passes full scale.
    pub auto_gain: bool,
}

impl VoiceOptions {
    /// Everything: what a person who talks wants.
    pub const ON: Self = Self {
        high_pass: true,
        echo_cancel: true,
        noise_suppression: true,
        auto_gain: true,
    };

    /// Nothing: the sound as the microphone gives it.
    pub const OFF: Self = Self {
        high_pass: false,
        echo_cancel: false,
        noise_suppression: false,
        auto_gain: false,
    };
}

/// The chain of one microphone.
pub struct VoiceChain {
    /// High-pass and echo canceller.
    front: Option<AudioProcessing>,
    /// What the loudspeaker plays, while its echo is cancelled.
    far_end: Option<FarEnd>,
    noise: Option<Box<DenoiseState<'static>>>,
    gain: Option<AudioProcessing>,
    /// The last frame as it was before noise was held down.
    heard: Box<[f32; FRAME_SAMPLES]>,
    /// A frame of the loudspeaker, and what the libraries write next to what they read.
    far: Box<[f32; FRAME_SAMPLES]>,
    scratch: Box<[f32; BLOCK]>,
}

impl VoiceChain {
    /// A chain that has heard nothing. `far_end` gives what the loudspeaker plays; without echo cancellation it is left
    /// alone.
    pub fn new(options: VoiceOptions, far_end: FarEnd) -> Self {
        let front = (options.high_pass || options.echo_cancel).then(|| {
            processing(Config {
                high_pass_filter: options.high_pass.then(HighPassFilter::default),
                echo_canceller: options.echo_cancel.then(EchoCanceller::default),
                ..Config::default()
            })
        });
        let gain = options.auto_gain.then(|| {
            let adaptive = AdaptiveDigital {
                initial_gain_db: INITIAL_GAIN_DB,
                max_gain_db: MAX_GAIN_DB,
                ..AdaptiveDigital::default()
            };
            let gain_controller2 = GainController2 {
                adaptive_digital: Some(adaptive),
                ..GainController2::default()
            };
            processing(Config {
                gain_controller2: Some(gain_controller2),
                ..Config::default()
            })
        });
        Self {
            front,
            far_end: options.echo_cancel.then_some(far_end),
            noise: options.noise_suppression.then(DenoiseState::new),
            gain,
            heard: Box::new([0.0; FRAME_SAMPLES]),
            far: Box::new([0.0; FRAME_SAMPLES]),
            scratch: Box::new([0.0; BLOCK]),
        }
    }

    /// The last frame with its noise, but without echo: what is left of suppressed noise crackles, and steady noise is
    /// told from the beginning of a word more easily where it is whole.
    pub fn heard(&self) -> &[f32; FRAME_SAMPLES] {
        &self.heard
    }

    /// Begins to listen to the loudspeaker: the microphone has been opened.
    pub fn open(&mut self) {
        if let Some(far_end) = &self.far_end {
            far_end.open();
        }
    }

    /// Listens to the loudspeaker no more. What was learnt of the room is kept.
    pub fn close(&mut self) {
        if let Some(far_end) = &self.far_end {
            far_end.close();
        }
    }

    /// Works on a frame of the microphone, mono, in place.
    pub fn process(&mut self, frame: &mut [f32; FRAME_SAMPLES]) {
        self.hear_far_end();
        tame(&mut frame[..]);
        for (block, heard) in frame
            .chunks_exact_mut(BLOCK)
            .zip(self.heard.chunks_exact_mut(BLOCK))
        {
            if let Some(front) = &mut self.front {
                run(front, block, &mut self.scratch);
            }
            heard.copy_from_slice(block);
            if let Some(noise) = &mut self.noise {
                hold_down(noise, block, &mut self.scratch);
            }
            if let Some(gain) = &mut self.gain {
                run(gain, block, &mut self.scratch);
            }
        }
        // A driver, or a library, may give what is no number: it must not reach an encoder, whose state it would spoil.
        for sample in frame.iter_mut() {
            *sample = if sample.is_finite() {
                sample.clamp(-1.0, 1.0)
            } else {
                0.0
            };
        }
    }

    /// Shows the canceller what has been played since the last frame, or it could not know its echo.
    fn hear_far_end(&mut self) {
        let (Some(front), Some(far_end)) = (&mut self.front, &self.far_end) else {
            return;
        };
        while far_end.next(&mut self.far) {
            tame(&mut self.far[..]);
            for block in self.far.chunks_exact(BLOCK) {
                // Both are as long as the stream was declared to be.
                let _ = front.process_render_f32(&[block], &mut [&mut self.scratch[..]]);
            }
        }
    }
}

impl Drop for VoiceChain {
    fn drop(&mut self) {
        self.close();
    }
}

impl core::fmt::Debug for VoiceChain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VoiceChain")
            .field("front", &self.front.is_some())
            .field("echo_cancel", &self.far_end.is_some())
            .field("noise_suppression", &self.noise.is_some())
            .field("auto_gain", &self.gain.is_some())
            .finish_non_exhaustive()
    }
}

/// Brings samples within full scale. A driver may give what is no number: it would spoil whatever remembers it.
fn tame(samples: &mut [f32]) {
    for sample in samples {
        *sample = if sample.is_finite() {
            sample.clamp(-1.0, 1.0)
        } else {
            0.0
        };
    }
}

/// WebRTC's processing of one mono stream at 48 kHz, over the whole of its band.
fn processing(config: Config) -> AudioProcessing {
    let stream = StreamConfig::new(SAMPLE_RATE, 1);
    let pipeline = Pipeline {
        maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
        ..Pipeline::default()
    };
    AudioProcessing::builder()
        .config(Config { pipeline, ..config })
        .capture_config(stream)
        .render_config(stream)
        .build()
}

fn run(processing: &mut AudioProcessing, block: &mut [f32], scratch: &mut [f32; BLOCK]) {
    // It fails only on lengths other than those declared; then the block stays as it is.
    if processing
        .process_capture_f32(&[block], &mut [&mut scratch[..]])
        .is_ok()
    {
        block.copy_from_slice(&scratch[..]);
    }
}

fn hold_down(noise: &mut DenoiseState<'static>, block: &mut [f32], scratch: &mut [f32; BLOCK]) {
    for sample in block.iter_mut() {
        *sample *= SIXTEEN_BIT;
    }
    noise.process_frame(&mut scratch[..], block);
    for (sample, clean) in block.iter_mut().zip(scratch.iter()) {
        *sample = clean / SIXTEEN_BIT;
    }
}
