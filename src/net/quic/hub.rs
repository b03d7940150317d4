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

use super::Link;
#[cfg(feature = "testlink")]
use super::testlink::Emulator;

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
    links: Mutex<BTreeMap<PeerId, Vec<Link>>>,
    #[cfg(feature = "testlink")]
    emulator: Option<Emulator>,
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
        self.entries().get(peer).cloned().unwrap_or_default()
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

    /// The bad network that this transport plays, if it was asked to.
    #[cfg(feature = "testlink")]
    #[must_use]
    pub fn emulator(&self) -> Option<&Emulator> {
        self.0.emulator.as_ref()
    }

    /// Enters a fresh connection.
    pub(super) fn register(&self, peer: PeerId, connection: quinn::Connection) -> Registration {
        let link = Link::new(
            peer,
            connection,
            #[cfg(feature = "testlink")]
            self.emulator(),
        );
        self.entries().entry(peer).or_default().push(link.clone());
        Registration {
            hub: self.clone(),
            link,
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<PeerId, Vec<Link>>> {
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
            links.retain(|link| link.id() != self.link.id());
            if links.is_empty() {
                entries.remove(&self.link.peer());
            }
        }
    }
}
