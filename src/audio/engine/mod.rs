//! The listening half without threads and clocks: packets of any speaker go in, one mixed frame comes out
//! for each 20 ms.
//!
//! Invariants: the same calls give the same samples, so everything here is tested in virtual time; nothing
//! a speaker sends can panic or stop another speaker's sound; memory is bounded by [`MAX_STREAMS`] and the
//! jitter buffers' own bound.
//!
//! **How to drive it**: [`Engine::handle_packet`] for what has arrived, [`Engine::tick`] once for each
//! 20 ms, then drain [`Engine::poll_event`].

mod intake;
mod stream;
mod stretch;

pub use stream::StreamStats;

use super::mixer::{MixInput, Mixer};
use super::{Channels, codec};
use bytes::Bytes;
use core::time::Duration;
use intake::Intake;
use majlis_protocol::jitter::{Arrival, DelayGoal};
use std::collections::{BTreeMap, VecDeque};
use stream::{Leave, Stream};

/// Streams that are decoded and remembered. A stage is smaller than this by far; each costs up to about
/// 50 µs of decoding per 20 ms, so that the bound holds a core to a fifth.
pub const MAX_STREAMS: usize = 64;

/// Ticks between two [`EngineEvent::Level`] of one speaker: ten a second, what an eye can follow.
const LEVEL_TICKS: u64 = 5;

/// Events held for whoever reads them: a second of every stream's levels. The oldest go first.
const MAX_EVENTS: usize = MAX_STREAMS * 10;

/// Names a speaker inside this module; the room puts the person's public key in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpeakerKey(pub [u8; 32]);

impl core::fmt::Debug for SpeakerKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SpeakerKey(")?;
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}

/// One verified media packet of one speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeechPacket {
    /// Who speaks.
    pub speaker: SpeakerKey,
    /// The epoch of the speaker's stream.
    pub epoch: u32,
    /// The first primary frame's number; counts frames sent.
    pub sequence: u32,
    /// The first primary frame's capture time in 20 ms ticks.
    pub time: u32,
    /// One to three frames, consecutive in sequence and time.
    pub frames: Vec<Bytes>,
    /// Copies of earlier frames: how many frames before `sequence`, and the payload.
    pub redundant: Vec<(u8, Bytes)>,
    /// Nothing follows the last frame without silence between.
    pub end_of_spurt: bool,
    /// Came as the answer to a pull.
    pub repaired: bool,
}

impl SpeechPacket {
    fn arrival(&self) -> Arrival<'_> {
        Arrival {
            epoch: self.epoch,
            sequence: self.sequence,
            time: self.time,
            frames: &self.frames,
            redundant: &self.redundant,
            end_of_spurt: self.end_of_spurt,
            repaired: self.repaired,
        }
    }
}

/// What the listening half tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineEvent {
    /// The first real frame of a speaker's epoch is in the frame that [`Engine::tick`] has just returned. A
    /// fresh decoder fed from this frame on makes the same samples, as long as nothing is lost.
    FirstAudio {
        /// Who is heard.
        speaker: SpeakerKey,
        /// The epoch of the stream.
        epoch: u32,
        /// The frame's number.
        sequence: u32,
    },
    /// How loud a speaker has been in the last tenth of a second: 0 is full scale, 127 silence, in -dB
    /// (RFC 6464). 127 comes once, when a sound ends.
    Level {
        /// Who is heard.
        speaker: SpeakerKey,
        /// The loudest frame.
        level: u8,
    },
}

/// Decodes and mixes all the speakers of one room.
#[derive(Debug)]
pub struct Engine {
    channels: Channels,
    goal: DelayGoal,
    intake: Intake,
    streams: BTreeMap<SpeakerKey, Stream>,
    mixer: Mixer<SpeakerKey>,
    mix: Vec<f32>,
    ticks: u64,
    /// Packets of speakers beyond [`MAX_STREAMS`].
    refused: u64,
    events: VecDeque<EngineEvent>,
}

impl Engine {
    /// An engine for a room with `channels`, whose jitter buffers aim for `goal`.
    pub fn new(channels: Channels, goal: DelayGoal) -> Self {
        Self {
            channels,
            goal,
            intake: Intake::default(),
            streams: BTreeMap::new(),
            mixer: Mixer::new(channels),
            mix: vec![0.0; channels.frame_len()],
            ticks: 0,
            refused: 0,
            events: VecDeque::new(),
        }
    }

    /// What has been counted for each speaker heard so far, those who left included.
    pub fn stats(&self) -> Vec<StreamStats> {
        self.streams
            .iter()
            .map(|(&speaker, stream)| stream.stats(speaker))
            .collect()
    }

    /// Packets turned away because more than [`MAX_STREAMS`] speakers sent.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether sound that has arrived is still to be played.
    pub fn has_more(&self) -> bool {
        !self.intake.is_empty() || self.streams.values().any(Stream::has_more)
    }

    /// Takes a packet that came off the network at `arrived`, on the clock of [`Engine::tick`]. It counts from
    /// the first tick at or after that time, however late it is handed over.
    pub fn handle_packet(&mut self, packet: SpeechPacket, arrived: Duration) {
        self.intake.handle_packet(packet, arrived);
    }

    /// The caller was not woken between `from` and `until`, perhaps with the whole machine. Packets that claim
    /// to have arrived then may have waited to be read; they are not taken for late.
    pub fn handle_stall(&mut self, from: Duration, until: Duration) {
        self.intake.handle_stall(from, until);
    }

    /// Aims for another delay, with all speakers.
    pub fn set_goal(&mut self, goal: DelayGoal) {
        self.goal = goal;
        for stream in self.streams.values_mut() {
            stream.set_goal(goal);
        }
    }

    /// Whether all speakers are brought to one loudness. Without it, as at first, each is as loud as it was sent.
    pub fn set_leveling(&mut self, on: bool) {
        self.mixer.set_leveling(on);
    }

    /// How loud the listener wants a speaker: a factor from 0, which mutes it here, to [`super::MAX_VOLUME`].
    pub fn set_volume(&mut self, speaker: SpeakerKey, volume: f32) {
        self.mixer.set_volume(speaker, volume);
    }

    /// Forgets what is buffered of a speaker, as a mute asks: 10 ms to fade, then silence until newer packets.
    pub fn flush(&mut self, speaker: SpeakerKey) {
        self.leave(speaker, Leave::Flush);
    }

    /// A speaker has left the stage: as [`Engine::flush`], and another speaker may take the place when all
    /// are taken. What was counted stays until then.
    pub fn remove(&mut self, speaker: SpeakerKey) {
        self.leave(speaker, Leave::Remove);
    }

    /// A speaker has stopped, perhaps without saying so: what has arrived by the next tick is played, and silence after
    /// it is no gap.
    pub fn end(&mut self, speaker: SpeakerKey) {
        if let Some(stream) = self.streams.get_mut(&speaker) {
            stream.end();
        }
    }

    /// As [`Engine::end`], for all speakers: the room is over.
    pub fn end_all(&mut self) {
        self.streams.values_mut().for_each(Stream::end);
    }

    /// The next 20 ms of the mix, due at `now`: channels interleaved, within ±1.0. `now` must not go back.
    pub fn tick(&mut self, now: Duration) -> &[f32] {
        while let Some((packet, arrived)) = self.intake.poll_packet(now) {
            self.accept(&packet, arrived);
        }
        for stream in self.streams.values_mut() {
            stream.advance(now);
        }
        let inputs: Vec<MixInput<'_, SpeakerKey>> = self
            .streams
            .iter()
            .filter_map(|(&key, stream)| {
                stream.sound().map(|frame| MixInput {
                    key,
                    frame,
                    leaving: stream.is_leaving(),
                })
            })
            .collect();
        self.mixer.mix(&inputs, &mut self.mix);
        self.ticks += 1;
        self.tell();
        &self.mix
    }

    /// The next thing to tell, oldest first.
    pub fn poll_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    fn leave(&mut self, speaker: SpeakerKey, how: Leave) {
        self.intake.forget(speaker);
        if let Some(stream) = self.streams.get_mut(&speaker) {
            stream.leave(how);
        }
    }

    fn accept(&mut self, packet: &SpeechPacket, arrived: Duration) {
        if let Some(stream) = self.stream(packet.speaker) {
            stream.handle_packet(&packet.arrival(), arrived);
        } else {
            self.refused += 1;
        }
    }

    /// The speaker's stream; a new one takes the place of one that was removed when there is no other.
    fn stream(&mut self, speaker: SpeakerKey) -> Option<&mut Stream> {
        if self.streams.contains_key(&speaker) {
            return self.streams.get_mut(&speaker);
        }
        if self.streams.len() >= MAX_STREAMS {
            let gone = self
                .streams
                .iter()
                .find_map(|(&key, stream)| stream.is_gone().then_some(key))?;
            self.streams.remove(&gone);
            self.mixer.forget(gone);
        }
        let decoder = codec::decoder(self.channels).ok()?;
        let stream = Stream::new(self.channels, self.goal, decoder);
        Some(self.streams.entry(speaker).or_insert(stream))
    }

    fn tell(&mut self) {
        let levels_due = self.ticks.is_multiple_of(LEVEL_TICKS);
        for (&speaker, stream) in &mut self.streams {
            if self.mixer.was_heard(speaker)
                && let Some((epoch, sequence)) = stream.take_first_audio()
            {
                self.events.push_back(EngineEvent::FirstAudio {
                    speaker,
                    epoch,
                    sequence,
                });
            }
            if levels_due && let Some(level) = stream.take_level() {
                self.events.push_back(EngineEvent::Level { speaker, level });
            }
        }
        let surplus = self.events.len().saturating_sub(MAX_EVENTS);
        self.events.drain(..surplus);
    }
}

#[cfg(test)]
mod drift_tests;
#[cfg(test)]
mod tests;
