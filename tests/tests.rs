//! The integration tests, in one binary: each topic is a folder beside this file.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod cli;
mod demo;
mod lan;
mod net;
mod room;
mod support;
mod transport;
mod tree;
