//! Holds: a connection that carries only datagrams looks idle to the swarm; who needs it holds it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use libp2p::PeerId;

/// Keeps the connections with a peer, present and future, from being closed as idle for as long as it lives.
#[must_use = "dropping it lets the connection go"]
pub struct Hold {
    peer: PeerId,
    count: Arc<AtomicUsize>,
    holds: Holds,
}

/// Who is held. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct Holds(Arc<Mutex<HashMap<PeerId, Arc<AtomicUsize>>>>);

/// What one connection's handler watches.
pub(super) struct Watch(Arc<AtomicUsize>);

impl Holds {
    pub(in crate::net) fn hold(&self, peer: PeerId) -> Hold {
        let count = self.count(peer);
        count.fetch_add(1, Ordering::Relaxed);
        Hold {
            peer,
            count,
            holds: self.clone(),
        }
    }

    pub(super) fn watch(&self, peer: PeerId) -> Watch {
        Watch(self.count(peer))
    }

    /// Forgets a peer that neither a hold nor a connection refers to.
    pub(super) fn forget(&self, peer: PeerId) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.get(&peer).is_some_and(|count| Arc::strong_count(count) == 1) {
            map.remove(&peer);
        }
    }

    fn count(&self, peer: PeerId) -> Arc<AtomicUsize> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.entry(peer).or_default().clone()
    }
}

impl Watch {
    pub(super) fn is_held(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Hold {
    /// The peer that is held.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.count = Arc::default();
        self.holds.forget(self.peer);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hold({})", self.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_comes_later_is_held_too_until_the_last_hold_drops() {
        let (holds, peer) = (Holds::default(), PeerId::random());
        let (first, second) = (holds.hold(peer), holds.hold(peer));
        let watch = holds.watch(peer);
        drop(first);
        assert!(watch.is_held());
        drop(second);
        assert!(!watch.is_held());
        drop(watch);
        holds.forget(peer);
        assert!(holds.0.lock().expect("not poisoned").is_empty());
    }
}
