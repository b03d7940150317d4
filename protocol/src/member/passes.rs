//! Passes on their way: who is in the room asks the chair for one, through those above, and shows it when it comes again.
//!
//! Invariant: whatever a crowd below asks for goes up in few messages and costs the chair a bounded number of signatures
//! a second, shared out among the neighbours that ask ([`super::wanted`]).

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    extension::{self, Extension},
    limits,
    log::Log,
    neighbour::Neighbour,
    person::Person,
    signed::{Signed, Verified},
    stage::Pass,
    wire::message::{Hello, Message},
};

use super::{Member, Output, wanted::Wanted};

/// How long after joining a pass is asked for: who leaves at once needs none.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// How long until it is asked for again, where none came.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Least time between two messages that ask for passes: 64 people a second from each link.
const ASK_INTERVAL: Duration = Duration::from_millis(500);

/// Passes that the chair signs in this time: what four such links ask for. A crowd of thousands has its passes within a
/// minute, and whoever asks for keys that it made up costs the chair no more than that.
const SIGNED_AT_ONCE: usize = 4 * limits::PASSES;

/// What a member knows of passes.
#[derive(Debug, Default)]
pub(super) struct Passes {
    own: Option<Verified<Pass>>,
    /// When to ask for one's own.
    ask: Option<Duration>,
    /// For whom those around ask.
    wanted: Wanted,
    /// When the next message may go up, or the chair signs the next.
    next_after: Duration,
}

impl Passes {
    /// A neighbour is gone.
    pub(super) fn forget(&mut self, link: Neighbour) {
        self.wanted.forget(link);
    }
}

impl Member {
    /// Takes the pass of an earlier stay, as [`Output::StorePass`] gave it.
    pub fn resume_pass(&mut self, pass: &[u8]) {
        let pass = Signed::<Pass>::from_bytes(pass).ok();
        self.passes.own = pass.and_then(|pass| pass.verify().ok());
    }

    /// The pass to show at the door.
    pub(super) fn pass_extension(&self) -> Vec<Extension> {
        let kind = extension::PASS;
        let shown = self.pass().map(|body| Extension { kind, body });
        shown.into_iter().collect()
    }

    /// This person's pass, whole.
    pub(super) fn pass(&self) -> Option<Bytes> {
        let own = self.passes.own.as_ref()?.signed().to_bytes();
        (own.len() <= limits::EXTENSION).then_some(own)
    }

    /// Whom the room lets in no more: why, when it is this person with this hello.
    pub(super) fn shut_out(&self, person: Person, pass: Option<&Bytes>) -> Option<crate::reason::Reason> {
        let state = self.log.as_ref()?.state();
        let pass = pass.and_then(|body| Signed::from_bytes(body).ok());
        let issued = pass.and_then(|pass| Pass::proves(&pass, person, self.room, state));
        state.check_entry(person, issued).err()
    }

    /// Asks for a pass some time from now, if there is none that counts by the present log.
    pub(super) fn want_pass(&mut self, now: Duration) {
        if !self.joined || !self.needs_pass() {
            self.passes.ask = None;
        } else if self.passes.ask.is_none() {
            self.passes.ask = Some(now + ASK_AFTER);
        }
    }

    /// Neighbours ask for passes. Those without a place here have somebody else to ask.
    pub(super) fn handle_pass_wanted(&mut self, link: Neighbour, people: Vec<Person>, now: Duration) {
        if !self.is_on_tree(link) {
            return;
        }
        for person in people {
            self.passes.wanted.note(link, person, now);
        }
        self.passes_if_due(now);
    }

    /// Passes came down: one's own is kept, the others go on to who asked.
    pub(super) fn handle_passes(&mut self, link: Neighbour, passes: Vec<Signed<Pass>>, now: Duration) {
        if self.way_to_chair() != Some(link) {
            return;
        }
        let mut below: BTreeMap<Neighbour, Vec<Signed<Pass>>> = BTreeMap::new();
        for pass in passes {
            let Ok(claim) = pass.peek() else { continue };
            if claim.subject == self.config.key.person() {
                self.take_pass(pass, now);
                continue;
            }
            for asked in self.passes.wanted.answered(claim.subject) {
                below.entry(asked).or_default().push(pass.clone());
            }
        }
        for (link, passes) in below {
            self.send(link, Message::Passes(passes));
        }
    }

    /// When something here is due.
    pub(super) fn passes_due(&self) -> Option<Duration> {
        let next = self.passes.wanted.is_waiting().then_some(self.passes.next_after);
        [next, self.passes.ask].into_iter().flatten().min()
    }

    pub(super) fn passes_if_due(&mut self, now: Duration) {
        let asks = self.passes.ask.is_some_and(|due| due <= now);
        if asks {
            self.passes.ask = Some(now + ASK_AGAIN);
        }
        let is_due = self.passes.next_after <= now && self.passes.wanted.is_waiting();
        if is_due && self.is_chair() {
            return self.give_passes(now);
        }
        let me = self.config.key.person();
        let mut people = Vec::new();
        if asks && self.is_let_in(now) {
            people.push(me);
        }
        let Some(way) = self.way_to_chair().filter(|_| is_due || !people.is_empty()) else {
            if is_due {
                self.passes.next_after = now + ASK_INTERVAL;
            }
            return;
        };
        let most = if is_due { limits::PASSES - people.len() } else { 0 };
        for (link, person) in self.passes.wanted.next(most) {
            // Whoever is on the way to the chair asks in vain: what it wants comes through itself.
            if link == way {
                continue;
            }
            if !people.contains(&person) {
                people.push(person);
            }
            self.passes.wanted.note_asked(link, person, now);
        }
        if is_due {
            self.passes.next_after = now + ASK_INTERVAL;
        }
        if !people.is_empty() {
            self.send(way, Message::PassWanted(people));
        }
    }

    /// As the chair, signs that the next people are in the room, unless its door is shut to new ones.
    fn give_passes(&mut self, now: Duration) {
        let Some(log) = &self.log else { return };
        let (state, clock) = (log.state(), self.clock.now_ms(now));
        let chair = state.chair();
        let mut passes: BTreeMap<Neighbour, Vec<Signed<Pass>>> = BTreeMap::new();
        for (link, person) in self.passes.wanted.next(SIGNED_AT_ONCE) {
            if state.exclusion(person, clock).is_some() || !state.gives_pass(person, clock) {
                continue;
            }
            let pass = Pass::new(self.room, chair, person, clock);
            if let Ok(pass) = Verified::sign(pass, &self.config.key) {
                passes.entry(link).or_default().push(pass.signed().clone());
            }
        }
        self.passes.next_after = now + ASK_INTERVAL;
        for (link, passes) in passes {
            for batch in passes.chunks(limits::PASSES) {
                self.send(link, Message::Passes(batch.to_vec()));
            }
        }
    }

    /// Whether this person would be without a pass if its present links broke, or has one of a lower chair than the
    /// present: whoever stands nearer to the beginning of the line does not lose its place there so soon.
    fn needs_pass(&self) -> bool {
        let me = self.config.key.person();
        let Some(state) = self.log.as_ref().map(Log::state) else {
            return false;
        };
        if state.ended() || state.host() == me || self.is_chair() {
            return false;
        }
        self.passes
            .own
            .as_ref()
            .filter(|pass| pass.counts(me, self.room, state))
            .is_none_or(|pass| {
                let rank = state.rank(state.chair());
                rank.is_some() && rank < state.rank(pass.chair)
            })
    }

    /// Whether the chair signs a pass for this person now.
    fn is_let_in(&mut self, now: Duration) -> bool {
        let (me, clock) = (self.config.key.person(), self.clock.now_ms(now));
        let state = self.log.as_ref().map(Log::state);
        state.is_some_and(|state| state.gives_pass(me, clock))
    }

    /// Keeps a pass, unless what is here is as good: a later one may not open a door that the first one does.
    fn take_pass(&mut self, pass: Signed<Pass>, now: Duration) {
        let (me, room) = (self.config.key.person(), self.room);
        let (Some(state), Ok(pass)) = (self.log.as_ref().map(Log::state), pass.verify()) else {
            return;
        };
        let opens = |pass: &Pass| state.rules().check_entry(me, Some(pass.issued)).is_ok();
        let own = self.passes.own.as_ref();
        let kept = own.filter(|own| own.counts(me, room, state) && opens(own) && !opens(&pass));
        if kept.is_none() && pass.counts(me, room, state) {
            self.outputs
                .push_back(Output::StorePass(pass.signed().to_bytes()));
            self.passes.own = Some(pass);
        }
        self.want_pass(now);
    }
}

/// The pass that a hello shows.
pub(super) fn shown(hello: &Hello) -> Option<Bytes> {
    let mut extensions = hello.extensions.iter();
    let pass = extensions.find(|extension| extension.kind == extension::PASS)?;
    Some(pass.body.clone())
}
