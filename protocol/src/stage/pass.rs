//! Passes: that a person was in the room, signed by its chair, so that a lock keeps out new keys alone.

use serde::{Deserialize, Serialize};

use crate::{
    domain,
    log::State,
    person::Person,
    room::RoomId,
    signed::{Malformed, Signed, Statement, VERSION},
};

/// A person was in the room at a time of its clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Always 1.
    pub version: u8,
    /// The room.
    pub room: RoomId,
    /// Who says so, and signs.
    pub chair: Person,
    /// Who was in it.
    pub subject: Person,
    /// When, in milliseconds of room clock.
    pub issued: u64,
}

impl Pass {
    /// A pass for the chair to sign.
    #[must_use]
    pub fn new(room: RoomId, chair: Person, subject: Person, issued: u64) -> Self {
        Self {
            version: VERSION,
            room,
            chair,
            subject,
            issued,
        }
    }

    /// When a person was in a room by this pass; `None` when it proves nothing.
    #[must_use]
    pub fn proves(signed: &Signed<Self>, subject: Person, room: RoomId, state: &State) -> Option<u64> {
        let claim = signed.peek().ok()?;
        if !claim.counts(subject, room, state) {
            return None;
        }
        Some(signed.clone().verify().ok()?.issued)
    }

    /// Whether a pass whose signature holds says of this person that it was in this room: its signer had the chair, and
    /// may have it still. Whoever lost its place in the line lets nobody in any more, whatever time it signs.
    #[must_use]
    pub fn counts(&self, subject: Person, room: RoomId, state: &State) -> bool {
        let signer = self.chair;
        (self.room, self.subject) == (room, subject)
            && state.was_chair(signer)
            && state.rank(signer).is_some()
    }
}

impl Statement for Pass {
    const DOMAIN: &'static [u8] = domain::PASS;
    const MAX: usize = 128;
    const NAME: &'static str = "pass";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.chair
    }

    fn validate(&self) -> Result<(), Malformed> {
        Ok(())
    }
}
