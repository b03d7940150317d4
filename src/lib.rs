//! Majlis: audio rooms without a server.

pub mod home;
pub mod net;
