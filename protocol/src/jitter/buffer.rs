//! The buffer itself: what is held, where playout stands, and what each poll gets.
//!
//! Invariant: the *frontier* is the newest sequence decided, and everything held lies above it; a sequence passes the
//! frontier once, and is counted then. Sequence and time are unwrapped to `i64`, so wrap-around is not a case.

use super::arrival::Arrived;
use super::delay::{DELAY_MAX, Delays, OutputClock, TICK_MICROS, micros};
use super::gap::Gap;
use super::{Arrival, DelayGoal, Pace, Playout, Stats, TICK};
use bytes::Bytes;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// The most frames held: [`DELAY_MAX`] and the second by which a packet may be early are 75 ticks, and twice that
/// leaves room for polls that come late. A stream that is not polled loses its oldest.
pub const MAX_BUFFERED: usize = 150;

/// The most ticks in a row concealed while nothing at all is there to play; silence after that. Opus has faded out by
/// then; fewer would cut a short stall audibly.
pub const MAX_CONCEALED_WAIT: u32 = 5;

/// Lost frames remembered so as to know the late ones among them: more than the three seconds after which a packet is
/// out of place.
const LOST_REMEMBERED: i64 = 256;

/// The shortest piece of sound that can be taken out or put in: a period of a high voice.
const LEAST_PIECE: i64 = TICK_MICROS / 8;

/// How far the delay may lie below the target before silence is inserted or frames are to be lengthened. More eats up the
/// margin that the target has.
const INSERT_BELOW: i64 = LEAST_PIECE;

/// How far the delay must lie above the target before silence is removed: one tick removed then leaves it half a tick
/// above, so that the two thresholds can't chase each other.
const REMOVE_ABOVE: i64 = TICK_MICROS + TICK_MICROS / 2;

/// How far the delay must lie above the target in mid-speech before frames are to be shortened, and how near to the target
/// it is then brought. A stream is played up to a tick behind its target, by the phase between its frames and our ticks,
/// and that alone must move nothing; nearer than 5 ms is less than a period of a low voice, which could not be taken out.
const SHORTEN_FOR_STAGE: (i64, i64) = (TICK_MICROS + TICK_MICROS / 4, TICK_MICROS / 4);

/// The same for the audience, which nobody waits for: what its delay is too long by waits for a silence as long as it
/// does not grow, as it does when clocks drift apart.
const SHORTEN_FOR_AUDIENCE: (i64, i64) = (3 * TICK_MICROS, 2 * TICK_MICROS);

/// An adaptive jitter buffer for one speaker's stream at one listener.
#[derive(Debug)]
pub struct JitterBuffer {
    pub(super) delays: Delays,
    pub(super) output: OutputClock,
    pub(super) epoch: Option<u32>,
    /// The newest place seen, against which wrapping numbers are unwrapped.
    pub(super) anchor: Option<Place>,
    pub(super) slots: BTreeMap<i64, Slot>,
    /// The newest sequence decided; `None` until a first frame is played.
    pub(super) frontier: Option<i64>,
    /// The newest place at or below the frontier that the speaker's own numbers gave. Where in time a lost frame lay
    /// is a guess when silence lies in the same gap; nothing is judged by it.
    pub(super) proven: Option<Place>,
    /// After a flush, and where a stream begins: what lies between the frontier and the next frame played is nobody's loss.
    pub(super) forgiving: bool,
    /// Of the newest lost frames those whose own payload has not come yet.
    pub(super) lost: BTreeSet<i64>,
    /// The media time of the coming poll; `None` until a first frame is played.
    pub(super) cursor: Option<i64>,
    /// A spurt is under way: what is not there is missing, not silence.
    pub(super) playing: bool,
    /// Ticks concealed in this spurt since the last real frame, without moving on in media time.
    pub(super) held: i64,
    /// Ticks concealed in a row with nothing to play.
    pub(super) waited: u32,
    /// When the first of the present run of packets out of place came.
    pub(super) stray_since: Option<i64>,
    /// When the newest packet in time came.
    pub(super) heard_at: Option<i64>,
    pub(super) gap: Gap,
    /// When the present tick's sound is due.
    due: i64,
    pace: Pace,
    pub(super) stats: Stats,
}

/// A point of the stream on both axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) sequence: i64,
    pub(super) time: i64,
}

/// One frame held.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) time: i64,
    pub(super) payload: Bytes,
    pub(super) origin: Origin,
    pub(super) ends_spurt: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Pushed,
    Pulled,
    Copied,
}

impl JitterBuffer {
    /// An empty buffer that aims for `goal`.
    pub fn new(goal: DelayGoal) -> Self {
        let delays = Delays::new(goal);
        let stats = Stats {
            delay: duration(delays.target()),
            ..Stats::default()
        };
        Self {
            delays,
            output: OutputClock::default(),
            epoch: None,
            anchor: None,
            slots: BTreeMap::new(),
            frontier: None,
            proven: None,
            forgiving: false,
            lost: BTreeSet::new(),
            cursor: None,
            playing: false,
            held: 0,
            waited: 0,
            stray_since: None,
            heard_at: None,
            gap: Gap::default(),
            due: 0,
            pace: Pace::Keep,
            stats,
        }
    }

    /// What has been counted since the first frame heard.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The present delay, counted from the earliest arrival; before the first frame, the delay aimed for.
    pub fn delay(&self) -> Duration {
        self.stats.delay
    }

    /// Frames that wait to be played; at most [`MAX_BUFFERED`]. Who leaves a room polls until this is zero, so that
    /// the last words are heard.
    pub fn buffered(&self) -> usize {
        self.slots.len()
    }

    /// Takes in one verified packet that arrived at `now`.
    ///
    /// Duplicates change nothing, packets of an older epoch are dropped, a newer epoch starts the stream anew.
    pub fn handle_packet(&mut self, arrival: &Arrival<'_>, now: Duration) {
        let now = micros(now);
        match self.epoch {
            Some(epoch) if arrival.epoch < epoch => return,
            Some(epoch) if arrival.epoch == epoch => {}
            _ => {
                self.epoch = Some(arrival.epoch);
                self.restart();
            }
        }
        if arrival.frames.is_empty() {
            return;
        }
        self.delays.expire(now);
        if self.is_stray(arrival, now) {
            if arrival.repaired || !self.has_strayed_for_long(now) {
                return;
            }
            self.resume_at(arrival, now);
        }
        let first = self.place_of(arrival).sequence;
        let is_overtaken = !arrival.repaired && self.anchor.is_some_and(|newest| first < newest.sequence);
        let arrived = self.handle_frames(arrival, now);
        match arrived {
            Arrived::Known => self.stats.duplicate += 1,
            Arrived::InTime | Arrived::Late => self.stats.reordered += u64::from(is_overtaken),
        }
        match arrived {
            Arrived::InTime => {
                self.stray_since = None;
                self.heard_at = Some(now);
            }
            Arrived::Late if !arrival.repaired && self.has_strayed_for_long(now) => {
                self.resume_at(arrival, now);
                self.handle_frames(arrival, now);
            }
            Arrived::Late | Arrived::Known => {}
        }
    }

    /// Aims for another goal from now on; the playout point follows in the next silence.
    pub fn set_goal(&mut self, goal: DelayGoal) {
        self.delays.set_goal(goal);
        if self.cursor.is_none() {
            self.stats.delay = duration(self.delays.target());
        }
    }

    /// Forgets what is buffered, as a mute asks. What was forgotten, and what is not sent on to us before the next
    /// frame, counts neither as received nor as lost.
    pub fn flush(&mut self) {
        if let Some((&sequence, slot)) = self.slots.last_key_value() {
            self.frontier = Some(sequence);
            self.proven = Some(Place {
                sequence,
                time: slot.time,
            });
        }
        self.slots.clear();
        self.lost.clear();
        self.forgiving = true;
        self.end_spurt();
    }

    /// Nothing more of this stream comes for now, whether its last packet said so or was lost: what follows the frames
    /// held is silence and no gap.
    pub fn handle_end(&mut self) {
        match self.slots.values_mut().next_back() {
            Some(last) => last.ends_spurt = true,
            None => {
                self.cursor = self.cursor.map(|cursor| cursor + self.held);
                self.end_spurt();
            }
        }
    }

    /// The next 20 ms of output are due. To be called exactly once for each; a late call may be followed at once by those
    /// that it held up.
    pub fn handle_tick(&mut self, now: Duration) {
        self.due = self.output.handle_poll(micros(now));
    }

    /// The next 20 ms of sound, which will be heard behind the `queued` sound that whoever asks still has of the frames
    /// before. To be called until there is enough for the present tick: once each tick, as long as no frame is
    /// shortened or lengthened.
    pub fn next_frame(&mut self, queued: Duration) -> Playout {
        let lost = self.stats.lost;
        let playout = self.take_frame(micros(queued));
        if self.stats.lost > lost {
            self.delays.handle_lost(self.due);
        }
        playout
    }

    /// [`JitterBuffer::handle_tick`] and one [`JitterBuffer::next_frame`], for who leaves frames as long as they are.
    pub fn poll_frame(&mut self, now: Duration) -> Playout {
        self.handle_tick(now);
        self.next_frame(Duration::ZERO)
    }

    /// How the length of the [`Playout::Frame`] that was given last should be changed.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    fn take_frame(&mut self, queued: i64) -> Playout {
        let Some(base) = self.delays.base() else {
            return Playout::Silence;
        };
        let on_path = self.due - base;
        self.shed_excess(on_path);
        let playout = if self.playing {
            self.poll_spurt(on_path)
        } else {
            self.poll_silence(on_path)
        };
        if let (true, Some(next)) = (self.playing, self.cursor) {
            let slack = on_path - (next - 1) * TICK_MICROS;
            self.stats.delay = duration(slack + queued);
            if matches!(playout, Playout::Frame { .. }) {
                self.set_pace(slack, queued);
            }
        }
        self.note_gap(&playout);
        playout
    }

    /// Decides the pace from how long a frame has been here when it is asked for (`slack`), which is what must not fall
    /// below the target, and how much later it is heard (`queued`). A frame is asked for a tick earlier or later only
    /// when what is queued has shrunk to nothing or grown to a tick; so a pace that was begun is kept up until then.
    fn set_pace(&mut self, slack: i64, queued: i64) {
        let span = |micros: i64| Duration::from_micros(micros.unsigned_abs());
        let over = slack - self.delays.target();
        // What may be taken out without asking for a frame before its time.
        let spare = queued + over.div_euclid(TICK_MICROS).max(0) * TICK_MICROS;
        let (above, to) = if self.delays.is_for_stage() {
            SHORTEN_FOR_STAGE
        } else {
            SHORTEN_FOR_AUDIENCE
        };
        let (above, below) = match self.pace {
            Pace::Keep => (above, INSERT_BELOW),
            Pace::Shorten(_) => (to, INSERT_BELOW),
            Pace::Lengthen(_) => (above, 0),
        };
        self.pace = if over < -below {
            Pace::Lengthen(span(TICK_MICROS - queued - over))
        } else if over + queued > above && spare >= LEAST_PIECE {
            Pace::Shorten(span(spare.min(over + queued)))
        } else {
            Pace::Keep
        };
    }

    /// Follows for how long nothing real is played.
    fn note_gap(&mut self, playout: &Playout) {
        match playout {
            Playout::Conceal { .. } => self.gap.note_concealed(self.proven),
            Playout::Silence => self.gap.note_silent(),
            // The frame after it says how long the gap was.
            Playout::Recover { .. } => {}
            Playout::Frame { .. } => {
                let missing = TICK.saturating_mul(self.gap.end(self.proven));
                self.stats.longest_gap = self.stats.longest_gap.max(missing);
            }
        }
    }

    /// Skips received frames while the delay exceeds its bound by a tick: after a stall that the bound could not hold, and
    /// when nobody polled.
    fn shed_excess(&mut self, on_path: i64) {
        while let Some(slot) = self.slots.values().next() {
            let time = slot.time;
            let at = if self.playing {
                self.cursor.unwrap_or(time)
            } else {
                time
            };
            let over = on_path - at * TICK_MICROS - micros(DELAY_MAX);
            if over <= TICK_MICROS {
                return;
            }
            if time <= at {
                self.skip_first();
            } else {
                self.cursor = Some(time.min(at + over / TICK_MICROS));
            }
        }
    }

    /// One tick of a spurt.
    fn poll_spurt(&mut self, on_path: i64) -> Playout {
        let (Some(cursor), Some(frontier)) = (self.cursor, self.frontier) else {
            return self.poll_silence(on_path);
        };
        let Some((&sequence, slot)) = self.slots.first_key_value() else {
            return self.poll_underrun(on_path, cursor, frontier);
        };
        self.waited = 0;
        if slot.time <= cursor {
            return self.play_first(cursor);
        }
        let missing = sequence - frontier - 1;
        if missing == 0 {
            // Silence, and what was concealed in wait for it was part of it.
            self.cursor = Some(cursor + self.held.min(slot.time - cursor));
            self.end_spurt();
            return self.poll_silence(on_path);
        }
        let excess = on_path - cursor * TICK_MICROS - self.delays.target();
        if excess <= -TICK_MICROS {
            self.held += 1;
            return self.conceal(frontier + 1);
        }
        // Ticks already concealed in wait for what turned out lost stand for the lost frames.
        let waited = self.held.min(missing).min(excess / TICK_MICROS);
        if waited > 0 {
            self.held -= waited;
            self.lose_up_to(frontier + waited);
            self.cursor = Some(cursor + waited);
            return self.poll_spurt(on_path);
        }
        self.pass_lost(frontier + 1, cursor)
    }

    /// A spurt with nothing left to play: waits for the frame while the bound allows, then lets it pass.
    fn poll_underrun(&mut self, on_path: i64, cursor: i64, frontier: i64) -> Playout {
        if self.waited >= MAX_CONCEALED_WAIT {
            self.cursor = Some(cursor + self.held);
            self.end_spurt();
            return self.poll_silence(on_path);
        }
        self.waited += 1;
        if on_path - cursor * TICK_MICROS + TICK_MICROS <= micros(DELAY_MAX) {
            self.held += 1;
        } else {
            self.cursor = Some(cursor + 1);
        }
        self.conceal(frontier + 1)
    }

    /// One tick of silence, or the first of a spurt.
    fn poll_silence(&mut self, on_path: i64) -> Playout {
        let Some((&sequence, slot)) = self.slots.first_key_value() else {
            return self.pass_silence();
        };
        // The frame before the spurt's first known one can be had from its forward error correction.
        let recovers = !self.forgiving
            && slot.origin != Origin::Copied
            && self.frontier.is_some_and(|frontier| frontier < sequence - 1);
        let start = if recovers { slot.time - 1 } else { slot.time };
        if !self.is_due(start, on_path) {
            return self.pass_silence();
        }
        match start - self.cursor.unwrap_or(start) {
            0 => {}
            removed @ 1.. => self.stats.removed += removed.unsigned_abs(),
            inserted => self.stats.inserted += inserted.unsigned_abs(),
        }
        self.playing = true;
        if !recovers {
            return self.play_first(start);
        }
        self.pass_lost(sequence - 1, start)
    }

    /// Whether a spurt that starts at media time `start` begins with this poll: at its place behind the last spurt,
    /// unless the delay there lies too far from the target.
    fn is_due(&self, start: i64, on_path: i64) -> bool {
        let delay = on_path - start * TICK_MICROS;
        let target = self.delays.target();
        match self.cursor {
            None => delay >= target,
            Some(cursor) if start <= cursor => delay >= target - INSERT_BELOW,
            Some(cursor) => delay >= target && on_path - cursor * TICK_MICROS >= target + REMOVE_ABOVE,
        }
    }

    /// Plays the first frame held at media time `time`. The caller has seen that there is one.
    fn play_first(&mut self, time: i64) -> Playout {
        let Some((sequence, slot)) = self.slots.pop_first() else {
            return self.pass_silence();
        };
        self.count(sequence, &slot);
        self.held = 0;
        self.waited = 0;
        self.playing = true;
        self.cursor = Some(time + 1);
        if slot.ends_spurt {
            self.end_spurt();
        }
        Playout::Frame {
            epoch: self.epoch.unwrap_or_default(),
            sequence: sequence as u32,
            payload: slot.payload,
        }
    }

    /// Decides a lost frame at its tick, and with it what is missing before it: recovered from the frame after it if
    /// that is here, else concealed.
    fn pass_lost(&mut self, sequence: i64, time: i64) -> Playout {
        self.lose_up_to(sequence);
        self.cursor = Some(time + 1);
        let next = self
            .slots
            .get(&(sequence + 1))
            .filter(|next| next.time == time + 1);
        match next {
            Some(next) if next.origin != Origin::Copied => {
                self.stats.fec += 1;
                let next = next.payload.clone();
                Playout::Recover {
                    epoch: self.epoch.unwrap_or_default(),
                    sequence: sequence as u32,
                    next,
                }
            }
            _ => self.conceal(sequence),
        }
    }

    fn conceal(&mut self, sequence: i64) -> Playout {
        self.stats.concealed += 1;
        Playout::Conceal {
            epoch: self.epoch.unwrap_or_default(),
            sequence: sequence as u32,
        }
    }

    fn pass_silence(&mut self) -> Playout {
        self.cursor = self.cursor.map(|cursor| cursor + 1);
        Playout::Silence
    }

    /// Drops the first frame held, unplayed. Counts it if the stream has been heard.
    pub(super) fn skip_first(&mut self) {
        let Some((sequence, slot)) = self.slots.pop_first() else {
            return;
        };
        if self.is_unheard() {
            return;
        }
        if slot.origin == Origin::Copied {
            self.lose_up_to(sequence);
        } else {
            self.count(sequence, &slot);
            self.stats.skipped += 1;
        }
        if self.playing {
            self.cursor = self.cursor.map(|cursor| cursor.max(slot.time + 1));
        }
        if slot.ends_spurt {
            self.end_spurt();
        }
    }

    /// Moves the frontier to a frame that is taken out, and counts it and what it proves lost.
    fn count(&mut self, sequence: i64, slot: &Slot) {
        self.lose_up_to(sequence - 1);
        self.forgiving = false;
        match slot.origin {
            Origin::Copied => {
                self.stats.fec += 1;
                self.stats.lost += 1;
                self.remember_lost(sequence);
            }
            Origin::Pushed => self.stats.received += 1,
            Origin::Pulled => {
                self.stats.received += 1;
                self.stats.repaired += 1;
            }
        }
        self.frontier = Some(sequence);
        if slot.origin != Origin::Copied {
            self.proven = Some(Place {
                sequence,
                time: slot.time,
            });
        }
    }

    /// Counts everything above the frontier up to `last` as lost, and moves the frontier there.
    pub(super) fn lose_up_to(&mut self, last: i64) {
        let Some(frontier) = self
            .frontier
            .filter(|&frontier| !self.forgiving && frontier < last)
        else {
            return;
        };
        self.stats.lost += (last - frontier).unsigned_abs();
        for sequence in (frontier + 1).max(last - LOST_REMEMBERED)..=last {
            self.remember_lost(sequence);
        }
        self.frontier = Some(last);
    }

    fn remember_lost(&mut self, sequence: i64) {
        self.lost.insert(sequence);
        while self
            .lost
            .first()
            .is_some_and(|&oldest| oldest < sequence - LOST_REMEMBERED)
        {
            self.lost.pop_first();
        }
    }

    fn end_spurt(&mut self) {
        self.playing = false;
        self.held = 0;
        self.waited = 0;
    }

    /// Starts the stream anew at a packet that the speaker numbered on from what was heard. What lies between was not
    /// heard, as by a listener that slept; more than there was time for is a leap of the numbers and nobody's loss.
    fn resume_at(&mut self, arrival: &Arrival<'_>, now: i64) {
        let held = self.slots.last_key_value().map(|(&sequence, _)| sequence);
        let last = self.frontier.filter(|_| !self.forgiving).max(held);
        let missed = last.map_or(0, |last| self.place_of(arrival).sequence - last - 1);
        let elapsed = self.heard_at.map_or(0, |heard| (now - heard) / TICK_MICROS);
        self.restart();
        if let Ok(missed @ 1..) = u32::try_from(missed)
            && i64::from(missed) <= elapsed
        {
            self.stats.lost += u64::from(missed);
            self.stats.longest_gap = self.stats.longest_gap.max(TICK.saturating_mul(missed));
        }
    }

    /// Starts the stream anew at whatever comes next; counts stay.
    pub(super) fn restart(&mut self) {
        self.slots.clear();
        self.lost.clear();
        self.anchor = None;
        self.frontier = None;
        self.proven = None;
        self.gap.forget_place();
        self.forgiving = false;
        self.cursor = None;
        self.stray_since = None;
        self.delays.reset_clock();
        self.end_spurt();
    }
}

/// Microseconds as a duration; a playout before the earliest arrival reads as no delay.
fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(DELAY_MAX + 2 * TICK)
}
