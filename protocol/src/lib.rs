//! The Majlis protocol.
