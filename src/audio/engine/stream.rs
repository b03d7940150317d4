//! One speaker at the listener: jitter buffer, decoder, and the seams between sound and silence.
//!
//! Invariants: the decoder sees the frames that were played, in order, and nothing during silence, so that
//! it stays equal to any other decoder fed the same; a payload it refuses is concealed and counted; a
//! sound that breaks off is let down within 10 ms instead of clicking.

use super::SpeakerKey;
use crate::audio::codec::{CodecError, Decoder};
use crate::audio::sample::SILENCE_LEVEL;
use crate::audio::{Channels, FRAME_SAMPLES, level_of};
use core::time::Duration;
use majlis_protocol::jitter::{Arrival, DelayGoal, JitterBuffer, Playout, Stats};

/// A last sample above this, 60 dB below full scale, would click when silence follows it at once. Below, it
/// can't be heard, and the silence is left as it is.
const CLICK: f32 = 0.001;

/// Samples a channel over which such a last sample is let down: 10 ms.
const LET_DOWN: usize = FRAME_SAMPLES / 2;

/// What one speaker's stream has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// Whose stream.
    pub speaker: SpeakerKey,
    /// What the jitter buffer counted.
    pub jitter: Stats,
    /// Payloads the decoder refused; each was concealed.
    pub decode_errors: u64,
}

/// Why a stream breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// What is buffered must not be heard; newer packets may be.
    Flush,
    /// Nothing more is expected.
    Remove,
}

/// What the frame of this tick is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    /// Nothing.
    Silence,
    /// A frame that was sent, or what stands for one that was lost.
    Speech,
    /// The end of a sound that broke off.
    LetDown,
}

/// One speaker's way from packets to frames.
pub(super) struct Stream {
    channels: Channels,
    buffer: JitterBuffer,
    decoder: Box<dyn Decoder>,
    /// The epoch the decoder is in.
    epoch: Option<u32>,
    frame: Vec<f32>,
    sound: Sound,
    leave: Option<Leave>,
    /// Nothing follows what is here by the next tick.
    ends: bool,
    /// This tick's frame is the last before the stream breaks off.
    leaving: bool,
    gone: bool,
    decode_errors: u64,
    /// The first real frame of the epoch, until it has been told.
    first_audio: FirstAudio,
    /// The loudest frame since the level was last told.
    loudest: u8,
    /// The level last told was not silence.
    told_sound: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstAudio {
    Awaited,
    Ready { epoch: u32, sequence: u32 },
    Told,
}

impl Stream {
    pub(super) fn new(channels: Channels, goal: DelayGoal, decoder: Box<dyn Decoder>) -> Self {
        Self {
            channels,
            buffer: JitterBuffer::new(goal),
            decoder,
            epoch: None,
            frame: vec![0.0; channels.frame_len()],
            sound: Sound::Silence,
            leave: None,
            ends: false,
            leaving: false,
            gone: false,
            decode_errors: 0,
            first_audio: FirstAudio::Awaited,
            loudest: SILENCE_LEVEL,
            told_sound: false,
        }
    }

    pub(super) fn stats(&self, speaker: SpeakerKey) -> StreamStats {
        StreamStats {
            speaker,
            jitter: self.buffer.stats().clone(),
            decode_errors: self.decode_errors,
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.buffer.buffered() > 0 || self.sound == Sound::Speech
    }

    /// The frame of this tick, unless it is silence.
    pub(super) fn sound(&self) -> Option<&[f32]> {
        (self.sound != Sound::Silence).then_some(&self.frame)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn handle_packet(&mut self, arrival: &Arrival<'_>, arrived: Duration) {
        self.gone = false;
        self.buffer.handle_packet(arrival, arrived);
    }

    pub(super) fn set_goal(&mut self, goal: DelayGoal) {
        self.buffer.set_goal(goal);
    }

    /// Breaks off with the next tick.
    pub(super) fn leave(&mut self, how: Leave) {
        if self.leave != Some(Leave::Remove) {
            self.leave = Some(how);
        }
    }

    /// Plays what is here by the next tick; what follows is silence.
    pub(super) fn end(&mut self) {
        self.ends = true;
    }

    /// Makes the frame of the tick due at `now`.
    pub(super) fn advance(&mut self, now: Duration) {
        if core::mem::take(&mut self.leaving) {
            self.sound = Sound::Silence;
        }
        if core::mem::take(&mut self.ends) {
            self.buffer.handle_end();
        }
        let sounded = self.sound == Sound::Speech;
        let playout = self.buffer.poll_frame(now);
        match self.leave.take() {
            // A sound under way gets one more frame to fade in; a new one is not even begun.
            Some(how) => {
                if sounded {
                    self.play(playout);
                    self.leaving = true;
                } else {
                    self.sound = Sound::Silence;
                }
                self.buffer.flush();
                self.gone = how == Leave::Remove;
            }
            None => self.play(playout),
        }
        let level = self.sound().map_or(SILENCE_LEVEL, level_of);
        self.loudest = self.loudest.min(level);
    }

    /// The first real frame of the epoch, once, after the tick that played it.
    pub(super) fn take_first_audio(&mut self) -> Option<(u32, u32)> {
        let FirstAudio::Ready { epoch, sequence } = self.first_audio else {
            return None;
        };
        self.first_audio = FirstAudio::Told;
        Some((epoch, sequence))
    }

    /// The loudest frame since the last call; nothing while silence goes on.
    pub(super) fn take_level(&mut self) -> Option<u8> {
        let level = core::mem::replace(&mut self.loudest, SILENCE_LEVEL);
        let sounds = level < SILENCE_LEVEL;
        let worth_telling = sounds || self.told_sound;
        self.told_sound = sounds;
        worth_telling.then_some(level)
    }

    fn play(&mut self, playout: Playout) {
        match playout {
            Playout::Frame {
                epoch,
                sequence,
                payload,
            } => {
                self.enter(epoch);
                let decoded = self.decoder.decode(&payload, &mut self.frame);
                let real = decoded.is_ok();
                self.finish(decoded);
                if real && self.first_audio == FirstAudio::Awaited {
                    self.first_audio = FirstAudio::Ready { epoch, sequence };
                }
            }
            Playout::Recover { epoch, next, .. } => {
                self.enter(epoch);
                let recovered = self.decoder.recover(&next, &mut self.frame);
                self.finish(recovered);
            }
            Playout::Conceal { epoch, .. } => {
                self.enter(epoch);
                self.conceal();
            }
            Playout::Silence => self.fall_silent(),
        }
    }

    /// A new epoch is a new encoder at the speaker, so the decoder starts anew too.
    fn enter(&mut self, epoch: u32) {
        if self.epoch == Some(epoch) {
            return;
        }
        if self.epoch.is_some() && self.decoder.reset().is_err() {
            self.decode_errors += 1;
        }
        self.epoch = Some(epoch);
        self.first_audio = FirstAudio::Awaited;
    }

    fn finish(&mut self, decoded: Result<(), CodecError>) {
        match decoded {
            Ok(()) => self.sound = Sound::Speech,
            Err(_) => {
                self.decode_errors += 1;
                self.conceal();
            }
        }
    }

    fn conceal(&mut self) {
        self.sound = match self.decoder.conceal(&mut self.frame) {
            Ok(()) => Sound::Speech,
            Err(_) => Sound::Silence,
        };
    }

    /// Lets a sound that broke off down to zero, and leaves the decoder alone.
    fn fall_silent(&mut self) {
        let count = self.channels.count();
        let last = self.frame.len() - count;
        let clicks = self.frame[last..].iter().any(|sample| sample.abs() > CLICK);
        if self.sound != Sound::Speech || !clicks {
            self.sound = Sound::Silence;
            return;
        }
        let mut ends = [0.0; 2];
        ends[..count].copy_from_slice(&self.frame[last..]);
        for (index, moment) in self.frame.chunks_exact_mut(count).enumerate() {
            let left = LET_DOWN.saturating_sub(index + 1) as f32 / LET_DOWN as f32;
            for (sample, end) in moment.iter_mut().zip(ends) {
                *sample = end * left;
            }
        }
        self.sound = Sound::LetDown;
    }
}

impl core::fmt::Debug for Stream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stream")
            .field("epoch", &self.epoch)
            .field("sound", &self.sound)
            .field("gone", &self.gone)
            .field("decode_errors", &self.decode_errors)
            .finish_non_exhaustive()
    }
}
