//! What held a packet up on its way down the tree: a note that travels with it, so that a listener whom it reaches too
//! late knows why.
//!
//! No member of the real world sees this. It is the world's own account, kept beside the machines, and nothing that they
//! do depends on it.

use alloc::vec::Vec;

use crate::media::{Packet, Tag};

/// Frames of a stream whose marks are kept: a little over the two seconds for which they are answered.
const KEPT: usize = 128;

/// What held a packet up so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Links on which it was lost and then pulled.
    pub(super) losses: u8,
    /// Whether it came some way as an answer to a member whose parent had fallen silent or was gone.
    pub(super) bridged: bool,
}

/// The marks of what one member passes on.
#[derive(Debug, Default)]
pub(super) struct Marks {
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    tag: Tag,
    marks: [Mark; KEPT],
}

impl Marks {
    /// Notes how a packet came to be here.
    pub(super) fn note(&mut self, packet: &Packet, mark: Mark) {
        let header = packet.header();
        let at = self.streams.iter().position(|stream| stream.tag == header.tag);
        let at = at.unwrap_or_else(|| {
            self.streams.push(Stream {
                tag: header.tag,
                marks: [Mark::default(); KEPT],
            });
            self.streams.len() - 1
        });
        self.streams[at].marks[place(header.sequence)] = mark;
    }

    /// How a packet came to be here that is passed on once more.
    pub(super) fn of(&self, packet: &Packet) -> Mark {
        let header = packet.header();
        let stream = self.streams.iter().find(|stream| stream.tag == header.tag);
        stream.map_or(Mark::default(), |stream| stream.marks[place(header.sequence)])
    }
}

fn place(sequence: u32) -> usize {
    sequence as usize % KEPT
}
