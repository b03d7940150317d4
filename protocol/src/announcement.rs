//! Announcements: how a public room is listed without a server (SPEC.md section 13).
//!
//! An announcement carries the room's genesis, so it proves by itself who the host is; what it claims besides (how
//! many listen) is shown as a claim. Clocks may be wrong: an announcement that a member itself hands over is fresh
//! whatever the clocks say.
//!
//! An announcement that expires as it is issued is an *end*: it lists nothing, and takes the place of all that was said
//! of its room before.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    domain,
    extension::{self, Extension},
    limits,
    link::Address,
    log::{Act, Action, Role},
    person::{Peer, Person},
    room::{Genesis, RoomId, Visibility, at_most},
    signed::{Malformed, Signed, Statement, StatementError, VERSION, Verified},
    text::Text,
};

/// How far ahead of ours the clock of an announcement's signer may be, in seconds.
const CLOCK_SKEW_S: u64 = 600;

/// How long after a room's end something that was said before it may pass for fresh: the life of an announcement, by a
/// clock that is slow by as much as is allowed for. In seconds.
pub const END_MATTERS_S: u64 = limits::LIVE_ANNOUNCEMENT_S + CLOCK_SKEW_S;

/// Whether a room is open or to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Open now.
    Live,
    /// Reserved: opens at its start time.
    Scheduled,
}

/// What the chair of a public room tells the world about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Always 1.
    pub version: u8,
    /// The room.
    pub room: RoomId,
    /// Its signed genesis, whole.
    pub genesis: Bytes,
    /// Who signs: the host, or a co-host who has the chair.
    pub chair: Person,
    /// For a co-host, the `signed Action` by which the host made them one.
    pub proof: Option<Bytes>,
    /// Live or scheduled.
    pub kind: Kind,
    /// The current title.
    pub title: Text,
    /// Sequence of the newest log entry.
    pub head: u32,
    /// A claim: how many listen.
    pub listeners: u32,
    /// Of members, each ending in `/p2p/<PeerId>`.
    pub addresses: Vec<Address>,
    /// Unix seconds by its signer's clock.
    pub issued: u64,
    /// Unix seconds by its signer's clock.
    pub expires: u64,
    /// Reserved: zero.
    pub work: u64,
    /// What later versions add.
    pub extensions: Vec<Extension>,
}

/// An announcement that proves itself: both signatures checked, the genesis hashed to the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    announcement: Verified<Announcement>,
    genesis: Verified<Genesis>,
}

/// Why an announcement is not listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// It or its genesis is malformed or forged: its author is at fault.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Signed by someone who is neither the room's host nor a co-host; or the end of a room, by a co-host.
    #[error("the announcement is not signed by the room's host or with the host's word")]
    NotTheHost,
    /// The room is not public, so someone else made its announcement.
    #[error("the room is not public")]
    NotPublic,
    /// By our clock it is over or lies in the future; handed over by a member it would count.
    #[error("the announcement is not fresh")]
    Stale,
}

impl From<Malformed> for ListingError {
    fn from(malformed: Malformed) -> Self {
        Self::Statement(malformed.into())
    }
}

impl Announcement {
    /// A live announcement of a room, to be completed and then signed by its host.
    #[must_use]
    pub fn live(genesis: &Verified<Genesis>, issued: u64) -> Self {
        Self {
            version: VERSION,
            room: RoomId::of(genesis),
            genesis: genesis.signed().to_bytes(),
            chair: genesis.host,
            proof: None,
            kind: Kind::Live,
            title: genesis.title.clone(),
            head: 0,
            listeners: 0,
            addresses: Vec::new(),
            issued,
            expires: issued.saturating_add(limits::LIVE_ANNOUNCEMENT_S),
            work: 0,
            extensions: Vec::new(),
        }
    }

    /// The same, to be signed by a co-host who has the chair, with the action that made them one.
    #[must_use]
    pub fn by_co_host(self, chair: Person, grant: &Signed<Action>) -> Self {
        Self {
            chair,
            proof: Some(grant.to_bytes()),
            ..self
        }
    }

    /// The end of a room, to be signed by its host: nobody lists the room any more.
    #[must_use]
    pub fn end(genesis: &Verified<Genesis>, head: u32, issued: u64) -> Self {
        Self {
            head,
            expires: issued,
            ..Self::live(genesis, issued)
        }
    }

    /// Whether it says that the room is to be listed no more.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.expires == self.issued
    }

    /// Whether what was said of the room before this end may still pass for fresh, by a clock that shows `now` in Unix
    /// seconds and is as wrong as it may be.
    #[must_use]
    pub fn is_recent_end_at(&self, now: u64) -> bool {
        let until = self.issued.saturating_add(END_MATTERS_S);
        self.is_end() && (self.issued.saturating_sub(CLOCK_SKEW_S)..=until).contains(&now)
    }

    /// Whether it is current by a clock that shows `now` in Unix seconds.
    #[must_use]
    pub fn is_fresh_at(&self, now: u64) -> bool {
        (self.issued.saturating_sub(CLOCK_SKEW_S)..=self.expires).contains(&now)
    }

    /// Whether one of its addresses is that of a peer.
    #[must_use]
    pub fn names(&self, peer: Peer) -> bool {
        self.addresses
            .iter()
            .any(|address| address.peer().is_some_and(|text| text.parse() == Ok(peer)))
    }
}

impl Listing {
    /// Checks an announcement as it came. An end is never stale.
    ///
    /// `now` is our wall clock in Unix seconds; `from` is the peer that handed it over, when the connection proved one.
    ///
    /// # Errors
    /// [`ListingError`] says why it is not listed.
    pub fn verify(signed: Signed<Announcement>, now: u64, from: Option<Peer>) -> Result<Self, ListingError> {
        let claim = signed.peek()?;
        if !claim.is_end() && !claim.is_fresh_at(now) && !from.is_some_and(|peer| claim.names(peer)) {
            return Err(ListingError::Stale);
        }
        let genesis = Genesis::verify_for(Signed::from_bytes(&claim.genesis)?, claim.room)?;
        if claim.chair != genesis.host && (claim.is_end() || !is_co_host(&claim, &genesis)) {
            return Err(ListingError::NotTheHost);
        }
        if genesis.visibility != Visibility::Public {
            return Err(ListingError::NotPublic);
        }
        Ok(Self {
            announcement: signed.verify()?,
            genesis,
        })
    }

    /// The announcement.
    #[must_use]
    pub fn announcement(&self) -> &Verified<Announcement> {
        &self.announcement
    }

    /// The room's genesis.
    #[must_use]
    pub fn genesis(&self) -> &Verified<Genesis> {
        &self.genesis
    }

    /// Whether it says something newer about its room than another listing. Of what was said in one second, the end is
    /// the newest. The host's word stands against that of a co-host, who may be none any more, unless the co-host's is
    /// both later and of a longer log.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let order = |Self {
                         announcement: said, ..
                     }: &Self| (said.head, said.issued, said.is_end());
        let (ours, theirs) = (&self.announcement, &other.announcement);
        match (self.is_the_hosts(), other.is_the_hosts()) {
            (true, false) => ours.issued >= theirs.issued,
            (false, true) => ours.issued > theirs.issued && ours.head > theirs.head,
            _ => order(self) > order(other),
        }
    }

    fn is_the_hosts(&self) -> bool {
        self.announcement.chair == self.genesis.host
    }
}

/// Whether the host once made the signer of this a co-host of this room. Whether they still are is in the log alone.
fn is_co_host(claim: &Announcement, genesis: &Genesis) -> bool {
    let grant = claim.proof.as_ref().and_then(|proof| {
        let signed: Signed<Action> = Signed::from_bytes(proof).ok()?;
        let action = signed.verify().ok()?;
        let is_hosts = action.room == claim.room && action.author == genesis.host;
        action.act().ok().filter(|_| is_hosts)
    });
    grant
        == Some(Act::Grant {
            subject: claim.chair,
            role: Role::CoHost,
        })
}

impl Statement for Announcement {
    const DOMAIN: &'static [u8] = domain::ANNOUNCEMENT;
    const MAX: usize = limits::ANNOUNCEMENT;
    const NAME: &'static str = "announcement";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.chair
    }

    fn validate(&self) -> Result<(), Malformed> {
        if self.kind == Kind::Scheduled {
            return Err(Malformed::NeedsNewer {
                what: "scheduled rooms",
            });
        }
        at_most("title", self.title.len(), limits::TITLE)?;
        if self.addresses.len() > limits::ADDRESSES {
            return Err(Malformed::TooMany {
                what: "addresses",
                max: limits::ADDRESSES,
            });
        }
        if !self
            .addresses
            .iter()
            .all(|address| address.is_valid() && address.peer().is_some())
        {
            return Err(Malformed::Invalid { what: "an address" });
        }
        let lifetime = self.expires.checked_sub(self.issued);
        if lifetime.is_none_or(|lifetime| lifetime > limits::LIVE_ANNOUNCEMENT_S) {
            return Err(Malformed::Invalid { what: "expiry" });
        }
        extension::validate(&self.extensions)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};
    use core::ops::Deref;

    use super::*;
    use crate::{log::Head, person::PersonKey};

    const NOW: u64 = 1_900_000_000;

    fn host() -> PersonKey {
        PersonKey::from_seed(&[1; 32])
    }

    fn genesis(visibility: Visibility) -> Verified<Genesis> {
        Genesis {
            visibility,
            ..Genesis::new(host().person(), "Poems", [0; 16])
        }
        .sign(&host())
        .expect("valid")
    }

    fn signed(change: impl FnOnce(&mut Announcement)) -> Signed<Announcement> {
        let mut announcement = Announcement::live(&genesis(Visibility::Public), NOW);
        change(&mut announcement);
        Verified::sign(announcement, &host())
            .expect("valid")
            .signed()
            .clone()
    }

    #[test]
    fn a_room_is_listed_with_its_proof() {
        let listing = Listing::verify(signed(|_| ()), NOW, None).expect("fresh");
        assert_eq!(listing.genesis().host, host().person());
        assert_eq!(listing.announcement().room, RoomId::of(listing.genesis()));
    }

    #[test]
    fn past_and_far_future_announcements_count_only_from_a_member() {
        let member = Peer([8; 32]);
        let address = format!("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{member}")
            .parse()
            .expect("an address");
        let signed = signed(|a| a.addresses = vec![address]);
        for now in [0, NOW - 601, NOW + 601, u64::MAX] {
            assert_eq!(
                Listing::verify(signed.clone(), now, None),
                Err(ListingError::Stale),
                "{now}"
            );
            assert_eq!(
                Listing::verify(signed.clone(), now, Some(Peer([7; 32]))),
                Err(ListingError::Stale)
            );
            assert!(
                Listing::verify(signed.clone(), now, Some(member)).is_ok(),
                "{now}"
            );
        }
    }

    #[test]
    fn nobody_but_the_host_announces_a_room() {
        let thief = PersonKey::from_seed(&[2; 32]);
        let mut announcement = Announcement::live(&genesis(Visibility::Public), NOW);
        announcement.chair = thief.person();
        let stolen = Verified::sign(announcement, &thief).expect("well-formed");
        assert_eq!(
            Listing::verify(stolen.signed().clone(), NOW, None),
            Err(ListingError::NotTheHost)
        );
    }

    /// An announcement by a co-host, with the grant as its host or somebody else wrote it.
    fn by_co_host(author: &PersonKey, role: Role, issued: u64, head: u32) -> Result<Listing, ListingError> {
        let (genesis, successor) = (genesis(Visibility::Public), PersonKey::from_seed(&[2; 32]));
        let (room, subject) = (RoomId::of(&genesis), successor.person());
        let grant = Action::new(
            room,
            author.person(),
            Head::genesis(room),
            0,
            &Act::Grant { subject, role },
        );
        let grant = Verified::sign(grant, author).expect("valid");
        let announcement = Announcement {
            head,
            ..Announcement::live(&genesis, issued).by_co_host(subject, grant.signed())
        };
        let signed = Verified::sign(announcement, &successor).expect("valid");
        Listing::verify(signed.signed().clone(), NOW, None)
    }

    #[test]
    fn a_co_host_announces_with_the_hosts_word_alone_and_never_ends_a_room() {
        let thief = PersonKey::from_seed(&[3; 32]);
        let theirs = by_co_host(&host(), Role::CoHost, NOW + 1, 9).expect("the host's word");
        for (author, role) in [(&thief, Role::CoHost), (&host(), Role::Moderator)] {
            assert_eq!(by_co_host(author, role, NOW, 9), Err(ListingError::NotTheHost));
        }
        let mut end = theirs.announcement().clone().deref().clone();
        end.expires = end.issued;
        let end = Verified::sign(end, &PersonKey::from_seed(&[2; 32])).expect("valid");
        assert_eq!(
            Listing::verify(end.signed().clone(), NOW, None),
            Err(ListingError::NotTheHost)
        );

        // It replaces what the host said before, and nothing that the host says later.
        let hosts = |issued, head| {
            let signed = signed(|a| (a.head, a.issued, a.expires) = (head, issued, issued + 600));
            Listing::verify(signed, NOW, None).expect("fresh")
        };
        assert!(theirs.is_newer_than(&hosts(NOW, 8)) && !hosts(NOW, 8).is_newer_than(&theirs));
        assert!(!theirs.is_newer_than(&hosts(NOW, 9)));
        let boast = by_co_host(&host(), Role::CoHost, NOW, u32::MAX).expect("a claim");
        assert!(hosts(NOW, 1).is_newer_than(&boast) && !boast.is_newer_than(&hosts(NOW, 1)));
    }

    #[test]
    fn unlisted_rooms_are_not_listed() {
        let announcement = Announcement::live(&genesis(Visibility::Unlisted), NOW);
        let signed = Verified::sign(announcement, &host())
            .expect("well-formed")
            .signed()
            .clone();
        assert_eq!(Listing::verify(signed, NOW, None), Err(ListingError::NotPublic));
    }

    #[test]
    fn a_long_life_is_refused_and_a_wrong_signature_noticed() {
        let mut announcement = Announcement::live(&genesis(Visibility::Public), NOW);
        announcement.expires += 1;
        assert_eq!(
            Verified::sign(announcement, &host()).err(),
            Some(Malformed::Invalid { what: "expiry" })
        );

        let mut bytes = signed(|_| ()).to_bytes().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let altered = Signed::from_bytes(&bytes).expect("an envelope");
        let error = Listing::verify(altered, NOW, None).expect_err("altered");
        assert_eq!(
            error,
            ListingError::Statement(StatementError::Signature("announcement"))
        );
    }

    #[test]
    fn an_end_is_never_stale_and_newer_than_all_before_it() {
        let end = |head, issued| {
            let end = Announcement::end(&genesis(Visibility::Public), head, issued);
            let signed = Verified::sign(end, &host()).expect("valid");
            Listing::verify(signed.signed().clone(), 0, None).expect("whatever the clock shows")
        };
        let live = Listing::verify(signed(|a| a.head = 1), NOW, None).expect("fresh");
        assert!(end(1, NOW).is_newer_than(&live) && !live.is_newer_than(&end(1, NOW)));
        assert!(!end(1, NOW - 1).is_newer_than(&live), "the host came back since");
        assert!(end(2, 0).is_newer_than(&live));
        let end = end(1, NOW).announcement().clone();
        let recent = |now| end.is_recent_end_at(now);
        assert!(recent(NOW - 600) && recent(NOW + 1_200) && !recent(NOW - 601) && !recent(NOW + 1_201));
        assert!(end.is_end() && !live.announcement().is_end());
    }

    #[test]
    fn nobody_but_the_host_ends_a_room() {
        let thief = PersonKey::from_seed(&[2; 32]);
        let mut end = Announcement::end(&genesis(Visibility::Public), 9, NOW);
        end.chair = thief.person();
        let stolen = Verified::sign(end, &thief).expect("well-formed");
        assert_eq!(
            Listing::verify(stolen.signed().clone(), NOW, None),
            Err(ListingError::NotTheHost)
        );
    }

    #[test]
    fn a_higher_head_replaces_a_later_time() {
        let list = |head, issued| {
            let signed = signed(|a| (a.head, a.issued, a.expires) = (head, issued, issued + 600));
            Listing::verify(signed, NOW, None).expect("fresh")
        };
        assert!(list(2, NOW).is_newer_than(&list(1, NOW + 60)));
        assert!(list(1, NOW + 60).is_newer_than(&list(1, NOW)));
        assert!(!list(1, NOW).is_newer_than(&list(1, NOW)));
    }
}
