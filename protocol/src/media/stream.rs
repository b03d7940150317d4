//! What a member knows of one stream: its newest frame, what of it is missing, what of it is kept, and whether the
//! one who should push it still does.
//!
//! Only packets whose signature held move the newest frame. What others say they have is a claim: it may add to what is
//! missing, within a bound, and never takes anything away.

use core::time::Duration;

use super::{
    FRAME_TIME, Packet,
    gaps::{Filled, Gaps, WORTH, Witness},
    ring::Ring,
};
use crate::wire::repair::Known;

/// How long a stream in mid-spurt may bring nothing before its frames are pulled: as long as a parent that speaks may
/// say nothing.
pub(super) const OVERDUE: Duration = Duration::from_millis(120);

/// How long an overdue stream that nobody brings anything of is pulled: then it was the speaker who stopped.
pub(super) const OVERDUE_FOR: Duration = Duration::from_millis(600);

/// How far a parent may be behind others, in frames: 400 ms. The audience's delay bears less.
pub(super) const LAG: u32 = 20;

/// How far a claim may lie ahead of what came, in frames, to be believed: as far as anyone keeps packets.
const FARTHEST: u32 = 100;

/// Where a packet came from, as far as it matters to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    /// It was signed here.
    Own,
    /// The parent pushed it.
    Parent,
    /// The speaker's own peer did.
    Source,
    /// The standby answered a pull with it.
    Standby,
    /// A former parent pushed it.
    Former,
}

/// What a packet was to its stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Frames of it that had been asked for.
    pub(super) asked: u32,
    /// Frames before it that came too late to be asked for.
    pub(super) lost: u32,
}

/// One frame among all of a stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) epoch: u32,
    pub(super) frame: u32,
}

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// It is ours: nobody owes us anything of it.
    own: bool,
    newest: Option<Place>,
    /// The newest packet was the last of its spurt.
    ended: bool,
    /// When `newest` last moved, or was first expected to.
    progress: Duration,
    /// The newest frame that the parent pushed, new here or not.
    pushed: Option<Place>,
    /// Its last push came on the speaker's own link.
    pub(super) by_source: bool,
    /// Up to where claims have been looked at.
    claimed: Option<Place>,
    /// The next frame is expected from who feeds it.
    owed: Option<Owed>,
    pub(super) gaps: Gaps,
    pub(super) ring: Ring,
}

#[derive(Debug, Clone, Copy)]
struct Owed {
    since: Duration,
    overdue: bool,
    /// We came late, and forgave it: once.
    forgiven: bool,
}

impl Stream {
    /// The newest frame that came.
    pub(super) fn newest(&self) -> Option<Place> {
        self.newest
    }

    /// Whether it was signed here.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// More is to come without silence between, as far as can be known.
    pub(super) fn is_in_spurt(&self, now: Duration) -> bool {
        self.newest.is_some() && !self.ended && now < self.end_of_patience()
    }

    /// Who feeds it has brought nothing for too long.
    pub(super) fn is_overdue(&self) -> bool {
        self.owed.is_some_and(|owed| owed.overdue)
    }

    /// It is overdue, and nobody else has brought anything either.
    pub(super) fn is_starved(&self, now: Duration) -> bool {
        self.is_overdue() && now >= self.progress.saturating_add(OVERDUE)
    }

    /// How many frames the parent lies behind what another has.
    pub(super) fn lag(&self, known: &Known) -> u32 {
        match self.pushed {
            Some(pushed) if pushed.epoch == known.epoch => known.newest.saturating_sub(pushed.frame),
            Some(pushed) if pushed.epoch > known.epoch => 0,
            _ => known.newest.saturating_add(1),
        }
    }

    /// When it becomes overdue, or is given up.
    pub(super) fn owed_due(&self) -> Option<Duration> {
        self.owed.map(|owed| {
            if owed.overdue {
                self.end_of_patience()
            } else {
                owed.since.saturating_add(OVERDUE)
            }
        })
    }

    /// A packet was delivered. `from_start` says whether the first frames of a stream that was not known are missed.
    pub(super) fn handle_packet(
        &mut self,
        packet: &Packet,
        feed: Feed,
        from_start: bool,
        now: Duration,
    ) -> Arrival {
        let header = packet.header();
        let last = Place {
            epoch: header.epoch,
            frame: header.sequence + (packet.frame_count() - 1),
        };
        self.enter_epoch(header.epoch);
        let lost = self.notice_before(header.sequence, last.epoch, from_start, now);
        let fill = |frame| self.gaps.fill(frame) == Filled::Asked;
        let asked = (header.sequence..=last.frame)
            .map(fill)
            .filter(|asked| *asked)
            .count();
        if self.newest.is_none_or(|newest| newest < last) {
            self.newest = Some(last);
            self.ended = header.end_of_spurt;
            self.progress = now;
        }
        self.own |= feed == Feed::Own;
        self.ring.insert(packet, now);
        self.handle_feed(feed, last, end_of(packet, now));
        Arrival {
            asked: u32::try_from(asked).unwrap_or(u32::MAX),
            lost,
        }
    }

    /// A packet that was known already came again: who pushes it is there.
    pub(super) fn handle_again(&mut self, packet: &Packet, feed: Feed, now: Duration) {
        let frame = packet.header().sequence + (packet.frame_count() - 1);
        let epoch = packet.header().epoch;
        // The signature of what was known already is not checked: it cannot move anything ahead of what is known.
        if self.newest.is_some_and(|newest| Place { epoch, frame } <= newest) {
            self.handle_feed(feed, Place { epoch, frame }, end_of(packet, now));
        }
    }

    /// Another says that it has frames which may be missing here.
    pub(super) fn handle_claim(&mut self, known: &Known, witness: Witness, from_start: bool, now: Duration) {
        let claim = Place {
            epoch: known.epoch,
            frame: known.newest,
        };
        let is_behind = |place: Option<Place>| place.is_some_and(|place| claim <= place);
        if self.own || is_behind(self.newest) || is_behind(self.claimed) || !self.is_credible(claim, witness)
        {
            return;
        }
        let first = self.first_expected(claim.epoch, (from_start && claim.frame <= WORTH).then_some(0));
        let first = first
            .unwrap_or(claim.frame.saturating_add(1))
            .max(claim.frame.saturating_add(1).saturating_sub(WORTH));
        self.claimed = Some(claim);
        if first > claim.frame || claim.frame == u32::MAX {
            return;
        }
        if self.gaps.epoch() != claim.epoch {
            self.gaps.restart(claim.epoch);
        }
        self.gaps.notice(first..claim.frame + 1, witness, now);
        if known.in_spurt && self.owed.is_none() {
            self.progress = now;
            self.owe(now);
        }
    }

    /// Looks at the clock: whether what is owed is overdue, and for how long anyone should still be asked for it.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        if now >= self.end_of_patience() {
            self.owed = None;
        }
        if let Some(owed) = &mut self.owed {
            owed.overdue |= now >= owed.since.saturating_add(OVERDUE);
        }
        self.ring.expire(now);
    }

    /// Takes back so much of what is overdue, which was ours.
    pub(super) fn forgive(&mut self, late: Duration, now: Duration) {
        if let Some(owed) = self.owed.as_mut().filter(|owed| !owed.forgiven) {
            owed.forgiven = true;
            owed.since = owed.since.saturating_add(late).min(now);
            self.progress = self.progress.saturating_add(late).min(now);
        }
    }

    /// Another parent feeds it from now on.
    pub(super) fn change_parent(&mut self, now: Duration) {
        self.pushed = None;
        if self.owed.is_some() {
            self.owe(now);
        }
    }

    fn end_of_patience(&self) -> Duration {
        self.progress.saturating_add(OVERDUE).saturating_add(OVERDUE_FOR)
    }

    /// Settles what is kept on the epoch of a delivered packet, whatever was claimed of another.
    fn enter_epoch(&mut self, epoch: u32) {
        if self.gaps.epoch() != epoch {
            self.gaps.restart(epoch);
        }
        if self.claimed.is_some_and(|claimed| claimed.epoch != epoch) {
            self.claimed = None;
        }
        if self.newest.is_some_and(|newest| newest.epoch != epoch) {
            self.ring.clear();
        }
    }

    /// Notices the frames between what is known and a packet. Returns how many are lost for good.
    fn notice_before(&mut self, sequence: u32, epoch: u32, from_start: bool, now: Duration) -> u32 {
        let start = (from_start && sequence <= WORTH).then_some(0);
        let Some(first) = self.first_expected(epoch, start) else {
            return 0;
        };
        let worth = first.max(sequence.saturating_sub(WORTH));
        let crowded = self.gaps.notice(worth..sequence, Witness::Feeder, now);
        let skipped = worth.min(sequence).saturating_sub(first);
        skipped.saturating_add(crowded)
    }

    /// The first frame of an epoch that did not come yet and should have. For an epoch of which nothing came it is
    /// `start`, or, where claims have been looked at before, what follows them.
    fn first_expected(&self, epoch: u32, start: Option<u32>) -> Option<u32> {
        let after = |place: Option<Place>| {
            let place = place.filter(|place| place.epoch == epoch)?;
            Some(place.frame.saturating_add(1))
        };
        after(self.newest).or_else(|| after(self.claimed)).or(start)
    }

    /// Whether a claim may be true. The standby's word is not enough for a new epoch of a stream that is known.
    fn is_credible(&self, claim: Place, witness: Witness) -> bool {
        match self.newest {
            Some(newest) if newest.epoch == claim.epoch => claim.frame - newest.frame <= FARTHEST,
            Some(_) => witness == Witness::Feeder,
            None => true,
        }
    }

    /// A packet came whose sound lasts until a time: then the next is owed.
    fn handle_feed(&mut self, feed: Feed, last: Place, until: Duration) {
        let brings = self.brings(last);
        if feed == Feed::Parent {
            self.pushed = self.pushed.max(Some(last));
        }
        if matches!(feed, Feed::Parent | Feed::Source) {
            self.by_source = feed == Feed::Source;
        }
        match feed {
            // Nobody owes us what we say ourselves, though it may come back.
            _ if self.ended || self.own => self.owed = None,
            Feed::Own => {}
            Feed::Parent if !brings => {}
            Feed::Parent | Feed::Source => self.owe(until),
            Feed::Standby | Feed::Former if self.owed.is_none() => self.owe(until),
            Feed::Standby | Feed::Former => {}
        }
    }

    /// Whether a push of the parent's brings what it owes. Who repeats what it has pushed before, or pushes what is too old
    /// to be played when others have brought it long since, goes on owing what follows.
    fn brings(&self, last: Place) -> bool {
        let is_played = self.newest.is_some_and(|newest| {
            newest.epoch == last.epoch && newest.frame >= last.frame.saturating_add(LAG)
        });
        self.pushed < Some(last) && !is_played
    }

    fn owe(&mut self, since: Duration) {
        self.owed = Some(Owed {
            since,
            overdue: false,
            forgiven: false,
        });
    }
}

/// When the frames of a packet that came now, beyond its first, have been spoken.
fn end_of(packet: &Packet, now: Duration) -> Duration {
    now.saturating_add(FRAME_TIME * (packet.frame_count() - 1))
}
