//! One speaker at the listener: jitter buffer, decoder, and the seams between sound and silence.
//!
//! Invariants: the decoder sees the frames that were played, in order, and nothing during silence, so that
//! it stays equal to any other decoder fed the same; a payload it refuses is concealed and counted; a
//! sound that breaks off is let down within 10 ms instead of clicking, and one that goes on after frames
//! were left out is faded into.
//!
//! What is decoded waits in a queue, of which each tick takes 20 ms. It is empty after every tick until a frame
//! is made shorter or longer; from then on it holds less than a frame, which counts as delay, until the next
//! silence takes it up.

use super::SpeakerKey;
use super::stretch::{Stretch, cross};
use crate::audio::codec::{CodecError, Decoder};
use crate::audio::sample::SILENCE_LEVEL;
use crate::audio::{Channels, FRAME_SAMPLES, SAMPLE_RATE, level_of};
use core::time::Duration;
use majlis_protocol::jitter::{Arrival, DelayGoal, JitterBuffer, Pace, Playout, Stats};

/// A last sample above this, 60 dB below full scale, would click when silence follows it at once. Below, it
/// can't be heard, and the silence is left as it is.
const CLICK: f32 = 0.001;

/// Samples a channel over which such a last sample is let down: 10 ms.
const LET_DOWN: usize = FRAME_SAMPLES / 2;

/// Samples a channel over which sound is faded into that follows on frames which were left out: 5 ms.
const SEAM: usize = FRAME_SAMPLES / 4;

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
    /// Frames that were made shorter or longer to change the delay.
    pub stretched: u64,
}

/// Why a stream breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// What is buffered must not be heard; newer packets may be.
    Flush,
    /// Nothing more is expected.
    Remove,
}

/// What the frame of this tick is; of a frame of several parts, the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sound {
    /// Nothing.
    Silence,
    /// The end of a sound that broke off.
    LetDown,
    /// A frame that was sent, or what stands for one that was lost.
    Speech,
}

/// One speaker's way from packets to frames.
pub(super) struct Stream {
    channels: Channels,
    buffer: JitterBuffer,
    decoder: Box<dyn Decoder>,
    /// The epoch the decoder is in.
    epoch: Option<u32>,
    stretch: Stretch,
    /// One frame as it is decoded.
    decoded: Vec<f32>,
    /// What is to be played after this tick's frame, and what the end of it is.
    queue: Vec<f32>,
    rest: Sound,
    /// Frames that the buffer had left out when the last was decoded.
    skipped: u64,
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
            stretch: Stretch::new(channels),
            decoded: vec![0.0; channels.frame_len()],
            queue: Vec::with_capacity(channels.frame_len() * 3),
            rest: Sound::Silence,
            skipped: 0,
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
            stretched: self.stretch.changed(),
        }
    }

    /// The present delay.
    #[cfg(test)]
    pub(super) fn delay(&self) -> Duration {
        self.buffer.delay()
    }

    pub(super) fn has_more(&self) -> bool {
        self.buffer.buffered() > 0 || self.sound == Sound::Speech || !self.queue.is_empty()
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
        self.buffer.handle_tick(now);
        match self.leave.take() {
            // A sound under way gets one more frame to fade in; a new one is not even begun.
            Some(how) => {
                if sounded {
                    self.fill();
                    self.leaving = true;
                } else {
                    self.buffer.next_frame(Duration::ZERO);
                    self.sound = Sound::Silence;
                }
                self.buffer.flush();
                self.queue.clear();
                self.rest = Sound::Silence;
                self.gone = how == Leave::Remove;
            }
            None => self.fill(),
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

    /// Makes this tick's frame of what is queued, and of as much more as it takes.
    fn fill(&mut self) {
        let wanted = self.channels.frame_len();
        self.sound = if self.queue.is_empty() {
            Sound::Silence
        } else {
            self.rest
        };
        while self.queue.len() < wanted {
            let moments = (self.queue.len() / self.channels.count()) as u64;
            let queued = Duration::from_micros(moments * 1_000_000 / u64::from(SAMPLE_RATE));
            let playout = self.buffer.next_frame(queued);
            self.play(playout);
            self.sound = self.sound.max(self.rest);
        }
        self.frame.copy_from_slice(&self.queue[..wanted]);
        self.queue.drain(..wanted);
    }

    /// Appends what is to be played next to the queue.
    fn play(&mut self, playout: Playout) {
        match playout {
            Playout::Frame {
                epoch,
                sequence,
                payload,
            } => {
                self.enter(epoch);
                let seam = self.seam();
                let decoded = self.decoder.decode(&payload, &mut self.decoded);
                let real = decoded.is_ok();
                if let (true, Some(before)) = (real, seam) {
                    let end = SEAM * self.channels.count();
                    let mut faded = Vec::with_capacity(end);
                    cross(
                        &before[..end],
                        &self.decoded[..end],
                        self.channels.count(),
                        &mut faded,
                    );
                    self.decoded[..end].copy_from_slice(&faded);
                }
                let pace = if real { self.buffer.pace() } else { Pace::Keep };
                self.finish(decoded, pace);
                if real && self.first_audio == FirstAudio::Awaited {
                    self.first_audio = FirstAudio::Ready { epoch, sequence };
                }
            }
            Playout::Recover { epoch, next, .. } => {
                self.enter(epoch);
                let recovered = self.decoder.recover(&next, &mut self.decoded);
                self.finish(recovered, Pace::Keep);
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

    /// What the sound before would have gone on as, when the buffer has left out frames since.
    fn seam(&mut self) -> Option<Vec<f32>> {
        let skipped = core::mem::replace(&mut self.skipped, self.buffer.stats().skipped);
        let goes_on = self.rest == Sound::Speech && skipped != self.skipped;
        (goes_on && self.decoder.conceal(&mut self.decoded).is_ok()).then(|| self.decoded.clone())
    }

    fn finish(&mut self, decoded: Result<(), CodecError>, pace: Pace) {
        match decoded {
            Ok(()) => {
                self.stretch.append(&self.decoded, pace, &mut self.queue);
                self.rest = Sound::Speech;
            }
            Err(_) => {
                self.decode_errors += 1;
                self.conceal();
            }
        }
    }

    fn conceal(&mut self) {
        match self.decoder.conceal(&mut self.decoded) {
            Ok(()) => {
                self.queue.extend_from_slice(&self.decoded);
                self.rest = Sound::Speech;
            }
            Err(_) => self.fall_silent(),
        }
    }

    /// Lets a sound that broke off down to zero, and leaves the decoder alone. The silence takes up what is queued, as
    /// far as there is time to be let down.
    fn fall_silent(&mut self) {
        let count = self.channels.count();
        let before = if self.queue.is_empty() {
            &self.frame
        } else {
            &self.queue
        };
        let mut ends = [0.0; 2];
        ends[..count].copy_from_slice(&before[before.len() - count..]);
        let clicks = self.rest == Sound::Speech && ends.iter().any(|sample| sample.abs() > CLICK);
        let begin = self.queue.len();
        let all = self.channels.frame_len();
        let until = if clicks && begin + LET_DOWN * count > all {
            begin + all
        } else {
            all
        };
        self.queue.resize(until, 0.0);
        self.rest = Sound::Silence;
        if !clicks {
            return;
        }
        self.rest = Sound::LetDown;
        for (index, moment) in self.queue[begin..]
            .chunks_exact_mut(count)
            .take(LET_DOWN)
            .enumerate()
        {
            let left = (LET_DOWN - index - 1) as f32 / LET_DOWN as f32;
            for (sample, end) in moment.iter_mut().zip(ends) {
                *sample = end * left;
            }
        }
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
