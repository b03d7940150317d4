//! The simulated world: what stands in for networks and machines in tests and experiments.
//!
//! Invariant: everything here is a function of its seed and of the times it is given. Two runs with
//! the same inputs make the same decisions, on every platform.

pub mod link;
#[cfg(feature = "sim-memo")]
pub(crate) mod memo;
