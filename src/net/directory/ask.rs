//! The directory asked directly: a newcomer sees the list at once (SPEC.md section 13).
//!
//! Invariant: an answer costs its asker at least as much as us: each peer has a budget of questions.

use std::{
    collections::{HashMap, VecDeque},
    io,
    time::Duration,
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{
    PeerId, StreamProtocol,
    request_response::{self, Codec, OutboundRequestId, ProtocolSupport},
};
use majlis_protocol::wire::directory::{ANSWER_BYTES, Answer, QUERY_BYTES, Query};
use majlis_protocol::{limits, room::RoomId};
use tokio::time::Instant;

/// The protocol's name.
pub(in crate::net) const PROTOCOL: StreamProtocol = StreamProtocol::new("/majlis/directory/1");

/// How long an answer may take: 128 KiB over the poorest link that carries speech.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Questions of one connection in progress.
const CONCURRENT: usize = 4;

/// Questions that we have asked and that are not answered. A node that meets a hundred peers at once asks them in turn.
const IN_FLIGHT: usize = 8;

/// Peers that wait to be asked; who comes later is heard through gossip.
const WAITING: usize = 64;

/// Most pages that are asked of one peer: as many as fill a directory.
const PAGES: u32 = 32;

/// How soon a peer is asked again that says anew what it speaks: what it has learned since comes by gossip.
const ASK_AGAIN: Duration = Duration::from_secs(240);

/// Questions that one peer may ask at once, a directory's pages, and how often one more.
const QUESTIONS: u32 = 40;
const QUESTION_INTERVAL: Duration = Duration::from_secs(1);

pub(in crate::net) type Ask = request_response::Behaviour<Frames>;

/// Questions and answers behind a varint length.
#[derive(Debug, Clone, Default)]
pub(in crate::net) struct Frames;

/// Whom we have asked, and who may ask us.
#[derive(Debug, Default)]
pub(super) struct Asking {
    waiting: VecDeque<PeerId>,
    asked: HashMap<PeerId, Instant>,
    in_flight: HashMap<OutboundRequestId, u32>,
    askers: HashMap<PeerId, (u32, Instant)>,
}

pub(in crate::net) fn build() -> Ask {
    let config = request_response::Config::default()
        .with_request_timeout(TIMEOUT)
        .with_max_concurrent_streams(CONCURRENT);
    request_response::Behaviour::new([(PROTOCOL, ProtocolSupport::Full)], config)
}

impl Asking {
    /// A connected peer has said that it speaks the protocol.
    pub(super) fn handle_peer(&mut self, ask: &mut Ask, peer: PeerId, now: Instant) {
        let was_asked = self
            .asked
            .get(&peer)
            .is_some_and(|asked| now < *asked + ASK_AGAIN);
        if was_asked || self.waiting.len() >= WAITING {
            return;
        }
        self.asked.insert(peer, now);
        self.waiting.push_back(peer);
        self.ask_next(ask);
    }

    /// A question was answered: the next page is asked for, if there is one behind `last`.
    pub(super) fn handle_answer(
        &mut self,
        ask: &mut Ask,
        peer: PeerId,
        request: OutboundRequestId,
        last: Option<RoomId>,
    ) {
        let page = self.in_flight.remove(&request).unwrap_or(PAGES);
        match last {
            Some(room) if page + 1 < PAGES => self.send(ask, peer, Some(room), page + 1),
            _ => self.ask_next(ask),
        }
    }

    /// A question was not answered.
    pub(super) fn handle_failure(&mut self, ask: &mut Ask, request: OutboundRequestId) {
        self.in_flight.remove(&request);
        self.ask_next(ask);
    }

    pub(super) fn handle_disconnected(&mut self, peer: PeerId) {
        self.waiting.retain(|waiting| *waiting != peer);
        self.asked.remove(&peer);
        self.askers.remove(&peer);
    }

    /// Whether a peer may ask once more.
    pub(super) fn may_ask(&mut self, peer: PeerId, now: Instant) -> bool {
        let (left, at) = self.askers.entry(peer).or_insert((QUESTIONS, now));
        let earned = now.saturating_duration_since(*at).as_secs() / QUESTION_INTERVAL.as_secs();
        let earned = u32::try_from(earned).unwrap_or(QUESTIONS).min(QUESTIONS);
        *left = left.saturating_add(earned).min(QUESTIONS);
        *at += QUESTION_INTERVAL * earned;
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    fn ask_next(&mut self, ask: &mut Ask) {
        while self.in_flight.len() < IN_FLIGHT {
            let Some(peer) = self.waiting.pop_front() else {
                return;
            };
            self.send(ask, peer, None, 0);
        }
    }

    fn send(&mut self, ask: &mut Ask, peer: PeerId, after: Option<RoomId>, page: u32) {
        let query = Query {
            after,
            limit: u16::try_from(limits::DIRECTORY_ANSWER).unwrap_or(u16::MAX),
            ..Query::default()
        };
        let request = ask.send_request(&peer, query);
        self.in_flight.insert(request, page);
    }
}

impl Codec for Frames {
    type Protocol = StreamProtocol;
    type Request = Query;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Query>
    where
        T: AsyncRead + Unpin + Send,
    {
        Query::decode(&read_frame(io, QUERY_BYTES).await?).map_err(invalid)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        Answer::decode(&read_frame(io, ANSWER_BYTES).await?).map_err(invalid)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, query: Query) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &query.encode()).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: Answer) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &answer.encode()).await
    }
}

/// Reads one frame of at most `max` bytes; the length is looked at before anything is allocated.
pub(super) async fn read_frame<T: AsyncRead + Unpin>(io: &mut T, max: usize) -> io::Result<Vec<u8>> {
    let mut length = 0_usize;
    for shift in [0, 7, 14] {
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            if length > max {
                return Err(invalid(format!("a frame of {length} bytes")));
            }
            let mut frame = vec![0; length];
            io.read_exact(&mut frame).await?;
            return Ok(frame);
        }
    }
    Err(invalid("a length of more than three bytes"))
}

pub(super) async fn write_frame<T: AsyncWrite + Unpin>(io: &mut T, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes.len();
    let mut head = Vec::with_capacity(3);
    while rest >= 0x80 {
        head.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    head.push(rest as u8);
    io.write_all(&head).await?;
    io.write_all(bytes).await?;
    io.close().await
}

pub(super) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    #[tokio::test]
    async fn frames_read_back_and_their_bounds_hold() {
        for length in [0, 1, 127, 128, 16_383, 16_384, ANSWER_BYTES] {
            let mut written = Vec::new();
            write_frame(&mut Cursor::new(&mut written), &vec![7; length])
                .await
                .expect("in memory");
            let read = read_frame(&mut Cursor::new(&written), ANSWER_BYTES).await;
            assert_eq!(read.expect("whole").len(), length);
        }
        for bad in [
            &[0x80][..],
            &[0xff; 9],
            &[0x85, 0x01, 1, 2, 3],
            &[0x90, 0x90, 0x90, 1],
        ] {
            let read = read_frame(&mut Cursor::new(bad), QUERY_BYTES).await;
            assert!(read.is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_peer_that_says_again_and_again_what_it_speaks_is_asked_once() {
        let (mut asking, mut ask, now) = (Asking::default(), build(), Instant::now());
        let peer = PeerId::random();
        for _ in 0..20 {
            asking.handle_peer(&mut ask, peer, now);
        }
        assert_eq!((asking.in_flight.len(), asking.waiting.len()), (1, 0));
        for _ in 0..200 {
            asking.handle_peer(&mut ask, PeerId::random(), now);
        }
        assert_eq!(
            (asking.in_flight.len(), asking.waiting.len()),
            (IN_FLIGHT, WAITING)
        );
        asking.handle_disconnected(peer);
        assert!(!asking.asked.contains_key(&peer));
    }

    #[test]
    fn a_peer_that_only_asks_is_answered_once_a_second() {
        let (mut asking, peer, now) = (Asking::default(), PeerId::random(), Instant::now());
        for _ in 0..QUESTIONS {
            assert!(asking.may_ask(peer, now));
        }
        assert!(!asking.may_ask(peer, now));
        assert!(asking.may_ask(PeerId::random(), now));
        assert!(asking.may_ask(peer, now + QUESTION_INTERVAL));
        assert!(!asking.may_ask(peer, now + QUESTION_INTERVAL));
    }
}
