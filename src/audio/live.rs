//! Microphone and loudspeaker as a source and a sink.
//!
//! Devices are mono; a stereo room's microphone speaks in the middle, and its mix is folded for the
//! loudspeaker.

use super::device::{DeviceError, Direction, Loudspeaker, Microphone, Read, Written};
use super::sample::{fold, unfold};
use super::{AudioError, AudioSink, AudioSource, Channels, FRAME_SAMPLES, Fill, SourceKind};
use core::time::Duration;

/// How long one read waits for the microphone: as long as [`SourceKind::Live`] allows.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// How long one write waits for the loudspeaker. Then the frame is left out, so that a device which is slow
/// to start does not hold up the streams; more than a device's period, or frames would be lost to it.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// A loudspeaker that takes nothing in this many writes has stopped without saying so: 3 s. Sound servers
/// take more than a second to start a device that slept.
const DEAD_AFTER: u32 = 30;

/// How long the end of the sound may take to be played.
const FINISH_TIMEOUT: Duration = Duration::from_millis(300);

/// An open microphone.
#[derive(Debug)]
pub(super) struct MicSource {
    microphone: Microphone,
    mono: Box<[f32; FRAME_SAMPLES]>,
}

impl MicSource {
    /// Opens the default microphone, or the one that is named.
    pub(super) fn open(name: Option<&str>) -> Result<Self, AudioError> {
        Ok(Self {
            microphone: Microphone::open(name)?,
            mono: Box::new([0.0; FRAME_SAMPLES]),
        })
    }
}

impl AudioSource for MicSource {
    fn kind(&self) -> SourceKind {
        SourceKind::Live
    }

    fn read_frame(&mut self, channels: Channels, frame: &mut [f32]) -> Result<Fill, AudioError> {
        if self.microphone.read(&mut self.mono, READ_TIMEOUT)? == Read::NotYet {
            return Ok(Fill::NotYet);
        }
        unfold(&self.mono[..], channels, frame);
        Ok(Fill::Frame)
    }
}

/// An open loudspeaker.
#[derive(Debug)]
pub(super) struct SpeakerSink {
    loudspeaker: Loudspeaker,
    mono: Box<[f32; FRAME_SAMPLES]>,
    /// Writes in a row that it did not take.
    untaken: u32,
}

impl SpeakerSink {
    /// Opens the default loudspeaker, or the one that is named.
    pub(super) fn open(name: Option<&str>) -> Result<Self, AudioError> {
        Ok(Self {
            loudspeaker: Loudspeaker::open(name)?,
            mono: Box::new([0.0; FRAME_SAMPLES]),
            untaken: 0,
        })
    }
}

impl AudioSink for SpeakerSink {
    fn write_frame(&mut self, channels: Channels, frame: &[f32]) -> Result<(), AudioError> {
        fold(frame, channels, &mut self.mono[..]);
        if self.loudspeaker.write(&self.mono, WRITE_TIMEOUT)? == Written::Taken {
            self.untaken = 0;
            return Ok(());
        }
        self.untaken += 1;
        if self.untaken < DEAD_AFTER {
            Ok(())
        } else {
            Err(DeviceError::Lost(Direction::Output).into())
        }
    }

    fn paces_itself(&self) -> bool {
        true
    }

    fn finish(&mut self) -> Result<(), AudioError> {
        Ok(self.loudspeaker.finish(FINISH_TIMEOUT)?)
    }
}
