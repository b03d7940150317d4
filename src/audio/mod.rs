//! Sound: from a microphone or file to encoded frames, and from encoded frames to loudspeakers or a file.
//!
//! This module knows neither network nor rooms. [`Capture`] turns an [`Input`] into [`EncodedFrame`]s at
//! the pace of real time; [`Playback`] turns the packets of any number of speakers into one mix for an
//! [`Output`]. Everything between the two is 48 kHz, in frames of 20 ms, as `f32` with full scale at 1.0.
//!
//! Invariants: a single speaker below -1 dBFS reaches the output sample for sample as the decoder made
//! it; no failure, of a payload, a file or a device, makes a loud noise or stops a room; every queue has
//! a bound and drops its oldest sound.

mod capture;
pub mod codec;
pub mod device;
pub mod engine;
mod error;
mod files;
mod input;
mod live;
mod mixer;
mod output;
mod pace;
mod playback;
pub mod process;
mod recording;
mod resample;
mod sample;
#[cfg(test)]
#[path = "../../examples/score/mod.rs"]
mod score;
#[cfg(test)]
mod testing;
mod tone;
mod word;

pub use capture::{Capture, CaptureOptions, Captured, EncodedFrame};
pub use error::AudioError;
pub use files::{FileSource, OpusSink, WavSink};
pub use input::{AudioSource, Fill, Input, SourceKind};
pub use mixer::{MAX_MIXED, MAX_VOLUME, MixInput, Mixer, TARGET_LUFS};
pub use output::{AudioSink, Output};
pub use playback::{
    FinalReport, Finish, Playback, PlaybackEvent, PlaybackFeed, PlaybackHandle, PlaybackOptions,
    PlaybackStats, ReadyOutput,
};
pub use recording::{Recording, RecordingFeed};
pub use resample::Resampler;
pub use sample::{Channels, level_of, to_i16};
pub use tone::Tone;

use core::time::Duration;

/// Samples a second of every signal inside this module.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples of one channel in a frame: 20 ms, the frame length of the media packet.
pub const FRAME_SAMPLES: usize = 960;

/// The length of a frame in time.
pub const FRAME: Duration = Duration::from_millis(20);
