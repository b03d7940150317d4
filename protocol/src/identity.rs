//! What a person says of itself in a room: through which peer it speaks, and what it is called (SPEC.md section 3).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{
    domain,
    extension::{self, Extension},
    limits,
    person::{Peer, Person},
    room::{RoomId, at_most},
    signed::{Malformed, Signed, Statement, StatementError, VERSION, Verified},
    text::Text,
};

/// The validity of a certificate whose person does not know the room's clock yet.
pub const NO_EXPIRY: u64 = u64::MAX;

/// Binds a person to a peer in one room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Always 1.
    pub version: u8,
    /// Who speaks.
    pub person: Person,
    /// Through which peer.
    pub peer: Peer,
    /// In which room.
    pub room: RoomId,
    /// Until when, in milliseconds of room clock.
    pub not_after: u64,
}

/// What a person is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Always 1.
    pub version: u8,
    /// Whose profile it is.
    pub person: Person,
    /// A higher one replaces a lower one.
    pub revision: u64,
    /// Self-chosen, at most 64 bytes, shown only together with [`Person::tag`].
    pub nick: Text,
    /// What later versions add.
    pub extensions: Vec<Extension>,
}

/// Why a certificate does not hold for a link. The other end is at fault; a retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// It is malformed or forged.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It names another peer than the one that the connection proved.
    #[error("the certificate names another peer")]
    OtherPeer,
    /// It is for another room.
    #[error("the certificate is for another room")]
    OtherRoom,
    /// The room's clock is past its end.
    #[error("the certificate has expired")]
    Expired,
}

impl Certificate {
    /// A certificate without an end.
    #[must_use]
    pub fn new(person: Person, peer: Peer, room: RoomId) -> Self {
        Self {
            version: VERSION,
            person,
            peer,
            room,
            not_after: NO_EXPIRY,
        }
    }

    /// Checks that a certificate holds for a peer in a room.
    ///
    /// `clock` is the room clock in milliseconds, or `None` where it is not known yet.
    ///
    /// # Errors
    /// [`CertificateError`] says why it does not.
    pub fn verify_for(
        signed: Signed<Self>,
        peer: Peer,
        room: RoomId,
        clock: Option<u64>,
    ) -> Result<Verified<Self>, CertificateError> {
        let claim = signed.peek().map_err(StatementError::from)?;
        if claim.peer != peer {
            return Err(CertificateError::OtherPeer);
        }
        if claim.room != room {
            return Err(CertificateError::OtherRoom);
        }
        if clock.is_some_and(|clock| clock > claim.not_after) {
            return Err(CertificateError::Expired);
        }
        Ok(signed.verify()?)
    }
}

impl Profile {
    /// A profile with a cleaned nickname.
    #[must_use]
    pub fn new(person: Person, nick: &str, revision: u64) -> Self {
        Self {
            version: VERSION,
            person,
            revision,
            nick: Text::clean(nick),
            extensions: Vec::new(),
        }
    }
}

impl Statement for Certificate {
    const DOMAIN: &'static [u8] = domain::PEER;
    const MAX: usize = 128;
    const NAME: &'static str = "certificate";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.person
    }

    fn validate(&self) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Statement for Profile {
    const DOMAIN: &'static [u8] = domain::PROFILE;
    // A nickname before cleaning may be longer than after; extensions fill the rest.
    const MAX: usize = 4_096;
    const NAME: &'static str = "profile";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.person
    }

    fn validate(&self) -> Result<(), Malformed> {
        at_most("nick", self.nick.len(), limits::NICK)?;
        extension::validate(&self.extensions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::PersonKey;

    const ROOM: RoomId = RoomId([4; 32]);
    const PEER: Peer = Peer([5; 32]);

    fn certificate(change: impl FnOnce(&mut Certificate)) -> Signed<Certificate> {
        let key = PersonKey::from_seed(&[6; 32]);
        let mut certificate = Certificate::new(key.person(), PEER, ROOM);
        change(&mut certificate);
        Verified::sign(certificate, &key).expect("valid").signed().clone()
    }

    #[test]
    fn a_certificate_holds_for_one_peer_in_one_room_until_its_end() {
        let check = |signed, clock| Certificate::verify_for(signed, PEER, ROOM, clock).map(|_| ());
        assert_eq!(check(certificate(|_| ()), Some(1)), Ok(()));
        assert_eq!(
            check(certificate(|c| c.peer = Peer([9; 32])), None),
            Err(CertificateError::OtherPeer)
        );
        assert_eq!(
            check(certificate(|c| c.room = RoomId([9; 32])), None),
            Err(CertificateError::OtherRoom)
        );
        assert_eq!(
            check(certificate(|c| c.not_after = 5), Some(6)),
            Err(CertificateError::Expired)
        );
        assert_eq!(check(certificate(|c| c.not_after = 5), None), Ok(()));
    }

    #[test]
    fn a_nickname_is_cleaned_and_bounded() {
        let key = PersonKey::from_seed(&[6; 32]);
        let profile = Profile::new(key.person(), "a\u{202e}b", 1);
        assert_eq!(profile.nick.as_str(), "ab");
        let long = Profile::new(key.person(), &"x".repeat(65), 1);
        assert_eq!(
            Verified::sign(long, &key).err(),
            Some(Malformed::TooLong {
                what: "nick",
                max: 64
            })
        );
    }
}
