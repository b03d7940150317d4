//! The relay tree: how members find a place below the root, and who takes sound from whom.
//!
//! So far every member attaches to the root itself, through the same messages that a deeper tree will use: whoever
//! is asked and is not the root redirects to it.

mod attach;

pub use attach::{ATTACH_TIMEOUT, Children, PathError, Place};
