//! Looking for members, as a node does it: a few are dialled at a time, the first who answers is taken.

use alloc::{collections::VecDeque, vec::Vec};

use super::{calendar::What, shard::Desk};
use crate::{sim::Door, tree::Errand};

/// Members dialled at a time, as the node does.
const AT_A_TIME: usize = 3;

/// How long a handshake is waited for.
const HANDSHAKE_TIMEOUT: u64 = 5_000_000_000;

/// When QUIC sends a first packet again that was lost: three times the round trip it assumes, 333 ms.
const RETRY: u64 = 1_000_000_000;

/// How long the directory takes to name members other than those in the room's link.
const LOOKUP: u64 = 1_000_000_000;

/// Members that the directory names.
const NAMED: usize = 20;

/// All searches of one member that are under way.
#[derive(Debug, Default)]
pub(super) struct Searches {
    under_way: Vec<Search>,
    next: u32,
}

#[derive(Debug)]
struct Search {
    id: u32,
    errand: Errand,
    leads: VecDeque<u32>,
    /// Who was dialled, and until when it may answer.
    dialled: Vec<(u32, u64)>,
    directory: Directory,
}

/// What the directory can still do for a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directory {
    /// Nothing, or no more.
    Done,
    /// It is asked when the leads have failed.
    Next,
    /// It answers then.
    Asked(u64),
}

impl Searches {
    /// None, and none with a number that one of these had.
    pub(super) fn after(&self) -> Self {
        Self {
            under_way: Vec::new(),
            next: self.next,
        }
    }

    pub(super) fn due(&self) -> Option<u64> {
        self.under_way.iter().filter_map(Search::due).min()
    }

    /// Dials those that another member named. `true` when there is nobody to dial.
    pub(super) fn dial(
        &mut self,
        errand: Errand,
        leads: impl Iterator<Item = u32>,
        desk: &mut Desk<'_>,
    ) -> bool {
        self.start(errand, leads.collect(), Directory::Done, desk)
    }

    /// Looks for anyone in the room. `true` when there is nobody to dial.
    pub(super) fn seek(&mut self, desk: &mut Desk<'_>) -> bool {
        let leads = match desk.shared.scenario().door {
            Door::Host => [0].into(),
            Door::Anyone => desk.name_members(AT_A_TIME).into(),
        };
        self.start(Errand::Place, leads, Directory::Next, desk)
    }

    /// Takes the answer of one who was dialled. `true` when it is the first of its search, which is over then.
    pub(super) fn handle_answer(&mut self, search: u32, from: u32) -> bool {
        let waits =
            |known: &Search| known.id == search && known.dialled.iter().any(|(peer, _)| *peer == from);
        match self.under_way.iter().position(waits) {
            Some(at) => {
                self.under_way.swap_remove(at);
                true
            }
            None => false,
        }
    }

    /// Gives up on those who did not answer. Returns what the searches were for that have come to nothing.
    pub(super) fn handle_timeout(&mut self, desk: &mut Desk<'_>) -> Vec<Errand> {
        for search in &mut self.under_way {
            search.advance(desk);
        }
        let over = self.under_way.iter().filter(|search| search.due().is_none());
        let failed = over.map(|search| search.errand).collect();
        self.under_way.retain(|search| search.due().is_some());
        failed
    }

    fn start(
        &mut self,
        errand: Errand,
        leads: VecDeque<u32>,
        directory: Directory,
        desk: &mut Desk<'_>,
    ) -> bool {
        let mut search = Search {
            id: self.next,
            errand,
            leads,
            dialled: Vec::new(),
            directory,
        };
        self.next += 1;
        search.advance(desk);
        let is_over = search.due().is_none();
        if !is_over {
            self.under_way.push(search);
        }
        is_over
    }
}

impl Search {
    /// The next deadline; `None` when everything has failed.
    fn due(&self) -> Option<u64> {
        let dialled = self.dialled.iter().map(|(_, deadline)| *deadline).min();
        match self.directory {
            Directory::Asked(at) => Some(dialled.map_or(at, |deadline| deadline.min(at))),
            _ => dialled,
        }
    }

    fn advance(&mut self, desk: &mut Desk<'_>) {
        self.dialled.retain(|(_, deadline)| *deadline > desk.now);
        if let Directory::Asked(at) = self.directory
            && at <= desk.now
        {
            self.directory = Directory::Done;
            self.leads = desk.name_members(NAMED).into();
        }
        while self.dialled.len() < AT_A_TIME {
            let Some(peer) = self.leads.pop_front() else { break };
            self.dial(peer, desk);
        }
        if self.dialled.is_empty() && self.directory == Directory::Next {
            self.directory = Directory::Asked(desk.now + LOOKUP);
        }
    }

    fn dial(&mut self, peer: u32, desk: &mut Desk<'_>) {
        if peer == desk.me {
            return;
        }
        self.dialled.push((peer, desk.now + HANDSHAKE_TIMEOUT));
        if !desk.shared.knows(peer) {
            return;
        }
        let at = desk.now + desk.shared.delay(desk.me, peer) + first_packet_lost(desk);
        if desk.shared.parted(desk.me, peer, desk.now).is_none() {
            desk.post(peer, at, 0, What::Knock { search: self.id });
        }
    }
}

/// How much longer a handshake takes because its packet was lost.
pub(super) fn first_packet_lost(desk: &mut Desk<'_>) -> u64 {
    let rate = desk.shared.scenario().loss.rate();
    if desk.draws.chance(rate) { RETRY } else { 0 }
}
