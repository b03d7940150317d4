//! The room log: signed acts in one agreed order, and what they make of a room (SPEC.md sections 7 and 8).
//!
//! An [`Action`] is what a person asks for; an [`Entry`] is that action at its place in the chain. A [`Log`] takes
//! entries only when every rule holds, and its [`State`] is the fold of what it took: whoever holds the same log
//! sees the same room. The [`Beacon`] says once a second how far the log goes and what the room's clock shows.

mod action;
mod beacon;
mod branch;
mod chain;
mod cover;
mod entry;
mod file;
mod measures;
pub mod permissions;
mod plan;
mod rules;
mod snapshots;
mod state;

pub use self::{
    action::{Act, Action, ActionId, CRITICAL, Head, is_link, kind},
    beacon::{Beacon, BeaconError, NewestBeacon, RoomClock, Tick},
    branch::{Branch, BranchError, deed},
    chain::{Applied, EntryError, Equivocation, Log},
    cover::Cover,
    entry::Entry,
    file::{
        Broken, BrokenReason, Line, RecordError, Records, Report, Span, believe, record, records, verify,
    },
    measures::{Exclusion, Mute, Office},
    permissions::Role,
    plan::{Plan, Planned, Stage as PlanStage},
    rules::{GuestList, LOCK_GRACE_MS, Rules, SpeakingTime},
    state::{ActionError, Change, State, Stay},
};
