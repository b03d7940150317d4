//! The chain: which entries a room's log takes, and which it refuses by name.
//!
//! Invariant: every entry in a [`Log`] was valid on the state before it, whatever order, duplicates or forgeries
//! came between. Checks that cost nothing come first and the two signatures last, so that a flood of bad entries
//! is cheap; an error changes nothing (but see [`EntryError::UpdateNeeded`]).

use alloc::{boxed::Box, vec::Vec};

use crate::{
    limits,
    log::{
        action::{Act, Action, ActionId, CRITICAL, Head, kind},
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
    /// Its clock is lower than that of the entry before it: its chair is at fault.
    #[error("the clock of entry {sequence} is lower than that of the entry before it")]
    Fell {
        /// The sequence that came.
        sequence: u32,
    },
    /// Its clock is later than any room's: its chair is at fault.
    #[error("the clock of entry {sequence} is later than any room lives")]
    TooLate {
        /// The sequence that came.
        sequence: u32,
    },
    /// Its term is not the one it must have: the present one, or the next for whoever takes the chair. Its chair is at
    /// fault.
    #[error("entry {sequence} has term {term}, where {right} is right")]
    Term {
        /// The sequence that came.
        sequence: u32,
        /// Its term.
        term: u32,
        /// The right one.
        right: u32,
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
    /// As it stands in the entry.
    signed: Signed<Action>,
    /// Who asked for the entry: whoever carries, or the author itself.
    asks: Person,
    deed: Deed,
}

/// What an entry does: its action, or the one that it carries.
pub(super) struct Deed {
    pub(super) action: Action,
    pub(super) id: ActionId,
    pub(super) act: Act,
    /// The action whose author answers for it, when another one stands in the entry.
    pub(super) carried: Option<Signed<Action>>,
}

/// An entry that passed every check, with its hash and its action.
type Checked = (Verified<Entry>, [u8; 32], Candidate, Verified<Action>);

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

    /// Every check of the entry that comes next: its place, its act, and the signatures at last.
    fn check_next(&self, entry: &Entry, signed: Signed<Entry>) -> Result<Checked, EntryError> {
        self.check_place(entry, &signed)?;
        let candidate = self.examine(entry.signed_action()?, entry.clock)?;
        let hash = Entry::hash(&signed);
        match self.check_act(&candidate, entry.clock) {
            // Only a program that knows a kind can judge it, and the chair that wrote it down did.
            Ok(()) | Err(ActionError::Unsupported { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.check_bounds(&candidate, &hash, size(&signed))?;
        let entry = verify_entry(signed)?;
        let action = verify_actions(&candidate)?;
        Ok((entry, hash, candidate, action))
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
        if entry.previous != head.hash {
            verify_entry(signed.clone())?;
            return Err(EntryError::Fork { sequence });
        }
        let action = entry.signed_action()?.peek().map_err(ActionError::from)?;
        let (writer, right) = if action.kind == kind::CHAIR {
            (action.author, self.term().saturating_add(1))
        } else {
            (self.state.chair(), self.term())
        };
        if entry.chair != writer || (action.kind != kind::CHAIR && !self.state.has_chair()) {
            return Err(EntryError::NotTheChair);
        }
        if entry.term != right {
            let term = entry.term;
            return Err(EntryError::Term {
                sequence,
                term,
                right,
            });
        }
        if entry.clock < self.state.clock() {
            return Err(EntryError::Fell { sequence });
        }
        if entry.clock > limits::CLOCK_MS {
            return Err(EntryError::TooLate { sequence });
        }
        Ok(())
    }

    /// Every check of an action that needs neither its signature nor the state of the room.
    fn examine(&self, signed: Signed<Action>, clock_ms: u64) -> Result<Candidate, ActionError> {
        let action = signed.peek()?;
        if action.room != self.room {
            return Err(ActionError::WrongRoom);
        }
        self.state
            .check_freshness(ActionId::of(&signed), &action, clock_ms)?;
        let asks = action.author;
        let deed = Deed::of(&signed)?;
        if deed.carried.is_some() {
            if deed.action.room != self.room {
                return Err(ActionError::WrongRoom);
            }
            self.state.check_carried(deed.id, &deed.action, clock_ms)?;
        }
        Ok(Candidate { signed, asks, deed })
    }

    /// Whether the room lets its author do this now.
    fn check_act(&self, candidate: &Candidate, clock_ms: u64) -> Result<(), ActionError> {
        let Deed {
            act, action, carried, ..
        } = &candidate.deed;
        if let Some(carried) = carried {
            let action = carried.to_bytes();
            self.state
                .check(candidate.asks, &Act::Carried { action }, clock_ms)
                .map_err(ActionError::Refused)?;
        }
        if let Act::Exposed { entry } = act {
            self.check_proof(entry)?;
        }
        self.state
            .check(action.author, act, clock_ms)
            .map_err(|reason| match act {
                Act::Unknown { kind, .. } if reason == Reason::Unsupported => {
                    ActionError::Unsupported { kind: *kind }
                }
                _ => ActionError::Refused(reason),
            })
    }

    /// Whether an entry proves that its chair told two stories: another one of the same term stands here at its place. Its
    /// signature is checked here, as that of the entry around it is not yet: a proof is looked at once a room.
    fn check_proof(&self, proof: &[u8]) -> Result<(), ActionError> {
        let signed: Signed<Entry> = Signed::from_bytes(proof)?;
        let entry = signed.peek()?;
        let ours = self.entry(entry.sequence);
        let contradicts = ours.is_some_and(|ours| {
            (ours.room, ours.term, ours.chair) == (entry.room, entry.term, entry.chair)
                && ours.signed().payload() != signed.payload()
        });
        if !contradicts || self.state.exposed().contains(&entry.chair) {
            return Err(ActionError::Refused(Reason::NoSuchSubject));
        }
        match signed.verify() {
            Ok(_) => Ok(()),
            Err(_) => Err(ActionError::Signature),
        }
    }

    /// Whether the act may stand in an entry of this hash and size.
    fn check_bounds(&self, candidate: &Candidate, hash: &[u8; 32], size: usize) -> Result<(), ActionError> {
        let act = &candidate.deed.act;
        self.state.check_tag(act, hash).map_err(ActionError::Refused)?;
        let most = if candidate.asks == self.state.host() {
            limits::LOG
        } else {
            limits::LOG - limits::LOG_OF_THE_HOST
        };
        if self.size.saturating_add(size) > most && *act != Act::End {
            return Err(ActionError::Refused(Reason::Full));
        }
        Ok(())
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

impl Deed {
    /// What an action that stands in an entry does.
    pub(super) fn of(signed: &Signed<Action>) -> Result<Self, ActionError> {
        let action = signed.peek()?;
        let act = action.act()?;
        let Act::Carried { action: inner } = &act else {
            return Ok(Self {
                id: ActionId::of(signed),
                action,
                act,
                carried: None,
            });
        };
        let inner = Signed::from_bytes(inner)?;
        let action: Action = inner.peek()?;
        let act = action.act()?;
        if !act.restricts() {
            return Err(ActionError::Refused(Reason::NotAllowed));
        }
        Ok(Self {
            id: ActionId::of(&inner),
            action,
            act,
            carried: Some(inner),
        })
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

/// Checks the signatures of an action and of what it carries; the action whose author answers for it.
fn verify_actions(candidate: &Candidate) -> Result<Verified<Action>, ActionError> {
    let action = verify_action(candidate.signed.clone())?;
    match &candidate.deed.carried {
        Some(carried) => verify_action(carried.clone()),
        None => Ok(action),
    }
}

fn verify_action(signed: Signed<Action>) -> Result<Verified<Action>, ActionError> {
    signed.verify().map_err(|error| match error {
        StatementError::Malformed(malformed) => malformed.into(),
        StatementError::Signature(_) => ActionError::Signature,
    })
}
