//! The flow of one room's sound through one member: the relay's verdicts, and the repair of what does not come.
//!
//! A [`Relay`] decides what passes. Around it, every packet is kept for two seconds, what is missing is pulled from the
//! parent and the standby, children are told by heartbeats what they should have, and a parent that falls silent is
//! bridged by the standby before anyone hears it (SPEC.md section 10). Loss repair and failover are one mechanism.
//!
//! **Drive it so:**
//!
//! 1. tell it each route, packet and item as it happens, with the time. A packet takes three steps, of which the middle
//!    one needs no lock: [`Flow::check`], [`Candidate::verify`](super::Candidate::verify), then [`Flow::commit`] or
//!    [`Flow::note_forged`]. Send a [`Delivery`] on before anything else;
//! 2. drain [`Flow::poll_transmit`] and [`Flow::poll_signal`];
//! 3. sleep until [`Flow::poll_timeout`], or until the next input; then call [`Flow::handle_timeout`], or hand over the
//!    input. What is missed by coming late is forgiven: it was not the parent who was silent.
//!
//! Time is any duration since a start that never goes back, the same for every call. Everything is bounded, and nothing
//! here depends on an order that is not the same in each process.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;

use super::{
    Check, Counters, Delivery, Dropped, Forged, Genuine, Own, Packet, Relay, Tag,
    answers::Answers,
    gaps::Witness,
    pulse::Pulse,
    strain::Strain,
    stream::{Feed, Stream},
    tally::Tally,
    watch::{LATE, Parent, Standby},
};
use crate::{
    neighbour::Neighbour,
    person::{BadSignature, Person},
    room::RoomId,
    wire::repair::{Known, Pull, Report},
};

mod asking;
mod io;
mod telling;
#[cfg(test)]
mod tests;
mod watching;

pub use io::{Plight, Signal, Transmit, TransmitKind, Wake};

/// How long a former parent may still push: make before break. What it sent before it learned of the change has come
/// by then.
const FORMER_PARENT: Duration = Duration::from_secs(1);

/// How long after a pull its answers are taken from the standby.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// How long a member has a parent before it takes the first frames of a new stream for missed: who has just come in
/// need not hear what was said before.
const SETTLED: Duration = Duration::from_millis(500);

/// What a link's round trip is taken for until it was measured.
const RTT_GUESS: Duration = Duration::from_millis(60);

/// Most transmits that wait for the driver. It drains them after each call; only a new child with a full stage comes
/// near.
const WAITING: usize = 512;

/// One member's part in the flow of a room's sound.
#[derive(Debug)]
pub struct Flow {
    relay: Relay,
    streams: BTreeMap<Tag, Stream>,
    parent: Option<Parent>,
    standby: Option<Standby>,
    receivers: BTreeMap<Neighbour, Receiver>,
    /// Round-trip times that were measured.
    rtts: BTreeMap<Neighbour, Duration>,
    answers: Answers,
    strain: Strain,
    tally: Tally,
    /// Sound does not come as it should: when the standby is pulled from again.
    alarm: Option<Duration>,
    /// Since when the parent, though alive, has not brought what it should.
    starved_since: Option<Duration>,
    /// Since when the standby is far ahead of the parent.
    lagging_since: Option<Duration>,
    /// The last packet of anyone.
    last_packet: Option<Duration>,
    /// The last packet of our own.
    last_own: Option<Duration>,
    /// When there first was a parent.
    joined: Option<Duration>,
    /// The latest time that was told.
    latest: Duration,
    /// The time for which the driver was last asked to come.
    named: Option<Duration>,
    transmits: VecDeque<Transmit>,
    signals: VecDeque<Signal>,
}

/// A neighbour that is sent something.
#[derive(Debug, Default)]
struct Receiver {
    role: Role,
    /// It gets our own packets.
    uplink: Option<Pulse>,
}

#[derive(Debug, Default)]
enum Role {
    #[default]
    None,
    /// It takes its sound from us.
    Child(Pulse),
    /// It keeps us in reserve.
    StandbyChild {
        /// The last digest.
        told: Option<Duration>,
    },
}

impl Flow {
    /// The flow of a room whose genesis says `bitrate` (bit/s), with an empty stage and no links.
    #[must_use]
    pub fn new(room: RoomId, bitrate: u32) -> Self {
        Self {
            relay: Relay::new(room, bitrate),
            streams: BTreeMap::new(),
            parent: None,
            standby: None,
            receivers: BTreeMap::new(),
            rtts: BTreeMap::new(),
            answers: Answers::default(),
            strain: Strain::default(),
            tally: Tally::default(),
            alarm: None,
            starved_since: None,
            lagging_since: None,
            last_packet: None,
            last_own: None,
            joined: None,
            latest: Duration::ZERO,
            named: None,
            transmits: VecDeque::new(),
            signals: VecDeque::new(),
        }
    }

    /// What became of the packets so far, and what was sent.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.relay.counters()
    }

    /// From whom sound comes down.
    #[must_use]
    pub fn parent(&self) -> Option<Neighbour> {
        self.parent.as_ref().map(|parent| parent.link)
    }

    /// From whom missing sound is pulled.
    #[must_use]
    pub fn standby(&self) -> Option<Neighbour> {
        self.standby.as_ref().map(|standby| standby.link)
    }

    /// Whether the parent brings what it should.
    #[must_use]
    pub fn plight(&self) -> Plight {
        if self.parent.as_ref().is_none_or(|parent| parent.suspected) {
            Plight::Orphaned
        } else if self.streams.values().any(Stream::is_overdue) {
            Plight::Starved
        } else {
            Plight::Fed
        }
    }

    /// Takes a packet that came from a neighbour through every check that costs less than its signature, as
    /// [`Relay::check`].
    ///
    /// # Errors
    /// [`Dropped`] says why it goes no further; it is counted.
    pub fn check(&mut self, from: Neighbour, bytes: Bytes, now: Duration) -> Result<Check, Dropped> {
        self.advance(now);
        if let Some(parent) = self.parent.as_mut().filter(|parent| parent.link == from) {
            parent.hear_packet(now);
        }
        if let Some(standby) = self.standby.as_mut().filter(|standby| standby.link == from) {
            standby.hear(now);
        }
        let checked = self.relay.check(from, bytes.clone(), now);
        if checked.as_ref().err() == Some(&Dropped::Duplicate) {
            self.handle_duplicate(from, bytes, now);
        }
        checked
    }

    /// Delivers a packet whose signature holds, as [`Relay::commit`]: send it on at once, and play it.
    ///
    /// # Errors
    /// [`Dropped`] says why it goes no further; it is counted.
    pub fn commit(&mut self, genuine: Genuine, now: Duration) -> Result<Delivery, Dropped> {
        self.advance(now);
        let from = genuine.from;
        let mut delivery = self.relay.commit(genuine, now)?;
        let feed = self.feed(from, delivery.packet.header().tag, now);
        delivery.repaired = self.handle_delivery(&delivery, feed, now);
        self.answer_waiting(&delivery.packet, Some(from), now);
        Ok(delivery)
    }

    /// Delivers a packet that was signed here, as [`Relay::commit_own`]: to the children and the uplinks.
    ///
    /// # Errors
    /// [`Dropped`] when our stay is over, or we send more than the room allows; it is counted.
    pub fn commit_own(&mut self, own: Own, now: Duration) -> Result<Delivery, Dropped> {
        self.advance(now);
        let delivery = self.relay.commit_own(own, now)?;
        self.last_own = Some(now);
        self.handle_delivery(&delivery, Feed::Own, now);
        self.answer_waiting(&delivery.packet, None, now);
        Ok(delivery)
    }

    /// Counts a forged packet, as [`Relay::note_forged`]. Returns the neighbour that sent it when that was one too
    /// many: leave it.
    #[must_use = "a neighbour that sends forged packets is to be left"]
    pub fn note_forged(&mut self, forged: Forged) -> Option<Neighbour> {
        self.relay.note_forged(forged)
    }

    /// A heartbeat came: of the parent, or of a speaker's own peer about its own streams.
    pub fn handle_heartbeat(&mut self, from: Neighbour, report: &Report, now: Duration) {
        self.advance(now);
        let Some(parent) = self.parent.as_mut().filter(|parent| parent.link == from) else {
            return self.handle_source_heartbeat(from, report, now);
        };
        let promise = Duration::from_millis(report.promise_ms.into());
        let missed = parent.hear_heartbeat(promise, report.starving, report.missed, now);
        self.tally.excuse(missed, now);
        for known in &report.streams {
            self.handle_claim(known, Witness::Feeder, now);
        }
        self.note_starvation(now);
    }

    /// A digest came. Only the standby's is listened to.
    pub fn handle_digest(&mut self, from: Neighbour, report: &Report, now: Duration) {
        self.advance(now);
        let Some(standby) = self.standby.as_mut().filter(|standby| standby.link == from) else {
            // It may have become the parent before it knew.
            let is_late = self.parent() == Some(from);
            self.relay.counters_mut().unasked += u64::from(!is_late);
            return;
        };
        let missed = standby.hear_digest(report.missed, now);
        self.tally.compare(missed, now);
        for known in &report.streams {
            self.handle_claim(known, Witness::Standby, now);
        }
        self.note_lag(report, now);
    }

    /// A pull came. Children and those that keep us in reserve are answered, and so is who gets our own packets.
    pub fn handle_pull(&mut self, from: Neighbour, pull: &Pull, now: Duration) {
        self.advance(now);
        let Some(receiver) = self.receivers.get(&from) else {
            self.relay.counters_mut().unasked += 1;
            return;
        };
        let is_pushed = receiver.uplink.is_some() || matches!(receiver.role, Role::Child(_));
        let answers = self
            .answers
            .handle_pull(from, pull, &self.streams, is_pushed, now);
        if matches!(receiver.role, Role::Child(_)) {
            self.strain.note_again(from, answers.len());
        }
        for item in answers {
            self.answer(from, item);
        }
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
        self.named = None;
        self.watch_parent(now);
        self.watch_streams(now);
        self.watch_starvation(now);
        self.watch_standby(now);
        self.send_pulls(now);
        self.send_heartbeats(now);
        self.send_digests(now);
    }

    /// Drops the held packets that have waited too long, as [`Relay::expire_held`].
    pub fn expire_held(&mut self, now: Duration) {
        self.relay.expire_held(now);
    }

    /// Takes out the held packets whose log entry has come, as [`Relay::take_released`]: give each to
    /// [`check`](Self::check) again.
    pub fn take_released(&mut self, now: Duration) -> Vec<(Neighbour, Bytes)> {
        self.relay.take_released(now)
    }

    /// Says how many bits a second one speaker may send.
    pub fn set_bitrate(&mut self, bitrate: u32) {
        self.relay.set_bitrate(bitrate);
    }

    /// Says which log entry is the newest that was applied here, as [`Relay::set_head`].
    pub fn set_head(&mut self, sequence: u32) {
        self.relay.set_head(sequence);
    }

    /// Opens the stage to a stay. Granting it again to the same person changes nothing.
    ///
    /// # Errors
    /// [`BadSignature`] when the person's key is no key: nobody can speak with it.
    pub fn grant(&mut self, tag: Tag, person: Person) -> Result<(), BadSignature> {
        if self.relay.person(tag).is_some_and(|before| before != person) {
            self.revoke(tag);
        }
        self.relay.grant(tag, person)
    }

    /// Ends a stay: nothing of it passes from now on, and nothing that is kept of it is sent.
    pub fn revoke(&mut self, tag: Tag) {
        self.relay.revoke(tag);
        self.forget_sound(tag);
    }

    /// Silences a stay: nothing of it passes until it is unmuted, and nothing that is kept of it is sent.
    pub fn mute(&mut self, tag: Tag) {
        self.relay.mute(tag);
        self.forget_sound(tag);
    }

    /// Takes what a stay says again, as [`Relay::unmute`].
    pub fn unmute(&mut self, tag: Tag, since: u32) {
        self.relay.unmute(tag, since);
    }

    /// Drops all that is kept of a stay's sound, and what of it waits to be sent.
    fn forget_sound(&mut self, tag: Tag) {
        self.streams.remove(&tag);
        let is_of_it = |transmit: &Transmit| {
            matches!(transmit.kind, TransmitKind::Answer | TransmitKind::History)
                && Packet::peek_tag(&transmit.item) == Some(tag)
        };
        self.transmits.retain(|transmit| !is_of_it(transmit));
    }

    /// Says which link is that of the speaker's own peer, as [`Relay::set_source`].
    pub fn set_source(&mut self, tag: Tag, source: Option<Neighbour>) {
        self.relay.set_source(tag, source);
    }

    /// Says from whom sound comes down. The one before may still push for a second.
    pub fn set_parent(&mut self, parent: Option<Neighbour>, now: Duration) {
        self.advance(now);
        let former = self.parent();
        if former == parent {
            return;
        }
        if let Some(former) = former {
            self.relay.admit(former, now.saturating_add(FORMER_PARENT));
        }
        self.change_parent(parent, now);
    }

    /// Says who is kept in reserve: it tells what it has, and is asked for what is missing.
    pub fn set_standby(&mut self, standby: Option<Neighbour>, now: Duration) {
        self.advance(now);
        if self.standby() != standby {
            self.standby = standby.map(|link| Standby::new(link, now));
            self.lagging_since = None;
        }
    }

    /// Adds a neighbour that takes its sound from us. It is sent what was spoken just before.
    pub fn add_child(&mut self, child: Neighbour, now: Duration) {
        self.advance(now);
        let receiver = self.receivers.entry(child).or_default();
        if matches!(receiver.role, Role::Child(_)) {
            return;
        }
        receiver.role = Role::Child(Pulse::new(now));
        self.answers.forget(child);
        self.relay.add_child(child);
        self.send_history(child, now);
    }

    /// Adds a neighbour that keeps us in reserve. It is sent digests, and answers to its pulls.
    pub fn add_standby_child(&mut self, child: Neighbour, now: Duration) {
        self.advance(now);
        let receiver = self.receivers.entry(child).or_default();
        if !matches!(receiver.role, Role::StandbyChild { .. }) {
            receiver.role = Role::StandbyChild { told: None };
            self.answers.forget(child);
            self.relay.remove_child(child);
        }
    }

    /// Takes away a child of either kind. It may still be a speaker's own link, or an uplink.
    pub fn remove_child(&mut self, child: Neighbour) {
        self.relay.remove_child(child);
        self.strain.forget(child);
        self.answers.forget(child);
        if let Some(receiver) = self.receivers.get_mut(&child) {
            receiver.role = Role::None;
            self.remove_idle(child);
        }
    }

    /// Says whether our own packets go to a neighbour, beside our children.
    pub fn set_uplink(&mut self, link: Neighbour, is_uplink: bool, now: Duration) {
        self.advance(now);
        if is_uplink {
            self.relay.add_uplink(link);
            let receiver = self.receivers.entry(link).or_default();
            receiver.uplink.get_or_insert(Pulse::new(now));
        } else {
            self.relay.remove_uplink(link);
            if let Some(receiver) = self.receivers.get_mut(&link) {
                receiver.uplink = None;
                self.remove_idle(link);
            }
        }
    }

    /// Says how long a link's round trip takes.
    pub fn set_rtt(&mut self, link: Neighbour, rtt: Duration) {
        self.rtts.insert(link, rtt);
    }

    /// Forgets a neighbour that is gone, whatever it was to us.
    pub fn forget(&mut self, link: Neighbour) {
        self.relay.forget(link);
        self.receivers.remove(&link);
        self.answers.forget(link);
        self.strain.forget(link);
        self.rtts.remove(&link);
        self.transmits.retain(|transmit| transmit.to != link);
        if self.standby() == Some(link) {
            self.standby = None;
        }
        if self.parent() == Some(link) {
            self.change_parent(None, self.latest);
        }
    }

    /// The next item to send.
    #[must_use]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that the room's member must know.
    #[must_use]
    pub fn poll_signal(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why; never before the latest time that was told. Ask
    /// again after each input: it may have become earlier.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<(Duration, Wake)> {
        let (due, wake) = self.due()?;
        let due = due.max(self.latest);
        self.named = Some(due);
        Some((due, wake))
    }

    /// Notes the time, and takes back what was missed because the driver came later than it was asked to.
    fn advance(&mut self, now: Duration) {
        self.latest = self.latest.max(now);
        let Some(named) = self.named.filter(|named| now > named.saturating_add(LATE)) else {
            return;
        };
        self.named = None;
        // What came meanwhile may still wait behind this call: it gets as long again to be handed over.
        let late = (now - named).saturating_add(LATE);
        self.forgive(late, now);
    }

    /// Whose packet it is, as far as it matters.
    ///
    /// The standby may be the speaker's own peer: below the first tier it mostly is the root. It then answers pulls like
    /// any standby, and must not be taken for one who pushes; or the parent would be excused from all that it withholds.
    fn feed(&self, from: Neighbour, tag: Tag, now: Duration) -> Feed {
        if self.parent() == Some(from) {
            Feed::Parent
        } else if self.standby() == Some(from) && self.relay.is_admitted(from, now) {
            Feed::Standby
        } else if self.relay.source(tag) == Some(from) {
            Feed::Source
        } else if self.standby() == Some(from) {
            Feed::Standby
        } else {
            Feed::Former
        }
    }

    /// Notes a packet in its stream and in all that follows from it. True when it came as the answer to a pull.
    fn handle_delivery(&mut self, delivery: &Delivery, feed: Feed, now: Duration) -> bool {
        let packet = &delivery.packet;
        let from_start = self.is_settled(now);
        let is_suspected = self.parent.as_ref().is_some_and(|parent| parent.suspected);
        let stream = self.streams.entry(packet.header().tag).or_default();
        // The standby may only have been faster.
        let is_bridged = feed == Feed::Standby && (is_suspected || stream.is_overdue());
        let arrival = stream.handle_packet(packet, feed, from_start, now);
        self.note_speech(now);
        self.note_pushes(&delivery.to, now);
        let repaired = feed == Feed::Standby || (feed != Feed::Own && arrival.asked > 0);
        self.relay.counters_mut().pulled += u64::from(repaired);
        let missed = if is_bridged {
            packet.frame_count()
        } else {
            arrival.asked
        };
        if !matches!(feed, Feed::Own | Feed::Source) {
            let frames = packet.frame_count().saturating_add(arrival.lost);
            self.strain.note_missed(missed);
            self.note_quality(frames, missed.saturating_add(arrival.lost), now);
        }
        if let (Feed::Parent, Some(parent)) = (feed, &mut self.parent) {
            parent.starving = false;
            if self.starved_since.is_some() {
                self.note_starvation(now);
            }
        }
        repaired
    }

    /// A packet that is here already came once more: who pushed it is alive to its stream.
    fn handle_duplicate(&mut self, from: Neighbour, bytes: Bytes, now: Duration) {
        let Ok(packet) = Packet::parse(bytes) else {
            return;
        };
        let tag = packet.header().tag;
        let feed = self.feed(from, tag, now);
        if let Some(stream) = self.streams.get_mut(&tag) {
            stream.handle_again(&packet, feed, now);
        }
        if feed == Feed::Parent && self.starved_since.is_some() {
            self.note_starvation(now);
        }
    }

    fn handle_source_heartbeat(&mut self, from: Neighbour, report: &Report, now: Duration) {
        if !self.relay.listens_to(from) {
            self.relay.counters_mut().unasked += 1;
            return;
        }
        for known in &report.streams {
            if self.relay.source(known.tag) == Some(from) {
                self.handle_claim(known, Witness::Feeder, now);
            }
        }
    }

    /// Another says what it has. Only of the stage, so that claims cost no memory.
    fn handle_claim(&mut self, known: &Known, witness: Witness, now: Duration) {
        if self.relay.is_heard(known.tag) {
            let from_start = self.is_settled(now);
            let stream = self.streams.entry(known.tag).or_default();
            stream.handle_claim(known, witness, from_start, now);
        }
    }

    /// Whether the first frames of a stream are missed when they do not come. The root hears everything from its start.
    fn is_settled(&self, now: Duration) -> bool {
        self.joined
            .is_none_or(|joined| now >= joined.saturating_add(SETTLED))
    }

    fn change_parent(&mut self, parent: Option<Neighbour>, now: Duration) {
        self.relay.set_parent(parent);
        self.parent = parent.map(|link| Parent::new(link, now));
        if parent.is_some() {
            self.joined.get_or_insert(now);
        }
        self.tally.clear();
        self.starved_since = None;
        self.lagging_since = None;
        for stream in self.streams.values_mut() {
            stream.change_parent(now);
        }
    }

    fn remove_idle(&mut self, link: Neighbour) {
        let is_idle = |receiver: &Receiver| receiver.uplink.is_none() && matches!(receiver.role, Role::None);
        if self.receivers.get(&link).is_some_and(is_idle) {
            self.receivers.remove(&link);
        }
    }

    fn transmit(&mut self, to: Neighbour, kind: TransmitKind, item: Bytes) {
        if self.transmits.len() == WAITING {
            self.transmits.pop_front();
        }
        self.transmits.push_back(Transmit { to, kind, item });
    }
}
