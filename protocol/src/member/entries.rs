//! Catching up: the log is asked for, sent, and taken in an entry at a time.

use alloc::{string::ToString, vec::Vec};
use core::time::Duration;

use crate::{
    limits,
    log::{Change, Cover, Entry, EntryError, Head, State},
    neighbour::Neighbour,
    reason::Reason,
    signed::Signed,
    wire::message::{Entries, Message},
};

use super::{Member, Route, greeting::EntriesAsked};

/// How long a neighbour may take to send entries. A batch of them on a slow line takes seconds; whoever takes longer
/// would hold up a newcomer that could ask others.
pub(super) const ENTRIES_TIMEOUT: Duration = Duration::from_secs(10);

/// Batches of the log that may be under way to somebody who asks for it for the first time: with one at a time a path of
/// 50 ms would carry five megabits a second. More would stand before what else is said on a slow line.
const AHEAD: usize = 4;

/// How an entry came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bringing {
    pub(super) link: Neighbour,
    /// Whether more are on their way behind its batch.
    pub(super) more: bool,
    /// Whether it is one of many that were taken in on their chairs' word: what they changed together is told at the end.
    pub(super) is_covered: bool,
}

impl Member {
    /// Notes what a neighbour claims to have, and asks it for what is not here: what follows our head, or its history
    /// where it is another one.
    pub(super) fn want_entries(&mut self, link: Neighbour, theirs: Head, now: Duration) {
        let Some(log) = &self.log else { return };
        let ours = log.head().sequence;
        // Somebody who does not have the genesis yet names no hash.
        if log.holds(theirs) || theirs.sequence == 0 {
            return;
        }
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.claimed = neighbour.claimed.max(theirs.sequence);
        }
        if theirs.sequence > ours {
            self.ask_for_entries(link, now);
        } else {
            self.ask_for_branch(link, theirs.sequence, now);
        }
    }

    /// Asks a neighbour for what follows our head, unless its answer is under way.
    pub(super) fn ask_for_entries(&mut self, link: Neighbour, now: Duration) {
        let after = self.head().sequence;
        if !self.branches.is_at(link) {
            self.ask_for_entries_after(link, after, now);
        }
    }

    /// Asks a neighbour for what follows an entry, unless an answer is under way.
    pub(super) fn ask_for_entries_after(&mut self, link: Neighbour, after: u32, now: Duration) {
        let Some(neighbour) = self.links.get_mut(&link).filter(|link| link.asked.is_none()) else {
            return;
        };
        neighbour.asked = Some(EntriesAsked {
            after,
            deadline: now + ENTRIES_TIMEOUT,
        });
        self.send(link, Message::EntriesWanted { after });
    }

    pub(super) fn handle_entries_wanted(&mut self, link: Neighbour, after: u32, now: Duration) {
        if self.tell_on(link, after) {
            return;
        }
        let Some(log) = &self.log else { return };
        // What was not verified yet is nothing to hand on: it is sent once it was.
        if (log.verified()..log.head().sequence).contains(&after) {
            return self.behind.put_off(link, after);
        }
        let Some(peer) = self.links.get(&link).map(|link| link.peer()) else {
            return;
        };
        let is_first = self.is_first_asking(peer, after);
        let Some(neighbour) = self.links.get_mut(&link) else {
            return;
        };
        let ahead = &mut neighbour.ahead;
        let (mut from, left) = match ahead.iter().position(|last| *last == after) {
            Some(at) => {
                ahead.drain(..=at);
                (*ahead.back().unwrap_or(&after), AHEAD - ahead.len())
            }
            None => {
                ahead.clear();
                (after, if is_first { AHEAD } else { 1 })
            }
        };
        let goes_ahead = left > 1 || from > after;
        for _ in 0..left {
            let batch = self.batch_after(from);
            // What is under way already is the answer.
            if batch.entries.is_empty() && from > after {
                return;
            }
            let more = batch.more;
            from = from.saturating_add(batch.entries.len() as u32);
            self.conduct.of(peer, now).sent_entries(from);
            self.send(link, Message::Entries(batch));
            if let Some(neighbour) = self.links.get_mut(&link).filter(|_| goes_ahead) {
                neighbour.ahead.push_back(from);
            }
            if !more {
                return;
            }
        }
    }

    /// What follows an entry of our log, as far as it was verified.
    fn batch_after(&self, after: u32) -> Entries {
        let Some(log) = &self.log else {
            return Entries {
                entries: Vec::new(),
                more: false,
            };
        };
        let verified = log.verified();
        let entries = log.entries_after(after, limits::ENTRIES_BATCH).iter();
        let entries = entries.take_while(|entry| entry.sequence <= verified);
        let entries: Vec<_> = entries.map(|entry| entry.signed().clone()).collect();
        let last = after.saturating_add(entries.len() as u32);
        let more = last < log.head().sequence;
        Entries { entries, more }
    }

    pub(super) fn handle_entries(&mut self, link: Neighbour, entries: Entries, now: Duration) {
        let asked = self.links.get_mut(&link).and_then(|link| link.asked.take());
        if self.branches.is_at(link) {
            // What is told of its own accord meanwhile is no answer that could be too short.
            let first = entries.entries.first().and_then(|first| first.peek().ok());
            let first = first.map(|first| first.sequence);
            let is_answer = asked
                .is_some_and(|asked| first.is_none_or(|first| Some(first) == asked.after.checked_add(1)));
            return self.collect(link, entries, is_answer, now);
        }
        let before = asked.map_or(self.head().sequence, |asked| asked.after);
        let more = entries.more;
        let cover = asked.map(|_| Cover::of(&entries.entries)).unwrap_or_default();
        let log = self.log.as_ref().filter(|_| !cover.is_empty());
        let state = log.map(|log| log.state().clone());
        let taken = self.take_entries(link, entries, asked.is_some(), &cover, now);
        if let Some(state) = state.filter(|_| !self.left) {
            self.follow_covered(&state, now);
        }
        let Some((newest, news)) = taken.filter(|_| !self.left) else {
            return;
        };
        self.follow_exclusions(more, now);
        if self.left || !self.links.contains_key(&link) {
            return;
        }
        self.note_entries_of(link, newest, news.is_some(), now);
        if let Some(sequence) = news.filter(|_| self.place().parent() != Some(link)) {
            self.expect_entry_of_parent(sequence, now);
        }
        if more && self.head().sequence > before {
            self.ask_for_entries(link, now);
        } else if more && asked.is_some() {
            // Whoever says so and brings nothing would be asked for ever.
            return self.cut(link, Reason::Malformed, "more entries that do not come", now);
        } else if let Some(neighbour) = self.links.get_mut(&link).filter(|_| asked.is_some()) {
            // That was all it has, whatever it claimed.
            neighbour.claimed = 0;
        }
        self.offer_link(link, now);
    }

    /// Takes entries one after the other: the newest of them, and the newest that was news. `None` where it is dealt with
    /// already what they are.
    fn take_entries(
        &mut self,
        link: Neighbour,
        Entries { mut entries, more }: Entries,
        is_answer: bool,
        cover: &Cover,
        now: Duration,
    ) -> Option<(u32, Option<u32>)> {
        let (mut newest, mut news) = (0, None);
        let bringing = Bringing {
            link,
            more: more && is_answer,
            is_covered: !cover.is_empty(),
        };
        for at in 0..entries.len() {
            let signed = entries[at].clone();
            let log = self.log.as_ref()?;
            let is_next = |entry: &Entry| {
                let head = log.head();
                (entry.previous, entry.sequence.checked_sub(1)) == (head.hash, Some(head.sequence))
            };
            let entry = signed.peek().ok();
            let sequence = entry.as_ref().map_or(0, |entry| entry.sequence);
            let next = entry.filter(is_next);
            let is_early = next
                .as_ref()
                .is_some_and(|entry| self.comes_too_early(entry, now));
            if is_early && log.check_entry(&signed).is_ok() && !self.is_taken_back(&entries[at..]) {
                self.handle_early(link, entries.split_off(at), now);
                return None;
            }
            let had_chair = self.is_chair();
            match self.log.as_mut()?.handle_covered(signed, cover) {
                Ok(Some(applied)) => {
                    self.note_covered(link, now);
                    news = Some(applied.entry.sequence);
                    self.bringing = Some(bringing);
                    self.handle_applied(applied, now);
                    self.bringing = None;
                    if had_chair && self.take_back(now) {
                        // What whoever claimed it wrote further is none of the room's.
                        self.offer_link(link, now);
                        return None;
                    }
                }
                Ok(None) => {}
                Err(error @ (EntryError::Fork { .. } | EntryError::Equivocation(_))) => {
                    if let EntryError::Equivocation(proof) = error {
                        self.note_liar(&proof, now);
                    }
                    self.begin_branch(link, now);
                    let entries = entries.split_off(at);
                    self.collect(link, Entries { entries, more }, is_answer, now);
                    return None;
                }
                Err(error) => {
                    self.handle_refused(link, &error, now);
                    return None;
                }
            }
            if self.left {
                return None;
            }
            newest = newest.max(sequence);
        }
        Some((newest, news))
    }

    /// An entry came that our log does not take.
    fn handle_refused(&mut self, link: Neighbour, error: &EntryError, now: Duration) {
        match error {
            EntryError::Gap { .. } => self.ask_for_entries(link, now),
            EntryError::UpdateNeeded { .. } => {
                if self.verify_all(now) {
                    self.leave_for_update();
                }
            }
            error => self.cut(link, Reason::Malformed, &error.to_string(), now),
        }
    }

    /// Follows what many entries have changed together, of which nothing was told one by one.
    fn follow_covered(&mut self, before: &State, now: Duration) {
        let Some(log) = &self.log else { return };
        let (changes, head) = (before.changes_to(log.state()), log.head().sequence);
        for change in changes {
            // Followed at once.
            if !matches!(change, Change::Chair { .. }) {
                self.handle_change(change, now);
                self.follow_stage(&change, now);
            }
        }
        self.want_pass(now);
        self.route(Route::Head(head));
    }

    /// Somebody says to have the chair, which is heard: it is told, and nothing else is done about it until it is heard
    /// no more.
    fn handle_early(&mut self, link: Neighbour, early: Vec<Signed<Entry>>, now: Duration) {
        let first = early.first().cloned();
        if let Some(way) = first.and_then(|first| self.pass_to_chair(&first, now))
            && way != link
        {
            let more = false;
            self.send(way, Message::Entries(Entries { entries: early, more }));
        }
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.claimed = 0;
        }
        self.offer_link(link, now);
    }
}
