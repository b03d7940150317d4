//! What pulls are answered with, and how much of it: each neighbour has a share, and no more.
//!
//! An answer is the packet that was kept, unchanged. What is asked for and not here yet is sent when it comes, for a
//! while: the one who asks would only ask again.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;

use super::{Packet, Tag, ring::Kept, stream::Stream};
use crate::{
    limits,
    neighbour::Neighbour,
    wire::repair::{Pull, Run},
};

/// Answers that one neighbour gets in a second, over time: three speakers, each pulled live.
pub(super) const ANSWERS_PER_SECOND: u32 = 150;

/// Answers that one neighbour gets at once: a third of a second of three speakers, which a dead parent costs.
pub(super) const ANSWER_BURST: u32 = 50;

/// How long one packet is not sent again to the same neighbour: two pulls that crossed ask for the same.
pub(super) const ANSWER_AGAIN: Duration = Duration::from_millis(30);

/// How long what was asked for and is not here, or is to be live, is sent when it comes. It is renewed well within
/// this time.
pub(super) const WANTED_FOR: Duration = Duration::from_millis(500);

/// Pulls of one neighbour that are read in a second, over time, and at once. A link that loses one packet in ten of
/// three speakers asks fifteen times a second.
const PULLS_PER_SECOND: u32 = 60;
const PULL_BURST: u32 = 30;

/// What every neighbour that pulls has had and still wants.
#[derive(Debug, Default)]
pub(super) struct Answers {
    askers: BTreeMap<Neighbour, Asker>,
}

#[derive(Debug, Default)]
struct Asker {
    answers: Rate,
    pulls: Rate,
    /// Until when it wants everything new.
    live_until: Duration,
    /// What it wants of each stream when it comes.
    ahead: Vec<Ahead>,
    /// What it was sent of late.
    recent: VecDeque<Sent>,
}

#[derive(Debug, Clone, Copy)]
struct Ahead {
    tag: Tag,
    epoch: u32,
    first: u32,
    last: u32,
    until: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    tag: Tag,
    sequence: u32,
    at: Duration,
}

/// One point in time that says how much was taken, as in the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug, Default)]
struct Rate {
    paid_until: Duration,
}

impl Answers {
    /// Forgets a neighbour that may not pull any more.
    pub(super) fn forget(&mut self, neighbour: Neighbour) {
        self.askers.remove(&neighbour);
    }

    /// Answers a pull from what is kept, and remembers what it still wants, unless `is_pushed` says that the neighbour
    /// gets everything new anyway.
    pub(super) fn handle_pull(
        &mut self,
        from: Neighbour,
        pull: &Pull,
        streams: &BTreeMap<Tag, Stream>,
        is_pushed: bool,
        now: Duration,
    ) -> Vec<Bytes> {
        let asker = self.askers.entry(from).or_default();
        if !asker.pulls.take(PULLS_PER_SECOND, PULL_BURST, now) {
            return Vec::new();
        }
        if pull.live && !is_pushed {
            asker.live_until = now.saturating_add(WANTED_FOR);
        }
        let mut answers = Vec::new();
        for run in &pull.runs {
            let Some(stream) = streams.get(&run.tag) else {
                continue;
            };
            if stream.newest().is_some_and(|newest| newest.epoch == run.epoch) {
                let kept = stream.ring.holding(run.first..=run.last());
                // What was pushed just now has crossed the pull.
                let is_fresh = |kept: &&Kept| is_pushed && now < kept.at.saturating_add(ANSWER_AGAIN);
                let kept = kept.filter(|kept| !is_fresh(kept));
                answers.extend(kept.filter_map(|kept| asker.answer(run.tag, kept, now)));
            }
            if !is_pushed {
                asker.want(run, now);
            }
        }
        answers
    }

    /// A packet has come: the neighbours that wanted it, and have a share left, are sent it.
    pub(super) fn handle_packet(
        &mut self,
        packet: &Packet,
        now: Duration,
    ) -> impl Iterator<Item = Neighbour> {
        self.askers.iter_mut().filter_map(move |(&neighbour, asker)| {
            let header = packet.header();
            let is_sent = asker.wants(packet, now) && asker.take(header.tag, header.sequence, now);
            is_sent.then_some(neighbour)
        })
    }
}

impl Asker {
    fn answer(&mut self, tag: Tag, kept: &Kept, now: Duration) -> Option<Bytes> {
        self.take(tag, kept.sequence, now).then(|| kept.bytes.clone())
    }

    /// Takes a packet from its share, unless it was sent just now.
    fn take(&mut self, tag: Tag, sequence: u32, now: Duration) -> bool {
        let is_past = |sent: &Sent| sent.at.saturating_add(ANSWER_AGAIN) <= now;
        while self.recent.front().is_some_and(is_past) {
            self.recent.pop_front();
        }
        let was_sent = |sent: &Sent| (sent.tag, sent.sequence) == (tag, sequence);
        if self.recent.iter().any(was_sent) || !self.answers.take(ANSWERS_PER_SECOND, ANSWER_BURST, now) {
            return false;
        }
        self.recent.push_back(Sent {
            tag,
            sequence,
            at: now,
        });
        true
    }

    /// Remembers one range a stream: the frames of a run, together with those that were wanted before.
    fn want(&mut self, run: &Run, now: Duration) {
        self.ahead.retain(|ahead| ahead.until > now);
        let until = now.saturating_add(WANTED_FOR);
        let mut wanted = Ahead {
            tag: run.tag,
            epoch: run.epoch,
            first: run.first,
            last: run.last(),
            until,
        };
        let Some(ahead) = self.ahead.iter_mut().find(|ahead| ahead.tag == run.tag) else {
            if self.ahead.len() < limits::STAGE {
                self.ahead.push(wanted);
            }
            return;
        };
        if ahead.epoch == run.epoch {
            let most = u32::from(limits::PULL_FRAMES) - 1;
            wanted.first = wanted.first.min(ahead.first);
            wanted.last = wanted.last.max(ahead.last);
            // The newest are the ones that may still come.
            wanted.first = wanted.first.max(wanted.last.saturating_sub(most));
        }
        *ahead = wanted;
    }

    fn wants(&self, packet: &Packet, now: Duration) -> bool {
        let header = packet.header();
        let last = header.sequence + (packet.frame_count() - 1);
        let is_wanted = |ahead: &Ahead| {
            (ahead.tag, ahead.epoch) == (header.tag, header.epoch)
                && ahead.until > now
                && ahead.first <= last
                && header.sequence <= ahead.last
        };
        self.live_until > now || self.ahead.iter().any(is_wanted)
    }
}

impl Rate {
    /// Takes one, when one is left.
    fn take(&mut self, per_second: u32, burst: u32, now: Duration) -> bool {
        let interval = Duration::from_secs(1) / per_second;
        let paid_until = self.paid_until.max(now).saturating_add(interval);
        let is_left = paid_until <= now.saturating_add(interval * burst);
        if is_left {
            self.paid_until = paid_until;
        }
        is_left
    }
}
