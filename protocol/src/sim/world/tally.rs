//! What one shard counted. Only sums, so that the whole does not depend on how members are spread over shards.

use alloc::{vec, vec::Vec};

use super::ear::Causes;

/// Nanoseconds of one point of the timeline.
pub(in crate::sim) const SLOT: u64 = 100_000_000;

/// Milliseconds that a histogram of times tells apart; what takes longer is counted as this long.
const LONGEST: usize = 4_000;

/// Item kind 1, in the high four bits of its first byte: a media packet.
const MEDIA: u8 = 1;

/// The counts of one shard.
#[derive(Debug)]
pub(in crate::sim) struct Tally {
    /// Events that happened, own deadlines included.
    pub(in crate::sim) events: u64,
    /// Bytes of control frames.
    pub(in crate::sim) control_bytes: u64,
    /// Bytes of datagram items that are no media.
    pub(in crate::sim) signal_bytes: u64,
    /// Media packets sent, each receiver counted.
    pub(in crate::sim) packets: u64,
    /// Those that the host sent.
    pub(in crate::sim) host_packets: u64,
    /// Datagrams that did not fit before an uplink.
    pub(in crate::sim) dropped: u64,
    /// Honest neighbours cut off by honest ones for what they did: each is a fault of ours.
    pub(in crate::sim) misbehaved: u64,
    /// Villains cut off by the honest.
    pub(in crate::sim) caught: u64,
    /// Commands that the chair or the member refused.
    pub(in crate::sim) refused: u64,
    /// Times from capture to arrival.
    pub(in crate::sim) delays: Times,
    /// Times from being noticed missing to arrival.
    pub(in crate::sim) repairs: Times,
    /// Frames of all listeners that were late.
    pub(in crate::sim) causes: Causes,
    /// When each frame was captured.
    pub(in crate::sim) spoken: Vec<u64>,
    /// Frames in time, all listeners together, by when they were captured.
    pub(in crate::sim) in_time: Vec<u64>,
    /// What the world has to know of members.
    pub(in crate::sim) notes: Vec<Note>,
}

/// News of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) struct Note {
    pub(in crate::sim) at: u64,
    pub(in crate::sim) who: u32,
    pub(in crate::sim) what: News,
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) enum News {
    /// It has its first place.
    Joined,
    /// It has ended.
    Ended,
}

/// A histogram of times in milliseconds.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Times {
    counts: Vec<u64>,
}

impl Tally {
    pub(in crate::sim) fn new() -> Self {
        Self {
            events: 0,
            control_bytes: 0,
            signal_bytes: 0,
            packets: 0,
            host_packets: 0,
            dropped: 0,
            misbehaved: 0,
            caught: 0,
            refused: 0,
            delays: Times::new(),
            repairs: Times::new(),
            causes: Causes::default(),
            spoken: Vec::new(),
            in_time: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Counts a datagram item.
    pub(in crate::sim) fn count_sent(&mut self, from: u32, item: &[u8]) {
        if item.first().is_some_and(|first| first >> 4 == MEDIA) {
            self.packets += 1;
            self.host_packets += u64::from(from == 0);
        } else {
            self.signal_bytes += item.len() as u64;
        }
    }

    /// Counts a frame on the timeline.
    pub(in crate::sim) fn count_in_time(&mut self, captured: u64, in_time: bool) {
        let slot = (captured / SLOT) as usize;
        if slot >= self.in_time.len() {
            self.in_time.resize(slot + 1, 0);
        }
        self.in_time[slot] += u64::from(in_time);
    }

    /// Takes frames off the timeline again: their listener has ended.
    pub(in crate::sim) fn forget_in_time(&mut self, captured: u64, count: u32) {
        let slot = (captured / SLOT) as usize;
        if let Some(in_time) = self.in_time.get_mut(slot) {
            *in_time -= u64::from(count);
        }
    }

    /// Adds what another shard counted.
    pub(in crate::sim) fn absorb(&mut self, other: &Self) {
        self.events += other.events;
        self.control_bytes += other.control_bytes;
        self.signal_bytes += other.signal_bytes;
        self.packets += other.packets;
        self.host_packets += other.host_packets;
        self.dropped += other.dropped;
        self.misbehaved += other.misbehaved;
        self.caught += other.caught;
        self.refused += other.refused;
        add(&mut self.delays.counts, &other.delays.counts);
        add(&mut self.repairs.counts, &other.repairs.counts);
        self.causes.absorb(&other.causes);
        self.spoken.extend_from_slice(&other.spoken);
        add(&mut self.in_time, &other.in_time);
    }
}

impl Times {
    fn new() -> Self {
        Self {
            counts: vec![0; LONGEST + 1],
        }
    }

    pub(in crate::sim) fn add(&mut self, nanos: u64) {
        let millis = usize::try_from(nanos / 1_000_000).unwrap_or(LONGEST);
        self.counts[millis.min(LONGEST)] += 1;
    }

    /// How many there were of each length in milliseconds.
    pub(in crate::sim) fn counts(&self) -> &[u64] {
        &self.counts
    }
}

fn add(sums: &mut Vec<u64>, others: &[u64]) {
    if sums.len() < others.len() {
        sums.resize(others.len(), 0);
    }
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}
