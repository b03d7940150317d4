//! The relay tree: how members find a place below the root, and who takes sound from whom (SPEC.md section 12).
//!
//! [`Tree`] is one member's part of it: its place, its children, the warm standby that steps in, and what it tells
//! those above and below. It is driven like every machine of this crate, by [`crate::member::Member`], which tells it
//! of links that are open and of messages that concern the tree, and carries out its [`Output`]s.
//!
//! **Invariants.** A member never keeps a parent whose path contains the member itself. Children never outnumber the
//! places but by the emergency places. A place is given up only when it is gone, or once another one was given: make
//! before break. Claims of others (free places, capacity, members) are hints that cost at most a wasted question.
//!
//! The shape is that of tree-push multicast with a pull mesh beside it, as studied by Castro et al. ("SplitStream",
//! SOSP 2003), Li et al. ("CoolStreaming", INFOCOM 2005) and Venkataraman et al. ("Chunkyspread", ICNP 2006); the
//! orphan's turn to a warm standby in another subtree is the backup parent of Yang and Fei (INFOCOM 2004).

mod attach;
mod capacity;
mod children;
mod moving;
mod place;
mod search;
mod standby;
mod telling;
mod uplinks;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use sha2::{Digest, Sha256};

use crate::{
    neighbour::Neighbour,
    person::Peer,
    wire::message::{Candidate, Message, Position, Refusal, Slot},
};

pub use attach::{ATTACH_TIMEOUT, MAX_REDIRECTS};
pub use capacity::{MOST_PLACES, places};
use children::Children;
pub use place::{PathError, Place, Why};
pub use search::SEEK_LIMIT;

/// What a dial is for; the answer that nobody was reached names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// A first place, or a new one when there is none.
    Place,
    /// A better place than the present one.
    Move,
    /// A standby.
    Standby,
    /// A link for the own sound, to the root or its fallback.
    Uplink,
}

/// What the member does for its tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a message.
    Send {
        /// On which link.
        to: Neighbour,
        /// What.
        message: Box<Message>,
    },
    /// Connect to one of these.
    Dial {
        /// What for.
        errand: Errand,
        /// Whom.
        candidates: Vec<Candidate>,
    },
    /// Find any member of the room.
    Seek,
    /// Say `leave` on a link that is of no more use, and close it.
    Release(Neighbour),
    /// A neighbour broke the rules: say what, and close the link.
    Cut {
        /// Which.
        link: Neighbour,
        /// What it did.
        text: &'static str,
    },
    /// Sound comes down from this link, or from nowhere.
    Parent(Option<Neighbour>),
    /// This link is the standby's, or there is none.
    Standby(Option<Neighbour>),
    /// A neighbour was given a place here, or has it no more.
    Child {
        /// Which.
        link: Neighbour,
        /// Who is at its other end.
        peer: Peer,
        /// Which place.
        slot: Slot,
        /// Whether it was given.
        added: bool,
    },
    /// Own sound goes out on this link, or no longer does.
    Uplink {
        /// Which.
        link: Neighbour,
        /// Whether it does.
        added: bool,
    },
    /// There is a place. Sound comes from another parent, or this member is the root now.
    Placed(Why),
    /// There is none any more, and one is looked for.
    Lost,
    /// Sound enters the tree elsewhere now.
    RootMoved(Peer),
    /// No place was found in [`SEEK_LIMIT`]; the last refusal, if there was one.
    GaveUp(Option<Refusal>),
    /// Every child has another parent, or had the time to find one: leave.
    MayLeave,
}

/// A link whose other end is known.
#[derive(Debug)]
struct Linked {
    candidate: Candidate,
    /// Whether this end opened it.
    ours: bool,
    /// Whether our log has caught up with what the other end claims.
    is_ready: bool,
}

/// One member's part of the tree.
#[derive(Debug)]
pub struct Tree {
    me: Candidate,
    links: BTreeMap<Neighbour, Linked>,
    place: Place,
    /// Since when the place is had.
    placed_at: Duration,
    children: Children,
    /// What the parent last told of the tree around it.
    around: Position,
    /// The root that was told of last.
    known_root: Option<Peer>,
    /// The root and its fallback, as the chair has signed them.
    roots: Option<(Peer, Option<Peer>)>,
    /// The one wish for a child's place that waits for its answer.
    asked: Option<attach::Asked>,
    search: search::Search,
    moving: moving::Moving,
    standby: standby::Standby,
    uplinks: uplinks::Uplinks,
    telling: telling::Telling,
    outputs: VecDeque<Output>,
}

impl Tree {
    /// The root of a new room.
    #[must_use]
    pub fn root(me: Candidate, capacity: usize, now: Duration) -> Self {
        let mut tree = Self::new(me, capacity, now);
        tree.place = Place::Root;
        tree.known_root = Some(tree.me.peer);
        tree
    }

    /// A member without a place, which begins to look for one.
    #[must_use]
    pub fn seeker(me: Candidate, capacity: usize, now: Duration) -> Self {
        let mut tree = Self::new(me, capacity, now);
        tree.outputs.push_back(Output::Seek);
        tree
    }

    fn new(me: Candidate, capacity: usize, now: Duration) -> Self {
        Self {
            links: BTreeMap::new(),
            place: Place::Seeking,
            placed_at: now,
            children: Children::new(capacity),
            around: Position::default(),
            known_root: None,
            roots: None,
            asked: None,
            search: search::Search::new(Why::Attached, now),
            moving: moving::Moving::new(me.peer, now),
            standby: standby::Standby::default(),
            uplinks: uplinks::Uplinks::default(),
            telling: telling::Telling::default(),
            outputs: VecDeque::new(),
            me,
        }
    }

    /// This member's place.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The warm standby, while there is one.
    #[must_use]
    pub fn standby(&self) -> Option<Neighbour> {
        self.standby.held()
    }

    /// Those who take sound from here, in a fixed order.
    pub fn children(&self) -> impl Iterator<Item = Neighbour> + '_ {
        self.children.of(Slot::Child).map(|(link, _)| link)
    }

    /// How many children there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.children.capacity()
    }

    /// How many this member stands by for.
    #[must_use]
    pub fn standby_children(&self) -> usize {
        self.children.of(Slot::Standby).count()
    }

    /// Members in the subtree whose top this member is, as far as those below tell.
    #[must_use]
    pub fn members(&self) -> u32 {
        self.children.report(&self.me).members
    }

    /// Members that a child says are in its subtree, itself included.
    #[must_use]
    pub fn members_below(&self, child: Neighbour) -> Option<u32> {
        let report = |(link, child): (Neighbour, &children::Child)| {
            Some((link, child.report.as_ref().map_or(1, |report| report.members)))
        };
        self.children
            .of(Slot::Child)
            .filter_map(report)
            .find(|(link, _)| *link == child)
            .map(|(_, members)| members)
    }

    /// The child that would best take the root's part when the root is gone: one that can take children, and of
    /// those the one that has been here longest.
    #[must_use]
    pub fn heir(&self) -> Option<Peer> {
        self.children
            .of(Slot::Child)
            .filter(|(_, child)| child.capacity > 0)
            .min_by_key(|(link, child)| (child.since, *link))
            .and_then(|(link, _)| self.peer(link))
    }

    /// Who is at the other end of a link.
    #[must_use]
    pub fn peer(&self, link: Neighbour) -> Option<Peer> {
        self.links.get(&link).map(|linked| linked.candidate.peer)
    }

    /// Whether a link is of use: as parent, standby, child or uplink.
    #[must_use]
    pub fn needs(&self, link: Neighbour) -> bool {
        self.place.parent() == Some(link)
            || self.standby.is_at(link)
            || self.children.slot(link).is_some()
            || self.uplinks.has(link)
            || self.moving.former() == Some(link)
            || self.asked.as_ref().is_some_and(|asked| asked.link == link)
    }

    /// A link is open: both ends know each other. `ours` says that this end opened it.
    pub fn handle_open(&mut self, link: Neighbour, candidate: Candidate, ours: bool, now: Duration) {
        let linked = Linked {
            candidate,
            ours,
            is_ready: false,
        };
        self.links.insert(link, linked);
        self.feed(now);
    }

    /// Our log has caught up with that of a link's other end: a place may be asked for there.
    pub fn handle_ready(&mut self, link: Neighbour, now: Duration) {
        if let Some(linked) = self.links.get_mut(&link) {
            linked.is_ready = true;
            self.use_link(link, now);
        }
    }

    /// A link is gone, and everything that hung on it.
    pub fn handle_gone(&mut self, link: Neighbour, now: Duration) {
        let Some(gone) = self.links.remove(&link) else {
            return;
        };
        if let Some(slot) = self.children.remove(link) {
            self.lose_child((link, gone.candidate.peer), slot, now);
        }
        self.uplinks.forget(link);
        self.moving.forget(link);
        if self.standby.is_at(link) {
            self.lose_standby(now);
        }
        if self.asked.as_ref().is_some_and(|asked| asked.link == link) {
            self.handle_answer_missing(now);
        }
        if self.place.parent() == Some(link) {
            self.lose_parent(Why::Failover, now);
        }
        if gone.ours && !gone.is_ready {
            self.seek_on(now);
        }
        self.feed(now);
    }

    /// There is room for no more children than this from now on. Those who are here stay until they are sent elsewhere.
    pub fn limit_capacity(&mut self, most: usize, now: Duration) {
        let before = self.children.capacity();
        self.children.limit(most);
        if self.children.capacity() < before {
            self.note_change(now);
        }
    }

    /// This peer can be reached elsewhere now.
    pub fn set_addresses(&mut self, me: Candidate, now: Duration) {
        self.me = me;
        self.note_change(now);
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Tree::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        [
            self.asked.as_ref().map(|asked| asked.deadline),
            self.search_due(),
            self.moving.due(),
            self.standby_due(),
            self.telling.due(),
            self.uplinks.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// This member slept for so long, and comes late to all that was due meanwhile: a search is no older for it, and an
    /// answer that was waited for may be here in a moment. Call it before [`Tree::handle_timeout`].
    pub fn wake_from_sleep(&mut self, slept: Duration) {
        self.search.forgive(slept);
        if let Some(asked) = &mut self.asked {
            asked.deadline += slept;
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.asked.as_ref().is_some_and(|asked| asked.deadline <= now) {
            self.handle_answer_missing(now);
        }
        self.search_if_due(now);
        self.move_if_due(now);
        self.stand_by_if_due(now);
        self.feed_if_due(now);
        self.tell_if_due(now);
    }

    /// Tells when sound enters the tree elsewhere than it was told last.
    fn note_root(&mut self) {
        let root = match self.place {
            Place::Root => Some(self.me.peer),
            _ => self.place.root(),
        };
        if let Some(root) = root.filter(|root| self.known_root != Some(*root)) {
            self.known_root = Some(root);
            self.outputs.push_back(Output::RootMoved(root));
        }
    }

    /// An open link to a peer.
    fn link_to(&self, peer: Peer) -> Option<Neighbour> {
        self.links
            .iter()
            .filter(|(_, linked)| linked.candidate.peer == peer)
            .map(|(link, _)| *link)
            .next_back()
    }

    /// Closes a link that is of no more use.
    fn release(&mut self, link: Neighbour) {
        // It is gone from here on: nobody is asked on it any more.
        if !self.needs(link) && self.links.remove(&link).is_some() {
            self.outputs.push_back(Output::Release(link));
        }
    }

    fn send(&mut self, to: Neighbour, message: Message) {
        let message = Box::new(message);
        self.outputs.push_back(Output::Send { to, message });
    }

    fn cut(&mut self, link: Neighbour, text: &'static str) {
        if let Some(linked) = self.links.get_mut(&link) {
            linked.is_ready = false;
        }
        self.outputs.push_back(Output::Cut { link, text });
    }
}

/// A number that two peers share and nobody chooses: who of several is preferred by whom is spread evenly by it
/// (rendezvous hashing, Thaler and Ravishankar 1996).
fn affinity(one: Peer, other: Peer) -> u64 {
    let hash = Sha256::new().chain_update(one.0).chain_update(other.0).finalize();
    hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// A part of `most` that differs from peer to peer and from turn to turn, so that a crowd does not act at once.
fn spread(peer: Peer, turn: u32, most: Duration) -> Duration {
    let mut salted = peer;
    let turn = turn.to_be_bytes();
    salted
        .0
        .iter_mut()
        .zip(turn)
        .for_each(|(byte, salt)| *byte ^= salt);
    let share = affinity(peer, salted) % 1_000;
    most.mul_f64(f64::from(u32::try_from(share).unwrap_or(0)) / 1_000.0)
}
