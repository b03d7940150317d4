//! Finding a member of a room: by the addresses of its link, by those another member named, or by what the network
//! knows.
//!
//! Invariant: nobody is called who has refused for good. When those are all whom the link or the room's announcement
//! names, and the DHT knows nobody else, the search says that nobody is left. A bare id names nobody: there the word
//! of a provider, which anybody can be, does not end the wait for another's record.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use futures::{Stream, StreamExt, stream};
use libp2p::{Multiaddr, PeerId};
use majlis_protocol::{
    announcement::Status,
    link::{Address, RoomLink},
    person::Peer,
    tree::Errand,
    wire::message::Candidate,
};
use tokio::sync::mpsc;

use super::{actor::Note, links::Control};
use crate::net::{Network, ROOM_PROTOCOL, addresses::peer_of};

/// Members dialled at a time. More would bother strangers for nothing; fewer would wait for the slowest.
const AT_A_TIME: usize = 3;

/// Bytes of reasons that are kept for people: the first few say it.
const MOST_WHY: usize = 400;

/// Someone who may be in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
}

/// The peers that these addresses name, in their order.
pub(super) fn leads_of_addresses(via: &[Address]) -> Vec<Lead> {
    let mut leads: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
    let mut order = Vec::new();
    for address in via {
        let Ok(address) = address.as_str().parse::<Multiaddr>() else {
            continue;
        };
        let Some(peer) = peer_of(&address) else { continue };
        if !leads.contains_key(&peer) {
            order.push(peer);
        }
        leads.entry(peer).or_default().push(address);
    }
    order
        .into_iter()
        .map(|peer| Lead {
            peer,
            addresses: leads.remove(&peer).unwrap_or_default(),
        })
        .collect()
}

/// The peers that another member named, but for those who have refused.
pub(super) fn leads_of_candidates(candidates: &[Candidate], refusers: &BTreeSet<Peer>) -> Vec<Lead> {
    let lead = |candidate: &Candidate| {
        let peer = peer_id(candidate.peer)?;
        let addresses = candidate
            .addresses
            .iter()
            .filter_map(|address| address.as_str().parse().ok())
            .collect();
        Some(Lead { peer, addresses })
    };
    candidates
        .iter()
        .filter(|candidate| !refusers.contains(&candidate.peer))
        .filter_map(lead)
        .collect()
}

/// Peers as the network calls them.
pub(super) fn peer_ids(peers: &BTreeSet<Peer>) -> BTreeSet<PeerId> {
    peers.iter().copied().filter_map(peer_id).collect()
}

fn peer_id(peer: Peer) -> Option<PeerId> {
    PeerId::from_bytes(&peer.to_peer_id_bytes()).ok()
}

/// What a round of calls has come to.
#[derive(Debug)]
struct Round {
    /// Where those who do not answer are told of.
    notes: mpsc::Sender<Note>,
    /// How many were called.
    called: usize,
    /// What they said, for people.
    why: String,
}

/// Looks for any member of a room but those who have refused: by the addresses of its link and those announced, and
/// else by asking the DHT who provides it. Tells the actor the outcome.
pub(super) async fn find(
    network: Network,
    link: RoomLink,
    refusers: BTreeSet<PeerId>,
    notes: mpsc::Sender<Note>,
) {
    let announced = network
        .rooms(None)
        .await
        .into_iter()
        .find(|listing| listing.announcement().room == link.room);
    let is_to_come = announced
        .as_ref()
        .is_some_and(|listing| matches!(listing.status(), Status::Planned(_) | Status::Cancelled { .. }));
    // Its host was there when it announced it, and has gone since.
    let announced = announced
        .filter(|_| !is_to_come)
        .map(|listing| listing.announcement().addresses.clone())
        .unwrap_or_default();
    let known: Vec<Address> = link.via.iter().chain(&announced).cloned().collect();
    let local = network.local_peer();
    let mut leads = leads_of_addresses(&known);
    leads.retain(|lead| lead.peer != local);
    let names_someone = !leads.is_empty();
    leads.retain(|lead| !refusers.contains(&lead.peer));
    let mut round = Round::new(notes.clone());
    let mut found = round.call(&network, stream::iter(leads)).await;
    if found.is_none() {
        let providers = network.providers(link.room.key()).await;
        let leads = stream::unfold(providers, |mut providers| async move {
            let (peer, addresses) = providers.recv().await?;
            Some((Lead { peer, addresses }, providers))
        });
        let others =
            leads.filter(|lead| std::future::ready(lead.peer != local && !refusers.contains(&lead.peer)));
        found = round.call(&network, others).await;
    }
    let note = match found {
        Some((peer, control)) => Note::Opened {
            peer,
            control,
            errand: Errand::Place,
        },
        None if is_to_come => Note::NotOpenYet,
        None if names_someone && round.called == 0 => Note::NobodyLeft,
        None => Note::NobodyFound {
            errand: Errand::Place,
            why: round.why,
        },
    };
    // The actor may be gone; then the substream goes with it.
    let _ = notes.send(note).await;
}

/// Connects with the first of these who can be reached, and opens a substream. Tells the actor the outcome.
pub(super) async fn dial(network: Network, errand: Errand, leads: Vec<Lead>, notes: mpsc::Sender<Note>) {
    let mut round = Round::new(notes.clone());
    let note = match round.call(&network, stream::iter(leads)).await {
        Some((peer, control)) => Note::Opened {
            peer,
            control,
            errand,
        },
        None => Note::NobodyFound {
            errand,
            why: round.why,
        },
    };
    // As above.
    let _ = notes.send(note).await;
}

impl Round {
    fn new(notes: mpsc::Sender<Note>) -> Self {
        Self {
            notes,
            called: 0,
            why: String::new(),
        }
    }

    /// The first who can be reached, a few at a time; the others are counted.
    async fn call(
        &mut self,
        network: &Network,
        leads: impl Stream<Item = Lead>,
    ) -> Option<(PeerId, Control)> {
        let attempts = leads
            .map(|lead| async move {
                let reached = connect(network, lead.clone()).await;
                (lead, reached)
            })
            .buffer_unordered(AT_A_TIME);
        let mut attempts = std::pin::pin!(attempts);
        while let Some((lead, attempt)) = attempts.next().await {
            self.called += 1;
            match attempt {
                Ok(found) => return Some(found),
                Err(why) => {
                    if self.why.len() < MOST_WHY {
                        // Writing to a string cannot fail.
                        let _ = write!(self.why, ": {why}");
                    }
                    let Lead { peer, addresses } = lead;
                    let note = Note::NoAnswer { peer, addresses, why };
                    // The actor may be gone; then nobody is told.
                    let _ = self.notes.send(note).await;
                }
            }
        }
        None
    }
}

async fn connect(network: &Network, lead: Lead) -> Result<(PeerId, Control), String> {
    let peer = network
        .dial(Some(lead.peer), lead.addresses)
        .await
        .map_err(|error| error.to_string())?;
    let stream = network
        .open(peer, ROOM_PROTOCOL)
        .await
        .map_err(|error| error.to_string())?;
    Ok((peer, Control::new(stream)))
}
