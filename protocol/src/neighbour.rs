//! Neighbours: the links of one room, as the machines of this crate name them.

/// One link to one member in one room. The driver numbers its links and never reuses a number in a process, so a
/// late message of a link that is gone cannot be taken for one of its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour(pub u64);
