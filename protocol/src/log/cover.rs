//! A long history, believed on its chairs' word first and verified to the last signature behind (SPEC.md section 7).
//!
//! Every entry names the one before it by its hash, and so a chair that signs one stands for all before it. Whoever
//! takes in many at once checks every rule that needs no signature, and one signature for each run of entries that one
//! chair wrote in one term, the last one's; all others while the room is heard already. What it takes so is what the chair
//! says that was done: a chair of the room can have forged an author's name in it, until that is found, and nobody else
//! can. It is not proof, and nothing to pass on.

use alloc::collections::BTreeSet;

use crate::{
    log::{
        chain::{Deed, EntryError, Log, verify_entry, verify_signed},
        entry::Entry,
    },
    signed::Signed,
};

/// Fewest entries that are worth it: to check this many takes a millisecond or two.
const LEAST: usize = 16;

/// The entries, by their hashes, for which a chair has signed by signing a later one of its term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cover {
    hashes: BTreeSet<[u8; 32]>,
}

/// Entries that one chair wrote in one term, each of which names the one before it.
struct Run<'a> {
    /// The hashes of all but the last.
    covered: BTreeSet<[u8; 32]>,
    last: &'a Signed<Entry>,
    /// What follows.
    rest: &'a [Signed<Entry>],
}

impl Cover {
    /// What is covered in a batch of entries, which came in order. Whether whoever signed was the chair is for the log to
    /// see, when it takes them one after the other.
    #[must_use]
    pub fn of(entries: &[Signed<Entry>]) -> Self {
        let mut cover = Self::default();
        if entries.len() < LEAST {
            return cover;
        }
        let mut rest = entries;
        while let Some(run) = Run::first(rest) {
            rest = run.rest;
            if run.covered.is_empty() {
                continue;
            }
            // Whoever forges one is cut off at it; the others are not worth the time.
            if run.last.clone().verify().is_err() {
                break;
            }
            cover.hashes.extend(run.covered);
        }
        cover
    }

    /// Whether it covers nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether an entry of this hash is covered.
    #[must_use]
    pub fn holds(&self, hash: &[u8; 32]) -> bool {
        self.hashes.contains(hash)
    }
}

impl<'a> Run<'a> {
    /// The run at the beginning of these entries; `None` where nothing is left that can be read.
    fn first(entries: &'a [Signed<Entry>]) -> Option<Self> {
        let (last, rest) = entries.split_first()?;
        let mut run = Run {
            covered: BTreeSet::new(),
            last,
            rest,
        };
        let mut covering = last.peek().ok()?;
        while let Some((next, rest)) = run.rest.split_first() {
            let hash = Entry::hash(run.last);
            let goes_on = |entry: &Entry| {
                entry.previous == hash
                    && (entry.room, entry.term, entry.chair) == (covering.room, covering.term, covering.chair)
            };
            let Some(entry) = next.peek().ok().filter(goes_on) else {
                break;
            };
            run.covered.insert(hash);
            (run.last, run.rest, covering) = (next, rest, entry);
        }
        Some(run)
    }
}

impl Log {
    /// Up to which entry every signature was checked.
    #[must_use]
    pub fn verified(&self) -> u32 {
        let first = self.unverified.front();
        first.map_or(self.head().sequence, |first| first.saturating_sub(1))
    }

    /// Whether every signature in this log was checked.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.unverified.is_empty()
    }

    /// Checks the signatures of the next so many entries that were taken under a cover.
    ///
    /// # Errors
    /// [`EntryError`] says what is forged in the entry behind [`Log::verified`]: the log is not to be followed beyond
    /// that, and [`Log::proven`] has what is left of it.
    pub fn verify_behind(&mut self, most: usize) -> Result<(), EntryError> {
        for _ in 0..most {
            let Some(sequence) = self.unverified.front() else {
                return Ok(());
            };
            if let Some(entry) = self.entry(*sequence) {
                let action = entry.signed_action()?;
                let deed = Deed::of(&action)?;
                verify_entry(entry.signed().clone())?;
                verify_signed(&action, deed.carried.as_ref())?;
            }
            self.unverified.pop_front();
        }
        Ok(())
    }

    /// The log as far as every signature was checked.
    #[must_use]
    pub fn proven(&self) -> Self {
        self.rewound(self.verified())
    }
}
