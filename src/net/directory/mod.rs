//! Discovery: which rooms there are, and who is in them.
//!
//! Invariant: what decides is the pure [`Directory`]; here is only what carries announcements to it and from it.
//! Nothing is passed on that it refused, and each refusal is counted under its reason.

mod ask;
mod gossip;
mod kad;
mod keep;
mod lan;
mod peers;
mod records;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use libp2p::{
    Multiaddr, PeerId,
    gossipsub::{self, MessageAcceptance, PublishError, TopicHash},
    identify, mdns,
    request_response::{self, Message},
    swarm::{NetworkBehaviour, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use majlis_protocol::{
    announcement::{Announcement, Listing, ListingError, Status},
    directory::{Directory, Heard, Network as NetworkPrefix, News, Refusal, Source},
    person::Peer,
    room::{RoomId, RoomTag},
    signed::{Malformed, Signed},
    wire::directory::{Answer, Keeping, Query, decode_gossip, encode_gossip},
};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{broadcast, mpsc},
    time::Instant,
};

use self::gossip::{ANNOUNCE_INTERVAL, TAG_INTEREST, Topic};
pub use self::{kad::Provider, keep::Kept};
use super::{
    addresses::{Scope, ip_of},
    config::{Config, NetError},
    stats::Counters,
};
use crate::clock;

/// Most rooms that one node announces.
pub const OWN_ROOMS: usize = 16;

/// Changes that wait for each of those who watch the list; who falls behind reads the list anew.
const CHANGES: usize = 256;

/// How long the end of a room of ours takes to leave for all neighbours, at the most. A node that closes right after it
/// waits for so long; less, and some list a room that is over for ten minutes more.
const LAST_NEWS: Duration = Duration::from_millis(200);

/// How often expired records of the DHT are swept out.
const SWEEP: Duration = Duration::from_secs(30);

/// A change of the list of rooms.
#[derive(Debug, Clone)]
pub enum RoomChange {
    /// A room is listed that was not, or with something new.
    Listed(Box<Listing>),
    /// A room is no longer listed.
    Gone(RoomId),
    /// A room that was to come was called off.
    Cancelled(Box<Listing>),
}

/// Why a room is not announced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// The announcement does not prove itself: a fault of this program.
    #[error(transparent)]
    Invalid(#[from] ListingError),
    /// This node announces as many rooms as it may.
    #[error("a node announces at most {OWN_ROOMS} rooms")]
    TooMany,
    /// The network has been closed.
    #[error("the network is closed")]
    Closed,
}

/// The behaviours that find peers and rooms.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviours {
    gossip: gossip::Gossip,
    kad: kad::Kad,
    ask: ask::Ask,
    keep: keep::Keep,
    mdns4: lan::Mdns,
    mdns6: lan::Mdns,
    upnp: lan::Upnp,
}

/// What happens to those behaviours.
pub(super) type Event = BehavioursEvent;

/// What is known of rooms and peers, and what is due.
pub(super) struct Discovery {
    directory: Directory,
    own: BTreeMap<RoomId, Listing>,
    schedule: gossip::Schedule,
    colocation: gossip::Colocation,
    asking: ask::Asking,
    keepers: keep::Keepers,
    kept: broadcast::Sender<Kept>,
    /// Whether records of others are repeated and kept on request.
    is_community: bool,
    lookups: kad::Lookups,
    peers: peers::Peers,
    changes: broadcast::Sender<RoomChange>,
    counters: Arc<Counters>,
    /// When the last end of a room of ours was published.
    published: Option<Instant>,
    /// Where the directory's time begins.
    started: Instant,
    sweep_at: Instant,
}

impl Behaviours {
    pub(super) fn new(config: &Config) -> Result<Self, NetError> {
        let local = config.keypair.public().to_peer_id();
        let (mdns4, mdns6) = lan::build(config, local)?;
        Ok(Self {
            gossip: gossip::build(&config.keypair)?,
            kad: kad::build(local),
            ask: ask::build(),
            keep: keep::build(config.community),
            mdns4,
            mdns6,
            upnp: lan::build_upnp(config),
        })
    }
}

impl Discovery {
    pub(super) fn new(config: &Config, counters: Arc<Counters>) -> Self {
        let (now, local) = (Instant::now(), config.keypair.public().to_peer_id());
        Self {
            directory: Directory::default(),
            own: BTreeMap::new(),
            schedule: gossip::Schedule::new(now),
            colocation: gossip::Colocation::default(),
            asking: ask::Asking::default(),
            keepers: keep::Keepers::default(),
            kept: broadcast::channel(CHANGES).0,
            is_community: config.community,
            lookups: kad::Lookups::new(local),
            peers: peers::Peers::new(local, config.bootstrap.clone(), &config.known_peers, now),
            changes: broadcast::channel(CHANGES).0,
            counters,
            published: None,
            started: now,
            sweep_at: now + SWEEP,
        }
    }

    /// Those who watch the list subscribe here; it does not keep the list alive.
    pub(super) fn changes(&self) -> broadcast::WeakSender<RoomChange> {
        self.changes.downgrade()
    }

    /// Those who ask what community nodes say to our records subscribe here.
    pub(super) fn kept(&self) -> broadcast::WeakSender<Kept> {
        self.kept.downgrade()
    }

    /// Records kept for others, to be kept again at the next start.
    pub(super) fn written(&self) -> Vec<bytes::Bytes> {
        self.directory.written()
    }

    /// Keeps what an earlier run has written down.
    pub(super) fn restore(&mut self, written: &[Vec<u8>]) {
        let (wall, now) = (clock::unix_seconds(), self.started.elapsed());
        for one in written {
            if let Err(error) = self.directory.restore(one, wall, now) {
                tracing::debug!(%error, "an announcement that was kept");
            }
        }
    }

    /// Addresses of peers to remember for the next start.
    pub(super) fn known_peers(&self) -> Vec<Multiaddr> {
        self.peers.known()
    }

    /// The rooms that are open, to come or called off, or those with a tag, which is then followed for a while.
    pub(super) fn rooms(&mut self, on: &mut Behaviours, tag: Option<&RoomTag>) -> Vec<Listing> {
        if let Some(tag) = tag {
            self.schedule
                .follow(&mut on.gossip, tag, Instant::now() + TAG_INTEREST);
        }
        let plans = self.directory.plans(tag);
        self.directory.rooms(tag).chain(plans).cloned().collect()
    }

    /// A first connection with a peer is there.
    pub(super) fn handle_connected(&mut self, on: &mut Behaviours, peer: PeerId, address: &Multiaddr) {
        self.peers.handle_connected(peer);
        self.colocation
            .handle_connected(&mut on.gossip, peer, ip_of(address));
    }

    /// The last connection with a peer is gone.
    pub(super) fn handle_disconnected(&mut self, on: &mut Behaviours, peer: PeerId) {
        self.asking.handle_disconnected(peer);
        self.keepers.handle_disconnected(peer);
        self.colocation.handle_disconnected(&mut on.gossip, peer);
    }

    /// A peer has said what it speaks, over a connection whose other end has an address that we dialled or not.
    pub(super) fn handle_identified(
        &mut self,
        on: &mut Behaviours,
        peer: PeerId,
        info: &identify::Info,
        (address, dialled): (&Multiaddr, bool),
    ) {
        if info.protocols.contains(&kad::PROTOCOL) {
            let mut told = info.listen_addrs.clone();
            if dialled {
                told.insert(0, address.clone());
            }
            kad::learn(&mut on.kad, peer, address, &told);
        }
        if info.protocols.contains(&ask::PROTOCOL) {
            self.asking.handle_peer(&mut on.ask, peer, Instant::now());
            if dialled {
                self.peers.handle_proven(peer, address);
            }
        }
        if info.protocols.contains(&keep::PROTOCOL) {
            let address = dialled.then_some(address);
            let own = self.own.values();
            self.keepers.handle_keeper(&mut on.keep, peer, address, own);
        }
    }

    /// Takes an event of the behaviours; `remote` says where a peer's connection comes from.
    pub(super) fn handle_event(
        &mut self,
        on: &mut Behaviours,
        event: Event,
        remote: impl Fn(&PeerId) -> Option<IpAddr>,
    ) {
        let now = Instant::now();
        match event {
            Event::Gossip(gossipsub::Event::Message {
                propagation_source: peer,
                message_id,
                message,
            }) => {
                let source = source(peer, remote(&peer));
                let acceptance = self.judge(&message.topic, &message.data, source);
                on.gossip
                    .report_message_validation_result(&message_id, &peer, acceptance);
            }
            Event::Gossip(gossipsub::Event::Subscribed { .. }) if !self.own.is_empty() => {
                self.schedule.handle_neighbour(now);
            }
            Event::Gossip(_) => {}
            Event::Kad(event) => self.lookups.handle_event(&mut on.kad, event, now),
            Event::Ask(event) => self.handle_ask(on, event, remote),
            Event::Keep(event) => self.handle_keep(on, event, remote),
            Event::Mdns4(event) | Event::Mdns6(event) => {
                if let mdns::Event::Discovered(peers) = event {
                    for (peer, address) in peers {
                        self.peers.handle_nearby(peer, address, now);
                    }
                }
            }
            Event::Upnp(event) => tracing::debug!(?event, "upnp"),
        }
    }

    /// Does what is due; returns what is to be dialled. `alone` says that we are connected with nobody.
    pub(super) fn handle_timeout(&mut self, on: &mut Behaviours, alone: bool) -> Vec<DialOpts> {
        let now = Instant::now();
        for room in self.directory.handle_timeout(now - self.started) {
            self.tell(RoomChange::Gone(room));
        }
        if self.schedule.handle_timeout(&mut on.gossip, now) {
            self.publish_all(on);
            self.repeat(on, now - self.started);
        }
        if self.sweep_at <= now {
            self.sweep_at = now + SWEEP;
            on.kad.store_mut().forget_expired(now.into_std());
        }
        self.lookups.handle_timeout(&mut on.kad, now);
        self.counters.rooms.set(self.directory.len());
        self.counters.plans.set(self.directory.len_of_plans());
        let dials = self.peers.handle_timeout(alone, now);
        dials.into_iter().flat_map(dial_opts).collect()
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self, alone: bool) -> Instant {
        let due = [self.peers.poll_timeout(alone), self.lookups.poll_timeout()];
        due.into_iter()
            .flatten()
            .chain([self.schedule.poll_timeout(), self.sweep_at])
            .fold(Instant::now() + SWEEP, Instant::min)
    }

    /// Announces a room of our own, at once and again and again; or its end, once.
    pub(super) fn announce(
        &mut self,
        on: &mut Behaviours,
        signed: Signed<Announcement>,
    ) -> Result<(), AnnounceError> {
        let issued = signed.peek().map_err(ListingError::from)?.issued;
        let listing = Listing::verify(signed, issued, None)?;
        let room = listing.announcement().room;
        let now = Instant::now();
        if listing.announcement().is_end() {
            self.own.remove(&room);
            publish(&mut on.gossip, &listing);
            self.published = Some(now);
            if self.directory.end(listing, now - self.started) {
                self.tell(RoomChange::Gone(room));
            }
            return Ok(());
        }
        if self.own.len() >= OWN_ROOMS && !self.own.contains_key(&room) {
            return Err(AnnounceError::TooMany);
        }
        for tag in &listing.genesis().tags {
            // Until the announcement has been repeated a few times without us.
            self.schedule
                .follow(&mut on.gossip, tag, now + 5 * ANNOUNCE_INTERVAL);
        }
        self.directory.announce(listing.clone(), now - self.started);
        publish(&mut on.gossip, &listing);
        self.keepers.give(&mut on.keep, &listing);
        self.own.insert(room, listing.clone());
        self.tell(match listing.status() {
            Status::Cancelled { .. } => RoomChange::Cancelled(Box::new(listing)),
            _ => RoomChange::Listed(Box::new(listing)),
        });
        Ok(())
    }

    /// Until when news of ours may still be on its way out. What it was handed to tells nobody that it has sent it.
    pub(super) fn sending_until(&self) -> Option<Instant> {
        self.published.map(|at| at + LAST_NEWS)
    }

    /// Provides a key in the DHT until it is stopped.
    pub(super) fn provide(&mut self, on: &mut Behaviours, key: [u8; 32]) {
        // Our own keys are never refused: see `Records::add_provider`.
        let _ = on.kad.start_providing(kad::record_key(key));
    }

    /// Provides a key no more; others forget it in time.
    pub(super) fn stop_providing(&mut self, on: &mut Behaviours, key: [u8; 32]) {
        on.kad.stop_providing(&kad::record_key(key));
    }

    /// Looks for those who provide a key.
    pub(super) fn providers(&mut self, on: &mut Behaviours, key: [u8; 32]) -> mpsc::Receiver<Provider> {
        self.lookups.find(&mut on.kad, key)
    }

    /// Whether a gossiped message is passed on, and whether its sender is to blame.
    fn judge(&mut self, topic: &TopicHash, data: &[u8], source: Source) -> MessageAcceptance {
        let topic = match Topic::parse(topic.as_str()) {
            Some(topic @ (Topic::Rooms | Topic::Tag(_))) => topic,
            _ => return MessageAcceptance::Ignore,
        };
        let signed = match decode_gossip(data) {
            Ok(signed) => signed,
            Err(Malformed::Version { .. }) => {
                self.counters.announcements_newer_version.increase();
                return MessageAcceptance::Ignore;
            }
            Err(_) => {
                self.counters.announcements_malformed.increase();
                return MessageAcceptance::Reject;
            }
        };
        let room = match self.hear(signed, source) {
            Ok(heard) => heard.room,
            Err(refusal) if refusal.is_senders_fault() => return MessageAcceptance::Reject,
            Err(_) => return MessageAcceptance::Ignore,
        };
        let now = self.started.elapsed();
        let tag = match &topic {
            Topic::Tag(tag) => Some(tag),
            _ => None,
        };
        let is_its_own = self
            .directory
            .genesis(&room)
            .is_some_and(|genesis| tag.is_none_or(|tag| genesis.tags.contains(tag)));
        if !is_its_own {
            self.counters.announcements_wrong_topic.increase();
            return MessageAcceptance::Reject;
        }
        if self.directory.pass_on(&room, tag, now) {
            MessageAcceptance::Accept
        } else {
            MessageAcceptance::Ignore
        }
    }

    fn handle_ask(
        &mut self,
        on: &mut Behaviours,
        event: request_response::Event<Query, Answer>,
        remote: impl Fn(&PeerId) -> Option<IpAddr>,
    ) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request, channel, .. } => {
                    if self.asking.may_ask(peer, Instant::now()) {
                        self.counters.questions_answered.increase();
                        // An error says that the asker has gone.
                        let _ = on.ask.send_response(channel, self.directory.answer(&request));
                    } else {
                        // The channel drops, and with it the stream.
                        self.counters.questions_refused.increase();
                    }
                }
                Message::Response { request_id, response } => {
                    let source = source(peer, remote(&peer));
                    let last = self.handle_answer(response, source);
                    self.asking.handle_answer(&mut on.ask, peer, request_id, last);
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                tracing::debug!(%error, "a question was not answered");
                self.asking.handle_failure(&mut on.ask, request_id);
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a question was not understood");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// A host asks this community node to keep a record, or one answers ours.
    fn handle_keep(
        &mut self,
        on: &mut Behaviours,
        event: request_response::Event<Signed<Announcement>, Keeping>,
        remote: impl Fn(&PeerId) -> Option<IpAddr>,
    ) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request, channel, .. } => {
                    let refused = match self.hear(request, source(peer, remote(&peer))) {
                        Ok(heard) => {
                            if heard.news != News::Again {
                                self.spread(on, &heard.room);
                            }
                            None
                        }
                        Err(refusal) => Some(refusal.reason()),
                    };
                    match refused {
                        None => self.counters.records_kept.increase(),
                        Some(_) => self.counters.records_refused.increase(),
                    }
                    // An error says that the asker has gone.
                    let _ = on.keep.send_response(channel, Keeping { refused });
                }
                Message::Response { request_id, response } => {
                    if let Some(kept) = self.keepers.handle_answer(peer, request_id, response) {
                        // An error says that nobody watches.
                        let _ = self.kept.send(kept);
                    }
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                tracing::debug!(%error, "a community node did not say whether it keeps a record");
                self.keepers.handle_failure(request_id);
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a record was not understood");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// Takes an answer; returns the room behind which there are more.
    fn handle_answer(&mut self, answer: Answer, source: Source) -> Option<RoomId> {
        let last = answer
            .announcements
            .last()
            .and_then(|signed| Some(signed.peek().ok()?.room));
        for signed in answer.announcements {
            // A page that costs us its sender's budget is read no further.
            if self.hear(signed, source) == Err(Refusal::Budget) {
                return None;
            }
        }
        last.filter(|_| answer.more)
    }

    /// Takes an announcement from a peer and tells those who watch what was new in it.
    fn hear(&mut self, signed: Signed<Announcement>, source: Source) -> Result<Heard, Refusal> {
        let now = self.started.elapsed();
        let result = self
            .directory
            .handle_announcement(signed, source, clock::unix_seconds(), now);
        self.counters.count_announcement(&result);
        let heard = result?;
        let is_cancelled = self.directory.cancelled(&heard.room).is_some();
        // Of a room that was called off, more is told than that it is gone.
        if let Some(room) = heard.evicted.filter(|room| !is_cancelled || *room != heard.room) {
            self.tell(RoomChange::Gone(room));
        }
        let change = match heard.news {
            News::Again => None,
            News::End => self.directory.cancelled(&heard.room).map(|listing| {
                let listing = Box::new(listing.clone());
                RoomChange::Cancelled(listing)
            }),
            News::Room | News::Newer => self.directory.get(&heard.room).map(|listing| {
                let listing = Box::new(listing.clone());
                RoomChange::Listed(listing)
            }),
        };
        if let Some(change) = change {
            self.tell(change);
        }
        Ok(heard)
    }

    /// Tells the neighbours of a record whose host may go before they hear of it.
    fn spread(&self, on: &mut Behaviours, room: &RoomId) {
        let listing = self.directory.get(room);
        if let Some(listing) = listing.or_else(|| self.directory.cancelled(room)) {
            publish(&mut on.gossip, listing);
        }
    }

    /// As a community node, tells again of rooms to come whose hosts may be away.
    fn repeat(&mut self, on: &mut Behaviours, now: Duration) {
        if !self.is_community {
            return;
        }
        for listing in self.directory.repeat(now) {
            publish(&mut on.gossip, &listing);
        }
    }

    fn publish_all(&mut self, on: &mut Behaviours) {
        let follow_until = Instant::now() + 5 * ANNOUNCE_INTERVAL;
        for listing in self.own.values() {
            for tag in &listing.genesis().tags {
                self.schedule.follow(&mut on.gossip, tag, follow_until);
            }
            publish(&mut on.gossip, listing);
        }
    }

    fn tell(&self, change: RoomChange) {
        // An error says that nobody watches.
        let _ = self.changes.send(change);
    }
}

/// Sends one announcement to the neighbours, on each of its topics.
fn publish(gossip: &mut gossip::Gossip, listing: &Listing) {
    let data = encode_gossip(listing.announcement().signed());
    let tags = listing.genesis().tags.iter().cloned().map(Topic::Tag);
    for name in [Topic::Rooms]
        .into_iter()
        .chain(tags)
        .filter_map(|topic| topic.name())
    {
        match gossip.publish(TopicHash::from_raw(name), data.to_vec()) {
            // Alone for now; the first neighbour that comes makes us repeat it.
            Ok(_) | Err(PublishError::NoPeersSubscribedToTopic) => {}
            Err(error) => tracing::debug!(%error, "an announcement was not sent"),
        }
    }
}

fn dial_opts((peer, addresses): peers::Dial) -> Vec<DialOpts> {
    match peer {
        Some(peer) => vec![
            DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addresses)
                .build(),
        ],
        None => addresses
            .into_iter()
            .map(|address| DialOpts::unknown_peer_id().address(address).build())
            .collect(),
    }
}

/// Whom to charge for what a peer hands us.
fn source(peer: PeerId, ip: Option<IpAddr>) -> Source {
    let bytes = peer.to_bytes();
    let ed25519 = Peer::from_peer_id_bytes(&bytes).ok();
    Source {
        id: ed25519.map_or_else(|| Sha256::digest(&bytes).into(), |peer| peer.0),
        peer: ed25519,
        network: ip
            .filter(|ip| Scope::of_ip(*ip) == Scope::Public)
            .map(NetworkPrefix::of),
    }
}
