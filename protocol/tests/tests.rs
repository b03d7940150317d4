//! The integration tests of the protocol crate, in one binary: each topic is a folder beside this file.

#![allow(clippy::unwrap_used, missing_docs)]

mod corpus;
mod log;
mod media;
mod purity;
mod vectors;
