//! The fuzz targets: one function for each decoder and each machine that takes what strangers send.
//!
//! A target panics when a property is broken, and tells whether its input got past the first checks. The same
//! functions are run by libFuzzer (`fuzz_targets/`, one binary each) and, on the committed corpus, by the tests of
//! the protocol crate, which include this file as a module: it names nothing by its crate.

#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "public in this crate, private in the tests that include it"
)]

mod flow;
mod jitter;
mod listings;
mod log;
mod member;
mod names;
mod relay;
mod script;
mod statements;
mod wire;

pub use flow::flow;
pub use jitter::jitter;
pub use listings::listings;
pub use log::{log_chain, log_file};
pub use member::member;
pub use names::{names, text};
pub use relay::relay;
pub use statements::statements;
pub use wire::{datagram, directory, frames, packet};

/// A target: true when the input was more than noise, so that a corpus can be seen to reach what it should.
pub type Target = fn(&[u8]) -> bool;

/// Every target by the name of its binary and of its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("datagram", datagram),
    ("directory", directory),
    ("flow", flow),
    ("frames", frames),
    ("jitter", jitter),
    ("listings", listings),
    ("log_chain", log_chain),
    ("log_file", log_file),
    ("member", member),
    ("names", names),
    ("packet", packet),
    ("relay", relay),
    ("statements", statements),
    ("text", text),
];
