//! The chain: which entries a room's log takes, and which it refuses by name.
//!
//! Invariant: every entry in a [`Log`] was valid on the state before it, whatever order, duplicates or forgeries
//! came between; and its chair has signed it or a later one of the same term. Checks that cost nothing come first and
//! the two signatures last, so that a flood of bad entries is cheap; an error changes nothing (but see
//! [`EntryError::UpdateNeeded`]).

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};

use crate::{
    limits,
    log::{
        action::{Act, Action, ActionId, CRITICAL, Head},
        cover::Cover,
        entry::Entry,
        permissions::Role,
        snapshots::Snapshots,
        state::{ActionError, Change, State},
    },
    person::{Person, PersonKey},
    room::{Genesis, RoomId},
    signed::{Attested, Signed, Verified},
};

mod check;
mod error;

pub(super) use self::check::{Deed, verify_entry, verify_signed};
use self::check::{Proof, verify_actions};
pub use self::error::{EntryError, Equivocation};

/// A room's log: its genesis, every entry since, and the state they make.
#[derive(Debug, Clone)]
pub struct Log {
    room: RoomId,
    genesis: Verified<Genesis>,
    pub(super) entries: Vec<Attested<Entry>>,
    /// The hash of each entry.
    pub(super) hashes: Vec<[u8; 32]>,
    pub(super) state: State,
    /// Bytes of all entries as they travel.
    pub(super) size: usize,
    /// The kind of the critical act at which this log stopped, because this program does not know it.
    stopped_at: Option<u16>,
    /// Sequences of the entries that were taken under a [`Cover`], whose own signatures are still to be checked.
    pub(super) unverified: VecDeque<u32>,
    pub(super) snapshots: Snapshots,
}

/// An entry that the log took, read and believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The entry, to be written to disk and, once the log up to it is verified, passed on.
    pub entry: Attested<Entry>,
    /// Its hash.
    pub hash: [u8; 32],
    /// The action it carries.
    pub action: Attested<Action>,
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
            unverified: VecDeque::new(),
            snapshots: Snapshots::default(),
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
    pub fn entry(&self, sequence: u32) -> Option<&Attested<Entry>> {
        self.entries.get(index(sequence)?)
    }

    /// The entries that follow a sequence, in order: as many as fit in `max_bytes` as they travel.
    #[must_use]
    pub fn entries_after(&self, sequence: u32, max_bytes: usize) -> &[Attested<Entry>] {
        let following = self.entries.get(sequence as usize..).unwrap_or_default();
        let mut left = max_bytes;
        let fit = following
            .iter()
            .take_while(|entry| match left.checked_sub(Entry::size(entry.signed())) {
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
        self.take(signed, Proof::Signatures)
    }

    /// The same for an entry of a long history: where the cover holds it, its own signatures are not looked at now, and
    /// [`Log::verify_behind`] is owed for it.
    ///
    /// # Errors
    /// [`EntryError`] names the rule that it breaks.
    pub fn handle_covered(
        &mut self,
        signed: Signed<Entry>,
        cover: &Cover,
    ) -> Result<Option<Applied>, EntryError> {
        let is_covered = cover.holds(&Entry::hash(&signed));
        let proof = if is_covered {
            Proof::Cover
        } else {
            Proof::Signatures
        };
        self.take(signed, proof)
    }

    fn take(&mut self, signed: Signed<Entry>, proof: Proof) -> Result<Option<Applied>, EntryError> {
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
        let (entry, hash, candidate, action) = self.check_next(&entry, signed, proof)?;
        if let Act::Unknown { kind, .. } = candidate.deed.act
            && kind & CRITICAL != 0
        {
            self.stopped_at = Some(kind);
            return Err(EntryError::UpdateNeeded { kind });
        }
        if proof == Proof::Cover {
            self.unverified.push_back(entry.sequence);
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
        self.check_next(&entry, signed.clone(), Proof::Signatures)
            .map(drop)
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
        let action = verify_actions(&candidate)?.into();
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
        self.check_bounds(&candidate, &hash, Entry::size(entry.signed()))?;
        Ok(self.commit(entry.into(), hash, action, candidate.deed))
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

    /// Applies an entry that this history has applied before, with its hash.
    pub(super) fn replay(&mut self, entry: &Attested<Entry>, hash: [u8; 32]) {
        let signed = entry.signed_action().map_err(ActionError::from);
        let deed = signed.and_then(|signed| Deed::of(&signed));
        let Deed { action, id, act, .. } = deed.expect("a log took it, and so its action decodes");
        self.state.apply(entry, hash, id, &action, &act);
        self.push(entry.clone(), hash);
    }

    fn push(&mut self, entry: Attested<Entry>, hash: [u8; 32]) {
        let sequence = entry.sequence;
        self.size += Entry::size(entry.signed());
        self.entries.push(entry);
        self.hashes.push(hash);
        self.snapshots.note(sequence, self.size, &self.state);
    }

    /// Compares an entry with the one that is here at its place.
    fn handle_known(&self, at: usize, signed: Signed<Entry>) -> Result<(), EntryError> {
        let ours = &self.entries[at];
        if Entry::hash(&signed) == self.hashes[at] {
            return Ok(());
        }
        let theirs = verify_entry(signed)?;
        let sequence = theirs.sequence;
        if (theirs.term, theirs.chair) != (ours.term, ours.chair) {
            return Err(EntryError::Fork { sequence });
        }
        // Only what its chair has signed itself is proof against it.
        match verify_entry(ours.signed().clone()) {
            Ok(ours) => Err(EntryError::Equivocation(Box::new(Equivocation { ours, theirs }))),
            Err(_) => Err(EntryError::Fork { sequence }),
        }
    }

    fn commit(
        &mut self,
        entry: Attested<Entry>,
        hash: [u8; 32],
        action: Attested<Action>,
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
