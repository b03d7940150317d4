//! Finding a member of a room: by the addresses of its link, by those another member named, or by what the network
//! knows.

use std::{collections::BTreeMap, fmt::Write as _};

use futures::{Stream, StreamExt, stream};
use libp2p::{Multiaddr, PeerId};
use majlis_protocol::{
    link::{Address, RoomLink},
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

/// Looks for any member of a room: by the addresses of its link and those announced, and else by asking the DHT who
/// provides it. Tells the actor the outcome.
pub(super) async fn find(network: Network, link: RoomLink, notes: mpsc::Sender<Note>) {
    let announced = network
        .rooms(None)
        .await
        .into_iter()
        .find(|listing| listing.announcement().room == link.room);
    let announced = announced
        .map(|listing| listing.announcement().addresses.clone())
        .unwrap_or_default();
    let known: Vec<Address> = link.via.iter().chain(&announced).cloned().collect();
    let leads = leads_of_addresses(&known);
    let mut why = String::new();
    let mut found = first_of(&network, stream::iter(leads), &mut why).await;
    if found.is_none() {
        let providers = network.providers(link.room.key()).await;
        let local = network.local_peer();
        let leads = stream::unfold(providers, |mut providers| async move {
            let (peer, addresses) = providers.recv().await?;
            Some((Lead { peer, addresses }, providers))
        });
        let leads = leads.filter(|lead| std::future::ready(lead.peer != local));
        found = first_of(&network, leads, &mut why).await;
    }
    tell(found, why, &notes).await;
}

/// Connects with the first of these who can be reached, and opens a substream. Tells the actor the outcome.
pub(super) async fn dial(network: Network, leads: Vec<Lead>, notes: mpsc::Sender<Note>) {
    let mut why = String::new();
    let found = first_of(&network, stream::iter(leads), &mut why).await;
    tell(found, why, &notes).await;
}

async fn tell(found: Option<(PeerId, Control)>, why: String, notes: &mpsc::Sender<Note>) {
    let note = match found {
        Some((peer, control)) => Note::Opened { peer, control },
        None => Note::NobodyFound { why },
    };
    // The actor may be gone; then the substream goes with it.
    let _ = notes.send(note).await;
}

/// The first who can be reached, a few at a time; what the others said is added to `why`.
async fn first_of(
    network: &Network,
    leads: impl Stream<Item = Lead>,
    why: &mut String,
) -> Option<(PeerId, Control)> {
    let attempts = leads
        .map(|lead| connect(network, lead))
        .buffer_unordered(AT_A_TIME);
    let mut attempts = std::pin::pin!(attempts);
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(found) => return Some(found),
            Err(error) if why.len() < MOST_WHY => {
                // Writing to a string cannot fail.
                let _ = write!(why, ": {error}");
            }
            Err(_) => {}
        }
    }
    None
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
