//! The relay tree as this node knows it: the way up to the root, who would step in, and who hangs below.
//!
//! Nobody knows the whole tree. What is far away is hearsay: paths are told by the parent, members below by children.

use libp2p::PeerId;
use majlis_protocol::{
    member::Member,
    person::Peer,
    tree::{Place, Tree},
};
use serde::Serialize;

use crate::{
    event::{shown, shown_or_null},
    net::Network,
};

/// The relay tree of a room, seen from this node.
#[derive(Debug, Clone, Serialize)]
pub struct TreeInfo {
    /// This node.
    #[serde(serialize_with = "shown")]
    pub peer: Peer,
    /// Where sound enters the tree; `null` while this node has no place in it.
    #[serde(serialize_with = "shown_or_null")]
    pub root: Option<Peer>,
    /// Peers from the root to the parent; empty at the root.
    #[serde(serialize_with = "all_shown")]
    pub path: Vec<Peer>,
    /// Hops from the root.
    pub depth: u32,
    /// From whom sound comes.
    pub parent: Option<Branch>,
    /// Who would step in.
    pub standby: Option<Branch>,
    /// Who takes sound from here.
    pub children: Vec<Branch>,
    /// How many this node would step in for.
    pub stands_by_for: usize,
    /// How many children there is room for.
    pub capacity: usize,
    /// Members in the subtree below this node, itself included, as far as those below tell.
    pub members: u32,
}

/// A neighbour in the tree, and how the link to it fares.
#[derive(Debug, Clone, Serialize)]
pub struct Branch {
    /// Who.
    #[serde(serialize_with = "shown")]
    pub peer: Peer,
    /// What the person there is called.
    pub nick: Option<String>,
    /// The tag to show with it.
    pub tag: Option<String>,
    /// Members that hang on it, itself included; `null` for those above.
    pub members: Option<u32>,
    /// Round-trip time in milliseconds; `null` where there is no QUIC connection.
    pub rtt_ms: Option<f64>,
    /// Share of the packets sent to it that were lost, 0 to 1, since the connection began; `null` likewise.
    pub loss: Option<f64>,
}

impl TreeInfo {
    /// What a member knows, and what its links measure.
    pub(super) fn of(member: &Member, me: Peer, network: &Network) -> Self {
        let (place, tree) = (member.place(), member.tree());
        let branch = |peer: Peer, members| {
            let (rtt_ms, loss) = measured(network, peer).unzip();
            let profile = member.profile_at(peer);
            Branch {
                peer,
                nick: profile.map(|profile| profile.nick.to_string()),
                tag: profile.map(|profile| profile.person.tag()),
                members,
                rtt_ms,
                loss,
            }
        };
        Self {
            peer: me,
            root: if *place == Place::Root {
                Some(me)
            } else {
                place.root()
            },
            path: place.path().to_vec(),
            depth: place.depth(),
            parent: member.parent().map(|peer| branch(peer, None)),
            standby: member.standby().map(|peer| branch(peer, None)),
            children: children(tree)
                .map(|(peer, members)| branch(peer, Some(members)))
                .collect(),
            stands_by_for: tree.standby_children(),
            capacity: tree.capacity(),
            members: tree.members(),
        }
    }
}

fn children(tree: &Tree) -> impl Iterator<Item = (Peer, u32)> + '_ {
    tree.children()
        .filter_map(|link| Some((tree.peer(link)?, tree.members_below(link).unwrap_or(1))))
}

/// The round-trip time in milliseconds and the share of lost packets of the newest connection to a peer.
fn measured(network: &Network, peer: Peer) -> Option<(f64, f64)> {
    let id = PeerId::from_bytes(&peer.to_peer_id_bytes()).ok()?;
    let links = network.links(id);
    let link = links.iter().rev().find(|link| !link.is_closed())?;
    let stats = link.stats();
    let loss = stats.packets_lost as f64 / stats.packets_sent.max(1) as f64;
    Some((link.rtt().as_secs_f64() * 1e3, loss))
}

fn all_shown<S: serde::Serializer>(peers: &[Peer], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(peers.iter().map(ToString::to_string))
}
