//! The speaker: frames into signed packets, with copies of earlier frames while the listener misses too much.

use std::time::Duration;

use bytes::Bytes;
use majlis::audio::{
    Channels,
    codec::{self, Encoder, EncoderSettings},
    level_of,
};
use majlis_protocol::{
    media::{Advice, Copies, Draft, Grade, Header, Losses, Own, Redundancy, Tag},
    person::PersonKey,
    room::RoomId,
};

use crate::options::When;

pub(crate) const ROOM: RoomId = RoomId([7; 32]);
pub(crate) const TAG: Tag = Tag([1, 2, 3, 4]);
pub(crate) const EPOCH: u32 = 900;

/// Who speaks.
pub(crate) fn key() -> PersonKey {
    PersonKey::from_seed(&[1; 32])
}

pub(crate) struct Speaker {
    frames: Vec<Vec<f32>>,
    next: usize,
    encoder: Box<dyn Encoder>,
    redundancy: Redundancy,
    when: When,
    /// Whether whoever listens is on the stage.
    to_stage: bool,
    advice: Advice,
    key: PersonKey,
    /// Bytes of Opus sent.
    pub(crate) sent: u64,
}

impl Speaker {
    pub(crate) fn new(frames: Vec<Vec<f32>>, when: When, to_stage: bool) -> anyhow::Result<Self> {
        let settings = EncoderSettings::speech();
        let redundancy = Redundancy::new(settings.bitrate);
        Ok(Self {
            frames,
            next: 0,
            encoder: codec::encoder(settings)?,
            advice: redundancy.advice(settings.expected_loss),
            redundancy,
            when,
            to_stage,
            key: key(),
            sent: 0,
        })
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    /// The listener says how well it hears.
    pub(crate) fn hear_of(&mut self, grade: Grade, now: Duration) {
        let grade = match self.when {
            When::Never => return,
            When::Reported => grade,
            When::One => Grade::Losing,
            When::Two => Grade::Badly,
        };
        self.redundancy
            .handle_losses(Losses::of(grade, self.to_stage), 1, now);
    }

    pub(crate) fn copies(&self) -> Copies {
        self.redundancy.copies()
    }

    /// The next packet; none at the end.
    pub(crate) fn speak(&mut self, now: Duration) -> anyhow::Result<Option<Own>> {
        let Some(frame) = self.frames.get(self.next) else {
            return Ok(None);
        };
        let advice = self.redundancy.advice(EncoderSettings::speech().expected_loss);
        if advice != self.advice {
            self.encoder.set_bitrate(advice.bitrate)?;
            self.encoder.set_expected_loss(advice.expected_loss)?;
            self.advice = advice;
        }
        let payload = self.encoder.encode(frame)?.payload;
        let number = u32::try_from(self.next)?;
        let end_of_spurt = self.next + 1 == self.frames.len();
        let copies = self.redundancy.accompany(number, &payload, end_of_spurt, now);
        let redundant: Vec<(u8, &[u8])> = copies.iter().map(|(back, copy)| (*back, &copy[..])).collect();
        self.sent += payload.len() as u64 + copies.iter().map(|(_, copy)| copy.len() as u64).sum::<u64>();
        let header = Header {
            tag: TAG,
            epoch: EPOCH,
            sequence: number,
            time: number,
            log: 0,
            level: level_of(frame),
            end_of_spurt,
        };
        self.next += 1;
        let draft = Draft {
            header,
            frames: &[&payload],
            redundant: &redundant,
        };
        Ok(Some(draft.sign(ROOM, &self.key)?))
    }
}

/// What the codec alone makes of these frames.
pub(crate) fn codec_alone(frames: &[Vec<f32>]) -> anyhow::Result<Vec<f32>> {
    let mut encoder = codec::encoder(EncoderSettings::speech())?;
    let mut decoder = codec::decoder(Channels::Mono)?;
    let mut heard = Vec::new();
    for frame in frames {
        let payload: Bytes = encoder.encode(frame)?.payload;
        let mut out = vec![0.0; frame.len()];
        decoder.decode(&payload, &mut out)?;
        heard.extend(out);
    }
    Ok(heard)
}
