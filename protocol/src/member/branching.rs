//! Two histories of one room: noticed, fetched, judged; the better one followed, and what the other did not lost.
//!
//! Whatever a neighbour's head, beacon or entry shows that does not fit ours, its history is asked for back to where the
//! two part, and judged by the rule of [`crate::log::Branch`]. The chair takes over what was done to keep order; what
//! else was done is asked for again by its author, and what did not come back is told.

use alloc::{collections::BTreeMap, string::ToString, sync::Arc, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    limits,
    log::{self, Act, Action, ActionId, Applied, Branch, BranchError, Entry, EntryError, Equivocation, Log},
    neighbour::Neighbour,
    person::Person,
    reason::Reason,
    signed::{Attested, Signed, Verified},
    wire::message::{Entries, Message},
};

use super::{Event, Left, Member, Output, Route, refusal};

/// How far before the first entry that does not fit it is asked at first, doubled each time: two parts of a room that
/// were apart for seconds differ in a few.
const FIRST_STEP: u32 = 8;

/// Histories fetched at a time: each costs as much memory as a log.
const MOST_BRANCHES: usize = 4;

/// Least bytes of entries in a batch behind which more is said to come: a full one, but for the largest entry. Whoever
/// sends less holds up the others.
const LEAST_BATCH: usize = limits::ENTRIES_BATCH - limits::ENTRY;

/// How long a history may take to come, from the first asking on. The longest one takes half of it on a path of 50 ms.
const FETCHED_WITHIN: Duration = Duration::from_secs(60);

/// How long a stranger's history is fetched before another one may take its turn: that of a room which was in two parts
/// for a while comes in a few round trips.
const TURN: Duration = Duration::from_secs(2);

/// Histories that were given up which are remembered, so that each is passed on to the chair once.
const MOST_GIVEN_UP: usize = 64;

/// Entries of a history that was given up which are remembered until they come back.
const MOST_LOST: usize = 1_024;

/// How long an entry may take to come back before it passes for lost: a request to the chair and its entry take less
/// than a second.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Branches {
    fetched: BTreeMap<Neighbour, Fetched>,
    /// The last entry of each history that was passed on to the chair or judged by it, oldest first.
    given_up: Vec<[u8; 32]>,
    missing: BTreeMap<ActionId, Missing>,
    /// Actions of this person for which there was no way to the chair yet.
    unsent: Vec<Signed<Action>>,
    /// What is still to be told of a history that is not ours, to whom it was begun, once they ask for it.
    untold: BTreeMap<Neighbour, Untold>,
    /// Chairs that told two stories, with both: kept when the log says so too, since another history may not.
    liars: BTreeMap<Person, [Signed<Entry>; 2]>,
}

/// A history as far as it has come.
#[derive(Debug)]
struct Fetched {
    entries: Vec<Signed<Entry>>,
    /// What came before it was known that it parts from ours earlier: it goes behind the entries.
    tail: Vec<Signed<Entry>>,
    bytes: usize,
    step: u32,
    since: Duration,
}

/// What is left to be told of a history.
#[derive(Debug)]
struct Untold {
    history: Arc<[Signed<Entry>]>,
    from: usize,
}

/// What was done in a history that was given up, and may come back.
#[derive(Debug)]
struct Missing {
    author: Person,
    act: Act,
    until: Duration,
}

impl Branches {
    pub(super) fn due(&self) -> Option<Duration> {
        self.missing.values().map(|missing| missing.until).min()
    }

    pub(super) fn forget(&mut self, link: Neighbour) {
        self.fetched.remove(&link);
        self.untold.remove(&link);
    }

    /// Whether a neighbour asks for more of a history that we began to tell it.
    pub(super) fn is_told_on(&self, link: Neighbour, after: u32) -> bool {
        let untold = self.untold.get(&link);
        let first = untold.and_then(|Untold { history, from }| history.get(*from)?.peek().ok());
        first.is_some_and(|first| first.sequence.checked_sub(1) == Some(after))
    }

    /// Whether this chair is proven to have told two stories, whatever the log says.
    pub(super) fn is_liar(&self, person: Person) -> bool {
        self.liars.contains_key(&person)
    }

    /// Whether a history is being fetched from this link.
    pub(super) fn is_at(&self, link: Neighbour) -> bool {
        self.fetched.contains_key(&link)
    }

    /// Remembers a history by its last entry; `false` when it is known.
    fn note_given_up(&mut self, entries: &[Attested<Entry>]) -> bool {
        let Some(last) = entries.last().map(|entry| Entry::hash(entry.signed())) else {
            return false;
        };
        if self.given_up.contains(&last) {
            return false;
        }
        if self.given_up.len() >= MOST_GIVEN_UP {
            self.given_up.remove(0);
        }
        self.given_up.push(last);
        true
    }
}

impl Member {
    /// A chair told two stories: whoever keeps order has that put into the log.
    pub(super) fn note_liar(&mut self, proof: &Equivocation, now: Duration) {
        let liar = proof.ours.chair;
        let exposed = |log: &Log| log.state().exposed().contains(&liar);
        if self.log.as_ref().is_some_and(exposed) || self.branches.liars.len() >= MOST_BRANCHES {
            return;
        }
        let both = [&proof.ours, &proof.theirs].map(|entry| entry.signed().clone());
        if self.branches.liars.insert(liar, both).is_none() {
            self.succession.note_liar(now);
        }
    }

    /// Has the log say what is proven, once it is settled which of the two stories it holds.
    pub(super) fn expose(&mut self, now: Duration) {
        let me = self.config.key.person();
        let Some(log) = &self.log else { return };
        let exposed = log.state().exposed();
        let untold = self
            .branches
            .liars
            .iter()
            .filter(|(liar, _)| !exposed.contains(*liar));
        let told: Vec<Bytes> = untold
            .filter_map(|(_, both)| {
                let other = both.iter().find(|entry| {
                    let at = entry.peek().ok().and_then(|entry| log.hash_at(entry.sequence));
                    at != Some(Entry::hash(entry))
                })?;
                Some(other.to_bytes())
            })
            .collect();
        for entry in told {
            let Some(log) = &self.log else { return };
            let clock = self.clock.now_ms(now);
            let act = Act::Exposed { entry };
            if log.state().check(me, &act, clock).is_err() {
                return;
            }
            let action = Action::new(self.room, me, log.head(), clock, &act);
            if let Ok(action) = Verified::sign(action, &self.config.key) {
                self.send_again(action.signed().clone(), now);
            }
        }
    }

    /// An entry came that does not fit our history: from now on what comes on this link is collected.
    pub(super) fn begin_branch(&mut self, link: Neighbour, now: Duration) {
        if self.branches.fetched.len() >= MOST_BRANCHES && !self.make_turn(link, now) {
            return;
        }
        let fetched = Fetched {
            entries: Vec::new(),
            tail: Vec::new(),
            bytes: 0,
            step: FIRST_STEP,
            since: now,
        };
        self.branches.fetched.insert(link, fetched);
    }

    /// Gives up the oldest history that is fetched from a stranger, for a neighbour on the tree at once and for another
    /// stranger when it had its turn.
    fn make_turn(&mut self, link: Neighbour, now: Duration) -> bool {
        let is_on_tree = |link: &Neighbour| {
            self.tree.children().any(|child| child == *link)
                || [self.place().parent(), self.tree.standby()].contains(&Some(*link))
        };
        let may_wait = is_on_tree(&link);
        let strangers = self.branches.fetched.iter().filter(|(link, _)| !is_on_tree(link));
        let oldest = strangers.min_by_key(|(_, fetched)| fetched.since);
        let had_its_turn = |fetched: &Fetched| may_wait || now >= fetched.since + TURN;
        let Some((oldest, _)) = oldest.filter(|(_, fetched)| had_its_turn(fetched)) else {
            return false;
        };
        let oldest = *oldest;
        self.branches.fetched.remove(&oldest).is_some()
    }

    /// Asks a neighbour for its history, which parts from ours at `sequence` or before.
    pub(super) fn ask_for_branch(&mut self, link: Neighbour, sequence: u32, now: Duration) {
        if !self.branches.is_at(link) {
            self.begin_branch(link, now);
            if self.branches.is_at(link) {
                self.ask_for_entries_after(link, sequence.saturating_sub(FIRST_STEP), now);
            }
        }
    }

    /// Collects entries of another history, and judges it once it is whole.
    pub(super) fn collect(
        &mut self,
        link: Neighbour,
        Entries { entries, more }: Entries,
        is_answer: bool,
        now: Duration,
    ) {
        let Some(fetched) = self.branches.fetched.get_mut(&link) else {
            return;
        };
        let before = fetched.bytes;
        for signed in entries {
            if signed.peek().is_err() {
                return self.cut(link, Reason::Malformed, "an entry that is none", now);
            }
            if !fetched.entries.last().is_none_or(|last| next_of(&signed, last)) {
                // News of an older or a newer part: what comes on asking continues.
                continue;
            }
            fetched.bytes += signed.size();
            let is_whole = fetched.tail.first().is_some_and(|tail| next_of(tail, &signed));
            fetched.entries.push(signed);
            if is_whole {
                fetched.entries.append(&mut fetched.tail);
                return self.judge(link, now);
            }
        }
        if fetched.bytes > limits::LOG + limits::ENTRY {
            return self.cut(link, Reason::Malformed, "a history without end", now);
        }
        let is_slow = before > 0 && is_answer && fetched.bytes < before + LEAST_BATCH;
        if more && (is_slow || now > fetched.since + FETCHED_WITHIN) {
            return self.cut(link, Reason::Malformed, "a history that does not come", now);
        }
        let last = fetched.entries.last().and_then(|last| last.peek().ok());
        match last.filter(|_| more) {
            Some(last) => self.ask_for_entries_after(link, last.sequence, now),
            None => self.judge(link, now),
        }
    }

    fn judge(&mut self, link: Neighbour, now: Duration) {
        if !self.verify_all(now) {
            return;
        }
        let (Some(fetched), Some(log)) = (self.branches.fetched.remove(&link), &self.log) else {
            return;
        };
        let last = fetched.entries.last().map(Entry::hash);
        if last.is_some_and(|last| self.branches.given_up.contains(&last)) {
            return;
        }
        match log.judge(&fetched.entries) {
            Ok(branch) => self.decide(branch, &fetched.entries, link, now),
            Err(BranchError::Detached { first }) if first > 1 => {
                let step = fetched.step.saturating_mul(2);
                let again = Fetched {
                    entries: Vec::new(),
                    tail: fetched.entries,
                    step,
                    ..fetched
                };
                self.branches.fetched.insert(link, again);
                self.ask_for_entries_after(link, first.saturating_sub(1).saturating_sub(step), now);
            }
            // Its history has changed while it was sent: what it says next shows that there is another one.
            Err(BranchError::Entry(EntryError::Fork { .. })) => {}
            Err(error) => self.cut(link, Reason::Malformed, &error.to_string(), now),
        }
    }

    /// Which of two histories this member has from now on.
    fn decide(&mut self, branch: Branch, entries: &[Signed<Entry>], link: Neighbour, now: Duration) {
        if branch.is_better() && !self.branch_comes_too_early(&branch, now) {
            if branch.stopped_at().is_some() {
                return self.leave_for_update();
            }
            self.follow(branch, link, now);
        } else if !branch.is_better() || !self.is_chair() {
            self.keep(&branch, link, now);
        } else if self.take_back(now)
            && let Some(Ok(kept)) = self.log.as_ref().map(|log| log.judge(entries))
        {
            self.keep(&kept, link, now);
        }
        if !self.left {
            self.expose(now);
        }
    }

    /// The room does what this program cannot judge.
    pub(super) fn leave_for_update(&mut self) {
        self.event(Event::UpdateNeeded);
        let text = "the room uses what this program does not know: an update is needed";
        self.leave(Left::Refused(refusal(Reason::Unsupported, text)));
    }

    /// Ours is the better one: the neighbour is told it, and the chair takes over what the other did to keep order.
    fn keep(&mut self, branch: &Branch, link: Neighbour, now: Duration) {
        let Some(log) = &self.log else { return };
        // It asks for the rest: whoever brings a short history is not sent a long one unasked.
        let ours = log.entries_after(branch.common(), limits::ENTRIES_BATCH);
        let more = ours
            .last()
            .is_some_and(|last| last.sequence < log.head().sequence);
        let entries = signed(ours);
        self.send(link, Message::Entries(Entries { entries, more }));
        if !self.branches.note_given_up(branch.entries()) {
            return;
        }
        if !self.is_chair() {
            if let Some(way) = self.way_to_chair() {
                self.tell_history(way, signed(branch.entries()).into(), 0);
            }
            return;
        }
        for entry in branch.entries() {
            self.carry(entry, branch.state(), now);
            if self.left {
                return;
            }
        }
    }

    /// Takes over what still was in force at the end of the history that did it.
    fn carry(&mut self, entry: &Attested<Entry>, at_its_end: &log::State, now: Duration) {
        let Ok((action, act)) = log::deed(entry) else {
            return;
        };
        let clock = self.clock.now_ms(now);
        if !act.restricts() || !at_its_end.is_in_force(entry.sequence, &act, clock) {
            return;
        }
        let Some(log) = self.log.as_mut() else { return };
        match log.carry(&action, &self.config.key, clock) {
            Ok(applied) => self.handle_own(applied, now),
            Err(log::ActionError::Replayed) => {}
            Err(error) => {
                if let Ok(author) = action.peek().map(|action| action.author) {
                    self.event(Event::Lost {
                        action: act.name(),
                        author,
                        subject: act.subject(author),
                        reason: error.reason(),
                    });
                }
            }
        }
    }

    /// The other one is better, and takes the place of ours.
    fn follow(&mut self, branch: Branch, link: Neighbour, now: Duration) {
        let (common, applied) = (branch.common(), branch.applied().to_vec());
        let new = branch.into_log();
        self.outputs.push_back(Output::StoreAnew(records(&new)));
        let Some(old) = self.log.replace(new) else { return };
        let Some(log) = &self.log else { return };
        let changes = old.state().changes_to(log.state());
        let (head, clock) = (log.head().sequence, log.state().clock());
        let is_given_up = !log.holds(old.head());
        let ours: Arc<[_]> = signed(log.entries_after(common, usize::MAX)).into();
        self.clock.handle_entry(clock, now);
        let neighbours: Vec<Neighbour> = self.tree.children().chain(self.place().parent()).collect();
        for to in neighbours.into_iter().filter(|to| *to != link) {
            self.tell_history(to, Arc::clone(&ours), 0);
        }
        for applied in &applied {
            self.tell_entry(applied);
            self.note_back(applied);
            self.finish_command(applied.id, Ok(applied.entry.sequence));
        }
        for change in &changes {
            self.handle_change(*change, now);
        }
        self.want_pass(now);
        if is_given_up {
            self.forget_hands(now);
        }
        self.route(Route::Head(head));
        if changes.contains(&log::Change::Ended) {
            return self.leave(Left::Ended);
        }
        self.follow_exclusions(false, now);
        if !self.left {
            self.give_up(&old, common, link, now);
        }
    }

    /// What our former history did is told to those who follow the other, sent again where it is this person's, and
    /// waited for.
    fn give_up(&mut self, old: &Log, common: u32, link: Neighbour, now: Duration) {
        let lost = old.entries_after(common, usize::MAX);
        if self.branches.note_given_up(lost) {
            self.tell_history(link, signed(lost).into(), 0);
        }
        let me = self.config.key.person();
        for entry in lost {
            let Ok((action, act)) = log::deed(entry) else {
                continue;
            };
            let Ok(author) = action.peek().map(|action| action.author) else {
                continue;
            };
            if matches!(act, Act::Chair { .. } | Act::Exposed { .. })
                || self.branches.missing.len() >= MOST_LOST
            {
                continue;
            }
            let is_done_again = author == me && !act.restricts();
            let missing = Missing {
                author,
                act,
                until: now + LOST_AFTER,
            };
            if is_done_again {
                self.do_again(missing, now);
            } else {
                self.branches.missing.insert(ActionId::of(&action), missing);
            }
        }
    }

    /// Asks anew for what this person did in a history that was given up.
    fn do_again(&mut self, missing: Missing, now: Duration) {
        let Some(head) = self.log.as_ref().map(Log::head) else {
            return;
        };
        let clock = self.clock.now_ms(now);
        let action = Action::new(self.room, missing.author, head, clock, &missing.act);
        if let Ok(action) = Verified::sign(action, &self.config.key) {
            self.branches
                .missing
                .insert(ActionId::of(action.signed()), missing);
            self.send_again(action.signed().clone(), now);
        }
    }

    fn send_again(&mut self, action: Signed<Action>, now: Duration) {
        let id = ActionId::of(&action);
        if self.is_chair() {
            if let Err(refusal) = self.append(action, now) {
                self.note_not_back(id, refusal.reason);
            }
        } else if let Some(way) = self.way_to_chair() {
            self.send(way, Message::Request(action));
        } else if self.branches.unsent.len() < MOST_LOST {
            self.branches.unsent.push(action);
        }
    }

    /// The chair was heard: what waits for it is sent.
    pub(super) fn send_unsent(&mut self, now: Duration) {
        for action in core::mem::take(&mut self.branches.unsent) {
            self.send_again(action, now);
        }
    }

    /// An action was applied: it is not missing any more, be it as it was or signed anew.
    pub(super) fn note_back(&mut self, applied: &Applied) {
        let is_it = |missing: &Missing| (missing.author, &missing.act) == (applied.author(), &applied.act);
        let missing = &mut self.branches.missing;
        if missing.remove(&applied.id).is_none()
            && let Some(id) = missing
                .iter()
                .find(|(_, missing)| is_it(missing))
                .map(|(id, _)| *id)
        {
            missing.remove(&id);
        }
    }

    /// The chair did not take an action again.
    pub(super) fn note_not_back(&mut self, id: ActionId, reason: Reason) {
        if reason != Reason::Duplicate
            && let Some(missing) = self.branches.missing.remove(&id)
        {
            self.tell_missing(missing, reason);
        }
    }

    /// Tells what did not come back in time.
    pub(super) fn tell_lost(&mut self, now: Duration) {
        let late: Vec<ActionId> = self
            .branches
            .missing
            .iter()
            .filter(|(_, missing)| missing.until <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(missing) = self.branches.missing.remove(&id) {
                self.tell_missing(missing, Reason::Expired);
            }
        }
    }

    fn tell_missing(&mut self, missing: Missing, reason: Reason) {
        let Missing { author, act, .. } = missing;
        self.event(Event::Lost {
            action: act.name(),
            author,
            subject: act.subject(author),
            reason,
        });
    }

    /// Tells a neighbour a history: a first batch, and what follows it as it is asked for. Nobody is sent megabytes that
    /// it has already, or has had enough of.
    fn tell_history(&mut self, to: Neighbour, history: Arc<[Signed<Entry>]>, from: usize) {
        let mut left = limits::ENTRIES_BATCH;
        let rest = history.get(from..).unwrap_or_default();
        let fit = rest.iter().take_while(|entry| {
            let after = left.checked_sub(Entry::size(entry));
            left = after.unwrap_or(0);
            after.is_some()
        });
        let entries: Vec<_> = fit.cloned().collect();
        let from = from + entries.len();
        let more = from < history.len();
        self.branches.untold.remove(&to);
        if more {
            self.branches.untold.insert(to, Untold { history, from });
        }
        self.send(to, Message::Entries(Entries { entries, more }));
    }

    /// Tells more of a history, if that is what is asked for.
    pub(super) fn tell_on(&mut self, link: Neighbour, after: u32) -> bool {
        if !self.branches.is_told_on(link, after) {
            return false;
        }
        if let Some(Untold { history, from }) = self.branches.untold.remove(&link) {
            self.tell_history(link, history, from);
        }
        true
    }
}

/// Whether an entry continues another one.
fn next_of(entry: &Signed<Entry>, last: &Signed<Entry>) -> bool {
    let (Ok(entry), Ok(before)) = (entry.peek(), last.peek()) else {
        return false;
    };
    Some(entry.sequence) == before.sequence.checked_add(1) && entry.previous == Entry::hash(last)
}

fn signed(entries: &[Attested<Entry>]) -> Vec<Signed<Entry>> {
    entries.iter().map(|entry| entry.signed().clone()).collect()
}

/// All records of a log's file.
pub(super) fn records(log: &Log) -> Vec<Bytes> {
    let genesis = log::record(log.genesis().signed());
    let entries = log.entries_after(0, usize::MAX).iter();
    core::iter::once(genesis)
        .chain(entries.map(|entry| log::record(entry.signed())))
        .map(Bytes::from)
        .collect()
}
