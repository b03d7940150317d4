//! Passes on their way: who came in asks the chair for one, through those above, and shows it when it comes again.
//!
//! Invariant: what is asked for in the name of others is bounded, and goes up in few messages whatever the crowd below.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    extension::{self, Extension},
    limits,
    log::Role,
    neighbour::Neighbour,
    person::Person,
    signed::{Signed, Verified},
    stage::Pass,
    wire::message::{Hello, Message},
};

use super::{Member, Output};

/// How long after joining a pass is asked for: who leaves at once needs none.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// How long until it is asked for again, where none came.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Least time between two messages that ask for passes: 64 people a second from each link.
const ASK_INTERVAL: Duration = Duration::from_millis(500);

/// People below for whom a pass was asked and has not come. Those beyond ask again.
const MOST_WANTED: usize = 1_024;

/// What a member knows of passes.
#[derive(Debug, Default)]
pub(super) struct Passes {
    own: Option<Signed<Pass>>,
    /// When to ask for one's own.
    ask: Option<Duration>,
    /// On which link each person below asked, and whether that was passed up.
    wanted: BTreeMap<Person, (Neighbour, bool)>,
    /// When the next message may go up.
    up_after: Duration,
}

impl Member {
    /// Takes the pass of an earlier stay, as [`Output::StorePass`] gave it.
    pub fn resume_pass(&mut self, pass: &[u8]) {
        self.passes.own = Signed::from_bytes(pass).ok();
    }

    /// The pass to show at the door.
    pub(super) fn pass_extension(&self) -> Vec<Extension> {
        let own = self.passes.own.as_ref();
        let body = own
            .map(Signed::to_bytes)
            .filter(|body| body.len() <= limits::EXTENSION);
        body.map(|body| Extension {
            kind: extension::PASS,
            body,
        })
        .into_iter()
        .collect()
    }

    /// Whom the room lets in no more: why, when it is this person with this hello.
    pub(super) fn shut_out(&self, person: Person, pass: Option<&Bytes>) -> Option<crate::reason::Reason> {
        let state = self.log.as_ref()?.state();
        let pass = pass.and_then(|body| Signed::from_bytes(body).ok());
        let issued = pass.and_then(|pass| Pass::proves(&pass, person, self.room, state));
        state.check_entry(person, issued).err()
    }

    /// Asks for a pass some time after joining.
    pub(super) fn want_pass(&mut self, now: Duration) {
        if self.passes.own.is_none() && self.role() == Role::Listener {
            self.passes.ask = Some(now + ASK_AFTER);
        }
    }

    /// Members below ask for passes.
    pub(super) fn handle_pass_wanted(&mut self, link: Neighbour, people: Vec<Person>, now: Duration) {
        if self.is_chair() {
            return self.give_passes(link, people, now);
        }
        if self.passes.wanted.len() >= MOST_WANTED {
            // Who left before the answer waits no more; who still waits asks again.
            self.passes.wanted.retain(|_, (_, sent)| !*sent);
        }
        for person in people {
            if self.passes.wanted.len() < MOST_WANTED || self.passes.wanted.contains_key(&person) {
                self.passes.wanted.insert(person, (link, false));
            }
        }
        self.passes_if_due(now);
    }

    /// Passes came down: one's own is kept, the others go on to who asked.
    pub(super) fn handle_passes(&mut self, link: Neighbour, passes: Vec<Signed<Pass>>) {
        if self.way_to_chair() != Some(link) {
            return;
        }
        let mut below: BTreeMap<Neighbour, Vec<Signed<Pass>>> = BTreeMap::new();
        for pass in passes {
            let Ok(claim) = pass.peek() else { continue };
            if claim.subject == self.config.key.person() {
                self.take_pass(pass);
            } else if let Some((asked, _)) = self.passes.wanted.remove(&claim.subject) {
                below.entry(asked).or_default().push(pass);
            }
        }
        for (link, passes) in below {
            if self.links.contains_key(&link) {
                self.send(link, Message::Passes(passes));
            }
        }
    }

    /// When something here is due.
    pub(super) fn passes_due(&self) -> Option<Duration> {
        let waits = self.passes.wanted.values().any(|(_, sent)| !sent);
        let up = (waits && !self.is_chair()).then_some(self.passes.up_after);
        [up, self.passes.ask].into_iter().flatten().min()
    }

    pub(super) fn passes_if_due(&mut self, now: Duration) {
        let asks = self.passes.ask.is_some_and(|due| due <= now);
        if asks {
            self.passes.ask = Some(now + ASK_AGAIN);
        }
        if !asks && self.passes.up_after > now {
            return;
        }
        let me = asks.then_some(self.config.key.person());
        let mut people: Vec<Person> = me.into_iter().collect();
        for (person, (_, sent)) in &mut self.passes.wanted {
            if !*sent && people.len() < limits::PASSES {
                *sent = true;
                people.push(*person);
            }
        }
        if let Some(parent) = self.way_to_chair().filter(|_| !people.is_empty()) {
            self.passes.up_after = now + ASK_INTERVAL;
            self.send(parent, Message::PassWanted(people));
        }
    }

    /// As the chair, signs that these people are in the room, unless a lock keeps new ones out.
    fn give_passes(&mut self, link: Neighbour, people: Vec<Person>, now: Duration) {
        let Some(log) = &self.log else { return };
        let (state, clock) = (log.state(), self.clock.now_ms(now));
        let chair = state.chair();
        let may =
            |person: &Person| state.exclusion(*person, clock).is_none() && state.gives_pass(*person, clock);
        let passes: Vec<_> = people
            .into_iter()
            .filter(may)
            .filter_map(|person| {
                let pass = Pass::new(self.room, chair, person, clock);
                Some(Verified::sign(pass, &self.config.key).ok()?.signed().clone())
            })
            .collect();
        if !passes.is_empty() {
            self.send(link, Message::Passes(passes));
        }
    }

    fn take_pass(&mut self, pass: Signed<Pass>) {
        let me = self.config.key.person();
        let Some(state) = self.log.as_ref().map(crate::log::Log::state) else {
            return;
        };
        if Pass::proves(&pass, me, self.room, state).is_some() {
            self.outputs.push_back(Output::StorePass(pass.to_bytes()));
            self.passes.own = Some(pass);
            self.passes.ask = None;
        }
    }
}

/// The pass that a hello shows.
pub(super) fn shown(hello: &Hello) -> Option<Bytes> {
    let mut extensions = hello.extensions.iter();
    let pass = extensions.find(|extension| extension.kind == extension::PASS)?;
    Some(pass.body.clone())
}
