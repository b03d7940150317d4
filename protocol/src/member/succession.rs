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
    log::{Entry, Log},
    neighbour::Neighbour,
    person::Person,
    signed::Signed,
    tree::{Errand, Place},
};

use super::{Left, Member, chair::BEACON_INTERVAL};

/// How long the chair may be silent before the first in the line takes it: three beacons. Sooner, and a moment of bad
/// network costs a room its chair; later, and nobody keeps order for longer.
pub const CHAIR_SILENCE: Duration = Duration::from_secs(3);

/// How much longer each in the line waits than the one before: a beacon, and thereby time enough for the chair entry of
/// the one before to come from anywhere in the tree.
pub const NEXT_IN_LINE: Duration = BEACON_INTERVAL;

/// How long after a beacon the chair passes for heard. A second less than [`CHAIR_SILENCE`]: whoever waited that long
/// was not nearer to the chair than by a second, or is a liar.
const HEARD_FOR: Duration = Duration::from_secs(2);

/// How long whoever ranks above the chair is there before it takes it: a host whose network comes and goes does not
/// take the room's order with it each time.
pub const STEADY_FOR: Duration = Duration::from_secs(10);

/// How long a host that opens its room again looks for those who may still be in it. Its own way into the network takes a
/// second or two; longer, and a host that is alone waits in vain.
const LOOK_FOR_MEMBERS: Duration = Duration::from_secs(4);

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
    passed_on: Option<[u8; 32]>,
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

    /// This member came into the room.
    pub(super) fn note_joined(&mut self, now: Duration) {
        self.steady_at = now + STEADY_FOR;
        self.looks_until = None;
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
        if *self.place() == Place::Seeking {
            self.tree.become_root(now);
            self.follow_tree(now);
        }
        let clock = self.clock.now_ms(now);
        let Some(log) = self.log.as_mut() else { return };
        match log.claim(&self.config.key, clock) {
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
        let was_alone = self
            .succession
            .company_since
            .take()
            .is_none_or(|since| now < since + CHAIR_SILENCE);
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

    /// As the chair, notes whether anybody is there to hear it.
    pub(super) fn note_company(&mut self, now: Duration) {
        let is_alone = self.tree.children().next().is_none() && self.place().parent().is_none();
        let company = &mut self.succession.company_since;
        if is_alone {
            *company = None;
        } else {
            company.get_or_insert(now);
        }
    }

    /// Whether an entry gives the chair to somebody of a lower rank than the chair that this member hears. `rest` is what
    /// came after it: it is not too early when the chair itself took it back.
    pub(super) fn comes_too_early(&self, entry: &Entry, rest: &[Signed<Entry>], now: Duration) -> bool {
        let Some(state) = self.log.as_ref().map(Log::state) else {
            return false;
        };
        let chair = state.chair();
        let Some(rank) = state.rank(chair).filter(|_| entry.chair != chair) else {
            return false;
        };
        let is_heard = self.beacon.get().is_some() && now < self.chair_heard + HEARD_FOR;
        let is_gone = self.succession.vacant.is_some() || self.is_lying(chair);
        if !is_heard || self.is_chair() || is_gone {
            return false;
        }
        let outranks = |person: Person| state.rank(person).is_some_and(|other| other <= rank);
        let by_those_above = |signed: &Signed<Entry>| signed.peek().is_ok_and(|entry| outranks(entry.chair));
        !outranks(entry.chair) && !rest.iter().any(by_those_above)
    }

    /// Whether a chair is proven to tell two stories, and is not the host, whom nobody removes.
    fn is_lying(&self, chair: Person) -> bool {
        let host = self.log.as_ref().map(|log| log.state().host());
        self.branches.is_liar(chair) && host != Some(chair)
    }

    /// Tells the chair that somebody says to have it: it knows best that it is there.
    pub(super) fn pass_to_chair(&mut self, entry: &Signed<Entry>) -> Option<Neighbour> {
        let hash = Entry::hash(entry);
        if self.succession.passed_on.replace(hash) == Some(hash) {
            return None;
        }
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
