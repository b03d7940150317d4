//! What was heard of each author of late: so that no note counts twice, and nobody says too much.

use alloc::collections::BTreeMap;

use crate::{person::Person, reason::Reason};

/// How far a note's time may lie from the clock of whoever judges it, in milliseconds: as long as an action lives, and
/// as far as an author's clock may run ahead.
pub const NOTE_WINDOW_MS: u64 = 30_000;

/// Most authors that are remembered: more than say anything within a minute in the largest room. Beyond them whoever was
/// heard once gives way, the oldest first: keys that are made up for one note each displace each other. A copy of such a
/// note may count again.
const MOST: usize = 4_096;

/// The newest note of each author, while a copy of it could still pass.
#[derive(Debug, Default)]
pub struct Heard {
    authors: BTreeMap<Person, Newest>,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    /// What it says of its time.
    at: u64,
    /// The clock here when it came.
    came: u64,
    /// Whether none of this author was heard before it.
    is_first: bool,
}

impl Heard {
    /// Whether a note of this author and time may be heard at this clock, `apart_ms` after the one before it.
    ///
    /// # Errors
    /// [`Reason::Expired`] when its time is wrong, [`Reason::Duplicate`] when it is not newer than what was heard,
    /// [`Reason::TooMany`] when it comes too soon.
    pub fn check(&self, author: Person, at: u64, clock: u64, apart_ms: u64) -> Result<(), Reason> {
        if at.abs_diff(clock) > NOTE_WINDOW_MS {
            return Err(Reason::Expired);
        }
        match self.authors.get(&author) {
            Some(newest) if at <= newest.at => Err(Reason::Duplicate),
            Some(newest) if clock < newest.came.saturating_add(apart_ms) => Err(Reason::TooMany),
            None if self.authors.len() >= MOST && !self.authors.values().any(|one| one.yields(clock)) => {
                Err(Reason::TooMany)
            }
            _ => Ok(()),
        }
    }

    /// Whether a note's own time lies at least so long behind that of its author's last one: what every member that has
    /// heard both finds alike, however they were delayed.
    #[must_use]
    pub fn is_apart(&self, author: Person, at: u64, apart_ms: u64) -> bool {
        let newest = self.authors.get(&author);
        newest.is_none_or(|newest| at >= newest.at.saturating_add(apart_ms))
    }

    /// Notes one that passed and whose signature holds.
    pub fn note(&mut self, author: Person, at: u64, clock: u64) {
        let is_first = !self.authors.contains_key(&author);
        if is_first && self.authors.len() >= MOST {
            self.authors.retain(|_, newest| !newest.is_over(clock));
        }
        if is_first && self.authors.len() >= MOST {
            let firsts = self.authors.iter().filter(|(_, newest)| newest.is_first);
            let oldest = firsts.min_by_key(|(_, newest)| newest.came);
            if let Some(oldest) = oldest.map(|(person, _)| *person) {
                self.authors.remove(&oldest);
            }
        }
        let came = clock;
        self.authors.insert(author, Newest { at, came, is_first });
    }
}

impl Newest {
    /// Whether it gives way to a new author.
    fn yields(self, clock: u64) -> bool {
        self.is_first || self.is_over(clock)
    }

    /// Whether a copy of it, and of all before it, is refused for its time.
    fn is_over(self, clock: u64) -> bool {
        clock > self.at.max(self.came).saturating_add(2 * NOTE_WINDOW_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHOR: Person = Person([1; 32]);

    #[test]
    fn a_note_passes_once_and_in_the_order_of_its_author() {
        let mut heard = Heard::default();
        assert_eq!(heard.check(AUTHOR, 10, 10, 0), Ok(()));
        heard.note(AUTHOR, 10, 10);
        assert_eq!(heard.check(AUTHOR, 10, 11, 0), Err(Reason::Duplicate));
        assert_eq!(heard.check(AUTHOR, 9, 11, 0), Err(Reason::Duplicate));
        assert_eq!(heard.check(AUTHOR, 11, 11, 0), Ok(()));
        assert_eq!(heard.check(AUTHOR, 11, 11, 2), Err(Reason::TooMany));
        assert_eq!(heard.check(AUTHOR, 11, 12, 2), Ok(()));
        assert!(heard.is_apart(AUTHOR, 12, 2) && !heard.is_apart(AUTHOR, 11, 2));
    }

    #[test]
    fn a_note_of_another_time_is_refused_before_and_after_it_is_forgotten() {
        let mut heard = Heard::default();
        assert_eq!(heard.check(AUTHOR, 30_001, 0, 0), Err(Reason::Expired));
        assert_eq!(heard.check(AUTHOR, 0, 30_001, 0), Err(Reason::Expired));
        heard.note(AUTHOR, 30_000, 0);
        for n in 1..=MOST as u64 {
            let mut key = [9; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            heard.note(Person(key), 90_001, 90_001);
        }
        assert!(!heard.authors.contains_key(&AUTHOR), "forgotten");
        assert_eq!(heard.check(AUTHOR, 30_000, 90_001, 0), Err(Reason::Expired));
    }

    #[test]
    fn who_says_one_thing_only_keeps_nobody_out_and_displaces_nobody_who_says_more() {
        let mut heard = Heard::default();
        heard.note(AUTHOR, 1, 1);
        heard.note(AUTHOR, 2, 2);
        for n in 0..2 * MOST as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            assert_eq!(heard.check(Person(key), 5, 5, 0), Ok(()), "author {n}");
            heard.note(Person(key), 5, 5);
        }
        assert_eq!(heard.authors.len(), MOST);
        assert_eq!(heard.check(AUTHOR, 2, 5, 0), Err(Reason::Duplicate));
    }

    #[test]
    fn a_crowd_of_authors_is_bounded() {
        let mut heard = Heard::default();
        for n in 0..2 * MOST as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            for at in [5, 6] {
                if heard.check(Person(key), at, 5, 0).is_ok() {
                    heard.note(Person(key), at, 5);
                }
            }
        }
        assert_eq!(heard.authors.len(), MOST);
        assert_eq!(heard.check(AUTHOR, 5, 5, 0), Err(Reason::TooMany));
    }
}
