//! A listener: which frames came in time to be played, and how long those that were missing took to be mended.
//!
//! The audience's buffer plays a stream so long after the earliest push of the last ten seconds as the listener's flow
//! asks for, which depends on how far its standby is. The real buffer ([`crate::jitter`]) also waits longer after frames
//! that were late; this one never does. A frame that is there by then is in time; whether it came within half a second
//! of being captured is counted apart.

use alloc::vec::Vec;

use super::{
    shard::Desk,
    talk::{self, FRAME},
    tally::Tally,
};
use crate::media::{Packet, Tag};

/// What counts as soon.
const SOON: u64 = 500_000_000;

/// Half the time over which the earliest arrival is looked for, as the jitter buffer does.
const HALF_WINDOW: u64 = 5_000_000_000;

/// How long before a listener's end frames are no longer expected: they may still be on their way.
const MARGIN: u64 = 1_000_000_000;

/// Frames whose outcome is remembered apart, so that those within the margin can be taken back: 1.28 s.
const TAIL: usize = 64;

/// Most missing frames of one stream that are timed.
const MOST_MISSING: u32 = 512;

/// One listener's ears.
#[derive(Debug)]
pub(super) struct Ear {
    /// Frames captured before this do not count.
    from: u64,
    streams: Vec<Stream>,
    total: Counts,
    tail: [Counts; TAIL],
    /// The newest frame's time in frames, which names its place in the tail.
    tail_at: u64,
}

/// What became of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::sim) struct Counts {
    /// Came at all.
    pub(in crate::sim) delivered: u32,
    /// Came in time to be played.
    pub(in crate::sim) in_time: u32,
    /// Came within half a second of being captured.
    pub(in crate::sim) soon: u32,
}

/// What a listener heard in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) struct Heard {
    /// Frames captured from here …
    pub(in crate::sim) from: u64,
    /// … to here were expected.
    pub(in crate::sim) until: u64,
    pub(in crate::sim) counts: Counts,
}

#[derive(Debug)]
struct Stream {
    tag: Tag,
    epoch: u32,
    /// The sequence that follows the highest that came.
    next: u32,
    /// The shortest way that a pushed frame took, in this half of the window and in the one before.
    fastest: [u64; 2],
    /// Which half this is.
    half: u64,
    /// Frames that others overtook, and when that was noticed.
    missing: Vec<(u32, u64)>,
}

impl Ear {
    /// A listener that has its place from now on.
    pub(super) fn new(now: u64, warm_up: u64) -> Self {
        Self {
            from: now.max(warm_up).next_multiple_of(FRAME),
            streams: Vec::new(),
            total: Counts::default(),
            tail: [Counts::default(); TAIL],
            tail_at: 0,
        }
    }

    /// Plays a packet, with so many nanoseconds of delay behind the earliest arrival. One that was `repaired` says
    /// nothing of how long the way is.
    pub(super) fn hear(&mut self, packet: &Packet, repaired: bool, delay: u64, desk: &mut Desk<'_>) {
        let Some(first) = talk::captured(packet) else {
            return;
        };
        let (now, until, header) = (desk.now, desk.shared.count_until(), packet.header());
        for frame in 0..packet.frame_count() {
            let captured = first + u64::from(frame) * FRAME;
            let stream = self.stream(header.tag, header.epoch, header.sequence);
            stream.note(header.sequence + frame, now, desk.tally);
            let took = now.saturating_sub(captured);
            if !repaired {
                stream.note_push(took, now);
            }
            let in_time = took <= stream.earliest().saturating_add(delay);
            if captured < self.from || captured >= until {
                continue;
            }
            let counts = Counts {
                delivered: 1,
                in_time: in_time.into(),
                soon: (took <= SOON).into(),
            };
            self.count(captured, counts);
            desk.tally.delays.add(took);
            desk.tally.count_in_time(captured, in_time);
        }
    }

    /// What was heard by a listener that ends now, or at the end of the counting.
    pub(super) fn finish(&self, now: u64, count_until: u64, tally: &mut Tally) -> Option<Heard> {
        let margin = now.saturating_sub(MARGIN) / FRAME * FRAME;
        let until = margin.min(count_until);
        let mut counts = self.total;
        for back in 0..TAIL as u64 {
            let Some(frame) = self.tail_at.checked_sub(back) else {
                break;
            };
            if frame * FRAME < until {
                break;
            }
            let late = self.tail[place(frame)];
            counts.take(late);
            tally.forget_in_time(frame * FRAME, late.in_time);
        }
        (until > self.from).then_some(Heard {
            from: self.from,
            until,
            counts,
        })
    }

    fn stream(&mut self, tag: Tag, epoch: u32, sequence: u32) -> &mut Stream {
        let fresh = Stream {
            tag,
            epoch,
            next: sequence,
            fastest: [u64::MAX; 2],
            half: 0,
            missing: Vec::new(),
        };
        let at = match self.streams.iter().position(|known| known.tag == tag) {
            Some(at) => at,
            None => {
                self.streams.push(fresh);
                return self.streams.last_mut().expect("one was pushed");
            }
        };
        let stream = &mut self.streams[at];
        if stream.epoch < epoch {
            *stream = fresh;
        }
        stream
    }

    fn count(&mut self, captured: u64, counts: Counts) {
        self.total.add(counts);
        let frame = captured / FRAME;
        if frame > self.tail_at {
            for newer in (self.tail_at + 1..=frame).rev().take(TAIL) {
                self.tail[place(newer)] = Counts::default();
            }
            self.tail_at = frame;
        }
        if frame + TAIL as u64 > self.tail_at {
            self.tail[place(frame)].add(counts);
        }
    }
}

impl Stream {
    fn note_push(&mut self, took: u64, now: u64) {
        let half = now / HALF_WINDOW;
        match half - self.half {
            0 => {}
            1 => self.fastest = [u64::MAX, self.fastest[0]],
            _ => self.fastest = [u64::MAX; 2],
        }
        self.half = half;
        self.fastest[0] = self.fastest[0].min(took);
    }

    /// The shortest way of late; endless while none is known, when whatever comes is played.
    fn earliest(&self) -> u64 {
        self.fastest[0].min(self.fastest[1])
    }

    fn note(&mut self, sequence: u32, now: u64, tally: &mut Tally) {
        if sequence >= self.next {
            let skipped = (self.next..sequence).rev().take(MOST_MISSING as usize);
            self.missing.extend(skipped.map(|missing| (missing, now)));
            self.next = sequence + 1;
            let lowest = self.next.saturating_sub(MOST_MISSING);
            if self.missing.len() > MOST_MISSING as usize {
                self.missing.retain(|(missing, _)| *missing >= lowest);
            }
        } else if let Some(at) = self.missing.iter().position(|(missing, _)| *missing == sequence) {
            let (_, noticed) = self.missing.swap_remove(at);
            tally.repairs.add(now - noticed);
        }
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.in_time += other.in_time;
        self.soon += other.soon;
    }

    fn take(&mut self, other: Self) {
        self.delivered -= other.delivered;
        self.in_time -= other.in_time;
        self.soon -= other.soon;
    }
}

fn place(frame: u64) -> usize {
    (frame % TAIL as u64) as usize
}
