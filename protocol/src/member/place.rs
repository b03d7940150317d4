//! The place in the tree: asking for it, giving it, losing it, and looking for members while there is none.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use crate::{
    neighbour::Neighbour,
    person::Peer,
    reason::Reason,
    tree::{ATTACH_TIMEOUT, Place},
    wire::message::{Attach, Candidate, Message, Refusal, Slot},
};

use super::{Event, Left, Member, Output, Route, SEEK_LIMIT, SEEK_PAUSE, refusal};

/// Most redirects that one search for a place follows. The root answers the first; more is a chain of liars.
const MAX_REDIRECTS: u32 = 2;

/// The search for a parent.
#[derive(Debug)]
pub(super) struct Seeking {
    /// When it began.
    since: Duration,
    /// When the next round of looking is due; `None` while one is under way.
    due: Option<Duration>,
    /// How many redirects were followed.
    redirects: u32,
    /// The last refusal, to be shown if it comes to nothing.
    refusal: Option<Refusal>,
}

impl Seeking {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            since: now,
            due: None,
            redirects: 0,
            refusal: None,
        }
    }

    /// Remembers why a member said no.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
    }
}

impl Member {
    /// Begins to look for a parent.
    pub(super) fn seek(&mut self, now: Duration) {
        self.seeking = Seeking::new(now);
        self.outputs.push_back(Output::Seek);
    }

    pub(super) fn handle_nobody_found(&mut self, now: Duration) {
        if self.is_searching() {
            self.seeking.due = Some(now + SEEK_PAUSE);
        }
    }

    /// Looks for the next member at once.
    pub(super) fn seek_next(&mut self, now: Duration) {
        self.seeking.due = Some(now);
    }

    /// Whether there is no parent and nobody who could become one.
    pub(super) fn is_searching(&self) -> bool {
        self.place == Place::Seeking && self.links.is_empty()
    }

    /// Leaves for want of a place; with the last refusal, if it was never in the room.
    pub(super) fn give_up(&mut self) {
        let refused = self.seeking.refusal.take().filter(|_| !self.joined);
        self.leave(refused.map_or(Left::Unreachable, Left::Refused));
    }

    /// Looks on when nothing else is under way.
    pub(super) fn seek_unless_busy(&mut self, now: Duration) {
        if self.is_searching() && self.seeking.due.is_none() {
            self.seeking.due = Some(now + SEEK_PAUSE);
        }
    }

    pub(super) fn seek_due(&self) -> Option<Duration> {
        let limit = self.seeking.since + SEEK_LIMIT;
        match self.place {
            Place::Seeking | Place::Asked { .. } => {
                Some(self.seeking.due.map_or(limit, |due| due.min(limit)))
            }
            _ => None,
        }
    }

    pub(super) fn seek_if_due(&mut self, now: Duration) {
        if self.seek_due().is_none() {
            return;
        }
        if now >= self.seeking.since + SEEK_LIMIT {
            return self.give_up();
        }
        if self.seeking.due.is_some_and(|due| due <= now) {
            self.seeking.due = None;
            self.outputs.push_back(Output::Seek);
        }
    }

    /// Whether this member is neither the root nor attached to a parent.
    pub(super) fn is_without_place(&self) -> bool {
        matches!(self.place, Place::Seeking | Place::Asked { .. })
    }

    /// Asks for a place at an open link, the root's own if there is one, once the log has caught up.
    pub(super) fn ask_for_a_place(&mut self, now: Duration) {
        if self.place != Place::Seeking {
            return;
        }
        let (root, head) = (self.beacon.get().map(|beacon| beacon.root), self.head().sequence);
        let open = || self.links.iter().filter(|(_, link)| link.is_open());
        let is_ready = |link: &super::greeting::Link| link.claimed <= head;
        let best = open()
            .find(|(_, link)| Some(link.peer()) == root)
            .or_else(|| open().find(|(_, link)| is_ready(link)))
            .filter(|(_, link)| is_ready(link));
        let Some((link, _)) = best else { return };
        let link = *link;
        self.place = Place::Asked {
            link,
            deadline: now + ATTACH_TIMEOUT,
        };
        self.send(
            link,
            Message::Attach(Attach {
                slot: Slot::Child,
                extensions: Vec::new(),
            }),
        );
    }

    pub(super) fn handle_attach(&mut self, link: Neighbour) {
        if self.place != Place::Root {
            return self.redirect(link);
        }
        let is_new = !self.children.iter().any(|child| child == link);
        if !self.children.admit(link) {
            return self.send(
                link,
                Message::AttachRefused(refusal(Reason::Full, "no place is left")),
            );
        }
        self.send(
            link,
            Message::Attached {
                path: vec![self.config.peer],
            },
        );
        let Some(peer) = self
            .links
            .get(&link)
            .map(super::greeting::Link::peer)
            .filter(|_| is_new)
        else {
            return;
        };
        self.route(Route::Child { link, added: true });
        self.event(Event::Child { peer, added: true });
        self.brief(link);
    }

    pub(super) fn handle_attached(&mut self, link: Neighbour, path: Vec<Peer>, now: Duration) {
        let Some(peer) = self.links.get(&link).map(super::greeting::Link::peer) else {
            return;
        };
        if !self.place.is_asking(link) {
            return self.cut(link, Reason::Malformed, "an unexpected place", now);
        }
        if let Err(error) = self.place.attach(link, path, peer, self.config.peer) {
            self.place = Place::Seeking;
            return self.cut(link, Reason::Malformed, &alloc::format!("{error}"), now);
        }
        self.route(Route::Parent(Some(link)));
        if self.joined {
            let redirected = self.seeking.redirects > 0;
            self.event(Event::Parent {
                peer: Some(peer),
                depth: self.place.depth(),
                redirected,
            });
        } else {
            let is_chair = self.log.as_ref().map(|log| log.state().chair());
            let confirmed = is_chair == self.links.get(&link).and_then(super::greeting::Link::person);
            self.announce_joined(confirmed, now);
        }
        self.leave_other_links(link, now);
    }

    pub(super) fn handle_redirect(&mut self, link: Neighbour, mut candidates: Vec<Candidate>, now: Duration) {
        if !self.place.is_asking(link) {
            return self.cut(link, Reason::Malformed, "an unexpected redirect", now);
        }
        self.place = Place::Seeking;
        candidates.retain(|candidate| candidate.peer != self.config.peer);
        self.seeking.redirects += 1;
        if candidates.is_empty() || self.seeking.redirects > MAX_REDIRECTS {
            return self.close(link, now);
        }
        self.seeking.due = None;
        self.outputs.push_back(Output::Dial(candidates));
        self.close(link, now);
    }

    pub(super) fn handle_attach_refused(&mut self, link: Neighbour, refusal: Refusal, now: Duration) {
        if self.place.is_asking(link) {
            self.place = Place::Seeking;
        }
        self.seeking.refused(refusal);
        self.close(link, now);
        self.ask_for_a_place(now);
    }

    pub(super) fn expire_place(&mut self, now: Duration) {
        if let Place::Asked { link, deadline } = self.place
            && deadline <= now
        {
            self.close(link, now);
            self.ask_for_a_place(now);
        }
    }

    /// A neighbour leaves. Without its chair nobody writes the room's log: then the room is gone for its members.
    pub(super) fn handle_leave(&mut self, link: Neighbour, now: Duration) {
        let chair = self.log.as_ref().map(|log| log.state().chair());
        let leaver = self.links.get(&link).and_then(super::greeting::Link::person);
        let was_parent = self.place.parent() == Some(link);
        self.close(link, now);
        if was_parent && leaver.is_some() && leaver == chair {
            self.leave(Left::Unreachable);
        }
    }

    /// Looks for a new parent when the one at this link is gone.
    pub(super) fn lose_place_at(&mut self, link: Neighbour, now: Duration) {
        if self.place.is_asking(link) {
            self.place = Place::Seeking;
        } else if self.place.parent() == Some(link) {
            self.place = Place::Seeking;
            self.route(Route::Parent(None));
            self.event(Event::Parent {
                peer: None,
                depth: 0,
                redirected: false,
            });
            self.seek(now);
        }
    }

    pub(super) fn announce_joined(&mut self, confirmed: bool, now: Duration) {
        self.joined = true;
        let (role, parent, depth) = (self.role(), self.parent(), self.place.depth());
        self.event(Event::Joined {
            role,
            parent,
            depth,
            confirmed,
        });
        if let Some(log) = &self.log {
            let (person, term) = (log.state().chair(), log.term());
            self.event(Event::Chair { person, term });
        }
        let root = self.place.root().unwrap_or(self.config.peer);
        self.event(Event::Root(root));
        self.take_the_stage_if_granted(now);
    }

    /// Tells a neighbour that this is not the root, and who is.
    fn redirect(&mut self, link: Neighbour) {
        let parent = self.place.parent().and_then(|parent| self.links.get(&parent));
        let root = parent.filter(|parent| Some(parent.peer()) == self.place.root());
        let message = match root {
            Some(root) => Message::Redirect(vec![Candidate {
                peer: root.peer(),
                addresses: root.addresses().to_vec(),
            }]),
            None => Message::AttachRefused(refusal(Reason::Full, "without a place itself")),
        };
        self.send(link, message);
    }

    /// Closes the links that were only for finding a parent.
    fn leave_other_links(&mut self, parent: Neighbour, now: Duration) {
        let others: Vec<Neighbour> = self
            .links
            .keys()
            .copied()
            .filter(|link| *link != parent)
            .collect();
        for link in others {
            self.send(link, Message::Leave);
            self.close(link, now);
        }
    }
}
