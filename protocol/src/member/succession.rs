//! Who takes the chair when it is silent, and when (SPEC.md section 8, "Succession").
//!
//! Those in the line wait for the chair for as long as it may be silent, and each for a moment longer than the one
//! before: whoever is silent too is passed over by the next, who has heard nothing meanwhile. The tree is another
//! matter: sound flows on through the root's fallback, and whoever takes the chair leaves the root where it is, unless
//! there is none.
//!
//! Invariant: a member that hears the chair follows nobody of a lower rank who says to have it.

use core::time::Duration;

use crate::{
    log::{Branch, Entry, Log},
    neighbour::Neighbour,
    person::Person,
    signed::Signed,
    tree::{Errand, Place},
};

use super::{Left, Member, Output, chair::BEACON_INTERVAL};

/// How long the chair may be silent before the first in the line takes it: three beacons. Sooner, and a moment of bad
/// network costs a room its chair; later, and nobody keeps order for longer.
pub const CHAIR_SILENCE: Duration = Duration::from_secs(3);

/// How much longer each in the line waits than the one before: a beacon, and thereby time enough for the chair entry of
/// the one before to come from anywhere in the tree.
pub const NEXT_IN_LINE: Duration = BEACON_INTERVAL;

/// How long after a beacon the chair passes for heard. A second less than [`CHAIR_SILENCE`]: whoever waited that long
/// was not nearer to the chair than by a second, or is a liar.
const HEARD_FOR: Duration = Duration::from_secs(2);

/// How far ahead of the room's clock an entry may be that gives the chair to another, in milliseconds of it: more than
/// clocks part in a room that is together. Bans run out by this clock.
const MOST_LEAP_MS: u64 = 60_000;

/// How long whoever ranks above the chair is there before it takes it: a host whose network comes and goes does not
/// take the room's order with it each time.
pub const STEADY_FOR: Duration = Duration::from_secs(10);

/// How long a host that opens its room again looks for those who may still be in it. Its own way into the network takes a
/// second or two; longer, and a host that is alone waits in vain.
const LOOK_FOR_MEMBERS: Duration = Duration::from_secs(4);

/// How often a member that is alone, in a room that others may have gone on with, looks for them.
const LOOK_PAUSE: Duration = Duration::from_secs(10);

/// How long a chair that leaves waits for another to take it.
const HAND_OVER: Duration = Duration::from_millis(1_500);

/// What a member knows of the chair's presence, and its own.
#[derive(Debug)]
pub(super) struct Succession {
    /// When the chair said that it leaves, or lost its place in the line.
    vacant: Option<Duration>,
    /// When this member has been in the room for long enough to take the chair from somebody of a lower rank.
    steady_at: Duration,
    /// When it became known here that a chair told two stories.
    liar_known: Option<Duration>,
    /// Since when this member, as the chair, has had children without a pause.
    company_since: Option<Duration>,
    /// Where the newest beacon came from.
    way: Option<Neighbour>,
    /// Until when a chair that leaves waits for another one.
    handing_over: Option<Duration>,
    /// Whether it leaves, and takes no chair any more.
    is_leaving: bool,
    /// Until when this host, who opens its own room again, looks for those who may be in it.
    looks_until: Option<Duration>,
    /// Whether this member is taking the chair just now. What an old log says of its own former terms is history.
    is_claiming: bool,
    /// The last chair entry that came too early, and was passed on to the chair.
    passed_on: Option<([u8; 32], Duration)>,
    /// When a member without anybody looks for the others again.
    look_at: Duration,
    /// When this member last took the chair back from somebody who claimed it meanwhile.
    taken_back: Option<Duration>,
}

impl Succession {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            vacant: None,
            liar_known: None,
            steady_at: now + STEADY_FOR,
            company_since: None,
            way: None,
            handing_over: None,
            is_leaving: false,
            looks_until: None,
            is_claiming: false,
            passed_on: None,
            look_at: now,
            taken_back: None,
        }
    }

    pub(super) fn reopen(&mut self, now: Duration) {
        self.looks_until = Some(now + LOOK_FOR_MEMBERS);
    }

    /// The chair was heard, on this link.
    pub(super) fn note_heard(&mut self, link: Neighbour) {
        self.way = Some(link);
        self.vacant = None;
    }

    /// The chair leaves, or may not write any more.
    pub(super) fn note_vacant(&mut self, now: Duration) {
        self.vacant.get_or_insert(now);
    }

    /// A chair told two stories: if it is the present one, whoever may takes its place.
    pub(super) fn note_liar(&mut self, now: Duration) {
        self.liar_known = Some(now);
    }

    /// This member slept: what was done meanwhile was done without it.
    pub(super) fn note_slept(&mut self) {
        self.company_since = None;
    }

    /// This member came into the room.
    pub(super) fn note_joined(&mut self, now: Duration) {
        self.steady_at = now + STEADY_FOR;
        self.looks_until = None;
        self.look_at = now + LOOK_PAUSE;
    }
}

impl Member {
    /// The link on which requests come to the chair: where its beacons come from.
    pub(super) fn way_to_chair(&self) -> Option<Neighbour> {
        let is_below = |link: &Neighbour| self.tree.children().any(|child| child == *link);
        self.succession
            .way
            .filter(is_below)
            .or_else(|| self.place().parent())
    }

    /// When this member is to take the chair, if nothing changes; `None` for those who may not, or have it.
    pub(super) fn succession_due(&self) -> Option<Duration> {
        if let Some(until) = self.succession.handing_over {
            return Some(until);
        }
        let may = self.joined && !self.is_chair() && !self.succession.is_leaving;
        let log = self.log.as_ref().filter(|_| may)?;
        let (state, me) = (log.state(), self.config.key.person());
        let rank = state.rank(me).filter(|_| !state.ended())?;
        let chair = state.chair();
        let before = state
            .line()
            .into_iter()
            .take(rank)
            .filter(|other| *other != chair);
        let turn = u32::try_from(before.count()).unwrap_or(u32::MAX);
        let silent = self
            .succession
            .vacant
            .or(self.succession.liar_known.filter(|_| self.is_lying(chair)))
            .unwrap_or(self.chair_heard + CHAIR_SILENCE)
            .saturating_add(NEXT_IN_LINE.saturating_mul(turn));
        let outranks = state.rank(chair).is_none_or(|chairs| rank < chairs);
        let steady = outranks.then_some(self.succession.steady_at);
        Some(steady.map_or(silent, |steady| steady.min(silent)))
    }

    /// Takes the chair when it is time.
    pub(super) fn succeed_if_due(&mut self, now: Duration) {
        if self.succession_due().is_none_or(|due| due > now) {
            return;
        }
        if self.succession.handing_over.take().is_none() {
            return self.take_the_chair(now);
        }
        if !self.tree.leave(now) {
            self.leave(Left::Interrupted);
        }
    }

    pub(super) fn take_the_chair(&mut self, now: Duration) {
        if !self.verify_all(now) {
            return;
        }
        if *self.place() == Place::Seeking {
            self.tree.become_root(now);
            self.follow_tree(now);
        }
        let clock = self.clock.now_ms(now);
        let alone = self.has_no_neighbour();
        let Some(log) = self.log.as_mut() else { return };
        match log.claim(&self.config.key, clock, alone) {
            Ok(applied) => {
                self.succession.is_claiming = true;
                self.handle_applied(applied, now);
                self.succession.is_claiming = false;
                self.expose(now);
            }
            // The log takes no more, or not from this person: whoever may tries it.
            Err(_) => {
                self.chair_heard = now;
                (self.succession.vacant, self.succession.liar_known) = (None, None);
                self.succession.steady_at = now + STEADY_FOR;
            }
        }
    }

    /// Somebody has the chair from now on, as an entry says.
    pub(super) fn handle_chair(&mut self, now: Duration) {
        let had_it = self.stop_chairing();
        let was_alone = self.is_alone(now);
        if was_alone {
            self.succession.company_since = None;
        }
        self.beacon = crate::log::NewestBeacon::default();
        self.chair_heard = now;
        self.succession.vacant = None;
        self.succession.way = None;
        if self.succession.is_claiming {
            return self.start_chairing(now);
        }
        // Whoever was heard all the while by others takes it back; whoever was cut off shows first that it is back.
        self.succession.steady_at = if had_it && !was_alone {
            now
        } else {
            now + STEADY_FOR
        };
        if let Some(until) = &mut self.succession.handing_over {
            *until = now;
        }
    }

    /// Whether nobody is next to this member on the tree.
    fn has_no_neighbour(&self) -> bool {
        self.tree.children().next().is_none() && self.place().parent().is_none()
    }

    /// When a member that is the root of nobody looks again for those who may have the room, as others in the line can.
    pub(super) fn look_due(&self) -> Option<Duration> {
        let is_lone = self.joined && *self.place() == Place::Root && self.has_no_neighbour();
        let log = self.log.as_ref().filter(|_| is_lone)?;
        (log.state().line().len() > 1).then_some(self.succession.look_at)
    }

    pub(super) fn look_if_due(&mut self, now: Duration) {
        if self.look_due().is_some_and(|due| due <= now) {
            self.succession.look_at = now + LOOK_PAUSE;
            self.outputs.push_back(Output::Seek);
        }
    }

    /// As the chair, notes whether anybody is there to hear it.
    pub(super) fn note_company(&mut self, now: Duration) {
        let is_alone = self.has_no_neighbour();
        let company = &mut self.succession.company_since;
        if is_alone {
            *company = None;
        } else {
            company.get_or_insert(now);
        }
    }

    /// Whether nobody was there to hear this chair, for a moment at least: what others did meanwhile was done in its
    /// absence.
    fn is_alone(&self, now: Duration) -> bool {
        let since = self.succession.company_since;
        since.is_none_or(|since| now < since + CHAIR_SILENCE)
    }

    /// The rank of the chair, if this member hears it: nobody of a lower one takes its place meanwhile.
    fn heard_rank(&self, now: Duration) -> Option<usize> {
        let state = self.log.as_ref().map(Log::state)?;
        let chair = state.chair();
        let is_heard = if self.is_chair() {
            !self.is_alone(now)
        } else {
            self.beacon.get().is_some() && now < self.chair_heard + HEARD_FOR
        };
        let is_gone = self.succession.vacant.is_some() || self.is_lying(chair);
        state.rank(chair).filter(|_| is_heard && !is_gone)
    }

    /// Whether an entry gives the chair to somebody of a lower rank than the chair that this member hears. The chair
    /// itself lets somebody have it, once a second, to take it back at once: so all have one history. It does not when
    /// the room's clock would leap.
    pub(super) fn comes_too_early(&self, entry: &Entry, now: Duration) -> bool {
        let Some(state) = self.log.as_ref().map(Log::state) else {
            return false;
        };
        let (Some(rank), false) = (self.heard_rank(now), entry.chair == state.chair()) else {
            return false;
        };
        if state.rank(entry.chair).is_some_and(|other| other <= rank) {
            return false;
        }
        let is_leap = entry.clock > self.clock.now_ms(now).saturating_add(MOST_LEAP_MS);
        !self.is_chair() || is_leap || !self.may_take_back(now)
    }

    /// Whether these entries, from the next on, are valid, and one of them gives the chair back to whoever has it now or to
    /// somebody above.
    pub(super) fn is_taken_back(&self, entries: &[Signed<Entry>]) -> bool {
        let Some(log) = &self.log else { return false };
        let state = log.state();
        let Some(rank) = state.rank(state.chair()) else {
            return false;
        };
        let holds_it = |person: Person| state.rank(person).is_some_and(|other| other <= rank);
        let mut after = log.clone();
        for entry in entries {
            match after.handle_entry(entry.clone()) {
                Ok(Some(applied)) if holds_it(applied.entry.chair) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// The same for a history that was fetched: whether it is by nobody of the rank of the chair that is heard.
    pub(super) fn branch_comes_too_early(&self, branch: &Branch, now: Duration) -> bool {
        let heard = self.heard_rank(now);
        heard.is_some_and(|rank| branch.best_rank().is_none_or(|best| best > rank))
    }

    fn may_take_back(&self, now: Duration) -> bool {
        let before = self.succession.taken_back;
        before.is_none_or(|before| now >= before + BEACON_INTERVAL)
    }

    /// Takes the chair back at once, or holds it against a history by others; not more than once a second. Whether this
    /// member has it.
    pub(super) fn take_back(&mut self, now: Duration) -> bool {
        let had_it = self.is_chair();
        if !had_it && self.succession_due().is_none_or(|due| due > now) || !self.may_take_back(now) {
            return false;
        }
        self.succession.taken_back = Some(now);
        self.take_the_chair(now);
        self.is_chair()
    }

    /// Whether a chair is proven to tell two stories, and is not the host, whom nobody removes.
    fn is_lying(&self, chair: Person) -> bool {
        let host = self.log.as_ref().map(|log| log.state().host());
        self.branches.is_liar(chair) && host != Some(chair)
    }

    /// Tells the chair that somebody says to have it: it knows best that it is there. Once a second, and not the same twice.
    pub(super) fn pass_to_chair(&mut self, entry: &Signed<Entry>, now: Duration) -> Option<Neighbour> {
        let hash = Entry::hash(entry);
        let before = self.succession.passed_on;
        if before.is_some_and(|(last, at)| last == hash || now < at + BEACON_INTERVAL) {
            return None;
        }
        self.succession.passed_on = Some((hash, now));
        self.way_to_chair()
    }

    /// Whether this is a host that looks for those who may be in its room.
    pub(super) fn is_reopening(&self) -> bool {
        self.succession.looks_until.is_some()
    }

    /// A host that opens its room again has found nobody in it: it looks again, until it has looked for long enough.
    pub(super) fn handle_nobody_there(&mut self, now: Duration) {
        if self.succession.looks_until.is_some_and(|until| until <= now) {
            self.open_alone(now);
        } else {
            self.tree.handle_nobody_found(Errand::Place, now);
        }
    }

    /// Nobody is in the room: its host opens it by itself.
    pub(super) fn open_alone(&mut self, now: Duration) {
        self.tree.become_root(now);
        // What the tree tells of it is told by the first event of the stay.
        while self.tree.poll_output().is_some() {}
        self.announce_joined(true, now);
        self.take_the_chair(now);
    }

    /// A chair that leaves tells so, and stays until the next in the line has it; `false` when there is nobody, or it is
    /// not the chair.
    pub(super) fn hand_over(&mut self, now: Duration) -> bool {
        if self.succession.handing_over.is_some() {
            return true;
        }
        if !self.is_chair() {
            return false;
        }
        let me = self.config.key.person();
        let somebody = |log: &Log| log.state().line().iter().any(|person| *person != me);
        let is_heir = self.log.as_ref().is_some_and(somebody) && self.tree.members() > 1;
        self.say_farewell(now);
        self.succession.is_leaving = true;
        if is_heir {
            self.succession.note_vacant(now);
            self.succession.handing_over = Some(now + HAND_OVER);
        }
        is_heir
    }
}
