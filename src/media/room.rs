//! One room's part of the media plane: its relay, its paths, and the way to the ear.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use libp2p::PeerId;
use majlis_protocol::{
    media::{Check, Counters, Delivery, Header, Own, Packet, Relay},
    member::Route,
    neighbour::Neighbour,
    person::{Peer, Person},
    room::{RoomId, SPEECH_BITRATE},
    wire::{datagram::Builder, message::Alias},
};
use tokio::sync::mpsc;

use super::{ear::Ear, path::Path};
use crate::{
    audio::{
        PlaybackFeed,
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
    /// The relay's verdicts.
    pub verdicts: Counters,
    /// Packets sent, each receiver counted.
    pub sent: u64,
    /// Datagrams dropped on the way out.
    pub outgoing_dropped: u64,
}

/// A room in the media plane.
#[derive(Debug)]
pub struct RoomMedia {
    alias: Alias,
    started: Instant,
    network: Network,
    ear: Ear,
    signals: mpsc::Sender<Signal>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    relay: Relay,
    paths: BTreeMap<Neighbour, Path>,
    /// The links to each peer: datagrams do not say which control substream they belong to.
    by_peer: BTreeMap<Peer, BTreeSet<Neighbour>>,
    /// From whom sound comes down.
    parent: Option<Neighbour>,
    sent: u64,
    /// Whether a packet of another has come.
    heard: bool,
    /// Of paths that are gone.
    outgoing_dropped: u64,
}

impl RoomMedia {
    pub(super) fn new(alias: Alias, room: RoomId, network: Network, signals: mpsc::Sender<Signal>) -> Self {
        let state = State {
            relay: Relay::new(room, SPEECH_BITRATE),
            paths: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            parent: None,
            sent: 0,
            heard: false,
            outgoing_dropped: 0,
        };
        Self {
            alias,
            started: Instant::now(),
            network,
            ear: Ear::new(),
            signals,
            state: Mutex::new(state),
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

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> MediaStats {
        let mut state = self.lock();
        state.relay.expire_held(self.started.elapsed());
        MediaStats {
            verdicts: *state.relay.counters(),
            sent: state.sent,
            outgoing_dropped: state.outgoing_dropped + state.paths.values().map(Path::dropped).sum::<u64>(),
        }
    }

    /// Changes how sound flows.
    pub fn handle_route(&self, route: Route) {
        let mut state = self.lock();
        match route {
            Route::Open { link, peer, alias } => state.open(&self.network, link, peer, alias),
            Route::Closed(link) => state.close(link),
            Route::Parent(parent) => {
                state.parent = parent;
                state.relay.set_parent(parent);
            }
            Route::Standby(_) | Route::StandbyChild { .. } | Route::Uplink { .. } => {}
            Route::Child { link, added: true } => state.relay.add_child(link),
            Route::Child { link, added: false } => state.relay.remove_child(link),
            Route::Grant { tag, person } => {
                // A key that is no point of the curve can sign nothing, so nothing is lost by not letting it speak.
                if state.relay.grant(tag, person).is_err() {
                    tracing::warn!(%person, "a person on the stage has a key that cannot sign");
                }
            }
            Route::Revoke(tag) => state.relay.revoke(tag),
            Route::Source { tag, link } => state.relay.set_source(tag, link),
            Route::Bitrate(bitrate) => state.relay.set_bitrate(bitrate),
            Route::Head(sequence) => state.relay.set_head(sequence),
        }
        let released = state.relay.take_released(self.started.elapsed());
        drop(state);
        for (from, packet) in released {
            self.judge(from, packet, Instant::now());
        }
    }

    /// Takes a packet from a peer through the relay, to the children and to the ear.
    pub(super) fn handle_packet(&self, peer: Peer, packet: Bytes, arrived: Instant) {
        let from = self.lock().link_of(peer);
        // A peer that is no neighbour here is judged like one that may not send: by a number nobody has.
        self.judge(from.unwrap_or(Neighbour(u64::MAX)), packet, arrived);
    }

    /// Sends a packet of our own.
    pub fn send(&self, own: Own) {
        let mut state = self.lock();
        match state.relay.commit_own(own, self.started.elapsed()) {
            Ok(delivery) => state.forward(&self.network, &delivery),
            Err(dropped) => tracing::debug!(%dropped, "an own packet was not sent"),
        }
    }

    fn judge(&self, from: Neighbour, packet: Bytes, arrived: Instant) {
        let now = arrived.saturating_duration_since(self.started);
        // The lock is not held while the signature is checked.
        let checked = self.lock().relay.check(from, packet, now);
        let candidate = match checked {
            Ok(Check::Verify(candidate)) => candidate,
            Ok(Check::Held) => return self.signal(Signal::Ahead),
            Err(_) => return,
        };
        let verified = candidate.verify();
        let mut state = self.lock();
        let delivery = match verified {
            Ok(genuine) => state.relay.commit(genuine, now),
            Err(forged) => {
                if let Some(forger) = state.relay.note_forged(forged) {
                    self.signal(Signal::Forger(forger));
                }
                return;
            }
        };
        if let Ok(delivery) = delivery {
            state.forward(&self.network, &delivery);
            let is_first = !std::mem::replace(&mut state.heard, true);
            drop(state);
            if is_first {
                let Header { epoch, sequence, .. } = *delivery.packet.header();
                self.signal(Signal::First {
                    speaker: delivery.speaker,
                    epoch,
                    sequence,
                    arrived,
                });
            }
            self.ear.hear(speech(delivery.speaker, &delivery.packet), arrived);
        }
    }

    /// Signals are few and repeat themselves: when the room is busy, one that waits already says it.
    fn signal(&self, signal: Signal) {
        if self.signals.try_send(signal).is_err() {
            tracing::debug!(?signal, "the room is busy");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&mut self, network: &Network, link: Neighbour, peer: Peer, alias: Alias) {
        let Ok(id) = PeerId::from_bytes(&peer.to_peer_id_bytes()) else {
            return;
        };
        self.paths.insert(link, Path::new(network, id, alias));
        self.by_peer.entry(peer).or_default().insert(link);
    }

    fn close(&mut self, link: Neighbour) {
        if let Some(path) = self.paths.remove(&link) {
            self.outgoing_dropped += path.dropped();
        }
        self.by_peer.retain(|_, links| {
            links.remove(&link);
            !links.is_empty()
        });
        self.relay.forget(link);
    }

    /// The link that a peer's packets are taken to come on: that to the parent, or else the newest.
    fn link_of(&self, peer: Peer) -> Option<Neighbour> {
        let links = self.by_peer.get(&peer)?;
        self.parent
            .filter(|parent| links.contains(parent))
            .or_else(|| links.last().copied())
    }

    /// Sends a packet on. Receivers that chose the same alias share one datagram.
    fn forward(&mut self, network: &Network, delivery: &Delivery) {
        let mut built: Vec<(Alias, Bytes)> = Vec::new();
        for to in &delivery.to {
            let Some(path) = self.paths.get_mut(to) else {
                continue;
            };
            let alias = path.alias();
            let datagram = match built.iter().find(|(other, _)| *other == alias) {
                Some((_, datagram)) => datagram.clone(),
                None => {
                    let mut builder = Builder::new(alias.0, path.capacity());
                    if !builder.push(delivery.packet.bytes()) {
                        self.outgoing_dropped += 1;
                        continue;
                    }
                    let datagram = builder.finish();
                    built.push((alias, datagram.clone()));
                    datagram
                }
            };
            self.sent += 1;
            path.send(network, datagram);
        }
    }
}

/// A packet as the listening half takes it.
fn speech(speaker: Person, packet: &Packet) -> SpeechPacket {
    let header = packet.header();
    SpeechPacket {
        speaker: SpeakerKey(speaker.0),
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
        repaired: false,
    }
}
