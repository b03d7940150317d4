//! The steps of a verdict, each its own type: a packet cannot be delivered that was not verified.
//!
//! [`Candidate`] → [`Genuine`] → [`Delivery`]. The first step and the last need the relay, the middle one, which
//! costs a hundred times the others, needs nothing: do it outside any lock.

use alloc::{sync::Arc, vec::Vec};

use super::{BadPacket, NotNew, Packet};
use crate::{
    neighbour::Neighbour,
    person::{Person, Verifier},
    room::RoomId,
};

/// A packet that passed every check that costs less than its signature.
#[derive(Debug)]
#[must_use = "a candidate is nothing until it is verified"]
pub enum Check {
    /// Verify it, then commit it or note that it is forged.
    Verify(Candidate),
    /// It names a log entry that has not come here: the relay holds it. Ask for the log; once the relay has been
    /// told of the entry, [`take_released`](super::Relay::take_released) gives the packet back.
    Held,
}

/// A packet whose signature is still to be checked, with all that this needs.
#[derive(Debug, Clone)]
#[must_use = "a candidate is nothing until it is verified"]
pub struct Candidate {
    pub(super) from: Neighbour,
    pub(super) packet: Packet,
    pub(super) room: RoomId,
    pub(super) person: Person,
    pub(super) verifier: Arc<Verifier>,
}

/// A packet that its speaker signed, for this room. Only verifying makes one.
#[derive(Debug, Clone)]
#[must_use = "a genuine packet goes nowhere until it is committed"]
pub struct Genuine {
    pub(super) from: Neighbour,
    pub(super) packet: Packet,
    pub(super) person: Person,
}

/// A packet was not signed by whom it names: tell the relay, which watches who sends such.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media packet is not signed by the speaker that it names")]
#[must_use = "a forged packet is noted"]
pub struct Forged {
    pub(super) from: Neighbour,
}

/// Why a packet goes no further. Nothing was changed by it but a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Dropped {
    /// It came on a link that such sound does not come on, or its stay is not on the stage. Its sender is at
    /// fault, or has not heard yet; a retry does not help.
    #[error("the media packet came from where it may not come, or from someone who is not on the stage")]
    Refused,
    /// Its speaker is muted, or was when it was spoken. The speaker is at fault, or has not heard yet; a retry does
    /// not help.
    #[error("the speaker is muted")]
    Muted,
    /// It is no packet. Its sender is at fault, or newer than we are; a retry does not help.
    #[error(transparent)]
    Malformed(#[from] BadPacket),
    /// Its speaker sends more than the room allows. The speaker is at fault; slower helps.
    #[error("the speaker sends more than the room allows")]
    Budget,
    /// It is too old. Nobody need be at fault; a retry does not help.
    #[error("the media packet is stale")]
    Stale,
    /// It was delivered before. Nobody need be at fault; a retry does not help.
    #[error("the media packet was seen before")]
    Duplicate,
}

/// A packet that is genuine, new and allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a delivery is to be sent on and played"]
pub struct Delivery {
    /// The packet, to be played.
    pub packet: Packet,
    /// Whose sound it is.
    pub speaker: Person,
    /// Whom its exact bytes are to be sent to.
    pub to: Vec<Neighbour>,
    /// It came as the answer to a pull, not by the first push.
    pub repaired: bool,
}

impl Candidate {
    /// Checks the signature.
    ///
    /// # Errors
    /// [`Forged`] when it is not that of the stay's person for this room.
    pub fn verify(self) -> Result<Genuine, Forged> {
        let Self {
            from,
            packet,
            room,
            person,
            verifier,
        } = self;
        match packet.verify(&room, &verifier) {
            Ok(()) => Ok(Genuine { from, packet, person }),
            Err(_) => Err(Forged { from }),
        }
    }
}

impl From<NotNew> for Dropped {
    fn from(reason: NotNew) -> Self {
        match reason {
            NotNew::Stale => Self::Stale,
            NotNew::Duplicate => Self::Duplicate,
        }
    }
}
