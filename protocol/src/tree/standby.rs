//! The warm standby: a member outside this one's subtree, and not below its parent, that sends digests, answers pulls
//! and gives a place at once when the parent is gone.

use alloc::{collections::BTreeSet, vec, vec::Vec};
use core::time::Duration;

use crate::{
    neighbour::Neighbour,
    person::Peer,
    wire::message::{Candidate, Message, Position, Slot, Wish},
};

use super::{ATTACH_TIMEOUT, Errand, Output, Place, Tree, affinity, place::check_path};

/// Pause before those are asked again who could not be the standby. Without one a member is not in need: sooner only
/// asks the same in vain.
const STANDBY_PAUSE: Duration = Duration::from_secs(3);

/// The search for a standby, and the one there is.
#[derive(Debug, Default)]
pub(super) struct Standby {
    state: State,
    /// Who could not be the standby in this round.
    tried: BTreeSet<Peer>,
    /// When to look again.
    again: Option<Duration>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    Dialling {
        peer: Peer,
        deadline: Duration,
    },
    Asked {
        link: Neighbour,
        deadline: Duration,
    },
    Held {
        link: Neighbour,
        path: Vec<Peer>,
    },
}

impl Standby {
    /// The standby, while there is one.
    pub(super) fn held(&self) -> Option<Neighbour> {
        match self.state {
            State::Held { link, .. } => Some(link),
            _ => None,
        }
    }

    /// Whether this link is the standby's, or that of whom was asked.
    pub(super) fn is_at(&self, link: Neighbour) -> bool {
        self.held() == Some(link) || self.is_asked_at(link)
    }

    pub(super) fn is_asked_at(&self, asked: Neighbour) -> bool {
        matches!(self.state, State::Asked { link, .. } if link == asked)
    }

    /// Whether a dial for a standby led to this peer.
    pub(super) fn wants(&self, wanted: Peer) -> bool {
        matches!(self.state, State::Dialling { peer, .. } if peer == wanted)
    }

    pub(super) fn forget(&mut self) {
        self.state = State::None;
    }

    /// Looks again at once, at everybody.
    pub(super) fn start_over(&mut self, now: Duration) {
        self.tried.clear();
        self.again = Some(now);
    }
}

impl Tree {
    /// The standby said nothing for too long.
    pub fn handle_standby_silent(&mut self, link: Neighbour, now: Duration) {
        if self.standby.held() == Some(link) {
            if let Some(peer) = self.peer(link) {
                self.standby.tried.insert(peer);
            }
            self.drop_standby(now);
        }
    }

    pub(super) fn standby_due(&self) -> Option<Duration> {
        match self.standby.state {
            State::Dialling { deadline, .. } | State::Asked { deadline, .. } => Some(deadline),
            State::None => self.standby.again.filter(|_| self.may_have_standby()),
            State::Held { .. } => None,
        }
    }

    pub(super) fn stand_by_if_due(&mut self, now: Duration) {
        if self.standby_due().is_none_or(|due| due > now) {
            return;
        }
        match self.standby.state {
            State::Dialling { peer, .. } => self.pass_over(peer, now),
            State::Asked { link, .. } => self.handle_standby_refused(link, now),
            State::None | State::Held { .. } => self.look_for_standby(now),
        }
    }

    /// Looks at the standby after something changed around it: the parent, a path, the elders.
    pub(super) fn check_standby(&mut self, now: Duration) {
        match &self.standby.state {
            State::Held { path, .. } if !self.suits(path) => self.drop_standby(now),
            State::None => {
                self.standby.start_over(now);
                self.look_for_standby(now);
            }
            _ => {}
        }
    }

    pub(super) fn ask_standby(&mut self, link: Neighbour, now: Duration) {
        self.standby.state = State::Asked {
            link,
            deadline: now + ATTACH_TIMEOUT,
        };
        self.send(link, Message::Attach(self.attach(Slot::Standby, Wish::Join, 0)));
    }

    pub(super) fn handle_standby_given(&mut self, link: Neighbour, position: Position, now: Duration) {
        if !self.standby.is_asked_at(link) {
            return self.cut(link, "an unexpected place");
        }
        let Some(peer) = self.peer(link) else { return };
        if check_path(&position.path, peer, self.me.peer).is_err() || !self.suits(&position.path) {
            return self.handle_standby_refused(link, now);
        }
        self.standby.state = State::Held {
            link,
            path: position.path,
        };
        self.standby.tried.clear();
        self.outputs.push_back(Output::Standby(Some(link)));
    }

    pub(super) fn handle_standby_refused(&mut self, link: Neighbour, now: Duration) {
        let peer = self.peer(link);
        self.standby.state = State::None;
        self.release(link);
        match peer {
            Some(peer) => self.pass_over(peer, now),
            None => self.look_for_standby(now),
        }
    }

    pub(super) fn handle_standby_unreached(&mut self, now: Duration) {
        if let State::Dialling { peer, .. } = self.standby.state {
            self.pass_over(peer, now);
        }
    }

    /// The standby's link is gone.
    pub(super) fn lose_standby(&mut self, now: Duration) {
        let was_held = self.standby.held().is_some();
        self.standby.state = State::None;
        if was_held {
            self.outputs.push_back(Output::Standby(None));
        }
        self.standby.again = Some(now);
    }

    /// The standby's place in the tree has changed.
    pub(super) fn handle_standby_moved(&mut self, new_path: Vec<Peer>, now: Duration) {
        if let State::Held { path, .. } = &mut self.standby.state {
            *path = new_path;
            self.check_standby(now);
        }
    }

    fn drop_standby(&mut self, now: Duration) {
        let link = self.standby.held();
        self.lose_standby(now);
        if let Some(link) = link {
            self.release(link);
        }
        self.look_for_standby(now);
    }

    /// Not this one: looks at the next.
    fn pass_over(&mut self, peer: Peer, now: Duration) {
        self.standby.state = State::None;
        self.standby.tried.insert(peer);
        self.look_for_standby(now);
    }

    /// Each member prefers another of the elders, so that none of them stands by for all.
    fn look_for_standby(&mut self, now: Duration) {
        if !self.may_have_standby() || !matches!(self.standby.state, State::None) {
            return;
        }
        let parent = self.place.parent().and_then(|link| self.peer(link));
        let fits = |elder: &&Candidate| {
            elder.peer != self.me.peer
                && Some(elder.peer) != parent
                && !self.standby.tried.contains(&elder.peer)
        };
        let best = self
            .around
            .elders
            .iter()
            .filter(fits)
            .max_by_key(|elder| affinity(self.me.peer, elder.peer))
            .cloned();
        let Some(elder) = best else {
            self.standby.tried.clear();
            self.standby.again = Some(now + STANDBY_PAUSE);
            return;
        };
        self.standby.again = None;
        let link = self.link_to(elder.peer);
        if let Some(link) = link.filter(|link| self.links.get(link).is_some_and(|linked| linked.is_ready)) {
            return self.ask_standby(link, now);
        }
        self.standby.state = State::Dialling {
            peer: elder.peer,
            deadline: now + 2 * ATTACH_TIMEOUT,
        };
        if link.is_none() {
            self.outputs.push_back(Output::Dial {
                errand: Errand::Standby,
                candidates: vec![elder],
            });
        }
    }

    fn may_have_standby(&self) -> bool {
        matches!(self.place, Place::Attached { .. }) && !self.moving.is_leaving()
    }

    /// Whether whoever has this path can stand by: it is not below this member, nor below its parent, unless the
    /// parent is the root, below which everybody is.
    fn suits(&self, path: &[Peer]) -> bool {
        let parent = self.place.path().last().filter(|_| self.place.depth() > 1);
        !path.contains(&self.me.peer) && parent.is_none_or(|parent| !path.contains(parent))
    }
}
