//! Sound on the wire, and who may hear it: media packets and the verdict on each (SPEC.md section 9).
//!
//! A [`Draft`] becomes a signed packet, a [`Packet`] is one that came and is believed by nobody, and a [`Relay`]
//! decides which are genuine, new and allowed, and to whom they go. A [`Flow`] is the whole of it: a relay that also
//! finds what is missing, pulls it, answers the pulls of others, and notices when its parent is not there (section
//! 10). Nothing unverified leaves this module.

mod answers;
mod budget;
mod counters;
mod draft;
mod flow;
mod gaps;
mod hearing;
mod hold;
mod packet;
mod pulse;
mod redundancy;
mod relay;
mod ring;
mod strain;
mod stream;
mod tally;
mod verdict;
mod watch;
mod window;

use core::fmt;

pub use budget::{BURST, FRAMES_PER_SECOND};
pub use counters::Counters;
pub use draft::{Draft, Own};
pub use flow::{Flow, Plight, Signal, Transmit, TransmitKind, Wake};
pub use hearing::{Grade, Hearing, Losses};
pub use hold::{HELD_FOR, HELD_PACKETS};
pub use packet::{BadPacket, FRAME_TIME, Frame, Header, OVERHEAD, Packet};
pub use redundancy::{Advice, Copies, Redundancy};
pub use relay::{FORGED_BOUND, Relay};
pub use verdict::{Candidate, Check, Delivery, Dropped, Forged, Genuine};
pub use watch::Complaint;
pub use window::{NotNew, WINDOW, Window};

/// Names one stay of one person on the stage. A later stay, of the same person too, has another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub [u8; 4]);

impl Tag {
    /// The tag of the stay that an entry granted: the first bytes of the entry's hash, or of the room id for the
    /// host's first.
    #[must_use]
    pub fn of(hash: &[u8; 32]) -> Self {
        let [a, b, c, d, ..] = *hash;
        Self([a, b, c, d])
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&data_encoding::HEXLOWER.encode(&self.0))
    }
}
