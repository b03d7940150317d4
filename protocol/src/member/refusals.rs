//! Who said no for good: a newcomer asks nobody twice who will not think better of it, and gives up once nobody else
//! is left.
//!
//! Only a newcomer. Who was in the room before goes on looking: a host that is only just up again does not know its
//! room for a moment.

use alloc::collections::BTreeSet;
use core::time::Duration;

use crate::{neighbour::Neighbour, person::Peer, reason::Reason, tree::Errand};

use super::{Left, Member};

/// Most members that are remembered to have said no. A search of half a minute hardly meets more; whoever fills the
/// DHT with liars is asked again each second.
const MAX_REFUSERS: usize = 64;

impl Member {
    /// Peers that are not to be asked again: they refused this newcomer for good, or lied to it.
    #[must_use]
    pub fn refusers(&self) -> &BTreeSet<Peer> {
        &self.refusers
    }

    /// Notes that one end of a link that we opened had enough of the other. The next is asked at once.
    pub(super) fn note_refusal(&mut self, link: Neighbour, reason: Reason, now: Duration) {
        let Some(peer) = self
            .links
            .get(&link)
            .filter(|link| link.is_ours())
            .map(|link| link.peer())
        else {
            return;
        };
        let is_news = !self.joined
            && reason.is_final()
            && self.refusers.len() < MAX_REFUSERS
            && self.refusers.insert(peer);
        if is_news {
            self.tree.seek_at_once(now);
        }
    }

    /// Whoever brought a history that is forged is not asked again, by whomever.
    pub(super) fn never_ask(&mut self, peer: Peer) {
        if self.refusers.len() < MAX_REFUSERS {
            self.refusers.insert(peer);
        }
    }

    /// The driver knows of nobody but the refusers.
    pub(super) fn handle_nobody_left(&mut self, now: Duration) {
        if self.joined || self.refusers.is_empty() || !self.tree.is_idle_without_place() {
            return self.tree.handle_nobody_found(Errand::Place, now);
        }
        let refusal = self.tree.last_refusal();
        self.leave(refusal.map_or(Left::Unreachable, Left::Refused));
    }
}
