//! Dials that someone waits for: one answer each, whichever of their connections comes first.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    io,
};

use libp2p::{
    Multiaddr, PeerId, TransportError,
    swarm::{self, ConnectionId},
};
use tokio::{sync::oneshot, time::Instant};

use super::config::DIAL_TIMEOUT;

/// Why a peer was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No address to try; find one first.
    #[error("no address is known for the peer")]
    NoAddress,
    /// Nothing listens there; a retry helps once the peer is back.
    #[error("refused: nothing listens at {0}")]
    Refused(String),
    /// No way leads there, or the handshake failed; a retry may help.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Another peer than the expected one answered: the address is out of date.
    #[error("the peer at {address} is {found}, not the one expected")]
    WrongPeer {
        /// Where.
        address: Multiaddr,
        /// Who answered.
        found: PeerId,
    },
    /// The address is our own.
    #[error("the address is our own")]
    Ourselves,
    /// No transport in use can dial such an address.
    #[error("no transport for {0}")]
    Unsupported(String),
    /// Nobody answered in time; a retry may help.
    #[error("timed out: no answer within {} s", DIAL_TIMEOUT.as_secs())]
    TimedOut,
    /// We have too many connections or dials; a retry helps later.
    #[error("too many connections")]
    TooMany,
    /// The network has been closed.
    #[error("the network is closed")]
    Closed,
}

pub(super) type Reply = oneshot::Sender<Result<PeerId, DialError>>;

/// The dials that someone waits for.
#[derive(Debug, Default)]
pub(super) struct Dials {
    next: u64,
    waiting: BTreeMap<u64, Attempt>,
    connections: HashMap<ConnectionId, u64>,
}

#[derive(Debug)]
struct Attempt {
    peer: Option<PeerId>,
    addresses: Vec<Multiaddr>,
    /// Connections of this attempt that have neither come nor failed.
    pending: usize,
    error: Option<DialError>,
    deadline: Instant,
    reply: Reply,
}

/// What an attempt that failed at a wrong peer still has to try.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) attempt: u64,
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
}

impl Dials {
    /// When the next one runs out of time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.values().map(|attempt| attempt.deadline).min()
    }

    /// A connection with a peer is there.
    pub(super) fn handle_connected(&mut self, peer: PeerId, connection: ConnectionId) {
        let by_connection = self.connections.remove(&connection);
        let done: Vec<_> = self
            .waiting
            .iter()
            .filter(|(id, attempt)| Some(**id) == by_connection || attempt.peer == Some(peer))
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            self.finish(id, Ok(peer));
        }
    }

    /// A dial failed. Some addresses may be left when only one of them led to a wrong peer.
    pub(super) fn handle_failed(
        &mut self,
        connection: ConnectionId,
        error: &swarm::DialError,
    ) -> Option<Again> {
        let id = self.connections.remove(&connection)?;
        let attempt = self.waiting.get_mut(&id)?;
        attempt.pending -= 1;
        if let (swarm::DialError::WrongPeerId { address, .. }, Some(peer)) = (error, attempt.peer) {
            let wrong = super::addresses::without_peer(address);
            attempt
                .addresses
                .retain(|address| super::addresses::without_peer(address) != wrong);
            if !attempt.addresses.is_empty() {
                attempt.error = Some(explain(error));
                return Some(Again {
                    attempt: id,
                    peer,
                    addresses: attempt.addresses.clone(),
                });
            }
        }
        // A peer that turned out to be another one says more than an address that nobody answers at.
        if !matches!(attempt.error, Some(DialError::WrongPeer { .. })) {
            attempt.error = Some(explain(error));
        }
        self.settle(id);
        None
    }

    /// Gives up what is overdue.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let overdue: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, attempt)| attempt.deadline <= now || attempt.reply.is_closed())
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            let error = self
                .waiting
                .get_mut(&id)
                .and_then(|attempt| attempt.error.take())
                .unwrap_or(DialError::TimedOut);
            self.finish(id, Err(error));
        }
    }

    /// Begins an attempt; its connections are added next, then it is settled.
    pub(super) fn begin(
        &mut self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        now: Instant,
        reply: Reply,
    ) -> u64 {
        let id = self.next;
        self.next += 1;
        let attempt = Attempt {
            peer,
            addresses,
            pending: 0,
            error: None,
            deadline: now + DIAL_TIMEOUT,
            reply,
        };
        self.waiting.insert(id, attempt);
        id
    }

    /// One more connection is being dialled for an attempt, or could not even be begun.
    pub(super) fn add(&mut self, id: u64, connection: ConnectionId, begun: Result<(), swarm::DialError>) {
        let Some(attempt) = self.waiting.get_mut(&id) else {
            return;
        };
        match begun {
            Ok(()) => {
                attempt.pending += 1;
                self.connections.insert(connection, id);
            }
            Err(error) => attempt.error = Some(explain(&error)),
        }
    }

    /// Ends an attempt that has nothing left to wait for.
    pub(super) fn settle(&mut self, id: u64) {
        let Some(attempt) = self.waiting.get_mut(&id) else {
            return;
        };
        if attempt.pending == 0 {
            let error = attempt.error.take().unwrap_or(DialError::NoAddress);
            self.finish(id, Err(error));
        }
    }

    fn finish(&mut self, id: u64, result: Result<PeerId, DialError>) {
        self.connections.retain(|_, attempt| *attempt != id);
        if let Some(attempt) = self.waiting.remove(&id) {
            // Whoever asked may have gone.
            let _ = attempt.reply.send(result);
        }
    }
}

fn explain(error: &swarm::DialError) -> DialError {
    match error {
        swarm::DialError::LocalPeerId { .. } => DialError::Ourselves,
        swarm::DialError::NoAddresses => DialError::NoAddress,
        swarm::DialError::WrongPeerId { obtained, address } => DialError::WrongPeer {
            address: address.clone(),
            found: *obtained,
        },
        swarm::DialError::Denied { .. } => DialError::TooMany,
        swarm::DialError::Transport(errors) => explain_transport(errors),
        swarm::DialError::Aborted | swarm::DialError::DialPeerConditionFalse(_) => {
            DialError::Unreachable(error.to_string())
        }
    }
}

fn explain_transport(errors: &[(Multiaddr, TransportError<io::Error>)]) -> DialError {
    let all = || {
        let list: Vec<_> = errors.iter().map(|(address, _)| address.to_string()).collect();
        list.join(", ")
    };
    if errors
        .iter()
        .all(|(_, error)| matches!(error, TransportError::MultiaddrNotSupported(_)))
    {
        return DialError::Unsupported(all());
    }
    let kinds: Vec<_> = errors
        .iter()
        .filter_map(|(_, error)| match error {
            TransportError::Other(error) => Some(kind(error)),
            TransportError::MultiaddrNotSupported(_) => None,
        })
        .collect();
    if kinds.iter().all(|kind| *kind == io::ErrorKind::ConnectionRefused) {
        return DialError::Refused(all());
    }
    if kinds.contains(&io::ErrorKind::TimedOut) {
        return DialError::TimedOut;
    }
    let list: Vec<_> = errors
        .iter()
        .map(|(address, error)| format!("{address}: {}", innermost(error)))
        .collect();
    DialError::Unreachable(list.join("; "))
}

/// The kind of the error at the bottom of what the transports wrapped around it. Some of them keep its text alone.
fn kind(error: &io::Error) -> io::ErrorKind {
    let text = innermost(error);
    match error.kind() {
        io::ErrorKind::Other if text.contains("refused") => io::ErrorKind::ConnectionRefused,
        io::ErrorKind::Other if text.contains("imed out") => io::ErrorKind::TimedOut,
        kind => kind,
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
    }

    #[test]
    fn a_dial_by_another_hand_answers_those_who_wait_for_the_peer() {
        let (mut dials, peer, now) = (Dials::default(), PeerId::random(), Instant::now());
        let (reply, mut answer) = oneshot::channel();
        let id = dials.begin(Some(peer), vec![address(1)], now, reply);
        dials.add(id, connection(1), Ok(()));
        dials.handle_connected(peer, connection(7));
        assert_eq!(answer.try_recv(), Ok(Ok(peer)));
        assert_eq!(
            dials.handle_failed(connection(1), &swarm::DialError::Aborted),
            None
        );
        assert!(dials.connections.is_empty());
    }

    #[test]
    fn a_wrong_peer_at_one_address_leaves_the_others_to_try() {
        let (mut dials, peer, now) = (Dials::default(), PeerId::random(), Instant::now());
        let (reply, mut answer) = oneshot::channel();
        let id = dials.begin(Some(peer), vec![address(1), address(2)], now, reply);
        dials.add(id, connection(1), Ok(()));
        let found = PeerId::random();
        let wrong = swarm::DialError::WrongPeerId {
            obtained: found,
            address: address(1),
        };
        let again = dials.handle_failed(connection(1), &wrong).expect("one is left");
        assert_eq!(again.addresses, [address(2)]);
        dials.add(id, connection(2), Ok(()));
        assert_eq!(
            dials.handle_failed(connection(2), &swarm::DialError::Aborted),
            None
        );
        let expected = DialError::WrongPeer {
            address: address(1),
            found,
        };
        assert_eq!(answer.try_recv(), Ok(Err(expected)));
    }

    #[test]
    fn nobody_waits_longer_than_the_timeout() {
        let (mut dials, now) = (Dials::default(), Instant::now());
        let (reply, mut answer) = oneshot::channel();
        let id = dials.begin(None, vec![address(1)], now, reply);
        dials.add(id, connection(1), Ok(()));
        assert_eq!(dials.deadline(), Some(now + DIAL_TIMEOUT));
        dials.handle_timeout(now + DIAL_TIMEOUT);
        assert_eq!(answer.try_recv(), Ok(Err(DialError::TimedOut)));
        assert_eq!(dials.deadline(), None);
    }

    #[test]
    fn an_attempt_without_anything_to_dial_says_so() {
        let mut dials = Dials::default();
        let (reply, mut answer) = oneshot::channel();
        let id = dials.begin(None, Vec::new(), Instant::now(), reply);
        dials.settle(id);
        assert_eq!(answer.try_recv(), Ok(Err(DialError::NoAddress)));
    }
}
