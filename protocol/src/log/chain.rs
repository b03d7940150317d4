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
    room::{Genesis, RoomId},
    signed::{Signed, Verified},
};

mod check;
mod error;

pub(super) use self::check::Deed;
use self::check::{verify_actions, verify_entry};
pub use self::error::{EntryError, Equivocation};

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
    /// Whether the chair carried it over from a history that was given up.
    pub carried: bool,
    /// What its author was when it was done.
    pub author_role: Role,
    /// What the action does.
    pub act: Act,
    /// What that changed, in the order in which to act upon it.
    pub changes: Vec<Change>,
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

    /// The term under which the chair writes and sends beacons.
    #[must_use]
    pub fn term(&self) -> u32 {
        self.state.term()
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
            return self.handle_known(at, signed).map(|()| None);
        }
        let (entry, hash, candidate, action) = self.check_next(&entry, signed)?;
        if let Act::Unknown { kind, .. } = candidate.deed.act
            && kind & CRITICAL != 0
        {
            self.stopped_at = Some(kind);
            return Err(EntryError::UpdateNeeded { kind });
        }
        Ok(Some(self.commit(entry, hash, action, candidate.deed)))
    }

    /// Whether an entry could be taken next, without taking it.
    ///
    /// # Errors
    /// [`EntryError`] names the rule that it breaks.
    pub fn check_entry(&self, signed: &Signed<Entry>) -> Result<(), EntryError> {
        let entry = signed.peek()?;
        if entry.room != self.room {
            return Err(EntryError::WrongRoom);
        }
        self.check_next(&entry, signed.clone()).map(drop)
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
        let clock = clock_ms.max(self.state.clock()).min(limits::CLOCK_MS);
        let candidate = self.examine(action, clock)?;
        let takes_the_chair = matches!(candidate.deed.act, Act::Chair { .. });
        let (writer, term) = if takes_the_chair {
            (candidate.asks, self.term().saturating_add(1))
        } else {
            (self.state.chair(), self.term())
        };
        if chair.person() != writer || (!takes_the_chair && !self.state.has_chair()) {
            return Err(ActionError::NotTheChair);
        }
        self.check_act(&candidate, clock)?;
        let action = verify_actions(&candidate)?;
        let entry = Entry::new(
            self.room,
            self.head(),
            term,
            chair.person(),
            clock,
            &candidate.signed,
        );
        let entry = Verified::sign(entry, chair)?;
        let hash = Entry::hash(entry.signed());
        self.check_bounds(&candidate, &hash, size(entry.signed()))?;
        Ok(self.commit(entry, hash, action, candidate.deed))
    }

    /// Takes the chair: appends the entry that opens the next term. Whoever has the chair opens one too when it starts
    /// anew, so that its beacons are newer than those it sent before. `alone` says that the claimant knows of nobody else
    /// who is there.
    ///
    /// # Errors
    /// [`ActionError`] when this person does not stand in the line of succession, or the room has ended.
    pub fn claim(
        &mut self,
        claimant: &PersonKey,
        clock_ms: u64,
        alone: bool,
    ) -> Result<Applied, ActionError> {
        let clock = clock_ms.max(self.state.clock());
        let action = Action::new(
            self.room,
            claimant.person(),
            self.head(),
            clock,
            &Act::Chair { alone },
        );
        let action = Verified::sign(action, claimant)?;
        self.append(action.signed().clone(), claimant, clock)
    }

    /// Takes an act of moderation over from a history that was given up, as the chair of this log.
    ///
    /// # Errors
    /// [`ActionError`] says why it is not taken over.
    pub fn carry(
        &mut self,
        action: &Signed<Action>,
        chair: &PersonKey,
        clock_ms: u64,
    ) -> Result<Applied, ActionError> {
        let clock = clock_ms.max(self.state.clock());
        let carried = Act::Carried {
            action: action.to_bytes(),
        };
        let outer = Action::new(self.room, chair.person(), self.head(), clock, &carried);
        let outer = Verified::sign(outer, chair)?;
        self.append(outer.signed().clone(), chair, clock)
    }

    /// The hash of each entry, in order.
    pub(super) fn hashes(&self) -> &[[u8; 32]] {
        &self.hashes
    }

    /// Applies an entry that this history has applied before.
    pub(super) fn replay(&mut self, entry: &Verified<Entry>) {
        let signed = entry.signed_action().map_err(ActionError::from);
        let deed = signed.and_then(|signed| Deed::of(&signed));
        let Deed { action, id, act, .. } = deed.expect("a log took it, and so its action decodes");
        let hash = Entry::hash(entry.signed());
        self.state.apply(entry, hash, id, &action, &act);
        self.push(entry.clone(), hash);
    }

    fn push(&mut self, entry: Verified<Entry>, hash: [u8; 32]) {
        self.size += size(entry.signed());
        self.entries.push(entry);
        self.hashes.push(hash);
    }

    /// Compares an entry with the one that is here at its place.
    fn handle_known(&self, at: usize, signed: Signed<Entry>) -> Result<(), EntryError> {
        let ours = &self.entries[at];
        if Entry::hash(&signed) == self.hashes[at] {
            return Ok(());
        }
        let theirs = verify_entry(signed)?;
        if (theirs.term, theirs.chair) == (ours.term, ours.chair) {
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

    fn commit(
        &mut self,
        entry: Verified<Entry>,
        hash: [u8; 32],
        action: Verified<Action>,
        deed: Deed,
    ) -> Applied {
        let Deed { id, act, carried, .. } = deed;
        let author_role = self.state.role(action.author);
        let changes = self.state.apply(&entry, hash, id, &action, &act);
        self.push(entry.clone(), hash);
        Applied {
            entry,
            hash,
            action,
            id,
            carried: carried.is_some(),
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
