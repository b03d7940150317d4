//! The media machine of one member, as its driver runs it: routes and items in, sound and items out.
//!
//! All that the world knows of the media machine's own interface is in this file.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{
    mark::{Mark, Marks},
    shard::nanos,
    wire::Sent,
};
use crate::{
    media::{Check, Delivery, Flow, Own, Packet, Plight, Signal, TransmitKind},
    member::{Input, Route},
    neighbour::Neighbour,
    room::{RoomId, SPEECH_BITRATE},
    wire::datagram::Item,
};

/// How long after a member has found another parent what it plays may still be late for it.
const SETTLING: Duration = Duration::from_secs(1);

/// The media machine.
#[derive(Debug)]
pub(super) struct Sound {
    flow: Flow,
    /// The flow's next deadline.
    due: Option<Duration>,
    marks: Marks,
    /// When sound last came down from nobody, or from a parent that had fallen silent.
    orphaned: Option<Duration>,
}

/// Sound to be played.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) packet: Packet,
    /// It was pulled.
    pub(super) repaired: bool,
    /// What held it up.
    pub(super) mark: Mark,
    /// Whether this member's own parent is, or was a moment ago, gone or silent.
    pub(super) orphaned: bool,
}

/// What it wants done, in order.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Sound to be played, and whether it was pulled.
    pub(super) heard: Vec<Heard>,
    /// Items to be sent.
    pub(super) items: Vec<Sent>,
    /// What the member is to know.
    pub(super) signals: Vec<Input>,
}

impl Sound {
    pub(super) fn new(room: RoomId) -> Self {
        Self {
            flow: Flow::new(room, SPEECH_BITRATE),
            due: None,
            marks: Marks::default(),
            orphaned: None,
        }
    }

    /// When [`Sound::handle_timeout`] is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// How long the listener holds sound back, in nanoseconds.
    pub(super) fn delay(&self) -> u64 {
        nanos(self.flow.delay_floor())
    }

    /// Says how long a link's round trip takes.
    pub(super) fn set_rtt(&mut self, link: Neighbour, rtt: Duration) {
        self.flow.set_rtt(link, rtt);
    }

    pub(super) fn handle_route(&mut self, route: Route, now: Duration, wishes: &mut Wishes) {
        if matches!(route, Route::Parent(_)) {
            self.note_plight(now);
        }
        let flow = &mut self.flow;
        match route {
            Route::Open { .. } => {}
            Route::Closed(link) => flow.forget(link),
            Route::Parent(parent) => flow.set_parent(parent, now),
            Route::Standby(standby) => flow.set_standby(standby, now),
            Route::Child { link, added: true } => flow.add_child(link, now),
            Route::StandbyChild { link, added: true } => flow.add_standby_child(link, now),
            Route::Child { link, added: false } | Route::StandbyChild { link, added: false } => {
                flow.remove_child(link);
            }
            Route::Uplink { link, added } => flow.set_uplink(link, added, now),
            Route::Grant { tag, person } => {
                let granted = flow.grant(tag, person);
                debug_assert!(granted.is_ok(), "every person of the world has a key");
            }
            Route::Revoke(tag) => flow.revoke(tag),
            Route::Mute(tag) => flow.mute(tag),
            Route::Unmute { tag, since } => flow.unmute(tag, since),
            Route::Source { tag, link } => flow.set_source(tag, link),
            Route::Bitrate(bitrate) => flow.set_bitrate(bitrate),
            Route::Head(sequence) => flow.set_head(sequence),
        }
        for (from, packet) in self.flow.take_released(now) {
            self.judge(from, packet, Mark::default(), now, wishes);
        }
        self.settle(wishes);
    }

    /// Takes a datagram's item.
    pub(super) fn handle_item(
        &mut self,
        from: u32,
        (item, mark): (Bytes, Mark),
        now: Duration,
        wishes: &mut Wishes,
    ) {
        let from = Neighbour(from.into());
        match Item::read(item) {
            Some(Ok(Item::Media(packet))) => self.judge(from, packet, mark, now, wishes),
            Some(Ok(Item::Heartbeat(report))) => self.flow.handle_heartbeat(from, &report, now),
            Some(Ok(Item::Digest(report))) => self.flow.handle_digest(from, &report, now),
            Some(Ok(Item::Pull(pull))) => self.flow.handle_pull(from, &pull, now),
            Some(Err(_)) | None => debug_assert!(false, "members of the world send what they should"),
        }
        self.settle(wishes);
    }

    pub(super) fn handle_timeout(&mut self, now: Duration, wishes: &mut Wishes) {
        self.flow.handle_timeout(now);
        self.settle(wishes);
    }

    /// Sends a packet of our own.
    pub(super) fn send(&mut self, own: Own, now: Duration, wishes: &mut Wishes) {
        if let Ok(delivery) = self.flow.commit_own(own, now) {
            wishes.forward(&delivery, Mark::default());
        }
        self.settle(wishes);
    }

    fn judge(&mut self, from: Neighbour, packet: Bytes, mark: Mark, now: Duration, wishes: &mut Wishes) {
        let candidate = match self.flow.check(from, packet, now) {
            Ok(Check::Verify(candidate)) => candidate,
            Ok(Check::Held) => return wishes.signals.push(Input::SoundAhead),
            Err(_) => return,
        };
        match candidate.verify() {
            Ok(genuine) => {
                if let Ok(delivery) = self.flow.commit(genuine, now) {
                    self.take(delivery, mark, now, wishes);
                }
            }
            Err(forged) => {
                let forger = self.flow.note_forged(forged);
                wishes.signals.extend(forger.map(|link| Input::Forger { link }));
            }
        }
    }

    fn note_plight(&mut self, now: Duration) -> Plight {
        let plight = self.flow.plight();
        if plight == Plight::Orphaned {
            self.orphaned = Some(now);
        }
        plight
    }

    /// Passes on what was delivered, and notes what held it up.
    fn take(&mut self, delivery: Delivery, before: Mark, now: Duration, wishes: &mut Wishes) {
        let is_fed = !delivery.repaired || self.note_plight(now) == Plight::Fed;
        let orphaned = self.orphaned.is_some_and(|at| now < at + SETTLING);
        let bridged = orphaned || !is_fed;
        let mark = Mark {
            losses: before.losses + u8::from(delivery.repaired && !bridged),
            bridged: before.bridged || bridged,
        };
        self.marks.note(&delivery.packet, mark);
        wishes.forward(&delivery, mark);
        wishes.heard.push(Heard {
            packet: delivery.packet,
            repaired: delivery.repaired,
            mark,
            orphaned,
        });
    }

    /// Takes out what the flow wants after an input, and when it wants to be woken.
    fn settle(&mut self, wishes: &mut Wishes) {
        while let Some(transmit) = self.flow.poll_transmit() {
            let is_sound = matches!(transmit.kind, TransmitKind::History | TransmitKind::Answer);
            let packet = is_sound
                .then(|| Packet::parse(transmit.item.clone()).ok())
                .flatten();
            wishes.items.push(Sent {
                to: super::wire_number(transmit.to),
                mark: packet.map_or(Mark::default(), |packet| self.marks.of(&packet)),
                item: transmit.item,
            });
        }
        while let Some(signal) = self.flow.poll_signal() {
            wishes.signals.push(match signal {
                Signal::Parting { link, why } => Input::Parting { link, complaint: why },
                Signal::Strained => Input::Strained,
                Signal::StandbySilent { link } => Input::StandbySilent { link },
            });
        }
        self.due = self.flow.poll_timeout().map(|(due, _)| due);
    }
}

impl Wishes {
    fn forward(&mut self, delivery: &Delivery, mark: Mark) {
        let bytes = delivery.packet.bytes();
        let items = delivery.to.iter().map(|to| Sent {
            to: super::wire_number(*to),
            item: bytes.clone(),
            mark,
        });
        self.items.extend(items);
    }
}
