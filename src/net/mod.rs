//! Everything that touches the network. Knows connections and peers, never rooms.

pub mod quic;
