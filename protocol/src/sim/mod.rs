//! The simulated world: what stands in for networks and machines in tests and experiments.
//!
//! Invariant: everything here is a function of its seed and of the times it is given. Two runs with
//! the same inputs make the same decisions, on every platform.
//!
//! A [`Scenario`] says what happens, a [`World`] lets it happen to real members and real media machines in virtual
//! time, and a [`Report`] holds what came of it.

mod churn;
mod draws;
pub mod link;
#[cfg(feature = "sim-memo")]
pub(crate) mod memo;
mod report;
mod scenario;
mod world;

pub use report::{Figures, HeldUp, Moment, Report};
pub use scenario::{
    Churn, Deed, Door, How, Kill, Latency, Partition, Scenario, ScenarioError, Stage, Uplink, Victim, Villain,
};
pub use world::{Shard, Shared, World};
