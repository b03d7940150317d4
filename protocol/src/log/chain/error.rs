//! Why an entry is not taken, and the proof against a chair that told two stories.

use alloc::boxed::Box;

use crate::{
    log::{entry::Entry, state::ActionError},
    signed::{Malformed, Verified},
};

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
