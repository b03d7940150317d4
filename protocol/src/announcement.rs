//! Announcements: how a public room is listed without a server (SPEC.md section 13).
//!
//! An announcement carries the room's genesis, so it proves by itself who the host is; what it claims besides (how
//! many listen) is shown as a claim. Clocks may be wrong: an announcement that a member itself hands over is fresh
//! whatever the clocks say.
//!
//! An announcement that expires as it is issued is an *end*: it lists nothing, and takes the place of all that was said
//! of its room before.
//!
//! Of a room that is announced ahead, the host alone signs what is planned. Others keep that while the host is away, so it
//! cannot be handed over by a member and goes by the clock; whoever has no clock takes it as it comes.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    domain,
    extension::{self, Extension},
    limits,
    link::Address,
    log::{Act, Action, Log, Plan, PlanStage, Role},
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

/// How far ahead of ours the clock of a host may be that announces a room ahead, in seconds: as much as a clock is wrong that
/// was set to another zone's time.
const SCHEDULE_SKEW_S: u64 = 86_400;

/// The earliest time that a clock may show to be believed, in Unix seconds: the first of 2026. A clock without a battery
/// shows an earlier one, and says nothing of what is past.
pub const CLOCK_FLOOR: u64 = 1_767_225_600;

/// Whether a room is open or to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Open now.
    Live,
    /// To be opened at its start time, or called off.
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
    /// For a co-host, the `signed Action` by which the host made them one. For a room announced ahead, the one by which
    /// the host last changed what is planned, or called it off; none while the genesis holds.
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
    status: Status,
}

/// What an announcement says of its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is open.
    Live,
    /// It is over.
    Ended,
    /// It is to be opened.
    Planned(Plan),
    /// It was to be opened, and will not be.
    Cancelled {
        /// When it was to start, in Unix seconds.
        starts: u64,
        /// Why; may be empty.
        reason: Text,
    },
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
    /// It is said to be planned, and neither its genesis nor its host's word says for when.
    #[error("the announcement does not say what is planned")]
    NotPlanned,
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

    /// What is planned of a room, or that it was called off, to be signed by its host; `None` for a room that nothing was
    /// planned of, or that has been opened.
    ///
    /// It lives as long as anything that was said of the plan before, which it takes the place of.
    #[must_use]
    pub fn planned(log: &Log, issued: u64) -> Option<Self> {
        let state = log.state();
        let planned = state.planned()?;
        if planned.stage() == PlanStage::Opened {
            return None;
        }
        let proof = match planned.entry() {
            Some(sequence) => Some(log.entry(sequence)?.signed_action().ok()?.to_bytes()),
            None => None,
        };
        Some(Self {
            proof,
            kind: Kind::Scheduled,
            title: state.title().clone(),
            head: log.head().sequence,
            expires: planned.latest_start().saturating_add(limits::SCHEDULE_KEPT_S),
            ..Self::live(log.genesis(), issued)
        })
    }

    /// Whether it says that the room is over.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.kind == Kind::Live && self.expires == self.issued
    }

    /// Whether it counts by a clock that shows `now` in Unix seconds, handed over by a peer. A room's end always does; what
    /// a member says of its own room does, too.
    #[must_use]
    pub fn counts_at(&self, now: u64, from: Option<Peer>) -> bool {
        match self.kind {
            Kind::Live => self.is_end() || self.is_fresh_at(now) || from.is_some_and(|peer| self.names(peer)),
            Kind::Scheduled => {
                let since = self.issued.saturating_sub(SCHEDULE_SKEW_S);
                now < CLOCK_FLOOR || (since..self.expires).contains(&now)
            }
        }
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
        if !claim.counts_at(now, from) {
            return Err(ListingError::Stale);
        }
        let genesis = Genesis::verify_for(Signed::from_bytes(&claim.genesis)?, claim.room)?;
        let by_host_alone = claim.is_end() || claim.kind == Kind::Scheduled;
        if claim.chair != genesis.host && (by_host_alone || !is_co_host(&claim, &genesis)) {
            return Err(ListingError::NotTheHost);
        }
        if genesis.visibility != Visibility::Public {
            return Err(ListingError::NotPublic);
        }
        Ok(Self {
            status: status_of(&claim, &genesis)?,
            announcement: signed.verify()?,
            genesis,
        })
    }

    /// What it says of the room.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// When the room starts or was to start, in Unix seconds, where that was said.
    #[must_use]
    pub fn starts(&self) -> Option<u64> {
        match &self.status {
            Status::Live | Status::Ended => self.genesis.starts,
            Status::Planned(plan) => Some(plan.starts),
            Status::Cancelled { starts, .. } => Some(*starts),
        }
    }

    /// What the room is about, as far as that is announced.
    #[must_use]
    pub fn description(&self) -> &Text {
        match &self.status {
            Status::Planned(plan) => &plan.description,
            _ => &self.genesis.description,
        }
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

/// What an announcement says of its room; its host's word is checked where it rests on one.
fn status_of(claim: &Announcement, genesis: &Genesis) -> Result<Status, ListingError> {
    if claim.kind == Kind::Live {
        return Ok(if claim.is_end() {
            Status::Ended
        } else {
            Status::Live
        });
    }
    let plan = Plan::of(genesis).ok_or(ListingError::NotPlanned)?;
    let status = match &claim.proof {
        None => Status::Planned(plan),
        Some(proof) => {
            let action = Signed::<Action>::from_bytes(proof)?.verify()?;
            if action.room != claim.room || action.author != genesis.host {
                return Err(ListingError::NotTheHost);
            }
            match action.act()? {
                Act::Schedule { plan } => Status::Planned(plan),
                Act::Cancel { starts, reason } => Status::Cancelled { starts, reason },
                _ => return Err(ListingError::NotPlanned),
            }
        }
    };
    let starts = match &status {
        Status::Planned(plan) => plan.starts,
        Status::Cancelled { starts, .. } => *starts,
        Status::Live | Status::Ended => 0,
    };
    // Whoever keeps it forgets it when it expires, and would take what was said before it for news.
    if claim.expires < starts.saturating_add(limits::SCHEDULE_KEPT_S) {
        return Err(Malformed::Invalid { what: "expiry" }.into());
    }
    Ok(status)
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
        let lives = match self.kind {
            Kind::Live => 0..=limits::LIVE_ANNOUNCEMENT_S,
            Kind::Scheduled => 1..=limits::SCHEDULE_AHEAD_S + limits::SCHEDULE_KEPT_S,
        };
        if lifetime.is_none_or(|lifetime| !lives.contains(&lifetime)) {
            return Err(Malformed::Invalid { what: "expiry" });
        }
        extension::validate(&self.extensions)
    }
}

#[cfg(test)]
mod planned_tests;

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
