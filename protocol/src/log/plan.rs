//! What is planned of a room that is announced ahead (SPEC.md section 7, "Scheduled rooms").
//!
//! A room whose genesis names a start is planned until its first chair entry opens it. Until then its host alone changes
//! the plan, or cancels it, each by an entry; nobody else has the log. Invariant: once it has been opened or cancelled,
//! no entry changes the plan any more.

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    log::action::Act,
    reason::Reason,
    room::{Genesis, at_most},
    signed::Malformed,
    text::Text,
};

/// What may change of a planned room beside its title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Unix seconds at which the room is to open.
    pub starts: u64,
    /// What it is about, at most 2,000 bytes.
    pub description: Text,
}

/// A plan as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    plan: Plan,
    /// The latest start that any entry has named.
    latest: u64,
    /// The entry of the newest change; none while the genesis holds.
    entry: Option<u32>,
    stage: Stage,
}

/// How far a planned room has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is still to be opened.
    Pending,
    /// It was opened: from here on it is a room like others.
    Opened,
    /// It was called off.
    Cancelled,
}

impl Plan {
    /// What a genesis plans; `None` for a room that opens at once.
    #[must_use]
    pub fn of(genesis: &Genesis) -> Option<Self> {
        Some(Self {
            starts: genesis.starts?,
            description: genesis.description.clone(),
        })
    }

    pub(super) fn checked(self) -> Result<Self, Malformed> {
        at_most("description", self.description.len(), limits::DESCRIPTION)?;
        Ok(self)
    }
}

impl Planned {
    pub(super) fn of(genesis: &Genesis) -> Option<Self> {
        let plan = Plan::of(genesis)?;
        Some(Self {
            latest: plan.starts,
            plan,
            entry: None,
            stage: Stage::Pending,
        })
    }

    /// What is planned now.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The latest start that was ever planned, in Unix seconds: what was said of it lives no longer than that allows.
    #[must_use]
    pub fn latest_start(&self) -> u64 {
        self.latest
    }

    /// The sequence of the entry that changed or cancelled the plan last; `None` while the genesis holds.
    #[must_use]
    pub fn entry(&self) -> Option<u32> {
        self.entry
    }

    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the room is still to be opened.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.stage == Stage::Pending
    }

    /// Whether an act on the plan fits.
    pub(super) fn check(&self, act: &Act) -> Result<(), Reason> {
        let fits = match act {
            Act::Schedule { plan } => *plan != self.plan,
            // Whoever cancels names what: a plan that was changed meanwhile is another one.
            Act::Cancel { starts, .. } => *starts == self.plan.starts,
            _ => true,
        };
        match (self.is_pending(), fits) {
            (true, true) => Ok(()),
            (true, false) => Err(Reason::NoSuchSubject),
            (false, _) => Err(Reason::NotAllowed),
        }
    }

    pub(super) fn change(&mut self, plan: &Plan, entry: u32) {
        self.latest = self.latest.max(plan.starts);
        self.plan = plan.clone();
        self.entry = Some(entry);
    }

    pub(super) fn cancel(&mut self, entry: u32) {
        self.entry = Some(entry);
        self.stage = Stage::Cancelled;
    }

    pub(super) fn open(&mut self) {
        self.stage = Stage::Opened;
    }
}
