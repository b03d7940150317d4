//! Entries: one action, put into the order of a room by its chair (SPEC.md section 7).
//!
//! An entry carries the signed action whole and unread, so that its hash covers exactly what its author signed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    domain, limits,
    log::action::{Action, Head},
    person::Person,
    room::RoomId,
    signed::{Malformed, Signed, Statement, VERSION},
};

/// What an envelope adds to its payload at most: 64 bytes of signature and 3 of length.
const ENVELOPE: usize = 67;

/// One link of a room's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Always 1.
    pub version: u8,
    /// The room it belongs to.
    pub room: RoomId,
    /// 1, 2, 3 …: the genesis is 0.
    pub sequence: u32,
    /// Hash of the entry before it; the room id for sequence 1.
    pub previous: [u8; 32],
    /// Rises when a chair starts anew or another takes the chair; never falls.
    pub term: u32,
    /// Who wrote it, and signs.
    pub chair: Person,
    /// Room clock in milliseconds when it was written; never falls.
    pub clock: u64,
    /// A `signed Action`, whole.
    pub action: Bytes,
}

impl Entry {
    /// The entry that puts an action behind a head.
    #[must_use]
    pub fn new(
        room: RoomId,
        after: Head,
        term: u32,
        chair: Person,
        clock_ms: u64,
        action: &Signed<Action>,
    ) -> Self {
        Self {
            version: VERSION,
            room,
            sequence: after.sequence.saturating_add(1),
            previous: after.hash,
            term,
            chair,
            clock: clock_ms,
            action: action.to_bytes(),
        }
    }

    /// The hash that identifies an entry as it came, believed or not.
    #[must_use]
    pub fn hash(signed: &Signed<Self>) -> [u8; 32] {
        Sha256::new()
            .chain_update(domain::ENTRY_ID)
            .chain_update(signed.payload())
            .finalize()
            .into()
    }

    /// Bytes that an entry counts in a log and in a batch: its payload, its signature and the three bytes of length.
    #[must_use]
    pub fn size(signed: &Signed<Self>) -> usize {
        signed.payload().len() + ENVELOPE
    }

    /// The action it carries, not yet believed.
    ///
    /// # Errors
    /// [`Malformed`] when its bytes are no signed action.
    pub fn signed_action(&self) -> Result<Signed<Action>, Malformed> {
        Signed::from_bytes(&self.action)
    }
}

impl Statement for Entry {
    const DOMAIN: &'static [u8] = domain::ENTRY;
    const MAX: usize = limits::ENTRY;
    const NAME: &'static str = "entry";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.chair
    }

    fn validate(&self) -> Result<(), Malformed> {
        if self.sequence == 0 {
            return Err(Malformed::Invalid {
                what: "sequence 0, which is the genesis,",
            });
        }
        Ok(())
    }
}
