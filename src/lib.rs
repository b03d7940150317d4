//! Majlis: audio rooms without a server.

pub mod api;
pub mod audio;
pub mod calendar;
pub mod clock;
pub mod event;
pub mod home;
pub mod media;
pub mod net;
pub mod node;
pub mod planning;
mod queue;
mod regular_file;
pub mod room;
