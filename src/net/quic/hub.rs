//! Where the media plane finds the links that the swarm's connections have.
//!
//! Invariant: a link is in the hub from the end of its handshake until its [`Connection`] is dropped,
//! and dropping that closes the connection first. A handle kept elsewhere keeps nothing alive.
//!
//! [`Connection`]: super::Connection

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::PeerId;

#[cfg(feature = "testlink")]
use super::testlink::Emulator;
use super::{Link, socket::Bound};

/// All links of one transport, by peer; clones are the same hub.
///
/// A link is listed a moment before the swarm has decided whether to accept its connection, so a media
/// plane that must speak only to accepted peers looks here at `ConnectionEstablished`. A refused link
/// reports itself closed.
#[derive(Clone, Debug, Default)]
pub struct Hub(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// A peer has an entry only while it has a link. How many there can be is for the swarm's connection
    /// limits to say: each link is one of its connections.
    links: Mutex<BTreeMap<PeerId, Vec<Entry>>>,
    #[cfg(feature = "testlink")]
    emulator: Option<Emulator>,
}

/// A link, and the endpoint that its connection is on.
#[derive(Debug)]
struct Entry {
    link: Link,
    endpoint: quinn::Endpoint,
}

/// A link's place in the hub. Dropping it closes the connection and gives the place up.
pub(super) struct Registration {
    hub: Hub,
    link: Link,
}

impl Hub {
    #[cfg(feature = "testlink")]
    pub(super) fn with_emulator(emulator: Option<Emulator>) -> Self {
        Self(Arc::new(Shared {
            links: Mutex::default(),
            emulator,
        }))
    }

    /// The open links to a peer, oldest first. More than one after both ends dialled at once or a hole was
    /// punched: receive on all, send on one.
    #[must_use]
    pub fn links(&self, peer: &PeerId) -> Vec<Link> {
        let entries = self.entries();
        let links = entries.get(peer).into_iter().flatten();
        links.map(|entry| entry.link.clone()).collect()
    }

    /// How many links there are to all peers together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().values().map(Vec::len).sum()
    }

    /// Whether there is no link at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Resolves once the connections that are here now have ended and their other ends know, or were told and did not
    /// answer. It closes none. Until then a program that ends leaves its peers to their idle timeout: closing alone only
    /// puts the last packet in line.
    pub(in crate::net) fn all_told(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut endpoints = BTreeMap::new();
        for entry in self.entries().values().flatten() {
            // One without an address is broken, and tells nobody.
            if let Ok(address) = entry.endpoint.local_addr() {
                endpoints.entry(address).or_insert_with(|| entry.endpoint.clone());
            }
        }
        async move {
            for endpoint in endpoints.values() {
                endpoint.wait_idle().await;
            }
        }
    }

    /// The bad network that this transport plays, if it was asked to.
    #[cfg(feature = "testlink")]
    #[must_use]
    pub fn emulator(&self) -> Option<&Emulator> {
        self.0.emulator.as_ref()
    }

    /// Enters a fresh connection.
    pub(super) fn register(&self, peer: PeerId, connection: quinn::Connection, bound: Bound) -> Registration {
        let link = Link::new(
            peer,
            connection,
            &bound.socket,
            #[cfg(feature = "testlink")]
            self.emulator(),
        );
        let entry = Entry {
            link: link.clone(),
            endpoint: bound.endpoint,
        };
        self.entries().entry(peer).or_default().push(entry);
        Registration {
            hub: self.clone(),
            link,
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<PeerId, Vec<Entry>>> {
        // No holder panics half-way through a change, so a poisoned map is still right.
        self.0.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The link alone: the hub would list everyone else's.
        self.link.fmt(f)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.link.close();
        let mut entries = self.hub.entries();
        if let Some(links) = entries.get_mut(&self.link.peer()) {
            links.retain(|entry| entry.link.id() != self.link.id());
            if links.is_empty() {
                entries.remove(&self.link.peer());
            }
        }
    }
}
