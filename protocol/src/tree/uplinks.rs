//! The links on which a speaker's own sound goes out: to the root and to its fallback, whoever the parent is.

use alloc::{collections::BTreeSet, vec, vec::Vec};
use core::time::Duration;

use crate::{neighbour::Neighbour, person::Peer, wire::message::Candidate};

use super::{Errand, Output, Tree, Why};

/// Pause before a root that could not be reached is dialled again: speech is missing as long.
const UPLINK_PAUSE: Duration = Duration::from_secs(1);

/// The links, while this member's person is on the stage.
#[derive(Debug, Default)]
pub(super) struct Uplinks {
    on_stage: bool,
    links: BTreeSet<Neighbour>,
    again: Option<Duration>,
}

impl Uplinks {
    pub(super) fn is_on_stage(&self) -> bool {
        self.on_stage
    }

    pub(super) fn has(&self, link: Neighbour) -> bool {
        self.links.contains(&link)
    }

    pub(super) fn forget(&mut self, link: Neighbour) {
        self.links.remove(&link);
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.again
    }
}

impl Tree {
    /// This member's person speaks now, or no longer.
    pub fn set_on_stage(&mut self, on_stage: bool, now: Duration) {
        if self.uplinks.on_stage == on_stage {
            return;
        }
        self.uplinks.on_stage = on_stage;
        self.feed(now);
        // Who speaks is to hear the others with as few hops between as can be.
        let root = self
            .around
            .root
            .clone()
            .filter(|_| on_stage && self.place.depth() > 1);
        if let Some(root) = root {
            self.start_moving(vec![root], Why::Better, now);
        }
    }

    /// Brings the uplinks in line with who the root and its fallback are.
    pub(super) fn feed(&mut self, now: Duration) {
        let targets = self.targets();
        let unfit: Vec<Neighbour> = self
            .uplinks
            .links
            .iter()
            .copied()
            .filter(|link| {
                !self
                    .peer(*link)
                    .is_some_and(|peer| targets.iter().any(|target| target.peer == peer))
            })
            .collect();
        for link in unfit {
            self.uplinks.links.remove(&link);
            self.outputs.push_back(Output::Uplink { link, added: false });
            self.release(link);
        }
        let mut missing = Vec::new();
        for target in targets {
            match self.link_to(target.peer) {
                Some(link) if self.uplinks.has(link) => {}
                Some(link) => {
                    self.drop_older_uplinks(target.peer);
                    self.uplinks.links.insert(link);
                    self.outputs.push_back(Output::Uplink { link, added: true });
                }
                None => missing.push(target),
            }
        }
        if missing.is_empty() {
            self.uplinks.again = None;
        } else if self.uplinks.again.is_none_or(|again| again <= now) {
            self.uplinks.again = Some(now + UPLINK_PAUSE);
            for target in missing {
                self.outputs.push_back(Output::Dial {
                    errand: Errand::Uplink,
                    candidates: vec![target],
                });
            }
        }
    }

    pub(super) fn feed_if_due(&mut self, now: Duration) {
        if self.uplinks.again.is_some_and(|again| again <= now) {
            self.feed(now);
        }
    }

    /// One link to each is enough.
    fn drop_older_uplinks(&mut self, to: Peer) {
        let older: Vec<Neighbour> = self
            .uplinks
            .links
            .iter()
            .copied()
            .filter(|link| self.peer(*link) == Some(to))
            .collect();
        for link in older {
            self.uplinks.links.remove(&link);
            self.outputs.push_back(Output::Uplink { link, added: false });
        }
    }

    /// The root and its fallback, as they were known last.
    fn targets(&self) -> Vec<Candidate> {
        if self.uplinks.on_stage {
            self.known_roots()
        } else {
            Vec::new()
        }
    }

    fn known_roots(&self) -> Vec<Candidate> {
        // Where they can be reached is the parent's word, who they are is the chair's.
        let Some((root, fallback)) = self.roots else {
            return Vec::new();
        };
        let is_signed = |peer: Peer| peer == root || Some(peer) == fallback;
        let known = self.around.root.iter().chain(&self.around.fallback);
        let mut targets: Vec<Candidate> = Vec::new();
        for candidate in known.filter(|candidate| is_signed(candidate.peer) && candidate.peer != self.me.peer)
        {
            if !targets.iter().any(|target| target.peer == candidate.peer) {
                targets.push(candidate.clone());
            }
        }
        targets
    }
}
