//! Majlis: audio rooms without a server.

pub mod audio;
pub mod home;
pub mod net;
