//! Moving to another parent while the present one still serves, making others move, and leaving without a gap.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{
    media::Complaint,
    neighbour::Neighbour,
    person::Peer,
    wire::message::{Attach, Candidate, Message, Redirect, Slot, Wish},
};

use super::{ATTACH_TIMEOUT, Errand, MAX_REDIRECTS, Output, Place, Tree, Why, attach::Asked, spread};

/// How long the former parent is kept after another one took over: its last packets are on their way, those of the new
/// one may be lost, and two that moved at once may have made a loop, which shows within a round trip. Longer only costs
/// the former parent a place.
const FORMER_KEPT: Duration = Duration::from_millis(500);

/// How long whoever leaves goes on serving children that have not moved. A child that is told finds a place in a few
/// round trips; a person who leaves does not wait longer.
const LEAVE_PATIENCE: Duration = Duration::from_millis(1_500);

/// How long children in emergency places stay before some are sent elsewhere. The dead relay's own place is empty only
/// after the transport has noticed, three seconds later; and the reports that say where there is room take a second.
const SHED_AFTER: Duration = Duration::from_secs(4);

/// Pause between two rounds of sending children elsewhere.
const SHED_PAUSE: Duration = Duration::from_secs(1);

/// How long a member must have served children before it asks for a leaf's place nearer to the root. Most who leave
/// early leave in the first half minute.
const PROVEN_AFTER: Duration = Duration::from_secs(30);

/// Pause between two displacements at one parent: each makes a member move.
const DISPLACE_PAUSE: Duration = Duration::from_secs(10);

/// Pause between two wishes for a better place, and as much again at random. Doubled after each refusal.
const BETTER_PAUSE: Duration = Duration::from_secs(20);

/// Most that the pause is doubled to.
const BETTER_PAUSE_MOST: Duration = Duration::from_secs(320);

/// How long the children of a member wait, each another part of it, before they ask for a free place above: those who
/// serve others go first, and the place is not asked for by all.
const RISE_SPREAD: Duration = Duration::from_secs(3);

/// How long a line that was strained carries what it does before one more place is tried. A tree that loses a quarter of
/// a member's children every few seconds never rests. Doubled each time that it is strained again.
const RAISE_PAUSE: Duration = Duration::from_secs(30);

/// Most that this pause is doubled to.
const RAISE_PAUSE_MOST: Duration = Duration::from_secs(480);

/// How often a root that took the part of another looks whether that one is back. The first look is at once: it may be
/// that only the link to it broke.
const ROOT_BACK: Duration = Duration::from_secs(5);

/// What is under way.
#[derive(Debug)]
pub(super) struct Moving {
    /// Those who are being dialled for a new place, why, and until when.
    dialling: Option<Dialling>,
    former: Option<Former>,
    /// How many others were turned to since the parent was last complained of.
    redirects: u8,
    /// Until when children have to go, for a member that leaves.
    leaving: Option<Duration>,
    /// When children beyond the places are to be sent elsewhere.
    shed: Option<Duration>,
    /// When one more child is to be tried after the line was strained, and the pause before the next.
    raise: Option<Duration>,
    raise_pause: Duration,
    /// When a child was last displaced.
    displaced: Option<Duration>,
    /// When a better place is to be asked for.
    better: Duration,
    better_pause: Duration,
    /// The root whose part this member took, and when to look for it.
    deposed: Option<(Candidate, Duration)>,
}

/// The parent before the present one.
#[derive(Debug)]
pub(super) struct Former {
    link: Neighbour,
    /// Peers from the root to it.
    path: Vec<Peer>,
    /// Until when it is kept.
    until: Duration,
}

#[derive(Debug)]
struct Dialling {
    peers: Vec<Peer>,
    why: Why,
    deadline: Duration,
}

impl Moving {
    pub(super) fn new(me: Peer, now: Duration) -> Self {
        Self {
            dialling: None,
            former: None,
            redirects: 0,
            leaving: None,
            shed: None,
            raise: None,
            raise_pause: RAISE_PAUSE,
            displaced: None,
            better: now + BETTER_PAUSE + spread(me, 0, BETTER_PAUSE),
            better_pause: BETTER_PAUSE,
            deposed: None,
        }
    }

    /// Whether a dial for a new place led to this peer: what for.
    pub(super) fn wants(&self, peer: Peer) -> Option<Why> {
        let dialling = self.dialling.as_ref()?;
        dialling.peers.contains(&peer).then_some(dialling.why)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// The parent before the present one, while it is kept.
    pub(super) fn former(&self) -> Option<Neighbour> {
        self.former.as_ref().map(|former| former.link)
    }

    pub(super) fn redirects(&self) -> u8 {
        self.redirects
    }

    /// There is a new reason to move: as many may be turned to again.
    pub(super) fn start_over(&mut self) {
        self.redirects = 0;
    }

    pub(super) fn forget(&mut self, link: Neighbour) {
        self.former.take_if(|former| former.link == link);
    }

    /// No new place is looked for any more.
    pub(super) fn end(&mut self) {
        self.dialling = None;
    }

    pub(super) fn due(&self) -> Option<Duration> {
        [
            self.dialling.as_ref().map(|dialling| dialling.deadline),
            self.former.as_ref().map(|former| former.until),
            self.leaving,
            self.shed,
            self.raise,
            Some(self.better),
            self.deposed.as_ref().map(|(_, at)| *at),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Tree {
    /// The media plane finds fault with the parent: looks for another one, and keeps it until then.
    pub fn handle_complaint(&mut self, link: Neighbour, _complaint: Complaint, now: Duration) {
        if self.place.parent() != Some(link) || self.asked.is_some() || self.moving.dialling.is_some() {
            return;
        }
        // Speakers feed it already, and the others turn to it: it waits for the root's link to end, and is the root then.
        if self.may_be_root() {
            return;
        }
        self.moving.start_over();
        if let Some(standby) = self.standby.held() {
            return self.ask(standby, Why::Failover, now);
        }
        let others = self.others_to_turn_to(None);
        self.start_moving(others, Why::Failover, now);
    }

    /// Several children at once lose what is pushed to them: serves fewer, and sends the others to where there is room
    /// below. One more is tried after a while without strain.
    pub fn handle_strain(&mut self, now: Duration) {
        if !self.children.lower() {
            return;
        }
        self.moving.raise = Some(now + self.moving.raise_pause);
        self.moving.raise_pause = (self.moving.raise_pause * 2).min(RAISE_PAUSE_MOST);
        self.moving.shed = Some(now);
        self.note_change(now);
    }

    /// Leaves the room without a gap for those below: each child is told whom to ask, and served until it has gone.
    /// `false` when there is nobody to wait for; else [`Output::MayLeave`] follows.
    pub fn leave(&mut self, now: Duration) -> bool {
        if self.moving.is_leaving() {
            return true;
        }
        let children: Vec<Neighbour> = self.children().collect();
        if children.is_empty() || !matches!(self.place, Place::Attached { .. }) {
            return false;
        }
        self.moving.leaving = Some(now + LEAVE_PATIENCE);
        let parent = self.place.parent().and_then(|link| self.links.get(&link));
        let mut heirs: Vec<Candidate> = parent
            .map(|linked| linked.candidate.clone())
            .into_iter()
            .collect();
        heirs.extend(self.around.siblings.iter().cloned());
        heirs.truncate(crate::limits::CANDIDATES);
        for child in children {
            self.send_elsewhere(child, heirs.clone(), true, now);
            // Each asks another of them first, so that none is asked by all.
            if !heirs.is_empty() {
                heirs.rotate_left(1);
            }
        }
        true
    }

    /// Looks for a place with one of these, and keeps the present one until it is found.
    pub(super) fn start_moving(&mut self, candidates: Vec<Candidate>, why: Why, now: Duration) {
        if candidates.is_empty() || self.asked.is_some() {
            return;
        }
        let peers: Vec<Peer> = candidates.iter().map(|candidate| candidate.peer).collect();
        let is_linked = |peer: &Peer| {
            self.link_to(*peer)
                .filter(|link| self.links.get(link).is_some_and(|linked| linked.is_ready))
        };
        let linked = peers.iter().find_map(is_linked);
        if let Some(link) = linked.filter(|link| self.children.slot(*link) != Some(Slot::Child)) {
            return self.ask(link, why, now);
        }
        self.moving.dialling = Some(Dialling {
            peers,
            why,
            deadline: now + 2 * ATTACH_TIMEOUT,
        });
        self.outputs.push_back(Output::Dial {
            errand: Errand::Move,
            candidates,
        });
    }

    /// A new place was taken: the former parent is left in a moment.
    pub(super) fn settle(&mut self, former: Option<(Neighbour, Vec<Peer>)>, now: Duration) {
        self.moving.dialling = None;
        self.moving.deposed = None;
        let older = former.and_then(|(link, path)| {
            let until = now + FORMER_KEPT;
            self.moving.former.replace(Former { link, path, until })
        });
        if let Some(older) = older {
            self.release(older.link);
        }
    }

    /// Goes back to the former parent, which still pushes; `false` when it is no more.
    pub(super) fn go_back(&mut self, now: Duration) -> bool {
        let Some(Former { link, path, .. }) = self.moving.former.take() else {
            return false;
        };
        self.place = Place::Attached { link, path };
        self.outputs.push_back(Output::Parent(Some(link)));
        self.outputs.push_back(Output::Placed(Why::Failover));
        self.note_root();
        self.note_move(now);
        self.check_standby(now);
        true
    }

    /// Whoever was asked for a new place has none, and may have named others. One that leaves a bad parent turns to
    /// these, or to anyone it knows of. The standby stays the standby: it answers pulls though its places are taken.
    pub(super) fn move_on(&mut self, asked: Asked, mut named: Vec<Candidate>, now: Duration) {
        let must_go = matches!(asked.why, Why::Failover | Why::Left);
        if !must_go || self.moving.redirects >= MAX_REDIRECTS {
            return self.end_move(asked);
        }
        self.moving.redirects += 1;
        self.moving.dialling = None;
        let refused = self.peer(asked.link);
        if named.is_empty() {
            named = self.others_to_turn_to(refused);
        }
        self.release(asked.link);
        self.start_moving(named, asked.why, now);
    }

    /// Everyone that the parent told of but itself and `refused`, its other children last: they lack what it does not
    /// bring, and find it as soon.
    fn others_to_turn_to(&self, refused: Option<Peer>) -> Vec<Candidate> {
        let parent = self.place.parent().and_then(|link| self.peer(link));
        let mut others = self.acquaintances();
        others.extend(self.around.siblings.iter().cloned());
        others.retain(|other| Some(other.peer) != parent && Some(other.peer) != refused);
        others.truncate(crate::limits::CANDIDATES);
        others
    }

    /// The new place that was asked for is not to be had, as whoever was asked does not even say so; the present one
    /// stays.
    pub(super) fn give_up_move(&mut self, asked: Asked, now: Duration) {
        if self.standby.is_at(asked.link) && asked.why == Why::Failover {
            // A standby that does not answer in need is none.
            self.handle_standby_silent(asked.link, now);
        }
        self.end_move(asked);
    }

    fn end_move(&mut self, asked: Asked) {
        self.moving.dialling = None;
        if asked.why == Why::Better {
            self.moving.better_pause = (self.moving.better_pause * 2).min(BETTER_PAUSE_MOST);
        }
        self.release(asked.link);
    }

    pub(super) fn move_if_due(&mut self, now: Duration) {
        if self.moving.leaving.is_some_and(|at| at <= now) {
            self.moving.leaving = None;
            return self.outputs.push_back(Output::MayLeave);
        }
        if let Some(former) = self.moving.former.take_if(|former| former.until <= now) {
            self.release(former.link);
        }
        self.moving.dialling.take_if(|dialling| dialling.deadline <= now);
        if self.moving.shed.is_some_and(|at| at <= now) {
            self.shed(now);
        }
        if self.moving.raise.is_some_and(|at| at <= now) {
            let is_low = self.children.raise();
            self.moving.raise = is_low.then_some(now + RAISE_PAUSE);
            self.note_change(now);
        }
        if self.moving.better <= now {
            self.moving.better = now + self.moving.better_pause + spread(self.me.peer, 1, BETTER_PAUSE);
            self.look_for_better(now);
        }
        if self.moving.deposed.as_ref().is_some_and(|(_, at)| *at <= now) {
            self.look_for_deposed(now);
        }
    }

    /// Whoever took an emergency place has it for a while; then others than the newest may go.
    pub(super) fn make_room(&mut self, now: Duration) {
        if self.children.excess() > 0 && self.moving.shed.is_none() {
            self.moving.shed = Some(now + SHED_AFTER);
        }
    }

    /// The child without children whose place a member may take that brings places, in an emergency place until it has
    /// gone. One that has proven itself takes that of any, but not more often than [`DISPLACE_PAUSE`]; one that comes in
    /// takes only that of another newcomer: most who leave early leave in the first half minute.
    pub(super) fn leaf_to_displace(
        &self,
        link: Neighbour,
        attach: &Attach,
        now: Duration,
    ) -> Option<Neighbour> {
        let brings_places = attach.slot == Slot::Child && attach.capacity > 1;
        let leaf = self
            .leaf(link)
            .filter(|_| brings_places && self.children.has_room(link, Slot::Child, true))?;
        let may_displace = match attach.wish {
            Wish::Better => self.moving.displaced.is_none_or(|at| now >= at + DISPLACE_PAUSE),
            Wish::Join => self
                .children
                .since(leaf)
                .is_some_and(|since| now < since + PROVEN_AFTER),
            Wish::Orphan | Wish::Told | Wish::Stage => false,
        };
        may_displace.then_some(leaf)
    }

    /// Sends a leaf to a newcomer that has taken its place.
    pub(super) fn displace(&mut self, leaf: Neighbour, (newcomer, wish): (Neighbour, Wish), now: Duration) {
        if wish == Wish::Better {
            self.moving.displaced = Some(now);
        }
        if let Some(newcomer) = self.links.get(&newcomer).map(|linked| linked.candidate.clone()) {
            self.send_elsewhere(leaf, alloc::vec![newcomer], false, now);
        }
        self.make_room(now);
    }

    /// A member that leaves has no children any more.
    pub(super) fn leave_when_empty(&mut self) {
        if self.moving.leaving.is_some() && self.children.len() == 0 {
            self.moving.leaving = None;
            self.outputs.push_back(Output::MayLeave);
        }
    }

    /// Whether this member is the one that takes the root's part when the root is gone. The chair's signature says so,
    /// not the parent: nobody makes a member its own root by a lie.
    pub(super) fn may_be_root(&self) -> bool {
        self.roots
            .is_some_and(|(root, heir)| heir == Some(self.me.peer) && self.place.path() == [root])
    }

    /// The root is gone, and this member was named to take its part: speakers feed it already. Or nobody else is there
    /// who could, and it has taken the chair.
    pub fn become_root(&mut self, now: Duration) {
        self.place = Place::Root;
        self.search.end();
        let deposed = self.around.root.take();
        self.moving.deposed = deposed.map(|root| (root, now));
        self.around = crate::wire::message::Position::default();
        if let Some(standby) = self.standby.held() {
            self.lose_standby(now);
            self.release(standby);
        }
        self.outputs.push_back(Output::Parent(None));
        self.outputs.push_back(Output::Placed(Why::RootMoved));
        self.note_root();
        self.note_move(now);
        self.feed(now);
    }

    /// A leaf among the children, the newest: it serves nobody, and moves cost it least.
    fn leaf(&self, but: Neighbour) -> Option<Neighbour> {
        self.children
            .of(Slot::Child)
            .filter(|(link, child)| *link != but && child.capacity == 0 && child.told.is_none())
            .max_by_key(|(link, child)| (child.since, *link))
            .map(|(link, _)| link)
    }

    /// Sends children beyond the places to where there is room below.
    fn shed(&mut self, now: Duration) {
        let excess = self.children.excess();
        self.moving.shed = (excess > 0).then_some(now + SHED_PAUSE);
        let told = self
            .children
            .of(Slot::Child)
            .filter(|(_, child)| child.is_going(now))
            .count();
        let mut victims: Vec<(bool, Duration, Neighbour)> = self
            .children
            .of(Slot::Child)
            .filter(|(_, child)| !child.is_going(now))
            // Leaves first, then the newest.
            .map(|(link, child)| (child.capacity == 0, child.since, link))
            .collect();
        victims.sort_unstable();
        for (_, _, link) in victims.into_iter().rev().take(excess.saturating_sub(told)) {
            let Some(peer) = self.peer(link) else { continue };
            let candidates = self.children.candidates((link, peer), now);
            if !candidates.is_empty() {
                self.send_elsewhere(link, candidates, false, now);
            }
        }
    }

    fn send_elsewhere(
        &mut self,
        child: Neighbour,
        mut candidates: Vec<Candidate>,
        leaving: bool,
        now: Duration,
    ) {
        let peer = self.peer(child);
        candidates.retain(|candidate| Some(candidate.peer) != peer);
        if let Some(child) = self.children.get_mut(child) {
            child.told = Some(now);
        }
        self.send(child, Message::Redirect(Redirect { candidates, leaving }));
    }

    /// The parent says that its own parent has free places: whoever is quick has one less hop from now on.
    pub(super) fn note_room_above(&mut self, now: Duration) {
        if !self.around.room_above || self.place.depth() < 2 {
            return;
        }
        let serves = self.children.len() > 0;
        let wait = if serves { Duration::ZERO } else { RISE_SPREAD };
        let at = now + wait + spread(self.me.peer, 2, RISE_SPREAD);
        self.moving.better = self.moving.better.min(at);
    }

    /// Asks the grandparent for a free place, or for a leaf's, once this member has proven that it serves.
    fn look_for_better(&mut self, now: Duration) {
        if self.asked.is_some() || self.moving.dialling.is_some() || self.moving.is_leaving() {
            return;
        }
        let Place::Attached { path, .. } = &self.place else {
            return;
        };
        let Some(&grandparent) = path.len().checked_sub(2).and_then(|at| path.get(at)) else {
            return;
        };
        let serves = self.children.len() > 0 && self.children.free() > 0;
        let oldest = self.children.oldest_since();
        let proven = serves && oldest.is_some_and(|since| now >= since.max(self.placed_at) + PROVEN_AFTER);
        if (proven || self.around.room_above)
            && let Some(elder) = self
                .acquaintances()
                .into_iter()
                .find(|elder| elder.peer == grandparent)
        {
            self.start_moving(alloc::vec![elder], Why::Better, now);
        }
    }

    /// The root whose part was taken may be back.
    fn look_for_deposed(&mut self, now: Duration) {
        let Some((root, at)) = &mut self.moving.deposed else {
            return;
        };
        *at = now + ROOT_BACK;
        let root = root.clone();
        if self.moving.dialling.is_none() {
            self.start_moving(alloc::vec![root], Why::RootMoved, now);
        }
    }
}
