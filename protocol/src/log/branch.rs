//! Histories that part: how a log judges another one, and which of the two everybody follows (SPEC.md section 7).
//!
//! A room that falls into two parts has two chairs for a while, and two histories with a common beginning. Each member
//! compares them by the same rule once it holds both, so that all end with one. What ranks higher wins: the history
//! whose best chair stands nearer to the beginning of the line, as the last common entry has it; of one chair's, that
//! with the higher term; of one term's, that whose first entry of its own has the smaller hash. Whoever either of the
//! two proves to have told two stories, or shows to have been put out of the line by the host, counts for nothing in
//! both: a chair cannot undo its fall by writing on from before it. Nor does it count that somebody took the chair with
//! nobody there: a host that opens its room again and does not find it does not undo what the room did meanwhile.
//!
//! Invariant: nothing of another history is believed before every entry of it was checked as if it had come first.

use alloc::{collections::BTreeSet, vec::Vec};
use core::cmp::Reverse;

use crate::{
    log::{
        action::{Act, Action, Head, kind},
        chain::{Applied, Deed, EntryError, Log},
        entry::Entry,
        state::{ActionError, State},
    },
    person::Person,
    signed::{Attested, Signed},
};

/// Another history of a room, checked to its end.
#[derive(Debug)]
pub struct Branch {
    /// The last entry that both have.
    common: u32,
    log: Log,
    applied: Vec<Applied>,
    is_better: bool,
    /// The best rank of its chairs in our line as it is now.
    best: Option<usize>,
}

/// Why another history was not judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BranchError {
    /// Its first entry does not continue any of ours: nobody's fault; ask for what follows an earlier one.
    #[error("entry {first} continues none of ours: ask for those before it")]
    Detached {
        /// The sequence of its first entry.
        first: u32,
    },
    /// An entry of it is not valid: the sender is at fault.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// How a history ranks: the smaller is followed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    rank: usize,
    term: Reverse<u32>,
    hash: [u8; 32],
}

impl Branch {
    /// The last entry that both histories have.
    #[must_use]
    pub fn common(&self) -> u32 {
        self.common
    }

    /// Whether everybody follows this one instead of ours. One that merely goes on where ours ends is better.
    #[must_use]
    pub fn is_better(&self) -> bool {
        self.is_better
    }

    /// Where the best of those who wrote it stands in our line as it is now; `None` for nobody who stands in it.
    #[must_use]
    pub fn best_rank(&self) -> Option<usize> {
        self.best
    }

    /// The kind of a critical act that this program does not know, at which it was read no further.
    #[must_use]
    pub fn stopped_at(&self) -> Option<u16> {
        self.log.stopped_at()
    }

    /// The entries that ours does not have.
    #[must_use]
    pub fn entries(&self) -> &[Attested<Entry>] {
        self.log.entries_after(self.common, usize::MAX)
    }

    /// The room as it makes it.
    #[must_use]
    pub fn state(&self) -> &State {
        self.log.state()
    }

    /// What they did, one after the other.
    #[must_use]
    pub fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// The whole of it, to take the place of ours.
    #[must_use]
    pub fn into_log(self) -> Log {
        self.log
    }
}

impl Log {
    /// The hash of an entry; the room id for the genesis; `None` for what is not here.
    #[must_use]
    pub fn hash_at(&self, sequence: u32) -> Option<[u8; 32]> {
        match sequence.checked_sub(1) {
            None => Some(self.room().0),
            Some(at) => self.hashes().get(at as usize).copied(),
        }
    }

    /// Whether a head is an entry of this very history.
    #[must_use]
    pub fn holds(&self, head: Head) -> bool {
        self.hash_at(head.sequence) == Some(head.hash)
    }

    /// Judges another history by its entries: one after the other, the first of which continues one of ours.
    ///
    /// # Errors
    /// [`BranchError`] says whether more is to be asked for, or who is at fault.
    pub fn judge(&self, entries: &[Signed<Entry>]) -> Result<Branch, BranchError> {
        let mut parted = entries.iter().skip_while(|signed| {
            let known = |entry: Entry| self.hash_at(entry.sequence) == Some(Entry::hash(signed));
            signed.peek().is_ok_and(known)
        });
        let own = parted.clone();
        let common = match parted.next() {
            None => self.head().sequence,
            Some(signed) => {
                let first = signed.peek().map_err(EntryError::from)?;
                let common = first.sequence.saturating_sub(1);
                if self.hash_at(common) != Some(first.previous) {
                    let first = first.sequence;
                    return Err(BranchError::Detached { first });
                }
                common
            }
        };
        if let Some(first) = own.clone().next() {
            self.check_first(common, first)?;
        }
        let mut log = self.rewound(common);
        let start = log.state().clone();
        let mut applied = Vec::new();
        for signed in own {
            match log.handle_entry(signed.clone()) {
                Ok(entry) => applied.extend(entry),
                // What comes before it ranks all the same, and only a better one is worth an update.
                Err(EntryError::UpdateNeeded { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let fallen: BTreeSet<Person> = [self, &log]
            .into_iter()
            .flat_map(|log| fallen(log, common, &start))
            .collect();
        let theirs = standing(&log, common, &start, &fallen);
        let is_better = match (standing(self, common, &start, &fallen), theirs) {
            (Some(ours), Some(theirs)) => theirs < ours,
            (ours, theirs) => ours.is_none() && theirs.is_some(),
        };
        let own = log.entries_after(common, usize::MAX).iter();
        let best = own.filter_map(|entry| self.state().rank(entry.chair)).min();
        Ok(Branch {
            common,
            log,
            applied,
            is_better,
            best,
        })
    }

    /// What can be said of the first entry of another history without the state at the last common one: anybody can sign
    /// one that continues ours, and to go back there takes a while.
    fn check_first(&self, common: u32, first: &Signed<Entry>) -> Result<(), EntryError> {
        let entry = first.peek()?;
        let action = entry.signed_action()?.peek().map_err(ActionError::from)?;
        let before = self.entry(common);
        let (chair, term) = before.map_or((self.state().host(), 0), |entry| (entry.chair, entry.term));
        let (is_chairs, right) = if action.kind == kind::CHAIR {
            let may = entry.chair == action.author && self.state().stood_in_line(entry.chair);
            (may, term.saturating_add(1))
        } else {
            (entry.chair == chair, term)
        };
        if !is_chairs {
            return Err(EntryError::NotTheChair);
        }
        if entry.term != right {
            let (sequence, term) = (entry.sequence, entry.term);
            return Err(EntryError::Term {
                sequence,
                term,
                right,
            });
        }
        Ok(())
    }
}

/// Who stood in the line at `common` and fell out of it in this history: because it told two stories, or by the host's
/// own word.
fn fallen(log: &Log, common: u32, at: &State) -> Vec<Person> {
    let host = at.host();
    let exposed = log.state().exposed().iter().copied();
    let mut fallen: Vec<Person> = exposed.filter(|person| *person != host).collect();
    for entry in log.entries_after(common, usize::MAX) {
        let Ok((action, act)) = deed(entry) else {
            continue;
        };
        let is_by_the_host = action.peek().is_ok_and(|action| action.author == host);
        let out_of_line = |person: &Person| at.rank(*person).is_some() && log.state().rank(*person).is_none();
        fallen.extend(act.subject(host).filter(|_| is_by_the_host).filter(out_of_line));
    }
    fallen
}

/// How what follows `common` ranks by the state there, without those who fell; `None` when nothing follows.
fn standing(log: &Log, common: u32, at: &State, fallen: &BTreeSet<Person>) -> Option<Standing> {
    let own = log.entries_after(common, usize::MAX);
    let is_idle = |entry: &Entry| deed(entry).is_ok_and(|(_, act)| act == Act::Chair { alone: true });
    let rank = |entry: &Attested<Entry>| {
        let counts = !fallen.contains(&entry.chair) && !is_idle(entry);
        at.rank(entry.chair).filter(|_| counts).unwrap_or(usize::MAX)
    };
    Some(Standing {
        rank: own.iter().map(rank).min()?,
        term: Reverse(own.last()?.term),
        hash: log.hash_at(common.checked_add(1)?)?,
    })
}

/// The action that an entry applied, and what is sent to have it applied again.
///
/// # Errors
/// [`EntryError`] for an entry that no log has taken.
pub fn deed(entry: &Entry) -> Result<(Signed<Action>, Act), EntryError> {
    let signed = entry.signed_action()?;
    let deed = Deed::of(&signed)?;
    Ok((deed.carried.unwrap_or(signed), deed.act))
}
