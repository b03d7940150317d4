//! The wire between members: control frames and messages on a substream, items in datagrams, directory answers.

pub mod datagram;
pub mod directory;
pub mod frame;
pub mod message;
pub mod repair;
pub(crate) mod varint;
