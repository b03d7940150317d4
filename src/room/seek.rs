//! Finding a member of a room: by the addresses of its link, by those another member named, or by what the network
//! knows.

use std::{collections::BTreeMap, fmt::Write as _};

use futures::{StreamExt, stream};
use libp2p::{Multiaddr, PeerId};
use majlis_protocol::{link::Address, wire::message::Candidate};
use tokio::sync::mpsc;

use super::{actor::Note, links::Control};
use crate::net::{Network, ROOM_PROTOCOL, addresses::peer_of};

/// Members dialled at a time. More would bother strangers for nothing; fewer would wait for the slowest.
const AT_A_TIME: usize = 3;

/// Someone who may be in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
}

/// The peers that a link's addresses name, in its order.
pub(super) fn leads_of_link(via: &[Address]) -> Vec<Lead> {
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

/// The peers that another member named.
pub(super) fn leads_of_candidates(candidates: &[Candidate]) -> Vec<Lead> {
    let lead = |candidate: &Candidate| {
        let peer = PeerId::from_bytes(&candidate.peer.to_peer_id_bytes()).ok()?;
        let addresses = candidate
            .addresses
            .iter()
            .filter_map(|address| address.as_str().parse().ok())
            .collect();
        Some(Lead { peer, addresses })
    };
    candidates.iter().filter_map(lead).collect()
}

/// Connects with the first of these who can be reached, and opens a substream. Tells the actor the outcome.
pub(super) async fn dial(network: Network, leads: Vec<Lead>, notes: mpsc::Sender<Note>) {
    let mut why = String::new();
    let mut attempts = stream::iter(leads)
        .map(|lead| connect(&network, lead))
        .buffer_unordered(AT_A_TIME);
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok((peer, control)) => {
                // The actor may be gone; then the substream goes with it.
                let _ = notes.send(Note::Opened { peer, control }).await;
                return;
            }
            Err(error) => {
                // Writing to a string cannot fail.
                let _ = write!(why, ": {error}");
            }
        }
    }
    let _ = notes.send(Note::NobodyFound { why }).await;
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
