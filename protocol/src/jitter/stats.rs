//! What one stream's listener counts, in 20 ms frames from the first one heard.
//!
//! Invariant: every sequence number from the first frame played to the newest one decided is counted exactly once,
//! either as `received` or as `lost`; so [`Stats::expected`] is always their sum, and nothing after the last packet
//! that came is ever called lost.

use core::time::Duration;

/// Counts of one stream. They only grow: mute, a newer epoch and a new delay goal keep them.
///
/// A frame is counted when its playout tick passes, not when it arrives: what waits in the buffer is not counted yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames whose own payload came in time, by the first push or by a pull.
    pub received: u64,
    /// Frames that were sent (a later sequence number proves it) and whose own payload did not come in time. Includes
    /// those that were recovered (`fec`) and those that came too late (`late`).
    pub lost: u64,
    /// Those of `received` that came as the answer to a pull. `lost + repaired` is what the first push did not bring.
    pub repaired: u64,
    /// Those of `lost` that were played all the same: from the speaker's redundant copy, or decoded from the in-band
    /// forward error correction of the frame after them.
    pub fec: u64,
    /// Those of `lost` whose own payload came after their playout tick, by push or by pull, each counted once.
    pub late: u64,
    /// Packets of the first push that came after one that was sent later.
    pub reordered: u64,
    /// Packets that brought nothing new: copies of others, and what came from before the beginning.
    pub duplicate: u64,
    /// Ticks for which the decoder had to invent sound: lost frames without recovery, and waits for late frames.
    pub concealed: u64,
    /// The longest time without a frame, from the last one played to the next: concealment included, silence of the
    /// speaker not. One that has not ended is not counted yet.
    pub longest_gap: Duration,
    /// Those of `received` that were not played, because the delay had reached its bound.
    pub skipped: u64,
    /// Ticks of silence put in to lengthen the delay.
    pub inserted: u64,
    /// Ticks of silence left out to shorten the delay.
    pub removed: u64,
    /// From the earliest arrival to the playout of the same moment: what the buffer adds to the path.
    pub delay: Duration,
}

impl Stats {
    /// Frames the speaker is known to have sent since the first one heard. Silence is not expected.
    pub fn expected(&self) -> u64 {
        self.received + self.lost
    }
}
