//! One room's part of the media plane: its flow, its paths, and the way to the ear.
//!
//! The flow is driven by whoever brings a packet, an item or a route, and by a task that sleeps until its next deadline
//! ([`RoomMedia::drive`]). What it wants sent leaves before the lock is given back, live packets first.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use majlis_protocol::{
    media::{self, Check, Complaint, Counters, Delivery, Flow, Genuine, Header, Own, Packet},
    member::Route,
    neighbour::Neighbour,
    person::{Peer, Person},
    room::{RoomId, SPEECH_BITRATE},
    wire::{datagram::Item, message::Alias},
};
use tokio::{
    sync::{Notify, mpsc},
    time,
};

use super::{ear::Ear, intake::Intake, outlet::Outlet, paths::Paths};
use crate::{
    audio::{
        PlaybackFeed, RecordingFeed,
        engine::{SpeakerKey, SpeechPacket},
    },
    net::Network,
};

/// What the media plane tells its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Packets wait for log entries that are not here.
    Ahead,
    /// A neighbour sends forged packets.
    Forger(Neighbour),
    /// The parent does not do.
    Parting {
        /// Its link.
        link: Neighbour,
        /// Why.
        complaint: Complaint,
    },
    /// Several children lose what is pushed to them.
    Strained,
    /// The standby says nothing.
    StandbySilent(Neighbour),
    /// The first packet of another came off the network.
    First {
        /// Whose it is.
        speaker: Person,
        /// Its epoch.
        epoch: u32,
        /// Its first frame's sequence.
        sequence: u32,
        /// When it came.
        arrived: Instant,
    },
}

/// What a room's part of the plane counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaStats {
    /// The relay's verdicts, and what was sent to keep sound whole.
    pub verdicts: Counters,
    /// Packets pushed, each receiver counted.
    pub sent: u64,
    /// Datagrams dropped on the way out.
    pub outgoing_dropped: u64,
    /// Of the packets pushed those that the link emulator dropped on purpose.
    #[cfg(feature = "testlink")]
    pub pushes_lost: u64,
}

/// A room in the media plane.
#[derive(Debug)]
pub struct RoomMedia {
    alias: Alias,
    started: Instant,
    ear: Ear,
    /// Where a recording takes what is said, while there is one.
    tape: Mutex<Option<RecordingFeed>>,
    room: Outlet,
    state: Mutex<State>,
    /// Rung when the flow wants to be woken earlier than it said before, and when there is no flow any more.
    earlier: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    flow: Flow,
    paths: Paths,
    /// Whether a packet of another has come.
    heard: bool,
    /// When the driving task will wake, if it sleeps.
    armed: Option<Duration>,
}

impl RoomMedia {
    pub(super) fn new(alias: Alias, room: RoomId, network: Network, signals: mpsc::Sender<Signal>) -> Self {
        let state = State {
            flow: Flow::new(room, SPEECH_BITRATE),
            paths: Paths::new(network),
            heard: false,
            armed: None,
        };
        Self {
            alias,
            started: Instant::now(),
            ear: Ear::new(),
            tape: Mutex::default(),
            room: Outlet::new(signals),
            state: Mutex::new(state),
            earlier: Arc::new(Notify::new()),
        }
    }

    /// What datagrams to this node begin with in this room.
    #[must_use]
    pub fn alias(&self) -> Alias {
        self.alias
    }

    /// Gives what is heard from now on to a playback; the first one stays.
    pub fn listen(&self, feed: PlaybackFeed) {
        self.ear.open(feed);
    }

    /// Gives what is said from now on, here too, to a recording, or to none any more.
    pub fn record(&self, feed: Option<RecordingFeed>) {
        *self.tape.lock().unwrap_or_else(PoisonError::into_inner) = feed;
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> MediaStats {
        let mut state = self.lock();
        state.flow.expire_held(self.started.elapsed());
        MediaStats {
            verdicts: *state.flow.counters(),
            sent: state.paths.sent(),
            outgoing_dropped: state.paths.dropped(),
            #[cfg(feature = "testlink")]
            pushes_lost: state.paths.pushes_lost(),
        }
    }

    /// The least delay of a listener that does not speak: what lets a relay die unheard on the links that there are.
    #[must_use]
    pub fn delay_floor(&self) -> Duration {
        self.lock().flow.delay_floor()
    }

    /// Tells the flow how long the round trips on its links take now, and the room what it was too busy to hear.
    pub fn measure(&self) {
        self.room.tell_again();
        let state = &mut *self.lock();
        for (link, rtt) in state.paths.round_trips() {
            state.flow.set_rtt(link, rtt);
        }
    }

    /// Wakes the flow when it wants to be, for as long as there is one. It does not keep the room.
    pub(super) fn drive(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let (room, earlier): (Weak<Self>, _) = (Arc::downgrade(self), Arc::clone(&self.earlier));
        async move {
            while let Some(due) = room.upgrade().map(|media| media.arm()) {
                tokio::select! {
                    () = sleep_until(due) => {
                        if let Some(media) = room.upgrade() {
                            media.wake();
                        }
                    }
                    () = earlier.notified() => {}
                }
            }
        }
    }

    /// Changes how sound flows.
    pub fn handle_route(self: &Arc<Self>, route: Route) {
        let now = self.started.elapsed();
        let mut state = self.lock();
        state.take_route(route, now);
        let released = state.flow.take_released(now);
        self.settle(&mut state);
        drop(state);
        let mut intake = Intake::new(Arc::clone(self), Instant::now());
        for (from, packet) in released {
            intake.handle_packet(from, packet);
        }
        intake.finish();
    }

    /// The link that an item of a peer came on. A peer that is no neighbour here is judged like one that may not send:
    /// by a number nobody has.
    pub(super) fn link_of(&self, peer: Peer, item: &Item) -> Neighbour {
        let link = self.lock().paths.link_of(peer, item);
        link.unwrap_or(Neighbour(u64::MAX))
    }

    /// Takes an item that is no packet.
    pub(super) fn handle_report(&self, from: Neighbour, item: &Item, arrived: Instant) {
        let now = arrived.saturating_duration_since(self.started);
        let mut state = self.lock();
        match item {
            Item::Heartbeat(report) => state.flow.handle_heartbeat(from, report, now),
            Item::Digest(report) => state.flow.handle_digest(from, report, now),
            Item::Pull(pull) => state.flow.handle_pull(from, pull, now),
            // A kind that this version of the crate reads and the flow does not know.
            _ => {}
        }
        self.settle(&mut state);
    }

    /// Takes a packet through every check, that of its signature last.
    pub(super) fn verify(&self, from: Neighbour, packet: Bytes, arrived: Instant) -> Option<Genuine> {
        let now = arrived.saturating_duration_since(self.started);
        // The lock is not held while the signature is checked.
        let checked = self.lock().flow.check(from, packet, now);
        let candidate = match checked {
            Ok(Check::Verify(candidate)) => candidate,
            Ok(Check::Held) => {
                self.room.tell(Signal::Ahead);
                return None;
            }
            Err(_) => return None,
        };
        let forged = match candidate.verify() {
            Ok(genuine) => return Some(genuine),
            Err(forged) => forged,
        };
        if let Some(forger) = self.lock().flow.note_forged(forged) {
            self.room.tell(Signal::Forger(forger));
        }
        None
    }

    /// Sends packets that hold to the children and to the ear.
    pub(super) fn deliver(&self, together: Vec<Genuine>, arrived: Instant) {
        let now = arrived.saturating_duration_since(self.started);
        let mut state = self.lock();
        let committed = together
            .into_iter()
            .filter_map(|genuine| state.flow.commit(genuine, now).ok());
        let deliveries: Vec<Delivery> = committed.collect();
        state.paths.push(&deliveries);
        self.settle(&mut state);
        let is_first = !deliveries.is_empty() && !std::mem::replace(&mut state.heard, true);
        drop(state);
        if let Some(first) = deliveries.first().filter(|_| is_first) {
            let Header { epoch, sequence, .. } = *first.packet.header();
            self.room.tell(Signal::First {
                speaker: first.speaker,
                epoch,
                sequence,
                arrived,
            });
        }
        self.tape(&deliveries, arrived);
        for delivery in &deliveries {
            self.ear.hear(speech(delivery), arrived);
        }
    }

    fn tape(&self, deliveries: &[Delivery], at: Instant) {
        if let Some(tape) = &*self.tape.lock().unwrap_or_else(PoisonError::into_inner) {
            for delivery in deliveries {
                tape.push(speech(delivery), at);
            }
        }
    }

    /// Sends a packet of our own.
    pub fn send(&self, own: Own) {
        let mut state = self.lock();
        let delivery = match state.flow.commit_own(own, self.started.elapsed()) {
            Ok(delivery) => delivery,
            Err(dropped) => {
                tracing::debug!(%dropped, "an own packet was not sent");
                self.settle(&mut state);
                return;
            }
        };
        let together = [delivery];
        state.paths.push(&together);
        self.settle(&mut state);
        drop(state);
        self.tape(&together, Instant::now());
    }

    /// Does what the flow wants after an input: sends, tells the room, and has it woken in time.
    fn settle(&self, state: &mut State) {
        state.transmit();
        while let Some(signal) = state.flow.poll_signal() {
            self.room.tell(match signal {
                media::Signal::Parting { link, why } => Signal::Parting { link, complaint: why },
                media::Signal::Strained => Signal::Strained,
                media::Signal::StandbySilent { link } => Signal::StandbySilent(link),
            });
        }
        let due = state.flow.poll_timeout().map(|(due, _)| due);
        if due.is_some_and(|due| state.armed.is_none_or(|armed| due < armed)) {
            state.armed = due;
            self.earlier.notify_one();
        }
    }

    /// The flow's next deadline, which the driving task sleeps until.
    fn arm(&self) -> Option<time::Instant> {
        let mut state = self.lock();
        state.armed = state.flow.poll_timeout().map(|(due, _)| due);
        state.armed.map(|due| time::Instant::from_std(self.started + due))
    }

    fn wake(&self) {
        let mut state = self.lock();
        state.armed = None;
        state.flow.handle_timeout(self.started.elapsed());
        self.settle(&mut state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RoomMedia {
    fn drop(&mut self) {
        // Its driver may sleep without a deadline.
        self.earlier.notify_one();
    }
}

impl State {
    fn take_route(&mut self, route: Route, now: Duration) {
        let flow = &mut self.flow;
        match route {
            Route::Open { link, peer, alias } => self.paths.open(link, peer, alias),
            Route::Closed(link) => {
                self.paths.close(link);
                flow.forget(link);
            }
            Route::Parent(parent) => {
                self.paths.set_parent(parent);
                flow.set_parent(parent, now);
                self.measure(parent);
            }
            Route::Standby(standby) => {
                self.paths.set_standby(standby);
                flow.set_standby(standby, now);
                self.measure(standby);
            }
            Route::Child { link, added: true } => {
                self.paths.set_receiver(link, true);
                flow.add_child(link, now);
            }
            Route::StandbyChild { link, added: true } => {
                self.paths.set_receiver(link, true);
                flow.add_standby_child(link, now);
            }
            Route::Child { link, added: false } | Route::StandbyChild { link, added: false } => {
                self.paths.set_receiver(link, false);
                flow.remove_child(link);
            }
            Route::Uplink { link, added } => flow.set_uplink(link, added, now),
            Route::Grant { tag, person } => {
                // A key that is no point of the curve can sign nothing, so nothing is lost by not letting it speak.
                if flow.grant(tag, person).is_err() {
                    tracing::warn!(%person, "a person on the stage has a key that cannot sign");
                }
            }
            Route::Revoke(tag) => {
                self.paths.set_source(tag, None);
                flow.revoke(tag);
            }
            Route::Mute(tag) => flow.mute(tag),
            Route::Unmute { tag, since } => flow.unmute(tag, since),
            Route::Source { tag, link } => {
                self.paths.set_source(tag, link);
                flow.set_source(tag, link);
            }
            Route::Bitrate(bitrate) => flow.set_bitrate(bitrate),
            Route::Head(sequence) => flow.set_head(sequence),
        }
    }

    /// Tells the flow how long the round trip on a link takes, as far as that is known already.
    fn measure(&mut self, link: Option<Neighbour>) {
        if let Some((link, rtt)) = link.and_then(|link| Some((link, self.paths.round_trip(link)?))) {
            self.flow.set_rtt(link, rtt);
        }
    }

    fn transmit(&mut self) {
        let mut transmits = Vec::new();
        while let Some(transmit) = self.flow.poll_transmit() {
            transmits.push(transmit);
        }
        if !transmits.is_empty() {
            self.paths.transmit(transmits);
        }
    }
}

/// Sleeps until a deadline; for ever without one.
async fn sleep_until(due: Option<time::Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// A packet as the listening half takes it.
fn speech(delivery: &Delivery) -> SpeechPacket {
    let packet: &Packet = &delivery.packet;
    let header = packet.header();
    SpeechPacket {
        speaker: SpeakerKey(delivery.speaker.0),
        epoch: header.epoch,
        sequence: header.sequence,
        time: header.time,
        frames: packet.frames().map(|frame| frame.opus).collect(),
        redundant: packet
            .redundant()
            .map(|frame| {
                let back = header.sequence.saturating_sub(frame.sequence);
                (u8::try_from(back).unwrap_or(u8::MAX), frame.opus)
            })
            .collect(),
        end_of_spurt: header.end_of_spurt,
        repaired: delivery.repaired,
    }
}
