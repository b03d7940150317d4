//! The media machine of one member, as its driver runs it: routes and items in, sound and items out.
//!
//! All that the world knows of the media machine's own interface is in this file.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::{
    media::{Check, Delivery, Own, Packet, Relay},
    member::{Input, Route},
    neighbour::Neighbour,
    room::{RoomId, SPEECH_BITRATE},
};

/// The media machine.
#[derive(Debug)]
pub(super) struct Sound {
    relay: Relay,
}

/// What it wants done, in order.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Sound to be played.
    pub(super) heard: Vec<Packet>,
    /// Items to be sent.
    pub(super) items: Vec<(u32, Bytes)>,
    /// What the member is to know.
    pub(super) signals: Vec<Input>,
}

impl Sound {
    pub(super) fn new(room: RoomId) -> Self {
        Self {
            relay: Relay::new(room, SPEECH_BITRATE),
        }
    }

    /// When [`Sound::handle_timeout`] is due.
    pub(super) fn due(&self) -> Option<Duration> {
        None
    }

    pub(super) fn handle_route(&mut self, route: Route, now: Duration, wishes: &mut Wishes) {
        match route {
            Route::Open { .. } => {}
            Route::Closed(link) => self.relay.forget(link),
            Route::Parent(parent) => self.relay.set_parent(parent),
            Route::Child { link, added: true } => self.relay.add_child(link),
            Route::Child { link, added: false } => self.relay.remove_child(link),
            Route::Grant { tag, person } => {
                let granted = self.relay.grant(tag, person);
                debug_assert!(granted.is_ok(), "every person of the world has a key");
            }
            Route::Revoke(tag) => self.relay.revoke(tag),
            Route::Source { tag, link } => self.relay.set_source(tag, link),
            Route::Bitrate(bitrate) => self.relay.set_bitrate(bitrate),
            Route::Head(sequence) => self.relay.set_head(sequence),
        }
        for (from, packet) in self.relay.take_released(now) {
            self.judge(from, packet, now, wishes);
        }
    }

    /// Takes a datagram's item.
    pub(super) fn handle_item(&mut self, from: u32, item: Bytes, now: Duration, wishes: &mut Wishes) {
        self.judge(Neighbour(from.into()), item, now, wishes);
    }

    pub(super) fn handle_timeout(&mut self, _now: Duration, _wishes: &mut Wishes) {}

    /// Sends a packet of our own.
    pub(super) fn send(&mut self, own: Own, now: Duration, wishes: &mut Wishes) {
        if let Ok(delivery) = self.relay.commit_own(own, now) {
            wishes.forward(&delivery);
        }
    }

    fn judge(&mut self, from: Neighbour, packet: Bytes, now: Duration, wishes: &mut Wishes) {
        let candidate = match self.relay.check(from, packet, now) {
            Ok(Check::Verify(candidate)) => candidate,
            Ok(Check::Held) => return wishes.signals.push(Input::SoundAhead),
            Err(_) => return,
        };
        match candidate.verify() {
            Ok(genuine) => {
                if let Ok(delivery) = self.relay.commit(genuine, now) {
                    wishes.forward(&delivery);
                    wishes.heard.push(delivery.packet);
                }
            }
            Err(forged) => {
                let forger = self.relay.note_forged(forged);
                wishes.signals.extend(forger.map(|link| Input::Forger { link }));
            }
        }
    }
}

impl Wishes {
    fn forward(&mut self, delivery: &Delivery) {
        let bytes = delivery.packet.bytes();
        let items = delivery
            .to
            .iter()
            .map(|to| (super::wire_number(*to), bytes.clone()));
        self.items.extend(items);
    }
}
