//! What comes out of a flow: the vocabulary between the machine and its driver.

use bytes::Bytes;

use crate::{media::Complaint, neighbour::Neighbour};

/// Something to be sent to one neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// On which link.
    pub to: Neighbour,
    /// Why: what is live goes first, answers last.
    pub kind: TransmitKind,
    /// An item for a datagram.
    pub item: Bytes,
}

/// What a [`Transmit`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransmitKind {
    /// A heartbeat. Late, it makes children suspect us.
    Heartbeat,
    /// A pull. Late, it costs the audience's delay.
    Pull,
    /// A packet for a new child that was spoken just before it came.
    History,
    /// A digest.
    Digest,
    /// A packet that was pulled. Drop it rather than anything live: it is asked for again.
    Answer,
}

/// How a member's sound comes down to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plight {
    /// By its parent, as far as is known.
    Fed,
    /// Its parent is alive and does not bring what it should.
    Starved,
    /// It has no parent, or one that has fallen silent.
    Orphaned,
}

/// What a flow tells the room's member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// This parent does not do: look for another place. Told again each second while it lasts.
    Parting {
        /// Which link.
        link: Neighbour,
        /// What is wrong.
        why: Complaint,
    },
    /// Several children at once lose what is pushed to them: serve fewer. Told again while it lasts, once in eight
    /// seconds.
    Strained,
    /// The standby says nothing: look for another. Told again each two seconds while it lasts.
    StandbySilent {
        /// Which link.
        link: Neighbour,
    },
}

/// Why [`Flow::poll_timeout`](super::Flow::poll_timeout) names that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// A heartbeat is due.
    Heartbeat,
    /// A digest is due.
    Digest,
    /// The parent has been silent for long.
    Parent,
    /// The standby has.
    Standby,
    /// A stream has brought nothing for long.
    Overdue,
    /// The standby is to be pulled from, first or again.
    Alarm,
    /// The parent has not brought enough for long.
    Starved,
    /// A missing frame is to be asked for, or given up.
    Missing,
    /// Packets are past keeping.
    Expiry,
}
