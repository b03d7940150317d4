//! One speaker's part of a recording: packets as they were sent, each at its time, and what they sound like.
//!
//! A file has a packet for each 20 ms from the recording's start on. Where a frame is missing an empty packet stands, which
//! decoders conceal, and where nothing was sent one of silence. Frames have their place by the time of their capture, which
//! the speaker's own clock counts; where that clock begins is taken from the packet that was least held up on its way.
//! Clocks run apart, so it is looked at again at each start of speech.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bytes::Bytes;

use crate::audio::{
    AudioError, Channels, FRAME,
    codec::{self, Decoder},
    engine::SpeechPacket,
    files::OggOpus,
};

/// How far ahead of what is written a frame may lie: more than any is held back. Who claims more is not believed.
const AHEAD: u64 = 250;

/// Silence, in ticks, after which speech counts as begun anew.
const PAUSE: i64 = 10;

/// By how many ticks a clock must have gone astray to be followed: less is how unevenly a network delivers.
const ASTRAY: i64 = 2;

/// Packets after which the one that was least held up is looked for anew: half a minute of speech.
const LOOK_BACK: u32 = 1_500;

/// Ticks without a frame that are concealed. What comes after is silence.
const FADED: u32 = 10;

/// See the module's documentation.
pub(super) struct Track {
    file: OggOpus,
    decoder: Box<dyn Decoder>,
    clock: Option<Clock>,
    waiting: BTreeMap<u64, Frame>,
    /// The newest packet that was written.
    newest: Option<Bytes>,
    /// Ticks since a frame that was to be followed by another.
    empty: u32,
    sound: Vec<f32>,
}

/// A frame that waits to be written.
struct Frame {
    payload: Bytes,
    /// Not the frame itself but the copy that a later packet carried.
    is_copy: bool,
    /// Silence follows.
    ends: bool,
}

/// Where one epoch of a speaker's clock lies in the recording, in ticks.
struct Clock {
    epoch: u32,
    /// What is added to a frame's time.
    offset: i64,
    /// The least that it would be by the packets of late, and how many those are.
    least: i64,
    looked_at: u32,
    /// The time of the newest frame.
    newest: i64,
    /// The tick at which the speech under way begins.
    begins: i64,
}

impl Track {
    /// A track whose file begins with `written` ticks of silence.
    pub(super) fn create(
        path: &Path,
        channels: Channels,
        tags: &[(&str, &str)],
        written: u64,
    ) -> Result<Self, AudioError> {
        let pre_skip = codec::encoder(super::room_settings(channels))?.delay()?;
        let mut track = Self {
            file: OggOpus::create(path, channels, pre_skip, tags)?,
            decoder: codec::decoder(channels)?,
            clock: None,
            waiting: BTreeMap::new(),
            newest: None,
            empty: FADED,
            sound: vec![0.0; channels.frame_len()],
        };
        for _ in 0..written {
            track.file.push(codec::silence())?;
        }
        Ok(track)
    }

    /// Takes a packet that arrived at `arrived`; `next` is the next tick to be written.
    pub(super) fn handle_packet(&mut self, packet: &SpeechPacket, arrived: Duration, next: u64) {
        let clock = Clock::follow(&mut self.clock, packet, arrived);
        let earlier = clock.correct(next);
        let (begins, first) = (clock.begins, clock.offset.saturating_add(i64::from(packet.time)));
        if earlier > 0 {
            self.move_up(begins, earlier);
        }
        let frames = packet
            .frames
            .iter()
            .zip(0..)
            .map(|(payload, ahead)| (ahead, payload, false));
        let copies = packet
            .redundant
            .iter()
            .map(|(back, payload)| (-i64::from(*back), payload, true));
        let last = i64::try_from(packet.frames.len()).unwrap_or(i64::MAX) - 1;
        for (apart, payload, is_copy) in frames.chain(copies) {
            let Ok(tick) = u64::try_from(first.saturating_add(apart)) else {
                continue;
            };
            if !(next..next + AHEAD).contains(&tick) || !codec::is_frame(payload) {
                continue;
            }
            let frame = Frame {
                payload: payload.clone(),
                is_copy,
                ends: packet.end_of_spurt && apart == last,
            };
            self.place(tick, frame);
        }
    }

    /// The speech that begins at `begins` has its place some ticks before where it was put.
    fn move_up(&mut self, begins: i64, earlier: i64) {
        let was = u64::try_from(begins.saturating_add(earlier)).unwrap_or(0);
        for (tick, frame) in self.waiting.split_off(&was) {
            self.place(tick.saturating_sub(earlier.unsigned_abs()), frame);
        }
    }

    fn place(&mut self, tick: u64, frame: Frame) {
        let is_better = |there: &Frame| there.is_copy && !frame.is_copy;
        if self.waiting.get(&tick).is_none_or(is_better) {
            self.waiting.insert(tick, frame);
        }
    }

    /// Writes the packet of a tick, and makes its sound.
    pub(super) fn write(&mut self, tick: u64) -> Result<(), AudioError> {
        let frame = self.waiting.remove(&tick);
        let decoded = match &frame {
            Some(frame) => self.decoder.decode(&frame.payload, &mut self.sound),
            None if self.is_missing() => self.decoder.conceal(&mut self.sound),
            None => {
                self.sound.fill(0.0);
                Ok(())
            }
        };
        if decoded.is_err() {
            self.sound.fill(0.0);
        }
        match frame {
            Some(frame) => {
                self.empty = if frame.ends { FADED } else { 0 };
                self.newest = Some(frame.payload.clone());
                self.file.push(frame.payload)
            }
            None => {
                let done = self.file.push(self.stand_in());
                self.empty = self.empty.saturating_add(1);
                done
            }
        }
    }

    /// Whether a frame that does not come is missing, and not silence.
    fn is_missing(&self) -> bool {
        self.empty < FADED
    }

    fn stand_in(&self) -> Bytes {
        match &self.newest {
            Some(newest) if self.is_missing() => codec::stand_in(newest),
            _ => codec::silence(),
        }
    }

    /// What the tick that was written last sounds like.
    pub(super) fn sound(&self) -> &[f32] {
        &self.sound
    }

    /// Ends the file at a length in samples.
    pub(super) fn finish(&mut self, samples: u64) -> Result<(), AudioError> {
        // The encoder's delay has pushed the end into a packet of its own.
        self.file.push(self.stand_in())?;
        self.file.finish(samples)
    }
}

impl Clock {
    /// The clock of a packet's epoch, with what the packet says of it.
    fn follow<'a>(clock: &'a mut Option<Self>, packet: &SpeechPacket, arrived: Duration) -> &'a mut Self {
        let time = i64::from(packet.time);
        let spans = i64::try_from(packet.frames.len()).unwrap_or(i64::MAX);
        // It left when its last frame was full.
        let last = time.saturating_add(spans);
        let arrived = i64::try_from(arrived.as_nanos() / FRAME.as_nanos()).unwrap_or(i64::MAX);
        let seen = arrived.saturating_sub(last);
        let fresh = Self {
            epoch: packet.epoch,
            offset: seen,
            least: seen,
            looked_at: 0,
            newest: last,
            begins: seen.saturating_add(time),
        };
        let is_new = clock.as_ref().is_none_or(|clock| clock.epoch != packet.epoch);
        if is_new {
            return clock.insert(fresh);
        }
        let clock = clock.get_or_insert(fresh);
        // What was asked for again says nothing about the way.
        if !packet.repaired {
            let begins_anew = clock.looked_at >= LOOK_BACK;
            clock.least = if begins_anew { seen } else { clock.least.min(seen) };
            clock.looked_at = if begins_anew { 0 } else { clock.looked_at + 1 };
        }
        if time.saturating_sub(clock.newest) >= PAUSE {
            if clock.least.abs_diff(clock.offset) >= ASTRAY.unsigned_abs() {
                clock.offset = clock.least;
            }
            clock.begins = clock.offset.saturating_add(time);
        }
        clock.newest = clock.newest.max(last);
        clock
    }

    /// Takes the speech under way for captured earlier, where that is known now and nothing of it was written; by how many
    /// ticks.
    fn correct(&mut self, next: u64) -> i64 {
        let next = i64::try_from(next).unwrap_or(i64::MAX);
        let earlier = self.offset.saturating_sub(self.least);
        let earlier = earlier.min(self.begins.saturating_sub(next)).max(0);
        self.offset -= earlier;
        self.begins -= earlier;
        earlier
    }
}

impl core::fmt::Debug for Track {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Track")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
