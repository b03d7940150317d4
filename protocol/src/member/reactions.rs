//! Reactions on their way: each member adds up what comes from below, and sends the sum on; the chair tells everyone.
//!
//! Invariant: whatever happens below, a member sends one message up, and the chair one down, each [`INTERVAL`].

use core::time::Duration;

use crate::{
    neighbour::Neighbour,
    reason::Reason,
    stage::Reactions,
    wire::message::{Message, Refusal},
};

use super::{CommandId, Event, Member, Output, budget::Budget, refusal};

/// Least time between two sums. Eye and ear take them as one applause; eight hops of it are a few seconds.
const INTERVAL: Duration = Duration::from_millis(400);

/// Reactions of one person a second, and at once.
const RATE: u32 = 2;
const BURST: u32 = 4;

/// Sums a second that are taken from one link, and at once: somewhat more than an honest one sends.
const LINK_RATE: u32 = 4;
const LINK_BURST: u32 = 8;

/// What a member knows of reactions.
#[derive(Debug)]
pub(super) struct ReactionLife {
    /// What has not been passed on.
    sum: Reactions,
    /// When the last sum went.
    told: Option<Duration>,
    /// What this person may still do.
    own: Budget,
}

/// What one link may say.
#[derive(Debug)]
pub(super) struct LinkReactions {
    sums: Budget,
    /// The second that is being counted, and how many came in it.
    second: (Duration, u32),
}

impl ReactionLife {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            sum: Reactions::default(),
            told: None,
            own: Budget::new(RATE, BURST, now),
        }
    }

    /// When the next sum is to go.
    pub(super) fn due(&self) -> Option<Duration> {
        let after = self.told.map_or(Duration::ZERO, |told| told + INTERVAL);
        (!self.sum.is_empty()).then_some(after)
    }
}

impl LinkReactions {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            sums: Budget::new(LINK_RATE, LINK_BURST, now),
            second: (now, 0),
        }
    }

    /// How many of these count, of a link with so many people behind it.
    fn admit(&mut self, sum: u32, people: u32, now: Duration) -> u32 {
        if !self.sums.take(1, now) {
            return 0;
        }
        if now >= self.second.0 + Duration::from_secs(1) {
            self.second = (now, 0);
        }
        let most = people.max(1).saturating_mul(BURST);
        let admitted = sum.min(most.saturating_sub(self.second.1));
        self.second.1 += admitted;
        admitted
    }
}

impl Member {
    /// The person reacts.
    pub(super) fn request_reaction(
        &mut self,
        command: CommandId,
        reaction: Reactions,
        now: Duration,
    ) -> Result<(), Refusal> {
        if self.way_to_chair().is_none() && !self.is_chair() {
            return Err(refusal(
                Reason::NotInTheRoom,
                "no way to the chair now: try again",
            ));
        }
        let sum = reaction.sum();
        if sum > BURST || !self.reactions.own.take(sum, now) {
            return Err(refusal(Reason::TooMany, "slow down"));
        }
        self.reactions.sum.add(&reaction, sum);
        self.outputs.push_back(Output::Done {
            command,
            result: Ok(0),
        });
        self.reactions_if_due(now);
        Ok(())
    }

    /// A sum came: from below to be counted, or from the chair for everyone.
    pub(super) fn handle_reactions(&mut self, link: Neighbour, sum: &Reactions, now: Duration) {
        let is_for_all = !self.is_chair() && self.way_to_chair() == Some(link);
        let is_near = self.place().parent() == Some(link) || self.tree.children().any(|child| child == link);
        let people = self.tree.members_below(link).unwrap_or(1);
        let Some(from) = self.links.get_mut(&link) else {
            return;
        };
        if is_for_all {
            if from.reactions.sums.take(1, now) && !sum.is_empty() {
                self.event(Event::Reactions(*sum));
                self.pass_on(&Message::Reactions(*sum), Some(link));
            }
        } else if is_near {
            let most = from.reactions.admit(sum.sum(), people, now);
            self.reactions.sum.add(sum, most);
            self.reactions_if_due(now);
        }
    }

    pub(super) fn reactions_if_due(&mut self, now: Duration) {
        if self.reactions.due().is_none_or(|due| due > now) {
            return;
        }
        self.reactions.told = Some(now);
        let sum = core::mem::take(&mut self.reactions.sum);
        if self.is_chair() {
            self.event(Event::Reactions(sum));
            self.pass_on(&Message::Reactions(sum), None);
        } else if let Some(way) = self.way_to_chair() {
            self.send(way, Message::Reactions(sum));
        }
    }
}
