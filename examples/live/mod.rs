//! What the examples about living rooms share: a room of real processes and nodes on this machine, and the relay tree
//! as its members' own events tell it.

#![allow(
    dead_code,
    reason = "each example is a crate of its own and uses its part of this"
)]

pub(crate) mod cast;
pub(crate) mod node;
pub(crate) mod process;
pub(crate) mod scene;
pub(crate) mod ticker;
