//! What members miss of the sound, on its way up to the root, and from there to whoever speaks.
//!
//! Invariant: whatever happens below, a member sends one message up each [`INTERVAL`] at most, and the root one to each
//! speaker; where nobody misses anything, nobody says anything.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{
    media::{Grade, Losses},
    neighbour::Neighbour,
    tree::Place,
    wire::message::Message,
};

use super::Member;

/// Least time between two messages up, or down to one speaker. Eight hops of it are a bad minute's beginning; less costs a
/// room whose members lose now and then a message a second each.
const INTERVAL: Duration = Duration::from_secs(2);

/// How often it is said again while somebody misses something: a new parent, a new root and a new speaker learn of it so.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a word counts that is not said again: three times that are lost with the link.
const FORGOTTEN: Duration = Duration::from_secs(16);

/// What a member knows of losses.
#[derive(Debug, Default)]
pub(super) struct LossLife {
    grade: Grade,
    /// What each child said last, and when.
    below: BTreeMap<Neighbour, (Losses, Duration)>,
    /// What this member and those below it miss.
    sum: Losses,
    /// What was told last, and when.
    told: Option<(Losses, Duration)>,
    /// What the root says that the room misses, and when.
    room: Option<(Losses, Duration)>,
}

impl LossLife {
    /// When the next word is to go.
    pub(super) fn due(&self) -> Option<Duration> {
        match self.told {
            None => (!self.sum.is_none()).then_some(Duration::ZERO),
            Some((told, at)) if told != self.sum => Some(at + INTERVAL),
            Some((told, at)) => (!told.is_none()).then_some(at + AGAIN),
        }
    }
}

impl Member {
    /// What the room misses of what is said, as far as this member knows: the root of all, and who is on the stage of what
    /// the root says.
    #[must_use]
    pub fn losses(&self, now: Duration) -> Losses {
        if *self.place() == Place::Root {
            return self.losing.sum;
        }
        let fresh = self.losing.room.filter(|(_, at)| now < *at + FORGOTTEN);
        fresh.map(|(losses, _)| losses).unwrap_or_default()
    }

    /// How well this member itself hears the room.
    pub(super) fn handle_hearing(&mut self, grade: Grade, now: Duration) {
        self.losing.grade = grade;
        self.losses_if_due(now);
    }

    /// A word of losses came.
    pub(super) fn handle_losses(&mut self, link: Neighbour, losses: Losses, now: Duration) {
        if let Some(members) = self.tree.members_below(link) {
            self.losing.below.insert(link, (losses.bounded(members), now));
            return self.losses_if_due(now);
        }
        let from = self.links.get(&link).map(super::greeting::Link::peer);
        let is_root = self
            .tree
            .roots()
            .is_some_and(|(root, fallback)| from == Some(root) || (from.is_some() && from == fallback));
        if is_root {
            self.losing.room = Some((losses, now));
        }
    }

    pub(super) fn losses_if_due(&mut self, now: Duration) {
        self.add_up_losses(now);
        if self.losing.due().is_none_or(|due| due > now) {
            return;
        }
        let sum = self.losing.sum;
        self.losing.told = Some((sum, now));
        let to: Vec<Neighbour> = match self.place().parent() {
            Some(parent) => alloc::vec![parent],
            None if *self.place() == Place::Root => self.speakers_links(),
            None => Vec::new(),
        };
        for link in to {
            self.send(link, Message::Losses(sum));
        }
    }

    /// Forgets whose word is old or whose link is gone, and adds up the others.
    fn add_up_losses(&mut self, now: Duration) {
        let children: Vec<Neighbour> = self.tree.children().collect();
        self.losing
            .below
            .retain(|link, (_, at)| now < *at + FORGOTTEN && children.contains(link));
        let own = Losses::of(self.losing.grade, self.is_on_stage(self.config.key.person()));
        let below = self.losing.below.values();
        self.losing.sum = below.fold(own, |sum, (losses, _)| sum.plus(*losses));
    }

    /// A link to each person on the stage that has one here.
    fn speakers_links(&self) -> Vec<Neighbour> {
        let open = self.links.iter().filter(|(_, link)| link.is_open());
        let of_stage = open.filter(|(_, link)| link.person().is_some_and(|person| self.is_on_stage(person)));
        let newest: BTreeMap<_, Neighbour> =
            of_stage.map(|(number, link)| (link.person(), *number)).collect();
        newest.into_values().collect()
    }
}
