//! The member and its tree: links are told to it, and what it puts out is done.

use core::time::Duration;

use crate::{
    log::Beacon,
    neighbour::Neighbour,
    person::{Peer, Person},
    reason::Reason,
    tree::{self, Place, Why},
    wire::message::{Attach, Message, Slot, Wish},
};

use super::{Event, Left, Member, Output, Route, greeting::Link};

/// How long a room goes on whose chair is silent. Those on the stage may have more to say to each other; but nobody
/// can be let onto the stage any more, nor taken off it, and who is on it may have gone long since.
pub const CHAIR_LIMIT: Duration = Duration::from_secs(300);

impl Member {
    /// Does what the tree says, in order.
    pub(super) fn follow_tree(&mut self, now: Duration) {
        while !self.left
            && let Some(output) = self.tree.poll_output()
        {
            match output {
                tree::Output::Send { to, message } => self.outputs.push_back(Output::Send { to, message }),
                tree::Output::Dial { errand, candidates } => {
                    self.outputs.push_back(Output::Dial { errand, candidates });
                }
                tree::Output::Seek => self.outputs.push_back(Output::Seek),
                tree::Output::Release(link) => {
                    self.send(link, Message::Leave);
                    self.close(link, now);
                }
                tree::Output::Cut { link, text } => self.cut(link, Reason::Malformed, text, now),
                tree::Output::Parent(link) => self.route(Route::Parent(link)),
                tree::Output::Standby(link) => {
                    self.route(Route::Standby(link));
                    let peer = link.and_then(|link| self.tree.peer(link));
                    self.event(Event::Standby(peer));
                }
                tree::Output::Child {
                    link,
                    peer,
                    slot,
                    added,
                } => self.handle_child(link, peer, slot, added, now),
                tree::Output::Uplink { link, added } => self.route(Route::Uplink { link, added }),
                tree::Output::Placed(why) => self.handle_placed(why, now),
                tree::Output::Lost => self.event(Event::Parent {
                    peer: None,
                    depth: 0,
                    why: Why::Failover,
                }),
                tree::Output::RootMoved(peer) => self.event(Event::Root(peer)),
                tree::Output::GaveUp(_) if self.is_reopening() => self.open_alone(now),
                tree::Output::GaveUp(refusal) => {
                    let refused = refusal.filter(|_| !self.joined);
                    self.leave(refused.map_or(Left::Unreachable, Left::Refused));
                }
                tree::Output::MayLeave => self.leave(Left::Interrupted),
            }
        }
    }

    /// Whether this member is neither the root nor attached to a parent.
    pub(super) fn is_without_place(&self) -> bool {
        *self.tree.place() == Place::Seeking
    }

    /// Whether a link is that of the parent or of a child.
    pub(super) fn is_on_tree(&self, link: Neighbour) -> bool {
        self.place().parent() == Some(link) || self.tree.children().any(|child| child == link)
    }

    /// Tells the tree of a link whose other end has nothing more for our log.
    pub(super) fn offer_link(&mut self, link: Neighbour, now: Duration) {
        let head = self.head().sequence;
        let is_ready = |link: &Link| link.is_open() && link.claimed <= head;
        if self.log.is_some() && self.links.get(&link).is_some_and(is_ready) {
            self.tree.handle_ready(link, now);
        }
    }

    pub(super) fn handle_attach(&mut self, link: Neighbour, mut attach: Attach, now: Duration) {
        let speaks = self
            .links
            .get(&link)
            .and_then(Link::person)
            .is_some_and(|person| self.is_on_stage(person));
        if attach.wish == Wish::Stage && !speaks {
            attach.wish = Wish::Join;
        }
        self.tree.handle_attach(link, &attach, now);
    }

    /// A neighbour needs the link no more, or leaves.
    pub(super) fn handle_leave(&mut self, link: Neighbour, now: Duration) {
        self.close(link, now);
    }

    /// The chair has left: the next in the line takes it. Without one, and without anyone else on the stage, there is
    /// nothing to stay for.
    pub(super) fn handle_farewell(&mut self, beacon: &Beacon, now: Duration) {
        if !beacon.is_farewell() {
            return;
        }
        self.succession.note_vacant(now);
        let others = |person: &Person| *person != beacon.chair;
        let goes_on = self.log.as_ref().is_some_and(|log| {
            let state = log.state();
            state.line().iter().any(others) || state.stage().keys().any(others)
        });
        if !goes_on {
            self.event(Event::Vacant);
            self.leave(Left::Unreachable);
        }
    }

    /// When a room whose chair is silent is given up.
    pub(super) fn chairless_due(&self) -> Option<Duration> {
        let waits = self.joined && self.chairing.due().is_none();
        waits.then(|| self.chair_heard + CHAIR_LIMIT)
    }

    pub(super) fn leave_if_chairless(&mut self, now: Duration) {
        if self.chairless_due().is_some_and(|due| due <= now) {
            self.event(Event::Vacant);
            self.leave(Left::Unreachable);
        }
    }

    pub(super) fn announce_joined(&mut self, confirmed: bool, now: Duration) {
        self.joined = true;
        self.chair_heard = now;
        self.succession.note_joined(now);
        self.want_pass(now);
        self.begin_behind(now);
        let (role, parent, depth) = (self.role(), self.parent(), self.place().depth());
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
        if *self.place() == Place::Root {
            self.event(Event::Root(self.config.peer));
        }
        self.take_the_stage_if_granted(now);
    }

    fn handle_placed(&mut self, why: Why, now: Duration) {
        let link = self.place().parent();
        let peer = link.and_then(|link| self.tree.peer(link));
        if self.joined {
            let depth = self.place().depth();
            return self.event(Event::Parent { peer, depth, why });
        }
        let chair = self.log.as_ref().map(|log| log.state().chair());
        let parent = link.and_then(|link| self.links.get(&link));
        let is_the_chairs = chair == parent.and_then(Link::person);
        self.announce_joined(is_the_chairs && self.is_log_verified(), now);
    }

    fn handle_child(&mut self, link: Neighbour, peer: Peer, slot: Slot, added: bool, now: Duration) {
        match slot {
            Slot::Child => {
                self.route(Route::Child { link, added });
                self.event(Event::Child { peer, added });
            }
            Slot::Standby => self.route(Route::StandbyChild { link, added }),
        }
        if slot == Slot::Child && added {
            self.brief(link, now);
        }
    }
}
