//! The program as others run it: its words, its exit codes, its events, its local API.

mod api;
mod appeals;
mod chat;
mod clocks;
#[cfg(unix)]
mod console;
mod ctl;
mod events;
mod failures;
mod full_disk;
mod hearing;
mod leaving;
#[cfg(all(feature = "device", target_os = "linux"))]
mod microphone;
mod mics;
mod music;
mod offline;
mod pins;
pub(crate) mod program;
mod recording;
mod rooms;
mod schedule;
mod stage;
mod succession;
mod tampering;
mod tree;
mod usage;
mod volume;
mod window;
