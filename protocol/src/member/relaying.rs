//! Requests on their way up to the chair, and verdicts on their way down to who asked.
//!
//! Invariant: what is passed up in the name of others never exhausts the patience that the parent has for this member.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::{
    log::{Action, ActionId},
    neighbour::Neighbour,
    reason::Reason,
    signed::Signed,
    wire::message::{Message, Outcome, Verdict},
};

use super::{Member, budget::Budget, refusal};

/// Requests whose verdict has not come; more is a crowd that the chair would refuse. The oldest is forgotten: its author
/// waits in vain and asks again.
const MOST_RELAYED: usize = 256;

/// Requests a second that are passed up, and as many saved up as [`BURST`]. With a request's cost of two that is half
/// of what the parent takes from one peer.
const RATE: u32 = 5;

/// Requests passed up at once.
const BURST: u32 = 25;

/// The requests of those below.
#[derive(Debug)]
pub(super) struct Relayed {
    /// On which link each came, and its turn.
    waiting: BTreeMap<ActionId, (u64, Neighbour)>,
    turn: u64,
    budget: Budget,
}

impl Relayed {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            waiting: BTreeMap::new(),
            turn: 0,
            budget: Budget::new(RATE, BURST, now),
        }
    }

    pub(super) fn note(&mut self, id: ActionId, link: Neighbour) {
        if self.waiting.len() >= MOST_RELAYED {
            let oldest = self
                .waiting
                .iter()
                .min_by_key(|(_, (turn, _))| *turn)
                .map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                self.waiting.remove(&oldest);
            }
        }
        self.turn += 1;
        self.waiting.insert(id, (self.turn, link));
    }
}

impl Member {
    /// Passes a request on towards the chair.
    pub(super) fn relay_request(&mut self, link: Neighbour, action: Signed<Action>, now: Duration) {
        let id = ActionId::of(&action);
        let refused = match self.way_to_chair() {
            Some(way) if way == link => Some((Reason::NotTheChair, "ask on the way to the chair")),
            None => Some((Reason::NotTheChair, "no way to the chair from here now")),
            Some(_) if !self.relayed.budget.take(1, now) => Some((Reason::TooMany, "slow down")),
            Some(way) => {
                self.relayed.note(id, link);
                self.send(way, Message::Request(action));
                None
            }
        };
        if let Some((reason, text)) = refused {
            let outcome = Outcome::Refused(refusal(reason, text));
            self.send(link, Message::Verdict(Verdict { action: id, outcome }));
        }
    }

    /// Passes a verdict on towards who asked; `false` when it was this member itself, or nobody.
    pub(super) fn relay_verdict(&mut self, verdict: &Verdict) -> bool {
        let Some((_, link)) = self.relayed.waiting.remove(&verdict.action) else {
            return false;
        };
        if let Outcome::Refused(_) = verdict.outcome {
            self.stage_life.note_refused(verdict.action);
        }
        if self.links.contains_key(&link) {
            self.send(link, Message::Verdict(verdict.clone()));
        }
        true
    }
}
