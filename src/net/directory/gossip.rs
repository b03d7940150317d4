//! Gossip: announcements travel from neighbour to neighbour, each checked before it is passed on.
//!
//! Invariant: nothing is forwarded that the directory did not take as news; a neighbour that sends what it should
//! have refused is soon not listened to.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use libp2p::{
    PeerId,
    gossipsub::{
        self, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity,
        PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams, TopicSubscriptionFilter,
        ValidationMode,
    },
    identity::Keypair,
};
use majlis_protocol::room::RoomTag;
use tokio::time::Instant;

use super::super::{addresses::Scope, config::NetError};

/// The topic of all public rooms.
const ROOMS: &str = "/majlis/1/rooms";

/// What the topic of one room begins with; the hex of the room's key follows.
const ROOM: &str = "/majlis/1/room/";

/// How often the mesh is looked after. At 0.5 s a newcomer has neighbours within a second; below 0.3 s the upkeep
/// outweighs the announcements, above 0.7 s a newcomer sees the list late.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// When the mesh is first looked after. The library's 5 s would be the longest wait of joining a room.
const FIRST_HEARTBEAT: Duration = Duration::from_millis(100);

/// Most bytes of what a neighbour sends at once, as the library and others have it. Announcements are at most an eighth
/// of it; a larger one is refused by its own limit.
const TRANSMIT: usize = 65_536;

/// Messages that wait for one slow neighbour. At most 2 MB; what is dropped is repeated within a minute.
const QUEUE: usize = 256;

/// Most topics that one neighbour may subscribe: all rooms, tags, and the rooms it is in. The library's filter lets
/// strangers make us remember a hundred of any name.
const TOPICS: usize = 64;

/// How often our announcements are repeated.
pub(super) const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(60);

/// How soon a new neighbour makes us repeat them: once the mesh has taken it in. And how often at most, so that
/// neighbours that come and go do not make us flood the others.
const NEIGHBOUR_DELAY: Duration = Duration::from_millis(600);
const NEIGHBOUR_PAUSE: Duration = Duration::from_secs(5);

/// How long a tag that was asked for stays subscribed: a few looks at the list.
pub(super) const TAG_INTEREST: Duration = Duration::from_secs(600);

/// Most tags that are subscribed at a time; the one that ends first makes room.
const TAGS: usize = 32;

/// How many neighbours may share one public address before it costs them: a household or an office behind one
/// router, less than a rented machine full of identities.
const SAME_ADDRESS: usize = 10;

pub(in crate::net) type Gossip =
    gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<OnlyOurTopics>>;

/// What a topic is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topic {
    /// All public rooms.
    Rooms,
    /// Public rooms with a tag.
    Tag(RoomTag),
    /// One room.
    Room,
}

/// Lets peers subscribe to topics of this protocol and to no others.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct OnlyOurTopics;

/// When our own announcements go out, and which tags are subscribed.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Instant,
    last: Option<Instant>,
    tags: BTreeMap<RoomTag, Instant>,
}

/// Which neighbours share a public address. Loopback and private ranges do not count: a whole conference may be
/// behind one of theirs.
#[derive(Debug, Default)]
pub(super) struct Colocation {
    peers: HashMap<IpAddr, HashSet<PeerId>>,
}

pub(in crate::net) fn build(keypair: &Keypair) -> Result<Gossip, NetError> {
    let config = ConfigBuilder::default()
        .heartbeat_interval(HEARTBEAT)
        .heartbeat_initial_delay(FIRST_HEARTBEAT)
        .max_transmit_size(TRANSMIT)
        .connection_handler_queue_len(QUEUE)
        .flood_publish(false)
        .validate_messages()
        .validation_mode(ValidationMode::Strict)
        .build()
        .map_err(|error| NetError::Setup(error.to_string()))?;
    let filter = MaxCountSubscriptionFilter {
        filter: OnlyOurTopics,
        max_subscribed_topics: TOPICS,
        max_subscriptions_per_request: TOPICS,
    };
    let signed = MessageAuthenticity::Signed(keypair.clone());
    let setup = |error: &str| NetError::Setup(error.to_owned());
    let mut gossip =
        gossipsub::Behaviour::new_with_subscription_filter(signed, config, filter).map_err(setup)?;
    let params = PeerScoreParams {
        // The library counts by exact address and exempts no ranges; `Colocation` does it instead.
        ip_colocation_factor_weight: 0.0,
        app_specific_weight: 1.0,
        ..PeerScoreParams::default()
    };
    gossip
        .with_peer_score(params, PeerScoreThresholds::default())
        .map_err(|error| setup(&error))?;
    subscribe(&mut gossip, &Topic::Rooms);
    Ok(gossip)
}

/// How neighbours are judged on a topic: whoever sends ten invalid messages is no longer listened to until most are
/// forgotten. Few announcements are no fault, so nothing is asked of how many a neighbour delivers.
fn score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 1_000.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_cap: 50.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(Duration::from_secs(300)),
        ..TopicScoreParams::default()
    }
}

fn subscribe(gossip: &mut Gossip, topic: &Topic) {
    let Some(name) = topic.name() else {
        return;
    };
    let topic = IdentTopic::new(name);
    if let Err(error) = gossip.subscribe(&topic) {
        tracing::debug!(%error, "subscription");
    }
    if let Err(error) = gossip.set_topic_params(topic, score()) {
        tracing::debug!(error, "topic score");
    }
}

impl Topic {
    /// What a topic of this protocol is about.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name == ROOMS {
            return Some(Self::Rooms);
        }
        if let Some(hex) = name.strip_prefix(ROOM) {
            let is_key = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            return is_key.then_some(Self::Room);
        }
        let tag: RoomTag = name.strip_prefix(ROOMS)?.strip_prefix('/')?.parse().ok()?;
        // One tag has one topic, however it may be written.
        let topic = Self::Tag(tag);
        (topic.name().as_deref() == Some(name)).then_some(topic)
    }

    /// The name of a topic that announcements travel on.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Rooms => Some(ROOMS.into()),
            Self::Tag(tag) => Some(format!("{ROOMS}/{}", tag.as_str())),
            Self::Room => None,
        }
    }
}

impl TopicSubscriptionFilter for OnlyOurTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        Topic::parse(topic.as_str()).is_some()
    }
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            due: now + ANNOUNCE_INTERVAL,
            last: None,
            tags: BTreeMap::new(),
        }
    }

    /// A neighbour has come that may not know our rooms.
    pub(super) fn handle_neighbour(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + NEIGHBOUR_PAUSE);
        self.due = self.due.min((now + NEIGHBOUR_DELAY).max(earliest));
    }

    /// Whether our announcements are due now; if so, the next round is set.
    pub(super) fn handle_timeout(&mut self, gossip: &mut Gossip, now: Instant) -> bool {
        let ended: Vec<_> = self
            .tags
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(tag, _)| tag.clone())
            .collect();
        for tag in ended {
            self.leave(gossip, &tag);
        }
        let is_due = self.due <= now;
        if is_due {
            self.due = now + ANNOUNCE_INTERVAL;
            self.last = Some(now);
        }
        is_due
    }

    /// Follows a tag until some time.
    pub(super) fn follow(&mut self, gossip: &mut Gossip, tag: &RoomTag, until: Instant) {
        if let Some(known) = self.tags.get_mut(tag) {
            *known = until.max(*known);
            return;
        }
        if self.tags.len() >= TAGS {
            let first = self.tags.iter().min_by_key(|(_, until)| **until);
            if let Some(tag) = first.map(|(tag, _)| tag.clone()) {
                self.leave(gossip, &tag);
            }
        }
        self.tags.insert(tag.clone(), until);
        subscribe(gossip, &Topic::Tag(tag.clone()));
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.tags.values().copied().fold(self.due, Instant::min)
    }

    fn leave(&mut self, gossip: &mut Gossip, tag: &RoomTag) {
        self.tags.remove(tag);
        if let Some(name) = Topic::Tag(tag.clone()).name() {
            gossip.unsubscribe(&IdentTopic::new(name));
        }
    }
}

impl Colocation {
    pub(super) fn handle_connected(&mut self, gossip: &mut Gossip, peer: PeerId, ip: Option<IpAddr>) {
        if let Some(ip) = ip.filter(|ip| Scope::of_ip(*ip) == Scope::Public) {
            self.peers.entry(ip).or_default().insert(peer);
            self.judge(gossip, ip);
        }
    }

    pub(super) fn handle_disconnected(&mut self, gossip: &mut Gossip, peer: PeerId) {
        let shared: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peers)| peers.contains(&peer))
            .map(|(ip, _)| *ip)
            .collect();
        for ip in shared {
            if let Some(peers) = self.peers.get_mut(&ip) {
                peers.remove(&peer);
                if peers.is_empty() {
                    self.peers.remove(&ip);
                }
            }
            self.judge(gossip, ip);
        }
    }

    fn judge(&self, gossip: &mut Gossip, ip: IpAddr) {
        let Some(peers) = self.peers.get(&ip) else {
            return;
        };
        for peer in peers {
            gossip.set_application_score(peer, penalty(peers.len()));
        }
    }
}

/// What sharing an address with so many costs, as the square of the excess like the library's own measure.
fn penalty(peers: usize) -> f64 {
    let excess = u32::try_from(peers.saturating_sub(SAME_ADDRESS)).unwrap_or(u32::MAX);
    -5.0 * f64::from(excess).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_and_others_refused() {
        assert_eq!(Topic::parse("/majlis/1/rooms"), Some(Topic::Rooms));
        let tag = "شعر".parse().expect("a tag");
        assert_eq!(Topic::parse("/majlis/1/rooms/شعر"), Some(Topic::Tag(tag)));
        let room = format!("/majlis/1/room/{}", "0a".repeat(32));
        assert_eq!(Topic::parse(&room), Some(Topic::Room));
        for name in [
            "",
            "/majlis/1/rooms/",
            "/majlis/1/rooms/Poetry",
            "/majlis/1/roomsx",
            "/majlis/1/room/0A",
            "/other",
        ] {
            assert_eq!(Topic::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_neighbour_makes_us_repeat_soon_but_not_each_time() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let mut gossip = build(&Keypair::generate_ed25519()).expect("valid settings");
        schedule.handle_neighbour(now);
        assert_eq!(schedule.poll_timeout(), now + NEIGHBOUR_DELAY);
        assert!(schedule.handle_timeout(&mut gossip, now + NEIGHBOUR_DELAY));
        schedule.handle_neighbour(now + NEIGHBOUR_DELAY);
        assert_eq!(schedule.poll_timeout(), now + NEIGHBOUR_DELAY + NEIGHBOUR_PAUSE);
    }

    #[test]
    fn tags_are_followed_for_a_while_and_never_too_many() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let mut gossip = build(&Keypair::generate_ed25519()).expect("valid settings");
        for number in 0..40_u32 {
            let tag = format!("tag{number}").parse().expect("a tag");
            schedule.follow(&mut gossip, &tag, now + Duration::from_secs(u64::from(number)));
        }
        assert_eq!(gossip.topics().count(), 1 + TAGS);
        schedule.handle_timeout(&mut gossip, now + Duration::from_secs(40));
        assert_eq!(gossip.topics().count(), 1);
    }

    #[test]
    fn an_address_full_of_identities_costs_and_a_household_does_not() {
        assert!(penalty(SAME_ADDRESS) > -1.0);
        assert!(penalty(SAME_ADDRESS + 5) < PeerScoreThresholds::default().graylist_threshold);
    }
}
