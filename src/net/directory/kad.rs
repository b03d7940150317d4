//! The DHT: rooms are found by their members, who provide the room's key.
//!
//! Every node that listens is a server; what keeps unreachable ones out of the tables is that an address is believed
//! only as far as its own reach: a peer that came over the internet is not entered with addresses of its home network.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::Endpoint,
    kad::{self, GetProvidersOk, Mode, QueryId, QueryResult, RecordKey, store::RecordStore},
    swarm::{ConnectionId, NetworkBehaviour},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    super::addresses::{Scope, without_peer},
    records::Records,
};

/// The protocol's name; other implementations build it from the prefix `/majlis`.
pub(in crate::net) const PROTOCOL: StreamProtocol = StreamProtocol::new("/majlis/kad/1.0.0");

/// What stands before a key: the multihash header of SHA-256, so that any libp2p finds it as a CID.
pub(super) const KEY_PREFIX: [u8; 2] = [0x12, 0x20];

/// How long others keep a provider record. A member that was killed is looked for no longer than this.
const PROVIDER_TTL: Duration = Duration::from_secs(300);

/// How often our records are repeated: three times within their life, so that two may be lost.
const PROVIDER_INTERVAL: Duration = Duration::from_secs(90);

/// How soon our records go to a peer that has just entered the table, and how often at most: what was provided when
/// nobody was there must not wait for the next round.
const REPROVIDE_DELAY: Duration = Duration::from_millis(500);
const REPROVIDE_PAUSE: Duration = Duration::from_secs(5);

/// How long a lookup may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);

/// Most lookups in progress; each may dial twenty peers.
const LOOKUPS: usize = 32;

/// Providers that wait for whoever looks them up, who dials three at a time.
const FOUND_QUEUE: usize = 64;

/// Most addresses believed of one peer.
const ADDRESSES: usize = 8;

pub(in crate::net) type Kad = kad::Behaviour<Records>;

/// A provider and where to find it; the addresses may be none.
pub type Provider = (PeerId, Vec<Multiaddr>);

/// Lookups in progress, and when our own records are due.
#[derive(Debug)]
pub(super) struct Lookups {
    local: PeerId,
    queries: HashMap<QueryId, Lookup>,
    reprovide: Option<Instant>,
    reprovided: Option<Instant>,
}

#[derive(Debug)]
struct Lookup {
    key: RecordKey,
    found: HashSet<PeerId>,
    sender: mpsc::Sender<Provider>,
}

pub(in crate::net) fn build(local: PeerId) -> Kad {
    let mut config = kad::Config::new(PROTOCOL);
    config
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_provider_publication_interval(Some(PROVIDER_INTERVAL))
        .set_query_timeout(QUERY_TIMEOUT)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_caching(kad::Caching::Disabled);
    let mut behaviour = kad::Behaviour::with_config(local, Records::new(local), config);
    behaviour.set_mode(Some(Mode::Server));
    behaviour
}

/// Enters a peer that speaks the protocol into the table, with those of its addresses that reach at least as far
/// as the connection it told them over. What it told before and tells no more is forgotten.
pub(super) fn learn(kad: &mut Kad, peer: PeerId, connection: &Multiaddr, told: &[Multiaddr]) {
    let reach = Scope::of(connection);
    let told: Vec<_> = told
        .iter()
        .filter(|address| Scope::of(address) >= reach)
        .take(ADDRESSES)
        // The table keeps them in this form.
        .filter_map(|address| without_peer(address).with_p2p(peer).ok())
        .collect();
    if told.is_empty() {
        return;
    }
    let before: Vec<Multiaddr> = kad
        .kbucket(peer)
        .into_iter()
        .flat_map(|bucket| {
            let entry = bucket.iter().find(|entry| *entry.node.key.preimage() == peer);
            entry.map_or_else(Vec::new, |entry| entry.node.value.iter().cloned().collect())
        })
        .collect();
    for address in told.iter().filter(|address| !before.contains(address)) {
        kad.add_address(&peer, address.clone());
    }
    for address in before.iter().filter(|address| !told.contains(address)) {
        kad.remove_address(&peer, address);
    }
}

impl Lookups {
    pub(super) fn new(local: PeerId) -> Self {
        Self {
            local,
            queries: HashMap::new(),
            reprovide: None,
            reprovided: None,
        }
    }

    pub(super) fn handle_event(&mut self, kad: &mut Kad, event: kad::Event, now: Instant) {
        match event {
            kad::Event::RoutingUpdated {
                is_new_peer: true, ..
            } => self.schedule_reprovide(now),
            kad::Event::OutboundQueryProgressed {
                id,
                result: QueryResult::GetProviders(result),
                step,
                ..
            } => {
                if let Ok(GetProvidersOk::FoundProviders { providers, .. }) = result {
                    self.handle_found(kad, id, providers);
                }
                if step.last {
                    self.queries.remove(&id);
                }
            }
            _ => {}
        }
    }

    /// Sends our records to those who came since, and ends the lookups that nobody waits for.
    pub(super) fn handle_timeout(&mut self, kad: &mut Kad, now: Instant) {
        self.queries.retain(|id, lookup| {
            let is_wanted = !lookup.sender.is_closed();
            if let Some(mut query) = kad.query_mut(id).filter(|_| !is_wanted) {
                query.finish();
            }
            is_wanted
        });
        if self.reprovide.is_some_and(|due| due <= now) {
            self.reprovide = None;
            self.reprovided = Some(now);
            for key in kad.store_mut().own_keys() {
                // Ours are never refused: see `Records::add_provider`.
                let _ = kad.start_providing(key);
            }
        }
    }

    /// When `handle_timeout` has records to send.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.reprovide
    }

    /// Looks for the providers of a key. Without a free place the receiver ends at once.
    pub(super) fn find(&mut self, kad: &mut Kad, key: [u8; 32]) -> mpsc::Receiver<Provider> {
        let (sender, receiver) = mpsc::channel(FOUND_QUEUE);
        if self.queries.len() < LOOKUPS {
            let key = record_key(key);
            let id = kad.get_providers(key.clone());
            let lookup = Lookup {
                key,
                found: HashSet::new(),
                sender,
            };
            self.queries.insert(id, lookup);
        }
        receiver
    }

    fn handle_found(&mut self, kad: &mut Kad, id: QueryId, providers: HashSet<PeerId>) {
        let Some(lookup) = self.queries.get_mut(&id) else {
            return;
        };
        for peer in providers {
            if peer == self.local || !lookup.found.insert(peer) {
                continue;
            }
            let addresses = addresses_of(kad, &lookup.key, peer);
            // Who does not take what it asked for has enough.
            if lookup.sender.try_send((peer, addresses)).is_err() {
                break;
            }
        }
    }

    fn schedule_reprovide(&mut self, now: Instant) {
        let earliest = self.reprovided.map_or(now, |last| last + REPROVIDE_PAUSE);
        self.reprovide
            .get_or_insert((now + REPROVIDE_DELAY).max(earliest));
    }
}

/// The key under which the DHT keeps 32 bytes.
pub(super) fn record_key(key: [u8; 32]) -> RecordKey {
    let mut bytes = [0; 34];
    bytes[..2].copy_from_slice(&KEY_PREFIX);
    bytes[2..].copy_from_slice(&key);
    RecordKey::new(&bytes)
}

/// What is known of a provider's addresses: from our own record, from the table and from the answers to lookups, which
/// the behaviour tells only in the form of what it would dial.
fn addresses_of(kad: &mut Kad, key: &RecordKey, peer: PeerId) -> Vec<Multiaddr> {
    let mut addresses = Vec::new();
    for record in kad.store_mut().providers(key) {
        if record.provider == peer {
            addresses.extend(record.addresses);
        }
    }
    let connection = ConnectionId::new_unchecked(0);
    let known = kad.handle_pending_outbound_connection(connection, Some(peer), &[], Endpoint::Dialer);
    addresses.extend(known.unwrap_or_default());
    let mut unique = HashSet::new();
    addresses.retain(|address| unique.insert(address.clone()));
    addresses.truncate(ADDRESSES);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    fn known(kad: &mut Kad, peer: PeerId) -> Vec<Multiaddr> {
        let connection = ConnectionId::new_unchecked(0);
        kad.handle_pending_outbound_connection(connection, Some(peer), &[], Endpoint::Dialer)
            .expect("never denied")
            .iter()
            .map(without_peer)
            .collect()
    }

    #[test]
    fn a_peer_is_entered_with_addresses_that_reach_as_far_as_it_came_from() {
        let (mut kad, peer) = (build(PeerId::random()), PeerId::random());
        let told = [
            address("/ip4/127.0.0.1/tcp/1"),
            address("/ip4/192.168.0.2/tcp/1"),
            address("/ip4/203.0.113.1/tcp/1"),
        ];
        learn(&mut kad, peer, &address("/ip4/198.51.100.7/tcp/9"), &told[..2]);
        assert!(
            known(&mut kad, peer).is_empty(),
            "behind a router nobody reaches it"
        );
        learn(&mut kad, peer, &address("/ip4/198.51.100.7/tcp/9"), &told);
        assert_eq!(known(&mut kad, peer), told[2..].to_vec());
        learn(&mut kad, peer, &address("/ip4/192.168.0.9/tcp/9"), &told);
        assert_eq!(known(&mut kad, peer).len(), 2);
    }

    #[test]
    fn a_peer_that_tells_ever_new_addresses_fills_no_memory() {
        let (mut kad, peer) = (build(PeerId::random()), PeerId::random());
        let connection = address("/ip4/127.0.0.1/tcp/9");
        for round in 0..100_u16 {
            let told: Vec<_> = (0..20)
                .map(|port| address(&format!("/ip4/127.0.0.1/tcp/{}", 1_000 + round * 20 + port)))
                .collect();
            learn(&mut kad, peer, &connection, &told);
            assert_eq!(known(&mut kad, peer), told[..ADDRESSES]);
        }
    }
}
