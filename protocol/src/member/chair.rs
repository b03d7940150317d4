//! The chair: putting actions in order, and the beacon that says once a second how far the log goes.

use alloc::string::ToString;
use core::time::Duration;

use crate::{
    log::{Action, ActionId, Applied, Beacon},
    neighbour::Neighbour,
    person::Peer,
    reason::Reason,
    signed::{Signed, Verified},
    tree::Place,
    wire::message::{Message, Outcome, Refusal, Verdict},
};

use super::{Event, Member, refusal};

/// The beacon's interval. Members take the chair for silent after three; shorter costs every link more, longer makes
/// every outage longer.
pub(super) const BEACON_INTERVAL: Duration = Duration::from_secs(1);

/// What only the chair keeps.
#[derive(Debug, Default)]
pub(super) struct Chairing {
    /// When the next beacon is due; `None` for those who are not the chair.
    due: Option<Duration>,
    /// The number of the last beacon in this term.
    number: u32,
    /// Who takes the root's part when this machine is gone.
    pub(super) fallback: Option<Peer>,
}

impl Chairing {
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }
}

impl Member {
    /// Whether this member puts the room's actions in order.
    pub(super) fn is_chair(&self) -> bool {
        self.chairing.due.is_some()
    }

    /// Has the chair: from now on this member appends entries and sends beacons.
    pub(super) fn start_chairing(&mut self, now: Duration) {
        self.chairing.due = Some(now);
        self.chairing.number = 0;
        self.stage_life.begin_chairing();
        self.beacon_if_due(now);
    }

    /// Has it no more; whether it had.
    pub(super) fn stop_chairing(&mut self) -> bool {
        self.chairing.due.take().is_some()
    }

    pub(super) fn handle_request(&mut self, link: Neighbour, action: Signed<Action>, now: Duration) {
        if self.chairing.due.is_none() {
            return self.relay_request(link, action, now);
        }
        let id = ActionId::of(&action);
        let outcome = match self.append(action, now) {
            Ok(sequence) => Outcome::Appended { sequence },
            Err(refusal) => Outcome::Refused(refusal),
        };
        // An action that ends the room has closed every link already.
        if !self.left {
            self.send(link, Message::Verdict(Verdict { action: id, outcome }));
        }
    }

    /// Appends an action to the log, as its chair.
    pub(super) fn append(&mut self, action: Signed<Action>, now: Duration) -> Result<u32, Refusal> {
        let clock = self.clock.now_ms(now);
        let Some(log) = self.log.as_mut().filter(|_| self.chairing.due.is_some()) else {
            return Err(refusal(Reason::NotTheChair, "ask the chair"));
        };
        let applied: Applied = log
            .append(action, &self.config.key, clock)
            .map_err(|error| refusal(error.reason(), &error.to_string()))?;
        let sequence = applied.entry.sequence;
        self.handle_own(applied, now);
        Ok(sequence)
    }

    /// Follows an entry that this member has appended, and tells the room of it.
    pub(super) fn handle_own(&mut self, applied: Applied, now: Duration) {
        self.handle_applied(applied, now);
        if !self.left {
            self.follow_exclusions(false, now);
        }
        if !self.left && self.is_chair() {
            self.chairing.due = Some(now);
            self.beacon_if_due(now);
        }
    }

    pub(super) fn beacon_if_due(&mut self, now: Duration) {
        if self.chairing.due.is_none_or(|due| due > now) {
            return;
        }
        self.chairing.due = Some(now + BEACON_INTERVAL);
        self.note_company(now);
        self.choose_fallback(now);
        let root = self.place().root().unwrap_or(self.config.peer);
        self.send_beacon(root, now);
        self.count_listeners();
    }

    /// Tells the room that its chair leaves and names nobody in its place.
    pub(super) fn say_farewell(&mut self, now: Duration) {
        if self.stop_chairing() {
            self.send_beacon(Beacon::NOBODY, now);
        }
    }

    /// Who takes the root's part when it is gone. A chair that is not the root leaves it at whom the chair before has
    /// named while that one is at the root, and else names itself, if it is at the root.
    fn choose_fallback(&mut self, now: Duration) {
        if let Some(root) = self.place().root() {
            let before = self.tree.roots().filter(|(was, _)| *was == root);
            let named = before.and_then(|(_, fallback)| fallback);
            let me = self.config.peer;
            let kept = named.filter(|peer| *peer != me && self.tree.told_fallback() == Some(*peer));
            let fits = self.place().depth() == 1 && self.tree.capacity() > 0;
            self.chairing.fallback = kept.or(fits.then_some(me));
            return self.tree.set_roots(root, self.chairing.fallback, now);
        }
        self.choose_heir(now);
    }

    /// The heir stays as long as it is there: a new one makes every speaker feed someone else.
    fn choose_heir(&mut self, now: Duration) {
        let is_there = |heir: &Peer| {
            let mut children = self.tree.children();
            children.any(|child| self.tree.peer(child) == Some(*heir))
        };
        let heir = self
            .chairing
            .fallback
            .filter(is_there)
            .or_else(|| self.tree.heir());
        self.chairing.fallback = heir;
        self.tree.set_fallback(heir, now);
    }

    fn send_beacon(&mut self, root: Peer, now: Duration) {
        let Some(log) = &self.log else { return };
        self.chairing.number = self.chairing.number.saturating_add(1);
        let order = (log.term(), self.chairing.number);
        let beacon = Beacon {
            fallback: self.chairing.fallback,
            ..Beacon::new(
                self.room,
                self.config.key.person(),
                order,
                self.clock.now_ms(now),
                log.head(),
                root,
            )
        };
        let beacon = Verified::sign(beacon, &self.config.key)
            .expect("a beacon has no field that can break a limit, and its signer is this key");
        let signed = beacon.signed().clone();
        let heard = self.beacon.handle(signed, self.room, self.config.key.person());
        debug_assert!(heard.is_ok(), "our own beacon");
        self.pass_beacon_on(None);
    }

    /// As the root, counts the members of the tree who are not on the stage, as their reports say, and tells when it
    /// changed.
    pub(super) fn count_listeners(&mut self) {
        let Some(log) = self.log.as_ref().filter(|_| *self.tree.place() == Place::Root) else {
            return;
        };
        let on_stage = u32::try_from(log.state().stage().len()).unwrap_or(u32::MAX);
        let listeners = self.tree.members().saturating_sub(on_stage);
        if listeners != self.listeners {
            self.listeners = listeners;
            self.event(Event::Listeners(listeners));
            self.send_to_children(&Message::Census { listeners });
        }
    }
}
