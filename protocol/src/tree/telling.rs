//! What a member tells those below it (its position, and whom they can turn to) and its parent (what its subtree looks
//! like): only when it changed, gathered for a moment, and never more often than the tree can bear.
//!
//! Invariant: what a member is told costs its parent the same however many members there are.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::time::Duration;

use crate::{
    limits,
    neighbour::Neighbour,
    person::Peer,
    wire::message::{Candidate, Message, Position, Report, Slot},
};

use super::{Place, Tree, Why, place::check_path};

/// How long news of who is around waits for more of it. A path that changed does not wait.
const GATHER: Duration = Duration::from_millis(500);

/// Least time between two reports when the places below changed. A crowd of newcomers is spread by them, so not longer;
/// the members near the root see changes all the time, so not shorter.
const REPORT_PAUSE: Duration = Duration::from_secs(1);

/// Least time between two reports when only the number of members changed: it is an estimate for people.
const COUNT_PAUSE: Duration = Duration::from_secs(2);

/// What was told, and what is to be.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// What each neighbour with a place here was told last.
    told: BTreeMap<Neighbour, Position>,
    position_due: Option<Duration>,
    /// The last report, when it was sent and to whom.
    reported: Option<(Report, Duration, Neighbour)>,
    report_due: Option<Duration>,
}

impl Telling {
    pub(super) fn note_told(&mut self, link: Neighbour, position: Position) {
        self.told.insert(link, position);
    }

    pub(super) fn forget(&mut self, link: Neighbour) {
        self.told.remove(&link);
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.position_due.into_iter().chain(self.report_due).min()
    }
}

impl Tree {
    /// The root names who takes its part when it is gone.
    pub fn set_fallback(&mut self, fallback: Option<Peer>, now: Duration) {
        if self.place != Place::Root {
            return;
        }
        let candidate = fallback
            .and_then(|peer| self.link_to(peer))
            .and_then(|link| self.links.get(&link))
            .map(|linked| linked.candidate.clone());
        if self.around.fallback != candidate {
            self.around.fallback = candidate;
            self.note_change(now);
            self.feed(now);
        }
    }

    /// The root and its fallback, as the chair signed them last.
    #[must_use]
    pub fn roots(&self) -> Option<(Peer, Option<Peer>)> {
        self.roots
    }

    /// The fallback that the root itself says it has a link to.
    #[must_use]
    pub fn told_fallback(&self) -> Option<Peer> {
        self.around.fallback.as_ref().map(|fallback| fallback.peer)
    }

    /// The chair has signed who the root is, and its fallback.
    pub fn set_roots(&mut self, root: Peer, fallback: Option<Peer>, now: Duration) {
        if self.roots != Some((root, fallback)) {
            self.roots = Some((root, fallback));
            self.feed(now);
        }
    }

    /// The parent or the standby tells where it stands now.
    pub fn handle_position(&mut self, link: Neighbour, position: Position, now: Duration) {
        let Some(peer) = self.peer(link) else { return };
        let checked = check_path(&position.path, peer, self.me.peer);
        if self.standby.held() == Some(link) {
            return match checked {
                Ok(()) => self.handle_standby_moved(position.path, now),
                Err(_) => self.handle_standby_silent(link, now),
            };
        }
        if self.place.parent() != Some(link) {
            return;
        }
        if checked.is_err() {
            // A race of two moves made a loop, or the parent lies: it is no parent.
            if !self.go_back(now) {
                self.lose_parent(Why::Failover, now);
            }
            return self.release(link);
        }
        let old_path = self.place.path().to_vec();
        self.place = Place::Attached {
            link,
            path: position.path.clone(),
        };
        self.around = position;
        if self.place.path() != old_path {
            self.note_move(now);
        } else {
            self.note_change(now);
        }
        self.note_root();
        self.note_room_above(now);
        self.check_standby(now);
        self.feed(now);
    }

    /// A child tells what its subtree looks like.
    pub fn handle_report(&mut self, link: Neighbour, report: Report, now: Duration) {
        if let Some(child) = self.children.get_mut(link) {
            child.report = Some(report);
            self.note_change(now);
        }
    }

    /// Something around or below has changed.
    pub(super) fn note_change(&mut self, now: Duration) {
        let due = now + GATHER;
        self.telling.position_due = Some(self.telling.position_due.map_or(due, |at| at.min(due)));
        self.telling.report_due = Some(self.telling.report_due.map_or(due, |at| at.min(due)));
    }

    /// This member's own place has changed: those below are told at once, and the parent what it has won.
    pub(super) fn note_move(&mut self, now: Duration) {
        self.telling.position_due = Some(now);
        self.telling.report_due = Some(now + GATHER);
        self.tell_positions();
    }

    pub(super) fn tell_if_due(&mut self, now: Duration) {
        if self.telling.position_due.is_some_and(|due| due <= now) {
            self.tell_positions();
        }
        if self.telling.report_due.is_some_and(|due| due <= now) {
            self.report(now);
        }
    }

    /// What a neighbour with this place here is told.
    pub(super) fn position_for(&self, link: Neighbour, slot: Slot) -> Position {
        let path: Vec<Peer> = self.place.path().iter().copied().chain([self.me.peer]).collect();
        if slot == Slot::Standby {
            return Position {
                path,
                ..Position::default()
            };
        }
        let child = self.peer(link);
        let is_root = self.place == Place::Root;
        let fallback = self.around.fallback.clone();
        let elders = if is_root {
            fallback
                .iter()
                .filter(|heir| Some(heir.peer) != child)
                .cloned()
                .collect()
        } else {
            self.elders_for_children(child)
        };
        Position {
            path,
            root: if is_root {
                Some(self.me.clone())
            } else {
                self.around.root.clone()
            },
            fallback,
            elders,
            siblings: self.siblings_of(link),
            has_room: self.children.free() > 0 && !self.moving.is_leaving(),
            room_above: self.around.has_room,
        }
    }

    fn tell_positions(&mut self) {
        self.telling.position_due = None;
        if self.place == Place::Seeking {
            return;
        }
        let all: Vec<(Neighbour, Slot)> = [Slot::Child, Slot::Standby]
            .into_iter()
            .flat_map(|slot| self.children.of(slot).map(move |(link, _)| (link, slot)))
            .collect();
        for (link, slot) in all {
            let position = self.position_for(link, slot);
            if self.telling.told.get(&link) != Some(&position) {
                self.telling.note_told(link, position.clone());
                self.send(link, Message::Position(position));
            }
        }
    }

    fn report(&mut self, now: Duration) {
        self.telling.report_due = None;
        let Some(parent) = self.place.parent() else { return };
        let report = self.children.report(&self.me);
        if let Some((last, at, to)) = &self.telling.reported
            && *to == parent
        {
            if *last == report {
                return;
            }
            let is_only_count = last.offers == report.offers;
            let due = *at + if is_only_count { COUNT_PAUSE } else { REPORT_PAUSE };
            if due > now {
                self.telling.report_due = Some(due);
                return;
            }
        }
        self.telling.reported = Some((report.clone(), now, parent));
        self.send(parent, Message::Report(report));
    }

    /// The parent, and its other children: neither is below this member, and the latter not even below its parent's
    /// death.
    fn elders_for_children(&self, child: Option<Peer>) -> Vec<Candidate> {
        let parent = self.place.parent().and_then(|link| self.links.get(&link));
        let mut elders: Vec<Candidate> = vec![];
        let known = parent
            .map(|linked| &linked.candidate)
            .into_iter()
            .chain(&self.around.siblings);
        for elder in known.filter(|elder| Some(elder.peer) != child && elder.peer != self.me.peer) {
            elders.push(elder.clone());
        }
        elders.truncate(limits::CANDIDATES);
        elders
    }

    /// The other children that can take children themselves.
    fn siblings_of(&self, link: Neighbour) -> Vec<Candidate> {
        self.children
            .of(Slot::Child)
            .filter(|(other, child)| *other != link && child.capacity > 0)
            .filter_map(|(other, _)| self.links.get(&other))
            .map(|linked| linked.candidate.clone())
            .take(limits::CANDIDATES)
            .collect()
    }
}
