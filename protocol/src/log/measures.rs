//! Measures: what those who keep order have laid upon people, and until when it holds.
//!
//! A measure binds a person's key, not a connection: whoever reloads or comes another way finds it in force. It keeps
//! the rank of who laid it, since nobody of a lower one may lift it.

use crate::{log::permissions::Role, reason::Reason, text::Text};

/// A mute, as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mute {
    /// What its author was at that point.
    pub laid_by: Role,
    /// Sequence of its entry.
    pub entry: u32,
    /// Why; may be empty.
    pub reason: Text,
}

/// A kick or a ban, as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// What its author was at that point.
    pub laid_by: Role,
    /// Sequence of its entry.
    pub entry: u32,
    /// Room clock in milliseconds from which on it holds no more; none: until it is lifted.
    pub until: Option<u64>,
    /// Whether it was a kick.
    pub is_kick: bool,
    /// Why; may be empty.
    pub reason: Text,
}

/// A person's office: what it is, and since which entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Office {
    /// Moderator or co-host.
    pub role: Role,
    /// Sequence of the entry that granted it: co-hosts stand in line in this order.
    pub since: u32,
}

impl Exclusion {
    /// Whether it holds at a time of the room clock.
    #[must_use]
    pub fn holds_at(&self, clock_ms: u64) -> bool {
        self.until.is_none_or(|until| clock_ms < until)
    }

    /// What whom it keeps out is told.
    #[must_use]
    pub fn told(&self) -> Reason {
        if self.is_kick {
            Reason::Kicked
        } else {
            Reason::Banned
        }
    }
}
