//! Signatures that are checked behind: a newcomer takes a long log in on the word of its chairs ([`crate::log::Cover`]),
//! has its place and hears the room, and checks the rest in small portions meanwhile.
//!
//! Until that is done this member hands nothing on that it did not check itself, takes no chair, judges no other history
//! and does not leave for what the log says. Where something turns out forged, the log goes back to what is proven, who
//! brought the rest is cut off by name, and the others are asked.

use alloc::{collections::BTreeMap, format, vec::Vec};
use core::time::Duration;

use crate::{
    limits,
    log::{self, Action, EntryError, Log, NewestBeacon, RoomClock},
    neighbour::Neighbour,
    person::Peer,
    reason::Reason,
    wire::message::{Entries, Message},
};

use super::{Event, Member, Output, Route, branching};

/// Entries at a time. Two signatures each take two to four milliseconds on a laptop, ten on a telephone: as long may what
/// else happens in the room have to wait.
const PORTION: usize = 32;

/// Pause between two portions, so that what waits has its turn. Ten thousand entries are checked in some two seconds.
const PAUSE: Duration = Duration::from_millis(4);

/// Entries that were verified meanwhile, from which on whoever asked for them is sent what there is: some batches full.
const WORTH_SENDING: u32 = 512;

/// What is still to be checked.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// When the next portion is.
    due: Option<Duration>,
    /// From which entry on the log came from whom.
    sources: Vec<Source>,
    /// Who asked for what follows an entry, and is not answered yet.
    asking: BTreeMap<Neighbour, u32>,
    /// The first entry since this member has its place that was not passed on.
    held: Option<u32>,
    /// The first entry that was not told.
    untold: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    from: u32,
    peer: Peer,
}

impl Behind {
    /// When the next portion is to be checked.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Puts an answer off until there is something to say.
    pub(super) fn put_off(&mut self, link: Neighbour, after: u32) {
        self.asking.insert(link, after);
    }

    /// Keeps an entry back that came while the log before it was not verified.
    pub(super) fn hold(&mut self, sequence: u32) {
        self.held.get_or_insert(sequence);
        self.untold.get_or_insert(sequence);
    }

    pub(super) fn forget(&mut self, link: Neighbour) {
        self.asking.remove(&link);
    }
}

impl Member {
    /// Whether every signature in our log was checked.
    pub(super) fn is_log_verified(&self) -> bool {
        self.log.as_ref().is_none_or(Log::is_verified)
    }

    /// Notes from whom an entry came, if its signatures are still to be checked.
    pub(super) fn note_covered(&mut self, link: Neighbour, now: Duration) {
        if self.is_log_verified() {
            return;
        }
        let (Some(peer), from) = (
            self.links.get(&link).map(|link| link.peer()),
            self.head().sequence,
        ) else {
            return;
        };
        if self.behind.sources.last().is_none_or(|last| last.peer != peer) {
            self.behind.sources.push(Source { from, peer });
        }
        if self.joined {
            self.begin_behind(now);
        }
    }

    /// Begins to check. Before this member has its place there is only waiting for it.
    pub(super) fn begin_behind(&mut self, now: Duration) {
        if !self.is_log_verified() && self.behind.due.is_none() {
            self.behind.due = Some(now + PAUSE);
            self.behind.held = None;
        }
    }

    /// Checks the next portion.
    pub(super) fn verify_if_due(&mut self, now: Duration) {
        if self.behind.due.is_none_or(|due| due > now) {
            return;
        }
        self.behind.due = Some(now + PAUSE);
        self.verify(PORTION, now);
    }

    /// Checks all that is left, before something is done that cannot be undone. `false` where something was forged, and
    /// the log is another one now.
    pub(super) fn verify_all(&mut self, now: Duration) -> bool {
        self.is_log_verified() || self.verify(usize::MAX, now)
    }

    fn verify(&mut self, most: usize, now: Duration) -> bool {
        let Some(log) = self.log.as_mut() else { return true };
        let result = log.verify_behind(most);
        let (is_done, verified) = (log.is_verified(), log.verified());
        if let Some(untold) = self.behind.untold {
            self.behind.untold = Some(untold.max(verified.saturating_add(1)));
            self.tell_entries(untold..=verified);
        }
        if let Err(error) = result {
            self.give_up_forged(&error, now);
            return false;
        }
        let is_worth = |after: u32| is_done || verified >= after.saturating_add(WORTH_SENDING);
        let asking = self.behind.asking.iter().filter(|(_, after)| is_worth(**after));
        let asking: Vec<(Neighbour, u32)> = asking.map(|(link, after)| (*link, *after)).collect();
        let held = self.behind.held;
        if is_done {
            self.behind = Behind::default();
            self.event(Event::Verified { entries: verified });
        }
        for (link, after) in asking {
            self.behind.asking.remove(&link);
            self.handle_entries_wanted(link, after, now);
        }
        if let Some(held) = held.filter(|_| is_done) {
            self.pass_held_on(held);
        }
        true
    }

    /// Passes on what came meanwhile. Who has nothing of it yet asks for what is before.
    fn pass_held_on(&mut self, held: u32) {
        let Some(log) = &self.log else { return };
        let entries = log
            .entries_after(held.saturating_sub(1), limits::ENTRIES_BATCH)
            .iter();
        let entries: Vec<_> = entries.map(|entry| entry.signed().clone()).collect();
        let last = held.saturating_sub(1).saturating_add(entries.len() as u32);
        let more = last < log.head().sequence;
        self.pass_on(&Message::Entries(Entries { entries, more }), None);
    }

    /// A chair of our log has put words into somebody's mouth, or who brought it to us has: nothing is left of it from
    /// there on.
    fn give_up_forged(&mut self, error: &EntryError, now: Duration) {
        let Some(old) = self.log.take() else { return };
        let proven = old.proven();
        let forged = proven.head().sequence.saturating_add(1);
        self.outputs
            .push_back(Output::StoreAnew(branching::records(&proven)));
        let changes = old.state().changes_to(proven.state());
        let (head, clock) = (proven.head().sequence, proven.state().clock());
        self.log = Some(proven);
        self.clock = RoomClock::new(clock, now);
        self.beacon = NewestBeacon::default();
        let behind = core::mem::take(&mut self.behind);
        for change in changes {
            self.handle_change(change, now);
        }
        self.forget_hands(now);
        self.route(Route::Head(head));
        if let Some(entry) = old.entry(forged)
            && let Ok((action, act)) = log::deed(entry)
            && let Ok(Action { author, .. }) = action.peek()
        {
            self.event(Event::Lost {
                action: act.name(),
                author,
                subject: act.subject(author),
                reason: Reason::Malformed,
            });
        }
        let source = behind.sources.iter().rev().find(|source| source.from <= forged);
        if let Some(Source { peer, .. }) = source.copied() {
            self.blame(peer, &format!("entry {forged}: {error}"), now);
        }
        for (link, after) in behind.asking {
            self.handle_entries_wanted(link, after, now);
        }
        let open = self.links.iter().filter(|(_, link)| link.is_open());
        let links: Vec<Neighbour> = open.map(|(number, _)| *number).collect();
        for link in links {
            self.ask_for_entries(link, now);
        }
    }

    /// Cuts off who brought what is forged, under whatever link it has now.
    fn blame(&mut self, peer: Peer, text: &str, now: Duration) {
        let is_its = |link: &Neighbour| self.links.get(link).is_some_and(|link| link.peer() == peer);
        let links: Vec<Neighbour> = self.links.keys().copied().filter(is_its).collect();
        if links.is_empty() {
            let reason = Reason::Malformed;
            self.event(Event::Misbehaved { peer, reason });
        }
        for link in links {
            self.cut(link, Reason::Malformed, text, now);
        }
        self.never_ask(peer);
    }
}
