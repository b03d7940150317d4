//! The Majlis protocol: everything that decides, without anything that does.
//!
//! This crate has no IO, no clock, no runtime and no randomness of its own: time and random bytes are arguments.
//! Machines are driven: hand one an input with the time, drain its outputs, come back at its timeout. `SPEC.md`
//! beside this crate describes every byte; this crate is its reference.

// A hash map's order is random: what iterates one decides differently in each process.
#![warn(clippy::iter_over_hash_type)]

extern crate alloc;

pub mod announcement;
pub mod directory;
pub mod domain;
pub mod extension;
pub mod identity;
pub mod jitter;
pub mod limits;
pub mod link;
pub mod log;
pub mod media;
pub mod member;
pub mod neighbour;
pub mod person;
pub mod reason;
pub mod room;
pub mod signed;
pub mod stage;
pub mod text;
pub mod tree;
pub mod wire;

#[cfg(any(feature = "sim", test))]
pub mod sim;
