//! What came together from one peer for one room, on its way through: checked and verified packet by packet, then
//! committed and sent on together.
//!
//! Invariant: between the verdict on a packet and its sending the room is not unlocked, so that what a moderator stops
//! does not leave afterwards.

use std::{mem, sync::Arc, time::Instant};

use bytes::Bytes;
use majlis_protocol::{
    media::Genuine,
    neighbour::Neighbour,
    person::Peer,
    wire::{datagram::Item, message::Alias},
};

use super::{bundle, room::RoomMedia};

/// See the module's documentation.
#[derive(Debug)]
#[must_use = "what was taken in goes on when it is finished"]
pub(super) struct Intake {
    room: Arc<RoomMedia>,
    arrived: Instant,
    together: Vec<Genuine>,
    /// The same as they came.
    bytes: Vec<Bytes>,
    taken: bundle::Space,
}

impl Intake {
    /// For what came into a room at one moment.
    pub(super) fn new(room: Arc<RoomMedia>, arrived: Instant) -> Self {
        Self {
            room,
            arrived,
            together: Vec::new(),
            bytes: Vec::new(),
            taken: bundle::Space::default(),
        }
    }

    /// What the room's datagrams begin with.
    pub(super) fn alias(&self) -> Alias {
        self.room.alias()
    }

    /// Takes an item that came from a peer.
    pub(super) fn handle_item(&mut self, peer: Peer, item: Item) {
        let from = self.room.link_of(peer, &item);
        match item {
            Item::Media(packet) => self.handle_packet(from, packet),
            item => {
                // It tells of packets that came before it, and those must be known by then.
                self.deliver();
                self.room.handle_report(from, &item, self.arrived);
            }
        }
    }

    /// Takes a packet that came on a link.
    pub(super) fn handle_packet(&mut self, from: Neighbour, packet: Bytes) {
        // A packet that is here twice is found to be a duplicate once the first has passed, before it is verified.
        if self.bytes.contains(&packet) || !self.taken.take(&packet) {
            self.deliver();
            if !self.taken.take(&packet) {
                // Too long for a packet: the relay says so.
                drop(self.room.verify(from, packet, self.arrived));
                return;
            }
        }
        if let Some(genuine) = self.room.verify(from, packet.clone(), self.arrived) {
            self.together.push(genuine);
            self.bytes.push(packet);
        }
    }

    /// Sends on what has passed.
    pub(super) fn finish(mut self) {
        self.deliver();
    }

    fn deliver(&mut self) {
        self.taken = bundle::Space::default();
        self.bytes.clear();
        if !self.together.is_empty() {
            self.room.deliver(mem::take(&mut self.together), self.arrived);
        }
    }
}
