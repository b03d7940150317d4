//! Rooms between real nodes: joining, hearing, speaking, leaving.

mod attacks;
mod conversation;
mod finding;
mod handles;
mod hearing;
#[cfg(feature = "testlink")]
mod loss;
mod refusals;
