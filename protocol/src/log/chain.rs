//! The chain: which entries a room's log takes, and which it refuses by name.
//!
//! Invariant: every entry in a [`Log`] was valid on the state before it, whatever order, duplicates or forgeries
//! came between. Checks that cost nothing come first and the two signatures last, so that a flood of bad entries
//! is cheap; an error changes nothing (but see [`EntryError::UpdateNeeded`]).

use alloc::{boxed::Box, vec::Vec};

use crate::{
    limits,
    log::{
        action::{Act, Action, ActionId, CRITICAL, Head},
        entry::Entry,
        permissions::Role,
        state::{ActionError, Change, State},
    },
    person::{Person, PersonKey},
    reason::Reason,
    room::{Genesis, RoomId},
    signed::{Malformed, Signed, StatementError, Verified},
};

/// What an envelope adds to its payload at most: 64 bytes of signature and 3 of length.
const ENVELOPE: usize = 67;

/// A room's log: its genesis, every entry since, and the state they make.
#[derive(Debug, Clone)]
pub struct Log {
    room: RoomId,
    genesis: Verified<Genesis>,
    entries: Vec<Verified<Entry>>,
    /// The hash of each entry.
    hashes: Vec<[u8; 32]>,
    state: State,
    /// The term under which this log's own chair appends; never below that of the newest entry.
    chairs_term: u32,
    /// Bytes of all entries as they travel.
    size: usize,
    /// The kind of the critical act at which this log stopped, because this program does not know it.
    stopped_at: Option<u16>,
}

/// An entry that the log took, read and believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The entry, to be written to disk and passed on.
    pub entry: Verified<Entry>,
    /// Its hash.
    pub hash: [u8; 32],
    /// The action it carries.
    pub action: Verified<Action>,
    /// The id of that action, for the verdict to its author.
    pub id: ActionId,
    /// What its author was when it was done.
    pub author_role: Role,
    /// What the action does.
    pub act: Act,
    /// What that changed, in the order in which to act upon it.
    pub changes: Vec<Change>,
}

/// Two entries with one sequence and one term, both signed by the chair: proof that it told two stories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// The entry that this log holds.
    pub ours: Verified<Entry>,
    /// The entry that came.
    pub theirs: Verified<Entry>,
}

/// Why an entry was not taken. The log is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The bytes are no entry: the sender is at fault.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The entry is another room's: the sender is at fault.
    #[error("the entry belongs to another room")]
    WrongRoom,
    /// Entries before it are missing: nobody's fault; ask for what follows `after`.
    #[error("entry {sequence} came, but the newest here is {after}: ask for those between")]
    Gap {
        /// The newest sequence here.
        after: u32,
        /// The sequence that came.
        sequence: u32,
    },
    /// The chair signed an entry that continues another chain than this log's: its history and ours part before
    /// `sequence`. A retry does not help.
    #[error("entry {sequence} continues another history than ours")]
    Fork {
        /// The sequence that came.
        sequence: u32,
    },
    /// The chair signed two entries with one sequence and one term: the chair is at fault, and this is the proof.
    #[error("the chair signed two entries with sequence {} and term {}", .0.ours.sequence, .0.ours.term)]
    Equivocation(Box<Equivocation>),
    /// Its term or its clock is lower than that of the entry before it: its chair is at fault.
    #[error("the {what} of entry {sequence} is lower than that of the entry before it")]
    Fell {
        /// `term` or `clock`.
        what: &'static str,
        /// The sequence that came.
        sequence: u32,
    },
    /// Somebody else than the chair wrote it: forged, or from a chair of a time that this log has not seen.
    #[error("the entry was not written by the chair")]
    NotTheChair,
    /// The signature is not the chair's: forged on the way.
    #[error("the entry is not signed by its chair")]
    Signature,
    /// The chair wrote down an action that is not valid here: the chair, or whoever forged its name, is at fault.
    #[error("the entry carries an action that is not valid: {0}")]
    Action(#[from] ActionError),
    /// A rightful entry holds a critical act that this program does not know. The log stops before it for good:
    /// say that an update is needed, and relay no more sound in this room.
    #[error("the room uses action {kind:#06x}, which this program does not know: an update is needed")]
    UpdateNeeded {
        /// The kind.
        kind: u16,
    },
}

/// An action that passed the checks that need no signature.
struct Candidate {
    signed: Signed<Action>,
    action: Action,
    id: ActionId,
    act: Act,
}

impl Log {
    /// A log that holds only its genesis.
    #[must_use]
    pub fn new(genesis: Verified<Genesis>) -> Self {
        Self {
            room: RoomId::of(&genesis),
            state: State::new(&genesis),
            genesis,
            entries: Vec::new(),
            hashes: Vec::new(),
            chairs_term: 0,
            size: 0,
            stopped_at: None,
        }
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// Its genesis.
    #[must_use]
    pub fn genesis(&self) -> &Verified<Genesis> {
        &self.genesis
    }

    /// The newest entry's place.
    #[must_use]
    pub fn head(&self) -> Head {
        match (self.entries.last(), self.hashes.last()) {
            (Some(entry), Some(hash)) => Head {
                sequence: entry.sequence,
                hash: *hash,
            },
            _ => Head::genesis(self.room),
        }
    }

    /// The room as the log makes it.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The term under which the chair writes and sends beacons: that of the newest entry, or a higher one that
    /// [`Log::open_term`] opened here.
    #[must_use]
    pub fn term(&self) -> u32 {
        self.chairs_term.max(self.state.term())
    }

    /// The kind of the critical act at which the log stopped, if it did: an update of the program is needed.
    #[must_use]
    pub fn stopped_at(&self) -> Option<u16> {
        self.stopped_at
    }

    /// One entry; `None` for the genesis and for what is not here.
    #[must_use]
    pub fn entry(&self, sequence: u32) -> Option<&Verified<Entry>> {
        self.entries.get(index(sequence)?)
    }

    /// The entries that follow a sequence, in order: as many as fit in `max_bytes` as they travel.
    #[must_use]
    pub fn entries_after(&self, sequence: u32, max_bytes: usize) -> &[Verified<Entry>] {
        let following = self.entries.get(sequence as usize..).unwrap_or_default();
        let mut left = max_bytes;
        let fit = following
            .iter()
            .take_while(|entry| match left.checked_sub(size(entry.signed())) {
                Some(rest) => {
                    left = rest;
                    true
                }
                None => false,
            })
            .count();
        &following[..fit]
    }

    /// Takes an entry from a neighbour or a file. `Ok(None)` says that it is here already.
    ///
    /// # Errors
    /// [`EntryError`] names the rule that it breaks.
    pub fn handle_entry(&mut self, signed: Signed<Entry>) -> Result<Option<Applied>, EntryError> {
        if let Some(kind) = self.stopped_at {
            return Err(EntryError::UpdateNeeded { kind });
        }
        let entry = signed.peek()?;
        if entry.room != self.room {
            return Err(EntryError::WrongRoom);
        }
        if let Some(at) = index(entry.sequence).filter(|at| *at < self.entries.len()) {
            return self.handle_known(at, &entry, signed).map(|()| None);
        }
        self.check_place(&entry, &signed)?;
        let candidate = self.examine(entry.signed_action()?, entry.clock)?;
        let hash = Entry::hash(&signed);
        match self.check_act(&candidate, entry.clock) {
            // Only a program that knows a kind can judge it, and the chair that wrote it down did.
            Ok(()) | Err(ActionError::Unsupported { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.check_entry(&candidate.act, &hash, size(&signed))?;
        let entry = verify_entry(signed)?;
        let action = verify_action(candidate.signed)?;
        if let Act::Unknown { kind, .. } = candidate.act
            && kind & CRITICAL != 0
        {
            self.stopped_at = Some(kind);
            return Err(EntryError::UpdateNeeded { kind });
        }
        Ok(Some(self.commit(
            entry,
            hash,
            action,
            candidate.id,
            candidate.act,
        )))
    }

    /// Appends an action as the chair of this log, at `clock_ms` of the room clock (or at the clock of the newest
    /// entry, if that is later).
    ///
    /// # Errors
    /// [`ActionError`] says why its author is refused; [`ActionError::reason`] is what the author is told.
    pub fn append(
        &mut self,
        action: Signed<Action>,
        chair: &PersonKey,
        clock_ms: u64,
    ) -> Result<Applied, ActionError> {
        if let Some(kind) = self.stopped_at {
            return Err(ActionError::Unsupported { kind });
        }
        if chair.person() != self.state.chair() {
            return Err(ActionError::NotTheChair);
        }
        let clock = clock_ms.max(self.state.clock());
        let candidate = self.examine(action, clock)?;
        self.check_act(&candidate, clock)?;
        let action = verify_action(candidate.signed.clone())?;
        let entry = Entry::new(
            self.room,
            self.head(),
            self.term(),
            chair.person(),
            clock,
            &candidate.signed,
        );
        let entry = Verified::sign(entry, chair)?;
        let hash = Entry::hash(entry.signed());
        self.check_entry(&candidate.act, &hash, size(entry.signed()))?;
        Ok(self.commit(entry, hash, action, candidate.id, candidate.act))
    }

    /// Opens a term: what the chair appends from now on bears it. A chair that starts anew opens one above every
    /// term that it has heard of, so that its beacons are newer than those it sent before.
    pub fn open_term(&mut self, term: u32) {
        self.chairs_term = self.chairs_term.max(term);
    }

    /// Compares an entry with the one that is here at its place.
    fn handle_known(&self, at: usize, entry: &Entry, signed: Signed<Entry>) -> Result<(), EntryError> {
        let ours = &self.entries[at];
        if Entry::hash(&signed) == self.hashes[at] {
            return Ok(());
        }
        if entry.chair != ours.chair {
            return Err(EntryError::NotTheChair);
        }
        let theirs = verify_entry(signed)?;
        if theirs.term == ours.term {
            Err(EntryError::Equivocation(Box::new(Equivocation {
                ours: ours.clone(),
                theirs,
            })))
        } else {
            Err(EntryError::Fork {
                sequence: theirs.sequence,
            })
        }
    }

    /// Whether an entry is the next of this chain, by everything but its action.
    fn check_place(&self, entry: &Entry, signed: &Signed<Entry>) -> Result<(), EntryError> {
        let (head, sequence) = (self.head(), entry.sequence);
        if sequence - 1 > head.sequence {
            return Err(EntryError::Gap {
                after: head.sequence,
                sequence,
            });
        }
        if entry.chair != self.state.chair() {
            return Err(EntryError::NotTheChair);
        }
        if entry.previous != head.hash {
            verify_entry(signed.clone())?;
            return Err(EntryError::Fork { sequence });
        }
        if entry.term < self.state.term() {
            return Err(EntryError::Fell {
                what: "term",
                sequence,
            });
        }
        if entry.clock < self.state.clock() {
            return Err(EntryError::Fell {
                what: "clock",
                sequence,
            });
        }
        Ok(())
    }

    /// Every check of an action that needs neither its signature nor the state of the room.
    fn examine(&self, signed: Signed<Action>, clock_ms: u64) -> Result<Candidate, ActionError> {
        let action = signed.peek()?;
        if action.room != self.room {
            return Err(ActionError::WrongRoom);
        }
        let id = ActionId::of(&signed);
        self.state.check_freshness(id, &action, clock_ms)?;
        let act = action.act()?;
        Ok(Candidate {
            signed,
            action,
            id,
            act,
        })
    }

    /// Whether the room lets its author do this now.
    fn check_act(&self, candidate: &Candidate, clock_ms: u64) -> Result<(), ActionError> {
        let act = &candidate.act;
        self.state
            .check(candidate.action.author, act, clock_ms)
            .map_err(|reason| match act {
                Act::Unknown { kind, .. } if reason == Reason::Unsupported => {
                    ActionError::Unsupported { kind: *kind }
                }
                _ => ActionError::Refused(reason),
            })
    }

    /// Whether the act may stand in an entry of this hash and size.
    fn check_entry(&self, act: &Act, hash: &[u8; 32], size: usize) -> Result<(), ActionError> {
        self.state.check_tag(act, hash).map_err(ActionError::Refused)?;
        if self.size.saturating_add(size) > limits::LOG && *act != Act::End {
            return Err(ActionError::Refused(Reason::Full));
        }
        Ok(())
    }

    fn commit(
        &mut self,
        entry: Verified<Entry>,
        hash: [u8; 32],
        action: Verified<Action>,
        id: ActionId,
        act: Act,
    ) -> Applied {
        let author_role = self.state.role(action.author);
        let changes = self.state.apply(&entry, hash, id, &action, &act);
        self.size += size(entry.signed());
        self.entries.push(entry.clone());
        self.hashes.push(hash);
        Applied {
            entry,
            hash,
            action,
            id,
            author_role,
            act,
            changes,
        }
    }
}

impl Applied {
    /// Who did it.
    #[must_use]
    pub fn author(&self) -> Person {
        self.action.author
    }

    /// The person whom it changed; `None` when it was about the room.
    #[must_use]
    pub fn subject(&self) -> Option<Person> {
        self.act.subject(self.action.author)
    }
}

/// Where an entry stands in the list; `None` for the genesis.
fn index(sequence: u32) -> Option<usize> {
    sequence.checked_sub(1).map(|at| at as usize)
}

/// Bytes of an entry as it travels, at most.
fn size(signed: &Signed<Entry>) -> usize {
    signed.payload().len() + ENVELOPE
}

fn verify_entry(signed: Signed<Entry>) -> Result<Verified<Entry>, EntryError> {
    signed.verify().map_err(|error| match error {
        StatementError::Malformed(malformed) => malformed.into(),
        StatementError::Signature(_) => EntryError::Signature,
    })
}

fn verify_action(signed: Signed<Action>) -> Result<Verified<Action>, ActionError> {
    signed.verify().map_err(|error| match error {
        StatementError::Malformed(malformed) => malformed.into(),
        StatementError::Signature(_) => ActionError::Signature,
    })
}
