//! What became of each packet, by name.
//!
//! Every packet that a relay was given is counted exactly once it is decided; one that is held is counted when it
//! comes out of the hold.

use super::Dropped;

/// Packets since the room was joined, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Genuine, new and allowed: handed to the player and to the neighbours it goes to.
    pub delivered: u64,
    /// Signed here and sent out.
    pub own: u64,
    /// Came on a link that such sound does not come on, or from a stay that is not on the stage.
    pub refused: u64,
    /// From a stay that is muted, or was when it was spoken.
    pub muted: u64,
    /// Not laid out as a packet.
    pub malformed: u64,
    /// More than its stay may send.
    pub budget: u64,
    /// From an epoch that is over, or too far behind.
    pub stale: u64,
    /// Seen before.
    pub duplicate: u64,
    /// The signature is not the speaker's.
    pub forged: u64,
    /// Held for a log entry, and pushed out by others that were held.
    pub held_overflow: u64,
    /// Held for a log entry that did not come in time.
    pub held_expired: u64,
    /// Those of `delivered` that came as the answer to a pull, not by the first push.
    pub pulled: u64,
    /// Packets sent as the answer to another's pull.
    pub pulled_out: u64,
    /// Packets sent to a new child because they were spoken just before.
    pub history: u64,
    /// Heartbeats sent.
    pub heartbeats: u64,
    /// Digests sent.
    pub digests: u64,
    /// Pulls sent.
    pub pulls: u64,
    /// Heartbeats, digests and pulls from where such do not come from.
    pub unasked: u64,
}

impl Counters {
    pub(super) fn count(&mut self, dropped: Dropped) {
        let counter = match dropped {
            Dropped::Refused => &mut self.refused,
            Dropped::Muted => &mut self.muted,
            Dropped::Malformed(_) => &mut self.malformed,
            Dropped::Budget => &mut self.budget,
            Dropped::Stale => &mut self.stale,
            Dropped::Duplicate => &mut self.duplicate,
        };
        *counter += 1;
    }
}
