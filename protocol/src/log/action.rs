//! Actions: what a person asks of a room, signed (SPEC.md section 7).
//!
//! An [`Action`] is the signed structure with a numbered kind and an opaque body; an [`Act`] is what the body means.
//! Kinds of later versions stay readable as [`Act::Unknown`]; whether they may be passed over is bit 15 of the kind.

use core::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    domain, limits,
    person::Person,
    room::RoomId,
    signed::{Malformed, Signed, Statement, VERSION},
};

mod act;
mod body;

pub use self::{act::Act, body::is_link};

/// Bit 15 of a kind: a program that does not know it cannot follow the log any further.
pub const CRITICAL: u16 = 0x8000;

/// The numbers of the acts that this version knows.
pub mod kind {
    /// Gives the room a new title.
    pub const TITLE: u16 = 0x8001;
    /// Invites a listener to the stage.
    pub const INVITE: u16 = 0x8002;
    /// Takes an invitation: the author is on the stage from this entry.
    pub const ACCEPT: u16 = 0x8003;
    /// Turns an invitation down.
    pub const DECLINE: u16 = 0x8004;
    /// Brings a person from the stage to the audience, or withdraws an invitation.
    pub const MOVE: u16 = 0x8005;
    /// Ends the room for good.
    pub const END: u16 = 0x8006;
    /// Makes a person a moderator or a co-host.
    pub const GRANT: u16 = 0x8007;
    /// Takes that role away again.
    pub const REVOKE: u16 = 0x8008;
    /// Silences a person on the stage until a moderator lifts it.
    pub const MUTE: u16 = 0x8009;
    /// Lifts that.
    pub const UNMUTE: u16 = 0x800a;
    /// Puts a person out of the room, who may come back as a listener after a minute.
    pub const KICK: u16 = 0x800b;
    /// Keeps a person out of the room, for a time or for good.
    pub const BAN: u16 = 0x800c;
    /// Lets them in again.
    pub const UNBAN: u16 = 0x800d;
    /// Says in which order co-hosts take the chair when it is silent.
    pub const LINE: u16 = 0x8030;
    /// Opens a term: its author is the chair from this entry.
    pub const CHAIR: u16 = 0x8031;
    /// Takes over an act of moderation from a history that was given up.
    pub const CARRIED: u16 = 0x8032;
    /// Proves that a chair told two stories.
    pub const EXPOSED: u16 = 0x8033;
    /// Says who may raise a hand.
    pub const HANDS: u16 = 0x800e;
    /// Lets in nobody who was not in the room before.
    pub const LOCK: u16 = 0x800f;
    /// Lets in everyone again.
    pub const UNLOCK: u16 = 0x8010;
    /// Puts a person on the guest list.
    pub const GUEST: u16 = 0x8011;
    /// Takes a person off it.
    pub const UNGUEST: u16 = 0x8012;
    /// Says what the guest list is for.
    pub const GUEST_LIST: u16 = 0x8013;
    /// Says how many people the stage takes.
    pub const SPEAKERS: u16 = 0x8014;
    /// Plans a room that is not open yet for another time, or describes it anew.
    pub const SCHEDULE: u16 = 0x8020;
    /// Calls a room off before it has opened.
    pub const CANCEL: u16 = 0x8021;
    /// Says who may write in the chat.
    pub const CHAT: u16 = 0x8015;
    /// Says how far apart the lines of one person must lie in the chat.
    pub const SLOW_MODE: u16 = 0x8016;
    /// Says for how long a speaker stays on the stage.
    pub const SPEAKING_TIME: u16 = 0x8017;
    /// Says whether the host records the room.
    pub const RECORD: u16 = 0x8018;
    /// Pins a link for everyone to see.
    pub const PIN: u16 = 0x0040;
    /// Takes it off again.
    pub const UNPIN: u16 = 0x0042;
}

/// A place in a log: the newest entry, and thereby all before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Its sequence; 0 is the genesis.
    pub sequence: u32,
    /// Its hash; the room id for the genesis.
    pub hash: [u8; 32],
}

/// The hash that identifies an action, under which a room applies it once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId(pub [u8; 32]);

/// A signed request to change a room. [`Act::decode`] says what its body means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Always 1.
    pub version: u8,
    /// The room it is for.
    pub room: RoomId,
    /// Who asks, and signs.
    pub author: Person,
    /// The head that the author knew: what the request was an answer to.
    pub known: Head,
    /// Room clock in milliseconds after which it is not applied any more.
    pub expires: u64,
    /// What it is; from 0x8000 critical.
    pub kind: u16,
    /// Postcard of the kind's structure.
    pub body: Bytes,
}

impl Head {
    /// The head of a log that holds only its genesis.
    #[must_use]
    pub fn genesis(room: RoomId) -> Self {
        Self {
            sequence: 0,
            hash: room.0,
        }
    }
}

impl ActionId {
    /// The id of an action as it came, believed or not.
    #[must_use]
    pub fn of(action: &Signed<Action>) -> Self {
        Self(
            Sha256::new()
                .chain_update(domain::ACTION_ID)
                .chain_update(action.payload())
                .finalize()
                .into(),
        )
    }
}

impl Action {
    /// An action made at `clock_ms` of the room clock, for its author to sign.
    #[must_use]
    pub fn new(room: RoomId, author: Person, known: Head, clock_ms: u64, act: &Act) -> Self {
        Self {
            version: VERSION,
            room,
            author,
            known,
            expires: clock_ms.saturating_add(limits::ACTION_LIFETIME_MS),
            kind: act.kind(),
            body: act.encode(),
        }
    }

    /// What it does.
    ///
    /// # Errors
    /// [`Malformed`] when the body of a known kind does not decode or breaks a limit.
    pub fn act(&self) -> Result<Act, Malformed> {
        Act::decode(self.kind, &self.body)
    }
}

impl Statement for Action {
    const DOMAIN: &'static [u8] = domain::ACTION;
    const MAX: usize = limits::ACTION;
    const NAME: &'static str = "action";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.author
    }

    /// The body is judged by [`Act::decode`], since its kind may be unknown here.
    fn validate(&self) -> Result<(), Malformed> {
        Ok(())
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Head({} {}…)",
            self.sequence,
            data_encoding::HEXLOWER.encode(&self.hash[..4])
        )
    }
}

impl fmt::Debug for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActionId({}…)", data_encoding::HEXLOWER.encode(&self.0[..8]))
    }
}

#[cfg(test)]
mod tests;
