//! The listener: buffer, decoder and mix of a room, ticked in virtual time.

use std::time::Duration;

use majlis::audio::{
    Channels, FRAME, FRAME_SAMPLES,
    engine::{Engine, EngineEvent, SpeakerKey, SpeechPacket, StreamStats},
};
use majlis_protocol::{
    jitter::DelayGoal,
    media::{Delivery, Grade, Hearing},
};

/// Samples by which the encoder and the decoder together delay speech: 6.5 ms.
const LOOKAHEAD: usize = 312;

pub(crate) struct Listener {
    engine: Engine,
    sound: Vec<f32>,
    /// The sample at which the speaker's first frame began, or would have.
    begin: Option<i64>,
    hearing: Hearing,
    /// Frames expected and lost that have been noted.
    noted: (u64, u64),
    delays: Vec<Duration>,
}

impl Listener {
    pub(crate) fn new(goal: DelayGoal) -> Self {
        Self {
            engine: Engine::new(Channels::Mono, goal),
            sound: Vec::new(),
            begin: None,
            hearing: Hearing::default(),
            noted: (0, 0),
            delays: Vec::new(),
        }
    }

    pub(crate) fn hear(&mut self, delivery: &Delivery, arrived: Duration) {
        let (packet, header) = (&delivery.packet, delivery.packet.header());
        let back = |sequence: u32| u8::try_from(header.sequence - sequence).unwrap_or(u8::MAX);
        let packet = SpeechPacket {
            speaker: SpeakerKey(delivery.speaker.0),
            epoch: header.epoch,
            sequence: header.sequence,
            time: header.time,
            frames: packet.frames().map(|frame| frame.opus).collect(),
            redundant: packet
                .redundant()
                .map(|frame| (back(frame.sequence), frame.opus))
                .collect(),
            end_of_spurt: header.end_of_spurt,
            repaired: delivery.repaired,
        };
        self.engine.handle_packet(packet, arrived);
    }

    pub(crate) fn tick(&mut self, now: Duration) {
        let at = self.sound.len() as i64;
        self.sound.extend(self.engine.tick(now));
        while let Some(event) = self.engine.poll_event() {
            if let EngineEvent::FirstAudio { sequence, .. } = event {
                let before = i64::from(sequence) * FRAME_SAMPLES as i64;
                self.begin.get_or_insert(at - before);
            }
        }
        if let Some(stream) = self.engine.stats().first() {
            self.delays.push(stream.jitter.delay);
        }
    }

    /// How well it hears now, as a member judges it once a second.
    pub(crate) fn grade(&mut self, now: Duration) -> Grade {
        let (expected, lost) = self
            .stats()
            .map_or((0, 0), |stream| (stream.jitter.expected(), stream.jitter.lost));
        let grade = self
            .hearing
            .note(expected - self.noted.0, lost - self.noted.1, now);
        self.noted = (expected, lost);
        grade
    }

    pub(crate) fn has_more(&self) -> bool {
        self.engine.has_more()
    }

    pub(crate) fn stats(&self) -> Option<StreamStats> {
        self.engine.stats().pop()
    }

    /// The median of the delay over the second half, and the longest.
    pub(crate) fn delay(&self) -> (Duration, Duration) {
        let mut half = self.delays[self.delays.len() / 2..].to_vec();
        half.sort();
        let median = half.get(half.len() / 2).copied().unwrap_or_default();
        (median, self.delays.iter().max().copied().unwrap_or_default())
    }

    /// So many samples of what was heard, the first of them when the first of the speech is.
    pub(crate) fn heard(&self, samples: usize) -> Vec<f32> {
        aligned(&self.sound, self.begin.unwrap_or_default(), samples)
    }

    /// Runs on until nothing more is to be played.
    pub(crate) fn play_out(&mut self, mut now: Duration) {
        while self.has_more() {
            now += FRAME;
            self.tick(now);
        }
    }
}

/// Cuts off what comes before the speech, and the codec's own delay.
pub(crate) fn aligned(sound: &[f32], begin: i64, samples: usize) -> Vec<f32> {
    let first = begin + LOOKAHEAD as i64;
    let at = |index: usize| usize::try_from(first + index as i64).ok();
    (0..samples)
        .map(|index| {
            at(index)
                .and_then(|at| sound.get(at))
                .copied()
                .unwrap_or_default()
        })
        .collect()
}
