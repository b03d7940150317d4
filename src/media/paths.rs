//! The ways to all neighbours of one room: which link a peer's datagrams belong to, and what leaves on which.
//!
//! Invariant: what is ready for one neighbour at the same moment leaves in one datagram, and answers to pulls never push
//! live sound out of a queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libp2p::PeerId;
use majlis_protocol::{
    media::{Delivery, Packet, Tag, Transmit, TransmitKind},
    neighbour::Neighbour,
    person::Peer,
    wire::{
        datagram::{Builder, Item},
        message::Alias,
    },
};

use super::{bundle::Bundle, path::Path};
use crate::net::Network;

/// The ways, and what the links on them are for.
#[derive(Debug)]
pub(super) struct Paths {
    network: Network,
    paths: BTreeMap<Neighbour, Path>,
    /// The links to each peer: datagrams do not say which control substream they belong to.
    by_peer: BTreeMap<Peer, BTreeSet<Neighbour>>,
    parent: Option<Neighbour>,
    standby: Option<Neighbour>,
    /// Those who take sound or digests from here.
    receivers: BTreeSet<Neighbour>,
    /// The links of the speakers' own peers.
    sources: BTreeMap<Tag, Neighbour>,
    sent: u64,
    #[cfg(feature = "testlink")]
    pushes_lost: u64,
    /// Of paths that are gone, and of items that no datagram carries.
    dropped: u64,
}

impl Paths {
    pub(super) fn new(network: Network) -> Self {
        Self {
            network,
            paths: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            parent: None,
            standby: None,
            receivers: BTreeSet::new(),
            sources: BTreeMap::new(),
            sent: 0,
            #[cfg(feature = "testlink")]
            pushes_lost: 0,
            dropped: 0,
        }
    }

    /// Media packets pushed, each receiver counted.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Datagrams dropped on the way out.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped + self.paths.values().map(Path::dropped).sum::<u64>()
    }

    /// Of the packets pushed those that the link emulator dropped on purpose.
    #[cfg(feature = "testlink")]
    pub(super) fn pushes_lost(&self) -> u64 {
        self.pushes_lost
    }

    /// How long the round trip on a link takes, where that is measured.
    pub(super) fn round_trip(&self, link: Neighbour) -> Option<Duration> {
        self.paths.get(&link)?.round_trip()
    }

    /// The same of all links.
    pub(super) fn round_trips(&self) -> Vec<(Neighbour, Duration)> {
        self.paths
            .iter()
            .filter_map(|(link, path)| Some((*link, path.round_trip()?)))
            .collect()
    }

    /// The link that an item of a peer is taken to come on. A peer may have several, for different uses.
    pub(super) fn link_of(&self, peer: Peer, item: &Item) -> Option<Neighbour> {
        let links = self.by_peer.get(&peer)?;
        let of_peer = |link: Option<Neighbour>| link.filter(|link| links.contains(link));
        let source = || {
            let tag = match item {
                Item::Media(packet) => Packet::peek_tag(packet),
                _ => None,
            };
            match tag {
                Some(tag) => of_peer(self.sources.get(&tag).copied()),
                None => links
                    .iter()
                    .copied()
                    .find(|link| self.sources.values().any(|source| source == link)),
            }
        };
        let receiver = || links.iter().copied().find(|link| self.receivers.contains(link));
        let used = match item {
            Item::Media(_) => of_peer(self.parent)
                .or_else(source)
                .or_else(|| of_peer(self.standby)),
            Item::Heartbeat(_) => of_peer(self.parent).or_else(source),
            Item::Digest(_) => of_peer(self.standby),
            Item::Pull(_) => receiver(),
            _ => None,
        };
        used.or_else(|| links.last().copied())
    }

    pub(super) fn open(&mut self, link: Neighbour, peer: Peer, alias: Alias) {
        let Ok(id) = PeerId::from_bytes(&peer.to_peer_id_bytes()) else {
            return;
        };
        self.paths.insert(link, Path::new(&self.network, id, alias));
        self.by_peer.entry(peer).or_default().insert(link);
    }

    pub(super) fn close(&mut self, link: Neighbour) {
        if let Some(path) = self.paths.remove(&link) {
            self.dropped += path.dropped();
        }
        self.by_peer.retain(|_, links| {
            links.remove(&link);
            !links.is_empty()
        });
        self.receivers.remove(&link);
        self.sources.retain(|_, source| *source != link);
        self.parent.take_if(|parent| *parent == link);
        self.standby.take_if(|standby| *standby == link);
    }

    pub(super) fn set_parent(&mut self, parent: Option<Neighbour>) {
        self.parent = parent;
    }

    pub(super) fn set_standby(&mut self, standby: Option<Neighbour>) {
        self.standby = standby;
    }

    pub(super) fn set_receiver(&mut self, link: Neighbour, receives: bool) {
        if receives {
            self.receivers.insert(link);
        } else {
            self.receivers.remove(&link);
        }
    }

    pub(super) fn set_source(&mut self, tag: Tag, link: Option<Neighbour>) {
        match link {
            Some(link) => self.sources.insert(tag, link),
            None => self.sources.remove(&tag),
        };
    }

    /// Sends packets on.
    pub(super) fn push(&mut self, deliveries: &[Delivery]) {
        let mut bundle = Bundle::new(deliveries);
        for (to, selection) in bundle.receivers() {
            let Some(path) = self.paths.get_mut(&to) else {
                continue;
            };
            let datagram = bundle.datagram(path.alias(), selection);
            self.sent += selection.count();
            #[cfg(feature = "testlink")]
            let lost_before = path.lost_by_testlink();
            path.send(&self.network, datagram);
            #[cfg(feature = "testlink")]
            if path.lost_by_testlink() > lost_before {
                self.pushes_lost += selection.count();
            }
        }
    }

    /// Sends what keeps sound whole: what is live first, and what is for one neighbour together.
    pub(super) fn transmit(&mut self, mut transmits: Vec<Transmit>) {
        transmits.sort_by_key(|transmit| (transmit.to, transmit.kind));
        for transmits in transmits.chunk_by(|one, other| one.to == other.to) {
            let Some(path) = transmits.first().and_then(|first| self.paths.get_mut(&first.to)) else {
                continue;
            };
            let mut builder = Builder::new(path.alias().0, path.capacity());
            for transmit in transmits {
                // It will be asked for again; live sound that it pushed out would not.
                if transmit.kind == TransmitKind::Answer && !path.has_room() {
                    self.dropped += 1;
                    continue;
                }
                if builder.push(&transmit.item) {
                    continue;
                }
                let full = std::mem::replace(&mut builder, Builder::new(path.alias().0, path.capacity()));
                if !full.is_empty() {
                    path.send(&self.network, full.finish());
                }
                if !builder.push(&transmit.item) {
                    self.dropped += 1;
                }
            }
            if !builder.is_empty() {
                path.send(&self.network, builder.finish());
            }
        }
    }
}
