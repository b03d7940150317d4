//! Someone who talks: spurts and pauses, drawn; packets, signed.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};

use crate::{
    media::{Draft, FRAME_TIME, Header, Own, Packet},
    member::OnStage,
    person::PersonKey,
    room::RoomId,
    sim::{Stage, draws::SplitMix64},
};

/// Nanoseconds of a frame.
pub(super) const FRAME: u64 = FRAME_TIME.as_nanos() as u64;

/// Bytes of a frame that say when it was captured.
const STAMP: usize = 8;

/// One stay on the stage.
#[derive(Debug)]
pub(super) struct Talk {
    stay: OnStage,
    /// When the stay's audio clock was 0.
    started: u64,
    /// The next frame's place on that clock.
    time: u32,
    /// The next frame's sequence.
    sequence: u32,
    /// Frames left of this spurt.
    left: u32,
}

impl Talk {
    /// Begins to talk.
    pub(super) fn new(stay: OnStage, stage: &Stage, draws: &mut SplitMix64, now: u64) -> Self {
        Self {
            stay,
            started: now,
            time: 0,
            sequence: 0,
            left: frames_of(stage.talk.as_secs_f64(), draws),
        }
    }

    /// When the next packet's last frame has been captured.
    pub(super) fn due(&self, stage: &Stage) -> u64 {
        self.captured(self.in_next(stage).saturating_sub(1))
    }

    /// The next packet, and when its first frame was captured.
    pub(super) fn speak(&mut self, head: u32, context: &mut Speaking<'_>) -> (Own, u64) {
        let count = self.in_next(context.stage);
        let first = self.captured(0);
        let mut sound = BytesMut::new();
        for frame in 0..count {
            sound.put_u64(self.captured(frame));
            sound.put_bytes(0x5a, context.stage.frame_bytes - STAMP);
        }
        let frames: Vec<&[u8]> = sound.chunks(context.stage.frame_bytes).collect();
        let header = Header {
            tag: self.stay.tag,
            epoch: self.stay.epoch,
            sequence: self.sequence,
            time: self.time,
            log: head,
            level: 30,
            end_of_spurt: count == self.left,
        };
        let draft = Draft {
            header,
            frames: &frames,
            redundant: &[],
        };
        let own = draft
            .sign(context.room, context.key)
            .expect("the scenario's frames fit a packet, and a world ends before its numbers do");
        self.sequence += count;
        self.time += count;
        self.left -= count;
        if self.left == 0 {
            self.time += frames_of(context.stage.pause.as_secs_f64(), context.draws);
            self.left = frames_of(context.stage.talk.as_secs_f64(), context.draws);
        }
        (own, first)
    }

    /// When the frame so many after the next has been captured.
    fn captured(&self, ahead: u32) -> u64 {
        self.started + u64::from(self.time + ahead + 1) * FRAME
    }

    /// Frames of the next packet.
    fn in_next(&self, stage: &Stage) -> u32 {
        u32::from(stage.frames).min(self.left)
    }
}

/// What a speaker needs to speak.
pub(super) struct Speaking<'a> {
    pub(super) room: RoomId,
    pub(super) key: &'a PersonKey,
    pub(super) stage: &'a Stage,
    pub(super) draws: &'a mut SplitMix64,
}

/// When a packet's first frame was captured, as its sound says; `None` for sound of another make.
pub(super) fn captured(packet: &Packet) -> Option<u64> {
    let frame = packet.frames().next()?;
    frame
        .opus
        .first_chunk::<STAMP>()
        .map(|stamp| u64::from_be_bytes(*stamp))
}

/// A length of time in frames, at least one, drawn around a mean in seconds.
fn frames_of(mean: f64, draws: &mut SplitMix64) -> u32 {
    let frames = draws.exponential(mean) / FRAME_TIME.as_secs_f64();
    // A float that is too large becomes the largest integer; an hour bounds it.
    (frames as u32).clamp(1, 180_000)
}
