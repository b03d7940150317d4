//! The naive reference: a list of all that was heard, and rules that search it.

use core::time::Duration;

use bytes::Bytes;
use majlis_protocol::{
    media::{Packet, Tag},
    neighbour::Neighbour,
};

/// A packet, and whether it is what the owner of its stay signed for this room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) bytes: Bytes,
    pub(crate) genuine: bool,
}

/// What the reference expects of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Verify,
    Held,
    Refused,
    Malformed,
    Budget,
    Stale,
    Duplicate,
}

/// A packet that was heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) bytes: Bytes,
    pub(crate) genuine: bool,
    pub(crate) granted: bool,
    tag: Tag,
    epoch: u32,
    sequence: u32,
    frames: u32,
    opus_bytes: u32,
    at: Duration,
}

/// Everything that a relay ought to know, as plain lists.
pub(crate) struct Reference {
    pub(crate) head: u32,
    pub(crate) heard: Vec<Heard>,
    pub(crate) expired: u64,
    pub(crate) overflowed: u64,
    parent: Neighbour,
    children: Vec<Neighbour>,
    bitrate: u32,
    stage: Vec<(Tag, Neighbour)>,
    ended: Vec<Tag>,
    held: Vec<(Neighbour, Spoken, u32, Duration)>,
}

impl Reference {
    pub(crate) fn new(parent: Neighbour, children: Vec<Neighbour>, bitrate: u32) -> Self {
        Self {
            head: 0,
            heard: vec![],
            expired: 0,
            overflowed: 0,
            parent,
            children,
            bitrate,
            stage: vec![],
            ended: vec![],
            held: vec![],
        }
    }

    /// True when the stay is new; one that ended never comes back under the same tag.
    pub(crate) fn grant(&mut self, tag: Tag, source: Neighbour) -> bool {
        let new = self.source(tag).is_none() && !self.ended.contains(&tag);
        if new {
            self.stage.push((tag, source));
        }
        new
    }

    pub(crate) fn revoke(&mut self, tag: Tag) {
        if self.source(tag).is_some() {
            self.stage.retain(|(other, _)| *other != tag);
            self.ended.push(tag);
        }
    }

    pub(crate) fn check(&mut self, from: Neighbour, spoken: &Spoken, now: Duration) -> Verdict {
        let claimed = spoken
            .bytes
            .get(2..6)
            .map(|tag| Tag(tag.try_into().expect("four bytes")));
        let source = claimed.and_then(|tag| self.source(tag));
        if from != self.parent && Some(from) != source {
            return Verdict::Refused;
        }
        let Ok(packet) = Packet::parse(spoken.bytes.clone()) else {
            return Verdict::Malformed;
        };
        if packet.header().log > self.head {
            self.hold(from, spoken, packet.header().log, now);
            return Verdict::Held;
        }
        self.admits(&packet, now).err().unwrap_or(Verdict::Verify)
    }

    pub(crate) fn commit(
        &mut self,
        from: Neighbour,
        spoken: &Spoken,
        now: Duration,
    ) -> Result<Vec<Neighbour>, Verdict> {
        let packet = Packet::parse(spoken.bytes.clone()).expect("it was checked");
        self.admits(&packet, now)?;
        let header = packet.header();
        let source = self.source(header.tag);
        self.heard.push(Heard {
            bytes: spoken.bytes.clone(),
            genuine: spoken.genuine,
            granted: source.is_some(),
            tag: header.tag,
            epoch: header.epoch,
            sequence: header.sequence,
            frames: packet.frames().count() as u32,
            opus_bytes: packet.frames().map(|frame| frame.opus.len() as u32).sum(),
            at: now,
        });
        let others = self.children.iter().copied();
        Ok(others
            .filter(|&child| child != from && Some(child) != source)
            .collect())
    }

    pub(crate) fn release(&mut self, now: Duration) -> Vec<(Neighbour, Spoken)> {
        self.expire(now);
        let head = self.head;
        let due = self.held.iter().filter(|(_, _, log, _)| *log <= head);
        let released = due.map(|(from, spoken, _, _)| (*from, spoken.clone())).collect();
        self.held.retain(|(_, _, log, _)| *log > head);
        released
    }

    /// Stage, budget and window, from the list of what was heard.
    fn admits(&self, packet: &Packet, now: Duration) -> Result<(), Verdict> {
        let header = packet.header();
        if self.source(header.tag).is_none() {
            return Err(Verdict::Refused);
        }
        let of_stay = || self.heard.iter().filter(|heard| heard.tag == header.tag);
        let frames = of_stay().map(|heard| (heard.at, f64::from(heard.frames)));
        let bits = of_stay().map(|heard| (heard.at, f64::from(heard.opus_bytes) * 8.0));
        let opus_bytes: usize = packet.frames().map(|frame| frame.opus.len()).sum();
        let enough_frames = left(60.0, frames, now) >= packet.frames().count() as f64;
        let enough_bits = left(1.5 * f64::from(self.bitrate), bits, now) >= opus_bytes as f64 * 8.0;
        if !enough_frames || !enough_bits {
            return Err(Verdict::Budget);
        }
        let Some((epoch, newest)) = of_stay().map(|heard| (heard.epoch, heard.sequence)).max() else {
            return Ok(());
        };
        let behind = i64::from(newest) - i64::from(header.sequence);
        if header.epoch < epoch || header.epoch == epoch && behind > 512 {
            return Err(Verdict::Stale);
        }
        if of_stay().any(|heard| (heard.epoch, heard.sequence) == (header.epoch, header.sequence)) {
            return Err(Verdict::Duplicate);
        }
        Ok(())
    }

    fn hold(&mut self, from: Neighbour, spoken: &Spoken, log: u32, now: Duration) {
        self.expire(now);
        self.held.push((from, spoken.clone(), log, now));
        if self.held.len() > 25 {
            let waiting = |who: Neighbour| self.held.iter().filter(|held| held.0 == who).count();
            let most = self
                .held
                .iter()
                .map(|held| waiting(held.0))
                .max()
                .expect("not empty");
            let oldest = self
                .held
                .iter()
                .position(|held| waiting(held.0) == most)
                .expect("not empty");
            self.held.remove(oldest);
            self.overflowed += 1;
        }
    }

    fn expire(&mut self, now: Duration) {
        let before = self.held.len();
        self.held.retain(|held| now < held.3 + Duration::from_millis(500));
        self.expired += (before - self.held.len()) as u64;
    }

    fn source(&self, tag: Tag) -> Option<Neighbour> {
        self.stage
            .iter()
            .find(|(other, _)| *other == tag)
            .map(|(_, source)| *source)
    }
}

/// What is left in a bucket that holds and refills `rate` a second, after all that was taken from it.
fn left(rate: f64, taken: impl Iterator<Item = (Duration, f64)>, now: Duration) -> f64 {
    let (mut level, mut at) = (rate, Duration::ZERO);
    let refill = |level: f64, passed: Duration| rate.min(level + rate * passed.as_secs_f64());
    for (when, amount) in taken {
        level = refill(level, when - at) - amount;
        at = when;
    }
    // A millionth forgives the rounding of floating point.
    refill(level, now - at) + 1e-6
}
