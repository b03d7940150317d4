//! Packets coming in: which are believed, which are in time, and what the late ones prove.
//!
//! Invariant: nothing is held at or below the frontier, and what is held agrees with itself: later in sequence is later
//! in time by at least as much. A packet that contradicts this, or the clock, is out of place and leaves no trace
//! until [`STRAY_PATIENCE`] has passed with nothing else (RFC 3550, appendix A.1, asks for two in a row; those queued
//! behind one stall would pass for that).

use super::Arrival;
use super::buffer::{JitterBuffer, MAX_BUFFERED, Origin, Place, Slot};
use super::delay::{DELAY_MAX, TICK_MICROS, micros};
use core::time::Duration;

/// A stream whose every packet is out of place for this long is taken to have moved, and starts anew where it is.
/// Shorter, and the packets queued behind one stall of a link pass for a new place; longer is only longer silence.
pub const STRAY_PATIENCE: Duration = Duration::from_millis(500);

/// A frame earlier than the earliest arrival by more than this is out of place. It must cover a stream whose first
/// packet waited in a queue; more would let a speaker's wrong clock pull the playout point further.
const EARLIEST: i64 = 1_000_000;

/// A frame later than the earliest arrival by more than this is out of place: nobody keeps sound that long to answer
/// a pull.
const LATEST: i64 = 3_000_000;

/// Frames of one packet that are looked at; the format has no more.
const PACKET_FRAMES: usize = 3;

/// What became of one frame on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    InTime,
    Late,
    Known,
}

impl JitterBuffer {
    /// Places every frame of a packet; late if any of them is, in time if one is and none is late.
    pub(super) fn handle_frames(&mut self, arrival: &Arrival<'_>, now: i64) -> Arrived {
        let first = self.place_of(arrival);
        let count = arrival.frames.len().min(PACKET_FRAMES);
        let origin = if arrival.repaired {
            Origin::Pulled
        } else {
            Origin::Pushed
        };
        let mut outcome = Arrived::Known;
        for (index, payload) in (0..).zip(&arrival.frames[..count]) {
            let place = Place {
                sequence: first.sequence + index,
                time: first.time + index,
            };
            let relative = now - place.time * TICK_MICROS;
            let lateness = self.delays.lateness(relative);
            let ends_spurt = arrival.end_of_spurt && index + 1 == count as i64;
            let slot = Slot {
                time: place.time,
                payload: payload.clone(),
                origin,
                ends_spurt,
            };
            let arrived = self.handle_frame(place.sequence, slot, lateness);
            if arrived == Arrived::Known {
                continue;
            }
            let awaited = self.held > 0 && self.cursor == Some(place.time);
            if !arrival.repaired && (arrived == Arrived::Late || awaited) {
                self.delays.handle_late(now);
            }
            if !arrival.repaired || self.delays.base().is_none() {
                self.delays.handle_arrival(now, relative);
            }
            if outcome != Arrived::Late {
                outcome = arrived;
            }
        }
        if self.anchor.is_none_or(|anchor| anchor.sequence < first.sequence) {
            self.anchor = Some(first);
        }
        self.handle_copies(arrival, first);
        outcome
    }

    fn handle_frame(&mut self, sequence: i64, slot: Slot, lateness: i64) -> Arrived {
        if self.frontier.is_some_and(|frontier| sequence <= frontier) {
            if !self.lost.remove(&sequence) {
                return Arrived::Known;
            }
            self.stats.late += 1;
            return Arrived::Late;
        }
        let held = self.slots.get(&sequence).map(|held| held.origin);
        if held.is_some_and(|origin| origin != Origin::Copied) {
            return Arrived::Known;
        }
        if held.is_none() && !self.is_in_time(sequence, slot.time, lateness) {
            let time = slot.time;
            return self.pass_late(Place { sequence, time });
        }
        // A copy's time is a guess; it yields to the speaker's own numbers.
        let time = slot.time;
        self.slots
            .retain(|&held, copy| copy.origin != Origin::Copied || held > sequence || copy.time < time);
        self.slots.insert(sequence, slot);
        if self.slots.len() > MAX_BUFFERED {
            self.skip_first();
        }
        Arrived::InTime
    }

    /// Keeps the speaker's copies of frames that are still missing. A stream never begins with a copy.
    fn handle_copies(&mut self, arrival: &Arrival<'_>, first: Place) {
        let decided = self.frontier.filter(|_| !self.forgiving);
        let Some(floor) = decided.or(self.slots.keys().next().copied()) else {
            return;
        };
        for (before, payload) in arrival.redundant {
            let back = i64::from(*before);
            let place = Place {
                sequence: first.sequence - back,
                time: first.time - back,
            };
            let wanted = place.sequence > floor
                && !self.slots.contains_key(&place.sequence)
                && (!self.playing || self.cursor.is_none_or(|cursor| place.time >= cursor))
                && self.fits(place);
            if wanted && self.slots.len() < MAX_BUFFERED {
                let payload = payload.clone();
                let slot = Slot {
                    time: place.time,
                    payload,
                    origin: Origin::Copied,
                    ends_spurt: false,
                };
                self.slots.insert(place.sequence, slot);
            }
        }
    }

    /// Whether a packet's numbers contradict the clock or what is known of the stream.
    pub(super) fn is_stray(&self, arrival: &Arrival<'_>, now: i64) -> bool {
        let first = self.place_of(arrival);
        let more = arrival.frames.len().min(PACKET_FRAMES) as i64 - 1;
        let last = Place {
            sequence: first.sequence + more,
            time: first.time + more,
        };
        let earliest = self.delays.lateness(now - last.time * TICK_MICROS);
        let latest = self.delays.lateness(now - first.time * TICK_MICROS);
        earliest < -EARLIEST || latest > LATEST || !self.fits(first) || !self.fits(last)
    }

    /// Whether the place agrees with its neighbours: later in sequence is later in time, by at least as much.
    fn fits(&self, place: Place) -> bool {
        let follows = |a: Place, b: Place| b.time - a.time >= b.sequence - a.sequence;
        if let Some(proven) = self.proven {
            let (a, b) = if place.sequence < proven.sequence {
                (place, proven)
            } else {
                (proven, place)
            };
            if !follows(a, b) {
                return false;
            }
        }
        let at = |(&sequence, slot): (&i64, &Slot)| Place {
            sequence,
            time: slot.time,
        };
        let real = |(_, slot): &(&i64, &Slot)| slot.origin != Origin::Copied;
        let before = self.slots.range(..place.sequence).rev().find(real).map(at);
        let after = self.slots.range(place.sequence + 1..).find(real).map(at);
        before.is_none_or(|before| follows(before, place)) && after.is_none_or(|after| follows(place, after))
    }

    /// Notes one more packet out of place; true once nothing else has come for [`STRAY_PATIENCE`].
    pub(super) fn has_strayed_for_long(&mut self, now: i64) -> bool {
        now - *self.stray_since.get_or_insert(now) >= micros(STRAY_PATIENCE)
    }

    /// Whether the frame's playout tick is still to come. In silence the tick moves with the frame, up to the bound;
    /// before the first frame heard, nothing is put before what is already held.
    fn is_in_time(&self, sequence: i64, time: i64, lateness: i64) -> bool {
        if let (true, Some(cursor)) = (self.playing, self.cursor) {
            return time >= cursor;
        }
        let held = self.slots.first_key_value().map(|(&first, _)| first);
        if held.is_some_and(|first| first < sequence) {
            return true;
        }
        let begins = self.is_unheard() && held.is_some();
        lateness
            <= if begins {
                self.delays.target()
            } else {
                micros(DELAY_MAX)
            }
    }

    /// Nothing has been played yet, or nothing since a flush: what lies before the first frame held is not missed.
    pub(super) fn is_unheard(&self) -> bool {
        self.frontier.is_none() || self.forgiving
    }

    /// Decides a frame above the frontier that came after its tick: it proves what lies before it, and itself. One
    /// from before the beginning is no more than known from now on.
    fn pass_late(&mut self, place: Place) -> Arrived {
        let unheard = self.is_unheard();
        self.lose_up_to(place.sequence - 1);
        self.frontier = Some(place.sequence);
        self.proven = Some(place);
        self.slots = self.slots.split_off(&(place.sequence + 1));
        if unheard {
            self.forgiving = true;
            return if self.slots.is_empty() {
                Arrived::Late
            } else {
                Arrived::Known
            };
        }
        self.stats.lost += 1;
        self.stats.late += 1;
        Arrived::Late
    }

    /// A packet's first frame, unwrapped: the nearest place to the newest one seen.
    pub(super) fn place_of(&self, arrival: &Arrival<'_>) -> Place {
        let unwrap = |raw: u32, near: i64| near + i64::from(raw.wrapping_sub(near as u32) as i32);
        match self.anchor {
            Some(anchor) => Place {
                sequence: unwrap(arrival.sequence, anchor.sequence),
                time: unwrap(arrival.time, anchor.time),
            },
            None => Place {
                sequence: i64::from(arrival.sequence),
                time: i64::from(arrival.time),
            },
        }
    }
}
