//! Records of rooms to come, given to community nodes to keep while their hosts are away (SPEC.md section 13).
//!
//! Gossip tells everybody of a record and says nothing of who holds it; here a host asks, and is answered. Invariant:
//! a node that is not a community node promises nothing: it does not speak the protocol.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    request_response::{self, Codec, OutboundRequestId, ProtocolSupport},
};
use majlis_protocol::{
    announcement::{Announcement, Kind, Listing},
    limits,
    reason::Reason,
    room::RoomId,
    signed::Signed,
    wire::directory::{KEEPING_BYTES, Keeping, decode_gossip, encode_gossip},
};

use super::ask::{invalid, read_frame, write_frame};

/// The protocol's name.
pub(in crate::net) const PROTOCOL: StreamProtocol = StreamProtocol::new("/majlis/keep/1");

/// How long an answer may take: a record of 8 KB there, one byte back, over the poorest link.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests of one connection in progress.
const CONCURRENT: usize = 4;

/// Most bytes of a request: a version byte, and the envelope around the largest announcement.
const REQUEST_BYTES: usize = limits::ANNOUNCEMENT + 128;

/// Most community nodes that are asked: a record at sixteen places outlives any of them.
const KEEPERS: usize = 16;

pub(in crate::net) type Keep = request_response::Behaviour<Records>;

/// Records and answers behind a varint length.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct Records;

/// What a community node says to a record of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The room.
    pub room: RoomId,
    /// The entry up to which it is known there.
    pub head: u32,
    /// The community node.
    pub peer: PeerId,
    /// Where it is reached, as we reach it; ends in `/p2p/` and its id.
    pub address: Option<Multiaddr>,
    /// Why it does not keep the record; none when it does.
    pub refused: Option<Reason>,
}

/// Which community nodes there are, and what they were asked.
#[derive(Debug, Default)]
pub(super) struct Keepers {
    /// Each with its address, where we dialled it.
    connected: BTreeMap<PeerId, Option<Multiaddr>>,
    asked: HashMap<OutboundRequestId, (RoomId, u32)>,
}

pub(in crate::net) fn build(is_community: bool) -> Keep {
    let support = if is_community {
        ProtocolSupport::Full
    } else {
        ProtocolSupport::Outbound
    };
    let config = request_response::Config::default()
        .with_request_timeout(TIMEOUT)
        .with_max_concurrent_streams(CONCURRENT);
    request_response::Behaviour::new([(PROTOCOL, support)], config)
}

impl Keepers {
    /// A community node is there, and may keep these records.
    pub(super) fn handle_keeper<'a>(
        &mut self,
        keep: &mut Keep,
        peer: PeerId,
        address: Option<&Multiaddr>,
        own: impl Iterator<Item = &'a Listing>,
    ) {
        let address = address.and_then(|address| address.clone().with_p2p(peer).ok());
        if let Some(known) = self.connected.get_mut(&peer) {
            *known = address.or(known.take());
            return;
        }
        if self.connected.len() >= KEEPERS {
            return;
        }
        self.connected.insert(peer, address);
        for listing in own.filter(|listing| is_record(listing)) {
            self.send(keep, peer, listing);
        }
    }

    pub(super) fn handle_disconnected(&mut self, peer: PeerId) {
        self.connected.remove(&peer);
    }

    /// Gives a record of ours to all of them.
    pub(super) fn give(&mut self, keep: &mut Keep, listing: &Listing) {
        if !is_record(listing) {
            return;
        }
        let peers: Vec<PeerId> = self.connected.keys().copied().collect();
        for peer in peers {
            self.send(keep, peer, listing);
        }
    }

    /// A community node has answered.
    pub(super) fn handle_answer(
        &mut self,
        peer: PeerId,
        request: OutboundRequestId,
        answer: Keeping,
    ) -> Option<Kept> {
        let (room, head) = self.asked.remove(&request)?;
        Some(Kept {
            room,
            head,
            peer,
            address: self.connected.get(&peer).cloned().flatten(),
            refused: answer.refused,
        })
    }

    /// It has not.
    pub(super) fn handle_failure(&mut self, request: OutboundRequestId) {
        self.asked.remove(&request);
    }

    fn send(&mut self, keep: &mut Keep, peer: PeerId, listing: &Listing) {
        let announcement = listing.announcement();
        let request = keep.send_request(&peer, announcement.signed().clone());
        self.asked.insert(request, (announcement.room, announcement.head));
    }
}

fn is_record(listing: &Listing) -> bool {
    listing.announcement().kind == Kind::Scheduled
}

impl Codec for Records {
    type Protocol = StreamProtocol;
    type Request = Signed<Announcement>;
    type Response = Keeping;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        decode_gossip(&read_frame(io, REQUEST_BYTES).await?).map_err(invalid)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Keeping>
    where
        T: AsyncRead + Unpin + Send,
    {
        Keeping::decode(&read_frame(io, KEEPING_BYTES).await?).map_err(invalid)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        record: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &encode_gossip(&record)).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: Keeping) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &answer.encode()).await
    }
}
