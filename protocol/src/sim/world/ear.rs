//! A listener: which frames came in time to be played, and how long those that were missing took to be mended.
//!
//! The audience's buffer plays a stream so long after the earliest push of the last ten seconds as the listener's flow
//! asks for, which depends on how far its standby is. The real buffer ([`crate::jitter`]) also waits longer after frames
//! that were late; this one never does. A frame that is there by then is in time; whether it came within half a second
//! of being captured is counted apart. Each frame that was late for either is put down to what held it up.

use alloc::vec::Vec;

use super::{
    shard::Desk,
    sound,
    talk::{self, FRAME},
    tally::Tally,
};
use crate::media::Tag;

/// What counts as soon.
const SOON: u64 = 500_000_000;

/// Half the time over which the earliest arrival is looked for, as the jitter buffer does.
const HALF_WINDOW: u64 = 5_000_000_000;

/// How long before a listener's end frames are no longer expected: they may still be on their way.
const MARGIN: u64 = 1_000_000_000;

/// How long a listener counts as a newcomer: its standby, and its place among the others, are still to be found.
const NEW: u64 = 3_000_000_000;

/// Frames whose outcome is remembered apart, so that those within the margin can be taken back: 1.28 s.
const TAIL: usize = 64;

/// Most missing frames of one stream that are timed.
const MOST_MISSING: u32 = 512;

/// One listener's ears.
#[derive(Debug)]
pub(super) struct Ear {
    /// Frames captured before this do not count.
    from: u64,
    /// Until when it is new.
    new_until: u64,
    streams: Vec<Stream>,
    /// Frames that came late for something, in no order.
    late: Vec<Late>,
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

/// Why a frame was late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) enum Cause {
    /// The listener had its first place just before.
    New,
    /// Its own parent had fallen silent or was gone.
    Orphaned,
    /// The parent of somebody above it was.
    Above,
    /// Lost on two links or more, and pulled on each.
    LostOften,
    /// Lost on one link, and pulled.
    Lost,
    /// Nothing held it up: the way is that long.
    Far,
}

/// A frame that came late.
#[derive(Debug, Clone, Copy)]
struct Late {
    captured: u64,
    cause: Cause,
    in_time: bool,
    soon: bool,
}

/// Frames by what held them up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::sim) struct Causes {
    /// Those that came too late to be played, in the order of [`Cause`].
    pub(in crate::sim) late: [u64; Cause::ALL.len()],
    /// Those that came more than half a second after being captured.
    pub(in crate::sim) slow: [u64; Cause::ALL.len()],
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
            new_until: now + NEW,
            streams: Vec::new(),
            late: Vec::new(),
            total: Counts::default(),
            tail: [Counts::default(); TAIL],
            tail_at: 0,
        }
    }

    /// Plays a packet, with so many nanoseconds of delay behind the earliest arrival. One that was repaired says nothing
    /// of how long the way is.
    pub(super) fn hear(&mut self, heard: &sound::Heard, delay: u64, desk: &mut Desk<'_>) {
        let packet = &heard.packet;
        let Some(first) = talk::captured(packet) else {
            return;
        };
        let (now, until, header) = (desk.now, desk.shared.count_until(), packet.header());
        for frame in 0..packet.frame_count() {
            let captured = first + u64::from(frame) * FRAME;
            let stream = self.stream(header.tag, header.epoch, header.sequence);
            stream.note(header.sequence + frame, now, desk.tally);
            let took = now.saturating_sub(captured);
            if !heard.repaired {
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
            if counts.in_time * counts.soon == 0 {
                self.late.push(Late {
                    captured,
                    cause: self.cause(captured, heard),
                    in_time,
                    soon: took <= SOON,
                });
            }
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
        for late in self.late.iter().filter(|late| late.captured < until) {
            tally.causes.late[late.cause as usize] += u64::from(!late.in_time);
            tally.causes.slow[late.cause as usize] += u64::from(!late.soon);
        }
        (until > self.from).then_some(Heard {
            from: self.from,
            until,
            counts,
        })
    }

    fn cause(&self, captured: u64, heard: &sound::Heard) -> Cause {
        match heard.mark.losses {
            _ if captured < self.new_until => Cause::New,
            _ if heard.orphaned => Cause::Orphaned,
            _ if heard.mark.bridged => Cause::Above,
            0 => Cause::Far,
            1 => Cause::Lost,
            _ => Cause::LostOften,
        }
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

impl Cause {
    /// All of them, in order.
    pub(in crate::sim) const ALL: [Self; 6] = [
        Self::New,
        Self::Orphaned,
        Self::Above,
        Self::LostOften,
        Self::Lost,
        Self::Far,
    ];
}

impl Causes {
    /// Adds what another shard counted.
    pub(in crate::sim) fn absorb(&mut self, other: &Self) {
        let add = |into: &mut [u64], from: &[u64]| {
            into.iter_mut().zip(from).for_each(|(into, from)| *into += from);
        };
        add(&mut self.late, &other.late);
        add(&mut self.slow, &other.slow);
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
