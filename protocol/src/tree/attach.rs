//! Asking for a place, and giving one.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use crate::{
    limits,
    neighbour::Neighbour,
    person::Peer,
    reason::Reason,
    text::Text,
    wire::message::{Attach, Attached, Candidate, Message, Redirect, Refusal, Slot, Wish},
};

use super::{
    Errand, Output, Place, Tree, Why,
    place::{PathError, check_path},
};

/// How long a member waits for the answer to a wish for a place. A member that answers at all answers within a
/// round trip; longer waits only delay the next try.
pub const ATTACH_TIMEOUT: Duration = Duration::from_secs(3);

/// The same where the parent is gone and sound is missing: a standby that does not answer in a second is gone too.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(1);

/// Most redirects that a search for a place follows before whoever is asked gives an emergency place or refuses. A
/// tree of eight that is full down to the second hop holds 72 members, whose offers the root knows; more is a crowd
/// or a chain of liars.
pub const MAX_REDIRECTS: u8 = 2;

/// A wish for a child's place that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// Who was asked.
    pub(super) link: Neighbour,
    /// When to give up waiting.
    pub(super) deadline: Duration,
    /// What for.
    pub(super) why: Why,
}

impl Tree {
    /// Puts a link to use, now that places may be asked for on it.
    pub(super) fn use_link(&mut self, link: Neighbour, now: Duration) {
        let Some(linked) = self.links.get(&link).filter(|linked| linked.is_ready) else {
            return;
        };
        let (peer, ours) = (linked.candidate.peer, linked.ours);
        if self.asked.is_none() {
            if self.place == Place::Seeking && ours && self.children.slot(link).is_none() {
                return self.ask(link, self.search.why(), now);
            }
            if let Some(why) = self.moving.wants(peer) {
                return self.ask(link, why, now);
            }
        }
        if self.standby.wants(peer) {
            return self.ask_standby(link, now);
        }
        if ours {
            self.release(link);
        }
    }

    /// Asks for a child's place.
    pub(super) fn ask(&mut self, link: Neighbour, why: Why, now: Duration) {
        let (wish, redirects) = match why {
            Why::Attached | Why::Redirected if self.place == Place::Seeking => {
                (Wish::Join, self.search.redirects())
            }
            Why::Redirected | Why::Left => (Wish::Told, 0),
            Why::Better if self.uplinks.is_on_stage() => (Wish::Stage, 0),
            Why::Better => (Wish::Better, 0),
            _ => (Wish::Orphan, self.moving.redirects()),
        };
        let patience = if wish == Wish::Orphan {
            ORPHAN_TIMEOUT
        } else {
            ATTACH_TIMEOUT
        };
        self.asked = Some(Asked {
            link,
            deadline: now + patience,
            why,
        });
        if let Some(peer) = self.peer(link) {
            self.search.note_asked(peer);
        }
        self.send(link, Message::Attach(self.attach(Slot::Child, wish, redirects)));
    }

    pub(super) fn attach(&self, slot: Slot, wish: Wish, redirects: u8) -> Attach {
        Attach {
            slot,
            wish,
            redirects,
            capacity: u16::try_from(self.children.capacity()).unwrap_or(u16::MAX),
            extensions: Vec::new(),
        }
    }

    /// A neighbour wishes for a place here.
    pub fn handle_attach(&mut self, link: Neighbour, attach: &Attach, now: Duration) {
        let Some(peer) = self.peer(link) else { return };
        if let Err(refusal) = self.may_give_places(peer) {
            return self.send(link, Message::AttachRefused(refusal));
        }
        if attach.slot == Slot::Child && self.asks_first(peer) {
            let text = "asked for a place there itself";
            return self.send(link, Message::AttachRefused(refusal(Reason::Full, text)));
        }
        let urgent = match attach.wish {
            Wish::Orphan | Wish::Told | Wish::Stage => true,
            // Whoever brings places is let in where all are taken: a leaf goes there in its stead.
            Wish::Join => attach.redirects >= MAX_REDIRECTS || attach.capacity > 1,
            Wish::Better => false,
        };
        if self.children.has_room(link, attach.slot, false) {
            let below = self.below_for_leaf(link, attach, now);
            if below.is_empty() {
                return self.give_place(link, attach, now);
            }
            return self.name_others(link, attach, below);
        }
        if let Some(leaf) = self.leaf_to_displace(link, attach, now) {
            self.give_place(link, attach, now);
            return self.displace(leaf, (link, attach.wish), now);
        }
        let candidates = match attach.slot {
            Slot::Child if attach.redirects < MAX_REDIRECTS => self.others_to_ask(link, peer, now),
            _ => Vec::new(),
        };
        // A newcomer has the time to ask deeper; whoever is without sound has not.
        if urgent
            && (attach.wish != Wish::Join || candidates.is_empty())
            && self.children.has_room(link, attach.slot, true)
        {
            self.give_place(link, attach, now);
            return self.make_room(now);
        }
        self.name_others(link, attach, candidates);
    }

    /// Gives no place: names others to ask, if there are any and it is a place anywhere that is wished for.
    fn name_others(&mut self, link: Neighbour, attach: &Attach, candidates: Vec<Candidate>) {
        let answer = if candidates.is_empty() || attach.wish == Wish::Better {
            Message::AttachRefused(refusal(Reason::Full, "no place is left here"))
        } else {
            Message::Redirect(Redirect {
                candidates,
                leaving: false,
            })
        };
        self.send(link, answer);
    }

    /// A neighbour gives the place that was asked for.
    pub fn handle_attached(&mut self, link: Neighbour, attached: Attached, now: Duration) {
        let Some(peer) = self.peer(link) else { return };
        if attached.slot == Slot::Standby {
            return self.handle_standby_given(link, attached.position, now);
        }
        let Some(asked) = self.asked.take_if(|asked| asked.link == link) else {
            return self.cut(link, "an unexpected place");
        };
        match check_path(&attached.position.path, peer, self.me.peer) {
            Err(PathError::NotItsOwn) => {
                self.cut(link, "a path that does not end at its sender");
                return self.seek_on(now);
            }
            // Two that move at once can meet so: nobody is at fault.
            Err(PathError::Loop) => {
                self.search.note_no_place(link);
                self.release(link);
                return self.seek_on(now);
            }
            Ok(()) => {}
        }
        self.take_place(link, attached, asked.why, now);
    }

    /// A neighbour names others.
    pub fn handle_redirect(&mut self, link: Neighbour, redirect: Redirect, now: Duration) {
        let Redirect {
            mut candidates,
            leaving,
        } = redirect;
        candidates.retain(|candidate| candidate.peer != self.me.peer);
        if let Some(asked) = self.asked.take_if(|asked| asked.link == link) {
            if self.place != Place::Seeking {
                return self.move_on(asked, candidates, now);
            }
            if candidates.is_empty() || !self.search.note_redirect(&candidates) {
                self.search
                    .note_refused_on(link, refusal(Reason::Full, "redirected without end"));
                self.release(link);
                return self.seek_on(now);
            }
            self.outputs.push_back(Output::Dial {
                errand: Errand::Place,
                candidates,
            });
            return self.release(link);
        }
        if self.place.parent() == Some(link) {
            let why = if leaving { Why::Left } else { Why::Redirected };
            self.moving.start_over();
            return self.start_moving(candidates, why, now);
        }
        // A parent that was left meanwhile may still say so, and it may be the standby by now.
        if self.moving.former() != Some(link) && !self.standby.is_at(link) {
            self.cut(link, "an unexpected redirect");
        }
    }

    /// A neighbour has no place.
    pub fn handle_attach_refused(&mut self, link: Neighbour, refusal: Refusal, now: Duration) {
        if self.standby.is_asked_at(link) {
            return self.handle_standby_refused(link, now);
        }
        let Some(asked) = self.asked.take_if(|asked| asked.link == link) else {
            return;
        };
        if self.place == Place::Seeking {
            self.search.note_refused_on(link, refusal);
            self.release(link);
            self.seek_on(now);
        } else {
            self.move_on(asked, Vec::new(), now);
        }
    }

    /// The answer to a wish did not come, or its link is gone.
    pub(super) fn handle_answer_missing(&mut self, now: Duration) {
        let Some(asked) = self.asked.take() else { return };
        if self.place == Place::Seeking {
            // It may be the standby: who does not answer now is none.
            if self.standby.is_at(asked.link) {
                self.lose_standby(now);
            }
            self.search.note_no_place(asked.link);
            self.release(asked.link);
            self.seek_on(now);
        } else {
            self.give_up_move(asked, now);
        }
    }

    fn take_place(&mut self, link: Neighbour, attached: Attached, why: Why, now: Duration) {
        let old = self.place.parent().filter(|old| *old != link);
        let former = old.map(|old| (old, self.place.path().to_vec()));
        self.place = Place::Attached {
            link,
            path: attached.position.path.clone(),
        };
        self.placed_at = now;
        self.around = attached.position;
        self.search.end();
        if self.standby.is_at(link) {
            self.standby.forget();
            self.outputs.push_back(Output::Standby(None));
        }
        self.outputs.push_back(Output::Parent(Some(link)));
        self.outputs.push_back(Output::Placed(why));
        self.note_root();
        self.settle(former, now);
        self.note_move(now);
        self.note_room_above(now);
        self.check_standby(now);
        self.feed(now);
        self.release_idle();
    }

    /// Whether this member can be a parent or a standby at all now.
    fn may_give_places(&self, to: Peer) -> Result<(), Refusal> {
        if self.place == Place::Seeking || self.moving.is_leaving() {
            return Err(refusal(Reason::Full, "without a place itself"));
        }
        let path = self.place.path();
        if path.contains(&to) {
            return Err(refusal(Reason::Full, "that place is below yourself"));
        }
        // The path that the child passes on has this member and itself behind it.
        if path.len() + 2 > limits::DEPTH {
            return Err(refusal(Reason::Full, "too far from the root"));
        }
        Ok(())
    }

    /// Whether this member waits for a place at a peer that asks for one here at the same time: one of the two gives way.
    fn asks_first(&self, peer: Peer) -> bool {
        let asked = self.asked.as_ref().and_then(|asked| self.peer(asked.link));
        asked == Some(peer) && self.me.peer < peer
    }

    fn give_place(&mut self, link: Neighbour, attach: &Attach, now: Duration) {
        let had = self.children.slot(link);
        let is_new = self.children.admit(link, attach.slot, attach.capacity, now);
        let position = self.position_for(link, attach.slot);
        self.telling.note_told(link, position.clone());
        self.send(
            link,
            Message::Attached(Attached {
                slot: attach.slot,
                position,
            }),
        );
        if is_new {
            let Some(peer) = self.peer(link) else { return };
            let news = |slot, added| Output::Child {
                link,
                peer,
                slot,
                added,
            };
            self.outputs.extend(had.map(|slot| news(slot, false)));
            self.outputs.push_back(news(attach.slot, true));
            self.note_change(now);
        }
    }

    /// Whom a leaf may ask instead though there is a place: the last half of the places is kept for those who bring
    /// places themselves, as long as there are others below. A tree whose leaves hang low is less deep.
    fn below_for_leaf(&mut self, link: Neighbour, attach: &Attach, now: Duration) -> Vec<Candidate> {
        let is_leaf = attach.slot == Slot::Child && attach.capacity == 0;
        let may_go = match attach.wish {
            Wish::Join => attach.redirects < MAX_REDIRECTS,
            Wish::Better => true,
            Wish::Orphan | Wish::Told | Wish::Stage => false,
        };
        let is_ample = 2 * self.children.free() > self.children.capacity();
        match self.peer(link) {
            Some(peer) if is_leaf && may_go && !is_ample && self.children.slot(link).is_none() => {
                if self.children.may_have_room_below() {
                    self.others_to_ask(link, peer, now)
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        }
    }

    /// Whom a newcomer may ask instead: those below who offered a place, and children that relay. What was offered may
    /// be taken by now; a child knows what is left below it better than its last report says.
    fn others_to_ask(&mut self, link: Neighbour, peer: Peer, now: Duration) -> Vec<Candidate> {
        let mut named = self.children.candidates((link, peer), now);
        if named.len() < limits::CANDIDATES {
            let candidate = |child| Some(self.links.get(&child)?.candidate.clone());
            let relays = self.children.relays((link, peer), candidate, now);
            named.extend(relays);
        }
        let mut seen: Vec<Peer> = vec![];
        named.retain(|candidate| {
            !seen.contains(&candidate.peer) && {
                seen.push(candidate.peer);
                true
            }
        });
        named.truncate(limits::CANDIDATES);
        named
    }

    /// Everyone that the parent told of, the root last.
    pub(super) fn acquaintances(&self) -> Vec<Candidate> {
        let mut known: Vec<Candidate> = vec![];
        let told = self.around.elders.iter().chain(&self.around.root);
        for candidate in told.filter(|candidate| candidate.peer != self.me.peer) {
            if !known.iter().any(|other| other.peer == candidate.peer) {
                known.push(candidate.clone());
            }
        }
        known
    }

    /// A child is gone, or has another place now.
    pub(super) fn lose_child(&mut self, (link, peer): (Neighbour, Peer), slot: Slot, now: Duration) {
        self.telling.forget(link);
        self.outputs.push_back(Output::Child {
            link,
            peer,
            slot,
            added: false,
        });
        if slot == Slot::Child {
            self.note_change(now);
            self.leave_when_empty();
        }
    }

    /// Whether a dial that is under way is for this peer.
    fn is_wanted(&self, peer: Peer) -> bool {
        self.standby.wants(peer) || self.moving.wants(peer).is_some()
    }

    /// Closes the links that were only for finding a place.
    fn release_idle(&mut self) {
        let idle: Vec<Neighbour> = self
            .links
            .iter()
            .filter(|(_, linked)| linked.ours && !self.is_wanted(linked.candidate.peer))
            .map(|(link, _)| *link)
            .filter(|link| !self.needs(*link))
            .collect();
        for link in idle {
            self.release(link);
        }
    }
}

/// A refusal of a place.
fn refusal(reason: Reason, text: &str) -> Refusal {
    Refusal {
        reason,
        text: Text::clean(text),
    }
}
