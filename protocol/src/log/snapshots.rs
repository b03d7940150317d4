//! The room as it was: to look at an earlier point of a log without folding all that came before.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};

use crate::log::{chain::Log, state::State};

/// Entries between two snapshots, of a log that is short enough for that. Folding so many takes about a millisecond.
const EVERY: u32 = 256;

/// Most snapshots that are kept: of a log of 40,000 entries one every 4,096. The state of a large room takes some 100 KB.
const MOST: usize = 16;

/// States of a log at points that lie evenly apart.
#[derive(Debug, Clone)]
pub(super) struct Snapshots {
    every: u32,
    kept: Vec<Snapshot>,
}

/// What a log was once an entry had been applied.
#[derive(Debug, Clone)]
struct Snapshot {
    sequence: u32,
    /// Bytes of all entries.
    size: usize,
    state: Arc<State>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            every: EVERY,
            kept: Vec::new(),
        }
    }
}

impl Snapshots {
    /// Notes what an entry has made of the room. Where there are too many, every second one goes.
    pub(super) fn note(&mut self, sequence: u32, size: usize, state: &State) {
        if !sequence.is_multiple_of(self.every) {
            return;
        }
        let state = Arc::new(state.clone());
        self.kept.push(Snapshot {
            sequence,
            size,
            state,
        });
        if self.kept.len() > MOST {
            self.every = self.every.saturating_mul(2);
            let every = self.every;
            self.kept.retain(|kept| kept.sequence.is_multiple_of(every));
        }
    }
}

impl Log {
    /// This log as it was when `sequence` was its newest entry.
    pub(super) fn rewound(&self, sequence: u32) -> Self {
        let mut log = Self::new(self.genesis().clone());
        let mut snapshots = self.snapshots.clone();
        snapshots.kept.retain(|kept| kept.sequence <= sequence);
        if let Some(Snapshot {
            sequence,
            size,
            state,
        }) = snapshots.kept.last()
        {
            let at = *sequence as usize;
            log.entries = self.entries[..at].to_vec();
            log.hashes = self.hashes[..at].to_vec();
            (log.size, log.state) = (*size, State::clone(state));
        }
        log.snapshots = snapshots;
        let from = log.entries.len();
        let to = self.entries.len().min(sequence as usize);
        for (entry, hash) in self.entries[from..to].iter().zip(&self.hashes[from..to]) {
            log.replay(entry, *hash);
        }
        let unverified = self.unverified.iter().copied();
        log.unverified = unverified
            .filter(|entry| *entry <= sequence)
            .collect::<VecDeque<_>>();
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::{Act, Action, BranchError, Entry, EntryError, Head},
        person::PersonKey,
        room::Genesis,
        signed::{Signed, Verified},
        text::Text,
    };

    fn key(seed: u8) -> PersonKey {
        PersonKey::from_seed(&[seed; 32])
    }

    /// A log of a host, seed 1, who renames the room so often.
    fn renamed(times: u32) -> Log {
        let genesis = Genesis::new(key(1).person(), "Poems", [0; 16]);
        let mut log = Log::new(Verified::sign(genesis, &key(1)).expect("valid"));
        for _ in 0..times {
            let entry = renames(&log, log.head(), 1);
            log.handle_entry(entry).expect("the host may");
        }
        log
    }

    /// How somebody would go on behind an entry.
    fn renames(log: &Log, after: Head, by: u8) -> Signed<Entry> {
        let key = key(by);
        let title = Text::clean(&alloc::format!("{by} {}", after.sequence));
        let action = Action::new(log.room(), key.person(), after, 0, &Act::Title { title });
        let action = Verified::sign(action, &key).expect("valid");
        let entry = Entry::new(log.room(), after, 0, key.person(), 0, action.signed());
        Verified::sign(entry, &key).expect("valid").signed().clone()
    }

    fn head_at(log: &Log, sequence: u32) -> Head {
        let hash = log.hash_at(sequence).expect("it is there");
        Head { sequence, hash }
    }

    /// Puts what cannot be folded in the place of an entry.
    fn spoil(log: &mut Log, sequence: u32) {
        let at = sequence as usize - 1;
        let entry = Entry {
            action: bytes::Bytes::new(),
            ..Entry::clone(&log.entries[at])
        };
        log.entries[at] = Verified::sign(entry, &key(1)).expect("valid").into();
    }

    #[test]
    fn a_log_that_goes_back_is_what_it_was() {
        let log = renamed(2 * EVERY + 10);
        for sequence in [0, 1, EVERY - 1, EVERY, EVERY + 1, 2 * EVERY, 2 * EVERY + 10] {
            let (back, then) = (log.rewound(sequence), renamed(sequence));
            assert_eq!(back.head(), then.head(), "{sequence}");
            assert_eq!((back.state(), back.size), (then.state(), then.size));
            assert_eq!(back.entries, then.entries);
        }
    }

    #[test]
    fn to_go_back_a_little_in_a_long_log_folds_a_little() {
        let mut log = renamed(EVERY + 40);
        spoil(&mut log, 1);
        let other = renames(&log, head_at(&log, EVERY + 30), 1);
        assert!(log.judge(&[other]).is_ok());
    }

    #[test]
    fn an_entry_of_who_never_could_have_the_chair_is_refused_before_anything_is_folded() {
        let mut log = renamed(40);
        spoil(&mut log, 1);
        let refused = |entry| log.judge(&[entry]).map(drop);
        let not_the_chair = Err(BranchError::Entry(EntryError::NotTheChair));
        let after = head_at(&log, 30);
        assert_eq!(refused(renames(&log, after, 9)), not_the_chair);
        let claim = Action::new(
            log.room(),
            key(9).person(),
            after,
            0,
            &Act::Chair { alone: false },
        );
        let claim = Verified::sign(claim, &key(9)).expect("valid");
        let entry = Entry::new(log.room(), after, 1, key(9).person(), 0, claim.signed());
        let entry = Verified::sign(entry, &key(9)).expect("valid");
        assert_eq!(refused(entry.signed().clone()), not_the_chair);
        let mut late = renames(&log, after, 1).peek().expect("well-formed");
        late.term = 3;
        let late = Verified::sign(late, &key(1)).expect("valid");
        let error = refused(late.signed().clone());
        assert!(
            matches!(error, Err(BranchError::Entry(EntryError::Term { .. }))),
            "{error:?}"
        );
    }

    #[test]
    fn however_long_a_log_is_its_snapshots_are_few_and_lie_evenly() {
        let log = renamed(0);
        let mut snapshots = Snapshots::default();
        for sequence in 1..=40_000 {
            snapshots.note(sequence, 0, log.state());
        }
        let kept: Vec<u32> = snapshots.kept.iter().map(|kept| kept.sequence).collect();
        assert!((MOST / 2..=MOST).contains(&kept.len()), "{kept:?}");
        assert!(
            kept.windows(2).all(|two| two[1] - two[0] == snapshots.every),
            "{kept:?}"
        );
        assert_eq!(kept.first(), Some(&snapshots.every));
    }
}
