//! Rooms between real nodes: joining, hearing, speaking, leaving.

mod conversation;
mod finding;
mod hearing;
#[cfg(feature = "testlink")]
mod loss;
