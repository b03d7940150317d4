//! What a flow tells its neighbours of itself: heartbeats, digests, a new child's history, and answers.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Flow, Receiver, Role, TransmitKind, Wake};
use crate::{
    limits,
    media::{
        Packet, Tag,
        pulse::{self, SPEAKING_FOR},
        stream::Stream,
    },
    neighbour::Neighbour,
    wire::repair::{Known, Report},
};

/// How much a new child is sent of what was spoken just before: what the audience's delay has not played yet, so that a
/// child which comes from a dead parent has it at once.
const HISTORY: Duration = Duration::from_millis(200);

impl Flow {
    /// When the next heartbeat or digest is due.
    pub(super) fn telling_due(&self) -> impl Iterator<Item = (Duration, Wake)> {
        let is_speaking = self.is_speaking(self.latest);
        let digest = pulse::digest_interval(self.quiet_for(self.latest));
        self.receivers.values().flat_map(move |receiver| {
            let role = match &receiver.role {
                Role::None => None,
                Role::Child(pulse) => Some((pulse.due(), Wake::Heartbeat)),
                Role::StandbyChild { told } => {
                    let due = told.map_or(Duration::ZERO, |told| told.saturating_add(digest));
                    Some((due, Wake::Digest))
                }
            };
            let uplink = receiver.uplink.as_ref().filter(|_| is_speaking);
            role.into_iter()
                .chain(uplink.map(|pulse| (pulse.due(), Wake::Heartbeat)))
        })
    }

    /// Someone speaks. After silence that is told at once to those that keep us in reserve: their parents may be gone.
    pub(super) fn note_speech(&mut self, now: Duration) {
        let was_silent = self.quiet_for(now).is_none_or(|quiet| quiet >= SPEAKING_FOR);
        self.last_packet = Some(now);
        if was_silent {
            for receiver in self.receivers.values_mut() {
                if let Role::StandbyChild { told } = &mut receiver.role {
                    *told = None;
                }
            }
        }
    }

    /// Packets went to these.
    pub(super) fn note_pushes(&mut self, to: &[Neighbour], now: Duration) {
        for link in to {
            let Some(receiver) = self.receivers.get_mut(link) else {
                continue;
            };
            if let Role::Child(pulse) = &mut receiver.role {
                pulse.note_push(now);
            }
            if let Some(pulse) = &mut receiver.uplink {
                pulse.note_push(now);
            }
        }
        self.note_strain(now);
    }

    /// Sends the heartbeats that are due: to children of all streams, to uplinks of our own.
    pub(super) fn send_heartbeats(&mut self, now: Duration) {
        let promise = pulse::promise(self.quiet_for(now));
        let is_due = |receiver: &Receiver| matches!(&receiver.role, Role::Child(pulse) if pulse.due() <= now);
        if self.receivers.values().any(is_due) {
            let report = self.report(promise, |_| true, now);
            if let Ok(item) = report.encode_heartbeat() {
                self.send_beats(&item, promise, now, |receiver| match &mut receiver.role {
                    Role::Child(pulse) => Some(pulse),
                    _ => None,
                });
            }
        }
        if self.is_speaking(now) {
            let is_due =
                |receiver: &Receiver| receiver.uplink.as_ref().is_some_and(|pulse| pulse.due() <= now);
            if self.receivers.values().any(is_due) {
                let report = self.report(promise, Stream::is_own, now);
                if let Ok(item) = report.encode_heartbeat() {
                    self.send_beats(&item, promise, now, |receiver| receiver.uplink.as_mut());
                }
            }
        }
    }

    /// Sends the digests that are due.
    pub(super) fn send_digests(&mut self, now: Duration) {
        let interval = pulse::digest_interval(self.quiet_for(now));
        let is_due = |receiver: &Receiver| match receiver.role {
            Role::StandbyChild { told } => told.is_none_or(|told| told.saturating_add(interval) <= now),
            _ => false,
        };
        if !self.receivers.values().any(is_due) {
            return;
        }
        let report = self.report(interval, |_| true, now);
        let Ok(item) = report.encode_digest() else {
            return;
        };
        let due = self.receivers.iter_mut().filter(|(_, receiver)| is_due(receiver));
        let mut told_now = Vec::new();
        for (&to, receiver) in due {
            receiver.role = Role::StandbyChild { told: Some(now) };
            told_now.push(to);
        }
        for to in told_now {
            self.relay.counters_mut().digests += 1;
            self.transmit(to, TransmitKind::Digest, item.clone());
        }
    }

    /// Sends a new child what was spoken just before it came.
    pub(super) fn send_history(&mut self, child: Neighbour, now: Duration) {
        let since = now.saturating_sub(HISTORY);
        let mut packets = Vec::new();
        for (&tag, stream) in &self.streams {
            if self.relay.source(tag) != Some(child) {
                packets.extend(stream.ring.since(since).map(|kept| kept.bytes.clone()));
            }
        }
        for item in packets {
            self.relay.counters_mut().history += 1;
            self.transmit(child, TransmitKind::History, item);
        }
    }

    /// Sends a packet that has just come to those that pulled it before it was here.
    pub(super) fn answer_waiting(&mut self, packet: &Packet, from: Option<Neighbour>, now: Duration) {
        let source = self.relay.source(packet.header().tag);
        let waiting: Vec<Neighbour> = self.answers.handle_packet(packet, now).collect();
        for to in waiting {
            if Some(to) != from && Some(to) != source {
                self.answer(to, packet.bytes().clone());
            }
        }
    }

    pub(super) fn answer(&mut self, to: Neighbour, item: Bytes) {
        self.relay.counters_mut().pulled_out += 1;
        self.transmit(to, TransmitKind::Answer, item);
    }

    /// How long ago the last packet of anyone was.
    pub(super) fn quiet_for(&self, now: Duration) -> Option<Duration> {
        self.last_packet.map(|last| now.saturating_sub(last))
    }

    /// Whether we speak, or did a moment ago.
    fn is_speaking(&self, now: Duration) -> bool {
        self.last_own
            .is_some_and(|last| now < last.saturating_add(SPEAKING_FOR))
    }

    fn send_beats(
        &mut self,
        item: &Bytes,
        promise: Duration,
        now: Duration,
        pulse: impl Fn(&mut Receiver) -> Option<&mut pulse::Pulse>,
    ) {
        let mut sent = Vec::new();
        for (&to, receiver) in &mut self.receivers {
            if let Some(pulse) = pulse(receiver).filter(|pulse| pulse.due() <= now) {
                pulse.note_beat(promise, now);
                sent.push(to);
            }
        }
        for to in sent {
            self.relay.counters_mut().heartbeats += 1;
            self.transmit(to, TransmitKind::Heartbeat, item.clone());
        }
    }

    /// What we have of the streams on the stage.
    fn report(&self, promise: Duration, of: impl Fn(&Stream) -> bool, now: Duration) -> Report {
        let known = |(&tag, stream): (&Tag, &Stream)| {
            let newest = stream.newest()?;
            Some(Known {
                tag,
                epoch: newest.epoch,
                newest: newest.frame,
                in_spurt: stream.is_in_spurt(now),
            })
        };
        let streams = self.streams.iter().filter(|(_, stream)| of(stream));
        Report {
            starving: self.is_starving(now),
            promise_ms: u16::try_from(promise.as_millis()).unwrap_or(limits::PROMISE_MS),
            missed: self.tally.missed(),
            streams: streams.filter_map(known).take(limits::STAGE).collect(),
        }
    }
}
